"""Anthropic Console: the CSV of its Evaluate page, one column for each `{{variable}}` of the prompt, one row a test.

Reference: https://platform.claude.com/docs/en/test-and-evaluate/eval-tool. That page names no column for wanted
answers; `ideal_output` is what this module reads and writes, unless another is named.
"""

from __future__ import annotations

import csv
import io

from laneway.evidence.formats.shape import (
    Exported,
    FormatError,
    Head,
    Imported,
    Row,
    Rows,
    dropped,
    extras,
    filled,
    unclassed,
)
from laneway.evidence.sample import EvalSet

__all__ = ["IDEAL", "read_anthropic", "write_anthropic"]

IDEAL = "ideal_output"


def read_anthropic(text: str, head: Head, template: str = "", ideal: str = IDEAL) -> Imported:
    """The rows as samples: the template with its variables filled in, or the only column where there is none."""
    rows, reader = Rows(head), csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = [name for name in reader.fieldnames or [] if name != ideal]
        if not template and len(columns) != 1:
            raise FormatError(f"the CSV has {len(columns)} variables; give the prompt that they stand in")
        template = template or f"{{{{{columns[0]}}}}}"
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise FormatError(f"test {number} has more or fewer fields than there are columns")
            asked, missing = filled(template, row)
            if missing:
                raise FormatError(f"the prompt needs `{min(missing)}`, which is no column of the CSV")
            wanted = row.get(ideal)
            scored: Row = {"expected": wanted, "scorers": [{"exact": {}}]} if wanted else {}
            rows.add({"id": f"console-{number}", "input": asked, **scored})
    except csv.Error as error:
        raise FormatError(f"not a CSV, at line {reader.line_num}: {error}") from None
    return rows.built()


def write_anthropic(evaluation: EvalSet) -> Exported:
    """The samples as the variable `input`, and `ideal_output`; the Console's prompt then holds `{{input}}`."""
    out, notes = io.StringIO(), []
    table = csv.writer(out)
    table.writerow(["input", IDEAL])
    for sample in evaluation.samples:
        if len(sample.messages) > 1 or sample.messages[0].role != "user":
            notes.append(f"{sample.id}: a conversation has no counterpart and is left out")
            continue
        wanted = sample.expected if isinstance(sample.expected, str) else ""
        if sample.expected is not None and not wanted:
            notes.append(f"{sample.id}: `expected` is not a text and is left out")
        table.writerow([sample.messages[0].content, wanted])
        scorers = [s.name for s in sample.scorers if s.name != "exact" or s.options]
        notes += dropped(sample.id, {*scorers, *(set(extras(sample)) - {"sensitivity"})})
    return Exported(out.getvalue(), (*notes, *unclassed(evaluation)))
