"""Processes that tests start: any Python program, and `laneway serve`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["served", "spawn"]


def spawn(*arguments: str) -> subprocess.Popen[str]:
    """A Python process whose standard output can be read."""
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def served(policy: Path) -> tuple[subprocess.Popen[str], str]:
    """`laneway serve` as a process, and its address."""
    server = spawn("-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        line = server.stdout.readline()
        assert line, "the server did not start"
        text += line
    return server, json.loads(text)["url"]
