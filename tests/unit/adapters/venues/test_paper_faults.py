# SPDX-License-Identifier: Apache-2.0
"""What goes wrong by instruction at the paper venue, and what is true afterwards."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.venues.paper_faults import SubmitFault
from sekisho.core.errors import OutcomeUnknown, Unavailable
from tests.paper_doubles import Desk, order, resting


@pytest.fixture
def desk() -> Desk:
    return Desk()


def kinds(desk: Desk, name: str = "o-1") -> list[str]:
    return [report.exec_type for report in desk.venue.order_reports("fx", name)]


def submit_unknown(desk: Desk, fault: SubmitFault) -> None:
    desk.venue.faults.submits.append(fault)
    with pytest.raises(OutcomeUnknown):
        asyncio.run(desk.session.submit(desk.permit(order())))


@pytest.mark.parametrize("fault", ["time_out_after", "lose_ack"])
def test_submit_without_an_answer_was_taken(desk: Desk, fault: SubmitFault) -> None:
    """The caller knows nothing; asking shows that the order was executed."""
    submit_unknown(desk, fault)
    assert kinds(desk) == ["new", "trade"]


def test_submit_lost_on_the_way_was_never_seen(desk: Desk) -> None:
    """Asking shows that nothing arrived."""
    submit_unknown(desk, "time_out_before")
    assert kinds(desk) == ["not_found"]
    assert desk.venue.deliver_delayed() == ()


def test_submit_delayed_arrives_and_is_judged(desk: Desk) -> None:
    """Nobody asked in between: the permit is still good and is executed, once."""
    submit_unknown(desk, "delay")
    assert [r.exec_type for r in desk.venue.deliver_delayed()] == ["new", "trade"]
    assert desk.venue.deliver_delayed() == ()
    assert kinds(desk) == ["new", "trade"]


def test_submit_delayed_past_a_denial_is_rejected(desk: Desk) -> None:
    """The venue keeps its word: what it denied it does not execute."""
    submit_unknown(desk, "delay")
    assert kinds(desk) == ["not_found"]
    assert [r.reason for r in desk.venue.deliver_delayed()] == ["denied_before"]
    assert desk.venue.open_orders("fx") == ()


def test_submit_delayed_past_its_expiry_is_rejected(desk: Desk) -> None:
    """A late permit is judged by the clock of its arrival."""
    submit_unknown(desk, "delay")
    desk.clock.advance(2)
    assert [r.reason for r in desk.venue.deliver_delayed()] == ["permit_expired"]


def test_submit_rejected_by_instruction_is_final(desk: Desk) -> None:
    """A good permit is rejected, and the order's own reports say so."""
    desk.venue.faults.submits.append("reject")
    reports = asyncio.run(desk.session.submit(desk.permit(order())))
    assert [(r.exec_type, r.reason) for r in reports] == [("rejected", "rejected_by_instruction")]
    assert kinds(desk) == ["rejected"]


def test_fill_late_rests_until_released(desk: Desk) -> None:
    """Neither arrival nor matching fills it; the release does, at the price of that moment."""
    desk.venue.faults.submits.append("fill_late")
    fields = order(order_type="market", price=None)
    asyncio.run(desk.session.submit(desk.permit(fields)))
    desk.venue.match_resting()
    assert desk.venue.open_orders("fx") == ("o-1",)
    desk.market.set("EUR/USD", "1.18", "1.1802")
    desk.venue.release_late_fills()
    assert desk.venue.order_reports("fx", "o-1")[-1].last_price == "1.1802"
    assert desk.venue.open_orders("fx") == ()


def test_fill_late_can_be_canceled_first(desk: Desk) -> None:
    """A cancel that comes before the release wins."""
    desk.venue.faults.submits.append("fill_late")
    asyncio.run(desk.session.submit(desk.permit(order())))
    asyncio.run(desk.session.cancel("fx", "o-1"))
    desk.venue.release_late_fills()
    assert kinds(desk) == ["new", "canceled"]


def test_release_leaves_resting_orders_alone(desk: Desk) -> None:
    """Only what was to fill late is matched by the release."""
    asyncio.run(desk.session.submit(desk.permit(resting())))
    desk.market.set("EUR/USD", "1.0", "1.0002")
    desk.venue.release_late_fills()
    assert kinds(desk) == ["new"]


def test_down_venue_takes_nothing_and_uses_up_no_fault(desk: Desk) -> None:
    """Every call is certainly without effect, and the same permit passes afterwards."""
    asyncio.run(desk.session.submit(desk.permit(resting("o-2"))))
    desk.venue.faults.down = True
    desk.venue.faults.submits.append("reject")
    permit = desk.permit(order())
    calls = (
        desk.session.submit(permit),
        desk.session.cancel("fx", "o-2"),
        desk.session.open_orders("fx"),
        desk.session.order_reports("fx", "o-1"),
        desk.session.reports_since(0),
    )
    for call in calls:
        with pytest.raises(Unavailable):
            asyncio.run(call)
    desk.venue.faults.down = False
    assert list(desk.venue.faults.submits) == ["reject"]
    desk.venue.faults.submits.clear()
    assert asyncio.run(desk.session.submit(permit))[0].exec_type == "new"
    assert desk.venue.open_orders("fx") == ("o-2",)


def test_cancel_without_an_answer(desk: Desk) -> None:
    """A lost cancel leaves the order, a lost answer does not; the open orders tell which."""
    for name in ("o-1", "o-2"):
        asyncio.run(desk.session.submit(desk.permit(resting(name))))
    desk.venue.faults.cancels.extend(["time_out_before", "lose_ack"])
    for name in ("o-1", "o-2"):
        with pytest.raises(OutcomeUnknown):
            asyncio.run(desk.session.cancel("fx", name))
    assert asyncio.run(desk.session.open_orders("fx")) == ("o-1",)
    assert kinds(desk, "o-2") == ["new", "canceled"]


def test_cancel_ignored_confirms_nothing(desk: Desk) -> None:
    """The venue answers without a report, and the order stays open."""
    asyncio.run(desk.session.submit(desk.permit(resting())))
    desk.venue.faults.cancels.append("ignore")
    assert asyncio.run(desk.session.cancel("fx", "o-1")) == ()
    assert desk.venue.open_orders("fx") == ("o-1",)


def test_latency_is_spent_both_ways(desk: Desk) -> None:
    """The order arrives after one journey, the answer after another."""
    desk.venue.faults.latency_s = 0.2

    async def story() -> None:
        task = asyncio.ensure_future(desk.session.submit(desk.permit(resting())))
        await desk.clock.play(0.19)
        assert desk.venue.open_orders("fx") == ()
        await desk.clock.play(0.02)
        assert desk.venue.open_orders("fx") == ("o-1",)
        assert not task.done()
        await desk.clock.play(0.2)
        assert [r.exec_type for r in await task] == ["new"]

    asyncio.run(story())


def test_crash_of_the_gate_on_the_way_back_leaves_the_order(desk: Desk) -> None:
    """The venue's memory is another firm's: a caller that dies takes nothing with it."""
    desk.venue.faults.latency_s = 1

    async def story() -> None:
        task = asyncio.ensure_future(desk.session.submit(desk.permit(resting())))
        await desk.clock.play(1.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert kinds(desk) == ["new"]


def test_time_out_lasts_as_long_as_it_says(desk: Desk) -> None:
    """The caller waits the whole time-out before it learns that it knows nothing."""
    desk.venue.faults.time_out_s = 3
    desk.venue.faults.submits.append("time_out_after")

    async def story() -> None:
        task = asyncio.ensure_future(desk.session.submit(desk.permit(resting())))
        await desk.clock.play(2.9)
        assert not task.done()
        await desk.clock.play(0.2)
        with pytest.raises(OutcomeUnknown):
            await task

    asyncio.run(story())
