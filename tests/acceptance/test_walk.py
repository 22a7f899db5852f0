"""The worked example of docs/evaluation.md does what it says, from `laneway init` to an answer on evidence."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from tests.processes import served
from tests.test_docs import EVALUATION

from laneway.starter import SERVICES


class Step(NamedTuple):
    """Some lines for a shell, and what they are said to print."""

    script: str
    says: list[str]


def steps() -> Iterator[Step]:
    """The blocks of the example, in their order."""
    blocks = re.findall(r"^```(sh|text) walk\n(.*?)^```$", EVALUATION.read_text("utf-8"), re.M | re.S)
    for (kind, script), (after, says) in zip(blocks, [*blocks[1:], ("sh", "")], strict=True):
        if kind == "sh":
            yield Step(script, says.splitlines() if after == "text" else [])


@contextmanager
def shell(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One shell for the whole example, with `laneway` and `python` on its path; what it started ends with it."""
    (folder / "bin").mkdir()
    for name, module in (("laneway", "-m laneway.cli "), ("python", "")):
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n')
        (folder / "bin" / name).chmod(0o700)
    (folder / "work").mkdir()
    environ = {key: value for key, value in os.environ.items() if key not in {service.key for service in SERVICES}}
    environ |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "COLUMNS": "80"}
    process = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               cwd=folder / "work", env=environ, start_new_session=True)  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the stand-in too
        process.communicate()


def told(process: subprocess.Popen[str], line: str) -> tuple[str, int]:
    """What a piece of the script prints, and its exit code."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f'{line}\necho "@@$?"\n')
    process.stdin.flush()
    said = ""
    for more in process.stdout:
        if more.startswith("@@"):
            return said, int(more[2:])
        said += more
    raise AssertionError(f"the shell ended: {said}")


def commands(script: str) -> Iterator[str]:
    """A block in pieces that stand alone: what precedes `laneway` or the end, here-documents and loops whole."""
    piece = list[str]()
    for line in script.splitlines():
        if line.startswith("laneway ") and piece:
            yield "\n".join(piece)
            piece = []
        piece.append(line)
        if line.startswith("laneway "):
            yield "\n".join(piece)
            piece = []
    if piece:
        yield "\n".join(piece)


@pytest.fixture
def port() -> int:
    """A free one, in place of the example's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


def test_the_worked_example_ends_in_an_answer_on_evidence(tmp_path: Path, port: int) -> None:
    """Every command exits as it says and prints what is shown; a server then serves the one work on evidence."""
    with shell(tmp_path) as process:
        for step in steps():
            printed = ""
            for line in commands(step.script.replace("4190", f"{port}")):
                said, code = told(process, line)
                wanted = re.search(r"# exit (\d)", line)
                assert code == (int(wanted[1]) if wanted else 0), f"{line}\n{said}"
                printed += said
            flat = " ".join(printed.split())
            assert [line for line in step.says if " ".join(line.split()) not in flat] == [], printed
        server, url = served(tmp_path / "work" / "laneway.yaml")
        try:
            assert evidence(url, "mail") == "met"
            assert evidence(url, "other") == "waived"
        finally:
            server.terminate()
            server.communicate()


def evidence(url: str, workload: str) -> str:
    """On what the server's answer to such work rests."""
    body = {"model": workload, "messages": [{"role": "user", "content": "Letter 9: is it a complaint?"}]}
    request = urllib.request.Request(
        f"{url}/chat/completions", msgspec.json.encode(body), {"content-type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        found: str = answer.headers["Laneway-Evidence"]
    return found
