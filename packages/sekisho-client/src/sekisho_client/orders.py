# SPDX-License-Identifier: Apache-2.0
"""Orders as a gate takes them: exact bytes from exact values (docs/spec/order.md).

A float never becomes an amount here: it would be another number. The gate checks everything again;
this module only spares a bot the refusals that it can foresee. Orders are frozen: asked again, one
is the same bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from decimal import Decimal

ORDER_BYTES_MAX = 8_192
"""Longest order that a gate takes, in bytes."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,8})?")
_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,35}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Amount = str | int | Decimal
_Fields = dict[str, str | dict[str, str]]


class OrderError(ValueError):
    """A value that no gate takes; the message says what is wanted."""


def amount(value: Amount) -> str:
    """An amount as the wire has it.

    Args:
        value: text of digits with at most 18 before and 8 after the point, an int, or a Decimal.

    Raises:
        OrderError: a float, a bool, an exponent, a sign, NaN, too many digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise OrderError(
            f"{value!r} is not an exact amount: give text, an int or a Decimal, never a float"
        )
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if _AMOUNT.fullmatch(text) is None:
        raise OrderError(
            f"{text[:48]!r} is not an amount: digits, at most 18 before and 8 after the point"
        )
    return text


def order_id(value: object) -> str:
    """A client order id as it is.

    Raises:
        OrderError: other than 1 to 36 letters, digits and ``._:-``, beginning with one of the first
            two.
    """
    if not isinstance(value, str) or _ORDER_ID.fullmatch(value) is None:
        raise OrderError(
            f"{str(value)[:48]!r} is no order id: 1 to 36 of A-Z a-z 0-9 . _ : -, beginning with a"
            " letter or digit"
        )
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionDigests:
    """What the bot says of how it decided: SHA-256 in lower-case hexadecimal, each optional.

    The gate records it as asserted by the bot and computes nothing from it.
    """

    model_sha256: str | None = None
    prompt_sha256: str | None = None
    inputs_sha256: str | None = None
    reason_sha256: str | None = None

    def fields(self) -> dict[str, str]:
        """Those that were given. Raises OrderError for one that is no digest."""
        found = {name: getattr(self, name) for name in self.__slots__}
        given = {name: value for name, value in found.items() if value is not None}
        for name, value in given.items():
            if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
                raise OrderError(f"{name}: 64 lower-case hexadecimal digits are wanted")
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOrder:
    """A new order at whatever the market gives. Amounts are text, int or Decimal.

    ``market`` is like ``EUR/USD``, ``side`` ``buy`` or ``sell`` of its first currency,
    ``currency`` the leg that ``quantity`` counts, ``time_in_force`` ``day``, ``gtc``, ``ioc`` or
    ``fok``.
    """

    client_order_id: str
    market: str
    side: str
    quantity: Amount
    currency: str
    venue: str
    account: str
    time_in_force: str = "day"
    counterparty: str | None = None
    decision_context: DecisionDigests | None = None

    def body(self) -> bytes:
        """The order as it is sent. Raises OrderError for what no gate takes."""
        return _encode(_new_fields(self, "market"))

    def at(self, price: Amount) -> LimitOrder:
        """The same as a limit order."""
        given = {one.name: getattr(self, one.name) for one in fields(MarketOrder)}
        return LimitOrder(**given, price=price)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOrder(MarketOrder):
    """A new order at ``price`` or better: second currency per unit of the first."""

    price: Amount

    def body(self) -> bytes:
        """The order as it is sent. Raises OrderError for what no gate takes."""
        return _encode(_new_fields(self, "limit") | {"price": _positive("price", self.price)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A new *total* quantity, what is filled included, and for a limit order perhaps a new price.

    ``client_order_id`` is the amendment's own and becomes the order's when the venue takes it.
    """

    client_order_id: str
    orig_client_order_id: str
    quantity: Amount
    price: Amount | None = None
    decision_context: DecisionDigests | None = None

    def body(self) -> bytes:
        """The amendment as it is sent. Raises OrderError for what no gate takes."""
        found = _about("amend", self.client_order_id, self.orig_client_order_id)
        found["quantity"] = _positive("quantity", self.quantity)
        if self.price is not None:
            found["price"] = _positive("price", self.price)
        _add_context(found, self.decision_context)
        return _encode(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Cancel a resting order; always taken, also while the agent is stopped."""

    client_order_id: str
    orig_client_order_id: str

    def body(self) -> bytes:
        """The cancellation as it is sent. Raises OrderError for what no gate takes."""
        return _encode(_about("cancel", self.client_order_id, self.orig_client_order_id))


Order = LimitOrder | MarketOrder | Amendment | Cancellation


def new_order(
    client_order_id: str,
    *,
    market: str,
    side: str,
    quantity: Amount,
    currency: str,
    venue: str,
    account: str,
    price: Amount | None = None,
    time_in_force: str = "day",
    counterparty: str | None = None,
) -> bytes:
    """A new order's bytes; with a price a limit order, without one a market order.

    Raises:
        OrderError: a value that no gate takes.
    """
    plain = MarketOrder(
        client_order_id=client_order_id,
        market=market,
        side=side,
        quantity=quantity,
        currency=currency,
        venue=venue,
        account=account,
        time_in_force=time_in_force,
        counterparty=counterparty,
    )
    return (plain if price is None else plain.at(price)).body()


def amend_order(
    client_order_id: str,
    orig_client_order_id: str,
    *,
    quantity: Amount,
    price: Amount | None = None,
) -> bytes:
    """An amendment's bytes. Raises OrderError."""
    return Amendment(
        client_order_id=client_order_id,
        orig_client_order_id=orig_client_order_id,
        quantity=quantity,
        price=price,
    ).body()


def cancel_order(client_order_id: str, orig_client_order_id: str) -> bytes:
    """A cancellation's bytes. Raises OrderError."""
    return Cancellation(
        client_order_id=client_order_id, orig_client_order_id=orig_client_order_id
    ).body()


def read_order(body: bytes) -> dict[str, object]:
    """The fields of an order that is about to be sent.

    Raises:
        OrderError: too long, or no JSON object with action and id: not made by this module.
    """
    if len(body) > ORDER_BYTES_MAX:
        raise OrderError(f"an order has at most {ORDER_BYTES_MAX} bytes, this has {len(body)}")
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise OrderError(f"an order is a JSON object ({error})") from error
    if not isinstance(found, dict) or found.get("action") not in {"new", "amend", "cancel"}:
        raise OrderError("an order is a JSON object whose action is new, amend or cancel")
    order_id(found.get("client_order_id", ""))
    return found


def _new_fields(order: MarketOrder, order_type: str) -> _Fields:
    found: _Fields = {
        "action": "new",
        "client_order_id": order_id(order.client_order_id),
        "market": order.market,
        "side": order.side,
        "order_type": order_type,
        "quantity": _positive("quantity", order.quantity),
        "currency": order.currency,
        "time_in_force": order.time_in_force,
        "venue": order.venue,
        "account": order.account,
    }
    if order.counterparty is not None:
        found["counterparty"] = order.counterparty
    for name, value in found.items():
        if not isinstance(value, str):
            raise OrderError(f"{name}: text is wanted, not {value!r}")
    _add_context(found, order.decision_context)
    return found


def _about(action: str, own: str, other: str) -> _Fields:
    if own == other:
        raise OrderError("a request has an id of its own, other than the order that it is about")
    return {
        "action": action,
        "client_order_id": order_id(own),
        "orig_client_order_id": order_id(other),
    }


def _add_context(found: _Fields, context: DecisionDigests | None) -> None:
    if context is not None:
        found["decision_context"] = context.fields()


def _positive(name: str, value: Amount) -> str:
    text = amount(value)
    if not text.strip("0."):
        raise OrderError(f"{name}: must be above zero")
    return text


def _encode(found: _Fields) -> bytes:
    """Sorted, so that asking again sends the same bytes."""
    body = json.dumps(found, sort_keys=True, separators=(",", ":")).encode("utf-8")
    if len(body) > ORDER_BYTES_MAX:
        raise OrderError(f"an order has at most {ORDER_BYTES_MAX} bytes, this has {len(body)}")
    return body
