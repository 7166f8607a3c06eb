# SPDX-License-Identifier: Apache-2.0
"""Orders for measurements: for a gate as JSON and as FIX, and with permits of their own."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from _firm import Firm, unsigned_part

from sekisho.adapters.signers import software
from sekisho.adapters.venues.fix_reports import order_fields
from sekisho.adapters.venues.paper_fix import PERMIT_TAG
from sekisho.core.encoding import canonical
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import Permit, assemble, permit_id, signing_input
from sekisho.core.terms import NS, format_instant


def order(venue: str) -> Callable[[str, int], bytes]:
    """Limit orders that trade at once, buying and selling in turn."""

    def made(name: str, number: int) -> bytes:
        buys = number % 2
        return canonical(
            {
                "action": "new",
                "client_order_id": name,
                "market": "EUR/USD",
                "side": "buy" if buys else "sell",
                "order_type": "limit",
                "quantity": f"{10000 + number % 977}",
                "currency": "EUR",
                "price": f"1.0{9 if buys else 8}{number % 39 + 10}",
                "time_in_force": "day",
                "venue": venue,
                "account": "main",
            }
        )

    return made


def fix_order(venue: str) -> Callable[[str, int], list[tuple[int, str]]]:
    """The same as a NewOrderSingle for the gate."""
    plain = order(venue)

    def made(name: str, number: int) -> list[tuple[int, str]]:
        return [*_fields(plain(name, number)), (100, venue)]

    return made


def _fields(body: bytes) -> list[tuple[int, str]]:
    read = parse_order(body)
    assert isinstance(read, NewOrder)
    return [(int(tag), text) for tag, text in order_fields(read, time.time_ns())]


class OwnPermits:
    """Permits as a gate makes them, signed here: what a bot with the agent's key could send."""

    def __init__(self, firm: Firm, agent: str, template: str) -> None:
        passphrase = (firm.home / "keys/passphrase").read_bytes().strip()
        path = firm.home / "keys" / "agents" / f"{agent}-1.key"
        self._signer = software.load(path, passphrase)
        self._terms = unsigned_part(template)
        self._order = order("DIRECT")
        self._index = time.time_ns() // 1000

    def permit(self, name: str, number: int) -> str:
        """A permit for the order of this name."""
        self._index += 1
        now = time.time_ns()
        fields = self._terms | {
            "permit_id": permit_id(self._terms["log_origin"], self._index),
            "log_index": self._index,
            "venue": "DIRECT",
            "order": msgspec.json.decode(self._order(name, number)),
            "issued_at": format_instant(now),
            "expires_at": format_instant(now + 2 * NS),
        }
        message = signing_input(Permit(**fields))
        return assemble(message, self._signer.sign_blocking(message))

    def http(self, name: str, number: int) -> bytes:
        """The body of the permit protocol."""
        return canonical({"permit": self.permit(name, number)})

    def fix(self, name: str, number: int) -> list[tuple[int, str]]:
        """A NewOrderSingle with its permit."""
        permit = self.permit(name, number)
        return [*_fields(self._order(name, number)), (PERMIT_TAG, permit)]
