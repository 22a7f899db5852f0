"""restated: what a client stated, taken back out of recorded signals; and what another policy makes of it.

The recorded signals hold what the policy of that time made of a request: its floors, its defaults, the classes of
its identifiers. Their evidence says where each value came from, so that another policy can read the same request in
its own way, as `classify` would. What the record does not hold is said and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from laneway.classify import fact_of
from laneway.errors import RequestError
from laneway.policy import Policy
from laneway.proof.stated import read
from laneway.signals import DIFFICULTIES, Difficulty, Signals

__all__ = ["Read", "Stated", "found_as", "read_anew", "read_back"]

_LABELS = ("label", "label-below-floor")
_OURS = ("floor", "default")
"""The kinds of evidence that the policy put there itself."""
_FACT = "fact-"


class Stated(NamedTuple):
    """One request as its client stated it; None where it said nothing.

    `found` are the kinds of what was found in the text and raises its class. `difficulty` is what the text showed,
    None where nobody looked; `written` the language that it was found to be in.
    """

    model: str
    pin: str | None
    labels: Mapping[str, str]
    found: tuple[str, ...]
    difficulty: Difficulty | None
    tokens: int
    needs: tuple[str, ...]
    workload: str | None
    written: str | None


class Read(NamedTuple):
    """A request with the eyes of a policy: the signals, one for each difficulty that it may have.

    `unknown` names what the policy does not know, so that the request would be an error; there are no signals then.
    """

    signals: tuple[Signals, ...]
    unknown: str = ""


def read_back(model: str, pin: str | None, signals: Signals) -> Stated:
    """What the client stated of the request with these recorded signals."""
    labels: dict[str, str] = {}
    found: dict[str, None] = {}
    looked, written = True, None
    for one in signals.evidence:
        if one.kind in _LABELS:
            labels[one.place.removeprefix("header laneway-")] = one.value
        elif one.signal == "sensitivity" and one.kind not in _OURS:
            found[one.kind] = None
        elif one.signal == "difficulty" and one.kind == "default":
            looked = False
        elif one.signal == "language" and one.kind == "written-in":
            written = one.value
    difficulty = signals.difficulty if looked else None
    return Stated(
        model, pin, labels, tuple(found), difficulty, signals.tokens, signals.needs, signals.workload, written
    )


def read_anew(policy: Policy, stated: Stated) -> Read:
    """What the policy makes of a stated request."""
    unknown = _unknown(policy, stated)
    if unknown:
        return Read((), unknown)
    name, labels = stated.workload, stated.labels
    try:
        declared = dict(fact_of(policy, label, value) for label, value in labels.items() if label.startswith(_FACT))
    except RequestError as error:
        return Read((), f"`{error.param}` or its value")
    ceiling = labels.get("ceiling")
    signals = Signals(
        sensitivity=_sensitivity(policy, stated),
        stakes=read(policy, "stakes", labels.get("stakes"), name),  # type: ignore[arg-type]
        latency=read(policy, "latency", labels.get("latency"), name),  # type: ignore[arg-type]
        ceiling=read(policy, "ceiling", None if ceiling is None else float(ceiling), name),  # type: ignore[arg-type]
        tokens=stated.tokens,
        needs=stated.needs,
        workload=name,
        team=labels.get("team"),
        region=labels.get("region"),
        declared=declared,
        language=_language(policy, stated),
    )
    may_be = dict.fromkeys(read(policy, "difficulty", d, name) for d in _difficulties(stated))
    return Read(tuple(msgspec.structs.replace(signals, difficulty=d) for d in may_be))


def _unknown(policy: Policy, stated: Stated) -> str:
    """What the client named that the policy does not know, in words."""
    label = stated.labels.get("sensitivity")
    if label is not None and label not in policy.classes:
        return f"the class `{label}`"
    if stated.workload is not None and stated.workload not in policy.workloads:
        return f"the workload `{stated.workload}`"
    if stated.pin is not None and stated.pin not in policy.lanes:
        return f"the lane `{stated.pin}`"
    return ""


def _sensitivity(policy: Policy, stated: Stated) -> str:
    """The highest of what was stated, the workload's floor and what was found; the default only where nobody said."""
    workload, label = policy.workloads.get(stated.workload or ""), stated.labels.get("sensitivity")
    floor = workload.sensitivity if workload else None
    said = [one for one in (label, floor) if one is not None] or [policy.unlabelled.sensitivity]
    return max((*said, *found_as(policy, stated.found)), key=policy.classes.index)


def found_as(policy: Policy, found: Iterable[str]) -> list[str]:
    """The classes to which the policy raises a text in which these kinds of thing were found."""
    kinds, detect = policy.detect.identifiers, policy.detect
    fixed = {"unreadable": detect.unreadable, "detector-failed": policy.strictest}
    made = (fixed.get(kind) or kinds.get(kind, kinds.get("*")) for kind in found)
    return [name for name in made if name is not None]


def _language(policy: Policy, stated: Stated) -> str | None:
    """As `classify` looks for it: what is written is looked at only where evidence may depend on it."""
    if "language" in stated.labels:
        return stated.labels["language"]
    if stated.workload is None or stated.workload not in policy.measured:
        return None
    return policy.workloads[stated.workload].language or stated.written


def _difficulties(stated: Stated) -> tuple[Difficulty, ...]:
    return DIFFICULTIES if stated.difficulty is None else (stated.difficulty,)  # type: ignore[return-value]
