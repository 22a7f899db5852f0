"""sets: the text of an evaluation set in, a checked EvalSet out, or every problem with its place.

YAML is one mapping. JSON Lines is for large sets: the head without `samples` on the first line, then one
sample a line. Both are read by the same strict readers, so an unknown key is an error in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml.error import FileMark
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from laneway.errors import PolicyError, Problem, did_you_mean, shown
from laneway.evidence.sample import ROLES, EvalSet, Message, Sample, Scorer
from laneway.evidence.scorers import KINDS
from laneway.evidence.scorers.kind import folded, prose
from laneway.signals import LANGUAGES
from laneway.source import read_source
from laneway.yaml_nodes import Entries, Node, Reader, Reading, compose, each, json_value, listed, one_of, text

__all__ = ["MOST_BYTES", "line_nodes", "parse_jsonl", "parse_yaml", "read_lines", "read_set"]

MOST_BYTES = 100_000_000
"""The longest JSON Lines file that is read. A YAML set is as short as a policy, 1 MB."""

_HEAD = ("evaluation", "name", "says", "workload", "sensitivity", "facts", "prompt", "labels", "scorers")
_SAMPLE = ("id", "input", "messages", "expected", "scorers", "sensitivity", "facts", "language", "group", "tags")


def read_set(path: Path) -> EvalSet:
    """The set in the file: JSON Lines where its name ends in .jsonl, else YAML. Raises PolicyError."""
    if path.suffix != ".jsonl":
        return parse_yaml(read_source(path, "name an evaluation set"), str(path))
    return parse_jsonl(read_lines(path), str(path))


def read_lines(path: Path) -> str:
    """The text of a JSON Lines file. Raises PolicyError where it cannot be read or is longer than MOST_BYTES."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise PolicyError([Problem(str(path), 0, 0, f"is longer than {MOST_BYTES} bytes")])
        return path.read_text("utf-8")
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"is not UTF-8 at byte {error.start}")]) from None


def parse_yaml(source: str, file: str) -> EvalSet:
    """The set that the YAML text is. Raises PolicyError with every problem found."""
    reading = Reading(file)
    root = compose(source, file)
    whole = reading.attempt(lambda node, r: Entries(node, r, (*_HEAD, "samples"), "an evaluation set"), root)
    if whole is None:
        reading.finish()
    assert whole is not None
    nodes = whole.nodes.get("samples")
    if nodes is not None and not isinstance(nodes, SequenceNode):
        reading.note(nodes, "`samples` must be a list")
    return _set(whole, nodes.value if isinstance(nodes, SequenceNode) else [], reading)


def parse_jsonl(source: str, file: str) -> EvalSet:
    """The set that the JSON Lines are. Raises PolicyError with every problem found."""
    reading = Reading(file)
    nodes = [node for node in line_nodes(source, reading) if node is not None]
    if not nodes:
        reading.finish()
        raise PolicyError([reading.problem(None, "the file is empty; its first line is the set's head")])
    head = reading.attempt(lambda node, r: Entries(node, r, _HEAD, "the head, which is the first line"), nodes[0])
    if head is None:
        reading.finish()
    assert head is not None
    return _set(head, nodes[1:], reading)


def line_nodes(source: str, reading: Reading) -> Iterator[Node | None]:
    """The node of each line that is not blank; what is no JSON is noted."""
    for number, line in enumerate(source.split("\n"), start=1):
        if line.strip():
            try:
                pairs = json.loads(line, object_pairs_hook=_Pairs, parse_constant=_no_such_number, parse_float=_Raw)
                yield _node(pairs, FileMark(reading.file, 0, number - 1, 0))
            except json.JSONDecodeError as error:
                mark = FileMark(reading.file, 0, number - 1, error.colno - 1)
                reading.note(ScalarNode("", "", start_mark=mark), f"not valid JSON: {error.msg}")
            except (ValueError, RecursionError) as error:
                mark = FileMark(reading.file, 0, number - 1, 0)
                why = str(error) if isinstance(error, _NoSuchNumber) else "a number too long, or nested too deep"
                reading.note(ScalarNode("", "", start_mark=mark), f"not valid JSON: {why}")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object's entries as written, so that a key written twice is seen."""


class _Raw(str):
    """A JSON number as written."""

    __slots__ = ()


class _NoSuchNumber(ValueError):
    """NaN or an infinity, which JSON does not have."""


def _no_such_number(name: str) -> NoReturn:
    raise _NoSuchNumber(f"JSON has no {name}")


def _node(value: object, mark: FileMark) -> Node:
    """The node that YAML would have made of a JSON value, all of it at one place."""
    if isinstance(value, _Pairs):
        entries = [(_scalar(key, mark, '"'), _node(inner, mark)) for key, inner in value]
        return MappingNode("", entries, start_mark=mark)
    if isinstance(value, list):
        return SequenceNode("", [_node(inner, mark) for inner in value], start_mark=mark)
    if isinstance(value, str) and not isinstance(value, _Raw):
        return _scalar(value, mark, '"')
    return _scalar(value if isinstance(value, _Raw) else json.dumps(value), mark, None)


def _scalar(value: str, mark: FileMark, style: str | None) -> ScalarNode:
    return ScalarNode("", value, start_mark=mark, style=style)


def _set(head: Entries, nodes: list[Node], reading: Reading) -> EvalSet:
    """The set of a head and its samples' nodes; every problem is raised at once."""
    head.get("evaluation", one_of(("1",), "grammar"))
    for key in ("evaluation", "name", "says", "workload", "sensitivity"):
        if key not in head.nodes:
            reading.note(head.node, f"an evaluation set needs `{key}`")
    sensitivity = head.get("sensitivity", _name) or "?"
    scorers = head.get("scorers", each(_scorer)) or ()
    read = _sample_reader(sensitivity, scorers, head.get("facts", _facts) or {})
    samples = [(node, sample) for node in nodes if (sample := reading.attempt(read, node)) is not None]
    if not nodes:
        reading.note(head.node, "the set holds no samples, and proves nothing")
    _note_copies(samples, reading)
    found = EvalSet(
        file=reading.file, name=head.get("name", _name) or "", says=head.get("says", prose) or "",
        workload=head.get("workload", _name) or "", sensitivity=sensitivity, prompt=head.get("prompt", text),
        labels=head.get("labels", text), samples=tuple(sample for _, sample in samples),
    )  # fmt: skip
    reading.finish()
    return found


def _note_copies(samples: list[tuple[Node, Sample]], reading: Reading) -> None:
    """Note ids and inputs that occur twice: a copy makes a set look larger than what it proves."""
    ids: dict[str, int] = {}
    inputs: dict[tuple[tuple[str, str], ...], tuple[int, Sample]] = {}
    for node, sample in samples:
        line = int(node.start_mark.line) + 1
        if sample.id in ids:
            reading.note(node, f"the id `{sample.id}` is taken, by line {ids[sample.id]}")
        ids.setdefault(sample.id, line)
        asked = tuple((message.role, folded(message.content)) for message in sample.messages)
        before, twin = inputs.setdefault(asked, (line, sample))
        if twin is sample:
            continue
        if twin.expected != sample.expected:
            what = "but expects something else: one of the two is wrong"
        else:
            what = "so it proves nothing more; give one sample several scorers instead"
        reading.note(node, f"`{sample.id}` asks the same as `{twin.id}` in line {before}, {what}")


def _sample_reader(sensitivity: str, scorers: tuple[Scorer, ...], facts: dict[str, str]) -> Reader[Sample]:
    def read(node: Node, reading: Reading) -> Sample:
        entries = Entries(node, reading, _SAMPLE, "a sample")
        name = entries.need("id", _name, "a sample")
        sample = Sample(
            id=name,
            messages=_messages(entries, name, reading),
            expected=entries.get("expected", _value),
            scorers=entries.get("scorers", each(_scorer)) or scorers,
            sensitivity=entries.get("sensitivity", _name) or sensitivity,
            facts=facts | (entries.get("facts", _facts) or {}),
            language=entries.get("language", one_of(LANGUAGES, "language")),
            group=entries.get("group", _name),
            tags=entries.get("tags", listed(_name)) or (),
        )
        if not sample.scorers:
            reading.fail(node, f"`{name}` has no scorers, and the set names none")
        for scorer in sample.scorers:
            wrong = KINDS[scorer.name].complaint(sample.expected, scorer.options)
            if wrong:
                reading.note(entries.nodes.get("expected", node), f"`{name}`: {wrong}")
        return sample

    return read


def _messages(entries: Entries, name: str, reading: Reading) -> tuple[Message, ...]:
    if ("input" in entries.nodes) == ("messages" in entries.nodes):
        reading.fail(entries.node, f"`{name}` needs `input` or `messages`, one of the two")
    if "input" in entries.nodes:
        return (Message("user", prose(entries.nodes["input"], reading)),)
    node = entries.nodes["messages"]
    messages = each(_message)(node, reading)
    if not messages or messages[-1].role != "user":
        reading.fail(node, "`messages` must end with a message of the user")
    return messages


def _message(node: Node, reading: Reading) -> Message:
    entries = Entries(node, reading, ("role", "content"), "a message")
    role = entries.need("role", one_of(ROLES, "role"), "a message")
    return Message(role, entries.need("content", prose, "a message"))


def _scorer(node: Node, reading: Reading) -> Scorer:
    """`{name: {options}}`."""
    entries = Entries(node, reading, None, "a scorer")
    if len(entries.nodes) != 1:
        reading.fail(node, "a scorer is one name with its options, such as `{exact: {}}`")
    ((name, inner),) = entries.nodes.items()
    if name not in KINDS:
        reading.fail(node, f"unknown scorer `{shown(name)}`{did_you_mean(name, KINDS)}")
    kind = KINDS[name]
    options = Entries(inner, reading, kind.options, f"the options of `{name}`")
    for missing in (option for option in kind.required if option not in options.nodes):
        reading.fail(inner, f"`{name}` needs the option `{missing}`")
    read = {option: options.get(option, kind.options[option]) for option in kind.options if option in options.nodes}
    return Scorer(name, {option: value for option, value in read.items() if value is not None})


def _facts(node: Node, reading: Reading) -> dict[str, str]:
    entries = Entries(node, reading, None, "`facts`")
    return {name: entries.need(name, text, "`facts`") for name in entries.nodes}


def _name(node: Node, reading: Reading) -> str:
    value = text(node, reading)
    if not re.fullmatch(r"[^\W_][\w.-]{0,79}", value):
        reading.fail(node, f"expected a short name of letters, digits, `-`, `.` and `_`, not `{shown(value)}`")
    return value


def _value(node: Node, reading: Reading) -> object:
    """A JSON value whose texts can be written down again."""
    value = json_value(node, reading)
    if re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        reading.fail(node, "an escape that gives no printable text")
    return value
