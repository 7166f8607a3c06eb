# SPDX-License-Identifier: Apache-2.0
"""What holds at the paper venue under any interleaving of messages, faults and time."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import OutcomeUnknown
from sekisho.ports import VenueReport
from tests.paper_doubles import Desk, order, resting

NAMES = ("o-1", "o-2", "o-3")
FAULTS = ("none", "time_out_before", "time_out_after", "lose_ack", "delay", "reject", "fill_late")


@st.composite
def messages(draw: st.DrawFn) -> list[tuple[str, str, int]]:
    """Submissions, cancels and questions about three orders, each with the time it is sent."""
    one = st.tuples(
        st.sampled_from(("submit", "submit", "cancel", "ask", "deliver", "match", "end_day")),
        st.sampled_from(NAMES),
        st.integers(0, 30),
    )
    return draw(st.lists(one, min_size=2, max_size=14))


@given(
    messages(),
    st.lists(st.sampled_from(FAULTS), max_size=6),
    st.lists(st.sampled_from(("none", "time_out_before", "lose_ack", "ignore")), max_size=3),
    st.sampled_from(("", "3000")),
    st.integers(0, 3),
)
def test_venue_any_interleaving_takes_a_permit_once_and_keeps_its_word(
    sent: list[tuple[str, str, int]],
    submit_faults: list[str],
    cancel_faults: list[str],
    depth: str,
    latency: int,
) -> None:
    """One acknowledgement an order at most, never one after a denial, never more than its size."""
    desk = Desk(risk_controls={"permit_lifetime_s": 20})
    desk.venue.faults.depth = depth
    desk.venue.faults.latency_s = latency
    desk.venue.faults.submits.extend(submit_faults)  # type: ignore[arg-type] # sampled literals
    desk.venue.faults.cancels.extend(cancel_faults)  # type: ignore[arg-type] # sampled literals
    orders = {"o-1": order("o-1"), "o-2": resting("o-2"), "o-3": order("o-3", time_in_force="ioc")}
    permits = {
        name: desk.permit(fields, expires_at="2026-05-15T09:15:20.000000000Z")
        for name, fields in orders.items()
    }
    told: list[VenueReport] = []

    async def send(kind: str, name: str, at: int) -> None:
        await desk.clock.sleep(at)
        with suppress(OutcomeUnknown):
            if kind == "submit":
                told.extend(await desk.session.submit(permits[name]))
            elif kind == "cancel":
                told.extend(await desk.session.cancel("fx", name))
            elif kind == "ask":
                told.extend(await desk.session.order_reports("fx", name))
            elif kind == "deliver":
                told.extend(desk.venue.deliver_delayed())
            elif kind == "match":
                desk.venue.match_resting()
            else:
                desk.venue.end_day()

    async def story() -> None:
        tasks = [asyncio.ensure_future(send(*message)) for message in sent]
        await desk.clock.play(60)
        await asyncio.gather(*tasks)
        desk.venue.release_late_fills()

    asyncio.run(story())
    check(desk, told)


def check(desk: Desk, told: list[VenueReport]) -> None:
    """The invariants, over the drop copy and everything that was answered."""
    _, tape = desk.venue.reports_since(0)
    accepted = Counter(r.client_order_id for r in tape if r.exec_type == "new")
    assert all(count == 1 for count in accepted.values())
    denied = {r.client_order_id for r in told if r.exec_type == "not_found"}
    assert not denied & set(accepted)
    for name in accepted:
        filled = sum(parse_amount(r.last_quantity) for r in tape if r.client_order_id == name)
        assert filled <= parse_amount("10000")
    named = {r.exec_id for r in told if r.client_order_id and r.exec_type != "not_found"}
    assert named <= {r.exec_id for r in tape}
    ended = ("canceled", "expired", "rejected")
    for name in NAMES:
        kinds = [r.exec_type for r in tape if r.client_order_id == name]
        assert all(kind not in ended for kind in kinds[:-1])
    assert len({r.exec_id for r in tape}) == len(tape)
