"""The store: the durable log of every request, in one SQLite file.

`Log` writes it, one a server process: entries come in, and are on disk when `append` returns. `Reader`
reads it while a server writes: stories, policy texts and the proof that nothing was changed come out.
Neither holds prompt text or answers.
"""

from laneway.store.reader import Logged, Reader, Story, Verification
from laneway.store.writer import Log

__all__ = ["Log", "Logged", "Reader", "Story", "Verification"]
