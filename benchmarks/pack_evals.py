"""pack_evals: `laneway eval run` on the three packs with a real model, killed half-way and resumed, up to the report.

    python -m benchmarks.pack_evals --into /tmp/pack_evals        # `--most 4` takes four samples of each set

The weakest lane of each pack is SmolLM2-135M on this machine, the others are scripted lanes that are right as often as
CHANCES says. Exits with 1 where a lane was asked anything again that was not under way at the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from tests.pack_evals import PACKS, Bench, pack_bench


async def _whole(pack: str, folder: Path, most: int | None, output: int) -> bool:
    started = time.monotonic()
    async with pack_bench(folder, pack, most=most) as it:
        cap, lanes = ("--max-output", str(output)), it.policy.strength
        _say(f"{pack}: {it.samples} samples, lanes {', '.join(lanes)}; {lanes[0]} is the real model")
        shown = [0.0]

        def progress(calls: str) -> None:
            if time.monotonic() - shown[0] > 10:
                shown[0] = time.monotonic()
                _say(f"  {calls}")

        await it.killed(it.samples // 2, *cap, said=progress)
        before, kept = it.calls(), len(it.answered())
        _say(f"  killed after {time.monotonic() - started:.0f} s: calls {before}, {kept} answers on file")
        resumed = await it.run("run", "--json", *cap)
        return _judged(it, before, resumed.code, resumed.err) and await _report(it, cap, started)


def _judged(it: Bench, before: dict[str, int], code: int, err: str) -> bool:
    """Whether nothing was asked twice but what was under way; says so."""
    lost = sum(int(word) for word in err.split("middle of ")[1].split()[:1]) if "middle of " in err else 0
    _say(
        f"  resumed, exit {code}: calls {it.calls()}, of which {it.repeated()} asked again ({lost} under way at the kill)"
    )
    return code == 0 and it.repeated() <= lost and sum(before.values()) > 0


async def _report(it: Bench, cap: tuple[str, str], started: float) -> bool:
    """Whether a third run asks nothing, and the report is made; prints it."""
    calls = it.calls()
    third = await it.run("run", *cap)
    page = it.policy_path.with_name("report.html")
    made, told = await it.run("report", "--html", f"{page}"), await it.run("report")
    _say(told.out + told.err + made.err)
    _say(f"  {page}, {page.stat().st_size:,} bytes; {time.monotonic() - started:.0f} s in all")
    return made.code == told.code == third.code == 0 and it.calls() == calls


def _say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def main() -> None:
    """Run the packs that are named, or all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="*", default=PACKS, metavar="PACK")
    parser.add_argument(
        "--into", type=Path, required=True, help="An empty folder; copies, results and reports go there."
    )
    parser.add_argument("--most", type=int, help="Samples a set; default: all.")
    parser.add_argument("--max-output", type=int, default=32, help="Tokens an answer.")
    args = parser.parse_args()
    good = [asyncio.run(_whole(pack, args.into / pack, args.most, args.max_output)) for pack in args.packs]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
