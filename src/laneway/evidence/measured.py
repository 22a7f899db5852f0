"""measured: the values of a comparison: what each lane has shown on each workload, and each pair of lanes.

No answer's text is among them: a sample's answers are named by the keys of their results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from laneway.evidence.results import Result
from laneway.evidence.statistics.bounds import Proof
from laneway.evidence.statistics.paired import Comparison as Paired

__all__ = [
    "NO_PROMPT",
    "Answer",
    "Comparison",
    "Figures",
    "Measured",
    "Met",
    "Pair",
    "Part",
    "Shown",
    "Subject",
    "Terms",
]

Met = Literal["met", "not met", "incomplete", "no bar"]
NO_PROMPT = "none"
"""Stands for the hash of a prompt that is not there, where the one in force is another."""


class Subject(NamedTuple):
    """What is measured: a lane under a prompt. `prompt` is empty for the one in force (or for none), else its hash."""

    lane: str
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What results are held against: the bar, and what the policy and its sets say today.

    `lanes` gives each lane's model and address, weakest lane first: what another model or address answered is left out.
    `samples` are the hashes of the samples of each workload: other samples are left out. `prompts` is the hash of the
    prompt in force for each workload and set. Where one of them is empty, all results count.
    """

    bar: float | None = None
    confidence: float = 0.95
    margin: float = 0.05
    lanes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    samples: Mapping[str, frozenset[str]] = field(default_factory=dict)
    prompts: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def subject(self, result: Result) -> Subject:
        """Which subject a result is of."""
        in_force = result.prompt == self.prompts.get((result.workload, result.set), "")
        return Subject(result.lane, "" if in_force else result.prompt or NO_PROMPT)

    def order(self, subject: Subject) -> tuple[int, str, str]:
        """Weakest lane first, the prompt in force before others."""
        place = {lane: i for i, lane in enumerate(self.lanes)}
        return place.get(subject.lane, len(place)), subject.lane, subject.prompt

    def stale(self, result: Result) -> bool:
        """Whether a result is of a model, an address or a sample that is no longer there."""
        known = self.samples.get(result.workload)
        moved = bool(self.lanes) and self.lanes.get(result.lane) != (result.model, result.endpoint)
        return moved or (known is not None and result.sample_hash not in known)


class Part(NamedTuple):
    """Scores of one part of the samples: "" for all, `sv` (language), `/lease` (group) or `#name` (set).

    `low` and `high` hold together at the confidence, `lower` alone: it is what the bar is held against.
    """

    name: str
    samples: int
    mean: float
    low: float
    high: float
    lower: float
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one subject has shown on one workload.

    `of` samples there are, `asked` were asked, `unanswered` of those have no answer (by error), `unscored` no score (by
    reason). `cost` is money of all calls, None where a price is unknown; `seconds` are of a call: median and 95 in 100.
    """

    subject: Subject
    models: tuple[str, ...]
    reported: tuple[str, ...]
    asked: int
    of: int
    unanswered: Mapping[str, int]
    unscored: Mapping[str, int]
    parts: tuple[Part, ...]
    proof: Proof
    met: Met
    cost: float | None
    seconds: tuple[float, float]
    tokens: tuple[int, int]

    @property
    def whole(self) -> Part:
        """All samples."""
        return self.parts[0]

    def part(self, name: str) -> Part | None:
        """A part by its name, None where nothing of it was asked."""
        return next((part for part in self.parts if part.name == name), None)

    @property
    def cost_each(self) -> float | None:
        """Money an answer."""
        return None if self.cost is None else self.cost / max(1, self.asked - sum(self.unanswered.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The second of two subjects against the first, on the `common` samples that both have a score for.

    `found` is None where there are none. `more` is an estimate: so many more samples would decide an open comparison.
    `price_all` is what one point more costs where the second is asked for every sample, `price_weak` where only for
    those in which the first fell short of 1. None: no gain, or an unknown price.
    """

    first: Subject
    second: Subject
    common: int
    found: Paired | None
    more: int | None = None
    price_all: float | None = None
    price_weak: float | None = None

    @property
    def escalation(self) -> bool:
        """Whether it tells what asking another lane under the same prompt brings."""
        return self.first.lane != self.second.lane and self.first.prompt == self.second.prompt


class Answer(NamedTuple):
    """One subject's answer to a sample, without its text: `key` is that of the result that holds it."""

    subject: Subject
    key: str
    score: float | None
    reasons: tuple[tuple[str, float, str], ...]
    unscored: str
    error: str


class Shown(NamedTuple):
    """A sample worth looking at, and what each subject answered."""

    set: str
    sample: str
    hash: str
    language: str | None
    group: str | None
    sensitivity: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One workload. `prefer` is the cheapest subject under the prompt in force that meets the bar, if any.

    `prefer_in` is the same by language, as evidence in one language says nothing of another. `since` says what was seen
    of lanes since that keeps them from serving, whatever they have shown.
    """

    workload: str
    figures: tuple[Figures, ...]
    pairs: tuple[Pair, ...]
    disagreements: tuple[Shown, ...]
    disagreeing: int
    worst: tuple[Shown, ...]
    short: int
    prefer: Subject | None
    prefer_in: Mapping[str, Subject | None]
    since: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All workloads that have results. `stale` results were left out (see Terms), `repeated` ones are older."""

    terms: Terms
    workloads: tuple[Measured, ...]
    results: int
    stale: int
    repeated: int
