"""check: prove a policy over all requests and all outages, or show the request that breaks it."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.status import Status
from rich.table import Table
from rich.text import Text

from laneway.cli.certificate import certificate_options, certified, verified
from laneway.cli.findings import print_findings, print_parts
from laneway.cli.output import as_json, default_log, err, indented, json_option, log_option, out, policy_argument
from laneway.cli.test import read_cases
from laneway.clock import today
from laneway.errors import PolicyError, UsageError
from laneway.evidence.owed import Owed, findings, owed
from laneway.evidence.recalled import recalled
from laneway.policy import Policy
from laneway.policy_cases import unmet
from laneway.policy_file import load, parse
from laneway.proof.verify import Report, verify
from laneway.proof.without import without
from laneway.proof.words import Fixed, changed_lines, conclusion, fixed_json, lost_json, report_json, tell_loss
from laneway.rehearse import rehearse
from laneway.repair.edits import applied
from laneway.repair.mended import Failing, repaired
from laneway.source import write_source

__all__ = ["check"]


@click.command()
@policy_argument
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Time for the proof."
)
@click.option("--fix", is_flag=True, help="Write the safe repairs: those that close access only.")
@click.option(
    "--without",
    "fallen",
    multiple=True,
    metavar="GUARANTEE",
    help="Ask what is lost if it falls: transfer=DPF, dpa, runs=US, stores=US, owner=US, verified, lane=NAME.",
)
@certificate_options
@log_option
@json_option
@click.pass_context
def check(
    ctx: click.Context, policy_path: Path, strict: bool, seconds: float, fix: bool, fallen: tuple[str, ...],
    certificate_path: Path | None, verify_path: Path | None, log_path: Path | None, json_: bool,
) -> None:  # fmt: skip
    """Prove the policy over all requests and all outages, or show a request that breaks it.

    Exit code: 0 proved or verified, 5 invalid policy file or certificate, 6 a property is broken or not proved, or the
    certificate is not verified.
    """
    policy, day = load(policy_path), today()
    if verify_path is not None:
        ctx.exit(verified(policy, verify_path, day, seconds, json_=json_, put=certificate_path))
    if fallen:
        if fix:
            raise UsageError("--without asks a question, and --fix writes: use one of them")
        ctx.exit(_asked(policy, fallen, day, seconds, json_=json_))
    started = time.monotonic()
    report = _proved(policy, policy_path, day, seconds)
    fixed, before = list[Fixed](), policy.text
    while fix and (mended := _mended(policy, report)) is not None:
        fixed.append(mended)
        policy = parse(applied(policy.text, mended.repair.edits), policy.file)
        report = _proved(policy, policy_path, day, seconds)
    if fixed:
        write_source(policy_path, before, policy.text)
    known = recalled(policy, default_log(policy_path, log_path), day)
    report = replace(report, findings=(*report.findings, *findings(known.standing, day)))
    rows = tuple(owed(known.standing, day))
    if json_:
        evidence = [{"workload": o.workload, "lane": o.lane, "language": o.language or None, "code": o.code,
                     "until": o.until and f"{o.until}", "told": o.told} for o in rows]  # fmt: skip
        made = report_json(policy, report) | {"fixed": [fixed_json(each) for each in fixed], "evidence": evidence}
        as_json(made | {"note": known.note})
    else:
        for each in fixed:
            _print_fixed(each)
        print_findings(policy, report.findings)
        if rows:
            _print_owed(rows, known.note)
        style = "bold green" if _good(report, strict=strict) else "bold red"
        out.print(conclusion(report, time.monotonic() - started), style=style, soft_wrap=True)
    good = _good(report, strict=strict)
    if certificate_path is not None:
        good = certified(policy, report, certificate_path, day, seconds, good=good)
    ctx.exit(0 if good else 6)


def _asked(policy: Policy, fallen: tuple[str, ...], day: datetime.date, seconds: float, *, json_: bool) -> int:
    """Tell what is lost without guarantees; 0, as it is a question, unless the policy is broken as it stands."""
    lost = without(policy, fallen, day, seconds=seconds)
    broken = not verify(policy, day, seconds=seconds).proved
    if json_:
        as_json(lost_json(policy, lost))
    else:
        names = ", ".join(lost.lanes) or "no lane has it"
        out.print(f"Without {', '.join(fallen)}: {names}.", style="bold")
        for loss in lost.losses:
            what, parts = tell_loss(policy, loss)
            out.print()
            print_parts(Text(what, style="bold"), parts)
        if lost.lanes and not lost.losses:
            out.print("No request loses a lane.")
        for error in lost.errors:
            out.print(Text.assemble(("\nthen an error", "bold red"), f" {error.about}: {error.message}"))
        if broken:
            err.print("The policy is not proved as it stands: see `laneway check`.", style="bold red")
    return 6 if broken else 0


def _proved(policy: Policy, policy_path: Path, day: datetime.date, seconds: float) -> Report:
    with Status("proving", console=err) as status:
        report = verify(policy, day, seconds=seconds, progress=lambda name: status.update(f"proving that {name}"))
        status.update("looking for repairs")
        return repaired(policy, report, day, seconds=min(seconds, 5.0), failing=_cases(policy, policy_path))


def _mended(policy: Policy, report: Report) -> Fixed | None:
    """The first safe repair, of broken properties before all else, as other errors may come of those.

    Each leaves fewer errors, so that they come to an end.
    """
    errors = sorted(report.errors, key=lambda finding: finding.code != "must-broken")
    every = ((finding, repair) for finding in errors for repair in finding.repairs)
    return next((Fixed(policy, finding, repair) for finding, repair in every if repair.safe), None)


def _cases(policy: Policy, policy_path: Path) -> Failing:
    """How many of the cases beside the policy fail under a changed one; none where there are no cases to read."""
    if not policy_path.with_name("cases.yaml").exists():
        return lambda _: 0
    try:
        suite = read_cases(policy, policy_path, None)
    except PolicyError as error:
        err.print(f"note: repairs are not held against the cases, as these cannot be read: {error.problems[0]}",
                  style="yellow", soft_wrap=True)  # fmt: skip
        return lambda _: 0

    def failing(changed: Policy) -> int:
        seen = rehearse(changed, suite.cases, suite.today or today())
        return sum(bool(unmet(case, found)) for case, found in zip(suite.cases, seen, strict=True))

    return failing


def _print_fixed(fixed: Fixed) -> None:
    finding = fixed.finding
    place = f"{fixed.policy.file}:{finding.line}" if finding.line else fixed.policy.file
    told = Text.assemble(("fixed", "bold green"), f" {place} {finding.about}: {fixed.repair.says}")
    out.print(told, soft_wrap=True)
    for line in changed_lines(fixed.policy, fixed.repair):
        out.print(f"  {line}", style="dim", soft_wrap=True)


def _print_owed(rows: tuple[Owed, ...], note: str) -> None:
    """On what each lane serves each workload, and what it lacks."""
    works: dict[str, dict[tuple[str, str], list[str]]] = {}
    for row in rows:
        work = f"{row.workload}, in {row.language}" if row.language else row.workload
        until = "" if row.until is None else f" until {row.until}"
        why = row.told.replace(f"{row.lane} ", "").removeprefix(f"serves without evidence{until}, ")
        works.setdefault(work, {}).setdefault((row.code, f"{until}: {why}"), []).append(row.lane)
    for work, alike in works.items():
        out.print(work, style="bold")
        table = Table.grid(padding=(0, 1))
        for (code, why), lanes in alike.items():
            table.add_row(f"  {', '.join(lanes)}", Text.assemble(_SERVES[code], why))
        out.print(table)
    if note:
        indented(note, "yellow")
    out.print()


_SERVES = {
    "evidence-met": ("on evidence", "green"), "waived": ("on a waiver", "yellow"), "no-evidence": ("shut", "red"),
}  # fmt: skip


def _good(report: Report, *, strict: bool) -> bool:
    return report.proved and not (strict and report.findings)
