"""recorded: the entries of a log in, recorded requests out, one by one.

Owns how little of an entry must be read to decide a request again: what many requests share stays as it was written,
so that it is worked out once. An entry that cannot be read is counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from laneway.decision import Decision, Hold, OnWeak, Refuse, Release, Route, Stop, Unseen

__all__ = ["Call", "Recorded", "Recording", "Said", "decided"]


class _Route(msgspec.Struct, frozen=True, tag_field="decision", tag="route"):
    lanes: tuple[str, ...]
    escalate: tuple[str, ...]
    on_failure: Stop
    on_weak: OnWeak | None
    release: Release
    evidence: str = "waived"
    judge: tuple[str, ...] = ()
    hedge: float | None = None
    shadow: tuple[Unseen, ...] = ()


class _Hold(msgspec.Struct, frozen=True, tag_field="decision", tag="hold"):
    release: Release


class _Refuse(msgspec.Struct, frozen=True, tag_field="decision", tag="refuse"):
    pass


Said = _Route | _Hold | _Refuse
"""As much of a recorded decision as its way depends on; one value for each way, so that it can be a key."""


class Call(msgspec.Struct, frozen=True):
    """As much of an attempt as says what it cost: money in the currency of its policy."""

    lane: str
    why: str
    result: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


class _Opening(msgspec.Struct):
    policy: str
    model: str
    ask: msgspec.Raw
    signals: msgspec.Raw
    facts: msgspec.Raw
    decision: Said


class _Intent(msgspec.Struct):
    opening: _Opening | None = None


class _Outcome(msgspec.Struct):
    status: str
    attempts: tuple[Call, ...] = ()
    cost: float | None = None
    opening: _Opening | None = None


_intent = msgspec.json.Decoder(_Intent)
_outcome = msgspec.json.Decoder(_Outcome)
_TOKENS = re.compile(rb'"tokens":(\d{1,12})[,}]')
_DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, TypeError)


class Recorded(NamedTuple):
    """One request. `ask`, `signals` and `facts` are JSON; `alike` is the same for requests that differ in length alone.

    `status` is "open" where it has no end on record. `cost` is what all its calls came to.
    """

    id: str
    policy: str
    model: str
    ask: bytes
    signals: bytes
    alike: bytes
    tokens: int
    facts: bytes
    said: Said
    status: str
    calls: tuple[Call, ...] = ()
    cost: float = 0.0


class Recording:
    """The requests whose first entry is among `entries`: (number, microseconds, decision, kind, body), oldest first.

    `damaged` counts the entries that could not be read, `example` is the decision of the first of them.
    """

    def __init__(self, entries: Iterable[tuple[int, int, bytes, bytes, bytes]]) -> None:
        self._entries = entries
        self.damaged, self.example = 0, ""

    def __iter__(self) -> Iterator[Recorded]:
        under_way: dict[bytes, _Opening] = {}
        for _, _, id, kind, body in self._entries:
            try:
                if kind == b"intent":
                    opening = _intent.decode(body).opening
                    if opening is not None:
                        under_way[id] = opening
                elif kind == b"outcome":
                    ended = _outcome.decode(body)
                    opening = under_way.pop(id, None) or ended.opening
                    if opening is not None:  # else it began before the first of the entries
                        yield _recorded(id, opening, ended)
            except _DAMAGE:
                self.spoilt(id.decode(errors="replace"))
        for id, opening in under_way.items():
            yield _recorded(id, opening, _Outcome("open"))

    def spoilt(self, id: str) -> None:
        """Count an entry of the decision `id` that cannot be read."""
        self.damaged, self.example = self.damaged + 1, self.example or id


def _recorded(id: bytes, opening: _Opening, ended: _Outcome) -> Recorded:
    signals = bytes(opening.signals)
    at, alike, tokens = _TOKENS.search(signals), signals, 0
    if at is not None:
        rest = signals[: at.start(1)] + signals[at.end(1) :]
        alike, tokens = rest.replace(b'"request","estimate","%b"' % at[1], b"", 1), int(at[1])
    return Recorded(
        id.decode(errors="replace"), opening.policy, opening.model, bytes(opening.ask), signals, alike, tokens,
        bytes(opening.facts), opening.decision, ended.status, ended.attempts, ended.cost or 0.0,
    )  # fmt: skip


def decided(said: Said) -> Decision:
    """The recorded decision, without the reasons for it."""
    if isinstance(said, _Hold):
        return Hold(release=said.release, reasons=(), rejected=())
    if isinstance(said, _Refuse):
        return Refuse(reasons=(), rejected=())
    return Route(
        lanes=said.lanes, escalate=said.escalate, judge=said.judge, on_failure=said.on_failure, on_weak=said.on_weak,
        release=said.release, evidence="met" if said.evidence == "met" else "waived", first_byte=None, total=None,
        hedge=said.hedge, caps={}, estimated_cost=None, reasons=(), rejected=(), shadow=said.shadow,
    )  # fmt: skip
