"""A pack's evaluation with a real model and scripted lanes: killed, resumed, nothing paid twice, up to the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import run
from tests.pack_evals import PACKS, pack_bench

from laneway.clock import today
from laneway.evidence.calling import Calls, Parameters
from laneway.evidence.ledger import read
from laneway.evidence.plan import planned
from laneway.evidence.run import labelled
from laneway.policy_file import load
from laneway.providers.http import HttpProvider

POLICIES = Path(__file__).resolve().parents[2] / "policies"
SHORT = ("--workload", "clause-lookup", "--max-output", "4")


def test_a_pack_is_measured_through_a_kill_up_to_its_report(tmp_path: Path) -> None:
    """With a real model as the weakest lane: no answer is asked for again, evidence is written, the page is made."""

    async def whole() -> None:
        async with pack_bench(tmp_path, "contract-review", most=2) as it:
            await it.killed(2, *SHORT)
            answered = it.answered()
            done = await it.run("run", "--json", *SHORT)
            assert done.code == 0, done.err + done.out
            lost = sum(done.json["lost"].values())
            assert it.repeated() <= lost <= 1 + 8 * len(it.scripted)
            assert answered <= it.answered()
            assert it.calls()["premium"] == 0
            assert [entry.lane for entry in read(tmp_path / "evidence.jsonl")] == ["home", "nordic", "shared"]
            calls = it.calls()
            assert min(calls[lane] for lane in ("home", "nordic", "shared")) == 4
            again = await it.run("run", "--json", *SHORT)
            assert (again.json["written"], it.calls()) == (0, calls)
            page = tmp_path / "report.html"
            assert (await it.run("report", "--html", f"{page}")).code == 0
            assert "clause-lookup" in page.read_text("utf-8")

    run(whole)


@pytest.mark.parametrize("pack", PACKS)
def test_every_lane_is_measured_on_what_the_wall_lets_it_see(pack: str) -> None:
    """A pack's samples say their class and facts, so that each lane but those that the wall shuts may be measured."""
    policy = load(POLICIES / pack / "laneway.yaml")
    calls = Calls(policy, HttpProvider(policy.lanes, {}, policy.networks), today())
    shut: dict[str, set[str]] = {}
    for one in planned(policy):
        for sample in one.set.samples:
            labels = labelled(policy, one.set.workload, sample)
            question = calls.question(sample.messages, labels, Parameters(), one.prompt)
            shut.setdefault(one.set.workload, set()).update(question.shut)
    assert shut == SHUT[pack]


SHUT = {
    "ai-assisted-development": {
        "completion": {"shared", "premium"}, "code-review": set(), "refactoring": set(),
        "security-fix": {"shared", "premium"},
    },
    "contract-review": {"clause-lookup": {"premium"}, "contract-review": {"premium"}, "risk-flags": {"premium"}},
    "medical-evidence": {
        "literature-screening": set(), "evidence-synthesis": set(), "case-note": {"nordic", "regional", "global"},
    },
}  # fmt: skip
