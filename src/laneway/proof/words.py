"""words: findings for people and for scripts. Pure; commands only print what is made here."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import takewhile

from laneway.decision import Hold, Reason, Route
from laneway.explain import contract
from laneway.policy import Policy
from laneway.proof.finding import Finding, Witness
from laneway.proof.oracle import large
from laneway.proof.verify import Report
from laneway.proof.without import Loss, Lost
from laneway.repair.edits import Edit, Repair, diff, place

__all__ = [
    "Fixed",
    "Told",
    "changed_lines",
    "command",
    "conclusion",
    "described",
    "finding_json",
    "fixed_json",
    "lost_json",
    "report_json",
    "tell",
    "tell_loss",
]


@dataclass(frozen=True, slots=True)
class Told:
    """One finding in words: where and what, then (label, text) pairs in the order in which one reads them."""

    place: str
    what: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A repair that was written, of a finding in the policy as it was then."""

    policy: Policy
    finding: Finding
    repair: Repair


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
    for repair in finding.repairs[:1]:
        parts.append(("repair", repair.says + (" (safe: `laneway check --fix` writes it)" if repair.safe else "")))
        parts += [("", line) for line in changed_lines(policy, repair)]
        other = next((each.says for each in finding.repairs if each.safe), "")
        if other and not repair.safe:
            parts.append(("", f"`laneway check --fix` would write another, which is safe: {other}"))
    if seen is not None:
        parts.append(("see it", command(policy, seen.flags, seen.down)))
    place = f"{policy.file}:{finding.line}" if finding.line else policy.file
    return Told(place, f"{finding.about}: {finding.message}", tuple(parts))


def changed_lines(policy: Policy, repair: Repair) -> list[str]:
    """What a repair changes: at most five lines after their signs, and of a long line what differs."""
    lines = diff(policy.text, repair.edits)
    if len(lines) == 2 and {line[0] for line in lines} == {"-", "+"}:
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(lines[0][2:], lines[1][2:], strict=False))))
        cut = max(0, shared - 40) if len(max(lines, key=len)) > _WIDTH else 0
        lines = [f"{line[:2]}…{line[2 + cut :]}" if cut else line for line in lines]
    shown = lines if len(lines) <= _LINES else [*lines[: _LINES - 1], f"… {len(lines) - _LINES + 1} lines more"]
    shown = [_SENTENCE.sub("says: …, ", line) if len(line) > _WIDTH else line for line in shown]
    most = _WIDTH if len(shown) > _LINES - 1 else 2 * _WIDTH
    return [line if len(line) <= most else f"{line[: most - 1]}…" for line in shown]


_WIDTH, _LINES = 68, 5
_SENTENCE = re.compile(r'says: (?:"[^"]*"|[^,}]*), ')


def command(policy: Policy, flags: tuple[str, ...], down: tuple[str, ...]) -> str:
    """The command line that shows a request again."""
    lanes = [word for lane in down for word in ("--down", lane)]
    return shlex.join(["laneway", "explain", "--policy", policy.file, *flags, *lanes])


def described(flags: tuple[str, ...]) -> str:
    """A request by the facts that its flags state."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    facts = [f"{flag[2:]} {value}" if flag != "--fact" else value.replace("=", " ") for flag, value in pairs]
    return ", ".join(facts) or "any request without labels"


def _request(seen: Witness) -> str:
    """The request, and its class where nothing but the policy's default gives it."""
    usual = "" if "--sensitivity" in seen.flags else f" (which makes it {seen.signals.sensitivity})"
    return described(seen.flags) + usual


def _path(policy: Policy, finding: Finding, seen: Witness) -> list[str]:
    decision = seen.decision
    told = [*decision.reasons[:1]]
    if isinstance(decision, Route):
        escalated = finding.about == "gate" or finding.lane in {*decision.escalate} - {*decision.lanes}
        judges = finding.about == "gate" or finding.lane in {*decision.judge} - {*decision.lanes, *decision.escalate}
        shadows = any(finding.lane in (*each.lanes, *each.judge) for each in decision.shadow)
        hops = (*_HOPS, *("weak",) * escalated, *("judge",) * judges, *("shadow",) * shadows)
        told = [r for r in decision.reasons if r.code in hops]
    told += [r for r in decision.rejected if r.lane == finding.lane][:1]

    def step(reason: Reason) -> str:
        at = f" (line {policy.lines[reason.rule]})" if policy.lines.get(reason.rule) else ""
        because = f", as {reason.signal}" if reason.signal else ""
        return f"{reason.rule}{at}{because}: {reason.effect}"

    return [step(reason) for reason in told]


_HOPS = ("route", "fallback")


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


def tell_loss(policy: Policy, loss: Loss) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What one class loses of a lane, and (label, text) pairs: who takes over, and who is left with nothing."""
    part = "" if loss.whole else "some "
    what = f"{loss.lane}: {part}{loss.data_class} requests may no longer use it"
    parts = [("instead", ", ".join(loss.instead) or "no lane")]
    if loss.refused is not None:
        seen, end = loss.refused, "held" if isinstance(loss.refused.decision, Hold) else "refused"
        parts += [(end, described(seen.flags)), ("", seen.decision.reasons[0].effect)]
        parts.append(("today", command(policy, seen.flags, seen.down)))
    return what, tuple(parts)


def lost_json(policy: Policy, lost: Lost) -> dict[str, object]:
    """The object that `check --without ... --json` prints."""
    return {
        "without": list(lost.fallen), "lanes": list(lost.lanes), "policy_hash": policy.hash,
        "losses": [
            {
                "lane": loss.lane, "sensitivity": loss.data_class, "whole": loss.whole, "instead": list(loss.instead),
                "refused": loss.refused and _witness_json(policy, loss.refused),
            }
            for loss in lost.losses
        ],
        "errors": [finding_json(policy, error) for error in lost.errors],
    }  # fmt: skip


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
        "lane": finding.lane, "repairs": [_repair_json(policy, repair) for repair in finding.repairs],
        "witness": seen and _witness_json(policy, seen),
    }  # fmt: skip


def _witness_json(policy: Policy, seen: Witness) -> dict[str, object]:
    return {
        "flags": list(seen.flags), "down": list(seen.down),
        "command": command(policy, seen.flags, seen.down),
        "explained": contract(seen.decision, seen.signals, policy.hash),
    }  # fmt: skip


def fixed_json(fixed: Fixed) -> dict[str, object]:
    """A repair that was written, for scripts; its places are those of the text before it."""
    finding = fixed.finding
    return {"code": finding.code, "rule": finding.about, "line": finding.line} | _repair_json(
        fixed.policy, fixed.repair
    )


def _repair_json(policy: Policy, repair: Repair) -> dict[str, object]:
    def edit(made: Edit) -> dict[str, object]:
        (line, column), (end_line, end_column) = place(policy.text, made.start), place(policy.text, made.end)
        return {
            "start": {"offset": made.start, "line": line, "column": column},
            "end": {"offset": made.end, "line": end_line, "column": end_column},
            "replacement": made.text,
        }

    return {"says": repair.says, "safe": repair.safe, "edits": [edit(made) for made in repair.edits]}
