"""activation: from a policy file to a policy in force, at the start and whenever the file changes.

Only what is proved is ever in force. A file that cannot be read or proved is refused loudly, and what was in
force stays. A swap happens between requests: those under way end under the policy that they began with.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Mapping
from pathlib import Path

from laneway.errors import LanewayError
from laneway.gateway import Active, Gateway
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.proof.verify import Report, verify
from laneway.providers.http import HttpProvider
from laneway.store import Log

__all__ = ["POLL", "Refused", "activate", "proved", "watch"]

POLL = 1.0
"""Seconds between two looks at the policy file."""

_log = logging.getLogger("laneway")


class Refused(LanewayError):
    """A policy that loads and is not proved. `report` says what is wrong with it."""

    def __init__(self, policy: Policy, report: Report) -> None:
        self.policy, self.report = policy, report
        errors = "; ".join(f"line {e.line}: {e.about}: {e.message}" for e in report.errors[:3]) or report.unproved
        more = f"; and {len(report.errors) - 3} more" if len(report.errors) > 3 else ""
        super().__init__(f"{policy.file} is not proved: {errors}{more}. See `laneway check {policy.file}`")


def proved(path: Path) -> tuple[Policy, Report]:
    """The policy in the file, proved as of today. Raises PolicyError or Refused."""
    policy = load(path)
    report = verify(policy, datetime.datetime.now(datetime.UTC).date())
    if not report.proved:
        raise Refused(policy, report)
    return policy, report


async def activate(policy: Policy, log: Log, provider: HttpProvider) -> Active:
    """`policy` ready to be in force over `provider`: its text is on record."""
    await asyncio.to_thread(log.archive, policy.hash, policy.text)
    return Active(policy, provider, provider.closed)


async def watch(path: Path, gateway: Gateway, provider: HttpProvider, environ: Mapping[str, str]) -> None:
    """Put each changed file in force once it is proved, and prove anew what is in force when the day changes."""
    seen = (_stamp(path), datetime.datetime.now(datetime.UTC).date())
    while True:
        await asyncio.sleep(POLL)
        now = (_stamp(path), datetime.datetime.now(datetime.UTC).date())
        if now == seen:
            continue
        seen = now
        try:
            policy, _ = await asyncio.to_thread(proved, path)
            if policy.hash != gateway.active.policy.hash:
                gateway.active = await activate(policy, gateway.log, provider.renewed(policy.lanes, environ))
                _log.warning("policy %s of %s is in force now", policy.hash[:12], path)
            gateway.refused = ""
        except Exception as error:  # noqa: BLE001  # whatever goes wrong with a new file, what was proved stays
            gateway.refused = str(error).partition("\n")[0]
            _log.error("the policy file was refused, and policy %s stays in force: %s",
                       gateway.active.policy.hash[:12], error)  # fmt: skip


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
