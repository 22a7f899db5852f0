"""Human review under attack, over real sockets: whoever tries it gets no words, and what was to go is gone."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.test_reviews import desk
from tests.acceptance.test_reviews_command import laneway, words
from tests.harness import bench, run

from laneway.erasure import erase
from laneway.errors import RequestError
from laneway.review.acts import Act
from laneway.review.people import FILE, People

NAME = "Zoë Müller"
SECRET = "The ménage at Rue Noire buys Havsbris in May"


@pytest.mark.parametrize(
    "sent", [NAME, NAME.upper(), unicodedata.normalize("NFD", NAME), "\uff3a\uff4fë  Müller"],
    ids=["as it is", "upper", "composed", "wide"],
)  # fmt: skip
def test_a_name_is_the_same_however_it_is_written(tmp_path: Path, sent: str) -> None:
    """Whoever asked under another form of their name does not approve it themselves, and is erased all the same."""

    async def test() -> None:
        async with desk(tmp_path, callers=(NAME,)) as it:
            told = await it.held(headers={"laneway-user": sent, "laneway-subject": sent})
            own = await it.act(told["review"], "approve", seen="x")
            assert (own.status, own.error["code"]) == (403, "own_request")
            assert (await it.act(told["review"], "approve", "Bo")).json["final"] is True
            made = await erase(it.bench.gateway.log, it.bench.gateway.desk.place(), NAME, "Anna", "asked for")
            assert made.contents == 1
            assert (await it.poll(told)).status == 410

    run(test)


def test_a_reviewer_who_was_removed_counts_no_more(tmp_path: Path) -> None:
    """Not while their words are on the way, and not as the first of two pairs of eyes."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", eyes: 2") as it:
            told = await it.held()
            seen = (await it.seen(told["review"]))["seen"]
            people = People(tmp_path / FILE)
            anna = people.by_token(it.tokens["Anna"])
            assert anna is not None
            assert (await it.act(told["review"], "approve", "Anna")).json["final"] is False
            people.remove("Anna")
            with pytest.raises(RequestError, match="may not review any more"):  # who she was when her request came in
                await it.bench.gateway.desk.resolve(told["review"], anna, Act(action="approve", seen=seen), ())
            assert (await it.act(told["review"], "approve", "Bo")).json["final"] is False
            assert (await it.poll(told)).status == 202

    run(test)


def test_no_more_wait_than_there_is_room_for(tmp_path: Path) -> None:
    """Beyond that no lane is called for what needs approval, and what is held is held without an item."""

    async def test() -> None:
        async with desk(tmp_path, on_weak="hold") as it:
            it.bench.gateway.desk.most = 2
            await it.held()
            told = await it.held()
            called = len(it.bench.home.seen)
            full = await it.bench.ask("Another flag", {"laneway-workload": "flags"})
            assert (full.status, full.error["code"]) == (503, "reviews_full")
            assert full.headers["retry-after"] == "60"
            assert len(it.bench.home.seen) == called
            assert it.bench.story(full.headers["laneway-decision"]).outcome is not None
            it.bench.home.answer = it.bench.premium.answer = ""
            weak = await it.bench.ask("Hello there")
            assert (weak.status, weak.error["code"]) == (403, "held_weak")
            assert len(it.bench.gateway.desk.items) == 2
            it.bench.home.answer = "here again"
            await it.act(told["review"], "reject", comment="no")
            await it.held()

    run(test)


def test_a_clock_that_is_set_back_gives_no_more_time(tmp_path: Path) -> None:
    """What was over stays over, and what was released is not fetched after its time, whether it was erased or not."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", within: 60s") as it:
            log, real = it.bench.gateway.log, it.bench.gateway.log.now
            log.now = lambda: real() - 59_900_000_000  # until is close by now
            told = await it.held()
            log.now = lambda: real() - 3600_000_000_000
            released = await it.held()
            assert (await it.act(released["review"], "approve")).status == 200
            item = it.bench.gateway.desk.items[told["review"]]
            item._ends = 0.0  # as it is a minute later, by the clock that only goes forward
            assert (await it.poll(told)).error["code"] == "review_expired"
            it.bench.gateway.desk._swept = 2**62  # it is not erased
            log.now = lambda: real() + 8 * 86_400_000_000_000
            assert (await it.poll(released)).error["code"] == "review_gone"

    run(test)


def test_a_caller_who_asks_at_the_last_moment_ends_an_item_once(tmp_path: Path) -> None:
    """An approval that is being written is not run over by the caller who finds the time over."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            board = it.bench.gateway.desk
            item = board.items[told["review"]]
            async with board.turn:  # somebody is deciding
                item._ends = 0.0
                polls = [asyncio.create_task(it.poll(told)) for _ in range(3)]
                await asyncio.sleep(0.2)
                assert told["review"] in board.items
            assert {(await each).error["code"] for each in polls} == {"review_expired"}
            assert len(it.bench.story(told["review"]).resolutions) == 1

    run(test)


def test_words_go_when_their_time_is_over_also_where_nobody_reviews_any_more(tmp_path: Path) -> None:
    """A server that starts without a reviewers file still ends what waits, and erases its words."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
        (tmp_path / FILE).unlink()
        async with bench(tmp_path) as again:
            log, real = again.gateway.log, again.gateway.log.now
            log.now = lambda: real() + 9 * 86_400_000_000_000
            await again.gateway.desk.sweep()
            content = again.gateway.desk.place()
            assert content.pieces() == []
            assert again.story(told["review"]).resolutions[-1].entry.action == "expire"

    run(test)


def test_what_is_erased_is_not_put_back_by_whoever_was_deciding(tmp_path: Path) -> None:
    """An erasure waits until a decision that is being written is done, and takes what that left."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held(headers={"laneway-subject": "matter 1"})
            said = {"subject": "matter 1", "by": "Anna", "why": "asked for"}
            board = it.bench.gateway.desk
            opening = board.items[told["review"]].opening
            async with board.turn:
                erasing = asyncio.create_task(it.call("POST", "/erasures", None, **said))
                await asyncio.sleep(0.2)
                await asyncio.to_thread(
                    board.place().put, told["review"], "released", b"{}", why="review", until=2**60,
                    subject=opening.subject,
                )  # fmt: skip
            assert (await erasing).json["contents"] == 3
            assert board.place().pieces() == []

    run(test)


def test_what_was_erased_is_said_to_be_and_can_be_rejected(tmp_path: Path) -> None:
    """The caller is told at once; the queue and the item say so; nothing but a rejection is taken, and it names nobody."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held(headers={"laneway-subject": "matter 1"})
            id = told["review"]
            await it.call("POST", "/erasures", None, subject="matter 1", by="Anna", why="asked for")
            gone = await it.poll(told)
            assert (gone.status, gone.error["code"]) == (410, "review_gone")
            for shown in (await laneway(it), await laneway(it, "show", id)):
                assert (shown.exit_code, "its words were erased: it can only be rejected" in words(shown)) == (0, True)
            assert json.loads((await laneway(it, "show", id, "--json")).output)["erased"] is True
            sent = await it.act(id, "send", lane="premium")
            assert (sent.status, sent.error["code"]) == (410, "review_gone")
            done = await laneway(it, "reject", id, "--comment", "gone")
            assert (done.exit_code, "rejected, and nothing is released" in words(done)) == (0, True)
            end = (await it.poll(told)).error
            assert (end["code"], end["message"]) == (
                "review_rejected",
                f"a reviewer did not release the answer of {id}",
            )

    run(test)


def test_a_place_that_fails_leaves_nothing_open_in_the_log(tmp_path: Path) -> None:
    """Where words cannot be kept the request is held on record all the same, without an item."""

    async def test() -> None:
        async with desk(tmp_path, then="hold") as it:
            it.bench.gateway.desk.place()._db.execute("PRAGMA query_only = ON").fetchall()
            it.bench.home.fault = it.bench.premium.fault = "500"
            got = await it.bench.ask("Hello there")
            assert (got.status, got.error["code"]) == (503, "held_after_failure")
            story = it.bench.story(got.headers["laneway-decision"])
            assert story.outcome is not None
            assert (story.outcome.entry.status, story.outcome.entry.code) == ("held", "held_after_failure")
            assert it.bench.gateway.desk.items == {}

    run(test)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": SECRET}, {"role": "user", "content": "Sum it up, please"}],
        [{"role": "user", "content": [{"type": "text", "text": SECRET}, {"type": "text", "text": "Sum it up, please"}]}],
        [{"role": "user", "content": "Sum it up, please"}, {"role": "assistant", "content": SECRET},
         {"role": "user", "content": "Once more, please"}],
        [{"role": "user", "content": "\uff34" + SECRET[1:]}],
    ],
    ids=["system", "part", "assistant", "wide letters"],
)  # fmt: skip
def test_no_message_and_no_part_of_one_goes_on_whole_as_an_extract(tmp_path: Path, messages: list[Any]) -> None:
    """Whoever wrote it, in whichever letters and spaces."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            asked = {"laneway-workload": "flags", "laneway-sensitivity": "confidential"}
            told = (await it.bench.ask(None, asked, messages=messages)).json
            text = "So: " + unicodedata.normalize("NFD", SECRET).replace(" ", "  ").upper()
            got = await it.act(told["review"], "reclassify", text=text, to="internal", comment="harmless")
            assert (got.status, got.error["code"]) == (400, "original_text")

    run(test)


def test_who_asked_and_about_what_stays_with_an_extract(tmp_path: Path) -> None:
    """Said in `metadata` it counts as in a header: nobody approves what comes of their own request, and it is erased."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            said = {"laneway-user": "Bo", "Laneway-Subject": "matter 1", "laneway-sensitivity": "confidential"}
            told = await it.held(metadata=said)
            opening = it.bench.gateway.desk.items[told["review"]].opening
            more = {"text": "Which risks has a clause like that?", "to": "internal", "comment": "harmless"}
            child = (await it.act(told["review"], "reclassify", "Anna", **more)).json["child"]
            while (await it.poll(told)).status == 202:
                await asyncio.sleep(0.01)
            made = it.bench.story(child).opening
            assert (made.asker, made.subject) == (opening.asker, opening.subject)
            assert made.asker
            assert made.subject

    run(test)


def test_who_asked_does_not_read_what_nobody_has_released(tmp_path: Path) -> None:
    """A reviewer sees that their own request waits, and none of its words."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held(headers={"laneway-user": "Anna"})
            own, other = await it.seen(told["review"]), await it.seen(told["review"], "Bo")
            assert own["own"] is True
            assert "answer" not in own
            assert "request" not in own
            assert other["answer"]["text"] == "from home"

    run(test)
