"""The OpenAI wire's answers: whole, or as a stream that is cut anywhere."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.errors import LaneError
from laneway.wire.openai import Event, Stream, read_answer

CANARY = "canary-5f0c"


def _choice(**message: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "model": "m"}).encode()


def test_a_whole_answer_is_read() -> None:
    """Text, tool calls, counts and the reason for stopping arrive."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": usage,
        "model": "m",
    }
    answer = read_answer(json.dumps(body).encode())
    assert answer.tool_calls == (("f", "{}"), ("f", "{}"))
    assert (answer.tokens_in, answer.tokens_out, answer.cached_tokens) == (3, 4, 2)
    assert (answer.finish, answer.complete, answer.model, answer.text) == ("tool_calls", True, "m", "")


def test_a_refusal_is_seen() -> None:
    """A model's own refusal is marked, and so is a filtered answer."""
    assert read_answer(_choice(refusal="no")).refusal
    assert not read_answer(_choice(content="yes")).refusal


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>canary-5f0c", b"[]", b"{}", b"\xff", b'{"choices":[]}',
     b'{"error":{"message":"canary-5f0c"}}', b'{"choices":[{"message":{"content":5}}]}', b"[" * 100_000,
     b'{"choices":[{"message":{}},{"message":{}}]}', b'{"choices":[{"index":1,"message":{}}]}'],
)  # fmt: skip
def test_garbage_is_a_lane_error_without_its_text(body: bytes) -> None:
    """What is no chat completion is the lane's failure; its text is not repeated."""
    with pytest.raises(LaneError) as caught:
        read_answer(body)
    assert (caught.value.code, caught.value.retry, caught.value.sent) == ("garbage", False, False)
    assert CANARY not in str(caught.value)


def _chunk(end: str = "\n", **fields: object) -> bytes:
    return f"data: {json.dumps({'choices': [], **fields})}{end}{end}".encode()


def _delta(finish: str | None = None, end: str = "\n", **delta: object) -> bytes:
    return _chunk(end, choices=[{"index": 0, "delta": delta, "finish_reason": finish}], model="m")


_STREAM = (
    _delta(role="assistant", content="")
    + b": ping\n\n"
    + _delta(content="Hej ", end="\r\n")
    + _delta(content="då å")
    + _delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}])
    + _delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"a"'}}])
    + _delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}], end="\r\n")
    + _delta("stop")
    + _chunk(usage={"prompt_tokens": 5, "completion_tokens": 6})
    + b"data: [DONE]\n\n"
)


def _fed(*chunks: bytes) -> tuple[list[Event], Stream]:
    stream = Stream()
    return [event for chunk in chunks for event in stream.feed(chunk)], stream


def test_a_stream_is_read() -> None:
    """Events pass on as they came, marked for what they are, and add up to the answer."""
    events, stream = _fed(_STREAM)
    answer = stream.answer()
    assert b"".join(event.raw for event in events) == _STREAM
    kinds = ["preface", "comment", *["content"] * 6, "usage", "done"]
    assert [event.kind for event in events] == kinds
    assert (answer.text, answer.finish, answer.complete, answer.model) == ("Hej då å", "stop", True, "m")
    assert answer.tool_calls == (("f", '{"a":1}'), ("g", ""))
    assert (answer.tokens_in, answer.tokens_out) == (5, 6)


@given(st.lists(st.integers(0, len(_STREAM)), max_size=12))
def test_where_chunks_are_cut_makes_no_difference(cuts: list[int]) -> None:
    """Any cutting of the same bytes gives the same events and the same answer."""
    edges = [0, *sorted(cuts), len(_STREAM)]
    events, stream = _fed(*(_STREAM[a:b] for a, b in pairwise(edges)))
    whole_events, whole = _fed(_STREAM)
    assert events == whole_events
    assert stream.answer() == whole.answer()


def test_a_stream_may_come_byte_by_byte() -> None:
    """The hardest cutting of all."""
    events, stream = _fed(*(_STREAM[i : i + 1] for i in range(len(_STREAM))))
    assert (events, stream.answer()) == (_fed(_STREAM)[0], _fed(_STREAM)[1].answer())


def test_a_stream_that_stops_early_is_incomplete() -> None:
    """Without a reason for stopping, the answer is not complete."""
    _, stream = _fed(_delta(content="half"), b"data: {")
    assert (stream.answer().text, stream.answer().complete) == ("half", False)


def test_an_upstream_error_event_is_marked() -> None:
    """A lane's error in mid-stream is seen; a null beside an answer is none."""
    (event,) = _fed(b'data: {"error":{"message":"x"}}\n\n')[0]
    assert event.kind == "error"
    assert _fed(_chunk(error=None))[0][0].kind == "preface"


@pytest.mark.parametrize(
    "raw",
    [b"data: canary-5f0c\n\n", b"data: {}\n\n", b"data: 1\n\n", b"data: \xff\n\n",
     b"x" * (1 << 20) + b"x", b"data: " + b" " * (1 << 20) + b"\n\n", b"<html>canary-5f0c\n\n",
     b'{"choices":[]}\n\n', b": ping\r\r", b": ping\r\rdata: x\r\r\n\n", b'data: {"choices":[]}\rid: 1\n\n',
     b'data: {"choices":[{"index":1,"delta":{"content":"canary-5f0c"}}]}\n\n'],
)  # fmt: skip
def test_a_garbage_stream_is_a_lane_error(raw: bytes) -> None:
    """What is no chunk, or too long for one, fails the lane and says whether anything had been given out."""
    for before, sent in (((), False), ((_delta(content="x"),), True)):
        with pytest.raises(LaneError) as caught:
            _fed(*before, raw)
        assert (caught.value.code, caught.value.sent) == ("garbage", sent)
        assert CANARY not in str(caught.value)


@given(st.lists(st.binary()))
def test_any_stream_is_read_or_fails_the_lane(chunks: list[bytes]) -> None:
    """Nothing but a LaneError ever comes out."""
    try:
        _fed(*chunks)
    except LaneError as error:
        assert error.code == "garbage"


@pytest.mark.parametrize(
    ("kind", "raw"),
    [("comment", b": ping\n\n"), ("comment", b"\n\n"), ("comment", b"event: ping\nid: 7\nretry: 5\n\n"),
     ("preface", _delta(role="assistant", content="")), ("preface", _delta()), ("preface", _chunk()),
     ("content", _delta(content="x")), ("content", _delta(refusal="no")), ("content", _delta(reasoning_content="hm")),
     ("content", _delta(reasoning="hm")), ("content", _delta(tool_calls=[{"index": 0}])), ("content", _delta("stop")),
     ("content", _delta(function_call={"name": "f"})), ("content", _delta(audio={"data": "AAAA"})),
     ("usage", _chunk(usage={})), ("done", b"data: [DONE]\n\n")],
)  # fmt: skip
def test_an_event_is_content_only_where_it_tells_something(kind: str, raw: bytes) -> None:
    """A ping, a role and a count tell the reader nothing; text, reasoning, a call and the reason for stopping do."""
    assert [event.kind for event in _fed(raw)[0]] == [kind]


def test_what_follows_the_end_is_ignored() -> None:
    """After `[DONE]` nothing counts, whether it comes in the same chunk or in one of its own."""
    rest = b"<html>\r\r" + _delta(content=" more")
    events, stream = _fed(_delta("stop", content="all"), b"data: [DONE]\n\n" + rest, rest)
    assert [event.kind for event in events] == ["content", "done"]
    assert stream.answer().text == "all"


@pytest.mark.parametrize("count", ["-1", "2147483648", "1" + "0" * 400, "9" * 5000, "1.5", '"7"', "true", "null", "[]"])
def test_a_count_that_cannot_be_is_not_said(count: str) -> None:
    """An impossible number of tokens reads as unsaid, and the answer is read all the same."""
    usage = (
        f'{{"prompt_tokens":{count},"completion_tokens":{count},"prompt_tokens_details":{{"cached_tokens":{count}}}}}'
    )
    body = b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"usage":%b}'
    for said in (usage, count, "{}"):
        answer = read_answer(body % said.encode())
        assert (answer.text, answer.tokens_in, answer.tokens_out, answer.cached_tokens) == ("yes", None, None, None)
        stream = _fed(b'data: {"choices":[],"usage":%b}\n\n' % said.encode())[1]
        assert stream.answer().tokens_out is None


def test_everything_written_counts() -> None:
    """Where a lane does not count, its size is that of text, reasoning, refusal and calls, in bytes."""
    call = {"function": {"name": "f", "arguments": "{}"}}
    parts = [{"content": "å"}, {"reasoning_content": "hm"}, {"refusal": "no"}, {"tool_calls": [call]}]
    assert _fed(*(_delta(None, **part) for part in parts))[1].answer().written == 2 + 2 + 2 + 3  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gpt-4.1-2025-04-14", "org/model:70b@v1", "claude-3-5-sonnet-20241022", "qwen2.5_7b"])
def test_a_models_name_is_kept(name: str) -> None:
    """What real lanes call their models goes on record."""
    assert read_answer(b'{"choices":[{"message":{}}],"model":"%b"}' % name.encode()).model == name


@pytest.mark.parametrize(
    "name",
    ["the merger is on", "811228-9874", "19811228-9874", "8112289874", "131052-308T", "SE4550000000058398257466", "å",
     "x" * 101, "m\\n", ""],
)  # fmt: skip
def test_a_models_name_that_may_be_the_prompts_is_not(name: str) -> None:
    """Sentences and identifiers are not names of models, whatever a lane says."""
    assert read_answer(b'{"choices":[{"message":{}}],"model":"%b"}' % name.encode()).model is None
