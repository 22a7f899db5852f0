"""Kept content: encrypted, bound to its place, and gone when it is erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from laneway.errors import ContentError
from laneway.store import content as content_module
from laneway.store.content import Content, place

SECRET = b"the merger closes on Friday" * 8
LATER = 2**62


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a log would be."""
    return tmp_path / "laneway.db"


@pytest.fixture
def kept(log: Path) -> Iterator[Content]:
    """The content beside it."""
    with closing(Content.open(log)) as content:
        yield content


def everything(log: Path) -> bytes:
    """All bytes of all files of the content."""
    return b"".join(path.read_bytes() for path in sorted(log.parent.glob("laneway.content.*")))


def sealed(log: Path) -> list[bytes]:
    """The ciphertexts in the file."""
    with closing(sqlite3.connect(place(log))) as db:
        return [row[0] for row in db.execute("SELECT sealed FROM piece")]


def test_what_is_kept_comes_back_and_stands_nowhere_in_clear(kept: Content, log: Path) -> None:
    """A piece is read back as it was, and none of the files holds its text."""
    assert kept.put("d1", "answer", SECRET, why="review", until=LATER) == 1
    assert kept.get("d1", "answer") == SECRET
    assert kept.get("d1", "request") is None
    assert SECRET[:12] not in everything(log)


def test_a_new_version_never_writes_over_an_old_one(kept: Content) -> None:
    """An edit is appended."""
    for text in (b"one", b"two", b"three"):
        kept.put("d1", "edit", text, why="review", until=LATER)
    assert kept.versions("d1", "edit") == [b"one", b"two", b"three"]
    assert kept.get("d1", "edit") == b"three"


def test_what_is_erased_is_in_no_file_any_more(kept: Content, log: Path) -> None:
    """Neither the text nor its ciphertext is in the database, the write-ahead log or a copy made after."""
    kept.put("d1", "answer", SECRET, why="review", until=LATER, subject="s1")
    kept.put("d2", "answer", b"another", why="capture", until=LATER)
    (gone,) = (one for one in sealed(log) if len(one) > 100)
    assert gone in everything(log)
    assert kept.erase_subject("s1") == 1
    assert gone not in everything(log)
    assert gone[20:60] not in everything(log)
    assert kept.get("d2", "answer") == b"another"


def test_what_a_reader_elsewhere_held_on_to_is_forgotten_later(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write-ahead log still has it while another program reads, and the next sweep makes it forget."""
    monkeypatch.setattr(content_module, "_BUSY_SECONDS", 0.05)
    with closing(Content.open(log)) as kept, closing(sqlite3.connect(place(log), isolation_level=None)) as reader:
        kept.put("d1", "answer", SECRET, why="review", until=LATER)
        (gone,) = sealed(log)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM piece").fetchone()
        kept.erase("d1")
        assert gone in everything(log)
        reader.execute("COMMIT")
        assert kept.erase_due(0) == 0
        assert gone not in everything(log)


def test_what_was_to_be_released_and_was_not_goes_with_the_rest(kept: Content) -> None:
    """Of the part that stays only the newest version does: earlier ones were never approved."""
    for text in (b"never approved", b"approved"):
        kept.put("d1", "released", text, why="review", until=LATER)
    assert kept.erase("d1", but="released") == 1
    assert kept.versions("d1", "released") == [b"approved"]


def test_nobody_is_the_subject_of_what_names_none(kept: Content) -> None:
    """An empty subject erases nothing."""
    kept.put("d1", "answer", b"x", why="review", until=LATER)
    assert kept.erase_subject("") == 0


def test_a_review_is_erased_but_for_what_was_released(kept: Content) -> None:
    """Captured content of the same decision stays, and so do comments and the part that is named."""
    for part in ("request", "answer", "released", "comment"):
        kept.put("d1", part, b"x", why="review", until=LATER)
    kept.put("d1", "answer", b"y", why="capture", until=LATER)
    assert kept.erase("d1", but="released") == 2
    left = [("answer", "capture"), ("comment", "review")]
    assert [(p.part, p.why) for p in kept.pieces()] == [*left, ("released", "review")]
    kept.erase("d1")
    assert [(p.part, p.why) for p in kept.pieces()] == left


def test_what_is_past_its_time_goes(kept: Content) -> None:
    """The sweep erases by date."""
    kept.put("d1", "answer", b"x", why="review", until=100)
    kept.put("d2", "answer", b"x", why="review", until=101)
    assert kept.erase_due(100) == 1
    assert [piece.decision for piece in kept.pieces()] == ["d2"]


def test_a_moved_piece_is_not_used(kept: Content, log: Path) -> None:
    """A ciphertext that was put under another decision is found out."""
    kept.put("d1", "answer", b"approved words", why="review", until=LATER)
    kept.put("d2", "answer", b"other words", why="review", until=LATER)
    with closing(sqlite3.connect(place(log))) as db:
        db.execute("UPDATE piece SET sealed = (SELECT sealed FROM piece WHERE decision = 'd2') WHERE decision = 'd1'")
        db.commit()
    with pytest.raises(ContentError, match=r"the answer of decision d1 in .* was changed or moved"):
        kept.get("d1", "answer")


def test_a_lost_a_foreign_and_an_open_key_are_told_apart(kept: Content, log: Path) -> None:
    """Each is refused with what to do; none is made anew over what it does not open."""
    kept.close()
    key = log.with_suffix(".content.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert place(log).stat().st_mode & 0o777 == 0o600
    good = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(ContentError, match="does not open"):
        Content.open(log)
    key.write_bytes(good[:9])
    with pytest.raises(ContentError, match="has 9 bytes and not 32"):
        Content.open(log)
    key.chmod(0o644)
    with pytest.raises(ContentError, match="can be read by others: `chmod 600"):
        Content.open(log)
    key.unlink()
    with pytest.raises(ContentError, match="there is no key"):
        Content.open(log)
    assert not key.exists()
