"""diff: which requests two policies decide differently, and what else they say differently."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
from rich.status import Status
from rich.table import Table
from rich.text import Text

from laneway.cli.output import as_json, err, json_option, out
from laneway.clock import today
from laneway.diff.changed import Difference
from laneway.diff.compare import Access, Change, Report, compare
from laneway.diff.telling import Part, conclusion, report_json, tell_access, tell_change
from laneway.errors import PolicyError, Problem, UsageError, did_you_mean, shown
from laneway.policy import Policy
from laneway.policy_file import load, parse
from laneway.proof.words import command

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
@json_option
@click.pass_context
def diff(
    ctx: click.Context, old: str, new: str, *, denied: tuple[str, ...], exit_code: bool, all_: bool, seconds: float,
    json_: bool,
) -> None:  # fmt: skip
    """Say which requests two policies decide differently. OLD and NEW are files, or REV:PATH of a git repository.

    Exit code: 0 compared, 1 with --exit-code where anything differs, 5 invalid policy file, 6 new access that is
    denied, or not proved.
    """
    before, after = _policy(old), _policy(new)
    known = dict.fromkeys((*before.classes, *after.classes))
    for name in denied:
        if name not in known:
            raise UsageError(f"--deny-new-access: no class `{shown(name)}`{did_you_mean(name, known)}")
    with Status("comparing", console=err):
        most = None if all_ else _SHOWN
        report = compare(before, after, today(), denied=denied, seconds=seconds, most=most)
    if json_:
        as_json(report_json(report))
    else:
        _print(report, before, after)
    broken = report.access or report.lowered or report.unproved
    ctx.exit(6 if broken else int(exit_code and bool(report.changes or report.differences)))


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


def _print(report: Report, old: Policy, new: Policy) -> None:
    for number, change in enumerate(report.changes, start=1):
        what, parts = tell_change(change, report.requests)
        _print_parts(f"{number}. {what}", "bold yellow", (*parts, *_seen(change, old, new)))
    if report.more:
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
