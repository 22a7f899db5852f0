"""erasure: all content that is kept about a subject goes, and that it went is on record.

The log itself never held any of it: it holds salted hashes, which stay, so that the chain stays whole.
"""

from __future__ import annotations

import asyncio

from laneway.clock import new_id
from laneway.errors import RequestError
from laneway.feedback import named, phrased
from laneway.record import Erased
from laneway.review.people import alike
from laneway.store import Content, Log

__all__ = ["erase", "subject_hash"]

_LONGEST = 100


def subject_hash(log: Log, subject: str) -> str:
    """The salted hash by which a subject is known, however its name is capitalised, spaced or composed."""
    return log.commitment(b"subject " + alike(subject).encode())


async def erase(log: Log, content: Content | None, subject: str, by: str, why: str) -> Erased:
    """Erase what is kept about the subject; what was done, on record.

    Raises RequestError for words that cannot be kept, ContentError, and LogError: what was erased by then stays so, and
    doing it again puts it on record.
    """
    named(by, "by")
    phrased(why, "why", least=1)
    if not 0 < len(subject.strip()) <= _LONGEST or not subject.isprintable():
        raise RequestError(400, "invalid_label", f"`subject` must be 1 to {_LONGEST} printable characters", "subject")
    known = subject_hash(log, subject)
    count = await asyncio.to_thread(content.erase_subject, known) if content is not None else 0
    made = Erased(id=new_id(log.now()), by=by, why=why, subject=known, contents=count)
    await log.append(made)
    return made
