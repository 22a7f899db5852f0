"""The folder that code may write: how full it is, and its end. Code may have left it in any state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["MOST_BYTES", "MOST_FILES", "remove", "too_full"]

MOST_FILES = 1_000
MOST_BYTES = 64 << 20
_DEEPEST = 30


def too_full(folder: str) -> bool:
    """Whether the folder holds more than it may, or cannot be counted: too deep, or shut to us."""
    files, size, waiting = 0, 0, [(folder, 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > _DEEPEST:
            return True
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_size
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
                    if files > MOST_FILES or size > MOST_BYTES:
                        return True
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def remove(folder: str) -> None:
    """Take the folder away, however deep it is: what lies deeper is moved up first, so that no path grows long."""
    while entries := list(Path(folder).iterdir()):
        for entry in entries:
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
                continue
            entry.chmod(0o700)
            for inner in list(entry.iterdir()):
                inner.rename(Path(folder) / secrets.token_hex(16))
            entry.rmdir()
    Path(folder).rmdir()
