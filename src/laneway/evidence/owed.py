"""owed: by workload and lane, on what it serves now and until when, and what is missing where it does not."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from laneway.admission import admitted
from laneway.evidence.judging.family import families
from laneway.evidence.standing import Standing
from laneway.policy import Policy
from laneway.proof.finding import Finding
from laneway.proof.lint import SOON
from laneway.signals import LANGUAGES, Signals
from laneway.wall import walled

__all__ = ["Owed", "findings", "lowered", "owed"]


@dataclass(frozen=True, slots=True)
class Owed:
    """Why the lane serves the workload in this language (empty: in any), until a day; or why it does not.

    `code` is `evidence-met`, `waived` or `no-evidence`, as in reasons.
    """

    workload: str
    lane: str
    language: str
    code: str
    told: str
    until: datetime.date | None


def owed(standing: Standing, today: datetime.date) -> Iterator[Owed]:
    """Every workload that has sets, with every lane that the wall may let it use, weakest first."""
    policy = standing.policy
    assert policy is not None
    wall = walled(policy, today)
    for work in policy.workloads.values():
        if work.name not in policy.measured:
            continue
        data_class = work.sensitivity or policy.unlabelled.sensitivity
        for language in _languages(standing, work.name):
            signals = Signals(sensitivity=data_class, workload=work.name, language=language or None)
            shown = {one.lane: one for one in standing.of(signals, today)}
            for lane in (name for name in policy.strength if name in wall[data_class].admitted):
                reason = admitted(policy, lane, work.name, shown.get(lane), today)
                until = None
                if reason.code == "evidence-met" and (on := shown[lane].on) is not None:
                    until = on + datetime.timedelta(days=policy.fresh_days)
                elif reason.code == "waived":
                    until = next(w.until for w in policy.gate.waivers if w.id == reason.rule)
                yield Owed(work.name, lane, language, reason.code, reason.effect, until)


def _never_judged(policy: Policy, today: datetime.date) -> Iterator[Finding]:
    """A warning for each shadow of which no judge is of another family than both of any two lanes it compares."""
    kin = {lane.name: families((lane.model, *lane.reports)) for lane in policy.lanes.values()}

    def meant(words: tuple[str, ...]) -> set[str]:
        found = set[str]()
        for word in words:
            zone = policy.zones.get(word)
            inside = [n for n, x in policy.lanes.items() if zone and not zone.lacks(x, today, policy.fresh_days)]
            found |= {word} if word in policy.lanes else set(inside if zone else policy.lanes)
        return found

    for rule in policy.shadows:
        for lane in sorted(meant(rule.lanes)) if rule.judge and today <= rule.until else ():
            pairs = ((judge, other) for judge in meant(rule.judge) for other in policy.lanes if other != lane)
            if not any(
                judge not in (lane, other) and not kin[judge] & (kin[lane] | kin[other]) for judge, other in pairs
            ):
                yield Finding(
                    code="never-judged", about=rule.id, line=rule.line, says=rule.says, severity="warning",
                    message=f"nobody can judge what {lane} says: each judge is one of the two lanes, or of its family",
                    remedy="name a judge of another family, or let equal answers alone tell",
                )  # fmt: skip


def lowered(standing: Standing, today: datetime.date) -> Iterator[Owed]:
    """Those lanes that would serve on evidence, but for what was seen of them since it was measured."""
    met = {(o.workload, o.lane, o.language) for o in owed(standing.by_ledger(), today) if o.code == "evidence-met"}
    for row in owed(standing, today):
        if row.code != "evidence-met" and (row.workload, row.lane, row.language) in met:
            yield row


def _languages(standing: Standing, workload: str) -> list[str]:
    """The languages in which lanes were measured on the workload; one empty word where none was told apart."""
    entries = (entry for entry in standing.entries if entry.workload == workload)
    found = {key.partition("/")[0] for entry in entries for key in entry.bounds if "#" not in key}
    return [language for language in LANGUAGES if language in found] or [""]


def findings(standing: Standing, today: datetime.date) -> Iterator[Finding]:
    """Warnings: a ledger that cannot be used, work that no lane may do now, evidence that soon counts no more."""
    policy = standing.policy
    assert policy is not None
    gate = policy.gate
    if standing.trouble:
        yield Finding(
            code="ledger", about="gate.evidence", line=gate.line, severity="warning",
            message=f"no evidence counts: {standing.trouble}",
            remedy="restore the ledger; until then lanes serve on waivers alone",
        )  # fmt: skip
    yield from _never_judged(policy, today)
    rows = list(owed(standing, today))
    for name, language in dict.fromkeys((row.workload, row.language) for row in rows):
        lanes = [row for row in rows if (row.workload, row.language) == (name, language)]
        line, what = policy.workloads[name].line, f"requests for {name}" + (f" in {language}" if language else "")
        if all(row.code == "no-evidence" for row in lanes):
            told = "; ".join(row.told for row in lanes)
            yield Finding(
                code="unproven", about=f"workloads.{name}", line=line, severity="warning",
                message=f"no lane may serve {what} now: {told}",
                remedy="`laneway eval run`, or waive a lane until a date",
            )  # fmt: skip
        for row in lanes:
            if row.code == "evidence-met" and row.until is not None and (row.until - today).days <= SOON:
                yield Finding(
                    code="stale-evidence", about=f"workloads.{name}", line=line, severity="warning",
                    message=f"what {row.lane} has shown on {what} counts until {row.until}",
                    remedy="`laneway eval run`",
                )  # fmt: skip
