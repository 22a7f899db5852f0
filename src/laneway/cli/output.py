"""What every command shares: consoles, tables, JSON output, and how the policy and the log are found."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from laneway.errors import UsageError, shown
from laneway.store import Reader

__all__ = [
    "as_json",
    "default_log",
    "err",
    "grid",
    "indented",
    "json_option",
    "log_option",
    "moment",
    "opened",
    "out",
    "policy_argument",
    "policy_option",
    "print_table",
    "since_of",
    "styled",
]

out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "json_", is_flag=True, help="Print one JSON object, for scripts.")
policy_option = click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path), default=Path("laneway.yaml"), show_default=True,
    envvar="LANEWAY_POLICY", help="The policy file.",
)  # fmt: skip
policy_argument = click.argument(
    "policy_path", metavar="[POLICY]", type=click.Path(path_type=Path), default=Path("laneway.yaml"),
    envvar="LANEWAY_POLICY",
)  # fmt: skip
log_option = click.option(
    "--log", "log_path", type=click.Path(path_type=Path), default=None, envvar="LANEWAY_LOG",
    help="The log file; default: laneway.db beside the policy.",
)  # fmt: skip


def default_log(policy: Path, log: Path | None) -> Path:
    """The log that was named, or the one beside the policy."""
    return log if log is not None else policy.parent / "laneway.db"


@contextmanager
def opened(log: Path) -> Iterator[Reader]:
    """The log for reading, with a warning where its newest records do not follow from each other."""
    with closing(Reader.open(log)) as reader:
        damage = reader.damage()
        if damage is not None:
            err.print(f"warning: the log {log} is damaged: {damage}; see `laneway log verify`", style="yellow",
                      soft_wrap=True)  # fmt: skip
        yield reader


def as_json(value: object) -> None:
    """One JSON value on standard output, without colour or wrapping."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def grid(*headings: str, title: str | None = None) -> Table:
    """A table that reads well on a terminal and in a file."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for i, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=i == 0)
    return table


def print_table(table: Table) -> None:
    """A table that breaks no word: folded where most is to be won; wider than the screen where that is not enough."""
    sizes = [
        [Measurement.get(out, out.options, cell) for cell in (column.header, *column.cells)] for column in table.columns
    ]
    most = [max(size.maximum for size in column) for column in sizes]
    widths = [max(size.minimum for size in column) for column in sizes]
    widths = [full if column.no_wrap else w for column, full, w in zip(table.columns, most, widths, strict=True)]
    for _ in range(out.width - len(widths) + 1 - sum(widths)):
        neediest = max(range(len(widths)), key=lambda i: most[i] - widths[i])
        widths[neediest] = min(widths[neediest] + 1, most[neediest])
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    table.width = sum(widths) + len(widths) - 1
    out.print(table, crop=False)


def indented(text: str | Text, style: str = "", console: Console = out, *, by: int = 2) -> None:
    """A paragraph that stands in by some columns, in all its lines."""
    console.print(Padding(Text(text, style) if isinstance(text, str) else text, (0, 0, 0, by), expand=False))


def styled(text: str, style: str) -> Text:
    """Text of one style; plain where the output is not a terminal."""
    return Text(text, style=style)


def moment(text: str) -> datetime.datetime:
    """A day, or a time of one, as an option's type; in UTC unless an offset is given. Raises BadParameter."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"`{shown(text)}` is no date: write 2026-11-29, 2026-11-29T14:30, 2026-11-29T14:30:05Z or "
            "2026-11-29T16:30+02:00; it is UTC where no offset is given"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def since_of(text: str) -> datetime.datetime | None:
    """When `--since` begins; None for all of time. Raises UsageError."""
    if text == "all":
        return None
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if match is None:
        raise UsageError(f"--since takes 30m, 24h, 7d or `all`, not `{shown(text)}`")
    length = datetime.timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})
    try:
        return datetime.datetime.now(datetime.UTC) - length
    except OverflowError:  # from before there was time: all of it
        return None
