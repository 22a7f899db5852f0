"""box: the file of an incident bundle: a zip whose comment is the SHA-256 of all before it, so that no byte can change.

What comes in may be hostile: nothing is unpacked to disk, names and lengths are judged before anything is read, and
nothing is read beyond them.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from laneway.errors import LanewayError, UsageError, shown
from laneway.incident.form import Member

__all__ = ["Box", "BundleError", "Packing", "opened"]

_END = struct.Struct("<4s4H2LH")
_SEAL = 64
_MOST_FILE = 2**31 - 1
_MOST_MEMBERS = 1_000
_MOST_DIRECTORY = 2**18
_MOST_BYTES = 2**32
_MOST_TIMES = 200
"""By how much a member may be packed, beyond a little: far less than what a bomb needs."""
_LITTLE = 2**16
_MOST_LINE = 2**24
_CHUNK = 2**18
_NAMES: dict[str, int] = {
    r"manifest\.json": 2**24, r"records\.jsonl": _MOST_BYTES, r"erasures\.jsonl": 2**26,
    r"checkpoint\.txt": 2**14, r"summary\.(html|md)": 2**24,
    r"policies/[0-9a-f]{64}\.yaml": 2**20, r"certificates/[0-9a-f]{64}\.json": 2**24,
}  # fmt: skip
"""What a member may be called, and how long one of that name may be."""
_BROKEN = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error, OverflowError)


class BundleError(LanewayError):
    """The file is no incident bundle, or not as it was made."""


class Packing:
    """A bundle that is being made in `file`. Each member is written once, from front to end."""

    def __init__(self, file: BinaryIO) -> None:
        self.members: dict[str, Member] = {}
        self._file, self._zip = file, ZipFile(file, "w", ZIP_DEFLATED, allowZip64=False)

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        """One member. Raises UsageError where the whole becomes longer than a bundle may be."""
        digest, size = hashlib.sha256(), 0
        info = ZipInfo(name)  # of no time, so that the same members make the same file
        info.compress_type, info.external_attr = ZIP_DEFLATED, 0o600 << 16
        with self._zip.open(info, "w") as member:
            for part in parts:
                size += len(part)
                if size > _MOST_FILE or self._file.tell() > _MOST_FILE - 2**26:
                    raise UsageError("the bundle would be longer than 2 GiB: take a shorter time")
                digest.update(part)
                member.write(part)
        self.members[name] = Member(digest.hexdigest(), size)

    def seal(self) -> None:
        """The end: nothing can be added after it."""
        self._zip.comment = b"0" * _SEAL
        self._zip.close()
        size = self._file.seek(0, io.SEEK_END) - _SEAL
        seal = _digest(self._file, size)
        self._file.seek(size)
        self._file.write(seal)


class Box:
    """A bundle that is being read: its members by name, within their bounds."""

    def __init__(self, zip: ZipFile) -> None:
        self._zip = zip
        self.names = frozenset(zip.namelist())

    def parts(self, name: str) -> Iterator[bytes]:
        """A member by the piece."""
        with self._reading(name) as member:
            while part := member.read(_CHUNK):
                yield part

    def whole(self, name: str) -> bytes:
        """A member at once; only of those whose lengths are bounded closely."""
        return b"".join(self.parts(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """A member by the line."""
        with self._reading(name) as member:
            while line := member.readline(_MOST_LINE):
                if not line.endswith(b"\n"):
                    raise BundleError(f"{name} has a line that is too long, or that has no end")
                yield line

    @contextmanager
    def _reading(self, name: str) -> Iterator[BinaryIO]:
        try:
            with self._zip.open(name) as member, io.BufferedReader(member, _CHUNK) as file:  # type: ignore[type-var]
                yield file
        except _BROKEN:
            raise BundleError(f"{name} cannot be unpacked: it was changed") from None


@contextmanager
def opened(path: Path) -> Iterator[Box]:
    """The bundle at `path`, judged by its form. Raises BundleError, and OSError where it cannot be read."""
    with path.open("rb") as file:
        _judge_end(file)
        try:
            zip = ZipFile(file)
        except _BROKEN:
            raise BundleError("it is no incident bundle: its list of members cannot be read") from None
        with zip:
            _judge_members(zip.infolist())
            yield Box(zip)


def _judge_end(file: BinaryIO) -> None:
    """That it ends as a bundle does, and that the seal is that of all before it."""
    size = file.seek(0, io.SEEK_END)
    at = size - _SEAL - _END.size
    if at < 0 or size > _MOST_FILE:
        raise BundleError("it is no incident bundle: " + ("too short" if at < 0 else "longer than 2 GiB"))
    file.seek(at)
    found = _END.unpack(file.read(_END.size))
    mark, disk, start_disk, here, members, length, offset, comment = found
    if mark != b"PK\5\6" or comment != _SEAL:
        raise BundleError("it does not end as an incident bundle does: it is none, or it was cut off")
    if file.read(_SEAL) != _digest(file, size - _SEAL):
        raise BundleError("its seal is not that of what it holds: it was changed after it was made")
    # One disk, a list of members of bounded length right before the end, and no second, larger list (zip64).
    file.seek(max(0, at - 20))
    plain = (disk, start_disk, here) == (0, 0, members) and not file.read(4).startswith(b"PK\6\7")
    if not plain or members > _MOST_MEMBERS or length > _MOST_DIRECTORY or offset + length != at:
        raise BundleError(f"its list of members is not that of a bundle: it has {members}, in {length} bytes")


def _judge_members(infos: list[ZipInfo]) -> None:
    """Names that are those of a bundle, each once, and lengths that are to be borne."""
    seen, total = set[str](), 0
    for info in infos:
        name = info.orig_filename
        most = next((most for pattern, most in _NAMES.items() if re.fullmatch(pattern, name)), None)
        if most is None:
            raise BundleError(f"it has a member that no bundle has: `{shown(name)}`")
        if name in seen:
            raise BundleError(f"it has two members of one name: {name}")
        if info.compress_type != ZIP_DEFLATED or info.flag_bits & ~0x8:
            raise BundleError(f"{name} is packed in a way that no bundle is")
        total += info.file_size
        if info.file_size > most or total > _MOST_BYTES or info.file_size > _MOST_TIMES * info.compress_size + _LITTLE:
            much = f"{info.file_size:,} bytes, of {info.compress_size:,}"
            raise BundleError(f"{name} is said to become {much}: it was not unpacked")
        seen.add(name)


def _digest(file: BinaryIO, size: int) -> bytes:
    """The SHA-256 of the first `size` bytes, in hex; the file stands behind them then."""
    digest = hashlib.sha256()
    file.seek(0)
    while size and (part := file.read(min(size, _CHUNK))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()
