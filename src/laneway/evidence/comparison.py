"""comparison: results in, what they say of each lane on each workload out; and which lanes the routes would prefer.

Pure: it reads no file and no clock. A sample without a score counts as 0, as in the ledger, so that nothing is called
met here that is not met there. Texts are not kept, so that many results take little memory.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

from laneway.evidence.measured import Answer, Comparison, Figures, Measured, Met, Pair, Part, Shown, Subject, Terms
from laneway.evidence.results import Result
from laneway.evidence.statistics.bounds import interval, lower, prove
from laneway.evidence.statistics.paired import compare, undecided

__all__ = ["compared"]

_STEP = 0.05
"""The bar that is talked of next, once one is met, is so much higher."""

_TOP = 0.99


class _Row(NamedTuple):
    """What is kept of a result: everything but its text."""

    set: str
    sample: str
    hash: str
    language: str | None
    group: str | None
    sensitivity: str
    answer: Answer
    model: str
    reported: str
    cost: float | None
    seconds: float
    tokens: tuple[int, int]
    at: datetime.datetime
    settled: bool


_Sample = tuple[str, str]
_Rows = dict[Subject, dict[_Sample, _Row]]


def compared(results: Iterable[Result], terms: Terms, *, most: int = 10) -> Comparison:
    """What the results say. `most` samples are shown of those that disagree, and of the worst."""
    found = defaultdict[str, _Rows](lambda: defaultdict(dict))
    total = stale = repeated = 0
    for result in results:
        total += 1
        if terms.stale(result):
            stale += 1
            continue
        row = _row(result, terms.subject(result))
        rows, sample = found[result.workload][row.answer.subject], (row.set, row.hash)
        before = rows.get(sample)
        repeated += before is not None and before.answer.key != row.answer.key
        if before is None or _counts_before(row, before):
            rows[sample] = row
    workloads = tuple(_measured(name, found[name], terms, most) for name in sorted(found))
    return Comparison(terms=terms, workloads=workloads, results=total, stale=stale, repeated=repeated)


def _counts_before(row: _Row, other: _Row) -> bool:
    """The newest answer counts; no failure takes an answer's place."""
    answered, before = not row.answer.error, not other.answer.error
    return answered > before or (answered == before and row.at >= other.at)


def _row(result: Result, subject: Subject) -> _Row:
    error = result.error or ("" if result.answer is not None else "no-answer")
    answer = Answer(subject, result.key, result.score, result.parts, result.unscored, error)
    tokens = (result.tokens_in or 0, result.tokens_out or 0)
    return _Row(result.set, result.sample, result.sample_hash, result.language, result.group, result.sensitivity,
                answer, result.model, result.reported, result.cost, result.seconds, tokens, result.at,
                result.settled)  # fmt: skip


def _measured(workload: str, rows: _Rows, terms: Terms, most: int) -> Measured:
    subjects = sorted(rows, key=terms.order)
    every = {sample: row for subject in reversed(subjects) for sample, row in rows[subject].items()}
    of = max(len(terms.samples.get(workload, ())), len(every))
    figures = tuple(_figures(subject, list(rows[subject].values()), of, terms) for subject in subjects)
    pairs = tuple(
        _pair(first, second, rows, terms)
        for first, second in combinations(subjects, 2)
        if first.lane == second.lane or first.prompt == second.prompt
    )
    shown = [
        Shown(*every[sample][:6], tuple(rows[s][sample].answer for s in subjects if sample in rows[s]))
        for sample in sorted(every)
    ]
    apart = sorted((s for s in shown if _spread(s) > 0), key=_spread, reverse=True)
    short = sorted((s for s in shown if max(map(_counted, s.answers)) < 1), key=_quality)
    languages = sorted({row.language for row in every.values() if row.language})
    return Measured(workload=workload, figures=figures, pairs=pairs, disagreements=tuple(apart[:most]),
                    disagreeing=len(apart), worst=tuple(short[:most]), short=len(short),
                    prefer=_preferred(figures), prefer_in={n: _preferred(figures, n) for n in languages})  # fmt: skip


def _preferred(figures: Sequence[Figures], name: str = "") -> Subject | None:
    """The cheapest that meets the bar on a part, the weaker of two equals; an unknown price is dearer than any."""
    tried = {figure.subject.prompt for figure in figures}
    fit = [
        (f.cost_each if f.cost_each is not None else math.inf, f.subject) for f in figures
        if (part := f.part(name)) and part.met and f.met != "incomplete" and ("" not in tried or not f.subject.prompt)
    ]  # fmt: skip
    return min(fit, key=lambda pair: pair[0])[1] if fit else None


def _counted(answer: Answer) -> float:
    return answer.score or 0.0


def _spread(sample: Shown) -> float:
    scores = [answer.score for answer in sample.answers if answer.score is not None]
    return max(scores) - min(scores) if scores else 0.0


def _quality(sample: Shown) -> tuple[float, float]:
    scores = [_counted(answer) for answer in sample.answers]
    return max(scores), sum(scores) / len(scores)


def _figures(subject: Subject, rows: Sequence[_Row], of: int, terms: Terms) -> Figures:
    answered = [row for row in rows if not row.answer.error]
    costs = [row.cost for row in answered if row.cost is not None]
    parts = tuple(_part(name, some, terms) for name, some in _parted(rows))
    errors = Counter(row.answer.error for row in rows if row.answer.error)
    open_ = any(not row.settled for row in rows)
    unscored = Counter(row.answer.unscored or "no score" for row in answered if row.answer.score is None)
    whole, scores = parts[0], [_counted(row.answer) for row in rows]
    wanted = terms.bar if terms.bar is not None and not whole.met else _higher(whole.lower)
    met: Met = "no bar" if whole.met is None else "incomplete" if open_ else "met" if whole.met else "not met"
    seconds = sorted(row.seconds for row in answered) or [0.0]
    return Figures(
        subject=subject, models=_names(rows, lambda row: row.model), reported=_names(rows, lambda row: row.reported),
        asked=len(rows), of=of, unanswered=dict(errors.most_common()),
        unscored=dict(unscored.most_common()),
        parts=parts, proof=prove(scores, wanted, terms.confidence), met=met,
        cost=sum(costs) if len(costs) == len(answered) else None,
        seconds=(median(seconds), seconds[max(0, -(-len(seconds) * 95 // 100) - 1)]),
        tokens=(sum(row.tokens[0] for row in answered), sum(row.tokens[1] for row in answered)),
    )  # fmt: skip


def _higher(proved: float) -> float:
    """The next bar above what is proved, in steps of 0.05 and then 0.99; no number of samples proves 1."""
    step = round((int(round(proved / _STEP, 9)) + 1) * _STEP, 2)
    return step if step < 1 else max(_TOP, proved)


def _names(rows: Iterable[_Row], of: Callable[[_Row], str]) -> tuple[str, ...]:
    return tuple(sorted({name for row in rows if (name := of(row))}))


def _parted(rows: Sequence[_Row]) -> list[tuple[str, list[_Row]]]:
    """All rows, then by language, by group and by set."""
    parts = defaultdict[str, list[_Row]](list)
    for row in rows:
        for name in (row.language, row.group and f"/{row.group}", f"#{row.set}"):
            if name:
                parts[name].append(row)
    kinds = {"/": 1, "#": 2}
    return [("", list(rows)), *sorted(parts.items(), key=lambda part: (kinds.get(part[0][0], 0), part[0]))]


def _part(name: str, rows: Sequence[_Row], terms: Terms) -> Part:
    scores = [_counted(row.answer) for row in rows]
    both, least = interval(scores, terms.confidence), lower(scores, terms.confidence)
    met = None if terms.bar is None else least >= terms.bar
    return Part(name, len(scores), both.mean, both.low, both.high, least, met)


def _pair(first: Subject, second: Subject, rows: _Rows, terms: Terms) -> Pair:
    common = sorted(
        sample for sample in rows[first].keys() & rows[second].keys()
        if rows[first][sample].answer.score is not None and rows[second][sample].answer.score is not None
    )  # fmt: skip
    if not common:
        return Pair(first=first, second=second, common=0, found=None)
    ours = [_counted(rows[first][sample].answer) for sample in common]
    theirs = [_counted(rows[second][sample].answer) for sample in common]
    sure = {"confidence": terms.confidence, "margin": terms.margin}
    found = compare(ours, theirs, **sure)
    more = undecided(ours, theirs, **sure) if found.verdict == "open" else None
    paid = [(rows[second][s].cost, theirs[i] - ours[i], ours[i] < 1) for i, s in enumerate(common)]
    return Pair(first=first, second=second, common=len(common), found=found, more=more,
                price_all=_price([(cost, gain) for cost, gain, _ in paid]),
                price_weak=_price([(cost, gain) for cost, gain, weak in paid if weak]))  # fmt: skip


def _price(paid: Sequence[tuple[float | None, float]]) -> float | None:
    """Money for one point more."""
    costs, gain = [cost for cost, _ in paid if cost is not None], sum(gain for _, gain in paid)
    return sum(costs) / gain if gain > 1e-9 and len(costs) == len(paid) else None
