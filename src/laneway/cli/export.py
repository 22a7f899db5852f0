"""export: the decisions on record as one flat table, for who counts with tools of their own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
from rich.progress import Progress

from laneway.cli.output import as_json, default_log, err, json_option, log_option, out, policy_option, since_of
from laneway.errors import UsageError
from laneway.export import FORMATS, Exporting, Format, pyarrow, write
from laneway.source import drafted

__all__ = ["export"]

_BY_NAME: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "format", type=click.Choice(FORMATS), help="Default: by the file's name.")
@click.option("--since", default="all", show_default=True, help="How far back: 7d, 24h, 30m, or `all`.")
@policy_option
@log_option
@json_option
def export(
    file: Path, format: Format | None, since: str, policy_path: Path, log_path: Path | None, json_: bool
) -> None:
    """Write a row for each decision into FILE, for its owner only; what stood there is replaced once all is written.

    The columns are listed in docs/export.md. No row holds the text of a prompt, an answer or a comment.
    """
    format = format or _BY_NAME.get(file.suffix.lower())
    if format is None:
        raise UsageError(
            f"{file} does not say by its name what to write: end it with .jsonl or .parquet, or give --format"
        )
    if format == "parquet":
        pyarrow()  # before all the work
    start, path = since_of(since), default_log(policy_path, log_path)
    bar = Progress(console=err, transient=True, disable=not err.is_terminal)
    with closing(Exporting.open(path)) as log, bar:
        task = bar.add_task("reading the log", total=None)
        rows = log.rows(start, lambda done, of: bar.update(task, completed=done, total=of))
        try:
            with drafted(file, 0o600) as draft:
                written = write(rows, draft, format)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    if log.emptied:
        err.print(f"left out, as what was decided is erased: {log.emptied:,}", soft_wrap=True)
    if log.damaged:
        err.print(f"left out, as they cannot be read: {log.damaged:,}, such as {log.example}; see `laneway log verify`",
                  style="red", soft_wrap=True)  # fmt: skip
    if json_:
        as_json({"file": str(file), "format": format, "rows": written, "erased": log.emptied, "damaged": log.damaged})
    else:
        out.print(f"{file}: {written:,} decisions", style="green", soft_wrap=True)
