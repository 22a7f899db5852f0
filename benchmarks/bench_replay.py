"""bench_replay: how long many recorded requests take to be decided again under another policy, and how much memory.

    python -m benchmarks.bench_replay [--decisions 1000000] [--folder FOLDER] [--json]

The log is made by `biglog` (in FOLDER, where one is kept from run to run). Each edit of the pack is replayed by a
process of its own, as by `laneway replay`: chain check, deciding and totals. CPU seconds are those of one core.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EDITS = {
    "nothing": ("name: Fjord Legal", "name: Fjord Legal again"),
    "every `cheapest`": ("try: cheapest", "try: strongest"),
    "a row of the wall": ("zones: [ours, eea], says: Confidential", "zones: [ours], says: Confidential"),
    "ceilings and a price": ("price: {input: 0.90, output: 1.80}", "price: {input: 9, output: 18}"),
}


def measured(folder: Path, new: Path, *more: str) -> tuple[float, float, float, dict[str, object]]:
    """Seconds, CPU seconds and MiB at most of one replay, and what it said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = ["replay", str(new), "--log", str(folder / "laneway.db"), "--since", "all", "--json", *more]
    said = subprocess.run([sys.executable, "-c", MEMORY, *command], check=True, capture_output=True, text=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, cpu, float(said.stderr.split()[-1]) / 1024, json.loads(said.stdout)


MEMORY = (
    "import resource, sys\n"
    "from laneway.cli import main\n"
    "try:\n main()\n"
    "finally:\n sys.stderr.write(f' {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}')\n"
)
"""A command, and the most memory that it took, in KiB, at the end of its standard error."""


def main() -> None:
    """Print seconds and memory by edit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_replay", description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the log is, or is made and kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="laneway-replay-") as name:
        folder, rows = options.folder or Path(name), []
        if not (folder / "laneway.db").exists():
            make = ["-m", "benchmarks.biglog", str(folder), "--decisions", str(options.decisions)]
            subprocess.run([sys.executable, *make], check=True, stdout=sys.stderr)
        text = (folder / "laneway.yaml").read_text("utf-8")
        for what, (old, new) in EDITS.items():
            edited = folder / "edited.yaml"
            edited.write_text(text.replace(old, new), "utf-8")
            took, cpu, memory, said = measured(folder, edited)
            rows.append({"changed": what, "requests": said["requests"], "changed requests": said["changed"],
                         "seconds": round(took, 1), "cpu": round(cpu, 1), "MiB": round(memory)})  # fmt: skip
            if not options.json:
                print(rows[-1], flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
