# SPDX-License-Identifier: Apache-2.0
"""The FIX session as a machine: numbers, gaps, resends, time (docs/spec/fix.md section 2)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.codec import FixMessage, write_time
from sekisho.adapters.fix.dictionary import BOT_REQUIRED, BOT_TAGS, VENUE_REQUIRED
from sekisho.adapters.fix.outbox import SessionTerms
from sekisho.adapters.fix.session import SessionMachine
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import MalformedInput, Unavailable
from tests.fix_doubles import Counterpart
from tests.paper_doubles import NOW

ORDER = ((11, "o-1"), (55, "EUR/USD"), (54, "1"), (60, "20260515-09:15:00"), (38, "1"), (40, "1"))


class Pair:
    """A session and its counterpart, on one clock."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.clock = SteppedClock(NOW)
        self.folder = folder
        fields: dict[str, Any] = {
            "own": "GATE",
            "peer": "BOT",
            "initiator": False,
            "kinds": BOT_REQUIRED,
            "tags": BOT_TAGS,
            "replays": True,
        }
        self.terms = SessionTerms(**(fields | terms))
        self.other = Counterpart("BOT", "GATE", self.clock)
        self.session = self.opened()
        self.delivered: list[FixMessage] = []

    def opened(self) -> SessionMachine:
        """A session on the file as it is: what a new process has."""

        async def open_it() -> FixStore:
            disk = FolderDisk(self.folder)
            try:
                return await FixStore.open(disk, "s")
            finally:
                disk.close()

        return SessionMachine(self.terms, asyncio.run(open_it()), self.clock)

    def restart(self) -> None:
        """Flush, and begin again with another process."""

        async def flush() -> None:
            disk = FolderDisk(self.folder)
            self.session.store._disk = disk
            await self.session.store.flush()
            disk.close()

        asyncio.run(flush())
        self.session = self.opened()

    def tell(self, *data: bytes) -> list[FixMessage]:
        """Give the session bytes; what it says to them."""
        for one in data:
            self.session.receive(one)
        self.delivered += [one.message for one in self.session.inbox]
        return self.said()

    def said(self) -> list[FixMessage]:
        """What the session has said since."""
        waiting, self.session.outbox.waiting = self.session.outbox.waiting, []
        self.session.outbox.written = max([0, *(number for number, _ in waiting)])
        return self.other.read(b"".join(data for _, data in waiting))

    def logged_on(self) -> Pair:
        """The same after a logon."""
        self.session.attach()
        self.tell(self.other.logon())
        return self


def kinds(messages: list[FixMessage]) -> list[str]:
    return [one.kind for one in messages]


def test_session_logon_is_answered_with_the_same_heartbeat(tmp_path: Path) -> None:
    """An acceptor takes what the initiator proposes."""
    pair = Pair(tmp_path)
    pair.session.attach()
    (answer,) = pair.tell(pair.other.logon())
    assert ("A", 1, "30", "0") == (answer.kind, answer.sequence, answer.get(108), answer.get(98))
    assert pair.session.synchronised


@pytest.mark.parametrize("beat", ["0", "-1", "301", "x", "1e2"])
def test_session_logon_with_odd_heartbeat_is_refused(tmp_path: Path, beat: str) -> None:
    """There is no session without heartbeats, and none that is never silent."""
    pair = Pair(tmp_path)
    pair.session.attach()
    (answer,) = pair.tell(pair.other.message("A", (98, "0"), (108, beat)))
    assert answer.kind == "5"
    assert pair.session.over


def test_session_first_message_other_than_logon_ends_it_silently(tmp_path: Path) -> None:
    """An order before a logon is no order, and gets no answer."""
    pair = Pair(tmp_path)
    pair.session.attach()
    assert pair.tell(pair.other.message("D", *ORDER)) == []
    assert pair.session.over
    assert pair.delivered == []


def test_session_order_is_delivered_once(tmp_path: Path) -> None:
    """Its possible duplicate is known by its number."""
    pair = Pair(tmp_path).logged_on()
    dup = [(43, "Y"), (122, write_time(NOW))]
    said = pair.tell(
        pair.other.message("D", *ORDER), pair.other.message("D", *ORDER, number=2, fields=dup)
    )
    assert (kinds(said), kinds(pair.delivered)) == ([], ["D"])


def test_session_gap_is_asked_for_and_filled_in_order(tmp_path: Path) -> None:
    """What came early waits; all arrive in the order of their numbers, each once."""
    pair = Pair(tmp_path).logged_on()
    first, second = pair.other.next_out, pair.other.next_out + 1
    third = pair.other.message("D", (11, "o-3"), *ORDER[1:], number=first + 2)
    (asked,) = pair.tell(third)
    assert ("2", str(first), "0") == (asked.kind, asked.get(7), asked.get(16))
    assert not pair.session.synchronised
    assert pair.tell(pair.other.message("D", (11, "o-4"), *ORDER[1:], number=first + 3)) == []
    dup = [(43, "Y"), (122, write_time(NOW))]
    pair.session.inbox.clear()
    pair.tell(
        pair.other.message("D", *ORDER, number=first, fields=dup),
        pair.other.message("4", (123, "Y"), (36, str(second + 1)), number=second, fields=dup),
        pair.other.message("D", (11, "o-3"), *ORDER[1:], number=first + 2, fields=dup),
    )
    assert [one.get(11) for one in pair.delivered] == ["o-1", "o-3", "o-4"]
    assert pair.session.synchronised


def test_session_number_too_low_ends_it(tmp_path: Path) -> None:
    """The other side has forgotten something: nothing more is believed."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("D", *ORDER, number=1))
    assert ("5", "MsgSeqNum too low, expecting 2 but received 1") == (said.kind, said.get(58))
    assert (pair.session.over != "", pair.delivered) == (True, [])


def test_session_possible_duplicate_without_original_time_is_rejected(tmp_path: Path) -> None:
    """A possible duplicate says when it was first sent."""
    pair = Pair(tmp_path).logged_on()
    for sent in (None, write_time(NOW + 10**9)):
        fields = [(43, "Y"), *([(122, sent)] if sent else [])]
        (said,) = pair.tell(pair.other.message("D", *ORDER, fields=fields))
        assert ("3", "122") == (said.kind, said.get(371))
    assert pair.delivered == []


def test_session_front_sends_its_reports_again(tmp_path: Path) -> None:
    """Application messages come again as they were, the rest is filled."""
    pair = Pair(tmp_path).logged_on()
    pair.session.send("8", [(11, "o-1")])
    pair.tell(pair.other.message("1", (112, "t")))
    pair.session.send("8", [(11, "o-2")])
    pair.said()
    pair.clock.advance(5)
    again = pair.tell(pair.other.message("2", (7, "1"), (16, "0")))
    assert [(one.kind, one.sequence, one.get(36) or one.get(11)) for one in again] == [
        ("4", 1, "2"),
        ("8", 2, "o-1"),
        ("4", 3, "4"),
        ("8", 4, "o-2"),
    ]
    assert all(one.possible_duplicate for one in again)
    assert again[1].header[122] == write_time(NOW)
    assert again[1].header[52] == write_time(NOW + 5 * 10**9)


def test_session_connector_never_sends_an_order_again(tmp_path: Path) -> None:
    """The venue that asks for an order again gets a gap fill."""
    pair = connector(tmp_path)
    pair.session.send("D", list(ORDER))
    pair.said()
    (again,) = pair.tell(pair.other.message("2", (7, "1"), (16, "0")))
    assert ("4", 1, "3", "Y") == (again.kind, again.sequence, again.get(36), again.get(123))


def connector(folder: Path, **terms: Any) -> Pair:
    """An initiator that is logged on."""
    pair = Pair(folder, initiator=True, replays=False, kinds=VENUE_REQUIRED, tags={}, **terms)
    pair.session.attach()
    (logon,) = pair.said()
    assert (logon.kind, logon.get(554)) == ("A", terms.get("password", ""))
    pair.tell(pair.other.logon())
    return pair


def test_session_initiator_logs_on_with_its_credential(tmp_path: Path) -> None:
    """Password is what the venue was told."""
    assert connector(tmp_path, username="g", password="secret").session.state == "active"


def test_session_connector_not_logged_on_sends_nothing_and_uses_no_number(tmp_path: Path) -> None:
    """What cannot leave now does not leave later."""
    pair = Pair(tmp_path, initiator=True, replays=False, kinds=VENUE_REQUIRED, tags={})
    with pytest.raises(Unavailable):
        pair.session.send("D", list(ORDER))
    assert (pair.session.store.next_out, pair.session.outbox.waiting) == (1, [])


def test_session_message_that_cannot_be_written_uses_no_number(tmp_path: Path) -> None:
    """A message that is too long leaves no gap."""
    pair = connector(tmp_path)
    with pytest.raises(MalformedInput):
        pair.session.send("D", [(58, "x" * 9_000)])
    assert pair.session.store.next_out == 2


def test_session_report_without_connection_waits_to_be_asked_for(tmp_path: Path) -> None:
    """Nothing goes out before the logon; its number shows the bot what it missed."""
    pair = Pair(tmp_path).logged_on()
    pair.session.detach()
    pair.session.send("8", [(11, "o-1")])
    pair.session.attach()
    pair.session.send("8", [(11, "o-2")])
    assert pair.said() == []
    (logon,) = pair.tell(pair.other.logon())
    assert ("A", 4) == (logon.kind, logon.sequence)
    again = pair.tell(pair.other.message("2", (7, "2"), (16, "0")))
    assert [one.get(11) or one.get(36) for one in again] == ["o-1", "o-2", "5"]


def test_session_what_was_not_handled_is_asked_for_after_a_restart(tmp_path: Path) -> None:
    """Received is not handled: only what the application has finished is not asked for."""
    pair = Pair(tmp_path).logged_on()
    pair.tell(*(pair.other.message("D", (11, f"o-{n}"), *ORDER[1:]) for n in (1, 2, 3)))
    first, _, third = pair.session.inbox
    pair.session.done(first)
    pair.session.done(third)
    pair.restart()
    pair.session.attach()
    said = pair.tell(pair.other.logon())
    assert [(one.kind, one.get(7)) for one in said] == [("A", ""), ("2", "3")]


def test_session_reset_only_as_configured(tmp_path: Path) -> None:
    """Numbers begin anew where that was agreed, elsewhere the logon is refused."""
    for allowed, answer in ((False, "5"), (True, "A")):
        pair = Pair(tmp_path / str(allowed), reset=allowed).logged_on()
        pair.session.send("8", [(11, "o-1")])
        pair.session.detach()
        pair.session.attach()
        pair.other.next_out = 1
        (said,) = pair.tell(pair.other.logon((141, "Y")))
        assert (said.kind, pair.session.store.epoch) == (answer, int(allowed))
        assert (said.sequence == 1) is allowed


def test_session_reset_forgets_what_was_under_way(tmp_path: Path) -> None:
    """A message of the old numbers, done later, moves none of the new ones."""
    pair = Pair(tmp_path, reset=True).logged_on()
    pair.tell(pair.other.message("D", *ORDER))
    (old,) = pair.session.inbox
    pair.session.detach()
    pair.session.attach()
    pair.other.next_out = 1
    pair.session.inbox.clear()
    pair.tell(pair.other.logon((141, "Y")), pair.other.message("D", (11, "o-2"), *ORDER[1:]))
    pair.session.done(old)
    assert pair.session.store.next_in == 2


def test_session_malformed_message_is_rejected_and_counted(tmp_path: Path) -> None:
    """Its number is used up, and the next one is taken."""
    pair = Pair(tmp_path).logged_on()
    bad = pair.other.message("D", (11, "a"), (11, "b"))
    (said,) = pair.tell(bad)
    assert ("3", "2", "11", "D", "13") == (said.kind, *(said.get(t) for t in (45, 371, 372, 373)))
    pair.tell(pair.other.message("D", *ORDER))
    assert kinds(pair.delivered) == ["D"]


@pytest.mark.parametrize(
    ("body", "fields", "reason", "tag"),
    [
        ((*ORDER, (111, "5")), [], "2", "111"),
        ((*ORDER, (5001, "x")), [], "2", "5001"),
        (ORDER, [(115, "BOSS")], "2", "115"),
        (ORDER[:-1], [], "1", "40"),
    ],
)
def test_session_order_with_more_or_less_than_it_may_is_rejected(
    tmp_path: Path, body: Any, fields: Any, reason: str, tag: str
) -> None:
    """No condition, no other person, no missing field gets as far as the gate."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("D", *body, fields=fields))
    assert ("3", reason, tag) == (said.kind, said.get(373), said.get(371))
    assert pair.delivered == []


def test_session_unsupported_message_is_a_business_reject(tmp_path: Path) -> None:
    """What FIX has and this front has not is answered with 380=3."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("E", (66, "list")))
    assert ("j", "2", "E", "3") == (said.kind, said.get(45), said.get(372), said.get(380))


def test_session_other_company_is_rejected_and_logged_out(tmp_path: Path) -> None:
    """CompIDs do not change within a session."""
    pair = Pair(tmp_path).logged_on()
    said = pair.tell(pair.other.message("D", *ORDER, sender="EVE"))
    assert (kinds(said), said[0].get(373), pair.delivered) == (["3", "5"], "9", [])


@pytest.mark.parametrize(
    ("off_s", "taken"), [(119, True), (-119, True), (121, False), (-121, False)]
)
def test_session_sending_time_must_be_near_our_clock(
    tmp_path: Path, off_s: int, taken: bool
) -> None:
    """Two minutes, either way."""
    pair = Pair(tmp_path).logged_on()
    said = pair.tell(pair.other.message("D", *ORDER, sent=write_time(NOW + off_s * 10**9)))
    assert (kinds(said), kinds(pair.delivered)) == (([], ["D"]) if taken else (["3", "5"], []))


def test_session_time_alone_makes_heartbeats_tests_and_ends(tmp_path: Path) -> None:
    """A heartbeat each interval, a test after 1.2 of silence, the end after 2.4."""
    pair = Pair(tmp_path).logged_on()
    heard = []
    for second in range(1, 73):
        pair.clock.advance(1)
        pair.session.tick()
        heard += [(second, one.kind) for one in pair.said()]
        if pair.session.over:
            heard.append((second, pair.session.over))
    assert heard[0] == (30, "0")
    assert (36, "1") in heard
    assert heard[-1] == (72, "the other side is silent")


def test_session_test_request_is_answered(tmp_path: Path) -> None:
    """With the id that was asked."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("1", (112, "are you there")))
    assert ("0", "are you there") == (said.kind, said.get(112))


def test_session_logon_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    """Ten seconds, either side."""
    for initiator in (False, True):
        pair = Pair(tmp_path, initiator=initiator)
        pair.session.attach()
        pair.clock.advance(9.9)
        pair.session.tick()
        assert not pair.session.over
        pair.clock.advance(0.2)
        pair.session.tick()
        assert pair.session.over


def test_session_logout_is_answered_and_ends_it(tmp_path: Path) -> None:
    """Theirs at once; ours with their answer, or after five seconds without."""
    pair = Pair(tmp_path).logged_on()
    assert kinds(pair.tell(pair.other.message("5"))) == ["5"]
    assert pair.session.over == "logged out"
    for answers in (True, False):
        ours = Pair(tmp_path / str(answers)).logged_on()
        ours.session.logout("done")
        assert kinds(ours.said()) == ["5"]
        assert not ours.session.over
        if answers:
            assert ours.tell(ours.other.message("5")) == []
        else:
            ours.clock.advance(5)
            ours.session.tick()
        assert ours.session.over


def test_session_gap_that_is_never_filled_ends_it(tmp_path: Path) -> None:
    """Heartbeats of the other side do not stand for what it does not send again."""
    pair = Pair(tmp_path).logged_on()
    pair.tell(pair.other.message("D", *ORDER, number=9))
    for _ in range(3):
        pair.clock.advance(30)
        pair.tell(pair.other.message("0", number=pair.other.next_out + 8))
        pair.session.tick()
    assert pair.session.state == "logging_out"


def test_session_sequence_reset_never_goes_back(tmp_path: Path) -> None:
    """Forward it is believed; back it is rejected, with and without GapFillFlag."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("4", (36, "1"), number=99))
    assert ("3", "5", "36") == (said.kind, said.get(373), said.get(371))
    assert pair.tell(pair.other.message("4", (36, "50"), number=99)) == []
    assert pair.session.expected == 50
    (said,) = pair.tell(pair.other.message("4", (123, "Y"), (36, "50"), number=50))
    assert ("3", "36") == (said.kind, said.get(371))


@pytest.mark.parametrize(("begin", "end"), [("0", "0"), ("9", "0"), ("3", "1"), ("x", "0")])
def test_session_resend_of_nothing_is_rejected(tmp_path: Path, begin: str, end: str) -> None:
    """Numbers that were never used are not made up."""
    pair = Pair(tmp_path).logged_on()
    (said,) = pair.tell(pair.other.message("2", (7, begin), (16, end)))
    assert ("3", "5") == (said.kind, said.get(373))


def test_session_resend_request_behind_a_gap_is_answered_at_once(tmp_path: Path) -> None:
    """Two sides that miss something do not wait for each other."""
    pair = Pair(tmp_path).logged_on()
    pair.session.send("8", [(11, "o-1")])
    pair.said()
    said = pair.tell(pair.other.message("2", (7, "2"), (16, "0"), number=5))
    assert [(one.kind, one.possible_duplicate) for one in said] == [("8", True), ("2", False)]


def test_session_stream_that_cannot_be_cut_ends_it(tmp_path: Path) -> None:
    """Nothing behind it is read."""
    pair = Pair(tmp_path).logged_on()
    pair.tell(b"rubbish" + pair.other.message("D", *ORDER))
    assert (pair.session.over != "", pair.delivered) == (True, [])


def test_session_logout_behind_a_gap_is_answered_at_once(tmp_path: Path) -> None:
    """Who goes is let go; what is missing is asked for after the next logon."""
    pair = Pair(tmp_path).logged_on()
    assert kinds(pair.tell(pair.other.message("5", number=9))) == ["5"]
    assert (pair.session.over, pair.session.expected) == ("logged out", 2)


def test_session_logon_of_another_time_is_refused(tmp_path: Path) -> None:
    """A logon that was recorded yesterday opens nothing today."""
    pair = Pair(tmp_path)
    pair.session.attach()
    (said,) = pair.tell(pair.other.logon(sent=write_time(NOW - 86_400 * 10**9)))
    assert (said.kind, pair.session.state) == ("5", "logging_out")


def test_session_reset_that_was_not_answered_is_no_session(tmp_path: Path) -> None:
    """The venue must say that it began anew too; else the numbers mean two things."""
    pair = Pair(tmp_path, initiator=True, reset=True)
    pair.session.attach()
    assert pair.said()[0].get(141) == "Y"
    (said,) = pair.tell(pair.other.logon())
    assert (said.kind, pair.session.synchronised) == ("5", False)
