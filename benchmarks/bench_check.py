"""How long `laneway check` takes as a policy grows: rules, facts and lanes, made up but shaped like real ones.

    python benchmarks/bench_check.py [--rules 25 50 100 200 400] [--certify] [--json] [--chart docs/check-growth.svg]

Each policy has 12 facts that its rules test (9 enumerated, 3 numeric), 12 lanes, 4 classes, and a clean wall, so
that every property must be proved and no search may stop early. One core, everything from loaded policy to report.
With --certify, rules that decide nothing are dropped first, and writing a certificate and the second proof are timed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import time
from dataclasses import replace
from pathlib import Path

from laneway.certificate.certify import certify
from laneway.certificate.second import objections
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.space import Space
from laneway.proof.verify import verify

TODAY = datetime.date(2026, 11, 24)
KINDS = ("local", "private", "managed-open", "premium")
FACTS = {f"fact{i}": [f"v{k}" for k in range(4)] for i in range(5)}
NUMBERS = {"pages": 1000}


def made(rules: int, seed: int = 7) -> Policy:
    """A policy of about `rules` rules, the same for the same seed."""
    dice = random.Random(seed)
    lines = ["laneway: 1", "name: made", "currency: EUR", "sensitivity: [public, internal, confidential, restricted]",
             "unlabelled: {sensitivity: internal}", "networks: [10.0.0.0/8]", "lanes:"]  # fmt: skip
    names = [f"lane{i}" for i in range(12)]
    for i, name in enumerate(names):
        kind = KINDS[i % 4]
        url = {"local": f"http://127.0.0.1:{8000 + i}/v1", "private": f"http://10.0.0.{i}/v1"}.get(
            kind, f"https://l{i}.example/v1"
        )
        more = "" if kind in ("local", "private") else ", runs: DE, stores: DE, dpa: 2026-01-01, verified: 2026-11-20"
        lines.append(f'  {name}: {{kind: {kind}, provider: openai, url: "{url}", model: m{i}, price: {i}{more}}}')
    lines.append(f"strength: [{', '.join(names)}]")
    lines += ["zones:", "  ours: {kind: [local, private]}", "  eea: {runs: EEA, stores: EEA, dpa: signed}"]
    lines += ["wall:", "  - {sensitivity: restricted, zones: [ours]}",
              "  - {sensitivity: [public, internal, confidential], zones: [ours, eea]}",
              "facts:"]  # fmt: skip
    lines += [f"  {fact}: {{values: [{', '.join(values)}]}}" for fact, values in FACTS.items()]
    lines += [f"  {fact}: {{from: 0, to: {top}}}" for fact, top in NUMBERS.items()]
    lines += ["workloads: {w0: {latency: batch}, w1: {stakes: high}, w2: {}}", "routes:"]
    lines += [f"  - {{when: {_when(dice)}, try: [{_words(dice)}]}}" for _ in range(rules * 6 // 10)] + [
        "  - {try: cheapest}"
    ]
    lines += ["fallbacks:"]
    lines += [f"  - {{when: {_when(dice)}, then: [{_words(dice)}, refuse]}}" for _ in range(rules * 3 // 10)] + [
        "  - {then: [next, refuse]}"
    ]
    lines += ["reviews:"] + [f"  - {{when: {_when(dice)}}}" for _ in range(max(1, rules // 10))]
    lines += [
        "gate: {checks: [empty], weak: [strongest, hold], waiver: {lanes: ["
        + ", ".join(names)
        + "], until: 2027-06-01, by: me}}"
    ]
    lines += ["must:", "  - {never: {sensitivity: restricted, lane: {kind: [managed-open, premium]}}}",
              "  - {never: {sensitivity: {at_least: confidential}, lane: {runs: {not: EEA}, kind: {not: [local, private]}}}}"]  # fmt: skip
    return parse("\n".join(lines) + "\n", "made.yaml")


def _when(dice: random.Random) -> str:
    built_in = {"sensitivity": ["public", "internal", "confidential", "restricted"], "difficulty": ["routine", "hard", "unknown"],
                "stakes": ["normal", "high"], "latency": ["interactive", "background", "batch"]}  # fmt: skip
    domains = built_in | FACTS
    tests = [f"{fact}: {dice.choice(domains[fact])}" for fact in dice.sample(sorted(domains), dice.randint(2, 4))]
    for fact, top in (("pages", 1000), ("tokens", 100_000), ("ceiling", 10)):
        if dice.random() < 0.25:
            tests.append(f"{fact}: {{{dice.choice(['over', 'under'])}: {dice.randint(1, 40) * top // 40 or 1}}}")
    return "{" + ", ".join(tests) + "}"


def _words(dice: random.Random) -> str:
    return ", ".join(
        dice.sample(["cheapest", "strongest", "ours", "safest", "lane0", "lane1", "lane4"], dice.randint(1, 2))
    )


def live(policy: Policy) -> Policy:
    """The policy without its dead rules."""
    while dead := {finding.about for finding in verify(policy, TODAY, seconds=600).errors}:
        routes, fallbacks = ([r for r in rules if r.id not in dead] for rules in (policy.routes, policy.fallbacks))
        reviews = tuple(review for review in policy.reviews if review.id not in dead)
        policy = replace(policy, routes=tuple(routes), fallbacks=tuple(fallbacks), reviews=reviews)
    return policy


def certified(policy: Policy) -> dict[str, object]:
    """Seconds to certify the policy's proof, and to prove it a second time."""
    report = verify(policy, TODAY, seconds=600)
    started = time.perf_counter()
    certificate = certify(policy, report, TODAY, 600)
    written = time.perf_counter()
    assert not list(objections(policy, certificate, TODAY, 600))
    return {"certify": round(written - started, 2), "second": round(time.perf_counter() - written, 2)}


def main() -> None:
    """Print seconds by number of rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, nargs="+", default=[25, 50, 100, 200, 400])
    parser.add_argument("--certify", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chart", type=Path, help="write the curve as SVG")
    args = parser.parse_args()
    rows = []
    for rules in args.rules:
        policy = live(made(rules)) if args.certify else made(rules)
        started = time.perf_counter()
        report = verify(policy, TODAY, seconds=600)
        took = time.perf_counter() - started
        dead = sum(f.code == "dead-rule" for f in report.findings)
        rows.append({"rules": rules, "seconds": round(took, 2), "prover": report.prover, "requests": float(report.requests),
                     "facts": sum(len(d.values) > 1 for d in Space(policy).dimensions), "dead": dead,
                     "errors": len(report.errors), "unproved": report.unproved})  # fmt: skip
        if args.certify:
            rows[-1] |= certified(policy)
        if not args.json:
            print(rows[-1], flush=True)
    if args.json:
        print(json.dumps(rows))
    if args.chart:
        args.chart.write_text(chart([(int(row["rules"]), float(row["seconds"])) for row in rows]), "utf-8")


def chart(points: list[tuple[int, float]]) -> str:
    """Seconds by rules as a small SVG that reads on light and dark pages."""
    width, height, left, bottom = 520, 260, 56, 44
    most_x, most_y = max(x for x, _ in points), max(0.5, max(y for _, y in points) * 1.15)

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (width - left - 24) * x / most_x, (height - bottom - 24) * y / most_y
        return round(left + across, 1), round(height - bottom - up, 1)

    text = 'font-family="system-ui, sans-serif" font-size="12" fill="#6b7280"'
    (x0, y0), (x1, _), (_, y1) = at(0, 0), at(most_x, 0), at(0, most_y)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="Seconds that a proof takes, by number of rules">',
        f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="#9ca3af"/>',
        f'<text x="{(x0 + x1) / 2}" y="{height - 8}" text-anchor="middle" {text}>rules (12 facts, 12 lanes)</text>',
        f'<text x="{x0}" y="16" text-anchor="middle" {text}>seconds</text>',
    ]
    for tick in range(int(most_y * 2) + 1):
        _, y = at(0, tick / 2)
        lines.append(f'<text x="{x0 - 8}" y="{y + 4}" text-anchor="end" {text}>{tick / 2:g}</text>')
    path = "M" + "L".join(f"{x} {y}" for x, y in (at(*point) for point in points))
    lines.append(f'<path d="{path}" fill="none" stroke="#2563eb" stroke-width="2"/>')
    for rules, seconds in points:
        x, y = at(rules, seconds)
        lines.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="#2563eb"/>')
        lines.append(f'<text x="{x}" y="{y - 9}" text-anchor="middle" {text}>{seconds:g}</text>')
        lines.append(f'<text x="{x}" y="{y0 + 16}" text-anchor="middle" {text}>{rules}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
