"""The OpenAI wire: what is accepted, what is refused and how, and what a lane gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from laneway.errors import RequestError
from laneway.request import Request
from laneway.wire.openai import error_body, error_event, outgoing, read

CANARY = "canary-5f0c"
USER = {"role": "user", "content": CANARY}


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "auto", "messages": [USER], **fields}).encode()


def _read(body: bytes | None = None, headers: dict[str, str] | None = None, **fields: object) -> Request:
    return read(_body(**fields) if body is None else body, headers or {})


def _refused(body: bytes, headers: dict[str, str] | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(body, headers or {})
    assert CANARY not in str(caught.value)
    assert CANARY not in str(caught.value.param)
    return caught.value


def test_a_plain_request_is_read() -> None:
    """Model, text and limits arrive; the body passes on as it came."""
    request = _read(max_completion_tokens=7, stream=True, stream_options={"include_usage": True}, seed=3)
    assert (request.model, request.max_output, request.stream, request.include_usage) == (
        "auto",
        7,
        True,
        True,
    )
    assert request.body["seed"] == 3
    assert msgspec.json.decode(request.canonical) == request.body
    assert (request.needs, request.unreadable, request.labels) == ((), (), {})


def test_absent_and_null_fields_are_the_same() -> None:
    """Clients that write null for what they do not set are understood."""
    request = _read(stream=None, max_tokens=None, n=None, tools=None, metadata=None, stop=None, temperature=None)
    assert (request.stream, request.max_output, request.tools) == (False, None, ())


def test_needs_and_unreadable_places_follow_the_parts() -> None:
    """Images, audio, files and unknown parts are named as places that nobody can scan."""
    kinds = ("text", "image_url", "input_audio", "file", "hologram")
    parts = [{"type": kind, "text": "x"} for kind in kinds]
    request = _read(messages=[{"role": "user", "content": parts}, {"role": "assistant", "audio": {"id": "a"}}])
    assert request.needs == ("vision", "audio", "pdf")
    assert request.unreadable == (*(f"messages[0].content[{i}]" for i in range(1, 5)), "messages[1].audio")


URL = f"https://{CANARY}.example/x"
PICTURE = f"data:image/png;base64,{CANARY}"


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"messages": [{**USER, "images": [CANARY]}]}, ["messages[0].images"]),
        ({"messages": [{**USER, "image": CANARY}]}, ["messages[0].image"]),
        ({"messages": [{**USER, "attachments": [{"id": CANARY}], "file_ids": [CANARY]}]},
         ["messages[0].attachments", "messages[0].file_ids"]),
        ({"messages": [{**USER, CANARY: {"x": 1}}]}, ["messages[0]…"]),
        ({"messages": [{**USER, "annotations": [{"x": CANARY}]}]}, ["messages[0].annotations"]),
        ({"messages": [{"role": "user", "content": PICTURE}]}, ["messages[0].content"]),
        ({"messages": [{"role": "tool", "content": [{"type": "text", "text": f"see DATA:;Base64 ,{CANARY}"}]}]},
         ["messages[0].content[0].text"]),
        ({"prediction": {"type": "content", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}},
         ["prediction.content[0]"]),
        ({"prediction": {"type": "content", "content": PICTURE}}, ["prediction.content"]),
        ({"attachments": [{"file_id": CANARY}]}, ["attachments"]),
        ({"file_ids": [CANARY]}, ["file_ids"]),
        ({"audio": {"data": CANARY}}, ["audio"]),
        ({"system": [{"source": {"media_type": CANARY}}]}, ["request…"]),
        ({CANARY: {"inputAudio": CANARY}}, ["request…"]),
        ({CANARY: PICTURE}, ["request…"]),
        ({"reasoning": {PICTURE: 1}}, ["reasoning…"]),
        ({"user": PICTURE, "stop": ["x", PICTURE]}, ["user", "stop[1]"]),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {CANARY: [PICTURE]}}}]},
         ["tools[0].function.parameters"]),
        ({"tools": [{"type": "function", "function": {"name": "f", "description": PICTURE}}]},
         ["tools[0].function.description"]),
    ],
)  # fmt: skip
def test_content_that_is_no_text_is_found_wherever_it_stands(fields: dict[str, object], places: list[str]) -> None:
    """Pictures, sounds and files count outside content parts too, and a name the client made up is not shown."""
    assert list(read(_body(**fields), {}).unreadable) == places


@pytest.mark.parametrize(
    "extra",
    [
        {"image_url": {"url": PICTURE}}, {CANARY: CANARY}, {CANARY: [1]}, {"text": {"value": CANARY}},
        {"annotations": [{"x": 1}]}, {"cache_control": {"x": {"y": 1}}},
    ],
)  # fmt: skip
def test_a_text_part_holds_text_alone(extra: dict[str, object]) -> None:
    """Whatever else stands in a part typed `text` makes it unreadable."""
    part = {"type": "text", "text": "see"} | extra
    assert _read(messages=[{"role": "user", "content": [part]}]).unreadable == ("messages[0].content[0]",)


def test_text_beside_a_picture_may_begin_with_an_address() -> None:
    """Only what a lane would fetch is an address: not the words of a part, even of one that holds more."""
    noted = {"type": "text", "text": URL, "id": "x"}
    request = _read(messages=[{"role": "user", "content": [noted, {"type": "image_url", "image_url": PICTURE}]}])
    assert request.unreadable == ("messages[0].content[0]", "messages[0].content[1]")


def test_media_are_needs_wherever_they_stand() -> None:
    """A lane that cannot see is not sent a picture under another key."""
    assert _read(messages=[{**USER, "images": ["x"], "file_ids": ["y"]}]).needs == ("vision", "pdf")


def test_very_many_unreadable_places_are_counted() -> None:
    """Eight places are named and the others counted, so that no request makes a record of megabytes."""
    parts = [{"type": "hologram"}] * 200_000
    unreadable = _read(messages=[{"role": "user", "content": parts}]).unreadable
    assert (len(unreadable), unreadable[7], unreadable[8]) == (9, "messages[0].content[7]", "and 199992 more")


_NAME = st.sampled_from(["x", "content", "parameters", "schema", "type", "tools[0].function", "messages"])


@given(st.lists(_NAME | st.none(), max_size=5), st.sampled_from(["image_url", "inputAudio", "FILE-ID", "images"]))
def test_no_depth_hides_a_picture(path: list[str | None], name: str) -> None:
    """Under whatever keys and lists a medium stands, it is found or the body is refused."""
    value: object = {name: PICTURE}
    for step in path:
        value = [value] if step is None else {step: value}
    with suppress(RequestError):
        assert _read(extra=value).unreadable


def test_tools_schema_and_audio_output_are_needs() -> None:
    """What the answer must be able to do is read from the request."""
    schema = {"type": "object"}
    request = _read(
        tools=[
            {"type": "function", "function": {"name": "look_up"}},
            {"type": "custom", "custom": {"name": "sh"}},
        ],
        functions=[{"name": "old"}],
        modalities=["text", "audio"],
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
    )
    assert request.needs == ("tools", "audio", "json")
    assert request.tools == ("look_up", "sh", "old")
    assert (request.wants_json, request.answer_schema) == (True, schema)


# --- labels


def test_labels_come_from_headers_and_metadata_and_do_not_leave() -> None:
    """Both places count alike; what was a label is not sent to a lane."""
    metadata = {"laneway-latency": "batch", "laneway-fact-matter": "m1", "ticket": "7"}
    request = _read(headers={"laneway-sensitivity": "internal", "accept": "*/*"}, metadata=metadata)
    assert request.labels == {"sensitivity": "internal", "latency": "batch", "fact-matter": "m1"}
    assert request.body["metadata"] == {"ticket": "7"}
    assert "laneway" not in request.canonical
    assert "metadata" not in _read(metadata={"laneway-team": "x"}).body


def test_a_label_given_twice_must_agree() -> None:
    """The same value in both places is fine, a different one is refused."""
    body = _body(metadata={"laneway-stakes": "high"})
    assert read(body, {"laneway-stakes": "high"}).labels == {"stakes": "high"}
    error = _refused(body, {"laneway-stakes": "normal"})
    assert (error.code, error.param) == ("conflicting_label", "laneway-stakes")
    assert _refused(_body(metadata={"laneway-team": "a", "Laneway-Team": "b"})).code == "conflicting_label"


@pytest.mark.parametrize(
    "name",
    ["laneway-sensitivty", "laneway-", "laneway-fact-", "laneway_sensitivity", "Laneway_Sensitivity", "sensitivity",
     "x-laneway-sensitivity", "X-Sensitivity", " laneway-sensitivity", "LANEWAY SENSITIVITY", "Sensitivity "],
)  # fmt: skip
def test_an_unknown_label_is_refused_wherever_it_stands(name: str) -> None:
    """A misspelt label would otherwise lower a request in silence."""
    for error in (_refused(_body(), {name: "x"}), _refused(_body(metadata={name: "x"}))):
        assert (error.code, error.status) == ("unknown_header", 400)
        assert "did you mean `laneway-" in str(error)


@pytest.mark.parametrize(
    "name",
    ["laneway-sensitivity", "laneway_sensitivity", "Laneway-Team", " laneway-workload", "x_laneway_latency",
     "sensitivity", "Sensitivity"],
)  # fmt: skip
def test_a_label_in_the_body_is_refused_and_told_its_place(name: str) -> None:
    """Whoever labels a request where nobody looks must not think it labelled."""
    error = _refused(_body(**{name: CANARY}))
    assert (error.code, error.status) == ("misplaced_label", 400)
    assert "header" in str(error)
    assert "`metadata`" in str(error)


def test_a_label_in_a_message_is_refused() -> None:
    """A label beside a message's text is as misplaced as one beside the messages."""
    assert _refused(_body(messages=[{**USER, "laneway-sensitivity": CANARY}])).code == "misplaced_label"


@pytest.mark.parametrize("value", ["x" * 101, "a\nb", "a\x00"])
def test_a_label_is_short_and_printable(value: str) -> None:
    """Labels reach the record and messages, so they are bounded."""
    assert _refused(_body(), {"laneway-team": value}).code == "invalid_label"


# --- refusals


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "canary-5f0c',
        b'{"model": canary-5f0c}',
        b'{"a": NaN}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a": "\\ud800"}',
        b"[" * 1_000 + b"]" * 1_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b"[" * 1_000_000,
        b"9" * 10_000,
    ],
)
def test_what_is_no_json_is_refused_without_quoting_it(body: bytes) -> None:
    """Malformed and over-deep bodies are refused, at most with the position."""
    assert _refused(body).code == "invalid_json"


def test_depth_is_bounded_exactly() -> None:
    """64 levels pass, 65 do not."""
    assert _read(x=json.loads("[" * 63 + "]" * 63)).model == "auto"
    assert "64 levels" in str(_refused(_body(x=json.loads("[" * 64 + "]" * 64))))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 1}, "model"),
        ({"messages": CANARY}, "messages"),
        ({"messages": [CANARY]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": {CANARY: 1}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [CANARY]}]}, "messages[0].content[0]"),
        ({"stream": CANARY}, "stream"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": CANARY}, "max_completion_tokens"),
        ({"n": CANARY}, "n"),
        ({"tools": CANARY}, "tools"),
        ({"tools": [{"function": {"name": 1}}]}, "tools[0].function.name"),
        ({"response_format": CANARY}, "response_format"),
        ({"metadata": CANARY}, "metadata"),
        ({"metadata": {CANARY: 1}}, "metadata[...]"),
        ({"stop": {CANARY: 1}}, "stop"),
        ({"temperature": CANARY}, "temperature"),
    ],
)
def test_a_wrong_type_is_named_by_its_path(fields: dict[str, object], param: str) -> None:
    """The path and the types are said, the value never."""
    error = _refused(_body(**fields))
    assert (error.status, error.code, error.param) == (400, "invalid_type", param)
    assert param in str(error)


def test_a_missing_field_is_named() -> None:
    """The field that is missing is named, at any depth."""
    assert _refused(b'{"messages": []}').param == "model"
    error = _refused(_body(messages=[{"content": CANARY}]))
    assert (error.code, error.param) == ("missing_field", "messages[0].role")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"canary-5f0c"'])
def test_a_body_is_an_object(body: bytes) -> None:
    """Any other JSON is refused as a type."""
    assert _refused(body).code == "invalid_type"


@pytest.mark.parametrize(
    "key", ["api_base", "base_url", "API-Key", "apiKey", " url", "Endpoint", "extra-headers", "headers", "organization",
            "custom_llm_provider", "litellm_params", "server_url", "mcp_servers", "fallbacks", "models", "provider",
            "route", "model_list", "user_config", "extra_body", "extra_query"],
)  # fmt: skip
def test_a_client_never_chooses_an_address_or_a_key(key: str) -> None:
    """A destination or credential is refused at the top, in metadata and at any depth, in any spelling."""
    places: list[dict[str, object]] = [
        {key: CANARY},
        {"metadata": {key: CANARY}},
        {"reasoning": {CANARY: [[{key: CANARY}]]}},
        {"messages": [{**USER, key: CANARY}]},
    ]
    for fields in places:
        error = _refused(_body(**fields))
        assert error.code == "client_destination"
        assert "the policy file does" in str(error)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": URL},
        {"type": "image_url", "image_url": {"url": f"file:///{CANARY}"}},
        {"type": "image_url", "image_url": {"url": f"//{CANARY}"}},
        {"type": "text", "text": "see", "image_url": {"url": URL}},
        {"type": "video_url", "video_url": {"url": URL}},
        {"type": "file", "file": {"file_data": URL}},
        {"type": "file", "file": {"file_data": f" s3://{CANARY}"}},
        {"type": "input_audio", "input_audio": {"data": URL, "format": "wav"}},
        {"type": "document", "source": {"type": CANARY, "href": [URL]}},
    ],
)
def test_content_is_never_fetched_from_an_address(part: dict[str, object]) -> None:
    """Images, sounds and files come within the request; no lane is sent out to fetch them."""
    for messages in ([{"role": "user", "content": [part]}], [{**USER, "attachments": [part]}]):
        error = _refused(_body(messages=messages))
        assert error.code == "client_destination"
        assert "`data:` URLs" in str(error)


def test_addresses_in_text_and_schemas_are_nobodys_business() -> None:
    """A text may speak of a URL, and a schema may have a property of any name."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in ("url", "file", "models")}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"url": URL})}}
    request = _read(
        messages=[
            {"role": "user", "content": URL},
            {"role": "user", "content": [{"type": "text", "text": URL, "index": 0}]},
            {"role": "assistant", "tool_calls": [call]},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        functions=[{"name": "g", "parameters": schema}],
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
        guided_json=schema,
    )
    assert request.unreadable == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"store": True}, "store"),
        ({"best_of": 2}, "best_of"),
        ({"n_predict": 10}, "n_predict"),
        ({"reasoning": {"num_predict": 10}}, "reasoning.num_predict"),
        ({"options": {CANARY: 1}}, "options"),
        ({"max_output_tokens": 10}, "max_output_tokens"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"transforms": [CANARY]}, "transforms"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "mcp", "server_label": CANARY}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"google_search": {}}]}, "tools[0]"),
        ({"tool_choice": {"allowed_tools": {"tools": [{"type": "mcp"}]}}}, "tool_choice.allowed_tools.tools[0].type"),
    ],
)
def test_what_stores_costs_or_fetches_more_is_refused(fields: dict[str, object], param: str) -> None:
    """Storage, prices beyond the ceiling and the provider's own tools are refused, with the reason."""
    error = _refused(_body(**fields))
    assert (error.code, error.param) == ("unsupported", param)


def test_what_would_change_nothing_passes() -> None:
    """The values that ask for nothing pass, and metadata's names are the client's own."""
    values: dict[str, object] = {"store": False, "best_of": 1, "service_tier": "auto", "options": None, "images": []}
    values["metadata"] = {"options": "7", "store": "Oslo", "team": "law", "region": "north"}
    request = read(_body(**values), {})
    assert request.body["service_tier"] == "auto"
    assert request.unreadable == ()


def test_the_whole_vocabulary_of_the_official_client_passes() -> None:
    """Every ordinary parameter passes unchanged and nothing in it counts as unreadable."""
    fields: dict[str, object] = {
        "messages": [
            {"role": "developer", "content": "Be brief.", "name": "d"},
            {"role": "user", "content": [
                {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
                {"type": "text", "text": "you", "prompt_cache_breakpoint": {"mode": "explicit"}, "annotations": []},
            ]},
            {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None, "tool_calls": [
                {"id": "c1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "done"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "reasoning_content": "why"},
            {"role": "assistant", "function_call": {"name": "g", "arguments": "{}"}},
            {"role": "function", "name": "g", "content": "7"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True, "parameters": {}}},
            {"type": "custom", "custom": {"name": "sh", "format": {"type": "grammar", "grammar":
                {"definition": "x", "syntax": "lark"}}}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False,
        "functions": [{"name": "g", "parameters": {}}], "function_call": {"name": "g"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": {}}},
        "audio": {"voice": {"id": "v"}, "format": "mp3"}, "modalities": ["text", "audio"],
        "prediction": {"type": "content", "content": [{"type": "text", "text": "x = 1"}]},
        "stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False},
        "logprobs": True, "top_logprobs": 2, "logit_bias": {"50256": -100}, "seed": 3, "stop": ["a", "b"], "n": 1,
        "temperature": 0.2, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "max_completion_tokens": 9,
        "reasoning_effort": "low", "verbosity": "low", "user": "u", "safety_identifier": "s", "store": False,
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit"},
        "service_tier": "default", "moderation": {"model": "m", "policy": {"input": {"mode": "score"}}},
        "metadata": {"case": "7"},
    }  # fmt: skip
    request = read(_body(**fields), {})
    assert request.unreadable == ()
    assert request.body == {"model": "auto", **fields}


def test_several_answers_at_once_are_refused_with_the_remedy() -> None:
    """`n` above 1 is not supported; 1 is."""
    error = _refused(_body(n=2))
    assert (error.code, error.param) == ("unsupported", "n")
    assert "ask once" in str(error)
    assert read(_body(n=1), {}).model == "auto"


def test_a_large_body_is_read() -> None:
    """Ten megabytes, much of it quotes and colons, are read like anything else."""
    text = '": "' * 2_500_000
    assert len(read(_body(messages=[{"role": "user", "content": text}]), {}).canonical) > 10_000_000


# --- duplicate keys


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"model":"a","model":"b","messages":[]}', "`model`"),
        (b'{"model":"a","messages":[],"mod\\u0065l":"b"}', "`model`"),
        (
            b'{"model":"a","messages":[],"metadata":{"laneway-sensitivity":"a","laneway-sensitivity":"b"}}',
            "`laneway-",
        ),
        (b'{"model":"a","messages":[],"x":[{"canary-5f0c":1,"canary-5f0c":2}]}', "a key"),
        (b'{"model":"a","messages":[],"x":"\\"\\u003a","y":1,"y":2}', "a key"),
        (b'{"model":"a","messages":[],"x":"\\"\\u0020:","y":1,"y":2}', "a key"),
        (b'{"model":"a","messages":[],"x":"\\u0022:","y":1,"y":2}', "a key"),
    ],
)
def test_a_duplicate_key_is_refused(body: bytes, named: str) -> None:
    """A key that stands twice is refused, however it is spelt, and named only where it is a known name."""
    error = _refused(body)
    assert error.code == "duplicate_key"
    assert named in str(error)


def _has_duplicate(body: bytes) -> bool:
    twice = False

    def unique(pairs: list[tuple[str, object]]) -> None:
        nonlocal twice
        twice = twice or len({key for key, _ in pairs}) < len(pairs)

    json.loads(body, object_pairs_hook=unique)
    return twice


_ESCAPES: list[Callable[[str], str]] = [
    json.dumps,
    lambda s: '"' + "".join(f"\\u{ord(c):04x}" for c in s) + '"',
]
_TEXT = st.text(alphabet='a": \\\n', max_size=5)
_STRING = st.builds(lambda s, write: write(s), _TEXT, st.sampled_from(_ESCAPES))
_SPACE = st.sampled_from(["", " ", "\n\t"])


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds(lambda k, a, b, v: f"{k}{a}:{b}{v}", _STRING, _SPACE, _SPACE, inner)
    return st.lists(member, max_size=4).map(lambda members: "{" + ",".join(members) + "}")


_JSON = st.recursive(
    _STRING | st.sampled_from(["1", "null", "[]"]),
    lambda inner: _object(inner) | st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
    max_leaves=8,
)


@given(_JSON)
@example('{"":"\\":","b":1}')
@example('{"a":1,"\\u0061":2}')
@example('{"a":": x","b":"\\" :"}')
def test_the_quick_duplicate_check_agrees_with_the_slow_one(value: str) -> None:
    """Counting colons finds exactly what remembering every key finds."""
    body = b'{"model":"auto","messages":[],"x":' + value.encode() + b"}"
    if _has_duplicate(body):
        assert _refused(body).code == "duplicate_key"
    else:
        assert read(body, {}).body == json.loads(body)


@given(st.binary() | _JSON.map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing but a RequestError ever comes out."""
    try:
        read(body, {})
    except RequestError as error:
        assert error.status == 400


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "metadata", "tools", "n", "stop", "x"]), _VALUE))
def test_any_json_object_is_read_or_refused(fields: dict[str, object]) -> None:
    """Whatever stands where, it is read or refused."""
    try:
        read(json.dumps(fields).encode(), {"laneway-team": "x"})
    except RequestError as error:
        assert error.status == 400


# --- to the lane


def test_the_lane_gets_its_model_and_our_cap() -> None:
    """The model is replaced, the cap stands under the client's own name, and the request stays as it was."""
    request = _read(max_completion_tokens=900, max_tokens=5_000)
    sent = json.loads(outgoing(request, model="m", max_output=10))
    assert (sent["model"], sent["max_completion_tokens"], "max_tokens" in sent) == ("m", 10, False)
    assert request.body["max_completion_tokens"] == 900
    assert json.loads(outgoing(_read(), model="m", max_output=10))["max_tokens"] == 10
    assert json.loads(outgoing(request, model="m", max_output=None)) == {**request.body, "model": "m"}


def test_a_stream_always_reports_its_usage() -> None:
    """Usage is asked for on every stream, beside the client's other options; otherwise never."""
    request = _read(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    sent = json.loads(outgoing(request, model="m", max_output=None))
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert "stream_options" not in json.loads(outgoing(_read(), model="m", max_output=None))


def test_an_error_has_the_wire_shape() -> None:
    """Clients of this wire find the error where they look for it, alone or in a stream."""
    body = error_body("c", "why", kind="invalid_request_error", param="p", details={"decision": "refuse"})
    assert json.loads(body) == {
        "error": {
            "message": "why", "type": "invalid_request_error", "param": "p", "code": "c",
            "laneway": {"decision": "refuse"},
        }
    }  # fmt: skip
    assert error_event("c", "why", kind="api_error") == b"data: " + error_body("c", "why", kind="api_error") + b"\n\n"


@pytest.mark.parametrize(
    "name",
    [
        "MODEL",
        "Max_Tokens",
        "max_to\u212aens",
        "N",
        "Tools",
        "me\u017f\u017fages",
        "maxTokens",
        "\uff4d\uff4f\uff44\uff45\uff4c",
        "mo\u200bdel",
    ],
)
def test_a_name_that_only_some_lanes_would_read_is_refused(name: str) -> None:
    """A lane that reads names without case or look-alikes would take it in place of what was scanned."""
    with pytest.raises(RequestError) as caught:
        read(json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}], name: 1}).encode(), {})
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("name", ["\u017ftore", "be\u017ft_of", "fallback\u017f", "\uff41pi_base", "api\u200b_base"])
def test_look_alikes_do_not_hide_what_never_passes(name: str) -> None:
    """Names are compared as somebody lenient would read them."""
    with pytest.raises(RequestError) as caught:
        read(json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}], name: "x"}).encode(), {})
    assert caught.value.code in ("unsupported", "client_destination")
