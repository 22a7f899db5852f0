"""Sensitivity: personal and payment identifiers in a request's text, by place and kind.

Owns which numbers count and where a number may begin and end. Dates and check digits keep order numbers
from passing for people. Nothing here keeps or shows a number, nor a name that the client made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from stdnum import iban, luhn, numdb
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.exceptions import InvalidChecksum, InvalidFormat, ValidationError
from stdnum.fi import hetu
from stdnum.no import fodselsnummer
from stdnum.se import personnummer

from laneway.classify.plain import DIGITS, ORDINARY, each, readings
from laneway.request import strings

__all__ = ["KINDS", "identifiers"]

_MOST = 8
"""Places named for each kind: enough to find them all, few enough for the record."""

_MOST_NEAR = 5_000
"""Different numbers that only their check digits rule out. Of numbers that nobody chose, one in ten to one in a
hundred passes by chance, and ends the search for its kind."""

_MOST_LIKELY = 400_000
"""Numbers in the form of an identifier, repeated ones included."""

# What may stand between two digits of a number in JSON text: separators, also escaped, and signs beyond ASCII.
_BETWEEN = r"(?:[ .\-/+]|[^\x00-\x7f]|\\{1,16}[-nrt./+ ]){0,3}+"

# Whether JSON text deserves a closer look: for a digit with eight more near by, a hetu or an IBAN with letters in
# between, an escape that may stand for a digit, or a character that may be one or cannot be seen.
_MAYBE = re.compile(
    rf"[^\x20-\x24\x27-\x2f\x3a-\x5b\x5d-\x7e{ORDINARY}](?<![0-9][0-9])(?:(?<=[0-9])(?:"
    rf"(?:{_BETWEEN}[0-9]){{8}}|[0-9]{{5}}[A-FU-Ya-fu-y][0-9]{{3}}"
    rf"|(?<=[A-Za-z]{{2}}[0-9])[0-9](?:{_BETWEEN}[0-9A-Za-z]){{11}})"
    r"|(?<![0-9])(?:(?<=(?<!\\)\\)\\*+[ux]|(?<=%)(?:25)*+[0-9A-Fa-f]{2}|(?<=&)(?:amp;)*+(?:#|[A-Za-z]{2,8};)"
    r"|(?<=[^\x00-\x7e])))"
)
# Where a number may run on from one part of a text into the next, which JSON text shows in pieces.
_PART = '"text":'
_SEAM = re.compile(rf'["0-9](?:(?<="){_BETWEEN}[0-9]|(?<=[0-9]){_BETWEEN}")')
_NINE_DIGITS = re.compile(rf"(?:[^{DIGITS}]*+[{DIGITS}]){{9}}")

# How many digits a card has, by its first. Of the 2xxx only 22xx-27xx are issued: 2024 2025 2026 are years.
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:2[2-7]|5[1-5])\d{14}|(?:5[0678]|6\d)\d{14,17}"
    r"|3(?:[47]\d{13}|(?:0[0-5]|[689]\d)\d{11}|5\d{14})"
)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _personnummer(text: str) -> None:
    digits = _digits(text)
    day = int(digits[-6:-4])
    # The day of a coordination number (samordningsnummer) is raised by 60, which stdnum does not know.
    date = f"{digits[:-6]}{day - 60 if day > 60 else day:02d}"
    personnummer.get_birth_date(f"{date}{'+' if '+' in text else '-'}{digits[-4:]}")
    luhn.validate(digits[-10:])


def _fodselsnummer(text: str) -> None:
    fodselsnummer.validate(_digits(text))


def _cpr(text: str) -> None:
    digits = cpr.validate(_digits(text))
    # Numbers given out since 2007 need not meet the checksum: the hyphen then has to vouch for them.
    if "-" not in text and cpr.checksum(digits):
        raise InvalidChecksum


def _hetu(text: str) -> None:
    between = text[6:-4]
    sign = between if between.isalpha() else "+" if "+" in between else "-"
    hetu.validate(f"{text[:6]}{sign}{text[-4:]}", allow_temporary=True)


def _idnr(text: str) -> None:
    digits = _digits(text)
    # One digit stands two or three times among the first ten; stdnum looks closer, and takes longer.
    if len(set(digits[:10])) not in (8, 9) or len(set(re.findall(r"\D+", text))) > 1:
        raise InvalidFormat
    idnr.validate(digits)


def _iban(text: str) -> None:
    # The shape runs on into the words that follow: the country's length says where the number ends.
    length = _iban_length(text[:2].upper())
    at = [i for i, c in enumerate(text) if c.isalnum()] if length else []
    if not 0 < length <= len(at) or text[at[length - 1] + 1 :][:1].isdigit():
        raise InvalidFormat
    iban.validate("".join(text[i] for i in at[:length]), check_country=False)


@lru_cache
def _iban_length(country: str) -> int:
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    return 4 + sum(int(n) for n in re.findall(r"\d+", structure)) if structure else 0


def _card(text: str) -> None:
    digits = _digits(text)
    # A short group behind the fourth is the card's own or its security code.
    four = "".join(re.findall(r"\d+", text)[:4])
    if not any(_ISSUED.fullmatch(number) and luhn.is_valid(number) for number in (digits, four)):
        raise InvalidChecksum if _ISSUED.fullmatch(digits) else InvalidFormat


# Between the parts of a number; the sign of a hetu and the plus of a personnummer also tell the century.
_GAP, _SIGN = r"[\s.\-/]", r"[\s.\-/+]"
_YEAR, _MONTH, _DAY = r"\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"

_NUMBERS: dict[str, tuple[str, Callable[[str], None]]] = {
    "se.personnummer": (
        rf"(?:1[89]|20)?{_YEAR}{_MONTH}(?:[06][1-9]|[1278]\d|[39][01]){_SIGN}{{0,3}}\d{{4}}",
        _personnummer,
    ),
    # The day is raised by 40 in a D-number, the month in an H-number.
    "no.fodselsnummer": (
        rf"(?:[04][1-9]|[1256]\d|[37][01])(?:[04][1-9]|[15][0-2]){_YEAR}{_GAP}{{0,3}}\d{{5}}",
        _fodselsnummer,
    ),
    "dk.cpr": (rf"{_DAY}{_MONTH}{_YEAR}{_GAP}{{0,3}}\d{{4}}", _cpr),
    "fi.hetu": (rf"{_DAY}{_MONTH}{_YEAR}(?:[A-FU-Ya-fu-y]|{_SIGN}{{1,3}})\d{{3}}[0-9A-Ya-y]", _hetu),
    "de.idnr": (rf"[1-9]\d(?:\d{{9}}|(?:{_GAP}{{1,3}}\d{{3}}){{3}})", _idnr),
    # The groups that are printed on cards. Thirteen digits in one piece are an article number (EAN).
    "card": (
        rf"(?:2[2-7]\d\d|[3-6]\d{{3}})(?:\d{{10,15}}|{_GAP}{{1,3}}(?:\d{{6}}{_GAP}{{1,3}}\d{{4,5}}"
        rf"|(?:\d{{4}}{_GAP}{{1,3}}){{2}}\d{{1,4}}(?:{_GAP}{{1,3}}\d{{1,3}})?))",
        _card,
    ),
}

# Letters may touch an IBAN in groups; one in a piece only as in `IBANSE45…`.
_IBAN = (
    rf"(?:(?<![0-9A-Za-z])|(?<=[Ii][Bb][Aa][Nn])|(?=\w{{4}}{_GAP}{{1,3}}\w{{4}}{_GAP}))"
    rf"[A-Za-z]{{2}}\d\d(?:{_GAP}{{0,3}}+[A-Za-z0-9]){{11,31}}"
)

_END = r"(?!\d)(?!-\d)"

_CHECKS = {
    **{kind: (re.compile(shape + _END, re.ASCII), check) for kind, (shape, check) in _NUMBERS.items()},
    "iban": (re.compile(_IBAN, re.ASCII), _iban),
}
KINDS = tuple(_CHECKS)

# The first digit of whatever has a shape, where no digits stand before it: one pass for all kinds.
_ANY = "|".join(shape for shape, _ in _NUMBERS.values())
_LIKELY = re.compile(
    rf"\d(?<!\d\d)(?:(?=\d{{3}}|\d[\s.\-/])(?<=(?<!\d-)(?=(?:{_ANY}){_END})\d)"
    rf"|(?<=[A-Za-z]\d)(?<=(?={_IBAN})[A-Za-z]{{2}}\d))",
    re.ASCII,
)


def identifiers(canonical: str, body: object) -> tuple[tuple[str, str], ...]:
    """(place, kind) of the identifiers in `body`, whose compact JSON text is `canonical`.

    ValueError where the text cannot be read: escapes nested too deep, or so many numbers that look like identifiers
    and are none that reading on would keep others waiting.
    """
    if not _deserves_a_look(canonical):
        return ()
    search = _Search()
    for place, text in strings(body):
        if len(text) >= 9 and _NINE_DIGITS.match(text):
            search.read(_public(place), text)
    return tuple(search.found)


def _deserves_a_look(canonical: str) -> bool:
    maybe = any(True for _ in each(_MAYBE, canonical))
    split = maybe or (canonical.count(_PART) > 1 and any(True for _ in each(_SEAM, canonical)))
    return split and _NINE_DIGITS.match(canonical) is not None


class _Search:
    """What was found in one body, and what was looked at in vain."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], None] = {}
        self._left = dict.fromkeys(KINDS, _MOST)
        self._near: set[tuple[str, str]] = set()
        self._likely = 0

    def read(self, place: str, text: str) -> None:
        """Add what `text` holds, the text at `place`."""
        wanted = [kind for kind in KINDS if self._left[kind]]
        for reading in readings(text):
            for first in each(_LIKELY, reading):
                self._likely += 1
                if self._likely > _MOST_LIKELY:
                    raise ValueError(f"more than {_MOST_LIKELY} numbers in the form of an identifier")
                for kind in [kind for kind in wanted if self._is(kind, reading, first.start())]:
                    wanted.remove(kind)
                    self._add(place, kind)

    def _add(self, place: str, kind: str) -> None:
        self._left[kind] -= 1
        # The parts of a text are read before the whole, which shall not name once more what they hold.
        if not any(kind == known and inner.startswith(place) for inner, known in self.found):
            self.found[place, kind] = None

    def _is(self, kind: str, text: str, at: int) -> bool:
        shape, check = _CHECKS[kind]
        number = shape.match(text, at - 2 if kind == "iban" else at)
        if number is None or (kind, number[0]) in self._near or not _stands_alone(number, kind):
            return False
        try:
            check(number[0])
        except InvalidChecksum:
            self._near.add((kind, number[0]))
            if len(self._near) > _MOST_NEAR:
                raise ValueError(f"more than {_MOST_NEAR} numbers that only their check digits rule out") from None
            return False
        except ValidationError:
            return False
        return True


_HEX = "0123456789ABCDEFabcdef"
_TOUCHES = re.compile(r"[0-9A-Za-z]")
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Za-z])")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


def _stands_alone(number: re.Match[str], kind: str) -> bool:
    """Whether `number` is no piece of a longer code.

    Letters may touch a card and what has separators of its own, as in `pnr811218-9876`, save in hexadecimal. Where
    they may touch an IBAN, its shape says.
    """
    if kind == "iban":
        return True
    text, start, end = number.string, *number.span()
    before, after = text[max(0, start - 35) : start], text[end : end + 35]  # a UUID in either would be another one
    if not _TOUCHES.search(before[-1:] + after[:1]):
        return True
    if number[0].isalnum() and kind != "card":
        return False
    left, right = before.rstrip(_HEX), after.lstrip(_HEX)
    rest = before[len(left) :] + after[: len(after) - len(right)]
    hexadecimal = _MIXED.match(rest) and not _TOUCHES.search(left[-1:] + right[:1])
    return not hexadecimal and not _UUID.search(before + number[0] + after)


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
