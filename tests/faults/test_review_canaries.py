"""Secrets on the ways of human review: no error names them, and no file holds them in clear."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import msgspec
import pytest
from tests.acceptance.test_reviews import Desk, desk
from tests.harness import Answered, run

from laneway.review.people import FILE
from laneway.store.content import place

PROMPT = "the merger with Havsbris closes on 3 May"
WORDS = "we advise to walk away from clause 12"
COMMENT = "counsel told me that they will sue"
TOKEN = "lwr_never-to-be-repeated-by-anybody"
TICKET = "a-ticket-that-nobody-must-see-again"
CANARIES = [text.encode() for text in ("Havsbris", "walk away", "counsel told", TOKEN, TICKET)]
CODES = {
    "review_rejected", "review_expired", "review_gone", "unknown_review", "no_reviewer", "wrong_role", "own_request",
    "review_closed", "words_changed", "comment_needed", "nothing_to_approve", "nothing_written", "lane_not_allowed",
    "already_approved", "class_not_lower", "original_text", "too_long", "unknown_action", "invalid_body",
}  # fmt: skip
"""Every error of the review path with a status of 4xx."""


async def through(it: Desk, tried: list[Answered]) -> None:
    """Every error that a caller or a reviewer can meet."""
    log = it.bench.gateway.log
    more = {"laneway-user": "Anna", "laneway-sensitivity": "confidential"}
    told, own, late = (
        await it.held(PROMPT, more | {"laneway-user": "x"}),
        await it.held(PROMPT, more),
        await it.held(PROMPT),
    )
    id = told["review"]
    seen = (await it.seen(id))["seen"]
    for action, said in (
        ("reject", {}), ("edit", {"text": " ", "seen": seen}), ("send", {"lane": "elsewhere"}), ("approve", {"seen": WORDS}),
        ("reclassify", {"to": "nowhere", "text": "x", "comment": COMMENT}), ("expire", {}), ("vanish", {"comment": COMMENT}),
        ("reclassify", {"to": "public", "text": f"{PROMPT} {WORDS}", "comment": COMMENT}),
        ("edit", {"text": WORDS * 40_000, "seen": seen}),
    ):  # fmt: skip
        tried.append(await it.call("POST", f"/reviews/{id}", "Anna", action=action, **said))
    tried.append(await it.call("POST", f"/reviews/{id}", "Cleo", action="approve", seen=seen, comment=COMMENT))
    tried.append(await it.act(own["review"], "approve", comment=COMMENT, seen="x"))
    tried.append(await it.call("GET", f"/reviews/{id}?ticket={TICKET}", None))
    tried.append(await it.call("GET", f"/reviews/{WORDS.replace(' ', '-')}", "Anna"))
    tried.append(await Desk(it.bench, {"Anna": TOKEN}).call("GET", "/reviews"))
    waiting = it.bench.gateway.desk.items[late["review"]]
    waiting.review = msgspec.structs.replace(waiting.review, eyes=2)
    tried += [await it.act(late["review"], "approve", comment=COMMENT) for _ in range(2)][1:]
    await it.act(id, "reject", comment=COMMENT)
    tried += [await it.poll(told), await it.call("POST", f"/reviews/{id}", "Bo", action="approve", seen=seen)]
    await it.act(own["review"], "edit", "Bo", text=WORDS)
    content, real = it.bench.gateway.desk.content, log.now
    assert content is not None
    await asyncio.to_thread(content.erase, own["review"])
    tried.append(await it.poll(own))
    log.now = lambda: real() + 8 * 86_400 * 10**9
    tried.append(await it.poll(late))
    log.now = real


def test_no_error_of_a_review_says_what_was_asked_answered_or_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each error has its code, and neither it nor the server's log, nor any file, holds a word or a secret."""
    tried = list[Answered]()

    async def test() -> None:
        async with desk(tmp_path, on_weak="hold") as it:
            it.bench.home.answer = WORDS
            await through(it, tried)
            it.bench.home.answer = it.bench.premium.answer = ""
            held = await it.bench.ask(PROMPT, {"laneway-workload": "contracts"})
            weak = held.json["review"]
            content = it.bench.gateway.desk.content
            assert content is not None
            await asyncio.to_thread(content.shorten, weak, "answer", 0)
            await asyncio.to_thread(content.erase_due, 1)
            tried.append(await it.call("POST", f"/reviews/{weak}", "Anna", action="approve", seen="x"))

    with caplog.at_level(logging.DEBUG):
        run(test)
    codes = {got.error["code"] for got in tried}
    assert codes == CODES
    heard = [canary for canary in CANARIES for got in tried if canary in got.body]
    assert not heard
    said = caplog.text.encode()
    assert not [canary for canary in CANARIES if canary in said]
    stored = {path.name: path.read_bytes() for path in tmp_path.glob("laneway.*") if path.is_file()}
    assert {FILE, "laneway.db", place(tmp_path / "laneway.db").name} <= stored.keys()
    assert not [(name, canary) for name, data in stored.items() for canary in CANARIES if canary in data]


def test_the_codes_are_those_of_the_page() -> None:
    """What is tried here is what docs/reasons.md says of reviewers and their callers."""
    page = Path("docs/reasons.md").read_text("utf-8")
    listed = {code for code, status in re.findall(r"^\| `(\w+)` \| (\d\d\d) \|", page, re.M) if status[0] == "4"}
    assert listed >= CODES
