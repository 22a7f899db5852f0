"""The console over plain HTTP: what every response carries, and what is refused before anything is shown or done."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
from click.testing import CliRunner
from tests.acceptance.test_reviews import SINCE, Desk
from tests.console import looked
from tests.harness import run

from laneway.cli import main
from laneway.review.people import FILE, People
from laneway.server.console.frame import HEADERS
from laneway.server.console.signin import LASTS, MOST_FAILURES, Sessions
from laneway.server.console.site import Site

FORM = "application/x-www-form-urlencoded"
PAGES = ("/", "/queue", "/decisions", "/review", "/policy")


class Got:
    """A response."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status, self.text = status, text
        self.headers = {name.lower(): value for name, value in headers.items()}


class Visitor:
    """Who asks the console without a browser, and so may send what no browser does."""

    def __init__(self, made: Desk, url: str, site: Site, session: aiohttp.ClientSession) -> None:
        self.made, self.url, self.site, self._session = made, url, site, session
        self.cookie = ""

    async def ask(self, method: str, path: str, data: str | None = None, **headers: str) -> Got:
        """One request; `headers` have `_` for `-`, and an empty one is left out."""
        sent = {"cookie": self.cookie, "origin": self.url, "content_type": FORM if data is not None else ""} | headers
        named = {name.replace("_", "-"): value for name, value in sent.items() if value}
        async with self._session.request(
            method, self.url + path, data=data, headers=named, allow_redirects=False
        ) as got:
            assert {name: got.headers.get(name) for name in HEADERS} == HEADERS
            return Got(got.status, got.headers, await got.text())

    async def sign_in(self, who: str = "Anna") -> Got:
        """Sign in, and keep the cookie."""
        got = await self.ask("POST", "/sign-in", urlencode({"token": self.made.tokens[who], "next": "/"}))
        self.cookie = got.headers["set-cookie"].partition(";")[0]
        return got

    async def csrf(self) -> str:
        """What a form must send back."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.ask("GET", "/")).text)
        assert found is not None
        return found[1]


def visited(folder: Path, test: Callable[[Visitor], Awaitable[None]]) -> None:
    """Run a test against a console."""

    async def whole() -> None:
        jar = aiohttp.DummyCookieJar()
        async with (
            looked(folder) as (made, url, site),
            aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False) as http,
        ):
            await test(Visitor(made, url, site, http))

    run(whole)


def test_every_response_is_shut_in(tmp_path: Path) -> None:
    """Pages, errors, styles and redirects all carry the policy; a page holds no script, no style and no handler."""

    async def test(it: Visitor) -> None:
        await it.sign_in()
        for path in (*PAGES, "/console.css", "/sign-in", "/nowhere", "/decisions/none", "/queue/none", "/policy/abc"):
            got = await it.ask("GET", path)
            assert got.headers["cache-control"] == "no-store"
            if not path.endswith(".css"):
                assert not re.search(r"<script|<style|\son\w+=|style=", got.text), path
            assert (await it.ask("HEAD", path)).status == got.status
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert (await it.ask(method, "/queue")).status == 405

    visited(tmp_path, test)


def test_a_foreign_name_is_turned_away(tmp_path: Path) -> None:
    """A Host that is not loopback gets nothing, not even the sign-in."""

    async def test(it: Visitor) -> None:
        for host in ("evil.example", "127.0.0.1.evil.example", "0.0.0.0:80", "localhost.evil:4181", "x"):
            for path in ("/", "/sign-in", "/console.css"):
                assert (await it.ask("GET", path, host=host)).status == 403
        assert (await it.ask("GET", "/sign-in", host="localhost:4181")).status == 200

    visited(tmp_path, test)


def test_what_no_page_of_ours_sends_changes_nothing(tmp_path: Path) -> None:
    """Without the session's own word, from another origin or as another type a form is refused."""

    async def test(it: Visitor) -> None:
        told = await it.made.held()
        await it.sign_in("Bo")
        token, place = await it.csrf(), f"/queue/{told['review']}"
        form = {"action": "reject", "comment": "No."}
        good = urlencode(form | {"csrf": token})
        for bad, headers in (
            (urlencode(form), {}),
            (urlencode(form | {"csrf": token[1:] + "A"}), {}),
            (urlencode(form | {"csrf": ""}), {}),
            (good, {"origin": ""}),
            (good, {"origin": "null"}),
            (good, {"origin": "http://evil.example"}),
            (good, {"origin": it.url.replace("127.0.0.1", "localhost")}),
            (good, {"origin": "http://127.0.0.1:1"}),
            (good, {"sec_fetch_site": "cross-site"}),
            (good, {"sec_fetch_site": "same-site"}),
            (good, {"cookie": it.cookie + "A"}),
            (good, {"cookie": f"{it.cookie}; {it.cookie}"}),
            (good, {"cookie": ""}),
        ):
            assert (await it.ask("POST", place, bad, **headers)).status == 403, headers
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
            assert (await it.ask("POST", place, good, content_type=kind)).status == 415
        assert (await it.ask("POST", place, good + "&action=approve")).status == 400
        assert (await it.ask("POST", place, "&".join(f"a{i}=1" for i in range(99)))).status == 400
        assert (await it.ask("GET", place + "?" + good)).status == 200
        assert told["review"] in it.made.bench.gateway.desk.items
        assert (await it.ask("POST", place, good, origin="null", sec_fetch_site="same-origin")).status == 303
        assert told["review"] not in it.made.bench.gateway.desk.items

    visited(tmp_path, test)


def test_an_auditor_can_change_nothing(tmp_path: Path) -> None:
    """Every act of an auditor is refused, with a good form as with a bad one."""

    async def test(it: Visitor) -> None:
        told = await it.made.held()
        await it.sign_in("Cleo")
        for action in ("approve", "edit", "reject", "send", "reclassify", "expire", ""):
            form = urlencode({"csrf": await it.csrf(), "action": action, "comment": "x", "text": "x", "lane": "home"})
            assert (await it.ask("POST", f"/queue/{told['review']}", form)).status == 403
        story = it.made.bench.story(told["review"])
        assert story.resolutions == () and told["review"] in it.made.bench.gateway.desk.items

    visited(tmp_path, test)


def test_a_proposed_extract_stands_in_its_box_and_erased_words_leave_a_rejection(tmp_path: Path) -> None:
    """The second person has the first one's extract and class before them; an erased item has one button."""

    async def test(it: Visitor) -> None:
        told = await it.made.held(headers={"laneway-sensitivity": "confidential", "laneway-subject": "matter 1"})
        id, board = told["review"], it.made.bench.gateway.desk
        two = msgspec.structs.replace(board.items[id].review, eyes=2)
        board.items[id].review = two
        await it.made.act(id, "reclassify", "Bo", text="Is a day enough?", to="public", comment="x")
        await it.sign_in()
        page = (await it.ask("GET", f"/queue/{id}")).text
        assert re.search(r'<textarea id="extract"[^>]*>Is a day enough\?</textarea>', page)
        assert '<option value="public" selected>' in page
        assert "0 of 2 approved the answer, and 1 of 2 the proposed extract." in page
        await it.made.call("POST", "/erasures", None, subject="matter 1", by="Anna", why="asked for")
        assert "its words were erased" in (await it.ask("GET", "/queue")).text
        page = (await it.ask("GET", f"/queue/{id}")).text
        assert "were erased: it can only be rejected" in page
        assert re.findall(r'name="action" value="(\w+)"', page) == ["reject"]
        form = urlencode({"csrf": await it.csrf(), "action": "reject", "comment": "gone"})
        assert (await it.ask("POST", f"/queue/{id}", form)).headers["location"] == "/queue?done=rejected"

    visited(tmp_path, test)


def test_wrong_tokens_are_heard_a_few_times(tmp_path: Path) -> None:
    """After ten wrong tokens in a minute even a right one waits; a sign-in body is short."""

    async def test(it: Visitor) -> None:
        for _ in range(MOST_FAILURES):
            assert (await it.ask("POST", "/sign-in", "token=lwr_wrong")).status == 403
        assert (await it.ask("POST", "/sign-in", urlencode({"token": it.made.tokens["Bo"]}))).status == 429
        assert (await it.ask("POST", "/sign-in", "token=" + "x" * 5000)).status == 413

    visited(tmp_path, test)


def test_a_sign_in_leads_only_here(tmp_path: Path) -> None:
    """Where to go on to is a page of this server, whatever a link says, and never a second header."""

    async def test(it: Visitor) -> None:
        token = it.made.tokens["Bo"]
        for to in (
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "/x\r\nset-cookie: a=b",
            "",
        ):
            got = await it.ask("POST", "/sign-in", urlencode({"token": token, "next": to}))
            assert got.headers["location"] == "/" and "a=b" not in got.headers["set-cookie"]
        await it.sign_in()
        got = await it.ask("GET", "/decisions?" + urlencode({"id": "x\r\nset-cookie: a=b"}))
        assert got.status == 303 and "set-cookie" not in got.headers

    visited(tmp_path, test)


def test_damage_is_shown_on_every_page(tmp_path: Path) -> None:
    """A record that was changed is named above every page, and in its row and its story."""

    async def test(it: Visitor) -> None:
        ids = [(await it.made.bench.ask(f"Hello {i}")).headers["laneway-decision"] for i in range(4)]
        with closing(sqlite3.connect(it.made.bench.log)) as db:
            db.execute("DROP TRIGGER record_unchanged")
            db.execute(
                "UPDATE record SET body = CAST(replace(body, 'internal', 'public') AS BLOB) WHERE decision = ? AND kind = 'intent'",
                [ids[1]],
            )
            db.commit()
        await it.sign_in()
        for _ in range(200):
            if it.site.chain.problem:
                break
            await it.ask("GET", "/sign-in")
        for path in PAGES:
            text = (await it.ask("GET", path)).text
            assert "The log is damaged" in text and ids[1] in text, path
        assert (await it.ask("GET", "/decisions?chain=damaged")).text.count('class="mark') == 1
        assert "was changed" in (await it.ask("GET", f"/decisions/{ids[1]}")).text

    visited(tmp_path, test)


def test_an_unknown_id_names_the_nearest(tmp_path: Path) -> None:
    """A mistyped id is answered with the one that was meant, and the start of one leads to it."""

    async def test(it: Visitor) -> None:
        id = (await it.made.bench.ask("Hello")).headers["laneway-decision"]
        await it.sign_in("Cleo")
        wrong = await it.ask("GET", f"/decisions/{id[:-1]}x")
        assert wrong.status == 404 and id in wrong.text
        assert (await it.ask("GET", f"/decisions/{id[:15]}")).headers["location"] == f"/decisions/{id}"
        for query in ("status=gone", "since=yesterday", "until=2026-13-01", "since=9999-12-31T23:59"):
            assert (await it.ask("GET", f"/decisions?{query}")).status in (200, 400)

    visited(tmp_path, test)


def test_a_session_ends_by_time_and_with_its_token(tmp_path: Path) -> None:
    """Eight hours after the sign-in, or when the person is removed or given another token, a cookie is nobody's."""
    now = [0.0]
    people = People(tmp_path / FILE)
    sessions = Sessions(people, lambda: now[0])
    token = people.add("Anna", "review", (), SINCE)
    cookie, other = sessions.start(token), sessions.start(token)
    assert cookie and other and cookie != other
    found = sessions.of(cookie)
    assert found is not None and found[1].name == "Anna"
    now[0] = LASTS + 1
    assert sessions.of(cookie) is None
    again = sessions.start(token)
    assert again is not None
    people.remove("Anna")
    people.add("Anna", "review", (), SINCE)
    assert sessions.of(again) is None and sessions.of("") is None


def test_a_receipt_is_the_same_page_as_a_file(tmp_path: Path) -> None:
    """`why --html` writes what the console shows of a decision, whole in itself and without what was asked."""

    async def test(it: Visitor) -> None:
        it.made.bench.home.answer = "A secret answer."
        told = await it.made.held("A secret question?")
        await it.made.act(told["review"], "approve")
        await it.sign_in("Cleo")
        shown = (await it.ask("GET", f"/decisions/{told['review']}")).text
        file = tmp_path / "receipt.html"
        arguments = ["why", told["review"], "--log", str(it.made.bench.log), "--html", str(file)]
        assert CliRunner().invoke(main, arguments).exit_code == 0
        kept = file.read_text("utf-8")
        sections = re.findall(r"<section.*?</section>", kept, re.S)
        assert len(sections) > 5 and all(section in shown for section in sections)
        for text in (kept, shown):
            assert "approval by Anna" in text and "follows from the one before" in text and "secret" not in text
        assert not re.search(r"<script|<link|<img|https?://(?!www.w3.org)", kept)

    visited(tmp_path, test)
