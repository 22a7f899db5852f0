"""Retention: what the log says of old decisions goes, whole and for good, and the chain still holds."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.policies import FULL
from tests.unit.test_formats import _key as key_of
from tests.unit.test_store import OPENING, answered, append, intent, said, shut, tamper

from laneway.errors import LogError
from laneway.policy import KEPT_DAYS
from laneway.policy_file import parse
from laneway.record import Entry, Erased, Intent, Lever
from laneway.retention import over, retain
from laneway.store import Log, Reader, Signing
from laneway.store.checkpoint import Against

DAY = 86_400 * 10**9
BEGIN = 1_700_000_000 * 10**9
POLICY = parse(FULL)
PLACE = "rack number seven"


def of_class(id: str, data_class: str) -> Intent:
    """The first record of a request about data of the class."""
    signals = msgspec.structs.replace(OPENING.signals, sensitivity=data_class, team=PLACE)
    return msgspec.structs.replace(intent(id), opening=msgspec.structs.replace(OPENING, signals=signals))


def written(path: Path, *days: tuple[int, tuple[Entry, ...]]) -> None:
    """A log whose entries were written so many days after its beginning."""
    day = 0
    with closing(Log.open(path, lambda: BEGIN + day * DAY)) as log:
        for day, entries in days:  # noqa: B007  # the clock reads it
            append(log, *entries)


def retained(path: Path, day: int) -> dict[str, int]:
    """What goes on that day, by class, where the log was in use until then."""
    with closing(sqlite3.connect(path)) as db:
        (last,) = db.execute("SELECT max(at) FROM record").fetchone()
    written(path, *((each, (shut(f"s{each}"),)) for each in range((last * 1000 - BEGIN) // DAY, day, 30)))
    return jumped(path, day)


def jumped(path: Path, day: int) -> dict[str, int]:
    """What goes where the clock says that day."""
    with closing(Log.open(path, lambda: BEGIN + day * DAY)) as log:
        return dict(retain(log, POLICY))


def told(path: Path) -> list[str]:
    """The decisions that the log still tells of, if its chain holds."""
    with closing(Reader.open(path)) as reader:
        found = reader.verify()
        assert found.ok, found.problem
        return [story.id for story in reader.stories()]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A log of three decisions of a class each, one of them spoken of much later, and what is nobody's request."""
    path = tmp_path / "laneway.db"
    lever = Lever(id="l1", action="close", target="lane:local", by="ann", why="repair")
    written(
        path,
        (0, (of_class("plain", "internal"), of_class("secret", "restricted"), answered("plain"), shut("plain"))),
        (0, (answered("secret"), lever, of_class("late", "internal"), answered("late"))),
        (30, (shut("a"),)),
        (60, (shut("b"),)),
        (90, (shut("c"),)),
        (100, (said("late"),)),
        *((day, (shut(f"d{day}"),)) for day in range(130, 300, 30)),
        (300, (of_class("new", "internal"), answered("new"))),
    )
    return path


def test_a_decision_goes_when_its_class_is_over_and_not_a_day_before(old: Path) -> None:
    """By the time of its last record; restricted data's are kept for the year that the policy says."""
    assert retained(old, KEPT_DAYS) == {}
    assert retained(old, KEPT_DAYS + 1) == {"internal": 1}
    assert told(old) == ["secret", "late", "new"]
    assert retained(old, KEPT_DAYS + 101) == {"internal": 1}
    assert told(old) == ["secret", "new"]
    assert retained(old, 366) == {"restricted": 1}
    assert told(old) == ["new"]
    assert retained(old, 366) == {}


def test_an_unknown_class_has_the_longest_time(tmp_path: Path) -> None:
    """A class of an older policy is kept as long as any."""
    path = tmp_path / "laneway.db"
    written(path, (0, (of_class("a", "cosmic"), answered("a"))))
    assert retained(path, 365) == {}
    assert retained(path, 366) == {"cosmic": 1}


def test_what_is_open_and_what_is_nobodys_request_stays(old: Path) -> None:
    """Levers, and lanes that were found to be another model, hold on: they still count."""
    with closing(Log.open(old, lambda: BEGIN)) as log:
        append(log, of_class("open", "internal"))
        with closing(Reader.open(old)) as reader:
            ids = [each.id for each in over(reader, POLICY, (BEGIN + 2_000 * DAY) // 1000)]
    assert "open" not in ids
    retained(old, 2_000)
    with closing(Reader.open(old)) as reader:
        assert [lever.id for _, lever in reader.levers()] == ["l1"]
        assert "plain" in [entry.id for _, entry in reader.shuts()]
        assert list(reader.feedback()) == []
        with pytest.raises(LogError, match=r"of decision plain was emptied on 20\d\d-\d\d-\d\d, as its time was over"):
            reader.story("plain")


def test_the_words_are_in_no_file_any_more(old: Path) -> None:
    """Neither in the log nor in its write-ahead log, nor in a copy made after; a signed checkpoint still fits."""
    signing = Signing(old, old.with_name("checkpoints"), key_of(old.with_name("key")))
    signed = signing.once()
    signing.close()
    assert any(PLACE.encode() in path.read_bytes() for path in old.parent.glob("laneway.db*"))
    written(old, *((each, (shut("s"),)) for each in range(330, 1_000, 30)))
    with closing(Log.open(old, lambda: BEGIN + 1_000 * DAY)) as log:
        retain(log, POLICY)
        assert not any(PLACE.encode() in path.read_bytes() for path in old.parent.glob("laneway.db*"))
    with closing(Reader.open(old)) as reader:
        reader.backup(old.with_name("copy.db"))
        found = reader.verify(against=Against([signed]))
    assert (found.ok, found.covered) == (True, signed.size)
    assert PLACE.encode() not in old.with_name("copy.db").read_bytes()


CHANGES: dict[str, Callable[[Path], None]] = {
    "a body is emptied without a word": lambda p: tamper(p, "UPDATE record SET body = x'' WHERE decision = 'new'"),
    "a hash inside a stretch": lambda p: tamper(p, "UPDATE record SET hash = randomblob(32) WHERE seq = 2"),
    "the time of an emptied record": lambda p: tamper(p, "UPDATE record SET at = at + 1 WHERE seq = 3"),
    "whose record it was": lambda p: tamper(p, "UPDATE record SET decision = 'x' WHERE seq = 1"),
    "a body is put back": lambda p: tamper(p, "UPDATE record SET body = x'7b7d' WHERE seq = 3"),
    "what was erased": lambda p: tamper(p, "UPDATE record SET body = CAST(replace(body, 'past', 'most') AS BLOB) WHERE kind = 'erased'"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_changes_something_after_is_found_out(old: Path, change: str) -> None:
    """The chain, and what the Erased entry says of the stretch, hold what is left."""
    retained(old, KEPT_DAYS + 101)
    assert told(old)
    CHANGES[change](old)
    with closing(Reader.open(old)) as reader:
        assert not reader.verify().ok


def test_killed_in_the_middle_it_is_all_or_nothing(old: Path) -> None:
    """A process that dies inside the transaction leaves the log as it was."""
    before = told(old)
    program = f"""
import os, signal
from pathlib import Path
from laneway.store import writer
from tests.unit import test_retention as t
writer._linked = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
t.retained(Path({str(old)!r}), 2_000)
"""
    died = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    assert died.returncode == -signal.SIGKILL
    assert told(old) == before
    assert retained(old, 2_000)
    assert told(old) == []


def test_a_record_is_emptied_by_nobody_but_retention(old: Path) -> None:
    """The file's own guard lets a body be emptied and nothing else be changed."""
    with closing(sqlite3.connect(old)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE record SET body = x'00' WHERE seq = 1")


def grown(path: Path, days: int) -> None:
    """A log with a record a week, so that it shows its age."""
    written(path, *((day, (of_class(f"w{day}", "internal"), answered(f"w{day}"))) for day in range(0, days, 7)))


def test_a_clock_that_jumps_makes_nothing_old(tmp_path: Path) -> None:
    """What is an hour old stays, however far the clock goes ahead; what the log itself shows to be old goes."""
    path = tmp_path / "laneway.db"
    grown(path, 200)
    assert jumped(path, 2_000)["internal"] < 15
    with closing(Reader.open(path)) as reader:
        left = [story.id for story in reader.stories()]
    assert left[-1] == "w196"
    young = tmp_path / "young.db"
    written(young, (0, (of_class("a", "internal"), answered("a"))))
    assert jumped(young, 2_000) == {}
    with closing(Log.open(young, lambda: BEGIN + 2_000 * DAY)) as log:
        append(log, of_class("b", "internal"), answered("b"))
    assert jumped(young, 400) == {}


def test_what_is_spoken_of_meanwhile_is_left_alone(old: Path) -> None:
    """A word that comes between looking and emptying keeps its decision."""
    with closing(Log.open(old, lambda: BEGIN + 2_000 * DAY)) as log, closing(Reader.open(old)) as reader:
        (first, *_) = over(reader, POLICY, log.now() // 1000)
        append(log, said(first.id))
        entry = Erased(id="e", by="x", why="y")
        assert log.empty({first.id: first.last}, entry) == set()
    assert first.id in told(old)


def test_a_log_is_whole_for_who_reads_it_while_it_is_emptied(old: Path) -> None:
    """The chain is followed as it was when that began."""
    with closing(Reader.open(old)) as reader:
        done: list[int] = []

        def meanwhile(_: int, __: int) -> None:
            if not done:
                done.append(1)
                retained(old, 2_000)

        assert reader.verify(progress=meanwhile).ok
        assert done
        assert reader.verify().ok


def test_what_is_emptied_before_its_time_is_found_out(old: Path) -> None:
    """Nobody may say that it was retention: a record must have been kept for half a year."""
    with closing(Log.open(old, lambda: BEGIN + 301 * DAY)) as log, closing(Reader.open(old)) as reader:
        last = max(seq for seq, *_ in reader.ask("records_of", decision="new"))
        log.empty({"new": last}, Erased(id="e", by="x", why="y"))
        found = reader.verify()
    assert not found.ok
    assert "was emptied before it had been kept for 183 days" in str(found.problem)
