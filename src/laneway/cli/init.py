"""init: a starter policy that loads unedited, from what this machine already has."""

from __future__ import annotations

import getpass
import ipaddress
import json
import os
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import click

from laneway.addresses import is_loopback
from laneway.cli.output import as_json, json_option, out
from laneway.errors import UsageError, shown
from laneway.lane import KINDS, Kind, cloud_backed, exact
from laneway.policy_file import load
from laneway.starter import SERVICES, Existing, write_observed, write_starter

__all__ = ["LOCAL", "existing", "find_local", "init"]


_NO_HOME = ("none found; written for Ollama", "http://127.0.0.1:11434/v1", "qwen3:8b")
LOCAL = (("Ollama", 11434), ("LM Studio", 1234), ("llama.cpp", 8080), ("vLLM", 8000), ("llama.cpp", 8081))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--by", help="Who answers for the waiver; default: this account's name.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--observe", metavar="URL", help="Write a policy that changes nothing for the endpoint that you use now.")
@click.option("--model", help="With --observe: the model that is asked there.")
@click.option("--kind", type=click.Choice(KINDS), help="With --observe: what the endpoint is to you; default: local on "
              "this machine's loopback, else premium.")  # fmt: skip
@click.option("--key", metavar="NAME", help="With --observe: the environment variable that holds the endpoint's key.")
@click.option("--price", nargs=2, type=click.FloatRange(0), metavar="IN OUT",
              help="With --observe: what a million tokens cost, in USD.")  # fmt: skip
@json_option
def init(
    directory: Path, by: str | None, force: bool, observe: str | None, model: str | None, kind: Kind | None,
    key: str | None, price: tuple[float, float] | None, json_: bool,
) -> None:  # fmt: skip
    """Write a starter policy into DIRECTORY: two lanes, one escalation rule, a 30-day waiver.

    Looks for model servers on this machine's loopback and for keys in the environment (names only). With --observe: a
    policy for the endpoint that you use now, which sends everything where it went, and the starter beside it to try on
    what goes on record.
    """
    if observe is not None:
        _observe(directory, existing(observe, model, kind, key, price), by or _account(), force=force, json_=json_)
        return
    if model or kind or key or price:
        raise UsageError("--model, --kind, --key and --price say what is at --observe URL: give that too")
    home = find_local()
    service = next((s for s in SERVICES if os.environ.get(s.key)), SERVICES[0])
    server, url, model = home or _NO_HOME
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


def existing(
    url: str, model: str | None, kind: Kind | None, key: str | None, price: tuple[float, float] | None
) -> Existing:
    """The endpoint that is used today, as it was told. Raises UsageError where something is missing."""
    if not model:
        raise UsageError("--observe needs --model NAME: the model that the endpoint is asked for today")
    host = urlsplit(url).hostname or ""
    kind = kind or ("local" if is_loopback(host) else "premium")
    network = ""
    if kind == "private":
        try:
            network = str(ipaddress.ip_network(host))
        except ValueError:
            raise UsageError(
                f"--observe {shown(url, 80)}: a private endpoint is named by its address, such as http://10.0.0.7/v1"
            ) from None
    told = None if price is None else (exact(price[0]), exact(price[1]))
    return Existing(kind, url, model, key, told, network)


def _observe(directory: Path, found: Existing, by: str, *, force: bool, json_: bool) -> None:
    """Write both policies, and say what to do with them."""
    _, url, model = find_local(but=found.url) or _NO_HOME
    now, then = write_observed(directory, found, home_url=url, home_model=model, by=by, force=force)
    understood = found.model in load(now).workloads
    asks = ["auto", *([found.model] if understood else [])]
    if json_:
        lane = {"url": found.url, "model": found.model, "kind": found.kind}
        as_json(
            {"written": [str(now), str(then)], "today": lane, "ask_for": asks, "home": {"url": url, "model": model}}
        )
        return
    for path in (now, then):
        out.print(f"wrote {path}", style="green")
    out.print(f"today: {found.model} at {found.url}, declared as {found.kind}; everything goes there, as before",
              soft_wrap=True)  # fmt: skip
    out.print(f"clients ask Laneway for the model {' or '.join(asks)}", soft_wrap=True)
    out.print(f"tried later: {then.name}, with {model} at {url} as its home lane", soft_wrap=True)
    out.print(f"\nNext:\n  laneway check {now}\n  laneway serve --policy {now}\nand once a few days are on record:\n"
              f"  laneway replay {then} --policy {now} --since 7d", soft_wrap=True)  # fmt: skip


def find_local(but: str = "") -> tuple[str, str, str] | None:
    """The first model server on loopback, `but` for one, that lists a model of its own: (name, url, model)."""
    for name, port in LOCAL:
        if urlsplit(but).port == port and is_loopback(urlsplit(but).hostname or ""):
            continue
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
