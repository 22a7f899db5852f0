"""sets: what is read, what is refused and where, and what the hash is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laneway.errors import PolicyError
from laneway.evidence.sample import EvalSet, Message, Scorer, set_hash
from laneway.evidence.sets import parse_jsonl, parse_yaml, read_set

HEAD = """\
evaluation: 1
name: risks
says: Does the lane find the risks?
workload: contract-review
sensitivity: confidential
prompt: prompts/contract-review.md
scorers: [{set: {of: [liability, penalty]}}]
samples:
"""
ONE = """\
  - id: sv-1
    language: sv
    group: liability
    tags: [short]
    sensitivity: internal
    input: |
      Ansvaret är obegränsat.
    expected: [liability]
"""
TWO = """\
  - id: en-2
    messages:
      - {role: assistant, content: Send the clause.}
      - {role: user, content: A fine of 5 per cent.}
    expected: '{"a": 1}'
    scorers: [{json: {schema: {type: object}}}, {regex: {pattern: "(?i)fine", flags: i}}]
"""


def _read(samples: str) -> EvalSet:
    return parse_yaml(HEAD + samples, "risks.yaml")


def _problems(source: str, *, lines: bool = False) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        (parse_jsonl if lines else parse_yaml)(source, "f")
    return [str(problem) for problem in caught.value.problems]


def test_a_set_is_read_into_values() -> None:
    """Every key of the format ends up in the values, with the set's scorers and class where a sample says nothing."""
    found = _read(ONE + TWO.replace("""'{"a": 1}'""", "{a: 1.5, b: [true, null, x]}"))
    assert (found.name, found.workload, found.prompt) == ("risks", "contract-review", "prompts/contract-review.md")
    one, two = found.samples
    assert (one.id, one.language, one.group, one.tags, one.sensitivity) == (
        "sv-1", "sv", "liability", ("short",), "internal",
    )  # fmt: skip
    assert one.messages == (Message("user", "Ansvaret är obegränsat.\n"),)
    assert one.scorers == (Scorer("set", {"of": ("liability", "penalty")}),)
    assert two.sensitivity == "confidential"
    assert two.expected == {"a": 1.5, "b": [True, None, "x"]}
    assert two.input == "A fine of 5 per cent."
    assert [scorer.name for scorer in two.scorers] == ["json", "regex"]


def test_facts_are_of_the_set_or_of_a_sample() -> None:
    """A sample's own facts stand in place of the set's, one by one, as texts; they decide who may see it."""
    one, two = ONE + "    facts: {matter: sealed, pages: 80}\n", TWO.replace("""'{"a": 1}'""", "{a: 1}")
    facts = "facts: {matter: ordinary, pages: 3}\n"
    found = parse_yaml(HEAD.replace("prompt:", facts + "prompt:") + one + two, "risks.yaml")
    assert [sample.facts for sample in found.samples] == [
        {"matter": "sealed", "pages": "80"}, {"matter": "ordinary", "pages": "3"},
    ]  # fmt: skip
    assert set_hash(found) != set_hash(_read(ONE + two))
    (problem,) = _problems(HEAD + ONE + "    facts: [sealed]\n")
    assert "f:17:12: `facts` must be a mapping" in problem


def test_json_lines_hold_the_same_set(tmp_path: Path) -> None:
    """A set as JSON Lines, in another order, is the same set by its hash."""
    head = {
        "evaluation": 1, "name": "risks", "says": "Same.", "workload": "contract-review",
        "sensitivity": "confidential", "scorers": [{"set": {"of": ["liability", "penalty"]}}],
    }  # fmt: skip
    one = {"id": "sv-1", "language": "sv", "group": "liability", "sensitivity": "internal",
           "input": "Ansvaret är obegränsat.\n", "expected": ["liability"]}  # fmt: skip
    two = {"id": "b", "input": "No risk\there.", "expected": []}
    path = tmp_path / "risks.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (head, two, one)) + "\n", "utf-8")
    other = _read(ONE + '  - {id: b, input: "No risk\\there.", expected: []}\n')
    assert set_hash(read_set(path)) == set_hash(other)


def test_the_hash_is_of_what_can_change_a_score() -> None:
    """A tag, a comment or an order leaves the hash; an input, an expectation, a class or a scorer's option does not."""
    plain = "  - {id: b, input: B., expected: []}\n"
    base = set_hash(_read(ONE + plain))
    assert set_hash(_read(plain + "    # a comment\n" + ONE.replace("short", "long"))) == base
    for old, new in (("obegränsat", "begränsat"), ("[liability]\n", "[penalty]\n"), ("internal", "public"),
                     ("sv-1", "sv-2"), ("language: sv", "language: da")):  # fmt: skip
        assert set_hash(_read(ONE.replace(old, new) + plain)) != base
    assert set_hash(parse_yaml(HEAD.replace("penalty]", "penalty, fine]") + ONE + plain, "f")) != base


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ("  []", "1:1: the set holds no samples"),
        (ONE + ONE, "17:5: the id `sv-1` is taken, by line 9"),
        (ONE + ONE.replace("sv-1", "b"), "`b` asks the same as `sv-1` in line 9, so it proves nothing more"),
        (ONE + ONE.replace("sv-1", "b").replace("[liability]", "[]"), "but expects something else: one of the two is"),
        (ONE.replace("language: sv", "language: se"), "10:15: unknown language `se`; known here: en, sv"),
        (ONE.replace("[liability]", "[libel]"), "16:15: `sv-1`: `expected` names `libel`, which `of` does not"),
        (ONE + "    scorers: [{exakt: {}}]\n", "17:15: unknown scorer `exakt`; did you mean `exact`?"),
        (ONE + "    scorers: [{exact: {ingore: [case]}}]\n", "unknown key `ingore` in the options of `exact`; did you"),
        (ONE + "    scorers: [{numeric: {}}]\n", "`numeric` needs `expected`: a finite number"),
        (ONE.replace("[liability]", ".nan") + "    scorers: [{numeric: {}}]\n", "`numeric` needs `expected`: a finite"),
        (ONE + "    scorers: [{numeric: {tolerance: .nan}}]\n", "expected a plain number of 0 or more"),
        (ONE + "    scorers: [{regex: {pattern: '('}}]\n", "`pattern` is not a regular expression"),
        (ONE + "    scorers: [{regex: {}}]\n", "`regex` needs `pattern`, or `not`"),
        (ONE + "    scorers: [{code: {}}]\n", "`code` needs the option `tests`"),
        (ONE + "    scorers: [{code: {tests: 'assert ('}}]\n", "`tests` is not Python: SyntaxError"),
        (ONE + "    scorers: [{code: {tests: 'assert f()', seconds: 900}}]\n", "expected 1 to 60 seconds"),
        (ONE + "    scorers: [{json: {schema: {type: 7}}}]\n", "`schema` is not a JSON Schema"),
        (ONE.replace("input: |", "input: '  '\n    says: |"), "unknown key `says` in a sample"),
        ("  - {id: a, input: ' ', expected: []}\n", "empty text"),
        ("  - {id: a, expected: []}\n", "`a` needs `input` or `messages`"),
        ("  - {id: a, expected: [], messages: [{role: assistant, content: x}]}\n", "must end with a message of the us"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(samples: str, said: str) -> None:
    """Each kind of mistake gives one problem that names it, where it stands, and what would be right."""
    source = HEAD.replace("samples:\n", "samples: []\n") if samples.strip() == "[]" else HEAD + samples
    problems = _problems(source)
    assert any(said in problem for problem in problems), problems


def test_a_set_without_scorers_is_refused() -> None:
    """A sample that names no scorers, in a set that names none, cannot be graded."""
    source = HEAD.replace("scorers: [{set: {of: [liability, penalty]}}]\n", "")
    assert "`sv-1` has no scorers" in _problems(source + ONE)[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a", "input": "x", "expected": NaN}', "f:2:1: not valid JSON: JSON has no NaN"),
        ('{"id": "a", "input": "x"', "f:2:25: not valid JSON"),
        ('{"id": "a", "id": "b", "input": "x", "expected": []}', "f:2:1: duplicate key `id` in a sample"),
        ('{"id": "a", "input": "x", "expected": ["\\ud800"]}', "an escape that gives no printable text"),
        ("[" * 100_000, "not valid JSON"),
        ('{"id": "a", "input": "x", "expected": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_json_lines_are_read_as_strictly(line: str, said: str) -> None:
    """A bad line is named by its number, and what is wrong with it."""
    head = '{"evaluation": 1, "name": "n", "says": "s", "workload": "w", "sensitivity": "c", "scorers": [{"set": {}}]}'
    problems = _problems(f"{head}\n{line}\n", lines=True)
    assert any(said in problem for problem in problems), problems


def test_an_empty_file_of_json_lines_is_refused() -> None:
    """No head, no set."""
    assert "the file is empty" in _problems("\n\n", lines=True)[0]


def test_a_missing_head_key_is_named() -> None:
    """A head without its workload is refused, by name."""
    assert any("needs `workload`" in p for p in _problems(HEAD.replace("workload: contract-review\n", "") + ONE))
