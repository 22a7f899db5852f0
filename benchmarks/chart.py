"""chart: the gateway's figures as an SVG that reads on light and dark pages.

One row for each target, one panel for each kind of answer; a dot is the median, the line behind it least to most.
The scale is logarithmic, as the targets differ by more than a hundred times.
"""

from __future__ import annotations

import math
from typing import Any

_WIDTH, _LEFT, _RIGHT, _ROW, _HEAD, _FOOT = 720, 96, 88, 26, 30, 26
_GREY, _LINE, _OURS, _PEER = "#7d8590", "#8b949e", "#2f81f7", "#b08800"
_TEXT = f'font-family="system-ui, sans-serif" font-size="12" fill="{_GREY}"'


def drawn(found: dict[str, Any]) -> str:
    """The chart of what `bench_gateway` found."""
    panels: dict[str, list[dict[str, Any]]] = {}
    for row in found["rows"]:
        if row["kind"] in ("whole", "paced") and row["target"] != "direct":
            panels.setdefault(row["shape"], []).append(row)
    spreads = [row["cpu_us"] for rows in panels.values() for row in rows]
    low = math.floor(math.log10(min(spread["min"] for spread in spreads)))
    high = math.ceil(math.log10(max(spread["max"] for spread in spreads)))

    def at(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(value) - low) / (high - low), 1)

    parts, y = [], 24
    for name, rows in panels.items():
        plural = "" if rows[0]["connections"] == 1 else "s"
        parts.append(f'<text x="{_LEFT}" y="{y}" font-weight="600" {_TEXT}>{name} connection{plural}</text>')
        top, y = y + 8, y + _HEAD
        for row in sorted(rows, key=lambda row: float(row["cpu_us"]["median"])):
            parts += _dot(row, at, y)
            y += _ROW
        parts += _axis(at, low, high, top, y - 12)
        y += _FOOT + 14
    title = "CPU microseconds a request, by target"
    foot = f'<text x="{_LEFT}" y="{y - 8}" {_TEXT}>CPU µs a request, logarithmic; dot: median, line: least to most of {found["rounds"]} rounds</text>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{title}">'
    return "\n".join([head, *parts, foot, "</svg>"]) + "\n"


def _dot(row: dict[str, Any], at: Any, y: int) -> list[str]:
    cpu, colour = row["cpu_us"], _OURS if row["target"] == "Laneway" else _PEER
    return [
        f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end" {_TEXT}>{row["target"]}</text>',
        f'<path d="M{at(cpu["min"])} {y}H{at(cpu["max"])}" stroke="{colour}" stroke-width="4" stroke-opacity=".4" stroke-linecap="round"/>',
        f'<circle cx="{at(cpu["median"])}" cy="{y}" r="5" fill="{colour}"/>',
        f'<text x="{at(cpu["max"]) + 10}" y="{y + 4}" {_TEXT}>{cpu["median"]:,.0f}</text>',
    ]


def _axis(at: Any, low: int, high: int, top: int, bottom: int) -> list[str]:
    marks = []
    for power in range(low, high + 1):
        x = at(10**power)
        marks.append(f'<path d="M{x} {top}V{bottom}" stroke="{_LINE}" stroke-opacity=".35"/>')
        marks.append(f'<text x="{x}" y="{bottom + 15}" text-anchor="middle" {_TEXT}>{10**power:,}</text>')
    return marks
