# SPDX-License-Identifier: Apache-2.0
"""A state that was written and read again folds on as the one that was not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.core.behaviour import snapshot as watch_snapshot
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.events import GateEntry
from sekisho.core.gate import snapshot as gate_snapshot
from sekisho.core.gate.agent import in_memory
from sekisho.core.gate.state import GateState
from tests.fold_world import FoldWorld
from tests.property.test_behaviour import lives, two_lives
from tests.property.test_gate_fold import POLICY, STEPS, live, plain


def read_again(plain_values: Any) -> Any:
    """What a file holds of them."""
    return parse_plain(canonical(plain_values))


def fold_on(state: GateState, entries: list[GateEntry]) -> GateState:
    for index in range(state.size, len(entries)):
        state.apply(index, entries[index])
    return state


def gate_bytes(state: GateState) -> bytes:
    return canonical(gate_snapshot.write(state))


def parts(between: list[bytes], ended: list[gate_snapshot.EndedPart]) -> Iterator[bytes]:
    """The parts of a cut in their order."""
    yield between[0]
    for one, after in zip(ended, between[1:], strict=True):
        yield from one.encoded()
        yield after


def values(state: GateState) -> dict[str, Any]:
    """The agent's state as comparable values, made without the encoding."""
    bot = state.agents["bot"]
    return plain(bot) | {"ended": dict(bot.ended._by_name)}


@settings(max_examples=12, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_gate_restored_at_every_prefix_folds_to_the_same_state(steps: list[Any]) -> None:
    """Written and read at each entry, the rest folded: state and bytes are those of all."""
    world = FoldWorld(POLICY)
    live(world, steps)
    whole = fold_on(GateState(), world.entries)
    expected = gate_bytes(whole)
    prefix = GateState()
    for index in range(len(world.entries) + 1):
        written = gate_bytes(prefix)
        restored = gate_snapshot.read(parse_plain(written), in_memory)
        assert written == gate_bytes(restored)
        fold_on(restored, world.entries)
        assert expected == gate_bytes(restored)
        assert values(whole) == values(restored)
        if index < len(world.entries):
            prefix.apply(index, world.entries[index])


@settings(max_examples=12, deadline=None)
@given(st.lists(STEPS, max_size=30), st.integers(0, 60), st.integers(0, 12))
def test_cut_encoded_while_entries_go_on_is_the_state_at_its_entry(
    steps: list[Any], at: int, begun: int
) -> None:
    """Some parts before, the rest after all later entries: the bytes are those of the moment."""
    world = FoldWorld(POLICY)
    live(world, steps)
    state = GateState()
    for index, entry in enumerate(world.entries[:at]):
        state.apply(index, entry)
    expected = gate_bytes(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_snapshot, "SLICE", 1)
        rest, ended = gate_snapshot.cut(state)
        between = canonical(rest).split(gate_snapshot.PLACE)
        assert len(between) == len(ended) + 1
        encoding = parts(between, ended)
        found = list(islice(encoding, begun))
        fold_on(state, world.entries)
        found += list(encoding)
    assert expected == b"".join(found)
    assert gate_bytes(gate_snapshot.read(parse_plain(b"".join(found)), in_memory)) == expected


@settings(max_examples=8, deadline=None)
@given(lives, lives, st.integers(5, 19))
def test_watch_restored_at_prefixes_folds_to_the_same_scores(
    first: Any, second: Any, step: int
) -> None:
    """Written and read on the way, the rest folded: scores, risks and bytes are those of all."""
    trail = two_lives(first, second)
    expected = canonical(watch_snapshot.write(trail.watch))
    prefix = WatchState("gate.example/g1")
    for index, entry in enumerate(trail.entries):
        if index % step == 0:
            written = canonical(watch_snapshot.write(prefix))
            restored = watch_snapshot.read(parse_plain(written))
            assert written == canonical(watch_snapshot.write(restored))
            for later in range(index, len(trail.entries)):
                restored.apply(later, trail.entries[later])
            assert expected == canonical(watch_snapshot.write(restored))
            assert trail.watch.scores(trail.sight()) == restored.scores(trail.sight())
            assert trail.watch.risk("bot", trail.now) == restored.risk("bot", trail.now)
            assert trail.watch.baseline("bot", trail.now) == restored.baseline("bot", trail.now)
            assert trail.watch.crossing("bot") == restored.crossing("bot")
        prefix.apply(index, entry)
