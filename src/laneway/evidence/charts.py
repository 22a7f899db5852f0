"""charts: intervals in rows, and cost against quality, as HTML and SVG that fit any width, theme and sheet of paper.

Places across are in per cent and letters in pixels, so that a narrow screen moves the marks and keeps the letters.
Every text is escaped; a chart says in `aria-label` what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from laneway.people.page import escaped

__all__ = ["Mark", "Point", "intervals", "least", "scatter"]

_ROW = 30
_TALL = 260
_APART = 17
_LETTER = 2.8
"""How wide a letter of a label is, in per cent of the narrowest drawing: a phone's."""

_FAR = 20
"""Costs further apart than so many times are drawn on a logarithmic scale."""


class Mark(NamedTuple):
    """One row: a mean within `low`..`high`, and the lower bound that a bar is held against."""

    name: str
    mean: float
    low: float
    high: float
    lower: float
    met: bool | None
    said: str


class Point(NamedTuple):
    """One lane: money an answer, and the mean within `low`..`high`."""

    name: str
    cost: float
    mean: float
    low: float
    high: float
    met: bool | None


def least(values: Sequence[float]) -> float:
    """Where a scale begins: a whole tenth below everything on it, so that what is high is not squeezed."""
    return max(0.0, min(0.9, math.floor(min(values, default=0.0) * 10 - 1e-9) / 10))


def intervals(title: str, marks: Sequence[Mark], bar: float | None, start: float) -> str:
    """Lanes as rows on a scale from `start` to 1, the bar as a line, the lower bound as a tick."""
    at = _scale(start)
    ticks = _ticks(start)
    grid = "".join(f'<line class="grid" x1="{at(t)}" x2="{at(t)}" y1="0" y2="100%"/>' for t in ticks)
    if bar is not None:
        grid += f'<line class="bar" x1="{at(bar)}" x2="{at(bar)}" y1="0" y2="100%"/>'
    rows = "".join(
        f'<div class="mark{_tone(m.met)}"><span class="name">{escaped(m.name)}</span><svg height="{_ROW}">{grid}'
        f'<line class="range" x1="{at(m.low)}" x2="{at(m.high)}" y1="{_ROW // 2}" y2="{_ROW // 2}"/>'
        f'<line class="lower" x1="{at(m.lower)}" x2="{at(m.lower)}" y1="{_ROW // 2 - 8}" y2="{_ROW // 2 + 8}"/>'
        f'<circle cx="{at(m.mean)}" cy="{_ROW // 2}" r="5"/></svg><span class="said">{escaped(m.said)}</span></div>'
        for m in marks
    )
    labels = "".join(f'<text x="{at(t)}" y="14" text-anchor="middle">{t:g}</text>' for t in ticks)
    told = "; ".join(
        f"{m.name}: {m.mean:.3f}, between {m.low:.3f} and {m.high:.3f}, at least {m.lower:.3f}" for m in marks
    )
    held = "" if bar is None else f" The bar is {bar:g}."
    return (
        f'<figure class="chart"><figcaption>{escaped(title)}</figcaption>'
        f'<div role="img" aria-label="{escaped(f"{told}.{held}")}">{rows}'
        f'<div class="mark axis"><span></span><svg height="20">{labels}</svg><span></span></div></div></figure>'
    )


def scatter(title: str, points: Sequence[Point], bar: float | None, currency: str) -> str:
    """Cost across, quality up: the best lane is the one at the top left."""
    start = least([point.low for point in points])
    across, ticks = _costs([point.cost for point in points])

    def up(value: float) -> float:
        return round(_TALL * (1 - (value - start) / (1 - start)), 1)

    drawn = [f'<line class="grid" x1="0" x2="100%" y1="{up(t)}" y2="{up(t)}"/>' for t in _ticks(start)]
    drawn += [f'<line class="grid" x1="{x:g}%" x2="{x:g}%" y1="0" y2="{_TALL}"/>' for x, _ in ticks]
    if bar is not None and bar >= start:
        drawn.append(f'<line class="bar" x1="0" x2="100%" y1="{up(bar)}" y2="{up(bar)}"/>')
    taken = list[tuple[float, float, float]]()
    for point in sorted(points, key=lambda point: -point.mean):
        x, y = across(point.cost), up(point.mean)
        anchor, dx = ("end", -11) if x > 60 else ("start", 11)
        wide = _LETTER * len(point.name) + 5
        said = _free(x - wide if x > 60 else x, x if x > 60 else x + wide, y, taken)
        drawn.append(
            f'<g class="point{_tone(point.met)}">'
            f'<line class="range" x1="{x:g}%" x2="{x:g}%" y1="{up(point.low)}" y2="{up(point.high)}"/>'
            f'<circle cx="{x:g}%" cy="{y}" r="5"/>'
            f'<text x="{x:g}%" dx="{dx}" y="{said + 4:g}" text-anchor="{anchor}">{escaped(point.name)}</text></g>'
        )
    left = "".join(f'<text x="100%" y="{up(t) + 4:g}" text-anchor="end">{t:g}</text>' for t in _ticks(start))
    foot = "".join(f'<text x="{x:g}%" y="{_TALL + 18}" text-anchor="middle">{said}</text>' for x, said in ticks)
    told = "; ".join(f"{p.name}: {p.mean:.3f} at {p.cost:.3g} {currency} an answer" for p in points)
    return (
        f'<figure class="chart"><figcaption>{escaped(title)}</figcaption><div class="scatter" role="img" '
        f'aria-label="{escaped(told)}."><svg height="{_TALL + 24}">{left}</svg>'
        f'<svg height="{_TALL + 24}">{"".join(drawn)}{foot}</svg></div>'
        f"<p>{escaped(currency)} an answer, from left to right; the mean score, upwards</p></figure>"
    )


def _tone(met: bool | None) -> str:
    return "" if met is None else " good" if met else " bad"


def _scale(start: float) -> Callable[[float], str]:
    return lambda value: f"{round(100 * max(0.0, value - start) / (1 - start), 2):g}%"


def _ticks(start: float) -> list[float]:
    """At most six marks, on whole tenths, of which the last is 1."""
    step = 0.05 if start >= 0.8 else 0.1 if start >= 0.5 else 0.2
    count = int(round((1 - start) / step, 6))
    return sorted({round(1 - i * step, 2) for i in range(count + 1)})


def _mark(value: float) -> str:
    """Three digits of a number, without an exponent."""
    return f"{Decimal(f'{value:.3g}'):f}"


def _costs(costs: Sequence[float]) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """Where a cost stands, in per cent, and the marks of that scale."""
    paid, most = [cost for cost in costs if cost > 0], max(costs, default=0.0)
    if not paid:
        return (lambda _: 4.0), [(4.0, "0")]
    if most / min(paid) < _FAR:
        step = 10 ** math.floor(math.log10(most))
        step = next(s for s in (step / 5, step / 2, step, 2 * step, 5 * step) if most * 1.1 / s <= 5)
        top = math.ceil(most * 1.1 / step) * step
        return (lambda cost: round(4 + 92 * cost / top, 2)), [
            (round(4 + 92 * i * step / top, 2), _mark(i * step)) for i in range(round(top / step) + 1)
        ]
    low, high = math.floor(math.log10(min(paid))), math.ceil(math.log10(most) - 1e-9)
    left = 18.0 if len(paid) < len(costs) else 4.0

    def at(cost: float) -> float:
        return 4.0 if cost <= 0 else round(left + (96 - left) * (math.log10(cost) - low) / (high - low), 2)

    powers = range(low, high + 1, 1 + (high - low) // 5)
    return at, [(4.0, "0")] * (left > 4) + [(at(10**power), _mark(10.0**power)) for power in powers]


def _free(left: float, right: float, y: float, taken: list[tuple[float, float, float]]) -> float:
    """The height of a label between `left` and `right` that covers no other."""
    while any(left < end and start < right and abs(y - height) < _APART for start, end, height in taken):
        y += 1
    taken.append((left, right, y))
    return y
