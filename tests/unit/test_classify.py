"""Classification: labels only raise, every signal has its evidence, and a failure is the strictest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import laneway.classify as module
from laneway.classify import classify, estimate_tokens
from laneway.errors import RequestError
from laneway.lane import Lane
from laneway.policy import Detect, FactType, Policy, Unlabelled, Workload
from laneway.request import Request
from laneway.signals import Signals

CLASSES = ("public", "internal", "confidential", "restricted")
NUMBER = "121212-1212"


def _policy(unlabelled: Unlabelled | None = None) -> Policy:
    lane = Lane(name="home", kind="local", provider="x", url="http://127.0.0.1:1", model="m")
    workloads = (
        Workload(
            name="review",
            sensitivity="confidential",
            stakes="high",
            latency="background",
            ceiling=0.4,
            difficulty="hard",
        ),
        Workload(name="chat"),
    )
    facts = (FactType("matter", values=("m1", "m2")), FactType("Size", low=0.0, high=10.0))
    return Policy(
        name="t",
        text="",
        hash="",
        file="t.yaml",
        currency="EUR",
        classes=CLASSES,
        unlabelled=unlabelled or Unlabelled(sensitivity="internal"),
        lanes={"home": lane},
        strength=("home",),
        zones={},
        grants=(),
        workloads={workload.name: workload for workload in workloads},
        detect=Detect(identifiers={"card": "confidential", "*": "restricted"}, unreadable="confidential"),
        facts={fact.name: fact for fact in facts},
    )


POLICY = _policy()


def _request(text: str = "Hej", model: str = "auto", /, **labels: str) -> Request:
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}]}
    return Request(
        model=model,
        labels={name.replace("_", "-"): value for name, value in labels.items()},
        body=body,
        canonical=msgspec.json.encode(body).decode(),
        max_output=9,
    )


def _signals(request: Request, policy: Policy = POLICY) -> Signals:
    return classify(policy, request)[1]


def _kinds(signals: Signals, signal: str) -> Iterator[tuple[str, str, str]]:
    return ((e.place, e.kind, e.value) for e in signals.evidence if e.signal == signal)


def _refused(request: Request) -> RequestError:
    with pytest.raises(RequestError) as caught:
        classify(POLICY, request)
    return caught.value


def test_the_model_name_asks_for_a_workload_or_a_lane() -> None:
    """`auto` asks for nothing, a workload's name for it, `lane/NAME` for that lane."""
    ask, signals = classify(POLICY, _request())
    assert (ask.pin, ask.max_output, signals.workload) == (None, 9, None)
    assert classify(POLICY, _request("Hej", "review"))[1].workload == "review"
    ask, signals = classify(POLICY, _request("Hej", "lane/home", workload="chat"))
    assert (ask.pin, signals.workload) == ("home", "chat")


@pytest.mark.parametrize(("model", "hint"), [("lane/hom", "`lane/home`"), ("reviews", "`review`"), ("gpt", "auto")])
def test_an_unknown_model_is_not_found(model: str, hint: str) -> None:
    """A model that the policy does not know is a 404 with what is known."""
    error = _refused(_request("Hej", model))
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert hint in str(error)


@pytest.mark.parametrize(
    ("label", "value", "hint"),
    [
        ("sensitivity", "restrictd", "`restricted`"),
        ("latency", "now", "interactive"),
        ("stakes", "low", "normal"),
        ("workload", "reviw", "`review`"),
        ("region", "se", "SE"),
        ("fact_client", "x", "matter"),
        ("fact_matter", "m3", "m1, m2"),
        ("fact_size", "11", "from 0.0 to 10.0"),
        ("fact_size", "nan", "from 0.0 to 10.0"),
        ("ceiling", "-1", "0.40"),
        ("ceiling", "nan", "0.40"),
        ("ceiling", "inf", "0.40"),
        ("ceiling", "1e3", "0.40"),
        ("ceiling", "0,40", "0.40"),
        ("ceiling", "1_0", "0.40"),
        ("ceiling", "１", "0.40"),
        ("ceiling", "", "0.40"),
    ],
)
def test_an_unknown_value_is_refused_with_the_known_ones(label: str, value: str, hint: str) -> None:
    """The label, the value and what is known are named."""
    error = _refused(_request(**{label: value}))
    assert (error.status, error.code) == (400, "unknown_label")
    assert f"laneway-{'fact' if label == 'fact_client' else label.replace('_', '-')}" in str(error)
    assert hint in str(error)


def test_two_different_workloads_are_refused() -> None:
    """A workload asked for by name and another by label cannot both hold."""
    assert _refused(_request("Hej", "review", workload="chat")).code == "conflicting_label"
    assert _signals(_request("Hej", "review", workload="review")).workload == "review"


def test_nobody_said_is_the_policys_own_default() -> None:
    """Without label and workload the visible defaults hold, and say so."""
    signals = _signals(_request())
    assert (signals.sensitivity, signals.latency, signals.stakes, signals.ceiling) == (
        "internal", "interactive", "normal", None,
    )  # fmt: skip
    assert list(_kinds(signals, "sensitivity")) == [("policy unlabelled", "default", "internal")]


def test_a_label_replaces_the_default_but_not_the_floor() -> None:
    """A client may say public where nobody else spoke; below a workload's floor it stays at the floor."""
    assert _signals(_request(sensitivity="public")).sensitivity == "public"
    signals = _signals(_request("Hej", "review", sensitivity="public"))
    assert signals.sensitivity == "confidential"
    assert list(_kinds(signals, "sensitivity")) == [
        ("header laneway-sensitivity", "label-below-floor", "public"),
        ("workload review", "floor", "confidential"),
    ]
    assert _signals(_request("Hej", "review", sensitivity="restricted")).sensitivity == "restricted"


def test_an_identifier_raises_by_its_kind() -> None:
    """A kind that the policy names has its class, every other the class of `*`."""
    signals = _signals(_request(f"nr {NUMBER}", sensitivity="public"))
    assert signals.sensitivity == "restricted"
    assert ("messages[0].content", "se.personnummer", "restricted") in _kinds(signals, "sensitivity")
    assert _signals(_request("4111111111111111")).sensitivity == "confidential"
    assert NUMBER not in str(signals)


def test_an_unreadable_part_raises() -> None:
    """What cannot be scanned counts as the policy says."""
    signals = _signals(replace(_request(), unreadable=("messages[0].content[1]",)))
    assert signals.sensitivity == "confidential"
    assert ("messages[0].content[1]", "unreadable", "confidential") in _kinds(signals, "sensitivity")


def test_a_failed_detector_is_the_strictest_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that breaks has read nothing, so the request is the most sensitive."""

    def broken(*_: object) -> None:
        raise ValueError("CANARY")

    monkeypatch.setattr(module, "identifiers", broken)
    signals = _signals(_request(sensitivity="public"))
    assert signals.sensitivity == "restricted"
    assert ("request", "detector-failed", "restricted") in _kinds(signals, "sensitivity")
    assert "CANARY" not in str(signals)


def test_a_text_too_costly_to_read_is_the_strictest_class() -> None:
    """Whoever hides behind thousands of look-alikes is not taken for read, whatever else was found."""
    signals = _signals(_request(f"4111111111111111 {'811218-9877 ' * 410_000}", sensitivity="public"))
    assert signals.sensitivity == "restricted"
    assert list(_kinds(signals, "sensitivity"))[1:] == [("request", "detector-failed", "restricted")]


@given(
    label=st.none() | st.sampled_from(CLASSES),
    model=st.sampled_from(["auto", "review", "chat", "lane/home"]),
    text=st.sampled_from(["Hej", NUMBER, "4111111111111111"]),
    unreadable=st.sampled_from([(), ("messages[0].content[0]",)]),
)
def test_a_client_label_never_lowers(label: str | None, model: str, text: str, unreadable: tuple[str, ...]) -> None:
    """No label gives less than the workload's floor, the detectors, or itself."""
    labels = {} if label is None else {"sensitivity": label}
    got = CLASSES.index(_signals(replace(_request(text, model, **labels), unreadable=unreadable)).sensitivity)
    floor = [
        0 if label is None else CLASSES.index(label),
        2 if model == "review" else 0,
        2 if unreadable else 0,
    ]
    floor.append({"Hej": 0, NUMBER: 3, "4111111111111111": 2}[text])
    unlabelled = 1 if label is None and model != "review" else 0
    assert got == max(*floor, unlabelled)


def test_stakes_only_rise() -> None:
    """A client may raise the stakes; its `normal` leaves a workload's `high`."""
    assert _signals(_request(stakes="high")).stakes == "high"
    signals = _signals(_request("Hej", "review", stakes="normal"))
    assert signals.stakes == "high"
    assert ("header laneway-stakes", "label-below-floor", "normal") in _kinds(signals, "stakes")


@given(st.none() | st.decimals(0, 1000, places=2), st.sampled_from(["auto", "review"]))
def test_a_ceiling_only_falls(label: object, model: str) -> None:
    """The lower of the workload's (or the default) and the client's ceiling holds."""
    for default in (None, 5.0):
        policy = _policy(Unlabelled(sensitivity="internal", ceiling=default))
        labels = {} if label is None else {"ceiling": f"{label}"}
        base = 0.4 if model == "review" else default
        stated = [limit for limit in (base, None if label is None else float(str(label))) if limit is not None]
        assert _signals(_request("Hej", model, **labels), policy).ceiling == min(stated, default=None)


def test_latency_is_the_nearest_word() -> None:
    """Label before workload before default."""
    assert _signals(_request("Hej", "review", latency="batch")).latency == "batch"
    assert _signals(_request("Hej", "review")).latency == "background"
    assert _signals(_request("Hej", "chat")).latency == "interactive"


def test_difficulty_is_the_workloads_the_policys_or_an_estimate() -> None:
    """The client has no say in it."""
    assert _signals(_request("Hej", "review")).difficulty == "hard"
    assert _signals(_request("Prove that 1 < 2.")).difficulty == "hard"
    assert _signals(_request("Hej")).difficulty == "routine"
    fixed = _policy(Unlabelled(sensitivity="internal", difficulty="unknown"))
    assert _signals(_request("Prove that 1 < 2."), fixed).difficulty == "unknown"


def test_declared_facts_team_and_region_are_taken_over() -> None:
    """Facts keep the policy's spelling and type."""
    signals = _signals(_request(fact_matter="m1", fact_size="2.5", team="legal", region="SE"))
    assert signals.declared == {"matter": "m1", "Size": 2.5}
    assert (signals.team, signals.region) == ("legal", "SE")


def test_tokens_are_estimated_from_bytes() -> None:
    """A third of the bytes, rounded up."""
    assert [estimate_tokens(text) for text in ("", "a", "abc", "abcd", "åäö")] == [0, 1, 1, 2, 2]


def test_every_signal_has_its_evidence() -> None:
    """Whatever a rule may test, the record says where it came from."""
    signals = _signals(replace(_request("Hej", "review", team="t", region="SE", fact_matter="m1"), needs=("tools",)))
    stated = set(Signals.__struct_fields__) - {"declared", "evidence", "language"} | {"matter"}
    assert {entry.signal for entry in signals.evidence} == stated
