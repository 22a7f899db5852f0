"""basis: what a policy's workloads rest on, as their files are now: the prompts, and the sets that measure lanes."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from laneway.classify import fact_of
from laneway.errors import PolicyError, Problem, RequestError, did_you_mean
from laneway.evidence.ledger import Evidence, On
from laneway.evidence.sample import EvalSet, prompt_hash, set_hash
from laneway.evidence.sets import MOST_BYTES, read_set
from laneway.policy import Policy, Workload

__all__ = ["Basis", "basis", "on_set", "policy_folder", "read_prompt", "unknown_words"]

_MOST_PROMPT = 1_000_000


@dataclass(frozen=True, slots=True)
class Basis:
    """By workload the text of its prompt and its SHA-256, and its sets by name; `files` are all that was read."""

    prompts: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    on: Mapping[str, tuple[On, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def basis(policy: Policy, entries: Iterable[Evidence] = ()) -> Basis:
    """The files that the policy's workloads name. Raises PolicyError with every one that cannot be used.

    A set whose very bytes an entry of the ledger was measured on is not parsed again, unless it may state facts: these
    the policy may not have any more.
    """
    reading = _Reading(policy, entries)
    prompts, sets_of = dict[str, str](), dict[str, tuple[On, ...]]()
    for work in policy.workloads.values():
        if work.prompt is not None and (text := reading.prompt(work, policy_folder(policy) / work.prompt)) is not None:
            prompts[work.name] = text
        sets = (reading.set(work, name, prompts.get(work.name)) for name in work.evals)
        sets_of[work.name] = tuple(sorted((one for one in sets if one is not None), key=lambda one: one.set))
        reading.note_twins(work, sets_of[work.name])
    if reading.problems:
        raise PolicyError(reading.problems)
    return Basis(
        prompts=prompts,
        hashes={name: prompt_hash(text) for name, text in prompts.items()},
        on={name: sets for name, sets in sets_of.items() if sets},
        files=tuple(dict.fromkeys(reading.files)),
    )


def policy_folder(policy: Policy) -> Path:
    """Where the files that the policy names are looked for."""
    return Path(policy.file).parent


def read_prompt(path: Path) -> str:
    """A system prompt's text. Raises PolicyError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_PROMPT + 1)
        if len(data) > _MOST_PROMPT:
            raise PolicyError([Problem(str(path), 0, 0, f"is longer than {_MOST_PROMPT} bytes")])
        text = data.decode()
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"is not UTF-8 at byte {error.start}")]) from None
    if not text.strip():
        raise PolicyError([Problem(str(path), 0, 0, "is empty; write the prompt, or leave `prompt` out")])
    return text


def unknown_words(policy: Policy, found: EvalSet) -> Iterator[str]:
    """What is wrong with the classes and facts of a set's samples, for a policy that does not have them."""
    for unknown in sorted({sample.sensitivity for sample in found.samples} - {*policy.classes}):
        hint = did_you_mean(unknown, policy.classes)
        yield f"has samples of a class `{unknown}` that the policy does not have{hint}"
    for name, value in sorted({fact for sample in found.samples for fact in sample.facts.items()}):
        try:
            fact_of(policy, f"fact-{name.lower()}", value)
        except RequestError as error:
            yield f"states a fact that the policy does not know: {error}"


def on_set(path: Path, found: EvalSet, prompt: str) -> On:
    """What the ledger says of the set in the file, behind the prompt with this hash. Raises PolicyError."""
    return On(found.name, set_hash(found), _file_hash(path), prompt, found.prompt or "")


class _Reading:
    """The files read so far, and what is wrong with them."""

    def __init__(self, policy: Policy, entries: Iterable[Evidence]) -> None:
        self.policy = policy
        self.known = {(entry.workload, one.file_hash): one for entry in entries for one in entry.on}
        self.problems: list[Problem] = []
        self.files: list[Path] = []

    def prompt(self, work: Workload, path: Path) -> str | None:
        self.files.append(path)
        try:
            return read_prompt(path)
        except PolicyError as error:
            self._note(work, error)
            return None

    def set(self, work: Workload, name: str, prompt: str | None) -> On | None:
        """One of the workload's sets; `prompt` is the workload's own, in place of the set's."""
        path = policy_folder(self.policy) / name
        self.files.append(path)
        try:
            known = self.known.get((work.name, _file_hash(path)))
            one = self._parsed(work, path) if known is None or _states_facts(path) else known
        except PolicyError as error:
            self._note(work, error)
            return None
        if prompt is None and one.prompt_file:
            prompt = self.prompt(work, path.parent / one.prompt_file)
        return On(one.set, one.hash, one.file_hash, prompt_hash(prompt or ""), one.prompt_file)

    def _parsed(self, work: Workload, path: Path) -> On:
        found, policy = read_set(path), self.policy
        problems = []
        if found.workload != work.name:
            problems.append(f"is a set for the workload `{found.workload}`, not for `{work.name}`, which names it")
        problems += unknown_words(policy, found)
        if problems:
            raise PolicyError(Problem(str(path), 0, 0, problem) for problem in problems)
        return on_set(path, found, "")

    def note_twins(self, work: Workload, sets: tuple[On, ...]) -> None:
        """Two sets of one name cannot be told apart in a report, and one that stands twice proves nothing more."""
        names = [one.set for one in sets]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(self._problem(work, f"names two sets `{name}`; give each a name of its own"))

    def _note(self, work: Workload, error: PolicyError) -> None:
        self.problems.extend(self._problem(work, f"{problem}") for problem in error.problems)

    def _problem(self, work: Workload, what: str) -> Problem:
        return Problem(self.policy.file, work.line, 1, f"workload `{work.name}`: {what}")


def _states_facts(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"facts") >= 0


def _file_hash(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise PolicyError([Problem(str(path), 0, 0, f"is longer than {MOST_BYTES} bytes")])
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
