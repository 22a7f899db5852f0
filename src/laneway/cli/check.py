"""check: prove a policy over all requests and all outages, or show the request that breaks it."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from laneway.cli.output import as_json, err, json_option, out, policy_argument
from laneway.clock import today
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.proof.finding import Finding
from laneway.proof.verify import Report, verify
from laneway.proof.words import conclusion, report_json, tell

__all__ = ["check", "print_findings"]


@click.command()
@policy_argument
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Time for the proof."
)
@json_option
@click.pass_context
def check(ctx: click.Context, policy_path: Path, strict: bool, seconds: float, json_: bool) -> None:
    """Prove the policy over all requests and all outages, or show a request that breaks it.

    Exit code: 0 proved, 5 invalid policy file, 6 a property is broken or not proved.
    """
    policy = load(policy_path)
    started = time.monotonic()
    with Status("proving", console=err) as status:
        report = verify(policy, today(), seconds=seconds, progress=lambda name: status.update(f"proving that {name}"))
    if json_:
        as_json(report_json(policy, report))
    else:
        print_findings(policy, report.findings)
        style = "bold green" if _good(report, strict=strict) else "bold red"
        out.print(conclusion(report, time.monotonic() - started), style=style, soft_wrap=True)
    ctx.exit(0 if _good(report, strict=strict) else 6)


def _good(report: Report, *, strict: bool) -> bool:
    return report.proved and not (strict and report.findings)


def print_findings(policy: Policy, findings: tuple[Finding, ...], console: Console = out) -> None:
    """Every finding, errors first: where, what, the request that shows it, and what to do."""
    for finding in findings:
        told, style = tell(policy, finding), "bold red" if finding.severity == "error" else "yellow"
        console.print(Text.assemble((f"{finding.severity}", style), f" {told.place}\n", (told.what, "bold")))
        table = Table.grid(padding=(0, 1))
        table.add_column(min_width=9, no_wrap=True)
        table.add_column(overflow="fold")
        for label, text in told.parts:
            table.add_row(Text(f"  {label}", style="dim"), Text(text))
        console.print(table)
        console.print()
