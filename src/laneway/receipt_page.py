"""receipt_page: the story of one request as HTML: the head of a page of it, and a whole file for the matter file."""

from __future__ import annotations

from collections.abc import Sequence

from laneway.people.page import contents, escaped, framed, sections_html
from laneway.policy import Policy
from laneway.receipt import Place, at, begun, ended, receipt, stage
from laneway.store import Story

__all__ = ["head_of", "receipt_page"]


def head_of(story: Story, places: Sequence[Place]) -> str:
    """Which request, when, how it ended, and whether the log still says what it said."""
    told, tone = ended(story)
    people, wait = stage(story)
    work = story.opening.signals.workload or "no workload"
    said = f"{work}, {story.opening.signals.sensitivity}; {at(begun(story))} UTC"
    lane = story.outcome.entry.lane if story.outcome and story.outcome.entry.status == "answered" else None
    verdict = f"<strong>{escaped(told.capitalize())}</strong> {escaped(f'by {lane} ' if lane else '')}{escaped(people)}"
    broken = next((place.problem for place in places if place.problem), "")
    chain = f'<p class="verdict bad"><strong>Damaged</strong> {escaped(broken)}</p>' if broken else ""
    return (f"<p>Decision <code>{escaped(story.id)}</code></p>\n<h1>{escaped(said)}</h1>\n{chain}"
            f'<p class="verdict {wait or tone}">{verdict}</p>')  # fmt: skip


def receipt_page(story: Story, policy: Policy | None, places: Sequence[Place]) -> str:
    """The whole page, which needs no other file and holds nothing of what was asked or answered."""
    sections = receipt(story, policy, places)
    return framed(f"Decision {story.id}", head_of(story, places), contents(sections), sections_html(sections))
