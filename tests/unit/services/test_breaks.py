# SPDX-License-Identifier: Apache-2.0
"""Breaks at the authority: recorded and told, holding nobody, ended by two people alone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from sekisho.core.errors import MalformedInput, NotAuthorised, StorageFailed
from sekisho.core.events import VenueRearmAuthorised
from sekisho.core.governance.commands import Reach, check_command
from tests.authority_world import AGENT
from tests.incident_world import IncidentWorld, name_of, play
from tests.unit.core.governance import samples

VENUE = "PAPER"
BOTH = ("compliance_lead", "risk_lead")
OPENED = ["recorded break", "pager opened delivered"]


async def broken(world: IncidentWorld, number: int = 1, **other: Any) -> None:
    """The gate reports a break, of nobody unless told otherwise; people are told."""
    fields: dict[str, Any] = {
        "score": "venue",
        "factor": "unpermitted_execution",
        "observed": VENUE,
        "threshold": "",
        "agent": "",
        "certificate_sha256": "",
    }
    await world.report(number, "break", **(fields | other))


def of_venue(**other: Any) -> dict[str, Any]:
    """The fields of a command to take the venue's latch off."""
    fields: dict[str, Any] = {
        "agent": UNSET,
        "scope": Reach(kind="venue", name=VENUE),
        "latch": "venue",
        "incident": name_of(1),
        "epoch": 0,
    }
    return fields | other


def rearming(world: IncidentWorld, *seats: str, **other: Any) -> Any:
    """What these people sign."""
    signed = []
    for seat in seats:
        world.nonce += 1
        fields = {"nonce": f"{world.nonce:032x}", "commanded_at": world.soon(0)}
        signed.append(samples.signed(samples.command("rearm", seat, **of_venue(**fields, **other))))
    return tuple(signed)


@pytest.mark.parametrize("own", [True, False])
def test_break_is_recorded_and_told_and_holds_nobody(own: bool) -> None:
    """Of an agent or of none; the certificate stays good, and nothing is waited for."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        named: dict[str, Any] = {"agent": AGENT}
        named["certificate_sha256"] = world.issued.certificate_sha256
        await broken(world, **(named if own else {}))
        assert world.story()[-2:] == OPENED
        case = world.case()
        assert (case.state, case.ends_at, world.held_status()) == ("latched", "", "good")
        (alert,) = world.channel.delivered
        assert (alert.incident_kind, alert.observed, alert.until) == ("break", VENUE, "")
        assert "re-arm the venue" in alert.can

    play(story())


def test_break_of_a_certificate_that_is_another_agents_is_refused() -> None:
    """What a gate says of an agent is compared with the register."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        with pytest.raises(Exception, match="another agent's"):
            await broken(world, agent="x", certificate_sha256=world.issued.certificate_sha256)
        with pytest.raises(Exception, match="no certified key"):
            await broken(world, origin="unknown.example/log")

    play(story())


def test_break_is_told_again_until_somebody_was_reached() -> None:
    """As an incident that holds is."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.channel.failures = 1
        await broken(world)
        world.clock.advance(1)
        await world.authority.due()
        assert world.story()[-2:] == ["pager opened failed", "pager opened delivered"]
        world.clock.advance(3600)
        await world.authority.due()
        assert world.story()[-1] == "pager opened delivered"

    play(story())


def test_second_break_of_the_venue_is_superseded_and_of_another_stands_beside() -> None:
    """One open for each venue of each gate; a breaker of the agent stands beside them."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await broken(world)
        await broken(world, 2)
        await broken(world, 3, observed="OTHER")
        await world.report(4, "breaker", observed="0.760000", threshold="0.75")
        assert [world.case(n).outcome for n in (1, 2, 3, 4)] == ["", "superseded", "", ""]
        await world.order("kill")
        assert [world.case(n).outcome for n in (1, 3, 4)] == ["", "", "killed"]

    play(story())


def test_break_ends_by_compliance_and_risk_together_once() -> None:
    """One alone, two of one role, a developer: nothing changes; the same commands work once."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await broken(world)
        for seats in (("compliance_lead",), ("risk_lead",), (*BOTH, "coder"), ("ceo", "cfo")):
            with pytest.raises(NotAuthorised):
                await world.authority.authorise_rearm(rearming(world, *seats))
        assert world.story()[-1] == OPENED[-1]
        signed = rearming(world, *BOTH)
        done = await world.authority.authorise_rearm(signed)
        assert (done.agent, done.latch, done.seats) == ("", "venue", BOTH)
        assert world.story()[-1] == "closed rearmed"
        (entry,) = [one for one in world.entries() if isinstance(one, VenueRearmAuthorised)]
        assert (entry.venue, entry.incident, entry.seats) == (VENUE, name_of(1), BOTH)
        with pytest.raises(NotAuthorised, match="used before"):
            await world.authority.authorise_rearm(signed)
        with pytest.raises(NotAuthorised, match="is closed"):
            await world.authority.authorise_rearm(rearming(world, *BOTH))
        await broken(world, 2)
        assert world.case(2).state == "latched"

    play(story())


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"incident": name_of(9)}, "never recorded"),
        ({"scope": Reach(kind="venue", name="OTHER")}, "of another venue"),
        ({"incident": name_of(2)}, "only a break"),
    ],
)
def test_rearming_of_another_venue_or_incident_is_refused(other: Any, why: str) -> None:
    """The words of the command are those of the break that it ends."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await broken(world)
        await world.report(2, "breaker", observed="0.760000", threshold="0.75")
        with pytest.raises(NotAuthorised, match=why):
            await world.authority.authorise_rearm(rearming(world, *BOTH, **other))
        assert world.case().outcome == ""

    play(story())


@pytest.mark.parametrize(
    "other",
    [
        {"scope": Reach(kind="desk", name="fx")},
        {"incident": UNSET},
        {"epoch": 1},
        {"scope": UNSET, "agent": AGENT},
        {"latch": "circuit_breaker"},
    ],
)
def test_command_for_a_venue_that_is_not_well_made_is_refused(other: Any) -> None:
    """One venue, one incident, epoch 0; and no other latch has a venue."""
    fields = of_venue(**other)
    with pytest.raises(MalformedInput):
        check_command(samples.command("rearm", "risk_lead", **fields))
    check_command(samples.command("rearm", "risk_lead", **of_venue()))


def test_break_survives_the_restart_of_the_authority() -> None:
    """What was open is open, and ends as before."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await broken(world)
        again = await world.again()
        assert again.case().state == "latched"
        await again.authority.authorise_rearm(rearming(again, *BOTH))
        assert again.case().outcome == "rearmed"

    play(story())


def test_break_that_cannot_be_recorded_is_said_to_be_not() -> None:
    """The gate tells it again; nobody is held meanwhile."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.authority.log.journal.failed = StorageFailed("as asked")
        with pytest.raises(StorageFailed):
            await broken(world)
        assert world.held_status() == "good"

    play(story())
