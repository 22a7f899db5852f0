"""findings: what the proof found, as people read it on a terminal."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from laneway.cli.output import err, out
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.proof.finding import Finding
from laneway.proof.verify import Report
from laneway.proof.words import tell
from laneway.server.activation import Refused, proof

__all__ = ["print_findings", "print_parts", "proven"]

_COMMAND = "see it"


def proven(path: Path) -> tuple[Policy, Report]:
    """The policy in the file, proved; the command ends where it is not, and says what was found."""
    policy = load(path)
    try:
        return policy, proof(policy)
    except Refused as refused:
        print_findings(refused.policy, refused.report.errors, err)
        err.print(f"laneway: {refused}", style="red", soft_wrap=True)
        click.get_current_context().exit(6)


def print_findings(policy: Policy, findings: tuple[Finding, ...], console: Console = out) -> None:
    """Every finding, errors first: where, what, the request that shows it, and what to do."""
    for finding in findings:
        told, style = tell(policy, finding), "bold red" if finding.severity == "error" else "yellow"
        head = Text.assemble((f"{finding.severity}", style), f" {told.place}\n", (told.what, "bold"))
        print_parts(head, told.parts, console)
        console.print()


def print_parts(head: Text, parts: tuple[tuple[str, str], ...], console: Console = out) -> None:
    """A head, and under it what belongs to it, by label."""
    console.print(head)
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=9, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in parts:
        if label != _COMMAND:
            table.add_row(Text(f"  {label}", style="dim"), Text(text))
    console.print(table)
    for label, text in parts:
        if label == _COMMAND:  # in one line, to be copied
            console.print(Text.assemble((f"  {label}  ", "dim"), text), soft_wrap=True)
