"""patch: a change of the policy's text in; the same as a patch that was proved, tested and replayed out, or why not.

A patch is shown only where no property is broken that was not before, and no case fails that did not before. Recorded
requests are decided again under it, on the facts of their time, so that it says how many of them go another way.
"""

from __future__ import annotations

import datetime
import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from laneway.decide import decide
from laneway.errors import PolicyError
from laneway.facts import Facts
from laneway.policy import Policy
from laneway.policy_cases import parse as parse_cases
from laneway.policy_cases import unmet
from laneway.policy_file import parse
from laneway.proof.finding import Kind, kind
from laneway.proof.verify import Report, verify
from laneway.rehearse import rehearse
from laneway.repair.edits import applied
from laneway.signals import Ask, Signals
from laneway.source import read_source
from laneway.store.rows import Rows
from laneway.way import Way, way
from laneway.weekly.advice import Proposal
from laneway.weekly.frame import Frame
from laneway.weekly.value import Advice

__all__ = ["Asked", "sampled", "tried"]

_SAMPLE = 10_000
_NEAR = 16
_SECONDS = 10.0


class Asked(msgspec.Struct, frozen=True):
    """As much of a request's opening as deciding it again takes."""

    ask: Ask
    signals: Signals
    facts: Facts


class _First(msgspec.Struct):
    opening: Asked | None = None


_first = msgspec.json.Decoder(_First).decode


def sampled(rows: Rows, frame: Frame, most: int = _SAMPLE) -> list[Asked]:
    """All requests of the frame's period, or some `most` of them, evenly spread over the log."""
    start, last = rows.before(frame.start), rows.last()
    step = (last - start) // most
    if step <= 1:
        return [asked for page in rows.after(start) for row in page if (asked := _asked(row[1], row[4], frame))]
    found = list[Asked]()
    for seq in range(start, last, step):
        near = (asked for row in rows.near(seq, _NEAR) if (asked := _asked(row[1], row[4], frame)))
        found += [asked for asked in [next(near, None)] if asked]
    return found


def _asked(at: int, body: bytes, frame: Frame) -> Asked | None:
    index = frame.slice(at)
    if index is None or index < 0 or b'"opening":' not in body:
        return None
    try:
        return _first(body).opening
    except msgspec.MsgspecError:  # of an older grammar, or damaged: it is counted elsewhere
        return None


def tried(
    proposal: Proposal, policy: Policy, cases: Path, requests: Sequence[Asked], today: datetime.date
) -> Advice:  # fmt: skip
    """What is advised, with its patch where that holds."""
    advice = proposal.advice
    if not proposal.edits:
        return advice
    text = applied(policy.text, proposal.edits)
    try:
        changed = parse(text, policy.file)
    except PolicyError as error:
        return msgspec.structs.replace(advice, refused=f"the patched policy cannot be read: {error.problems[0]}")
    refused = _unproved(policy, changed, today) or _failing(policy, changed, cases, today)
    if refused:
        return msgspec.structs.replace(advice, refused=refused)
    name = Path(policy.file).name
    lines = difflib.unified_diff(policy.text.splitlines(), text.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    differ = sum(_way(policy, one) != _way(changed, one) for one in requests)
    done = ["proved"] + ["its cases pass"] * cases.exists()
    signed = policy.approval is not None and policy.approval.hash is not None
    done += ["to be approved again"] * signed
    return msgspec.structs.replace(
        advice, diff="\n".join(lines) + "\n", replayed=len(requests), changed=differ, tried=", ".join(done)
    )


def _unproved(policy: Policy, changed: Policy, today: datetime.date) -> str:
    """The first error that the change brings; a broken approval is none, as a changed policy is approved anew."""
    report = verify(changed, today, seconds=_SECONDS)
    if report.unproved:
        return f"it is not proved: {report.unproved}"
    known = _errors(verify(policy, today, seconds=_SECONDS))
    new = next((f for f in report.errors if f.code != "approval-broken" and not known[kind(f)]), None)
    return f"it would break the policy: {new.message} ({new.code}, {new.about})" if new else ""


def _errors(report: Report) -> Counter[Kind]:
    return Counter(kind(finding) for finding in report.errors)


def _failing(policy: Policy, changed: Policy, cases: Path, today: datetime.date) -> str:
    """The first case that passes now, and fails with the change."""
    if not cases.exists():
        return ""
    try:
        text = read_source(cases, "write cases there")
        old, new = (parse_cases(text, either, str(cases)) for either in (policy, changed))
    except PolicyError as error:
        return f"its cases cannot be read: {error.problems[0]}"
    day = old.today or today
    before = {
        case.id for case, seen in zip(old.cases, rehearse(policy, old.cases, day), strict=True) if unmet(case, seen)
    }
    for case, seen in zip(new.cases, rehearse(changed, new.cases, day), strict=True):
        if unmet(case, seen) and case.id not in before:
            return f"the case {case.id} would fail"
    return ""


def _way(policy: Policy, one: Asked) -> Way:
    return way(policy, decide(policy, one.ask, one.signals, one.facts))
