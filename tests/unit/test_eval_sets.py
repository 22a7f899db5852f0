"""The evaluation sets of the policy packs: enough samples, in enough languages, each with an answer that is right."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from laneway.classify.sensitivity import identifiers
from laneway.evidence.sets import read_set
from laneway.policy_file import parse

POLICIES = Path(__file__).resolve().parents[2] / "policies"
PACKS = ("ai-assisted-development", "contract-review", "medical-evidence")
LANGUAGES = {"en", "sv", "no", "da", "fi", "de"}


def _loaded(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))


SETS = {path: _loaded(path) for pack in PACKS for path in sorted((POLICIES / pack / "evals").glob("*.yaml"))}
SOLUTIONS = _loaded(Path(__file__).with_name("eval_solutions.yaml"))


class Case(NamedTuple):
    """One sample with one of its scorers."""

    set: str
    id: str
    input: str
    expected: Any
    options: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.set}/{self.id}"


def _cases(kind: str) -> Iterator[Case]:
    for whole in SETS.values():
        for sample in whole["samples"]:
            for scorer in sample.get("scorers", whole.get("scorers")):
                if kind in scorer:
                    yield Case(whole["name"], sample["id"], sample["input"], sample.get("expected"), scorer[kind])


def each(kind: str) -> pytest.MarkDecorator:
    """Run the test for every sample that the scorer grades."""
    return pytest.mark.parametrize("case", [*_cases(kind)], ids=str)


def _texts(value: Any) -> Iterator[str]:
    """Every text and number within `value`, as text."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    else:
        yield str(value)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _shown(text: str) -> str | None:
    """The Python block of an input, or None."""
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    return block[1] if block else None


def _run(code: str) -> str:
    """What the code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "sample", "exec"), {"__name__": "sample"})
    return printed.getvalue()


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_has_sixty_samples_a_third_of_them_not_in_english(pack: str) -> None:
    """Each pack has at least 60 samples, in all six languages, a third or more not in English."""
    samples = [sample for path, whole in SETS.items() if pack in path.parts for sample in whole["samples"]]
    assert len(samples) >= 60
    assert {sample["language"] for sample in samples} == LANGUAGES
    assert 3 * sum(sample["language"] != "en" for sample in samples) >= len(samples)


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_a_set_fits_its_pack(path: Path) -> None:
    """A set names a workload of its pack, a class not below the workload's, and a prompt that is there."""
    whole, policy = SETS[path], _loaded(path.parents[1] / "laneway.yaml")
    assert whole["evaluation"] == 1
    assert whole["name"] == path.stem
    floor = policy["workloads"][whole["workload"]].get("sensitivity", whole["sensitivity"])
    order = policy["sensitivity"]
    assert order.index(whole["sensitivity"]) >= order.index(floor)
    assert (path.parent / whole["prompt"]).read_text("utf-8").strip()


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_samples_are_told_apart_and_sorted(path: Path) -> None:
    """No id and no input occurs twice; the id begins with the language and the tag says how hard it is."""
    samples = SETS[path]["samples"]
    assert len({sample["id"] for sample in samples}) == len(samples)
    assert len({_plain(sample["input"]) for sample in samples}) == len(samples)
    for sample in samples:
        assert sample["id"].startswith(f"{sample['language']}-")
        assert sample["tags"] in (["easy"], ["hard"])


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_nothing_in_a_set_passes_for_an_identifier(path: Path) -> None:
    """No text of a set holds a personal number, an IBAN or a card number."""
    texts = [path.read_text("utf-8"), *_texts(SETS[path])]
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    assert not identifiers(json.dumps(body, ensure_ascii=False, separators=(",", ":")), body)


@each("set")
def test_labels_are_in_the_vocabulary(case: Case) -> None:
    """Expected labels are in the vocabulary, each once."""
    assert len(set(case.expected)) == len(case.expected)
    assert set(case.expected) <= set(case.options["of"])


@pytest.mark.parametrize("name", ["risk-flags", "contraindications"])
def test_every_label_is_expected_somewhere_and_explained(name: str) -> None:
    """Every label is expected by some sample and named in the prompt, and some samples expect none."""
    (path,) = (path for path in SETS if path.stem == name)
    cases = [case for case in _cases("set") if case.set == name]
    prompt = (path.parent / SETS[path]["prompt"]).read_text("utf-8")
    assert {label for case in cases for label in case.expected} == set(cases[0].options["of"])
    assert all(label in prompt for label in cases[0].options["of"])
    assert any(case.expected == [] for case in cases)


@each("quote")
def test_exactly_one_sentence_holds_what_is_to_be_quoted(case: Case) -> None:
    """One sentence alone holds the passage; quoted alone it passes, and the whole text does not."""
    question, text = case.input.split("\n\n")
    sentences = re.split(r"(?<=[.!?]) ", _plain(text))
    holding = [sentence for sentence in sentences if case.expected[0] in sentence]
    assert len(case.expected) == len(holding) == 1
    assert case.expected[0] not in question
    assert not re.search(r'["“”„»«]', text), "a quotation mark would end the quotation"
    (pattern,) = (c.options["pattern"] for c in _cases("regex") if (c.set, c.id) == (case.set, case.id))
    assert re.search(pattern, f'"{holding[0]}"')
    assert not re.search(pattern, f'"{text}"'), "the whole text must not pass for one sentence"


@each("json")
def test_an_object_has_the_fields_that_its_schema_asks_for(case: Case) -> None:
    """The expected object has every field of the schema, with a value that the schema allows."""
    schema = case.options["schema"]
    assert set(case.expected) == set(schema["required"]) == set(schema["properties"])
    for field, value in case.expected.items():
        rule = schema["properties"][field]
        assert value in rule.get("enum", [value])
        assert value is None or re.search(rule.get("pattern", ""), str(value))


@each("numeric")
def test_a_number_is_one_that_every_language_writes_alike(case: Case) -> None:
    """Expected numbers have at most two decimals, so that no mark can be read as one of thousands."""
    assert isinstance(case.expected, int | float)
    assert round(case.expected, 2) == case.expected, "three decimals would read as thousands"


@each("exact")
def test_an_exact_answer_is_one_line(case: Case) -> None:
    """An exact answer is one line of text."""
    assert isinstance(case.expected, str)
    assert case.expected == _plain(case.expected)


@pytest.mark.parametrize("name", ["claims", "clause-types"])
def test_an_answer_from_a_list_is_in_the_prompt(name: str) -> None:
    """What a closed question expects is among the answers that the prompt allows."""
    (path,) = (path for path in SETS if path.stem == name)
    prompt = (path.parent / SETS[path]["prompt"]).read_text("utf-8")
    expected = {sample["expected"] for sample in SETS[path]["samples"]}
    assert len(expected) >= 3
    assert all(re.search(rf"\b{answer}\b", prompt) for answer in expected)


@pytest.mark.parametrize("case", [*_cases("exact"), *_cases("numeric")], ids=str)
def test_a_program_prints_what_is_expected(case: Case) -> None:
    """Every program that is shown prints the expected line when it is run."""
    code = _shown(case.input)
    if case.set == "reading":
        assert code
        assert _run(code) == f"{case.expected}\n"
    else:
        assert code is None


@each("code")
def test_a_solution_passes_and_the_code_as_shown_does_not(case: Case) -> None:
    """The tests of a sample let a right answer pass, and neither the code as shown nor an empty one."""
    _run(f"{SOLUTIONS[case.set][case.id]}\n{case.options['tests']}")
    shown = _shown(case.input) or "pass"
    with pytest.raises(Exception):  # noqa: B017  # whichever way it fails
        _run(f"{shown}\n{case.options['tests']}")


def test_every_solution_has_a_sample() -> None:
    """There is a solution for every sample that is scored by code, and none besides."""
    assert {(case.set, case.id) for case in _cases("code")} == {(s, i) for s, of in SOLUTIONS.items() for i in of}


@pytest.mark.parametrize("path", [*SETS], ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_a_set_is_read_as_strictly_as_any(path: Path) -> None:
    """Each set loads with every sample, whole, and names a workload of its pack."""
    found = read_set(path)
    assert len(found.samples) == len(SETS[path]["samples"])
    policy = parse((path.parent.parent / "laneway.yaml").read_text("utf-8"))
    assert found.workload in policy.workloads
