"""telling: what a replay adds up to, for people and for scripts. Pure; the commands print what is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from laneway.lane import plain
from laneway.replay.kind import ENDS
from laneway.replay.money import BILLION, Sum
from laneway.replay.run import Row
from laneway.replay.shares import BESIDE
from laneway.replay.totals import Totals

_DEFECT = "nothing that is known: a defect of Laneway, please report it"
_Key = TypeVar("_Key", bound=tuple[str, ...])

__all__ = [
    "Table", "amount", "between", "conclusion", "recorded_json", "row_json", "share", "sum_json", "tables",
    "tell_recorded", "tell_share", "totals_json",
]  # fmt: skip


class Table(NamedTuple):
    """A table: its title, its headings, and its rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def amount(billionths: int) -> str:
    """Money in digits, without its currency: two decimals, and four below one."""
    value = billionths / BILLION
    if value and abs(value) < 0.0001:
        return plain(float(f"{value:.2g}"))
    return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.4f}"


def between(found: Sum) -> str:
    """What the requests would cost: an amount, two bounds, or that nobody knows."""
    if found.unpriced == found.requests:
        return "unknown" if found.requests else "0.00"
    low, high = amount(found.low), amount(found.high)
    told = low if low == high else f"{low} to {high}"
    return f"{told} + {found.unpriced:,} unpriced" if found.unpriced else told


def share(part: int, whole: int) -> str:
    """A part of the requests in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def tables(totals: Totals, currency: str) -> Iterator[Table]:
    """What changes, where requests go, by class of data, and the risks; only what there is something to say of."""
    n, cost, then = totals.requests, f"cost {currency}", "would cost"
    ends = [(end, totals.ends[end]) for end in ENDS if end in totals.ends]
    yield Table("What would change", ("", "requests", "share", cost, then),
                tuple((end, *_cells(found, n)) for end, found in ends))  # fmt: skip
    moves = sorted(totals.moves.items(), key=lambda item: -item[1].requests)
    yield Table("Where the changed requests would go", ("from", "to", "requests", "share", cost, then),
                tuple((*move, *_cells(found, n)) for move, found in moves if move[0] != move[1]))  # fmt: skip
    lanes = sorted({*totals.before, *totals.after}, key=lambda lane: (-totals.before[lane], lane))
    yield Table("By lane, as the first to be tried", ("lane", "before", "after"),
                tuple((lane, f"{totals.before[lane]:,}", f"{totals.after[lane]:,}") for lane in lanes))  # fmt: skip
    classes = dict.fromkeys(name for name, _ in totals.classes)
    yield Table("By class of data", ("class", "requests", "changed", cost, then),
                tuple(_of_class(totals, name) for name in classes if name))  # fmt: skip
    yield Table("Read as another class", ("before", "after", "requests"), _counted(totals.read_as))
    yield Table("May newly reach lanes of others", ("class", "lane", "requests"), _counted(totals.opened))
    yield Table("Would go to a lane whose quality is unknown", ("workload", "lane", "requests", "why"),
                tuple((work or "(none)", lane, f"{k:,}", why)
                      for (work, lane, why), k in totals.unproven.most_common()))  # fmt: skip
    yield Table("Lanes shut to changed requests for want of evidence", ("workload", "lane", "requests"),
                _counted(totals.left))  # fmt: skip
    yield Table("Lanes that are another place or model now", ("lane", "requests"), _counted(totals.elsewhere))
    yield Table("What the record or the policy does not know", ("", "what", "requests"), _counted(totals.missing))


def _cells(found: Sum, whole: int) -> tuple[str, ...]:
    return f"{found.requests:,}", share(found.requests, whole), amount(found.cost), between(found)


def _of_class(totals: Totals, name: str) -> tuple[str, ...]:
    found, changed = Sum(), 0
    for (data_class, end), one in totals.classes.items():
        if data_class == name:
            found.join(one)
            changed += one.requests * (end not in ("unchanged", "unknown"))
    return name, f"{found.requests:,}", f"{changed:,}", amount(found.cost), between(found)


def _counted(counter: Counter[str] | Counter[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    rows = ((key if isinstance(key, tuple) else (key,), k) for key, k in counter.most_common())
    return tuple((*(word or "(none)" for word in words), f"{k:,}") for words, k in rows)


def conclusion(totals: Totals, currency: str) -> list[str]:
    """What may be said in the end: how much changes, what it costs, and whether anything is proved of its quality."""
    n, changed, every = totals.requests, totals.changed, totals.all
    if not n:
        return ["No request is on record in this time that could be decided again."]
    if not changed.requests:
        told = [f"None of {n:,} requests would be decided otherwise."]
    else:
        told = [f"{changed.requests:,} of {n:,} requests ({share(changed.requests, n)}) would be decided otherwise."]
    if "unknown" in totals.ends:
        told.append(_nobody_knows(totals))
    if every.unpriced < n:
        told.append(
            f"They cost {amount(every.cost - every.unpriced_cost)} {currency}, and would cost {between(every)}."
        )
    if any(totals.waived):
        was, now = totals.waived
        told.append(f"Begun by a lane that has no evidence there: {was:,} before, {now:,} after.")
    if unproven := totals.unproven.total() + totals.elsewhere.total():
        told.append(f"Not called better: {unproven:,} would be answered by a lane whose quality for them nobody knows.")
    elif changed.requests:
        told.append("Each that would be answered by another lane goes to one whose evidence meets the bar.")
    return told


def tell_share(totals: Totals, label: str, currency: str) -> str:
    """How many of the requests on record a class of change holds, and their money."""
    found = totals.labels.get(label, Sum())
    if not found.requests:
        return "no request on record"
    held = f"{found.requests:,} of {totals.requests:,} requests ({share(found.requests, totals.requests)})"
    return f"{held}; cost {amount(found.cost)} {currency}, would cost {between(found)}"


def tell_recorded(totals: Totals, currency: str) -> list[str]:
    """What the classes hold together, and what changes beside them."""
    changed, beside = totals.changed.requests, {k: v for k, v in totals.labels.items() if not k.isdigit()}
    within = changed - sum(found.requests for found in beside.values())
    where = f"{within:,} of them in these classes" if within else "none of them in a class of change"
    told = [f"On record: {changed:,} of {totals.requests:,} requests would be decided otherwise, {where}."]
    told += [f"  by {BESIDE.get(label, _DEFECT)}: {tell_share(totals, label, currency)}" for label in beside]
    if "unknown" in totals.ends:
        told.append(_nobody_knows(totals))
    return told


def recorded_json(totals: Totals, classes: int) -> dict[str, object]:
    """What each class of change holds, in the order of `changes`, and what changes beside them."""
    beside = [label for label in totals.labels if not label.isdigit()]
    return totals_json(totals) | {
        "in_classes": [sum_json(totals.labels.get(str(n), Sum())) for n in range(1, classes + 1)],
        "beside": [{"by": label} | sum_json(totals.labels[label]) for label in beside],
    }  # fmt: skip


def _nobody_knows(totals: Totals) -> str:
    return f"Of {totals.ends['unknown'].requests:,} more nobody can say: the record lacks what a policy reads."


def sum_json(found: Sum) -> dict[str, object]:
    """A sum for scripts; money in the policy's currency."""
    return {
        "requests": found.requests, "cost": found.cost / BILLION, "low": found.low / BILLION,
        "high": found.high / BILLION, "unpriced": found.unpriced, "unpriced_cost": found.unpriced_cost / BILLION,
    }  # fmt: skip


def row_json(row: Row) -> dict[str, object]:
    """One changed request for scripts."""
    return {"class" if key == "data_class" else key: value for key, value in row._asdict().items() if key != "label"}


def totals_json(totals: Totals) -> dict[str, object]:
    """The totals for scripts."""
    return {
        "requests": totals.requests, "changed": totals.changed.requests, "sum": sum_json(totals.all),
        "changes": _sums(("change",), {(end,): found for end, found in totals.ends.items()}),
        "classes": _sums(("class", "change"), totals.classes), "moves": _sums(("from", "to"), totals.moves),
        "lanes": [{"lane": lane, "before": totals.before[lane], "after": totals.after[lane]}
                  for lane in dict.fromkeys((*totals.before, *totals.after))],
        "read_as": _counts(("class", "now"), totals.read_as), "opened": _counts(("class", "lane"), totals.opened),
        "unproven": _counts(("workload", "lane", "why"), totals.unproven),
        "shut": _counts(("workload", "lane"), totals.left),
        "elsewhere": _counts(("lane",), {(lane,): k for lane, k in totals.elsewhere.items()}),
        "waived": {"before": totals.waived[0], "after": totals.waived[1]},
        "proven": not (totals.unproven or totals.elsewhere),
        "unknown": _counts(("change", "what"), totals.missing),
        "lost": _counts(("why",), {(why,): k for why, k in totals.lost.items()}),
        "other_currency": _counts(("currency",), {(name,): k for name, k in totals.foreign.items()}),
    }  # fmt: skip


def _sums(names: tuple[str, ...], sums: Mapping[_Key, Sum]) -> list[dict[str, object]]:
    return [dict(zip(names, key, strict=True)) | sum_json(found) for key, found in sums.items()]


def _counts(names: tuple[str, ...], counts: Mapping[_Key, int]) -> list[dict[str, object]]:
    return [dict(zip(names, key, strict=True)) | {"requests": count} for key, count in counts.items()]
