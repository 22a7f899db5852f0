"""totals: what replayed requests add up to: by what changes, by class, lane and move, in money and in risk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from laneway.replay.kind import Kind
from laneway.replay.money import Sum

__all__ = ["Totals", "joined"]


@dataclass(eq=False)
class Totals:
    """Everything counted so far. Sums are keyed as their names say; counters count requests.

    `lost` are requests that were not decided again, by why: their policy cannot be read. `foreign` had their money in
    another currency.
    """

    ends: defaultdict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    classes: defaultdict[tuple[str, str], Sum] = field(default_factory=lambda: defaultdict(Sum))
    moves: defaultdict[tuple[str, str], Sum] = field(default_factory=lambda: defaultdict(Sum))
    labels: defaultdict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)
    opened: Counter[tuple[str, str]] = field(default_factory=Counter)
    unproven: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    waived: list[int] = field(default_factory=lambda: [0, 0])
    lost: Counter[str] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """How many were decided again."""
        return sum(one.requests for one in self.ends.values())

    @property
    def all(self) -> Sum:
        """The sum of everything that was decided again."""
        return joined(self.ends.values())

    @property
    def changed(self) -> Sum:
        """The sum of what is known to be decided otherwise."""
        return joined(one for end, one in self.ends.items() if end not in ("unchanged", "unknown"))

    def fold(self, kind: Kind, found: Sum) -> None:
        """Count requests of one kind."""
        n = found.requests
        self.ends[kind.end].join(found)
        self.classes[kind.data_class, kind.end].join(found)
        self.before[kind.before] += n
        self.after[kind.after] += n
        for i, waived in enumerate(kind.waived):
            self.waived[i] += n * waived
        for counter, key, counts in (
            (self.elsewhere, kind.after, kind.elsewhere), (self.missing, (kind.end, kind.missing), kind.missing),
            (self.foreign, kind.currency, kind.currency),
            (self.read_as, (kind.data_class, kind.read_as), kind.read_as not in (kind.data_class, "")),
        ):  # fmt: skip
            if counts:
                counter[key] += n  # type: ignore[index]
        if kind.changed:
            self._fold_changed(kind, found)

    def _fold_changed(self, kind: Kind, found: Sum) -> None:
        n = found.requests
        self.moves[kind.before, kind.after].join(found)
        self.labels[kind.label].join(found)
        for lane in kind.opened:
            self.opened[kind.read_as, lane] += n
        if kind.unproven:
            self.unproven[kind.workload, kind.after, kind.unproven] += n
        for lane in kind.left:
            self.left[kind.workload, lane] += n


def joined(sums: Iterable[Sum]) -> Sum:
    """The sum of sums."""
    total = Sum()
    for one in sums:
        total.join(one)
    return total
