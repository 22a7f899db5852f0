"""Decision: what the policy said about one request, with a reason for every lane.

A closed union of three frozen values. `Route`: call these lanes in this order. `Hold`: a person must act
before any lane is called. `Refuse`: no lane may serve. All three are recorded by value and replayable.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Decision", "Hold", "OnWeak", "Reason", "Refuse", "Release", "Route", "Stop", "Unseen"]

Stop = Literal["hold", "refuse"]
OnWeak = Literal["hold", "refuse", "marked"]
Release = Literal["now", "after-approval"]


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule, the signal that made it speak, and its effect. Codes are listed in `docs/reasons.md`.

    `rule` is the rule's id (`wall[0]`, `routes[1]`, or its own `id`), `says` the policy's sentence for
    it, `signal` what it looked at (`sensitivity=restricted`), `lane` the lane it is about, if any.
    """

    code: str
    rule: str
    signal: str
    effect: str
    says: str = ""
    lane: str = ""


class Unseen(msgspec.Struct, frozen=True, omit_defaults=True):
    """The lanes that may answer a request unseen by a rule of `shadow`, and those that may compare, in order."""

    rule: str
    lanes: tuple[str, ...]
    judge: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True, tag_field="decision", tag="route"):
    """Call `lanes` in order: the first is tried, the rest only when the one before failed.

    `escalate`: lanes that may redo a weak answer, in order; only one stronger than the answering lane is
    used, once. `judge`: lanes that may judge an answer, in order, but never their own. `on_failure` and
    `on_weak` say what happens when nothing is left; `on_weak` is None where the policy checks no answer.
    `caps`: the most output tokens that the ceiling affords, by lane. `estimated_cost`: worst case of the first
    lane, in the policy's currency, None where a price is unknown. Deadlines in seconds, None for none; after `hedge`
    seconds without a word from one of `lanes` the next of them is asked too.
    `met`: the lanes that may serve on evidence, where others serve on a waiver; `evidence` says it of the first.
    `shadow`: who may answer unseen besides, once the client has its answer, rule by rule.
    """

    lanes: tuple[str, ...]
    escalate: tuple[str, ...]
    judge: tuple[str, ...] = ()
    on_failure: Stop
    on_weak: OnWeak | None
    release: Release
    evidence: Literal["met", "waived"]
    first_byte: float | None
    total: float | None
    hedge: float | None = None
    caps: dict[str, int]
    estimated_cost: float | None
    reasons: tuple[Reason, ...]
    rejected: tuple[Reason, ...]
    met: tuple[str, ...] = ()
    shadow: tuple[Unseen, ...] = ()


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag_field="decision", tag="hold"):
    """A person must act before any lane is called; the first reason names the rule."""

    release: Release
    reasons: tuple[Reason, ...]
    rejected: tuple[Reason, ...]


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag_field="decision", tag="refuse"):
    """No lane may serve this request; the first reason names the rule."""

    reasons: tuple[Reason, ...]
    rejected: tuple[Reason, ...]


Decision = Route | Hold | Refuse
