"""The policy packs: each is proved, its cases pass, and none of its rules is idle. Each broken twin is told from its pack.

The packs were written for one day; here they are read as if that day were today, so that nothing of them is stale.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from tests.test_docs import Line, console_lines, run_as_written

from laneway.cli import main
from laneway.lane import KINDS, Zone
from laneway.policy import Grant, Policy, Ranking, Rule
from laneway.policy_cases import Suite, unmet
from laneway.policy_cases import parse as read_cases
from laneway.policy_file import parse
from laneway.proof.verify import verify
from laneway.rehearse import rehearse
from laneway.seal import sealed

SOURCE = Path(__file__).parents[2] / "policies"
WRITTEN = datetime.date(2026, 11, 24)
PACKS = sorted(path.parent.name for path in SOURCE.glob("*/laneway.yaml"))
LANGUAGES = ("en", "sv", "no", "da", "fi", "de")


class Twin(NamedTuple):
    """A broken twin, as its first line tells it."""

    name: str
    code: str
    rule: str
    pack: str


def twins() -> Iterator[Twin]:
    """Every policy that is broken on purpose."""
    for path in sorted((SOURCE / "broken").glob("*.yaml")):
        told = re.match(r"# ([\w-]+) at ([\w.-]+), from ([\w-]+): [a-z].*\.\n", path.read_text("utf-8"))
        assert told is not None, f"{path.name} does not say what is wrong with it"
        yield Twin(path.stem, *told.groups())


TWINS = list(twins())
PROVABLE = [twin for twin in TWINS if twin.code != "invalid"]
UNREADABLE = [twin for twin in TWINS if twin.code == "invalid"]
each_pack = pytest.mark.parametrize("pack", PACKS)


def moved(text: str) -> str:
    """The text of a policy or its cases with every date as far from today as it was from the day of writing."""
    on = datetime.datetime.now(datetime.UTC).date() - WRITTEN
    return re.sub(r"\b\d{4}-\d\d-\d\d\b", lambda date: (datetime.date.fromisoformat(date[0]) + on).isoformat(), text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `policies` in it, as if written today."""
    made = tmp_path_factory.mktemp("root")
    for pack in PACKS:
        if (sets := SOURCE / pack / "evals").exists():  # the dates in these stay: they are what the samples ask for
            shutil.copytree(sets, made / "policies" / pack / "evals")
    for path in (path for path in SOURCE.rglob("*.yaml") if path.parent.name != "evals"):
        target = made / "policies" / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = moved(path.read_text("utf-8"))
        if path.name == "laneway.yaml":  # its dates are part of what was approved
            policy = parse(text)
            assert policy.approval is not None
            text = sealed(policy, by=policy.approval.by, on=policy.approval.on)
        target.write_text(text, "utf-8")
    return made


def laneway(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "laneway.cli", *arguments], cwd=root, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip


@functools.cache
def policy_of(pack: str) -> Policy:
    """A pack's policy."""
    return parse((SOURCE / pack / "laneway.yaml").read_text("utf-8"), pack)


@functools.cache
def suite_of(pack: str) -> Suite:
    """A pack's cases."""
    return read_cases((SOURCE / pack / "cases.yaml").read_text("utf-8"), policy_of(pack), pack)


# the packs


@each_pack
def test_a_pack_is_proved_without_a_warning(pack: str, root: Path) -> None:
    """`laneway check --strict` ends with 0, and has nothing to say but that all is proved."""
    checked = laneway("check", f"policies/{pack}/laneway.yaml", "--strict", root=root)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    *owed, last = checked.stdout.splitlines()
    assert re.fullmatch(r"Proved\. [\d,]+ kinds of request, all of them, in [\d.]+ s\.", last)
    assert bool(owed) == bool(policy_of(pack).measured)  # on what each lane serves measured work
    assert not re.search(r"^(error|warning) ", checked.stdout, re.MULTILINE)


@each_pack
def test_every_case_of_a_pack_passes_and_together_they_cite_every_rule(pack: str, root: Path) -> None:
    """`laneway test` ends with 0 at a coverage of 100 %, and there are sixty cases or more."""
    tested = laneway("test", f"policies/{pack}/laneway.yaml", "--min-coverage", "100", "--json", root=root)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert len(json.loads(tested.stdout)["cases"]) >= 60


@each_pack
def test_a_packs_cases_are_of_every_kind(pack: str) -> None:
    """There are whole requests in six languages, of several turns and with tools; outages, failures, weak answers."""
    cases = suite_of(pack).cases
    whole = [case for case in cases if not case.bare]
    assert {case.id[:2] for case in whole if case.id[2] == "-"} >= {*LANGUAGES}
    bodies = [json.loads(case.body) for case in whole]
    assert max(len(body["messages"]) for body in bodies) >= 3
    assert any(body.get("tools") for body in bodies)
    assert any(case.down for case in cases)
    assert {answer for case in cases for answer in case.answers.values()} >= {"weak", "fail"}


def rules(policy: Policy) -> Iterator[tuple[str, Rule]]:
    """Every rule that decides something, with the part of the policy that it is in."""
    for part in ("grants", "limits", "routes", "fallbacks", "reviews"):
        yield from ((part, rule) for rule in getattr(policy, part))
    yield from (("waivers", waiver) for waiver in policy.gate.waivers)


def without(policy: Policy, part: str, rule: Rule) -> Policy:
    """The policy with one rule deleted."""
    holder: Any = policy.gate if part == "waivers" else policy
    left: Any = replace(holder, **{part: tuple(other for other in getattr(holder, part) if other is not rule)})
    return replace(policy, gate=left) if part == "waivers" else left


def fails_a_case(policy: Policy, suite: Suite) -> bool:
    """Whether some case does not come true."""
    seen = rehearse(policy, suite.cases, WRITTEN)
    return any(unmet(case, found) for case, found in zip(suite.cases, seen, strict=True))


@each_pack
def test_deleting_any_rule_fails_a_case(pack: str) -> None:
    """No rule of a pack is idle: without it some case does not come true."""
    policy, suite = policy_of(pack), suite_of(pack)
    assert not fails_a_case(policy, suite)
    assert [r.id for part, r in rules(policy) if not fails_a_case(without(policy, part, r), suite)] == []


def wide_open(policy: Policy) -> Policy:
    """The policy with everything allowed to everybody, at any price."""
    everyone = Grant(id="everyone", classes=frozenset(policy.classes), zones=("everywhere",))
    return replace(
        policy, grants=(everyone,), limits=(), zones={"everywhere": Zone(name="everywhere", kind=frozenset(KINDS))},
        routes=(Ranking(id="any", words=("cheapest",)),), fallbacks=(Ranking(id="next", words=("next",)),),
        unlabelled=replace(policy.unlabelled, ceiling=None),
        workloads={name: replace(workload, ceiling=None) for name, workload in policy.workloads.items()},
    )  # fmt: skip


@each_pack
def test_every_property_of_a_pack_would_notice_its_breach(pack: str) -> None:
    """With wall and ceilings gone, each `must` of a pack is broken: none of them promises what cannot fail."""
    policy = policy_of(pack)
    found = verify(wide_open(policy), WRITTEN).findings
    assert [f.about for f in found if f.code == "must-broken"] == [must.id for must in policy.must] != []


@each_pack
def test_everything_in_a_pack_says_what_it_is_for(pack: str) -> None:
    """Each rule, property, workload and waiver has a sentence, and each rule an id of its own that cases can name."""
    policy = policy_of(pack)
    named = [rule for part, rule in rules(policy) if part != "waivers"]
    told = [*named, *policy.must, *policy.gate.waivers, *policy.workloads.values(), policy.gate, policy.detect]
    assert [thing for thing in told if not thing.says.endswith(".")] == []  # type: ignore[attr-defined]
    assert [rule.id for rule in named if "[" in rule.id] == []
    assert policy.approval is not None


# the broken twins


@pytest.mark.parametrize("twin", PROVABLE, ids=lambda twin: twin.name)
def test_a_broken_twin_has_one_fault_and_its_witness_shows_it(twin: Twin, root: Path) -> None:
    """`laneway check` ends with 6 and names the code and the rule; the request it shows is decided as it says."""
    path = f"policies/broken/{twin.name}.yaml"
    checked = laneway("check", path, "--json", root=root)
    assert checked.returncode == 6, checked.stderr
    (finding,) = json.loads(checked.stdout)["findings"]
    assert (finding["code"], finding["rule"]) == (twin.code, twin.rule)
    if (seen := finding["witness"]) is not None:
        down = [word for lane in seen["down"] for word in ("--down", lane)]
        told = explained(root / path, *seen["flags"], *down)
        del told["notes"]  # of keys that this machine lacks
        assert {**told, "signals": plain(told)} == {**seen["explained"], "signals": plain(seen["explained"])}


def explained(path: Path, *flags: str) -> dict[str, Any]:
    """What `laneway explain --json` says."""
    made: dict[str, Any] = json.loads(
        CliRunner().invoke(main, ["explain", "--policy", str(path), "--json", *flags]).stdout
    )
    return made


def plain(told: dict[str, Any]) -> dict[str, Any]:
    """The signals, without where each was found: a flag here, a proof there."""
    return {name: value for name, value in told["signals"].items() if name != "evidence"}


def test_the_twins_show_every_kind_of_error() -> None:
    """There is a twin for each thing that `laneway check` proves, and for each promise that the loader refuses."""
    assert {twin.code for twin in TWINS} == {
        "names-forbidden-lane", "must-broken", "no-route", "class-forgotten", "raising-adds-lane", "dead-rule",
        "ceiling-unmeetable", "deadlines", "region-unknown", "todo", "invalid",
    }  # fmt: skip


@pytest.mark.parametrize("twin", UNREADABLE, ids=lambda twin: twin.name)
def test_a_false_promise_is_refused_when_the_policy_is_read(twin: Twin, root: Path) -> None:
    """`laneway check` ends with 5 and names the lane, at a line and a column."""
    checked = laneway("check", f"policies/broken/{twin.name}.yaml", root=root)
    assert checked.returncode == 5
    lane = twin.rule.removeprefix("lanes.")
    assert re.search(rf"{twin.name}\.yaml:\d+:\d+: lane `{lane}` is `local`, ", checked.stderr)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_a_twin_is_its_pack_with_one_mistake(twin: Twin) -> None:
    """A twin differs from its pack by a few lines, so that it keeps up with it."""
    meant, made = (SOURCE / twin.pack / "laneway.yaml", SOURCE / "broken" / f"{twin.name}.yaml")
    diff = difflib.ndiff(lines(meant), lines(made))
    assert 0 < sum(line.startswith(("+ ", "- ")) for line in diff) <= 10


def lines(path: Path) -> list[str]:
    """A policy's lines below the comment at its head, without the sets, which stand beside the packs alone."""
    return re.sub(r"\A(#.*\n)+|, evals: \[.*?\]", "", path.read_text("utf-8")).splitlines()


# the pages


@pytest.mark.parametrize("line", list(console_lines(sorted(SOURCE.rglob("*.md")))), ids=lambda line: line.command)
def test_the_pages_of_the_packs_show_what_is_printed(line: Line, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of a pack's page, run beside `policies`, exits as stated and prints what is shown."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "100")
    run_as_written(line)
