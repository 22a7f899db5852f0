"""Every error Laneway raises on purpose.

    LanewayError
    ├── PolicyError        the policy file cannot be used (exit 5); holds Problems with file:line:column
    ├── RequestError       the client's request cannot be used (HTTP 4xx)
    ├── LaneError          one attempt at one lane failed; says whether another lane may be tried
    ├── GuardError         the egress guard stopped bytes that were about to leave
    ├── LogError           the log cannot be written or read: fail closed (HTTP 503)
    │   └── LogInUse       another process writes it
    ├── ContentError       what is kept for people cannot be written or read: nothing is released
    ├── ReviewersError     the file of reviewers cannot be used: nobody is signed in
    └── UsageError         the command line asks for something impossible (exit 2)

No message ever holds prompt text, an answer, or a secret: values that a client sent are shown only
where they name a thing of the policy (a lane, a class), and then shortened by `shown`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Cause",
    "ContentError",
    "GuardError",
    "LaneError",
    "LanewayError",
    "LogError",
    "LogInUse",
    "PolicyError",
    "Problem",
    "RequestError",
    "ReviewersError",
    "UsageError",
    "did_you_mean",
    "shown",
]


def shown(value: object, limit: int = 40) -> str:
    """`value` for an error message: printable characters only, at most `limit` of them."""
    text = "".join(c if c.isprintable() else "?" for c in str(value)[: limit + 1])
    return text[: limit - 1] + "…" if len(text) > limit else text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean `lanes`?``, or the known words, or nothing."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known here: {', '.join(names)}" if 0 < len(names) <= 30 else ""


class LanewayError(Exception):
    """The root: catch it to catch everything Laneway raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy file. `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class PolicyError(LanewayError):
    """The policy file cannot be used. `problems` lists everything found, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        super().__init__("\n".join(str(p) for p in self.problems))


class RequestError(LanewayError):
    """The client's request cannot be used. `status` is the HTTP status, `code` is stable."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        self.status = status
        self.code = code
        self.param = param
        super().__init__(message)


Cause = Literal["error", "rate-limit", "late", "invalid", "refusal"]


class LaneError(LanewayError):
    """One attempt at a lane failed.

    `cause` is `error`, `rate-limit` or `late` where another lane may be tried, `invalid` where the lane
    called the request itself wrong, `refusal` where it will not answer it. `retry` says that the same lane may
    be asked once more. `sent` says that part of the answer is out of the raiser's hands: handed on by a
    provider, or, from `serve` on, with the client. `after` is how many seconds the lane asks to be left alone.
    """

    def __init__(
        self, code: str, message: str, *, cause: Cause = "error", retry: bool = False, sent: bool = False,
        after: float | None = None,
    ) -> None:  # fmt: skip
        self.code = code
        self.cause = cause
        self.retry = retry
        self.sent = sent
        self.after = after
        super().__init__(message)


class GuardError(LanewayError):
    """The egress guard stopped a call that the wall does not allow: a defect of ours, never the client's."""


class LogError(LanewayError):
    """The log cannot be written or read. Nothing is answered without it."""


class LogInUse(LogError):
    """Another process, mostly a server, writes this log."""


class ContentError(LanewayError):
    """What is kept for people cannot be written or read. Nothing is released without it."""


class ReviewersError(LanewayError):
    """The file of reviewers cannot be used. Nobody is signed in, and nothing is approved, until it can."""


class UsageError(LanewayError):
    """The command line asks for something impossible."""
