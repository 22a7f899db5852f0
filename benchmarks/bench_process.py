"""bench_process: the server as a process: how soon it answers, and whether its memory stays flat.

    python -m benchmarks.bench_process                        # 100,000 requests, some minutes
    python -m benchmarks.bench_process --requests 2000 --json

Start: from the start of `laneway serve` to the end of its first answer, asked for as soon as the port is open, with
a new log each time. Memory: the resident set of one server after every tenth of the requests, 64 at a time, whole
answers, everything on; the first tenth warms up, and the growth is per 10,000 requests of the rest, by least squares.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.bench_gateway import LOAD, machine
from benchmarks.load import ANSWER, body


def start_seconds(core: int, lane: str, times: int) -> list[float]:
    """From nothing to the first answer, each time anew."""
    took = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            with processes.laneway(core, Path(directory), lane, lane) as target:
                asked = urllib.request.Request(
                    f"{target.urls['whole']}/chat/completions",
                    body("auto", stream=False),
                    {"Content-Type": "application/json"},
                )
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    assert json.load(answer)["choices"][0]["message"]["content"] == ANSWER
            took.append(time.perf_counter() - began)
    return took


def resident_mb(pid: int) -> float:
    """The resident set of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_mb(core: int, lane: str, requests: int) -> list[float]:
    """The resident set after every tenth of the requests."""
    seen = []
    with tempfile.TemporaryDirectory() as directory, processes.laneway(core, Path(directory), lane, lane) as target:
        for _ in range(10):
            command = [sys.executable, str(LOAD), target.urls["whole"], "auto", "64", str(requests // 10), "0"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seen.append(resident_mb(target.pid))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description="time to the first answer, and memory")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    others = cores[1:] or cores
    os.sched_setaffinity(0, others)
    described = machine()
    with processes.scripted(others[0], ANSWER) as (_, lane):
        starts = start_seconds(cores[0], lane, options.starts)
        seen = memory_mb(cores[0], lane, options.requests)
    slope = statistics.linear_regression(range(1, 10), seen[1:]).slope / (options.requests / 10) * 10_000
    found: dict[str, Any] = {
        "bench": "process", "machine": described, "requests": options.requests,
        "start_s": {"median": round(statistics.median(starts), 3), "min": round(min(starts), 3), "max": round(max(starts), 3)},
        "resident_mb": [round(mb, 1) for mb in seen], "growth_mb_per_10k": round(slope, 3),
    }  # fmt: skip
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{described}\nfirst answer after {found['start_s']} s")
    print(f"resident MB after each tenth of {options.requests:,} requests: {found['resident_mb']}")
    print(f"growth after the first tenth: {found['growth_mb_per_10k']} MB per 10,000 requests")


if __name__ == "__main__":
    main()
