"""What evidence counts for: all that was measured must be as it was, and what is seen since can only lower it."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.decide import decide
from laneway.decision import Refuse, Route
from laneway.errors import PolicyError
from laneway.evidence.basis import basis
from laneway.evidence.ledger import FILE, Bound, Evidence, On, append, read
from laneway.evidence.sample import prompt_hash, set_hash
from laneway.evidence.sets import read_set
from laneway.evidence.standing import Other, Standing, stand
from laneway.facts import Facts
from laneway.policy import Policy
from laneway.policy_file import load, parse
from laneway.record import Feedback, Word
from laneway.request import Request
from laneway.signals import Ask, Signals
from laneway.wire import openai

TODAY = datetime.date(2026, 11, 29)
AT = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
POLICY = """
laneway: 1
name: t
approved: {by: Us, on: 2026-11-01, review_every: 90d}
currency: EUR
sensitivity: [public, restricted]
unlabelled: {sensitivity: public}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:8081/v1", model: small, price: 0}
  big: {kind: local, provider: openai, url: "http://127.0.0.1:8082/v1", model: large, price: 1.0}
strength: [home, big]
zones: {ours: {kind: local}}
wall: [{sensitivity: [public, restricted], zones: [ours], says: Everything stays here.}]
workloads:
  clauses: {prompt: prompt.md, evals: [evals/flags.yaml]}
  other: {}
routes: [{says: Cheap first., try: cheapest}]
gate: {says: Good enough., evidence: {score: 0.85, confidence: 0.95}}
"""
SET = """
evaluation: 1
name: flags
says: Does it find them?
workload: clauses
sensitivity: public
scorers: [{exact: {}}]
samples:
  - {id: a, input: One?, expected: "1"}
  - {id: b, input: Two?, expected: "2"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy with its prompt and its set."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "laneway.yaml").write_text(POLICY)
    (tmp_path / "evals" / "flags.yaml").write_text(SET)
    (tmp_path / "prompt.md").write_text("Answer with a number.\n")
    return tmp_path


def evidence(folder: Path, **changes: object) -> Evidence:
    """What home has shown on the set as it stands there now."""
    path = folder / "evals" / "flags.yaml"
    found = read_set(path)
    on = On("flags", set_hash(found), hashlib.sha256(path.read_bytes()).hexdigest(),
            prompt_hash((folder / "prompt.md").read_text()), found.prompt or "")  # fmt: skip
    made = Evidence(at=AT, workload="clauses", lane="home", model="small", reported="small-q4",
                    endpoint="http://127.0.0.1:8081/v1", on=(on,), confidence=0.95,
                    bounds={"": Bound(60, 0.98, 0.9, 1.0), "#flags": Bound(60, 0.98, 0.9, 1.0)})  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def standing(folder: Path, **changes: object) -> Standing:
    """What counts once this is the ledger."""
    append(folder / FILE, evidence(folder, **changes))
    return stand(load(folder / "laneway.yaml"))


def decided(
    found: Standing, workload: str = "clauses", language: str | None = None, today: datetime.date = TODAY
) -> tuple[str, str]:
    """The lane that is tried first, or nothing; and why home may or may not serve."""
    signals = Signals(sensitivity="public", workload=workload, language=language)
    assert found.policy is not None
    made = decide(found.policy, Ask(), signals, Facts(today=today, evidence=found.of(signals, today)))
    if isinstance(made, Route):
        assert made.evidence == "met"
        return made.lanes[0], next(r.effect for r in made.reasons if r.code == "evidence-met" and r.lane == "home")
    assert isinstance(made, Refuse)
    return "", next(r.effect for r in made.rejected if r.code == "no-evidence" and r.lane == "home")


def test_evidence_that_meets_the_bar_opens_the_lane_for_its_workload_alone(folder: Path) -> None:
    """Home serves what it was measured on; other work, and the lane beside it, stay shut."""
    found = standing(folder)
    lane, why = decided(found)
    assert lane == "home"
    assert why == "home has shown 0.9 or more at 95% confidence, on 60 samples on 2026-11-20; the bar is 0.85 at 95%"
    lane, why = decided(found, "other")
    assert (lane, why) == ("", "home has shown no evidence for this workload, and nobody has waived it")


def test_the_lower_bound_is_what_counts(folder: Path) -> None:
    """A mean above the bar opens nothing where the lower bound is below it; nor does too little confidence."""
    lane, why = decided(standing(folder, bounds={"": Bound(20, 0.95, 0.849, 1.0)}))
    assert lane == ""
    assert why.startswith("home has shown 0.849 or more at 95% confidence, on 20 samples")
    assert "too little" in why
    lane, why = decided(standing(folder, confidence=0.9))
    assert lane == ""


Change = Callable[[Path], object]


def edited(name: str, old: str, new: str) -> Change:
    """What puts `new` in the place of `old` in a file."""

    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return edit


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edited("prompt.md", "number.\n", "number. \n"), "the prompt of flags has changed since 2026-11-20"),
        (edited("evals/flags.yaml", '"2"', '"3"'), "the set flags has changed since 2026-11-20"),
        (edited("laneway.yaml", "model: small", "model: smaller"), "the model was small on 2026-11-20, and is smaller now"),
        (edited("laneway.yaml", ":8081", ":8083"), "it was measured at another address on 2026-11-20"),
        (edited("laneway.yaml", "90d", "8d"), "it was measured on 2026-11-20, and evidence counts for 8 days"),
        (edited("evals/flags.yaml", "name: flags", "name: other"), "the sets were flags on 2026-11-20, and are other now"),
    ],
)  # fmt: skip
def test_whatever_changes_under_it_ends_evidence(folder: Path, change: Change, why: str) -> None:
    """A byte of the prompt, a sample, the model, the endpoint or too many days shut the lane, which says so."""
    assert decided(standing(folder))[0] == "home"
    change(folder)
    lane, told = decided(stand(load(folder / "laneway.yaml")))
    assert (lane, told) == ("", f"home has no evidence that counts: {why}, and nobody has waived it")


@pytest.mark.parametrize(
    "change",
    [
        edited("evals/flags.yaml", "says: Does it find them?", "says: Does it find all of them? # soon"),
        edited("laneway.yaml", "says: Good enough.", "says: Good enough for now."),
    ],
)
def test_tidying_costs_no_evidence(folder: Path, change: Change) -> None:
    """Words that can change no score leave the lane open."""
    assert decided(standing(folder))[0] == "home"
    change(folder)
    assert decided(stand(load(folder / "laneway.yaml")))[0] == "home"


def test_a_new_measurement_opens_what_a_change_shut(folder: Path) -> None:
    """Once the lane was measured with the new prompt it serves again; the old evidence is no obstacle."""
    standing(folder)
    edited("prompt.md", "Answer", "Reply")(folder)
    assert decided(stand(load(folder / "laneway.yaml")))[0] == ""
    assert decided(standing(folder, at=AT + datetime.timedelta(days=1)))[0] == "home"


def test_a_lane_that_answers_as_another_model_shuts_at_once(folder: Path) -> None:
    """It is shut by the first such answer, told once, and stays shut when it is itself again, until it is measured."""
    found = standing(folder)
    assert found.policy is not None
    lane = found.policy.lanes["home"]
    assert found.answered(lane, "small-q4") is None
    assert decided(found)[0] == "home"
    other = found.answered(lane, "tiny-q2")
    assert other is not None
    assert (other.measured, other.answered) == ("small-q4", "tiny-q2")
    assert found.answered(lane, "tiny-q2") is None
    assert found.answered(lane, "small-q4") is None
    assert decided(found)[0] == ""
    assert "it was measured as small-q4 on 2026-11-20, and answered as tiny-q2" in decided(found)[1]
    later = stand(found.policy, found.others)
    assert decided(later)[0] == ""
    append(folder / FILE, evidence(folder, at=datetime.datetime.now(datetime.UTC), reported="tiny-q2"))
    assert decided(stand(found.policy, found.others))[0] == "home"


LANGUAGES = {"": Bound(60, 0.98, 0.9, 1.0), "en": Bound(50, 1.0, 0.94, 1.0), "sv": Bound(10, 0.9, 0.6, 0.99)}


@pytest.mark.parametrize(
    ("language", "lane", "why"),
    [
        ("en", "home", "on 50 samples"),
        ("sv", "", "home has shown 0.6 or more"),
        ("fi", "", "it was measured in en, sv, and not in fi"),
        (None, "", "it was measured in en, sv, and the request's language is not known"),
    ],
)
def test_evidence_in_one_language_says_nothing_of_another(
    folder: Path, language: str | None, lane: str, why: str
) -> None:
    """English evidence opens a lane for English; what the whole set shows opens it for nothing else."""
    found = decided(standing(folder, bounds=LANGUAGES), language=language)
    assert found[0] == lane
    assert why in found[1]


def test_a_part_that_is_surely_bad_is_not_hidden_by_the_whole(folder: Path) -> None:
    """A set or a group that is proved to be below the bar shuts the lane though the average is good."""
    for key, name in (("#flags", "the set flags"), ("/lease", "the group lease")):
        bounds = {"": Bound(200, 0.95, 0.9, 0.98), key: Bound(20, 0.5, 0.3, 0.7)}
        lane, why = decided(standing(folder, bounds=bounds))
        assert lane == ""
        assert f"on {name} it is surely below the bar: at most 0.700" in why


def test_groups_count_apart_where_requests_name_theirs(folder: Path) -> None:
    """With a declared fact `group` each group has to show it; a request that names none is shut out."""
    edited("laneway.yaml", "routes:", "facts: {group: {values: [lease, loan, sale]}}\nroutes:")(folder)
    bounds = {"": Bound(90, 0.95, 0.9, 1.0), "/lease": Bound(60, 1, 0.95, 1), "/loan": Bound(30, 0.9, 0.7, 1)}
    found = standing(folder, bounds=bounds)
    assert found.policy is not None

    def lower(group: str | None) -> tuple[float, str]:
        declared: dict[str, str | float] = {} if group is None else {"group": group}
        shown = found.of(Signals(sensitivity="public", workload="clauses", declared=declared), TODAY)[0]
        return shown.lower, shown.missing

    assert lower("lease") == (0.95, "")
    assert lower("loan") == (0.7, "")
    assert lower("sale") == (0.0, "it was measured on lease, loan, and not on sale")
    assert lower(None) == (0.0, "it was measured on lease, loan, and nobody has said the request's group")


def test_what_was_measured_last_counts_and_not_what_was_written_last(folder: Path) -> None:
    """Answers on file that are written down once more do not push aside a later measurement that went badly."""
    standing(folder, at=AT + datetime.timedelta(hours=1), bounds={"": Bound(60, 0.5, 0.4, 0.6)})
    assert decided(standing(folder))[0] == ""


def test_what_is_dated_ahead_of_the_clock_does_not_count(folder: Path) -> None:
    """A machine with a fast clock cannot make evidence that nothing seen later could end."""
    found = standing(folder, at=datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5))
    assert "which is ahead of the clock" in decided(found)[1]
    assert found.policy is not None
    assert found.answered(found.policy.lanes["home"], "tiny-q2") is None
    assert not found.others


def test_each_evidence_of_a_lane_is_ended_by_another_model(folder: Path) -> None:
    """Also where an older line of other work stands behind it in the ledger, with another shut between the two."""
    edited("laneway.yaml", "  other: {}", "  other: {evals: [evals/flags.yaml]}")(folder)
    append(folder / FILE, evidence(folder, at=AT + datetime.timedelta(days=2)))
    append(folder / FILE, evidence(folder, workload="other"))
    policy = parse((folder / "laneway.yaml").read_text(), str(folder / "laneway.yaml"))
    entries = read(folder / FILE)
    seen = Other("home", "http://127.0.0.1:8081/v1", "small-q4", "tiny-q2", AT + datetime.timedelta(days=1))
    found = Standing(policy=policy, entries=entries, others=[seen])
    assert found.answered(policy.lanes["home"], "tiny-q2") is not None
    assert found.answered(policy.lanes["home"], "tiny-q2") is None


def asked(*messages: tuple[str, str]) -> Request:
    """A request for the work, as it comes."""
    body = {"model": "clauses", "messages": [{"role": role, "content": text} for role, text in messages]}
    return openai.read(msgspec.json.encode(body), {})


def test_evidence_behind_a_sets_own_prompt_is_for_requests_that_come_with_it(folder: Path) -> None:
    """Where the workload has no prompt of its own, a request without the set's finds no evidence; one with it does."""
    edited("laneway.yaml", "prompt: prompt.md, ", "")(folder)
    edited("evals/flags.yaml", "scorers:", "prompt: ../prompt.md\nscorers:")(folder)
    found = standing(folder)
    signals = Signals(sensitivity="public", workload="clauses")
    prompt = (folder / "prompt.md").read_text()
    for messages, lower in (
        ([("user", "One?")], 0.0),
        ([("system", "Something else."), ("user", "One?")], 0.0),
        ([("system", prompt), ("user", "One?")], 0.9),
        ([("developer", prompt), ("user", "One?")], 0.9),
    ):
        shown = found.of(signals, TODAY, asked(*messages))[0]
        assert shown.lower == lower
        assert ("does not come with" in shown.missing) == (lower == 0.0)


def test_a_damaged_ledger_shuts_every_lane_and_says_so(folder: Path) -> None:
    """Nothing in it counts, as anything in it may be wrong; waivers, which are in the policy, still do."""
    standing(folder)
    (folder / FILE).write_bytes((folder / FILE).read_bytes().replace(b"0.9", b"0.8"))
    append_line = (folder / FILE).read_bytes() * 2
    (folder / FILE).write_bytes(append_line)
    lane, why = decided(stand(load(folder / "laneway.yaml")))
    assert lane == ""
    assert "the ledger cannot be used" in why
    assert f"{FILE}:1: this line was changed" in why


def wrong(folder: Path) -> str:
    """What is said of the policy's files."""
    with pytest.raises(PolicyError) as error:
        basis(load(folder / "laneway.yaml"))
    return str(error.value)


def test_files_that_cannot_be_used_are_named_with_their_place_in_the_policy(folder: Path) -> None:
    """A missing prompt, an empty one, a set for other work or of an unknown class: each with the workload's line."""
    (folder / "prompt.md").unlink()
    assert "laneway.yaml:15:1: workload `clauses`: " in wrong(folder)
    assert "prompt.md: cannot be read: No such file" in wrong(folder)
    (folder / "prompt.md").write_text(" \n")
    assert "prompt.md: is empty" in wrong(folder)
    (folder / "prompt.md").write_text("Do it.")
    edited("evals/flags.yaml", "workload: clauses", "workload: other")(folder)
    assert "is a set for the workload `other`, not for `clauses`, which names it" in wrong(folder)
    edited("evals/flags.yaml", "workload: other", "workload: clauses")(folder)
    edited("evals/flags.yaml", "sensitivity: public", "sensitivity: publik")(folder)
    assert "has samples of a class `publik` that the policy does not have; did you mean `public`?" in wrong(folder)
    edited("evals/flags.yaml", "sensitivity: publik", "sensitivity: public\nfacts: {matter: sealed}")(folder)
    assert "states a fact that the policy does not know: laneway-fact: unknown value `matter`" in wrong(folder)


def test_a_fact_that_the_policy_no_longer_has_ends_a_set_that_was_measured(folder: Path) -> None:
    """Whoever holds evidence on a set that states facts reads it anew, as `eval run` would."""
    edited("laneway.yaml", "lanes:\n", "facts: {matter: {values: [sealed, ordinary]}}\nlanes:\n")(folder)
    edited("evals/flags.yaml", "sensitivity: public", "sensitivity: public\nfacts: {matter: sealed}")(folder)
    append(folder / FILE, evidence(folder))
    assert basis(load(folder / "laneway.yaml"), read(folder / FILE)).on["clauses"]
    edited("laneway.yaml", "[sealed, ordinary]", "[secret, ordinary]")(folder)
    with pytest.raises(PolicyError, match="unknown value `sealed`"):
        basis(load(folder / "laneway.yaml"), read(folder / FILE))


class _Log:
    """What a log says: so many answers of home on clauses, and these words."""

    def __init__(self, answers: int, words: list[Word]) -> None:
        self.answers, self.words = answers, words

    def feedback(self, since: datetime.datetime | None = None) -> Iterator[Word]:
        """Every word since."""
        return (word for word in self.words if since is None or word.at >= since)

    def tally(self, since: datetime.datetime | None = None) -> Counter[tuple[str | None, str]]:
        """All answers, whatever the day."""
        assert since == AT
        return Counter({("clauses", "home"): self.answers})


def word(number: int, *, accepted: bool, by: str = "anna", at: datetime.datetime = AT) -> Word:
    """What somebody says of one answer."""
    return Word(at, Feedback(id=f"{number:011x}-0", accepted=accepted, by=by, source="user"), "clauses", "home")


def test_rejected_answers_shut_a_lane_and_accepted_ones_open_none(folder: Path) -> None:
    """Three rejected of four answers are proof enough; praise before, after or instead of them changes nothing."""
    found = standing(folder)
    found.listen(_Log(4, [word(n, accepted=True) for n in range(4)]), TODAY)
    assert decided(found)[0] == "home"
    found.listen(_Log(4, [word(n, accepted=n == 3) for n in range(4)]), TODAY)
    lane, why = decided(found)
    assert lane == ""
    assert "people rejected 3 of 4 answers since" in why
    found.listen(_Log(4, [*(word(n, accepted=n == 3) for n in range(4)),
                          *(word(n, accepted=True, by=f"b{k}") for n in range(4) for k in range(9))]), TODAY)  # fmt: skip
    assert decided(found)[0] == ""


def test_rejections_before_the_measurement_do_not_count(folder: Path) -> None:
    """Evidence measured anew begins anew."""
    found = standing(folder)
    found.listen(_Log(9, [word(n, accepted=False, at=AT - datetime.timedelta(days=1)) for n in range(9)]), TODAY)
    assert decided(found)[0] == "home"


@given(words=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from("abc")), max_size=20),
       answers=st.integers(0, 50), more=st.integers(0, 50))  # fmt: skip
def test_no_words_ever_raise_what_a_lane_has_shown(words: list[tuple[int, bool, str]], answers: int, more: int) -> None:
    """Whatever is said, by whom and in which order, and however many answers go by, the ledger's bound is the most."""
    entry = Evidence(at=AT, workload="clauses", lane="home", model="small", reported="", confidence=0.95, on=(),
                     endpoint="http://127.0.0.1:8081/v1", bounds={"": Bound(60, 0.98, 0.9, 1.0)})  # fmt: skip
    found = Standing(policy=_policy(), entries=(entry,))
    signals = Signals(sensitivity="public", workload="clauses")
    found.listen(_Log(answers, [word(n, accepted=good, by=by) for n, good, by in words]), TODAY)
    for _ in range(more):
        found.heard.gave("clauses", "home")
    (shown,) = (one for one in found.of(signals, TODAY) if one.lane == "home")
    assert not shown.missing
    assert shown.lower <= 0.9


def _policy() -> Policy:
    from laneway.policy_file import parse

    return parse(POLICY)
