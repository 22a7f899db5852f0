"""whereabouts: where each lane takes data, how far that is, and what allows it."""

from __future__ import annotations

import datetime
from urllib.parse import urlsplit

from laneway.lane import Lane
from laneway.people.document import Cell, Row
from laneway.people.plain import Plain, days, places
from laneway.policy import Policy
from laneway.regions import ADEQUATE, AS_OF, DEVICE, EEA

__all__ = ["DISTANCES", "Whereabouts"]

DISTANCES = ("this machine", "our own servers", "the EEA", "adequate countries", "elsewhere")
"""How far away a lane is, nearest first; what is unknown of a lane of others counts as elsewhere."""

_UNKNOWN = "none, as the place is unknown"
_BASES = {
    "DPF": "EU-US Data Privacy Framework (DPF)",
    "SCC": "standard contractual clauses (SCC)",
    "BCR": "binding corporate rules (BCR)",
}


class Whereabouts:
    """The lanes of a policy, by what is known of them on a day."""

    def __init__(self, policy: Policy, today: datetime.date) -> None:
        self.policy, self.today, self.plain = policy, today, Plain(policy)

    def known(self, lane: Lane) -> frozenset[str] | None:
        """Every place where the lane runs or stores, None where one of them is unknown today."""
        stores = frozenset[str]() if lane.retention == 0 else lane.stores
        if lane.runs is None or stores is None or not lane.known(self.today, self.policy.fresh_days):
            return None
        return lane.runs | stores

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of `row`."""
        price = f"{self.policy.currency} per million tokens"
        return ("lane", "kind", "where", "company", "agreement since", "keeps data", price, "verified")

    def row(self, lane: Lane) -> Row:
        """What the policy states of a lane; what is missing stands out."""
        said = [f"runs {_at(lane.runs)}", f"stores {_at(lane.stores)}"]
        if lane.runs == lane.stores:
            said = [f"runs and stores {_at(lane.runs)}"]
        contract = Cell("none needed") if lane.own else Cell("none", "warn")
        if lane.dpa is not None:
            basis = _BASES.get(lane.transfer or "", "")
            contract = Cell(f"{lane.dpa}", "" if lane.dpa <= self.today else "warn", basis)
        verified = Cell("not needed") if lane.own else Cell(f"{lane.verified or 'never'}")
        if not lane.known(self.today, self.policy.fresh_days):
            verified = Cell(verified.text, "warn", "its places count as unknown")
        keeps = "not at all" if lane.retention == 0 else "unknown" if lane.retention is None else days(lane.retention)
        if lane.own and lane.retention is None:
            keeps = "as we do"
        company = "ours" if lane.own and lane.owner is None else places(lane.owner)
        name = Cell(lane.name, "", f"{lane.model} at {urlsplit(lane.url).hostname or lane.url}")
        return name, lane.kind, ", ".join(said), company, contract, keeps, self.plain.price(lane), verified

    def abroad(self, lane: Lane) -> tuple[str, Cell] | None:
        """Where outside the EEA the lane may take data, and what allows that; None where it stays."""
        where = self.known(lane)
        if where is None:
            basis = Cell("our own server") if lane.own else Cell(_UNKNOWN, "warn")
            return "where it runs or stores is unknown", basis
        outside = where - EEA - {DEVICE}
        if outside:
            basis = Cell(f"adequacy decisions, as of {AS_OF}") if outside <= ADEQUATE else (
                Cell(_BASES[lane.transfer]) if lane.transfer else Cell("none is stated", "bad"))  # fmt: skip
            return f"it runs or stores {_at(outside)}", basis
        if lane.owner is not None and lane.owner - EEA:
            return f"its company is {_at(lane.owner)}, though the lane is not", Cell(
                "none stated; the lane stays in the EEA"
            )
        return None

    def distance(self, lane: Lane) -> int:
        """Which of `DISTANCES` the lane is at."""
        if lane.own:
            return 0 if lane.kind == "local" else 1
        where = self.known(lane)
        if where is None:
            return 4
        return 2 if where <= EEA else 3 if where <= EEA | ADEQUATE else 4


def _at(where: frozenset[str] | None) -> str:
    return "on this machine" if where == frozenset({DEVICE}) else f"in {places(where)}"
