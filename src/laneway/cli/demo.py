"""demo: the real thing in a minute, with what it decided and why."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import closing
from pathlib import Path

import click
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from laneway.cli.output import as_json, err, grid, json_option, out, print_table, styled
from laneway.cli.review import print_review, read_review
from laneway.cli.why import print_story
from laneway.demo.play import Played, own_service, play
from laneway.policy_file import load
from laneway.store import Reader

__all__ = ["demo"]


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), default=Path("laneway-demo"), show_default=True,
              help="Where policy and log of the demo go.")  # fmt: skip
@json_option
def demo(directory: Path, json_: bool) -> None:
    """Play a dozen requests against a real model on this machine, and show each route and why."""
    started = time.monotonic()
    own = own_service()
    premium = (
        f"your own service, by {own.key}"
        if own
        else "a SCRIPTED STAND-IN on this machine: its answers were written beforehand"
    )
    rows: list[Played] = []
    with Live(console=err, transient=True, refresh_per_second=8) as live:
        played = asyncio.run(
            play(
                directory,
                on_step=lambda what: live.update(_screen(rows, what)),
                on_played=rows.append,
            )
        )
    if json_:
        as_json([p.row() for p in played])
        return
    out.print("home: SmolLM2-135M-Instruct, a real model on this machine (it proves plumbing, not quality)")
    out.print(f"premium: {premium}\n")
    print_table(_table(played))
    out.print()
    out.print(_legend(played))
    policy, log = directory / "laneway.yaml", directory / "laneway.db"
    weak = next((p.id for p in played if "weak >" in p.route), played[0].id)
    out.print(f"\n$ laneway why {weak}", style="bold")
    with closing(Reader.open(log)) as reader:
        story = reader.story(weak)
        assert story is not None
        print_story(story, load(policy))
    out.print("\n$ laneway review", style="bold")
    print_review(read_review(policy, log, "all"))
    out.print(f"\nDone in {time.monotonic() - started:.1f} s. What to try next:", style="bold")
    for command in (f"laneway why --policy {policy} {played[-1].id}", f"laneway explain --policy {policy} --all",
                    f"laneway log --policy {policy} verify", "laneway init my-policy"):  # fmt: skip
        out.print(f"  {command.replace('laneway', _this(), 1)}", soft_wrap=True)


def _this() -> str:
    """How this command was called, as it may not be on the path."""
    called = Path(sys.argv[0])
    if called.name != "laneway":
        return "laneway"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def _screen(rows: list[Played], what: str) -> Table:
    screen = Table.grid()
    if rows:
        screen.add_row(_table(rows))
    screen.add_row(Spinner("dots", text=what))
    return screen


def _table(rows: list[Played]) -> Table:
    table = grid("#", "work", "request", "class", "route", "rule", "result", "ms", "USD")
    for number, p in enumerate(rows, start=1):
        cost = f"{p.cost:.4f}" if p.cost else "0"
        result = styled(p.result, "green" if p.result == "answered" else "yellow")
        table.add_row(
            str(number), p.scene.work, p.scene.title, p.sensitivity, p.route, p.rule.rule, result, str(p.ms), cost
        )
    return table


def _legend(rows: list[Played]) -> Table:
    legend = Table.grid(padding=(0, 2))
    for rule, says in sorted({(p.rule.rule, p.rule.says) for p in rows}):
        legend.add_row(rule, says)
    return legend
