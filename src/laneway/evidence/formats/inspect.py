"""Inspect: its samples as JSON or JSON Lines, and its logs as JSON.

Reference: https://inspect.aisi.org.uk/datasets.html (`input`, `target`, `id`, `metadata`) and
https://inspect.aisi.org.uk/eval-logs.html. A sample's scorers, class, language and the like stand in
`metadata.laneway`, so that a set comes back whole. A log's scores are not taken over.
"""

from __future__ import annotations

import json
import re

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
    whole_json,
)
from laneway.evidence.sample import EvalSet

__all__ = ["read_inspect", "write_inspect"]

_KNOWN = {"id", "input", "target", "metadata"}
_OF_A_LOG = {
    "epoch", "messages", "output", "scores", "store", "events", "attachments", "model_usage", "role_usage", "uuid",
    "started_at", "completed_at", "total_time", "working_time", "error", "error_retries", "limit", "timelines",
    "invalidation",
}  # fmt: skip


def read_inspect(text: str, head: Head) -> Imported:
    """The samples of a data set, or of a log (its first epoch). A `target` is scored by `exact`."""
    rows, seen = Rows(head), set()
    if text.startswith("PK"):
        raise FormatError("this is Inspect's packed log; `inspect log convert --to json` gives the log as JSON")
    samples, is_log = _samples(text)
    for number, sample in enumerate(samples, start=1):
        where = f"sample {number}"
        name = re.sub(r"[^\w.-]", "-", str(sample.get("id") or f"inspect-{number}"))[:80]
        if is_log and name in seen:
            continue
        seen.add(name)
        if "input" not in sample:
            raise FormatError(f"{where} has no `input`")
        rows.notes += dropped(where, _left_out(sample, is_log=is_log))
        rows.add({"id": name, **chat(sample["input"], where), **_graded(sample, where, rows)})
    if is_log:
        rows.notes.append("answers and scores of the log are left out: evidence is what was measured here")
    return rows.built()


def _samples(text: str) -> tuple[list[Row], bool]:
    """The samples, and whether they come from a log."""
    if text.lstrip().startswith("[") or ("\n" in text.strip() and text.lstrip().startswith("{\n")):
        whole = whole_json(text, "the file")
    else:
        lines = [line for _, line in json_lines(text)]
        whole = lines[0] if len(lines) == 1 and "samples" in lines[0] else lines
    is_log = isinstance(whole, dict)
    samples = whole.get("samples") if isinstance(whole, dict) else whole
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise FormatError("the file holds no list of samples; a log must be written with its samples")
    return samples, is_log


def _left_out(sample: Row, *, is_log: bool) -> set[str]:
    metadata = sample.get("metadata") or {}
    names = {name for name, value in sample.items() if value not in (None, {}, [])} - _KNOWN
    names -= _OF_A_LOG if is_log else set()
    return names | {f"metadata.{name}" for name in metadata if name != "laneway"}


def _graded(sample: Row, where: str, rows: Rows) -> Row:
    """What was expected and how it is scored: ours where it is given, else the target."""
    metadata, target = sample.get("metadata") or {}, sample.get("target")
    if isinstance(metadata, dict) and isinstance(metadata.get("laneway"), dict):
        return dict(metadata["laneway"])
    if strings(target) and target != "":
        return {"expected": target, "scorers": [{"exact": {}}]}
    if target not in (None, "", []):
        rows.notes.append(f"{where}: `target` is neither a text nor a list of texts and is left out")
    return {}


def write_inspect(evaluation: EvalSet, prompt: str = "") -> Exported:
    """The samples as JSON Lines; the set's prompt, as text, becomes a system message. Nothing else is lost."""
    lines = []
    for sample in evaluation.samples:
        row = row_of(sample)
        messages = [{"role": message.role, "content": message.content} for message in sample.messages]
        asked = [{"role": "system", "content": prompt}, *messages] if prompt else row.get("input", messages)
        ours = {key: value for key, value in row.items() if key not in ("id", "input", "messages")}
        target = sample.expected if strings(sample.expected) else json.dumps(sample.expected) if sample.expected else ""
        line = {"id": sample.id, "input": asked, "target": target, "metadata": {"laneway": ours}}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return Exported("".join(lines), ())
