"""A seeded week through a whole Laneway: the review says what the lanes' and the client's own ledgers say."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
import uvloop
from tests.week.ledgers import Answers, answers
from tests.week.play import play
from tests.week.told import differences, told

MONDAY = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Any]:
    """What those who took part know of a week of 1,200 requests, and the review of its log."""
    played = uvloop.run(play(tmp_path_factory.mktemp("week"), seed=6, requests=1_200, start=MONDAY))
    return answers(played), told(played)


def test_the_review_equals_the_ledgers(week: tuple[Answers, Any]) -> None:
    """Every row of the three answers, how requests ended, and who answered as another model."""
    known, review = week
    assert known.unexplained == []
    rows, different = differences(known, review)
    assert different == []
    assert rows > 60


def test_the_week_has_all_that_the_review_is_about(week: tuple[Answers, Any]) -> None:
    """So that equal tables are no empty ones."""
    known, _ = week
    fallbacks = {cause for *_, cause in known.fallbacks}
    assert {"server-error", "rate-limited", "disconnected", "late", "breaker-open"} <= fallbacks
    assert {"empty", "cut-off", "judge"} <= {cause for *_, cause in known.escalated}
    assert {"judge -> escalate", "by user", "by operator"} <= {cause for *_, cause in known.rejected}
    assert {"answered", "cancelled", "held (approval_required)", "refused (lanes_failed)"} <= known.ends.keys()
    assert len(known.other_models) > 3


@pytest.mark.parametrize("table", ["escalated", "rejected", "fallbacks", "ends"])
def test_a_review_that_is_wrong_in_one_row_is_found(week: tuple[Answers, Any], table: str) -> None:
    """One more, or one less, of anything."""
    known, review = week
    forged = copy.deepcopy(review)
    if table == "ends":
        forged["ends"]["answered"] -= 1
    else:
        forged[table][-1]["times"] += 1
    assert len(differences(known, forged)[1]) == 1
