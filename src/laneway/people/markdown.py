"""markdown: the document for people as Markdown, for a wiki or a pull request."""

from __future__ import annotations

import re

from laneway.people.document import Cell, Document, Section, Table

__all__ = ["markdown", "markdown_text", "section_markdown"]


def markdown(document: Document) -> str:
    """The whole document; what the policy says is shown as it stands there, never as markup."""
    parts = [
        f"# {markdown_text(document.name)}",
        f"Policy for language models, read on {document.day}: **{markdown_text(document.proved.text)}**, "
        f"{markdown_text(document.proved.detail)}.",
    ]
    for section in document.sections:
        parts += section_markdown(section)
    return "\n\n".join(parts) + "\n"


def section_markdown(section: Section) -> list[str]:
    """One section, by the paragraph."""
    parts = [f"## {markdown_text(section.title)}", *map(markdown_text, section.lead)]
    return parts if section.table is None else [*parts, _table(section.table)]


def _table(table: Table) -> str:
    rule = tuple("---" for _ in table.columns)
    rows = (tuple(map(markdown_text, table.columns)), rule, *(tuple(map(_cell, row)) for row in table.rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(cell: Cell) -> str:
    text = f"**{markdown_text(cell.text)}**" if cell.tone in ("bad", "warn") else markdown_text(cell.text)
    return f"{text} ({markdown_text(cell.detail)})" if cell.detail else text


def markdown_text(text: str) -> str:
    """One line, in which no character is markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~&!$^@]|:(?=//)|(?<=www)\.)", r"\\\1", " ".join(text.split()))
