"""Answer: what a lane answered, read once from its wire, in terms that every wire shares.

Made by a codec in `wire/`; goes into `serve`, `gate` and the record. Its text is content: never log it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`finish` is the lane's own reason for stopping; `complete` says that it gave one.

    `tool_calls` are (name, arguments as text); `written` is how many bytes of UTF-8 it wrote in all. Token
    counts and `model` are None where the lane did not say, or said what cannot be.
    """

    text: str = ""
    finish: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()
    refusal: bool = False
    written: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    cached_tokens: int | None = None
    model: str | None = None
    complete: bool = False
