"""add: a request that was decided, and whose content was kept, as a sample of a set."""

from __future__ import annotations

import json
import re
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from laneway.cli.output import default_log, log_option, opened, out, policy_option
from laneway.errors import PolicyError, UsageError, shown
from laneway.evidence.formats.own import yaml_text
from laneway.evidence.sample import ROLES
from laneway.evidence.sets import parse_jsonl, parse_yaml, read_set
from laneway.review.acts import Kept, Words
from laneway.source import read_source, write_source
from laneway.store import Content, Story
from laneway.store.content import place

__all__ = ["add"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="SET", required=False)
@click.option("--from", "decision", metavar="ID", help="The decision's id, from `laneway log`.")
@click.option("--expected", metavar="TEXT", help="What a good answer is.")
@click.option("--expect-answer", is_flag=True, help="A good answer is the one that was given.")
@policy_option
@log_option
def add(
    file: Path | None, decision: str | None, expected: str | None, expect_answer: bool, policy_path: Path,
    log_path: Path | None,
) -> None:  # fmt: skip
    """Take a request that was decided into a set, with its class, where a rule of `capture` kept its content.

    The set gets its words in clear: it belongs where such data may lie. Exit code: 0 added, 2 nothing was kept.
    """
    if file is None or decision is None:
        raise UsageError("add takes a set's file and a decision's id: `laneway eval add evals/mail.yaml --from ID`; "
                         "`laneway log` lists the ids")  # fmt: skip
    if expected is not None and expect_answer:
        raise UsageError("--expected and --expect-answer exclude each other")
    path = default_log(policy_path, log_path)
    with opened(path) as reader:
        story = reader.story(decision)
    if story is None:
        raise UsageError(f"no request `{shown(decision)}` is in the log {path}: `laneway log` lists them")
    kept, answer = _content(path, story.id, decision)
    sample = _sample(story, kept, answer.text if expect_answer else expected)
    known = read_set(file)
    if any(each.id == sample["id"] for each in known.samples):
        raise UsageError(f"{file} has the sample `{sample['id']}` already")
    old = read_source(file, "name an evaluation set")
    new = _with(file, old, sample, len(known.samples))
    write_source(file, old, new)
    out.print(f"{file}: sample {sample['id']} was added, of class {sample['sensitivity']}; it holds what was asked in "
              "clear", soft_wrap=True)  # fmt: skip


def _content(log: Path, id: str, decision: str) -> tuple[Kept, Words]:
    asked = answer = None
    if place(log).exists():
        with closing(Content.open(log)) as content:
            if any(piece.decision == id for piece in content.pieces("capture")):  # not what waits for a person
                asked, answer = content.get(id, "request"), content.get(id, "answer")
    if asked is None or answer is None:
        raise UsageError(
            f"nothing is kept of what was asked in {shown(decision)}: a rule of `capture` in the policy keeps it from "
            "then on. Add it by hand, with its `input`, `expected` and `sensitivity`; `laneway why` says its class"
        )
    return Kept.decoded(asked), Words.decoded(answer)


def _sample(story: Story, kept: Kept, expected: str | None) -> dict[str, Any]:
    """As a set's file has it."""
    signals = story.opening.signals
    said = [(role, text) for role, text in kept.messages() if role in ROLES]
    made: dict[str, Any] = {"id": f"from-{story.id}"}
    if len(said) == 1 and said[0][0] == "user":
        made["input"] = said[0][1]
    else:
        made["messages"] = [{"role": role, "content": text} for role, text in said]
    if expected is not None:
        made["expected"] = expected
    made["sensitivity"] = signals.sensitivity
    if signals.language is not None:
        made["language"] = signals.language
    return made


def _with(file: Path, old: str, sample: dict[str, Any], count: int) -> str:
    """The set's text with one more sample at its end, all else as it was; UsageError where that is no set."""
    if file.suffix == ".jsonl":
        new = old.rstrip("\n") + "\n" + json.dumps(sample, ensure_ascii=False) + "\n"
        made = parse_jsonl(new, str(file))
    else:
        items = re.findall(r"^( *)- id:", old, re.M)
        block = textwrap.indent(textwrap.dedent(yaml_text([sample])), items[-1] if items else "  ")
        new = f"{old.rstrip()}\n{block.rstrip()}\n"
        try:
            made = parse_yaml(new, str(file))
        except PolicyError:
            made = None
    if made is None or len(made.samples) != count + 1:
        raise UsageError(f"{file} does not end with its list of `samples`, one a line: put this there yourself:\n"
                         f"{yaml_text([sample])}")  # fmt: skip
    return new
