"""outcome: what a run came to, as a table with its notes or as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from laneway.cli.eval.judging import judges_json, judges_said
from laneway.cli.output import grid, indented, out, print_table
from laneway.evidence.judges import Judges
from laneway.evidence.ledger import Evidence
from laneway.evidence.run import Run
from laneway.evidence.tally import Standing, Tally
from laneway.evidence.telling import counted, seconds
from laneway.lane import plain
from laneway.policy import Policy

__all__ = ["Outcome", "outcome_json", "print_outcome"]

_CONFIDENCE = 0.95
_FEW = 5


@dataclass(slots=True)
class Outcome:
    """A run that has ended, by the `command` that asked for it, and the entries that were `written` into the ledger."""

    run: Run
    policy: Policy
    results: Path
    ledger: Path
    budget: float | None
    command: str
    written: tuple[Evidence, ...] = ()

    @property
    def judges(self) -> Judges | None:
        """Who graded rubrics, where there were any."""
        return self.run.scoring if isinstance(self.run.scoring, Judges) else None

    @property
    def confidence(self) -> float:
        """At which the bounds hold."""
        return self.policy.gate.bar.confidence if self.policy.gate.bar else _CONFIDENCE

    @property
    def tallies(self) -> list[Tally]:
        """By workload, weakest lane first."""
        rank = self.policy.rank
        return sorted(self.run.tallies.values(), key=lambda t: (t.workload, t.tried, rank[t.lane.name]))

    @property
    def proving(self) -> list[Tally]:
        """Those that are evidence."""
        return [tally for tally in self.tallies if not tally.lacking]

    @property
    def complete(self) -> bool:
        """Whether nothing was left open, and no lane changed its model."""
        return not any(tally.unanswered or len(tally.reported) > 1 for tally in self.tallies)

    @property
    def anew(self) -> str:
        """The command that asks all of it again."""
        newest = max(tally.newest for tally in self.tallies if tally.newest)
        return f"{self.command} --since {newest + datetime.timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"

    def standing(self, tally: Tally) -> Standing | None:
        """Where the lane stands."""
        bar = self.policy.gate.bar
        return tally.standing(bar.score if bar else None, self.confidence)


def outcome_json(found: Outcome) -> dict[str, object]:
    """The outcome with stable keys."""
    bar = found.policy.gate.bar
    return {
        "policy": found.policy.file, "results": f"{found.results}", "ledger": f"{found.ledger}",
        "complete": found.complete, "written": len(found.written), "spent": found.run.calls.purse.spent,
        "currency": found.policy.currency, "budget": found.budget, "bar": bar.score if bar else None,
        "confidence": found.confidence, "lost": found.run.results.lost, "nobody": sorted(found.run.nobody),
        "guarded": found.run.guarded, "stopped": found.run.stop.is_set(),
        "judging": found.judges and judges_json(found.judges),
        "lanes": [_lane_json(found, tally) for tally in found.tallies],
    }  # fmt: skip


def _lane_json(found: Outcome, tally: Tally) -> dict[str, object]:
    standing = found.standing(tally)
    shown = ("mean", "lower", "met", "more")
    return {
        "workload": tally.workload, "lane": tally.lane.name, "prompt": tally.tried or None, "model": tally.lane.model,
        "reported": dict(tally.reported), "samples": tally.samples, "answered": tally.answered, "asked": tally.asked,
        "kept": tally.kept, "left_out": dict(tally.left_out), "unanswered": tally.unanswered,
        "open": {code: {"count": count, "message": message} for code, (count, message) in tally.open.items()},
        "given_up": found.run.calls.given.get(tally.lane.name), "refused": tally.refused, "cut_off": tally.cut_off,
        "unscored": dict(tally.unscored), **{name: getattr(standing, name, None) for name in shown},
        "cost": tally.cost, "seconds": tally.seconds, "not_evidence": tally.lacking or None,
    }  # fmt: skip


def print_outcome(found: Outcome) -> None:
    """A table of lanes, what is to be known of each, and how to go on."""
    tried = any(tally.tried for tally in found.tallies)
    table = grid("workload", "lane", *(["prompt"] if tried else []), "n", "mean",
                 f"at least ({found.confidence:.0%})", _bar(found), "cost", "s")  # fmt: skip
    for tally in found.tallies:
        table.add_row(tally.workload, tally.lane.name, *([tally.tried or "in force"] if tried else []),
                      *_figures(found, tally))  # fmt: skip
    print_table(table)
    for tally in found.tallies:
        for note in _notes(found, tally):
            indented(f"{tally.workload}, {tally.lane.name}: {note}")
    for lane in found.run.lanes:
        if lane.name in found.run.calls.given:
            indented(f"{lane.name} was given up: {found.run.calls.given[lane.name]}")
    for said in judges_said(found.judges) if found.judges else ():
        indented(said)
    for line, style in _closing(found):
        out.print(line, style=style, soft_wrap=True)


def _figures(found: Outcome, tally: Tally) -> tuple[str, ...]:
    standing = found.standing(tally)
    cost = "?" if tally.cost is None else plain(tally.cost)
    took = "" if tally.seconds is None else seconds(tally.seconds)
    if standing is None:
        return "0", "", "", _verdict(tally, None), cost, took
    return (f"{standing.samples}", f"{standing.mean:.3f}", f"{int(standing.lower * 1000) / 1000:.3f}",
            _verdict(tally, standing), cost, took)  # fmt: skip


def _bar(found: Outcome) -> str:
    return f"bar {plain(found.policy.gate.bar.score)}" if found.policy.gate.bar else "no bar"


def _verdict(tally: Tally, standing: Standing | None) -> str:
    if tally.unanswered:
        return "open"
    if standing is None or standing.met is None:
        return ""
    return "met" if standing.met else "not met"


def _notes(found: Outcome, tally: Tally) -> Iterator[str]:
    standing = found.standing(tally)
    if standing is not None and standing.more is not None and not tally.unanswered:
        yield f"{counted(standing.more, 'more sample')} at the same mean would meet the bar"
    for reason, count in tally.left_out.most_common():
        yield f"{count} left out: {reason}"
    for count, message in tally.open.values():
        yield f"{count} open: {message}"
    if tally.cut_off:
        most = found.run.parameters.output
        were = "answer was" if tally.cut_off == 1 else "answers were"
        yield f"{tally.cut_off} {were} cut off; --max-output is {most} tokens, for all lanes"
    if tally.refused:
        yield f"{tally.refused} refused by the lane, which count as 0"
    for reason, count in tally.unscored.most_common():
        yield f"{count} unscored, which count as 0: {reason}"
    others = [name for name in tally.models if name and not tally.lane.answers_as(name)]
    if others:
        yield f"answers as {', '.join(others)}, not as {tally.lane.model}; if that is meant, say `reports:` in the lane"
    if tally.lacking and (tally.not_evidence or not tally.unanswered):  # what is open stands in the table
        more = f"; to ask all of it anew: {found.anew}" if len(tally.reported) > 1 else ""
        yield f"no evidence: {tally.lacking}{more}"


def _closing(found: Outcome) -> Iterator[tuple[str, str | None]]:
    run, currency = found.run, found.policy.currency
    if run.nobody:
        few = ", ".join(sorted(run.nobody)[:_FEW]) + (", …" if len(run.nobody) > _FEW else "")
        yield f"{counted(len(run.nobody), 'sample')} may be seen by no lane of the policy: {few}", "yellow"
    for what in run.guarded[:_FEW]:
        yield f"stopped by the guard, please report it: {what}", "red"
    asked, kept = (sum(getattr(t, name) for t in found.tallies) for name in ("asked", "kept"))
    limit = "" if found.budget is None else f" of {plain(found.budget)}"
    line = (
        f"{counted(asked, 'answer')}, {plain(run.calls.purse.spent)}{limit} {currency} spent; {kept} more were on file"
    )
    yield f"{line} in {found.results}, which holds the answers' texts", None
    if asked == 0 and kept:
        oldest = min(tally.oldest for tally in found.tallies if tally.oldest)
        yield (
            f"nothing was asked, as all of it is on file; the oldest answer is of {oldest:%Y-%m-%d %H:%M:%S} UTC",
            None,
        )
        yield f"to ask it all anew: {found.anew}", None
    if found.written:
        lanes = ", ".join(f"{entry.lane} on {entry.workload}" for entry in found.written)
        yield f"{found.ledger} has new entries: {lanes}", "green"
    left = sum(tally.unanswered for tally in found.tallies)
    if left:
        yield f"{left} are open and keep back evidence; run the same command again, which asks only those", "yellow"
