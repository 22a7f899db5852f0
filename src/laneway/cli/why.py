"""why: the whole story of one recorded request."""

from __future__ import annotations

import datetime
import json
from contextlib import closing
from pathlib import Path

import click
import msgspec

from laneway.cli.explain import print_decision
from laneway.cli.output import as_json, default_log, err, indented, json_option, log_option, opened, out, policy_option
from laneway.errors import LogError, shown
from laneway.explain import attempt_line, fate, money, said_of, story_contract
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.receipt import Place
from laneway.receipt_page import receipt_page
from laneway.rejections import standing
from laneway.shadowed import UNSAID
from laneway.store import Reader, Story
from laneway.store.listing import Listing

__all__ = ["print_story", "times", "why"]


_OPEN = (
    "No end is on record: it is still running, or its server ended or could not write the log "
    "(then the client got `log_unavailable`)."
)
_ENDS = {
    "interrupted": "Its end was not written: its server ended first, or could not write the log (then the client "
    "got `log_unavailable`). The next start closed it.",
    "log_unavailable": "The log could not be written when it ended, so the client got this error in place of the "
    "answer or of its end. This was written later.",
}


@click.command()
@click.argument("id", default="last")
@policy_option
@log_option
@click.option("--html", "file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
              help="Write it as one HTML page to FILE, or to standard output for `-`: a receipt to keep.")  # fmt: skip
@json_option
@click.pass_context
def why(
    ctx: click.Context, id: str, policy_path: Path, log_path: Path | None, file: Path | None, json_: bool
) -> None:  # fmt: skip
    """Say why request ID went where it went: rule, lanes, attempts, verdict, cost, times.

    ID is the answer's Laneway-Decision header, the start of one, or `last`. The policy that decided is
    read from the log, so an old decision is explained by the rules of its day.
    """
    with opened(default_log(policy_path, log_path)) as reader:
        story = reader.story(id)
        if story is None:
            near = reader.nearest(id)
            err.print(
                f"no request `{shown(id)}` in the log" + (f"; the nearest is {near}" if near else ""),
                style="red",
            )
            ctx.exit(1)
        policy = _archived(reader, story)
    if file is not None:
        with closing(Listing.open(default_log(policy_path, log_path))) as listing:
            places = [Place(*each) for each in listing.records(story.id)]
        with click.open_file(file, "w", encoding="utf-8", atomic=str(file) != "-") as page:
            page.write(receipt_page(story, policy, places))
    elif json_:
        told = {"id": story.id, "at": times(story)["at"]} | story_contract(
            story.opening, story.outcome.entry if story.outcome else None, times(story), _started(story)
        )
        told |= {"feedback": _feedback(story), "shut": list(story.shut), "compared": _compared(story)}
        as_json(told | _reviewed(story))
    else:
        print_story(story, policy)


def _archived(reader: Reader, story: Story) -> Policy:
    text = reader.policy_text(story.opening.policy)
    if text is None:
        raise LogError(f"the log does not hold policy {story.opening.policy[:12]}; run `laneway log verify`")
    return parse(text, f"policy {story.opening.policy[:12]}")


def times(story: Story) -> dict[str, object]:
    """When it was, and how long it took in milliseconds."""
    first = story.intents[0] if story.intents else story.outcome
    assert first is not None
    made: dict[str, object] = {"at": first.at.isoformat(timespec="milliseconds")}
    if story.outcome is not None:
        made |= {
            "ended_at": story.outcome.at.isoformat(timespec="milliseconds"),
            "total_ms": story.outcome.entry.total_ms,
        }
    return made


def _started(story: Story) -> list[dict[str, object]]:
    return [{"lane": i.lane, "why": i.why, "result": "open", "at": at.isoformat(timespec="milliseconds")}
            for at, i in story.intents]  # fmt: skip


def _feedback(story: Story) -> list[dict[str, object]]:
    """What was said of the answer, oldest first; `stands` where it is the last word of who said it."""
    last = standing(f.entry for f in story.feedback).values()
    return [{"at": at.isoformat(timespec="milliseconds"), "accepted": f.accepted, "by": f.by, "source": f.source,
             "reason": f.reason, "told": said_of(f), "stands": any(f is word for word in last)}
            for at, f in story.feedback]  # fmt: skip


def print_story(story: Story, policy: Policy) -> None:
    """One request as a page of text."""
    opening, when = story.opening, times(story)
    outcome = story.outcome.entry if story.outcome else None
    asked = "a stream" if opening.stream else "an answer"
    out.print(f"{story.id}: asked `{opening.model}` for {asked} at {when['at']}", style="bold")
    if opening.source:
        indented(f"sent on by the reviewer of {opening.source}, who set its class")
    print_decision(opening.decision, opening.signals, policy)
    out.print("\nWhat happened", style="bold")
    every = outcome.attempts if outcome else ()
    attempts = [a for a in every if not a.skipped]
    for number, (_, intent) in enumerate(story.intents, start=1):
        if number <= len(attempts):
            cause = f" [after {intent.cause}]" if intent.cause else ""
            indented(f"{number}. {attempt_line(attempts[number - 1], policy.currency)}{cause}")
        else:
            indented(f"{number}. {intent.lane} ({intent.why}): no end on record")
    for skipped in (a for a in every if a.skipped):
        indented(f"-. {skipped.lane} ({skipped.why}): not called, {skipped.result}")
    if outcome is None:
        indented(_OPEN, style="yellow")
        return
    ended = outcome.status + (f" by {outcome.lane}" if outcome.lane else "")
    ended += f" ({outcome.code})" if outcome.code else ""
    if outcome.verdict is not None:
        failed = f", failed: {', '.join(outcome.verdict.failed)}" if outcome.verdict.failed else ""
        after = ", after release" if outcome.verdict.released and failed else ""
        ended += f"; verdict {outcome.verdict.verdict}{failed}{after}"
    cost = "" if outcome.cost is None else f", cost {money(outcome.cost, policy.currency)}"
    style = "green" if outcome.status == "answered" else "yellow"
    indented(f"{ended}; {outcome.total_ms:.0f} ms in total{cost}", style=style)
    if outcome.code in _ENDS:
        indented(_ENDS[outcome.code], style=style)
    for shut in story.shut:
        was = shut.measured or "a model without a name"
        indented(f"{shut.lane} was measured as {was} and answered as {shut.answered}: it is shut until it is "
                  "measured anew", style="yellow")  # fmt: skip
    _print_review(story)
    _print_feedback(story)
    _print_unseen(story, policy)
    where = json.dumps(policy.name, ensure_ascii=False)
    indented(
        f"policy {where}, {opening.policy[:12]}; prompt of {opening.size} bytes, kept only as {opening.prompt[:12]}…"
    )


def _reviewed(story: Story) -> dict[str, object]:
    """What was put before people, and what they made of it."""
    done = [{"at": at.isoformat(timespec="milliseconds"), **msgspec.to_builtins(made)}
            for at, made in story.resolutions]  # fmt: skip
    made = fate(story.review.entry if story.review else None, [each.entry for each in story.resolutions])
    return {"review": msgspec.to_builtins(story.review.entry) if story.review else None, "resolutions": done,
            "released": made.released if made else None, "source": story.opening.source or None}  # fmt: skip


def _print_review(story: Story) -> None:
    if story.review is None:
        return
    review = story.review.entry
    people = "two people" if review.eyes > 1 else "a person"
    until = datetime.datetime.fromtimestamp(review.until / 1e6, datetime.UTC)
    told = f"waits for {people} ({review.cause}, {review.rule})"
    ended = any(made.entry.final for made in story.resolutions)
    indented(f"{told.replace('waits', 'waited') if ended else f'{told} until {until:%Y-%m-%d %H:%M} UTC'}",
              "" if ended else "yellow")  # fmt: skip
    for at, made in story.resolutions:
        who = f" by {made.by}" if made.by else ", as its time was over"
        onward = f"; sent on as {made.child}" if made.child else ""
        more = "" if made.final else "; not the last word"
        indented(f"{made.action}{who} at {at:%Y-%m-%d %H:%M:%S} UTC{onward}{more}")
    end = fate(review, [each.entry for each in story.resolutions])
    if end is not None and ended:
        indented(end.told, {True: "green", False: "yellow", None: ""}[end.released])


def _compared(story: Story) -> list[dict[str, object]]:
    """What came of the answers that the client did not see."""
    return [{"at": at.isoformat(timespec="milliseconds"), **msgspec.to_builtins(made), "failed": list(made.failed)}
            for at, made in story.compared]  # fmt: skip


def _print_unseen(story: Story, policy: Policy) -> None:
    for _, intent in story.unseen:
        indented(f"unseen: {intent.lane} ({intent.why}) was called after the answer", style="dim")
    for _, made in story.compared:
        why = ", ".join(filter(None, (made.code, *made.failed)))
        by = f" says {made.judge}" if made.judge else ""
        why = UNSAID.get(why, why)
        told = f"{made.result}{f' ({why})' if why else ''} against {made.incumbent}{by}"
        cost = money(made.cost, policy.currency)
        indented(f"unseen: {made.lane} {told}; {made.seconds:.1f} s, {cost} ({made.rule})")


def _print_feedback(story: Story) -> None:
    for said in _feedback(story):
        verb, reviewed = said["told"], said["source"] == "reviewer"
        who = f"by {said['by']} ({said['source']}) at {said['at']}"
        why = f": {said['reason']}" if said["reason"] and not reviewed else ""
        changed = "" if said["stands"] else "; the same one spoke again later"
        indented(f"{verb} {who}{why}{changed}", "yellow" if not said["accepted"] else "")
