"""Human review under attack, over real sockets: whoever tries it gets no words, and what was to go is gone."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from tests.acceptance.test_reviews import desk
from tests.harness import run

from laneway.erasure import erase

NAME = "Zoë Müller"


@pytest.mark.parametrize(
    "sent", [NAME, NAME.upper(), unicodedata.normalize("NFD", NAME), "\uff3a\uff4fë  Müller"],
    ids=["as it is", "upper", "composed", "wide"],
)  # fmt: skip
def test_a_name_is_the_same_however_it_is_written(tmp_path: Path, sent: str) -> None:
    """Whoever asked under another form of their name does not approve it themselves, and is erased all the same."""

    async def test() -> None:
        async with desk(tmp_path, callers=(NAME,)) as it:
            told = await it.held(headers={"laneway-user": sent, "laneway-subject": sent})
            own = await it.act(told["review"], "approve")
            assert (own.status, own.error["code"]) == (403, "own_request")
            assert (await it.act(told["review"], "approve", "Bo")).json["final"] is True
            made = await erase(it.bench.gateway.log, it.bench.gateway.desk.place(), NAME, "Anna", "asked for")
            assert made.contents == 1
            assert (await it.poll(told)).status == 410

    run(test)
