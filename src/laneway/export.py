"""export: the log in, one flat row a decision out, as JSON Lines or Parquet, for who counts with tools of their own.

Owns the columns, which docs/export.md lists. Rows come and go by the page. The salted hashes of texts and people stay
behind. Parquet is written by the `pyarrow` package, the `export` extra.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from laneway.decision import Reason, Route
from laneway.errors import LogError, UsageError
from laneway.explain import kind
from laneway.record import Attempt, Outcome
from laneway.rejections import standing
from laneway.store.reader import Reader
from laneway.store.story import Story

__all__ = ["COLUMNS", "FORMATS", "Column", "Exporting", "Format", "Table", "pyarrow", "write"]

Format = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "parquet")
_Kind = Literal["text", "texts", "whole", "number", "yes or no", "time"]
Table = dict[str, Any]
"""A row: a value, or None, by the name of its column."""

_PAGE = 256
_GROUP = 16_384
"""Rows that Parquet keeps together, and the most that are in memory."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NO_OUTCOME = Outcome(id="", status="interrupted")


class Column(NamedTuple):
    """One column: its name, what is in it, and what a story has there; None where that is not known."""

    name: str
    kind: _Kind
    read: Callable[[Story], object]


class Exporting(Reader):
    """A log whose decisions are taken out. Those left out are counted: `emptied`, or `damaged`, such as `example`."""

    emptied = damaged = 0
    example = ""

    def rows(
        self, since: datetime.datetime | None = None, progress: Callable[[int, int], None] = lambda *_: None
    ) -> Iterator[Table]:
        """Every decision that began since, the oldest first. `progress` hears of records passed, and of how many."""
        micros = (since - _EPOCH) // datetime.timedelta(microseconds=1) if since else 0
        seq, last = 0, self.last()
        self.emptied = self.ask("emptied", since=micros)[0][0]
        while page := self.ask("oldest_first", seq=seq, since=micros, page=_PAGE):
            for _, id in page:
                try:
                    story = self._story(id)
                except LogError:
                    self._leave_out(id)
                    continue
                yield {column.name: column.read(story) for column in COLUMNS}
            seq = page[-1][0]
            progress(seq, last)

    def _leave_out(self, id: str) -> None:
        """Count a decision that cannot be read."""
        self.damaged, self.example = self.damaged + 1, self.example or id


def write(rows: Iterable[Table], file: BinaryIO, format: Format) -> int:
    """Put `rows` into `file`; how many they were."""
    return _parquet(rows, file) if format == "parquet" else _lines(rows, file)


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and its part for Parquet. Raises UsageError, with the remedy, where it is not installed."""
    try:
        import pyarrow as arrow  # noqa: PLC0415  # an extra, and slow to load
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "Parquet is written by the package `pyarrow`, which is not installed here: install Laneway with its extra "
            "`export`, as in `pip install 'laneway[export]'`, or export as jsonl"
        ) from None
    return arrow, parquet


def _lines(rows: Iterable[Table], file: BinaryIO) -> int:
    encode, written = msgspec.json.Encoder().encode, 0
    for written, row in enumerate(rows, start=1):  # noqa: B007  # counted for who asked
        file.write(encode(row) + b"\n")
    return written


def _parquet(rows: Iterable[Table], file: BinaryIO) -> int:
    arrow, parquet = pyarrow()
    kinds = {
        "text": arrow.string(), "texts": arrow.list_(arrow.string()), "whole": arrow.int64(),
        "number": arrow.float64(), "yes or no": arrow.bool_(), "time": arrow.timestamp("us", tz="UTC"),
    }  # fmt: skip
    schema = arrow.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
    coming, written = iter(rows), 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(coming, _GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _ended(story: Story) -> Outcome:
    return story.outcome.entry if story.outcome else _NO_OUTCOME


def _answering(story: Story) -> Attempt | None:
    """The call whose answer it is."""
    end = _ended(story)
    calls = (a for a in reversed(end.attempts) if a.lane == end.lane and a.result == "answered" and a.why != "judge")
    return next(calls, None)


def _called(story: Story, why: str) -> bool:
    return any(intent.entry.why == why for intent in story.intents)


def _known(values: Iterable[int | None]) -> int | None:
    """The sum of what is known, None where nothing is."""
    counted = [value for value in values if value is not None]
    return sum(counted) if counted else None


def _route(story: Story) -> Route | None:
    decision = story.opening.decision
    return decision if isinstance(decision, Route) else None


def _first(story: Story) -> Reason | None:
    return next(iter(story.opening.decision.reasons), None)


def _resolved(story: Story) -> str | None:
    """How the review of it ended; `pending` while it waits."""
    if story.review is None:
        return None
    return next((said.entry.action for said in story.resolutions if said.entry.final), "pending")


def _waited(story: Story) -> float | None:
    """Seconds from the opening of its review to its end."""
    end = next((said.at for said in story.resolutions if said.entry.final), None)
    return (end - story.review.at).total_seconds() if end and story.review else None


def _rejecters(story: Story) -> list[str]:
    """Who said last that the answer is not good, and reviewers who did not let it out as it was."""
    words = standing(word.entry for word in story.feedback).values()
    said = {word.source for word in words if not word.accepted}
    reviewed = {"reviewer" for each in story.resolutions if each.entry.action in ("reject", "edit", "send")}
    return sorted(said | reviewed)


def _began(story: Story) -> datetime.datetime | None:
    return next((logged.at for logged in (*story.intents, story.outcome) if logged is not None), None)


COLUMNS: tuple[Column, ...] = (
    Column("id", "text", lambda s: s.id),
    Column("at", "time", _began),
    Column("ended_at", "time", lambda s: s.outcome.at if s.outcome else None),
    Column("policy", "text", lambda s: s.opening.policy),
    Column("asked", "text", lambda s: s.opening.model),
    Column("workload", "text", lambda s: s.opening.signals.workload),
    Column("sensitivity", "text", lambda s: s.opening.signals.sensitivity),
    Column("difficulty", "text", lambda s: s.opening.signals.difficulty),
    Column("stakes", "text", lambda s: s.opening.signals.stakes),
    Column("latency", "text", lambda s: s.opening.signals.latency),
    Column("team", "text", lambda s: s.opening.signals.team),
    Column("region", "text", lambda s: s.opening.signals.region),
    Column("language", "text", lambda s: s.opening.signals.language),
    Column("needs", "texts", lambda s: list(s.opening.signals.needs)),
    Column("ceiling", "number", lambda s: s.opening.signals.ceiling),
    Column("tokens_estimated", "whole", lambda s: s.opening.signals.tokens),
    Column("bytes", "whole", lambda s: s.opening.size),
    Column("streamed", "yes or no", lambda s: s.opening.stream),
    Column("decision", "text", lambda s: kind(s.opening.decision)),
    Column("rule", "text", lambda s: (first := _first(s)) and first.rule),
    Column("reason", "text", lambda s: (first := _first(s)) and first.code),
    Column("evidence", "text", lambda s: (route := _route(s)) and route.evidence),
    Column("lanes_allowed", "texts", lambda s: list(route.lanes) if (route := _route(s)) else []),
    Column("lanes_rejected", "texts", lambda s: list(dict.fromkeys(r.lane for r in s.opening.decision.rejected))),
    Column("lanes_closed", "texts", lambda s: sorted(s.opening.facts.closed)),
    Column("lanes_called", "texts", lambda s: [intent.entry.lane for intent in s.intents]),
    Column("lanes_failed", "texts", lambda s: [a.lane for a in _ended(s).attempts if a.result != "answered"]),
    Column("lane", "text", lambda s: _ended(s).lane),
    Column("answered_as", "text", lambda s: (call := _answering(s)) and call.model),
    Column("status", "text", lambda s: s.outcome.entry.status if s.outcome else "open"),
    Column("code", "text", lambda s: _ended(s).code or None),
    Column("cost", "number", lambda s: _ended(s).cost),
    Column("tokens_in", "whole", lambda s: _known(a.tokens_in for a in _ended(s).attempts)),
    Column("tokens_out", "whole", lambda s: _known(a.tokens_out for a in _ended(s).attempts)),
    Column("ms", "number", lambda s: s.outcome.entry.total_ms if s.outcome else None),
    Column("first_byte_ms", "number", lambda s: (call := _answering(s)) and call.first_byte_ms),
    Column("verdict", "text", lambda s: (said := _ended(s).verdict) and said.verdict),
    Column("checks_failed", "texts",
           lambda s: sorted({c for a in _ended(s).attempts if a.verdict for c in a.verdict.failed})),
    Column("escalated", "yes or no", lambda s: _called(s, "escalation")),
    Column("fell_back", "yes or no", lambda s: _called(s, "fallback")),
    Column("retried", "yes or no", lambda s: _called(s, "retry")),
    Column("hedged", "yes or no", lambda s: _called(s, "hedge")),
    Column("judged", "yes or no", lambda s: _called(s, "judge")),
    Column("rejected_by", "texts", _rejecters),
    Column("review", "text", lambda s: s.review.entry.cause if s.review else None),
    Column("review_rule", "text", lambda s: s.review.entry.rule if s.review else None),
    Column("review_end", "text", _resolved),
    Column("review_seconds", "number", _waited),
    Column("source", "text", lambda s: s.opening.source or None),
    Column("compared", "texts", lambda s: [f"{each.entry.lane}: {each.entry.result}" for each in s.compared]),
)  # fmt: skip
