"""incident: what is on record of a stretch of time, in one file for others, who verify it by one command."""

from __future__ import annotations

import datetime
from pathlib import Path

import click
from rich.progress import Progress

from laneway.cli.output import as_json, default_log, err, json_option, log_option, moment, out, policy_option
from laneway.errors import RequestError, UsageError
from laneway.feedback import phrased
from laneway.incident.bundle import Asked, bundle
from laneway.incident.verify import Judged, judged
from laneway.source import drafted
from laneway.store.checkpoint import read_notes
from laneway.store.note import PublicKey, public_key

__all__ = ["incident", "make", "verify"]

_file = click.argument("file", metavar="FILE.zip", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def incident() -> None:
    """Bundle what is on record of a stretch of time for others, and verify such a bundle."""


@incident.command(name="bundle")
@_file
@click.option("--from", "start", required=True, metavar="TIME", type=moment,
              help="Such as 2026-11-29T14:30; UTC where no offset is given.")  # fmt: skip
@click.option("--to", "end", required=True, metavar="TIME", type=moment, help="Up to this moment.")
@click.option("--why", default="", help="In a few words, without identifiers and without content.")
@click.option("--checkpoint", "place", type=click.Path(path_type=Path), metavar="PLACE",
              help="The file of signed checkpoints: one of them goes in.")  # fmt: skip
@click.option("--public-key", "public", metavar="KEY", help="Who signed them: the key, or a file with it.")
@policy_option
@log_option
@json_option
@click.pass_context
def make(
    ctx: click.Context, file: Path, start: datetime.datetime, end: datetime.datetime, why: str, place: Path | None,
    public: str | None, policy_path: Path, log_path: Path | None, json_: bool,
) -> None:  # fmt: skip
    """Put what is on record of a stretch of time into FILE.zip, and verify it.

    Records with their hashes, the policies in force and their certificates, a signed checkpoint, and a summary to read.
    A server may be writing the log. Exit code 1 where the bundle does not verify; it is kept all the same.
    """
    if file.exists():
        raise UsageError(f"{file} exists, and a bundle is never written over: name another file")
    if start >= end:
        raise UsageError(f"--from {start.isoformat()} is not before --to {end.isoformat()}")
    if (place is None) != (public is None):
        raise UsageError("--checkpoint and --public-key go together: `laneway log key` printed the key")
    try:
        phrased(why, "why")
    except RequestError as error:
        raise UsageError(str(error)) from None
    key = public_key(public) if public else None
    notes = read_notes(place, key) if place and key else []
    made = datetime.datetime.now(datetime.UTC)
    with _bar() as bar:
        task = bar.add_task("reading the log", total=None)
        try:
            with drafted(file, 0o600) as draft:
                held = bundle(default_log(policy_path, log_path), Asked(start, end, why, notes), draft, made,
                              lambda done, of: bar.update(task, completed=done, total=of))  # fmt: skip
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    if notes and not held.signed:
        err.print(f"no checkpoint in {place} covers any of it", style="yellow", soft_wrap=True)
    found = _judged(file, key if held.signed else None)
    _say(file, found, json_=json_)
    ctx.exit(1 if found.problem else 0)


@incident.command()
@_file
@click.option("--public-key", "public", metavar="KEY", help="Who signed the checkpoint: the key, or a file with it.")
@json_option
@click.pass_context
def verify(ctx: click.Context, file: Path, public: str | None, json_: bool) -> None:
    """Verify FILE.zip by itself: no log, no policy and no network are needed. Exit code 1 on any difference.

    Take the public key from elsewhere than the bundle: without it nobody is known to have signed what is in there.
    """
    found = _judged(file, public_key(public) if public else None)
    _say(file, found, json_=json_)
    ctx.exit(1 if found.problem else 0)


def _bar() -> Progress:
    return Progress(console=err, transient=True, disable=not err.is_terminal)


def _judged(file: Path, key: PublicKey | None) -> Judged:
    with _bar() as bar:
        task = bar.add_task("verifying", total=None)
        return judged(file, key, lambda done, of: bar.update(task, completed=done, total=of))


def _say(file: Path, found: Judged, *, json_: bool) -> None:
    if json_:
        as_json({"ok": not found.problem, "file": str(file), "problem": found.problem, "checked": found.checked,
                 "unknown": found.unknown, "manifest": found.manifest})  # fmt: skip
        return
    for told in found.checked:
        out.print(f"checked  {told}", style="dim" if found.problem else "", soft_wrap=True)
    for told in found.unknown:
        out.print(f"unknown  {told}", style="yellow", soft_wrap=True)
    if found.problem:
        err.print(f"NOT ok: {file}: {found.problem}", style="red", soft_wrap=True)
    elif found.manifest is not None:
        held = found.manifest
        about = f"records {held.first:,} to {held.last:,}, from {held.start.isoformat()} to {held.end.isoformat()}"
        out.print(f"ok: {file}: {about}", style="green", soft_wrap=True)
