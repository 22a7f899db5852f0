"""code: the answer's one fenced Python block runs in a sandboxed process, and then the tests."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.sandbox import Limits, SandboxError, run
from laneway.evidence.scorers.kind import Kind, Part, ScorerError, fenced, prose
from laneway.yaml_nodes import Node, Reader, Reading, whole

__all__ = ["CODE"]


def _tests(node: Node, reading: Reading) -> str:
    source = prose(node, reading)
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as error:
        reading.fail(node, f"`tests` is not Python: {type(error).__name__} at its line {getattr(error, 'lineno', 0)}")
    return source


def _between(least: int, most: int, unit: str) -> Reader[int]:
    def read(node: Node, reading: Reading) -> int:
        value = whole(node, reading)
        if not least <= value <= most:
            reading.fail(node, f"expected {least} to {most} {unit}")
        return value

    return read


def _complaint(_expected: object, _options: Mapping[str, Any]) -> str | None:
    return None


def _grade(_sample: Sample, options: Mapping[str, Any], answer: str) -> Part:
    blocks = fenced(answer, ("python", "py", "python3"))
    if len(blocks) != 1:
        return Part("code", 0.0, f"{len(blocks)} fenced Python blocks in the answer, where one is expected")
    limits = Limits(seconds=options.get("seconds", 5), memory=options.get("memory", 256))
    try:
        ran = run(blocks[0], options["tests"], limits)
    except SandboxError as error:
        raise ScorerError(f"code: {error}") from None
    return Part("code", float(ran.passed), ran.says)


CODE = Kind(
    options={"tests": _tests, "seconds": _between(1, 60, "seconds"), "memory": _between(64, 4096, "MiB")},
    complaint=_complaint,
    grade=_grade,
    required=("tests",),
)
"""`tests`: Python that fails where the code is wrong; `seconds` and `memory` (MiB): what both may use."""
