"""The Merkle tree over a log, as RFC 6962 defines it: leaves go in one by one, the root comes out.

Only the right edge is kept, one hash for each bit set in the size, so that a root costs O(log n) at any time. An audit
path shows that leaves which follow each other stand in a tree; for one leaf it is the path of RFC 6962, section 2.1.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

__all__ = ["Tree", "audit_path", "path_root"]


class Tree:
    """A tree of `size` leaves that only grows."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        node, place = _leaf(leaf), self.size
        while place & 1:
            node = _parent(self._edge.pop(), node)
            place >>= 1
        self._edge.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The SHA-256 over all leaves so far."""
        if not self._edge:
            return hashlib.sha256().digest()
        root = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            root = _parent(left, root)
        return root


def audit_path(size: int, start: int, end: int, leaves: Callable[[int, int], Iterable[bytes]]) -> list[bytes]:
    """What, beside the leaves `start` to `end` (from 0, the end not among them), makes the root of a tree of `size`.

    `leaves(a, b)` are those from `a` to `b`; each is read once.
    """
    assert 0 <= start < end <= size
    path = []
    for low, high in _siblings(0, size, start, end):
        tree = Tree()
        for leaf in leaves(low, high):
            tree.add(leaf)
        path.append(tree.root())
    return path


def path_root(size: int, start: int, end: int, leaves: Iterable[bytes], path: Iterable[bytes]) -> bytes | None:
    """The root of the tree of `size` in which `leaves` stand at `start` to `end`, by their path; None for a bad one."""
    if not 0 <= start < end <= size:
        return None
    known, rest = iter(leaves), iter(path)

    def node(low: int, high: int) -> bytes:
        if high - low == 1:
            return _leaf(next(known))
        middle = _middle(low, high)
        if end <= middle:
            left = node(low, middle)
            return _parent(left, next(rest))
        if start >= middle:
            right = node(middle, high)
            return _parent(next(rest), right)
        left = node(low, middle)
        return _parent(left, node(middle, high))

    try:
        root = node(0, size)
    except StopIteration:
        return None
    over = next(known, None) is not None or next(rest, None) is not None
    return None if over else root


def _siblings(low: int, high: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest subtrees beside the leaves `start` to `end`, in the order in which a root is made with them."""
    if high - low == 1:
        return
    middle = _middle(low, high)
    if start < middle:
        yield from _siblings(low, middle, start, end)
    else:
        yield from _siblings(middle, high, start, end)
        yield low, middle
        return
    if end > middle:
        yield from _siblings(middle, high, start, end)
    else:
        yield middle, high


def _middle(low: int, high: int) -> int:
    """Where a tree splits: the left part is the largest power of two that is smaller than the whole."""
    return low + (1 << (high - low - 1).bit_length() - 1)


def _leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
