"""held: what results are held against today: the policy's bar and lanes, and the samples and prompts of its sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from laneway.evidence.basis import policy_folder, read_prompt
from laneway.evidence.measured import Terms
from laneway.evidence.sample import EvalSet, Sample, prompt_hash, sample_hash
from laneway.evidence.sets import read_set
from laneway.policy import Policy

__all__ = ["held"]


def held(policy: Policy, files: Sequence[Path] = ()) -> tuple[Terms, dict[str, Sample]]:
    """The terms, and the samples by their hash: of the sets in `files`, else of those that the policy names.

    Raises PolicyError where a set or a prompt cannot be used.
    """
    folder = policy_folder(policy)
    named = [folder / name for work in policy.workloads.values() for name in work.evals]
    sets = [(path, read_set(path)) for path in files or named]
    samples = {one.workload: dict[str, Sample]() for _, one in sets}
    for _, one in sets:
        samples[one.workload] |= {sample_hash(sample): sample for sample in one.samples}
    bar, lanes = policy.gate.bar, policy.lanes
    terms = Terms(
        lanes={name: (lanes[name].model, lanes[name].url) for name in _weakest_first(policy)},
        samples={workload: frozenset(found) for workload, found in samples.items()},
        prompts={one.name: _prompt(policy, path, one) for path, one in sets},
    )
    if bar is not None:
        terms = replace(terms, bar=bar.score, confidence=bar.confidence)
    return terms, {hash: sample for found in samples.values() for hash, sample in found.items()}


def _weakest_first(policy: Policy) -> Iterator[str]:
    yield from policy.strength
    yield from (name for name in policy.lanes if name not in policy.rank)


def _prompt(policy: Policy, path: Path, one: EvalSet) -> str:
    """The hash of the prompt in force for a set: the workload's, else the set's own."""
    work = policy.workloads.get(one.workload)
    file = policy_folder(policy) / work.prompt if work and work.prompt else one.prompt and path.parent / one.prompt
    return prompt_hash(read_prompt(Path(file))) if file else ""
