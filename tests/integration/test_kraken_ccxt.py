# SPDX-License-Identifier: Apache-2.0
"""Unmodified ccxt against the Kraken-shaped front and against the paper venue's Kraken side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sekisho.apps.kraken.translation import Route
from sekisho.apps.kraken_opening import open_kraken_front
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.kraken import signature
from sekisho.core.terms import Code
from sekisho.services.gatekeeper import Answer
from tests.gate_world import GateWorld
from tests.kraken_doubles import KEY as VENUE_KEY
from tests.kraken_doubles import SECRET_TEXT as VENUE_SECRET
from tests.kraken_doubles import kraken_at
from tests.kraken_front_world import KEY, SECRET, SECRET_TEXT, ToldGate, ccxt_options, refused
from tests.paper_doubles import Desk

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: ./dev test --interop")

LOCKED = "AccountSuspended"
DENIED = "PermissionDenied"
EXPECTED = dict.fromkeys(Code, "InvalidOrder") | {
    Code.AGENT_NOT_ACTIVE: LOCKED,
    Code.CERTIFICATE_HELD: LOCKED,
    Code.CERTIFICATE_REVOKED: LOCKED,
    Code.CIRCUIT_BREAKER_ACTIVE: LOCKED,
    Code.EXECUTION_THROTTLE_LATCHED: LOCKED,
    Code.CONSECUTIVE_FAILURES_LATCHED: LOCKED,
    Code.CERTIFICATE_NOT_YET_VALID: DENIED,
    Code.CERTIFICATE_EXPIRED: DENIED,
    Code.POLICY_NOT_IN_FORCE: DENIED,
    Code.REVIEW_OVERDUE: DENIED,
    Code.ENVIRONMENT_MISMATCH: DENIED,
    Code.ACTION_NOT_PERMITTED: DENIED,
    Code.VENUE_NOT_ALLOWED: DENIED,
    Code.REGION_NOT_ALLOWED: DENIED,
    Code.BASELINE_MISSING: DENIED,
    Code.CONTROL_UNAVAILABLE: "ExchangeNotAvailable",
}


def with_bot(gate: ToldGate, story: Callable[[Any], Any]) -> Any:
    """Run a bot's code, as it is, in a thread of its own against the served front."""

    async def main() -> Any:
        async with gate.served() as address:
            bot = ccxt.kraken(ccxt_options(address))
            try:
                return await asyncio.to_thread(story, bot)
            finally:
                bot.session.close()

    return asyncio.run(main())


def test_ccxt_order_reaches_the_gate_exactly() -> None:
    """Amounts arrive as ccxt wrote them, the id is the bot's, venue and account are the gate's."""
    gate = ToldGate()

    def story(bot: Any) -> Any:
        return bot.create_order("EUR/USD", "limit", "buy", 1000.5, 1.085, {"clientOrderId": "o-1"})

    placed = with_bot(gate, story)
    assert [("fx", gate.orders[0])] == [
        (
            gate.bodies[0][0],
            {
                "action": "new",
                "client_order_id": "o-1",
                "market": "EUR/USD",
                "side": "buy",
                "order_type": "limit",
                "quantity": "1000.5",
                "currency": "EUR",
                "price": "1.085",
                "time_in_force": "gtc",
                "venue": "PAPER",
                "account": "main",
            },
        )
    ]
    assert ("o-1", "EUR/USD", "buy", 1000.5, 1.085) == (
        placed["id"], placed["symbol"], placed["side"], placed["amount"], placed["price"]
    )  # fmt: skip


def test_ccxt_order_life_is_followed() -> None:
    """Open orders, an amendment, a partial fill, a cancel: ccxt reads all of it."""
    gate = ToldGate()

    def story(bot: Any) -> None:
        gate.signed(gate.permit())
        assert [("o-1", "open", None)] == [
            (one["id"], one["status"], one["fee"]) for one in bot.fetch_open_orders()
        ]
        gate.report("new")
        amended = bot.edit_order("o-1", "EUR/USD", "limit", "buy", None, 1.09)
        amendment = gate.orders[-1]
        assert ("amend", "o-1", "1000", "1.09") == tuple(
            amendment[name] for name in ("action", "orig_client_order_id", "quantity", "price")
        )
        gate.permit(**amendment)
        gate.report("replaced", amendment["client_order_id"])
        gate.report("trade", amended["id"], last_quantity="400", last_price="1.09", exec_id="T-1")
        order = bot.fetch_order("o-1")
        assert (400, 600, 1.09, 1.09) == (
            order["filled"], order["remaining"], order["price"], order["average"]
        )  # fmt: skip
        trades = bot.fetch_my_trades("EUR/USD")
        assert [("T-1", "o-1", 400, 1.09)] == [
            (one["id"], one["order"], one["amount"], one["price"]) for one in trades
        ]
        assert trades == bot.fetch_order_trades("o-1", "EUR/USD", params={"trades": ["T-1"]})
        gate.answers = [Answer(kind="permitted", decision=9, order_state="closed")]
        bot.cancel_order("o-1")
        assert amendment["client_order_id"] == gate.orders[-1]["orig_client_order_id"]
        gate.report("canceled", amendment["client_order_id"])
        assert [] == bot.fetch_open_orders()
        assert ["canceled"] == [one["status"] for one in bot.fetch_closed_orders()]

    with_bot(gate, story)
    assert 2 == len(gate.bodies)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ccxt_signature_is_ours(kind: str) -> None:
    """ccxt's own signature of a request is what this code computes."""
    module = ccxt if kind == "sync" else pytest.importorskip("ccxt.async_support")
    exchange = module.kraken(ccxt_options("http://127.0.0.1:1"))
    for method, form in (("AddOrder", {"pair": "EURUSD", "price": "1.5"}), ("CancelAll", {})):
        made = exchange.sign(method, ["private"], "POST", form)
        body = made["body"].encode()
        nonce = body.split(b"&")[0].removeprefix(b"nonce=").decode()
        expected = signature(f"/0/private/{method}", nonce, body, SECRET)
        assert expected == made["headers"]["API-Sign"]


def test_ccxt_async_reaches_the_gate() -> None:
    """The asyncio flavour of ccxt is served alike."""
    module = pytest.importorskip("ccxt.async_support", reason="ccxt without aiohttp")
    gate = ToldGate()

    async def main() -> Any:
        async with gate.served() as address:
            bot = module.kraken(ccxt_options(address))
            try:
                return await bot.create_order("EUR/USD", "market", "sell", 12)
            finally:
                await bot.close()

    placed = asyncio.run(main())
    assert placed["id"] == gate.orders[0]["client_order_id"]
    assert ("market", "sell", "12") == tuple(
        gate.orders[0][name] for name in ("order_type", "side", "quantity")
    )


def test_ccxt_every_code_raises_what_is_not_retried() -> None:
    """Each refusal raises the class that the specification lists, with its code in the text."""
    gate, found = ToldGate(), {}

    def story(bot: Any) -> None:
        for code in Code:
            gate.answers = [refused(code)]
            with pytest.raises(ccxt.BaseError, match=f"EGate:{code}") as raised:
                bot.create_order("EUR/USD", "limit", "buy", 1, 1.1)
            found[code] = type(raised.value).__name__

    with_bot(gate, story)
    assert EXPECTED == found
    retried = {"ExchangeError", "OperationFailed", "NetworkError", "DDoSProtection"}
    assert not retried & set(found.values())


def test_ccxt_other_answers_raise_what_fits() -> None:
    """Withdrawn is over, unavailable may be tried again, unknown orders are not found."""
    gate, found = ToldGate(), []

    def place(bot: Any) -> Any:
        return bot.create_order("EUR/USD", "limit", "buy", 1, 1.1)

    def story(bot: Any) -> None:
        for answer, ask in (
            (Answer(kind="withdrawn", decision=1, detail="lease_expired"), place),
            (Answer(kind="withdrawn", decision=1, detail="certificate_held; destroyed"), place),
            (Answer(kind="unavailable", decision=-1), place),
            (refused(Code.UNKNOWN_ORDER), lambda bot: bot.cancel_order("o-1")),
            (refused(Code.UNKNOWN_ORDER), lambda bot: bot.edit_order("o", "EUR/USD", "limit",
                                                                     "buy", 1, 1)),
        ):  # fmt: skip
            gate.answers = [answer]
            with pytest.raises(ccxt.BaseError) as raised:
                ask(bot)
            found.append(type(raised.value).__name__)
        for refused_ask in (bot.fetch_balance, lambda: bot.cancel_all_orders_after(60_000)):
            with pytest.raises(ccxt.PermissionDenied):
                refused_ask()

    with_bot(gate, story)
    assert found == [
        "InvalidOrder", "AccountSuspended", "ExchangeNotAvailable", "OrderNotFound", "InvalidOrder"
    ]  # fmt: skip


def test_ccxt_possibly_issued_order_counts_as_placed() -> None:
    """Whoever is told of a failure places it again: an order of unknown fate is placed."""
    gate = ToldGate()
    gate.answers = [Answer(kind="possibly_issued", decision=1)]

    def story(bot: Any) -> Any:
        gate.permit()
        placed = bot.create_order("EUR/USD", "limit", "buy", 1, 1.1, {"clientOrderId": "o-1"})
        return placed["id"], bot.fetch_order("o-1")["info"]["status"]

    assert ("o-1", "pending") == with_bot(gate, story)


@pytest.mark.parametrize(
    "params",
    [
        {"leverage": 3},
        {"postOnly": True},
        {"reduceOnly": True},
        {"stopLossPrice": 1.05},
        {"trailingAmount": "0.01"},
        {"close": {"ordertype": "limit", "price": 1.2}},
        {"timeInForce": "GTD"},
        {"displayvol": "10"},
        {"userref": 7},
        {"validate": "true"},
        {"deadline": "2026-05-15T09:15:05Z"},
    ],
)
def test_ccxt_what_cannot_be_translated_is_refused_and_recorded(params: dict[str, Any]) -> None:
    """No option is dropped on the way: the order is refused, and the gate saw it."""
    gate = ToldGate()

    def story(bot: Any) -> None:
        with pytest.raises(ccxt.InvalidOrder, match="EGeneral:Invalid arguments"):
            bot.create_order("EUR/USD", "limit", "buy", 1, 1.1, params)

    with_bot(gate, story)
    assert 1 == len(gate.bodies)
    assert any(name.startswith("kraken.") for name in gate.orders[0])


def test_ccxt_other_key_and_other_secret_are_nobody() -> None:
    """Neither an unknown key nor another secret reaches the gate; ccxt says authentication."""
    gate = ToldGate()

    def story(bot: Any) -> None:
        bot.load_markets()
        key = bot.apiKey
        for name, value in (("apiKey", "bot-2"), ("secret", "QUJD" * 20)):
            bot.apiKey = key
            setattr(bot, name, value)
            with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid"):
                bot.create_order("EUR/USD", "limit", "buy", 1, 1.1)

    with_bot(gate, story)
    assert [] == gate.bodies


def test_ccxt_public_questions_are_answered() -> None:
    """Markets, status, time, ticker: enough for a bot to start."""
    gate = ToldGate()

    def story(bot: Any) -> None:
        assert ["EUR/GBP", "EUR/USD"] == sorted(bot.load_markets())
        assert gate.clock.now_ns() // 10**9 * 1000 == bot.fetch_time()
        ticker = bot.fetch_ticker("EUR/USD")
        assert (1.1648, 1.165, None) == (ticker["bid"], ticker["ask"], ticker["last"])
        assert "ok" == bot.fetch_status()["status"]
        gate.missing = ["no lease"]
        assert "maintenance" == bot.fetch_status()["status"]
        with pytest.raises(ccxt.PermissionDenied):
            bot.fetch_ohlcv("EUR/USD")

    with_bot(gate, story)


def test_ccxt_stolen_venue_key_without_a_permit_executes_nothing() -> None:
    """Whoever has the gate's venue key and no permit gets refusals, and no order."""
    desk = Desk()

    async def main() -> None:
        async with kraken_at(desk) as (_, address):
            thief = ccxt.kraken(ccxt_options(address, VENUE_KEY, VENUE_SECRET))
            for permit in ({}, {"permit": "a.b.c"}):
                with pytest.raises(ccxt.BadRequest):
                    await asyncio.to_thread(
                        thief.create_order, "EUR/USD", "limit", "buy", 10, 1.2, permit
                    )
            thief.session.close()

    asyncio.run(main())
    assert (0, ()) == desk.venue.reports_since(0)
    assert ["permit_malformed", "permit_malformed"] == [one.reason for one in desk.venue.rejections]


def test_ccxt_through_the_real_gate() -> None:
    """From the bot's call to the permit at the venue, and to each refusal in the gate's log."""

    async def main() -> GateWorld:
        world = await GateWorld.start()
        told = ToldGate()
        told.app = open_kraken_front(
            [("bot", KEY, SECRET_TEXT)],
            Route(venue="PAPER", account="main"),
            ["EUR/USD"],
            world.gate.submit,
            world.log,
            world.clock,
            world.rates,
            list,
            lambda: None,
        )
        async with told.served() as address:
            bot = ccxt.kraken(ccxt_options(address))
            await asyncio.to_thread(story, bot)
            bot.session.close()
        return world

    def story(bot: Any) -> None:
        placed = bot.create_order("EUR/USD", "limit", "buy", 1000, 1.08, {"clientOrderId": "o-1"})
        assert [(placed["id"], "open")] == [
            (one["id"], one["status"]) for one in bot.fetch_open_orders()
        ]
        amended = bot.edit_order("o-1", "EUR/USD", "limit", "buy", 2000, 1.07)
        assert 2000 == bot.fetch_order("o-1")["amount"] == bot.fetch_order(amended["id"])["amount"]
        bot.cancel_order("o-1")
        assert "canceled" == bot.fetch_order("o-1")["status"]
        for size, params, expected in (
            (30_000, {}, "exceeds_scope_size limit 25000"),
            (10, {"leverage": 2}, "malformed_order"),
            (11, {"clientOrderId": "o-1"}, "duplicate_order_id"),
        ):
            with pytest.raises(ccxt.InvalidOrder, match=expected):
                bot.create_order("EUR/USD", "limit", "buy", size, 1.08, params)

    world = asyncio.run(main())
    assert ["1000", "2000"] == [permit.order["quantity"] for permit in world.venue.permits]
    decided = [
        (entry.verdict, [str(reason.code) for reason in entry.reasons])
        for entry in (decode_gate_entry(data) for _, data in world.log.journal.entries())
        if isinstance(entry, Decision)
    ]
    assert [("permitted", [])] * 3 == decided[:3]
    assert [["exceeds_scope_size"], ["malformed_order"], ["duplicate_order_id"]] == [
        reasons for _, reasons in decided[3:]
    ]
