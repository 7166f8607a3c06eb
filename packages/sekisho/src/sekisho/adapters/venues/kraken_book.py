# SPDX-License-Identifier: Apache-2.0
"""What the connector knows of its orders at a Kraken-shaped venue, and the reports made of it.

Kraken lists orders and trades; the port wants execution reports. They are made here, each once,
with an ``exec_id`` that comes from the venue's own ids: the same report gets the same one after a
restart. An order's end is reported only when all that was executed of it is: two lists of the
venue, of orders and of trades, then agree. Nothing here sends or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import UNSET

from sekisho.adapters.venues.kraken_form import agent_tag, venue_id
from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder
from sekisho.core.terms import NS, format_instant
from sekisho.ports import ExecType, VenueReport

ENDED = {"canceled": "canceled", "expired": "expired", "closed": "canceled"}


class SentAmendment(NamedTuple):
    """An amendment that was sent: its id, and what the order becomes."""

    name: str
    quantity: int
    price: str


@dataclass
class Line:
    """One order at the venue. ``names`` are its ids in the gate, the last one the present one."""

    agent: str
    names: list[str]
    quantity: int
    price: str = ""
    txid: str = ""
    filled: int = 0
    ended: bool = False
    busy: bool = False
    asked: SentAmendment | None = None
    reports: list[VenueReport] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    @property
    def first(self) -> str:
        """The id that its ``cl_ord_id`` is made of."""
        return self.names[0]

    @property
    def vid(self) -> str:
        """``cl_ord_id`` at the venue."""
        return venue_id(self.agent, self.first)


class KrakenBook:
    """All lines of one connector, and its drop copy."""

    def __init__(self, venue: str) -> None:
        self.tape: list[VenueReport] = []
        self.unexplained: dict[str, str] = {}
        """Orders of the account that no permit explains: txid → its ``cl_ord_id``, or empty."""
        self._venue = venue
        self._lines: dict[tuple[str, str], Line] = {}
        self._by_vid: dict[str, Line] = {}
        self._denied: dict[tuple[str, str], VenueReport] = {}
        self._odd = 0

    # -- lines ---------------------------------------------------------------------------------

    def find(self, agent: str, name: str) -> Line | None:
        """The line that has, had, or by the amendment under way will have this id."""
        return self._lines.get((agent, name))

    def by_vid(self, vid: str) -> Line | None:
        """The line of a ``cl_ord_id``."""
        return self._by_vid.get(vid)

    def open_line(self, agent: str, order: NewOrder) -> Line:
        """A new order, about to be sent or sent earlier."""
        price = "" if order.price is UNSET else order.price
        return self.add(Line(agent, [order.client_order_id], parse_amount(order.quantity), price))

    def add(self, line: Line) -> Line:
        """Keep a line."""
        self._lines[line.agent, line.first] = self._by_vid[line.vid] = line
        return line

    def ask(self, line: Line, order: NewOrder) -> None:
        """An amendment of this line is about to be sent, or was sent earlier.

        An earlier one that nobody heard of has taken effect: the gate amends an order only under
        its present id.
        """
        if line.asked is not None:
            self._rename(line, line.asked)
        price = "" if order.price is UNSET else order.price
        line.asked = SentAmendment(order.client_order_id, parse_amount(order.quantity), price)
        self._lines[line.agent, order.client_order_id] = line

    def denied(self, agent: str, name: str) -> VenueReport | None:
        """The ``not_found`` that was told of this id, if any."""
        return self._denied.get((agent, name))

    def deny(self, agent: str, name: str, at_ns: int) -> VenueReport:
        """Tell that the venue never saw this id, for ever the same."""
        key = (agent, name)
        if key not in self._denied:
            exec_id = f"{venue_id(agent, name)}:not_found"
            self._denied[key] = self._report(agent, name, "", exec_id, "not_found", at_ns)
        return self._denied[key]

    # -- reports -------------------------------------------------------------------------------

    def odd(self, reason: str, at_ns: int) -> VenueReport:
        """A rejection that is about no order."""
        self._odd += 1
        exec_id = f"{at_ns}:odd:{self._odd}"
        return self._report("", "", "", exec_id, "rejected", at_ns, reason=reason)

    def reject(self, line: Line, name: str, reason: str, at_ns: int) -> None:
        """The venue rejected the order, or its amendment ``name``, for good."""
        exec_id = f"{venue_id(line.agent, name)}:rejected"
        self._emit(line, exec_id, "rejected", at_ns, name=name, reason=reason)
        if line.asked is not None and line.asked.name == name:
            line.asked = None
        else:
            line.ended = True

    def acknowledge(self, line: Line, at_ns: int) -> None:
        """The venue has the order."""
        self._emit(line, f"{line.txid}:new", "new", at_ns, leaves=line.quantity)

    def amended(self, line: Line, at_ns: int) -> None:
        """The amendment under way has taken effect."""
        if line.asked is None:
            return
        self._rename(line, line.asked)
        exec_id = f"{line.txid}:{venue_id(line.agent, line.names[-1])[8:]}"
        self._emit(line, exec_id, "replaced", at_ns, leaves=max(0, line.quantity - line.filled))

    def absorb(
        self, line: Line, info: dict[str, Any], trades: dict[str, Any], now: int, *, proof: bool
    ) -> None:
        """Take in what the venue says of an order.

        Args:
            line: the order.
            info: the venue's object about it.
            trades: its trades, by id.
            now: ns UTC, for what the venue gives no time.
            proof: that no earlier request can still arrive, so that an amendment which is not in
                effect never will be.

        Raises:
            MalformedInput: it cannot be read; what was read before it stays reported.
        """
        opened = read_seconds(info.get("opentm"))
        self.acknowledge(line, opened)
        if line.asked is not None and not line.busy:
            self._settle(line, info, now, proof)
        for trade_id, trade in sorted(trades.items(), key=_by_time):
            self._trade(line, trade_id, trade)
        end = ENDED.get(_text(info, "status"))
        executed = parse_amount(_text(info, "vol_exec"), "vol_exec")
        if end is None or line.ended or executed != line.filled:
            return
        line.ended = True
        if line.filled < line.quantity:
            reason = str(info.get("reason") or "")[:200]
            closed = read_seconds(info.get("closetm"))
            kind: ExecType = "expired" if end == "expired" else "canceled"
            self._emit(line, f"{line.txid}:{kind}", kind, closed, reason=reason)

    def foreign(self, txid: str, cl_ord_id: str, at_ns: int) -> None:
        """An order of the account that is none of ours: reported once, about nobody."""
        if txid in self.unexplained:
            return
        self.unexplained[txid] = cl_ord_id
        self.tape.append(
            self._report("", "", txid, f"{txid}:foreign", "new", at_ns, reason="unexplained")
        )

    def _settle(self, line: Line, info: dict[str, Any], now: int, proof: bool) -> None:
        """Whether the amendment under way is in effect, by the order's present terms."""
        asked = line.asked
        if asked is None:
            return
        present = parse_amount(_text(info, "vol"), "vol")
        price = _text(_object(info, "descr"), "price")
        same_price = not asked.price or parse_amount(price) == parse_amount(asked.price)
        if present == asked.quantity and same_price:
            self.amended(line, now)
        elif proof:
            line.asked = None
            report = self.deny(line.agent, asked.name, now)
            line.reports.append(report)

    def _trade(self, line: Line, trade_id: str, trade: dict[str, Any]) -> None:
        if trade_id in line.told:
            return
        quantity = parse_amount(_text(trade, "vol"), "vol")
        price = parse_amount(_text(trade, "price"), "price")
        at = read_seconds(trade.get("time"))
        line.filled += quantity
        leaves = max(0, line.quantity - line.filled)
        self._emit(line, trade_id, "trade", at, last=(quantity, price), leaves=leaves)

    def _rename(self, line: Line, asked: SentAmendment) -> None:
        line.names.append(asked.name)
        line.quantity, line.price = asked.quantity, asked.price or line.price
        line.asked = None

    def _emit(
        self,
        line: Line,
        exec_id: str,
        kind: ExecType,
        at_ns: int,
        *,
        name: str = "",
        last: tuple[int, int] = (0, 0),
        leaves: int = 0,
        reason: str = "",
    ) -> None:
        if exec_id in line.told:
            return
        line.told.add(exec_id)
        name = name or line.names[-1]
        report = self._report(
            line.agent, name, line.txid, exec_id, kind, at_ns,
            last=last, filled=line.filled, leaves=leaves, reason=reason,
        )  # fmt: skip
        line.reports.append(report)
        self.tape.append(report)

    def _report(
        self,
        agent: str,
        name: str,
        txid: str,
        exec_id: str,
        kind: ExecType,
        at_ns: int,
        *,
        last: tuple[int, int] = (0, 0),
        filled: int = 0,
        leaves: int = 0,
        reason: str = "",
    ) -> VenueReport:
        return VenueReport(
            agent=agent,
            client_order_id=name,
            venue_order_id=txid,
            exec_id=exec_id,
            exec_type=kind,
            last_quantity=format_amount(last[0]),
            last_price=format_amount(last[1]),
            cum_quantity=format_amount(filled),
            leaves_quantity=format_amount(leaves),
            counterparty=self._venue,
            reason=reason,
            transact_at=format_instant(at_ns),
        )

    def tagged(self, agent: str, cl_ord_id: str) -> bool:
        """Whether this ``cl_ord_id`` says that the order is of this agent."""
        return cl_ord_id.startswith(agent_tag(agent))


def read_seconds(value: Any) -> int:
    """A number of seconds, as text, in ns.

    Raises:
        MalformedInput: anything else.
    """
    whole, _, part = str(value).partition(".")
    digits = f"{whole}{part}"
    if not (digits.isascii() and digits.isdigit() and whole and len(whole) < 12):
        raise MalformedInput(f"{str(value)[:32]!r} is not a time in seconds")
    return int(whole) * NS + int(part[:9].ljust(9, "0"))


def _by_time(item: tuple[str, Any]) -> tuple[int, str]:
    return read_seconds(item[1].get("time")), item[0]


def _text(plain: dict[str, Any], name: str) -> str:
    found = plain.get(name)
    if not isinstance(found, str):
        raise MalformedInput(f"{name}: missing in the venue's answer", name)
    return found


def _object(plain: dict[str, Any], name: str) -> dict[str, Any]:
    found = plain.get(name)
    if not isinstance(found, dict):
        raise MalformedInput(f"{name}: missing in the venue's answer", name)
    return found
