"""A server that keeps signed checkpoints elsewhere, as a process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.harness import policy_text
from tests.processes import spawn

from laneway.cli import main
from laneway.store import Log, Reader


class Server:
    """`laneway serve` with checkpoints in a directory, and its address once it is up."""

    def __init__(self, directory: Path, home: str) -> None:
        self.log, self.elsewhere, self.key = directory / "laneway.db", directory / "elsewhere", directory / "key"
        self.place = self.elsewhere / "laneway.db.checkpoints"
        self.elsewhere.mkdir()
        self.public = CliRunner().invoke(main, ["log", "key", str(self.key)]).stdout.strip()
        (directory / "laneway.yaml").write_text(policy_text(home, home))
        self.arguments = ["serve", "--policy", str(directory / "laneway.yaml"), "--port", "0", "--json", "--checkpoint",
                          str(self.elsewhere), "--checkpoint-key", str(self.key), "--checkpoint-every", "0.1"]  # fmt: skip
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Until the block ends; it is told to stop and does so in good order."""
        process = spawn("-m", "laneway.cli", *self.arguments)
        assert process.stdout is not None
        text = ""
        try:
            while not text.rstrip().endswith("\n}"):
                line = process.stdout.readline()
                assert line, "the server did not start"
                text += line
            self.url = json.loads(text)["url"].removesuffix("/v1")
            yield process
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()

    def ask(self) -> None:
        """One request, answered."""
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
        request = urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as got:
            assert got.status == 200
            got.read()

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What `/ready` says of checkpoints, once it is so."""
        end = time.monotonic() + 30
        while True:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=30) as got:
                state: dict[str, Any] = json.loads(got.read())["checkpoint"]
            if holds(state):
                return state
            assert time.monotonic() < end, state
            time.sleep(0.05)

    def verify(self) -> Result:
        """`laneway log verify` against the place."""
        return CliRunner().invoke(main, ["log", "verify", "--log", str(self.log), "--checkpoint", str(self.place),
                                         "--public-key", self.public])  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    lane = spawn("-m", "laneway.providers.scripted", "--port", "0")
    try:
        assert lane.stdout is not None
        yield Server(tmp_path, json.loads(lane.stdout.readline())["url"])
    finally:
        lane.kill()
        lane.communicate()


def test_what_is_served_is_signed_elsewhere(server: Server) -> None:
    """While it serves the newest records get covered; when it ends, all of them are."""
    with server.running():
        server.ask()
        state = server.until(lambda state: state["records"] == 2)
        assert (state["failure"], state["age_seconds"] < 30) == (None, True)
        server.ask()
    found = server.verify()
    assert found.exit_code == 0, found.output
    assert "ok: 4 entries" in found.stdout
    assert "covering 4 entries" in found.stdout


def test_a_killed_server_leaves_checkpoints_that_hold(server: Server) -> None:
    """After kill -9 the log fits its checkpoints, and the next server goes on with them."""
    with pytest.raises(AssertionError), server.running() as process:  # it does not end in good order
        server.ask()
        server.until(lambda state: state["records"] == 2)
        process.kill()
    assert server.verify().exit_code == 0
    with server.running():
        server.ask()
    assert "covering 4 entries" in server.verify().stdout


def test_a_lost_place_stops_no_answer_and_is_seen(server: Server, tmp_path: Path) -> None:
    """`/ready` says what is wrong and how much is covered; once it is back, everything is."""
    with server.running():
        server.ask()
        server.until(lambda state: state["records"] == 2)
        server.elsewhere.rename(tmp_path / "lost")
        server.until(lambda state: state["failure"] is not None)
        server.ask()
        state = server.until(lambda state: "No such file" in state["failure"])
        assert state["records"] == 2
        (tmp_path / "lost").rename(server.elsewhere)
        server.until(lambda state: state["records"] == 4 and state["failure"] is None)
    assert "covering 4 entries" in server.verify().stdout


def test_a_server_does_not_start_over_an_older_log(server: Server, tmp_path: Path) -> None:
    """A log that was put back from before its checkpoints is not signed over: a person must say what is right."""
    Log.open(server.log).close()
    shutil.copy(server.log, tmp_path / "old.db")
    with server.running():
        server.ask()
    shutil.copy(tmp_path / "old.db", server.log)
    found = CliRunner().invoke(main, server.arguments)
    assert found.exit_code == 1
    assert "ends at record 0, and 2 were signed in" in " ".join(found.stderr.split())
    with closing(Reader.open(server.log)) as reader:
        assert list(reader.stories()) == []


@pytest.mark.parametrize("missing", ["--checkpoint-key", "--checkpoint"])
def test_one_of_the_two_options_is_a_mistake(server: Server, missing: str) -> None:
    """The error names the other and how to get a key."""
    at = server.arguments.index(missing)
    found = CliRunner().invoke(main, [*server.arguments[:at], *server.arguments[at + 2 :]])
    assert (found.exit_code, "`laneway log key FILE` makes a key" in found.stderr) == (2, True)


def test_a_place_that_is_not_there_keeps_the_server_from_starting(server: Server) -> None:
    """A mount that was forgotten is noticed at once."""
    server.elsewhere.rmdir()
    server.arguments[server.arguments.index("--checkpoint") + 1] = str(server.place)
    found = CliRunner().invoke(main, server.arguments)
    assert found.exit_code == 1
    assert "cannot be written: No such file or directory; mount it" in " ".join(found.stderr.split())
