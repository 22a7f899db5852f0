"""verify: a policy in; what was proved of it, or the requests that break it, out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from laneway.policy import Policy
from laneway.proof.finding import Finding, Subject
from laneway.proof.lint import lint
from laneway.proof.liveness import alive, bounded, decided
from laneway.proof.oracle import NotProved, choose
from laneway.proof.safety import monotone, must, wall
from laneway.proof.space import Space

__all__ = ["PROPERTIES", "Progress", "Report", "verify"]

PROPERTIES: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "no rule names a lane behind the wall": wall,
    "what must never happen cannot": must,
    "every request is decided": decided,
    "what the wall keeps from a class it keeps from every higher one": monotone,
    "every rule decides something": alive,
    "ceilings and deadlines can be met": bounded,
}
"""What is proved, in the order in which it is."""

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, errors first. `unproved` says why the proof is not finished, if so."""

    prover: str
    requests: int
    findings: tuple[Finding, ...]
    unproved: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep a policy from being used."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def proved(self) -> bool:
        """True where every property holds and nothing was left unproved."""
        return not self.errors and not self.unproved


def verify(policy: Policy, today: datetime.date, *, seconds: float = 60, progress: Progress = lambda _: None) -> Report:
    """Prove every property of `policy` on `today`, or find the requests that break it, in `seconds` at most."""
    space, findings, prover, unproved = Space(policy), list[Finding](), "none", ""
    try:
        oracle = choose(space, seconds)
        prover, subject = oracle.name, Subject(policy, today, space, oracle)
        for name, property_ in PROPERTIES.items():
            progress(name)
            findings += property_(subject)
    except NotProved as error:
        unproved = str(error)
    findings += lint(policy, today)
    findings.sort(key=lambda finding: (finding.severity != "error", finding.line))
    return Report(prover=prover, requests=space.size, findings=tuple(findings), unproved=unproved)
