"""describe: a request told by its facts in place of its text, as flags and cases tell it.

What a client would say goes through `classify` as labels; what only a text shows (difficulty, tokens, needs)
is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from laneway.classify import classify
from laneway.policy import Policy
from laneway.request import Request
from laneway.signals import Ask, Evidence, Signals

__all__ = ["BARE", "LABELS", "described"]

BARE = b'{"model":"auto","messages":[]}'
"""The body of a request that has no text."""
LABELS = ("sensitivity", "workload", "stakes", "latency", "ceiling", "team", "region", "language")
"""The facts that a client states, as `laneway-NAME`."""


def described(policy: Policy, request: Request, stated: Mapping[str, Any], *, bare: bool) -> tuple[Ask, Signals]:
    """`classify`, with what is `stated` in place of what the text shows; a `bare` request has none, so no tokens.

    Raises RequestError.
    """
    ask, signals = classify(policy, request)
    known = ({"tokens": 0} if bare else {}) | dict(stated)
    found = tuple(e for e in signals.evidence if e.signal not in known)
    said = tuple(Evidence(name, "request", "stated", _words(value)) for name, value in stated.items())
    return ask, msgspec.structs.replace(signals, **known, evidence=found + said)


def _words(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
