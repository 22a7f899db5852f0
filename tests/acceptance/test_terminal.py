"""What a failing check and a failing test look like at 80 columns: golden, and short enough for one screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.test_packs import moved

PACKS = Path(__file__).resolve().parents[2] / "policies"
GOLDEN = Path(__file__).with_name("golden")


def screen(directory: Path, *arguments: str) -> str:
    """What a command prints on 80 columns, without the seconds that it took."""
    done = subprocess.run(
        [sys.executable, "-m", "laneway.cli", *arguments], cwd=directory, capture_output=True, text=True, timeout=60,
        env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode in (1, 6), done.stderr
    lines = re.sub(r"\d+\.\d\d s", "N s", done.stdout).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def written(directory: Path, policy: Path) -> None:
    """The policy, as if written today."""
    (directory / "laneway.yaml").write_text(moved(policy.read_text("utf-8")), "utf-8")


def a_broken_policy(directory: Path) -> str:
    """A fallback written without a thought of confidential data."""
    written(directory, PACKS / "broken" / "fallback-forgets-confidential.yaml")
    return screen(directory, "check", "laneway.yaml")


def a_case_that_does_not_hold(directory: Path) -> str:
    """A case that expects a confidential request to go outside."""
    written(directory, PACKS / "three-lanes" / "laneway.yaml")
    (directory / "cases.yaml").write_text(
        "cases:\n"
        "  - id: outage-goes-outside\n"
        "    says: With everything of ours down, restricted work goes to the premium lane.\n"
        "    given: {sensitivity: restricted, stakes: high}\n"
        "    down: [home]\n"
        "    expect: {decision: route, lanes: [premium]}\n"
        "  - {says: Routine work stays inside., given: {sensitivity: internal}, expect: {decision: route}}\n",
        "utf-8",
    )
    return screen(directory, "test", "laneway.yaml", "-k", "outage-goes-outside")


@pytest.mark.parametrize("scene", [a_broken_policy, a_case_that_does_not_hold], ids=lambda scene: scene.__name__)
def test_a_failure_is_told_on_one_screen(scene: object, tmp_path: Path) -> None:
    """Sentence, request, way through the rules with lines, remedy, and the command that shows it; at most 25 lines."""
    told = scene(tmp_path)  # type: ignore[operator]
    assert told == (GOLDEN / f"{scene.__name__}.txt").read_text("utf-8")  # type: ignore[attr-defined]
    assert len(told.splitlines()) <= 25
    assert all(len(line) <= 80 for line in told.splitlines() if "laneway explain" not in line)
