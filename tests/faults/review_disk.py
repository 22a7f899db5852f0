"""What a dead server leaves on disk, and what the next one has made of it by the time that it answers.

Only raw bytes are looked at, and the ciphertexts that lay there before; what had come to its end by then says the
ledger of the reviewers, to whom it was confirmed.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from laneway.store.content import place

__all__ = ["Disk"]

_CLEAR = re.compile(rb"Question \d|answer to \d|edit of \d|extract of \d")
_RELEASES = ("approve", "edit")


class Disk:
    """The files beside one log, over all lives of its server. `stayed` says which words should have gone."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.stayed: list[str] = []
        self._seen: dict[tuple[str, str], set[bytes]] = defaultdict(set)

    def noted(self) -> None:
        """The server is dead: remember each ciphertext that lies there."""
        if not place(self.log).exists():
            return
        with tempfile.TemporaryDirectory() as name:  # a reader of the files themselves would change them
            for path in self._files("content.db*"):
                shutil.copy(path, name)
            with closing(sqlite3.connect(Path(name) / place(self.log).name)) as db:
                found = db.execute("SELECT decision, part, sealed FROM piece WHERE why = 'review'").fetchall()
        for decision, part, sealed in found:
            self._seen[decision, part].add(sealed)

    def searched(self, ended: Mapping[str, str]) -> None:
        """The next server answers: `ended`, by id, says which action had ended what, and was confirmed before."""
        there = b"".join(path.read_bytes() for path in self._files("content.db*"))
        for (decision, part), pieces in self._seen.items():
            action = ended.get(decision)
            gone = action is not None and part != "comment" and not (part == "released" and action in _RELEASES)
            if gone and any(sealed in there for sealed in pieces):
                self.stayed.append(f"the {part} of {decision}, which ended by {action}")
        for path in self._files("*"):
            clear = _CLEAR.search(path.read_bytes())
            if clear:
                self.stayed.append(f"{clear[0].decode()} in {path.name}")

    def _files(self, what: str) -> Collection[Path]:
        return [path for path in self.log.parent.glob(f"{self.log.stem}.{what}") if path.suffix != ".yaml"]
