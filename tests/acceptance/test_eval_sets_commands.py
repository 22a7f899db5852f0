"""`laneway eval init`, `import` and `export`: sets to begin with, and sets that come from elsewhere or go there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.evals import case, rows
from tests.harness import policy_text, run

from laneway.cli import main
from laneway.evidence.sample import set_hash
from laneway.evidence.scorers import Score, score
from laneway.evidence.sets import read_set
from laneway.policy_file import load


def command(*arguments: object) -> Result:
    """`laneway eval` with these arguments."""
    return CliRunner().invoke(main, ["eval", *map(str, arguments)], catch_exceptions=False)


def policy(folder: Path) -> Path:
    """The bench's policy, whose workloads name no sets and whose gate has no bar."""
    path = folder / "laneway.yaml"
    path.write_text(policy_text("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"), "utf-8")
    return path


def test_init_writes_a_set_and_a_prompt_for_each_workload_that_has_none(tmp_path: Path) -> None:
    """The files load, what is printed makes the policy name them, and a second time nothing is overwritten."""
    path = policy(tmp_path)
    made = command("init", "--policy", path, "--json")
    assert made.exit_code == 0
    told = json.loads(made.output)
    assert told["gate"] == "  evidence: {score: 0.85, confidence: 0.95}"
    shown = command("init", "--policy", path, "--force").output
    assert told["workloads"] in shown
    assert told["gate"] in shown
    found = read_set(tmp_path / "evals/contracts.yaml")
    assert (found.workload, found.sensitivity, len(found.samples)) == ("contracts", "confidential", 6)
    text = path.read_text("utf-8")
    start, end = text.index("workloads:"), text.index("routes:")
    text = text[:start] + told["workloads"] + text[end:]
    text = text.replace("gate:\n", f"gate:\n{told['gate']}\n")
    before = load(path)
    path.write_text(text, "utf-8")
    assert load(path).measured == {"contracts", "flags"}
    assert {w.name: (w.sensitivity, w.stakes) for w in load(path).workloads.values()} == {
        w.name: (w.sensitivity, w.stakes) for w in before.workloads.values()
    }
    assert "nothing was written" in command("init", "--policy", path).output
    path.write_text(re.sub(r"    prompt: .*flags.md.*\n    evals:\n.*flags.yaml.*\n", "", text), "utf-8")
    again = command("init", "--policy", path)
    assert again.exit_code == 2
    assert "flags.yaml is there already" in " ".join(again.output.split())
    assert command("init", "--policy", path, "--force").exit_code == 0


def test_the_example_set_can_be_answered(tmp_path: Path) -> None:
    """Right answers to the example get full marks, and a wrong one does not."""
    command("init", "--policy", policy(tmp_path))
    right = {"late": "Yes.", "refund": "no", "total": "95", "who": "Board", "topics": "billing, repairs",
             "date": '{"date": "2027-05-03"}'}  # fmt: skip
    for sample in read_set(tmp_path / "evals/flags.yaml").samples:
        good, bad = score(sample, right[sample.id]), score(sample, "I cannot tell")
        assert isinstance(good, Score)
        assert isinstance(bad, Score)
        assert (good.value, bad.value) == (1.0, 0.0)


def test_init_writes_only_below_the_policy(tmp_path: Path) -> None:
    """A policy names only files that move with it, so that no others are made."""
    (tmp_path / "inner").mkdir()
    path = policy(tmp_path / "inner")
    outside = command("init", tmp_path / "outside", "--policy", path)
    assert outside.exit_code == 2
    assert "is not below" in outside.output
    inside = command("init", tmp_path / "inner/sets", "--policy", path)
    assert inside.exit_code == 0
    assert "evals:\n      - sets/contracts.yaml" in inside.output.replace('"', "")


def test_init_without_workloads_says_what_is_missing(tmp_path: Path) -> None:
    """There is nothing to measure lanes on until the policy names work."""
    path = policy(tmp_path)
    text = path.read_text("utf-8")
    start, end = text.index("workloads:"), text.index("routes:")
    path.write_text(text[:start] + text[end : text.index("reviews:")], "utf-8")
    none = command("init", "--policy", path)
    assert none.exit_code == 2
    assert "has no workloads" in none.output


def test_the_example_of_init_can_be_run(tmp_path: Path) -> None:
    """What `init` writes is asked as it stands, before the policy names it, and proves too little for the bar."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            path = it.write_policy("contracts: {}")
            assert command("init", "--policy", path).exit_code == 0
            done = await it.run(f"{tmp_path / 'evals/contracts.yaml'}", "--lane", "home", "--json")
            assert (done.code, done.lane("home")["answered"]) == (0, 6)
            assert done.lane("home")["met"] is False

    run(whole)


def test_a_set_goes_out_and_comes_back(tmp_path: Path) -> None:
    """What OpenAI's format can hold is the same after both ways; what it cannot is said."""
    path = tmp_path / "flags.yaml"
    path.write_text("""\
evaluation: 1
name: flags
says: Is it so?
workload: contracts
sensitivity: internal
samples:
  - {id: openai-1, input: Is it so?, expected: "yes", scorers: [{exact: {}}]}
  - {id: openai-2, input: And this?, expected: "no", scorers: [{exact: {}}]}
""", "utf-8")  # fmt: skip
    out = command("export", "openai", path, "-o", tmp_path / "out.jsonl", "--json")
    assert out.exit_code == 0
    for name in ("back.jsonl", "back.yaml"):
        back = command("import", "openai", tmp_path / "out.jsonl", "--workload", "contracts", "--sensitivity",
                       "internal", "-o", tmp_path / name)  # fmt: skip
        assert back.exit_code == 0, back.output
        assert set_hash(read_set(tmp_path / name)) == set_hash(read_set(path))


def test_what_cannot_be_carried_is_said(tmp_path: Path) -> None:
    """A scorer or a prompt that the other tool has no place for is named on standard error."""
    path = tmp_path / "flags.yaml"
    path.write_text("""\
evaluation: 1
name: flags
says: Is it so?
workload: contracts
sensitivity: internal
prompt: prompt.md
samples:
  - {id: one, input: Is it so?, expected: [a], scorers: [{set: {of: [a, b]}}]}
""", "utf-8")  # fmt: skip
    (tmp_path / "prompt.md").write_text("Say yes.", "utf-8")
    for kind in ("anthropic", "gemini", "inspect", "openai", "promptfoo"):
        out = command("export", kind, path, "-o", tmp_path / f"{kind}.out")
        assert out.exit_code == 0
        assert ("not carried: one: `set` has no counterpart" in out.stderr) == (kind != "inspect")
        assert ("Say yes." in (tmp_path / f"{kind}.out").read_text("utf-8")) or "prompt.md is not in" in out.stderr


def test_no_file_is_overwritten_unasked(tmp_path: Path) -> None:
    """Import and export leave a file that is there alone, unless forced."""
    source, target = tmp_path / "in.jsonl", tmp_path / "set.yaml"
    source.write_text('{"input": "Is it so?", "ideal": "yes"}\n', "utf-8")
    target.write_text("mine", "utf-8")
    arguments = ("import", "openai", source, "--workload", "w", "--sensitivity", "internal", "-o", target)
    refused = command(*arguments)
    assert refused.exit_code == 2
    assert target.read_text("utf-8") == "mine"
    assert command(*arguments, "--force").exit_code == 0
    assert read_set(target).name == "set"
    assert command("export", "openai", target, "-o", source).exit_code == 2


def test_scorers_serve_samples_that_bring_none(tmp_path: Path) -> None:
    """A scorer by name or as JSON is the set's; one that does not exist is an error with its place."""
    source, target = tmp_path / "in.jsonl", tmp_path / "set.yaml"
    source.write_text('{"input": "Which?", "ideal": {"a": 1}}\n', "utf-8")
    arguments = ("import", "openai", source, "--workload", "w", "--sensitivity", "internal", "-o", target)
    assert command(*arguments, "--scorer", '{"json": {"fields": ["a"]}}').exit_code == 0
    assert read_set(target).samples[0].scorers[0].name == "json"
    assert command(*arguments, "--force", "--scorer", "exakt").exit_code == 5
    assert command(*arguments, "--force", "--scorer", "{exact").exit_code == 2


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "inspect", "openai", "promptfoo"])
def test_a_file_of_another_format_is_an_error(tmp_path: Path, kind: str) -> None:
    """What is not of the format is refused without a traceback, and nothing is written."""
    source = tmp_path / "in"
    source.write_text('"a\n\x00{', "utf-8")
    done = command("import", kind, source, "--workload", "w", "--sensitivity", "internal", "-o", tmp_path / "s.yaml")
    assert done.exit_code in (1, 5)
    assert done.stderr
    assert not (tmp_path / "s.yaml").exists()


def test_rows_of_ten_thousand_samples_are_a_set(tmp_path: Path) -> None:
    """JSON Lines carry large sets."""
    path = tmp_path / "big.jsonl"
    head = {"evaluation": 1, "name": "big", "says": "s", "workload": "w", "sensitivity": "internal",
            "scorers": [{"exact": {}}]}  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows(10_000))), "utf-8")
    assert command("export", "openai", path, "-o", tmp_path / "out.jsonl").exit_code == 0


def test_adding_takes_a_set_and_a_decision(tmp_path: Path) -> None:
    """`eval add` without --from says how it is used, and without a log where to look; nothing is written."""
    lacking = CliRunner().invoke(main, ["eval", "add", "1a2258c979b-1af6fabbd065"])
    assert lacking.exit_code == 2
    assert "laneway eval add evals/mail.yaml --from ID" in " ".join(lacking.output.split())
    where = ["--log", str(tmp_path / "laneway.db")]
    told = CliRunner().invoke(main, ["eval", "add", str(tmp_path / "mine.yaml"), "--from", "1a2258c979b", *where])
    assert told.exit_code == 1
    assert "there is no log at" in told.output
    assert not [*tmp_path.iterdir()]
