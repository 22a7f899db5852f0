"""promptfoo: its YAML configuration, one prompt, tests with `vars` and `assert`.

Reference: https://www.promptfoo.dev/docs/configuration/reference/ and
https://www.promptfoo.dev/docs/configuration/expected-outputs/. Assertions by text, pattern, JSON and rubric are
carried; those that run code, or measure cost, time or likeness, are not. Nothing that a file names is opened.
"""

from __future__ import annotations

import json
import re
from typing import Any

from laneway.evidence.formats.asserts import from_assert, to_asserts
from laneway.evidence.formats.own import yaml_text
from laneway.evidence.formats.shape import (
    Exported,
    FormatError,
    Head,
    Imported,
    Row,
    Rows,
    chat,
    dropped,
    extras,
    filled,
)
from laneway.evidence.sample import EvalSet
from laneway.yaml_nodes import Reading, compose, json_value

__all__ = ["read_promptfoo", "write_promptfoo"]

_OURS = ("sensitivity", "facts", "language", "group", "tags")


def read_promptfoo(text: str, head: Head) -> Imported:
    """The tests as samples, each with the first prompt filled in and the default test's assertions added."""
    rows, whole = Rows(head), _loaded(text)
    prompt = _prompt(whole.get("prompts"), rows)
    rows.notes += dropped("the file", set(whole) - {"prompts", "tests", "defaultTest", "description", "providers"})
    default, tests = whole.get("defaultTest") or {}, whole.get("tests")
    if not isinstance(default, dict) or not isinstance(tests, list):
        raise FormatError("`tests` must be a list and `defaultTest` a mapping, both written out in the file")
    for number, test in enumerate(tests, start=1):
        if not isinstance(test, dict):
            raise FormatError(f"test {number} is not a mapping; files of tests are not opened")
        rows.add(_row(number, test, default, prompt, rows))
    return rows.built()


def _loaded(text: str) -> Row:
    """The file, read as strictly as our own: no anchors, no tags, nothing too deep or too long."""
    reading = Reading("the promptfoo file")
    whole = reading.attempt(json_value, compose(text, reading.file))
    reading.finish()
    if not isinstance(whole, dict):
        raise FormatError("the file is not a mapping with `prompts` and `tests`")
    return whole


def _prompt(prompts: object, rows: Rows) -> str:
    listed = prompts if isinstance(prompts, list) else [prompts]
    first = listed[0] if listed else None
    if isinstance(first, dict):
        first = first.get("raw")
    if not isinstance(first, str) or first.startswith("file://"):
        raise FormatError("the first of `prompts` must be a text written out in the file; files are not opened")
    if len(listed) > 1:
        rows.notes.append(f"only the first of {len(listed)} prompts is taken")
    return first


def _row(number: int, test: Row, default: Row, prompt: str, rows: Rows) -> Row:
    where = f"test {number}"
    given = {**(default.get("vars") or {}), **(test.get("vars") or {})}
    asked, missing = filled(prompt, {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()})
    if missing or re.search(r"\{[{%]", asked):
        rows.notes.append(
            f"{where}: the prompt still holds a template: {', '.join(sorted(missing)) or 'an expression'}"
        )
    metadata: Row = test["metadata"] if isinstance(test.get("metadata"), dict) else {}
    rows.notes += dropped(where, set(test) - {"vars", "assert", "description", "metadata"})
    rows.notes += dropped(where, {f"metadata.{name}" for name in metadata if name not in _OURS})
    row: Row = {"id": _name(test.get("description"), number), **_asked(asked, where)}
    row |= {name: metadata[name] for name in _OURS if name in metadata}
    scorers = []
    for check in [*(default.get("assert") or []), *(test.get("assert") or [])]:
        carried = from_assert(check if isinstance(check, dict) else {}, given)
        expected = carried.expected
        if carried.scorer is None or (expected is not None and row.get("expected", expected) != expected):
            kind = check.get("type") if isinstance(check, dict) else check
            rows.notes.append(f"promptfoo assert `{kind}` of test {number} has no counterpart")
            continue
        rows.notes += [f"{where}: {note}" for note in carried.notes]
        if expected is not None:
            row["expected"] = expected
        scorers.append(carried.scorer)
    return {**row, "scorers": scorers}


def _name(description: object, number: int) -> str:
    name = re.sub(r"[^\w.-]+", "-", str(description or "")).strip("-._")[:80]
    return name or f"promptfoo-{number}"


def _asked(text: str, where: str) -> Row:
    """A prompt that is a JSON list of messages is a conversation, as promptfoo has it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"input": text}
    return chat(value, where) if isinstance(value, list) else {"input": text}


def write_promptfoo(evaluation: EvalSet) -> Exported:
    """The samples as tests of the prompt `{{input}}`; a conversation is the JSON list that promptfoo reads as one."""
    tests, notes = [], []
    for sample in evaluation.samples:
        single = len(sample.messages) == 1 and sample.messages[0].role == "user"
        messages = [{"role": message.role, "content": message.content} for message in sample.messages]
        asked = sample.messages[0].content if single else json.dumps(messages, ensure_ascii=False)
        if re.search(r"\{[{%#]", asked):
            notes.append(f"{sample.id}: holds template marks, which promptfoo would fill in")
        checks, left = to_asserts(sample)
        notes += [f"{sample.id}: {what}" for what in left]
        test: dict[str, Any] = {"description": sample.id, "vars": {"input": asked}, "assert": checks}
        tests.append({**test, "metadata": extras(sample)})
    whole = {"description": evaluation.says, "prompts": ["{{input}}"], "tests": tests}
    return Exported(yaml_text(whole), tuple(notes))
