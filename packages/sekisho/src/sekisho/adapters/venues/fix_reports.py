# SPDX-License-Identifier: Apache-2.0
"""Between the ``Venue`` port and FIX: permits as orders, ExecutionReports as reports.

Docs/spec/fix.md section 6. Pure. What has no exact counterpart is MalformedInput, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import UNSET

from sekisho.adapters.fix.codec import FixMessage, read_time, write_time
from sekisho.adapters.fix.dictionary import (
    ORDER_TYPES,
    SIDES,
    TIMES_IN_FORCE,
    Tag,
    backwards,
    exact_amount,
    plain_text,
)
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder
from sekisho.core.terms import format_instant
from sekisho.ports import ExecType, VenueReport

Fields = list[tuple[int, str]]

EXEC_TYPES: Final[Mapping[str, ExecType]] = MappingProxyType(
    {
        "0": "new",
        "F": "trade",
        "5": "replaced",
        "4": "canceled",
        "8": "rejected",
        "C": "expired",
    }
)
"""ExecType (150) that say what became of an order."""

PENDING: Final = frozenset("A6E")
"""ExecType that say that the venue is thinking: no report."""

_STATUS_OF: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "0": frozenset("0"),
        "F": frozenset("126E"),
        "5": frozenset("0125"),
        "4": frozenset("4"),
        "8": frozenset("8"),
        "C": frozenset("C"),
    }
)
"""OrdStatus (39) that may stand beside an ExecType; another one is a contradiction."""

ENDED: Final = frozenset("248C")
_STATUS_REPORTS: Final[Mapping[str, ExecType]] = MappingProxyType(
    {"0": "new", "4": "canceled", "8": "rejected", "C": "expired"}
)
UNKNOWN_ORDER: Final = "5"
_SIDES = backwards(SIDES)
_ORDER_TYPES = backwards(ORDER_TYPES)
_TIMES_IN_FORCE = backwards(TIMES_IN_FORCE)


class SentOrder(msgspec.Struct, kw_only=True):
    """What the connector keeps of an order that it sent; plain, a note of the session's store."""

    agent: str
    client_order_id: str
    ids: list[str]
    symbol: str
    side: str
    quantity: str
    account: str
    venue_order_id: str = ""
    ended: bool = False

    @property
    def key(self) -> str:
        """Its name among the notes; the same for as long as it lives."""
        return f"order {self.agent} {self.ids[0]}"


def sent_order(agent: str, order: NewOrder) -> SentOrder:
    """What to keep of an order that a permit is about."""
    return SentOrder(
        agent=agent,
        client_order_id=order.client_order_id,
        ids=[order.client_order_id],
        symbol=order.market,
        side=_SIDES[order.side],
        quantity=order.quantity,
        account=order.account,
    )


def order_fields(order: NewOrder, now_ns: int, orig: str = "", venue_order_id: str = "") -> Fields:
    """The body of a D, or of a G where ``orig`` names the order that is replaced."""
    fields: Fields = [(Tag.ClOrdID, order.client_order_id)]
    fields += [(Tag.OrigClOrdID, orig)] if orig else []
    fields += [(Tag.OrderID, venue_order_id)] if venue_order_id else []
    fields += [
        (Tag.Account, order.account),
        (Tag.HandlInst, "1"),
        (Tag.Symbol, order.market),
        (Tag.Side, _SIDES[order.side]),
        (Tag.TransactTime, write_time(now_ns)),
        (Tag.OrderQty, order.quantity),
        (Tag.OrdType, _ORDER_TYPES[order.order_type]),
    ]
    fields += [] if order.price is UNSET else [(Tag.Price, order.price)]
    fields += [
        (Tag.Currency, order.currency),
        (Tag.TimeInForce, _TIMES_IN_FORCE[order.time_in_force]),
    ]
    if order.counterparty is not UNSET:
        fields += [(Tag.NoPartyIDs, "1"), (Tag.PartyID, order.counterparty)]
        fields += [(Tag.PartyIDSource, "D"), (Tag.PartyRole, "17")]
    return fields


def about_fields(order: SentOrder | None) -> Fields:
    """What a cancel and a question repeat of an order; of one that was never sent, nothing."""
    if order is None:
        return [(Tag.Symbol, "[N/A]"), (Tag.Side, "7")]
    fields: Fields = [(Tag.OrderID, order.venue_order_id)] if order.venue_order_id else []
    return [
        *fields,
        (Tag.Account, order.account),
        (Tag.Symbol, order.symbol),
        (Tag.Side, order.side),
    ]


def execution(message: FixMessage, agent: str, name: str, venue: str) -> VenueReport:
    """An ExecutionReport (8) as a report about the order ``name``.

    Raises:
        MalformedInput: it says something that has no exact counterpart, or contradicts itself.
    """
    said, status = message.get(Tag.ExecType), message.get(Tag.OrdStatus)
    exec_type = EXEC_TYPES.get(said)
    if exec_type is None or status not in _STATUS_OF[said]:
        raise MalformedInput(f"ExecType {said} with OrdStatus {status} is not understood")
    last, price = _amount(message, Tag.LastQty), _amount(message, Tag.LastPx)
    if exec_type == "trade" and "0" in (last, price):
        raise MalformedInput("a trade without LastQty or LastPx")
    return VenueReport(
        agent=agent,
        client_order_id=name,
        venue_order_id=message.get(Tag.OrderID),
        exec_id=_exec_id(message),
        exec_type=exec_type,
        last_quantity=last if exec_type == "trade" else "0",
        last_price=price if exec_type == "trade" else "0",
        cum_quantity=_amount(message, Tag.CumQty),
        leaves_quantity=_amount(message, Tag.LeavesQty),
        counterparty=_counterparty(message) or venue,
        reason=_reason(message),
        transact_at=_at(message),
    )


def status_report(message: FixMessage, agent: str, name: str, venue: str) -> VenueReport:
    """The answer to a question (8 with ExecType I) as the one report that it amounts to.

    Its ExecID is made from what it says, so that the same answer is one report however often it
    is given.

    Raises:
        MalformedInput: it amounts to none: fills are told by their own reports alone.
    """
    status = message.get(Tag.OrdStatus)
    known = _STATUS_REPORTS.get(status)
    exec_type: ExecType | None = "not_found" if is_unknown(message) else known
    filled = _amount(message, Tag.CumQty)
    if exec_type is None or filled != "0":
        raise MalformedInput(f"OrdStatus {status}, filled {filled}: its reports have not come")
    digest = sha256_hex(f"{agent}\n{name}\n{status}".encode("ascii"))[:32]
    return VenueReport(
        agent=agent,
        client_order_id=name,
        venue_order_id=message.get(Tag.OrderID),
        exec_id=f"status-{digest}",
        exec_type=exec_type,
        last_quantity="0",
        last_price="0",
        cum_quantity="0",
        leaves_quantity=_amount(message, Tag.LeavesQty),
        counterparty=venue,
        reason=_reason(message),
        transact_at=_at(message),
    )


def amendment_rejected(
    message: FixMessage, order: SentOrder, venue: str, number: int
) -> VenueReport:
    """An OrderCancelReject (9) of an amendment as the report that the amendment was rejected.

    It has no ExecID; its number in the session, which never changes, stands in.
    """
    return VenueReport(
        agent=order.agent,
        client_order_id=message.get(Tag.ClOrdID),
        venue_order_id=order.venue_order_id,
        exec_id=f"reject-{number}",
        exec_type="rejected",
        last_quantity="0",
        last_price="0",
        cum_quantity="0",
        leaves_quantity="0",
        counterparty=venue,
        reason=_reason(message),
        transact_at=_at(message),
    )


def is_unknown(message: FixMessage) -> bool:
    """Whether the answer to a question is that the venue never saw the order."""
    unknown = message.get(Tag.OrdRejReason) == UNKNOWN_ORDER
    return message.get(Tag.OrdStatus) == "8" and unknown


def filled(message: FixMessage) -> int:
    """CumQty of a message, in units of 1e-8. Raises MalformedInput."""
    return parse_amount(_amount(message, Tag.CumQty), "CumQty")


def _amount(message: FixMessage, tag: Tag) -> str:
    text = message.get(tag)
    return exact_amount(text, tag.name) if text else "0"


def _exec_id(message: FixMessage) -> str:
    name = message.get(Tag.ExecID)
    if name == "0" or len(name) > 64:
        raise MalformedInput(f"ExecID {name[:70]!r} names no report")
    return name


def _counterparty(message: FixMessage) -> str:
    for contra in message.groups.get(Tag.NoContraBrokers, ()):
        return contra.get(Tag.ContraBroker, "")
    for party in message.groups.get(Tag.NoPartyIDs, ()):
        if party.get(Tag.PartyRole) == "17":
            return party.get(Tag.PartyID, "")
    return ""


def _reason(message: FixMessage) -> str:
    text = message.get(Tag.Text)
    if text:
        return plain_text(text)
    for tag in (Tag.OrdRejReason, Tag.CxlRejReason):
        if message.get(tag):
            return f"{tag.name} {message.get(tag)}"
    return ""


def _at(message: FixMessage) -> str:
    told = message.get(Tag.TransactTime)
    if told:
        return format_instant(read_time(told, "TransactTime"))
    return format_instant(read_time(message.header[Tag.SendingTime], "SendingTime"))
