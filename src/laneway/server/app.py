"""app: one server process, from a policy file to a listening socket and back to a closed log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from laneway.addresses import is_loopback
from laneway.errors import UsageError, shown
from laneway.gateway import Gateway
from laneway.policy import Policy
from laneway.providers.http import HttpProvider
from laneway.server.activation import activate, watch
from laneway.server.api import Api
from laneway.store import Log, Signing

__all__ = ["GRACE", "run"]

GRACE = 10
"""Seconds that running requests get to end once the server is to stop."""


def run(
    policy: Policy, log_path: Path, *, host: str, port: int, on_ready: Callable[[Gateway, int], None],
    signing: Signing | None = None, seconds: float = 60.0,
) -> None:  # fmt: skip
    """Serve by `policy`, and by what its file becomes, until SIGTERM or SIGINT; sign the log every `seconds`.

    Raises UsageError for a host that is not loopback, LogError, OSError.
    """
    _loopback_only(host)
    uvloop.run(_serve(policy, log_path, host, port, on_ready, signing, seconds))


async def _serve(
    policy: Policy, log_path: Path, host: str, port: int, on_ready: Callable[[Gateway, int], None],
    signing: Signing | None = None, seconds: float = 60.0,
) -> None:  # fmt: skip
    log = await asyncio.to_thread(Log.open, log_path)
    provider: HttpProvider | None = None
    watching: asyncio.Task[None] | None = None
    try:
        if signing is not None:
            await asyncio.to_thread(signing.start, seconds)
        provider = HttpProvider(policy.lanes, os.environ)
        gateway = Gateway(log, await activate(policy, log, provider))
        watching = asyncio.create_task(watch(Path(policy.file), gateway, provider, os.environ))
        with _listen(host, port) as listener:
            server = _Server(_config(Api(gateway, signing)))
            for stop in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(stop, server.handle_exit, stop, None)
            on_ready(gateway, listener.getsockname()[1])
            await server.serve([listener])
            if server.server_state.tasks and not server.force_exit:
                # Cancelled by now: each still writes its record and tells its client.
                await asyncio.wait(server.server_state.tasks, timeout=GRACE)
    finally:
        if watching is not None:
            watching.cancel()
        if provider is not None:
            await provider.close()
        await asyncio.to_thread(log.close)
        if signing is not None:  # behind the last record
            await asyncio.to_thread(signing.close)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling, which would end the process before the log is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(api: Api) -> uvicorn.Config:
    return uvicorn.Config(
        api, http="httptools", loop="none", lifespan="off", access_log=False, log_level="warning",
        server_header=False, date_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE, ws="none",
        backlog=2048,
    )  # fmt: skip


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from None
    return listener


def _loopback_only(host: str) -> None:
    if not is_loopback(host):
        raise UsageError(
            f"--host {shown(host)} is not loopback. Laneway has no client keys yet, so anyone who can reach it "
            "could use every lane; it listens on 127.0.0.1 or ::1 only. Put your own authenticating proxy before it."
        )
