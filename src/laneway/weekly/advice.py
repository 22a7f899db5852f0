"""advice: a period's counts and the policy in force in; what to change out, each with the rule by
which it is said. Pure.

Nothing here is trusted: `patch` proves, tests and replays each change before it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from laneway.policy import Policy, Rule
from laneway.repair.edits import Edit, Source
from laneway.weekly.lanes import another
from laneway.weekly.tally import Tally
from laneway.weekly.value import Advice, Review

__all__ = ["ENOUGH", "Proposal", "advised"]

ENOUGH = 200
"""So many requests must have been decided under the policy before a rule that decided none of them is named."""
_ESCALATIONS, _FRUITLESS = 20, 0.5
_OFTEN, _MOSTLY = 50, 0.5


class Proposal(NamedTuple):
    """What is advised, and the change of the policy's text that does it; none where nobody but a person can."""

    advice: Advice
    edits: tuple[Edit, ...] = ()


def advised(now: Tally, review: Review, policy: Policy) -> list[Proposal]:
    """What is to be done about a period, the most telling first."""
    source = Source(policy.text, policy.file)
    return [
        *_fruitless(now, policy, source),
        *_stronger_first(now, policy, source),
        *_unused(now, policy, source),
        Proposal(another(now, review, policy)),
    ]


def _fruitless(now: Tally, policy: Policy, source: Source) -> Iterator[Proposal]:
    """Escalations whose stronger answer was no better."""
    rule = (
        f"said where at least {_FRUITLESS:.0%} of {_ESCALATIONS} escalations or more ended in a weak answer, in one "
        "that people rejected, or in none; a patch only where that holds of all escalations together, as the gate "
        "has one rule for all"
    )
    hops: dict[tuple[str, str], Counter[str]] = {}
    for event, seen in now.events.items():
        if event.table == "yield":
            hops.setdefault((event.workload, event.lane), Counter())[event.cause] += seen.times
    every = sum(hops.values(), Counter[str]())
    node = source.at("gate", "weak")
    if _bad(every) and node is not None:
        told = f"escalation brings little: {_yields(every)}; the weak answer could end as the gate says at once"
        edit = source.replace(node, policy.gate.weak_stop)
        yield Proposal(Advice("escalation-fruitless", "gate", told, rule), (edit,))
        return
    for (workload, hop), found in sorted(hops.items()):
        if _bad(found):
            told = f"{hop} on workload {workload} brings little: {_yields(found)}"
            refused = "the gate has one rule for all workloads, and other escalations are worth their money"
            yield Proposal(Advice("escalation-fruitless", workload, told, rule, refused=refused))


def _bad(found: Counter[str]) -> bool:
    total = found.total() - found["regretted"]
    return total >= _ESCALATIONS and total - (found["good"] - found["regretted"]) >= _FRUITLESS * total


def _yields(found: Counter[str]) -> str:
    return (
        f"of {found.total() - found['regretted']} escalations {found['good']} brought a good answer, of which people "
        f"rejected {found['regretted']}, {found['weak']} another weak one and {found['none']} none"
    )


def _stronger_first(now: Tally, policy: Policy, source: Source) -> Iterator[Proposal]:
    """Work that mostly escalates, and then well: it may as well start where it ends."""
    rule = (
        f"said where {_OFTEN} requests or more of a workload, and {_MOSTLY:.0%} or more of those that one rule ranked, "
        "escalated, and most of them to a good answer"
    )
    asked, escalated, good = (Counter[tuple[str, str]]() for _ in range(3))
    for kind, times in now.kinds.items():
        asked[kind.workload, kind.rule] += times
    for event, seen in now.events.items():
        if event.table == "yield" and event.cause != "regretted":
            escalated[event.workload, event.rule] += seen.times
            good[event.workload, event.rule] += seen.times if event.cause == "good" else 0
    for (workload, id), times in sorted(escalated.items()):
        of, where = asked[workload, id], source.rule(id, "routes")
        if times < _OFTEN or times < _MOSTLY * of or 2 * good[workload, id] < times:
            continue
        well = good[workload, id]
        told = f"{times} of {of} requests of workload {workload} that {id} ranked escalated, {well} of them well"
        if where is None or workload not in policy.workloads:
            refused = (
                "it has no workload of its own, of which a rule could speak" if where else f"{id} is no rule any more"
            )
            yield Proposal(Advice("start-stronger", workload, told, rule, refused=refused))
            continue
        says = f"Work of {workload} starts at the strongest lane it may use, as most of it ended there."
        new = {"says": says, "when": {"workload": workload}, "try": "strongest"}
        yield Proposal(Advice("start-stronger", workload, told, rule), (source.insert(*where, [new]),))


def _unused(now: Tally, policy: Policy, source: Source) -> Iterator[Proposal]:
    """Rules, and waivers, that had no say in any decision under this very policy."""
    decided, cited = 0, set[str]()
    for kind, times in now.kinds.items():
        if kind.policy == policy.hash:
            decided += times
            cited |= set(kind.rules)
    if decided < ENOUGH:
        return
    rule = f"said of rules that none of {decided} decisions under this policy cites, where there are {ENOUGH} or more"
    for waiver in (w for w in policy.gate.waivers if w.id not in cited):
        told = f"the waiver of {', '.join(sorted(waiver.lanes))} by {waiver.by} let no request through"
        yield Proposal(
            Advice("waiver-unused", waiver.id, told, rule), tuple(_without_waiver(policy, source, waiver.id))
        )
    for route in (r for r in policy.routes if r.id not in cited):
        where = source.rule(route.id, "routes")
        yield Proposal(Advice("rule-unused", route.id, _idle(route), rule), (source.delete(*where),) if where else ())
    kept = (*policy.grants, *policy.limits, *policy.fallbacks, *(r for r in policy.reviews if r.release != "now"))
    for other in (r for r in kept if r.id not in cited):
        refused = "it forbids or holds, and is there for what may still come; whether it is still meant is for people"
        yield Proposal(Advice("rule-unused", other.id, _idle(other), rule, refused=refused))


def _idle(rule: Rule) -> str:
    says = f' ("{rule.says}")' if rule.says else ""
    return f"the rule {rule.id}{says} had no say in any decision"


def _without_waiver(policy: Policy, source: Source, id: str) -> Iterator[Edit]:
    at = [waiver.id for waiver in policy.gate.waivers].index(id)
    gate, node = source.at("gate"), source.at("gate", "waiver")
    if gate is None or node is None:
        return
    yield source.drop(gate, "waiver") if len(policy.gate.waivers) == 1 else source.cut(node, at)
