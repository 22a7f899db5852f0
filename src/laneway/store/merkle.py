"""The Merkle tree over a log, as RFC 6962 defines it: leaves go in one by one, the root comes out.

Only the right edge is kept, one hash for each bit set in the size, so that a root costs O(log n) at any time.
"""

from __future__ import annotations

import hashlib

__all__ = ["Tree"]


class Tree:
    """A tree of `size` leaves that only grows."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        node, place = hashlib.sha256(b"\0" + leaf).digest(), self.size
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


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
