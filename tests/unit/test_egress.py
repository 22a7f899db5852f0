"""The egress guard: it agrees with the wall, lane by lane, though nothing of the planner is in it."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policies import CLASSES, TODAY, full, lane, policies, policy

from laneway.condition import Test as Compare
from laneway.decide import decide
from laneway.decision import Route
from laneway.egress import guard
from laneway.errors import GuardError
from laneway.facts import Facts
from laneway.lane import Lane, Zone
from laneway.policy import Detect, FactType, Grant, Limit, Policy, Workload
from laneway.request import Request
from laneway.signals import Ask, Signals
from laneway.wall import walled
from laneway.wire import openai

STRICT = Grant(id="wall[0]", classes=frozenset({"restricted"}), zones=("ours",))
LOOSE = Grant(id="wall[1]", classes=frozenset(CLASSES) - {"restricted"}, zones=("ours", "all"))
ZONES = {
    "ours": Zone(name="ours", kind=frozenset({"local"})),
    "all": Zone(name="all", kind=frozenset({"local", "premium"})),
}
WALLED = policy(zones=ZONES, grants=(STRICT, LOOSE))


def asked(signals: Signals, text: str = "Hello there") -> Request:
    """A client's request that says of itself what `signals` say."""
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": text}]})
    labels = {f"laneway-fact-{name}": str(value) for name, value in signals.declared.items()}
    return openai.read(body, labels | {"laneway-sensitivity": signals.sensitivity})


def guarded(made: Policy, signals: Signals, to: Lane, today: datetime.date = TODAY) -> None:
    """The guard for a request that is what `signals` say."""
    guard(made, asked(signals), signals, to, today)


def passes(made: Policy, signals: Signals, to: Lane) -> bool:
    """Whether the guard lets `signals` through to a lane."""
    try:
        guarded(made, signals, to)
    except GuardError:
        return False
    return True


def test_the_guard_lets_through_what_the_wall_allows() -> None:
    """Restricted data may go home, public data may go away."""
    guarded(WALLED, Signals(sensitivity="restricted"), WALLED.lanes["home"])
    guarded(WALLED, Signals(sensitivity="public"), WALLED.lanes["away"])


def test_the_guard_stops_what_the_wall_forbids() -> None:
    """Restricted data to a lane outside the zone of its class is stopped, naming class and lane."""
    with pytest.raises(GuardError, match="restricted data may not use lane away"):
        guarded(WALLED, Signals(sensitivity="restricted"), WALLED.lanes["away"])


def test_an_unlisted_class_is_forbidden_everywhere() -> None:
    """A class in no row of the wall may use nothing, nor may any class above it."""
    made = policy(grants=(Grant(id="w", classes=frozenset(CLASSES) - {"internal"}, zones=("all",)),))
    open_to = [c for c in CLASSES if passes(made, Signals(sensitivity=c), made.lanes["home"])]
    assert open_to == ["public"]


def test_a_foreign_lane_object_is_stopped() -> None:
    """A lane that only looks like one of the policy's, or comes from another policy, is not one."""
    twin = dataclasses.replace(WALLED.lanes["home"])
    assert twin == WALLED.lanes["home"]
    for foreign in (twin, lane("elsewhere"), policy().lanes["home"]):
        with pytest.raises(GuardError, match=f"lane {foreign.name} is not a lane of the policy in force"):
            guarded(WALLED, Signals(sensitivity="public"), foreign)


@pytest.mark.parametrize("unknown", ["", "secret", "RESTRICTED", "public "])
def test_an_unknown_class_is_stopped(unknown: str) -> None:
    """A class that the policy does not have may use nothing, and the message does not repeat it."""
    with pytest.raises(GuardError, match=r"^the request's class is not one of the policy's$"):
        guarded(WALLED, Signals(sensitivity=unknown), WALLED.lanes["home"])


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/v1", "https://api.example.com/v1", "http://localhost.evil.example/v1", "http://0.0.0.0/v1", "",
     "http://127.evil.example/v1", "http://127.0.0.1.evil.example/v1"],
)  # fmt: skip
def test_a_local_lane_off_this_machine_is_stopped(url: str) -> None:
    """A `local` lane whose address is elsewhere is stopped at the last moment, whatever the loader thought of it."""
    made = policy(lanes={"home": lane("home", "local", url=url)})
    with pytest.raises(GuardError, match="is `local` but its address is not on this machine"):
        guarded(made, Signals(sensitivity="public"), made.lanes["home"])


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/v1", "http://127.3.2.1/v1", "http://localhost:1", "http://[::1]:1/v1", "unix:/run/m.sock"],
)
def test_a_local_lane_on_this_machine_passes(url: str) -> None:
    """Loopback of both families, localhost and a Unix socket are this machine."""
    made = policy(lanes={"home": lane("home", "local", url=url)})
    guarded(made, Signals(sensitivity="public"), made.lanes["home"])


@pytest.mark.parametrize(
    ("declared", "open_"), [({"matter": "merger"}, False), ({}, False), ({"matter": "none"}, True)]
)
def test_a_limit_closes_a_lane_where_it_holds_or_may_hold(declared: dict[str, str | float], open_: bool) -> None:
    """A rule that narrows the wall stops the call where its condition holds, and where nobody knows."""
    limit = Limit(id="wall[2]", when=Compare("matter", "in", frozenset({"merger"})), zones=("ours",))
    facts = {"matter": FactType("matter", ("merger", "none"))}
    made = policy(zones=ZONES, grants=(STRICT, LOOSE), limits=(limit,), facts=facts)
    assert passes(made, Signals(sensitivity="public", declared=declared), made.lanes["away"]) is open_
    assert passes(made, Signals(sensitivity="public", declared=declared), made.lanes["home"])


def test_the_guard_reads_the_day() -> None:
    """A promise that was fresh when the plan was made may be stale when the bytes leave."""
    made = full()
    guarded(made, Signals(sensitivity="confidential", declared={"matter": "none"}), made.lanes["shared"])
    with pytest.raises(GuardError):
        signals = Signals(sensitivity="confidential", declared={"matter": "none"})
        guarded(made, signals, made.lanes["shared"], TODAY.replace(year=2027))


@settings(max_examples=150)
@given(policies(), st.sampled_from(CLASSES))
def test_guard_and_wall_agree(made: Policy, data_class: str) -> None:
    """For any policy without limits, the guard lets a class through to exactly the lanes that the wall admits."""
    wall = walled(made, TODAY)[data_class]
    assert wall.admitted.keys() | wall.rejected.keys() == made.lanes.keys()
    assert not wall.admitted.keys() & wall.rejected.keys()
    for name, to in made.lanes.items():
        assert passes(made, Signals(sensitivity=data_class), to) is (name in wall.admitted)


@settings(max_examples=150)
@given(
    policies(limited=True), st.sampled_from(CLASSES), st.sampled_from(["normal", "high"]),
    st.sampled_from([{}, {"matter": "merger"}, {"matter": "none"}]),
)  # fmt: skip
def test_guard_and_plan_agree_under_limits(
    made: Policy, data_class: str, stakes: str, declared: dict[str, str | float]
) -> None:
    """For any policy with limits, a lane is in some plan exactly where the guard would let the call pass."""
    signals = msgspec.convert({"sensitivity": data_class, "stakes": stakes, "declared": declared}, Signals)
    for name, to in made.lanes.items():
        decision = decide(made, Ask(pin=name), signals, Facts(today=TODAY))
        assert isinstance(decision, Route) is passes(made, signals, to)


@settings(max_examples=100)
@given(policies())
def test_raising_a_class_never_opens_a_lane(made: Policy) -> None:
    """Each class may use no lane that the class below it may not."""
    open_to = [{n for n, to in made.lanes.items() if passes(made, Signals(sensitivity=c), to)} for c in CLASSES]
    for below, above in itertools.pairwise(open_to):
        assert above <= below


# Nothing of the signals is taken on trust


@pytest.mark.parametrize(
    ("labels", "text", "model"),
    [
        ({"laneway-sensitivity": "restricted"}, "Hello", "auto"),
        ({}, "Her number is 19811218-9876.", "auto"),
        ({"laneway-sensitivity": "public"}, "Her number is 19811218-9876.", "auto"),
        ({"laneway-workload": "payroll"}, "Hello", "auto"),
        ({"laneway-sensitivity": "public"}, "Hello", "payroll"),
        ({}, "1" * 7 + "811218-9876 " * 30_000, "auto"),
    ],
    ids=["label", "identifier", "label below an identifier", "workload", "workload as model", "too costly to read"],
)
def test_the_class_is_read_again_at_the_door(labels: dict[str, str], text: str, model: str) -> None:
    """Signals that say less than the request does are caught: label, workload and text are read once more."""
    payroll = Workload(name="payroll", sensitivity="restricted")
    made = policy(zones=ZONES, grants=(STRICT, LOOSE), workloads={"payroll": payroll},
                  detect=Detect(identifiers={"*": "restricted"}, unreadable="restricted"))  # fmt: skip
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": text}]})
    request = openai.read(body, labels)
    with pytest.raises(GuardError, match="was taken for public, and is restricted"):
        guard(made, request, Signals(sensitivity="public"), made.lanes["away"], TODAY)
    guard(made, request, Signals(sensitivity="public"), made.lanes["home"], TODAY)  # which may have everything


def test_what_the_client_did_not_say_of_a_limit_is_not_believed() -> None:
    """A fact that the planner invented opens nothing: what counts is what the client sent."""
    limit = Limit(id="wall[2]", when=Compare("matter", "in", frozenset({"merger"})), zones=("ours",))
    facts = {"matter": FactType("matter", ("merger", "none"))}
    made = policy(zones=ZONES, grants=(STRICT, LOOSE), limits=(limit,), facts=facts)
    invented = Signals(sensitivity="public", declared={"matter": "none"})
    with pytest.raises(GuardError, match=r"wall\[2\] closes lane away"):
        guard(made, asked(Signals(sensitivity="public")), invented, made.lanes["away"], TODAY)
    guard(made, asked(invented), invented, made.lanes["away"], TODAY)


@pytest.mark.parametrize(
    ("when", "labels", "model"),
    [
        (Compare("stakes", "in", frozenset({"high"})), {"laneway-stakes": "high"}, "auto"),
        (Compare("stakes", "in", frozenset({"high"})), {}, "payroll"),
        (Compare("latency", "in", frozenset({"batch"})), {"laneway-latency": "batch"}, "auto"),
        (Compare("latency", "in", frozenset({"background"})), {}, "payroll"),
        (Compare("ceiling", "under", frozenset({1.0})), {"laneway-ceiling": "0.50"}, "auto"),
        (Compare("tokens", "over", frozenset({20.0})), {}, "auto"),
        (Compare("needs", "in", frozenset({"json"})), {}, "auto"),
        (Compare("workload", "in", frozenset({"payroll"})), {}, "payroll"),
        (Compare("team", "in", frozenset({"board"})), {"laneway-team": "board"}, "auto"),
        (Compare("region", "in", frozenset({"SE"})), {"laneway-region": "SE"}, "auto"),
    ],
)
def test_what_a_limit_looks_at_is_read_again(when: Compare, labels: dict[str, str], model: str) -> None:
    """Signals that lack what a client said, sent or asked for open no lane that a limit closes."""
    payroll = Workload(name="payroll", stakes="high", latency="background")
    made = policy(zones=ZONES, grants=(STRICT, LOOSE), limits=(Limit(id="wall[2]", when=when, zones=("ours",)),),
                  workloads={"payroll": payroll})  # fmt: skip
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "Hello " * 40}],
                                "response_format": {"type": "json_object"}})  # fmt: skip
    request = openai.read(body, labels)
    with pytest.raises(GuardError, match=r"wall\[2\] closes lane away"):
        guard(made, request, Signals(sensitivity="internal"), made.lanes["away"], TODAY)
    other = dataclasses.replace(made, limits=(Limit(id="wall[2]", when=Compare(when.fact, "in", frozenset({"-"})),
                                                    zones=("ours",)),))  # fmt: skip
    guard(other, request, Signals(sensitivity="internal"), other.lanes["away"], TODAY)


def test_what_is_scanned_is_what_leaves() -> None:
    """A text that was read as another than the one that is sent is judged by the one that is sent."""
    made = policy(
        zones=ZONES, grants=(STRICT, LOOSE), detect=Detect(identifiers={"*": "restricted"}, unreadable="restricted")
    )
    number, harmless = (
        asked(Signals(sensitivity="public"), text) for text in ("Her number is 19811218-9876.", "Hello")
    )
    mixed = dataclasses.replace(number, canonical=harmless.canonical)
    with pytest.raises(GuardError, match="was taken for public, and is restricted"):
        guard(made, mixed, Signals(sensitivity="public"), made.lanes["away"], TODAY)
