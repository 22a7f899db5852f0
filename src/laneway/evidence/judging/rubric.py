"""rubric: an answer and the judges that count in, its grade out; or why nobody could give one.

A grade is a Part as any scorer's. What no judge could grade is unscored, never guessed. The words of an answer, or of
the judge, are never in an explanation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from laneway.evidence.judging.asking import Ask, Author, Unasked, grade_in, grading
from laneway.evidence.judging.calibration import Calibration
from laneway.evidence.judging.family import families
from laneway.evidence.sample import EvalSet, Sample, Scorer
from laneway.evidence.scorers import Part, Score, Unscored, score

__all__ = ["grade", "kin", "named", "rubrics", "scored"]


def named(evaluation: EvalSet, judges: Sequence[str] = ()) -> tuple[str, ...]:
    """The lanes that the set's rubrics name as judges and, where one names none, `judges`; none without a rubric."""
    return tuple(dict.fromkeys(lane for scorer in rubrics(evaluation) for lane in _lanes(scorer, judges)))


def rubrics(evaluation: EvalSet) -> list[Scorer]:
    """Every rubric of the set's samples."""
    return [scorer for sample in evaluation.samples for scorer in sample.scorers if scorer.name == "rubric"]


def kin(judge: Calibration, author: Author) -> str:
    """Why this judge may not grade this author; empty where it may."""
    if judge.lane == author.lane:
        return f"{judge.lane} is the lane that answered"
    common = judge.families & families(author.models)
    return f"{judge.lane} is of the same family as the lane that answered ({min(common)})" if common else ""


async def grade(
    ask: Ask, judges: Sequence[Calibration], sample: Sample, scorer: Scorer, answer: str, author: Author
) -> Part | Unscored:
    """The grade by one rubric: 1 or 0, of the first judge that counts, is of no kin, may be asked, and is clear.

    `judges` are of the kind `grades`, those of `--judge` first to last; a rubric that names its own takes those alone.
    Raises what `ask` raises beyond Unasked, such as where the lane failed: the grade is still to come then, and no
    other judge takes over, as it would depend on the hour who graded.
    """
    by_lane = {judge.lane: judge for judge in judges}
    reasons = []
    for lane in _lanes(scorer, tuple(by_lane)):
        judge = by_lane.get(lane)
        if judge is None:
            reasons.append(f"judge {lane} is not calibrated")
        elif why := (judge.refused and str(judge)) or kin(judge, author):
            reasons.append(why)
        elif isinstance(said := await _asked(ask, judge, sample, scorer, answer), Part):
            return said
        else:
            reasons.append(said)
    return Unscored("rubric", f"rubric: {'; '.join(reasons) or 'no judge is named; name one with --judge'}")


async def _asked(ask: Ask, judge: Calibration, sample: Sample, scorer: Scorer, answer: str) -> Part | str:
    try:
        said = await ask(judge.lane, grading(sample, str(scorer.options["asks"]), answer), sample)
    except Unasked as error:
        return f"{judge.lane} may not see this sample: {error}"
    if said.reported != judge.reported:
        was, now = judge.reported or "nothing", said.reported or "nothing"
        changed = f"{judge.lane} calls itself {now}, and called itself {was} when it was calibrated"
        return f"{changed}; name that model in the policy, and it is calibrated anew"
    found = grade_in(said.text)
    if found == "unclear":
        return f"{judge.lane} gave no clear grade"
    value = float(found == "pass")
    return Part("rubric", value, f"{found}, says judge {judge.lane}", {"kappa": judge.kappa or 0.0})


def _lanes(scorer: Scorer, judges: Sequence[str]) -> tuple[str, ...]:
    own = scorer.options.get("judges")
    return tuple(map(str, own)) if isinstance(own, (tuple, list)) else tuple(judges)


async def scored(
    ask: Ask, judges: Sequence[Calibration], sample: Sample, answer: str, author: Author
) -> Score | Unscored:
    """As `score`, with the rubrics graded. No judge is asked where another scorer gave 0 already, or gave nothing.

    Raises as `grade` does.
    """
    plain = tuple(scorer for scorer in sample.scorers if scorer.name != "rubric")
    first = Score(1.0, ()) if not plain else await asyncio.to_thread(score, replace(sample, scorers=plain), answer)
    if isinstance(first, Unscored) or first.value == 0:
        return first
    parts = iter(first.by_scorer)
    found = []
    for scorer in sample.scorers:
        part = await grade(ask, judges, sample, scorer, answer, author) if scorer.name == "rubric" else next(parts)
        if isinstance(part, Unscored):
            return part
        found.append(part)
    return Score(min(part.value for part in found), tuple(found))
