"""numeric: the last number in the answer is the expected one, exactly or within a tolerance.

Thousands may be set apart by a space, a point, a comma or an apostrophe. Where one comma or point stands
before exactly three digits, the sample's language decides: in English, or where no language is said, a comma
parts thousands and a point decimals; in the others it is the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part, ratio

__all__ = ["NUMERIC"]

_SPACES = " \u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?<![\w.,])[-+\u2212]?(?:\d{{1,3}}(?:(?P<sep>[{_SPACES}.,'\u2019])\d{{3}})(?:(?P=sep)\d{{3}})*(?!\d)(?:[.,]\d+)?"
    r"|\d+(?:[.,]\d+)?(?:[eE][-+]?\d{1,3}\b)?)(?!\d)"
)
_LONGEST = 60


def _complaint(expected: object, options: Mapping[str, Any]) -> str | None:
    if "tolerance" in options and "relative" in options:
        return "`numeric` takes `tolerance` or `relative`, not both"
    return None if _decimal(expected) is not None else "`numeric` needs `expected`: a finite number such as 12.5"


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _grade(sample: Sample, options: Mapping[str, Any], answer: str) -> Part:
    expected = _decimal(sample.expected)
    assert expected is not None, "sets are checked when they are read"
    found = _last_number(answer, sample.language)
    if found is None:
        return Part("numeric", 0.0, "the answer holds no number")
    allowed = Decimal(str(options.get("tolerance", 0)))
    if "relative" in options:
        allowed = Decimal(str(options["relative"])) * abs(expected)
    near = abs(found - expected) <= allowed
    return Part("numeric", float(near), f"the last number is {'' if near else 'not '}within {allowed} of {expected}")


def _last_number(answer: str, language: str | None) -> Decimal | None:
    last = None
    for last in _NUMBER.finditer(answer):  # noqa: B007  # only the last one counts
        pass
    if last is None or len(last[0]) > _LONGEST:
        return None
    return _value(last[0], english=language in (None, "en"))


def _value(written: str, *, english: bool) -> Decimal | None:
    plain = re.sub(rf"[{_SPACES}'\u2019]", "", written).replace("\u2212", "-")
    marks = re.findall(r"[.,]", plain)
    if len(set(marks)) == 2:
        thousands, decimal = marks[0], marks[-1]
    elif len(marks) > 1 or (marks and _parts_thousands(plain, marks[0], written, english=english)):
        thousands, decimal = marks[0], ""
    else:
        thousands, decimal = "", marks[0] if marks else ""
    plain = plain.replace(thousands, "") if thousands else plain
    return _decimal(plain.replace(decimal, ".") if decimal else plain)


def _parts_thousands(plain: str, mark: str, written: str, *, english: bool) -> bool:
    """Whether the only mark parts thousands: before three digits, after no zero, and in this language."""
    if not re.fullmatch(r"[-+]?[1-9]\d{0,2}[.,]\d{3}", plain) or any(c in written for c in _SPACES):
        return False
    return mark == ("," if english else ".")


NUMERIC = Kind(options={"tolerance": ratio, "relative": ratio}, complaint=_complaint, grade=_grade)
"""`tolerance`: how far off the number may be; `relative`: the same as a share of the expected one."""
