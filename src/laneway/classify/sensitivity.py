"""Sensitivity: personal and payment identifiers in a request's text, by place and kind.

Owns which numbers count and where a number may begin and end. Dates and check digits keep order numbers
from passing for people. Nothing here keeps or shows a number, nor a name that the client made up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from stdnum import iban, luhn, numdb
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.exceptions import ValidationError
from stdnum.fi import hetu
from stdnum.no import fodselsnummer
from stdnum.se import personnummer

from laneway.request import strings

__all__ = ["KINDS", "identifiers"]

_MOST = 8
"""Places named for each kind: enough to find them all, few enough for the record."""

# What may stand between digits in JSON text: up to three signs, or line breaks and signs still escaped.
_BETWEEN = r'(?:\\{1,4}(?:u[0-9A-Fa-f]{4}|[nrt])|[^\w"]){0,3}+'
_MAYBE = re.compile(rf"\d(?:(?:{_BETWEEN}\d){{8}}|\d{{5}}[A-FU-Ya-fu-y]\d{{3}})")

_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]"
)
_DASH = re.compile("[\u02d7\u2010-\u2015\u2043\u2212\ufe58\ufe63]")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")

# A number starts where no letter or digit touches it, or after a line break escaped twice (JSON in JSON).
_START = r"(?:(?<![^\W_])(?<!\d-)|(?<=\\[nrt]))"
_END = r"(?![^\W_])(?!-\d)"


def _personnummer(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    day = int(digits[-6:-4])
    # The day of a coordination number (samordningsnummer) is raised by 60, which stdnum does not know.
    date = f"{digits[:-6]}{day - 60 if day > 60 else day:02d}"
    personnummer.get_birth_date(f"{date}{'+' if '+' in text else '-'}{digits[-4:]}")
    return luhn.is_valid(digits[-10:])


def _cpr(text: str) -> bool:
    # Numbers given out since 2007 need not meet the checksum: the hyphen then has to vouch for them.
    return cpr.is_valid(text) and ("-" in text or cpr.checksum(re.sub(r"\D", "", text)) == 0)


def _hetu(text: str) -> bool:
    return hetu.is_valid(text, allow_temporary=True)


def _card(text: str) -> bool:
    return luhn.is_valid(re.sub(r"\D", "", text))


def _iban(text: str) -> bool:
    # The shape runs on into the words that follow: the country's length says where the number ends.
    at = [i for i, c in enumerate(text) if c.isalnum()]
    length = _iban_length(text[:2].upper())
    if not 0 < length <= len(at) or (length < len(at) and at[length] == at[length - 1] + 1):
        return False
    return iban.is_valid(text[: at[length - 1] + 1], check_country=False)


@lru_cache
def _iban_length(country: str) -> int:
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    return 4 + sum(int(n) for n in re.findall(r"\d+", structure)) if structure else 0


def _shape(pattern: str, end: str = _END) -> re.Pattern[str]:
    # A lookahead consumes nothing, so that a number may follow right after a look-alike.
    return re.compile(rf"{_START}(?=({pattern}){end})", re.ASCII)


_CHECKS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "se.personnummer": (_shape(r"(?:18|19|20)?\d{6}\s?[-+]?\s?\d{4}"), _personnummer),
    "no.fodselsnummer": (_shape(r"\d{6}[\s-]?\d{5}"), fodselsnummer.is_valid),
    "dk.cpr": (_shape(r"\d{6}\s?-?\s?\d{4}"), _cpr),
    "fi.hetu": (_shape(r"\d{6}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]"), _hetu),
    "de.idnr": (_shape(r"[1-9]\d([\s./-]?)\d{3}\2\d{3}\2\d{3}"), idnr.is_valid),
    "iban": (_shape(r"[A-Za-z]{2}\d\d(?:[\s-]?[A-Za-z0-9]){11,32}", end=""), _iban),
    # The groups that are printed on cards. Of the 2xxx only 22xx-27xx are issued: 2024 2025 2026 are years.
    "card": (
        _shape(
            r"(?:2[2-7]\d\d|[3-6]\d{3})"
            r"(?:\d{9,15}|([\s-])(?:\d{4}\2\d{4}\2\d{1,4}(?:\2\d{1,3})?|\d{6}\2\d{4,5}))"
        ),
        _card,
    ),
}

KINDS = tuple(_CHECKS)


def identifiers(canonical: str, body: object) -> tuple[tuple[str, str], ...]:
    """(place, kind) of the identifiers in `body`, whose compact JSON text is `canonical`."""
    if not _MAYBE.search(canonical):
        return ()
    found: dict[tuple[str, str], None] = {}
    left = dict.fromkeys(KINDS, _MOST)
    for place, text in strings(body):
        if len(text) < 9:
            continue
        for kind in _kinds(_plain(text), [kind for kind in KINDS if left[kind]]):
            found[_public(place), kind] = None
            left[kind] -= 1
    return tuple(found)


def _kinds(text: str, wanted: list[str]) -> Iterator[str]:
    if not _MAYBE.search(text):
        return
    for kind in wanted:
        shape, check = _CHECKS[kind]
        if any(_passes(check, match[1]) for match in shape.finditer(text)):
            yield kind


def _passes(check: Callable[[str], bool], text: str) -> bool:
    try:
        return check(text)
    except ValidationError:
        return False


def _plain(text: str) -> str:
    """`text` with look-alikes of digits, spaces and hyphens replaced, and what cannot be seen removed."""
    if "\\u" in text:
        text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), _DASH.sub("-", text))


_KNOWN_KEYS = (
    "messages|content|text|refusal|role|name|tool_calls|tool_call_id|function_call|function|arguments|id|type|custom"
    "|input|tools|functions|description|parameters|metadata|user|stop|prediction|response_format|json_schema|schema"
    "|system|instructions|model|file|filename|file_data|image_url|input_audio|data"
)
_PUBLIC = re.compile(rf"(?:(?:^|\.)(?:{_KNOWN_KEYS})(?:\[\d+\])*(?![\w-]))*")


def _public(place: str) -> str:
    """`place` up to the first key that a client made up: such a key is content."""
    known = _PUBLIC.match(place)
    kept = known[0] if known else ""
    return kept if kept == place else f"{kept}…" if kept else "request"
