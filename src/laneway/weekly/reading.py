"""reading: a log, a policy and a time in, the whole Review out."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import msgspec

from laneway.errors import PolicyError
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.store.rows import Rows
from laneway.weekly.advice import advised
from laneway.weekly.frame import Frame
from laneway.weekly.patch import sampled, tried
from laneway.weekly.review import review, whole
from laneway.weekly.scan import Found
from laneway.weekly.scanned import Progress, quiet, scanned
from laneway.weekly.stale import stale
from laneway.weekly.value import Log, Review

__all__ = ["advise", "policies", "read", "reviewed"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def read(
    log: Path, since: str, start: datetime.datetime | None, until: datetime.datetime, progress: Progress = quiet
) -> tuple[Review, Found, Frame]:
    """The log's review from `start` (None: all of it) until `until`, against as long a time before; and its counts."""
    end = (until - _EPOCH) // _MICROSECOND
    if start is None:
        with closing(Rows(log)) as rows:
            first = next(iter(rows.near(0, 1)), None)
        frame = Frame.of(min(first[1], end) if first else end, end + 1, compared=False)
    else:
        frame = Frame.of((start - _EPOCH) // _MICROSECOND, end, compared=True)
    with closing(Rows(log)) as rows:
        begin = frame.began(-frame.slices if frame.compared else 0)
        found = scanned(log, frame.slice, rows.before(begin), progress)
        return reviewed(found, frame, since, policies(rows)), found, frame


def reviewed(found: Found, frame: Frame, since: str, policy: Callable[[str], Policy | None]) -> Review:
    """What was found, as a Review."""
    links = found.links
    log = Log(links.seq, links.problem, links.broken or int(bool(links.problem)), found.unread, found.back)
    return review(found.tallies, frame, log, since, policy)


def policies(rows: Rows) -> Callable[[str], Policy | None]:
    """The policies that were served, by their hash, as far as this version of Laneway can read them."""

    @cache
    def by_hash(hash: str) -> Policy | None:
        text = rows.reader.policy_text(hash)
        try:
            return None if text is None else parse(text, f"policy {hash[:12]}")
        except PolicyError:  # of an older grammar
            return None

    return by_hash


def advise(
    log: Path, made: Review, found: Found, frame: Frame, policy: Policy, cases: Path, today: datetime.date
) -> Review:  # fmt: skip
    """The same with what is going stale and what to do, by the policy that is in force now."""
    proposals = advised(whole(found.tallies), made, policy)
    with closing(Rows(log)) as rows:
        requests = sampled(rows, frame) if any(proposal.edits for proposal in proposals) else []
    return msgspec.structs.replace(
        made,
        policy=policy.name,
        stale=stale(policy, today),
        advice=[tried(proposal, policy, cases, requests, today) for proposal in proposals],
    )
