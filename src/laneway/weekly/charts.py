"""charts: a count by slice of time as columns, the period before behind them, as SVG that fits any width. Pure.

Places across are in per cent, heights in pixels; no style is inline, so that a strict page may show it. Every text
is escaped, and a chart says in `aria-label` what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.people.page import escaped

__all__ = ["against", "columns"]

_TALL, _FOOT = 72, 16


def columns(
    title: str, labels: Sequence[str], now: Sequence[float], before: Sequence[float], said: Sequence[str]
) -> str:
    """One column a slice; `before` is empty where nothing is compared. `said` are the values in words."""
    most, width = max((*now, *before), default=0.0) or 1.0, 100 / max(1, len(now))
    drawn = [f'<line class="base" x1="0" x2="100%" y1="{_TALL}" y2="{_TALL}"/>']
    for i, height in enumerate(_TALL * value / most for value in before):
        drawn.append(_column("was", i * width + width * 0.08, width * 0.84, height))
    for i, height in enumerate(_TALL * value / most for value in now):
        drawn.append(_column("now", i * width + width * 0.22, width * 0.56, height))
    foot = "".join(
        f'<text x="{x}" y="{_TALL + _FOOT - 3}" text-anchor="{anchor}">{escaped(label)}</text>'
        for x, anchor, label in (("0", "start", labels[0]), ("100%", "end", labels[-1]))
    ) if labels else ""  # fmt: skip
    told = "; ".join(f"{label}: {words}" for label, words in zip(labels, said, strict=True))
    return (
        f'<figure class="weeks"><figcaption>{escaped(title)}</figcaption><svg role="img" height="{_TALL + _FOOT}" '
        f'width="100%" aria-label="{escaped(f"{title}. {told}")}">{"".join(drawn)}{foot}</svg></figure>'
    )


def _column(name: str, x: float, width: float, height: float) -> str:
    return (f'<rect class="{name}" x="{x:.2f}%" width="{width:.2f}%" y="{_TALL - height:.1f}" '
            f'height="{height:.1f}" rx="2"/>')  # fmt: skip


def against(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Amounts as bars beneath each other, on one scale: name, amount, the amount in words."""
    most = max((amount for _, amount, _ in bars), default=0.0) or 1.0
    rows = "".join(
        f'<div class="amount"><span>{escaped(name)}</span><svg height="14" width="100%"><rect class="now" x="0" y="0" '
        f'height="14" rx="2" width="{100 * amount / most:.2f}%"/></svg><span>{escaped(words)}</span></div>'
        for name, amount, words in bars
    )
    told = "; ".join(f"{name}: {words}" for name, _, words in bars)
    return (
        f'<figure class="amounts"><figcaption>{escaped(title)}</figcaption><div role="img" '
        f'aria-label="{escaped(f"{title}. {told}")}">{rows}</div></figure>'
    )
