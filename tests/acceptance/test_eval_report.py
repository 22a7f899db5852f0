"""`laneway eval report` and `laneway eval compare`, on files as `laneway eval run` leaves them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.evals import case, rows
from tests.evaluations import PROMPT, kept, rated, written
from tests.harness import run as asked
from tests.unit.test_people import Strict

from laneway.cli import main
from laneway.evidence.sample import prompt_hash

GOLDEN = Path(__file__).with_name("golden")
RATES = {"home": 0.8, "shared": 0.93, "premium": 0.97}
OTHER = "Answer with one word, in lower case.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy, a set, results of three lanes, and of one of them under another prompt too."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    rows = rated(tmp_path, RATES)
    other = [
        msgspec.structs.replace(row, prompt=prompt_hash(OTHER), key=f"{row.key}!", score=float(i % 11 > 0))
        for i, row in enumerate(rows) if row.lane == "home"
    ]  # fmt: skip
    kept(tmp_path, [*rows, *other])
    (tmp_path / "other.md").write_text(OTHER, "utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(main, ["eval", *arguments])


def found(*arguments: str) -> Any:
    """What it says as JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def screen(folder: Path, *arguments: str) -> str:
    """What the command prints on 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "laneway.cli", "eval", *arguments], cwd=folder, capture_output=True, text=True, timeout=60,
        env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "arguments"), [("eval_report", ["report"]), ("eval_compare", ["compare", "home", "shared"])]
)
def test_the_screen_is_the_one_that_was_looked_at(name: str, arguments: list[str], folder: Path) -> None:
    """At 80 columns; after a change that was looked at, write it anew."""
    told = screen(folder, *arguments)
    assert max(map(len, told.splitlines())) <= 80
    assert told == (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_the_report_as_json_says_which_lane_is_preferred(folder: Path) -> None:
    """The cheapest that meets the bar; and the content is in it unless it is left out."""
    (workload,) = found("report")["workloads"]
    assert (workload["workload"], workload["prefer"]) == ("clauses", {"lane": "shared", "prompt": ""})
    assert "the Supplier answers" in workload["disagreements"][0]["question"]
    assert workload["disagreements"][0]["expected"] == "people"
    assert "the Supplier answers" not in json.dumps(found("report", "--no-content"))


def test_the_page_goes_to_a_file_or_to_standard_output(folder: Path) -> None:
    """Whole or not at all; the same page both ways."""
    assert run("report", "--html", "report.html").exit_code == 0
    page = Path("report.html").read_text("utf-8")
    assert len(Strict(page).of("h1")) == 1
    assert "Clause 1" in page
    assert run("report", "--html", "-").output == page
    bare = run("report", "--html", "-", "--no-content").output
    assert "the Supplier answers" not in bare
    assert "places" not in bare


def test_a_report_changes_nothing(folder: Path) -> None:
    """The results and the folder are as before, and the results stay for their owner alone."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "evals.db-shm"}
    assert run("report").exit_code == run("compare", "home", "shared").exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "evals.db-shm"} == before
    assert stat.S_IMODE((folder / "evals.db").stat().st_mode) == 0o600


def test_what_holds_answers_is_for_its_owner_alone(folder: Path) -> None:
    """The page is, as the results; and what was written is said."""
    told = run("report", "--html", "page.html").output
    assert stat.S_IMODE((folder / "page.html").stat().st_mode) == 0o600
    assert told == "wrote page.html; it holds questions and answers\n"
    assert run("report", "--html", "page.html", "--no-content").output == "wrote page.html\n"


def test_a_sample_that_changed_no_longer_counts(folder: Path) -> None:
    """Its results are left out and counted, as its evidence is stale."""
    file = folder / "clauses.jsonl"
    file.write_text(file.read_text("utf-8").replace("Clause 7:", "Clause seven:"), "utf-8")
    told = found("report")
    assert told["stale"] == 4
    assert [(lane["asked"], lane["of"]) for lane in told["workloads"][0]["lanes"]] == [(119, 120)] * 4


def test_results_of_another_model_no_longer_count(folder: Path) -> None:
    """A policy that names another model for a lane has no results of it yet."""
    policy = folder / "laneway.yaml"
    policy.write_text(policy.read_text("utf-8").replace("large-3", "large-4"), "utf-8")
    told = found("report")
    assert (told["stale"], {lane["lane"] for lane in told["workloads"][0]["lanes"]}) == (120, {"home", "shared"})


def test_sets_can_be_named(folder: Path) -> None:
    """A set that the policy does not name is reported on when it is given."""
    policy = folder / "laneway.yaml"
    policy.write_text(policy.read_text("utf-8").replace(", evals: [clauses.jsonl]", ""), "utf-8")
    (workload,) = found("report", "clauses.jsonl")["workloads"]
    assert workload["disagreements"][0]["question"]
    assert found("report")["workloads"][0]["disagreements"][0]["question"] is None


# compare


def test_two_lanes_are_compared_as_they_were_named(folder: Path) -> None:
    """B against A, whichever is the stronger: turned round, all signs turn."""
    (one,), (other,) = (
        found("compare", "home", "shared")["comparisons"],
        found("compare", "shared", "home")["comparisons"],
    )
    assert (one["verdict"], other["verdict"], one["lane"], one["prompt"]) == ("better", "worse", None, "")
    assert (one["wins"], one["losses"]) == (other["losses"], other["wins"]) == (13, 1)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["differing"] == len(one["samples"]) == 14
    assert [(s["a"], s["b"]) for s in one["samples"]].count((0.0, 1.0)) == 13


@pytest.mark.parametrize("first", ["clauses.md", prompt_hash(PROMPT)[:8]])
@pytest.mark.parametrize("second", ["other.md", prompt_hash(OTHER)[:6]])
def test_two_prompts_are_compared_in_each_lane_that_has_both(first: str, second: str, folder: Path) -> None:
    """By their files or by their hashes."""
    (one,) = found("compare", first, second)["comparisons"]
    assert (one["lane"], one["prompt"], one["common"]) == ("home", None, 120)
    turned = found("compare", second, first)["comparisons"][0]
    assert (one["wins"], one["losses"]) == (turned["losses"], turned["wins"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["home", "home"], "two lanes or two prompts that differ"),
        (["home", "clauses.md"], "two lanes or two prompts that differ"),
        (["home", "premuim"], "did you mean `premium`?"),
        (["clauses.md", "abcdef"], "these are: "),
        (["home", "shared", "--workload", "claus"], "did you mean `clauses`?"),
    ],
)
def test_what_cannot_be_compared_is_an_error_of_usage(arguments: list[str], says: str, folder: Path) -> None:
    """It says what is known instead."""
    result = run("compare", *arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_lanes_without_a_common_sample_are_said_to_have_none(folder: Path) -> None:
    """Nothing to compare is no failure."""
    (folder / "evals.db").unlink()
    rows = [row for row in rated(folder, RATES) if (row.lane == "home") == (row.sample < "s-00060")]
    kept(folder, rows)
    result = run("compare", "home", "premium")
    told = "There is no sample that both home and premium have an answer to; ask both the same with `laneway eval run --lane home " \
           "--lane premium`.\n"  # fmt: skip
    assert (result.exit_code, " ".join(result.output.split())) == (0, told.strip())
    assert found("compare", "home", "premium")["comparisons"] == []


# after a run


def test_a_report_says_what_the_run_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After real runs, one of them of a set that grew: the same means, bounds and verdicts as the run's and the ledger's."""
    monkeypatch.chdir(tmp_path)

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(30, language="sv"))
            assert (await it.run()).code == 0
            it.write_set(rows(60, language="sv"))
            done = await it.run("--json")
            told = found("report")
            (workload,) = told["workloads"]
            assert (told["stale"], told["repeated"], workload["prefer"]) == (0, 0, {"lane": "home", "prompt": ""})
            for lane, entry in zip(workload["lanes"], it.ledger()[-2:], strict=True):
                said, bound = done.lane(lane["lane"]), entry.bounds[""]
                assert (lane["asked"], lane["of"], lane["lane"]) == (60, 60, entry.lane)
                assert (lane["met"] == "met") is said["met"]
                assert lane["cost"] == pytest.approx(said["cost"])
                assert lane["parts"][0]["mean"] == said["mean"] == bound.mean
                assert lane["parts"][0]["lower"] == said["lower"] == bound.lower
            assert workload["disagreements"][0]["answers"][0]["answer"] == "yes"
            (pair,) = found("compare", "home", "premium")["comparisons"]
            assert (pair["verdict"], pair["losses"]) == ("worse", 60)

    asked(whole)


# what is not there


def test_without_results_the_command_that_makes_them_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1; an empty file of results is told as nothing that counts."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    for command in (["report"], ["compare", "home", "shared"]):
        result = run(*command)
        assert result.exit_code == 1
        assert "`laneway eval run` makes them" in result.output
    kept(tmp_path, [])
    assert run("report").output == "There are no results that count.\n"
    assert found("report")["workloads"] == []
    assert run("report", "--html", "-").exit_code == 0


def test_ten_thousand_samples_make_a_small_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the samples worth looking at are in it, and it is there within a minute on a busy machine (4 s on an idle one)."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, 10_000)
    kept(tmp_path, (msgspec.structs.replace(row, answer="long " * 500) for row in rated(tmp_path, RATES)))
    began = time.monotonic()
    assert run("report", "--html", "report.html").exit_code == 0
    assert time.monotonic() - began < 60
    assert (tmp_path / "report.html").stat().st_size < 300_000
