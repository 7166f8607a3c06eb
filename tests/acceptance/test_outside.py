# SPDX-License-Identifier: Apache-2.0
"""What happens outside the gate: a venue that fails in flight, a key that somebody else used.

The whole embedded product, with the paper venue as the other firm.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.compose import COMPLIANCE_SEAT, VENUE_CREDENTIAL
from sekisho.core.encoding import b64, sha256_hex
from sekisho.core.errors import NotAuthorised
from sekisho.core.events import (
    IncidentClosed,
    IncidentOpened,
    IncidentRecorded,
    OutcomeUnresolved,
    VenueRearmed,
    VenueReconciled,
    decode_authority_entry,
)
from sekisho.core.gate.permit import assemble, permit_id, read_permit, signing_input
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Venue
from sekisho.services.people import sign_venue_rearm
from tests.acceptance.bundle_life import export, verify
from tests.embedded_world import AGENT, EmbeddedWorld, order, person, resting

FAULTS = ("time_out_before", "time_out_after", "lose_ack", "delay")
RISK_SEAT = "duty_risk"


class CountedVenue:
    """A session with the venue that counts what is handed over."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.submitted: list[str] = []
        self.name = session.name

    async def submit(self, permit: str) -> Any:
        self.submitted.append(str(read_permit(permit).order["client_order_id"]))
        return await self._session.submit(permit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def reopened(world: EmbeddedWorld) -> CountedVenue:
    """Close the gate, open it again, and count what this life hands over."""
    await world.close()
    venue = CountedVenue(world.venue.session(VENUE_CREDENTIAL))
    venues: dict[str, Venue] = {venue.name: venue}
    await world.open(venues)
    return venue


@pytest.mark.parametrize("fault", FAULTS)
def test_order_whose_answer_is_lost_is_handed_over_once_whatever_is_repeated(
    fault: str, tmp_path: Path
) -> None:
    """Asked again, after a restart too, it stays one order; what it reserves stays until proof."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        first = await reopened(world)
        world.venue.faults.submits.append(fault)  # type: ignore[arg-type] # of FAULTS
        body = resting("once", quantity="20000")
        for _ in range(3):
            answer = await world.ask(body)
            assert answer.kind == "permitted"
        held = world.gate.log.state.agents[AGENT]
        assert held.reserved == 20_000 * 10**8
        second = await reopened(world)
        await world.ask(body)
        world.venue.deliver_delayed()
        world.stepped.advance(16)
        world.quote()
        await world.gate.venue_watch.reconcile()
        await world.ask(body)
        assert (first.submitted, second.submitted) == (["once"], [])
        held = world.gate.log.state.agents[AGENT]
        lives = bool(await world.gate.release.open_orders(AGENT))
        assert lives == (fault in ("time_out_after", "lose_ack"))
        assert held.reserved == (20_000 * 10**8 if lives else 0)
        assert sum(isinstance(one, OutcomeUnresolved) for one in world.entries()) == 1
        assert not any(isinstance(one, IncidentOpened) for one in world.entries())
        await world.close()

    asyncio.run(story())


def test_gate_reconciles_after_a_restart_before_it_permits(tmp_path: Path) -> None:
    """What was filled while it was away is in the position; then it says so, then it permits."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await world.ask(resting("rests", quantity="20000"))
        await world.close()
        world.rates.set("EUR/USD", "1.09", "1.0902")
        world.venue.match_resting()
        await world.open()
        assert world.gate.log.state.agents[AGENT].working == {}
        kinds = [type(entry).__name__ for entry in world.entries()]
        opened = len(kinds) - 1 - kinds[::-1].index("GateOpened")
        assert kinds[opened:].index("Execution") < kinds[opened:].index("VenueReconciled")
        last = [one for one in world.entries() if isinstance(one, VenueReconciled)][-1]
        assert (last.open_orders, last.unknown) == (0, 0)
        await world.close()

    asyncio.run(story())


async def stolen(world: EmbeddedWorld, name: str) -> str:
    """A permit that somebody made with the agent's key, outside of the gate."""
    genuine = read_permit((await world.ask(order("genuine", quantity="100"))).permit)
    made = msgspec.structs.replace(
        genuine,
        permit_id=permit_id("another.example/log", 7),
        order=genuine.order | {"client_order_id": name, "quantity": "24000"},
        leaf_hash=b64(bytes(32)),
        log_index=7,
        log_origin="another.example/log",
        issued_at=format_instant(world.clock.now_ns()),
        expires_at=format_instant(world.clock.now_ns() + 2 * NS),
    )
    certificate = world.home.authority.certificates(AGENT)[0]
    (signer,) = [world.gate._signers[sha256_hex(certificate.certificate)]]
    message = signing_input(made)
    return assemble(message, await signer.sign(message))


async def break_at(world: EmbeddedWorld) -> IncidentOpened:
    """The key is used outside of the gate; the gate looks at the venue."""
    jws = await stolen(world, "theirs")
    (executed, *_) = await world.venue.session(VENUE_CREDENTIAL).submit(jws)
    assert executed.exec_type == "new", executed
    await world.gate.venue_watch.reconcile()
    await world.gate.incident_watch.settled()
    found = [one for one in world.entries() if isinstance(one, IncidentOpened)]
    assert len(found) == 1
    return found[0]


def rearming(world: EmbeddedWorld, incident: str, *seats: str, venue: str = "PAPER") -> Any:
    """What these people sign to take the venue's latch off."""
    return tuple(
        sign_venue_rearm(
            person(world.home, seat), venue, incident, world.home.authority, seat, "looked_into",
            world.home.around.entropy.bytes(16).hex(), world.clock.now_ns(),
        )
        for seat in seats
    )  # fmt: skip


def authority_entries(world: EmbeddedWorld, kind: type) -> list[Any]:
    """What the authority's log has of this kind."""
    found = [decode_authority_entry(data) for _, data in world.home.authority.log.journal.entries()]
    return [entry for entry in found if isinstance(entry, kind)]


def test_key_used_outside_the_gate_is_found_told_and_ends_by_two_people(tmp_path: Path) -> None:
    """Alarm at the next look, the venue latched, the agent not; two people end it; it is in the
    bundle, and the verifier computes it again.
    """

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        incident = await break_at(world)
        assert (incident.incident_kind, incident.agent, incident.observed) == (
            "break", AGENT, "PAPER",
        )  # fmt: skip
        (recorded,) = authority_entries(world, IncidentRecorded)
        assert (recorded.incident, recorded.factor) == (incident.incident, "unpermitted_order")
        refused = await world.ask(order("next", quantity="100"))
        assert refused.reasons[0].observed == "venue PAPER is latched"
        assert world.gate.log.state.agents[AGENT].status == "good"
        for seats in ((COMPLIANCE_SEAT,), (COMPLIANCE_SEAT, COMPLIANCE_SEAT)):
            with pytest.raises(NotAuthorised):
                await world.gate.governing.rearm(rearming(world, incident.incident, *seats))
        wrong = rearming(world, "0" * 32, COMPLIANCE_SEAT, RISK_SEAT)
        with pytest.raises(NotAuthorised, match="no latch of incident"):
            await world.gate.governing.rearm(wrong)
        signed = rearming(world, incident.incident, COMPLIANCE_SEAT, RISK_SEAT)
        await world.gate.governing.rearm(signed)
        with pytest.raises(NotAuthorised):
            await world.gate.governing.rearm(signed)
        assert authority_entries(world, IncidentClosed)[0].outcome == "rearmed"
        (rearmed,) = [one for one in world.entries() if isinstance(one, VenueRearmed)]
        assert rearmed.seats == (COMPLIANCE_SEAT, RISK_SEAT)
        assert (await world.ask(order("after", quantity="100"))).kind == "permitted"
        code, said = verify(await export(world, tmp_path / "bundle"))
        assert code == 0, said
        assert f"break {incident.incident}: unpermitted_order at PAPER, of {AGENT}" in said
        assert "as rearmed (rearm by" in said
        await world.close()

    asyncio.run(story())


def test_break_survives_the_restart_and_is_reported_again(tmp_path: Path) -> None:
    """The latch is in the log; the authority takes the incident once."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await break_at(world)
        await world.reopen()
        await world.gate.incident_watch.settled()
        refused = await world.ask(order("next", quantity="100"))
        assert refused.reasons[0].observed == "venue PAPER is latched"
        assert len(authority_entries(world, IncidentRecorded)) == 1
        code, said = verify(await export(world, tmp_path / "bundle"))
        assert code == 0, said
        assert "OPEN: latched" in said
        await world.close()

    asyncio.run(story())


def test_command_for_another_venue_takes_no_latch_off(tmp_path: Path) -> None:
    """The authority compares venue and incident, whoever brings the commands."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        incident = await break_at(world)
        signed = rearming(world, incident.incident, COMPLIANCE_SEAT, RISK_SEAT, venue="X")
        with pytest.raises(NotAuthorised, match="of another venue"):
            await world.home.authority.authorise_rearm(signed)
        await world.close()

    asyncio.run(story())
