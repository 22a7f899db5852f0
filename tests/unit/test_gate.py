"""The gate: what each check catches and lets pass, and what follows from a weak answer."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import lane, policy, route

from laneway.answer import Answer
from laneway.errors import RequestError
from laneway.gate import can_change, check_schema, escalation, failing
from laneway.gate import verdict as following
from laneway.policy import Gate, Policy
from laneway.policy_file import CHECKS
from laneway.record import Verdict
from laneway.request import Request

LANES = {"home": lane("home", "local"), "shared": lane("shared"), "premium": lane("premium")}
GOOD = Answer(text="A full answer.", finish="stop", complete=True)
EMPTY = Answer(text="", finish="stop", complete=True)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def gated(*checks: str, **lanes: Any) -> Policy:
    """A policy with these checks, over home, shared and premium."""
    return policy(lanes=LANES | lanes, gate=Gate(checks=checks or CHECKS))


def asked(**facts: Any) -> Request:
    """A request for a chat completion."""
    return Request(**{"model": "auto", "labels": {}, "body": {}, "canonical": "{}"} | facts)


def failed(answer: Answer, request: Request | None = None, *, checks: tuple[str, ...] = CHECKS) -> tuple[str, ...]:
    """The checks that `answer` fails."""
    return failing(gated(*checks).gate, request or asked(), answer)


def wants(schema: Any = None) -> Request:
    """A request for JSON, after a schema if any."""
    return asked(wants_json=True, answer_schema=schema)


# Each check


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0", "\u2003\n"])
def test_an_answer_of_nothing_is_empty(text: str) -> None:
    """An answer of white space alone is empty."""
    assert failed(Answer(text=text, finish="stop")) == ("empty",)


def test_a_call_or_a_refusal_without_text_is_not_empty() -> None:
    """An answer that calls a tool or refuses says something, though its text is empty."""
    assert failed(Answer(tool_calls=(("f", "{}"),), finish="tool_calls"), asked(tools=("f",))) == ()
    assert "empty" not in failed(Answer(refusal=True, finish="stop"))


def test_an_answer_at_the_lanes_limit_is_cut_off() -> None:
    """An answer that ended for length, where the client set no limit, is cut off."""
    assert failed(Answer(text="A", finish="length")) == ("cut-off",)


def test_an_answer_at_the_clients_own_limit_is_not_weak() -> None:
    """An answer as long as the client allowed is what it asked for, also where the lane does not count."""
    assert failed(Answer(text="A", finish="length", tokens_out=10), asked(max_output=10)) == ()
    assert failed(Answer(text="A", finish="length", tokens_out=None), asked(max_output=10)) == ()


def test_an_answer_below_the_clients_limit_is_cut_off() -> None:
    """An answer that ended for length before the client's limit was cut by somebody else."""
    assert failed(Answer(text="A", finish="length", tokens_out=9), asked(max_output=10)) == ("cut-off",)


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "content_filter", None])
def test_only_length_is_cut_off(finish: str | None) -> None:
    """Every other end is not a cut."""
    assert "cut-off" not in failed(Answer(text="A", finish=finish))


@pytest.mark.parametrize(
    "text", ["no", "{", "{'a': 1}", "```json\n{}\n```", '{"a": 1} and more', "[1]", "1", '"a"', "null"]
)
def test_what_is_no_json_object_is_invalid(text: str) -> None:
    """Where the client wants JSON without a schema, anything but a JSON object is invalid."""
    assert failed(Answer(text=text, finish="stop"), wants()) == ("invalid-json",)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}'])
def test_a_number_that_json_does_not_have_is_invalid(text: str) -> None:
    """NaN and the infinities are no JSON, and would break the client's parser."""
    assert failed(Answer(text=text, finish="stop"), wants()) == ("invalid-json",)
    assert failed(Answer(text=text, finish="stop"), wants({"type": "object"})) == ("invalid-json",)


def test_json_that_nobody_asked_for_is_not_checked() -> None:
    """Without a wish for JSON any text passes."""
    assert failed(Answer(text="{", finish="stop")) == ()


@pytest.mark.parametrize(
    ("text", "valid"), [('{"n": 1}', True), ('{"n": "1"}', False), ("{}", False), ("[]", False), ("{", False)]
)
def test_json_must_meet_the_clients_schema(text: str, valid: bool) -> None:
    """Where the client gave a schema, an answer that does not meet it is invalid."""
    assert (failed(Answer(text=text, finish="stop"), wants(SCHEMA)) == ()) is valid


def test_a_schema_may_ask_for_something_else_than_an_object() -> None:
    """With a schema it is the schema that says what is valid."""
    assert failed(Answer(text="[1, 2]", finish="stop"), wants({"type": "array"})) == ()


def test_a_call_or_a_refusal_instead_of_json_is_not_invalid() -> None:
    """An answer that calls a tool or refuses owes no JSON."""
    assert failed(Answer(tool_calls=(("f", "{}"),)), asked(wants_json=True, tools=("f",))) == ()
    assert "invalid-json" not in failed(Answer(refusal=True), wants())


def test_json_nested_without_end_is_invalid_and_no_error() -> None:
    """Depth that no parser bears is a failed check and raises nothing."""
    assert failed(Answer(text="[" * 100_000, finish="stop"), wants()) == ("invalid-json",)
    assert failed(Answer(text='{"a":' * 5_000 + "1" + "}" * 5_000, finish="stop"), wants({"type": "object"})) == (
        "invalid-json",
    )


def test_a_number_without_end_is_invalid_and_no_error() -> None:
    """A number of more digits than can be read is a failed check and raises nothing."""
    assert failed(Answer(text='{"n": ' + "9" * 10_000 + "}", finish="stop"), wants(SCHEMA)) == ("invalid-json",)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("g", "{}"), ("f", ""), ("f", "{"), ("f", "[]"), ("f", "null"), ("f", '"{}"'), ("f", "[" * 100_000)],
)
def test_a_broken_tool_call_is_caught(name: str, arguments: str) -> None:
    """A call of a tool that was not offered, or whose arguments are no JSON object, is broken."""
    answer = Answer(tool_calls=(("f", "{}"), (name, arguments)), finish="tool_calls")
    assert failed(answer, asked(tools=("f",))) == ("tool-call",)


def test_a_whole_tool_call_passes() -> None:
    """A call of an offered tool with an object of arguments is whole."""
    assert failed(Answer(tool_calls=(("f", '{"a": [1]}'),)), asked(tools=("f", "g"))) == ()


@pytest.mark.parametrize("answer", [Answer(text="I cannot.", refusal=True), Answer(text="I", finish="content_filter")])
def test_a_refusal_is_caught(answer: Answer) -> None:
    """A stated refusal and a filtered answer fail the check for refusals."""
    assert failed(answer) == ("refusal",)


def test_only_the_checks_of_the_policy_run() -> None:
    """A check that the policy does not list fails nothing, and those that fail are named in its order."""
    answer = Answer(text="", finish="length")
    assert failed(answer, wants(), checks=("invalid-json", "empty")) == ("invalid-json", "empty")
    assert failed(answer, wants(), checks=("refusal",)) == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(max_size=50) | _JSON.map(json.dumps),
    st.sampled_from([None, "stop", "length", "content_filter", "odd"]),
    st.booleans(),
)
def test_any_answer_gets_a_verdict(text: str, finish: str | None, refusal: bool) -> None:
    """Whatever a lane answers, the gate gives a verdict that names only checks of the policy."""
    calls = ((text, text),) if finish is None else ()
    answer = Answer(text=text, finish=finish, refusal=refusal, tool_calls=calls)
    found = failing(gated().gate, wants(SCHEMA), answer)
    made = following(route("home"), found, released=False, target=None)
    assert set(made.failed) <= set(CHECKS)
    assert (made.verdict == "pass") is (not made.failed)


# The client's schema


@pytest.mark.parametrize("schema", [SCHEMA, {}, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}])
def test_a_usable_schema_is_accepted(schema: Any) -> None:
    """A schema that stands on its own is accepted, references inside it included."""
    check_schema(wants(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"}, {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"}, {"properties": {"a": {"items": {"$ref": "https://example.com/s"}}}},
        {"$schema": "https://example.com/meta"}, {"$ref": "other.json"}, {"$ref": "#/nowhere"}, {"type": "nope"},
        {"properties": {"a": {"pattern": "("}}}, {"minimum": "1"},
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_the_clients_mistake(schema: Any) -> None:
    """A reference to elsewhere is never followed: it is refused, as is a schema that is none, with the remedy."""
    with pytest.raises(RequestError, match=r"remote \$ref is not followed") as caught:
        check_schema(wants(schema))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "invalid_schema", "response_format")
    assert "example.com" not in str(caught.value)


def test_no_schema_needs_no_check() -> None:
    """A request without a schema passes."""
    check_schema(asked())


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(a+)+\1$", "^(?=(a+)+$)(a|aa)+$", "(a*)*b"])
def test_a_hostile_pattern_does_not_hold_the_gate_up(pattern: str) -> None:
    """A pattern that backtracks without end gives a verdict in a moment and raises nothing."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    request = wants(schema)
    check_schema(request)
    started = time.perf_counter()
    failed(Answer(text=json.dumps({"a": "a" * 60 + "!"}), finish="stop"), request)
    assert time.perf_counter() - started < 5


# What follows


def verdict(
    answer: Answer, *, by: str = "home", weak: Any = "hold", released: bool = False, last: bool = False
) -> Verdict:
    """The verdict on `answer` under a plan that escalates to premium; `last` says that this has happened."""
    made, plan = gated("empty"), route("home", "shared", "premium", escalate=("premium",), on_weak=weak)
    target = None if last else escalation(made, plan, by)
    return following(plan, failing(made.gate, asked(), answer), released=released, target=target)


def test_a_good_answer_passes() -> None:
    """An answer that fails nothing passes, released or not."""
    assert verdict(GOOD) == Verdict("pass")
    assert verdict(GOOD, released=True) == Verdict("pass", released=True)


@pytest.mark.parametrize("by", ["home", "shared"])
def test_a_weak_answer_escalates(by: str) -> None:
    """A weak answer of a weaker lane goes to the stronger one, with the check that failed."""
    assert verdict(EMPTY, by=by) == Verdict("escalate", ("empty",))


@pytest.mark.parametrize("weak", ["hold", "refuse", "marked"])
def test_a_weak_answer_escalates_once(weak: str) -> None:
    """After the one escalation a weak answer ends as the policy says."""
    assert verdict(EMPTY, weak=weak, last=True) == Verdict(weak, ("empty",))  # type: ignore[arg-type]


@pytest.mark.parametrize("weak", ["hold", "refuse", "marked"])
def test_a_weak_answer_of_the_strongest_does_not_escalate(weak: str) -> None:
    """No lane is stronger than the one that answered, so its weak answer ends as the policy says."""
    assert verdict(EMPTY, by="premium", weak=weak) == Verdict(weak, ("empty",))  # type: ignore[arg-type]


def test_a_released_answer_is_only_marked() -> None:
    """An answer that the client has already cannot escalate or be held: its verdict is recorded as marked."""
    assert verdict(EMPTY, released=True) == Verdict("marked", ("empty",), released=True)


def test_escalation_is_to_the_first_stronger_lane() -> None:
    """Of the lanes that may redo an answer, the first that is stronger than the answering one is meant."""
    made = gated("empty")
    plan = route("home", escalate=("home", "shared", "premium"))
    assert escalation(made, plan, "home") == "shared"
    assert escalation(made, plan, "shared") == "premium"
    assert escalation(made, plan, "premium") is None
    assert escalation(made, route("home"), "home") is None


def test_a_lane_that_has_failed_is_not_asked_to_redo_an_answer() -> None:
    """A stronger lane that failed for this request is passed over, for the next one that is stronger."""
    made = gated("empty")
    plan = route("home", escalate=("shared", "premium"))
    assert escalation(made, plan, "home", ["shared", "home"]) == "premium"
    assert escalation(made, plan, "home", ["premium", "shared"]) is None


def test_without_a_rule_for_weak_answers_they_are_marked() -> None:
    """A plan that says nothing of weak answers lets them pass, marked."""
    found = following(route("home", on_weak=None), ("empty",), released=False, target=None)
    assert found == Verdict("marked", ("empty",))


def test_an_answer_waits_where_a_verdict_could_change_it() -> None:
    """An answer is kept back exactly where a weak one would be redone, held or refused."""
    made = gated("empty")
    assert can_change(made, route("home", escalate=("premium",), on_weak="marked"), "home")
    assert not can_change(made, route("premium", escalate=("premium",), on_weak="marked"), "premium")
    assert can_change(made, route("premium", on_weak="hold"), "premium")
    assert can_change(made, route("premium", on_weak="refuse"), "premium")


def test_an_answer_does_not_wait_where_nothing_is_checked() -> None:
    """Without checks, or on a lane whose gate comes after, an answer is passed on as it comes."""
    assert not can_change(policy(lanes=LANES), route("home", escalate=("premium",), on_weak="hold"), "home")
    made = gated("empty", home=lane("home", "local", gate_after=True))
    assert not can_change(made, route("home", escalate=("premium",), on_weak="hold"), "home")


@given(
    st.sampled_from(sorted(LANES)),
    st.lists(st.sampled_from(sorted(LANES)), unique=True).map(tuple),
    st.lists(st.sampled_from(sorted(LANES))),
)
def test_an_escalation_only_goes_up(by: str, escalate: tuple[str, ...], tried: list[str]) -> None:
    """Whatever the plan, an answer is redone only by a stronger lane of the plan that has not failed."""
    made = gated("empty")
    to = escalation(made, route(by, escalate=escalate), by, tried)
    rank = made.strength.index
    left = [name for name in escalate if rank(name) > rank(by) and name not in tried]
    assert to == (left[0] if left else None)


@given(st.sampled_from(["hold", "refuse", "marked"]), st.booleans(), st.sampled_from([None, "premium"]))
def test_a_verdict_after_release_changes_nothing(weak: Any, released: bool, target: str | None) -> None:
    """A weak answer escalates exactly where it is not released and a lane may redo it."""
    found = following(route("home", on_weak=weak), ("empty",), released=released, target=target)
    assert found.released is released
    assert found.verdict == ("marked" if released else "escalate" if target else weak)
