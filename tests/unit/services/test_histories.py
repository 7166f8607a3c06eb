# SPDX-License-Identifier: Apache-2.0
"""Giving and taking an agent's history, between two gates on simulated ports."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, SekishoError, Unavailable, VerificationFailed
from sekisho.core.events import (
    Execution,
    GateOpened,
    HistoryAwaited,
    HistoryGiven,
    HistoryPart,
    LocalStop,
    ShutdownOrdered,
    decode_gate_entry,
)
from sekisho.core.handover import Head, head_row
from sekisho.ports import VenueReport
from sekisho.services.authoritywire import HistoryChunk, HistoryNext, HistoryPiece, HistoryReport
from sekisho.services.histories import Histories
from sekisho.services.leasing import Moved
from tests.gate_world import CERTIFICATE, ORIGIN, GateWorld, codes, scope_of
from tests.histories import assert_same_for_all

RICH: dict[str, Any] = {
    "daily_notional_max": "100000",
    "order_notional_max": "25000",
    "price_collar": {"deviation_max": "0.05", "range_max": "0.05", "window_s": 600},
    "concentration": {"share_max": "1", "notional_min": "1", "window_s": 600},
    "repeated_executions": {"count_max": 50, "window_s": 600},
    "repeated_orders": {"count_max": 50, "window_s": 600},
    "message_rate": {"count_max": 5000, "window_s": 600},
}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


class Link:
    """The authority of a move: what came, and what it says of it."""

    def __init__(self) -> None:
        self.data = b""
        self.reports: list[HistoryReport] = []
        self.chunks: list[HistoryChunk] = []

    async def give_history(self, chunk: HistoryChunk) -> HistoryNext:
        self.chunks.append(chunk)
        if chunk.offset == 0:
            self.data = b""
        self.data += unb64(chunk.data)
        return HistoryNext(next=len(self.data))

    async def history(self, _agent: str, offset: int) -> HistoryPiece:
        return HistoryPiece(size=len(self.data), data=b64(self.data[offset : offset + 50_000]))

    async def history_taken(self, report: HistoryReport) -> None:
        self.reports.append(report)


class Mover:
    """One gate's part in a move of ``bot`` from g1 to g2."""

    def __init__(self, world: GateWorld, link: Link) -> None:
        self.world = world
        self.told = SimpleNamespace(moved={}, renewed=0)
        self.told.renew = self._renew
        leasing = cast("Any", self.told)
        self.histories = Histories(
            world.log, leasing, world.stopping, world.release, link, world.clock
        )

    async def _renew(self) -> None:
        self.told.renewed += 1

    async def step(self, history: str) -> None:
        """One step under a lease that says so."""
        self.told.moved = {"bot": Moved(before="g1", gate="g2", epoch=3, history=history)}
        held = self.world.log.state.agents["bot"]
        if held.awaited < 3:
            await_history(self.world)
        stepping = asyncio.ensure_future(self.histories.step())
        while not stepping.done():
            await self.world.clock.play(0)
        await stepping


def await_history(world: GateWorld) -> None:
    world.log.record(HistoryAwaited(at=world.log.at(), agent="bot", before="g1", epoch=3))


async def second(world: GateWorld | None = None) -> GateWorld:
    """The gate that gets the agent."""
    disk = None if world is None else world.disk
    made = await GateWorld.start(scope_of(**RICH), disk=disk)
    made.log.record(
        GateOpened(at=made.log.at(), gate="g2", boot="2" * 32, region="eu-west-1",
                   environment="test")
    )  # fmt: skip
    return made


async def traded() -> GateWorld:
    """A gate at which the agent has used most of its day, and got refusals."""
    world = await GateWorld.start(scope_of(**RICH))
    for number in range(3):
        world.venue.fill = number == 1
        answer = await world.ask(client_order_id=f"used-{number}", quantity="18000")
        assert answer.kind == "permitted", answer
    assert "refused" == (await world.ask(client_order_id="large", quantity="90000")).kind
    world.log.record(
        ShutdownOrdered(
            at=world.log.at(), agent="bot", mode="reduce_only", seats=("a",), commands=()
        )
    )
    return world


def parts(world: GateWorld) -> list[HistoryPart]:
    found = (decode_gate_entry(data) for _, data in world.log.journal.entries())
    return [one for one in found if isinstance(one, HistoryPart)]


async def given(world: GateWorld) -> Link:
    """The gate before gave the history."""
    link = Link()
    await Mover(world, link).step("")
    return link


def test_history_takes_counters_latches_and_ids_to_the_next_gate() -> None:
    """What was used is used, what was latched is latched, and a retry gets the first answer."""

    async def story() -> None:
        world = await traded()
        link = await given(world)
        there = await second()
        mover = Mover(there, link)
        await mover.step(sha256_hex(link.data))
        here, held = world.log.state.agents["bot"], there.log.state.agents["bot"]
        assert (held.gross, held.orders) == (here.gross, here.orders) > (0, 0)
        assert ({"shutdown"}, "reduce_only") == (held.latches, held.shutdown)
        assert (held.positions, held.quantities) == (here.positions, here.quantities)
        again = await there.ask(client_order_id="used-1", quantity="18000")
        assert ("permitted", held.taken_at) == (again.kind, again.decision)
        refused = await there.ask(client_order_id="large", quantity="90000")
        assert "exceeds_scope_size" in codes(refused)
        other = await there.ask(client_order_id="used-1", quantity="17000")
        assert "duplicate_order_id" in codes(other)
        (report,) = link.reports
        assert (3, held.taken_at) == (report.epoch, report.index)
        leaves.extend(data for _, data in world.log.journal.entries())

    leaves: list[bytes] = []
    play(story())
    kinds = {str(row[0]) for row in assert_same_for_all(leaves, ORIGIN)}
    assert {"counterparty", "low", "high", "execution"} <= kinds


def test_awaiting_gate_refuses_uses_no_id_up_and_lets_cancels_pass() -> None:
    """Also the gate before, which gave its history away."""

    async def story() -> None:
        there = await traded()
        there.rearm("shutdown")
        await_history(there)
        answer = await there.ask(client_order_id="next", quantity="10")
        assert ["control_unavailable"] == codes(answer)
        assert "history at gate g1 is not here" == answer.reasons[0].observed
        assert "next" not in there.log.state.agents["bot"].known
        cancel = {"action": "cancel", "client_order_id": "c", "orig_client_order_id": "used-0"}
        passed = await there.ask(canonical(cancel))
        assert "permitted" == passed.kind

    play(story())


def test_decision_that_waits_for_its_key_is_withdrawn_when_the_agent_moves() -> None:
    """A permit that was decided before the gate heard of the move does not leave."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(**RICH))
        await world.ask(client_order_id="first", quantity="10")
        signing = asyncio.Event()
        original = world.signer.sign

        async def slow(message: bytes) -> bytes:
            await signing.wait()
            return await original(message)

        cast("Any", world.signer).sign = slow
        asked = asyncio.ensure_future(world.ask(client_order_id="late", quantity="10"))
        for _ in range(5):
            await world.clock.play(0)
        await_history(world)
        signing.set()
        answer = await asked
        assert ("withdrawn", True) == (answer.kind, "history_not_here" in answer.detail)

    play(story())


@pytest.mark.parametrize("hindrance", ["flight", "stop"])
def test_history_is_not_given_while_something_may_still_change(hindrance: str) -> None:
    """A permit on its way; a stop of which the authority has not heard."""

    async def story() -> None:
        world = await traded()
        mover = Mover(world, Link())
        await_history(world)
        if hindrance == "stop":
            index = world.log.record(
                LocalStop(
                    at=world.log.at(),
                    agent="bot",
                    certificate_sha256=CERTIFICATE,
                    seats=("a",),
                    commands=(),
                )
            )
            with pytest.raises(Unavailable, match="has not heard of what stopped it"):
                await mover.step("")
            world.log.heard_stop(index)
        else:
            with world.release.in_flight("bot"), pytest.raises(Unavailable, match="on its way"):
                await mover.step("")
        assert not given_entries(world)
        await mover.step("")
        assert 1 == len(given_entries(world))

    play(story())


def given_entries(world: GateWorld) -> list[HistoryGiven]:
    found = (decode_gate_entry(data) for _, data in world.log.journal.entries())
    return [one for one in found if isinstance(one, HistoryGiven)]


def test_agent_that_moves_back_before_it_was_given_is_given_and_taken_at_its_own_gate() -> None:
    """A move by mistake is mended; nothing that was counted is lost on the way."""

    async def story() -> None:
        world = await traded()
        mover = Mover(world, link := Link())
        gross = world.log.state.agents["bot"].gross
        await_history(world)
        for history in ("", "kept"):
            sha256 = sha256_hex(link.data) if history else ""
            mover.told.moved = {"bot": Moved(before="g1", gate="g1", epoch=3, history=sha256)}
            await mover.histories.step()
        held = world.log.state.agents["bot"]
        assert (gross, False, 3) == (held.gross, held.awaits, held.history)
        assert "duplicate_order_id" in codes(await world.ask(client_order_id="used-0"))

    play(story())


def test_gate_that_lacks_a_history_says_who_owes_it_and_what_to_do() -> None:
    """Nothing else frees the agent."""

    async def story() -> None:
        there = await second()
        with pytest.raises(Unavailable, match="g1 has not handed over") as found:
            await Mover(there, Link()).step("")
        assert "start gate g1" in found.value.do

    play(story())


async def many() -> Link:
    """A history of several parts."""
    world = await traded()
    for number in range(1100):
        await world.ask(client_order_id=f"id-{number:030d}", quantity="90000")
    return await given(world)


def test_history_cut_between_its_parts_is_continued_and_never_used_by_half() -> None:
    """A process that dies after a part leaves the agent awaiting; the next one goes on."""

    async def story() -> None:
        link = await many()
        there = await second()
        record, cut = there.log.record, RuntimeError("the process dies")

        def dying(entry: Any) -> int:
            if isinstance(entry, HistoryPart) and entry.part == 1:
                raise cut
            return record(entry)

        cast("Any", there.log).record = dying
        with pytest.raises(RuntimeError):
            await Mover(there, link).step(sha256_hex(link.data))
        assert [0] == [one.part for one in parts(there)]
        there.disk = there.disk.kill()
        again = await second(there)
        held = again.log.state.agents["bot"]
        assert held.awaits
        assert "control_unavailable" in codes(await again.ask(client_order_id="half", quantity="1"))
        await Mover(again, link).step(sha256_hex(link.data))
        numbers = [one.part for one in parts(again)]
        assert list(range(len(numbers))) == numbers
        assert len(numbers) > 2
        assert not held.awaits
        assert "id-" + "0" * 27 + "999" in held.known
        assert link.reports

    play(story())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data.replace(b'"counters","', b'"counters","1'), VerificationFailed),
        (lambda data: data[:-40], VerificationFailed),
    ],
)
def test_history_of_another_digest_is_not_taken(change: Any, error: type[SekishoError]) -> None:
    """What came is compared with what the lease names, before anything is written."""

    async def story() -> None:
        link = await given(await traded())
        wanted = sha256_hex(link.data)
        link.data = change(link.data)
        there = await second()
        with pytest.raises(error):
            await Mover(there, link).step(wanted)
        assert ([], []) == (parts(there), link.reports)

    play(story())


@pytest.mark.parametrize(
    "rows",
    [
        [head_row(Head("other", 3, ORIGIN, 1))],
        [["counters", "0", "0", "0", "0", "0", "0"]],
        [head_row(Head("bot", 3, ORIGIN, 1)), ["strange"]],
        [head_row(Head("bot", 3, ORIGIN, 1)), ["position", "EUR/USD", 5]],
        [head_row(Head("bot", 3, ORIGIN, 1)), ["latches", "cancel_only", []]],
        [head_row(Head("bot", 3, ORIGIN, 1)), ["id", "x", "d" * 64, "allowed", ""]],
        [head_row(Head("bot", 3, ORIGIN, 1)), ["evidence", "size", "5"]],
    ],
)
def test_history_that_cannot_be_read_is_not_taken(rows: list[Any]) -> None:
    """Nothing is written before all of it was read."""

    async def story() -> None:
        link = Link()
        link.data = b"".join(canonical(row) + b"\n" for row in rows)
        there = await second()
        with pytest.raises((MalformedInput, VerificationFailed)):
            await Mover(there, link).step(sha256_hex(link.data))
        assert ([], []) == (parts(there), link.reports)

    play(story())


def reports(world: GateWorld) -> tuple[VenueReport, ...]:
    """What the venue told this gate."""
    names = VenueReport.__struct_fields__
    found = (decode_gate_entry(data) for _, data in world.log.journal.entries())
    executions = [one for one in found if isinstance(one, Execution)]
    return tuple(VenueReport(**{name: getattr(one, name) for name in names}) for one in executions)


def test_reports_about_an_agent_whose_history_is_away_wait_for_it() -> None:
    """They are not taken for what no permit covers; with the history all is read again."""

    async def story() -> None:
        world = await traded()
        link = await given(world)
        there = await second()
        await_history(there)
        told = reports(world)
        assert {"new", "trade"} <= {one.exec_type for one in told}
        there.release.take("PAPER", told)
        assert not there.log.state.outside.standing("PAPER").incident
        await Mover(there, link).step(sha256_hex(link.data))
        before = dict(there.log.state.agents["bot"].positions)
        there.release.take("PAPER", told)
        assert before == there.log.state.agents["bot"].positions
        assert not there.log.state.outside.standing("PAPER").incident

    play(story())
