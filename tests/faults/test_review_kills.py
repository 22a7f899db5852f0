"""The review path under kill -9, races and time-outs: nothing is released that was not approved."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.review_kills import judged, played
from tests.faults.review_lives import BLIND, EARLY, LATE
from tests.harness import run


def test_nothing_is_released_that_was_not_approved(tmp_path: Path) -> None:
    """By the ledgers of clients and reviewers, over a dozen lives of a server that is killed in the middle of things."""

    async def test() -> None:
        figures = judged(tmp_path, await played(tmp_path, 12))
        print(figures)
        assert figures.unapproved == []
        assert figures.lost == []
        assert figures.chain == "holds"
        assert figures.released > 10
        assert set(figures.answers) >= {"polled wrongly: 404", "Cleo: 403", "reviewed: 200", "reviewed: 409"}

    run(test)


@pytest.mark.parametrize("defect", [BLIND, LATE, EARLY], ids=["one is two", "no time", "before the commit"])
def test_a_planted_defect_is_found(tmp_path: Path, defect: str) -> None:
    """A server that counts one person twice, knows no time, or goes on before its records are on disk, is found out."""

    async def test() -> None:
        for seed in range(1, 6):  # chance decides what happens; a defect shows before long
            folder = tmp_path / f"{seed}"
            folder.mkdir()
            figures = judged(folder, await played(folder, 8, defect=defect, seed=seed))
            if figures.unapproved or figures.lost:
                return
        pytest.fail("the defect was not found")

    run(test)
