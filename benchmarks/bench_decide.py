"""bench_decide: CPU microseconds of one `decide` under a policy of 20 routes, where the last one matches.

    python benchmarks/bench_decide.py            # a table
    python benchmarks/bench_decide.py --json

Each case is timed in batches by this thread's CPU clock; every batch gives one mean, and the row shows
their median, least and most. `last route`: 19 routes are tried in vain, and the money is limited. `mixed`:
400 requests of all kinds, with answers of every kind. `plan anew`: what decide keeps of earlier requests
never helps, as each request cites a number of its own and there are more of them than it keeps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import random
import statistics
import time
from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple, cast

from laneway.decide import decide
from laneway.decision import Decision, Route
from laneway.facts import Facts
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.signals import DIFFICULTIES, LATENCIES, STAKES, Ask, Difficulty, Latency, Signals, Stakes

TARGET_US = 10.0
TODAY = datetime.date(2026, 6, 1)
CLASSES = ("public", "internal", "confidential", "restricted")

_LANE = """\
  lane{i}:
    kind: {kind}
    provider: openai
    url: {url}
    model: model-{i}
    price: {{input: {price}, output: {price}}}
    limits: {{context: 128000, output: 4096}}
    supports: [tools, json, vision]
    {promises}
"""
_NINETEEN = """\
  - {when: {sensitivity: public, workload: translation, team: marketing}, try: cheapest}
  - {when: {any: [{team: legal}, {team: audit}], stakes: high}, try: safest}
  - {when: {difficulty: hard, latency: batch}, try: [eu, strongest]}
  - {when: {all: [{tokens: {over: 60000}}, {not: {latency: interactive}}]}, try: cheapest}
  - {when: {needs: audio}, try: strongest}
  - {when: {not: {any: [{latency: interactive}, {stakes: normal}]}}, try: fastest}
  - {when: {workload: [summaries, tagging], difficulty: routine, risk: {at_least: 7}}, try: safest}
  - {when: {region: [SE, NO, DK], any: [{tier: gold}, {risk: {over: 8}}]}, try: [eu, next]}
  - {when: {sensitivity: {at_least: restricted}, stakes: high}, try: [ours, hold]}
  - {when: {ceiling: {under: 0.0001}}, try: cheapest}
  - {when: {all: [{any: [{team: sales}, {team: support}]}, {any: [{stakes: high}, {needs: pdf}]}]}, try: safest}
  - {when: {difficulty: unknown}, try: strongest}
  - {when: {tier: gold, not: {difficulty: routine}}, try: strongest}
  - {when: {workload: translation, latency: [background, batch]}, try: cheapest}
  - {when: {tokens: {over: 100000}, needs: vision}, try: [eu, strongest]}
  - {when: {team: research, risk: {under: 2}}, try: fastest}
  - {when: {any: [{region: US}, {region: GB}], sensitivity: [public, internal]}, try: cheapest}
  - {when: {stakes: high, sensitivity: {at_most: internal}}, try: strongest}
  - {when: {all: [{latency: background}, {difficulty: hard}, {not: {needs: tools}}]}, try: safest}
"""
_POLICY = """\
laneway: 1
name: benchmark
currency: USD
approved: {{by: bench, on: 2026-05-01, review_every: 90d}}
sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal}}
facts: {{tier: {{values: [gold, plain]}}, risk: {{from: 0, to: 10}}}}
workloads: {{translation: {{}}, summaries: {{}}, tagging: {{}}, chat: {{}}}}
lanes:
{lanes}strength: [{names}]
zones:
  ours: {{kind: [local, private]}}
  eu: {{kind: managed-open, runs: EEA, stores: EEA, dpa: signed}}
  outside: {{kind: premium, retention: 30d}}
wall:
  - {{sensitivity: restricted, zones: [ours], says: Ours alone.}}
  - {{sensitivity: [public, internal, confidential], zones: [ours, eu], says: The EEA.}}
  - {{sensitivity: [public, internal], zones: [outside], says: Outside.}}
  - {{when: {{needs: audio}}, zones: [ours], says: Voices stay here.}}
routes:
{nineteen}  - {{when: {{any: [{{workload: chat}}, {{not: {{stakes: high}}}}]}}, try: [cheapest, strongest], says: The rest.}}
gate:
  checks: [empty, cut-off]
  waiver:
    - {{lanes: [{names}], until: 2026-05-31, by: bench}}
    - {{lanes: [{names}], until: 2026-12-31, by: bench, workloads: [translation]}}
    - {{lanes: [{names}], until: 2026-12-31, by: bench}}
  weak: [strongest, marked]
reviews:
  - {{when: {{stakes: high, team: legal}}, release: after-approval}}
deadlines: {{interactive: {{first_byte: 20s, total: 120s}}}}
fallbacks:
  - {{when: {{latency: batch}}, then: [cheapest, hold]}}
  - {{then: [next, refuse]}}
"""


class Asked(NamedTuple):
    """One request, as `decide` sees it."""

    ask: Ask
    signals: Signals
    facts: Facts


def policy(lanes: int) -> Policy:
    """The benchmark's policy: 20 routes, 4 classes, 3 zones, 3 waivers, and so many lanes of 3 kinds."""
    kinds = ("local", "managed-open", "premium")
    away = "\n    ".join(("runs: SE", "stores: SE", "dpa: 2025-01-01", "retention: 14d", "verified: 2026-05-20"))
    texts = [
        _LANE.format(
            i=i, kind=kinds[i % 3], price=round(0.2 + i * 0.4, 2), promises="" if i % 3 == 0 else away,
            url=f"http://127.0.0.1:{9000 + i}/v1" if i % 3 == 0 else f"https://lane{i}.example/v1",
        )
        for i in range(lanes)
    ]  # fmt: skip
    names = ", ".join(f"lane{i}" for i in range(lanes))
    return parse(_POLICY.format(lanes="".join(texts), names=names, nineteen=_NINETEEN))


LAST = Asked(
    Ask(None, 800),
    Signals(sensitivity="internal", ceiling=0.5, tokens=900, needs=("tools",), workload="chat", team="support",
            region="SE", declared={"tier": "plain", "risk": 3.0}),
    Facts(today=TODAY, p95={"lane0": 1.5, "lane1": 0.7}),
)  # fmt: skip
"""No route matches but the last, after 19 that look at every fact."""

PLAIN = Asked(Ask(), Signals(sensitivity="internal", tokens=300), Facts(today=TODAY))
"""What most clients send: no label at all, so no ceiling and declared facts unknown."""


ANEW = [
    Asked(Ask(), Signals(sensitivity="internal", tokens=60_001 + i, latency="batch"), Facts(today=TODAY))
    for i in range(10_000)
]
"""Each matches the fourth route, which tests the length, so that each has a reason of its own."""


def asked(chance: random.Random, names: list[str]) -> Asked:
    """Any request at all: every fact at random, also the unknown ones, closed lanes and pins."""
    pick = chance.choice
    declared: dict[str, str | float] = {}
    if chance.random() < 0.6:
        declared["tier"] = pick(("gold", "plain"))
    if chance.random() < 0.6:
        declared["risk"] = float(chance.randrange(11))
    needs = tuple(n for n in ("tools", "vision", "audio", "pdf", "json") if chance.random() < 0.12)
    signals = Signals(
        sensitivity=pick(CLASSES) if chance.random() < 0.98 else "of-another-policy",
        difficulty=cast(Difficulty, pick(DIFFICULTIES)),
        stakes=cast(Stakes, pick(STAKES)),
        latency=cast(Latency, pick(LATENCIES)),
        ceiling=pick((None, None, 0.00005, 0.002, 0.05, 1.0)),
        tokens=pick((10, 300, 5_000, 70_000, 120_000, 200_000)),
        needs=needs,
        workload=pick((None, "translation", "summaries", "tagging", "chat")),
        team=pick((None, "legal", "audit", "sales", "support", "research", "marketing")),
        region=pick((None, "SE", "NO", "DK", "US", "GB", "FI")),
        declared=declared,
    )
    shut = {name: "its key is not set" for name in names if chance.random() < 0.1}
    p95 = {name: round(chance.random() * 4, 2) for name in names if chance.random() < 0.5}
    days = pick((0, 0, 0, 30, 80, 100, 400))
    facts = Facts(today=TODAY + datetime.timedelta(days=days), closed=shut, p95=p95)
    return Asked(Ask(pick(names) if chance.random() < 0.1 else None, pick((None, None, 20, 800, 9000))), signals, facts)


def cases() -> Iterator[tuple[str, Policy, list[Asked]]]:
    """Each row's name, policy and requests."""
    for lanes in (3, 12):
        made = policy(lanes)
        _check(made)
        yield f"{lanes} lanes, last route", made, [LAST]
        yield f"{lanes} lanes, no labels", made, [PLAIN]
        chance = random.Random(7)
        yield f"{lanes} lanes, plan anew", made, ANEW
        yield f"{lanes} lanes, mixed", made, [asked(chance, list(made.lanes)) for _ in range(400)]


def _check(made: Policy) -> None:
    """The rows say what they time: the last route matches, after 19 that do not."""
    assert len(made.routes) == 20
    for one in (LAST, PLAIN):
        decision: Decision = decide(made, *one)
        assert isinstance(decision, Route)
        assert decision.reasons[0].rule == "routes[19]"


def measure(made: Policy, requests: list[Asked], batches: int, size: int) -> list[float]:
    """Microseconds of CPU for one decision, one mean a batch, sorted."""
    means, turn = [], cycle(requests)
    for _ in range(batches + 1):
        batch = [next(turn) for _ in range(size)]
        started = time.thread_time_ns()
        for ask, signals, facts in batch:
            decide(made, ask, signals, facts)
        means.append((time.thread_time_ns() - started) / size / 1000)
    return sorted(means[1:])  # the first one warms caches


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU microseconds of one decision")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a smoke run: too short to mean much")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--size", type=int, default=2000, help="decisions in a batch")
    options = parser.parse_args()
    batches, size = (5, 400) if options.quick else (options.batches, options.size)
    rows = []
    for name, made, requests in cases():
        means = measure(made, requests, batches, size)
        rows.append({"case": name, "median_us": round(statistics.median(means), 2), "min_us": round(means[0], 2),
                     "max_us": round(means[-1], 2)})  # fmt: skip
    if options.json:
        print(json.dumps({"bench": "decide", "target_us": TARGET_US, "python": platform.python_version(),
                          "batches": batches, "size": size, "rows": rows}, indent=2))  # fmt: skip
        return
    print(f"decide: CPU µs of one decision; {batches} batches of {size}; target {TARGET_US:g} µs")
    print(f"{'case':<24}{'median':>9}{'min':>9}{'max':>9}")
    for row in rows:
        print(f"{row['case']:<24}{row['median_us']:>9}{row['min_us']:>9}{row['max_us']:>9}")


if __name__ == "__main__":
    main()
