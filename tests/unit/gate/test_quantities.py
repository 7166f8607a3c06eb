# SPDX-License-Identifier: Apache-2.0
"""Reduce-only goes by quantity, in the gate and in the verifier alike (checks.md 4.7)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.events import ShutdownOrdered
from sekisho.core.gate import shutdown_checks, snapshot
from sekisho.core.gate.agent import in_memory
from sekisho.core.gate.order import NewOrder
from sekisho.core.gate.quantities import Held, most
from sekisho.core.gate.working import Terms, WorkingOrder, terms_of
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import scope_of
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.small_gate import SmallGate, amend, new

CODE = "action_not_permitted"
POUNDS = {"market": "GBP/EUR", "currency": "GBP"}
EUROS = {"market": "GBP/EUR", "currency": "EUR"}
Row = tuple[str, str, str, str]
UNBOUNDED = [(CODE, "reduce_only", "", "")]


class Both:
    """One life, told to the gate's fold and to the verifier's; both must judge the same."""

    def __init__(self) -> None:
        wide: dict[str, Any] = {"daily_notional_max": "5000000", "order_notional_max": "none"}
        self.gate = FoldWorld(scope_of(**wide))
        self.verifier = SmallGate(message_rate="none", **wide)
        self.gate.rate("EUR/GBP", "0.8498", "0.8502")
        self.verifier.rate("0.8498", "0.8502", pair="EUR/GBP")

    def judge(self, name: str, **changes: Any) -> list[Row]:
        """What row 6 says of a new order, the rest of the rows left out."""
        asked = {"side": "buy", "price": "1.1768", **changes}
        rows = reasons(self.gate.ask(client_order_id=name, **asked))
        told = self.verifier.judge(new(name, **asked))
        assert _only(rows) == _only(told)
        return _only(rows)

    def amend(self, name: str, orig: str, quantity: str) -> list[Row]:
        """The same of an amendment."""
        rows = reasons(self.gate.amend(name, orig, quantity))
        told = self.verifier.judge(amend(orig, name, quantity))
        assert _only(rows) == _only(told)
        return _only(rows)

    def fill(self, name: str, quantity: str, price: str) -> None:
        """The venue reports a trade."""
        self.gate.report("trade", name, quantity, price)
        self.verifier.report(name, "trade", last_quantity=quantity, last_price=price)

    def trade(self, name: str, quantity: str, price: str, **changes: Any) -> None:
        """An order, and all of it filled at its price."""
        self.judge(name, quantity=quantity, price=price, **changes)
        self.fill(name, quantity, price)

    def reduce_only(self) -> None:
        """A named person orders it."""
        self.gate.add(ShutdownOrdered, agent="bot", mode="reduce_only", seats=("a",), commands=())
        self.verifier.entry("shutdown_ordered", agent=AGENT, mode="reduce_only")


def _only(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[0] == CODE]


def over(sum_: str, currency: str = "GBP") -> list[Row]:
    """The one reason, with what would be held."""
    return [(CODE, "reduce_only", sum_, currency)]


def test_reduce_only_after_a_profit_finds_no_position_to_take_back() -> None:
    """Bought and sold the same pounds: flat, whatever euros were earned; nothing reduces."""
    both = Both()
    both.trade("b", "10000", "1.1768", **POUNDS)
    both.trade("s", "10000", "1.2048", side="sell", **POUNDS)
    both.reduce_only()
    assert both.gate.bot.positions["EUR/GBP"] == 280 * 10**8
    assert both.gate.bot.quantities == {}
    assert both.judge("o", quantity="230", **POUNDS) == over("230")
    assert both.judge("p", quantity="230", **EUROS) == over("230", "EUR")
    assert both.judge("q", quantity="1", side="sell", **POUNDS) == over("1")


def test_reduce_only_after_the_price_halved_takes_back_no_more_than_was_bought() -> None:
    """Twice the pounds are the same euros, and would be a short position."""
    both = Both()
    both.trade("b", "10000", "1.1768", **POUNDS)
    both.reduce_only()
    half = {"side": "sell", "price": "0.588"}
    assert both.judge("s", quantity="20000", **half, **POUNDS) == over("10000")
    assert both.judge("t", quantity="10000.00000001", **half, **POUNDS) == over("0.00000001")
    assert both.judge("u", quantity="10000", **half, **POUNDS) == []


def test_reduce_only_after_a_rise_takes_back_all_that_was_bought() -> None:
    """It is worth more euros than were paid, and can be sold whole."""
    both = Both()
    both.trade("b", "10000", "1.1768", **POUNDS)
    both.reduce_only()
    assert both.judge("s", quantity="10000", side="sell", price="2.5", **POUNDS) == []


def test_order_in_the_other_currency_reduces_in_both() -> None:
    """By the limit price, rounded up, where it sells what is held; in its own currency as well."""
    both = Both()
    both.trade("b", "10000", "1.17", **POUNDS)
    both.reduce_only()
    sell = {"side": "sell", **EUROS}
    assert both.judge("s", quantity="11700", price="1.17", **sell) == []
    assert both.judge("t", quantity="0.01", price="1.17", **sell) == over("0.01", "EUR")
    both = Both()
    both.trade("b", "10000", "1.17", **POUNDS)
    both.reduce_only()
    assert both.judge("u", quantity="11700", price="0.585", **sell) == over("10000")
    assert both.judge("v", quantity="11699", price="1.1698", **sell) == over("0.85484699")
    assert both.judge("w", quantity="11701", price="1.1701", **sell) == over("1", "EUR")


def test_order_in_the_other_currency_that_nothing_bounds_does_not_reduce() -> None:
    """A better price buys more pounds than the limit says; a market order has no limit."""
    both = Both()
    both.trade("s", "10000", "1.17", side="sell", **POUNDS)
    both.reduce_only()
    assert both.judge("b", quantity="1", price="1.17", **EUROS) == UNBOUNDED
    both = Both()
    both.trade("b", "10000", "1.17", **POUNDS)
    both.reduce_only()
    asked = {"order_type": "market", "price": None, "quantity": "1", "side": "sell", **EUROS}
    assert both.judge("m", **asked) == UNBOUNDED


def test_dust_in_the_other_currency_opens_no_way_across_zero() -> None:
    """Once fills were counted in both currencies, an order has to reduce in both."""
    both = Both()
    both.trade("d", "0.01", "1.17", **EUROS)
    both.trade("b", "10000", "1.17", **POUNDS)
    both.reduce_only()
    sell = {"side": "sell", "price": "0.585"}
    assert both.judge("s", quantity="11700", **sell, **EUROS) == over("9999.991453")
    assert both.judge("t", quantity="10", **sell, **POUNDS) == UNBOUNDED
    assert both.judge("u", quantity="5850", **sell, **EUROS) == []


@pytest.mark.parametrize("currency", ["GBP", "EUR"])
def test_what_works_in_the_direction_counts_by_quantity(currency: str) -> None:
    """With what its pending amendment allows, in whichever currency it is counted."""
    both = Both()
    both.trade("b", "10000", "1", **POUNDS)
    rests = {"market": "GBP/EUR", "currency": currency, "side": "sell", "price": "1"}
    assert both.judge("w", quantity="3000", **rests) == []
    assert both.amend("x", "w", "4000") == []
    both.reduce_only()
    sell = {"side": "sell", "price": "1", **POUNDS}
    assert both.judge("s", quantity="6000.01", **sell) == over("0.01")
    assert both.judge("t", quantity="6000", **sell) == []


def test_resting_order_that_nothing_bounds_leaves_nothing_that_reduces() -> None:
    """A market order in euros may sell any number of pounds."""
    both = Both()
    both.trade("b", "10000", "1", **POUNDS)
    asked = {"order_type": "market", "price": None, "quantity": "1", "side": "sell", **EUROS}
    assert both.judge("w", **asked) == []
    both.reduce_only()
    assert both.judge("s", quantity="1", side="sell", price="1", **POUNDS) == UNBOUNDED


def test_amendment_counts_by_the_larger_of_what_it_was_and_becomes() -> None:
    """What is filled of it is not counted again."""
    both = Both()
    both.trade("b", "10000", "1", **POUNDS)
    both.judge("w", quantity="8000", side="sell", price="1", **POUNDS)
    both.fill("w", "3000", "1")
    both.reduce_only()
    assert both.amend("x", "w", "10000.01") == over("0.01")
    assert both.amend("y", "w", "10000") == []


def test_fill_without_a_price_leaves_the_position_in_doubt() -> None:
    """How much of the other currency moved cannot be told."""
    both = Both()
    both.trade("b", "10000", "1.17", **POUNDS)
    both.judge("c", quantity="10", **POUNDS)
    both.fill("c", "10", "0")
    both.reduce_only()
    found = both.judge("s", quantity="1", side="sell", **POUNDS)
    assert found == [(CODE, "reduce_only", "not reconciled", "")]
    assert (both.gate.bot.unbooked, both.verifier.agent.unbooked) == (1, 1)


def test_late_fill_of_an_ended_order_moves_the_quantities() -> None:
    """As it moves the position."""
    both = Both()
    both.judge("b", quantity="10", **POUNDS)
    both.gate.report("canceled", "b")
    both.verifier.report("b", "canceled")
    both.fill("b", "10", "1.17")
    both.reduce_only()
    assert both.judge("s", quantity="10", side="sell", **POUNDS) == []


def test_quantities_lie_within_bounds_and_come_back_from_a_snapshot() -> None:
    """A ratio that does not end is rounded down and up; the leg that was counted is exact."""
    both = Both()
    both.trade("b", "1", "3", **EUROS)
    held = {
        ("EUR/GBP", "EUR"): Held(-(10**8), -(10**8), counted=True),
        ("EUR/GBP", "GBP"): Held(-33_333_334, -33_333_333, counted=False),
    }
    assert both.gate.bot.quantities == held
    plain = parse_plain(canonical(snapshot.write(both.gate.state)))
    assert snapshot.read(plain, in_memory).agents["bot"].quantities == held


@pytest.mark.parametrize("word", ["rejected", "not_found", "withdrawn"])
def test_amendment_dropped_after_all_was_filled_ends_the_order(word: str) -> None:
    """Nothing is left that could work; a later report of it is that of an ended order."""
    both = Both()
    both.judge("w", quantity="100", **POUNDS)
    index = len(both.verifier.entries)
    amended = both.gate.state.size
    both.amend("x", "w", "200")
    both.fill("w", "100", "1.1768")
    assert list(both.gate.bot.working) == ["w"]
    if word == "withdrawn":
        both.gate.withdrawn(amended)
        both.verifier.entry("withdrawn", agent=AGENT, decision=index)
    else:
        both.gate.report(word, "x")
        both.verifier.report("x", word)
    assert (both.gate.bot.working, both.verifier.agent.working) == ({}, {})
    assert (both.gate.bot.reserved, both.verifier.agent.open_reserved) == (0, 0)
    assert (both.gate.bot.by_decision, both.gate.bot.aliases) == ({}, {})
    both.gate.report("replaced", "w")
    assert both.gate.state.outside.due is None


def terms(**changes: str) -> Terms:
    """A limit order to sell a hundred euros for dollars at 1.25."""
    asked = {"client_order_id": "o", "market": "EUR/USD", "side": "sell", "order_type": "limit",
             "quantity": "100", "currency": "EUR", "price": "1.25", "time_in_force": "day",
             "venue": "PAPER", "account": "main"}  # fmt: skip
    return terms_of(msgspec.convert(asked | changes, NewOrder))


@pytest.mark.parametrize(
    ("changes", "currency", "expected"),
    [
        ({}, "EUR", "100"),
        ({}, "USD", None),
        ({"side": "buy"}, "USD", "125"),
        ({"side": "buy", "currency": "USD"}, "EUR", None),
        ({"currency": "USD"}, "EUR", "80"),
    ],
)
def test_most_that_an_order_moves_is_bounded_by_what_it_gives(
    changes: dict[str, str], currency: str, expected: str | None
) -> None:
    """A limit bounds the currency that is sold, at that price, whichever of the two is counted."""
    wanted = None if expected is None else parse_amount(expected)
    assert wanted == most(terms(**changes), 0, currency)


def test_order_without_a_bound_has_none_whatever_else_works() -> None:
    """What rests in the same direction adds nothing to what is not known."""
    rests = WorkingOrder(
        client_order_id="w", decision=1, terms=terms(currency="USD"), total=0, reserved=0,
        filled=0, phase="open",
    )  # fmt: skip
    asked: Any = SimpleNamespace(target=None, agent=SimpleNamespace(working={"w": rests}))
    assert shutdown_checks._moves(asked, terms(), "USD") is None
    small = terms(currency="USD", quantity="0.00000001")
    assert parse_amount("100.00000001") == shutdown_checks._moves(asked, small, "USD")
