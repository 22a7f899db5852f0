"""source: the text of a policy or of its cases, from a file and back into it; and files replaced in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from laneway.errors import PolicyError, Problem, UsageError
from laneway.yaml_nodes import MAX_BYTES

__all__ = ["drafted", "read_source", "replace_file", "write_source"]


def read_source(path: Path, remedy: str) -> str:
    """The text of a policy or of its cases. Raises PolicyError, with the remedy where there is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PolicyError([Problem(str(path), 0, 0, f"is longer than {MAX_BYTES} bytes")])
        return data.decode("utf-8")
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}; {remedy}")]) from None
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"is not UTF-8 at byte {error.start}")]) from None


def write_source(path: Path, old: str, new: str) -> None:
    """`new` into the file in one step, its mode kept. UsageError where it does not hold `old` any more."""
    path = path.resolve()
    if path.read_bytes() != old.encode():
        raise UsageError(f"{path} changed while it was being proved, so that nothing was written; run this again")
    replace_file(path, new.encode(), path.stat().st_mode)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """`data` into the file whole or not at all, on disk before it is there by name.

    What is there already and is no file, such as `/dev/null` or a pipe, is written to as it is.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with drafted(path, mode) as file:
        file.write(data)


@contextmanager
def drafted(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A file to write and to read again, which takes the place of `path` once the block has ended well."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
