"""decide: policy, ask, signals and facts in, a Decision out. Pure and total: no I/O, no clock, no chance.

Two passes. The wall says which lanes the data class may use, cumulatively: a class may use what it and
every less sensitive class may use, so that raising the class never adds a lane. Then the routes rank what
is left. Fallback and escalation pick only from what the wall, the evidence rule and the ceiling left.
"""

from __future__ import annotations

import datetime
from collections.abc import Container, Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from laneway.decision import Decision, Hold, Reason, Refuse, Route
from laneway.facts import Facts
from laneway.lane import Lane
from laneway.policy import Deadline, Grant, Limit, Policy, Ranking, Review, Waiver
from laneway.signals import Ask, Signals

__all__ = ["DEFAULT_OUTPUT", "MIN_OUTPUT", "Wall", "affordable", "decide", "walled"]

DEFAULT_OUTPUT = 1024
"""Output tokens that a cost estimate assumes where neither client nor lane says."""
MIN_OUTPUT = 64
"""A ceiling that affords fewer output tokens than this (and than asked for) closes the lane."""


def decide(policy: Policy, ask: Ask, signals: Signals, facts: Facts) -> Decision:
    """The policy's answer for one request. Never raises for values that the loader and classify made."""
    wall = walled(policy, facts.today).get(signals.sensitivity) or _nothing(policy, signals.sensitivity)
    open_, rejected, caps = _usable(policy, ask, signals, facts, wall)
    review = _approval(policy, signals)
    route = _first_match(policy.routes, signals)
    if route is None:
        return Refuse(reasons=(_NO_ROUTE,), rejected=(*rejected, *_left_out(open_, (), _NO_ROUTE)))
    if ask.pin:
        ranked = [ask.pin] if route.words and ask.pin in open_ else []
    else:
        ranked = _rank(policy, route.words, open_, signals, facts)
    if not ranked:
        nothing = _because(route, signals, "no-lane", f"no lane is left for this request ({_words(route)})")
        return _no_lane(route, nothing, wall, (*rejected, *_left_out(open_, (), nothing)))
    plan = _Plan(policy, ask, signals, facts, open_, ranked)
    chosen = _because(route, signals, "route", f"{ranked[0]} is tried first ({_words(route)})", ranked[0])
    reasons = [chosen]
    lanes, on_failure = plan.fallback(reasons)
    escalate = plan.escalation(lanes, reasons)
    planned = dict.fromkeys((*lanes, *escalate))
    for lane in planned:
        reasons.extend(open_[lane])
    rejected += _left_out(open_, planned, chosen)
    if review is not None:
        kept = (reason for reason in reasons if reason.code not in ("fallback", "weak"))
        return Hold(release="after-approval", reasons=(review, *kept), rejected=tuple(rejected))
    first, deadline = policy.lanes[lanes[0]], policy.deadlines.get(signals.latency, Deadline())
    output = caps.get(first.name) or ask.max_output or first.limits.output or DEFAULT_OUTPUT
    return Route(
        lanes=tuple(lanes),
        escalate=tuple(escalate),
        on_failure=on_failure,
        on_weak=policy.gate.weak_stop if policy.gate.checks else None,
        release="now",
        evidence="waived",
        first_byte=deadline.first_byte,
        total=deadline.total,
        caps=caps,
        estimated_cost=first.cost(signals.tokens, output),
        reasons=tuple(reasons),
        rejected=tuple(rejected),
    )


class Wall(NamedTuple):
    """One class's half of the wall on one day: a reason for every lane, admitted or not."""

    admitted: dict[str, Reason]
    rejected: dict[str, Reason]


@lru_cache(maxsize=64)
def walled(policy: Policy, today: datetime.date) -> dict[str, Wall]:
    """The wall's table by class, as it stands on `today`."""
    table: dict[str, Wall] = {}
    below: Wall | None = None
    for data_class in policy.classes:
        below = table[data_class] = _row(policy, data_class, below, today)
    for lane in policy.lanes:
        sides = [row.admitted if lane in row.admitted else row.rejected for row in table.values()]
        if len({(side[lane].code, side[lane].rule) for side in sides}) == 1:
            for side in sides:  # the same for every class: the request's class is not why
                side[lane] = msgspec.structs.replace(side[lane], signal="")
    return table


def _row(policy: Policy, data_class: str, below: Wall | None, today: datetime.date) -> Wall:
    admitted: dict[str, Reason] = {}
    rejected: dict[str, Reason] = {}
    signal = f"sensitivity={data_class}"
    grants = [grant for grant in policy.grants if data_class in grant.classes]
    for lane in policy.lanes.values():
        grant, zone, lacks = _granting(policy, grants, lane, today)
        if zone is None:
            rule, says = (grant.id, grant.says) if grant else ("wall", "")
            effect = f"{data_class} data may not use {lane.name}: {lacks}"
            rejected[lane.name] = Reason("wall", rule, signal, effect, says, lane.name)
        elif below is not None and lane.name in below.rejected:
            lower = below.rejected[lane.name]
            rejected[lane.name] = Reason("wall", lower.rule, signal, lower.effect, lower.says, lane.name)
        else:
            assert grant is not None
            effect = f"{data_class} data may use {lane.name}, which is in `{zone}`"
            admitted[lane.name] = Reason("wall-open", grant.id, signal, effect, grant.says, lane.name)
    return Wall(admitted, rejected)


def _granting(
    policy: Policy, grants: list[Grant], lane: Lane, today: datetime.date
) -> tuple[Grant | None, str | None, str]:
    """The grant and zone that admit `lane`; else the first grant, None, and what the lane lacks."""
    lacks = []
    for grant in grants:
        for zone in grant.zones:
            missing = policy.zones[zone].lacks(lane, today, policy.fresh_days)
            if missing is None:
                return grant, zone, ""
            lacks.append(f"not in `{zone}`, as {missing}")
    first = grants[0] if grants else None
    return (
        first,
        None,
        "; ".join(lacks) or ("no zone is open to it" if first else "the wall does not list it"),
    )


def _nothing(policy: Policy, data_class: str) -> Wall:
    effect = f"no such class `{data_class}`"
    return Wall({}, {n: Reason("wall", "wall", f"sensitivity={data_class}", effect, "", n) for n in policy.lanes})


_NO_ROUTE = Reason("no-route", "routes", "", "no route matches this request")


def _usable(
    policy: Policy, ask: Ask, signals: Signals, facts: Facts, wall: Wall
) -> tuple[dict[str, tuple[Reason, ...]], list[Reason], dict[str, int]]:
    """What the wall, its limits, the pin, closures, needs, evidence and the ceiling leave open."""
    open_: dict[str, tuple[Reason, ...]] = {}
    rejected = list(wall.rejected.values())
    caps: dict[str, int] = {}
    limits = [limit for limit in policy.limits if limit.when.holds(signals) is not False] if policy.limits else ()
    for name, admitted in wall.admitted.items():
        lane = policy.lanes[name]
        shut = (
            (_limited(policy, limits, lane, signals, facts) if limits else None)
            or (Reason("pinned", "request", "model", f"the client asked for {ask.pin} alone", "", name)
                if ask.pin and ask.pin != name else None)
            or (Reason("closed", "lanes", "", facts.closed[name], "", name) if name in facts.closed else None)
            or _incapable(lane, signals)
        )  # fmt: skip
        waiver = None if shut else _waiver(policy, name, signals.workload, facts.today)
        if waiver is None:
            rejected.append(shut or _unproven(policy, name, facts.today))
            continue
        if signals.ceiling is not None or ask.max_output is not None or lane.limits.output is not None:
            cap, shut = affordable(lane, ask, signals.tokens, signals.ceiling)
            if shut is not None:
                rejected.append(shut)
                continue
            if cap is not None:
                caps[name] = cap
        open_[name] = (admitted, _waived(waiver, name))
    return open_, rejected, caps


def _limited(
    policy: Policy, limits: list[Limit] | tuple[()], lane: Lane, signals: Signals, facts: Facts
) -> Reason | None:
    for limit in limits:
        lacks = [policy.zones[zone].lacks(lane, facts.today, policy.fresh_days) for zone in limit.zones]
        if all(lacks):
            why = "; ".join(f"not in `{z}`, as {why}" for z, why in zip(limit.zones, lacks, strict=True))
            return _because(
                limit, signals, "wall-limit", f"{lane.name} is closed: {why or 'no zone is open'}", lane.name
            )
    return None


def _incapable(lane: Lane, signals: Signals) -> Reason | None:
    if lane.supports is not None:
        for need in signals.needs:
            if need not in lane.supports:
                effect = f"{lane.name} does not support {need}"
                return Reason("needs", f"lanes.{lane.name}", f"needs={need}", effect, "", lane.name)
    if lane.limits.context is not None and signals.tokens > lane.limits.context:
        effect = f"about {signals.tokens} input tokens do not fit {lane.name}'s {lane.limits.context}"
        return Reason("context", f"lanes.{lane.name}", f"tokens={signals.tokens}", effect, "", lane.name)
    return None


def _waiver(policy: Policy, lane: str, workload: str | None, today: datetime.date) -> Waiver | None:
    for waiver in policy.gate.waivers:
        concerned = waiver.workloads is None or workload in waiver.workloads
        if concerned and lane in waiver.lanes and today <= waiver.until:
            return waiver
    return None


@lru_cache(maxsize=1024)
def _waived(waiver: Waiver, lane: str) -> Reason:
    effect = f"{lane} serves without evidence until {waiver.until}, waived by {waiver.by}"
    return Reason("waived", waiver.id, "", effect, waiver.says, lane)


def _unproven(policy: Policy, lane: str, today: datetime.date) -> Reason:
    ended = [w for w in policy.gate.waivers if lane in w.lanes and w.until < today]
    effect = f"{lane} has shown no evidence for this workload and " + (
        f"its waiver ended on {max(w.until for w in ended)}" if ended else "nobody has waived it"
    )
    return Reason("no-evidence", "gate.evidence", "", effect, "", lane)


def affordable(lane: Lane, ask: Ask, tokens: int, money: float | None) -> tuple[int | None, Reason | None]:
    """The cap on `lane`'s output tokens that `money` affords, None for none; or why it is too little."""
    asked = min(ask.max_output or _UNBOUNDED, lane.limits.output or _UNBOUNDED)
    cap = asked
    if money is not None:
        signal, rule = f"ceiling={money:g}", f"lanes.{lane.name}"
        if lane.price is None:
            effect = f"{lane.name} has no stated price, so it cannot be held under a ceiling"
            return None, Reason("price-unknown", rule, signal, effect, "", lane.name)
        left = max(money, 0.0) - lane.price.cost(tokens, 0)
        if lane.price.output > 0:
            cap = min(asked, int(left * 1_000_000 / lane.price.output))
        if left < 0 or cap < min(asked, MIN_OUTPUT):
            effect = f"{lane.name} could cost more than {money:g} for about {tokens} input tokens"
            return None, Reason("ceiling", rule, signal, effect, "", lane.name)
    return (cap if cap < _UNBOUNDED else None), None


_UNBOUNDED = 1 << 60


def _approval(policy: Policy, signals: Signals) -> Reason | None:
    for review in policy.reviews:
        if review.release == "after-approval" and review.when.holds(signals) is not False:
            return _because(review, signals, "approval-required", "a person must approve before release")
    return None


def _first_match(rules: tuple[Ranking, ...], signals: Signals) -> Ranking | None:
    for rule in rules:
        if rule.when.holds(signals):
            return rule
    return None


def _because(rule: Ranking | Review | Limit, signals: Signals, code: str, effect: str, lane: str = "") -> Reason:
    return Reason(code, rule.id, ", ".join(rule.when.because(signals)), effect, rule.says, lane)


def _words(rule: Ranking) -> str:
    return ", then ".join(rule.words) or rule.stop


def _no_lane(route: Ranking, nothing: Reason, wall: Wall, rejected: tuple[Reason, ...]) -> Decision:
    reasons = (nothing, *(r for r in rejected if r.lane in wall.rejected))[:2]
    if route.stop == "hold":
        return Hold(release="now", reasons=reasons, rejected=rejected)
    return Refuse(reasons=reasons, rejected=rejected)


def _left_out(open_: Iterable[str], planned: Container[str], by: Reason) -> list[Reason]:
    """Why each open lane that the plan does not use is not in it: the rule that ranked did not name it."""
    return [
        Reason(
            "not-in-plan",
            by.rule,
            by.signal,
            f"{name} is allowed, but the plan does not name it",
            by.says,
            name,
        )
        for name in open_
        if name not in planned
    ]


def _rank(
    policy: Policy,
    words: tuple[str, ...],
    open_: dict[str, tuple[Reason, ...]],
    signals: Signals,
    facts: Facts,
) -> list[str]:
    """Open lanes in the order of `words`, each once. A zone's or `next`'s lanes come cheapest first."""
    ranked: list[str] = []
    for word in words:
        if word in policy.lanes:
            group = [word] if word in open_ else []
        else:
            group = _order(policy, word, list(open_), signals, facts)
        ranked += [name for name in group if name not in ranked]
    return ranked


def _order(policy: Policy, word: str, lanes: list[str], signals: Signals, facts: Facts) -> list[str]:
    if word in policy.zones:
        zone = policy.zones[word]
        lanes = [n for n in lanes if zone.lacks(policy.lanes[n], facts.today, policy.fresh_days) is None]
    if len(lanes) < 2:
        return lanes
    strength = policy.strength.index
    if word == "strongest":
        return sorted(lanes, key=strength, reverse=True)
    if word == "safest":
        wall = walled(policy, facts.today)
        return sorted(lanes, key=lambda n: (-sum(n in row.admitted for row in wall.values()), strength(n)))
    if word == "fastest":
        return sorted(lanes, key=lambda n: (facts.p95.get(n, float("inf")), strength(n)))
    return sorted(lanes, key=lambda n: (_cost(policy.lanes[n], signals.tokens), strength(n)))


def _cost(lane: Lane, tokens: int) -> float:
    return float("inf") if lane.price is None else lane.price.cost(tokens, DEFAULT_OUTPUT)


class _Plan:
    """One request's plan while it is made: what follows a failure, what follows a weak answer."""

    def __init__(
        self, policy: Policy, ask: Ask, signals: Signals, facts: Facts,
        open_: dict[str, tuple[Reason, ...]], ranked: list[str],
    ) -> None:  # fmt: skip
        self.policy, self.ask, self.signals, self.facts = policy, ask, signals, facts
        self.open_, self.ranked = open_, ranked

    def _expand(self, words: tuple[str, ...]) -> list[str]:
        """`words` as lanes; `next` goes on along the route's ranking, then by strength upwards."""
        names: list[str] = []
        for word in words:
            if word == "next":
                names += self.ranked + [n for n in self.policy.strength if n in self.open_]
            else:
                names += _rank(self.policy, (word,), self.open_, self.signals, self.facts)
        return list(dict.fromkeys(names))

    def fallback(self, reasons: list[Reason]) -> tuple[list[str], Literal["hold", "refuse"]]:
        """The lanes in order, the first included, and what happens when all have failed."""
        first = self.ranked[0]
        rule = None if self.ask.pin else _first_match(self.policy.fallbacks, self.signals)
        if rule is None:
            return [first], "refuse"
        lanes = [first, *(name for name in self._expand(rule.words) if name != first)]
        effect = f"if {first} fails: {', then '.join((*lanes[1:], rule.stop))}"
        reasons.append(_because(rule, self.signals, "fallback", effect))
        return lanes, rule.stop

    def escalation(self, lanes: list[str], reasons: list[Reason]) -> list[str]:
        """The lanes that may redo a weak answer: stronger than at least one lane of the plan."""
        gate, rank = self.policy.gate, self.policy.strength.index
        if self.ask.pin or not gate.checks:
            return []
        weakest = min(rank(name) for name in lanes)
        top = [name for word in gate.weak for name in self._expand((word,))[: 1 if word == "strongest" else None]]
        stronger = [name for name in dict.fromkeys(top) if rank(name) > weakest]
        effect = f"if the answer is weak: {', then '.join((*stronger[:1], gate.weak_stop))}"
        reasons.append(Reason("weak", "gate", "", effect, gate.says))
        return stronger
