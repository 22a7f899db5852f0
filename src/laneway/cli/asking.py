"""asking: one question to the server that runs on this machine, and its answer, never by way of a proxy."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from laneway.addresses import is_loopback
from laneway.errors import LanewayError, UsageError, shown

__all__ = ["asked", "url_option"]

_SECONDS = 5.0
T = TypeVar("T")

url_option = click.option(
    "--url", default="http://127.0.0.1:4180", show_default=True, envvar="LANEWAY_URL",
    help="Where `laneway serve` answers.",
)  # fmt: skip


class _Error(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Error


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """Follows nothing: what is said to this machine, tokens too, goes nowhere else."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """None, so that a redirect is an error."""


def asked(url: str, path: str, kind: type[T], body: object = None, *, token: str = "") -> T:
    """What the server at `url` says at `path`; `body`, if any, is posted to it as JSON. `token` is a reviewer's.

    Raises UsageError for an address elsewhere; LanewayError where no server answers, or in its words where it refuses.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise UsageError(f"--url {shown(url)} is not an http address of this machine; a server answers nowhere else")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Nowhere)
    data = None if body is None else msgspec.json.encode(body)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"http://{parts.netloc}{path}", data, headers)
    try:
        with direct.open(request, timeout=_SECONDS) as response:
            return msgspec.json.decode(response.read(), type=kind)
    except urllib.error.HTTPError as error:
        raise LanewayError(f"the server at {shown(url)} says: {_said(error)}") from None
    except (OSError, msgspec.MsgspecError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise LanewayError(f"no Laneway answers at {shown(url)} ({why}); start it with `laneway serve`, "
                           "or name where it answers with --url or LANEWAY_URL") from None  # fmt: skip


def _said(error: urllib.error.HTTPError) -> str:
    """A refusal's own words, or its status where it is not one of Laneway's."""
    with error:
        try:
            return shown(msgspec.json.decode(error.read(), type=_Refusal).error.message, 400)
        except (OSError, msgspec.MsgspecError):
            return f"HTTP {error.code}"
