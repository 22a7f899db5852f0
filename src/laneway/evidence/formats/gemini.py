"""Gemini: the data set of Google's Gen AI evaluation service, as JSON Lines.

Reference: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/eval-python-sdk/evaluation-dataset
(`prompt`, `reference`, `history` for conversations, `instruction` and `context`; `response` and
`baseline_model_response` are answers, and not taken over).
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
    extras,
    json_lines,
    strings,
    unclassed,
)
from laneway.evidence.sample import EvalSet

__all__ = ["read_gemini", "write_gemini"]

_KNOWN = {"prompt", "reference", "history", "instruction", "context"}


def read_gemini(text: str, head: Head) -> Imported:
    """The lines as samples; a `reference` is scored by `exact`. Without a `prompt`, instruction and context are it."""
    rows = Rows(head)
    for number, line in json_lines(text):
        where = f"line {number}"
        parts = [line[name] for name in ("instruction", "context") if line.get(name)]
        prompt = line.get("prompt") or "\n\n".join(map(str, parts))
        if not isinstance(prompt, str) or not prompt.strip():
            raise FormatError(f"{where}: no `prompt` that is a text, and no `instruction`")
        used = _KNOWN - ({"instruction", "context"} if line.get("prompt") else set())
        rows.notes += dropped(where, set(line) - used)
        wanted = line.get("reference")
        scored = {"expected": wanted, "scorers": [{"exact": {}}]} if strings(wanted) and wanted else {}
        rows.add({"id": f"gemini-{number}", **_asked(line.get("history"), prompt, where), **scored})
    return rows.built()


def _asked(history: object, prompt: str, where: str) -> Row:
    if not history:
        return {"input": prompt}
    turns = history if isinstance(history, list) else [{"role": "user", "content": str(history)}]
    renamed = [{**t, "role": "assistant"} if isinstance(t, dict) and t.get("role") == "model" else t for t in turns]
    return chat([*renamed, {"role": "user", "content": prompt}], where)


def write_gemini(evaluation: EvalSet, prompt: str = "") -> Exported:
    """The samples as `prompt`, `reference` and, for conversations, `history`; the set's prompt is its first turn."""
    lines, notes = [], []
    for sample in evaluation.samples:
        turns = [{"role": m.role, "content": m.content} for m in sample.messages[:-1]]
        turns = [{"role": "system", "content": prompt}] * bool(prompt) + turns
        line: Row = {"prompt": sample.messages[-1].content}
        if turns:
            line["history"] = turns
        if isinstance(sample.expected, str):
            line["reference"] = sample.expected
        elif sample.expected is not None:
            notes.append(f"{sample.id}: `expected` is not a text and is left out")
        scorers = [s.name for s in sample.scorers if s.name != "exact" or s.options]
        notes += dropped(sample.id, {*scorers, *(set(extras(sample)) - {"sensitivity"})})
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return Exported("".join(lines), (*notes, *unclassed(evaluation)))
