"""lanes: scripted lanes that have outages, weak answers and drift by a seed, and a ledger each of what they were asked.

A lane knows a request by the number in its text. What it will do depends on the seed, that number and how often it was
asked about it, and on nothing else, so that the week's trouble is the same however requests overtake each other.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import msgspec
from tests.week.kinds import LANES

from laneway.providers.scripted import Fault, Scripted, ScriptedLane, Seen

__all__ = ["PAUSE", "Call", "Outage", "Role", "TrackedLane", "outages"]

Role = Literal["answer", "judge", "compare"]

PAUSE = 45
"""Seconds for which a lane that limits its rate asks to be left alone."""

_OUTAGES: dict[Fault, tuple[float, float]] = {
    "503": (0.012, 0.9), "429": (0.008, 0.9), "reset-before": (0.008, 0.9), "hang": (0.0016, 0.8),
}  # fmt: skip
"""The share of the week's requests that each lasts, and how likely a call in it fails."""
_LEAST = 12  # requests, in a week of few
_SPORADIC: tuple[Fault, ...] = ("503", "reset-before", "garbage", "400", "bad-chunk")
_QUIET = 40  # So many requests behind an outage nothing sporadic comes, so that it is known what a pause is due to.
_WEAK = {"home": 0.06, "shared": 0.03, "premium": 0.01}
_NUMBER = re.compile(r"week-(\d+):")
_OTHERS = {"premium": (0.6, 1.0, "gpt-5-2026-11"), "home": (0.30, 0.34, "qwen3-14b-q8")}
"""The part of the week in which a lane is another model than the policy says."""


class Outage(NamedTuple):
    """A lane's trouble with the requests from number `first` to before `last`."""

    lane: str
    fault: Fault
    first: int
    last: int


class Call(NamedTuple):
    """One line of a lane's ledger. `order` is counted across all lanes and the client, so that "before" is known.

    `said` is what it did: "answered", or what was wrong. `size` is the question's length in bytes where a judge was
    asked; `cap` is the limit on output tokens that came with the call.
    """

    order: int
    number: int
    lane: str
    role: Role
    said: str
    model: str
    tokens: tuple[int, int]
    cap: int | None
    size: int


def outages(seed: int, requests: int) -> list[Outage]:
    """Every lane has every outage once, each in a part of the week of its own."""
    chance = random.Random(f"{seed} outages")
    each = [(lane, fault) for lane in LANES for fault in _OUTAGES]
    chance.shuffle(each)
    part = requests / len(each)
    made = []
    for place, (lane, fault) in enumerate(each):
        length = max(_LEAST, round(requests * _OUTAGES[fault][0]))
        first = round(part * place + chance.uniform(0.1, 0.3) * part)
        made.append(Outage(lane, fault, first, first + length))
    return made


class TrackedLane(ScriptedLane):
    """One lane of the week. `ledger` is its own; `bell` counts what happens anywhere, `hanging` what it never answers."""

    def __init__(self, name: str, seed: int, requests: int, bell: Iterator[int], hanging: set[int]) -> None:
        super().__init__(model=LANES[name], answer=self._answer, capture=False)
        self.name, self.fault, self.retry_after = name, self._fault, f"{PAUSE}"
        self.ledger: list[Call] = []
        self._seed, self._requests, self._bell, self._hanging = seed, requests, bell, hanging
        self._outages = [outage for outage in outages(seed, requests) if outage.lane == name]
        self._asked = Counter[tuple[int, Role]]()
        self._next = Scripted()

    def _answer(self, _: dict[str, object]) -> Scripted:
        return self._next  # made by `_fault`, which the lane asks a moment before

    def _fault(self, seen: Seen) -> Fault | None:
        """Decide what to do, note it, and do it."""
        text = seen.raw.decode()
        found = _NUMBER.search(text)
        assert found is not None, "a call without a number"
        number, role = int(found[1]), _role(text)
        chance = random.Random(f"{self._seed} {self.name} {number} {role} {self._asked[number, role]}")
        self._asked[number, role] += 1
        fault, said = self._trouble(chance, number, seen), "answered"
        if fault is not None:
            self._next, said = Scripted(text="Here you would have been, and more of it."), fault
        elif role == "answer":
            self._next, fault, said = self._work(chance, number, seen)
        else:
            word, said = _judgement(chance, role)
            self._next = Scripted(text=f"I have read both.\n{word}")
        if fault == "hang":
            self._hanging.add(number)
        tokens = (len(seen.raw) // 4, 4 if role != "answer" else chance.randrange(60, 380))
        self._next = replace(self._next, usage=tokens, model=self._model(number))
        self.ledger.append(Call(
            next(self._bell), number, self.name, role, said, self._model(number), tokens,
            _cap(seen.body), _question(seen.body) if role != "answer" else 0,
        ))  # fmt: skip
        return fault

    def _trouble(self, chance: random.Random, number: int, seen: Seen) -> Fault | None:
        for _, fault, first, last in self._outages:
            if first <= number < last:
                return fault if chance.random() < _OUTAGES[fault][1] else None
            if last <= number < last + _QUIET:
                return None
        if chance.random() >= 0.004:
            return None
        fault = chance.choice(_SPORADIC)
        return "garbage" if fault == "bad-chunk" and not seen.body.get("stream") else fault

    def _work(self, chance: random.Random, number: int, seen: Seen) -> tuple[Scripted, Fault | None, str]:
        """An answer, good or weak, and what it is called."""
        as_json, tools = "response_format" in seen.body, "tools" in seen.body
        good = '{"opens": "nine", "closes": "four"}' if as_json else f"Here you are, from {self.name} to week-{number}."
        call = {"id": "c1", "type": "function", "function": {"name": "nearest_harbour", "arguments": "{}"}}
        calls = (call,) if tools else ()
        if chance.random() >= _WEAK[self.name]:
            return Scripted(text="" if tools else good, tool_calls=calls), None, "answered"
        kinds = ["empty", "cut-off", *["invalid-json"] * 2 * as_json, *["tool-call"] * 2 * tools]
        match chance.choice(kinds):
            case "empty":
                return Scripted(text=""), "empty", "empty"
            case "cut-off":
                return Scripted(text=good), "cut-off", "cut-off"
            case "invalid-json":
                return Scripted(text="It opens at nine."), None, "invalid-json"
            case _:
                broken = {**call, "function": {"name": "nearest_airport", "arguments": "{}"}}
                return Scripted(tool_calls=(broken,)), None, "tool-call"

    def _model(self, number: int) -> str:
        first, last, other = _OTHERS.get(self.name, (1.0, 1.0, ""))
        return other if first * self._requests <= number < last * self._requests else self.model


def _role(text: str) -> Role:
    """Who asks: a client, the gate's judge, or a shadow's."""
    if "You judge an answer that an assistant gave" in text:
        return "judge"
    return "compare" if "You compare two answers that assistants gave" in text else "answer"


def _judgement(chance: random.Random, role: Role) -> tuple[str, str]:
    if role == "compare":
        return chance.choice(("FIRST", "SECOND", "TIE")), "answered"
    return chance.choices((("PASS", "pass"), ("FAIL", "fail"), ("WELL", "unclear")), (93, 6, 1))[0]


def _cap(body: dict[str, object]) -> int | None:
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    return cap if isinstance(cap, int) else None


def _question(body: dict[str, object]) -> int:
    """The length of a judge's question before the gateway put the lane's model and its limit into it."""
    asked = {key: value for key, value in body.items() if key not in ("max_tokens", "max_completion_tokens")}
    return len(msgspec.json.encode({**asked, "model": "judge"}))
