"""Human review over real sockets: held, seen, decided by people, and fetched by whoever asked, or never released."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import openai
import pytest
from aiohttp import web
from click.testing import CliRunner
from openai.types.chat import ChatCompletion
from tests.acceptance.test_feedback import measured
from tests.harness import Answered, Bench, bench, run
from tests.processes import served

from laneway.cli import main
from laneway.errors import UsageError
from laneway.providers.scripted import ScriptedLane
from laneway.record import Feedback
from laneway.review.people import FILE, People
from laneway.server.notify import Notifier
from laneway.store import Content, Reader
from laneway.webhook import post

FLAGS = "Clause 9 lets either side leave within a day. Which risks are there?"
ASKED = {"laneway-workload": "flags"}
SINCE = datetime.date(2026, 11, 1)


class Desk(NamedTuple):
    """A bench, and the tokens of its people."""

    bench: Bench
    tokens: dict[str, str]

    async def call(self, method: str, path: str, who: str | None = "Anna", **body: object) -> Answered:
        """One call of a reviewer's."""
        headers = {} if who is None else {"authorization": f"Bearer {self.tokens[who]}"}
        data = msgspec.json.encode(body) if body else None
        if data:
            headers["content-type"] = "application/json"
        sent = io.BytesIO(data) if data else None
        async with self.bench.session.request(method, f"{self.bench.url}{path}", data=sent, headers=headers) as reply:
            return Answered(reply.status, {k.lower(): v for k, v in reply.headers.items()}, await reply.read())

    async def held(self, text: str = FLAGS, headers: dict[str, str] | None = None, **body: object) -> Any:
        """A request that is held, and what its caller was told."""
        got = await self.bench.ask(text, ASKED | (headers or {}), **body)
        assert got.status == 202, got.body
        return got.json

    async def seen(self, id: str, who: str = "Anna") -> Any:
        """An item as a reviewer sees it."""
        got = await self.call("GET", f"/reviews/{id}", who)
        assert got.status == 200, got.body
        return got.json

    async def act(self, id: str, action: str, who: str = "Anna", **more: object) -> Answered:
        """What somebody does with an item that they have just seen."""
        if action in ("approve", "edit") and "seen" not in more:
            more["seen"] = (await self.seen(id, who)).get("seen", "")
        return await self.call("POST", f"/reviews/{id}", who, action=action, **more)

    async def poll(self, told: Any) -> Answered:
        """What the caller gets where it was told to ask."""
        return await self.call("GET", told["poll"].removeprefix("/v1"), None)


@asynccontextmanager
async def desk(folder: Path, *, callers: tuple[str, ...] = (), **changes: str) -> AsyncIterator[Desk]:
    """A bench with two reviewers and an auditor."""
    people = People(folder / FILE)
    tokens = {name: people.add(name, "review", (*callers,) if name == "Anna" else (), SINCE) for name in ("Anna", "Bo")}
    tokens["Cleo"] = people.add("Cleo", "audit", (), SINCE)
    async with bench(folder, **changes) as made:
        yield Desk(made, tokens)


def files(folder: Path) -> bytes:
    """All that is on disk of what was kept, and of the log."""
    return b"".join(path.read_bytes() for path in folder.glob("laneway.*") if path.is_file())


def test_an_answer_is_kept_back_until_it_is_approved_and_fetched_by_an_openai_client(tmp_path: Path) -> None:
    """The caller gets 202 and a ticket, a reviewer sees question and answer, and an unmodified client polls it."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            assert told["status"] == "pending"
            assert (await it.poll(told)).status == 202
            item = await it.seen(told["review"])
            assert [m["content"] for m in item["request"]] == [FLAGS]
            assert item["answer"]["text"] == "from home"
            assert (item["cause"], item["rule"], item["lane"]) == ("approval", "reviews[0]", "home")
            assert b"Clause 9" not in files(tmp_path)
            done = await it.act(told["review"], "approve")
            assert done.json["final"] is True
            client = openai.AsyncOpenAI(base_url=it.bench.url, api_key="any")
            got = await client.get(told["poll"].removeprefix("/v1"), cast_to=ChatCompletion)
            await client.close()
            assert got.choices[0].message.content == "from home"
            story = it.bench.story(told["review"])
            assert story.outcome is not None
            assert (story.outcome.entry.status, story.outcome.entry.code) == ("held", "held_for_approval")
            assert [r.entry.action for r in story.resolutions] == ["approve"]
            assert it.bench.verified()

    run(test)


def test_an_openai_client_polls_as_the_page_says(tmp_path: Path) -> None:
    """What is held has no choices; with the raw response its status and place are seen, and polled until it is released."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            client = openai.AsyncOpenAI(base_url=it.bench.url, api_key="any", default_headers=ASKED)
            said: Any = {"model": "auto", "messages": [{"role": "user", "content": FLAGS}]}
            assert (await client.chat.completions.create(**said)).choices is None
            assert [chunk async for chunk in await client.chat.completions.create(**said, stream=True)] == []
            got = (await client.chat.completions.with_raw_response.create(**said)).http_response
            place = got.headers["Location"]
            got = await client.get(place.removeprefix("/v1"), cast_to=type(got))
            assert (got.status_code, int(got.headers["Retry-After"])) == (202, 5)
            await it.act(got.headers["Laneway-Decision"], "approve")
            got = await client.get(place.removeprefix("/v1"), cast_to=type(got))
            await client.close()
            assert ChatCompletion.model_validate(got.json()).choices[0].message.content == "from home"

    run(test)


def test_an_edit_is_what_is_released_and_counts_against_the_lane(tmp_path: Path) -> None:
    """The caller gets the reviewer's words; the record holds their hash, and that the answer was not good enough."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            await it.act(told["review"], "edit", text="There is one risk: the notice of a day.", comment="clearer")
            got = await it.poll(told)
            assert got.json["choices"][0]["message"]["content"] == "There is one risk: the notice of a day."
            (word,) = it.bench.story(told["review"]).feedback
            assert word.entry == Feedback(
                id=told["review"], accepted=False, by="Anna", source="reviewer", reason="edit"
            )

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_may_wait_and_gets_the_answer_on_its_own_connection(tmp_path: Path, stream: bool) -> None:
    """With `wait` the answer comes at once when it is approved in time, whole or as a stream."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", wait: 20s") as it:
            asked = asyncio.create_task(it.bench.ask(FLAGS, ASKED, stream=stream))
            while not it.bench.gateway.desk.items:
                await asyncio.sleep(0.01)
            (id,) = it.bench.gateway.desk.items
            await it.act(id, "approve")
            got = await asked
            assert got.status == 200
            assert b"from home" in got.body
            assert got.headers["laneway-review"] == "released"
            assert got.headers["content-type"].startswith("text/event-stream" if stream else "application/json")

    run(test)


def test_what_is_rejected_is_never_released_and_its_words_are_gone(tmp_path: Path) -> None:
    """The caller is told; neither question nor answer is on any disk, encrypted or not."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            content = it.bench.gateway.desk.content
            assert content is not None
            assert (await it.act(told["review"], "reject")).error["code"] == "comment_needed"
            await it.act(told["review"], "reject", comment="It misses the cap.")
            got = await it.poll(told)
            assert (got.status, got.error["code"]) == (403, "review_rejected")
            assert [piece.part for piece in content.pieces()] == ["comment"]
            again = await it.act(told["review"], "approve", seen="x")
            assert (again.status, again.error["code"]) == (409, "review_closed")
            assert "Anna: reject" in again.error["message"]

    run(test)


def test_time_ends_an_item_and_nothing_is_released(tmp_path: Path) -> None:
    """After `within` an approval comes too late, whether or not the sweep was there first."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", within: 60s") as it:
            told, other = await it.held(), await it.held()
            seen = (await it.seen(told["review"]))["seen"]
            log = it.bench.gateway.log
            real = log.now
            log.now = lambda: real() + 61 * 10**9
            late = await it.act(told["review"], "approve", seen=seen)
            assert (late.status, late.error["code"]) == (409, "review_expired")
            got = await it.poll(other)
            assert (got.status, got.error["code"]) == (403, "review_expired")
            await it.bench.gateway.desk.sweep()
            assert it.bench.gateway.desk.items == {}
            assert [r.entry.action for r in it.bench.story(told["review"]).resolutions] == ["expire"]

    run(test)


def test_two_people_must_approve_the_same_words(tmp_path: Path) -> None:
    """With `eyes: 2` one person is not enough, not even twice; an edit takes away what was approved before it."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", eyes: 2") as it:
            told = await it.held()
            id = told["review"]
            assert (await it.act(id, "approve")).json["final"] is False
            twice = await it.act(id, "approve")
            assert (twice.status, twice.error["code"]) == (409, "already_approved")
            assert "you have approved these words already" in twice.error["message"]
            assert len(it.bench.story(id).resolutions) == 1
            assert (await it.act(id, "edit", "Bo", text="Better words")).json["final"] is False
            assert (await it.poll(told)).status == 202
            stale = await it.call("POST", f"/reviews/{id}", "Anna", action="approve", seen="what she saw before")
            assert (stale.status, stale.error["code"]) == (409, "words_changed")
            assert (await it.act(id, "approve", "Bo")).error["code"] == "already_approved"
            assert (await it.act(id, "approve", "Anna")).json["final"] is True
            assert (await it.poll(told)).json["choices"][0]["message"]["content"] == "Better words"

    run(test)


def test_nobody_reviews_their_own_request(tmp_path: Path) -> None:
    """Who asked, by any of their names, cannot decide; somebody else can."""

    async def test() -> None:
        async with desk(tmp_path, callers=("anna@firm.example",)) as it:
            for name in ("Anna", "ANNA@firm.example"):
                told = await it.held(headers={"laneway-user": name})
                own = await it.act(told["review"], "approve", seen="x")
                assert (own.status, own.error["code"]) == (403, "own_request")
                assert (await it.act(told["review"], "approve", "Bo")).json["final"] is True

    run(test)


def test_only_a_reviewer_decides_and_only_the_ticket_fetches(tmp_path: Path) -> None:
    """An auditor sees what waits and no words; a stranger sees nothing; a wrong ticket is an unknown answer."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            path = f"/reviews/{told['review']}"
            brief = (await it.call("GET", path, "Cleo")).json
            assert "answer" not in brief
            assert "request" not in brief
            refused = await it.call("POST", path, "Cleo", action="approve", seen="x")
            assert (refused.status, refused.error["code"]) == (403, "wrong_role")
            assert (await it.call("GET", "/reviews", None)).status == 401
            assert [each["review"] for each in (await it.call("GET", "/reviews")).json["data"]] == [told["review"]]
            wrong = await it.call("GET", f"{path}?ticket=guess", None)
            assert (wrong.status, wrong.error["code"]) == (404, "unknown_review")

    run(test)


def test_a_reviewer_sends_it_to_another_lane_and_reviews_that_answer(tmp_path: Path) -> None:
    """The new request is a decision of its own, linked to its source, and waits for approval again."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            item = await it.seen(told["review"])
            assert (item["lane"], item["lanes"]) == ("home", ["premium"])
            for lane, hint in (
                ("premum", "did you mean `premium`"),
                ("home", "cannot be sent to `home`; known here: premium"),
            ):
                bad = await it.act(told["review"], "send", lane=lane)
                assert (bad.status, bad.error["code"]) == (400, "lane_not_allowed")
                assert hint in bad.error["message"]
            child = (await it.act(told["review"], "send", lane="premium")).json["child"]
            while child not in it.bench.gateway.desk.items:
                await asyncio.sleep(0.01)
            assert (await it.poll(told)).status == 202
            assert (await it.seen(child))["answer"]["text"] == "from premium"
            await it.act(child, "approve", "Bo")
            assert (await it.poll(told)).json["choices"][0]["message"]["content"] == "from premium"
            assert it.bench.story(child).opening.source == told["review"]

    run(test)


def test_an_extract_goes_on_under_a_lower_label_and_the_original_never(tmp_path: Path) -> None:
    """A restricted request stays at home; the extract that a reviewer wrote is what another lane gets."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held(headers={"laneway-sensitivity": "confidential"})
            id = told["review"]
            assert (await it.seen(id))["classes"] == ["public", "internal"]
            before = len(it.bench.premium.seen)
            assert before == 0
            more = {"comment": "harmless", "to": "internal"}
            whole = await it.act(id, "reclassify", text=f"Please: {FLAGS.upper()}", **more)
            assert (whole.status, whole.error["code"]) == (400, "original_text")
            up = await it.act(id, "reclassify", text="A clause", comment="x", to="restricted")
            assert (up.status, up.error["code"]) == (400, "class_not_lower")
            text = "Prove step by step that the algorithm for notice periods terminates, and explain the trade-offs."
            child = (await it.act(id, "reclassify", text=text, **more)).json["child"]
            got = await it.poll(told)
            while got.status == 202:
                await asyncio.sleep(0.01)
                got = await it.poll(told)
            assert got.status == 200
            opening = it.bench.story(child).opening
            assert (opening.source, opening.signals.sensitivity) == (id, "internal")
            sent = b"".join(call.raw for call in it.bench.premium.seen + it.bench.home.seen[1:])
            assert text.encode() in sent
            assert b"Clause 9" not in b"".join(call.raw for call in it.bench.premium.seen)

    run(test)


def test_a_weak_answer_that_the_policy_holds_waits_for_a_person_too(tmp_path: Path) -> None:
    """`weak: [hold]` opens an item; a person may release it after all."""

    async def test() -> None:
        async with desk(tmp_path, on_weak="hold") as it:
            it.bench.home.answer = it.bench.premium.answer = ""
            got = await it.bench.ask("Hello there")
            assert got.status == 202
            item = await it.seen(got.json["review"])
            assert (item["cause"], item["rule"]) == ("weak", "gate")
            await it.act(got.json["review"], "edit", text="Good day")
            assert (await it.poll(got.json)).json["choices"][0]["message"]["content"] == "Good day"

    run(test)


def test_without_a_reviewer_nothing_is_called_for_what_needs_approval(tmp_path: Path) -> None:
    """As nobody could release it, it is held at once, and no lane has it."""

    async def test() -> None:
        async with bench(tmp_path) as it:
            got = await it.ask(FLAGS, ASKED)
            assert (got.status, got.error["code"]) == (403, "approval_required")
            assert it.home.seen == it.premium.seen == []

    run(test)


def test_what_waits_waits_after_a_restart_and_what_was_approved_can_be_fetched(tmp_path: Path) -> None:
    """The queue is in the log and the words are beside it: a new process has both."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            first, second = await it.held(), await it.held()
            await it.act(first["review"], "approve")
        tokens = it.tokens
        async with bench(tmp_path) as again:
            it = Desk(again, tokens)
            assert list(again.gateway.desk.items) == [second["review"]]
            assert (await it.poll(first)).json["choices"][0]["message"]["content"] == "from home"
            assert (await it.poll(second)).status == 202
            await it.act(second["review"], "approve")
            assert (await it.poll(second)).status == 200

    run(test)


def test_words_that_were_changed_on_disk_are_not_released(tmp_path: Path) -> None:
    """What is released is what was approved: a piece put in its place is found out by the hash on record."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            await it.act(told["review"], "approve")
            with closing(Content.open(tmp_path / "laneway.db")) as content:
                content.put(told["review"], "released", b'{"text":"all is well"}', why="review", until=2**62)
            got = await it.poll(told)
            assert (got.status, got.error["code"]) == (503, "content_unavailable")
            assert b"all is well" not in got.body

    run(test)


def test_two_reviewers_at_once_end_an_item_once(tmp_path: Path) -> None:
    """Of many who decide at the same moment one does, and the others are told."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            id = told["review"]
            seen = (await it.seen(id))["seen"]
            acts = [
                it.call("POST", f"/reviews/{id}", who, action=action, seen=seen, comment="c")
                for who in ("Anna", "Bo")
                for action in ("approve", "reject") * 5
            ]
            done = [each.status for each in await asyncio.gather(*acts)]
            assert sorted(done) == [200] + [409] * 19
            with closing(Reader.open(tmp_path / "laneway.db")) as reader:
                assert sum(1 for _, entry in reader.desk() if getattr(entry, "final", False)) == 1

    run(test)


def test_explain_and_why_tell_of_the_person(tmp_path: Path) -> None:
    """Beside a reviewers file `explain` routes and says that a person has the answer; `why` tells who did what."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            policy = tmp_path / "laneway.yaml"
            policy.write_text(it.bench.gateway.active.policy.text)
            line = ["--policy", str(policy)]
            waiting = CliRunner().invoke(main, ["why", told["review"], *line]).output
            assert "waits for a person (approval, reviews[0]) until" in waiting
            await it.act(told["review"], "approve")
            done = CliRunner().invoke(main, ["why", told["review"], *line]).output
            assert "approve by Anna at" in done
            seen = json.loads(CliRunner().invoke(main, ["why", told["review"], *line, "--json"]).output)
            assert (seen["review"]["cause"], seen["resolutions"][0]["action"]) == ("approval", "approve")
            explained = CliRunner().invoke(main, ["explain", *line, "--workload", "flags", "--json"])
            made = json.loads(explained.output)
            assert (explained.exit_code, made["decision"], made["release"]) == (0, "route", "after-approval")
            (tmp_path / FILE).unlink()
            assert CliRunner().invoke(main, ["explain", *line, "--workload", "flags"]).exit_code == 4

    run(test)


def test_a_webhook_is_told_of_what_waits_and_not_of_its_words(tmp_path: Path) -> None:
    """The address gets id, class and time; it is tried again where it fails, and no redirect is followed."""

    async def test() -> None:
        got: list[bytes] = []
        answers = iter([503, 204])

        async def hook(request: web.Request) -> web.Response:
            got.append(await request.read())
            return web.Response(status=next(answers))

        async def elsewhere(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"location": "/hook"})

        app = web.Application()
        app.router.add_post("/hook", hook)
        app.router.add_post("/elsewhere", elsewhere)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        where = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with desk(tmp_path) as it:
            it.bench.gateway.desk.told = Notifier(f"{where}/hook")
            told = await it.held()
            while len(got) < 2:
                await asyncio.sleep(0.01)
            assert got[0] == got[1]
            value = json.loads(got[0])
            assert (value["review"], value["workload"], value["cause"]) == (told["review"], "flags", "approval")
            assert b"Clause" not in got[0]
            assert b"from home" not in got[0]
            with pytest.raises(UsageError, match=r"answered 302; redirects are not followed"):
                await asyncio.to_thread(post, f"{where}/elsewhere", {})
            assert len(got) == 2
        await runner.cleanup()

    run(test)


@pytest.mark.parametrize("url", ["ftp://a.example", "https://", "https://me:secret@a.example/", "https://a.example/ b"])
def test_a_webhook_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    """Only a plain http or https address is taken, and a password in it is not shown."""
    with pytest.raises(UsageError, match="a webhook is an http or https URL") as refused:
        Notifier(url)
    assert "secret" not in str(refused.value)


def test_reviewers_rejections_shut_a_lane_whose_every_answer_they_read(tmp_path: Path) -> None:
    """Its evidence opened it; four of six answers that people would not release close it, at once and after a restart."""

    async def asked(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
        body = {"model": "clauses", "messages": [{"role": "user", "content": "One?"}]}
        async with session.post(f"{url}/chat/completions", json=body) as reply:
            assert reply.status == 202
            id = (await reply.json())["review"]
        with closing(Reader.open(tmp_path / "laneway.db")) as reader:
            story = reader.story(id)
        assert story is not None
        assert story.outcome is not None
        return id, story.outcome.entry.lane or ""

    async def test() -> None:
        token = People(tmp_path / FILE).add("Anna", "review", (), SINCE)
        head = {"authorization": f"Bearer {token}"}
        async with ScriptedLane(model="m") as home, ScriptedLane(model="m") as big, aiohttp.ClientSession() as session:
            policy = measured(tmp_path, home.url, big.url)
            policy.write_text(policy.read_text() + "reviews: [{says: A lawyer reads it., when: {workload: clauses}}]\n")
            server, url = await asyncio.to_thread(served, policy)
            try:
                given = [await asked(session, url) for _ in range(6)]
                assert [lane for _, lane in given] == 6 * ["home"]
                for id, _ in given[:4]:
                    said = {"action": "reject", "comment": "wrong"}
                    async with session.post(f"{url}/reviews/{id}", json=said, headers=head) as reply:
                        assert reply.status == 200
                assert (await asked(session, url))[1] == "big"
            finally:
                server.terminate()
                await asyncio.to_thread(server.communicate)
            again, url = await asyncio.to_thread(served, policy)
            try:
                assert (await asked(session, url))[1] == "big"
            finally:
                again.terminate()
                await asyncio.to_thread(again.communicate)

    run(test)


def test_why_and_the_list_say_what_became_of_it(tmp_path: Path) -> None:
    """Released as edited, rejected, or waiting: never only "held"; and an approver of an edit rejected nothing."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", eyes: 2") as it:
            told, other, waits = await it.held(), await it.held(), await it.held()
            await it.act(told["review"], "edit", text="Better words")
            await it.act(told["review"], "approve", "Bo")
            await it.act(other["review"], "reject", comment="no")
            line = ["--policy", str(tmp_path / "laneway.yaml"), "--log", str(tmp_path / "laneway.db")]

            def said(id: str) -> str:
                return " ".join(CliRunner().invoke(main, ["why", id, *line]).output.split())

            assert "released to the caller after approval by Anna and Bo, in a reviewer's words" in said(told["review"])
            assert "replaced by a reviewer's edit by Bo" in said(told["review"])
            assert "rejected by Bo" not in said(told["review"])
            assert "not released: rejected by Anna" in said(other["review"])
            seen = json.loads(CliRunner().invoke(main, ["why", told["review"], *line, "--json"]).output)
            assert (seen["released"], seen["source"]) == (True, None)
            listed = json.loads(CliRunner().invoke(main, ["log", *line, "--json"]).output)
            ended = {row["id"]: row["ending"] for row in listed}
            week = json.loads(CliRunner().invoke(main, ["review", *line, "--json", "--no-advice"]).output)
            rows = {row["cause"]: row["times"] for row in week["rejected"]}
            assert rows == {"by a reviewer: edit": 1, "by a reviewer: reject": 1}
            assert [ended[each["review"]] for each in (told, other, waits)] == [
                "held, released", "held, not released", "held, waits"
            ]  # fmt: skip

    run(test)
