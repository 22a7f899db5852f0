"""replaying: a log read from its first request to its last, for the commands that decide its requests again."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.progress import Progress

from laneway.cli.output import err
from laneway.errors import PolicyError
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.replay.recorded import Recording
from laneway.replay.run import Policies, Replay
from laneway.replay.totals import Totals
from laneway.store import Reader
from laneway.store.rows import Rows

__all__ = ["Replayed", "replayed"]

_SPOILT = (msgspec.MsgspecError, ValueError, LookupError, TypeError)
"""What a record can raise that somebody changed: it names what its own policy does not have."""


class Replayed(NamedTuple):
    """What came of a replay. `broken` says where the chain of what was read breaks, None where it holds.

    `damaged` entries could not be read, `example` is the decision of the first of them.
    """

    totals: Totals
    broken: str | None
    damaged: int
    example: str

    def warnings(self) -> Iterator[str]:
        """What to say before any figure: a chain that breaks, and what could not be decided again."""
        if self.broken:
            yield f"the chain of the log breaks, so that it may not say what was recorded: {self.broken}"
        if self.damaged:
            first = f"the first is of decision {self.example}"
            yield f"records that cannot be read and are left out: {self.damaged:,}; {first}"
        for why, count in self.totals.lost.most_common():
            yield f"requests that are left out: {count:,}; {why}"
        for currency, count in self.totals.foreign.most_common():
            yield f"requests that were paid in {currency}, whose money is left out: {count:,}"


def replayed(log: Path, since: datetime.datetime | None, made: Callable[[Policies], Replay]) -> Replayed:
    """Decide every request since again; `made` gets the policies that the log holds. Raises LogError."""
    with (
        closing(Rows(log)) as rows,
        Progress(console=err, transient=True, disable=not err.is_terminal) as progress,
    ):
        start = 0 if since is None else rows.before(int(since.timestamp() * 1e6))
        reader, last = rows.reader, rows.last()
        replay, first = made(_archived(reader)), next((seq for seq, *_ in reader.entries(since, start)), last + 1)
        checking = progress.add_task("checking the chain", total=max(last - first + 1, 1))
        broken = reader.damage(last - first + 1, lambda seq, _: progress.update(checking, completed=seq - first))
        deciding = progress.add_task("deciding again", total=max(last - first + 1, 1))

        def entries() -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
            for entry in reader.entries(since, start):
                if entry[0] % 1000 == 0:
                    progress.update(deciding, completed=entry[0] - first)
                yield entry

        recording = Recording(entries())
        for one in recording:
            try:
                replay.add(one)
            except _SPOILT:
                recording.spoilt(one.id)
        return Replayed(replay.finish(), broken, recording.damaged, recording.example)


def _archived(reader: Reader) -> Policies:
    """The policies whose texts the log holds."""

    def of(hash: str) -> Policy | str:
        text = reader.policy_text(hash)
        if text is None:
            return f"the log does not hold the policy {hash[:12]} that they were decided under"
        try:
            return parse(text, f"policy {hash[:12]}")
        except PolicyError as error:
            return f"this version cannot read the policy {hash[:12]} that they were decided under: {error.problems[0]}"

    return of
