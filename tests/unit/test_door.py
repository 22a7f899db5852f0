"""The door: every address of a lane is judged by what the lane promises to be, and only judged ones are used."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.harness import policy_text
from tests.policies import changed, full
from tests.test_architecture import modules

from laneway.egress import Door, reach_of
from laneway.egress.door import PINNED_SECONDS
from laneway.errors import LaneError
from laneway.lane import Kind, Lane
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import ScriptedLane

NETWORKS = ("10.20.0.0/16", "127.9.0.0/16", "fd12::/16")
INTERNAL = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fd00:ec2::254", "fc00::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"]


def lane_of(kind: Kind, url: str = "http://lane.example:1/v1", **more: Any) -> Lane:
    """A lane of one kind."""
    return Lane(name="far", kind=kind, provider="openai", url=url, model="m", **more)


@pytest.mark.parametrize("address", [*INTERNAL, *PUBLIC])
def test_a_lane_of_others_is_on_the_internet(address: str) -> None:
    """An external lane may have no address of this machine, a private network, a cloud's metadata, in no disguise."""
    kinds: tuple[Kind, ...] = ("managed-open", "premium")
    for kind in kinds:
        assert reach_of(lane_of(kind), NETWORKS).holds(address) is (address in PUBLIC)
    assert reach_of(lane_of("premium", private_address=True), ()).holds(address)


@pytest.mark.parametrize("address", [*INTERNAL, *PUBLIC, "10.20.3.4", "127.9.1.1", "fd12::1"])
def test_a_lane_of_ours_is_where_it_says(address: str) -> None:
    """`local` is loopback and nothing else, `private` is inside the policy's networks and nothing else."""
    assert reach_of(lane_of("local"), NETWORKS).holds(address) is (address.startswith("127.") or address == "::1")
    assert reach_of(lane_of("private"), NETWORKS).holds(address) is (address in ("10.20.3.4", "127.9.1.1", "fd12::1"))
    assert not reach_of(lane_of("private"), ()).holds(address)


class Names:
    """A look-up that gives the next of its answers each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, int]]()

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such host")
        return answer


async def call(provider: HttpProvider, lane: Lane) -> str:
    """What one call ends in: the status, or the error's code."""
    try:
        async with provider.call(lane, b'{"model":"m","messages":[]}', stream=False) as reply:
            async for _ in reply.chunks():
                pass
            return str(reply.status)
    except LaneError as error:
        assert "127.0.0.1" not in str(error)
        return error.code


def results(kind: Kind, names: Names, calls: int = 1, *, fresh: bool = False, **more: Any) -> tuple[list[str], int]:
    """What calls of a lane by name end in, and how many requests its server saw. `fresh`: no connection is kept."""

    async def main() -> tuple[list[str], int]:
        async with ScriptedLane() as server:
            port = server.url.rpartition(":")[2].removesuffix("/v1")
            lane = lane_of(kind, f"http://lane.example:{port}/v1", **more)
            door, found = Door(names), []
            for _ in range(calls):
                provider = HttpProvider({"far": lane}, {}, ("127.0.0.0/8",), door)
                found.append(await call(provider, lane))
                await provider.close()
                if fresh:
                    door._pinned.clear()
            return found, server.requests

    return uvloop.run(asyncio.wait_for(main(), 20))


def test_a_name_that_leads_inside_is_refused() -> None:
    """An external lane whose name leads to this machine is not called; told to allow it, it is."""
    assert results("premium", Names(["127.0.0.1"])) == (["forbidden-address"], 0)
    assert results("premium", Names(["127.0.0.1"]), private_address=True) == (["200"], 1)


def test_one_bad_address_among_good_ones_is_enough() -> None:
    """Every answer is judged: whoever mixes in an address of this machine gets nothing."""
    assert results("premium", Names(["8.8.8.8", "127.0.0.1"])) == (["forbidden-address"], 0)
    assert results("private", Names(["127.0.0.1", "8.8.8.8"])) == (["forbidden-address"], 0)


def test_a_private_lane_may_have_a_name() -> None:
    """Its address is judged when it is called: inside the policy's networks or not."""
    assert results("private", Names(["127.0.0.1"])) == (["200"], 1)
    assert results("private", Names(["8.8.8.8"])) == (["forbidden-address"], 0)


def test_a_name_is_looked_up_once_and_the_judged_address_is_used() -> None:
    """A name that leads elsewhere at the second look-up is not looked up twice: what was judged is what is called."""
    names = Names(["127.0.0.1"], ["203.0.113.9"])
    assert results("private", names, calls=3) == (["200"] * 3, 3)
    assert len(names.asked) == 1
    assert PINNED_SECONDS <= 60


def test_a_name_that_was_rebound_is_judged_again() -> None:
    """Once the answer is no longer kept, a name that now leads outside is refused."""
    assert results("private", Names(["127.0.0.1"], ["203.0.113.9"]), calls=2, fresh=True) == (
        ["200", "forbidden-address"], 1,
    )  # fmt: skip


def test_a_name_without_addresses_is_unreachable() -> None:
    """A look-up that fails is an outage like others."""
    assert results("private", Names([])) == (["unreachable"], 0)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_is_the_internet(host: str) -> None:
    """However an address is spelled, it is judged as what the system makes of it."""

    async def main() -> str:
        lane = lane_of("premium", f"http://{host}:9/v1")
        return await call(HttpProvider({"far": lane}, {}), lane)

    assert uvloop.run(asyncio.wait_for(main(), 20)) in ("forbidden-address", "unreachable")


def test_private_lanes_by_name_load() -> None:
    """The loader takes a name for a private lane, and still refuses an address outside the networks."""
    assert full().lanes["rack"].kind == "private"
    by_name = parse(changed("http://10.20.0.7:8000/v1", "http://rack.internal:8000/v1"))
    assert by_name.lanes["rack"].url == "http://rack.internal:8000/v1"


# nothing else opens a socket

OPENERS = {"socket", "ssl", "http", "urllib", "aiohttp", "httpx", "requests", "ftplib", "smtplib", "telnetlib",
           "subprocess", "uvicorn", "multiprocessing", "xmlrpc", "websockets"}  # fmt: skip
MAY = {
    "egress.door": {"socket", "ssl"},
    "addresses": {"socket"},  # inet_aton, which reads the old spellings of an address and connects to nothing
    "providers.line": {"ssl"},
    "providers.http": {"ssl"},
    "server.app": {"socket", "uvicorn"},
    "cli.lanes": {"urllib"},  # asks the server on this machine
    "cli.init": {"http"},  # looks for a local server
    "evidence.sandbox": {"subprocess"},  # code that is graded, shut in by the kernel
    "cli.diff": {"subprocess"},  # git, for `REV:path`
}
"""Modules that may name what could open a connection. `providers.scripted` and `demo` are servers and clients of tests."""
CALLS = {"create_connection", "create_unix_connection", "open_connection", "open_unix_connection", "sock_connect",
         "create_datagram_endpoint", "connect_ex", "create_subprocess_exec", "create_subprocess_shell", "system", "popen",
         "sendto", "getaddrinfo", "gethostbyname"}  # fmt: skip


def test_no_other_module_could_open_a_connection() -> None:
    """Only the door names what connects or looks names up; the server listens, and `laneway lanes` asks the server."""
    for module, path in modules().items():
        if module.startswith(("providers.scripted", "demo")):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        imported = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {str(n.module).partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)
                     if n.module != "urllib.parse"}  # fmt: skip
        assert imported & OPENERS <= MAY.get(module, set()), module
        called = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} & CALLS
        assert not called or module == "egress.door", (module, called)


AUDITED = """
import sys, traceback
events = open(sys.argv.pop(1), "a", buffering=1)

def seen(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system"):
        where = {frame.filename.rpartition("laneway/")[2] for frame in traceback.extract_stack()}
        what = args[1] if event == "socket.connect" else args[0]
        print(event, what, "egress/door.py" in where, sep="|", file=events)

sys.addaudithook(seen)
PLANTED
from laneway.cli import main
main()
"""
PLANTED = """
import laneway.serve as planted, socket
guard = planted.guard
def leaky(policy, request, signals, lane, today):
    socket.create_connection(("127.0.0.1", int(lane.url.rpartition(":")[2].removesuffix("/v1")))).close()
    guard(policy, request, signals, lane, today)
planted.guard = leaky
"""


@pytest.mark.parametrize("planted", [False, True])
def test_a_serving_process_connects_through_the_door_alone(tmp_path: Path, planted: bool) -> None:
    """An audit of the interpreter's own events, under traffic: none but the door's; a planted way around it is seen."""
    # uvloop's connections raise no event, so the audited server runs on asyncio's own loop.
    script, events = tmp_path / "audited.py", tmp_path / "events"
    plain = "import asyncio, uvloop\nuvloop.run = asyncio.run\n"
    script.write_text(AUDITED.replace("PLANTED", plain + PLANTED * planted))

    async def main() -> None:
        async with ScriptedLane() as home, ScriptedLane() as premium:
            policy = tmp_path / "laneway.yaml"
            policy.write_text(policy_text(home.url, premium.url))
            server = await asyncio.create_subprocess_exec(
                sys.executable, str(script), str(events), "serve", "--policy", str(policy), "--port", "0", "--json",
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"PREMIUM_KEY": "k"},
            )  # fmt: skip
            assert server.stdout is not None
            told = ""
            while not told.rstrip().endswith("\n}"):
                line = await server.stdout.readline()
                assert line, "the server did not start"
                told += line.decode()
            port = int(json.loads(told)["url"].rpartition(":")[2].removesuffix("/v1"))
            for text in ("Hello there", "Prove that the algorithm terminates, step by step, with its trade-offs."):
                body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]}).encode()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                assert (await reader.read()).startswith(b"HTTP/1.1 200")
                writer.close()
            server.send_signal(signal.SIGTERM)
            await asyncio.wait_for(server.wait(), 20)
            assert home.requests + premium.requests >= 2

    uvloop.run(asyncio.wait_for(main(), 60))
    seen = [line.split("|") for line in events.read_text().splitlines()]
    connects = [line for line in seen if line[0] == "socket.connect"]
    assert connects
    around = [line for line in seen if line[2] != "True" and line[0] != "socket.getaddrinfo"]
    assert bool(around) is planted, around
