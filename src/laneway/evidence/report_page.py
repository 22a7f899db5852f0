"""report_page: a comparison as one HTML page without script, to read, to print and to hand on.

What models, sets and policies say is data: it is escaped, and characters that do not show are spelled out. Only the
samples that a comparison names are shown, and long answers are cut, so that the page stays small.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files

from laneway.evidence.charts import Mark, Point, intervals, least, scatter
from laneway.evidence.measured import Answer, Comparison, Figures, Measured, Part, Shown, Terms
from laneway.evidence.telling import (
    Content,
    by_language,
    counted,
    escalation,
    headline,
    money,
    named,
    pair_words,
    part_words,
    proof_words,
    scope,
    share,
)
from laneway.people.document import Cell, Row, Tone, table
from laneway.people.page import escaped, framed, table_html

__all__ = ["report_page"]

_LONG = 2000
_TONES: dict[str, Tone] = {"met": "good", "not met": "bad", "incomplete": "warn", "no bar": ""}


def report_page(made: Comparison, *, name: str, currency: str, day: datetime.date, content: Content | None) -> str:
    """The whole page. Without `content` there is no question, no answer and no reason of a score in it."""
    terms, title = made.terms, f"{name}: evaluations"
    left = [f"{counted(made.stale, 'result')} left out, as their model, address or sample is no longer there"] * bool(
        made.stale
    )
    left += [f"{counted(made.repeated, 'older answer')} left out"] * bool(made.repeated)
    summary = f"{counted(made.results, 'result')}; {'; '.join([*left, scope(terms)])}."
    verdicts = "".join(
        f'<p class="verdict {_tone(measured, terms)}"><strong>{escaped(measured.workload)}</strong> '
        f"{escaped(_verdict(measured, terms, currency))}</p>"
        for measured in made.workloads
    )
    nothing = '<p class="verdict plain">There are no results.</p>'
    head = (
        f'<p>Evaluations, read on <time datetime="{day}">{day}</time></p>\n<h1>{escaped(name)}</h1>\n'
        f"{verdicts or nothing}\n<p>{escaped(summary)}</p>"
    )
    ids = [(f"w{number}", measured) for number, measured in enumerate(made.workloads, 1)]
    main = "".join(_workload(id, measured, made, currency, content) for id, measured in ids)
    style = (files("laneway.evidence") / "report.css").read_text("utf-8")
    return framed(title, head, [(id, measured.workload) for id, measured in ids], main + _HOW, style)


def _verdict(measured: Measured, terms: Terms, currency: str) -> str:
    return " ".join([headline(measured, terms, currency), *by_language(measured, terms), *measured.since])


def _tone(measured: Measured, terms: Terms) -> str:
    """Good where a lane is preferred in every language, bad where in none."""
    found = [*measured.prefer_in.values()] or [measured.prefer]
    good = "part" if measured.since else "good"
    return "plain" if terms.bar is None else good if all(found) else "part" if any(found) else "bad"


_LEGEND = """<p class="legend">Dot: the mean. Line: what it is surely between. Tick: what it surely is at
least, held against the bar. Dashed: the bar.</p>
"""
_HOW = """<section id="how" aria-labelledby="how-title">
<h2 id="how-title">How to read this</h2>
<p>A lane is held against the bar by its lower bound: what its mean score surely is at least, given how few the samples
are. A sample without a score counts as 0. Pairs are compared on the samples that both have a score for;
where many are compared, about one in twenty differs by chance.</p>
</section>
"""


def _workload(id: str, measured: Measured, made: Comparison, currency: str, content: Content | None) -> str:
    terms, figures = made.terms, measured.figures
    alone = len(made.workloads) == 1  # then it stands right above, at the top of the page
    verdict = "" if alone else f"<p>{escaped(_verdict(measured, terms, currency))}</p>\n"
    start = least([*(part.low for f in figures for part in f.parts[:1]), terms.bar or 1.0])
    points = [Point(named(f.subject), f.cost_each, f.whole.mean, f.whole.low, f.whole.high, f.whole.met)
              for f in figures if f.cost_each is not None]  # fmt: skip
    parts = [
        intervals("Scores by lane, and the bar", [_mark(f, f.whole) for f in figures], terms.bar, start),
        _LEGEND,
        _lanes(id, figures, currency),
        _list(f"{named(f.subject)}: {proof_words(f)}." for f in figures),
        scatter("Cost and quality", points, terms.bar, currency) if any(point.cost for point in points) else "",
        _languages(figures, terms.bar),
        _parts(id, figures),
        _pairs(id, measured, currency),
        _samples(
            "Where lanes disagree", "differs most between lanes", measured.disagreements, measured.disagreeing, content
        ),
        _samples("Where no lane is good", "is lowest in all lanes", measured.worst, measured.short, content),
    ]
    return (
        f'<section id="{id}" aria-labelledby="{id}-title">\n<h2 id="{id}-title">{escaped(measured.workload)}</h2>\n'
        f"{verdict}{''.join(parts)}</section>\n"
    )


def _mark(figures: Figures, part: Part) -> Mark:
    said = f"{share(part.mean)}, at least {share(part.lower, down=True)}"
    return Mark(named(figures.subject), part.mean, part.low, part.high, part.lower, part.met, said)


def _lanes(id: str, figures: Sequence[Figures], currency: str) -> str:
    rows: list[Row] = [
        (
            Cell(named(f.subject), detail=", ".join(f.models)),
            f"{f.asked} of {f.of}",
            Cell(share(f.whole.mean), detail=f"{share(f.whole.low)} to {share(f.whole.high)}"),
            share(f.whole.lower, down=True),
            Cell(f.met, _TONES[f.met]),
            Cell(money(f.cost_each, currency), detail=f"{money(f.cost, currency)} in all"),
            Cell(f"{f.seconds[0]:.3g}", detail=f"95 in 100: {f.seconds[1]:.3g}"),
            f"{f.tokens[0]:,} + {f.tokens[1]:,}",
        )
        for f in figures
    ]
    columns = ("Lane", "Samples", "Mean", "At least", "Bar", "An answer", "Seconds", "Tokens in + out")
    return _table(columns, rows, f"{id}-lanes", "Each lane in figures")


def _languages(figures: Sequence[Figures], bar: float | None) -> str:
    """Small multiples on one scale, where there is more than one language."""
    languages = sorted({part.name for f in figures for part in f.parts if part.name and part.name[0] not in "/#"})
    if len(languages) < 2:
        return ""
    found = {name: [(f, part) for f in figures for part in f.parts if part.name == name] for name in languages}
    start = least([*(part.low for pairs in found.values() for _, part in pairs), bar or 1.0])
    drawn = (
        intervals(
            f"{name}: {counted(max(part.samples for _, part in pairs), 'sample')}",
            [_mark(*pair) for pair in pairs],
            bar,
            start,
        )
        for name, pairs in found.items()
    )
    return f'<h3>By language</h3>\n<div class="multiples">{"".join(drawn)}</div>\n'


def _parts(id: str, figures: Sequence[Figures]) -> str:
    """Every part of the samples against every lane."""
    names = list(dict.fromkeys(part.name for f in figures for part in f.parts))
    if len(names) < 3:
        return ""
    by_name = [{part.name: part for part in f.parts} for f in figures]
    rows: list[Row] = [(part_words(name), *(_part(parts.get(name)) for parts in by_name)) for name in names]
    columns = ("Samples", *(named(f.subject) for f in figures))
    return _table(columns, rows, f"{id}-parts", "By language, group and set", matrix=True)


def _part(part: Part | None) -> Cell:
    if part is None:
        return Cell("not asked", "idle")
    tone: Tone = "idle" if part.met is None else "good" if part.met else "shut"
    return Cell(share(part.mean), tone, f"at least {share(part.lower, down=True)}, {counted(part.samples, 'sample')}")


def _pairs(id: str, measured: Measured, currency: str) -> str:
    tones: dict[str, Tone] = {"better": "good", "worse": "bad", "open": "warn", "equal": ""}
    rows: list[Row] = [
        (
            f"{named(pair.second)} against {named(pair.first)}",
            str(pair.common),
            Cell(pair_words(pair), tones[pair.found.verdict] if pair.found else ""),
            f"{pair.found.wins} / {pair.found.losses} / {pair.found.ties}" if pair.found else "",
        )
        for pair in measured.pairs
    ]
    columns = ("Pair", "Samples", "How it stands", "Better, worse, tied")
    said = _list(escalation(pair, currency) for pair in measured.pairs if pair.escalation)
    return _table(columns, rows, f"{id}-pairs", "Pairs on the same samples") + (
        f"<h3>Is escalation worth it?</h3>\n{said}" if said else "")  # fmt: skip


def _table(columns: tuple[str, ...], rows: Iterable[Row], id: str, title: str, *, matrix: bool = False) -> str:
    made = table(columns, rows, matrix=matrix)
    return "" if made is None else f'<h3 id="{id}-title">{title}</h3>\n{table_html(made, id)}'


def _list(lines: Iterable[str]) -> str:
    listed = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f'<ul class="plain">{listed}</ul>\n' if listed else ""


# samples


def _samples(title: str, what: str, samples: Sequence[Shown], count: int, content: Content | None) -> str:
    if not samples:
        return ""
    said = counted(count, "sample")
    if count > len(samples):
        said += f"; these are the {len(samples)} whose score {what}"
    return f"<h3>{title}</h3>\n<p>{said}.</p>\n{''.join(_sample(shown, content) for shown in samples)}"


def _sample(shown: Shown, content: Content | None) -> str:
    traits = ", ".join([f"set {shown.set}", *filter(None, (shown.language, shown.group)), shown.sensitivity])
    answers = "".join(_answer(answer, content) for answer in shown.answers)
    return (
        f'<article class="sample"><h4>{escaped(shown.sample)} <small>{escaped(traits)}</small></h4>'
        f"{'' if content is None else _asked(shown, content)}<div>{answers}</div></article>\n"
    )


def _asked(shown: Shown, content: Content) -> str:
    sample = content.samples.get(shown.hash)
    if sample is None:
        return "<p>Its question is in none of the sets that were read.</p>"
    asked = [(m.role, m.content) for m in sample.messages]
    question = asked[0][1] if len(asked) == 1 else "\n\n".join(f"{role}: {text}" for role, text in asked)
    expected = sample.expected
    wanted = expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)
    return f"<div>{_text('Question', question)}{'' if expected is None else _text('Expected', wanted)}</div>"


def _text(title: str, text: str) -> str:
    return f"<section><h5>{title}</h5>{_block(text)}</section>"


def _answer(answer: Answer, content: Content | None) -> str:
    tone = "" if answer.score is None else "good" if answer.score == 1 else "bad" if answer.score == 0 else "part"
    score = "no score" if answer.score is None else share(answer.score)
    head = f'<h5><span>{escaped(named(answer.subject))}</span><b class="{tone}">{score}</b></h5>'
    if answer.error:
        return f"<section>{head}<p>No answer: {escaped(answer.error)}.</p></section>"
    if content is None:
        return f"<section>{head}</section>"
    text = content.answers.get(answer.key)
    reasons = [f"{scorer}: {says}" for scorer, _, says in answer.reasons] or [answer.unscored or "no reason is on file"]
    body = "<p>The answer is not on file.</p>" if text is None else _block(text)
    return f"<section>{head}{body}<p>{escaped('; '.join(reasons))}</p></section>"


def _block(text: str) -> str:
    """A text as it is, in its own box; what is longer than 2,000 characters is cut, and says so."""
    more = f"<p>{len(text) - _LONG:,} more characters are not shown.</p>" if len(text) > _LONG else ""
    return f"<pre>{escaped(text[:_LONG]) or '(empty)'}</pre>{more}"
