"""Policy texts and builders that several tests share.

`FULL` uses every key of the grammar once; `SMALL` is the least that loads. Builders give real values of
`laneway.lane` and `laneway.policy` without a file.
"""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from hypothesis import strategies as st

from laneway.condition import ALWAYS, Condition, Not, Test
from laneway.decision import Reason, Route
from laneway.lane import KINDS, Kind, Lane, Price, Zone
from laneway.policy import Approval, Detect, Gate, Grant, Limit, Policy, Ranking, Unlabelled, Waiver
from laneway.policy_file import parse

TODAY = datetime.date(2026, 11, 24)
CLASSES = ("public", "internal", "confidential", "restricted")

FULL = """\
# Every key of the grammar, once.
laneway: 1
name: Fjord Legal
approved: {by: The data protection officer, on: 2026-11-20, review_every: 60d}
currency: EUR

sensitivity: [public, internal, confidential, restricted]
unlabelled: {sensitivity: internal, difficulty: auto, latency: interactive, stakes: normal, ceiling: 5}

lanes:
  home:
    kind: local
    provider: openai
    url: http://127.0.0.1:8081/v1
    model: qwen3-8b-q4
    runs: device
    price: 0
    supports: [tools, json]
    reports: qwen3-8b
    gate: after
  rack:
    kind: private
    provider: openai
    url: http://10.20.0.7:8000/v1
    model: llama-70b
    runs: NO
    stores: NO
    price: {input: 0.10, output: 0.20}
  shared:
    kind: managed-open
    provider: openai
    url: https://inference.example.eu/v1
    model: mistral-large-2411
    key: env:SHARED_KEY
    runs: DE
    stores: [DE, FR]
    owner: FR
    dpa: 2026-01-15
    retention: 0d
    price: {input: 1.80, output: 5.40, cached_input: 0.18}
    limits: {rpm: 600, concurrency: 32, context: 128000, output: 8000}
    verified: 2026-11-01
  premium:
    kind: premium
    provider: openai
    url: https://api.example.com/v1
    model: gpt-5-2026-08
    key: file:/run/secrets/premium
    tls: {ca: file:/etc/laneway/ca.pem, cert: file:/etc/laneway/cert.pem, key: file:/etc/laneway/key.pem}
    proxy: {url: "http://proxy.example.com:3128", key: env:PROXY_KEY}
    runs: US
    stores: US
    owner: US
    dpa: 2026-02-01
    transfer: DPF
    price: {input: 3.00, output: 15.00}
    verified: 2026-11-01
  bench:
    kind: premium
    provider: openai
    url: http://127.0.0.1:9999/v1
    model: scripted
    address: private-allowed
    price: {input: 1.00}
strength: [home, rack, shared, bench, premium]

networks: [10.20.0.0/16]

zones:
  ours: {kind: [local, private]}
  eea: {runs: EEA, stores: EEA, dpa: signed}
  world: {dpa: signed, transfer: valid}
  named: {lanes: [shared, premium], owner: [US, FR], retention: 30d}

wall:
  - id: secrets
    sensitivity: restricted
    zones: [ours]
    says: What is restricted never leaves our own machines.
  - {sensitivity: confidential, zones: [ours, eea], says: Confidential work stays here or under contract in the EEA.}
  - {sensitivity: [internal, public], zones: [ours, eea, world], says: The rest may go further.}
  - {when: {matter: merger}, zones: [ours], says: The merger is not discussed with anyone outside.}

facts:
  matter: {values: [merger, patent, none]}
  pages: {from: 0, to: 5000}

detect:
  says: An identifier of a person makes a text restricted.
  identifiers: {card: confidential, "*": restricted}
  unreadable: restricted

workloads:
  contract-review: {sensitivity: confidential, stakes: high, latency: background, ceiling: 0.40, difficulty: hard, says: Contracts are read line by line.}
  chat: {latency: interactive, output: {language: sv, format: json, schema: {type: object, required: [answer]}, most_chars: 4000}}

routes:
  - id: hard-first
    says: Demanding work begins with the best lane that it may use.
    when: {any: [{difficulty: hard}, {stakes: high}]}
    try: strongest
  - {says: Long texts go to lanes in this order., when: {all: [{pages: {over: 100}}, {not: {workload: chat}}]}, try: [shared, ours]}
  - {says: All else begins with the cheapest., try: cheapest}

gate:
  says: A doubtful answer is asked once more of a stronger lane, and otherwise a person decides.
  checks: [empty, cut-off, invalid-json, tool-call, refusal, contract]
  judge: [safest, strongest]
  evidence: {score: 0.85, confidence: 0.95}
  waiver:
    - {lanes: [home, rack, shared, premium], until: 2026-12-20, by: The head of platform, says: Until Christmas no lane needs evidence.}
    - {lanes: [bench], until: 2026-12-31, by: The head of platform, workloads: [chat]}
  weak: [strongest, hold]

deadlines:
  interactive: {first_byte: 4s, hedge: 1s, total: 60s}
  background: {total: 10m}
  batch: {total: 24h}

fallbacks:
  - {says: High stakes wait for a person., when: {stakes: high}, then: [hold]}
  - {says: Confidential work falls back to our own machines only., when: {sensitivity: {at_least: confidential}}, then: [ours, refuse]}
  - {says: Other work takes the next lane., then: [next, refuse]}

reviews:
  - {says: A lawyer reads what the model says of a contract., when: {workload: contract-review}, release: after-approval, wait: 10s, within: 2d, eyes: 2, comment: [reject, edit]}
  - {when: {team: press}, release: now}

shadow:
  - {id: tryout, says: The rack shows what it can do with chats., when: {workload: chat}, lanes: [rack], share: 0.05, judge: [home], budget: 2, until: 2026-12-15}

capture:
  - {says: Chats are kept for a month to build tests from., when: {workload: chat, sensitivity: {at_most: internal}}, for: 30d}

retention:
  - {says: Decisions about restricted data are kept for a year., sensitivity: [restricted], for: 365d}

must:
  - {says: Confidential data is processed in the EEA only., never: {sensitivity: {at_least: confidential}, lane: {runs: {not: EEA}, kind: {not: [local, private]}}}}
  - {says: No request costs more than two euros., never: {cost: {over: 2}}}
"""

SMALL = """\
laneway: 1
name: small
currency: EUR
sensitivity: [public, restricted]
unlabelled: {sensitivity: public}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:1/v1", model: m, price: 0}
  away: {kind: premium, provider: openai, url: "https://a.example/v1", model: n, price: 3}
strength: [home, away]
zones:
  ours: {kind: local}
  all: {kind: [local, premium]}
wall:
  - {sensitivity: restricted, zones: [ours], says: Ours alone.}
  - {sensitivity: public, zones: [all], says: Anywhere.}
routes:
  - {try: cheapest}
gate:
  waiver: {lanes: [home, away], until: 2099-01-01, by: me}
"""


def changed(old: str, new: str, source: str = FULL) -> str:
    """`source` with its one occurrence of `old` replaced."""
    assert source.count(old) == 1, f"{source.count(old)} occurrences of {old!r}"
    return source.replace(old, new)


def full() -> Policy:
    """The policy that `FULL` describes."""
    return parse(FULL, "full.yaml")


def lane(name: str = "there", kind: Kind = "premium", **facts: Any) -> Lane:
    """A lane of others' that was verified today and says nothing else, but for `facts`."""
    url = "http://127.0.0.1:1/v1" if kind == "local" else "https://lane.example/v1"
    said: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "provider": "openai",
        "url": url,
        "model": "m",
        "verified": TODAY,
    }
    return Lane(**said | facts)


def route(*lanes: str, escalate: tuple[str, ...] = (), **facts: Any) -> Route:
    """A Route over `lanes`."""
    reasons = (
        Reason("route", "routes[0]", "stakes=high", f"{lanes[0]} is tried first (strongest)", "Best first.", lanes[0]),
    )
    given: dict[str, Any] = {
        "lanes": lanes, "escalate": escalate, "on_failure": "refuse", "on_weak": "refuse", "release": "now",
        "evidence": "waived", "first_byte": None, "total": None, "caps": {}, "estimated_cost": 0.0,
        "reasons": reasons, "rejected": (),
    }  # fmt: skip
    return Route(**given | facts)


def policy(**parts: Any) -> Policy:
    """A policy in force with one route, a waiver for every lane, and whatever `parts` say."""
    lanes = parts.pop("lanes", None) or {"home": lane("home", "local"), "away": lane("away")}
    gate = parts.pop("gate", Gate())
    waiver = Waiver(id="gate.waiver", lanes=frozenset(lanes), until=datetime.date(2099, 1, 1), by="us")
    given: dict[str, Any] = {
        "name": "t", "text": "", "hash": "0" * 64, "file": "t.yaml", "currency": "EUR", "classes": CLASSES,
        "unlabelled": Unlabelled(sensitivity="internal"), "lanes": lanes, "strength": tuple(lanes),
        "zones": {"all": Zone(name="all", kind=frozenset(KINDS))},
        "grants": (Grant(id="wall[0]", classes=frozenset(CLASSES), zones=("all",)),),
        "routes": (Ranking(id="routes[0]", words=("cheapest",)),),
        "detect": Detect(identifiers={"*": "restricted"}, unreadable="restricted"),
        "gate": Gate(checks=gate.checks, weak=gate.weak, weak_stop=gate.weak_stop, says=gate.says, waivers=(waiver,)),
    }  # fmt: skip
    return Policy(**given | parts)


_COUNTRIES = ("SE", "DE", "NO", "US", "GB", "CN")
_DATES = st.sampled_from([None, TODAY, TODAY + datetime.timedelta(1), TODAY - datetime.timedelta(400)])
_WHERE = st.none() | st.sets(st.sampled_from(_COUNTRIES), min_size=1, max_size=2).map(frozenset)


def lanes() -> st.SearchStrategy[Lane]:
    """Any lane that a policy file could describe, by the facts that zones read."""
    return st.builds(
        lane, st.just("x"), st.sampled_from(KINDS), runs=_WHERE, stores=_WHERE, owner=_WHERE, dpa=_DATES,
        transfer=st.sampled_from([None, "DPF", "SCC", "BCR"]), retention=st.sampled_from([None, 0, 30]),
        verified=_DATES, price=st.sampled_from([None, Price(1, 2, 1)]),
    )  # fmt: skip


def zones(names: tuple[str, ...]) -> st.SearchStrategy[Zone]:
    """Any zone over lanes with these `names`."""
    where = st.none() | st.sets(st.sampled_from(_COUNTRIES), max_size=4).map(frozenset)
    return st.builds(
        Zone, name=st.just("z"), kind=st.none() | st.sets(st.sampled_from(KINDS)).map(frozenset),
        lanes=st.none() | st.sets(st.sampled_from(names)).map(frozenset), runs=where, stores=where, owner=where,
        dpa=st.booleans(), retention=st.sampled_from([None, 0, 30]),
        transfer=st.sampled_from([None, frozenset({"valid"}), frozenset({"DPF"}), frozenset({"SCC", "BCR"})]),
    )  # fmt: skip


_WHEN: list[Condition] = [
    ALWAYS,
    Test("stakes", "in", frozenset({"high"})),
    Test("matter", "in", frozenset({"merger"})),
    Not(Test("matter", "in", frozenset({"merger"}))),
]


@st.composite
def policies(draw: st.DrawFn, *, limited: bool = False) -> Policy:
    """Random lanes, zones and wall; with `limited` also rules that narrow the wall."""
    names = tuple(f"lane{i}" for i in range(draw(st.integers(1, 5))))
    made = {name: replaced(draw(lanes()), name) for name in names}
    zone_names = tuple(f"zone{i}" for i in range(draw(st.integers(1, 4))))
    some_zones = st.lists(st.sampled_from(zone_names), max_size=3, unique=True).map(tuple)
    grants = [
        Grant(
            id=f"wall[{i}]",
            classes=frozenset(draw(st.sets(st.sampled_from(CLASSES), min_size=1))),
            zones=draw(some_zones),
        )
        for i in range(draw(st.integers(0, 5)))
    ]
    limits = [
        Limit(id=f"limit[{i}]", when=draw(st.sampled_from(_WHEN)), zones=draw(some_zones))
        for i in range(draw(st.integers(1, 2)) if limited else 0)
    ]
    return policy(
        lanes=made,
        strength=tuple(draw(st.permutations(names))),
        zones={name: draw(zones(names)) for name in zone_names},
        grants=tuple(grants),
        limits=tuple(limits),
        approval=draw(st.sampled_from([None, Approval("us", TODAY, 500)])),
    )


def replaced(made: Lane, name: str) -> Lane:
    """`made` under another name."""
    return dataclasses.replace(made, name=name)
