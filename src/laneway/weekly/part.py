"""part: as much of each entry of the log as the review counts; the rest is passed over unread. Pure.

Fields that an older or a newer Laneway did not write have defaults, and those that it wrote besides are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from laneway.record import Feedback, Shut
from laneway.signals import Evidence

__all__ = [
    "Attempt",
    "Call",
    "Compared",
    "Decided",
    "End",
    "Opening",
    "Resolved",
    "Waiting",
    "call",
    "compared",
    "end",
    "feedback",
    "resolved",
    "shut",
    "waiting",
]

_SENSITIVITY = b'["sensitivity",'
_STATED = ("label", "label-below-floor", "floor", "default")


class _Signals(msgspec.Struct):
    sensitivity: str
    workload: str | None = None
    evidence: msgspec.Raw = msgspec.Raw(b"[]")

    @property
    def detected(self) -> bool:
        """Whether something may have been found; else somebody or nobody said, and that is all."""
        return bytes(self.evidence).count(_SENSITIVITY) > 1

    def raising(self) -> Iterator[str]:
        """The kinds of what detection found that made the request's class what it is."""
        found = [e for e in _evidence(self.evidence) if e.signal == "sensitivity" and e.value == self.sensitivity]
        if all(e.kind not in _STATED for e in found):
            yield from dict.fromkeys(e.kind for e in found)


class _Reason(msgspec.Struct):
    code: str
    rule: str


class Decided(msgspec.Struct):
    """A decision's reasons, not read yet: most requests have them in common."""

    reasons: msgspec.Raw = msgspec.Raw(b"[]")
    rejected: msgspec.Raw = msgspec.Raw(b"[]")

    def read(self) -> tuple[str, str, tuple[str, ...]]:
        """The rule that ranked, the one that says what follows a failure, and every rule that had a say."""
        reasons = _reasons(self.reasons)
        fallback = next((r.rule for r in reasons if r.code == "fallback"), "")
        rules = dict.fromkeys(r.rule for r in (*reasons, *_reasons(self.rejected)))
        return reasons[0].rule if reasons else "", fallback, tuple(sorted(rules))


class Opening(msgspec.Struct):
    """What was decided, and on what."""

    policy: str
    signals: _Signals
    decision: Decided


class _Trial(msgspec.Struct):
    rule: str = ""


class Call(msgspec.Struct):
    """An intent."""

    lane: str = ""
    why: str = ""
    cause: str = ""
    opening: Opening | None = None
    trial: _Trial | None = None


class _Verdict(msgspec.Struct):
    verdict: str
    failed: tuple[str, ...] = ()


class Attempt(msgspec.Struct):
    """One call of a lane."""

    lane: str
    why: str
    result: str
    model: str | None = None
    other_than: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    verdict: _Verdict | None = None


class End(msgspec.Struct):
    """An outcome."""

    status: str
    lane: str | None = None
    code: str = ""
    attempts: tuple[Attempt, ...] = ()
    cost: float | None = None
    opening: Opening | None = None


class Compared(msgspec.Struct):
    """A comparison with an unseen answer."""

    lane: str
    incumbent: str
    rule: str
    result: str
    cost: float = 0.0


class Waiting(msgspec.Struct):
    """An item put before people."""

    rule: str
    cause: str


class Resolved(msgspec.Struct):
    """What people made of it."""

    action: str
    final: bool


_evidence = msgspec.json.Decoder(tuple[Evidence, ...]).decode
_reasons = msgspec.json.Decoder(tuple[_Reason, ...]).decode


call = msgspec.json.Decoder(Call).decode
end = msgspec.json.Decoder(End).decode
feedback = msgspec.json.Decoder(Feedback).decode
shut = msgspec.json.Decoder(Shut).decode
compared = msgspec.json.Decoder(Compared).decode
waiting = msgspec.json.Decoder(Waiting).decode
resolved = msgspec.json.Decoder(Resolved).decode
