"""telling: the differences of two policies for people and for scripts. Pure; the command prints what is made here."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from laneway.decision import Hold, Reason, Route
from laneway.diff.compare import Access, Change, Report, Side
from laneway.errors import shown
from laneway.explain import contract
from laneway.policy import Policy
from laneway.proof.oracle import large
from laneway.proof.words import described

__all__ = ["Part", "conclusion", "report_json", "tell_access", "tell_change"]

_LANES = 5
"""The most lanes of one plan that are named one by one."""
_LONG = 110
"""The most characters of what a rule effects."""

Part = tuple[str, str]


def tell_change(change: Change, total: int) -> tuple[str, list[Part]]:
    """The class of requests in few facts, then (label, text) pairs: before, after, and what that adds up to."""
    count = "" if change.requests is None else f" ({change.requests:,} of {total:,} kinds of request)"
    return f"{described(change.flags)}{count}", [
        *_outage(change.down),
        *_sides(change.old, change.new, (*change.gained, *change.lost)),
        *((label, ", ".join(lanes)) for label, lanes in (("gains", change.gained), ("loses", change.lost)) if lanes),
    ]


def tell_access(access: Access) -> tuple[str, list[Part]]:
    """What is new, and the request that shows it under both policies."""
    was, now = (side.policy.lanes.get(access.lane) for side in (access.old, access.new))
    place = f", which is another place now ({', '.join(access.moved)})" if was and now and access.moved else ""
    return f"new access: {access.data_class} requests reach {access.lane}{place}", [
        ("request", described(access.flags)),
        *_outage(access.down),
        *_sides(access.old, access.new, (access.lane,)),
    ]


def _outage(down: tuple[str, ...]) -> Iterator[Part]:
    if down:
        yield "outage", f"{', '.join(down)} down"


def _sides(old: Side, new: Side, lanes: tuple[str, ...]) -> Iterator[Part]:
    codes = {"route"}
    if old.lanes[1:] != new.lanes[1:] or _end(old) != _end(new):
        codes.add("fallback")
    if old.way.redo[:1] != new.way.redo[:1] or _weak(old) != _weak(new):
        codes.add("weak")
    if _judge(old) != _judge(new):
        codes.add("judge")
    if _hedge(old) != _hedge(new):
        codes.add("hedge")
    if old.way.unseen != new.way.unseen:
        codes.add("shadow")
    used = {*old.lanes, *old.way.redo, *new.lanes, *new.way.redo}
    lanes = tuple(sorted(lanes, key=lambda lane: lane not in used))  # one that this very request meets comes first
    told: list[str] = []
    for label, side in (("before", old), ("after", new)):
        yield label, _plan(side)
        reasons = {f"{reason.rule}: {_words(reason)}": reason for reason in _reasons(side, codes, lanes[:1])}
        yield from (("", f"{_place(side.policy, reason)}{why}") for why, reason in reasons.items() if why not in told)
        same = [f"{_place(side.policy, reason)}{reason.rule}" for why, reason in reasons.items() if why in told]
        if same:
            yield "", f"{', '.join(same)} as before"
        told += reasons


def _end(side: Side) -> str:
    return side.decision.on_failure if isinstance(side.decision, Route) else ""


def _plan(side: Side) -> str:
    """A plan in a sentence."""
    made = side.decision
    if not isinstance(made, Route):
        return "held for a person" if isinstance(made, Hold) else "refused"
    lanes = [*made.lanes[:_LANES], *([f"{len(made.lanes) - _LANES} more"] if len(made.lanes) > _LANES else [])]
    held = "after approval: " if side.review is not None else ""
    then = f"{_weak(side)}{_judge(side)}{_hedge(side)}{_unseen(side)}"
    return f"{held}{', then '.join(lanes)}, then {_ENDS[made.on_failure]}{then}"


_ENDS = {"hold": "held for a person", "refuse": "refused", "marked": "marked as weak"}


def _weak(side: Side) -> str:
    made = side.decision
    if not isinstance(made, Route) or made.on_weak is None:
        return ""
    redo = {lane: to for lane, to in zip(made.lanes, side.way.redo, strict=True) if to is not None}
    ways = [f"{lane}'s to {to}" for lane, to in redo.items()][:3] if len(set(redo.values())) > 1 else [
        f"to {to}" for to in dict.fromkeys(redo.values())]  # fmt: skip
    return f"; weak answers: {', '.join((*ways, 'else ' * bool(ways) + _ENDS[made.on_weak]))}"


def _judge(side: Side) -> str:
    judges = side.decision.judge if isinstance(side.decision, Route) else ()
    return f"; judged by {', else '.join(judges)}" if judges else ""


def _hedge(side: Side) -> str:
    seconds = side.decision.hedge if isinstance(side.decision, Route) else None
    return "" if seconds is None else f"; the next lane too after {seconds:g} s without a word"


def _unseen(side: Side) -> str:
    return f"; unseen: {', '.join(sorted(side.way.unseen))}" if side.way.unseen else ""


def _reasons(side: Side, codes: set[str], lanes: tuple[str, ...]) -> Iterator[Reason]:
    """The rules that decide, and why a lane that is gained or lost is open or shut."""
    if side.review is not None:
        yield side.review
    if isinstance(side.decision, Route):
        yield from (reason for reason in side.decision.reasons if reason.code in codes)
    else:
        yield from side.decision.reasons[:1]
    for lane in lanes:
        every = (*side.decision.rejected, *side.decision.reasons)
        yield from [r for r in every if r.lane == lane and r.code in _WALLS][:1]


_WALLS = ("wall", "wall-limit", "wall-open", "no-evidence")
_EFFECTS = ("weak", "judge", "shadow", *_WALLS)
"""Reasons that say more by what they effect than by the policy's sentence for them."""


def _place(policy: Policy, reason: Reason) -> str:
    line = policy.lines.get(reason.rule)
    return f"{policy.file}:{line} " if line else ""


def _words(reason: Reason) -> str:
    return f'"{reason.says}"' if reason.says and reason.code not in _EFFECTS else shown(reason.effect, _LONG)


def conclusion(report: Report) -> str:
    """The last line: what differs, over how many requests, by what means."""
    if report.unproved:
        return f"NOT PROVED: {report.unproved}"
    over = f"{large(report.requests)} kinds of request compared, in every outage, by {report.prover}."
    if not report.changes:
        return f"No request is decided differently. {over}"
    count, most = len(report.changes), "At least " if report.more else ""
    classes = "1 class of requests is" if count == 1 else f"{count} classes of requests are"
    return f"{most}{classes} decided differently. {over}"


def report_json(report: Report) -> dict[str, object]:
    """The object that `diff --json` prints."""
    return {
        "same": not (report.changes or report.differences or report.unproved), "unproved": report.unproved,
        "prover": report.prover, "more": report.more,
        "requests": report.requests if report.requests < 2**53 else large(report.requests),
        "changes": [
            {"requests": change.requests, "gained": change.gained, "lost": change.lost} | _shown_json(change)
            for change in report.changes
        ],
        "differences": [msgspec.to_builtins(difference) for difference in report.differences],
        "new_access": [
            {"class": access.data_class, "lane": access.lane, "moved": access.moved} | _shown_json(access)
            for access in report.access
        ],
        "lowered": [msgspec.to_builtins(difference) for difference in report.lowered],
    }  # fmt: skip


def _shown_json(shown: Change | Access) -> dict[str, object]:
    return {
        "flags": shown.flags, "down": shown.down, "old": _side_json(shown.old), "new": _side_json(shown.new),
    }  # fmt: skip


def _side_json(side: Side) -> dict[str, object]:
    lines = side.policy.lines
    return contract(side.decision, side.signals, side.policy.hash) | {
        "file": side.policy.file,
        "approval": None if side.review is None else side.review.rule,
        "redo": dict(zip(side.lanes, side.way.redo, strict=True)),
        "lines": {r.rule: lines[r.rule] for r in side.decision.reasons if r.rule in lines},
    }
