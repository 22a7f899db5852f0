"""What every format shares: the head that other tools lack, rows built into a set by the strict reader, and notes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from laneway.errors import LanewayError, shown
from laneway.evidence.sample import ROLES, EvalSet, Sample, Scorer
from laneway.evidence.sets import parse_jsonl

__all__ = [
    "Exported", "FormatError", "Head", "Imported", "Row", "Rows", "chat", "dropped", "extras", "filled", "head_of",
    "json_lines", "row_of", "strings", "unclassed", "whole_json",
]  # fmt: skip

Row = dict[str, Any]


class FormatError(LanewayError):
    """The text is not of the format. Names the line or the sample, and what was expected there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an imported set needs and no other tool knows. `scorers` serve the samples that bring none."""

    name: str
    says: str
    workload: str
    sensitivity: str
    scorers: tuple[Scorer, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """A set, and what of the other tool's file it does not hold."""

    set: EvalSet
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """The other tool's file, and what of the set it does not hold."""

    text: str
    notes: tuple[str, ...]


@dataclass(slots=True)
class Rows:
    """Samples on their way into a set, as rows of our own JSON Lines, and the notes so far."""

    head: Head
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """One sample; where neither it nor the head has scorers, it is left out and said."""
        row = {key: value for key, value in row.items() if value not in (None, (), [])}
        if "input" in row and not str(row["input"]).strip():
            self.notes.append(f"{row['id']} has no input and is left out")
        elif not (row.get("scorers") or self.head.scorers):
            self.notes.append(f"{row['id']} brings nothing to score by and is left out; name scorers for the set")
        else:
            self.rows.append(row)

    def built(self) -> Imported:
        """The set. Raises PolicyError with each row's number plus one as the line, as our own file would."""
        scorers = [{scorer.name: scorer.options} for scorer in self.head.scorers]
        head = {
            "evaluation": 1, "name": self.head.name, "says": self.head.says, "workload": self.head.workload,
            "sensitivity": self.head.sensitivity, **({"scorers": scorers} if scorers else {}),
        }  # fmt: skip
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in (head, *self.rows))
        return Imported(parse_jsonl(lines, self.head.name), tuple(self.notes))


def head_of(evaluation: EvalSet) -> Row:
    """The head as the first line of our own JSON Lines has it."""
    row = {
        "evaluation": 1, "name": evaluation.name, "says": evaluation.says, "workload": evaluation.workload,
        "sensitivity": evaluation.sensitivity,
    }  # fmt: skip
    files = {"prompt": evaluation.prompt, "labels": evaluation.labels}
    return row | {key: file for key, file in files.items() if file is not None}


def row_of(sample: Sample) -> Row:
    """The sample as a line of our own JSON Lines has it."""
    row: Row = {"id": sample.id}
    if len(sample.messages) == 1 and sample.messages[0].role == "user":
        row["input"] = sample.messages[0].content
    else:
        row["messages"] = [{"role": message.role, "content": message.content} for message in sample.messages]
    row["expected"] = sample.expected
    row |= extras(sample)
    row["scorers"] = [{scorer.name: dict(scorer.options)} for scorer in sample.scorers]
    return {key: value for key, value in row.items() if value is not None}


def extras(sample: Sample) -> Row:
    """Class, facts, language, group and tags: what other tools have no field for."""
    named = {
        "sensitivity": sample.sensitivity, "facts": dict(sample.facts), "language": sample.language,
        "group": sample.group, "tags": list(sample.tags),
    }  # fmt: skip
    return {key: value for key, value in named.items() if value}


def json_lines(text: str) -> Iterator[tuple[int, Row]]:
    """Each line's number and object. Raises FormatError where a line is no JSON object."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _object(whole_json(line, f"line {number}"), f"line {number}")


def whole_json(text: str, where: str) -> Any:
    """The JSON value. Raises FormatError, with `where` in it."""
    try:
        return json.loads(text, parse_constant=_no_such_number)
    except (ValueError, RecursionError):
        raise FormatError(f"{where} is not JSON") from None


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(name)


def _object(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise FormatError(f"{where} is not a JSON object")
    return value


def chat(value: object, where: str) -> Row:
    """`input` or `messages` of a row, from a text or a list of chat messages."""
    if isinstance(value, str):
        return {"input": value}
    if not isinstance(value, list) or not value:
        raise FormatError(f"{where}: expected a text or a list of messages")
    messages = [_message(message, where) for message in value]
    return (
        {"messages": messages}
        if len(messages) > 1 or messages[0]["role"] != "user"
        else {"input": messages[0]["content"]}
    )


def _message(message: object, where: str) -> Row:
    if not isinstance(message, dict):
        raise FormatError(f"{where}: a message is not an object")
    role, content = message.get("role"), message.get("content")
    if role == "developer":
        role = "system"
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        content = "\n".join(part["text"] for part in content)
    if role not in ROLES or not isinstance(content, str):
        raise FormatError(
            f"{where}: a message of the role `{shown(role)}` holds more than text, or is of no known role"
        )
    return {"role": role, "content": content}


_VARIABLE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")


def filled(template: str, variables: Mapping[str, object]) -> tuple[str, set[str]]:
    """The template with its `{{variables}}` in place, and the names of those that it needs and nobody gave."""
    missing = {name for name in _VARIABLE.findall(template) if name not in variables}
    return _VARIABLE.sub(lambda found: str(variables.get(found[1], found[0])), template), missing


def strings(value: object) -> bool:
    """Whether `value` is a text, or a list of texts with at least one."""
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
    )


def dropped(where: str, names: Iterable[str]) -> list[str]:
    """A note on keys that have no counterpart, or none."""
    listed = ", ".join(f"`{shown(name)}`" for name in sorted(names))
    return [f"{where}: {listed} has no counterpart and is left out"] if listed else []


def unclassed(evaluation: EvalSet) -> list[str]:
    """A note that the classes do not travel, as whoever gets the file must know them."""
    classes = ", ".join(sorted({sample.sensitivity for sample in evaluation.samples}))
    return [f"the file does not say that its samples are of the class {classes}"]
