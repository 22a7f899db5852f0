from __future__ import annotations

import asyncio
import datetime
import hashlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from laneway.decision import Refuse
from laneway.errors import LogError
from laneway.facts import Facts
from laneway.record import Entry, Feedback, Intent, Opening, Outcome, Shut, Verdict
from laneway.signals import Ask, Signals
from laneway.store import Log, Reader, Verification, writer
from laneway.store.chain import SQL

OPENING = Opening(
    policy="p" * 64,
    model="auto",
    ask=Ask(),
    signals=Signals(sensitivity="restricted", declared={"matter": "merger"}),
    facts=Facts(today=datetime.date(2026, 11, 24)),
    decision=Refuse(reasons=(), rejected=()),
    stream=False,
    prompt="c" * 64,
    size=12,
)

WRITER = """
import asyncio, sys
from pathlib import Path
from laneway.record import Intent, Outcome
from laneway.store import Log
from test_store import OPENING

async def client(log, number):
    for turn in range(100_000):
        id = f"d{number}-{turn}"
        await log.append(Intent(id=id, attempt=1, lane="local", why="first", opening=OPENING))
        print(id, flush=True)
        if turn % 2:
            await log.append(Outcome(id=id, status="answered", lane="local"))

async def main():
    log = Log.open(Path(sys.argv[1]))
    await asyncio.gather(*(client(log, number) for number in range(64)))

asyncio.run(main())
"""


def intent(id: str, attempt: int = 1, lane: str = "local") -> Intent:
    first = attempt == 1
    return Intent(
        id=id,
        attempt=attempt,
        lane=lane,
        why="first" if first else "fallback",
        opening=OPENING if first else None,
    )


def answered(id: str) -> Outcome:
    return Outcome(id=id, status="answered", lane="local", total_ms=1.5)


def on(workload: str, id: str) -> Intent:
    """The first intent of a request of that workload."""
    signals = msgspec.structs.replace(OPENING.signals, workload=workload)
    return msgspec.structs.replace(intent(id), opening=msgspec.structs.replace(OPENING, signals=signals))


def said(id: str, *, accepted: bool = True, by: str = "ann") -> Feedback:
    return Feedback(id=id, accepted=accepted, by=by, source="user", reason="wrong")


def shut(id: str) -> Shut:
    return Shut(id=id, lane="local", endpoint="http://127.0.0.1:1/v1", measured="small-1", answered="small-2")


def append(log: Log, *entries: Entry) -> None:
    asyncio.run(log.append(*entries))


async def append_each(log: Log, entries: list[Entry]) -> list[BaseException | None]:
    return await asyncio.gather(*(log.append(e) for e in entries), return_exceptions=True)


def until_failing(log: Log, failing: bool) -> None:
    while (log.failure is not None) != failing:
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "laneway.db"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with closing(Log.open(path)) as log:
        yield log


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    with closing(Reader.open(path)) as reader:
        yield reader


def verified(path: Path) -> Verification:
    with reading(path) as reader:
        return reader.verify()


def unguard(db: sqlite3.Connection) -> None:
    """What keeps records from being changed by accident is gone, as for one who does it on purpose."""
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")


def tamper(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        unguard(db)
        db.execute(sql, values)


@pytest.fixture
def three(path: Path) -> Path:
    """A closed log of three decisions, six records."""
    with closing(Log.open(path)) as log:
        for id in ("alpha", "beta", "gamma"):
            append(log, intent(id), answered(id))
    return path


def in_another_process(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parent)])},
    )


class TestAppend:
    def test_another_process_sees_an_entry_as_soon_as_append_returned(self, log: Log, path: Path) -> None:
        """What `append` returned for is on disk for everyone, while the server still runs."""
        append(log, intent("alpha"))
        code = (
            "import sys; from pathlib import Path; from laneway.store import Reader;"
            "r = Reader.open(Path(sys.argv[1])); print(r.story('alpha').opening.size); r.close()"
        )
        with in_another_process(code, path) as other:
            assert other.communicate()[0] == "12\n"

    def test_a_killed_writer_loses_nothing_it_acknowledged(self, path: Path) -> None:
        """After kill -9 under 64 callers every acknowledged id is there, and open intents get closed."""
        with in_another_process(WRITER, path) as writer:
            assert writer.stdout
            printed = [writer.stdout.readline().strip() for _ in range(2000)]
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read()
        # A last line without its newline was cut by the kill and may name another id.
        printed += [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]

        with closing(Log.open(path)) as log, reading(path) as reader:
            stories = {story.id: story for story in reader.stories()}
            assert set(printed) <= set(stories)
            interrupted = [s for s in stories.values() if s.outcome and s.outcome.entry.code == "interrupted"]
            assert all(s.outcome for s in stories.values())
            assert len(interrupted) == log.closed > 0
            assert {s.outcome.entry.lane for s in interrupted if s.outcome} == {"local"}
            found = reader.verify()
            assert found.ok, found.problem

    def test_waiting_entries_share_a_commit(self, log: Log) -> None:
        """64 entries at once cost a few transactions, not 64."""
        before = log.commits
        asyncio.run(append_each(log, [intent(f"d{n}") for n in range(64)]))
        assert 1 <= log.commits - before < 16

    def test_entries_of_one_append_stand_together_in_order(self, log: Log, path: Path) -> None:
        """A story tells its intents in order, then its outcome."""
        append(log, intent("alpha"), intent("alpha", 2, "premium"), answered("alpha"))
        with reading(path) as reader:
            story = reader.story("alpha")
        assert story
        assert story.opening == OPENING
        assert [i.entry.lane for i in story.intents] == ["local", "premium"]
        assert story.outcome
        assert story.outcome.entry == answered("alpha")
        assert story.intents[0].at <= story.outcome.at

    def test_a_cancelled_caller_leaves_the_writer_working(self, log: Log, path: Path) -> None:
        """Cancelling an append disturbs neither the thread nor the next caller."""

        async def cancel_one() -> None:
            task = asyncio.create_task(log.append(intent("alpha")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await log.append(intent("beta"))

        asyncio.run(cancel_one())
        with reading(path) as reader:
            assert reader.story("beta")
        assert verified(path).ok

    def test_a_full_disk_fails_every_waiting_caller_and_heals(self, log: Log, path: Path) -> None:
        """Without space all callers get a LogError without content; with space again the chain goes on."""
        append(log, intent("alpha"))
        (pages,) = log._db.execute("PRAGMA page_count").fetchone()
        log._db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

        failures = asyncio.run(append_each(log, [intent(f"full{n}") for n in range(64)]))
        texts = {str(f) for f in failures if isinstance(f, LogError)}
        assert all(isinstance(f, LogError) for f in failures)
        assert texts == {
            f"the log {path} cannot be written: database or disk is full; "
            "free space on its disk; writing goes on by itself then"
        }

        log._db.execute("PRAGMA max_page_count = 1000000").fetchall()
        append(log, intent("omega"))
        assert verified(path).entries == 2
        assert verified(path).ok

    def test_what_is_owed_is_written_ahead_of_the_next_batch(self, log: Log, path: Path) -> None:
        """An outcome that failed stays owed through every failure, and goes with whatever can be written next."""
        append(log, intent("alpha"))
        log._db.execute("PRAGMA query_only = ON")
        log.owe(answered("alpha"))
        for id in ("beta", "gamma"):
            with pytest.raises(LogError, match="readonly database"):
                append(log, intent(id))
        log._db.execute("PRAGMA query_only = OFF")
        append(log, intent("delta"))
        with reading(path) as reader:
            assert [(s.id, s.outcome and s.outcome.entry) for s in reader.stories()] == [
                ("alpha", answered("alpha")),
                ("delta", None),
            ]
        assert verified(path).ok

    def test_what_is_owed_is_written_without_another_entry(
        self, log: Log, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The log tries again by itself, so that a record does not stay open for want of a next request."""
        monkeypatch.setattr(writer, "_AGAIN_SECONDS", 0.01)
        append(log, intent("alpha"))
        log._db.execute("PRAGMA query_only = ON")
        log.owe(answered("alpha"))
        until_failing(log, True)
        log._db.execute("PRAGMA query_only = OFF")
        until_failing(log, False)
        with reading(path) as reader:
            story = reader.story("alpha")
        assert story
        assert story.outcome

    def test_close_writes_what_is_owed(self, path: Path) -> None:
        """A server that stops in good order closes its records; after that, nothing can be owed."""
        log = Log.open(path)
        append(log, intent("alpha"), intent("beta"))
        log._db.execute("PRAGMA query_only = ON")
        log.owe(answered("alpha"))
        with pytest.raises(LogError):
            append(log, intent("gamma"))
        log._db.execute("PRAGMA query_only = OFF")
        log.close()
        log.owe(answered("beta"))
        with reading(path) as reader:
            assert [bool(s.outcome) for s in reader.stories()] == [True, False]

    def test_a_locked_file_is_a_log_error(self, log: Log, path: Path) -> None:
        """Another program's write lock fails the append after the time-out, with the remedy."""
        log._db.execute("PRAGMA busy_timeout = 1").fetchall()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LogError, match=r"database is locked; another program holds"):
                append(log, intent("alpha"))
        append(log, intent("beta"))
        assert verified(path).entries == 1

    def test_an_unwritable_entry_fails_alone_and_unquoted(self, log: Log, path: Path) -> None:
        """An entry that is no JSON fails its own caller only, and the message does not quote it."""
        bad = Outcome(id="alpha", status="failed", code="secret\ud800")
        failures = asyncio.run(append_each(log, [bad, intent("beta")]))
        assert isinstance(failures[0], LogError)
        assert "secret" not in str(failures[0])
        assert failures[1] is None

    def test_an_id_that_cannot_be_printed_is_refused(self, log: Log) -> None:
        """Ids never hold the byte that separates the columns under the hash."""
        with pytest.raises(LogError, match="cannot be printed"):
            append(log, intent("al\0pha"))

    def test_a_closed_log_refuses(self, path: Path) -> None:
        """After `close` an append fails at once; closing twice is harmless."""
        log = Log.open(path)
        log.close()
        log.close()
        with pytest.raises(LogError, match="is closed"):
            append(log, intent("alpha"))

    def test_close_writes_what_is_waiting(self, path: Path) -> None:
        """An entry queued before `close` is in the log after it."""

        async def close_at_once() -> None:
            log = Log.open(path)
            task = asyncio.create_task(log.append(intent("alpha")))
            await asyncio.sleep(0)
            log.close()
            await task

        asyncio.run(close_at_once())
        assert verified(path).entries == 1


class TestOpen:
    def test_a_second_server_on_the_same_log_is_refused(self, log: Log, path: Path) -> None:
        """The error names the file and what to do; the first server goes on."""
        with pytest.raises(LogError, match=rf"{path} is in use by another server .*stop that one"):
            Log.open(path)
        append(log, intent("alpha"))

    def test_the_lock_ends_with_the_log(self, path: Path) -> None:
        """A closed log can be opened again, and continues its chain."""
        for id in ("alpha", "beta"):
            with closing(Log.open(path)) as log:
                append(log, intent(id), answered(id))
                assert log.closed == 0
        assert verified(path).entries == 4
        assert verified(path).ok

    def test_an_open_intent_is_closed_once_with_its_last_lane(self, path: Path) -> None:
        """What a crash left open ends as interrupted, in the lane that was called last."""
        with closing(Log.open(path)) as log:
            append(log, intent("alpha"), intent("alpha", 2, "premium"), intent("beta"), answered("beta"))
        with closing(Log.open(path)) as log, reading(path) as reader:
            assert log.closed == 1
            story = reader.story("alpha")
            assert story
            assert story.outcome
            assert story.outcome.entry == Outcome(id="alpha", status="interrupted", code="interrupted", lane="premium")
        with closing(Log.open(path)) as log:
            assert log.closed == 0

    def test_a_file_that_is_no_log_is_refused(self, path: Path) -> None:
        """A foreign file is left as it is."""
        path.write_text("Dear diary, " * 100)
        with pytest.raises(LogError, match="file is not a database; name another file"):
            Log.open(path)
        assert path.read_text().startswith("Dear diary")

    def test_a_newer_format_is_refused(self, three: Path) -> None:
        """A log of a later Laneway is neither written nor read."""
        tamper(three, "PRAGMA user_version = 99")
        for open in (Log.open, Reader.open):
            with pytest.raises(LogError, match=r"newer Laneway \(format 99, and this one knows \d+\); use that one"):
                open(three)

    def test_the_log_is_for_its_owner_only(self, log: Log, path: Path) -> None:
        """Nobody else on the machine may read who asked what."""
        assert path.stat().st_mode & 0o777 == 0o600

    def test_no_column_for_prompts_exists(self, log: Log, path: Path) -> None:
        """The tables hold what they say they hold and nothing else."""
        with closing(sqlite3.connect(path)) as db:
            columns = db.execute(
                "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
            ).fetchall()
        found = {table: {c for t, c in columns if t == table} for table, _ in columns}
        assert found == {
            "meta": {"name", "value"},
            "record": {"seq", "at", "decision", "kind", "body", "hash"},
            "policy": {"hash", "text"},
        }


class TestCommitment:
    def test_it_is_stable_within_a_log_and_differs_between_two(self, path: Path, tmp_path: Path) -> None:
        """The same prompt is recognisable in one log, also after a restart, and never across logs."""
        seen = []
        for place in (path, path, tmp_path / "other.db"):
            with closing(Log.open(place)) as log:
                seen.append(log.commitment(b"the same prompt"))
        assert seen[0] == seen[1] != seen[2]
        assert len(bytes.fromhex(seen[0])) == 32


class TestPolicies:
    def test_a_policy_text_comes_back_by_its_hash(self, log: Log, path: Path) -> None:
        """Archiving is durable and may be repeated; unknown hashes give None."""
        text = "version: 1\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        log.archive(digest, text)
        log.archive(digest, text)
        with reading(path) as reader:
            assert reader.policy_text(digest) == text
            assert reader.policy_text("0" * 64) is None
            assert reader.verify().ok

    def test_a_wrong_hash_is_refused(self, log: Log) -> None:
        """What `verify` would call changed is not let in."""
        with pytest.raises(LogError, match="is not the SHA-256"):
            log.archive("0" * 64, "version: 1\n")

    def test_a_changed_text_is_found(self, log: Log, path: Path) -> None:
        """`verify` names the policy whose text is no longer the one that was served."""
        digest = hashlib.sha256(b"version: 1\n").hexdigest()
        log.archive(digest, "version: 1\n")
        tamper(path, "UPDATE policy SET text = 'version: 2'")
        found = verified(path)
        assert not found.ok
        assert found.problem == f"the text of policy {digest} was changed"


class TestStories:
    def test_recent_is_newest_first_and_stories_oldest_first(self, path: Path) -> None:
        """Both order requests by their first entry, over several pages, each request once."""
        ids = [f"d{n:04}" for n in range(600)]
        with closing(Log.open(path)) as log, reading(path) as reader:
            append(log, *(intent(id) for id in ids), *(answered(id) for id in reversed(ids)))
            assert [s.id for s in reader.stories()] == ids
            assert [s.id for s in reader.recent(limit=300)] == ids[:-301:-1]
            assert list(reader.recent(limit=0)) == []

    def test_since_leaves_out_older_requests(self, three: Path) -> None:
        """`since` counts from a request's first entry."""
        with reading(three) as reader:
            beta = reader.story("beta")
            assert beta
            since = beta.intents[0].at
            assert [s.id for s in reader.stories(since)] == ["beta", "gamma"]
            assert [s.id for s in reader.recent(since=since)] == ["gamma", "beta"]

    def test_last_is_the_latest_request(self, three: Path) -> None:
        """`last` is the request that began last, also when an older one ended after it."""
        with closing(Log.open(three)) as log, reading(three) as reader:
            append(log, intent("delta"), intent("epsilon"), answered("delta"))
            story = reader.story("last")
            assert story
            assert story.id == "epsilon"
            assert story.outcome is None

    def test_last_of_an_empty_log_is_none(self, log: Log, path: Path) -> None:
        """An empty log has no last request and is in order."""
        with reading(path) as reader:
            assert reader.story("last") is None
            assert list(reader.recent()) == []
            assert reader.verify() == Verification(True, 0, None, reader.verify().head)

    def test_a_prefix_must_fit_one_id(self, log: Log, path: Path) -> None:
        """A unique prefix finds its story, an ambiguous or unknown one none; a whole id always wins."""
        append(log, intent("ab12"), intent("ab12cd"), intent("ef34"))
        with reading(path) as reader:
            found = {id: reader.story(id) for id in ("e", "ef34", "ab12", "ab1", "x", "", "a\0", "\udcff")}
        ids = {id: story and story.id for id, story in found.items()}
        assert ids == {
            "e": "ef34",
            "ef34": "ef34",
            "ab12": "ab12",
            "ab1": None,
            "x": None,
            "": None,
            "a\0": None,
            "\udcff": None,
        }

    def test_nearest_offers_an_id_that_may_have_been_meant(self, three: Path) -> None:
        """A typing error or an ambiguous prefix leads to a known id, nonsense to none."""
        with reading(three) as reader:
            assert reader.nearest("gamna") == "gamma"
            assert reader.nearest("al") == "alpha"
            assert reader.nearest("zzzzzz") is None

    def test_a_missing_log_says_how_one_comes_to_be(self, path: Path) -> None:
        """The error names the path and the command that makes a log; nothing is created."""
        with pytest.raises(LogError, match=rf"no log at {path}; `laneway serve`"):
            Reader.open(path)
        assert not path.exists()

    def test_a_damaged_record_is_a_log_error(self, three: Path) -> None:
        """Reading what cannot be read names the file and points to `verify`."""
        tamper(three, "UPDATE record SET body = CAST('{' AS BLOB) WHERE seq = 1")
        with reading(three) as reader, pytest.raises(LogError, match="run `laneway log verify`"):
            reader.story("alpha")


class TestDamage:
    def test_the_newest_records_are_checked(self, three: Path) -> None:
        """A change is found where it is near the end, and left to `verify` where it is not."""
        tamper(three, "UPDATE record SET at = at + 1 WHERE seq = 3")
        with reading(three) as reader:
            found = {newest: reader.damage(newest) for newest in (0, 3, 4, 6, 100)}
        changed = "record 3 (decision beta) was changed: its hash does not follow"
        assert found == {0: None, 3: None, 4: changed, 6: changed, 100: changed}

    def test_an_untouched_log_has_none(self, three: Path, log: Log, path: Path) -> None:
        """Neither a log of a few records nor one that is still written shows damage."""
        for newest in (0, 1, 6, 100):
            with reading(path) as reader:
                assert reader.damage(newest) is None

    def test_an_empty_log_has_none(self, log: Log, path: Path) -> None:
        """Without records there is nothing that could be damaged."""
        with reading(path) as reader:
            assert reader.damage() is None

    def test_a_record_that_the_check_would_start_from_may_be_missing(self, three: Path) -> None:
        """The record before the newest ones is needed, and its absence named."""
        tamper(three, "DELETE FROM record WHERE seq = 3")
        with reading(three) as reader:
            assert reader.damage(3) == "record 3 is missing"

    def test_no_damage_is_a_traceback(self, three: Path) -> None:
        """A file that is no log is said in words."""
        three.write_text("Dear diary, " * 100)
        with reading(three) as reader:
            assert reader.damage() == "file is not a database"


class TestSaid:
    def test_a_story_tells_what_was_said_of_it(self, three: Path) -> None:
        """Words stand in their order beside an outcome that they do not touch; a lane's shutting is another matter."""
        words = [said("beta", accepted=False), said("beta", accepted=True), said("beta", by="bo")]
        with closing(Log.open(three)) as log, reading(three) as reader:
            append(log, *words, shut("beta"))
            story = reader.story("beta")
            assert story
            assert [f.entry for f in story.feedback] == words
            assert story.outcome
            assert story.outcome.entry == answered("beta")
            assert story.outcome.at <= story.feedback[0].at
            assert [s.id for s in reader.stories()] == ["alpha", "beta", "gamma"]
            assert [s.id for s in reader.recent()] == ["gamma", "beta", "alpha"]
            assert verified(three).entries == 10
            assert verified(three).ok

    def test_what_is_said_later_is_no_request(self, three: Path) -> None:
        """A period in which only words came has no stories, and `last` is still the newest request."""
        with closing(Log.open(three)) as log, reading(three) as reader:
            before = datetime.datetime.now(datetime.UTC)
            append(log, said("alpha"), shut("alpha"))
            assert list(reader.stories(before)) == []
            assert list(reader.recent(since=before)) == []
            last = reader.story("last")
            assert last
            assert last.id == "gamma"

    def test_words_without_a_request_are_none(self, three: Path) -> None:
        """What no server of ours writes is no story, and no answer is counted for it."""
        with closing(Log.open(three)) as log, reading(three) as reader:
            append(log, said("omega"), shut("omega"))
            assert len(list(reader.stories())) == 3
            assert list(reader.feedback()) == []
            assert reader.story("omega") is None
        with closing(Log.open(three)) as log:
            assert log.closed == 0

    def test_a_request_that_shut_a_lane_is_closed_with_the_lane_it_called(self, path: Path) -> None:
        """A crash behind such an entry leaves an open request: its last intent, and not that entry, says which lane."""
        with closing(Log.open(path)) as log:
            append(log, intent("alpha"), shut("alpha"))
        with closing(Log.open(path)) as log, reading(path) as reader:
            assert log.closed == 1
            story = reader.story("alpha")
            assert story
            assert story.outcome
            assert (story.outcome.entry.code, story.outcome.entry.lane) == ("interrupted", "local")

    def test_feedback_is_of_answers_since(self, path: Path) -> None:
        """Each word comes with its answer's workload and lane; a word of today on an older answer is left out."""
        with closing(Log.open(path)) as log, reading(path) as reader:
            append(log, intent("alpha"), answered("alpha"))
            since = datetime.datetime.now(datetime.UTC)
            append(log, on("mail", "beta"), Outcome(id="beta", status="answered", lane="premium"))
            append(log, said("alpha"), said("beta", accepted=False))
            assert [(w.entry.id, w.workload, w.lane) for w in reader.feedback()] == [
                ("alpha", None, "local"),
                ("beta", "mail", "premium"),
            ]
            assert [w.entry for w in reader.feedback(since)] == [said("beta", accepted=False)]
            assert list(reader.feedback(datetime.datetime.now(datetime.UTC))) == []

    def test_shuts_are_told_in_order(self, log: Log, path: Path) -> None:
        """Every one since, over several pages, with its time."""
        with reading(path) as reader:
            append(log, *(shut(f"d{n}") for n in range(600)))
            assert [s.entry for s in reader.shuts()] == [shut(f"d{n}") for n in range(600)]
            assert list(reader.shuts(datetime.datetime.now(datetime.UTC))) == []

    def test_a_tally_counts_answers_by_workload_and_lane(self, path: Path) -> None:
        """Refused, held, failed and open requests gave none; the lane is the one that answered, not the first asked."""
        ended: list[Entry] = [
            Outcome(id="c", status="answered", lane="premium", verdict=Verdict("marked", ("empty",))),
            Outcome(id="d", status="held", lane="local"),
            Outcome(id="e", status="failed", code="internal_error"),
        ]
        with closing(Log.open(path)) as log, reading(path) as reader:
            append(log, *(on("mail", f"m{n}") for n in range(600)), *(answered(f"m{n}") for n in range(600)))
            since = datetime.datetime.now(datetime.UTC)
            append(log, *(intent(id) for id in "abcdef"), answered("a"), answered("b"), *ended, said("a"), shut("a"))
            append(log, Outcome(id="g", status="refused", code="no_lane", opening=OPENING))
            assert reader.tally() == {("mail", "local"): 600, (None, "local"): 2, (None, "premium"): 1}
            assert reader.tally(since) == {(None, "local"): 2, (None, "premium"): 1}

    @pytest.mark.parametrize("query", ["feedback", "shuts"])
    def test_what_was_said_is_found_by_its_index(self, three: Path, query: str) -> None:
        """However long the log is, only words are read, and their answers."""
        with closing(sqlite3.connect(three)) as db:
            plan = db.execute(f"EXPLAIN QUERY PLAN {SQL[query]}", {"seq": 0, "since": 0, "page": 1}).fetchall()
        steps = [row[3] for row in plan]
        assert "USING INDEX record_said" in steps[0]
        assert not [step for step in steps if "SCAN" in step and "SUBQUERY" not in step]

    def test_a_damaged_word_is_said_in_words(self, three: Path) -> None:
        """No traceback: the reader names `laneway log verify`."""
        with closing(Log.open(three)) as log:
            append(log, said("alpha"), shut("alpha"))
        tamper(three, "UPDATE record SET body = x'00' WHERE kind IN ('feedback', 'shut', 'intent')")
        with reading(three) as reader:
            for read in (reader.feedback, reader.shuts, reader.tally):
                with pytest.raises(LogError, match="log verify"):
                    list(read())


class TestVerify:
    def test_an_untouched_log_is_in_order(self, three: Path) -> None:
        """The number of records and the last hash are told, progress is reported."""
        steps: list[tuple[int, int]] = []
        with reading(three) as reader:
            found = reader.verify(lambda done, total: steps.append((done, total)))
        with closing(sqlite3.connect(three)) as db:
            (head,) = db.execute("SELECT hex(hash) FROM record WHERE seq = 6").fetchone()
        assert found == Verification(True, 6, None, head.lower())
        assert steps[-1] == (6, 6)

    @pytest.mark.parametrize("column", ["at", "decision", "kind", "body", "hash"])
    @pytest.mark.parametrize("seq", [1, 2, 3, 4, 5, 6])
    def test_one_flipped_bit_names_its_record(self, three: Path, column: str, seq: int) -> None:
        """Every bit of every column of every record is under the hash."""
        with closing(sqlite3.connect(three, isolation_level=None)) as db, reading(three) as reader:
            db.execute("PRAGMA ignore_check_constraints = ON")
            unguard(db)
            cell = f"SELECT {column}, decision FROM record WHERE seq = ?"
            value, decision = db.execute(cell, [seq]).fetchone()
            write = f"UPDATE record SET {column} = ? WHERE seq = ?"
            for changed in flipped(value):
                db.execute(write, [changed, seq])
                found = reader.verify()
                assert not found.ok
                assert found.problem
                assert found.problem.startswith(f"record {seq} (decision ")
                assert column == "decision" or decision in found.problem
                assert found.entries == seq - 1
            db.execute(write, [value, seq])
            assert reader.verify().ok

    @pytest.mark.parametrize("seq", range(1, 7))
    def test_a_renumbered_record_is_found(self, three: Path, seq: int) -> None:
        """A record moved to another place leaves a gap, or breaks its own hash."""
        tamper(three, "UPDATE record SET seq = seq + 64 WHERE seq = ?", seq)
        found = verified(three)
        assert found.problem
        assert found.problem.startswith(f"record {seq} is missing, before record ")

    def test_a_deleted_record_is_found(self, three: Path) -> None:
        """The gap is named, and the record after it."""
        tamper(three, "DELETE FROM record WHERE seq = 3")
        assert verified(three).problem == "record 3 is missing, before record 4 (decision beta)"

    def test_a_deleted_first_record_is_found(self, three: Path) -> None:
        """The chain must begin at 1 even when everything after it was renumbered."""
        tamper(three, "DELETE FROM record WHERE seq = 1")
        tamper(three, "UPDATE record SET seq = seq - 1")
        assert (verified(three).problem or "").startswith("record 1 (decision alpha) was changed")

    def test_swapped_records_are_found(self, three: Path) -> None:
        """Two records that changed places do not follow from what is before them."""
        for old, new in ((2, 0), (4, 2), (0, 4)):
            tamper(three, "UPDATE record SET seq = ? WHERE seq = ?", new, old)
        assert (verified(three).problem or "").startswith("record 2 (decision beta) was changed")

    def test_a_changed_salt_is_found(self, three: Path) -> None:
        """The salt that keys the commitments is where the chain begins."""
        tamper(three, "UPDATE meta SET value = randomblob(32)")
        assert (verified(three).problem or "").startswith("record 1 (decision alpha) was changed")
        tamper(three, "DELETE FROM meta")
        assert "salt is gone" in (verified(three).problem or "")

    def test_bytes_changed_in_the_file_are_found(self, three: Path) -> None:
        """Behind SQLite's back no record can be changed either."""
        whole = three.read_bytes()
        place = whole.index(b'"kind":"outcome","id":"gamma"') + 25
        three.write_bytes(whole[:place] + b"G" + whole[place + 1 :])
        assert (verified(three).problem or "").startswith("record 6 (decision gamma) was changed")

    def test_no_damage_is_a_traceback(self, three: Path) -> None:
        """Whatever byte of the file is wrong, or how short it is, the reader says so in words."""
        whole = three.read_bytes()
        dice = random.Random(7)
        damaged = [whole[: dice.randrange(len(whole))] for _ in range(30)]
        for _ in range(300):
            place = dice.randrange(len(whole))
            damaged.append(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1 :])
        for content in damaged:
            three.write_bytes(content)
            with reading(three) as reader:
                found = reader.verify()
                assert found.ok == (found.problem is None)
                try:
                    list(reader.recent())
                    reader.nearest("alpah")
                except LogError:
                    assert not found.ok


def flipped(value: int | str | bytes) -> Iterator[int | str | bytes]:
    """`value` with one bit changed, once for every bit (every 29th of a long one)."""
    if isinstance(value, int):
        yield from (value ^ 1 << bit for bit in range(62))
        return
    data = value.encode() if isinstance(value, str) else value
    for bit in range(0, len(data) * 8, 29 if len(data) > 64 else 1):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        if isinstance(value, bytes):
            yield bytes(changed)
        elif changed.isascii():
            yield changed.decode()
