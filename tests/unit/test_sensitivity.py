"""Identifiers: found in every usual writing, never inside longer numbers, in linear time.

All numbers are published test numbers or made for this file with valid check digits.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum import iban, luhn, numdb
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.iso7064 import mod_11_10
from stdnum.no import fodselsnummer

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
    ("card", "4111 1111 1111 1111 123 09/27"),
    ("card", "4111-1111-1111-1111-123"),
    ("card", "6304 9000 1774 0292 441"),
    # Other separators, several of them, and line breaks.
    ("se.personnummer", "811218.9876"),
    ("se.personnummer", "811218/9876"),
    ("se.personnummer", "811218  9876"),
    ("se.personnummer", "811218-\n9876"),
    ("se.personnummer", "811218 -\t9876"),
    ("no.fodselsnummer", "151086-95088"),
    ("no.fodselsnummer", "151086.\n95088"),
    ("dk.cpr", "010107-\n4000"),
    ("dk.cpr", "211062/5629"),
    ("fi.hetu", "131052 -\n308T"),
    ("de.idnr", "36.574.261.809"),
    ("iban", "SE45  5000  0000  0583  9825  7466"),
    ("iban", "SE45.5000.0000.0583.9825.7466"),
    ("iban", "SE45 5000\n0000-0583/9825 - 7466"),
    ("card", "4111.1111.1111.1111"),
    ("card", "4111  1111  1111  1111"),
    ("card", "4111\n1111\n1111\n1111"),
    ("card", "4111-1111 1111/1111"),
    # Letters and signs that touch.
    ("se.personnummer", "pnr811218-9876"),
    ("se.personnummer", "811218-9876och mera"),
    ("se.personnummer", "a_811218-9876_b"),
    ("se.personnummer", "be811218-9876"),
    ("se.personnummer", "811218-9876-b2.pdf"),
    ("se.personnummer", "身份8112189876号"),
    ("se.personnummer", "pnr811218-9876 550e8400-e29b-41d4-a716-446655440000"),
    ("dk.cpr", "010107-4000-a80-b1-c22"),
    ("fi.hetu", "hetu131052-308Tja"),
    ("card", "VISA4111111111111111"),
    ("card", "cc4111111111111111"),
    ("card", "4111111111111111exp0927"),
    ("iban", "IBAN:SE4550000000058398257466"),
    ("iban", "IBANSE4550000000058398257466"),
    ("iban", "kontoSE45 5000 0000 0583 9825 7466"),
    ("iban", "SE4550000000058398257466tack"),
    # Escapes, also repeated.
    ("se.personnummer", "811218&#45;9876"),
    ("se.personnummer", "811218&#x2d;9876"),
    ("se.personnummer", "811218&amp;#45;9876"),
    ("se.personnummer", "811218&nbsp;9876"),
    ("se.personnummer", "8112&shy;18-9876"),
    ("se.personnummer", "&#56;&#49;&#49;&#50;&#49;&#56;&#45;&#57;&#56;&#55;&#54;"),
    ("se.personnummer", "id%3D811218-9876"),
    ("se.personnummer", "811218%2D9876"),
    ("se.personnummer", "811218%252D9876"),
    ("se.personnummer", "811218%E2%80%919876"),
    ("se.personnummer", "811218%AD9876"),
    ("se.personnummer", "%38%31%31%32%31%38%2d%39%38%37%36"),
    ("se.personnummer", "%2526%252345%253B811218&#45;9876"),
    ("se.personnummer", "rabatt 20%811218-9876"),
    ("se.personnummer", "C:\\u811218-9876"),
    ("se.personnummer", '{"p":"\\u0038112189876"}'),
    ("se.personnummer", "\\\\u0038\\\\u0031\\\\u0031\\\\u0032\\\\u0031\\\\u0038-9876"),
    ("se.personnummer", "8112\\udb40\\udc6118-9876"),
    ("se.personnummer", "\\ud835\\udfd612189876 och \\ud835\\udfd6112189876"),
    ("se.personnummer", "811218\\-9876"),
    ("se.personnummer", "811218\\x2d9876"),
    # Other digits.
    ("se.personnummer", "𝟖𝟏𝟏𝟐𝟏𝟖-𝟗𝟖𝟕𝟔"),
    ("se.personnummer", "⑧①①②①⑧-⑨⑧⑦⑥"),
    ("se.personnummer", "8\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e3218-9876"),
    ("se.personnummer", "811218−9876"),
    ("se.personnummer", "811218\u20009876"),
]

INVISIBLE = [
    "\u200b", "\u00ad", "\u2060", "\ufeff", "\u061c", "\u180b", "\u180e", "\u2065", "\u206a", "\u3164", "\uffa0", "\u115f",
    "\u1160", "\ufe0f", "\ufff9", "\u0301", "\u0489", "\u20e3", "\x00", "\x07", "\x1b", "\x7f", "\x9f", "\U000e0001", "\U000e0061",
    "\U000e0100", "\U000e01ef", "\U0001d173",
]  # fmt: skip

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
    "Ring 070-123 45 67, 08-123 456 78 eller +46701234567",
    "Phone (555) 010-0199, 0047 22 33 44 55, +358 40 123 4567",
    "git checkout 9e107d9d372bb6826bd81d3542a419d6811218987",
    "commit 811218987612345678901234567890123456789a",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "md5 ab4111111111111111cd1234567890ef",
    "span a34111111111111111",
    "id ab811218-9876-4b29-a716-446655440000",
    "id 550e8400-e29b-41d4-a716-8112189876ab",
    "trace 4111111111111111a3f2c1d0e5b69788",
    "pnr8112189876",
    "8112189876kr",
    "ORD8112189876",
    "ORD4222222222222",
    "INV-2024-001234 and invoice 20240115001",
    "Faktura 2024011500, OCR 1234567",
    "PO 4500012345, artikel 12345678901, order 100200300401",
    "EAN 7310865004703, 5901234123457, 4006381333931 and 4222222222222",
    "ISBN 978-3-16-148410-0, ISBN 9780306406157",
    "IMEI 356938035643809",
    "organisationsnummer 556016-0680 och 202100-5489",
    "At 2024-01-15T12:30:45.123456Z and 20240115T123045",
    "2024-01-15 12:30:45,678 INFO [12345] done in 0.123456 s",
    "240115 12:30 until 240116 09:15",
    "epoch 1705321845, in ms 1705321845123, in ns 1705321845123456789",
    "hosts 10.0.0.1, 192.168.100.200 and 255.255.255.255, port 8080",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "MAC 00:1A:2B:3C:4D:5E",
    "pi is 3.14159265358979, e is 2.718281828459045",
    "59.329323, 18.068581 and 1234.5678",
    "0.1234567890 + 999999.1234",
    "1 234 567,89 kr and 12.345.678,90 EUR",
    "3 500 + 4 200 + 5 100 = 12 800",
    "version 2024.1.15.1234 of 10.15.7.19",
    "aGVsbG8gd29ybGQgMTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
    "tracking 1Z999AA10123456784 and JD014600003828392837",
    "VIN 1HGCM82633A004352, plate ABC 123",
    "GS1 (01)09506000134352(17)201225",
    "SKU 1234-5678-9012, part 36-574-261",
    "2019/2020 2021/2022 2023/2024",
    "pages 12-34, 56-78, 90-123; 1.2.3.4.5.6.7.8.9.10",
    "SE45 is a road, and so are SE46 and E4 to the north of it all",
    "XX00 0000 0000 0000 0000 00",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
    "100%25 of %20%20 and a+b%2Bc&amp;d&lt;e&#8230;",
    "C:\\new\\table\\x86\\u2024\\report 12345.txt",
    "ticket 123456-12345, case 991332-1234 and 310231-1235",
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


@pytest.mark.parametrize("sign", INVISIBLE)
def test_what_cannot_be_seen_hides_nothing(sign: str) -> None:
    """A number with invisible characters in it, one or many, plain or escaped, is the number that is seen."""
    assert "se.personnummer" in _found(f"nr 8112{sign}18-9876")
    assert "se.personnummer" in _found("nr " + sign.join("811218-9876"))
    assert "se.personnummer" in _found(f"nr 811{sign * 5000}218{sign}9876")
    assert "se.personnummer" in _found(json.dumps(f"nr 8112{sign}18-9876"))


@pytest.mark.parametrize(
    "parts", [("Ring 811218-", "9876 nu"), ("nr 811218", "-", "9876"), tuple("811218-9876"), ("1", "811218", "9876")]
)
def test_a_number_split_over_the_parts_of_a_message_is_found(parts: tuple[str, ...]) -> None:
    """Whoever reads a message reads its text parts on, whether or not a line break stands between them."""
    content: list[dict[str, object]] = [{"type": "text", "text": part} for part in parts]
    content.insert(1, {"type": "image_url", "image_url": {"url": "data:,"}})
    assert _in({"messages": [{"role": "user", "content": content}]}) == (("messages[0].content", "se.personnummer"),)


def test_a_number_within_one_part_is_named_once() -> None:
    """What a part holds is named there, and not once more for the whole message."""
    content = [{"type": "text", "text": "nr 811218-9876"}, {"type": "text", "text": "tack 2024"}]
    body = {"messages": [{"role": "user", "content": content}]}
    assert _in(body) == (("messages[0].content[0].text", "se.personnummer"),)


_GAPS = st.text(alphabet=" .-/\n\t", min_size=1, max_size=3)
_DATES = st.dates(min_value=datetime.date(1940, 1, 1), max_value=datetime.date(1999, 12, 31))


def _number(digits: int) -> st.SearchStrategy[str]:
    return st.text(alphabet="0123456789", min_size=digits, max_size=digits)


@st.composite
def _personnummer(draw: st.DrawFn) -> str:
    day, serial = draw(_DATES), draw(_number(3))
    raised = day.day + draw(st.sampled_from([0, 60]))
    short = f"{day:%y%m}{raised:02}{serial}"
    full = draw(st.sampled_from(["", f"{day.year // 100}"])) + short + luhn.calc_check_digit(short)
    return f"{full[:-4]}{draw(st.just('') | _GAPS)}{full[-4:]}"


@st.composite
def _fodselsnummer(draw: st.DrawFn) -> str:
    day, serial = draw(_DATES), draw(st.integers(0, 499))
    start = f"{day.day + draw(st.sampled_from([0, 40])):02}{day.month + draw(st.sampled_from([0, 40])):02}{day:%y}"
    start += f"{serial:03}"
    first = fodselsnummer.calc_check_digit1(start)
    full = start + first + fodselsnummer.calc_check_digit2(start + first)
    assume(fodselsnummer.is_valid(full))
    return f"{full[:6]}{draw(st.just('') | _GAPS)}{full[6:]}"


@st.composite
def _cpr(draw: st.DrawFn) -> str:
    day, serial, gap = draw(_DATES), draw(_number(4)), draw(st.just("") | _GAPS)
    full = f"{day:%d%m%y}{serial}"
    if "-" not in gap:
        last = (-cpr.checksum(full[:9] + "0")) % 11
        assume(last < 10)
        full = f"{full[:9]}{last}"
    assume(cpr.is_valid(full))
    return f"{full[:6]}{gap}{full[6:]}"


@st.composite
def _hetu(draw: st.DrawFn) -> str:
    day, serial = draw(_DATES), f"{draw(st.integers(2, 999)):03}"
    sign = draw(st.sampled_from("YXWVU") | _GAPS)
    return f"{day:%d%m%y}{sign}{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(f'{day:%d%m%y}{serial}') % 31]}"


@st.composite
def _idnr(draw: st.DrawFn) -> str:
    ten = list(draw(st.permutations("0123456789")))
    ten[draw(st.integers(1, 9))] = ten[0]
    assume(ten[0] != "0")
    full = "".join(ten)
    full += mod_11_10.calc_check_digit(full)
    assume(idnr.is_valid(full))
    gap = draw(st.just("") | _GAPS)
    return gap.join([full[:2], full[2:5], full[5:8], full[8:]])


@st.composite
def _iban(draw: st.DrawFn) -> str:
    country = draw(
        st.sampled_from(
            ["SE", "NO", "DK", "FI", "DE", "GB", "NL", "FR", "MT", "CH", "PL", "ES", "IT", "AT", "BE", "LV", "SA"]
        )
    )
    bban = ""
    for count, kind in re.findall(r"(\d+)!([nac])", numdb.get("iban").info(country)[0][1]["bban"]):
        bban += draw(st.text({"n": "0123456789", "a": "ABCXYZ", "c": "0123456789A"}[kind], min_size=int(count),
                             max_size=int(count)))  # fmt: skip
    full = country + iban.calc_check_digits(f"{country}00{bban}") + bban
    assume(iban.is_valid(full, check_country=False))
    assume(sum(c.isdigit() for c in full) >= 9)
    gap = draw(st.just("") | _GAPS)
    return draw(st.sampled_from([str.upper, str.lower]))(gap.join(re.findall(r".{1,4}", full)))


@st.composite
def _card(draw: st.DrawFn) -> str:
    start, length, groups = draw(st.sampled_from([
        ("4", 16, (4, 4, 4, 4)), ("4", 13, (4, 4, 4, 1)), ("4", 19, (4, 4, 4, 4, 3)), ("51", 16, (4, 4, 4, 4)),
        ("55", 16, (4, 4, 4, 4)), ("2221", 16, (4, 4, 4, 4)), ("2720", 16, (4, 4, 4, 4)), ("6011", 16, (4, 4, 4, 4)),
        ("65", 16, (4, 4, 4, 4)), ("62", 19, (4, 4, 4, 4, 3)), ("3528", 16, (4, 4, 4, 4)), ("5018", 16, (4, 4, 4, 4)),
        ("34", 15, (4, 6, 5)), ("37", 15, (4, 6, 5)), ("36", 14, (4, 6, 4)), ("300", 14, (4, 6, 4)),
    ]))  # fmt: skip
    full = start + draw(_number(length - len(start) - 1))
    full += luhn.calc_check_digit(full)
    if length > 13 and draw(st.booleans()):
        return full
    ends = list(itertools.accumulate(groups))
    return "".join(full[end - size : end] + draw(_GAPS) for size, end in zip(groups, ends, strict=True)).strip(
        " .-/\n\t"
    )


NUMBERS = {
    "se.personnummer": _personnummer(),
    "no.fodselsnummer": _fodselsnummer(),
    "dk.cpr": _cpr(),
    "fi.hetu": _hetu(),
    "de.idnr": _idnr(),
    "iban": _iban(),
    "card": _card(),
}
_AROUND = st.text(alphabet="abåж中 .,:;(\"'\n_%&#\\😀\u200b\u0301", max_size=20)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_valid_number_is_found_in_any_text(kind: str, data: st.DataObject) -> None:
    """However it is grouped, whatever invisible stands in it, and whatever stands around it without extending it."""
    number = data.draw(NUMBERS[kind])
    for place in data.draw(st.lists(st.integers(0, len(number)), max_size=6)):
        number = number[:place] + data.draw(st.sampled_from(INVISIBLE)) + number[place:]
    before, after = data.draw(_AROUND), data.draw(_AROUND)
    assert kind in _found(f"{before} {number}" if data.draw(st.booleans()) else f"{before}({number};{after}")


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_valid_number_is_found_through_escapes(kind: str, data: st.DataObject) -> None:
    """In JSON in JSON, in a URL and in HTML, and in each of them within another."""
    text = f"nr {data.draw(NUMBERS[kind])}, tack"
    ways: list[Callable[[str], str]] = [
        json.dumps,
        quote,
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: "".join(f"&#{ord(c)};" for c in text),
        lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    ]
    for way in data.draw(st.lists(st.sampled_from(ways), max_size=3)):
        text = way(text)
    assert kind in _found(text)


@given(st.text())
def test_no_text_breaks_the_detector(text: str) -> None:
    """Any text gets an answer, and only of the known kinds."""
    assert _found(text) <= set(KINDS)


@given(st.text(alphabet="0123456789 -+.AaSEé\u00a0\\nu–", max_size=60))
def test_no_number_breaks_the_detector(text: str) -> None:
    """Any run of digits, separators and letters gets an answer."""
    assert _found(text) <= set(KINDS)
