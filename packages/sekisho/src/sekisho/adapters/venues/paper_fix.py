# SPDX-License-Identifier: Apache-2.0
"""The paper venue's FIX 4.4 side: an acceptor over its book (docs/spec/fix.md section 7).

A gate logs on with its credential as Password. An order executes by the permit that it carries
alone, and only where message and permit say the same. A session gets its account's drop copy, in
the book's order; how far it got stands in its store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sekisho.adapters.fix.acceptor import Admitted, FixAcceptor
from sekisho.adapters.fix.codec import FixMessage, write_time
from sekisho.adapters.fix.dictionary import (
    ORDER_TYPES,
    SIDES,
    TIMES_IN_FORCE,
    Tag,
    backwards,
    plain_text,
)
from sekisho.adapters.fix.outbox import SessionTerms
from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.peers import Peer
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import read_permit
from sekisho.core.terms import NAME, parse_instant
from sekisho.ports import Clock, Disk, VenueReport

PERMIT_TAG: Final = 5001
PUMP_S = 0.05
Fields = list[tuple[int, str]]
Open = Callable[[str], tuple[str, PaperVenue]]
"""The name of a credential's holder and the venue as it sees it; raises NotAuthorised."""

_KINDS: Final = {
    "D": (11, 55, 54, 60, 38, 40),
    "G": (11, 41, 55, 54, 60, 38, 40),
    "F": (11, 41, 55, 54, 60),
    "H": (11, 55, 54),
    "AF": (584, 585),
}
_SAID: Final = {
    "new": "0",
    "trade": "F",
    "replaced": "5",
    "canceled": "4",
    "rejected": "8",
    "expired": "C",
}
_ENDS: Final = {"canceled": "4", "rejected": "8", "expired": "C", "not_found": "8"}
_SIDES: Final = backwards(SIDES)


class PaperFixSession:
    """One gate's session."""

    def __init__(self, comp_id: str, sender: str, store: FixStore, clock: Clock, book: str) -> None:
        terms = SessionTerms(
            own=sender, peer=comp_id, initiator=False, kinds=_KINDS, tags={}, replays=True
        )
        self.session = SessionMachine(terms, store, clock)
        self.venue: PaperVenue | None = None
        self.may: Callable[[], bool] = lambda: False
        """Whether the credential of the present connection is still good."""
        self._store = store
        self._clock = clock
        self._book = book
        self._cancels: dict[str, str] = {}
        seen = store.notes.get("tape")
        self._at = seen["at"] if seen is not None and seen["book"] == book else 0

    def deliver(self, delivered: Delivered) -> None:
        """Take a message of the gate."""
        message, venue = delivered.message, self.venue
        agent = message.header.get(Tag.SenderSubID, "")
        try:
            if venue is None or message.kind in ("0", "3"):
                return
            if not self.may():
                self.session.logout("the credential was withdrawn")
                return
            match message.kind:
                case "D" | "G":
                    self._order(venue, agent, delivered)
                case "F":
                    self._cancel(venue, agent, message)
                case "H":
                    self._status(venue, agent, message)
                case "AF":
                    self._list(venue, agent, message)
        except Unavailable as error:
            self._not_taken(delivered, str(error), "4")
        finally:
            self.pump()
            self.session.done(delivered)

    def pump(self) -> None:
        """Send what the book has reported since; nothing while nobody is logged on."""
        if self.session.state != "active" or self.session.over or self.venue is None:
            return
        at, reports = self.venue.reports_since(self._begin(self.venue))
        for report in reports:
            self.session.send("8", self._execution(report), [(Tag.TargetSubID, report.agent)])
        if reports:
            self._at = at
            self._store.note("tape", {"book": self._book, "at": at})

    def _begin(self, venue: PaperVenue) -> int:
        """Behind the last report that was sent; of what a loss of power took back, nothing is."""
        self._at = min(self._at, venue.tape_length())
        return self._at

    # -- requests -----------------------------------------------------------------------------

    def _order(self, venue: PaperVenue, agent: str, delivered: Delivered) -> None:
        message = delivered.message
        fault = venue.faults.next_submit()
        permit = message.get(PERMIT_TAG)
        if fault == "time_out_before":
            return
        if fault == "delay":
            venue.delay(permit)
            return
        wrong = _differs(message, agent, permit)
        if wrong:
            self._not_taken(delivered, wrong, "6")
            return
        reports = venue.take(permit, late=fault == "fill_late", reject=fault == "reject")
        if not reports[0].client_order_id:
            # It is about no order: an ExecutionReport would close one that may live.
            self._not_taken(delivered, reports[0].reason, "6")
            return
        if fault in ("time_out_after", "lose_ack"):
            self.session.over = "the connection breaks, by instruction"
            self.session.outbox.wake()

    def _cancel(self, venue: PaperVenue, agent: str, message: FixMessage) -> None:
        fault = venue.faults.next_cancel()
        if fault in ("time_out_before", "ignore"):
            return
        name, about = message.get(Tag.ClOrdID), message.get(Tag.OrigClOrdID)
        before = venue.tape_length()
        reports = venue.cancel(agent, about)
        last = reports[-1]
        if venue.tape_length() > before:
            self._cancels[last.exec_id] = name
            return
        unknown = last.exec_type == "not_found"
        fields: Fields = [
            (Tag.OrderID, last.venue_order_id or "NONE"),
            (Tag.ClOrdID, name),
            (Tag.OrigClOrdID, about),
            (Tag.OrdStatus, _status(last)),
            (Tag.CxlRejResponseTo, "1"),
            (Tag.CxlRejReason, "1" if unknown else "0"),
            (Tag.Text, plain_text(last.reason or "order_not_open")),
        ]
        self.session.send("9", fields, [(Tag.TargetSubID, agent)])

    def _status(self, venue: PaperVenue, agent: str, message: FixMessage) -> None:
        last = venue.order_reports(agent, message.get(Tag.ClOrdID))[-1]
        fields = self._report(last, "I", "0")
        if message.get(Tag.OrdStatusReqID):
            fields.append((Tag.OrdStatusReqID, message.get(Tag.OrdStatusReqID)))
        if last.exec_type == "not_found":
            fields.append((Tag.OrdRejReason, "5"))
        self.session.send("8", fields, [(Tag.TargetSubID, agent)])

    def _list(self, venue: PaperVenue, agent: str, message: FixMessage) -> None:
        request = message.get(Tag.MassStatusReqID)
        names = venue.open_orders(agent)
        for number, name in enumerate(names, 1):
            fields = self._report(venue.order_reports(agent, name)[-1], "I", "0")
            fields += [(Tag.MassStatusReqID, request), (Tag.TotNumReports, str(len(names)))]
            fields.append((Tag.LastRptRequested, "Y" if number == len(names) else "N"))
            self.session.send("8", fields, [(Tag.TargetSubID, agent)])
        if names:
            return
        fields = [
            (Tag.OrderID, "NONE"),
            (Tag.ExecID, "0"),
            (Tag.ExecType, "I"),
            (Tag.OrdStatus, "8"),
            (Tag.Symbol, "[N/A]"),
            (Tag.Side, "7"),
            (Tag.LeavesQty, "0"),
            (Tag.CumQty, "0"),
            (Tag.AvgPx, "0"),
            (Tag.MassStatusReqID, request),
            (Tag.TotNumReports, "0"),
            (Tag.LastRptRequested, "Y"),
            (Tag.Text, "no open orders"),
        ]
        self.session.send("8", fields, [(Tag.TargetSubID, agent)])

    # -- answers ------------------------------------------------------------------------------

    def _not_taken(self, delivered: Delivered, text: str, reason: str) -> None:
        message = delivered.message
        fields: Fields = [
            (Tag.RefSeqNum, str(delivered.sequence)),
            (Tag.RefMsgType, message.kind),
            (Tag.BusinessRejectReason, reason),
            (Tag.Text, plain_text(text)),
        ]
        self.session.send("j", fields)

    def _execution(self, report: VenueReport) -> Fields:
        fields = self._report(report, _SAID[report.exec_type], report.exec_id)
        if report.exec_type == "trade":
            fields += [(Tag.LastQty, report.last_quantity), (Tag.LastPx, report.last_price)]
        cancel = self._cancels.pop(report.exec_id, "")
        if cancel:
            fields[0] = (Tag.ClOrdID, cancel)
            fields.append((Tag.OrigClOrdID, report.client_order_id))
        if report.exec_type == "rejected":
            fields.append((Tag.OrdRejReason, "99"))
        return [*fields, (Tag.NoContraBrokers, "1"), (Tag.ContraBroker, report.counterparty)]

    def _report(self, report: VenueReport, exec_type: str, exec_id: str) -> Fields:
        order = None
        if self.venue is not None:
            order = self.venue.find(report.agent, report.client_order_id)
        symbol, side, quantity = "[N/A]", "7", ""
        if order is not None:
            terms = order.terms
            symbol, side, quantity = terms.market, _SIDES[terms.side], terms.quantity
        fields: Fields = [
            (Tag.ClOrdID, report.client_order_id),
            (Tag.OrderID, report.venue_order_id or "NONE"),
            (Tag.ExecID, exec_id),
            (Tag.ExecType, exec_type),
            (Tag.OrdStatus, _status(report)),
            (Tag.Symbol, symbol),
            (Tag.Side, side),
            (Tag.LeavesQty, report.leaves_quantity),
            (Tag.CumQty, report.cum_quantity),
            (Tag.AvgPx, report.last_price),
            (Tag.TransactTime, write_time(parse_instant(report.transact_at))),
        ]
        fields += [(Tag.OrderQty, quantity)] if quantity else []
        fields += [(Tag.Text, plain_text(report.reason))] if report.reason else []
        return fields


class PaperFixSide:
    """The acceptor with all sessions, one a SenderCompID of a gate.

    Args:
        sender: the venue's CompID.
        disk: where the sessions' files are.
        clock: the venue's.
        book: names the book over all its lives; a new one begins its drop copies anew.
        knock: gives holder and venue for a credential; a holder's CompID is its name.
        refused: told why a logon was not taken, for the venue's log.
    """

    def __init__(
        self,
        sender: str,
        disk: Disk,
        clock: Clock,
        book: str,
        knock: Open,
        refused: Callable[[str], None],
    ) -> None:
        self.sessions: dict[str, PaperFixSession] = {}
        self.acceptor: FixAcceptor | None = None
        self._sender = sender
        self._disk = disk
        self._clock = clock
        self._book = book
        self._knock = knock
        self._refused = refused
        self._pumping: asyncio.Task[None] | None = None

    async def start(self, listener: Listener, gates: tuple[str, ...]) -> str:
        """Open the sessions of these holders and listen; returns the address.

        Raises:
            ConfigurationInvalid: the address cannot be listened on.
            StorageFailed: a session's file cannot be read.
        """
        await self.expect(gates)
        self.acceptor = FixAcceptor(listener, self._clock, self._admit)
        await self.acceptor.start()
        self._pumping = asyncio.create_task(self._pump())
        return self.acceptor.address

    async def expect(self, gates: tuple[str, ...]) -> None:
        """Open the sessions of those holders that have none yet.

        Raises:
            MalformedInput: a name that is no CompID.
            StorageFailed: a session's file cannot be read.
        """
        for gate in gates:
            if gate in self.sessions:
                continue
            if NAME.fullmatch(gate) is None:
                raise MalformedInput(f"{gate[:64]!r} is no CompID", "gates")
            store = await FixStore.open(self._disk, f"fix-{gate}")
            session = PaperFixSession(gate, self._sender, store, self._clock, self._book)
            self.sessions[gate] = session

    async def close(self) -> None:
        """Log all gates out."""
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.gather(self._pumping, return_exceptions=True)
        if self.acceptor is not None:
            await self.acceptor.close()

    async def _pump(self) -> None:
        """Send what happens without a request: fills of resting orders, the end of a day."""
        while True:
            await self._clock.sleep(PUMP_S)
            for session in list(self.sessions.values()):
                session.pump()

    def _admit(self, message: FixMessage, peer: Peer) -> Admitted | str:
        """The session of a logon: the credential says whose it is, wherever it comes from."""
        gate, target = message.header[Tag.SenderCompID], message.header[Tag.TargetCompID]
        found = self.sessions.get(gate)
        if message.kind != "A" or found is None or target != self._sender:
            wrong = f"no logon to a session over {peer.transport}: {gate[:64]}-{target[:64]}"
            self._refused(wrong)
            return wrong
        credential = message.get(Tag.Password)
        try:
            holder, venue = self._knock(credential)
        except NotAuthorised as error:
            return str(error)
        if holder != gate:
            self._refused(f"the credential of {holder} with the CompID {gate}")
            return "the CompID is another's"
        if found.session.state == "closed":
            found.venue, found.may = venue, lambda: venue.knows(credential)
        return Admitted(found.session, found.deliver)


def _status(report: VenueReport) -> str:
    """OrdStatus after a report."""
    if report.exec_type in _ENDS:
        return _ENDS[report.exec_type]
    if report.cum_quantity == "0":
        return "0"
    return "2" if report.leaves_quantity == "0" else "1"


def _differs(message: FixMessage, agent: str, permit: str) -> str:
    """What the message says otherwise than its permit; empty for nothing.

    A permit that cannot be read is left to the book, which refuses it.
    """
    try:
        read = read_permit(permit)
        order = parse_order(canonical(read.order))
    except (MalformedInput, UnicodeError):
        return ""
    if not isinstance(order, NewOrder):
        return "permit_malformed"
    replaces = read.replaces if isinstance(read.replaces, str) else ""
    said = (
        (Tag.SenderSubID, agent, read.agent),
        (Tag.ClOrdID, message.get(Tag.ClOrdID), order.client_order_id),
        (Tag.OrigClOrdID, message.get(Tag.OrigClOrdID), replaces),
        (Tag.Account, message.get(Tag.Account), order.account),
        (Tag.Symbol, message.get(Tag.Symbol), order.market),
        (Tag.Side, SIDES.get(message.get(Tag.Side)), order.side),
        (Tag.OrderQty, message.get(Tag.OrderQty), order.quantity),
        (Tag.OrdType, ORDER_TYPES.get(message.get(Tag.OrdType)), order.order_type),
        (Tag.Price, message.get(Tag.Price), order.price if isinstance(order.price, str) else ""),
        (Tag.Currency, message.get(Tag.Currency), order.currency),
        (Tag.TimeInForce, TIMES_IN_FORCE.get(message.get(Tag.TimeInForce)), order.time_in_force),
    )
    for tag, here, there in said:
        if here != there:
            return f"differs_from_permit: {tag.name}"
    return ""
