"""OpenAI: JSON Lines of evals, of the hosted Evals and of the Playground's chats.

Reference: https://github.com/openai/evals/blob/main/docs/build-eval.md (`input` and `ideal`),
https://platform.openai.com/docs/guides/evals (`item`), and the chat format `messages`, whose last message is the
wanted answer. What is written is the first of the three.
"""

from __future__ import annotations

import json

from laneway.evidence.formats.shape import (
    Exported,
    FormatError,
    Head,
    Imported,
    Row,
    Rows,
    chat,
    dropped,
    json_lines,
    row_of,
    strings,
    unclassed,
)
from laneway.evidence.sample import EvalSet

__all__ = ["read_openai", "write_openai"]

_ASKS = ("input", "messages", "prompt", "question", "query", "text")
_WANTS = ("ideal", "expected", "expected_output", "reference", "answer", "correct_label", "label", "output")


def read_openai(text: str, head: Head) -> Imported:
    """The lines as samples; a text in `ideal` is scored by `exact`, a list of texts by any of them."""
    rows = Rows(head)
    for number, line in json_lines(text):
        where = f"line {number}"
        inner = line.get("item", line)
        if not isinstance(inner, dict):
            raise FormatError(f"{where}: `item` is not an object")
        if "item" in line:
            rows.notes += dropped(where, set(line) - {"item"})
        row, used = _row(inner, where)
        rows.notes += dropped(where, set(inner) - used)
        rows.add({"id": f"openai-{number}", **row})
    return rows.built()


def _row(item: Row, where: str) -> tuple[Row, set[str]]:
    asks = next((name for name in _ASKS if name in item), None)
    if asks is None:
        raise FormatError(f"{where}: no input; expected one of {', '.join(_ASKS)}")
    wants = next((name for name in _WANTS if name in item), None)
    row, expected = chat(item[asks], where), item.get(wants) if wants else None
    messages = row.get("messages", [])
    if wants is None and messages and messages[-1]["role"] == "assistant":
        row, expected = chat(messages[:-1], where), messages[-1]["content"]
    if strings(expected):
        row |= {"expected": expected, "scorers": [{"exact": {}}]}
    elif expected is not None:
        row["expected"] = expected
    return row, {asks} | ({wants} if wants else set())


def write_openai(evaluation: EvalSet, prompt: str = "") -> Exported:
    """The samples as `input` and `ideal`; the set's prompt, as text, becomes the first message."""
    lines, notes = [], []
    for sample in evaluation.samples:
        messages = [{"role": message.role, "content": message.content} for message in sample.messages]
        line: Row = {"input": [{"role": "system", "content": prompt}] * bool(prompt) + messages}
        if strings(sample.expected):
            line["ideal"] = sample.expected
        elif sample.expected is not None:
            notes.append(f"{sample.id}: `expected` is neither a text nor a list of texts and is left out")
        scorers = [s.name for s in sample.scorers if s.name != "exact" or s.options]
        notes += dropped(sample.id, {*scorers, *(set(row_of(sample)) & {"facts", "language", "group", "tags"})})
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return Exported("".join(lines), (*notes, *unclassed(evaluation)))
