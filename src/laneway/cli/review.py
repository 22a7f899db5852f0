"""review: the three questions, as three tables."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from laneway.cli.output import (
    as_json,
    default_log,
    grid,
    json_option,
    log_option,
    opened,
    out,
    policy_option,
    print_table,
    since_of,
)
from laneway.report import Recorded, Review, Row
from laneway.report import review as reviewed

__all__ = ["print_review", "read_review", "review"]

_QUESTIONS = (
    ("What escalated?", "escalated"),
    ("Which cheap answers were rejected?", "rejected"),
    ("Which fallbacks fired?", "fallbacks"),
)
_WARNING = ("Which lanes answered as another model than the policy names?", "other_models")


@click.command()
@policy_option
@log_option
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 24h, 30m, or `all`.")
@json_option
def review(policy_path: Path, log_path: Path | None, since: str, json_: bool) -> None:
    """Answer the three questions: what escalated, which cheap answers were rejected, which fallbacks fired."""
    found = read_review(default_log(policy_path, log_path), since_of(since))
    if json_:
        rows = {key: [row._asdict() for row in getattr(found, key)] for _, key in (*_QUESTIONS, _WARNING)}
        as_json({"since": since, "requests": found.requests, "statuses": found.statuses, "ends": found.ends} | rows)
    else:
        print_review(found, since)


def read_review(log: Path, since: datetime.datetime | None) -> Review:
    """The review of the log at `log`."""
    with opened(log) as reader:
        return reviewed(
            Recorded(
                s.id,
                s.opening,
                tuple(i.entry for i in s.intents),
                s.outcome.entry if s.outcome else None,
                tuple(f.entry for f in s.feedback),
            )
            for s in reader.stories(since)
        )


def print_review(found: Review, since: str) -> None:
    """Three tables under their questions, and a fourth where a lane answered as another model."""
    ends = ", ".join(f"{count} {end}" for end, count in sorted(found.ends.items())) or "nothing"
    frame = "of all time" if since == "all" else f"of the last {since}"
    out.print(f"Review {frame}: {found.requests} requests: {ends}", style="bold")
    for question, key in (*_QUESTIONS, *[_WARNING] * bool(found.other_models)):
        out.print(f"\n{question}", style="bold")
        told: list[Row] = getattr(found, key)
        if not told:
            out.print("  none")
            continue
        table = grid("lane", "cause", "times", "workload", "rule", "example")
        for row in told:
            table.add_row(row.lane, row.cause, str(row.times), row.workload, row.rule, row.example)
        print_table(table)
