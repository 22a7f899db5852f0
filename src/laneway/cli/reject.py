"""reject: an operator says that an answer was not good, and it is on record."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from laneway.cli.asking import asked, url_option
from laneway.cli.output import as_json, default_log, err, json_option, log_option, opened, out, policy_option
from laneway.errors import LanewayError, LogInUse, shown
from laneway.feedback import ANONYMOUS, put, worded
from laneway.record import Feedback
from laneway.store import Log
from laneway.store.chain import VERSION

__all__ = ["reject"]


@click.command()
@click.argument("id")
@click.option("--why", "reason", required=True, help="In a few words, without identifiers and without content.")
@click.option("--by", default=ANONYMOUS, show_default=True, help="Who rejects it; kept on record.")
@policy_option
@log_option
@url_option
@json_option
def reject(id: str, reason: str, by: str, policy_path: Path, log_path: Path | None, url: str, json_: bool) -> None:
    """Put on record that the answer of request ID was not good.

    ID is as for `laneway why`. Where a server has the log open it is asked at --url to write it; else it is written
    here. Exit code: 1 where there is no such answer, or enough was said of it.
    """
    path = default_log(policy_path, log_path)
    word = worded(_whole(id, path), accepted=False, reason=reason, by=by, source="operator")
    new = _written(path, word)
    if new is None:
        new = _sent(url, word)
    if json_:
        as_json({"decision": word.id, "accepted": False, "user": by, "source": "operator", "recorded": new})
    else:
        what = "rejected" if new else "was rejected so before"
        out.print(f"{word.id} {what}, by {by}", style="green", soft_wrap=True)


def _whole(id: str, path: Path) -> str:
    """The id that `id` is, or is the start of, in the log where there is one on this disk."""
    if not path.exists():
        return id
    with opened(path) as reader:
        story = reader.story(id)
        near = None if story else reader.nearest(id)
    if story is None:
        raise LanewayError(f"no request `{shown(id)}` in the log" + (f"; the nearest is {near}" if near else ""))
    return story.id


def _written(path: Path, word: Feedback) -> bool | None:
    """Whether it was news to the log; None where a server has the log open, or has it elsewhere."""
    if not path.exists():
        return None
    try:
        log = Log.open(path)
    except LogInUse:
        return None
    with closing(log):
        if log.migrated:
            err.print(f"the log had format {log.migrated} and was brought to format {VERSION}", style="yellow")
        return asyncio.run(put(log, word)).new


def _sent(url: str, word: Feedback) -> bool:
    """Whether it was news to the server."""
    said = {"decision": word.id, "accepted": word.accepted, "reason": word.reason, "user": word.by,
            "source": word.source}  # fmt: skip
    return bool(asked(url, "/v1/feedback", dict[str, Any], said)["recorded"])
