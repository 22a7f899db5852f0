"""init: a starter policy that loads unedited, from what this machine already has."""

from __future__ import annotations

import getpass
import json
import os
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from laneway.cli.output import as_json, json_option, out
from laneway.lane import cloud_backed
from laneway.starter import SERVICES, write_starter

__all__ = ["LOCAL", "find_local", "init"]


LOCAL = (("Ollama", 11434), ("LM Studio", 1234), ("llama.cpp", 8080), ("vLLM", 8000), ("llama.cpp", 8081))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--by", help="Who answers for the waiver; default: this account's name.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
def init(directory: Path, by: str | None, force: bool, json_: bool) -> None:
    """Write a starter policy into DIRECTORY: two lanes, one escalation rule, a 30-day waiver.

    Looks for model servers on this machine's loopback and for keys in the environment (names only).
    """
    home = find_local()
    service = next((s for s in SERVICES if os.environ.get(s.key)), SERVICES[0])
    server, url, model = home or ("none found; written for Ollama", "http://127.0.0.1:11434/v1", "qwen3:8b")
    signed = by or _account()
    written = write_starter(directory, home_url=url, home_model=model, service=service, by=signed, force=force)
    has_key = bool(os.environ.get(service.key))
    if json_:
        premium = {"url": service.url, "model": service.model, "key": service.key, "key_set": has_key}
        found = {"found": home is not None, "url": url, "model": model}
        as_json({"written": [str(p) for p in written], "home": found, "premium": premium})
        return
    for path in written:
        out.print(f"wrote {path}", style="green")
    out.print(f"home lane: {model} at {url} ({server})", soft_wrap=True)
    out.print(f"premium lane: {service.model} at {service.url}, key from {service.key} "
              + ("(set)" if has_key else "(NOT set: the lane stays closed until it is)"), soft_wrap=True)  # fmt: skip
    whose = "" if by else " (the name of this account; sign with your own by --by NAME)"
    out.print(f"waiver: for 30 days, by {signed}{whose}", soft_wrap=True)
    verbs = ("explain --policy {} --all", "check {}", "test {}", "serve --policy {}")
    out.print("\nNext:\n" + "\n".join(f"  laneway {verb.format(written[0])}" for verb in verbs), soft_wrap=True)


def _account() -> str:
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
            models = [str(m["id"]) for m in listed["data"] if not cloud_backed(str(m["id"]))]
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            continue
        finally:
            connection.close()
        if models:
            return name, f"http://127.0.0.1:{port}/v1", models[0]
    return None
