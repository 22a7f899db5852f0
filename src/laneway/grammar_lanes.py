"""The grammar of lanes and zones: readers for what a lane promises, where it is, and what a zone asks for.

Each takes a node and gives a value of `lane`, or a problem with its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ruamel.yaml.nodes import MappingNode

from laneway.addresses import is_private, on_this_machine
from laneway.errors import did_you_mean, shown
from laneway.lane import KINDS, Lane, Limits, Price, Proxy, Tls, Zone, cloud_backed
from laneway.regions import DEVICE, SETS, region
from laneway.signals import NEEDS
from laneway.yaml_nodes import Entries, Node, Reading, date, days, listed, number, one_of, text, whole

__all__ = ["PROVIDERS", "TRANSFERS", "lane", "lane_tests", "price", "read_region", "zone"]

PROVIDERS = ("openai",)
TRANSFERS = ("DPF", "SCC", "BCR")


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
    "tls",
    "proxy",
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
        tls=entries.get("tls", _tls),
        proxy=entries.get("proxy", _proxy),
    )
    _refuse_false_promises(made, own=own, entries=entries, reading=reading)
    return made


def _refuse_false_promises(made: Lane, *, own: bool, entries: Entries, reading: Reading) -> None:
    host = urlsplit(made.url).hostname or ""
    for key, given in (("tls", made.tls), ("proxy", made.proxy)):
        if given is not None and not made.url.startswith("https:"):
            reading.note(
                entries.nodes[key], f"`{key}` is for lanes with an https url, and that of `{made.name}` is not"
            )
    if own and made.proxy is not None:
        reading.note(entries.nodes["proxy"], f"lane `{made.name}` is `{made.kind}`: a proxy would hide where it is")
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
    return parts.geturl()  # with a scheme in small letters, by which plain http is told apart


def _key(node: Node, reading: Reading) -> str:
    raw = text(node, reading)
    if not (raw.startswith("env:") and raw[4:].isidentifier()) and not raw.startswith("file:/"):
        reading.fail(node, "a key is never written here; use `env:NAME` or `file:/path`")
    return raw


def _file(node: Node, reading: Reading) -> str:
    raw = text(node, reading)
    if not raw.startswith("file:/"):
        reading.fail(node, "expected a file such as file:/etc/laneway/ca.pem")
    return raw


def _tls(node: Node, reading: Reading) -> Tls:
    entries = Entries(node, reading, ("ca", "cert", "key"), "`tls`")
    made = Tls(*(entries.get(key, _file) for key in ("ca", "cert", "key")))
    if made == Tls() or (made.cert is None) != (made.key is None):
        reading.fail(node, "`tls` takes a `ca`, or `cert` and `key` together, or all three")
    return made


def _proxy(node: Node, reading: Reading) -> Proxy:
    entries = Entries(node, reading, ("url", "key"), "`proxy`")
    where = entries.need("url", _url, "`proxy`")
    parts = urlsplit(where)
    if parts.scheme != "http" or parts.port is None or parts.path not in ("", "/"):
        reading.fail(entries.nodes["url"], "expected a proxy such as http://proxy.example.com:3128")
    return Proxy(parts.hostname or "", parts.port, entries.get("key", _key))


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
