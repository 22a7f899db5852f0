"""calling: a question of ours to a lane, behind the same wall, guard and limits as a client's.

A question is made into a Request with its labels, so that `classify`, the wall of `decide` and the egress guard judge
it as they judge live traffic. Waivers and evidence do not matter, as this is how a lane gets its first evidence. A lane
that fails is waited for, in bounds; what is spent stays within the purse.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from laneway.answer import Answer
from laneway.classify import classify
from laneway.decide import decide
from laneway.decision import Reason
from laneway.egress import guard
from laneway.errors import LaneError, LanewayError
from laneway.evidence.sample import Message
from laneway.facts import Facts
from laneway.lane import Lane, plain
from laneway.policy import Deadline, Gate, Policy, Ranking, Waiver
from laneway.providers import Provider
from laneway.request import Request
from laneway.serve import MAY_HAVE_WORKED, asked, estimated_output
from laneway.signals import Signals
from laneway.traffic import Passage, Traffic
from laneway.wire import openai

__all__ = ["PATIENCE", "TRIES", "Broke", "Called", "Calls", "Given", "Parameters", "Purse", "Question"]

PATIENCE = 60.0
"""Seconds for which a lane that answers nothing is waited for."""
TRIES = 3
"""So often a lane is asked the same before the sample is left open."""

_SLOT_SECONDS = 90.0  # More than the minute in which a lane's rate counts.
_CALL_SECONDS = 600.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
_FOR_EVER = datetime.date.max
_NO_DEADLINE = Deadline()
_IN_VAIN = frozenset({"credentials", "not-found", "redirected", "closed", "stopped", "cut"})
_UNSEEN = frozenset({"ceiling", "price-unknown", "not-in-plan"})
"""Why `decide` may leave a lane out that may see the request all the same."""


class Given(LanewayError):
    """A lane was given up: the message says why. What was left of its work stays open."""


class Broke(LanewayError):
    """The next call could cost more than is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What is asked of a lane beside the messages; the same for all lanes. None leaves a parameter out.

    `output` is the most tokens of an answer, and `cap_name` what that is called on the wire.
    """

    temperature: float | None = 0.0
    seed: int | None = 1
    output: int = 1024
    cap_name: str = "max_tokens"

    def sent(self) -> dict[str, float]:
        """The fields of the body."""
        named = {"temperature": self.temperature, "seed": self.seed, self.cap_name: self.output}
        return {name: value for name, value in named.items() if value is not None}


class Question(NamedTuple):
    """A request as it would leave, what it was taken for, and the lanes that may not see it, with the reason."""

    request: Request
    signals: Signals
    shut: Mapping[str, Reason]


class Called(NamedTuple):
    """A lane's answer, its tokens (estimated where it did not say), its money if the price is known, and seconds."""

    answer: Answer
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float


class Purse:
    """Money for calls, at `most` so much (None for no bound): the worst case is set aside before a call is made."""

    def __init__(self, most: float | None = None) -> None:
        self.most, self.spent, self.aside = most, 0.0, 0.0
        self._under_way = 0
        self._freed = asyncio.Event()

    async def set_aside(self, worst: float) -> None:
        """Set money aside, once calls under way have left enough. Raises Broke where they cannot."""
        while self.most is not None and self.spent + self.aside + worst > self.most:
            if not self._under_way:
                left = max(self.most - self.spent, 0.0)
                raise Broke(f"the next call could cost {plain(worst)}, and {plain(left)} is left of the budget")
            self._freed.clear()
            await self._freed.wait()
        self.aside += worst
        self._under_way += 1

    def settle(self, worst: float, paid: float) -> None:
        """A call for which `worst` was set aside cost what was `paid`."""
        self._under_way -= 1
        self.aside = self.aside - worst if self._under_way else 0.0
        self.spent += paid
        self._freed.set()


class Calls:
    """Calls of a policy's lanes on one day. `given` says which lanes were given up, and why."""

    def __init__(
        self, policy: Policy, provider: Provider, day: datetime.date, *, purse: Purse | None = None,
        patience: float = PATIENCE, traffic: Traffic | None = None,
    ) -> None:  # fmt: skip
        self.policy, self.provider, self.day = policy, provider, day
        self.purse, self.patience = purse or Purse(), patience
        self.traffic = traffic or Traffic()
        self.given: dict[str, str] = {}
        self._open = _opened(policy)
        self._failing: dict[str, float] = {}
        self._last: dict[str, LaneError] = {}

    def question(
        self, messages: Sequence[Message], labels: Mapping[str, str], parameters: Parameters, prompt: str | None = None
    ) -> Question:
        """The messages as a request behind `prompt`. `labels` are a client's, such as `sensitivity` and `workload`.

        Raises RequestError where a label is none that the policy knows.
        """
        said = [{"role": message.role, "content": message.content} for message in messages]
        body = {"model": "auto", "messages": said, **parameters.sent()}
        headers = {f"laneway-{name}": value for name, value in labels.items()}
        request = openai.prompted(openai.read(msgspec.json.encode(body), headers), prompt)
        ask, signals = classify(self.policy, request)
        decision = decide(self._open, ask, signals, Facts(today=self.day))
        shut = {reason.lane: reason for reason in decision.rejected if reason.code not in _UNSEEN}
        return Question(request, signals, shut)

    def cap(self, lane: Lane, question: Question) -> int:
        """The most output tokens of a call."""
        return min(question.request.max_output or lane.limits.output or 1, lane.limits.output or 1 << 31)

    async def call(self, lane: Lane, question: Question, before: Callable[[], Awaitable[None]]) -> Called:
        """What the lane says; `before` runs each time just before bytes leave.

        Raises Broke or Given where nothing more may be asked of the lane, LaneError where this question has no answer,
        GuardError where it may not leave.
        """
        tries = waits = 0
        while True:
            if lane.name in self.given:
                raise Given(self.given[lane.name])
            try:
                called = await self._once(lane, question, before)
            except LaneError as error:
                if error.cause in ("invalid", "refusal") or error.code == "paused":
                    self._failing.pop(lane.name, None)
                    raise
                tries += error.code not in ("busy", "breaker-open", "rate-limited")
                wait = max(self.traffic.of(lane).wait(), min(_FIRST_WAIT * 2**waits, _LONGEST_WAIT))
                self._judge(lane, error, wait)
                if tries >= TRIES:
                    raise
                waits += 1
                await asyncio.sleep(wait)
            else:
                self._failing.pop(lane.name, None)
                return called

    def give_up(self, lane: str, why: str) -> None:
        """Ask nothing more of the lane."""
        self.given.setdefault(lane, why)

    def _judge(self, lane: Lane, error: LaneError, wait: float) -> None:
        """Give the lane up where waiting for it is in vain, or has been for too long. Raises Given then."""
        now = time.monotonic()
        since = self._failing.setdefault(lane.name, now)
        if error.code == "busy":  # others of ours hold its slots: it has not failed
            self._failing.pop(lane.name, None)
            return
        if error.code != "breaker-open":
            self._last[lane.name] = error
        why = self._last.get(lane.name, error)
        if error.code in _IN_VAIN:
            self.give_up(lane.name, f"{error}")
        elif now + wait - since > self.patience:
            waited = f"it has answered nothing for {now - since:.0f} s" if now - since >= 1 else "that is too long"
            self.give_up(lane.name, f"{why}; {waited}, and --patience is {self.patience:g} s")
        if lane.name in self.given:
            raise Given(self.given[lane.name])

    async def _once(self, lane: Lane, question: Question, before: Callable[[], Awaitable[None]]) -> Called:
        cap = self.cap(lane, question)
        worst = lane.cost(question.signals.tokens, cap) or 0.0
        await self.purse.set_aside(worst)
        with self._settled(worst) as bill:
            guard(self.policy, question.request, question.signals, lane, self.day)
            with await self.traffic.of(lane).enter(_SLOT_SECONDS, question.signals.workload) as passage:
                await before()
                bill.paid = worst
                called = await self._answered(lane, question, cap, passage)
            bill.paid = called.cost or 0.0
        return called

    @contextmanager
    def _settled(self, worst: float) -> Iterator[_Bill]:
        """What a call is paid for: nothing before it is made or where the lane turned it away, else the worst case."""
        bill = _Bill()
        try:
            yield bill
        except LaneError as error:
            bill.paid = bill.paid if error.code in MAY_HAVE_WORKED else 0.0
            raise
        finally:
            self.purse.settle(worst, bill.paid)

    async def _answered(self, lane: Lane, question: Question, cap: int, passage: Passage) -> Called:
        total = self.policy.deadlines.get(question.signals.latency, _NO_DEADLINE).total
        seconds = min(total or _CALL_SECONDS, _CALL_SECONDS)
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds) as until:
                passage.within(until)
                answer = await asked(self.provider, lane, question.request, cap, passage.check)
        except TimeoutError:
            if passage.cut:
                raise LaneError("cut", f"an operator cut what lane {lane.name} was doing") from None
            raise LaneError("late", f"lane {lane.name} did not answer within {seconds:g} s", cause="late") from None
        took = time.monotonic() - started
        tokens_in = question.signals.tokens if answer.tokens_in is None else answer.tokens_in
        tokens_out = estimated_output(answer)
        return Called(answer, tokens_in, tokens_out, lane.cost(tokens_in, tokens_out), took)


@dataclass(slots=True)
class _Bill:
    paid: float = 0.0


def _opened(policy: Policy) -> Policy:
    """The policy with every lane waived and nothing ranked, held or judged: what it leaves shut, the wall shuts."""
    waiver = Waiver(id="evaluation", lanes=frozenset(policy.lanes), until=_FOR_EVER, by="laneway eval")
    route = Ranking(id="evaluation", words=("cheapest",))
    return replace(policy, gate=Gate(waivers=(waiver,)), routes=(route,), fallbacks=(), reviews=())
