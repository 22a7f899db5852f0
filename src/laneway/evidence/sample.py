"""The values of an evaluation set: EvalSet, Sample, Message, Scorer; and the hashes that name their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

__all__ = ["ROLES", "EvalSet", "Message", "Sample", "Scorer", "prompt_hash", "sample_hash", "set_hash"]

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a sample's input. `role` is one of ROLES."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Scorer:
    """One scorer by name, with its options as the set's file gives them."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question and what a good answer is. `expected` is a JSON value; None says that nothing is expected.

    `facts` are declared facts of the policy, as a client would state them with the question.
    """

    id: str
    messages: tuple[Message, ...]
    expected: object = None
    scorers: tuple[Scorer, ...]
    sensitivity: str
    facts: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def input(self) -> str:
        """All that the user says, as one text."""
        return "\n".join(message.content for message in self.messages if message.role == "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """One evaluation set. `prompt` (the system prompt) and `labels` (people's grades) are files, relative to `file`."""

    file: str
    name: str
    says: str
    workload: str
    sensitivity: str
    prompt: str | None = None
    labels: str | None = None
    samples: tuple[Sample, ...]


def sample_hash(sample: Sample) -> str:
    """The SHA-256 of all that can change a sample's score or who may see it; its tags are left out."""
    content = (
        sample.id,
        [(message.role, message.content) for message in sample.messages],
        sample.expected,
        [(scorer.name, scorer.options) for scorer in sample.scorers],
        sample.sensitivity,
        sample.language,
        sample.group,
        *([sample.facts] if sample.facts else []),
    )
    return _sha256(content)


def set_hash(evaluation: EvalSet) -> str:
    """The SHA-256 of a set: its workload and its samples, in whatever order they stand.

    The set's name, its sentence, the prompt and the labels are left out: none of them is a sample, and prompt and
    labels have hashes of their own. A comment or a new order in the file changes nothing, so that evidence stays.
    """
    return _sha256((1, evaluation.workload, sorted(sample_hash(sample) for sample in evaluation.samples)))


def prompt_hash(text: str) -> str:
    """The SHA-256 of a system prompt, byte by byte as it is sent; empty where there is none."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _sha256(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
