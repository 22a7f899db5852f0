"""levers: what operators have closed, drained, paused and stopped: the log's Lever entries in, what is in force out.

Owns what a lever may be, and the one way in which it comes into force: it is on disk first. On each lane, each workload
and the whole there is one lever at most, the last one pulled. What is in force is folded from the log at every start,
and no policy changes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec

from laneway.clock import new_id, since
from laneway.errors import LaneError, LogError, RequestError, did_you_mean, shown
from laneway.facts import Facts
from laneway.feedback import named, phrased
from laneway.policy import Policy
from laneway.record import Lever, Pull
from laneway.store import Log, Logged, Reader

__all__ = ["ALL", "LANE", "WORKLOAD", "Levers", "name", "sentence"]

LANE = "lane:"
WORKLOAD = "workload:"
ALL = "all"
"""How targets begin; the last is one by itself."""

_ON: dict[Pull, str] = {"close": LANE, "drain": LANE, "open": LANE, "pause": WORKLOAD, "resume": WORKLOAD,
                        "stop": ALL, "go": ALL}  # fmt: skip
_UNDO: dict[str, Pull] = {LANE: "open", WORKLOAD: "resume", ALL: "go"}
_DONE: dict[Pull, str] = {"close": "closed", "drain": "drained", "open": "open again", "pause": "paused",
                          "resume": "served again", "stop": "stopped", "go": "going again"}  # fmt: skip


class Levers:
    """What is in force, by target; empty until something was recalled or pulled."""

    def __init__(self, pulled: Sequence[Lever] = ()) -> None:
        self.in_force: dict[str, Lever] = {}
        self.closed: dict[str, str] = {}
        self.paused: dict[str, str] = {}
        self.stopped = ""
        self._turn = asyncio.Lock()  # whether a lever is news is seen, and then it is written
        for lever in pulled:
            self._take(lever)

    @property
    def says(self) -> list[str]:
        """Each lever in force as a sentence, the oldest first."""
        return [sentence(lever) for lever in self.in_force.values()]

    def recall(self, log: Path) -> tuple[Logged[Lever], ...]:
        """Put in force what the log says is, and nothing else; every lever that was pulled, oldest first.

        Raises LogError where that cannot be read: then it is not known what may be done.
        """
        with closing(Reader.open(log)) as reader:
            every = tuple(reader.levers())
        self.in_force = {}
        try:
            for _, lever in every:
                self._take(lever)
        except ValueError:  # an id that no Laneway makes
            raise LogError(f"the log {log} holds a damaged lever: run `laneway log verify`") from None
        return every

    async def pull(self, lever: Lever, log: Log) -> bool:
        """Put `lever` on record and in force; False where its target is so already. LogError, and nothing changes."""
        async with self._turn:
            before = self.in_force.get(lever.target)
            if before is None if _undoes(lever) else before is not None and before.action == lever.action:
                return False
            await log.append(lever)
            self._take(lever)
            return True

    def became(self, lever: Lever, *, new: bool, cut: int) -> dict[str, object]:
        """What became of a pulled lever, for scripts; where it was none, the one that stands, or nothing."""
        stands = lever if new else self.in_force.get(lever.target)
        return {"recorded": new, "cut": cut, "says": sentence(stands) if stands else "",
                "lever": None if stands is None else msgspec.to_builtins(stands)}  # fmt: skip

    def wanted(self, action: str, target: str, by: str, why: str, *, policy: Policy | None, now: int) -> Lever:
        """These words as a Lever of `now` (UTC, ns). With `undo`, the target is a lever's id or the start of one.

        Raises RequestError for words that cannot be kept, and for a target that neither `policy` nor a lever in force
        knows; without a policy, only for the former.
        """
        named(by, "by")
        phrased(why, "why", least=1)
        if action == "undo":
            target = self._found(target).target
            action = _UNDO[_kind(target)]
        pull = next((known for known in get_args(Pull) if known == action), None)
        if pull is None:
            hint = did_you_mean(action, (*get_args(Pull), "undo"))
            raise RequestError(400, "unknown_lever", f"`{shown(action)}` is no lever{hint}", "action")
        if _kind(target) != _ON[pull]:
            message = f"{pull} takes {_form(_ON[pull])}, not `{shown(target)}`"
            raise RequestError(400, "unknown_target", message, "target")
        if policy is not None and not _known(target, policy) and target not in self.in_force:
            what, names = _names(target, policy)
            message = f"the policy has no {what} `{shown(name(target))}`{did_you_mean(name(target), names)}"
            raise RequestError(404, "unknown_target", message, "target")
        return Lever(id=new_id(now), action=pull, target=target, by=by, why=why)

    def seen(self, facts: Facts) -> Facts:
        """`facts` with what is in force now."""
        if not self.in_force:
            return facts
        closed = facts.closed | self.closed
        return msgspec.structs.replace(facts, closed=closed, paused=self.paused, stopped=self.stopped)

    def shut(self, lane: str, workload: str | None) -> LaneError | None:
        """Why a call of `lane` for `workload` may not be made now, if an operator says so."""
        if not self.in_force:
            return None
        if self.stopped:
            return LaneError("stopped", self.stopped)
        if lane in self.closed:
            return LaneError("closed", self.closed[lane])
        if workload is not None and workload in self.paused:
            return LaneError("paused", self.paused[workload])
        return None

    def cuts(self, lane: str) -> bool:
        """Whether calls of `lane` that are under way are to be ended too."""
        lever = self.in_force.get(LANE + lane)
        return ALL in self.in_force or (lever is not None and lever.action == "close")

    def _found(self, id: str) -> Lever:
        """The lever in force with this id, or the only one that starts so."""
        levers = list(self.in_force.values())
        found = [lever for lever in levers if id and lever.id.startswith(id)]
        if len(found) != 1:
            hint = did_you_mean(id, (lever.id for lever in levers)) or "; no lever is"
            message = f"no single lever in force has the id `{shown(id)}`{hint}"
            raise RequestError(404, "unknown_lever", message, "target")
        return found[0]

    def _take(self, lever: Lever) -> None:
        self.in_force.pop(lever.target, None)
        if not _undoes(lever):
            self.in_force[lever.target] = lever
        each = {target: sentence(one) for target, one in self.in_force.items()}
        self.closed = {name(target): says for target, says in each.items() if _kind(target) == LANE}
        self.paused = {name(target): says for target, says in each.items() if _kind(target) == WORKLOAD}
        self.stopped = each.get(ALL, "")


def sentence(lever: Lever) -> str:
    """A lever as a sentence: what it did to what, who, when, by which id, and in whose words why."""
    what = "everything" if lever.target == ALL else lever.target.replace(":", " ", 1)
    at = f"{since(lever.id):%Y-%m-%d %H:%M} UTC"
    return f"{what} is {_DONE[lever.action]} by {lever.by} since {at} (lever {lever.id}): {lever.why}"


def name(target: str) -> str:
    """The lane or workload that a target is."""
    return target.partition(":")[2]


def _undoes(lever: Lever) -> bool:
    return lever.action in _UNDO.values()


def _kind(target: str) -> str:
    return next((kind for kind in (LANE, WORKLOAD) if target.startswith(kind)), target)


def _form(kind: str) -> str:
    return "`all`" if kind == ALL else f"`{kind}NAME`"


def _names(target: str, policy: Policy) -> tuple[str, Sequence[str]]:
    """What is looked for, and what there is."""
    return ("lane", tuple(policy.lanes)) if _kind(target) == LANE else ("workload", tuple(policy.workloads))


def _known(target: str, policy: Policy) -> bool:
    return target == ALL or name(target) in _names(target, policy)[1]
