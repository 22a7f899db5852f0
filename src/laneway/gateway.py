"""gateway: the flow of one request. Read `Gateway.chat` from top to bottom; each step is a module.

receive -> classify -> decide -> serve -> gate -> record -> answer
                                   ^        |
                                   +--------+  escalate, once
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from typing import NamedTuple, Protocol

import msgspec

from laneway.aside import aside
from laneway.classify import classify
from laneway.clock import new_id, today
from laneway.decide import decide
from laneway.decision import Decision, Hold, Route
from laneway.erasure import subject_hash
from laneway.errors import ContentError, GuardError, LaneError, LanewayError, LogError
from laneway.evidence.standing import Standing
from laneway.facts import Facts
from laneway.gate import check_schema, escalation, unmended
from laneway.judge import judged
from laneway.levers import Levers, sentence
from laneway.policy import Policy
from laneway.providers import Provider
from laneway.record import HELD, Cause, Lever, Opening, Outcome, Shut, Status, Verdict
from laneway.refusal import HALTED, Stopped, no_outage, no_room, rejected, told, unanswered, withheld
from laneway.request import Request
from laneway.review.acts import Kept, Words
from laneway.review.captured import Captures, days_of
from laneway.review.desk import Desk
from laneway.review.item import Held, Item, Onward, Waiting
from laneway.run import Client, Got, Nobody, Run
from laneway.serve import serve
from laneway.shadow import Shadows
from laneway.signals import Ask, Signals
from laneway.store import Log, Reader
from laneway.traffic import Traffic
from laneway.wire import openai, openai_reply

__all__ = ["KEEP_ALIVE", "Active", "Classify", "Gateway", "Receiver"]

KEEP_ALIVE = 5.0
"""Seconds between the comments that keep a held-back stream open."""

_log = logging.getLogger("laneway")


class Receiver(Client, Protocol):
    """A Client that can also be given the end of an answer."""

    async def finish(self, data: bytes, headers: dict[str, str], *, stream: bool) -> None:
        """Send what is left, beginning the response where that has not happened."""


Classify = Callable[[Policy, Request], tuple[Ask, Signals]]


class Active(NamedTuple):
    """What is in force: a policy, how its lanes are called, which of them are closed, and what lanes have shown."""

    policy: Policy
    provider: Provider
    closed: Mapping[str, str] = {}
    standing: Standing = Standing()


class Gateway:
    """The log, and what is in force. `active` may be replaced at any time: a request ends under what it began with.

    `refused` says why the policy file, as it stands now, is not in force; it is empty where it is. `others` are the
    lanes that last answered as another model than the policy names, with its name. A policy's cases
    bring their own `today`, and a `classify` for requests that are told by their facts.
    """

    def __init__(
        self, log: Log, active: Active, *, classify: Classify = classify,
        today: Callable[[], datetime.date] = today, desk: Desk | None = None,
    ) -> None:  # fmt: skip
        self.log, self.active, self.refused = log, active, ""
        self.levers = Levers()
        self.traffic = Traffic(levers=self.levers)
        self.shadows = Shadows(log, today)
        self.desk = desk or Desk(log)
        self.captures = Captures(self.desk)
        self.desk.allowed, self.desk.onward, self.desk.heard = self._may_go, self._send_on, self.heard
        self.classify, self.today = classify, today
        self.others: dict[str, str] = {}

    async def chat(
        self, body: bytes, headers: Mapping[str, str], client: Receiver, onward: Onward | None = None
    ) -> None:
        """One chat completion; `onward` where a reviewer sends it.

        Raises RequestError, Stopped or LogError where there is no answer to give, and Waiting where a person has it.
        """
        started = time.monotonic()
        policy, provider, closed, standing = self.active
        request = standing.prompted(openai.read(body, headers))
        check_schema(request)
        ask, signals = await aside(len(body), self.classify, policy, request)
        day = self.today()
        facts = self.levers.seen(Facts(today=day, closed=dict(closed), evidence=standing.of(signals, day, request),
                                       reviewers=bool(policy.reviews) and self.desk.able))  # fmt: skip
        decision = decide(policy, ask, signals, facts)
        opening = Opening(
            policy=policy.hash, model=request.model, ask=ask, signals=signals, facts=facts, decision=decision,
            stream=request.stream, prompt=self.log.commitment(body), size=len(body), instructed=standing.hash(signals),
            asker=self.desk.asker(request.labels["user"]) if "user" in request.labels else "",
            subject=subject_hash(self.log, request.labels["subject"]) if "subject" in request.labels else "",
            source=onward.source if onward else "",
        )  # fmt: skip
        id = onward.id if onward else new_id(self.log.now())
        if not isinstance(decision, Route) or (decision.release == "after-approval" and self.desk.full):
            raise await self._turned_away(id, opening, decision, started, (body, headers))
        run = Run(
            id=id, said=(body, headers), policy=policy, request=request, opening=opening, signals=signals,
            route=decision, client=client, provider=provider, traffic=self.traffic, started=started,
            deadline=None if decision.total is None else started + decision.total,
        )  # fmt: skip
        run.captured = days_of(policy, signals) if policy.captures else 0
        run.kept = onward is None and (self.shadows.wanted(run) or run.captured > 0)
        try:
            async with _kept_alive(run):
                got, verdict = await self._served(run)
            held = await self._held(run, got, verdict)
            if onward is not None and held is None and _STATUS[verdict.verdict] == "answered":
                await self.desk.answered(run.id, opening.subject, Words.of(got.answer))
            await self._record(run, _STATUS[verdict.verdict], got.lane, verdict, held=held)
        except LaneError as error:
            raise await self._failed(run, error) from None
        except ContentError as error:
            raise await self._ended(run, "failed", Stopped(503, "content_unavailable", f"{error}")) from None
        except GuardError as error:
            raise await self._ended(
                run, "failed", Stopped(500, "guard_stopped", f"{error}; nothing was sent")
            ) from None
        except LogError:
            if run.intents and not run.ended:  # a later intent could not be written
                self.log.owe(_unanswered(_outcome(run, "failed")))
            raise
        except (Exception, asyncio.CancelledError) as error:
            gone = isinstance(error, asyncio.CancelledError)
            await self._record(run, "cancelled" if gone else "failed", None, None, "" if gone else "internal_error")
            raise
        if held is not None:
            await self._released(run, held, client)
        else:
            await self._answer(run, got, verdict, client)

    async def _answer(self, run: Run, got: Got, verdict: Verdict, client: Receiver) -> None:
        """Give the client its answer, or say that it does not get it."""
        if verdict.verdict in ("hold", "refuse"):
            raise withheld(run, verdict)
        headers, data = run.headers(got.lane, got.why, verdict.verdict), b"".join(got.parts)
        if client.started and not got.released:  # keep-alive began the response, so comments stand in for headers
            data = "".join(f": {name}: {value}\n" for name, value in headers.items()).encode() + b"\n" + data
        await client.finish(data, headers, stream=run.request.stream)
        if run.kept:
            self.shadows.follow(run, got)
        if run.captured:
            kept = Kept.of(run.policy, run.route, run.said)
            self.captures.keep(run.id, run.captured, kept, Words.of(got.answer), run.opening.subject)

    async def _served(self, run: Run) -> tuple[Got, Verdict]:
        """The answer that stands, and what the gate says of it. Raises LaneError where there is none."""
        got = await serve(run, run.route.lanes, "first", self.log)
        target = escalation(run.policy, run.route, got.lane, run.spent_lanes)
        verdict = await judged(run, got, target, self.log)
        if target is not None and verdict.verdict == "escalate":
            got, verdict = await self._escalate(run, got, verdict, target)
        if verdict.verdict == "marked" and not got.parts and not got.released:
            raise LaneError("refused", f"lane {got.lane} will not answer such a request", cause="refusal")
        return got, verdict

    async def _escalate(self, run: Run, weak: Got, verdict: Verdict, target: str) -> tuple[Got, Verdict]:
        """One stronger lane redoes a weak answer; where it fails, the weak answer ends as the policy says."""
        try:
            got = await serve(run, [target], "escalation", self.log)
        except LaneError as error:
            if error.sent:
                raise
            return weak, unmended(run.route, verdict.failed)
        return got, await judged(run, got, None, self.log)

    async def _held(self, run: Run, got: Got, verdict: Verdict) -> Held | None:
        """The answer, put away for a person, where one is to release it."""
        weak = verdict.verdict == "hold" and self.desk.able and not self.desk.full
        if verdict.verdict == "refuse" or not (weak or run.route.release == "after-approval"):
            return None
        kept = Kept.of(run.policy, run.route, run.said, "gate")
        return await self.desk.keep(run.id, run.opening, "weak" if weak else "approval", kept, Words.of(got.answer))

    async def _released(self, run: Run, held: Held, client: Receiver) -> None:
        """What a person releases while the client is kept waiting. Raises Waiting where that takes longer."""
        opening, words = await self.desk.waited(held)
        made = openai_reply.completion(run.id, opening.model, words.text, words.tool_calls, words.tokens)
        usage, stream = run.request.include_usage, run.request.stream
        data = openai_reply.as_stream(made, usage=usage) if stream else msgspec.json.encode(made)
        await client.finish(data, {"laneway-decision": run.id, "laneway-review": "released"}, stream=stream)

    async def _record(
        self, run: Run, status: Status, lane: str | None, verdict: Verdict | None, code: str = "",
        held: Held | None = None,
    ) -> None:  # fmt: skip
        if run.ended:
            return
        run.ended = True
        if held is not None:
            status, code = "held", code or f"held_for_{held.review.cause}"
        self._notice(run)
        self.traffic.ended[status] += 1
        if lane is not None and (status == "answered" or code == HELD):
            self.active.standing.heard.gave(run.signals.workload, lane)
        outcome = _outcome(run, status, lane, verdict, code)
        # Handed over before anything is waited for: a client that goes away now must not leave it half way to the log.
        entries: tuple[Outcome | Shut, ...] = (outcome, *self._shut(run))
        if held is None:
            await self.log.append(*entries, otherwise=_instead(run, outcome))
        else:
            await self.desk.opened(held, run.opening, lane, entries, _instead(run, outcome))

    def _notice(self, run: Run) -> None:
        """Say so, once, where a lane answers as another model than before; one that is itself again is forgotten."""
        for attempt in run.attempts:
            if attempt.other_than is None:
                if attempt.model is not None:
                    self.others.pop(attempt.lane, None)
            elif attempt.model is not None and self.others.get(attempt.lane) != attempt.model:
                self.others[attempt.lane] = attempt.model
                _log.warning("lane %s answers as %s, not as %s (decision %s); if that is meant, say `reports: %s`",
                             attempt.lane, attempt.model, attempt.other_than, run.id, attempt.model)  # fmt: skip

    def _shut(self, run: Run) -> list[Shut]:
        """The lanes whose evidence does not count any more, as they answered as another model than was measured."""
        standing, found = self.active.standing, list[Shut]()
        for attempt in run.attempts:  # the lanes of the run's own policy: what they were seen to be outlives it
            other = attempt.model and standing.answered(run.policy.lanes[attempt.lane], attempt.model)
            if other:
                _log.error("lane %s was measured as %s and answers as %s (decision %s): its evidence does not count",
                           other.lane, other.measured, other.answered, run.id)  # fmt: skip
                found.append(Shut(id=run.id, lane=other.lane, endpoint=other.endpoint, measured=other.measured,
                                  answered=other.answered))  # fmt: skip
        return found

    async def pull(self, lever: Lever) -> tuple[bool, int]:
        """Put `lever` on record, then in force; whether it was news, and how many calls under way it cut.

        Whoever was decided before goes to no lane after. Raises LogError, and then nothing has changed.
        """
        new = await self.levers.pull(lever, self.log)
        if new:
            _log.warning("%s", sentence(lever))
        return new, self.traffic.cut() if new else 0

    async def heard(self) -> None:
        """Count anew what people said of answers, where one was rejected: a lane may shut."""
        standing = self.active.standing

        def listen() -> None:
            with closing(Reader.open(self.log.path)) as reader:
                standing.listen(reader, self.today())

        await asyncio.to_thread(listen)

    def _may_go(self, item: Item) -> list[str]:
        """The lanes to which a reviewer may send a request: never the one whose answer they have."""
        (policy, _, closed, _), opening = self.active, item.opening
        now = msgspec.structs.replace(opening.facts, today=self.today(), closed=dict(closed), reviewers=True,
                                      paused={}, stopped="")  # fmt: skip
        facts = self.levers.seen(now)
        pins = {lane: msgspec.structs.replace(opening.ask, pin=lane) for lane in policy.lanes if lane != item.lane}
        return [lane for lane, ask in pins.items() if isinstance(decide(policy, ask, opening.signals, facts), Route)]

    async def _send_on(self, onward: Onward) -> None:
        """Serve a request that a reviewer sends; whoever asked first fetches what comes of it."""
        try:
            await self.chat(onward.body, onward.headers, Nobody(), onward)
        except Waiting:
            pass
        except LanewayError as error:
            _log.warning("decision %s, which a reviewer sent on from %s: %s", onward.id, onward.source, error)

    async def _turned_away(
        self, id: str, opening: Opening, decision: Decision, started: float, said: tuple[bytes, Mapping[str, str]]
    ) -> LanewayError:
        """Record a Hold or a Refuse, or that there is no room for what would wait, before any lane was called."""
        held = isinstance(decision, Hold)
        code = "reviews_full" if isinstance(decision, Route) else decision.reasons[0].code.replace("-", "_")
        took = round((time.monotonic() - started) * 1000, 3)
        status: Status = "held" if held else "refused"
        outcome = Outcome(id=id, status=status, code=code, opening=opening, total_ms=took)
        item = await self._put_away(id, opening, "hold", Kept.of(self.active.policy, decision, said)) if held else None
        opened = None
        if item is None:
            await self.log.append(outcome)
        else:
            opened = await self.desk.opened(item, opening, None, (outcome,))
        self.traffic.ended[status] += 1
        if item is not None and opened is not None:
            return opened.waiting(item.ticket)
        if isinstance(decision, Route):
            return no_room(len(self.desk.items), id)
        return Stopped(503 if code in HALTED else 403, code, told(decision, opening, id), decision=id,
                       rule=decision.reasons[0].rule, says=decision.reasons[0].says,
                       rejected=rejected(decision))  # fmt: skip

    async def _put_away(self, id: str, opening: Opening, cause: Cause, kept: Kept) -> Held | None:
        """What is held without an answer, for people; None where that cannot be, and it is held all the same."""
        with suppress(ContentError):
            return (
                await self.desk.keep(id, opening, cause, kept, None) if self.desk.able and not self.desk.full else None
            )
        return None

    async def _failed(self, run: Run, error: LaneError) -> LanewayError:
        """No lane answered."""
        ours = no_outage(error)
        if ours is not None:
            return await self._ended(run, "failed", ours)
        stopped = unanswered(run, error)
        if run.route.on_failure != "hold" or stopped.code in HALTED:
            return await self._ended(run, "refused", stopped)
        item = await self._put_away(run.id, run.opening, "failure", Kept.of(run.policy, run.route, run.said))
        if item is None:
            return await self._ended(run, "held", stopped)
        await self._record(run, "held", None, None, stopped.code, held=item)
        return self.desk.items[run.id].waiting(item.ticket)

    async def _ended(self, run: Run, status: Status, stopped: Stopped) -> Stopped:
        await self._record(run, status, None, None, stopped.code)
        stopped.details = {"decision": run.id, "rejected": rejected(run.route)} | stopped.details
        return stopped


_STATUS: dict[str, Status] = {"pass": "answered", "marked": "answered", "hold": "held", "refuse": "refused"}


def _outcome(
    run: Run, status: Status, lane: str | None = None, verdict: Verdict | None = None, code: str = ""
) -> Outcome:
    return Outcome(id=run.id, status=status, lane=lane, code=code, verdict=verdict, attempts=tuple(run.attempts),
                   cost=run.spent, total_ms=run.ms(), opening=None if run.intents else run.opening)  # fmt: skip


def _instead(run: Run, outcome: Outcome) -> Outcome | None:
    """What the log is owed where `outcome` cannot be written: what the client gets then."""
    if not run.intents:
        return None
    return outcome if outcome.status == "cancelled" else _unanswered(outcome)


def _unanswered(outcome: Outcome) -> Outcome:
    """What is true of a request whose end could not be written in time: its client got an error."""
    return msgspec.structs.replace(outcome, status="failed", code="log_unavailable", lane=None, verdict=None)


@asynccontextmanager
async def _kept_alive(run: Run) -> AsyncIterator[None]:
    """Comments on a stream that is held back, so that nobody between us and the client hangs up."""

    async def comment() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE)
            if run.live:
                return
            if not run.intents:  # nobody is given an id that is not on record
                continue
            if not run.client.started:
                await run.client.begin({"laneway-decision": run.id}, stream=True)
            await run.client.write(b": laneway is waiting for the gate\n\n")

    if not run.request.stream or run.route.release != "now":  # what a person releases may take another status
        yield
        return
    task = asyncio.create_task(comment())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
