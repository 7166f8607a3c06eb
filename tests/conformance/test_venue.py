# SPDX-License-Identifier: Apache-2.0
"""The Venue port's contract, on every connection to the paper venue (tests/venue_connections.py).

Calls run on one event loop a test, so that a connection and what serves it live from call to call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sekisho.core.amounts import parse_amount
from sekisho.core.terms import NAME, parse_instant
from sekisho.ports import Venue, VenueReport
from tests.paper_doubles import Desk, order, resting
from tests.venue_connections import CONNECTIONS

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=sorted(CONNECTIONS))
def venue(request: pytest.FixtureRequest, desk: Desk, run: Run) -> Iterator[Venue]:
    connection = CONNECTIONS[request.param](desk)
    with ExitStack() as stack:
        found = run(connection.__aenter__())
        stack.callback(lambda: run(connection.__aexit__(None, None, None)))
        yield found


def kinds(reports: tuple[VenueReport, ...]) -> list[str]:
    return [report.exec_type for report in reports]


def test_venue_has_a_name(venue: Venue) -> None:
    """The name is what permits and entries call it."""
    assert NAME.fullmatch(venue.name)


def test_venue_good_permit_is_acknowledged(desk: Desk, venue: Venue, run: Run) -> None:
    """A resting order is acknowledged and stands among the open orders."""
    reports = run(venue.submit(desk.permit(resting())))
    assert kinds(reports) == ["new"]
    assert run(venue.open_orders("fx")) == ("o-1",)


def test_venue_reports_are_well_formed(desk: Desk, venue: Venue, run: Run) -> None:
    """Amounts and instants are in the one spelling, ids are there, quantities add up."""
    for report in run(venue.submit(desk.permit(order()))):
        assert (report.agent, report.client_order_id) == ("fx", "o-1")
        assert report.venue_order_id
        assert NAME.fullmatch(report.counterparty)
        cum, leaves = parse_amount(report.cum_quantity), parse_amount(report.leaves_quantity)
        assert cum + leaves == parse_amount("10000")
        assert parse_amount(report.last_quantity) <= cum
        assert parse_amount(report.last_price) >= 0
        assert parse_instant(report.transact_at) == desk.clock.now_ns()


def test_venue_unsigned_order_is_rejected(desk: Desk, venue: Venue, run: Run) -> None:
    """Without a permit there is a single rejected report, and no order."""
    for text in ("", "no permit", "a.b.c", str(order())):
        assert kinds(run(venue.submit(text))) == ["rejected"]
    assert run(venue.open_orders("fx")) == ()


def test_venue_permit_is_taken_once(desk: Desk, venue: Venue, run: Run) -> None:
    """The second time it is rejected, and the order lives on as it was."""
    permit = desk.permit(resting())
    run(venue.submit(permit))
    before = run(venue.order_reports("fx", "o-1"))
    assert kinds(run(venue.submit(permit))) == ["rejected"]
    assert run(venue.order_reports("fx", "o-1")) == before
    assert run(venue.open_orders("fx")) == ("o-1",)


def test_venue_cancel_ends_a_resting_order(desk: Desk, venue: Venue, run: Run) -> None:
    """A cancel needs no permit and leaves nothing to execute."""
    run(venue.submit(desk.permit(resting())))
    reports = run(venue.cancel("fx", "o-1"))
    assert kinds(reports) == ["canceled"]
    assert reports[0].leaves_quantity == "0"
    assert run(venue.open_orders("fx")) == ()


def test_venue_open_orders_are_sorted_and_of_one_agent(desk: Desk, venue: Venue, run: Run) -> None:
    """What another agent has is not told, what is filled neither."""
    for name in ("o-2", "o-10", "o-1"):
        run(venue.submit(desk.permit(resting(name))))
    run(venue.submit(desk.permit(order("o-0"))))
    assert run(venue.open_orders("fx")) == ("o-1", "o-10", "o-2")
    assert run(venue.open_orders("other")) == ()


def test_venue_order_reports_are_all_of_the_order(desk: Desk, venue: Venue, run: Run) -> None:
    """What came at once comes again, and what came later too."""
    first = run(venue.submit(desk.permit(resting())))
    second = run(venue.cancel("fx", "o-1"))
    assert run(venue.order_reports("fx", "o-1")) == first + second


def test_venue_order_never_seen_is_exactly_one_not_found(venue: Venue, run: Run) -> None:
    """Asked twice it is the same report, with the same exec_id."""
    reports = run(venue.order_reports("fx", "o-9"))
    assert kinds(reports) == ["not_found"]
    assert (reports[0].agent, reports[0].client_order_id) == ("fx", "o-9")
    assert run(venue.order_reports("fx", "o-9")) == reports


def test_venue_not_found_is_a_proof(desk: Desk, venue: Venue, run: Run) -> None:
    """A permit that arrives after the venue denied its order is never executed."""
    permit = desk.permit(order())
    run(venue.order_reports("fx", "o-1"))
    assert kinds(run(venue.submit(permit))) == ["rejected"]
    assert kinds(run(venue.order_reports("fx", "o-1"))) == ["rejected"]


def test_venue_drop_copy_has_every_report_in_order(desk: Desk, venue: Venue, run: Run) -> None:
    """From zero everything comes, from a later sequence what came since."""
    first = run(venue.submit(desk.permit(order("o-1"))))
    sequence, copied = run(venue.reports_since(0))
    assert copied == first
    second = run(venue.submit(desk.permit(resting("o-2"))))
    again, since = run(venue.reports_since(sequence))
    assert since == second
    assert run(venue.reports_since(again)) == (again, ())
    assert run(venue.reports_since(0))[1] == first + second


def test_venue_exec_ids_are_unique(desk: Desk, venue: Venue, run: Run) -> None:
    """No two reports of the venue share an exec_id, denials and rejections included."""
    reports = [*run(venue.submit("nonsense")), *run(venue.order_reports("fx", "o-7"))]
    for number in range(5):
        reports += run(venue.submit(desk.permit(order(f"o-{number}"))))
    assert len({report.exec_id for report in reports}) == len(reports) == 12


def test_venue_amendment_replaces_the_order(desk: Desk, venue: Venue, run: Run) -> None:
    """The order has the new id and quantity; both ids lead to its whole history."""
    run(venue.submit(desk.permit(resting())))
    reports = run(venue.submit(desk.permit(resting("o-2", quantity="8000"), replaces="o-1")))
    assert kinds(reports) == ["replaced"]
    assert (reports[0].client_order_id, reports[0].leaves_quantity) == ("o-2", "8000")
    assert run(venue.open_orders("fx")) == ("o-2",)
    for name in ("o-1", "o-2"):
        assert kinds(run(venue.order_reports("fx", name))) == ["new", "replaced"]
