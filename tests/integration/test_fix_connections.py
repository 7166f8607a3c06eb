# SPDX-License-Identifier: Apache-2.0
"""FIX over real connections: who is let in, what a cut leaves, on either side of the gate."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.fix.front import BotSession, FixFront
from sekisho.adapters.venues.fix import FixVenue
from sekisho.adapters.venues.paper_fix import PERMIT_TAG, PaperFixSide
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.peers import Peer
from sekisho.core.errors import OutcomeUnknown, Unavailable
from tests.fix_doubles import Counterpart, FakeGate, over_fix, paper_side, venue_terms
from tests.paper_doubles import Desk, order, resting

TOKEN = ((553, "fx"), (554, "good"))
NEW = ((11, "o-1"), (55, "EUR/USD"), (54, "1"), (60, "20260515-09:15:00"), (38, "1"), (40, "1"))
WAIT_S = 10.0


class Connection:
    """A bot's end of a socket."""

    def __init__(self, comp_id: str, streams: Any) -> None:
        self.reader, self.writer = streams
        self.side = Counterpart(comp_id, "GATE", SystemClock())

    async def tell(self, data: bytes) -> list[FixMessage]:
        """Send, and read until something comes; empty when the connection ends."""
        self.writer.write(data)
        async with asyncio.timeout(WAIT_S):
            while got := await self.reader.read(65_536):
                if found := self.side.read(got):
                    return found
        return []

    async def close(self) -> None:
        """Cut it."""
        self.writer.close()
        await self.writer.wait_closed()


@asynccontextmanager
async def front(folder: Path, seen: list[Peer]) -> AsyncIterator[tuple[FixFront, str]]:
    """A front on a Unix socket; it notes who knocks."""

    def knows(peer: Peer, token: str) -> str | None:
        seen.append(peer)
        return "fx" if token == "good" else None

    disk = FolderDisk(folder / "gate")
    bot = BotSession("BOT", "GATE", "fx", "PAPER", "main")
    found = await FixFront.open([bot], disk, FakeGate(), SystemClock(), knows)
    path = f"{folder}/fix.sock"
    await found.listen([Listener(f"unix:{path}")])
    try:
        yield found, path
    finally:
        await found.close()
        disk.close()


async def connected(path: str, comp_id: str = "BOT") -> Connection:
    return Connection(comp_id, await asyncio.open_unix_connection(path))


def test_front_peer_is_the_kernels_word(tmp_path: Path) -> None:
    """A token is judged together with the user at the other end of the socket."""
    seen: list[Peer] = []

    async def story() -> None:
        async with front(tmp_path, seen) as (_, path):
            bot = await connected(path)
            (answer,) = await bot.tell(bot.side.logon(*TOKEN))
            assert answer.kind == "A"
            await bot.close()

    asyncio.run(story())
    assert [(one.transport, one.uid) for one in seen] == [("unix", os.getuid())]


def test_front_strangers_get_no_answer_and_use_no_number(tmp_path: Path) -> None:
    """Wrong token, wrong name, no logon, no FIX: the connection closes, the reason is kept."""

    async def story() -> None:
        async with front(tmp_path, []) as (found, path):
            for comp_id, data in (
                ("BOT", lambda side: side.logon((553, "fx"), (554, "bad"))),
                ("EVE", lambda side: side.logon(*TOKEN)),
                ("BOT", lambda side: side.message("D", *NEW)),
                ("BOT", lambda side: b"GET / HTTP/1.1\r\n\r\n"),
                ("BOT", lambda side: side.logon(*TOKEN)[:-4] + b"000\x01"),
            ):
                bot = await connected(path, comp_id)
                assert await bot.tell(data(bot.side)) == []
                await bot.close()
            assert len(found.acceptors[0].refused) == 5
            assert not [one for one in found.acceptors[0].refused if "bad" in one]
            bot = await connected(path)
            (answer,) = await bot.tell(bot.side.logon(*TOKEN))
            assert (answer.kind, answer.sequence) == ("A", 1)
            await bot.close()

    asyncio.run(story())


def test_front_second_connection_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """One session, one connection; the first goes on."""

    async def story() -> None:
        async with front(tmp_path, []) as (_, path):
            first, second = await connected(path), await connected(path)
            await first.tell(first.side.logon(*TOKEN))
            assert await second.tell(second.side.logon(*TOKEN)) == []
            (answer,) = await first.tell(first.side.message("1", (112, "x")))
            assert answer.get(112) == "x"
            await first.close()
            await second.close()

    asyncio.run(story())


def test_front_close_logs_the_bot_out(tmp_path: Path) -> None:
    """A gate that ends says so."""

    async def story() -> None:
        async with front(tmp_path, []) as (found, path):
            bot = await connected(path)
            await bot.tell(bot.side.logon(*TOKEN))
            ending = asyncio.create_task(found.close())
            (answer,) = await bot.tell(b"")
            assert answer.kind == "5"
            await bot.tell(bot.side.message("5"))
            await ending
            await bot.close()

    asyncio.run(story())


# -- the paper venue -------------------------------------------------------------------------------


@asynccontextmanager
async def side_of(desk: Desk, folder: Path, refused: list[str]) -> AsyncIterator[PaperFixSide]:
    """The venue's FIX side alone, on a Unix socket."""
    disk = FolderDisk(folder / "venue")
    side = paper_side(desk, disk, refused)
    await side.start(Listener(f"unix:{folder}/venue.sock"), ("GATE1", "GATE2"))
    try:
        yield side
    finally:
        await side.close()
        disk.close()


@asynccontextmanager
async def gate_at(desk: Desk, folder: Path, **terms: Any) -> AsyncIterator[FixVenue]:
    """A connector to it."""
    disk = FolderDisk(folder / "gate")
    address = f"unix:{folder}/venue.sock"
    venue = await FixVenue.open(venue_terms(address, **terms), disk, desk.clock)
    venue.start()
    try:
        yield venue
    finally:
        await venue.close()
        disk.close()


@pytest.mark.parametrize(
    "terms", [{"password": "wrong"}, {"password": ""}, {"own_comp_id": "GATE2"},
              {"own_comp_id": "GATE3"}, {"venue_comp_id": "OTHER"}]
)  # fmt: skip
def test_paper_fix_logon_without_the_credential_is_refused_and_told(
    tmp_path: Path, terms: dict[str, str]
) -> None:
    """The credential is its holder's; another CompID with it is refused too."""
    refused: list[str] = []

    async def story() -> None:
        desk = Desk()
        async with side_of(desk, tmp_path, refused), gate_at(desk, tmp_path, **terms) as venue:
            async with asyncio.timeout(WAIT_S):
                while not venue.ended:  # noqa: ASYNC110 - waits for another task
                    await asyncio.sleep(0.005)
            assert not venue.session.synchronised

    asyncio.run(story())
    assert len(refused) == 1


@pytest.mark.parametrize("tag", [1, 11, 15, 38, 40, 44, 54, 55, 59, PERMIT_TAG])
def test_paper_fix_message_that_differs_from_its_permit_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: int
) -> None:
    """A word of the message that the permit does not say, or no permit, makes no order."""
    told = {11: "o-9", 15: "USD", 38: "10001", 40: "1", 44: "1.3", 54: "2", 55: "EUR/GBP", 59: "1"}

    async def story() -> None:
        desk = Desk()
        async with over_fix(desk) as venue:
            send = venue.session.send

            def lying(kind: str, body: Any, header: Any = ()) -> int:
                changed = [(t, told.get(t, "x") if t == tag else v) for t, v in body]
                return send(kind, changed if kind == "D" else body, header)

            monkeypatch.setattr(venue.session, "send", lying)
            with pytest.raises(Unavailable):
                await venue.submit(desk.permit(order()))
            assert desk.venue.reports_since(0) == (0, ())

    asyncio.run(story())


def test_paper_fix_other_agents_permit_is_not_executed(tmp_path: Path) -> None:
    """The agent of the message is the permit's."""

    async def story() -> None:
        desk = Desk()
        async with over_fix(desk) as venue:
            permit = desk.permit(order())
            session = venue.session
            fields = [(11, "o-1"), (55, "EUR/USD"), (54, "1"), (60, "20260515-09:15:00"),
                      (38, "10000"), (40, "2"), (44, "1.2"), (15, "EUR"), (59, "0"), (1, "main"),
                      (PERMIT_TAG, permit)]  # fmt: skip
            session.send("D", fields, [(50, "other")])
            await venue.reports_since(0)
            assert desk.venue.reports_since(0) == (0, ())
            session.send("D", fields, [(50, "fx")])
            await venue.reports_since(0)
            assert desk.venue.reports_since(0)[0] == 2

    asyncio.run(story())


def test_paper_fix_withdrawn_credential_does_nothing_more(tmp_path: Path) -> None:
    """The session ends at its next message, which has no effect."""

    async def story() -> None:
        desk = Desk()
        async with over_fix(desk) as venue:
            desk.venue.withdraw_credential("gate-1-at-paper")
            with pytest.raises(OutcomeUnknown):
                await venue.submit(desk.permit(order()))
            assert desk.venue.reports_since(0) == (0, ())

    asyncio.run(story())


def test_paper_fix_order_taken_as_the_connection_broke_is_told_afterwards(tmp_path: Path) -> None:
    """Unknown at first; after the next logon its reports come, once, and the order was one."""

    async def story() -> None:
        desk = Desk()
        desk.venue.faults.submits.append("lose_ack")
        async with side_of(desk, tmp_path, []), gate_at(desk, tmp_path) as venue:
            await venue.logged_on(WAIT_S)
            with pytest.raises(OutcomeUnknown):
                await venue.submit(desk.permit(resting()))
            while not venue.ended:  # noqa: ASYNC110 - waits for another task
                await asyncio.sleep(0)
            desk.clock.advance(1)  # until it connects again
            await venue.logged_on(WAIT_S)
            reports = await venue.order_reports("fx", "o-1")
            _, copied = await venue.reports_since(0)
        assert len(desk.venue.permits_taken) == 1
        assert reports == copied
        assert len(copied) == 1

    asyncio.run(story())


def test_paper_fix_fills_come_without_being_asked_for(tmp_path: Path) -> None:
    """What the market does to a resting order is in the drop copy."""

    async def story() -> None:
        desk = Desk()
        async with over_fix(desk) as venue:
            await venue.submit(desk.permit(resting()))
            at, _ = await venue.reports_since(0)
            desk.market.set("EUR/USD", "1.0998", "1.1")
            desk.venue.match_resting()
            desk.clock.advance(0.06)
            await asyncio.sleep(0)
            _, since = await venue.reports_since(at)
            assert [one.exec_type for one in since] == ["trade"]

    asyncio.run(story())
