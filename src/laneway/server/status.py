"""status: what the lanes are doing, and what work is shut to them, as JSON for `laneway lanes`; as text for /metrics.

Labels are names of the policy and stable codes: nothing that a client or a lane said is in them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from laneway.admission import admitted
from laneway.evidence.owed import owed
from laneway.gateway import Gateway
from laneway.quantile import quantile
from laneway.traffic import Flow

__all__ = ["closed", "lanes", "metrics"]

_Labels = tuple[tuple[str, str], ...]
_STATES = ("open", "half-open", "paused", "broken", "closed")


def _state(flow: Flow, closed: str | None) -> str:
    """`open` for calls, or why not: `closed` by the server, `paused` by its own wish, `broken` or `half-open`."""
    if closed is not None:
        return "closed"
    if flow.paused > flow.clock():
        return "paused"
    found = flow.breaker.state(flow.clock())
    return {"closed": "open", "open": "broken"}.get(found, found)


def closed(gateway: Gateway) -> dict[str, str]:
    """Why each lane that takes no calls takes none: its key, the day's proof, or an operator's lever."""
    levers, active = gateway.levers, gateway.active
    if levers.stopped:
        return dict.fromkeys(active.policy.lanes, levers.stopped)
    return {**active.closed, **levers.closed}


def lanes(gateway: Gateway) -> list[dict[str, object]]:
    """Each lane of the policy in force, its state and its latest calls; times are seconds unless they say otherwise."""
    out, shut = closed(gateway), _unproven(gateway)
    return [_lane(gateway.traffic.of(lane), out.get(name), gateway.others.get(name, ""), shut[name])
            for name, lane in gateway.active.policy.lanes.items()]  # fmt: skip


class _Unproven(NamedTuple):
    """The work that a lane may not do for want of evidence or a waiver, with why; and whether that is `all` work."""

    works: list[dict[str, str]]
    all: bool


def _unproven(gateway: Gateway) -> dict[str, _Unproven]:
    policy, day = gateway.active.policy, gateway.today()
    rows = list(owed(gateway.active.standing, day)) if policy.measured else []
    found = dict[str, _Unproven]()
    for name in policy.lanes:
        shut = [{"workload": row.workload, "language": row.language, "why": row.told}
                for row in rows if row.lane == name and row.code == "no-evidence"]  # fmt: skip
        unmeasured = [None, *(work for work in policy.workloads if work not in policy.measured)]
        others = [admitted(policy, name, work, None, day) for work in unmeasured]
        serves = any(row.lane == name and row.code != "no-evidence" for row in rows)
        found[name] = _Unproven(shut, not serves and all(reason.code == "no-evidence" for reason in others))
        if found[name].all and not shut:
            shut.append({"workload": "", "language": "", "why": others[0].effect})
    return found


def _lane(flow: Flow, closed: str | None, other: str, shut: _Unproven) -> dict[str, object]:
    limits = flow.slots.limits
    failures = [{"at": datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds"), "code": code}
                for at, code in flow.failures]  # fmt: skip
    return {
        "lane": flow.name, "state": "shut" if shut.all and closed is None else _state(flow, closed),
        "why": closed or "", "retry_in": round(flow.wait(), 1),
        "in_flight": flow.slots.held, "waiting": flow.slots.waiting, "concurrency": limits.concurrency,
        "rpm": limits.rpm, "calls": dict(flow.calls), "skips": dict(flow.skips), "retries": flow.retries,
        "hedges": flow.hedges,
        "failures": failures, "p50": _seconds(flow, 0.5), "p95": _seconds(flow, 0.95),
        "other_model": other, "shut": shut.works,
    }  # fmt: skip


def _seconds(flow: Flow, share: float) -> float | None:
    """The seconds that a `share` of the lane's latest answers did not exceed."""
    found = quantile(flow.seconds, share)
    return None if found is None else round(found, 3)


def metrics(gateway: Gateway, *, in_flight: int, shed: int, log_ok: bool) -> str:
    """The text that Prometheus reads."""
    traffic, shut = gateway.traffic, closed(gateway)
    flows = [(traffic.of(lane), shut.get(name)) for name, lane in gateway.active.policy.lanes.items()]

    def each(value: str) -> Iterator[tuple[_Labels, float]]:
        for flow, _ in flows:
            yield (("lane", flow.name),), getattr(flow.slots, value)

    def counted(value: str) -> Iterator[tuple[_Labels, float]]:
        for flow, _ in flows:
            for code, count in sorted(getattr(flow, value).items()):
                yield (("lane", flow.name), ("result", code)), count

    states = (((("lane", flow.name), ("state", state)), float(_state(flow, closed) == state))
              for flow, closed in flows for state in _STATES)  # fmt: skip
    parts = (
        _family("requests_total", "counter", "Requests on record, by how they ended.",
                (((("status", status),), count) for status, count in sorted(traffic.ended.items()))),
        _family("requests_in_flight", "gauge", "Requests that are being answered or wait.", [((), in_flight)]),
        _family("requests_shed_total", "counter", "Requests turned away unrecorded: too many at once.", [((), shed)]),
        _family("log_ok", "gauge", "1 where the decision log can be written.", [((), float(log_ok))]),
        _family("lever", "gauge", "1 for each lever of an operator that is in force.",
                (((("target", lever.target), ("action", lever.action)), 1.0)
                 for lever in gateway.levers.in_force.values())),
        _family("lane_state", "gauge", "1 for the state that the lane is in.", states),
        _family("lane_in_flight", "gauge", "Calls of the lane under way.", each("held")),
        _family("lane_waiting", "gauge", "Requests that wait for a slot of the lane.", each("waiting")),
        _family("lane_calls_total", "counter", "Calls of the lane, by result.", counted("calls")),
        _family("lane_skips_total", "counter", "Calls not made, as the lane was left alone or busy.", counted("skips")),
        _family("lane_retries_total", "counter", "Calls of the lane that were a retry.",
                (((("lane", flow.name),), flow.retries) for flow, _ in flows)),
        _family("lane_hedges_total", "counter", "Calls of other lanes, as this one was slow to begin.",
                (((("lane", flow.name),), flow.hedges) for flow, _ in flows)),
        _family("lane_answer_seconds_total", "counter", "Time that the lane took for its answers.",
                (((("lane", flow.name),), flow.spent) for flow, _ in flows)),
    )  # fmt: skip
    return "".join(parts)


def _family(name: str, kind: str, says: str, samples: Iterable[tuple[_Labels, float]]) -> str:
    lines = [f"# HELP laneway_{name} {says}", f"# TYPE laneway_{name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{text}"' for label, text in labels)
        lines.append(f"laneway_{name}{{{inside}}} {value:.10g}" if inside else f"laneway_{name} {value:.10g}")
    return "\n".join(lines) + "\n"
