"""The certificate options of `check`: write one for a proved policy, or have the second proof judge one."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from laneway.certificate.cases import OutOfTime
from laneway.certificate.certify import certify
from laneway.certificate.form import CertificateError, read, write
from laneway.certificate.second import objections
from laneway.cli.output import as_json, err, out
from laneway.errors import UsageError
from laneway.policy import Policy
from laneway.proof.oracle import NotProved
from laneway.proof.verify import Report

__all__ = ["certificate_options", "certified", "verified"]

F = TypeVar("F", bound=Callable[..., Any])


def certificate_options(command: F) -> F:
    """`--certificate` and `--verify`."""
    path = click.Path(path_type=Path, dir_okay=False)
    put = click.option("--certificate", "certificate_path", type=path, help="Where proved, say so in this file.")
    judge = click.option(
        "--verify", "verify_path", type=path, help="Judge this certificate by a second, independent proof instead."
    )
    return put(judge(command))


def certified(policy: Policy, report: Report, path: Path, today: datetime.date, seconds: float, *, good: bool) -> bool:
    """Write the certificate where all is `good`; whether it was written."""
    why = "the policy is not proved"
    if good:
        try:
            write(certify(policy, report, today, seconds), path)
            err.print(f"certificate: {path}", soft_wrap=True)
            return True
        except NotProved as error:
            why = str(error)
    err.print(f"no certificate was written: {why}", style="red", soft_wrap=True)
    return False


def verified(policy: Policy, path: Path, today: datetime.date, seconds: float, *, json_: bool, put: Path | None) -> int:
    """Judge a certificate and say what is wrong with it; the exit code: 0 verified, 6 not, 5 no certificate."""
    if put is not None:
        raise UsageError("--certificate and --verify are two things to do; give one of them")
    try:
        certificate = read(path)
    except CertificateError as error:
        err.print(f"laneway: {error}", style="red", soft_wrap=True)
        return 5
    started, day = time.monotonic(), certificate.day
    try:
        wrong = tuple(objections(policy, certificate, today, seconds))
    except OutOfTime as error:
        wrong = (str(error),)
    if json_:
        as_json(
            {"verified": not wrong, "policy_hash": policy.hash, "day": f"{day}", "today": f"{today}", "wrong": wrong}
        )
        return 6 if wrong else 0
    for objection in wrong:
        out.print(f"  {objection}", soft_wrap=True)
    also = "" if day == today else f", of {day}, and it holds today too"
    said = "NOT verified." if wrong else f"Verified{also}: every claim was proved anew, and every witness replayed"
    took = "" if wrong else f", in {time.monotonic() - started:.2f} s."
    out.print(said + took, style="bold red" if wrong else "bold green", soft_wrap=True)
    return 6 if wrong else 0
