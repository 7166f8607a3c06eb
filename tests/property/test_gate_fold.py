# SPDX-License-Identifier: Apache-2.0
"""Any life of an agent: what the fold must hold after every entry, and that it folds again."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.events import Decision, decode_gate_entry, encode_entry
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import remaining
from sekisho.core.terms import NS
from tests.fold_world import FoldWorld
from tests.gate_world import scope_of

POLICY = scope_of(
    order_notional_max="none",
    daily_notional_max="90000",
    trading_hours="none",
    message_rate={"count_max": 12, "window_s": 40},
    position_notional_max="70000",
    concentration={"share_max": "1", "window_s": 30, "notional_min": "1"},
    price_collar={"deviation_max": "9", "range_max": "0.1", "window_s": 30},
    repeated_executions={"count_max": 9, "window_s": 30},
    repeated_orders={"count_max": 3, "window_s": 30},
    consecutive_failures_max=4,
    reference_rates__age_max_s=10**6,
)
NAMES = st.sampled_from([f"n{number}" for number in range(12)])
QUANTITIES = st.integers(1, 40_000_000).map(lambda number: f"{number // 1000}.{number % 1000:03d}")
STEPS = st.one_of(
    st.tuples(st.just("new"), NAMES, QUANTITIES, st.booleans(), st.sampled_from("AB")),
    st.tuples(st.just("amend"), NAMES, NAMES, QUANTITIES),
    st.tuples(st.just("cancel"), NAMES, NAMES),
    st.tuples(
        st.just("report"),
        st.sampled_from(
            ["new", "trade", "trade", "replaced", "canceled", "rejected", "expired", "not_found"]
        ),
        NAMES,
        QUANTITIES,
    ),
    st.tuples(st.just("unresolved"), NAMES, st.sampled_from(["submit", "amend", "cancel"])),
    st.tuples(st.just("signed"), st.integers(0, 9)),
    st.tuples(st.just("withdrawn"), st.integers(0, 9)),
    st.tuples(st.just("rearm"), st.sampled_from(["repeated_executions", "consecutive_failures"])),
    st.tuples(st.just("later"), st.sampled_from([0, 1, 9, 29, 30, 31, 43_200])),
)


def live(world: FoldWorld, steps: list[Any]) -> None:
    """Do what the steps say; what they name may not be there."""
    for kind, *arguments in steps:
        if kind == "new":
            name, quantity, buys, counterparty = arguments
            world.ask(client_order_id=name, quantity=quantity, counterparty=counterparty,
                      side="buy" if buys else "sell")  # fmt: skip
        elif kind == "amend" and arguments[0] != arguments[1]:
            world.amend(*arguments)
        elif kind == "cancel" and arguments[0] != arguments[1]:
            world.cancel(*arguments)
        elif kind in ("signed", "withdrawn"):
            permitted = [
                entry.state
                for entry in world.entries
                if isinstance(entry, Decision)
                and entry.verdict == "permitted"
                and entry.state not in world.bot.answers
            ]
            if permitted:
                getattr(world, kind)(permitted[arguments[0] % len(permitted)])
        elif kind not in ("amend", "cancel"):
            getattr(world, kind)(*arguments)
        check_sums(world.bot)


def check_sums(bot: AgentState) -> None:
    """Every sum that is kept equals the sum over what it is a sum of."""
    orders = list(bot.working.values())
    assert bot.reserved == sum(order.reserved for order in orders)
    by = Counter[tuple[str, int]]()
    for order in orders:
        by[order.terms.pair, order.terms.direction] += order.reserved
        least = remaining(order.total, order.terms.quantity, order.filled)
        pending = order.pending
        if pending is not None:
            least = max(least, remaining(pending.total, pending.terms.quantity, order.filled))
            assert bot.find(pending.terms.order.client_order_id) is order
            assert bot.by_decision[pending.decision] is order
        assert order.reserved >= least
        assert bot.by_decision[order.decision] is order
        assert bot.find(order.client_order_id) is order
    assert {key: value for key, value in bot.reserved_by.items() if value} == dict(by)
    assert set(bot.aliases.values()) <= set(bot.working)
    assert {id(order) for order in bot.by_decision.values()} == {id(order) for order in orders}
    sums = Counter[str]()
    for _, name, amount in bot.counterparties:
        sums[name] += amount
    assert bot.counterparty_sums == dict(sums)
    assert bot.content_counts == dict(Counter(digest for _, digest in bot.contents))


def plain(bot: AgentState) -> dict[str, Any]:
    """The whole of an agent's state as comparable values."""
    values = dict(vars(bot))
    values["by_decision"] = {
        index: order.client_order_id for index, order in bot.by_decision.items()
    }
    values["prices"] = {
        pair: (list(kept._lows), list(kept._highs)) for pair, kept in bot.prices.items()
    }
    return values


@given(st.lists(STEPS, max_size=40))
def test_fold_holds_its_sums_and_folds_again_to_the_same(steps: list[Any]) -> None:
    """Sums are exact after each entry, and the log alone gives the state again."""
    world = FoldWorld(POLICY)
    live(world, steps)
    again = GateState()
    for index, entry in enumerate(world.entries):
        read = decode_gate_entry(encode_entry(entry))
        assert read == entry
        again.apply(index, read)
    assert plain(again.agents["bot"]) == plain(world.bot)
    assert (again.size, again.at, again.lease) == (
        world.state.size,
        world.state.at,
        world.state.lease,
    )


@given(st.lists(STEPS, max_size=40))
def test_gross_never_falls_within_a_day_and_never_passes_its_cap(steps: list[Any]) -> None:
    """The day's gross is what was permitted; the position with all that works keeps its limit."""
    world = FoldWorld(POLICY)
    bot = world.bot
    for step in steps:
        day, gross = bot.day, bot.gross
        live(world, [step])
        assert bot.day >= day
        assert bot.day > day or bot.gross >= gross
        if step[0] in ("new", "amend"):
            decision = world.entries[-1]
            assert isinstance(decision, Decision) or step[1] == step[2]
            if isinstance(decision, Decision) and decision.verdict == "permitted":
                assert bot.gross <= 90_000 * 10**8
                order = bot.by_decision[decision.state]
                key = (order.terms.pair, order.terms.direction)
                held = order.terms.direction * bot.positions.get(order.terms.pair, 0)
                assert held + bot.reserved_by[key] <= 70_000 * 10**8
        since = world.now - 40 * NS
        assert bot.messages_within(world.now) == sum(since < time for time in bot.messages)
