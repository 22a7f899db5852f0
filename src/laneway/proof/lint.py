"""lint: what no request is needed to see: promises not kept yet, and facts that are going stale."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from laneway.lane import Lane
from laneway.policy import Policy
from laneway.proof.finding import Finding
from laneway.regions import ADEQUATE, DEVICE, EEA

__all__ = ["SOON", "lint"]

SOON = 14
"""Days before a date passes from which it is warned of."""


def lint(policy: Policy, today: datetime.date) -> Iterator[Finding]:
    """To-dos and unknown regions, which are errors; and warnings for what is stale or soon will be."""
    for todo in policy.todos:
        yield Finding(
            code="todo", about=todo.id, line=todo.line, says=todo.says,
            message="this sentence has no rule, so that it promises what nothing does",
            remedy="write the rule beside the sentence",
        )  # fmt: skip
    yield from _regions(policy)
    yield from _approval(policy, today)
    for lane in policy.lanes.values():
        yield from _lane(policy, lane, today)
    for rule in policy.shadows:
        if rule.until < today:
            yield Finding(
                code="shadow-over", about=rule.id, line=rule.line, says=rule.says, severity="warning",
                message=f"this shadow ended on {rule.until} and does nothing any more",
                remedy="see what it showed (`laneway shadow`), and delete it or set another `until`",
            )  # fmt: skip
    for waiver in policy.gate.waivers:
        yield from _dated("stale-waiver", waiver.until, today, waiver.id, waiver.line,
                          f"the waiver of {', '.join(sorted(waiver.lanes))} by {waiver.by}",
                          "measure the lanes, or let a named person renew it")  # fmt: skip


def _regions(policy: Policy) -> Iterator[Finding]:
    """Lanes that no class may use because nobody has said where they run or store."""
    used = {zone for grant in policy.grants for zone in grant.zones}
    used |= {zone for limit in policy.limits for zone in limit.zones}
    zones = [policy.zones[name] for name in sorted(used)]
    for lane in policy.lanes.values():
        needs_runs = any(zone.runs is not None for zone in zones) and lane.runs is None
        needs_stores = any(zone.stores is not None for zone in zones) and lane.stores is None and lane.retention != 0
        if not lane.own and (needs_runs or needs_stores):
            what = "runs" if needs_runs else "stores"
            yield Finding(
                code="region-unknown", about=f"lanes.{lane.name}", line=lane.line,
                message=f"nobody has said where {lane.name} {what}, so that it is in no zone that names a place",
                remedy=f"state `{what}: COUNTRY`, or delete the lane",
            )  # fmt: skip


def _approval(policy: Policy, today: datetime.date) -> Iterator[Finding]:
    approval = policy.approval
    if approval is not None:
        seen = f"{approval.by} approved this policy on {approval.on}"
        if approval.hash is None:
            yield Finding(
                code="approval-unsigned", about="approved", line=approval.line, severity="warning",
                message=f"{seen} without a hash, so that no later change would show", remedy=_APPROVE,
            )  # fmt: skip
        elif approval.hash != policy.meaning:
            yield Finding(
                code="approval-broken", about="approved", line=approval.line,
                message=f"{seen}, and its words or its rules have changed since", remedy=_APPROVE,
            )  # fmt: skip
        due = approval.on + datetime.timedelta(days=approval.review_every)
        yield from _dated("stale-approval", due, today, "approved", approval.line, f"the approval by {approval.by}",
                          _APPROVE)  # fmt: skip


_APPROVE = "read the policy again (`laneway policy`) and approve it: `laneway policy approve --by NAME`"


def _lane(policy: Policy, lane: Lane, today: datetime.date) -> Iterator[Finding]:
    about, name = f"lanes.{lane.name}", lane.name

    def warned(code: str, message: str, remedy: str) -> Finding:
        return Finding(code=code, about=about, line=lane.line, severity="warning", message=message, remedy=remedy)

    if lane.model.endswith("latest"):
        yield warned("alias", f"{name}'s model is an alias, which may change under its evidence", "pin a dated model")
    for what, day in (("dpa", lane.dpa), ("verified", lane.verified)):
        if day is not None and day > today:
            yield Finding(
                code="dated-ahead", about=about, line=lane.line,
                message=f"its `{what}` lies ahead ({day}): what it will open then is not proved now",
                remedy="state it once it is so",
            )  # fmt: skip
    if lane.own:
        return
    if lane.price is None:
        yield warned("price-unstated", f"{name} has no price, so that no ceiling lets it serve", "state its `price`")
    if lane.dpa is None:
        yield warned("no-contract", f"{name} has no data processing agreement on file", "state `dpa: DATE`")
    if lane.verified is None:
        yield warned("unverified", f"{name}'s facts were never verified, so that its places count as unknown",
                     "check them with the provider and state `verified: DATE`")  # fmt: skip
    else:
        until = lane.verified + datetime.timedelta(days=policy.fresh_days)
        yield from _dated("stale-verification", until, today, about, lane.line, f"what is known of {name}",
                          "verify it with the provider and state `verified: DATE`")  # fmt: skip
    abroad = (lane.runs or frozenset()) - EEA - ADEQUATE - {DEVICE}
    if abroad and lane.transfer is None:
        yield warned("no-transfer", f"{name} runs in {' '.join(sorted(abroad))} and names no transfer basis",
                     "state `transfer: DPF`, SCC or BCR")  # fmt: skip


def _dated(
    code: str, until: datetime.date, today: datetime.date, about: str, line: int, subject: str, remedy: str
) -> Iterator[Finding]:
    left = (until - today).days
    if left <= SOON:
        state = f"ran out on {until}" if left < 0 else f"runs out on {until}, in {left} days"
        yield Finding(code=code, about=about, line=line, severity="warning", message=f"{subject} {state}",
                      remedy=remedy)  # fmt: skip
