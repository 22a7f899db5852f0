"""replay: what another policy would have decided of the requests on record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec
from rich.padding import Padding
from rich.text import Text

from laneway.cli.output import (
    as_json,
    default_log,
    err,
    grid,
    json_option,
    log_option,
    out,
    policy_option,
    print_table,
    since_of,
)
from laneway.cli.replaying import Replayed, replayed
from laneway.evidence.standing import stand
from laneway.policy_file import load
from laneway.proof.space import Space
from laneway.replay.again import Again
from laneway.replay.run import Replay, Row
from laneway.replay.telling import conclusion, row_json, tables, totals_json

__all__ = ["replay"]


@click.command()
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@policy_option
@log_option
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 24h, 30m, or `all`.")
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(0, 10_000),
              help="How many changed requests are shown.")  # fmt: skip
@click.option("--rows", type=click.Path(path_type=Path), metavar="FILE",
              help="Write every changed request to FILE, a line of JSON for each.")  # fmt: skip
@json_option
@click.pass_context
def replay(
    ctx: click.Context, new: Path, policy_path: Path, log_path: Path | None, since: str, limit: int, rows: Path | None,
    json_: bool,
) -> None:  # fmt: skip
    """Decide the requests on record again under the policy NEW, and say what changes. No lane is called.

    The log is the one beside --policy. Exit code: 0 done, 1 where the chain of the log breaks, 5 invalid policy file.
    """
    policy, log, begin = load(new), default_log(policy_path, log_path), since_of(since)
    again = Again(policy, stand(policy).of)
    kept: list[Row] = []
    with ExitStack() as stack:
        write = _writing(stack, rows)

        def changed(row: Row) -> None:
            if len(kept) < limit:
                kept.append(row)
            if write is not None:
                write(row)

        found = replayed(log, begin, lambda archived: Replay(again, Space(policy, policy), archived, row=changed))
    if json_:
        as_json(
            {"policy": policy.file, "policy_hash": policy.hash, "log": str(log), "since": since,
             "currency": policy.currency, "chain": found.broken, "damaged": found.damaged}
            | totals_json(found.totals) | {"rows": [row_json(row) for row in kept]}
        )  # fmt: skip
    else:
        frame = "all of" if since == "all" else f"the last {since} of"
        _print(found, kept, policy.currency, f"{policy.file} over {frame} {log}")
        if rows is not None:
            out.print(f"Every changed request is in {rows}.", soft_wrap=True)
    ctx.exit(1 if found.broken else 0)


def _writing(stack: ExitStack, path: Path | None) -> Callable[[Row], None] | None:
    """What writes a row to the file, if there is to be one."""
    if path is None:
        return None
    file, encode = stack.enter_context(path.open("wb", buffering=1 << 20)), msgspec.json.Encoder().encode

    def write(row: Row) -> None:
        file.write(encode(row_json(row)) + b"\n")

    return write


def _print(found: Replayed, rows: list[Row], currency: str, frame: str) -> None:
    for warning in found.warnings():
        err.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    totals = found.totals
    out.print(f"Replay of {frame}: {totals.requests:,} requests", style="bold", soft_wrap=True)
    for one in tables(totals, currency) if totals.requests else ():
        if one.rows:
            out.print(f"\n{one.title}", style="bold")
            table = grid(*one.headings)
            for row in one.rows:
                table.add_row(*row)
            print_table(table)
    if rows:
        changed = totals.changed.requests
        more = f", {len(rows):,} of {changed:,}; --limit shows more, --rows FILE writes all"
        cut = "" if len(rows) == changed else more
        out.print(f"\nChanged requests{cut}", style="bold", soft_wrap=True)
        _print_rows(rows)
    out.print()
    for line in conclusion(totals, currency):
        out.print(line, soft_wrap=True)


def _print_rows(rows: list[Row]) -> None:
    for row in rows:
        work = f" {row.workload}" if row.workload else ""
        moves = f"{row.old} -> {row.new}" if row.old != row.new else f"{row.old}, and otherwise after it"
        out.print(Text(f"  {row.id}  {row.data_class}{work}: {moves}"), soft_wrap=True)
        why = Text(f"{row.rule}: {row.reason}" if row.rule else row.reason, style="dim")
        out.print(Padding(why, (0, 0, 0, 4)))
