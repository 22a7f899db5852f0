"""serve: calls the lanes of a Route in order, each under the guard, the deadline and the ceiling.

A Run is one request on its way. Every attempt is written to the log before its first byte leaves. Another
lane is tried only while the client has not been sent a byte of an answer; the same lane is asked once
more only where no other is left, and its budget of retries allows it, so that retries never multiply a
failing lane's load. A lane that is left alone, or has no slot free, counts as one that failed. A lane that will
not answer such a request has not failed: nobody is asked in its place, unless the gate's `refusal` says so.

Where the policy has a `hedge` and a lane does not begin to answer in that time, the next lane of the plan is asked
beside it: the one that would be asked had the lane failed, so that what is proved of failures holds. No lane is called
more than twice for an answer, which is what the proof of costs counts with.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, suppress

from laneway.answer import Answer
from laneway.aside import aside
from laneway.decide import DEFAULT_OUTPUT, affordable
from laneway.egress import guard
from laneway.errors import GuardError, LaneError
from laneway.gate import can_change
from laneway.lane import Lane
from laneway.providers import Provider
from laneway.race import FINAL, Race
from laneway.record import Attempt, Intent, Verdict, Why
from laneway.request import Request
from laneway.run import Got, Run
from laneway.signals import Ask, Signals
from laneway.store import Log
from laneway.traffic import Passage
from laneway.wire import openai

__all__ = ["MAY_HAVE_WORKED", "asked", "consult", "estimated_output", "serve"]


_GRACE_SECONDS = 0.05
_SLOT_SECONDS, _SLOT_SHARE = 5.0, 0.25  # The longest wait for a slot, and its part of the time that is left.
_REFUSED = Answer(refusal=True, finish="content_filter", complete=True)
_BEHIND_SECONDS = 0.25  # A reader that takes its time is no reader who took nothing: a lane may flood.
_BYTES_A_TOKEN = 3  # Rather too few, as for the input.
MAY_HAVE_WORKED = frozenset({
    "late", "broken", "truncated", "disconnected", "error-event", "cancelled", "garbage", "too-large",
    "slow-reader", "cut",
})  # fmt: skip


async def serve(run: Run, lanes: Sequence[str], why: Why, log: Log) -> Got:
    """The first answer that one of `lanes` gives. Raises the last LaneError where none does."""
    cause, left = "", list(lanes)
    while True:
        try:
            return await _attempt(run, left.pop(0), why, cause, log, left)
        except LaneError as error:
            if left and not error.sent and error.cause not in FINAL:
                why, cause = "fallback", error.code
                continue
            last = lanes[len(lanes) - len(left) - 1]
            if not error.retry or error.sent or why == "escalation" or run.called(last) > 1:
                raise
            if not run.traffic.of(run.policy.lanes[last]).may_retry():
                raise
            cause = error.code
        return await _attempt(run, last, "retry", cause, log, [])


async def asked(provider: Provider, lane: Lane, request: Request, cap: int | None, last: Callable[[], None]) -> Answer:
    """The lane's whole answer to a request of ours that may go there; nothing is passed on. Raises LaneError.

    `last` as for a Provider.
    """
    body = openai.outgoing(request, model=lane.model, max_output=cap)
    async with provider.call(lane, body, stream=False, last=last) as reply:
        data = b"".join([chunk async for chunk in reply.chunks()])
    answer = openai.read_answer(data)
    if not answer.complete:
        raise LaneError("truncated", f"lane {lane.name} broke off its answer")
    return answer


async def consult(run: Run, name: str, question: Request, signals: Signals, output: int, log: Log) -> Answer:
    """What lane `name` says to a question of ours that `signals` describe, in at most `output` tokens.

    A call like any other: guarded, on record before it is made, within what is left of the ceiling and in half of
    the time that is left. Raises LaneError.
    """
    lane = run.policy.lanes[name]
    cap = _cap(run, lane, Ask(None, output), signals.tokens)
    call = _Call(run, lane, "judge", question, signals, cap)
    await _admitted(call, "", log, _patience(run))
    return (await _made(call, 0.5)).answer


async def _attempt(run: Run, name: str, why: Why, cause: str, log: Log, left: list[str]) -> Got:
    """The lane's answer, or that of a hedge, which is taken from the lanes that are `left`."""
    lane = run.policy.lanes[name]
    first = run.signals.ceiling is None or not run.attempts
    cap = run.route.caps.get(name) if first else _cap(run, lane, run.opening.ask, run.signals.tokens)
    call = _Call(run, lane, why, run.request, run.signals, cap)
    await _admitted(call, cause, log, _patience(run))
    if run.route.hedge is None or not left:
        return await _made(call, _share(call, left))
    return await _hedged(call, run.route.hedge, left, log)


async def _hedged(first: _Call, seconds: float, left: list[str], log: Log) -> Got:
    """As `_made`, with a hedge where the lane has not begun to answer after so many seconds."""
    race = first.race = Race()
    calls = [asyncio.create_task(_made(first, _share(first, left)))]
    second: _Call | None = None
    try:
        await asyncio.wait(calls, timeout=seconds)
        if not calls[0].done() and not first.begun:
            second = await _second(first, left[0], log)
        if second is None:
            return await calls[0]
        del left[0]
        calls.append(asyncio.create_task(_made(second, _share(second, left))))
        return await race.run(*calls)
    except LaneError:
        if second is not None and race.won(hedge=False):  # it was cut off and has not failed: the plan still has it
            left.insert(0, second.lane.name)
        raise
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _second(first: _Call, name: str, log: Log) -> _Call | None:
    """The next lane's call beside `first`, let through at once or not at all; noted where not, which is no failure."""
    run, lane, slow = first.run, first.run.policy.lanes[name], first.run.traffic.of(first.lane)
    call = _Call(run, lane, "hedge", run.request, run.signals, None, first.race)
    try:
        call.cap = _cap(run, lane, run.opening.ask, run.signals.tokens, first.worst or 0.0)
        if not slow.may_hedge():
            raise LaneError("hedge-budget", f"lane {first.lane.name} has used up its budget of retries and hedges")
    except LaneError as error:
        call.skipped(error)
        return None
    try:
        await _admitted(call, "", log, 0.0)
    except LaneError:
        slow.unhedged()
        return None
    slow.hedges += 1
    return call


async def _admitted(call: _Call, cause: str, log: Log, patience: float) -> None:
    """Let the call through, once there is a slot: guarded, and on record before a byte leaves."""
    run, lane = call.run, call.lane
    size, today = len(call.request.canonical), run.opening.facts.today
    await aside(size, guard, run.policy, call.request, call.signals, lane, today)
    try:
        call.passage = await run.traffic.of(lane).enter(patience, run.signals.workload)
    except LaneError as error:
        call.skipped(error)
        raise
    with ExitStack() as stack:
        stack.enter_context(call.passage)
        opening = None if run.intents else run.opening
        await log.append(
            Intent(id=run.id, attempt=run.intents + 1, lane=lane.name, why=call.why, cause=cause, opening=opening)
        )
        run.intents += 1
        stack.pop_all()  # `_made` enters it again


async def _made(call: _Call, share: float) -> Got:
    """The call that was let through as it was answered, in a `share` of the time that is left."""
    with call.passage:
        return await _called(call, share)


def _share(call: _Call, left: list[str]) -> float:
    """An answer that is had only whole leaves half of the time to the lanes behind it."""
    run = call.run
    kept = not run.request.stream or can_change(run.policy, run.route, call.lane.name)
    return 0.5 if kept and left else 1.0


async def _called(call: _Call, share: float) -> Got:
    """The lane's answer, or the LaneError that it ended in; either is noted as an attempt."""
    run = call.run
    body = openai.outgoing(call.request, model=call.lane.model, max_output=call.cap)
    try:
        async with asyncio.timeout_at(_until(run, share)) as until:
            call.passage.within(until)
            if call.race is not None and call.race.won(hedge=call.why != "hedge"):
                raise LaneError("cancelled", "the lane before it answered while this call was put on record")
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


def _cap(run: Run, lane: Lane, ask: Ask, tokens: int, beside: float = 0.0) -> int | None:
    """The most output tokens that the rest of the ceiling affords `beside` a call; LaneError where they are too few."""
    left = None if run.signals.ceiling is None else run.signals.ceiling - run.spent - beside
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

    def __init__(
        self, run: Run, lane: Lane, why: Why, request: Request, signals: Signals, cap: int | None,
        race: Race | None = None,
    ) -> None:  # fmt: skip
        self.run, self.lane, self.why, self.request, self.signals, self.cap = run, lane, why, request, signals, cap
        self.race, self.started_ms = race, run.ms()
        self.first_byte_ms: float | None = None
        self.begun = self.released = False
        self.heard: openai.Stream | None = None
        self.named: str | None = None
        self.writing: float | None = None  # since when the client has not taken what it is given
        self.passage: Passage

    async def whole(self, body: bytes) -> Got:
        """An answer that comes as one JSON object, passed on untouched."""
        async with self.run.provider.call(self.lane, body, stream=False, last=self.passage.check) as reply:
            self.begun = True
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
        stream = openai.Stream(keep=not live or run.kept or run.request.wants_json)
        self.heard, kept, done = stream, list[bytes](), False
        patience = asyncio.timeout(run.route.first_byte)
        async with patience, run.provider.call(self.lane, body, stream=True, last=self.passage.check) as reply:
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
                self._speak()
                self.first_byte_ms = self.run.ms()
                self.passage.spoke()
                patience.reschedule(None)
            if event.kind != "usage" or self.request.include_usage:
                kept.append(event.raw)
        return bool(events) and events[-1].kind == "done"  # which nothing follows

    def _got(self, parts: list[bytes], answer: Answer) -> Got:
        self.named = answer.model
        if not answer.complete:
            raise LaneError("truncated", f"lane {self.lane.name} broke off its answer")
        self._speak()
        return Got(self.lane.name, self.why, parts, answer, self.released)

    def _speak(self) -> None:
        """From here on this call answers, unless another does already: then nothing of it goes any further."""
        self.begun = True
        if self.race is not None and not self.race.says(hedge=self.why == "hedge"):
            raise LaneError("cancelled", f"another lane was quicker than {self.lane.name}")

    @property
    def worst(self) -> float | None:
        """The most that the call can cost; None where its price is unknown."""
        return self.lane.cost(self.signals.tokens, self.cap or self.request.max_output or DEFAULT_OUTPUT)

    async def _release(self, kept: list[bytes]) -> None:
        if self.run.route.release != "now":
            raise GuardError("nothing of an answer that a person must release may be passed on")
        if not self.run.client.started:
            await self.run.client.begin(self.run.headers(self.lane.name, self.why), stream=True)
        data = b"".join(kept)
        kept.clear()
        self.released = self.run.live = True
        self.writing = time.monotonic()
        await self.run.client.write(data)
        self.writing = None

    def late(self) -> LaneError:
        """Why the time is over: an operator cut the call, or it is the lane's fault, or a client does not read."""
        if self.passage.cut:
            return LaneError("cut", f"an operator cut what lane {self.lane.name} was doing", sent=self.released)
        if self.writing is not None and time.monotonic() - self.writing > _BEHIND_SECONDS:
            return LaneError("slow-reader", "the client reads too slowly for its deadline", cause="late", sent=True)
        return LaneError("late", f"lane {self.lane.name} did not answer in time", cause="late", sent=self.released)

    def skipped(self, error: LaneError) -> None:
        """Record that the lane was not called."""
        self._keep(
            Attempt(lane=self.lane.name, why=self.why, result=error.code, started_ms=self.started_ms,
                    ended_ms=self.run.ms(), skipped=True)
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
        cost = self.worst if error.code in MAY_HAVE_WORKED else None
        self.run.spent += cost or 0.0
        self._note(error.code, cost=cost, model=self.heard.model if self.heard else self.named)

    def _note(
        self, result: str, *, tokens_in: int | None = None, tokens_out: int | None = None,
        cost: float | None = None, model: str | None = None, verdict: Verdict | None = None,
    ) -> None:  # fmt: skip
        self._keep(
            Attempt(lane=self.lane.name, why=self.why, result=result, started_ms=self.started_ms,
                    ended_ms=self.run.ms(), first_byte_ms=self.first_byte_ms, model=model,
                    other_than=None if model is None or self.lane.answers_as(model) else self.lane.model,
                    tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, verdict=verdict)
        )  # fmt: skip

    def _keep(self, attempt: Attempt) -> None:
        """Attempts stand in the order of their intents, also where two calls ran side by side."""
        bisect.insort(self.run.attempts, attempt, key=lambda kept: kept.started_ms)
