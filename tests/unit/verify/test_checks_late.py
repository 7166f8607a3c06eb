# SPDX-License-Identifier: Apache-2.0
"""Rows 10 to 22 of checks.md section 4, at, just inside and just outside the boundary."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.verify.build_policy import scope
from tests.unit.verify.small_gate import Row, SmallGate, amend, market, new

SIZES = [
    {"market": "EUR/USD", "currency": "EUR", "max": "10000.5"},
    {"market": "GBP/EUR", "currency": "GBP", "max": "10"},
]
COLLAR = {"deviation_max": "0.01", "range_max": "0.02", "window_s": 60}
STRESS = {"action": "refuse", "spread_max": "0.01", "move_max": "0.02", "window_s": 60}
SHARES = {"share_max": "0.5", "window_s": 60, "notional_min": "20000"}


def rates(**changes: Any) -> dict[str, Any]:
    """Settings of the reference rates, as a change of the scope."""
    found: dict[str, Any] = scope()["reference_rates"]
    return {"reference_rates": found | changes}


def codes(found: list[Row]) -> list[str]:
    """The codes alone."""
    return [reason[0] for reason in found]


def test_row_10_inverse_market_is_the_same_pair() -> None:
    """Both spellings of a pair are allowed."""
    gate = SmallGate()
    gate.rate("0.86", "0.8602", pair="EUR/GBP")
    asked = new(market="EUR/GBP", currency="EUR", price="0.86")
    assert [] == gate.judge(asked)


def test_row_10_other_market_refuses_as_written() -> None:
    """The market is shown as written, the allowed ones in a row."""
    gate = SmallGate()
    gate.rate("150", "151", pair="EUR/JPY")
    found = gate.judge(new(market="EUR/JPY", price="150"))
    assert [("market_not_allowed", "EUR/USD,GBP/EUR", "EUR/JPY", "")] == found


def test_row_11_missing_rate_refuses_though_notional_needs_none() -> None:
    """Every needed pair must have a quotation from every source."""
    gate = SmallGate(**rates(sources=["primary", "second"]))
    assert [("rate_missing", "", "second:EUR/USD", "")] == gate.judge(new())


def test_row_11_pair_of_quantity_and_money_is_needed_too() -> None:
    """Where the money is no leg, its pair with the quantity's currency is needed."""
    gate = SmallGate(markets=["GBP/USD"])
    found = gate.judge(new(market="GBP/USD", currency="GBP", price="1.3"))
    missing = [("rate_missing", "", f"primary:{pair}", "") for pair in ("GBP/USD", "EUR/GBP")]
    assert missing == found


@pytest.mark.parametrize(
    ("bid", "ask", "refused"),
    [("1.1", "1.1", False), ("1.10000001", "1.1", True), ("0", "1.1", True), ("1.1", "0", True)],
)
def test_row_11_crossed_quotation_refuses(bid: str, ask: str, refused: bool) -> None:
    """Bid above ask, or a side of zero; both are shown as recorded."""
    gate = SmallGate()
    gate.rate(bid, ask)
    expected = [("rate_crossed", ask, bid, "primary:EUR/USD")] if refused else []
    assert expected == gate.judge(new(price="1.1"))


@pytest.mark.parametrize(
    ("ago_ns", "observed"),
    [
        (60_000_000_000, None),
        (60_000_000_001, "60001"),
        (-1_000_000_000, None),
        (-1_000_999_999, None),
        (-1_001_000_000, "-1001"),
    ],
)
def test_row_11_age_in_ms_rounded_up(ago_ns: int, observed: str | None) -> None:
    """Too old, or more than a second ahead."""
    gate = SmallGate()
    gate.state.book.clear()
    gate.rate(ago_ns=ago_ns)
    expected = [] if observed is None else [("rate_stale", "60000", observed, "ms")]
    assert expected == gate.judge(new())


@pytest.mark.parametrize(("mid", "refused"), [("1.05", False), ("1.05000001", True)])
def test_row_11_jump_above_limit_is_outlier(mid: str, refused: bool) -> None:
    """The span of mids in the window, rounded up to six decimals where shown."""
    gate = SmallGate()
    gate.state.book.clear()
    gate.rate("1", "1", ago_ns=60 * 10**9)
    gate.rate(mid, mid)
    expected = [("rate_outlier", "0.05", "0.050001", "fraction")] if refused else []
    assert expected == gate.judge(new(price="1"))


def test_row_11_jump_before_window_is_forgotten() -> None:
    """One nanosecond before the window does not count."""
    gate = SmallGate()
    gate.state.book.clear()
    gate.rate("1", "1", ago_ns=60 * 10**9 + 1)
    gate.rate("1.2", "1.2")
    assert [] == gate.judge(new(price="1"))


@pytest.mark.parametrize(("mid", "refused"), [("1.1055", False), ("1.10550001", True)])
def test_row_11_disagreement_of_sources(mid: str, refused: bool) -> None:
    """The span over the sources' latest mids."""
    gate = SmallGate(**rates(sources=["primary", "second"]))
    gate.rate("1.1", "1.1")
    gate.rate(mid, mid, source="second")
    shown = ("rate_sources_disagree", "0.005", "0.005001", "fraction")
    assert ([shown] if refused else []) == gate.judge(new(price="1.1"))


def test_row_11_older_quotation_has_no_effect() -> None:
    """The latest is the one quoted last, not the one recorded last."""
    gate = SmallGate()
    gate.rate("2", "1", ago_ns=1)
    assert [] == gate.judge(new())


@pytest.mark.parametrize(("ask", "refused"), [("1.01005025", False), ("1.01005026", True)])
def test_row_12_spread_above_limit_refuses(ask: str, refused: bool) -> None:
    """(ask − bid) / mid against the limit: 0.01 is reached between two neighbouring amounts."""
    gate = SmallGate(market_stress=STRESS)
    gate.state.book.clear()
    gate.rate("1", ask)
    shown = ("market_stressed", "0.01", "0.010001", "fraction")
    assert ([shown] if refused else []) == gate.judge(new(price="1"))


@pytest.mark.parametrize(("mid", "refused"), [("1.02", False), ("1.02000001", True)])
def test_row_12_move_above_limit_refuses(mid: str, refused: bool) -> None:
    """The span of mids in the window; `score` refuses nothing."""
    for action in ("refuse", "score"):
        gate = SmallGate(market_stress=STRESS | {"action": action})
        gate.state.book.clear()
        gate.rate("1", "1", ago_ns=10**9)
        gate.rate(mid, mid)
        shown = ("market_stressed", "0.02", "0.020001", "fraction")
        expected = [shown] if refused and action == "refuse" else []
        assert expected == gate.judge(new(price="1"))


@pytest.mark.parametrize(
    ("quantity", "observed"),
    [("25000", None), ("24999.99999999", None), ("25000.00000001", "25000.01")],
)
def test_row_13_notional_rounds_up_to_the_cent(quantity: str, observed: str | None) -> None:
    """The limit itself passes; a hundred-millionth more is a cent more."""
    shown = ("exceeds_scope_size", "25000.00", observed, "EUR")
    assert ([shown] if observed else []) == SmallGate().judge(new(quantity=quantity))


@pytest.mark.parametrize(
    ("quantity", "limit"), [("10000.5", None), ("10000.50000001", "10000.5"), ("1", None)]
)
def test_row_14_quantity_by_market_and_currency(quantity: str, limit: str | None) -> None:
    """The limit itself passes; both are shown in their shortest form."""
    shown = ("exceeds_quantity", limit, quantity, "EUR")
    gate = SmallGate(order_quantity_max=SIZES)
    assert ([shown] if limit else []) == gate.judge(new(quantity=quantity))


def test_row_14_no_row_is_no_permission() -> None:
    """Another currency of the market, or its inverse, has no row."""
    gate = SmallGate(order_quantity_max=SIZES)
    shown = ("exceeds_quantity", "0", "100", "USD")
    assert [shown] == gate.judge(new(currency="USD", quantity="100.0"))


@pytest.mark.parametrize(
    ("price", "refused"),
    [("1.111", False), ("1.11100001", True), ("1.089", False), ("1.08899999", True)],
)
def test_row_15_deviation_from_reference(price: str, refused: bool) -> None:
    """|price − mid| / mid, both sides."""
    gate = SmallGate(price_collar=COLLAR)
    gate.rate("1.1", "1.1")
    shown = ("price_outside_collar", "0.01", "0.010001", "fraction")
    assert ([shown] if refused else []) == gate.judge(new(price=price))


@pytest.mark.parametrize(("price", "refused"), [("1.0914", False), ("1.09140001", True)])
def test_row_15_range_over_window(price: str, refused: bool) -> None:
    """(max − min) / min over the prices permitted in the window and this one."""
    wide = COLLAR | {"deviation_max": "1"}
    gate = SmallGate(price_collar=wide)
    assert [] == gate.judge(new(price="1.07"))
    shown = ("price_outside_collar", "0.02", "0.020001", "fraction")
    assert ([shown] if refused else []) == gate.judge(new("order-2", price=price))
    gate.wait(60)
    gate.rate()
    assert [] == gate.judge(new("order-3", price="1.2"))


def test_row_15_market_order_has_no_collar() -> None:
    """A market order is bounded by other rows."""
    gate = SmallGate(price_collar=COLLAR)
    assert [] == gate.judge(market())


@pytest.mark.parametrize(("last", "observed"), [("20000", None), ("20000.01", "100000.01")])
def test_row_16_daily_notional_is_never_exceeded_by_a_cent(last: str, observed: str | None) -> None:
    """The cap itself passes; what was filled or refused does not come back."""
    gate = SmallGate()
    for number in range(4):
        assert [] == gate.judge(new(f"o-{number}", quantity="20000"))
        gate.report(f"o-{number}", "canceled")
    shown = ("daily_volume_cap_exceeded", "100000.00", observed, "EUR")
    assert ([shown] if observed else []) == gate.judge(new(quantity=last))


def test_row_16_amendment_adds_the_difference_only() -> None:
    """Upwards the difference, downwards nothing."""
    gate = SmallGate(daily_notional_max="15000")
    assert [] == gate.judge(new())
    shown = ("daily_volume_cap_exceeded", "15000.00", "15000.01", "EUR")
    assert [shown] == gate.judge(amend("order-1", "order-2", "15000.01"))
    assert [] == gate.judge(amend("order-1", "order-3", "15000"))
    assert ("15000.00", "15000.00", 1, 2) == gate.counters()


@pytest.mark.parametrize(("limit", "refused"), [(2, False), (1, True)])
def test_row_17_order_count_of_the_day(limit: int, refused: bool) -> None:
    """New orders only; a new day starts at zero."""
    gate = SmallGate(daily_order_count_max=limit)
    assert [] == gate.judge(new())
    assert [] == gate.judge(amend("order-1", "order-9", "9000"))
    shown = ("order_count_exceeded", "1", "2", "orders")
    assert ([shown] if refused else []) == gate.judge(new("order-2"))
    gate.wait(86400)
    gate.rate()
    assert [] == gate.judge(new("order-3"))


@pytest.mark.parametrize(("seconds", "refused"), [(9.999999999, True), (10, False)])
def test_row_18_message_rate_counts_permitted_messages(seconds: float, refused: bool) -> None:
    """Orders and amendments are checked; permitted cancels count too."""
    gate = SmallGate(message_rate={"count_max": 2, "window_s": 10})
    assert [] == gate.judge(new())
    gate.judge(new("order-2", quantity="30000"))
    assert [] == gate.judge(amend("order-1", "order-3", "9000"))
    gate.now += round(seconds * 10**9)
    shown = ("message_rate_exceeded", "2", "3", "messages")
    assert ([shown] if refused else []) == gate.judge(new("order-4"))


def test_row_18_runs_where_row_7_fails() -> None:
    """An amendment of nothing is still a message too many."""
    gate = SmallGate(message_rate={"count_max": 1, "window_s": 10})
    gate.judge(new())
    found = gate.judge(amend("order-9", "order-2", "1"))
    assert ["unknown_order", "message_rate_exceeded"] == codes(found)


@pytest.mark.parametrize(("quantity", "observed"), [("12000", None), ("12000.01", "20000.01")])
def test_row_19_position_and_open_orders(quantity: str, observed: str | None) -> None:
    """Position in the order's direction, what is open there, and the order itself."""
    gate = SmallGate(position_notional_max="20000")
    gate.judge(new(quantity="5000"))
    gate.report("order-1", "trade", last_quantity="5000", last_price="1.1")
    gate.judge(new("order-2", quantity="3000"))
    gate.judge(new("order-3", quantity="15000", side="sell"))
    shown = ("position_limit_exceeded", "20000.00", observed, "EUR")
    assert ([shown] if observed else []) == gate.judge(new("order-4", quantity=quantity))


def test_row_19_amendment_counts_itself_once() -> None:
    """The larger of what it reserves and what it would reserve."""
    gate = SmallGate(position_notional_max="20000")
    gate.judge(new())
    shown = ("position_limit_exceeded", "20000.00", "20000.01", "EUR")
    assert [shown] == gate.judge(amend("order-1", "order-2", "20000.01"))
    assert [] == gate.judge(amend("order-1", "order-3", "20000"))


def test_row_20_and_21_venue_and_counterparty() -> None:
    """The venue stands in for a counterparty that is not given."""
    gate = SmallGate(venues=["PAPER"], counterparties=["BANK", "PAPER"])
    assert [] == gate.judge(new())
    shown = ("counterparty_not_allowed", "BANK,PAPER", "SHOP", "")
    assert [shown] == gate.judge(new("order-2", counterparty="SHOP"))
    expected = [
        ("venue_not_allowed", "PAPER", "DARK", ""),
        ("counterparty_not_allowed", "BANK,PAPER", "DARK", ""),
        ("control_unavailable", "", "venue DARK is not reconciled", ""),
    ]
    assert expected == gate.judge(new("order-3", venue="DARK"))


@pytest.mark.parametrize(("quantity", "refused"), [("10000", False), ("10000.01", True)])
def test_row_22_share_of_one_counterparty(quantity: str, refused: bool) -> None:
    """Half is allowed; a cent above it is not, once the minimum is reached."""
    gate = SmallGate(concentration=SHARES)
    gate.judge(new(counterparty="A"))
    shown = ("concentration_exceeded", "0.5", "0.500001", "fraction")
    found = gate.judge(new("order-2", quantity=quantity, counterparty="B"))
    assert ([shown] if refused else []) == found


def test_row_22_below_minimum_passes() -> None:
    """A cent below the minimum nothing is judged."""
    gate = SmallGate(concentration=SHARES)
    assert [] == gate.judge(new(quantity="19999.99"))
    assert ["concentration_exceeded"] == codes(gate.judge(new("order-2", quantity="0.01")))


def test_reasons_all_rows_in_order() -> None:
    """All reasons are given, in the order of the table."""
    gate = SmallGate(
        venues=["PAPER"],
        trading_hours={"start": "10:00", "end": "11:00", "exclude_weekends": True, "holidays": []},
        order_quantity_max=SIZES,
    )
    gate.status("hold")
    found = gate.judge(new(quantity="30000", venue="DARK"), monotonic=2000)
    assert [
        "certificate_held",
        "lease_expired",
        "exceeds_scope_size",
        "exceeds_quantity",
        "venue_not_allowed",
        "outside_trading_hours",
        "control_unavailable",
    ] == codes(found)


def test_reasons_equal_ones_are_not_repeated() -> None:
    """Two sources that are stale alike give one reason."""
    gate = SmallGate(**rates(sources=["primary", "second"]))
    gate.rate(source="second")
    gate.wait(61)
    assert [("rate_stale", "60000", "61000", "ms")] == gate.judge(new())


def test_notional_not_computable_leaves_rows_not_evaluated() -> None:
    """Without a usable rate the cause refuses, and no size is judged."""
    gate = SmallGate()
    gate.rate("2", "1")
    assert ["rate_crossed"] == codes(gate.judge(market(currency="USD", quantity="999999999")))
