"""docs/faults.md: its example runs, and it names every fault."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from tests.test_docs import ROOT, blocks

from laneway.cli import main
from laneway.providers.scripted import FAULTS

PAGE = ROOT / "docs" / "faults.md"


def test_the_example_runs(tmp_path: Path) -> None:
    """The example does what it says, in a directory that `init` has filled."""
    (block,) = [block for block in blocks("python", [PAGE]) if block.info == "runs"]
    assert CliRunner().invoke(main, ["init", str(tmp_path)]).exit_code == 0
    ended = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_every_fault_is_listed() -> None:
    """The table of faults and `FAULTS` name the same ones."""
    table = PAGE.read_text("utf-8").partition("| fault | what the lane does |")[2].partition("\n\n")[0]
    listed = [fault for row in re.findall(r"^\| ([^|]+) \|", table, re.M) for fault in re.findall(r"`([\w-]+)`", row)]
    assert sorted(listed) == sorted(FAULTS)
