"""oracle: is there a request in this set? Two that know nothing of each other: exact enumeration, and z3.

`Enumeration` keeps, for every formula, one bit for each request of the space, so that it never samples and
never guesses. `Solver` (the `prove` extra) asks z3 and serves where the space is too large to write down.
What neither can answer is NotProved, never a no.
"""

from __future__ import annotations

import time
from math import inf
from typing import Any, Protocol

from laneway.errors import LanewayError
from laneway.proof.space import And, Cell, Formula, In, Neg, Space

__all__ = ["ENUMERABLE", "Enumeration", "NotProved", "Oracle", "Solver", "choose", "large"]

ENUMERABLE = 2**31
"""The most bits that a proof by enumeration may take: requests times sets of them that are kept (256 MiB)."""


class NotProved(LanewayError):
    """Nobody knows: time ran out, or the prover that it needs is not installed. Counts as a failure."""


class Oracle(Protocol):
    """Answers questions about one space."""

    name: str

    def find(self, formula: Formula) -> Cell | None:
        """A request in the set, None where it is empty. Raises NotProved."""


def choose(space: Space, seconds: float, most: int = ENUMERABLE) -> Oracle:
    """The oracle for `space`, given `seconds` in all: enumeration for up to `most` bits, then z3, or NotProved."""
    bits = space.size * _sets(space)
    if bits <= most:
        return Enumeration(space, seconds)
    try:
        return Solver(space, seconds)
    except ImportError:
        if bits <= ENUMERABLE:
            return Enumeration(space, seconds)
        raise NotProved(
            f"the policy tells {large(space.size)} requests apart, too many to enumerate; install the prover: "
            "pip install 'laneway[prove]'"
        ) from None


def large(number: int) -> str:
    """A whole number of any size in a few signs: `12,960`, or `2.6e10`."""
    digits = str(number)
    return f"{number:,}" if len(digits) < 10 else f"{digits[0]}.{digits[1]}e{len(digits) - 1}"


def _sets(space: Space) -> int:
    """About how many sets of requests a proof keeps."""
    rules = (len(rules) for p in space.policies for rules in (p.routes, p.fallbacks, p.reviews, p.limits, p.shadows))
    return 4 * sum(rules) + 8 * sum(len(policy.lanes) for policy in space.policies)


class _Clock:
    """Seconds that are left; asking for them when none are raises NotProved."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, time.monotonic() + seconds

    def left(self) -> float:
        left = self._until - time.monotonic()
        if not left > 0:
            raise NotProved(f"the proof took longer than {self._seconds:g} s; allow more with --seconds")
        return left


class Enumeration:
    """Every request is a bit of one long integer; a formula is the integer of the requests in it."""

    name = "enumeration"

    def __init__(self, space: Space, seconds: float = inf) -> None:
        self._space, self._clock = space, _Clock(seconds)
        self._sizes = [len(dimension.values) for dimension in space.dimensions]
        self._all = (1 << space.size) - 1
        self._known: dict[int, tuple[Formula, int]] = {}
        self._possible = self.requests(space.possible)

    def find(self, formula: Formula) -> Cell | None:
        """The first request in the set. Raises NotProved when time runs out."""
        self._clock.left()
        known = self._known.get(id(formula))  # what is asked once is not kept: a set may take megabytes
        bits = (known[1] if known else self._bits(formula)) & self._possible
        return self._cell((bits & -bits).bit_length() - 1) if bits else None

    def count(self, formula: Formula) -> int:
        """How many requests are in the set."""
        return (self.requests(formula) & self._possible).bit_count()

    def requests(self, formula: Formula) -> int:
        """The set as bits."""
        known = self._known.get(id(formula))
        if known is None:
            known = self._known[id(formula)] = formula, self._bits(formula)
        return known[1]

    def _bits(self, formula: Formula) -> int:
        if isinstance(formula, In):
            return self._atom(formula)
        if isinstance(formula, Neg):
            return self._all ^ self.requests(formula.part)
        if isinstance(formula, And):
            bits = self._all
            for part in formula.parts:
                bits &= self.requests(part)
            return bits
        bits = 0
        for part in formula.parts:
            bits |= self.requests(part)
        return bits

    def _atom(self, atom: In) -> int:
        inner = 1
        for size in self._sizes[atom.fact + 1 :]:
            inner *= size
        size, block = self._sizes[atom.fact], (1 << inner) - 1
        bits = 0
        for k in range(size):
            if atom.cells >> k & 1:
                bits |= block << k * inner
        have, period = 1, inner * size
        while have * period < self._space.size:  # repeated by doubling; what is too much is cut
            bits |= bits << have * period
            have *= 2
        return bits & self._all

    def _cell(self, place: int) -> Cell:
        cell = []
        for size in reversed(self._sizes):
            place, k = divmod(place, size)
            cell.append(k)
        return tuple(reversed(cell))


class Solver:
    """The same by z3: each fact a bit vector that numbers its cell."""

    name = "z3"

    def __init__(self, space: Space, seconds: float) -> None:
        import z3  # noqa: PLC0415  # an extra, and slow to load

        self._z3: Any = z3
        self._space, self._clock = space, _Clock(seconds)
        self._context = z3.Context()
        self._facts = [
            z3.BitVec(f"f{i}", max(1, (len(d.values) - 1).bit_length()), self._context)
            for i, d in enumerate(space.dimensions)
        ]
        self._known: dict[int, tuple[Formula, Any]] = {}
        self._solver = z3.SolverFor("QF_BV", ctx=self._context)
        for fact, dimension in zip(self._facts, space.dimensions, strict=True):
            self._solver.add(z3.ULE(fact, len(dimension.values) - 1))
        self._solver.add(self._term(space.possible))

    def find(self, formula: Formula) -> Cell | None:
        """A request in the set. Raises NotProved when time runs out or z3 gives up."""
        self._solver.set("timeout", max(1, int(min(self._clock.left(), 1e6) * 1000)))
        self._solver.push()
        try:
            self._solver.add(self._term(formula))
            answer = self._solver.check()
            if answer == self._z3.unsat:
                return None
            if answer != self._z3.sat:
                raise NotProved(f"z3 gave up: {self._solver.reason_unknown()}; allow more with --seconds")
            model = self._solver.model()
            return tuple(model.eval(fact, model_completion=True).as_long() for fact in self._facts)
        finally:
            self._solver.pop()

    def _term(self, formula: Formula) -> Any:
        known = self._known.get(id(formula))
        if known is None:
            known = self._known[id(formula)] = formula, self._made(formula)
        return known[1]

    def _made(self, formula: Formula) -> Any:
        z3 = self._z3
        if isinstance(formula, In):
            fact = self._facts[formula.fact]
            return _or(z3, [_between(z3, fact, a, b) for a, b in _runs(formula.cells)], self._context)
        if isinstance(formula, Neg):
            return z3.Not(self._term(formula.part))
        parts = [self._term(part) for part in formula.parts]
        if isinstance(formula, And):
            return z3.And(*parts) if parts else z3.BoolVal(True, self._context)
        return _or(z3, parts, self._context)


def _or(z3: Any, parts: list[Any], context: Any) -> Any:
    return z3.BoolVal(False, context) if not parts else parts[0] if len(parts) == 1 else z3.Or(*parts)


def _between(z3: Any, fact: Any, low: int, high: int) -> Any:
    if low == high:
        return fact == low
    return z3.And(z3.ULE(low, fact), z3.ULE(fact, high)) if low else z3.ULE(fact, high)


def _runs(mask: int) -> list[tuple[int, int]]:
    """The runs of ones in a bit mask, as (first, last)."""
    runs, k = [], 0
    while mask >> k:
        if mask >> k & 1:
            start = k
            while mask >> k & 1:
                k += 1
            runs.append((start, k - 1))
        k += 1
    return runs
