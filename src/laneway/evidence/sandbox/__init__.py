"""sandbox: code and its tests in, whether they passed out; run in a child that can reach nothing and leaves nothing.

The child (`inside`) shuts itself in before it runs anything. This side gives it an empty environment, a folder of
its own, and pipes; keeps the wall clock; watches the folder's size; and kills the child's whole session at the end.
Where the kernel lacks a wall, nothing is run: SandboxError.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laneway.errors import LanewayError
from laneway.evidence.sandbox.folder import MOST_BYTES, MOST_FILES, remove, too_full
from laneway.evidence.sandbox.inside import NO_WALL

__all__ = ["Limits", "Ran", "SandboxError", "run"]

_START = 10.0
"""How long Python may take to start and shut itself in, before the code's own time begins."""
_MOST_SAID = 65_536
_LOOK = 0.05


class SandboxError(LanewayError):
    """The code was not run, or not to be judged: the sandbox itself failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What code and tests may use together: `seconds` of time and of CPU, MiB of `memory`."""

    seconds: int = 5
    memory: int = 256


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. `says` names the kind of error and the line, never text of the code or what it printed."""

    passed: bool
    says: str


class _Over(Exception):
    """A limit was met; the message says which."""


def run(code: str, tests: str, limits: Limits) -> Ran:
    """Run `code`, then `tests` in the same names. Blocks for at most the limit and ten seconds to start."""
    folder = tempfile.mkdtemp(prefix="laneway-")
    try:
        child = _Child(folder, limits)
        try:
            return child.play(code, tests)
        except _Over as over:
            return Ran(False, str(over))
        finally:
            child.end()
    finally:
        remove(folder)


class _Child:
    """One child, its two pipes and its folder."""

    def __init__(self, folder: str, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        theirs, self._tell = os.pipe()
        self._hear, answers = os.pipe()
        self._heard = b""
        script = Path(__file__).with_name("inside.py")
        numbers = (theirs, answers, limits.seconds + 1, limits.memory << 20)
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own script, and numbers
                [sys.executable, "-S", "-s", "-P", "-B", str(script), *map(str, numbers)],
                cwd=folder, env={"PYTHONHASHSEED": "0"}, pass_fds=(theirs, answers), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            os.close(self._tell)
            os.close(self._hear)
            raise SandboxError(f"the sandbox's process could not be started: {error.strerror}") from None
        finally:
            os.close(theirs)
            os.close(answers)

    def play(self, code: str, tests: str) -> Ran:
        """Send the code, then the tests, and take the child's word for what happened only where it holds ours."""
        start = self._answer(time.monotonic() + _START)
        if start.get("shut") is not True:
            raise SandboxError(
                f"this machine has no wall for code: {start.get('wall', self._ended())}; nothing was run"
            )
        deadline = time.monotonic() + self._limits.seconds
        self._send({"code": code}, deadline)
        loaded = self._answer(deadline)
        if "loaded" not in loaded:
            return self._failed(loaded, "the code")
        word = secrets.token_hex(16)
        self._send({"tests": tests, "word": word}, deadline)
        end = self._answer(deadline)
        if end.get("passed") == word:
            return Ran(True, "the tests passed")
        return self._failed(end, "the tests")

    def _failed(self, said: dict[str, Any], where: str) -> Ran:
        kind = said.get("error")
        if not isinstance(kind, str) or not kind.isidentifier():
            return Ran(False, f"{where} ended the process: {self._ended()}")
        if kind == "MemoryError":
            return Ran(False, f"{where} needed more than {self._limits.memory} MiB")
        line = said.get("line")
        return Ran(False, f"{where} failed: {kind[:40]}" + (f" at line {line}" if isinstance(line, int) else ""))

    def _send(self, message: dict[str, str], deadline: float) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        os.set_blocking(self._tell, False)
        while data:
            self._wait(deadline, writing=True)
            try:
                data = data[os.write(self._tell, data) :]
            except BrokenPipeError:
                return

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The child's next line, or nothing where it has ended."""
        while b"\n" not in self._heard:
            self._wait(deadline, writing=False)
            chunk = os.read(self._hear, 4096)
            self._heard += chunk
            if not chunk or len(self._heard) > _MOST_SAID:
                return {}
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def _wait(self, deadline: float, *, writing: bool) -> None:
        """Until the pipe is ready. Raises _Over where time or the folder runs out first."""
        pipe, ready = select.poll(), False
        pipe.register(self._tell if writing else self._hear, select.POLLOUT if writing else select.POLLIN)
        while not ready:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _Over(f"the code ran longer than {self._limits.seconds} s")
            ready = bool(pipe.poll(1000 * min(left, _LOOK)))
            if too_full(self._folder):
                raise _Over(
                    f"the code wrote more than {MOST_BYTES >> 20} MiB or {MOST_FILES} files, or too deep a folder"
                )

    def _ended(self) -> str:
        """How the process ended, once it has."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if status == NO_WALL:
            return "it could not be shut in"
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """Kill the whole session, whatever became of it, and close the pipes."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._tell)
        os.close(self._hear)
