"""gate: an answer in, a Verdict out, with the names of the checks that failed.

Checks are mechanical and run here, on this machine: nothing of the answer goes anywhere; only `judge` asks
a lane. What a weak answer leads to is the policy's `weak`, bounded to one escalation to a lane stronger than
the one that answered. A verdict after release is recorded and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import NoReturn

import jsonschema_rs

from laneway.answer import Answer
from laneway.decision import Route
from laneway.errors import RequestError
from laneway.policy import Gate, Policy
from laneway.record import Verdict
from laneway.request import Request

__all__ = ["can_change", "check_schema", "escalation", "failing", "unmended", "verdict"]


def failing(gate: Gate, request: Request, answer: Answer) -> tuple[str, ...]:
    """The mechanical checks that `answer` fails."""
    return tuple(name for name in gate.checks if name in _CHECKS and _CHECKS[name](request, answer))


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
    """Whether a verdict on `lane`'s answer could still change what the client gets, so that it must wait."""
    if policy.lanes[lane].gate_after or not policy.gate.checks:
        return False
    return route.on_weak not in ("marked", None) or escalation(policy, route, lane) is not None


def check_schema(request: Request) -> None:
    """Raise RequestError where the client's own answer schema cannot be used."""
    if request.answer_schema is not None:
        try:
            jsonschema_rs.validator_for(request.answer_schema, retriever=_no_retrieval)
        except Exception:  # noqa: BLE001  # the library raises several kinds, all meaning the same here
            message = (
                "response_format.json_schema.schema is not a JSON Schema that can be used; remote $ref is not followed"
            )
            raise RequestError(400, "invalid_schema", message, "response_format") from None


def _no_retrieval(_uri: str) -> NoReturn:
    raise ValueError("remote references are not followed")


def _no_such_number(_name: str) -> NoReturn:
    raise ValueError("JSON has neither NaN nor infinity")


def _empty(_: Request, answer: Answer) -> bool:
    return not answer.text.strip() and not answer.tool_calls and not answer.refusal


def _cut_off(request: Request, answer: Answer) -> bool:
    """Cut off, and not merely because the client's own limit was reached."""
    if answer.finish != "length":
        return False
    return request.max_output is None or (answer.tokens_out is not None and answer.tokens_out < request.max_output)


def _invalid_json(request: Request, answer: Answer) -> bool:
    if not request.wants_json or answer.tool_calls or answer.refusal:
        return False
    try:
        value = json.loads(answer.text, parse_constant=_no_such_number)
    except (ValueError, RecursionError):
        return True
    if request.answer_schema is None:
        return not isinstance(value, dict)
    validator = jsonschema_rs.validator_for(request.answer_schema, retriever=_no_retrieval)
    return not bool(validator.is_valid(value))


def _broken_tool_call(request: Request, answer: Answer) -> bool:
    return any(name not in request.tools or not _is_object(arguments) for name, arguments in answer.tool_calls)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _refusal(_: Request, answer: Answer) -> bool:
    return answer.refusal or answer.finish == "content_filter"


_CHECKS: dict[str, Callable[[Request, Answer], bool]] = {
    "empty": _empty,
    "cut-off": _cut_off,
    "invalid-json": _invalid_json,
    "tool-call": _broken_tool_call,
    "refusal": _refusal,
}
