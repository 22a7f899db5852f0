"""HttpProvider: calls lanes that speak the OpenAI wire, over HTTP or a Unix socket.

In come a lane and the exact bytes to send; out come the status and the answer's bytes, or a LaneError.
Nothing that a client sent, its headers above all, goes out except those bytes. What aiohttp raises holds
URLs and headers, keys included, so only class names leave this module: LaneErrors are raised outside the
`except` blocks, to carry no context.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from laneway.errors import LaneError
from laneway.lane import Lane

__all__ = ["FAILURES", "MOST_BYTES", "Failure", "HttpProvider", "HttpReply"]

MOST_BYTES = 32 * 2**20
"""The most that one answer's body may hold."""

_CONNECT_SECONDS = 2.0
_IDLE_SECONDS = 15.0
_PIECE = 2**16
_WHOLE = 2**20
_WATCH_SECONDS = 0.5
_DETAIL_BYTES = 2**16
_DETAIL_SECONDS = 1.0


class Failure(NamedTuple):
    """What a failure before the answer's head means: a stable code, words, and whether to ask again."""

    code: str
    says: str
    retry: bool = False


_UNREACHABLE = Failure("unreachable", "could not be reached", retry=True)
_UNUSABLE = Failure("unreachable", "has an address or key that cannot be used")
_TLS = Failure("tls", "did not prove who it is, or does not speak TLS")
_DISCONNECTED = Failure("disconnected", "hung up before it answered", retry=True)
_REDIRECTED = Failure("redirected", "pointed elsewhere, which is never followed")
_GARBAGE = Failure("garbage", "did not answer in HTTP")

FAILURES: dict[type[Exception], Failure] = {
    aiohttp.ClientError: Failure("disconnected", "failed in an unforeseen way"),
    aiohttp.ClientConnectionError: _DISCONNECTED,
    aiohttp.ClientConnectorError: _UNREACHABLE,
    aiohttp.ClientSSLError: _TLS,
    aiohttp.ServerFingerprintMismatch: _TLS,
    aiohttp.ConnectionTimeoutError: Failure("connect-timeout", "was too slow to connect", retry=True),
    aiohttp.ClientResponseError: _GARBAGE,
    aiohttp.ClientPayloadError: Failure("broken", "broke off its answer", retry=True),
    aiohttp.UploadAbortedError: _DISCONNECTED,
    aiohttp.InvalidURL: _UNUSABLE,
    aiohttp.NonHttpUrlClientError: _UNUSABLE,
    aiohttp.RedirectClientError: _REDIRECTED,
    aiohttp.TooManyRedirects: _REDIRECTED,
    HttpProcessingError: _GARBAGE,
    OSError: _DISCONNECTED,
    ValueError: _UNUSABLE,
}
"""What each exception means; a class that is not here means what its nearest base does."""

_RAISED = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


class HttpProvider:
    """Calls lanes over pooled connections. Make one per process; keys are read here, once.

    `closed` tells, by lane, why its key cannot be had; calling such a lane fails with `credentials`.
    """

    def __init__(self, lanes: Mapping[str, Lane], environ: Mapping[str, str]) -> None:
        self.closed: dict[str, str] = {}
        self._targets: dict[str, _Target] = {}
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        for name, lane in lanes.items():
            try:
                self._targets[name] = _target(lane, environ)
            except LaneError as error:
                self.closed[name] = str(error)

    def renewed(self, lanes: Mapping[str, Lane], environ: Mapping[str, str]) -> HttpProvider:
        """One for other lanes that shares this one's connections; closing either closes them all."""
        other = HttpProvider(lanes, environ)
        other._sessions = self._sessions
        return other

    def call(self, lane: Lane, body: bytes, *, stream: bool) -> AbstractAsyncContextManager[HttpReply]:
        """Send `body` to `lane`; entering waits for the answer's head and raises LaneError without one."""
        return _Call(self, lane.name, body, stream=stream)

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        for session in self._sessions.values():
            await session.close()

    async def _post(self, lane: str, body: bytes, *, stream: bool) -> aiohttp.ClientResponse:
        target = self._targets.get(lane)
        if target is None:
            raise LaneError("credentials", self.closed.get(lane, f"lane `{lane}` is not known here"))
        headers = {**target.headers, "Accept": "text/event-stream" if stream else "application/json"}
        data: bytes | AsyncIterator[bytes] = body
        if len(body) > _WHOLE:
            # aiohttp warns of larger bodies, as one write of them would hold up everything else.
            data, headers["Content-Length"] = _pieces(body), str(len(body))
        return await self._session(target.socket).post(target.url, data=data, headers=headers, allow_redirects=False)

    def _session(self, socket: str | None) -> aiohttp.ClientSession:
        session = self._sessions.get(socket)
        if session is None:
            session = self._sessions[socket] = _open(socket)
        return session


class HttpReply:
    """The Reply of an HttpProvider."""

    __slots__ = ("_content", "_lane", "status")

    def __init__(self, lane: str, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._lane = lane
        self._content = response.content

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive; LaneError `broken` or `too-large` where they cannot be had."""
        got = 0
        while True:
            try:
                chunk = await self._content.readany()
            except _RAISED as error:
                why = f"lane `{self._lane}` broke off its answer ({type(error).__name__})"
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

    __slots__ = ("_body", "_lane", "_provider", "_response", "_stream", "_timer")

    def __init__(self, provider: HttpProvider, lane: str, body: bytes, *, stream: bool) -> None:
        self._provider = provider
        self._lane = lane
        self._body = body
        self._stream = stream
        self._response: aiohttp.ClientResponse | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> HttpReply:
        try:
            response = await self._provider._post(self._lane, self._body, stream=self._stream)
        except _RAISED as error:
            failure = _failed(self._lane, error)
        else:
            if 200 <= response.status < 300:
                self._response = response
                self._watch(response, asyncio.get_running_loop())
                return HttpReply(self._lane, response)
            try:
                failure = await _refused(self._lane, response)
            finally:
                response.close()
        raise failure

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None:
            # A body read to its end has given its connection back already; any other is cut.
            self._response.close()

    def _watch(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop) -> None:
        """Fail the body where its connection is gone, as aiohttp forgets to.

        When a chunk is malformed in mid-body, aiohttp 3.14 closes the connection without telling the
        body's reader, which then waits for ever; no time-out of its own runs any more.
        """
        connection = response.connection
        if connection is None:
            return
        transport = connection.transport
        if transport is not None and not transport.is_closing():
            self._timer = loop.call_later(_WATCH_SECONDS, self._watch, response, loop)
        elif response.content.exception() is None:
            response.content.set_exception(aiohttp.ClientPayloadError())


class _Target(NamedTuple):
    url: str
    socket: str | None
    headers: dict[str, str]


def _target(lane: Lane, environ: Mapping[str, str]) -> _Target:
    """Where and with what a lane is called. A Unix socket's path ends at `.sock`; a base path may follow."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if lane.key is not None:
        headers["Authorization"] = f"Bearer {_key(lane, lane.key, environ)}"
    base, socket = lane.url, None
    if base.startswith("unix:"):
        socket, found, rest = base.removeprefix("unix:").partition(".sock/")
        socket, base = (f"{socket}.sock" if found else socket), f"http://localhost/{rest}"
    return _Target(f"{base.rstrip('/')}/chat/completions", socket, headers)


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


def _open(socket: str | None) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector
    if socket is None:
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_IDLE_SECONDS, use_dns_cache=False, happy_eyeballs_delay=None
        )
    else:
        connector = aiohttp.UnixConnector(socket, limit=0, keepalive_timeout=_IDLE_SECONDS)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=_CONNECT_SECONDS, sock_read=None),
        read_bufsize=_PIECE,
        max_line_size=2**14,
        max_field_size=2**15,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def _failed(lane: str, error: Exception) -> LaneError:
    kind = type(error)
    failure = next(FAILURES[base] for base in kind.__mro__ if base in FAILURES)
    return LaneError(failure.code, f"lane `{lane}` {failure.says} ({kind.__name__})", retry=failure.retry)


async def _refused(lane: str, response: aiohttp.ClientResponse) -> LaneError:
    """What a status other than 2xx means."""
    status = response.status
    at = f"lane `{lane}`"
    match status:
        case 400 | 413 | 415 | 422:
            words = await _complaint(response)
            return LaneError("invalid", f"{at} calls the request invalid ({status}{words})", cause="invalid")
        case 401 | 403 | 407:
            return LaneError("credentials", f"{at} does not accept its key ({status})")
        case 404:
            return LaneError("not-found", f"{at} does not know its path or model (404)")
        case 429:
            wait = response.headers.get("Retry-After", "")
            after = f"; it asks to wait {int(wait)} s" if re.fullmatch(r"[0-9]{1,6}", wait) else ""
            return LaneError("rate-limited", f"{at} limits its rate (429){after}", cause="rate-limit")
    if 300 <= status < 400:
        return LaneError(_REDIRECTED.code, f"{at} {_REDIRECTED.says} ({status})")
    if status >= 500:
        return LaneError("server-error", f"{at} failed ({status})", retry=status in (502, 503, 504))
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


async def _complaint(response: aiohttp.ClientResponse) -> str:
    """The type and code of an error body, where they are known words: any other may be the prompt's."""
    body = b""
    try:
        async with asyncio.timeout(_DETAIL_SECONDS):
            while len(body) < _DETAIL_BYTES and (piece := await response.content.readany()):
                body += piece
        error = msgspec.json.decode(body, type=_Complaint).error
    except (*_RAISED, msgspec.MsgspecError, RecursionError):
        return ""
    return "".join(f", {word}" for word in (error.type, error.code) if isinstance(word, str) and word in _COMPLAINTS)
