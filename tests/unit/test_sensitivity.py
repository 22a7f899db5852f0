"""Identifiers: found in every usual writing, never inside longer numbers, in linear time.

All numbers are published test numbers or made for this file with valid check digits.
"""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.classify.sensitivity import KINDS, identifiers


def _found(text: str) -> set[str]:
    return {kind for _, kind in _in({"messages": [{"role": "user", "content": text}]})}


def _in(body: object) -> tuple[tuple[str, str], ...]:
    return identifiers(msgspec.json.encode(body).decode(), body)


FOUND = [
    ("se.personnummer", "Kunden har 880320-0016 i registret."),
    ("se.personnummer", "8803200016"),
    ("se.personnummer", "Född 198803200016, bor i Lund"),
    ("se.personnummer", "19880320-0016"),
    ("se.personnummer", "Hon fyllde hundra: 121212+1212"),
    ("se.personnummer", "kl 12 121212-1212 ringde hon"),
    ("se.personnummer", "samordningsnummer 701063-2391"),
    ("se.personnummer", "(121212-1212)"),
    ("se.personnummer", "patient_121212-1212.pdf"),
    ("se.personnummer", "pnr:121212-1212, tack"),
    ("se.personnummer", "１２１２１２-１２１２"),
    ("se.personnummer", "121212–1212 med tankstreck"),
    ("se.personnummer", "121212\u2011\u200b1212 med osynliga tecken"),
    ("se.personnummer", "12\u00ad1212-1212"),
    ("se.personnummer", "121212\n1212"),
    ("se.personnummer", "١٢١٢١٢-١٢١٢"),
    ("no.fodselsnummer", "Fødselsnummeret er 15108695088."),
    ("no.fodselsnummer", "151086 95088"),
    ("no.fodselsnummer", "151086\u00a095088"),
    ("no.fodselsnummer", "D-nummer 55108650043"),
    ("dk.cpr", "CPR 211062-5629"),
    ("dk.cpr", "Født i 2007: 010107-4000"),
    ("dk.cpr", "2110625629 uden bindestreg"),
    ("fi.hetu", "henkilötunnus 131052-308T"),
    ("fi.hetu", "131052A308T"),
    ("fi.hetu", "uusi merkki 131052Y308T"),
    ("fi.hetu", "väliaikainen 010101-900R"),
    ("de.idnr", "Steuer-ID 36574261809"),
    ("de.idnr", "36 574 261 809"),
    ("iban", "Betala till SE45 5000 0000 0583 9825 7466 senast fredag."),
    ("iban", "GB82WEST12345698765432"),
    ("iban", "de89 3704 0044 0532 0130 00"),
    ("iban", "NO93\u00a08601\u00a01117\u00a0947"),
    ("iban", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
    ("card", "Charge 4111 1111 1111 1111 exp 09/27"),
    ("card", "4111111111111111"),
    ("card", "5555-5555-5555-4444"),
    ("card", "Amex 3782 822463 10005 please"),
    ("card", "kl 1200 4111 1111 1111 1111"),
    ("card", "Order 5500 4111 1111 1111 1111"),
]

CLEAN = [
    "Skriv en dikt om hösten i Stockholm.",
    "Beställning 202401-1234 skickades i går.",
    "Kunden har 880320-0018 i registret.",
    "9121212-12129",
    "121212-12123",
    "x8803200016",
    "8803200016x",
    "00121212-1212-1212",
    "4111111111111112",
    "94111111111111111111",
    "År 2019 2020 2021 2022 2023 2024 2025",
    "SE46 5000 0000 0583 9825 7466",
    "SE45 5000 0000 0583 9825 74661",
    "XX45 5000 0000 0583 9825 7466",
    "1510869508",
    "15108695087",
    "36 574 261 808",
    "36 574261 809",
    "999999-1234",
    "Convert 1234567890 seconds to years.",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "2024-01-01 12:00:00,123",
    "Call +46 70 123 45 67 or +44 20 7946 0958",
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_an_identifier_is_found(kind: str, text: str) -> None:
    """Every kind is found in the ways in which people write it."""
    assert kind in _found(text)


@pytest.mark.parametrize("text", CLEAN)
def test_other_numbers_are_left_alone(text: str) -> None:
    """Order numbers, years, broken check digits and parts of longer numbers are no identifiers."""
    assert _found(text) == set()


def test_places_are_named_in_order_and_once() -> None:
    """Each place and kind is named once, in the order of the body."""
    text = "121212-1212 and 880320-0016, card 4111111111111111"
    body = {
        "messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": text}],
        "user": "8803200016",
    }
    assert _in(body) == (
        ("messages[1].content", "se.personnummer"),
        ("messages[1].content", "dk.cpr"),
        ("messages[1].content", "card"),
        ("user", "se.personnummer"),
    )


def test_identifiers_in_tool_arguments_are_found() -> None:
    """JSON inside JSON hides nothing, whichever way its writer escaped line breaks and dashes."""
    for text in ("\n121212-1212\n", "121212–1212", "\u00a0121212-1212"):
        arguments = json.dumps({"note": text})
        body = {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": arguments}}]}]}
        assert ("messages[0].tool_calls[0].function.arguments", "se.personnummer") in _in(body)


def test_a_place_never_shows_a_key_that_the_client_made_up() -> None:
    """A place stops at the first key that is not the wire's own: such a key may itself be personal."""
    body = {"tools": [{"function": {"parameters": {"properties": {"121212-1212": {"default": "880320-0016"}}}}}]}
    assert {place for place, _ in _in(body)} == {"tools[0].function.parameters…"}
    assert {place for place, _ in _in({"880320-0016": "x"})} == {"request"}


def test_the_number_of_places_is_bounded() -> None:
    """A body full of identifiers names a few places of each kind, and still every kind."""
    texts = [{"role": "user", "content": "8803200016"}] * 100 + [{"role": "user", "content": "4111111111111111"}]
    kinds = [kind for _, kind in _in({"messages": texts})]
    assert kinds.count("se.personnummer") == 8
    assert kinds.count("card") == 1


@given(st.text(alphabet="abcåäö .,;\n", max_size=40), st.text(alphabet="abcåäö .,;\n", max_size=40))
def test_surrounding_words_hide_nothing(before: str, after: str) -> None:
    """Whatever words and line breaks stand around a number, it is found."""
    assert "se.personnummer" in _found(f"{before} 121212-1212 {after}")


@given(st.text())
def test_no_text_breaks_the_detector(text: str) -> None:
    """Any text gets an answer, and only of the known kinds."""
    assert _found(text) <= set(KINDS)


@given(st.text(alphabet="0123456789 -+.AaSEé\u00a0\\nu–", max_size=60))
def test_no_number_breaks_the_detector(text: str) -> None:
    """Any run of digits, separators and letters gets an answer."""
    assert _found(text) <= set(KINDS)


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1 ",
        "1-1-",
        "AA11 ",
        "SE45 5000 0000 0583 9825 7467 ",
        "4111 ",
        "121212 ",
        "1\\",
        "１",
        "12345678x",
        "36 ",
    ],
)
def test_the_time_grows_with_the_size_only(unit: str) -> None:
    """Twice as hostile a text takes about twice as long."""

    def took(size: int) -> float:
        body = {"messages": [{"role": "user", "content": (unit * size)[:size]}]}
        canonical = msgspec.json.encode(body).decode()
        start = time.process_time()
        identifiers(canonical, body)
        return time.process_time() - start

    half, whole = min(took(500_000) for _ in range(2)), min(took(1_000_000) for _ in range(2))
    assert whole < 3.5 * max(half, 0.05)
