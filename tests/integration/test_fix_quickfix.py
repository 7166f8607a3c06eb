# SPDX-License-Identifier: Apache-2.0
"""Another engine speaks to ours: QuickFIX as the bot at the front, QuickFIX as the venue.

QuickFIX checks what we send with its own dictionary of FIX 4.4 and keeps its own sequence numbers.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.front import BotSession, FixFront
from sekisho.adapters.venues.fix import FixVenue
from sekisho.adapters.web.listening import Listener
from sekisho.core.errors import OutcomeUnknown
from sekisho.core.terms import Code, Reason
from sekisho.services.gatekeeper import Answer
from tests.fix_doubles import FakeGate, venue_terms
from tests.paper_doubles import Desk, resting

quickfix = pytest.importorskip(
    "quickfix", reason="QuickFIX is not installed; ./dev test --interop installs it"
)
TOKEN = "t" * 43
DICTIONARY = Path(sys.prefix, "share/quickfix/FIX44.xml")
WAIT_S = 15.0

SETTINGS = """
[DEFAULT]
ConnectionType={kind}
BeginString=FIX.4.4
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=1
ReconnectInterval=1
UseDataDictionary={dictionary}
{where}
DataDictionary={path}
ValidateUserDefinedFields=N
FileStorePath={store}
ResetOnLogon=N
ResetOnLogout=N
ResetOnDisconnect=N
[SESSION]
SenderCompID={own}
TargetCompID={peer}
"""


class Engine(quickfix.Application):  # type: ignore[misc,name-defined]  # an untyped module
    """What QuickFIX calls, from its own threads; everything it hears is kept in order."""

    def __init__(self, answer: Callable[[Any, Any], None] | None = None) -> None:
        super().__init__()
        self.heard: list[dict[int, str]] = []
        self.rejects: list[dict[int, str]] = []
        self.session: Any = None
        self.logged_on = 0
        self.answer = answer

    def onCreate(self, session: Any) -> None:
        self.session = session

    def onLogon(self, session: Any) -> None:
        self.session = session
        self.logged_on += 1

    def onLogout(self, session: Any) -> None:
        self.logged_on = max(0, self.logged_on - 1)

    def toAdmin(self, message: Any, session: Any) -> None:
        if fields(message)[35] == "A":
            message.setField(553, "fx")
            message.setField(554, TOKEN)

    def fromAdmin(self, message: Any, session: Any) -> None:
        plain = fields(message)
        if plain[35] == "3":
            self.rejects.append(plain)

    def toApp(self, message: Any, session: Any) -> None:
        pass

    def fromApp(self, message: Any, session: Any) -> None:
        self.heard.append(fields(message))
        if self.answer is not None:
            self.answer(message, session)


def fields(message: Any) -> dict[int, str]:
    """Tags of a message of QuickFIX; of a repeated tag the last."""
    parts = message.toString().split("\x01")[:-1]
    return {int(tag): value for tag, value in (part.split("=", 1) for part in parts)}


def settings(tmp: Path, kind: str, port: int, own: str, peer: str) -> Any:
    """Settings of one QuickFIX process with a store of its own."""
    where = f"SocketAcceptPort={port}\nSocketReuseAddress=Y"
    if kind == "initiator":
        where = f"SocketConnectHost=127.0.0.1\nSocketConnectPort={port}"
    text = SETTINGS.format(
        kind=kind,
        where=where,
        store=tmp / f"quickfix-{own}",
        own=own,
        peer=peer,
        path=DICTIONARY,
        dictionary="Y" if DICTIONARY.exists() else "N",
    )
    path = tmp / f"{kind}.cfg"
    path.write_text(text, "ascii")
    return quickfix.SessionSettings(str(path))


def message(kind: str, *pairs: tuple[int, str]) -> Any:
    """A message for QuickFIX to send."""
    made = quickfix.Message()
    made.getHeader().setField(8, "FIX.4.4")
    made.getHeader().setField(35, kind)
    for tag, value in pairs:
        made.setField(tag, value)
    if kind != "H":
        made.setField(60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()))
    return made


async def until(condition: Callable[[], object]) -> None:
    """Return when it holds; it is another thread that makes it hold."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - waits for another thread
            await asyncio.sleep(0.01)


@asynccontextmanager
async def front(tmp: Path, gate: FakeGate, address: str = "127.0.0.1:0") -> AsyncIterator[FixFront]:
    """The front with one bot's session."""
    disk = FolderDisk(tmp / "gate")
    bot = BotSession("BOT1", "SEKISHO", "fx", "PAPER", "main")
    found = await FixFront.open(
        [bot], disk, gate, SystemClock(), lambda _, token: "fx" if token == TOKEN else None
    )
    await found.listen([Listener(address)])
    try:
        yield found
    finally:
        await found.close()
        disk.close()


@pytest.fixture
def initiators() -> Iterator[list[Any]]:
    """QuickFIX initiators and acceptors to stop at the end."""
    started: list[Any] = []
    yield started
    while started:
        end_last(started)


def end_last(started: list[Any]) -> None:
    """Stop the engine that was started last, and forget it: its sessions are global by name."""
    started[-1].stop(True)
    del started[-1]
    gc.collect()


def start_bot(tmp: Path, address: str, started: list[Any]) -> Engine:
    """QuickFIX as the bot."""
    engine = Engine()
    port = int(address.rpartition(":")[2])
    config = settings(tmp, "initiator", port, "BOT1", "SEKISHO")
    stores = quickfix.FileStoreFactory(config)
    initiator = quickfix.SocketInitiator(engine, stores, config)
    initiator.start()
    started.append(initiator)
    initiator.kept = (engine, stores, config)  # it does not keep them alive itself
    return engine


def new_order(name: str, quantity: str = "10000") -> Any:
    pairs = ((11, name), (55, "EUR/USD"), (15, "EUR"), (54, "1"), (38, quantity), (40, "2"))
    return message("D", *pairs, (44, "1.1"), (59, "0"))


def send(engine: Engine, made: Any) -> None:
    quickfix.Session.sendToTarget(made, engine.session)


def said(engine: Engine, kind: str) -> list[tuple[str, ...]]:
    """ExecType and so on of the messages of a kind that the engine heard."""
    wanted = {"8": (11, 150, 39), "9": (11, 434, 102), "j": (379, 380), "r": (11, 531)}[kind]
    found = [one for one in engine.heard if one[35] == kind]
    return [tuple(one.get(tag, "") for tag in wanted) for one in found]


def test_bot_quickfix_orders_are_taken_and_reported(tmp_path: Path, initiators: list[Any]) -> None:
    """D, G, F, H and q reach the gate as orders, and QuickFIX reads every answer."""

    async def story() -> None:
        gate = FakeGate()
        async with front(tmp_path, gate) as found:
            bot = start_bot(tmp_path, found.acceptors[0].address, initiators)
            await until(lambda: bot.logged_on)
            send(bot, new_order("o-1"))
            await until(lambda: len(bot.heard) == 1)
            gate.execute("o-1", "trade", "4000", "6000")
            about = ((41, "o-1"), (55, "EUR/USD"), (54, "1"), (38, "9000"))
            await until(lambda: len(bot.heard) == 2)
            send(bot, message("G", (11, "o-2"), *about, (40, "2"), (44, "1.1")))
            await until(lambda: len(bot.heard) == 3)
            send(bot, message("H", (11, "o-2"), (55, "EUR/USD"), (54, "1")))
            await until(lambda: len(bot.heard) == 4)
            send(bot, message("F", (11, "c-1"), (41, "o-2"), (55, "EUR/USD"), (54, "1"), (38, "1")))
            await until(lambda: len(bot.heard) == 5)
            send(bot, message("q", (11, "m-1"), (530, "7")))
            await until(lambda: len(bot.heard) == 6)
        assert [one["action"] for one in gate.bodies] == ["new", "amend", "cancel"]
        assert said(bot, "8") == [
            ("o-1", "0", "0"),
            ("o-1", "F", "1"),
            ("o-2", "5", "1"),
            ("o-2", "I", "1"),
            ("c-1", "4", "4"),
        ]
        assert said(bot, "r") == [("m-1", "7")]
        assert bot.rejects == []

    asyncio.run(story())


def test_bot_quickfix_refusals_have_their_codes(tmp_path: Path, initiators: list[Any]) -> None:
    """A refused order is 8 with OrdRejReason, a cancel 9, an unavailable gate j, a bad tag 3."""

    async def story() -> None:
        gate = FakeGate()
        reason = Reason(Code.EXCEEDS_SCOPE_SIZE, "1", "2", "EUR")
        gate.answers["o-1"] = Answer(kind="refused", decision=7, reasons=(reason,))
        unknown = Reason(Code.UNKNOWN_ORDER, "", "", "")
        gate.answers["c-1"] = Answer(kind="refused", decision=8, reasons=(unknown,))
        down = Reason(Code.CONTROL_UNAVAILABLE, "", "", "")
        gate.answers["o-2"] = Answer(kind="unavailable", decision=-1, reasons=(down,))
        async with front(tmp_path, gate) as found:
            bot = start_bot(tmp_path, found.acceptors[0].address, initiators)
            await until(lambda: bot.logged_on)
            send(bot, new_order("o-1"))
            send(bot, message("F", (11, "c-1"), (41, "o-9"), (55, "EUR/USD"), (54, "1"), (38, "1")))
            send(bot, new_order("o-2"))
            hidden = new_order("o-3")
            hidden.setField(111, "10")
            send(bot, hidden)
            await until(lambda: len(bot.heard) == 3 and bot.rejects)
        assert said(bot, "8") == [("o-1", "8", "8")]
        assert [one[103] for one in bot.heard if one[35] == "8"] == ["3"]
        assert said(bot, "9") == [("c-1", "1", "1")]
        assert said(bot, "j") == [("o-2", "4")]
        assert (bot.rejects[0][371], bot.rejects[0][373]) == ("111", "2")
        assert [one["client_order_id"] for one in gate.bodies] == ["o-1", "c-1", "o-2"]

    asyncio.run(story())


def test_bot_quickfix_hears_after_a_cut_what_it_missed(
    tmp_path: Path, initiators: list[Any]
) -> None:
    """The front is gone and comes back: the fill in between is told once, in order."""

    async def story() -> None:
        gate = FakeGate()
        async with front(tmp_path, gate) as first:
            address = first.acceptors[0].address
            bot = start_bot(tmp_path, address, initiators)
            await until(lambda: bot.logged_on)
            send(bot, new_order("o-1"))
            await until(lambda: len(bot.heard) == 1)
        await until(lambda: not bot.logged_on)
        gate.execute("o-1", "trade", "10000", "0")  # nobody listens: the log alone knows
        gate._listeners.clear()
        async with front(tmp_path, gate, address):
            await until(lambda: bot.logged_on and len(bot.heard) == 2)
            send(bot, new_order("o-2"))
            await until(lambda: len(bot.heard) == 3)
        assert said(bot, "8") == [("o-1", "0", "0"), ("o-1", "F", "2"), ("o-2", "0", "0")]

    asyncio.run(story())


def test_bot_quickfix_stays_logged_on_by_heartbeats(tmp_path: Path, initiators: list[Any]) -> None:
    """With a heartbeat of a second the session lives on over several of them."""

    async def story() -> None:
        async with front(tmp_path, FakeGate()) as found:
            bot = start_bot(tmp_path, found.acceptors[0].address, initiators)
            await until(lambda: bot.logged_on)
            session = next(iter(found._desks.values()))[1].session
            at = session.expected
            await until(lambda: session.expected >= at + 3)
            assert session.state == "active"
            assert bot.logged_on == 1

    asyncio.run(story())


# -- QuickFIX as the venue -------------------------------------------------------------------------


class Venue:
    """A venue of a few lines over QuickFIX: it acknowledges, fills on request, knows its orders."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self.mute = False
        self.sent = 0

    def __call__(self, made: Any, session: Any) -> None:
        plain = fields(made)
        kind, name = plain[35], plain[11]
        if kind in ("D", "G"):
            self.orders[name] = plain[38]
            if not self.mute:
                self.report(session, name, "5" if kind == "G" else "0", "0", plain[38])
        elif kind == "F":
            if plain[41] in self.orders:
                self.report(session, name, "4", "4", "0", (41, plain[41]))
            else:
                pairs = ((37, "NONE"), (11, name), (41, plain[41]), (39, "8"), (434, "1"))
                quickfix.Session.sendToTarget(message("9", *pairs, (102, "1")), session)
        elif kind == "H":
            known = name in self.orders
            reject = () if known else ((103, "5"),)
            leaves = self.orders.get(name, "0")
            self.report(session, name, "I", "0" if known else "8", leaves, *reject)

    def report(
        self, session: Any, name: str, said: str, status: str, leaves: str, *more: tuple[int, str]
    ) -> None:
        self.sent += 1
        pairs = (
            (37, f"v-{name}"),
            (17, "0" if said == "I" else f"e-{self.sent}"),
            (150, said),
            (39, status),
            (11, name),
            (55, "EUR/USD"),
            (54, "1"),
            (151, leaves),
            (14, "0"),
            (6, "0"),
        )
        quickfix.Session.sendToTarget(message("8", *pairs, *more), session)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_venue(tmp: Path, port: int, venue: Venue, started: list[Any]) -> Engine:
    """QuickFIX as the venue."""
    engine = Engine(venue)
    config = settings(tmp, "acceptor", port, "PAPER", "GATE1")
    stores = quickfix.FileStoreFactory(config)
    acceptor = quickfix.SocketAcceptor(engine, stores, config)
    acceptor.start()
    started.append(acceptor)
    acceptor.kept = (engine, stores, config)  # it does not keep them alive itself
    return engine


@asynccontextmanager
async def connector(tmp: Path, port: int, **changes: Any) -> AsyncIterator[FixVenue]:
    """Our connector to a venue that takes no permits and knows no sub ids."""
    disk = FolderDisk(tmp / "gate")
    terms = {"permit_tag": 0, "mass_status": False, "agent_sub_id": False, "heartbeat_s": 1}
    found = await FixVenue.open(
        venue_terms(f"127.0.0.1:{port}", **(terms | changes)), disk, SystemClock()
    )
    found.start()
    try:
        yield found
    finally:
        await found.close()
        disk.close()


def test_venue_quickfix_order_amend_cancel_status(tmp_path: Path, initiators: list[Any]) -> None:
    """D, G, F and H of ours are what QuickFIX understands, and its reports are read as they are."""

    async def story() -> None:
        desk, port = Desk(), free_port()
        start_venue(tmp_path, port, Venue(), initiators)
        async with connector(tmp_path, port) as venue:
            await venue.logged_on(WAIT_S)
            new = await venue.submit(desk.permit(resting()))
            replaced = await venue.submit(
                desk.permit(resting("o-2", quantity="8000"), replaces="o-1")
            )
            assert await venue.open_orders("fx") == ("o-2",)
            gone = await venue.cancel("fx", "o-2")
            never = await venue.order_reports("fx", "o-9")
            _, copied = await venue.reports_since(0)
        kinds = [one.exec_type for one in (*new, *replaced, *gone, *never)]
        assert kinds == ["new", "replaced", "canceled", "not_found"]
        assert [one.client_order_id for one in copied] == ["o-1", "o-2", "o-2"]
        assert copied == (*new, *replaced, *gone)

    asyncio.run(story())


def test_venue_quickfix_cut_order_is_unknown_and_never_sent_again(
    tmp_path: Path, initiators: list[Any]
) -> None:
    """The venue goes after the order left: unknown, then its word by resend, and one order only."""

    async def story() -> None:
        desk, port, book = Desk(), free_port(), Venue()
        engine = start_venue(tmp_path, port, book, initiators)
        async with connector(tmp_path, port) as venue:
            await venue.logged_on(WAIT_S)
            book.mute = True
            asking = asyncio.create_task(venue.submit(desk.permit(resting())))
            await until(lambda: "o-1" in book.orders)
            await asyncio.to_thread(end_last, initiators)
            with pytest.raises(OutcomeUnknown):
                await asking
            book.mute = False
            again = start_venue(tmp_path, port, book, initiators)
            await until(lambda: again.logged_on)
            book.report(again.session, "o-1", "0", "0", "10000")
            await venue.logged_on(WAIT_S)
            reports = await venue.order_reports("fx", "o-1")
        orders = [one for one in (*engine.heard, *again.heard) if one[35] == "D"]
        assert [one[11] for one in orders] == ["o-1"]
        assert [one.exec_type for one in reports] == ["new"]

    asyncio.run(story())


def test_venue_quickfix_restart_gets_what_was_not_confirmed(
    tmp_path: Path, initiators: list[Any]
) -> None:
    """A new process of ours is told again, under the same numbers, what it had not confirmed."""

    async def story() -> None:
        desk, port = Desk(), free_port()
        start_venue(tmp_path, port, Venue(), initiators)
        async with connector(tmp_path, port) as venue:
            await venue.logged_on(WAIT_S)
            await venue.submit(desk.permit(resting()))
            await venue.submit(desk.permit(resting("o-2")))
            before = await venue.reports_since(0)
        async with connector(tmp_path, port) as venue:
            await venue.logged_on(WAIT_S)
            await until(lambda: len(venue.tape._tape) == 2)
            after = await venue.reports_since(0)
        assert before == after
        assert len(after[1]) == 2

    asyncio.run(story())
