"""app: one server process, from a policy file to a listening socket and back to a closed log."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import uvloop

from laneway.addresses import is_loopback
from laneway.errors import UsageError, shown
from laneway.gateway import Gateway
from laneway.policy import Policy
from laneway.providers.http import HttpProvider
from laneway.review.desk import Desk
from laneway.review.people import FILE, People
from laneway.server.activation import activate, watch
from laneway.server.api import MOST_REQUESTS, Api
from laneway.server.console.frame import Console
from laneway.server.console.site import Site
from laneway.server.http import Answer, Connection
from laneway.server.keeping import keep
from laneway.server.notify import Notifier
from laneway.store import Log, Signing

__all__ = ["CHECKPOINT_SECONDS", "GRACE", "IDLE_SECONDS", "Options", "Server", "listen", "run"]

GRACE = 30.0
"""Seconds that running requests get to end once the server is to stop, where it is not told otherwise."""

CHECKPOINT_SECONDS = 60.0
"""How often the log is signed, where it is and nothing else is said."""

IDLE_SECONDS = 75
"""How long a client's connection may wait for its next request: longer than clients keep it, or they get a reset."""

_SWEEP_SECONDS, _LOOK_SECONDS = 5.0, 0.05
_BACKLOG = 2048

_LAST_WORDS = 5
"""Seconds for those that were not done in time to be recorded and told so."""

_SEND_BUFFER = 2**18
"""Bytes that the kernel may hold for a client; left to itself it takes megabytes of a stream from its lane."""

_Ready = Callable[[Gateway, int, int | None], None]


class Options(NamedTuple):
    """How to serve: where, how many requests at once, in how many seconds to end them, and who signs the log.

    `signing` is stopped, where there is one, once the log is closed; it signs every `seconds`. `webhook` is told
    of what waits for a person. The console is at the port `admin`, where there is one.
    """

    host: str = "127.0.0.1"
    port: int = 4180
    most: int = MOST_REQUESTS
    grace: float = GRACE
    signing: Signing | None = None
    seconds: float = CHECKPOINT_SECONDS
    webhook: str | None = None
    admin: int | None = None


def run(policy: Policy, log_path: Path, options: Options, on_ready: _Ready) -> None:
    """Serve by `policy`, and by what its file becomes, until SIGTERM or SIGINT.

    Then no request is taken any more, and those in flight end, for up to `grace` seconds; a second signal ends them
    at once. Raises UsageError for a host that is not loopback, LogError, OSError.
    """
    _loopback_only(options.host)
    _open_files()
    uvloop.run(_serve(policy, log_path, options, on_ready))


async def _serve(policy: Policy, log_path: Path, options: Options, on_ready: _Ready) -> None:
    signing = options.signing
    log = await asyncio.to_thread(Log.open, log_path)
    provider: HttpProvider | None = None
    beside: list[asyncio.Task[None]] = []
    desk: Desk | None = None
    site: Site | None = None
    try:
        if signing is not None:
            await asyncio.to_thread(signing.start, options.seconds)
        provider = HttpProvider(policy.lanes, os.environ, policy.networks)
        people = People(Path(policy.file).parent / FILE)
        desk = Desk(log, people)
        await asyncio.to_thread(desk.recall)
        gateway = Gateway(log, await activate(policy, log, provider), desk=desk)
        await asyncio.to_thread(gateway.levers.recall, log_path)
        await asyncio.to_thread(gateway.shadows.recall)
        if options.webhook is not None:
            desk.told = Notifier(options.webhook)
        if policy.captures:  # so that a place which cannot be had is said at the start
            await asyncio.to_thread(desk.place)
        following = watch(Path(policy.file), gateway, provider, os.environ)
        beside = [asyncio.create_task(each) for each in (desk.run(), keep(gateway), following)]
        with ExitStack() as listening:
            listener = listening.enter_context(listen(options.host, options.port))
            console, admin = None, None
            if options.admin is not None:
                admin = listening.enter_context(listen(options.host, options.admin, "--admin-port"))
                site = Site(gateway, people)
                console = Console(site)
            server = Server(Api(gateway, options.most, signing), options.grace)
            for stop in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(stop, server.stop)
            on_ready(gateway, listener.getsockname()[1], admin.getsockname()[1] if admin else None)
            await server.serve(listener, (console, admin) if console and admin else None)
            await gateway.shadows.ended(_LAST_WORDS)
            await gateway.captures.ended()
    finally:
        for task in beside:
            task.cancel()
        if site is not None:
            await site.close()
        if provider is not None:
            await provider.close()
        if desk is not None and desk.content is not None:
            await asyncio.to_thread(desk.content.close)
        await asyncio.to_thread(log.close)
        if signing is not None:  # behind the last record
            await asyncio.to_thread(signing.close)


class Server:
    """Connections of clients, whose requests `api` answers until the server is told to stop."""

    def __init__(self, api: Api, grace: float) -> None:
        self.api, self.grace = api, grace
        self._open: set[Connection] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._told = asyncio.Event()
        self._end = 0.0

    def stop(self) -> None:
        """Take no more requests, and end once those in flight have; asked again, end now."""
        self._end = 0.0 if self.api.stopping else time.monotonic() + self.grace
        self.api.gateway.shadows.stop()
        self.api.gateway.desk.stop()
        self.api.stopping = True
        self._told.set()

    async def serve(self, listener: socket.socket, beside: tuple[Answer, socket.socket] | None = None) -> None:
        """Answer until told to stop. Then late requests are told so, until those in flight have ended.

        `beside` is what else answers, and where.
        """
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(self._connection(self.api), sock=listener, backlog=_BACKLOG)]
        if beside is not None:
            servers.append(await loop.create_server(self._connection(beside[0]), sock=beside[1], backlog=_BACKLOG))
        sweep = asyncio.create_task(self._sweep())
        await self._told.wait()
        await self._until(lambda: not self.api.in_flight)
        sweep.cancel()
        for server in servers:
            server.close()
        for connection in tuple(self._open):
            connection.drain()
        self._end = max(self._end, time.monotonic() + 1)  # for what clients have yet to read
        await self._until(lambda: not self._open)
        for task in self._running:
            task.cancel()
        if self._running:  # Each still writes its record and tells its client.
            await asyncio.wait(tuple(self._running), timeout=_LAST_WORDS)
        for connection in tuple(self._open):
            connection.cut()

    def _connection(self, answer: Answer) -> Callable[[], Connection]:
        return lambda: Connection(answer, self._open, self._running)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done() and time.monotonic() < self._end:  # noqa: ASYNC110  # what is waited for does not say so
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sweep(self) -> None:
        """Cut the connections that have waited too long for their next request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            oldest = loop.time() - IDLE_SECONDS
            for connection in tuple(self._open):
                if connection.idle_since is not None and connection.idle_since < oldest:
                    connection.cut()


def _open_files() -> None:
    """Allow this process as many open files as it may have: each request holds two connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the system has another limit below that one
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that listens there, at any free port for 0. Raises UsageError where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}") from None
    return listener


def _loopback_only(host: str) -> None:
    if not is_loopback(host):
        raise UsageError(
            f"--host {shown(host)} is not loopback. Laneway has no client keys yet, so anyone who can reach it "
            "could use every lane; it listens on 127.0.0.1 or ::1 only. Put your own authenticating proxy before it."
        )
