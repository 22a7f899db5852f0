"""serve: run the endpoint."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path

import click

from laneway.cli.findings import proven
from laneway.cli.output import as_json, default_log, err, json_option, log_option, opened, policy_option
from laneway.errors import LogError, UsageError
from laneway.gateway import Gateway
from laneway.review.people import FILE
from laneway.server.api import MOST_REQUESTS
from laneway.server.app import CHECKPOINT_SECONDS, GRACE, Options, run
from laneway.store import Signing
from laneway.store.chain import VERSION
from laneway.store.note import PrivateKey
from laneway.webhook import checked_url

__all__ = ["serve"]

_ADMIN = 4181


@click.command()
@policy_option
@log_option
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", default=4180, show_default=True, type=click.IntRange(0, 65535), help="0 for any free port.")
@click.option("--most", default=MOST_REQUESTS, show_default=True, type=click.IntRange(1),
              help="Requests in flight at once; one more is turned away.")  # fmt: skip
@click.option("--grace", default=GRACE, show_default=True, type=click.FloatRange(0),
              help="Seconds for requests in flight to end, once told to stop.")  # fmt: skip
@click.option("--checkpoint", "place", type=click.Path(path_type=Path), metavar="FILE",
              help="Keep signed checkpoints of the log there (or in that directory): on another disk.")  # fmt: skip
@click.option("--checkpoint-key", "key", type=click.Path(path_type=Path), metavar="FILE",
              help="The private key that signs them, from `laneway log key`.")  # fmt: skip
@click.option("--checkpoint-every", "seconds", default=CHECKPOINT_SECONDS, show_default=True,
              type=click.FloatRange(0.1, 86_400), help="Seconds between two of them.")  # fmt: skip
@click.option("--admin-port", "admin", type=click.IntRange(0, 65535), help="The port of the console for reviewers and "
              "auditors, 0 for any free one; 4181 where a reviewers file is beside the policy.")  # fmt: skip
@click.option("--no-console", is_flag=True, help="Leave the console out.")
@click.option("--review-webhook", "webhook", metavar="URL", help="Told, without any words, of what waits for a person.")
@json_option
def serve(
    policy_path: Path, log_path: Path | None, host: str, port: int, most: int, grace: float, place: Path | None,
    key: Path | None, seconds: float, webhook: str | None, admin: int | None,
    no_console: bool, json_: bool,
) -> None:  # fmt: skip
    """Answer on http://127.0.0.1:4180/v1, the OpenAI chat API, by the policy, once it is proved.

    A changed policy file is proved and put in force between requests; one that is not proved never is.
    Exit code: 5 invalid policy file, 6 a property is broken or not proved.
    """
    if (place is None) != (key is None):
        raise UsageError("--checkpoint and --checkpoint-key go together: `laneway log key FILE` makes a key")
    if webhook is not None:
        checked_url(webhook)
    policy, report = proven(policy_path)
    for finding in report.findings:
        err.print(f"warning: line {finding.line}: {finding.about}: {finding.message}", style="yellow", soft_wrap=True)
    log = default_log(policy_path, log_path)
    with suppress(LogError), opened(log):  # only to warn of damage: whether it can be served is for `run` to say
        _settle()
    signing = Signing(log, place, PrivateKey.load(key)) if place and key else None

    if admin is None and (policy_path.parent / FILE).exists():
        admin = _ADMIN if port else 0

    def ready(gateway: Gateway, port: int, console: int | None) -> None:
        _settle()
        closed = gateway.active.closed
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        pages = None if console is None else url.replace(f":{port}/v1", f":{console}/")
        if json_:
            as_json({"url": url, "console": pages, "policy_hash": policy.hash, "log": str(log), "closed": dict(closed),
                     "levers": gateway.levers.says})  # fmt: skip
        err.print(
            f"Laneway answers at {url} by {policy_path} (policy {policy.hash[:12]}), log {log}",
            soft_wrap=True,
        )
        if pages is not None:
            err.print(f"  the console for reviewers and auditors is at {pages}", soft_wrap=True)
        for lane in policy.lanes.values():
            state = closed.get(lane.name)
            err.print(f"  {lane.name}: {lane.model} at {lane.url}" + (f" - CLOSED: {state}" if state else ""),
                      style="yellow" if state else None, soft_wrap=True)  # fmt: skip
        for says in gateway.levers.says:
            err.print(f"  {says}", style="yellow", soft_wrap=True)
        if gateway.log.closed:
            err.print(
                f"  {gateway.log.closed} requests of an earlier run were closed as interrupted",
                style="yellow",
            )

        if gateway.log.migrated:
            err.print(
                f"  the log had format {gateway.log.migrated} and was brought to format {VERSION}: an older Laneway "
                "can use only a backup from before", style="yellow", soft_wrap=True,
            )  # fmt: skip
        if signing:
            _told(signing, log)

    run(policy, log, Options(host, port, most, grace, signing, seconds, webhook, None if no_console else admin), ready)


def _told(signing: Signing, log: Path) -> None:
    """Where the checkpoints are, and whether that is elsewhere at all."""
    err.print(f"  checkpoints: {signing.state()['records']} records are signed in {signing.place}", soft_wrap=True)
    if signing.place.stat().st_dev == log.stat().st_dev:
        err.print("  that is the same disk as the log's: who can write one can write the other", style="yellow",
                  soft_wrap=True)  # fmt: skip


def _settle() -> None:
    """Leave what is loaded by now out of every garbage collection, and collect less often: both cost CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
