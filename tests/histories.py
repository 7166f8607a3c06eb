# SPDX-License-Identifier: Apache-2.0
"""Histories of agents read by product and verifier, for the tests of both.

The logs are those of simulated gates, whose policies lack what only governance reads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from sekisho.adapters.clocks import SystemClock
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.events import (
    AgentAdmitted,
    GateEntry,
    GateOpened,
    HistoryAwaited,
    HistoryPart,
    decode_gate_entry,
)
from sekisho.core.gate import history
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.state import GateState
from sekisho.core.handover import Head, Row, head_row, parts_of
from sekisho.core.terms import parse_instant
from sekisho.services.histories import Histories
from sekisho_verify import decisions, policy
from sekisho_verify import history as read_by_others
from sekisho_verify.fold import State
from tests.unit.verify import build_policy as samples


class Life:
    """A gate's log, folded by the product as far as it goes."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.state, self.watch = GateState(), WatchState(origin)
        self.leaves: list[bytes] = []

    def take(self, entry: GateEntry) -> None:
        index = len(self.leaves)
        self.leaves.append(canonical(entry))
        self.state.apply(index, entry)
        self.watch.apply(index, entry)

    def rows(self, agent: AgentState, now: int, head: Head) -> list[Row]:
        """The agent's history as a gate writes it; its day is rolled."""
        agent.roll(now)
        journal = SimpleNamespace(entry=self.leaves.__getitem__)
        log: Any = SimpleNamespace(journal=journal)
        none = cast("Any", None)
        service = Histories(log, none, none, none, none, SystemClock())

        async def ids() -> list[Row]:
            return [parse_plain(data[:-1]) async for data in service._ids(agent)]

        return [
            head_row(head),
            *history.rows_of(agent, now),
            *self.watch.history_rows(agent.agent, now),
            *history.executed_rows(agent),
            *asyncio.run(ids()),
        ]


def whole_policy(entry: dict[str, Any]) -> policy.Policy:
    """The policy of an admission, with what a simulated gate leaves out of it."""
    found = dict(samples.policy())
    for name, value in entry["policy"].items():
        if name not in {"governance", "testing"}:  # dated otherwise there, and never due
            found[name] = {**found[name], **value} if isinstance(value, dict) else value
    scope = found["scope"]
    first = {**scope["zone_offsets"][0], "since": found["valid_from"]}
    found["scope"] = {**scope, "zone_offsets": [first, *scope["zone_offsets"][1:]]}
    return dataclasses.replace(policy.read(found), sha256=str(entry["policy_sha256"]))


def folded_by_others(leaves: list[bytes], origin: str) -> State:
    """The verifier's fold; every decision is judged on the way."""
    found: list[dict[str, Any]] = [parse_plain(leaf) for leaf in leaves]
    times = [parse_instant(str(one["at"])) for one in found]
    policies = {
        str(one["policy_sha256"]): whole_policy(one)
        for one in found
        if one["kind"] == "agent_admitted"
    }
    _, watch = decisions.walk(found, times, policies, origin)
    return watch._state


def plain(rows: Iterator[read_by_others.Row] | list[Row]) -> list[bytes]:
    return [canonical(row) for row in rows]


def moved(life: Life, rows: list[Row]) -> Life:
    """The log of a gate that admits the agent and takes its history."""
    at = decode_gate_entry(life.leaves[-1]).at
    assert parse_instant(at) == life.state.at
    found = [decode_gate_entry(leaf) for leaf in life.leaves]
    admitted = [one for one in found if isinstance(one, AgentAdmitted)][-1]
    opened = next(one for one in found if isinstance(one, GateOpened))
    there = Life(life.origin)
    there.take(GateOpened(at=at, gate="second", boot=opened.boot, region="r", environment="test"))
    fields = {name: getattr(admitted, name) for name in admitted.__struct_fields__}
    there.take(AgentAdmitted(**(fields | {"at": at})))
    there.take(HistoryAwaited(at=at, agent=admitted.agent, before="first", epoch=7))
    sha256 = hashlib.sha256(b"".join(canonical(row) + b"\n" for row in rows)).hexdigest()
    parts = list(parts_of(rows))
    for number, part in enumerate(parts):
        there.take(
            HistoryPart(
                at=at,
                agent=admitted.agent,
                epoch=7,
                history_sha256=sha256,
                part=number,
                last=number == len(parts) - 1,
                rows=part,
            )
        )
    return there


def assert_same_for_all(leaves: list[bytes], origin: str) -> list[Row]:
    """The one agent's history at the end of a log, as product, verifier and the next gate have it.

    Returns its rows.
    """
    life = Life(origin)
    for leaf in leaves:
        life.take(decode_gate_entry(leaf))
    (agent,) = life.state.agents.values()
    head, now = (agent.agent, 7, origin, len(leaves)), life.state.at
    state = folded_by_others(leaves, origin)
    other = state.agents[agent.agent]
    state.roll(other, now)
    rows = life.rows(agent, now, Head(*head))
    assert plain(read_by_others.rows(other, read_by_others.Head(*head), now)) == plain(rows)
    taken = moved(life, rows)
    (there,) = taken.state.agents.values()
    assert not there.awaits
    assert plain(rows) == plain(taken.rows(there, now, Head(*head)))
    twin = folded_by_others(taken.leaves, origin).agents[agent.agent]
    assert plain(rows) == plain(read_by_others.rows(twin, read_by_others.Head(*head), now))
    return rows
