"""Lives of a server for the review path: a process with a fast clock that dies around what it keeps, and defective ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

__all__ = ["BLIND", "EARLY", "FAST", "LATE", "PLAIN", "UNSEEN", "WHOLE", "lived"]

FAST = 20
"""How much faster the server's clock runs: a minute of `within` is three seconds."""

PLAIN = f"""
import os, random, signal, sys, time
from laneway.store import Content, Log
begin = float(os.environ["BEGIN"])
Log.open.__func__.__defaults__ = (lambda: int((begin + (time.time() - begin) * {FAST}) * 1e9),)

def deadly(owner, name, chance):
    plain = getattr(owner, name)
    def died(self, *args, **kwargs):
        before, after = random.random() < chance, random.random() < chance
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        made = plain(self, *args, **kwargs)
        if after:
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    setattr(owner, name, died)

for name in ("put", "erase", "get"):
    deadly(Content, name, 0.0015)
deadly(Content, "scrub", 0.004)
"""
"""What the server's process does first: its clock runs fast, and it dies now and then around what it keeps.

Also between the erasure of words and that of their write-ahead log.
"""

BLIND = "from laneway.review import desk; desk.signed = lambda *_: 2\n"
"""A server that counts any one person as two."""

LATE = "from laneway.review.item import Item; Item.over = lambda *_: False\n"
"""A server that knows no time-out."""

UNSEEN = "from laneway.review.desk import Desk; Desk._seen = lambda *_: None\n"
"""A server that takes an approval of any words for one of those that are there now."""

WHOLE = """
from laneway.review.acts import Kept
plain = Kept.onward
def onward(self, act, opening):
    body, headers = plain(self, act, opening)
    return (self.body if act.action == "reclassify" else body), headers
Kept.onward = onward
"""
"""A server that sends on the original under the label of an extract."""

EARLY = """
import asyncio
from laneway.store import writer
plain = writer.Log.append
async def append(self, *entries, otherwise=None):
    task = asyncio.ensure_future(asyncio.sleep(0.15))
    task.add_done_callback(lambda _: asyncio.ensure_future(plain(self, *entries, otherwise=otherwise)))
writer.Log.append = append
"""
"""A server that goes on before its records are on disk."""

_SERVE = "from laneway.cli import main; main()"


@asynccontextmanager
async def lived(
    policy: Path, environment: dict[str, str], defect: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server's process, killed in the end, and where it answers."""
    first = PLAIN if "CALM" not in environment else PLAIN.partition("def deadly")[0]
    line = ("serve", "--policy", str(policy), "--port", "0", "--json", "--no-console")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", first + defect + _SERVE, *line, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        printed = b""
        while not printed.rstrip().endswith(b"\n}"):
            more = await process.stdout.readline()
            if not more:
                break
            printed += more
        yield process, json.loads(printed)["url"] if printed else ""
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
