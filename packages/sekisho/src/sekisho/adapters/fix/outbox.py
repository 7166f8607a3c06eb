# SPDX-License-Identifier: Apache-2.0
"""What a FIX session says: numbering, keeping, and saying again (docs/spec/fix.md section 2).

Bytes wait in :attr:`Outbox.waiting` until the driver has made their numbers durable and writes
them. A session that does not replay answers a ResendRequest with a gap fill alone: an order must
never arrive late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sekisho.adapters.fix.codec import (
    MESSAGE_BYTES_MAX,
    MessageRejected,
    Pairs,
    encode,
    write_time,
)
from sekisho.adapters.fix.dictionary import Tag, plain_text
from sekisho.adapters.fix.store import FixStore, SentMessage
from sekisho.core.errors import MalformedInput
from sekisho.ports import Clock

WAITING_MAX = 50_000
RESEND_STEP = 100
"""So many kept messages are said again in one step; the driver writes them before the next."""
_AGAIN_BYTES = 40
"""What PossDupFlag and OrigSendingTime add to a message, and a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """What both sides agreed on.

    Attributes:
        own, peer: CompIDs.
        initiator: whether we log on.
        heartbeat_s: what an initiator proposes; an acceptor takes what is proposed.
        reset: an initiator asks for ResetSeqNumFlag at each logon; an acceptor takes it.
        replays: whether application messages are sent again when asked for.
        kinds: application messages that are taken, each with the tags that it must have.
        tags: for each of them the tags that it may have; none listed: any.
        username, password: of an initiator; empty: none.
    """

    own: str
    peer: str
    initiator: bool
    kinds: Mapping[str, tuple[int, ...]]
    tags: Mapping[str, frozenset[int]]
    replays: bool
    heartbeat_s: int = 30
    reset: bool = False
    username: str = ""
    password: str = ""


class Outbox:
    """The outgoing half of a session.

    Attributes:
        waiting: bytes to write, each with its number; 0 for what was sent before.
        written: highest number of the present connection that was handed to the socket.
        wake: called when something waits.
        sent_at: boot-time clock of the last message, ns.
        full: the other side does not read.
        resending: a ResendRequest is being answered; :meth:`resume` goes on with it.
    """

    def __init__(self, terms: SessionTerms, store: FixStore, clock: Clock) -> None:
        self.waiting: list[tuple[int, bytes]] = []
        self.written = 0
        self.wake: Callable[[], None] = lambda: None
        self.sent_at = clock.monotonic_ns()
        self.full = self.resending = False
        self._left: tuple[int, int] | None = None
        self._kept: deque[tuple[int, SentMessage]] = deque()
        self._asked: tuple[int, int] | None = None
        self._behind: list[tuple[int, bytes]] = []
        self._terms = terms
        self._store = store
        self._clock = clock

    def begin(self) -> None:
        """A new connection: nothing of an earlier one is written to it."""
        self.waiting.clear()
        self._behind.clear()
        self._kept.clear()
        self._left = self._asked = None
        self.written, self.full, self.resending = 0, False, False
        self.sent_at = self._clock.monotonic_ns()

    def send(
        self, kind: str, body: Pairs, header: Pairs = (), *, keep: bool = False, live: bool = True
    ) -> int:
        """Number a message and let it wait; returns its number.

        Args:
            kind: MsgType.
            body: its fields, in order.
            header: what stands in its header beside the session's own.
            keep: it can be asked for again.
            live: it is written to the present connection; otherwise it waits to be asked for.

        Raises:
            MalformedInput: it cannot be written, or not be written again; no number was used.
        """
        now = write_time(self._clock.now_ns())
        data = self._bytes(self._store.next_out, kind, now, "", header, body)
        if keep and len(data) + _AGAIN_BYTES > MESSAGE_BYTES_MAX:
            raise MalformedInput(f"{len(data)} bytes: too long to be sent again", "BodyLength")
        sent = SentMessage(kind, now, tuple(header), tuple(body)) if keep else None
        number = self._store.used(sent)
        if live:
            self._put(number, data)
        return number

    def again(self, begin: int, end: int) -> bool:
        """Answer a ResendRequest; ``end`` 0 is the last. False: there is nothing of these numbers.

        What is not kept, or is not replayed, is gap-filled. The first step is said at once. What is
        asked for while an answer is under way waits for its end, as one range that holds it all.
        """
        last = self._store.next_out - 1
        end = last if end == 0 else min(end, last)
        if not 1 <= begin <= end:
            return False
        if self.resending:
            first, to = self._asked or (begin, end)
            self._asked = (min(first, begin), max(to, end))
            return True
        self._begin_again(begin, end)
        return True

    def resume(self) -> None:
        """Say the next step of what was asked for; to be called when nothing waits any more."""
        if self._left is not None:
            self._step()
        elif self._asked is not None:
            (begin, end), self._asked = self._asked, None
            self._begin_again(begin, end)
        else:
            self.resending = False

    def leave_off(self) -> None:
        """Say nothing more again: the connection ends. The other side still misses it and asks."""
        self._left = self._asked = None
        self._kept.clear()
        self.resending = False
        self._let_go()

    def _begin_again(self, begin: int, end: int) -> None:
        self.resending, self._left = True, (begin, end)
        kept = self._store.sent.items() if self._terms.replays else ()
        self._kept = deque(one for one in kept if begin <= one[0] <= end)
        self._step()

    def _step(self) -> None:
        """One bounded piece of the answer; what is sent meanwhile stands behind the whole."""
        if self._left is None:
            return
        at, end = self._left
        said: list[bytes] = []
        now = write_time(self._clock.now_ns())
        for _ in range(min(RESEND_STEP, len(self._kept))):
            number, sent = self._kept.popleft()
            if at < number:
                said.append(self._fill(at, number))
            said.append(
                self._bytes(number, sent.kind, now, sent.sending_time, sent.header, sent.body)
            )
            at = number + 1
        self._left = (at, end) if self._kept else None
        if self._left is None and at <= end:
            said.append(self._fill(at, end + 1))
        self.sent_at = self._clock.monotonic_ns()
        self.waiting += [(0, data) for data in said]
        if self._left is None:
            self._let_go()
        self.wake()

    def _let_go(self) -> None:
        self.waiting += self._behind
        self._behind.clear()

    def reject(self, rejected: MessageRejected) -> None:
        """Send what a Reject (3) says of a message."""
        fields = [(int(Tag.RefSeqNum), str(rejected.sequence))]
        fields += [(Tag.RefTagID, str(int(rejected.tag)))] if rejected.tag else []
        fields += [(Tag.RefMsgType, plain_text(rejected.kind, 8))] if rejected.kind else []
        fields.append((Tag.SessionRejectReason, str(rejected.reason)))
        fields.append((Tag.Text, plain_text(str(rejected))))
        self.send("3", fields)

    def _fill(self, number: int, new: int) -> bytes:
        now = write_time(self._clock.now_ns())
        fields = [(Tag.GapFillFlag, "Y"), (Tag.NewSeqNo, str(new))]
        return self._bytes(number, "4", now, now, (), fields)

    def _bytes(
        self, number: int, kind: str, now: str, original: str, header: Pairs, body: Pairs
    ) -> bytes:
        head: list[tuple[int, str]] = [
            (Tag.SenderCompID, self._terms.own),
            (Tag.TargetCompID, self._terms.peer),
            (Tag.MsgSeqNum, str(number)),
            (Tag.SendingTime, now),
        ]
        if original:
            head += [(Tag.PossDupFlag, "Y"), (Tag.OrigSendingTime, original)]
        return encode(kind, [*head, *header], body)

    def _put(self, number: int, data: bytes) -> None:
        if len(self.waiting) + len(self._behind) >= WAITING_MAX:
            self.full = True
            self._behind.clear()
            self.leave_off()
            self.waiting.clear()
        if not self.full:
            self.sent_at = self._clock.monotonic_ns()
            (self.waiting if self._left is None else self._behind).append((number, data))
        self.wake()
