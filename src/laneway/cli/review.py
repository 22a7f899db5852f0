"""review: what happened, what it cost and what to do about it, in the terminal, as files and for scripts."""

from __future__ import annotations

import datetime
from pathlib import Path

import click
from rich.progress import Progress
from rich.table import Table as Grid
from rich.text import Text

from laneway.cli.output import (
    as_json,
    default_log,
    err,
    grid,
    json_option,
    log_option,
    opened,
    out,
    policy_option,
    print_table,
    since_of,
)
from laneway.clock import today
from laneway.errors import PolicyError
from laneway.people.document import Cell, Table
from laneway.people.page import visible
from laneway.policy_file import load
from laneway.weekly.deliver import as_bytes, deliver, write
from laneway.weekly.reading import advise, read
from laneway.weekly.telling import advice_lines, damage, headline, sections
from laneway.weekly.value import Review

__all__ = ["print_review", "read_review", "review"]

_PATH = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@click.command(epilog="For cron or a timer: `laneway review --deliver reviews/week.html`.")
@policy_option
@log_option
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 24h, 30m, or `all`.")
@click.option("--markdown", "markdown_file", type=_PATH, metavar="FILE", help="Write Markdown to FILE, or `-`.")
@click.option("--html", "html_file", type=_PATH, metavar="FILE", help="Write one HTML page to FILE, or `-`.")
@click.option("--out", "json_file", type=_PATH, metavar="FILE", help="Write the JSON to FILE, or `-`.")
@click.option("--deliver", "targets", multiple=True, metavar="FILE_OR_URL",
              help="Replace a file in one step (.md, .html, else JSON), or POST the JSON to a webhook.")  # fmt: skip
@click.option("--advice/--no-advice", default=True, help="Whether to work out what to do, which takes proofs.")
@json_option
def review(
    policy_path: Path, log_path: Path | None, since: str, markdown_file: Path | None, html_file: Path | None,
    json_file: Path | None, targets: tuple[str, ...], advice: bool, json_: bool,
) -> None:  # fmt: skip
    """Say what escalated, which cheap answers were rejected, which fallbacks fired, what it cost, and what to do.

    Each against the period of equal length before. Exit code: 0 shown, whatever was found; 1 no log, or not delivered.
    """
    made = read_review(policy_path, default_log(policy_path, log_path), since, advice=advice)
    files = ((markdown_file, ".md"), (html_file, ".html"), (json_file, ".json"))
    for file, suffix in files:
        if file is not None:
            _file(file, as_bytes(made, suffix))
    for target in targets:
        deliver(made, target)
    if json_:
        as_json(made)
    elif not targets and not any(file for file, _ in files):
        print_review(made)


def read_review(policy_path: Path, log: Path, since: str, *, advice: bool = True) -> Review:
    """The review of the log at `log`. Advice takes the policy file; where that is not valid, this is said."""
    start = since_of(since)
    with opened(log), Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("reading the log", total=None)
        made, found, frame = read(
            log,
            since,
            start,
            datetime.datetime.now(datetime.UTC),
            lambda done, of: bar.update(task, completed=done, total=of),
        )
        if not advice or not made.requests or not policy_path.exists():
            return made
        bar.update(task, description="trying what to do", total=None)
        try:
            policy = load(policy_path)
        except PolicyError as error:
            err.print(f"no advice: {error.problems[0]}", style="yellow", soft_wrap=True)
            return made
        return advise(log, made, found, frame, policy, policy_path.with_name("cases.yaml"), today())


def _file(file: Path, data: bytes) -> None:
    if str(file) == "-":
        click.echo(data.decode(), nl=False)
    else:
        write(file, data)


def print_review(made: Review) -> None:
    """Damage first, then each question with its table, then what to do with its patches."""
    for told in damage(made):
        out.print(told, style="bold red", soft_wrap=True)
    out.print(headline(made), style="bold")
    for section in sections(made):
        out.print(f"\n{section.title}", style="bold")
        for lead in section.lead:
            out.print(f"  {lead}")
        if section.table is not None:
            _print(section.table)
    if made.advice:
        out.print("\nWhat to do?", style="bold")
    for said in advice_lines(made):
        out.print(visible(said.told))
        if said.detail:
            out.print(f"  {said.detail}", style="dim")
        for line in said.diff.splitlines():
            out.print(
                f"  {line}", style="green" if line[:1] == "+" else "red" if line[:1] == "-" else "", soft_wrap=True
            )
        out.print()


def _print(table: Table) -> None:
    """A table; where its last column is long text, each row below the other."""
    if table.columns[-1] == "what to do":
        for name, *rest in table.rows:
            out.print(Text(name.text, style="bold"))
            drawn = Grid.grid(padding=(0, 2))
            for column, cell in zip(table.columns[1:], rest, strict=True):
                drawn.add_row(Text(f"  {column}", style="dim"), cell.text)
            out.print(drawn)
        return
    drawn = grid(*table.columns)
    for row in table.rows:
        drawn.add_row(*(_cell(column, cell) for column, cell in zip(table.columns, row, strict=True)))
    print_table(drawn)


def _cell(column: str, cell: Cell) -> str:
    return visible(f"{cell.text} ({cell.detail})" if cell.detail and column != "example" else cell.text)
