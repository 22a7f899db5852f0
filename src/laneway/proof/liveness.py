"""liveness: every request is decided, every rule decides something, and bounds can be met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from laneway.decide import affordable
from laneway.policy import Limit, Policy, Ranking, Review, Rule
from laneway.proof.finding import Finding, Subject
from laneway.proof.reach import Reach, reading_of
from laneway.proof.space import TRUE, Formula, Neg, both, either, signals_of
from laneway.signals import Ask, Signals
from laneway.wall import walled

__all__ = ["alive", "bounded", "closes", "decided"]


def decided(subject: Subject) -> Iterator[Finding]:
    """Every request matches a route; every class has a lane or is refused on purpose."""
    routes = subject.policy.routes
    seen = subject.shown(subject.reach.unrouted)
    if seen is not None:
        yield Finding(
            code="no-route", about="routes", line=routes[-1].line if routes else 0, witness=seen,
            message="some requests match no route, so that they are refused without a reason of yours",
            remedy="end the list with a rule without `when`, such as `{says: ..., try: cheapest}`",
        )  # fmt: skip
    for data_class in subject.policy.classes:
        yield from _served(subject, data_class)


def _served(subject: Subject, data_class: str) -> Iterator[Finding]:
    policy, reach = subject.policy, subject.reach
    of_class = subject.space.having("sensitivity", data_class)
    grants = [grant for grant in policy.grants if data_class in grant.classes]
    if any(not grant.zones for grant in grants):
        return  # no lane, and said so
    if not grants:
        yield Finding(
            code="class-forgotten", about=data_class, line=policy.grants[-1].line if policy.grants else 0,
            message=f"the wall does not list {data_class}, so that every {data_class} request is refused",
            witness=subject.shown(of_class),
            remedy=f"add `{{sensitivity: {data_class}, zones: [...]}}`, with `zones: []` where refusing is meant",
        )  # fmt: skip
    elif subject.empty(of_class, either(reach.allowed.values())):
        yield Finding(
            code="class-stranded", about=grants[0].id, line=grants[0].line, says=grants[0].says,
            message=f"no lane is in a zone that {data_class} data may use, so that every such request is refused",
            witness=subject.shown(of_class),
            remedy="state what the lanes lack, or write `zones: []` where refusing is meant",
        )  # fmt: skip
    elif subject.empty(of_class, reach.tried) and not subject.empty(of_class, either(reach.routed)):
        yield Finding(
            code="never-served", about=data_class, line=policy.gate.line, severity="warning",
            message=f"no lane may serve {data_class} requests: no lane of a route has evidence or a waiver in force",
            witness=subject.shown(of_class),
            remedy="measure lanes (`laneway eval run`), or waive the evidence for one until a date (`gate.waiver`)",
        )  # fmt: skip


def alive(subject: Subject) -> Iterator[Finding]:
    """Every rule decides some request; a dead one is shown with those that shadow it."""
    policy, reach = subject.policy, subject.reach
    yield from _dead(subject, policy.routes, reach.routed, "route")
    yield from _dead(subject, policy.fallbacks, reach.falls, "fallback", reach.tried)
    yield from _dead(subject, policy.reviews, reach.reviewed, "review")
    for limit in policy.limits:
        if subject.empty(closes(reach, limit)):
            yield _useless(limit, "closes no lane that the rest of the wall leaves open")
    for i, grant in enumerate(policy.grants):
        if grant.zones and _table(policy, subject) == _table(_less(policy, i), subject):
            yield _useless(grant, "opens no lane that the rest of the wall does not open already")


def closes(reach: Reach, limit: Limit) -> Formula:
    """The requests for which the limit closes a lane that the rest of the wall leaves open."""
    lanes = (lane for lane in reach.policy.lanes if not reach.admits(limit, lane))
    closed = either(both(reach.granted(lane), reach.unlimited(lane, but=limit)) for lane in lanes)
    return both(reach.space.formula(limit.when, "possibly"), closed)


def _table(policy: Policy, subject: Subject) -> list[tuple[str, frozenset[str]]]:
    return [(c, frozenset(row.admitted)) for c, row in walled(policy, subject.today).items()]


def _less(policy: Policy, grant: int) -> Policy:
    return replace(policy, grants=(*policy.grants[:grant], *policy.grants[grant + 1 :]))


def _useless(rule: Rule, why: str) -> Finding:
    return Finding(code="dead-rule", about=rule.id, line=rule.line, says=rule.says, message=f"this rule {why}",
                   remedy="delete it, or mend what it was meant to do")  # fmt: skip


_NAMED = 4
"""The most rules that are named as the shadows of a dead one."""


def _dead(
    subject: Subject, rules: Sequence[Ranking | Review], firsts: Sequence[Formula], what: str, matters: Formula = TRUE
) -> Iterator[Finding]:
    """The rules that are first for no request that `matters`, with those that take their requests."""
    for i, (rule, first) in enumerate(zip(rules, firsts, strict=True)):
        if not subject.empty(first, matters):
            continue
        own = subject.reach.meets(rule)
        if subject.empty(own):
            why, remedy = "no request can meet its condition", "mend the condition, or delete the rule"
        elif not subject.empty(first):
            why, remedy = "no request that is left to it calls a lane", "delete it, or mend the rule before it"
        else:
            shadows = _shadows(subject, own, rules[:i], firsts[:i])
            names = ", ".join(f"{other.id} (line {other.line})" for other in shadows[:_NAMED])
            more = " and others" if len(shadows) > _NAMED else ""
            take = "takes" if len(shadows) == 1 else "take"
            why, remedy = f"{names}{more} {take} every request that it is meant for", "move it up"
        yield Finding(code="dead-rule", about=rule.id, line=rule.line, says=rule.says,
                      message=f"this {what} never decides anything: {why}", remedy=remedy)  # fmt: skip


def _shadows(subject: Subject, own: Formula, rules: Sequence[Rule], firsts: Sequence[Formula]) -> list[Rule]:
    """Earlier rules that between them take all of `own`, or the first few of them."""
    taking: dict[int, Formula] = {}
    while len(taking) <= _NAMED:
        cell = subject.oracle.find(both(own, Neg(either(taking.values()))))
        if cell is None:
            break
        signals = signals_of(subject.space, cell)
        taker = next(i for i, rule in enumerate(rules) if _takes(rule, signals))
        taking[taker] = firsts[taker]
    return [rules[i] for i in sorted(taking)]


def _takes(rule: Rule, signals: Signals) -> bool:
    return (rule.possibly if reading_of(rule) == "possibly" else rule.surely)(signals)


def bounded(subject: Subject) -> Iterator[Finding]:
    """Each ceiling affords some lane, each first byte leaves time for the lanes after it, each hedge has one to ask."""
    policy = subject.policy
    stated = [(f"workloads.{w.name}", w.line, w.ceiling, w.name) for w in policy.workloads.values()]
    for about, line, ceiling, workload in (*stated, ("unlabelled", 0, policy.unlabelled.ceiling, None)):
        if ceiling is not None:
            yield from _affords(subject, about, line, ceiling, workload)
    yield from _hedging(subject)
    for latency, deadline in policy.deadlines.items():
        if deadline.first_byte is None or deadline.total is None:
            continue
        of_latency = subject.space.having("latency", latency)
        lanes = [
            n
            for n in policy.lanes
            if not subject.empty(of_latency, either((subject.reach.first[n], subject.reach.fallback[n])))
        ]
        if lanes and deadline.first_byte * len(lanes) > deadline.total:
            yield Finding(
                code="deadlines", about=f"deadlines.{latency}", line=0,
                message=f"{len(lanes)} lanes may be waited for in turn, {deadline.first_byte:g} s each, but the total "
                f"is {deadline.total:g} s: the last ones never get their time",
                remedy=f"a total of {deadline.first_byte * len(lanes):g} s or more, or a shorter first_byte",
            )  # fmt: skip


def _hedging(subject: Subject) -> Iterator[Finding]:
    """A hedge asks the lane that would follow a failure, so that some request must have one."""
    first, fallback = subject.reach.first, subject.reach.fallback
    after = either(both(first[a], fallback[b]) for a, b in permutations(subject.policy.lanes, 2))
    for latency, deadline in subject.policy.deadlines.items():
        if deadline.hedge is not None and subject.empty(subject.space.having("latency", latency), after):
            yield Finding(
                code="dead-hedge", about=f"deadlines.{latency}", line=0,
                message="no such request has a second lane, so that its hedge asks nobody",
                remedy="name another lane in a fallback, or delete `hedge`",
            )  # fmt: skip


def _affords(subject: Subject, about: str, line: int, ceiling: float, workload: str | None) -> Iterator[Finding]:
    policy, reach = subject.policy, subject.reach
    of_work = subject.space.having("workload", workload)
    lanes = [name for name in policy.lanes if not subject.empty(of_work, reach.first[name])]
    if lanes and all(affordable(policy.lanes[name], Ask(), 0, ceiling)[1] is not None for name in lanes):
        yield Finding(
            code="ceiling-unmeetable", about=about, line=line, witness=subject.shown(of_work, reach.tried),
            message=f"its ceiling of {ceiling:g} {policy.currency} affords none of its lanes ({', '.join(lanes)}), not "
            "even for an empty prompt, so that every such request is refused",
            remedy="raise the ceiling, or open a cheaper lane",
        )  # fmt: skip
