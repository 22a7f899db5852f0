"""recalled: what a policy's lanes have shown, by the ledger, and what the log has seen since that lowers it."""

from __future__ import annotations

import datetime
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from laneway.errors import LogError
from laneway.evidence.owed import Owed, lowered
from laneway.evidence.standing import Other, Standing, stand
from laneway.policy import Policy
from laneway.store import Reader

__all__ = ["Recalled", "recalled", "standing_of"]


@dataclass(frozen=True, slots=True)
class Recalled:
    """What counts today, and the lanes that the log has `lowered`.

    `note` says where that came from, or why the log could not be read; empty where the log changes nothing.
    """

    standing: Standing
    lowered: tuple[Owed, ...] = ()
    note: str = ""


def recalled(policy: Policy, log: Path, today: datetime.date) -> Recalled:
    """As a server started here would have it; by the ledger alone where there is no log. Raises PolicyError."""
    if not log.exists():
        return Recalled(stand(policy))
    try:
        with closing(Reader.open(log)) as reader:
            standing = standing_of(policy, reader, today)
    except LogError as error:
        return Recalled(stand(policy), note=f"what people said of answers does not count here: {error}")
    rows = tuple(lowered(standing, today))
    note = f"by the log {log}: which answers people rejected, and which models lanes answered as" if rows else ""
    return Recalled(standing, rows, note)


def standing_of(policy: Policy, log: Reader, today: datetime.date, before: Standing | None = None) -> Standing:
    """What counts under the policy. What was seen of lanes is read from the log, or shared with `before`. Blocks.

    Raises PolicyError where a file that the policy names cannot be used, and LogError.
    """
    if before is not None:
        standing = stand(policy, before.others, before.heard)
    else:
        shuts = ((logged.at, logged.entry) for logged in log.shuts())
        standing = stand(policy, [Other(s.lane, s.endpoint, s.measured, s.answered, at) for at, s in shuts])
    standing.listen(log, today)
    return standing
