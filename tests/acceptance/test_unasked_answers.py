"""A lane that answers twice: what nobody asked for goes to nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness import bench, run


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_nobody_asked_for_reaches_nobody(tmp_path: Path, stream: bool) -> None:
    """A second answer that comes over an idle connection is not the next client's answer."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = lambda body: f"to {body['messages'][0]['content']}"  # type: ignore[index]
            b.home.fault = "answers-twice"
            await b.ask("somebody", stream=stream)
            b.home.fault = None
            await asyncio.sleep(0.2)  # the second answer comes 50 ms after the first
            got = await b.ask("another", stream=stream)
            assert b"somebody" not in got.body
            assert b"another" in got.body

    run(test)
