# SPDX-License-Identifier: Apache-2.0
"""The venue of a rehearsal: what the history tells, when it tells it, and nothing made up."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.history.rates import OwnPrices
from sekisho.adapters.venues.history import EveryVenue, HistoryVenue
from sekisho.core.drills.history import HistoryRow, RowDefaults, read_row
from sekisho.core.errors import Unavailable
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import VenueReport

NOON = parse_instant("2026-05-04T12:00:00.000000000Z")
MIDNIGHT = NOON + 12 * 3_600 * NS
Told = list[tuple[str, str, str]]


def row(**changes: str) -> HistoryRow:
    """An order for 1,000 at noon."""
    fields = {
        "time": "2026-05-04T12:00:00Z",
        "market": "EUR/USD",
        "side": "buy",
        "quantity": "1000",
        "price": "1.085",
        "client_order_id": "o-1",
    }
    return read_row(fields | changes, 2, RowDefaults(venue="PAPER"))


def venue() -> HistoryVenue:
    """A venue whose days end at midnight, with no rates but the rows' own prices."""
    return HistoryVenue("bot", OwnPrices(("A",)), lambda _at: MIDNIGHT)


def submit(where: HistoryVenue, asked: HistoryRow) -> Told:
    """What the venue says at once."""
    where.expect(asked)
    return told(asyncio.run(where.submit("permit")))


def told(reports: tuple[VenueReport, ...]) -> Told:
    """Kind, executed quantity and what is left."""
    return [(one.exec_type, one.last_quantity, one.leaves_quantity) for one in reports]


def later(where: HistoryVenue, now: int) -> Told:
    """Everything that is due by then."""
    found: Told = []
    while (due := where.due(now)) is not None:
        assert "PAPER" == due[0]
        found += told(due[1])
    return found


NEW = ("new", "0", "1000")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [("new", "0", "0"), ("canceled", "0", "0")]),
        ({"status": "filled"}, [NEW, ("trade", "1000", "0")]),
        (
            {"status": "filled", "filled_quantity": "400"},
            [NEW, ("trade", "400", "600"), ("canceled", "0", "0")],
        ),
        ({"status": "filled", "filled_quantity": "1200"}, [NEW, ("trade", "1200", "0")]),
        ({"status": "rejected"}, [("rejected", "0", "0")]),
        ({"status": "canceled"}, [NEW, ("canceled", "0", "0")]),
        ({"status": "expired"}, [NEW, ("expired", "0", "0")]),
        (
            {"status": "expired", "filled_quantity": "1"},
            [NEW, ("trade", "1", "999"), ("expired", "0", "0")],
        ),
        ({"status": "open"}, [NEW]),
        ({"status": "open", "time_in_force": "ioc"}, [NEW, ("canceled", "0", "0")]),
        ({"status": "open", "filled_quantity": "3"}, [NEW, ("trade", "3", "997")]),
    ],
)
def test_outcome_at_the_orders_own_time_is_told_at_once(
    changes: dict[str, str], expected: Told
) -> None:
    """Each status becomes the reports that a venue would have sent, and no other."""
    assert expected == submit(venue(), row(**changes))


def test_outcome_with_latency_comes_at_its_time() -> None:
    """Acknowledged at once, executed when the history says, not a nanosecond before."""
    where = venue()
    assert [NEW] == submit(where, row(status="filled", latency_ms="250"))
    at = NOON + 250_000_000
    assert at == where.next_at()
    assert [] == later(where, at - 1)
    assert [("trade", "1000", "0")] == later(where, at)
    assert where.next_at() is None


def test_outcomes_come_in_the_order_of_their_times() -> None:
    """A later order that was executed earlier is told earlier; equal times as they were asked."""
    where = venue()
    submit(where, row(status="filled", latency_ms="300"))
    submit(where, row(client_order_id="o-2", status="filled", latency_ms="100"))
    submit(where, row(client_order_id="o-3", status="rejected", latency_ms="100"))
    names = []
    while (due := where.due(MIDNIGHT)) is not None:
        names += [one.client_order_id for one in due[1]]
    assert ["o-2", "o-3", "o-1"] == names


def test_open_day_order_expires_at_the_end_of_its_day() -> None:
    """An order for the day does not outlive it; one until canceled does."""
    where = venue()
    submit(where, row(status="open"))
    submit(where, row(client_order_id="o-2", status="open", time_in_force="gtc"))
    assert MIDNIGHT - 1 == where.next_at()
    assert [("expired", "0", "0")] == later(where, MIDNIGHT)


def test_rejection_that_came_later_says_nothing_before() -> None:
    """A rejected order was never acknowledged."""
    where = venue()
    assert [] == submit(where, row(status="rejected", latency_ms="1"))
    assert [("rejected", "0", "0")] == later(where, MIDNIGHT)


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"fill_price": "1.09"}, "1.09"),
        ({}, "1.085"),
        ({"type": "market", "price": "1.07"}, "1.07"),
        ({"type": "market", "price": ""}, "0"),
    ],
)
def test_fill_price_is_the_historys_else_the_orders(changes: dict[str, str], price: str) -> None:
    """What was paid, as far as the history knows it."""
    where = venue()
    where.expect(row(status="filled", **changes))
    reports = asyncio.run(where.submit("permit"))
    assert price == reports[-1].last_price


def test_fill_price_of_a_market_order_is_the_middle_of_the_reference() -> None:
    """Where the history does not tell, what the reference says."""
    rates = OwnPrices(("A",))
    rates.advance(row(price="1.25"))
    where = HistoryVenue("bot", rates, lambda _at: MIDNIGHT)
    where.expect(row(type="market", price="", status="filled"))
    assert "1.25" == asyncio.run(where.submit("permit"))[-1].last_price


def test_report_names_counterparty_of_the_execution_alone() -> None:
    """Who it was executed with stands in the trade, nowhere else."""
    where = venue()
    where.expect(row(status="filled", executed_counterparty="KRAKEN"))
    reports = asyncio.run(where.submit("permit"))
    assert [("new", ""), ("trade", "KRAKEN")] == [
        (one.exec_type, one.counterparty) for one in reports
    ]
    assert len({one.exec_id for one in reports}) == len(reports)


def test_permit_for_no_row_is_not_taken() -> None:
    """A permit is for the row that was announced, once."""
    where = venue()
    submit(where, row(status="filled"))
    with pytest.raises(Unavailable, match="no row"):
        asyncio.run(where.submit("permit"))


def test_what_the_history_cannot_answer_is_unavailable() -> None:
    """It neither cancels nor looks ahead."""
    where = venue()
    for asked in (
        where.cancel("bot", "o-1"),
        where.order_reports("bot", "o-1"),
    ):
        with pytest.raises(Unavailable):
            asyncio.run(asked)
    assert (5, ()) == asyncio.run(where.reports_since(5))
    assert () == asyncio.run(where.open_orders("bot"))  # nothing rests from before the history


def test_every_name_is_the_one_venue() -> None:
    """Whatever venue the history names, the history answers for it; listed, it is one."""
    where = venue()
    names = EveryVenue(where)
    assert (where, where, ["HISTORY"], 1) == (
        names["PAPER"],
        names.get("DARK"),
        list(names),
        len(names),
    )
