"""sandbox: code that does its work passes; code that would do anything else is contained, and nothing is left."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from laneway.evidence.sample import Message, Sample, Scorer
from laneway.evidence.sandbox import Limits, SandboxError, inside, run
from laneway.evidence.scorers import Score, Unscored, score

LIMITS = Limits(seconds=3, memory=192)
SRC = Path(__file__).resolve().parents[3] / "src"


def _children() -> set[int]:
    """The ids of all processes that run the sandbox of this copy of the source."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(SRC / "laneway/evidence/sandbox/inside.py").encode() in (path / "cmdline").read_bytes():
                found.add(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def f(x):\n    return x + 1", "assert f(1) == 2"),
        ("print('hello')\nimport sys\nsys.stderr.write('x' * 200_000)", "pass"),
        ("import threading\nt = threading.Thread(target=list)\nt.start()\nt.join()", "assert not t.is_alive()"),
        ("async def f():\n    return 1", "import asyncio\nassert asyncio.run(f()) == 1"),
        ("with open('a', 'w') as f:\n    f.write('x')", "import os\nos.mkdir('d')\nos.rename('a', 'd/a')\nassert open('d/a').read() == 'x'"),
        ("import tempfile\nwith tempfile.TemporaryFile() as f:\n    f.write(b'x')", "pass"),
        ("import dataclasses, decimal, json, re, sqlite3, statistics, unittest, zoneinfo", "assert zoneinfo.ZoneInfo('UTC')"),
        ("if __name__ == '__main__':\n    raise SystemExit", "assert __name__ == 'answer'"),
        ("import os", "assert not os.environ"),
    ],
)  # fmt: skip
def test_honest_code_runs(code: str, tests: str) -> None:
    """The standard library, threads, and files of its own are there for code that needs them."""
    assert run(code, tests, LIMITS).says == "the tests passed"


CONTAINED = {
    "an endless loop": ("while True: pass", "the code ran longer than 3 s"),
    "a sleep": ("import time\ntime.sleep(60)", "the code ran longer than 3 s"),
    "a fork bomb": ("import os\nwhile True: os.fork()", "PermissionError at line 2"),
    "a child that survives": ("import os\nos.setsid()", "PermissionError at line 2"),
    "a child of its own": ("import subprocess\nsubprocess.Popen(['sleep', '60'])", "PermissionError at line 2"),
    "another program": ("import os\nos.execv('/bin/sh', ['sh'])", "PermissionError at line 2"),
    "a memory hog": ("x = []\nwhile True: x.append(bytearray(10 ** 6))", "needed more than 192 MiB"),
    "a memory hog in the kernel": ("import os\nos.memfd_create('x')", "PermissionError at line 2"),
    "a thread bomb": ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()", "RuntimeError at line 2"),
    "a socket": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "PermissionError at line 2"),
    "a unix socket": ("import socket\nsocket.socket(socket.AF_UNIX)", "PermissionError at line 2"),
    "a datagram by a pair": ("import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\na.sendto(b'x', '/dev/log')", "PermissionError at line 3"),
    "a full disk": ("i = 0\nwhile True:\n    i += 1\n    open(f'f{i}', 'wb').write(b'x' * 4_000_000)", "wrote more than 64 MiB"),
    "a large file": ("open('f', 'wb').write(b'x' * 5_000_000)", "failed: OSError at line 1"),
    "many files": ("i = 0\nwhile True:\n    i += 1\n    open(f'f{i}', 'w').close()", "or 1000 files"),
    "a deep folder": ("import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')", "too deep a folder"),
    "a folder shut to others": ("import os, time\nos.mkdir('d', 0)\nwhile True:\n    time.sleep(0.1)", "the code"),
    "a signal to its parent": ("import os\nos.kill(os.getppid(), 9)", "PermissionError at line 2"),
    "a signal to everybody": ("import os\nos.kill(-1, 9)", "PermissionError at line 2"),
    "higher limits": ("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))", "at line 2"),
    "another's limits": ("import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU)", "PermissionError at line 2"),
    "a look at the parent": ("import os\nopen(f'/proc/{os.getppid()}/environ')", "PermissionError at line 2"),
    "a look at users": ("open('/etc/passwd')", "PermissionError at line 1"),
    "a change of rights": ("import os\nos.chmod('/', 0o777)", "PermissionError at line 2"),
    "leaving early": ("import os\nos._exit(0)", "the code ended the process: exit status 0"),
    "leaving politely": ("import sys\nsys.exit(0)", "failed: SystemExit at line 2"),
    "a crash": ("import ctypes\nctypes.string_at(0)", "the code ended the process: SIGSEGV"),
    "a foreign answer": ("import os\nfor i in range(3, 9):\n    try:\n        os.write(i, b'{\"loaded\": true}\\n{\"passed\": true}\\n')\n    except OSError:\n        pass\nos._exit(0)", "ended the process"),
    "no Python": ("def f(:", "failed: SyntaxError at line 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINED)
def test_other_code_is_contained(name: str) -> None:
    """Each attempt fails, is said, and no process is left behind."""
    code, said = CONTAINED[name]
    ran = run(code, "pass", LIMITS)
    assert not ran.passed
    assert said in ran.says
    assert _children() == set()


@pytest.mark.parametrize("how", ["open({!r}, 'w')", "__import__('os').truncate({!r}, 0)", "__import__('os').unlink({!r})",
                                 "__import__('os').utime({!r})", "__import__('os').symlink({!r}, 'x'); open('x', 'w')",
                                 "__import__('os').link({!r}, 'x')", "__import__('os').rename({!r}, 'x')"])  # fmt: skip
def test_a_file_outside_the_folder_stays_as_it_is(how: str, tmp_path: Path) -> None:
    """No way of writing, emptying, moving or touching reaches a file outside the code's own folder."""
    path = tmp_path / "kept"
    path.write_text("kept")
    before = path.stat()
    assert not run(how.format(str(path)), "pass", LIMITS).passed
    after = path.stat()
    assert (path.read_text(), after.st_mtime_ns, after.st_ino) == ("kept", before.st_mtime_ns, before.st_ino)
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code wrote does not stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run("open('a', 'w').write('x')", "pass", LIMITS).passed
    assert list(tmp_path.iterdir()) == []


def test_a_deep_or_shut_folder_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep the code digs, links away or shuts its folders, all of it goes, and nothing outside."""
    kept = tmp_path / "kept"
    (kept / "inside").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "runs"))
    run(
        f"import os\nos.symlink({str(kept)!r}, 'away')\nos.mkdir('shut', 0)\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')",
        "pass",
        LIMITS,
    )
    assert list((tmp_path / "runs").iterdir()) == []
    assert (kept / "inside").exists()


def test_a_runner_that_is_killed_takes_the_code_with_it() -> None:
    """Code that is running when its runner is killed does not run on."""
    script = f"import sys; sys.path.insert(0, {str(SRC)!r})\nfrom laneway.evidence.sandbox import Limits, run\nrun('import time; time.sleep(60)', 'pass', Limits(50, 128))"
    runner = subprocess.Popen([sys.executable, "-c", script])
    _until(lambda: bool(_children()))
    runner.kill()
    runner.wait()
    _until(lambda: not _children())


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_privileges_it_contains_as_much() -> None:
    """A user with no rights at all gets the same walls."""
    nobody = pwd.getpwnam("nobody").pw_uid
    python = _python_for_all()
    if os.getuid() != 0 or python is None:
        pytest.skip("these tests run without privileges already, or no Python 3.11 is open to every user")
    script = (
        f"import sys; sys.path.insert(0, {str(SRC)!r})\nfrom laneway.evidence.sandbox import Limits, run\nimport os\n"
        "assert os.getuid()\nprint(run('x = 1', 'assert x == 1', Limits(3, 128)).says)\n"
        "print(run('import os; os.fork()', 'pass', Limits(3, 128)).says)\n"
        "print(run('open(\"/tmp/laneway-x\", \"w\")', 'pass', Limits(3, 128)).says)\n"
        "print(run('import os; os.kill(-1, 9)', 'pass', Limits(3, 128)).says)\n"
    )
    done = subprocess.run(
        [python, "-B", "-c", script],
        user=nobody,
        group=nobody,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if "Permission" in done.stderr and "laneway" in done.stderr:
        pytest.skip("the source is not open to every user")
    denied = "the code failed: PermissionError at line 1"
    assert done.stdout.splitlines() == ["the tests passed", denied, denied, denied], done.stderr


def _python_for_all() -> str | None:
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        open_to_all = path.exists() and all(part.stat().st_mode & 0o001 for part in (path, *path.parents))
        if (
            open_to_all
            and subprocess.run([path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode == 0
        ):
            return str(path)
    return None


def test_a_machine_without_walls_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no Landlock, the code is not run, and the sample has an error instead of a score."""
    blind = tmp_path / "inside.py"
    source = Path(inside.__file__).read_text("utf-8")
    blind.write_text(
        source.replace("create, add, restrict = 444, 445, 446", "create, add, restrict = 4440, 445, 446"), "utf-8"
    )
    monkeypatch.setattr("laneway.evidence.sandbox.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(SandboxError, match=r"no wall for code: Landlock: .*nothing was run"):
        run("x = 1", "pass", LIMITS)
    scored = score(_code("pass"), "```python\nx = 1\n```")
    assert isinstance(scored, Unscored)
    assert "nothing was run" in scored.error


def _code(tests: str) -> Sample:
    return Sample(
        id="a",
        messages=(Message("user", "?"),),
        sensitivity="internal",
        scorers=(Scorer("code", {"tests": tests, "seconds": 3}),),
    )


@pytest.mark.parametrize(
    ("answer", "value", "said"),
    [
        ("Here:\n```python\ndef f(x):\n    return 2 * x\n```\nDone.", 1, "the tests passed"),
        ("```py\ndef f(x):\n    return x\n```", 0, "the tests failed: AssertionError at line 2"),
        ("def f(x): return 2 * x", 0, "0 fenced Python blocks"),
        ("```python\na = 1\n```\n```python\nb = 1\n```", 0, "2 fenced Python blocks"),
    ],
)
def test_the_code_scorer_runs_the_one_block(answer: str, value: float, said: str) -> None:
    """The answer's one Python block is run with the tests; why it failed is said by kind and line."""
    scored = score(_code("assert f(0) == 0\nassert f(2) == 4"), answer)
    assert isinstance(scored, Score)
    assert scored.value == value
    assert said in scored.explanation
