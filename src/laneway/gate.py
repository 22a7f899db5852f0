"""gate: an answer in, a Verdict out, with the names of the checks that failed.

Checks are mechanical and run here, on this machine: nothing of the answer goes anywhere; only `judge` asks
a lane. What a weak answer leads to is the policy's `weak`, bounded to one escalation to a lane stronger than
the one that answered. A verdict after release is recorded and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from laneway.answer import Answer
from laneway.contract import broken
from laneway.decision import Route
from laneway.errors import RequestError
from laneway.policy import Gate, Output, Policy
from laneway.record import Verdict
from laneway.request import Request
from laneway.schema import json_of, validator

__all__ = ["can_change", "check_schema", "escalation", "failing", "unmended", "verdict"]


def failing(gate: Gate, request: Request, answer: Answer, output: Output | None = None) -> tuple[str, ...]:
    """The mechanical checks that `answer` fails; `output` is what the request's workload asks of answers."""
    return tuple(name for name in gate.checks if name in _CHECKS and _CHECKS[name](request, answer, output))


def verdict(route: Route, failed: tuple[str, ...], *, released: bool, target: str | None) -> Verdict:
    """What follows from the checks that failed; `target` is the lane that may still redo the answer, if any."""
    if not failed:
        return Verdict("pass", released=released)
    if released:
        return Verdict("marked", failed, released=True)
    if target is not None:
        return Verdict("escalate", failed)
    return unmended(route, failed)


def unmended(route: Route, failed: tuple[str, ...]) -> Verdict:
    """What follows from a weak answer that no lane may redo, or that none could."""
    return Verdict(route.on_weak or "marked", failed)


def escalation(policy: Policy, route: Route, lane: str, failed: Collection[str] = ()) -> str | None:
    """The lane that may redo a weak answer of `lane`: the first one listed that is stronger and has not failed."""
    rank = policy.rank
    return next((name for name in route.escalate if rank[name] > rank[lane] and name not in failed), None)


def can_change(policy: Policy, route: Route, lane: str) -> bool:
    """Whether a verdict or a person could still change what the client gets of `lane`'s answer: then it must wait."""
    if route.release != "now":
        return True
    if policy.lanes[lane].gate_after or not policy.gate.checks:
        return False
    return route.on_weak not in ("marked", None) or escalation(policy, route, lane) is not None


def check_schema(request: Request) -> None:
    """Raise RequestError where the client's own answer schema cannot be used."""
    if request.answer_schema is not None:
        try:
            validator(request.answer_schema)
        except ValueError as error:
            message = f"response_format.json_schema.schema is {error}"
            raise RequestError(400, "invalid_schema", message, "response_format") from None


def _empty(_: Request, answer: Answer, __: Output | None) -> bool:
    return not answer.text.strip() and not answer.tool_calls and not answer.refusal


def _cut_off(request: Request, answer: Answer, _: Output | None) -> bool:
    """Cut off, and not merely because the client's own limit was reached."""
    if answer.finish != "length":
        return False
    return request.max_output is None or (answer.tokens_out is not None and answer.tokens_out < request.max_output)


def _invalid_json(request: Request, answer: Answer, _: Output | None) -> bool:
    if not request.wants_json or answer.tool_calls or answer.refusal:
        return False
    try:
        value = json_of(answer.text)
    except ValueError:
        return True
    if request.answer_schema is None:
        return not isinstance(value, dict)
    return not validator(request.answer_schema).is_valid(value)


def _broken_tool_call(request: Request, answer: Answer, _: Output | None) -> bool:
    return any(name not in request.tools or not _is_object(arguments) for name, arguments in answer.tool_calls)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json_of(text), dict)
    except ValueError:
        return False


def _refusal(_: Request, answer: Answer, __: Output | None) -> bool:
    return answer.refusal or answer.finish == "content_filter"


def _contract(_: Request, answer: Answer, output: Output | None) -> bool:
    return output is not None and not answer.refusal and bool(broken(output, answer.text, answer.tool_calls))


_CHECKS: dict[str, Callable[[Request, Answer, Output | None], bool]] = {
    "empty": _empty,
    "cut-off": _cut_off,
    "invalid-json": _invalid_json,
    "tool-call": _broken_tool_call,
    "refusal": _refusal,
    "contract": _contract,
}
