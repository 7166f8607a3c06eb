# SPDX-License-Identifier: Apache-2.0
"""Which gates a push concerns, asked gate by gate and all at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.terms import NS
from sekisho.services.agentgates import ASSIGNED, AgentGates
from sekisho.services.status import StatusPush

CERTIFICATE, OTHER = "c" * 64, "d" * 64
GATES = ("has", "left", "left-without-lease", "stranger")


class World:
    """An agent that moved from two gates to a third, and leases of 10 s."""

    def __init__(self, *, assigned: bool = True) -> None:
        self.clock = SteppedClock(0)
        left = {"left": SimpleNamespace(epoch=3), "left-without-lease": SimpleNamespace(epoch=2)}
        held = {"bot": SimpleNamespace(gate="has", left=left)} if assigned else {}
        log: Any = SimpleNamespace(state=SimpleNamespace(assigned=held))
        self.gates = AgentGates(cast("Any", log), self.clock)
        until = self.clock.monotonic_ns() + 10 * NS
        for gate in ("left", "stranger"):
            self.gates.outstanding.granted(gate, frozenset({CERTIFICATE}), until)
        self.gates.outstanding.granted("left-without-lease", frozenset({OTHER}), until)

    def concerned(self, cause: str = "hold", epoch: int = 9) -> set[str]:
        """The gates that a push concerns, each asked."""
        push = StatusPush(
            agent="bot",
            certificate_sha256=CERTIFICATE,
            serial_number="01",
            status="hold",
            reason="certificateHold",
            epoch=epoch,
            cause=cause,
            recorded=True,
        )
        return {gate for gate in GATES if self.gates.concerned(gate, push)}

    def all_at_once(self) -> set[str]:
        """The same, as ``gates_of`` says it."""
        return set(self.gates.gates_of("bot", frozenset({CERTIFICATE})))


def test_concerned_is_who_has_the_agent_or_had_it_and_may_hold_its_lease() -> None:
    """Not a gate that never had it, nor one whose lease speaks of another certificate."""
    world = World()
    assert {"has", "left"} == world.concerned() == world.all_at_once()


def test_concerned_ends_with_the_lease_except_for_who_has_the_agent() -> None:
    """After ten seconds nobody else may sign."""
    world = World()
    world.clock.advance(10)
    assert {"has"} == world.concerned() == world.all_at_once()


def test_concerned_without_an_assignment_is_whoever_may_hold_a_lease() -> None:
    """An agent that no gate has yet may stand in a lease all the same."""
    world = World(assigned=False)
    assert {"left", "stranger"} == world.concerned() == world.all_at_once()


def test_concerned_by_a_move_is_the_gate_that_it_left_at_that_epoch() -> None:
    """A push of an earlier move is nobody's."""
    world = World()
    assert {"left"} == world.concerned(ASSIGNED, 3)
    assert {"left-without-lease"} == world.concerned(ASSIGNED, 2)
    assert set() == world.concerned(ASSIGNED, 4)


def test_holders_after_a_restart_may_hold_any_certificate_until_the_longest_lease_ends() -> None:
    """What an earlier process granted is not known; afterwards only what this one granted."""
    world = World()
    outstanding = world.gates.outstanding
    outstanding.opened("earlier", 60)
    assert {"earlier"} == outstanding.holders(frozenset({"e" * 64}))
    world.clock.advance(60)
    assert set() == outstanding.holders(frozenset({"e" * 64}))
    assert 0 == outstanding.left("earlier", frozenset({"e" * 64}))
