"""namespaces: the wall seen from outside, by every packet that leaves the server's own network namespace.

    python -m benchmarks.namespaces            # the sample of the fault matrix; half a minute
    python -m benchmarks.namespaces --quick    # fewer cells; what the tests run
    python -m benchmarks.namespaces --all      # the whole matrix; about 15 minutes

Needs Linux, root and `ip` of iproute2; says so and exits with 0 where they are missing. `laneway serve`, the lane
`nordic` and the external lane `premium` each get a namespace, and a fourth between them forwards and keeps every frame
that the server's only way out carries. Three runs: restricted requests, which must send nothing to `premium`; public
ones, which must; and restricted ones to a server with a planted path around the guard, which the frames must show.
Exits with 1 where one of these does not hold. What a process does inside its machine (loopback, files) is not seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop
from tests.faults.cells import ADDRESSES, CANARY, Cell, every, faulty, sample
from tests.faults.matrix import POLICY

from laneway.providers.scripted import ScriptedLane

NORDIC, PREMIUM, NOWHERE = "10.91.1.2", "10.91.2.2", "203.0.113.9"
_NETS = {"server": "10.91.0", "nordic": "10.91.1", "premium": "10.91.2"}
_SERVE = """
import time
from laneway.cli import main
from laneway.slots import Slots
from laneway.traffic import Flow, Traffic

# No cell is spared a lane because of what the lane did to others.
Traffic.of = lambda self, lane: Flow(lane.name, time.monotonic, Slots(lane.limits, time.monotonic))
main()
"""
_PLANTED = f"""
import os, socket
from laneway.providers.line import Line

ask = Line.ask

async def around(self, head, body):
    with socket.create_connection(("{PREMIUM}", int(os.environ["PREMIUM_PORT"]))) as far:
        far.sendall(body)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.sendto(body, ("{NOWHERE}", 53))
    await ask(self, head, body)

Line.ask = around
{_SERVE}
"""


def missing() -> str:
    """Why namespaces cannot be used here; nothing where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None:
        return "the program `ip` (iproute2) is missing"
    tried = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


# the network


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def network() -> Iterator[dict[str, str]]:
    """The namespaces by part: `server`, `nordic` and `premium`, each with one way out, through `audit`."""
    names = {part: f"laneway-{part}-{os.getpid()}" for part in ("audit", *_NETS)}
    with ExitStack() as stack:
        for name in names.values():
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _set(name, "ipv6/conf/all/disable_ipv6", 1)
        _set(names["audit"], "ipv4/ip_forward", 1)
        for part, net in _NETS.items():
            name, audit = names[part], names["audit"]
            _ip("-n", audit, "link", "add", part, "type", "veth", "peer", "name", "out", "netns", name)
            for where, link, address in ((audit, part, f"{net}.1/24"), (name, "out", f"{net}.2/24")):
                _ip("-n", where, "addr", "add", address, "dev", link)
                _ip("-n", where, "link", "set", link, "up")
            _ip("-n", name, "route", "add", "default", "via", f"{net}.1")
        yield names


def _set(name: str, key: str, value: int) -> None:
    subprocess.run(["ip", "netns", "exec", name, "sh", "-c", f"echo {value} > /proc/sys/net/{key}"], check=True)


@contextmanager
def inside(name: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a namespace; told to stop, and waited for, in the end."""
    command = ["ip", "netns", "exec", name, sys.executable, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env=os.environ | {"PREMIUM_KEY": "sk-lane-canary"} | environ)  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def _first(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process ended before it was ready"
    return line.strip()


def _role(*words: str) -> tuple[str, ...]:
    return ("-m", "benchmarks.namespaces", "--role", *words)


# the parts that run inside


async def _lane(name: str, host: str) -> None:
    """A lane of the matrix: it does wrong what each request orders, but for the one outside."""
    async with ScriptedLane(model=f"{name}-model", answer=f"from {name}", host=host, capture=False) as lane:
        if name != "premium":
            lane.fault, lane.seconds = faulty(name), 0.4
        print(lane.url, flush=True)
        await asyncio.Event().wait()


def _audit(path: str) -> None:
    """Keep every frame that comes from the server; say at the end how many the kernel dropped."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as wire, Path(path).open("wb") as file:
        wire.setsockopt(socket.SOL_SOCKET, 33, 1 << 27)  # SO_RCVBUFFORCE
        wire.bind(("server", 0x0003))

        def stop(*_: object) -> None:
            raise SystemExit

        signal.signal(signal.SIGTERM, stop)
        print("ready", flush=True)
        try:
            while True:
                frame, (_, _, direction, *_) = wire.recvfrom(1 << 18)
                if direction != socket.PACKET_OUTGOING:
                    file.write(len(frame).to_bytes(4, "big") + frame)
        finally:
            dropped = wire.getsockopt(263, 6, 8)[4:]  # SOL_PACKET, PACKET_STATISTICS
            print(int.from_bytes(dropped, sys.byteorder), flush=True)


def chosen(which: str, label: str) -> list[Cell]:
    """The restricted cells or the public ones, without those whose faults are of a lane's address."""
    cells = sample(("auto",), step=6) if which == "quick" else every() if which == "all" else sample()
    plain = (c for c in cells if c.first not in ADDRESSES and c.second not in ADDRESSES)
    return [cell for cell in plain if cell.restricted == (label == "restricted")]


async def _drive(url: str, which: str, label: str) -> None:
    """A client: all cells of a kind, and how they ended."""
    waiting, ends = iter(chosen(which, label)), Counter[str]()
    # Shorter than the server's five seconds: else the two may meet as it closes an idle connection.
    connector, timeout = aiohttp.TCPConnector(keepalive_timeout=2), aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def work() -> None:
            for cell in waiting:
                sent = cell.sent()
                async with session.post(url + sent.query, data=sent.body, headers=sent.headers) as reply:
                    try:
                        await reply.read()
                    except aiohttp.ClientPayloadError:  # too slow for a lane that floods, so it was hung up on
                        ends["hung up"] += 1
                        continue
                    ends[reply.headers.get("Laneway-Lane") or str(reply.status)] += 1

        await asyncio.gather(*(work() for _ in range(32)))
    print(json.dumps(ends), flush=True)


# what the frames say


class Flow(NamedTuple):
    """What left for one address: frames, connections asked for, bytes of content, restricted canaries in it."""

    frames: int
    connections: int
    size: int
    secret: int


def flows(path: Path) -> dict[str, Flow]:
    """By address (or by the kind of frame, where it is no IPv4) what the server sent, its streams put together."""
    frames, asked, streams = Counter[str](), Counter[str](), dict[tuple[str, bytes], dict[int, bytes]]()
    for number, frame in enumerate(_frames(path)):
        kind = int.from_bytes(frame[12:14], "big")
        if kind != 0x0800:
            if kind != 0x0806:  # who has which address: the kernel's own, on this wire only
                frames[f"frames of kind {kind:#06x}"] += 1
            continue
        packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
        to, rest = socket.inet_ntoa(packet[16:20]), packet[(packet[0] & 15) * 4 :]
        frames[to] += 1
        if packet[9] == socket.IPPROTO_TCP:
            asked[to] += rest[13] & 0x12 == 0x02
            stream = streams.setdefault((to, rest[:4]), {})
            if content := rest[(rest[12] >> 4) * 4 :]:
                stream[int.from_bytes(rest[4:8], "big")] = content
        else:
            streams.setdefault((to, b"%d" % number), {})[0] = rest[8:]
    whole = [(to, b"".join(parts[at] for at in sorted(parts))) for (to, _), parts in streams.items()]
    return {
        to: Flow(count, asked[to], sum(len(text) for at, text in whole if at == to),
                 sum(found[2] == b"secret" for at, text in whole if at == to for found in CANARY.finditer(text)))
        for to, count in frames.items()
    }  # fmt: skip


def _frames(path: Path) -> Iterator[bytes]:
    data, at = path.read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


# the runs


class Seen(NamedTuple):
    """One run: how many requests, how they ended, what left, and how many frames the audit missed."""

    requests: int
    ends: dict[str, int]
    flows: dict[str, Flow]
    missed: int

    def to(self, address: str) -> Flow:
        """What left for an address."""
        return self.flows.get(address, Flow(0, 0, 0, 0))

    @property
    def elsewhere(self) -> dict[str, Flow]:
        """What left for anything that is no lane."""
        return {to: flow for to, flow in self.flows.items() if to not in (NORDIC, PREMIUM)}


def runs(directory: Path, which: str) -> dict[str, Seen]:
    """The three runs."""
    with network() as names, ExitStack() as lanes:
        text = POLICY
        for part, host in {"home": "127.0.0.1", "nordic": NORDIC, "premium": PREMIUM}.items():
            where = names["server" if part == "home" else part]
            url = _first(lanes.enter_context(inside(where, *_role("lane", part, host))))
            text = text.replace(f"@{part}", url)
        port = url.rpartition(":")[2].partition("/")[0]
        policy = directory / "laneway.yaml"
        policy.write_text(text, "utf-8")
        plan = {"restricted": (_SERVE, "restricted"), "public": (_SERVE, "public"), "planted": (_PLANTED, "restricted")}
        return {name: _watched(names, policy, serve, which, label, port=port) for name, (serve, label) in plan.items()}


def _watched(names: dict[str, str], policy: Path, serve: str, which: str, label: str, *, port: str) -> Seen:
    frames = policy.with_suffix(".frames")
    with inside(names["audit"], *_role("audit", str(frames))) as audit:
        _first(audit)
        options = ("serve", "--policy", str(policy), "--port", "4180", "--json")
        with inside(names["server"], "-c", serve, *options, PREMIUM_PORT=port) as server:
            while _first(server) != "}":
                pass
            url = "http://127.0.0.1:4180/v1/chat/completions"
            with inside(names["server"], *_role("drive", url, which, label)) as client:
                ends = json.loads(_first(client))
        audit.send_signal(signal.SIGTERM)
        missed = int(_first(audit))
    return Seen(sum(ends.values()), ends, flows(frames), missed)


def broken(seen: dict[str, Seen]) -> list[str]:
    """What does not hold."""
    restricted, public, planted = seen["restricted"], seen["public"], seen["planted"]
    held = {
        "restricted requests sent something to `premium`": restricted.to(PREMIUM).frames == 0,
        "no restricted request reached `nordic`": restricted.to(NORDIC).secret > 0,
        "the server sent something to what is no lane": not restricted.elsewhere and not public.elsewhere,
        "no public request reached `premium`": public.to(PREMIUM).size > 0,
        "a public run sent a restricted canary": public.to(PREMIUM).secret == 0,
        "the planted connection was not found": planted.to(PREMIUM).secret > 0,
        "the planted datagrams were not found": planted.to(NOWHERE).secret > 0,
        "the audit missed frames": not any(run.missed for run in seen.values()),
    }
    return [what for what, holds in held.items() if not holds]


def main() -> int:
    """Run, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.namespaces", description=__doc__)
    parser.add_argument("--quick", dest="which", action="store_const", const="quick", default="sample")
    parser.add_argument("--all", dest="which", action="store_const", const="all")
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        role, *words = options.role
        if role == "audit":
            _audit(*words)
        uvloop.run(_lane(*words) if role == "lane" else _drive(*words))
        return 0
    if why := missing():
        print(f"skipped: {why}")
        return 0
    with tempfile.TemporaryDirectory(prefix="laneway-namespaces-") as name:
        seen = runs(Path(name), options.which)
    print("| run | requests | to | frames | connections | bytes of content | restricted canaries |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for run, found in seen.items():
        places = {"`nordic`": NORDIC, "`premium`": PREMIUM} | {to: to for to in found.elsewhere}
        for place, address in places.items():
            flow = found.to(address)
            print(f"| {run} | {found.requests:,} | {place} | {' | '.join(f'{n:,}' for n in flow)} |")
    print("\n".join(broken(seen)), file=sys.stderr)
    return int(bool(broken(seen)))


if __name__ == "__main__":
    sys.exit(main())
