"""trade: sets of other tools in, and ours out to them; what cannot be carried is said on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from laneway.cli.output import as_json, err, json_option, out
from laneway.errors import UsageError, shown
from laneway.evidence.basis import read_prompt
from laneway.evidence.formats.anthropic import IDEAL, read_anthropic, write_anthropic
from laneway.evidence.formats.gemini import read_gemini, write_gemini
from laneway.evidence.formats.inspect import read_inspect, write_inspect
from laneway.evidence.formats.openai import read_openai, write_openai
from laneway.evidence.formats.own import to_jsonl, to_yaml
from laneway.evidence.formats.promptfoo import read_promptfoo, write_promptfoo
from laneway.evidence.formats.shape import Head
from laneway.evidence.sample import EvalSet, Scorer
from laneway.evidence.sets import read_set
from laneway.evidence.telling import counted

__all__ = ["export", "import_"]

_READERS = {"openai": read_openai, "promptfoo": read_promptfoo, "inspect": read_inspect, "gemini": read_gemini}
_WRITERS = {"openai": write_openai, "inspect": write_inspect, "gemini": write_gemini}
_PROMPTLESS = {"anthropic": write_anthropic, "promptfoo": write_promptfoo}
_FORMATS = sorted({"anthropic", *_READERS})
_file = click.Path(path_type=Path, dir_okay=False)

_format_argument = click.argument("kind", metavar="FORMAT", type=click.Choice(_FORMATS))
_force_option = click.option("--force", is_flag=True, help="Overwrite a file that is there.")


@click.command(name="import")
@_format_argument
@click.argument("file", type=_file)
@click.option("--workload", required=True, metavar="NAME", help="The policy's workload that the set is for.")
@click.option("--sensitivity", required=True, metavar="CLASS", help="The class of its samples.")
@click.option("-o", "--out", "target", required=True, type=_file, metavar="SET",
              help="The set to write: JSON Lines where it ends in .jsonl, else YAML.")  # fmt: skip
@click.option("--name", help="The set's name; default: SET's, without its ending.")
@click.option("--says", default="Imported.", help="One sentence on what it measures.")
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    metavar="SCORER",
    help='For samples that bring none: a name such as exact, or JSON such as \'{"set": {"of": ["a"]}}\'.',
)
@click.option("--template", type=_file, metavar="FILE", help="anthropic: the prompt that the columns are put into.")
@click.option("--ideal", default=IDEAL, show_default=True, metavar="COLUMN", help="anthropic: the wanted answers.")
@_force_option
@json_option
def import_(
    kind: str, file: Path, workload: str, sensitivity: str, target: Path, name: str | None, says: str,
    scorers: tuple[str, ...], template: Path | None, ideal: str, force: bool, json_: bool,
) -> None:  # fmt: skip
    """Make a set of another tool's FILE. Answers and scores of other tools are never taken over.

    FORMAT: anthropic (Console CSV), gemini, inspect, openai (JSON Lines) or promptfoo.

    Exit code: 1 where FILE is not of the format, 5 where what it holds makes no valid set.
    """
    head = Head(name=name or target.stem, says=says, workload=workload, sensitivity=sensitivity,
                scorers=tuple(map(_scorer, scorers)))  # fmt: skip
    text = _text(file)
    if kind == "anthropic":
        found = read_anthropic(text, head, _text(template) if template else "", ideal)
    else:
        found = _READERS[kind](text, head)
    written = to_jsonl(found.set) if target.suffix == ".jsonl" else to_yaml(found.set)
    _write(target, written, found.set, found.notes, force=force, json_=json_)


@click.command()
@_format_argument
@click.argument("evaluation", metavar="SET", type=_file)
@click.option("-o", "--out", "target", required=True, type=_file, metavar="FILE", help="The file to write.")
@_force_option
@json_option
def export(kind: str, evaluation: Path, target: Path, force: bool, json_: bool) -> None:
    """Write SET as another tool's file, with its system prompt where the format has a place for one.

    FORMAT: anthropic (Console CSV), gemini, inspect, openai (JSON Lines) or promptfoo.

    Exit code: 5 where SET is not valid.
    """
    found = read_set(evaluation)
    if kind in _WRITERS:
        prompt = read_prompt(evaluation.parent / found.prompt) if found.prompt else ""
        made, more = _WRITERS[kind](found, prompt), tuple[str, ...]()
    else:
        made = _PROMPTLESS[kind](found)
        more = (f"the system prompt {found.prompt} is not in the file",) if found.prompt else ()
    _write(target, made.text, found, (*made.notes, *more), force=force, json_=json_)


def _scorer(given: str) -> Scorer:
    try:
        value = json.loads(given) if given.lstrip().startswith("{") else {given: {}}
    except ValueError:
        value = None
    if not isinstance(value, dict) or len(value) != 1 or not isinstance(options := next(iter(value.values())), dict):
        raise UsageError(f"--scorer {shown(given)} is neither a scorer's name nor JSON such as "
                         '\'{"exact": {"ignore": ["case"]}}\'')  # fmt: skip
    return Scorer(next(iter(value)), options)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 at byte {error.start}") from None


def _write(target: Path, text: str, found: EvalSet, notes: Iterable[str], *, force: bool, json_: bool) -> None:
    if target.exists() and not force:
        raise UsageError(f"{target} is there already; name another file, or --force to overwrite")
    target.write_text(text, "utf-8")
    notes = list(notes)
    for note in notes:
        err.print(f"not carried: {note}", style="yellow", soft_wrap=True)
    if json_:
        as_json({"written": str(target), "samples": len(found.samples), "notes": notes})
    else:
        out.print(f"wrote {target}: {counted(len(found.samples), 'sample')}", style="green", soft_wrap=True)
