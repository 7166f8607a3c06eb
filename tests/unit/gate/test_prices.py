# SPDX-License-Identifier: Apache-2.0
"""Values, quotations and rate checks to the last digit (docs/spec/checks.md sections 3 and 4)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.amounts import SCALE, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.extremes import Ratio
from sekisho.core.gate.prices import (
    Quotations,
    Valued,
    fill_value,
    lowered,
    notional,
    read_quote,
    spread_of,
)
from sekisho.core.markets import pair_of
from sekisho.core.terms import NS
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import scope_of

QUOTE = read_quote("EUR/USD", "1.25", "1.6", 0)
CONVERSION = read_quote("EUR/JPY", "125", "160", 0)
PRICE = Ratio(parse_amount("1.5"), SCALE)

VALUES: list[tuple[str, str, str, bool, Ratio | None, str]] = [
    # market, order's currency, scope's currency, buys, price, value of 1,000 with a buffer of 1 %
    ("EUR/USD", "EUR", "EUR", True, PRICE, "1000"),
    ("EUR/USD", "EUR", "USD", True, PRICE, "1500"),  # the limit bounds a buy
    ("EUR/USD", "EUR", "USD", False, PRICE, "1616"),  # 1.6 × 1.01
    ("EUR/USD", "EUR", "USD", False, Ratio(2, 1), "2000"),  # the limit is beyond it
    ("EUR/USD", "EUR", "USD", True, None, "1616"),
    ("EUR/USD", "EUR", "USD", False, None, "1616"),
    ("EUR/USD", "USD", "EUR", False, PRICE, "666.67"),  # the limit bounds a sale
    ("EUR/USD", "USD", "EUR", True, PRICE, "808.09"),  # 1 / (1.25 × 0.99)
    ("EUR/USD", "USD", "EUR", True, Ratio(1, 1), "1000"),  # the limit is beyond it
    ("EUR/USD", "USD", "EUR", True, None, "808.09"),
    ("EUR/USD", "USD", "EUR", False, None, "808.09"),
    ("USD/EUR", "USD", "EUR", True, None, "808"),  # ask of USD/EUR 1/1.25 × 1.01
    ("USD/EUR", "EUR", "USD", True, None, "1616.17"),  # bid of USD/EUR 1/1.6 × 0.99
    ("EUR/USD", "EUR", "JPY", True, PRICE, "161600"),  # no leg: ask of EUR/JPY × 1.01
    ("EUR/USD", "EUR", "JPY", False, None, "161600"),
]


@pytest.mark.parametrize(("market", "currency", "scope", "buys", "price", "expected"), VALUES)
def test_notional_is_the_worst_case(
    market: str, currency: str, scope: str, buys: bool, price: Ratio | None, expected: str
) -> None:
    """Each way to value an order, against its most expensive outcome."""
    base, quote = market.split("/")
    order = Valued(base, quote, currency, buys, price, 1000 * SCALE)
    found = notional(order, scope, SCALE // 100, QUOTE, CONVERSION)
    assert found == parse_amount(expected)


@pytest.mark.parametrize(("market", "currency", "scope", "buys", "price"), [
    ("EUR/USD", "EUR", "USD", False, PRICE),
    ("EUR/USD", "EUR", "USD", True, None),
    ("EUR/USD", "USD", "EUR", True, PRICE),
    ("EUR/USD", "USD", "EUR", False, None),
    ("EUR/USD", "EUR", "JPY", True, PRICE),
])  # fmt: skip
def test_notional_needs_a_sound_quotation(
    market: str, currency: str, scope: str, buys: bool, price: Ratio | None
) -> None:
    """Missing or crossed, there is no value."""
    base, quote = market.split("/")
    order = Valued(base, quote, currency, buys, price, SCALE)
    for found in (None, read_quote(market, "2", "1", 0)):
        assert notional(order, scope, 0, found, found) is None


def test_notional_needs_no_quotation_where_the_limit_bounds_it() -> None:
    """A limit buy in the base and a limit sale in the quote currency are bounded by themselves."""
    bought = Valued("EUR", "USD", "EUR", True, PRICE, SCALE)
    assert notional(bought, "USD", 0, None, None) == parse_amount("1.5")
    sold = Valued("EUR", "USD", "USD", False, PRICE, 3 * SCALE)
    assert notional(sold, "EUR", 0, None, None) == 2 * SCALE


def test_notional_of_a_lowest_price_of_zero_cannot_be_computed() -> None:
    """A buffer of 100 % leaves nothing to divide by; one unit less does."""
    order = Valued("EUR", "USD", "USD", True, None, SCALE)
    assert notional(order, "EUR", SCALE, QUOTE, None) is None
    assert notional(order, "EUR", SCALE + 1, QUOTE, None) is None
    assert notional(order, "EUR", SCALE - 1, QUOTE, None) == 80_000_000 * SCALE
    assert lowered(Ratio(1, 1), SCALE).num == 0


def test_buffer_of_one_refuses_with_the_pair_as_cause() -> None:
    """Where no rate is at fault and there is no value, the pair is named."""
    world = FoldWorld(scope_of(reference_rates__market_order_buffer="1"))
    decision = world.ask(currency="USD")
    assert reasons(decision) == [("rate_missing", "", "EUR/USD", "")]
    assert decision.notional == ""


FILLS: list[tuple[str, str, str, str, str, str]] = [
    # market, order's currency, scope's currency, quantity, price, value; the order: 600 for 1,000
    ("EUR/USD", "EUR", "EUR", "10.001", "9", "10.01"),
    ("EUR/USD", "EUR", "USD", "10", "1.2345", "12.35"),
    ("EUR/USD", "USD", "EUR", "10", "1.2345", "8.11"),
    ("EUR/USD", "USD", "EUR", "10", "0", "6"),
    ("EUR/USD", "USD", "EUR", "10", "0.00000001", "1000000000"),
    ("EUR/USD", "EUR", "USD", "10", "0", "0"),
    ("EUR/USD", "EUR", "JPY", "10", "7", "6"),
    ("EUR/USD", "USD", "JPY", "10.00000001", "7", "6.01"),
]


@pytest.mark.parametrize(("market", "currency", "scope", "quantity", "price", "expected"), FILLS)
def test_fill_value_is_that_of_its_own_price(
    market: str, currency: str, scope: str, quantity: str, price: str, expected: str
) -> None:
    """By price where a leg is the policy's currency, else in proportion."""
    base, quote = market.split("/")
    order = Valued(base, quote, currency, True, None, 1000 * SCALE)
    total = 600 * SCALE
    found = fill_value(order, scope, total, parse_amount(quantity), parse_amount(price))
    assert found == parse_amount(expected)


def test_quotation_is_turned_into_its_pair_and_crossed_ones_have_no_sides() -> None:
    """USD/EUR 0.5 to 0.8 is EUR/USD 1.25 to 2."""
    quote = read_quote("USD/EUR", "0.5", "0.8", 7)
    assert quote.sides is not None
    found = [value.num / value.den for value in quote.sides]
    assert found == [1.25, 2.0, 1.625, 0.75 / 1.625]
    assert (quote.quoted_at, quote.bid_text, quote.ask_text) == (7, "0.5", "0.8")
    for bid, ask in (("0", "1"), ("0", "0"), ("1.00000001", "1")):
        assert read_quote("EUR/USD", bid, ask, 0).sides is None
    assert read_quote("EUR/USD", "1", "1", 0).sides is not None
    for bid, ask, where in (("x", "1", "bid"), ("1", "x", "ask")):
        with pytest.raises(MalformedInput) as found_in:
            read_quote("EUR/USD", bid, ask, 0)
        assert found_in.value.where == where
    assert (pair_of("EUR/USD"), pair_of("USD/EUR")) == (("EUR/USD", False), ("EUR/USD", True))


def test_move_is_of_the_window_that_ends_at_the_latest_quotation() -> None:
    """Both ends count; an older quotation has no effect; what an hour has passed is forgotten."""
    quotations = Quotations(read_quote("EUR/USD", "1", "1", 10 * NS), 0)
    quotations.observe(read_quote("EUR/USD", "2", "2", 9 * NS), 1)
    assert quotations.move(60).num == 0
    quotations.observe(read_quote("EUR/USD", "1.5", "1.5", 20 * NS), 1)
    found = [quotations.move(window) for window in (10, 9)]
    assert [(move.num * 2 == move.den, move.num) for move in found] == [
        (True, found[0].num),
        (False, 0),
    ]
    assert found[0].num > 0
    quotations.observe(read_quote("EUR/USD", "3", "3", 20 * NS), 1)
    assert quotations.latest.bid_text == "3"
    quotations.observe(read_quote("EUR/USD", "3", "3", 3_610 * NS), 1)
    wide = quotations.move(10_000)
    assert (wide.num, wide.den) != (0, 1)
    assert wide.num == 2 * wide.den
    quotations.observe(read_quote("EUR/USD", "3", "3", 3_610 * NS + 1), 1)
    wide = quotations.move(10_000)
    assert wide.num == wide.den


def test_move_of_crossed_quotations_alone_is_nothing() -> None:
    """There is no mid to move."""
    assert Quotations(read_quote("EUR/USD", "2", "1", 0), 0).move(60) == Ratio(0, 1)


@pytest.mark.parametrize("values", [(5, 3, 4), (3, 5, 4), (4, 3, 5), (4, 5, 3), (3, 4, 5)])
def test_spread_of_any_order_of_values_is_the_same(values: tuple[int, ...]) -> None:
    """(max − min) / min."""
    found = spread_of([Ratio(value, 7) for value in values])
    assert found.num * 3 == found.den * 2
    assert spread_of([Ratio(4, 7)]).num == 0


# -- rate checks ----------------------------------------------------------------------------------

TWO = {"reference_rates__sources": ["A", "B"]}


def test_rate_reasons_say_everything_for_each_source_in_order() -> None:
    """Missing and crossed end a source; stale and jump may come together."""
    world = FoldWorld(scope_of(reference_rates__sources=["A", "B", "C"]))
    world.rate("EUR/USD", "1.2", "1.1", source="B")
    world.rate("EUR/USD", "1", "1", source="C", ago_ns=61 * NS)
    world.rate("EUR/USD", "1.1", "1.1", source="C", ago_ns=60 * NS + 1)
    assert reasons(world.ask()) == [
        ("rate_missing", "", "A:EUR/USD", ""),
        ("rate_crossed", "1.1", "1.2", "B:EUR/USD"),
        ("rate_stale", "60000", "60001", "ms"),
        ("rate_outlier", "0.05", "0.100000", "fraction"),
    ]


def test_rate_age_counts_begun_milliseconds_on_both_sides() -> None:
    """60 s old and 1 s ahead pass, the next millisecond does not."""
    for ago_ns, expected in (
        (60 * NS, []),
        (60 * NS + 1, ["60001"]),
        (-NS - 999_999, []),
        (-NS - 1_000_000, ["-1001"]),
    ):
        world = FoldWorld(quoted=False)
        world.rate("EUR/USD", "1.0849", "1.0851", ago_ns=ago_ns)
        assert [reason[2] for reason in reasons(world.ask())] == expected


def test_sources_are_compared_only_where_two_are_sound() -> None:
    """One sound source has nobody to disagree with; a crossed one takes no part."""
    world = FoldWorld(scope_of(**TWO))
    world.rate("EUR/USD", "1", "1", source="A")
    assert reasons(world.ask(price="1")) == [("rate_missing", "", "B:EUR/USD", "")]
    world.rate("EUR/USD", "2", "1.5", source="B")
    found = reasons(world.ask(client_order_id="b", price="1"))
    assert found == [("rate_crossed", "1.5", "2", "B:EUR/USD")]
    world.rate("EUR/USD", "1.01", "1.01", source="B")
    found = reasons(world.ask(client_order_id="c", price="1"))
    assert found == [("rate_sources_disagree", "0.005", "0.010000", "fraction")]


def test_disagreement_alone_gives_no_second_cause() -> None:
    """Where a value cannot be computed and a cause is known, the pair is not named as well."""
    world = FoldWorld(scope_of(**TWO | {"reference_rates__market_order_buffer": "1"}))
    world.rate("EUR/USD", "1", "1", source="A")
    world.rate("EUR/USD", "1.01", "1.01", source="B")
    assert reasons(world.ask(currency="USD", price="1")) == [
        ("rate_sources_disagree", "0.005", "0.010000", "fraction")
    ]


def test_first_source_values_the_order() -> None:
    """The others only have to agree with it."""
    world = FoldWorld(scope_of(**TWO | {"markets": ["GBP/EUR"]}))
    world.rate("GBP/EUR", "1.2", "1.2", source="A")
    world.rate("GBP/EUR", "1.205", "1.205", source="B")
    asked = {"market": "GBP/EUR", "currency": "GBP", "order_type": "market", "price": None}
    decision = world.ask(quantity="100", **asked)
    assert (reasons(decision), decision.notional) == ([], "121.20")


def test_conversion_pair_is_checked_after_the_order_s_own() -> None:
    """Both pairs are needed; each reason names its pair."""
    world = FoldWorld(scope_of(markets=["USD/CHF"]), quoted=False)
    asked = {"market": "USD/CHF", "currency": "CHF", "price": "0.9"}
    assert reasons(world.ask(**asked)) == [
        ("rate_missing", "", "STATIC:CHF/USD", ""),
        ("rate_missing", "", "STATIC:CHF/EUR", ""),
    ]
    world.rate("USD/CHF", "0.9", "0.9")
    world.rate("CHF/EUR", "1.05", "1.0501")
    decision = world.ask(client_order_id="b", quantity="1000", **asked)
    assert (reasons(decision), decision.notional) == ([], "1060.61")
    world.report("trade", "b", "100", "0.9")
    assert world.bot.positions == {"CHF/USD": -parse_amount("106.07")}


def test_leg_of_a_market_needs_its_own_pair_only() -> None:
    """No conversion is asked for where the policy's currency is a leg."""
    world = FoldWorld(quoted=False)
    world.rate("EUR/USD", "1.0849", "1.0851")
    assert reasons(world.ask(currency="USD", quantity="100")) == []


STRESS: dict[str, Any] = {
    "market_stress": {"action": "refuse", "spread_max": "0.01", "move_max": "0.02", "window_s": 60},
    "reference_rates__sources": ["A", "B"],
    "reference_rates__disagreement_max": "1",
    "reference_rates__jump_max": "9",
}


def test_stress_says_spread_and_move_of_the_first_source() -> None:
    """Each that is exceeded is a reason of its own; equal ones are one."""
    world = FoldWorld(scope_of(**STRESS))
    world.rate("EUR/USD", "1", "1", source="A", ago_ns=30 * NS)
    world.rate("EUR/USD", "1", "1.1", source="A")
    world.rate("EUR/USD", "1", "1", source="B")
    assert reasons(world.ask(price="1")) == [
        ("market_stressed", "0.01", "0.095239", "fraction"),
        ("market_stressed", "0.02", "0.050000", "fraction"),
    ]
    world = FoldWorld(scope_of(**STRESS))
    world.rate("EUR/USD", "1", "1", source="A")
    world.rate("EUR/USD", "1", "1.1", source="B")
    assert reasons(world.ask(price="1")) == []


def test_stress_of_missing_or_crossed_rates_is_left_to_the_rate_check() -> None:
    """What cannot be looked at is refused by the check that knows the cause."""
    world = FoldWorld(scope_of(**STRESS))
    world.rate("EUR/USD", "1", "1", source="B")
    assert reasons(world.ask(price="1")) == [("rate_missing", "", "A:EUR/USD", "")]
    world.rate("EUR/USD", "1.1", "1", source="A")
    found = reasons(world.ask(client_order_id="b", price="1"))
    assert found == [("rate_crossed", "1", "1.1", "A:EUR/USD")]


def test_collar_without_a_sound_rate_still_bounds_the_range() -> None:
    """The distance needs a mid, the range does not."""
    collar = {"deviation_max": "0", "range_max": "0.01", "window_s": 60}
    world = FoldWorld(scope_of(price_collar=collar), quoted=False)
    missing = ("rate_missing", "", "STATIC:EUR/USD", "")
    assert reasons(world.ask(price="1")) == [missing]
    world.rate("EUR/USD", "1", "1")
    world.permit(client_order_id="b", price="1")
    world.rate("EUR/USD", "2", "1.5")
    assert reasons(world.ask(client_order_id="c", price="1.02")) == [
        ("rate_crossed", "1.5", "2", "STATIC:EUR/USD"),
        ("price_outside_collar", "0.01", "0.020000", "fraction"),
    ]


def test_collar_of_an_inverted_market_is_that_of_its_pair() -> None:
    """GBP/EUR at 1.17 is EUR/GBP at 0.8547: both ways of writing share one range."""
    collar = {"deviation_max": "0.1", "range_max": "0.01", "window_s": 60}
    world = FoldWorld(scope_of(price_collar=collar))
    world.permit(market="GBP/EUR", price="1.17")
    assert reasons(world.ask(client_order_id="b", market="EUR/GBP", price="0.8634")) == [
        ("price_outside_collar", "0.01", "0.010178", "fraction")
    ]
    world.permit(client_order_id="c", market="EUR/GBP", price="0.8632")
