"""erase: all content that is kept about somebody or something goes, and that it went is on record."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from laneway.cli.asking import asked, url_option
from laneway.cli.output import as_json, default_log, json_option, log_option, out, policy_option
from laneway.erasure import erase as erased
from laneway.errors import LogInUse, RequestError, UsageError
from laneway.store import Content, Log
from laneway.store.content import place

__all__ = ["erase"]


@click.command()
@click.option("--subject", required=True, help="As `Laneway-Subject` named it; it is not kept, only its salted hash.")
@click.option("--by", required=True, help="Who asks for it; kept on record.")
@click.option("--why", required=True, help="In a few words, without identifiers; kept on record.")
@policy_option
@log_option
@url_option
@json_option
def erase(subject: str, by: str, why: str, policy_path: Path, log_path: Path | None, url: str, json_: bool) -> None:
    """Erase all content that is kept about a subject. The log stays whole: it holds none of it.

    Where a server has the log open it is asked at --url; else it is done here. Copies made before are yours to erase.
    """
    path = default_log(policy_path, log_path)
    try:
        found = _here(path, subject, by, why)
    except LogInUse:
        found = asked(url, "/v1/erasures", dict[str, Any], {"subject": subject, "by": by, "why": why})
    if json_:
        as_json(found)
    else:
        done = found["contents"]
        what = f"{done:,} pieces of content were erased." if done else (
            "Nothing that is kept is about this subject: check how it was spelled in `Laneway-Subject`.")  # fmt: skip
        out.print(f"{what} That is on record as {found['id']}.", style="green" if done else "yellow", soft_wrap=True)
        out.print("Samples in evaluation sets, and evals.db, are copies: they are not erased by this.",
                  soft_wrap=True)  # fmt: skip


def _here(path: Path, subject: str, by: str, why: str) -> dict[str, Any]:
    if not path.exists():
        raise UsageError(f"there is no log at {path}: name it with --log, or its policy with --policy")
    with closing(Log.open(path)) as log:
        content = Content.open(path) if place(path).exists() else None
        try:
            made = asyncio.run(erased(log, content, subject, by, why))
        except RequestError as error:
            raise UsageError(str(error)) from None
        finally:
            if content is not None:
                content.close()
    return {"id": made.id, "contents": made.contents}
