# SPDX-License-Identifier: Apache-2.0
"""What one gate may tell the authority of another gate's log and agents: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sekisho.compose import COMPLIANCE_SEAT, OPERATOR_SEAT, RISK_SEAT
from sekisho.core.errors import NotAuthorised
from sekisho.ports import IncidentReport
from tests.embedded_world import AGENT
from tests.integration.link_world import LinkedGate, LinkWorld


def play(story: Coroutine[object, object, None]) -> None:
    asyncio.run(story)


def report_of(world: LinkWorld, gate: LinkedGate, number: int = 1, **other: Any) -> IncidentReport:
    """An incident in the log of this gate."""
    fields: dict[str, Any] = {
        "origin": gate.origin,
        "index": number,
        "incident": f"{number:032x}",
        "agent": AGENT,
        "certificate_sha256": world.certificate,
        "incident_kind": "hold",
        "score": "risk",
        "factor": "size",
        "observed": "0.900000",
        "threshold": "0.85",
    }
    return IncidentReport(**(fields | other))


async def two_gates(path: Path) -> tuple[LinkWorld, LinkedGate, LinkedGate]:
    """Both have a lease; the first has the agent."""
    world = await LinkWorld.start(path, "gate-1", "gate-2")
    first, second = await world.gate("gate-1"), await world.gate("gate-2")
    await first.client.admission(AGENT)
    await first.ask_lease(world.certificate)
    await second.ask_lease()
    return world, first, second


def test_incident_is_taken_from_the_gate_of_its_log_and_agent_alone(tmp_path: Path) -> None:
    """Another gate's log, another gate's agent, no lease ever: refused, and nobody is held."""

    async def story() -> None:
        world, first, second = await two_gates(tmp_path / "home")
        authority = world.served.home.authority
        try:
            unknown = await world.gate("gate-1")
            unknown.origin = "log.example/other"
            for gate, report in (
                (second, report_of(world, first)),
                (second, report_of(world, second)),
                (first, report_of(world, second)),
                (first, report_of(world, unknown)),
                (second, report_of(world, first, agent="", certificate_sha256="")),
            ):
                with pytest.raises(NotAuthorised, match="gate"):
                    await gate.client.report_incident(report)
            assert ([], "good") == (
                list(authority.incidents.all()),
                authority.state.agents[AGENT][-1].status,
            )
            venue = {"incident_kind": "break", "agent": "", "certificate_sha256": "",
                     "score": "venue", "factor": "resting_unknown", "observed": "PAPER",
                     "threshold": ""}  # fmt: skip
            await second.client.report_incident(report_of(world, second, 2, **venue))
            await first.client.report_incident(report_of(world, first))
            assert 2 == len(list(authority.incidents.all()))
        finally:
            await world.close()

    play(story())


def test_incident_of_an_agent_that_moved_away_is_taken_from_both_gates(tmp_path: Path) -> None:
    """What the gate before saw while it had the agent is still told, of that certificate."""

    async def story() -> None:
        world, first, second = await two_gates(tmp_path / "home")
        authority = world.served.home.authority
        try:
            signed = world.sign("assign", OPERATOR_SEAT, gate="gate-2")
            await authority.assign(signed)
            await first.client.report_incident(report_of(world, first))
            await second.client.report_incident(report_of(world, second, 2))
            left = authority.state.assigned[AGENT].left["gate-1"]
            authority.state.agents[AGENT][-1].index = left.index + 1  # issued after the move
            with pytest.raises(NotAuthorised, match="does not have agent"):
                await first.client.report_incident(report_of(world, first, 3))
        finally:
            await world.close()

    play(story())


def test_baseline_is_locked_for_the_gate_that_has_the_agent_alone(tmp_path: Path) -> None:
    """People signed; the log that it follows from is that of the agent's gate."""

    async def story() -> None:
        world, first, second = await two_gates(tmp_path / "home")
        try:
            signed = world.sign("go_live", COMPLIANCE_SEAT, baseline_sha256="b" * 64)
            for gate, origin in ((second, first.origin), (second, second.origin),
                                 (first, second.origin)):  # fmt: skip
                with pytest.raises(NotAuthorised, match="gate"):
                    await gate.client.go_live(signed, origin=origin, complete=True)
            lock = await first.client.go_live(signed, origin=first.origin, complete=True)
            assert "b" * 64 == lock.baseline_sha256
        finally:
            await world.close()

    play(story())


def test_stop_that_was_taken_before_is_answered_with_the_epoch_of_its_release(
    tmp_path: Path,
) -> None:
    """The answer goes over the link too: a gate whose first answer was lost can go on."""

    async def story() -> None:
        world, first, _ = await two_gates(tmp_path / "home")
        authority = world.served.home.authority
        try:
            signed = world.sign("hold", COMPLIANCE_SEAT)
            assert None is await first.client.take_over(signed)
            assert None is await first.client.take_over(signed)
            epoch = authority.state.agent_epoch(AGENT)
            await authority.command(world.sign("release", COMPLIANCE_SEAT, RISK_SEAT))
            answer = await first.client.take_over(signed)
            assert answer is not None
            assert {AGENT: epoch + 1} == answer.released
        finally:
            await world.close()

    play(story())
