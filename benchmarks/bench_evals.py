"""bench_evals: how fast `laneway eval run` asks, and whether its memory grows with what it has asked.

    python benchmarks/bench_evals.py                    # 10,000 samples on 3 lanes, a few minutes
    python benchmarks/bench_evals.py --samples 1000 --json

Three scripted lanes, each a process of its own that takes its time before each answer, with 16 calls at once as
their `limits`. The run's resident memory is read from the kernel while the number of answers on file grows.
All of it is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

LANES = {"small": 16, "middle": 16, "large": 16}
POLICY = """\
laneway: 1
name: evaluations
currency: USD
sensitivity: [internal]
unlabelled: {sensitivity: internal}
lanes:
LANES
strength: [small, middle, large]
zones: {ours: {kind: local}}
wall: [{sensitivity: [internal], zones: [ours], says: Ours.}]
workloads: {letters: {evals: [letters.jsonl]}}
routes: [{try: cheapest, says: All work.}]
gate: {evidence: {score: 0.85, confidence: 0.95}}
"""


@contextmanager
def lane(seconds: float) -> Iterator[str]:
    """A scripted lane as a process, which takes so many seconds before it answers; and its address."""
    command = ("-m", "laneway.providers.scripted", "--answer", "yes", "--fault", "slow-first-byte", "--seconds",
               f"{seconds}")  # fmt: skip
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


def written(folder: Path, urls: dict[str, str], samples: int) -> None:
    """The policy and the set."""
    lines = "\n".join(
        f'  {name}: {{kind: local, provider: openai, url: "{url}", model: scripted, price: 0, '
        f"limits: {{concurrency: {LANES[name]}}}}}"
        for name, url in urls.items()
    )
    (folder / "laneway.yaml").write_text(POLICY.replace("LANES", lines), "utf-8")
    head = {"evaluation": 1, "name": "letters", "says": "Is it so?", "workload": "letters", "sensitivity": "internal",
            "scorers": [{"exact": {}}]}  # fmt: skip
    rows = ({"id": f"s{i}", "input": f"Letter {i}: {'it is so, ' * 20}is it?", "expected": "yes", "language": "en"}
            for i in range(samples))  # fmt: skip
    (folder / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), "utf-8")


def resident(pid: int) -> float | None:
    """A process's resident memory in MiB; None where it has just ended."""
    found = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return int(found[0]) / 1024 if found else None


def on_file(path: Path) -> int:
    """How many answers are on file."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM result").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def measured(samples: int, seconds: float) -> dict[str, object]:
    """One run, watched, and a second one that finds everything on file."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        written(folder, {name: held.enter_context(lane(seconds)) for name in LANES}, samples)
        command = [
            sys.executable,
            "-m",
            "laneway.cli",
            "eval",
            "run",
            "--policy",
            f"{folder / 'laneway.yaml'}",
            "--json",
        ]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        total, seen = samples * len(LANES), list[tuple[float, int, float]]()
        while run.poll() is None:
            found = on_file(folder / "evals.db")
            if found and (mib := resident(run.pid)) is not None:
                seen.append((time.monotonic(), found, mib))
            time.sleep(0.25)
        assert run.stdout is not None
        out = json.loads(run.stdout.read())
        assert run.returncode == 0, out
        begun = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        again = time.monotonic() - begun
        size = (folder / "evals.db").stat().st_size
    (first, low, _), (last, high, _) = seen[0], next(one for one in seen if one[1] >= total * 0.99)
    memory = {
        f"{part:.0%}": next(mib for _, found, mib in seen if found >= total * part - 1) for part in (0.1, 0.5, 0.99)
    }
    return {
        "samples": samples, "lanes": len(LANES), "calls": total, "calls_a_second": round((high - low) / (last - first)),
        "lanes_bear": round(sum(LANES.values()) / seconds), "resident_mib": memory, "again_seconds": round(again, 1),
        "file_mib": round(size / 2**20, 1),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long a lane takes for an answer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options.samples, options.seconds)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for name, value in found.items():
        sys.stdout.write(f"{name:16} {value}\n")


if __name__ == "__main__":
    main()
