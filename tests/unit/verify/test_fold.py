# SPDX-License-Identifier: Apache-2.0
"""Sections 2 and 3 of checks.md: what each entry does to reservations, positions and counters."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sekisho_verify.canonical import UNIT, instant
from sekisho_verify.prices import Asked, Quotation, Quotations, direction, fill_value, notional
from tests.unit.verify.small_gate import SmallGate, amend, cancel, new


def book(bid: str, ask: str, pair: str = "EUR/USD") -> dict[tuple[str, str], Quotations]:
    """One quotation of the source s."""
    gate = SmallGate()
    gate.state.book.clear()
    gate.rate(bid, ask, source="s", pair=pair)
    return gate.state.book


def asked(market: str, side: str, currency: str, quantity: int, price: str | None) -> Asked:
    """An order, its quantity in whole units."""
    ratio = None if price is None else Fraction(price)
    return Asked(market, side, currency, quantity * UNIT, ratio)


@pytest.mark.parametrize(
    ("order", "money", "expected"),
    [
        (asked("EUR/USD", "buy", "EUR", 100, "1.1"), "EUR", 10000),
        # C = base, P = quote: quantity × highest price
        (asked("EUR/USD", "buy", "EUR", 100, "1.5"), "USD", 15000),
        (asked("EUR/USD", "sell", "EUR", 100, "1.5"), "USD", 15000),
        (asked("EUR/USD", "sell", "EUR", 100, "1.1"), "USD", 12120),
        (asked("EUR/USD", "buy", "EUR", 100, None), "USD", 12120),
        # C = quote, P = base: quantity / lowest price
        (asked("EUR/USD", "sell", "USD", 120, "1.25"), "EUR", 9600),
        (asked("EUR/USD", "buy", "USD", 99, "1.5"), "EUR", 10000),
        (asked("EUR/USD", "buy", "USD", 90, "0.9"), "EUR", 10000),
        (asked("EUR/USD", "sell", "USD", 99, None), "EUR", 10000),
    ],
)
def test_notional_each_case_uses_the_price_against_the_agent(
    order: Asked, money: str, expected: int
) -> None:
    """3.2 with bid 1, ask 1.2, buffer 1 %: the result in cents."""
    found = notional(order, money, book("1", "1.2"), "s", Fraction("0.01"))
    assert expected == (found or 0) * 100 // UNIT


def test_notional_third_currency_uses_its_own_pair_in_either_spelling() -> None:
    """3.2 case 3: quantity × ask of C/P × (1 + b); the ask of the inverse is 1 / bid."""
    order = asked("GBP/USD", "buy", "GBP", 80, "1.3")
    found = notional(order, "EUR", book("0.8", "0.9", "EUR/GBP"), "s", Fraction("0.01"))
    assert 10100 == (found or 0) * 100 // UNIT


@pytest.mark.parametrize(("bid", "ask"), [("0", "1"), ("2", "1"), ("1", "0")])
def test_notional_crossed_quotation_is_not_computable(bid: str, ask: str) -> None:
    """A crossed quotation is none."""
    order = asked("EUR/USD", "buy", "USD", 80, None)
    assert notional(order, "EUR", book(bid, ask), "s", Fraction("0.01")) is None


def test_direction_inverse_market_turns_the_side() -> None:
    """BUY GBP/EUR is SELL EUR/GBP."""
    assert [1, -1, -1, 1] == [
        direction(market, side) for market in ("EUR/GBP", "GBP/EUR") for side in ("buy", "sell")
    ]


def test_quotation_inverse_market_swaps_the_sides() -> None:
    """In the pair's orientation, bid is 1/ask and ask is 1/bid."""
    found = Quotation(7, "GBP/EUR", UNIT, 2 * UNIT, 0, ("1", "2"))
    assert (Fraction(1, 2), Fraction(1), Fraction(3, 4)) == (found.bid, found.ask, found.mid)


@pytest.mark.parametrize(
    ("currency", "money", "expected"),
    [("EUR", "EUR", 300), ("EUR", "USD", 360), ("USD", "EUR", 250), ("EUR", "CHF", 150)],
)
def test_fill_value_each_case(currency: str, money: str, expected: int) -> None:
    """3.3: 3 units at 1.2 of an order of 6 units with total 3.00, in cents."""
    fill, whole = (3 * UNIT, 12 * UNIT // 10), (3 * UNIT, 6 * UNIT)
    assert expected == fill_value("EUR/USD", currency, money, fill, whole) * 100 // UNIT


def test_fill_value_price_zero_is_proportional() -> None:
    """A fill without a price is valued by its share of the reservation."""
    assert UNIT == fill_value("EUR/USD", "USD", "EUR", (2 * UNIT, 0), (3 * UNIT, 6 * UNIT))


def test_quotations_forget_what_is_older_than_an_hour() -> None:
    """Exactly an hour older stays; a nanosecond more is forgotten."""
    for ago, remembered in ((3600 * 10**9, True), (3600 * 10**9 + 1, False)):
        gate = SmallGate()
        gate.state.book.clear()
        gate.rate("1", "1", ago_ns=ago)
        gate.rate("2", "2")
        span = gate.state.book["primary", "EUR/USD"].span(10**6)
        assert remembered == (span > 0)


def test_trade_releases_its_share_and_moves_the_position() -> None:
    """What is left is reserved, rounded up; gross stays."""
    gate = SmallGate()
    gate.judge(new(quantity="100.01"))
    gate.report("order-1", "trade", last_quantity="33.335", last_price="1.1")
    assert ("100.01", "66.68", 1, 1) == gate.counters()
    assert 3334 == gate.position() * 100 // UNIT
    gate.report("order-1", "trade", last_quantity="66.675", last_price="1.1")
    assert ("100.01", "0.00", 1, 1) == gate.counters()
    assert {} == gate.agent.working


def test_trade_repeated_exec_id_has_no_effect() -> None:
    """A report that is delivered twice counts once; another venue's id is another."""
    gate = SmallGate()
    gate.judge(new(quantity="100"))
    for _ in range(2):
        gate.report("order-1", "trade", exec_id="same", last_quantity="10", last_price="1")
    assert "90.00" == gate.counters()[1]


@pytest.mark.parametrize("exec_type", ["canceled", "expired", "rejected", "not_found"])
def test_report_that_ends_an_order_closes_it(exec_type: str) -> None:
    """Nothing is reserved any more, gross stays, and a fill that is told later is booked."""
    gate = SmallGate()
    gate.judge(new())
    gate.report("order-1", exec_type)
    assert ("10000.00", "0.00", 1, 1) == gate.counters()
    gate.report("order-1", "trade", last_quantity="1", last_price="1")
    assert (0, UNIT) == (gate.agent.orphans, gate.position())


@pytest.mark.parametrize("exec_type", ["rejected", "not_found"])
def test_pending_amendment_refused_by_venue_restores_the_reservation(exec_type: str) -> None:
    """Named by the amendment's id only the amendment is dropped."""
    gate = SmallGate()
    gate.judge(new())
    gate.judge(amend("order-1", "order-2", "15000"))
    assert ("15000.00", "15000.00", 1, 2) == gate.counters()
    gate.report("order-2", exec_type)
    assert ("15000.00", "10000.00", 1, 2) == gate.counters()
    assert [] == gate.judge(amend("order-1", "order-3", "11000"))


def test_pending_amendment_downwards_reserves_the_larger_until_confirmed() -> None:
    """Only the venue's confirmation releases."""
    gate = SmallGate()
    gate.judge(new())
    gate.judge(amend("order-1", "order-2", "4000"))
    assert "10000.00" == gate.counters()[1]
    gate.report("order-1", "trade", last_quantity="1000", last_price="1.1")
    assert "9000.00" == gate.counters()[1]
    gate.report("order-2", "replaced")
    assert "3000.00" == gate.counters()[1]
    gate.report("order-1", "trade", last_quantity="3000", last_price="1.1")
    assert {} == gate.agent.working


def test_replaced_order_filled_already_is_closed() -> None:
    """An amendment to what has been filled meanwhile leaves nothing."""
    gate = SmallGate()
    gate.judge(new())
    gate.judge(amend("order-1", "order-2", "4000"))
    gate.report("order-1", "trade", last_quantity="4000", last_price="1.1")
    gate.report("order-2", "replaced")
    assert ({}, "0.00") == (gate.agent.working, gate.counters()[1])


def test_withdrawn_new_order_is_closed_and_amendment_dropped() -> None:
    """What never left reserves nothing."""
    gate = SmallGate()
    first = gate.index
    gate.judge(new())
    second = gate.index
    gate.judge(amend("order-1", "order-2", "15000"))
    gate.entry("withdrawn", agent="fx_trader", decision=second)
    assert "10000.00" == gate.counters()[1]
    gate.entry("withdrawn", agent="fx_trader", decision=first)
    assert "0.00" == gate.counters()[1]


def test_day_roll_reserves_open_orders_anew() -> None:
    """On a new day gross starts with what still works, orders at zero."""
    gate = SmallGate()
    gate.judge(new())
    gate.judge(new("order-2", quantity="5000"))
    gate.report("order-2", "trade", last_quantity="5000", last_price="1")
    gate.now = instant("2026-05-15T23:59:59.999999999Z")
    gate.report("order-1", "new")
    assert ("15000.00", "10000.00", 2, 0) == gate.counters()
    gate.now = instant("2026-05-16T00:00:00.000000000Z")
    gate.report("order-1", "new")
    assert ("10000.00", "10000.00", 0, 0) == gate.counters()


def test_admission_of_another_certificate_keeps_the_record() -> None:
    """Ids, counters and orders outlive a replacement."""
    gate = SmallGate()
    gate.judge(new())
    gate.admit("bb" * 32)
    assert ("10000.00", "10000.00", 1, 1) == gate.counters()
    assert [("duplicate_order_id", "", "order-1", "")] == gate.judge(new())


def test_cancel_permitted_is_a_message_and_releases_nothing() -> None:
    """Only the venue's report releases."""
    gate = SmallGate()
    gate.judge(new())
    assert [] == gate.judge(cancel("order-1", "order-2"))
    assert ("10000.00", "10000.00", 1, 2) == gate.counters()
