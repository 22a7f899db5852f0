"""assemble: a policy and what was proved of it in, a document for those who answer for it out.

Each sentence stands beside what its rule does, in words made from the rule, so that a wrong sentence shows.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import laneway
from laneway.evidence.owed import Owed
from laneway.people.document import Cell, Document, Row, Section, Tone, sections_json, table
from laneway.people.matrix import Matrix, Use
from laneway.people.plain import Plain, approval, captured, count, days, days_to, hedge, listed, seconds
from laneway.people.whereabouts import DISTANCES, Whereabouts
from laneway.policy import KEPT_DAYS, Policy, Rule
from laneway.proof.finding import Finding, Subject
from laneway.proof.lint import SOON
from laneway.proof.oracle import NotProved, choose, large
from laneway.proof.space import Space
from laneway.proof.verify import PROPERTIES, Report

__all__ = ["document", "document_json"]

_LIMITS = (
    "What is proved is what the rules do with what is stated. Not proved: that clients label truly (names, addresses "
    "and diagnoses are not detected), that lanes run where they are said to, or that prices are right. Nothing here is "
    "legal advice."
)
_HELD = "held until a person approves: no model is called, and Laneway has no way yet to approve it"


def document(
    policy: Policy, report: Report, today: datetime.date, shown: tuple[Owed, ...] = (), *, seconds: float = 60
) -> Document:
    """The document for `policy`, of which `report` was proved on `today`, with what its lanes have `shown`."""
    space = Space(policy)
    try:
        matrix = Matrix(Subject(policy, today, space, choose(space, seconds)))
        made = _Writer(policy, report, today, matrix, shown)
        return Document(policy.name, today, made.verdict(), tuple(made.sections()), made.reach())
    except NotProved as error:
        made = _Writer(policy, report, today, None, shown, f"This could not be worked out: {error}.")
        return Document(policy.name, today, made.verdict(), tuple(made.sections()), ())


_RULE = ("rule", "what it says", "what it does")


def document_json(policy: Policy, report: Report, made: Document) -> dict[str, object]:
    """The object that `laneway policy --json` prints."""
    return {
        "name": made.name, "day": made.day.isoformat(), "policy_hash": policy.hash, "meaning": policy.meaning,
        "proved": report.proved, "sections": sections_json(made),
    }  # fmt: skip


class _Writer:
    """Writes the sections, one method each."""

    def __init__(
        self, policy: Policy, report: Report, today: datetime.date, matrix: Matrix | None, shown: tuple[Owed, ...],
        why: str = "",
    ) -> None:  # fmt: skip
        self.policy, self.report, self.today, self.matrix, self.why = policy, report, today, matrix, why
        self.shown = shown
        self.plain = Plain(policy)
        self.places = Whereabouts(policy, today)
        self.classes = tuple(reversed(policy.classes))
        pairs = [(c, lane) for c in policy.classes for lane in policy.lanes] if matrix else []
        self.uses = {pair: matrix.use(*pair) for pair in pairs if matrix}

    def sections(self) -> Iterator[Section]:
        yield self.approval()
        yield self.findings()
        yield from self.todos()
        yield self.matrix_of_uses()
        yield self.wall()
        yield self.zones()
        yield self.lanes()
        yield self.abroad()
        yield self.classes_of_data()
        yield self.workloads()
        yield self.routes()
        yield self.outages()
        yield self.checks()
        yield self.waivers()
        yield from self.evidence()
        yield self.deadlines()
        yield self.reviews()
        yield from self.shadow()
        yield self.kept()
        yield self.must()
        yield self.identity()

    # what a reader wants first

    def verdict(self) -> Cell:
        if self.report.proved:
            return Cell("proved", "good", self._over())
        if self.report.unproved:
            return Cell("not proved", "bad", self.report.unproved)
        return Cell("not proved", "bad", f"{count(len(self.report.errors), 'error')} below")

    def _over(self) -> str:
        kinds = large(self.report.requests)
        return f"over all {kinds} kinds of request that its rules tell apart, and every outage, by {self.report.prover}"

    def approval(self) -> Section:
        approval = self.policy.approval
        if approval is None:
            return Section("approval", "Approval", ("Nobody has approved this policy.",))
        due = approval.on + datetime.timedelta(days=approval.review_every)
        told = {
            None: Cell("no hash was kept, so that a later change would not show", "warn"),
            self.policy.meaning: Cell("every sentence and rule is as it was approved", "good"),
        }
        seal = told.get(approval.hash, Cell("sentences or rules have changed since the approval", "bad"))
        late = Cell(f"{due}", "warn" if due < self.today else "", days_to(due, self.today))
        return Section("approval", "Approval", (), table(
            ("approved by", "on", "to be read again by", "since then"),
            [(approval.by, str(approval.on), late, seal)],
        ))  # fmt: skip

    def findings(self) -> Section:
        proved = f"Proved {self._over()}: {'; '.join(PROPERTIES)}." if self.report.proved else (
            f"The proof is not finished: {self.report.unproved}." if self.report.unproved else
            "NOT proved: the errors below are broken promises, each with its place in the file.")  # fmt: skip
        rows = [
            (Cell(finding.severity, "bad" if finding.severity == "error" else "warn"), _place(finding),
             f"{finding.message}.", finding.remedy)
            for finding in self.report.findings
        ]  # fmt: skip
        lead = (proved, _LIMITS) if rows else (proved, "No errors and no warnings.", _LIMITS)
        return Section(
            "findings", "What is proved, and what is open", lead, table(("kind", "where", "what", "remedy"), rows)
        )

    def todos(self) -> Iterator[Section]:
        rows = [(todo.id, todo.says, Cell("Nothing: it has no rule.", "bad")) for todo in self.policy.todos]
        if rows:
            yield Section("todos", "Sentences without a rule", (), table(_RULE, rows))

    def matrix_of_uses(self) -> Section:
        title = "Who may use what"
        if self.matrix is None:
            return Section("matrix", title, (self.why,))
        lanes = self.policy.strength
        rows: list[Row] = [(c, *(_use(self.uses[c, lane]) for lane in lanes)) for c in self.classes]
        return Section("matrix", title, _LEGEND, table(("data", *lanes), rows, matrix=True))

    # the wall

    def wall(self) -> Section:
        rows = []
        for grant in self.policy.grants:
            data = f"{listed(c for c in self.policy.classes if c in grant.classes)} data may use"
            lanes = (
                f"lanes of {listed(grant.zones, 'or')}{self._today(grant.zones)}" if grant.zones else "no lane at all"
            )
            rows.append(self._rule(grant, f"{data} {lanes}."))
        for limit in self.policy.limits:
            only = f"only lanes of {listed(limit.zones, 'or')}{self._today(limit.zones)}" if limit.zones else "no lane"
            rows.append(self._rule(limit, f"{self.plain.where(limit.when, unknown_counts=True)}: {only}."))
        lead = ("What no entry allows is forbidden, on every hop. A class may use a lane only if every less sensitive "
                "class may use it too.",)  # fmt: skip
        return Section("wall", "The wall: which data may go where", lead, table(_RULE, rows))

    def _today(self, zones: tuple[str, ...]) -> str:
        members = [lane for lane in self.policy.strength if any(self._inside(zone, lane) for zone in zones)]
        return f" (today {listed(members)})"

    def _inside(self, zone: str, lane: str) -> bool:
        return self.policy.zones[zone].lacks(self.policy.lanes[lane], self.today, self.policy.fresh_days) is None

    def zones(self) -> Section:
        rows = [
            (
                zone.name,
                f"{self.plain.zone(zone)}",
                listed(x for x in self.policy.strength if self._inside(zone.name, x)),
            )
            for zone in self.policy.zones.values()
        ]
        lead = ("A zone is a set of guarantees; what is unknown or was not verified in time meets none of them.",)
        return Section("zones", "Zones", lead, table(("zone", "a lane is in it if", "today"), rows))

    # the lanes

    def lanes(self) -> Section:
        rows = [self.places.row(self.policy.lanes[name]) for name in self.policy.strength]
        lead = ["From the weakest to the strongest."]
        if self.policy.networks:
            lead.append(f"Our own networks are {listed(self.policy.networks)}.")
        return Section("lanes", "Lanes", tuple(lead), table(self.places.columns, rows))

    def abroad(self) -> Section:
        title = "What may leave the EEA, and on what basis"
        if self.matrix is None:
            return Section("abroad", title, (self.why,))
        rows: list[Row] = []
        for name in self.policy.strength:
            out = self.places.abroad(self.policy.lanes[name])
            if out is not None:
                classes = [c for c in self.classes if self._reaches(c, name)]
                rows.append((name, *out, listed(classes) if classes else Cell("no data reaches it", "dim")))
        lead = () if rows else ("Nothing: every lane runs and stores within the EEA, or on our own machines there.",)
        return Section(
            "abroad", title, lead, table(("lane", "why it is listed", "basis", "data that may reach it"), rows)
        )

    def reach(self) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
        """For each class the lanes that it may reach at each distance."""
        at = {name: self.places.distance(lane) for name, lane in self.policy.lanes.items()}
        lanes = self.policy.strength
        return tuple(
            (c, tuple(tuple(x for x in lanes if at[x] == i and self._reaches(c, x)) for i in range(len(DISTANCES))))
            for c in self.classes
        )

    def _reaches(self, data_class: str, lane: str) -> bool:
        return self.uses[data_class, lane].way not in ("never", "not used")

    # what requests are

    def classes_of_data(self) -> Section:
        rows = [
            self._named("where nobody said", "", self.plain.labels(self.policy.unlabelled)),
            self._named("what is found in the text", self.policy.detect.says, self.plain.detect(self.policy.detect)),
        ]
        lead = (f"From the most to the least sensitive: {', '.join(self.classes)}.",
                "A client's label or the workload takes the place of the class for unlabelled requests; among label, "
                "workload and what is found in the text the highest counts.")  # fmt: skip
        return Section("classes", "Classes of data", lead, table(("case", *_RULE[1:]), rows))

    def workloads(self) -> Section:
        rows = [self._named(w.name, w.says, self.plain.labels(w)) for w in self.policy.workloads.values()]
        lead = [] if rows else ["None is named: every request is judged by its labels and its text."]
        facts = [
            f"{fact.name} ({', '.join(fact.values) or f'{fact.low:g} to {fact.high:g}'})"
            for fact in self.policy.facts.values()
        ]
        if facts:
            lead.append(f"Facts that a client may state, and that are unknown where it does not: {listed(facts)}.")
        return Section("workloads", "Workloads", tuple(lead), table(("workload", *_RULE[1:]), rows))

    def routes(self) -> Section:
        rows = [self._rule(rule, self.plain.route(rule, i)) for i, rule in enumerate(self.policy.routes)]
        rows += [self._rule(rule, self.plain.fallback(rule, i)) for i, rule in enumerate(self.policy.fallbacks)]
        lead = ("The first route that fits decides what is tried first, and the first fallback that fits decides what "
                "follows a failure. Both choose only from what the wall leaves.",)  # fmt: skip
        return Section("routes", "Routes and fallbacks", lead, table(_RULE, rows))

    def outages(self) -> Section:
        title = "When a lane is down"
        if self.matrix is None:
            return Section("outages", title, (self.why,))
        rows: list[Row] = [
            (data_class, *(self._takes_over(self.matrix, data_class, lane) for lane in self.policy.strength))
            for data_class in self.classes
        ]
        lead = ("Who takes over the requests that begin at a lane when it fails. Where several are named, it depends "
                "on the request. A lane that is out from the start is left out of the routes' ranking.",)  # fmt: skip
        return Section("outages", title, lead, table(("data", *self.policy.strength), rows, matrix=True))

    def _takes_over(self, matrix: Matrix, data_class: str, down: str) -> Cell:
        ends = matrix.taking_over(data_class, down)
        if not ends:
            return Cell("nothing begins here", "idle")
        said = [{"refuse": "refused", "hold": "held for a person"}.get(end, end) for end in ends]
        tone: Tone = "shut" if set(ends) == {"refuse"} else "wait" if set(ends) <= {"refuse", "hold"} else "next"
        return Cell(listed(said, "or"), tone)

    # answers and people

    def checks(self) -> Section:
        gate = self.policy.gate
        rows = [self._named("gate", gate.says, self.plain.weak(gate))]
        after = [name for name, lane in self.policy.lanes.items() if lane.gate_after]
        lead = [f"Streams of {listed(after)} are passed on before they are checked."] if after else []
        return Section("checks", "Checks, and what a weak answer leads to", tuple(lead), table(_RULE, rows))

    def waivers(self) -> Section:
        gate, rows = self.policy.gate, list[Row]()
        for waiver in gate.waivers:
            works = "" if waiver.workloads is None else f" for {listed(sorted(waiver.workloads))}"
            does = f"Waives the evidence of {listed(sorted(waiver.lanes))}{works}."
            soon: Tone = "warn" if (waiver.until - self.today).days <= SOON else ""
            until = Cell(f"{waiver.until}", soon, days_to(waiver.until, self.today))
            rows.append((*self._rule(waiver, does), waiver.by, until))
        bar = "No bar for evidence is set."
        if gate.bar is not None:
            bar = f"The bar for evidence is a score of {gate.bar.score:g} at a confidence of {gate.bar.confidence:g}."
        lead = (bar, "A lane that is on no waiver in force and has no evidence is closed.")
        return Section("evidence", "Evidence and waivers", lead, table((*_RULE, "by", "until"), rows))

    def evidence(self) -> Iterator[Section]:
        """What lanes have shown on workloads that have sets; nothing where none has."""
        rows: list[Row] = []
        for one in self.shown:
            work = f"{one.workload}, in {one.language}" if one.language else one.workload
            serves = {"evidence-met": Cell("on evidence", "good"), "waived": Cell("on a waiver", "warn")}
            until = Cell("") if one.until is None else Cell(f"{one.until}", "", days_to(one.until, self.today))
            rows.append((work, one.lane, serves.get(one.code, Cell("no", "shut")), one.told, until))
        if rows:
            yield Section("shown", "What the lanes have shown", ("As of this day, by the ledger and the log.",),
                          table(("workload", "lane", "serves", "why", "until"), rows))  # fmt: skip

    def deadlines(self) -> Section:
        rows = [
            (latency, seconds(deadline.first_byte), seconds(deadline.total), hedge(deadline.hedge))
            for latency, deadline in self.policy.deadlines.items()
        ]
        lead = self.plain.hedges(self.policy.deadlines) if rows else ("None is set.",)
        columns = ("latency target", "to a stream's first byte", "in all", "until a second lane is asked")
        return Section("deadlines", "Deadlines", lead, table(columns, rows))

    def reviews(self) -> Section:
        rows = []
        for i, review in enumerate(self.policy.reviews):
            held = review.release == "after-approval"
            where = self.plain.where(review.when, i, unknown_counts=held)
            does = approval(review) if held else "no approval is needed"
            rows.append(self._rule(review, f"{where}: {does}."))
        lead = ("The first that fits decides.",) if rows else ("No request waits for a person's approval.",)
        return Section("reviews", "What a person must approve", lead, table(_RULE, rows))

    def shadow(self) -> Iterator[Section]:
        """Who answers unseen; nothing where nobody does."""
        if rows := [self._rule(rule, self.plain.shadow(rule)) for rule in self.policy.shadows]:
            yield Section("shadow", "Who answers unseen, to be compared", (_UNSEEN,), table(_RULE, rows))

    def kept(self) -> Section:
        """What is kept of requests, and how long: their decisions, and of some their words."""
        rows = [self._rule(rule, f"{self.plain.where(rule.when)}: {captured(rule)}.") for rule in self.policy.captures]
        for rule in self.policy.retentions:
            data = listed(c for c in self.policy.classes if c in rule.classes)
            rows.append(self._rule(rule, f"decisions about {data} data are kept for {days(rule.days)}."))
        words = () if self.policy.captures else ("No rule keeps what requests say or are answered.",)
        lead = (f"Decisions, which hold none of the words, are kept for {days(KEPT_DAYS)} where no rule says longer; "
                "then what the log says of them is erased.", *words)  # fmt: skip
        return Section("kept", "What is kept, and how long", lead, table(_RULE, rows))

    def must(self) -> Section:
        rows = [(*self._rule(rule, self.plain.never(rule)), self._held(rule)) for rule in self.policy.must]
        lead = () if rows else ("The policy states none of its own.",)
        return Section("must", "What must never happen", lead, table((*_RULE, "proof"), rows))

    def _held(self, rule: Rule) -> Cell:
        found = next((f for f in self.report.findings if f.about == rule.id and f.code.startswith("must-")), None)
        if found is not None:
            return Cell("not proved", "bad", found.message)
        return Cell("not proved", "bad", self.report.unproved) if self.report.unproved else Cell("proved", "good")

    def identity(self) -> Section:
        rows = [
            ("sentences and rules", self.policy.meaning),
            ("the file, byte by byte", self.policy.hash),
            ("read by", f"laneway {laneway.__version__} on {self.today}"),
        ]
        lead = ("SHA-256. The first is what an approval signs: it stays the same when only comments or layout change.",)
        return Section("identity", "Identity", lead, table(("of", "hash"), rows))

    # rows

    def _rule(self, rule: Rule, does: str) -> Row:
        return self._named(rule.id, rule.says, does)

    def _named(self, name: str, says: str, does: str) -> Row:
        return name, says or Cell("no sentence", "dim"), does[:1].upper() + does[1:]


_LEGEND = (
    "Worked out over all requests of the class. First choice: some such request begins there while every lane works. "
    "Fallback only: it serves when another lane fails, cannot, or costs too much. Weak answers only: it redoes an "
    "answer that failed a check. Judges only: it says whether another lane's answer is good. Unseen only: what it says "
    "is compared, and shown to nobody. After approval: only what a person approved. Not used: the wall allows it, and "
    "no rule leads there or nothing vouches for the lane. Never: the wall forbids it.",
)
_UNSEEN = "Every rule that fits counts, once the client has its answer. The wall holds; evidence is not needed."
_TONES: dict[str, Tone] = {
    "first choice": "good", "fallback only": "next", "weak answers only": "weak", "judges only": "weak",
    "unseen only": "idle",
    "after approval": "wait", "not used": "idle", "never": "shut",
}  # fmt: skip


def _use(use: Use) -> Cell:
    details = ["limited for some"] * use.limited + ["some after approval"] * use.approval
    return Cell(use.way, _TONES[use.way], ", ".join(details))


def _place(finding: Finding) -> str:
    return f"{finding.about}, line {finding.line}" if finding.line else finding.about
