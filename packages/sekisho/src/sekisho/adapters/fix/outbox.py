# SPDX-License-Identifier: Apache-2.0
"""What a FIX session says: numbering, keeping, and saying again (docs/spec/fix.md section 2).

Bytes wait in :attr:`Outbox.waiting` until the driver has made their numbers durable and writes
them. A session that does not replay answers a ResendRequest with a gap fill alone: an order must
never arrive late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sekisho.adapters.fix.codec import MessageRejected, Pairs, encode, write_time
from sekisho.adapters.fix.dictionary import Tag, plain_text
from sekisho.adapters.fix.store import FixStore, SentMessage
from sekisho.ports import Clock

WAITING_MAX = 50_000


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
    """

    def __init__(self, terms: SessionTerms, store: FixStore, clock: Clock) -> None:
        self.waiting: list[tuple[int, bytes]] = []
        self.written = 0
        self.wake: Callable[[], None] = lambda: None
        self.sent_at = clock.monotonic_ns()
        self.full = False
        self._terms = terms
        self._store = store
        self._clock = clock

    def begin(self) -> None:
        """A new connection: nothing of an earlier one is written to it."""
        self.waiting.clear()
        self.written, self.full = 0, False
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
            MalformedInput: it cannot be written; no number was used.
        """
        now = write_time(self._clock.now_ns())
        data = self._bytes(self._store.next_out, kind, now, "", header, body)
        sent = SentMessage(kind, now, _plain(header), _plain(body)) if keep else None
        number = self._store.used(sent)
        if live:
            self._put(number, data)
        return number

    def again(self, begin: int, end: int) -> bool:
        """Answer a ResendRequest; ``end`` 0 is the last. False: there is nothing of these numbers.

        What is not kept, or is not replayed, is gap-filled.
        """
        last = self._store.next_out - 1
        end = last if end == 0 else min(end, last)
        if not 1 <= begin <= end:
            return False
        kept = sorted(n for n in self._store.sent if begin <= n <= end)
        at = begin
        for number in kept if self._terms.replays else ():
            if at < number:
                self._fill(at, number)
            sent, now = self._store.sent[number], write_time(self._clock.now_ns())
            data = self._bytes(number, sent.kind, now, sent.sending_time, sent.header, sent.body)
            self._put(0, data)
            at = number + 1
        if at <= end:
            self._fill(at, end + 1)
        return True

    def reject(self, rejected: MessageRejected) -> None:
        """Send what a Reject (3) says of a message."""
        fields = [(int(Tag.RefSeqNum), str(rejected.sequence))]
        fields += [(Tag.RefTagID, str(int(rejected.tag)))] if rejected.tag else []
        fields += [(Tag.RefMsgType, plain_text(rejected.kind, 8))] if rejected.kind else []
        fields.append((Tag.SessionRejectReason, str(rejected.reason)))
        fields.append((Tag.Text, plain_text(str(rejected))))
        self.send("3", fields)

    def _fill(self, number: int, new: int) -> None:
        now = write_time(self._clock.now_ns())
        fields = [(Tag.GapFillFlag, "Y"), (Tag.NewSeqNo, str(new))]
        self._put(0, self._bytes(number, "4", now, now, (), fields))

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
        if len(self.waiting) >= WAITING_MAX:
            self.full = True
            self.waiting.clear()
        if not self.full:
            self.sent_at = self._clock.monotonic_ns()
            self.waiting.append((number, data))
        self.wake()


def _plain(pairs: Pairs) -> tuple[tuple[int, str], ...]:
    return tuple((int(tag), value) for tag, value in pairs)
