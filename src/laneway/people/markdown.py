"""markdown: the document for people as Markdown, for a wiki or a pull request."""

from __future__ import annotations

import re

from laneway.people.document import Cell, Document, Table

__all__ = ["markdown"]


def markdown(document: Document) -> str:
    """The whole document; what the policy says is shown as it stands there, never as markup."""
    parts = [
        f"# {_text(document.name)}",
        f"Policy for language models, read on {document.day}: **{_text(document.proved.text)}**, "
        f"{_text(document.proved.detail)}.",
    ]
    for section in document.sections:
        parts += [f"## {_text(section.title)}", *map(_text, section.lead)]
        if section.table is not None:
            parts.append(_table(section.table))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    rule = tuple("---" for _ in table.columns)
    rows = (tuple(map(_text, table.columns)), rule, *(tuple(map(_cell, row)) for row in table.rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(cell: Cell) -> str:
    text = f"**{_text(cell.text)}**" if cell.tone in ("bad", "warn") else _text(cell.text)
    return f"{text} ({_text(cell.detail)})" if cell.detail else text


def _text(text: str) -> str:
    """One line, in which no character is markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~&!$^@]|:(?=//)|(?<=www)\.)", r"\\\1", " ".join(text.split()))
