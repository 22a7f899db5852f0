"""page: the document for people as one HTML page without script, to print, to keep and to hand to an auditor.

Everything that a policy says passes through `escaped` on its way here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files

from laneway.people.document import Cell, Document, Section, Table
from laneway.people.whereabouts import DISTANCES

__all__ = ["contents", "escaped", "framed", "page", "parts", "sections_html", "style", "table_html", "visible"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LINE, _TOP = 18, 34


def page(document: Document) -> str:
    """The whole page."""
    head, main = parts(document)
    return framed(f"{document.name}: policy for language models", head, contents(document.sections), main)


def parts(document: Document) -> tuple[str, str]:
    """Its head and its main part, as HTML."""
    proved = document.proved
    head = f"""<p>Policy for language models, read on <time datetime="{document.day}">{document.day}</time></p>
<h1>{escaped(document.name)}</h1>
<p class="verdict {proved.tone}"><strong>{escaped(proved.text.capitalize())}</strong> {escaped(proved.detail)}</p>"""
    return head, sections_html(document.sections, {"matrix": _drawing(document)})


def contents(sections: Iterable[Section]) -> list[tuple[str, str]]:
    """Where each section is, and its title."""
    return [(section.id, section.title) for section in sections]


def sections_html(sections: Iterable[Section], drawings: Mapping[str, str] | None = None) -> str:
    """Sections as HTML, each with its drawing, which is HTML, where there is one by its id."""
    return "".join(_section(section, (drawings or {}).get(section.id, "")) for section in sections)


def style() -> str:
    """The style sheet that every page has."""
    return (files("laneway.people") / "page.css").read_text("utf-8")


def framed(title: str, head: str, contents: Iterable[tuple[str, str]], main: str, more: str = "") -> str:
    """A page of this style, and `more` of it. `head` and `main` are HTML; a browser may load nothing for it."""
    links = [f'<li><a href="#{id}">{escaped(name)}</a></li>' for id, name in contents]
    nav = f'<nav aria-label="Contents"><ol>{"".join(links)}</ol></nav>\n' if len(links) > 1 else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escaped(title)}</title>
<style>
{style()}{more}</style>
</head>
<body>
<header>
{head}
</header>
{nav}<main>
{main}</main>
</body>
</html>
"""


def _section(section: Section, drawing: str) -> str:
    lead = "".join(f"<p>{escaped(text)}</p>\n" for text in section.lead)
    table = "" if section.table is None else table_html(section.table, section.id)
    title = f'<h2 id="{section.id}-title">{escaped(section.title)}</h2>'
    return (
        f'<section id="{section.id}" aria-labelledby="{section.id}-title">\n{title}\n{drawing}{lead}{table}</section>\n'
    )


def table_html(table: Table, id: str) -> str:
    """A table whose roles are spelled out, as a narrow screen lays its rows out as blocks."""
    kind = "matrix" if table.matrix else "rows"
    heads = "".join(f'<th scope="col" role="columnheader">{escaped(column)}</th>' for column in table.columns)
    rows = "".join(f'<tr role="row">{"".join(_row(row, table.columns))}</tr>\n' for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-labelledby="{id}-title">\n'
        f'<table class="{kind}" role="table" aria-labelledby="{id}-title">\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{rows}</tbody>\n</table>\n</div>\n'
    )


def _row(row: tuple[Cell, ...], columns: tuple[str, ...]) -> Iterator[str]:
    for i, (cell, column) in enumerate(zip(row, columns, strict=True)):
        tone = f' class="{cell.tone}"' if cell.tone else ""
        detail = f"<small>{escaped(cell.detail)}</small>" if cell.detail else ""
        text = f'<a href="{escaped(cell.link)}">{escaped(cell.text)}</a>' if cell.link else escaped(cell.text)
        inner = f"<time>{text}</time>{detail}" if _DATE.fullmatch(text) else f"<span>{text}</span>{detail}"
        yield f'<th scope="row" role="rowheader"{tone}>{inner}</th>' if i == 0 else (
            f'<td role="cell" data-label="{escaped(column)}"{tone}>{inner}</td>')  # fmt: skip


def _drawing(document: Document) -> str:
    """How far each class may go: a bar to the farthest lane that it may reach, with the lanes along it."""
    rings = [i for i in range(len(DISTANCES)) if any(lanes[i] for _, lanes in document.reach)]
    if not rings:
        return ""
    left = _wide((data_class for data_class, _ in document.reach), 110)
    step = _wide((lane for _, lanes in document.reach for names in lanes for lane in names), 126)
    y, drawn, told = _TOP, list[str](), list[str]()
    for data_class, lanes in document.reach:
        height = _LINE * max(1, *(len(lanes[i]) for i in rings)) + 10
        drawn.append(f'<text class="class" x="0" y="{y + height / 2 + 5:g}">{escaped(data_class)}</text>')
        reached = [k for k, i in enumerate(rings) if lanes[i]]
        if reached:
            bar = step * (reached[-1] + 1) - 8
            drawn.append(f'<rect x="{left + 4}" y="{y}" width="{bar}" height="{height}" rx="6"/>')
        for k in reached:
            for n, lane in enumerate(lanes[rings[k]], start=1):
                drawn.append(f'<text x="{left + step * k + 12}" y="{y + _LINE * n}">{escaped(lane)}</text>')
        said = "; ".join(f"{DISTANCES[rings[k]]}: {', '.join(lanes[rings[k]])}" for k in reached)
        told.append(f"{data_class} data may reach {said or 'no lane'}.")
        y += height + 10
    for k, i in enumerate(rings):
        x = left + step * k
        drawn.append(f'<text class="ring" x="{x + 12}" y="20">{DISTANCES[i]}</text>')
        drawn.append(f'<line x1="{x}" x2="{x}" y1="6" y2="{y}"/>')
    width, said = left + step * len(rings), escaped(" ".join(told))
    return (
        '<figure>\n<figcaption>How far each class of data may go</figcaption>\n<div class="scroll" tabindex="0">'
        f'<svg role="img" viewBox="0 0 {width} {y}" width="{width}" height="{y}" aria-label="{said}">'
        f"{''.join(drawn)}</svg></div>\n</figure>\n"
    )


def _wide(names: Iterable[str], least: int) -> int:
    """Room for the longest of the names, in a font of unknown width."""
    return max(least, *(9 * len(name) + 24 for name in names))


def escaped(text: str) -> str:
    """A text as HTML that shows it as it is."""
    return escape(visible(text), quote=True)


def visible(text: str) -> str:
    """Characters that do not show, or that turn the direction of others, spelled out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
