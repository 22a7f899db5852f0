"""shadow: what unseen answers were worth, beside the answers that clients got."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click

from laneway.cli.output import (
    as_json,
    default_log,
    indented,
    json_option,
    log_option,
    opened,
    out,
    policy_option,
    since_of,
)
from laneway.evidence.telling import seconds
from laneway.shadowed import UNSAID, Tally, tallied

__all__ = ["shadow"]

_NOTE = "This is not evidence: `laneway eval run` opens a lane."


@click.command()
@policy_option
@log_option
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 24h, 30m, or `all`.")
@click.option("--workload", help="Of this workload alone; `none` for requests without one.")
@json_option
def shadow(policy_path: Path, log_path: Path | None, since: str, workload: str | None, json_: bool) -> None:
    """Say how lanes that answer unseen compare with those that clients hear, by workload and rule.

    Not evidence: it opens no lane.
    """
    with opened(default_log(policy_path, log_path)) as reader:
        found = tallied(reader.compared(since_of(since)))
    kept = [row for row in found if workload is None or (row.workload or "none") == workload]
    if json_:
        as_json({"since": since, "evidence": False, "rows": [_json(row) for row in kept]})
        return
    if not kept:
        out.print("Nothing was compared in this time.")
    for row in kept:
        _print(row)
    out.print(_NOTE, style="yellow", soft_wrap=True)


def _json(row: Tally) -> dict[str, object]:
    stands = row.standing
    counts = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "seconds"}
    return counts | {
        "asked": row.asked, "losses": stands.losses, "wins": stands.wins, "share": stands.share, "low": stands.low,
        "high": stands.high, "confidence": stands.confidence, "decided": stands.decided, "verdict": row.verdict,
        "p50": row.seconds_at(0.5), "p95": row.seconds_at(0.95),
    }  # fmt: skip


def _print(row: Tally) -> None:
    where = row.workload or "no workload"
    out.print(f"{where}, {row.rule}: {row.lane} against {row.incumbent}", style="bold", soft_wrap=True)
    counts = {"better": row.better, "worse": row.worse, "ties": row.ties, "by position": row.position,
              "unjudged": row.unjudged, "failed checks": row.failed_checks, "no answer": row.no_answer,
              "cut short": row.interrupted}  # fmt: skip
    indented(f"asked {row.asked}: {', '.join(f'{count} {what}' for what, count in counts.items() if count)}")
    times = [(f"{share * 100:g} in 100", row.seconds_at(share)) for share in (0.5, 0.95)]
    took = [f"{what} within {seconds(t)} s" for what, t in times if t is not None]
    indented(f"cost {row.cost:.4f}{''.join(f', {said}' for said in took)}")
    stands = row.standing
    between = f"{stands.low:.0%} to {stands.high:.0%} at {stands.confidence:.0%}"
    of = f"{stands.wins + stands.losses} that one of them won"
    indented(f"preferred in {stands.share:.0%} of {of}, surely within {between}: {row.verdict}")
    for code, count in sorted(row.unsaid.items()):
        indented(f"unjudged {count}: {UNSAID.get(code, code)}")
    for what, many in ((row.checks, "checks"), (row.codes, "no answer")):
        if what:
            told = ", ".join(f"{name} {count}" for name, count in sorted(what.items()))
            indented(f"{many}: {told}")
