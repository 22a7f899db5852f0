"""run: one request on its way, what it has been answered so far, and where its answer goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from laneway.answer import Answer
from laneway.decision import Route
from laneway.explain import led
from laneway.policy import Policy
from laneway.providers import Provider
from laneway.record import Attempt, Opening, Why
from laneway.request import Request
from laneway.signals import Signals
from laneway.traffic import Traffic

__all__ = ["Client", "Got", "Nobody", "Run"]


class Client(Protocol):
    """Where an answer goes."""

    @property
    def started(self) -> bool:
        """Whether the first byte of a response was sent."""

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:
        """Send status 200 and the headers."""

    async def write(self, data: bytes) -> None:
        """Send part of a stream's body."""


class Nobody:
    """Who is there when a request is sent that no client waits for: what is said to it is gone."""

    started = False

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:
        """Nothing to begin."""

    async def write(self, data: bytes) -> None:
        """Nobody to write to."""

    async def finish(self, data: bytes, headers: dict[str, str], *, stream: bool) -> None:
        """Nothing to end."""


class Got(NamedTuple):
    """An answer: `parts` are what is left to send; the rest is with the client already if `released`."""

    lane: str
    why: Why
    parts: list[bytes]
    answer: Answer
    released: bool


@dataclass(slots=True, kw_only=True)
class Run:
    """One request on its way. Times are seconds of the monotonic clock; `intents` are those on disk.

    `kept`: the answer's text is wanted once the client has it; `captured` for how many days it is kept then. `said` is
    the client's body and headers as they came.
    """

    id: str
    policy: Policy
    request: Request
    opening: Opening
    signals: Signals
    route: Route
    client: Client
    provider: Provider
    traffic: Traffic
    started: float
    deadline: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    intents: int = 0
    spent: float = 0.0
    ended: bool = False
    live: bool = False
    kept: bool = False
    captured: int = 0
    said: tuple[bytes, Mapping[str, str]] = (b"", {})

    @property
    def failed(self) -> list[str]:
        """The lanes whose turn is over: not those that a quicker one cut off, or that only a hedge found shut."""
        over = (a for a in self.attempts if a.result != "cancelled" and not (a.skipped and a.why == "hedge"))
        return [attempt.lane for attempt in over]

    @property
    def spent_lanes(self) -> list[str]:
        """The lanes that may not be called again: those that failed, and those that were called twice."""
        return [*self.failed, *(a.lane for a in self.attempts if self.called(a.lane) > 1)]

    def called(self, lane: str) -> int:
        """How often the lane was called."""
        return sum(a.lane == lane and not a.skipped for a in self.attempts)

    def ms(self) -> float:
        """Milliseconds since the request arrived."""
        return round((time.monotonic() - self.started) * 1000, 3)

    def headers(self, lane: str, called: Why, verdict: str | None = None) -> dict[str, str]:
        """The answer's `Laneway-*` headers; `called` is why the lane that answered was called."""
        why = led(self.route, lane, called)
        reason = " ".join(f"{why.rule}: {why.says or why.effect}".split()).encode("ascii", "replace").decode()[:300]
        made = {
            "laneway-decision": self.id,
            "laneway-lane": lane,
            "laneway-reason": reason,
            "laneway-evidence": "met" if lane in self.route.met else "waived",
        }
        if self.signals.ceiling is not None and lane in self.route.caps:
            made["laneway-output-cap"] = str(self.route.caps[lane])
        if verdict is not None:
            made["laneway-verdict"] = verdict
        return made
