"""lever: operators close or drain a lane, pause a workload, stop everything, and undo that; and what is in force."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec

from laneway.cli.asking import asked, url_option
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
)
from laneway.errors import LanewayError, LogInUse, PolicyError
from laneway.levers import ALL, LANE, WORKLOAD, Levers, name, sentence
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.record import Lever
from laneway.store import Log, Logged

__all__ = ["lever"]

_RECENT = 10


@click.group(invoke_without_command=True)
@policy_option
@log_option
@json_option
@click.pass_context
def lever(ctx: click.Context, policy_path: Path, log_path: Path | None, json_: bool) -> None:
    """Close or drain a lane, pause a workload, stop everything; alone, list what is in force and what was done.

    Each is on record, with who and why, before it takes effect, and stays in force until it is undone: over restarts
    and other policies too. Where a server has the log open it is asked at --url; else the log is written here.
    """
    if ctx.invoked_subcommand is not None:
        return
    levers, path = Levers(), default_log(policy_path, log_path)
    with opened(path):  # to warn of damage
        every = levers.recall(path)
    policy = _policy(policy_path)
    rows = [_row(lever, policy) for lever in levers.in_force.values()]
    if json_:
        history = [_recorded(logged) for logged in every]
        as_json({"in_force": rows, "history": history, "policy": None if policy is None else policy.hash})
        return
    _print_in_force(rows)
    _print_history(every[-_RECENT:], len(every))


def _verb(action: str, argument: str, prefix: str, help: str) -> None:
    """One subcommand of `lever`. Its target is `prefix` and its argument, or all where it has none."""

    @click.option(
        "--why", required=True, help="In a few words, without identifiers and without content; clients see it."
    )
    @click.option("--by", required=True, help="Who does it; kept on record.")
    @policy_option
    @log_option
    @url_option
    @json_option
    def verb(
        policy_path: Path, log_path: Path | None, url: str, json_: bool, why: str, by: str, what: str = ALL
    ) -> None:
        target = prefix + what
        said = {"action": action, "target": target, "by": by, "why": why}
        found = _written(default_log(policy_path, log_path), policy_path, said)
        if found is None:
            found = asked(url, "/v1/levers", dict[str, Any], said)
        if json_:
            as_json(found)
        else:
            _print_pulled(found, target)

    if argument:
        verb = click.argument("what", metavar=argument)(verb)
    lever.command(action, help=help)(verb)


_verb("close", "LANE", LANE, "Call LANE no more; cut the calls under way.")
_verb("drain", "LANE", LANE, "Call LANE no more; let the calls under way end.")
_verb("open", "LANE", LANE, "Undo the close or drain of LANE.")
_verb("pause", "WORKLOAD", WORKLOAD, "Refuse the requests of WORKLOAD; let calls end.")
_verb("resume", "WORKLOAD", WORKLOAD, "Undo the pause of WORKLOAD.")
_verb("stop", "", "", "Refuse every request; cut the calls under way.")
_verb("go", "", "", "Undo the stop.")
_verb("undo", "ID", "", "Undo the lever in force with this ID.")


def _written(path: Path, policy_path: Path, said: dict[str, str]) -> dict[str, Any] | None:
    """What became of it in the log at `path`; None where a server has the log open, or has it elsewhere."""
    if not path.exists():
        return None
    try:
        log = Log.open(path)
    except LogInUse:
        return None
    with closing(log):
        levers = Levers()
        levers.recall(path)
        policy = None if said["target"] == ALL or said["action"] == "undo" else load(policy_path)
        wanted = levers.wanted(said["action"], said["target"], said["by"], said["why"], policy=policy, now=log.now())
        new = asyncio.run(levers.pull(wanted, log))
        return levers.became(wanted, new=new, cut=0)


def _print_pulled(found: dict[str, Any], target: str) -> None:
    if not found["says"]:
        out.print(f"nothing is in force on {target.replace(':', ' ', 1)}: nothing to undo", style="yellow")
        return
    if not found["recorded"]:
        out.print(f"it was so before: {found['says']}", style="yellow", soft_wrap=True)
        return
    out.print(found["says"], style="green", soft_wrap=True)
    if found["cut"]:
        out.print(f"calls under way that were cut: {found['cut']}", style="green")


def _policy(path: Path) -> Policy | None:
    """The policy, where it can be read: which lanes and workloads there are."""
    try:
        return load(path)
    except (PolicyError, LanewayError) as error:
        first = str(error).partition("\n")[0]
        err.print(
            f"note: it is not known which lanes and workloads still exist: {first}", style="yellow", soft_wrap=True
        )
        return None


def _row(lever: Lever, policy: Policy | None) -> dict[str, Any]:
    """A lever in force for scripts; `known` is None where the policy cannot be read."""
    known = None
    if policy is not None:
        known = lever.target == ALL or name(lever.target) in (
            policy.lanes if lever.target.startswith(LANE) else policy.workloads
        )
    return {**msgspec.to_builtins(lever), "says": sentence(lever), "known": known}


def _recorded(logged: Logged[Lever]) -> dict[str, Any]:
    return {"at": logged.at.isoformat(timespec="milliseconds"), **msgspec.to_builtins(logged.entry)}


def _print_in_force(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("No lever is in force.", style="green")
    for row in rows:
        out.print(row["says"], style="yellow", soft_wrap=True)
        if row["known"] is False:
            out.print("  the policy has no such lane or workload any more", style="dim")


def _print_history(recent: tuple[Logged[Lever], ...], total: int) -> None:
    if not recent:
        return
    table = grid("when (UTC)", "what", "by", "why", title=f"\nThe last {len(recent)} of {total}")
    for at, entry in reversed(recent):
        table.add_row(f"{at:%Y-%m-%d %H:%M}", f"{entry.action} {entry.target}", entry.by, entry.why)
    out.print(table)
