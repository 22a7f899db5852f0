"""Processes that tests start: any Python program, and `laneway serve`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

__all__ = ["served", "spawn"]


def spawn(*arguments: str, stderr: IO[str] | int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """A Python process whose standard output can be read."""
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True)


def served(policy: Path, stderr: Path | None = None) -> tuple[subprocess.Popen[str], str]:
    """`laneway serve` as a process, and its address. What it says beside its output is kept in the file `stderr`."""
    line = ("-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
    with (stderr or Path(os.devnull)).open("w") as said:
        server = spawn(*line, stderr=said)
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        more = server.stdout.readline()
        assert more, "the server did not start"
        text += more
    return server, json.loads(text)["url"]
