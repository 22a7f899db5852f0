"""policy: the policy for people, each sentence beside what its rule does; and a person's approval of it."""

from __future__ import annotations

from pathlib import Path

import click
import rich.table
from rich.status import Status
from rich.text import Text

from laneway.cli.findings import print_findings
from laneway.cli.output import as_json, default_log, err, grid, json_option, log_option, out, policy_argument
from laneway.clock import today
from laneway.errors import UsageError
from laneway.evidence.owed import owed
from laneway.evidence.recalled import recalled
from laneway.people.assemble import document, document_json
from laneway.people.document import Cell, Document, Table, Tone
from laneway.people.markdown import markdown
from laneway.people.page import page
from laneway.policy import Policy
from laneway.policy_file import load, parse
from laneway.proof.verify import verify
from laneway.proof.words import report_json
from laneway.seal import sealed
from laneway.source import write_source

__all__ = ["approve", "policy"]


class _Default(click.Group):
    """`laneway policy` shows the policy, unless what follows is a command on it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["show", *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _show if cmd_name == "show" else super().get_command(ctx, cmd_name)


@click.group(cls=_Default)
def policy() -> None:
    """Show the policy to the people who answer for it."""


@click.command(epilog="To approve it: `laneway policy approve --by NAME`.")
@policy_argument
@click.option("--markdown", "markdown_", is_flag=True, help="Print Markdown.")
@click.option("--html", "file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
              help="Write one HTML page to FILE, or to standard output for `-`.")  # fmt: skip
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Time to prove it.")
@log_option
@json_option
def _show(
    policy_path: Path, markdown_: bool, file: Path | None, seconds: float, log_path: Path | None, json_: bool
) -> None:
    """Show the policy for people: each sentence beside what its rule does, who may use what, and what is proved.

    Exit code: 0 shown, proved or not; 5 invalid policy file.
    """
    made = load(policy_path)
    with Status("proving", console=err):
        report = verify(made, today(), seconds=seconds)
        known = recalled(made, default_log(policy_path, log_path), today())
        told = document(made, report, today(), tuple(owed(known.standing, today())), seconds=seconds)
    if known.note:
        err.print(f"note: {known.note}", style="yellow", soft_wrap=True)
    if json_:
        as_json(document_json(made, report, told))
    elif file is not None:
        with click.open_file(file, "w", encoding="utf-8", atomic=str(file) != "-") as page_file:
            page_file.write(page(told))
    elif markdown_:
        click.echo(markdown(told), nl=False)
    else:
        _print(told)


_STYLES: dict[Tone, str] = {
    "": "", "good": "green", "next": "blue", "weak": "yellow", "wait": "magenta", "idle": "dim", "shut": "red",
    "bad": "bold red", "warn": "yellow", "dim": "dim italic",
}  # fmt: skip
_WIDE = 110
"""From this width on a table of many columns is drawn as one."""


def _print(told: Document) -> None:
    out.print(Text.assemble((told.name, "bold"), f", a policy for language models, read on {told.day}"))
    out.print(Text.assemble(_styled(told.proved), ": ", told.proved.detail))
    for section in told.sections:
        out.print(Text(f"\n{section.title}", style="bold underline"))
        for text in section.lead:
            out.print(Text(text, style="dim"))
        if section.table is not None:
            narrow = len(section.table.columns) > (6 if out.width >= _WIDE else 4) and not section.table.matrix
            _print_rows(section.table) if narrow else out.print(_drawn(section.table))


def _drawn(table: Table) -> rich.table.Table:
    drawn = grid(*table.columns)
    drawn.collapse_padding, drawn.padding, drawn.leading = False, (0, 2, 0, 0), int(not table.matrix)
    for row in table.rows:
        drawn.add_row(*map(_told, row))
    return drawn


def _print_rows(table: Table) -> None:
    """Each row below the other, for a table that is wider than the terminal."""
    for row in table.rows:
        out.print(Text("\n").append(_told(row[0], ", ")))
        drawn = rich.table.Table.grid(padding=(0, 2))
        for column, cell in zip(table.columns[1:], row[1:], strict=True):
            drawn.add_row(Text(f"  {column}", style="dim"), _told(cell, ", "))
        out.print(drawn)


def _told(cell: Cell, between: str = "\n") -> Text:
    return Text.assemble(_styled(cell), (f"{between}{cell.detail}", "dim") if cell.detail else "")


def _styled(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES[cell.tone])


@policy.command()
@policy_argument
@click.option("--by", required=True, metavar="NAME", help="Who read it and approves it.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Time to prove it.")
@json_option
@click.pass_context
def approve(ctx: click.Context, policy_path: Path, by: str, seconds: float, json_: bool) -> None:
    """Write into the policy that NAME approves its sentences and rules today.

    `laneway check` says from then on whether any of them was changed. Only what is proved can be approved.

    Exit code: 0 approved, 5 invalid policy file, 6 not proved, and nothing written.
    """
    if not by.strip() or not by.isprintable():
        raise UsageError("--by takes the name of the person who approves")
    before = load(policy_path)
    text = sealed(before, by=by, on=today())
    made = parse(text, str(policy_path))
    report = verify(made, today(), seconds=seconds)
    if report.proved:
        write_source(policy_path, before.text, text)
    if json_:
        as_json(report_json(made, report) | {"approved": report.proved, "by": by, "meaning": made.meaning})
    else:
        print_findings(made, report.findings)
        if report.proved:
            _print_signed(before, made)
        else:
            why = report.unproved or "mend the errors above first"
            out.print(f"Not approved, and nothing was written: {why}.", style="bold red", soft_wrap=True)
    ctx.exit(0 if report.proved else 6)


def _print_signed(before: Policy, made: Policy) -> None:
    approval, last = made.approval, before.approval
    assert approval is not None
    out.print(f"{approval.by} approves {made.name} on {approval.on}.", style="bold green", soft_wrap=True)
    if last is not None and last.hash is not None:
        same = "the same as" if last.hash == made.meaning else "NOT the same as"
        out.print(f"Its sentences and rules are {same} those that {last.by} approved on {last.on}.", soft_wrap=True)
    out.print(f"signed: every sentence and every rule of {made.file}, as {made.meaning}", soft_wrap=True)
