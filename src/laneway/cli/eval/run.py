"""run: asks lanes the samples of evaluation sets, and writes what that proves into the ledger."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
import uvloop
from click.core import ParameterSource
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from laneway.cli.eval.judging import judges_of, replies_to
from laneway.cli.eval.outcome import Outcome, outcome_json, print_outcome
from laneway.cli.eval.report import default_results, results_option, sets_argument, workload_option
from laneway.cli.findings import proven
from laneway.cli.output import as_json, default_log, err, json_option, log_option, moment, policy_option
from laneway.clock import today
from laneway.errors import LogError, UsageError, did_you_mean, shown
from laneway.evidence import ledger
from laneway.evidence.calling import PATIENCE, Calls, Parameters, Purse
from laneway.evidence.ledger import Evidence
from laneway.evidence.plan import planned
from laneway.evidence.results import Results
from laneway.evidence.run import Run, ask_all
from laneway.evidence.statistics.numbers import libraries
from laneway.lane import Lane, plain
from laneway.levers import Levers
from laneway.policy import Policy
from laneway.providers.http import HttpProvider
from laneway.traffic import Traffic

__all__ = ["run"]

_USUAL = Parameters()
_LOOK_SECONDS = 1.0
_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@sets_argument
@policy_option
@click.option("--lane", "names", multiple=True, metavar="NAME", help="Only this lane; may be given more than once.")
@workload_option
@click.option("--prompt", "prompts", multiple=True, type=_file, metavar="FILE",
              help="Try this system prompt in place of the one in force; may be given more than once.")  # fmt: skip
@click.option("--judge", "judges", multiple=True, metavar="LANE",
              help="Grades rubrics that name no judge of their own, as far as people agree with it.")  # fmt: skip
@click.option("--budget", type=click.FloatRange(0), metavar="MONEY",
              help="Stop before this run could cost more, in the policy's currency.")  # fmt: skip
@results_option
@click.option("--ledger", "ledger_path", type=_file, help="The ledger; default: evidence.jsonl beside the policy.")
@click.option("--seed", default=1, show_default=True, help="Sent to every lane.")
@click.option("--max-output", default=_USUAL.output, show_default=True, type=click.IntRange(1),
              help="The most tokens of an answer.")  # fmt: skip
@click.option("--without", multiple=True, type=click.Choice(["temperature", "seed"]),
              help="Leave this out for every lane, where one does not take it.")  # fmt: skip
@click.option(
    "--cap-name",
    default=_USUAL.cap_name,
    show_default=True,
    type=click.Choice(["max_tokens", "max_completion_tokens"]),
    help="What the cap is called on the wire.",
)
@click.option("--since", type=moment, metavar="DATE", help="Ask again what was answered before then: 2026-11-29, "
              "2026-11-29T14:30:05Z or with an offset, such as +02:00; UTC without one.")  # fmt: skip
@click.option("--patience", default=PATIENCE, show_default=True, type=click.FloatRange(0), metavar="SECONDS",
              help="How long a lane that answers nothing is waited for.")  # fmt: skip
@log_option
@json_option
@click.pass_context
def run(
    ctx: click.Context, sets: tuple[Path, ...], policy_path: Path, names: tuple[str, ...], workload: str | None,
    prompts: tuple[Path, ...], judges: tuple[str, ...], budget: float | None, results_path: Path | None,
    ledger_path: Path | None, seed: int, max_output: int, without: tuple[str, ...], cap_name: str,
    since: datetime.datetime | None, patience: float, log_path: Path | None, json_: bool,
) -> None:  # fmt: skip
    """Ask each lane every sample of SETS that it may see, or of the sets that the policy names as `evals`.

    Answers are kept in the results: run the same command again to go on, and nothing answered is asked again. A lane
    that has answered all that it may see gets an entry in the ledger, which opens it to the workload where it meets the
    bar. What operators have closed, by the log where there is one, is not asked, nor from when they close it.

    Exit code: 0 done, 1 something is left open, 5 an invalid policy or set, 6 the policy is not proved.
    """
    libraries()
    policy, _ = proven(policy_path)
    plan = planned(policy, sets, workload=workload, prompts=prompts)
    lanes = _lanes(policy, names, budget)
    parameters = Parameters(temperature=None if "temperature" in without else 0.0,
                            seed=None if "seed" in without else seed, output=max_output, cap_name=cap_name)  # fmt: skip
    levers, log = Levers(), default_log(policy_path, log_path)
    _recalled(levers, log)
    ledger_path = ledger_path or policy_path.parent / ledger.FILE
    ledger.read(ledger_path)  # one that is damaged is told before anything is paid for
    with closing(Results.open(default_results(policy_path, results_path), write=True)) as results, \
            replies_to(plan, results.path) as replies:  # fmt: skip
        for kept in filter(None, (results, replies)):
            _say_lost(kept)

        def prepared(provider: HttpProvider) -> Run:
            calls = Calls(policy, provider, today(), purse=Purse(budget), patience=patience,
                          traffic=Traffic(levers=levers))  # fmt: skip
            scoring = judges_of(calls, replies, parameters, plan, judges, ledger_path.parent, since)
            return Run(calls=calls, results=results, plan=plan, lanes=lanes, parameters=parameters, since=since,
                       scoring=scoring)  # fmt: skip

        going = uvloop.run(_asked(policy, prepared, lambda: _recalled(levers, log)))
        found = Outcome(going, policy, results.path, ledger_path, budget, _as_given(ctx))
        found.written = _written(found.ledger, [tally.evidence(found.confidence) for tally in found.proving])
    if json_:
        as_json(outcome_json(found))
    else:
        print_outcome(found)
    ctx.exit(0 if found.complete else 1)


def _as_given(ctx: click.Context) -> str:
    """The command line that was given, but for --since and how it prints."""
    words = ["laneway", "eval", "run"]
    for param in ctx.command.params:
        name = param.name or ""
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in ("since", "json_"):
            continue
        given = ctx.params[name]
        for value in given if isinstance(given, tuple) else (given,):
            words += [f"{value}"] if isinstance(param, click.Argument) else [param.opts[0], f"{value}"]
    return shlex.join(words)


def _lanes(policy: Policy, names: Sequence[str], budget: float | None) -> tuple[Lane, ...]:
    """The lanes to be asked, weakest first."""
    for name in names:
        if name not in policy.lanes:
            raise UsageError(f"no lane `{shown(name)}`{did_you_mean(name, policy.lanes)}")
    lanes = tuple(policy.lanes[name] for name in policy.strength if not names or name in names)
    unknown = [lane.name for lane in lanes if lane.price is None]
    if budget is not None and unknown:
        raise UsageError(f"the price of {', '.join(unknown)} is not known, so that no --budget can hold: state it as "
                         "the lane's `price`, or name the other lanes with --lane")  # fmt: skip
    return lanes


def _say_lost(results: Results) -> None:
    """Calls that an earlier run began and did not live to see answered."""
    if results.lost:
        lanes = ", ".join(f"{lane} {count}" for lane, count in results.lost.items())
        err.print(f"an earlier run ended in the middle of {sum(results.lost.values())} calls ({lanes}): they may have "
                  "been paid for without an answer, and are made again", style="yellow", soft_wrap=True)  # fmt: skip


def _recalled(levers: Levers, log: Path) -> None:
    if log.exists():
        levers.recall(log)


async def _obeying(going: Run, recalled: Callable[[], None]) -> None:
    """Look every second what operators have pulled. Where that cannot be known, nothing more is asked."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            recalled()
        except LogError as error:
            err.print(f"stopped, as what operators have closed is not known any more: {error}", style="red")
            going.stop.set()
            return
        going.calls.traffic.cut()


async def _asked(policy: Policy, prepared: Callable[[HttpProvider], Run], recalled: Callable[[], None]) -> Run:
    """The run, when it has ended."""
    provider = HttpProvider(policy.lanes, os.environ, policy.networks)
    obeying: asyncio.Task[None] | None = None
    try:
        going = prepared(provider)
        obeying = asyncio.create_task(_obeying(going, recalled))
        for name, why in provider.closed.items():
            going.calls.give_up(name, why)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, going, loop)
        with _bars(going):
            await ask_all(going)
    finally:
        if obeying is not None:
            obeying.cancel()
        await provider.close()
    return going


def _stop(going: Run, loop: asyncio.AbstractEventLoop) -> None:
    """Ask nothing more; a second time ends at once, and nothing that was answered is lost."""
    going.stop.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


@contextmanager
def _bars(going: Run) -> Iterator[None]:
    """A bar for each lane, on a terminal."""
    logging.getLogger("laneway").addHandler(logging.NullHandler())  # what befell a lane is told at the end
    if not err.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[money]}"),
               TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=err, transient=True) as progress:
        tallies = {lane.name: [t for t in going.tallies.values() if t.lane is lane] for lane in going.lanes}
        bars = {name: progress.add_task(name, total=sum(t.samples for t in of), money="", note="")
                for name, of in tallies.items()}  # fmt: skip

        def show(lane: Lane) -> None:
            of = tallies[lane.name]
            costs = [tally.cost for tally in of]
            money = (
                "" if None in costs else f"{plain(sum(cost or 0.0 for cost in costs))} {going.calls.policy.currency}"
            )
            wait = going.calls.traffic.of(lane).wait()
            progress.update(bars[lane.name], completed=sum(tally.done for tally in of), money=money,
                            note=f"waiting {wait:.0f} s" if wait >= 1 else "")  # fmt: skip

        going.shown = show
        yield


def _written(path: Path, entries: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Append those of the entries that say something new, and return them."""
    newest = {(entry.workload, entry.lane): entry for entry in ledger.read(path)} if entries else {}
    new = tuple(entry for entry in entries if newest.get((entry.workload, entry.lane)) != entry)
    if new:
        ledger.append(path, *new)
    return new
