"""The weekly review of a real log: from the gateway to the terminal, to files, to a page and to a webhook."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from tests.harness import bench, run

from laneway.cli import main
from laneway.store import Log
from laneway.weekly import kept as kept_module
from laneway.weekly import scanned as scanned_module
from laneway.weekly.kept import Kept
from laneway.weekly.page import body

HOSTILE = '<img src=x onerror="alert(1)">'


def laneway(*args: object, code: int = 0) -> Result:
    """One command in this process."""
    done = CliRunner().invoke(main, [str(arg) for arg in args], env={"COLUMNS": "80"})
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy and the log of a short, eventful life of it."""
    folder = tmp_path_factory.mktemp("weekly")

    async def play() -> None:
        async with bench(folder) as b:
            text = b.gateway.active.policy.text.replace("name: bench", f"name: '{HOSTILE}'")
            (folder / "laneway.yaml").write_text(text, "utf-8")
            for _ in range(3):
                await b.ask()
            b.home.answer = ""  # weak: premium redoes it
            await b.ask()
            b.home.answer = "from home"
            b.home.fault = "500"
            await b.ask()
            b.home.fault = None
            await b.ask("My number is 811228-9874.")
            b.home.model = "another-model"
            await b.ask()

    run(play)
    return folder


def read(folder: Path, *args: object) -> Any:
    """The review as JSON."""
    return json.loads(laneway("review", "--policy", folder / "laneway.yaml", *args, "--json").stdout)


def test_the_review_of_a_real_log(folder: Path) -> None:
    """Counts, hops, money and detection are those of what was asked."""
    found = read(folder)
    assert (found["requests"], found["before"], found["log"]["problem"]) == (7, 0, "")
    assert [(r["lane"], r["cause"], r["times"], r["before"], r["change"]) for r in found["escalated"]] == [
        ("home -> premium", "empty", 1, 0, 1)
    ]
    assert [(r["lane"], r["cause"]) for r in found["fallbacks"]] == [("home -> premium", "server-error")]
    assert [(r["cause"], r["times"]) for r in found["raised"]] == [("se.personnummer -> restricted", 1)]
    (money,) = found["money"]
    assert money["currency"] == "EUR"
    assert 0 < money["spent"] <= money["premium"]
    assert [a["code"] for a in found["advice"]] == ["another-lane-not-yet"]
    assert "stale-waiver" in [s["code"] for s in found["stale"]]


def test_the_terminal_has_each_question_within_eighty_columns(folder: Path) -> None:
    """Each with its answer, the money and the advice; no table is wider, and nothing is on standard error."""
    done = laneway("review", "--policy", folder / "laneway.yaml")
    for part in ("7 requests (+7): 7 answered", "What escalated?", "Which cheap answers were rejected?", "+1",
                 "Which fallbacks fired?", "What did it cost?", "Always-premium would have cost", "Which labels did",
                 "answered as another model", "What is going stale?", "What to do?", "does not yet justify"):  # fmt: skip
        assert part in " ".join(done.stdout.split()), part
    assert done.stderr == ""
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 100
    without = laneway("review", "--policy", folder / "laneway.yaml", "--no-advice").stdout
    assert "What to do?" not in without


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    """A log without a request has a review too, in every form, and it is no failure."""
    Log.open(tmp_path / "laneway.db").close()
    at = ("review", "--log", tmp_path / "laneway.db")
    assert "0 requests" in laneway(*at).stdout
    assert json.loads(laneway(*at, "--json").stdout)["requests"] == 0
    for kind in ("html", "markdown"):
        assert "0 requests" in laneway(*at, f"--{kind}", "-", "--since", "all").stdout


class _Parsed(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [str(v) for k, v in attrs if k in ("src", "href", "style") and not str(v).startswith("#")]
        self.outside += [k for k, _ in attrs if k.startswith("on")]


def test_the_page_loads_nothing_and_shows_names_as_they_stand(folder: Path, tmp_path: Path) -> None:
    """No script, no address, no inline style; a model that calls itself markup is text, in Markdown too."""
    page, notes = tmp_path / "r.html", tmp_path / "r.md"
    laneway("review", "--policy", folder / "laneway.yaml", "--html", page, "--markdown", notes)
    text, parsed = page.read_text("utf-8"), _Parsed()
    parsed.feed(text)
    assert not {"script", "img", "link", "iframe"} & set(parsed.tags)
    assert {"svg", "table", "h1", "h2", "pre"} - set(parsed.tags) <= {"pre"}
    assert parsed.outside == []
    assert "&lt;img src=x" in text
    assert "://" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "<img" not in notes.read_text("utf-8").replace("\\<", "")
    assert notes.read_text("utf-8").startswith("# \\<img src=x")
    assert (page.stat().st_mode & 0o777, notes.stat().st_mode & 0o777) == (0o600, 0o600)


def test_a_console_gets_the_body_with_links_to_decisions(folder: Path) -> None:
    """The body of the page, where each example leads to its story; the counts by the hour are those of the log."""
    with closing(Kept(folder / "laneway.db")) as counts:
        made = counts.review("7d", time.time_ns() // 1000)
        shown = body(made, lambda id: f"/decisions/{id}")
    found = read(folder)
    assert made.requests == found["requests"]
    assert [row.times for row in made.rejected] == [row["times"] for row in found["rejected"]]
    assert f'<a href="/decisions/{made.escalated[0].example}">' in shown
    assert "<html" not in shown


def test_what_is_kept_is_never_trusted_against_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where it ended, is begun anew where it is another log's or damaged, and counts the same in the end."""
    now = time.time_ns() // 1000

    def counted(log: Path) -> tuple[int, int, dict[str, int]]:
        with closing(Kept(log)) as counts:
            made = counts.review("24h", now)
            return made.requests, made.log.records, made.ends

    async def play() -> None:
        async with bench(tmp_path) as b:
            await b.ask()
            first = await asyncio.to_thread(counted, b.log)
            assert first[0] == 1
            await asyncio.gather(*(b.ask() for _ in range(5)))
            grown = await asyncio.to_thread(counted, b.log)
            assert grown[0] == 6
            file = b.log.with_suffix(".summary")
            whole = file.read_bytes()
            for spoilt in (b"", whole[:-9], whole.replace(b"summary 1", b"summary 0")):
                file.write_bytes(spoilt)
                assert await asyncio.to_thread(counted, b.log) == grown
            file.write_bytes(whole)
            monkeypatch.setattr(kept_module, "_FAR", 0)
            file.unlink()
            assert await asyncio.to_thread(counted, b.log) == grown

    run(play)
    (tmp_path / "other").mkdir()

    async def elsewhere() -> None:
        async with bench(tmp_path / "other") as b:
            b.log.with_suffix(".summary").write_bytes((tmp_path / "laneway.summary").read_bytes())
            await b.ask()
            assert (await asyncio.to_thread(counted, b.log))[0] == 1

    run(elsewhere)


def test_a_long_log_is_read_by_several_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they find adds up to what one finds, also where a stretch ends within a request."""
    once = read(folder, "--no-advice")
    monkeypatch.setattr(scanned_module, "_STRETCH", 5)
    cut = read(folder, "--no-advice")
    for made in (once, cut):
        del made["start"], made["until"], made["slices"]
    assert cut == once


# delivery


class _Hook(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, bytes]]] = []
    status = 204

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.got.append((self.path, self.rfile.read(length)))
        self.send_response(type(self).status)
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hook(status: int) -> Iterator[str]:
    """A webhook that answers so, and its address."""
    _Hook.got.clear()
    _Hook.status = status
    with HTTPServer(("127.0.0.1", 0), _Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook?key=secret"
        finally:
            server.shutdown()
            thread.join()


def test_a_review_is_delivered_to_a_webhook(folder: Path) -> None:
    """One POST of the JSON."""
    with hook(204) as url:
        laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", "--deliver", url)
    ((path, data),) = _Hook.got
    assert (path, json.loads(data)["requests"]) == ("/hook?key=secret", 7)


@pytest.mark.parametrize("status", [302, 500])
def test_a_webhook_that_does_not_take_it_is_a_failure(folder: Path, status: int) -> None:
    """Exit code 1, one try, no redirect followed, and no word of what the address held."""
    with hook(status) as url:
        done = laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", "--deliver", url, code=1)
    assert len(_Hook.got) == 1
    assert f"the webhook at 127.0.0.1 answered {status}" in " ".join(done.stderr.split())
    assert "secret" not in done.output
    gone = laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", "--deliver", url, code=1)
    assert "could not be reached" in gone.stderr
    laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", "--deliver", "ftp://x/y", code=2)


def test_a_review_is_delivered_to_files_in_one_step(folder: Path, tmp_path: Path) -> None:
    """By the name's end; one that was there is replaced, and where it cannot be, that is said."""
    (tmp_path / "week.html").write_text("old")
    targets = [part for name in ("week.html", "week.md", "week.json") for part in ("--deliver", tmp_path / name)]
    assert laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", *targets).stdout == ""
    assert (tmp_path / "week.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "week.md").read_text().startswith("# Laneway: review")
    assert json.loads((tmp_path / "week.json").read_text())["requests"] == 7
    assert len(list(tmp_path.iterdir())) == 3
    nowhere = tmp_path / "no" / "week.md"
    done = laneway("review", "--policy", folder / "laneway.yaml", "--no-advice", "--deliver", nowhere, code=1)
    assert "cannot be written" in done.stderr
