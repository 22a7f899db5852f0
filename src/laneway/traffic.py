"""traffic: what is known of each lane while the server runs, and whether a call may go there now.

One `Flow` a lane, kept across policies as long as name, address and model stay the same: its breaker, the pause that
it asked for, its slots, its budget of retries, and counts. What operators have shut is shut here, and asked again when
the first byte is about to leave. A call that may not go is a LaneError before any byte or intent, so that the plan
goes on exactly as after a call that failed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

from laneway.breaker import FIRST_PAUSE, Breaker
from laneway.errors import LaneError
from laneway.lane import Lane
from laneway.levers import Levers
from laneway.slots import Slots

__all__ = ["LONGEST_WAIT", "RETRY_SHARE", "Flow", "Passage", "Traffic"]

LONGEST_WAIT = 600.0
"""The most seconds for which a lane's Retry-After is believed."""
RETRY_SHARE = 0.1
"""Retries and hedges that each call of a lane earns; every ten seconds earn one more."""
_RETRIES_SAVED = 3.0
_RETRIES_A_SECOND = 0.1
_REMEMBERED = 256
_NO_FAULT = frozenset({"cancelled", "ceiling", "slow-reader", "cut", "closed", "paused", "stopped"})

_CLOSED = Breaker()
_log = logging.getLogger("laneway")


@dataclass(slots=True, eq=False)
class Flow:
    """One lane's traffic. `calls` and `skips` count by result; `failures` are (time, code), newest last.

    `seconds` are how long the latest answers took, `spent` how long all did. `hedges` are the calls that others got as
    this lane was slow. `levers` are the operators'; `under_way` are the calls that they can cut.
    """

    name: str
    clock: Callable[[], float]
    slots: Slots
    levers: Levers = field(default_factory=Levers)
    under_way: set[Passage] = field(default_factory=set)
    breaker: Breaker = _CLOSED
    paused: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    hedges: int = 0
    spent: float = 0.0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    failures: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=10))
    _saved: float = _RETRIES_SAVED
    _saved_at: float = 0.0

    async def enter(self, patience: float, workload: str | None = None) -> Passage:
        """A call's way in, once there is a slot. LaneError where the lane is left alone, or is `busy` for too long."""
        shut = self.shut(workload)
        if shut is None and not await self.slots.take(patience):
            shut = LaneError("busy", f"lane {self.name} has no slot free under its `limits`")
        elif shut is None and (shut := self.shut(workload)) is not None:  # what others found while this one waited
            self.slots.give(used=False)
        if shut is not None:
            self.skips[shut.code] += 1
            raise shut
        now = self.clock()
        probe = self.breaker.state(now) != "closed"
        self._become(self.breaker.entered(now), "its pause is over")
        self._save(now, RETRY_SHARE)
        return Passage(self, now, probe, workload)

    @contextmanager
    def beside(self, give_way: Callable[[], None], workload: str | None) -> Iterator[bool]:
        """A call beside the traffic: whether it may go. What becomes of it teaches nothing of the lane.

        It takes a slot only where one is free now; `give_way` is called where a request comes to need it.
        """
        well = self.shut(workload) is None and self.breaker.state(self.clock()) == "closed"
        if not (well and self.slots.take_now()):
            yield False
            return
        self.slots.lent.add(give_way)
        try:
            yield True
        finally:
            self.slots.lent.discard(give_way)
            self.slots.give()

    def shut(self, workload: str | None = None) -> LaneError | None:
        """Why no call may go to the lane now for the workload, if so."""
        pulled, now = self.levers.shut(self.name, workload), self.clock()
        if pulled is not None:
            return pulled
        if self.paused > now:
            message = f"lane {self.name} asked to be left alone for {self.paused - now:.0f} s more"
            return LaneError("rate-limited", message, cause="rate-limit")
        if not self.breaker.admits(now):
            return LaneError("breaker-open", f"lane {self.name} kept failing, and is left alone until it may be tried")
        return None

    def wait(self) -> float:
        """Seconds until the lane may be called again as far as is known; 0 where it may be now."""
        now, breaker = self.clock(), self.breaker
        found_out = now + FIRST_PAUSE if breaker.probing else breaker.until  # a probe mostly knows soon
        return max(self.paused - now, found_out - now if breaker.pause else 0.0, 0.0)

    def may_retry(self) -> bool:
        """Take one retry from the budget, if there is one."""
        taken = self.may_hedge()
        self.retries += taken
        return taken

    def may_hedge(self) -> bool:
        """Take one more call from the same budget: of the next lane, while this one is slow."""
        self._save(self.clock(), 0.0)
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    def unhedged(self) -> None:
        """Give back what no call was made of."""
        self._save(self.clock(), 1.0)

    def _save(self, now: float, earned: float) -> None:
        trickle = (now - self._saved_at) * _RETRIES_A_SECOND if self._saved_at else 0.0
        self._saved, self._saved_at = min(self._saved + earned + trickle, _RETRIES_SAVED), now

    def _become(self, breaker: Breaker, why: str) -> None:
        now = self.clock()
        before, after = self.breaker.state(now), breaker.state(now)
        self.breaker = breaker
        if after == "open" != before:
            _log.warning("lane %s: breaker open for %g s: %s", self.name, breaker.pause, why)
        elif (before == "closed") != (after == "closed") or breaker.probing:
            _log.warning("lane %s: breaker %s: %s", self.name, after, why)


class Passage:
    """One call on its way through a Flow; as a context, it learns from the call's end and gives the slot back."""

    __slots__ = ("_began", "_flow", "_probe", "_until", "_workload", "cut")

    def __init__(self, flow: Flow, began: float, probe: bool, workload: str | None) -> None:
        self._flow, self._began, self._probe, self._workload = flow, began, probe, workload
        self._until: asyncio.Timeout | None = None
        self.cut = False

    def __enter__(self) -> Passage:
        self._flow.under_way.add(self)
        return self

    def within(self, until: asyncio.Timeout) -> None:
        """The call runs under this time-out, which comes at once where the call is to be cut."""
        self._until = until

    def check(self) -> None:
        """To be called when the first byte is about to leave. LaneError where an operator has shut the lane since."""
        shut = self._flow.levers.shut(self._flow.name, self._workload)
        if shut is not None:
            raise shut

    def end(self) -> None:
        """Cut the call off: its time is over."""
        self.cut = True
        if self._until is not None:
            with suppress(RuntimeError):  # it is ending already
                self._until.reschedule(0.0)

    def spoke(self) -> None:
        """The lane has begun to answer: a probe need not wait for the end."""
        if self._probe:
            self._succeeded()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flow, now = self._flow, self._flow.clock()
        flow.under_way.discard(self)
        flow.slots.give()
        if error is None:
            flow.calls["answered"] += 1
            flow.spent += now - self._began
            flow.seconds.append(now - self._began)
            self._succeeded()
        elif not isinstance(error, LaneError) or error.code in _NO_FAULT:
            flow.calls[error.code if isinstance(error, LaneError) else "cancelled"] += 1
            flow._become(flow.breaker.dropped(now, probe=self._probe), "the probe was called off")
        elif error.cause in ("invalid", "refusal"):  # it works, and dislikes what it was asked
            flow.calls[error.code] += 1
            self._succeeded()
        else:
            self._failed(error, now)

    def _succeeded(self) -> None:
        flow = self._flow
        if flow.breaker != _CLOSED:
            flow._become(flow.breaker.succeeded(probe=self._probe), "it answers again")
        self._probe = False

    def _failed(self, error: LaneError, now: float) -> None:
        flow = self._flow
        flow.calls[error.code] += 1
        flow.failures.append((time.time(), error.code))
        if error.after is not None:  # it said when to come back, which is more than a breaker knows
            flow.paused = max(flow.paused, now + min(error.after, LONGEST_WAIT))
            _log.warning("lane %s: paused for %g s: %s", flow.name, flow.paused - now, error.code)
            flow._become(flow.breaker.dropped(now, probe=self._probe), error.code)
        else:
            flow._become(flow.breaker.failed(now, probe=self._probe), error.code)


class Traffic:
    """The Flows of all lanes, and how requests ended; one a process, under its operators' `levers`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, levers: Levers | None = None) -> None:
        self.ended, self.levers = Counter[str](), levers or Levers()
        self._clock = clock
        self._flows: dict[tuple[str, str, str], Flow] = {}

    def of(self, lane: Lane) -> Flow:
        """The lane's Flow, under the lane's limits."""
        identity = (lane.name, lane.url, lane.model)
        flow = self._flows.get(identity)
        if flow is None:
            flow = self._flows[identity] = Flow(lane.name, self._clock, Slots(lane.limits, self._clock), self.levers)
        if flow.slots.limits is not lane.limits:
            flow.slots.resize(lane.limits)
        return flow

    def cut(self) -> int:
        """End the calls under way that a lever cuts, shadows' too; how many of requests there were."""
        flows = [flow for flow in self._flows.values() if self.levers.cuts(flow.name)]
        calls = [call for flow in flows for call in flow.under_way if not call.cut]
        for call in calls:
            call.end()
        for give_way in [lent for flow in flows for lent in flow.slots.lent]:
            give_way()
        return len(calls)

    def wait(self, lanes: Iterable[Lane]) -> int | None:
        """Whole seconds until one of `lanes` may be called again; None where one may be now."""
        least = min((self.of(lane).wait() for lane in lanes), default=0.0)
        return math.ceil(least) or None
