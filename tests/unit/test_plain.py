"""Plain text: what is seen of each character, in every reading, in short steps."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.classify.plain import DIGITS, ORDINARY, each, readings

PLANES = [chr(code) for code in (*range(0x20000), *range(0xE0000, 0xE1000)) if not 0xD800 <= code < 0xE000]


def _seen(text: str) -> str:
    return next(readings(text))


def test_ordinary_characters_are_seen_and_are_no_digits() -> None:
    """A text of them and of ASCII needs no closer look than one of ASCII alone."""
    for char in re.findall(f"[{ORDINARY}]", "".join(PLANES)):
        seen = _seen(char)
        assert seen, ascii(char)
        assert not re.search(r"\d", seen), ascii(char)


def test_every_character_that_holds_a_digit_is_known() -> None:
    """The count of a text's digits misses none."""
    known = re.compile(f"[{DIGITS}]")
    for char in PLANES:
        assert known.match(char) or not re.search("[0-9]", _seen(char)), ascii(char)


def test_nothing_invisible_is_seen() -> None:
    """Of all that joins, marks, controls or fills, only line breaks and tabs are left."""
    for char in PLANES:
        if unicodedata.category(char) in ("Cf", "Mn", "Me", "Cc", "Cn"):
            assert _seen(char) in ("", "\n", "\r", "\t", " "), ascii(char)
    assert _seen("a\tb\x00c\r\nd\u2028e\x0cf\u3164g") == "a bc\n\nd\ne\nfg"


@given(st.text())
def test_reading_never_fails_and_never_grows_much(text: str) -> None:
    """Any text has a reading, of at most four characters for each of its own."""
    for reading in readings(text):
        assert len(reading) <= 4 * len(text)


@pytest.mark.parametrize("text", ["50 % of 100", "R&D &c; &amp", "C:\\dir\\", "a\\", "%", "&#", "&#99999999;", "\\u12"])
def test_a_text_without_escapes_has_one_reading(text: str) -> None:
    """Signs that begin no escape stand for themselves."""
    assert list(readings(text)) == [text]


def test_escapes_have_a_second_reading() -> None:
    """As it stands, since it may be no escape, and as it is meant."""
    assert list(readings("a%2Db")) == ["a%2Db", "a-b"]
    assert list(readings("a\\\\nb")) == ["a\\\\nb", "a\nb"]


@given(st.lists(st.sampled_from(["12", "x" * 997, "12" * 9_000, "y" * 16_384]), max_size=8))
def test_short_steps_find_what_one_long_step_finds(pieces: list[str]) -> None:
    """A match is found once, wherever the steps meet."""
    text = "".join(pieces)
    pattern = re.compile("1(?=2)|(?<=1)2+x?")
    assert [m.span() for m in each(pattern, text)] == [m.span() for m in pattern.finditer(text)]
