# SPDX-License-Identifier: Apache-2.0
"""The venue executes what the ledger permitted and nothing else, whoever asks it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_faults import SubmitFault
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.compose import ISSUER_SEAT, OPERATOR_SEAT, register_document
from sekisho.core.encoding import b64url
from sekisho.core.errors import NotAuthorised
from sekisho.core.events import Execution, PermitSigned
from sekisho.core.gate.permit import assemble, read_permit, signing_input, split
from sekisho.services.people import sign_approval
from tests.embedded_world import (
    AGENT,
    APPROVERS,
    EmbeddedWorld,
    altered,
    order,
    person,
    policy_of,
    resting,
)

OTHER = "bot2"


class Thief:
    """Knows the bot's name, sees what it sees, holds no key of anybody's but its own."""

    def __init__(self, world: EmbeddedWorld, genuine: str, undelivered: str) -> None:
        self.world = world
        self.genuine = genuine
        self.undelivered = undelivered
        self.key = ec.generate_private_key(ec.SECP256R1())

    def signed(self, jws: str) -> str:
        """The same permit under a key of its own."""
        message = split(jws)[0]
        return assemble(message, self.key.sign(message, ec.ECDSA(hashes.SHA256())))

    def tries(self) -> dict[str, str]:
        """Attempt → permit; none of them may be executed."""
        fresh, message = self.undelivered, split(self.undelivered)[0].decode()
        terms = read_permit(fresh).order
        payload = message.split(".")[1]
        unsigned = b64url(b'{"alg":"none","typ":"sekisho-permit"}')
        bigger, other = terms | {"quantity": "25000"}, terms | {"client_order_id": "mine"}
        head, _, signature = fresh.rpartition(".")
        return {
            "nothing": "",
            "an order instead of a permit": order("mine").decode(),
            "no signature": f"{message}.",
            "alg none": f"{unsigned}.{payload}.",
            "zero signature": f"{message}.{b64url(bytes(64))}",
            "own key, the agent's certificate": self.signed(fresh),
            "own key, own certificate": self.signed(altered(fresh, certificate_sha256="ab" * 32)),
            "larger quantity": altered(fresh, order=bigger),
            "other side": altered(fresh, order=terms | {"side": "sell"}),
            "another id": altered(fresh, order=other),
            "another account": altered(fresh, account="x", order=terms | {"account": "x"}),
            "longer life": altered(fresh, expires_at="2026-05-15T10:00:00.000000000Z"),
            "another position in the log": altered(fresh, log_index=1),
            "another agent's name": altered(fresh, agent=OTHER),
            "replay": self.genuine,
            "replay, other signature bytes": f"{head}.{signature[:-2]}AA",
            "trailing newline": fresh + "\n",
            "padding": fresh + "=",
            "signature of another permit": f"{message}.{self.genuine.rpartition('.')[2]}",
        }


async def certify_other(world: EmbeddedWorld, folder: Path) -> None:
    """A second agent under the same authority, admitted at the same gate."""
    home, now = world.home, world.clock.now_ns()
    document = folder / "other.json"
    document.write_text(json.dumps(policy_of() | {"agent": OTHER}), encoding="utf-8")
    registration = register_document(document, now)
    await home.authority.register_policy(registration)
    for seat in APPROVERS:
        signer = person(home, seat)
        await home.authority.give_approval(
            sign_approval(signer, registration.sha256, home.authority.roster, seat, now)
        )
    await home.issue(
        OTHER, registration.sha256, issuer_seat=ISSUER_SEAT, operator_seat=OPERATOR_SEAT
    )
    await world.gate.admit(OTHER)
    for record in home.authority.certificates(OTHER):
        world.venue.know_certificate(record.certificate)


async def undelivered(world: EmbeddedWorld, name: str, agent: str = AGENT) -> str:
    """A genuine permit that got lost on its way to the venue."""
    world.venue.faults.submits.append("time_out_before")
    answer = await world.gate.gatekeeper.submit(agent, order(name))
    assert answer.permit
    return answer.permit


def executed(world: EmbeddedWorld) -> set[tuple[str, str]]:
    """Agent and id of every order that the venue ever acknowledged or filled."""
    _, tape = world.venue.reports_since(0)
    return {(r.agent, r.client_order_id) for r in tape if r.exec_type in ("new", "trade")}


def test_venue_holder_of_a_name_alone_gets_nothing_executed(tmp_path: Path) -> None:
    """Unsigned, forged, altered, replayed, expired, of another agent, for another venue: none."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await certify_other(world, tmp_path)
        genuine = await world.ask(order("genuine"))
        thief = Thief(world, genuine.permit, await undelivered(world, "lost"))
        with pytest.raises(NotAuthorised):
            world.venue.session("bot")
        before = executed(world)
        assert {(AGENT, "genuine")} == before
        tries = thief.tries()
        for what, permit in tries.items():
            reports = world.venue.take(permit)
            assert ["rejected"] == [report.exec_type for report in reports], what
            assert not reports[0].client_order_id, f"{what}: the rejection closes an order"
        assert len(tries) == len(world.venue.rejections)
        # The genuine permit was not used up by any of it: the venue's own rules decide.
        others = await undelivered(world, "theirs", OTHER)
        swapped = assemble(signing_input(read_permit(thief.undelivered)), split(others)[1])
        assert "rejected" == world.venue.take(swapped)[0].exec_type
        elsewhere = PaperVenue(
            VenueTrust(
                name="ELSEWHERE",
                root=world.home.authority.state.root_certificate,
                issuing=world.home.authority.state.issuing_certificate,
                environments=frozenset({"test"}),
            ),
            world.clock,
            world.rates,
            [],
        )
        for record in world.home.authority.certificates(AGENT):
            elsewhere.know_certificate(record.certificate)
        assert "rejected" == elsewhere.take(thief.undelivered)[0].exec_type
        assert "wrong_venue" == elsewhere.rejections[-1].reason
        world.stepped.advance(2)
        assert "rejected" == world.venue.take(thief.undelivered)[0].exec_type
        assert "permit_expired" == world.venue.rejections[-1].reason
        assert before == executed(world)
        await world.close()

    asyncio.run(story())


def test_venue_permit_of_another_authority_is_not_executed(tmp_path: Path) -> None:
    """A firm with a home of its own and the same agent's name cannot trade here."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        stranger = await EmbeddedWorld.start(
            tmp_path / "stranger", policy_of(regions=["eu-west-1", "x"])
        )
        permit = await undelivered(stranger, "theirs")
        assert "rejected" == world.venue.take(permit)[0].exec_type
        assert "unknown_certificate" == world.venue.rejections[-1].reason
        assert set() == executed(world)
        await stranger.close()
        await world.close()

    asyncio.run(story())


# --------------------------------------------------------------------------- reconciliation

DAY: list[SubmitFault] = [
    "none",
    "fill_late",
    "lose_ack",
    "time_out_after",
    "none",
    "time_out_before",
    "reject",
    "delay",
]


async def busy_day(world: EmbeddedWorld, orders: int) -> None:
    """Orders under every fault of the venue; then time passes and the gate asks the venue."""
    for number in range(orders):
        world.venue.faults.submits.append(DAY[number % len(DAY)])
        make: Callable[[str], bytes] = order if number % 3 else resting
        await world.ask(make(f"day-{number:03d}"))
        world.stepped.advance(1)
        world.quote()
        if number % 10 == 9:
            world.venue.release_late_fills()
            await world.gate.release.reconcile()
    world.venue.release_late_fills()
    world.stepped.advance(120)
    await world.gate.release.reconcile()
    world.venue.deliver_delayed()
    world.venue.end_day()
    await world.gate.release.reconcile()


def test_reconcile_busy_day_venue_list_permits_and_signatures_agree(tmp_path: Path) -> None:
    """Signatures ↔ permits in the log one to one; the venue's list ↔ the log order by order."""

    async def story() -> None:
        policy = policy_of(daily_notional_max="9000000")
        world = await EmbeddedWorld.start(tmp_path / "home", policy)
        await busy_day(world, 80)
        entries = world.entries()
        used = Counter(world.used.permit_ids())
        signed = Counter(
            read_permit(e.permit).permit_id for e in entries if isinstance(e, PermitSigned)
        )
        assert 80 == sum(used.values()) == len(used)
        assert used == signed
        taken = world.venue.permits_taken
        assert set(taken) <= set(used)
        ledger = {
            e.exec_id: (e.client_order_id, e.exec_type, e.last_quantity)
            for e in entries
            if isinstance(e, Execution) and e.agent == AGENT
        }
        ids = [e.exec_id for e in entries if isinstance(e, Execution) and e.agent == AGENT]
        _, tape = world.venue.reports_since(0)
        listed = {
            r.exec_id: (r.client_order_id, r.exec_type, r.last_quantity)
            for r in tape
            if r.agent == AGENT
        }
        assert len(ids) == len(set(ids)), "a report was booked twice"
        denied = {fact for fact in ledger.items() if fact[1][1] == "not_found"}
        assert dict(ledger.items() - denied) == listed
        arrived = {name for _, name in taken.values()}
        absent = {name for name, _, _ in (fact for _, fact in denied)}
        signed_names = {
            read_permit(e.permit).order["client_order_id"]
            for e in entries
            if isinstance(e, PermitSigned)
        }
        # Every permit reached the venue or was denied by it; late arrivals after that executed not.
        assert signed_names == arrived | absent
        assert not absent & {name for _, name in executed(world)}
        held = world.gate.log.state.agents[AGENT]
        assert {} == held.working
        assert 0 == held.reserved
        await world.close()

    asyncio.run(story())
