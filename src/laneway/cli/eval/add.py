"""add: a request from the log as a sample. Says what to do instead, as no log holds what was asked."""

from __future__ import annotations

from pathlib import Path

import click

from laneway.errors import UsageError, shown

__all__ = ["add"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="SET", required=False)
@click.option("--from", "decision", metavar="ID", help="The decision's id, from `laneway log`.")
def add(file: Path | None, decision: str | None) -> None:
    """Take a request that was decided into a set, where its content was kept. No policy can have content kept yet.

    Exit code: 2, with what to do instead.
    """
    if file is None or decision is None:
        raise UsageError("add takes a set's file and a decision's id: `laneway eval add evals/mail.yaml --from ID`; "
                         "`laneway log` lists the ids")  # fmt: skip
    raise UsageError(
        f"the log does not hold what was asked in {shown(decision)}: no policy can have content captured yet; take the "
        f"text from where it was written and add it to {shown(str(file))} as a sample with its `input`, `expected` and "
        f"`sensitivity`. `laneway why {shown(decision)}` says its class, its workload, and what was said of the answer"
    )
