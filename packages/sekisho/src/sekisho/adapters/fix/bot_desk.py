# SPDX-License-Identifier: Apache-2.0
"""One bot's FIX session with the gate: its requests in, answers and executions out.

Nothing is decided here: a request becomes the bytes of an order, the gate answers, and what it
answers is said in FIX (docs/spec/fix.md, 4 and 5). Requests begin in the order in which they came;
one about an order waits for that order's own request, but not for ever: a cancel goes out although
the venue has not answered.

A request is done when its answer is durable in the session's store. What a crash leaves undone
comes again, as a possible duplicate, and gets the gate's first answer. Executions are told once
they are durable in the gate's log, in its order; after a restart from where the store left off.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sekisho.adapters.fix.bot_news import BotGate, BotNews, GateAnswer
from sekisho.adapters.fix.bot_orders import (
    SHOWN_MAX,
    BotBook,
    BotOrder,
    Fields,
    cancel_rejected,
    differs,
    order_of,
    report,
)
from sekisho.adapters.fix.dictionary import (
    BOT_REQUIRED,
    BOT_TAGS,
    CXL_REJ_REASON,
    NO_AGENT,
    NOT_AVAILABLE,
    ORD_REJ_REASON,
    OTHER,
    Tag,
    plain_text,
)
from sekisho.adapters.fix.outbox import SessionTerms
from sekisho.adapters.fix.requests import amend_body, cancel_body, new_body
from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.adapters.fix.store import FixStore
from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed
from sekisho.ports import Clock

TURN_WAIT_S = 1.0
"""So long a request waits for an earlier one about the same order."""
UNDER_WAY_MAX = 64
AFFECTED_MAX = 60
_REPEATED = (Tag.ClOrdID, Tag.OrigClOrdID, Tag.OrdStatusReqID, Tag.MassCancelRequestType)
"""What an answer repeats whole: a cut id would be another one."""


class BotTerms(Protocol):
    """One bot's session; ``front.BotSession`` is such."""

    @property
    def comp_id(self) -> str: ...

    @property
    def own_comp_id(self) -> str: ...

    @property
    def agent(self) -> str: ...

    @property
    def venue(self) -> str: ...

    @property
    def account(self) -> str: ...

    @property
    def reset(self) -> bool: ...


class BotDesk:
    """Answers one bot. Made before its first connection, lives as long as the gate."""

    def __init__(self, bot: BotTerms, store: FixStore, gate: BotGate, clock: Clock) -> None:
        terms = SessionTerms(
            own=bot.own_comp_id,
            peer=bot.comp_id,
            initiator=False,
            kinds=BOT_REQUIRED,
            tags=BOT_TAGS,
            replays=True,
            reset=bot.reset,
        )
        self.session = SessionMachine(terms, store, clock)
        self._bot = bot
        self._store = store
        self._gate = gate
        self._clock = clock
        self._book = BotBook(store)
        self._news = BotNews(bot.agent, self._book, store, gate, clock, self._send)
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Catch up with the gate's log, then follow it."""
        self._news.start()

    async def close(self) -> None:
        """Let requests under way end, then follow no more."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        await self._news.close()

    def deliver(self, delivered: Delivered) -> None:
        """Take a message of the session."""
        message = delivered.message
        cancels = message.kind in ("F", "q")
        if message.kind in ("0", "3"):  # the bot could not read us; it knows why
            self.session.done(delivered)
            return
        if not cancels and len(self._tasks) >= UNDER_WAY_MAX:
            self._not_available(delivered, "too many requests are under way; ask again")
            self.session.done(delivered)
            return
        task = asyncio.create_task(self._handle(delivered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        name = message.get(Tag.ClOrdID)
        if message.kind in ("D", "G") and name not in self._turns:
            self._turns[name] = task
            task.add_done_callback(lambda _: self._turns.pop(name, None))

    async def _handle(self, delivered: Delivered) -> None:
        before = self._turns.get(delivered.message.get(Tag.OrigClOrdID))
        if before is not None:
            await asyncio.wait({before}, timeout=TURN_WAIT_S)
        try:
            await self._act(delivered)
        except MalformedInput as error:
            # Whatever was done stays done, and H tells of it; the request has its answer.
            self._not_said(delivered, f"the answer cannot be written: {error}")
        # A crash before this is done: the request comes again and gets the first answer.
        self.session.done(delivered)
        try:
            await self._store.flush()
        except (StorageFailed, OutcomeUnknown):
            # The store remembers that it failed: nothing more is written to the connection.
            self.session.logout("the session's file failed")

    async def _act(self, delivered: Delivered) -> None:
        message = delivered.message
        if any(len(message.get(tag)) > SHOWN_MAX for tag in _REPEATED):
            await self._unnamed(delivered)
            return
        kinds = {
            "D": self._new,
            "G": self._amend,
            "F": self._cancel,
            "H": self._ask,
            "q": self._cancel_all,
        }
        await kinds[message.kind](delivered)

    # -- requests -----------------------------------------------------------------------------

    async def _unnamed(self, delivered: Delivered) -> None:
        """A request under a name that none has: the gate refuses and records it as it came."""
        message = delivered.message
        texts = ["a name is too long to be repeated"]
        if message.kind in ("D", "G", "F"):
            bodies = {"G": amend_body, "F": cancel_body}
            body = (
                new_body(message, self._bot.venue, self._bot.account)
                if message.kind == "D"
                else bodies[message.kind](message)
            )
            answer = await self._gate.submit(self._bot.agent, body)
            texts += [reason.code for reason in answer.reasons] or [answer.kind]
        self._not_said(delivered, ",".join(texts))

    async def _new(self, delivered: Delivered) -> None:
        message = delivered.message
        known = self._book.find(message.get(Tag.ClOrdID))
        order = order_of(message)
        if known is None:
            self._book.keep(order)
        body = new_body(message, self._bot.venue, self._bot.account)
        answer = await self._gate.submit(self._bot.agent, body)
        await self._news.caught_up()
        if answer.kind not in ("permitted", "possibly_issued"):
            if known is None:
                self._book.forget(order)
            self._refused(order, answer, delivered)
        elif known is not None:
            self._status(known, "")
        else:
            if not order.told:
                self._news.look_back(order, answer.decision)
            if not order.told:
                text = answer.order_state or answer.kind
                self._send_report(order, "A", f"gate-{answer.decision}", Text=text)

    async def _amend(self, delivered: Delivered) -> None:
        message = delivered.message
        name, order = message.get(Tag.ClOrdID), self._book.find(message.get(Tag.OrigClOrdID))
        if order is None:
            self._cancel_reject(delivered, None, "1", "not an order of this session")
            return
        if name in order.ids and order.amendment != name:
            self._status(order, "")
            return
        asked = order_of(message)
        wrong = differs(order, asked)
        if wrong or order.amendment not in ("", name):
            text = wrong or "another amendment is not answered"
            self._cancel_reject(delivered, order, OTHER if wrong else "3", text)
            return
        order.begin_amendment(name, asked.quantity, asked.price)
        self._book.keep(order)
        answer = await self._gate.submit(self._bot.agent, amend_body(message))
        await self._news.caught_up()
        if order.amendment != name:
            return  # the venue has answered, and the bot was told
        if answer.kind not in ("permitted", "possibly_issued"):
            self._book.drop_amendment(order)
            self._refused(order, answer, delivered)
            return
        self._news.look_back(order, answer.decision)
        if order.amendment == name:
            self._send_report(
                order,
                "E",
                f"gate-{answer.decision}",
                ClOrdID=name,
                OrdStatus="E",
                OrigClOrdID=order.client_order_id,
                Text=answer.order_state or answer.kind,
            )

    async def _cancel(self, delivered: Delivered) -> None:
        message = delivered.message
        name, about = message.get(Tag.ClOrdID), message.get(Tag.OrigClOrdID)
        known = self._book.find(about)
        order = known or order_of(message)
        was_ended = order.ended
        if not was_ended:
            order.cancel = name
            self._book.keep(order)
        answer = await self._gate.submit(self._bot.agent, cancel_body(message))
        await self._news.caught_up()
        if answer.kind != "permitted":
            order.cancel = ""
            if known is None:
                self._book.forget(order)
            self._refused(order if known else None, answer, delivered)
        elif was_ended:
            self._status(order, "")
        elif order.cancel == name and order.ended:
            order.cancel = ""
            self._book.keep(order)
            self._cancel_reject(delivered, order, "0", "it ended before it could be cancelled")
        elif order.cancel == name:
            self._send_report(
                order,
                "6",
                f"gate-{answer.decision}",
                ClOrdID=name,
                OrdStatus="6",
                OrigClOrdID=order.client_order_id,
                Text="the venue has not confirmed it",
            )

    async def _ask(self, delivered: Delivered) -> None:
        message = delivered.message
        order = self._book.find(message.get(Tag.ClOrdID))
        await self._news.caught_up()
        if order is not None:
            self._status(order, message.get(Tag.OrdStatusReqID))
            return
        unknown = order_of(message)
        unknown.first_id, unknown.status, unknown.leaves = "NONE", "8", "0"
        self._send_report(
            unknown,
            "I",
            "0",
            OrdStatusReqID=message.get(Tag.OrdStatusReqID),
            OrdRejReason="5",
            Text="not an order of this session",
        )

    async def _cancel_all(self, delivered: Delivered) -> None:
        message = delivered.message
        name, kind = message.get(Tag.ClOrdID), message.get(Tag.MassCancelRequestType)
        fields: Fields = [
            (Tag.ClOrdID, name),
            (Tag.OrderID, name),
            (Tag.MassCancelRequestType, kind),
        ]
        if kind != "7":
            fields += [(Tag.MassCancelResponse, "0"), (Tag.MassCancelRejectReason, OTHER)]
            fields.append((Tag.Text, "MassCancelRequestType is 7, everything"))
            self._send("r", fields)
            return
        gone, left = await self._gate.cancel_all(self._bot.agent, name)
        await self._news.caught_up()
        # What is not confirmed is not done: it never looks like success.
        fields.append((Tag.MassCancelResponse, "0" if left else "7"))
        if left:
            fields.append((Tag.MassCancelRejectReason, OTHER))
        fields.append((Tag.TotalAffectedOrders, str(len(gone))))
        if left:
            fields.append((Tag.Text, plain_text("not confirmed: " + ",".join(left))))
        if gone:
            fields.append((Tag.NoAffectedOrders, str(min(len(gone), AFFECTED_MAX))))
        for one in gone[:AFFECTED_MAX]:
            fields += [(Tag.OrigClOrdID, one), (Tag.AffectedOrderID, one)]
        self._send("r", fields)

    # -- answers ------------------------------------------------------------------------------

    def _refused(self, order: BotOrder | None, answer: GateAnswer, delivered: Delivered) -> None:
        codes = [reason.code for reason in answer.reasons]
        # Worth another try only where nothing else is wrong with it.
        lasting = [] if NO_AGENT in codes else [one for one in codes if one not in NOT_AVAILABLE]
        text = ",".join(codes) or f"{answer.kind}: {answer.detail}"
        if answer.kind == "unavailable" or (codes and not lasting):
            self._not_available(delivered, text)
        elif delivered.message.kind != "D":
            first = CXL_REJ_REASON.get(lasting[0], OTHER) if lasting else OTHER
            self._cancel_reject(delivered, order, first, text)
        elif order is not None:
            order.status = "8"
            first = ORD_REJ_REASON.get(lasting[0], OTHER) if lasting else OTHER
            name = f"gate-{answer.decision}"
            self._send_report(order, "8", name, OrdRejReason=first, Text=text)

    def _not_available(self, delivered: Delivered, text: str) -> None:
        self._not_said(delivered, text, "4")

    def _not_said(self, delivered: Delivered, text: str, reason: str = "0") -> None:
        """BusinessMessageReject (j), which can be written whatever the request was."""
        fields: Fields = [
            (Tag.RefSeqNum, str(delivered.sequence)),
            (Tag.RefMsgType, delivered.message.kind),
            (Tag.BusinessRejectRefID, plain_text(delivered.message.get(Tag.ClOrdID), SHOWN_MAX)),
            (Tag.BusinessRejectReason, reason),
            (Tag.Text, plain_text(text)),
        ]
        self._send("j", fields)

    def _cancel_reject(
        self, delivered: Delivered, order: BotOrder | None, reason: str, text: str
    ) -> None:
        message = delivered.message
        about, to = message.get(Tag.OrigClOrdID), "2" if message.kind == "G" else "1"
        fields = cancel_rejected(order, message.get(Tag.ClOrdID), about, to, reason, text)
        self._send("9", fields)

    def _status(self, order: BotOrder, request: str) -> None:
        self._send_report(order, "I", "0", OrdStatusReqID=request)

    def _send_report(self, order: BotOrder, exec_type: str, exec_id: str, **more: str) -> None:
        self._send("8", report(order, exec_type, exec_id, self._clock.now_ns(), **more))

    def _send(self, kind: str, fields: Fields) -> None:
        self.session.send(kind, fields)
