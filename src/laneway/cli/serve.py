"""serve: run the endpoint."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path

import click

from laneway.cli.output import as_json, default_log, err, json_option, log_option, opened, policy_option
from laneway.errors import LogError
from laneway.gateway import Gateway
from laneway.server.activation import proved
from laneway.server.app import run

__all__ = ["serve"]


@click.command()
@policy_option
@log_option
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", default=4180, show_default=True, type=click.IntRange(0, 65535), help="0 for any free port.")
@json_option
def serve(policy_path: Path, log_path: Path | None, host: str, port: int, json_: bool) -> None:
    """Answer on http://127.0.0.1:4180/v1, the OpenAI chat API, by the policy, once it is proved.

    A changed policy file is proved and put in force between requests; one that is not proved never is.
    Exit code: 5 invalid policy file, 6 a property is broken or not proved.
    """
    policy, report = proved(policy_path)
    for finding in report.findings:
        err.print(f"warning: line {finding.line}: {finding.about}: {finding.message}", style="yellow", soft_wrap=True)
    log = default_log(policy_path, log_path)
    with suppress(LogError), opened(log):  # only to warn of damage: whether it can be served is for `run` to say
        _settle()

    def ready(gateway: Gateway, port: int) -> None:
        _settle()
        closed = gateway.active.closed
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        if json_:
            as_json({"url": url, "policy_hash": policy.hash, "log": str(log), "closed": dict(closed)})
        err.print(
            f"Laneway answers at {url} by {policy_path} (policy {policy.hash[:12]}), log {log}",
            soft_wrap=True,
        )
        for lane in policy.lanes.values():
            state = closed.get(lane.name)
            err.print(f"  {lane.name}: {lane.model} at {lane.url}" + (f" - CLOSED: {state}" if state else ""),
                      style="yellow" if state else None, soft_wrap=True)  # fmt: skip
        if gateway.log.closed:
            err.print(
                f"  {gateway.log.closed} requests of an earlier run were closed as interrupted",
                style="yellow",
            )

    run(policy, log, host=host, port=port, on_ready=ready)


def _settle() -> None:
    """Leave what is loaded by now out of every garbage collection, and collect less often: both cost CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
