"""Cohen's kappa: how far two graders agree beyond chance, with bounds that do not call ten agreements perfect."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from laneway.evidence.statistics.numbers import StatisticsError, check_confidence, libraries

__all__ = ["Agreement", "kappa"]

_DRAWS = 10_000


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
    np, _ = libraries()
    table = np.zeros((len(names), len(names)))
    place = {name: i for i, name in enumerate(names)}
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    half = (1 - confidence) / 2
    worst = min(_cells(len(names), same=False), key=lambda cell: _kappa(_with(table, cell)[None])[0])
    best = max(_cells(len(names), same=True), key=lambda cell: _kappa(_with(table, cell)[None])[0])
    low = float(np.quantile(_draws(_with(table, worst)), half))
    high = float(np.quantile(_draws(_with(table, best)), 1 - half))
    agreed = float(np.trace(table)) / len(first)
    return Agreement(float(_kappa(table[None])[0]), low, high, agreed, len(first), confidence)


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
