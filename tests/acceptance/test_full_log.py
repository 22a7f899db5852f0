"""A log that cannot be written for a while: what it says later is what happened."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.harness import Answered, Bench, bench, run

from laneway.cli import main
from laneway.providers.scripted import Scripted
from laneway.record import Outcome
from laneway.store import Log, Reader, writer


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tries again soon."""
    monkeypatch.setattr(writer, "_AGAIN_SECONDS", 0.02)


@asynccontextmanager
async def unwritable(b: Bench, **body: object) -> AsyncIterator[asyncio.Task[Answered]]:
    """A request whose intent is on disk and whose lane is at work, and from then on a log that takes nothing."""
    b.home.fault, b.home.seconds = "slow-first-byte", 0.2
    asking = asyncio.create_task(b.ask("ordinary words", **body))  # type: ignore[arg-type]
    await b.home.arrived.wait()
    b.gateway.log._db.execute("PRAGMA query_only = ON")
    try:
        yield asking
    finally:
        with suppress(sqlite3.ProgrammingError):  # a test has closed it
            b.gateway.log._db.execute("PRAGMA query_only = OFF")


async def ended(b: Bench, id: str = "last") -> Outcome:
    """The outcome, once it is there."""
    while (outcome := b.story(id).outcome) is None:
        await asyncio.sleep(0.01)
    return outcome.entry


def told(log: Path) -> str:
    """What `laneway why` says of the newest request."""
    return " ".join(CliRunner().invoke(main, ["why", "--log", str(log)]).output.split())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_could_not_be_recorded_is_on_record_as_not_given(tmp_path: Path, stream: bool) -> None:
    """The client gets `log_unavailable` and no answer; that is what the log says as soon as it can."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            async with unwritable(b, stream=stream) as asking:
                got = await asking
                assert (got.status, got.error["code"]) == (503, "log_unavailable")
                assert b.story().outcome is None
                assert "could not write the log (then the client got `log_unavailable`)" in told(b.log)
            outcome = await ended(b)
            assert (outcome.status, outcome.code, outcome.lane) == ("failed", "log_unavailable", None)
            assert [a.result for a in outcome.attempts] == ["answered"]
            assert "so the client got this error in place of the answer" in told(b.log)
            assert b.verified()

    run(test)


def test_a_hop_that_could_not_be_recorded_was_not_made(tmp_path: Path) -> None:
    """Where the escalation's intent fails, nothing is sent, and the open record is closed with what happened."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = Scripted(text="")
            async with unwritable(b) as asking:
                assert (await asking).error["code"] == "log_unavailable"
            outcome = await ended(b)
            assert (outcome.status, outcome.code) == ("failed", "log_unavailable")
            assert [a.lane for a in outcome.attempts] == ["home"]
            assert b.premium.requests == 0

    run(test)


def test_a_client_that_went_away_meanwhile_is_on_record_as_gone(tmp_path: Path) -> None:
    """Nobody got an error, so the record does not say so."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            async with unwritable(b) as asking:
                asking.cancel()
                await b.home.left.wait()
            assert (await ended(b)).status == "cancelled"

    run(test)


def test_requests_refused_meanwhile_are_owed_nothing(tmp_path: Path) -> None:
    """What came while nothing could be written left no trace, so that what is owed cannot grow."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            async with unwritable(b) as asking:
                await asking
                for model in ("auto", "flags", "lane/premium") * 5:
                    assert (await b.ask(model=model)).error["code"] == "log_unavailable"
            await ended(b)
            with closing(Reader.open(b.log)) as reader:
                assert len(list(reader.stories())) == 1
                assert reader.verify().ok

    run(test)


def test_a_server_that_ended_first_leaves_it_open(tmp_path: Path) -> None:
    """The next start closes the record, and does not claim to know what the client got."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            async with unwritable(b) as asking:
                await asking
                b.gateway.log.close()
            (await asyncio.to_thread(Log.open, b.log)).close()
            assert (await ended(b)).status == "interrupted"
            assert "could not write the log (then the client got `log_unavailable`)" in told(b.log)

    run(test)
