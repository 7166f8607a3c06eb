# SPDX-License-Identifier: Apache-2.0
"""What the client writes is what the gate reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder, parse_order
from sekisho.core.gate.order import DecisionContext as GateContext
from sekisho_client import OrderError, amend_order, amount, cancel_order, new_order
from sekisho_client.orders import (
    Amendment,
    Cancellation,
    DecisionDigests,
    LimitOrder,
    MarketOrder,
)

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


def test_typed_orders_are_the_bytes_of_the_functions() -> None:
    """The classes and the functions say the same."""
    common = NEW | {"client_order_id": "a-1"}
    market = MarketOrder(**common)
    assert new_order("a-1", **NEW) == market.body()
    assert new_order("a-1", **NEW, price=2) == market.at(2).body()
    assert LimitOrder(**common, price=2) == market.at(2)
    amendment = Amendment(client_order_id="a-2", orig_client_order_id="a-1", quantity=1, price="2")
    assert amend_order("a-2", "a-1", quantity=1, price="2") == amendment.body()
    cancellation = Cancellation(client_order_id="a-3", orig_client_order_id="a-1")
    assert cancel_order("a-3", "a-1") == cancellation.body()


def test_decision_context_is_read_by_the_gate() -> None:
    """Digests that were given, and no others, in new orders and amendments."""
    context = DecisionDigests(model_sha256="a" * 64, reason_sha256="b" * 64)
    expected = GateContext(model_sha256="a" * 64, reason_sha256="b" * 64)
    new = parse_order(
        MarketOrder(**NEW | {"client_order_id": "a-1", "decision_context": context}).body()
    )
    assert isinstance(new, NewOrder)
    assert expected == new.decision_context
    given = {"client_order_id": "a-2", "orig_client_order_id": "a-1", "quantity": "1"}
    amended = parse_order(Amendment(**given, decision_context=context).body())
    assert isinstance(amended, AmendOrder)
    assert expected == amended.decision_context


@pytest.mark.parametrize("digest", ["", "a" * 63, "A" * 64, "a" * 64 + "\n", 5])
def test_decision_context_that_is_no_digest_is_refused(digest: Any) -> None:
    """Raw text never slips in where a digest belongs."""
    with pytest.raises(OrderError, match="inputs_sha256"):
        DecisionDigests(inputs_sha256=digest).fields()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"client_order_id": ""}, "order id"),
        ({"client_order_id": "a" * 37}, "order id"),
        ({"client_order_id": ".a"}, "order id"),
        ({"client_order_id": "a\n"}, "order id"),
        ({"client_order_id": 5}, "order id"),
        ({"quantity": "0"}, "above zero"),
        ({"quantity": "0.00"}, "above zero"),
        ({"price": 0}, "above zero"),
        ({"price": 1.5}, "never a float"),
        ({"market": None}, "market: text"),
        ({"side": True}, "side: text"),
        ({"counterparty": 5}, "counterparty: text"),
        ({"account": "x" * 9000}, "at most 8192 bytes"),
    ],
)
def test_order_that_no_gate_takes_is_refused(changes: dict[str, Any], what: str) -> None:
    """Found before it is sent, with what is wanted."""
    order = LimitOrder(**NEW | {"client_order_id": "a-1", "price": "1.1"} | changes)
    with pytest.raises(OrderError, match=what):
        order.body()


def test_request_about_itself_is_refused() -> None:
    """An amendment or a cancel has an id of its own."""
    with pytest.raises(OrderError, match="an id of its own"):
        amend_order("a", "a", quantity=1)
    with pytest.raises(OrderError, match="an id of its own"):
        cancel_order("a", "a")
    with pytest.raises(OrderError, match="above zero"):
        amend_order("b", "a", quantity=0)
    with pytest.raises(OrderError, match="above zero"):
        amend_order("b", "a", quantity=1, price="0")
