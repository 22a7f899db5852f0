"""The policy grammar's parts: readers for conditions, declared facts and single values, over `yaml_nodes`.

Each reader takes a node and gives a value of `policy` or `condition`, or a problem with its place.
`policy_file` puts them together and checks names across the file.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ruamel.yaml.nodes import MappingNode

from laneway.condition import ALWAYS, All, Any, Condition, Not, Op, Test
from laneway.errors import shown
from laneway.grammar_lanes import read_region
from laneway.policy import FRESH_DAYS, Approval, Bar, FactType
from laneway.regions import DEVICE
from laneway.signals import DIFFICULTIES, LATENCIES, NEEDS, STAKES, Signals
from laneway.yaml_nodes import (
    Entries,
    Node,
    Reading,
    date,
    days,
    each,
    listed,
    number,
    one_of,
    text,
)

__all__ = ["RANKINGS", "Names", "approval", "bar", "condition", "currency", "fact_type", "network"]

RANKINGS = ("cheapest", "safest", "strongest", "fastest", "next")
"""The words that rank the lanes which are left."""

_NUMERIC = ("ceiling", "tokens")
_OPS: dict[str, Op] = {"at_least": "at_least", "at_most": "at_most", "over": "over", "under": "under"}


@dataclass(slots=True)
class Names:
    """The names that the file has declared so far, for the readers that refer to them."""

    classes: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    facts: dict[str, FactType] = field(default_factory=dict)

    def domain(self, fact: str) -> tuple[str, ...] | None:
        """The words a fact may take, in order; () for free words; None for a number."""
        if fact in _NUMERIC or (fact in self.facts and not self.facts[fact].values):
            return None
        fixed = {
            "sensitivity": self.classes, "difficulty": DIFFICULTIES, "stakes": STAKES,
            "latency": LATENCIES, "needs": NEEDS, "workload": self.workloads,
        }  # fmt: skip
        if fact in fixed:
            return fixed[fact]
        return self.facts[fact].values if fact in self.facts else ()

    @property
    def testable(self) -> tuple[str, ...]:
        """Every fact that a rule may test."""
        built_in = ("sensitivity", "difficulty", "stakes", "latency", "ceiling", "tokens", "needs",
                    "workload", "team", "region")  # fmt: skip
        return (*built_in, *self.facts)


def condition(node: Node, reading: Reading, names: Names, extra: Iterable[str] = ()) -> Condition:
    """A `when`: facts joined by and; `any`, `all` and `not` nest. `extra` keys are left to the caller."""
    entries = Entries(node, reading, (*names.testable, "any", "all", "not", *extra), "this condition")
    parts: list[Condition] = []
    for key, value in entries.nodes.items():
        if key in ("any", "all"):
            inner = each(lambda n, r: condition(n, r, names))(value, reading)
            if not inner:
                reading.fail(value, f"`{key}` needs at least one condition")
            parts.append(Any(inner) if key == "any" else All(inner))
        elif key == "not":
            parts.append(Not(condition(value, reading, names)))
        elif key not in extra:
            parts.append(_test(key, value, reading, names))
    if not parts:
        if extra:
            return ALWAYS
        reading.fail(node, "an empty condition; leave `when` out where the rule always applies")
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _test(fact: str, node: Node, reading: Reading, names: Names) -> Condition:
    domain = names.domain(fact)
    if not isinstance(node, MappingNode):
        if domain is None:
            return Test(fact, "in", frozenset(listed(number)(node, reading)))
        if fact == "region":
            places = read_region(node, reading)
            if DEVICE in places:
                reading.fail(node, "a client's region is a country, never `device`; write one such as SE")
            return Test(fact, "in", frozenset(places))
        free = fact == "team"
        words = listed(text if free else one_of(domain, fact))(node, reading)
        return Test(fact, "in", frozenset(words))
    entries = Entries(node, reading, (*_OPS, "not"), f"the test of `{fact}`")
    if len(entries.nodes) != 1:
        reading.fail(node, f"the test of `{fact}` takes one of {', '.join(_OPS)}, not")
    ((key, value),) = entries.nodes.items()
    if key == "not":
        return Not(_test(fact, value, reading, names))
    if domain is None:
        return Test(fact, _OPS[key], frozenset({number(value, reading)}))
    if fact != "sensitivity":
        reading.fail(value, f"`{fact}` has no order; only sensitivity and numbers take `{key}`")
    at = domain.index(one_of(domain, fact)(value, reading))
    kept = {
        "at_least": domain[at:],
        "over": domain[at + 1 :],
        "at_most": domain[: at + 1],
        "under": domain[:at],
    }
    return Test(fact, "in", frozenset(kept[key]))


def fact_type(name: str, node: Node, reading: Reading) -> FactType:
    """A declared fact: `values`, or `from` and `to`."""
    entries = Entries(node, reading, ("values", "from", "to"), f"fact `{name}`")
    values = entries.get("values", each(text)) or ()
    low, high = entries.get("from", number), entries.get("to", number)
    if name in (*Signals.__struct_fields__, "any", "all", "not", "lane", "cost"):
        reading.fail(node, f"`{name}` is a word of the grammar; give the fact another name")
    if low is not None and high is not None and low > high:
        reading.fail(node, f"fact `{name}` runs from {low:g} to {high:g}: nothing is in between")
    if bool(values) == (low is not None and high is not None):
        reading.fail(node, f"fact `{name}` needs either `values: [...]`, or `from` and `to`")
    return FactType(name, values, low, high)


def bar(node: Node, reading: Reading) -> Bar:
    """The quality bar: `score` at `confidence`."""
    entries = Entries(node, reading, ("score", "confidence"), "`evidence`")
    made = Bar(entries.need("score", number, "`evidence`"), entries.need("confidence", number, "`evidence`"))
    if not (0 < made.score <= 1 and 0.5 <= made.confidence < 1):
        reading.fail(node, "`score` is in 0..1 and `confidence` from 0.5 to below 1, such as 0.85 and 0.95")
    return made


def approval(node: Node, reading: Reading) -> Approval:
    """Who approved the policy, when, for how long, and what they saw."""
    entries = Entries(node, reading, ("by", "on", "review_every", "hash"), "`approved`")
    by, on = entries.need("by", text, "`approved`"), entries.need("on", date, "`approved`")
    if on > datetime.date.max - datetime.timedelta(days=36500):
        reading.fail(node, "`on` is too far in the future")
    every = entries.get("review_every", days)
    return Approval(by, on, FRESH_DAYS if every is None else every, entries.line, entries.get("hash", _digest))


def _digest(node: Node, reading: Reading) -> str:
    raw = text(node, reading)
    if not re.fullmatch("[0-9a-f]{64}", raw):
        reading.fail(node, "`hash` is written by `laneway policy approve --by NAME`; leave it out until then")
    return raw


def currency(node: Node, reading: Reading) -> str:
    """An ISO 4217 code."""
    raw = text(node, reading)
    if not (len(raw) == 3 and raw.isascii() and raw.isupper()):
        reading.fail(node, f"expected an ISO 4217 currency such as EUR, not `{shown(raw)}`")
    return raw


def network(node: Node, reading: Reading) -> str:
    """An IP network in CIDR form."""
    raw = text(node, reading)
    try:
        return str(ipaddress.ip_network(raw))
    except ValueError:
        reading.fail(node, f"expected a network such as 10.20.0.0/16, not `{shown(raw)}`")
