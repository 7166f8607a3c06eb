# SPDX-License-Identifier: Apache-2.0
"""What becomes of orders that the paper venue took: fills, rests, amendments, cancels, expiry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.adapters.venues.market import Best, inverted
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable
from sekisho.core.terms import NS, format_instant
from sekisho.ports import VenueReport
from tests.paper_doubles import CREDENTIAL, NOW, Desk, order, resting


@pytest.fixture
def desk() -> Desk:
    return Desk()


def submit(desk: Desk, fields: dict[str, Any], **changes: Any) -> tuple[VenueReport, ...]:
    return asyncio.run(desk.session.submit(desk.permit(fields, **changes)))


def told(reports: tuple[VenueReport, ...]) -> list[tuple[str, str, str]]:
    return [(r.exec_type, r.last_quantity, r.last_price) for r in reports]


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"order_type": "market", "price": None}, "1.165"),
        ({"order_type": "market", "price": None, "side": "sell"}, "1.1648"),
        ({"price": "1.165"}, "1.165"),
        ({"price": "1.3"}, "1.165"),
        ({"side": "sell", "price": "1.1648"}, "1.1648"),
        ({"side": "sell", "price": "1.0"}, "1.1648"),
        ({"market": "USD/EUR", "price": "1"}, "0.85851649"),
        ({"market": "USD/EUR", "price": "0.1", "side": "sell"}, "0.85836909"),
    ],
)
def test_marketable_order_fills_at_the_market(
    desk: Desk, changes: dict[str, Any], price: str
) -> None:
    """A buyer pays the ask and a seller gets the bid, never worse than the limit."""
    assert told(submit(desk, order(**changes))) == [("new", "0", "0"), ("trade", "10000", price)]
    assert desk.venue.open_orders("fx") == ()


@pytest.mark.parametrize("changes", [{"price": "1.16499999"}, {"side": "sell", "price": "1.1649"}])
def test_limit_inside_the_spread_rests(desk: Desk, changes: dict[str, str]) -> None:
    """One unit of price short of the market, an order waits."""
    assert told(submit(desk, order(**changes))) == [("new", "0", "0")]


@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
def test_immediate_order_away_from_the_market_is_canceled(desk: Desk, time_in_force: str) -> None:
    """What fills at once or never does not rest."""
    reports = submit(desk, resting(time_in_force=time_in_force))
    assert [(r.exec_type, r.reason) for r in reports] == [
        ("new", ""),
        ("canceled", "not_filled_at_once"),
    ]
    assert desk.venue.open_orders("fx") == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_in_force": "day"}, ["new", "trade"]),
        ({"time_in_force": "gtc"}, ["new", "trade"]),
        ({"time_in_force": "ioc"}, ["new", "trade", "canceled"]),
        ({"time_in_force": "fok"}, ["new", "canceled"]),
        ({"order_type": "market", "price": None}, ["new", "trade", "canceled"]),
    ],
)
def test_order_larger_than_the_depth_fills_in_part(
    desk: Desk, changes: dict[str, Any], expected: list[str]
) -> None:
    """The rest waits, is canceled, or nothing fills at all, as the time in force says."""
    desk.venue.faults.depth = "3000.5"
    reports = submit(desk, order(**changes))
    assert [r.exec_type for r in reports] == expected
    if "trade" in expected:
        trade = reports[1]
        assert (trade.cum_quantity, trade.leaves_quantity) == ("3000.5", "6999.5")
    if expected[-1] == "canceled":
        assert reports[-1].leaves_quantity == "0"


def test_order_without_any_depth_does_not_trade(desk: Desk) -> None:
    """A depth of nothing makes no trade of nothing."""
    desk.venue.faults.depth = "0"
    assert [r.exec_type for r in submit(desk, order())] == ["new"]


def test_partial_fills_add_up_to_the_order(desk: Desk) -> None:
    """Each matching fills so much, until nothing is left; then nothing more happens."""
    desk.venue.faults.depth = "4000"
    submit(desk, order())
    for _ in range(3):
        desk.venue.match_resting()
    reports = desk.venue.order_reports("fx", "o-1")
    quantities = [(r.last_quantity, r.cum_quantity, r.leaves_quantity) for r in reports]
    assert quantities == [
        ("0", "0", "10000"),
        ("4000", "4000", "6000"),
        ("4000", "8000", "2000"),
        ("2000", "10000", "0"),
    ]


def test_resting_order_fills_when_the_market_comes_to_it(desk: Desk) -> None:
    """A resting buy at 1.1 fills at the ask once that is 1.0999, and not before."""
    submit(desk, resting())
    desk.venue.match_resting()
    assert desk.venue.open_orders("fx") == ("o-1",)
    desk.market.set("EUR/USD", "1.0997", "1.0999")
    desk.venue.match_resting()
    assert told(desk.venue.order_reports("fx", "o-1"))[-1] == ("trade", "10000", "1.0999")
    assert desk.venue.open_orders("fx") == ()


def test_order_in_a_market_without_prices_is_rejected(desk: Desk) -> None:
    """No prices, no order; a resting one stays when the prices go away."""
    submit(desk, resting())
    desk.market.clear("EUR/USD")
    desk.venue.match_resting()
    assert desk.venue.open_orders("fx") == ("o-1",)
    assert submit(desk, order("o-2"))[0].reason == "market_not_quoted"


def test_report_names_the_counterparty_of_the_order_or_the_venue(desk: Desk) -> None:
    """The venue stands in where the order names nobody."""
    assert {r.counterparty for r in submit(desk, order())} == {"PAPER"}
    reports = submit(desk, order("o-2", counterparty="DEALER"))
    assert {r.counterparty for r in reports} == {"DEALER"}


def test_end_of_day_expires_all_but_good_till_cancel(desk: Desk) -> None:
    """Day orders expire with what is left; gtc stays; what was filled is not touched."""
    submit(desk, resting("o-1"))
    submit(desk, resting("o-2", time_in_force="gtc"))
    submit(desk, order("o-3"))
    desk.venue.end_day()
    assert desk.venue.open_orders("fx") == ("o-2",)
    last = desk.venue.order_reports("fx", "o-1")[-1]
    assert (last.exec_type, last.leaves_quantity, last.reason) == ("expired", "0", "end_of_day")
    assert desk.venue.order_reports("fx", "o-3")[-1].exec_type == "trade"
    desk.venue.end_day()
    assert len(desk.venue.order_reports("fx", "o-1")) == 2


def test_amendment_to_a_marketable_price_fills(desk: Desk) -> None:
    """The replaced order is matched at its new terms, with what it had filled before."""
    desk.venue.faults.depth = "4000"
    submit(desk, order(price="1.165"))
    desk.market.set("EUR/USD", "1.17", "1.1702")
    desk.venue.faults.depth = ""
    reports = submit(desk, order("o-2", quantity="6000"), replaces="o-1")
    assert told(reports) == [("replaced", "0", "0"), ("trade", "2000", "1.1702")]
    assert {r.client_order_id for r in reports} == {"o-2"}
    assert reports[0].leaves_quantity == "2000"


def test_amendment_to_what_is_filled_ends_the_order(desk: Desk) -> None:
    """Down to the filled quantity the order is done; below it the amendment is rejected."""
    desk.venue.faults.depth = "4000"
    submit(desk, order())
    less = submit(desk, order("o-2", quantity="3999"), replaces="o-1")
    assert (less[0].reason, less[0].client_order_id) == ("quantity_already_filled", "o-2")
    assert desk.venue.open_orders("fx") == ("o-1",)
    reports = submit(desk, order("o-3", quantity="4000"), replaces="o-1")
    assert [(r.exec_type, r.leaves_quantity) for r in reports] == [("replaced", "0")]
    assert desk.venue.open_orders("fx") == ()


def test_amendment_of_no_order_is_rejected(desk: Desk) -> None:
    """Never seen, under a former id, of another agent, or closed: there is nothing to amend."""
    reasons = [submit(desk, resting("o-2"), replaces="o-0")[0].reason]
    submit(desk, resting("o-1"))
    submit(desk, resting("o-3"), replaces="o-1")
    reasons.append(submit(desk, resting("o-4"), replaces="o-1")[0].reason)
    desk.venue.cancel("fx", "o-3")
    reasons.append(submit(desk, resting("o-5"), replaces="o-3")[0].reason)
    assert reasons == ["unknown_order", "unknown_order", "order_not_open"]


@pytest.mark.parametrize(
    "changes",
    [
        {"market": "EUR/GBP"},
        {"side": "sell"},
        {"order_type": "market", "price": None},
        {"currency": "USD"},
        {"time_in_force": "gtc"},
    ],
)
def test_amendment_of_more_than_quantity_and_price_is_rejected(
    desk: Desk, changes: dict[str, Any]
) -> None:
    """Whatever else differs, the order stays as it was."""
    submit(desk, resting())
    reports = submit(desk, resting("o-2", **changes), replaces="o-1")
    assert reports[0].reason == "amendment_changes_order"
    assert desk.venue.rejections[-1].detail == next(iter(changes))
    assert desk.venue.open_orders("fx") == ("o-1",)


def test_amendment_to_another_account_is_rejected(desk: Desk) -> None:
    """An order stays in its account."""
    submit(desk, resting())
    reports = submit(desk, resting("o-2", account="two"), replaces="o-1", account="two")
    assert (reports[0].exec_type, reports[0].reason) == ("rejected", "amendment_changes_order")


def test_cancel_by_a_former_id_reaches_the_order(desk: Desk) -> None:
    """A stop that knows only the old id still cancels, and is told the present one."""
    submit(desk, resting())
    submit(desk, resting("o-2"), replaces="o-1")
    report = desk.venue.cancel("fx", "o-1")[0]
    assert (report.exec_type, report.client_order_id) == ("canceled", "o-2")


def test_cancel_of_a_closed_order_tells_its_fate(desk: Desk) -> None:
    """Too late: the caller gets every report, and no new one is made."""
    reports = submit(desk, order())
    assert desk.venue.cancel("fx", "o-1") == reports
    assert desk.venue.reports_since(0)[1] == reports


def test_cancel_of_an_order_never_seen_is_a_proof(desk: Desk) -> None:
    """A cancel that overtakes its order keeps it out for good."""
    permit = desk.permit(order())
    assert [r.exec_type for r in desk.venue.cancel("fx", "o-1")] == ["not_found"]
    assert desk.venue.take(permit)[0].reason == "denied_before"
    assert desk.venue.open_orders("fx") == ()


def test_denial_is_of_one_agents_order_only(desk: Desk) -> None:
    """What is denied to one agent does not keep another's order out."""
    desk.venue.order_reports("other", "o-1")
    desk.venue.order_reports("fx", "o-2")
    assert submit(desk, order())[0].exec_type == "new"


def test_permits_taken_is_the_venues_own_list(desk: Desk) -> None:
    """Every authentic permit stands in it once, executed or not; a forged one does not."""
    submit(desk, order("o-1"))
    submit(desk, order("o-2"), policy_sha256="cd" * 32)
    asyncio.run(desk.session.submit("nonsense"))
    assert list(desk.venue.permits_taken.values()) == [("fx", "o-1"), ("fx", "o-2")]


@pytest.mark.parametrize("sequence", [-1, 1])
def test_drop_copy_from_a_sequence_never_given_is_refused(desk: Desk, sequence: int) -> None:
    """A reader whose place is wrong is told so, and not served a hole."""
    with pytest.raises(MalformedInput, match="sequence"):
        asyncio.run(desk.session.reports_since(sequence))


def test_session_with_a_wrong_credential_is_not_opened(desk: Desk) -> None:
    """Only a credential that the venue gave out opens a session."""
    with pytest.raises(NotAuthorised):
        desk.venue.session("guess")


def test_session_whose_credential_is_withdrawn_has_no_effect(desk: Desk) -> None:
    """Afterwards nothing is submitted, canceled or told."""
    submit(desk, resting())
    desk.venue.withdraw_credential(CREDENTIAL)
    calls = (
        desk.session.submit(desk.permit(order("o-2"))),
        desk.session.cancel("fx", "o-1"),
        desk.session.open_orders("fx"),
        desk.session.order_reports("fx", "o-1"),
        desk.session.reports_since(0),
    )
    for call in calls:
        with pytest.raises(Unavailable, match="credential"):
            asyncio.run(call)
    assert desk.venue.open_orders("fx") == ("o-1",)


def test_venue_stamps_its_own_clock(desk: Desk) -> None:
    """Reports carry the venue's instant."""
    desk.clock.advance_to(NOW + NS)
    assert submit(desk, order())[0].transact_at == format_instant(NOW + NS)


def test_inverted_price_too_small_is_none() -> None:
    """An inverse below 1e-8 is no price; at 1e-8 it is one."""
    assert inverted(Best(1, 10**16 + 1)) is None
    assert inverted(Best(10**16, 10**16)) == Best(1, 1)
