# SPDX-License-Identifier: Apache-2.0
"""Orders as a gate takes them: exact bytes from exact values (docs/spec/order.md).

A float never becomes an amount here: it would be another number. The gate checks everything again;
this module only spares a bot the refusals that it can foresee.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,8})?")

Amount = str | int | Decimal


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
    """A new order; with a price a limit order, without one a market order."""
    fields = {
        "action": "new",
        "client_order_id": client_order_id,
        "market": market,
        "side": side,
        "order_type": "market" if price is None else "limit",
        "quantity": amount(quantity),
        "currency": currency,
        "time_in_force": time_in_force,
        "venue": venue,
        "account": account,
    }
    if price is not None:
        fields["price"] = amount(price)
    if counterparty is not None:
        fields["counterparty"] = counterparty
    return _encode(fields)


def amend_order(
    client_order_id: str,
    orig_client_order_id: str,
    *,
    quantity: Amount,
    price: Amount | None = None,
) -> bytes:
    """A new total quantity, and for a limit order perhaps a new price."""
    fields = {
        "action": "amend",
        "client_order_id": client_order_id,
        "orig_client_order_id": orig_client_order_id,
        "quantity": amount(quantity),
    }
    if price is not None:
        fields["price"] = amount(price)
    return _encode(fields)


def cancel_order(client_order_id: str, orig_client_order_id: str) -> bytes:
    """Cancel a resting order; always taken, also while the agent is stopped."""
    return _encode(
        {
            "action": "cancel",
            "client_order_id": client_order_id,
            "orig_client_order_id": orig_client_order_id,
        }
    )


def _encode(fields: dict[str, str]) -> bytes:
    """Sorted, so that asking again sends the same bytes."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("utf-8")
