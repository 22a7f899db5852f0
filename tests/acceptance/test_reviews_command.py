"""`laneway reviews`: the queue in the terminal, for people and for scripts, and words that cannot act there."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.acceptance.test_reviews import FLAGS, Desk, desk
from tests.harness import run

from laneway.cli import main
from laneway.cli.reviews import TOKEN

HOSTILE = (
    "\x1b[2J\x1b]8;;https://evil.example\x07click\x1b]8;;\x07 \u202eetirw\u2069\r\x9b31m ok\nHistory\n  approve by Anna"
)
SHOWN = "\\u001b[2J\\u001b]8;;https://evil.example\\u0007click"


async def laneway(it: Desk, *arguments: str, who: str | None = "Anna", text: str | None = None) -> Result:
    """One `laneway reviews` command against the bench, by somebody."""
    environ = {TOKEN: None if who is None else it.tokens[who], "COLUMNS": "80"}
    whole = ["reviews", *arguments, "--url", it.bench.url.removesuffix("/v1")]
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, whole, env=environ, input=text))


async def seen(it: Desk, id: str, who: str = "Anna") -> str:
    """The hash by which `show` names the words."""
    item = json.loads((await laneway(it, "show", id, "--json", who=who)).output)
    return str(item["seen"])


def words(result: Result) -> str:
    """What a command printed, on one line."""
    return " ".join(result.output.split())


def test_the_queue_says_what_waits_and_one_item_all_there_is_to_know(tmp_path: Path) -> None:
    """Id, workload, class, lane, cause, rule, age, time left, eyes, asker; then input, answer, reasons, calls."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            assert "Nothing waits for a person." in (await laneway(it)).output
            id = (await it.held(headers={"laneway-user": "Dora"}))["review"]
            listed = await laneway(it)
            assert f"{id} flags internal home approval" in words(listed)
            assert "by reviews[0]; 0 min old; 6 d 23 h left; 0 of 1 approved the answer; who asked is known" in words(
                listed
            )
            (row,) = json.loads((await laneway(it, "--json")).output)
            assert (row["review"], row["workload"], row["own"]) == (id, "flags", False)
            shown = await laneway(it, "show", id[:20])
            for part in (f"| {FLAGS[:40]}", "| from home", "reviews[0]",
                         "home (first): answered", "gate: pass", "--seen "):  # fmt: skip
                assert part in shown.output, part
            assert max(len(line) for line in shown.output.splitlines() if line.startswith("  | ")) <= 80

    run(test)


def test_an_approval_is_of_words_that_were_seen(tmp_path: Path) -> None:
    """Without a terminal it needs the hash that `show` named; a wrong one does nothing; then the caller gets the answer."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told = await it.held()
            id = told["review"]
            blind = await laneway(it, "approve", id)
            assert (blind.exit_code, "with --seen" in words(blind)) == (2, True)
            wrong = await laneway(it, "approve", id, "--seen", "0" * 16)
            assert (wrong.exit_code, "is not what stands there now" in words(wrong)) == (2, True)
            assert (await it.poll(told)).status == 202
            done = await laneway(it, "approve", id[:20], "--seen", (await seen(it, id))[:16], "--comment", "as read")
            assert (done.exit_code, f"{id}: released, by Anna" in words(done)) == (0, True)
            got = (await it.poll(told)).json
            assert got["choices"][0]["message"]["content"] == "from home"
            again = await laneway(it, "reject", id, "--comment", "too late")
            assert (again.exit_code, "was ended by Anna: approve" in words(again)) == (1, True)

    run(test)


def test_an_edit_comes_from_a_file_or_from_an_editor(tmp_path: Path) -> None:
    """The editor begins with the newest words; with two pairs of eyes the edit waits for another person."""

    async def test() -> None:
        editor = tmp_path / "editor"
        editor.write_text(
            "#!/bin/sh\ngrep -q 'from home' \"$1\" && echo 'my words' > \"$1\"\ntouch -d '+9 sec' \"$1\"\n"
        )
        editor.chmod(0o755)
        file = tmp_path / "text"
        file.write_text("from a file\n")
        async with desk(tmp_path) as it:
            for arguments, content in ((("--file", str(file)), "from a file"), ((), "my words")):
                told = await it.held()
                os.environ["EDITOR"] = os.environ["VISUAL"] = str(editor)
                hash = ("--seen", await seen(it, told["review"])) if arguments else ()
                done = await laneway(it, "edit", told["review"], *arguments, *hash, "--comment", "clearer")
                assert done.exit_code == 0, done.output
                assert (await it.poll(told)).json["choices"][0]["message"]["content"] == content

    run(test)


def test_the_other_acts_say_what_came_of_them(tmp_path: Path) -> None:
    """Rejected; sent on to an allowed lane; an extract of a lower class; and what may not be is said with what may."""

    async def test() -> None:
        extract = tmp_path / "extract"
        extract.write_text("Which risks are there in a notice period of a day?\n")
        async with desk(tmp_path) as it:
            told = await it.held()
            silent = await laneway(it, "reject", told["review"])
            assert (silent.exit_code, "wants a comment to reject this: give it with --comment" in words(silent)) == (
                2,
                True,
            )
            done = await laneway(it, "reject", told["review"], "--comment", "wrong")
            assert "rejected, and nothing is released, by Anna" in words(done)
            assert (await it.poll(told)).error["code"] == "review_rejected"
            told = await it.held()
            unknown = await laneway(it, "send", told["review"], "--lane", "premum")
            assert "did you mean `premium`?" in words(unknown)
            assert "sent on as decision" in words(await laneway(it, "send", told["review"], "--lane", "premium"))
            told = await it.held("Of clause 7: is it valid?")
            arguments = ("--file", str(extract), "--comment", "no names")
            higher = await laneway(it, "reclassify", told["review"], "--to", "restricted", *arguments)
            assert (higher.exit_code, "is no lower class" in words(higher)) == (1, True)
            lower = await laneway(it, "reclassify", told["review"], "--to", "public", *arguments)
            assert "sent on as decision" in words(lower)
            assert "an extract has no workload" in words(lower)

    run(test)


def test_a_second_person_sees_the_proposed_extract_and_approves_exactly_it(tmp_path: Path) -> None:
    """`show` has its text, its class and its hash; an approval of the answer is another thing, and counted apart."""

    async def test() -> None:
        extract = tmp_path / "extract"
        extract.write_text("Which risks are there in a notice period of a day?\n")
        async with desk(tmp_path, review_more=", eyes: 2") as it:
            id = (await it.held("Of clause 7: is it valid?"))["review"]
            common = ("reclassify", id, "--comment", "no names")
            made = await laneway(it, *common, "--to", "public", "--file", str(extract))
            assert "1 more must approve the same extract" in words(made)
            await laneway(it, "approve", id, "--seen", await seen(it, id))
            shown = await laneway(it, "show", id, who="Bo")
            for part in ("Proposed extract, as public", "| Which risks are there in a notice", "reclassify --seen",
                         "1 of 2 approved the answer", "1 of 2 approved the proposed extract"):  # fmt: skip
                assert part in words(shown), part
            named = json.loads((await laneway(it, "show", id, "--json", who="Bo")).output)["extract"]
            assert named["to"] == "public"
            wrong = await laneway(it, *common, "--seen", await seen(it, id), who="Bo")
            assert (wrong.exit_code, "is not what stands there now" in words(wrong)) == (2, True)
            stale = await it.act(id, "reclassify", "Bo", seen="of another", comment="no names")
            assert (stale.status, stale.error["code"]) == (409, "words_changed")
            done = await laneway(it, *common, "--seen", named["seen"][:16], who="Bo")
            assert (done.exit_code, "sent on as decision" in words(done)) == (0, True)
            child = it.bench.story(id).resolutions[-1].entry.child
            while it.bench.gateway.desk._sent:
                await asyncio.sleep(0.01)
            assert it.bench.story(child).opening.signals.sensitivity == "public"

    run(test)


@pytest.mark.parametrize("who", ["Cleo", None])
def test_who_may_not_review_sees_no_words(tmp_path: Path, who: str | None) -> None:
    """An auditor is shown the item without them and may not act; without a token nothing is asked."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            id = (await it.held())["review"]
            shown = await laneway(it, "show", id, who=who)
            acted = await laneway(it, "reject", id, "--comment", "no", who=who)
            assert FLAGS[:20] not in shown.output
            if who is None:
                assert (shown.exit_code, acted.exit_code) == (2, 2)
                assert f"{TOKEN} holds no token" in words(shown)
            else:
                assert "its words are for those who may decide" in shown.output
                assert (acted.exit_code, "Cleo has the role audit" in words(acted)) == (1, True)

    run(test)


def test_an_id_that_nobody_knows_gets_the_nearest(tmp_path: Path) -> None:
    """A mistyped id names the one that waits; a wrong token is told what is needed, and is not printed."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            id = (await it.held())["review"]
            missed = await laneway(it, "show", id[:-1] + ("0" if id[-1] != "0" else "1"))
            assert "no item waits as" in words(missed)
            assert (missed.exit_code, f"the nearest that waits is {id}" in words(missed)) == (1, True)
            it.tokens["Eve"] = "lwr_canary"
            refused = await laneway(it, who="Eve")
            assert (refused.exit_code, "this token is not known" in words(refused)) == (1, True)
            assert "canary" not in refused.output

    run(test)


def test_held_words_cannot_act_on_the_terminal_or_pass_for_our_own(tmp_path: Path) -> None:
    """Escape sequences, direction marks and line tricks are spelled out; every line of theirs stands behind the bar."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            it.bench.home.answer = HOSTILE
            id = (await it.held(HOSTILE))["review"]
            for arguments in (("show", id), ("show", id, "--json"), ()):
                output = (await laneway(it, *arguments)).output
                assert all(c.isprintable() or c == "\n" for c in output), arguments
            shown = (await laneway(it, "show", id)).output
            assert SHOWN in shown.replace("\n  | ", "")
            assert "  approve by Anna" not in shown.splitlines()
            assert shown.splitlines().count("History") == 0
            item = json.loads((await laneway(it, "show", id, "--json")).output)
            assert item["answer"]["text"] == HOSTILE

    run(test)


def test_on_a_terminal_the_words_are_shown_and_the_reviewer_is_asked(tmp_path: Path) -> None:
    """`approve` without --seen prints the item and waits for a yes; the time that took is on record."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            for answer, status in ((b"n\n", 202), (b"y\n", 200)):
                told: Any = await it.held()
                output = await asyncio.to_thread(_at_a_terminal, it, told["review"], answer)
                assert "from home" in output
                assert (await it.poll(told)).status == status
            (resolution,) = it.bench.story(told["review"]).resolutions
            assert resolution.entry.seconds is not None

    run(test)


def test_on_a_terminal_a_comment_that_is_wanted_is_asked_for(tmp_path: Path) -> None:
    """`reject` without --comment prompts for one, and is done."""

    async def test() -> None:
        async with desk(tmp_path) as it:
            told: Any = await it.held()
            output = await asyncio.to_thread(_at_a_terminal, it, told["review"], b"clause 9 is wrong\n", "reject")
            assert "the policy wants one to reject this" in output
            assert (await it.poll(told)).error["code"] == "review_rejected"

    run(test)


def _at_a_terminal(it: Desk, id: str, answer: bytes, verb: str = "approve") -> str:
    """What `laneway reviews VERB` prints on a terminal of its own, where `answer` is typed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "laneway.cli", "reviews", verb, id, "--url", it.bench.url.removesuffix("/v1")]
    environ = os.environ | {TOKEN: it.tokens["Anna"], "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ):
        os.close(theirs)
        os.write(ours, answer)
        said = b""
        while True:
            try:
                said += (piece := os.read(ours, 65_536))
            except OSError:  # it has ended
                break
            if not piece:
                break
    os.close(ours)
    return said.decode()
