# SPDX-License-Identifier: Apache-2.0
"""The history of an agent at any moment of a simulated life: written, taken, and read by others.

Product and verifier write it from the same log, each in its own way, to the last byte; a gate that
took it writes it again as it came. Everything in flight, in doubt or latched then is in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.behaviour import history as watch_history
from sekisho.core.events import AgentAdmitted, decode_gate_entry
from sekisho.core.gate import history
from tests.histories import assert_same_for_all
from tests.simulation.life import ORIGIN
from tests.simulation.run import Result, _live
from tests.simulation.world import World

SEEDS = (3, 8, 12)
CUTS = 6
SELDOM = {"execution", "counterparty", "low", "high", "begun"}
"""Rows of limits that the simulated policy does not have (tests/unit/services/test_histories.py),
and of a history that was declared lost (tests/unit/services/test_losing.py)."""


def lived(seed: int) -> list[bytes]:
    """The log of a simulated gate."""
    world = World(seed)
    try:
        _live(world, Result(seed))
        return list(world.durable())
    finally:
        world.end()


def cuts(leaves: list[bytes]) -> Iterator[int]:
    """Places all along a log."""
    first = next(
        at for at, one in enumerate(leaves) if isinstance(decode_gate_entry(one), AgentAdmitted)
    )
    step = max(1, (len(leaves) - first) // CUTS)
    yield from range(first + 1, len(leaves) + 1, step)


def test_history_at_any_moment_is_the_same_for_product_verifier_and_next_gate() -> None:
    """Written twice and taken twice it says the same, whatever was under way."""
    kinds: set[str] = set()
    for seed in SEEDS:
        leaves = lived(seed)
        for cut in cuts(leaves):
            kinds |= {str(row[0]) for row in assert_same_for_all(leaves[:cut], ORIGIN)}
    assert (history.KINDS | watch_history.KINDS | {"history"}) - kinds == SELDOM
