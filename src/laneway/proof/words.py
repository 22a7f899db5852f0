"""words: findings for people and for scripts. Pure; commands only print what is made here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from laneway.decision import Reason, Route
from laneway.explain import contract
from laneway.policy import Policy
from laneway.proof.finding import Finding, Witness
from laneway.proof.oracle import large
from laneway.proof.verify import Report

__all__ = ["Told", "command", "conclusion", "finding_json", "report_json", "tell"]


@dataclass(frozen=True, slots=True)
class Told:
    """One finding in words: where and what, then (label, text) pairs in the order in which one reads them."""

    place: str
    what: str
    parts: tuple[tuple[str, str], ...]


def tell(policy: Policy, finding: Finding) -> Told:
    """The sentence, the request, the way it takes through the rules, the remedy, and how to see it again."""
    parts: list[tuple[str, str]] = []
    if finding.says:
        parts.append(("says", f'"{finding.says}"'))
    seen = finding.witness
    if seen is not None:
        parts.append(("request", _request(seen)))
        if seen.down:
            parts.append(("outage", f"{', '.join(seen.down)} down"))
        parts += [("path" if i == 0 else "", step) for i, step in enumerate(_path(policy, finding, seen))]
    if finding.remedy:
        parts.append(("remedy", finding.remedy))
    if seen is not None:
        parts.append(("see it", command(policy, seen)))
    place = f"{policy.file}:{finding.line}" if finding.line else policy.file
    return Told(place, f"{finding.about}: {finding.message}", tuple(parts))


def command(policy: Policy, seen: Witness) -> str:
    """The command line that shows a request again."""
    down = [word for lane in seen.down for word in ("--down", lane)]
    return shlex.join(["laneway", "explain", "--policy", policy.file, *seen.flags, *down])


def _request(seen: Witness) -> str:
    pairs = zip(seen.flags[::2], seen.flags[1::2], strict=True)
    facts = [f"{flag[2:]} {value}" if flag != "--fact" else value.replace("=", " ") for flag, value in pairs]
    return ", ".join(facts) or "any request without labels"


def _path(policy: Policy, finding: Finding, seen: Witness) -> list[str]:
    decision = seen.decision
    told = [*decision.reasons[:1]]
    if isinstance(decision, Route):
        escalated = finding.about == "gate" or finding.lane in {*decision.escalate} - {*decision.lanes}
        told = [r for r in decision.reasons if r.code in _HOPS and (r.code != "weak" or escalated)]
    told += [r for r in decision.rejected if r.lane == finding.lane][:1]

    def step(reason: Reason) -> str:
        at = f" (line {policy.lines[reason.rule]})" if policy.lines.get(reason.rule) else ""
        because = f", as {reason.signal}" if reason.signal else ""
        return f"{reason.rule}{at}{because}: {reason.effect}"

    return [step(reason) for reason in told]


_HOPS = ("route", "fallback", "weak")


def conclusion(report: Report, seconds: float) -> str:
    """The last line: proved or not, over how many requests, by what means."""
    errors, warnings = len(report.errors), len(report.findings) - len(report.errors)
    counts = ", ".join(
        f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((errors, "error"), (warnings, "warning")) if n
    )
    how = "all of them" if report.prover == "enumeration" else f"by {report.prover}"
    means = f"{large(report.requests)} kinds of request, {how}"
    if report.unproved:
        return f"NOT PROVED: {report.unproved}" + (f" ({counts})" if counts else "")
    return f"{'Proved' if not errors else 'NOT proved'}{': ' + counts if counts else ''}. {means}, in {seconds:.2f} s."


def report_json(policy: Policy, report: Report) -> dict[str, object]:
    """The object that `check --json` prints."""
    return {
        "proved": report.proved, "unproved": report.unproved, "policy_hash": policy.hash, "prover": report.prover,
        "requests": report.requests if report.requests < 2**53 else large(report.requests),
        "findings": [finding_json(policy, finding) for finding in report.findings],
    }  # fmt: skip


def finding_json(policy: Policy, finding: Finding) -> dict[str, object]:
    """One finding for scripts."""
    seen = finding.witness
    return {
        "code": finding.code, "severity": finding.severity, "rule": finding.about, "file": policy.file,
        "line": finding.line, "says": finding.says, "message": finding.message, "remedy": finding.remedy,
        "lane": finding.lane,
        "witness": None if seen is None else {
            "flags": list(seen.flags), "down": list(seen.down), "command": command(policy, seen),
            "explained": contract(seen.decision, seen.signals, policy.hash),
        },
    }  # fmt: skip
