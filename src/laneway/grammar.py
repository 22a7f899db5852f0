"""The policy grammar's parts: readers for conditions, lanes, zones and rules, over `yaml_nodes`.

Each reader takes a node and gives a value of `policy`, `lane` or `condition`, or a problem with its place.
`policy_file` puts them together and checks names across the file.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ruamel.yaml.nodes import MappingNode

from laneway.addresses import is_private, on_this_machine
from laneway.condition import ALWAYS, All, Any, Condition, Not, Op, Test
from laneway.errors import did_you_mean, shown
from laneway.lane import KINDS, Lane, Limits, Price, Zone, cloud_backed
from laneway.policy import FRESH_DAYS, Approval, Bar, FactType
from laneway.regions import DEVICE, SETS, region
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
    whole,
)

__all__ = [
    "PROVIDERS",
    "TRANSFERS",
    "Names",
    "approval",
    "bar",
    "condition",
    "currency",
    "fact_type",
    "lane",
    "lane_tests",
    "network",
    "price",
    "read_region",
    "zone",
]  # fmt: skip

PROVIDERS = ("openai",)
TRANSFERS = ("DPF", "SCC", "BCR")
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


def read_region(node: Node, reading: Reading) -> frozenset[str]:
    """A country, a named set of countries, `device`, or a list of those."""
    places: set[str] = set()
    for name in listed(text)(node, reading):
        found = region(name)
        if found is None:
            hint = did_you_mean(name, (*SETS, DEVICE))
            reading.fail(node, f"unknown region `{shown(name)}`: write an ISO country such as SE{hint}")
        places |= found
    return frozenset(places)


def price(node: Node, reading: Reading) -> Price:
    """Money per million tokens: one number for all, or input, output and cached_input."""
    if isinstance(node.value, str):
        same = number(node, reading)
        return Price(same, same, same)
    entries = Entries(node, reading, ("input", "output", "cached_input"), "price")
    stated = {key: entries.get(key, number) for key in ("input", "output", "cached_input")}
    known = [value for value in stated.values() if value is not None]
    if not known:
        reading.fail(node, "a price needs at least one of input, output, cached_input")
    rate = {key: max(known) if value is None else value for key, value in stated.items()}
    return Price(rate["input"], rate["output"], rate["cached_input"])


def _limits(node: Node, reading: Reading) -> Limits:
    known = ("rpm", "concurrency", "context", "output")
    entries = Entries(node, reading, known, "limits")
    return Limits(**{key: entries.get(key, whole) for key in known})


_LANE_KEYS = (
    "kind",
    "provider",
    "url",
    "model",
    "key",
    "runs",
    "stores",
    "owner",
    "dpa",
    "transfer",
    "retention",
    "price",
    "limits",
    "verified",
    "address",
    "gate",
    "supports",
    "reports",
)


def lane(name: str, node: Node, reading: Reading) -> Lane:
    """One lane. `local` means this machine: loopback or a Unix socket, and no cloud-backed model behind it."""
    entries = Entries(node, reading, _LANE_KEYS, f"lane `{name}`")
    what = f"lane `{name}`"
    kind = entries.need("kind", one_of(KINDS, "kind"), what)
    own = kind in ("local", "private")
    made = Lane(
        name=name,
        line=entries.line,
        kind=kind,  # type: ignore[arg-type]  # one_of gives a Kind
        provider=entries.need("provider", one_of(PROVIDERS, "provider"), what),
        url=entries.need("url", _url, what).rstrip("/"),
        model=entries.need("model", text, what),
        key=entries.get("key", _key),
        runs=entries.get("runs", read_region) or (frozenset({DEVICE}) if kind == "local" else None),
        stores=entries.get("stores", read_region) or (frozenset({DEVICE}) if kind == "local" else None),
        owner=entries.get("owner", read_region),
        dpa=entries.get("dpa", date),
        transfer=entries.get("transfer", one_of(TRANSFERS, "transfer basis")),
        retention=entries.get("retention", days),
        price=entries.get("price", price),
        limits=entries.get("limits", _limits) or Limits(),
        verified=entries.get("verified", date),
        private_address=entries.get("address", one_of(["private-allowed"], "address")) is not None,
        gate_after=entries.get("gate", one_of(["before", "after"], "gate")) == "after",
        supports=_maybe_set(entries.get("supports", listed(one_of(NEEDS, "need")))),
        reports=frozenset(entries.get("reports", listed(text)) or ()),
    )
    _refuse_false_promises(made, own=own, entries=entries, reading=reading)
    return made


def _refuse_false_promises(made: Lane, *, own: bool, entries: Entries, reading: Reading) -> None:
    host = urlsplit(made.url).hostname or ""
    if made.kind == "local":
        if not on_this_machine(made.url):
            reading.note(
                entries.nodes["url"],
                f"lane `{made.name}` is `local`, so its url must be on loopback or a Unix socket; "
                "use kind `private` for a server of yours elsewhere",
            )
        if cloud_backed(made.model):
            reading.note(
                entries.nodes["model"],
                f"lane `{made.name}` is `local`, but `{shown(made.model)}` is answered in the maker's cloud; "
                "name a model that runs on this machine",
            )
    elif not own and not made.private_address:
        if on_this_machine(made.url) or is_private(host):
            reading.note(
                entries.nodes["url"],
                f"lane `{made.name}` is `{made.kind}`, but its url is on this machine or a private network; "
                "for a test bench or a corporate proxy say `address: private-allowed`",
            )
        elif made.url.startswith("http:"):
            reading.note(
                entries.nodes["url"],
                f"lane `{made.name}` is `{made.kind}`, so its url must be https, as prompts and keys travel there",
            )


def _maybe_set(words: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)


def _url(node: Node, reading: Reading) -> str:
    raw = text(node, reading)
    try:
        parts = urlsplit(raw)
        usable = bool(parts.hostname) and parts.port != 0 and parts.scheme in ("http", "https")
    except ValueError:
        parts, usable = urlsplit(""), False
    if raw.startswith("unix:/"):
        return raw
    if not usable or parts.query or parts.fragment:
        reading.fail(node, "expected a url such as https://inference.example.eu/v1 or unix:/run/model.sock")
    if parts.username or parts.password:
        reading.fail(node, "a url must not hold a credential; use `key: env:NAME`")
    return raw


def _key(node: Node, reading: Reading) -> str:
    raw = text(node, reading)
    if not (raw.startswith("env:") and raw[4:].isidentifier()) and not raw.startswith("file:/"):
        reading.fail(node, "a key is never written here; use `env:NAME` or `file:/path`")
    return raw


_ZONE_KEYS = ("kind", "lanes", "runs", "stores", "owner", "dpa", "transfer", "retention")


def zone(name: str, node: Node, reading: Reading, lanes: Iterable[str]) -> Zone:
    """One zone: every stated condition must be met by a lane that is in it."""
    entries = Entries(node, reading, _ZONE_KEYS, f"zone `{name}`")
    if not entries.nodes:
        reading.fail(node, f"zone `{name}` states nothing, so it would hold every lane; name a condition")
    return Zone(
        name=name,
        line=entries.line,
        kind=_maybe_set(entries.get("kind", listed(one_of(KINDS, "kind")))),
        lanes=_maybe_set(entries.get("lanes", listed(one_of(lanes, "lane")))),
        runs=entries.get("runs", read_region),
        stores=entries.get("stores", read_region),
        owner=entries.get("owner", read_region),
        dpa=entries.get("dpa", one_of(["signed"], "dpa")) is not None,
        transfer=_maybe_set(entries.get("transfer", listed(one_of(("valid", *TRANSFERS), "transfer basis")))),
        retention=entries.get("retention", days),
    )


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
    if not (0 < made.score <= 1 and 0 < made.confidence < 1):
        reading.fail(node, "`score` is in 0..1 and `confidence` below 1, such as 0.85 and 0.95")
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


def lane_tests(node: Node, reading: Reading, lanes: Iterable[str]) -> tuple[tuple[str, frozenset[str], bool], ...]:
    """A `must`'s `lane`: each test as (fact, values, whether negated)."""
    entries = Entries(node, reading, ("kind", "runs", "stores", "owner", "name"), "`lane`")
    tests = []
    for key, value in entries.nodes.items():
        negated = isinstance(value, MappingNode)
        inner = Entries(value, reading, ("not",), f"`{key}`").need("not", lambda n, _: n, key) if negated else value
        if key in ("runs", "stores", "owner"):
            places = read_region(inner, reading)
        else:
            places = frozenset(
                listed(one_of(KINDS, "kind") if key == "kind" else one_of(lanes, "lane"))(inner, reading)
            )
        tests.append((key, places, negated))
    return tuple(tests)
