"""shadow: a request whose client has its answer in; the same asked of lanes that nobody sees, and a Compared on record.

It is a hop like any other: only lanes that the wall leaves, each call guarded, paid for and on record before it is
made. It gives way to requests, tries nothing twice, and whatever happens to it happens to it alone. What the lanes
said is held against each other in memory, and forgotten.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from laneway.answer import Answer
from laneway.aside import aside
from laneway.classify import raised
from laneway.clock import today
from laneway.decide import DEFAULT_OUTPUT, decide
from laneway.decision import Route, Unseen
from laneway.egress import guard
from laneway.errors import GuardError, LaneError, LanewayError, LogError
from laneway.evidence.judging.asking import OUTPUT, Said, Unasked
from laneway.evidence.judging.family import families
from laneway.evidence.judging.swap import Outcome, Pair, placed
from laneway.evidence.sample import Message, Sample
from laneway.gate import failing
from laneway.judge import about
from laneway.lane import Lane
from laneway.policy import Shadow
from laneway.record import Compared, Intent, Result, Trial, Why
from laneway.request import Request
from laneway.run import Got, Run
from laneway.serve import MAY_HAVE_WORKED, asked, estimated_output
from laneway.signals import Signals
from laneway.store import Log, Reader

__all__ = ["ASKS", "INTERRUPTED", "MOST", "SECONDS", "Shadows"]

MOST = 8
"""The most requests that are shadowed at once; what comes beyond is not shadowed."""
SECONDS = 60.0
"""How long a lane may take where the request's latency target has no total."""
INTERRUPTED = "interrupted"
"""The code of a comparison that ended early through no fault of the lane."""
ASKS = "Which answer is more correct, more complete and more to the point of what was asked?"
"""What a judge is to compare two answers by."""

_MEDIA = frozenset({"vision", "audio", "pdf"})
_RESULTS: dict[Outcome, Result] = {
    "one": "better", "two": "worse", "tie": "tie", "position": "position", "unclear": "unjudged",
}  # fmt: skip
_log = logging.getLogger("laneway")


class _Unmade(LanewayError):
    """A call that was not made: no slot, no money, or a lane that is not well."""


class _Seen(NamedTuple):
    """A lane's answer, and the seconds that it took."""

    answer: Answer
    seconds: float


class Shadows:
    """The comparisons of one server. `spent` is today's money by rule, what may yet be spent on open calls included."""

    def __init__(self, log: Log, today: Callable[[], datetime.date] = today) -> None:
        self.log, self.today, self.stopped = log, today, False
        self.day, self.spent = today(), defaultdict[str, float](float)
        self._tasks = set[asyncio.Task[None]]()

    @property
    def under_way(self) -> int:
        """How many requests are being shadowed."""
        return len(self._tasks)

    def recall(self) -> None:
        """Count what was spent today before this start. Where that cannot be read, nothing is shadowed."""
        midnight = datetime.datetime.combine(self.day, datetime.time(), datetime.UTC)
        try:
            with closing(Reader.open(self.log.path)) as reader:
                for _, made, _ in reader.compared(midnight):
                    self.spent[made.rule] += made.cost
        except LogError as error:
            self.stopped = True
            _log.error("nothing is shadowed, as it is not known what was spent today: %s", error)

    def wanted(self, run: Run) -> bool:
        """Whether the request's answer is to be compared: by chance of its id alone."""
        return bool(run.route.shadow) and not self.stopped and self.under_way < MOST and bool(_drawn(run))

    def follow(self, run: Run, got: Got) -> None:
        """Compare `got`, which the client has, with what others say; returns at once."""
        if not self.stopped and self.under_way < MOST:
            task = asyncio.create_task(self._follow(run, got))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Begin nothing more, and end what is under way."""
        if not self.stopped:  # a second time would cut short what the first one has put on record
            self.stopped = True
            for task in self._tasks:
                task.cancel()

    async def ended(self, seconds: float) -> None:
        """Wait until all of it is on record, at most so long."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _follow(self, run: Run, got: Got) -> None:
        for rule, unseen in _drawn(run):
            for name in unseen.lanes:
                if name != got.lane and not self.stopped:
                    await self._compare(run, got, rule, run.policy.lanes[name])

    async def _compare(self, run: Run, got: Got, rule: Shadow, lane: Lane) -> None:
        """One comparison from the first intent to its end on record; nothing where no call was made."""
        trial = _Trial(self, run, rule, lane, got)
        made, begun = trial.ended("failed", code=INTERRUPTED), run.intents
        try:
            made = await trial.result()
        except _Unmade:
            pass
        except GuardError as error:
            _log.error("a shadow of decision %s was stopped: %s", run.id, error)
        except LogError as error:
            _log.warning("a shadow of decision %s ended early: %s", run.id, error)
        except Exception as error:  # noqa: BLE001  # a request that is over must not hear of it
            _log.error("a shadow of decision %s ended early by %s", run.id, type(error).__name__)
        finally:
            if run.intents > begun:
                await asyncio.shield(self._written(msgspec.structs.replace(made, cost=trial.spent)))

    async def _written(self, made: Compared) -> None:
        try:
            await self.log.append(made)
        except LogError:
            self.log.owe(made)

    def left(self, rule: Shadow) -> float:
        """What is left of the rule's money today."""
        if self.day != (day := self.today()):
            self.day = day
            self.spent.clear()
        return float("inf") if rule.budget is None else rule.budget - self.spent[rule.id]


@dataclass(slots=True)
class _Trial:
    """One lane against the answer that a client has. `spent` is what its calls cost so far, at worst."""

    shadows: Shadows
    run: Run
    rule: Shadow
    lane: Lane
    got: Got
    spent: float = 0.0

    def ended(self, result: Result, **more: object) -> Compared:
        """The comparison's end."""
        made = Compared(
            id=self.run.id, lane=self.lane.name, incumbent=self.got.lane, rule=self.rule.id, result=result
        )  # fmt: skip
        return msgspec.structs.replace(made, **more)

    async def result(self) -> Compared:
        """What came of it. Raises _Unmade where the lane was not asked, GuardError and LogError."""
        run = self.run
        body = {key: value for key, value in run.request.body.items() if key not in ("stream", "stream_options")}
        request = replace(run.request, stream=False, body=body)
        started = time.monotonic()
        try:
            answer, seconds = await self.call(self.lane, "shadow", request, run.signals, run.opening.ask.max_output)
        except LaneError as error:
            return self.ended("failed", code=error.code, seconds=round(time.monotonic() - started, 3))
        known = {"seconds": round(seconds, 3), "model": answer.model}
        refuses = answer.refusal and not self.got.answer.refusal
        failed = (
            failing(run.policy.gate, run.request, answer, run.policy.output(run.signals.workload))
            or ("refusal",) * refuses
        )
        if failed:
            return self.ended("failed", failed=failed, **known)
        if _alike(answer, self.got.answer):
            return self.ended("tie", **known)
        judge, result, code = await self._judged(answer)
        return self.ended(result, judge=judge, code=code, **known)

    async def _judged(self, answer: Answer) -> tuple[str, Result, str]:
        """Which of two different answers is better, and by whose word; why nobody's, where none may or can say."""
        run = self.run
        unseen = next((each for each in run.route.shadow if each.rule == self.rule.id), None)
        if unseen is None or not unseen.judge:
            return "", "unjudged", "no-judge"
        if run.request.unreadable or not _MEDIA.isdisjoint(run.request.needs):
            return "", "unjudged", "no-text"
        authors = frozenset[str]()
        for lane, given in ((self.lane, answer), (run.policy.lanes[self.got.lane], self.got.answer)):
            authors |= families((lane.model, *lane.reports, given.model or ""))
        conversation = msgspec.json.encode(run.request.body["messages"]).decode()
        sample = Sample(id=run.id, messages=(Message("user", conversation),), scorers=(),
                        sensitivity=run.signals.sensitivity)  # fmt: skip
        pair = Pair(sample, ASKS, _told(answer), _told(self.got.answer))
        why = "author"
        for name in unseen.judge:
            lane = run.policy.lanes[name]
            if name in (self.lane.name, self.got.lane) or authors & families((lane.model, *lane.reports)):
                continue
            try:
                found = await placed(self._ask, name, pair)
            except (LaneError, _Unmade):
                return name, "unjudged", "judge-failed"
            if found is not None:
                if authors & families(found.reported):
                    return name, "unjudged", "author"
                result = _RESULTS[found.outcome]
                return name, result, "unclear" if result == "unjudged" else ""
            why = "wall"
        return "", "unjudged", why

    async def _ask(self, lane: str, messages: Sequence[Message], _: Sample) -> Said:
        """A judge's reply, if the text to judge may go there; both answers make it another text than the client's."""
        run = self.run
        request = about(run.request, *((message.role, message.content) for message in messages))
        signals = await aside(len(request.canonical), raised, run.policy, run.signals, request)
        again = decide(run.policy, run.opening.ask, signals, run.opening.facts)
        rules = again.shadow if isinstance(again, Route) else ()
        if not any(each.rule == self.rule.id and lane in each.judge for each in rules):
            raise Unasked(f"the wall keeps these answers from {lane}")
        answer, _seconds = await self.call(run.policy.lanes[lane], "judge", request, signals, OUTPUT)
        return Said(answer.text, answer.model or "")

    async def call(self, lane: Lane, why: Why, request: Request, signals: Signals, output: int | None) -> _Seen:
        """What the lane says: guarded, on record before it is called, within the money that is left.

        Raises _Unmade, LaneError, GuardError and LogError.
        """
        run, policy = self.run, self.run.policy
        await aside(len(request.canonical), guard, policy, request, signals, lane, run.opening.facts.today)
        cap = min((n for n in (output, lane.limits.output) if n is not None), default=None)
        worst = lane.cost(signals.tokens, cap or DEFAULT_OUTPUT)
        cap = cap if not worst else cap or DEFAULT_OUTPUT
        ceiling = float("inf") if signals.ceiling is None else signals.ceiling - run.spent
        if worst is None or worst > min(ceiling, self.shadows.left(self.rule)):
            raise _Unmade("no money is left for it")
        until = asyncio.timeout(run.route.total or SECONDS)
        gave_way = asyncio.Event()

        def give_way() -> None:
            gave_way.set()
            with suppress(RuntimeError):  # it is ending already
                until.reschedule(asyncio.get_running_loop().time())

        flow, workload = run.traffic.of(lane), run.signals.workload

        def check() -> None:
            if flow.levers.shut(lane.name, workload) is not None:
                raise LaneError(INTERRUPTED, f"lane {lane.name} is out of use now")

        with flow.beside(give_way, workload) as may:
            if not may:
                raise _Unmade(f"lane {lane.name} is busy or not well")
            paid = worst
            self._pay(worst)
            try:
                async with until:
                    await self._intend(lane, why)
                    started = time.monotonic()
                    answer = await asked(run.provider, lane, request, cap, check)
                    seen = _Seen(answer, time.monotonic() - started)
                used = signals.tokens if seen.answer.tokens_in is None else seen.answer.tokens_in
                paid = lane.cost(used, estimated_output(seen.answer)) or 0.0
            except TimeoutError:
                if gave_way.is_set():
                    raise LaneError(INTERRUPTED, f"lane {lane.name} is needed for requests") from None
                raise LaneError("late", f"lane {lane.name} did not answer in time", cause="late") from None
            except (LaneError, LogError) as error:
                paid = worst if isinstance(error, LaneError) and error.code in MAY_HAVE_WORKED else 0.0
                raise
            finally:
                self._pay(paid - worst)
        return seen

    async def _intend(self, lane: Lane, why: Why) -> None:
        run, log = self.run, self.shadows.log
        run.intents += 1  # a call that is cut short from here on may be on record
        trial = Trial(rule=self.rule.id, lane=self.lane.name, incumbent=self.got.lane, worst=self.spent)
        try:
            await log.append(Intent(id=run.id, attempt=run.intents, lane=lane.name, why=why, trial=trial))
        except LogError:
            run.intents -= 1
            raise

    def _pay(self, amount: float) -> None:
        self.spent += amount
        self.run.spent += amount
        self.shadows.spent[self.rule.id] += amount


def _drawn(run: Run) -> list[tuple[Shadow, Unseen]]:
    """The rules whose share the request is in: one draw for all of them, from the random part of its id."""
    draw = int(run.id[-12:], 16) / 2**48
    rules = {rule.id: rule for rule in run.policy.shadows}
    return [(rules[each.rule], each) for each in run.route.shadow if draw < rules[each.rule].share]


def _alike(one: Answer, two: Answer) -> bool:
    """Whether two answers are the same: their tool calls where either makes any, else their words."""
    if one.tool_calls or two.tool_calls:
        return _calls(one) == _calls(two)
    return one.text.split() == two.text.split()


def _calls(answer: Answer) -> list[tuple[str, str]]:
    """The tool calls, whatever their order and the layout of their arguments."""
    return sorted((name, _canonical(arguments)) for name, arguments in answer.tool_calls)


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _told(answer: Answer) -> str:
    """An answer as a judge reads it."""
    if not answer.tool_calls:
        return answer.text
    calls = [{"name": name, "arguments": arguments} for name, arguments in answer.tool_calls]
    return msgspec.json.encode({"text": answer.text, "tool_calls": calls}).decode()
