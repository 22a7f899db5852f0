"""regex: a pattern that must occur somewhere in the answer, and one that must not, each with a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part, ScorerError, prose
from laneway.evidence.statistics.numbers import INSTALL
from laneway.yaml_nodes import listed, one_of

__all__ = ["REGEX", "SECONDS"]

SECONDS = 2.0
"""The longest that one pattern may look at one answer."""


def _complaint(_expected: object, options: Mapping[str, Any]) -> str | None:
    if not {"pattern", "not"} & set(options):
        return "`regex` needs `pattern`, or `not`, or both"
    for name in ("pattern", "not"):
        if name in options and (wrong := _broken(options[name], options.get("flags", ()))):
            return f"`{name}` is not a regular expression: {wrong}"
    return None


def _broken(pattern: str, flags: tuple[str, ...]) -> str | None:
    regex = _regex()
    try:
        _compiled(regex, pattern, flags)
    except regex.error as error:
        return str(error)
    return None


def _regex() -> Any:
    try:
        import regex  # noqa: PLC0415  # an extra
    except ImportError:
        raise ScorerError(f"regex: needs the `eval` extra; {INSTALL}") from None
    return regex


def _compiled(regex: Any, pattern: str, flags: tuple[str, ...]) -> Any:
    return regex.compile(pattern, sum({"i": regex.I, "m": regex.M, "s": regex.S}[flag] for flag in set(flags)))


def _grade(_sample: Sample, options: Mapping[str, Any], answer: str) -> Part:
    if "pattern" in options and not _occurs(options, "pattern", answer):
        return Part("regex", 0.0, "the pattern does not occur")
    if "not" in options and _occurs(options, "not", answer):
        return Part("regex", 0.0, "a pattern occurs that must not")
    return Part("regex", 1.0, "the patterns are as wanted")


def _occurs(options: Mapping[str, Any], name: str, answer: str) -> bool:
    pattern = _compiled(_regex(), options[name], options.get("flags", ()))
    try:
        return pattern.search(answer, timeout=SECONDS) is not None
    except TimeoutError:
        raise ScorerError(f"regex: `{name}` took longer than {SECONDS:g} s on this answer; make it simpler") from None


REGEX = Kind(
    options={"pattern": prose, "not": prose, "flags": listed(one_of(("i", "m", "s"), "flag"))},
    complaint=_complaint,
    grade=_grade,
)
"""`pattern` must occur, `not` must not; `flags`: i for any case, m for lines, s for a point that takes in line ends."""
