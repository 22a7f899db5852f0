"""run: asks every lane every sample behind every prompt, and keeps what they answer; nothing answered is asked again.

Each lane has workers of its own, as many as it bears at once, so that a slow or dead lane holds up no other. Samples
are taken one by one, so that memory does not grow with them. An intent is on disk before a call and an answer before
its score; whatever ends a run, the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from laneway import __version__
from laneway.decision import Reason
from laneway.errors import GuardError, LaneError, LanewayError
from laneway.evidence.calling import Broke, Called, Calls, Given, Parameters, Question
from laneway.evidence.plan import Planned
from laneway.evidence.results import Result, Results
from laneway.evidence.sample import Sample, sample_hash
from laneway.evidence.scorers import Score, Unscored, score
from laneway.evidence.standing import GROUP
from laneway.evidence.tally import Tally
from laneway.lane import Lane
from laneway.policy import Policy

__all__ = ["GRACE", "Run", "Scoring", "Ungraded", "answered", "ask_all", "labelled"]

GRACE = 5.0
"""Seconds that calls under way get to end, once a run is told to stop."""

_AT_ONCE = 8
"""Calls at once on a lane whose limits do not say."""
_MOST_AT_ONCE = 256
_ALL_INVALID = 5
_THREADS = 4


class Scoring(Protocol):
    """What scores answers to samples with a rubric."""

    async def score(self, sample: Sample, result: Result) -> Score | Unscored:
        """The score of the answer in `result`. Raises Ungraded."""


class Ungraded(LanewayError):
    """An answer could not be graded now; the message says why. Its sample stays open."""


@dataclass(slots=True, eq=False)
class Run:
    """One run: what it asks (`plan`, `lanes`), and how it goes.

    Answers from before `since` are asked again. `stop` may be set at any time; `shown` is called after each sample.
    `nobody` are the samples, as `set/sample`, that no lane of the policy may see; `guarded` is what the guard stopped.
    """

    calls: Calls
    results: Results
    plan: tuple[Planned, ...]
    lanes: tuple[Lane, ...]
    parameters: Parameters
    since: datetime.datetime | None = None
    scoring: Scoring | None = None
    shown: Callable[[Lane], None] = lambda _: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    nobody: set[str] = field(default_factory=set)
    guarded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for lane in self.lanes:
            for planned in self.plan:
                tally = self.tally(lane, planned)
                tally.samples += len(planned.set.samples)
                tally.on.append(planned.on)
                tally.not_evidence = tally.not_evidence or planned.not_evidence

    def tally(self, lane: Lane, planned: Planned) -> Tally:
        """Where what the lane does with a set is counted."""
        workload = planned.set.workload
        return self.tallies.setdefault((workload, lane.name, planned.tried), Tally(workload, lane, planned.tried))


async def ask_all(run: Run) -> None:
    """Ask all that is to be asked. Raises ResultsError where the results cannot be written, and asks nothing more then.

    Where it is told to stop, calls under way get GRACE seconds to end. Samples that stay open are counted.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS), "laneway-scores") as pool:
        works = [_Work(run, lane, pool) for lane in run.lanes]
        workers = [asyncio.create_task(work.through()) for work in works for _ in range(_at_once(work.lane))]
        stopping = asyncio.create_task(run.stop.wait())
        everybody = asyncio.gather(*workers)
        try:
            await asyncio.wait((everybody, stopping), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((everybody,), timeout=GRACE)
            if everybody.done():
                await everybody
        finally:
            everybody.cancel()
            stopping.cancel()
            await asyncio.gather(everybody, stopping, *workers, return_exceptions=True)


def _at_once(lane: Lane) -> int:
    limits = lane.limits
    return min(limits.concurrency or _AT_ONCE, limits.rpm or _MOST_AT_ONCE, _MOST_AT_ONCE)


class _Work:
    """A lane's work in a run, shared by its workers: the tasks that are left, and what is under way."""

    def __init__(self, run: Run, lane: Lane, pool: ThreadPoolExecutor) -> None:
        self.run, self.lane, self.pool = run, lane, pool
        self.tasks = ((planned, sample) for planned in run.plan for sample in planned.set.samples)
        self.asking: dict[str, asyncio.Event] = {}
        self.invalid: int | None = 0

    async def through(self) -> None:
        """Take tasks until none is left, or the lane is given up, or the run is to stop."""
        run, calls = self.run, self.run.calls
        for planned, sample in self.tasks:
            if run.stop.is_set() or self.lane.name in calls.given:
                return
            try:
                await self._one(planned, sample)
            except Broke as broke:
                calls.give_up(self.lane.name, f"{broke}")
            except Ungraded as ungraded:
                run.tally(self.lane, planned).leave_open("ungraded", f"{ungraded}")
            except Given:
                return
            run.shown(self.lane)
            await asyncio.sleep(0)

    async def _one(self, planned: Planned, sample: Sample) -> None:
        """One sample: seen to be allowed, found or asked, scored, counted."""
        tally, question = self.run.tally(self.lane, planned), self._question(planned, sample)
        if (reason := question.shut.get(self.lane.name)) is not None:
            tally.left_out[_told(reason, self.lane)] += 1
            if len(question.shut) == len(self.run.calls.policy.lanes):
                self.run.nobody.add(f"{planned.set.name}/{sample.id}")
            return
        blank = self._blank(planned, sample, question)
        while blank.key in self.asking:  # another sample asks the very same
            await self.asking[blank.key].wait()
        before = self._found(blank.key)
        if before is not None:
            tally.add(await self._kept(sample, blank, before), kept=True)
            return
        asking = self.asking[blank.key] = asyncio.Event()
        try:
            result = await self._asked(question, blank, tally)
            await self.run.results.put(result)
        finally:
            del self.asking[blank.key]
            asking.set()
        if result.settled:
            tally.add(await self._scored(sample, result), kept=False)

    def _question(self, planned: Planned, sample: Sample) -> Question:
        """The sample as a request, with the labels that a client would give."""
        calls = self.run.calls
        labels = labelled(calls.policy, planned.set.workload, sample)
        return calls.question(sample.messages, labels, self.run.parameters, planned.prompt)

    def _blank(self, planned: Planned, sample: Sample, question: Question) -> Result:
        """The result as it is before there is an answer."""
        lane, parameters = self.lane, self.run.parameters
        sent = {**parameters.sent(), parameters.cap_name: self.run.calls.cap(lane, question)}
        content = (lane.url, lane.model, planned.on.prompt, question.request.body["messages"], sorted(sent.items()))
        return Result(
            key=hashlib.sha256(msgspec.json.encode(content)).hexdigest(), set=planned.set.name,
            set_hash=planned.on.hash, sample=sample.id, sample_hash=sample_hash(sample), language=sample.language,
            group=sample.group, sensitivity=question.signals.sensitivity, workload=planned.set.workload,
            lane=lane.name, model=lane.model, endpoint=lane.url, prompt=planned.on.prompt, answer=None, reported="",
            finish="", error="", tokens_in=None, tokens_out=None, cost=None, seconds=0.0, at=_now(),
        )  # fmt: skip

    def _found(self, key: str) -> Result | None:
        """What was answered before, where it is new enough to count for anything."""
        run = self.run
        found = run.results.find(key)
        if found is None or not found.settled or (run.since is not None and found.at < run.since):
            return None
        until = found.at.date() + datetime.timedelta(days=run.calls.policy.fresh_days)
        return found if until >= run.calls.day else None

    async def _kept(self, sample: Sample, blank: Result, before: Result) -> Result:
        """An answer that is on file, as this sample's; scored anew where its score is of other scorers."""
        same = before.sample_hash == blank.sample_hash and before.scored_by == __version__
        scored = same and before.score is not None and not _judged(sample)
        now = msgspec.structs.replace(
            before, set=blank.set, set_hash=blank.set_hash, sample=blank.sample, sample_hash=blank.sample_hash,
            language=blank.language, group=blank.group, sensitivity=blank.sensitivity, workload=blank.workload,
            lane=blank.lane, prompt=blank.prompt, score=before.score if scored else None,
            parts=before.parts if scored else (), unscored="" if scored else before.unscored,
        )  # fmt: skip
        if scored or now.answer is None:
            if now != before:
                await self.run.results.put(now)
            return now
        return await self._scored(sample, now)

    async def _asked(self, question: Question, blank: Result, tally: Tally) -> Result:
        """What came of asking; a sample that stays open is counted."""
        run, lane = self.run, self.lane
        try:
            async with run.results.calling(blank.key):
                called = await run.calls.call(lane, question, lambda: run.results.intend(blank.key, lane.name))
        except LaneError as error:
            self._judge(error)
            if error.cause == "refusal":
                return msgspec.structs.replace(blank, error="refused", cost=lane.cost(0, 0), at=_now())
            tally.leave_open(error.code, f"{error}")
            return msgspec.structs.replace(blank, error=error.code, at=_now())
        except GuardError as error:
            run.guarded.append(f"{blank.set}/{blank.sample} on {lane.name}: {error}")
            tally.leave_open("guard", f"{error}")
            return msgspec.structs.replace(blank, error="guard", at=_now())
        self.invalid = None
        return msgspec.structs.replace(answered(blank, called), at=_now())

    def _judge(self, error: LaneError) -> None:
        """Give up a lane that has called every request invalid from the first one on: it dislikes what all have."""
        if self.invalid is None:
            return
        if error.cause != "invalid":
            self.invalid = None if error.cause == "refusal" else self.invalid
            return
        self.invalid += 1
        if self.invalid == _ALL_INVALID:
            names = ", ".join(self.run.parameters.sent())
            self.run.calls.give_up(
                self.lane.name, f"{error}, as it did the first {_ALL_INVALID}; if it does not take one of {names}, "
                "leave that out for all lanes with --without, or name the cap otherwise with --cap-name",
            )  # fmt: skip

    async def _scored(self, sample: Sample, result: Result) -> Result:
        """The result with its score, on disk; a refusal has none."""
        if result.answer is None:
            return result
        if _judged(sample) and self.run.scoring is not None:
            said = await self.run.scoring.score(sample, result)
        else:
            said = await asyncio.get_running_loop().run_in_executor(self.pool, score, sample, result.answer)
        if isinstance(said, Unscored):
            made = msgspec.structs.replace(result, score=None, parts=(), unscored=said.error, scored_by=__version__)
        elif not 0 <= said.value <= 1:
            why = f"the score is {said.value}, which is not within 0..1"
            made = msgspec.structs.replace(result, score=None, parts=(), unscored=why, scored_by=__version__)
        else:
            parts = tuple((part.scorer, part.value, part.explanation) for part in said.by_scorer)
            made = msgspec.structs.replace(result, score=said.value, parts=parts, unscored="", scored_by=__version__)
        await self.run.results.put(made)
        return made


def labelled(policy: Policy, workload: str, sample: Sample) -> dict[str, str]:
    """The labels that a client would give with the sample."""
    labels = {"workload": workload, "sensitivity": sample.sensitivity}
    labels |= {f"fact-{name.lower()}": value for name, value in sample.facts.items()}
    if sample.language is not None:
        labels["language"] = sample.language
    fact = policy.facts.get(GROUP)
    if fact is not None and sample.group is not None and sample.group in fact.values:
        labels[f"fact-{GROUP}"] = sample.group
    return labels


def _judged(sample: Sample) -> bool:
    """Whether a judge has a say: then its grade counts only as long as the judge does."""
    return any(scorer.name == "rubric" for scorer in sample.scorers)


def _told(reason: Reason, lane: Lane) -> str:
    """Why the lane may not see a sample, in the same words for all samples that it may not see for this reason."""
    if reason.code == "context":  # whose effect says how long this one is
        return f"{reason.rule}: more input than the {lane.limits.context} tokens that {lane.name} takes"
    return f"{reason.rule}: {reason.effect}"


def answered(blank: Result, called: Called) -> Result:
    """The result with what the lane said; one that it will not answer has the error `refused` in place of a text."""
    answer = called.answer
    refused = answer.refusal and not answer.text
    return msgspec.structs.replace(
        blank, answer=None if refused else answer.text, error="refused" if refused else "",
        reported=answer.model or "", finish=answer.finish or "", tokens_in=called.tokens_in,
        tokens_out=called.tokens_out, cost=called.cost, seconds=round(called.seconds, 6),
    )  # fmt: skip


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
