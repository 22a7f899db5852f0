"""telling: a review as headings, sentences and tables, which the terminal, Markdown and the page only draw. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from laneway.explain import money
from laneway.people.document import Cell, Row, Section, Table, table
from laneway.weekly import value
from laneway.weekly.value import Advice, Money, Review, Took

__all__ = ["Link", "Said", "advice_lines", "damage", "headline", "moment", "period", "seconds", "sections"]

Link = Callable[[str], str]
"""Where the story of a decision is shown, by its id; empty where nowhere."""

_MOST = 50
"""Rows that a table shows; JSON has all."""


@dataclass(frozen=True, slots=True)
class Said:
    """One advice: its sentence, what its patch was put through or why there is none, and the patch."""

    told: str
    detail: str
    diff: str


def period(review: Review) -> str:
    """The time it is about, in words."""
    if review.since == "all":
        return "of all time"
    return f"of the last {review.since}"


def headline(review: Review) -> str:
    """How many requests, and how they ended."""
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(review.ends.items())) or "nothing"
    requests = f"{review.requests:,} request{'s' * (review.requests != 1)}"
    return f"Review {period(review)}: {requests}{_against(review.requests, review.before)}: {ends}"


def damage(review: Review) -> list[str]:
    """What is wrong with the log that this was read from, the worst first."""
    log, told = review.log, list[str]()
    if log.problem:
        more = f", and {log.broken - 1} more" if log.broken > 1 else ""
        told.append(
            f"THE LOG IS DAMAGED: {log.problem}{more}. What follows counts what is there; see `laneway log verify`"
        )
    if log.unread:
        told.append(f"{log.unread:,} records could not be read, and are not counted")
    if log.back:
        times = f"{log.back:,} time{'s' * (log.back != 1)}"
        told.append(
            f"the clock went backwards between requests, {times}: their order is that of the log, and what is dated "
            "outside this time is not counted"
        )
    return told


def _summary(review: Review) -> list[str]:
    """The money in words, and what waits."""
    told = list[str]()
    for sheet in review.money:
        told.append(_spent(sheet))
        if sheet.compared:
            word = "saved" if sheet.saved >= 0 else "more than always-premium"
            premium, saved = money(sheet.premium, sheet.currency), money(abs(sheet.saved), sheet.currency)
            cost = money(sheet.cost, sheet.currency)
            told.append(
                f"Always-premium would have cost {premium} for the {sheet.compared:,} answers with tokens on record, "
                f"which cost {cost}: {saved} {word}{_left(sheet)}."
            )
    return told


def _spent(sheet: Money) -> str:
    before = "" if sheet.before is None else f" (before: {money(sheet.before, sheet.currency)})"
    shadows = f", {money(sheet.shadows, sheet.currency)} of it for unseen answers" if sheet.shadows else ""
    return f"Spent: {money(sheet.spent, sheet.currency)}{before}{shadows}."


def _left(sheet: Money) -> str:
    return f"; {sheet.left_out:,} without tokens or a price are left out" if sheet.left_out else ""


def sections(review: Review, link: Link = lambda _: "") -> Iterator[Section]:
    """Every question with its answer; those that nobody need read where nothing happened are left out."""
    for name, title in _QUESTIONS:
        yield _section(name, title, getattr(review, name), link, _total(review, name))
    yield Section("money", "What did it cost?", tuple(_summary(review)) or ("Nothing was spent.",), _lanes(review))
    for name, title in _MORE:
        rows: Sequence[value.Row] = getattr(review, name)
        if rows:
            waits = f"{review.waiting:,} still waiting" if name == "held" and review.waiting else ""
            yield _section(name, title, rows, link, waits)
        if name == "held" and review.took:
            yield _took(review.took, link)
    if review.stale:
        due: list[Row] = [(one.about, one.told, one.remedy) for one in review.stale]
        yield Section("stale", "What is going stale?", (), table(("about", "what", "what to do"), due))


_QUESTIONS = (
    ("escalated", "What escalated?"),
    ("rejected", "Which cheap answers were rejected?"),
    ("fallbacks", "Which fallbacks fired?"),
)
_MORE = (
    ("held", "What waited for people?"),
    ("raised", "Which labels did detection raise?"),
    ("guarded", "What was stopped at the guard?"),
    ("other_models", "Which lanes answered as another model than the policy names?"),
    ("shut", "Which lanes were shut, as they answer as another model than was measured?"),
)


def _total(review: Review, name: str) -> str:
    """How often in all, also against what was before and is no more."""
    times = [int(getattr(one, name)) for one in review.slices]
    half = len(times) // 2 if review.before is not None else 0
    now, before = sum(times[half:]), sum(times[:half]) if half else None
    if not now:
        return f"none (before: {before:,})" if before else "none"
    return f"{now:,} in all{_against(now, before)}" if before is not None else ""


def _section(name: str, title: str, rows: Sequence[value.Row], link: Link, total: str = "") -> Section:
    lead = (total,) if total else ()
    if len(rows) > _MOST:
        lead = (*lead, f"The {_MOST} most frequent of {len(rows)} rows; `--json` has all.")
    lanes = name not in ("raised", "held")
    columns = (*(("lane",) if lanes else ()), "cause", "times", "workload", "rule", "example")
    made: list[Row] = [
        (*((row.lane,) if lanes else ()), row.cause, _times(row.times, row.before), row.workload, row.rule,
         _example(row.examples, link))
        for row in rows[:_MOST]
    ]  # fmt: skip
    return Section(name, title, lead, table(columns, made))


def _times(times: int, before: int | None) -> Cell:
    return Cell(f"{times:,}", detail=_change(times, before))


def _change(times: int, before: int | None) -> str:
    if before is None:
        return ""
    return "as before" if times == before else f"{times - before:+,}"


def _against(times: int, before: int | None) -> str:
    change = _change(times, before)
    return f" ({change})" if change else ""


def _example(ids: Sequence[str], link: Link) -> Cell:
    return Cell(ids[0], detail=", ".join(ids[1:]), link=link(ids[0])) if ids else Cell("")


def _lanes(review: Review) -> Table | None:
    currency = review.money[0].currency if review.money else ""
    rows: list[Row] = [(use.lane, _times(use.answered, use.before), money(use.cost, currency)) for use in review.lanes]
    return table(("lane", "answers", "cost"), rows)


def _took(rows: Sequence[Took], link: Link) -> Section:
    made: list[Row] = [
        (row.action, row.cause, _times(row.times, row.before), seconds(row.median), seconds(row.longest),
         row.workload, row.rule, _example((row.example,), link))
        for row in rows
    ]  # fmt: skip
    columns = ("end", "held for", "times", "median", "longest", "workload", "rule", "example")
    return Section("took", "How long did that take?", (), table(columns, made))


def seconds(length: float) -> str:
    """A length of time in words."""
    if length < 90:
        return f"{length:.0f} s"
    if length < 5400:
        return f"{length / 60:.0f} min"
    return f"{length / 3600:.1f} h" if length < 2 * 86400 else f"{length / 86400:.1f} d"


def advice_lines(review: Review) -> list[Said]:
    """What to do."""
    return [Said(_sentence(one), _detail(one), one.diff) for one in review.advice]


def _sentence(one: Advice) -> str:
    return one.told[:1].upper() + one.told[1:] + "."


def _detail(one: Advice) -> str:
    if one.diff:
        of = f"{one.changed:,} of {one.replayed:,} recorded requests would be decided differently"
        return f"Patch ({one.tried}; replayed: {of}):"
    return f"No patch: {one.refused}." if one.refused else ""


def moment(at: datetime.datetime) -> str:
    """A moment as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}"
