"""breaker: when a lane that keeps failing is left alone, and when it is tried again. A pure state machine.

Times are seconds of the monotonic clock, given as values. Closed: calls pass. Open: none does, until its pause is
over. Half-open: one call, the probe, finds out; meanwhile no other passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "PROBE", "TRIPS", "Breaker", "State"]

State = Literal["closed", "open", "half-open"]

TRIPS = 5
"""Failures in a row that open a breaker."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Each failed probe doubles the pause, up to this many seconds."""
PROBE = 30.0
"""Seconds after which a probe that has no result yet makes way for another."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """One lane's breaker. Each step gives the next one; in an open breaker only the probe's result counts."""

    failures: int = 0
    pause: float = 0.0
    until: float = 0.0
    probing: bool = False

    def state(self, now: float) -> State:
        """What the breaker is at `now`."""
        if not self.pause:
            return "closed"
        return "half-open" if self.probing or now >= self.until else "open"

    def admits(self, now: float) -> bool:
        """Whether a call may pass at `now`."""
        return not self.pause or now >= self.until

    def entered(self, now: float) -> Breaker:
        """After a call that was admitted has begun: it is the probe unless the breaker is closed."""
        return replace(self, probing=True, until=now + PROBE) if self.pause else self

    def succeeded(self, *, probe: bool) -> Breaker:
        """After a call that the lane answered, well or not."""
        return Breaker() if probe or not self.pause else self

    def failed(self, now: float, *, probe: bool) -> Breaker:
        """After a call that failed."""
        if self.pause and not probe:
            return self
        failures = self.failures + 1
        if not self.pause and failures < TRIPS:
            return Breaker(failures=failures)
        pause = min(self.pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
        return Breaker(failures=failures, pause=pause, until=now + pause)

    def dropped(self, now: float, *, probe: bool) -> Breaker:
        """After a call that says nothing of the lane, such as one whose client went away."""
        return replace(self, probing=False, until=now) if self.pause and probe else self
