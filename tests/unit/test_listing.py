"""The log by the page: every decision once, both ways, by what is looked for, and what is damaged never left out."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.acceptance.test_reviews import FLAGS, desk
from tests.harness import run

from laneway.receipt import cause
from laneway.store.listing import Listing, Page, Sought

HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty requests: answered by either lane, refused, held."""
    folder = tmp_path_factory.mktemp("listing")

    async def fill() -> None:
        async with desk(folder) as it:
            for i in range(24):
                await it.bench.ask(f"Hello {i}", {"laneway-workload": "contracts"} if i % 4 == 0 else {})
            for _ in range(3):
                await it.bench.ask("Hello", model="lane/premium")
            for _ in range(2):
                await it.bench.ask("Hello", {"laneway-sensitivity": "restricted"}, model="lane/premium")
            await it.held(FLAGS)

    run(fill)
    return folder / "laneway.db"


@pytest.fixture
def listing(log: Path) -> Iterator[Listing]:
    """The log, open."""
    with closing(Listing.open(log)) as opened:
        yield opened


def ids(page: Page) -> list[str]:
    """Which decisions a page has."""
    return [row.id for row in page.rows]


@pytest.mark.parametrize("most", [1, 7, 29, 30, 31])
def test_pages_have_every_decision_once_both_ways(listing: Listing, most: int) -> None:
    """From the newest to the oldest and back again no decision is missing, none comes twice, all are in order."""
    every = [story.id for story in listing.recent(100)]
    assert len(every) == 30
    page, down = listing.page(Sought(), most=most), list[str]()
    assert page.newer is None
    while True:
        down += ids(page)
        if page.older is None:
            break
        page = listing.page(Sought(), before=page.older, most=most)
    assert down == every
    up = ids(page)
    while page.newer is not None:
        page = listing.page(Sought(), after=page.newer, most=most)
        up = ids(page) + up
    assert up == every


@pytest.mark.parametrize(
    ("sought", "count"),
    [
        (Sought(workload="contracts"), 6),
        (Sought(workload=""), 23),
        (Sought(workload="nothing"), 0),
        (Sought(sensitivity="confidential"), 6),
        (Sought(lane="premium"), 3),
        (Sought(lane="home", workload="flags"), 1),
        (Sought(rejected="premium"), 8),
        (Sought(status="refused"), 2),
        (Sought(status="held"), 1),
        (Sought(status="failed"), 0),
        (Sought(open=True), 0),
        (Sought(damaged=True), 0),
        (Sought(rule="routes[1]", matches=lambda story: cause(story)[0].rule == "routes[1]"), 30),
    ],
)
def test_what_is_looked_for_is_found(listing: Listing, sought: Sought, count: int) -> None:
    """Each column finds what has it, as reading every story does."""
    found = listing.page(sought, most=100)
    assert len(found.rows) == count and found.older is None and found.reached is None
    assert ids(found) == [story.id for story in listing.recent(100) if sought.fits(story) and not sought.damaged
                          and not sought.open]  # fmt: skip
    assert ids(listing.page(sought, after=0, most=100)) == ids(found)


def test_a_search_whose_time_is_over_goes_on_from_there(listing: Listing) -> None:
    """Without time it says how far it came, and where to go on: what is sought is found in the end."""
    sought = Sought(matches=lambda story: story.opening.signals.workload == "contracts")  # which no query can tell
    page, found, steps = listing.page(sought, most=4, budget=-1), list[str](), 1
    while page.older is not None:
        assert page.reached is not None
        found, steps = found + ids(page), steps + 1
        page = listing.page(sought, before=page.older, most=4, budget=-1)
    assert len(found + ids(page)) == 6
    assert steps == 6  # of five decisions each


def test_moments_bound_a_list(listing: Listing) -> None:
    """Since and until are found by halving, and hold those between them."""
    stories = list(listing.recent(100))
    middle = stories[10].intents[0].at
    late, early = listing.page(Sought(since=middle), most=100), listing.page(Sought(until=middle), most=100)
    assert ids(late) + ids(early) == [story.id for story in stories]
    assert ids(listing.page(Sought(since=middle + HOUR))) == [] == ids(listing.page(Sought(until=middle - HOUR)))


def test_what_was_changed_or_cannot_be_read_is_shown(log: Path, tmp_path: Path) -> None:
    """A changed record marks its decision; one that is no entry any more is in every list, whatever is sought."""
    with closing(Listing.open(log)) as before:
        changed, broken = (story.id for story in list(before.recent(100))[5:7])
        (tmp_path / "laneway.db").touch()
        before.backup(tmp_path / "laneway.db")
    with closing(sqlite3.connect(tmp_path / "laneway.db")) as db:
        db.execute("DROP TRIGGER record_unchanged")
        db.execute("UPDATE record SET at = at + 1 WHERE decision = ? AND kind = 'outcome'", [changed])
        db.execute(
            "UPDATE record SET body = CAST(replace(body, '\"id\":', '\"di\":') AS BLOB) WHERE decision = ?", [broken]
        )
        db.commit()
    with closing(Listing.open(tmp_path / "laneway.db")) as listing:
        rows = {row.id: row for row in listing.page(Sought(), most=100).rows}
        assert len(rows) == 30
        assert "was changed" in rows[changed].problem and rows[changed].story is not None
        assert rows[broken].story is None and rows[broken].problem
        assert [id for id, row in rows.items() if row.problem] == [changed, broken]
        assert {changed, broken} <= set(ids(listing.page(Sought(damaged=True), most=100)))
        assert [record.problem != "" for record in listing.records(changed)] == [False, True]


def test_an_empty_log_has_an_empty_page(tmp_path: Path) -> None:
    """Nothing is on record, nothing is listed, and nowhere is anything to go on to."""

    async def begin() -> None:
        async with desk(tmp_path):
            await asyncio.sleep(0)

    run(begin)
    with closing(Listing.open(tmp_path / "laneway.db")) as listing:
        moment = datetime.datetime.now(datetime.UTC)
        assert listing.page(Sought()) == Page((), None, None)
        assert listing.page(Sought(since=moment - HOUR, until=moment)).rows == () and listing.last() == 0
