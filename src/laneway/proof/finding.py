"""finding: one thing that does not hold of a policy, and the smallest request that shows it.

A request is shown by the flags that `laneway explain` takes, and only by those that matter: with any one of
them left out the failure is gone. It is found by an oracle and replayed through the real interpreter.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from laneway.decide import decide
from laneway.decision import Decision, Route
from laneway.facts import Facts, down, supposed
from laneway.lane import exact
from laneway.policy import Policy
from laneway.proof import stated
from laneway.proof.oracle import Oracle
from laneway.proof.reach import Reach
from laneway.proof.space import Cell, Formula, In, Space, both
from laneway.proof.stated import Value
from laneway.repair.edits import Repair
from laneway.signals import Ask, Signals

__all__ = ["Finding", "Kind", "Severity", "Subject", "Witness", "called", "evidence", "flags", "kind", "outage",
           "smallest", "values_of", "without"]  # fmt: skip

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Witness:
    """A request (`flags` for `laneway explain`), the lanes that are `down`, and what the interpreter decides."""

    signals: Signals
    flags: tuple[str, ...]
    down: tuple[str, ...]
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong: a stable `code`, the rule or lane it is `about` and its line (0: the whole file)."""

    code: str
    about: str
    line: int
    message: str
    says: str = ""
    lane: str = ""
    severity: Severity = "error"
    witness: Witness | None = None
    remedy: str = ""
    repairs: tuple[Repair, ...] = ()


Kind = tuple[str, str, str]
"""A finding's code, the rule or lane, and its sentence: the same wherever the rule stands in the file."""


def kind(finding: Finding) -> Kind:
    """What a finding is about, wherever its rule stands in the file."""
    return finding.code, re.sub(r"\[\d+]", "", finding.about), finding.says


class Subject:
    """A policy under proof on a day: its space, what can answer questions about it, and its reach."""

    def __init__(self, policy: Policy, today: datetime.date, space: Space, oracle: Oracle) -> None:
        self.policy, self.today, self.space, self.oracle = policy, today, space, oracle
        self.reach = Reach(policy, space, today)

    def empty(self, *parts: Formula) -> bool:
        """Whether no request meets all parts. Raises NotProved."""
        return self.oracle.find(both(*parts)) is None

    def shown(self, *parts: Formula, lane: str | None = None) -> Witness | None:
        """The smallest request that meets all parts, in the smallest outage that leads it to `lane`."""
        cell = smallest(self.space, self.oracle, both(*parts))
        if cell is None:
            return None
        values = values_of(self.space, cell)
        signals = stated.signals(values)
        down = () if lane is None else outage(self.policy, signals, lane, self.today)
        decision = decide(self.policy, Ask(), signals, without(self.policy, signals, down, self.today))
        shown = (*flags(self.space, values), *evidence(self.policy, signals, down, self.today))
        return Witness(signals, shown, down, decision)


def values_of(space: Space, cell: Cell) -> dict[str, Value]:
    """A request in the cell, with the usual value of every fact that may keep it."""
    usual = _usual(space, _workload(space, cell))
    return {
        d.fact: usual[d.fact] if d.fact in usual and d.cell.get(usual[d.fact]) == k else d.values[k]
        for d, k in zip(space.dimensions, cell, strict=True)
    }


def smallest(space: Space, oracle: Oracle, formula: Formula) -> Cell | None:
    """A request in the set with so few unusual facts that leaving out any of them leaves the set."""
    cell = oracle.find(formula)
    if cell is None:
        return None
    late = ("latency", "stakes", "difficulty", "sensitivity")  # what says most of a request is given up last
    facts = ["workload", *(fact for fact in space.index if fact not in (*late, "workload")), *late]
    for fact in facts:
        i = space.index[fact]
        plain = space.dimensions[i].cell.get(_usual(space, _workload(space, cell)).get(fact), 0)
        found = cell if cell[i] == plain else oracle.find(both(formula, In(i, 1 << plain)))
        cell = found or cell
        if found or fact == "workload":  # what is usual of the other facts depends on the workload
            formula = both(formula, In(i, 1 << cell[i]))
    return cell


def _workload(space: Space, cell: Cell) -> str | None:
    at = space.index["workload"]
    name = space.dimensions[at].values[cell[at]]
    return None if name is None else str(name)


def _usual(space: Space, name: str | None) -> dict[str, Value]:
    """What each fact is where a client names the workload `name`, or none, and says nothing else."""
    silent = {fact: stated.read(space.policies[0], fact, None, name) for fact in stated.READ}
    usual: dict[str, Value] = silent | {"tokens": 0, "needs": (), "workload": None, "team": None, "region": None}
    usual["difficulty"] = usual["difficulty"] or "routine"  # as a request without a text is found to be
    if space.compared:  # what a client states: each policy makes of it what it makes
        usual |= {"difficulty": "routine", "stakes": "normal", "ceiling": None}
        usual |= {fact: None for fact in ("sensitivity", "latency") if None in space.dimensions[space.index[fact]].cell}
    return usual


def flags(space: Space, values: Mapping[str, Value]) -> Iterator[str]:
    """The flags of `laneway explain` for a request: those that say something unusual."""
    name = values["workload"]
    usual = _usual(space, None if name is None else str(name))
    for dimension in space.dimensions:
        value = values[dimension.fact]
        if value is None or len(dimension.values) == 1 or value == usual.get(dimension.fact):
            continue
        if dimension.fact in usual:
            yield from (f"--{dimension.fact}", _shown(value))
        else:
            yield from ("--fact", f"{dimension.fact}={_shown(value)}")


def _shown(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return exact(value) if isinstance(value, float) else str(value)


def called(policy: Policy, decision: Decision) -> frozenset[str]:
    """The lanes that a decision may call, on any hop."""
    if not isinstance(decision, Route):
        return frozenset()
    weakest = min(policy.rank[name] for name in decision.lanes)
    stronger = {name for name in decision.escalate if policy.rank[name] > weakest}
    unseen = {name for each in decision.shadow for name in (*each.lanes, *each.judge)}
    return frozenset((*decision.lanes, *decision.judge)) | stronger | unseen


def without(policy: Policy, signals: Signals, lanes: Iterable[str], today: datetime.date) -> Facts:
    """A day on which these lanes are out, and all others have shown enough: one that has not is as good as out."""
    return Facts(today=today, closed=down(lanes), evidence=supposed(policy, signals.workload, policy.lanes))


def evidence(policy: Policy, signals: Signals, lanes: Iterable[str], today: datetime.date) -> Iterator[str]:
    """The flags that suppose evidence of the lanes that are not out and that no waiver lets serve."""
    out, work = {*lanes, *policy.gone}, signals.workload
    for waiver in policy.gate.waivers:
        if today <= waiver.until and (waiver.workloads is None or work in waiver.workloads):
            out |= waiver.lanes
    for lane in policy.lanes if work in policy.measured else ():
        if lane not in out:
            yield from ("--evidence", lane)


def outage(policy: Policy, signals: Signals, lane: str, today: datetime.date) -> tuple[str, ...]:
    """The smallest outage that leads the request to `lane`."""
    approved = replace(policy, reviews=())  # what an approval lets happen is what counts

    def leads(down: tuple[str, ...]) -> bool:
        return lane in called(policy, decide(approved, Ask(), signals, without(policy, signals, down, today)))

    others = tuple(name for name in policy.lanes if name != lane)
    if len(others) <= _FEW:
        return next(filter(leads, _subsets(others)), ())
    down = next(filter(leads, ((), others, *(tuple(n for n in others if n != up) for up in others))), ())
    for name in down:  # as few as can be, though not the fewest: there are too many sets to try
        fewer = tuple(other for other in down if other != name)
        down = fewer if leads(fewer) else down
    return down


_FEW = 10
"""So many lanes that every set of them can be tried."""


def _subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All subsets, small ones first."""
    for n in range(len(names) + 1):
        yield from combinations(names, n)
