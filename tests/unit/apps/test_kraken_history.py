# SPDX-License-Identifier: Apache-2.0
"""The history behind the Kraken-shaped front: what the log says of each order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.apps.kraken import history
from sekisho.apps.kraken.history import OrderHistory
from sekisho.core.encoding import canonical
from sekisho.core.events import Withdrawn
from tests.gate_world import GateWorld
from tests.kraken_front_world import AGENT, AT, PAIRS, ToldGate


def status(gate: ToldGate, name: str = "o-1") -> str:
    found = gate.history.find(AGENT, name)
    return "" if found is None else found.status


def amend(gate: ToldGate, name: str = "o-2", quantity: str = "2000") -> int:
    return gate.permit(
        action="amend", client_order_id=name, orig_client_order_id="o-1", quantity=quantity
    )


def test_history_order_is_pending_until_the_venue_has_it() -> None:
    """A permit alone is no acknowledgement."""
    gate = ToldGate()
    gate.permit()
    assert "pending" == status(gate)
    gate.report("new")
    assert "open" == status(gate)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("canceled", "canceled"), ("expired", "expired"), ("rejected", "canceled"),
     ("not_found", "canceled")],
)  # fmt: skip
def test_history_end_moves_the_order_to_the_closed_ones(kind: str, expected: str) -> None:
    """Each end has the status that a client of the venue knows."""
    gate = ToldGate()
    gate.permit()
    gate.report(kind)
    assert ((), expected) == (gate.history.live(AGENT), gate.history.closed(AGENT)[0].status)
    assert ("" if kind != "rejected" else kind) == (gate.history.rejection(AGENT, "o-1") or "")


def test_history_fill_counts_once_and_closes_when_full() -> None:
    """A report that came before has no effect; the last one closes the order."""
    gate = ToldGate()
    gate.permit()
    for _ in range(2):
        gate.report("trade", exec_id="T-1", last_quantity="400", last_price="1.08")
    assert ("open", 400) == (status(gate), gate.history.live(AGENT)[0].filled // 10**8)
    gate.report("trade", exec_id="T-2", last_quantity="600", last_price="1.1")
    closed = gate.history.closed(AGENT)[0]
    assert ("closed", ["T-1", "T-2"]) == (closed.status, [one.trade_id for one in closed.trades])
    gate.report("canceled")
    assert "closed" == status(gate)


def test_history_withdrawn_order_is_over() -> None:
    """What never left the gate is not open; once signed it can no longer be withdrawn."""
    gate = ToldGate()
    decision = gate.permit()
    gate.log(Withdrawn(at=AT, agent=AGENT, decision=decision, reason="lease_expired"))
    assert "canceled" == status(gate)
    other = gate.permit(client_order_id="o-3")
    gate.signed(other)
    gate.log(Withdrawn(at=AT, agent=AGENT, decision=other, reason="lease_expired"))
    assert "pending" == status(gate, "o-3")


def test_history_amendment_takes_effect_with_the_venue_s_word() -> None:
    """Until then the old terms stand; afterwards every name leads to the order."""
    gate = ToldGate()
    gate.permit()
    gate.report("new")
    amend(gate)
    assert ("o-1", "1000") == gate.history.present(AGENT, "o-2")
    gate.report("replaced", "o-2")
    assert ("o-2", "2000") == gate.history.present(AGENT, "o-1")
    assert ["o-1"] == [one.txid for one in gate.history.live(AGENT)]


@pytest.mark.parametrize("how", ["rejected", "not_found", "withdrawn"])
def test_history_amendment_that_failed_leaves_the_order(how: str) -> None:
    """The order goes on as it was, under its own name."""
    gate = ToldGate()
    gate.permit()
    gate.report("new")
    decision = amend(gate)
    if how == "withdrawn":
        gate.log(Withdrawn(at=AT, agent=AGENT, decision=decision, reason="x"))
    else:
        gate.report(how, "o-2")
    assert ("open", "", ("o-1", "1000")) == (
        status(gate), status(gate, "o-2"), gate.history.present(AGENT, "o-1")
    )  # fmt: skip


def test_history_fill_before_a_failed_amendment_closes_afterwards() -> None:
    """A full order waits for its amendment's fate, then it is closed."""
    gate = ToldGate()
    gate.permit()
    amend(gate)
    gate.report("trade", last_quantity="1000", last_price="1.1")
    assert "open" == status(gate)
    gate.report("rejected", "o-2")
    assert "closed" == status(gate)


def test_history_amendment_to_what_is_filled_closes() -> None:
    """Nothing is left to execute."""
    gate = ToldGate()
    gate.permit()
    gate.report("trade", last_quantity="400", last_price="1.1")
    amend(gate, quantity="400")
    gate.report("replaced", "o-2")
    assert "closed" == status(gate)


def test_history_of_one_agent_is_not_told_to_another() -> None:
    """Ids are of their agent."""
    gate = ToldGate()
    gate.permit()
    assert None is gate.history.find("other", "o-1")
    assert (("o-1", ""), ()) == (gate.history.present("other", "o-1"), gate.history.live("other"))


def test_history_forgets_the_oldest_closed_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what is open stays."""
    monkeypatch.setattr(history, "CLOSED_MAX", 2)
    gate = ToldGate()
    gate.permit(client_order_id="open")
    for name in ("o-1", "o-2", "o-3"):
        gate.permit(client_order_id=name)
        gate.report("canceled", name)
    assert ["o-3", "o-2"] == [one.txid for one in gate.history.closed(AGENT)]
    assert ("", "pending") == (status(gate, "o-1"), status(gate, "open"))


def test_history_entry_taken_before_has_no_effect() -> None:
    """Whether an entry is pushed or read from the log, it counts once."""
    gate = ToldGate()
    gate.permit()
    gate.report("canceled")
    gate._entries = 0
    gate.permit()
    assert ("canceled", ()) == (status(gate), gate.history.live(AGENT))


def test_history_begun_at_the_end_of_a_log_has_every_order_that_works() -> None:
    """Wherever it begins to read whole: the same open orders, and of closed ones the later."""

    async def story() -> None:
        world = await GateWorld.start()
        venue = world.venue

        async def sent(name: str, **changes: Any) -> None:
            world.clock.advance(2)
            world.quote()
            await world.ask(client_order_id=name, **changes)

        def told(kind: Any, name: str, quantity: str, leaves: str) -> None:
            permit = venue.resting[name]
            price = "1.085" if kind == "trade" else "0"
            report = venue.report(permit, kind, quantity, price, leaves)
            world.release.take("PAPER", (report,))

        await sent("rests")
        await sent("partly")
        told("trade", "partly", "5000", "15000")
        venue.fill = True
        await sent("filled")
        venue.fill = False
        await sent("first")
        body = {"action": "amend", "client_order_id": "then", "orig_client_order_id": "first"}
        await world.ask(canonical(body | {"quantity": "19000"}))
        told("trade", "then", "100", "18900")
        for number in range(4):
            await sent(f"gone-{number}")
            await world.release.cancel("bot", f"gone-{number}", "test")
        venue.silent = True
        await sent("pending")
        whole, size = OrderHistory(PAIRS), world.log.journal.size
        whole.catch_up(world.log.journal.entries)
        live = sorted(whole.live("bot"), key=lambda one: one.txid)
        assert ["first", "partly", "pending", "rests"] == [one.txid for one in live]
        assert ["pending"] == [one.txid for one in live if one.status == "pending"]
        closed = whole.closed("bot")
        assert 5 == len(closed)
        for tail in range(size + 1):
            found = OrderHistory(PAIRS)
            found.begin(world.log, tail)
            assert live == sorted(found.live("bot"), key=lambda one: one.txid), tail
            late = found.closed("bot")
            assert closed[: len(late)] == late
            assert ("then", "19000") == found.present("bot", "first")

    asyncio.run(story())
