"""source: the text of a policy or of its cases, from a file."""

from __future__ import annotations

from pathlib import Path

from laneway.errors import PolicyError, Problem
from laneway.yaml_nodes import MAX_BYTES

__all__ = ["read_source"]


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
