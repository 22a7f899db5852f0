"""activation: from a policy file to a policy in force, at the start and whenever the file changes.

Only what is proved is ever in force. A file that cannot be read or proved is refused loudly, and what was in
force stays. A swap happens between requests: those under way end under the policy that they began with.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from laneway.clock import today
from laneway.errors import LanewayError, PolicyError
from laneway.evidence.owed import Owed, owed
from laneway.evidence.recalled import standing_of
from laneway.evidence.standing import Standing
from laneway.gateway import Active, Gateway
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.proof.verify import Report, verify
from laneway.providers.http import HttpProvider
from laneway.store import Log, Reader

__all__ = ["POLL", "Refused", "activate", "proof", "watch"]

POLL = 1.0
"""Seconds between two looks at the policy file."""

T = TypeVar("T")

_log = logging.getLogger("laneway")


class Refused(LanewayError):
    """A policy that loads and is not proved. `report` says what is wrong with it."""

    def __init__(self, policy: Policy, report: Report) -> None:
        self.policy, self.report = policy, report
        errors = "; ".join(f"line {e.line}: {e.about}: {e.message}" for e in report.errors[:3]) or report.unproved
        more = f"; and {len(report.errors) - 3} more" if len(report.errors) > 3 else ""
        super().__init__(f"{policy.file} is not proved: {errors}{more}. See `laneway check {policy.file}`")


def proof(policy: Policy) -> Report:
    """What was proved of the policy as of today. Raises Refused."""
    report = verify(policy, today())
    if not report.proved:
        raise Refused(policy, report)
    return report


async def activate(policy: Policy, log: Log, provider: HttpProvider, before: Standing | None = None) -> Active:
    """`policy` ready to be in force over `provider`: its text is on record, and what its lanes have shown is known.

    What was seen of lanes before goes on counting. Raises PolicyError where a file that it names cannot be used.
    """
    standing = await _apart(lambda: _standing(policy, log.path, before))
    await asyncio.to_thread(log.archive, policy.hash, policy.text)
    return Active(policy, provider, provider.closed, standing)


def _standing(policy: Policy, log: Path, before: Standing | None) -> Standing:
    """What the policy's lanes have shown, by the ledger, and what lowers it: by the log, or as it is known already."""
    with closing(Reader.open(log)) as reader:
        standing = standing_of(policy, reader, today(), before)
    if standing.trouble:
        _log.error("no evidence counts: %s", standing.trouble)
    return standing


async def watch(path: Path, gateway: Gateway, provider: HttpProvider, environ: Mapping[str, str]) -> None:
    """Put each changed file in force once it is proved, and prove anew what is in force when the day changes.

    Prompts, evaluation sets and the ledger count as the file does. A file counts once it looks the same twice, as it
    may be written in pieces. What fails for another reason than the file itself is tried again.
    """
    day, judged, last = today(), _NEVER, _NEVER
    told = _Told(gateway.active.standing, day)
    while True:
        await asyncio.sleep(POLL)
        if day != today():
            day = today()
            await _renew(gateway, provider, day)
        told.say(gateway.active.standing, day)
        before, last = last, tuple(map(_stamp, (path, *gateway.active.standing.files)))
        if last == judged or last != before:
            continue
        try:
            provider = await _take_up(path, gateway, provider, environ)
            gateway.refused, judged = "", last
        except Exception as error:  # noqa: BLE001  # whatever goes wrong with a new file, what was proved stays
            _refuse(gateway, f"{error}")
            judged = last if isinstance(error, PolicyError | Refused) else _NEVER


class _Told:
    """On what each lane serves each measured workload, as it was last said; evidence changes while a server runs."""

    def __init__(self, standing: Standing, day: datetime.date) -> None:
        self.seen, self.rows = (standing, standing.version, day), _rows(standing, day)

    def say(self, standing: Standing, day: datetime.date) -> None:
        """A line for each lane that has shut or opened since, with the cause."""
        seen, before = (standing, standing.version, day), self.rows
        if seen == self.seen:
            return
        self.seen, self.rows = seen, _rows(standing, day)
        for (workload, lane, language), row in self.rows.items():
            same = [was for (w, x, _), was in before.items() if (w, x) == (workload, lane)]  # a language may be new
            was = before.get((workload, lane, language), same[0] if same else row)
            if (was.code == "no-evidence") != (row.code == "no-evidence"):
                now = "is shut to" if row.code == "no-evidence" else "is open to"
                work = f"{workload} in {language}" if language else workload
                _log.warning("lane %s %s %s: %s", lane, now, work, row.told)


def _rows(standing: Standing, day: datetime.date) -> dict[tuple[str, str, str], Owed]:
    return {(row.workload, row.lane, row.language): row for row in owed(standing, day)}


async def _take_up(path: Path, gateway: Gateway, provider: HttpProvider, environ: Mapping[str, str]) -> HttpProvider:
    """What the files say now, in force: another policy once it is proved, and other evidence at once.

    Where a file that evidence rests on cannot be used any more, no evidence counts: that must not wait for a policy.
    """
    active, wrong = gateway.active, None
    try:
        standing = await _apart(lambda: _standing(active.policy, gateway.log.path, active.standing))
    except PolicyError as error:
        standing, wrong = active.standing.without_evidence(f"{error.problems[0]}"), error
    gateway.active = active._replace(standing=standing)
    policy = await _apart(lambda: load(path))
    if policy.hash == active.policy.hash:
        if wrong is not None:
            raise wrong
        return provider
    await _apart(lambda: proof(policy))
    provider = provider.renewed(policy.lanes, environ, policy.networks)
    gateway.active = await activate(policy, gateway.log, provider, active.standing)
    _log.warning("policy %s of %s is in force now", policy.hash[:12], path)
    return provider


async def _renew(gateway: Gateway, provider: HttpProvider, day: datetime.date) -> None:
    """Close every lane where what is in force is not proved for the new day; open them again once it is."""
    policy = gateway.active.policy
    report = await _apart(lambda: verify(policy, day))
    closed = provider.closed
    if not report.proved:
        _refuse(gateway, f"{Refused(policy, report)}. It is not proved for {day}, so every lane is closed")
        closed = dict.fromkeys(policy.lanes, f"the policy in force is not proved for {day}")
    gateway.active = gateway.active._replace(closed=closed)


def _refuse(gateway: Gateway, why: str) -> None:
    """Say it once, loudly, and on /ready for as long as it holds."""
    first_line = why.partition("\n")[0]
    if first_line != gateway.refused:
        _log.error("policy %s stays in force: %s", gateway.active.policy.hash[:12], why)
    gateway.refused = first_line


async def _apart(work: Callable[[], T]) -> T:
    """What `work` returns, from a thread that the end of the process does not wait for."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="laneway-proof", daemon=True).start()
    return await asyncio.wrap_future(future)


_NEVER: tuple[tuple[int, ...], ...] = ((-1,),)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the file does; empty where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode
