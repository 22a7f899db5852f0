"""reach: which rule a request meets and which lanes it may reach, as formulas over the request space.

Written apart from `decide`: it reads the policy's rules again, and tests hold the two against each other.
Any lane may be down at any moment, also for want of money or of a capability, so that a lane is reached
where some outage of the others leads to it. What happens after an approval counts as reached too.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from laneway.lane import Lane
from laneway.policy import Limit, Policy, Ranking, Review, Rule
from laneway.proof.space import FALSE, TRUE, Formula, Reading, Space, both, either, negation
from laneway.wall import walled

__all__ = ["RANKINGS", "Reach", "reading_of"]

RANKINGS = frozenset({"cheapest", "safest", "strongest", "fastest", "next"})
"""Words that pick from what the wall left; a policy that uses one can never name a forbidden lane by it."""


class Reach:
    """One policy on one day over `space`. Formulas by lane name, or by the rule's place in its list."""

    def __init__(self, policy: Policy, space: Space, today: datetime.date) -> None:
        self.policy, self.space, self.today = policy, space, today
        self.routed = self._firsts(policy.routes)
        self.falls = self._firsts(policy.fallbacks)
        self.unrouted = negation(either(self.meets(rule) for rule in policy.routes))

    def meets(self, rule: Rule) -> Formula:
        """The requests that meet the rule's condition, as the rule reads what is unknown."""
        return self.space.formula(rule.when, reading_of(rule))

    def _firsts(self, rules: Sequence[Rule]) -> list[Formula]:
        """For each rule the requests whose first match it is."""
        firsts: list[Formula] = []
        before: Formula = TRUE
        for rule in rules:
            holds = self.meets(rule)
            firsts.append(both(before, holds))
            before = both(before, negation(holds))
        return firsts

    @cached_property
    def reviewed(self) -> list[Formula]:
        """For each review the requests that it decides: freed by a sure `now`, else held on suspicion."""
        return self._firsts(self.policy.reviews)

    @cached_property
    def held(self) -> Formula:
        """The requests whose answer a person must approve."""
        pairs = zip(self.policy.reviews, self.reviewed, strict=True)
        return either(first for review, first in pairs if review.release == "after-approval")

    def admits(self, limit: Limit, lane: str) -> bool:
        """Whether one of the limit's zones holds the lane."""
        return any(lane in self.members(zone) for zone in limit.zones)

    def members(self, word: str) -> frozenset[str]:
        """The lanes that a ranking's word names today."""
        policy = self.policy
        if word in policy.zones:
            zone = policy.zones[word]
            lanes = policy.lanes.values()
            return frozenset(x.name for x in lanes if zone.lacks(x, self.today, policy.fresh_days) is None)
        return frozenset({word}) if word in policy.lanes else frozenset(policy.lanes)

    def named(self, words: Iterable[str], *, outright: bool = False) -> frozenset[str]:
        """The lanes that `words` name; with `outright` not those of words that rank what is left."""
        return frozenset().union(*(self.members(w) for w in words if not (outright and w in RANKINGS)))

    @cached_property
    def allowed(self) -> dict[str, Formula]:
        """What the wall lets each lane see."""
        return {lane: both(self.granted(lane), self.unlimited(lane)) for lane in self.policy.lanes}

    def granted(self, lane: str) -> Formula:
        """The requests whose class the wall's table lets use the lane."""
        wall = walled(self.policy, self.today)
        return self.space.cell_in("sensitivity", lambda v: v in wall and lane in wall[str(v)].admitted)

    def unlimited(self, lane: str, but: Limit | None = None) -> Formula:
        """The requests for which no limit (leaving out `but`) closes the lane."""
        closing = [limit for limit in self.policy.limits if limit is not but and not self.admits(limit, lane)]
        return both(*(negation(self.space.formula(limit.when, "possibly")) for limit in closing))

    @cached_property
    def open(self) -> dict[str, Formula]:
        """What the wall, the evidence rule and the lane's own abilities let each lane see."""
        return {
            name: both(f, self._served(name), *self._able(self.policy.lanes[name])) for name, f in self.allowed.items()
        }

    def _able(self, lane: Lane) -> Iterator[Formula]:
        if lane.limits.context is not None:
            context = lane.limits.context
            yield self.space.cell_in("tokens", lambda v: isinstance(v, int | float) and v <= context)
        if lane.supports is not None:
            supports = lane.supports
            yield self.space.cell_in("needs", lambda v: isinstance(v, tuple) and supports.issuperset(v))
        if lane.price is None:
            yield self.space.cell_in("ceiling", lambda v: v is None)

    def _served(self, lane: str) -> Formula:
        """Where a waiver is in force, or evidence may open the lane, which it may on any day."""
        if lane in self.policy.gone:
            return FALSE
        measured = self.policy.measured
        waivers = [w for w in self.policy.gate.waivers if lane in w.lanes and self.today <= w.until]
        return self.space.cell_in(
            "workload", lambda v: v in measured or any(w.workloads is None or v in w.workloads for w in waivers)
        )  # fmt: skip

    @cached_property
    def first(self) -> dict[str, Formula]:
        """The requests that may try each lane first."""
        return self._by_rule(self.policy.routes, self.routed)

    @cached_property
    def tried(self) -> Formula:
        """The requests that may call any lane at all."""
        return either(self.first.values())

    @cached_property
    def fallback(self) -> dict[str, Formula]:
        """The requests that may fall back to each lane."""
        made = self._by_rule(self.policy.fallbacks, self.falls)
        return {lane: both(self.tried, formula) for lane, formula in made.items()}

    def _by_rule(self, rules: tuple[Ranking, ...], firsts: list[Formula]) -> dict[str, Formula]:
        by_words: dict[frozenset[str], list[Formula]] = {}
        for rule, met in zip(rules, firsts, strict=True):
            by_words.setdefault(self.named(rule.words), []).append(met)
        met_by = {lanes: either(met) for lanes, met in by_words.items()}
        return {
            lane: both(self.open[lane], either(met for lanes, met in met_by.items() if lane in lanes))
            for lane in self.policy.lanes
        }

    @cached_property
    def escalation(self) -> dict[str, Formula]:
        """The requests whose weak answer each lane may redo."""
        gate = self.policy.gate
        if not gate.checks:
            return dict.fromkeys(self.policy.lanes, FALSE)
        named = self.named(word for word in gate.weak if word != "strongest")
        # `strongest` is the strongest of the open lanes: a plan that begins above it never comes down to it.
        return {
            lane: both(self.open[lane], self._weaker(lane, (self.first, self.fallback)))
            if lane in named
            else both(self.open[lane], self._weaker(lane, (self.first,)))
            if "strongest" in gate.weak
            else FALSE
            for lane in self.policy.lanes
        }

    def _weaker(self, lane: str, hops: tuple[dict[str, Formula], ...]) -> Formula:
        """The requests that one of these hops takes to a lane weaker than `lane`."""
        rank = self.policy.rank
        return either(hop[other] for other in self.policy.lanes if rank[other] < rank[lane] for hop in hops)

    @cached_property
    def judge(self) -> dict[str, Formula]:
        """The requests whose answer each lane may judge."""
        named = self.named(self.policy.gate.judge)
        return {lane: both(self.tried, open_) if lane in named else FALSE for lane, open_ in self.open.items()}

    @cached_property
    def shadow(self) -> dict[str, Formula]:
        """The requests that each lane may answer unseen, or whose unseen answers it may compare.

        Evidence is not asked of a lane that answers unseen, and no outage leads there: every rule in force counts.
        """
        rules = [(rule, self.meets(rule)) for rule in self.policy.shadows if self.today <= rule.until]
        unseen = {
            name: both(f, *self._able(self.policy.lanes[name])) if name not in self.policy.gone else FALSE
            for name, f in self.allowed.items()
        }
        return {
            lane: both(self.tried, either(
                both(met, whom[lane])
                for rule, met in rules for words, whom in ((rule.lanes, unseen), (rule.judge, self.open))
                if lane in self.named(words)
            ))
            for lane in self.policy.lanes
        }  # fmt: skip

    @cached_property
    def reached(self) -> dict[str, Formula]:
        """The requests that may reach each lane on any hop."""
        hops = (self.first, self.fallback, self.escalation, self.judge, self.shadow)
        return {lane: either(hop[lane] for hop in hops) for lane in self.policy.lanes}


def reading_of(rule: Rule) -> Reading:
    """How a rule of a list reads an unknown fact: a review that holds takes it for yes, every other for no."""
    return "possibly" if isinstance(rule, Review) and rule.release == "after-approval" else "surely"
