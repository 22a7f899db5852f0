from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.test_store import answered, append, intent

from laneway.cli import main
from laneway.errors import LogError
from laneway.record import Entry, Feedback, Shut
from laneway.store import Log, Reader, Signing, writer
from laneway.store.chain import SCHEMA, VERSION, genesis, line, link
from laneway.store.checkpoint import Against
from laneway.store.note import PrivateKey, keep_new_key

# The file as the first format had it, written out here: it must be readable for as long as anybody has one.
FORMAT_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, decision TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('intent', 'outcome')), body BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX record_by_decision ON record (decision, kind);
CREATE TABLE policy (hash TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
"""

# And what the second one added.
FORMAT_2 = """
CREATE TRIGGER record_unchanged BEFORE UPDATE ON record BEGIN SELECT raise(ABORT, 'records are never changed'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record BEGIN SELECT raise(ABORT, 'records are never deleted'); END;
CREATE TRIGGER policy_unchanged BEFORE UPDATE ON policy BEGIN SELECT raise(ABORT, 'policies are never changed'); END;
CREATE TRIGGER policy_kept BEFORE DELETE ON policy BEGIN SELECT raise(ABORT, 'policies are never deleted'); END;
CREATE TRIGGER meta_unchanged BEFORE UPDATE ON meta BEGIN SELECT raise(ABORT, 'the salt is never changed'); END;
CREATE TRIGGER meta_kept BEFORE DELETE ON meta BEGIN SELECT raise(ABORT, 'the salt is never deleted'); END;
PRAGMA user_version = 2;
"""


def older(path: Path, version: int = 1, requests: tuple[str, ...] = ("alpha",)) -> Path:
    """A log of the first or second format with some requests."""
    salt = bytes(range(32))
    head = genesis(salt)
    entries: list[Entry] = [entry for id in requests for entry in (intent(id), answered(id))]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(FORMAT_1)
        db.execute("INSERT INTO meta VALUES ('salt', ?)", [salt])
        for seq, entry in enumerate(entries, start=1):
            at, decision, kind, body = line(entry, time.time_ns() // 1000)
            head = link(head, seq, at, decision.encode(), kind.encode(), body)
            db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", [seq, at, decision, kind, body, head])
        if version == 2:
            db.executescript(FORMAT_2)
    return path


def rows(path: Path) -> list[tuple[object, ...]]:
    """Every column of every record."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT seq, at, decision, kind, body, hash FROM record ORDER BY seq").fetchall()


def _key(file: Path) -> PrivateKey:
    keep_new_key(file, "test")
    return PrivateKey.load(file)


WORD = Feedback(id="r7", accepted=False, by="ann", source="user", reason="wrong")


def schema(path: Path) -> list[tuple[str, str]]:
    """What is in a file."""
    with closing(sqlite3.connect(path)) as db:
        found: list[tuple[str, str]] = db.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
        return found


class TestMigration:
    def test_an_older_log_is_brought_up_and_goes_on(self, tmp_path: Path) -> None:
        """It has what a new one has, its chain continues, its story is told, and the server can say what it was."""
        path = older(tmp_path / "laneway.db")
        with closing(Log.open(path)) as log:
            assert log.migrated == 1
            append(log, intent("beta"), answered("beta"))
        with closing(Log.open(path)) as log, closing(Log.open(tmp_path / "new.db")) as new:
            assert (log.migrated, new.migrated) == (None, None)
        assert schema(path) == schema(tmp_path / "new.db")
        with closing(Reader.open(path)) as reader:
            assert [s.id for s in reader.stories()] == ["alpha", "beta"]
            found = reader.verify()
        assert (found.ok, found.entries) == (True, 4)

    @pytest.mark.parametrize("version", [1, 2])
    def test_no_record_and_no_checkpoint_changes(self, tmp_path: Path, version: int) -> None:
        """Every column of many pages of records is what it was, the table may grow new kinds, and stays guarded."""
        path = older(tmp_path / "laneway.db", version, tuple(f"r{n}" for n in range(500)))
        signing = Signing(path, tmp_path / "checkpoints", _key(tmp_path / "key"))
        signed = signing.once()
        signing.close()
        before = rows(path)
        with closing(Log.open(path)) as log:
            assert log.migrated == version
            assert rows(path) == before
            append(log, WORD, Shut(id="r7", lane="local", endpoint="http://127.0.0.1:1", measured="a", answered="b"))
        assert rows(path)[:-2] == before
        assert [row[3] for row in rows(path)[-2:]] == ["feedback", "shut"]
        with closing(Reader.open(path)) as reader:
            found = reader.verify(against=Against([signed]))
            assert (found.ok, found.entries, found.covered) == (True, 1002, 1000)
            assert [word.entry for word in reader.feedback()] == [WORD]
        with closing(sqlite3.connect(path)) as db:
            for statement in ("DELETE FROM record", "UPDATE record SET at = at", "UPDATE record SET body = x'20'",
                              "UPDATE record SET body = x'', kind = 'outcome'"):  # fmt: skip
                with pytest.raises(sqlite3.IntegrityError):
                    db.execute(statement)

    @pytest.mark.parametrize("version", [1, 2])
    def test_an_older_log_has_no_words_yet(self, tmp_path: Path, version: int) -> None:
        """Read as it is, without its index, it says so, and counts its answers."""
        path = older(tmp_path / "laneway.db", version)
        with closing(Reader.open(path)) as reader:
            assert (list(reader.feedback()), list(reader.shuts())) == ([], [])
            assert reader.tally() == {(None, "local"): 1}

    def test_an_older_log_can_be_read_and_copied_as_it_is(self, tmp_path: Path) -> None:
        """Verifying and backing up change nothing, so that a backup from before the change can be made with it."""
        path = older(tmp_path / "laneway.db")
        for command in (["verify"], ["backup", str(tmp_path / "copy.db")]):
            result = CliRunner().invoke(main, ["log", *command, "--log", str(path)])
            assert result.exit_code == 0, result.output
        for file in (path, tmp_path / "copy.db"):
            with closing(sqlite3.connect(file)) as db:
                assert db.execute("PRAGMA user_version").fetchone() == (1,)

    def test_a_change_that_fails_leaves_the_file_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half a step is none, and the error says so."""
        path = older(tmp_path / "laneway.db")
        before = schema(path)
        broken = SCHEMA[1].replace("PRAGMA user_version", "CREATE TABLE record (x); PRAGMA user_version")
        monkeypatch.setattr(writer, "SCHEMA", [SCHEMA[0], broken])
        with pytest.raises(LogError, match=r"has format 1 and could not be brought to format \d.*as it was before"):
            Log.open(path)
        assert schema(path) == before
        monkeypatch.undo()
        Log.open(path).close()

    def test_a_database_of_another_program_is_left_alone(self, tmp_path: Path) -> None:
        """No table of ours goes into a file of theirs."""
        path = tmp_path / "theirs.db"
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE songs (name TEXT)")
        before = path.read_bytes()
        with pytest.raises(LogError, match="database of another program: name another file"):
            Log.open(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("table", ["record", "policy", "meta"])
    def test_the_past_is_not_changed_by_accident(self, tmp_path: Path, table: str) -> None:
        """A statement that would change or delete what is on record fails."""
        path = tmp_path / "laneway.db"
        with closing(Log.open(path)) as log:
            append(log, intent("alpha"))
            log.archive("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "")
        with closing(sqlite3.connect(path)) as db:
            column = {"record": "at", "policy": "text", "meta": "value"}[table]
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
                with pytest.raises(sqlite3.IntegrityError, match="never"):
                    db.execute(statement)


class TestBackup:
    def test_a_copy_made_while_the_log_is_written_is_whole(self, tmp_path: Path) -> None:
        """It verifies, is one file for its owner, and can be served from; what came later is not in it."""
        path, copy = tmp_path / "laneway.db", tmp_path / "copy.db"
        with closing(Log.open(path)) as log:
            append(log, intent("alpha"), answered("alpha"))
            result = CliRunner().invoke(main, ["log", "backup", str(copy), "--log", str(path)])
            append(log, intent("beta"), answered("beta"))
        assert result.exit_code == 0, result.output
        assert "holds 2 entries" in result.stdout
        assert sorted(p.name for p in tmp_path.iterdir() if "copy" in p.name) == ["copy.db"]
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(Log.open(copy)) as log:
            append(log, intent("gamma"))
        with closing(Reader.open(copy)) as reader:
            assert [s.id for s in reader.stories()] == ["alpha", "gamma"]
            assert reader.verify().ok

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        """A name that is taken is refused, and what stands there stays."""
        path, copy = tmp_path / "laneway.db", tmp_path / "copy.db"
        Log.open(path).close()
        copy.write_text("a song")
        result = CliRunner().invoke(main, ["log", "backup", str(copy), "--log", str(path)])
        assert (result.exit_code, copy.read_text()) == (2, "a song")
        assert "never written over" in result.stderr

    def test_a_damaged_log_gives_a_copy_and_a_failure(self, tmp_path: Path) -> None:
        """The copy is kept, as it may be all there is, and is said not to verify."""
        path, copy = tmp_path / "laneway.db", tmp_path / "copy.db"
        with closing(Log.open(path)) as log:
            append(log, intent("alpha"), answered("alpha"))
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b'"lane":"local"', b'"lane":"lokal"'))
        result = CliRunner().invoke(main, ["log", "backup", str(copy), "--log", str(path)])
        assert result.exit_code == 1
        assert "is kept, but NOT ok: record 1" in " ".join(result.stderr.split())
        assert copy.exists()

    def test_a_place_that_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        """The error names the place."""
        path = tmp_path / "laneway.db"
        Log.open(path).close()
        result = CliRunner().invoke(main, ["log", "backup", str(tmp_path / "no" / "copy.db"), "--log", str(path)])
        assert (result.exit_code, "No such file or directory" in result.stderr) == (2, True)


def test_the_format_is_counted_from_the_schema() -> None:
    """A new part of schema.sql is a new format."""
    assert len(SCHEMA) == VERSION
    assert all(f"PRAGMA user_version = {n};" in part for n, part in enumerate(SCHEMA, start=1))
