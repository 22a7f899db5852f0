"""init: a small set and a prompt for each workload that is not measured yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from laneway.cli.output import as_json, json_option, out, policy_option
from laneway.errors import UsageError
from laneway.evidence.basis import policy_folder
from laneway.evidence.formats.own import yaml_text
from laneway.evidence.sets import parse_yaml
from laneway.policy import Policy, Workload
from laneway.policy_file import load
from laneway.starter import example_prompt, example_set

__all__ = ["init"]

_BAR = "  evidence: {score: 0.85, confidence: 0.95}"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@policy_option
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
def init(directory: Path | None, policy_path: Path, force: bool, json_: bool) -> None:
    """Write a small set and a prompt for each workload of the policy that names no `evals`.

    Into DIRECTORY, which is `evals` beside the policy unless it is named, and below the policy in any case. The sets
    are examples that run as they are; put your own work in their place.
    """
    policy = load(policy_path)
    place = directory or policy_folder(policy) / "evals"
    without = [work for work in policy.workloads.values() if not work.evals]
    if not policy.workloads:
        raise UsageError(f"{policy.file} has no workloads to measure lanes on; name one, such as "
                         '`workloads: {letters: {says: "Answers to letters."}}`')  # fmt: skip
    texts, works = dict[Path, str](), dict[str, Any](YAML(typ="safe").load(policy.text)["workloads"])
    for work in without:
        made, keys = _files(policy, work, place)
        texts |= made
        works[work.name] = (works[work.name] or {}) | keys
    _write(texts, force=force)
    section = yaml_text({"workloads": works}) if texts else ""
    bar = _BAR if texts and policy.gate.bar is None else ""
    if json_:
        as_json({"written": [str(path) for path in texts], "policy": policy.file, "workloads": section, "gate": bar})
        return
    for path in texts:
        out.print(f"wrote {path}", style="green", soft_wrap=True)
    if not texts:
        out.print(f"every workload of {policy.file} names its sets; nothing was written", soft_wrap=True)
        return
    out.print("\nPut your own samples in their place.")
    out.print(f"Then put this into {policy.file}, in place of its `workloads`:\n", soft_wrap=True)
    out.print(section, soft_wrap=True)
    if bar:
        out.print(f"and this below its `gate:`, which has no bar:\n\n{bar}\n")
    out.print("and run: laneway eval run")


def _files(policy: Policy, work: Workload, place: Path) -> tuple[dict[Path, str], dict[str, Any]]:
    """The files for a workload, and the keys of the policy that name them."""
    folder = policy_folder(policy).resolve()
    path, prompt = place / f"{work.name}.yaml", place / "prompts" / f"{work.name}.md"
    if not path.resolve().is_relative_to(folder):
        raise UsageError(f"{place} is not below {folder}, and a policy names only files that move with it")
    text = example_set(work.name, work.name, work.sensitivity or policy.unlabelled.sensitivity)
    parse_yaml(text, f"{path}")
    texts, keys = {path: text}, dict[str, Any]()
    if work.prompt is None:
        texts[prompt] = example_prompt()
        keys["prompt"] = prompt.resolve().relative_to(folder).as_posix()
    return texts, keys | {"evals": [path.resolve().relative_to(folder).as_posix()]}


def _write(texts: dict[Path, str], *, force: bool) -> None:
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already; name it in the policy, or --force to overwrite")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
