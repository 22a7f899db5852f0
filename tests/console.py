"""A whole Laneway with its console in a thread of its own, for browsers that are driven from this one."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from tests.acceptance.test_reviews import Desk, desk

from laneway.server.app import listen
from laneway.server.console.frame import Console
from laneway.server.console.site import Site
from laneway.server.http import Connection

__all__ = ["CHROMIUM", "House", "house", "looked"]

T = TypeVar("T")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The browser of the system; none is ever downloaded."""


@asynccontextmanager
async def looked(
    folder: Path, *, callers: tuple[str, ...] = (), **changes: str
) -> AsyncIterator[tuple[Desk, str, Site]]:
    """A bench with reviewers, the console's address, and what it has at hand."""
    async with desk(folder, callers=callers, **changes) as made:
        people = made.bench.gateway.desk.people
        assert people is not None
        site, open, running = Site(made.bench.gateway, people), set[Connection](), set[asyncio.Task[None]]()
        with listen("127.0.0.1", 0) as listener:
            answer = Console(site)
            server = await asyncio.get_running_loop().create_server(
                lambda: Connection(answer, open, running), sock=listener
            )
            try:
                yield made, f"http://127.0.0.1:{listener.getsockname()[1]}", site
            finally:
                server.close()
                for connection in tuple(open):
                    connection.cut()
                if running:
                    await asyncio.wait(tuple(running))
                await site.close()


class House:
    """What a test in another thread has of it: `do` runs there what must."""

    def __init__(self, loop: asyncio.AbstractEventLoop, desk: Desk, url: str, site: Site) -> None:
        self.loop, self.desk, self.url, self.site = loop, desk, url, site

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, from the house's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def held(self, prompt: str = "Which risks are there?", answer: str = "None at all.", **headers: str) -> Any:
        """A request that waits for a person, and what its caller was told."""
        self.desk.bench.home.answer = self.desk.bench.premium.answer = answer
        return self.do(self.desk.held(prompt, {name.replace("_", "-"): value for name, value in headers.items()}))


@contextmanager
def house(folder: Path, *, callers: tuple[str, ...] = (), **changes: str) -> Iterator[House]:
    """The house, in a thread of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    within = looked(folder, callers=callers, **changes)
    try:
        made, url, site = do(within.__aenter__())
        try:
            yield House(loop, made, url, site)
        finally:
            do(within.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
