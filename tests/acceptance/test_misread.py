"""A classification that is wrong in every way sends nothing where it may not go: the guard reads the request itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import bench, run

from laneway.policy import Policy
from laneway.request import Request
from laneway.signals import Ask, Signals


def misread(policy: Policy, request: Request) -> tuple[Ask, Signals]:  # a Classify's shape
    """Everything is public and easy, and wants the premium lane."""
    return Ask("premium"), Signals(sensitivity="public", latency="interactive")


@pytest.mark.parametrize(
    ("text", "headers", "model"),
    [
        ("Hello", {"laneway-sensitivity": "restricted"}, "auto"),
        ("Hello", {"laneway-workload": "contracts"}, "auto"),
        ("Hello", {}, "contracts"),
        ("Her number is 811218-9876.", {"laneway-sensitivity": "public"}, "auto"),
        ("811218-9877 " * 410_000, {"laneway-sensitivity": "public"}, "auto"),
    ],
    ids=["label", "workload", "workload as model", "identifier", "too costly to read"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_was_misread_stays_inside(
    tmp_path: Path, text: str, headers: dict[str, str], model: str, stream: bool
) -> None:
    """No byte leaves for a lane that the request's class may not use; it ends as guard_stopped, on record."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.gateway.classify = misread
            got = await b.ask(text, headers, model=model, stream=stream)
            assert (got.status, got.error["code"]) == (500, "guard_stopped")
            assert b.premium.requests == b.home.requests == 0
            outcome = b.story().outcome
            assert outcome is not None
            assert (outcome.entry.status, outcome.entry.code) == ("failed", "guard_stopped")
            assert (await b.ask("Hello", {"laneway-sensitivity": "public"})).headers["laneway-lane"] == "premium"

    run(test)
