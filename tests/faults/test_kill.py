"""kill -9 under load: what a client has received is on record, and the chain holds."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.faults.kills import CONCURRENT, EARLY, killed, settled

KILLS = 20


def test_nothing_received_is_missing_from_the_log(tmp_path: Path) -> None:
    """Twenty kills under 64 requests, streams among them: what a separate client got whole is answered on record."""
    ledger = killed(tmp_path, KILLS)
    found = settled(tmp_path / "laneway.db", ledger)
    assert len(ledger.answered) > KILLS * CONCURRENT
    assert (found.lost, found.unknown, found.whole) == (set(), set(), True)
    assert found.ends["open"] == 0
    assert found.streams > KILLS
    assert found.ends["interrupted"] > KILLS
    assert statistics.median(ledger.starts) < 2


def test_an_answer_before_its_commit_is_found(tmp_path: Path) -> None:
    """Five such kills of a server that answers before the commit show answers that are not on record."""
    ledger = killed(tmp_path, 5, serve=EARLY)
    assert settled(tmp_path / "laneway.db", ledger).lost
