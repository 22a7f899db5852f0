"""certify: a policy that was proved in, the certificate that says what was proved of it out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from importlib.metadata import version

from laneway import __version__
from laneway.certificate.form import HOPS, Certificate, Example, Hop, Kept, Witnesses, sealed
from laneway.policy import Policy
from laneway.proof.finding import Subject
from laneway.proof.liveness import closes
from laneway.proof.oracle import choose
from laneway.proof.safety import kept_out
from laneway.proof.space import Formula, Space, both, signals_of
from laneway.proof.verify import PROPERTIES, Report

__all__ = ["certify"]


def certify(policy: Policy, report: Report, today: datetime.date, seconds: float = 60) -> Certificate:
    """The certificate of a policy that `report` says was proved on `today`. Raises NotProved when time runs out."""
    assert report.proved, "only what is proved is certified"
    space = Space(policy)
    subject = Subject(policy, today, space, choose(space, seconds))
    reach, by_z3 = subject.reach, subject.oracle.name == "z3"
    return sealed(Certificate(
        policy_hash=policy.hash, laneway=__version__, day=today, requests=space.size, properties=tuple(PROPERTIES),
        prover=subject.oracle.name, prover_version=version("z3-solver") if by_z3 else __version__,
        reach={name: _reached(subject, name) for name in policy.classes},
        musts=tuple(Kept(rule.id, tuple(lane.name for lane in kept_out(subject, rule))) for rule in policy.must),
        witnesses=Witnesses(
            routes=_examples(subject, reach.routed),
            fallbacks=_examples(subject, (both(falls, reach.tried) for falls in reach.falls)),
            reviews=_examples(subject, reach.reviewed),
            limits=_examples(subject, (closes(reach, limit) for limit in policy.limits)),
        ),
    ))  # fmt: skip


def _reached(subject: Subject, data_class: str) -> dict[str, tuple[Hop, ...]]:
    of = subject.space.having("sensitivity", data_class)
    reach = subject.reach
    ways: dict[Hop, dict[str, Formula]] = {
        "first": reach.first, "fallback": reach.fallback, "escalation": reach.escalation, "judge": reach.judge,
        "shadow": reach.shadow,
    }  # fmt: skip
    return {lane: tuple(hop for hop in HOPS if not subject.empty(of, ways[hop][lane])) for lane in subject.policy.lanes}


def _examples(subject: Subject, decided: Iterable[Formula]) -> tuple[Example, ...]:
    return tuple(_example(subject, formula) for formula in decided)


def _example(subject: Subject, formula: Formula) -> Example:
    cell = subject.oracle.find(formula)
    assert cell is not None, "it was proved that every rule decides something"
    return Example.of(signals_of(subject.space, cell))
