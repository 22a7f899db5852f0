"""cases: can rules, partly evaluated, still hold? By splitting one fact at a time into the values that it may have.

A part is a rule's condition, a list of rules of which the first that matches counts, or several of those, over
numbered facts. Giving a fact a value settles what it can and leaves a smaller part; a part that was met before is not
looked at again. Exact, and a method of its own: no set of requests is ever written down.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from laneway.errors import LanewayError

__all__ = ["NO", "YES", "Cases", "OutOfTime", "Part"]


class OutOfTime(LanewayError):
    """The cases are not all seen. Nobody knows, which never counts as proved."""


class Part:
    """What is not settled yet: a `test` of a fact, `every` and `some` of parts, or the `first` that matches."""

    __slots__ = ("facts", "kind", "of")

    def __init__(self, kind: str, of: tuple[object, ...], facts: int) -> None:
        self.kind, self.of, self.facts = kind, of, facts

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of `every` and `some`; of `first` the conditions, what each leads to, and what else holds."""
        return self.of  # type: ignore[return-value]

    @property
    def test(self) -> tuple[int, int]:
        """The fact, and its values as a bit mask."""
        return self.of  # type: ignore[return-value]


YES = Part("every", (), 0)
NO = Part("some", (), 0)


class Cases:
    """Parts over facts with `sizes` values each, and the question whether some values meet a part, in `seconds`."""

    def __init__(self, sizes: Sequence[int], seconds: float) -> None:
        self._all = [(1 << size) - 1 for size in sizes]
        self._seconds, self._until = seconds, time.monotonic() + seconds
        self._made: dict[tuple[str, tuple[object, ...]], Part] = {}
        self._set: dict[tuple[Part, int, int], Part] = {}
        self._known = {YES: True, NO: False}

    def _part(self, kind: str, of: tuple[object, ...], facts: int) -> Part:
        return self._made.get((kind, of)) or self._made.setdefault((kind, of), Part(kind, of, facts))

    def test(self, fact: int, mask: int) -> Part:
        """The fact has one of the values in the bit mask."""
        mask &= self._all[fact]
        return NO if not mask else YES if mask == self._all[fact] else self._part("test", (fact, mask), 1 << fact)

    def every(self, parts: Iterable[Part]) -> Part:
        """All of the parts hold."""
        return self._joined("every", parts, YES, NO)

    def some(self, parts: Iterable[Part]) -> Part:
        """One of the parts holds."""
        return self._joined("some", parts, NO, YES)

    def _joined(self, kind: str, parts: Iterable[Part], empty: Part, decisive: Part) -> Part:
        kept: dict[Part, None] = {}
        for part in parts:
            if part is decisive:
                return decisive
            kept |= dict.fromkeys(part.parts if part.kind == kind else (part,))
        if len(kept) < 2:
            return next(iter(kept), empty)
        facts = 0
        for part in kept:
            facts |= part.facts
        return self._part(kind, tuple(kept), facts)

    def first(self, rules: Iterable[tuple[Part, Part]], otherwise: Part = NO) -> Part:
        """Of rules as (condition, what it leads to) the first whose condition holds counts."""
        kept: list[tuple[Part, Part]] = []
        for when, leads in rules:
            if when is YES:
                otherwise = leads
                break
            if when is not NO:
                kept.append((when, leads))
        while kept and kept[-1][1] is otherwise:
            kept.pop()
        if not kept:
            return otherwise
        facts = otherwise.facts
        for when, leads in kept:
            facts |= when.facts | leads.facts
        return self._part("first", (*(part for rule in kept for part in rule), otherwise), facts)

    def no(self, part: Part) -> Part:
        """The part does not hold."""
        if part.kind == "test":
            fact, mask = part.test
            return self.test(fact, ~mask)
        if part.kind == "first":
            *rules, otherwise = part.parts
            pairs = zip(rules[::2], rules[1::2], strict=True)
            return self.first([(when, self.no(leads)) for when, leads in pairs], self.no(otherwise))
        return (self.some if part.kind == "every" else self.every)(map(self.no, part.parts))

    def given(self, part: Part, fact: int, value: int) -> Part:
        """What is left of the part where the fact has the value."""
        if not part.facts >> fact & 1:
            return part
        key = (part, fact, value)
        left = self._set.get(key)
        if left is None:
            left = self._set[key] = self._given(part, fact, value)
        return left

    def _given(self, part: Part, fact: int, value: int) -> Part:
        if part.kind == "test":
            return YES if part.test[1] >> value & 1 else NO
        if part.kind == "first":
            *rules, otherwise = part.parts
            lazily = (
                (self.given(when, fact, value), leads) for when, leads in zip(rules[::2], rules[1::2], strict=True)
            )
            pairs = ((when, leads if when is NO else self.given(leads, fact, value)) for when, leads in lazily)
            return self.first(pairs, self.given(otherwise, fact, value))
        return (self.every if part.kind == "every" else self.some)(self.given(p, fact, value) for p in part.parts)

    def can(self, part: Part) -> bool:
        """Whether some values of the facts meet the part. Raises OutOfTime."""
        known = self._known.get(part)
        if known is None:
            if time.monotonic() > self._until:
                raise OutOfTime(f"the cases took longer than {self._seconds:g} s; allow more with --seconds")
            known = self._known[part] = self._can(part)
        return known

    def _can(self, part: Part) -> bool:
        if part.kind == "some":
            return any(map(self.can, sorted(part.parts, key=_width)))
        if part.kind == "every" and len(groups := _apart(part.parts)) > 1:
            return all(self.can(self.every(group)) for group in groups)
        fact, mask = _next(part)
        values = sorted(range(self._all[fact].bit_length()), key=lambda value: not mask >> value & 1)
        return any(self.can(self.given(part, fact, value)) for value in values)


def _width(part: Part) -> int:
    return part.facts.bit_count()


def _apart(parts: Iterable[Part]) -> list[list[Part]]:
    """The parts in groups that share no fact, so that each can be met on its own."""
    groups: list[tuple[int, list[Part]]] = []
    for part in parts:
        facts, joined = part.facts, [part]
        for group in [group for group in groups if group[0] & facts]:
            groups.remove(group)
            facts, joined = facts | group[0], [*group[1], *joined]
        groups.append((facts, joined))
    return [group for _, group in sorted(groups, key=lambda group: group[0].bit_count())]


def _next(part: Part) -> tuple[int, int]:
    """The fact to split on, and the values to try first: those that help the part to hold."""
    while part.kind != "test":
        if part.kind == "first":
            *rules, _ = part.parts
            wanted = [when for when, leads in zip(rules[::2], rules[1::2], strict=True) if leads is not NO]
            if not wanted:
                fact, mask = _next(min(rules[::2], key=_width))
                return fact, ~mask
            part = wanted[0]
        else:
            part = min(part.parts, key=_width)
    return part.test
