"""changed: what two policies say differently beside the ways of requests: lanes' facts, floors, dates, promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

from laneway.condition import ALWAYS
from laneway.policy import Capture, Must, Policy, Shadow, Waiver

__all__ = ["Difference", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is said differently; `added` or `removed` stands for the side that says nothing of it."""

    about: str
    old: str
    new: str


def changed(old: Policy, new: Policy) -> Iterator[Difference]:
    """The differences in the order of the file. Names of rules and sentences are none."""
    before, after = dict(_said(old)), dict(_said(new))
    for about in dict.fromkeys((*before, *after)):
        if about not in after:
            yield Difference(about, _told(before[about]), "removed")
        elif about not in before:
            yield Difference(about, "added", _told(after[about]))
        else:
            yield from _apart(about, before[about], after[about])


def _apart(about: str, old: object, new: object) -> Iterator[Difference]:
    """Where two values differ: field by field where they have fields."""
    if is_dataclass(old) and is_dataclass(new):
        for field in fields(old):
            if field.name not in ("name", "line", "says"):
                yield from _apart(f"{about}.{field.name}", getattr(old, field.name), getattr(new, field.name))
    elif old != new:
        yield Difference(about, _told(old), _told(new))


def _said(policy: Policy) -> Iterator[tuple[str, object]]:
    yield "currency", policy.currency
    yield "sensitivity", policy.classes
    yield "unlabelled", policy.unlabelled
    for key, named in (("lanes", policy.lanes), ("workloads", policy.workloads), ("facts", policy.facts)):
        yield from ((f"{key}.{name}", value) for name, value in named.items())
    yield "strength", policy.strength
    yield from ((f"detect.{kind}", value) for kind, value in policy.detect.identifiers.items())
    yield "detect.unreadable", policy.detect.unreadable
    yield "gate.checks", policy.gate.checks
    yield "gate.judge", policy.gate.judge
    yield "gate.evidence", policy.gate.bar
    yield from ((f"gate.waiver of {_waiver(waiver)}", "stated") for waiver in policy.gate.waivers)
    yield from ((f"deadlines.{latency}", deadline) for latency, deadline in policy.deadlines.items())
    yield from ((f"shadow {_shadow(rule)}", "stated") for rule in policy.shadows)
    yield from ((f"capture {_capture(rule)}", "stated") for rule in policy.captures)
    yield from ((f"retention.{name}", f"{policy.kept_days(name)} days") for name in policy.classes)
    yield from ((f"must {_must(must)}", "stated") for must in policy.must)
    yield "approved", policy.approval
    yield "networks", policy.networks


def _waiver(waiver: Waiver) -> str:
    works = "" if waiver.workloads is None else f" for {_told(waiver.workloads)}"
    return f"{_told(waiver.lanes)}{works} until {waiver.until} by {waiver.by}"


def _shadow(rule: Shadow) -> str:
    when = f" where {_told(rule.when)}" if rule.when is not ALWAYS else ""
    told = f", judged by {_told(rule.judge)}" if rule.judge else ""
    budget = "" if rule.budget is None else f", at most {_told(rule.budget)} a day"
    return f"of {_told(rule.share)} by {_told(rule.lanes)} until {rule.until}{when}{told}{budget}"


def _capture(rule: Capture) -> str:
    return f"where {_told(rule.when)} for {rule.days} days"


def _must(must: Must) -> str:
    return f"never {_told(must.when)}, {_told(must.lane)}, cost over {_told(must.cost_over)}"


def _told(value: object) -> str:
    """A value in words."""
    if value is None:
        return "not said"
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    if isinstance(value, tuple):
        return ", ".join(_told(part) for part in value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(part)}" for key, part in value.items())
    if is_dataclass(value):
        parts = ((field.name, getattr(value, field.name)) for field in fields(value))
        told = ((name, _told(part)) for name, part in parts
                if name not in ("name", "line", "says") and part not in (None, (), False))  # fmt: skip
        return ", ".join(f"{name} {words}" for name, words in told if words)
    return str(value)
