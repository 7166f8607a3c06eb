# SPDX-License-Identifier: Apache-2.0
"""Lives of a gate with faults, incidents and people: written and read on the way, they fold on."""

from __future__ import annotations

import pytest

from sekisho.core.behaviour import snapshot as watch_snapshot
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.gate import snapshot as gate_snapshot
from sekisho.core.gate.agent import in_memory
from sekisho.core.gate.state import GateState
from tests.gate_world import ORIGIN
from tests.simulation.run import Result, _live
from tests.simulation.world import World

PARTS = 9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_life_restored_on_the_way_ends_as_it_ended(seed: int) -> None:
    """At several prefixes both folds are written, read, and folded to the end: equal bytes."""
    world = World(seed, observed=True)
    try:
        _live(world, Result(seed))
        entries = list(world.look().entries)
    finally:
        world.end()
    state, watch = GateState(), WatchState(ORIGIN)
    written: list[tuple[int, bytes, bytes]] = []
    for index, entry in enumerate(entries):
        if index % (len(entries) // PARTS) == 0:
            told = gate_snapshot.write(state), watch_snapshot.write(watch)
            written.append((index, canonical(told[0]), canonical(told[1])))
        state.apply(index, entry)
        watch.apply(index, entry)
    expected = canonical(gate_snapshot.write(state)), canonical(watch_snapshot.write(watch))
    assert PARTS <= len(written)
    for begin, gate, behaviour in written:
        state = gate_snapshot.read(parse_plain(gate), in_memory)
        watch = watch_snapshot.read(parse_plain(behaviour))
        for index in range(begin, len(entries)):
            state.apply(index, entries[index])
            watch.apply(index, entries[index])
        assert expected == (
            canonical(gate_snapshot.write(state)),
            canonical(watch_snapshot.write(watch)),
        )
