"""A seeded week through a whole Laneway: the review says what the lanes' and the client's own ledgers say."""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any

import pytest
import uvloop
from click.testing import CliRunner
from tests.week.ledgers import Answers, answers
from tests.week.play import Played, play
from tests.week.told import differences, told
from tests.week.tried import disagreements, tried

from laneway.cli import main

MONDAY = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A week of 1,200 requests."""
    return uvloop.run(play(tmp_path_factory.mktemp("week"), seed=6, requests=1_200, start=MONDAY))


@pytest.fixture(scope="module")
def week(played: Played) -> tuple[Answers, Any]:
    """What those who took part know of the week, and the review of its log."""
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


@pytest.mark.parametrize(
    ("old", "new", "within"),
    [
        ("try: [shared, cheapest]", "try: [home, cheapest]", True),
        ("zones: [ours, eea], says: Confidential", "zones: [ours], says: Confidential", True),
        ("judge: strongest", "judge: [shared, home]", True),
        ("ceiling: 0.02", "ceiling: 0.0002", False),
        ("iban: confidential", "iban: restricted", False),
    ],
)
def test_what_another_policy_makes_of_the_week_is_what_diff_says(
    played: Played, old: str, new: str, within: bool
) -> None:
    """The classes of diff, and what it leaves out by name, hold the requests and the money that replay counts."""
    text = played.policy.text
    assert text.count(old) == 1
    own, edited = played.log.parent / "laneway.yaml", played.log.parent / "edited.yaml"
    edited.write_text(text.replace(old, new))
    sides = ["--log", str(played.log), "--since", "all", "--json"]
    replayed = json.loads(CliRunner().invoke(main, ["replay", str(edited), *sides]).stdout)
    shared = json.loads(CliRunner().invoke(main, ["diff", str(own), str(edited), *sides]).stdout)["recorded"]
    changed = [one for one in replayed["changes"] if one["change"] not in ("unchanged", "unknown")]
    assert replayed["changed"] == sum(one["requests"] for one in changed) > 0
    for part in ("requests", "cost", "low", "high"):
        total = sum(one[part] for one in (*shared["in_classes"], *shared["beside"]))
        assert total == pytest.approx(sum(one[part] for one in changed))
    assert bool(shared["beside"]) is not within


def test_the_week_under_its_own_policy_is_the_week(played: Played, week: tuple[Answers, Any]) -> None:
    """Every request that went on record is decided again as it was, in every outage that it met."""
    sides = ["--log", str(played.log), "--since", "all", "--json"]
    (end,) = json.loads(CliRunner().invoke(main, ["replay", str(played.log.parent / "laneway.yaml"), *sides]).stdout)[
        "changes"
    ]
    assert (end["change"], end["requests"]) == ("unchanged", week[0].ends.total())
    assert end["cost"] == end["low"] == end["high"]


def test_the_week_under_a_changed_policy(played: Played) -> None:
    """Replay, the classes of `diff --since` and the ledgers agree on every total; a wrong one is found."""
    known, (replay, diff) = answers(played), tried(played)
    assert disagreements(known, replay, diff)[1] == []
    assert len(diff["changes"]) == len(diff["recorded"]["in_classes"]) >= 3
    assert all(one["requests"] for one in diff["recorded"]["in_classes"])
    forged = copy.deepcopy(diff)
    forged["recorded"]["in_classes"][0]["requests"] += 1
    assert len(disagreements(known, replay, forged)[1]) == 1
