"""compare: two lanes, or two prompts, on the samples that both answered: which is better, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.text import Text

from laneway.cli.eval.report import default_results, of_workload, results_option, workload_option
from laneway.cli.output import as_json, grid, json_option, out, policy_option, print_table
from laneway.errors import UsageError, did_you_mean, shown
from laneway.evidence.basis import read_prompt
from laneway.evidence.comparison import compared
from laneway.evidence.held import held
from laneway.evidence.measured import NO_PROMPT, Measured, Pair, Shown, Terms
from laneway.evidence.results import Result, Results
from laneway.evidence.sample import prompt_hash
from laneway.evidence.telling import counted, pair_json, pair_words
from laneway.policy import Policy
from laneway.policy_file import load

__all__ = ["compare"]

_HASH = re.compile(r"[0-9a-f]{6,64}")
_MOST = 20


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@policy_option
@results_option
@workload_option
@json_option
def compare(
    first: str, second: str, policy_path: Path, results_path: Path | None, workload: str | None, json_: bool
) -> None:
    """Say whether B is better than A: two lanes, or two prompts (a file, six digits or more of its hash, or `none`).

    Lanes are compared under each prompt that both were asked with, prompts in each lane that was asked with both.

    Exit code: 0 compared, whatever was found; 1 no results, 2 A or B is unknown, 5 an invalid policy or set.
    """
    policy = load(policy_path)
    terms, _ = held(policy)
    with closing(Results.open(default_results(policy_path, results_path))) as results:
        found = list(_found(first, second, policy, terms, partial(of_workload, results, policy, workload)))
    if json_:
        as_json({"a": first, "b": second, "comparisons": [_json(each) for each in found]})
        return
    if not found:
        both = f"--lane {first} --lane {second}" if first in policy.lanes else "with each --prompt"
        out.print(f"There is no sample that both {first} and {second} have an answer to; ask both the same with "
                  f"`laneway eval run {both}`.")  # fmt: skip
    for each in found:
        _print(each, first, second, terms)


class _Compared(NamedTuple):
    """What was found on one workload: under one prompt for lanes, in one lane for prompts."""

    measured: Measured
    pair: Pair


_Rows = Callable[[], Iterator[Result]]


def _found(first: str, second: str, policy: Policy, terms: Terms, rows: _Rows) -> Iterator[_Compared]:
    """Each comparison that can be made of the two. Raises UsageError where they are not two lanes or two prompts."""
    lanes = [name for name in (first, second) if name in policy.lanes]
    if len(lanes) == 2 and first != second:
        order = {name: terms.lanes[name] for name in lanes}
        yield from _each(rows, replace(terms, lanes=order), lambda result: result.lane in order, by_prompt=True)
        return
    known = {result.prompt for result in rows()}
    prompts = [_prompt(name, known, policy) for name in (first, second) if name not in policy.lanes]
    if len(prompts) < 2 or prompts[0] == prompts[1]:
        raise UsageError(f"compare takes two lanes or two prompts that differ, not {shown(first)} and {shown(second)}")
    # The first of the two stands for the one in force, so that the second is held against it.
    asked = replace(terms, prompts=dict.fromkeys({(r.workload, r.set) for r in rows()}, prompts[0]))
    yield from _each(rows, asked, lambda result: result.prompt in prompts, by_prompt=False)


def _each(rows: _Rows, terms: Terms, fits: Callable[[Result], bool], *, by_prompt: bool) -> Iterator[_Compared]:
    """One comparison for each prompt of two lanes, or for each lane of two prompts."""
    subjects = {terms.subject(result) for result in rows() if fits(result)}
    for one in sorted({subject.prompt if by_prompt else subject.lane for subject in subjects}):
        some = (r for r in rows() if fits(r) and one == (terms.subject(r).prompt if by_prompt else r.lane))
        for measured in compared(some, terms, most=_MOST).workloads:
            yield from (_Compared(measured, pair) for pair in measured.pairs if pair.found is not None)


def _prompt(name: str, known: Collection[str], policy: Policy) -> str:
    """The hash of a prompt that lanes were asked with: by its file, or by the beginning of its hash."""
    if name == NO_PROMPT:
        found = [""]
    elif Path(name).is_file():
        found = [prompt_hash(read_prompt(Path(name)))]
    else:
        found = sorted(hash for hash in known if _HASH.fullmatch(name) and hash.startswith(name))
    if len(found) > 1:
        raise UsageError(f"{name} is the beginning of {len(found)} prompts' hashes; write more digits")
    if not found or found[0] not in known:
        have = ", ".join(sorted(hash[:8] or NO_PROMPT for hash in known)) or "none at all"
        raise UsageError(f"`{shown(name)}` is no lane of the policy and no prompt that lanes were asked with "
                         f"(these are: {have}){did_you_mean(name, policy.lanes)}")  # fmt: skip
    return found[0]


def _json(each: _Compared) -> dict[str, Any]:
    """`lane` is where two prompts were compared, `prompt` under which two lanes were, empty for the one in force."""
    measured, pair = each.measured, each.pair
    alone = pair.first.lane if pair.first.lane == pair.second.lane else None
    samples = [_sample_json(sample, pair) for sample in measured.disagreements]
    where = {"workload": measured.workload, "lane": alone, "prompt": None if alone else pair.first.prompt}
    return where | pair_json(pair) | {"differing": measured.disagreeing, "samples": samples}


def _sample_json(sample: Shown, pair: Pair) -> dict[str, Any]:
    first, second = _scores(sample, pair)
    return {"set": sample.set, "sample": sample.sample, "hash": sample.hash, "language": sample.language,
            "group": sample.group, "a": first, "b": second}  # fmt: skip


def _scores(sample: Shown, pair: Pair) -> tuple[float | None, float | None]:
    """The first's score and the second's."""
    scores = {answer.subject: answer.score for answer in sample.answers}
    return scores.get(pair.first), scores.get(pair.second)


def _print(each: _Compared, first: str, second: str, terms: Terms) -> None:
    """One comparison: the verdict, the two means, and the samples that differ."""
    measured, pair, found = each.measured, each.pair, each.pair.found
    assert found is not None
    under = f"in {pair.first.lane}" if pair.first.lane == pair.second.lane else (
        f"under prompt {pair.first.prompt[:8]}" if pair.first.prompt else "under the prompt in force")  # fmt: skip
    out.print(
        Text.assemble((measured.workload, "bold underline"), f", {under}: {counted(pair.common, 'sample')} with both")
    )
    style = {"better": "bold green", "worse": "bold red", "equal": "bold", "open": "bold yellow"}[found.verdict]
    out.print(Text(f"{'It' if found.verdict == 'open' else second} is {pair_words(pair)}", style=style))
    won = f"{counted(found.wins, 'sample')} better, {found.losses} worse, {found.ties} the same"
    out.print(f"{won}; the difference is of means, second minus first, and its interval holds at "
              f"{terms.confidence * 100:g}%.")  # fmt: skip
    if measured.disagreements:
        out.print()
        table = grid("set and sample", "language", "group", first, second)
        for sample in measured.disagreements:
            table.add_row(f"{sample.set} {sample.sample}", sample.language or "", sample.group or "",
                          *map(_score, _scores(sample, pair)))  # fmt: skip
        print_table(table)
        if measured.disagreeing > len(measured.disagreements):
            out.print(f"… and {measured.disagreeing - len(measured.disagreements)} more", style="dim")
    out.print()


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"
