"""words: the body and headers of `POST /v1/feedback` in, a Feedback out. Strict: what is not read here is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from laneway.errors import RequestError
from laneway.feedback import ANONYMOUS, worded
from laneway.record import Feedback
from laneway.wire import openai

__all__ = ["MAX_BODY", "USER", "read"]

MAX_BODY = 16 * 1024
"""The longest body in bytes."""

USER = "laneway-user"
"""The header that says who speaks."""


class _Body(msgspec.Struct):
    decision: str
    accepted: bool
    reason: str = ""
    user: str | None = None
    source: Literal["user", "operator"] = "user"


def read(body: bytes, headers: Mapping[str, str]) -> Feedback:
    """What the client says of an answer. `headers` by lower-case name; RequestError says what cannot be used."""
    if any(name.startswith("laneway-") and name != USER for name in headers):
        raise RequestError(
            400, "misplaced_label", "of the labels, only Laneway-User is read here; leave the others out"
        )
    fields, _ = openai.strict(body)
    if fields.keys() - set(_Body.__struct_fields__):
        known = ", ".join(_Body.__struct_fields__)
        raise RequestError(400, "unknown_field", f"the body has a field that is not read here; it may have {known}")
    said = openai.shaped(fields, _Body)
    header = headers.get(USER)
    if header is not None and not header.isascii():
        message = "Laneway-User holds a character that headers cannot carry safely; send it as `user` in the body"
        raise RequestError(400, "invalid_label", message, USER)
    if header is not None and said.user not in (None, header):
        message = "Laneway-User and `user` in the body differ; keep one"
        raise RequestError(400, "conflicting_label", message, USER)
    by = header if header is not None else ANONYMOUS if said.user is None else said.user
    return worded(said.decision, accepted=said.accepted, reason=said.reason, by=by, source=said.source)
