"""document: what a policy is told in: sections of paragraphs and tables, which the terminal and pages only draw."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Cell", "Document", "Row", "Section", "Table", "Tone", "sections_json", "table"]

Tone = Literal["", "good", "next", "weak", "wait", "idle", "shut", "bad", "warn", "dim"]
"""What a cell means, for those who draw it with colour; its text says the same."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, what it means, a smaller line below it, and where a page leads from it."""

    text: str
    tone: Tone = ""
    detail: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; the first cell of a row names it. A `matrix` is drawn with colour."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    matrix: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what there is to know first, and a table."""

    id: str
    title: str
    lead: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The whole, for one policy on one day. `proved` is the verdict in words."""

    name: str
    day: datetime.date
    proved: Cell
    sections: tuple[Section, ...]
    reach: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    """For each class, most sensitive first, the lanes that it may reach at each of `whereabouts.DISTANCES`."""


Row = tuple[str | Cell, ...]
"""What `table` takes for a row: a text alone stands for a cell without a tone."""


def table(columns: tuple[str, ...], rows: Iterable[Row], *, matrix: bool = False) -> Table | None:
    """The table, None where it has no row."""
    made = tuple(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return Table(columns, made, matrix) if made else None


def sections_json(document: Document) -> list[dict[str, object]]:
    """The sections for scripts: each row an object by column."""
    return [
        {
            "id": section.id, "title": section.title, "text": list(section.lead),
            "rows": [] if section.table is None else [
                {column: {"text": cell.text, "tone": cell.tone, "detail": cell.detail}
                 for column, cell in zip(section.table.columns, row, strict=True)}
                for row in section.table.rows
            ],
        }
        for section in document.sections
    ]  # fmt: skip
