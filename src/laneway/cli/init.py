"""init: a starter policy that loads unedited, from what this machine already has."""

from __future__ import annotations

import datetime
import getpass
import json
import os
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from laneway.cli.output import as_json, json_option, out
from laneway.errors import UsageError
from laneway.policy_file import parse

__all__ = ["init", "write_starter"]


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
LOCAL = (("Ollama", 11434), ("LM Studio", 1234), ("llama.cpp", 8080), ("vLLM", 8000), ("llama.cpp", 8081))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
def init(directory: Path, force: bool, json_: bool) -> None:
    """Write a starter policy into DIRECTORY: two lanes, one escalation rule, a 30-day waiver.

    Looks for model servers on this machine's loopback and for keys in the environment (names only).
    """
    home = find_local()
    service = next((s for s in SERVICES if os.environ.get(s.key)), SERVICES[0])
    server, url, model = home or ("none found; written for Ollama", "http://127.0.0.1:11434/v1", "qwen3:8b")
    written = write_starter(directory, home_url=url, home_model=model, service=service, force=force)
    has_key = bool(os.environ.get(service.key))
    if json_:
        as_json({"written": [str(p) for p in written], "home": {"found": home is not None, "url": url, "model": model},
                 "premium": {"url": service.url, "model": service.model, "key": service.key, "key_set": has_key}})  # fmt: skip
        return
    for path in written:
        out.print(f"wrote {path}", style="green")
    out.print(f"home lane: {model} at {url} ({server})", soft_wrap=True)
    out.print(f"premium lane: {service.model} at {service.url}, key from {service.key} "
              + ("(set)" if has_key else "(NOT set: the lane stays closed until it is)"), soft_wrap=True)  # fmt: skip
    out.print(f"\nNext:\n  laneway explain --policy {written[0]} --all\n  laneway serve --policy {written[0]}")


def write_starter(
    directory: Path, *, home_url: str, home_model: str, service: Service, force: bool = False
) -> list[Path]:
    """Write policy, cases and the third-lane page. Raises UsageError where a file is there already."""
    today = datetime.datetime.now(datetime.UTC).date()
    by = _who()
    values = {
        "name": json.dumps(f"Starter of {by}"), "home_url": home_url, "home_model": json.dumps(home_model),
        "premium_kind": service.kind, "premium_url": service.url, "premium_model": service.model,
        "premium_key": service.key, "premium_input": service.input, "premium_output": service.output,
        "premium_source": PRICES_FROM, "today": today.isoformat(), "by": json.dumps(by),
        "until": (today + datetime.timedelta(days=30)).isoformat(),
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


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "whoever ran init"


def find_local() -> tuple[str, str, str] | None:
    """The first model server on loopback that lists a model of its own: (name, url, model)."""
    for name, port in LOCAL:
        connection = HTTPConnection("127.0.0.1", port, timeout=0.3)
        try:
            connection.request("GET", "/v1/models")
            listed = json.loads(connection.getresponse().read(1_000_000))
            models = [str(m["id"]) for m in listed["data"] if not str(m["id"]).endswith(("-cloud", ":cloud"))]
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            continue
        finally:
            connection.close()
        if models:
            return name, f"http://127.0.0.1:{port}/v1", models[0]
    return None
