"""without: what is lost if a guarantee falls, lane by lane and class by class."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from tests import generated
from tests.policies import FULL, SMALL, TODAY, changed, full

from laneway.cli import main
from laneway.decide import decide
from laneway.decision import Refuse
from laneway.errors import UsageError
from laneway.lane import Price
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.finding import without as facts_without
from laneway.proof.space import Space, signals_of
from laneway.proof.without import without
from laneway.signals import Ask

LAST = changed("{try: cheapest}", "{when: {stakes: high}, try: away}\n  - {try: cheapest}", SMALL).replace(
    "restricted, zones: [ours]", "restricted, zones: [ours, all]"
)


def losses(policy: Policy, *fallen: str) -> list[tuple[str, str, bool, tuple[str, ...]]]:
    """What is lost, as (lane, class, whole, instead)."""
    lost = without(policy, fallen, TODAY).losses
    return [(loss.lane, loss.data_class, loss.whole, loss.instead) for loss in lost]


def test_a_transfer_basis_takes_the_lanes_abroad_with_it() -> None:
    """Without DPF the American lane is shut to the classes that had it, and others take over."""
    assert losses(full(), "transfer=DPF") == [
        ("premium", "public", True, ("home", "rack", "shared")),
        ("premium", "internal", True, ("home", "rack", "shared")),
    ]


def test_guarantees_fall_together() -> None:
    """Without contracts and without one lane of ours, the other takes everything."""
    lost = without(full(), ("dpa", "lane=home"), TODAY)
    assert lost.lanes == ("shared", "premium", "home")
    assert {loss.instead for loss in lost.losses} == {("rack",)}


def test_a_lane_without_its_place_is_in_no_zone_that_names_one() -> None:
    """`runs=EEA` shuts what runs in Germany; a lane of ours in Norway stays ours by its kind."""
    assert {lane for lane, *_ in losses(full(), "runs=EEA")} == {"shared"}


def test_a_request_that_no_lane_is_left_for_is_shown() -> None:
    """Where a rule names the lane alone, the request that is then refused comes with its flags."""
    lost = without(parse(LAST), ("lane=away",), TODAY)
    assert [(loss.data_class, loss.instead) for loss in lost.losses] == [
        ("public", ("home",)),
        ("restricted", ("home",)),
    ]
    for loss in lost.losses:
        assert loss.refused is not None
        assert "high" in loss.refused.flags
        assert isinstance(loss.refused.decision, Refuse)


def test_what_the_policy_would_break_is_told() -> None:
    """A property that needs a known place is broken once the place is unknown; errors that stood before are not told."""
    text = changed("must:\n", "must:\n  - {id: eea, never: {lane: {name: shared, runs: {not: EEA}}}}\n",
                   changed("public], zones: [ours, eea, world]", "public], zones: [ours, eea, world, any]",
                           changed("zones:\n", "zones:\n  any: {lanes: [shared]}\n")))  # fmt: skip
    told = {error.about for error in without(parse(text), ("verified",), TODAY).errors}
    assert "eea" in told
    assert "lanes.bench" not in told


@pytest.mark.parametrize("asked", ["transfer=SCC", "owner=SE"])
def test_what_no_lane_has_is_no_loss(asked: str) -> None:
    """A guarantee that nothing rests on takes nothing with it."""
    lost = without(full(), (asked,), TODAY)
    assert (lost.lanes, lost.losses, lost.errors) == ((), (), ())


@pytest.mark.parametrize("asked", ["dpa=US", "runs", "lane=hom", "runs=Sweden", "price", "lane", "verified=now"])
def test_an_unknown_guarantee_is_an_error(asked: str) -> None:
    """What cannot fall is refused with what can, never taken for a loss of nothing."""
    with pytest.raises(UsageError, match="--without"):
        without(full(), (asked,), TODAY)


@given(generated.policies())
@settings(max_examples=60)
def test_every_class_that_is_left_with_a_refusal_is_told(made: Policy) -> None:
    """Whatever request the interpreter refuses once a lane is gone, its class was told to have one."""
    prices = {n: dataclasses.replace(x, price=x.price and Price(0, 0, 0)) for n, x in made.lanes.items()}
    policy = dataclasses.replace(made, lanes=prices, reviews=())
    told = {
        (loss.data_class, loss.refused is not None) for loss in without(policy, ("lane=home",), generated.TODAY).losses
    }
    space = Space(policy)
    emptied = set()
    for cell in itertools.product(*(range(len(d.values)) for d in space.dimensions)):
        signals = signals_of(space, cell)
        both = [
            decide(policy, Ask(), signals, facts_without(policy, signals, down, generated.TODAY))
            for down in ((), ("home",))
        ]
        if not isinstance(both[0], Refuse) and isinstance(both[1], Refuse):
            emptied.add(signals.sensitivity)
    assert emptied <= {data_class for data_class, refused in told if refused}


def test_the_command_tells_it_and_exits_0(tmp_path: Path) -> None:
    """`check --without` asks a question: it ends with 0, and with 6 where the policy is broken as it stands."""
    path = tmp_path / "p.yaml"
    path.write_text(SMALL)
    told = CliRunner().invoke(main, ["check", str(path), "--without", "lane=away"])
    assert (told.exit_code, "away: public requests may no longer use it" in told.output) == (0, True)
    scripted = CliRunner().invoke(main, ["check", str(path), "--without", "lane=away", "--json"])
    assert json.loads(scripted.output)["losses"][0]["instead"] == ["home"]
    assert path.read_text() == SMALL
    path.write_text(FULL)
    assert CliRunner().invoke(main, ["check", str(path), "--without", "dpa"]).exit_code == 6
    assert CliRunner().invoke(main, ["check", str(path), "--without", "dpa", "--fix"]).exit_code == 2
