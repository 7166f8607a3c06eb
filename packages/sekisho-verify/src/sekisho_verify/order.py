# SPDX-License-Identifier: Apache-2.0
"""Orders as recorded in decisions, read strictly (docs/spec/order.md)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from sekisho_verify import canonical
from sekisho_verify.canonical import UNIT
from sekisho_verify.findings import VerificationFailed, require

_NEW = frozenset(
    "action client_order_id market side order_type quantity currency time_in_force venue "
    "account".split()
)
_AMEND = frozenset("action client_order_id orig_client_order_id quantity".split())
_CANCEL = frozenset("action client_order_id orig_client_order_id".split())
_CONTEXT = frozenset("model_sha256 prompt_sha256 inputs_sha256 reason_sha256".split())
_CLOSED = {
    "side": ("buy", "sell"),
    "order_type": ("limit", "market"),
    "time_in_force": ("day", "gtc", "ioc", "fok"),
}
_FORMS = {
    "client_order_id": "order_id",
    "orig_client_order_id": "order_id",
    "market": "market",
    "venue": "name",
    "account": "name",
    "counterparty": "name",
}


@dataclasses.dataclass(frozen=True)
class Order:
    """One order as asked. Fields that its action does not have are ""; amounts count 1e-8.

    Attributes:
        price: None where none is given.
        price_text: the price as written, or "".
        content: digest of a new order without its id and its decision context; else "".
    """

    action: str
    order_id: str
    original: str
    market: str
    side: str
    order_type: str
    currency: str
    venue: str
    account: str
    counterparty: str
    quantity: int
    price: int | None
    price_text: str
    content: str

    @property
    def price_ratio(self) -> Fraction | None:
        """The price as a ratio, as written for the market."""
        return None if self.price is None else Fraction(self.price, UNIT)


def read(recorded: object) -> Order:
    """Read the order of a decision entry.

    Raises:
        VerificationFailed: the gate had to call this malformed.
    """
    given = canonical.object_of(recorded)
    action = given.get("action")
    optional = {"decision_context"}
    if action == "new":
        required = set(_NEW)
        optional |= {"counterparty"}
        if given.get("order_type") == "limit":
            required |= {"price"}
    elif action == "amend":
        required, optional = set(_AMEND), optional | {"price"}
    elif action == "cancel":
        required, optional = set(_CANCEL), set()
    else:
        raise VerificationFailed("order has no known action")
    canonical.fields(given, required | (given.keys() & optional), "the order")
    for name, value in given.items():
        _check_field(name, value)
    return _made(given, str(action))


def _check_field(name: str, value: object) -> None:
    try:
        if name in _FORMS:
            canonical.named(value, _FORMS[name])
        elif name in _CLOSED:
            require(value in _CLOSED[name], "is none of " + ", ".join(_CLOSED[name]))
        elif name in {"quantity", "price"}:
            require(canonical.amount(value) > 0, "is zero")
        elif name == "decision_context":
            for key, digest in canonical.object_of(value).items():
                require(key in _CONTEXT, f"has an unknown field {key}")
                canonical.digest_text(digest)
    except VerificationFailed as failure:
        raise VerificationFailed(f"order field `{name}` {failure.what}") from failure


def _made(given: dict[str, object], action: str) -> Order:
    def text(name: str) -> str:
        return str(given.get(name, ""))

    market, currency, content = text("market"), text("currency"), ""
    if action == "new":
        legs = market.split("/")
        require(legs[0] != legs[1], "order field `market` has one currency twice")
        require(currency in legs, "order field `currency` is no leg of the market")
        kept = {k: v for k, v in given.items() if k not in {"client_order_id", "decision_context"}}
        content = canonical.digest_of(kept)
    price = given.get("price")
    quantity = given.get("quantity")
    return Order(
        action=action,
        order_id=text("client_order_id"),
        original=text("orig_client_order_id"),
        market=market,
        side=text("side"),
        order_type=text("order_type"),
        currency=currency,
        venue=text("venue"),
        account=text("account"),
        counterparty=text("counterparty"),
        quantity=0 if quantity is None else canonical.amount(quantity),
        price=None if price is None else canonical.amount(price),
        price_text="" if price is None else str(price),
        content=content,
    )
