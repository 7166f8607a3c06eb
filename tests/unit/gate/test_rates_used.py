# SPDX-License-Identifier: Apache-2.0
"""Every decision names the rates that it used: entry, source and age (docs/spec/checks.md, 5)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.events import Decision, decode_gate_entry, encode_entry
from sekisho.core.gate import snapshot
from sekisho.core.gate.agent import in_memory
from sekisho.core.terms import NS
from tests.fold_world import FoldWorld
from tests.gate_world import scope_of

MS = 10**6
TWO_SOURCES = {"reference_rates__sources": ["STATIC", "SECOND"]}


def used(decision: Decision) -> list[tuple[str, str, int, int]]:
    """Pair, source, index and age of each."""
    return [
        (pair, source, one.index, one.age_ms)
        for pair, of_pair in decision.rates.items()
        for source, one in of_pair.items()
    ]


def test_decision_names_entry_source_and_age_of_its_rate() -> None:
    """A permitted order, a refused one and an amendment each name the entry that they rest on."""
    world = FoldWorld(quoted=False)
    index = world.rate("EUR/USD", "1.0849", "1.0851", ago_ns=250 * MS)
    permitted = world.ask()
    world.later(1)
    refused = world.ask(client_order_id="order-2", quantity="180000")
    amended = world.amend("order-3", "order-1", "19000")
    assert ("permitted", "refused", "permitted") == (
        permitted.verdict, refused.verdict, amended.verdict,
    )  # fmt: skip
    assert [("EUR/USD", "STATIC", index, 250)] == used(permitted)
    assert [("EUR/USD", "STATIC", index, 1250)] == used(refused) == used(amended)


@pytest.mark.parametrize(("ago_ns", "age_ms"), [(0, 0), (1, 1), (MS, 1), (-1, 0), (-MS, -1)])
def test_age_is_rounded_up_and_negative_ahead_of_the_clock(ago_ns: int, age_ms: int) -> None:
    """The age is that of check 11, to the millisecond."""
    world = FoldWorld(quoted=False)
    index = world.rate("EUR/USD", "1.0849", "1.0851", ago_ns=ago_ns)
    assert [("EUR/USD", "STATIC", index, age_ms)] == used(world.ask())


def test_rates_of_all_sources_and_pairs_are_named() -> None:
    """Where the policy's currency is no leg, the conversion is named beside the own pair."""
    world = FoldWorld(scope_of(**TWO_SOURCES, currency="GBP"), quoted=False)
    rows: list[tuple[str, str, int, int]] = []
    for market, source in (("EUR/GBP", "SECOND"), ("EUR/USD", "SECOND"), ("EUR/USD", "STATIC")):
        bid = "0.85" if market == "EUR/GBP" else "1.085"
        rows.append((market, source, world.rate(market, bid, bid, source), 0))
    gbp, second, static = rows
    assert [static, second, gbp] == used(world.ask())


def test_quotation_that_has_no_effect_is_not_named() -> None:
    """An older one is not used; of two of one instant it is the later entry."""
    world = FoldWorld(quoted=False)
    index = world.rate("EUR/USD", "1.0849", "1.0851")
    world.rate("EUR/USD", "1.0849", "1.0851", ago_ns=1)
    assert [("EUR/USD", "STATIC", index, 0)] == used(world.ask())
    again = world.rate("EUR/USD", "1.0849", "1.0851")
    assert [("EUR/USD", "STATIC", again, 0)] == used(world.ask(client_order_id="order-2"))


@pytest.mark.parametrize(("bid", "age_s"), [("2", 0), ("1.0849", 61)])
def test_rate_that_refuses_is_named_and_a_missing_one_is_not(bid: str, age_s: int) -> None:
    """Crossed or stale, it is what the refusal rests on; a source that never spoke has no entry."""
    world = FoldWorld(scope_of(**TWO_SOURCES), quoted=False)
    index = world.rate("EUR/USD", bid, "1.0851", ago_ns=age_s * NS)
    decision = world.ask()
    assert "refused" == decision.verdict
    assert [("EUR/USD", "STATIC", index, age_s * 1000)] == used(decision)


def test_decision_without_a_rate_names_none() -> None:
    """Cancel, malformed body, unknown agent, and an amendment of nothing that works."""
    world = FoldWorld()
    world.permit()
    found: dict[str, Any] = {
        "cancel": world.cancel("c", "order-1"),
        "malformed": world.decide(b"{}"),
        "stranger": world.decide(
            b'{"action":"cancel","client_order_id":"c","orig_client_order_id":"o"}', "x"
        ),
        "amendment": world.amend("a", "nothing", "1"),
    }
    assert ["none"] * 4 == [used(one) or "none" for one in found.values()]


def test_state_read_from_a_snapshot_names_the_same_entry() -> None:
    """What a snapshot keeps of a quotation includes its index."""
    world = FoldWorld()
    expected = used(world.ask())
    world.state = snapshot.read(snapshot.write(world.state), in_memory)
    again = used(world.ask(client_order_id="order-2"))
    assert expected == again != []


def test_entry_of_an_ordinary_decision_stays_below_a_kibibyte() -> None:
    """Permitted, with its rate, before a baseline is in force; and it reads back."""
    decision = FoldWorld().ask()
    data = encode_entry(decision)
    assert 1 == len(used(decision))
    assert 1024 >= len(data)
    assert decision == decode_gate_entry(data)
