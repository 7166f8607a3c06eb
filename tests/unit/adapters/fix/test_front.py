# SPDX-License-Identifier: Apache-2.0
"""The front's desk: FIX in, orders to the gate, answers out (docs/spec/fix.md, 3 to 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.acceptor import Admitted
from sekisho.adapters.fix.bot_desk import UNDER_WAY_MAX, BotDesk
from sekisho.adapters.fix.bot_orders import SHOWN_MAX, BotOrder, report
from sekisho.adapters.fix.codec import FixMessage, Framer, parse
from sekisho.adapters.fix.front import BotSession, FixFront
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.web.peers import Peer
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import Code, Reason
from sekisho.services.gatekeeper import Answer
from tests.fix_doubles import Counterpart, FakeGate
from tests.paper_doubles import NOW

BOT = BotSession("BOT", "GATE", "fx", "PAPER", "main")
TIME = (60, "20260515-09:15:00")
ABOUT = ((55, "EUR/USD"), (54, "1"), TIME)
NEW = (*ABOUT, (15, "EUR"), (38, "10000"), (40, "2"), (44, "1.1"))
AMEND = (*ABOUT, (38, "9000"), (40, "2"), (44, "1.2"))


class Counter:
    """A desk that a bot is logged on to, without a socket between."""

    def __init__(self, gate: FakeGate, disk: FolderDisk) -> None:
        self.gate = gate
        self.disk = disk
        self.clock = SteppedClock(NOW)
        self.bot = Counterpart("BOT", "GATE", self.clock)

    async def open(self) -> Counter:
        """Open the session's file and log on."""
        store = await FixStore.open(self.disk, "bot")
        self.desk = BotDesk(BOT, store, self.gate, self.clock)
        self.desk.start()
        self.desk.session.attach()
        await self.tell(self.bot.logon())
        return self

    async def tell(self, *data: bytes) -> list[FixMessage]:
        """What is answered to these messages."""
        for one in data:
            self.desk.session.receive(one)
            inbox, self.desk.session.inbox = self.desk.session.inbox, []
            for delivered in inbox:
                self.desk.deliver(delivered)
        return await self.said()

    async def said(self) -> list[FixMessage]:
        """What was said since, once everything under way has ended."""
        for _ in range(20):
            await asyncio.sleep(0)
        if self.desk._tasks:
            await asyncio.wait(list(self.desk._tasks))
        waiting, self.desk.session.outbox.waiting = self.desk.session.outbox.waiting, []
        return self.bot.read(b"".join(data for _, data in waiting))

    async def ask(self, kind: str, *fields: tuple[int, str]) -> list[FixMessage]:
        """A request and what is answered."""
        return await self.tell(self.bot.message(kind, *fields))


Story = Callable[[Counter], Awaitable[None]]


def play(folder: Path, story: Story, gate: FakeGate | None = None) -> FakeGate:
    """Run a story with a desk."""
    gate = gate or FakeGate()

    async def run() -> None:
        disk = FolderDisk(folder)
        counter = await Counter(gate, disk).open()
        await story(counter)
        await counter.desk.close()
        disk.close()

    asyncio.run(run())
    return gate


def shown(messages: list[FixMessage], *tags: int) -> list[tuple[str, ...]]:
    return [(one.kind, *(one.get(tag) for tag in tags)) for one in messages]


def refusal(code: Code, kind: str = "refused") -> Answer:
    reasons = (Reason(code, "1", "2", "EUR"), Reason(Code.RATE_STALE, "", "", ""))
    return Answer(kind=kind, decision=7, reasons=reasons)  # type: ignore[arg-type]  # closed words


def test_front_order_becomes_the_canonical_order(tmp_path: Path) -> None:
    """Word by word, with the session's venue and account where the order names none."""

    async def story(bot: Counter) -> None:
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150, 39) == [("8", "0", "0")]
        party = ((453, "1"), (448, "DEALER"), (447, "D"), (452, "17"))
        own = ((1, "other"), (100, "X"), (59, "3"))
        await bot.ask("D", (11, "o-2"), *NEW[:-1], (44, "01.10"), *own, *party)

    first, second = play(tmp_path, story).bodies
    assert first == {
        "action": "new",
        "client_order_id": "o-1",
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10000",
        "currency": "EUR",
        "price": "1.1",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    }
    own = {"venue": "X", "account": "other", "time_in_force": "ioc", "counterparty": "DEALER"}
    assert second == first | own | {"client_order_id": "o-2", "price": "01.10"}


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (Code.EXCEEDS_SCOPE_SIZE, "8", "3"),
        (Code.DAILY_VOLUME_CAP_EXCEEDED, "8", "3"),
        (Code.MARKET_NOT_ALLOWED, "8", "1"),
        (Code.OUTSIDE_TRADING_HOURS, "8", "2"),
        (Code.DUPLICATE_ORDER_ID, "8", "6"),
        (Code.RATE_STALE, "8", "99"),
        (Code.AGENT_NOT_ACTIVE, "j", ""),
        (Code.CONTROL_UNAVAILABLE, "8", "99"),
    ],
)
def test_front_refusal_has_reason_and_all_codes(
    tmp_path: Path, code: Code, kind: str, reason: str
) -> None:
    """103 of the first code, 58 with all; 380=4 where the gate takes nothing of this agent."""
    gate = FakeGate()
    gate.answers["o-1"] = refusal(code)

    async def story(bot: Counter) -> None:
        (said,) = await bot.ask("D", (11, "o-1"), *NEW)
        assert (kind, reason) == (said.kind, said.get(103))
        assert said.get(58).split(",")[0] == code
        assert Code.RATE_STALE in said.get(58)
        assert ("4" if kind == "j" else "") == said.get(380)
        assert ("8" if kind == "8" else "") == said.get(39)

    play(tmp_path, story, gate)


def test_front_refusal_for_nothing_but_the_gate_is_worth_another_try(tmp_path: Path) -> None:
    """35=j with 380=4 where the gate itself is all that is wrong."""
    gate = FakeGate()
    only = refusal(Code.CONTROL_UNAVAILABLE)
    gate.answers["o-1"] = msgspec.structs.replace(only, reasons=only.reasons[:1])

    async def story(bot: Counter) -> None:
        (said,) = await bot.ask("D", (11, "o-1"), *NEW)
        assert ("j", "4") == (said.kind, said.get(380))

    play(tmp_path, story, gate)


def test_front_repeated_order_gets_its_state(tmp_path: Path) -> None:
    """The same order again is one order; other content does not disturb what is known of it."""

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150, 39, 17) == [("8", "I", "0", "0")]
        bot.gate.answers["o-1"] = refusal(Code.DUPLICATE_ORDER_ID)
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150, 103) == [("8", "8", "6")]
        assert shown(await bot.ask("H", (11, "o-1"), *ABOUT[:2], (790, "q")), 39, 790) == [
            ("8", "0", "q")
        ]

    play(tmp_path, story)


def test_front_order_that_the_venue_has_not_answered_is_pending(tmp_path: Path) -> None:
    """Not New before the venue says so; then it is."""

    async def story(bot: Counter) -> None:
        bot.gate.silent = True
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150, 39) == [("8", "A", "A")]
        bot.gate.execute("o-1", "new", leaves="10000")
        assert shown(await bot.said(), 150, 39) == [("8", "0", "0")]

    play(tmp_path, story)


def test_front_withdrawn_order_is_rejected(tmp_path: Path) -> None:
    """Nothing left the gate, and the bot is told why."""
    gate = FakeGate()
    gate.answers["o-1"] = Answer(kind="withdrawn", decision=3, detail="lease_expired")

    async def story(bot: Counter) -> None:
        (said,) = await bot.ask("D", (11, "o-1"), *NEW)
        assert shown([said], 150, 103, 58) == [("8", "8", "99", "withdrawn: lease_expired")]

    play(tmp_path, story, gate)


def test_front_executions_are_told_as_the_log_tells_them(tmp_path: Path) -> None:
    """Fills with their sums, an unsolicited cancel with the order's own id, each once."""

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)
        bot.gate.execute("o-1", "trade", "4000", "6000")
        bot.gate.execute("other", "trade", "1", "0")
        bot.gate.execute("o-1", "canceled")
        said = await bot.said()
        assert shown(said, 11, 150, 39, 32, 14, 151, 6) == [
            ("8", "o-1", "F", "1", "4000", "4000", "6000", "1.1"),
            ("8", "o-1", "4", "4", "", "4000", "0", "1.1"),
        ]
        assert len({one.get(17) for one in said}) == 2
        assert bot.gate.flushed == 3

    play(tmp_path, story)


def test_front_execution_is_not_told_before_it_is_durable(tmp_path: Path) -> None:
    """What a crash could take back is not said."""

    async def story(bot: Counter) -> None:
        bot.gate.broken = True
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150) == [("8", "A")]
        bot.gate.execute("o-1", "trade", "10000", "0")
        assert await bot.said() == []

    play(tmp_path, story)


def test_front_amendment_is_replaced_rejected_or_pending(tmp_path: Path) -> None:
    """5 by the venue's word, 9 by its no, E while it is silent."""

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)
        bot.gate.silent = True
        pending = await bot.ask("G", (11, "o-2"), (41, "o-1"), *AMEND)
        assert shown(pending, 11, 41, 150) == [("8", "o-2", "o-1", "E")]
        other = await bot.ask("G", (11, "o-3"), (41, "o-1"), *AMEND)
        assert shown(other, 434, 102) == [("9", "2", "3")]
        bot.gate.execute("o-2", "rejected")
        assert shown(await bot.said(), 11, 434, 39) == [("9", "o-2", "2", "0")]
        bot.gate.silent = False
        done = await bot.ask("G", (11, "o-4"), (41, "o-1"), *AMEND)
        assert shown(done, 11, 41, 150, 38, 44) == [("8", "o-4", "o-1", "5", "9000", "1.2")]

    gate = play(tmp_path, story)
    assert gate.bodies[-1] == {
        "action": "amend",
        "client_order_id": "o-4",
        "orig_client_order_id": "o-1",
        "quantity": "9000",
        "price": "1.2",
    }


def test_front_amendment_of_something_else_is_refused_before_the_gate(tmp_path: Path) -> None:
    """An amendment cannot say another market, side or type; that has no translation."""

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)
        other = ((55, "EUR/USD"), (54, "2"), TIME, (38, "9000"), (40, "2"), (44, "1.2"))
        said = await bot.ask("G", (11, "o-2"), (41, "o-1"), *other)
        assert shown(said, 434, 102, 39) == [("9", "2", "99", "0")]
        said = await bot.ask("G", (11, "o-2"), (41, "never"), *AMEND)
        assert shown(said, 434, 102, 37) == [("9", "2", "1", "NONE")]

    assert len(play(tmp_path, story).bodies) == 1


def test_front_cancel_that_is_not_confirmed_is_pending(tmp_path: Path) -> None:
    """Canceled is said when the venue has said it; too late when the order ended before."""

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)
        bot.gate.silent = True
        said = await bot.ask("F", (11, "c-1"), (41, "o-1"), *ABOUT)
        assert shown(said, 11, 41, 150, 39) == [("8", "c-1", "o-1", "6", "6")]
        bot.gate.execute("o-1", "canceled")
        assert shown(await bot.said(), 11, 41, 150) == [("8", "c-1", "o-1", "4")]
        bot.gate.silent = False
        await bot.ask("D", (11, "o-2"), *NEW)
        bot.gate.answers["c-2"] = Answer(kind="permitted", decision=9, order_state="closed")
        bot.gate.execute("o-2", "trade", "10000", "0")
        said = await bot.ask("F", (11, "c-2"), (41, "o-2"), *ABOUT)
        assert shown(said, 150, 39) == [("8", "F", "2"), ("8", "I", "2")]

    play(tmp_path, story)


def test_front_cancel_all_never_looks_done_when_it_is_not(tmp_path: Path) -> None:
    """531=7 only when everything is gone; what is left is named."""

    async def story(bot: Counter) -> None:
        assert shown(await bot.ask("q", (11, "m-1"), (530, "7"), TIME), 531, 533) == [
            ("r", "7", "1")
        ]
        bot.gate.cancelled = (["o-1"], ["o-2"])
        (said,) = await bot.ask("q", (11, "m-2"), (530, "7"), TIME)
        assert shown([said], 531, 532, 533) == [("r", "0", "99", "1")]
        assert said.get(58) == "not confirmed: o-2"
        assert shown(await bot.ask("q", (11, "m-3"), (530, "1"), TIME), 531, 532) == [
            ("r", "0", "99")
        ]

    play(tmp_path, story)


def test_front_flood_is_answered_at_once_and_cancels_pass(tmp_path: Path) -> None:
    """Above the bound an order is not queued; a cancel still goes out."""
    gate = FakeGate()
    slow = asyncio.Event()
    submit = gate.submit

    async def waits(agent: str, body: bytes) -> Answer:
        if b'"cancel"' not in body:
            await slow.wait()
        return await submit(agent, body)

    gate.submit = waits  # type: ignore[method-assign]  # a gate that is busy

    async def story(bot: Counter) -> None:
        for number in range(UNDER_WAY_MAX + 1):
            bot.desk.session.receive(bot.bot.message("D", (11, f"o-{number}"), *NEW))
        bot.desk.session.receive(bot.bot.message("F", (11, "c-1"), (41, "other"), *ABOUT))
        for delivered in bot.desk.session.inbox:
            bot.desk.deliver(delivered)
        bot.desk.session.inbox.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        sent = [parse(Framer().feed(data)[0]) for _, data in bot.desk.session.outbox.waiting]
        assert shown(sent[:1], 379, 380) == [("j", f"o-{UNDER_WAY_MAX}", "4")]
        assert [one["client_order_id"] for one in gate.bodies] == ["c-1"]
        slow.set()
        await bot.said()

    play(tmp_path, story, gate)


@pytest.mark.parametrize("kind", ["D", "G", "F", "H", "q"])
def test_front_request_whose_name_is_too_long_is_answered_and_done(
    tmp_path: Path, kind: str
) -> None:
    """No answer can repeat it: 35=j with the name cut, recorded as it came, the next one taken."""
    long = "i" * 7_900
    fields: dict[str, tuple[tuple[int, str], ...]] = {
        "D": ((11, long), *NEW),
        "G": ((11, long), (41, "o-1"), *AMEND),
        "F": ((11, "c-1"), (41, long), *ABOUT),
        "H": ((11, "o-1"), *ABOUT[:2], (790, long)),
        "q": ((11, long), (530, "7"), TIME),
    }
    gate = FakeGate()
    for name in (long, "c-1"):
        gate.answers[name] = refusal(Code.MALFORMED_ORDER)

    async def story(bot: Counter) -> None:
        (said,) = await bot.ask(kind, *fields[kind])
        assert ("j", "2", kind, "0") == (said.kind, *(said.get(t) for t in (45, 372, 380)))
        assert len(said.get(379)) <= SHOWN_MAX
        assert (Code.MALFORMED_ORDER in said.get(58)) is (kind in "DGF")
        assert bot.desk.session.store.next_in == 3
        assert shown(await bot.ask("D", (11, "o-2"), *NEW), 150) == [("8", "0")]
        assert not any(long in str(note) for note in bot.desk.session.store.notes.items())

    play(tmp_path, story, gate)
    assert (2 if kind in "DGF" else 1) == len(gate.bodies)


@pytest.mark.parametrize("tag", [1, 15, 38, 40, 44, 54, 55, 59])
def test_front_order_with_a_text_too_long_is_rejected_with_it_cut(tmp_path: Path, tag: int) -> None:
    """The gate refuses it as it came; what is repeated fits, and nothing of it stays."""
    gate = FakeGate()
    gate.answers["o-1"] = refusal(Code.MALFORMED_ORDER)
    long = "9" * 7_900

    async def story(bot: Counter) -> None:
        fields = [one for one in NEW if one[0] != tag]
        (said,) = await bot.ask("D", (11, "o-1"), *fields, (tag, long))
        assert shown([said], 150, 39) == [("8", "8", "8")]
        assert len(said.get(tag)) <= SHOWN_MAX
        assert bot.desk.session.store.next_in == 3

    play(tmp_path, story, gate)
    assert any(long in str(text) for text in gate.bodies[0].values())


def test_front_amendment_that_restates_a_long_text_is_another_order(tmp_path: Path) -> None:
    """A text that was cut is never the order's own, and an amount that is none is not kept."""
    account = "a" * 64
    gate = FakeGate()
    gate.answers["o-3"] = refusal(Code.MALFORMED_ORDER)

    async def story(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW, (1, account))
        said = await bot.ask("G", (11, "o-2"), (41, "o-1"), *AMEND, (1, account + "a" * 7_000))
        assert shown(said, 434, 102) == [("9", "2", "99")]
        quantity = ((38, "1" * 7_000), (40, "2"))
        said = await bot.ask("G", (11, "o-3"), (41, "o-1"), *ABOUT, *quantity)
        assert shown(said, 434, 102) == [("9", "2", "99")]
        assert max(map(len, (tmp_path / "bot").read_bytes().splitlines())) < 2_000

    play(tmp_path, story, gate)
    assert ["o-1", "o-3"] == [one["client_order_id"] for one in gate.bodies]


def test_front_flood_of_long_names_is_answered(tmp_path: Path) -> None:
    """The answer to what is above the bound repeats a cut name alone."""

    async def story(bot: Counter) -> None:
        bot.desk._tasks = dict.fromkeys(range(UNDER_WAY_MAX))  # type: ignore[assignment]  # full
        bot.desk.session.receive(bot.bot.message("D", (11, "i" * 7_900), *NEW))
        (delivered,) = bot.desk.session.inbox
        bot.desk.deliver(delivered)
        bot.desk.session.inbox, bot.desk._tasks = [], set()
        assert shown(await bot.said(), 380, 379) == [("j", "4", "i" * SHOWN_MAX)]

    play(tmp_path, story)


def test_front_answer_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    """What the gate says may be too much for a message; the request is answered and done."""

    async def story(bot: Counter) -> None:
        bot.gate.cancelled = ([f"{n:04}" + "x" * 200 for n in range(60)], [])
        said = await bot.ask("q", (11, "m-1"), (530, "7"), TIME)
        assert shown(said, 379, 380) == [("j", "m-1", "0")]
        assert bot.desk.session.store.next_in == 3

    play(tmp_path, story)


def test_front_report_with_odd_words_of_a_venue_can_be_written() -> None:
    """What a venue calls an order or an execution cannot keep it from being told."""
    order = BotOrder(
        first_id="o-1", client_order_id="o-1", ids=["o-1"], symbol="EUR/USD", side="1", quantity="1"
    )
    order.venue_order_id = "\u00e4" * 9_000
    said = Counterpart("GATE", "BOT", SteppedClock(NOW))
    data = said.message("8", *report(order, "0", "V:\u00e4" + "e" * 9_000, NOW))
    (shown_again,) = said.read(data)
    assert "V:?e" == shown_again.get(17)[:4]


def test_front_restart_tells_what_happened_meanwhile_once(tmp_path: Path) -> None:
    """From the gate's log, from where the session's file left off."""
    gate = FakeGate()

    async def first(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)

    play(tmp_path, first, gate)
    gate._listeners.clear()
    gate.execute("o-1", "trade", "10000", "0")

    async def second(bot: Counter) -> None:
        bot.bot.next_out = 3
        bot.desk.session.detach()
        bot.desk.session.attach()
        await bot.tell(bot.bot.logon())
        again = await bot.ask("2", (7, "1"), (16, "0"))
        told = [one for one in again if one.kind == "8"]
        assert shown(told, 150, 14) == [("8", "0", "0"), ("8", "F", "10000")]
        assert shown(await bot.ask("H", (11, "o-1"), *ABOUT[:2]), 39, 14) == [("8", "2", "10000")]

    play(tmp_path, second, gate)


def test_front_order_whose_answer_a_crash_took_is_told_again(tmp_path: Path) -> None:
    """The session knows nothing of it; the repeated order finds its executions in the log."""
    gate = FakeGate()

    async def first(bot: Counter) -> None:
        await bot.ask("D", (11, "o-1"), *NEW)

    play(tmp_path / "a", first, gate)
    gate._listeners.clear()
    gate.answers["o-1"] = Answer(kind="permitted", decision=-1, order_state="open")

    async def second(bot: Counter) -> None:
        bot.desk._news._told = 99
        assert shown(await bot.ask("D", (11, "o-1"), *NEW), 150, 39) == [("8", "0", "0")]

    play(tmp_path / "b", second, gate)


@pytest.mark.parametrize(
    ("sender", "username", "password", "taken"),
    [
        ("BOT", "fx", "good", True),
        ("BOT", "fx", "bad", False),
        ("BOT", "fx", "", False),
        ("BOT", "other", "good", False),
        ("BOT", "", "good", False),
        ("EVE", "fx", "good", False),
        ("BOT", "fx", "others", False),
    ],
)
def test_front_logon_needs_session_name_and_token(
    tmp_path: Path, sender: str, username: str, password: str, *, taken: bool
) -> None:
    """CompIDs choose, the token proves, and it is the session's own agent's."""
    tokens = {"good": "fx", "others": "other"}

    async def run() -> Admitted | str:
        disk = FolderDisk(tmp_path)
        clock = SteppedClock(NOW)
        front = await FixFront.open(
            [BOT], disk, FakeGate(), clock, lambda _, token: tokens.get(token)
        )
        fields = [(tag, text) for tag, text in ((553, username), (554, password)) if text]
        bot = Counterpart(sender, "GATE", clock)
        (message,) = bot.read(bot.logon(*fields))
        found = front._admit(message, Peer("unix", uid=1000))
        await front.close()
        disk.close()
        return found

    found = asyncio.run(run())
    assert isinstance(found, Admitted) is taken
    assert taken or (password or "-") not in str(found).replace("Password", "")


def test_front_two_sessions_of_one_agent_are_refused(tmp_path: Path) -> None:
    """An agent's requests have one order of numbers."""

    async def run() -> None:
        disk = FolderDisk(tmp_path)
        second = BotSession("BOT2", "GATE", "fx", "PAPER")
        try:
            with pytest.raises(ConfigurationInvalid):
                await FixFront.open(
                    [BOT, second], disk, FakeGate(), SteppedClock(NOW), lambda _, token: None
                )
        finally:
            disk.close()

    asyncio.run(run())
