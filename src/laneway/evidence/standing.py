"""standing: what each lane's evidence counts for now, in a policy, its files and what was seen of its lanes since.

Evidence counts while the set, the prompt, the model and the endpoint are what they were when it was measured, and for
as many days as the policy lets anything count. What counts is never more than the ledger says: what was seen since
only lowers it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from laneway.evidence.basis import Basis, basis, policy_folder
from laneway.evidence.heard import Heard, Source
from laneway.evidence.ledger import FILE, Bound, Evidence, LedgerError, read
from laneway.evidence.sample import prompt_hash
from laneway.facts import Shown, supposed
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.rejections import most_good
from laneway.request import Request
from laneway.signals import Signals
from laneway.wire import openai

__all__ = ["GROUP", "Other", "Standing", "stand"]

GROUP = "group"
"""The declared fact that a sample's group is a value of, in policies that have it."""


_EVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


class _Key(NamedTuple):
    """All that what lanes have shown depends on in a request; `behind` are the sets whose prompt it came with."""

    today: datetime.date
    workload: str
    language: str | None
    group: str | None
    behind: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Other:
    """A lane, at its endpoint, measured as one model, was seen to answer as the model `answered`, at a time."""

    lane: str
    endpoint: str
    measured: str
    answered: str
    at: datetime.datetime


def stand(policy: Policy, others: list[Other] | None = None, heard: Heard | None = None) -> Standing:
    """What counts under the policy, by the ledger beside it. Raises PolicyError where its files cannot be used.

    What was seen since is shared with whoever hands it in.
    """
    ledger = policy_folder(policy) / FILE
    entries, trouble = tuple[Evidence, ...](), ""
    try:
        entries = read(ledger)
    except LedgerError as error:
        trouble = f"the ledger cannot be used: {error}"
    found = basis(policy, entries)
    others = [] if others is None else others
    return Standing(policy, found, entries, others, heard or Heard(), trouble, (ledger, *found.files))


@dataclass(eq=False)
class Standing:
    """The ledger under one policy. `trouble` says why nothing in it counts, where it could not be read.

    `others` are what lanes were seen to answer as, and `heard` is what people said of answers; both outlive a policy.
    `files` are those that all this depends on.
    `supposed` are lanes that are taken to have shown enough, whatever the ledger says.
    """

    policy: Policy | None = None
    basis: Basis = field(default_factory=Basis)
    entries: tuple[Evidence, ...] = ()
    others: list[Other] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    trouble: str = ""
    files: tuple[Path, ...] = ()
    supposed: tuple[str, ...] | None = None
    _known: dict[_Key, tuple[Shown, ...]] = field(default_factory=dict)
    _seen: tuple[int, int] = (0, 0)

    def of(self, signals: Signals, today: datetime.date, request: Request | None = None) -> tuple[Shown, ...]:
        """What each lane has shown on the request's workload, in its language and group; nothing for other work.

        Without a `request` it is taken to come behind the very prompts that its sets were run behind.
        """
        policy, workload = self.policy, signals.workload
        if policy is None or workload not in policy.measured:
            return ()
        if self.supposed is not None:
            return supposed(policy, workload, self.supposed)
        group = signals.declared.get(GROUP) if _by_group(policy) else None
        behind = None if request is None else self._behind(workload, request)
        seen = self.version
        if seen != self._seen:  # since what is kept was worked out
            self._known, self._seen = {}, seen
        key = _Key(today, workload, signals.language, None if group is None else str(group), behind)
        if key not in self._known:
            shown = tuple(self._shown(key))
            if any(entry.at > _now() for entry in self.entries):  # what is ahead of the clock now need not be for long
                return shown
            self._known[key] = shown
        return self._known[key]

    def without_evidence(self, trouble: str) -> Standing:
        """The same, where nothing counts any more, and why."""
        return Standing(self.policy, self.basis, (), self.others, self.heard, trouble, self.files)

    @property
    def version(self) -> tuple[int, int]:
        """Changes with what was seen of lanes, also by whoever shares that with us."""
        return self.heard.version, len(self.others)

    def by_ledger(self) -> Standing:
        """The same, without what was seen of lanes since they were measured."""
        return Standing(self.policy, self.basis, self.entries, trouble=self.trouble, files=self.files)

    def _behind(self, workload: str, request: Request) -> frozenset[str]:
        """The sets of the workload that were run behind the prompt that the request comes with, or behind none."""
        sets = self.basis.on.get(workload, ())
        if workload in self.basis.prompts or not any(one.prompt for one in sets):  # ours, or none to come with
            return frozenset(one.set for one in sets)
        came = prompt_hash(_instruction(request))
        return frozenset(one.set for one in sets if one.prompt in ("", came))

    def prompted(self, request: Request) -> Request:
        """The request as it is sent: behind the prompt of its workload, where that has one."""
        prompts = self.basis.prompts
        return (
            openai.prompted(request, prompts.get(request.labels.get("workload", request.model))) if prompts else request
        )

    def hash(self, signals: Signals) -> str:
        """The SHA-256 of the prompt that requests of this workload are sent behind; empty for none."""
        return self.basis.hashes.get(signals.workload or "", "")

    def answered(self, lane: Lane, model: str) -> Other | None:
        """What is news of a lane that answers as `model`: that it was measured as another, if so. It counts at once."""
        seen = max((o.at for o in self._others(lane) if o.answered == model), default=_EVER)
        entries = (e for e in self.entries if e.lane == lane.name and e.endpoint == lane.url)
        entry = next((e for e in entries if e.reported != model and seen < e.at <= _now()), None)
        if entry is None:
            return None
        found = Other(lane.name, lane.url, entry.reported, model, _now())
        self.others.append(found)
        return found

    def listen(self, log: Source, today: datetime.date) -> None:
        """Count anew what people said of answers since the evidence that counts was measured. Blocks."""
        policy = self.policy
        lanes = policy.lanes.values() if policy else ()
        works = policy.measured if policy else ()
        counting = (self._counting(work, lane, today) for work in works for lane in lanes)
        self.heard.listen(log, (entry.at for entry in counting if entry is not None))

    def _others(self, lane: Lane) -> Iterator[Other]:
        return (o for o in self.others if o.lane == lane.name and o.endpoint == lane.url)

    def _shown(self, key: _Key) -> Iterator[Shown]:
        assert self.policy is not None
        for lane in self.policy.lanes.values():
            if self.trouble:
                yield Shown(lane.name, self.trouble)
                continue
            entry = self._counting(key.workload, lane, key.today)
            if entry is not None:
                yield self._bound(entry, key)
            elif entries := self._of(key.workload, lane):
                yield Shown(lane.name, self._stale(entries[-1], lane, key.today))

    def _of(self, workload: str, lane: Lane) -> list[Evidence]:
        """The lane's evidence by when it was measured, not by when it was written down: answers on file are no news."""
        entries = (entry for entry in self.entries if entry.workload == workload and entry.lane == lane.name)
        return sorted(entries, key=lambda entry: entry.at)

    def _counting(self, workload: str, lane: Lane, today: datetime.date) -> Evidence | None:
        """What was measured last of what is not stale."""
        entries = reversed(self._of(workload, lane))
        return next((entry for entry in entries if not self._stale(entry, lane, today)), None)

    def _stale(self, entry: Evidence, lane: Lane, today: datetime.date) -> str:
        """Why the entry does not count any more, if so: the first thing that has changed since."""
        policy, day = self.policy, entry.at.date()
        when = f"{entry.at:%Y-%m-%d %H:%M:%S} UTC" if day == today else f"{day}"  # what was today is told to the second
        assert policy is not None
        if entry.at > _now():
            return f"it is dated {entry.at:%Y-%m-%d %H:%M}, which is ahead of the clock"
        now = {one.set: one for one in self.basis.on.get(entry.workload, ())}
        then = {one.set: one for one in entry.on}
        if now.keys() != then.keys():
            return f"the sets were {', '.join(sorted(then))} on {when}, and are {', '.join(sorted(now)) or 'none'} now"
        for name, one in now.items():
            if one.hash != then[name].hash:
                return f"the set {name} has changed since {when}"
            if one.prompt != then[name].prompt:
                return f"the prompt of {name} has changed since {when}"
        if entry.model != lane.model:
            return f"the model was {entry.model} on {when}, and is {lane.model} now"
        if entry.endpoint != lane.url:
            return f"it was measured at another address on {when}"
        for other in self._others(lane):
            if other.at >= entry.at and other.answered != entry.reported:
                measured = entry.reported or "a model without a name"
                measures = f"laneway eval run --workload {entry.workload} --lane {lane.name}"
                since = other.at + datetime.timedelta(seconds=1)  # whole seconds, and none of them before it was seen
                return (
                    f"it was measured as {measured} on {day}, and answered as {other.answered} on {other.at.date()} "
                    f"(`{measures} --since {since:%Y-%m-%dT%H:%M:%SZ}` measures it anew)"
                )
        if today > day + datetime.timedelta(days=policy.fresh_days):
            return f"it was measured on {day}, and evidence counts for {policy.fresh_days} days"
        return ""

    def _bound(self, entry: Evidence, key: _Key) -> Shown:
        """What the entry shows for such requests."""
        assert self.policy is not None
        by_group = _by_group(self.policy)
        bounds, missing = entry.bounds, ""
        if key.behind is not None and len(key.behind) < len(entry.on):
            if len(key.behind) != 1:
                missing = "it was measured behind prompts that the request does not come with"
            bounds = _of_set(entry.bounds, *key.behind) if len(key.behind) == 1 else {}
        cell = ""
        if not missing:
            cell, missing = _cell(bounds, key.language, key.group, by_group=by_group)
        if not missing:
            missing = self._worse(entry, by_group=by_group)
        if missing:
            return Shown(entry.lane, missing)
        bound = bounds[cell]
        answers, rejected = self.heard.counts(entry.workload, entry.lane, entry.at)
        lower = min(bound.lower, most_good(answers, rejected, entry.confidence))
        if not rejected:
            answers = 0
        return Shown(entry.lane, "", lower, entry.confidence, bound.samples, entry.at.date(), answers, rejected)

    def _worse(self, entry: Evidence, *, by_group: bool) -> str:
        """A part of the work, which the whole must not hide, on which the lane is proved to be below the bar."""
        bar = self.policy.gate.bar if self.policy else None
        if bar is None:
            return ""
        parts = {"#": "the set", "/": "the group"} if not by_group else {"#": "the set"}
        for key, bound in entry.bounds.items():
            if key[:1] in parts and bound.upper < bar.score:
                return f"on {parts[key[:1]]} {key[1:]} it is surely below the bar: at most {bound.upper:.3f}"
        return ""


def _cell(bounds: Mapping[str, Bound], language: str | None, group: str | None, *, by_group: bool) -> tuple[str, str]:
    """The part of the evidence that speaks of such requests; or why there is none."""
    parts = [key for key in bounds if "#" not in key]
    languages = _sorted(key.partition("/")[0] for key in parts)
    groups = _sorted(key.partition("/")[2] for key in parts) if by_group else []
    if languages and language not in languages:
        said = f"not in {language}" if language else "the request's language is not known"
        return "", f"it was measured in {', '.join(languages)}, and {said}"
    if groups and group not in groups:
        said = f"not on {group}" if group else "nobody has said the request's group"
        return "", f"it was measured on {', '.join(groups)}, and {said}"
    cell = (language or "" if languages else "") + (f"/{group}" if groups else "")
    return (cell, "") if cell in bounds else ("", f"it was not measured on {group} in {language}")


def _by_group(policy: Policy) -> bool:
    """Whether requests name their group, one of a list."""
    return GROUP in policy.facts and bool(policy.facts[GROUP].values)


def _of_set(bounds: Mapping[str, Bound], name: str) -> dict[str, Bound]:
    """What was shown on one of the sets, by its languages and groups."""
    ends = f"#{name}"
    return {key.removesuffix(ends): bound for key, bound in bounds.items() if key.endswith(ends)}


def _instruction(request: Request) -> str:
    """The system prompt that a request begins with; empty where it has none."""
    messages = request.body.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(first, dict) or first.get("role") not in ("system", "developer"):
        return ""
    content = first.get("content")
    return content if isinstance(content, str) else ""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name})
