"""test: run a policy's cases, show what did not come true, and say which rules no case covers."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
from rich.progress import track
from rich.table import Table
from rich.text import Text

from laneway.classify import UNLABELLED
from laneway.cli.output import as_json, err, json_option, out, policy_argument
from laneway.clock import today
from laneway.decision import Decision
from laneway.errors import shown
from laneway.explain import contract, signal_lines
from laneway.policy import Policy
from laneway.policy_cases import Case, Coverage, Seen, Suite, Unmet, coverage, parse, unmet
from laneway.policy_file import load
from laneway.rehearse import rehearse
from laneway.signals import Signals
from laneway.source import read_source

__all__ = ["cases_option", "read_cases", "test"]

_TALL = 25
"""The most lines of a failed case."""
_LABEL = 10
_ONE_LINE = ("facts", "", "default")
_MANY = 50
"""From so many cases on, a bar shows how far it is."""

cases_option = click.option(
    "--cases", "cases_path", type=click.Path(path_type=Path), default=None,
    help="The file of cases; default: cases.yaml beside the policy.",
)  # fmt: skip


class _Result(NamedTuple):
    case: Case
    seen: Seen
    unmet: tuple[Unmet, ...]


@click.command()
@policy_argument
@cases_option
@click.option("-k", "select", metavar="TEXT", default="", help="Only cases with this text in their id or sentence.")
@click.option("--min-coverage", type=click.FloatRange(0, 100), default=0, metavar="PERCENT",
              help="Fail where passing cases cite fewer of the policy's rules.")  # fmt: skip
@json_option
@click.pass_context
def test(
    ctx: click.Context, policy_path: Path, cases_path: Path | None, select: str, min_coverage: float, json_: bool
) -> None:
    """Run the policy's cases: what it must decide, whom it may call, and what the client gets. Calls no lane.

    Exit code: 0 all passed, 1 a case failed or coverage is too low, 5 invalid policy or cases file.
    """
    policy, started = load(policy_path), time.monotonic()
    suite = read_cases(policy, policy_path, cases_path)
    cases = [case for case in suite.cases if select.lower() in f"{case.id} {case.says}".lower()]
    seen = rehearse(policy, cases, suite.today or today())
    watched = track(seen, "rehearsing", len(cases), console=err, transient=True,
                    disable=not err.is_terminal or len(cases) < _MANY)  # fmt: skip
    results = [_Result(case, found, unmet(case, found)) for case, found in zip(cases, watched, strict=True)]
    failed = [result for result in results if result.unmet]
    reached = coverage(policy, [r.seen.decision for r in results if r.seen.decision and not r.unmet])
    good = bool(results) and not failed and reached.percent >= min_coverage
    if json_:
        as_json(_report(policy, suite, results, reached, passed=good))
    else:
        for result in failed:
            _print_failure(policy, policy_path, suite, result)
        _print_summary(suite, results, reached, min_coverage, time.monotonic() - started)
        if failed and any(review.release == "after-approval" for review in policy.reviews):
            err.print("Cases suppose that no reviewer is named: what needs approval is held before any lane is called.",
                      style="dim")  # fmt: skip
    ctx.exit(0 if good else 1)


def read_cases(policy: Policy, policy_path: Path, cases_path: Path | None) -> Suite:
    """The cases that were named, or those beside the policy."""
    path = cases_path or policy_path.with_name("cases.yaml")
    return parse(read_source(path, "write cases there, or name their file with --cases"), policy, str(path))


def _print_failure(policy: Policy, policy_path: Path, suite: Suite, result: _Result) -> None:
    """One failed case: what was expected and what came, from which facts, by which rules."""
    case, seen = result.case, result.seen
    sides = Table.grid(padding=(0, 2))
    sides.add_column(width=_LABEL, no_wrap=True)
    sides.add_row("", Text("expected", "dim"), Text("actual", "dim"))
    for key, expected, actual in result.unmet:
        nothing = "not rejected" if key == "rejected" else "none"
        sides.add_row(f"  {key}", Text(_brief(expected, nothing), "green"), Text(_brief(actual, nothing), "red"))
    says = Text(f"  {shown(case.says, 150)}", "bold")
    told = [("error", shown(seen.error, 130))] if seen.error else []
    if seen.decision is not None:
        told.append(("cited", shown(_cited(policy, seen.decision), 130)))
    name = Text.assemble(("FAILED", "bold red"), f" {case.id}  ", (f"{suite.file}:{case.line}", "dim"))
    see = Text.assemble(("  see it    ", "dim"), _command(policy_path, suite, case))
    room = _TALL - 1 - sum(len(out.render_lines(part)) for part in (name, says, sides, _grid(told), see))
    out.print(name, soft_wrap=True)
    out.print(says)
    out.print(sides)
    out.print(_grid([*(_facts(seen.signals, room) if seen.signals else ()), *told]))
    out.print(see, soft_wrap=True)
    out.print()


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=_LABEL, no_wrap=True)
    for label, text in rows:
        table.add_row(Text(f"  {label}", "dim"), Text(text, overflow="ellipsis", no_wrap=label in _ONE_LINE))
    return table


def _facts(signals: Signals, room: int) -> list[tuple[str, str]]:
    """A line for each fact that was said or found, with where, and one for the defaults; at most `room` lines."""
    told, plain = [], []
    for name, value, _ in signal_lines(signals):
        found = [e for e in signals.evidence if e.signal == name and e.place != UNLABELLED]
        deciding = [e for e in found if e.value == value] or found
        if found:
            told.append(f"{name} {value}  from {'; '.join(f'{e.place} ({e.kind})' for e in deciding)}")
        elif value not in ("none", "about 0"):
            plain.append(f"{name} {value}")
    room -= bool(plain)
    if len(told) > room:
        kept = max(room - 1, 0)
        told[kept:] = [f"and {len(told) - kept} more"]
    facts = [("facts" if i == 0 else "", line) for i, line in enumerate(told)]
    return [*facts, ("default", ", ".join(plain))] if plain else facts


def _cited(policy: Policy, decision: Decision) -> str:
    rules = dict.fromkeys(reason.rule for reason in (*decision.reasons, *decision.rejected))
    return ", ".join(f"{rule} (line {policy.lines[rule]})" if rule in policy.lines else rule for rule in rules)


def _brief(value: object, nothing: str) -> str:
    """One side of a difference, in at most two lines."""
    return shown(_words(value, nothing), 52)


def _words(value: object, nothing: str) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(inner, nothing)}" for name, inner in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or nothing
    return nothing if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def _command(policy_path: Path, suite: Suite, case: Case) -> str:
    beside = Path(suite.file) == policy_path.with_name("cases.yaml")
    where = [] if beside else ["--cases", suite.file]
    return shlex.join(["laneway", "explain", "--policy", str(policy_path), *where, "--case", case.id])


def _print_summary(suite: Suite, results: list[_Result], reached: Coverage, bar: float, seconds: float) -> None:
    """What is not covered, and the last line: how many passed, how much is covered."""
    if not results:
        message = f"no case of {suite.file} was run, and that proves nothing; write one, or select another with -k"
        err.print(message, style="bold red", soft_wrap=True)
        return
    if reached.uncovered and (len(results) == len(suite.cases) or reached.percent < bar):  # not of a selection
        out.print(f"No {'passing ' * any(r.unmet for r in results)}case cites:", style="yellow")
        out.print(_uncovered(reached))
    failed = sum(bool(result.unmet) for result in results)
    count = f"{len(results)} case{'s' * (len(results) != 1)}"
    low = f", fewer than {bar:g} %" if reached.percent < bar else ""
    out.print(
        f"{f'{failed} of {count} FAILED' if failed else f'{count} passed'}. "
        f"{reached.covered} of {reached.rules} rules covered ({reached.percent:.0f} %{low}), in {seconds:.2f} s.",
        style="bold red" if failed or low else "bold green", soft_wrap=True,
    )  # fmt: skip


def _uncovered(reached: Coverage) -> Table:
    table = Table.grid(padding=(0, 2))
    for rule in reached.uncovered:
        table.add_row(f"  {rule.id}", f"line {rule.line}", Text(rule.says, overflow="ellipsis", no_wrap=True))
    return table


def _report(policy: Policy, suite: Suite, results: list[_Result], reached: Coverage, *, passed: bool) -> object:
    """The object that `test --json` prints."""
    return {
        "passed": passed, "policy_hash": policy.hash, "file": suite.file, "cases": [_row(policy, r) for r in results],
        "coverage": {
            "covered": reached.covered, "rules": reached.rules, "percent": round(reached.percent, 1),
            "uncovered": [{"rule": rule.id, "line": rule.line, "says": rule.says} for rule in reached.uncovered],
        },
    }  # fmt: skip


def _row(policy: Policy, result: _Result) -> dict[str, object]:
    case, seen = result.case, result.seen
    explained = seen.decision and seen.signals and contract(seen.decision, seen.signals, policy.hash)
    return {
        "id": case.id, "says": case.says, "line": case.line, "passed": not result.unmet,
        "unmet": [unmet._asdict() for unmet in result.unmet], "called": list(seen.called) if case.served else None,
        "end": seen.end or None, "code": seen.code, "error": seen.error, "explained": explained,
    }  # fmt: skip
