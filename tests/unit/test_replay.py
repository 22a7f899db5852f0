"""Recorded requests decided again: what is read back, what is kept by kind, what changes, and which class it is in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.biglog import shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.generated import CLASSES, LANES, TODAY, policies
from tests.policies import changed

from laneway.classify import classify
from laneway.decide import decide
from laneway.decision import Route
from laneway.facts import Facts, Shown
from laneway.policy import Policy
from laneway.policy_file import load, parse
from laneway.proof.space import Space
from laneway.record import Attempt, Entry, Intent, Opening, Outcome
from laneway.replay.again import Again
from laneway.replay.recorded import Recording
from laneway.replay.restated import read_anew, read_back
from laneway.replay.run import Replay, Row
from laneway.replay.totals import Totals
from laneway.request import Request
from laneway.way import change, way
from laneway.wire import openai

PACKS = sorted(Path("policies").glob("*/laneway.yaml"))


def request(headers: dict[str, str] | None = None, text: str = "Hello there", **body: object) -> Request:
    """A client's request; headers without `laneway-`."""
    sent = {"model": "auto", "messages": [{"role": "user", "content": text}]} | body
    return openai.read(msgspec.json.encode(sent), {f"laneway-{k}": v for k, v in (headers or {}).items()})


def opening(policy: Policy, asked: Request, facts: Facts) -> Opening:
    """What a gateway records of the request."""
    ask, signals = classify(policy, asked)
    return Opening(policy=policy.hash, model=asked.model, ask=ask, signals=signals, facts=facts,
                   decision=decide(policy, ask, signals, facts), stream=False, prompt="x", size=1)  # fmt: skip


def entries(made: list[Entry]) -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
    """As a log holds them."""
    for seq, entry in enumerate(made, start=1):
        kind = str(entry.__struct_config__.tag).encode()
        yield seq, seq, entry.id.encode(), kind, msgspec.json.encode(entry, order="deterministic")


def ended(id: str, first: Opening, *attempts: Attempt, cost: float = 0.0) -> list[Entry]:
    """The entries of a request that was answered, or turned away."""
    if not isinstance(first.decision, Route):
        return [Outcome(id=id, status="refused", opening=first)]
    lane = first.decision.lanes[0]
    return [Intent(id=id, attempt=1, lane=lane, why="first", opening=first),
            Outcome(id=id, status="answered", lane=lane, attempts=attempts, cost=cost)]  # fmt: skip


def answer(lane: str, tokens_in: int, tokens_out: int, cost: float) -> Attempt:
    """A call that answered."""
    return Attempt(lane=lane, why="first", result="answered", started_ms=0, ended_ms=1, tokens_in=tokens_in,
                   tokens_out=tokens_out, cost=cost)  # fmt: skip


def replayed(old: Policy | str, new: Policy, made: list[Entry], **options: Any) -> tuple[Totals, list[Row]]:
    """The totals and the changed requests."""
    rows: list[Row] = []
    replay = Replay(Again(new, **options), Space(new, new), lambda _: old, row=rows.append)
    for one in Recording(entries(made)):
        replay.add(one)
    return replay.finish(), rows


def counts(totals: Totals) -> dict[str, int]:
    """How many requests end how."""
    return {end: found.requests for end, found in totals.ends.items()}


HEADERS: list[dict[str, str]] = [
    {}, {"sensitivity": "public"}, {"sensitivity": "restricted"}, {"stakes": "high"}, {"stakes": "normal"},
    {"latency": "batch"}, {"ceiling": "0.02"}, {"workload": "contract-review"}, {"workload": "clause-lookup"},
    {"fact-matter": "sealed"}, {"team": "legal", "region": "SE"}, {"language": "sv"},
    {"workload": "contract-review", "sensitivity": "public", "ceiling": "0.9", "latency": "interactive"},
]  # fmt: skip
TEXTS = ["Hello", "Mail about 811218-9876 today.", "IBAN SE45 5000 0000 0583 9825 7466", "Prove it step by step. " * 40]
EDITS = [
    ("unlabelled: {sensitivity: confidential, difficulty: auto", "unlabelled: {sensitivity: public, difficulty: hard"),
    ("latency: interactive, ceiling: 0.60}", "latency: batch, stakes: high, ceiling: 0.01}"),
    ('identifiers: {card: confidential, iban: confidential, "*": restricted}', "identifiers: {iban: restricted, se.personnummer: public}"),
    ("contract-review: {sensitivity: confidential, stakes: high, latency: background, ceiling: 0.40,", "contract-review: {sensitivity: restricted,"),
    ("clause-lookup: {sensitivity: confidential, difficulty: routine,", "clause-lookup: {"),
    ("evals: [evals/contract-figures.yaml, evals/contract-terms.yaml]", "language: sv"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [("", ""), *EDITS])
def test_a_recorded_request_is_read_as_its_client_would_be_by_another_policy(old: str, new: str) -> None:
    """What another policy makes of recorded signals is what `classify` makes of the request itself."""
    text = Path("policies/contract-review/laneway.yaml").read_text("utf-8")
    before, after = parse(text), parse(changed(old, new, text) if old else text)
    for headers in HEADERS:
        for words in TEXTS:
            asked = request(headers, words)
            ask, recorded = classify(before, asked)
            _, wanted = classify(after, asked)
            made = read_anew(after, read_back(asked.model, ask.pin, recorded)).signals
            wanted = msgspec.structs.replace(wanted, evidence=())
            if after.measured == before.measured:
                assert wanted in made
                assert len(made) == 1 or recorded.difficulty == "routine"
            else:  # the language was looked for by one of them alone
                assert [msgspec.structs.replace(one, language=None) for one in made] == [
                    msgspec.structs.replace(wanted, language=None)
                ]


@pytest.mark.parametrize("file", PACKS, ids=lambda file: file.parent.name)
def test_signals_read_back_are_the_signals(file: Path) -> None:
    """Under the policy that recorded them, signals come back as they were, whatever the request."""
    policy = load(file)
    for shape in shapes(policy):
        read = read_anew(policy, read_back(shape.model, shape.ask.pin, shape.signals))
        assert read.signals == (msgspec.structs.replace(shape.signals, evidence=()),)


LENGTHS = (1, 10, 24, 30, 60, 400, 700, 2_000, 5_000, 40_000)


def asked_of(policy: Policy) -> st.SearchStrategy[list[Request]]:
    """Requests to a generated policy that differ in length alone."""
    labels = st.fixed_dictionaries({}, optional={
        "sensitivity": st.sampled_from(CLASSES), "stakes": st.sampled_from(["high", "normal"]),
        "latency": st.sampled_from(["interactive", "batch"]), "ceiling": st.sampled_from(["0", "0.001", "0.02", "1"]),
        "fact-matter": st.sampled_from(["open", "domestic"]), "workload": st.sampled_from(["review", "chore"]),
    })  # fmt: skip
    models = st.sampled_from(["auto", "auto", "auto", *(f"lane/{name}" for name in policy.lanes)])
    return st.builds(
        lambda headers, model, most: [request(headers, "word " * n, model=model, **most) for n in LENGTHS],
        labels, models, st.sampled_from([{}, {"max_tokens": 10}, {"max_tokens": 5_000}]),
    )  # fmt: skip


facts = st.builds(
    Facts, today=st.just(TODAY), closed=st.dictionaries(st.sampled_from(LANES), st.just("it is down"), max_size=2),
    evidence=st.lists(st.sampled_from(LANES), max_size=2, unique=True).map(lambda lanes: tuple(Shown(lane, "", 0.95, 0.99, 200) for lane in lanes)),
    reviewers=st.booleans(),
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(old=policies(), new=policies(), data=st.data())
def test_each_request_is_decided_as_if_it_were_the_only_one(old: Policy, new: Policy, data: st.DataObject) -> None:
    """What is kept by kind changes nothing: every request ends as the interpreter, asked anew, says."""
    old, new = dataclasses.replace(old, hash="old"), dataclasses.replace(new, hash="new")
    made: list[Entry] = []
    wanted: dict[str, str] = {}
    drawn = (
        data.draw(st.lists(asked_of(old), min_size=1, max_size=3)),
        data.draw(st.lists(facts, min_size=1, max_size=2)),
    )
    for i, (alike, known) in enumerate(product(*drawn)):
        for k, asked in enumerate(alike):
            first = opening(old, asked, known)
            made += ended(f"d{i}.{k}", first)
            (signals,) = read_anew(new, read_back(asked.model, first.ask.pin, first.signals)).signals
            now = Again(new).facts(old, signals, known)
            wanted[f"d{i}.{k}"] = change(way(old, first.decision), way(new, decide(new, first.ask, signals, now)))
    totals, rows = replayed(old, new, made)
    assert {row.id: row.change for row in rows} == {id: end for id, end in wanted.items() if end != "unchanged"}
    assert totals.requests == len(wanted)
    assert totals.changed.requests == len(rows)
    again, rows = replayed(old, old, made)
    assert counts(again) == {"unchanged": len(wanted)}, "under the same policy nothing changes"
    assert not rows


TEXT = Path("policies/contract-review/laneway.yaml").read_text("utf-8")
PACK = parse(TEXT, "laneway.yaml")
KNOW_HOW = {"workload": "know-how", "fact-matter": "ordinary"}
DAY = Facts(today=TODAY)


def recorded(*asked: Request, known: Facts = DAY, policy: Policy = PACK, cost: float = 0.0) -> list[Entry]:
    """The entries of these requests under the pack, each answered at no cost."""
    made = [ended(f"d{i}", opening(policy, one, known), cost=cost) for i, one in enumerate(asked)]
    return [entry for entries in made for entry in entries]


def edited(*edits: tuple[str, str]) -> Policy:
    """The pack after these changes."""
    text = TEXT
    for old, new in edits:
        text = changed(old, new, text)
    return parse(text, "new.yaml")


def test_where_a_ceiling_cannot_pay_for_a_lane_depends_on_the_length() -> None:
    """Two requests that differ in length alone end differently where the new price is too much for one of them."""
    new = edited(("price: {input: 3.00, output: 15.00}", "price: {input: 30.00, output: 15.00}"))
    asked = [request(KNOW_HOW | {"ceiling": "0.02"}, "word " * n) for n in (10, 300, 700)]
    totals, rows = replayed(PACK, new, recorded(*asked))
    assert counts(totals) == {"unchanged": 2, "otherwise": 1}
    assert [(row.id, row.old, row.new) for row in rows] == [("d2", "home", "home")]


def test_each_request_keeps_the_facts_of_its_time() -> None:
    """A lane that was closed for one of two requests alone is closed for that one again."""
    asked = request(KNOW_HOW)
    down = Facts(today=TODAY, closed={"nordic": "it is down"})
    made = recorded(asked) + [msgspec.structs.replace(e, id="down") for e in recorded(asked, known=down)]
    totals, rows = replayed(PACK, edited(("try: cheapest", "try: nordic")), made)
    assert [(row.id, row.change, row.new) for row in rows] == [
        ("d0", "other lane", "nordic"),
        ("down", "newly refused", "refused"),
    ]
    assert rows[1].reason == "no lane is left (nordic)"
    assert totals.moves.keys() == {("home", "nordic"), ("home", "refused")}


def test_money_is_what_was_recorded_and_the_bounds_of_what_it_would_be() -> None:
    """An answer of the recorded length on the new lane at least; redone by the stronger lane, at most."""
    (first,) = [opening(PACK, request(KNOW_HOW), DAY)]
    made = ended("d0", first, answer("home", 1_000, 500, 0.0), cost=0.0)
    totals, (row,) = replayed(PACK, edited(("try: cheapest", "try: nordic")), made)
    nordic, premium = (PACK.lanes[name].cost(1_000, 500) for name in ("nordic", "premium"))
    assert nordic is not None
    assert premium is not None
    assert row.cost == 0.0
    assert [row.low, row.high] == pytest.approx([nordic, nordic + premium])
    assert (totals.changed.low, totals.changed.high) == (1_800_000, 1_800_000 + 10_500_000)


def test_a_request_without_an_answer_costs_its_input_at_least_and_the_longest_answer_at_most() -> None:
    """A refused request that would be served is priced by its length and by the output that its lane may give."""
    shut = edited(
        ("lanes: [home, nordic, shared], until", "lanes: [shared], until"),
        ("workloads: [know-how], until", "workloads: [know-how], until"),
    )
    asked = request(KNOW_HOW | {"ceiling": "0.6"}, max_tokens=100)
    old = edited(
        ("lanes: [home, nordic, shared], until", "lanes: [nordic], until"),
        ("lanes: [premium], workloads", "lanes: [nordic], workloads"),
    )
    made = recorded(asked, policy=old, known=Facts(today=TODAY, closed={"nordic": "it is down"}))
    totals, (row,) = replayed(old, shut, made)
    assert counts(totals) == {"newly served": 1}
    tokens = opening(old, asked, DAY).signals.tokens
    most = tokens * 1.8 + 100 * 5.4 + tokens * 3 + 100 * 15
    assert [row.low, row.high] == pytest.approx([tokens * 1.8e-6, most * 1e-6])
    assert row.reason.startswith("shared is tried first")


def test_unchanged_requests_cost_what_their_calls_would_at_new_prices() -> None:
    """Where a price alone changes, each recorded call is priced anew; one that nobody counted has no price."""
    first = opening(PACK, request(KNOW_HOW), DAY)
    new = edited(("price: {input: 0.90, output: 1.80}", "price: {input: 1.00, output: 2.00}"))
    failed = Attempt(lane="nordic", why="fallback", result="late", started_ms=0, ended_ms=1, cost=0.01)
    made = [
        *ended("d0", first, answer("nordic", 1_000, 500, 0.0018), cost=0.0018),
        *ended("d1", first, failed, cost=0.01),
    ]
    totals, rows = replayed(PACK, new, made)
    found = totals.ends["unchanged"]
    assert not rows
    assert (found.requests, found.cost, found.low, found.high) == (2, 11_800_000, 2_000_000, 2_000_000)
    assert (found.unpriced, found.unpriced_cost) == (1, 10_000_000)


def test_money_of_another_currency_is_in_no_sum() -> None:
    """Where the older policy counted in another currency, its money is left out, and said to be."""
    totals, _ = replayed(PACK, edited(("currency: EUR", "currency: SEK")), recorded(request(KNOW_HOW), cost=3.0))
    assert totals.foreign == {"EUR": 1}
    assert (totals.all.cost, totals.all.unpriced) == (0, 1)


@pytest.mark.parametrize(
    ("headers", "model", "edit", "what"),
    [
        ({"workload": "know-how"}, "auto", ("  know-how:", "  know-who:"), "the workload `know-how`"),
        ({"sensitivity": "internal"}, "auto", ("internal", "inside"), "the class `internal`"),
        (
            {"fact-matter": "sealed"},
            "auto",
            ("[ordinary, domestic, sealed]", "[ordinary, domestic]"),
            "`laneway-fact-matter` or its value",
        ),
        ({}, "lane/nordic", ("nordic", "baltic"), "the lane `nordic`"),
    ],
)
def test_a_name_that_the_new_policy_does_not_know_is_an_error_there(
    headers: dict[str, str], model: str, edit: tuple[str, str], what: str
) -> None:
    """Such a request would be an error, as it would be for its client, and is said to be by the name."""
    text = TEXT.replace(*edit).replace(
        "workloads: [know-how]", "workloads: [know-who]" if "know-who" in edit[1] else "workloads: [know-how]"
    )
    if "sealed" in headers.get("fact-matter", ""):
        text = "\n".join(
            line for line in text.replace("[domestic, sealed]", "domestic").splitlines() if "matter: sealed" not in line
        )
    totals, (row,) = replayed(PACK, parse(text), recorded(request(headers, model=model)))
    assert counts(totals) == {"newly an error": 1}
    assert totals.missing == {("newly an error", what): 1}
    assert row.new == "an error"


def test_what_the_record_lacks_is_not_guessed() -> None:
    """Where nobody looked how hard a request is and the new policy asks, it is unknown; known where it does not matter."""
    new = edited(
        (
            "clause-lookup: {sensitivity: confidential, difficulty: routine,",
            "clause-lookup: {sensitivity: confidential,",
        )
    )
    asked = request({"workload": "clause-lookup", "fact-matter": "ordinary", "ceiling": "0.05"})
    totals, rows = replayed(PACK, new, recorded(asked))
    assert counts(totals) == {"unknown": 1}
    assert totals.missing == {("unknown", "difficulty"): 1}
    assert totals.all.unpriced == 1
    assert not rows
    sealed = request({"workload": "clause-lookup", "fact-matter": "sealed"})
    assert counts(replayed(PACK, new, recorded(sealed))[0]) == {"unchanged": 1}


SHOWN = tuple(Shown(lane, "", 0.95, 0.99, 200, TODAY) for lane in ("nordic", "shared"))
UNWAIVED = ("lanes: [home, nordic, shared], until", "lanes: [home], until")


def looked_up(evidence: tuple[Shown, ...] = SHOWN) -> list[Entry]:
    """A clause looked up, with what lanes had shown."""
    asked = request({"workload": "clause-lookup", "fact-matter": "ordinary"})
    return recorded(asked, known=Facts(today=TODAY, evidence=evidence))


def test_recorded_evidence_counts_for_the_same_lane_and_work_alone() -> None:
    """It opens a lane that is the same; not one of another model, and not on other sets, where nothing is known."""
    to_nordic = ("try: cheapest", "try: nordic")
    totals, (row,) = replayed(PACK, edited(UNWAIVED, to_nordic), looked_up())
    assert (row.change, row.new, totals.unproven.total()) == ("other lane", "nordic", 0)
    for edit in (
        ("model: qwen3-32b", "model: qwen4-32b"),
        ("evals/clause-quotes.yaml, evals/clause-types.yaml", "evals/clause-types.yaml"),
    ):
        totals, (row,) = replayed(PACK, edited(UNWAIVED, to_nordic, edit), looked_up())
        assert row.change == "newly refused"
        assert totals.left["clause-lookup", "nordic"] == 1


def test_the_ledger_speaks_of_lanes_that_the_record_cannot() -> None:
    """What a new model has shown by the ledger beside the policy opens it; of a lane on record the record speaks."""
    new = edited(UNWAIVED, ("try: cheapest", "try: nordic"), ("model: qwen3-32b", "model: qwen4-32b"))
    _, (row,) = replayed(PACK, new, looked_up(), ledger=lambda _, __: SHOWN)
    assert (row.change, row.new) == ("other lane", "nordic")
    same = edited(UNWAIVED, ("try: cheapest", "try: nordic"))
    _, (row,) = replayed(PACK, same, looked_up(()), ledger=lambda _, __: SHOWN)
    assert row.change == "newly refused"


def test_evidence_that_the_new_policy_holds_to_be_too_old_does_not_count() -> None:
    """A shorter `review_every` shuts a lane whose evidence is older than that."""
    old = tuple(msgspec.structs.replace(one, on=TODAY.replace(month=10)) for one in SHOWN)
    new = edited(UNWAIVED, ("try: cheapest", "try: nordic"), ("review_every: 90d", "review_every: 20d"))
    assert replayed(PACK, new, looked_up(old))[1][0].change == "newly refused"


def test_no_policy_is_called_better_where_a_lane_is_unproven() -> None:
    """A move to a lane that has not met the bar is counted by workload and lane, with what is missing."""
    low = (Shown("nordic", "", 0.7, 0.99, 200, TODAY),)
    totals, _ = replayed(PACK, edited(("try: cheapest", "try: nordic")), looked_up(low) + recorded(request(KNOW_HOW)))
    assert totals.unproven == {
        ("clause-lookup", "nordic", "it has shown 0.7, and the bar is 0.85"): 1,
        ("know-how", "nordic", "the workload has no evaluation set"): 1,
    }


def test_a_lane_of_others_that_a_class_newly_reaches_is_a_risk() -> None:
    """Lanes outside that may see a request now, and could not before, are counted by class; so is one that moved."""
    public = request({"sensitivity": "confidential", "fact-matter": "ordinary"})
    new = edited(("{id: confidential-ours, says: Confidential work falls back only to our own machines., when: {sensitivity: {at_least: confidential}}, then: [ours, refuse]}",
                  "{id: confidential-ours, says: Confidential work falls back., when: {sensitivity: {at_least: confidential}}, then: [next, refuse]}"))  # fmt: skip
    totals, _ = replayed(PACK, new, recorded(public))
    assert totals.opened == {("confidential", "nordic"): 1}
    moved = edited(("    kind: local\n    provider: openai\n    url: http://127.0.0.1:8081/v1", "    kind: premium\n    provider: openai\n    url: https://elsewhere.example.com/v1"),
                   ("  eea: {runs: EEA, stores: EEA, dpa: signed}", "  eea: {lanes: [home, nordic, shared]}"))  # fmt: skip
    totals, rows = replayed(PACK, moved, recorded(public))
    assert (totals.elsewhere, totals.opened, rows) == ({"home": 1}, {}, [])


def test_an_entry_that_cannot_be_read_is_counted_and_left_out() -> None:
    """Damaged and older entries stop nothing: they are counted, with the first decision that they are of."""
    good = list(entries(recorded(request(KNOW_HOW), request())))
    bad = [
        (9, 9, b"dX", b"outcome", b"{not json"),
        (10, 10, b"dY", b"intent", b'{"opening": {"policy": 1}}'),
        (11, 11, b"dZ", b"lever", b""),
    ]
    recording = Recording([*good[:2], *bad, *good[2:]])
    assert [one.id for one in recording] == ["d0", "d1"]
    assert (recording.damaged, recording.example) == (2, "dX")


def test_requests_under_a_policy_that_cannot_be_read_are_said_and_left_out() -> None:
    """Without the policy that decided them, nobody knows what they are to be compared with."""
    totals, rows = replayed("the log does not hold it", PACK, recorded(request(), request(KNOW_HOW)))
    assert (totals.requests, totals.lost, rows) == (0, {"the log does not hold it": 2}, [])


def test_memory_is_bounded_by_adding_up_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals are the same however few kinds of request are kept at a time."""
    monkeypatch.setattr("laneway.replay.run._MOST_KINDS", 2)
    made = recorded(*(request(KNOW_HOW | {"ceiling": f"0.{n}"}) for n in range(2, 8)))
    assert counts(replayed(PACK, edited(("try: cheapest", "try: strongest")), made)[0])["other lane"] == 6
    monkeypatch.undo()
    assert counts(replayed(PACK, edited(("try: cheapest", "try: strongest")), made)[0])["other lane"] == 6


def test_a_record_of_an_older_version_is_decided_again() -> None:
    """An entry without what later versions added reads as if nothing of that had been there."""
    later = {"judge", "hedge", "met", "shadow", "p95", "evidence", "reviewers", "language", "instructed"}
    (intent, outcome) = entries(recorded(request(KNOW_HOW)))
    told = msgspec.json.decode(intent[4])
    for part in ("decision", "facts"):
        told["opening"][part] = {key: value for key, value in told["opening"][part].items() if key not in later}
    del told["opening"]["signals"]["language"]
    older = (*intent[:4], msgspec.json.encode(told))
    replay = Replay(Again(PACK), Space(PACK, PACK), lambda _: PACK)
    for one in Recording([older, outcome]):
        replay.add(one)
    assert counts(replay.finish()) == {"unchanged": 1}


def test_what_differs_behind_an_answer_costs_what_was_recorded() -> None:
    """Where the calls on record would answer the request as before, what they cost is what they would cost."""
    new = edited(("then: [next, refuse]", "then: [next, hold]"))
    first = opening(PACK, request(KNOW_HOW), DAY)
    totals, (row,) = replayed(PACK, new, ended("d0", first, answer("nordic", 1_000, 500, 0.5), cost=0.5))
    assert (row.change, row.cost, row.low, row.high) == ("otherwise", 0.5, 0.5, 0.5)
    assert totals.changed.unpriced == 0


def test_decisions_of_a_third_policy_are_made_again_under_the_older_of_two() -> None:
    """Where two policies are compared on what a third one decided, what the older makes of it is what counts."""
    old, new = edited(("try: cheapest", "try: nordic")), edited(("try: cheapest", "try: shared"))
    for sides, moves in ((None, ("home", "shared")), (Again(old), ("nordic", "shared"))):
        replay = Replay(Again(new), Space(old, new), lambda _: PACK, old=sides)
        for one in Recording(entries(recorded(request(KNOW_HOW)))):
            replay.add(one)
        assert list(replay.finish().moves) == [moves]
    unknown = edited(
        (
            "clause-lookup: {sensitivity: confidential, difficulty: routine,",
            "clause-lookup: {sensitivity: confidential,",
        )
    )
    replay = Replay(Again(new), Space(unknown, new), lambda _: PACK, old=Again(unknown))
    for one in Recording(entries(recorded(request({"workload": "clause-lookup", "fact-matter": "ordinary"})))):
        replay.add(one)
    assert counts(replay.finish()) == {"unknown": 1}


def test_nothing_that_tells_requests_apart_is_left_out_of_their_kind() -> None:
    """Facts that the older decision did not depend on, and a decision that is not what its policy says, count too."""
    asked = request({"fact-matter": "ordinary", "sensitivity": "confidential"})
    down = Facts(today=TODAY, closed={"nordic": "it is down"})
    first, later = opening(PACK, asked, DAY), opening(PACK, asked, down)
    assert way(PACK, first.decision) == way(PACK, later.decision)
    _, rows = replayed(PACK, edited(("try: cheapest", "try: nordic")), [*ended("d0", first), *ended("d1", later)])
    assert [(row.id, row.new) for row in rows] == [("d0", "nordic"), ("d1", "refused")]
    assert isinstance(first.decision, Route)
    other = msgspec.structs.replace(first, decision=msgspec.structs.replace(first.decision, lanes=("shared",)))
    _, rows = replayed(PACK, PACK, [*ended("d0", first), *ended("d1", other)])
    assert [(row.id, row.old, row.new) for row in rows] == [("d1", "shared", "home")]
