"""verify: an incident bundle in, what holds of it and what cannot be known out. Reads nothing else.

Every hash is computed anew, every certificate proved anew, and the summary made anew. What a bundle alone cannot show,
such as who signed where no key is given, is said and never passed over.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from laneway import __version__
from laneway.certificate.cases import OutOfTime
from laneway.certificate.form import Certificate
from laneway.certificate.second import objections
from laneway.errors import LanewayError, LogError, PolicyError, shown
from laneway.incident.box import Box, BundleError, opened
from laneway.incident.form import (
    CHECKPOINT,
    ERASURES,
    HTML,
    MANIFEST,
    MARKDOWN,
    RECORDS,
    Line,
    Manifest,
    Proved,
    certificate_name,
    policy_name,
    read_line,
    read_manifest,
    read_proved,
)
from laneway.incident.tally import Tally
from laneway.incident.told import html, markdown
from laneway.policy_file import parse
from laneway.record import Erased
from laneway.store.chain import link
from laneway.store.checkpoint import Checkpoint
from laneway.store.cleared import Cleared
from laneway.store.merkle import path_root
from laneway.store.note import PublicKey

__all__ = ["Judged", "judged"]

_SECONDS = 30.0
_HASH = 32
_erased = msgspec.json.Decoder(Erased).decode
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_Progress = Callable[[int, int], None]


class Judged(msgspec.Struct, kw_only=True):
    """What was found: the first `problem`, empty where there is none; what was `checked`, what is `unknown`.

    `manifest` is what the bundle says of itself, None where it could not be read.
    """

    problem: str = ""
    checked: list[str] = []
    unknown: list[str] = []
    manifest: Manifest | None = None


def judged(path: Path, key: PublicKey | None, progress: _Progress = lambda *_: None) -> Judged:
    """What holds of the bundle at `path`; with a key, also who signed it. Raises OSError where it cannot be read."""
    found = Judged()
    try:
        with opened(path) as box:
            _Judging(box, key, found, progress).run()
    except (BundleError, LogError) as error:
        found.problem = str(error)
    return found


class _Judging:
    """One bundle, step by step. Each step raises BundleError, or adds to what is found."""

    def __init__(self, box: Box, key: PublicKey | None, found: Judged, progress: _Progress) -> None:
        self._box, self._key, self._found, self._progress = box, key, found, progress
        self._tally, self._day = Tally(), datetime.date.min
        self._erasures = list[Proved]()

    def run(self) -> None:
        """All of it."""
        manifest = self._found.manifest = self._read()
        self._members(manifest)
        self._records(manifest, self._cleared())
        self._checkpoint(manifest)
        self._policies(manifest)
        self._summary(manifest)

    def _checked(self, told: str) -> None:
        self._found.checked.append(told)

    def _unknown(self, told: str) -> None:
        self._found.unknown.append(told)

    def _read(self) -> Manifest:
        if MANIFEST not in self._box.names:
            raise BundleError(f"it has no {MANIFEST}")
        try:
            manifest = read_manifest(self._box.whole(MANIFEST))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BundleError(f"{MANIFEST} is not one that this Laneway reads: {shown(error, 200)}") from None
        times = (manifest.made, manifest.start, manifest.end)
        if not all(at.tzinfo and 1970 <= at.year < 9999 for at in times) or manifest.start >= manifest.end:
            raise BundleError(f"{MANIFEST} names times that cannot be")
        return manifest

    def _members(self, manifest: Manifest) -> None:
        for name in sorted(self._box.names ^ {MANIFEST, *manifest.members}):
            said = "is missing" if name in manifest.members else "was added: the manifest has it not"
            raise BundleError(f"{shown(name, 99)} {said}")
        for name, member in manifest.members.items():
            digest, size = hashlib.sha256(), 0
            for part in self._box.parts(name):
                digest.update(part)
                size += len(part)
            if (digest.hexdigest(), size) != (member.sha256, member.bytes):
                raise BundleError(f"{name} is not what the manifest says: it was changed, or the manifest was")
        self._checked(f"the seal, and {len(manifest.members)} members by their hashes")

    def _cleared(self) -> Cleared:
        """What the bundle's records of erasures say was emptied."""
        said = list[tuple[int, int, Erased]]()
        for text in self._box.lines(ERASURES) if ERASURES in self._box.names else ():
            try:
                proved = read_proved(text)
                said.append((proved.record.seq, proved.record.at, _erased(proved.record.body)))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise BundleError(f"{ERASURES} has a line that is no record of an erasure") from None
            record, before = proved.record, _bytes(proved.before, f"the hash before record {proved.record.seq}")
            if _linked(before, record).hex() != record.hash or record.kind != "erased":
                raise BundleError(f"record {record.seq}, of an erasure, was changed: its hash does not follow")
            self._erasures.append(proved)
        return Cleared(said)

    def _records(self, manifest: Manifest, cleared: Cleared) -> None:
        """That each record follows from the one before, from the first that the manifest names to the last."""
        seq, head = manifest.first - 1, _bytes(manifest.before, "the hash before the first record")
        if RECORDS not in self._box.names or manifest.first < 1:
            raise BundleError(f"it has no records: {RECORDS} is missing, or the first is said to be {manifest.first}")
        at = first_at = 0
        for text in self._box.lines(RECORDS):
            seq += 1
            record = _line(text, seq)
            at = record.at
            first_at = first_at or at
            if record.seq != seq:
                raise BundleError(f"record {seq} is missing: record {record.seq} stands in its place")
            hash = _bytes(record.hash, f"the hash of record {seq}")
            if record.body:
                wrong = None if hash == _linked(head, record) else "was changed: its hash does not follow"
            else:
                left = (seq, record.at, record.decision.encode(), record.kind.encode(), hash)
                wrong = cleared.problem(left, head)
            if wrong:
                raise BundleError(f"record {seq} (decision {shown(record.decision)}) {wrong}")
            head = hash
            self._tally.add(record)
            if seq % 10_000 == 0:
                self._progress(seq - manifest.first, manifest.last - manifest.first)
        if (seq, head.hex()) != (manifest.last, manifest.head):
            raise BundleError(f"the records end with {seq}, and the manifest names {manifest.last} with another hash")
        start, end = (_micros(moment) for moment in (manifest.start, manifest.end))
        if not (start <= first_at < end and start <= at < end):
            raise BundleError("the first or the last record is not of the time that the manifest names")
        self._day = (_EPOCH + datetime.timedelta(microseconds=at)).date()
        if tuple(self._tally.emptied) != manifest.emptied:
            raise BundleError("other records are without a body than the manifest says")
        self._checked(f"records {manifest.first:,} to {seq:,}: each follows from the one before")
        if manifest.emptied:
            gone = sum(last - first + 1 for first, last in manifest.emptied)
            self._unknown(f"what {gone:,} records said: their bodies had been erased, and their hashes stand")
        if self._tally.unread:
            self._unknown(f"what {self._tally.unread:,} records say: this Laneway does not read them")

    def _checkpoint(self, manifest: Manifest) -> None:
        """That these records are among those that were signed, and by whom."""
        if CHECKPOINT not in self._box.names:
            if self._key is not None or manifest.signed or manifest.path:
                raise BundleError("it has no signed checkpoint")
            self._unknown("whether the log said so at the time: the bundle has no signed checkpoint")
            return
        note = self._box.whole(CHECKPOINT)
        signed = _claimed(note) if self._key is None else Checkpoint.opened(note, self._key)
        self._signed_erasures(signed)
        end = min(manifest.last, signed.size)
        lines = islice(self._box.lines(RECORDS), max(0, end - manifest.first + 1))
        known = (bytes.fromhex(read_line(line).hash) for line in lines)  # as they were found good before
        path = [_bytes(hash, "a hash of the audit path") for hash in manifest.path]
        root = path_root(signed.size, manifest.first - 1, end, known, path)
        if root != signed.root or signed.size != manifest.signed:
            raise BundleError(f"records {manifest.first} to {end} are not among the {signed.size} that were signed")
        by = "" if self._key is None else f" by {self._key.name}, whose key was given"
        claim = "signed" if self._key else "in the checkpoint"
        self._checked(f"records {manifest.first:,} to {end:,}: among the {signed.size:,} {claim}{by}")
        if self._key is None:
            self._unknown(f"who signed the checkpoint of {shown(signed.origin)}: give --public-key, from elsewhere")
        if end < manifest.last:
            self._unknown(f"whether records {end + 1:,} to {manifest.last:,} were on record: no signature covers them")

    def _signed_erasures(self, signed: Checkpoint) -> None:
        """That what says why records are empty was signed too, as far as the checkpoint goes."""
        for proved in self._erasures:
            seq, path = proved.record.seq, [_bytes(hash, "a hash of an audit path") for hash in proved.path]
            if seq > signed.size:
                self._unknown(f"whether record {seq}, of an erasure, was on record: no signature covers it")
            elif path_root(signed.size, seq - 1, seq, [bytes.fromhex(proved.record.hash)], path) != signed.root:
                raise BundleError(f"record {seq}, of an erasure, is not among the {signed.size} that were signed")

    def _policies(self, manifest: Manifest) -> None:
        """That the texts are those by which requests were decided, and that the certificates hold."""
        wanted = {*self._tally.policies, *([manifest.in_force] if manifest.in_force else [])}
        texts = {hash for hash in wanted if policy_name(hash) in self._box.names}
        if wanted - texts != set(manifest.missing):
            raise BundleError("other policies are missing than the manifest says")
        allowed = {MANIFEST, RECORDS, ERASURES, CHECKPOINT, HTML, MARKDOWN}
        extra = self._box.names - allowed - {name(hash) for hash in texts for name in (policy_name, certificate_name)}
        if extra:
            raise BundleError(f"{min(extra)} belongs to no policy of these records")
        proved = 0
        for hash in sorted(texts):
            text = self._box.whole(policy_name(hash))
            if hashlib.sha256(text).hexdigest() != hash:
                raise BundleError(f"{policy_name(hash)} is not the text of that hash")
            if (certificate_name(hash) in self._box.names) == (hash in manifest.uncertified):
                raise BundleError(f"the manifest and the bundle do not agree on the certificate of policy {hash[:16]}")
            if certificate_name(hash) in self._box.names:
                proved += self._certificate(hash, text, manifest)
        self._checked(f"policies in force: {len(texts)}, each by its hash; certificates proved anew: {proved}")
        if manifest.missing:
            self._unknown(f"what {len(manifest.missing)} of the policies said: the log had the text no more")

    def _certificate(self, hash: str, text: bytes, manifest: Manifest) -> bool:
        """Whether the certificate was proved anew; where this Laneway cannot, that is said."""
        if manifest.laneway != __version__:
            other = shown(manifest.laneway)
            self._unknown(f"whether the certificate of policy {hash[:16]} holds: Laneway {other} made it")
            return False
        try:
            certificate = msgspec.json.decode(self._box.whole(certificate_name(hash)), type=Certificate)
            policy = parse(text.decode(), policy_name(hash))
            wrong = next(objections(policy, certificate, self._day, _SECONDS), None)
        except OutOfTime as error:
            self._unknown(f"whether the certificate of policy {hash[:16]} holds: {error}")
            return False
        except (PolicyError, msgspec.MsgspecError, UnicodeDecodeError):
            raise BundleError(f"policy {hash[:16]} or its certificate cannot be read") from None
        if wrong is not None:
            raise BundleError(f"the certificate of policy {hash[:16]} does not hold: {wrong}")
        return True

    def _summary(self, manifest: Manifest) -> None:
        """That the page and the text say what these records make, and nothing else."""
        if manifest.laneway != __version__:
            other = shown(manifest.laneway)
            self._unknown(f"whether the summary says what the records do: Laneway {other} made it, not {__version__}")
            return
        for name, made in ((HTML, html(manifest, self._tally)), (MARKDOWN, markdown(manifest, self._tally))):
            if name not in self._box.names or self._box.whole(name) != made.encode():
                raise BundleError(f"{name} does not say what the records do")
        self._checked("the summary: it says what the records do")


def _line(text: bytes, seq: int) -> Line:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        record = read_line(text)
        if record.decision.isprintable() and record.kind.isprintable():
            return record
    raise BundleError(f"where record {seq} should be, {RECORDS} has a line that is none")


def _linked(before: bytes, record: Line) -> bytes:
    """The hash that a record has behind another one."""
    texts = (record.decision.encode(), record.kind.encode(), record.body.encode())
    return link(before, record.seq, record.at, *texts)


def _micros(at: datetime.datetime) -> int:
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


def _bytes(hash: str, what: str) -> bytes:
    try:
        found = bytes.fromhex(hash)
    except ValueError:
        found = b""
    if len(found) != _HASH or found.hex() != hash:
        raise BundleError(f"{what} is no SHA-256: `{shown(hash)}`")
    return found


def _claimed(note: bytes) -> Checkpoint:
    """What the note says, whoever signed it."""
    try:
        text, _, _ = note.decode().rpartition("\n\n")
        return Checkpoint.claimed(f"{text}\n")
    except (UnicodeDecodeError, LanewayError):
        raise BundleError(f"{CHECKPOINT} is no checkpoint") from None
