"""Lanes and zones: a promise counts only while it is known, and the unknown satisfies no zone."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import TODAY, lane, lanes, zones

from laneway.lane import Kind, Lane, Price, Zone
from laneway.regions import ADEQUATE, EEA, EU, SETS, region

DAYS = 90
DAY = datetime.timedelta(days=1)


def lacks(made: Lane, today: datetime.date = TODAY, **conditions: Any) -> str | None:
    """What `made` lacks of a zone with `conditions`."""
    return Zone(name="z", **conditions).lacks(made, today, DAYS)


def made(fact: str, value: Any) -> Lane:
    """A lane with one fact stated."""
    facts: dict[str, Any] = {fact: value}
    return lane(**facts)


def places(*names: str) -> frozenset[str]:
    """A set of countries."""
    return frozenset(names)


def test_a_zone_of_kinds_holds_lanes_of_those_kinds() -> None:
    """A kind that the zone does not name is outside it, and the reason says which kind it is."""
    assert lacks(lane(kind="premium"), kind=places("premium")) is None
    assert lacks(lane(kind="premium"), kind=places("local", "private")) == "its kind is premium"


def test_a_zone_of_lanes_holds_those_that_it_names() -> None:
    """A lane that is not named is outside."""
    assert lacks(lane("a"), lanes=places("a")) is None
    assert lacks(lane("b"), lanes=places("a")) == "it is not named there"


@pytest.mark.parametrize("condition", ["runs", "stores", "owner"])
def test_every_country_of_a_lane_must_be_inside(condition: str) -> None:
    """A lane in two countries is in a zone only where both are, and an unknown country is in none."""
    zone: dict[str, Any] = {condition: EEA}
    inside, outside, unknown = (made(condition, where) for where in (places("SE", "DE"), places("SE", "GB"), None))
    assert lacks(inside, **zone) is None
    assert "GB SE" in str(lacks(outside, **zone))
    assert "an unknown place" in str(lacks(unknown, **zone))


@pytest.mark.parametrize("condition", ["runs", "stores", "owner"])
def test_a_zone_of_no_countries_holds_nothing(condition: str) -> None:
    """An empty set of countries is met by no lane that is somewhere."""
    zone: dict[str, Any] = {condition: places()}
    assert lacks(made(condition, places("SE")), **zone) is not None


def test_facts_are_fresh_for_the_stated_days_and_not_one_longer() -> None:
    """A lane's regions count from the day of its verification for as many days as the policy says."""
    made = lane(runs=places("SE"), verified=TODAY)
    assert lacks(made, TODAY, runs=EEA) is None
    assert lacks(made, TODAY + DAYS * DAY, runs=EEA) is None
    assert lacks(made, TODAY + (DAYS + 1) * DAY, runs=EEA) == "it runs in an unknown place, not verified of late"


@pytest.mark.parametrize("verified", [None, TODAY + DAY])
def test_unverified_facts_are_unknown(verified: datetime.date | None) -> None:
    """A lane of others' that was never verified, or is to be verified in the future, has unknown regions."""
    made = lane(runs=places("SE"), stores=places("SE"), transfer="SCC", verified=verified)
    assert lacks(made, runs=EEA) is not None
    assert lacks(made, stores=EEA) is not None
    assert lacks(made, transfer=places("valid")) is not None


@pytest.mark.parametrize("kind", ["local", "private"])
def test_our_own_lanes_need_no_verification(kind: Kind) -> None:
    """What we run ourselves needs no provider's promise."""
    assert lacks(lane(kind=kind, runs=places("SE"), verified=None), runs=EEA) is None


def test_a_lane_that_retains_nothing_needs_no_storage_country() -> None:
    """Retention of no days meets every condition on storage, but only while that is a verified fact."""
    assert lacks(lane(retention=0), stores=EEA) is None
    assert lacks(lane(retention=0), stores=places()) is None
    assert lacks(lane(retention=0, verified=TODAY - (DAYS + 1) * DAY), stores=EEA) is not None
    assert lacks(lane(retention=1), stores=EEA) is not None
    assert lacks(lane(retention=None), stores=EEA) is not None


def test_retention_has_a_limit() -> None:
    """A lane that retains longer than the zone allows, or does not say, is outside."""
    assert lacks(lane(retention=30), retention=30) is None
    assert lacks(lane(retention=31), retention=30) == "it retains for 31 days"
    assert lacks(lane(retention=None), retention=30) == "it retains for an unknown time"


def test_a_contract_counts_from_its_day() -> None:
    """A data processing agreement counts from the day that it bears, and not before."""
    assert lacks(lane(dpa=TODAY), dpa=True) is None
    assert lacks(lane(dpa=TODAY + DAY), dpa=True) == "no data processing agreement is in force"
    assert lacks(lane(dpa=None), dpa=True) == "no data processing agreement is in force"
    assert lacks(lane(dpa=None), dpa=False) is None


@pytest.mark.parametrize(
    ("where", "transfer", "valid"),
    [
        (places("SE"), None, True), (places("NO"), None, True), (places("CH", "GB"), None, True),
        (places("JP", "SE"), None, True), (places("device"), None, True), (places("US"), None, False),
        (places("US"), "DPF", True), (places("US", "SE"), "DPF", True), (places("US", "IN"), "DPF", False),
        (places("IN"), "DPF", False), (places("IN"), "SCC", True), (places("US", "IN"), "BCR", True),
        (places("CN"), None, False),
    ],
)  # fmt: skip
def test_a_transfer_needs_a_basis_that_covers_it(where: frozenset[str], transfer: str | None, valid: bool) -> None:
    """Adequate countries need no basis, DPF covers the US alone, and SCC and BCR cover every country."""
    assert (lacks(lane(runs=where, stores=where, transfer=transfer), transfer=places("valid")) is None) is valid
    assert (lacks(lane(runs=places("SE"), stores=where, transfer=transfer), transfer=places("valid")) is None) is valid


@pytest.mark.parametrize("facts", [{"runs": None}, {"stores": None}, {"runs": None, "transfer": "SCC"}])
def test_an_unknown_place_has_no_valid_transfer(facts: dict[str, Any]) -> None:
    """No basis is valid for a transfer to nobody knows where."""
    made = lane(**{"runs": places("US"), "stores": places("US"), "transfer": "DPF"} | facts)
    assert lacks(made, transfer=places("valid")) == f"its transfer basis is {made.transfer}"


def test_a_named_basis_must_be_the_lanes() -> None:
    """A zone that names bases holds the lanes that have one of those."""
    made = lane(runs=places("US"), stores=places("US"), transfer="SCC")
    assert lacks(made, transfer=places("SCC", "BCR")) is None
    assert lacks(made, transfer=places("DPF")) == "its transfer basis is SCC"


def test_the_first_unmet_condition_is_the_reason() -> None:
    """Of several unmet conditions the reason names one."""
    assert lacks(lane(kind="premium"), kind=places("local"), runs=EEA, dpa=True) == "its kind is premium"


def test_a_zone_that_states_nothing_holds_everything() -> None:
    """A zone is what it states; that is why the loader refuses one that states nothing."""
    assert lacks(lane(verified=None)) is None


_NOTHING_KNOWN: dict[str, Any] = {
    "runs": None, "stores": None, "owner": None, "dpa": None, "transfer": None, "retention": None, "verified": None,
}  # fmt: skip


@given(zones(("x",)), st.sampled_from(["managed-open", "premium"]))
def test_a_lane_of_which_nothing_is_known_meets_no_condition(zone: Zone, kind: Kind) -> None:
    """A lane of others' that says nothing is only in zones that ask for nothing but its kind or its name."""
    asks = (zone.runs, zone.stores, zone.owner, zone.transfer, zone.retention)
    if zone.lacks(lane("x", kind, **_NOTHING_KNOWN), TODAY, DAYS) is None:
        assert all(condition is None for condition in asks)
        assert not zone.dpa


@given(lanes(), zones(("x",)), st.sampled_from(sorted(_NOTHING_KNOWN)))
def test_knowing_less_never_opens_a_zone(made: Lane, zone: Zone, forgotten: str) -> None:
    """Forget any one fact of a lane, and it is in no zone in which it was not before."""
    unknown: dict[str, Any] = {forgotten: None}
    less = dataclasses.replace(made, **unknown)
    if zone.lacks(made, TODAY, DAYS) is not None and not (forgotten == "verified" and made.own):
        assert zone.lacks(less, TODAY, DAYS) is not None


@given(lanes(), zones(("x",)), st.sets(st.sampled_from(["SE", "US", "GB", "CN"])))
def test_a_wider_zone_holds_no_fewer_lanes(made: Lane, zone: Zone, more: set[str]) -> None:
    """Adding countries to a zone's condition never puts a lane outside."""
    if zone.runs is None or zone.lacks(made, TODAY, DAYS) is not None:
        return
    wider = dataclasses.replace(zone, runs=zone.runs | more)
    assert wider.lacks(made, TODAY, DAYS) is None


# Money


def test_a_call_costs_by_the_million_tokens() -> None:
    """Input and output cost their own rates, a million tokens at a time."""
    assert Price(3, 15, 0.3).cost(2_000_000, 100_000) == 7.5
    assert lane(price=Price(0, 0, 0)).cost(10**6, 10**6) == 0


def test_an_unknown_price_gives_no_cost() -> None:
    """A lane whose price was not stated costs nobody knows what, and never nothing."""
    assert lane(price=None).cost(1, 1) is None


# Regions


def test_the_sets_of_countries_are_what_their_names_say() -> None:
    """The EU has 27 countries, the EEA three more, and the adequate ones are in neither."""
    assert len(EU) == 27
    assert {"IS", "LI", "NO"} == EEA - EU
    assert not ADEQUATE & EEA
    assert {"GB", "CH"} <= ADEQUATE
    assert "US" not in ADEQUATE


@pytest.mark.parametrize("name", [*SETS, "SE", "US", "device"])
def test_a_known_region_is_a_set_of_countries(name: str) -> None:
    """A country stands for itself and a set for its countries."""
    assert region(name) == SETS.get(name, frozenset({name}))


@pytest.mark.parametrize("name", ["", "se", "SWE", "Sweden", "eea", "S", "S1", "ÅÄ", "DEVICE", "EU "])
def test_an_unknown_region_is_none(name: str) -> None:
    """Whatever is neither two capital letters nor a known set names no region."""
    assert region(name) is None


@pytest.mark.parametrize("name", ["UK", "EL", "ZZ"])
def test_letters_that_are_no_country_are_no_region(name: str) -> None:
    """Two capital letters that ISO 3166-1 gives to no country are refused, as `UK` would silently differ from `GB`."""
    assert region(name) is None
