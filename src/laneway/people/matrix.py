"""matrix: how far each class may go, lane by lane, over all requests, and who takes over when a lane fails.

Which lane comes first is read from the rules for a day on which every lane works and no ceiling is in the way.
Where two lanes' order depends on the request's length, either may come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from laneway.policy import Ranking
from laneway.proof.finding import Subject
from laneway.proof.space import Formula, Neg, both, dearness, either
from laneway.wall import walled

__all__ = ["Matrix", "Use", "Way"]

Way = Literal[
    "first choice",
    "fallback only",
    "weak answers only",
    "judges only",
    "unseen only",
    "after approval",
    "not used",
    "never",
]


@dataclass(frozen=True, slots=True)
class Use:
    """How a class may use a lane. `limited`: the wall's limits shut it to some; `approval`: some need a person."""

    way: Way
    limited: bool = False
    approval: bool = False


class Matrix:
    """All answers about one policy. Every question may raise NotProved."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.policy, self.reach = subject, subject.policy, subject.reach
        self._shut = {lane: Neg(formula) for lane, formula in self.reach.open.items()}

    def of_class(self, data_class: str) -> Formula:
        """The class's requests."""
        return self.subject.space.having("sensitivity", data_class)

    def use(self, data_class: str, lane: str) -> Use:
        """How the class may use the lane: the nearest way that some request of it has."""
        empty, reach, requests = self.subject.empty, self.reach, self.of_class(data_class)
        if empty(requests, reach.allowed[lane]):
            return Use("never")
        limited = not empty(requests, Neg(reach.allowed[lane]))
        if empty(requests, reach.reached[lane]):
            return Use("not used", limited)
        if empty(requests, reach.reached[lane], Neg(reach.held)):
            return Use("after approval", limited)
        approval = not empty(requests, reach.reached[lane], reach.held)
        ways: dict[Way, Formula] = {
            "first choice": either(first[lane] for first in self.first),
            "fallback only": either((reach.first[lane], reach.fallback[lane])),
        }
        for way, formula in ways.items():
            if not empty(requests, formula, Neg(reach.held)):
                return Use(way, limited, approval)
        behind: tuple[tuple[Way, dict[str, Formula]], ...] = (
            ("weak answers only", reach.escalation), ("judges only", reach.judge), ("unseen only", reach.shadow),
        )  # fmt: skip
        way = next((way for way, hop in behind if not empty(requests, hop[lane], Neg(reach.held))), "unseen only")
        return Use(way, limited, approval)

    @cached_property
    def first(self) -> list[dict[str, Formula]]:
        """For each route the requests that try each lane first while all lanes work."""
        return [
            {lane: both(met, self._comes_first(lane, route.words)) for lane in self.policy.lanes}
            for route, met in zip(self.policy.routes, self.reach.routed, strict=True)
        ]

    def _comes_first(self, lane: str, words: tuple[str, ...], after: tuple[str, ...] = (), but: str = "") -> Formula:
        """The requests to which the lane is open and none that the words put before it, `but` one that is down."""
        named = self.reach.named(words) - {but}
        before = [self._shut[other] for other in named if other != lane and self._ahead(other, lane, words, after)]
        return both(self.reach.open[lane], *before) if lane in named else either(())

    def _ahead(self, lane: str, other: str, words: tuple[str, ...], after: tuple[str, ...]) -> bool:
        """Whether the words put `lane` before `other` for every request; `after` is the ranking that `next` follows."""
        for word in words:
            members = self.reach.members(word)
            if lane in members or other in members:
                return other not in members or (lane in members and self._within(word, lane, other, after))
        return False

    def _within(self, word: str, lane: str, other: str, after: tuple[str, ...]) -> bool:
        rank = self.policy.rank
        if word == "strongest":
            return rank[lane] > rank[other]
        if word == "safest":
            return (-self._classes(lane), rank[lane]) < (-self._classes(other), rank[other])
        if word == "next" and after:
            ranked = self.reach.named(after)
            if lane in ranked or other in ranked:
                return other not in ranked or (lane in ranked and self._ahead(lane, other, after, ()))
        if word == "fastest" or (word == "next" and after):
            return rank[lane] < rank[other]
        cost = partial(dearness, self.policy)
        return all(cost(lane, tokens) < cost(other, tokens) for tokens in (0, 1 << 40))

    def _classes(self, lane: str) -> int:
        return sum(lane in row.admitted for row in walled(self.policy, self.subject.today).values())

    def taking_over(self, data_class: str, down: str) -> tuple[str, ...]:
        """What follows when `down` fails a request of the class that began there: lanes, `hold`, `refuse`; or ()."""
        found: dict[str, None] = {}
        for route, first in zip(self.policy.routes, self.first, strict=True):
            begun = both(self.of_class(data_class), first[down])
            if self.subject.empty(begun):
                continue
            for met, ends in self._falls(route, down):
                found |= {end: None for end, formula in ends if not self.subject.empty(begun, met, formula)}
        order = [*self.policy.strength, "hold", "refuse"]
        return tuple(sorted(found, key=order.index))

    def _falls(self, route: Ranking, down: str) -> Iterator[tuple[Formula, list[tuple[str, Formula]]]]:
        """For each fallback, and for none: the requests that meet it, and which of them end where."""
        for rule, met in zip(self.policy.fallbacks, self.reach.falls, strict=True):
            named = sorted(self.reach.named(rule.words) - {down}, key=self.policy.rank.__getitem__)
            ends = [(lane, self._comes_first(lane, rule.words, route.words, down)) for lane in named]
            yield met, [*ends, (rule.stop, both(*(self._shut[lane] for lane in named)))]
        yield Neg(either(self.reach.falls)), [("refuse", both())]
