"""asking: a seed and a number in, a week of requests out, by the time at which each is asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from tests.week.kinds import KINDS, Kind

__all__ = ["WEEK", "Asked", "week"]

WEEK = 7 * 86_400.0
"""Seconds."""

_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 13, 16, 18, 17, 14, 9, 6, 4, 3, 2, 2, 1)
_DAYS = (10, 11, 11, 10, 9, 3, 2)
_MORE = (
    "Keep it plain.", "Our readers are in a hurry.", "No jargon, please, and no greeting at the end.",
    "The text of last spring was too long for most who called us about it.",
    "It goes to the people in the two offices by the harbour and to nobody else.",
    "Whoever wrote the earlier one has left, and nobody here knows where it is kept.",
)  # fmt: skip
_SENTENCES = 16
_WORDS: tuple[tuple[tuple[tuple[str, bool], ...], int], ...] = (
    ((), 968), ((("user", False),), 20), ((("operator", False),), 4), ((("user", True),), 2),
    ((("user", False), ("user", True)), 3), ((("user", False), ("operator", False)), 2),
    ((("user", False), ("operator", True)), 1),
)  # fmt: skip
_TOOL = {"type": "function", "function": {"name": "nearest_harbour", "parameters": {"type": "object"}}}


class Asked(NamedTuple):
    """Request `number`, asked `at` so many seconds into the week. Its number stands in its text: lanes note it.

    `impatient` clients leave where a lane hangs. `words` are what its asker and an operator
    say of the answer afterwards, `after` so many seconds each. `found` is what is to be detected in the text, if
    anything.
    """

    number: int
    at: float
    kind: Kind
    body: bytes
    labels: dict[str, str]
    stream: bool
    impatient: bool
    words: tuple[tuple[str, bool], ...]
    after: float
    found: str


def week(seed: int, requests: int, weekday: int = 0) -> list[Asked]:
    """The requests, oldest first; the first day is a Monday where `weekday` is 0."""
    chance = random.Random(f"{seed} asking")
    days = chance.choices(range(7), _DAYS[weekday:] + _DAYS[:weekday], k=requests)
    hours = chance.choices(range(24), _HOURS, k=requests)
    times = sorted(day * 86_400 + hour * 3_600 + chance.random() * 3_600 for day, hour in zip(days, hours, strict=True))
    kinds = chance.choices(KINDS, [kind.weight for kind in KINDS], k=requests)
    return [_asked(chance, n, at, kind) for n, (at, kind) in enumerate(zip(times, kinds, strict=True), start=1)]


def _asked(chance: random.Random, number: int, at: float, kind: Kind) -> Asked:
    stream = chance.random() < kind.streams
    more = " ".join(chance.choices(_MORE, k=chance.randrange(_SENTENCES)))
    said = chance.choice(list(kind.texts))
    text = f"week-{number}: {said} {more}".strip()
    body: dict[str, object] = {"model": kind.model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    if kind.wants == "json":
        body["response_format"] = {"type": "json_object"}
    if kind.wants == "tool":
        body["tools"] = [_TOOL]
    if chance.random() < 0.1 and "ceiling" not in kind.labels:
        body["max_tokens"] = 400
    words = chance.choices([words for words, _ in _WORDS], [weight for _, weight in _WORDS])[0]
    return Asked(
        number=number, at=at, kind=kind, body=msgspec.json.encode(body),
        labels={f"laneway-{name}": value for name, value in kind.labels.items()}, stream=stream,
        impatient=chance.random() < 0.85, words=words, after=chance.expovariate(1 / 7_200),
        found=kind.texts[said] if isinstance(kind.texts, Mapping) else "",
    )  # fmt: skip
