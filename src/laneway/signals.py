"""Signals: what classification found about one request, each with its evidence.

Comes from `classify`; goes into `decide` and the record. Evidence names a place and a kind, never text.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "DIFFICULTIES",
    "LANGUAGES",
    "LATENCIES",
    "NEEDS",
    "STAKES",
    "Ask",
    "Difficulty",
    "Evidence",
    "Latency",
    "Signals",
    "Stakes",
]

Difficulty = Literal["routine", "hard", "unknown"]
Latency = Literal["interactive", "background", "batch"]
Stakes = Literal["normal", "high"]

DIFFICULTIES = ("routine", "hard", "unknown")
LATENCIES = ("interactive", "background", "batch")
STAKES = ("normal", "high")
LANGUAGES = ("en", "sv", "no", "da", "fi", "de")
NEEDS = ("tools", "vision", "audio", "pdf", "json", "context")


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """Why a signal has its value: which signal, where it was found, what kind of thing it was, to what end.

    Example: ``sensitivity, messages[1].content, se.personnummer, restricted``.
    """

    signal: str
    place: str
    kind: str
    value: str


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one request that a policy's rules may test.

    `ceiling` is money in the policy's currency, None for no ceiling; `tokens` is the estimated input.
    `declared` holds the organisation's own facts; a fact that is absent there, or None here, is unknown. `language`
    (one of LANGUAGES) is looked for only where evidence may depend on it, and no rule tests it.
    """

    sensitivity: str
    difficulty: Difficulty = "routine"
    stakes: Stakes = "normal"
    latency: Latency = "interactive"
    ceiling: float | None = None
    tokens: int = 0
    needs: tuple[str, ...] = ()
    workload: str | None = None
    team: str | None = None
    region: str | None = None
    declared: dict[str, str | float] = {}
    evidence: tuple[Evidence, ...] = ()
    language: str | None = None


class Ask(msgspec.Struct, frozen=True):
    """What the client asked for by name: a pinned lane or none, and its own output limit in tokens."""

    pin: str | None = None
    max_output: int | None = None
