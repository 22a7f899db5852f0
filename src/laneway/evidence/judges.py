"""judges: the judge lanes of a run. Asked as all lanes are, their replies kept, so that none is paid twice.

Where a judge cannot be asked now, the sample stays open, so that asking later may help.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from laneway.errors import LaneError, LanewayError, UsageError, did_you_mean, shown
from laneway.evidence.calling import Calls, Parameters, Question
from laneway.evidence.judging.asking import OUTPUT, Author, Judge, Said, Unasked
from laneway.evidence.judging.calibration import Calibration, Kind
from laneway.evidence.judging.kept import judges_for
from laneway.evidence.judging.labels import labels_of
from laneway.evidence.judging.pairs import Preferences, preferred
from laneway.evidence.judging.rubric import named, rubrics, scored
from laneway.evidence.judging.swap import Pair
from laneway.evidence.plan import Planned
from laneway.evidence.results import Result, Results
from laneway.evidence.run import Ungraded, answered, labelled
from laneway.evidence.sample import EvalSet, Message, Sample, sample_hash, set_hash
from laneway.evidence.scorers import Score, Unscored
from laneway.lane import Lane

__all__ = ["FILE", "Judges"]

FILE = "judged.db"
"""The file of judges' replies, beside that of the results and like it: they are content too."""


class Judges:
    """The judges of the rubrics of some sets. `lanes` judge where a rubric names none, tried first to last.

    A set's judges are held against its labels before the first answer to it is graded; that is kept in the file
    `calibrations`. Replies and calibrations from before `since` do not count. `found` are the calibrations by workload
    and set, `trouble` says of a lane why it has none. Raises PolicyError where labels cannot be read, UsageError where
    the policy does not have a lane that is to judge.
    """

    def __init__(
        self, calls: Calls, replies: Results, parameters: Parameters, *, sets: Iterable[EvalSet],
        lanes: Sequence[str], calibrations: Path, since: datetime.datetime,
    ) -> None:  # fmt: skip
        self.calls, self.replies, self.since, self.calibrations = calls, replies, since, calibrations
        self.parameters = replace(parameters, output=OUTPUT)
        self.found: dict[tuple[str, str], tuple[Calibration, ...]] = {}
        self.trouble: dict[str, str] = {}
        self._sets = {(one.workload, one.name): one for one in sets if rubrics(one)}
        self._named = {key: named(one, lanes) for key, one in self._sets.items()}
        for lane in self.lanes:
            if lane not in calls.policy.lanes:
                raise UsageError(f"no lane `{shown(lane)}`, which is to judge{did_you_mean(lane, calls.policy.lanes)}")
        self.labels = {key: labels_of(one) for key, one in self._sets.items()}
        self._asking: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def lanes(self) -> tuple[str, ...]:
        """All lanes that are to judge."""
        return tuple(dict.fromkeys(lane for lanes in self._named.values() for lane in lanes))

    async def score(self, sample: Sample, result: Result) -> Score | Unscored:
        """The score of an answer, its rubrics graded. Raises Ungraded where that has to wait for a judge."""
        assert result.answer is not None
        key, lane = (result.workload, result.set), self.calls.policy.lanes[result.lane]
        judges = await self._calibrated(key)
        author = _author(lane, (result,))
        try:
            return await scored(partial(self._ask, self._sets[key]), judges, sample, result.answer, author)
        except LanewayError as error:
            raise Ungraded(f"it has an answer and no grade: {error}") from None

    async def prefer(self, planned: Planned, results: Results, lanes: tuple[Lane, Lane]) -> tuple[Preferences, ...]:
        """Which of two lanes' answers on file the judges prefer: all that are refused, up to the first that is not.

        A sample that both have answered behind the prompt of `planned` is compared once by each of its rubrics. Raises
        Ungraded where a judge cannot be asked now; what it said is kept.
        """
        one, two = (_on_file(results, planned, lane) for lane in lanes)
        pairs = [
            Pair(sample, str(scorer.options["asks"]), one[sample.id].answer or "", two[sample.id].answer or "")
            for sample in planned.set.samples if sample.id in one and sample.id in two
            for scorer in sample.scorers if scorer.name == "rubric"
        ]  # fmt: skip
        authors = (_author(lanes[0], one.values()), _author(lanes[1], two.values()))
        key, said = (planned.set.workload, planned.set.name), list[Preferences]()
        for name in self._named[key]:
            judges = await self._held(key, name, "pairs")
            if not judges:
                raise Ungraded(self.trouble[name])
            try:
                said.append(await preferred(partial(self._ask, self._sets[key]), judges[0], pairs, authors))
            except LanewayError as error:
                raise Ungraded(f"judge {name} could not be asked about all of it: {error}") from None
            if not said[-1].refused:
                break
        return tuple(said)

    async def _calibrated(self, key: tuple[str, str]) -> tuple[Calibration, ...]:
        """The calibrations of a set's judges."""
        if not self._named[key]:
            raise Ungraded("a judge is to grade it, and none is named; name one with --judge, or in the set")
        async with self._asking[key]:
            if key not in self.found:
                self.found[key] = tuple([one for lane in self._named[key] for one in await self._held(key, lane)])
        for lane in self._named[key]:
            if lane in self.trouble:
                raise Ungraded(self.trouble[lane])
        return self.found[key]

    async def _held(self, key: tuple[str, str], name: str, kind: Kind = "grades") -> tuple[Calibration, ...]:
        """The lane's calibration, unless there is trouble."""
        lane, now = self.calls.policy.lanes[name], datetime.datetime.now(datetime.UTC)
        judge, ask = Judge(name, (lane.model, *sorted(lane.reports)), lane.url), partial(self._ask, self._sets[key])
        try:
            return await judges_for(
                ask, [judge], self.labels[key], self.calibrations, at=now, since=self.since, kind=kind
            )  # fmt: skip
        except LanewayError as error:
            self.trouble[name] = f"judge {name} could not be held against labels: {error}"
            return ()

    async def _ask(self, evaluation: EvalSet, name: str, messages: Sequence[Message], sample: Sample, /) -> Said:
        """What the lane says of an answer: from what is kept, else asked."""
        calls, lane = self.calls, self.calls.policy.lanes[name]
        labels = labelled(calls.policy, evaluation.workload, sample)
        question = calls.question(messages, labels, self.parameters)
        if name in question.shut:
            reason = question.shut[name]
            raise Unasked(f"{reason.rule}: {reason.effect}")
        blank = self._blank(evaluation, lane, sample, question)
        async with self._asking[blank.key]:  # two lanes that answer alike put one question to a judge
            found = self.replies.find(blank.key)
            if found is None or not found.settled or found.at < self.since:
                found = await self._made(lane, question, blank)
                await self.replies.put(found)
        if found.answer is None:
            raise Unasked(f"it would not say ({found.error})")
        return Said(found.answer, found.reported)

    async def _made(self, lane: Lane, question: Question, blank: Result) -> Result:
        try:
            async with self.replies.calling(blank.key):
                called = await self.calls.call(lane, question, lambda: self.replies.intend(blank.key, lane.name))
        except LaneError as error:
            if error.cause not in ("invalid", "refusal"):
                raise
            return msgspec.structs.replace(blank, error="refused" if error.cause == "refusal" else error.code)
        return answered(blank, called)

    def _blank(self, evaluation: EvalSet, lane: Lane, sample: Sample, question: Question) -> Result:
        """The reply as it is before the lane has said anything. It is kept under what was asked, not under a prompt."""
        sent = {**self.parameters.sent(), self.parameters.cap_name: self.calls.cap(lane, question)}
        content = ("judge", lane.url, lane.model, question.request.body["messages"], sorted(sent.items()))
        return Result(
            key=hashlib.sha256(msgspec.json.encode(content)).hexdigest(), set=evaluation.name,
            set_hash=set_hash(evaluation), sample=sample.id, sample_hash=sample_hash(sample), language=sample.language,
            group=sample.group, sensitivity=question.signals.sensitivity, workload=evaluation.workload, lane=lane.name,
            model=lane.model, endpoint=lane.url, prompt="", answer=None, reported="", finish="", error="",
            tokens_in=None, tokens_out=None, cost=None, seconds=0.0, at=datetime.datetime.now(datetime.UTC),
        )  # fmt: skip


def _on_file(results: Results, planned: Planned, lane: Lane) -> dict[str, Result]:
    """The lane's answers to the set, by sample."""
    now = {sample_hash(sample): sample.id for sample in planned.set.samples}
    rows = results.of(set_hash=planned.on.hash, workload=planned.set.workload, lane=lane.name, prompt=planned.on.prompt)
    return {
        now[row.sample_hash]: row for row in rows
        if row.answer is not None and row.sample_hash in now and (row.model, row.endpoint) == (lane.model, lane.url)
    }  # fmt: skip


def _author(lane: Lane, results: Iterable[Result]) -> Author:
    """The lane, and all the names that its model goes by."""
    return Author(lane.name, (lane.model, *sorted({*lane.reports, *(result.reported for result in results)})))
