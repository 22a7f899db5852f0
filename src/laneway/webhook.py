"""webhook: one JSON value, posted to an address that an operator named. Never words of people or lanes.

No redirect is followed, as it would lead elsewhere than the operator said.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

import msgspec

from laneway.errors import UsageError, shown

__all__ = ["SECONDS", "checked_url", "post"]

SECONDS = 10.0
"""How long one try may take."""


def checked_url(url: str) -> str:
    """The URL, if something can be posted there. Raises UsageError; what it shows of a URL is the host."""
    parts = urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isascii()
    except ValueError:
        good = False
    if not good or parts.username is not None or any(c.isspace() for c in url):
        raise UsageError(
            "a webhook is an http or https URL without a user in it, such as https://hooks.example/laneway"
        )
    return url


def post(url: str, value: object, seconds: float = SECONDS) -> None:
    """POST `value` as JSON; returns on a 2xx status. Blocks. Raises UsageError, which names the host alone."""
    parts = urlsplit(checked_url(url))
    host, port = parts.hostname or "", parts.port
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, msgspec.json.encode(value), {"content-type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        cause = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"the webhook at {shown(host)} could not be reached: {cause}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        followed = "; redirects are not followed: name where it leads" if 300 <= status < 400 else ""
        raise UsageError(f"the webhook at {shown(host)} answered {status}{followed}")
