# SPDX-License-Identifier: Apache-2.0
"""A bot's FIX messages as orders of docs/spec/order.md (docs/spec/fix.md section 4).

Words are translated, amounts stay as they came. A word that has no translation is passed on as one
that no order may have (``fix:…``): the gate then refuses the order and records that it did. Nothing
is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping

from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.fix.dictionary import ORDER_TYPES, SIDES, TIMES_IN_FORCE, Tag
from sekisho.core.encoding import canonical

CONTRA_FIRM = "17"


def new_body(message: FixMessage, venue: str, account: str) -> bytes:
    """NewOrderSingle (D) as the canonical JSON of a new order.

    Args:
        message: with the tags that ``BOT_REQUIRED`` lists.
        venue: where ExDestination (100) is not there.
        account: where Account (1) is not there; empty: none.
    """
    fields = {
        "action": "new",
        "client_order_id": message.get(Tag.ClOrdID),
        "market": message.get(Tag.Symbol),
        "side": _word(SIDES, message.get(Tag.Side)),
        "order_type": _word(ORDER_TYPES, message.get(Tag.OrdType)),
        "quantity": message.get(Tag.OrderQty),
        "currency": message.get(Tag.Currency),
        "price": message.get(Tag.Price),
        "time_in_force": _word(TIMES_IN_FORCE, message.get(Tag.TimeInForce) or "0"),
        "venue": message.get(Tag.ExDestination) or venue,
        "account": message.get(Tag.Account) or account,
        "counterparty": _counterparty(message),
    }
    return canonical({name: text for name, text in fields.items() if text})


def amend_body(message: FixMessage) -> bytes:
    """OrderCancelReplaceRequest (G) as the canonical JSON of an amendment."""
    fields = {
        "action": "amend",
        "client_order_id": message.get(Tag.ClOrdID),
        "orig_client_order_id": message.get(Tag.OrigClOrdID),
        "quantity": message.get(Tag.OrderQty),
        "price": message.get(Tag.Price),
    }
    return canonical({name: text for name, text in fields.items() if text})


def cancel_body(message: FixMessage) -> bytes:
    """OrderCancelRequest (F) as the canonical JSON of a cancel."""
    return canonical(
        {
            "action": "cancel",
            "client_order_id": message.get(Tag.ClOrdID),
            "orig_client_order_id": message.get(Tag.OrigClOrdID),
        }
    )


def _word(table: Mapping[str, str], value: str) -> str:
    return table.get(value, f"fix:{value}")


def _counterparty(message: FixMessage) -> str:
    """The party with role Contra Firm; another party is one that the gate does not know."""
    parties = message.groups.get(Tag.NoPartyIDs, ())
    if not parties:
        return ""
    if len(parties) == 1 and parties[0].get(Tag.PartyRole) == CONTRA_FIRM:
        return parties[0].get(Tag.PartyID, "fix:")
    return "fix:parties"
