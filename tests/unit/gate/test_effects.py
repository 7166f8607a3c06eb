# SPDX-License-Identifier: Apache-2.0
"""The order of effects: record, then key, then release; stops in between; retries; crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest

from sekisho.core.errors import OutcomeUnknown, StorageFailed
from sekisho.core.events import (
    PermitSigned,
    StatusActed,
    StopReported,
    Withdrawn,
    decode_gate_entry,
)
from sekisho.core.gate.permit import check_signature as check
from sekisho.core.gate.permit import load_public_key, read_permit, split
from sekisho.core.terms import parse_instant
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.stopping import REPORTED_MAX
from tests.gate_world import CERTIFICATE, POLICY, GateWorld, codes, order, scope_of


class FirstFace:
    """Dice that always show the first face."""

    def randrange(self, start: int, /) -> int:
        return 0


async def turns(done: Callable[[], bool]) -> None:
    """Give the event loop turns until something is so, or a hundred of them."""
    for _ in range(100):
        if done():
            return
        await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, not time


def entries(world: GateWorld, kind: type) -> list[object]:
    """The recorded entries of one kind."""
    found = (decode_gate_entry(data) for _, data in world.log.journal.entries())
    return [entry for entry in found if isinstance(entry, kind)]


def test_permit_carries_what_was_decided_and_verifies() -> None:
    """The permit names order, venue, account, ledger position and hash, and is signed by the
    key.
    """

    async def story() -> None:
        world = await GateWorld.start()
        answer = await world.ask()
        permit = read_permit(answer.permit)
        message, signature = split(answer.permit)
        check(load_public_key(world.signer.public_key), message, signature)
        assert permit.order == json.loads(order())
        assert (permit.log_index, permit.venue, permit.account) == (
            answer.decision,
            "PAPER",
            "main",
        )
        assert (permit.certificate_sha256, permit.policy_sha256) == (CERTIFICATE, "d" * 64)
        lifetime = parse_instant(permit.expires_at) - parse_instant(permit.issued_at)
        assert lifetime == 2 * 10**9

    asyncio.run(story())


def test_permit_never_outlives_the_lease() -> None:
    """What is left of the lease bounds the permit."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask()
        world.authority.down = True
        world.clock.advance(14)
        world.quote()
        permit = read_permit((await world.ask(client_order_id="b")).permit)
        assert parse_instant(permit.expires_at) - parse_instant(permit.issued_at) == 10**9

    asyncio.run(story())


def test_decision_is_durable_before_the_key_is_used() -> None:
    """When the signer is called, a crash at that moment still finds the decision on disk."""

    async def story() -> None:
        world = await GateWorld.start()
        seen: list[int] = []

        async def look() -> None:
            seen.append(world.log.journal.durable_size)

        world.signer.before = look
        answer = await world.ask()
        assert [answer.decision < size for size in seen] == [True]

    asyncio.run(story())


def test_retry_gets_the_first_answer_and_signs_nothing() -> None:
    """The same bytes under the same id are answered from the log; other bytes are refused."""

    async def story() -> None:
        world = await GateWorld.start()
        first = await world.ask()
        again = await world.ask()
        assert (first, 1, 1) == (again, world.signer.signed, len(world.venue.permits))
        assert codes(await world.ask(quantity="20001")) == ["duplicate_order_id"]
        refused = await world.ask(client_order_id="big", quantity="180000")
        assert refused == await world.ask(client_order_id="big", quantity="180000")

    asyncio.run(story())


def test_retry_after_expiry_returns_no_permit_bytes() -> None:
    """An expired permit is history: the answer has the state, not the bytes."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask()
        world.clock.advance(2)
        again = await world.ask()
        assert (again.kind, again.permit, again.order_state) == ("permitted", "", "open")

    asyncio.run(story())


def test_retry_while_stopped_returns_no_permit_bytes() -> None:
    """A stopped agent gets no permit again, not even one that was issued before."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask()
        await world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1)
        assert (await world.ask()).permit == ""

    asyncio.run(story())


def test_concurrent_twins_are_one_order() -> None:
    """Ten copies at once: one decision, one signature, ten equal answers."""

    async def story() -> None:
        world = await GateWorld.start()
        answers = await asyncio.gather(*(world.ask() for _ in range(10)))
        assert len({answer.decision for answer in answers}) == 1
        assert (world.signer.signed, len(world.venue.permits)) == (1, 1)

    asyncio.run(story())


def test_concurrent_orders_never_exceed_the_cap() -> None:
    """64 orders of 24,999 at once against 500,000: exactly 20 are permitted."""

    async def story() -> None:
        world = await GateWorld.start()
        answers = await asyncio.gather(
            *(world.ask(client_order_id=f"o-{n}", quantity="24999") for n in range(64))
        )
        permitted = [answer for answer in answers if answer.kind == "permitted"]
        assert (len(permitted), world.signer.signed, len(world.venue.permits)) == (20, 20, 20)
        ids = {read_permit(answer.permit).permit_id for answer in permitted}
        assert len(ids) == 20
        assert world.log.state.agents["bot"].gross == 499_980 * 10**8

    asyncio.run(story())


@pytest.mark.parametrize("status", ["hold", "revoked"])
def test_stop_while_the_decision_is_flushed_withdraws(
    status: Literal["hold", "revoked"],
) -> None:
    """A stop between record and key: nothing is signed, and that is recorded."""

    async def story() -> None:
        world = await GateWorld.start()
        waiting = asyncio.create_task(world.ask())
        await turns(lambda: bool(world.log.state.agents["bot"].known))
        stop = await world.stopping.stop("bot", CERTIFICATE, status, "test", 1)
        answer = await waiting
        assert (answer.kind, world.signer.signed, world.venue.permits) == ("withdrawn", 0, [])
        assert stop.complete
        assert len(entries(world, Withdrawn)) == 1
        assert world.log.state.agents["bot"].working == {}

    asyncio.run(story())


def test_stop_while_the_key_signs_destroys_the_signature() -> None:
    """A signature that comes back after the stop does not leave, and the stop waits for that."""

    async def story() -> None:
        world = await GateWorld.start()
        gate = asyncio.Event()
        world.signer.before = gate.wait
        waiting = asyncio.create_task(world.ask())
        await turns(lambda: world.release.flights("bot") > 0)
        stopping = asyncio.create_task(world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1))
        await turns(lambda: False)
        assert not stopping.done()
        gate.set()
        answer = await waiting
        assert (answer.kind, answer.detail) == (
            "withdrawn",
            "certificate_held; signature destroyed",
        )
        outcome = await stopping
        assert (outcome.complete, world.venue.permits, entries(world, PermitSigned)) == (
            True,
            [],
            [],
        )

    asyncio.run(story())


def test_lease_that_ends_while_the_key_signs_destroys_the_signature() -> None:
    """The lease counts at the moment of release, not only at the decision."""

    async def story() -> None:
        world = await GateWorld.start()

        async def slow() -> None:
            world.clock.advance(15)

        world.signer.before = slow
        answer = await world.ask()
        assert answer.detail == "lease_expired; signature destroyed"
        assert world.venue.permits == []

    asyncio.run(story())


@pytest.mark.parametrize("fault", ["away", "lies"])
def test_signer_that_fails_or_lies_gives_no_permit(fault: str) -> None:
    """No signature, or one that does not verify with the certified key: withdrawn."""

    async def story() -> None:
        world = await GateWorld.start()
        setattr(world.signer, fault, True)
        answer = await world.ask()
        assert (answer.kind, world.venue.permits) == ("withdrawn", [])
        assert world.log.state.agents["bot"].reserved == 0
        assert (await world.ask()).kind == "withdrawn"

    asyncio.run(story())


def test_stop_cancels_what_rests_and_says_so() -> None:
    """Resting orders are cancelled at the venue, each confirmed, and the report is in the log."""

    async def story() -> None:
        world = await GateWorld.start()
        for name in ("a", "b"):
            await world.ask(client_order_id=name)
        stop = await world.stopping.stop("bot", CERTIFICATE, "revoked", "kill", 7)
        assert (stop.confirmed, stop.unconfirmed, stop.complete) == (("a", "b"), (), True)
        acted = entries(world, StatusActed)[-1]
        assert (acted.status, acted.epoch) == ("revoked", 7)  # type: ignore[attr-defined]  # known
        report = entries(world, StopReported)[-1]
        assert report.confirmed == ("a", "b")  # type: ignore[attr-defined]  # known

    asyncio.run(story())


def test_stop_that_the_venue_does_not_confirm_is_not_complete() -> None:
    """Silence of the venue leaves the order unconfirmed; there is no success without proof."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        world.venue.cancel_silent = True
        stop = await world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1)
        assert (stop.confirmed, stop.unconfirmed, stop.complete) == ((), ("a",), False)

    asyncio.run(story())


def test_stop_when_the_log_fails_still_stops_and_cancels() -> None:
    """A broken disk is no way to go on trading: cancels go out and the report says not recorded."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        journal = world.log.journal
        assert isinstance(journal, Journal)
        journal.failed = StorageFailed("disk full")
        stop = await world.stopping.stop("bot", CERTIFICATE, "revoked", "test", 1)
        assert (world.venue.cancels, stop.recorded, stop.complete) == (["a"], False, False)
        assert (await world.ask(client_order_id="b")).kind == "unavailable"
        assert len(world.venue.permits) == 1

    asyncio.run(story())


def test_flush_that_fails_signs_nothing_and_closes_the_gate() -> None:
    """A failed sync is no record: no signature, and everything after is refused."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")

        async def broken(path: str) -> None:
            raise OutcomeUnknown("EIO")

        world.disk.sync = broken  # type: ignore[method-assign]  # known
        answer = await world.ask(client_order_id="b")
        assert (answer.kind, codes(answer)) == ("unavailable", ["control_unavailable"])
        assert (await world.ask(client_order_id="c")).kind == "unavailable"
        assert (await world.ask(b"{")).kind == "unavailable"
        assert world.signer.signed == 1

    asyncio.run(story())


def test_time_out_of_the_venue_is_unknown_and_stays_reserved() -> None:
    """Nothing is sent twice; the volume comes back only when the venue says so."""

    async def story() -> None:
        world = await GateWorld.start()
        world.venue.silent = True
        answer = await world.ask()
        assert (answer.kind, answer.order_state) == ("permitted", "unknown")
        held = world.log.state.agents["bot"]
        assert held.reserved == 20000 * 10**8
        world.venue.silent = False
        assert (await world.ask()).order_state == "unknown"
        assert len(world.venue.permits) == 1
        world.clock.advance(15)
        await world.release.reconcile()
        assert held.find("order-1").phase == "open"  # type: ignore[union-attr]  # known

    asyncio.run(story())


def test_order_that_the_venue_never_saw_is_released_after_its_permit_expired() -> None:
    """A venue's "not found" is believed only when no permit can arrive any more."""

    async def story() -> None:
        world = await GateWorld.start()
        world.venue.away = True
        await world.ask()
        world.venue.away = False
        await world.release.reconcile()
        held = world.log.state.agents["bot"]
        assert held.reserved == 20000 * 10**8
        world.clock.advance(15)
        await world.release.reconcile()
        assert (held.reserved, held.working) == (0, {})

    asyncio.run(story())


def test_crash_between_record_and_signature_is_possibly_issued_for_ever() -> None:
    """After a restart the decision stands, the permit is not made, the volume stays reserved."""

    async def story() -> None:
        world = await GateWorld.start()
        gate = asyncio.Event()
        world.signer.before = gate.wait
        waiting = asyncio.create_task(world.ask())
        await turns(lambda: world.release.flights("bot") > 0)
        waiting.cancel()
        world.clock.advance(1)
        disk = world.disk.crash(FirstFace())
        again = await GateWorld.start(disk=disk, clock=world.clock)
        answer = await again.ask()
        assert (answer.kind, answer.permit, again.signer.signed) == ("possibly_issued", "", 0)
        held = again.log.state.agents["bot"]
        assert (held.reserved, held.working["order-1"].phase) == (
            20000 * 10**8,
            "possibly_issued",
        )

    asyncio.run(story())


def test_refold_gives_the_identical_state() -> None:
    """The log is the only source of truth: folding it again gives the same state."""

    async def story() -> None:
        world = await GateWorld.start()
        for name in ("a", "b"):
            await world.ask(client_order_id=name)
        await world.ask(client_order_id="c", quantity="180000")
        again = GateLog(world.log.journal, world.clock)
        held, other = world.log.state.agents["bot"], again.state.agents["bot"]
        assert vars(other).keys() == vars(held).keys()
        for name, value in vars(held).items():
            if name not in ("working", "by_decision", "prices", "limits"):
                assert getattr(other, name) == value, name
        assert other.working == held.working

    asyncio.run(story())


@pytest.mark.parametrize(
    "alter",
    [
        {"nonce": "0" * 32},
        {"gate": "g2"},
        {"boot": "f" * 32},
        {"tree_size": 7},
        {"duration_s": 61},
        {"duration_s": 0},
        {"not_good": [CERTIFICATE]},
    ],
)
def test_lease_that_answers_something_else_is_no_lease(alter: dict[str, object]) -> None:
    """A lease for another request, gate, boot, state or length gives no right to sign."""

    async def story() -> None:
        world = await GateWorld.start()
        world.authority.alter = alter
        assert "lease_expired" in codes(await world.ask())
        assert world.leasing.last_failure is not None

    asyncio.run(story())


def test_lease_signed_by_another_key_is_no_lease() -> None:
    """Only the authority's status key can grant."""

    async def story() -> None:
        from tests.gate_world import P256Signer

        world = await GateWorld.start()
        world.authority.signer = P256Signer()
        assert codes(await world.ask()) == ["lease_expired"]

    asyncio.run(story())


def test_lease_of_an_older_epoch_is_refused() -> None:
    """An epoch that falls is a replay."""

    async def story() -> None:
        world = await GateWorld.start()
        world.authority.epoch = 5
        await world.ask()
        world.authority.epoch = 4
        world.clock.advance(15)
        world.quote()
        assert codes(await world.ask(client_order_id="b")) == ["lease_expired"]

    asyncio.run(story())


def test_status_that_comes_with_a_lease_stops_and_releases() -> None:
    """What the push could not deliver, the next lease does; only a newer epoch lifts a hold."""

    async def story() -> None:
        world = await GateWorld.start(POLICY)
        world.authority.status[CERTIFICATE] = "hold"
        world.authority.epoch = 1
        assert codes(await world.ask(client_order_id="a")) == ["certificate_held"]
        del world.authority.status[CERTIFICATE]
        world.clock.advance(15)
        world.quote()
        assert codes(await world.ask(client_order_id="b")) == ["certificate_held"]
        world.authority.epoch = 2
        world.clock.advance(15)
        world.quote()
        assert codes(await world.ask(client_order_id="c")) == []
        world.authority.status[CERTIFICATE] = "revoked"
        world.authority.epoch = 3
        world.clock.advance(15)
        world.quote()
        assert codes(await world.ask(client_order_id="d")) == ["certificate_revoked"]
        del world.authority.status[CERTIFICATE]
        world.authority.epoch = 4
        world.clock.advance(15)
        world.quote()
        assert codes(await world.ask(client_order_id="e")) == ["certificate_revoked"]

    asyncio.run(story())


def test_admitting_the_same_certificate_again_lifts_no_hold() -> None:
    """A gate that is told again of a certificate it has keeps the stop that it has."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1)
        world.admit(POLICY)
        world.authority.down = True
        assert "certificate_held" in codes(await world.ask())
        world.admit(POLICY, certificate="e" * 64)
        assert "certificate_held" not in codes(await world.ask(client_order_id="b"))

    asyncio.run(story())


def test_hold_that_arrives_after_a_revocation_changes_nothing() -> None:
    """Revoked is final at the gate too, in whatever order it is told."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.stopping.stop("bot", CERTIFICATE, "revoked", "test", 2)
        await world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1)
        assert codes(await world.ask()) == ["certificate_revoked"]

    asyncio.run(story())


def test_good_of_an_epoch_that_is_not_newer_lifts_no_hold() -> None:
    """What widens must be newer than what stopped, also when a log is read again."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.stopping.stop("bot", CERTIFICATE, "hold", "test", 1)
        for epoch in (0, 1):
            world.log.record(
                StatusActed(
                    at=world.log.at(),
                    agent="bot",
                    certificate_sha256=CERTIFICATE,
                    status="good",
                    reason="replayed",
                    epoch=epoch,
                )
            )
            assert world.log.state.agents["bot"].status == "hold"

    asyncio.run(story())


def test_stop_with_very_many_resting_orders_is_reported_in_parts() -> None:
    """No entry is too large for the log; only the last part says complete."""

    async def story() -> None:
        world = await GateWorld.start(
            scope_of(daily_notional_max="none", message_rate="none", order_notional_max="none")
        )
        for number in range(REPORTED_MAX + 1):
            world.venue.resting[f"o{number}"] = None  # type: ignore[assignment]  # a name is enough
        world.venue.cancel_silent = True
        stop = await world.stopping.stop("bot", CERTIFICATE, "revoked", "test", 1)
        entries = [decode_gate_entry(data) for _, data in world.log.journal.entries()]
        parts = [entry for entry in entries if isinstance(entry, StopReported)]
        assert (stop.complete, len(stop.unconfirmed)) == (False, REPORTED_MAX + 1)
        assert [len(part.unconfirmed) for part in parts] == [REPORTED_MAX, 1]

    asyncio.run(story())


def test_report_that_names_no_order_is_left_out_and_counted() -> None:
    """A venue's rejection of what it never took names nobody: it would poison the log."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        permit = world.venue.permits[0]
        report = world.venue.report(permit, "rejected")
        before = world.log.journal.size
        for changes in ({"agent": ""}, {"client_order_id": ""}):
            world.release.take("PAPER", (msgspec.structs.replace(report, **changes),))
        assert (world.log.journal.size, world.release.odd_reports) == (before, 2)

    asyncio.run(story())


def test_breaker_that_latches_while_the_key_is_waited_for_withdraws() -> None:
    """New exposure is refused up to the last look before the key is used."""

    async def story() -> None:
        world = await GateWorld.start()

        async def latch() -> None:
            world.log.state.agents["bot"].break_circuit(world.log.state.size)

        world.signer.before = latch
        answer = await world.ask(client_order_id="a")
        assert (answer.kind, answer.detail[:22]) == ("withdrawn", "circuit_breaker_active")
        assert world.venue.permits == []

    asyncio.run(story())
