"""report: recorded stories in, the review's three questions answered.

Which tasks escalated? Which cheap answers were rejected, by the gate or by people? Which fallbacks fired? Each by
workload, rule, lane and cause, with an example to look at. And which lanes answered as another model than the policy
names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from laneway.record import Feedback, Intent, Opening, Outcome
from laneway.rejections import standing

__all__ = ["Key", "Recorded", "Review", "Row", "ending", "review"]


class Recorded(NamedTuple):
    """One request, as the review reads it."""

    id: str
    opening: Opening
    intents: tuple[Intent, ...]
    outcome: Outcome | None
    feedback: tuple[Feedback, ...] = ()


class Row(NamedTuple):
    """One line of a table: what happened, how often, and the newest example."""

    workload: str
    rule: str
    lane: str
    cause: str
    times: int
    example: str


class Review(NamedTuple):
    """The three tables and their frame. `ends` counts by status and code: a refusal and an outage differ there."""

    requests: int
    statuses: dict[str, int]
    ends: dict[str, int]
    escalated: list[Row]
    rejected: list[Row]
    fallbacks: list[Row]
    other_models: list[Row]


Key = tuple[str, str, str, str]


class _Tally:
    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.examples: dict[Key, str] = {}

    def add(self, key: Key, id: str) -> None:
        self.counts[key] += 1
        self.examples[key] = id

    def rows(self) -> list[Row]:
        return [Row(*key, count, self.examples[key]) for key, count in self.counts.most_common()]


def ending(outcome: Outcome | None) -> str:
    """How a request ended: its status, and its code where that says more."""
    if outcome is None:
        return "open"
    return f"{outcome.status} ({outcome.code})" if outcome.code not in ("", outcome.status) else outcome.status


def review(stories: Iterable[Recorded]) -> Review:
    """The three questions over `stories` (oldest first). Reads each once."""
    statuses, ends = Counter[str](), Counter[str]()
    escalated, rejected, fallbacks, others = _Tally(), _Tally(), _Tally(), _Tally()
    for story in stories:
        workload = story.opening.signals.workload or "(none)"
        rule = story.opening.decision.reasons[0].rule
        statuses[story.outcome.status if story.outcome else "open"] += 1
        ends[ending(story.outcome)] += 1
        attempts = story.outcome.attempts if story.outcome else ()
        for attempt in attempts:
            if attempt.other_than is not None:
                told = f"as {attempt.model}, not {attempt.other_than}"
                others.add((workload, f"lanes.{attempt.lane}", attempt.lane, told), story.id)
            if attempt.verdict is not None and attempt.verdict.verdict != "pass":
                cause = f"{', '.join(attempt.verdict.failed)} -> {attempt.verdict.verdict}"
                rejected.add((workload, "gate", attempt.lane, cause), story.id)
        sources = {word.source for word in standing(story.feedback).values() if not word.accepted}
        if sources and story.outcome is not None:
            cause = f"by {' and '.join(sorted(sources))}"
            rejected.add((workload, "feedback", story.outcome.lane or "?", cause), story.id)
        answering = [intent for intent in story.intents if intent.why not in ("judge", "hedge")]
        for before, intent in zip((None, *answering), answering, strict=False):
            if intent.why in ("first", "retry"):
                continue
            start = before.lane if before else attempts[0].lane if attempts else "?"  # the first was not called
            hop = f"{start} -> {intent.lane}"
            if intent.why == "fallback":
                fallbacks.add((workload, _fallback_rule(story.opening), hop, intent.cause), story.id)
            elif intent.why == "escalation":
                weak = next((a for a in attempts if a.verdict is not None and a.verdict.verdict == "escalate"), None)
                hop = f"{weak.lane if weak else start} -> {intent.lane}"  # it may be a hedge that was weak
                cause = ", ".join(weak.verdict.failed) if weak and weak.verdict else ""
                escalated.add((workload, rule, hop, cause), story.id)
    rows = (tally.rows() for tally in (escalated, rejected, fallbacks, others))
    return Review(statuses.total(), dict(statuses), dict(ends), *rows)


def _fallback_rule(opening: Opening) -> str:
    return next((r.rule for r in opening.decision.reasons if r.code == "fallback"), "")
