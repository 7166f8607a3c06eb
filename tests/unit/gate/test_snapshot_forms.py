# SPDX-License-Identifier: Apache-2.0
"""A snapshot of the gate's state that is not whole is refused, never half taken."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.gate import snapshot
from sekisho.core.gate.agent import Known, Seen, in_memory
from sekisho.core.gate.working import Pending
from tests.gate_world import GateWorld


class Elsewhere(dict[str, Known]):
    """Ids that are kept in a file: a mapping, but no plain dict."""


def elsewhere() -> Seen:
    return Seen(Elsewhere({"o-1": Known("d" * 64, 4)}), {}, set())


def nowhere() -> Seen:
    return Seen(Elsewhere(), {}, set())


def state_of_a_life() -> Any:
    """A state with a resting order and one that was refused."""

    async def live() -> Any:
        world = await GateWorld.start()
        await world.ask(client_order_id="o-1", quantity="100")
        await world.ask(client_order_id="o-2", quantity="180000")
        return world.log.state

    return asyncio.run(live())


def written() -> dict[str, Any]:
    plain = parse_plain(canonical(snapshot.write(state_of_a_life())))
    assert isinstance(plain, dict)
    return plain


def changed(**agent: Any) -> dict[str, Any]:
    """What was written, with parts of the agent replaced; None leaves one out."""
    plain = copy.deepcopy(written())
    merged = plain["agents"][0] | agent
    plain["agents"][0] = {name: value for name, value in merged.items() if value is not None}
    return plain


def test_snapshot_written_and_read_is_the_same() -> None:
    """The bytes of what was read again are those that were written."""
    plain = written()
    again = snapshot.read(plain, in_memory)
    assert canonical(plain) == canonical(snapshot.write(again))
    assert {"o-1", "o-2"} == set(again.agents["bot"].known)
    assert "o-1" == next(iter(again.agents["bot"].by_decision.values())).client_order_id


@pytest.mark.parametrize("plain", [None, [], "x", {}, {"agents": {}}, {"agents": None}])
def test_snapshot_without_agents_is_refused(plain: Any) -> None:
    """What is no snapshot at all says so."""
    with pytest.raises(MalformedInput, match="no agents"):
        snapshot.read(plain, in_memory)


@pytest.mark.parametrize("one", [None, [], "x", {}])
def test_snapshot_with_an_agent_that_is_none_is_refused(one: Any) -> None:
    """Each agent must be whole."""
    with pytest.raises(MalformedInput, match="an agent lacks a part"):
        snapshot.read(written() | {"agents": [one]}, in_memory)


@pytest.mark.parametrize("part", ["by_decision", "seen"])
def test_snapshot_with_an_agent_that_lacks_a_part_is_refused(part: str) -> None:
    """The two parts that are written apart must be there."""
    with pytest.raises(MalformedInput, match="an agent lacks a part"):
        snapshot.read(changed(**{part: None}), in_memory)


def test_snapshot_with_a_decision_of_no_order_is_refused() -> None:
    """A decision must lead to a working order of the same agent."""
    index = next(iter(written()["agents"][0]["by_decision"]))[0]
    with pytest.raises(MalformedInput, match="of no working order"):
        snapshot.read(changed(by_decision=[[index, "o-9"]]), in_memory)


def test_snapshot_counts_ids_that_are_kept_elsewhere() -> None:
    """Where ids lie in a file the snapshot holds their number, and another number is refused."""
    state = state_of_a_life()
    state.agents["bot"].known = Elsewhere(state.agents["bot"].known)
    plain = parse_plain(canonical(snapshot.write(state)))
    seen = plain["agents"][0]["seen"]
    assert "2" == seen[0]
    with pytest.raises(MalformedInput, match="ids, answers and reports"):
        snapshot.read(plain, elsewhere)
    held = changed(seen=["1", "0", "0"])
    assert {"o-1"} == set(snapshot.read(held, elsewhere).agents["bot"].known)


@pytest.mark.parametrize("seen_in", [elsewhere, nowhere])
def test_snapshot_with_ids_is_not_read_into_a_file(seen_in: Any) -> None:
    """Ids in the snapshot and ids in a file exclude each other, also while the file is empty."""
    with pytest.raises(MalformedInput, match="kept elsewhere now"):
        snapshot.read(written(), seen_in)


def test_snapshot_refuses_a_struct_with_a_field_that_is_not_written() -> None:
    """A field that somebody adds cannot be forgotten: nothing is written without it."""
    wider = msgspec.defstruct("Pending", [(name, Any) for name in Pending.__struct_fields__])
    held = wider(*(0 for _ in Pending.__struct_fields__))
    snapshot._only(held, set(Pending.__struct_fields__))
    with pytest.raises(MalformedInput, match="disagree"):
        snapshot._only(held, set(Pending.__struct_fields__[1:]))
