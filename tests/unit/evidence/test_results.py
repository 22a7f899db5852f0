"""The results of evaluations: on disk when told so, found by key, streamed, and never half-read."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import sqlite3
import stat
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.processes import spawn

from laneway.errors import LaneError
from laneway.evidence.results import Result, Results, ResultsError

AT = datetime.datetime(2026, 11, 29, 10, 0, tzinfo=datetime.UTC)


def result(number: int = 1, lane: str = "home", **changes: Any) -> Result:
    """One answer that got full marks."""
    values: dict[str, Any] = {
        "key": f"key-{number}-{lane}", "set": "flags", "set_hash": "s" * 64, "sample": f"sample-{number}",
        "sample_hash": f"{number:064}", "language": "sv", "group": None, "sensitivity": "internal",
        "workload": "contracts", "lane": lane, "model": "m", "endpoint": "http://127.0.0.1:1/v1", "prompt": "",
        "answer": "yes", "reported": "m", "finish": "stop", "error": "", "tokens_in": 10, "tokens_out": 1,
        "cost": 0.01, "seconds": 0.5, "at": AT, "score": 1.0, "parts": (("exact", 1.0, "equal"),),
    }  # fmt: skip
    return Result(**values | changes)


def put(path: Path, *results: Result) -> None:
    """Have results written by a run of their own."""
    with closing(Results.open(path, write=True)) as opened:
        asyncio.run(opened.put(*results))


def test_what_was_put_is_found_and_streamed(tmp_path: Path) -> None:
    """A result is found by its key and streamed by its set, workload, lane or prompt."""
    path = tmp_path / "evals.db"
    put(path, result(2), result(1), result(1, "premium"), result(1, prompt="p" * 64, key="other"))
    with closing(Results.open(path)) as read:
        assert read.find("key-1-home") == result(1)
        assert read.find("nothing") is None
        assert [one.sample for one in read.of(lane="home", prompt="")] == ["sample-1", "sample-2"]
        assert len(list(read.of(set_hash="s" * 64, workload="contracts"))) == 4
        assert list(read.of(workload="other")) == []


def test_a_result_is_replaced_by_what_came_of_the_same_call(tmp_path: Path) -> None:
    """A score takes its unscored answer's place, and an answer that of an error."""
    path = tmp_path / "evals.db"
    put(path, result(answer=None, error="late", score=None, parts=()))
    put(path, result(score=None, parts=()), result())
    with closing(Results.open(path)) as read:
        assert list(read.of()) == [result()]


def test_an_answer_is_found_before_an_error(tmp_path: Path) -> None:
    """Where two samples ask the same, the answer that one of them got counts for both."""
    path = tmp_path / "evals.db"
    later = AT + datetime.timedelta(hours=1)
    put(path, result(), result(2, key="key-1-home", answer=None, error="late", at=later))
    with closing(Results.open(path)) as read:
        found = read.find("key-1-home")
        assert found is not None
        assert found.answer == "yes"


def test_of_a_model_that_was_asked_twice_the_newest_answer_is_streamed(tmp_path: Path) -> None:
    """Another seed gives another key; of such answers the newest stands, beside those of another model."""
    path, later = tmp_path / "evals.db", AT + datetime.timedelta(hours=1)
    put(path, result(), result(key="seed-2", answer="no", at=later), result(key="old", model="older"))
    with closing(Results.open(path)) as read:
        assert sorted((one.model, one.answer) for one in read.of()) == [("m", "no"), ("older", "yes")]


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    """The file holds answers, so that its mode is 0600, also where it was wider."""
    path = tmp_path / "evals.db"
    path.touch(mode=0o644)
    put(path, result())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_call_that_never_ended_is_counted_once(tmp_path: Path) -> None:
    """A run that is killed between a call and its answer leaves it for the next one to tell of."""
    path = tmp_path / "evals.db"
    code = f"""
import asyncio, time
from pathlib import Path
from laneway.evidence.results import Results
results = Results.open(Path({str(path)!r}), write=True)
async def run():
    await asyncio.gather(*(results.intend(f"key-{{i}}", "home") for i in range(3)))
    print("on disk", flush=True)
    await asyncio.sleep(60)
asyncio.run(run())
"""
    process = spawn("-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "on disk\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    with closing(Results.open(path, write=True)) as first:
        assert first.lost == {"home": 3}
    with closing(Results.open(path, write=True)) as second:
        assert second.lost == {}


def test_a_call_that_ended_is_not_lost(tmp_path: Path) -> None:
    """An answer ends the call that led to it, and so does an error, on file or not."""
    path = tmp_path / "evals.db"

    async def calls(results: Results) -> None:
        await asyncio.gather(*(results.intend(f"key-{i}-home", "home") for i in (1, 2, 3)))
        await results.put(result(), result(2, answer=None, error="late"))
        with suppress(LaneError):
            async with results.calling("key-3-home"):
                raise LaneError("late", "too late")

    with closing(Results.open(path, write=True)) as opened:
        asyncio.run(calls(opened))
    with closing(Results.open(path, write=True)) as again:
        assert again.lost == {}


def test_one_run_writes_at_a_time_and_others_read(tmp_path: Path) -> None:
    """A second run is kept out by name; a reader sees what the first has written so far."""
    path = tmp_path / "evals.db"
    with closing(Results.open(path, write=True)) as opened:
        with pytest.raises(ResultsError, match="another `laneway eval run`"):
            Results.open(path, write=True)
        asyncio.run(opened.put(result()))
        assert opened.find("key-1-home") == result()
        with closing(Results.open(path)) as read:
            assert len(list(read.of())) == 1
            with pytest.raises(ResultsError, match="not open for writing"):
                asyncio.run(read.put(result()))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """Who reads results that nobody made is told how to make them, and no file is made."""
    with pytest.raises(ResultsError, match="laneway eval run"):
        Results.open(tmp_path / "evals.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "evals.db").touch()
    with pytest.raises(ResultsError, match="laneway eval run"):
        Results.open(tmp_path / "evals.db")


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A database that is not ours is not written to."""
    path = tmp_path / "evals.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
        db.commit()
    with pytest.raises(ResultsError, match="another program"):
        Results.open(path, write=True)


@pytest.mark.parametrize("damage", ["no database", "a torn page", "a row that is no result"])
def test_damage_is_said_with_its_remedy(tmp_path: Path, damage: str) -> None:
    """A damaged file is never read in part: it is named, and what to do about it."""
    path = tmp_path / "evals.db"
    put(path, *(result(i, answer="word " * 50) for i in range(200)))
    if damage == "no database":
        path.write_bytes(b"{}" * 5000)
    elif damage == "a torn page":
        data = bytearray(path.read_bytes())
        data[8192:16384] = os.urandom(8192)
        path.write_bytes(data)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE result SET body = ?", (b'{"key":"secret answer"}',))
            db.commit()
    with pytest.raises(ResultsError, match="move ") as raised, closing(Results.open(path)) as read:
        list(read.of())
    assert str(path) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_write_that_fails_is_raised_to_its_caller(tmp_path: Path) -> None:
    """Where an intent cannot be written the caller hears of it, so that no call is made."""
    path = tmp_path / "evals.db"
    with closing(Results.open(path, write=True)) as opened:
        with closing(sqlite3.connect(path)) as db:
            db.execute("DROP TABLE call")
            db.commit()
        with pytest.raises(ResultsError, match="cannot be used"):
            asyncio.run(opened.intend("key", "home"))


def test_many_writes_share_few_commits(tmp_path: Path) -> None:
    """Ten thousand writes at once take seconds, not one flush each."""
    path = tmp_path / "evals.db"

    async def whole(opened: Results) -> None:
        await asyncio.gather(*(opened.put(result(i)) for i in range(10_000)))

    started = time.monotonic()
    with closing(Results.open(path, write=True)) as opened:
        asyncio.run(whole(opened))
    assert time.monotonic() - started < 30
    with closing(Results.open(path)) as read:
        assert sum(1 for _ in read.of()) == 10_000


def test_a_result_survives_its_own_json() -> None:
    """Every field of a result is one that JSON can hold."""
    one = result(parts=(("set", 0.5, "a"), ("exact", 1.0, "b")))
    assert msgspec.json.decode(msgspec.json.encode(one), type=Result) == one
