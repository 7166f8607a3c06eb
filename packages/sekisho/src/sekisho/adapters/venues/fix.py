# SPDX-License-Identifier: Apache-2.0
"""A venue that speaks FIX 4.4, behind the ``Venue`` port (docs/spec/fix.md section 6).

The session is the gate's: one initiator, logged on with the venue's credential. Nothing is sent
twice. An order that may have left is never sent again, not as a new message and not when the venue
asks for it: the venue gets a gap fill. So an order that it says it does not know will not come.

What a crash leaves: the order's note and its number are durable before the bytes leave; reports
that the gate has not confirmed come again from the venue, under the same numbers.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from sekisho.adapters.fix.codec import Pairs, write_time
from sekisho.adapters.fix.dictionary import VENUE_REQUIRED, Tag, plain_text
from sekisho.adapters.fix.driving import drive
from sekisho.adapters.fix.outbox import SessionTerms
from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.venues.fix_reports import (
    ENDED,
    SentOrder,
    about_fields,
    order_fields,
    sent_order,
)
from sekisho.adapters.venues.fix_tape import FixTape, Question
from sekisho.adapters.venues.fix_tls import verifies
from sekisho.adapters.web.listening import parse_tcp, stays_here
from sekisho.core.encoding import canonical
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    OutcomeUnknown,
    Unavailable,
)
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock, Disk, VenueReport

Reports = tuple[VenueReport, ...]
CONNECT_S = 5.0
BACKOFF_MIN_S = 0.25
BACKOFF_MAX_S = 15.0
STEADY_S = 5.0
"""A connection that lasted so long was a good one: the next is tried at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixVenueTerms:
    """One venue's session, as configured.

    Attributes:
        name: the venue, as permits write it.
        address: ``unix:PATH`` or ``HOST:PORT``.
        own_comp_id, venue_comp_id: CompIDs.
        username, password: for the logon; empty: none. The password is the venue's credential.
        heartbeat_s: HeartBtInt.
        reset: both sequences begin anew at each logon; then what was missed is not resent.
        agent_sub_id: requests carry the agent as SenderSubID and the venue answers with it as
            TargetSubID; otherwise an order id is one agent's at this venue.
        permit_tag: the tag in which an order carries its permit; 0: the venue takes none.
        mass_status: the venue answers OrderMassStatusRequest (AF).
        answer_wait_s: seconds until an answer that has not come makes an outcome unknown.
        tls: of the client, verifying the server; None: plain, on this machine alone.
        server_name: in the server's certificate; empty: the host of ``address``.
    """

    name: str
    address: str
    own_comp_id: str
    venue_comp_id: str
    username: str = ""
    password: str = ""
    heartbeat_s: int = 10
    reset: bool = False
    agent_sub_id: bool = True
    permit_tag: int = 0
    mass_status: bool = False
    answer_wait_s: float = 2.0
    tls: ssl.SSLContext | None = None
    server_name: str = ""


class FixVenue:
    """The connector. Made by :meth:`open`, connected from :meth:`start` to :meth:`close`."""

    def __init__(self, terms: FixVenueTerms, store: FixStore, clock: Clock) -> None:
        session = SessionTerms(
            own=terms.own_comp_id,
            peer=terms.venue_comp_id,
            initiator=True,
            kinds=VENUE_REQUIRED,
            tags={},
            replays=False,
            heartbeat_s=terms.heartbeat_s,
            reset=terms.reset,
            username=terms.username,
            password=terms.password,
        )
        self.session = SessionMachine(session, store, clock)
        self.tape = FixTape(terms.name, self.session, agent_sub_id=terms.agent_sub_id)
        self.ended = ""
        """Why the last connection ended."""
        self._terms = terms
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._not_sent_count = 0

    @classmethod
    async def open(cls, terms: FixVenueTerms, disk: Disk, clock: Clock) -> FixVenue:
        """Read the session's file.

        Raises:
            ConfigurationInvalid: plain to another machine, or TLS that verifies nobody.
            StorageFailed: it cannot be read.
        """
        if terms.tls is None and not stays_here(terms.address):
            raise ConfigurationInvalid(
                f"{terms.address}: FIX to another machine wants TLS", terms.address, "write tls"
            )
        if terms.tls is not None and not verifies(terms.tls):
            raise ConfigurationInvalid(f"{terms.address}: TLS that verifies nobody", terms.address)
        return cls(terms, await FixStore.open(disk, f"fix-venue-{terms.name}"), clock)

    @property
    def name(self) -> str:
        """The venue's name."""
        return self._terms.name

    def start(self) -> None:
        """Connect, and connect again whenever the connection ends."""
        self._running = asyncio.create_task(self._run())

    async def logged_on(self, wait_s: float) -> None:
        """Return when the session is logged on and misses nothing.

        Raises:
            Unavailable: not within ``wait_s`` seconds; why the last connection ended.
        """
        try:
            async with asyncio.timeout(wait_s):
                while not self.session.synchronised:  # noqa: ASYNC110 - waits for another task
                    await asyncio.sleep(0.005)
        except TimeoutError as error:
            raise Unavailable(f"not logged on to {self.name}: {self.ended}") from error

    async def close(self) -> None:
        """Log out and connect no more."""
        self._closing = True
        if self._running is None:
            return
        if self.session.state == "active":
            self.session.logout("the gate ends")
            await asyncio.wait({self._running}, timeout=2)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    # -- the port -----------------------------------------------------------------------------

    async def submit(self, permit: str) -> Reports:
        """See the port.

        What cannot be sent as it is, or was sent, is answered here, by a rejection of no order.
        """
        try:
            read, order = self._read(permit)
        except MalformedInput as error:
            return (self._not_sent(str(error)),)
        replaces = read.replaces if isinstance(read.replaces, str) else ""
        known = self.tape.find(read.agent, replaces) if replaces else None
        if self.tape.find(read.agent, order.client_order_id) is not None:
            return (self._not_sent("sent before"),)
        if self.tape.taken_by_another(read.agent, order.client_order_id):
            return (self._not_sent("an order of another agent has this id"),)
        if replaces and known is None:
            return (self._not_sent(f"{replaces} was never sent"),)
        venue_order_id = known.venue_order_id if known is not None else ""
        fields = order_fields(order, self._clock.now_ns(), replaces, venue_order_id)
        if self._terms.permit_tag:
            fields.append((self._terms.permit_tag, permit))
        kind = "G" if replaces else "D"
        question = Question(kind, read.agent, order.client_order_id)
        kept = known if known is not None else sent_order(read.agent, order)
        before = len(self.tape.told(read.agent, replaces)) if replaces else 0
        try:
            await self._ask(question, fields, kept)
        except MalformedInput as error:
            return (self._not_sent(f"does not fit into a message: {error}"),)
        # What came with the first answer is part of it: a fill, for instance.
        return tuple(self.tape.told(read.agent, order.client_order_id)[before:])

    async def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See the port."""
        order = self.tape.find(agent, client_order_id)
        if order is None or order.ended:
            return await self.order_reports(agent, client_order_id)
        question = Question("F", agent, order.client_order_id, self._request_id())
        fields = [(Tag.OrigClOrdID, order.client_order_id), (Tag.ClOrdID, question.request)]
        fields += [(Tag.TransactTime, write_time(self._clock.now_ns()))]
        fields += [(Tag.OrderQty, order.quantity)]
        reports = await self._ask(question, [*fields, *about_fields(order)])
        return reports or await self.order_reports(agent, client_order_id)

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        """See the port: by OrderMassStatusRequest where the venue has it, else order by order."""
        if self._terms.mass_status:
            question = Question("AF", agent, "", self._request_id())
            fields = [(Tag.MassStatusReqID, question.request), (Tag.MassStatusReqType, "7")]
            await self._ask(question, fields)
            return tuple(sorted(question.names))
        found: set[str] = set()
        for order in self.tape.open_orders(agent):
            question = await self._status(agent, order.client_order_id)
            if question.status is not None and question.status.get(Tag.OrdStatus) not in ENDED:
                found.add(order.client_order_id)
        return tuple(sorted(found))

    async def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """See the port: what the venue told of it, once an answer to a question agrees with it.

        Raises:
            OutcomeUnknown: the answer and the reports contradict each other.
        """
        question = await self._status(agent, client_order_id)
        try:
            return self.tape.reports_of(question)
        except MalformedInput as error:
            raise OutcomeUnknown(f"{self.name}: {client_order_id}: {error}") from error

    async def reports_since(self, sequence: int) -> tuple[int, Reports]:
        """See the port.

        What a caller has named as read is not asked for again after a restart, one call later: by
        then it has recorded it.
        """
        if not self.session.synchronised:
            raise Unavailable(f"not logged on to {self.name}, or reports are missing: {self.ended}")
        question = Question("1", "", "", self.session.probe())
        await self._wait(self.session.store.next_out - 1, question)
        return self.tape.since(sequence)

    # -- asking -------------------------------------------------------------------------------

    def _read(self, permit: str) -> tuple[Permit, NewOrder]:
        """The permit and the order in it. Raises MalformedInput: not one for this venue."""
        try:
            read = read_permit(permit)
            order = parse_order(canonical(read.order))
        except UnicodeError as error:
            raise MalformedInput("not a permit") from error
        if not isinstance(order, NewOrder) or read.venue != self.name:
            raise MalformedInput("not a permit for this venue")
        return read, order

    def _not_sent(self, reason: str) -> VenueReport:
        """That nothing was sent, as a report about no order: it closes and frees nothing."""
        self._not_sent_count += 1
        return VenueReport(
            agent="",
            client_order_id="",
            venue_order_id="",
            exec_id=f"not-sent-{self._not_sent_count}",
            exec_type="rejected",
            last_quantity="0",
            last_price="0",
            cum_quantity="0",
            leaves_quantity="0",
            counterparty=self.name,
            reason=plain_text(f"not_sent: {reason}"),
            transact_at=format_instant(self._clock.now_ns()),
        )

    def _request_id(self) -> str:
        """An id that no other request of this session has or had."""
        return f"x{self.session.store.epoch}-{self.session.store.next_out}"

    async def _status(self, agent: str, client_order_id: str) -> Question:
        question = Question("H", agent, client_order_id, self._request_id())
        order = self.tape.find(agent, client_order_id)
        fields: Pairs = [(Tag.ClOrdID, client_order_id), (Tag.OrdStatusReqID, question.request)]
        await self._ask(question, [*fields, *about_fields(order)])
        return question

    async def _ask(
        self, question: Question, fields: Pairs, kept: SentOrder | None = None
    ) -> Reports:
        """Send a request and wait for what answers it."""
        header = [(Tag.SenderSubID, question.agent)] if self._terms.agent_sub_id else []
        number = self.session.send(question.kind, fields, header)
        if kept is not None:
            # Durable together with the number, before a byte leaves.
            if question.name not in kept.ids:
                kept.ids.append(question.name)
            self.tape.keep(kept)
        return await self._wait(number, question)

    async def _wait(self, number: int, question: Question) -> Reports:
        future = self.tape.expect(number, question)
        try:
            async with asyncio.timeout(self._terms.answer_wait_s):
                return await future
        except TimeoutError as error:
            raise OutcomeUnknown(f"no answer from {self.name} within the time allowed") from error
        finally:
            self.tape.forget(number)

    # -- the connection -----------------------------------------------------------------------

    async def _run(self) -> None:
        wait = BACKOFF_MIN_S
        while not self._closing:
            try:
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await self._connect()
            except (OSError, TimeoutError) as error:
                self.ended = f"no connection: {error}"
            else:
                began = self._clock.monotonic_ns()
                try:
                    self.ended = await drive(
                        self.session, reader, writer, self._clock, self._deliver
                    )
                finally:
                    self.tape.cut(self.session.outbox.written)
                if self._clock.monotonic_ns() - began > STEADY_S * NS:
                    wait = BACKOFF_MIN_S
            if not self._closing:
                await self._clock.sleep(wait)
            wait = min(wait * 2, BACKOFF_MAX_S)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._terms.address
        if address.startswith("unix:"):
            return await asyncio.open_unix_connection(Path(address.removeprefix("unix:")))
        host, port = parse_tcp(address)
        if self._terms.tls is None:
            return await asyncio.open_connection(host, port)
        name = self._terms.server_name or host
        return await asyncio.open_connection(host, port, ssl=self._terms.tls, server_hostname=name)

    def _deliver(self, delivered: Delivered) -> None:
        self.tape.take(delivered)
