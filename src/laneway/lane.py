"""Lanes and zones: named destinations with guarantees, and named sets of them.

Owns what a lane promises and how a zone's conditions read those promises. Unknown satisfies nothing.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from laneway.regions import ADEQUATE, DEVICE, EEA

__all__ = ["KINDS", "Kind", "Lane", "Limits", "Price", "Proxy", "Tls", "Zone", "cloud_backed", "exact", "plain"]

Kind = Literal["local", "private", "managed-open", "premium"]
KINDS = ("local", "private", "managed-open", "premium")


@dataclass(frozen=True, slots=True)
class Price:
    """Money per million tokens, in the policy's currency. A part left unstated counts at the higher rate."""

    input: float
    output: float
    cached_input: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Money for one call."""
        return (tokens_in * self.input + tokens_out * self.output) / 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lane can bear: requests a minute, calls at once, input context and output in tokens."""

    rpm: int | None = None
    concurrency: int | None = None
    context: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """How a lane proves itself, and we to it, each as `file:/path`: a CA in place of the system's, a certificate."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that a lane is reached through (CONNECT); `key` is where `user:password` is kept, if it asks."""

    host: str
    port: int
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A named destination with guarantees. `runs`/`stores`/`owner` None means unknown."""

    name: str
    kind: Kind
    provider: str
    url: str
    model: str
    line: int = 0
    key: str | None = None
    runs: frozenset[str] | None = None
    stores: frozenset[str] | None = None
    owner: frozenset[str] | None = None
    dpa: datetime.date | None = None
    transfer: str | None = None
    retention: int | None = None
    price: Price | None = None
    limits: Limits = Limits()
    verified: datetime.date | None = None
    private_address: bool = False
    gate_after: bool = False
    supports: frozenset[str] | None = None
    reports: frozenset[str] = frozenset()
    tls: Tls | None = None
    proxy: Proxy | None = None

    @property
    def own(self) -> bool:
        """True where we run it ourselves, so that no provider's promise needs verifying."""
        return self.kind in ("local", "private")

    def known(self, today: datetime.date, fresh_days: int) -> bool:
        """Whether what others promise of it was verified within `fresh_days`; else its places are unknown."""
        return self.own or (self.verified is not None and 0 <= (today - self.verified).days <= fresh_days)

    def answers_as(self, model: str) -> bool:
        """Whether a lane that says that `model` answered is the one that the policy speaks of."""
        return model == self.model or model in self.reports

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """Money for one call, None where the price is unknown."""
        return None if self.price is None else self.price.cost(tokens_in, tokens_out)


def _inside(where: frozenset[str] | None, allowed: frozenset[str]) -> bool:
    return where is not None and where <= allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A set of lanes by their guarantees: a lane is in the zone when it meets every stated condition."""

    name: str
    line: int = 0
    kind: frozenset[str] | None = None
    lanes: frozenset[str] | None = None
    runs: frozenset[str] | None = None
    stores: frozenset[str] | None = None
    owner: frozenset[str] | None = None
    dpa: bool = False
    transfer: frozenset[str] | None = None
    retention: int | None = None

    def lacks(self, lane: Lane, today: datetime.date, fresh_days: int) -> str | None:
        """The first condition that `lane` does not meet on `today`, in words; None where it is in the zone.

        A lane of others' whose facts were not verified within `fresh_days` has unknown regions.
        """
        known = lane.known(today, fresh_days)
        runs = lane.runs if known else None
        stores = frozenset() if lane.retention == 0 and known else (lane.stores if known else None)
        stale = "" if known else ", not verified of late"
        if self.kind is not None and lane.kind not in self.kind:
            return f"its kind is {lane.kind}"
        if self.lanes is not None and lane.name not in self.lanes:
            return "it is not named there"
        if self.runs is not None and not _inside(runs, self.runs):
            return f"it runs in {_places(runs)}{stale}"
        if self.stores is not None and not _inside(stores, self.stores):
            return f"it stores in {_places(stores)}{stale}"
        if self.owner is not None and not _inside(lane.owner, self.owner):
            return f"its owner is in {_places(lane.owner)}"
        if self.dpa and (lane.dpa is None or lane.dpa > today):
            return "no data processing agreement is in force"
        if self.transfer is not None and not self._transfers(lane, runs, stores):
            return f"its transfer basis is {lane.transfer or 'none'}"
        if self.retention is not None and (lane.retention is None or lane.retention > self.retention):
            return f"it retains for {'an unknown time' if lane.retention is None else f'{lane.retention} days'}"
        return None

    def _transfers(self, lane: Lane, runs: frozenset[str] | None, stores: frozenset[str] | None) -> bool:
        assert self.transfer is not None
        if "valid" not in self.transfer:
            return lane.transfer in self.transfer
        if runs is None or stores is None:
            return False
        abroad = (runs | stores) - EEA - ADEQUATE - {DEVICE}
        if not abroad or lane.transfer in ("SCC", "BCR"):
            return True
        return lane.transfer == "DPF" and abroad <= {"US"}


def cloud_backed(model: str) -> bool:
    """True for a model that a local server hands on to its maker's cloud (Ollama's `-cloud` names)."""
    return model.lower().endswith(("-cloud", ":cloud"))


def exact(number: float) -> str:
    """A number as clients and policy files write it: up to nine decimals, no exponent."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def plain(amount: float) -> str:
    """An amount in digits: 0.000001 and not 1e-06."""
    short = f"{amount:.9g}"
    return f"{Decimal(short):f}" if "e" in short else short


def _places(where: frozenset[str] | None) -> str:
    return "an unknown place" if where is None else " ".join(sorted(where)) or "no place"
