"""The door: every address of a lane is judged by what the lane promises to be, and only judged ones are used."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
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
from laneway.errors import GuardError, LaneError
from laneway.lane import Kind, Lane, Proxy
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


@pytest.mark.parametrize("change", [{"url": "http://127.0.0.1:9/other"}, {"model": "n"}, {"key": "env:OTHER"}])
def test_a_lane_that_is_another_here_is_not_called(change: dict[str, Any]) -> None:
    """A lane of the same name that leads elsewhere, speaks for another model or has another key gets nothing."""

    async def main() -> int:
        async with ScriptedLane() as server:
            lane = lane_of("local", server.url)
            provider = HttpProvider({"far": lane}, {"OTHER": "k"})
            with pytest.raises(GuardError, match="lane far is called by another address, model or key"):
                await call(provider, dataclasses.replace(lane, **change))
            assert await call(provider, dataclasses.replace(lane)) == "200"
            await provider.close()
            return server.requests

    assert uvloop.run(asyncio.wait_for(main(), 20)) == 1


def test_a_lane_of_others_is_behind_no_socket_of_this_machine(tmp_path: Path) -> None:
    """A Unix socket is this machine, whatever its lane says; one that may be anywhere may be there."""

    async def main() -> list[str]:
        path, found = str(tmp_path / "m.sock"), list[str]()
        async with ScriptedLane(path=path) as server:
            kinds: tuple[Kind, ...] = ("premium", "managed-open", "private", "local")
            lanes = [lane_of(kind, f"unix:{path}/v1") for kind in kinds]
            for lane in (*lanes, lane_of("premium", f"unix:{path}/v1", private_address=True)):
                provider = HttpProvider({"far": lane}, {})
                found.append(await call(provider, lane))
                await provider.close()
            assert server.requests == 3
        return found

    assert uvloop.run(asyncio.wait_for(main(), 20)) == ["forbidden-address"] * 2 + ["200"] * 3


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "localhost", "2130706433", "0x7f.1", "１２７.0.0.1", "169.254.169.254",
                                  "[::ffff:a00:1]", "127。0。0。1", "localhost."])  # fmt: skip
def test_no_proxy_is_asked_for_an_address_inside(host: str) -> None:
    """A proxy looks names up; an address that no lane of its kind may have is not even told to it."""

    async def main() -> str:
        greeted = 0

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal greeted
            greeted += 1
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            lane = lane_of("premium", f"https://{host}/v1", proxy=Proxy("127.0.0.1", port))
            code = await call(HttpProvider({"far": lane}, {}, ("127.0.0.0/8",)), lane)
            by_name = lane_of("premium", "https://lane.example/v1", proxy=Proxy("127.0.0.1", port))
            assert await call(HttpProvider({"far": by_name}, {}, ("127.0.0.0/8",)), by_name) == "proxy"
            assert greeted == 1
            return code

    assert uvloop.run(asyncio.wait_for(main(), 20)) == "forbidden-address"


def test_a_name_is_looked_up_once_for_all_who_wait() -> None:
    """However many calls wait for it, and however many of them give up, a silent name server is asked once."""

    async def main() -> int:
        asked, answer = 0, asyncio.get_running_loop().create_future()

        async def silent(host: str, port: int) -> list[str]:  # a Resolve's shape
            nonlocal asked
            asked += 1
            return [await answer]

        async with ScriptedLane() as server:
            lane = lane_of("private", f"http://lane.example:{server.url.rpartition(':')[2]}")
            provider = HttpProvider({"far": lane}, {}, ("127.0.0.0/8",), Door(silent))
            calls = [asyncio.ensure_future(call(provider, lane)) for _ in range(8)]
            while not asked:
                await asyncio.sleep(0)
            calls[0].cancel()
            await asyncio.wait([calls[0]])
            answer.set_result("127.0.0.1")
            assert await asyncio.gather(*calls[1:]) == ["200"] * 7
            await provider.close()
        return asked

    assert uvloop.run(asyncio.wait_for(main(), 20)) == 1


def test_private_lanes_by_name_load() -> None:
    """The loader takes a name for a private lane, and still refuses an address outside the networks."""
    assert full().lanes["rack"].kind == "private"
    by_name = parse(changed("http://10.20.0.7:8000/v1", "http://rack.internal:8000/v1"))
    assert by_name.lanes["rack"].url == "http://rack.internal:8000/v1"


# nothing else opens a socket

OPENERS = {"socket", "_socket", "ssl", "http", "urllib", "aiohttp", "httpx", "requests", "ftplib", "smtplib", "telnetlib",
           "poplib", "imaplib", "nntplib", "subprocess", "uvicorn", "uvloop", "multiprocessing", "xmlrpc", "websockets",
           "pty", "ctypes", "webbrowser", "socketserver", "runpy"}  # fmt: skip
CALLS = {"create_connection", "create_unix_connection", "open_connection", "open_unix_connection", "sock_connect",
         "create_datagram_endpoint", "connect_ex", "create_subprocess_exec", "create_subprocess_shell", "system", "popen",
         "sendto", "sendmsg", "getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "subprocess_exec",
         "subprocess_shell", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execl", "spawnv", "spawnl", "fork",
         "forkpty", "import_module"}  # fmt: skip
BUILT_IN = {"__import__", "exec", "eval"}
MAY = {
    "egress.door": {"socket", "ssl", "create_connection", "create_unix_connection", "getaddrinfo"},
    "addresses": {"socket"},  # inet_aton, which reads the old spellings of an address and connects to nothing
    "providers.line": {"ssl"},
    "providers.http": {"ssl"},
    "server.app": {"socket", "uvloop"},
    "server.http": {"http"},  # the names of statuses
    "weekly.scanned": {"multiprocessing"},  # reads a long log with all cores
    "cli": {"import_module"},  # a verb of a fixed list, once it is asked for
    "cli.asking": {"urllib"},  # asks the server on this machine
    "cli.eval.run": {"uvloop"},  # the loop that evaluations run in, over the same door
    "cli.eval.prefer": {"uvloop"},
    "webhook": {"http", "ssl"},  # posts to the address that an operator names, and never words of people or lanes
    "cli.init": {"http"},  # looks for a local server
    "cli.diff": {"subprocess"},  # git, for `REV:path`
    "evidence.sandbox": {"subprocess"},  # code that is graded, shut in by the kernel
    "evidence.sandbox.inside": {"ctypes", "system", "exec"},  # the child that shuts itself in
}
"""Who may name what could open a connection. `providers.scripted` and `demo` are servers and clients of tests."""


def named(source: str) -> set[str]:
    """What a source names that could open a connection, look a name up, or start what does."""
    nodes = list(ast.walk(ast.parse(source)))
    modules = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    modules |= {f"{n.module}" for n in nodes if isinstance(n, ast.ImportFrom)} - {"urllib.parse"}
    names = {alias.name for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
    names |= {n.id for n in nodes if isinstance(n, ast.Name)}
    called = (names | {n.attr for n in nodes if isinstance(n, ast.Attribute)}) & CALLS
    return {module.partition(".")[0] for module in modules} & OPENERS | called | names & BUILT_IN


def test_no_other_module_could_open_a_connection() -> None:
    """Only the door names what connects or looks names up; the server listens, and `laneway lanes` asks the server."""
    every = {m: named(path.read_text("utf-8")) for m, path in modules().items()}
    ours = {m: found for m, found in every.items() if found and not m.startswith(("providers.scripted", "demo"))}
    assert ours == MAY


@pytest.mark.parametrize(
    "source",
    [
        "import socket", "from socket import socket", "import http.client", "from urllib import request", "import os\nos.popen('')",
        "import asyncio\nasyncio.open_connection('h', 1)", "from asyncio import open_connection as o", "loop.sock_connect(s, a)",
        "from os import system", "__import__('socket')", "import importlib\nimportlib.import_module('socket')", "exec('')",
        "def f():\n    import aiohttp", "import _socket", "loop.subprocess_exec", "loop.create_datagram_endpoint",
    ],
)  # fmt: skip
def test_a_planted_way_out_is_named(source: str) -> None:
    """What looks for them finds them, however they are imported."""
    assert named(source)


AUDITED = """
import sys, traceback
events = open(sys.argv.pop(1), "a", buffering=1)

def seen(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system"):
        where = {frame.filename.rpartition("laneway/")[2] for frame in traceback.extract_stack()}
        what = args[1] if event in ("socket.connect", "socket.sendto") else args[:2]
        print(event, repr(what), "egress/door.py" in where, sep="|", file=events)

sys.addaudithook(seen)
PLANTED
from laneway.cli import main
main()
"""
PLANTED = """
import asyncio, laneway.serve as planted, socket
from laneway.egress import Door, Reach
guard = planted.guard
def leaky(policy, request, signals, lane, today):
    port = int(lane.url.rpartition(":")[2].removesuffix("/v1"))
    try:
        WAY
    except OSError:
        pass
    guard(policy, request, signals, lane, today)
planted.guard = leaky
"""
WAYS = {
    "": "",
    "around the door": "socket.create_connection(('127.0.0.1', port)).close()",
    "by a look-up": "socket.getaddrinfo('192.0.2.7', 443, flags=socket.AI_NUMERICHOST)",
    "by a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
    "by a process": "__import__('os').system('true')",
    "through the door elsewhere": (
        "planted.leak = asyncio.ensure_future(Door().open(asyncio.Protocol, '127.0.0.1', 9, Reach('any'), None))"
    ),
}


def strayed(line: str, ports: set[int]) -> bool:
    """Whether an event is none that the door causes on the way to a lane: a lane's host looked up, its port connected."""
    event, what, by_door = line.split("|")
    if event == "socket.getaddrinfo":  # in a thread of its own, where the door is not to be seen
        host, port = ast.literal_eval(what)
        return host not in (b"127.0.0.1", "127.0.0.1") or port not in ports
    if event != "socket.connect" or by_door != "True":
        return True
    host, port = ast.literal_eval(what)
    return host != "127.0.0.1" or port not in ports


@pytest.mark.parametrize("way", WAYS)
def test_a_serving_process_connects_through_the_door_alone(tmp_path: Path, way: str) -> None:
    """An audit of the interpreter's own events, under traffic: the door's to the lanes and none else; planted ones are seen."""
    # uvloop's connections raise no event, so the audited server runs on asyncio's own loop.
    script, events = tmp_path / "audited.py", tmp_path / "events"
    plain = "import asyncio, uvloop\nuvloop.run = asyncio.run\n"
    script.write_text(AUDITED.replace("PLANTED", plain + (PLANTED.replace("WAY", WAYS[way]) if way else "")))

    async def main() -> set[int]:
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
            return {int(lane.url.rpartition(":")[2].removesuffix("/v1")) for lane in (home, premium)}

    ports = uvloop.run(asyncio.wait_for(main(), 60))
    seen = events.read_text().splitlines()
    assert any(line.startswith("socket.connect") for line in seen)
    astray = [line for line in seen if strayed(line, ports)]
    assert bool(astray) is bool(way), astray
