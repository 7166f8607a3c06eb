# SPDX-License-Identifier: Apache-2.0
"""Forms of Kraken's private REST into orders of the gate (docs/spec/kraken.md, section 2.2).

Every form becomes a body for the gate, so that what cannot be translated is refused *and* recorded
there, by the gate's own parser. What has no exact translation goes into the body under
``kraken.NAME``: a field that no order has. Nothing is refused here, and nothing is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.kraken import TIME_IN_FORCE, Fields, KrakenPair, PairTable

FOREIGN: Final = "kraken."
Present = Callable[[str], tuple[str, str]]
"""An order's name → its present id and quantity; the name itself and ``""`` when not known."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate's configuration says of a bot's orders, and no request can change."""

    venue: str
    account: str


def request_id(key: str, nonce: str, about: str = "") -> str:
    """The id of a request that has none of its own: 32 hexadecimal digits of key and nonce.

    The same signed request always gets the same id, also after a restart: replayed, it is the same
    order or cancel, never a second one.
    """
    return hashlib.sha256(f"{key}\n{nonce}\n{about}".encode()).hexdigest()[:32]


def new_order(fields: Fields, own_id: str, route: Route, pairs: PairTable) -> bytes:
    """``AddOrder``."""
    given = _Form(fields)
    body: dict[str, Any] = {
        "action": "new",
        "client_order_id": given.take("cl_ord_id", own_id),
        "side": given.take("type", ""),
        "quantity": given.take("volume", ""),
        "venue": route.venue,
        "account": route.account,
        "time_in_force": TIME_IN_FORCE["GTC"],
    }
    price = given.take("price")
    if price is not None:
        body["price"] = price
    pair = given.translate("pair", pairs.named)
    if isinstance(pair, KrakenPair):
        body |= {"market": pair.market, "currency": pair.market.split("/")[0]}
    kind = given.translate("ordertype", {"limit": "limit", "market": "market"}.get)
    if kind is not None:
        body["order_type"] = kind
    in_force = given.translate("timeinforce", TIME_IN_FORCE.get)
    if in_force is not None:
        body["time_in_force"] = in_force
    return canonical(body | given.foreign())


def amendment(fields: Fields, own_id: str, present: Present) -> bytes:
    """``AmendOrder``: of the order as it is now; what it does not name stays as it is."""
    given = _Form(fields)
    now, quantity = present(given.one_of("cl_ord_id", "txid"))
    body: dict[str, Any] = {
        "action": "amend",
        "client_order_id": own_id,
        "orig_client_order_id": now,
        "quantity": given.take("order_qty", quantity),
    }
    price = given.take("limit_price")
    if price is not None:
        body["price"] = price
    return canonical(body | given.foreign())


def cancel(fields: Fields, own_id: str, present: Present) -> bytes:
    """``CancelOrder``, by either name."""
    given = _Form(fields)
    now, _ = present(given.one_of("cl_ord_id", "txid"))
    return canonical(cancel_body(own_id, now) | given.foreign())


def cancel_body(own_id: str, order: str) -> dict[str, Any]:
    """A cancel of the order of this id."""
    return {"action": "cancel", "client_order_id": own_id, "orig_client_order_id": order}


def untranslatable(method: str, fields: Fields) -> bytes:
    """A request for something that the gate does not do: a body that is no order."""
    return canonical({"action": f"kraken {method}"} | _Form(fields).foreign())


class _Form:
    """The fields of a form, taken one by one; what is left is foreign."""

    def __init__(self, fields: Fields) -> None:
        self._left: dict[str, str] = {}
        self._twice: dict[str, str] = {}
        for name, value in fields:
            if name == "nonce":
                continue
            (self._twice if name in self._left else self._left)[name] = value

    def take(self, name: str, otherwise: str | None = None) -> str | None:
        return self._left.pop(name, otherwise)

    def one_of(self, *names: str) -> str:
        """The first of these that is there; another one of them stays, and is foreign."""
        for name in names:
            if name in self._left:
                return self._left.pop(name)
        return ""

    def translate(self, name: str, known: Callable[[str], Any]) -> Any:
        """What ``known`` makes of the field; None without one, or when it stays as foreign."""
        value = self._left.get(name)
        found = None if value is None else known(value)
        if found is not None:
            del self._left[name]
        return found

    def foreign(self) -> dict[str, str]:
        left = {_foreign_name(name): value for name, value in self._left.items()}
        return left | {_foreign_name(f"twice.{name}"): self._twice[name] for name in self._twice}


def _foreign_name(name: str) -> str:
    return FOREIGN + (name[:48] if name.isascii() and name.isprintable() else "unreadable")
