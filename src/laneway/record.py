"""Record: the durable story of one request, as log entries.

An `Intent` is written before any byte leaves for a lane, one per attempt; the `Outcome` before the last
byte goes to the client. The first entry of a request carries its `Opening`. `Feedback` is what was said of the answer
afterwards; a `Shut` says that a lane was found to be another model. What another lane
answered unseen is intents behind the outcome and one `Compared`. A `Review` puts an answer before a person, and
`Resolution`s say what people made of it. A `Lever` is what an operator did to the server, an `Erased` what was
erased. No entry holds prompt text, an answer or a comment: of those it holds a salted hash.
"""

from __future__ import annotations

import datetime
from typing import Literal, NamedTuple

import msgspec

from laneway.decision import Decision
from laneway.facts import Facts
from laneway.signals import Ask, Signals

__all__ = [
    "HELD",
    "Action",
    "Attempt",
    "Cause",
    "Compared",
    "Entry",
    "Erased",
    "Feedback",
    "Intent",
    "Lever",
    "Opening",
    "Outcome",
    "Pull",
    "Resolution",
    "Result",
    "Review",
    "Said",
    "Shut",
    "Source",
    "Status",
    "Stretch",
    "Trial",
    "Verdict",
    "Why",
    "Word",
]

Why = Literal["first", "retry", "fallback", "hedge", "escalation", "judge", "shadow"]
Said = Literal["pass", "fail", "unclear"]
Status = Literal["answered", "refused", "held", "failed", "cancelled", "interrupted"]
Source = Literal["user", "operator", "reviewer"]
Cause = Literal["approval", "weak", "hold", "failure"]
Action = Literal["approve", "edit", "reject", "send", "reclassify", "expire"]
Pull = Literal["close", "drain", "open", "pause", "resume", "stop", "go"]
Result = Literal["better", "worse", "tie", "position", "unjudged", "failed"]


HELD = "held_for_approval"
"""The code of a good answer that a person must release: it is one that the lane gave."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `decide` saw and said; enough to replay it. `prompt` is a salted hash, `size` bytes.

    `instructed` is the SHA-256 of the workload's own prompt, where one was put before what the client said. `asker` and
    `subject` are salted hashes of who asked and of whom or what it is about, where that was said; `source` is the
    decision whose reviewer sent this request on.
    """

    policy: str
    model: str
    ask: Ask
    signals: Signals
    facts: Facts
    decision: Decision
    stream: bool
    prompt: str
    size: int
    instructed: str = ""
    asker: str = ""
    subject: str = ""
    source: str = ""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the gate said of an answer: pass, escalate or hold, and every check that failed.

    `released` is True where the answer was already with the client, so that nothing could follow.
    """

    verdict: Literal["pass", "escalate", "hold", "refuse", "marked"]
    failed: tuple[str, ...] = ()
    released: bool = False


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of one lane: why, how it ended, how long it took (ms from the request's start), its cost.

    `said` is what a lane that was called to judge said of the answer before it. `model` is what the lane calls
    itself; `other_than` is the policy's model where that is another one. A `skipped` one was not called, and has no
    intent: the lane was left alone, or had no slot free. A call that another beat is `cancelled`, at its worst cost.
    """

    lane: str
    why: Why
    result: str
    """`answered`, or the error's code."""
    started_ms: float
    ended_ms: float
    first_byte_ms: float | None = None
    status: int | None = None
    model: str | None = None
    other_than: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    verdict: Verdict | None = None
    said: Said | None = None
    skipped: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """By `rule` of the shadows, `lane` answers unseen what `incumbent` answered.

    `worst` is the most that the call and those before it for the same comparison may cost.
    """

    rule: str
    lane: str
    incumbent: str
    worst: float


class Intent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="intent", omit_defaults=True):
    """About to call `lane`: attempt number `attempt` (from 1) of decision `id`.

    `trial` where the client has its answer already, and this call is for a comparison.
    """

    id: str
    attempt: int
    lane: str
    why: Why
    cause: str = ""
    opening: Opening | None = None
    trial: Trial | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="outcome", omit_defaults=True):
    """How decision `id` ended. `code` is the stable error code where it was not answered."""

    id: str
    status: Status
    lane: str | None = None
    code: str = ""
    verdict: Verdict | None = None
    attempts: tuple[Attempt, ...] = ()
    cost: float | None = None
    total_ms: float = 0.0
    opening: Opening | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="feedback", omit_defaults=True):
    """What somebody said of the answer of decision `id`: good, or not, and why in a few words.

    `by` and `source` are what the caller says of itself. Nothing is ever taken back from the log: of what the same
    one says, the last word counts.
    """

    id: str
    accepted: bool
    by: str
    source: Source
    reason: str = ""


class Shut(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="shut"):
    """At decision `id`, `lane` at `endpoint` answered as another model than its evidence was `measured` with."""

    id: str
    lane: str
    endpoint: str
    measured: str
    answered: str


class Compared(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="compared", omit_defaults=True):
    """How `lane`'s unseen answer to decision `id` compares with the `incumbent`'s, by `rule` of the shadows.

    `position`: the judge's word went with the order. `unjudged`: they differ, and nobody could say which is better.
    `failed`: no answer, or one that fails the checks in `failed`. `code` says why it is one of these two; `interrupted`
    is no fault of the lane. `cost` is of all the calls, `seconds` of the lane's own; `model` is what it calls itself.
    """

    id: str
    lane: str
    incumbent: str
    rule: str
    result: Result
    failed: tuple[str, ...] = ()
    code: str = ""
    judge: str = ""
    cost: float = 0.0
    seconds: float = 0.0
    model: str | None = None


class Review(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="review", omit_defaults=True):
    """Decision `id` waits for a person, by `rule`, until a time (UTC, microseconds); then nothing is released.

    `cause` says why: an approval that the policy asks for, a weak answer, a hold before any lane was called, or lanes
    that failed. `eyes` is how many people must approve the same words; `comment` are the actions that need a comment.
    `ticket` is the SHA-256 of what the caller shows to fetch the answer; `asker` as in the Opening.
    """

    id: str
    rule: str
    cause: Cause
    until: int
    eyes: int = 1
    comment: tuple[Action, ...] = ()
    ticket: str = ""
    asker: str = ""


class Resolution(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="resolution", omit_defaults=True):
    """What `by` did with the reviewed decision `id`; with `final` the item is closed.

    `content` and `comment` are salted hashes of the words that the action is about and of its comment. `lane` is where
    it was sent to, `child` the decision that follows from it; `seconds` is how long the reviewer had it open.
    """

    id: str
    action: Action
    by: str
    final: bool
    content: str = ""
    comment: str = ""
    lane: str = ""
    child: str = ""
    seconds: float | None = None


class Lever(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lever", omit_defaults=True):
    """An operator closed, drained or paused `target` (`lane:NAME`, `workload:NAME` or `all`), or undid that."""

    id: str
    action: Pull
    target: str
    by: str
    why: str


class Stretch(NamedTuple):
    """Records `first` to `last`, whose bodies were erased; hashes in hex.

    `before` is that of the record before them, `digest` one over what is left of each.
    """

    first: int
    last: int
    before: str
    digest: str


class Erased(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="erased", omit_defaults=True):
    """What was erased, by whom and why: the kept content of a `subject` (salted hash), or what was past its time.

    `contents` counts the pieces of content, `records` are the records of the log whose bodies went.
    """

    id: str
    by: str
    why: str
    subject: str = ""
    contents: int = 0
    records: tuple[Stretch, ...] = ()


Entry = Intent | Outcome | Feedback | Shut | Compared | Review | Resolution | Lever | Erased


class Word(NamedTuple):
    """A Feedback, when it came (UTC), and whose answer it is about: the lane's, and on which workload."""

    at: datetime.datetime
    entry: Feedback
    workload: str | None
    lane: str
