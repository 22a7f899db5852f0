"""signin: who is signed in: a reviewer's token in, a cookie out, and the person whose cookie it is.

Sessions live in memory, so that a stop of the server ends them all; each ends after LASTS seconds, and at once where
its person was removed or has another token now.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from laneway.review.people import People, Person, hashed

__all__ = ["LASTS", "MOST_FAILURES", "Session", "Sessions"]

LASTS = 8 * 3600.0
"""Seconds for which somebody stays signed in."""

MOST_FAILURES = 10
"""How many wrong tokens are listened to in _SECONDS; then nobody signs in until it is fewer."""

_SECONDS = 60.0
_MOST_SESSIONS = 1000


@dataclass(slots=True)
class Session:
    """One sign-in: the hash of the token, what its forms must send back, when it ends, what was opened when."""

    token: str
    ends: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    opened: dict[str, float] = field(default_factory=dict)


class Sessions:
    """Everybody who is signed in. `clock` is in seconds and only goes forward."""

    def __init__(self, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self.people, self.clock = people, clock
        self._by_cookie: dict[bytes, Session] = {}
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)

    def start(self, token: str) -> str | None:
        """A cookie for whoever has this token; None for nobody. Raises ReviewersError where nobody can be known."""
        if self.people.by_token(token) is None:
            self._failures.append(self.clock())
            return None
        while len(self._by_cookie) >= _MOST_SESSIONS:
            del self._by_cookie[next(iter(self._by_cookie))]
        cookie = secrets.token_urlsafe(32)
        self._by_cookie[_key(cookie)] = Session(hashed(token), self.clock() + LASTS)
        return cookie

    def wait(self) -> float:
        """Seconds until another token is listened to."""
        full = len(self._failures) == MOST_FAILURES
        return max(0.0, self._failures[0] + _SECONDS - self.clock()) if full else 0.0

    def of(self, cookie: str) -> tuple[Session, Person] | None:
        """Whose cookie it is. Raises ReviewersError where nobody can be known."""
        session = self._by_cookie.get(_key(cookie))
        person = self.people.by_hash(session.token) if session is not None and session.ends > self.clock() else None
        if session is None or person is None:
            self.end(cookie)
            return None
        return session, person

    def end(self, cookie: str) -> None:
        """Whoever has this cookie is not signed in by it any more."""
        self._by_cookie.pop(_key(cookie), None)


def _key(cookie: str) -> bytes:
    """What is looked for in place of the cookie, so that the time it takes says nothing of it."""
    return sha256(cookie.encode()).digest()
