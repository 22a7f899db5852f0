"""An eventful hour: a log that the real gateway wrote, with something in it of everything that can happen."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.test_levers import WHO, pull
from tests.acceptance.test_reviews import ASKED, FLAGS, desk
from tests.harness import run

__all__ = ["ANSWER", "MARKUP", "PROMPT", "WHO", "eventful"]

PROMPT = "The unmistakable prompt of the harbour office."
MARKUP = "<img src=x onerror='alert(1)'> [a](https://b.example)"
ANSWER = "The unmistakable answer about herring."


def eventful(folder: Path, name: str = "bench") -> dict[str, str]:
    """Play it in `folder`, under a policy of that name; the decisions' ids by what happened to them.

    A comment, an edit and a reviewer's name are among it; PROMPT and ANSWER must turn up nowhere.
    """
    ids = dict[str, str]()

    async def play() -> None:
        async with desk(folder) as it:
            b = it.bench
            (folder / "laneway.yaml").write_text(b.gateway.active.policy.text.replace("name: bench", f"name: {name}"))
            b.home.answer = b.premium.answer = ANSWER
            plain = await b.ask(PROMPT, {"laneway-team": "harbour"})
            ids["plain"] = plain.headers["laneway-decision"]
            b.home.answer = ""
            ids["escalated"] = (await b.ask(PROMPT)).headers["laneway-decision"]
            b.home.answer, b.home.fault = ANSWER, "500"
            ids["fell_back"] = (await b.ask(PROMPT)).headers["laneway-decision"]
            ids["refused"] = (await b.ask(f"{PROMPT} 811228-9874.")).headers["laneway-decision"]
            b.home.fault = None
            said = {"decision": ids["plain"], "accepted": False, "reason": "not a word of it", "user": "ann"}
            async with b.session.post(f"{b.url}/feedback", json=said) as response:
                assert response.status == 200, await response.text()
            told = await it.held(f"{FLAGS} {PROMPT}")
            ids["edited"] = told["review"]
            done = await it.act(told["review"], "edit", text="Another answer.", comment="The comment of the lawyer.")
            assert done.status == 200, done.body
            ids["pending"] = (await it.held(f"{FLAGS} {PROMPT}", ASKED))["review"]
            lever = await pull(b, "close", "lane:home")
            assert lever.status == 200, lever.body
            ids["closed"] = (await b.ask(PROMPT)).headers["laneway-decision"]
            assert (await pull(b, "open", "lane:home")).status == 200
            assert (await pull(b, "pause", "workload:contracts", why=MARKUP)).status == 200
            ids["paused"] = (await b.ask(PROMPT, {"laneway-workload": "contracts"})).headers["laneway-decision"]

    run(play)
    return ids
