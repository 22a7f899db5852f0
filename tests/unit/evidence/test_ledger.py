"""The ledger: what is appended is read, and whatever was changed, cut or moved shows."""

from __future__ import annotations

import datetime
import multiprocessing
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laneway.evidence.ledger import Bound, Evidence, LedgerError, On, append, parse, read

AT = datetime.datetime(2026, 11, 29, 10, 0, tzinfo=datetime.UTC)


def evidence(lane: str = "home", lower: float = 0.9) -> Evidence:
    return Evidence(
        at=AT, workload="clauses", lane=lane, model="m", reported="m-1", endpoint="http://127.0.0.1:1/v1",
        on=(On("risk-flags", "a" * 64, "b" * 64, "c" * 64),), confidence=0.95,
        bounds={"": Bound(60, 0.95, lower, 0.99), "sv": Bound(20, 1.0, 0.86, 1.0)},
    )  # fmt: skip


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """Entries come back in their order, each as it was."""
    ledger = tmp_path / "evidence.jsonl"
    assert read(ledger) == ()
    append(ledger, evidence())
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o644  # figures alone, to be reviewed and deployed with the policy
    ledger.unlink()
    append(ledger, evidence())
    append(ledger, evidence("premium"), evidence("shared"))
    assert [entry.lane for entry in read(ledger)] == ["home", "premium", "shared"]
    assert read(ledger)[0] == evidence()


def test_a_line_changed_left_out_or_moved_shows(tmp_path: Path) -> None:
    """Whatever is done to a line, the one behind it does not follow any more."""
    ledger = tmp_path / "evidence.jsonl"
    append(ledger, evidence("a"), evidence("b"), evidence("c"))
    lines = ledger.read_bytes().splitlines(keepends=True)
    better = [lines[0].replace(b'"lower":0.9', b'"lower":0.8'), *lines[1:]]
    for changed in (better, lines[1:], [lines[0], lines[2]], [lines[1], lines[0], lines[2]]):
        with pytest.raises(LedgerError, match=r"evidence\.jsonl:[12]: this line (does not follow|was changed)"):
            parse(b"".join(changed), "evidence.jsonl")
    last = [*lines[:2], lines[2].replace(b'"lower":0.9', b'"lower":0.95')]
    with pytest.raises(LedgerError, match=r":3: this line was changed: its hash does not fit"):
        parse(b"".join(last), "evidence.jsonl")
    with pytest.raises(LedgerError, match=r":3: the last line has no end"):
        parse(b"".join(lines)[:-1], "evidence.jsonl")


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0), st.binary(min_size=1, max_size=8))
def test_no_damage_raises_anything_but_a_ledger_error(at: int, put: bytes) -> None:
    """Any bytes in any place are named as what they are: no ledger."""
    line = msgspec.json.encode({"before": "0" * 64, "evidence": evidence()}) + b"\n"
    at %= len(line)
    with pytest.raises(LedgerError):
        parse(line[:at] + put + line[at + len(put) :], "evidence.jsonl")


@pytest.mark.parametrize("wrong", ["NaN", "1.5", "-0.1", "null"])
def test_a_bound_that_is_none_is_refused(wrong: str) -> None:
    """NaN, more than 1 and less than 0 are no bounds."""
    line = msgspec.json.encode({"before": "0" * 64, "evidence": evidence()})
    with pytest.raises(LedgerError, match="no entry of a ledger"):
        parse(line.replace(b'"lower":0.9', b'"lower":' + wrong.encode()) + b"\n", "evidence.jsonl")


def test_a_damaged_ledger_is_not_written_to(tmp_path: Path) -> None:
    """Nothing is added to what cannot be believed, and nothing of it is lost."""
    ledger = tmp_path / "evidence.jsonl"
    append(ledger, evidence())
    ledger.write_bytes(damaged := ledger.read_bytes()[:-40])
    with pytest.raises(LedgerError):
        append(ledger, evidence())
    assert ledger.read_bytes() == damaged


def _add(path: Path, count: int) -> None:
    for _ in range(count):
        append(path, evidence())


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Three processes that append at once leave all their entries, in one chain."""
    ledger = tmp_path / "evidence.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(ledger, 5)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(read(ledger)) == 15
