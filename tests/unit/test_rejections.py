"""Rejections: whatever is said, and by whom, what an answer counts for can only become less."""

from __future__ import annotations

import datetime
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from laneway.errors import RequestError
from laneway.evidence.statistics.numbers import StatisticsError
from laneway.feedback import MOST_WORDS, is_news
from laneway.record import Feedback, Outcome, Word
from laneway.rejections import Rejections, Work, most_good, rejected

NOW = datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)
ANSWERED = Outcome(id="a", status="answered", lane="home")
COUNTS = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
CONFIDENCES = st.sampled_from([0.5, 0.9, 0.95, 0.999])
PEOPLE = ("ann", "bo", "cy")


def word(accepted: bool, by: str = "ann", id: str = "a", source: str = "user") -> Feedback:
    """What one of them said."""
    return Feedback(id=id, accepted=accepted, by=by, source=source)  # type: ignore[arg-type]


WORDS = st.lists(
    st.builds(
        word, st.booleans(), st.sampled_from(PEOPLE), st.sampled_from("abcde"), st.sampled_from(["user", "operator"])
    ),
    max_size=40,
)


def said(words: list[Feedback]) -> list[Word]:
    """The words as the log gives them: two lanes, two workloads."""
    return [Word(NOW, w, "mail" if w.id in "abc" else None, "home" if w.id < "e" else "away") for w in words]


ANSWERS: dict[Work, int] = {("mail", "home"): 50, (None, "home"): 9, (None, "away"): 1}


class TestMostGood:
    @given(COUNTS, CONFIDENCES)
    def test_it_is_never_below_the_exact_bound(self, counts: tuple[int, int], confidence: float) -> None:
        """The rejected share is never said to be higher than Clopper and Pearson allow to say."""
        answers, bad = counts
        exact = stats.beta.ppf(1 - confidence, bad, answers - bad + 1) if bad else 0.0
        assert most_good(answers, bad, confidence) >= 1 - exact - 1e-12

    @given(COUNTS, CONFIDENCES)
    def test_it_is_a_share_and_falls_with_every_rejection(self, counts: tuple[int, int], confidence: float) -> None:
        """It lies from the share that nobody rejected to 1, and one rejection more never raises it."""
        answers, bad = counts
        found = most_good(answers, bad, confidence)
        assert 1 - (bad / answers if answers else 0) <= found <= 1.0
        assert most_good(answers + 1, bad + 1, confidence) <= most_good(answers + 1, bad, confidence)
        assert most_good(answers, bad, 0.999) >= found or confidence == 0.999

    @given(COUNTS, CONFIDENCES)
    def test_silent_answers_count_as_good(self, counts: tuple[int, int], confidence: float) -> None:
        """More answers that nobody spoke of never lower it."""
        answers, bad = counts
        assert most_good(answers + 100, bad, confidence) >= most_good(answers, bad, confidence)

    def test_nothing_rejected_is_all_good(self) -> None:
        """Without a rejection, and without an answer, it says nothing against the lane."""
        assert [most_good(n, 0, 0.95) for n in (0, 1, 10**9)] == [1.0, 1.0, 1.0]
        assert most_good(0, 3, 0.95) == 1.0

    def test_all_rejected_is_the_exact_bound(self) -> None:
        """There both bounds meet; more rejections than answers count as all of them."""
        assert most_good(10, 10, 0.95) == pytest.approx(1 - 0.05**0.1)
        assert most_good(10, 12, 0.95) == most_good(10, 10, 0.95)

    def test_it_is_close_to_the_exact_bound(self) -> None:
        """What Chernoff's inequality gives away: of 1000 answers and 50 rejections, six tenths of a percent."""
        exact = 1 - float(stats.beta.ppf(0.05, 50, 951))
        assert 0 < most_good(1000, 50, 0.95) - exact < 0.007

    @pytest.mark.parametrize("confidence", [0.3, 1.0, math.nan])
    def test_another_confidence_is_refused(self, confidence: float) -> None:
        """The error says what is usual."""
        with pytest.raises(StatisticsError, match=r"0\.95 is usual"):
            most_good(10, 1, confidence)


class TestWords:
    def test_the_last_word_of_each_counts(self) -> None:
        """Who rejects may take it back, and nobody else may, an operator's namesake included."""
        assert not rejected([])
        assert not rejected([word(True), word(False), word(True)])
        assert rejected([word(True), word(False)])
        assert rejected([word(False), word(True, "bo")])
        assert rejected([word(False, source="operator"), word(True, source="user")])

    @given(WORDS)
    def test_accepting_words_change_nothing(self, words: list[Feedback]) -> None:
        """Without the words of those who never rejected, everything counts the same."""
        critics = {(w.id, w.source, w.by) for w in words if not w.accepted}
        fewer = [w for w in words if (w.id, w.source, w.by) in critics]
        assert Rejections.counted(said(words), ANSWERS) == Rejections.counted(said(fewer), ANSWERS)

    @given(WORDS, st.sampled_from(PEOPLE), st.sampled_from("abcde"))
    def test_no_words_raise_what_counts(self, words: list[Feedback], by: str, id: str) -> None:
        """After any words, no share is above 1, or above what it was without them; another rejection never raises it."""
        before = Rejections.counted(said(words), ANSWERS)
        after = Rejections.counted(said([*words, word(False, by, id)]), ANSWERS)
        for work in ANSWERS:
            shares = [r.most_good(*work, 0.95) for r in (Rejections(ANSWERS, {}), before, after)]
            assert shares[0] == 1.0
            assert shares == sorted(shares, reverse=True)

    def test_an_answer_is_counted_once_and_where_it_was_given(self) -> None:
        """Three people who reject one answer make one rejection, of its lane and workload alone."""
        words = said(
            [word(False, "ann"), word(False, "bo"), word(False, "cy"), word(False, id="e"), word(True, id="d")]
        )
        found = Rejections.counted(words, ANSWERS)
        assert found.rejected == {("mail", "home"): 1, (None, "away"): 1}
        assert found.most_good("mail", "home", 0.95) == most_good(50, 1, 0.95)
        assert found.most_good(None, "home", 0.95) == found.most_good("unknown", "home", 0.95) == 1.0

    @given(st.lists(st.builds(word, st.booleans(), st.text("abcdefgh", min_size=1, max_size=2)), max_size=120))
    def test_no_flood_keeps_a_rejection_out(self, spoken: list[Feedback]) -> None:
        """However much was said before, at most 21 words are taken, and one more person can still reject the answer."""
        words: list[Feedback] = []
        for each in spoken:
            with suppress(RequestError):
                if is_news(each, ANSWERED, words):
                    words.append(each)
        assert len(words) <= MOST_WORDS + 1
        assert rejected(words) or is_news(word(False, "honest"), ANSWERED, words)
