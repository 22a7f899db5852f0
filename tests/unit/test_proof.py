"""proof: enumeration, z3 and the interpreter agree on what a request may reach."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given, settings
from tests.generated import TODAY, policies

from laneway.decide import decide
from laneway.decision import Route
from laneway.facts import Facts
from laneway.lane import Price
from laneway.policy import Policy
from laneway.proof.oracle import Enumeration, Solver
from laneway.proof.reach import Reach
from laneway.proof.space import Cell, In, Space, both, signals_of
from laneway.signals import Ask


def free(policy: Policy) -> Policy:
    """The policy without prices, which may close a lane within a cell, and without reviews, which hold."""
    lanes = {n: replace(x, price=x.price and Price(0, 0, 0)) for n, x in policy.lanes.items()}
    return replace(policy, lanes=lanes, reviews=())


def called(policy: Policy, space: Space, cell: Cell) -> frozenset[str]:
    """Every lane that the interpreter would call for the request in `cell`, over all outages."""
    lanes: set[str] = set()
    for n in range(len(policy.lanes)):
        for down in itertools.combinations(policy.lanes, n):
            facts = Facts(today=TODAY, closed=dict.fromkeys(down, "down"))
            made = decide(policy, Ask(), signals_of(space, cell), facts)
            if isinstance(made, Route):
                rank = policy.rank
                lanes.update(made.lanes)
                lanes.update(x for x in made.escalate if any(rank[x] > rank[y] for y in made.lanes))
    return frozenset(lanes)


@given(policies())
@settings(max_examples=300, deadline=None)
def test_enumeration_solver_and_interpreter_agree_on_the_lanes_reached(made: Policy) -> None:
    """For every lane: the same answer from both oracles, and a witness that the interpreter takes there."""
    policy = free(made)
    space = Space(policy)
    reach, bits, solver = Reach(policy, space, TODAY), Enumeration(space), Solver(space, 60)
    for lane, reached in reach.reached.items():
        found, solved = bits.find(reached), solver.find(reached)
        assert (found is None) == (solved is None)
        for cell in {found, solved} - {None}:
            assert cell is not None
            assert lane in called(policy, space, cell)
    some = bits.find(reach.unrouted) or bits.find(both())
    assert some is not None
    here = both(*(In(i, 1 << k) for i, k in enumerate(some)))
    assert called(policy, space, some) == {n for n, f in reach.reached.items() if bits.find(both(f, here))}
