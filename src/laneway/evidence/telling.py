"""telling: a comparison in words and as JSON, for every screen and page that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from laneway.errors import shown
from laneway.evidence.measured import Answer, Comparison, Figures, Measured, Pair, Shown, Subject, Terms
from laneway.evidence.sample import Sample
from laneway.lane import plain

__all__ = [
    "Content",
    "by_language",
    "comparison_json",
    "counted",
    "escalation",
    "headline",
    "money",
    "named",
    "pair_json",
    "pair_words",
    "part_words",
    "proof_words",
    "scope",
    "seconds",
    "share",
    "short",
    "signed",
]


class Content(NamedTuple):
    """The texts: samples by their hash, answers by the key of their result. What is not there is not shown."""

    samples: Mapping[str, Sample]
    answers: Mapping[str, str]


def share(value: float, *, down: bool = False) -> str:
    """A score to three digits; a lower bound is rounded down, so that 0.8499 never reads as 0.85."""
    return f"{int(value * 1000 + 1e-9) / 1000 if down else value:.3f}"


def signed(value: float) -> str:
    """A difference to two digits, with its sign."""
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0.00"


def money(amount: float | None, currency: str) -> str:
    """An amount to three digits."""
    return "unknown" if amount is None else f"{plain(float(f'{amount:.3g}'))} {currency}"


def named(subject: Subject) -> str:
    """A lane, and the prompt where it is not the one in force."""
    if not subject.prompt:
        return subject.lane
    return f"{subject.lane}, prompt {subject.prompt[:8]}"


def short(subject: Subject) -> str:
    """As `named`, for tables that stand beside a word on what the brackets are."""
    return f"{subject.lane} ({subject.prompt[:8]})" if subject.prompt else subject.lane


def seconds(value: float) -> str:
    """To the millisecond, or three digits."""
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3f}" if value < 1 else f"{value:.3g}"


def part_words(name: str) -> str:
    """A part of the samples, in words."""
    if not name:
        return "all samples"
    kinds = {"/": "group ", "#": "set "}
    return kinds[name[0]] + name[1:] if name[0] in kinds else f"in {name}"


def scope(terms: Terms) -> str:
    """What lanes are held against."""
    if terms.bar is None:
        return f"no bar, bounds at {terms.confidence * 100:g}%"
    return f"bar {terms.bar:g} at {terms.confidence * 100:g}%"


def headline(measured: Measured, terms: Terms, currency: str) -> str:
    """Which lane the routes would prefer on this workload."""
    if terms.bar is None:
        return "The policy's gate has no bar, so no lane can meet one."
    if measured.prefer is None:
        return f"No lane is shown to meet the bar of {terms.bar:g} at {terms.confidence * 100:g}%."
    chosen = next(f for f in measured.figures if f.subject == measured.prefer)
    fit = [f for f in measured.figures if f.met == "met"]
    rivals = sum(not f.subject.prompt or bool(chosen.subject.prompt) for f in fit)
    if chosen.cost_each is None:
        said = f"{named(chosen.subject)} meets the bar; its price is unknown."
    else:
        alone = "the only lane that meets the bar" if rivals == 1 else f"the cheapest of {rivals} that meet the bar"
        said = f"{named(chosen.subject)} is {alone}, at {money(chosen.cost_each, currency)} an answer."
    for other in fit:
        if other.subject.prompt and not chosen.subject.prompt and _cheaper(other, chosen):
            said += f" {named(other.subject)}, which is not in force, meets it at {money(other.cost_each, currency)}."
    return said


def _cheaper(one: Figures, other: Figures) -> bool:
    return one.cost_each is not None and (other.cost_each is None or one.cost_each < other.cost_each)


def by_language(measured: Measured, terms: Terms) -> list[str]:
    """Which lane the routes would prefer in each language, where that is not the same in all."""
    lanes = dict[str, list[str]]()
    for language, subject in measured.prefer_in.items() if terms.bar is not None else ():
        lanes.setdefault("no lane" if subject is None else named(subject), []).append(language)
    if not lanes or [*lanes] == [named(measured.prefer) if measured.prefer else "no lane"]:
        return []
    return [f"In {', '.join(languages)}: {lane}." for lane, languages in lanes.items()]


def counted(number: int, thing: str) -> str:
    """`1 sample`, `2 samples`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def proof_words(figures: Figures) -> str:
    """What a subject's samples prove, what would prove more, and what is missing from them."""
    said = [str(figures.proof)]
    said += [f"{count} without an answer ({shown(error)})" for error, count in figures.unanswered.items()]
    if figures.unscored:
        said.append(f"{sum(figures.unscored.values())} without a score, which count as 0")
    if figures.asked < figures.of:
        said.append(f"{figures.of - figures.asked} of {figures.of} not asked")
    other = [name for name in figures.reported if name not in figures.models]
    if other:
        said.append(f"answers as {', '.join(map(shown, other))}")
    return "; ".join(said)


def pair_words(pair: Pair) -> str:
    """How the second of a pair stands against the first."""
    found = pair.found
    if found is None:
        return "no samples that both have a score for"
    between = f"{signed(found.low)} to {signed(found.high)}"
    if found.verdict in ("better", "worse"):
        small = f", within {found.margin:g}" if -found.margin < found.low and found.high < found.margin else ""
        return f"{found.verdict}: {signed(found.difference)} ({between}{small}), p {_p(found.p)}"
    if found.verdict == "equal":
        return f"equal within {found.margin:g}: {signed(found.difference)} ({between})"
    more = _about(pair.more)
    return f"open: {signed(found.difference)} ({between}); an estimate: {more} more samples would decide it"


def escalation(pair: Pair, currency: str) -> str:
    """What asking the stronger lane brings over the weaker one, and what a better answer costs."""
    way = f"Escalating {pair.first.lane} -> {named(pair.second)}"
    found = pair.found
    if found is None:
        return f"{way}: nothing is known, as there are no samples that both have a score for."
    between = f"{signed(found.low)} to {signed(found.high)}"
    if found.verdict == "equal":
        return f"{way} brings nothing: equal within {found.margin:g} ({between})."
    if found.verdict == "worse":
        return f"{way} makes answers worse by {-found.difference:.2f} ({between})."
    if found.verdict == "open":
        more = _about(pair.more)
        return f"{way} is not shown to bring anything: {signed(found.difference)} ({between}); {more} more samples " \
               "would decide it."  # fmt: skip
    costs = ""
    if pair.price_all is not None:
        weak = money(pair.price_weak, currency)
        costs = f" Each full score gained costs {money(pair.price_all, currency)} if every sample is asked again, " \
                f"{weak} if only answers short of 1 are."  # fmt: skip
    return f"{way} brings {signed(found.difference)} a sample ({between}).{costs}"


def _about(more: int | None) -> str:
    """An estimate to two digits, rounded up: it is no better than that."""
    if more is None:
        return "over a million"
    step = 10 ** max(0, len(str(more)) - 2)
    return f"about {-(-more // step) * step}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


# as JSON


def comparison_json(made: Comparison, currency: str, content: Content | None) -> dict[str, Any]:
    """The whole, under stable keys; texts and reasons only where there is `content`."""
    terms = made.terms
    return {
        "bar": terms.bar, "confidence": terms.confidence, "margin": terms.margin, "currency": currency,
        "results": made.results, "stale": made.stale, "repeated": made.repeated,
        "workloads": [_measured_json(measured, content) for measured in made.workloads],
    }  # fmt: skip


def _measured_json(measured: Measured, content: Content | None) -> dict[str, Any]:
    return {
        "workload": measured.workload,
        "prefer": None if measured.prefer is None else measured.prefer._asdict(),
        "prefer_in": {name: subject and subject._asdict() for name, subject in measured.prefer_in.items()},
        "since": list(measured.since),
        "lanes": [_figures_json(figures) for figures in measured.figures],
        "pairs": [
            {"first": pair.first._asdict(), "second": pair.second._asdict(), "escalation": pair.escalation}
            | pair_json(pair) for pair in measured.pairs
        ],
        "disagreeing": measured.disagreeing,
        "disagreements": _shown_json(measured.disagreements, content),
        "short": measured.short,
        "worst": _shown_json(measured.worst, content),
    }  # fmt: skip


def _figures_json(figures: Figures) -> dict[str, Any]:
    proof = figures.proof
    return figures.subject._asdict() | {
        "models": figures.models, "reported": figures.reported, "asked": figures.asked, "of": figures.of,
        "unanswered": figures.unanswered, "unscored": figures.unscored, "met": figures.met, "best_bar": proof.bar,
        "wanted": proof.wanted, "missing": proof.missing, "cost": figures.cost, "cost_each": figures.cost_each,
        "seconds": {"median": figures.seconds[0], "p95": figures.seconds[1]},
        "tokens": {"in": figures.tokens[0], "out": figures.tokens[1]},
        "parts": [part._asdict() for part in figures.parts],
    }  # fmt: skip


def pair_json(pair: Pair) -> dict[str, Any]:
    """The figures of a pair; those of its test are absent where the two have no sample in common."""
    test = {} if pair.found is None else pair.found._asdict()
    return {
        "common": pair.common,
        **test,
        "more": pair.more,
        "price_all": pair.price_all,
        "price_weak": pair.price_weak,
    }


def _shown_json(samples: Sequence[Shown], content: Content | None) -> list[dict[str, Any]]:
    """Samples, with their texts where there is `content`."""
    found = []
    for one in samples:
        head = {key: value for key, value in one._asdict().items() if key != "answers"}
        answers = [_answer_json(answer, content) for answer in one.answers]
        sample = content.samples.get(one.hash) if content is not None else None
        texts = {} if content is None else {
            "question": sample and sample.input, "expected": sample and sample.expected,
        }  # fmt: skip
        found.append(head | texts | {"answers": answers})
    return found


def _answer_json(answer: Answer, content: Content | None) -> dict[str, Any]:
    head = answer.subject._asdict() | {"score": answer.score, "error": answer.error}
    if content is None:
        return head
    reasons = [{"scorer": scorer, "value": value, "says": says} for scorer, value, says in answer.reasons]
    return head | {"reasons": reasons, "unscored": answer.unscored, "answer": content.answers.get(answer.key)}
