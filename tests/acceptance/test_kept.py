"""What is kept of requests: only what a rule of `capture` names; used in evaluation sets; gone with its subject."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.acceptance.test_reviews import desk
from tests.harness import Bench, bench, run

from laneway.cli import main
from laneway.evidence.sets import read_set
from laneway.store import Content, Reader
from laneway.store.content import place

KEEP = """
capture:
  - {says: Internal work is kept for a month., when: {sensitivity: {at_most: internal}}, for: 30d}
  - {says: One team's for a week., when: {team: press}, for: 7d}
"""
ABOUT = "The tenant of flat nine pays late again"
SET = """evaluation: 1
name: letters
says: Are letters answered well?
workload: contracts
sensitivity: internal
scorers: [{exact: {}}]
samples:
  # the first one
  - id: one
    input: "Yes?"
    expected: "yes"
"""


def pieces(it: Bench) -> list[tuple[str, str]]:
    """What is kept: part and why."""
    content = it.gateway.desk.content
    return [] if content is None else [(each.part, each.why) for each in content.pieces()]


def laneway(*words: str) -> Result:
    """One command in this process."""
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize("stream", [False, True])
def test_only_what_a_rule_names_is_kept_and_encrypted(tmp_path: Path, stream: bool) -> None:
    """A class that no rule names leaves nothing; a team that is not known matches nothing."""

    async def test() -> None:
        async with bench(tmp_path, tail=KEEP) as it:
            await it.ask(ABOUT, {"laneway-sensitivity": "confidential"}, stream=stream)
            await it.gateway.captures.ended()
            assert pieces(it) == []
            got = await it.ask(ABOUT, stream=stream)
            await it.gateway.captures.ended()
            assert pieces(it) == [("answer", "capture"), ("request", "capture")]
            content = it.gateway.desk.content
            assert content is not None
            kept = content.get(got.headers["laneway-decision"], "answer")
            assert kept is not None
            assert b"from home" in kept
            for path in tmp_path.glob("laneway.*"):
                assert b"flat nine" not in path.read_bytes()

    run(test)


def test_what_cannot_be_kept_is_said_and_the_answer_is_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that is no key loses the content, and nothing else."""

    async def test() -> None:
        (tmp_path / "laneway.content.key").write_bytes(b"short")
        (tmp_path / "laneway.content.key").chmod(0o600)
        (tmp_path / "laneway.content.db").touch()
        async with bench(tmp_path, tail=KEEP) as it:
            got = await it.ask(ABOUT)
            await it.gateway.captures.ended()
            assert got.status == 200

    run(test)
    assert "is not kept: the key" in caplog.text
    assert "flat nine" not in caplog.text


def test_a_decision_becomes_a_sample_with_its_class(tmp_path: Path) -> None:
    """`eval add` puts what was asked at the end of the set, all else as it was; twice is refused, so is what is not kept."""

    async def test() -> tuple[str, str]:
        async with bench(tmp_path, tail=KEEP) as it:
            kept = await it.ask(ABOUT)
            other = await it.ask(ABOUT, {"laneway-sensitivity": "restricted"})
            await it.gateway.captures.ended()
            return kept.headers["laneway-decision"], other.headers["laneway-decision"]

    ids: list[str] = []

    async def whole() -> None:
        ids.extend(await test())

    run(whole)
    kept, other = ids
    file = tmp_path / "letters.yaml"
    file.write_text(SET)
    where = ["--log", str(tmp_path / "laneway.db")]
    done = laneway("eval", "add", str(file), "--from", kept, "--expect-answer", *where)
    assert done.exit_code == 0, done.output
    assert file.read_text().startswith(SET)
    made = read_set(file).samples[-1]
    assert (made.input, made.expected, made.sensitivity) == (ABOUT, "from home", "internal")
    again = laneway("eval", "add", str(file), "--from", kept, *where)
    assert (again.exit_code, "already" in again.output) == (2, True)
    missing = laneway("eval", "add", str(file), "--from", other, *where)
    assert (missing.exit_code, "a rule of `capture`" in missing.output) == (2, True)


def test_all_about_a_subject_goes_and_the_chain_holds(tmp_path: Path) -> None:
    """Captured and held words of one subject are gone from every file, others stay, and that is on record."""

    async def test() -> None:
        async with desk(tmp_path, tail=KEEP) as it:
            for who in ("Flat 9", "Flat 10"):
                await it.bench.ask(ABOUT, {"laneway-subject": who})
            told = await it.held(ABOUT, {"laneway-subject": "flat 9"})
            await it.bench.gateway.captures.ended()
            content = it.bench.gateway.desk.content
            assert content is not None
            assert len(content.pieces()) == 6
            with closing(sqlite3.connect(place(tmp_path / "laneway.db"))) as db:
                sealed = [row[0] for row in db.execute("SELECT sealed FROM piece WHERE subject = (SELECT subject FROM "
                                                       "piece WHERE decision = ?)", (told["review"],))]  # fmt: skip
            assert len(sealed) == 4
            said = {"subject": "FLAT 9", "by": "ann", "why": "asked for it"}
            arguments = [word for name, value in said.items() for word in (f"--{name}", value)]
            base = it.bench.url.removesuffix("/v1") + "/v1"
            where = ["--log", str(tmp_path / "laneway.db"), "--url", base, "--json"]
            done = await asyncio.to_thread(laneway, "erase", *arguments, *where)
            assert done.exit_code == 0, done.output
            assert json.loads(done.output)["contents"] == 4
            files = b"".join(p.read_bytes() for p in tmp_path.glob("laneway.content.*"))
            assert not [piece for piece in sealed if piece[12:60] in files]
            assert len(content.pieces()) == 2
            assert it.bench.verified()
            gone = await it.act(told["review"], "approve", seen="x")
            assert (gone.status, gone.error["code"]) == (410, "review_gone")
            with closing(Reader.open(tmp_path / "laneway.db")) as reader:
                ((_, entry),) = reader.erased()
            assert (entry.by, entry.contents) == ("ann", 4)
            assert "flat" not in entry.subject.lower()

    run(test)


def test_erasure_works_without_a_server_and_a_backup_made_after_has_nothing(tmp_path: Path) -> None:
    """The command does it itself where the log is free; a copy of the files made then holds no word of it."""

    async def test() -> None:
        async with bench(tmp_path, tail=KEEP) as it:
            await it.ask(ABOUT, {"laneway-subject": "flat 9"})
            await it.gateway.captures.ended()

    run(test)
    with closing(sqlite3.connect(place(tmp_path / "laneway.db"))) as db:
        sealed = [row[0] for row in db.execute("SELECT sealed FROM piece")]
    log = str(tmp_path / "laneway.db")
    done = laneway("erase", "--subject", "flat 9", "--by", "ann", "--why", "asked for it", "--log", log)
    assert done.exit_code == 0, done.output
    assert "2 pieces of content were erased" in done.output
    assert laneway("log", "backup", str(tmp_path / "copy.db"), "--log", log).exit_code == 0
    with closing(Content.open(tmp_path / "laneway.db")) as content:
        assert content.pieces() == []
    files = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())
    assert not [piece for piece in sealed if piece[12:60] in files]
    assert laneway("log", "verify", "--log", log).exit_code == 0
    bad = laneway("erase", "--subject", "flat 9", "--by", "ann", "--why", "of 811228-9874", "--log", log)
    assert (bad.exit_code, "811228" in bad.output) == (2, False)
