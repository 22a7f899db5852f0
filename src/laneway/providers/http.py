"""HttpProvider: calls lanes that speak the OpenAI wire, over HTTP or a Unix socket.

In come a lane and the exact bytes to send; out come the status and the answer's bytes, or a LaneError.
Nothing that a client sent, its headers above all, goes out except those bytes. What the system raises may hold
addresses, so only class names leave this module: LaneErrors are raised outside the `except` blocks, to
carry no context. The connections themselves are in `providers.line`.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from laneway.egress import Door, Reach, Through, reach_of
from laneway.errors import GuardError, LaneError
from laneway.lane import Lane
from laneway.providers.line import Failed, Line, Lines, Place
from laneway.providers.wait import retry_after
from laneway.wire.openai_answer import REFUSALS

__all__ = ["MOST_BYTES", "HttpProvider", "HttpReply"]

MOST_BYTES = 32 * 2**20
"""The most that one answer's body may hold."""

_DETAIL_BYTES = 2**16
_DETAIL_SECONDS = 1.0


class HttpProvider:
    """Calls lanes over pooled connections. Make one per process; keys are read here, once.

    `networks` are those in which private lanes may be; every connection is opened by `door`.
    `closed` tells, by lane, why its key cannot be had; calling such a lane fails with `credentials`.
    """

    def __init__(
        self, lanes: Mapping[str, Lane], environ: Mapping[str, str], networks: tuple[str, ...] = (),
        door: Door | None = None,
    ) -> None:  # fmt: skip
        self.closed: dict[str, str] = {}
        self._lanes = dict(lanes)
        self._targets: dict[str, _Target | None] = {}
        self._lines = Lines(door or Door())
        for name, lane in lanes.items():
            try:
                self._targets[name] = _target(lane, networks, environ)
            except LaneError as error:
                self.closed[name] = str(error)
            except ValueError:
                self._targets[name] = None

    def renewed(
        self, lanes: Mapping[str, Lane], environ: Mapping[str, str], networks: tuple[str, ...] = ()
    ) -> HttpProvider:
        """One for other lanes that shares this one's connections; closing either closes them all."""
        other = HttpProvider(lanes, environ, networks)
        other._lines = self._lines
        return other

    def call(
        self, lane: Lane, body: bytes, *, stream: bool, last: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[HttpReply]:
        """Send `body` to `lane`; entering waits for the answer's head and raises LaneError without one.

        `last` is called once there is a connection; where it raises, no byte leaves. GuardError where a lane of that
        name would be called here that is not the same one.
        """
        known = self._lanes.get(lane.name, lane)
        if known is not lane and known != lane:
            raise GuardError(f"lane {lane.name} is called by another address, model or key than was let through")
        return _Call(self, lane.name, body, stream=stream, last=last)

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        await self._lines.close()

    def _target(self, lane: str) -> _Target:
        if lane not in self._targets:
            raise LaneError("credentials", self.closed.get(lane, f"lane `{lane}` is not known here"))
        target = self._targets[lane]
        if target is None:
            raise LaneError("unreachable", f"lane `{lane}` has an address that cannot be used")
        return target


class HttpReply:
    """The Reply of an HttpProvider."""

    __slots__ = ("_lane", "_line", "status")

    def __init__(self, lane: str, line: Line) -> None:
        self.status = line.status
        self._lane = lane
        self._line = line

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive; LaneError `broken` or `too-large` where they cannot be had."""
        got = 0
        while True:
            try:
                chunk = await self._line.read()
            except Failed as failed:
                why = f"lane `{self._lane}` broke off its answer ({failed.kind})"
                break
            if not chunk:
                return
            got += len(chunk)
            if got > MOST_BYTES:
                raise LaneError("too-large", f"lane `{self._lane}` answers more than {MOST_BYTES} bytes", sent=True)
            yield chunk
        raise LaneError("broken", why, retry=not got, sent=got > 0)


class _Call:
    """One call, as a context. Written out because a generator's context costs more on the hot path."""

    __slots__ = ("_body", "_lane", "_last", "_line", "_provider", "_stream")

    def __init__(
        self, provider: HttpProvider, lane: str, body: bytes, *, stream: bool, last: Callable[[], None] | None
    ) -> None:
        self._provider = provider
        self._lane = lane
        self._body = body
        self._stream = stream
        self._last = last
        self._line: Line | None = None

    async def __aenter__(self) -> HttpReply:
        target = self._provider._target(self._lane)
        lines, reply = self._provider._lines, None
        try:
            self._line = line = lines.idle(target.place) or await lines.connected(target.place)
            if self._last is not None:
                self._last()
            head = target.stream if self._stream else target.whole
            await line.ask(b"%sContent-Length: %d\r\n\r\n" % (head, len(self._body)), self._body)
            if 200 <= line.status < 300:
                reply = HttpReply(self._lane, line)
            else:
                failure = await _refused(self._lane, line)
        except Failed as failed:
            failure = LaneError(failed.code, f"lane `{self._lane}` {failed.says} ({failed.kind})", retry=failed.retry)
        finally:
            if reply is None:
                self._leave()
        if reply is None:
            raise failure
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        """A connection whose answer was read to its end is kept, any other is cut."""
        if self._line is not None:
            self._provider._lines.give_back(self._line)
            self._line = None


class _Target(NamedTuple):
    """Where a lane is called, and what goes out before the body's length, by kind of answer."""

    place: Place
    whole: bytes
    stream: bytes


def _target(lane: Lane, networks: tuple[str, ...], environ: Mapping[str, str]) -> _Target:
    """Where and with what a lane is called. A Unix socket's path ends at `.sock`; a base path may follow.

    Raises LaneError for a key that cannot be had, ValueError for an address that cannot be used.
    """
    key = "" if lane.key is None else f"Authorization: Bearer {_key(lane, lane.key, environ)}\r\n"
    base, socket = lane.url, None
    if base.startswith("unix:"):
        socket, found, rest = base.removeprefix("unix:").partition(".sock/")
        socket, base = (f"{socket}.sock" if found else socket), f"http://localhost/{rest}"
    url = urlsplit(base)
    host, secure = url.hostname, url.scheme == "https"
    if url.scheme not in ("http", "https") or not host or "@" in url.netloc:
        raise ValueError("no HTTP address")
    path = url.path.rstrip("/") + "/chat/completions" + (f"?{url.query}" if url.query else "")
    netloc = url.netloc if url.netloc.isascii() else url.netloc.encode("idna").decode()
    if not (netloc + path).isascii() or not (netloc + path).isprintable() or " " in netloc + path:
        raise ValueError("an address that does not fit into a request")
    if not secure and (lane.tls or lane.proxy):
        raise ValueError("no https, so that neither its proof nor its proxy would be used")
    host = host if host.isascii() else host.encode("idna").decode()  # a proxy gets it as it stands here
    place = Place(
        host, url.port or (443 if secure else 80), socket, _trust(lane) if secure else None, reach_of(lane, networks),
        _through(lane, networks, environ),
    )  # fmt: skip
    heads = (
        f"POST {path} HTTP/1.1\r\nHost: {netloc}\r\nContent-Type: application/json\r\n"
        f"Accept-Encoding: identity\r\n{key}Accept: {kind}\r\n"
        for kind in ("application/json", "text/event-stream")
    )
    return _Target(place, *(head.encode() for head in heads))


def _through(lane: Lane, networks: tuple[str, ...], environ: Mapping[str, str]) -> Through | None:
    """The lane's proxy, which must be inside our networks unless the lane may be at any address."""
    proxy = lane.proxy
    if proxy is None:
        return None
    greeting = b""
    if proxy.key is not None:
        secret = base64.b64encode(_key(lane, proxy.key, environ).encode())
        greeting = b"Proxy-Authorization: Basic %b\r\n" % secret
    reach = Reach("any") if lane.private_address else Reach("networks", networks)
    return Through(proxy.host, proxy.port, reach, greeting)


def _trust(lane: Lane) -> ssl.SSLContext:
    """What proves a lane to us and us to it. LaneError where one of its files cannot be used."""
    if lane.tls is None:
        return _context(None, None, None)
    texts = []
    for what, source in (("ca", lane.tls.ca), ("cert", lane.tls.cert), ("key", lane.tls.key)):
        try:
            texts.append(None if source is None else Path(source.removeprefix("file:")).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _unusable(lane, what, error) from None
    try:
        return _context(*texts)
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        what = "cert or key" if lane.tls.ca is None else "ca, cert or key"
        raise _unusable(lane, what, error) from None


def _unusable(lane: Lane, what: str, error: Exception) -> LaneError:
    message = f"lane `{lane.name}` is closed: its tls {what} cannot be used ({type(error).__name__})"
    return LaneError("credentials", message)


@cache
def _context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """One for each set of contents, so that connections are never shared between lanes that trust differently."""
    # Verifies by its nature. The library's usual one would write session keys to wherever SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=ca)
    context.set_alpn_protocols(["http/1.1"])
    if cert is not None and key is not None:
        with TemporaryDirectory(prefix="laneway-tls-") as directory:  # the library takes paths alone
            chain, secret = Path(directory, "cert"), Path(directory, "key")
            for path, text in ((chain, cert), (secret, key)):
                path.touch(0o600)
                path.write_text(text, "utf-8")
            context.load_cert_chain(chain, secret, password=lambda: "")  # never ask on a terminal
    return context


def _key(lane: Lane, source: str, environ: Mapping[str, str]) -> str:
    kind, _, place = source.partition(":")
    if kind == "env":
        what, key = f"environment variable {place}", environ.get(place, "").strip()
        missing = "is empty" if place in environ else "is not set"
    elif kind == "file":
        what, key, missing = f"file {place}", "", "is empty"
        try:
            key = Path(place).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            missing = f"cannot be read ({type(error).__name__})"
    else:
        # Not shown: it may be the key itself.
        what, key, missing = "key", "", "is neither `env:NAME` nor `file:/path`"
    if not key:
        raise LaneError("credentials", f"lane `{lane.name}` is closed: its {what} {missing}")
    if not (key.isascii() and key.isprintable()):
        raise LaneError("credentials", f"lane `{lane.name}` is closed: its {what} holds what no header may")
    return key


async def _refused(lane: str, line: Line) -> LaneError:
    """What a status other than 2xx means."""
    status = line.status
    at = f"lane `{lane}`"
    after = retry_after(line.retry_after or None, datetime.datetime.now(datetime.UTC))
    match status:
        case 400 | 413 | 415 | 422:
            words = await _complaint(line)
            if any(word in words for word in REFUSALS):
                return LaneError("refused", f"{at} will not answer such a request ({status}{words})", cause="refusal")
            return LaneError("invalid", f"{at} calls the request invalid ({status}{words})", cause="invalid")
        case 401 | 403 | 407:
            return LaneError("credentials", f"{at} does not accept its key ({status})")
        case 404:
            return LaneError("not-found", f"{at} does not know its path or model (404)")
        case 429:
            asks = "" if after is None else f"; it asks to wait {after:.0f} s"
            return LaneError("rate-limited", f"{at} limits its rate (429){asks}", cause="rate-limit", after=after)
    if 300 <= status < 400:
        return LaneError("redirected", f"{at} pointed elsewhere, which is never followed ({status})")
    if status >= 500:
        after = after if status == 503 else None
        again = status in (502, 503, 504) and after is None
        return LaneError("server-error", f"{at} failed ({status})", retry=again, after=after)
    return LaneError("unexpected-status", f"{at} answered with status {status}")


class _Error(msgspec.Struct):
    type: object = None
    code: object = None


class _Complaint(msgspec.Struct):
    error: _Error


_COMPLAINTS = frozenset({
    "invalid_request_error", "authentication_error", "permission_error", "not_found_error", "not_supported_error",
    "api_error", "rate_limit_error", "server_error", "timeout_error", "billing_error", "overloaded_error",
    "unavailable_error", "request_too_large", "exceed_context_size_error", "BadRequestError", "NotFoundError",
    "UnprocessableEntityError", "context_length_exceeded", "string_above_max_length", "array_above_max_length",
    "integer_above_max_value", "integer_below_min_value", "decimal_above_max_value", "decimal_below_min_value",
    "invalid_value", "invalid_type", "missing_required_parameter", "unknown_parameter", "unsupported_parameter",
    "unsupported_value", "invalid_json_schema", "invalid_function_parameters", "model_not_found", "invalid_image_url",
    "invalid_image_format", "image_too_large", "content_filter", "content_policy_violation", "json_validate_failed",
    "tool_use_failed", "INVALID_ARGUMENT",
})  # fmt: skip
"""The error types and codes of known servers (OpenAI, Anthropic, vLLM, llama.cpp, Ollama, Groq, Gemini)."""


async def _complaint(line: Line) -> str:
    """The type and code of an error body, where they are known words: any other may be the prompt's."""
    body = b""
    try:
        async with asyncio.timeout(_DETAIL_SECONDS):
            while len(body) < _DETAIL_BYTES and (piece := await line.read()):
                body += piece
        error = msgspec.json.decode(body, type=_Complaint).error
    except (Failed, TimeoutError, msgspec.MsgspecError, RecursionError):
        return ""
    return "".join(f", {word}" for word in (error.type, error.code) if isinstance(word, str) and word in _COMPLAINTS)
