"""The starter: the policy that `laneway init` writes, its cases, and the page on adding a third lane.

Owns the templates beside this file and the outside services that they can be filled in with.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from laneway.clock import today
from laneway.errors import PolicyError, UsageError
from laneway.lane import Kind
from laneway.policy_file import parse

__all__ = [
    "PRICES_FROM", "SERVICES", "Existing", "Service", "example_prompt", "example_set", "write_observed",
    "write_starter",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """An outside service whose key may lie in the environment. Prices: USD per million tokens."""

    key: str
    kind: str
    url: str
    model: str
    input: str
    output: str


PRICES_FROM = "list price by genai-prices 0.2.3, read 2026-11-24; check it"
SERVICES = (
    Service("OPENAI_API_KEY", "premium", "https://api.openai.com/v1", "gpt-5-2025-08-07", "1.25", "10"),
    Service("ANTHROPIC_API_KEY", "premium", "https://api.anthropic.com/v1", "claude-sonnet-5-5", "2", "10"),
    Service("GEMINI_API_KEY", "premium", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro",
            "1.25", "10"),
    Service("MISTRAL_API_KEY", "managed-open", "https://api.mistral.ai/v1", "mistral-large-2512", "0.50", "1.50"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Existing:
    """The endpoint that requests go to today. `key` is the name of a variable; `price` is per million tokens.

    `network` is the one that a `private` endpoint stands in.
    """

    kind: Kind
    url: str
    model: str
    key: str | None = None
    price: tuple[str, str] | None = None
    network: str = ""


def write_starter(
    directory: Path, *, home_url: str, home_model: str, service: Service, by: str, force: bool = False
) -> list[Path]:
    """Write policy, cases and the third-lane page. Raises UsageError where a file is there already.

    `by` is the person who answers for the waiver.
    """
    price = f"price: {{input: {service.input}, output: {service.output}}}   # {PRICES_FROM}"
    lane = _lane("premium", service.kind, service.url, service.model, service.key, price)
    values = _values(by, "premium", lane) | {"home_url": home_url, "home_model": _quoted(home_model)}
    texts = {name: _read(name) for name in ("laneway.yaml", "cases.yaml", "THIRD-LANE.md")}
    texts["laneway.yaml"] = Template(texts["laneway.yaml"]).substitute(values)
    return _write(directory, texts, force=force)


def write_observed(
    directory: Path, existing: Existing, *, home_url: str, home_model: str, by: str, force: bool = False
) -> list[Path]:
    """Write a policy whose one lane is the existing endpoint, and the two-lane starter with it as the stronger lane.

    Raises UsageError where a file is there already.
    """
    free = (
        "price: 0" if existing.kind == "local" else "# price: {input: 0, output: 0}   # not known yet; say what it is"
    )
    price = f"price: {{input: {existing.price[0]}, output: {existing.price[1]}}}" if existing.price else free
    lane = _lane("today", existing.kind, existing.url, existing.model, existing.key, price)
    values = _values(by, "today", lane) | {"home_url": home_url, "home_model": _quoted(home_model)}
    if existing.network:
        values["networks"] = f"networks: [{existing.network}]\n"
    values = _understands(values, existing.model)
    names = {"laneway.yaml": "observe.yaml", "laneway.next.yaml": "laneway.yaml"}
    texts = {name: Template(_read(source)).substitute(values) for name, source in names.items()}
    return _write(directory, texts, force=force)


def _understands(values: dict[str, str], model: str) -> dict[str, str]:
    """The values, with a workload of the model's name, so that clients need no change; without, where it is no name."""
    says = "Clients that name the model that they asked before are understood."
    more = values | {"workloads": f"\nworkloads: {{{_quoted(model)}: {{says: {says}}}}}\n"}
    try:
        parse(Template(_read("observe.yaml")).substitute(more), "observe.yaml")
    except PolicyError:
        return values
    return more


def _values(by: str, strong: str, lane: str) -> dict[str, str]:
    """What the templates have blanks for."""
    until = today() + datetime.timedelta(days=30)
    return {
        "by": _quoted(by), "until": until.isoformat(), "strong": strong, "strong_lane": lane, "lane": lane,
        "networks": "", "workloads": "",
    }  # fmt: skip


def _lane(name: str, kind: str, url: str, model: str, key: str | None, price: str) -> str:
    """The lines of a lane of the policy."""
    lines = [f"kind: {kind}", "provider: openai", f"url: {url}", f"model: {_quoted(model)}"]
    lines += [f"key: env:{key}"] if key else []
    lines.append(price)
    if kind in ("managed-open", "premium"):
        lines.append("# Say where it runs and stores, and your contract, before you let the wall depend on them:")
        lines.append(f"# runs: US, stores: US, dpa: 2026-01-15, transfer: DPF, verified: {today()}")
    return "\n".join((f"  {name}:", *(f"    {line}" for line in lines)))


def _read(name: str) -> str:
    return (files("laneway.starter") / name).read_text("utf-8")


def _write(directory: Path, texts: dict[str, str], *, force: bool) -> list[Path]:
    for name, text in texts.items():
        if name.endswith(".yaml") and name != "cases.yaml":
            parse(text, name)
    there = [name for name in texts if (directory / name).exists()]
    if there and not force:
        raise UsageError(f"{directory / there[0]} is there already; choose another directory, or --force to overwrite")
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, "utf-8")
    return [directory / name for name in texts]


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar."""
    return json.dumps(text, ensure_ascii=False)


def example_set(name: str, workload: str, sensitivity: str) -> str:
    """An evaluation set that can be run as it is, for one workload."""
    return Template(_read("evals.yaml")).substitute(name=name, workload=workload, sensitivity=sensitivity)


def example_prompt() -> str:
    """A system prompt that fits the example set."""
    return _read("prompt.md")
