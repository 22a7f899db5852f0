"""shadowed: comparisons of the log in; by workload, rule and pair of lanes what they add up to, out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from laneway.evidence.statistics.sequence import Standing, standing
from laneway.quantile import quantile
from laneway.store import Seen

__all__ = ["UNSAID", "Tally", "tallied"]

UNSAID = {
    "no-judge": "no lane under `judge` that this request may use, or none is named",
    "no-text": "there are pictures or files in the request",
    "author": "each judge is one of the two lanes, or of the family of one",
    "wall": "the two answers may not go to a judge",
    "judge-failed": "the judge could not be asked, or failed",
    "unclear": "the judge gave no clear word",
}
"""Why nobody said which of two answers is better, by code."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """One candidate `lane` against one `incumbent`, by `rule` on `workload` (None for none).

    `checks` and `codes` count why unseen answers failed, checks and errors apart; `unsaid` why nobody judged.
    `interrupted` ended early by no fault of the lane and count nowhere. `seconds` are those of each call that ended,
    `models` what the lane called itself. Money is in the policy's currency.
    """

    workload: str | None
    rule: str
    lane: str
    incumbent: str
    better: int = 0
    worse: int = 0
    ties: int = 0
    position: int = 0
    unjudged: int = 0
    failed_checks: int = 0
    no_answer: int = 0
    interrupted: int = 0
    cost: float = 0.0
    checks: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    unsaid: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    judges: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How often the lane was asked."""
        counts = (self.better, self.worse, self.ties, self.position, self.unjudged, self.failed_checks, self.no_answer)
        return sum(counts) + self.interrupted

    @property
    def standing(self) -> Standing:
        """Where the candidate stands: a failed answer lost to the one that the client got."""
        losses = self.worse + self.failed_checks + self.no_answer
        return standing(self.better, losses, self.ties + self.position)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or that it is open."""
        stands = self.standing
        return "open" if not stands.decided else "better" if stands.low > 0.5 else "worse"

    def seconds_at(self, share: float) -> float | None:
        """The seconds that a `share` of the calls did not exceed."""
        return quantile(self.seconds, share)


def tallied(comparisons: Iterable[Seen]) -> list[Tally]:
    """The sums, in the order in which their first comparison was made."""
    found: dict[tuple[str | None, str, str, str], Tally] = {}
    for _, made, workload in comparisons:
        key = (workload, made.rule, made.lane, made.incumbent)
        row = found.get(key)
        if row is None:
            row = found[key] = Tally(workload=workload, rule=made.rule, lane=made.lane, incumbent=made.incumbent)
        row.cost += made.cost
        row.models.update([made.model] if made.model else ())
        row.judges.update([made.judge] if made.judge else ())
        if made.code == "interrupted":
            row.interrupted += 1
            continue
        row.seconds.append(made.seconds)
        match made.result:
            case "failed":
                row.failed_checks += bool(made.failed)
                row.no_answer += not made.failed
                row.checks.update(made.failed)
                row.codes.update([made.code] if made.code else ())
            case "tie":
                row.ties += 1
            case result:
                setattr(row, result, getattr(row, result) + 1)
                row.unsaid.update([made.code] if made.code else ())
    return list(found.values())
