# SPDX-License-Identifier: Apache-2.0
"""A bot's FIX session with a whole gate behind it, and who may log on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.bot_desk import BotDesk
from sekisho.adapters.fix.bot_orders import order_of
from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.fix.front import BotSession
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.web.peers import Peer
from sekisho.compose.fix_gate import FixGate, authenticate_by
from sekisho.core.events import CancelAsked, Execution
from sekisho.services.callers import Caller, Callers, token_digest
from sekisho.services.inquiry import Inquiry
from tests.fix_doubles import Counterpart, FakeGate
from tests.gate_world import CERTIFICATE, GateWorld

BOT = BotSession("BOT", "GATE", "bot", "PAPER", "main")
ONE, TWO, DESK = "a" * 43, "c" * 43, "d" * 43
CALLERS = Callers(
    [
        Caller(name="one", role="agent", uid=1001, token_sha256=token_digest(ONE)),
        Caller(name="two", role="agent", uid=1002, token_sha256=token_digest(TWO)),
        Caller(name="desk", role="monitor", uid=1003, token_sha256=token_digest(DESK)),
    ]
)


def new(name: str, quantity: str = "1000") -> tuple[tuple[int, str], ...]:
    """An order within the scope of the world's agent, at its price."""
    return (
        (11, name),
        (55, "EUR/USD"),
        (54, "1"),
        (60, "20260515-09:15:00"),
        (38, quantity),
        (40, "2"),
        (44, "1.085"),
        (15, "EUR"),
    )


class Line:
    """A logged-on bot in front of a world."""

    def __init__(self, world: GateWorld, desk: BotDesk) -> None:
        self.world, self.desk = world, desk
        self.side = Counterpart("BOT", "GATE", world.clock)

    async def ask(self, kind: str, *fields: tuple[int, str]) -> list[FixMessage]:
        """A request, and what is said until nothing is under way."""
        return await self.tell(self.side.message(kind, *fields))

    async def tell(self, data: bytes) -> list[FixMessage]:
        session = self.desk.session
        session.receive(data)
        inbox, session.inbox = session.inbox, []
        for delivered in inbox:
            self.desk.deliver(delivered)
        return await self.said()

    async def said(self) -> list[FixMessage]:
        for _ in range(50):
            await self.world.clock.sleep(0)
        if self.desk._tasks:
            await asyncio.wait(list(self.desk._tasks))
        await self.desk._news.caught_up()
        outbox = self.desk.session.outbox
        waiting, outbox.waiting = outbox.waiting, []
        return self.side.read(b"".join(data for _, data in waiting))


def play(folder: Path, story: Callable[[Line], Awaitable[None]]) -> None:
    async def run() -> None:
        world = await GateWorld.start()
        disk = FolderDisk(folder)
        gate = FixGate(world.log, world.gate.submit, Inquiry(world.log, {"PAPER": world.venue}))
        desk = BotDesk(BOT, await FixStore.open(disk, "bot"), gate, world.clock)
        desk.start()
        desk.session.attach()
        line = Line(world, desk)
        await line.tell(line.side.logon())
        await story(line)
        await desk.close()
        disk.close()

    asyncio.run(run())


def shown(messages: list[FixMessage], *tags: int) -> list[tuple[str, ...]]:
    return [(one.kind, *(one.get(tag) for tag in tags)) for one in messages]


def test_fix_order_goes_the_way_of_every_order(tmp_path: Path) -> None:
    """Permitted and acknowledged, filled, refused beyond the limit, each recorded by the gate."""

    async def story(line: Line) -> None:
        assert shown(await line.ask("D", *new("o-1")), 11, 150, 39) == [("8", "o-1", "0", "0")]
        line.world.venue.fill = True
        filled = await line.ask("D", *new("o-2"))
        assert shown(filled, 150, 39, 14) == [("8", "0", "0", "0"), ("8", "F", "2", "1000")]
        (refused,) = await line.ask("D", *new("o-3", "900000000"))
        assert shown([refused], 150, 103) == [("8", "8", "3")]
        assert "exceeds_scope_size" in refused.get(58)
        (malformed,) = await line.ask("D", *new("o-4")[:2], (54, "5"), *new("o-4")[3:])
        assert shown([malformed], 150, 58) == [("8", "8", "malformed_order")]
        permits = [one.order["client_order_id"] for one in line.world.venue.permits]
        assert permits == ["o-1", "o-2"]

    play(tmp_path, story)


def spy(asked: list[int]) -> Callable[[int], tuple[tuple[int, Execution], ...]]:
    """Executions above an index, of which there are none; the index is noted."""

    def executions(after: int) -> tuple[tuple[int, Execution], ...]:
        asked.append(after)
        return ()

    return executions


def test_fix_front_begins_behind_what_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot that is quiet while others trade costs the next start no look at their entries."""
    monkeypatch.setattr("sekisho.compose.fix_gate.PASSED_EVERY", 1)

    async def story() -> None:
        world, disk = await GateWorld.start(), FolderDisk(tmp_path)
        inquiry = Inquiry(world.log, {"PAPER": world.venue})
        store = await FixStore.open(disk, "bot")
        gate = FixGate(world.log, world.gate.submit, inquiry)
        desk = BotDesk(BOT, store, gate, world.clock)
        desk.start()
        desk.session.attach()
        line = Line(world, desk)
        await line.tell(line.side.logon())
        await line.ask("D", *new("o-1"))
        world.clock.advance(2)
        world.quote()
        await world.ask(client_order_id="by-another-front")
        await line.said()
        await world.log.durable(world.log.journal.size - 1)
        world.log.record(CancelAsked(at=world.log.at(), agent="bot", client_order_id="x", cause=""))
        await store.flush()
        await desk.close()
        asked: list[int] = []
        monkeypatch.setattr(gate, "executions", spy(asked))
        BotDesk(BOT, await FixStore.open(disk, "bot"), gate, world.clock)._news.start()
        assert [world.log.journal.size - 2] == asked
        disk.close()

    asyncio.run(story())


def test_fix_mark_stays_before_what_waits_to_be_told(tmp_path: Path) -> None:
    """An execution that is heard and not told yet is told after a crash."""

    async def story() -> None:
        disk = FolderDisk(tmp_path)
        store, gate = await FixStore.open(disk, "bot"), FakeGate()
        bot = BotSession("BOT", "GATE", "fx", "PAPER", "main")
        news = BotDesk(bot, store, gate, SystemClock())._news
        news._told = 3
        gate.execute("o-1", "new")
        news._heard(7, gate.log[0])
        news._passed(9)
        assert 6 == store.notes["executions"]
        news._queue.clear()
        news._passed(5)
        assert 6 == store.notes["executions"]
        news._passed(9)
        assert 9 == store.notes["executions"]
        disk.close()

    asyncio.run(story())


def test_fix_new_session_reads_nothing_of_an_old_log(tmp_path: Path) -> None:
    """None of its orders can be there; one with orders reads from where it was."""

    async def story() -> list[int]:
        disk, gate = FolderDisk(tmp_path), FakeGate()
        gate.execute("o-1", "new")
        gate.execute("o-2", "new")
        asked: list[int] = []
        gate.executions = spy(asked)  # type: ignore[method-assign,assignment] # a spy
        desk = BotDesk(BOT, await FixStore.open(disk, "bot"), gate, SystemClock())
        desk._news.start()
        desk._book.keep(order_of(FixMessage("D", {}, {11: "o-1", 38: "1"})))
        await desk._store.flush()
        await desk.close()
        BotDesk(BOT, await FixStore.open(disk, "bot"), gate, SystemClock())._news.start()
        disk.close()
        return asked

    assert [1, -1] == asyncio.run(story())


def test_fix_stop_shows_as_an_unsolicited_cancel(tmp_path: Path) -> None:
    """A kill cancels what rests; the bot is told so, and then gets refusals."""

    async def story(line: Line) -> None:
        await line.ask("D", *new("o-1"))
        await line.world.stopping.stop("bot", CERTIFICATE, "revoked", "kill", 1)
        assert shown(await line.said(), 11, 150, 39) == [("8", "o-1", "4", "4")]
        (refused,) = await line.ask("D", *new("o-2"))
        assert (refused.get(150), "certificate_revoked" in refused.get(58)) == ("8", True)

    play(tmp_path, story)


def test_fix_cancel_and_cancel_all_reach_the_venue(tmp_path: Path) -> None:
    """By the order's own id; the mass cancel by ids of its own."""

    async def story(line: Line) -> None:
        for name in ("o-1", "o-2", "o-3"):
            assert shown(await line.ask("D", *new(name)), 150) == [("8", "0")]
            line.world.clock.advance(2)
            line.world.quote()
        about = ((55, "EUR/USD"), (54, "1"), (60, "20260515-09:15:00"))
        said = await line.ask("F", (11, "c-1"), (41, "o-2"), *about)
        assert shown(said, 11, 41, 150) == [("8", "c-1", "o-2", "4")]
        said = await line.ask("q", (11, "m-1"), (530, "7"), about[2])
        assert shown(said, 531, 150) == [("8", "", "4"), ("8", "", "4"), ("r", "7", "")]
        assert sorted(line.world.venue.cancels) == ["o-1", "o-2", "o-3"]

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("peer", "token", "agent"),
    [
        (Peer("unix", uid=1001), ONE, "one"),
        (Peer("unix", uid=1002), ONE, None),
        (Peer("unix", uid=None), ONE, None),
        (Peer("unix", uid=1003), DESK, None),
        (Peer("tcp"), TWO, "two"),
        (Peer("tcp"), "x" * 43, None),
        (Peer("tcp"), "", None),
        (Peer("tls", certificate=b"not one"), ONE, None),
    ],
)
def test_fix_logon_is_the_agents_on_its_own_connection(
    peer: Peer, token: str, agent: str | None
) -> None:
    """The token, and what the connection says of its other end."""
    assert authenticate_by(CALLERS)(peer, token) == agent
