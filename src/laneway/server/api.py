"""api: an exchange with a client in, the gateway's answer out, in the wire's own shapes. Owns paths and status codes.

Without a framework, as the hot path is one endpoint. No more requests than `most` are in flight: the next is turned
away at once, unrecorded, before it costs anything. A client that takes nothing for STALL seconds is hung up on. Until
client keys exist everything here is for loopback only: a request whose Host is another name (DNS rebinding) or
whose body is not JSON (a web form) is refused. So is what could be a label and stands where nobody reads it.
What is said of an answer afterwards is taken at `/v1/feedback`, and an operator's lever at `/v1/levers`, however many
requests are in flight.
"""

from __future__ import annotations

import asyncio
import logging
import re
from urllib.parse import parse_qs

import msgspec

from laneway.addresses import is_loopback
from laneway.errors import ContentError, LogError, RequestError, shown
from laneway.feedback import put
from laneway.gateway import Gateway
from laneway.refusal import HALTED, Stopped
from laneway.review.item import Waiting
from laneway.server import erasures, reviews, words
from laneway.server.http import MAX_BODY, Exchange, Gone, TooLong
from laneway.server.pulls import pulled
from laneway.server.status import closed, lanes, metrics
from laneway.store import Signing
from laneway.wire import openai, openai_reply

__all__ = ["MAX_BODY", "MOST_REQUESTS", "STALL", "Api", "body_of", "headers_of"]

MOST_REQUESTS = 1_000
"""How many requests may be in flight at once, where the server is not told otherwise."""

STALL = 30.0
"""Seconds for which a client may send nothing of a body that it announced, or take nothing of what it is sent."""

_PIECE = 65_536
_JSON = {"content-type": "application/json"}
_log = logging.getLogger("laneway")
_CHAT = "/v1/chat/completions"
_FEEDBACK = "/v1/feedback"
_REVIEWS = "/v1/reviews/"
_LEVERS = "/v1/levers"
_ERASURES = "/v1/erasures"
_GET = ("/v1/models", "/health", "/ready", "/lanes", "/metrics")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"} | dict.fromkeys(
    (400, 404, 405, 408, 409, 410, 413, 415), "invalid_request_error"
)


class _Reply:
    """One response on its way: the gateway's Receiver over an Exchange. A client gets more once it has taken enough."""

    def __init__(self, exchange: Exchange) -> None:
        self._to = exchange

    @property
    def started(self) -> bool:
        """Whether a byte of the response was sent."""
        return self._to.started

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:
        """Status 200 and headers."""
        self._to.begin(200, _fixed(stream=stream) | headers)

    async def write(self, data: bytes) -> None:
        """Part of a body."""
        if self._to.full:
            await self._to.room(STALL)
        self._to.write(data)

    async def finish(self, data: bytes, headers: dict[str, str], *, stream: bool) -> None:
        """The rest of a body."""
        if not self.started and not stream and len(data) <= _PIECE:
            self._to.whole(200, _fixed(stream=False) | headers, data)
            return
        if not self.started:
            await self.begin(headers, stream=stream)
        # In pieces, so that the whole answer of a client who is slow to read does not lie in its buffer.
        for at in range(0, len(data), _PIECE):
            await self.write(data[at : at + _PIECE])
        self._to.end()


def _fixed(*, stream: bool) -> dict[str, str]:
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    return {"content-type": kind, "cache-control": "no-store"}


class Api:
    """What answers over one Gateway. Once `stopping` is set, it finishes what it has and takes no more.

    `signing` keeps checkpoints of the gateway's log, where that was asked for.
    """

    def __init__(self, gateway: Gateway, most: int = MOST_REQUESTS, signing: Signing | None = None) -> None:
        self.gateway, self.most, self.signing = gateway, most, signing
        self.in_flight = self.shed = 0
        self.stopping = False
        self._speaking = asyncio.Lock()  # whether a word is news is seen, and then it is written

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            await self._answer(exchange, headers_of(exchange))
        except RequestError as error:
            await _refuse(exchange, error.status, error.code, str(error), error.param, {})
        except Stopped as error:
            await _refuse(exchange, error.status, error.code, str(error), None, error.details)
        except Waiting as waiting:
            await _wait(exchange, waiting)
        except ContentError as error:
            _log.error("kept content failed: %s", error)
            await _refuse(exchange, 503, "content_unavailable", f"{error}", None, {})
        except LogError as error:
            _log.error("the log failed: %s", error)
            message = (
                "The decision log cannot be written, so nothing is answered. Its owner must make room or repair it."
            )
            await _refuse(exchange, 503, "log_unavailable", message, None, {})
        except asyncio.CancelledError:  # not the client's end, which `_chat` knows, but the server's
            await _refuse(exchange, 503, "stopping", "Laneway is stopping; send the request again later.", None, {})
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: no text of ours or the client's gets out
            _log.error("internal error: %s", type(error).__name__)
            message = "Laneway failed inside; nothing more was sent."
            await _refuse(exchange, 500, "internal_error", message, None, {})

    async def _answer(self, exchange: Exchange, headers: dict[str, str]) -> None:
        method, (path, _, query) = exchange.method, exchange.target.decode("latin-1").partition("?")
        if path in (_CHAT, _FEEDBACK) and method == b"POST":
            self._admit()
            self.in_flight += 1
            try:
                await (self._chat if path == _CHAT else self._feedback)(exchange, headers, query)
            finally:
                self.in_flight -= 1
        elif path == _LEVERS and method == b"POST":
            body = await _posted(exchange, headers, query, words.MAX_BODY)
            exchange.whole(200, _JSON, msgspec.json.encode(await pulled(self.gateway, body, headers)))
        elif path == _ERASURES and method == b"POST":
            body = await _posted(exchange, headers, query, words.MAX_BODY)
            exchange.whole(200, _JSON, msgspec.json.encode(await erasures.erased(self.gateway, body)))
        elif path == "/metrics" and method == b"GET":
            exchange.whole(200, {"content-type": "text/plain; version=0.0.4"}, self._metrics().encode())
        elif path.startswith(_REVIEWS) and method == b"GET" and query:
            await self._review(exchange, path.removeprefix(_REVIEWS), query)
        elif f"{path}/".startswith(_REVIEWS) and method in (b"GET", b"POST"):
            await self._desk(exchange, headers, path.removeprefix(_REVIEWS[:-1]).removeprefix("/"), query)
        elif path in _GET and method == b"GET":
            status, body = getattr(self, f"_{path.rsplit('/', 1)[1]}")()
            exchange.whole(status, _JSON, msgspec.json.encode(body))
        elif path in (_CHAT, _FEEDBACK, _LEVERS, _ERASURES, *_GET):
            raise RequestError(405, "method_not_allowed", f"{path} does not take this method")
        else:
            known = f"{_CHAT}, {_FEEDBACK}, {_LEVERS}, {_ERASURES}, {_REVIEWS}ID, {', '.join(_GET[:-1])} and {_GET[-1]}"
            raise RequestError(404, "unknown_path", f"no such path; this server has {known}")

    async def _review(self, exchange: Exchange, id: str, query: str) -> None:
        """The answer that a person released, to whoever holds its ticket."""
        (ticket,) = parse_qs(query).get("ticket", [""])[:1]
        opening, words = await self.gateway.desk.fetch(id, ticket)
        made = openai_reply.completion(id, opening.model, words.text, words.tool_calls, words.tokens)
        headers = _JSON | {"laneway-decision": id, "laneway-review": "released", "cache-control": "no-store"}
        exchange.whole(200, headers, msgspec.json.encode(made))

    async def _desk(self, exchange: Exchange, headers: dict[str, str], id: str, query: str) -> None:
        """What waits, to people who may review or audit; and what they do with it."""
        by, gateway = reviews.who(self.gateway, headers), self.gateway
        if exchange.method == b"POST":
            made = await reviews.act(gateway, by, id, await _posted(exchange, headers, query, reviews.MAX_BODY))
        else:
            made = await reviews.item(gateway, by, id) if id else await reviews.items(gateway, by)
        exchange.whole(200, _JSON | {"cache-control": "no-store"}, msgspec.json.encode(made))

    def _admit(self) -> None:
        """Turn a request away before anything of it is read, where it is one too many."""
        if self.stopping:
            raise Stopped(503, "stopping", "Laneway is stopping; send the request again later.", retry_after=1)
        if self.in_flight >= self.most:
            self.shed += 1
            message = f"{self.most} requests are in flight, the most that this server takes; send it again later."
            raise Stopped(429, "overloaded", message, retry_after=1)

    async def _chat(self, exchange: Exchange, headers: dict[str, str], query: str) -> None:
        body = await _posted(exchange, headers, query, MAX_BODY)
        exchange.watched = True
        try:
            await self.gateway.chat(body, headers, _Reply(exchange))
        except asyncio.CancelledError:
            chat = asyncio.current_task()
            if not exchange.gone or chat is None:
                raise
            chat.uncancel()  # the client went away: the record is written, and nobody is left to tell
        finally:
            exchange.watched = False

    async def _feedback(self, exchange: Exchange, headers: dict[str, str], query: str) -> None:
        word = words.read(await _posted(exchange, headers, query, words.MAX_BODY), headers)
        async with self._speaking:
            kept = await put(self.gateway.log, word)
            if kept.turned:  # nothing else changes what counts, and a flood of words is not to be counted each time
                await self.gateway.heard()
        said = {"decision": word.id, "accepted": word.accepted, "user": word.by, "source": word.source,
                "recorded": kept.new}  # fmt: skip
        exchange.whole(200, _JSON, msgspec.json.encode(said))

    def _models(self) -> tuple[int, object]:
        policy = self.gateway.active.policy
        names = ["auto", *policy.workloads, *(f"lane/{lane}" for lane in policy.lanes)]
        return 200, {"object": "list", "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "laneway"} for name in names
        ]}  # fmt: skip

    def _health(self) -> tuple[int, object]:
        return 200, {"status": "ok"}

    def _ready(self) -> tuple[int, object]:
        gateway = self.gateway
        policy, shut = gateway.active.policy, closed(gateway)
        states = {name: shut.get(name, "open") for name in policy.lanes}
        able = gateway.log.failure is None and any(state == "open" for state in states.values())
        usable = able and not self.stopping
        status = "stopping" if self.stopping else "ready" if able else "not ready"
        state = {"status": status, "policy": policy.hash, "lanes": states, "log": gateway.log.failure or "ok",
                 "refused_policy": gateway.refused, "levers": gateway.levers.says,
                 "checkpoint": self.signing.state() if self.signing else "off"}  # fmt: skip
        return (200 if usable else 503), state

    def _lanes(self) -> tuple[int, object]:
        return 200, lanes(self.gateway)

    def _metrics(self) -> str:
        gateway = self.gateway
        return metrics(gateway, in_flight=self.in_flight, shed=self.shed, log_ok=gateway.log.failure is None)


_ONCE = ("host", "content-type")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?")


def headers_of(exchange: Exchange) -> dict[str, str]:
    """Header names in lower case. Raises RequestError for a header that may stand once only, and a foreign Host."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in exchange.headers:
        name = raw_name.decode("latin-1").lower()
        if name in headers and (name in _ONCE or name.startswith("laneway-")):
            raise RequestError(400, "duplicate_header", f"header {shown(name)} is given twice; send it once")
        headers[name] = _label(raw_value) if name.startswith("laneway-") else raw_value.decode("latin-1")
    if "host" not in headers and exchange.version == "1.0":  # which knew no Host
        return headers
    host = _HOST.fullmatch(headers.get("host", ""))
    if host is None or not is_loopback(host[1] or host[2]):
        message = "this server answers to localhost only, until client keys exist: send `Host: localhost` or 127.0.0.1"
        raise RequestError(403, "foreign_host", message)
    return headers


def _label(value: bytes) -> str:
    """A label as it was meant: names are sent as UTF-8 by most, and must be those that reviewers and erasures know."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _unread(what: str) -> RequestError:
    message = (
        f"{what} is not read here, and could be meant as a label; send labels as headers such as "
        "`Laneway-Sensitivity`, or in `metadata`"
    )
    return RequestError(400, "misplaced_label", message)


async def _posted(exchange: Exchange, headers: dict[str, str], query: str, most: int) -> bytes:
    """The JSON body of a request that has nothing beside it; at most `most` bytes."""
    if query:
        raise _unread("a query string")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestError(415, "not_json", "send the request as content-type: application/json")
    body = await body_of(exchange, headers, most)
    if exchange.late or "trailer" in headers:
        raise _unread("a field after the body")
    return body


async def body_of(exchange: Exchange, headers: dict[str, str], most: int) -> bytes:
    """The body of a request; at most `most` bytes. Raises RequestError."""
    length = headers.get("content-length", "0")
    try:
        if length.isdecimal() and int(length) > most:
            raise TooLong
        body = await exchange.body(STALL)
        if len(body) > most:
            raise TooLong
    except TooLong:
        message = f"the body is longer than {most} bytes; send less"
        raise RequestError(413, "body_too_long", message) from None
    except TimeoutError:
        message = f"nothing of the body came for {STALL:g} s; send it at once"
        raise RequestError(408, "body_too_slow", message) from None
    except Gone:
        message = "the client went away before its request was complete"
        raise RequestError(400, "disconnected", message) from None
    return body


async def _wait(exchange: Exchange, waiting: Waiting) -> None:
    """Say that a person has the answer, and where to ask for it."""
    poll = f"{_REVIEWS}{waiting.id}?ticket={waiting.ticket}"
    told = {"object": "laneway.review", "review": waiting.id, "status": "pending", "poll": poll,
            "until": waiting.until.isoformat(timespec="seconds")}  # fmt: skip
    if exchange.started:
        message = "A person must release this answer; ask for it where `poll` says"  # programs log messages
        event = openai.error_event("review_pending", message, kind="permission_error", param=None, details=told)
        await _Reply(exchange).finish(event, {}, stream=True)
        return
    headers = {"laneway-decision": waiting.id, "laneway-review": "pending", "location": poll,
               "retry-after": str(waiting.retry_after), "cache-control": "no-store"}  # fmt: skip
    exchange.whole(202, _JSON | headers, msgspec.json.encode(told))


async def _refuse(
    exchange: Exchange, status: int, code: str, message: str, param: str | None, details: dict[str, object]
) -> None:
    """An error in the wire's own shape: a response, or the last event of a stream that has begun."""
    kind = _KINDS.get(status, "api_error")
    if exchange.started:
        event = openai.error_event(code, message, kind=kind, param=param, details=details)
        if code == "slow_reader":  # it would not read this either
            exchange.abort()
        await _Reply(exchange).finish(event, {}, stream=True)
        return
    headers = dict(_JSON)
    if "decision" in details:
        headers["laneway-decision"] = str(details["decision"])
    if status == 403 or code.startswith("held") or code in (*HALTED, "lane_refused", "feedback_full"):
        headers["x-should-retry"] = "false"
    if "retry_after" in details:
        headers["retry-after"] = str(details["retry_after"])
    if status in (408, 413) or code == "stopping":
        headers["connection"] = "close"
    exchange.whole(status, headers, openai.error_body(code, message, kind=kind, param=param, details=details))
