"""rehearse: cases in, what came of each. Decides every case, and serves those that ask what a client gets.

A served case goes through the Gateway itself, with a log of its own; only the lanes are played, in this process.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from laneway.contract import broken
from laneway.decide import decide
from laneway.describe import described
from laneway.errors import LaneError, RequestError
from laneway.evidence.standing import Standing
from laneway.facts import Facts, down, supposed
from laneway.gateway import Active, Gateway
from laneway.judge import INSTRUCTION
from laneway.lane import Lane
from laneway.policy import Output, Policy
from laneway.policy_cases import Case, Seen
from laneway.refusal import Stopped
from laneway.request import Request
from laneway.signals import Ask, Signals
from laneway.store import Log, Reader
from laneway.wire import openai

__all__ = ["rehearse"]


def _asked(policy: Policy, case: Case) -> tuple[Ask, Signals]:
    """What a case asks for and what it is. Raises RequestError."""
    return described(policy, openai.read(case.body, case.headers), case.stated, bare=case.bare)


def rehearse(policy: Policy, cases: Iterable[Case], today: datetime.date) -> Iterator[Seen]:
    """What comes of each case, on its own day or else on this one."""
    with TemporaryDirectory(prefix="laneway-cases-") as directory, asyncio.Runner() as runner:
        log = Log.open(Path(directory) / "cases.db")
        try:
            for case in cases:
                day = case.today or today
                seen = _decided(policy, case, day)
                yield runner.run(_served(policy, case, seen, day, log)) if case.served else seen
        finally:
            log.close()


def _decided(policy: Policy, case: Case, today: datetime.date) -> Seen:
    try:
        ask, signals = _asked(policy, case)
    except RequestError as error:
        return Seen(error=f"{error.code}: {error}")
    evidence = supposed(policy, signals.workload, case.evidence)
    facts = Facts(today=today, closed=down(case.down), evidence=evidence)
    return Seen(signals=signals, decision=decide(policy, ask, signals, facts))


async def _served(policy: Policy, case: Case, seen: Seen, today: datetime.date, log: Log) -> Seen:
    """The same request through the real gateway: which lanes it called, and what its client got."""
    company = _Company(policy, case.answers)

    def classify(policy: Policy, request: Request) -> tuple[Ask, Signals]:
        ask, signals = described(policy, request, case.stated, bare=case.bare)
        company.request, company.output = request, policy.output(signals.workload)
        return ask, signals

    active = Active(policy, company, down(case.down), Standing(policy, supposed=case.evidence))
    gateway = Gateway(log, active, classify=classify, today=lambda: today)
    gateway.shadows.stop()  # a case says what its client gets
    client, code = _Client(), ""
    try:
        await gateway.chat(case.body, case.headers, client)
        id = client.headers["laneway-decision"]
    except RequestError as error:
        return replace(seen, end="invalid", code=error.code.replace("_", "-"), error=f"{error.code}: {error}")
    except Stopped as stopped:
        id, code = str(stopped.details["decision"]), stopped.code.replace("_", "-")
    with closing(Reader.open(log.path)) as reader:
        story = reader.story(id)
    assert story is not None
    assert story.outcome is not None
    outcome = story.outcome.entry
    marked = outcome.verdict is not None and outcome.verdict.verdict == "marked"
    return replace(seen, called=tuple(company.called), end="marked" if marked else outcome.status, code=code)


@dataclass(slots=True)
class _Client:
    """Whoever asked: keeps the answer's headers."""

    started: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:  # noqa: ARG002  # a Client's shape
        self.started, self.headers = True, headers

    async def write(self, data: bytes) -> None:
        pass

    async def finish(self, data: bytes, headers: dict[str, str], *, stream: bool) -> None:  # noqa: ARG002  # as above
        self.headers = headers | self.headers


class _Company:
    """A Provider that plays every lane: notes the call, and answers as the case says."""

    def __init__(self, policy: Policy, answers: dict[str, str]) -> None:
        self.policy, self.answers = policy, answers
        self.called: list[str] = []
        self.request: Request | None = None
        self.output: Output | None = None

    @asynccontextmanager
    async def call(
        self, lane: Lane, body: bytes, *, stream: bool, last: Callable[[], None] | None = None
    ) -> AsyncIterator[_Reply]:
        if last is not None:
            last()
        self.called.append(lane.name)
        answer = self.answers.get(lane.name, "ok")
        if answer == "fail":
            raise LaneError("server-error", f"lane {lane.name} fails, as the case says")
        assert self.request is not None
        if INSTRUCTION.encode() in body:  # a lane that is asked to judge sees what it judges
            message, finish = _said("FAIL" if _DOUBTFUL.encode() in body else "PASS"), "stop"
        elif answer == "ok":
            message, finish = _good(self.request, self.output), "stop"
        elif answer == "doubtful":
            message, finish = _said(_DOUBTFUL), "stop"
        else:
            message, finish = _weak(self.policy, self.request, self.output) if answer == "weak" else _REFUSAL
        yield _Reply(_spoken(message, finish, stream=stream))

    async def close(self) -> None:
        pass


class _Reply:
    status = 200

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.data


_Message = dict[str, object]
_FOREIGN = (
    "This is not what the policy asks for, so it is weak.",
    "Das ist es nicht, was die Regel von der Antwort will.",
)
"""Texts in two languages, one of which every contract about languages forbids."""
_DOUBTFUL = "An answer that the judge doubts, as the case says."
_REFUSAL: tuple[_Message, str] = {"refusal": "No."}, "stop"
_STRAY_CALL = {"index": 0, "id": "call", "type": "function", "function": {"name": "nothing", "arguments": "{"}}


def _said(text: str) -> _Message:
    return {"content": text}


def _spoken(message: _Message, finish: str, *, stream: bool) -> bytes:
    """An answer as a lane sends it. It counts no output, so a cut-off one stopped before any limit."""
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    said = {"index": 0, "delta" if stream else "message": message, "finish_reason": finish}
    data = msgspec.json.encode({"choices": [said], "usage": usage})
    return b"data: %b\n\ndata: [DONE]\n\n" % data if stream else data


def _good(request: Request, output: Output | None) -> _Message:
    schema = request.answer_schema or (output.schema if output else None)
    wants_json = request.wants_json or (output is not None and output.format == "json")
    return {"content": msgspec.json.encode(_least(schema)).decode() if wants_json else "Done."}


def _weak(policy: Policy, request: Request, output: Output | None) -> tuple[_Message, str]:
    """An answer that fails a check of the policy, of those that an answer to this request can fail."""
    checks = set(policy.gate.checks)
    if checks & {"empty", "cut-off"} or ("invalid-json" in checks and request.wants_json):
        return {"content": ""}, "length"
    if "tool-call" in checks:
        return {"tool_calls": [_STRAY_CALL]}, "stop"
    if "refusal" in checks:
        return _REFUSAL
    long = "x" * (output.most_chars or 0) + "x" if output else ""
    breaking = (text for text in (*_FOREIGN, "[]", long) if output and broken(output, text, ()))
    return _said(next(breaking, _DOUBTFUL)), "stop"


def _least(schema: Any) -> object:
    """A small value that meets an answer schema of the usual kind; an object where it asks for nothing else."""
    if not isinstance(schema, dict):
        return {}
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kinds = schema.get("type", "object")
    match kinds[0] if isinstance(kinds, list) else kinds:
        case "array":
            return [_least(schema.get("items"))] * schema.get("minItems", 0)
        case "string":
            return "x" * schema.get("minLength", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
    properties = schema.get("properties", {})
    return {name: _least(properties.get(name)) for name in schema.get("required", ())}
