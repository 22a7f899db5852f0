"""diff: which requests two policies decide differently, and what else they say differently."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from rich.status import Status
from rich.table import Table
from rich.text import Text

from laneway.cli.output import as_json, default_log, err, json_option, out, since_of
from laneway.cli.replaying import Replayed, replayed
from laneway.clock import today
from laneway.diff.changed import Difference
from laneway.diff.compare import Access, Change, Report, compare
from laneway.diff.telling import Part, conclusion, report_json, tell_access, tell_change
from laneway.errors import PolicyError, Problem, UsageError, did_you_mean, shown
from laneway.evidence.standing import stand
from laneway.policy import Policy
from laneway.policy_file import load, parse
from laneway.proof.words import command
from laneway.replay.again import Again, nothing
from laneway.replay.run import Policies, Replay
from laneway.replay.shares import NONE, Classes
from laneway.replay.telling import recorded_json, tell_recorded, tell_share

__all__ = ["diff"]

_SHOWN = 10
"""How many classes of change are shown without `--all`."""


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--deny-new-access", "denied", multiple=True, metavar="CLASS",
    help="Fail where a request of the class reaches a lane that it did not reach; may be repeated.",
)  # fmt: skip
@click.option("--exit-code", is_flag=True, help="Exit with 1 where anything differs.")
@click.option("--all", "all_", is_flag=True, help=f"Show every class of change, not only {_SHOWN}.")
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Time for the comparison."
)
@click.option("--since", help="Say how many requests on record each class holds: of 7d, 24h, 30m, or `all`.")
@click.option(
    "--log", "log_path", type=click.Path(path_type=Path), envvar="LANEWAY_LOG",
    help="The log file for --since; default: laneway.db beside OLD.",
)  # fmt: skip
@json_option
@click.pass_context
def diff(
    ctx: click.Context, old: str, new: str, *, denied: tuple[str, ...], exit_code: bool, all_: bool, seconds: float,
    since: str | None, log_path: Path | None, json_: bool,
) -> None:  # fmt: skip
    """Say which requests two policies decide differently. OLD and NEW are files, or REV:PATH of a git repository.

    Exit code: 0 compared, 1 with --exit-code where anything differs or where the chain of the log breaks, 5 invalid
    policy file, 6 new access that is denied, or not proved.
    """
    before, after = _policy(old), _policy(new)
    known = dict.fromkeys((*before.classes, *after.classes))
    for name in denied:
        if name not in known:
            raise UsageError(f"--deny-new-access: no class `{shown(name)}`{did_you_mean(name, known)}")
    begin = since_of(since) if since else None
    with Status("comparing", console=err):
        most = None if all_ or since else _SHOWN
        report = compare(before, after, today(), denied=denied, seconds=seconds, most=most)
    found = None
    if since and report.space is not None and not report.unproved:
        found = replayed(default_log(Path(old), log_path), begin, partial(_sorted, before, after, report))
    if json_:
        held = {} if found is None else {"recorded": _recorded_json(found, since, len(report.changes))}
        as_json(report_json(report) | held)
    else:
        _print(report, before, after, found, None if all_ else _SHOWN)
    broken = report.access or report.lowered or report.unproved or (found and NONE in found.totals.labels)
    differs = exit_code and bool(report.changes or report.differences)
    ctx.exit(6 if broken else int(differs or bool(found and found.broken)))


def _recorded_json(found: Replayed, since: str | None, classes: int) -> dict[str, object]:
    return {"since": since, "chain": found.broken, "damaged": found.damaged} | recorded_json(found.totals, classes)


def _sorted(old: Policy, new: Policy, report: Report, archived: Policies) -> Replay:
    """A replay that sorts what changes into the report's classes."""
    assert report.space is not None
    before, after = Again(old), Again(new, stand(new).of if Path(new.file).is_file() else nothing)
    classes = Classes(before, after, report.space, report.changes, today())
    return Replay(after, report.space, archived, old=before, sort=classes.sort)


def _policy(place: str) -> Policy:
    """The policy in a file, or in a file of a git revision."""
    revision, colon, path = place.partition(":")
    if not colon or Path(place).exists():
        return load(Path(place))
    if not revision or revision.startswith("-"):
        raise UsageError(
            f"`{shown(place)}`: `{shown(revision)}` is no revision; write REV:PATH, such as HEAD:laneway.yaml"
        )
    try:
        source = _git("cat-file", "blob", place) if _is_tree(revision) else None
    except FileNotFoundError:
        raise UsageError(f"`{shown(place)}` is in a git repository, and git is not installed; name a file") from None
    if source is None:
        raise UsageError(f"`{shown(place)}`: {_missing(revision, path)}")
    try:
        return parse(source.decode(), place)
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(place, 0, 0, f"is not UTF-8 at byte {error.start}")]) from None


def _is_tree(revision: str) -> bool:
    return _git("rev-parse", "--verify", "--quiet", f"{revision}^{{tree}}") is not None


def _missing(revision: str, path: str) -> str:
    if _git("rev-parse", "--git-dir") is None:
        return "there is no such file, and this is no git repository"
    if not _is_tree(revision):
        return f"this repository has no revision `{shown(revision)}`"
    return f"`{shown(revision)}` has no file `{shown(path)}`; write its path from the repository's top, or ./PATH"


def _git(*arguments: str) -> bytes | None:
    """What git says; None where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607  # a fixed command
    return done.stdout if done.returncode == 0 else None


def _print(report: Report, old: Policy, new: Policy, found: Replayed | None, most: int | None) -> None:
    for warning in () if found is None else found.warnings():
        err.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    for number, change in enumerate(report.changes[:most], start=1):
        what, parts = tell_change(change, report.requests)
        held = () if found is None else (("recorded", tell_share(found.totals, str(number), new.currency)),)
        _print_parts(f"{number}. {what}", "bold yellow", (*parts, *held, *_seen(change, old, new)))
    if report.more or (most is not None and len(report.changes) > most):
        out.print("There are more classes of change; --all shows them.\n", style="yellow")
    for access in report.access:
        what, parts = tell_access(access)
        _print_parts(what, "bold red", (*parts, *_seen(access, old, new)))
    for lowered in report.lowered:
        what = f"new access: a text that {lowered.about} made {lowered.old} is {lowered.new} now"
        out.print(what, style="bold red", soft_wrap=True)
    if report.differences:
        out.print("Also said differently", style="bold")
        table = Table.grid(padding=(0, 1))
        for difference in report.differences:
            table.add_row(f"  {difference.about}", Text(_arrow(difference)))
        out.print(table)
        out.print()
    if found is not None:
        for line in tell_recorded(found.totals, new.currency):
            out.print(line, soft_wrap=True)
    out.print(conclusion(report), style="bold", soft_wrap=True)


def _arrow(difference: Difference) -> str:
    return " ".join((difference.old, "->", difference.new)).removeprefix("stated -> ").removesuffix(" -> stated")


def _seen(found: Change | Access, old: Policy, new: Policy) -> Iterator[Part]:
    """The command that shows the request under a policy that is a file, the new one rather."""
    for policy in (new, old):
        down = tuple(lane for lane in found.down if lane in policy.lanes)
        if Path(policy.file).is_file():
            yield "see it", command(policy, found.flags, down)
            return


def _print_parts(what: str, style: str, parts: tuple[Part, ...]) -> None:
    out.print(Text(what, style=style))
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=9, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in parts:
        table.add_row(Text(f"  {label}", style="dim"), Text(text))
    out.print(table)
    out.print()
