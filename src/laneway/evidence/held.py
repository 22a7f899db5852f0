"""held: what results are held against today: the policy's bar and lanes, and the samples and prompts of its sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from laneway.evidence.measured import Terms
from laneway.evidence.plan import planned
from laneway.evidence.sample import Sample, sample_hash
from laneway.policy import Policy

__all__ = ["held"]


def held(policy: Policy, files: Sequence[Path] = ()) -> tuple[Terms, dict[str, Sample]]:
    """The terms, and the samples by their hash: of the sets in `files`, else of those that the policy names.

    Raises PolicyError where a set or a prompt cannot be used.
    """
    named = any(work.evals for work in policy.workloads.values())
    sets = planned(policy, files) if files or named else ()
    samples = {one.set.workload: dict[str, Sample]() for one in sets}
    for one in sets:
        samples[one.set.workload] |= {sample_hash(sample): sample for sample in one.set.samples}
    bar, lanes = policy.gate.bar, policy.lanes
    terms = Terms(
        lanes={name: (lanes[name].model, lanes[name].url) for name in _weakest_first(policy)},
        samples={workload: frozenset(found) for workload, found in samples.items()},
        prompts={(one.set.workload, one.on.set): one.on.prompt for one in sets},
    )
    if bar is not None:
        terms = replace(terms, bar=bar.score, confidence=bar.confidence)
    return terms, {hash: sample for found in samples.values() for hash, sample in found.items()}


def _weakest_first(policy: Policy) -> Iterator[str]:
    yield from policy.strength
    yield from (name for name in policy.lanes if name not in policy.rank)
