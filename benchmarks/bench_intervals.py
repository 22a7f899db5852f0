"""Whether 95 % intervals hold: the share of 10,000 of them that hold the true value, cell by cell.

    python -m benchmarks.bench_intervals [RUNS]

Each cell draws its scores anew for every run. For passes and failures every possible count is judged once and
weighed by how often it came. Beside the graded intervals stands the plain bootstrap, the usual choice, to show why it
is not ours. Prints one row a cell; a quarter of an hour on one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from laneway.evidence.statistics.agreement import kappa
from laneway.evidence.statistics.bounds import interval, lower
from laneway.evidence.statistics.paired import compare
from laneway.evidence.statistics.sequence import standing

Floats = npt.NDArray[np.float64]
CHANCE = np.random.default_rng(2026)
THIRDS = np.array([0, 1 / 3, 2 / 3, 1])


def thirds(*weights: float) -> tuple[Callable[[int], Floats], float]:
    """Scores of four steps with these weights, and their mean."""
    return lambda n: CHANCE.choice(THIRDS, n, p=weights), float(THIRDS @ np.array(weights))


GRADED: dict[str, tuple[Callable[[int], Floats], float]] = {
    "thirds, mean 0.96": thirds(0.01, 0.02, 0.05, 0.92),
    "thirds, mean 0.50": thirds(0.3, 0.2, 0.2, 0.3),
    "thirds, mean 0.04": thirds(0.92, 0.05, 0.02, 0.01),
    "beta(20, 0.5)": (lambda n: CHANCE.beta(20, 0.5, n), 20 / 20.5),
    "beta(0.5, 0.5)": (lambda n: CHANCE.beta(0.5, 0.5, n), 0.5),
    "uniform": (CHANCE.random, 0.5),
}


def row(what: str, cell: str, n: int, both: float, one: float | None, plain: float | None, seconds: float) -> None:
    """One line: cover of the two-sided interval, of the lower bound, and of the plain bootstrap."""
    parts = [f"{value:7.2%}" if value is not None else "      -" for value in (both, one, plain)]
    print(f"{what:10} {cell:20} {n:5} {'  '.join(parts)}  {seconds:5.1f} s", flush=True)


def passes(runs: int) -> None:
    """Passes and failures at several rates, near 0 and 1 too."""
    for n in (10, 60, 200):
        for rate in (0.01, 0.05, 0.5, 0.9, 0.95, 0.99):
            start, both, one = time.monotonic(), 0, 0
            for ones, times in zip(*np.unique(CHANCE.binomial(n, rate, runs), return_counts=True), strict=True):
                scores = [1.0] * int(ones) + [0.0] * (n - int(ones))
                found = interval(scores)
                both += int(times) * (found.low <= rate <= found.high)
                one += int(times) * (lower(scores) <= rate)
            row("0 and 1", f"rate {rate}", n, both / runs, one / runs, None, time.monotonic() - start)


def graded(runs: int) -> None:
    """Graded scores of several shapes."""
    for n in (10, 60, 200):
        for name, (draw, mean) in GRADED.items():
            start, both, one, plain = time.monotonic(), 0, 0, 0
            for _ in range(runs):
                scores = draw(n)
                found = interval(scores)
                both += found.low <= mean <= found.high
                one += lower(scores) <= mean
                means = scores[CHANCE.integers(0, n, (400, n))].mean(axis=1)
                low, high = np.quantile(means, (0.025, 0.975))
                plain += bool(low <= mean <= high)
            row("graded", name, n, both / runs, one / runs, plain / runs, time.monotonic() - start)


def pairs(runs: int) -> None:
    """The difference of two lanes on the same samples, and how often a difference is found where there is none."""
    for n in (20, 60):
        for better, worse in ((0.02, 0.02), (0.2, 0.05), (0.0, 0.02)):
            start, both, alarms = time.monotonic(), 0, 0
            draws = CHANCE.multinomial(n, (better, worse, 1 - better - worse), runs)
            for (wins, losses, _), times in zip(*np.unique(draws, axis=0, return_counts=True), strict=True):
                first = [0.0] * wins + [1.0] * (n - wins)
                second = [1.0] * wins + [0.0] * losses + [1.0] * (n - wins - losses)
                found = compare(first, second)
                both += int(times) * (found.low <= better - worse <= found.high)
                alarms += int(times) * (found.p <= 0.05)
            quiet = 1 - alarms / runs if better == worse else None
            row("paired", f"+{better} -{worse}", n, both / runs, quiet, None, time.monotonic() - start)


def sequences(runs: int) -> None:
    """A candidate looked at after every fifth of 500 answers: the rate must be inside at every look."""
    for rate in (0.5, 0.9):
        start, held = time.monotonic(), 0
        edges = {}
        for n in range(1, 501):
            inside = (
                [k for k in range(n + 1) if (s := standing(k, n - k)).low <= rate <= s.high] if n % 5 == 0 else None
            )
            if inside is not None:
                edges[n] = (inside[0], inside[-1])
        for first in range(0, runs, 500):
            won = np.cumsum(CHANCE.random((min(500, runs - first), 500)) < rate, axis=1)
            good = np.ones(won.shape[0], dtype=bool)
            for n, (least, most) in edges.items():
                good &= (won[:, n - 1] >= least) & (won[:, n - 1] <= most)
            held += int(good.sum())
        row("sequence", f"rate {rate}", 500, held / runs, None, None, time.monotonic() - start)


def agreements(runs: int) -> None:
    """Cohen's kappa of two labels, moderate and high."""
    for n in (30, 60):
        for table in ([[0.5, 0.03], [0.05, 0.42]], [[0.35, 0.15], [0.15, 0.35]], [[0.9, 0.02], [0.02, 0.06]]):
            start, shares = time.monotonic(), np.array(table)
            by_chance = float(shares.sum(0) @ shares.sum(1))
            true, held, told = (float(np.trace(shares)) - by_chance) / (1 - by_chance), 0, 0
            for counts, times in zip(
                *np.unique(CHANCE.multinomial(n, shares.ravel(), runs), axis=0, return_counts=True), strict=True
            ):
                cells = np.repeat(np.arange(4), counts)
                if len(np.unique(np.append(cells // 2, cells % 2))) > 1:
                    found = kappa((cells // 2).tolist(), (cells % 2).tolist())
                    held += int(times) * (found.low <= true <= found.high)
                    told += int(times)
            row("kappa", f"kappa {true:.2f}", n, held / max(told, 1), None, None, time.monotonic() - start)


if __name__ == "__main__":
    RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{RUNS} runs a cell, 95 %\n{'':10} {'cell':20} {'n':>5} {'both':>7}  {'lower':>7}  {'plain':>7}")
    for part in (passes, graded, pairs, sequences, agreements):
        part(RUNS)
