# SPDX-License-Identifier: Apache-2.0
"""What one read and one ResendRequest may cost everybody else (docs/spec/fix.md section 2)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sekisho.adapters.fix.codec import MESSAGE_BYTES_MAX, FixMessage
from sekisho.adapters.fix.dictionary import BOT_REQUIRED, BOT_TAGS
from sekisho.adapters.fix.driving import READ_BYTES, drive
from sekisho.adapters.fix.outbox import RESEND_STEP, SessionTerms
from sekisho.adapters.fix.session import SessionMachine
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import MalformedInput
from tests.fix_doubles import Counterpart
from tests.paper_doubles import NOW

ALL = ((7, "1"), (16, "0"))


class Bot:
    """A session that was logged on to, and its counterpart."""

    def __init__(self, reports: int = 0) -> None:
        self.clock = SteppedClock(NOW)
        terms = SessionTerms(
            own="GATE", peer="BOT", initiator=False, kinds=BOT_REQUIRED, tags=BOT_TAGS, replays=True
        )
        self.session = SessionMachine(terms, FixStore(SimulatedDisk(), "s"), self.clock)
        self.other = Counterpart("BOT", "GATE", self.clock)
        self.session.attach()
        self.tell(self.other.logon())
        for number in range(reports):
            self.session.send("8", [(11, f"o-{number}")])
        self.said()

    def tell(self, *data: bytes) -> list[FixMessage]:
        for one in data:
            self.session.receive(one)
        return self.said()

    def said(self) -> list[FixMessage]:
        waiting, self.session.outbox.waiting = self.session.outbox.waiting, []
        return self.other.read(b"".join(data for _, data in waiting))

    def resumed(self) -> list[FixMessage]:
        """What the driver's going on brings forth, to the end."""
        said: list[FixMessage] = []
        while self.session.outbox.resending:
            self.session.outbox.resume()
            said += self.said()
        return said


def numbers(messages: list[FixMessage]) -> list[int]:
    return [one.sequence for one in messages]


def test_resend_of_many_goes_in_steps_and_loses_none() -> None:
    """One step at once, the next when that was written; every report comes, in order."""
    count = RESEND_STEP * 2 + 50
    bot = Bot(count)
    first = bot.tell(bot.other.message("2", *ALL))
    assert [("4", 1), ("8", 2)] == [(one.kind, one.sequence) for one in first[:2]]
    assert RESEND_STEP + 1 == len(first)
    rest = bot.resumed()
    assert list(range(1, count + 2)) == numbers(first + rest)
    assert all(one.possible_duplicate for one in first + rest)


def test_resend_under_way_lets_nothing_new_overtake_it() -> None:
    """An execution that happens meanwhile stands behind what the bot still misses."""
    bot = Bot(RESEND_STEP + 5)
    first = bot.tell(bot.other.message("2", *ALL))
    bot.session.send("8", [(11, "new")])
    assert [] == bot.said()
    rest = bot.resumed()
    assert list(range(1, RESEND_STEP + 8)) == numbers(first + rest)
    assert ("new", False) == (rest[-1].get(11), rest[-1].possible_duplicate)


def test_resend_asked_for_again_and_again_is_served_once_more() -> None:
    """Sixty requests while one is answered are one: the widest of them."""
    bot = Bot(20)
    first = bot.other.message("2", (7, "21"), (16, "0"))
    asked = [bot.other.message("2", (7, str(3 + n % 7)), (16, str(10 + n % 4))) for n in range(60)]
    for one in (first, *asked):
        bot.session.receive(one)
    assert [21] == numbers(bot.said())
    assert list(range(3, 14)) == numbers(bot.resumed())
    assert not bot.session.outbox.resending
    assert [21] == numbers(bot.tell(bot.other.message("2", (7, "21"), (16, "0"))))


def test_resend_of_a_session_that_ends_is_left_off() -> None:
    """The logout does not wait for it; what was not said is kept for the next logon."""
    bot = Bot(RESEND_STEP * 3)
    bot.tell(bot.other.message("2", *ALL))
    bot.session.logout("done")
    assert [] == bot.said()
    bot.session.outbox.leave_off()
    assert ["5"] == [one.kind for one in bot.said()]
    assert ([], RESEND_STEP * 3) == (bot.resumed(), len(bot.session.store.sent))


def test_resend_of_the_last_connection_does_not_go_on_in_the_next() -> None:
    """A new connection begins with its logon, whatever was under way."""
    bot = Bot(RESEND_STEP * 3)
    bot.tell(bot.other.message("2", *ALL))
    bot.session.send("8", [(11, "new")])
    bot.session.detach()
    bot.session.attach()
    assert ["A"] == [one.kind for one in bot.tell(bot.other.logon())]
    assert [] == bot.resumed()


def test_session_answer_to_an_unsupported_message_is_not_kept() -> None:
    """A bot that sends nonsense cannot push its reports out of what is kept."""
    bot = Bot(1)
    (said,) = bot.tell(bot.other.message("B", (148, "x")))
    assert ("j", 3) == (said.kind, said.sequence)
    again = bot.tell(bot.other.message("2", *ALL))
    assert [("4", 1), ("8", 2), ("4", 3)] == [(one.kind, one.sequence) for one in again]


def test_session_message_that_could_not_be_sent_again_is_not_sent() -> None:
    """PossDupFlag and OrigSendingTime must fit too: else the bot's question would break us."""
    bot = Bot()
    with pytest.raises(MalformedInput):
        bot.session.send("8", [(58, "x" * (MESSAGE_BYTES_MAX - 90))])
    bot.session.send("8", [(58, "x" * (MESSAGE_BYTES_MAX - 130))])
    bot.said()
    again = bot.tell(bot.other.message("2", *ALL))
    assert [1, 2] == numbers(again)


class Wire:
    """The writing half of a connection: it keeps what was written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        """Everything is taken at once."""

    def close(self) -> None:
        """Nothing is to be closed."""

    async def wait_closed(self) -> None:
        """It is closed."""


class Driven:
    """A session that is driven over bytes that lie ready, and turns of somebody else."""

    def __init__(self, bot: Bot) -> None:
        self.bot, self.wire = bot, Wire()
        self.turns: list[int] = []
        bot.session.detach()

    async def run(self, data: bytes, *, first: bytes = b"") -> None:
        """Drive until nothing is under way any more."""
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        session, writer = self.bot.session, cast("Any", self.wire)
        task = asyncio.create_task(
            drive(session, reader, writer, self.bot.clock, lambda _: None, first)
        )
        await asyncio.sleep(0)
        end = self.bot.other.next_out
        async with asyncio.timeout(20):  # a session that stands still fails, and does not hang
            while session.expected < end or session.outbox.resending or session.outbox.waiting:
                self.turns.append(session.expected)
                await asyncio.sleep(0)
        self.turns.append(session.expected)
        reader.feed_eof()
        await task


@pytest.mark.parametrize("ready", [False, True])
def test_drive_gives_others_their_turn_between_messages(*, ready: bool) -> None:
    """However much lies ready, one turn takes what one read holds."""
    driven = Driven(Bot())
    logon = driven.bot.other.logon()
    tests = [driven.bot.other.message("1", (112, "t")) for _ in range(700)]
    data = b"".join([logon, *tests])
    asyncio.run(driven.run(b"" if ready else data, first=data if ready else b""))
    most = READ_BYTES // min(len(one) for one in tests) + 1
    steps = [after - before for before, after in zip(driven.turns, driven.turns[1:], strict=False)]
    assert 702 == driven.turns[-1] - 1
    assert max(steps) <= most


def test_drive_logout_cuts_a_resend_short() -> None:
    """Who goes gets the answer to its logout after the step that was under way."""
    bot = Bot(RESEND_STEP * 3)
    driven = Driven(bot)
    logon, asked, out = bot.other.logon(), bot.other.message("2", *ALL), bot.other.message("5")
    asyncio.run(driven.run(logon + asked + out))
    said = bot.other.read(driven.wire.data)
    assert ("5", RESEND_STEP) == (said[-1].kind, sum(one.kind == "8" for one in said))


def test_drive_many_resend_requests_cost_few_resends() -> None:
    """Nine hundred requests in a few reads: each report is said again a few times, in order.

    Twice as a rule; once more where a resend was over before the next read came.
    """
    bot = Bot(RESEND_STEP * 3)
    driven = Driven(bot)
    logon = bot.other.logon()
    asked = b"".join(bot.other.message("2", *ALL) for _ in range(900))
    asyncio.run(driven.run(logon + asked))
    said = bot.other.read(driven.wire.data)
    reports = [one.sequence for one in said if one.kind == "8"]
    once = list(range(2, RESEND_STEP * 3 + 2))
    times = len(reports) // len(once)
    assert 2 <= times <= 8
    assert once * times == reports
