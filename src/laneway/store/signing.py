"""Signing: keeps signed checkpoints of a log somewhere else, once or every so many seconds.

Owns a thread, a reader of its own and the tree's edge, so that neither requests nor the writer wait for it. A place
that cannot be written stops no answer: what was recorded is whole; what is missing is the second witness of it.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from laneway.errors import LogError
from laneway.store.checkpoint import Checkpoint, Kept, kept
from laneway.store.merkle import Tree
from laneway.store.note import PrivateKey
from laneway.store.reader import Reader

__all__ = ["Signing"]

_PATIENCE = 10.0
_log = logging.getLogger("laneway")


class Signing:
    """Checkpoints of the log at `log`, signed with `key`, in the file `place` (in it, where it is a directory).

    `failure` says why the newest could not be kept, None while all is well.
    """

    def __init__(self, log: Path, place: Path, key: PrivateKey) -> None:
        self.place = place / f"{log.name}.checkpoints" if place.is_dir() else place
        self.failure: str | None = None
        self._log, self._key = log, key
        self._tree, self._last = Tree(), Checkpoint(key.public.name, 0, b"")
        self._reader: Reader | None = None
        self._when = time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def once(self) -> Checkpoint:
        """Sign the log as it is on disk now; nothing is added where the newest checkpoint says the same.

        Raises LogError where the place cannot be written, and where the log does not continue what was signed before:
        a log that is older than its checkpoint, or another one, is never signed over it.
        """
        when = time.monotonic()
        if self._reader is None:
            self._reader = Reader.open(self._log)
        with kept(self.place, create=not self._last.root) as file:
            checkpoint = self._made(file, self._reader)
        self._last, self._when = checkpoint, when
        return checkpoint

    def _made(self, file: Kept, reader: Reader) -> Checkpoint:
        found = file.last(self._key.public)
        last = found or Checkpoint(self._key.public.name, 0, Tree().root())
        if last.size < self._last.size:
            raise LogError(f"the checkpoint file {self.place} ends at {last.size} records, and {self._last.size} were "
                           "signed in it: it was cut off or replaced; put it back, or start with another")  # fmt: skip
        if last != self._last and last.size < self._tree.size:
            self._tree = Tree()
        self._grow(reader, last.size)
        if self._tree.size < last.size:
            raise LogError(f"the log {self._log} ends at record {self._tree.size}, and {last.size} were signed in "
                           f"{self.place}: {_OTHER}")  # fmt: skip
        if self._tree.size == last.size and self._tree.root() != last.root:
            raise LogError(f"the first {last.size} records of the log {self._log} are not those that were signed in "
                           f"{self.place}: {_OTHER}")  # fmt: skip
        self._grow(reader, None)
        made = Checkpoint(self._key.public.name, self._tree.size, self._tree.root())
        if made != found:
            file.append(made.signed(self._key))
        return made

    def _grow(self, reader: Reader, until: int | None) -> None:
        for hash in reader.hashes(self._tree.size, until):
            self._tree.add(hash)

    def start(self, seconds: float) -> Checkpoint:
        """The first checkpoint, and from then on one every `seconds`, by a thread. Raises what `once` does."""
        first = self.once()
        self._thread = threading.Thread(target=self._run, args=(seconds,), name="laneway-checkpoint", daemon=True)
        self._thread.start()
        return first

    def close(self) -> None:
        """One last checkpoint, and an end; a place that does not answer is left behind after some seconds."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
            if self._thread.is_alive():
                _log.error("%s does not answer: the last checkpoint was not kept there", self.place)
                return
        if self._reader is not None:
            self._reader.close()

    def state(self) -> dict[str, object]:
        """For people: how many records are covered, how old that is in seconds, and what is wrong."""
        age = round(time.monotonic() - self._when, 1)
        return {"records": self._last.size, "age_seconds": age, "failure": self.failure}

    def _run(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            self._try()
        self._try()

    def _try(self) -> None:
        try:
            self.once()
            failure = None
        except LogError as error:
            failure = str(error)
        if failure is not None and failure != self.failure:
            _log.error("no checkpoint: %s. Requests are answered and recorded as before, but records after %d are "
                       "covered by no signature elsewhere until this is mended", failure, self._last.size)  # fmt: skip
        elif failure is None and self.failure is not None:
            _log.warning("checkpoints are kept again in %s, up to record %d", self.place, self._last.size)
        self.failure = failure


_OTHER = ("it was cut off or written anew, or it is another or an older copy, and is not signed over; find the right "
          "log, or keep its checkpoints in another file")  # fmt: skip
