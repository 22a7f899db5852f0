"""lanes: what the lanes of a running server are doing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from laneway.cli.asking import asked, url_option
from laneway.cli.output import as_json, grid, indented, json_option, print_table

__all__ = ["lanes"]


@click.command()
@url_option
@json_option
def lanes(url: str, json_: bool) -> None:
    """Show each lane of the running server: its state, its calls under way and their limit, counts, and seconds.

    Exit code: 1 where no server answers.
    """
    found = asked(url, "/lanes", list[dict[str, Any]])
    if json_:
        as_json(found)
        return
    table = grid(
        "lane", "state", "running", "waiting", "rpm", "answered", "failed", "cancelled", "skipped", "p50", "p95"
    )
    for lane in found:
        table.add_row(*_row(lane))
    print_table(table)
    for lane in found:
        for note in _notes(lane):
            indented(f"{lane['lane']}: {note}", "yellow")


def _row(lane: dict[str, Any]) -> tuple[str, ...]:
    answered, cancelled = (lane["calls"].get(result, 0) for result in ("answered", "cancelled"))
    most = f" of {lane['concurrency']}" if lane["concurrency"] is not None else ""
    times = ("" if lane[key] is None else f"{lane[key]:g}" for key in ("p50", "p95"))
    return (
        lane["lane"], lane["state"], f"{lane['in_flight']}{most}", f"{lane['waiting']}",
        "" if lane["rpm"] is None else f"{lane['rpm']}", f"{answered}",
        f"{sum(lane['calls'].values()) - answered - cancelled}", f"{cancelled}", f"{sum(lane['skips'].values())}",
        *times,
    )  # fmt: skip


def _notes(lane: dict[str, Any]) -> Iterator[str]:
    if lane["why"]:
        yield lane["why"]
    for shut in lane["shut"]:
        work = f" to {shut['workload']}" if shut["workload"] else ""
        yield f"shut{work}{f' in {lang}' if (lang := shut['language']) else ''}: {shut['why']}"
    if lane["other_model"]:
        yield f"answers as {lane['other_model']}, which is not the model that the policy names"
    if lane["hedges"]:
        times = "once" if lane["hedges"] == 1 else f"{lane['hedges']} times"
        yield f"was slow to begin {times}, so that the next lane was asked too"
    if lane["retry_in"]:
        yield f"tried again in {lane['retry_in']:g} s"
    if lane["failures"]:
        latest = lane["failures"][-1]
        yield f"failed last at {latest['at'][:19]}: {latest['code']}"
