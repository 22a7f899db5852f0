"""bundle: a log and a stretch of time in, the incident bundle out, while a server may go on writing.

Nothing that keys what the log has salted goes in. Records go through one by one; memory holds what is told of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from laneway import __version__
from laneway.certificate.certify import certify
from laneway.errors import LogError, PolicyError
from laneway.incident.box import Packing
from laneway.incident.form import (
    CHECKPOINT,
    ERASURES,
    HTML,
    MANIFEST,
    MARKDOWN,
    RECORDS,
    Manifest,
    Proved,
    Stretch,
    certificate_name,
    line,
    policy_name,
)
from laneway.incident.tally import Tally
from laneway.incident.told import html, markdown
from laneway.policy_file import parse
from laneway.proof.oracle import NotProved
from laneway.proof.verify import verify
from laneway.record import Erased
from laneway.store.checkpoint import Checkpoint
from laneway.store.merkle import audit_path
from laneway.store.rows import Row, Rows

__all__ = ["Asked", "Note", "bundle"]

_SECONDS = 5.0
"""The most that the proof of one policy may take."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_PAGE = 256
_erased = msgspec.json.Decoder(Erased).decode
_Progress = Callable[[int, int], None]


Note = tuple[Checkpoint, bytes]
"""A checkpoint, and the note that it stands in."""


class Asked(NamedTuple):
    """What the bundle is to be about: from a moment to another, and why, in a few words.

    `notes` are the checkpoints that were signed.
    """

    start: datetime.datetime
    end: datetime.datetime
    why: str = ""
    notes: Sequence[Note] = ()


def bundle(
    log: Path, asked: Asked, file: BinaryIO, made: datetime.datetime, progress: _Progress = lambda *_: None
) -> Manifest:
    """Write the bundle into the empty `file`. Raises LogError where nothing is on record of that time."""
    with closing(Rows(log)) as rows:
        first, last = _window(rows, asked)
        packing, copying = Packing(file), _Copying(rows, first, last)
        packing.add(RECORDS, copying.lines(progress))
        tally, in_force = copying.tally, _in_force(rows, first)
        texts = _policies(rows, [*tally.policies, in_force])
        missing = tuple(hash for hash, text in texts.items() if text is None)
        uncertified = _certified(packing, texts, (_EPOCH + copying.at * _MICROSECOND).date())
        erasures = _erasures(rows, tally.emptied)
        note = _covering(asked.notes, rows.last(), first, max([last, *(row[0] for row in erasures)]))
        signed, path = (note[0].size, _path(rows, note[0].size, first, last)) if note else (0, ())
        if note:
            packing.add(CHECKPOINT, [note[1]])
        if erasures:
            packing.add(ERASURES, [_proved(rows, row, signed) for row in erasures])
        before = rows.head(first - 1) or b""
    manifest = Manifest(
        laneway=__version__, made=made, start=asked.start, end=asked.end, why=asked.why, first=first, last=last,
        before=before.hex(), head=copying.head.hex(), emptied=tuple(tally.emptied), in_force=in_force, missing=missing,
        uncertified=uncertified, signed=signed, path=path, members={},
    )  # fmt: skip
    packing.add(HTML, [html(manifest, tally).encode()])
    packing.add(MARKDOWN, [markdown(manifest, tally).encode()])
    manifest = msgspec.structs.replace(manifest, members=dict(packing.members))
    packing.add(MANIFEST, [msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"])
    packing.seal()
    return manifest


class _Copying:
    """Records on their way into the bundle; `head` and `at` are those of the last one that went by."""

    def __init__(self, rows: Rows, first: int, last: int) -> None:
        self.tally, self.head, self.at = Tally(), b"", 0
        self._rows, self._first, self._last = rows, first, last

    def lines(self, progress: _Progress) -> Iterator[bytes]:
        """Each record as a line."""
        for page in self._rows.after(self._first - 1):
            for row in page:
                if row[0] > self._last:
                    return
                copied = line(row)
                self.tally.add(copied)
                self.head, self.at = row[5], row[1]
                yield msgspec.json.encode(copied) + b"\n"
            progress(page[-1][0] - self._first, self._last - self._first)


def _window(rows: Rows, asked: Asked) -> tuple[int, int]:
    """The first and the last record of the time."""
    start, end = ((at - _EPOCH) // _MICROSECOND for at in (asked.start, asked.end))
    first, last = rows.reader.ask("window", start=start, end=end)[0]
    if first is None:
        raise LogError(f"nothing is on record from {asked.start.isoformat()} to {asked.end.isoformat()}: "
                       "`laneway log` lists what is")  # fmt: skip
    return first, last


def _in_force(rows: Rows, first: int) -> str:
    """The policy of the newest decision before record `first`; empty where it is not known."""
    for _, decision in rows.reader.ask("newest_first", seq=first, since=0, page=1):
        with suppress(LogError):
            story = rows.reader.story(decision)
            return story.opening.policy if story else ""
    return ""


def _policies(rows: Rows, hashes: Iterable[str]) -> dict[str, str | None]:
    """The texts by hash, None where the log has it not."""
    return {hash: rows.reader.policy_text(hash) for hash in hashes if hash}


def _certified(packing: Packing, texts: Mapping[str, str | None], day: datetime.date) -> dict[str, str]:
    """Put in each policy, with a certificate of that day where it is proved in a few seconds; else why not, by hash."""
    why = dict[str, str]()
    for hash, text in texts.items():
        if text is None:
            continue
        packing.add(policy_name(hash), [text.encode()])
        try:
            policy = parse(text, policy_name(hash))
            report = verify(policy, day, seconds=_SECONDS)
            if not report.proved:
                why[hash] = report.unproved or f"not proved on {day}: {report.errors[0].code}, {report.errors[0].about}"
                continue
            certificate = certify(policy, report, day, _SECONDS)
        except PolicyError as error:
            why[hash] = f"this Laneway does not read it: {error.problems[0]}"
        except NotProved as error:
            why[hash] = str(error)
        else:
            packing.add(certificate_name(hash), [msgspec.json.encode(certificate)])
    return why


def _erasures(rows: Rows, emptied: Sequence[Stretch]) -> list[Row]:
    """The records that say why these are empty, whenever they were written."""
    found, seq = list[Row](), 0
    while emptied and (page := rows.reader.ask("erased", seq=seq, since=0, page=_PAGE)):
        for seq, _, body in page:
            with suppress(msgspec.MsgspecError):
                said = _erased(body).records
                if any(part.first <= one.last and one.first <= part.last for part in said for one in emptied):
                    found += rows.near(seq - 1, 1)
    return found


def _covering(notes: Sequence[Note], here: int, first: int, last: int) -> Note | None:
    """The first checkpoint that covers record `last`, else the newest that covers `first`. The log ends `here`."""
    fit = [note for note in notes if first <= note[0].size <= here]
    whole = [note for note in fit if note[0].size >= last]
    return min(whole, key=_size) if whole else max(fit, key=_size, default=None)


def _size(note: Note) -> int:
    return note[0].size


def _path(rows: Rows, size: int, first: int, last: int) -> tuple[str, ...]:
    path = audit_path(size, first - 1, min(last, size), rows.reader.hashes)
    return tuple(hash.hex() for hash in path)


def _proved(rows: Rows, row: Row, signed: int) -> bytes:
    """A record of an erasure, with what shows that it stands in the log."""
    seq, before = row[0], rows.head(row[0] - 1) or b""
    path = _path(rows, signed, seq, seq) if seq <= signed else ()
    return msgspec.json.encode(Proved(line(row), before.hex(), path)) + b"\n"
