"""receipt: one recorded request in, its story as sections for people out: on a page of the console, or in a file.

Nothing here reads the log or draws. What was asked and answered is not in a story and not here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from laneway.decision import Reason, Route
from laneway.explain import ending, fate, led, money, said_of, signal_lines
from laneway.people.document import Cell, Row, Section, Tone, table
from laneway.policy import Policy
from laneway.record import Action, Attempt, Outcome
from laneway.rejections import standing
from laneway.store import Story

__all__ = ["Place", "at", "begun", "called", "cause", "ended", "receipt", "stage"]


class Place(NamedTuple):
    """A record of the request in the log: its number, kind and hash in hex, and what is wrong with it, if anything."""

    seq: int
    kind: str
    hash: str
    problem: str = ""


_TONES: dict[str, Tone] = {"answered": "good", "held": "wait", "refused": "shut", "failed": "bad", "cancelled": "idle",
                           "interrupted": "warn", "open": "next"}  # fmt: skip
_DONE: dict[Action, str] = {
    "approve": "approved", "edit": "edited", "reject": "rejected", "send": "sent to another lane",
    "reclassify": "released as an extract, under a lower class", "expire": "expired: nothing was released",
}  # fmt: skip
_LATER = {
    "interrupted": "Its end was not written: its server ended first, or could not write the log. The next start "
    "closed it.",
    "log_unavailable": "The log could not be written when it ended, so the client got this error in place of its end.",
}

_FOLLOWS = "follows from the one before"


def at(moment: datetime.datetime) -> str:
    """A moment as pages show it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def begun(story: Story) -> datetime.datetime:
    """When the request's first entry was written."""
    first = story.intents[0] if story.intents else story.outcome
    assert first is not None
    return first.at


def ended(story: Story) -> tuple[str, Tone]:
    """How the request ended, or that it has not."""
    outcome = story.outcome.entry if story.outcome else None
    return ending(outcome), _TONES.get(outcome.status if outcome else "open", "")


def stage(story: Story) -> tuple[str, Tone]:
    """What people made of it, where it was put before people."""
    if story.review is None:
        return "", ""
    if not story.resolutions:
        return "waits for a person", "wait"
    last = story.resolutions[-1].entry
    made = fate(story.review.entry, [each.entry for each in story.resolutions])
    if made is None or not last.final:
        return f"{_DONE[last.action]} by {last.by}; it waits for another person", "wait"
    return made.told, "" if made.released is None else "good" if made.released else "shut"


def cause(story: Story) -> tuple[Reason, str]:
    """The rule that led to where the request went, and what made it speak there, in a few words."""
    decision, outcome = story.opening.decision, story.outcome.entry if story.outcome else None
    if not isinstance(decision, Route):
        return decision.reasons[0], ""
    if outcome is not None and outcome.lane is not None:
        answering = [a for a in outcome.attempts if a.lane == outcome.lane and a.why not in ("judge", "shadow")]
        why = answering[-1].why if answering else "first"
        return led(decision, outcome.lane, why), _before(outcome, why)
    if outcome is not None and outcome.attempts:  # no lane is left
        failed = outcome.attempts[-1]
        stop = next((r for r in decision.reasons if r.code == "fallback"), decision.reasons[0])
        return stop, f"{failed.lane}: {failed.result}"
    if story.intents:
        return led(decision, story.intents[-1].entry.lane, story.intents[-1].entry.why), ""
    return decision.reasons[0], ""


def _before(outcome: Outcome, why: str) -> str:
    """What the last lane before the answering one did."""
    if why == "escalation":
        weak = next((a.verdict for a in outcome.attempts if a.verdict and a.verdict.verdict == "escalate"), None)
        return f"weak: {', '.join(weak.failed)}" if weak else "weak"
    failed = [a for a in outcome.attempts if a.lane != outcome.lane and a.result != "answered" and a.why != "judge"]
    return f"{failed[-1].lane}: {failed[-1].result}" if failed and why in ("fallback", "hedge", "retry") else ""


def called(story: Story) -> str:
    """The lanes that were called, in their order."""
    lanes = dict.fromkeys(i.entry.lane for i in story.intents if i.entry.why != "judge")
    return " > ".join(lanes) or "none"


def receipt(story: Story, policy: Policy | None, places: Iterable[Place]) -> tuple[Section, ...]:
    """The whole story, in the order in which it happened. `policy` is None where its grammar is not read any more."""
    made = _Writer(story, policy, tuple(places))
    return tuple(section for section in made.sections() if section.table is not None or section.lead)


class _Writer:
    """Writes the sections, one method each."""

    def __init__(self, story: Story, policy: Policy | None, places: tuple[Place, ...]) -> None:
        self.story, self.places = story, places
        self.named, self.currency = (policy.name, policy.currency) if policy else ("of an older Laneway", "")
        self.opening, decided = story.opening, story.opening.decision
        named = (r.lane for r in (*decided.reasons, *decided.rejected) if r.lane)
        self.known = policy.strength if policy else tuple(dict.fromkeys(named))
        self.decision = story.opening.decision
        self.outcome = story.outcome.entry if story.outcome else None

    def sections(self) -> Iterator[Section]:
        yield self.came()
        yield self.labels()
        yield self.lanes()
        yield self.why()
        yield self.evidence()
        yield self.happened()
        yield self.unseen()
        yield self.review()
        yield self.said()
        yield self.record()

    def came(self) -> Section:
        opening = self.opening
        rows: list[Row] = [
            ("when", Cell(f"{at(begun(self.story))} UTC")),
            ("asked for", Cell(f"{opening.model}, {'as a stream' if opening.stream else 'as a whole answer'}")),
            ("size", f"{opening.size:,} bytes"),
            ("text", Cell("not kept in the log", "", f"only its salted hash {opening.prompt}")),
        ]
        if opening.instructed:
            rows.append(("before it", Cell("the workload's own prompt", "", f"SHA-256 {opening.instructed}")))
        if opening.asker:
            rows.append(("asked by", Cell("known to the log by a salted hash alone", "", opening.asker)))
        if opening.subject:
            rows.append(("about", Cell("known to the log by a salted hash alone", "", opening.subject)))
        if opening.source:
            rows.append(("follows from", Cell(opening.source, "", "whose reviewer sent this request on")))
        return Section("came", "What came", (), table(("what", "value"), rows))

    def labels(self) -> Section:
        lead = ("Each signal that rules may test, and where it was found: a place and a kind, never the text.",)
        return Section("labels", "How it was labelled, and why", lead,
                       table(("signal", "value", "from"), signal_lines(self.opening.signals)))  # fmt: skip

    def lanes(self) -> Section:
        rows: list[Row] = []
        for name in self.known:
            place, tone = self._place(name)
            why = [r for r in self.decision.rejected if r.lane == name]
            for reason in why or [r for r in self.decision.reasons if r.lane == name][:1]:
                rows.append((name, Cell(place, tone), Cell(reason.effect, "", _because(reason)), Cell(reason.says)))
        return Section("lanes", "Which lanes were open, and which were not", (),
                       table(("lane", "was", "by the rule", "which says"), rows))  # fmt: skip

    def _place(self, lane: str) -> tuple[str, Tone]:
        route = self.decision if isinstance(self.decision, Route) else None
        if route is None:
            return (
                ("rejected", "shut") if any(r.lane == lane for r in self.decision.rejected) else ("not asked", "idle")
            )
        if lane in route.lanes:
            place = route.lanes.index(lane)
            return ("first", "good") if place == 0 else (f"fallback {place}", "next")
        if lane in route.escalate:
            return "for weak answers", "weak"
        if lane in route.judge:
            return "judge", "idle"
        if any(lane in each.lanes for each in route.shadow):
            return "unseen", "idle"
        return "rejected", "shut"

    def why(self) -> Section:
        about = {"wall-open", "waived", "evidence-met"}
        rows: list[Row] = [(Cell(r.effect), Cell(_because(r)), Cell(r.says))
                           for r in self.decision.reasons if r.code not in about]  # fmt: skip
        return Section("why", "What was decided", (), table(("so it was decided", "by the rule", "which says"), rows))

    def evidence(self) -> Section:
        facts = self.opening.facts
        rows: list[Row] = [
            (s.lane, Cell(s.missing, "warn") if s.missing else Cell(
                f"mean score {s.lower:.3f} or more, at {s.confidence:g}", "good", f"{s.samples} samples, {s.on}"),
             f"{s.rejected} of {s.answers} answers" if s.answers else "nothing")
            for s in facts.evidence
        ]  # fmt: skip
        rows += [(lane, Cell("closed", "shut", why), "") for lane, why in facts.closed.items()]
        waived = [r.effect for r in self.decision.reasons if r.code == "waived"]
        return Section("evidence", "On what the lanes served", (*waived, f"As known on {facts.today}.") if rows else
                       tuple(waived), table(("lane", "has shown", "people rejected"), rows))  # fmt: skip

    def happened(self) -> Section:
        attempts, currency = self.outcome.attempts if self.outcome else (), self.currency
        made = [a for a in attempts if not a.skipped]
        rows: list[Row] = [_attempted(n, a, currency) for n, a in enumerate(made, start=1)]
        rows += [(str(n), i.entry.lane, i.entry.why, Cell("no end on record", "warn"), "", "", "")
                 for n, i in enumerate(self.story.intents, start=1) if n > len(made)]  # fmt: skip
        rows += [
            ("-", a.lane, a.why, Cell(f"not called: {a.result}", "idle"), "", "", "") for a in attempts if a.skipped
        ]
        columns = ("call", "lane", "why", "result", "time", "tokens", "gate")
        return Section("happened", "What happened", tuple(self._end()), table(columns, rows))

    def _end(self) -> Iterator[str]:
        outcome = self.outcome
        if outcome is None:
            yield "No end is on record: it is still running, or its server ended or could not write the log."
            return
        by = f" by {outcome.lane}" if outcome.lane else ""
        cost = money(outcome.cost or 0, self.currency)
        yield f"{ending(outcome).capitalize()}{by}, after {outcome.total_ms:,.0f} ms, for {cost}."
        if outcome.verdict is not None:
            failed = f": {', '.join(outcome.verdict.failed)}" if outcome.verdict.failed else ""
            after = ", when the client had the answer already" if outcome.verdict.released and failed else ""
            yield f"The gate said {outcome.verdict.verdict}{failed}{after}."
        if outcome.code in _LATER:
            yield _LATER[outcome.code]
        for shut in self.story.shut:
            yield (f"{shut.lane} was measured as {shut.measured or 'a model without a name'} and answered as "
                   f"{shut.answered}: it is shut until it is measured anew.")  # fmt: skip

    def unseen(self) -> Section:
        rows: list[Row] = [
            (made.lane, f"{made.result} than {made.incumbent}" if made.result in ("better", "worse") else made.result,
             ", ".join(filter(None, (made.code, *made.failed))) or (f"says {made.judge}" if made.judge else ""),
             f"{made.seconds:.1f} s", money(made.cost, self.currency), made.rule)
            for _, made in self.story.compared
        ]  # fmt: skip
        columns = ("lane", "was", "because", "time", "cost", "by the rule")
        return Section("unseen", "What another lane answered, unseen", (), table(columns, rows))

    def review(self) -> Section:
        review = self.story.review
        if review is None:
            return Section("people", "What people decided")
        until = datetime.datetime.fromtimestamp(review.entry.until / 1e6, datetime.UTC)
        eyes = f"{review.entry.eyes} must approve" if review.entry.eyes > 1 else ""
        rows: list[Row] = [(at(review.at), "held", review.entry.rule, Cell(f"until {at(until)} UTC", "", eyes))]
        for when, done in self.story.resolutions:
            took = "" if done.seconds is None else f"open for {done.seconds:,.0f} s"
            told = "; ".join(filter(None, (
                took, "with a comment" if done.comment else "", f"to {done.lane}" if done.lane else "",
                f"as {done.child}" if done.child else "", "" if done.final else "not the last word",
            )))  # fmt: skip
            words = f"words {done.content}" if done.content else ""
            what = Cell(_DONE[done.action], "good" if done.action == "approve" else "")
            rows.append((at(when), what, done.by or "nobody", Cell(told, "", words)))
        lead = ("What was read and written is not in the log, only salted hashes of it.",)
        return Section("people", "What people decided", lead, table(("when (UTC)", "what", "by", "how"), rows))

    def said(self) -> Section:
        last = standing(f.entry for f in self.story.feedback).values()
        rows: list[Row] = [
            (at(when), Cell(said_of(f), "good" if f.accepted else "warn" if "edit" in said_of(f) else "bad"),
             f"{f.by} ({f.source})", "" if f.source == "reviewer" else f.reason,
             "" if any(f is word for word in last) else "spoke again later")
            for when, f in self.story.feedback
        ]  # fmt: skip
        return Section("said", "What was said of the answer", (), table(("when (UTC)", "", "by", "why", "since"), rows))

    def record(self) -> Section:
        rows: list[Row] = [
            (f"record {p.seq}", p.kind, Cell(p.problem, "bad") if p.problem else Cell(_FOLLOWS, "good"), p.hash)
            for p in self.places
        ]
        lead = (f"Decided under policy {self.named}, SHA-256 {self.opening.policy}.",)
        return Section("record", "Where this is on record", lead, table(("record", "kind", "chain", "hash"), rows))


def _because(reason: Reason) -> str:
    return f"{reason.rule}, because {reason.signal}" if reason.signal else reason.rule


def _attempted(number: int, a: Attempt, currency: str) -> Row:
    took = f"{a.ended_ms - a.started_ms:,.0f} ms"
    first = "" if a.first_byte_ms is None else f"first byte after {a.first_byte_ms - a.started_ms:,.0f} ms"
    other = f"as {a.model}, not as {a.other_than}" if a.other_than is not None else ""
    said = f"says {a.said}" if a.said is not None else ""
    verdict = Cell("")
    if a.verdict is not None:
        verdict = Cell(
            a.verdict.verdict, "good" if a.verdict.verdict == "pass" else "weak", ", ".join(a.verdict.failed)
        )
    tokens = "" if a.tokens_out is None else f"{a.tokens_in or 0:,} + {a.tokens_out:,}"
    cost = "" if a.cost is None else money(a.cost, currency)
    return (str(number), a.lane, a.why, Cell(a.result, "good" if a.result == "answered" else "bad", other or said),
            Cell(took, "", first), Cell(tokens, "", cost), verdict)  # fmt: skip
