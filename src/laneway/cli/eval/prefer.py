"""prefer: which of two lanes' answers a judge prefers, asked in both orders, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import click
import uvloop

from laneway.cli.eval.judging import judges_of, replies_to
from laneway.cli.eval.report import default_results, results_option, workload_option
from laneway.cli.findings import proven
from laneway.cli.output import as_json, json_option, out, policy_option
from laneway.clock import today
from laneway.errors import UsageError, did_you_mean, shown
from laneway.evidence.calling import Calls, Parameters, Purse
from laneway.evidence.judges import Judges
from laneway.evidence.judging.pairs import Preferences
from laneway.evidence.judging.rubric import rubrics
from laneway.evidence.plan import Planned, planned
from laneway.evidence.results import Results
from laneway.evidence.statistics.numbers import libraries
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.providers.http import HttpProvider

__all__ = ["prefer"]


class _Preferred(NamedTuple):
    """What each judge said of one set."""

    planned: Planned
    said: tuple[Preferences, ...]


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@policy_option
@click.option("--judge", "names", multiple=True, metavar="LANE", help="Judges where a rubric names none.")
@workload_option
@click.option("--budget", type=click.FloatRange(0), metavar="MONEY",
              help="Stop before this could cost more, in the policy's currency.")  # fmt: skip
@results_option
@json_option
def prefer(
    first: str, second: str, policy_path: Path, names: tuple[str, ...], workload: str | None, budget: float | None,
    results_path: Path | None, json_: bool,
) -> None:  # fmt: skip
    """Ask a judge whose answers are better by the rubrics of the policy's sets: those of lane A or of lane B.

    It takes the answers that `laneway eval run` has on file, and shows each pair to the judge in both orders.

    Exit code: 0 compared, whatever was found; 1 no results, or a judge cannot be asked now; 2 A or B is unknown, or
    nobody can judge; 5 an invalid policy or set, 6 the policy is not proved.
    """
    libraries()
    policy, _ = proven(policy_path)
    lanes = (_lane(policy, first), _lane(policy, second))
    if first == second:
        raise UsageError(f"prefer takes two lanes that differ, not {first} twice")
    plan = [one for one in planned(policy, workload=workload) if rubrics(one.set)]
    with closing(Results.open(default_results(policy_path, results_path))) as results, \
            replies_to(plan, results.path) as replies:  # fmt: skip
        if replies is None:
            raise UsageError("none of the sets has a `rubric`, by which a judge could prefer an answer")
        found = uvloop.run(_found(policy, plan, results, replies, names, lanes, Purse(budget), policy_path.parent))
    if json_:
        as_json({"a": first, "b": second, "sets": [_json(one) for one in found]})
        return
    for one in found:
        for line in _words(one, first, second):
            out.print(line, soft_wrap=True)


def _lane(policy: Policy, name: str) -> Lane:
    if name not in policy.lanes:
        raise UsageError(f"no lane `{shown(name)}`{did_you_mean(name, policy.lanes)}")
    return policy.lanes[name]


async def _found(
    policy: Policy, plan: Sequence[Planned], results: Results, replies: Results, names: Sequence[str],
    lanes: tuple[Lane, Lane], purse: Purse, folder: Path,
) -> list[_Preferred]:  # fmt: skip
    """What the judges say of each set."""
    provider = HttpProvider(policy.lanes, os.environ, policy.networks)
    try:
        calls = Calls(policy, provider, today(), purse=purse)
        for name, why in provider.closed.items():
            calls.give_up(name, why)
        judges = judges_of(calls, replies, Parameters(), plan, names, folder, None)
        assert isinstance(judges, Judges)
        if not judges.lanes:
            raise UsageError("nobody is named to judge; name a lane with --judge, or in the set")
        return [_Preferred(one, await judges.prefer(one, results, lanes)) for one in plan]
    finally:
        await provider.close()


def _json(found: _Preferred) -> dict[str, Any]:
    return {
        "workload": found.planned.set.workload, "set": found.planned.set.name,
        "judges": [
            {
                "judge": said.judge, "refused": said.refused or None, "pairs": len(said.outcomes),
                "a": said.count("one"), "b": said.count("two"), "tie": said.count("tie"),
                "position": said.count("position"), "unclear": said.count("unclear"), "unasked": said.count(None),
                "flips": said.flips._asdict(), "b_against_a": said.comparison and said.comparison._asdict(),
            }
            for said in found.said
        ],
    }  # fmt: skip


def _words(found: _Preferred, first: str, second: str) -> Iterator[str]:
    one = found.planned.set
    yield f"{one.workload}, set {one.name}" + ("" if found.said else ": nobody is named to judge it")
    for said in found.said:
        if said.refused:
            yield f"  {said.refused}"
            continue
        if said.comparison is None:
            yield f"  judge {said.judge}: no sample with a rubric has a clear outcome; both lanes need answers on file"
            continue
        left = ((said.count("unclear"), "unclear"), (said.count(None), "not to be asked"))
        more = "".join(f", {count} {what}" for count, what in left if count)
        share = said.flips.flipped / said.flips.asked if said.flips.asked else 0
        swapped = f"not the same in both orders {said.count('position')} ({share:.0%})"
        yield (f"  judge {said.judge}: {first} in {said.count('one')}, {second} in {said.count('two')}, tie in "
               f"{said.count('tie')}, {swapped}{more}")  # fmt: skip
        got = said.comparison
        yield (f"  {second} against {first}: {got.verdict}, {got.difference:+.3f} ({got.low:+.3f} to {got.high:+.3f}), "
               f"p {got.p:.2g}")  # fmt: skip
