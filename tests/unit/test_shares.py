"""Shares: every recorded request that another policy decides otherwise is in exactly one class of `diff`."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from contextlib import closing
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from benchmarks.biglog import fresh, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.generated import TODAY, policies
from tests.unit.test_replay import asked_of, ended, entries, facts, opening

from laneway.decide import decide
from laneway.diff.compare import Report, compare
from laneway.diff.seen import holds
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.space import Space
from laneway.replay.again import Again
from laneway.replay.recorded import Recording
from laneway.replay.restated import read_anew, read_back
from laneway.replay.run import Case, Replay, Row
from laneway.replay.shares import BESIDE, Classes
from laneway.replay.totals import Totals
from laneway.store import Reader
from laneway.way import change, way

DAYS, END = 3, datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
EDITS = {
    "contract-review": [
        ("what comes first", ("it may use., try: cheapest", "it may use., try: strongest")),
        ("a row of the wall", ("zones: [ours, eea], says: Confidential", "zones: [ours], says: Confidential")),
        ("what is found", ('"*": restricted}', '"*": internal}')),
        ("a default", ("unlabelled: {sensitivity: confidential, difficulty: auto", "unlabelled: {sensitivity: internal, difficulty: hard")),
        ("a floor", ("clause-lookup: {sensitivity: confidential, difficulty: routine, ceiling: 0.05", "clause-lookup: {sensitivity: internal, difficulty: hard, ceiling: 0.01")),
        ("a price and a ceiling", ("price: {input: 0.90, output: 1.80}", "price: {input: 90, output: 180}")),
        ("a waiver", ("lanes: [home, nordic, shared], until", "lanes: [nordic, shared], until")),
        ("who approves", ("when: {workload: [contract-review, risk-flags]}", "when: {workload: [contract-review, clause-lookup]}")),
        ("what follows", ("then: [ours, refuse]", "then: [nordic, hold]")),
        ("who redoes", ("weak: [strongest, hold]", "weak: [shared, refuse]")),
        ("a length", ("{any: [{difficulty: hard}, {stakes: high}]}", "{any: [{tokens: {over: 2000}}, {stakes: high}]}")),
        ("a difficulty that nobody looked for", ("clause-lookup: {sensitivity: confidential, difficulty: routine", "clause-lookup: {sensitivity: confidential")),
        ("a day", ("verified: 2026-11-20\nstrength", "verified: 2026-11-26\nstrength")),
    ],
    "ai-assisted-development": [
        ("a name", ("  code-review:", "  code-reading:")),
        ("the first route", ("{workload: completion}, try: ours", "{workload: completion}, try: strongest")),
        ("a limit", ("when: {workload: completion}, zones: [ours]", "when: {workload: refactoring}, zones: [ours]")),
        ("the deadline", ("interactive: {first_byte: 8s, total: 120s}", "interactive: {first_byte: 8s, total: 120s, hedge: 2s}")),
    ],
    "medical-evidence": [
        ("who judges", ("  checks: [empty", "  judge: strongest\n  checks: [empty")),
        ("whom nobody waives", ("lanes: [nordic, regional, global], until", "lanes: [nordic, regional], until")),
    ],
}  # fmt: skip


@cache
def recorded(folder: Path, pack: str) -> tuple[Policy, Path]:
    """A pack and a log of generated traffic under it."""
    policy = fresh(pack, folder / pack, (END - datetime.timedelta(days=DAYS)).date())
    make(folder / pack / "laneway.db", policy, 1_000, seed=7, days=DAYS, end=END)
    return policy, folder / pack / "laneway.db"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logs are."""
    return tmp_path_factory.mktemp("shares")


@cache
def compared(folder: Path, pack: str, edit: tuple[str, str]) -> tuple[Policy, Report, Totals, list[Case]]:
    """A pack after an edit, the classes of change, what recorded requests each holds, and the kinds that change."""
    old, log = recorded(folder, pack)
    new = parse(old.text.replace(*edit), "new.yaml")
    report, cases = compare(old, new, END.date()), list[Case]()
    assert not report.unproved
    assert report.space is not None
    before, after = Again(old), Again(new)
    classes = Classes(before, after, report.space, report.changes, END.date())

    def sort(case: Case) -> str:
        cases.append(case)
        return classes.sort(case)

    replay = Replay(after, report.space, lambda _: old, old=before, sort=sort)
    with closing(Reader.open(log)) as reader:
        for one in Recording(reader.entries()):
            replay.add(one)
    return new, report, replay.finish(), cases


def alone(old: Policy, new: Policy, log: Path) -> tuple[Totals, list[Row]]:
    """The same without `diff`, as `laneway replay` does it."""
    rows: list[Row] = []
    replay = Replay(Again(new), Space(new, new), lambda _: old, row=rows.append)
    with closing(Reader.open(log)) as reader:
        for one in Recording(reader.entries()):
            replay.add(one)
    return replay.finish(), rows


def by_the_interpreter(old: Policy, new: Policy, log: Path) -> Counter[str]:
    """How every recorded request ends, each decided by itself from the whole of its record."""
    found = Counter[str]()
    with closing(Reader.open(log)) as reader:
        for story in reader.stories():
            first = story.opening
            read = read_anew(new, read_back(first.model, first.ask.pin, first.signals))
            ends = {
                change(way(old, first.decision), way(new, decide(new, first.ask, signals, Again(new).facts(old, signals, first.facts))))
                for signals in read.signals
            }  # fmt: skip
            found["newly an error" if read.unknown else ends.pop() if len(ends) == 1 else "unknown"] += 1
    return found


@pytest.mark.parametrize(
    ("pack", "edit"), [(pack, edit) for pack, edits in EDITS.items() for _, edit in edits],
    ids=[f"{pack}: {name}" for pack, edits in EDITS.items() for name, _ in edits],
)  # fmt: skip
def test_the_classes_of_diff_and_the_totals_of_replay_are_the_same_requests(
    pack: str, edit: tuple[str, str], folder: Path
) -> None:
    """Every request that changes is in one class, or changes by one named thing that `diff` leaves out; none is lost."""
    old, log = recorded(folder, pack)
    if pack != "ai-assisted-development" or edit[0] != "  code-review:":
        assert old.text.count(edit[0]) == 1
    new, report, shared, cases = compared(folder, pack, edit)
    totals, rows = alone(old, new, log)
    assert {end: one.requests for end, one in shared.ends.items()} == {
        end: one.requests for end, one in totals.ends.items()
    }
    assert {end: one.requests for end, one in totals.ends.items()} == by_the_interpreter(old, new, log)
    assert sum(one.requests for one in shared.labels.values()) == len(rows) == totals.changed.requests
    assert sum(one.cost for one in shared.labels.values()) == totals.changed.cost
    assert sum(one.low for one in shared.labels.values()) == totals.changed.low
    assert sum(one.high for one in shared.labels.values()) == totals.changed.high
    assert set(shared.labels) <= {str(n) for n in range(1, len(report.changes) + 1)} | set(BESIDE)
    assert shared.changed.requests or "unknown" in shared.ends
    assert report.space is not None
    classes = Classes(Again(old), Again(new), report.space, report.changes, END.date())
    for case in cases:
        cell = classes.cell(case.stated)
        if cell is not None and classes.sort(case) != "names":
            member = [n for n, one in enumerate(report.changes, 1) if holds(one.formula, cell, {})]
            assert len(member) <= 1
            assert classes.sort(case) in ([str(n) for n in member] or BESIDE)


def test_what_diff_leaves_out_is_told_by_its_cause(folder: Path) -> None:
    """Names, detection, dates, evidence, prices and pins change requests beside the classes, each by its own name."""
    causes = Counter[str]()
    for pack, edits in EDITS.items():
        for _, edit in edits:
            _, _, shared, _ = compared(folder, pack, edit)
            causes.update({label: one.requests for label, one in shared.labels.items() if not label.isdigit()})
    assert {"names", "detection", "dates", "evidence", "money"} <= set(causes) <= set(BESIDE)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(old=policies(), new=policies(), data=st.data())
def test_no_request_of_any_policies_changes_for_an_unknown_cause(old: Policy, new: Policy, data: st.DataObject) -> None:
    """For generated policies too, a request that changes is in one class at most, and in none for a named cause."""
    old, new = dataclasses.replace(old, hash="old"), dataclasses.replace(new, hash="new")
    report = compare(old, new, TODAY)
    assert report.space is not None
    before, after = Again(old), Again(new)
    classes = Classes(before, after, report.space, report.changes, TODAY)

    def sort(case: Case) -> str:
        cell, label = classes.cell(case.stated), classes.sort(case)
        member = [] if cell is None else [n for n, one in enumerate(report.changes, 1) if holds(one.formula, cell, {})]
        assert len(member) <= 1
        assert label in ([str(n) for n in member] or BESIDE)
        return label

    drawn = (
        data.draw(st.lists(asked_of(old), min_size=1, max_size=4)),
        data.draw(st.lists(facts, min_size=1, max_size=2)),
    )
    made = [entry for i, (alike, known) in enumerate(product(*drawn)) for k, asked in enumerate(alike)
            for entry in ended(f"d{i}.{k}", opening(old, asked, known))]  # fmt: skip
    replay = Replay(after, report.space, lambda _: old, old=before, sort=sort)
    for one in Recording(entries(made)):
        replay.add(one)
    totals = replay.finish()
    assert sum(one.requests for one in totals.labels.values()) == totals.changed.requests
