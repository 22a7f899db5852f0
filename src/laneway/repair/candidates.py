"""candidates: for each kind of finding the small changes that may mend it, the best first.

Nothing here is trusted: `repair` applies each one and proves the policy again before it is offered. `safe` says
only that a candidate is meant to close; whether it does is proved too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from laneway.decide import DEFAULT_OUTPUT
from laneway.lane import exact
from laneway.policy import Grant, Limit, Must
from laneway.proof.finding import Finding, Subject
from laneway.proof.reach import RANKINGS
from laneway.proof.safety import meant
from laneway.proof.space import Formula, Neg, both, dearness, either
from laneway.repair.edits import Edit, Repair, Source
from laneway.yaml_nodes import Node

__all__ = ["CANDIDATES", "Candidates"]

Candidates = Callable[[Subject, Source, Finding], Iterator[Repair]]

_When = dict[str, object]


def _entries(node: Node | None) -> _When:
    """A condition's tests by fact."""
    return {} if node is None else {str(key.value): value for key, value in node.value}


def _joined(when: _When, more: _When) -> _When:
    """Both conditions."""
    return {"all": [more, when]} if when.keys() & more.keys() else more | when


def _of_class(subject: Subject, data_class: str) -> Formula:
    return subject.space.having("sensitivity", data_class)


def _from(subject: Subject, data_class: str) -> _When:
    top = data_class == subject.policy.classes[-1]
    return {"sensitivity": data_class if top else {"at_least": data_class}}


class _Words:
    """A ranking rule's words, and what is left of them for requests that some of its lanes are shut to."""

    def __init__(self, subject: Subject, source: Source, words: tuple[str, ...], stop: str, *, stops: bool) -> None:
        self.subject, self.source, self.words, self.stop, self.stops = subject, source, words, stop, stops

    def replace(self, node: Node, shut: Callable[[str], bool], instead: Sequence[str] = ()) -> Edit:
        """What is left, in the place of the rule's words."""
        return self.source.replace(node, _one(self.left(shut, instead)))

    def left(self, shut: Callable[[str], bool], instead: Sequence[str] = ()) -> list[str]:
        """The words without the lanes that are shut; `instead` stands where words went."""
        reach, kept = self.subject.reach, list[str]()
        for word in self.words:
            lanes = frozenset[str]() if word in RANKINGS else reach.members(word)
            if not any(map(shut, lanes)):
                kept.append(word)
            elif instead:
                kept += instead
            else:
                kept += sorted((x for x in lanes if not shut(x)), key=lambda x: dearness(self.subject.policy, x, 0))
        kept = list(dict.fromkeys(kept))
        return [*kept, self.stop] if self.stops or not kept or self.stop != "refuse" else kept

    def never(self, met: Formula) -> Callable[[str], bool]:
        """Whether a lane is shut to every request in the set."""
        return lambda lane: self.subject.empty(met, self.subject.reach.allowed[lane])

    def sometimes(self, met: Formula) -> Callable[[str], bool]:
        """Whether a lane is shut to some request in the set."""
        return lambda lane: not self.subject.empty(met, Neg(self.subject.reach.allowed[lane]))

    def ungranted(self, met: Formula) -> Callable[[str], bool]:
        """Whether the wall's table, whatever its limits say, shuts a lane to some request in the set."""
        return lambda lane: not self.subject.empty(met, Neg(self.subject.reach.granted(lane)))


def _one(words: list[str]) -> str | list[str]:
    return words if len(words) != 1 else words[0]


def _names(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    policy, reach = subject.policy, subject.reach
    if finding.about == "gate":
        gate = policy.gate
        for key, named, stop, instead in (
            ("weak", gate.weak, gate.weak_stop, "strongest"), ("judge", gate.judge, "refuse", "safest"),
        ):  # fmt: skip
            node = source.at("gate", key)
            if node is None:
                continue
            words = _Words(subject, source, named, stop, stops=key == "weak")
            shut, never = words.sometimes(reach.tried), words.never(reach.tried)
            for edit in (words.replace(node, never), words.replace(node, shut, [instead]), words.replace(node, shut)):
                yield Repair("name no lane that these requests may not use", (edit,), safe=True)
        return
    where = source.rule(finding.about, "routes", "fallbacks")
    if where is None:
        return
    key, i = where
    rules, firsts = (policy.routes, reach.routed) if key == "routes" else (policy.fallbacks, reach.falls)
    rule, met = next((rule, met) for rule, met in zip(rules, firsts, strict=True) if rule.id == finding.about)
    verb = "try" if key == "routes" else "then"
    words = _Words(subject, source, rule.words, rule.stop, stops=verb == "then")
    node = source.at(verb, under=source.items(key)[i])
    assert node is not None
    yield Repair("leave out what no such request may use", (words.replace(node, words.never(met)),), safe=True)
    before = _classes_first(subject, source, key, i, words, met)
    after = _limited_after(subject, source, key, i, words, met)
    if before:
        yield Repair("put a rule for these classes before it", before, safe=True)
    if after:
        yield Repair("leave these requests to a rule of their own", after, safe=True)
    if before and after:
        yield Repair("leave these requests to rules of their own", before + after, safe=True)
    yield Repair(
        "leave out what some of these requests may not use", (words.replace(node, words.sometimes(met)),), safe=True
    )
    instead = "next" if verb == "then" else "cheapest"
    edit = words.replace(node, words.sometimes(met), [instead])
    yield Repair(f"write `{instead}`, which picks from what the wall leaves", (edit,))


def _classes_first(
    subject: Subject, source: Source, key: str, index: int, words: _Words, met: Formula
) -> tuple[Edit, ...]:
    """Earlier rules for the classes that may not use all of the rule's lanes."""
    node, verb = source.items(key)[index], "try" if key == "routes" else "then"
    when = _entries(source.at("when", under=node))
    rules: list[dict[str, object]] = []
    before = words.left(lambda _: False)
    for data_class in subject.policy.classes:
        of_class = both(met, _of_class(subject, data_class))
        kept = before if subject.empty(of_class) else words.left(words.ungranted(of_class))
        if kept != before:
            says = f"{data_class.capitalize()} data is kept to what it may use."
            rules.insert(0, {"says": says, "when": _joined(when, _from(subject, data_class)), verb: _one(kept)})
            before = kept
    return (source.insert(key, index, rules),) if rules else ()


def _limited_after(
    subject: Subject, source: Source, key: str, index: int, words: _Words, met: Formula
) -> tuple[Edit, ...]:
    """The rule narrowed by the limits that close its lanes, and the same without those lanes after it."""
    reach, space = subject.reach, subject.space
    named = reach.named(words.words, outright=True)
    limits = [
        limit for limit in subject.policy.limits
        if any(not reach.admits(limit, lane) for lane in named)
        and not subject.empty(met, space.formula(limit.when, "possibly"))
    ]  # fmt: skip
    conditions = [_entries(source.at("wall", place[1], "when")) for x in limits if (place := source.rule(x.id, "wall"))]
    if not conditions:
        return ()
    node, verb = source.items(key)[index], "try" if key == "routes" else "then"
    when = _entries(source.at("when", under=node))
    narrowed = _joined(when, {"not": conditions[0] if len(conditions) == 1 else {"any": conditions}})
    closed = both(met, either(space.formula(limit.when, "possibly") for limit in limits))
    rule: dict[str, object] = {"says": "The same without the lanes that the wall's limits close."}
    rule |= ({"when": when} if when else {}) | {verb: _one(words.left(words.sometimes(closed)))}
    return source.put(node, "when", narrowed), source.insert(key, index + 1, [rule])


def _must(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    policy, where = subject.policy, source.rule(finding.about, "must")
    rule = next((must for must in policy.must if must.id == finding.about), None)
    never = source.at("must", where[1], "never") if where else None
    if rule is None or never is None:
        return
    if rule.cost_over is not None:
        yield from _cheaper(subject, source, rule.cost_over)
        return
    when = {fact: value for fact, value in _entries(never).items() if fact not in ("lane", "cost")}
    if not when:
        when = {"sensitivity": {"at_least": policy.classes[0]}}
    bad = {lane.name for lane in policy.lanes.values() if meant(subject, rule, lane)}
    wall = _Wall(subject, source, rule, bad)
    yield from wall.rows()
    yield from wall.limits(when)
    yield from wall.zones()
    yield from _floors(subject, source, when)
    limit = {"when": when, "zones": wall.good} | ({"says": rule.says} if rule.says else {})
    put = source.insert("wall", len(source.items("wall")), [limit])
    yield Repair("limit the wall by the same condition", (put,), safe=True)


class _Wall:
    """The wall's entries and zones, and the changes that keep `bad` lanes from the requests of a property."""

    def __init__(self, subject: Subject, source: Source, rule: Must, bad: set[str]) -> None:
        self.subject, self.source, self.bad = subject, source, bad
        self.when = subject.space.formula(rule.when, "possibly")
        zones, members = subject.policy.zones, subject.reach.members
        self.good = [zone for zone in zones if members(zone) and members(zone).isdisjoint(bad)]

    def put(self, rule: Grant | Limit, zones: Sequence[str]) -> Edit | None:
        """Other zones in an entry of the wall; None where they are the same."""
        where = self.source.rule(rule.id, "wall")
        node = self.source.at("wall", where[1], "zones") if where else None
        return None if node is None or list(rule.zones) == list(zones) else self.source.replace(node, zones)

    def kept(self, rule: Grant | Limit) -> list[str]:
        """The entry's zones without those that hold a bad lane."""
        return [zone for zone in rule.zones if self.subject.reach.members(zone).isdisjoint(self.bad)]

    def rows(self) -> Iterator[Repair]:
        """The zone out of rows that are for such requests alone; or the zones that hold no bad lane instead."""
        subject, says = self.subject, "take the zone out of the wall's row"
        classes = {c for c in subject.policy.classes if not subject.empty(self.when, _of_class(subject, c))}
        grants = [grant for grant in subject.policy.grants if grant.classes <= classes]
        edits = [edit for grant in grants if (edit := self.put(grant, self.kept(grant)))]
        yield from (Repair(says, (edit,), safe=True) for edit in edits)
        if len(edits) > 1:
            yield Repair("take the zone out of the wall's rows", tuple(edits), safe=True)
        for grant in grants:
            if self.kept(grant) != list(grant.zones) and (edit := self.put(grant, self.good)):
                yield Repair("give the row the zones that hold no such lane", (edit,), safe=True)

    def zones(self) -> Iterator[Repair]:
        """Zones narrowed to those of their lanes that are not bad, by name; and those that hold every other lane."""
        policy, members = self.subject.policy, self.subject.reach.members
        wrong = [(zone, node) for zone in policy.zones
                 if not members(zone).isdisjoint(self.bad) and (node := self.source.at("zones", zone))]  # fmt: skip
        for zone, node in wrong:
            if good := sorted(members(zone) - self.bad, key=policy.rank.__getitem__):
                yield Repair("take the lane out of the zone", (self.source.put(node, "lanes", good),), safe=True)
        others = [lane for lane in policy.strength if lane not in self.bad]
        for _, node in wrong if others else ():
            named = self.source.replace(node, {"lanes": others})
            yield Repair("let the zone name the lanes that the property allows", (named,))

    def limits(self, when: _When) -> Iterator[Repair]:
        """Limits that exist already: without the zone, with other zones, or for more requests."""
        for limit in self.subject.policy.limits:
            edit, where = self.put(limit, self.kept(limit)), self.source.rule(limit.id, "wall")
            if edit is not None:
                yield Repair("take the zone out of the limit", (edit,), safe=True)
                other = self.put(limit, self.good)
                if other is not None:
                    yield Repair("give the limit the zones that hold no such lane", (other,), safe=True)
            node = self.source.at("wall", where[1], "when") if where else None
            if node is None:
                continue
            for wider in (when, {"any": [node, when]}):
                edits = tuple(filter(None, (self.source.replace(node, wider), edit)))
                yield Repair("let the limit close the lane to all of these requests", edits, safe=True)


def _floors(subject: Subject, source: Source, when: _When) -> Iterator[Repair]:
    """A higher class for the workloads that a property speaks of."""
    asked = when.get("workload")
    for name in sorted(_scalars(asked) & subject.policy.workloads.keys()) if isinstance(asked, Node) else ():
        node = source.at("workloads", name)
        if node is None:
            continue
        for data_class in subject.policy.classes:
            yield Repair("give the workload the class that it needs", (source.put(node, "sensitivity", data_class),))


def _cheaper(subject: Subject, source: Source, most: float) -> Iterator[Repair]:
    policy, ceiling = subject.policy, exact(most)
    places = [("workloads", w.name) for w in policy.workloads.values() if w.ceiling is not None and w.ceiling > most]
    if policy.unlabelled.ceiling is None or policy.unlabelled.ceiling > most:
        places.insert(0, ("unlabelled",))  # type: ignore[arg-type]
    nodes = [node for place in places if (node := source.at(*place))]
    edits = tuple(source.put(node, "ceiling", ceiling) for node in nodes)
    yield Repair("lower the ceiling to what may be spent", edits, safe=True)


def _forgotten(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    policy, data_class = subject.policy, finding.about
    place = policy.classes.index(data_class)
    lower = [grant for grant in policy.grants if place and policy.classes[place - 1] in grant.classes]
    ours = {name for name, lane in policy.lanes.items() if lane.own}
    named = dict.fromkeys(zone for grant in lower for zone in grant.zones)
    zones = [zone for zone in named if subject.reach.members(zone) and subject.reach.members(zone) <= ours]
    rows = [i for i, node in enumerate(source.items("wall")) if source.at("sensitivity", under=node)]
    at, name = (rows[-1] + 1 if rows else 0), data_class.capitalize()
    if zones:
        row = {"sensitivity": data_class, "zones": zones, "says": f"{name} data stays with us."}
        yield Repair("list the class with what is ours", (source.insert("wall", at, [row]),))
    row = {"sensitivity": data_class, "zones": [], "says": f"No lane may see {data_class} data."}
    yield Repair("refuse the class on purpose", (source.insert("wall", at, [row]),), safe=True)


def _dead(_: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    where = source.rule(finding.about)
    if where is None:
        return
    key, i = where
    if key != "wall":
        yield from (Repair("move it up", source.move(key, i, to)) for to in reversed(range(i)))
    yield Repair("delete it", (source.delete(key, i),))


def _unrouted(_: Subject, source: Source, __: Finding) -> Iterator[Repair]:
    end = len(source.items("routes"))
    rest = {"says": "Other requests take the cheapest lane.", "try": "cheapest"}
    yield Repair("end the list with a rule for all other requests", (source.insert("routes", end, [rest]),))
    rest = {"says": "Other requests are refused.", "try": "refuse"}
    yield Repair("refuse all other requests on purpose", (source.insert("routes", end, [rest]),), safe=True)


def _raising(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    where, classes = source.rule(finding.about, "wall"), subject.policy.classes
    when = source.at("wall", where[1], "when") if where else None
    edits = [
        source.replace(node, {"at_least": lowest})
        for node in _tests_of(when, "sensitivity")
        if (lowest := next((c for c in classes if c in _scalars(node)), None))
    ]
    yield Repair("let the limit close the lane to every higher class too", tuple(edits), safe=True)


def _tests_of(node: Node | None, fact: str) -> Iterator[Node]:
    for part in node.value if node is not None and not isinstance(node.value, str) else ():
        key, value = part if isinstance(part, tuple) else (None, part)
        if key is not None and key.value == fact:
            yield value
        else:
            yield from _tests_of(value, fact)


def _scalars(node: Node) -> set[str]:
    if isinstance(node.value, str):
        return {node.value}
    return {word for part in node.value for word in _scalars(part[1] if isinstance(part, tuple) else part)}


def _deadlines(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    latency = finding.about.partition(".")[2]
    node, stated = source.at("deadlines", latency), subject.policy.deadlines.get(latency)
    if node is not None and stated is not None and stated.first_byte is not None:
        for lanes in range(2, len(subject.policy.lanes) + 1):
            total = f"{stated.first_byte * lanes:g}s"
            yield Repair("raise the total", (source.put(node, "total", total),))


def _ceiling(subject: Subject, source: Source, finding: Finding) -> Iterator[Repair]:
    node = source.at(*finding.about.split("."))
    if node is None:
        return
    costs = [lane.price.cost(DEFAULT_OUTPUT, DEFAULT_OUTPUT) for lane in subject.policy.lanes.values() if lane.price]
    for cost in sorted(cost for cost in costs if cost):
        yield Repair("raise the ceiling to what an ordinary call costs", (source.put(node, "ceiling", f"{cost:.4f}"),))


CANDIDATES: dict[str, Candidates] = {
    "names-forbidden-lane": _names,
    "must-broken": _must,
    "class-forgotten": _forgotten,
    "dead-rule": _dead,
    "no-route": _unrouted,
    "raising-adds-lane": _raising,
    "deadlines": _deadlines,
    "ceiling-unmeetable": _ceiling,
}
"""By a finding's code. What is not here needs a fact that only people know, so that it is told in words alone."""
