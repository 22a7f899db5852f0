"""ledgers: the lanes' and the client's own ledgers in, the review's three answers out. The log is never looked at.

What cannot be seen from outside is concluded, and by nothing but this:

- Which rule it was: by the kind of the request, for each of which `kinds` says what the policy means to happen.
- Why a lane was passed over: a planned lane that got no call had asked to be left alone if the last thing that went
  wrong there was a 429, and was shut by its breaker otherwise. Its outages lie apart, so that one is not taken for
  another.
- Which calls were a shadow's: those that came after an answer that the client was given.
- What a call cost that brought no answer: the most that it could have, by the length of what was asked and the limit
  that came with it, where the lane may have worked; and nothing where it said no.
- What the gate found: what the lane knows that it did wrong, or that no judge said that its answer passes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.week.asking import Asked
from tests.week.client import Heard
from tests.week.kinds import LANES, PRICES, STRENGTH
from tests.week.lanes import Call
from tests.week.play import Played

__all__ = ["Answers", "Key", "Money", "answers"]

Key = tuple[str, str, str, str]
"""Workload, rule, lane or hop, cause."""

_CODES = {"503": "server-error", "429": "rate-limited", "reset-before": "disconnected", "hang": "late",
          "garbage": "garbage", "bad-chunk": "broken", "400": "invalid"}  # fmt: skip
"""What the gateway calls what a lane did, as docs/reasons.md has it."""
_MAY_HAVE_WORKED = ("reset-before", "hang", "garbage", "bad-chunk")
_WEAK = ("empty", "cut-off", "invalid-json", "tool-call")
_JUDGED = ("pass", "fail", "unclear")
_BYTES_A_TOKEN, _OUTPUT = 3, 1024
_STRONGEST = {"public": "premium", "internal": "premium", "confidential": "shared", "restricted": "home"}
"""The strongest lane that the wall lets a class use."""


@dataclass(slots=True)
class Money:
    """What all calls cost, shadows' with them, and shadows' alone; what the `answered` requests cost, and what the
    same answers would have cost at the strongest lane."""

    spent: float = 0.0
    shadows: float = 0.0
    answered: int = 0
    cost: float = 0.0
    premium: float = 0.0


@dataclass(slots=True)
class Answers:
    """The three answers, how requests ended, what was detected, who was another model, who answered, what it cost.

    `kinds` are the requests on record by kind, and `costs` what they cost, without shadows.

    `unexplained` is what does not fit together.
    """

    ends: Counter[str] = field(default_factory=Counter)
    escalated: Counter[Key] = field(default_factory=Counter)
    rejected: Counter[Key] = field(default_factory=Counter)
    fallbacks: Counter[Key] = field(default_factory=Counter)
    raised: Counter[Key] = field(default_factory=Counter)
    other_models: Counter[Key] = field(default_factory=Counter)
    lanes: Counter[str] = field(default_factory=Counter)
    money: Money = field(default_factory=Money)
    kinds: Counter[str] = field(default_factory=Counter)
    costs: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    unexplained: list[str] = field(default_factory=list)


def answers(played: Played) -> Answers:
    """What the week came to, by those who took part in it."""
    found, refusals = Answers(), defaultdict[str, list[tuple[int, str]]](list)
    by_number = defaultdict[int, list[Call]](list)
    for call in sorted(played.calls):
        by_number[call.number].append(call)
        if call.said in _CODES:
            refusals[call.lane].append((call.order, call.said))
    ends = {one.number: one for one in played.heard}
    for one in played.asked:
        _Request(one, by_number[one.number], ends[one.number], refusals, found).tell()
    rejecting = defaultdict[int, set[str]](set)
    for number, source in (last := {(word.number, word.source): word.accepted for word in played.words}):
        if not last[number, source]:
            rejecting[number].add(source)
    for number, sources in rejecting.items():
        who = f"by {' and '.join(sorted(sources))}"
        found.rejected[played.asked[number - 1].kind.workload, "feedback", ends[number].lane, who] += 1
    found.unexplained += [
        f"week-{word.number}: feedback got {word.status}" for word in played.words if word.status != 200
    ]
    return found


class _Request:
    """One request's story, from outside. `left` are the calls that were not accounted for yet."""

    def __init__(
        self, one: Asked, calls: list[Call], heard: Heard, refusals: Mapping[str, list[tuple[int, str]]],
        found: Answers,
    ) -> None:  # fmt: skip
        self.one, self.kind, self.left, self.heard, self.found = one, one.kind, list(calls), heard, found
        self.refusals = refusals
        self.over: list[str] = []  # the lanes whose turn is over
        self.cost = 0.0
        self.times = Counter[str]()

    def tell(self) -> None:
        """Add what happened to what was found."""
        if self.kind.unrecorded:
            self._expect(not self.left and self.heard.code == self.kind.turned[1], "an unrecorded request")
            return
        if self.one.found:
            cause = f"{self.one.found} -> {self.kind.sensitivity}"
            self.found.raised[self.kind.workload, "detect", "", cause] += 1
        if self.kind.turned[0]:
            self._end(*self.kind.turned)
        else:
            self._routed()
        self.found.money.spent += self.cost
        self.found.kinds[self.kind.name] += 1
        self.found.costs[self.kind.name] += self.cost
        for call in self.left:
            self._expect(self.heard.status == 200, f"nothing explains the call of {call.lane}")
            self.found.money.shadows += self._cost(call)
            self.found.money.spent += self._cost(call)

    def _routed(self) -> None:
        got = self._answered()
        if got is None:
            return
        failed = self._failing(got)
        if failed == ("gone",):
            self._end("cancelled", "")
            return
        mend = self.kind.mend if self._stronger(got.lane) and self.kind.mend not in self._spent else ""
        if failed and mend:
            self._reject(got.lane, failed, "escalate")
            mended = self._mended(got, failed, mend)
            if mended is None:
                return
            got, failed = mended
        elif failed:
            self._reject(got.lane, failed, "marked")
        self._stands(got, "marked" if failed else "pass")

    def _stands(self, got: Call, verdict: str) -> None:
        """This is the answer that the client has."""
        self._expect(self.heard.lane == got.lane, f"{got.lane} answered and the client heard of {self.heard.lane}")
        self._expect(self.heard.verdict in ("", verdict), f"the client was told {self.heard.verdict}, not {verdict}")
        self._end("answered", "")
        self.found.lanes[got.lane] += 1
        money, (dear_in, dear_out) = self.found.money, PRICES[_STRONGEST[self.kind.sensitivity]]
        money.answered += 1
        money.cost += self.cost
        money.premium += (got.tokens[0] * dear_in + got.tokens[1] * dear_out) / 1_000_000

    def _answered(self) -> Call | None:
        """The first answer, after whatever fell back to it; None where there was none, and the request has ended."""
        before, cause, said = "", "", ""
        for lane in self.kind.lanes:
            call = self._next("answer", lane)
            if call is None:
                self.over.append(lane)
                cause, before = self._passed_over(lane), before or lane
                continue
            if self.over:
                workload, rule = self.kind.workload, self.kind.fallback
                self.found.fallbacks[workload, rule, f"{before} -> {lane}", cause] += 1
            while call is not None:
                self.over.append(lane)
                before, said = lane, call.said
                if said not in _CODES:
                    return call
                cause = _CODES[said]
                call = self._next("answer", lane) if lane == self.kind.lanes[-1] else None  # asked once more
            if said == "400" or self._gone(said) or (said == "bad-chunk" and self._live(lane)):
                break
        self._unanswered(said)
        return None

    def _unanswered(self, said: str) -> None:
        """The request ends without an answer, after this was the last that a lane did."""
        if said == "400":
            self._end("failed", "lane_rejected_request")
        elif self._gone(said):
            self._end("cancelled", "")
        else:
            held = self.kind.on_failure == "held"
            self._end(self.kind.on_failure, "held_after_failure" if held else "lanes_failed")

    def _mended(self, weak: Call, failed: tuple[str, ...], mend: str) -> tuple[Call, tuple[str, ...]] | None:
        """What stands once a stronger lane was to redo a weak answer; None where that ended the request."""
        call = self._next("answer", mend)
        if call is None:
            return weak, failed
        self.found.escalated[self.kind.workload, self.kind.rule, f"{weak.lane} -> {mend}", ", ".join(failed)] += 1
        if self._gone(call.said) or (call.said == "bad-chunk" and self._live(mend)):
            self._unanswered(call.said)
            return None
        if call.said in _CODES:
            return weak, failed
        failed = self._failing(call)
        if failed:
            self._reject(mend, failed, "marked")
        return call, failed

    def _failing(self, got: Call) -> tuple[str, ...]:
        """The checks that an answer fails; `gone` where the client did not wait for a judge."""
        if got.said in _WEAK:
            broken = self.kind.wants == "json" and got.said in ("empty", "cut-off")
            return (got.said, "invalid-json") if broken else (got.said,)
        if not self._stronger(got.lane):
            return ()
        for lane in reversed(STRENGTH):
            call = self._next("judge", lane) if lane != got.lane else None
            if call is not None and call.said in _JUDGED:
                return () if call.said == "pass" else ("judge",)
            if call is not None and self._gone(call.said):
                return ("gone",)
        return ("judge",)

    @property
    def _spent(self) -> list[str]:
        return [*self.over, *(lane for lane, times in self.times.items() if times > 1)]

    def _stronger(self, lane: str) -> bool:
        """Whether the policy has a lane for weak answers of this one."""
        return bool(self.kind.mend) and STRENGTH.index(self.kind.mend) > STRENGTH.index(lane)

    def _gone(self, said: str) -> bool:
        """Whether the client left while a lane did this."""
        return said == "hang" and self.heard.status == 0

    def _live(self, lane: str) -> bool:
        """Whether the lane's answer is passed on as it comes, so that it cannot be taken back."""
        return self.one.stream and not self._stronger(lane)

    def _next(self, role: str, lane: str) -> Call | None:
        """The next call of this request, if it is that one; it is accounted for."""
        if not self.left or (self.left[0].role, self.left[0].lane) != (role, lane):
            return None
        call = self.left.pop(0)
        self.times[lane] += 1
        self.cost += self._cost(call)
        if call.said in ("answered", "bad-chunk", *_JUDGED, *_WEAK) and call.model != LANES[lane]:
            told = f"as {call.model}, not {LANES[lane]}"
            self.found.other_models[self.kind.workload, f"lanes.{lane}", lane, told] += 1
        return call

    def _passed_over(self, lane: str) -> str:
        """Why a lane got no call, by what it said before."""
        order = self.left[0].order if self.left else self.heard.order
        said = self.refusals[lane]
        place = bisect_left(said, (order, "")) - 1
        self._expect(place >= 0, f"{lane} was passed over, and had not failed")
        return "rate-limited" if place >= 0 and said[place][1] == "429" else "breaker-open"

    def _cost(self, call: Call) -> float:
        tokens_in, tokens_out = call.tokens
        if call.said in _MAY_HAVE_WORKED:
            tokens_in, tokens_out = -(-(call.size or len(self.one.body)) // _BYTES_A_TOKEN), call.cap or _OUTPUT
        elif call.said in _CODES:
            return 0.0
        dear_in, dear_out = PRICES[call.lane]
        return (tokens_in * dear_in + tokens_out * dear_out) / 1_000_000

    def _reject(self, lane: str, failed: tuple[str, ...], then: str) -> None:
        self.found.rejected[self.kind.workload, "gate", lane, f"{', '.join(failed)} -> {then}"] += 1

    def _end(self, status: str, code: str) -> None:
        told = {"answered": (200, ""), "cancelled": (0, "")}.get(status)
        fits = self.heard.code == code if told is None else (self.heard.status, self.heard.code) == told
        self._expect(fits, f"it should have ended as {status} {code}")
        self.found.ends[f"{status} ({code})" if code else status] += 1

    def _expect(self, fits: bool, what: str) -> None:
        if not fits:
            heard = f"{self.heard.status} {self.heard.code}".strip()
            calls = ", ".join(f"{call.lane} {call.role} {call.said}" for call in self.left)
            self.found.unexplained.append(f"week-{self.one.number} ({self.kind.name}): {what}; {heard}; left: {calls}")
