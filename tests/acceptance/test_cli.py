"""The command line as its users meet it: exit codes, JSON for scripts, and no traceback for any bad input."""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.policies import TODAY

from laneway import __version__
from laneway.cli import main
from laneway.decide import decide
from laneway.facts import Facts
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.record import Attempt, Intent, Opening, Outcome, Verdict
from laneway.signals import Ask, Signals
from laneway.store import Log

POLICY = """\
laneway: 1
name: Fjord
currency: EUR
sensitivity: [public, restricted, sealed]
unlabelled: {sensitivity: public}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:9/v1", model: m, price: 0}
  away: {kind: premium, provider: openai, url: "https://away.example/v1", model: n, key: env:AWAY_KEY, price: {input: 3, output: 15}}
strength: [home, away]
zones:
  ours: {kind: local}
  any: {kind: [local, premium]}
wall:
  - {sensitivity: sealed, zones: [], says: What is sealed is never sent.}
  - {sensitivity: restricted, zones: [ours], says: What is restricted stays on our machines.}
  - {sensitivity: public, zones: [any], says: What is public may go anywhere.}
facts:
  matter: {values: [merger, none]}
  pages: {from: 0, to: 100}
workloads:
  contracts: {sensitivity: restricted, stakes: high}
  chat: {latency: interactive, output: {language: sv, format: json}}
routes:
  - {says: Hard work starts at the strongest., when: {difficulty: hard}, try: strongest}
  - {says: All else starts at the cheapest., try: cheapest}
gate:
  says: A weak answer is redone once.
  checks: [empty]
  waiver: {lanes: [home, away], until: 2099-01-01, by: The head of platform}
  weak: [strongest, marked]
fallbacks:
  - {says: The next one takes over., then: [next, refuse]}
reviews:
  - {says: A lawyer reads every contract., when: {workload: contracts}}
"""

IDS = ("19ab0000001-aaaaaaaaaaaa", "19ab0000002-bbbbbbbbbbbb", "19ab0000003-cccccccccccc")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file that holds whatever the day."""
    path = tmp_path / "laneway.yaml"
    path.write_text(POLICY, "utf-8")
    return path


def opening(made: Policy, **facts: Any) -> Opening:
    """What was decided for a request with these signals."""
    signals, snapshot = Signals(**{"sensitivity": "public", "declared": {"matter": "none"}} | facts), Facts(today=TODAY)
    return Opening(policy=made.hash, model="auto", ask=Ask(), signals=signals, facts=snapshot,
                   decision=decide(made, Ask(), signals, snapshot), stream=False, prompt="c" * 64, size=12)  # fmt: skip


async def write(path: Path, made: Policy) -> None:
    """A log with an answered, a refused and an open request."""
    log = Log.open(path)
    log.archive(made.hash, made.text)
    weak, good = Verdict("escalate", ("empty",)), Verdict("pass")
    attempts = (
        Attempt(lane="home", why="first", result="answered", started_ms=0, ended_ms=90, tokens_in=9, tokens_out=0, cost=0, verdict=weak),
        Attempt(lane="away", why="escalation", result="answered", started_ms=91, ended_ms=300, tokens_in=9, tokens_out=20, cost=0.000327, verdict=good),
    )  # fmt: skip
    await log.append(Intent(id=IDS[0], attempt=1, lane="home", why="first", opening=opening(made)))
    await log.append(Intent(id=IDS[0], attempt=2, lane="away", why="escalation"))
    await log.append(
        Outcome(id=IDS[0], status="answered", lane="away", verdict=good, attempts=attempts, cost=0.000327, total_ms=301)
    )
    await log.append(
        Outcome(id=IDS[1], status="refused", code="no_lane", opening=opening(made, sensitivity="sealed"), total_ms=1)
    )
    await log.append(Intent(id=IDS[2], attempt=1, lane="home", why="first", opening=opening(made)))
    await asyncio.to_thread(log.close)


@pytest.fixture
def log(policy: Path) -> Path:
    """The log beside the policy."""
    path = policy.parent / "laneway.db"
    asyncio.run(write(path, parse(POLICY)))
    return path


def run(*arguments: str | Path, code: int | None = 0) -> Result:
    """Run one command in this process; it ends with `code` and without a traceback."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    told = f"{result.output}\n{result.exception!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert "Traceback" not in result.output, told
    assert "\x1b" not in result.output
    assert code is None or result.exit_code == code, told
    return result


def spawn(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command in a process of its own, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "laneway.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def read_json(result: Result) -> Any:
    """The one JSON value on standard output."""
    return json.loads(result.stdout)


# Exit codes


EXITS = [
    (["--sensitivity", "public"], 0), (["--sensitivity", "restricted"], 0), (["--difficulty", "hard"], 0),
    (["--sensitivity", "sealed"], 3), (["--sensitivity", "restricted", "--model", "lane/away"], 3),
    (["--workload", "contracts"], 4), (["--model", "contracts"], 4), (["--sensitivity", "secret"], 2),
]  # fmt: skip


def test_explain_says_what_answers_are_to_be(policy: Path) -> None:
    """The contract of the request's workload stands beside the decision, and nothing where there is none."""
    assert "Answers are in Swedish, as JSON." in run("explain", "--policy", policy, "--workload", "chat").stdout
    assert "Answers are" not in run("explain", "--policy", policy, "--workload", "contracts", code=None).stdout


@pytest.mark.parametrize(("flags", "code"), EXITS)
def test_explain_ends_with_the_code_of_its_decision(policy: Path, flags: list[str], code: int) -> None:
    """0 is a route, 3 a refusal, 4 a hold, and 2 a question that cannot be asked."""
    run("explain", "--policy", policy, *flags, code=code)


def test_exit_codes_reach_the_shell(policy: Path) -> None:
    """The codes are those of the process, not only of the function, and the installed command is the same."""
    assert spawn("explain", "--policy", policy).returncode == 0
    assert spawn("explain", "--policy", policy, "--sensitivity", "sealed").returncode == 3
    assert spawn("explain", "--policy", policy, "--workload", "contracts").returncode == 4
    assert spawn("explain", "--policy", policy.parent / "none.yaml").returncode == 5
    script = Path(sys.executable).with_name("laneway")
    if script.exists():
        told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=60)
        assert told.stdout == f"laneway, version {__version__}\n"


def test_an_invalid_policy_ends_with_five_and_every_problem(policy: Path) -> None:
    """Every problem is one line on standard error that begins with file, line and column."""
    policy.write_text(POLICY.replace("currency: EUR", "currency: euro").replace("\nroutes:", "\nroutez:"), "utf-8")
    for command in (["explain"], ["serve", "--port", "0"]):
        result = run(*command, "--policy", policy, code=5)
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert [re.sub(r":\d+:\d+: .*", "", line) for line in lines] == [str(policy)] * 2
        assert "expected an ISO 4217 currency" in lines[0]
        assert "did you mean `routes`?" in lines[1]


@pytest.mark.parametrize("command", [["why"], ["log"], ["log", "verify"], ["review"], ["why", "x", "--json"]])
def test_a_missing_log_ends_with_one_and_says_who_makes_it(policy: Path, command: list[str]) -> None:
    """Without a log there is nothing to tell, which is a failure and no traceback."""
    at = ["--policy", str(policy)] if command[-1] != "verify" else []
    result = run(
        command[0], *at, *command[1:], *(["--log", str(policy.parent / "laneway.db")] if not at else []), code=1
    )
    assert "there is no log at" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize("command", ["why", "log", "review"])
def test_a_file_that_is_no_log_ends_with_one(tmp_path: Path, command: str) -> None:
    """A file that is not a log is a failure that says so."""
    path = tmp_path / "laneway.db"
    path.write_bytes(b"this is no database, and longer than a header of one would be" * 50)
    assert str(path) in run(command, "--log", path, code=1).stderr.replace("\n", "")


@pytest.mark.parametrize("command", ["why", "log", "review", "serve"])
def test_what_is_no_file_is_no_log(policy: Path, command: str) -> None:
    """A place where nothing can be kept, and a directory, are refused with what to do, and nothing is made there."""
    os.mkfifo(policy.parent / "pipe")
    for path in (policy.parent / "pipe", policy.parent):
        told = " ".join(run(command, "--policy", policy, "--log", path, code=1).stderr.split())
        assert f"the log {path} is no file: name one with --log" in told
        assert not path.with_name(path.name + ".lock").exists()


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["explain", "--nonsense"], ["log", "-n", "0"], ["log", "-n", "x"], ["serve", "--port", "70000"]],
)
def test_a_command_that_does_not_exist_is_a_usage_error(arguments: list[str]) -> None:
    """An unknown command or option, or a value of the wrong type, ends with 2."""
    run(*arguments, code=2)


def test_help_lists_every_command_with_a_sentence() -> None:
    """The help names each command, and each command's help says what it does."""
    told = run("--help").output
    for name in main.list_commands(click.Context(main)):
        assert re.search(rf"^  {name} +\S", told, re.MULTILINE)
        assert len(run(name, "--help").output.splitlines()) > 4


# No traceback


BAD_FLAGS = [
    ["--difficulty", "har"], ["--stakes", "hi"], ["--latency", "batchy"], ["--workload", "contract"], ["--needs", "tool"],
    ["--region", "Sweden"], ["--fact", "matter"], ["--fact", "=x"], ["--fact", "matter=none", "--fact", "matter=merger"], ["--fact", "mater=none"], ["--fact", "matter=nobody"],
    ["--fact", "pages=many"], ["--fact", "pages=1000"], ["--ceiling", "nan"], ["--ceiling", "-1"], ["--ceiling", "inf"],
    ["--ceiling", "x"], ["--tokens", "-1"], ["--tokens", "x"], ["--model", "gpt-4"], ["--model", "lane/hom"],
    ["--team", "a\x1b[31mb"], ["--team", "x" * 500], ["--sensitivity", "\udcff"], ["--model", "contracts", "--workload", "chat"],
]  # fmt: skip


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_a_bad_flag_is_a_usage_error_with_a_remedy(policy: Path, flags: list[str]) -> None:
    """A value that means nothing ends with 2 and one sentence, not with a guess."""
    result = run("explain", "--policy", policy, *flags, code=2)
    assert result.stdout == ""
    assert result.stderr.strip()


@pytest.mark.parametrize(
    "flags", [["--ceiling", "1e305"], ["--ceiling", "1e20"], ["--tokens", "9" * 400], ["--tokens", "9" * 25]]
)
def test_a_number_beyond_all_sense_is_no_traceback(policy: Path, flags: list[str]) -> None:
    """Amounts that no machine counts in are answered or refused, in JSON too."""
    run("explain", "--policy", policy, *flags, code=None)
    run("explain", "--policy", policy, *flags, "--json", code=None)


def test_a_near_miss_gets_the_word_that_was_meant(policy: Path) -> None:
    """An unknown word gives the nearest known one."""
    assert "did you mean `hard`?" in run("explain", "--policy", policy, "--difficulty", "har", code=2).stderr
    assert "did you mean `lane/home`?" in run("explain", "--policy", policy, "--model", "lane/hom", code=2).stderr


BODIES: list[bytes] = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": "auto"}', b'{"messages": []}', b'{"model": 1, "messages": []}',
    b'{"model": "auto", "messages": "x"}', b'{"model": "auto", "messages": [], "model": "auto"}', b"[" * 100_000,
    b'{"model": "auto", "messages": [], "base_url": "http://x"}', b'{"model": "nobody", "messages": []}',
    b'{"model": "auto", "messages": [], "n": 2}', b'{"model": "auto", "messages": [], "metadata": {"laneway-colour": "red"}}',
    b'{"model": "auto", "messages": [], "metadata": {"laneway-sensitivity": "secret"}}', b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_bad_request_file_is_a_usage_error(policy: Path, body: bytes) -> None:
    """A request file that is no usable request ends with 2 and one sentence."""
    path = policy.parent / "body.json"
    path.write_bytes(body)
    assert run("explain", "--policy", policy, "--request", path, code=2).stderr.startswith("laneway: ")


def test_a_request_file_that_cannot_be_read_is_named(policy: Path) -> None:
    """A missing request file, or a directory, is named in one sentence."""
    for path in (policy.parent / "none.json", policy.parent):
        result = run("explain", "--policy", policy, "--request", path, code=None)
        assert result.exit_code in (1, 2)
        assert str(path) in result.stderr.replace("\n", "")


def test_a_policy_that_cannot_be_read_is_invalid(policy: Path) -> None:
    """A policy path without a readable file ends with 5 and says how to begin."""
    for path in (policy.parent / "none.yaml", policy.parent):
        assert "laneway init DIR" in run("explain", "--policy", path, code=5).stderr.replace("\n", " ")
    policy.write_bytes(b"\xff")
    assert "not UTF-8" in run("explain", "--policy", policy, code=5).stderr
    if os.geteuid() != 0:
        policy.chmod(0)
        run("explain", "--policy", policy, code=5)


def test_a_policy_with_text_that_cannot_be_printed_is_no_traceback(policy: Path) -> None:
    """A sentence that no terminal and no log could hold is refused with the policy, not met later."""
    sentence = '"\\ud83d What is public may go anywhere."'
    policy.write_text(POLICY.replace("What is public may go anywhere.", sentence), "utf-8")
    # In a process of its own: the console would keep what it could not write, and spoil the next test.
    for flags in ([], ["--json"]):
        done = spawn("explain", "--policy", policy, *flags)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 5)


@pytest.mark.parametrize("since", ["", "nonsense", "7", "d", "7w", "-7d", "7 d", "1e3d", "7d7d", "1234567d"])
def test_a_period_that_means_nothing_is_a_usage_error(log: Path, since: str) -> None:
    """`--since` takes a number and a unit; anything else gives examples."""
    assert "--since takes 30m, 24h, 7d or `all`" in run("review", "--log", log, "--since", since, code=2).stderr


@pytest.mark.parametrize("since", ["999999d", "999999h", "999999m", "0m", "all"])
def test_a_period_of_any_length_is_answered(log: Path, since: str) -> None:
    """A period from before there was time is a long period and no traceback."""
    run("review", "--log", log, "--since", since, code=None)


def test_a_long_list_is_answered(log: Path) -> None:
    """A number of rows that no log has is a large number and no traceback."""
    run("log", "--log", log, "-n", "9" * 30, code=None)


# Text for people


def test_explain_cites_the_policys_own_words(policy: Path) -> None:
    """The page gives the decision, each signal, and rule and sentence for every lane."""
    told = " ".join(run("explain", "--policy", policy, "--sensitivity", "restricted").output.split())
    assert "Route to home" in told
    assert 'wall[1], because sensitivity=restricted: "What is restricted stays on our machines."' in told
    assert "restricted data may not use away" in told
    assert "flag --sensitivity" in told


def test_explain_all_is_a_table_of_classes_and_lanes(policy: Path) -> None:
    """`--all` gives one row a class, the strictest first."""
    rows = [line.split() for line in run("explain", "--policy", policy, "--all").stdout.splitlines()]
    assert [row[0] for row in rows[-3:]] == ["sealed", "restricted", "public"]
    assert rows[-3][1:] == ["never", "never"]
    assert rows[-2][1:3] == ["first", "never"]


def test_why_tells_the_whole_story(log: Path) -> None:
    """A recorded request is told with its rules, attempts, verdicts, cost and times."""
    told = " ".join(run("why", IDS[0], "--log", log).output.split())
    for words in ("asked `auto`", "What happened", "1. home (first): answered after 90 ms", "gate: escalate (empty)",
                  "2. away (escalation): answered", "answered by away", "301 ms in total", "All else starts at the cheapest."):  # fmt: skip
        assert words in told


def test_why_reads_the_policy_of_its_day(log: Path, policy: Path) -> None:
    """An old decision is explained by the archived policy, whatever has become of the file."""
    policy.unlink()
    assert "Fjord" in run("why", IDS[0], "--policy", policy).output


def test_why_takes_the_start_of_an_id_and_the_last_one(log: Path) -> None:
    """An id may be shortened while it is the only one that starts so; `last` is the newest."""
    assert IDS[1] in run("why", IDS[1][:11], "--log", log).output
    assert IDS[2] in run("why", "--log", log).output
    assert "no end on record" in run("why", "last", "--log", log).output.replace("\n", " ")


@pytest.mark.parametrize("id", ["19ab0000001-aaaaaaaaaaab", "19ab000000", "9ab0000001-aaaaaaaaaaaa"])
def test_an_unknown_id_gives_the_nearest(log: Path, id: str) -> None:
    """An id that is not on record, or is not the only one that starts so, ends with 1 and the nearest one."""
    told = " ".join(run("why", id, "--log", log, code=1).stderr.split())
    assert f"no request `{id}` in the log" in told
    assert f"the nearest is {IDS[0]}" in told


@pytest.mark.parametrize("id", ["", "zzz", "\x1b[31m", "\udcff", "%", "'; drop table record; --", "x" * 10_000])
def test_any_id_is_looked_up(log: Path, id: str) -> None:
    """Whatever is asked for, the answer is that it is not there."""
    assert "no request" in run("why", "--log", log, "--", id, code=1).stderr


def test_the_log_lists_the_newest_first(log: Path) -> None:
    """Each request is one row, the newest first, with what was called and how it ended."""
    told = run("log", "--log", log).stdout
    assert [told.index(id[:11]) for id in reversed(IDS)] == sorted(told.index(id[:11]) for id in IDS)
    assert read_json(run("log", "--log", log, "-n", "1", "--json"))[0]["id"] == IDS[2]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_log_breaks_no_word(log: Path, columns: str) -> None:
    """However narrow the screen is, an id can be copied, and every word read, from one line."""
    done = spawn("log", "--log", log, COLUMNS=columns)
    assert set(IDS) < set(done.stdout.split())
    assert {"refused", "(no_lane)", "answered", "open", "home", "away", "public", "sealed"} < set(done.stdout.split())


def test_the_review_answers_its_three_questions(log: Path) -> None:
    """The review asks and answers what escalated, what was rejected and what fell back."""
    told = run("review", "--log", log, "--since", "all").output
    assert "3 requests: 1 answered, 1 open, 1 refused (no_lane)" in told
    assert all(q in told for q in ("What escalated?", "Which cheap answers were rejected?", "Which fallbacks fired?"))
    assert "home -> away" in told


def test_a_changed_record_fails_verification(log: Path) -> None:
    """A log that nobody touched is ok; with one byte of a record changed it is not, and the exit code is 1."""
    assert run("log", "--log", log, "verify").stdout.startswith("ok: 5 entries")
    damaged = log.read_bytes().replace(b'"status":"refused"', b'"status":"refuseD"')
    assert damaged != log.read_bytes()
    log.write_bytes(damaged)
    assert "NOT ok" in run("log", "--log", log, "verify", code=1).stderr


def test_damage_is_told_by_every_command_that_reads_the_log(log: Path, policy: Path) -> None:
    """A changed record is a warning beside what can be told; a log in order is told without one."""
    commands = (["log"], ["review", "--since", "all"], ["why", IDS[0]])
    assert not [c for c in commands if run(*c, "--log", log).stderr]
    log.write_bytes(log.read_bytes().replace(b'"total_ms":301', b'"total_ms":103'))
    for command in commands:
        told = " ".join(run(*command, "--log", log).stderr.split())
        assert f"warning: the log {log} is damaged: record 3 (decision {IDS[0]}) was changed" in told
        assert "see `laneway log verify`" in told
    with socket.create_server(("127.0.0.1", 0)) as taken:  # a port in use, so that it ends
        told = run("serve", "--policy", policy, "--log", log, "--port", str(taken.getsockname()[1]), code=2).stderr
    assert "is damaged: record 3" in " ".join(told.split())


@pytest.mark.parametrize("amount", ["0.000001", "0.4", "5", "100000000000"])
def test_money_is_printed_in_digits(policy: Path, amount: str) -> None:
    """An amount is read as it was written, not as a power of ten."""
    told = run("explain", "--policy", policy, "--ceiling", amount, "--tokens", "1000", code=None).output
    assert f" {amount} " in told
    assert not re.search(r"\de[+-]\d", told)


# JSON and plain text


def test_json_is_one_valid_value(policy: Path, log: Path, tmp_path: Path) -> None:
    """With `--json` standard output is one JSON value and nothing else."""
    at = ["--policy", str(policy)]
    assert read_json(run("explain", *at, "--json"))["decision"] == "route"
    assert read_json(run("explain", *at, "--json", "--sensitivity", "sealed", code=3))["decision"] == "refuse"
    assert read_json(run("explain", *at, "--json", "--workload", "contracts", code=4))["decision"] == "hold"
    assert [row["sensitivity"] for row in read_json(run("explain", *at, "--all", "--json"))["classes"]] == [
        "sealed",
        "restricted",
        "public",
    ]
    story = read_json(run("why", IDS[0], *at, "--json"))
    assert list(story)[:2] == ["id", "at"]
    assert (story["id"], story["at"]) == (IDS[0], story["times"]["at"])
    assert [a["lane"] for a in story["attempts"]] == ["home", "away"]
    assert (story["outcome"], story["lane"], story["verdict"]["verdict"]) == ("answered", "away", "pass")
    assert set(story["times"]) == {"at", "ended_at", "total_ms"}
    opened = read_json(run("why", IDS[2], *at, "--json"))
    assert (opened["outcome"], opened["attempts"][0]["result"]) == ("open", "open")
    assert len(read_json(run("log", *at, "--json"))) == 3
    assert read_json(run("log", *at, "verify", "--json")) | {"head": ""} == {
        "ok": True,
        "entries": 5,
        "problem": None,
        "covered": 0,
        "checkpoints": 0,
        "head": "",
    }
    found = read_json(run("review", *at, "--since", "all", "--json"))
    assert (found["requests"], found["escalated"][0]["lane"]) == (3, "home -> away")
    assert len(read_json(run("init", tmp_path / "new", "--json"))["written"]) == 3


def test_a_script_gets_numbers_for_what_people_read(policy: Path) -> None:
    """The flags of a request arrive as signals in the JSON, each with the flag as its evidence."""
    flags = [
        "--ceiling",
        "0.5",
        "--tokens",
        "1000",
        "--needs",
        "tools,json",
        "--fact",
        "matter=none",
        "--team",
        "press",
        "--region",
        "SE",
    ]
    made = read_json(run("explain", "--policy", policy, "--json", "--stakes", "high", "--latency", "batch", *flags))
    signals = made["signals"]
    assert (signals["ceiling"], signals["tokens"], signals["needs"]) == (0.5, 1000, ["tools", "json"])
    assert (signals["stakes"], signals["latency"], signals["team"], signals["region"]) == (
        "high",
        "batch",
        "press",
        "SE",
    )
    assert signals["declared"] == {"matter": "none"}
    told = {signal for signal, *_ in signals["evidence"]}
    assert {"ceiling", "tokens", "needs", "stakes", "latency", "team", "region", "matter"} <= told


@pytest.mark.parametrize("flag", ["--ceiling", "--tokens"])
def test_a_stated_nothing_has_its_evidence_too(policy: Path, flag: str) -> None:
    """A ceiling or a size of 0 was stated, and it has its evidence like every other value."""
    made = read_json(run("explain", "--policy", policy, "--json", flag, "0"))
    assert made["signals"][flag.removeprefix("--")] == 0
    assert [place for signal, place, *_ in made["signals"]["evidence"] if signal == flag.removeprefix("--")]


def test_there_is_no_colour_where_there_is_no_terminal(policy: Path, log: Path) -> None:
    """What goes into a file or a pipe holds no terminal codes, and errors neither."""
    commands = (["explain"], ["explain", "--all"], ["explain", "--sensitivity", "x"], ["why", IDS[0]], ["review"])
    for command in commands:
        done = spawn(*command, "--policy", policy)
        assert "\x1b" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["", "--all", "--json"])
def test_a_reader_that_hangs_up_is_no_error_message(policy: Path, flag: str) -> None:
    """`laneway ... | true` ends quietly."""
    command = f"AWAY_KEY=k {sys.executable} -m laneway.cli explain --policy {policy} {flag} | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_the_policy_may_be_named_by_the_environment(policy: Path) -> None:
    """LANEWAY_POLICY and LANEWAY_LOG name the files where no flag does."""
    result = CliRunner().invoke(main, ["explain", "--json"], env={"LANEWAY_POLICY": str(policy)})
    assert json.loads(result.stdout)["decision"] == "route"
    missing = CliRunner().invoke(main, ["log"], env={"LANEWAY_LOG": str(policy.parent / "other.db")})
    assert "other.db" in missing.stderr.replace("\n", "")


# explain --request


def body(**fields: Any) -> dict[str, Any]:
    """A client's body."""
    return {"model": "auto", "messages": [{"role": "user", "content": "Hello."}]} | fields


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
REQUESTS: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = [
    ("plain", body(), 0, {"sensitivity": "public", "difficulty": "routine", "needs": []}),
    ("stream", body(stream=True), 0, {"sensitivity": "public"}),
    ("tools", body(tools=[TOOL]), 0, {"needs": ["tools"]}),
    ("json", body(response_format={"type": "json_object"}), 0, {"needs": ["json"]}),
    ("image", body(messages=[{"role": "user", "content": [IMAGE]}]), 3, {"sensitivity": "sealed", "needs": ["vision"]}),
    ("person", body(messages=[{"role": "user", "content": "It is about 19121212-1212."}]), 3, {"sensitivity": "sealed"}),
    ("label", body(metadata={"laneway-sensitivity": "restricted"}), 0, {"sensitivity": "restricted"}),
    ("fact", body(metadata={"laneway-fact-matter": "merger"}), 0, {"declared": {"matter": "merger"}}),
    ("ceiling", body(metadata={"laneway-ceiling": "0.40"}, max_tokens=100), 0, {"ceiling": 0.4}),
    ("workload", body(model="contracts"), 4, {"workload": "contracts", "stakes": "high", "sensitivity": "restricted"}),
    ("pin", body(model="lane/away"), 0, {"sensitivity": "public"}),
    ("pinned behind the wall", body(model="lane/away", metadata={"laneway-sensitivity": "restricted"}), 3, {"sensitivity": "restricted"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "made", "code", "signals"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_explain_reads_a_clients_request(
    policy: Path, name: str, made: dict[str, Any], code: int, signals: dict[str, Any]
) -> None:
    """`--request` classifies a client's body as the server would, and decides the same."""
    path = policy.parent / "body.json"
    path.write_text(json.dumps(made), "utf-8")
    found = read_json(run("explain", "--policy", policy, "--request", path, "--json", code=code))
    assert {key: found["signals"][key] for key in signals} == signals
    assert found["signals"]["tokens"] > 0
    if name.startswith("pin"):
        assert found["lanes"] == (["away"] if code == 0 else [])
    assert "19121212" not in json.dumps(found)


def test_explain_never_repeats_a_requests_text(policy: Path) -> None:
    """Neither the page nor the JSON nor an error holds a word of the prompt."""
    path = policy.parent / "body.json"
    for made in (
        body(messages=[{"role": "user", "content": "zanzibar"}]),
        body(messages=[{"role": "user", "content": {"zanzibar": 1}}]),
    ):
        path.write_text(json.dumps(made), "utf-8")
        for flags in ([], ["--json"]):
            assert "zanzibar" not in run("explain", "--policy", policy, "--request", path, *flags, code=None).output


def test_a_flag_is_a_header_of_the_request(policy: Path) -> None:
    """A flag adds to a request file, and contradicts it no more than a client's header could its body."""
    path = policy.parent / "body.json"
    asked = ["explain", "--policy", str(policy), "--request", str(path), "--sensitivity", "restricted"]
    for said in ({}, {"laneway-sensitivity": "restricted"}):
        path.write_text(json.dumps(body(metadata=said)), "utf-8")
        assert read_json(run(*asked, "--json"))["signals"]["sensitivity"] == "restricted"
    path.write_text(json.dumps(body(metadata={"laneway-sensitivity": "public"})), "utf-8")
    assert "given twice with different values" in run(*asked, code=2).stderr


def test_an_unusable_schema_fails_here_too(policy: Path) -> None:
    """What the server would turn away, `explain` does not call a route."""
    path = policy.parent / "body.json"
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "http://127.0.0.1:9/x"}}}
    path.write_text(json.dumps(body(response_format=form)), "utf-8")
    assert (
        "is not a JSON Schema that can be used" in run("explain", "--policy", policy, "--request", path, code=2).stderr
    )


def test_a_lane_that_is_closed_here_is_noted(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is the policy's; which lanes this environment would close stands beside it, without a key."""
    note = "lane `away` is closed: its environment variable AWAY_KEY is not set, so `laneway serve` would not use it"
    for flags in ([], ["--all"]):
        told = run("explain", "--policy", policy, *flags)
        assert note in " ".join(told.stderr.split())
        assert note not in " ".join(told.stdout.split())
        (noted,) = read_json(run("explain", "--policy", policy, *flags, "--json"))["notes"]
        assert note in noted
    monkeypatch.setenv("AWAY_KEY", "sk-hunter2")
    told = run("explain", "--policy", policy, "--json")
    assert read_json(told)["notes"] == []
    assert "hunter2" not in told.output


# init and serve


def test_init_writes_a_policy_that_works(tmp_path: Path) -> None:
    """The three files are named, and the next command that is printed works as it stands."""
    told = "".join(run("init", tmp_path / "new").output.split())  # long paths are broken over lines
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"laneway.yaml", "cases.yaml", "THIRD-LANE.md"}
    assert all(str(path.name) in told for path in (tmp_path / "new").iterdir())
    run("explain", "--policy", tmp_path / "new" / "laneway.yaml", "--all")


@pytest.mark.parametrize("there", ["laneway.yaml", "cases.yaml", "THIRD-LANE.md"])
def test_init_refuses_to_overwrite(tmp_path: Path, there: str) -> None:
    """Where one of its files is there already, init changes nothing, unless it is told to."""
    (tmp_path / there).write_text("mine", "utf-8")
    told = run("init", tmp_path, code=2).stderr.replace("\n", " ")
    assert there in told
    assert "--force" in told
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text("utf-8") == "mine"
    run("init", tmp_path, "--force")
    assert (tmp_path / there).read_text("utf-8") != "mine"


def test_init_into_a_file_is_no_traceback(tmp_path: Path) -> None:
    """A directory that is a file cannot be written into, and that is said."""
    (tmp_path / "file").write_text("", "utf-8")
    assert "file" in run("init", tmp_path / "file", code=1).stderr


def test_the_waiver_is_signed_by_a_person(tmp_path: Path) -> None:
    """`--by` names who answers for the waiver; without it the account does, and that is said."""
    told = run("init", tmp_path / "a", "--by", 'Åsa "K" Ek').output
    (waiver,) = parse((tmp_path / "a" / "laneway.yaml").read_text("utf-8")).gate.waivers
    assert (waiver.by, "by Åsa" in told, "--by NAME" in told) == ('Åsa "K" Ek', True, False)
    assert "--by NAME" in run("init", tmp_path / "b").output


def test_init_names_keys_and_never_shows_them(tmp_path: Path) -> None:
    """A key in the environment is found by its name; its value is in no file and on no screen."""
    result = CliRunner().invoke(main, ["init", str(tmp_path)], env={"MISTRAL_API_KEY": "sk-hunter2"})
    assert result.exit_code == 0
    assert "MISTRAL_API_KEY (set)" in result.output
    assert "hunter2" not in result.output + "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    assert parse((tmp_path / "laneway.yaml").read_text("utf-8")).lanes["premium"].kind == "managed-open"


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = json.dumps({"data": [{"id": "big:480b-cloud"}, {"id": "here:1b"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def model_server(port: int) -> Iterator[None]:
    """A server on loopback that lists two models, the first of them in a cloud."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Models)
    except OSError:
        pytest.skip(f"port {port} is in use on this machine")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_init_finds_a_model_server_on_this_machine(tmp_path: Path) -> None:
    """A server where Ollama would be becomes the home lane, with a model of its own and not of a cloud."""
    with model_server(11434):
        found = read_json(run("init", tmp_path, "--json"))["home"]
    assert found == {"found": True, "url": "http://127.0.0.1:11434/v1", "model": "here:1b"}
    assert parse((tmp_path / "laneway.yaml").read_text("utf-8")).lanes["home"].model == "here:1b"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "127.0.0.1.evil.example"])
def test_serve_refuses_to_listen_to_others(policy: Path, host: str) -> None:
    """Without client keys only this machine may ask, so every other address ends with 2 and the reason."""
    told = run("serve", "--policy", policy, "--host", host, "--port", "0", code=2).stderr.replace("\n", " ")
    assert "is not loopback" in told
    assert "no client keys yet" in told
    assert not (policy.parent / "laneway.db").exists()


def test_a_port_in_use_is_a_usage_error(policy: Path) -> None:
    """A port that somebody else has ends with 2 and the flag that helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = run("serve", "--policy", policy, "--port", str(taken.getsockname()[1]), code=2).stderr
    assert "choose another with --port" in told.replace("\n", " ")


def test_serve_says_where_it_answers_and_ends_when_told(policy: Path) -> None:
    """`serve --json` prints its address; the server answers there, and on SIGTERM it closes its log and ends."""
    command = [sys.executable, "-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            line = server.stdout.readline()
            assert line, server.stderr and server.stderr.read()
            text += line
        ready = json.loads(text)
        assert set(ready) == {"url", "console", "policy_hash", "log", "closed", "levers"}
        assert list(ready["closed"]) == ["away"]
        with urllib.request.urlopen(ready["url"].removesuffix("/v1") + "/ready", timeout=10) as answer:
            state = json.loads(answer.read())
        assert state["status"] == "ready"
        server.send_signal(signal.SIGTERM)
        _, told = server.communicate(timeout=30)
    assert server.returncode in (0, -signal.SIGTERM)
    assert "away" in told
    assert "Traceback" not in told
    assert not policy.with_name("laneway.db-wal").exists(), "the log was not closed"
