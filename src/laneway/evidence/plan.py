"""plan: what an evaluation is to ask: which sets, behind which prompts, and what of it can become evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.errors import PolicyError, Problem, UsageError, did_you_mean, shown
from laneway.evidence.basis import on_set, policy_folder, read_prompt, unknown_words
from laneway.evidence.ledger import On
from laneway.evidence.sample import EvalSet, prompt_hash
from laneway.evidence.scorers.kind import folded
from laneway.evidence.sets import read_set
from laneway.policy import Policy

__all__ = ["Planned", "planned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One set behind one prompt. `on` is what the ledger would say of it.

    `tried` is the prompt's file where it stands in place of the one in force, else empty. `not_evidence` says why what
    comes of it cannot become evidence; empty where it can.
    """

    set: EvalSet
    on: On
    prompt: str | None
    tried: str
    not_evidence: str


def planned(
    policy: Policy, files: Sequence[Path] = (), *, workload: str | None = None, prompts: Sequence[Path] = ()
) -> tuple[Planned, ...]:
    """Every set behind every prompt: the sets in `files`, else those of the policy's workloads (or of one of them).

    `prompts` stand in place of the prompt in force, to try them. Raises PolicyError where a file cannot be used,
    UsageError where there is nothing to ask.
    """
    if workload is not None and workload not in policy.workloads:
        raise UsageError(f"no workload `{shown(workload)}`{did_you_mean(workload, policy.workloads)}")
    folder = policy_folder(policy)
    named = {w.name: [folder / name for name in w.evals] for w in policy.workloads.values()}
    paths = list(dict.fromkeys(files or (path for paths in named.values() for path in paths)))
    read = ((path, _checked(policy, path)) for path in paths)
    sets = [_Set(path, one, _in_force(policy, path, one)) for path, one in read if workload in (None, one.workload)]
    if not sets:
        raise UsageError(_nothing(policy, workload))
    _refuse_twins(sets)
    _refuse_copies(sets)
    tried = list({prompt_hash(text := read_prompt(path)): (f"{path}", text) for path in prompts}.values())
    given = {name: {one.path.resolve() for one in sets if one.set.workload == name} for name in policy.workloads}
    lacking = {name: {path.resolve() for path in paths} - given[name] for name, paths in named.items()}
    extra = {name: given[name] - {path.resolve() for path in named[name]} for name in named if named[name]}
    return tuple(
        made
        for one in sets
        for made in _behind(one, tried, _partial(lacking[one.set.workload], extra.get(one.set.workload, set())))
    )


class _Set(NamedTuple):
    """A set, its file, and the text of the prompt in force for it."""

    path: Path
    set: EvalSet
    prompt: str | None

    @property
    def version(self) -> str:
        """The prompt's hash."""
        return prompt_hash(self.prompt or "")


def _behind(one: _Set, tried: Sequence[tuple[str, str | None]], partial: str) -> Iterator[Planned]:
    """The set behind each of the prompts that are tried, else behind the one in force."""
    known = on_set(one.path, one.set, one.version)
    for file, text in tried or [("", one.prompt)]:
        version = prompt_hash(text or "")
        other = "" if version == one.version else "the prompt is not the one in force"
        yield Planned(set=one.set, on=msgspec.structs.replace(known, prompt=version), prompt=text, tried=file,
                      not_evidence=other or partial)  # fmt: skip


def _in_force(policy: Policy, path: Path, one: EvalSet) -> str | None:
    """The text of the prompt in force: the workload's own, else the set's."""
    work = policy.workloads[one.workload]
    if work.prompt:
        return read_prompt(policy_folder(policy) / work.prompt)
    return read_prompt(path.parent / one.prompt) if one.prompt else None


def _checked(policy: Policy, path: Path) -> EvalSet:
    found, problems = read_set(path), list[str]()
    if found.workload not in policy.workloads:
        problems.append(f"is a set for a workload `{found.workload}` that the policy does not have"
                        f"{did_you_mean(found.workload, policy.workloads)}")  # fmt: skip
    problems += unknown_words(policy, found)
    if problems:
        raise PolicyError(Problem(f"{path}", 0, 0, problem) for problem in problems)
    return found


def _refuse_twins(sets: Sequence[_Set]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for path, one, _ in sets:
        twin = seen.setdefault((one.workload, one.name), path)
        if twin is not path:
            what = f"is a second set `{one.name}` of {one.workload}, beside {twin}; give each a name of its own"
            raise PolicyError([Problem(f"{path}", 0, 0, what)])


def _refuse_copies(sets: Sequence[_Set]) -> None:
    """A question that two sets of a workload ask of the same requests would count twice.

    They do behind one prompt, and where one of them has none, as it counts for requests with any.
    """
    asked: dict[object, list[tuple[str, str]]] = {}
    for one in sets:
        prompt, work = one.version, one.set.workload
        for sample in one.set.samples:
            before = asked.setdefault((work, *((m.role, folded(m.content)) for m in sample.messages)), [])
            twin = next((name for other, name in before if other == prompt or not (other and prompt)), None)
            if twin is not None:
                what = f"`{sample.id}` asks the same as {twin}, so it proves nothing more of {work}"
                raise PolicyError([Problem(f"{one.path}", 0, 0, what)])
            before.append((prompt, f"{one.set.name}/{sample.id}"))


def _partial(lacking: set[Path], extra: set[Path]) -> str:
    """Why these sets are not what the workload is measured by, if so."""
    if lacking:
        return f"the workload is measured by other sets too: {', '.join(sorted(path.name for path in lacking))}"
    if extra:
        return f"the workload's `evals` do not name {', '.join(sorted(path.name for path in extra))}"
    return ""


def _nothing(policy: Policy, workload: str | None) -> str:
    whose = f"workload {workload}" if workload else "a workload"
    return (
        f"nothing to evaluate: no set was named, and {policy.file} names none as the `evals` of {whose}; "
        "`laneway eval init` writes a small one for each workload that has none"
    )
