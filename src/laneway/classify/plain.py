"""Plain: a text as its reader sees it, in which a number is plain digits, letters, spaces and signs.

Comes from `sensitivity`. Whoever reads a text, person or model, passes over what cannot be seen and reads
through escapes; so must a detector. Every step here takes time in proportion to the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

__all__ = ["DIGITS", "ORDINARY", "each", "readings"]

ORDINARY = (
    r"\xa1-\xac\xae-\xb1\xb4-\xb8\xba\xbb\xbf-\u024f\u0391-\u03a1\u03a3-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e"
    r"\u20a0-\u20bf\u2100-\u214f\u2190-\u2426\u2500-\u2775\u3001-\u3029\u3041-\u3096\u309d-\u30ff\u3105-\u312f"
    r"\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff0f\uff1a-\uff9d\U0001f300-\U0001f6d7"
)
"""What most texts hold beside ASCII, to stand between brackets: nothing invisible and no digits."""

DIGITS = r"\d²³¹¼-¾⁰-₉⅐-⅟↉①-⓿❶-➓㈠-㋿㍘-㏾🄀-🄌"
"""Every character that reads as a digit or holds one, to stand between brackets, and a few more."""

_STRANGE = re.compile(r"[^\n\r\t\x20-\x7e\xc0-\u024f]")
_REMEMBERED = 20_000

_ROUNDS = 4
_MOST_ESCAPES = 250_000
_ESCAPE = re.compile(
    r"[\\%&](?:(?<=\\)(?<!\\\\)\\*+(?:"  # JSON in JSON, however often, and Markdown
    r"u([0-9A-Fa-f]{4}(?:\\+u[Dd][C-Fc-f][0-9A-Fa-f]{2})?)|x([0-9A-Fa-f]{2})|([nrt])|([-+./ ]))"
    r"|(?<=%)((?:25)*+[0-9A-Fa-f]{2}(?:%(?:25)*+[89ABab][0-9A-Fa-f])*)"  # URLs: one character of UTF-8
    r"|(?<=&)(?:amp;)*+(#[0-9]{1,7};|#[xX][0-9A-Fa-f]{1,6};|[A-Za-z]{2,8};))"  # HTML
)
_STRIDE = 16_384
_LONGEST = 1_024
"""More than any number takes, in the writings that `sensitivity` knows."""

_LIKE_HYPHEN = "\u02d7\u2043\u2212"
_LIKE_SLASH = "\u2044\u2215"
_BLANK = "\u115f\u1160\u3164\uffa0"
"""Letters by their category, and yet blank."""


def each(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """`pattern.finditer(text)` in steps so short that other threads can run in between."""
    at = 0
    while at < len(text):
        stop = at + _STRIDE
        for match in pattern.finditer(text, at, stop + _LONGEST):
            if match.start() >= stop:
                break
            yield match
            at = match.end()
        at = max(at, stop)


def readings(text: str) -> Iterator[str]:
    """`text` as it is seen, and once more with its escapes resolved where it has any.

    Both, as a number may stand right behind what only looks like an escape: `20%811218`. ValueError where
    escapes are nested so deep that nobody can say what the text means.
    """
    yield _seen(text)
    meant = _unescaped(text)
    if meant != text:
        yield _seen(meant)


class _Seen(dict[int, str]):
    """What is seen of a character: compatible forms as plain ones, and of the invisible nothing."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _REMEMBERED:
            self.clear()
        plain = unicodedata.normalize("NFKC", chr(code))
        # The long ones are words written as one sign: no number, and a text must not grow by much.
        self[code] = seen = "".join(map(_one, plain if len(plain) <= 4 else chr(code)))
        return seen


def _one(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Zl", "Zp") or char in "\n\r\v\f\x1c\x1d\x1e\x1f\x85":
        return "\n"
    if category == "Zs" or char in "\t\u2800":
        return " "
    if category[0] == "C" or category in ("Mn", "Me") or char in _BLANK:
        return ""
    if category == "Pd" or char in _LIKE_HYPHEN:
        return "-"
    if char in _LIKE_SLASH:
        return "/"
    # Decimals of any script, and the circled digits that NFKC leaves as they are.
    digit = unicodedata.digit(char, None) if "❶" <= char <= "➓" else unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


_SEEN = _Seen()


def _seen(text: str) -> str:
    if next(each(_STRANGE, text), None) is None:
        return text
    return "".join(text[at : at + _STRIDE].translate(_SEEN) for at in range(0, len(text), _STRIDE))


def _unescaped(text: str) -> str:
    for _ in range(_ROUNDS):
        parts, at = [], 0
        for match in each(_ESCAPE, text):
            parts += [text[at : match.start()], _meant(match)]
            at = match.end()
            if len(parts) > 2 * _MOST_ESCAPES:
                raise ValueError(f"more than {_MOST_ESCAPES} escapes")
        meant = "".join(parts) + text[at:]
        if meant == text:
            return text
        text = meant
    raise ValueError(f"escapes within escapes, more than {_ROUNDS} deep")


def _meant(escape: re.Match[str]) -> str:
    utf16, latin, space, sign, utf8, entity = escape.groups()
    if utf16:
        return bytes.fromhex(re.sub(r"\\+u", "", utf16)).decode("utf-16-be", "ignore")
    if utf8:
        octets = bytes.fromhex(re.sub("%?(?:25)*([0-9A-Fa-f]{2})", r"\1", utf8))
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    if latin:
        return chr(int(latin, 16))
    return "\n" if space else sign or html.unescape(f"&{entity}")
