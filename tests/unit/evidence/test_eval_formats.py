"""formats: small files in each tool's shape come in, go out and come back; what cannot be carried is said."""

from __future__ import annotations

import csv
import io
import json

import pytest

from laneway.errors import PolicyError
from laneway.evidence.formats.anthropic import read_anthropic, write_anthropic
from laneway.evidence.formats.gemini import read_gemini, write_gemini
from laneway.evidence.formats.inspect import read_inspect, write_inspect
from laneway.evidence.formats.openai import read_openai, write_openai
from laneway.evidence.formats.own import to_jsonl, to_yaml
from laneway.evidence.formats.promptfoo import read_promptfoo, write_promptfoo
from laneway.evidence.formats.shape import FormatError, Head
from laneway.evidence.sample import EvalSet, Message, Sample, Scorer, set_hash
from laneway.evidence.sets import parse_jsonl, parse_yaml

HEAD = Head(name="imported", says="From another tool.", workload="support", sensitivity="internal")
BY_EXACT = (Scorer("exact"),)


def _sample(name: str, text: str, expected: object = None, *scorers: Scorer, **rest: object) -> Sample:
    return Sample(id=name, messages=(Message("user", text),), expected=expected, scorers=scorers or BY_EXACT,
                  sensitivity="internal", **rest)  # type: ignore[arg-type]  # fmt: skip


def _set(*samples: Sample) -> EvalSet:
    return EvalSet(file="f", name="mine", says="Mine.", workload="support", sensitivity="internal", samples=samples)


def _asked(found: EvalSet) -> list[tuple[tuple[tuple[str, str], ...], object]]:
    return [(tuple((m.role, m.content) for m in s.messages), s.expected) for s in found.samples]


EVERYTHING = _set(
    _sample("a", "First line.\n  Second: \"quoted\" # not a comment\n\nÅngström\ttab\n", "yes"),
    _sample("b", "no", ["1", "true", "null", ""], Scorer("set", {"of": ["1", "true", "null", ""]})),
    _sample("c", "Sum?", 12.5, Scorer("numeric", {"tolerance": 0.01}), language="no", group="sums", tags=("x", "y")),
    Sample(id="d", messages=(Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Ho."), Message("user", "And?")),
           expected={"a": [1, True, None, "01"]}, scorers=(Scorer("json", {"schema": {"type": "object", "maxProperties": 3}}),
           Scorer("regex", {"pattern": r"\d+\s", "flags": ["i"]})), sensitivity="public", facts={"matter": "sealed"}),
    _sample("e", "Code?", None, Scorer("code", {"tests": "assert f(1) == 2\n\nassert f(2) == 3\n", "seconds": 3})),
    _sample("f", " leading space\n- and a list\n", None, Scorer("rubric", {"asks": "Kind?"})),
)  # fmt: skip


def test_our_own_formats_lose_nothing() -> None:
    """A set written as YAML or as JSON Lines is read again as the same set."""
    everything = EvalSet(**{**{f: getattr(EVERYTHING, f) for f in EVERYTHING.__slots__}, "samples": tuple(
        s for s in EVERYTHING.samples if s.id != "b")})  # fmt: skip
    for text, read in ((to_yaml(everything), parse_yaml), (to_jsonl(everything), parse_jsonl)):
        assert set_hash(read(text, "f")) == set_hash(everything), text
    with pytest.raises(PolicyError, match="`set` needs `expected`"):
        parse_yaml(to_yaml(EVERYTHING), "f")


OPENAI = [
    {"input": [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Capital of Norway?"}], "ideal": "Oslo"},
    {"input": [{"role": "user", "content": "A Nordic language?"}], "ideal": ["Danish", "Swedish"]},
]  # fmt: skip


def test_openai_evals_come_in_and_go_out() -> None:
    """`input` and `ideal` make the round trip; a list of wanted texts stays one of several."""
    text = "".join(json.dumps(line) + "\n" for line in OPENAI)
    found = read_openai(text, HEAD)
    assert found.notes == ()
    assert _asked(found.set)[1] == ((("user", "A Nordic language?"),), ["Danish", "Swedish"])
    assert all(sample.scorers == BY_EXACT for sample in found.set.samples)
    out = write_openai(found.set)
    assert [json.loads(line) for line in out.text.splitlines()] == OPENAI
    assert out.notes == ("the file does not say that its samples are of the class internal",)
    assert set_hash(read_openai(out.text, HEAD).set) == set_hash(found.set)


def test_openai_items_and_chats_come_in() -> None:
    """Hosted items are found by the usual names, a chat's last answer is what is expected, the rest is noted."""
    lines = [
        {"item": {"question": "2 + 2?", "correct_label": "4", "topic": "sums"}, "sample": {"output_text": "5"}},
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}]},
        {"input": "No grade here."},
    ]  # fmt: skip
    found = read_openai("\n".join(map(json.dumps, lines)), HEAD)
    assert _asked(found.set) == [((("user", "2 + 2?"),), "4"), ((("system", "Be brief."), ("user", "Hi.")), "Ho.")]
    assert found.notes == (
        "line 1: `sample` has no counterpart and is left out",
        "line 1: `topic` has no counterpart and is left out",
        "openai-3 brings nothing to score by and is left out; name scorers for the set",
    )


def test_what_openai_cannot_hold_is_said() -> None:
    """Scorers other than the plain one, numbers and groups are named, sample by sample."""
    notes = write_openai(EVERYTHING, prompt="Be kind.").notes
    assert "c: `group`, `language`, `numeric`, `tags` has no counterpart and is left out" in notes
    assert "c: `expected` is neither a text nor a list of texts and is left out" in notes


CONSOLE = 'CITY,FORM,ideal_output\r\nOslo,"short, please",Norway\r\nTurku,"two\nlines",Finland\r\n'


def test_the_consoles_csv_comes_in_and_goes_out() -> None:
    """Variables fill the prompt, and the wanted answers stay beside them."""
    found = read_anthropic(CONSOLE, HEAD, "Country of {{CITY}}? ({{ FORM }})")
    assert _asked(found.set) == [
        ((("user", "Country of Oslo? (short, please)"),), "Norway"),
        ((("user", "Country of Turku? (two\nlines)"),), "Finland"),
    ]
    out = write_anthropic(found.set)
    assert next(csv.reader(io.StringIO(out.text))) == ["input", "ideal_output"]
    assert set_hash(read_anthropic(out.text, HEAD).set) == set_hash(found.set)
    assert any(note.startswith("d: a conversation") for note in write_anthropic(EVERYTHING).notes)


@pytest.mark.parametrize(
    ("text", "template", "said"),
    [
        (CONSOLE, "", "the CSV has 2 variables"), (CONSOLE, "{{TOWN}}", "the prompt needs `TOWN`"),
        ("A\n1,2\n", "", "test 1 has more or fewer fields"), ('A\n"1', "", "not a CSV"),
    ],
)  # fmt: skip
def test_a_csv_that_does_not_fit_is_refused(text: str, template: str, said: str) -> None:
    """A missing variable, an odd row or a broken quote is named."""
    with pytest.raises(FormatError, match=said):
        read_anthropic(text, HEAD, template)


PROMPTFOO = """\
description: Capitals
prompts:
  - 'Answer briefly: {{question}}'
  - file://other.txt
providers: [openai:gpt-5-mini]
defaultTest:
  assert:
    - {type: not-icontains, value: sorry}
tests:
  - description: Capital of Norway
    vars: {question: Which is the capital of Norway?, city: Oslo}
    assert:
      - {type: equals, value: '{{city}}'}
      - {type: latency, threshold: 1000}
    metadata: {language: en, owner: someone}
  - vars: {question: Two cities.}
    assert:
      - {type: contains-all, value: [Oslo, Bergen], weight: 2}
      - {type: javascript, value: output.length < 9}
      - {type: llm-rubric, value: Are both in Norway?}
  - vars: {question: As JSON.}
    assert:
      - {type: is-json, value: {type: object}}
      - {type: regex, value: '"city"'}
"""


def test_promptfoo_comes_in() -> None:
    """Prompt and variables make the input, assertions the scorers; each that has no counterpart is named."""
    found = read_promptfoo(PROMPTFOO, HEAD)
    one, two, three = found.set.samples
    assert (one.id, one.input, one.expected, one.language) == (
        "Capital-of-Norway", "Answer briefly: Which is the capital of Norway?", "Oslo", "en",
    )  # fmt: skip
    assert one.scorers == (Scorer("regex", {"not": "sorry", "flags": ("i", "s")}), Scorer("exact"))
    assert [scorer.name for scorer in two.scorers] == ["regex", "regex", "rubric"]
    assert [scorer.name for scorer in three.scorers] == ["regex", "json", "regex"]
    assert found.notes == (
        "only the first of 2 prompts is taken",
        "test 1: `metadata.owner` has no counterpart and is left out",
        "promptfoo assert `latency` of test 1 has no counterpart",
        "test 2: `weight` of its assert `contains-all` is left out",
        "promptfoo assert `javascript` of test 2 has no counterpart",
    )


def test_promptfoo_goes_out_and_comes_back() -> None:
    """What it can hold comes back as it was, conversations too; what it cannot is said."""
    mine = _set(
        _sample("a", "Capital?", "Oslo", language="en", tags=("x",)),
        _sample("b", "Two:\n- lines", None, Scorer("regex", {"pattern": "O.*", "not": "x"}), Scorer("rubric", {"asks": "Kind?"})),
        Sample(id="c", messages=(Message("system", "Brief."), Message("user", "As JSON.")), expected={"a": 1}, sensitivity="internal",
               scorers=(Scorer("json", {"schema": {"type": "object"}}),)),
    )  # fmt: skip
    out = write_promptfoo(mine)
    assert out.notes == ()
    back = read_promptfoo(out.text, HEAD)
    assert back.notes == ()
    assert _asked(back.set) == _asked(mine)
    assert [(s.id, s.language, s.tags) for s in back.set.samples] == [
        ("a", "en", ("x",)),
        ("b", None, ()),
        ("c", None, ()),
    ]
    assert "c: `numeric` has no counterpart and is left out" in write_promptfoo(EVERYTHING).notes
    assert write_promptfoo(_set(_sample("t", "{{x}}", "y"))).notes == (
        "t: holds template marks, which promptfoo would fill in",
    )


@pytest.mark.parametrize("text", ["- a\n", "prompts: [file://a.txt]\ntests: []\n", "prompts: [a]\ntests: file://t.csv\n", "prompts: [a]\ntests: [file://t.yaml]\n"])  # fmt: skip
def test_promptfoo_opens_no_files(text: str) -> None:
    """A configuration that points to other files is refused rather than half read."""
    with pytest.raises(FormatError):
        read_promptfoo(text, HEAD)


def test_inspect_samples_lose_nothing() -> None:
    """A whole set, scorers and all, comes back from Inspect's JSON Lines."""
    mine = _set(*(sample for sample in EVERYTHING.samples if sample.id != "b"))
    out = write_inspect(mine)
    assert out.notes == ()
    back = read_inspect(out.text, HEAD)
    assert back.notes == ()
    assert set_hash(back.set) == set_hash(mine)


def test_inspect_data_sets_and_logs_come_in() -> None:
    """A data set's targets are scored exactly; a log gives the samples of its first epoch and none of its scores."""
    samples: list[dict[str, object]] = [
        {"id": 1, "input": "Capital of Norway?", "target": "Oslo", "metadata": {"level": "easy"}},
        {"id": "two", "input": [{"role": "user", "content": [{"type": "text", "text": "A language?"}]}], "target": ["Danish", "Swedish"], "choices": None},
    ]  # fmt: skip
    found = read_inspect(json.dumps(samples), HEAD)
    assert _asked(found.set) == [
        ((("user", "Capital of Norway?"),), "Oslo"),
        ((("user", "A language?"),), ["Danish", "Swedish"]),
    ]
    assert found.notes == ("sample 1: `metadata.level` has no counterpart and is left out",)
    epochs = [
        {**sample, "epoch": epoch, "scores": {"match": {"value": "C"}}, "output": {}}
        for epoch in (1, 2)
        for sample in samples
    ]
    log = {"version": 2, "status": "success", "eval": {"task": "capitals"}, "results": {}, "samples": epochs}
    for text in (json.dumps(log), json.dumps(log, indent=2)):
        logged = read_inspect(text, HEAD)
        assert set_hash(logged.set) == set_hash(found.set)
        assert "answers and scores of the log are left out" in logged.notes[-1]
    with pytest.raises(FormatError, match="inspect log convert"):
        read_inspect("PK\x03\x04", HEAD)


GEMINI = [
    {"prompt": "Capital of Norway?", "reference": "Oslo", "response": "Bergen"},
    {"history": [{"role": "user", "content": "Hi."}, {"role": "model", "content": "Ho."}], "prompt": "And?", "reference": "Hum."},
    {"instruction": "Name the city.", "context": "Oslo is large.", "reference": "Oslo"},
]  # fmt: skip


def test_gemini_comes_in_and_goes_out() -> None:
    """Prompts, references and conversations make the round trip; answers in the file are not taken over."""
    found = read_gemini("\n".join(map(json.dumps, GEMINI)), HEAD)
    assert found.notes == ("line 1: `response` has no counterpart and is left out",)
    assert _asked(found.set)[1] == ((("user", "Hi."), ("assistant", "Ho."), ("user", "And?")), "Hum.")
    assert found.set.samples[2].input == "Name the city.\n\nOslo is large."
    assert set_hash(read_gemini(write_gemini(found.set).text, HEAD).set) == set_hash(found.set)


@pytest.mark.parametrize("read", [read_openai, read_gemini, read_inspect])
@pytest.mark.parametrize("text", ["{", "[1]\n", "3\n", '{"x": NaN}\n', "[" * 100_000, '{"input": [{"role": "user", "content": 3}], "prompt": 3}\n'])  # fmt: skip
def test_what_is_not_of_the_format_is_refused(read: object, text: str) -> None:
    """Broken JSON, or JSON of another shape, is refused with its place, and nothing is half read."""
    assert callable(read)
    with pytest.raises(FormatError):
        read(text, HEAD)


def test_copies_in_a_foreign_file_are_refused_as_in_ours() -> None:
    """A line that asks what another line asked, for another answer, is a contradiction in any format."""
    line = {"input": "Capital?", "ideal": "Oslo"}
    with pytest.raises(PolicyError, match="imported:3:1: `openai-2` asks the same as `openai-1`"):
        read_openai(f"{json.dumps(line)}\n{json.dumps({**line, 'ideal': 'Bergen'})}\n", HEAD)
