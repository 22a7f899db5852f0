"""markdown: a review as Markdown, for a wiki, an issue or a chat. What it names is never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from laneway.people.markdown import markdown_text, section_markdown
from laneway.weekly.telling import advice_lines, damage, headline, moment, sections
from laneway.weekly.value import Review

__all__ = ["markdown"]


def markdown(review: Review) -> str:
    """The whole review."""
    return "\n\n".join(_parts(review)) + "\n"


def _parts(review: Review) -> Iterator[str]:
    yield f"# {markdown_text(review.policy or 'Laneway')}: review"
    yield from (f"**{markdown_text(told)}**" for told in damage(review))
    yield f"From {moment(review.start)} to {moment(review.until)} UTC. {markdown_text(headline(review))}."
    for section in sections(review):
        yield from section_markdown(section)
    if review.advice:
        yield "## What to do?"
    for said in advice_lines(review):
        yield markdown_text(f"{said.told} {said.detail}")
        if said.diff:
            fence = "`" * max(3, *(1 + len(run) for run in re.findall("`+", said.diff)), 3)
            yield f"{fence}diff\n{said.diff}{fence}"
