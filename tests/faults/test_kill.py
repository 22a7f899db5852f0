"""kill -9 under load: what a client has received is on record, and the chain holds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.harness import policy_text

from laneway.store import Reader

KILLS = 5
CONCURRENT = 64

CLIENT = """
import asyncio, sys, aiohttp

async def ask(session, url):
    while True:
        try:
            async with session.post(url, json={"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}) as got:
                if got.status == 200 and (await got.read()).endswith(b"}"):
                    print(got.headers["Laneway-Decision"], flush=True)
        except aiohttp.ClientError:
            return

async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, sys.argv[1]) for _ in range(int(sys.argv[2]))))

asyncio.run(main())
"""


def spawn(*arguments: str) -> subprocess.Popen[str]:
    """A Python process whose standard output can be read."""
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def serving(policy: Path) -> tuple[subprocess.Popen[str], str]:
    """`laneway serve` as a process, and its address."""
    server = spawn("-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        line = server.stdout.readline()
        assert line, "the server did not start"
        text += line
    return server, json.loads(text)["url"]


def test_nothing_received_is_missing_from_the_log(tmp_path: Path) -> None:
    """Five kills under 64 concurrent requests: every id a separate client got is answered on record."""
    lane = spawn("-m", "laneway.providers.scripted", "--port", "0")
    policy, received = tmp_path / "laneway.yaml", set[str]()
    try:
        assert lane.stdout is not None
        home = json.loads(lane.stdout.readline())["url"]
        policy.write_text(policy_text(home, home))
        for _ in range(KILLS):
            received |= _killed_under_load(policy)
    finally:
        lane.kill()
        lane.communicate()
    server, _ = serving(policy)  # starts again and closes what was open
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=20)
    assert server.returncode == 0
    with closing(Reader.open(tmp_path / "laneway.db")) as reader:
        outcomes = {s.id: s.outcome.entry.status if s.outcome else None for s in reader.stories()}
        assert reader.verify().ok
    assert len(received) > KILLS * CONCURRENT
    assert {outcomes.get(id) for id in received} == {"answered"}
    assert None not in outcomes.values()
    assert "interrupted" in outcomes.values()


def _killed_under_load(policy: Path) -> set[str]:
    """Start, load, kill once a good number of answers have arrived; the ids that the client printed."""
    server, url = serving(policy)
    client = spawn("-c", CLIENT, f"{url}/chat/completions", str(CONCURRENT))
    assert client.stdout is not None
    ids = [client.stdout.readline().strip() for _ in range(CONCURRENT * 3)]
    server.send_signal(signal.SIGKILL)
    server.communicate()
    rest, _ = client.communicate(timeout=30)
    return {id for id in (*ids, *rest.split()) if id}
