"""Classify: one request's Signals, each with its evidence, and what the client asked for by name.

Comes from a codec in `wire/`; goes into `decide`. A label only ever raises: what the client says, what
the workload demands and what the detectors find are all floors, and a detector that fails is the
strictest of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import cast

import msgspec

from laneway.classify.difficulty import estimate, user_texts
from laneway.classify.language import language_of
from laneway.classify.sensitivity import identifiers
from laneway.errors import RequestError, did_you_mean, shown
from laneway.policy import Policy, Workload
from laneway.regions import COUNTRIES
from laneway.request import Request
from laneway.signals import LANGUAGES, LATENCIES, STAKES, Ask, Difficulty, Evidence, Latency, Signals, Stakes

__all__ = ["UNLABELLED", "classify", "estimate_tokens", "fact_of", "raised"]

_PIN = "lane/"
_AUTO = "auto"
UNLABELLED = "policy unlabelled"
"""The place that evidence names where nobody said."""
_BYTES_A_TOKEN = 3
"""Deliberately few: European languages take 3 to 5 bytes a token, and a budget must not be overrun."""

_MONEY = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")


def classify(policy: Policy, request: Request) -> tuple[Ask, Signals]:
    """What `request` asks for and what it is. RequestError where it names what the policy does not know."""
    pin, name = _asked(policy, request)
    workload = policy.workloads[name] if name else None
    evidence: list[Evidence] = []
    if workload is not None:
        evidence.append(Evidence("workload", _source(request, "workload", "model"), "asked", workload.name))
    signals = Signals(
        sensitivity=_sensitivity(policy, request, workload, evidence),
        difficulty=_difficulty(policy, request, workload, evidence),
        stakes=_stakes(policy, request, workload, evidence),
        latency=_latency(policy, request, workload, evidence),
        ceiling=_ceiling(policy, request, workload, evidence),
        tokens=_tokens(request, evidence),
        needs=_needs(request, evidence),
        workload=name,
        team=_named(request, "team", evidence),
        region=_region(request, evidence),
        declared=_declared(policy, request, evidence),
        language=_language(policy, request, workload, evidence),
        evidence=tuple(evidence),
    )
    return Ask(pin, request.max_output), signals


def raised(policy: Policy, signals: Signals, request: Request) -> Signals:
    """`signals` for a text of ours that holds more than the client's: its class may be higher, never lower."""
    found = tuple(_detected(policy, request))
    sensitivity = max((signals.sensitivity, *(entry.value for entry in found)), key=policy.classes.index)
    return msgspec.structs.replace(signals, sensitivity=sensitivity, tokens=estimate_tokens(request.canonical))


def estimate_tokens(canonical: str) -> int:
    """Tokens of a body's text, rather too many than too few."""
    size = len(canonical) if canonical.isascii() else len(canonical.encode())
    return -(-size // _BYTES_A_TOKEN)


def _asked(policy: Policy, request: Request) -> tuple[str | None, str | None]:
    """The pinned lane and the workload that the model name and the label ask for."""
    model, label = request.model, request.labels.get("workload")
    if label is not None:
        _known("workload", label, policy.workloads)
    if model == _AUTO:
        return None, label
    if model in policy.workloads:
        if label not in (None, model):
            message = f"laneway-workload is {label}, but the model is the workload {model}; keep one"
            raise RequestError(400, "conflicting_label", message, "laneway-workload")
        return None, model
    if model.startswith(_PIN) and model.removeprefix(_PIN) in policy.lanes:
        return model.removeprefix(_PIN), label
    names = [_AUTO, *policy.workloads, *(_PIN + lane for lane in policy.lanes)]
    message = f"no model `{shown(model)}`{did_you_mean(model, names)}"
    raise RequestError(404, "model_not_found", message, "model")


def _sensitivity(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> str:
    label = request.labels.get("sensitivity")
    floors: list[Evidence] = []
    if label is not None:
        _known("sensitivity", label, policy.classes)
        floors.append(Evidence("sensitivity", _header("sensitivity"), "label", label))
    if workload is not None and workload.sensitivity is not None:
        floor = workload.sensitivity
        if label is not None and policy.classes.index(label) < policy.classes.index(floor):
            floors[0] = Evidence("sensitivity", _header("sensitivity"), "label-below-floor", label)
        floors.append(Evidence("sensitivity", f"workload {workload.name}", "floor", floor))
    if not floors:
        floors.append(Evidence("sensitivity", UNLABELLED, "default", policy.unlabelled.sensitivity))
    floors.extend(_detected(policy, request))
    evidence.extend(floors)
    return max((entry.value for entry in floors), key=policy.classes.index)


def _detected(policy: Policy, request: Request) -> Iterator[Evidence]:
    for place in request.unreadable:
        yield Evidence("sensitivity", place, "unreadable", policy.detect.unreadable)
    try:
        found = identifiers(request.canonical, request.body)
    except Exception:  # noqa: BLE001  # whatever broke the detector, the text was not read
        yield Evidence("sensitivity", "request", "detector-failed", policy.strictest)
        return
    classes = policy.detect.identifiers
    for place, kind in found:
        value = classes.get(kind, classes.get("*"))
        if value is not None:
            yield Evidence("sensitivity", place, kind, value)


def _difficulty(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> Difficulty:
    if workload is not None and workload.difficulty is not None:
        evidence.append(Evidence("difficulty", f"workload {workload.name}", "default", workload.difficulty))
        return workload.difficulty
    if policy.unlabelled.difficulty != "auto":
        evidence.append(Evidence("difficulty", UNLABELLED, "default", policy.unlabelled.difficulty))
        return policy.unlabelled.difficulty
    difficulty, points = estimate(request)
    evidence.extend(points)
    return difficulty


def _stakes(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> Stakes:
    label = request.labels.get("stakes")
    if label is not None:
        _known("stakes", label, STAKES)
    stated = workload.stakes if workload else None
    floor: Stakes = stated or policy.unlabelled.stakes
    if label == "high":
        evidence.append(Evidence("stakes", _header("stakes"), "label", label))
        return "high"
    if label is not None and floor == "high":
        evidence.append(Evidence("stakes", _header("stakes"), "label-below-floor", label))
    place = f"workload {workload.name}" if workload and stated else UNLABELLED
    evidence.append(Evidence("stakes", place, "floor", floor))
    return floor


def _latency(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> Latency:
    label = request.labels.get("latency")
    if label is not None:
        _known("latency", label, LATENCIES)
        evidence.append(Evidence("latency", _header("latency"), "label", label))
        return cast(Latency, label)
    if workload is not None and workload.latency is not None:
        evidence.append(Evidence("latency", f"workload {workload.name}", "default", workload.latency))
        return workload.latency
    evidence.append(Evidence("latency", UNLABELLED, "default", policy.unlabelled.latency))
    return policy.unlabelled.latency


def _ceiling(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> float | None:
    ceilings: list[tuple[float, Evidence]] = []
    if workload is not None and workload.ceiling is not None:
        place = f"workload {workload.name}"
        ceilings.append((workload.ceiling, Evidence("ceiling", place, "limit", f"{workload.ceiling}")))
    elif policy.unlabelled.ceiling is not None:
        limit = policy.unlabelled.ceiling
        ceilings.append((limit, Evidence("ceiling", UNLABELLED, "limit", f"{limit}")))
    label = request.labels.get("ceiling")
    if label is not None:
        if not _MONEY.fullmatch(label):
            message = f"laneway-ceiling: `{shown(label)}` is no amount; write digits such as 0.40"
            raise RequestError(400, "unknown_label", message, "laneway-ceiling")
        ceilings.append((float(label), Evidence("ceiling", _header("ceiling"), "label", label)))
    if not ceilings:
        evidence.append(Evidence("ceiling", UNLABELLED, "default", "none"))
        return None
    evidence.extend(entry for _, entry in ceilings)
    return min(limit for limit, _ in ceilings)


def _tokens(request: Request, evidence: list[Evidence]) -> int:
    tokens = estimate_tokens(request.canonical)
    evidence.append(Evidence("tokens", "request", "estimate", str(tokens)))
    return tokens


def _needs(request: Request, evidence: list[Evidence]) -> tuple[str, ...]:
    if request.needs:
        evidence.append(Evidence("needs", "request", "stated", ",".join(request.needs)))
    return request.needs


def _named(request: Request, label: str, evidence: list[Evidence]) -> str | None:
    value = request.labels.get(label)
    if value is not None:
        evidence.append(Evidence(label, _header(label), "label", value))
    return value


def _region(request: Request, evidence: list[Evidence]) -> str | None:
    name = _named(request, "region", evidence)
    if name is not None and name not in COUNTRIES:
        message = f"laneway-region: `{shown(name)}` is no country; write two capital letters such as SE"
        raise RequestError(400, "unknown_label", message, "laneway-region")
    return name


def _language(policy: Policy, request: Request, workload: Workload | None, evidence: list[Evidence]) -> str | None:
    """What the request is written in, where evidence may depend on it; None where that is not known."""
    label = request.labels.get("language")
    if label is not None:
        _known("language", label, LANGUAGES)
        evidence.append(Evidence("language", _header("language"), "label", label))
        return label
    if workload is None or workload.name not in policy.measured:
        return None
    if workload.language is not None:
        evidence.append(Evidence("language", f"workload {workload.name}", "default", workload.language))
        return workload.language
    for place, text in user_texts(request):
        found = language_of(text)
        if found is not None:
            evidence.append(Evidence("language", place, "written-in", found))
            return found
    return None


def _declared(policy: Policy, request: Request, evidence: list[Evidence]) -> dict[str, str | float]:
    declared: dict[str, str | float] = {}
    for label, value in request.labels.items():
        if label.startswith("fact-"):
            name, declared_value = fact_of(policy, label, value)
            declared[name] = declared_value
            evidence.append(Evidence(name, _header(label), "label", value))
    return declared


def fact_of(policy: Policy, label: str, value: str) -> tuple[str, str | float]:
    """The name and value of a declared fact that a client states in the label `fact-NAME`. Raises RequestError."""
    facts = {name.lower(): fact for name, fact in policy.facts.items()}  # Header names have no case.
    _known("fact", label.removeprefix("fact-"), facts)
    fact = facts[label.removeprefix("fact-")]
    if fact.values:
        _known(label, value, fact.values)
        return fact.name, value
    low = float("-inf") if fact.low is None else fact.low
    high = float("inf") if fact.high is None else fact.high
    if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
        message = f"laneway-{label}: `{shown(value)}` is no number from {low} to {high}"
        raise RequestError(400, "unknown_label", message, f"laneway-{label}")
    return fact.name, float(value)


def _known(label: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        hint = did_you_mean(value, known) if known else "; the policy declares none"
        message = f"laneway-{label}: unknown value `{shown(value)}`{hint}"
        raise RequestError(400, "unknown_label", message, f"laneway-{label}")


def _header(label: str) -> str:
    return f"header laneway-{label}"


def _source(request: Request, label: str, otherwise: str) -> str:
    return _header(label) if label in request.labels else otherwise
