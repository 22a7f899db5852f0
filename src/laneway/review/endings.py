"""endings: what callers and reviewers are told of an item that does not wait, or whose answer never comes."""

from __future__ import annotations

from laneway.errors import RequestError
from laneway.record import Resolution

__all__ = ["closed", "erased", "gone", "unanswered", "unknown", "unreleased"]


def unknown(id: str) -> RequestError:
    """Nothing waits under the id for this ticket."""
    return RequestError(404, "unknown_review", f"no answer waits as {id[:40]!r} for this ticket")


def closed(id: str, end: Resolution | None) -> RequestError:
    """The item was ended, or its time was over."""
    how = "is over" if end is None or end.action == "expire" else f"was ended by {end.by}: {end.action}"
    return RequestError(409, "review_closed", f"the review of {id} {how}")


def erased(id: str) -> RequestError:
    """Its words went before anybody released them."""
    return RequestError(410, "review_gone", f"the words of {id} were erased before anybody released them; ask again")


def gone(id: str) -> RequestError:
    """The released answer is not kept any more."""
    message = f"the released answer of {id} was erased, as it was not fetched in time or was fetched before; ask again"
    return RequestError(410, "review_gone", message)


def unanswered(id: str, child: str) -> RequestError:
    """What a reviewer sent on ended without an answer."""
    message = f"{id} was sent on as {child}, which ended without an answer; see `laneway why`"
    return RequestError(503, "review_unanswered", message)


def unreleased(end: Resolution) -> RequestError:
    """What the caller is told where a rejection, or time, was the end: by whom is none of their business."""
    if end.action == "reject":
        return RequestError(403, "review_rejected", f"a reviewer did not release the answer of {end.id}")
    return RequestError(403, "review_expired", f"nobody released the answer of {end.id} in time; ask again")
