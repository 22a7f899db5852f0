"""deliver: a review into a file, replaced in one step, or to a webhook, as one POST of its JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from laneway.errors import LanewayError, UsageError
from laneway.source import replace_file
from laneway.webhook import checked_url, post
from laneway.weekly.markdown import markdown
from laneway.weekly.page import page
from laneway.weekly.value import Review

__all__ = ["DeliveryError", "as_bytes", "deliver", "write"]

_SECONDS = 30.0
_MODE = 0o600
_KINDS = {".md": markdown, ".markdown": markdown, ".html": page, ".htm": page}


class DeliveryError(LanewayError):
    """The review was made, and did not arrive."""


def deliver(review: Review, where: str) -> None:
    """To an http or https address, or into a file: Markdown or HTML by its name, else JSON. Raises DeliveryError."""
    if "://" not in where:
        write(Path(where), as_bytes(review, Path(where).suffix.lower()))
        return
    checked_url(where)
    try:
        post(where, review, _SECONDS)
    except UsageError as error:
        raise DeliveryError(f"the review was not delivered: {error}") from None


def as_bytes(review: Review, suffix: str) -> bytes:
    """As the kind of file that a name ends with."""
    made = _KINDS.get(suffix)
    return made(review).encode() if made else msgspec.json.format(msgspec.json.encode(review), indent=2) + b"\n"


def write(path: Path, data: bytes) -> None:
    """Into a file that only its owner reads, whole or not at all. Raises DeliveryError."""
    try:
        replace_file(path, data, _MODE)
    except OSError as error:
        raise DeliveryError(f"the review cannot be written to {path}: {error.strerror}") from None
