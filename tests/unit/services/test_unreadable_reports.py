# SPDX-License-Identifier: Apache-2.0
"""Reports of a venue that cannot be booked: it gets no order until it tells them readably."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sekisho.adapters.metrics import Measures
from sekisho.compose.gate_watching import Condition
from sekisho.core.events import Execution, VenueLost, VenueReconciled
from sekisho.services.venuewatch import VenueWatch
from tests.gate_world import GateWorld, codes
from tests.unit.services.test_outside_world import kinds, odd, run


@pytest.mark.parametrize(
    ("exec_type", "change"),
    [
        ("trade", {"last_price": "1.0851234567"}),
        ("new", {"leaves_quantity": "1e5"}),
        ("replaced", {"transact_at": "yesterday"}),
    ],
)
def test_fill_that_cannot_be_read_loses_its_venue(exec_type: str, change: dict[str, str]) -> None:
    """At once and for as long as it stays so; another venue trades on; read, it is booked."""

    async def story() -> None:
        world, venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        venue.tells(exec_type, "stolen", **change)
        await world.venue_watch.reconcile()
        (lost,) = kinds(world, VenueLost)
        (field,) = change
        assert lost.detail == f"a report that cannot be read: {exec_type}: {field}"
        for second in range(3):
            world.clock.advance(1)
            await world.venue_watch.reconcile()
            refused = await world.ask(client_order_id=f"b-{second}")
            assert refused.reasons[0].observed == "venue PAPER is not reconciled"
        assert len(kinds(world, VenueLost)) == 1
        assert (1, 1) == (world.release.unreadable("PAPER"), world.release.odd_reports)
        assert world.venue_watch.troubles == {"PAPER": "1 reports of it cannot be read"}
        assert codes(await world.ask(client_order_id="c", venue="X")) == []
        venue.tells("canceled", "stolen", exec_id="Dstolen")  # the same report, mended
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        assert (0, {}) == (world.release.unreadable("PAPER"), world.venue_watch.troubles)
        assert kinds(world, VenueReconciled)[-1].venue == "PAPER"
        assert codes(await world.ask(client_order_id="d")) == []

    run(story)


def test_answer_that_cannot_be_read_loses_the_venue_before_the_next_order() -> None:
    """Also where the venue says it at once, outside of the drop copy."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        report = world.venue.report(world.venue.permits[0], "trade", "5", "1.0851234567")
        world.release.take("PAPER", (report, report))
        assert codes(await world.ask(client_order_id="b")) == ["control_unavailable"]
        assert [entry.venue for entry in kinds(world, VenueLost)] == ["PAPER"]

    run(story)


def test_new_process_reads_the_unreadable_report_again() -> None:
    """Its drop copy is read from the beginning: the venue is not reconciled at the start either."""

    async def story() -> None:
        world, venue = await odd()
        venue.tells("trade", "stolen", last_price="1.0851234567")
        release = type(world.release)(world.log, {"PAPER": venue}, world.clock)
        await VenueWatch(world.log, release, world.clock).reconcile()
        assert 1 == release.unreadable("PAPER")
        assert not world.log.state.outside.standing("PAPER").reconciled

    run(story)


def test_end_that_cannot_be_read_is_left_out_and_loses_nothing() -> None:
    """The order stays reserved, which is the careful side: nothing was executed by it."""

    async def story() -> None:
        world, venue = await odd()
        venue.tells("canceled", "x", cum_quantity="?")
        await world.venue_watch.reconcile()
        assert (0, 1) == (world.release.unreadable("PAPER"), world.release.odd_reports)
        assert kinds(world, VenueLost) == []

    run(story)


def test_reports_with_long_ids_that_begin_alike_are_several() -> None:
    """An id above 64 characters is recorded as its digest: each fill counts, a repeat does not."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(quantity="100")
        report = world.venue.report(world.venue.permits[0], "trade", "30", "1.085", leaves="0")
        long = "VENUE-MATCHING-ENGINE-01/EURUSD/20260515/SESSION-000000000001/TRADE-"
        fills: list[Any] = [msgspec.structs.replace(report, exec_id=f"{long}{n}") for n in (1, 2)]
        for _ in range(2):
            world.release.take("PAPER", tuple(fills))
        told = [one.exec_id for one in kinds(world, Execution) if one.exec_type == "trade"]
        assert (2, {64}) == (len(set(told)), {len(one) for one in told})
        assert len(told) == 2
        exact = msgspec.structs.replace(report, exec_id="E" * 64)
        world.release.take("PAPER", (exact,))
        assert kinds(world, Execution)[-1].exec_id == "E" * 64

    run(story)


def test_reports_that_cannot_be_read_are_in_readiness_and_metrics() -> None:
    """Whoever runs the gate is told of which venue and how many."""

    async def story() -> None:
        world, venue = await odd()
        venue.tells("trade", "stolen", last_price="1.0851234567")
        await world.venue_watch.reconcile()
        gate: Any = SimpleNamespace(
            log=world.log,
            leasing=world.leasing,
            release=world.release,
            venue_watch=world.venue_watch,
            venues=["PAPER", "X"],
        )
        parts: Any = SimpleNamespace(
            draining=False, under_way={}, turned_away=0, states=list, low_disk=lambda: False
        )
        journal: Any = world.log.journal
        condition = Condition(gate, journal, parts, parts, lambda: True, ())
        assert "venue PAPER: 1 reports of it cannot be read" in condition.missing()
        told = condition.readings()["sekisho_venue_unreadable_reports"]
        assert {"PAPER": 1.0, "X": 0.0} == told
        assert b'unreadable_reports{venue="PAPER"} 1.0' in Measures(condition.readings).text()

    run(story)
