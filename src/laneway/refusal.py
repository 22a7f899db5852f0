"""refusal: what a client is told where it gets no answer: status, code, the rule, and what to do about it."""

from __future__ import annotations

from laneway.decision import Decision, Hold, Reason, Refuse
from laneway.errors import LaneError, LanewayError
from laneway.record import Attempt, Opening, Verdict
from laneway.run import Run

__all__ = ["HALTED", "Stopped", "no_outage", "no_room", "rejected", "told", "unanswered", "withheld"]


HALTED = ("stopped", "paused")
"""The codes of what operators let nobody serve now."""


class Stopped(LanewayError):
    """A request that ends without an answer: HTTP `status`, stable `code`, and what to do about it."""

    def __init__(self, status: int, code: str, message: str, **details: object) -> None:
        self.status, self.code, self.details = status, code, details
        super().__init__(message)


def no_outage(error: LaneError) -> Stopped | None:
    """What the client is told where the lanes were not at fault."""
    if error.cause == "invalid":
        return Stopped(400, "lane_rejected_request", f"{error}")
    if error.cause == "refusal":
        message = f"{error}. That is an answer and no outage, so no other lane is asked; change the request"
        return Stopped(400, "lane_refused", message)
    if error.code == "slow-reader":
        return Stopped(408, "slow_reader", f"{error}; read faster, or ask for less")
    return None


def no_room(waiting: int, id: str) -> Stopped:
    """What the client is told where so much waits for people that no more is taken."""
    message = f"{waiting:,} answers wait for people, and no more are taken; ask them to look, or send it again later."
    return Stopped(503, "reviews_full", message, decision=id, retry_after=60)


def unanswered(run: Run, error: LaneError) -> Stopped:
    """No lane answered: what was tried, and which rule let nothing else be tried."""
    attempted = "; ".join(words + ", ".join(found) for words, found in _tried(run.attempts) if found)
    rule = next((r for r in run.route.reasons if r.code == "fallback"), run.route.reasons[0])
    held = run.route.on_failure == "hold"
    then = "a person must decide what happens next" if held else "nothing else may be tried"
    closed = "".join(f" Also, {r.effect}." for r in run.route.rejected if r.code == "closed")
    message = (
        f"No lane answered: {attempted}.{closed} {rule.rule} says what follows: {rule.says or rule.effect} "
        f"So {then}. Try again later, or look at `laneway why {run.id}`."
    )
    halt = run.traffic.levers.shut("", run.signals.workload)
    if halt is not None:  # since the request was decided
        return Stopped(503, halt.code, f"No lane answered: {attempted}. Now {halt}. Send the request again later.")
    status = 504 if error.cause == "late" else 503
    code = "held_after_failure" if held else "lanes_failed"
    stopped = Stopped(status, code, message, rule=rule.rule, says=rule.says)
    wait = run.traffic.wait(run.policy.lanes[name] for name in run.route.lanes)
    if wait is not None or error.code == "busy":
        stopped.details["retry_after"] = wait or 1
    return stopped


def withheld(run: Run, verdict: Verdict) -> Stopped:
    """The answer was weak and the policy does not release it."""
    gate = run.policy.gate
    held = verdict.verdict == "hold"
    then = "A person must decide; it is not released." if held else "It is not released."
    message = f"The answer failed {', '.join(verdict.failed)}. {gate.says} {then} See `laneway why {run.id}`."
    code = "held_weak" if held else "refused_weak"
    return Stopped(403, code, message, decision=run.id, rule="gate", says=gate.says)


def _tried(attempts: list[Attempt]) -> tuple[tuple[str, list[str]], ...]:
    """Which lanes were tried and which were not called, each with its result."""
    names = [(a.skipped, f"{a.lane} ({a.result})") for a in attempts]
    return ("tried ", [n for skipped, n in names if not skipped]), ("not called: ", [n for s, n in names if s])


def told(decision: Hold | Refuse, opening: Opening, id: str) -> str:
    """The error's sentence: what was asked, which rule, what to do."""
    first = decision.reasons[0]
    asked = f"{opening.signals.sensitivity}, {opening.signals.difficulty} request for `{opening.model}`"
    says = f' "{first.says}"' if first.says else ""
    if first.code == "approval-required":
        then = ("No reviewer is named (`laneway reviewers add NAME --role review`), so nobody could release it, and "
                "no lane was asked.")  # fmt: skip
    elif first.code in HALTED:
        then = "Send it again later, or ask who did that."
    elif isinstance(decision, Hold):
        then = "A person must act before any lane is called."
    else:
        walls = "; ".join(r.effect for r in decision.rejected[:4])
        then = f"{walls}. Change the request, or ask the policy's owner." if walls else "Ask the policy's owner."
        if any(reason.code == "no-evidence" for reason in decision.rejected):
            then += f" {_lacking(opening, id)}"
    return f"The {asked} was not sent to any lane: {first.effect} ({first.rule}{says}). {then}"


def _lacking(opening: Opening, id: str) -> str:
    """What opens a lane that is shut for want of evidence."""
    work = opening.signals.workload
    if work is None:
        remedy = "Work without a workload is served on waivers alone: name a workload, or renew `gate.waiver`"
    else:
        remedy = f"`laneway eval run --workload {work}` measures lanes"
    return f"{remedy}; `laneway why {id}` tells more."


def rejected(decision: Decision) -> list[dict[str, str]]:
    """Each lane that may not serve, with the rule and the reason."""
    return [_brief(reason) for reason in decision.rejected]


def _brief(reason: Reason) -> dict[str, str]:
    return {"lane": reason.lane, "rule": reason.rule, "reason": reason.effect}
