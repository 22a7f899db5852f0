"""page: a review as HTML: the body that a console shows, and one self-contained page of it without script.

Everything that a log or a policy names is escaped.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files

from laneway.explain import money
from laneway.people.page import contents, escaped, framed, sections_html
from laneway.weekly.charts import against, columns
from laneway.weekly.telling import Link, advice_lines, damage, headline, moment, sections
from laneway.weekly.value import Money, Review, Slice

__all__ = ["body", "head", "page", "style"]


def page(review: Review) -> str:
    """The whole page; a browser may load nothing for it."""
    title = f"{review.policy or 'Laneway'}: review"
    return framed(title, head(review), [*contents(sections(review)), ("advice", "What to do?")], body(review), style())


def style() -> str:
    """The style sheet that `body` wants beside that of `people.page`."""
    return (files("laneway.weekly") / "review.css").read_text("utf-8")


def body(review: Review, link: Link = lambda _: "") -> str:
    """What stands in `<main>`: charts, questions, answers, advice. `link` says where the story of a decision is."""
    drawn = {"money": "".join(_money(sheet) for sheet in review.money if sheet.compared)}
    return _charts(review) + sections_html(sections(review, link), drawn) + "".join(_advice(review))


def head(review: Review) -> str:
    """What stands above it: damage before all else, the time, and how requests ended."""
    wrong = "".join(
        f'<p class="verdict bad"><strong>Before you read on:</strong> {escaped(x)}</p>' for x in damage(review)
    )
    return (
        f'{wrong}<p>From <time datetime="{review.start.isoformat()}">{moment(review.start)}</time> to '
        f'<time datetime="{review.until.isoformat()}">{moment(review.until)}</time> UTC, up to record '
        f"{review.log.records:,}</p>\n<h1>{escaped(review.policy or 'Laneway')}: review</h1>\n"
        f'<p class="verdict plain">{escaped(headline(review))}</p>'
    )


def _charts(review: Review) -> str:
    """Counts by slice; the period before stands behind each column."""
    half = len(review.slices) // 2 if review.before is not None else 0
    was, now = review.slices[:half], review.slices[half:]
    long = len(now) > 1 and now[-1].start - now[0].start > datetime.timedelta(days=2)
    labels = [f"{one.start:{'%d %b' if long else '%H:%M'}}" for one in now]
    currency = review.money[0].currency if review.money else ""
    drawn = [_chart(title, labels, read, now, was, "{:,.0f}".format) for title, read in _COUNTS]
    if any(one.cost for one in review.slices):
        drawn.append(_chart("Money", labels, lambda one: one.cost, now, was, lambda cost: money(cost, currency)))
    key = "; the wider column behind each is the period before" if was else ""
    return f'<div class="multiples">{"".join(drawn)}</div>\n<p class="key">A column is a part of the time{key}.</p>\n'


_COUNTS: tuple[tuple[str, Callable[[Slice], int]], ...] = (
    ("Requests", lambda one: one.requests), ("Escalated", lambda one: one.escalated),
    ("Rejected", lambda one: one.rejected), ("Fell back", lambda one: one.fallbacks),
)  # fmt: skip


def _chart(
    title: str, labels: Sequence[str], read: Callable[[Slice], float], now: Sequence[Slice], was: Sequence[Slice],
    word: Callable[[float], str],
) -> str:  # fmt: skip
    values = [read(one) for one in now]
    total = f"{title}: {word(sum(values))}"
    return columns(total, labels, values, [read(one) for one in was], [word(value) for value in values])


def _money(sheet: Money) -> str:
    bars = [("spent", sheet.cost), ("always-premium", sheet.premium)]
    title = f"The same {sheet.compared:,} answers"
    return against(title, [(name, amount, money(amount, sheet.currency)) for name, amount in bars])


def _advice(review: Review) -> Iterator[str]:
    yield '<section id="advice" aria-labelledby="advice-title">\n<h2 id="advice-title">What to do?</h2>\n'
    said = advice_lines(review)
    if not said:
        yield "<p>Nothing was looked at.</p>\n"
    for one, advice in zip(said, review.advice, strict=True):
        yield f'<article class="advice"><p class="told">{escaped(one.told)}</p>'
        yield f"<p>{escaped(one.detail)}</p>" if one.detail else ""
        yield f'<pre tabindex="0">{"".join(_line(line) for line in one.diff.splitlines())}</pre>' if one.diff else ""
        yield f"<p><small>Rule: {escaped(advice.rule)}.</small></p></article>\n"
    yield "</section>\n"


def _line(line: str) -> str:
    """A line of a patch; its sign says what its colour does."""
    kind = "add" if line.startswith("+") else "cut" if line.startswith("-") else ""
    return f'<span class="{kind}">{escaped(line)}</span>\n' if kind else f"{escaped(line)}\n"
