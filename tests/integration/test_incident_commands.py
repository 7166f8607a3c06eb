# SPDX-License-Identifier: Apache-2.0
"""The commands about incidents beside a running ``serve``: seen, answered and released there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.apps import embedded, procedure
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT
from sekisho.compose.running_authority import running_authority
from sekisho.compose.serve import ConnectionCallers
from sekisho.core.errors import NotAuthorised
from sekisho.ports import IncidentReport
from sekisho.services import peopledesk
from tests.embedded_world import AGENT
from tests.integration.link_world import LinkedGate, LinkWorld

KINDS = ("1", "2", "3")


def report(gate: LinkedGate, certificate: str, word: str) -> IncidentReport:
    """A crossing of the hold threshold, as the gate's watch found it."""
    return IncidentReport(
        origin=gate.origin,
        index=0,
        incident=word * 32,
        agent=AGENT,
        certificate_sha256=certificate,
        incident_kind="hold",
        score="risk",
        factor="size",
        observed="0.900000",
        threshold="0.85",
    )


def people(world: LinkWorld, *seats: str) -> list[tuple[str, str]]:
    """These people with their key files."""
    return [(seat, str(world.path / "people" / f"{seat}.key")) for seat in seats]


def test_incidents_of_a_served_home_are_shown_answered_and_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three incidents, each answered through the process that serves; a page holds two."""
    monkeypatch.setattr(peopledesk, "INCIDENTS_A_PAGE", 2)

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            await gate.client.admission(AGENT)
            await gate.ask_lease(world.certificate)
            gate.listen()
            for word in KINDS:
                await gate.client.report_incident(report(gate, world.certificate, word))
                assert 0 == await procedure.acknowledge(
                    world.path, AGENT, "false_alarm", None, people(world, RISK_SEAT), "test_reason"
                )
                assert 0 == await embedded.command_status(
                    world.path,
                    "release",
                    AGENT,
                    people(world, RISK_SEAT, COMPLIANCE_SEAT),
                    "test_reason",
                )
            capsys.readouterr()
            assert 0 == await procedure.show_incidents(world.path)
        finally:
            await world.close()

    asyncio.run(story())
    shown = capsys.readouterr().out.splitlines()
    assert [word * 32 for word in KINDS] == [line.split()[1] for line in shown[::2]]
    assert ["  closed; released"] * 3 == shown[1::2]


def test_incidents_are_shown_to_the_authoritys_own_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user who may connect is refused; so is a question without its place."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        link = HttpLink(world.address)
        try:
            running: Any = await running_authority(world.path)
            assert [] == await running.incidents()
            status, _ = await link.ask("GET", "/v1/incidents", b"", wait_s=5)
            assert 400 == status
            monkeypatch.setattr(ConnectionCallers, "owner", lambda _self, _scope: False)
            with pytest.raises(NotAuthorised, match="user of the authority"):
                await running.incidents()
            await running.close()
        finally:
            await link.close()
            await world.close()

    asyncio.run(story())
