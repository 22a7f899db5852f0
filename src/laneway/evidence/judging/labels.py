"""labels: people's grades of answers, from a file of JSON Lines beside an evaluation set.

They are what a judge is held against. Whatever two people grade differently is no truth to hold anybody against: it is
said, and left out of that. The file holds answers, so it is as sensitive as the set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Literal, cast

import msgspec

from laneway.errors import did_you_mean, shown
from laneway.evidence.sample import EvalSet, Sample, sample_hash
from laneway.evidence.scorers.kind import prose
from laneway.evidence.sets import line_nodes, read_lines
from laneway.evidence.statistics.agreement import Agreement, kappa
from laneway.evidence.statistics.numbers import StatisticsError
from laneway.yaml_nodes import Entries, Node, Reader, Reading, one_of, text

__all__ = ["Grade", "Label", "Labels", "labels_of", "parse_labels"]

Grade = Literal["pass", "fail"]

_GRADES = ("pass", "fail")
_KEYS = ("sample", "asks", "answer", "grade", "by")


@dataclass(frozen=True, slots=True)
class Label:
    """One person's grade of one answer to one sample, by one of its rubrics."""

    sample: Sample
    asks: str
    answer: str
    grade: Grade
    by: str

    @property
    def subject(self) -> tuple[str, str, str]:
        """What was graded: the sample's id, what the rubric asks, and the answer."""
        return self.sample.id, self.asks, self.answer


@dataclass(frozen=True, slots=True)
class Labels:
    """All the grades of a set, in the order of what was graded. `set` is its workload and name."""

    set: str
    labels: tuple[Label, ...] = ()

    @property
    def hash(self) -> str:
        """The SHA-256 of the grades and of the samples that they are about."""
        rows = [(sample_hash(one.sample), one.asks, one.answer, one.grade, one.by) for one in self.labels]
        return hashlib.sha256(msgspec.json.encode((1, sorted(rows)))).hexdigest()

    @property
    def settled(self) -> tuple[Label, ...]:
        """One label of each answer that everybody who graded it graded alike."""
        return tuple(group[0] for group in self._by_subject() if len({label.grade for label in group}) == 1)

    @property
    def contradictory(self) -> tuple[str, ...]:
        """For each answer that people graded differently, its sample and who said what."""
        return tuple(
            f"{group[0].sample.id}: " + ", ".join(f"{label.by} says {label.grade}" for label in group)
            for group in self._by_subject()
            if len({label.grade for label in group}) > 1
        )

    def people(self) -> Agreement | None:
        """How far people agree among themselves, over every two who graded the same answer; None where none did.

        None, too, where all of them gave one and the same grade, so that agreement cannot be told from chance.
        """
        pairs = [pair for group in self._by_subject() for pair in combinations(group, 2)]
        try:
            return kappa([one.grade for one, _ in pairs], [two.grade for _, two in pairs], confidence=0.9)
        except StatisticsError:
            return None

    def _by_subject(self) -> Iterator[tuple[Label, ...]]:
        return (tuple(group) for _, group in groupby(self.labels, key=lambda label: label.subject))


def labels_of(evaluation: EvalSet) -> Labels:
    """The labels that the set names; none where it names no file. Raises PolicyError with every problem found."""
    if evaluation.labels is None:
        return Labels(f"{evaluation.workload}/{evaluation.name}")
    path = Path(evaluation.file).parent / evaluation.labels
    return parse_labels(read_lines(path), str(path), evaluation)


def parse_labels(source: str, file: str, evaluation: EvalSet) -> Labels:
    """The labels in the text of a file. Raises PolicyError with every problem found."""
    reading = Reading(file)
    read = _label_reader({sample.id: sample for sample in evaluation.samples})
    nodes = [node for node in line_nodes(source, reading) if node is not None]
    found = [(node, label) for node in nodes if (label := reading.attempt(read, node)) is not None]
    seen: dict[tuple[str, ...], tuple[int, Grade]] = {}
    for node, label in found:
        line, grade = seen.setdefault((*label.subject, label.by), (int(node.start_mark.line) + 1, label.grade))
        if grade != label.grade:
            reading.note(
                node, f"{shown(label.by)} graded this answer otherwise in line {line}: one of the two is wrong"
            )
        elif line != int(node.start_mark.line) + 1:
            reading.note(node, f"the same label stands in line {line}, so that it says nothing more")
    reading.finish()
    ordered = sorted((label for _, label in found), key=lambda label: (label.subject, label.by))
    return Labels(f"{evaluation.workload}/{evaluation.name}", tuple(ordered))


def _label_reader(samples: dict[str, Sample]) -> Reader[Label]:
    def read(node: Node, reading: Reading) -> Label:
        entries = Entries(node, reading, _KEYS, "a label")
        name = entries.need("sample", text, "a label")
        if name not in samples:
            reading.fail(node, f"the set has no sample `{shown(name)}`{did_you_mean(name, samples)}")
        asked = [str(scorer.options["asks"]) for scorer in samples[name].scorers if scorer.name == "rubric"]
        asks = entries.get("asks", prose) or (asked[0] if len(asked) == 1 else None)
        if asks not in asked:
            reading.fail(node, f"`{name}` has no such rubric" if asks else _NO_ASKS.format(name, len(asked)))
        answer = entries.need("answer", prose, "a label")
        grade = cast("Grade", entries.need("grade", one_of(_GRADES, "grade"), "a label"))
        return Label(samples[name], asks, answer, grade, entries.need("by", text, "a label"))

    return read


_NO_ASKS = "`{}` has {} rubrics: labels are of samples with one, or name what it asks as `asks`"
