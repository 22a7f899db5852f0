"""bench_gateway: what one proxied chat request costs, in CPU of the server process and in added latency.

    python benchmarks/bench_gateway.py           # about a minute
    python benchmarks/bench_gateway.py --quick   # a smoke run of seconds, too short to mean much
    python benchmarks/bench_gateway.py --json

A real `laneway serve`, pinned to one core, with the wall, the guard, the identifiers, the gate and the durable
log all on, proxies to a scripted lane; the same lane is called directly in the same run, round by round. A
third process makes the load. Every answer is checked, and at the end the log is verified and counted. All
of it is on 127.0.0.1. CPU is read from the kernel's clock of the process, all its threads included; for the
direct rows it is the lane's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import uvloop

from laneway.classify.sensitivity import identifiers
from laneway.store import Reader

WORDS = tuple(f"word{i:02d}" for i in range(17))  # With role, finish and [DONE]: 20 events.
ANSWER = " ".join(WORDS)
PACE = 0.005
PROSE = (
    "Write a short commit message for this change: since release 3.11 the pager no longer skips the last row of a "
    "page with 50 rows, and the tests of 2024 run again. "
)
DEADLINE = 120.0

POLICY = """\
laneway: 1
name: benchmark
currency: USD
sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}
lanes:
  home: {{kind: local, provider: openai, url: "{lane}", model: scripted, price: 0}}
  live: {{kind: local, provider: openai, url: "{lane}", model: scripted, price: 0, gate: after}}
  paced: {{kind: local, provider: openai, url: "{paced}", model: scripted, price: 0, gate: after}}
  premium: {{kind: premium, provider: openai, url: "{lane}", model: scripted, address: private-allowed,
            price: {{input: 3, output: 15}}}}
strength: [home, live, paced, premium]
zones: {{ours: {{kind: [local, private]}}, outside: {{kind: premium}}}}
wall:
  - {{sensitivity: [restricted, confidential], zones: [ours], says: Ours alone.}}
  - {{sensitivity: [internal, public], zones: [ours, outside], says: Outside too.}}
detect: {{identifiers: restricted, says: Numbers of people make a text restricted.}}
routes:
  - {{when: {{any: [{{difficulty: hard}}, {{stakes: high}}]}}, try: strongest, says: Hard work.}}
  - {{try: [home, cheapest], says: Other work.}}
gate:
  checks: [empty, cut-off, invalid-json, tool-call, refusal]
  waiver: {{lanes: [home, live, paced, premium], until: {until}, by: bench}}
  weak: [strongest, marked]
deadlines: {{interactive: {{first_byte: 20s, total: 120s}}}}
fallbacks:
  - {{then: [next, refuse]}}
"""


class Case(NamedTuple):
    """One row: whom the load calls, how, with what model name, over so many connections."""

    name: str
    via: str
    model: str
    connections: int
    requests: int
    stream: bool = False


class Ran(NamedTuple):
    """One round of a case: CPU of the process in question per request (µs), and every latency (ms)."""

    cpu_us: float
    latencies: list[float]
    seconds: float


def cases(requests: int, many: int) -> list[Case]:
    """The rows, in the order of a round."""
    few = max(many, requests // 5)
    return [
        Case("direct, 1 connection", "lane", "scripted", 1, requests),
        Case("laneway, 1 connection", "laneway", "auto", 1, requests),
        Case(f"direct, {many} connections", "lane", "scripted", many, requests),
        Case(f"laneway, {many} connections", "laneway", "auto", many, requests),
        Case(f"direct, stream of 20, {many}", "lane", "scripted", many, few, stream=True),
        Case(f"laneway, stream held back, {many}", "laneway", "auto", many, few, stream=True),
        Case(f"laneway, stream live, {many}", "laneway", "lane/live", many, few, stream=True),
        Case(f"direct, 5 ms apart, {many}", "paced", "scripted", many, few, stream=True),
        Case(f"laneway, 5 ms apart, {many}", "laneway", "lane/paced", many, few, stream=True),
    ]


# The load: this same file, in a process of its own.


def body(model: str, *, stream: bool) -> bytes:
    """A chat request of 1,024 bytes."""
    fields: dict[str, object] = {"model": model, "temperature": 0}
    if stream:
        fields["stream"] = True
    fields["messages"] = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": ""}]
    text = PROSE * 10
    missing = 1024 - len(msgspec.json.encode(fields))
    fields["messages"] = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": text[:missing]}]
    made = msgspec.json.encode(fields)
    assert len(made) == 1024
    return made


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, stream: bool
) -> tuple[bytes, bytes]:
    """Head and body of the answer to `request`."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if stream:
        return head, await reader.readuntil(b"\r\n0\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(size)


def _check(head: bytes, data: bytes, *, stream: bool) -> None:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no answer: {head[:300]!r} {data[:600]!r}")
    if stream:
        events = [line[6:] for line in data.splitlines() if line.startswith(b"data: {")]
        deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
        text = "".join(delta.get("content", "") for delta in deltas)
        if b"data: [DONE]" not in data:
            raise RuntimeError("a stream without its end")
    else:
        text = json.loads(data)["choices"][0]["message"]["content"]
    if text != ANSWER:
        raise RuntimeError(f"another answer: {text[:200]!r}")


async def load(url: str, model: str, connections: int, requests: int, *, stream: bool) -> dict[str, Any]:
    """`requests` answers over `connections`, each checked; latencies in ms."""
    parts = urlsplit(url)
    data = body(model, stream=stream)
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    request = head.encode() + data
    left, latencies = iter(range(requests)), list[float]()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            for _ in left:
                started = time.perf_counter()
                answer = await _exchange(reader, writer, request, stream=stream)
                latencies.append((time.perf_counter() - started) * 1000)
                _check(*answer, stream=stream)
        finally:
            writer.close()

    started = time.perf_counter()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())
    return {"seconds": time.perf_counter() - started, "latencies": latencies}


# The processes.


def cpu_us(pid: int) -> float:
    """CPU of the process `pid` so far, all threads, user and system: clock_getcpuclockid(3), spelt out."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1000


def _url(output: IO[bytes]) -> str:
    """The `url` of the JSON object with which a process begins its output, on one line or several."""
    said = b""
    for line in output:
        said += line
        with contextlib.suppress(ValueError):
            return str(json.loads(said)["url"])
    raise RuntimeError("a process did not start; run the command in `bench` by hand to see why")


@contextmanager
def started(core: int, *arguments: str) -> Iterator[tuple[int, str]]:
    """A Python process that is pinned to `core` from its start and says in JSON where it listens."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    finally:
        os.sched_setaffinity(0, mine)
    assert process.stdout is not None
    try:
        yield process.pid, _url(process.stdout)
    finally:
        process.terminate()
        process.wait(30)


def run(case: Case, url: str, pid: int) -> Ran:
    """One round of `case`: the load in a process of its own, and what it cost `pid`."""
    arguments = [__file__, "--load", url, case.model, str(case.connections), str(case.requests), str(int(case.stream))]
    warm = [*arguments[:4], str(case.connections), str(2 * case.connections), str(int(case.stream))]
    subprocess.run([sys.executable, *warm], check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE)
    before = cpu_us(pid)
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, timeout=DEADLINE)
    spent = cpu_us(pid) - before
    said = json.loads(done.stdout)
    assert len(said["latencies"]) == case.requests
    return Ran(spent / case.requests, sorted(said["latencies"]), said["seconds"])


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


# The whole.


def bench(rows: list[Case], rounds: int, directory: Path) -> tuple[dict[str, list[Ran]], int]:
    """Every round of every case, and how many entries the log then holds."""
    cores = sorted(os.sched_getaffinity(0))
    ours, others = cores[0], cores[1:] or cores
    os.sched_setaffinity(0, others)
    lane = ("laneway.providers.scripted", "--answer", ANSWER)
    with ExitStack() as running:
        lane_pid, lane_url = running.enter_context(started(others[0], *lane))
        paced_pid, paced_url = running.enter_context(started(others[0], *lane, "--delay", str(PACE)))
        policy = directory / "laneway.yaml"
        until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
        policy.write_text(POLICY.format(lane=lane_url, paced=paced_url, until=until))
        serve = ("laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
        with started(ours, *serve) as (pid, url):
            whom = {"laneway": (pid, url), "lane": (lane_pid, lane_url), "paced": (paced_pid, paced_url)}
            ran: dict[str, list[Ran]] = {case.name: [] for case in rows}
            for _ in range(rounds):
                for case in rows:
                    at, to = whom[case.via]
                    ran[case.name].append(run(case, to, at))
    with closing(Reader.open(directory / "laneway.db")) as reader:
        verified = reader.verify()
    assert verified.ok, verified.problem
    proxied = rounds * sum(case.requests + 2 * case.connections for case in rows if case.via == "laneway")
    assert verified.entries == 2 * proxied, (verified.entries, proxied)
    return ran, verified.entries


def _quantile(values: list[float], at: float) -> float:
    return values[min(len(values) - 1, int(len(values) * at))]


def summary(case: Case, rounds: list[Ran], direct: list[Ran] | None) -> dict[str, Any]:
    """A row for people and machines."""
    cpu = sorted(one.cpu_us for one in rounds)
    middle = statistics.median(cpu)

    def latency(at: float, runs: list[Ran]) -> float:
        return statistics.median(_quantile(one.latencies, at) for one in runs)

    row = {
        "case": case.name,
        "requests": case.requests * len(rounds),
        "cpu_us": {"median": round(middle, 1), "min": round(cpu[0], 1), "max": round(cpu[-1], 1)},
        "per_core_second": round(1e6 / middle),
        "per_second": round(statistics.median(case.requests / one.seconds for one in rounds)),
        "p50_ms": round(latency(0.5, rounds), 3),
        "p99_ms": round(latency(0.99, rounds), 3),
    }
    if direct is not None:
        row["added_p50_ms"] = round(latency(0.5, rounds) - latency(0.5, direct), 3)
        row["added_p99_ms"] = round(latency(0.99, rounds) - latency(0.99, direct), 3)
    return row


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 3), "min": round(values[0], 3), "max": round(values[-1], 3)}


def report(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything measured, as one JSON object."""
    rounds, requests, many = (1, 120, 16) if options.quick else (options.rounds, options.requests, options.connections)
    rows = cases(requests, many)
    if options.quick:
        rows = [case._replace(requests=max(case.connections, case.requests)) for case in rows]
    probe = fsync_ms(directory)
    ran, entries = bench(rows, rounds, directory)
    table, direct = [], None
    for case in rows:
        table.append(summary(case, ran[case.name], None if case.via != "laneway" else direct))
        direct = ran[case.name] if case.via != "laneway" else direct
    return {
        "bench": "gateway",
        "python": platform.python_version(),
        "rounds": rounds,
        "fsync_ms": _spread(probe),
        "log_entries": entries,
        "rows": table,
        "identifier_scan_us_per_kb": {f"{size >> 10} KB": _spread(scan_us(size, 15)) for size in (1 << 10, 1 << 16)},
    }


def show(found: dict[str, Any]) -> None:
    """The same for people."""
    fsync = found["fsync_ms"]
    print(f"CPU µs a request, median of {found['rounds']} rounds; the log's disk takes {fsync['median']} ms for an fsync "
          f"({fsync['min']} to {fsync['max']}); {found['log_entries']} log entries verified")  # fmt: skip
    print(
        f"{'case':<34}{'CPU µs':>9}{'min':>9}{'max':>9}{'/core-s':>9}{'/s':>7}{'p50 ms':>9}{'p99 ms':>9}{'+p50':>9}{'+p99':>9}"
    )
    for row in found["rows"]:
        cpu = row["cpu_us"]
        print(f"{row['case']:<34}{cpu['median']:>9}{cpu['min']:>9}{cpu['max']:>9}{row['per_core_second']:>9}"
              f"{row['per_second']:>7}{row['p50_ms']:>9}{row['p99_ms']:>9}{row.get('added_p50_ms', ''):>9}"
              f"{row.get('added_p99_ms', ''):>9}")  # fmt: skip
    for size, scan in found["identifier_scan_us_per_kb"].items():
        print(f"identifier scan of {size} clean text: {scan['median']} µs a KB ({scan['min']} to {scan['max']})")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU and latency of a proxied chat request")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=3000, help="in a round of a case")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--dir", type=Path, help="where the log goes; a temporary directory by default")
    parser.add_argument("--load", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        url, model, connections, requests, stream = options.load
        done = uvloop.run(load(url, model, int(connections), int(requests), stream=stream == "1"))
        print(json.dumps(done))
        return
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        found = report(options, Path(directory))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
