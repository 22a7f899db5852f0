"""scorers: a sample and an answer in, a Score out, or the reason why there is none. No lane is called.

`score` blocks: a `code` scorer takes up to its limit, a `regex` two seconds; async callers use a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.code import CODE
from laneway.evidence.scorers.exact import EXACT
from laneway.evidence.scorers.kind import Kind, Part, ScorerError, prose
from laneway.evidence.scorers.labels import SET
from laneway.evidence.scorers.numeric import NUMERIC
from laneway.evidence.scorers.pattern import REGEX
from laneway.evidence.scorers.quote import QUOTE
from laneway.evidence.scorers.structure import JSON
from laneway.yaml_nodes import listed, text

__all__ = ["KINDS", "Part", "Score", "ScorerError", "Unscored", "score"]


@dataclass(frozen=True, slots=True)
class Score:
    """A graded answer. `value` is the least of what its scorers gave, 0..1."""

    value: float
    by_scorer: tuple[Part, ...]

    @property
    def explanation(self) -> str:
        """Each scorer's reason, in the set's order."""
        return "; ".join(f"{part.scorer}: {part.explanation}" for part in self.by_scorer)


@dataclass(frozen=True, slots=True)
class Unscored:
    """No score: `scorer` failed, for the reason that `error` says. It counts neither as 0 nor as 1."""

    scorer: str
    error: str


def _judged(_sample: Sample, _options: Mapping[str, Any], _answer: str) -> NoReturn:
    raise ScorerError("rubric: is graded by a judge, in a lane; it cannot be scored here")


KINDS: dict[str, Kind] = {
    "exact": EXACT,
    "numeric": NUMERIC,
    "regex": REGEX,
    "json": JSON,
    "set": SET,
    "quote": QUOTE,
    "code": CODE,
    "rubric": Kind(
        {"asks": prose, "judges": listed(text)}, lambda _expected, _options: None, _judged, required=("asks",)
    ),
}


def score(sample: Sample, answer: str) -> Score | Unscored:
    """What the sample's scorers say of `answer`. Never raises: a scorer that fails gives Unscored."""
    parts = []
    for scorer in sample.scorers:
        try:
            part = KINDS[scorer.name].grade(sample, scorer.options, answer)
        except ScorerError as error:
            return Unscored(scorer.name, str(error))
        except Exception as error:  # noqa: BLE001  # whatever a scorer does, its failure is said, not counted
            return Unscored(scorer.name, f"{scorer.name}: the scorer failed with {type(error).__name__}")
        if not 0 <= part.value <= 1:
            return Unscored(scorer.name, f"{scorer.name}: the scorer gave {part.value}, which is not within 0..1")
        parts.append(part)
    return Score(min(part.value for part in parts), tuple(parts))
