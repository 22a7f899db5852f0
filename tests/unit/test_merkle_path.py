"""Audit paths: those of RFC 6962 for one leaf, and for leaves in a row whatever the definition says."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_checkpoint import LEAVES, ROOTS, recursive_root

from laneway.store.merkle import audit_path, path_root

LEAF = [bytes.fromhex(leaf) for leaf in LEAVES]

# The reference vectors of RFC 6962's implementations: leaf (from 1), size, path.
PATHS = [
    (1, 1, []),
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (2, 5, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "size", "path"), PATHS)
def test_the_path_of_one_leaf_is_the_published_one(leaf: int, size: int, path: list[str]) -> None:
    """The path is the published one, hash for hash, and makes the published root."""
    found = audit_path(size, leaf - 1, leaf, lambda a, b: LEAF[a:b])
    assert [hash.hex() for hash in found] == path
    root = path_root(size, leaf - 1, leaf, [LEAF[leaf - 1]], found)
    assert root is not None
    assert root.hex() == ROOTS[size]


def test_the_paths_of_the_rfc_s_example() -> None:
    """Section 2.1.3: the tree of seven leaves, and the paths of its leaves 0, 3, 4 and 6, named as there."""
    leaves = [b"%d" % n for n in range(7)]
    a, b, c, d, e, f, j = (hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves)
    g, h, i = (hashlib.sha256(b"\1" + left + right).digest() for left, right in ((a, b), (c, d), (e, f)))
    k, l = (hashlib.sha256(b"\1" + left + right).digest() for left, right in ((g, h), (i, j)))  # noqa: E741
    for leaf, path in {0: [b, h, l], 3: [c, g, l], 4: [f, j, k], 6: [i, k]}.items():
        assert audit_path(7, leaf, leaf + 1, lambda x, y: leaves[x:y]) == path


@given(st.data())
def test_leaves_in_a_row_make_the_root_and_nothing_else_does(data: st.DataObject) -> None:
    """Any leaves in a row with their path make the root; other leaves, another place or another path make none of it."""
    size = data.draw(st.integers(1, 70))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    leaves = [b"%d" % n for n in range(size)]
    path = audit_path(size, start, end, lambda a, b: leaves[a:b])
    root = recursive_root(leaves)
    part = leaves[start:end]
    assert path_root(size, start, end, part, path) == root
    assert path_root(size, start, end, [*part[:-1], b"x"], path) != root
    assert path_root(size, start, end, part[:-1], path) is None
    assert path_root(size, start, end, [*part, b"x"], path) is None
    assert path_root(size, start, end, part, [*path, root]) is None
    if path:
        assert path_root(size, start, end, part, path[:-1]) is None
        assert path_root(size, start, end, part, [*path[:-1], root]) != root
    if start:
        assert path_root(size, start - 1, end - 1, part, path) != root


def test_a_place_that_cannot_be_has_no_root() -> None:
    """No leaves, leaves beyond the tree, and a tree without leaves."""
    for size, start, end in ((0, 0, 0), (5, 3, 3), (5, 4, 6), (5, -1, 2), (0, 0, 1)):
        assert path_root(size, start, end, [b"a"], []) is None
