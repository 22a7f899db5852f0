"""explain: what the policy would do with a request, without calling any lane."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from laneway.cli.output import as_json, default_log, err, grid, json_option, log_option, out, policy_option
from laneway.cli.test import cases_option, read_cases
from laneway.clock import today
from laneway.decide import decide
from laneway.decision import Decision, Reason, Route
from laneway.describe import BARE, LABELS, described
from laneway.errors import LogError, RequestError, UsageError, did_you_mean, shown
from laneway.evidence.recalled import recalled
from laneway.evidence.standing import Standing
from laneway.explain import contract, exit_code, headline, reason_parts, signal_lines
from laneway.facts import Facts, Shown, down, supposed
from laneway.gate import check_schema
from laneway.levers import Levers
from laneway.people.plain import answers
from laneway.policy import Policy
from laneway.policy_cases import Case
from laneway.policy_file import load
from laneway.providers.http import HttpProvider
from laneway.review.people import FILE, People
from laneway.signals import DIFFICULTIES, NEEDS, Ask, Signals
from laneway.wall import walled
from laneway.wire import openai

__all__ = ["explain", "print_decision"]


@click.command()
@policy_option
@log_option
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A client's request body (JSON).",
)
@click.option("--case", metavar="ID", help="A case of the policy's, with its day and its lanes that are out.")
@cases_option
@click.option("--model", help="What the client asks for: auto, a workload, or lane/NAME.")
@click.option("--sensitivity", help="A class of the policy.")
@click.option("--difficulty", help="routine, hard or unknown.")
@click.option("--stakes", help="normal or high.")
@click.option("--latency", help="interactive, background or batch.")
@click.option("--ceiling", help="Money that the request may cost.")
@click.option("--workload", help="A workload of the policy.")
@click.option("--team", help="The asking team.")
@click.option("--region", help="The asking region.")
@click.option("--language", help="What the request is written in: en, sv, no, da, fi or de.")
@click.option("--tokens", type=click.IntRange(0, 1_000_000_000), help="Input tokens.")
@click.option("--needs", multiple=True, help="tools, vision, audio, pdf, json or context; may be repeated.")
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE", help="A fact that the policy declares.")
@click.option("--evidence", multiple=True, metavar="LANE", help="Suppose that the lane has shown enough, whatever the "
              "ledger says; may be repeated.")  # fmt: skip
@click.option("--down", multiple=True, metavar="LANE", help="A lane that is out; may be repeated.")
@click.option("--all", "all_", is_flag=True, help="Print every class and lane instead of one request.")
@json_option
@click.pass_context
def explain(
    ctx: click.Context, /, policy_path: Path, log_path: Path | None, all_: bool, json_: bool, **flags: Any
) -> None:
    """Say what the policy would do with a request, and why. Calls no lane.

    Exit code: 0 route, 3 refuse, 4 hold, 5 invalid policy file.
    """
    policy = load(policy_path)
    day, case = _case(policy, policy_path, flags)
    out_of_use = [_known("--down", lane, tuple(policy.lanes)) for lane in flags["down"]]
    reviewed = case is None and People.load(policy_path.parent / FILE).can_review()
    facts = Facts(today=day, closed=down((*out_of_use, *(case.down if case else ()))), reviewers=reviewed)
    log = default_log(policy_path, log_path)
    known = recalled(policy, log, day)
    notes = _notes(policy, known.standing)
    if case is None:  # which brings its own lanes that are out
        facts, pulled = _pulled(log, facts)
        notes += pulled
    if all_:
        _print_table(policy, facts, notes, json_=json_)
        return
    ask, signals = _asked(policy, known.standing, flags, case)
    facts = msgspec.structs.replace(facts, evidence=_shown(known.standing, signals, flags, case, day))
    if signals.workload in {row.workload for row in known.lowered} or (known.note and not known.lowered):
        notes.append(known.note)
    decision = decide(policy, ask, signals, facts)
    if json_:
        as_json(contract(decision, signals, policy.hash) | {"notes": notes})
    else:
        print_decision(decision, signals, policy)
        _print_notes(notes)
    ctx.exit(exit_code(decision))


def _notes(policy: Policy, standing: Standing) -> list[str]:
    """What a server started here would do otherwise: it closes the lanes whose keys it does not find."""
    closed = HttpProvider(policy.lanes, os.environ, policy.networks).closed
    notes = [f"here {why}, so `laneway serve` would not use it" for why in closed.values()]
    return notes + ([f"no evidence counts: {standing.trouble}"] if standing.trouble else [])


def _pulled(log: Path, facts: Facts) -> tuple[Facts, list[str]]:
    """`facts` with what operators have pulled, by the log where there is one, and what to note of that."""
    levers = Levers()
    if not log.exists():
        return facts, []
    try:
        levers.recall(log)
    except LogError as error:
        return facts, [f"whether operators have closed lanes is not known: {error}"]
    return levers.seen(facts), levers.says


def _shown(
    standing: Standing, signals: Signals, flags: dict[str, Any], case: Case | None, day: datetime.date
) -> tuple[Shown, ...]:
    """What lanes have shown: as supposed by the flags or the case, else by the ledger."""
    assert standing.policy is not None
    named = tuple(_known("--evidence", lane, tuple(standing.policy.lanes)) for lane in flags["evidence"])
    if named or case is not None:
        return supposed(standing.policy, signals.workload, (*named, *(case.evidence if case else ())))
    return standing.of(signals, day)


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        err.print(f"note: {note}", style="yellow", soft_wrap=True)


def _case(policy: Policy, policy_path: Path, flags: dict[str, Any]) -> tuple[datetime.date, Case | None]:
    """The case that was named, if any, and the day to judge on."""
    if flags["case"] is None:
        return today(), None
    if flags["request_file"] is not None:
        raise UsageError("--case brings its own request; leave --request out")
    suite = read_cases(policy, policy_path, flags["cases_path"])
    cases = {case.id: case for case in suite.cases}
    case = cases[_known("--case", flags["case"], tuple(cases))]
    return case.today or suite.today or today(), case


def _asked(policy: Policy, standing: Standing, flags: dict[str, Any], case: Case | None) -> tuple[Ask, Signals]:
    """Ask and Signals of the case or the request file, if any, sent with the flags as its headers."""
    file: Path | None = flags["request_file"]
    body = case.body if case else BARE if file is None else file.read_bytes()
    labels = {f"laneway-{name}": flags[name] for name in LABELS if flags[name] is not None}
    cited = {f"header {label}": f"flag --{label.removeprefix('laneway-')}" for label in labels}
    for fact in flags["facts"]:
        name, equals, value = fact.partition("=")
        label = f"laneway-fact-{name.lower()}"
        if not equals or labels.setdefault(label, value) != value:
            raise UsageError(f"--fact takes NAME=VALUE, and each NAME once, not `{shown(fact)}`")
        cited[f"header {label}"] = "flag --fact"
    try:
        request = openai.read(body, (case.headers if case else {}) | labels)
        check_schema(request)
        request, stated = replace(request, model=flags["model"] or request.model), _stated(flags)
        request = standing.prompted(request)
        bare = case.bare if case else file is None
        ask, signals = described(policy, request, (case.stated if case else {}) | stated, bare=bare)
    except RequestError as error:
        raise UsageError(str(error)) from None
    evidence = tuple(
        msgspec.structs.replace(e, place=f"flag --{e.signal}" if e.signal in stated else cited.get(e.place, e.place))
        for e in signals.evidence
    )
    return ask, msgspec.structs.replace(signals, evidence=evidence)


def _stated(flags: dict[str, Any]) -> dict[str, Any]:
    stated: dict[str, Any] = {}
    if flags["difficulty"] is not None:
        stated["difficulty"] = _known("--difficulty", flags["difficulty"], DIFFICULTIES)
    if flags["tokens"] is not None:
        stated["tokens"] = flags["tokens"]
    if flags["needs"]:
        words = [word for value in flags["needs"] for word in value.split(",")]
        stated["needs"] = tuple(_known("--needs", word, NEEDS) for word in words)
    return stated


def _known(flag: str, word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise UsageError(f"{flag}: unknown value `{shown(word)}`{did_you_mean(word, known)}")
    return word


def print_decision(decision: Decision, signals: Signals, policy: Policy) -> None:
    """A decision for people: the headline, the signals, why, and every lane that was rejected."""
    style = "bold green" if isinstance(decision, Route) else "bold yellow"
    out.print(headline(decision, policy.currency), style=style)
    output = policy.output(signals.workload)
    if output is not None:
        out.print(f"Answers are {answers(output)}.", soft_wrap=True)
    table = grid("signal", "value", "from", title="\nSignals")
    for row in signal_lines(signals):
        table.add_row(*row)
    out.print(table)
    _print_reasons("\nWhy", decision.reasons)
    if decision.rejected:
        _print_reasons("\nRejected lanes", decision.rejected)


def _print_reasons(title: str, reasons: tuple[Reason, ...]) -> None:
    out.print(title, style="bold")
    table = Table.grid(padding=(0, 1))
    for reason in reasons:
        effect, rule = reason_parts(reason)
        table.add_row("  -", Text.assemble(effect, "\n", (rule, "dim")))
    out.print(table)


def _print_table(policy: Policy, facts: Facts, notes: list[str], *, json_: bool) -> None:
    """Class x lane for unlabelled, routine work: its place in the plan, or why not."""
    rows = []
    for data_class in reversed(policy.classes):
        signals = Signals(sensitivity=data_class)
        decision = decide(policy, Ask(), signals, facts)
        wall = walled(policy, facts.today)[data_class]
        cells = {lane: _cell(lane, decision, lane in wall.admitted) for lane in policy.lanes}
        rows.append(
            {
                "sensitivity": data_class,
                "decision": contract(decision, signals, "")["decision"],
                "lanes": cells,
            }
        )
    if json_:
        as_json({"policy_hash": policy.hash, "classes": rows, "notes": notes})
        return
    out.print(f"{policy.name}: routine, normal-stakes work without a workload", style="bold")
    table = grid("class", *policy.lanes)
    for row in rows:
        table.add_row(str(row["sensitivity"]), *row["lanes"].values())  # type: ignore[attr-defined]
    out.print(table)
    err.print("`laneway explain --sensitivity CLASS [...]` gives the reasons.", style="dim")
    _print_notes(notes)


def _cell(lane: str, decision: Decision, admitted: bool) -> str:
    if not admitted:
        return "never"
    if not isinstance(decision, Route):
        return "after approval" if any(r.lane == lane for r in decision.reasons) else "shut"
    if lane in decision.lanes:
        place = decision.lanes.index(lane)
        also = " + weak answers" if place and lane in decision.escalate else ""
        return "first" if place == 0 else f"fallback {place}{also}"
    if lane in decision.escalate or lane in decision.judge:
        return "weak answers" if lane in decision.escalate else "judges"
    return "unseen" if any(lane in each.lanes for each in decision.shadow) else "shut"
