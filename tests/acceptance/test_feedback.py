"""What people say of answers: over HTTP, from the command line, on record, and in what `why` and `review` tell."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.harness import Answered, Bench, bench, policy_text, run
from tests.processes import served

from laneway.cli import main
from laneway.evidence.ledger import FILE, Bound, Evidence, On, append
from laneway.evidence.sample import set_hash
from laneway.evidence.sets import read_set
from laneway.feedback import MOST_WORDS, put, worded
from laneway.providers.scripted import ScriptedLane
from laneway.store import Log, Reader

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello there"}]}


MEASURED = """
laneway: 1
name: measured
currency: EUR
sensitivity: [public]
unlabelled: {{sensitivity: public}}
lanes:
  home: {{kind: local, provider: openai, url: "{home}", model: m, price: 0}}
  big: {{kind: local, provider: openai, url: "{big}", model: m, price: 1.0}}
strength: [home, big]
zones: {{ours: {{kind: local}}}}
wall: [{{sensitivity: [public], zones: [ours], says: Everything stays here.}}]
workloads: {{clauses: {{evals: [flags.yaml]}}}}
routes: [{{says: Cheap first., try: cheapest}}]
gate: {{says: Good enough., evidence: {{score: 0.85, confidence: 0.95}}}}
"""
SET = """
evaluation: 1
name: flags
says: Does it find them?
workload: clauses
sensitivity: public
scorers: [{exact: {}}]
samples: [{id: a, input: One?, expected: "1"}]
"""


def measured(folder: Path, home: str, big: str) -> Path:
    """A policy whose two lanes have shown enough, an hour ago."""
    (folder / "flags.yaml").write_text(SET)
    (folder / "laneway.yaml").write_text(MEASURED.format(home=home, big=big))
    made = read_set(folder / "flags.yaml")
    on = On("flags", set_hash(made), hashlib.sha256(SET.encode()).hexdigest(), "")
    for lane, url in (("home", home), ("big", big)):
        shown = Evidence(at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), workload="clauses",
                         lane=lane, model="m", reported="m", endpoint=url, on=(on,), confidence=0.95,
                         bounds={"": Bound(60, 0.98, 0.9, 1.0), "#flags": Bound(60, 0.98, 0.9, 1.0)})  # fmt: skip
        append(folder / FILE, shown)
    return folder / "laneway.yaml"


async def say(b: Bench, body: Any, headers: dict[str, str] | None = None, path: str = "/feedback") -> Answered:
    """What the server says to a body that is posted to /v1/feedback."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    fixed = {"content-type": "application/json"} | (headers or {})
    async with b.session.post(b.url + path, data=io.BytesIO(data), headers=fixed) as response:
        read = await response.read()
        return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, read)


async def answered(b: Bench) -> str:
    """The decision of a request that was answered."""
    got = await b.ask()
    assert got.status == 200
    return got.headers["laneway-decision"]


def words(b: Bench, id: str) -> list[tuple[bool, str, str, str]]:
    """What is on record of an answer."""
    return [(w.accepted, w.by, w.source, w.reason) for _, w in b.story(id).feedback]


def laneway(*arguments: str) -> Result:
    """One command in this process."""
    return CliRunner().invoke(main, list(arguments))


def test_a_word_is_on_record_before_its_caller_hears(tmp_path: Path) -> None:
    """The 200 says what was kept; another process finds it with who and why, and the chain holds."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            got = await say(b, {"decision": id, "accepted": False, "reason": "wrong clause"}, {"Laneway-User": "ann"})
            assert (got.status, got.json) == (
                200,
                {"decision": id, "accepted": False, "user": "ann", "source": "user", "recorded": True},
            )
            assert words(b, id) == [(False, "ann", "user", "wrong clause")]
            assert (await say(b, {"decision": id, "accepted": True})).json["user"] == "anonymous"
            assert (await say(b, {"decision": id, "accepted": True, "user": "Åsa"})).json["user"] == "Åsa"
            assert b.verified()

    run(test)


def test_the_same_said_again_changes_nothing_and_a_later_word_is_added(tmp_path: Path) -> None:
    """Sending again is harmless, also at once and in parallel; another mind is another record, and all stay."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            no: dict[str, object] = {"decision": id, "accepted": False, "reason": "wrong", "user": "ann"}
            got = await asyncio.gather(*(say(b, no) for _ in range(10)))
            assert sorted(g.json["recorded"] for g in got) == [False] * 9 + [True]
            for change in ({"accepted": True}, {}, {"reason": "worse"}, {"source": "operator"}):
                assert (await say(b, no | change)).json["recorded"] is True
            assert [w[0] for w in words(b, id)] == [False, True, False, False, False]

    run(test)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"accepted": True}, 400, "missing_field", "decision"),
        ({"decision": "ID"}, 400, "missing_field", "accepted"),
        ({"decision": "ID", "accepted": "no"}, 400, "invalid_type", "accepted"),
        ({"decision": "ID", "accepted": 1}, 400, "invalid_type", "accepted"),
        ({"decision": 7, "accepted": True}, 400, "invalid_type", "decision"),
        ({"decision": "ID", "accepted": True, "source": "auditor"}, 400, "invalid_type", "source"),
        ({"decision": "ID", "accepted": True, "comment": "canary"}, 400, "unknown_field", None),
        ([], 400, "invalid_type", None),
        (b"{", 400, "invalid_json", None),
        (b'{"decision": "ID", "accepted": false, "accepted": true}', 400, "duplicate_key", None),
        ({"decision": "ID", "accepted": False, "reason": "canary " * 72}, 400, "invalid_reason", "reason"),
        ({"decision": "ID", "accepted": False, "reason": "two\nlines"}, 400, "invalid_reason", "reason"),
        ({"decision": "ID", "accepted": False, "reason": "of 811218-9876"}, 400, "identifier_found", "reason"),
        ({"decision": "ID", "accepted": False, "reason": "811218\u200b-9876"}, 400, "invalid_reason", "reason"),
        ({"decision": "ID", "accepted": False, "reason": "８１１２１８－９８７６"}, 400, "identifier_found", "reason"),
        ({"decision": "ID", "accepted": False, "user": "811218-9876"}, 400, "identifier_found", "user"),
        ({"decision": "ID", "accepted": False, "user": ""}, 400, "invalid_label", "user"),
        ({"decision": "ID", "accepted": False, "user": "x" * 101}, 400, "invalid_label", "user"),
        ({"decision": "last", "accepted": False}, 404, "unknown_decision", "decision"),
        ({"decision": "", "accepted": False}, 404, "unknown_decision", "decision"),
        ({"decision": "canary\u0000", "accepted": False}, 404, "unknown_decision", "decision"),
        (b" " * 20_000, 413, "body_too_long", None),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    tmp_path: Path, body: Any, status: int, code: str, param: str | None
) -> None:
    """Each error has its code and quotes nothing of what was sent; no record is written."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            data = (body if isinstance(body, bytes) else msgspec.json.encode(body)).replace(
                b'"ID"', b'"%b"' % id.encode()
            )
            got = await say(b, data)
            assert (got.status, got.error["code"], got.error["param"]) == (status, code, param)
            assert got.error["type"] == "invalid_request_error"
            assert b"canary" not in got.body
            assert b"9876" not in got.body
            assert words(b, id) == []

    run(test)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"Laneway-Sensitivity": "public"}, {}, "misplaced_label"),
        ({"Laneway-User": "ann"}, {"user": "bo"}, "conflicting_label"),
        ({"Laneway-User": "\u00e5sa"}, {}, "invalid_label"),
        ({"Content-Type": "text/plain"}, {}, "not_json"),
        ({"Host": "evil.example"}, {}, "foreign_host"),
    ],
)
def test_headers_that_mean_something_else_are_errors(
    tmp_path: Path, headers: dict[str, str], body: dict[str, str], code: str
) -> None:
    """A label that is not read here, two names for one speaker, a web form and a foreign host are refused."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            assert (await say(b, {"decision": id, "accepted": True} | body, headers)).error["code"] == code
            twice = await say(b, {"decision": id, "accepted": True}, path="/feedback?user=ann")
            assert twice.error["code"] == "misplaced_label"
            async with b.session.get(f"{b.url}/feedback") as response:
                assert response.status == 405
            assert words(b, id) == []

    run(test)


def test_the_start_of_an_id_and_the_id_of_nobody_look_the_same(tmp_path: Path) -> None:
    """Who guesses learns nothing: a prefix of a known id gets word for word what nonsense gets."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            bodies = {
                (await say(b, {"decision": guess, "accepted": False})).body
                for guess in (id[:-1], id + "0", "x", id.upper())
            }
            assert len(bodies) == 1
            assert id[:8].encode() not in bodies.pop()

    run(test)


def test_only_an_answer_can_be_spoken_of(tmp_path: Path) -> None:
    """A held, a failed and a running request get 409 and why."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            held = (await b.ask(headers={"Laneway-Workload": "flags"})).headers["laneway-decision"]
            b.home.fault = b.premium.fault = "500"
            failed = (await b.ask()).headers["laneway-decision"]
            b.home.fault = "hang"
            asking = asyncio.create_task(b.ask())
            await b.home.arrived.wait()
            while (running := b.story("last").id) == failed:
                await asyncio.sleep(0.01)
            for id, why in (
                (held, "ended as held"),
                (failed, "ended as refused (lanes_failed)"),
                (running, "has not ended"),
            ):
                got = await say(b, {"decision": id, "accepted": False})
                assert (got.status, got.error["code"]) == (409, "not_answered")
                assert why in got.error["message"]
            asking.cancel()

    run(test)


def test_a_flood_of_praise_is_cut_off_and_one_rejection_still_gets_through(tmp_path: Path) -> None:
    """After 20 words there is room for one that rejects, and for nothing after it; a retry is told to be useless."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            for i in range(MOST_WORDS):
                assert (await say(b, {"decision": id, "accepted": True, "user": f"u{i}"})).status == 200
            more = await say(b, {"decision": id, "accepted": True, "user": "more"})
            assert (more.status, more.error["code"]) == (429, "feedback_full")
            assert more.headers["x-should-retry"] == "false"
            assert (await say(b, {"decision": id, "accepted": True, "user": "u1"})).json["recorded"] is False
            assert (await say(b, {"decision": id, "accepted": False, "user": "honest"})).json["recorded"] is True
            for accepted in (True, False):
                last = await say(b, {"decision": id, "accepted": accepted, "user": "later", "reason": "?"})
                assert last.error["code"] == "feedback_full"
            assert len(words(b, id)) == MOST_WORDS + 1

    run(test)


def test_a_word_says_whether_it_turned_what_the_answer_counts_as(tmp_path: Path) -> None:
    """A first rejection and its taking back do; praise, a repetition and a second rejection do not."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            said = (("ann", True), ("bo", False), ("bo", False), ("cy", False), ("cy", True), ("bo", True))
            kept = [
                await put(b.gateway.log, worded(id, accepted=accepted, reason="", by=by, source="user"))
                for by, accepted in said
            ]
            assert [k.new for k in kept] == [True, True, False, True, True, True]
            assert [k.turned for k in kept] == [False, True, False, False, False, True]

    run(test)


def test_a_log_that_takes_nothing_is_503_and_nothing_is_kept(tmp_path: Path) -> None:
    """As elsewhere: no record, no yes; and it works again once the log does."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            b.gateway.log._db.execute("PRAGMA query_only = ON")
            got = await say(b, {"decision": id, "accepted": False})
            assert (got.status, got.error["code"]) == (503, "log_unavailable")
            b.gateway.log._db.execute("PRAGMA query_only = OFF")
            assert words(b, id) == []
            assert (await say(b, {"decision": id, "accepted": False})).status == 200
            assert len(words(b, id)) == 1

    run(test)


def test_a_server_that_stops_or_is_full_takes_no_words(tmp_path: Path) -> None:
    """Words are requests: they are shed and turned away as others are."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            b.api.most = 0
            assert (await say(b, {"decision": id, "accepted": False})).error["code"] == "overloaded"
            b.api.stopping = True
            assert (await say(b, {"decision": id, "accepted": False})).error["code"] == "stopping"
            assert b.api.in_flight == 0

    run(test)


def test_reject_goes_through_the_server_that_has_the_log(tmp_path: Path) -> None:
    """While one runs, the command asks it to write; `why` and `review` tell of it, for people and for scripts."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            at = ("--log", str(b.log))
            to = ("--url", b.url)
            made = await asyncio.to_thread(
                laneway, "reject", id[:-2], "--why", "wrong clause", "--by", "Lena", *at, *to
            )
            assert (made.exit_code, f"{id} rejected, by Lena" in made.output) == (0, True), made.output
            again = await asyncio.to_thread(
                laneway, "reject", "last", "--why", "wrong clause", "--by", "Lena", *at, *to, "--json"
            )
            assert json.loads(again.stdout) == {
                "decision": id, "accepted": False, "user": "Lena", "source": "operator", "recorded": False,
            }  # fmt: skip
            assert words(b, id) == [(False, "Lena", "operator", "wrong clause")]
            await say(b, {"decision": id, "accepted": False, "user": "bo"})
            await say(b, {"decision": id, "accepted": True, "user": "bo"})
            told = " ".join(laneway("why", id, *at).output.split())
            assert "rejected by Lena (operator) at 20" in told
            assert ": wrong clause" in told
            assert "rejected by bo (user) at 20" in told
            assert "; the same one spoke again later" in told
            found = json.loads(laneway("why", id, *at, "--json").stdout)["feedback"]
            assert [(f["by"], f["accepted"], f["stands"]) for f in found] == [
                ("Lena", False, True), ("bo", False, False), ("bo", True, True),
            ]  # fmt: skip
            (row,) = json.loads(laneway("review", *at, "--json").stdout)["rejected"]
            assert (row["lane"], row["rule"], row["cause"], row["times"]) == ("home", "feedback", "by operator", 1)

            elsewhere = tmp_path / "elsewhere.db"
            sent = await asyncio.to_thread(laneway, "reject", id, "--why", "from afar", "--log", str(elsewhere), *to)
            assert sent.exit_code == 0, sent.output
            assert not elsewhere.exists()
            lost = await asyncio.to_thread(laneway, "reject", "nonsense", "--why", "x", "--log", str(elsewhere), *to)
            assert (lost.exit_code, "says: no such decision" in lost.stderr) == (1, True)

    run(test)


def test_a_word_outlives_a_server_that_is_killed_right_after(tmp_path: Path) -> None:
    """What got its 200 is on disk: kill -9 follows, and the next to open the log finds it and rejects another itself."""

    async def test() -> None:
        async with ScriptedLane(answer="from home") as home, aiohttp.ClientSession() as session:
            policy = tmp_path / "laneway.yaml"
            policy.write_text(policy_text(home.url, home.url))
            server, url = await asyncio.to_thread(served, policy)
            try:
                ids = []
                for _ in range(2):
                    async with session.post(f"{url}/chat/completions", json=BODY) as response:
                        ids.append(response.headers["laneway-decision"])
                async with session.post(f"{url}/feedback", json={"decision": ids[0], "accepted": False}) as response:
                    assert response.status == 200
            finally:
                server.kill()
            await asyncio.to_thread(server.communicate)
        rejecting = asyncio.to_thread(laneway, "reject", ids[1], "--why", "wrong", "--policy", str(policy))
        assert (await rejecting).exit_code == 0
        with closing(Reader.open(tmp_path / "laneway.db")) as reader:
            assert [(w.entry.id, w.entry.source) for w in reader.feedback()] == [(ids[0], "user"), (ids[1], "operator")]
            assert reader.verify().ok

    run(test)


async def clauses(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    """The decision and the lane of one request for work that is measured."""
    async with session.post(f"{url}/chat/completions", json=BODY | {"model": "clauses"}) as response:
        assert response.status == 200, await response.text()
        return response.headers["laneway-decision"], response.headers["laneway-lane"]


def test_rejections_shut_a_measured_lane_at_once_and_after_a_restart(tmp_path: Path) -> None:
    """Its evidence opened it; four of six answers rejected, the last by command, close it; praise of others does not open it."""

    async def test() -> None:
        async with ScriptedLane(model="m") as home, ScriptedLane(model="m") as big, aiohttp.ClientSession() as session:
            policy = measured(tmp_path, home.url, big.url)
            server, url = await asyncio.to_thread(served, policy)
            try:
                given = [await clauses(session, url) for _ in range(5)]
                assert [lane for _, lane in given] == 5 * ["home"]
                for id, _ in given[:3]:
                    async with session.post(f"{url}/feedback", json={"decision": id, "accepted": False}) as response:
                        assert response.status == 200
                assert (await clauses(session, url))[1] == "home"
                arguments = ("reject", given[3][0], "--why", "wrong", "--policy", str(policy), "--url", url)
                assert (await asyncio.to_thread(laneway, *arguments)).exit_code == 0
                for by in ("ann", "bo", "cy"):
                    praise = {"decision": given[4][0], "accepted": True, "user": by}
                    async with session.post(f"{url}/feedback", json=praise) as response:
                        assert response.status == 200
                assert (await clauses(session, url))[1] == "big"
            finally:
                server.terminate()
                await asyncio.to_thread(server.communicate)
            again, url = await asyncio.to_thread(served, policy)
            try:
                assert (await clauses(session, url))[1] == "big"
            finally:
                again.terminate()
                await asyncio.to_thread(again.communicate)
        told = " ".join(laneway("why", "last", "--policy", str(policy)).output.split())
        assert "people rejected 4 of 6 answers since" in told

    run(test)


def test_reject_writes_itself_where_no_server_runs(tmp_path: Path) -> None:
    """The record is there, the chain holds, and the same again is harmless."""
    ids: list[str] = []

    async def test() -> None:
        async with bench(tmp_path) as b:
            ids.append(await answered(b))

    run(test)
    at = ("--log", str(tmp_path / "laneway.db"))
    for said in ("rejected", "was rejected so before"):
        result = laneway("reject", ids[0], "--why", "wrong", *at)
        assert (result.exit_code, result.output) == (0, f"{ids[0]} {said}, by anonymous\n")
    with closing(Reader.open(tmp_path / "laneway.db")) as reader:
        (word,) = reader.feedback()
        assert (word.entry.source, word.entry.reason, word.lane, word.workload) == ("operator", "wrong", "home", None)
        assert reader.verify().ok


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("x",), 2, "Missing option '--why'"),
        (("nonsense", "--why", "wrong"), 1, "no request `nonsense` in the log"),
        (("last", "--why", "of 811218-9876"), 1, "looks like an identifier (se.personnummer)"),
        (("last", "--why", "wrong", "--by", ""), 1, "1 to 100 printable characters"),
    ],
)
def test_reject_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """A missing reason, an unknown request and an identifier are told apart, and nothing is written."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await answered(b)

    run(test)
    path = tmp_path / "laneway.db"
    result = laneway("reject", *arguments, "--log", str(path))
    assert (result.exit_code, says in " ".join(result.output.split())) == (code, True), result.output
    with closing(Reader.open(path)) as reader:
        assert list(reader.feedback()) == []


def test_reject_says_where_no_server_answers(tmp_path: Path) -> None:
    """A log that another process holds, and nobody at --url: exit code 1, and what to do."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            result = laneway("reject", id, "--why", "wrong", "--log", str(b.log), "--url", "http://127.0.0.1:9")
            assert (result.exit_code, "no Laneway answers at http://127.0.0.1:9" in result.stderr) == (1, True)
            assert words(b, id) == []

    run(test)


def test_a_word_is_there_after_the_log_is_opened_again(tmp_path: Path) -> None:
    """A restart closes nothing that has words, and counts them as before."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            id = await answered(b)
            await say(b, {"decision": id, "accepted": False})

    run(test)
    with closing(Log.open(tmp_path / "laneway.db")) as log:
        assert log.closed == 0
    with closing(Reader.open(tmp_path / "laneway.db")) as reader:
        assert [len(s.feedback) for s in reader.stories()] == [1]
        assert reader.tally() == {(None, "home"): 1}
