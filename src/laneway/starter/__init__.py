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
from laneway.errors import UsageError
from laneway.policy_file import parse

__all__ = ["PRICES_FROM", "SERVICES", "Service", "example_prompt", "example_set", "write_starter"]


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


def write_starter(
    directory: Path, *, home_url: str, home_model: str, service: Service, by: str, force: bool = False
) -> list[Path]:
    """Write policy, cases and the third-lane page. Raises UsageError where a file is there already.

    `by` is the person who answers for the waiver.
    """
    day = today()
    values = {
        "home_url": home_url, "home_model": _quoted(home_model),
        "premium_kind": service.kind, "premium_url": service.url, "premium_model": service.model,
        "premium_key": service.key, "premium_input": service.input, "premium_output": service.output,
        "premium_source": PRICES_FROM, "today": day.isoformat(), "by": _quoted(by),
        "until": (day + datetime.timedelta(days=30)).isoformat(),
    }  # fmt: skip
    source = files("laneway.starter")
    texts = {name: (source / name).read_text("utf-8") for name in ("laneway.yaml", "cases.yaml", "THIRD-LANE.md")}
    texts["laneway.yaml"] = Template(texts["laneway.yaml"]).substitute(values)
    parse(texts["laneway.yaml"], "starter")
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
    text = (files("laneway.starter") / "evals.yaml").read_text("utf-8")
    return Template(text).substitute(name=name, workload=workload, sensitivity=sensitivity)


def example_prompt() -> str:
    """A system prompt that fits the example set."""
    return (files("laneway.starter") / "prompt.md").read_text("utf-8")
