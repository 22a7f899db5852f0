"""plain: what a rule does, in plain words made from the rule itself and never from its sentence.

A reader compares the two. Pure; knows nothing of requests or of how the words are drawn.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from laneway.condition import All, Always, Any, Condition, Not, Test
from laneway.lane import Lane, Zone, exact
from laneway.policy import (
    Capture,
    Deadline,
    Detect,
    Gate,
    Must,
    Output,
    Policy,
    Ranking,
    Review,
    Shadow,
    Unlabelled,
    Workload,
)
from laneway.regions import DEVICE, SETS

__all__ = [
    "Plain", "answers", "approval", "captured", "count", "days", "days_to", "hedge", "listed", "places", "seconds",
]  # fmt: skip

_CHECKS = {
    "empty": "is empty",
    "cut-off": "was cut off",
    "invalid-json": "is not the JSON that was asked for",
    "tool-call": "calls a tool wrongly",
    "refusal": "is a refusal",
    "contract": "is not what its workload's `output` asks for",
    "judge": "is doubted by a judge",
}
_SUBJECTS = {
    "sensitivity": "the data is",
    "difficulty": "the difficulty is",
    "stakes": "the stakes are",
    "latency": "the latency target is",
    "workload": "the workload is",
    "team": "the asking team is",
    "region": "the asking region is",
}
_RANKED = {
    "cheapest": "the cheapest lane that is left",
    "strongest": "the strongest lane that is left",
    "safest": "the lane that is left and open to the most classes",
    "fastest": "the fastest lane that is left",
    "next": "the cheapest lane that is left",
}
_LANGUAGES = {"en": "English", "sv": "Swedish", "no": "Norwegian", "da": "Danish", "fi": "Finnish", "de": "German"}
_FORMATS = {"json": "as JSON", "text": "as text and not as JSON"}
_SIZES = {"over": "over", "at_most": "at most", "at_least": "at least", "under": "under"}
_OPPOSITE = {"over": "at_most", "at_most": "over", "at_least": "under", "under": "at_least"}
_ENDS = {
    "refuse": "refuses the request",
    "hold": "holds the request for a person",
    "marked": "releases the answer, marked as weak",
}


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`; `nothing` where there is none."""
    *most, end = [*words] or ["nothing"]
    return f"{', '.join(most)} {last} {end}" if most else end


def places(where: frozenset[str] | None) -> str:
    """A set of countries by its name where it has one: `the EEA`, `DE and FR`, `this machine`."""
    if where is None:
        return "an unknown place"
    names, rest = [], where
    for name, members in sorted(SETS.items(), key=lambda pair: -len(pair[1])):
        if members <= rest:
            names.append(f"the {name}" if name in ("EU", "EEA") else name.lower() + " countries")
            rest = rest - members
    return listed([*names, *("this machine" if place == DEVICE else place for place in sorted(rest))])


def seconds(length: float | None) -> str:
    """`4 seconds`, `10 minutes`, `24 hours`."""
    if length is None:
        return "no limit"
    size, unit = next((s, u) for s, u in ((3600, "hour"), (60, "minute"), (1, "second")) if length % s == 0 or s == 1)
    return f"{length / size:g} {unit}{'' if length == size else 's'}"


def days(length: int) -> str:
    """`1 day`, `90 days`."""
    return f"{length} day{'' if length == 1 else 's'}"


def approval(review: Review) -> str:
    """How an answer waits for a person."""
    who = "two people approve the same words" if review.eyes > 1 else "a person approves"
    wait = f"; the caller is kept waiting for {seconds(review.wait)}, and asks again after that" if review.wait else ""
    needs = f"; a comment is needed to {listed(review.comment, 'or')}" if review.comment else ""
    return (
        f"the answer is kept back until {who}, and never released after {seconds(review.within)}{wait}{needs}; "
        "where nobody is named who could, no lane is called"
    )


def captured(rule: Capture) -> str:
    """What a rule of `capture` keeps."""
    return f"what they ask and are answered is kept, encrypted, on this machine for {days(rule.days)}"


def hedge(after: float | None) -> str:
    """After how many seconds a second lane is asked."""
    return "never" if after is None else seconds(after)


def count(number: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def days_to(day: datetime.date, today: datetime.date) -> str:
    """How far off a day is."""
    left = (day - today).days
    return f"in {days(left)}" if left > 0 else "today" if left == 0 else f"{days(-left)} ago"


def answers(output: Output) -> str:
    """What a workload's answers are to be: `in Swedish, as JSON after a schema`."""
    said = [f"in {_LANGUAGES[output.language]}"] if output.language else []
    if output.format:
        said.append(_FORMATS[output.format] + (" after a schema" if output.schema is not None else ""))
    if output.most_chars is not None:
        said.append(f"of at most {output.most_chars} character{'' if output.most_chars == 1 else 's'}")
    return ", ".join(said)


class Plain:
    """The words of one policy's rules."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def money(self, amount: float) -> str:
        """`0.4 EUR`."""
        return f"{exact(amount)} {self.policy.currency}"

    # conditions

    def where(self, condition: Condition, place: int = 0, *, unknown_counts: bool = False) -> str:
        """`Where ...`, for the rule at `place` of those whose first match decides; with what an unknown fact does."""
        if isinstance(condition, Always):
            return "In every other case" if place else "For every request"
        stated = [fact for fact in dict.fromkeys(_facts(condition)) if fact in self.policy.facts]
        also = f" (or might be, as the request does not state {listed(stated, 'or')})"
        said = self.condition(condition) + (also if stated and unknown_counts else "")
        return f"Else where {said}" if place else f"Where {said}"

    def condition(self, condition: Condition) -> str:
        """The condition read out: `the stakes are high or the difficulty is hard, and the matter is not merger`."""
        return self._said(condition, 0)

    def _said(self, condition: Condition, depth: int) -> str:
        if isinstance(condition, Always):
            return "anything is asked"
        if isinstance(condition, Test):
            return self._test(condition, negated=False)
        if isinstance(condition, Not):
            inner = condition.part
            if isinstance(inner, Test):
                return self._test(inner, negated=True)
            if isinstance(inner, Not):
                return self._said(inner.part, depth)
            return f"it is not so that ({self._said(inner, 0)})"
        word = "and" if isinstance(condition, All) else "or"
        nested = any(isinstance(part, All | Any) and len(part.parts) > 1 for part in condition.parts)
        said = [self._said(part, depth + 1) for part in condition.parts]
        joined = f", {word} ".join(said) if nested else listed(said, word)
        return f"({joined})" if len(said) > 1 and (depth > 1 or (depth and nested)) else joined

    def _test(self, test: Test, *, negated: bool) -> str:
        fact = test.fact
        if fact == "needs":
            return f"the request {'does not need' if negated else 'needs'} {self._values(test)}"
        if test.op != "in":
            return self._size(fact, _OPPOSITE[test.op] if negated else test.op, *test.values)
        subject = _SUBJECTS.get(fact) or {"ceiling": "the ceiling is", "tokens": "the input has"}.get(fact)
        subject = subject or f"the {fact} is"
        return f"{subject}{' not' if negated else ''} {self._values(test)}"

    def _size(self, fact: str, op: str, bound: str | float) -> str:
        number = float(bound)
        if fact == "tokens":
            return f"the input is {_SIZES[op]} {number:g} tokens"
        if fact != "ceiling":
            return f"{fact} is {_SIZES[op]} {number:g}"
        none = "there is no ceiling, or " if op in ("over", "at_least") else ""
        return f"{none}the ceiling is {_SIZES[op]} {self.money(number)}"

    def _values(self, test: Test) -> str:
        if test.fact == "sensitivity":
            return self.classes(test.values)
        if test.fact == "region":
            return places(frozenset(str(value) for value in test.values))
        order = self.policy.facts[test.fact].values if test.fact in self.policy.facts else ()
        values = sorted(test.values, key=lambda v: (order.index(str(v)) if v in order else 0, str(v)))
        return listed((value if isinstance(value, str) else f"{value:g}" for value in values), "or")

    def classes(self, some: Iterable[str | float]) -> str:
        """`confidential or more`, `internal or less`, `public or restricted`."""
        order, chosen = self.policy.classes, [c for c in self.policy.classes if c in set(some)]
        if 1 < len(chosen) < len(order):
            if chosen == list(order[-len(chosen) :]):
                return f"{chosen[0]} or more sensitive"
            if chosen == list(order[: len(chosen)]):
                return f"{chosen[-1]} or less sensitive"
        return listed(chosen, "or")

    # effects

    def route(self, rule: Ranking, place: int) -> str:
        """What a rule of `routes` does."""
        where = self.where(rule.when, place)
        if not rule.words:
            return f"{where}: {_ENDS[rule.stop]}."
        return f"{where}: tries {self._ranked(rule.words)}; where none is left, {_ENDS[rule.stop]}."

    def fallback(self, rule: Ranking, place: int) -> str:
        """What a rule of `fallbacks` does."""
        where = self.where(rule.when, place)
        if not rule.words:
            return f"{where}: when a lane fails, {_ENDS[rule.stop]}."
        following = "the next lane in the route's order, then the others from weakest to strongest"
        return f"{where}: falls back to {self._ranked(rule.words, {'next': following})}; then {_ENDS[rule.stop]}."

    def _ranked(self, words: Sequence[str], instead: dict[str, str] | None = None) -> str:
        zones = {zone: f"lanes of {zone}, cheapest first" for zone in self.policy.zones}
        said = zones | _RANKED | (instead or {})
        return ", then ".join(said.get(word, word) for word in words)

    def weak(self, gate: Gate) -> str:
        """Which answers are weak, and what that leads to."""
        if not gate.checks:
            return "No answer is checked, so that none is found weak."
        weak = f"An answer is weak if it {listed((_CHECKS[check] for check in gate.checks), 'or')}."
        if gate.judge:
            weak += f" The judge is {self._ranked(gate.judge)}; never the lane or the model that answered."
        end = {"refuse": "is refused", "hold": "is held for a person", "marked": "is released, marked as weak"}
        if not gate.weak:
            return f"{weak} It {end[gate.weak_stop]}."
        lanes = self._ranked(gate.weak)
        return f"{weak} It is redone once by {lanes}, if that is stronger; else it {end[gate.weak_stop]}."

    def hedges(self, deadlines: Mapping[str, Deadline]) -> tuple[str, ...]:
        """What is done where a lane is slow to begin."""
        return tuple(
            f"Where a lane has not begun to answer an {latency} request after {seconds(deadline.hedge)}, the lane that "
            "would follow its failure is asked too; the first to answer counts, and both may cost."
            for latency, deadline in deadlines.items()
            if deadline.hedge is not None
        )

    def shadow(self, rule: Shadow) -> str:
        """What a rule of `shadow` does."""
        what = f"{rule.share * 100:g} % are also answered by {self._ranked(rule.lanes)}, which the client never sees"
        judge = f", and {self._ranked(rule.judge)} says which answer is better" if rule.judge else ""
        cost = "" if rule.budget is None else f"; at most {self.money(rule.budget)} a day"
        return f"{self.where(rule.when)}: until {rule.until} {what}{judge}{cost}."

    def zone(self, zone: Zone) -> str:
        """What a lane must meet to be in the zone."""
        said = []
        if zone.kind is not None:
            said.append(f"its kind is {listed(sorted(zone.kind), 'or')}")
        if zone.lanes is not None:
            said.append(f"it is {listed(sorted(zone.lanes), 'or')}")
        for fact, verb in ((zone.runs, "it runs"), (zone.stores, "it stores"), (zone.owner, "its company is")):
            if fact is not None:
                said.append(f"{verb} within {places(fact)}")
        if zone.dpa:
            said.append("a data processing agreement is in force")
        if zone.transfer is not None:
            bases = sorted(zone.transfer - {"valid"})
            said.append("it has a valid transfer basis" if "valid" in zone.transfer else
                        f"its transfer basis is {listed(bases, 'or')}")  # fmt: skip
        if zone.retention is not None:
            said.append(f"it keeps data for at most {days(zone.retention)}")
        return listed(said)

    def never(self, rule: Must) -> str:
        """What a `must` forbids."""
        what = {"kind": "whose kind is", "name": "whose name is", "owner": "whose company is"}
        does = {"runs": ("that runs in", "that does not run wholly within"),
                "stores": ("that stores in", "that does not store wholly within")}  # fmt: skip
        tests = []
        for fact, values, negated in rule.lane:
            said_of = places(values) if fact in ("runs", "stores", "owner") else listed(sorted(values), "or")
            if fact in does:
                tests.append(f"{does[fact][negated]} {said_of}")
            else:
                tests.append(f"{what[fact]} {'not ' * negated}{'in ' * (fact == 'owner')}{said_of}")
        reached = f"reaches a lane {listed(tests)}" if tests else ""
        costs = "" if rule.cost_over is None else f"may cost more than {self.money(rule.cost_over)}"
        outcome = " and ".join(part for part in (reached, costs) if part) or "reaches any lane"
        where = "" if isinstance(rule.when, Always) else f" where {self.condition(rule.when)}"
        return f"Never: a request{where} {outcome}."

    def labels(self, of: Unlabelled | Workload) -> str:
        """What counts for a workload, or where nobody said."""
        said = []
        if of.sensitivity is not None:
            said.append(f"{'at least ' if isinstance(of, Workload) else ''}{of.sensitivity}")
        if of.difficulty is not None:
            said.append("difficulty estimated from the text" if of.difficulty == "auto" else f"{of.difficulty} work")
        if of.stakes is not None:
            said.append(f"{of.stakes} stakes")
        if of.latency is not None:
            said.append(of.latency)
        if of.ceiling is not None:
            said.append(f"at most {self.money(of.ceiling)}")
        if isinstance(of, Workload):
            said += [f"behind the prompt {of.prompt}"] * (of.prompt is not None)
            said += [f"in {_LANGUAGES[of.language]} where nothing else is said"] if of.language else []
            said += [f"measured by {listed(of.evals)}"] * bool(of.evals)
            said += [f"answers are {answers(of.output)}"] if of.output is not None else []
        return "; ".join(said) or "as where nobody said"

    def detect(self, found: Detect) -> str:
        """What an identifier in the text, or a part that cannot be read, raises a request to."""
        named = {kind: to for kind, to in found.identifiers.items() if kind != "*"}
        said = [f"an identifier of kind {kind} makes a request at least {to}" for kind, to in named.items()]
        if "*" in found.identifiers:
            said.append(f"any {'other ' * bool(named)}identifier at least {found.identifiers['*']}")
        return "; ".join([*said, f"a part that cannot be scanned at least {found.unreadable}"]) + "."

    def price(self, lane: Lane) -> str:
        """The lane's price."""
        price = lane.price
        if price is None:
            return "unknown"
        if price.input == price.output == 0:
            return "free"
        return f"{price.input:g} in, {price.output:g} out"


def _facts(condition: Condition) -> Iterable[str]:
    if isinstance(condition, Test):
        yield condition.fact
    elif isinstance(condition, Not):
        yield from _facts(condition.part)
    elif isinstance(condition, All | Any):
        for part in condition.parts:
            yield from _facts(part)
