# SPDX-License-Identifier: Apache-2.0
"""Orders as a bot asks them: parsed once, into closed types (docs/spec/order.md).

After :func:`parse_order` nothing is text that could surprise: field names are known, patterns hold,
amounts are exact and positive. Everything else is ``MalformedInput``, which the gate records as a
refusal. What depends on state or policy is not decided here but by the checks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from sekisho.core import terms
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import MalformedInput

ORDER_BYTES_MAX = 8_192
"""Longest order in bytes; a longer body is malformed before it is looked into."""

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["day", "gtc", "ioc", "fok"]


class DecisionContext(
    msgspec.Struct,
    gc=False,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """What the agent says of how it decided: digests only, asserted by the agent, never scored."""

    model_sha256: str | UnsetType = UNSET
    prompt_sha256: str | UnsetType = UNSET
    inputs_sha256: str | UnsetType = UNSET
    reason_sha256: str | UnsetType = UNSET


class NewOrder(
    msgspec.Struct,
    gc=False,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="action",
    tag="new",
):
    """FIX NewOrderSingle (35=D). ``currency`` (15) says which leg ``quantity`` (38) counts."""

    client_order_id: str
    market: str
    side: Side
    order_type: OrderType
    quantity: str
    currency: str
    time_in_force: TimeInForce
    venue: str
    account: str
    price: str | UnsetType = UNSET
    counterparty: str | UnsetType = UNSET
    decision_context: DecisionContext | UnsetType = UNSET


class AmendOrder(
    msgspec.Struct,
    gc=False,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="action",
    tag="amend",
):
    """FIX OrderCancelReplaceRequest (35=G): a new total quantity and, for a limit order, a
    price.
    """

    client_order_id: str
    orig_client_order_id: str
    quantity: str
    price: str | UnsetType = UNSET
    decision_context: DecisionContext | UnsetType = UNSET


class CancelOrder(
    msgspec.Struct,
    gc=False,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="action",
    tag="cancel",
):
    """FIX OrderCancelRequest (35=F)."""

    client_order_id: str
    orig_client_order_id: str


Order = NewOrder | AmendOrder | CancelOrder
_FIELDS: dict[str, type[NewOrder | AmendOrder | CancelOrder]] = {
    "new": NewOrder,
    "amend": AmendOrder,
    "cancel": CancelOrder,
}
_OBJECTS_MAX = 2
_NAMED = re.compile(r"`(?:\$\.)?([^`]+)`\Z")
_DIGESTS = ("model_sha256", "prompt_sha256", "inputs_sha256", "reason_sha256")


def parse_order(body: bytes) -> Order:
    """Read one order from the bytes that a bot sent.

    Raises:
        MalformedInput: anything that docs/spec/order.md does not allow; ``where`` names the field.
    """
    if len(body) > ORDER_BYTES_MAX:
        raise MalformedInput(f"an order has at most {ORDER_BYTES_MAX} bytes, this has {len(body)}")
    order = read_compact(body)
    if order is None:
        order = _read(body)
    _check_fields(order)
    return order


def read_compact(body: bytes) -> Order | None:
    """The order of a body without blanks and escapes, in a fifth of the time; None for any other.

    The bytes that are written from what was read are the bytes that came: so nothing was read
    twice, left out or taken for something else. What is wrong with any other body :func:`_read`
    says.
    """
    if body.count(b"{") > _OBJECTS_MAX or b"[" in body:  # nothing that could be nested deeply
        return None
    try:
        plain = msgspec.json.decode(body)
        if msgspec.json.encode(plain) != body:
            return None
        return msgspec.convert(plain, _FIELDS[plain["action"]])
    except (msgspec.MsgspecError, LookupError, TypeError, UnicodeError):
        return None


def _read(body: bytes) -> Order:
    plain = parse_plain(body, numbers=False)
    if not isinstance(plain, dict):
        raise MalformedInput("an order is a JSON object")
    action = plain.get("action")
    if not isinstance(action, str) or action not in _FIELDS:
        raise MalformedInput('action: one of "new", "amend", "cancel" is needed', "action")
    try:
        return msgspec.convert(plain, _FIELDS[action])
    except msgspec.ValidationError as error:
        raise MalformedInput(f"{error}", _where(str(error))) from error


@lru_cache(maxsize=256)
def order_digest(order: Order) -> str:
    """SHA-256 of the canonical order, hexadecimal: what a repeated ``client_order_id`` must
    equal. Whoever takes an order and whoever folds its decision ask for the same one.
    """
    return sha256_hex(canonical(order))


@lru_cache(maxsize=256)
def content_digest(order: NewOrder) -> str:
    """The same without ``client_order_id`` and ``decision_context``: what ``repeated_order``
    counts. Deciding and folding ask for the same one.
    """
    plain: dict[str, Any] = msgspec.to_builtins(order)
    plain.pop("client_order_id")
    plain.pop("decision_context", None)
    return sha256_hex(canonical(plain))


def _where(message: str) -> str:
    """The path in a msgspec message (``… - at `$.quantity```), or the field that it names."""
    match = _NAMED.search(message)
    return "" if match is None else match[1]


def _match(pattern: Any, text: str, where: str, example: str) -> None:
    if pattern.fullmatch(text) is None:
        raise MalformedInput(f"{where}: {text[:48]!r} is not like {example!r}", where)


def _positive(text: str, where: str) -> None:
    if parse_amount(text, where) == 0:
        raise MalformedInput(f"{where}: must be above zero", where)


def _check_fields(order: Order) -> None:
    _match(terms.CLIENT_ORDER_ID, order.client_order_id, "client_order_id", "order-0001")
    if not isinstance(order, NewOrder):
        _match(terms.CLIENT_ORDER_ID, order.orig_client_order_id, "orig_client_order_id", "order-1")
        if order.orig_client_order_id == order.client_order_id:
            raise MalformedInput(
                "client_order_id: a request has an id of its own, other than the order it is about",
                "client_order_id",
            )
    if isinstance(order, CancelOrder):
        return
    _positive(order.quantity, "quantity")
    if order.price is not UNSET:
        _positive(order.price, "price")
    if order.decision_context is not UNSET:
        _check_context(order.decision_context)
    if isinstance(order, NewOrder):
        _check_new(order)


def _check_context(context: DecisionContext) -> None:
    for name in _DIGESTS:
        value = getattr(context, name)
        if value is not UNSET and not (
            len(value) == 64 and all(digit in "0123456789abcdef" for digit in value)
        ):
            where = f"decision_context.{name}"
            raise MalformedInput(f"{where}: 64 lower-case hexadecimal digits are needed", where)


def _check_new(order: NewOrder) -> None:
    _match(terms.MARKET, order.market, "market", "EUR/USD")
    _match(terms.NAME, order.venue, "venue", "PAPER")
    _match(terms.NAME, order.account, "account", "main")
    base, quote = order.market.split("/")
    if base == quote:
        raise MalformedInput(f"market: {order.market} has the same currency twice", "market")
    if order.currency not in (base, quote):
        raise MalformedInput(
            f"currency: {order.currency[:48]!r} is neither leg of {order.market}", "currency"
        )
    if order.counterparty is not UNSET:
        _match(terms.NAME, order.counterparty, "counterparty", "KRAKEN")
    if order.order_type == "limit" and order.price is UNSET:
        raise MalformedInput("price: a limit order needs one", "price")
    if order.order_type == "market" and order.price is not UNSET:
        raise MalformedInput("price: a market order has none", "price")
