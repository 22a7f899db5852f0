"""Cohen's kappa: how far two graders agree beyond chance, with bounds that do not call ten agreements perfect."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from laneway.evidence.statistics.numbers import StatisticsError, check_confidence, libraries

__all__ = ["Agreement", "kappa", "missing_pairs"]

_DRAWS = 10_000
_MOST = 100_000
"""No set of labels is advised to grow beyond this."""


class Agreement(NamedTuple):
    """`kappa` within `low`..`high` at `confidence`; `agreed` is the plain share of equal labels of `n`."""

    kappa: float
    low: float
    high: float
    agreed: float
    n: int
    confidence: float


def kappa(first: Sequence[Hashable], second: Sequence[Hashable], *, confidence: float = 0.95) -> Agreement:
    """The agreement of two graders' labels of the same samples.

    The bounds are the Bayesian bootstrap over the pairs (10,000 draws, fixed seed) with one pair added: for the
    lower bound a disagreement, the one that lowers kappa most, for the upper an agreement. Raises
    StatisticsError where there is nothing to tell: no pairs, or one label only.
    """
    check_confidence(confidence)
    if len(first) != len(second) or not first:
        raise StatisticsError(f"{len(first)} labels against {len(second)}: kappa needs pairs, at least one")
    names = sorted({*first, *second}, key=repr)
    if len(names) < 2:
        raise StatisticsError("every label is the same: agreement beyond chance cannot be told from it")
    table, half = _table(first, second), (1 - confidence) / 2
    best = max(_cells(len(table), same=True), key=lambda cell: _kappa(_with(table, cell)[None])[0])
    high = _quantile(_with(table, best), 1 - half)
    agreed = float(table.trace()) / len(first)
    return Agreement(float(_kappa(table[None])[0]), _low(table, half), high, agreed, len(first), confidence)


def missing_pairs(
    first: Sequence[Hashable], second: Sequence[Hashable], wanted: float, *, confidence: float = 0.95
) -> int | None:
    """How many more pairs, agreeing as these do, would bring the lower bound to `wanted`; 0 where it is there already.

    None where a hundred thousand would not. Raises as `kappa` does.
    """
    found = kappa(first, second, confidence=confidence)
    if found.low >= wanted:
        return 0
    table, half = _table(first, second), (1 - confidence) / 2
    if _low(table * (_MOST / found.n), half) < wanted:
        return None
    few, many = found.n, _MOST
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _low(table * (middle / found.n), half) >= wanted else (middle, many)
    return many - found.n


def _table(first: Sequence[Hashable], second: Sequence[Hashable]) -> Any:
    """How often each label of the one met each of the other."""
    np, _ = libraries()
    names = sorted({*first, *second}, key=repr)
    if len(names) < 2:
        raise StatisticsError("every label is the same: agreement beyond chance cannot be told from it")
    table = np.zeros((len(names), len(names)))
    place = {name: i for i, name in enumerate(names)}
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    return table


def _low(table: Any, half: float) -> float:
    worst = min(_cells(len(table), same=False), key=lambda cell: _kappa(_with(table, cell)[None])[0])
    return _quantile(_with(table, worst), half)


def _quantile(table: Any, share: float) -> float:
    np, _ = libraries()
    return float(np.quantile(_draws(table), share))


def _cells(size: int, *, same: bool) -> list[tuple[int, int]]:
    return [(i, j) for i in range(size) for j in range(size) if (i == j) is same]


def _with(table: Any, cell: tuple[int, int]) -> Any:
    more = table.copy()
    more[cell] += 1
    return more


def _kappa(tables: Any) -> Any:
    """Kappa of each table; 0 where chance alone would agree always."""
    np, _ = libraries()
    shares = tables / tables.sum(axis=(1, 2), keepdims=True)
    seen = np.trace(shares, axis1=1, axis2=2)
    chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    return np.where(chance < 1, (seen - chance) / np.where(chance < 1, 1 - chance, 1), 0.0)


def _draws(table: Any) -> Any:
    """Kappa under random weights of the pairs: a Dirichlet of the cells' counts, as gammas."""
    np, _ = libraries()
    return _kappa(np.random.default_rng(20261129).gamma(table[None], size=(_DRAWS, *table.shape)))
