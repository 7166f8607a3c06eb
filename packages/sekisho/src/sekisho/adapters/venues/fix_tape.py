# SPDX-License-Identifier: Apache-2.0
"""What a FIX venue has said so far, and who waits for what it will say (docs/spec/fix.md, 6).

Every report has the number ``epoch * 10**9 + MsgSeqNum``, which a resend does not change. A report
is *handled* in the session's sense when the caller of :meth:`FixTape.since` has named it as read in
an earlier call; until then a restart asks the venue for it again.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.fix.dictionary import Tag
from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.adapters.venues.fix_reports import (
    ENDED,
    PENDING,
    SentOrder,
    amendment_rejected,
    execution,
    filled,
    is_unknown,
    status_report,
)
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput, OutcomeUnknown, Unavailable
from sekisho.ports import VenueReport

Reports = tuple[VenueReport, ...]
EPOCH = 10**9
TAPE_MAX = 100_000
ENDED_KEPT = 10_000
ODD_KEPT = 100
_PREFIX = "order "


class Question:
    """A request that waits for its answer.

    Attributes:
        kind: MsgType of the request.
        agent, name: the order that it is about.
        request: its own id, for those that have one.
        status: the answer to a question about an order.
        names: open orders that an answer has listed so far.
    """

    def __init__(self, kind: str, agent: str, name: str, request: str = "") -> None:
        self.kind = kind
        self.agent = agent
        self.name = name
        self.request = request
        self.status: FixMessage | None = None
        self.names: set[str] = set()
        self.listed = 0


class FixTape:
    """Reports, orders and questions of one venue session.

    Attributes:
        odd: messages that were not understood, the latest hundred; their orders stay as they are.
        odd_count: how many there were.
    """

    def __init__(self, venue: str, session: SessionMachine, *, agent_sub_id: bool) -> None:
        self.odd: deque[str] = deque(maxlen=ODD_KEPT)
        self.odd_count = 0
        self._venue = venue
        self._session = session
        self._agent_sub_id = agent_sub_id
        self._tape: deque[tuple[int, VenueReport]] = deque(maxlen=TAPE_MAX)
        self._told: dict[str, list[VenueReport]] = {}
        self._named = -1
        self._unconfirmed: deque[tuple[int, Delivered]] = deque()
        self._orders: dict[tuple[str, str], SentOrder] = {}
        self._owner: dict[str, str] = {}
        self._ended: dict[str, SentOrder] = {}
        self._waiting: dict[int, tuple[Question, asyncio.Future[Reports]]] = {}
        for name, plain in list(session.store.notes.items()):
            if name.startswith(_PREFIX):
                self._enter(msgspec.convert(plain, SentOrder))

    # -- orders -------------------------------------------------------------------------------

    def find(self, agent: str, client_order_id: str) -> SentOrder | None:
        """The order of this agent that has or had this id."""
        return self._orders.get((agent, client_order_id))

    def taken_by_another(self, agent: str, client_order_id: str) -> bool:
        """Whether reports about this id could be about another agent's order."""
        owner = self._owner.get(client_order_id, agent)
        return not self._agent_sub_id and owner != agent

    def open_orders(self, agent: str) -> list[SentOrder]:
        """Orders of this agent that were sent and of which no end was told."""
        found = {order.key: order for (name, _), order in self._orders.items() if name == agent}
        return [order for order in found.values() if not order.ended]

    def keep(self, order: SentOrder) -> None:
        """Remember an order as it is now; durable with the next flush."""
        self._enter(order)
        self._session.store.note(order.key, msgspec.to_builtins(order))
        if order.ended:
            self._ended[order.key] = order
        while len(self._ended) > ENDED_KEPT:
            # Its ids are spent at the gate; here only late words about it lose their order.
            old = self._ended.pop(next(iter(self._ended)))
            self._told.pop(old.key, None)
            for name in old.ids:
                self._orders.pop((old.agent, name), None)
            self._session.store.note(old.key, None)

    def _enter(self, order: SentOrder) -> None:
        for name in order.ids:
            self._orders[order.agent, name] = order
            self._owner.setdefault(name, order.agent)

    # -- questions ----------------------------------------------------------------------------

    def expect(self, number: int, question: Question) -> asyncio.Future[Reports]:
        """Wait for the answer to the message of this number."""
        future: asyncio.Future[Reports] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (question, future)
        return future

    def forget(self, number: int) -> None:
        """Nobody waits any more."""
        self._waiting.pop(number, None)

    def cut(self, written: int) -> None:
        """The connection is gone; numbers up to ``written`` may have left with it."""
        for number, (question, future) in list(self._waiting.items()):
            if future.done():
                continue
            if number <= written:
                future.set_exception(OutcomeUnknown(f"the connection to {self._venue} was cut"))
            else:
                future.set_exception(Unavailable(f"{question.kind} had not left when it was cut"))

    # -- what the venue says ------------------------------------------------------------------

    def take(self, delivered: Delivered) -> None:
        """One message of the venue."""
        message = delivered.message
        try:
            match message.kind:
                case "8":
                    report = self._execution(delivered)
                case "9":
                    report = self._cancel_reject(delivered)
                case _:
                    self._other(message)
                    report = None
        except MalformedInput as error:
            self.odd_count += 1
            self.odd.append(f"{delivered.epoch}/{delivered.sequence} {message.kind}: {error}")
            report = None
        if report is None:
            self._session.done(delivered)
            return
        number = delivered.epoch * EPOCH + delivered.sequence
        self._tape.append((number, report))
        self._unconfirmed.append((number, delivered))

    def since(self, sequence: int) -> tuple[int, Reports]:
        """Reports above ``sequence`` and the highest number so far."""
        while self._unconfirmed and self._unconfirmed[0][0] <= self._named:
            self._session.done(self._unconfirmed.popleft()[1])
        self._named = max(self._named, sequence)
        found: list[VenueReport] = []
        for number, report in reversed(self._tape):
            if number <= sequence:
                break
            found.append(report)
        return (self._tape[-1][0] if found else sequence), tuple(reversed(found))

    def told(self, agent: str, name: str) -> list[VenueReport]:
        """Reports of the order that has or had this id, in order."""
        order = self.find(agent, name)
        return self._told.get(f"{agent} {name}" if order is None else order.key, [])

    def reports_of(self, question: Question) -> Reports:
        """All reports of the order that a question was about, agreeing with its answer.

        Raises:
            MalformedInput: they contradict each other, or the answer tells of reports that have
                not come.
        """
        status = question.status
        if status is None:
            raise MalformedInput("the question was not answered")
        order = self.find(question.agent, question.name)
        told = tuple(self.told(question.agent, question.name))
        if not told:
            return (status_report(status, question.agent, question.name, self._venue),)
        if is_unknown(status) and any(one.exec_type != "rejected" for one in told):
            raise MalformedInput("the venue says that it never saw what it has reported")
        if order is not None and order.ended != (status.get(Tag.OrdStatus) in ENDED):
            raise MalformedInput("the venue's answer and its reports differ in whether it ended")
        # Of a rejected amendment the fill is not known; every other report says it.
        counted = [parse_amount(one.cum_quantity) for one in told if one.exec_id[:7] != "reject-"]
        if counted and counted[-1] != filled(status):
            raise MalformedInput("the venue's answer contradicts its reports")
        return told

    def _execution(self, delivered: Delivered) -> VenueReport | None:
        message = delivered.message
        agent, order = self._about(message)
        name = message.get(Tag.ClOrdID) if order is None else order.client_order_id
        said = message.get(Tag.ExecType)
        if said == "I":
            self._answered(message, agent, name)
            return None
        if said in PENDING:
            return None
        if order is not None and (said == "5" or message.get(Tag.ClOrdID) in order.ids):
            name = message.get(Tag.ClOrdID)
        report = execution(message, agent, name, self._venue)
        if order is not None:
            self._update(order, report, message)
        self._tell(order, report)
        for question, future in list(self._waiting.values()):
            if question.agent != agent or future.done():
                continue
            asked = question.kind in ("D", "G") and question.name == name
            ids = [] if order is None else order.ids
            ends = question.kind == "F" and said in ("4", "C") and question.name in ids
            if asked or ends:
                future.set_result((report,))
        return report

    def _tell(self, order: SentOrder | None, report: VenueReport) -> None:
        named = f"{report.agent} {report.client_order_id}"
        self._told.setdefault(named if order is None else order.key, []).append(report)

    def _update(self, order: SentOrder, report: VenueReport, message: FixMessage) -> None:
        order.venue_order_id = report.venue_order_id or order.venue_order_id
        if report.exec_type == "replaced":
            order.client_order_id = report.client_order_id
            order.quantity = message.get(Tag.OrderQty) or order.quantity
        elif report.exec_type != "rejected" or report.client_order_id == order.ids[0]:
            # An amendment that is rejected by an ExecutionReport does not end its order.
            order.ended = message.get(Tag.OrdStatus) in ENDED
        self.keep(order)

    def _about(self, message: FixMessage) -> tuple[str, SentOrder | None]:
        """The agent and the order that a message names."""
        names = (message.get(Tag.ClOrdID), message.get(Tag.OrigClOrdID))
        if self._agent_sub_id:
            agent = message.header.get(Tag.TargetSubID, "")
        else:
            agent = next((self._owner[name] for name in names if name in self._owner), "")
        found = (self.find(agent, name) for name in names)
        return agent, next((order for order in found if order is not None), None)

    def _answered(self, message: FixMessage, agent: str, name: str) -> None:
        """An ExecutionReport that answers a question."""
        request = message.get(Tag.OrdStatusReqID) or message.get(Tag.MassStatusReqID)
        for question, future in list(self._waiting.values()):
            if future.done():
                continue
            if question.kind == "AF" and question.request == request:
                self._listed(question, message, agent, name, future)
            elif question.kind == "H" and (
                question.request == request if request else question.name == name
            ):
                question.status = message
                future.set_result(())

    def _listed(
        self,
        question: Question,
        message: FixMessage,
        agent: str,
        name: str,
        future: asyncio.Future[Reports],
    ) -> None:
        total = message.get(Tag.TotNumReports)
        if message.get(Tag.OrdStatus) not in ENDED and total != "0":
            question.listed += 1
            if agent == question.agent:
                question.names.add(name)
        if message.get(Tag.LastRptRequested) == "Y" or total == "0":
            if question.listed == int(total or "-1"):
                future.set_result(())
            else:
                future.set_exception(OutcomeUnknown("the list of open orders is not whole"))

    def _cancel_reject(self, delivered: Delivered) -> VenueReport | None:
        message = delivered.message
        agent, order = self._about(message)
        amends = message.get(Tag.CxlRejResponseTo) == "2"
        report = None
        if amends and order is not None:
            number = delivered.epoch * EPOCH + delivered.sequence
            report = amendment_rejected(message, order, self._venue, number)
            self._tell(order, report)
        name = message.get(Tag.ClOrdID)
        for question, future in list(self._waiting.values()):
            if question.agent != agent or future.done():
                continue
            if question.kind == "G" and question.name == name and report is not None:
                future.set_result((report,))
            elif question.kind == "F" and question.request == name:
                future.set_result(())
        if amends and order is None:
            raise MalformedInput(f"an amendment {name} of no order of ours was rejected")
        return report

    def _other(self, message: FixMessage) -> None:
        """A heartbeat that was asked for, or a message of ours that the venue did not take."""
        if message.kind == "0":
            for question, future in self._waiting.values():
                asked = question.kind == "1" and question.request == message.get(Tag.TestReqID)
                if asked and not future.done():
                    future.set_result(())
            return
        number = message.get(Tag.RefSeqNum)
        refused = self._waiting.get(int(number)) if number.isdecimal() else None
        text = f"{message.get(Tag.RefMsgType)} was refused: {message.get(Tag.Text)}"
        if refused is not None and not refused[1].done():
            refused[1].set_exception(Unavailable(f"{self._venue}: {text}"))
        else:
            raise MalformedInput(text)
