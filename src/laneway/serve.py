"""serve: calls the lanes of a Route in order, each under the guard, the deadline and the ceiling.

A Run is one request on its way. Every attempt is written to the log before its first byte leaves. Another
lane is tried only while the client has not been sent a byte of an answer; the same lane is asked once
more only where no other is left, and its budget of retries allows it, so that retries never multiply a
failing lane's load. A lane that is left alone, or has no slot free, counts as one that failed. A lane that will
not answer such a request has not failed: nobody is asked in its place, unless the gate's `refusal` says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from laneway.answer import Answer
from laneway.aside import aside
from laneway.decide import DEFAULT_OUTPUT, affordable
from laneway.decision import Route
from laneway.egress import guard
from laneway.errors import LaneError
from laneway.gate import can_change
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.providers import Provider
from laneway.record import Attempt, Intent, Opening, Verdict, Why
from laneway.request import Request
from laneway.signals import Ask, Signals
from laneway.store import Log
from laneway.traffic import Passage, Traffic
from laneway.wire import openai

__all__ = ["MAY_HAVE_WORKED", "Client", "Got", "Run", "consult", "estimated_output", "serve"]


_GRACE_SECONDS = 0.05
_SLOT_SECONDS, _SLOT_SHARE = 5.0, 0.25  # The longest wait for a slot, and its part of the time that is left.
_REFUSED = Answer(refusal=True, finish="content_filter", complete=True)
_BYTES_A_TOKEN = 3  # Rather too few, as for the input.
MAY_HAVE_WORKED = frozenset({
    "late", "broken", "truncated", "disconnected", "error-event", "cancelled", "garbage", "too-large",
    "slow-reader",
})  # fmt: skip


class Client(Protocol):
    """Where an answer goes."""

    @property
    def started(self) -> bool:
        """Whether the first byte of a response was sent."""

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:
        """Send status 200 and the headers."""

    async def write(self, data: bytes) -> None:
        """Send part of a stream's body."""


class Got(NamedTuple):
    """An answer: `parts` are what is left to send; the rest is with the client already if `released`."""

    lane: str
    why: Why
    parts: list[bytes]
    answer: Answer
    released: bool


@dataclass(slots=True, kw_only=True)
class Run:
    """One request on its way. Times are seconds of the monotonic clock; `intents` are those on disk."""

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

    def ms(self) -> float:
        """Milliseconds since the request arrived."""
        return round((time.monotonic() - self.started) * 1000, 3)

    def headers(self, lane: str, called: Why, verdict: str | None = None) -> dict[str, str]:
        """The answer's `Laneway-*` headers; `called` is why the lane that answered was called."""
        first = lane == self.route.lanes[0]
        code = "weak" if called == "escalation" else "route" if first else "fallback"
        why = next((r for r in self.route.reasons if r.code == code), self.route.reasons[0])
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


async def serve(run: Run, lanes: Sequence[str], why: Why, log: Log) -> Got:
    """The first answer that one of `lanes` gives. Raises the last LaneError where none does."""
    cause = ""
    for i, name in enumerate(lanes):
        last = i == len(lanes) - 1
        try:
            return await _attempt(run, name, why, cause, log, alone=last)
        except LaneError as error:
            if not last and not error.sent and error.cause not in ("invalid", "refusal"):
                why, cause = "fallback", error.code
                continue
            if not error.retry or error.sent or why == "escalation":
                raise
            if not run.traffic.of(run.policy.lanes[name]).may_retry():
                raise
            cause = error.code
        return await _attempt(run, name, "retry", cause, log, alone=True)
    raise AssertionError("a Route has at least one lane")


async def consult(run: Run, name: str, question: Request, signals: Signals, output: int, log: Log) -> Answer:
    """What lane `name` says to a question of ours that `signals` describe, in at most `output` tokens.

    A call like any other: guarded, on record before it is made, within what is left of the ceiling and in half of
    the time that is left. Raises LaneError.
    """
    lane = run.policy.lanes[name]
    cap = _cap(run, lane, Ask(None, output), signals.tokens)
    call = _Call(run, lane, "judge", question, signals, cap)
    return (await _made(call, "", log, share=0.5)).answer


async def _attempt(run: Run, name: str, why: Why, cause: str, log: Log, *, alone: bool) -> Got:
    lane = run.policy.lanes[name]
    first = run.signals.ceiling is None or not run.attempts
    cap = run.route.caps.get(name) if first else _cap(run, lane, run.opening.ask, run.signals.tokens)
    call = _Call(run, lane, why, run.request, run.signals, cap)
    kept = not run.request.stream or can_change(run.policy, run.route, name)
    return await _made(call, cause, log, share=0.5 if kept and not alone else 1.0)


async def _made(call: _Call, cause: str, log: Log, *, share: float) -> Got:
    """The call as it was answered, in a `share` of the time that is left: guarded, and on record before and after."""
    run, lane = call.run, call.lane
    size, today = len(call.request.canonical), run.opening.facts.today
    await aside(size, guard, run.policy, call.request, call.signals, lane, today)
    try:
        call.passage = await run.traffic.of(lane).enter(_patience(run))
    except LaneError as error:
        call.skipped(error)
        raise
    with call.passage:
        opening = None if run.intents else run.opening
        await log.append(
            Intent(id=run.id, attempt=run.intents + 1, lane=lane.name, why=call.why, cause=cause, opening=opening)
        )
        run.intents += 1
        return await _called(call, share)


async def _called(call: _Call, share: float) -> Got:
    """The lane's answer, or the LaneError that it ended in; either is noted as an attempt."""
    run = call.run
    body = openai.outgoing(call.request, model=call.lane.model, max_output=call.cap)
    try:
        async with asyncio.timeout_at(_until(run, share)):
            got = await (call.stream(body) if call.request.stream else call.whole(body))
    except TimeoutError:
        late = call.late()
        call.failed(late)
        raise late from None
    except LaneError as error:
        error.sent = call.released  # what counts from here on is what the client has, not what the lane sent
        call.failed(error)
        if error.cause == "refusal" and "refusal" in run.policy.gate.checks and not call.released:
            return Got(call.lane.name, call.why, [], _REFUSED, False)
        raise
    except asyncio.CancelledError:
        call.failed(LaneError("cancelled", "the client went away"))
        raise
    call.answered(got.answer)
    return got


def _patience(run: Run) -> float:
    """How many seconds this request may wait for a slot at one lane."""
    if run.deadline is None:
        return _SLOT_SECONDS
    return min(_SLOT_SECONDS, max(run.deadline - time.monotonic(), 0.0) * _SLOT_SHARE)


def _until(run: Run, share: float) -> float | None:
    """When an attempt must end that may take a `share` of what is left, to leave the rest to those behind it."""
    if run.deadline is None:
        return None
    now = time.monotonic()
    return asyncio.get_running_loop().time() + (run.deadline - now) * share


def _cap(run: Run, lane: Lane, ask: Ask, tokens: int) -> int | None:
    """The most output tokens that what is left of the ceiling affords; LaneError where it is too few."""
    left = None if run.signals.ceiling is None else run.signals.ceiling - run.spent
    cap, shut = affordable(lane, ask, tokens, left)
    if shut is not None:
        raise LaneError("ceiling", f"what is left of the ceiling does not afford lane {lane.name}")
    return cap


def estimated_output(answer: Answer) -> int:
    """Tokens that the lane wrote: its own count, or rather too many by the bytes."""
    return answer.tokens_out if answer.tokens_out is not None else -(-answer.written // _BYTES_A_TOKEN)


async def _rest(chunks: AsyncIterator[bytes]) -> None:
    """Read on for a moment after `[DONE]`: a body that ends there leaves its connection to the next call."""
    with suppress(TimeoutError, LaneError):
        async with asyncio.timeout(_GRACE_SECONDS):
            async for _ in chunks:
                pass


class _Call:
    """One call of one lane while it runs, and what the record says of it."""

    def __init__(self, run: Run, lane: Lane, why: Why, request: Request, signals: Signals, cap: int | None) -> None:
        self.run, self.lane, self.why, self.request, self.signals, self.cap = run, lane, why, request, signals, cap
        self.started_ms = run.ms()
        self.first_byte_ms: float | None = None
        self.released = self.writing = False
        self.passage: Passage

    async def whole(self, body: bytes) -> Got:
        """An answer that comes as one JSON object, passed on untouched."""
        async with self.run.provider.call(self.lane, body, stream=False) as reply:
            parts = [chunk async for chunk in reply.chunks()]
        self.first_byte_ms = self.run.ms()
        data = b"".join(parts)
        return self._got([data], openai.read_answer(data))

    async def stream(self, body: bytes) -> Got:
        """An answer that comes as events: kept back while a verdict could change it, else passed on.

        Nothing is passed on before an event that tells the reader something: until then, another lane may
        take over, and the lane's time for its first byte runs.
        """
        run, live = self.run, not can_change(self.run.policy, self.run.route, self.lane.name)
        stream, kept, done = openai.Stream(keep=not live or run.request.wants_json), list[bytes](), False
        patience = asyncio.timeout(run.route.first_byte)
        async with patience, run.provider.call(self.lane, body, stream=True) as reply:
            chunks = reply.chunks()
            async for chunk in chunks:
                done = self._read(stream.feed(chunk), kept, patience)
                del chunk  # While a slow client is waited for, its bytes are not to be held twice.
                if done:
                    await _rest(chunks)
                    break
                if live and kept and self.first_byte_ms is not None:
                    await self._release(kept)
        if not done:  # The lane said why it stopped, or `_got` fails: the client gets the end that is missing.
            kept.append(openai.DONE)
        return self._got(kept, stream.answer())

    def _read(self, events: list[openai.Event], kept: list[bytes], patience: asyncio.Timeout) -> bool:
        """Add what the client is to have of `events` to `kept`; True where they end the answer."""
        for event in events:
            if event.kind == "refusal":
                raise LaneError("refused", f"lane {self.lane.name} will not answer this", cause="refusal")
            if event.kind == "error":
                raise LaneError("error-event", f"lane {self.lane.name} reported an error")
            if event.kind == "content" and self.first_byte_ms is None:
                self.first_byte_ms = self.run.ms()
                self.passage.spoke()
                patience.reschedule(None)
            if event.kind != "usage" or self.request.include_usage:
                kept.append(event.raw)
        return any(event.kind == "done" for event in events)

    def _got(self, parts: list[bytes], answer: Answer) -> Got:
        if not answer.complete:
            raise LaneError("truncated", f"lane {self.lane.name} broke off its answer")
        return Got(self.lane.name, self.why, parts, answer, self.released)

    async def _release(self, kept: list[bytes]) -> None:
        if not self.run.client.started:
            await self.run.client.begin(self.run.headers(self.lane.name, self.why), stream=True)
        data = b"".join(kept)
        kept.clear()
        self.released = self.run.live = self.writing = True
        await self.run.client.write(data)
        self.writing = False

    def late(self) -> LaneError:
        """Whose fault it is that the time is over: the lane's, or that of a client who does not read."""
        if self.writing:
            return LaneError("slow-reader", "the client reads too slowly for its deadline", cause="late", sent=True)
        return LaneError("late", f"lane {self.lane.name} did not answer in time", cause="late", sent=self.released)

    def skipped(self, error: LaneError) -> None:
        """Record that the lane was not called."""
        now = self.run.ms()
        self.run.attempts.append(
            Attempt(lane=self.lane.name, why=self.why, result=error.code, started_ms=self.started_ms, ended_ms=now,
                    skipped=True)
        )  # fmt: skip

    def answered(self, answer: Answer) -> None:
        """Record the attempt and count its money."""
        tokens_in = answer.tokens_in if answer.tokens_in is not None else self.signals.tokens
        tokens_out = estimated_output(answer)
        cost = self.lane.cost(tokens_in, tokens_out)
        self.run.spent += cost or 0.0
        self._note("answered", tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, model=answer.model)

    def failed(self, error: LaneError) -> None:
        """Record the failure; where the lane may have worked all the same, count the worst case."""
        output = self.cap or self.request.max_output or DEFAULT_OUTPUT
        cost = self.lane.cost(self.signals.tokens, output) if error.code in MAY_HAVE_WORKED else None
        self.run.spent += cost or 0.0
        self._note(error.code, cost=cost)

    def _note(
        self, result: str, *, tokens_in: int | None = None, tokens_out: int | None = None,
        cost: float | None = None, model: str | None = None, verdict: Verdict | None = None,
    ) -> None:  # fmt: skip
        self.run.attempts.append(
            Attempt(lane=self.lane.name, why=self.why, result=result, started_ms=self.started_ms,
                    ended_ms=self.run.ms(), first_byte_ms=self.first_byte_ms, model=model,
                    other_than=None if model is None or self.lane.answers_as(model) else self.lane.model,
                    tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, verdict=verdict)
        )  # fmt: skip
