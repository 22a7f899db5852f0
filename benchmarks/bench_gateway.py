"""bench_gateway: what one proxied chat request costs, in CPU of the server process and in added latency.

    python -m benchmarks.bench_gateway           # some minutes
    python -m benchmarks.bench_gateway --quick   # a smoke run of seconds, too short to mean much
    python -m benchmarks.bench_gateway --peers DIR --json
    python -m benchmarks.bench_gateway --chart docs/gateway.svg

A real `laneway serve`, pinned to one core, with the wall, the guard, the identifiers, the gate and the durable
log all on, proxies to a scripted lane; the same lane is called directly, and through the peers that are installed
(see `processes`), in the same run, round by round. The lane and the load share the other core. Every answer is
checked, and at the end the log is verified and counted. All of it is on 127.0.0.1. CPU is read from the kernel's
clock of the process, all its threads included; for the direct rows it is the lane's. A ratio compares the two within
each round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from benchmarks import chart, processes
from benchmarks.load import ANSWER, DEADLINE, PROSE
from benchmarks.processes import PEERS, Target

from laneway.classify.sensitivity import identifiers
from laneway.store import Reader

LOAD = Path(__file__).with_name("load.py")
PACE = 0.005
_FEWER = {"LiteLLM": 10}
"""Peers that get so many times fewer requests, as theirs take as much longer."""


class Shape(NamedTuple):
    """What is asked: whole answers or streams, over so many connections, so often in a round, and of whom."""

    kind: str
    connections: int
    requests: int
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        says = {"whole": "whole", "paced": "20 events, 5 ms apart", "held": "20 events at once, held back",
                "live": "20 events at once, live"}[self.kind]  # fmt: skip
        return f"{says}, {self.connections}"


class Ran(NamedTuple):
    """One round of a case: CPU of the process in question per request (µs), and every latency (ms), sorted."""

    cpu_us: float
    latencies: list[float]
    seconds: float


Rounds = dict[tuple[str, str], list[Ran]]
"""By the shape's name and the target's."""


def shapes(requests: int, many: int, peers: list[str]) -> list[Shape]:
    """The rows, in the order of a round."""
    everyone, ours = ("direct", "Laneway", *peers), ("direct", "Laneway")
    few = max(many, requests // 5)
    return [
        Shape("whole", 1, max(20, requests // 4), everyone),
        Shape("whole", many, requests, everyone),
        Shape("paced", 1, max(6, requests // 100), everyone),
        Shape("paced", many, few, everyone),
        Shape("held", many, few, ours),
        Shape("live", many, few, ours),
    ]


def cpu_us(pid: int) -> float:
    """CPU of the process `pid` so far, all threads, user and system: clock_getcpuclockid(3), spelt out."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1000


def count(shape: Shape, target: str) -> int:
    """Requests of one round; where a peer gets fewer, still some for each connection."""
    return max(
        2 * shape.connections if shape.kind == "whole" else shape.connections, shape.requests // _FEWER.get(target, 1)
    )


def run(shape: Shape, name: str, target: Target) -> Ran:
    """One round: the load in a process of its own, and what it cost the target."""
    url, model, connections = target.urls[shape.kind], target.models[shape.kind], str(shape.connections)
    requests, stream = count(shape, name), str(int(shape.kind != "whole"))
    command = [sys.executable, str(LOAD), url, model, connections]
    warm = [*command, connections, stream]
    subprocess.run(warm, check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE)
    before = cpu_us(target.pid)
    done = subprocess.run([*command, str(requests), stream], check=True, stdout=subprocess.PIPE, timeout=DEADLINE)
    spent = cpu_us(target.pid) - before
    said = json.loads(done.stdout)
    assert len(said["latencies"]) == requests
    return Ran(spent / requests, sorted(said["latencies"]), said["seconds"])


def fsync_ms(directory: Path, times: int = 60) -> list[float]:
    """What one durable write of 4 KiB costs where the log is, sorted."""
    path, took = directory / "probe", []
    with path.open("wb") as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            file.flush()
            before = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - before) * 1000)
    path.unlink()
    return sorted(took)


def scan_us(size: int, batches: int) -> list[float]:
    """CPU microseconds of the identifier scan per KB of clean prose with a few short numbers, sorted."""
    text = (PROSE * (size // len(PROSE) + 1))[:size]
    fields = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    canonical = msgspec.json.encode(fields).decode()
    times, means = max(1, 400_000 // size), []
    for _ in range(batches):
        before = time.thread_time_ns()
        for _ in range(times):
            assert identifiers(canonical, fields) == ()
        means.append((time.thread_time_ns() - before) / 1000 / times / (len(canonical) / 1024))
    return sorted(means)


def bench(rows: list[Shape], rounds: int, directory: Path, peers: dict[str, tuple[str, str]]) -> tuple[Rounds, int]:
    """Every round of every case, and how many entries the log then holds."""
    cores = sorted(os.sched_getaffinity(0))
    ours, others = cores[0], cores[1:] or cores
    os.sched_setaffinity(0, others)
    ran: Rounds = {(shape.name, target): [] for shape in rows for target in shape.targets}
    with ExitStack() as running:
        lane_pid, lane = running.enter_context(processes.scripted(others[0], ANSWER))
        paced_pid, paced = running.enter_context(processes.scripted(others[0], ANSWER, PACE))
        targets = {
            name: running.enter_context(PEERS[name](ours, directory, lane, paced, program))
            for name, (program, _) in peers.items()
        }
        with processes.laneway(ours, directory, lane, paced) as gateway:
            targets["Laneway"] = gateway
            for turn in range(rounds):
                for shape in rows:
                    direct = Target(paced_pid, {"paced": paced}, {"paced": "scripted"}) if shape.kind == "paced" else (
                        Target(lane_pid, {shape.kind: lane}, {shape.kind: "scripted"}))  # fmt: skip
                    first = turn % len(shape.targets)
                    for name in shape.targets[first:] + shape.targets[:first]:
                        one = run(shape, name, direct if name == "direct" else targets[name])
                        ran[shape.name, name].append(one)
                print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    with closing(Reader.open(directory / "laneway.db")) as reader:
        verified = reader.verify()
    assert verified.ok, verified.problem
    proxied = rounds * sum(count(shape, "Laneway") + shape.connections for shape in rows if "Laneway" in shape.targets)
    assert verified.entries == 2 * proxied, (verified.entries, proxied)
    return ran, verified.entries


def _quantile(values: list[float], at: float) -> float:
    return values[min(len(values) - 1, int(len(values) * at))]


def _spread(values: list[float], digits: int = 1) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def summary(shape: Shape, target: str, ran: Rounds) -> dict[str, Any]:
    """A row for people and machines. Added latency is against the direct calls of the same round."""
    rounds, direct = ran[shape.name, target], ran[shape.name, "direct"]
    cpu = _spread([one.cpu_us for one in rounds])
    row: dict[str, Any] = {
        "shape": shape.name, "kind": shape.kind, "connections": shape.connections, "target": target,
        "requests": sum(len(one.latencies) for one in rounds),
        "cpu_us": cpu, "per_core_second": round(1e6 / cpu["median"]),
        "per_second": round(statistics.median(len(one.latencies) / one.seconds for one in rounds)),
    }  # fmt: skip
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        here, there = ([_quantile(one.latencies, at) for one in runs] for runs in (rounds, direct))
        row[f"{name}_ms"] = round(statistics.median(here), 3)
        if target != "direct":
            row[f"added_{name}_ms"] = _spread([a - b for a, b in zip(here, there, strict=True)], 2)
    return row


def ratios(rows: list[Shape], ran: Rounds) -> list[dict[str, Any]]:
    """How many times as much CPU as Laneway each peer takes, round by round."""
    return [
        {"shape": shape.name, "peer": peer,
         "times": _spread([a.cpu_us / b.cpu_us for a, b in zip(ran[shape.name, peer], ran[shape.name, "Laneway"], strict=True)], 2)}
        for shape in rows for peer in shape.targets if peer not in ("direct", "Laneway")
    ]  # fmt: skip


def machine() -> str:
    """What ran this, in a line."""
    model = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return f"{model}, {os.cpu_count()} cores, {kernel}, CPython {platform.python_version()}"


def report(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything measured, as one JSON object."""
    rounds, requests, many = (1, 120, 16) if options.quick else (options.rounds, options.requests, options.connections)
    peers, missing = processes.found(options.peers)
    rows = shapes(requests, many, list(peers))
    probe, described = fsync_ms(directory), machine()
    ran, entries = bench(rows, rounds, directory, peers)
    return {
        "bench": "gateway",
        "machine": described,
        "rounds": rounds,
        "peers": {name: version for name, (_, version) in peers.items()},
        "left_out": missing,
        "fsync_ms": _spread(probe, 3),
        "log_entries": entries,
        "rows": [summary(shape, target, ran) for shape in rows for target in shape.targets],
        "ratios": ratios(rows, ran),
        "identifier_scan_us_per_kb": {f"{size >> 10} KB": _spread(scan_us(size, 15)) for size in (1 << 10, 1 << 16)},
    }


def _range(values: dict[str, float]) -> str:
    return f"{values['median']:,} ({values['min']:,} to {values['max']:,})"


def show(found: dict[str, Any]) -> None:
    """The same for people, as Markdown."""
    print(f"{found['machine']}. {found['rounds']} rounds, median (least to most). An fsync of the log's disk: "
          f"{_range(found['fsync_ms'])} ms. {found['log_entries']:,} log entries verified.\n")  # fmt: skip
    print("| answer, connections | target | CPU µs a request | requests a core-second | added p50 ms | added p99 ms |")
    print("|---|---|--:|--:|--:|--:|")
    for row in found["rows"]:
        added = [
            _range(row[f"added_{at}_ms"]) if f"added_{at}_ms" in row else f"(takes {row[f'{at}_ms']})"
            for at in ("p50", "p99")
        ]
        print(
            f"| {row['shape']} | {row['target']} | {_range(row['cpu_us'])} | {row['per_core_second']:,} | {' | '.join(added)} |"
        )
    if found["ratios"]:
        print("\n| CPU, as many times Laneway's | peer | times |\n|---|---|--:|")
    for ratio in found["ratios"]:
        print(f"| {ratio['shape']} | {ratio['peer']} {found['peers'][ratio['peer']]} | {_range(ratio['times'])} |")
    print()
    for size, scan in found["identifier_scan_us_per_kb"].items():
        print(f"Identifier scan of {size} clean text: {_range(scan)} µs a KB.")
    for why in found["left_out"]:
        print(f"Left out: {why}.")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU and latency of a proxied chat request")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="in a round of whole answers")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--peers", type=Path, default=os.environ.get("LANEWAY_PEERS"), help="where peers are installed")
    parser.add_argument("--chart", type=Path, help="write a chart as SVG")
    parser.add_argument("--dir", type=Path, help="where the log goes; a temporary directory by default")
    options = parser.parse_args()
    if options.peers is not None:
        options.peers = Path(options.peers).absolute()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        found = report(options, Path(directory))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    if options.chart:
        options.chart.write_text(chart.drawn(found), "utf-8")


if __name__ == "__main__":
    main()
