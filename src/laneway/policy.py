"""Policy: the parsed and checked policy file, as frozen values that `decide` reads.

Made by `policy_file.load`. Rules keep their place in the file and the sentence (`says`) they implement.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from laneway.condition import ALWAYS, Condition, Predicate, possibly, surely
from laneway.decision import Release
from laneway.lane import Lane, Zone
from laneway.signals import Difficulty, Latency, Stakes

__all__ = [
    "FRESH_DAYS",
    "KEPT_DAYS",
    "Approval",
    "Bar",
    "Capture",
    "Deadline",
    "Detect",
    "FactType",
    "Gate",
    "Grant",
    "Limit",
    "Must",
    "Output",
    "Policy",
    "Ranking",
    "Retention",
    "Review",
    "Rule",
    "Shadow",
    "Unlabelled",
    "Waiver",
    "Workload",
]

FRESH_DAYS = 90
"""How long what was verified and approved counts, in days, where the policy does not say."""

KEPT_DAYS = 183
"""How long decisions are kept where the policy does not say, and the least that it may say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """What all rules share: an id to cite, the sentence, the line, and the condition.

    `surely` and `possibly` are the condition's two readings of what is unknown, compiled. Compared by
    identity, as a rule is one place in one policy.
    """

    id: str
    says: str = ""
    line: int = 0
    when: Condition = ALWAYS
    surely: Predicate = field(init=False, repr=False)
    possibly: Predicate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "surely", surely(self.when))
        object.__setattr__(self, "possibly", possibly(self.when))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grant(Rule):
    """The wall's table: these classes may use the lanes in these zones. Unlisted is forbidden."""

    classes: frozenset[str]
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit(Rule):
    """The wall narrowed: a request for which `when` holds, or is unknown, may use only these zones."""

    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking(Rule):
    """A route's `try`, or a fallback's `then`: ranking words, lane and zone names, then where it stops."""

    words: tuple[str, ...]
    stop: Literal["hold", "refuse"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Review(Rule):
    """Requests whose answer a person must approve before anybody gets it, or (`now`) need not; first match wins.

    The caller is kept waiting for `wait` seconds and polls then; after `within` seconds nothing is released any more.
    `eyes` people must approve the same words; `comment` are the actions that need a comment.
    """

    release: Release = "after-approval"
    wait: float = 0.0
    within: float = 7 * 86_400.0
    eyes: int = 1
    comment: tuple[str, ...] = ("reject", "reclassify")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Must(Rule):
    """The user's own property: no request for which `when` holds may reach a lane that meets `lane`."""

    lane: tuple[tuple[str, frozenset[str], bool], ...] = ()
    cost_over: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shadow(Rule):
    """Lanes and zones that also answer a `share` (0..1) of these requests, unseen, until a day, to be compared.

    `judge` says by ranking words, lanes and zones who compares two answers; `budget` is the most money a day, None
    where no lane costs anything.
    """

    lanes: tuple[str, ...]
    share: float
    until: datetime.date
    judge: tuple[str, ...] = ()
    budget: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture(Rule):
    """What such requests ask and are answered is kept, encrypted, for so many days; unknown counts as no."""

    days: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Retention(Rule):
    """Decisions about data of these classes are kept for so many days, KEPT_DAYS at least."""

    classes: frozenset[str]
    days: int


@dataclass(frozen=True, slots=True)
class Bar:
    """The quality bar: a score in 0..1 at a confidence in 0..1."""

    score: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiver(Rule):
    """A dated, named permission to use lanes without evidence; for some workloads, or for all (None)."""

    lanes: frozenset[str]
    until: datetime.date
    by: str
    workloads: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Checks on the answer, the bar and its waivers, and what a weak answer leads to.

    `judge` names, by ranking words, lanes and zones, who may judge an answer; `checks` then holds `judge` too.
    """

    says: str = ""
    line: int = 0
    checks: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    bar: Bar | None = None
    waivers: tuple[Waiver, ...] = ()
    weak: tuple[str, ...] = ()
    weak_stop: Literal["hold", "refuse", "marked"] = "refuse"


@dataclass(frozen=True, slots=True)
class Deadline:
    """Seconds to the first byte of a stream, in total, and until a second lane is asked too; None for none."""

    first_byte: float | None = None
    total: float | None = None
    hedge: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """What holds where nobody said."""

    sensitivity: str
    difficulty: Difficulty | Literal["auto"] = "auto"
    latency: Latency = "interactive"
    stakes: Stakes = "normal"
    ceiling: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a workload's answers are: None asks for nothing. `schema` is a JSON Schema."""

    language: str | None = None
    format: Literal["json", "text"] | None = None
    schema: dict[str, object] | None = field(default=None, hash=False)
    most_chars: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A named kind of work and its floors and defaults; None leaves the default of `unlabelled`.

    `prompt` is the file of its system prompt, `evals` are those of its evaluation sets, all relative to the policy.
    `language` is what its requests are written in where they do not say.
    """

    name: str
    says: str = ""
    line: int = 0
    sensitivity: str | None = None
    difficulty: Difficulty | None = None
    latency: Latency | None = None
    stakes: Stakes | None = None
    ceiling: float | None = None
    prompt: str | None = None
    language: str | None = None
    evals: tuple[str, ...] = ()
    output: Output | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detect:
    """To which class an identifier found in the text raises a request (by kind, `*` for the rest)."""

    says: str = ""
    identifiers: dict[str, str]
    unreadable: str


@dataclass(frozen=True, slots=True)
class FactType:
    """A declared fact's domain: either a finite set of words, or a numeric range."""

    name: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved the policy, when, how often that must be repeated (in days), and the `meaning` that they saw."""

    by: str
    on: datetime.date
    review_every: int = FRESH_DAYS
    line: int = 0
    hash: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """The whole policy. Compared by identity.

    `hash` is the SHA-256 of `text`, in hex; `meaning` that of its sentences and rules alone (see `seal`). `gone` are
    lanes that are thought away: neither a waiver nor evidence lets them serve.
    """

    name: str
    text: str
    hash: str
    file: str
    currency: str
    classes: tuple[str, ...]
    unlabelled: Unlabelled
    lanes: dict[str, Lane]
    strength: tuple[str, ...]
    zones: dict[str, Zone]
    grants: tuple[Grant, ...]
    limits: tuple[Limit, ...] = ()
    workloads: dict[str, Workload] = field(default_factory=dict)
    routes: tuple[Ranking, ...] = ()
    fallbacks: tuple[Ranking, ...] = ()
    gate: Gate = Gate()
    deadlines: dict[str, Deadline] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    captures: tuple[Capture, ...] = ()
    retentions: tuple[Retention, ...] = ()
    must: tuple[Must, ...] = ()
    detect: Detect
    facts: dict[str, FactType] = field(default_factory=dict)
    approval: Approval | None = None
    networks: tuple[str, ...] = ()
    todos: tuple[Rule, ...] = ()
    meaning: str = ""
    gone: frozenset[str] = frozenset()

    @property
    def strictest(self) -> str:
        """The most sensitive class: the reading of everything that could not be read."""
        return self.classes[-1]

    @cached_property
    def rank(self) -> dict[str, int]:
        """Each lane's place in `strength`, weakest first."""
        return {lane: i for i, lane in enumerate(self.strength)}

    @cached_property
    def lines(self) -> dict[str, int]:
        """Where each rule, the gate and each lane stands in the file, by the id that reasons cite."""
        gate = self.gate
        lists = (self.grants, self.limits, self.routes, self.fallbacks, self.reviews, self.shadows, gate.waivers,
                 self.captures, self.retentions)  # fmt: skip
        lanes = {f"lanes.{name}": lane.line for name, lane in self.lanes.items()}
        return {rule.id: rule.line for rules in lists for rule in rules} | {"gate": gate.line} | lanes

    @cached_property
    def measured(self) -> frozenset[str]:
        """The workloads for which lanes may show evidence: those with sets, where the gate has a bar."""
        return frozenset(w.name for w in self.workloads.values() if w.evals and self.gate.bar is not None)

    def kept_days(self, data_class: str) -> int:
        """How long decisions about data of the class are kept; a class of another policy has the longest time."""
        if data_class in self.classes:
            return next((rule.days for rule in self.retentions if data_class in rule.classes), KEPT_DAYS)
        return max((rule.days for rule in self.retentions), default=KEPT_DAYS)

    def output(self, workload: str | None) -> Output | None:
        """What a workload's answers are to be, where it says so."""
        return self.workloads[workload].output if workload else None

    @property
    def fresh_days(self) -> int:
        """How long a lane's verified facts count, in days."""
        return self.approval.review_every if self.approval else FRESH_DAYS
