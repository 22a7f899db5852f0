"""told: a bundle as people read it: one page and one text, made of its manifest and its records and of nothing else.

Whoever verifies a bundle makes both again, so they cannot say what the records do not.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from laneway.incident.form import Manifest
from laneway.incident.tally import Tally
from laneway.people.document import Cell, Row, Section, table
from laneway.people.markdown import markdown_text, section_markdown
from laneway.people.page import contents, escaped, framed, sections_html

__all__ = ["html", "markdown", "sections"]

K = TypeVar("K", str, tuple[str, ...])

_VERIFY = "laneway incident verify FILE.zip --public-key KEY"


def html(manifest: Manifest, tally: Tally) -> str:
    """The page; a browser may load nothing for it."""
    made = tuple(sections(manifest, tally))
    damage = [f'<p class="verdict bad"><strong>Look here first.</strong> {escaped(d)}</p>\n' for d in _damage(tally)]
    by = f"Incident bundle, made {_moment(manifest.made)} UTC by Laneway {manifest.laneway}"
    said = [f"<p>{escaped(text)}</p>\n" for text in (manifest.why, _headline(tally)) if text]
    head = f"{''.join(damage)}<p>{escaped(by)}</p>\n<h1>{escaped(_title(manifest))}</h1>\n{''.join(said)}"
    return framed(_title(manifest), head, contents(made), sections_html(made))


def markdown(manifest: Manifest, tally: Tally) -> str:
    """The text; what it names is never read as markup."""
    parts = [f"# {markdown_text(_title(manifest))}", *(f"**{markdown_text(told)}**" for told in _damage(tally))]
    parts += [markdown_text(text) for text in (manifest.why, _headline(tally)) if text]
    for section in sections(manifest, tally):
        parts += section_markdown(section)
    return "\n\n".join(parts) + "\n"


def sections(manifest: Manifest, tally: Tally) -> Iterator[Section]:
    """Each question that has an answer, and what the bundle holds."""
    yield Section("ends", "How requests ended", (_ends_lead(tally),), table(
        ("status", "code", "lane", "times", "example"),
        [(*row, _n(times), tally.examples.get(row, "")) for row, times in _most(tally.ends)],
    ))  # fmt: skip
    yield from _counted("kinds", "What was asked", ("workload", "class", "requests"), tally.kinds)
    yield from _counted("calls", "What lanes did", ("lane", "result", "calls"), tally.calls)
    yield from _counted("weak", "Which answers were weak", ("lane", "checks that failed", "times"), tally.weak)
    yield from _counted("hops", "Which lanes took over, and why", ("as", "lane", "cause", "times"), tally.hops)
    yield from _counted("closed", "Which lanes requests found closed", ("lane", "why", "requests"), tally.closed)
    yield from _counted("stopped", "What requests found paused or stopped", ("what", "why", "requests"), tally.held_up)
    if tally.levers:
        rows: list[Row] = [(_moment(at), by, told) for at, by, told in tally.levers]
        yield Section("levers", "Who pulled which lever", (), table(("at (UTC)", "by", "what, and why"), rows))
    yield from _counted("reviews", "What was put before people", ("rule", "cause", "items"), tally.reviews)
    yield from _counted("resolutions", "What people made of it", ("action", "by", "times"), tally.resolutions)
    yield from _counted("words", "What people said of answers", ("who", "word", "times"), tally.words)
    yield from _counted("shut", "Which lanes were another model", ("lane", "what", "times"), tally.shut)
    yield from _counted("compared", "What answered unseen", ("lane", "result", "times"), tally.compared)
    if tally.erased:
        erased: list[Row] = [
            (_moment(at), by, why, _n(contents), records) for at, by, why, contents, records in tally.erased
        ]
        yield Section("erased", "What was erased", (), table(("at (UTC)", "by", "why", "contents", "records"), erased))
    yield from _bundle(manifest, tally)


def _bundle(manifest: Manifest, tally: Tally) -> Iterator[Section]:
    """What is in the bundle, and what it can show."""
    used = {**dict.fromkeys([manifest.in_force] if manifest.in_force else [], 0), **dict(_most(tally.policies))}
    rows: list[Row] = [(Cell(hash[:16], "", hash if len(hash) == 64 else ""), _n(times), *_held(manifest, hash))
                       for hash, times in used.items()]  # fmt: skip
    lead = ("The policies by which requests were decided, and the one before the first of them.",)
    yield Section("policies", "Policies in force", lead,
                  table(("policy", "requests", "text", "certificate"), rows))  # fmt: skip
    said = [
        f"Records {manifest.first:,} to {manifest.last:,}, as they stand in the log, each with its hash. "
        f"The hash before them is {manifest.before}, that of the last one {manifest.head}."
    ]
    if manifest.signed >= manifest.last:
        said.append(f"They are under a signed checkpoint of {manifest.signed:,} records.")
    elif manifest.signed:
        said.append(f"A signed checkpoint covers them up to record {manifest.signed:,}, and not those behind.")
    else:
        said.append("No signed checkpoint is in the bundle: nobody outside has to believe that the log said so.")
    if tally.emptied:
        parts = ", ".join(f"{s.first:,} to {s.last:,}" for s in tally.emptied[:20])
        said.append(f"What records {parts} said had been erased, as its time was over; their hashes stand.")
    if tally.more:
        said.append(f"Left out of the tables above, as they are too many: {tally.more:,}.")
    said.append(f"To verify: {_VERIFY}. The records hold no text of a prompt, an answer or a comment.")
    yield Section("bundle", "What is in this bundle", tuple(said))


def _held(manifest: Manifest, hash: str) -> tuple[str | Cell, str | Cell]:
    """Whether the bundle has a policy's text, and its certificate."""
    if hash in manifest.missing:
        return Cell("missing", "warn", "the log has it no more"), "none"
    if hash in manifest.uncertified:
        return "included", Cell("none", "", manifest.uncertified[hash])
    return "included", Cell("included", "good")


def _counted(id: str, title: str, columns: tuple[str, ...], counter: Counter[tuple[str, ...]]) -> Iterator[Section]:
    if counter:
        yield Section(id, title, (), table(columns, [(*row, _n(times)) for row, times in _most(counter)]))


def _most(counter: Counter[K]) -> list[tuple[K, int]]:
    """The most frequent first; the rest is in the order of the alphabet, so that it is always the same."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _n(number: int) -> str:
    return f"{number:,}"


def _title(manifest: Manifest) -> str:
    return f"What is on record from {_moment(manifest.start)} to {_moment(manifest.end)} UTC"


def _headline(tally: Tally) -> str:
    ended = Counter[str]()
    for (status, *_), times in tally.ends.items():
        ended[status] += times
    told = ", ".join(f"{times:,} {status}" for status, times in _most(ended)) or "none ended"
    return f"{tally.begun:,} requests began: {told}. Levers pulled: {len(tally.levers):,}. Records: {tally.records:,}."


def _ends_lead(tally: Tally) -> str:
    return (
        f"{tally.begun:,} requests began within these records; {tally.ended_before:,} that ended here began before "
        f"them, and {tally.open:,} had not ended with the last of them."
    )


def _damage(tally: Tally) -> Iterable[str]:
    if tally.unread:
        yield f"{tally.unread:,} records cannot be read: the log was damaged, or a newer Laneway wrote them."


def _moment(at: datetime.datetime) -> str:
    return f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"
