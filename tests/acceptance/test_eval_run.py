"""`laneway eval run` as a process, against real scripted lanes: behind the wall, resumable, within its budget."""

from __future__ import annotations

import asyncio
import datetime
import re
import shlex
import signal
import sqlite3
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.evals import Case, Row, case, ended, rows
from tests.harness import run

from laneway.cli import main
from laneway.cli.output import moment
from laneway.evidence.results import Results
from laneway.providers.scripted import Fault, Scripted, ScriptedLane, Seen


async def until(lane: ScriptedLane, requests: int) -> None:
    """Wait until the lane has been asked so often."""
    async with asyncio.timeout(60):
        while lane.requests < requests:
            lane.arrived.clear()
            await lane.arrived.wait()


def slowly(lane: ScriptedLane, seconds: float = 0.02) -> None:
    """Have the lane take its time."""
    lane.fault, lane.seconds = "slow-first-byte", seconds


def test_a_lane_that_meets_the_bar_gets_evidence(tmp_path: Path) -> None:
    """Every lane is asked every sample; what that proves stands in the ledger, bound to set, prompt and model."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(60, language="sv"))
            done = await it.run("--json")
            assert (done.code, done.err) == (0, "")
            home, premium = it.ledger()
            assert (home.lane, home.bounds[""].samples, home.bounds[""].mean) == ("home", 60, 1.0)
            assert home.bounds["sv"].lower == home.bounds["#flags"].lower >= 0.95
            assert (home.reported, home.endpoint, home.cost) == ("home-model", it.home.url, 0.0)
            assert premium.bounds[""].mean == 0.0
            assert premium.cost
            assert done.lane("home")["met"] is True
            assert done.lane("premium")["met"] is False
            assert done.json["spent"] == pytest.approx(premium.cost)
            body = it.home.seen[0].body
            assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.0, 1, 1024)

    run(whole)


def test_nothing_answered_is_asked_again(tmp_path: Path) -> None:
    """The same command again calls no lane, costs nothing, and writes no second entry; a new sample is asked alone."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(20))
            await it.run()
            again = await it.run("--json")
            assert (again.code, again.json["spent"], again.json["written"]) == (0, 0.0, 0)
            told = (await it.run("--lane", "home")).out
            assert again.lane("home")["kept"] == 20
            it.write_set(rows(21))
            more = await it.run("--json")
            assert (more.lane("home")["asked"], more.lane("home")["kept"]) == (1, 20)
            assert it.asked(it.home) == {f"Is number {i} so?": 1 for i in range(21)}
            assert [entry.bounds[""].samples for entry in it.ledger()] == [20, 20, 21, 21]
            (command,) = re.findall(r"to ask it all anew: laneway eval run (.+)", told)
            anew = await it.run(*shlex.split(command)[2:], "--json")  # without --policy, which `run` gives too
            assert (anew.lane("home")["asked"], anew.lane("home")["kept"]) == (20, 1)  # the newest one is younger

    run(whole)


@pytest.mark.parametrize("given", ["2026-11-29", "2026-11-29T14:30", "2026-11-29T14:30:05Z", "2026-11-29T16:30+02:00"])
def test_since_takes_days_and_times_with_or_without_an_offset(given: str) -> None:
    """What the help and the error show is taken; without an offset it is UTC."""
    found = moment(given)
    assert found.utcoffset() is not None
    assert found.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M") in ("2026-11-29 00:00", "2026-11-29 14:30")


def test_a_since_that_is_no_date_is_shown_what_one_is() -> None:
    """The error has examples, and no codes of a library."""
    done = CliRunner().invoke(main, ["eval", "run", "--since", "yesterday"])
    assert done.exit_code == 2
    assert "`yesterday` is no date: write 2026-11-29, 2026-11-29T14:30, 2026-11-29T14:30:05Z or" in done.output
    assert "%" not in done.output


def test_not_a_byte_of_a_sample_leaves_for_a_lane_that_may_not_see_it(tmp_path: Path) -> None:
    """The class of a sample is the highest of its own, its workload's and what its text holds; the rule is said."""
    secret: list[Row] = [
        {"id": "labelled", "input": "ZANZIBAR one", "expected": "yes", "sensitivity": "restricted"},
        {"id": "found", "input": "ZANZIBAR two 19900101-0017", "expected": "yes"},
        {"id": "plain", "input": "Is this so?", "expected": "yes"},
    ]

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(secret)
            done = await it.run("--json")
            assert done.code == 0
            assert len(it.home.seen) == 3
            assert b"".join(seen.raw for seen in it.premium.seen).count(b"ZANZIBAR") == 0
            (reason,) = done.lane("premium")["left_out"]
            assert "wall[0]" in reason
            assert done.lane("premium")["left_out"][reason] == 2
            assert it.ledger()[1].left_out == 2
            it.write_policy("contracts: {sensitivity: confidential, evals: [flags.jsonl]}")
            floor = await it.run("--json")
            assert sum(floor.lane("premium")["left_out"].values()) == 3
            assert len(it.premium.seen) == 1

    run(whole)


def test_a_sample_that_nobody_may_see_is_said(tmp_path: Path) -> None:
    """Where the wall shuts every lane the sample is named, and no lane is called for it."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            limit = "  - {when: {team: {not: [legal]}}, zones: [], says: Legal alone.}\nworkloads:"
            it.write_policy(**{"workloads:": limit})
            it.write_set(rows(3))
            done = await it.run()
            assert "3 samples may be seen by no lane of the policy: flags/s0, flags/s1, flags/s2" in done.said
            assert it.home.requests == it.premium.requests == 0
            assert it.ledger() == ()

    run(whole)


def test_a_samples_facts_are_stated_as_a_client_would(tmp_path: Path) -> None:
    """A fact that is not said shuts what it may shut; said by the set or the sample it opens what it opens."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            limit = "  - {id: sealed-home, when: {matter: sealed}, zones: [ours], says: Sealed stays.}\nworkloads:"
            it.write_policy(
                **{"lanes:\n": "facts: {matter: {values: [ordinary, sealed]}}\nlanes:\n", "workloads:": limit}
            )
            it.write_set(rows(2))
            unsaid = await it.run("--json")
            assert sum(unsaid.lane("premium")["left_out"].values()) == 2
            it.write_set([*rows(2), {"id": "own", "input": "Sealed?", "expected": "no", "facts": {"matter": "sealed"}}],
                         facts={"matter": "ordinary"})  # fmt: skip
            said = await it.run("--json")
            assert said.lane("premium")["answered"] == 2
            assert sum(said.lane("premium")["left_out"].values()) == 1
            assert b"Sealed?" not in b"".join(seen.raw for seen in it.premium.seen)
            it.write_set(rows(2), facts={"matter": "odinary"})
            refused = await it.run()
            assert refused.code == 5
            assert "unknown value `odinary`; did you mean `ordinary`?" in " ".join(refused.err.split())

    run(whole)


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """After kill -9 no answer on file is asked again; only calls under way may be, and they are counted."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(200))
            slowly(it.home)
            slowly(it.premium)
            process = await it.start()
            await until(it.premium, 60)
            process.kill()
            await process.wait()
            with closing(Results.open(tmp_path / "evals.db")) as results:
                answered = {(one.lane, one.sample) for one in results.of() if one.answer is not None}
            before = it.home.requests + it.premium.requests
            assert 0 < len(answered) <= before < 400
            done = await it.run("--json")
            assert done.code == 0
            lost = sum(done.json["lost"].values())
            assert lost <= 16
            assert f"an earlier run ended in the middle of {lost} calls" in done.err
            for lane, name in ((it.home, "home"), (it.premium, "premium")):
                asked = it.asked(lane)
                assert len(asked) == 200
                assert all(asked[f"Is number {sample[1:]} so?"] == 1 for by, sample in answered if by == name)
            twice = it.home.requests + it.premium.requests - 400
            assert twice <= lost
            assert len(it.ledger()) == 2

    run(whole)


def test_a_run_that_is_interrupted_ends_cleanly(tmp_path: Path) -> None:
    """After Ctrl-C calls under way end, all that was answered is on disk, and it is said how to go on."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(300))
            slowly(it.home)
            slowly(it.premium)
            process = await it.start()
            await until(it.premium, 30)
            process.send_signal(signal.SIGINT)
            stopped = await ended(process)
            assert stopped.code == 1
            assert "run the same command again" in stopped.out
            assert "Traceback" not in stopped.err
            assert it.ledger() == ()
            done = await it.run("--json")
            assert (done.code, done.json["lost"]) == (0, {})
            assert set(it.asked(it.premium).values()) == set(it.asked(it.home).values()) == {1}

    run(whole)


def test_a_budget_is_never_exceeded(tmp_path: Path) -> None:
    """A call whose worst case does not fit into what is left is not made; more money goes on from there."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(40))
            short = await it.run("--budget", "0.017", "--max-output", "1000", "--json")
            asked = it.premium.requests
            assert short.code == 1
            assert 0 < asked < 40
            assert short.json["spent"] <= 0.017
            assert "left of the budget" in short.lane("premium")["given_up"]
            assert short.lane("home")["answered"] == 40
            done = await it.run("--max-output", "1000", "--json")
            assert (done.code, it.premium.requests) == (0, 40)
            assert set(it.asked(it.premium).values()) == {1}

    run(whole)


def test_a_budget_needs_prices(tmp_path: Path) -> None:
    """A lane of unknown price is refused under a budget, by name, before anything is asked."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_policy(**{"    price: {input: 3.00, output: 15.00}\n": ""})
            it.write_set(rows(3))
            refused = await it.run("--budget", "1")
            assert refused.code == 2
            assert "the price of premium is not known" in refused.err
            assert it.home.requests == 0
            assert (await it.run("--budget", "1", "--lane", "home")).code == 0
            assert (await it.run("--json")).lane("premium")["cost"] is None

    run(whole)


def test_a_lane_that_dies_half_way_holds_up_no_other(tmp_path: Path) -> None:
    """Its remaining samples stay open and get no evidence; the other lane is done; the next run asks only the rest."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(50))
            it.premium.fault = lambda _: "500" if it.premium.requests > 20 else None
            half = await it.run("--patience", "1", "--json")
            assert half.code == 1
            assert half.lane("premium")["answered"] == 20
            assert half.lane("premium")["unanswered"] == 30
            assert re.search(r"\(500\); .*--patience is 1 s", half.lane("premium")["given_up"])
            assert [entry.lane for entry in it.ledger()] == ["home"]
            it.premium.fault = None
            before = len(it.premium.seen)
            done = await it.run("--json")
            assert (done.code, len(it.premium.seen) - before) == (0, 30)
            assert done.json["lost"] == {}
            assert [entry.lane for entry in it.ledger()] == ["home", "premium"]

    run(whole)


def test_a_lane_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    """A Retry-After is waited for, by all who would ask that lane, and then all is answered."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(30))
            it.premium.retry_after = "2"
            arrived: list[float] = []

            def fault(_: Seen) -> Fault | None:
                arrived.append(time.monotonic())
                return "429" if len(arrived) == 12 else None

            it.premium.fault = fault
            done = await it.run("--json")
            assert done.code == 0
            assert done.lane("premium")["answered"] == 30
            gaps = [b - a for a, b in pairwise(arrived)]
            assert max(gaps) >= 1.9
            it.premium.fault, it.premium.retry_after = "429", "300"
            it.write_set(rows(31))
            gone = await it.run("--json")
            assert gone.code == 1
            assert "asks to wait 300 s" in gone.lane("premium")["given_up"]

    run(whole)


def test_a_lane_that_refuses_counts_as_zero(tmp_path: Path) -> None:
    """A refusal is an answer of a kind: it is kept, counts as 0, and is not asked again."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(10))
            it.home.fault = lambda seen: "content-filter" if b"number 3" in seen.raw else None
            done = await it.run("--lane", "home", "--json")
            assert done.code == 0
            assert done.lane("home")["refused"] == 1
            (entry,) = it.ledger()
            assert (entry.unscored, entry.bounds[""].mean) == (1, 0.9)
            await it.run("--lane", "home")
            assert it.home.requests == 10

    run(whole)


def test_a_lane_that_dislikes_the_parameters_is_said(tmp_path: Path) -> None:
    """Where the first requests are all called invalid the lane is given up, with the way to leave a parameter out."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(60))
            it.premium.fault = lambda seen: "400" if "seed" in seen.body else None
            picky = await it.run("--json")
            assert picky.code == 1
            assert "--without" in picky.lane("premium")["given_up"]
            assert it.premium.requests <= 16
            done = await it.run("--without", "seed", "--json")
            assert (done.code, done.lane("premium")["answered"]) == (0, 60)
            assert done.lane("home")["asked"] == 60  # the same is asked of all lanes

    run(whole)


def test_a_lane_whose_key_is_missing_is_said(tmp_path: Path) -> None:
    """A closed lane is not called; its samples stay open, and the other lane is done."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(5))
            done = await it.run(PREMIUM_KEY="")
            assert done.code == 1
            assert (
                "premium was given up: lane `premium` is closed: its environment variable PREMIUM_KEY is empty"
                in done.said
            )
            assert [entry.lane for entry in it.ledger()] == ["home"]

    run(whole)


def test_another_model_is_measured_and_said(tmp_path: Path) -> None:
    """A lane that answers under another name than the policy's is measured as what it says it is."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(5))
            it.home.fault = "other-model"
            done = await it.run("--lane", "home")
            assert done.code == 0
            assert "answers as another-model, not as home-model" in done.said
            assert it.ledger()[0].reported == "another-model"

    run(whole)


def test_a_lane_that_changes_its_model_proves_nothing(tmp_path: Path) -> None:
    """Where one lane answers as two models within its answers there is no evidence, until all is asked anew."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(10))
            it.home.fault = lambda seen: "other-model" if b"number 7" in seen.raw else None
            done = await it.run("--lane", "home")
            assert done.code == 1
            assert "it answered as more than one model: home-model (9), another-model (1)" in done.said
            assert it.ledger() == ()
            it.home.fault = None
            assert (await it.run("--lane", "home", "--since", "2099-01-01")).code == 0
            assert it.home.requests == 20
            assert len(it.ledger()) == 1

    run(whole)


def test_a_prompt_is_sent_and_another_one_is_only_tried(tmp_path: Path) -> None:
    """What is in force goes before the sample and makes evidence; what is tried is kept apart and makes none."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_policy("contracts: {prompt: in-force.md, evals: [flags.jsonl]}")
            (tmp_path / "in-force.md").write_text("Say yes or no.", "utf-8")
            (tmp_path / "try.md").write_text("Think first.", "utf-8")
            it.write_set(rows(8))
            tried = await it.run("--lane", "home", "--prompt", str(tmp_path / "try.md"), "--json")
            assert tried.code == 0
            assert it.ledger() == ()
            assert tried.lane("home")["not_evidence"] == "the prompt is not the one in force"
            assert (await it.run("--lane", "home")).code == 0
            assert it.home.requests == 16
            said = [seen.body["messages"][0] for seen in it.home.seen]  # type: ignore[index]
            assert said[0] == {"role": "system", "content": "Think first."}
            assert said[-1] == {"role": "system", "content": "Say yes or no."}
            both = [str(tmp_path / name) for name in ("try.md", "in-force.md")]
            again = await it.run("--lane", "home", "--prompt", both[0], "--prompt", both[1], "--json")
            assert [lane["not_evidence"] is None for lane in again.json["lanes"]] == [True, False]
            assert (it.home.requests, len(it.ledger())) == (16, 1)

    run(whole)


def test_part_of_a_workloads_sets_is_no_evidence(tmp_path: Path) -> None:
    """Evidence is over all sets that the workload names; a question that stands in two of them proves nothing more."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_policy("contracts: {evals: [flags.jsonl, more.jsonl]}")
            path = it.write_set(rows(5))
            it.write_set(rows(3), "more")
            twice = await it.run("--lane", "home")
            assert twice.code == 5
            assert "`s0` asks the same as flags/s0, so it proves nothing more of contracts" in twice.err
            it.write_set(
                [{"id": f"o{i}", "input": f"Is it other than {i}?", "expected": "yes"} for i in range(4)], "more"
            )
            part = await it.run(str(path), "--lane", "home", "--json")
            assert part.lane("home")["not_evidence"] == "the workload is measured by other sets too: more.jsonl"
            assert it.ledger() == ()
            done = await it.run("--lane", "home")
            assert done.code == 0
            assert it.home.requests == 9
            (entry,) = it.ledger()
            assert [(on.set, len(on.hash)) for on in entry.on] == [("flags", 64), ("more", 64)]
            assert (entry.bounds[""].samples, entry.bounds["#more"].samples) == (9, 4)

    run(whole)


def test_what_cannot_be_scored_counts_as_zero_and_is_said(tmp_path: Path) -> None:
    """A sample without a score is told with its scorer's reason; in the ledger it counts as 0."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            runaway = {"id": "r", "input": "And?", "scorers": [{"regex": {"pattern": "(x+x+)+y"}}]}
            it.write_set([*rows(4), runaway])
            it.home.answer = lambda body: "x" * 4000 if "And?" in str(body) else "yes"
            done = await it.run("--lane", "home")
            assert done.code == 0
            assert "1 unscored, which count as 0: regex: " in done.said
            (entry,) = it.ledger()
            assert (entry.unscored, entry.bounds[""].samples, entry.bounds[""].mean) == (1, 5, 0.8)

    run(whole)


def test_damaged_results_stop_the_run(tmp_path: Path) -> None:
    """Where the results cannot be read nothing is asked, and the remedy is said."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(5))
            (tmp_path / "evals.db").write_bytes(b"no database, but quite long enough to be one" * 100)
            stopped = await it.run()
            assert stopped.code == 1
            assert "move it away" in stopped.err
            assert it.home.requests == 0

    run(whole)


def test_a_disk_that_fails_stops_the_run(tmp_path: Path) -> None:
    """Where an intent cannot be written no call is made and the run ends with the cause."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(5))
            await it.run("--lane", "home")
            with closing(sqlite3.connect(tmp_path / "evals.db")) as db:
                db.execute("CREATE TRIGGER full BEFORE INSERT ON call BEGIN SELECT raise(ABORT, 'disk is full'); END")
                db.commit()
            stopped = await it.run("--lane", "premium")
            assert stopped.code == 1
            assert "disk is full" in stopped.err
            assert it.premium.requests == 0

    run(whole)


def test_a_second_run_at_once_is_kept_out(tmp_path: Path) -> None:
    """Two runs over one file of results would ask the same twice."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(50))
            it.home.fault = "hang"
            first = await it.start("--lane", "home")
            await until(it.home, 1)
            second = await it.run("--lane", "home")
            assert second.code == 1
            assert "another `laneway eval run`" in second.err
            first.kill()
            await ended(first)

    run(whole)


@pytest.mark.parametrize(("change", "code", "said"), [
    ("no set", 2, "laneway eval init"),
    ("a class the policy lacks", 5, "a class `secret` that the policy does not have"),
    ("a workload the policy lacks", 5, "a workload `haiku`"),
    ("twins", 5, "a second set `flags`"),
    ("a contradiction", 5, "expects something else"),
    ("an empty prompt", 5, "is empty"),
    ("no such lane", 2, "no lane `hom`; did you mean `home`?"),
    ("no such workload", 2, "no workload `contract`"),
    ("a bad policy", 5, "laneway.yaml"),
])  # fmt: skip
def test_what_cannot_be_run_is_refused_before_anything_is_asked(
    tmp_path: Path, change: str, code: int, said: str
) -> None:
    """Every mistake has its exit code and its sentence, and no lane is called."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            arguments = _spoilt(it, change)
            refused = await it.run(*arguments)
            assert refused.code == code, refused.err
            assert said in " ".join(refused.err.split())
            assert it.home.requests == it.premium.requests == 0
            assert not (tmp_path / "evals.db").exists()

    run(whole)


def _spoilt(it: Case, change: str) -> tuple[str, ...]:
    path = it.write_set(rows(3, sensitivity="secret") if change == "a class the policy lacks" else rows(3),
                        workload="haiku" if change == "a workload the policy lacks" else "contracts")  # fmt: skip
    match change:
        case "no set":
            it.write_policy("contracts: {}")
        case "twins":
            other = it.write_set(rows(3), "other")
            other.write_text(path.read_text("utf-8"), "utf-8")
            return str(path), str(other)
        case "a contradiction":
            it.write_set([*rows(1), {"id": "again", "input": "Is number 0 so?", "expected": "no"}])
        case "an empty prompt":
            (it.folder / "empty.md").write_text(" \n", "utf-8")
            return "--prompt", str(it.folder / "empty.md")
        case "no such lane":
            return "--lane", "hom"
        case "no such workload":
            return "--workload", "contract"
        case "a bad policy":
            (it.folder / "laneway.yaml").write_text("laneway: 1\n", "utf-8")
    return ()


def test_a_broken_answer_leaves_its_sample_open(tmp_path: Path) -> None:
    """A sample to which no whole answer comes in a few tries stays open, is said, and is asked again next time."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(10))
            it.home.answer = lambda body: Scripted(text="yes", finish=None if "number 4" in str(body) else "stop")
            done = await it.run("--lane", "home")
            assert done.code == 1
            assert "1 open: lane home broke off its answer" in done.said
            assert it.asked(it.home)["Is number 4 so?"] == 3
            it.home.answer = "yes"
            assert (await it.run("--lane", "home")).code == 0
            assert it.home.requests == 13

    run(whole)


def test_answers_that_were_cut_off_are_counted(tmp_path: Path) -> None:
    """A cap that is too low looks like a bad lane, so that it is said."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(4))
            it.home.fault = lambda seen: "cut-off" if b"number 2" in seen.raw else None
            done = await it.run("--lane", "home", "--max-output", "5")
            assert "1 answer was cut off; --max-output is 5 tokens, for all lanes" in done.said

    run(whole)


def test_samples_that_are_too_long_for_a_lane_are_told_in_one_line(tmp_path: Path) -> None:
    """A lane is not asked what it cannot take in; those samples are counted together, however long each is."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            price = "model: home-model, price: 0"
            it.write_policy(**{price: price + ", limits: {context: 100}"})
            long = [{"id": f"l{i}", "input": "word " * (100 + i), "expected": "yes"} for i in range(3)]
            it.write_set([*rows(2), *long])
            done = await it.run("--lane", "home", "--json")
            assert done.lane("home")["left_out"] == {"lanes.home: more input than the 100 tokens that home takes": 3}
            assert (done.code, it.home.requests) == (0, 2)

    run(whole)


def test_a_damaged_ledger_is_told_before_anything_is_paid_for(tmp_path: Path) -> None:
    """Where what is found out could not be written down, nothing is asked."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(3))
            (tmp_path / "evidence.jsonl").write_text("no entry\n", "utf-8")
            stopped = await it.run()
            assert stopped.code == 1
            assert "evidence.jsonl:1: this is no entry of a ledger" in " ".join(stopped.err.split())
            assert it.home.requests == it.premium.requests == 0

    run(whole)


def test_evidence_opens_a_lane_that_nobody_waived(tmp_path: Path) -> None:
    """A lane without a waiver serves the workload once a run has shown that it is good enough, and no other work."""

    def explained(workload: str) -> Result:
        policy = str(tmp_path / "laneway.yaml")
        return CliRunner().invoke(main, ["explain", "--policy", policy, "--workload", workload, "--language", "sv"])

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_policy(**{"waiver: {lanes: [home, premium]": "waiver: {lanes: [premium]"})
            it.write_set(rows(60, language="sv"))
            assert "Route to premium" in explained("contracts").output
            assert (await it.run("--lane", "home")).code == 0
            assert "Route to home" in explained("contracts").output
            assert "Route to home" not in explained("flags").output
            it.write_set(rows(61, language="sv"))
            assert "Route to premium" in explained("contracts").output

    run(whole)


def test_without_the_extra_nothing_is_asked(tmp_path: Path) -> None:
    """Without numpy and scipy the run says which extra it needs, before any lane is called."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(3))
            code = "import sys; sys.modules.update(numpy=None, scipy=None); from laneway.cli import main; main()"
            arguments = ("eval", "run", "--policy", str(tmp_path / "laneway.yaml"))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            bare = await ended(process)
            assert (bare.code, it.home.requests) == (1, 0)
            assert (
                "statistics need the `eval` extra; in a clone: sh scripts/setup demo,eval; for the package: "
                in bare.err
            )

    run(whole)


def test_calls_that_hang_do_not_keep_an_interrupted_run(tmp_path: Path) -> None:
    """After a grace calls under way are cut, and the next run says that they may have been paid for."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(20))
            it.home.fault = lambda _: "hang" if it.home.requests > 5 else None
            process = await it.start("--lane", "home")
            await until(it.home, 13)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(30):
                stopped = await ended(process)
            assert stopped.code == 1
            assert "5 answers" in stopped.out
            it.home.fault = None
            done = await it.run("--lane", "home", "--json")
            assert (done.code, done.json["lost"], done.lane("home")["asked"]) == (0, {"home": 8}, 15)

    run(whole)
