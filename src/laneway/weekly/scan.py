"""scan: the log's records in their order in, tallies by slice of time out. Reads each record once, and as much of it as
counts.

A request belongs to the slice in which it began, and so does what is said of it later. What is under way is kept at
hand; what is not at hand any more is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from laneway.record import Feedback
from laneway.rejections import standing
from laneway.store.rows import Row
from laneway.weekly import part
from laneway.weekly.links import Links
from laneway.weekly.part import Call, End, Opening
from laneway.weekly.tally import Ending, Event, Kind, Sum, Tally

__all__ = ["Found", "Scan"]

_MOST = 50_000
"""Requests under way that are kept at hand, and reasons that were read before."""
_BACK = 1_000_000
"""Microseconds by which a clock may seem to go backwards where entries wait for each other."""


class _Begun(msgspec.Struct):
    slice: int
    kind: Kind
    hops: list[tuple[str, str, str]]


class Found(msgspec.Struct):
    """What is in a stretch of the log: tallies by slice, and whether its records are in order.

    `back` counts how often the clock went backwards between two requests, `unread` the records that could not be read;
    `first` and `latest` are when the first and the last request began.
    """

    links: Links
    tallies: dict[int, Tally] = {}
    back: int = 0
    unread: int = 0
    first: int | None = None
    latest: int = 0

    def add(self, later: Found) -> None:
        """The stretch that follows this one."""
        self.links.add(later.links)
        for index, tally in later.tallies.items():
            self.tallies.setdefault(index, Tally()).add(tally)
        self.back += later.back + (later.first is not None and later.first < self.latest - _BACK)
        self.unread += later.unread
        self.first = later.first if self.first is None else self.first
        self.latest = later.latest or self.latest


class Scan:
    """Folds records into `found`. `slice_of` says to which slice a moment belongs, None for none; `look` finds all
    records of a decision.
    """

    def __init__(
        self, found: Found, slice_of: Callable[[int], int | None], look: Callable[[str], Iterable[Row]]
    ) -> None:
        self.found = found
        self._slice_of, self._look = slice_of, look
        self._open: dict[str, _Begun | None] = {}
        self._read: dict[tuple[str, str | None, str, bytes, bytes], Kind] = {}
        self._kinds: dict[Kind, Kind] = {}
        self._folds: dict[str, Callable[[Row], None]] = {
            "intent": self._intent, "outcome": self._outcome, "feedback": self._feedback, "shut": self._shut,
            "compared": self._compared, "review": self._waiting, "resolution": self._resolved,
        }  # fmt: skip

    def feed(self, rows: Iterable[Row]) -> None:
        """The next records, in their order."""
        check, folds = self.found.links.check, self._folds
        for row in rows:
            check(row)
            fold = folds.get(row[3])
            if fold is not None and row[4]:
                try:
                    fold(row)
                except (msgspec.MsgspecError, ValueError):
                    self.found.unread += 1

    def _begin(self, id: str, at: int, opening: Opening) -> _Begun | None:
        """A request's first entry: counted by its kind, and by what raised its class."""
        found = self.found
        if at < found.latest - _BACK:
            found.back += 1
        found.latest = at
        if found.first is None:
            found.first = at
        index = self._slice_of(at)
        if index is None:
            return None
        kind, tally = self._kind(opening), found.tallies.get(index) or self._tally(index)
        tally.kinds[kind] = tally.kinds.get(kind, 0) + 1
        if opening.signals.detected:
            for cause in opening.signals.raising():
                tally.event(Event("raised", kind.workload, "detect", "", f"{cause} -> {kind.sensitivity}"), id)
        return _Begun(index, kind, [])

    def _kind(self, opening: Opening) -> Kind:
        """What it has in common with others; read once for all of them."""
        signals, decision = opening.signals, opening.decision
        key = opening.policy, signals.workload, signals.sensitivity, bytes(decision.reasons), bytes(decision.rejected)
        kind = self._read.get(key)
        if kind is None:
            if len(self._read) >= _MOST:
                self._read.clear()
            made = Kind(opening.policy, signals.workload or "(none)", signals.sensitivity, *decision.read())
            kind = self._read[key] = self._kinds.setdefault(made, made)
        return kind

    def _tally(self, index: int) -> Tally:
        tally = self.found.tallies.get(index)
        if tally is None:
            tally = self.found.tallies[index] = Tally()
        return tally

    def _intent(self, row: Row) -> None:
        _, at, id, _, body, _ = row
        call = part.call(body)
        if call.trial is not None:
            return
        if call.opening is not None:
            if len(self._open) >= _MOST:
                del self._open[next(iter(self._open))]
            self._open[id] = begun = self._begin(id, at, call.opening)
        else:
            begun = self._at_hand(row)
        if begun is not None:
            begun.hops.append((call.why, call.lane, call.cause))

    def _at_hand(self, row: Row) -> _Begun | None:
        """The request that a later entry is about, as it was before that."""
        if row[2] not in self._open:
            self._open[row[2]] = self._recalled(self._before(row))
        return self._open[row[2]]

    def _before(self, row: Row) -> list[Row]:
        """The records of the same decision before this one."""
        return [other for other in self._look(row[2]) if other[0] < row[0] and other[4]]

    def _recalled(self, before: list[Row]) -> _Begun | None:
        begun: _Begun | None = None
        for _, at, _, kind, body, _ in before:
            if kind not in ("intent", "outcome"):
                continue
            entry = part.call(body) if kind == "intent" else part.end(body)
            if begun is None and entry.opening is not None:
                index = self._slice_of(at)
                if index is None:
                    return None
                begun = _Begun(index, self._kind(entry.opening), [])
            if isinstance(entry, Call) and begun is not None and entry.trial is None:
                begun.hops.append((entry.why, entry.lane, entry.cause))
        return begun

    def _outcome(self, row: Row) -> None:
        _, at, id, _, body, _ = row
        end = part.end(body)
        begun = self._begin(id, at, end.opening) if end.opening is not None else self._at_hand(row)
        self._open.pop(id, None)
        if begun is None:
            return
        tally, kind = self._tally(begun.slice), begun.kind
        key = Ending(kind, end.status, end.code, end.lane or "")
        found = tally.ended.get(key)
        if found is None:
            found = tally.ended[key] = Sum()
        cost, answer = end.cost or 0.0, None
        # The first lane may not have been called: then the only hop is a fallback.
        plain = all(why == "first" for why, _, _ in begun.hops) and end.code != "guard_stopped"
        found.times += 1
        found.cost += cost
        for attempt in end.attempts:
            verdict = attempt.verdict
            if attempt.other_than is not None or (verdict is not None and verdict.verdict != "pass"):
                plain = False
            if attempt.lane == end.lane and attempt.result == "answered" and attempt.why != "judge":
                answer = attempt
        if answer is not None and answer.tokens_in is not None and answer.tokens_out is not None:
            found.counted += 1
            found.counted_cost += cost
            found.tokens_in += answer.tokens_in
            found.tokens_out += answer.tokens_out
        if not plain:
            _extraordinary(tally, begun, id, end)

    def _feedback(self, row: Row) -> None:
        """An answer is rejected while anybody's last word on it says so; counted anew with each word."""
        before = self._before(row)
        begun, lane = self._recalled(before), _lane(before)
        if begun is None or not lane:
            return
        words = [part.feedback(other[4]) for other in before if other[3] == "feedback"]
        was, now, tally = _rejecters(words), _rejecters([*words, part.feedback(row[4])]), self._tally(begun.slice)
        if was != now:
            hop = _redone(begun.hops, before) if bool(was) != bool(now) else ""
            if hop:
                event = Event("yield", begun.kind.workload, begun.kind.rule, hop, "regretted")
                (tally.event if now else tally.unsay)(event, row[2])
            for people, change in ((was, tally.unsay), (now, tally.event)):
                sources = [source for source in people if source != "reviewer"]  # whose resolution counts
                if sources:
                    cause = f"by {' and '.join(sources)}"
                    change(Event("rejected", begun.kind.workload, "feedback", lane, cause), row[2])

    def _shut(self, row: Row) -> None:
        begun, found = self._recalled(self._before(row)), part.shut(row[4])
        if begun is not None:
            cause = f"{found.answered}, not {found.measured}"
            event = Event("shut", begun.kind.workload, f"lanes.{found.lane}", found.lane, cause)
            self._tally(begun.slice).event(event, row[2])

    def _compared(self, row: Row) -> None:
        begun, found = self._recalled(self._before(row)), part.compared(row[4])
        if begun is not None:
            tally, hop = self._tally(begun.slice), f"{found.lane} for {found.incumbent}"
            tally.shadows += found.cost
            tally.event(Event("compared", begun.kind.workload, found.rule, hop, found.result), row[2])

    def _waiting(self, row: Row) -> None:
        begun, item = self._recalled(self._before(row)), part.waiting(row[4])
        if begun is not None:
            self._tally(begun.slice).event(Event("held", begun.kind.workload, item.rule, "", item.cause), row[2])

    def _resolved(self, row: Row) -> None:
        """A closed item: what became of it, how long that took, and whether a reviewer rejected an answer."""
        said = part.resolved(row[4])
        before = self._before(row) if said.final else []
        begun, opened = self._recalled(before), next((other for other in before if other[3] == "review"), None)
        if begun is None or opened is None:
            return
        item, tally, workload = part.waiting(opened[4]), self._tally(begun.slice), begun.kind.workload
        took = max(0.0, (row[1] - opened[1]) / 1e6)
        tally.event(Event("resolved", workload, item.rule, item.cause, said.action), row[2], took)
        lane = _lane(before)
        edited = any(part.resolved(other[4]).action == "edit" for other in before if other[3] == "resolution")
        done = "edit" if said.action == "approve" and edited else said.action
        if done in ("reject", "edit", "send") and lane:
            tally.event(Event("rejected", workload, "review", lane, f"by a reviewer: {done}"), row[2])


def _lane(before: Iterable[Row]) -> str:
    """Whose answer it was."""
    for _, _, _, kind, body, _ in before:
        if kind == "outcome":
            end = part.end(body)
            return end.lane or next((a.lane for a in reversed(end.attempts) if a.result == "answered"), "")
    return ""


def _redone(hops: list[tuple[str, str, str]], before: Iterable[Row]) -> str:
    """From which lane to which an answer was escalated; empty where it was not."""
    lane = next((lane for why, lane, _ in reversed(hops) if why == "escalation"), "")
    ended = next((part.end(body) for _, _, _, kind, body, _ in before if kind == "outcome"), None)
    weak = _weak(ended) if ended and lane else None
    return f"{weak.lane} -> {lane}" if weak else ""


def _weak(end: End) -> part.Attempt | None:
    """The attempt whose weak answer was redone."""
    return next((a for a in end.attempts if a.verdict is not None and a.verdict.verdict == "escalate"), None)


def _rejecters(words: Iterable[Feedback]) -> list[str]:
    """The kinds of those whose last word rejects the answer."""
    return sorted({word.source for word in standing(words).values() if not word.accepted})


def _extraordinary(tally: Tally, begun: _Begun, id: str, end: End) -> None:
    """What did not go as planned: rejected answers, other models, hops."""
    kind, attempts = begun.kind, end.attempts
    workload, rule = kind.workload, kind.rule
    if end.code == "guard_stopped":
        tally.event(Event("guarded", workload, rule, begun.hops[-1][1] if begun.hops else "", kind.sensitivity), id)
    for attempt in attempts:
        if attempt.other_than is not None:
            told = f"as {attempt.model}, not {attempt.other_than}"
            tally.event(Event("other_models", workload, f"lanes.{attempt.lane}", attempt.lane, told), id)
        if attempt.verdict is not None and attempt.verdict.verdict != "pass":
            cause = f"{', '.join(attempt.verdict.failed)} -> {attempt.verdict.verdict}"
            tally.event(Event("rejected", workload, "gate", attempt.lane, cause), id)
    before = ""
    for why, lane, cause in (hop for hop in begun.hops if hop[0] not in ("judge", "hedge")):
        start = before or (attempts[0].lane if attempts else "?")  # the first was not called
        before = lane
        if why == "fallback":
            tally.event(Event("fallbacks", workload, kind.fallback, f"{start} -> {lane}", cause), id)
        elif why == "escalation":
            weak = _weak(end)
            hop = f"{weak.lane if weak else start} -> {lane}"  # it may be a hedge that was weak
            failed = ", ".join(weak.verdict.failed) if weak and weak.verdict else ""
            tally.event(Event("escalated", workload, rule, hop, failed), id)
            tally.event(Event("yield", workload, rule, hop, _yield(end, lane)), id)


def _yield(end: End, lane: str) -> str:
    """What a stronger lane's turn brought: `good`, `weak` or `none`."""
    last = next((a for a in reversed(end.attempts) if a.lane == lane and a.why == "escalation"), None)
    if last is None or last.result != "answered":
        return "none"
    return "good" if last.verdict is None or last.verdict.verdict == "pass" else "weak"
