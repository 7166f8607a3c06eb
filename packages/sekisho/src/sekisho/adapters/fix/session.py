# SPDX-License-Identifier: Apache-2.0
"""One FIX session as a machine without a socket: bytes in, messages and bytes out.

Logon, sequence numbers, heartbeats, resends, rejects, logout (docs/spec/fix.md section 2). It reads
the clock that it is given and waits for nothing; ``driving`` moves the bytes and makes the numbers
durable before they leave. What a message asks for is the application's business.

A number is *handled* when the application says so (:meth:`SessionMachine.done`). What was not when
the process ended is asked for again after the next logon.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sekisho.adapters.fix.codec import FixMessage, Framer, MessageRejected, Pairs, parse
from sekisho.adapters.fix.dictionary import ADMIN, Tag, plain_text
from sekisho.adapters.fix.judging import (
    number,
    original_time_is_wrong,
    time_is_wrong,
    wrong_fields,
    wrong_logon,
)
from sekisho.adapters.fix.outbox import Outbox, SessionTerms
from sekisho.adapters.fix.store import FixStore
from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.terms import NS
from sekisho.ports import Clock

HELD_MAX = 1_000
"""Messages kept behind a gap; what is above comes again with the resend."""
LOGON_WAIT_S = 10
LOGOUT_WAIT_S = 5
_SILENCE = 12  # tenths of a heartbeat until a TestRequest; twice as many until the end
_GAP_BEATS = 3

State = Literal["closed", "logon_awaited", "logon_sent", "active", "logging_out"]


class Delivered(NamedTuple):
    """A message for the application. ``epoch`` and ``sequence`` are its name for ``done``."""

    epoch: int
    sequence: int
    message: FixMessage


class SessionMachine:
    """One session; it lives longer than its connections.

    Attributes:
        state: of the present connection.
        expected: the next MsgSeqNum from the other side.
        inbox: application messages and Rejects, in order; the driver takes them out.
        outbox: what is said to the other side.
        over: why the connection ends after what waits was written; empty while it goes on.
    """

    def __init__(self, terms: SessionTerms, store: FixStore, clock: Clock) -> None:
        self.terms = terms
        self.store = store
        self.state: State = "closed"
        self.expected = store.next_in
        self.inbox: list[Delivered] = []
        self.outbox = Outbox(terms, store, clock)
        self.over = ""
        self.heartbeat_s = terms.heartbeat_s
        self._clock = clock
        self._framer = Framer()
        self._held: dict[int, FixMessage | None] = {}
        self._asked_at = -1
        self._unhandled: set[int] = set()
        self._heard_at = self._since = 0
        self._testing = False

    # -- the connection -----------------------------------------------------------------------

    def attach(self) -> None:
        """A connection was made; an initiator logs on."""
        now = self._clock.monotonic_ns()
        self._framer = Framer()
        self.outbox.begin()
        self._held.clear()
        self._asked_at, self.over, self._testing = -1, "", False
        self._heard_at = self._since = now
        self.heartbeat_s = self.terms.heartbeat_s
        if not self.terms.initiator:
            self.state = "logon_awaited"
            return
        if self.terms.reset:
            self._begin_anew()
        self.state = "logon_sent"
        fields = [(Tag.EncryptMethod, "0"), (Tag.HeartBtInt, str(self.terms.heartbeat_s))]
        fields += [(Tag.ResetSeqNumFlag, "Y")] if self.terms.reset else []
        fields += [(Tag.Username, self.terms.username)] if self.terms.username else []
        fields += [(Tag.Password, self.terms.password)] if self.terms.password else []
        self.outbox.send("A", fields)

    def detach(self) -> None:
        """The connection is gone; what was not written will not be."""
        self.state = "closed"
        self.outbox.waiting.clear()
        self._held.clear()

    def receive(self, data: bytes) -> None:
        """Take bytes of the other side."""
        self._heard_at, self._testing = self._clock.monotonic_ns(), False
        try:
            bodies = self._framer.feed(data)
        except MalformedInput as error:
            self._end(f"the stream cannot be read: {error}")
            return
        for body in bodies:
            if self.over:
                return
            try:
                message = parse(body)
            except MessageRejected as rejected:
                self._malformed(rejected)
                continue
            self._arrived(message)

    def tick(self) -> None:
        """Let time have its effect: heartbeats, tests, ends. To be called a few times a second."""
        now, beat = self._clock.monotonic_ns(), self.heartbeat_s * NS
        if self.outbox.full:
            self._end("the other side does not read")
        if self.state in ("logon_awaited", "logon_sent"):
            if now - self._since >= LOGON_WAIT_S * NS:
                self._end("no logon within the time allowed")
            return
        if self.state == "logging_out":
            if now - self._since >= LOGOUT_WAIT_S * NS:
                self._end("no answer to our logout")
            return
        if self.state != "active":
            return
        silent = now - self._heard_at
        if silent * 10 >= beat * _SILENCE * 2:
            self._end("the other side is silent")
        elif silent * 10 >= beat * _SILENCE and not self._testing:
            self._testing = True
            self.outbox.send("1", [(Tag.TestReqID, f"T{self.store.next_out}")])
        elif now - self.outbox.sent_at >= beat:
            self.outbox.send("0", [])
        if self._asked_at >= 0 and now - self._asked_at >= beat * _GAP_BEATS:
            self.logout("a gap was not filled")

    # -- the application ----------------------------------------------------------------------

    def send(self, kind: str, body: Pairs, header: Pairs = ()) -> int:
        """Send an application message; returns its MsgSeqNum.

        Without a connection a session that replays keeps it for the next one.

        Raises:
            Unavailable: not logged on, and what is sent here is never sent later.
            MalformedInput: it cannot be written; no number was used.
        """
        if self.state != "active" and not self.terms.replays:
            raise Unavailable(f"not logged on to {self.terms.peer}")
        live = self.state == "active"
        return self.outbox.send(kind, body, header, keep=self.terms.replays, live=live)

    @property
    def synchronised(self) -> bool:
        """Whether we are logged on and nothing is missing that the other side sent."""
        return self.state == "active" and self._asked_at < 0

    def probe(self) -> str:
        """Ask for a heartbeat; returns its TestReqID.

        When it comes (in the inbox), everything has come that the other side sent before it.
        """
        name = f"P{self.store.epoch}-{self.store.next_out}"
        self.outbox.send("1", [(Tag.TestReqID, name)])
        return name

    def done(self, delivered: Delivered) -> None:
        """The application has handled this message to its end."""
        if delivered.epoch == self.store.epoch:
            self._unhandled.discard(delivered.sequence)
            self._mark()

    def logout(self, text: str) -> None:
        """Say that we go; the connection ends with the answer, or without one after a while."""
        if self.state in ("active", "logon_awaited", "logon_sent"):
            self.outbox.send("5", [(Tag.Text, plain_text(text))])
            self.state, self._since = "logging_out", self._clock.monotonic_ns()

    # -- arriving -----------------------------------------------------------------------------

    def _arrived(self, message: FixMessage) -> None:
        ids = (message.header[Tag.SenderCompID], message.header[Tag.TargetCompID])
        if ids != (self.terms.peer, self.terms.own):
            self._refuse(message, 9, Tag.SenderCompID, "these are not the agreed CompIDs")
            return
        if self.state in ("logon_awaited", "logon_sent"):
            if message.kind == "5" and self.terms.initiator:
                self._count_if_expected(message)
                self._end(f"logged out: {message.get(Tag.Text)}")
            elif message.kind != "A":
                self._end("the first message is not a logon")
            else:
                self._logon(message)
            return
        if time_is_wrong(message, self._clock.now_ns()):
            self._refuse(message, 10, Tag.SendingTime, "SendingTime is not near our clock")
            return
        if message.kind == "4" and message.get(Tag.GapFillFlag) != "Y":
            self._jump(message, self.expected)
            self._release_held()
        elif message.sequence > self.expected:
            self._behind_a_gap(message)
        elif message.sequence < self.expected:
            self._too_low(message)
        else:
            self._in_turn(message)
            self._release_held()

    def _malformed(self, rejected: MessageRejected) -> None:
        """A message that can be cut out and not be read."""
        if self.state not in ("active", "logging_out") or not rejected.sequence:
            # Without a number nothing can be answered, and before a logon nobody is.
            self.logout("MsgSeqNum is missing") if self.state == "active" else None
            self._end(f"malformed: {rejected}")
        elif rejected.sequence > self.expected:
            self._ask_for_gap()
        elif rejected.sequence == self.expected:
            self.expected += 1
            self._mark()
            self.outbox.reject(rejected)
            self._release_held()

    def _refuse(self, message: FixMessage, reason: int, tag: int, text: str) -> None:
        """Reject, then logout: the other side is not who or when it should be."""
        if self.state != "active":
            self._end(text)
            return
        self._count_if_expected(message)
        self._note_reject(message, reason, tag, text)
        self.logout(text)

    def _count_if_expected(self, message: FixMessage) -> None:
        if message.sequence == self.expected:
            self.expected += 1
            self._mark()

    def _behind_a_gap(self, message: FixMessage) -> None:
        if message.kind == "5":
            self._logged_out()
            return
        kept: FixMessage | None = message
        if message.kind == "2":  # both sides may wait for each other: answered at once
            self._resend(message)
            kept = None
        if len(self._held) < HELD_MAX:
            self._held[message.sequence] = kept
        self._ask_for_gap()

    def _ask_for_gap(self) -> None:
        if self._asked_at < 0:
            self._asked_at = self._clock.monotonic_ns()
            self.outbox.send("2", [(Tag.BeginSeqNo, str(self.expected)), (Tag.EndSeqNo, "0")])

    def _release_held(self) -> None:
        while self.expected in self._held and not self.over:
            message = self._held.pop(self.expected)
            if message is None:
                self.expected += 1
                self._mark()
            else:
                self._in_turn(message)
        self._held = {n: kept for n, kept in self._held.items() if n > self.expected}
        if not self._held and self._asked_at >= 0:
            self._asked_at = -1

    def _too_low(self, message: FixMessage) -> None:
        if message.possible_duplicate:
            return  # handled, or being handled, in its own turn
        text = f"MsgSeqNum too low, expecting {self.expected} but received {message.sequence}"
        self.logout(text)
        self._end(text)

    def _in_turn(self, message: FixMessage) -> None:
        """The message that was expected."""
        self.expected = message.sequence + 1
        if message.possible_duplicate and original_time_is_wrong(message):
            self._mark()
            self._note_reject(message, 1, Tag.OrigSendingTime, "OrigSendingTime is not right")
        elif message.kind not in ADMIN:
            self._application(message)
        elif message.kind == "3":
            self._deliver(message)
        else:
            self._mark()
            self._administrative(message)

    def _administrative(self, message: FixMessage) -> None:
        match message.kind:
            case "1":
                if message.get(Tag.TestReqID):
                    self.outbox.send("0", [(Tag.TestReqID, message.get(Tag.TestReqID))])
                else:
                    self._note_reject(message, 1, Tag.TestReqID, "TestReqID is missing")
            case "2":
                self._resend(message)
            case "4":
                self._jump(message, message.sequence + 1)
            case "5":
                self._logged_out()
            case "A":
                self.logout("logged on already")
            case _:
                if message.get(Tag.TestReqID):  # somebody waits for this heartbeat
                    self.inbox.append(Delivered(self.store.epoch, message.sequence, message))

    def _application(self, message: FixMessage) -> None:
        if message.kind not in self.terms.kinds:
            self._mark()
            fields = [(Tag.RefSeqNum, str(message.sequence))]
            fields += [(Tag.RefMsgType, plain_text(message.kind, 8))]
            fields += [(Tag.BusinessRejectReason, "3"), (Tag.Text, "this message is not supported")]
            self.outbox.send("j", fields)  # not kept: one a message would push reports out
            return
        wrong = wrong_fields(message, self.terms)
        if wrong is not None:
            self._mark()
            self._note_reject(message, *wrong)
            return
        self._deliver(message)

    def _deliver(self, message: FixMessage) -> None:
        self._unhandled.add(message.sequence)
        self._mark()
        self.inbox.append(Delivered(self.store.epoch, message.sequence, message))

    def _mark(self) -> None:
        self.store.took(min(self._unhandled, default=self.expected))

    # -- logon, logout, reset, resend ---------------------------------------------------------

    def _logon(self, message: FixMessage) -> None:
        reset = message.get(Tag.ResetSeqNumFlag) == "Y"
        wrong = wrong_logon(message, self.terms, self._clock.now_ns())
        if not wrong and reset and not self.terms.initiator:
            self._begin_anew()
        if not wrong and message.sequence < self.expected:
            wrong = f"MsgSeqNum too low, expecting {self.expected} but received {message.sequence}"
        if wrong:
            self.logout(wrong)
            self._end(wrong)
            return
        beat = message.get(Tag.HeartBtInt)
        self.heartbeat_s = int(beat)
        self.state = "active"
        if not self.terms.initiator:
            flag = [(Tag.ResetSeqNumFlag, "Y")] if reset else []
            self.outbox.send("A", [(Tag.EncryptMethod, "0"), (Tag.HeartBtInt, beat), *flag])
        if message.sequence > self.expected:
            self._held[message.sequence] = None
            self._ask_for_gap()
        else:
            self._count_if_expected(message)

    def _begin_anew(self) -> None:
        self.store.reset()
        self.expected = 1
        self._unhandled.clear()

    def _logged_out(self) -> None:
        if self.state == "active":
            self.outbox.send("5", [])
        self._end("logged out")

    def _jump(self, message: FixMessage, least: int) -> None:
        """SequenceReset: the other side says what comes next, ``least`` or more."""
        new = number(message.get(Tag.NewSeqNo))
        if new < least:
            self._note_reject(message, 5, Tag.NewSeqNo, "NewSeqNo is too low")
            return
        self.expected = new
        self._mark()

    def _resend(self, message: FixMessage) -> None:
        begin, asked = number(message.get(Tag.BeginSeqNo)), message.get(Tag.EndSeqNo)
        end = 0 if asked == "0" else (number(asked) or -1)
        if not self.outbox.again(begin, end):
            self._note_reject(message, 5, Tag.BeginSeqNo, "there is nothing of these numbers")

    def _note_reject(self, message: FixMessage, reason: int, tag: int, text: str) -> None:
        rejected = MessageRejected(reason, tag, text)
        rejected.kind, rejected.sequence = message.kind, message.sequence
        self.outbox.reject(rejected)

    def _end(self, reason: str) -> None:
        self.over = self.over or plain_text(reason)
        self.outbox.wake()
