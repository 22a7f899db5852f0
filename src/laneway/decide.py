"""decide: policy, ask, signals and facts in, a Decision out. Pure and total: no I/O, no clock, no chance.

Two passes. The wall and the evidence rule say which lanes may serve (worked out once a day for each class
and workload). Then the routes rank what is left; fallback and escalation pick only from that too. What
depends on nothing but the rules that matched and the lanes left is worked out once and kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec

from laneway.admission import admitted, halted, incapable
from laneway.decision import Decision, Hold, Reason, Refuse, Route, Stop, Unseen
from laneway.facts import Facts, Shown
from laneway.lane import Lane, plain
from laneway.policy import Deadline, Limit, Policy, Ranking, Rule
from laneway.signals import Ask, Signals
from laneway.wall import unlisted, walled

__all__ = ["DEFAULT_OUTPUT", "MIN_OUTPUT", "Reasons", "affordable", "decide"]

DEFAULT_OUTPUT = 1024
"""Output tokens that a cost estimate assumes where neither client nor lane says."""
MIN_OUTPUT = 64
"""A ceiling that affords fewer output tokens than this (and than asked for) closes the lane."""


def decide(policy: Policy, ask: Ask, signals: Signals, facts: Facts) -> Decision:
    """The policy's answer for one request. Never raises for values that the loader and classify made."""
    standing = _standing(policy, facts.today, signals.sensitivity, signals.workload, facts.evidence)
    open_, rejected, caps = _usable(standing, ask, signals, facts)
    halt = halted(signals.workload, facts, open_)
    if halt:
        return Refuse(reasons=halt[:1], rejected=(*rejected, *halt[1:]))
    route = _first_match(policy.routes, signals)
    if route is None:
        return Refuse(reasons=(_NO_ROUTE,), rejected=(*rejected, *_left_out(open_, (), _NO_ROUTE)))
    fallback = None if ask.pin else _first_match(policy.fallbacks, signals)
    judging = _judging(standing, open_, ask, signals, facts) if policy.gate.judge else ()
    plan = _plan(
        standing, open_, judging, _by_speed(open_, facts), ask.pin,
        route, route.when.because(signals), fallback, fallback.when.because(signals) if fallback else (),
    )  # fmt: skip
    if not plan.lanes:
        return _no_lane(route, plan.reasons[0], (*rejected, *plan.left_out))
    if ask.pin and plan.judge:  # a pin names who answers, so that those it leaves out may judge all the same
        rejected = tuple(reason for reason in rejected if reason.lane not in plan.judge)
    review = _approval(policy, signals)
    if review is not None and not facts.reviewers:  # nobody could ever release it
        kept = (reason for reason in plan.reasons if reason.code not in ("fallback", "weak", "judge"))
        return Hold(release="after-approval", reasons=(review, *kept), rejected=(*rejected, *plan.left_out))
    unseen = () if ask.pin or not policy.shadows else tuple(_unseen(standing, open_, ask, signals, facts))
    first, deadline = policy.lanes[plan.lanes[0]], policy.deadlines.get(signals.latency, _NO_DEADLINE)
    hedge = deadline.hedge if len(plan.lanes) > 1 else None
    output = caps.get(first.name) or ask.max_output or first.limits.output or DEFAULT_OUTPUT
    return Route(
        lanes=plan.lanes,
        escalate=plan.escalate,
        judge=plan.judge,
        on_failure=plan.on_failure,
        on_weak=policy.gate.weak_stop if policy.gate.checks else None,
        release="now" if review is None else "after-approval",
        evidence="met" if plan.lanes[0] in standing.met else "waived",
        met=standing.met,
        first_byte=deadline.first_byte,
        total=deadline.total,
        hedge=hedge,
        caps=caps,
        estimated_cost=first.cost(signals.tokens, output),
        reasons=(
            *plan.reasons,
            *(() if review is None else (msgspec.structs.replace(review, effect=_KEPT_BACK),)),
            *(() if hedge is None else (_hedged(plan.lanes, signals.latency, hedge),)),
            *(_shadowed(policy, each) for each in unseen),
        ),
        rejected=rejected + plan.left_out,
        shadow=unseen,
    )


_NO_ROUTE = Reason("no-route", "routes", "", "no route matches this request")
_NO_DEADLINE = Deadline()
_KEPT_BACK = "the answer is kept back until a person releases it"
Reasons = tuple[Reason, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Standing:
    """What holds for a class and a workload all day: the lanes that the wall and the evidence rule leave.

    `open` is cheapest first where that does not depend on the request's length (`settled`); `caps` are the
    lanes' own output limits; `context` is the shortest input limit among them. `met` are those open by evidence.
    """

    policy: Policy
    today: datetime.date
    reasons: Mapping[str, Reasons]
    rejected: Reasons
    open: tuple[str, ...]
    settled: bool
    caps: dict[str, int]
    context: float
    met: tuple[str, ...]


@lru_cache(maxsize=1024)
def _standing(
    policy: Policy, today: datetime.date, data_class: str, workload: str | None, evidence: tuple[Shown, ...]
) -> _Standing:
    wall = walled(policy, today).get(data_class) or unlisted(policy, data_class)
    shown = {one.lane: one for one in evidence}
    serving = {n: admitted(policy, n, workload, shown.get(n), today) for n in wall.admitted}
    reasons = {name: (wall.admitted[name], reason) for name, reason in serving.items() if reason.code != "no-evidence"}
    unproven = (reason for reason in serving.values() if reason.code == "no-evidence")
    lanes = [policy.lanes[name] for name in reasons]
    cheap, dear = _by_cost(policy, reasons, 0), _by_cost(policy, reasons, 1 << 40)
    return _Standing(
        policy=policy,
        today=today,
        reasons=reasons,
        rejected=(*wall.rejected.values(), *unproven),
        open=cheap,
        settled=cheap == dear,
        caps={lane.name: lane.limits.output for lane in lanes if lane.limits.output is not None},
        context=min((lane.limits.context for lane in lanes if lane.limits.context is not None), default=float("inf")),
        met=tuple(name for name, reason in serving.items() if reason.code == "evidence-met"),
    )


def _by_cost(policy: Policy, names: Iterable[str], tokens: int) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (_cost(policy.lanes[name], tokens), policy.rank[name])))


def _cost(lane: Lane, tokens: int) -> float:
    return float("inf") if lane.price is None else lane.price.cost(tokens, DEFAULT_OUTPUT)


def _by_speed(open_: tuple[str, ...], facts: Facts) -> tuple[str, ...] | None:
    return tuple(sorted(open_, key=lambda name: facts.p95.get(name, float("inf")))) if facts.p95 else None


def _usable(
    standing: _Standing, ask: Ask, signals: Signals, facts: Facts
) -> tuple[tuple[str, ...], Reasons, dict[str, int]]:
    """What limits, the pin, closures, needs and the ceiling leave open, cheapest first; and the output caps."""
    policy = standing.policy
    plain = not (ask.pin or facts.closed or signals.needs or policy.limits or signals.tokens > standing.context)
    unbounded = signals.ceiling is None and ask.max_output is None
    open_ = standing.open if standing.settled else _by_cost(policy, standing.open, signals.tokens)
    if plain and unbounded:
        return open_, standing.rejected, standing.caps.copy()
    limits = [limit for limit in policy.limits if limit.possibly(signals)]
    rejected, caps, left = list(standing.rejected), dict[str, int](), list[str]()
    for name in open_:
        lane = policy.lanes[name]
        shut = None if plain else _shut(standing, limits, lane, ask, signals, facts)
        if shut is None:
            cap, shut = affordable(lane, ask, signals.tokens, signals.ceiling)
            if cap is not None:
                caps[name] = cap
        if shut is None:
            left.append(name)
        else:
            rejected.append(shut)
    return tuple(left), tuple(rejected), caps


def _judging(standing: _Standing, open_: tuple[str, ...], ask: Ask, signals: Signals, facts: Facts) -> tuple[str, ...]:
    """The lanes that may judge: those left open, and with a pin, which names who answers, those it left out."""
    return _usable(standing, Ask(None, ask.max_output), signals, facts)[0] if ask.pin else open_


def _unseen(standing: _Standing, open_: tuple[str, ...], ask: Ask, signals: Signals, facts: Facts) -> Iterable[Unseen]:
    """Who may answer unseen, by each rule in force: what the wall, its limits and the lanes' own abilities leave.

    The evidence rule is not asked for a lane that answers, as a shadow is how a lane gets its first; it is for one
    that compares, so that it is one of `open_`.
    """
    policy, order = standing.policy, _Order(standing, open_, _by_speed(open_, facts))
    rules = [rule for rule in policy.shadows if facts.today <= rule.until and rule.surely(signals)]
    if not rules:
        return
    row, limits = walled(policy, facts.today)[signals.sensitivity], [x for x in policy.limits if x.possibly(signals)]
    left = tuple(
        name for name in row.admitted
        if name not in policy.gone and _shut(standing, limits, policy.lanes[name], ask, signals, facts) is None
        and affordable(policy.lanes[name], ask, signals.tokens, signals.ceiling)[1] is None
    )  # fmt: skip
    for rule in rules:
        lanes = _Order(standing, left, None).of(rule.lanes)
        if lanes:
            yield Unseen(rule.id, lanes, order.of(rule.judge))


def _shadowed(policy: Policy, unseen: Unseen) -> Reason:
    rule = next(rule for rule in policy.shadows if rule.id == unseen.rule)
    effect = f"a share of {plain(rule.share)} is also answered unseen by {', '.join(unseen.lanes)}"
    return Reason("shadow", rule.id, "", effect, rule.says)


def _shut(
    standing: _Standing, limits: list[Limit], lane: Lane, ask: Ask, signals: Signals, facts: Facts
) -> Reason | None:
    """Why `lane` is shut to this request, if it is: the first cause counts."""
    for limit in limits:
        limited = _limited(standing, limit, lane, signals)
        if limited is not None:
            return limited
    if ask.pin and ask.pin != lane.name:
        effect = f"{lane.name} is left out, as the client asked for lane/{ask.pin} alone"
        return Reason("pinned", "request", "model", effect, "", lane.name)
    if lane.name in facts.closed:
        return Reason("closed", "lanes", "", facts.closed[lane.name], "", lane.name)
    return incapable(lane, signals)


def _limited(standing: _Standing, limit: Limit, lane: Lane, signals: Signals) -> Reason | None:
    policy = standing.policy
    lacks = [policy.zones[zone].lacks(lane, standing.today, policy.fresh_days) for zone in limit.zones]
    if not all(lacks):
        return None
    why = "; ".join(f"not in `{z}`, as {why}" for z, why in zip(limit.zones, lacks, strict=True)) or "no zone is open"
    return _reason("wall-limit", limit, limit.when.because(signals), f"{lane.name} is closed: {why}", lane.name)


def affordable(lane: Lane, ask: Ask, tokens: int, money: float | None) -> tuple[int | None, Reason | None]:
    """The cap on `lane`'s output tokens that `money` affords, None for none; or why it is too little."""
    cap = asked = min(ask.max_output or _UNBOUNDED, lane.limits.output or _UNBOUNDED)
    if money is not None:
        price = lane.price
        if price is None:
            effect = f"{lane.name} has no stated price, so it cannot be held under a ceiling"
            return None, Reason("price-unknown", f"lanes.{lane.name}", f"ceiling={plain(money)}", effect, "", lane.name)
        left = max(money, 0.0) - price.cost(tokens, 0)
        if price.output > 0:
            cap = min(asked, int(left * 1_000_000 / price.output))
        if left < 0 or cap < min(asked, MIN_OUTPUT):
            effect = f"{lane.name} could cost more than {plain(money)} for about {tokens} input tokens"
            return None, Reason("ceiling", f"lanes.{lane.name}", f"ceiling={plain(money)}", effect, "", lane.name)
    return (None if cap == _UNBOUNDED else cap), None


_UNBOUNDED = 1 << 60


def _approval(policy: Policy, signals: Signals) -> Reason | None:
    """The first review that matches decides; one that frees a request must be sure of it."""
    for review in policy.reviews:
        if review.release == "now":
            if review.surely(signals):
                return None
        elif review.possibly(signals):
            because = review.when.because(signals)
            return _reason("approval-required", review, because, "a person must approve before any lane is called")
    return None


def _first_match(rules: tuple[Ranking, ...], signals: Signals) -> Ranking | None:
    for rule in rules:
        if rule.surely(signals):
            return rule
    return None


def _reason(code: str, rule: Rule, because: tuple[str, ...], effect: str, lane: str = "") -> Reason:
    return Reason(code, rule.id, ", ".join(because), effect, rule.says, lane)


def _no_lane(route: Ranking, nothing: Reason, rejected: Reasons) -> Decision:
    reasons = (nothing, *(r for r in rejected if r.code == "wall"))[:2]
    if route.stop == "hold":
        return Hold(release="now", reasons=reasons, rejected=rejected)
    return Refuse(reasons=reasons, rejected=rejected)


def _hedged(lanes: tuple[str, ...], latency: str, hedge: float) -> Reason:
    """The second lane is the one that would follow a failure: a hedge reaches nothing that an outage would not."""
    effect = f"if {lanes[0]} has not begun to answer after {hedge:g} s: {lanes[1]} too, and the first to answer counts"
    return Reason("hedge", f"deadlines.{latency}", f"latency={latency}", effect)


def _left_out(open_: Iterable[str], planned: Container[str], by: Reason) -> Reasons:
    """Why each open lane that the plan does not use is not in it: the rule that ranked did not name it."""
    return tuple(
        Reason("not-in-plan", by.rule, by.signal, f"{name} is allowed, but the plan does not name it", by.says, name)
        for name in open_
        if name not in planned
    )


class _Plan(NamedTuple):
    """What is tried in which order and what follows, with the reasons; no lanes where none is left."""

    lanes: tuple[str, ...]
    escalate: tuple[str, ...]
    judge: tuple[str, ...]
    on_failure: Stop
    reasons: Reasons
    left_out: Reasons


@lru_cache(maxsize=8192)
def _plan(
    standing: _Standing, open_: tuple[str, ...], judging: tuple[str, ...], fastest: tuple[str, ...] | None,
    pin: str | None, route: Ranking, because: tuple[str, ...], fallback: Ranking | None,
    fallback_because: tuple[str, ...],
) -> _Plan:  # fmt: skip
    """The plan over the lanes left open (cheapest first), by the route and the fallback that matched."""
    order = _Order(standing, open_, fastest)
    words = ", then ".join(route.words) or route.stop
    ranked = order.of(route.words)
    if pin:  # a pin picks from what the route names and adds nothing to it
        ranked = tuple(name for name in ranked if name == pin)
    if not ranked:
        wanted = f"lane/{pin}, which the client asked for alone, is not left" if pin else f"no lane is left ({words})"
        nothing = _reason("no-lane", route, because, wanted)
        return _Plan((), (), (), "refuse", (nothing,), _left_out(open_, (), nothing))
    first = ranked[0]
    chosen = _reason("route", route, because, f"{first} is tried first ({words})", first)
    on_failure: Stop = "refuse" if fallback is None else fallback.stop
    after = () if fallback is None else order.of(fallback.words, ranked)
    lanes = tuple(dict.fromkeys((first, *after)))
    effect = f"if {first} fails: {', then '.join((*lanes[1:], on_failure))}"
    reasons = [chosen, _fallback_reason(fallback, fallback_because, pin, effect)]
    gate = standing.policy.gate
    escalate = () if pin else _escalation(standing.policy, order, ranked, lanes)
    if gate.checks and not pin:
        effect = f"if the answer is weak: {', then '.join((*escalate[:1], gate.weak_stop))}"
        reasons.append(Reason("weak", "gate", "", effect, gate.says))
    judge = _Order(standing, judging, None if pin else fastest).of(gate.judge)
    if gate.judge:
        effect = f"an answer is judged by {', else '.join(judge) or 'nobody, as no lane is left'}"
        reasons.append(Reason("judge", "gate", "", effect, gate.says))
    planned = dict.fromkeys((*lanes, *escalate, *judge))
    reasons += [reason for name in planned for reason in standing.reasons[name]]
    return _Plan(lanes, escalate, judge, on_failure, tuple(reasons), _left_out(open_, planned, chosen))


def _fallback_reason(fallback: Ranking | None, because: tuple[str, ...], pin: str | None, effect: str) -> Reason:
    if pin:
        return Reason("fallback", "request", "model", f"{effect}, as the client asked for this lane alone")
    if fallback is None:
        return Reason("fallback", "fallbacks", "", f"{effect}, as no fallback rule applies")
    return _reason("fallback", fallback, because, effect)


def _escalation(policy: Policy, order: _Order, ranked: tuple[str, ...], lanes: tuple[str, ...]) -> tuple[str, ...]:
    """The lanes that may redo a weak answer, in order: those stronger than the weakest lane of the plan."""
    if not policy.gate.checks:
        return ()
    weakest = min(policy.rank[name] for name in lanes)
    named = (order.of((word,), ranked)[: 1 if word == "strongest" else None] for word in policy.gate.weak)
    return tuple(dict.fromkeys(name for names in named for name in names if policy.rank[name] > weakest))


class _Order(NamedTuple):
    """The open lanes, cheapest first, and the orders that ranking words give them."""

    standing: _Standing
    open: tuple[str, ...]
    fastest: tuple[str, ...] | None

    def of(self, words: tuple[str, ...], ranked: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Open lanes in the order of `words`, each once; `next` goes on along `ranked`, then by strength."""
        named = (name for word in words for name in self._named(word, ranked))
        return tuple(dict.fromkeys(named))

    def _named(self, word: str, ranked: tuple[str, ...]) -> Iterable[str]:
        policy, today = self.standing.policy, self.standing.today
        if word in policy.lanes:
            return (word,) if word in self.open else ()
        if word in policy.zones:
            zone = policy.zones[word]
            return (n for n in self.open if zone.lacks(policy.lanes[n], today, policy.fresh_days) is None)
        rank = policy.rank.__getitem__
        if word == "strongest":
            return sorted(self.open, key=rank, reverse=True)
        if word == "safest":
            wall = walled(policy, today).values()
            return sorted(self.open, key=lambda n: (-sum(n in row.admitted for row in wall), rank(n)))
        if word == "fastest":
            return self.fastest or sorted(self.open, key=rank)
        if word == "next" and ranked:
            return (*ranked, *sorted(self.open, key=rank))
        return self.open
