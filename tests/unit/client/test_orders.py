# SPDX-License-Identifier: Apache-2.0
"""What the client writes is what the gate reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder, parse_order
from sekisho_client import OrderError, amend_order, amount, cancel_order, new_order

NEW: dict[str, Any] = {
    "market": "EUR/USD",
    "side": "buy",
    "quantity": "20000",
    "currency": "EUR",
    "venue": "PAPER",
    "account": "main",
}


def test_orders_are_read_by_the_gate_as_meant() -> None:
    """All three kinds pass the gate's own strict parser, with the values that were given."""
    limit = parse_order(new_order("a-1", **NEW, price=Decimal("1.0850"), counterparty="KRAKEN"))
    market = parse_order(new_order("a-2", **NEW | {"quantity": 5}))
    assert isinstance(limit, NewOrder)
    assert (limit.order_type, limit.price, limit.counterparty) == ("limit", "1.0850", "KRAKEN")
    assert isinstance(market, NewOrder)
    assert (market.order_type, market.quantity) == ("market", "5")
    amended = parse_order(amend_order("a-3", "a-1", quantity="1", price="2"))
    assert isinstance(amended, AmendOrder)
    assert (amended.quantity, amended.price) == ("1", "2")
    assert isinstance(parse_order(amend_order("a-4", "a-1", quantity=1)), AmendOrder)
    assert isinstance(parse_order(cancel_order("a-5", "a-1")), CancelOrder)


def test_same_order_is_the_same_bytes() -> None:
    """A retry sends exactly what was sent before."""
    assert new_order("a", **NEW) == new_order("a", **dict(reversed(NEW.items())))


@pytest.mark.parametrize(
    "value",
    [0.1, True, None, "1.8e5", "-1", "NaN", Decimal("NaN"), Decimal(-1), "1" * 19, "0.123456789"],
)
def test_amount_that_is_not_exact_is_refused(value: Any) -> None:
    """Floats, exponents, signs and endless digits never reach the wire."""
    with pytest.raises(OrderError):
        amount(value)


def test_decimal_with_an_exponent_is_written_out() -> None:
    """Decimal("1E+3") means 1000 and says so on the wire."""
    assert amount(Decimal("1E+3")) == "1000"
