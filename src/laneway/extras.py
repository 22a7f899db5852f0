"""extras: how to install what only some commands need, in words that fit how Laneway itself was installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

__all__ = ["install"]


def install(extra: str) -> str:
    """The command that adds the extra to this very Python: of the clone that runs, else of the package."""
    clone = Path(__file__).resolve().parents[2]
    what = ["-e", f"{clone}[{extra}]"] if (clone / "pyproject.toml").is_file() else [f"laneway[{extra}]"]
    return shlex.join([sys.executable, "-m", "pip", "install", *what])
