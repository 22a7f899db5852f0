"""mended: errors in, the same with changes that were proved to mend them out.

Each candidate is applied to the text, read again and proved again: the error is gone, no other appears, and the
caller's own cases do not fail where they passed. Of several the one comes first that mends most, then one that
closes, then the one that changes least; where the first is not safe, the best safe one stands beside it. A repair is
safe where it was meant to close, no request reaches a lane that it did not reach, none that was held goes free, and
no sentence is gone.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from laneway.errors import PolicyError
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.finding import Finding, Kind, Subject, kind
from laneway.proof.oracle import Enumeration, NotProved, choose
from laneway.proof.reach import Reach
from laneway.proof.space import Neg, Space, both
from laneway.proof.verify import Report, verify
from laneway.repair.candidates import CANDIDATES, Candidates
from laneway.repair.edits import Repair, Source, applied

__all__ = ["Failing", "repaired"]

Failing = Callable[[Policy], int]
"""How much of what else is promised of a policy does not hold, such as its failing cases."""

_MOST = 2
"""Repairs offered for one finding."""
_RANKED = ("must-broken", "names-forbidden-lane")
"""Findings whose candidates are all tried, as there are several ways to close too much."""


def repaired(
    policy: Policy, report: Report, today: datetime.date, *, seconds: float = 5.0, failing: Failing = lambda _: 0
) -> Report:
    """The report with repairs beside its errors, as far as `seconds` allow."""
    if report.unproved or not report.errors:
        return report
    space = Space(policy)
    try:
        subject = Subject(policy, today, space, choose(space, seconds))
        bench = _Bench(subject, report, time.monotonic() + seconds, failing)
        found = [replace(finding, repairs=bench.repairs(finding)) for finding in report.findings]
    except NotProved:
        return report
    return replace(report, findings=tuple(found))


class _Tried(NamedTuple):
    """What a changed policy comes to: its errors, what else fails, whether it only closes, and how many requests
    gain or lose a lane (0 where nobody counted)."""

    errors: Counter[Kind]
    failing: int
    closes: bool
    change: int


class _Bench:
    """One policy and its errors, against which candidates are tried until a moment."""

    def __init__(self, subject: Subject, report: Report, until: float, failing: Failing) -> None:
        self.subject, self.until, self.failing = subject, until, failing
        self.source = Source(subject.policy.text, subject.policy.file)
        self.errors = _errors(report)
        self._failing = failing(subject.policy)
        self._known: dict[str, _Tried | None] = {}

    def repairs(self, finding: Finding) -> tuple[Repair, ...]:
        """Two candidates at most that prove themselves, the best first; one of them is safe where any is."""
        candidates = CANDIDATES.get(finding.code)
        if finding.severity != "error" or candidates is None:
            return ()
        made = list(islice(self._proved(finding, candidates), _MOST if finding.code not in _RANKED else None))
        if finding.code in _RANKED:
            made.sort(key=lambda pair: (pair[1].failing, pair[1].errors.total(), not pair[1].closes, pair[1].change))
            if made and not made[0][0].safe:  # what opens never stands in the way of `check --fix`
                made[1:] = sorted(made[1:], key=lambda pair: not pair[0].safe)
        return tuple(repair for repair, _ in made[:_MOST])

    def _proved(self, finding: Finding, candidates: Candidates) -> Iterator[tuple[Repair, _Tried]]:
        seen, text = {self.source.text}, self.source.text
        left = self.errors - Counter([kind(finding)])
        for candidate in candidates(self.subject, self.source, finding):
            changed = applied(text, candidate.edits)
            if changed in seen:
                continue
            seen.add(changed)
            if changed not in self._known:
                self._known[changed] = self._tried(changed)
            tried = self._known[changed]
            if tried is not None and tried.errors <= left:
                whole = not any("#" in text[edit.start : edit.end] for edit in candidate.edits)  # maybe a comment
                yield replace(candidate, safe=candidate.safe and whole and tried.closes), tried

    def _tried(self, text: str) -> _Tried | None:
        """What a text means; None where it cannot be read or proved in time, or breaks what the caller holds to."""
        left = self.until - time.monotonic()
        if left <= 0:
            return None
        policy, today = self.subject.policy, self.subject.today
        try:
            changed = parse(text, policy.file)
            report = verify(changed, today, seconds=left)
            errors = _errors(report)
            if report.unproved or not errors < self.errors or (failing := self.failing(changed)) > self._failing:
                return None
            return _Tried(errors, failing, *_compared(policy, changed, today, left))
        except (PolicyError, NotProved):
            return None


def _errors(report: Report) -> Counter[Kind]:
    """The errors but for a broken approval: whoever changes a policy must have it approved again."""
    return Counter(kind(finding) for finding in report.errors if finding.code != "approval-broken")


def _compared(before: Policy, after: Policy, today: datetime.date, seconds: float) -> tuple[bool, int]:
    """Whether no request gains a lane, none that was held goes free, and every sentence stands; and the change."""
    space = Space(before, after)
    oracle = choose(space, seconds)
    old, new = Reach(before, space, today), Reach(after, space, today)
    gained = [both(new.reached[lane], Neg(old.reached[lane])) for lane in before.lanes]
    lost = [both(old.reached[lane], Neg(new.reached[lane])) for lane in before.lanes]
    allowed = [both(new.allowed[lane], Neg(old.allowed[lane])) for lane in before.lanes]
    opens = any(oracle.find(formula) for formula in (*gained, *allowed, both(old.held, Neg(new.held))))
    change = sum(map(oracle.count, (*gained, *lost))) if isinstance(oracle, Enumeration) else 0
    return not opens and not _sentences(before) - _sentences(after), change


def _sentences(policy: Policy) -> Counter[str]:
    rules = (
        *policy.grants, *policy.limits, *policy.routes, *policy.fallbacks, *policy.reviews, *policy.shadows,
        *policy.must, *policy.todos, *policy.gate.waivers,
    )  # fmt: skip
    others = (policy.gate.says, policy.detect.says, *(workload.says for workload in policy.workloads.values()))
    return Counter((*(rule.says for rule in rules), *others))
