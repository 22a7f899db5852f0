"""laneway replay, diff --since and init --observe on logs that the real gateway wrote."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from tests.harness import bench, policy_text, run
from tests.processes import served

from laneway.cli import main
from laneway.providers.scripted import ScriptedLane

SECRET = "Mail her about 811218-9876 today."
HARD = "Prove step by step that it ends, then refactor it:\n```python\nwhile n: n = f(n)\n```\n" * 3


def cli(*arguments: object) -> Result:
    """One command; whatever it does, it does not crash."""
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(result: Result, code: int = 0) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_what_an_endpoint_is_asked_shows_how_two_lanes_would_have_served_it(tmp_path: Path) -> None:
    """Before an endpoint in use Laneway moves nothing; what it recorded says where another policy would have sent it."""
    found: dict[str, Any] = {}

    async def play() -> None:
        async with ScriptedLane(model="gpt-5-mini", answer="as ever") as endpoint:
            init = "init", tmp_path, "--observe", endpoint.url, "--model", "gpt-5-mini", "--json"
            found["init"] = said(await asyncio.to_thread(cli, *init))
            server, url = await asyncio.to_thread(served, tmp_path / "laneway.yaml")
            try:
                async with aiohttp.ClientSession() as session:
                    for text in ("Hello", "Hello again", SECRET, HARD):
                        body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": text}]}
                        async with session.post(f"{url}/chat/completions", json=body) as response:
                            assert response.status == 200
                            assert response.headers["laneway-lane"] == "today"
                            assert (await response.json())["choices"][0]["message"]["content"] == "as ever"
            finally:
                server.terminate()
                await asyncio.to_thread(server.communicate)
            found["calls"] = endpoint.requests

    run(play)
    assert found["init"]["ask_for"] == ["auto", "gpt-5-mini"]
    replayed = said(cli("replay", tmp_path / "laneway.next.yaml", "--policy", tmp_path / "laneway.yaml", "--json"))
    assert replayed["requests"] == found["calls"] == 4
    assert [(one["from"], one["to"], one["requests"]) for one in replayed["moves"]] == [
        ("today", "home", 3),
        ("today", "today", 1),
    ]
    assert sorted(row["class"] for row in replayed["rows"] if row["new"] == "home") == [
        "internal",
        "internal",
        "restricted",
    ]
    assert replayed["proven"] is False
    assert {one["why"] for one in replayed["unproven"]} == {"the workload has no evaluation set"}
    assert (
        said(cli("replay", tmp_path / "laneway.yaml", "--policy", tmp_path / "laneway.yaml", "--json"))["changed"] == 0
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--observe", "http://127.0.0.1:1/v1"], "--model NAME"),
        (["--model", "m"], "--observe URL"),
        (["--observe", "http://desk/v1", "--model", "m", "--kind", "private"], "named by its address"),
    ],
)
def test_an_endpoint_is_told_whole(arguments: list[str], says: str, tmp_path: Path) -> None:
    """An endpoint without its model, a model without an endpoint and a private one without an address are errors."""
    result = cli("init", tmp_path, *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert not list(tmp_path.iterdir())


def test_an_endpoint_is_declared_as_what_it_is(tmp_path: Path) -> None:
    """Kind, key and price are as they were told, in both policies; a model whose name is none of ours is asked as auto."""
    told = (
        "--observe",
        "https://api.example.com/v1",
        "--model",
        "gpt-5.1",
        "--key",
        "EXISTING_KEY",
        "--price",
        "1.25",
        "10",
    )
    assert said(cli("init", tmp_path / "a", *told, "--json"))["ask_for"] == ["auto"]
    lane = "    kind: premium\n    provider: openai\n    url: https://api.example.com/v1\n" \
           '    model: "gpt-5.1"\n    key: env:EXISTING_KEY\n    price: {input: 1.25, output: 10}\n'  # fmt: skip
    assert all(lane in (tmp_path / "a" / name).read_text() for name in ("laneway.yaml", "laneway.next.yaml"))
    cli("init", tmp_path / "b", "--observe", "http://10.0.0.7:8000/v1", "--model", "m", "--kind", "private")
    assert "networks: [10.0.0.7/32]" in (tmp_path / "b" / "laneway.yaml").read_text()
    for policy in tmp_path.glob("*/laneway*.yaml"):
        assert cli("check", policy).exit_code == 0


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy and the log of a dozen requests that a gateway served under it."""
    folder = tmp_path_factory.mktemp("traffic")

    async def play() -> None:
        async with bench(folder) as b:
            (folder / "laneway.yaml").write_text(b.gateway.active.policy.text)
            for sensitivity in ("public", "internal", "confidential", "restricted"):
                for text in ("Hello", HARD):
                    await b.ask(text, {"laneway-sensitivity": sensitivity})
            for headers in (
                {"laneway-workload": "flags"},
                {"laneway-workload": "contracts"},
                {"laneway-stakes": "high"},
            ):
                await b.ask(headers=headers)
            b.home.fault = "500"
            await b.ask("Hello")

    run(play)
    return folder


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """The policy after these changes, beside it."""
    text = (folder / "laneway.yaml").read_text()
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "new.yaml").write_text(text)
    return folder / "new.yaml"


WALL = ("sensitivity: [restricted, confidential], zones: [ours]", "sensitivity: [restricted], zones: [ours]")
OPENED = ("sensitivity: [internal, public], zones", "sensitivity: [confidential, internal, public], zones")


def test_replay_tells_what_changes_at_what_cost_and_risk(traffic: Path) -> None:
    """Totals, moves, classes, money, what newly leaves, and a row for each request; readable at 80 columns."""
    new = edited(traffic, WALL, OPENED)
    rows = traffic / "rows.jsonl"
    found = said(cli("replay", new, "--policy", traffic / "laneway.yaml", "--rows", rows, "--json"))
    assert (found["requests"], found["chain"], found["damaged"], found["lost"]) == (12, None, 0, [])
    assert {one["change"]: one["requests"] for one in found["changes"]} == {
        "unchanged": 9,
        "other lane": 1,
        "otherwise": 2,
    }
    assert found["opened"] == [{"class": "confidential", "lane": "premium", "requests": 3}]
    assert [json.loads(line) for line in rows.read_text().splitlines()] == found["rows"]
    (moved,) = [row for row in found["rows"] if row["change"] == "other lane"]
    assert (moved["class"], moved["old"], moved["new"], moved["rule"]) == (
        "confidential",
        "home",
        "premium",
        "routes[0]",
    )
    assert moved["cost"] == 0 < moved["low"] == moved["high"]
    shown = cli("replay", new, "--policy", traffic / "laneway.yaml", "-n", "2")
    assert shown.exit_code == 0
    assert "3 of 12 requests (25.0 %) would be decided otherwise." in shown.output
    assert "Begun by a lane that has no evidence there: 11 before, 11 after." in shown.output
    assert "Changed requests, 2 of 3; --limit shows more, --rows FILE writes all" in shown.output
    assert "Not called better: 1 would be answered by a lane whose quality for them nobody knows." in shown.output
    assert all(len(line) <= 80 for line in shown.output.splitlines()[1:-1] if not line.endswith("."))


def test_diff_carries_the_share_of_each_class_and_agrees_with_replay(traffic: Path) -> None:
    """What the classes of diff hold together is what replay counts, request for request and cent for cent."""
    new = edited(traffic, WALL, OPENED)
    replayed = said(cli("replay", new, "--policy", traffic / "laneway.yaml", "--json"))
    compared = said(cli("diff", traffic / "laneway.yaml", new, "--since", "7d", "--json"))
    recorded = compared["recorded"]
    assert len(recorded["in_classes"]) == len(compared["changes"])
    assert recorded["beside"] == []
    for part in ("requests", "cost", "low", "high"):
        changed = sum(one[part] for one in replayed["changes"] if one["change"] != "unchanged")
        assert sum(one[part] for one in recorded["in_classes"]) == pytest.approx(changed)
    shown = cli("diff", traffic / "laneway.yaml", new, "--since", "7d")
    assert "On record: 3 of 12 requests would be decided otherwise, 3 of them in these classes." in shown.output
    assert "recorded" not in cli("diff", traffic / "laneway.yaml", new).output


def test_what_changes_beside_the_classes_of_diff_is_told_by_its_cause(traffic: Path) -> None:
    """A price under a ceiling is in no class of diff: the requests that it moves are counted beside them."""
    new = edited(traffic, ("contracts: {sensitivity: confidential}", "deals: {sensitivity: confidential}"))
    compared = cli("diff", traffic / "laneway.yaml", new, "--since", "7d")
    assert "  by a name that the new policy does not know: 1 of 12 requests" in compared.output
    replayed = said(cli("replay", new, "--policy", traffic / "laneway.yaml", "--json"))
    assert replayed["unknown"] == [{"change": "newly an error", "what": "the workload `contracts`", "requests": 1}]


def damaged(traffic: Path, folder: Path, change: str) -> Path:
    """A copy of the policy and the log, in which somebody changed something without recomputing the chain."""
    (folder / "laneway.yaml").write_text((traffic / "laneway.yaml").read_text())
    with closing(sqlite3.connect(traffic / "laneway.db")) as db:
        db.execute("VACUUM INTO ?", [str(folder / "laneway.db")])
    with closing(sqlite3.connect(folder / "laneway.db", isolation_level=None)) as db:
        db.execute("DROP TRIGGER record_unchanged")
        db.execute("DROP TRIGGER policy_kept")
        db.execute(change)
    return folder / "laneway.yaml"


def test_a_broken_chain_is_shown_first_and_fails(traffic: Path, tmp_path: Path) -> None:
    """Figures follow, as nothing is hidden, but not before it is said that the log may not say what was recorded."""
    policy = damaged(traffic, tmp_path, "UPDATE record SET body = CAST('{\"kind\": 1}' AS BLOB) WHERE seq = 4")
    result = cli("replay", policy, "--policy", policy)
    assert result.exit_code == 1
    first, second, *_ = result.output.splitlines()
    assert first.startswith("warning: the chain of the log breaks")
    assert "record 4" in first
    assert second.startswith("warning: records that cannot be read and are left out: 1; the first is of decision ")
    assert "None of 12 requests would be decided otherwise." in result.output, (
        "what it ended in is gone, not how it began"
    )
    compared = cli("diff", policy, edited(tmp_path, WALL, OPENED), "--since", "all", "--json")
    assert said(compared, 1)["recorded"]["chain"].startswith("record 4")


@pytest.mark.parametrize(("word", "other"), [("home", "nowhere"), ("internal", "infernal"), ("route", "detour")])
def test_a_record_that_names_what_its_policy_lacks_is_left_out_and_said(
    word: str, other: str, traffic: Path, tmp_path: Path
) -> None:
    """Lanes, classes and decisions that nobody can have decided stop nothing."""
    change = f"""UPDATE record SET body = CAST(replace(CAST(body AS TEXT), '"{word}"', '"{other}"') AS BLOB)"""
    policy = damaged(traffic, tmp_path, f"{change} WHERE decision IN (SELECT decision FROM record WHERE seq = 5)")
    for command in (["replay", policy, "--policy", policy], ["diff", policy, policy, "--since", "all"]):
        found = said(cli(*command, "--json"), 1)
        found = found.get("recorded", found)
        assert found["chain"].startswith("record 5")
        assert (found["requests"], found["damaged"]) == (11, 1) or found["requests"] == 12


def test_a_decision_whose_policy_is_gone_is_left_out_and_said(traffic: Path, tmp_path: Path) -> None:
    """Without the text of the policy that decided them, requests are not compared with anything."""
    policy = damaged(traffic, tmp_path, "DELETE FROM policy")
    found = said(cli("replay", policy, "--policy", policy, "--json"))
    assert (found["requests"], [one["requests"] for one in found["lost"]]) == (0, [12])
    assert found["lost"][0]["why"].startswith("the log does not hold the policy ")
    assert (
        "No request is on record in this time that could be decided again."
        in cli("replay", policy, "--policy", policy).output
    )


def test_an_older_policy_that_this_version_cannot_read_is_left_out_and_said(traffic: Path, tmp_path: Path) -> None:
    """A policy of another grammar is named, with its first problem."""
    policy = damaged(traffic, tmp_path, "SELECT 1")
    with closing(sqlite3.connect(tmp_path / "laneway.db", isolation_level=None)) as db:
        db.execute("DROP TRIGGER policy_unchanged")
        db.execute("UPDATE policy SET text = 'laneway: 9'")
    (lost,) = said(cli("replay", policy, "--policy", policy, "--json"))["lost"]
    assert lost["why"].startswith("this version cannot read the policy ")
    assert lost["requests"] == 12


def test_no_log_and_a_policy_with_a_mistake_are_errors(tmp_path: Path) -> None:
    """Without a log there is nothing to replay (exit 1); a policy that does not load is exit 5, a bad time 2."""
    (tmp_path / "laneway.yaml").write_text(policy_text("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"))
    assert cli("replay", tmp_path / "laneway.yaml", "--policy", tmp_path / "laneway.yaml").exit_code == 1
    assert (
        cli("replay", tmp_path / "laneway.yaml", "--policy", tmp_path / "laneway.yaml", "--since", "x").exit_code == 2
    )
    (tmp_path / "bad.yaml").write_text("laneway: 1\n")
    assert cli("replay", tmp_path / "bad.yaml", "--policy", tmp_path / "laneway.yaml").exit_code == 5
