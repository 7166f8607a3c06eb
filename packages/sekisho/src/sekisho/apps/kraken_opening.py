# SPDX-License-Identifier: Apache-2.0
"""The Kraken-shaped front of a gate, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.applications import Starlette

from sekisho.apps.kraken.history import OrderHistory
from sekisho.apps.kraken.keys import BotKey, BotKeys
from sekisho.apps.kraken.translation import Route
from sekisho.apps.kraken_front import KrakenFront, Submit, kraken_application
from sekisho.core.kraken import PairTable, decode_secret, plain_pair
from sekisho.ports import Clock, RateSource
from sekisho.services.gatelog import GateLog


def open_kraken_front(
    callers: Iterable[tuple[str, str, str]],
    route: Route,
    markets: Iterable[str],
    submit: Submit,
    log: GateLog,
    clock: Clock,
    rates: RateSource | None,
    missing: Callable[[], list[str]],
    refused: Callable[[], None],
) -> Starlette:
    """The ASGI application; the end of the log is read at once.

    Args:
        callers: agent, key, secret (base64) of each bot.
        route: venue and account of all of them.
        markets: what can be traded, as ``EUR/USD``.
        submit: how a body is handed to the gate, for an agent.
        log: the gate's.
        clock: the gate's.
        rates: for ``Ticker``.
        missing: what the gate lacks to permit.
        refused: hears of each request whose signature does not hold.

    Raises:
        ConfigurationInvalid: a secret, key or market that cannot be used.
    """
    keys = BotKeys(
        [
            BotKey(key=key, secret=decode_secret(secret), agent=agent, route=route)
            for agent, key, secret in callers
        ]
    )
    pairs = PairTable(plain_pair(market) for market in markets)
    history = OrderHistory(pairs)
    history.begin(log)
    front = KrakenFront(
        keys=keys,
        pairs=pairs,
        submit=submit,
        history=history,
        clock=clock,
        refresh=lambda: history.catch_up(log.journal.entries),
        rates=rates,
        missing=missing,
        refused=refused,
    )
    return kraken_application(front)
