"""biglog: a log of as many decisions as wanted, whose chain holds, without a server and without a lane.

    python -m benchmarks.biglog FOLDER --decisions 1000000 [--seed 1] [--days 7] [--pack contract-review]

FOLDER gets the pack, approved on the first of the days, and `laneway.db`. Requests are classified and decided by
the real code, a few hundred kinds of them at lengths of their own; what lanes answer is drawn: errors, an outage of
one lane for a few hours of the second day, weak answers, and people who say what they think of answers. The same
seed gives the same requests and ends. About 60 microseconds a decision on one core, and 5 KB on disk.
"""

from __future__ import annotations

import argparse
import datetime
import random
import re
import secrets
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.classify import classify
from laneway.decide import decide
from laneway.decision import Hold, Route
from laneway.facts import Facts, Shown
from laneway.gate import escalation
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.record import Attempt, Entry, Feedback, Intent, Opening, Outcome, Verdict, Why
from laneway.signals import Ask, Evidence, Signals
from laneway.store.chain import SCHEMA, SQL, genesis, link
from laneway.wire import openai

__all__ = ["Shape", "fresh", "make", "shapes"]

PACKS = Path(__file__).resolve().parents[1] / "policies"
_DATE = re.compile(r"20\d\d-\d\d-\d\d")
_TEXTS = (
    "What does the clause on termination say?",
    "List the parties, then prove step by step why the indemnity in section 4 survives termination.",
    "Mail anna.svensson@example.se about it; her number is 811218-9876.",
    "Pay to IBAN SE45 5000 0000 0583 9825 7466 within ten days.",
    "```python\ndef area(r):\n    return 3.14 * r * r\n```\nRefactor this and write tests.",
)
_OUT = 3 * 3600 * 1_000_000
"""How long the first lane of the pack is out, in microseconds."""
_encode = msgspec.json.Encoder(order="deterministic").encode


class Shape(NamedTuple):
    """A kind of request: what the client asked, and the signals of its shortest instance."""

    model: str
    ask: Ask
    signals: Signals
    stream: bool


class _Row(NamedTuple):
    at: int
    id: str
    kind: str
    body: bytes


def fresh(pack: str, folder: Path, day: datetime.date) -> Policy:
    """Copy a pack into the folder, with its dates moved from the day it was approved to `day`; the policy there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PACKS / pack, folder, dirs_exist_ok=True)
    file = folder / "laneway.yaml"
    approved = load(file).approval
    moved = day - approved.on if approved else datetime.timedelta()
    text = _DATE.sub(lambda found: f"{datetime.date.fromisoformat(found[0]) + moved}", file.read_text("utf-8"))
    file.write_text(re.sub(r', hash: "[0-9a-f]{64}"', "", text), "utf-8")
    return load(file)


def make(
    log: Path, policy: Policy, decisions: int, *, seed: int = 1, days: float = 7, end: datetime.datetime | None = None,
    progress: Callable[[int], None] | None = None,
) -> Counter[str]:  # fmt: skip
    """Write a new log of `decisions` requests of the `days` before `end` (now); how many ended in which status."""
    end = end or datetime.datetime.now(datetime.UTC)
    log.unlink(missing_ok=True)
    with closing(sqlite3.connect(log, isolation_level=None)) as db:
        for part in SCHEMA:
            db.executescript(part)
        db.execute("PRAGMA journal_mode = OFF").fetchall()
        db.execute("PRAGMA synchronous = OFF")
        salt = secrets.token_bytes(32)
        db.execute(SQL["put_salt"], {"salt": salt})
        db.execute(SQL["archive"], {"hash": policy.hash, "text": policy.text})
        db.execute("BEGIN")
        ends = Counter[str]()
        rows = _rows(policy, decisions, random.Random(seed), days, int(end.timestamp() * 1e6), ends, progress)
        db.executemany(SQL["append"], _chained(rows, genesis(salt)))
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
    log.chmod(0o600)
    return ends


def _chained(rows: Iterator[_Row], head: bytes) -> Iterator[tuple[object, ...]]:
    for seq, (at, id, kind, body) in enumerate(rows, start=1):
        head = link(head, seq, at, id.encode(), kind.encode(), body)
        yield seq, at, id, kind, body, head


def _rows(
    policy: Policy, decisions: int, chance: random.Random, days: float, end: int, ends: Counter[str],
    progress: Callable[[int], None] | None,
) -> Iterator[_Row]:  # fmt: skip
    """The entries in the order in which a server would write them: a few requests are always under way."""
    kinds = tuple(shapes(policy))
    weights = list(accumulate(_weight(policy, shape, chance) for shape in kinds))
    step = int(days * 86_400 * 1e6 / max(decisions, 1))
    begin = end - step * decisions
    under_way: list[list[_Row]] = []
    shown = {name: tuple(_shown(policy, i)) for i, name in enumerate(sorted(policy.measured))}
    for i in range(decisions):
        at = begin + i * step + chance.randrange(max(step, 1))
        (shape,) = chance.choices(kinds, cum_weights=weights)
        story = _Story(policy, shape, at, chance, down=begin + 86_400_000_000 < at < begin + 86_400_000_000 + _OUT)
        first, *more = story.rows(shown.get(shape.signals.workload or "", ()))
        ends[story.status] += 1
        yield first
        under_way.append(more)
        if len(under_way) > 8:
            yield from under_way.pop(chance.randrange(8))
        if progress and i % 1000 == 999:
            progress(1000)
    for more in under_way:
        yield from more


def shapes(policy: Policy) -> Iterator[Shape]:
    """Kinds of request: each workload, none and a pin, each label and none, texts of all sorts, calm and in a hurry."""
    usual = {f"fact-{fact.name}": fact.values[0] for fact in policy.facts.values() if fact.values}
    labels = [usual, *(usual | {"sensitivity": name} for name in policy.classes)]
    labels += [usual | one for one in ({"latency": "batch"}, {"stakes": "high"}, {"ceiling": "0.02"})]
    labels += [{}, *({f"fact-{fact.name}": v} for fact in policy.facts.values() for v in fact.values[1:])]
    for model in ("auto", *policy.workloads, f"lane/{policy.strength[-1]}"):
        for text in _TEXTS:
            for said in labels:
                body = {"model": model, "messages": [{"role": "user", "content": text}]}
                headers = {f"laneway-{name}": value for name, value in said.items()}
                ask, signals = classify(policy, openai.read(msgspec.json.encode(body), headers))
                yield Shape(model, ask, signals, len(text) % 2 == 0)


def _weight(policy: Policy, shape: Shape, chance: random.Random) -> float:
    """How common a kind of request is; what a person must approve is less so."""
    reviewed = any(rule.release == "after-approval" and rule.possibly(shape.signals) for rule in policy.reviews)
    return chance.paretovariate(1.5) * (0.2 if reviewed else 1)


def _shown(policy: Policy, i: int) -> Iterator[Shown]:
    """What lanes have shown on a workload: the strong more than the weak, and the weakest nothing yet."""
    bar = policy.gate.bar
    assert bar is not None
    for rank, name in enumerate(policy.strength[1:]):
        yield Shown(name, "", round(bar.score - 0.04 + 0.03 * rank + 0.01 * (i % 2), 3), bar.confidence, 200,
                    policy.approval.on if policy.approval else None)  # fmt: skip


class _Story:
    """One request: its entries, the first of which holds the opening."""

    def __init__(self, policy: Policy, shape: Shape, at: int, chance: random.Random, *, down: bool) -> None:
        self.policy, self.shape, self.at, self.chance = policy, shape, at, chance
        self.id = f"{at // 1000:011x}-{chance.getrandbits(48):012x}"
        self.down = policy.strength[0] if down else ""
        self.status, self.clock = "answered", 0.0
        self.attempts: list[Attempt] = []
        self.written: list[_Row] = []

    def rows(self, evidence: tuple[Shown, ...]) -> list[_Row]:
        """All entries of the request, in order."""
        tokens = max(self.shape.signals.tokens, min(int(self.chance.lognormvariate(7, 1.2)), 120_000))
        signals = _of_length(self.shape.signals, tokens)
        facts = Facts(today=datetime.datetime.fromtimestamp(self.at / 1e6, datetime.UTC).date(), evidence=evidence)
        made = decide(self.policy, self.shape.ask, signals, facts)
        opening = Opening(
            policy=self.policy.hash, model=self.shape.model, ask=self.shape.ask, signals=signals, facts=facts,
            decision=made, stream=self.shape.stream, prompt=f"{self.chance.getrandbits(256):064x}", size=tokens * 3,
        )  # fmt: skip
        if isinstance(made, Route):
            self._served(made, opening, signals)
        else:
            self.status = "held" if isinstance(made, Hold) else "refused"
            self._write(Outcome(id=self.id, status=self.status, code=made.reasons[0].code.replace("-", "_"),  # type: ignore[arg-type]
                                opening=opening, total_ms=0.4))  # fmt: skip
        return self.written

    def _served(self, route: Route, opening: Opening, signals: Signals) -> None:
        why: Why = "first"
        cause, answered, verdict = "", None, None
        for lane in route.lanes:
            answered = self._called(lane, why, signals, cause, opening if why == "first" else None)
            if answered is not None:
                break
            why, cause = "fallback", self.attempts[-1].result
        if answered is not None:
            spent = [attempt.lane for attempt in self.attempts[:-1]]
            target = escalation(self.policy, route, answered, spent) if route.on_weak else None
            verdict = self._judged(answered, route, target)
            if verdict.verdict == "escalate" and target is not None:
                redone = self._called(target, "escalation", signals, ", ".join(verdict.failed), None)
                verdict = (
                    Verdict(route.on_weak or "pass", verdict.failed)
                    if redone is None
                    else self._judged(target, route, None)
                )
                answered = redone or answered
        code = ""
        if answered is None:
            self.status = "held" if route.on_failure == "hold" else "refused"
            code = "held_after_failure" if route.on_failure == "hold" else "lanes_failed"
        elif verdict and verdict.verdict in ("hold", "refuse"):
            self.status, code = ("held", "") if verdict.verdict == "hold" else ("refused", "")
        cost = sum(attempt.cost or 0.0 for attempt in self.attempts)
        self._write(Outcome(id=self.id, status=self.status, lane=answered, code=code, verdict=verdict,  # type: ignore[arg-type]
                            attempts=tuple(self.attempts), cost=cost, total_ms=round(self.clock, 3)))  # fmt: skip
        if self.status == "answered" and self.chance.random() < 0.02:
            good = self.chance.random() < 0.6 + 0.12 * self.policy.rank[str(answered)]
            self._write(Feedback(id=self.id, accepted=good, by=f"user{self.chance.randrange(40)}", source="user",
                                 reason="" if good else "wrong"))  # fmt: skip

    def _called(self, lane: str, why: Why, signals: Signals, cause: str, opening: Opening | None) -> str | None:
        """The lane, if it answers; the intent and the attempt are noted."""
        self._write(
            Intent(id=self.id, attempt=len(self.attempts) + 1, lane=lane, why=why, cause=cause, opening=opening)
        )
        started, at = self.clock, self.policy.lanes[lane]
        self.clock = started + self.chance.uniform(300, 3000)
        fails = lane == self.down or self.chance.random() < 0.012
        out = 0 if fails else int(self.chance.lognormvariate(5.5, 0.8))
        done = {"result": "unreachable" if lane == self.down else "server-error"} if fails else {
            "result": "answered", "tokens_in": signals.tokens, "tokens_out": out, "model": at.model,
            "cost": at.cost(signals.tokens, out),
        }  # fmt: skip
        self.attempts.append(
            Attempt(lane=lane, why=why, started_ms=round(started, 3), ended_ms=round(self.clock, 3), **done)
        )
        return None if fails else lane

    def _judged(self, lane: str, route: Route, target: str | None) -> Verdict:
        """The gate's word on the last answer: the weaker a lane, the more often it is weak."""
        weak = route.on_weak is not None and self.chance.random() < 0.08 / (1 + 2 * self.policy.rank[lane])
        then = "escalate" if target else route.on_weak
        made = (
            Verdict(then, (self.chance.choice(("empty", "cut-off", "invalid-json")),))
            if weak and then
            else Verdict("pass")
        )
        self.attempts[-1] = msgspec.structs.replace(self.attempts[-1], verdict=made)
        return made

    def _write(self, entry: Entry) -> None:
        at = self.at + int(self.clock * 1000)
        self.written.append(_Row(at, self.id, str(entry.__struct_config__.tag), _encode(entry)))


def _of_length(signals: Signals, tokens: int) -> Signals:
    said = tuple(
        Evidence(e.signal, e.place, e.kind, str(tokens)) if e.signal == "tokens" else e for e in signals.evidence
    )
    return msgspec.structs.replace(signals, tokens=tokens, evidence=said)


def main() -> None:
    """Write the folder and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.biglog", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument(
        "--pack", default="contract-review", choices=["contract-review", "ai-assisted-development", "medical-evidence"]
    )
    options = parser.parse_args()
    began = time.perf_counter()
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=options.days)
    policy = fresh(options.pack, options.folder, begin.date())
    log = options.folder / "laneway.db"
    ends = make(log, policy, options.decisions, seed=options.seed, days=options.days)
    took = time.perf_counter() - began
    print(f"{log}: {options.decisions:,} decisions in {took:.1f} s, {log.stat().st_size / 2**20:,.0f} MiB; "
          + ", ".join(f"{count:,} {status}" for status, count in ends.most_common()))  # fmt: skip


if __name__ == "__main__":
    main()
