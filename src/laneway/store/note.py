"""Signed notes in the form of C2SP signed-note: keys and texts go in, notes and proved texts come out.

Keys are kept as text, as the Go tools for such notes keep them, with the name of the log that they sign for. Ed25519
is done by the `cryptography` package, the `checkpoint` extra.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from laneway.errors import LogError, UsageError, shown

__all__ = ["PrivateKey", "PublicKey", "keep_new_key", "public_key"]

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\N{EM DASH} "


class PublicKey(NamedTuple):
    """Whose signatures to believe: the log's `name`, and 32 bytes of Ed25519."""

    name: str
    raw: bytes

    @property
    def text(self) -> str:
        """As it is given to people."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @classmethod
    def read(cls, text: str) -> PublicKey:
        """The key that `text` writes out. Raises UsageError."""
        name, _, rest = text.strip().partition("+")
        id, _, encoded = rest.partition("+")
        key = cls(name, _decoded(encoded)[1:])
        if _decoded(encoded)[:1] != _ED25519 or len(key.raw) != 32 or id != key.id.hex() or not _is_name(name):
            # Not shown: it may be the private one.
            raise UsageError("that is no public key: give the line that `laneway log key` printed, whole")
        return key

    def opened(self, note: str) -> str:
        """The text of a note that this key signed. Raises LogError for any other."""
        text, _, lines = note.rpartition("\n\n")
        text += "\n"
        signatures = [self._signature(line) for line in lines.splitlines()]
        mine = [signature for signature in signatures if signature is not None]
        if not mine:
            raise LogError(f"it is not signed by {self.text}")
        ed25519, invalid = _ed25519()
        for signature in mine:
            try:
                ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
            except (invalid, ValueError):
                raise LogError(f"its signature by {self.name} is not valid") from None
        return text

    def _signature(self, line: str) -> bytes | None:
        """The signature in a line, where it claims to be of this key."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        data = _decoded(encoded)
        return data[4:] if line.startswith(_DASH) and (name, data[:4]) == (self.name, self.id) else None


class PrivateKey:
    """What signs: keep it where the log's readers cannot read it."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = _ed25519()[0].Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """The key in a file that `laneway log key` made. Raises UsageError, without showing any of it."""
        try:
            if path.stat().st_mode & 0o077:
                raise UsageError(f"the key file {path} can be read by others: run `chmod 600` on it")
            text = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"the key file {path} cannot be read: {why}; `laneway log key` makes one") from None
        name, _, rest = text.removeprefix(_PRIVATE).partition("+")
        id, _, encoded = rest.partition("+")
        data = _decoded(encoded)
        if text.startswith(_PRIVATE) and data[:1] == _ED25519 and len(data) == 33 and _is_name(name):
            key = cls(name, data[1:])
            if key.public.id.hex() == id:
                return key
        raise UsageError(f"the file {path} holds no private key: `laneway log key` makes one")

    def signed(self, text: str) -> str:
        """`text`, which ends with a newline, as a note."""
        signature = base64.b64encode(self.public.id + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.public.name} {signature}\n"


def keep_new_key(path: Path, name: str) -> PublicKey:
    """Make a key for the log `name` and keep it in a new file that only its owner may read."""
    if not _is_name(name):
        raise UsageError(f"a log's name holds no space and no plus, unlike `{shown(name)}`: take one such as "
                         "`example.com/laneway`")  # fmt: skip
    seed = secrets.token_bytes(32)
    public = PrivateKey(name, seed).public
    text = f"{_PRIVATE}{name}+{public.id.hex()}+{base64.b64encode(_ED25519 + seed).decode()}\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists, and a key is never written over: name another file") from None
    except OSError as error:
        raise UsageError(f"the key file {path} cannot be made: {error.strerror}") from None
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return public


def public_key(text: str) -> PublicKey:
    """The public key that `text` is, or that stands in the file it names. Raises UsageError."""
    file = Path(text)
    return PublicKey.read(file.read_text("utf-8", "replace") if file.is_file() else text)


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and not any(c.isspace() or c == "+" for c in name)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _ed25519() -> tuple[ModuleType, type[Exception]]:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "checkpoints are signed with the package `cryptography`, which is not installed here: "
            "install Laneway with its extra `checkpoint`, as in `pip install 'laneway[checkpoint]'`"
        ) from None
    return ed25519, InvalidSignature
