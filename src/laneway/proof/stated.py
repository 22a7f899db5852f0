"""stated: what a client says of a request, and what a policy makes of it.

Two policies may read one request differently: a floor, a default or a ceiling changed. They are compared on
what the client states (None: it says nothing), which each reads in its own way, as `classify` does.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from laneway.condition import BUILT_IN
from laneway.policy import Policy
from laneway.signals import Signals

__all__ = ["READ", "Value", "read", "read_by", "signals"]

Value = str | float | tuple[str, ...] | None

READ = frozenset({"sensitivity", "difficulty", "stakes", "latency", "ceiling"})
"""The facts of which the workload says how they are read."""


def read(policy: Policy, fact: str, value: Value, name: Value) -> Value:
    """The signal that `policy` makes of what a client states of `fact`, in a request for the workload `name`."""
    workload, default = policy.workloads.get(name) if isinstance(name, str) else None, policy.unlabelled
    if fact == "workload":  # one that the policy does not know counts as none
        return value if value in policy.workloads else None
    if fact == "sensitivity":
        floor = workload and workload.sensitivity
        if value is None:
            return floor or default.sensitivity
        known = floor is not None and value in policy.classes
        return max(str(value), str(floor), key=policy.classes.index) if known else value
    if fact == "difficulty":
        fixed = (workload and workload.difficulty) or default.difficulty
        return value if fixed == "auto" else fixed
    if fact == "stakes":
        return "high" if value == "high" else (workload and workload.stakes) or default.stakes
    if fact == "latency":
        return value or (workload and workload.latency) or default.latency
    if fact == "ceiling":
        limit = default.ceiling if workload is None or workload.ceiling is None else workload.ceiling
        return limit if value is None else value if limit is None else min(float(value), limit)  # type: ignore[arg-type]
    return value


def read_by(policy: Policy, values: Mapping[str, Value]) -> Signals:
    """The signals that `policy` makes of a stated request."""
    return signals({fact: read(policy, fact, value, values["workload"]) for fact, value in values.items()})


def signals(values: Mapping[str, Value]) -> Signals:
    """The request with these facts; None is absent or unknown."""
    said = {fact: value for fact, value in values.items() if value is not None}
    built_in = {fact: value for fact, value in said.items() if fact in BUILT_IN}
    declared = {fact: value for fact, value in said.items() if fact not in built_in}
    return msgspec.convert(built_in | {"declared": declared}, Signals)
