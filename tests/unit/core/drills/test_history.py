# SPDX-License-Identifier: Apache-2.0
"""One row of a history: what it says, what stands where it is silent, what is wrong with it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sekisho.core.drills.history import (
    REMEDIES,
    HistoryRow,
    RowDefaults,
    RowTimes,
    bad_row,
    day_end,
    read_market,
    read_row,
    read_time,
)
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder, order_digest, parse_order
from sekisho.core.localtime import read_offsets
from sekisho.core.scope import ZoneOffset
from sekisho.core.terms import NS, parse_instant

NOON = parse_instant("2026-05-04T12:00:00.000000000Z")
DEFAULTS = RowDefaults(venue="PAPER")
ROW = {
    "time": "2026-05-04T12:00:00Z",
    "market": "EUR/USD",
    "side": "buy",
    "quantity": "20000",
    "price": "1.085",
}


def read(**changes: str) -> HistoryRow:
    """The row with these columns changed."""
    return read_row(ROW | changes, 7, DEFAULTS)


def order(row: HistoryRow) -> dict[str, Any]:
    """The order's fields."""
    found: dict[str, Any] = json.loads(row.body)
    return found


def test_row_needed_columns_alone_give_order_with_stated_defaults() -> None:
    """Where a row is silent the documented defaults stand, and the gate can read the order."""
    row = read()
    assert {
        "action": "new",
        "client_order_id": "line-7",
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "20000",
        "currency": "EUR",
        "price": "1.085",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    } == order(row)
    assert (NOON, "line-7", "1.085", None) == (
        row.at,
        row.client_order_id,
        row.own_price,
        row.outcome,
    )
    assert isinstance(parse_order(row.body), NewOrder)


def test_row_body_digest_is_the_gates() -> None:
    """A row that repeats an order is found by the digest that the gate keeps."""
    row = read(counterparty="KRAKEN", client_order_id="A-1")
    assert order_digest(parse_order(row.body)) == sha256_hex(row.body)


def test_row_every_column_is_taken() -> None:
    """Nothing that a row says of its order is dropped."""
    row = read(
        client_order_id="A-1",
        market="gbp_eur",
        side="S",
        type="Limit",
        currency="eur",
        time_in_force="GTC",
        venue="DARK",
        account="prop-2",
        counterparty="KRAKEN",
    )
    found = order(row)
    assert ("A-1", "GBP/EUR", "sell", "EUR", "gtc", "DARK", "prop-2", "KRAKEN") == tuple(
        found[name]
        for name in (
            "client_order_id",
            "market",
            "side",
            "currency",
            "time_in_force",
            "venue",
            "account",
            "counterparty",
        )
    )


def test_row_without_price_is_a_market_order() -> None:
    """No price and no type: a market order, which has no price of its own."""
    row = read(price="")
    assert ("market", False, "") == (
        order(row)["order_type"],
        "price" in order(row),
        row.own_price,
    )


def test_row_market_order_with_price_was_filled_at_it() -> None:
    """Exports write the average price beside a market order: it is no limit of the order."""
    row = read(type="market", status="filled")
    assert row.outcome is not None
    assert ("1.085", "1.085", False) == (
        row.outcome.fill_price,
        row.own_price,
        "price" in order(row),
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [("20000.50000000000", "20000.5"), ("20000.000", "20000"), ("0.10", "0.1"), ("100", "100")],
)
def test_row_zeros_behind_the_point_are_dropped(written: str, shown: str) -> None:
    """Exports write more zeros than an amount has digits; nothing else is changed."""
    assert shown == order(read(quantity=written))["quantity"]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("time", ""),
        ("time", "2026-05-04T12:00:00"),
        ("time", "2026-05-04 12:00"),
        ("time", "1777896000"),
        ("time", "2026-02-30T12:00:00Z"),
        ("time", "2026-05-04T24:00:00Z"),
        ("time", "1969-12-31T23:59:59Z"),
        ("time", "1970-01-01T00:00:00+01:00"),
        ("time", "2200-01-01T00:00:00Z"),
        ("time", "2026-05-04T12:00:00+19:00"),
        ("time", "2026-05-04T12:00:00+01:60"),
        ("market", ""),
        ("market", "EUR"),
        ("market", "EUR/EUR"),
        ("market", "BTCUSDT"),
        ("side", ""),
        ("side", "hold"),
        ("type", "stop"),
        ("quantity", ""),
        ("quantity", "0"),
        ("quantity", "-5"),
        ("quantity", "20,000"),
        ("quantity", "1e3"),
        ("quantity", "NaN"),
        ("price", "0"),
        ("price", "1.085 USD"),
        ("currency", "JPY"),
        ("client_order_id", "x" * 37),
        ("client_order_id", "a b"),
        ("time_in_force", "gtd"),
        ("venue", "a b"),
        ("account", "é"),
        ("counterparty", "a/b"),
        ("status", "done"),
    ],
)
def test_row_bad_text_names_its_column(column: str, text: str) -> None:
    """What cannot be read is refused with its column, for which there is something to do."""
    with pytest.raises(MalformedInput) as caught:
        read(**{column: text})
    assert column == caught.value.where
    found = bad_row("orders.csv", 7, caught.value)
    assert ("orders.csv", 7, column, REMEDIES[column]) == (
        found.file,
        found.line,
        found.column,
        found.do,
    )


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"status": "rejected", "filled_quantity": "5"}, "filled_quantity"),
        ({"status": "filled", "filled_quantity": "x"}, "filled_quantity"),
        ({"status": "filled", "fill_price": "0"}, "fill_price"),
        ({"status": "filled", "executed_at": "2026-05-04T11:59:59Z"}, "executed_at"),
        ({"status": "filled", "executed_at": "2026-05-04T12:00:01"}, "executed_at"),
        ({"status": "filled", "latency_ms": "-1"}, "latency_ms"),
        ({"status": "filled", "executed_counterparty": "a b"}, "executed_counterparty"),
        ({"type": "limit", "price": ""}, "price"),
    ],
)
def test_row_bad_execution_names_its_column(changes: dict[str, str], column: str) -> None:
    """An execution that contradicts its order is no outcome."""
    with pytest.raises(MalformedInput) as caught:
        read(**changes)
    assert column == caught.value.where


def test_row_execution_columns_without_status_say_filled() -> None:
    """A fill without a status is a fill: of the whole quantity, at its time."""
    row = read(fill_price="1.0851", latency_ms="12.5", counterparty="KRAKEN")
    assert row.outcome is not None
    assert ("filled", "20000", "1.0851", NOON + 12_500_000, "KRAKEN") == (
        row.outcome.status,
        row.outcome.filled_quantity,
        row.outcome.fill_price,
        row.outcome.at,
        row.outcome.counterparty,
    )


@pytest.mark.parametrize("status", ["rejected", "canceled", "Cancelled", "expired", "open"])
def test_row_status_that_is_no_fill_executes_nothing(status: str) -> None:
    """Only what the history says was executed is executed."""
    outcome = read(status=status).outcome
    assert outcome is not None
    assert ("0", NOON) == (outcome.filled_quantity, outcome.at)


def test_row_executed_counterparty_stands_before_the_asked_one() -> None:
    """Who it was executed with is who it was executed with."""
    outcome = read(
        status="filled",
        counterparty="KRAKEN",
        executed_counterparty="COINEX",
        executed_at="2026-05-04T14:00:01+02:00",
    ).outcome
    assert outcome is not None
    assert ("COINEX", NOON + NS) == (outcome.counterparty, outcome.at)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-04T12:00:00Z",
        "2026-05-04 12:00:00 UTC",
        "2026-05-04t12:00:00.000z",
        "2026-05-04T14:00:00+02:00",
        "2026-05-04T07:30:00-0430",
        "2026-05-04T12:00:00,0Z",
    ],
)
def test_time_spellings_are_one_instant(text: str) -> None:
    """The zone decides, not the spelling."""
    assert NOON == read_time(text, "time")


def test_time_fraction_is_exact() -> None:
    """Nanoseconds stay."""
    assert NOON + 123_456_789 == read_time("2026-05-04T12:00:00.123456789Z", "time")


@pytest.mark.parametrize("text", ["EUR/USD", "eur_usd", "EUR-USD", "EURUSD"])
def test_market_spellings_are_one_market(text: str) -> None:
    """What exports write."""
    assert "EUR/USD" == read_market(text)


def test_times_falling_is_refused_and_names_the_line_before() -> None:
    """A row before an earlier one is out; the next is compared with the last that was taken."""
    times = RowTimes()
    times.take(NOON, 2)
    times.take(NOON, 3)
    with pytest.raises(MalformedInput, match="before that of line 3, 2026-05-04T12:00") as caught:
        times.take(NOON - 1, 4)
    assert "time" == caught.value.where
    assert "if that line's time is wrong, correct it there" in bad_row("f", 4, caught.value).do
    times.take(NOON, 5)
    assert times.suspicious is None


def test_times_three_rows_before_one_line_make_it_suspicious() -> None:
    """Two do not; a good row in between begins anew; the line with the most rows is kept."""
    times = RowTimes()

    def falls(at: int, *lines: int) -> None:
        for line in lines:
            with pytest.raises(MalformedInput):
                times.take(at, line)

    times.take(NOON, 2)
    falls(NOON - 1, 3, 4)
    assert times.suspicious is None
    times.take(NOON + 1, 5)
    falls(NOON, 6, 7, 8, 9)
    assert (5, NOON + 1, 4) == times.suspicious
    times.take(NOON + 2, 10)
    falls(NOON, 11, 12, 13)
    assert (5, NOON + 1, 4) == times.suspicious
    falls(NOON, 14, 15)
    assert (10, NOON + 2, 5) == times.suspicious


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("quantity", "1,000.50"),
        ("price", "1.0850x0"),
        ("currency", "chf"),
        ("time_in_force", "GTX"),
        ("type", "Stop"),
    ],
)
def test_row_fault_shows_the_text_of_the_file(column: str, text: str) -> None:
    """Whoever looks for the value in the file finds it as it stands there."""
    with pytest.raises(MalformedInput, match=re.escape(repr(text))):
        read(**{column: text})


def test_day_end_is_the_next_local_midnight() -> None:
    """The policy day ends at its zone's midnight, on the day of a change of clocks too."""
    local = read_offsets(
        (
            ZoneOffset(since="2026-01-01T00:00:00.000000000Z", utc_offset_s=7_200),
            ZoneOffset(since="2026-10-25T01:00:00.000000000Z", utc_offset_s=3_600),
        )
    )
    noon = parse_instant("2026-10-24T12:00:00.000000000Z")
    assert parse_instant("2026-10-24T22:00:00.000000000Z") == day_end(local, noon)
    morning = parse_instant("2026-10-25T00:30:00.000000000Z")
    assert parse_instant("2026-10-25T23:00:00.000000000Z") == day_end(local, morning)
