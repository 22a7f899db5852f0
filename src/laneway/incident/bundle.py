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
    HTML,
    MANIFEST,
    MARKDOWN,
    RECORDS,
    Manifest,
    certificate_name,
    line,
    policy_name,
)
from laneway.incident.tally import Tally
from laneway.incident.told import html, markdown
from laneway.policy_file import parse
from laneway.proof.oracle import NotProved
from laneway.proof.verify import verify
from laneway.store.checkpoint import Checkpoint
from laneway.store.merkle import audit_path
from laneway.store.rows import Rows

__all__ = ["Asked", "bundle"]

_SECONDS = 5.0
"""The most that the proof of one policy may take."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_Progress = Callable[[int, int], None]


class Asked(NamedTuple):
    """What the bundle is to be about: from a moment to another, and why, in a few words.

    `notes` are the checkpoints that were signed, each with the note that it stands in.
    """

    start: datetime.datetime
    end: datetime.datetime
    why: str = ""
    notes: Sequence[tuple[Checkpoint, bytes]] = ()


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
        signed, path = _signed(rows, packing, asked.notes, first, last)
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


def _signed(
    rows: Rows, packing: Packing, notes: Sequence[tuple[Checkpoint, bytes]], first: int, last: int
) -> tuple[int, tuple[str, ...]]:
    """Put in the checkpoint that covers the records, or the most of them: its size, and the path to it."""
    here = rows.last()
    fit = [(checkpoint.size, note) for checkpoint, note in notes if first <= checkpoint.size <= here]
    if not fit:
        return 0, ()
    size, note = min((one for one in fit if one[0] >= last), default=max(fit))
    path = audit_path(size, first - 1, min(last, size), rows.reader.hashes)
    packing.add(CHECKPOINT, [note])
    return size, tuple(hash.hex() for hash in path)
