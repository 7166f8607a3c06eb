# SPDX-License-Identifier: Apache-2.0
"""The connector to a Kraken-shaped venue: doubt, proof, restart, and what is never sent."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_form import agent_tag, venue_id
from sekisho.core.errors import OutcomeUnknown
from sekisho.core.gate.permit import permit_id
from tests.kraken_doubles import Wire, connect, kinds, said
from tests.paper_doubles import NOW, ORIGIN, Desk, order, resting


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def wire(desk: Desk) -> Wire:
    return Wire(desk)


@pytest.fixture
def venue(desk: Desk, wire: Wire) -> KrakenVenue:
    return connect(wire, desk.clock)


def test_kraken_form_says_what_the_permit_says(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Amounts verbatim, the day's end, a deadline, an id of the venue's kind, the permit."""
    permit = desk.permit(resting())
    asyncio.run(venue.submit(permit))
    form = wire.sent[0][1]
    assert NOW <= int(form.pop("nonce"))
    assert form == {
        "pair": "EURUSD",
        "type": "buy",
        "ordertype": "limit",
        "volume": "10000",
        "price": "1.1",
        "timeinforce": "GTD",
        "expiretm": "1778889600",
        "deadline": "2026-05-15T09:15:05.000000000Z",
        "cl_ord_id": venue_id("fx", "o-1"),
        "permit": permit,
    }


def test_kraken_permit_goes_only_where_it_is_taken(desk: Desk, wire: Wire) -> None:
    """A venue that knows no permits gets none."""
    venue = connect(wire, desk.clock, takes_permits=False)
    asyncio.run(venue.submit(desk.permit(resting())))
    assert "permit" not in wire.sent[0][1]
    assert () == desk.venue.open_orders("fx")


def test_kraken_lost_answer_is_unknown_and_asked_for(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The order was taken: asking finds it with its fill, and nothing is sent a second time."""

    async def story() -> None:
        wire.lose_answer = "AddOrder"
        permit = desk.permit(order())
        with pytest.raises(OutcomeUnknown):
            await venue.submit(permit)
        found = await venue.order_reports("fx", "o-1")
        assert [("o-1", "new"), ("o-1", "trade")] == kinds(found)
        assert [("", "rejected")] == kinds(await venue.submit(permit))
        assert 1 == wire.count("AddOrder")

    asyncio.run(story())


def test_kraken_not_found_is_a_proof_against_late_arrival(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """A request that is late finds its nonce too old once the venue was asked."""

    async def story() -> None:
        wire.lose_request = "AddOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(order()))
        assert [("o-1", "not_found")] == kinds(await venue.order_reports("fx", "o-1"))
        assert {"error": ["EAPI:Invalid nonce"]} == await wire.arrive()

    asyncio.run(story())
    assert (0, ()) == desk.venue.reports_since(0)


def test_kraken_order_under_way_is_not_denied(desk: Desk, wire: Wire) -> None:
    """While the request waits for its answer, nobody is told that the order is not there."""
    asked: list[BaseException] = []

    class Curious(Wire):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("AddOrder"):
                with pytest.raises(OutcomeUnknown) as raised:
                    await connected.order_reports("fx", "o-1")
                asked.append(raised.value)
            return await super().handle_async_request(request)

    connected = connect(Curious(desk), desk.clock)
    assert [("o-1", "new")] == kinds(asyncio.run(connected.submit(desk.permit(resting()))))
    assert 1 == len(asked)


def test_kraken_lost_amendment_is_settled_by_the_order_s_terms(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """It took effect: both names have it. It did not: not found, and the order is as it was."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-2", quantity="8000"), replaces="o-1"))
        history = [("o-1", "new"), ("o-2", "replaced")]
        assert history == kinds(await venue.order_reports("fx", "o-2"))
        wire.lose_answer, wire.lose_request = "", "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-3", quantity="7000"), replaces="o-2"))
        assert [*history, ("o-3", "not_found")] == kinds(await venue.order_reports("fx", "o-3"))
        assert ("o-2",) == await venue.open_orders("fx")
        assert ["EAPI:Invalid nonce"] == (await wire.arrive())["error"]

    asyncio.run(story())


def test_kraken_drop_copy_proves_no_absence(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """The list of orders, read with another key, does not end an amendment that may still come."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_request = "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-2", quantity="8000"), replaces="o-1"))
        assert [("o-1", "new")] == kinds((await venue.reports_since(0))[1])
        assert [] == (await wire.arrive())["error"]
        late = (await venue.reports_since(0))[1]
        assert [("o-1", "new"), ("o-2", "replaced")] == kinds(late)

    asyncio.run(story())


def test_kraken_lost_cancel_is_unknown(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Asked again, the venue tells how the order ended."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "CancelOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.cancel("fx", "o-1")
        wire.lose_answer = ""
        expected = [("o-1", "new"), ("o-1", "canceled")]
        assert expected == kinds(await venue.cancel("fx", "o-1"))

    asyncio.run(story())


def test_kraken_cancel_that_cannot_be_looked_after_is_unknown(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The venue took the cancel and says no more: that is no failure, and no confirmation."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "OpenOrders"
        with pytest.raises(OutcomeUnknown):
            await venue.cancel("fx", "o-1")

    asyncio.run(story())
    assert () == desk.venue.open_orders("fx")


def test_kraken_ids_of_two_agents_never_meet(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """The same client order id of two agents is two orders, each listed for its own."""
    other = desk.new_agent("gold")
    desk.venue.know_certificate(other.certificate)
    status = desk.status(other)

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        from sekisho.core.encoding import b64, sha256_hex

        permit = desk.permit(
            resting(), signer=other, agent="gold", ocsp=b64(status),
            certificate_sha256=sha256_hex(other.certificate),
        )  # fmt: skip
        assert [("o-1", "new")] == kinds(await venue.submit(permit))
        await venue.cancel("gold", "o-1")
        assert (("o-1",), ()) == (await venue.open_orders("fx"), await venue.open_orders("gold"))

    asyncio.run(story())
    assert agent_tag("fx") != agent_tag("gold")


def test_kraken_restart_with_the_permits_knows_everything(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Names, amendments and exec ids are the same, and no remembered permit is sent."""
    permits = [
        desk.permit(resting()),
        desk.permit(resting("o-2", quantity="8000"), replaces="o-1"),
    ]

    async def story() -> None:
        for permit in permits:
            await venue.submit(permit)
        before = (await venue.reports_since(0))[1]
        again = connect(wire, desk.clock)
        for permit in permits:
            again.remember(permit)
        assert ("o-2",) == await again.open_orders("fx")
        after = (await again.reports_since(0))[1]
        assert {one.exec_id for one in before} == {one.exec_id for one in after}
        assert [("", "rejected")] == kinds(await again.submit(permits[0]))
        assert ("o-2", "canceled") == kinds(await again.cancel("fx", "o-2"))[-1]

    asyncio.run(story())
    assert (1, 1) == (wire.count("AddOrder"), wire.count("AmendOrder"))


def test_kraken_order_without_permit_is_listed_and_can_be_cancelled(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Without its permit the agent's order has the venue's own id, and a stop still ends it."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        txid = (await venue.order_reports("fx", "o-1"))[0].venue_order_id
        again = connect(wire, desk.clock)
        assert ((txid,), ()) == (await again.open_orders("fx"), await again.open_orders("other"))
        assert {txid: venue_id("fx", "o-1")} == again.unexplained
        copied = (await again.reports_since(0))[1]
        assert [("", "new", "unexplained")] == [
            (one.client_order_id, one.exec_type, one.reason) for one in copied
        ]
        await again.cancel("fx", txid)
        assert () == await again.open_orders("fx")

    asyncio.run(story())


def test_kraken_restart_without_the_permits_still_finds_by_id(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The venue's id is made of agent and client order id: whoever asks by them finds it."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        again = connect(wire, desk.clock)
        assert [("o-1", "new")] == kinds(await again.order_reports("fx", "o-1"))
        third = connect(wire, desk.clock)
        expected = [("o-1", "new"), ("o-1", "canceled")]
        assert expected == kinds(await third.cancel("fx", "o-1"))

    asyncio.run(story())


def test_kraken_end_waits_for_its_executions(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Two lists must agree: while the venue names more executed than it lists, nothing ends."""
    info = {
        "cl_ord_id": venue_id("fx", "o-1"), "status": "canceled", "opentm": "1778836500",
        "closetm": "1778836501", "vol": "10000", "vol_exec": "400", "trades": ["T-1"],
        "descr": {"price": "1.1"},
    }  # fmt: skip
    trade = {"vol": "400", "price": "1.1", "time": "1778836500.5"}

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        txid = (await venue.order_reports("fx", "o-1"))[0].venue_order_id
        wire.alter = {
            "OpenOrders": {"open": {}}, "ClosedOrders": {"closed": {txid: info}}, "QueryTrades": {}
        }  # fmt: skip
        assert [("o-1", "new")] == kinds(await venue.order_reports("fx", "o-1"))
        wire.alter["QueryTrades"] = {"T-1": trade}
        found = await venue.order_reports("fx", "o-1")
        assert ["new", "trade", "canceled"] == [one.exec_type for one in found]
        assert ("400", "0") == (found[-1].cum_quantity, found[-1].leaves_quantity)
        assert "2026-05-15T09:15:00.500000000Z" == found[1].transact_at

    asyncio.run(story())


@pytest.mark.parametrize(
    "change",
    [{"currency": "USD"}, {"market": "GBP/USD", "currency": "GBP"}, {"counterparty": "ACME"}],
)
def test_kraken_what_the_dialect_cannot_say_is_not_sent(
    desk: Desk, wire: Wire, venue: KrakenVenue, change: dict[str, str]
) -> None:
    """The order is rejected for good, here, with the reason; its reservation can end."""
    reports = asyncio.run(venue.submit(desk.permit(order(**change))))
    assert ([("o-1", "rejected")], []) == (kinds(reports), wire.sent)
    assert reports[0].reason.startswith("not_translatable: ")


def test_kraken_permit_of_another_venue_or_nobody_is_not_sent(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """What is wrong with a permit is said of the permit, never of an order."""
    for permit in ("", "a.b.c", desk.permit(order(venue="OTHER"), venue="OTHER")):
        assert [("", "rejected")] == kinds(asyncio.run(venue.submit(permit)))
    lost = desk.permit(resting("o-2"), replaces="o-1")
    assert [("o-2", "rejected")] == kinds(asyncio.run(venue.submit(lost)))
    assert [] == wire.sent


def test_kraken_rejected_order_is_rejected_for_good(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """What the venue says of the order itself closes it; what it says of a permit does not."""
    late = desk.permit(order("o-2"))
    desk.clock.advance(3)
    reports = asyncio.run(venue.submit(late))
    assert [("o-2", "rejected")] == kinds(reports)
    assert "EOrder:Invalid order:permit_expired" == reports[0].reason
    forged = desk.permit(order("o-3"), signer=desk.new_agent("fx"))
    assert [("", "rejected")] == kinds(asyncio.run(venue.submit(forged)))


def test_kraken_spent_permit_and_used_id_are_not_sent(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """A permit's id is good once, whatever its order; an order's id too, whatever its permit."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        for permit, reason in (
            (desk.permit(resting("o-2"), log_index=1, permit_id=permit_id(ORIGIN, 1)),
             "permit_replayed"),
            (desk.permit(resting()), "duplicate_order_id"),
        ):  # fmt: skip
            assert [reason] == [one.reason for one in await venue.submit(permit)]

    asyncio.run(story())
    assert 1 == wire.count("AddOrder")


def test_kraken_amendment_under_way_is_not_settled_by_a_list(desk: Desk) -> None:
    """Terms that were there before prove nothing; refused, it leaves the order as it was."""

    class Listing(Wire):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("AmendOrder"):
                await connected.reports_since(0)
                return said({"error": ["EOrder:Invalid order:no"]})
            return await super().handle_async_request(request)

    connected = connect(Listing(desk), desk.clock)

    async def story() -> None:
        await connected.submit(desk.permit(resting()))
        told = await connected.submit(desk.permit(resting("o-2"), replaces="o-1"))
        assert [("o-2", "rejected")] == kinds(told)
        found = await connected.cancel("fx", "o-1")
        assert [("o-1", "canceled")] == kinds(found)

    asyncio.run(story())


def test_kraken_execution_listed_again_counts_once(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """However often a trade is read, what is executed stays what it is."""

    async def story() -> None:
        desk.venue.faults.depth = "400"
        await venue.submit(desk.permit(order()))
        for _ in range(2):
            await venue.reports_since(0)
        found = await venue.cancel("fx", "o-1")
        assert [("canceled", "400")] == [(one.exec_type, one.cum_quantity) for one in found]

    asyncio.run(story())
