"""Contract: each part of a workload's output is broken by what breaks it, and by nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.answer import Answer
from laneway.contract import broken
from laneway.gate import failing
from laneway.policy import Gate, Output
from laneway.request import Request

SWEDISH = "Avtalet gäller från den första januari och löper tills någon av parterna säger upp det."
ENGLISH = "The agreement is in force from the first of January until one of the parties gives notice of its end."
FRENCH = "Le contrat est en vigueur depuis le premier janvier et dure jusqu'à ce que l'une des parties y mette fin."
SCHEMA: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("output", "answer", "parts"),
    [
        (Output(language="sv"), SWEDISH, ()),
        (Output(language="sv"), ENGLISH, ("language",)),
        (Output(language="en"), SWEDISH, ("language",)),
        (Output(language="sv"), FRENCH, ()),
        (Output(language="sv"), "OK", ()),
        (Output(language="sv"), f"{ENGLISH} {SWEDISH}", ()),
        (Output(language="sv"), json.dumps({"what was asked for by the client and by you": SWEDISH}), ()),
        (Output(language="sv"), json.dumps({"svar": [{"text": ENGLISH}]}), ("language",)),
        (Output(format="json"), '{"a": [1]}', ()),
        (Output(format="json"), "[]", ()),
        (Output(format="json"), "```json\n{}\n```", ("format",)),
        (Output(format="json"), '{"a": NaN}', ("format",)),
        (Output(format="json"), "[" * 100_000, ("format",)),
        (Output(format="json"), "", ("format",)),
        (Output(format="text"), "Yes, 7.", ()),
        (Output(format="text"), "7", ()),
        (Output(format="text"), '{"a": 1}', ("format",)),
        (Output(format="text"), "[1]", ("format",)),
        (Output(format="json", schema=SCHEMA), '{"n": 1}', ()),
        (Output(format="json", schema=SCHEMA), '{"n": "1"}', ("schema",)),
        (Output(format="json", schema=SCHEMA), "no", ("format",)),
        (Output(most_chars=3), "åäö", ()),
        (Output(most_chars=3), "åäö.", ("most_chars",)),
        (Output(language="sv", format="json", most_chars=9), ENGLISH, ("language", "format", "most_chars")),
    ],
)
def test_an_answer_breaks_the_parts_that_it_does_not_keep(output: Output, answer: str, parts: tuple[str, ...]) -> None:
    """Every part that is broken is named, in the contract's order."""
    assert broken(output, answer, ()) == parts


def test_a_call_of_a_tool_breaks_nothing() -> None:
    """An answer that calls a tool is on its way to one, whatever it says meanwhile."""
    assert broken(Output(language="sv", format="json", most_chars=1), ENGLISH, (("f", "{}"),)) == ()


@given(st.text(max_size=60), st.sampled_from(["sv", None]), st.sampled_from(["json", "text", None]), st.integers(1, 30))
def test_any_answer_is_judged(text: str, language: str | None, form: Any, most: int) -> None:
    """No answer raises, and only parts that the contract has are named."""
    parts = broken(Output(language=language, format=form, most_chars=most), text, ())
    assert set(parts) <= {"language", "format", "most_chars"}
    assert ("most_chars" in parts) is (len(text) > most)


def test_the_gate_checks_the_contract_of_the_requests_workload() -> None:
    """The check fails where there is a contract, it is listed and broken; a refusal is for the check of refusals."""
    request = Request(model="auto", labels={}, body={}, canonical="{}")
    gate, output, said = Gate(checks=("contract",)), Output(language="sv"), Answer(text=ENGLISH, finish="stop")
    assert failing(gate, request, said, output) == ("contract",)
    assert failing(gate, request, said) == ()
    assert failing(Gate(checks=("empty",)), request, said, output) == ()
    assert failing(gate, request, Answer(text=ENGLISH, refusal=True), output) == ()
