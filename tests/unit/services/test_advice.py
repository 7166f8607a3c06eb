# SPDX-License-Identifier: Apache-2.0
"""Advice: what the scope says of an order that was not sent, for the price of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import StorageFailed
from sekisho.core.events import Advised, Decision, IncidentOpened, RateObserved, decode_gate_entry
from sekisho.core.gate import decide
from sekisho.services.advice import Advice, AdviceDesk
from sekisho.services.ratewatch import RateWatch
from tests.gate_world import CERTIFICATE, GateWorld, codes, order, scope_of


def desk_of(world: GateWorld) -> AdviceDesk:
    """The desk of this gate."""
    return AdviceDesk(world.log, RateWatch(world.log, world.rates))


def found(world: GateWorld, kind: type) -> list[Any]:
    """Entries of this kind."""
    entries = [decode_gate_entry(data) for _, data in world.log.journal.entries()]
    return [entry for entry in entries if isinstance(entry, kind)]


def said(advice: Advice) -> list[str]:
    """Codes of the reasons."""
    return [str(reason.code) for reason in advice.reasons]


def run(story: Any) -> None:
    asyncio.run(story())


def test_advice_on_an_order_that_would_pass_has_no_effect_but_a_message() -> None:
    """Nothing is reserved, known or decided; the order itself is decided anew."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(message_rate={"count_max": 2, "window_s": 60}))
        advice = await desk_of(world).advise("bot", order())
        assert advice == Advice(would_pass=True, evaluated=True, reasons=())
        assert world.log.journal.durable_size == world.log.journal.size
        (entry,) = found(world, Advised)
        assert (entry.agent, entry.would_pass, entry.reasons) == ("bot", True, ())
        assert entry.body_sha256 == sha256_hex(order())
        bot = world.log.state.agents["bot"]
        assert (bot.gross, bot.orders, dict(bot.known), bot.working) == (0, 0, {}, {})
        assert (len(bot.messages), found(world, Decision)) == (1, [])
        assert (await world.ask()).kind == "permitted"

    run(story)


def test_advice_says_every_reason_of_the_scope() -> None:
    """Codes with limits and observed values, as a decision would say them."""

    async def story() -> None:
        world = await GateWorld.start()
        advice = await desk_of(world).advise(
            "bot", order(quantity="180000", market="USD/CHF", currency="USD", venue="PAPER")
        )
        assert not advice.would_pass
        assert said(advice)[:2] == ["market_not_allowed", "rate_missing"]
        (entry,) = found(world, Advised)
        assert (entry.would_pass, list(entry.reasons)) == (False, list(dict.fromkeys(said(advice))))

    run(story)


def test_advice_never_looks_at_status_lease_or_scores() -> None:
    """A held agent behind a breaker without a lease is told of its scope alone."""

    async def story() -> None:
        world = await GateWorld.start()
        for kind in ("breaker", "hold"):
            world.log.record(
                IncidentOpened(
                    at=world.log.at(), incident="a" * 32, agent="bot",
                    certificate_sha256=CERTIFICATE, incident_kind=kind, score="risk",
                    factor="size", observed="0.900000", threshold="0.85", trigger=0,
                )
            )  # fmt: skip
        assert (await desk_of(world).advise("bot", order())).would_pass
        assert codes(await world.ask())[0] == "certificate_held"

    run(story)


def test_advice_without_room_in_the_message_rate_evaluates_and_records_nothing() -> None:
    """The question is a message: the third within the window is not asked of the scope."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(message_rate={"count_max": 2, "window_s": 60}))
        desk = desk_of(world)
        await desk.advise("bot", order())
        last = await desk.advise("bot", order(quantity="180000"))
        assert said(last) == ["exceeds_scope_size", "message_rate_exceeded"]
        assert last.reasons[-1].observed == "3"
        before = world.log.journal.size
        refused = await desk.advise("bot", order())
        assert (refused.would_pass, refused.evaluated) == (False, False)
        assert [(str(r.code), r.limit, r.observed, r.unit) for r in refused.reasons] == [
            ("message_rate_exceeded", "2", "3", "messages")
        ]
        assert (await desk.advise("bot", b"no order")).reasons == refused.reasons
        assert world.log.journal.size == before
        world.clock.advance(60)
        world.quote()
        assert (await desk.advise("bot", order())).would_pass

    run(story)


def test_advice_that_lost_its_room_while_rates_were_fetched_is_not_given() -> None:
    """Somebody else's message came in between: nothing is looked at beyond the rate."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(message_rate={"count_max": 1, "window_s": 60}))
        inner = world.rates.quotations

        async def slow(pairs: tuple[str, ...]) -> Any:
            quotations = await inner(pairs)
            world.log.state.agents["bot"].messages.append(world.clock.now_ns())
            return quotations

        rates: Any = world.rates
        rates.quotations = slow
        advice = await desk_of(world).advise("bot", order())
        assert (advice.evaluated, found(world, Advised)) == (False, [])

    run(story)


@pytest.mark.parametrize(
    ("body", "agent", "code"),
    [(b"no order", "bot", "malformed_order"), (order(), "stranger", "agent_not_active")],
)
def test_advice_on_no_order_or_for_nobody_is_refused_and_recorded(
    body: bytes, agent: str, code: str
) -> None:
    """One reason; the digest of what came is in the log."""

    async def story() -> None:
        world = await GateWorld.start()
        advice = await desk_of(world).advise(agent, body)
        assert (said(advice), advice.would_pass) == ([code], False)
        (entry,) = found(world, Advised)
        assert (entry.body_sha256, entry.reasons) == (sha256_hex(body), (code,))

    run(story)


def test_advice_on_a_cancel_asks_what_a_cancel_is_asked() -> None:
    """Whether the order is there and the id is new."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask()
        for orig, expected in (("order-1", []), ("gone", ["unknown_order"])):
            body = canonical(
                {"action": "cancel", "client_order_id": "c", "orig_client_order_id": orig}
            )
            assert said(await desk_of(world).advise("bot", body)) == expected

    run(story)


def test_advice_with_a_failed_log_is_unavailable() -> None:
    """A refusal that was not recorded; nothing else is said."""

    async def story() -> None:
        world = await GateWorld.start()
        journal: Any = world.log.journal
        journal.failed = StorageFailed("gone")
        advice = await desk_of(world).advise("bot", order())
        assert (said(advice), advice.evaluated) == (["control_unavailable"], False)

    run(story)


def test_advice_records_the_rates_that_it_looked_at() -> None:
    """What was used is in the log before the advice."""

    async def story() -> None:
        world = await GateWorld.start()
        await desk_of(world).advise("bot", order())
        (rate,) = found(world, RateObserved)
        assert rate.market == "EUR/USD"

    run(story)


Breaks = tuple[str, dict[str, Any], dict[str, Any]]
SCOPE: list[Breaks] = [
    ("action_not_permitted", {"actions": ["amend", "cancel"]}, {}),
    ("market_not_allowed", {"markets": ["GBP/EUR"]}, {}),
    ("rate_missing", {"reference_rates__sources": ["OTHER"]}, {}),
    ("exceeds_scope_size", {"order_notional_max": "1"}, {}),
    ("exceeds_quantity", {"order_quantity_max": []}, {}),
    ("price_outside_collar",
     {"price_collar": {"deviation_max": "0.01", "range_max": "1", "window_s": 60}},
     {"price": "2"}),
    ("daily_volume_cap_exceeded", {"daily_notional_max": "1"}, {}),
    ("order_count_exceeded", {"daily_order_count_max": 0}, {}),
    ("message_rate_exceeded", {"message_rate": {"count_max": 1, "window_s": 60}}, {}),
    ("position_limit_exceeded", {"position_notional_max": "1"}, {}),
    ("venue_not_allowed", {}, {"venue": "OTHER"}),
    ("counterparty_not_allowed", {"counterparties": ["A"]}, {}),
    ("concentration_exceeded",
     {"concentration": {"share_max": "0.5", "window_s": 60, "notional_min": "1"}}, {}),
    ("outside_trading_hours", {"trading_hours__end": "08:30"}, {}),
    ("region_not_allowed", {"regions": ["elsewhere"]}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "scope", "changes"), SCOPE, ids=[row[0] for row in SCOPE])
def test_advice_looks_at_each_limit_of_the_scope(
    code: str, scope: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Each check of the scope that refuses an order refuses it here."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(**scope))
        assert said(await desk_of(world).advise("bot", order(**changes))) == [code]

    run(story)


def test_advice_checks_are_those_of_orders_but_for_status_and_scores() -> None:
    """What is added to the checks is either told beforehand or named here."""
    not_told = {
        "certificate", "policy_in_force", "review", "environment", "lease", "message_rate",
        "throttle", "failures", "baseline", "freshness", "anomaly", "circuit_breaker",
        "reconciled", "unlatched", "clock", "history",
    }  # fmt: skip
    name: Callable[[Any], str] = lambda check: str(check.__name__)  # noqa: E731 - one word below
    of_orders = [name(check) for check in decide.CHECKS if name(check) not in not_told]
    advised = [name(check) for check in decide.ADVICE_CHECKS if name(check) != "_next_message"]
    assert of_orders == advised
