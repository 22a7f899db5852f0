"""pulls: `POST /v1/levers` in, a lever on record and in force, and what became of it out.

Owns the body's shape. Strict: what is not read here is an error, and no label of a request is.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from laneway.errors import LogError, RequestError
from laneway.gateway import Gateway
from laneway.levers import ALL
from laneway.refusal import Stopped
from laneway.wire import openai

__all__ = ["pulled"]


class _Body(msgspec.Struct):
    action: str
    by: str
    why: str
    target: str = ALL


async def pulled(gateway: Gateway, body: bytes, headers: Mapping[str, str]) -> dict[str, object]:
    """What became of the lever that `body` asks for: `recorded` is False where its target was so already.

    It is on disk and in force when this returns. RequestError says what cannot be used; Stopped that it could not be
    written, and is not in force.
    """
    if any(name.startswith("laneway-") for name in headers):
        raise RequestError(400, "misplaced_label", "no label is read here; leave the `Laneway-` headers out")
    fields, _ = openai.strict(body)
    if fields.keys() - set(_Body.__struct_fields__):
        known = ", ".join(_Body.__struct_fields__)
        raise RequestError(400, "unknown_field", f"the body has a field that is not read here; it may have {known}")
    said = openai.shaped(fields, _Body)
    lever = gateway.levers.wanted(said.action, said.target, said.by, said.why,
                                  policy=gateway.active.policy, now=gateway.log.now())  # fmt: skip
    try:
        new, cut = await gateway.pull(lever)
    except LogError as error:
        message = f"The lever was not pulled, as it could not be put on record: {error}"
        raise Stopped(503, "log_unavailable", message) from None
    return gateway.levers.became(lever, new=new, cut=cut)
