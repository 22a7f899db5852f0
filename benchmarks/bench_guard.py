"""bench_guard: CPU microseconds of one look of the guard at a 1 KB chat request, by what the lane is shut to.

    python benchmarks/bench_guard.py

Each row is the median, least and most of 15 batches by this thread's CPU clock. `anything`: a lane that may have every
class under every limit, where nothing is read again. `some classes`: the class is read again from label and text.
`and limits`: also every fact that a limit may look at.
"""

from __future__ import annotations

import datetime
import statistics
import sys
import time

import msgspec

from laneway.classify import classify
from laneway.egress import guard
from laneway.policy_file import parse
from laneway.wire import openai

TODAY = datetime.date(2026, 6, 1)
BATCHES, CALLS = 15, 2_000
POLICY = """\
laneway: 1
name: bench
currency: EUR
sensitivity: [public, internal, confidential, restricted]
unlabelled: {sensitivity: internal}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:1/v1", model: m, price: 0}
  away: {kind: premium, provider: openai, url: "https://away.example/v1", model: m, price: 1}
strength: [home, away]
zones: {ours: {kind: local}, outside: {kind: premium}}
wall:
  - {sensitivity: [restricted, confidential], zones: [ours]}
  - {sensitivity: [internal, public], zones: [ours, outside]}
gate: {waiver: {lanes: [home, away], until: 2026-09-01, by: Head of Platform}, weak: [marked]}
routes:
  - {try: cheapest}
fallbacks:
  - {then: [next, refuse]}
"""
LIMITS = """\
facts: {matter: {values: [merger, none]}}
"""
LIMIT = "  - {when: {any: [{matter: merger}, {stakes: high}]}, zones: [ours]}\n"


def timed(text: str, lane: str) -> list[float]:
    """Microseconds a call, one for each batch."""
    policy = parse(text)
    words = ("Please review the attached note of the meeting on Tuesday and tell me what we promised. " * 12)[:950]
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": words}]})
    request = openai.read(body, {"laneway-fact-matter": "none"} if policy.limits else {})
    signals, found = classify(policy, request)[1], []
    for _ in range(BATCHES):
        began = time.thread_time_ns()
        for _ in range(CALLS):
            guard(policy, request, signals, policy.lanes[lane], TODAY)
        found.append((time.thread_time_ns() - began) / CALLS / 1000)
    return found


def main() -> None:
    """Print the table."""
    limited = LIMITS + POLICY.replace("gate:", LIMIT + "gate:", 1)
    rows = (("anything", POLICY, "home"), ("some classes", POLICY, "away"), ("and limits", limited, "away"))
    for name, text, lane in rows:
        batches = timed(text, lane)
        told = f"{statistics.median(batches):6.2f} ({min(batches):.2f} to {max(batches):.2f})"
        sys.stdout.write(f"{name:14} {told} us\n")


if __name__ == "__main__":
    main()
