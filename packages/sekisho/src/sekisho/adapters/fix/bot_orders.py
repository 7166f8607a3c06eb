# SPDX-License-Identifier: Apache-2.0
"""What a front must know of a bot's orders to report them in FIX, and the reports themselves.

Kept as notes of the session's store, so that they survive a restart. The truth about an order is
the gate's log; this is what FIX wants repeated in each ExecutionReport (docs/spec/fix.md, 5).
"""

from __future__ import annotations

import msgspec

from sekisho.adapters.fix.codec import FixMessage, write_time
from sekisho.adapters.fix.dictionary import Tag, plain_text
from sekisho.adapters.fix.store import FixStore
from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.events import Execution

Fields = list[tuple[int, str]]
SHOWN_MAX = 65
"""Of a text that a bot sent so much is repeated: one more than any name has, so that one that was
cut is never another's whole one."""
CLOSED_KEPT = 2_000
"""Orders that ended and can still be asked for; the oldest are forgotten."""
_ENDED = frozenset("248C")
_PREFIX = "order "


class BotOrder(msgspec.Struct, kw_only=True):
    """One order of the bot. ``status`` is OrdStatus (39); amounts are text.

    ``value`` is the sum of quantity times price of its fills, in units of 1e-16, as text.
    ``asked`` are the ids of a cancel and of an amendment that were not answered, or empty.
    """

    first_id: str
    client_order_id: str
    ids: list[str]
    symbol: str
    side: str
    quantity: str
    order_type: str = ""
    price: str = ""
    currency: str = ""
    time_in_force: str = ""
    account: str = ""
    venue_order_id: str = ""
    cum: str = "0"
    leaves: str = ""
    value: str = "0"
    status: str = "A"
    told: bool = False
    cancel: str = ""
    amendment: str = ""
    amended_quantity: str = ""
    amended_price: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of it can be executed any more."""
        return self.status in _ENDED

    @property
    def average(self) -> str:
        """AvgPx: the mean price of the fills, cut to eight digits; for information."""
        filled = parse_amount(self.cum)
        return format_amount(int(self.value) // filled) if filled else "0"

    def working_status(self) -> str:
        """OrdStatus of an order that lives, by what is filled and what is left."""
        if parse_amount(self.cum) == 0:
            return "0"
        return "1" if parse_amount(self.leaves or "0") else "2"

    def fill(self, execution: Execution) -> None:
        """Take a fill in."""
        traded = parse_amount(execution.last_quantity) * parse_amount(execution.last_price)
        self.value = str(int(self.value) + traded)
        self.cum, self.leaves = execution.cum_quantity, execution.leaves_quantity
        self.status = self.working_status()

    def begin_amendment(self, name: str, quantity: str, price: str) -> None:
        """An amendment of this id is asked for."""
        self.amendment, self.amended_quantity, self.amended_price = name, quantity, price
        if name not in self.ids:
            self.ids.append(name)

    def end_amendment(self) -> None:
        """It was refused; the order is as before."""
        self.amendment = self.amended_quantity = self.amended_price = ""

    def replace(self, name: str, leaves: str) -> None:
        """The amendment of this id has taken effect."""
        if self.amendment == name:
            self.quantity, self.price = self.amended_quantity, self.amended_price or self.price
        self.end_amendment()
        if name not in self.ids:
            self.ids.append(name)
        self.client_order_id, self.leaves = name, leaves
        self.status = self.working_status()

    def shown(self) -> Fields:
        """The fields that every report of this order repeats."""
        fields = [
            (Tag.OrderID, self.first_id),
            (Tag.SecondaryOrderID, self.venue_order_id and plain_text(self.venue_order_id)),
            (Tag.Account, self.account),
            (Tag.Symbol, self.symbol),
            (Tag.Side, self.side),
            (Tag.OrderQty, self.quantity),
            (Tag.OrdType, self.order_type),
            (Tag.Price, self.price),
            (Tag.Currency, self.currency),
            (Tag.TimeInForce, self.time_in_force),
            (Tag.LeavesQty, "0" if self.ended else (self.leaves or self.quantity)),
            (Tag.CumQty, self.cum),
            (Tag.AvgPx, self.average),
        ]
        return [(int(tag), text) for tag, text in fields if text]


def order_of(message: FixMessage) -> BotOrder:
    """The order that a D asks for, or that an F is about; long texts are cut."""
    name = message.get(Tag.OrigClOrdID) or message.get(Tag.ClOrdID)
    return BotOrder(
        first_id=name,
        client_order_id=name,
        ids=[name],
        symbol=message.get(Tag.Symbol)[:SHOWN_MAX],
        side=message.get(Tag.Side)[:SHOWN_MAX],
        quantity=_shown_amount(message.get(Tag.OrderQty)),
        order_type=message.get(Tag.OrdType)[:SHOWN_MAX],
        price=_shown_amount(message.get(Tag.Price)),
        currency=message.get(Tag.Currency)[:SHOWN_MAX],
        time_in_force=message.get(Tag.TimeInForce)[:SHOWN_MAX],
        account=message.get(Tag.Account)[:SHOWN_MAX],
    )


def report(order: BotOrder, exec_type: str, exec_id: str, now_ns: int, **more: str) -> Fields:
    """An ExecutionReport (8) of an order.

    Args:
        order: in its present state.
        exec_type: ExecType (150).
        exec_id: ExecID (17).
        now_ns: TransactTime.
        more: further fields by the name of their tag; ClOrdID, if it is not the order's own.
    """
    fields: Fields = [
        (Tag.ClOrdID, more.pop("ClOrdID", order.client_order_id)),
        (Tag.ExecID, plain_text(exec_id)),
        (Tag.ExecType, exec_type),
        (Tag.OrdStatus, more.pop("OrdStatus", order.status)),
        *order.shown(),
        (Tag.TransactTime, write_time(now_ns)),
    ]
    contra = more.pop("ContraBroker", "")
    fields += [(int(Tag[name]), plain_text(text)) for name, text in more.items() if text]
    if contra:
        fields += [(Tag.NoContraBrokers, "1"), (Tag.ContraBroker, plain_text(contra, 64))]
    return fields


def cancel_rejected(
    order: BotOrder | None, name: str, about: str, to: str, reason: str, text: str
) -> Fields:
    """An OrderCancelReject (9).

    Args:
        order: that it is about; None for one that is not known.
        name: ClOrdID of the request.
        about: OrigClOrdID of the request.
        to: CxlRejResponseTo, 1 for a cancel and 2 for an amendment.
        reason: CxlRejReason.
        text: why.
    """
    return [
        (Tag.OrderID, "NONE" if order is None else order.first_id),
        (Tag.ClOrdID, name),
        (Tag.OrigClOrdID, about),
        (Tag.OrdStatus, "8" if order is None else order.status),
        (Tag.CxlRejResponseTo, to),
        (Tag.CxlRejReason, reason),
        (Tag.Text, plain_text(text)),
    ]


def differs(order: BotOrder, other: BotOrder) -> str:
    """What an amendment restates otherwise than it is and cannot change; empty for nothing."""
    for name in ("symbol", "side", "order_type", "currency", "time_in_force", "account"):
        restated = getattr(other, name)
        if restated and restated != getattr(order, name):
            return f"an amendment changes quantity and price, not {name}"
    return ""


class BotBook:
    """The orders of one session, by every id that they have or had."""

    def __init__(self, store: FixStore) -> None:
        self._store = store
        self._orders: dict[str, BotOrder] = {}
        self._ended: dict[str, None] = {}
        for name, plain in list(store.notes.items()):
            if name.startswith(_PREFIX):
                self._enter(msgspec.convert(plain, BotOrder))

    @property
    def known(self) -> int:
        """How many ids it knows."""
        return len(self._orders)

    def find(self, client_order_id: str) -> BotOrder | None:
        """The order that has or had this id."""
        return self._orders.get(client_order_id)

    def keep(self, order: BotOrder) -> None:
        """Remember the order as it is now."""
        self._enter(order)
        self._store.note(_PREFIX + order.first_id, msgspec.to_builtins(order))
        while len(self._ended) > CLOSED_KEPT:
            self.forget(self._orders[next(iter(self._ended))])

    def forget(self, order: BotOrder) -> None:
        """Remove an order that was none, or that ended long ago."""
        for name in order.ids:
            self._orders.pop(name, None)
        self._ended.pop(order.first_id, None)
        self._store.note(_PREFIX + order.first_id, None)

    def drop_amendment(self, order: BotOrder) -> None:
        """The gate refused the amendment: its id names nothing."""
        self._orders.pop(order.amendment, None)
        order.ids.remove(order.amendment)
        order.end_amendment()
        self.keep(order)

    def _enter(self, order: BotOrder) -> None:
        for name in order.ids:
            self._orders[name] = order
        if order.ended:
            self._ended[order.first_id] = None


def _shown_amount(text: str) -> str:
    """An amount to repeat; empty where it is none: then the gate refuses the order."""
    try:
        parse_amount(text)
    except MalformedInput:
        return ""
    return text
