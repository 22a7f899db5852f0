"""Exports of a log that the real gateway wrote: the same rows as JSON Lines and as Parquet, and none of the words."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result
from tests.eventful import ANSWER, PROMPT, eventful
from tests.unit.test_store import unguard

from laneway.cli import main
from laneway.export import COLUMNS
from laneway.store import Reader

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def laneway(*args: object, code: int = 0) -> Result:
    """One command in this process."""
    done = CliRunner().invoke(main, [str(arg) for arg in args], env={"COLUMNS": "80"})
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The eventful hour, and where it is."""
    folder = tmp_path_factory.mktemp("export")
    return eventful(folder) | {"folder": str(folder)}


def exported(ids: dict[str, str], name: str, *more: object) -> Path:
    """A file of the rows, made now."""
    file = Path(ids["folder"]) / name
    laneway("export", file, "--policy", Path(ids["folder"]) / "laneway.yaml", *more)
    return file


def lines(file: Path) -> dict[str, dict[str, Any]]:
    """The rows of a JSON Lines file by id."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def test_a_row_says_what_happened(ids: dict[str, str]) -> None:
    """Lanes, hops, verdicts, reviews and people's words are in flat columns."""
    rows = lines(exported(ids, "a.jsonl"))
    plain, escalated = rows[ids["plain"]], rows[ids["escalated"]]
    assert (plain["status"], plain["lane"], plain["team"], plain["rejected_by"]) == (
        "answered",
        "home",
        "harbour",
        ["user"],
    )
    assert (plain["sensitivity"], plain["decision"], plain["rule"], plain["review"]) == (
        "internal",
        "route",
        "routes[1]",
        None,
    )
    assert plain["tokens_in"] > 0
    assert plain["ms"] >= plain["first_byte_ms"] > 0
    assert (escalated["escalated"], escalated["lanes_called"], escalated["checks_failed"]) == (
        True, ["home", "premium"], ["empty"])  # fmt: skip
    assert escalated["cost"] > 0
    fell = rows[ids["fell_back"]]
    assert (fell["fell_back"], fell["lanes_failed"][0], fell["lane"]) == (True, "home", "premium")
    refused = rows[ids["refused"]]
    assert (refused["status"], refused["sensitivity"], refused["lane"]) == ("refused", "restricted", None)
    edited, pending = rows[ids["edited"]], rows[ids["pending"]]
    assert (edited["review"], edited["review_end"], edited["rejected_by"]) == ("approval", "edit", ["reviewer"])
    assert edited["review_seconds"] > 0
    assert (pending["status"], pending["review_end"], pending["review_seconds"]) == ("held", "pending", None)
    assert (rows[ids["closed"]]["lanes_closed"], rows[ids["closed"]]["lane"]) == (["home"], "premium")


def test_parquet_holds_the_same_rows_and_types(ids: dict[str, str]) -> None:
    """What pyarrow reads back are the values of the JSON lines, with times as times, in the documented order."""
    table = parquet.read_table(exported(ids, "a.parquet"))
    assert table.column_names == [column.name for column in COLUMNS]
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("lanes_called").type).startswith("list<")
    wanted = lines(exported(ids, "b.ndjson"))
    for row in table.to_pylist():
        for name in ("at", "ended_at"):
            wanted[row["id"]][name] = datetime.datetime.fromisoformat(wanted[row["id"]][name])
        assert row == wanted[row["id"]]
    assert table.num_rows == len(wanted) > 5


def test_no_words_and_nothing_that_stands_for_them(ids: dict[str, str]) -> None:
    """Prompt, answer, edit, comment and reason are in no file, nor is a salted hash; the file is its owner's."""
    file = exported(ids, "a.jsonl")
    text = file.read_text("utf-8") + str(parquet.read_table(exported(ids, "a.parquet")).to_pylist())
    with closing(Reader.open(Path(ids["folder"]) / "laneway.db")) as reader:
        story = reader.story(ids["edited"])
    assert story is not None
    assert story.opening.prompt
    assert story.review is not None
    for hidden in (PROMPT, ANSWER, "Another answer", "comment of the lawyer", "not a word", story.opening.prompt,
                   story.review.entry.ticket):  # fmt: skip
        assert hidden not in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_columns_are_documented(ids: dict[str, str]) -> None:
    """docs/export.md lists each column with its kind, in the order of the file."""
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", PAGE.read_text("utf-8"), re.M)
    assert rows == [(column.name, column.kind) for column in COLUMNS]


def test_since_and_format(ids: dict[str, str]) -> None:
    """`--since` leaves older decisions out; a format is by the name or as given; another name is an error."""
    assert lines(exported(ids, "c.txt", "--format", "jsonl", "--since", "1d")).keys() >= {ids["plain"]}
    policy = Path(ids["folder"]) / "laneway.yaml"
    said = laneway("export", "d.csv", "--policy", policy, code=2)
    assert "end it with .jsonl or .parquet" in " ".join(said.output.split())
    missing = laneway("export", Path(ids["folder"]) / "no" / "d.jsonl", "--policy", policy, code=2)
    assert "cannot be written: No such file" in " ".join(missing.output.split())


def test_without_pyarrow_it_says_what_to_install(ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet without the extra is an error with the remedy, and leaves no file."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    file = Path(ids["folder"]) / "none.parquet"
    said = laneway("export", file, "--policy", Path(ids["folder"]) / "laneway.yaml", code=2)
    assert "pip install 'laneway[export]'" in said.output
    assert not file.exists()


def test_what_is_erased_or_damaged_is_left_out_and_said(ids: dict[str, str], tmp_path: Path) -> None:
    """A decision whose bodies are gone, and one that cannot be read, are counted, with an example of the latter."""
    copy = tmp_path / "laneway.db"
    laneway("log", "backup", copy, "--log", Path(ids["folder"]) / "laneway.db")
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("UPDATE record SET body = x'' WHERE decision = ?", (ids["plain"],))
        unguard(db)
        db.execute("UPDATE record SET body = x'7b22' WHERE decision = ? AND kind = 'outcome'", (ids["escalated"],))
    done = laneway("export", tmp_path / "x.jsonl", "--log", copy)
    said = " ".join(done.output.split())
    assert "left out, as what was decided is erased: 1" in said
    assert f"left out, as they cannot be read: 1, such as {ids['escalated']}" in said
    assert not {ids["plain"], ids["escalated"]} & lines(tmp_path / "x.jsonl").keys()
