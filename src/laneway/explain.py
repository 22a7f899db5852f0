"""explain: a Decision or a recorded story in, plain sentences and the scripts' JSON contract out.

Every sentence cites the rule's own words (`says`). Pure; the CLI only prints what is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from laneway.decision import Decision, Hold, Reason, Refuse, Route
from laneway.lane import plain
from laneway.record import Attempt, Feedback, Opening, Outcome, Resolution, Review, Why
from laneway.signals import Evidence, Signals

__all__ = [
    "Fate",
    "all_lanes",
    "attempt_line",
    "contract",
    "ending",
    "exit_code",
    "fate",
    "headline",
    "kind",
    "led",
    "money",
    "reason_parts",
    "said_of",
    "signal_lines",
    "story_contract",
]


_CODES: dict[Why, str] = {"escalation": "weak", "hedge": "hedge"}
"""The code of the reason for a call, by why it was made."""


def exit_code(decision: Decision) -> int:
    """What `explain` exits with: 0 route, 3 refuse, 4 hold."""
    return 0 if isinstance(decision, Route) else 3 if isinstance(decision, Refuse) else 4


def contract(decision: Decision, signals: Signals, policy_hash: str) -> dict[str, object]:
    """The JSON object that `explain --json` prints; `why --json` adds to it. Keys are stable."""
    route = decision if isinstance(decision, Route) else None
    return {
        "decision": kind(decision),
        "lanes": list(all_lanes(decision)),
        "rejected": [{"lane": r.lane, "rule": r.rule, "reason": r.effect, "code": r.code, "says": r.says,
                      "signal": r.signal} for r in decision.rejected],
        "reasons": [msgspec.to_builtins(r) | {"says": r.says} for r in decision.reasons],
        "signals": _signals(signals),
        "release": "none" if isinstance(decision, Refuse) else decision.release,
        "estimated_cost": route.estimated_cost if route else None,
        "policy_hash": policy_hash,
        "plan": _plan(route) if route else None,
    }  # fmt: skip


def _signals(signals: Signals) -> dict[str, object]:
    """As the contract has them; the language only where it was looked for and found."""
    made: dict[str, object] = msgspec.to_builtins(signals)
    if signals.language is None:
        del made["language"]
    return made


def all_lanes(decision: Decision) -> tuple[str, ...]:
    """The lanes that a decision may call, in the order in which they would be tried."""
    return tuple(dict.fromkeys((*decision.lanes, *decision.escalate))) if isinstance(decision, Route) else ()


def _plan(route: Route) -> dict[str, object]:
    return {
        "first": route.lanes[0],
        "fallback": list(route.lanes[1:]),
        "on_failure": route.on_failure,
        "escalate": list(route.escalate),
        "judge": list(route.judge),
        "shadow": [{"rule": x.rule, "lanes": list(x.lanes), "judge": list(x.judge)} for x in route.shadow],
        "on_weak": route.on_weak,
        "evidence": route.evidence,
        "first_byte": route.first_byte,
        "total": route.total,
        "hedge": route.hedge,
        "output_caps": route.caps,
    }


def story_contract(
    opening: Opening, outcome: Outcome | None, times: dict[str, object], started: list[dict[str, object]]
) -> dict[str, object]:
    """The JSON object that `why --json` prints. `started` lists the intents as they were written."""
    made = contract(opening.decision, opening.signals, opening.policy)
    made["asked"] = opening.model
    made["attempts"] = msgspec.to_builtins(outcome.attempts) if outcome and outcome.attempts else started
    made["verdict"] = msgspec.to_builtins(outcome.verdict) if outcome and outcome.verdict else None
    made["outcome"] = outcome.status if outcome else "open"
    made["code"] = outcome.code if outcome else ""
    made["lane"] = outcome.lane if outcome else None
    made["cost"] = outcome.cost if outcome else None
    made["times"] = times
    return made


def ending(outcome: Outcome | None) -> str:
    """How a request ended: its status, and its code where that says more."""
    if outcome is None:
        return "open"
    return f"{outcome.status} ({outcome.code})" if outcome.code not in ("", outcome.status) else outcome.status


class Fate(NamedTuple):
    """What became of an answer that waited for people: whether it was `released`, None while that is open, in words."""

    released: bool | None
    told: str


def fate(review: Review | None, resolutions: Sequence[Resolution]) -> Fate | None:
    """What became of what waited; None where nothing did."""
    if review is None:
        return None
    end = next((made for made in resolutions if made.final), None)
    if end is None:
        return Fate(None, "waits for a person")
    if end.action in ("approve", "edit"):
        behind = dict.fromkeys(
            made.by for made in resolutions if made.content == end.content and made.action in ("approve", "edit")
        )
        edited = any(made.action == "edit" and made.content == end.content for made in resolutions)
        words = ", in a reviewer's words" if edited else ""
        return Fate(True, f"released to the caller after approval by {' and '.join(behind)}{words}")
    if end.action == "reject":
        return Fate(False, f"not released: rejected by {end.by}")
    if end.action == "expire":
        return Fate(False, "not released: its time was over")
    return Fate(None, f"sent on by {end.by} as {end.child}")


def said_of(word: Feedback) -> str:
    """What somebody said of an answer, without who: `accepted`, `rejected`, or what a reviewer made of it."""
    if word.source == "reviewer" and word.reason in ("approve", "edit"):
        return "released as it stood" if word.accepted else "replaced by a reviewer's edit"
    return "accepted" if word.accepted else "rejected"


def kind(decision: Decision) -> str:
    """`route`, `hold` or `refuse`."""
    return "route" if isinstance(decision, Route) else "hold" if isinstance(decision, Hold) else "refuse"


def led(route: Route, lane: str, why: Why) -> Reason:
    """The reason that led to `lane`, where `why` says as what it was called."""
    code = _CODES.get(why, "route" if lane == route.lanes[0] else "fallback")
    return next((r for r in route.reasons if r.code == code), route.reasons[0])


def headline(decision: Decision, currency: str) -> str:
    """One line: what was decided."""
    if isinstance(decision, Hold):
        return f"Hold: {decision.reasons[0].effect}."
    if isinstance(decision, Refuse):
        return f"Refuse: {decision.reasons[0].effect}."
    then = f", then {', '.join(decision.lanes[1:])} if it fails" if len(decision.lanes) > 1 else ""
    if decision.hedge is not None:
        then += f", or beside it after {decision.hedge:g} s without a word"
    weak = (
        f"; a weak answer goes to {decision.escalate[0]}"
        if decision.escalate and decision.escalate[0] != decision.lanes[0]
        else ""
    )
    cost = money(decision.estimated_cost, currency)
    weak += "; the answer waits for a person" if decision.release != "now" else ""
    return f"Route to {decision.lanes[0]}{then}{weak}. The first call costs about {cost}; {_deadline(decision)}."


def _deadline(route: Route) -> str:
    total = f"within {route.total:g} s" if route.total is not None else "without a deadline"
    return total + (f" ({route.first_byte:g} s to a stream's first byte)" if route.first_byte else "")


def money(amount: float | None, currency: str) -> str:
    """`0.0123 EUR`, or that the price is unknown."""
    if amount is None:
        return "an unknown price"
    digits = f"{amount:.4f}" if amount >= 0.0001 else plain(float(f"{amount:.2g}"))
    return f"{digits} {currency}"


def reason_parts(reason: Reason) -> tuple[str, str]:
    """The effect, and `rule, because signal: "says"`."""
    because = f", because {reason.signal}" if reason.signal else ""
    says = f': "{reason.says}"' if reason.says else ""
    return reason.effect, f"{reason.rule}{because}{says}"


def signal_lines(signals: Signals) -> list[tuple[str, str, str]]:
    """Each signal as (name, value, where it comes from)."""
    ceiling = "none" if signals.ceiling is None else plain(signals.ceiling)
    values = [
        ("sensitivity", signals.sensitivity), ("difficulty", signals.difficulty), ("stakes", signals.stakes),
        ("latency", signals.latency), ("ceiling", ceiling), ("tokens", f"about {signals.tokens}"),
        ("needs", ", ".join(signals.needs) or "none"), ("workload", signals.workload or "none"),
        ("team", signals.team or ""), ("region", signals.region or ""), ("language", signals.language or ""),
        *((name, str(value)) for name, value in signals.declared.items()),
    ]  # fmt: skip
    return [(n, v, "; ".join(_evidence(e) for e in signals.evidence if e.signal == n)) for n, v in values if v]


def _evidence(evidence: Evidence) -> str:
    return f"{evidence.place}: {evidence.kind} ({evidence.value})"


def attempt_line(attempt: Attempt, currency: str) -> str:
    """One attempt as a sentence: lane, why, result, time, tokens, money, verdict."""
    took = attempt.ended_ms - attempt.started_ms
    parts = [f"{attempt.lane} ({attempt.why}): {attempt.result} after {took:.0f} ms"]
    if attempt.first_byte_ms is not None:
        parts.append(f"first byte {attempt.first_byte_ms - attempt.started_ms:.0f} ms")
    if attempt.tokens_out is not None:
        parts.append(f"{attempt.tokens_in or 0} + {attempt.tokens_out} tokens")
    if attempt.cost is not None:
        parts.append(money(attempt.cost, currency))
    if attempt.other_than is not None:
        parts.append(f"answered as {attempt.model}, not as {attempt.other_than}")
    if attempt.said is not None:
        parts.append(f"says {attempt.said}")
    if attempt.verdict is not None:
        failed = f" ({', '.join(attempt.verdict.failed)})" if attempt.verdict.failed else ""
        parts.append(f"gate: {attempt.verdict.verdict}{failed}")
    return ", ".join(parts)
