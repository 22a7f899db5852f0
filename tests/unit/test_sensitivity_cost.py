"""What a scan may cost: time in proportion to the text, and a text made to exceed it is not taken for read.

All numbers are made for this file.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from stdnum import luhn

from laneway.classify.sensitivity import identifiers


def _scan(content: object) -> None:
    body = {"messages": [{"role": "user", "content": content}]}
    identifiers(msgspec.json.encode(body).decode(), body)


def _unread(text: str) -> bool:
    try:
        _scan(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "unit",
    [
        "811218-9877 ",
        "SA45 ",
        "%38",
    ],
)
def test_more_near_misses_than_any_document_has_are_not_read(unit: str) -> None:
    """Whoever fills a request with them does not get the rest of it past the detector either."""
    assert _unread(f"811218-9877 {unit * 410_000}")


def test_many_different_near_misses_are_not_read() -> None:
    """Numbers of which none passes by chance were made by somebody."""
    wrong = [f"811218{n:03}{(int(luhn.calc_check_digit(f'811218{n:03}')) + 1) % 10}" for n in range(1000)]
    dates = [f"{year:02}{rest[2:]}" for year in range(10) for rest in wrong]
    wrong = [f"{n[:9]}{(int(luhn.calc_check_digit(n[:9])) + 1) % 10}" for n in dates]
    assert _unread(" ".join(wrong))
    assert not _unread(" ".join(wrong[:3000]))


def test_escapes_nested_too_deep_are_not_read() -> None:
    """Nobody can say what such a text means to its reader."""
    text = "811218-9876"
    for _ in range(3):
        text = "".join(f"%{ord(c):02x}" for c in text)
        text = "".join(f"&#{ord(c)};" for c in text)
    assert _unread(text)


def _lines(make: Callable[[random.Random], str]) -> str:
    chance, lines, size = random.Random(1), [], 0
    while size < 1_000_000:
        lines.append(make(chance))
        size += len(lines[-1]) + 1
    return "\n".join(lines)


DOCUMENTS: dict[str, Callable[[random.Random], str]] = {
    "phones and orders": lambda r: (
        f"070-{r.randrange(1000):03} {r.randrange(100):02} {r.randrange(100):02};070{r.randrange(10**7):07};"
        f"ORD-2024{r.randrange(1000):04};45{r.randrange(10**9):09};{r.randrange(10**6)},00"
    ),
    "sequence": lambda r: f"10000{r.randrange(10**6):06},20240115{r.randrange(10**4):04},{r.randrange(10**5)}",
    "log": lambda r: (
        f"2024-01-15 12:{r.randrange(60):02}:{r.randrange(60):02},{r.randrange(1000):03} INFO 10.0.0.{r.randrange(255)}"
        f" GET /a%20b?id={r.randrange(10**10)}&amp;x={r.getrandbits(128):032x} 200 {r.random():.6f}"
    ),
    "JSON in JSON": lambda r: json.dumps(
        json.dumps({"id": r.getrandbits(60), "namn": "Åsa\n", "nr": r.randrange(10**9)})
    ),
    "figures": lambda r: "\t".join(f"{r.randrange(1000, 9999)}" for _ in range(8)),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_large_ordinary_document_is_read(name: str) -> None:
    """A megabyte of telephone and order numbers, log lines or tables is no attack, in one part or in two."""
    text = _lines(DOCUMENTS[name])
    half = len(text) // 2
    parts = [{"type": "text", "text": text[:half]}, {"type": "text", "text": text[half:]}]
    _scan(text)
    _scan(parts)


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
        "811218-9877 ",
        "SA45 ",
        "8\u200b1",
        "\\u0038",
        "%",
        "%25",
        "&amp;",
        "x8112189876 ",
    ],
)
def test_the_time_grows_with_the_size_only(unit: str) -> None:
    """Twice as hostile a text takes about twice as long."""

    def took(size: int) -> float:
        start = time.process_time()
        with suppress(ValueError):
            _scan((unit * size)[:size])
        return time.process_time() - start

    half, whole = min(took(250_000) for _ in range(2)), min(took(500_000) for _ in range(2))
    assert whole < 3.5 * max(half, 0.05)
