"""Mutants: every change that opens a path is an error of the proof, no harmless one is, and the guard stops the rest.

What opens a path is not told by the proof's own model: the real gateway runs each mutant before capture servers, for
every kind of request and the outages that lead down every hop, and a marker arrives where it must not, or does not.
`MUTANTS=all` runs all of them and repairs all of them; without it what takes long is done for a sample.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from tests.mutants import CLASSES, JUDGED, KINDS, SOUND, TODAY, Kind, World, edited, harmless, named, opening, world

from laneway import gateway, judge, serve
from laneway.classify import classify
from laneway.decide import decide
from laneway.decision import Decision, Route
from laneway.egress import guard
from laneway.errors import GuardError
from laneway.facts import Facts
from laneway.lane import KINDS as LANE_KINDS
from laneway.lane import Lane, Zone
from laneway.policy import Grant, Policy
from laneway.policy_file import parse
from laneway.proof.verify import Report, verify
from laneway.repair.edits import applied
from laneway.repair.mended import repaired
from laneway.request import Request
from laneway.run import Run
from laneway.signals import Ask, Signals
from laneway.wire import openai

ALL = os.environ.get("MUTANTS") == "all"
FACTS = Facts(today=TODAY)


def before(directory: Path, check: Callable[[World], object]) -> None:
    """Run a check before capture servers."""

    async def whole() -> None:
        async with world(directory) as made:
            await check(made)  # type: ignore[misc]

    uvloop.run(whole())


def sent(kind: Kind) -> Request:
    """What a client of that kind sends."""
    return openai.read(kind.body(stream=False), kind.headers)


def asked(policy: Policy, kind: Kind) -> tuple[Ask, Signals]:
    """What a kind of request is under a policy."""
    return classify(policy, sent(kind))


def plans(policy: Policy) -> dict[str, object]:
    """What is decided for every kind of request: the lanes on each hop, or that there is none."""
    made = {kind.marker: decide(policy, *asked(policy, kind), FACTS) for kind in KINDS}
    return {
        marker: (plan.lanes, plan.escalate, plan.on_failure, plan.on_weak) if isinstance(plan, Route) else type(plan)
        for marker, plan in made.items()
    }


def sampled(mutants: list[tuple[str, tuple[tuple[str, str], ...]]], step: int) -> list[tuple[str, str]]:
    """(family, text) of all mutants, or of one in `step`, each of them another text than the sound one."""
    made = [(family, edited(edits)) for family, edits in mutants[:: 1 if ALL else step]]
    assert all(text is not None for _, text in made)
    return [(family, text) for family, text in made if text is not None and text != SOUND]


@pytest.mark.parametrize("text", [SOUND, JUDGED], ids=["plain", "judged"])
def test_the_sound_policy_is_proved_and_lets_nothing_through(tmp_path: Path, text: str) -> None:
    """The policy that mutants are made of has no finding, and no request reaches a place that is shut to it."""

    async def check(at: World) -> None:
        policy = at.policy(text)
        assert verify(policy, TODAY).findings == ()
        assert await at.leaks(policy) == set()
        assert all(lane.requests for lane in at.lanes.values())

    before(tmp_path, check)


def test_every_mutant_that_opens_a_path_is_an_error(tmp_path: Path) -> None:
    """Of 300 and more mutants at least 200 let a marker through to a forbidden place, and each is an error."""

    async def check(at: World) -> None:
        opened, missed = Counter[str](), []
        for family, text in sampled(opening(), 3):
            policy = at.policy(text)
            if await at.leaks(policy):
                opened[family] += 1
                if not verify(policy, TODAY).errors:
                    missed.append((family, text))
        print(f"\n{opened.total()} mutants open a path, {len(missed)} of them missed: {dict(opened)}")
        assert missed == []
        assert opened.total() >= (200 if ALL else 60)

    before(tmp_path, check)


def test_no_harmless_mutant_is_an_error(tmp_path: Path) -> None:
    """200 texts that mean the same, as the decisions for every kind of request show, have no error."""

    async def check(at: World) -> None:
        chance, texts = random.Random(20261124), dict[str, None]()
        sound = plans(at.policy(SOUND))
        while len(texts) < 200:
            texts[harmless(chance)] = None
        alarms = []
        for text in texts:
            policy = at.policy(text)
            assert plans(policy) == sound, text
            alarms += [(error.code, error.message) for error in verify(policy, TODAY).errors]
        assert alarms == []

    before(tmp_path, check)


def test_a_rule_that_works_only_thanks_to_the_wall_is_an_error_too(tmp_path: Path) -> None:
    """A rule that names a lane which the wall keeps from some of its requests sends no byte there, and is told."""

    async def check(at: World) -> None:
        for family, text in sampled(named(), 1):
            codes = {error.code for error in verify(at.policy(text), TODAY).errors}
            assert "names-forbidden-lane" in codes, (family, text)
        for _, text in sampled(named(), 12):
            assert await at.leaks(at.policy(text)) == set()

    before(tmp_path, check)


@pytest.mark.parametrize(
    ("old", "new", "through"),
    [
        ('url: "@rack"', 'url: "@premium"', {("restricted-patent", "premium")}),
        ('identifiers: {card: confidential, "*": restricted}', "identifiers: public", {("identifier", "premium")}),
    ],
    ids=["address", "detector"],
)
def test_what_the_policy_says_of_the_world_is_not_proved(
    tmp_path: Path, old: str, new: str, through: set[tuple[str, str]]
) -> None:
    """A lane at a false address, and an identifier that counts for nothing, open a path that no property speaks of."""

    async def check(at: World) -> None:
        text = edited(((old, new),))
        assert text is not None
        policy = at.policy(text)
        assert await at.leaks(policy) >= through
        assert verify(policy, TODAY).errors == ()

    before(tmp_path, check)


# repairs


def mended(policy: Policy, sound: dict[str, object] | None) -> Policy:
    """The policy with the first repair of each error, broken properties first, until none is left to make.

    With `sound` plans those are its cases.
    """

    def failing(changed: Policy) -> int:
        return 0 if sound is None else sum(plan != sound[marker] for marker, plan in plans(changed).items())

    report: Report = verify(policy, TODAY)
    for _ in range(12):
        report = repaired(policy, report, TODAY, seconds=60, failing=failing)
        errors = sorted(report.errors, key=lambda error: error.code != "must-broken")
        first = next((repair for error in errors for repair in error.repairs), None)
        if first is None:
            break
        policy = parse(applied(policy.text, first.edits), policy.file)
        report = verify(policy, TODAY)
    return policy


@pytest.mark.parametrize("cases", [False, True], ids=["alone", "with cases"])
def test_repairs_shut_what_a_mutant_opened(tmp_path: Path, cases: bool) -> None:
    """Nine of ten that opened a path are proved after the first repairs and let no byte by; with cases most decide as before."""

    async def check(at: World) -> None:
        sound, tally = plans(at.policy(SOUND)), Counter[str]()
        for _, text in sampled(opening(), 19):
            policy = at.policy(text)
            if not await at.leaks(policy):
                continue
            tally["opened"] += 1
            policy = mended(policy, sound if cases else None)
            if verify(policy, TODAY).proved:
                tally["proved"] += 1
                assert await at.leaks(policy) == set(), text
                tally["as before"] += plans(policy) == sound
        print(f"\n{dict(tally)}")
        assert tally["proved"] >= 0.9 * tally["opened"]
        assert not cases or tally["as before"] >= 0.7 * tally["opened"]

    before(tmp_path, check)


# the interpreter itself


@cache
def unwalled(policy: Policy) -> Policy:
    """The policy without a wall."""
    everything = Zone(name="everything", kind=frozenset(LANE_KINDS))
    row = Grant(id="none", classes=frozenset(CLASSES), zones=("everything",))
    return dataclasses.replace(policy, zones=policy.zones | {"everything": everything}, grants=(row,), limits=())


@cache
def unlimited(policy: Policy) -> Policy:
    """The policy without limits."""
    return dataclasses.replace(policy, limits=())


@cache
def trusting(policy: Policy) -> Policy:
    """The policy whose limits take what is unknown for no."""
    limits = tuple(dataclasses.replace(limit) for limit in policy.limits)
    for limit in limits:
        object.__setattr__(limit, "possibly", limit.surely)
    return dataclasses.replace(policy, limits=limits)


def grafted(policy: Policy, ask: Ask, signals: Signals, facts: Facts, *parts: str) -> Decision:
    """The true plan with parts of the plan that a policy without a wall would make."""
    true, free = decide(policy, ask, signals, facts), decide(unwalled(policy), ask, signals, facts)
    if not isinstance(free, Route) or not isinstance(true, Route):
        return true
    taken: dict[str, object] = {part: getattr(free, part) for part in ("escalate", "judge") if part in parts}
    if "lanes" in parts:
        taken["lanes"] = tuple(dict.fromkeys((*true.lanes, *free.lanes)))
    return msgspec.structs.replace(true, **taken)


def pinned(policy: Policy, ask: Ask, signals: Signals, facts: Facts) -> Decision:
    """A pin that the wall does not hold back."""
    return decide(unwalled(policy) if ask.pin else policy, ask, signals, facts)


DECIDES: dict[str, Callable[[Policy, Ask, Signals, Facts], Decision]] = {
    "the wall is skipped": lambda p, *rest: decide(unwalled(p), *rest),
    "limits are skipped": lambda p, *rest: decide(unlimited(p), *rest),
    "limits take unknown for no": lambda p, *rest: decide(trusting(p), *rest),
    "the wall is skipped on fallback": lambda p, *rest: grafted(p, *rest, "lanes"),
    "the wall is skipped on escalation": lambda p, *rest: grafted(p, *rest, "escalate"),
    "the wall is skipped on both": lambda p, *rest: grafted(p, *rest, "lanes", "escalate"),
    "the wall is skipped on the judge": lambda p, *rest: grafted(p, *rest, "judge"),
    "the wall is skipped for a pin": pinned,
    "the request's class is lowered": lambda p, a, s, f: decide(
        p, a, msgspec.structs.replace(s, sensitivity="public"), f
    ),
    "the request's facts are invented": lambda p, a, s, f: decide(
        p, a, msgspec.structs.replace(s, declared={"matter": "none"}), f
    ),
    "the workload's team is lost": lambda p, a, s, f: decide(p, a, msgspec.structs.replace(s, team=None), f),
}


def serves_all(run: Run, lanes: object, *rest: object) -> object:
    """A loop that goes on to every lane there is."""
    return serve.serve(run, run.policy.strength, *rest)  # type: ignore[arg-type]


BROKEN: dict[str, tuple[tuple[object, str, object], ...]] = {
    name: ((gateway, "decide", decider), (judge, "decide", decider)) for name, decider in DECIDES.items()
} | {
    "a weak answer goes to the strongest lane there is": ((gateway, "escalation", lambda p, *_: p.strength[-1]),),
    "every lane is tried, whatever the plan": ((gateway, "serve", serves_all),),
}


def breaks(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the defect into the interpreter; the policy that shows it."""
    for place in BROKEN[name]:
        monkeypatch.setattr(*place)
    return JUDGED if "judge" in name else SOUND


@pytest.mark.parametrize("name", BROKEN)
def test_the_guard_stops_what_a_broken_interpreter_would_send(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a defect in the planner or the loop the guard stops calls, and no marker reaches a forbidden place."""
    text = breaks(name, monkeypatch)

    async def check(at: World) -> None:
        assert await at.leaks(at.policy(text)) == set()
        assert at.guarded > 0

    before(tmp_path, check)


def _no_guard(policy: Policy, request: Request, signals: Signals, lane: Lane, today: object) -> None:
    """Lets everything through."""


BLANK: dict[str, Any] = {"labels": {"sensitivity": "public", "fact-matter": "patent"}, "body": {}, "canonical": "{}"}
GUARDS: dict[str, Callable[..., None]] = {
    "it is switched off": _no_guard,
    "it skips limits": lambda p, r, s, lane, today: guard(unlimited(p), r, s, lane, today),
    "it skips the table": lambda p, r, s, lane, today: guard(
        dataclasses.replace(unwalled(p), limits=p.limits), r, s, lane, today
    ),
    "it takes unknown for no": lambda p, r, s, lane, today: guard(
        p,
        dataclasses.replace(r, labels={"fact-matter": "none"} | r.labels),
        msgspec.structs.replace(s, declared={"matter": "none"} | s.declared),
        lane,
        today,
    ),
    "it trusts the lowest class": lambda p, r, s, lane, today: guard(
        p, dataclasses.replace(r, **BLANK), msgspec.structs.replace(s, sensitivity="public"), lane, today
    ),
}


def unguarded(guards: Callable[..., None], policy: Policy) -> list[tuple[str, str]]:
    """(marker, place) that are shut by the promises and that a guard lets through."""
    through = []
    for kind in KINDS:
        _, signals = asked(policy, kind)
        for name, lane in policy.lanes.items():
            try:
                guards(policy, sent(kind), signals, lane, TODAY)
            except GuardError:
                continue
            if kind.shut(name):
                through.append((kind.marker, name))
    return through


@pytest.mark.parametrize("name", GUARDS)
def test_the_plan_holds_where_the_guard_is_broken(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the guard alone sends nothing anywhere, and asking the guard for every request and lane tells it."""
    monkeypatch.setattr(serve, "guard", GUARDS[name])

    async def check(at: World) -> None:
        policy = at.policy(SOUND)
        assert await at.leaks(policy) == set()
        assert unguarded(GUARDS[name], policy)
        assert not unguarded(guard, policy)

    before(tmp_path, check)


@pytest.mark.parametrize("name", BROKEN)
def test_only_both_defects_at_once_let_anything_through(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the guard off as well the same defects do send markers, so that the capture servers would have seen them."""
    text = breaks(name, monkeypatch)
    monkeypatch.setattr(serve, "guard", _no_guard)

    async def check(at: World) -> None:
        assert await at.leaks(at.policy(text)) != set()

    before(tmp_path, check)
