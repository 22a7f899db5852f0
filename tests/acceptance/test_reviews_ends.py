"""How reviews end over real sockets: what is on record waits, who goes away loses nothing, and words go that must."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.acceptance.test_reviews import FLAGS, desk, files
from tests.harness import bench, policy_text, run

from laneway.errors import ContentError, LogError
from laneway.gateway import Active
from laneway.policy_file import parse
from laneway.record import Resolution
from laneway.store import Content, Reader
from laneway.store.content import place


def sealed(log: Path, part: str) -> list[bytes]:
    """The ciphertexts of a part."""
    with closing(sqlite3.connect(place(log))) as db:
        return [row[0] for row in db.execute("SELECT sealed FROM piece WHERE part = ?", (part,))]


def test_who_asked_does_not_read_the_answer_before_it_is_released(tmp_path: Path) -> None:
    """A reviewer who asked sees what an auditor sees of it, and the answer once another has approved it."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held(headers={"laneway-user": "anna"})
            own = await it.seen(told["review"], "Anna")
            assert own["own"] is True
            assert {"answer", "request", "seen", "edits"}.isdisjoint(own)
            assert (await it.act(told["review"], "approve")).error["code"] == "own_request"
            assert (await it.seen(told["review"], "Bo"))["answer"]["text"] == "from home"
            await it.act(told["review"], "approve", "Bo")
            assert (await it.poll(told)).status == 200

    run(test)


def test_who_was_sent_on_twice_is_told_to_ask_where_the_ticket_is_known(tmp_path: Path) -> None:
    """However often it is sent on, the caller polls the address of its own request."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            id = told["review"]
            for lane in ("premium", "home"):
                id = (await it.act(id, "send", lane=lane)).json["child"]
                while id not in it.bench.gateway.desk.items:
                    await asyncio.sleep(0.01)
                again = (await it.poll(told)).json
                assert (again["review"], again["poll"]) == (told["review"], told["poll"])
            await it.act(id, "approve")
            assert (await it.poll(again)).json["choices"][0]["message"]["content"] == "from home"

    run(test)


def test_what_was_sent_on_is_there_for_its_caller_whom_nobody_kept_waiting(tmp_path: Path) -> None:
    """Its server does not wait for an approval of it, and so does not count it as fetched."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", wait: 20s") as it:
            asked = asyncio.create_task(it.bench.ask(FLAGS, {"laneway-workload": "flags"}))
            while not it.bench.gateway.desk.items:
                await asyncio.sleep(0.01)
            (id,) = it.bench.gateway.desk.items
            child = (await it.act(id, "send", lane="premium")).json["child"]
            told = (await asked).json
            while child not in it.bench.gateway.desk.items:
                await asyncio.sleep(0.01)
            await it.act(child, "approve")
            log = it.bench.gateway.log
            real = log.now
            log.now = lambda: real() + 2 * 3600 * 10**9
            assert (await it.poll(told)).json["choices"][0]["message"]["content"] == "from premium"

    run(test)


@pytest.mark.parametrize("where", ["words", "record"])
def test_a_caller_who_goes_away_leaves_an_item_or_nothing(tmp_path: Path, where: str) -> None:
    """While its words are written: nothing is kept. While it is put on record: it waits, as the log says."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            gateway, reached, go, written = it.bench.gateway, threading.Event(), threading.Event(), list[object]()
            content = gateway.desk.place()
            slow, name = (content, "put") if where == "words" else (gateway.log, "_write")
            plain = getattr(slow, name)

            def held_up(*args: object, **kwargs: object) -> None:
                if where == "words" or gateway.traffic.ended["held"]:
                    reached.set()
                    go.wait(10)
                written.append(plain(*args, **kwargs))

            setattr(slow, name, held_up)
            asked = asyncio.create_task(it.bench.ask(FLAGS, {"laneway-workload": "flags"}))
            await asyncio.to_thread(reached.wait, 10)
            asked.cancel()
            await asyncio.wait([asked])
            await asyncio.sleep(0.1)  # until the server has seen it: nothing of it shows before
            go.set()
            while it.bench.api.in_flight or len(written) < 2:
                await asyncio.sleep(0.01)
            if where == "words":
                assert (content.pieces(), gateway.desk.items) == ([], {})
                return
            while not gateway.desk.items:
                await asyncio.sleep(0.01)
            (id,) = gateway.desk.items
            assert (await it.act(id, "reject", comment="nobody asks for it")).status == 200

    run(test)


def test_words_that_can_be_kept_in_part_are_not_kept_at_all(tmp_path: Path) -> None:
    """Where the question is on disk and the answer cannot be, the caller gets an error and the question goes."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            content = it.bench.gateway.desk.place()
            plain = content.put

            def broken(decision: str, part: str, *args: object, **kwargs: object) -> int:
                if part == "answer":
                    raise ContentError("no room")
                return plain(decision, part, *args, **kwargs)  # type: ignore[arg-type]

            content.put = broken  # type: ignore[method-assign]
            got = await it.bench.ask(FLAGS, {"laneway-workload": "flags"})
            assert (got.status, got.error["code"]) == (503, "content_unavailable")
            assert content.pieces() == []

    run(test)


def test_a_rejection_ends_it_even_where_it_cannot_be_counted(tmp_path: Path) -> None:
    """What is on record is so for everybody at once: nobody approves what was rejected."""

    async def test() -> None:
        async with desk(tmp_path) as it:

            async def broken() -> None:
                raise LogError("it cannot be read")

            it.bench.gateway.desk.heard = broken
            told = await it.held()
            seen = (await it.seen(told["review"]))["seen"]
            assert (await it.act(told["review"], "reject", comment="wrong")).status == 200
            assert (await it.act(told["review"], "approve", "Bo", seen=seen)).error["code"] == "review_closed"
            assert (await it.poll(told)).error["code"] == "review_rejected"

    run(test)


def test_nothing_that_a_program_sends_in_the_wrong_field_is_on_record(tmp_path: Path) -> None:
    """A `lane` beside an approval is no lane, and may be words: the log does not take it."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            await it.act(told["review"], "approve", lane="Clause 9 lets them go")
            assert b"Clause 9" not in files(tmp_path)
            assert it.bench.story(told["review"]).resolutions[0].entry.lane == ""

    run(test)


@pytest.mark.parametrize("action", ["reject", "edit"])
def test_an_approval_that_did_not_get_on_record_leaves_no_words(tmp_path: Path, action: str) -> None:
    """Its words were on disk before; whatever ends the item then takes them along, after a crash as well."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            log, content = it.bench.gateway.log, it.bench.gateway.desk.place()
            plain, erase = log.append, content.erase

            async def full(*_: object, **__: object) -> None:
                raise LogError("the disk is full")

            log.append = full  # type: ignore[method-assign]
            assert (await it.act(told["review"], "approve")).status == 503
            log.append = plain  # type: ignore[method-assign]
            (lost,) = sealed(log.path, "released")
            content.erase = lambda *_, **__: 0  # type: ignore[method-assign]  # as if it died before it could
            await it.act(told["review"], action, comment="c", text="Other words")
            content.erase = erase  # type: ignore[method-assign]
        async with bench(tmp_path) as again:
            assert again.gateway.desk.items == {}
            assert lost[20:60] not in files(tmp_path)
            assert [piece.part for piece in again.gateway.desk.place().pieces()] == (
                ["comment"] if action == "reject" else ["comment", "released"]
            )

    run(test)


def test_the_answer_that_the_gate_refused_to_what_was_sent_on_is_not_kept(tmp_path: Path) -> None:
    """It is nobody's, so its words are not on disk for a week."""

    async def test() -> None:
        async with desk(tmp_path, on_weak="refuse") as it:
            told = await it.held("Hello there", {"laneway-workload": "flags", "laneway-sensitivity": "confidential"})
            it.bench.home.answer = it.bench.premium.answer = ""
            text = "Which notice periods are usual?"
            more = {"comment": "harmless", "to": "internal", "text": text}
            await it.act(told["review"], "reclassify", **more)
            while (got := await it.poll(told)).status == 202:
                await asyncio.sleep(0.01)
            assert (got.status, got.error["code"]) == (503, "review_unanswered")
            assert [piece.part for piece in it.bench.gateway.desk.place().pieces()] == ["comment"]

    run(test)


def test_a_clock_that_leaps_ahead_and_back_does_not_stop_the_erasures(tmp_path: Path) -> None:
    """What is due goes within a minute of the clock as it is, whatever it was in between."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            gateway, real = it.bench.gateway, it.bench.gateway.log.now
            gateway.log.now = lambda: real() + 365 * 86_400 * 10**9
            await gateway.desk.sweep()
            gateway.log.now = real
            gateway.desk.place().put("d", "answer", b"words", why="review", until=1)
            await gateway.desk.sweep()
            assert gateway.desk.place().pieces() == []

    run(test)


def test_what_waits_is_decided_also_under_a_policy_that_knows_its_class_no_more(tmp_path: Path) -> None:
    """Class, rule and lane are gone since: it can be approved as it was held, and goes nowhere else."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            gateway = it.bench.gateway
            told, other = await it.held(), await it.held()
            text = policy_text(it.bench.home.url, it.bench.premium.url)
            text = text.replace("[public, internal, confidential, restricted]", "[public, secret]")
            text = text.replace("[restricted, confidential]", "[secret]").replace("[internal, public]", "[public]")
            text = text.replace("sensitivity: internal", "sensitivity: public").replace(
                "sensitivity: confidential", "sensitivity: secret"
            )
            policy = parse(text.partition("reviews:")[0], "bench.yaml")
            gateway.log.archive(policy.hash, policy.text)
            gateway.active = Active(policy, gateway.active.provider)
            item = await it.seen(told["review"])
            assert item["classes"] == []
            lower = await it.act(told["review"], "reclassify", text="a", to="public", comment="c")
            assert lower.error["code"] == "class_not_lower"
            assert (await it.act(told["review"], "send", lane="third")).error["code"] == "lane_not_allowed"
            assert (await it.act(told["review"], "approve")).json["final"] is True
            assert (await it.poll(told)).status == 200
            assert (await it.act(other["review"], "reject", comment="c")).status == 200

    run(test)


def test_an_approval_and_an_end_of_time_are_one_of_both(tmp_path: Path) -> None:
    """Whatever comes together, an item has one end on record."""

    async def test() -> None:
        async with desk(tmp_path, review_more=", within: 60s") as it:
            told = [await it.held() for _ in range(5)]
            seen = [(await it.seen(each["review"]))["seen"] for each in told]
            log, begin = it.bench.gateway.log, time.time_ns()
            log.now = lambda: begin + (time.time_ns() - begin) * 2000  # a minute is 30 ms from here
            calls = [it.call("POST", f"/reviews/{each['review']}", who, action="approve", seen=saw)
                     for each, saw in zip(told, seen, strict=True) for who in ("Anna", "Bo")]  # fmt: skip
            await asyncio.gather(*calls, *(it.poll(each) for each in told * 4), it.bench.gateway.desk.sweep())
            await asyncio.sleep(0.05)
            await it.bench.gateway.desk.sweep()
            with closing(Reader.open(log.path)) as reader:
                ends = [entry.id for _, entry in reader.desk() if isinstance(entry, Resolution) and entry.final]
            assert sorted(ends) == sorted(each["review"] for each in told)

    run(test)


def test_words_erased_right_before_a_crash_are_gone_after_the_next_start(tmp_path: Path) -> None:
    """The write-ahead log still has them then; opening the file makes it forget."""
    log = tmp_path / "laneway.db"
    content = Content.open(log)
    content.put("d", "answer", b"the merger closes on Friday" * 8, why="review", until=2**62)
    (gone,) = sealed(log, "answer")
    content.scrub = lambda: False  # type: ignore[method-assign]  # it dies before it gets there
    content.erase("d")
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("laneway.content.*")}
    assert gone in kept["laneway.content.db-wal"]
    content.close()
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    with closing(Content.open(log)):
        assert gone not in files(tmp_path)
