"""Difficulty: short chores are routine, reasoning is hard, and every point has a name."""

from __future__ import annotations

import msgspec
import pytest

from laneway.classify.difficulty import HARD_AT, estimate
from laneway.request import Request


def _ask(text: str, **extra: object) -> Request:
    body: dict[str, object] = {"messages": [{"role": "user", "content": text}]}
    return Request(model="auto", labels={}, body=body, canonical=msgspec.json.encode(body).decode(), **extra)  # type: ignore[arg-type]  # keyword pass-through


ROUTINE = [
    "Summarise this email in two sentences.",
    "Summarize the meeting notes below.",
    "Write a commit message for this diff:\n```diff\n-a\n+b\n```",
    "Translate to Swedish: prove your identity at the counter.",
    "Rewrite this paragraph in a friendlier tone.",
    "Fix the grammar: he go to school.",
    "What is the notice period in this clause? 'Either party may terminate on 30 days notice.'",
    "Rename the variable in this snippet:\n```py\nx = 1\n```",
    "What is the capital of Norway?",
    "Give me a regex for a Swedish postcode.",
    "Sammanfatta mötet i tre punkter.",
    "Översätt till engelska: Hej, hur mår du?",
    "Skriv om texten så att den blir kortare.",
    "Skriv en dikt om hösten i Stockholm.",
    "Oppsummer denne e-posten i to setninger.",
    "Oversett til engelsk: takk for sist.",
    "Opsummer referatet i tre punkter.",
    "Oversæt til engelsk: tak for sidst.",
    "Tiivistä tämä viesti yhteen lauseeseen.",
    "Käännä englanniksi: hyvää huomenta.",
    "Fasse diese E-Mail in zwei Sätzen zusammen.",
    "Übersetze ins Englische: Guten Morgen.",
]

HARD = [
    "Prove that there are infinitely many primes.",
    "Compare these two indemnity clauses and reason step by step which exposes us more.",
    "Find the race condition in this code:\n```go\ngo f()\n```\nand explain the root cause.",
    "Derive the variance of this estimator.",
    "What are the trade-offs between a queue and a cron job here?",
    "Analyse the liability cap and justify whether we should accept it.",
    "Debug this:\n```py\nwhile True: pass\n```",
    "Bevisa att roten ur två är irrationell.",
    "Jämför klausulerna och motivera vilken som är sämst för oss.",
    "Resonera steg för steg om vilken part som bär risken.",
    "Gör en avvägning mellan kostnad och risk.",
    "Bevis at summen er et partall.",
    "Sammenlign de to klausulene og begrunn hvilken som er strengest.",
    "Forklar trin for trin hvorfor beregningen fejler.",
    "Sammenlign tilbuddene og begrund dit valg.",
    "Todista, että luku on irrationaalinen.",
    "Vertaile ehtoja ja perustele, kumpi on meille parempi.",
    "Selitä vaihe vaiheelta, miksi laskelma on väärin.",
    "Beweise, dass die Reihe konvergiert.",
    "Vergleiche die beiden Klauseln und begründe deine Wahl.",
    "Erkläre Schritt für Schritt, wer das Risiko trägt.",
]


@pytest.mark.parametrize("text", ROUTINE)
def test_chores_are_routine(text: str) -> None:
    """A summary, a translation, a commit message or one clause is routine in every language."""
    assert estimate(_ask(text))[0] == "routine", estimate(_ask(text))


@pytest.mark.parametrize("text", HARD)
def test_reasoning_is_hard(text: str) -> None:
    """A proof, a comparison with reasons or a search for a cause is hard in every language."""
    assert estimate(_ask(text))[0] == "hard", estimate(_ask(text))


@pytest.mark.parametrize("text", ROUTINE + HARD)
def test_the_points_named_are_the_points_counted(text: str) -> None:
    """The evidence adds up to the answer."""
    difficulty, evidence = estimate(_ask(text))
    assert (sum(int(entry.value) for entry in evidence) >= HARD_AT) == (difficulty == "hard")
    assert all(entry.signal == "difficulty" and entry.kind for entry in evidence)


def test_evidence_names_the_contributor_and_never_the_text() -> None:
    """A reasoning word is reported as a kind at a place."""
    (entry,) = estimate(_ask("Prove that CANARY holds."))[1]
    assert (entry.place, entry.kind, entry.value) == ("messages[0].content", "proof", "+2")


def test_length_tools_and_files_each_add_a_point() -> None:
    """What surrounds the message counts too, by name."""
    difficulty, evidence = estimate(
        _ask(
            "Go on. " + "word " * 6_000,
            tools=("f",),
            unreadable=("messages[0].content[0]", "messages[0].content[1]"),
        )
    )
    assert difficulty == "hard"
    assert {entry.kind for entry in evidence} == {"long-input", "tools", "several-files"}


def test_many_messages_and_several_questions_make_a_hard_conversation() -> None:
    """A long conversation that ends in several questions is hard."""
    body: dict[str, object] = {"messages": [{"role": "user", "content": "Who? When? Why?"}] * 12}
    difficulty, evidence = estimate(Request(model="auto", labels={}, body=body, canonical="{}"))
    assert (difficulty, {e.kind for e in evidence}) == ("hard", {"many-messages", "several-questions"})


def test_only_the_last_user_message_is_judged() -> None:
    """What was hard before does not make a thank-you hard."""
    said = [("user", "Prove that 1 < 2."), ("assistant", "step by step, …"), ("user", "Thanks!")]
    body: dict[str, object] = {"messages": [{"role": role, "content": text} for role, text in said]}
    assert estimate(Request(model="auto", labels={}, body=body, canonical="{}"))[0] == "routine"


def test_the_end_of_a_long_message_is_read() -> None:
    """An instruction after a pasted text counts, wherever the text ends."""
    assert estimate(_ask("word " * 50_000 + "Now prove that it is so."))[0] == "hard"


@pytest.mark.parametrize("messages", [None, "x", [1], [{"role": "user", "content": [None]}]])
def test_an_estimate_that_fails_is_hard(messages: object) -> None:
    """What cannot be estimated is hard, and says that the estimate failed."""
    difficulty, (entry,) = estimate(Request(model="auto", labels={}, body={"messages": messages}, canonical="{}"))
    assert (difficulty, entry.kind) == ("hard", "failed")


def test_text_parts_are_read() -> None:
    """A message in parts is judged by its text parts."""
    parts = [{"type": "text", "text": "Prove that it holds."}, {"type": "image_url", "image_url": {}}]
    body: dict[str, object] = {"messages": [{"role": "user", "content": parts}]}
    assert estimate(Request(model="auto", labels={}, body=body, canonical="{}"))[0] == "hard"
