# SPDX-License-Identifier: Apache-2.0
"""Values, windows and order bytes against naive readings of the specification."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.amounts import SCALE, format_amount, format_money
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.extremes import Extremes, Ratio
from sekisho.core.gate.order import parse_order
from sekisho.core.terms import format_instant, parse_instant
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import ORDER, scope_of

CURRENCIES = ("EUR", "USD", "GBP", "CHF")
amounts = st.integers(1, 10**14)
prices = st.integers(10**6, 10**10)


@st.composite
def markets(draw: st.DrawFn) -> tuple[str, str]:
    base, quote = draw(st.permutations(CURRENCIES))[:2]
    return base, quote


class Naive:
    """Section 3 of docs/spec/checks.md with fractions; quotations by the name they were given."""

    def __init__(self, rates: dict[str, tuple[Fraction, Fraction]], buffer: Fraction) -> None:
        self.rates, self.buffer = rates, buffer

    def sides(self, base: str, quote: str) -> tuple[Fraction, Fraction]:
        if f"{base}/{quote}" in self.rates:
            return self.rates[f"{base}/{quote}"]
        bid, ask = self.rates[f"{quote}/{base}"]
        return 1 / ask, 1 / bid

    def notional(self, order: dict[str, Any], into: str) -> Fraction:
        base, quote = order["market"].split("/")
        quantity, counted = Fraction(order["quantity"]), order["currency"]
        if counted == into:
            return quantity
        if into not in (base, quote):
            return quantity * self.sides(counted, into)[1] * (1 + self.buffer)
        bid, ask = self.sides(base, quote)
        high, low = ask * (1 + self.buffer), bid * (1 - self.buffer)
        if "price" in order:
            price = Fraction(order["price"])
            high = price if order["side"] == "buy" else max(price, high)
            low = price if order["side"] == "sell" else min(price, low)
        return quantity * high if counted == base else quantity / low


def cents(value: Fraction) -> int:
    """Up to the cent, in units of 1e-8."""
    return math.ceil(value * 100) * 10**6


@given(
    market=markets(), counted=st.booleans(), into=st.sampled_from(CURRENCIES), buys=st.booleans(),
    quantity=amounts, price=st.none() | prices, bids=st.lists(prices, min_size=6, max_size=6),
    spreads=st.lists(st.integers(0, 10**7), min_size=6, max_size=6),
    flips=st.lists(st.booleans(), min_size=6, max_size=6), buffer=st.integers(0, 10**8 - 1),
)  # fmt: skip
def test_notional_equals_that_of_exact_fractions(
    market: tuple[str, str], counted: bool, into: str, buys: bool, quantity: int,
    price: int | None, bids: list[int], spreads: list[int], flips: list[bool], buffer: int,
) -> None:  # fmt: skip
    """Any order in any market in any policy currency is worth what fractions say, to the cent."""
    pairs = [(a, b) for place, a in enumerate(CURRENCIES) for b in CURRENCIES[place + 1 :]]
    world = FoldWorld(
        scope_of(
            markets=["/".join(market)], currency=into, order_notional_max="none",
            daily_notional_max="none", reference_rates__market_order_buffer=format_amount(buffer),
        ),
        quoted=False,
    )  # fmt: skip
    rates: dict[str, tuple[Fraction, Fraction]] = {}
    for (a, b), bid, spread, flip in zip(pairs, bids, spreads, flips, strict=True):
        name = f"{b}/{a}" if flip else f"{a}/{b}"
        world.rate(name, format_amount(bid), format_amount(bid + spread))
        rates[name] = (Fraction(bid, SCALE), Fraction(bid + spread, SCALE))
    order: dict[str, Any] = ORDER | {
        "market": "/".join(market), "currency": market[counted],
        "quantity": format_amount(quantity), "side": "buy" if buys else "sell",
    }  # fmt: skip
    if price is None:
        order |= {"order_type": "market"}
        del order["price"]
    else:
        order |= {"price": format_amount(price)}
    decision = world.decide(canonical(order))
    assert reasons(decision) == []
    naive = Naive(rates, Fraction(buffer, SCALE))
    assert decision.notional == format_money(cents(naive.notional(order, into)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)), max_size=30),
       st.integers(0, 12))  # fmt: skip
def test_extremes_equal_those_of_all_values_of_the_window(
    steps: list[tuple[int, int, int]], window: int
) -> None:
    """What is forgotten on the way could not have been an extreme."""
    extremes, values, now = Extremes(), [], 0
    for passed, num, den in steps:
        now += passed
        extremes.add(now, Ratio(num, den))
        values.append((now, Fraction(num, den)))
        extremes.forget(now - 12)
        wanted = [value for time, value in values if time >= now - window]
        found = extremes.within(now - window)
        assert found is not None
        low, high = (Fraction(value.num, value.den) for value in found)
        assert (low, high) == (min(wanted), max(wanted))
    assert extremes.within(now + 1) is None
    # of equal values one is kept, and no more than two can be above or below all later ones
    assert len(extremes._lows) == len({value for _, value in extremes._lows})


def read(body: bytes) -> str:
    """What these bytes are; an order is read again from its own canonical bytes."""
    try:
        order = parse_order(body)
    except MalformedInput:
        return "malformed"
    return "order" if parse_order(canonical(order)) == order else "another order"


@given(st.binary(max_size=300))
def test_bytes_are_an_order_or_malformed(body: bytes) -> None:
    """Whatever a bot sends, there is no third way."""
    assert read(body) in ("order", "malformed")


FORMS: list[dict[str, Any]] = [
    ORDER | {"counterparty": "KRAKEN", "decision_context": {"model_sha256": "a" * 64}},
    {"action": "amend", "client_order_id": "a", "orig_client_order_id": "b", "quantity": "1.5",
     "price": "2"},
    {"action": "cancel", "client_order_id": "a", "orig_client_order_id": "b"},
]  # fmt: skip


@given(st.sampled_from(FORMS), st.data())
def test_valid_order_with_bytes_changed_is_an_order_or_malformed(
    form: dict[str, Any], data: st.DataObject
) -> None:
    """One field replaced by any JSON value, then a few bytes by any others; what is read is read
    again from its own canonical bytes.
    """
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    )
    plain = dict(form)
    plain[data.draw(st.sampled_from(sorted(form)))] = data.draw(values)
    body = bytearray(json.dumps(plain).encode())
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=2)
    ):
        body[place] = byte
    assert read(bytes(body)) in ("order", "malformed")


@given(st.integers(0, 253_402_300_799 * 10**9))
def test_instant_reads_back_as_it_was_written(instant: int) -> None:
    """One spelling for each nanosecond, in the order of time."""
    text = format_instant(instant)
    assert parse_instant(text) == instant
    assert (text < format_instant(instant + 1)) or instant == 253_402_300_799 * 10**9
