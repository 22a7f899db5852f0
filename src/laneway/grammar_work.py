"""The policy grammar's part for work: `unlabelled` and `workloads`, their labels, and the files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from laneway.errors import shown
from laneway.grammar import Names
from laneway.policy import Output, Unlabelled, Workload
from laneway.schema import validator
from laneway.signals import DIFFICULTIES, LANGUAGES, LATENCIES, STAKES
from laneway.yaml_nodes import Entries, Node, Reading, each, json_value, number, one_of, text, whole

__all__ = ["unlabelled", "workload"]

_LABEL_KEYS = ("sensitivity", "difficulty", "latency", "stakes", "ceiling")
_FILE_KEYS = ("prompt", "language", "evals")
_OUTPUT_KEYS = ("language", "format", "schema", "most_chars")


def unlabelled(names: Names) -> Callable[[Node, Reading], Unlabelled]:
    """What reads `unlabelled`."""

    def read(node: Node, reading: Reading) -> Unlabelled:
        entries = Entries(node, reading, _LABEL_KEYS, "`unlabelled`")
        return Unlabelled(
            sensitivity=entries.need("sensitivity", one_of(names.classes, "class"), "`unlabelled`"),
            **_labels(entries, ("auto", *DIFFICULTIES)),
        )

    return read


def workload(names: Names) -> Callable[[str, Node, Reading], Workload]:
    """What reads one of `workloads`."""

    def read(name: str, node: Node, reading: Reading) -> Workload:
        entries = Entries(node, reading, (*_LABEL_KEYS, *_FILE_KEYS, "output", "says"), f"workload `{name}`")
        evals = entries.get("evals", each(_file)) or ()
        if len(set(evals)) != len(evals):
            reading.note(entries.nodes["evals"], "`evals` names a file twice")
        return Workload(
            name=name,
            line=entries.line,
            says=entries.get("says", text) or "",
            sensitivity=entries.get("sensitivity", one_of(names.classes, "class")),
            prompt=entries.get("prompt", _file),
            language=entries.get("language", one_of(LANGUAGES, "language")),
            evals=evals,
            output=entries.get("output", _output),
            **_labels(entries, DIFFICULTIES),
        )

    return read


def _file(node: Node, reading: Reading) -> str:
    """A file's place, relative to the policy and not above it, so that both move together."""
    name = text(node, reading)
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        reading.fail(node, f"expected a file beside the policy or below it, not `{shown(name)}`")
    return name


def _output(node: Node, reading: Reading) -> Output:
    """What a workload's answers are to be."""
    entries = Entries(node, reading, _OUTPUT_KEYS, "`output`")
    if not entries.nodes:
        reading.fail(node, f"`output` needs at least one of {', '.join(_OUTPUT_KEYS)}")
    form = entries.get("format", one_of(("json", "text"), "format"))
    if "schema" in entries.nodes and form != "json":
        reading.note(entries.keys["schema"], "a `schema` is for answers in JSON: write `format: json` beside it")
    return Output(
        language=entries.get("language", one_of(LANGUAGES, "language")),
        format=form,  # type: ignore[arg-type]  # one of the two
        schema=entries.get("schema", _schema),
        most_chars=entries.get("most_chars", _some),
    )


def _schema(node: Node, reading: Reading) -> dict[str, object]:
    schema = json_value(node, reading)
    try:
        validator(schema)
    except ValueError as error:
        reading.fail(node, f"`schema` is {error}")
    if not isinstance(schema, dict):
        reading.fail(node, "`schema` is a mapping, such as `{type: object, required: [risk]}`")
    return schema


def _some(node: Node, reading: Reading) -> int:
    most = whole(node, reading)
    if not most:
        reading.fail(node, "no answer has 0 characters; leave `most_chars` out for no limit")
    return most


def _labels(entries: Entries, difficulties: tuple[str, ...]) -> dict[str, Any]:
    found = {
        "difficulty": entries.get("difficulty", one_of(difficulties, "difficulty")),
        "latency": entries.get("latency", one_of(LATENCIES, "latency")),
        "stakes": entries.get("stakes", one_of(STAKES, "stakes")),
        "ceiling": entries.get("ceiling", number),
    }
    return {key: value for key, value in found.items() if value is not None}
