# SPDX-License-Identifier: Apache-2.0
"""Every check, refused from the bytes of an order to the recorded entry: inside, at, outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sekisho.core.scope import Scope
from sekisho.core.terms import parse_instant
from tests.gate_world import CERTIFICATE, POLICY, GateWorld, codes, order, scope_of

Story = Callable[[], Awaitable[Any]]


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]  # known


async def ask_once(
    policy: dict[str, Any] | None = None, /, **changes: Any
) -> tuple[list[str], GateWorld]:
    """Start a gate, ask one order, check that answer and record agree and nothing else left."""
    start = {k: changes.pop(k) for k in list(changes) if k.startswith("start_")}
    world = await GateWorld.start(policy, **{k[6:]: v for k, v in start.items()})
    answer = await world.ask(**changes)
    recorded = world.decision(answer)
    assert [str(r.code) for r in recorded.reasons] == codes(answer)
    permitted = recorded.verdict == "permitted"
    assert (len(world.venue.permits), world.signer.signed) == ((1, 1) if permitted else (0, 0))
    return codes(answer), world


CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    # what, changes of the scope, changes of the order or the start, expected codes
    ("size below", {}, {"quantity": "24999.99"}, []),
    ("size at", {}, {"quantity": "25000"}, []),
    ("size above", {}, {"quantity": "25000.00000001"}, ["exceeds_scope_size"]),
    ("size none", {"order_notional_max": "none"}, {"quantity": "400000"}, []),
    ("market inverse", {}, {"market": "EUR/GBP", "price": "0.85"}, []),
    ("market other", {}, {"market": "EUR/CHF"}, ["market_not_allowed", "rate_missing"]),
    ("action", {"actions": ["cancel"]}, {}, ["action_not_permitted"]),
    ("venue", {"venues": ["OTHER"]}, {}, ["venue_not_allowed"]),
    ("counterparty in", {"counterparties": ["KRAKEN"]}, {"counterparty": "KRAKEN"}, []),
    ("counterparty out", {"counterparties": ["KRAKEN"]}, {"counterparty": "OTHER"},
     ["counterparty_not_allowed"]),
    ("counterparty unknown", {"counterparties": ["KRAKEN"]}, {}, ["counterparty_not_allowed"]),
    ("counterparty is venue", {"counterparties": ["PAPER"]}, {}, []),
    ("quantity at", {"order_quantity_max": [{"market": "EUR/USD", "currency": "EUR",
                                             "max": "20000"}]}, {}, []),
    ("quantity above", {"order_quantity_max": [{"market": "EUR/USD", "currency": "EUR",
                                                "max": "19999.99999999"}]}, {},
     ["exceeds_quantity"]),
    ("quantity no row", {"order_quantity_max": [{"market": "GBP/EUR", "currency": "EUR",
                                                 "max": "20000"}]}, {}, ["exceeds_quantity"]),
    ("collar at", {"price_collar": {"deviation_max": "0.01", "range_max": "1", "window_s": 60}},
     {"price": "1.09585"}, []),
    ("collar above", {"price_collar": {"deviation_max": "0.01", "range_max": "1",
                                       "window_s": 60}},
     {"price": "1.09585001"}, ["price_outside_collar"]),
    ("collar below", {"price_collar": {"deviation_max": "0.01", "range_max": "1",
                                       "window_s": 60}},
     {"price": "1.07414999"}, ["price_outside_collar"]),
    ("collar inverse", {"price_collar": {"deviation_max": "0.01", "range_max": "1",
                                         "window_s": 60}},
     {"market": "GBP/EUR", "price": "1.20", "side": "sell"}, ["price_outside_collar"]),
    ("collar market order", {"price_collar": {"deviation_max": "0", "range_max": "0",
                                              "window_s": 60}},
     {"order_type": "market", "price": None}, []),
    ("volume at", {"daily_notional_max": "20000"}, {}, []),
    ("volume above", {"daily_notional_max": "19999.99"}, {}, ["daily_volume_cap_exceeded"]),
    ("orders at", {"daily_order_count_max": 1}, {}, []),
    ("messages at", {"message_rate": {"count_max": 1, "window_s": 1}}, {}, []),
    ("position at", {"position_notional_max": "20000"}, {}, []),
    ("position above", {"position_notional_max": "19999.99"}, {}, ["position_limit_exceeded"]),
    ("position sell", {"position_notional_max": "19999.99"}, {"side": "sell"},
     ["position_limit_exceeded"]),
    ("concentration at", {"concentration": {"share_max": "1", "window_s": 60,
                                            "notional_min": "1"}}, {}, []),
    ("concentration above", {"concentration": {"share_max": "0.99", "window_s": 60,
                                               "notional_min": "20000"}}, {},
     ["concentration_exceeded"]),
    ("concentration too little", {"concentration": {"share_max": "0.99", "window_s": 60,
                                                    "notional_min": "20000.01"}}, {}, []),
    ("region", {}, {"start_region": "us-east-1"}, ["region_not_allowed"]),
    ("hours before", {}, {"start_at": "2026-05-15T07:59:59.999999999Z"},
     ["outside_trading_hours"]),
    ("hours start", {}, {"start_at": "2026-05-15T08:00:00.000000000Z"}, []),
    ("hours last", {}, {"start_at": "2026-05-15T16:59:59.999999999Z"}, []),
    ("hours end", {}, {"start_at": "2026-05-15T17:00:00.000000000Z"}, ["outside_trading_hours"]),
    ("hours saturday", {}, {"start_at": "2026-05-16T09:00:00.000000000Z"},
     ["outside_trading_hours"]),
    ("hours sunday", {}, {"start_at": "2026-05-17T09:00:00.000000000Z"},
     ["outside_trading_hours"]),
    ("hours monday", {}, {"start_at": "2026-05-18T09:00:00.000000000Z"}, []),
    ("hours weekend allowed", {"trading_hours__exclude_weekends": False},
     {"start_at": "2026-05-16T09:00:00.000000000Z"}, []),
    ("hours holiday", {}, {"start_at": "2026-05-14T09:00:00.000000000Z"},
     ["outside_trading_hours"]),
    ("hours none", {"trading_hours": "none"}, {"start_at": "2026-05-16T03:00:00.000000000Z"},
     []),
    ("hours zone", {"zone_offsets": [{"since": "1970-01-01T00:00:00.000000000Z",
                                      "utc_offset_s": 7200}]},
     {"start_at": "2026-05-15T15:00:00.000000000Z"}, ["outside_trading_hours"]),
    ("environment", {}, {"start_environment": "production"}, ["environment_mismatch"]),
    ("not yet valid", {}, {"start_not_before": "2026-05-15T09:00:00.000000001Z"},
     ["certificate_not_yet_valid"]),
    ("just valid", {}, {"start_not_before": "2026-05-15T09:00:00.000000000Z"}, []),
    ("expired", {}, {"start_not_after": "2026-05-15T09:00:00.000000000Z"},
     ["certificate_expired"]),
    ("valid to the last", {}, {"start_not_after": "2026-05-15T09:00:00.000000001Z"}, []),
    ("market order", {}, {"order_type": "market", "price": None}, []),
    ("quote currency at", {}, {"currency": "USD", "quantity": "26852.75", "side": "sell",
                               "price": "1.07411"}, []),
    ("quote currency above", {}, {"currency": "USD", "quantity": "26852.76", "side": "sell",
                                  "price": "1.07411"}, ["exceeds_scope_size"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "scope", "asked", "expected"), CASES, ids=[c[0] for c in CASES])
def test_order_at_each_boundary_is_decided_and_recorded(
    what: str, scope: dict[str, Any], asked: dict[str, Any], expected: list[str]
) -> None:
    """One order at, inside or outside a limit gets exactly the expected reasons, durably."""

    async def story() -> None:
        found, _ = await ask_once(scope_of(**scope), **asked)
        assert found == expected

    run(story)


MALFORMED: list[tuple[str, bytes, str]] = [
    ("number", order().replace(b'"20000"', b"20000"), "write it as a string"),
    ("exponent", order(quantity="1.8e5"), "quantity"),
    ("nan", order(quantity="NaN"), "quantity"),
    ("negative", order(quantity="-1"), "quantity"),
    ("zero", order(quantity="0"), "above zero"),
    ("null", order().replace(b'"20000"', b"null"), "quantity"),
    ("missing", order(quantity=None), "quantity"),
    ("400 digits", order(quantity="1" * 400), "quantity"),
    ("duplicate key", order().replace(b'"side"', b'"side":"buy","side"'), "duplicate"),
    ("unknown field", order(margin="1"), "margin"),
    ("newline", order(market="EUR_USD\n"), "market"),
    ("trailing newline", order(market="EUR/USD\n"), "market"),
    ("lower case", order(market="eur/usd"), "market"),
    ("same leg twice", order(market="EUR/EUR"), "twice"),
    ("foreign currency", order(currency="CHF"), "neither leg"),
    ("price missing", order(price=None), "needs one"),
    ("market with price", order(order_type="market"), "has none"),
    ("not json", b"buy 20000", "not JSON"),
    ("array", b"[]", "JSON object"),
    ("empty", b"", "not JSON"),
    ("too long", b" " * 9000, "bytes"),
    ("not utf-8", b'{"action":"\xff"}', "UTF-8"),
    ("action", order(action="replace"), "action"),
    ("id", order(client_order_id="a b"), "client_order_id"),
    ("id digits", order(client_order_id="\u0661"), "client_order_id"),
    ("deep", b"[" * 8000, "nested"),
    ("price zero", order(price="0"), "above zero"),
    ("side", order(side="BUY"), "side"),
    ("digest", order(decision_context={"model_sha256": "ab"}), "model_sha256"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "says"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_malformed_order_is_refused_and_recorded_by_digest(
    what: str, body: bytes, says: str
) -> None:
    """What is no order gets one stable reason that names the trouble; its body is not in the
    log.
    """

    async def story() -> None:
        world = await GateWorld.start()
        answer = await world.ask(body)
        assert codes(answer) == ["malformed_order"]
        entry = world.decision(answer)
        assert says in entry.reasons[0].observed
        assert (entry.order, entry.body_bytes, entry.verdict) == (None, len(body), "refused")
        assert world.signer.signed == 0

    run(story)


def test_unknown_agent_is_refused_and_recorded() -> None:
    """An agent without a certificate at this gate gets nothing, whatever it asks."""

    async def story() -> None:
        world = await GateWorld.start()
        answer = await world.ask(agent="stranger")
        assert codes(answer) == ["agent_not_active"]
        assert world.decision(answer).policy_sha256 == ""

    run(story)


def test_all_reasons_are_given_in_the_order_of_the_specification() -> None:
    """An order that is wrong in many ways is told all of them, in the fixed order."""

    async def story() -> None:
        found, _ = await ask_once(
            None,
            quantity="180000",
            venue="OTHER",
            start_region="us-east-1",
            start_at="2026-05-16T09:00:00.000000000Z",
            start_environment="production",
        )
        assert found == [
            "environment_mismatch",
            "exceeds_scope_size",
            "venue_not_allowed",
            "outside_trading_hours",
            "region_not_allowed",
            "control_unavailable",
        ]

    run(story)


def test_refusal_names_limit_observed_and_unit() -> None:
    """The €180,000 order is told what was compared with what."""

    async def story() -> None:
        world = await GateWorld.start()
        answer = await world.ask(quantity="180000")
        reason = answer.reasons[0]
        assert (reason.limit, reason.observed, reason.unit) == ("25000.00", "180000.00", "EUR")

    run(story)


def test_scope_every_field_has_a_case() -> None:
    """A field of Scope without a refusal test is a limit that nobody enforces."""
    covered = {name.partition("__")[0] for _, scope, _, _ in CASES for name in scope}
    elsewhere = {
        "currency",  # unit of every amount
        "markets",  # "market other"
        "regions",  # "region"
        "time_zone",  # name of the frozen offsets
        "reference_rates",  # test_rates
        "market_stress",  # test_rates
        "repeated_executions",  # test_windows
        "repeated_orders",  # test_windows
        "consecutive_failures_max",  # test_windows
    }
    assert set(Scope.__struct_fields__) == covered | elsewhere


def test_policy_validity_is_start_inclusive_end_exclusive() -> None:
    """Outside valid_from ≤ now < valid_until nothing new passes."""

    async def story() -> None:
        begin, end = "2026-05-15T09:00:00.000000000Z", "2026-05-15T10:00:00.000000000Z"
        policy = POLICY | {"valid_from": begin, "valid_until": end}
        for at, expected in [
            ("2026-05-15T08:59:59.999999999Z", ["policy_not_in_force"]),
            (begin, []),
            ("2026-05-15T09:59:59.999999999Z", []),
            (end, ["policy_not_in_force"]),
        ]:
            found, _ = await ask_once(policy, start_at=at)
            assert found == expected

    run(story)


def test_review_overdue_refuses_unless_the_policy_only_warns() -> None:
    """From the due instant on the policy's word counts."""

    async def story() -> None:
        due = "2026-05-15T09:00:00.000000000Z"
        for at, word, expected in [
            ("2026-05-15T08:59:59.999999999Z", "refuse", []),
            (due, "refuse", ["review_overdue"]),
            (due, "warn", []),
            (due, "block_issuing", []),
        ]:
            review = {"governance": {"review_due": due, "review_overdue": word}}
            test = {"testing": {"fitness_due": due, "overdue": word}}
            for overdue in (review, test):
                found, _ = await ask_once(POLICY | overdue, start_at=at)
                assert found == expected

    run(story)


@pytest.mark.parametrize(
    ("status", "code"), [("hold", "certificate_held"), ("revoked", "certificate_revoked")]
)
def test_stopped_agent_gets_nothing_new_but_may_cancel(status: Any, code: str) -> None:
    """After a stop every new order is refused with its cause; a cancel still goes out."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask()
        world.venue.cancel_silent = True
        await world.stopping.stop("bot", CERTIFICATE, status, "test", 1)
        world.venue.cancel_silent = False
        answer = await world.ask(client_order_id="order-2")
        assert codes(answer) == [code]
        cancel = {"action": "cancel", "client_order_id": "c-1", "orig_client_order_id": "order-1"}
        from sekisho.core.encoding import canonical

        done = await world.ask(canonical(cancel))
        assert (done.kind, done.order_state) == ("permitted", "closed")

    run(story)


def test_lease_that_ended_refuses_until_it_is_renewed() -> None:
    """Cut off from the authority, signing ends with the lease and returns with it."""

    async def story() -> None:
        world = await GateWorld.start()
        assert codes(await world.ask()) == []
        world.authority.down = True
        world.clock.advance(14.999999999)
        world.quote()
        assert codes(await world.ask(client_order_id="order-2")) == []
        world.clock.advance(0.000000001)
        assert codes(await world.ask(client_order_id="order-3")) == ["lease_expired"]
        world.authority.down = False
        assert codes(await world.ask(client_order_id="order-4")) == []

    run(story)


def test_lease_never_had_refuses() -> None:
    """Without any lease there is no right to sign."""

    async def story() -> None:
        world = await GateWorld.start()
        world.authority.down = True
        answer = await world.ask()
        assert codes(answer) == ["lease_expired"]
        assert answer.reasons[0].limit == ""

    run(story)


def test_clock_never_runs_below_the_last_entry() -> None:
    """A wall clock that is set back does not reopen a day that the log has left."""

    async def story() -> None:
        world = await GateWorld.start(at="2026-05-15T16:59:59.000000000Z")
        world.clock.advance(1)
        world.quote()
        assert "outside_trading_hours" in codes(await world.ask())
        world.clock.step_wall(-3600)
        world.authority.clock_error_s = 3600
        answer = await world.ask(client_order_id="order-2")
        assert "outside_trading_hours" in codes(answer)
        at = parse_instant(world.decision(answer).at)
        assert at >= parse_instant("2026-05-15T17:00:00.000000000Z")

    run(story)
