"""The store: the durable log of every request, in one SQLite file.

`Log` writes it, one a server process: entries come in, and are on disk when `append` returns. `Reader`
reads it while a server writes: stories, policy texts, copies and the proof that nothing was changed come out.
`Signing` keeps signed checkpoints of it elsewhere. None of them holds prompt text or answers. What is kept of those,
where the policy says so, is `Content`, encrypted, in a file of its own.
"""

from laneway.store.content import Content
from laneway.store.reader import Reader
from laneway.store.signing import Signing
from laneway.store.story import Logged, Seen, Story, Verification
from laneway.store.writer import Log

__all__ = ["Content", "Log", "Logged", "Reader", "Seen", "Signing", "Story", "Verification"]
