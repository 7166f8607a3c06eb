# SPDX-License-Identifier: Apache-2.0
"""The Kraken-shaped front over a gate that is told what to answer, served on loopback."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import httpx2

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps.kraken.history import OrderHistory
from sekisho.apps.kraken.keys import BotKey, BotKeys
from sekisho.apps.kraken.translation import Route
from sekisho.apps.kraken_front import KrakenFront, kraken_application
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.events import Decision, Execution, PermitSigned
from sekisho.core.gate.order import parse_order
from sekisho.core.kraken import PairTable, plain_pair, signature
from sekisho.core.terms import Code, Reason, parse_instant
from sekisho.services.gatekeeper import Answer

KEY: Final = "bot-1"
SECRET: Final = bytes(range(64))
SECRET_TEXT: Final = base64.b64encode(SECRET).decode("ascii")
AGENT: Final = "fx"
AT: Final = "2026-05-15T09:15:00.000000000Z"
PAIRS: Final = PairTable([plain_pair("EUR/USD"), plain_pair("EUR/GBP")])
OPEN: Final = Answer(kind="permitted", decision=7, order_state="open")


def refused(*codes: Code) -> Answer:
    """A refusal for these reasons."""
    reasons = tuple(Reason(code, "1", "2", "EUR") for code in codes)
    return Answer(kind="refused", decision=7, reasons=reasons)


class ToldGate:
    """Answers as it is told, and keeps the bodies; a body that is no order is refused as one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.bodies: list[tuple[str, bytes]] = []
        self.clock = SteppedClock(parse_instant(AT))
        self.history = OrderHistory(PAIRS)
        self.rates = StaticRates(self.clock)
        self.rates.set("EUR/USD", "1.1648", "1.165")
        self.missing: list[str] = []
        route = Route(venue="PAPER", account="main")
        self.keys = BotKeys([BotKey(key=KEY, secret=SECRET, agent=AGENT, route=route)])
        self.front = KrakenFront(
            keys=self.keys,
            pairs=PAIRS,
            submit=self.submit,
            history=self.history,
            clock=self.clock,
            rates=self.rates,
            missing=lambda: self.missing,
        )
        self.app = kraken_application(self.front)
        self._entries = 0
        self._nonce = 0

    async def submit(self, agent: str, body: bytes) -> Answer:
        self.bodies.append((agent, body))
        try:
            parse_order(body)
        except MalformedInput as error:
            reason = Reason(Code.MALFORMED_ORDER, "", str(error), "")
            return Answer(kind="refused", decision=8, reasons=(reason,))
        return self.answers.pop(0) if self.answers else OPEN

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The bodies, read."""
        return [json.loads(body) for _, body in self.bodies]

    # -- the log -------------------------------------------------------------------------------

    def permit(self, **order: str) -> int:
        """Log a permitted order of the agent; the entry's index."""
        fields = {
            "action": "new",
            "client_order_id": "o-1",
            "market": "EUR/USD",
            "side": "buy",
            "order_type": "limit",
            "quantity": "1000",
            "currency": "EUR",
            "price": "1.08",
            "time_in_force": "gtc",
            "venue": "PAPER",
            "account": "main",
        }
        if order.get("action") == "amend":
            fields = {}
        entry = Decision(
            at=AT, agent=AGENT, order=fields | order, body_sha256=sha256_hex(b""), body_bytes=0,
            state=0, monotonic="0", verdict="permitted", reasons=(), notional="", before=None,
            after=None, scores=None, rates={}, certificate_sha256="", policy_sha256="", epoch=0,
        )  # fmt: skip
        return self.log(entry)

    def report(self, kind: Any, name: str = "o-1", **fields: str) -> int:
        """Log a report of the venue."""
        told = {
            "venue_order_id": "V-1", "exec_id": f"E-{self._entries}", "last_quantity": "0",
            "last_price": "0", "cum_quantity": "0", "leaves_quantity": "0",
            "counterparty": "PAPER", "reason": "", "transact_at": AT,
        } | fields  # fmt: skip
        entry = Execution(
            at=AT, agent=AGENT, venue="PAPER", client_order_id=name, exec_type=kind, **told
        )
        return self.log(entry)

    def signed(self, decision: int) -> int:
        """Log a signature."""
        return self.log(PermitSigned(at=AT, agent=AGENT, decision=decision, permit=""))

    def log(self, entry: Any) -> int:
        """Feed the history."""
        self.history.apply(self._entries, entry)
        self._entries += 1
        return self._entries - 1

    # -- asking --------------------------------------------------------------------------------

    async def ask(self, method: str, form: dict[str, str] | bytes | None = None) -> dict[str, Any]:
        """One request with the bot's key, well signed."""
        self._nonce += 1
        nonce = str(self._nonce)
        body = form if isinstance(form, bytes) else urlencode({"nonce": nonce} | (form or {}))
        if isinstance(form, bytes):
            body = b"nonce=" + nonce.encode() + form
        return await self.send(method, nonce, body if isinstance(body, bytes) else body.encode())

    async def send(
        self, method: str, nonce: str, body: bytes, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """One request as it is; the signature is good for nonce and body unless replaced."""
        path = f"/0/private/{method}"
        sent = {"API-Key": KEY, "API-Sign": signature(path, nonce, body, SECRET)}
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
            answer = await client.post(path, content=body, headers=sent | (headers or {}))
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """On loopback; its base address."""
        serving = await serve(self.app, [Listener("127.0.0.1:0")])
        try:
            yield f"http://{serving.addresses[0]}"
        finally:
            await serving.close()


def ccxt_options(address: str, key: str = KEY, secret: str = SECRET_TEXT) -> dict[str, Any]:
    """What a bot's configuration changes: addresses and key pair, nothing else."""
    return {
        "apiKey": key,
        "secret": secret,
        "urls": {"api": {"public": address, "private": address}},
        "enableRateLimit": False,
    }
