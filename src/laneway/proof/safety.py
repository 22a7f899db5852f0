"""safety: what must never happen, as formulas that must have no request in them.

Rules are judged as written: one that names a lane which the wall forbids to a request that meets the rule is
wrong, though the wall would catch it, as a policy that works only thanks to the filter is not understood.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from laneway.lane import Lane
from laneway.policy import Must, Rule
from laneway.proof.finding import Finding, Subject
from laneway.proof.space import TRUE, And, Formula, In, Neg, Or, Space, both, either

__all__ = ["kept_out", "meant", "monotone", "must", "wall"]


def wall(subject: Subject) -> Iterator[Finding]:
    """No rule names a lane that the wall forbids to a request which meets the rule."""
    policy, reach = subject.policy, subject.reach
    for rule, met in zip(policy.routes, reach.routed, strict=True):
        yield from _names(subject, rule, "try", rule.words, met)
    for rule, met in zip(policy.fallbacks, reach.falls, strict=True):
        yield from _names(subject, rule, "then", rule.words, both(met, reach.tried))
    if policy.gate.checks:
        gate = Rule(id="gate", says=policy.gate.says, line=policy.gate.line)
        yield from _names(subject, gate, "weak", policy.gate.weak, reach.tried)
        yield from _names(subject, gate, "judge", policy.gate.judge, reach.tried)
    for shadow in policy.shadows:
        met = both(reach.meets(shadow), reach.tried)
        yield from _names(subject, shadow, "lanes", shadow.lanes, met)
        yield from _names(subject, shadow, "judge", shadow.judge, met)


_RATHER = {
    "try": "a ranking word such as cheapest, or a `when` that leaves these requests out",
    "then": "`next`, or an earlier rule for these requests",
    "weak": "`strongest`",
    "judge": "`safest`, or another ranking word",
    "lanes": "other lanes, or a `when` that leaves these requests out",
}


def _names(subject: Subject, rule: Rule, key: str, words: tuple[str, ...], met: Formula) -> Iterator[Finding]:
    reach = subject.reach
    lanes = sorted(reach.named(words, outright=True), key=subject.policy.rank.__getitem__)
    if subject.empty(met, either(Neg(reach.allowed[lane]) for lane in lanes)):
        return
    for lane in lanes:
        seen = subject.shown(met, Neg(reach.allowed[lane]))
        if seen is not None:
            word = next(word for word in words if lane in reach.named((word,), outright=True))
            named = f"`{word}`" if word == lane else f"`{word}`, which holds {lane},"
            yield Finding(
                code="names-forbidden-lane", about=rule.id, line=rule.line, says=rule.says, witness=seen, lane=lane,
                message=f"`{key}` names {named} for {seen.signals.sensitivity} requests, which the wall keeps from "
                f"{lane}",
                remedy=f"write {_RATHER[key]}",
            )  # fmt: skip
            return


def must(subject: Subject) -> Iterator[Finding]:
    """What the policy says must never happen cannot happen, on any hop and in any outage."""
    for rule in subject.policy.must:
        when = subject.space.formula(rule.when, "possibly")
        if subject.empty(when):
            yield Finding(
                code="must-vacuous", about=rule.id, line=rule.line, says=rule.says,
                message="no request can meet its condition, so that it promises nothing",
                remedy="mend the condition, or leave the property out",
            )  # fmt: skip
            continue
        yield from _broken(subject, rule, when)


def _broken(subject: Subject, rule: Must, when: Formula) -> Iterator[Finding]:
    if rule.cost_over is not None:
        when = both(when, Neg(_within(subject.space, rule.cost_over)))
    for lane in kept_out(subject, rule):
        seen = subject.shown(when, subject.reach.reached[lane.name], lane=lane.name)
        if seen is not None:
            cost = "" if rule.cost_over is None else f" and may cost more than {rule.cost_over:g}"
            yield Finding(
                code="must-broken", about=rule.id, line=rule.line, says=rule.says, witness=seen, lane=lane.name,
                message=f"a request of class {seen.signals.sensitivity} can reach {lane.name}{cost}",
                remedy="give the request a lower `ceiling` (a workload's, or `unlabelled`'s)" if cost else
                "narrow the wall for these requests (`when`, `zones`), or the rule that leads there",
            )  # fmt: skip
            return


def kept_out(subject: Subject, rule: Must) -> list[Lane]:
    """The lanes that the property keeps its requests out of, weakest first."""
    lanes = [lane for name in subject.policy.strength if meant(subject, rule, lane := subject.policy.lanes[name])]
    if rule.cost_over is None:
        return lanes
    calls = 4 if subject.policy.gate.judge else 2  # an answer and its retry; two answers may be judged
    calls += sum(1 + 2 * len(subject.policy.lanes) * bool(x.judge) for x in subject.policy.shadows)  # both orders
    worst = calls * sum(map(_most, subject.policy.lanes.values()))
    return [lane for lane in lanes if worst > rule.cost_over and _most(lane) > 0]


def _within(space: Space, limit: float) -> Formula:
    return space.cell_in("ceiling", lambda value: isinstance(value, float) and value <= limit)


def _most(lane: Lane) -> float:
    """The most that one call of the lane can cost where no ceiling holds it."""
    price, limits = lane.price, lane.limits
    if price is not None and price.input == price.output == 0:
        return 0.0
    if price is None or limits.context is None or limits.output is None:
        return float("inf")
    return price.cost(limits.context, limits.output)


def meant(subject: Subject, rule: Must, lane: Lane) -> bool:
    """Whether the property speaks of the lane; what is unknown of a lane counts against it."""
    known = lane.known(subject.today, subject.policy.fresh_days)
    facts: dict[str, frozenset[str] | None] = {
        "kind": frozenset({lane.kind}), "name": frozenset({lane.name}), "owner": lane.owner,
        "runs": lane.runs if known else None,
        "stores": (frozenset() if lane.retention == 0 else lane.stores) if known else None,
    }  # fmt: skip

    def meets(fact: str, values: frozenset[str], negated: bool) -> bool:
        has = facts[fact]
        return has is None or (not has <= values if negated else not has.isdisjoint(values))

    return all(meets(*test) for test in rule.lane)


def monotone(subject: Subject) -> Iterator[Finding]:
    """Raising the class never adds a lane: a limit may close more to a higher class, never less."""
    classes = subject.policy.classes
    for lane, allowed in subject.reach.allowed.items():
        for lower, higher in itertools.pairwise(classes):
            below, above = _at(subject.space, allowed, lower), _at(subject.space, allowed, higher)
            of_higher = subject.space.having("sensitivity", higher)
            seen = subject.shown(of_higher, above, Neg(below))
            if seen is not None:
                lesser = msgspec.structs.replace(seen.signals, sensitivity=lower)
                closing = (r for r in subject.policy.limits if not subject.reach.admits(r, lane))
                limit = next(r for r in closing if r.possibly(lesser))
                yield Finding(
                    code="raising-adds-lane", about=limit.id, line=limit.line, says=limit.says, witness=seen, lane=lane,
                    message=f"{higher} requests may use {lane} where {lower} ones may not",
                    remedy="let the limit close the lane to every higher class too (`sensitivity: {at_least: ...}`)",
                )  # fmt: skip
                return


def _at(space: Space, formula: Formula, data_class: str) -> Formula:
    """`formula` for requests as they would be if they were of `data_class`."""
    fact = space.index["sensitivity"]
    bit = 1 << space.dimensions[fact].values.index(data_class)

    def at(part: Formula) -> Formula:
        if isinstance(part, In):
            return part if part.fact != fact else TRUE if part.cells & bit else either(())
        if isinstance(part, Neg):
            return Neg(at(part.part))
        parts = [at(inner) for inner in part.parts]
        return both(*parts) if isinstance(part, And) else Or(tuple(parts))

    return at(formula)
