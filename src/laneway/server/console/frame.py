"""frame: an exchange with a browser in, a page out: hosts, methods, headers, who is signed in and what they may.

Nothing of it needs script, and a browser may load nothing but this server's own style. Whatever changes something is
a POST from a page of this server, with what that page's session was given to send back.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hmac import compare_digest
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from laneway.errors import LanewayError, RequestError, shown
from laneway.review.people import ROLES, Role
from laneway.server.api import body_of, headers_of
from laneway.server.console import decisions, overview, policies, queue, week
from laneway.server.console.site import Asked, Denied, Reply, Site
from laneway.server.http import Exchange

__all__ = ["HEADERS", "Console"]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""What every response carries."""

_TEXT = {"content-type": "text/plain; charset=utf-8"}
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS, _MOST_BYTES, _MOST_TOKEN = 40, 4 * 1024 * 1024, 4096
_MOST = 32
_SIGN_IN = "/sign-in"
_ONCE = ("origin", "sec-fetch-site", "cookie", "content-length", "transfer-encoding")

_log = logging.getLogger("laneway")


class _Route(NamedTuple):
    """Which page: its path, who may have it (nobody need be signed in where that is empty), and what makes it."""

    method: str
    path: re.Pattern[str]
    roles: tuple[Role, ...]
    make: Callable[..., Awaitable[Reply]]


def _get(path: str, make: Callable[..., Awaitable[Reply]], roles: tuple[Role, ...] = ROLES) -> _Route:
    return _Route("GET", re.compile(path), roles, make)


def _post(path: str, make: Callable[..., Awaitable[Reply]], roles: tuple[Role, ...] = ROLES) -> _Route:
    return _Route("POST", re.compile(path), roles, make)


async def _style(site: Site, asked: Asked) -> Reply:  # noqa: ARG001
    return Reply(200, site.pages.style, {"content-type": "text/css; charset=utf-8"})


async def _sign_in_page(site: Site, asked: Asked, wrong: str = "", status: int = 200) -> Reply:
    on = _local(asked.form.get("next", asked.query.get("next", "/")))
    nobody = not site.people.all()
    return await site.page(asked, "sign_in.html", "Sign in", status=status, next=on, wrong=wrong, nobody=nobody)


async def _sign_in(site: Site, asked: Asked) -> Reply:
    wait = site.sessions.wait()
    if wait:
        wrong = f"Too many wrong tokens were given. Try again in {wait:.0f} seconds."
        return await _sign_in_page(site, asked, wrong, 429)
    cookie = site.sessions.start(asked.form.get("token", "").strip())
    if cookie is None:
        wrong = "This is nobody's token. Whoever runs Laneway gives you one, by `laneway reviewers add`."
        return await _sign_in_page(site, asked, wrong, 403)
    site.sessions.end(asked.cookie)
    site.chain.begin()
    kept = f"{_cookie_name(asked.host)}={cookie}; Path=/; HttpOnly; SameSite=Strict"
    return Reply.to(_local(asked.form.get("next", "/")), set_cookie=kept)


async def _sign_out(site: Site, asked: Asked) -> Reply:
    site.sessions.end(asked.cookie)
    gone = f"{_cookie_name(asked.host)}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    return Reply.to(_SIGN_IN, set_cookie=gone)


_ROUTES = (
    _get(r"/console\.css", _style, ()),
    _get(_SIGN_IN, _sign_in_page, ()),
    _post(_SIGN_IN, _sign_in, ()),
    _post(r"/sign-out", _sign_out),
    _get(r"/", overview.show),
    _get(r"/decisions", decisions.show),
    _get(r"/decisions/(?P<id>[^/]{1,200})", decisions.one),
    _get(r"/queue", queue.show),
    _get(r"/queue/(?P<id>[^/]{1,200})", queue.one),
    _post(r"/queue/(?P<id>[^/]{1,200})", queue.act, ("review",)),
    _get(r"/review", week.show),
    _get(r"/policy", policies.show),
    _get(r"/policy/(?P<hash>[0-9a-f]{1,64})", policies.show),
)


class Console:
    """What answers on the admin address."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._in_flight = 0

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        self._in_flight += 1
        try:
            reply = await self._reply(exchange)
        except (RequestError, Denied) as error:
            reply = Reply(error.status, f"{error}\n".encode(), _TEXT)
        except asyncio.CancelledError:  # the server's end
            reply = Reply(503, b"Laneway is stopping.\n", _TEXT)
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: nothing of what is held gets out
            _log.error("internal error of the console: %s", type(error).__name__)
            reply = Reply(500, b"Laneway failed inside; nothing was changed by this page.\n", _TEXT)
        finally:
            self._in_flight -= 1
        closing = {"connection": "close"} if reply.status in (408, 413) else {}
        exchange.whole(reply.status, HEADERS | dict(reply.headers) | closing, reply.body)

    async def _reply(self, exchange: Exchange) -> Reply:
        if self._in_flight > _MOST:
            raise Denied(503, "Too many pages are asked for at once", "Try again.")
        headers = headers_of(exchange)
        _once(exchange)
        path, _, query = exchange.target.decode("latin-1").partition("?")
        asked = Asked(exchange.method.decode("latin-1"), path, headers.get("host", "localhost"), _fields(query))
        asked = replace(asked, cookie=_cookie(headers.get("cookie", ""), _cookie_name(asked.host)))
        try:
            asked = self._known(asked)
            return await self._made(exchange, headers, asked)
        except Denied as error:
            return await self.site.page(asked, "denied.html", error.title, status=error.status, message=f"{error}",
                                        link=error.link, written=error.written)  # fmt: skip
        except RequestError:
            raise
        except LanewayError as error:  # the log or the reviewers' file cannot be used
            return await self.site.page(asked, "denied.html", "This cannot be shown now", status=503,
                                        message=f"{error}", link=None, written=())  # fmt: skip

    def _known(self, asked: Asked) -> Asked:
        known = self.site.sessions.of(asked.cookie) if asked.cookie else None
        return asked if known is None else replace(asked, session=known[0], person=known[1])

    async def _made(self, exchange: Exchange, headers: dict[str, str], asked: Asked) -> Reply:
        method = "GET" if asked.method == "HEAD" else asked.method
        fitting = [(route, match) for route in _ROUTES if (match := route.path.fullmatch(asked.path))]
        if not fitting:
            raise Denied(404, "There is no such page", "The list of decisions may have what you look for.",
                         ("/decisions", "All decisions"))  # fmt: skip
        route, match = next(((r, m) for r, m in fitting if r.method == method), (None, None))
        if route is None or match is None:
            raise Denied(
                405, "This page does not take that", f"{asked.path} is there, but not for {shown(asked.method)}."
            )
        if method == "POST":
            _from_here(headers)
            asked = replace(
                asked, form=await _posted(exchange, headers, _MOST_TOKEN if asked.path == _SIGN_IN else _MOST_BYTES)
            )
            if route.roles and asked.session is not None:
                _expected(asked)
        elif headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Denied(400, "This cannot be read", "A page is asked for without a body.")
        if route.roles and asked.person is None:
            if method == "GET":
                return Reply.to(f"{_SIGN_IN}?next={quote(exchange.target.decode('latin-1'), safe='')}")
            raise Denied(403, "You are not signed in any more", "Nothing was changed. Sign in, and do it again.",
                         (_SIGN_IN, "Sign in"), _written(asked))  # fmt: skip
        if route.roles and asked.person is not None and asked.person.role not in route.roles:
            raise Denied(403, "You may not do this", f"{asked.person.name} may {asked.person.role}; this takes "
                         f"{' or '.join(route.roles)}. Nothing was changed.")  # fmt: skip
        return await route.make(self.site, asked, **match.groupdict())


def _once(exchange: Exchange) -> None:
    names = [name.decode("latin-1").lower() for name, _ in exchange.headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise Denied(400, "This cannot be read", f"Header {name} is given twice.")


def _from_here(headers: dict[str, str]) -> None:
    """Refuse what a page of another server, or no page at all, sends. A browser says where a form comes from.

    Pages have no referrer, so that their forms come with the origin `null`; then Sec-Fetch-Site must speak for them.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    own = origin == f"http://{headers.get('host', '').lower()}"
    if site not in (None, "same-origin") or not (own or (site == "same-origin" and origin in (None, "null"))):
        raise Denied(403, "This did not come from a page of the console", "Nothing was changed.", ("/", "Overview"))


def _expected(asked: Asked) -> None:
    """Refuse a form that does not bring what its session was given."""
    assert asked.session is not None
    if not compare_digest(asked.form.get("csrf", "").encode(), asked.session.csrf.encode()):
        link = (asked.path if asked.path.startswith("/queue/") else "/", "Open the page again")
        message = "Nothing was changed. Open the page again."
        raise Denied(403, "This form is from an earlier sign-in", message, link, _written(asked))


def _written(asked: Asked) -> tuple[str, ...]:
    """The texts of a form that is refused; it came from a page of ours, in the browser that wrote them."""
    return tuple(text for name in ("text", "extract", "comment") if (text := asked.form.get(name)))


async def _posted(exchange: Exchange, headers: dict[str, str], most: int) -> dict[str, str]:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Denied(415, "This cannot be read", f"A form is sent as {_FORM}.")
    body = await body_of(exchange, headers, most)
    try:
        return _fields(body.decode("ascii"))
    except UnicodeDecodeError:
        raise Denied(400, "This cannot be read", "The form is not as browsers send it.") from None


def _fields(text: str) -> dict[str, str]:
    """The fields of a query or a form, each once."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise Denied(400, "This cannot be read", "The query or form is not as browsers send it.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise Denied(400, "This cannot be read", "The query or form names something twice.")
    return dict(pairs)


def _cookie_name(host: str) -> str:
    """One for each port: browsers keep cookies by host alone."""
    return f"laneway_{host.rpartition(':')[2] if ':' in host else 80}".rstrip("]")


def _cookie(header: str, name: str) -> str:
    """The value of the cookie of that name; none where another page of this host set a second one."""
    found = [value for part in header.split(";") for key, _, value in [part.strip().partition("=")] if key == name]
    return found[0] if len(found) == 1 and found[0].isascii() else ""


def _local(path: str) -> str:
    """Where to go on to: a page of this server, or else the first one."""
    return path if re.fullmatch(r"/(?:[\w.~!$&'()*+,;=:@%?-][\w.~!$&'()*+,;=:@%/?-]*)?", path, re.ASCII) else "/"
