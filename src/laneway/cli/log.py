"""log: list what is on record, prove that nothing in it was changed, sign it, and copy it."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections import Counter
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
from laneway.clock import today
from laneway.decision import Route
from laneway.errors import LogError, UsageError
from laneway.explain import ending, fate
from laneway.policy_file import load
from laneway.retention import over
from laneway.retention import retain as retained
from laneway.store import Log, Reader, Signing, Story, Verification
from laneway.store.checkpoint import Against, Checkpoint, read_checkpoints
from laneway.store.note import PrivateKey, keep_new_key, public_key

__all__ = ["backup", "checkpoint", "key", "log", "retain", "row", "verify"]


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
    table = grid("id", "at (UTC)", "class", "asked", "called", "outcome", "ms")
    table.columns[1].no_wrap = True
    this_year = f"{today().year}-"
    for r in rows:
        at = str(r["at"]).replace("T", " ").removeprefix(this_year)
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
        "ending": _ending(story),
        "total_ms": round(outcome.total_ms) if outcome else "",
    }


def _ending(story: Story) -> str:
    """How the request ended, in a few words; for an answer that waited for people what became of it."""
    review = story.review.entry if story.review else None
    made = fate(review, [each.entry for each in story.resolutions])
    if made is None:
        return ending(story.outcome.entry if story.outcome else None)
    return "held, " + ("released" if made.released else "not released" if made.released is False
                       else "waits" if made.told.startswith("waits") else "sent on")  # fmt: skip


_beside = click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path), help="The policy file beside the log."
)
_log_file = click.option("--log", "log_path", type=click.Path(path_type=Path), help="The log file.")


def _named(ctx: click.Context, policy_path: Path | None, log_path: Path | None) -> Path:
    """The log that the subcommand or the group was given."""
    return default_log(policy_path, log_path) if policy_path else log_path or Path(ctx.obj)


@log.command()
@_beside
@_log_file
@click.option("--dry-run", is_flag=True, help="Only say what would be emptied.")
@json_option
@click.pass_context
def retain(ctx: click.Context, policy_path: Path | None, log_path: Path | None, dry_run: bool, json_: bool) -> None:
    """Empty what the log says of decisions whose class's time is over, by the policy's `retention`.

    A server does this by itself once a day. The chain still holds: hashes stay, and what was emptied is on record.
    """
    path = _named(ctx, policy_path, log_path)
    policy = load(policy_path or path.with_name("laneway.yaml"))
    if dry_run:
        with opened(path) as reader:
            done = Counter(each.data_class for each in over(reader, policy, time.time_ns() // 1000))
    else:
        with closing(Log.open(path)) as writer:
            done = retained(writer, policy)
    if json_:
        as_json({"decisions": done.total(), "classes": dict(done), "dry_run": dry_run})
        return
    verb = "would be emptied" if dry_run else "emptied"
    each = ", ".join(f"{count:,} {data_class}" for data_class, count in sorted(done.items()))
    out.print(f"{done.total():,} decisions {verb}{f': {each}' if each else ''}.", soft_wrap=True)


@log.command()
@_beside
@_log_file
@click.option("--checkpoint", "place", type=click.Path(path_type=Path), metavar="FILE",
              help="Signed checkpoints that were kept elsewhere.")  # fmt: skip
@click.option("--public-key", "public", metavar="KEY", help="Who signed them: the key, or a file with it.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context, policy_path: Path | None, log_path: Path | None, place: Path | None, public: str | None,
    json_: bool,
) -> None:  # fmt: skip
    """Prove that no record was changed, removed or reordered. Exit code 1 where one was.

    A chain alone cannot show that the newest records were cut off, or that the whole log was written anew. Signed
    checkpoints can: give the file where they were kept, and the public key.
    """
    if (place is None) != (public is None):
        raise UsageError("--checkpoint and --public-key go together: `laneway log key` printed the key")
    path = _named(ctx, policy_path, log_path)
    signed, found = list[Checkpoint](), None
    if place is not None and public is not None:
        key = public_key(public)
        try:
            signed = read_checkpoints(place, key)
        except LogError as error:
            found = Verification(False, 0, str(error), "")
    found = found or _verified(path, Against(signed) if signed else None)
    if json_:
        as_json(msgspec.to_builtins(found) | {"checkpoints": len(signed)})
    elif found.ok:
        covered = f"; signed checkpoints that fit: {len(signed)}, covering {found.covered} entries" if signed else ""
        out.print(f"ok: {found.entries} entries, head {found.head}{covered}", style="green", soft_wrap=True)
    else:
        err.print(f"NOT ok: {found.problem}", style="red", soft_wrap=True)
    ctx.exit(0 if found.ok else 1)


def _verified(path: Path, against: Against | None = None) -> Verification:
    with closing(Reader.open(path)) as reader, Progress(console=err, transient=True) as progress:
        task = progress.add_task("verifying", total=None)
        return reader.verify(lambda done, total: progress.update(task, completed=done, total=total), against)


@log.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--origin", metavar="NAME", help="The log's name in its checkpoints, such as example.com/laneway.")
@json_option
def key(file: Path, origin: str | None, json_: bool) -> None:
    """Make a key pair for checkpoints: the private one in a new FILE, the public one printed.

    The server needs FILE; whoever verifies needs the public key. Keep that where who can write the log cannot.
    """
    public = keep_new_key(file, origin or f"laneway/{secrets.token_hex(8)}").text
    if json_:
        as_json({"file": str(file), "public_key": public})
    else:
        err.print(f"the private key is in {file}; this is the public one:", soft_wrap=True)
        out.print(public, soft_wrap=True)


@log.command()
@click.argument("place", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="From `laneway log key`.")
@_beside
@_log_file
@json_option
@click.pass_context
def checkpoint(
    ctx: click.Context, place: Path, key_path: Path, policy_path: Path | None, log_path: Path | None, json_: bool
) -> None:
    """Sign the log as it is now into FILE, or into a file in that directory. A server may be writing the log."""
    path = _named(ctx, policy_path, log_path)
    with closing(Signing(path, place, PrivateKey.load(key_path))) as signing:
        made = signing.once()
    if json_:
        as_json({"file": str(signing.place), "origin": made.origin, "records": made.size, "root": made.root.hex()})
    else:
        out.print(f"{made.size} records of {path} are signed in {signing.place}", style="green", soft_wrap=True)


@log.command()
@click.argument("copy", metavar="DEST", type=click.Path(path_type=Path))
@_beside
@_log_file
@json_option
@click.pass_context
def backup(ctx: click.Context, copy: Path, policy_path: Path | None, log_path: Path | None, json_: bool) -> None:
    """Copy the log into the new file DEST, and verify the copy. A server may be writing the log.

    Exit code 1 where the copy does not verify; it is kept all the same.
    """
    path = _named(ctx, policy_path, log_path)
    _copy(path, copy)
    found = _verified(copy)
    if json_:
        as_json({"file": str(copy)} | msgspec.to_builtins(found))
    elif found.ok:
        out.print(f"ok: {copy} holds {found.entries} entries, head {found.head}", style="green", soft_wrap=True)
    else:
        err.print(f"{copy} is kept, but NOT ok: {found.problem}", style="red", soft_wrap=True)
    ctx.exit(0 if found.ok else 1)


def _copy(path: Path, copy: Path) -> None:
    """The log into `copy`, which appears whole or not at all, and never over another file."""
    if copy.exists():
        raise UsageError(f"{copy} exists, and a backup is never written over: name another file")
    with closing(Reader.open(path)) as reader:
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{copy.name}.", dir=copy.parent
            )  # for its owner only, as the log is
        except OSError as error:
            raise UsageError(f"no backup can be made at {copy}: {error.strerror}") from None
        os.close(handle)
        try:
            reader.backup(Path(name))
            Path(copy).hardlink_to(name)
        except FileExistsError:
            raise UsageError(f"{copy} exists by now, and a backup is never written over: name another file") from None
        finally:
            Path(name).unlink()
