"""log: list what is on record, and prove that nothing in it was changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
import msgspec
from rich.progress import Progress

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
)
from laneway.cli.why import times
from laneway.decision import Route
from laneway.report import ending
from laneway.store import Reader, Story

__all__ = ["log", "row", "verify"]


@click.group(invoke_without_command=True)
@policy_option
@log_option
@click.option(
    "-n", "--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many, newest first."
)
@json_option
@click.pass_context
def log(ctx: click.Context, policy_path: Path, log_path: Path | None, limit: int, json_: bool) -> None:
    """List the newest requests on record."""
    ctx.obj = default_log(policy_path, log_path)
    if ctx.invoked_subcommand is not None:
        return
    with opened(ctx.obj) as reader:
        rows = [row(story) for story in reader.recent(limit)]
    if json_:
        as_json(rows)
        return
    table = grid("id", "at", "class", "asked", "lanes called", "outcome", "ms")
    for r in rows:
        at = str(r["at"]).replace("T", " ")
        table.add_row(str(r["id"]), at, *(str(r[k]) for k in ("sensitivity", "asked", "called", "ending", "total_ms")))
    print_table(table)


def row(story: Story) -> dict[str, object]:
    """One request in one line."""
    outcome, decision = (story.outcome.entry if story.outcome else None), story.opening.decision
    return {
        "id": story.id,
        "at": str(times(story)["at"])[:19],
        "sensitivity": story.opening.signals.sensitivity,
        "asked": story.opening.model,
        "decision": "route" if isinstance(decision, Route) else type(decision).__name__.lower(),
        "called": " > ".join(f"{i.lane}" for _, i in story.intents) or "none",
        "outcome": outcome.status if outcome else "open",
        "code": outcome.code if outcome else "",
        "ending": ending(outcome),
        "total_ms": round(outcome.total_ms) if outcome else "",
    }


@log.command()
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="The policy file beside the log.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="The log file.")
@json_option
@click.pass_context
def verify(ctx: click.Context, policy_path: Path | None, log_path: Path | None, json_: bool) -> None:
    """Prove that no record was changed, removed or reordered. Exit code 1 where one was.

    A chain alone cannot show that the newest records were cut off: compare the printed head with one kept
    elsewhere.
    """
    path = default_log(policy_path, log_path) if policy_path else log_path or ctx.obj
    with (
        closing(Reader.open(path)) as reader,
        Progress(console=err, transient=True) as progress,
    ):
        task = progress.add_task("verifying", total=None)
        found = reader.verify(lambda done, total: progress.update(task, completed=done, total=total))
    if json_:
        as_json(
            msgspec.to_builtins(
                {"ok": found.ok, "entries": found.entries, "problem": found.problem, "head": found.head}
            )
        )
    elif found.ok:
        out.print(f"ok: {found.entries} entries, head {found.head}", style="green", soft_wrap=True)
    else:
        err.print(f"NOT ok: {found.problem}", style="red", soft_wrap=True)
    ctx.exit(0 if found.ok else 1)
