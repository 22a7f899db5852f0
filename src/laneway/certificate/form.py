"""form: the file that says what was proved of a policy, strictly read and atomically written.

It is a claim and no proof: `certify` makes it from the first proof, and `second` settles every line of it anew.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from laneway.errors import LanewayError, shown
from laneway.signals import Difficulty, Latency, Signals, Stakes
from laneway.source import replace_file

__all__ = ["HOPS", "Certificate", "CertificateError", "Example", "Hop", "Kept", "Witnesses", "read", "sealed", "write"]

Hop = Literal["first", "fallback", "escalation", "judge", "shadow"]
HOPS: tuple[Hop, ...] = ("first", "fallback", "escalation", "judge", "shadow")


class CertificateError(LanewayError):
    """The file is no certificate (exit 5): it does not read, or does not have the shape of one."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One request by its facts, as in `Signals`."""

    sensitivity: str
    difficulty: Difficulty = "routine"
    stakes: Stakes = "normal"
    latency: Latency = "interactive"
    ceiling: float | None = None
    tokens: int = 0
    needs: tuple[str, ...] = ()
    workload: str | None = None
    team: str | None = None
    region: str | None = None
    declared: dict[str, str | float] = {}

    @classmethod
    def of(cls, signals: Signals) -> Example:
        """The facts of `signals`."""
        return cls(**{fact: getattr(signals, fact) for fact in cls.__struct_fields__})

    @property
    def signals(self) -> Signals:
        """The request for the interpreter."""
        return Signals(**msgspec.structs.asdict(self))


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lanes that a `must` keeps its requests out of."""

    must: str
    lanes: tuple[str, ...]


class Witnesses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For each rule, in the order of the file, a request that it decides."""

    routes: tuple[Example, ...]
    fallbacks: tuple[Example, ...]
    reviews: tuple[Example, ...]
    limits: tuple[Example, ...]


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was proved of a policy, when and by what. `certificate` is the version of this grammar.

    `reach` says by which hops a request of each class may reach each lane, in some outage of the others.
    `digest` is the SHA-256 of all the rest in canonical form: JSON, keys sorted, no spaces, UTF-8.
    """

    certificate: Literal[1] = 1
    policy_hash: str
    laneway: str
    day: datetime.date
    prover: str
    prover_version: str
    requests: int
    properties: tuple[str, ...]
    reach: dict[str, dict[str, tuple[Hop, ...]]]
    musts: tuple[Kept, ...]
    witnesses: Witnesses
    digest: str = ""

    @property
    def fingerprint(self) -> str:
        """What `digest` has to be."""
        claims = msgspec.to_builtins(self)
        del claims["digest"]
        return hashlib.sha256(msgspec.json.encode(claims, order="sorted")).hexdigest()


def sealed(certificate: Certificate) -> Certificate:
    """The certificate with its digest."""
    return msgspec.structs.replace(certificate, digest=certificate.fingerprint)


def read(path: Path) -> Certificate:
    """The certificate in a file. Raises CertificateError for anything that is not exactly one."""
    try:
        found = json.loads(path.read_bytes(), object_pairs_hook=_once, parse_constant=_no_number)
        return msgspec.convert(found, Certificate)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise CertificateError(f"{path} is no certificate: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key `{shown(next(k for k in keys if keys.count(k) > 1))}` stands there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def write(certificate: Certificate, path: Path) -> None:
    """Put the certificate into the file, whole or not at all."""
    data = msgspec.json.format(msgspec.json.encode(certificate), indent=2) + b"\n"
    replace_file(path, data, 0o644)  # a certificate is to be shown around
