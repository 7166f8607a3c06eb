# SPDX-License-Identifier: Apache-2.0
"""Orders as forms of Kraken's REST, and the ids that they have there (docs/spec/kraken.md, 3).

Pure: the connector sends what this says, and the paper venue compares what it got with what the
permit would have made it. What the dialect cannot say exactly raises MalformedInput.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import UNSET

from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder
from sekisho.core.kraken import PairTable
from sekisho.core.terms import DAY_S

TAG_DIGITS: Final = 8


def agent_tag(agent: str) -> str:
    """The first eight digits of every id of this agent's orders at the venue."""
    return hashlib.sha256(agent.encode("ascii")).hexdigest()[:TAG_DIGITS]


def venue_id(agent: str, client_order_id: str) -> str:
    """``cl_ord_id`` of an order: 32 hexadecimal digits, one of the two forms that the venue takes.

    The agent's tag, then 24 digits of SHA-256 over agent and id: two agents never share one, and
    whoever knows agent and id finds the order again without a table.
    """
    digest = hashlib.sha256(f"{agent}\n{client_order_id}".encode("ascii")).hexdigest()
    return agent_tag(agent) + digest[: 32 - TAG_DIGITS]


def order_form(order: NewOrder, pairs: PairTable, now_s: int) -> dict[str, str]:
    """``AddOrder``'s form of an order, without nonce, ids and permit.

    Args:
        order: a new order.
        pairs: what the venue lists.
        now_s: seconds since 1970-01-01: a day order ends with the UTC day.

    Raises:
        MalformedInput: the dialect cannot say exactly this.
    """
    pair = pairs.of_market(order.market)
    if pair is None:
        raise MalformedInput(f"market: the venue has no pair {order.market}", "market")
    if order.currency != order.market.split("/")[0]:
        raise MalformedInput("currency: volumes are in the market's first currency", "currency")
    if order.counterparty is not UNSET:
        raise MalformedInput("counterparty: it cannot be named at this venue", "counterparty")
    form = {
        "pair": pair.name,
        "type": order.side,
        "ordertype": order.order_type,
        "volume": order.quantity,
    }
    if order.price is not UNSET:
        form["price"] = order.price
    if order.order_type == "market":
        return form  # executed at once or not at all; the venue takes no time in force for it
    if order.time_in_force == "day":
        form |= {"timeinforce": "GTD", "expiretm": str((now_s // DAY_S + 1) * DAY_S)}
    else:
        form["timeinforce"] = order.time_in_force.upper()
    return form
