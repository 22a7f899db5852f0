"""order: which lane goes before which, as formulas, for one policy over the requests that clients state.

`Reach` says which lanes may be tried; this says in which order. Two requests with the same lanes in the same
order, where any may be down, are decided alike. Written apart from `decide`, as `Reach` is.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Container, Iterator
from functools import cached_property

from laneway.diff.seen import Seen
from laneway.policy import Policy, Ranking
from laneway.proof.reach import Reach
from laneway.proof.space import FALSE, TRUE, Formula, Space, both, cheapest, either, negation
from laneway.proof.stated import Value
from laneway.wall import walled

__all__ = ["Order", "Pair", "Words"]

Words = tuple[str, ...]
Pair = tuple[str, str]


class Order:
    """One policy on a day: what decides the order of the lanes that its reach allows."""

    def __init__(self, policy: Policy, space: Space, today: datetime.date) -> None:
        self.policy, self.space, self.today = policy, Seen(space, policy), today
        self.reach = Reach(policy, self.space, today)
        self.lengths = space.dimensions[space.index["tokens"]].values
        self._routes = _by_words(policy.routes, self.reach.routed)
        self._falls = _by_words(policy.fallbacks, self.reach.falls)
        wall = walled(policy, today).values()
        self._classes = {name: sum(name in row.admitted for row in wall) for name in policy.lanes}
        self._before: dict[Pair, Formula] = {}
        self._after: dict[Pair, Formula] = {}
        self._next: dict[Pair, Formula] = {}
        self._known: dict[tuple[str, str, str], Formula] = {}
        self._ranked: dict[tuple[str, Value], Words] = {}

    @cached_property
    def stops(self) -> Formula:
        """The requests that a person must see where no lane is left for them."""
        pairs = zip(self.policy.routes, self.reach.routed, strict=True)
        return either(met for rule, met in pairs if rule.stop == "hold")

    @cached_property
    def fails(self) -> Formula:
        """The requests that a person must see where every lane of theirs failed."""
        pairs = zip(self.policy.fallbacks, self.reach.falls, strict=True)
        return either(met for rule, met in pairs if rule.stop == "hold")

    def hedged(self, seconds: float | None) -> Formula:
        """The requests that ask a second lane after so long; None: that never do."""
        stated = {latency: deadline.hedge for latency, deadline in self.policy.deadlines.items()}
        return self.space.cell_in("latency", lambda latency: stated.get(str(latency)) == seconds)

    def before(self, u: str, v: str) -> Formula:
        """The requests whose route ranks `u` before `v`."""
        return self._kept(self._before, u, v, lambda: self._over(self._routes, u, v))

    def after(self, u: str, v: str) -> Formula:
        """The requests whose fallback ranks `u` before `v`."""
        return self._kept(self._after, u, v, lambda: self._over(self._falls, u, v, fallback=True))

    def _kept(self, known: dict[Pair, Formula], u: str, v: str, make: Callable[[], Formula]) -> Formula:
        if (u, v) not in known:
            known[u, v] = made = make()
            known[v, u] = negation(made)
        return known[u, v]

    def _over(
        self, rules: dict[Words, Formula], u: str, v: str, *, fallback: bool = False, neither: Formula = FALSE
    ) -> Formula:
        """The requests whose words put `u` before `v`."""
        return either(
            both(met, self._ahead(words, u, v, fallback=fallback, neither=neither)) for words, met in rules.items()
        )

    def _ahead(self, words: Words, u: str, v: str, *, fallback: bool, neither: Formula) -> Formula:
        for word in words:
            members = self.reach.members(word)
            if u in members and v in members:
                return self._following(u, v) if fallback and word == "next" else self._within(word, u, v)
            if u in members or v in members:  # the first word that names one of them decides
                return TRUE if u in members else FALSE
        return neither

    def _following(self, u: str, v: str) -> Formula:
        """After a failure `next` goes on along the route's ranking, and then by strength."""
        weaker = TRUE if self.policy.rank[u] < self.policy.rank[v] else FALSE
        return self._kept(self._next, u, v, lambda: self._over(self._routes, u, v, neither=weaker))

    def _within(self, word: str, u: str, v: str) -> Formula:
        """The requests for which `word`, which names both, puts `u` before `v`."""
        if (word, u, v) not in self._known:
            first = {t: self.ranked(word, t).index(u) < self.ranked(word, t).index(v) for t in self.lengths}
            self._known[word, u, v] = self.space.cell_in("tokens", lambda tokens: first[tokens])
        return self._known[word, u, v]

    def ranked(self, word: str, tokens: Value) -> Words:
        """The lanes that `word` names, in its order for a request of so many tokens."""
        if (word, tokens) not in self._ranked:
            lanes = cheapest(self.policy, tokens)  # type: ignore[arg-type]  # a number
            rank, members = self.policy.rank.__getitem__, self.reach.members(word)
            if word in ("strongest", "fastest"):
                lanes = tuple(sorted(lanes, key=rank, reverse=word == "strongest"))
            elif word == "safest":
                lanes = tuple(sorted(lanes, key=lambda name: (-self._classes[name], rank(name))))
            self._ranked[word, tokens] = tuple(name for name in lanes if name in members)
        return self._ranked[word, tokens]

    @cached_property
    def top(self) -> dict[str, Formula]:
        """The requests that try each lane first while all lanes are up."""
        return {lane: both(met, negation(either(self._earlier(lane)))) for lane, met in self.reach.first.items()}

    def _earlier(self, lane: str) -> Iterator[Formula]:
        return (both(met, self.before(u, lane)) for u, met in self.reach.first.items() if u != lane)

    @cached_property
    def tail(self) -> dict[str, Formula]:
        """The requests that may fall back to each lane; the top lane is down where something falls back."""
        return {lane: both(met, negation(self.top[lane])) for lane, met in self.reach.fallback.items()}

    @cached_property
    def redo(self) -> dict[str, Formula]:
        """The requests whose weak answer each lane redoes in some outage."""
        gate = self.policy.gate
        if not gate.checks:
            return dict.fromkeys(self.policy.lanes, FALSE)
        named = self.reach.named(word for word in gate.weak if word != "strongest")
        return {
            lane: both(met, either(self._redone(lane, named=lane in named)))
            if lane in named or "strongest" in gate.weak
            else FALSE
            for lane, met in self.reach.open.items()
        }

    def _redone(self, lane: str, *, named: bool) -> Iterator[Formula]:
        """For each weaker lane the requests that it answers while `lane` is up and was not tried before."""
        first, rank = self.reach.first, self.policy.rank
        opens = {u: both(met, self._not_after(first, self.before, lane, u)) for u, met in first.items() if u != lane}
        yield from (met for u, met in opens.items() if rank[u] < rank[lane])
        if named:  # `strongest` is not open to what is below the lane that was tried first
            weaker = (u for u in self.tail if rank[u] < rank[lane])
            falls = either(both(self.tail[u], self._not_after(self.tail, self.after, lane, u)) for u in weaker)
            yield both(falls, either(opens.values()))

    def _not_after(self, hop: dict[str, Formula], before: Callable[[str, str], Formula], lane: str, u: str) -> Formula:
        return negation(both(hop[lane], before(lane, u)))

    def gated(self, tokens: Value, common: Container[str]) -> tuple[Words, Words]:
        """Who redoes and who judges answers, in order, among `common` lanes; `strongest` and `next` stay."""
        gate = self.policy.gate
        return self._named(gate.weak, tokens, common), self._named(gate.judge, tokens, common)

    def _named(self, words: Words, tokens: Value, common: Container[str]) -> Words:
        found: dict[str, None] = {}
        for word in words:
            own = word in ("strongest", "next")
            found |= dict.fromkeys((word,) if own else (n for n in self.ranked(word, tokens) if n in common))
        return tuple(found)


def _by_words(rules: tuple[Ranking, ...], firsts: list[Formula]) -> dict[Words, Formula]:
    """The requests by the words that they meet."""
    met: dict[Words, list[Formula]] = {}
    for rule, first in zip(rules, firsts, strict=True):
        met.setdefault(rule.words, []).append(first)
    return {words: either(firsts) for words, firsts in met.items()}
