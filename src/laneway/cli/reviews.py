"""reviews: what waits for people, in the terminal: the queue, one item with its words, and what reviewers do with it.

Owns how held words are shown: what a caller or a lane wrote reaches the terminal only as plain text, behind a bar.
The token comes from the environment alone.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import click
from rich.text import Text

from laneway.cli.asking import asked, url_option
from laneway.cli.output import err, json_option, out
from laneway.decision import Reason
from laneway.errors import LanewayError, UsageError, shown
from laneway.explain import reason_parts
from laneway.people.page import visible

__all__ = ["TOKEN", "approve", "edit", "reclassify", "reject", "reviews", "send", "show"]

TOKEN = "LANEWAY_REVIEWER_TOKEN"  # noqa: S105  # a name, and no token
"""The environment variable that holds the reviewer's token."""

_LEAST_SEEN = 8
_PATH = "/v1/reviews"
F = TypeVar("F", bound=Callable[..., Any])

_comment_option = click.option("--comment", default="", help="Kept encrypted, for whoever reviews after you.")
_seen_option = click.option("--seen", metavar="HASH", help="The words that you saw, as `show` names them.")
_file_option = click.option("--file", "file", type=click.File("r", encoding="utf-8"), metavar="FILE",
                            help="The text, - for standard input; without it, your editor opens.")  # fmt: skip


class _Desk(NamedTuple):
    """The desk of the server at `url`, as the reviewer with `token` sees it."""

    url: str
    token: str

    @classmethod
    def at(cls, url: str) -> _Desk:
        """The desk there. Raises UsageError without a token."""
        token = os.environ.get(TOKEN, "").strip()
        if not token or not (token.isascii() and token.isprintable()):
            raise UsageError(f"{TOKEN} holds no token: put yours there, from `laneway reviewers add`; it is never an "
                             "argument, as others can read those")  # fmt: skip
        return cls(url, token)

    def queue(self) -> list[dict[str, Any]]:
        """All that waits."""
        found: list[dict[str, Any]] = asked(self.url, _PATH, dict[str, Any], token=self.token)["data"]
        return found

    def item(self, id: str) -> dict[str, Any]:
        """The item with this id, or the only one that starts so. Raises LanewayError with the nearest."""
        ids = [each["review"] for each in self.queue()]
        meant = [each for each in ids if id and each.startswith(id)]
        whole = id if len(meant) != 1 else meant[0]
        try:
            return asked(self.url, f"{_PATH}/{quote(whole, safe='')}", dict[str, Any], token=self.token)
        except LanewayError as error:
            near = meant or get_close_matches(id, ids, n=1)
            raise LanewayError(f"{error}" + (f"; the nearest that waits is {near[0]}" if near else "")) from None

    def act(self, item: dict[str, Any], action: str, **more: object) -> dict[str, Any]:
        """What came of it."""
        body = {"action": action, **{key: value for key, value in more.items() if value}}
        return asked(self.url, f"{_PATH}/{item['review']}", dict[str, Any], body, token=self.token)


@click.group(invoke_without_command=True)
@url_option
@json_option
@click.pass_context
def reviews(ctx: click.Context, url: str, json_: bool) -> None:
    """List what waits for people; show one, and approve, edit, reject, send on or reclassify it.

    Your token is read from LANEWAY_REVIEWER_TOKEN. IDs may be shortened. This is not `laneway review`, which counts
    what happened.
    """
    if ctx.invoked_subcommand is not None:
        return
    queue = _Desk.at(url).queue()
    if json_:
        _print_json(queue)
        return
    if not queue:
        out.print("Nothing waits for a person.", style="green")
    for item in queue:
        out.print(_headline(item), style="bold", soft_wrap=True)
        out.print(f"  {'; '.join(_state(item))}", style="dim", soft_wrap=True)


@reviews.command()
@click.argument("id")
@url_option
@json_option
def show(id: str, url: str, json_: bool) -> None:
    """Show one item: input, answer, edits, lane, reasons, what the gate said, and its history.

    Characters that do not show are spelled out, and what callers and lanes wrote stands behind a bar.
    """
    item = _Desk.at(url).item(id)
    if json_:
        _print_json(item)
    else:
        _print_item(item)


def _verb(function: F) -> F:
    """A subcommand that acts on one item."""
    for option in (json_option, url_option, _comment_option, click.argument("id")):
        function = option(function)
    return reviews.command()(function)  # type: ignore[return-value]


@_verb
@_seen_option
def approve(id: str, comment: str, url: str, json_: bool, seen: str | None) -> None:
    """Release the answer as it stands: the one that you saw, by --seen, or by your yes to what is shown."""
    desk = _Desk.at(url)
    item = desk.item(id)
    comment = _comment(item, "approve", comment)
    words, seconds = _saw(item, seen, "Release this answer?")
    _print_done(desk.act(item, "approve", comment=comment, seen=words, seconds=seconds), item, json_=json_)


@_verb
@_file_option
@_seen_option
def edit(id: str, comment: str, url: str, json_: bool, file: Any, seen: str | None) -> None:
    """Release the text of FILE in the answer's place, or what you make of the answer in your editor."""
    desk, started = _Desk.at(url), time.monotonic()
    item = desk.item(id)
    comment = _comment(item, "edit", comment)
    saw: tuple[str, float | None]
    if file is None:
        text = _edited((item.get("edits") or [item.get("answer") or {}])[-1].get("text", ""))
        saw = item.get("seen", ""), time.monotonic() - started
    else:
        text, saw = _read(file), _saw(item, seen, "Release your text in place of these words?")
    made = desk.act(item, "edit", text=text, comment=comment, seen=saw[0], seconds=saw[1])
    _print_done(made, item, json_=json_)


@_verb
def reject(id: str, comment: str, url: str, json_: bool) -> None:
    """Release nothing; who asked is told so."""
    desk = _Desk.at(url)
    item = desk.item(id)
    _print_done(desk.act(item, "reject", comment=_comment(item, "reject", comment)), item, json_=json_)


@_verb
@click.option("--lane", required=True, help="One that the request may use; `show` lists them.")
def send(id: str, comment: str, url: str, json_: bool, lane: str) -> None:
    """Send the request to another lane; what comes of it is reviewed where the policy says so."""
    desk = _Desk.at(url)
    item = desk.item(id)
    _print_done(desk.act(item, "send", lane=lane, comment=_comment(item, "send", comment)), item, json_=json_)


@_verb
@click.option("--to", default="", metavar="CLASS", help="A lower class; `show` lists them.")
@_file_option
@click.option("--seen", metavar="HASH", help="Approve the proposed extract as it stands, as `show` names it.")
def reclassify(id: str, comment: str, url: str, json_: bool, to: str, file: Any, seen: str | None) -> None:
    """Send on the text of FILE, an extract of the request that you wrote, as a new request of a lower class."""
    if (seen is None) == (not to):
        raise UsageError("give --to CLASS for an extract of yours, or --seen HASH for the one that was proposed")
    if seen is not None and file is not None:
        raise UsageError("--seen takes the proposed extract as it stands: give no --file, or --to CLASS in its place")
    desk = _Desk.at(url)
    item = desk.item(id)
    comment = _comment(item, "reclassify", comment)
    if seen is not None:
        made = desk.act(item, "reclassify", seen=_named(item, item.get("extract") or {}, seen), comment=comment)
    else:
        text = _edited("") if file is None else _read(file)
        made = desk.act(item, "reclassify", to=to, text=text, comment=comment)
    _print_done(made, item, json_=json_)


def _comment(item: dict[str, Any], action: str, comment: str) -> str:
    """The comment, asked for on a terminal where the policy wants one. Raises UsageError elsewhere."""
    if comment.strip() or action not in item["comment"]:
        return comment
    if not (sys.stdin.isatty() and out.is_terminal):
        raise UsageError(f"the policy wants a comment to {action} this: give it with --comment")
    said: str = click.prompt(f"Comment (the policy wants one to {action} this)", err=True)
    return said


def _named(item: dict[str, Any], words: dict[str, Any], seen: str) -> str:
    """The whole hash of the words that `seen` begins to name. Raises UsageError where it names others."""
    whole: str = words.get("seen", "")
    if len(seen) < _LEAST_SEEN or not whole.startswith(seen):
        raise UsageError(f"--seen {shown(seen)} is not what stands there now: look at it again with "
                         f"`laneway reviews show {item['review']}`")  # fmt: skip
    return whole


def _saw(item: dict[str, Any], seen: str | None, question: str) -> tuple[str, float | None]:
    """The hash of the words that the reviewer has seen, and for how many seconds. Raises UsageError."""
    words: str = item.get("seen", "")
    if not words:  # there are none, or not for this person: what follows is for the server to say
        return words, None
    if seen is not None:
        return _named(item, item, seen), None
    if not (sys.stdin.isatty() and out.is_terminal):
        raise UsageError(f"say which words you saw, with --seen: `laneway reviews show {item['review']}` names them")
    started = time.monotonic()
    _print_item(item)
    if not click.confirm(question, err=True):
        raise LanewayError("nothing was done")
    return words, time.monotonic() - started


def _edited(text: str) -> str:
    made = click.edit(text)
    if made is None or not made.strip():
        raise LanewayError("nothing was written, and nothing was done")
    return made.removesuffix("\n")


def _read(file: Any) -> str:
    try:
        text: str = file.read()
    except UnicodeDecodeError:
        raise UsageError(f"{shown(file.name)} is not UTF-8") from None
    return text.removesuffix("\n")


# How it is shown.


def _print_json(value: object) -> None:
    # In ASCII: the same value, and nothing that turns or hides text on a terminal.
    click.echo(json.dumps(value, indent=2))


def _headline(item: dict[str, Any]) -> str:
    lane = item["lane"] or "no lane"
    return visible(f"{item['review']}  {item['workload'] or '(none)'}  {item['sensitivity']}  {lane}  {item['cause']}")


def _state(item: dict[str, Any]) -> Iterator[str]:
    """What else there is to know of an item, before its words."""
    now = datetime.datetime.now(datetime.UTC)
    yield visible(f"by {item['rule']}")
    yield f"{_length(now - datetime.datetime.fromisoformat(item['opened']))} old"
    yield f"{_length(datetime.datetime.fromisoformat(item['until']) - now)} left"
    if item["erased"]:
        yield "its words were erased: it can only be rejected"
    yield f"{item['approved']} of {item['eyes']} approved the answer"
    if item["extract_approved"]:
        yield f"{item['extract_approved']} of {item['eyes']} approved the proposed extract"
    yield "your own: somebody else must decide" if item["own"] else f"who asked is {item['asker']}"


def _length(length: datetime.timedelta) -> str:
    """`3 d 4 h`, `4 h 5 min`, `5 min` or less."""
    minutes = max(int(length.total_seconds()), 0) // 60
    if minutes >= 24 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _print_item(item: dict[str, Any]) -> None:
    out.print(_headline(item), style="bold", soft_wrap=True)
    out.print("\n".join(f"  {line}" for line in _state(item)), soft_wrap=True)
    for message in item.get("request", ()):
        _print_words(f"Asked, as {message['role']}", message["content"])
    if "request" not in item and not item["erased"]:
        out.print("  its words are for those who may decide", style="dim")
    if item.get("answer") is not None:
        _print_answer("Answer", item["answer"])
    for number, words in enumerate(item.get("edits", ()), start=1):
        _print_answer(f"Edit {number}", words)
    if item.get("extract"):
        _print_words(f"Proposed extract, as {item['extract']['to']}", item["extract"]["text"])
    for comment in item.get("comments", ()):
        _print_words("Comment", comment)
    _print_lines("Why", (visible(" - ".join(reason_parts(Reason(**reason)))) for reason in item.get("reasons", ())))
    _print_lines("What happened", (visible(line) for line in item.get("attempts", ())))
    _print_lines("History", (visible(f"{step['action']} by {step['by']}") for step in item["history"]))
    if "seen" in item:
        may = [] if item["erased"] else [f"it may be sent to {', '.join(item['lanes']) or 'no lane'}",
               f"an extract of it may be {', '.join(item['classes']) or 'of no class'}"]  # fmt: skip
        may += [f"comment needed to {', '.join(item['comment'])}"] if item["comment"] else []
        may += [f"approve --seen {item['seen'][:16]} approves the answer"] if item["seen"] else []
        if item["extract"]:
            may += [f"reclassify --seen {item['extract']['seen'][:16]} approves the extract"]
        may += ["it may be rejected"] if item["erased"] else []
        _print_lines("What may be done", (visible(line) for line in may))


def _print_answer(title: str, words: dict[str, Any]) -> None:
    _print_words(title, words["text"])
    for call in words["tool_calls"]:
        _print_words(f"  calls {call['name']} with", call["arguments"])


def _print_words(title: str, text: str) -> None:
    """What somebody wrote: each line of the screen begins with a bar, so that none can be taken for ours."""
    out.print(f"\n{visible(title)}", style="bold", soft_wrap=True)
    for line in visible(text).split("\n"):
        for part in Text(line.expandtabs(4)).wrap(out, max(out.width - 4, 16)) or (Text(),):
            out.print(Text("  | ", style="dim") + part, soft_wrap=True)


def _print_lines(title: str, lines: Iterator[str]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            out.print(f"\n{title}", style="bold")
        out.print(f"  {line}", soft_wrap=True)


def _print_done(made: dict[str, Any], item: dict[str, Any], *, json_: bool) -> None:
    if json_:
        _print_json(made)
        return
    who = f"{made['review']}: {{}}, by {made['by']}"
    if made["action"] in ("approve", "edit", "reclassify") and not made["final"]:
        others = item["eyes"] - 1
        done = {"approve": "approved", "edit": "edited", "reclassify": "extract written"}[made["action"]]
        done += f", and {others} more must approve the same {'extract' if made['action'] == 'reclassify' else 'words'}"
    elif made["action"] == "reject":
        done = "rejected, and nothing is released"
    elif made["child"]:
        done = f"sent on as decision {made['child']}"
    else:
        done = "released"
    out.print(visible(who.format(done)), style="green", soft_wrap=True)
    if made["child"] and made["action"] == "reclassify":
        out.print("an extract has no workload: no workload's review or floor applies to it", style="dim")
    if not made["final"]:
        err.print("it waits for them", style="dim")
