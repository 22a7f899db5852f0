"""statistics: the bounds hold, also near 0 and 1; the samples that are missing are rightly counted; p is exact."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from laneway.evidence.statistics.agreement import kappa, missing_pairs
from laneway.evidence.statistics.bounds import interval, lower, missing, prove, upper
from laneway.evidence.statistics.numbers import StatisticsError
from laneway.evidence.statistics.paired import compare
from laneway.evidence.statistics.sequence import standing

Floats = npt.NDArray[np.float64]
CHANCE = np.random.default_rng(7)


@pytest.mark.parametrize(("ones", "n"), [(0, 5), (1, 1), (3, 10), (59, 60), (60, 60), (990, 1000)])
def test_bounds_of_passes_and_failures_are_exact(ones: int, n: int) -> None:
    """Scores of 0 and 1 get the interval of Clopper and Pearson, as scipy has it."""
    scores = [1.0] * ones + [0.0] * (n - ones)
    exact = stats.binomtest(ones, n).proportion_ci(0.95, "exact")
    found = interval(scores)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert lower(scores) == pytest.approx(
        stats.binomtest(ones, n, alternative="greater").proportion_ci(0.95, "exact").low
    )
    assert upper(scores) == pytest.approx(
        stats.binomtest(ones, n, alternative="less").proportion_ci(0.95, "exact").high
    )


def test_graded_bounds_meet_the_exact_ones() -> None:
    """Scores that are 0 and 1 but for a hair get the exact bounds but for a hair."""
    scores = np.array([1.0] * 55 + [0.0] * 5)
    graded = scores.copy()
    graded[0] = 1 - 1e-9
    assert interval(graded)[1:3] == pytest.approx(interval(scores)[1:3], abs=1e-6)


def test_graded_bounds_are_what_random_weights_give() -> None:
    """The bound computed by inversion is the quantile that drawing the weights gives."""
    scores = CHANCE.beta(4, 1, 40)
    weights = CHANCE.dirichlet(np.ones(41), 200_000)
    assert lower(scores) == pytest.approx(np.quantile(weights @ np.append(scores, 0), 0.05), abs=0.001)
    assert upper(scores) == pytest.approx(np.quantile(weights @ np.append(scores, 1), 0.95), abs=0.001)


def test_a_thousand_different_scores_are_bounded_by_a_little_less() -> None:
    """Rounded down to thousandths, so that the bound is never too high, and too low by a thousandth at most."""
    scores = CHANCE.beta(4, 1, 1500)
    weights = CHANCE.dirichlet(np.ones(1501), 20_000)
    assert lower(scores) == pytest.approx(np.quantile(weights @ np.append(scores, 0), 0.05), abs=0.002)
    assert lower(np.floor(scores * 1000) / 1000) == pytest.approx(lower(scores), abs=1e-9)


GRADED: dict[str, tuple[Callable[[int], Floats], float]] = {
    "often 1, rarely 0": (lambda n: (CHANCE.random(n) < 0.98).astype(float), 0.98),
    "thirds, high": (lambda n: CHANCE.choice([0, 1 / 3, 2 / 3, 1], n, p=[0.01, 0.02, 0.07, 0.9]), 0.02 / 3 + 0.14 / 3 + 0.9),
    "thirds, low": (lambda n: CHANCE.choice([0, 1 / 3, 2 / 3, 1], n, p=[0.9, 0.07, 0.02, 0.01]), 0.07 / 3 + 0.04 / 3 + 0.01),
    "continuous": (lambda n: CHANCE.beta(0.5, 0.5, n), 0.5),
    "near 1": (lambda n: CHANCE.beta(20, 0.5, n), 20 / 20.5),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADED)
@pytest.mark.parametrize("n", [10, 60])
def test_intervals_cover(name: str, n: int) -> None:
    """Of 400 intervals at 95 %, so few miss the true mean that a cover of 95 % explains it."""
    draw, mean = GRADED[name]
    missed = sum(not found.low <= mean <= found.high for found in (interval(draw(n)) for _ in range(400)))
    assert stats.binom.sf(missed - 1, 400, 0.05) > 1e-4, missed


@pytest.mark.parametrize("step", [0.05, 0.4, 0.5, 0.8, 0.95])
def test_the_lower_bound_covers_exactly(step: float) -> None:
    """For every distribution over 0, a step and 1, on a grid, eight samples' bounds hold at least 95 times in 100."""
    steps, n = np.array([0, step, 1]), 8
    grid = np.array([(i, j, 20 - i - j) for i in range(21) for j in range(21 - i)]) / 20
    covered = np.zeros(len(grid))
    for counts in [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]:
        chance = stats.multinomial.pmf(counts, n, grid)
        covered += chance * (lower(np.repeat(steps, counts)) <= grid @ steps + 1e-6)
    assert covered.min() >= 0.95


def test_missing_samples_are_rightly_counted() -> None:
    """With as many more samples at the same rate the bar is proved, and with one fewer it is not."""
    for ones, n, bar in ((55, 60, 0.85), (60, 60, 0.99), (19, 20, 0.9), (10, 10, 0.95)):
        more = missing([1.0] * ones + [0.0] * (n - ones), bar)
        assert more
        grown = [ones * size // n for size in (n + more - 1, n + more)]
        short, enough = (
            lower([1.0] * k + [0.0] * (size - k)) for k, size in zip(grown, (n + more - 1, n + more), strict=True)
        )
        assert short < bar <= enough


def test_missing_graded_samples_are_rightly_counted() -> None:
    """Graded scores, repeated as often as is advised, prove the bar."""
    scores = [0.5, 0.8, 1, 1, 1] * 6
    more = missing(scores, 0.8)
    assert more
    times = -(-(len(scores) + more) // len(scores))
    assert lower(scores * times) >= 0.8
    assert missing(scores, lower(scores)) == 0


def test_what_no_samples_can_prove_is_said() -> None:
    """A bar at or above the mean is out of reach, however many samples there are."""
    assert prove([1.0] * 8 + [0.0] * 2, 0.8).missing is None
    assert "a million samples would not allow 0.8, as the mean is 0.800" in str(prove([1.0] * 8 + [0.0] * 2, 0.8))
    assert (
        str(prove([1.0] * 10, 0.9))
        == "the best bar this set can prove is 0.741 at 95%; 19 more samples would allow 0.9"
    )


@pytest.mark.parametrize("scores", [[], [math.nan], [0.5, 1.01], [-0.1], [math.inf]])
def test_numbers_that_are_no_scores_are_refused(scores: list[float]) -> None:
    """No scores, NaN and numbers out of range prove nothing and are said."""
    with pytest.raises(StatisticsError):
        interval(scores)
    with pytest.raises(StatisticsError):
        lower([1.0], 1.0)


def test_the_paired_test_is_mcnemars() -> None:
    """On passes and failures p is the exact binomial of the samples where the two differ."""
    first, second = [1.0] * 50 + [0.0] * 10, [1.0] * 48 + [0.0] * 2 + [1.0] * 9 + [0.0]
    found = compare(first, second)
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert (found.wins, found.losses, found.ties, found.verdict) == (9, 2, 49, "open")
    assert found.low < found.difference < found.high
    assert compare(second, first).difference == -found.difference


def test_the_paired_test_of_grades_is_by_permutation() -> None:
    """On grades p agrees with scipy's permutation test, exact for few pairs and near it for many."""
    for n, tolerance in ((10, 1e-12), (40, 0.01)):
        first, second = CHANCE.random(n), np.clip(CHANCE.random(n) + 0.1, 0, 1)
        reference = stats.permutation_test(
            (second - first,), np.mean, permutation_type="samples", n_resamples=50_000, rng=np.random.default_rng(1)
        )
        assert compare(first.tolist(), second.tolist()).p == pytest.approx(reference.pvalue, abs=tolerance)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.0] * 40 + [1.0] * 60, [1.0] * 100, "better"), ([1.0] * 100, [0.0] * 40 + [1.0] * 60, "worse"),
        ([1.0] * 100, [1.0] * 100, "equal"), ([1.0] * 20, [1.0] * 20, "open"), ([0.9] * 12, [0.8] * 12, "worse"),
    ],
)  # fmt: skip
def test_a_comparison_ends_in_a_verdict(first: list[float], second: list[float], verdict: str) -> None:
    """Better, worse, equal within the margin, or too few to say; twenty agreements do not prove equality."""
    assert compare(first, second).verdict == verdict


def test_unpaired_scores_are_refused() -> None:
    """Scores of other samples cannot be compared pair by pair."""
    with pytest.raises(StatisticsError, match="3 scores against 2"):
        compare([1, 1, 1], [1, 1])


def test_a_sequence_holds_at_every_look() -> None:
    """Of 300 candidates no better than the lane, looked at 500 times each, at most 5 % are ever called decided."""
    wins = np.cumsum(CHANCE.random((300, 500)) < 0.5, axis=1)
    seen: dict[tuple[int, int], bool] = {}

    def decided(won: int, n: int) -> bool:
        return seen.setdefault((won, n), standing(won, n - won).decided)

    wrong = sum(any(decided(int(row[n - 1]), n) for n in range(1, 501)) for row in wins)
    assert stats.binom.sf(wrong - 1, 300, 0.05) > 1e-4


def test_a_sequence_narrows_and_leaves_ties_out() -> None:
    """A candidate that wins nine of ten is found better; ties are told and change nothing."""
    widths = [found.high - found.low for found in (standing(9 * k, k) for k in (1, 2, 4, 8))]
    assert all(later < earlier for earlier, later in pairwise(widths))
    assert standing(18, 2).decided
    assert not standing(0, 0, 50).decided
    assert standing(9, 1, 50)[3:6] == standing(9, 1)[3:6]
    assert standing(50, 0).high == 1.0
    with pytest.raises(StatisticsError):
        standing(-1, 0)


def test_kappa_is_cohens() -> None:
    """Kappa of a table worked by hand, and its bounds about it."""
    first, second = "a" * 25 + "b" * 25, "a" * 20 + "b" * 5 + "a" * 10 + "b" * 15
    found = kappa(first, second)
    assert [found.kappa, found.agreed, found.n] == pytest.approx([0.4, 0.7, 50])
    assert 0.1 < found.low < 0.4 < found.high < 0.65


def test_ten_agreements_are_not_perfect_agreement() -> None:
    """Without one disagreement the lower bound still says how little ten labels show."""
    found = kappa("ab" * 5, "ab" * 5)
    assert found.kappa == found.high == 1
    assert found.low < 0.6
    for wrong in (("aa", "aa"), ("", ""), ("a", "ab")):
        with pytest.raises(StatisticsError):
            kappa(*wrong)


def test_kappas_interval_covers() -> None:
    """Of 200 intervals at 95 %, so few miss the true kappa that a cover of 95 % explains it."""
    table = np.array([[0.5, 0.03], [0.05, 0.42]])
    chance = float(table.sum(0) @ table.sum(1))
    true, missed = (float(np.trace(table)) - chance) / (1 - chance), 0
    for _ in range(200):
        cells = CHANCE.choice(4, 60, p=table.ravel())
        found = kappa((cells // 2).tolist(), (cells % 2).tolist())
        missed += not found.low <= true <= found.high
    assert stats.binom.sf(missed - 1, 200, 0.05) > 1e-4


def test_missing_pairs_are_rightly_counted() -> None:
    """So many more pairs of the same agreement reach the bound, one less does not; a mean below it never will."""
    pairs = ("pf" * 20, "pf" * 18 + "fppf")
    more = missing_pairs(*pairs, 0.75)
    assert more
    times = (40 + more) / 40
    table = {"pp": 19 * times, "ff": 19 * times, "pf": times, "fp": times}
    first, second = ("".join(pair[i] * round(count) for pair, count in table.items()) for i in (0, 1))
    assert kappa(first, second).low == pytest.approx(0.75, abs=0.01)
    assert missing_pairs(*pairs, 0.5) == 0
    assert missing_pairs(*pairs, 0.95) is None


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy is not installed, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(StatisticsError, match=r"laneway\[eval\]"):
        interval([1.0])
