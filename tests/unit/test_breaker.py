"""The breaker as a pure machine: when it opens, when one probe passes, and what closes it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from laneway.breaker import FIRST_PAUSE, LONGEST_PAUSE, PROBE, TRIPS, Breaker


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker()
    for _ in range(TRIPS):
        breaker = breaker.failed(now, probe=False)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    """Four failures and an answer between them change nothing; five in a row open it."""
    breaker = Breaker()
    for _ in range(3):
        for _ in range(TRIPS - 1):
            breaker = breaker.failed(0.0, probe=False)
            assert breaker.state(0.0) == "closed"
        breaker = breaker.succeeded(probe=False)
    assert TRIPS <= 5
    assert (opened().state(0.0), opened().admits(0.0)) == ("open", False)


def test_one_probe_passes_after_the_pause() -> None:
    """When the pause is over a single call passes, until it has a result or has taken too long."""
    breaker = opened()
    assert not breaker.admits(FIRST_PAUSE - 0.01)
    assert breaker.admits(FIRST_PAUSE)
    probing = breaker.entered(FIRST_PAUSE)
    assert probing.state(FIRST_PAUSE) == "half-open"
    assert not probing.admits(FIRST_PAUSE + PROBE - 0.01)
    assert probing.admits(FIRST_PAUSE + PROBE)
    assert probing.succeeded(probe=True) == Breaker()


def test_the_pause_grows_with_each_failed_probe() -> None:
    """Each failed probe doubles the pause, up to the longest."""
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(9):
        pauses.append(breaker.pause)
        now += breaker.pause
        breaker = breaker.entered(now).failed(now, probe=True)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pauses[0] == FIRST_PAUSE
    assert pauses[-1] == LONGEST_PAUSE


def test_results_of_calls_before_it_opened_do_not_count() -> None:
    """A late answer does not close an open breaker, and a late failure does not lengthen its pause."""
    breaker = opened()
    assert breaker.succeeded(probe=False) is breaker
    assert breaker.failed(0.5, probe=False) is breaker


def test_a_probe_that_says_nothing_makes_way_for_the_next() -> None:
    """A probe whose client went away leaves the breaker half-open, with the same pause."""
    left = opened().entered(FIRST_PAUSE).dropped(1.2, probe=True)
    assert (left.state(1.2), left.admits(1.2), left.pause) == ("half-open", True, FIRST_PAUSE)


@given(st.lists(st.tuples(st.sampled_from(["fail", "answer", "drop"]), st.floats(0, 90)), max_size=60))
def test_an_open_breaker_always_opens_up_again(steps: list[tuple[str, float]]) -> None:
    """Whatever happens, no lane is left alone for longer than the longest pause or an unfinished probe."""
    breaker, now = Breaker(), 0.0
    for what, wait in steps:
        now += wait
        if not breaker.admits(now):
            assert breaker.admits(now + max(LONGEST_PAUSE, PROBE))
            continue
        probe = breaker.state(now) != "closed"
        breaker = breaker.entered(now)
        assert not probe or not breaker.admits(now)
        match what:
            case "fail":
                breaker = breaker.failed(now, probe=probe)
            case "answer":
                breaker = breaker.succeeded(probe=probe)
            case "drop":
                breaker = breaker.dropped(now, probe=probe)
        assert what != "answer" or breaker == Breaker()
