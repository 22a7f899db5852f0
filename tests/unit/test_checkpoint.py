from __future__ import annotations

import base64
import hashlib
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.test_store import answered, append, intent, unguard

from laneway.cli import main
from laneway.errors import LogError, UsageError
from laneway.store import Log, Reader, Signing
from laneway.store.chain import SQL, genesis, link
from laneway.store.checkpoint import Checkpoint
from laneway.store.merkle import Tree
from laneway.store.note import PrivateKey, PublicKey, keep_new_key

# The reference vectors of RFC 6962's implementations: eight leaves, and the root over the first n of them.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# The reference vector of the Go implementation of signed notes.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n"


def recursive_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word for word."""
    tree = Tree()
    if len(leaves) < 2:
        for leaf in leaves:
            tree.add(leaf)
        return tree.root()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + recursive_root(leaves[:half]) + recursive_root(leaves[half:])).digest()


class TestTree:
    def test_it_has_the_published_roots(self) -> None:
        """The root over the first n reference leaves is the published one, for every n."""
        tree = Tree()
        roots = [tree.root().hex()]
        for leaf in LEAVES:
            tree.add(bytes.fromhex(leaf))
            roots.append(tree.root().hex())
        assert roots == ROOTS

    def test_it_is_what_the_definition_says_and_stays_small(self) -> None:
        """For every size to 300 the root is that of the recursive definition, and one hash a bit is kept."""
        tree, leaves = Tree(), list[bytes]()
        for n in range(300):
            tree.add(b"%d" % n)
            leaves.append(b"%d" % n)
            assert tree.root() == recursive_root(leaves)
            assert len(tree._edge) == (n + 1).bit_count()


class TestNote:
    def test_it_is_what_go_signs(self, tmp_path: Path) -> None:
        """The same key makes the same note, byte for byte, and the public key opens it."""
        file = tmp_path / "key"
        file.touch(mode=0o600)
        file.write_text(GO_PRIVATE)
        key = PrivateKey.load(file)
        assert key.public.text == GO_PUBLIC
        assert key.signed(GO_TEXT) == GO_NOTE
        assert PublicKey.read(GO_PUBLIC).opened(GO_NOTE) == GO_TEXT

    def test_a_changed_note_is_not_opened(self) -> None:
        """Any changed letter of text or signature, and a note that another key signed, is refused."""
        key = PublicKey.read(GO_PUBLIC)
        for place in (*range(len(GO_TEXT) - 1), *range(len(GO_TEXT) + 17, len(GO_NOTE) - 2)):
            changed = "A" if GO_NOTE[place] != "A" else "B"
            with pytest.raises(LogError, match=r"not (valid|signed)"):
                key.opened(GO_NOTE[:place] + changed + GO_NOTE[place + 1 :])
        other = key._replace(name="other")
        with pytest.raises(LogError, match=r"not signed by other\+"):
            other.opened(GO_NOTE)

    def test_signatures_of_others_beside_ours_are_passed_over(self) -> None:
        """A witness may add a line to a note."""
        assert PublicKey.read(GO_PUBLIC).opened(f"{GO_NOTE}— witness.example AAAAAAAA\n") == GO_TEXT

    @pytest.mark.parametrize(
        "text", ["", "x", GO_PUBLIC[:-1], GO_PUBLIC.replace("c7", "c8"), GO_PUBLIC.lower(), GO_PRIVATE]
    )
    def test_what_is_no_public_key_is_refused(self, text: str) -> None:
        """A key that was copied in part is refused, not half believed."""
        with pytest.raises(UsageError, match="no public key"):
            PublicKey.read(text)

    def test_a_key_is_for_its_owner_and_never_written_over(self, tmp_path: Path) -> None:
        """The file has mode 0600; one that others may read, or that holds something else, is refused unseen."""
        file = tmp_path / "key"
        keep_new_key(file, "example.com/log")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(UsageError, match="never written over"):
            keep_new_key(file, "example.com/log")
        with pytest.raises(UsageError, match="no space and no plus"):
            keep_new_key(tmp_path / "other", "a b")
        secret = file.read_text().rpartition("+")[2].strip()
        for mode, text in ((0o640, file.read_text()), (0o600, f"my {secret}")):
            file.chmod(mode)
            file.write_text(text)
            with pytest.raises(UsageError, match=r"chmod 600|no private key") as refused:
                PrivateKey.load(file)
            assert secret not in str(refused.value)

    def test_without_the_library_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to install."""
        monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
        result = CliRunner().invoke(main, ["log", "key", str(tmp_path / "key")])
        assert result.exit_code == 2
        assert "pip install 'laneway[checkpoint]'" in result.stderr
        assert not (tmp_path / "key").exists()


class Case:
    """A log, a key, and the file of checkpoints elsewhere."""

    def __init__(self, directory: Path) -> None:
        self.log, self.place = directory / "laneway.db", directory / "elsewhere"
        self.key_file = directory / "key"
        self.public = keep_new_key(self.key_file, "example.com/log")
        self.key = PrivateKey.load(self.key_file)

    def grow(self, *ids: str) -> None:
        """Two records for each id."""
        with closing(Log.open(self.log)) as log:
            for id in ids:
                append(log, intent(id), answered(id))

    def sign(self) -> Checkpoint:
        """One checkpoint."""
        with closing(Signing(self.log, self.place, self.key)) as signing:
            return signing.once()

    def verify(self, *more: str) -> Result:
        """`laneway log verify` against the file."""
        arguments = ["--log", str(self.log), "--checkpoint", str(self.place), "--public-key", self.public.text]
        return CliRunner().invoke(main, ["log", "verify", *arguments, *more])

    def problem(self) -> str:
        """What it says of a log that does not verify."""
        result = self.verify()
        assert result.exit_code == 1, result.output
        assert result.stderr.strip().startswith("NOT ok: ")
        return " ".join(result.stderr.split())

    def rewrite(self, seq: int) -> None:
        """As whoever can write the file would: another lane in record `seq`, and the whole chain recomputed."""
        with closing(sqlite3.connect(self.log)) as db, db:
            unguard(db)
            (salt,) = db.execute(SQL["salt"]).fetchone()
            head = genesis(salt)
            for n, at, decision, kind, body in db.execute(
                "SELECT seq, at, decision, kind, body FROM record"
            ).fetchall():
                new = body.replace(b'"local"', b'"other"') if n == seq else body
                head = link(head, n, at, decision.encode(), kind.encode(), new)
                db.execute("UPDATE record SET body = ?, hash = ? WHERE seq = ?", [new, head, n])

    def cut(self, after: int) -> None:
        """The newest records gone, and nothing else."""
        with closing(sqlite3.connect(self.log)) as db, db:
            unguard(db)
            db.execute("DELETE FROM record WHERE seq > ?", [after])


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    case.grow("alpha", "beta")
    case.sign()
    case.grow("gamma")
    case.sign()
    yield case


class TestVerify:
    def test_a_whole_log_fits_its_checkpoints(self, case: Case) -> None:
        """What was added since the newest checkpoint is no problem, and is said not to be covered."""
        case.grow("delta")
        result = case.verify()
        assert result.exit_code == 0, result.output
        assert "ok: 8 entries" in result.stdout
        assert "signed checkpoints that fit: 2, covering 6 entries" in result.stdout

    def test_the_leaves_are_the_chain(self, case: Case) -> None:
        """The newest checkpoint's root is the published construction over the records' hashes."""
        with closing(Reader.open(case.log)) as reader:
            root = recursive_root(list(reader.hashes(0)))
        assert case.place.read_text().split("\n")[5:8] == ["example.com/log", "6", base64.b64encode(root).decode()]

    def test_a_cut_tail_is_found(self, case: Case) -> None:
        """The chain alone does not see it; a checkpoint does."""
        case.cut(5)
        with closing(Reader.open(case.log)) as reader:
            assert reader.verify().ok
        assert "the log ends at record 5, and 6 were signed: its newest records were cut off" in case.problem()

    def test_an_older_copy_is_found(self, case: Case, tmp_path: Path) -> None:
        """A log put back from before the newest checkpoint is told apart from the log."""
        shutil.copy(case.log, tmp_path / "old.db")
        case.grow("delta")
        case.sign()
        shutil.copy(tmp_path / "old.db", case.log)
        assert "the log ends at record 6, and 8 were signed" in case.problem()

    @pytest.mark.parametrize(("seq", "after"), [(2, 0), (6, 4)])
    def test_a_rewritten_log_is_found(self, case: Case, seq: int, after: int) -> None:
        """A changed record under a recomputed chain is found, and between which checkpoints it lies."""
        case.rewrite(seq)
        with closing(Reader.open(case.log)) as reader:
            assert reader.verify().ok
        assert f"the change comes after record {after}" in case.problem()

    def test_a_bad_signature_is_found(self, case: Case) -> None:
        """A checkpoint whose size somebody changed does not count."""
        case.place.write_text(case.place.read_text().replace("\n6\n", "\n5\n"))
        assert "checkpoint 2 of" in case.problem()
        assert "its signature by example.com/log is not valid" in case.problem()

    def test_another_key_of_the_same_name_is_found(self, case: Case, tmp_path: Path) -> None:
        """Whoever writes the place cannot sign with a key of their own."""
        case.key_file = tmp_path / "theirs"
        keep_new_key(case.key_file, "example.com/log")
        case.place.unlink()
        case.key = PrivateKey.load(case.key_file)
        case.sign()
        assert "it is not signed by example.com/log+" in case.problem()

    def test_another_origin_is_found(self, case: Case, tmp_path: Path) -> None:
        """A checkpoint of another log is named."""
        keep_new_key(tmp_path / "other", "example.com/other")
        case.key = PrivateKey.load(tmp_path / "other")
        case.place.unlink()
        case.sign()
        assert "it is of another log, `example.com/other`" in case.problem()

    @pytest.mark.parametrize("size", [4, 6])
    def test_checkpoints_that_disagree_are_found(self, case: Case, size: int) -> None:
        """Two that were signed over different logs are told from a log that was changed."""
        forked = Checkpoint("example.com/log", size, bytes(32)).signed(case.key)
        if size == 4:
            kept = case.place.read_bytes()
            case.place.write_bytes(forked + kept[len(kept) // 2 :])
            assert "has the one of 6 records, but not the one of 4, so that neither extends the other" in case.problem()
        else:
            case.place.write_bytes(case.place.read_bytes() + forked)
            assert "two checkpoints disagree: both are of 6 records" in case.problem()

    def test_a_checkpoint_that_a_crash_cut_off_does_not_count(self, case: Case) -> None:
        """However much of it was written, the ones before it hold, and the next one takes its place."""
        whole = case.place.read_bytes()
        case.grow("delta")
        case.sign()
        longer = case.place.read_bytes()
        for end in range(len(whole) + 1, len(longer)):
            case.place.write_bytes(longer[:end])
            assert "fit: 2, covering 6" in case.verify().stdout
        case.sign()
        assert case.place.read_bytes() == longer

    @pytest.mark.parametrize("file", ["", "dear diary\n", "missing"])
    def test_a_file_without_checkpoints_proves_nothing(self, case: Case, file: str) -> None:
        """It is a failure, not a pass, and as JSON too."""
        case.place.unlink() if file == "missing" else case.place.write_text(file)
        assert "checkpoint" in case.problem()
        assert '"ok": false' in case.verify("--json").stdout

    def test_a_key_without_checkpoints_is_a_mistake(self, case: Case) -> None:
        """Half of the two options is refused."""
        result = CliRunner().invoke(main, ["log", "verify", "--log", str(case.log), "--public-key", case.public.text])
        assert (result.exit_code, "go together" in result.stderr) == (2, True)


class TestSigning:
    def test_nothing_new_adds_nothing(self, case: Case) -> None:
        """A second look at the same log leaves the file as it is."""
        before = case.place.read_bytes()
        assert case.sign().size == 6
        assert case.place.read_bytes() == before

    def test_only_what_is_new_is_read(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        """From one checkpoint to the next, the tree grows by the new records only."""
        read = list[int]()
        hashes = Reader.hashes

        def counted(self: Reader, after: int, until: int | None = None) -> Iterator[bytes]:
            for hash in hashes(self, after, until):
                read.append(after)
                yield hash

        monkeypatch.setattr(Reader, "hashes", counted)
        with closing(Signing(case.log, case.place, case.key)) as signing:
            signing.once()
            assert len(read) == 6
            case.grow("delta")
            signing.once()
        assert len(read) == 8

    @pytest.mark.parametrize("change", ["cut", "rewrite"])
    def test_a_log_that_does_not_continue_its_checkpoint_is_not_signed(self, case: Case, change: str) -> None:
        """An older, a cut and a rewritten log are refused, and the checkpoints stay as they are."""
        before = case.place.read_bytes()
        case.cut(5) if change == "cut" else case.rewrite(3)
        with pytest.raises(LogError, match="is not signed over; find the right log"):
            case.sign()
        assert case.place.read_bytes() == before

    def test_a_file_of_something_else_is_left_alone(self, case: Case) -> None:
        """A wrong path does not cost anybody their file."""
        for text in ("dear diary\n", "example.com/log is a nice place\n"):
            case.place.write_text(text)
            with pytest.raises(LogError, match="no checkpoint: name another"):
                case.sign()
            assert case.place.read_text() == text

    def test_a_place_that_fails_is_loud_and_heals(
        self, case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is wrong is in the state and once in the log; the next checkpoint after it covers everything."""
        away = tmp_path / "away"
        with closing(Signing(case.log, case.place, case.key)) as signing:
            signing.once()
            case.place.rename(away)
            case.grow("delta")
            signing._try()
            signing._try()
            assert "cannot be written: No such file or directory" in (signing.failure or "")
            assert signing.state()["records"] == 6
            assert [r.getMessage() for r in caplog.records if "no checkpoint" in r.getMessage()] == [
                f"no checkpoint: {signing.failure}. Requests are answered and recorded as before, but records after 6 are "
                "covered by no signature elsewhere until this is mended"
            ]
            away.rename(case.place)
            signing._try()
            assert (signing.failure, signing.state()["records"]) == (None, 8)
        assert "covering 8" in case.verify().stdout

    def test_a_place_that_was_cut_is_noticed(self, case: Case) -> None:
        """A file that lost what this process signed in it is not continued."""
        with closing(Signing(case.log, case.place, case.key)) as signing:
            signing.once()
            kept = case.place.read_bytes()
            case.place.write_bytes(kept[: len(kept) // 2])
            with pytest.raises(LogError, match="ends at 4 records, and 6 were signed in it"):
                signing.once()

    def test_two_may_sign_in_turn(self, case: Case) -> None:
        """One made by hand beside a server's disturbs neither, also where the server's had failed meanwhile."""
        with closing(Signing(case.log, case.place, case.key)) as signing:
            signing.once()
            case.grow("delta")
            case.sign()
            case.grow("epsilon")
            assert signing._reader is not None
            signing._grow(signing._reader, None)  # it had read on, and could not write
            case.grow("zeta")
            assert signing.once().size == 12
        assert case.verify().exit_code == 0


def test_a_key_can_be_given_as_a_file(case: Case, tmp_path: Path) -> None:
    """What `laneway log key` printed may be kept in a file."""
    file = tmp_path / "public"
    file.write_text(case.public.text + "\n")
    arguments = ["--log", str(case.log), "--checkpoint", str(case.place), "--public-key", str(file)]
    assert CliRunner().invoke(main, ["log", "verify", *arguments]).exit_code == 0


def test_checkpoints_by_hand(tmp_path: Path) -> None:
    """The commands in the order in which a person uses them; a directory gets a file named after the log."""
    case = Case(tmp_path)
    case.grow("alpha")
    elsewhere = tmp_path / "mount"
    elsewhere.mkdir()
    log = ["--log", str(case.log)]
    made = CliRunner().invoke(main, ["log", "key", str(tmp_path / "k"), "--origin", "example.com/mine"])
    public = made.stdout.strip()
    assert public.startswith("example.com/mine+")
    signed = CliRunner().invoke(main, ["log", "checkpoint", str(elsewhere), "--key", str(tmp_path / "k"), *log])
    assert "2 records of" in signed.stdout
    place = elsewhere / "laneway.db.checkpoints"
    found = CliRunner().invoke(main, ["log", "verify", "--checkpoint", str(place), "--public-key", public, *log])
    assert "signed checkpoints that fit: 1, covering 2 entries" in found.stdout
