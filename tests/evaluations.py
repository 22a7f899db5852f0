"""A policy with sets, and results of its lanes as `laneway eval run` leaves them: what the reports are tried on."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from laneway.evidence.results import FILE, Result, Results
from laneway.evidence.sample import Sample, prompt_hash, sample_hash, set_hash
from laneway.evidence.sets import read_set

AT = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
PROMPT = "Answer with one word.\n"
POLICY = """
laneway: 1
name: Fjord Legal
currency: EUR
sensitivity: [internal, confidential]
unlabelled: {sensitivity: internal, difficulty: routine}
lanes:
  home: {kind: local, provider: openai, url: http://127.0.0.1:1/v1, model: small-1, price: 0}
  shared: {kind: private, provider: openai, url: http://10.0.0.2/v1, model: middle-2, price: {input: 0.3, output: 0.6}}
  premium: {kind: private, provider: openai, url: http://10.0.0.3/v1, model: large-3, price: {input: 3, output: 12}}
networks: [10.0.0.0/8]
strength: [home, shared, premium]
zones: {ours: {kind: [local, private]}}
wall: [{id: all-ours, sensitivity: [internal, confidential], zones: [ours]}]
workloads:
  clauses: {prompt: clauses.md, evals: [clauses.jsonl]}
routes: [{id: cheap, try: cheapest}]
gate:
  evidence: {score: 0.85, confidence: 0.95}
  waiver: {lanes: [home, shared, premium], until: 2026-12-31, by: A. Person}
"""
LANES = {
    "home": ("small-1", "http://127.0.0.1:1/v1"),
    "shared": ("middle-2", "http://10.0.0.2/v1"),
    "premium": ("large-3", "http://10.0.0.3/v1"),
}


def written(folder: Path, samples: int = 120) -> Path:
    """The policy, its prompt and a set of so many samples; the policy's path."""
    (folder / "laneway.yaml").write_text(POLICY, "utf-8")
    (folder / "clauses.md").write_text(PROMPT, "utf-8")
    head = {"evaluation": 1, "name": "clause-types", "says": "What is the clause about?", "workload": "clauses",
            "sensitivity": "internal", "scorers": [{"exact": {}}]}  # fmt: skip
    body = [
        {"id": f"s-{i:05}", "input": f"Clause {i}: the Supplier answers for its people. What is it about?", "expected": "people",
         "language": ("en", "sv", "fi")[i % 3], "group": ("liability", "time")[i % 2]}
        for i in range(samples)
    ]  # fmt: skip
    (folder / "clauses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *body)), "utf-8")
    return folder / "laneway.yaml"


def result(lane: str, sample: Sample | str, score: float | None, **more: Any) -> Result:
    """What a lane answered to a sample (or to a made-up one of that name), with its score."""
    known = isinstance(sample, Sample)
    model, endpoint = LANES[lane]
    name = sample.id if isinstance(sample, Sample) else sample
    found: dict[str, Any] = {
        "key": f"{lane}/{name}/{more.get('prompt', '')}", "set": "clause-types", "set_hash": "s", "sample": name,
        "sample_hash": sample_hash(sample) if isinstance(sample, Sample) else f"hash of {name}",
        "language": sample.language if isinstance(sample, Sample) else None,
        "group": sample.group if isinstance(sample, Sample) else None, "sensitivity": "internal", "workload": "clauses",
        "lane": lane, "model": model, "endpoint": endpoint, "prompt": prompt_hash(PROMPT) if known else "",
        "answer": "people" if score else "places", "reported": model, "finish": "stop", "error": "", "tokens_in": 120,
        "tokens_out": 4, "cost": {"home": 0.0, "shared": 0.0000384, "premium": 0.000408}[lane], "seconds": 0.25, "at": AT,
        "score": score, "parts": (("exact", score or 0.0, "the answer is as expected" if score else "the answer is another text"),),
    }  # fmt: skip
    return Result(**(found | more))


def rated(folder: Path, rates: dict[str, float], seed: int = 1) -> list[Result]:
    """Results of each lane on the whole set: as often right as its rate says, and harder samples wrong more often."""
    one = read_set(folder / "clauses.jsonl")
    known = set_hash(one)
    chance, rows = random.Random(seed), list[Result]()
    for sample in one.samples:
        hard = chance.random()
        for lane, rate in rates.items():
            right = float(0.7 * hard + 0.3 * chance.random() < rate)
            rows.append(result(lane, sample, right, set_hash=known, seconds=round(chance.uniform(0.1, 2), 3)))
    return rows


def kept(folder: Path, rows: Iterable[Result]) -> Path:
    """The results in a file beside the policy."""

    async def put() -> None:
        results = Results.open(folder / FILE, write=True)
        await results.put(*rows)
        results.close()

    asyncio.run(put())
    return folder / FILE
