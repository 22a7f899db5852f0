"""Incident bundles of a log that the real gateway wrote: verified alone, and found to differ wherever they do."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.eventful import ANSWER, MARKUP, PROMPT, eventful
from tests.unit.test_store import append, unguard

from laneway.cli import main
from laneway.incident.box import Packing
from laneway.incident.form import (
    CHECKPOINT,
    ERASURES,
    HTML,
    MANIFEST,
    MARKDOWN,
    RECORDS,
    Member,
    Stretch,
    read_manifest,
)
from laneway.incident.verify import judged
from laneway.policy_file import load
from laneway.record import Shut
from laneway.retention import retain
from laneway.store import Log
from laneway.store.chain import link
from laneway.store.note import PublicKey

ALL = ("--from", "2020-01-01", "--to", "2100-01-01")
SRC = Path(__file__).parents[2] / "src"


def laneway(*args: object, code: int = 0) -> Result:
    """One command in this process."""
    done = CliRunner().invoke(main, [str(arg) for arg in args], env={"COLUMNS": "80"})
    assert done.exit_code == code, done.output
    return done


class Hour(NamedTuple):
    """The eventful hour: its folder, ids, the public key, the checkpoints and the bundle of all of it."""

    folder: Path
    ids: dict[str, str]
    key: str
    place: Path
    bundle: Path

    @property
    def log(self) -> Path:
        """The log."""
        return self.folder / "laneway.db"

    @property
    def signed(self) -> tuple[object, ...]:
        """The options that put a checkpoint in."""
        return "--checkpoint", self.place, "--public-key", self.key

    def moments(self) -> list[str]:
        """When each record was written, as `--from` takes it."""
        with closing(sqlite3.connect(self.log)) as db:
            return [
                f"{at}Z" for (at,) in db.execute(
                    "SELECT strftime('%Y-%m-%dT%H:%M:%S', at / 1000000, 'unixepoch') || "
                    "printf('.%06d', at % 1000000) FROM record ORDER BY seq")
            ]  # fmt: skip


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    """Played once, signed and bundled."""
    folder = tmp_path_factory.mktemp("incident")
    ids = eventful(folder)
    key = laneway("log", "key", folder / "key").stdout.strip()
    place, bundle = folder / "checkpoints", folder / "all.zip"
    laneway("log", "checkpoint", place, "--key", folder / "key", "--log", folder / "laneway.db")
    made = Hour(folder, ids, key, place, bundle)
    laneway("incident", "bundle", bundle, *ALL, *made.signed, "--log", made.log, "--why", "an hour to remember")
    return made


def unpacked(bundle: Path) -> dict[str, bytes]:
    """The members of a bundle."""
    with zipfile.ZipFile(bundle) as zip:
        return {name: zip.read(name) for name in zip.namelist()}


def packed(path: Path, members: dict[str, bytes], *, honest: bool = False, **changed: Any) -> Path:
    """A bundle of these members, sealed anew; its manifest names their hashes where it is made `honest` again."""
    members = dict(members)
    if honest:
        rest = {name: data for name, data in members.items() if name != MANIFEST}
        hashes = {name: Member(hashlib.sha256(data).hexdigest(), len(data)) for name, data in rest.items()}
        manifest = msgspec.structs.replace(read_manifest(members[MANIFEST]), members=hashes, **changed)
        members[MANIFEST] = msgspec.json.encode(manifest)
    with path.open("w+b") as file:
        packing = Packing(file)
        for name, data in members.items():
            packing.add(name, [data])
        packing.seal()
    return path


def problem(path: Path, hour: Hour, *, key: bool = True) -> str:
    """What is wrong with a bundle; empty where nothing is."""
    return judged(path, PublicKey.read(hour.key) if key else None).problem


def test_it_is_verified_by_a_process_that_has_nothing_else(hour: Hour, tmp_path: Path) -> None:
    """Another process in an empty directory, without home, policy or log, verifies a copy; a changed one it does not."""
    bundle, empty = tmp_path / "given.zip", tmp_path / "empty"
    empty.mkdir()
    shutil.copy(hour.bundle, bundle)
    command = [
        sys.executable,
        "-m",
        "laneway.cli",
        "incident",
        "verify",
        str(bundle),
        "--public-key",
        hour.key,
        "--json",
    ]
    env = {"PYTHONPATH": str(SRC), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["unknown"]) == (0, True, [])
    assert any("among the" in told and "whose key was given" in told for told in found["checked"])
    assert any("certificates proved anew: 1" in told for told in found["checked"])
    assert not list(empty.iterdir())
    data = bundle.read_bytes()
    bundle.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = subprocess.run(command[:-1], cwd=empty, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "NOT ok" in done.stderr
    assert "its seal is not that of what it holds" in done.stderr


def test_it_tells_what_happened_and_none_of_the_words(hour: Hour) -> None:
    """Statuses, lanes, levers and reviews are told; prompts, answers, comments and the salt are not in it."""
    members = unpacked(hour.bundle)
    text = members[MARKDOWN].decode()
    for told in ("an hour to remember", "8 requests began", "| answered |  | home | 1 |", "| home | server-error | 2 |",
                 "| escalation | premium |", "| fallback | premium | server-error | 1 |", "lane home is closed by Ann",
                 "| edit | Anna | 1 |", "| user | not good | 1 |", "| reviews\\[0\\] | approval | 2 |", "workload contracts"):  # fmt: skip
        assert told in text, told
    with closing(sqlite3.connect(hour.log)) as db:
        (salt,) = db.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()
    everything = b"\n".join(members.values())
    for hidden in (PROMPT, ANSWER, "Another answer", "comment of the lawyer", salt.hex()):
        assert hidden.encode() not in everything
    assert salt not in everything
    assert stat.S_IMODE(hour.bundle.stat().st_mode) == 0o600


def test_the_page_is_self_contained_and_shows_markup_as_text(hour: Hour) -> None:
    """What people wrote is never markup, in the page or in Markdown."""
    members = unpacked(hour.bundle)
    page, text = members[HTML].decode(), members[MARKDOWN].decode()
    assert MARKUP not in page
    assert "&lt;img src=x" in page
    assert "<img" not in page
    assert "<script" not in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert MARKUP not in text
    assert "\\<img src=x" in text


def test_a_window_within_the_log_is_bound_to_the_checkpoint(hour: Hour, tmp_path: Path) -> None:
    """Some records in the middle, with the hash before them and an audit path; the policy before them is in it."""
    at = hour.moments()
    middle, file = len(at) // 2, tmp_path / "middle.zip"
    laneway("incident", "bundle", file, "--from", at[middle], "--to", at[middle + 4], *hour.signed, "--log", hour.log)
    manifest = read_manifest(unpacked(file)[MANIFEST])
    assert manifest.first > 1
    assert manifest.path
    assert manifest.in_force
    assert manifest.last < len(at)
    assert f"policies/{manifest.in_force}.yaml" in manifest.members
    assert problem(file, hour) == ""
    other = laneway("log", "key", tmp_path / "other").stdout.strip()
    said = laneway("incident", "verify", file, "--public-key", other, code=1)
    assert "it is of another log" in said.output


def test_a_checkpoint_that_covers_a_part_says_which(hour: Hour, tmp_path: Path) -> None:
    """Records behind the newest checkpoint are said to be under no signature."""
    log, place = tmp_path / "laneway.db", tmp_path / "checkpoints"
    with closing(sqlite3.connect(hour.log)) as db, closing(sqlite3.connect(log)) as copy:
        db.backup(copy)
        total = copy.execute("SELECT max(seq) FROM record").fetchone()[0]
        unguard(copy)
        copy.execute("DELETE FROM record WHERE seq > ?", (total - 3,))
        copy.commit()
    laneway("log", "checkpoint", place, "--key", hour.folder / "key", "--log", log)
    file = tmp_path / "part.zip"
    said = laneway("incident", "bundle", file, *ALL, "--checkpoint", place, "--public-key", hour.key, "--log", hour.log)
    assert f"whether records {total - 2} to {total} were on record" in " ".join(said.output.split())
    assert problem(file, hour) == ""


def test_what_is_not_known_is_said(hour: Hour, tmp_path: Path) -> None:
    """Without a checkpoint, without a key and with another Laneway's bundle it holds, and what is missing is told."""
    plain = tmp_path / "plain.zip"
    said = laneway("incident", "bundle", plain, *ALL, "--log", hour.log)
    assert "unknown  whether the log said so at the time" in said.output
    assert "it has no signed checkpoint" in problem(plain, hour)
    assert "unknown  who signed" in laneway("incident", "verify", hour.bundle).output
    other = packed(tmp_path / "other.zip", unpacked(hour.bundle), honest=True, laneway="99.0")
    said = laneway("incident", "verify", other, "--public-key", hour.key)
    assert "whether the summary says what the records do: Laneway 99.0 made it" in said.output


def test_emptied_records_are_carried_and_said(hour: Hour, tmp_path: Path) -> None:
    """Bodies that retention emptied stay empty; why is in the bundle, signed too, though it was written much later."""
    log, place, file, bad = (tmp_path / name for name in ("laneway.db", "checkpoints", "emptied.zip", "bad.zip"))
    laneway("log", "backup", log, "--log", hour.log)
    began, month = time.time_ns(), 30 * 86_400 * 10**9
    for n in range(1, 13):  # a log that is in use grows old; a clock that jumps makes nothing old
        with closing(Log.open(log, lambda n=n: began + n * month)) as used:  # type: ignore[misc]
            append(used, Shut(id=f"s{n}", lane="x", endpoint="y", measured="a", answered="b"))
    late = began + 13 * month
    with closing(Log.open(log, lambda: late)) as written:
        assert retain(written, load(hour.folder / "laneway.yaml"))
    laneway("log", "checkpoint", place, "--key", hour.folder / "key", "--log", log)
    until = ("--from", "2020-01-01", "--to", hour.moments()[-1])
    said = laneway("incident", "bundle", file, *until, "--checkpoint", place, "--public-key", hour.key, "--log", log)
    assert "records said: their bodies had been erased" in " ".join(said.output.split())
    assert problem(file, hour) == ""
    members = unpacked(file)
    assert "had been erased" in members[MARKDOWN].decode()
    manifest = read_manifest(members[MANIFEST])
    assert json.loads(members[ERASURES])["record"]["seq"] > manifest.last
    less = {name: data for name, data in members.items() if name != ERASURES}
    assert "has no body, and no record says that it was emptied" in problem(packed(bad, less, honest=True), hour)
    proved = json.loads(members[ERASURES])
    proved["record"]["body"] = proved["record"]["body"].replace("retention", "nobody", 1)
    forged = members | {ERASURES: msgspec.json.encode(proved) + b"\n"}
    assert "of an erasure, was changed" in problem(packed(bad, forged, honest=True), hour)
    (proved["record"],) = chained([proved["record"]], proved["before"])
    forged = members | {ERASURES: msgspec.json.encode(proved) + b"\n"}
    assert "of an erasure, is not among the" in problem(packed(bad, forged, honest=True), hour)
    rows = records(unpacked(hour.bundle))
    rows[4]["body"] = ""
    hidden = unpacked(hour.bundle) | {RECORDS: b"".join(msgspec.json.encode(row) + b"\n" for row in rows)}
    assert "has no body" in problem(packed(bad, hidden, honest=True, emptied=(Stretch(5, 5),)), hour)


def test_a_damaged_log_makes_a_bundle_that_says_so(hour: Hour, tmp_path: Path) -> None:
    """A record that was changed in the log is in the bundle as it is; making it fails, and it is kept."""
    log, file = tmp_path / "laneway.db", tmp_path / "damaged.zip"
    laneway("log", "backup", log, "--log", hour.log)
    with closing(sqlite3.connect(log)) as db, db:
        unguard(db)
        db.execute("UPDATE record SET body = x'7bff22' WHERE seq = 5")
    said = laneway("incident", "bundle", file, *ALL, "--log", log, code=1)
    assert "NOT ok" in said.output
    assert "record 5 " in said.output
    assert "was changed: its hash does not follow" in " ".join(said.output.split())
    assert file.exists()


def test_any_changed_byte_is_found(hour: Hour, tmp_path: Path) -> None:
    """One bit of a byte, all through the file, and of each byte of its end."""
    data, chance, path = hour.bundle.read_bytes(), random.Random(6), tmp_path / "flipped.zip"
    for place in (*range(chance.randrange(11), len(data), 11), *range(len(data) - 300, len(data))):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        assert problem(path, hour, key=False), place


def test_any_cut_and_anything_behind_it_is_found(hour: Hour, tmp_path: Path) -> None:
    """Shorter lengths, and one byte more."""
    data, path = hour.bundle.read_bytes(), tmp_path / "cut.zip"
    for length in range(0, len(data), 31):
        path.write_bytes(data[:length])
        assert problem(path, hour, key=False), length
    path.write_bytes(data + b"\0")
    assert problem(path, hour, key=False)


def test_a_changed_member_is_found_though_the_file_is_sealed_anew(hour: Hour, tmp_path: Path) -> None:
    """Bytes of each member, with the manifest as it was, and again with a manifest that was made to fit."""
    members, chance, path = unpacked(hour.bundle), random.Random(7), tmp_path / "resealed.zip"
    for name, data in members.items():
        # The last characters of a signature have bits that mean nothing, so that what it says is the same.
        end = len(data) - (4 if name == CHECKPOINT else 0)
        for place in chance.sample(range(end), min(end, 40)):
            flipped = bytearray(data)
            flipped[place] ^= 1 << chance.randrange(7)
            changed = members | {name: bytes(flipped)}
            if name == MANIFEST:
                # Another version's summary is not held against the records, and that is said.
                assert place in _line_of(data, b'"laneway"') or problem(packed(path, changed), hour), place
                continue
            assert "not what the manifest says" in problem(packed(path, changed), hour)
            assert problem(packed(path, changed, honest=True), hour), (name, place)


def _line_of(data: bytes, part: bytes) -> range:
    start = data.index(part)
    return range(start, data.index(b"\n", start))


def records(members: dict[str, bytes]) -> list[dict[str, Any]]:
    """The records of a bundle."""
    return [json.loads(line) for line in members[RECORDS].splitlines()]


def chained(rows: list[dict[str, Any]], before: str) -> list[dict[str, Any]]:
    """The same under new numbers, with all hashes made anew."""
    head, made = bytes.fromhex(before), list[dict[str, Any]]()
    for seq, row in enumerate(rows, start=rows[0]["seq"]):
        head = link(head, seq, row["at"], *(row[name].encode() for name in ("decision", "kind", "body")))
        made.append(row | {"seq": seq, "hash": head.hex()})
    return made


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [*rows[:4], *rows[5:]],
        lambda rows: [*rows[:4], rows[5], rows[4], *rows[6:]],
        lambda rows: [*rows, rows[-1]],
        lambda rows: rows[:-1],
        lambda rows: rows[1:],
        lambda rows: [*rows[:4], rows[4] | {"body": rows[4]["body"].replace("home", "mine")}, *rows[5:]],
        lambda rows: [*rows[:4], rows[4] | {"at": rows[4]["at"] + 1}, *rows[5:]],
        lambda rows: rows[::-1],
    ],
    ids=["dropped", "swapped", "added", "last dropped", "first dropped", "changed", "another time", "reversed"],
)
def test_other_records_are_found(
    hour: Hour, tmp_path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], anew: bool
) -> None:
    """By the chain; and where all hashes are made anew, by the checkpoint."""
    members = unpacked(hour.bundle)
    manifest = read_manifest(members[MANIFEST])
    rows = change(records(members))
    more: dict[str, Any] = {}
    if anew:
        rows = chained(rows, manifest.before)
        more = {"first": rows[0]["seq"], "last": rows[-1]["seq"], "head": rows[-1]["hash"]}
    members[RECORDS] = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    said = problem(packed(tmp_path / "x.zip", members, honest=True, **more), hour)
    if anew and len(rows) > manifest.signed:  # what came after the checkpoint is under no signature
        assert "does not say what the records do" in said
    else:
        assert ("are not among the" if anew else "record") in said


def test_members_that_are_missing_added_or_strange_are_found(hour: Hour, tmp_path: Path) -> None:
    """A member less or more, with the manifest as it was or made to fit."""
    members, path = unpacked(hour.bundle), tmp_path / "x.zip"
    for name in members:
        less = {other: data for other, data in members.items() if other != name}
        assert problem(packed(path, less), hour), name
        if name != MANIFEST:
            assert problem(packed(path, less, honest=True), hour), name
    for name in (f"policies/{'0' * 64}.yaml", f"certificates/{'0' * 64}.json"):
        assert "was added" in problem(packed(path, members | {name: b"x"}), hour)
        assert "belongs to no policy" in problem(packed(path, members | {name: b"x"}, honest=True), hour)
    for name in ("../evil.yaml", "/etc/passwd", "policies/../../x", "readme.txt", "policies\\x.yaml", "records.jsonl/"):
        assert "a member that no bundle has" in problem(packed(path, members | {name: b"x"}), hour), name
    reordered = dict(sorted(members.items()))
    assert problem(packed(path, reordered), hour) == ""  # the same members are the same bundle
    text = next(name for name in members if name.startswith("policies/"))
    assert problem(packed(path, members | {text: members[text] + b"# more\n"}, honest=True), hour).endswith(
        "of that hash"
    )


def sealed(path: Path, make: Callable[[zipfile.ZipFile], None]) -> Path:
    """Any zip at all, with a good seal."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip:
        make(zip)
        zip.comment = b"0" * 64
    data = path.read_bytes()[:-64]
    path.write_bytes(data + hashlib.sha256(data).hexdigest().encode())
    return path


def test_a_hostile_file_is_refused_before_it_is_unpacked(hour: Hour, tmp_path: Path) -> None:
    """Bombs, many members, two of one name, other ways of packing, lengths that are a lie, and no zip at all."""
    path = tmp_path / "hostile.zip"

    def twice(zip: zipfile.ZipFile) -> None:
        zip.writestr(MANIFEST, b"{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            zip.writestr(MANIFEST, b"{}")

    def many(zip: zipfile.ZipFile) -> None:
        for number in range(1_100):
            zip.writestr(f"{number}", b"")

    def second_list(zip: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(MANIFEST)
        info.comment = b"PK\6\7" + bytes(16)
        zip.writestr(info, b"{}", zipfile.ZIP_DEFLATED)

    cases: list[tuple[Callable[[zipfile.ZipFile], None], str]] = [
        (lambda zip: zip.writestr(RECORDS, bytes(2**26)), "not unpacked"),
        (lambda zip: zip.writestr(MANIFEST, random.Random(1).randbytes(2**24 + 1)), "not unpacked"),
        (twice, "two members of one name"),
        (lambda zip: zip.writestr(MANIFEST, b"{}", zipfile.ZIP_STORED), "packed in a way"),
        (lambda zip: zip.writestr(MANIFEST, b"{}", zipfile.ZIP_BZIP2), "packed in a way"),
        (many, "list of members is not"),
        (second_list, "list of members is not"),
        (lambda zip: zip.writestr(MANIFEST, b"{}"), "not one that this Laneway reads"),
        (lambda zip: zip.writestr(MANIFEST, b"[" * 10_000), "not one that this Laneway reads"),
        (lambda zip: None, f"it has no {MANIFEST}"),
    ]
    for make, said in cases:
        assert said in problem(sealed(path, make), hour)
    data = bytearray(sealed(path, lambda zip: zip.writestr(MANIFEST, bytes(5_000))).read_bytes())
    at = data.rindex(b"PK\1\2") + 24  # its length in the list of members
    data[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode())
    assert "cannot be unpacked" in problem(path, hour)
    before = b"#!/bin/sh\n" + hour.bundle.read_bytes()[:-64]
    path.write_bytes(before + hashlib.sha256(before).hexdigest().encode())
    assert "list of members is not" in problem(path, hour)
    for junk in (b"", b"PK\3\4", b"x" * 200, hour.log.read_bytes()):
        path.write_bytes(junk)
        assert "no incident bundle" in problem(path, hour) or "does not end as" in problem(path, hour)
    assert laneway("incident", "verify", tmp_path / "none.zip", code=1).output
    assert laneway("incident", "verify", tmp_path, code=2).output


def test_requests_that_cannot_be_met_say_why(hour: Hour, tmp_path: Path) -> None:
    """A time without records, times in the wrong order, half of the options, a file that exists, words with a number."""
    file, log = tmp_path / "x.zip", ("--log", hour.log)
    said = laneway("incident", "bundle", file, "--from", "2020-01-01", "--to", "2020-01-02", *log, code=1)
    assert "nothing is on record from 2020-01-01T00:00:00+00:00" in " ".join(said.output.split())
    assert not file.exists()
    laneway("incident", "bundle", file, "--from", "2020-01-02", "--to", "2020-01-01", *log, code=2)
    laneway("incident", "bundle", file, *ALL, *log, "--checkpoint", hour.place, code=2)
    said = laneway("incident", "bundle", file, *ALL, *log, "--why", "about 811228-9874", code=2)
    assert "looks like an identifier" in " ".join(said.output.split())
    assert "never written over" in " ".join(
        laneway("incident", "bundle", hour.bundle, *ALL, *log, code=2).output.split()
    )
    assert problem(hour.bundle, hour) == ""
