"""certificate: what was proved is verified by a second proof that shares no code with the first; all else is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.generated import TODAY, policies
from tests.policies import FULL
from tests.test_architecture import imports
from tests.unit.test_proof import CLEAN

from laneway import __version__
from laneway.certificate.cases import Cases, OutOfTime
from laneway.certificate.certify import certify
from laneway.certificate.form import HOPS, Certificate, CertificateError, Witnesses, read, sealed, write
from laneway.certificate.second import PROVED, objections
from laneway.certificate.ways import Ways
from laneway.cli import main
from laneway.policy import Deadline, Policy, Workload
from laneway.policy_file import parse
from laneway.proof.oracle import Enumeration, Solver
from laneway.proof.reach import Reach
from laneway.proof.space import Space, both
from laneway.proof.verify import PROPERTIES, verify

# CLEAN, and what its rules do not use: a review that frees, a cost, numbers, needs, and limits of lanes.
RICH = CLEAN
for old, new in (
    ("  matter: {values: [merger, other]}\n", "  matter: {values: [merger, other]}\n  pages: {from: 0, to: 500}\n"),
    ("price: 1, runs: DE", "price: 1, limits: {context: 9000, output: 800}, supports: [tools], runs: DE"),
    ("  - {when: {stakes: high}, try: strongest, says: The best.}\n",
     "  - {when: {stakes: high}, try: strongest, says: The best.}\n"
     "  - {when: {any: [{pages: {over: 20}}, {tokens: {over: 8000}}]}, try: safest}\n"
     "  - {when: {needs: [tools, vision], region: SE}, try: [cheapest, hold]}\n"),
    ("reviews:\n", "reviews:\n  - {when: {workload: contracts, latency: batch}, release: now}\n"),
    ("must:\n", "must:\n  - {never: {workload: contracts, cost: {over: 0.5}}, says: Cheap.}\n"
     "  - {never: {sensitivity: restricted, lane: {name: [shared, premium]}}}\n"
     "  - {never: {matter: merger, lane: {kind: {not: local}}}}\n"),
):  # fmt: skip
    assert RICH.count(old) == 1, old
    RICH = RICH.replace(old, new)


def certified(source: str, day: date = TODAY) -> Certificate:
    """The certificate of a policy that is proved."""
    policy = parse(source)
    report = verify(policy, day)
    assert report.proved, report.findings
    return certify(policy, report, day)


def judged(source: str, certificate: Certificate, today: date = TODAY) -> list[str]:
    """What the second proof has against it."""
    return list(objections(parse(source), certificate, today, 60))


@pytest.mark.parametrize("source", [CLEAN, RICH], ids=["clean", "rich"])
def test_the_second_proof_verifies_what_the_first_proved(source: str, tmp_path: Path) -> None:
    """Through the file, with no objection."""
    write(certified(source), tmp_path / "proof.json")
    assert judged(source, read(tmp_path / "proof.json")) == []


def test_the_certificate_says_what_may_happen() -> None:
    """By class and lane the hops, by `must` the lanes that it keeps out, and for each rule a request."""
    made = certified(CLEAN)
    assert made.reach["restricted"] == {"home": ("first", "fallback"), "shared": (), "premium": ()}
    assert made.reach["public"]["premium"] == ("first", "fallback", "escalation")
    assert [(kept.must, kept.lanes) for kept in made.musts] == [("must[0]", ("premium",))]
    assert made.witnesses.routes[0].stakes == "high"
    assert made.witnesses.limits[0].declared in ({"matter": "merger"}, {})
    assert (made.prover, made.day, made.properties) == ("enumeration", TODAY, tuple(PROPERTIES))


def test_both_proofs_mean_the_same_properties() -> None:
    """The second proves every property of the first, by its name and in its order."""
    assert tuple(PROPERTIES) == PROVED


def test_the_second_proof_shares_no_code_with_the_first() -> None:
    """What it imports, directly or not, is neither the space, the oracles, the formulas nor the properties."""
    behind, waiting = set[str](), ["certificate.second"]
    while waiting:
        module = waiting.pop()
        behind.add(module)
        waiting += [name for name in imports()[module] if name not in behind]
    assert not [module for module in behind if module.startswith("proof") or module == "certificate.certify"]


# tampering


def facts(value: Any, *path: str | int) -> Any:
    """The part of nested lists and maps under the path."""
    for key in path:
        value = value[key]
    return value


def put(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one place in a certificate."""

    def change(claims: dict[str, Any]) -> None:
        facts(claims, *path[:-1])[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """One place of a certificate left out."""

    def change(claims: dict[str, Any]) -> None:
        del facts(claims, *path[:-1])[path[-1]]

    return change


def tampered(certificate: Certificate, *changes: Callable[[dict[str, Any]], None]) -> Certificate:
    """The certificate after the changes, with a digest that is right again."""
    claims = msgspec.to_builtins(certificate)
    claims = json.loads(json.dumps(claims))
    for change in changes:
        change(claims)
    return sealed(msgspec.convert(claims, Certificate))


W = "witnesses"
TAMPERING = {
    "the hash": (put("policy_hash", to="0" * 64), "about another policy text"),
    "the version": (put("laneway", to="0.0.9"), "Laneway 0.0.9 wrote it"),
    "a day ahead": (put("day", to=f"{TODAY + timedelta(1)}"), "lies in the future"),
    "a day before the contract": (put("day", to="2025-06-01"), "found"),
    "a property dropped": (drop("properties", 1), "what must never happen cannot"),
    "a property put in": (put("properties", 0, to="nothing can go wrong"), "nothing can go wrong"),
    "properties in another order": (put("properties", to=list(reversed(PROVED))), "their order"),
    "the count of requests": (put("requests", to=107), "it counts 107 kinds of request, and there are 108"),
    "a lane kept out that is reached": (put("reach", "confidential", "shared", to=[]), "confidential requests reach shared: it says by no hop"),
    "a lane reached that is kept out": (put("reach", "restricted", "premium", to=["first"]), "restricted requests reach premium: it says first; found by no hop"),
    "a hop added": (put("reach", "restricted", "home", to=["first", "fallback", "escalation"]), "restricted requests reach home"),
    "a hop twice": (put("reach", "restricted", "home", to=["first", "fallback", "fallback"]), "restricted requests reach home"),
    "a class left out": (drop("reach", "restricted"), "does not list each class"),
    "a lane left out": (drop("reach", "public", "premium"), "does not list each class and lane"),
    "a must removed": (put("musts", to=[]), "its `musts` are not those of the policy"),
    "a must that keeps out less": (put("musts", 0, "lanes", to=[]), "must[0] keeps its requests out of lanes: it says none; found premium"),
    "a must that keeps out more": (put("musts", 0, "lanes", to=["shared", "premium"]), "it says shared, premium; found premium"),
    "a route's witness": (put(W, "routes", 0, "stakes", to="normal"), "routes[0]: it does not decide its witness"),
    "a later route's witness": (put(W, "routes", 1, "stakes", to="high"), "routes[1]: it does not decide its witness"),
    "a fallback's witness": (put(W, "fallbacks", 0, "sensitivity", to="public"), "fallbacks[0]: it does not decide its witness"),
    "a review's witness": (put(W, "reviews", 0, to={"sensitivity": "public"}), "reviews[0]: it does not decide its witness"),
    "a limit's witness": (put(W, "limits", 0, to={"sensitivity": "public", "declared": {"matter": "other"}}), "mergers: it does not decide its witness"),
    "a limit's witness that the table keeps in": (put(W, "limits", 0, "sensitivity", to="restricted"), "mergers: it does not decide its witness"),
    "a witness below its workload's floor": (put(W, "reviews", 0, "sensitivity", to="public"), "reviews[0]: its witness is no request that can be"),
    "a witness above its workload's ceiling": (put(W, "reviews", 0, "ceiling", to=0.5), "no request that can be"),
    "a witness of no class": (put(W, "routes", 0, "sensitivity", to="secret"), "no request that can be"),
    "a witness of no workload": (put(W, "routes", 1, "workload", to="poetry"), "no request that can be"),
    "a witness with a fact of nobody's": (put(W, "routes", 1, "declared", to={"mood": "good"}), "no request that can be"),
    "a witness with a number for a word": (put(W, "routes", 1, "declared", to={"matter": 3}), "no request that can be"),
    "a witness that costs less than nothing": (put(W, "routes", 1, "ceiling", to=-1), "no request that can be"),
    "a witness left out": (drop(W, "fallbacks", 0), "it has 1 witnesses for 2 fallbacks"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERING)
def test_a_certificate_that_says_anything_else_is_refused(kind: str) -> None:
    """Each change, with a digest made anew, is named."""
    change, said = TAMPERING[kind]
    found = judged(CLEAN, tampered(certified(CLEAN), change))
    assert any(said in objection for objection in found), found


POLICY_CHANGES = {
    "a lane's region": (("price: 1, runs: DE", "price: 1, runs: US"), "confidential requests reach shared"),
    "a lane's contract": (("stores: DE, dpa: 2026-01-01", "stores: DE, dpa: 2027-01-01"), "confidential requests reach shared"),
    "a wider wall": (("confidential, zones: [ours, eea]", "confidential, zones: [ours, eea, world]"), "must[0]: a request reaches premium"),
    "a route that names a lane": (("{try: cheapest, says", "{try: shared, says"), "routes[1] names a lane that the wall keeps"),
    "a fallback that names a lane": (("then: [home, refuse]", "then: [shared, refuse]"), "fallbacks[0] names a lane that the wall keeps"),
    "a gate that names a lane": (("weak: [strongest, hold]", "weak: [premium, hold]"), "gate names a lane that the wall keeps"),
    "no last route": (("  - {try: cheapest, says: The cheapest.}", "  - {when: {latency: batch}, try: cheapest}"), "a request matches no route"),
    "a class forgotten": (("  - {sensitivity: restricted, zones: [ours], says: Ours alone.}\n", ""), "no lane is open to restricted requests"),
    "a limit for the lower class": (("when: {matter: merger}", "when: {sensitivity: public}"), "may use shared where public ones may not"),
    "no time for work that no rule tells apart": (("deadlines: {", "deadlines: {background: {first_byte: 4s, total: 10s}, "), "background requests leaves no time for the last of 3 lanes"),
    "no time": (("total: 60s", "total: 10s"), "leaves no time for the last of 3 lanes"),
    "a ceiling that affords nothing": (("ceiling: 0.4", "ceiling: 0.00001"), "the ceiling of contracts affords none"),
    "a row that opens nothing": (("zones: [ours, eea, world], says: Anywhere.}\n", "zones: [ours, eea, world], says: Anywhere.}\n  - {sensitivity: public, zones: [ours]}\n"), "wall[3] opens no lane"),
    "a must about nobody": (("{never: {sensitivity: {at_least: confidential}, lane", "{never: {workload: contracts, sensitivity: public, lane"), "must[0] speaks of no request"),
}  # fmt: skip


@pytest.mark.parametrize("kind", POLICY_CHANGES)
def test_a_certificate_does_not_cover_a_changed_policy(kind: str) -> None:
    """Another text is refused; and where the certificate names that text's hash, by what is no longer so."""
    (old, new), said = POLICY_CHANGES[kind]
    before = CLEAN.replace("price: 0}", "price: 5}")  # a free lane would meet any ceiling
    assert before.count(old) == 1
    source, made = before.replace(old, new), certified(before)
    assert ["about another policy text" in objection for objection in judged(source, made)] == [True]
    found = judged(source, tampered(made, put("policy_hash", to=parse(source).hash)))
    assert any(said in objection for objection in found), found


def test_a_changed_byte_breaks_the_digest() -> None:
    """What was written over is refused even where nothing checks it otherwise, such as who proved it."""
    made = msgspec.structs.replace(certified(CLEAN), prover="z3")
    assert judged(CLEAN, made) == ["its digest is not that of what it says: it was changed after it was written"]


def test_another_day_is_judged_as_of_today() -> None:
    """A later day on which all still holds is fine; where a lane went stale, it is said what that changed."""
    made = certified(CLEAN)
    assert judged(CLEAN, made, TODAY + timedelta(30)) == []
    stale = judged(CLEAN, made, TODAY + timedelta(120))  # what was verified on 2026-11-20 counts for 90 days
    assert (
        f"since {TODAY} something changed: confidential requests reach shared: it says first, escalation; found by no hop"
        in stale
    )
    ended = judged(CLEAN, made, date(2027, 11, 2))
    assert any("public requests reach home: it says first, fallback; found by no hop" in change for change in ended)


BROKEN_FILES = {
    "no JSON": ("laneway: 1", "no certificate"),
    "another kind of JSON": ("[]", "Expected `object`"),
    "a key twice": ('{"requests": 1, "requests": 1}', "the key `requests` stands there twice"),
    "a number that is none": ('{"requests": NaN}', "NaN is no number"),
    "too deep": ("[" * 100_000, "no certificate"),
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_a_file_that_is_no_certificate_is_told_apart(kind: str, tmp_path: Path) -> None:
    """It raises, and says what is wrong with the file."""
    text, said = BROKEN_FILES[kind]
    file = tmp_path / "proof.json"
    file.write_text(text)
    with pytest.raises(CertificateError, match=said):
        read(file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("note", to="trust me"), "unknown field `note`"),
        (put("witnesses", "routes", 0, "mood", to="good"), "unknown field `mood`"),
        (put("requests", to="108"), "Expected `int`"),
        (put("requests", to=True), "Expected `int`"),
        (put("certificate", to=2), "Invalid enum value 2"),
        (put("day", to="yesterday"), "date"),
        (put("reach", "public", "home", to=["second"]), "Invalid enum value 'second'"),
        (drop("musts"), "missing required field `musts`"),
    ],
)
def test_keys_and_types_are_read_strictly(change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path) -> None:
    """An unknown key, a missing one, and a value of another type make a file no certificate."""
    claims = json.loads(msgspec.json.encode(certified(CLEAN)))
    change(claims)
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(claims))
    with pytest.raises(CertificateError, match=said):
        read(file)


# the two proofs against each other


@given(policies())
@settings(max_examples=400, deadline=None)
def test_both_proofs_agree_on_the_lanes_reached_and_on_the_kinds_of_request(policy: Policy) -> None:
    """By class, lane and hop, on generated policies: splitting cases finds what enumeration finds."""
    space = Space(policy)
    reach, bits, ways = Reach(policy, space, TODAY), Enumeration(space), Ways(policy, TODAY)
    by_hop = dict(zip(HOPS, (reach.first, reach.fallback, reach.escalation, reach.judge, reach.shadow), strict=True))
    for name, lanes in ways.reach().items():
        of = space.cell_in("sensitivity", lambda value, name=name: value == name)  # type: ignore[misc]
        for lane, hops in lanes.items():
            assert set(hops) == {hop for hop in HOPS if bits.find(both(of, by_hop[hop][lane])) is not None}
    assert ways.requests == space.size


SAME = {
    "names a lane that the wall keeps": {"names-forbidden-lane"},
    "matches no route": {"no-route"},
    "no lane is open to": {"class-forgotten", "class-stranded"},
    "may use": {"raising-adds-lane"},
    "leaves no time": {"deadlines"},
    "has no second lane": {"dead-hedge"},
    "affords none": {"ceiling-unmeetable"},
}


@given(policies(), st.sampled_from([None, 0.0, 0.002]), st.sampled_from([8, 13, 60]))
@settings(max_examples=300, deadline=None)
def test_both_proofs_agree_on_the_properties(made: Policy, ceiling: float | None, total: float) -> None:
    """On generated policies, sound and not, each property that the first finds broken the second does, and no other."""
    deadlines = {"interactive": Deadline(4, 60, 1), "batch": Deadline(4, total, 2)}
    work = {"chore": Workload(name="chore", ceiling=ceiling), "review": Workload(name="review", stakes="high")}
    policy = replace(made, deadlines=deadlines, workloads=work)
    ways, nobody = Ways(policy, TODAY), Witnesses(routes=(), fallbacks=(), reviews=(), limits=())
    claims = sealed(Certificate(
        policy_hash="", laneway=__version__, day=TODAY, prover="", prover_version="", requests=ways.requests,
        properties=PROVED, reach=ways.reach(), musts=(), witnesses=nobody,
    ))  # fmt: skip
    wrong = list(objections(policy, claims, TODAY, 60))
    found = verify(policy, TODAY).findings
    codes = {finding.code for finding in found}
    assert {said: any(said in objection for objection in wrong) for said in SAME} == {
        said: bool(names & codes) for said, names in SAME.items()
    }
    rows = {f"{finding.about} opens no lane" for finding in found if "opens no lane" in finding.message}
    assert rows == {" ".join(objection.split()[:4]) for objection in wrong if "opens no lane" in objection}


@pytest.mark.parametrize("source", [CLEAN, RICH, FULL], ids=["clean", "rich", "full"])
def test_both_proofs_count_the_same_kinds_of_request(source: str) -> None:
    """Also where workloads have floors, and rules test needs, regions and numbers."""
    assert Ways(parse(source), TODAY).requests == Space(parse(source)).size


def test_a_certificate_by_z3_says_so_and_is_verified_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prover and its version stand in it; the second proof needs none."""
    monkeypatch.setattr("laneway.certificate.certify.choose", Solver)
    made = certified(RICH)
    assert made.prover == "z3"
    assert made.prover_version.split(".")[0].isdigit()
    monkeypatch.setitem(sys.modules, "z3", None)
    assert judged(RICH, made) == []


def test_time_that_runs_out_verifies_nothing() -> None:
    """The second proof raises where it did not see every case."""
    with pytest.raises(OutOfTime, match="took longer than 0 s; allow more"):
        list(objections(parse(CLEAN), certified(CLEAN), TODAY, 0))
    with pytest.raises(OutOfTime):
        cases = Cases([2], -1)
        cases.can(cases.test(0, 1))


# the command


def laneway(*arguments: object) -> Result:
    """The command line."""
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture
def proved(tmp_path: Path) -> tuple[Path, Path]:
    """A policy and the certificate that `check` wrote for it."""
    policy, file = tmp_path / "laneway.yaml", tmp_path / "proof.json"
    policy.write_text(
        CLEAN.replace("verified: 2026-11-20", f"verified: {date.today() - timedelta(3)}").replace(
            "until: 2027-11-01", f"until: {date.today() + timedelta(99)}"
        )
    )
    done = laneway(policy, "--certificate", file)
    assert done.exit_code == 0, done.output
    return policy, file


def test_check_writes_a_certificate_and_verifies_it(proved: tuple[Path, Path]) -> None:
    """It says who reads what, and leaves nothing else behind."""
    policy, file = proved
    done = laneway(policy, "--verify", file)
    assert done.exit_code == 0, done.output
    assert "Verified: every claim was proved anew, and every witness replayed" in done.output
    assert json.loads(laneway(policy, "--verify", file, "--json").output)["verified"] is True
    assert {path.name for path in policy.parent.iterdir()} == {"laneway.yaml", "proof.json"}


def test_check_says_why_a_certificate_is_not_verified(proved: tuple[Path, Path]) -> None:
    """Exit 6 with the reasons; 5 for a file that is none or is not there; 2 for both options at once."""
    policy, file = proved
    write(tampered(read(file), put("reach", "restricted", "premium", to=["first"])), file)
    done = laneway(policy, "--verify", file)
    assert done.exit_code == 6
    assert "restricted requests reach premium: it says first; found by no hop" in done.output
    assert "NOT verified" in done.output
    told = laneway(policy, "--verify", file, "--json")
    assert (told.exit_code, json.loads(told.output)["verified"]) == (6, False)
    assert laneway(policy, "--verify", policy).exit_code == 5
    assert laneway(policy, "--verify", policy.parent / "none.json").exit_code == 5
    assert laneway(policy, "--verify", file, "--certificate", file).exit_code == 2


def test_only_what_is_proved_is_certified(proved: tuple[Path, Path]) -> None:
    """A policy that is not proved, or has warnings under --strict, leaves the certificate as it was."""
    policy, file = proved
    before = file.read_bytes()
    policy.write_text(policy.read_text().replace("model: o, price: 3", "model: o-latest, price: 3"))
    assert laneway(policy, "--certificate", file, "--strict").exit_code == 6
    policy.write_text(
        policy.read_text().replace("{try: cheapest, says", "{when: {latency: batch}, try: cheapest, says")
    )
    done = laneway(policy, "--certificate", file)
    assert done.exit_code == 6
    assert "no certificate was written: the policy is not proved" in done.output
    assert file.read_bytes() == before
