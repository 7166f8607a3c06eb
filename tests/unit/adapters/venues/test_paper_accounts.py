# SPDX-License-Identifier: Apache-2.0
"""Accounts at the paper venue: each credential's holder has orders and a drop copy of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx2
import pytest

from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_link import KrakenLink
from sekisho.adapters.venues.paper import PaperSession, PaperVenue
from sekisho.adapters.venues.paper_kraken import (
    KrakenKey,
    KrakenSide,
    paper_kraken_application,
)
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.ports import Venue, VenueReport
from tests.kraken_doubles import PAIRS, SECRET
from tests.paper_doubles import Desk, order, resting

HOLDERS = {"token-a": "gate-a", "token-a2": "gate-a", "token-b": "gate-b"}


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


def kinds(reports: tuple[VenueReport, ...]) -> list[tuple[str, str]]:
    return [(one.client_order_id, one.exec_type) for one in reports]


class Exchange:
    """One venue with two gates: gate-a has two credentials, gate-b one."""

    def __init__(self) -> None:
        self.desk = Desk()
        issuer = self.desk.issuer
        trust = VenueTrust("PAPER", frozenset({"test"}), issuer.root, issuer.issuing)
        self.venue = PaperVenue(trust, self.desk.clock, self.desk.market, HOLDERS)
        self.venue.know_certificate(self.desk.agent.certificate)
        self.a, self.a2, self.b = (self.venue.session(one) for one in HOLDERS)

    def submit(self, session: PaperSession, fields: dict[str, Any], **more: Any) -> Any:
        return run(session.submit(self.desk.permit(fields, **more)))


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_account_sees_its_own_orders_alone(exchange: Exchange) -> None:
    """Open orders and drop copy of one account do not show what the other one trades."""
    exchange.submit(exchange.a, resting("o-a"))
    exchange.submit(exchange.b, order("o-b"))
    assert ("o-a",) == run(exchange.a.open_orders("fx"))
    assert () == run(exchange.b.open_orders("fx"))
    assert (1, [("o-a", "new")]) == _tape(exchange.a)
    assert (2, [("o-b", "new"), ("o-b", "trade")]) == _tape(exchange.b)


def test_account_is_the_holders_whatever_credential_was_shown(exchange: Exchange) -> None:
    """What is traded with any credential of a gate is in that gate's drop copy."""
    exchange.submit(exchange.a2, resting("o-a"))
    assert (1, [("o-a", "new")]) == _tape(exchange.a)
    assert ("o-a",) == run(exchange.a.open_orders("fx"))
    assert [("o-a", "canceled")] == kinds(run(exchange.a.cancel("fx", "o-a")))


def test_order_of_another_account_is_neither_told_nor_denied_nor_touched(
    exchange: Exchange,
) -> None:
    """Neither ``not_found``, which would be a proof, nor its fate: nothing is known here."""
    exchange.submit(exchange.a, resting("o-a"))
    for question in (exchange.b.order_reports, exchange.b.cancel):
        with pytest.raises(Unavailable, match="not of this account"):
            run(question("fx", "o-a"))
    amended = exchange.submit(exchange.b, resting("o-b", quantity="5000"), replaces="o-a")
    assert [("o-b", "rejected", "unknown_order")] == [
        (one.client_order_id, one.exec_type, one.reason) for one in amended
    ]
    assert [("o-a", "new")] == kinds(run(exchange.a.order_reports("fx", "o-a")))
    assert (1, [("o-a", "new")]) == _tape(exchange.a)


def test_id_of_an_agent_is_one_order_in_the_whole_house(exchange: Exchange) -> None:
    """A second gate of the agent cannot execute under an id that the first one used."""
    exchange.submit(exchange.a, resting("o-1"))
    (told,) = exchange.submit(exchange.b, resting("o-1"))
    assert ("rejected", "duplicate_order_id", "") == (
        told.exec_type, told.reason, told.client_order_id,
    )  # fmt: skip


def test_permit_executes_for_the_account_whose_credential_brought_it(exchange: Exchange) -> None:
    """Whoever signed it: the account that it was brought to is told, once and for good."""
    permit = exchange.desk.permit(order("o-1"))
    run(exchange.b.submit(permit))
    assert "permit_replayed" == run(exchange.a.submit(permit))[0].reason
    assert (0, []) == _tape(exchange.a)
    assert (2, [("o-1", "new"), ("o-1", "trade")]) == _tape(exchange.b)


def test_denial_holds_for_every_account(exchange: Exchange) -> None:
    """``not_found`` said to one gate is broken by no other gate's credential."""
    permit = exchange.desk.permit(order("o-1"))
    assert [("o-1", "not_found")] == kinds(run(exchange.a.order_reports("fx", "o-1")))
    assert "denied_before" == run(exchange.b.submit(permit))[0].reason


def test_permit_under_way_arrives_for_its_own_account(exchange: Exchange) -> None:
    """A delayed one is not the house's."""
    exchange.venue.faults.submits.append("delay")
    with pytest.raises(Exception, match="no answer"):
        exchange.submit(exchange.b, order("o-b"))
    exchange.venue.deliver_delayed()
    assert (0, []) == _tape(exchange.a)
    assert 2 == _tape(exchange.b)[0]


def test_staff_see_every_account(exchange: Exchange) -> None:
    """The venue itself has one list of all."""
    exchange.submit(exchange.a, resting("o-a"))
    exchange.submit(exchange.b, resting("o-b"))
    assert ("o-a", "o-b") == exchange.venue.open_orders("fx")
    assert 2 == exchange.venue.reports_since(0)[0]


def test_withdrawn_credential_leaves_the_others_of_its_holder(exchange: Exchange) -> None:
    """The account stays, with what it has."""
    exchange.submit(exchange.a, resting("o-a"))
    exchange.venue.withdraw_credential("token-a")
    with pytest.raises(Unavailable):
        run(exchange.a.open_orders("fx"))
    with pytest.raises(NotAuthorised):
        exchange.venue.session("token-a")
    assert ("o-a",) == run(exchange.a2.open_orders("fx"))


def test_kraken_key_shows_its_own_account_whole(exchange: Exchange) -> None:
    """Its lists have what came by another dialect to the same account, and nothing of another."""
    keys = {
        name: KrakenKey(SECRET, exchange.venue.seen_from(name)) for name in ("gate-a", "gate-b")
    }
    side = KrakenSide(keys, PAIRS, exchange.desk.clock)
    wire = httpx2.ASGITransport(app=paper_kraken_application(side))

    def connect(name: str) -> Venue:
        clock = exchange.desk.clock
        link = KrakenLink("http://127.0.0.1:1", name, SECRET, clock, transport=wire)
        return KrakenVenue("PAPER", link, link, PAIRS, clock, takes_permits=True)

    async def story() -> None:
        a, b = connect("gate-a"), connect("gate-b")
        await a.submit(exchange.desk.permit(resting("o-k")))
        await exchange.a.submit(exchange.desk.permit(resting("o-h")))
        assert [("o-k", "new")] == kinds(await exchange.a.order_reports("fx", "o-k"))
        listed = await a.open_orders("fx")
        assert {"o-k"} < set(listed)
        assert 2 == len(listed)
        assert () == await b.open_orders("fx")
        assert () == (await b.reports_since(0))[1]
        with pytest.raises(Unavailable):
            await b.order_reports("fx", "o-k")
        assert [("o-k", "new")] == kinds(await a.order_reports("fx", "o-k"))

    asyncio.run(story())


def _tape(session: PaperSession) -> tuple[int, list[tuple[str, str]]]:
    at, reports = run(session.reports_since(0))
    return at, kinds(reports)
