"""erasures: `POST /v1/erasures` in, all content about a subject gone and that on record, out."""

from __future__ import annotations

import msgspec

from laneway.erasure import erase
from laneway.errors import LogError, RequestError
from laneway.gateway import Gateway
from laneway.refusal import Stopped
from laneway.store import Content
from laneway.store.content import place
from laneway.wire import openai

__all__ = ["erased"]


class _Body(msgspec.Struct):
    subject: str
    by: str
    why: str


async def erased(gateway: Gateway, body: bytes) -> dict[str, object]:
    """What was erased. Raises RequestError, ContentError, and Stopped where it could not be put on record."""
    fields, _ = openai.strict(body)
    if fields.keys() - set(_Body.__struct_fields__):
        known = ", ".join(_Body.__struct_fields__)
        raise RequestError(400, "unknown_field", f"the body has a field that is not read here; it may have {known}")
    said = openai.shaped(fields, _Body)
    content: Content | None = gateway.desk.place() if place(gateway.log.path).exists() else None
    await gateway.captures.ended()  # what was answered before, and is about to be kept
    try:
        async with gateway.desk.turn:  # nobody may put back what they had before them
            made = await erase(gateway.log, content, said.subject, said.by, said.why)
    except LogError as error:
        message = f"The content was erased, and that could not be put on record: {error}. Send this again."
        raise Stopped(503, "log_unavailable", message) from None
    return {"id": made.id, "contents": made.contents}
