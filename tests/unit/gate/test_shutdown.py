# SPDX-License-Identifier: Apache-2.0
"""Shutdown orders, the breaker, and orders that only take a position back (checks.md 4.7)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.events import (
    Advised,
    CommandRefused,
    GateOpened,
    IncidentOpened,
    LocalStop,
    Scores,
    Shed,
    ShutdownOrdered,
)
from sekisho.core.sight import Sight
from sekisho.core.terms import format_instant
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import CERTIFICATE, POLICY, scope_of

NOT_PERMITTED = "action_not_permitted"


def ordered(world: FoldWorld, mode: str) -> int:
    """A named person orders this mode."""
    return world.add(ShutdownOrdered, agent="bot", mode=mode, seats=("a",), commands=())


def broken(world: FoldWorld) -> int:
    """The breaker latches."""
    return world.add(
        IncidentOpened, incident="a" * 32, agent="bot", certificate_sha256=CERTIFICATE,
        incident_kind="breaker", score="risk", factor="size", observed="0.800000",
        threshold="0.75", trigger=0,
    )  # fmt: skip


def stopped(world: FoldWorld, certificate: str = CERTIFICATE) -> int:
    """A named person stops the agent here."""
    return world.add(
        LocalStop, agent="bot", certificate_sha256=certificate, seats=("a",), commands=()
    )


def long_of(quantity: str = "20000", **scope: Any) -> FoldWorld:
    """A world whose agent bought so many euros, all of it filled."""
    world = FoldWorld(scope_of(**scope))
    world.permit(client_order_id="bought", quantity=quantity)
    world.report("trade", "bought", quantity)
    return world


def test_cancel_only_refuses_new_and_amendment_and_lets_cancels_by() -> None:
    """Both name the mode and the action; what takes risk away passes."""
    world = FoldWorld()
    world.permit(client_order_id="rests")
    ordered(world, "cancel_only")
    assert reasons(world.ask(client_order_id="b")) == [(NOT_PERMITTED, "cancel_only", "new", "")]
    smaller = world.amend("c", "rests", "1")
    assert reasons(smaller) == [(NOT_PERMITTED, "cancel_only", "amend", "")]
    assert reasons(world.cancel("d", "rests")) == []


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("19999.99", []),
        ("20000", []),
        ("20000.01", [(NOT_PERMITTED, "reduce_only", "0.01", "EUR")]),
    ],
)
def test_reduce_only_lets_orders_by_until_the_position_is_zero(
    quantity: str, expected: list[Any]
) -> None:
    """To the cent: exactly the whole position passes, one cent more would cross zero."""
    world = long_of()
    ordered(world, "reduce_only")
    assert reasons(world.ask(client_order_id="s", side="sell", quantity=quantity)) == expected


def test_reduce_only_refuses_what_adds_to_the_position() -> None:
    """In the direction of the position, and without one, every order adds."""
    world = long_of()
    ordered(world, "reduce_only")
    more = world.ask(client_order_id="m", quantity="1")
    assert reasons(more) == [(NOT_PERMITTED, "reduce_only", "20001", "EUR")]
    flat = FoldWorld()
    ordered(flat, "reduce_only")
    assert reasons(flat.ask(quantity="1")) == [(NOT_PERMITTED, "reduce_only", "1", "EUR")]


def test_reduce_only_takes_back_a_short_position_by_buying() -> None:
    """Direction is that of the pair: of a short position buying is what reduces."""
    world = FoldWorld()
    world.permit(client_order_id="sold", side="sell")
    world.report("trade", "sold", "20000")
    ordered(world, "reduce_only")
    assert reasons(world.ask(client_order_id="b", quantity="20000")) == []
    again = world.ask(client_order_id="c", quantity="0.01")
    assert reasons(again) == [(NOT_PERMITTED, "reduce_only", "0.01", "EUR")]


def test_reduce_only_counts_every_working_order_of_its_direction() -> None:
    """Several orders that each fit do not fit together."""
    world = long_of()
    world.permit(client_order_id="w", side="sell", quantity="15000")
    ordered(world, "reduce_only")
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="5000")) == []
    over = world.ask(client_order_id="b", side="sell", quantity="0.01")
    assert reasons(over) == [(NOT_PERMITTED, "reduce_only", "0.01", "EUR")]


def test_reduce_only_amendment_is_judged_as_the_order_that_it_becomes() -> None:
    """Without the order itself, and for no less than it reserves already."""
    world = long_of()
    world.permit(client_order_id="w", side="sell", quantity="15000")
    ordered(world, "reduce_only")
    over = world.amend("a", "w", "20000.01")
    assert reasons(over) == [(NOT_PERMITTED, "reduce_only", "0.01", "EUR")]
    assert reasons(world.amend("b", "w", "20000")) == []


def test_reduce_only_amendment_to_less_of_what_adds_is_refused() -> None:
    """Until the venue has confirmed it, the larger order can still be filled."""
    world = long_of(position_notional_max="none", order_notional_max="none")
    world.permit(client_order_id="w", side="sell", quantity="30000")
    ordered(world, "reduce_only")
    less = world.amend("a", "w", "10000")
    assert reasons(less) == [(NOT_PERMITTED, "reduce_only", "10000", "EUR")]


def test_reduce_only_of_what_cannot_be_computed_refuses_without_a_sum() -> None:
    """An amendment of nothing and an order without a value do not reduce."""
    world = long_of()
    ordered(world, "reduce_only")
    gone = world.amend("a", "gone", "1")
    assert reasons(gone) == [
        (NOT_PERMITTED, "reduce_only", "", ""),
        ("unknown_order", "", "gone", ""),
    ]
    unquoted = FoldWorld(quoted=False)
    ordered(unquoted, "reduce_only")
    nothing = unquoted.ask(quantity="1", currency="USD", order_type="market", price=None)
    assert reasons(nothing)[0] == (NOT_PERMITTED, "reduce_only", "", "")


def test_reduce_only_needs_a_reconciled_position() -> None:
    """A trade that belongs to no order, or an order whose fate is not known: nothing reduces."""
    refused = [(NOT_PERMITTED, "reduce_only", "not reconciled", "")]
    world = long_of()
    ordered(world, "reduce_only")
    world.report("canceled", "nobody's")
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="1")) == []
    world.report("trade", "nobody's", "1")
    assert reasons(world.ask(client_order_id="b", side="sell", quantity="1")) == refused
    assert (world.bot.orphans, world.bot.unbooked) == (2, 1)
    unknown = long_of()
    unknown.permit(client_order_id="w", side="sell", quantity="1")
    ordered(unknown, "reduce_only")
    unknown.unresolved("w", "submit")
    assert reasons(unknown.ask(client_order_id="c", side="sell", quantity="1")) == refused
    unknown.report("new", "w")
    assert reasons(unknown.ask(client_order_id="d", side="sell", quantity="1")) == []


def test_order_possibly_issued_before_a_restart_leaves_its_pair_unreconciled() -> None:
    """Of another pair it says nothing."""
    world = long_of(order_notional_max="none")
    world.permit(client_order_id="other", market="GBP/EUR", quantity="100", currency="EUR",
                 price="1.17")  # fmt: skip
    ordered(world, "reduce_only")
    world.add(GateOpened, gate="g1", boot="1" * 32, region="eu-west-1", environment="test")
    world.lease()
    world.observe()
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="1")) == []
    refused = world.ask(client_order_id="b", market="GBP/EUR", side="sell", quantity="1",
                        price="1.17", currency="EUR")  # fmt: skip
    assert reasons(refused) == [(NOT_PERMITTED, "reduce_only", "not reconciled", "")]


def test_one_person_only_narrows_and_two_take_it_off() -> None:
    """Cancel-only stays cancel-only, whatever is ordered next; re-arming ends it."""
    world = long_of()
    ordered(world, "cancel_only")
    ordered(world, "reduce_only")
    sell = {"side": "sell", "quantity": "1"}
    assert reasons(world.ask(client_order_id="a", **sell)) == [
        (NOT_PERMITTED, "cancel_only", "new", "")
    ]
    world.rearm("circuit_breaker")
    assert (world.bot.latches, world.bot.shutdown) == ({"shutdown"}, "cancel_only")
    world.rearm("shutdown")
    assert (world.bot.latches, world.bot.shutdown, world.bot.restriction) == (set(), "", "")
    assert reasons(world.ask(client_order_id="b", quantity="1")) == []
    ordered(world, "reduce_only")
    ordered(world, "cancel_only")
    assert world.bot.shutdown == "cancel_only"


def test_shutdown_stays_with_a_new_certificate() -> None:
    """What people ordered of the agent does not end with its certificate."""
    world = FoldWorld()
    ordered(world, "cancel_only")
    world.admit(POLICY, certificate_sha256="e" * 64)
    assert reasons(world.ask()) == [(NOT_PERMITTED, "cancel_only", "new", "")]


def scored(risk: str) -> Any:
    """A watch that gives every order this risk."""

    def watching(sight: Sight) -> Scores:
        return Scores(stressed=sight.stressed, baseline_sha256="", anomaly="", factors={},
                      risk=risk, scored=0)  # fmt: skip

    return watching


def test_latched_breaker_lets_by_what_reduces_and_nothing_else() -> None:
    """Whatever the risk score is by now; to the cent, as under a shutdown order."""
    world = long_of()
    broken(world)
    world.watching = scored("0.900000")
    refused = [("circuit_breaker_active", "0.75", "0.900000", "score")]
    assert reasons(world.ask(client_order_id="a", quantity="1")) == refused
    assert reasons(world.ask(client_order_id="b", side="sell", quantity="20000.01")) == refused
    assert reasons(world.ask(client_order_id="c", side="sell", quantity="20000")) == []
    latched = ("circuit_breaker_active", "0.75", "", "score")
    gone = reasons(world.amend("d", "gone", "1"))
    assert gone == [("unknown_order", "", "gone", ""), latched]


def test_risk_above_the_threshold_without_the_latch_refuses_what_reduces_too() -> None:
    """It is the latch that leaves something; a score that just crossed leaves nothing."""
    world = long_of()
    world.watching = scored("0.900000")
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="1")) == [
        ("circuit_breaker_active", "0.75", "0.900000", "score")
    ]


def test_risk_above_the_threshold_under_reduce_only_refuses_what_reduces_too() -> None:
    """A shutdown order leaves no more of a score than its absence does."""
    world = long_of()
    ordered(world, "reduce_only")
    world.watching = scored("0.900000")
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="1")) == [
        ("circuit_breaker_active", "0.75", "0.900000", "score")
    ]


def test_breaker_under_cancel_only_refuses_what_reduces() -> None:
    """The narrower of the two is in force, and both say so."""
    world = long_of()
    broken(world)
    ordered(world, "cancel_only")
    assert reasons(world.ask(client_order_id="a", side="sell", quantity="1")) == [
        (NOT_PERMITTED, "cancel_only", "new", ""),
        ("circuit_breaker_active", "0.75", "", "score"),
    ]


def test_order_that_reduces_meets_every_other_check() -> None:
    """Hold, size, collar, message rate: a shutdown order widens none of them."""
    world = long_of(
        order_notional_max="20000",
        message_rate={"count_max": 1, "window_s": 60},
        price_collar={"deviation_max": "0.01", "range_max": "1", "window_s": 60},
    )
    ordered(world, "reduce_only")
    world.status("hold")
    found = reasons(world.ask(client_order_id="a", side="sell", quantity="20000.01", price="0.9"))
    assert [code for code, *_ in found] == [
        "certificate_held", NOT_PERMITTED, "exceeds_scope_size", "price_outside_collar",
        "message_rate_exceeded",
    ]  # fmt: skip


def test_narrowed_is_the_last_entry_that_left_less() -> None:
    """What changes nothing, or gives something back, is not named."""
    world = FoldWorld()
    assert world.bot.narrowed == -1
    first = broken(world)
    assert (world.bot.restriction, world.bot.narrowed) == ("reduce_only", first)
    ordered(world, "reduce_only")
    assert (world.bot.restriction, world.bot.narrowed) == ("reduce_only", first)
    second = ordered(world, "cancel_only")
    assert (world.bot.restriction, world.bot.narrowed) == ("cancel_only", second)
    broken(world)
    world.rearm("shutdown")
    assert (world.bot.restriction, world.bot.narrowed) == ("reduce_only", second)
    world.rearm("circuit_breaker")
    third = broken(world)
    assert (world.bot.restriction, world.bot.narrowed) == ("reduce_only", third)


def test_local_stop_holds_the_present_certificate() -> None:
    """Of another certificate it says nothing; a newer word of the authority lifts it."""
    world = FoldWorld()
    found: list[str] = []
    stopped(world, "f" * 64)
    found.append(world.bot.status)
    stopped(world)
    assert reasons(world.ask()) == [("certificate_held", "", "", "")]
    world.status("good", 0)
    found.append(world.bot.status)
    world.status("good", 1)
    found.append(world.bot.status)
    world.status("revoked", 2)
    stopped(world)
    found.append(world.bot.status)
    assert found == ["good", "hold", "good", "revoked"]


def test_local_stop_outlasts_the_certificate_until_a_release_or_a_revocation() -> None:
    """A new certificate is no release; a revocation ends the stop with what it stopped."""
    world, found = FoldWorld(), []
    stopped(world)
    world.admit(POLICY, certificate_sha256="e" * 64)
    assert reasons(world.ask()) == [("certificate_held", "", "", "")]
    world.status("hold", 1, "e" * 64)
    world.status("good", 2, CERTIFICATE)
    world.admit(POLICY, certificate_sha256="f" * 64)
    found.append((world.bot.status, world.bot.stopped))
    world.status("good", 2, "f" * 64)
    found.append((world.bot.status, world.bot.stopped))
    world.status("good", 3, "f" * 64)
    found.append((world.bot.status, world.bot.stopped))
    stopped(world, "f" * 64)
    found.append((world.bot.status, world.bot.stopped))
    world.status("revoked", 4, "f" * 64)
    stopped(world, "f" * 64)
    world.admit(POLICY, certificate_sha256="e" * 64)
    found.append((world.bot.status, world.bot.stopped))
    assert found == [("hold", 0), ("hold", 0), ("good", -1), ("hold", 3), ("good", -1)]


def test_advice_costs_a_message_and_nothing_else() -> None:
    """An ``advised`` entry counts against the rate, and only where there is one."""
    world = FoldWorld(scope_of(message_rate={"count_max": 2, "window_s": 60}))
    fields = {"body_sha256": "b" * 64, "would_pass": True, "reasons": ()}
    before = world.bot.counters(world.now)
    world.add(Advised, agent="bot", **fields)
    world.add(Advised, agent="stranger", **fields)
    after = world.bot.counters(world.now)
    assert (before.messages, after.messages) == (0, 1)
    assert (before.gross_permitted, before.orders) == (after.gross_permitted, after.orders)
    assert reasons(world.ask(client_order_id="a")) == []
    assert reasons(world.ask(client_order_id="b")) == [
        ("message_rate_exceeded", "2", "3", "messages")
    ]
    free = FoldWorld()
    free.add(Advised, agent="bot", **fields)
    assert list(free.bot.messages) == []


def test_entries_for_the_reader_change_nothing_and_strangers_are_no_agents() -> None:
    """A refused command and shed messages leave the state as it is."""
    world = FoldWorld()
    world.add(CommandRefused, detail="used_before", body_sha256="b" * 64, unrecorded=0)
    world.add(Shed, agent="bot", messages=7, bytes=900, since=format_instant(world.now))
    world.add(ShutdownOrdered, agent="stranger", mode="cancel_only", seats=("a",), commands=())
    world.add(
        LocalStop, agent="stranger", certificate_sha256=CERTIFICATE, seats=("a",), commands=()
    )
    assert reasons(world.ask()) == []
    assert list(world.state.agents) == ["bot"]


def test_used_commands_are_those_that_entries_rest_on() -> None:
    """Seat and nonce of each signed command, from whatever entry carries it."""
    world = FoldWorld()
    for number, kind in enumerate(("shutdown", "stop")):
        text = canonical(
            {"command": {"seat": f"s-{kind}", "nonce": f"{number}" * 32}, "signature": "x"}
        ).decode()
        if kind == "shutdown":
            world.add(ShutdownOrdered, agent="bot", mode="reduce_only", seats=("a",),
                      commands=(text,))  # fmt: skip
        elif kind == "stop":
            world.add(LocalStop, agent="bot", certificate_sha256=CERTIFICATE, seats=("a",),
                      commands=(text,))  # fmt: skip
    assert world.state.used_commands == {("s-shutdown", "0" * 32), ("s-stop", "1" * 32)}
