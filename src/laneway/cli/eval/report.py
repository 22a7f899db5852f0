"""report: what evaluations say of each lane, on a terminal, as one HTML page or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
from rich.text import Text

from laneway.cli.output import (
    as_json,
    default_log,
    grid,
    indented,
    json_option,
    log_option,
    out,
    policy_option,
    print_table,
)
from laneway.clock import today
from laneway.errors import UsageError, did_you_mean, shown
from laneway.evidence.charts import least
from laneway.evidence.comparison import compared
from laneway.evidence.held import held
from laneway.evidence.measured import Comparison, Figures, Measured, Part, Shown, Terms
from laneway.evidence.recalled import Recalled, recalled
from laneway.evidence.report_page import report_page
from laneway.evidence.results import FILE, Result, Results
from laneway.evidence.sample import Sample
from laneway.evidence.telling import (
    Content,
    by_language,
    comparison_json,
    counted,
    escalation,
    headline,
    money,
    pair_words,
    part_words,
    proof_words,
    scope,
    seconds,
    share,
    short,
)
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.source import replace_file

__all__ = ["default_results", "of_workload", "report", "results_option", "sets_argument", "workload_option"]

sets_argument = click.argument("sets", nargs=-1, type=click.Path(path_type=Path, dir_okay=False), metavar="[SETS]...")
results_option = click.option(
    "--results", "results_path", type=click.Path(path_type=Path), default=None,
    help="The file of results; default: evals.db beside the policy.",
)  # fmt: skip
workload_option = click.option("--workload", metavar="NAME", help="Only this workload.")


@click.command()
@sets_argument
@policy_option
@results_option
@workload_option
@log_option
@click.option("--html", "file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
              help="Write one HTML page to FILE, or to standard output for `-`.")  # fmt: skip
@click.option("--no-content", is_flag=True, help="Leave questions, answers and reasons out of HTML and JSON.")
@json_option
def report(
    sets: tuple[Path, ...], policy_path: Path, results_path: Path | None, workload: str | None, log_path: Path | None,
    file: Path | None, no_content: bool, json_: bool,
) -> None:  # fmt: skip
    """Say what each lane has shown on each workload: how good, against the bar, at what cost, and where lanes differ.

    Only results count whose model, address and sample are those of the policy and its sets (or of SETS) today.

    Exit code: 0 shown, whatever was found; 1 no results, 5 an invalid policy or set.
    """
    policy = load(policy_path)
    terms, samples = held(policy, sets)
    with closing(Results.open(default_results(policy_path, results_path))) as results:
        known = recalled(policy, default_log(policy_path, log_path), today())
        made = _since(compared(of_workload(results, policy, workload), terms), known)
        content = None if no_content or not (json_ or file) else _content(made, results, samples)
    if json_:
        as_json(comparison_json(made, policy.currency, content))
    elif file is not None:
        page = report_page(made, name=policy.name, currency=policy.currency, day=today(), content=content)
        if str(file) == "-":
            click.echo(page, nl=False)
        else:
            replace_file(file, page.encode(), 0o600)  # as the results, whose texts it shows
            holds = "" if no_content else "; it holds questions and answers"
            out.print(f"wrote {file}{holds}", style="green", soft_wrap=True)
    else:
        _print_report(made, policy.currency)


def default_results(policy: Path, results: Path | None) -> Path:
    """The file of results that was named, or the one beside the policy."""
    return results if results is not None else policy.parent / FILE


def of_workload(results: Results, policy: Policy, workload: str | None) -> Iterator[Result]:
    """The results of one workload, or of all. Raises UsageError where the policy does not have it."""
    if workload is not None and workload not in policy.workloads:
        raise UsageError(f"--workload names no workload of the policy: `{shown(workload)}`"
                         f"{did_you_mean(workload, policy.workloads)}")  # fmt: skip
    return results.of(workload=workload)


def _since(made: Comparison, known: Recalled) -> Comparison:
    """With what the log has seen of lanes since they were measured."""

    def told(workload: str) -> tuple[str, ...]:
        rows = [row for row in known.lowered if row.workload == workload]
        said = [f"Since then{f', in {row.language}' if row.language else ''}: {row.told}." for row in rows]
        return (*said, f"That is {known.note}.") if said else ()

    return replace(made, workloads=tuple(replace(m, since=told(m.workload)) for m in made.workloads))


def _content(made: Comparison, results: Results, samples: dict[str, Sample]) -> Content:
    """The texts of the samples that are shown, and no others."""
    some = [sample for measured in made.workloads for sample in (*measured.disagreements, *measured.worst)]
    keys = {answer.key for sample in some for answer in sample.answers}
    found = ((key, results.find(key)) for key in sorted(keys))
    return Content(samples, {key: result.answer for key, result in found if result and result.answer is not None})


# on a terminal

_WIDE, _NARROW = 14, 6
_LISTED = 5
_CELL = len("0.85 0.72 yes")
_MET = {"met": "green", "not met": "red", "incomplete": "yellow", "no bar": ""}


def _print_report(made: Comparison, currency: str) -> None:
    """Each workload on the terminal."""
    if not made.workloads:
        out.print("There are no results that count.")
    for number, measured in enumerate(made.workloads):
        _print_workload(measured, made.terms, currency, first=number == 0)
    if made.stale:
        out.print(f"\n{made.stale} of {made.results} results are left out: their model, address or sample is no longer "
                  "there.", style="dim")  # fmt: skip


def _print_workload(measured: Measured, terms: Terms, currency: str, *, first: bool) -> None:
    of = max(figures.of for figures in measured.figures)
    out.print(Text.assemble("" if first else "\n", (measured.workload, "bold underline"),
                            f": {counted(of, 'sample')}; {scope(terms)}"))  # fmt: skip
    out.print(headline(measured, terms, currency), style="bold")
    _print_lines(("", line) for line in by_language(measured, terms))
    for line in measured.since:
        indented(line, "yellow")
    out.print()
    if any(f.subject.prompt for f in measured.figures):
        out.print("In brackets: the prompt, by its hash, where it is not the one in force.", style="dim")
    _print_scores(measured.figures, terms)
    out.print()
    _print_costs(measured.figures, currency)
    out.print()
    _print_lines((short(f.subject), proof_words(f)) for f in measured.figures)
    _print_parts(measured.figures)
    pairs, against = measured.pairs, [f"{short(p.second)} against {short(p.first)}" for p in measured.pairs]
    for title, lines in (
        ("Pairs, on the same samples", list(zip(against, map(pair_words, pairs), strict=True))),
        ("Is escalation worth it?", [("", escalation(pair, currency)) for pair in pairs if pair.escalation]),
        (f"Where lanes disagree: {_of(measured.disagreeing)}", _sample_lines(measured.disagreements)),
        (f"Where no lane is good: {_of(measured.short)}", _sample_lines(measured.worst)),
    ):
        if lines:
            out.print(f"\n{title}", style="bold")
            _print_lines(lines)


def _of(count: int) -> str:
    """How many samples there are, and that only some are listed."""
    said = counted(count, "sample")
    return f"{said}, of which these are {_LISTED} (more: --html, --json)" if count > _LISTED else said


def _print_scores(figures: Sequence[Figures], terms: Terms) -> None:
    start = least([*(f.whole.low for f in figures), terms.bar or 1.0])
    wide = max(_NARROW, min(_WIDE, out.width - 48 - max(len(short(f.subject)) for f in figures)))
    table = grid("lane", "asked", "mean", "between", "at least", "bar", f"{start:g}{'1':>{wide - len(f'{start:g}')}}")
    for f in figures:
        part, style = f.whole, _MET[f.met]
        table.add_row(short(f.subject), str(f.asked), share(part.mean), f"{part.low:.2f} to {part.high:.2f}",
                      share(part.lower, down=True), Text(f.met, style=style),
                      Text(_drawn(part, start, terms.bar, wide), style=style))  # fmt: skip
    print_table(table)


def _drawn(part: Part, start: float, bar: float | None, wide: int) -> str:
    """An interval as a small bar: the mean a dot, the lower bound a tick, the bar of the policy a line."""

    def at(value: float) -> int:
        return min(wide - 1, int((max(value, start) - start) / (1 - start) * wide))

    cells = [" "] * wide
    for i in range(at(part.low), at(part.high) + 1):
        cells[i] = "─"
    cells[at(part.lower)] = "├"
    if bar is not None:
        cells[at(bar)] = "┃"
    cells[at(part.mean)] = "●"
    return "".join(cells)


def _print_costs(figures: Sequence[Figures], currency: str) -> None:
    table = grid("lane", "an answer", "in all", "median s", "95 in 100", "tokens in", "out")
    for f in figures:
        table.add_row(short(f.subject), money(f.cost_each, currency), money(f.cost, currency), seconds(f.seconds[0]),
                      seconds(f.seconds[1]), f"{f.tokens[0]:,}", f"{f.tokens[1]:,}")  # fmt: skip
    print_table(table)


def _print_parts(figures: Sequence[Figures]) -> None:
    """By language, group and set: mean, lower bound and whether the bar is met, a lane a column."""
    names = list(dict.fromkeys(part.name for f in figures for part in f.parts))
    if len(names) < 3:
        return
    out.print("\nBy language, group and set: mean, at least, met", style="bold")
    room = out.width - max(len(part_words(name)) for name in names)
    for number, some in enumerate(_fitting(figures, room)):
        if number:
            out.print()
        table = grid("samples", *(short(f.subject) for f in some))
        by_name = [{part.name: part for part in f.parts} for f in some]
        for name in names[1:]:
            table.add_row(part_words(name), *(_part(parts.get(name)) for parts in by_name))
        print_table(table)


def _fitting(figures: Sequence[Figures], room: int) -> Iterator[Sequence[Figures]]:
    """The lanes, as many at a time as stand side by side in the room."""
    some = list[Figures]()
    for f in figures:
        if some and sum(1 + max(_CELL, len(short(each.subject))) for each in (*some, f)) > room:
            yield some
            some = []
        some.append(f)
    yield some


def _part(part: Part | None) -> Text:
    if part is None:
        return Text("not asked", style="dim")
    said, met = f"{part.mean:.2f} {int(part.lower * 100) / 100:.2f}", {True: " yes", False: " no", None: ""}[part.met]
    return Text(said + met, style="green" if part.met else "")


def _sample_lines(samples: Sequence[Shown]) -> list[tuple[str, str]]:
    return [
        (f"{sample.set} {sample.sample}", "; ".join(
            f"{short(a.subject)} {'no score' if a.score is None else f'{a.score:.2f}'}" for a in sample.answers
        ))
        for sample in samples[:_LISTED]
    ]  # fmt: skip


def _print_lines(lines: Iterable[tuple[str, str]]) -> None:
    for name, said in lines:
        indented(f"{name}: {said}" if name else said)
