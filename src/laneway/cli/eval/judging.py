"""judging: the judges of a run, opened for it, and what there is to say of them at its end."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from laneway.errors import UsageError
from laneway.evidence.calling import Calls, Parameters
from laneway.evidence.judges import FILE, Judges
from laneway.evidence.judging import kept
from laneway.evidence.judging.rubric import rubrics
from laneway.evidence.plan import Planned
from laneway.evidence.results import Results

__all__ = ["judges_json", "judges_of", "judges_said", "replies_to"]


@contextmanager
def replies_to(plan: Sequence[Planned], results: Path) -> Iterator[Results | None]:
    """The file of judges' replies, beside the results; None where no set has a rubric."""
    if not any(rubrics(planned.set) for planned in plan):
        yield None
        return
    with closing(Results.open(results.with_name(FILE), write=True)) as replies:
        yield replies


def judges_of(
    calls: Calls, replies: Results | None, parameters: Parameters, plan: Sequence[Planned], lanes: Sequence[str],
    folder: Path, since: datetime.datetime | None,
) -> Judges | None:  # fmt: skip
    """The judges of the plan's sets, where they have rubrics. `lanes` are those of the command line.

    Calibrations are kept in `folder`. Raises UsageError where one costs nobody knows what and there is a budget.
    """
    if replies is None:
        return None
    oldest = datetime.datetime.combine(calls.day, datetime.time(), datetime.UTC)
    oldest -= datetime.timedelta(days=calls.policy.fresh_days)
    judges = Judges(calls, replies, parameters, sets=[planned.set for planned in plan], lanes=lanes,
                    calibrations=folder / kept.FILE, since=max(since or oldest, oldest))  # fmt: skip
    unknown = [name for name in judges.lanes if calls.policy.lanes[name].price is None]
    if calls.purse.most is not None and unknown:
        raise UsageError(f"the price of judge {', '.join(unknown)} is not known, so that no --budget can hold: state "
                         "it as the lane's `price`")  # fmt: skip
    return judges


def judges_said(judges: Judges) -> Iterator[str]:
    """What each judge is worth, and what people disagree about."""
    for key, found in judges.found.items():
        labels = judges.labels[key]
        for one in found:
            yield f"{labels.set}: {one}"
        for dispute in labels.contradictory:
            yield f"{labels.set}: people disagree on an answer to {dispute}"
    yield from judges.trouble.values()


def judges_json(judges: Judges) -> dict[str, object]:
    """The same with stable keys."""
    return {
        "calibrations": [
            msgspec.to_builtins(one) for found in judges.found.values() for one in found
        ],
        "trouble": judges.trouble,
        "disputed": {labels.set: list(labels.contradictory) for labels in judges.labels.values()},
    }  # fmt: skip
