# SPDX-License-Identifier: Apache-2.0
"""The FIX connector against a venue by hand: outcomes, odd words, proof (docs/spec/fix.md, 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.venues.fix import FixVenue
from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.ports import VenueReport
from tests.fix_doubles import Counterpart, venue_terms
from tests.paper_doubles import Desk, order, resting

Pairs = tuple[tuple[int, str], ...]


class ByHand:
    """A connector that is logged on, and the venue's words in the test's mouth."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.folder = folder
        self.desk = Desk()
        self.other = Counterpart("PAPER", "GATE1", self.desk.clock)
        self.terms = venue_terms("127.0.0.1:1", **({"answer_wait_s": 5.0} | terms))
        self.sub_ids = self.terms.agent_sub_id
        self.count = 0

    async def open(self) -> ByHand:
        """Open the file, log on."""
        disk = FolderDisk(self.folder)
        self.venue = await FixVenue.open(self.terms, disk, self.desk.clock)
        self.disk = disk
        self.venue.session.attach()
        self.said()
        self.tell(self.other.logon())
        return self

    async def close(self) -> None:
        """End the process: what was changed is on disk."""
        await self.venue.session.store.flush()
        self.disk.close()

    def said(self) -> list[FixMessage]:
        """What was sent since, as written."""
        outbox = self.venue.session.outbox
        waiting, outbox.waiting = outbox.waiting, []
        outbox.written = max([outbox.written, *(number for number, _ in waiting)])
        return self.other.read(b"".join(data for _, data in waiting))

    def tell(self, data: bytes) -> None:
        """The venue speaks."""
        session = self.venue.session
        session.receive(data)
        inbox, session.inbox = session.inbox, []
        for delivered in inbox:
            self.venue.tape.take(delivered)

    def report(
        self, name: str, said: str, status: str, *more: tuple[int, str], **header: Any
    ) -> None:
        """An ExecutionReport."""
        self.count += 1
        given = {tag for tag, _ in more}
        fields = [(11, name), (37, "v-1"), (17, f"e-{self.count}"), (150, said), (39, status)]
        fields += [(14, "0"), (151, "10000")]
        sub = [(57, header.pop("agent", "fx"))] if self.sub_ids else []
        kept = tuple(pair for pair in fields if pair[0] not in given)
        self.tell(self.other.message("8", *kept, *more, fields=sub, **header))

    async def asked(self, call: Awaitable[Any], kind: str) -> tuple[asyncio.Task[Any], FixMessage]:
        """Begin a call; the request that it sends."""
        task = asyncio.ensure_future(call)
        for _ in range(5):
            await asyncio.sleep(0)
        (sent,) = self.said()
        assert sent.kind == kind
        return task, sent

    async def submitted(self, name: str = "o-1", **changes: Any) -> tuple[VenueReport, ...]:
        """A resting order that the venue acknowledges."""
        permit = self.desk.permit(resting(name), **changes)
        task, _ = await self.asked(self.venue.submit(permit), "D")
        self.report(name, "0", "0")
        return await task

    async def status(self, name: str, status: str, *more: tuple[int, str]) -> Any:
        """Ask for an order's reports; the venue answers with a status."""
        task, sent = await self.asked(self.venue.order_reports("fx", name), "H")
        self.report(name, "I", status, (790, sent.get(790)), (17, "0"), *more)
        return await task


Story = Callable[[ByHand], Awaitable[None]]


def play(folder: Path, story: Story, **terms: Any) -> None:
    """Run a story with a connector."""

    async def run() -> None:
        hand = await ByHand(folder, **terms).open()
        await story(hand)
        await hand.close()

    asyncio.run(run())


def kinds(reports: Any) -> list[str]:
    return [one.exec_type for one in reports]


def test_venue_order_is_what_the_permit_says(tmp_path: Path) -> None:
    """Each field from the permit, the agent in the header, the permit whole."""

    async def story(hand: ByHand) -> None:
        permit = hand.desk.permit(order(price=None, order_type="market", counterparty="X"))
        task, sent = await hand.asked(hand.venue.submit(permit), "D")
        said = {tag: sent.get(tag) for tag in (11, 1, 55, 54, 38, 40, 44, 15, 59, 5001)}
        assert said == {
            11: "o-1",
            1: "main",
            55: "EUR/USD",
            54: "1",
            38: "10000",
            40: "1",
            44: "",
            15: "EUR",
            59: "0",
            5001: permit,
        }
        assert (sent.header[50], sent.groups[453][0][448]) == ("fx", "X")
        hand.report("o-1", "8", "8", (103, "3"))
        (report,) = await task
        assert (report.exec_type, report.reason) == ("rejected", "OrdRejReason 3")

    play(tmp_path, story)


def test_venue_without_permits_gets_none(tmp_path: Path) -> None:
    """The permit goes only where it is asked for."""

    async def story(hand: ByHand) -> None:
        permit = hand.desk.permit(resting())
        task, sent = await hand.asked(hand.venue.submit(permit), "D")
        assert permit not in sent.body.values()
        hand.report("o-1", "0", "0")
        await task

    play(tmp_path, story, permit_tag=0)


def test_venue_cut_before_the_bytes_left_is_unavailable(tmp_path: Path) -> None:
    """Certain only while nothing was handed to the socket."""

    async def story(hand: ByHand) -> None:
        for written, failure in ((False, Unavailable), (True, OutcomeUnknown)):
            permit = hand.desk.permit(resting(f"o-{written}"))
            task = asyncio.ensure_future(hand.venue.submit(permit))
            await asyncio.sleep(0)
            if written:
                hand.said()
            hand.venue.tape.cut(hand.venue.session.outbox.written)
            with pytest.raises(failure):
                await task

    play(tmp_path, story)


def test_venue_silence_is_an_unknown_outcome_and_its_late_word_counts(tmp_path: Path) -> None:
    """Time-out means unknown; what comes afterwards is in the drop copy."""

    async def story(hand: ByHand) -> None:
        with pytest.raises(OutcomeUnknown):
            await hand.venue.submit(hand.desk.permit(resting()))
        hand.said()
        hand.report("o-1", "0", "0")
        assert kinds(hand.venue.tape.since(0)[1]) == ["new"]

    play(tmp_path, story, answer_wait_s=0.01)


def test_venue_not_logged_on_is_unavailable(tmp_path: Path) -> None:
    """Every call; nothing is sent later."""

    async def story(hand: ByHand) -> None:
        hand.venue.session.detach()
        for call in (
            hand.venue.submit(hand.desk.permit(resting())),
            hand.venue.order_reports("fx", "o-1"),
            hand.venue.open_orders("fx"),
            hand.venue.reports_since(0),
        ):
            with pytest.raises(Unavailable):
                await call
        assert hand.said() == []

    play(tmp_path, story)


@pytest.mark.parametrize("kind", ["j", "3"])
def test_venue_refused_message_is_no_order(tmp_path: Path, kind: str) -> None:
    """A message that the venue did not take had no effect, and closes nothing."""

    async def story(hand: ByHand) -> None:
        task, sent = await hand.asked(hand.venue.submit(hand.desk.permit(resting())), "D")
        fields = [(45, str(sent.sequence)), (372, "D"), (58, "no")]
        fields.append((380, "6") if kind == "j" else (373, "5"))
        hand.tell(hand.other.message(kind, *fields))
        with pytest.raises(Unavailable):
            await task
        assert hand.venue.tape.since(0)[1] == ()

    play(tmp_path, story)


def test_venue_same_order_is_never_sent_twice(tmp_path: Path) -> None:
    """Neither by its permit nor by another one with its id; not after a restart either."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        for _ in range(2):
            (report,) = await hand.venue.submit(hand.desk.permit(resting()))
            assert (report.exec_type, report.agent, report.client_order_id) == ("rejected", "", "")
            await hand.close()
            await hand.open()
        assert {one.kind for one in hand.said()} <= {"2"}

    play(tmp_path, story)


def test_venue_without_sub_ids_an_id_is_one_agents(tmp_path: Path) -> None:
    """Reports could not be told apart: the second agent's order of that id is not sent."""

    async def story(hand: ByHand) -> None:
        (new,) = await hand.submitted()
        assert new.agent == "fx"
        other = hand.desk.permit(resting(), agent="other")
        (report,) = await hand.venue.submit(other)
        assert (report.exec_type, report.client_order_id) == ("rejected", "")
        assert hand.said() == []

    play(tmp_path, story, agent_sub_id=False)


@pytest.mark.parametrize(
    ("said", "status", "more"),
    [
        ("G", "2", ()),
        ("H", "0", ()),
        ("3", "3", ()),
        ("D", "0", ()),
        ("0", "8", ()),
        ("4", "0", ()),
        ("F", "4", ((32, "1"), (31, "1"))),
        ("F", "1", ((31, "1.1"),)),
        ("F", "1", ((32, "1"), (31, "1.123456789"))),
        ("F", "1", ((32, "-1"), (31, "1.1"))),
        ("F", "1", ((32, "1"), (31, "1.1"), (17, "0"))),
        ("F", "1", ((32, "1"), (31, "1.1"), (60, "yesterday"))),
    ],
)
def test_venue_word_that_is_not_understood_is_odd(
    tmp_path: Path, said: str, status: str, more: Pairs
) -> None:
    """It is listed, makes no report and ends no order."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        hand.report("o-1", said, status, *more)
        assert (hand.venue.tape.odd_count, len(hand.venue.tape.odd)) == (1, 1)
        assert kinds(hand.venue.tape.since(0)[1]) == ["new"]
        assert [one.client_order_id for one in hand.venue.tape.open_orders("fx")] == ["o-1"]

    play(tmp_path, story)


def test_venue_fill_is_read_exactly(tmp_path: Path) -> None:
    """Quantities, price, counterparty and time as the venue writes them."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        fields = ((32, "4000.0"), (31, "1.1650"), (14, "4000.00"), (151, "6000"), (382, "1"))
        hand.report(
            "o-1", "F", "1", (60, "20260515-09:15:01.5".ljust(21, "0")), *fields, (375, "LP")
        )
        report = hand.venue.tape.since(0)[1][-1]
        assert (report.last_quantity, report.last_price) == ("4000", "1.165")
        assert (report.cum_quantity, report.leaves_quantity) == ("4000", "6000")
        assert (report.counterparty, report.exec_id) == ("LP", "e-2")
        assert report.transact_at == "2026-05-15T09:15:01.500000000Z"

    play(tmp_path, story)


def test_venue_pending_words_answer_nothing(tmp_path: Path) -> None:
    """A, 6 and E say that the venue is thinking."""

    async def story(hand: ByHand) -> None:
        task, _ = await hand.asked(hand.venue.submit(hand.desk.permit(resting())), "D")
        hand.report("o-1", "A", "A")
        await asyncio.sleep(0)
        assert not task.done()
        hand.report("o-1", "0", "0")
        assert kinds(await task) == ["new"]
        assert hand.venue.tape.odd_count == 0

    play(tmp_path, story)


def test_venue_rejected_amendment_leaves_the_order(tmp_path: Path) -> None:
    """9 to a G is the rejection of the new id; the order is open under its old one."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        permit = hand.desk.permit(resting("o-2", quantity="8000"), replaces="o-1")
        task, sent = await hand.asked(hand.venue.submit(permit), "G")
        assert (sent.get(41), sent.get(37)) == ("o-1", "v-1")
        fields = ((37, "v-1"), (11, "o-2"), (41, "o-1"), (39, "0"), (434, "2"), (102, "0"))
        hand.tell(hand.other.message("9", *fields, fields=[(57, "fx")]))
        (report,) = await task
        assert (report.exec_type, report.client_order_id) == ("rejected", "o-2")
        (kept,) = hand.venue.tape.open_orders("fx")
        assert kept.client_order_id == "o-1"

    play(tmp_path, story)


def test_venue_cancel_that_is_rejected_asks_what_became_of_it(tmp_path: Path) -> None:
    """A fill that crossed the cancel is what the caller gets."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        task, sent = await hand.asked(hand.venue.cancel("fx", "o-1"), "F")
        filled = ((32, "10000"), (31, "1.1"), (14, "10000"), (151, "0"))
        hand.report("o-1", "F", "2", *filled)
        fields = ((37, "v-1"), (11, sent.get(11)), (41, "o-1"), (39, "2"), (434, "1"), (102, "0"))
        hand.tell(hand.other.message("9", *fields, fields=[(57, "fx")]))
        for _ in range(5):
            await asyncio.sleep(0)
        (asked,) = hand.said()
        hand.report("o-1", "I", "2", (790, asked.get(790)), (14, "10000"), (151, "0"))
        assert kinds(await task) == ["new", "trade"]

    play(tmp_path, story)


def test_venue_two_sources_must_agree(tmp_path: Path) -> None:
    """Nothing is released on a word that contradicts another."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        assert kinds(await hand.status("o-1", "0")) == ["new"]
        for status, more in (
            ("4", ()),
            ("0", ((14, "5"),)),
            ("8", ((103, "5"),)),
            ("2", ((14, "10000"),)),
        ):
            with pytest.raises(OutcomeUnknown):
                await hand.status("o-1", status, *more)

    play(tmp_path, story)


def test_venue_answer_alone_proves_only_what_has_no_fills(tmp_path: Path) -> None:
    """Never seen, or ended untouched; what was filled is told by its own reports."""

    async def story(hand: ByHand) -> None:
        for status, more, kind in (
            ("8", ((103, "5"),), "not_found"),
            ("8", (), "rejected"),
            ("4", (), "canceled"),
            ("C", (), "expired"),
            ("0", (), "new"),
        ):
            first, second = [await hand.status("o-9", status, *more) for _ in range(2)]
            assert (kinds(first), first) == ([kind], second)
        for status, more in (("4", ((14, "1"),)), ("2", ()), ("1", ())):
            with pytest.raises(OutcomeUnknown):
                await hand.status("o-9", status, *more)

    play(tmp_path, story)


def test_venue_unknown_order_cannot_be_amended_or_cancelled_blindly(tmp_path: Path) -> None:
    """An amendment of it is not sent; a cancel asks for it first."""

    async def story(hand: ByHand) -> None:
        permit = hand.desk.permit(resting("o-2"), replaces="o-1")
        (report,) = await hand.venue.submit(permit)
        assert (report.exec_type, report.client_order_id) == ("rejected", "")
        task, sent = await hand.asked(hand.venue.cancel("fx", "o-1"), "H")
        hand.report("o-1", "I", "8", (790, sent.get(790)), (103, "5"))
        assert kinds(await task) == ["not_found"]

    play(tmp_path, story)


def test_venue_list_that_is_not_whole_is_no_list(tmp_path: Path) -> None:
    """The venue says how many there are: fewer is unknown, none is none."""

    async def story(hand: ByHand) -> None:
        for total, listed, expected in (("2", 2, ("o-1", "o-2")), ("0", 0, ()), ("3", 2, None)):
            task, sent = await hand.asked(hand.venue.open_orders("fx"), "AF")
            assert sent.header[50] == "fx"
            about = ((584, sent.get(584)), (911, total))
            for number in range(1, listed + 1):
                last = (912, "Y" if number == listed else "N")
                hand.report(f"o-{number}", "I", "0", *about, last)
            if not listed:
                hand.report("x", "I", "8", *about)
            if expected is None:
                with pytest.raises(OutcomeUnknown):
                    await task
            else:
                assert await task == expected

    play(tmp_path, story)


def test_venue_drop_copy_waits_for_what_was_said_before(tmp_path: Path) -> None:
    """A report that is on its way when the caller asks is in the answer; a gap is no answer."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        task, sent = await hand.asked(hand.venue.reports_since(0), "1")
        hand.report("o-1", "4", "4", (151, "0"))
        hand.tell(hand.other.message("0", (112, sent.get(112))))
        at, reports = await task
        assert kinds(reports) == ["new", "canceled"]
        hand.other.next_out += 1
        hand.report("o-1", "4", "4")
        with pytest.raises(Unavailable):
            await hand.venue.reports_since(at)

    play(tmp_path, story)


def test_venue_report_is_asked_for_again_until_it_was_confirmed(tmp_path: Path) -> None:
    """Confirmed is what a caller named, one call later; a restart asks for the rest."""

    async def story(hand: ByHand) -> None:
        await hand.submitted()
        await hand.submitted("o-2")
        first = hand.venue.session.store.next_in
        at, _ = hand.venue.tape.since(0)
        assert hand.venue.session.store.next_in == first
        hand.venue.tape.since(at)
        assert hand.venue.session.store.next_in == first
        hand.report("o-2", "4", "4", (151, "0"))
        hand.venue.tape.since(at)
        assert hand.venue.session.store.next_in == first + 2
        await hand.close()
        await hand.open()
        (asked,) = hand.said()
        assert (asked.kind, asked.get(7)) == ("2", str(first + 2))

    play(tmp_path, story)
