# SPDX-License-Identifier: Apache-2.0
"""What venues, rate sources and gates answer, under any bytes: understood, or a failure of ours.

No answer makes a connector fail in a way that its caller does not know, and whatever it understands
can be written to a log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.fix.codec import FixMessage, Framer, MessageRejected, encode, parse
from sekisho.adapters.rates.feed import FUTURE_MAX_NS
from sekisho.adapters.rates.http_feed import HttpFeed, _Unusable
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues import fix_reports, paper_http
from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_link import KrakenLink
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, OutcomeUnknown, Unavailable
from sekisho.core.terms import parse_instant
from sekisho.ports import VenueReport
from sekisho_client import answers, permits, reports
from sekisho_client.failures import NotAuthenticated, ProtocolError
from sekisho_client.orders import OrderError
from tests.kraken_doubles import PAIRS, SECRET, said
from tests.paper_doubles import NOW, Desk, order

DEEP = [b"[" * 100_000, b'{"type":' + b"[" * 100_000, b'{"error":[],"result":' * 50_000]
"""Answers that are nested without end: each reader bounds its depth, or fails as it should."""
_words = st.sampled_from(
    ["", "0", "1", "-1", "NaN", "9" * 40, "open", "closed", "canceled", "EUR/USD", "permitted",
     "2026-05-15T09:15:00.000000000Z", "1778836500.5", "\ud800"]
)  # fmt: skip
_leaf = st.none() | st.booleans() | st.integers() | st.floats() | _words | st.text(max_size=6)


def documents(*names: str) -> st.SearchStrategy[bytes]:
    """JSON with these names in likely and unlikely places, and bytes that are none."""
    keys = st.sampled_from(names) | st.text(max_size=4)
    value = st.recursive(
        _leaf,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=16,
    )
    return st.binary(max_size=40) | value.map(lambda plain: json.dumps(plain).encode())


# -- venues ----------------------------------------------------------------------------------------


def written(found: tuple[VenueReport, ...]) -> None:
    """Every report can be written to a log."""
    for report in found:
        canonical(report)


class _Answers(httpx2.AsyncBaseTransport):
    """A venue that gives one answer to everything."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return said(content=self.content)


def kraken(content: bytes) -> KrakenVenue:
    """The connector to such a venue."""
    clock, wire = SteppedClock(NOW), _Answers(content)
    links = [KrakenLink("http://127.0.0.1:1", key, SECRET, clock, transport=wire) for key in "ab"]
    return KrakenVenue("PAPER", links[0], links[1], PAIRS, clock, takes_permits=True)


ORDER_INFO = ("cl_ord_id", "status", "opentm", "vol", "vol_exec", "descr", "trades", "price")
KRAKEN = documents("error", "result", "open", "closed", "txid", "count", "T1", *ORDER_INFO)
_info = st.fixed_dictionaries({}, optional=dict.fromkeys((*ORDER_INFO, "closetm"), _leaf))
_list = st.fixed_dictionaries(
    {"error": st.just([])},
    optional={
        "result": st.fixed_dictionaries(
            {}, optional={name: st.dictionaries(_words, _info | _leaf, max_size=2)
                          for name in ("open", "closed", "trades")}
        )
    },
).map(lambda plain: json.dumps(plain).encode())  # fmt: skip


SURROGATES = [
    b'{"error":[],"result":{"txid":["\\ud800"],"open":{},"closed":{},"trades":{}}}',
    b'{"error":[],"result":{"open":{"\\ud800":{"opentm":"1.5"}},"closed":{},"trades":{}}}',
    b'{"error":[],"result":{"open":{"T":{"opentm":"1.5","cl_ord_id":"\xed\xa0\x80"}},"closed":{}}}',
]
"""JSON of what no text can hold."""


@given(KRAKEN | _list)
def test_kraken_any_answer_is_understood_or_a_failure_of_ours(content: bytes) -> None:
    """Placing, asking, listing, the tape: nothing else comes out of the connector."""
    assert 5 == len(ask_kraken(content))


@pytest.mark.parametrize("content", [*DEEP, *SURROGATES], ids=range(6))
def test_kraken_answer_without_end_or_text_is_a_failure_of_ours(content: bytes) -> None:
    """What the reader of JSON lets by, a log could not hold."""
    assert ["failed"] * 5 == ask_kraken(content)


def ask_kraken(content: bytes) -> list[str]:
    """Everything that a gate asks of a venue which gives this answer: what came of each."""
    outcomes = []
    desk = Desk()
    calls: list[Callable[[KrakenVenue], Any]] = [
        lambda venue: venue.submit(desk.permit(order())),
        lambda venue: venue.cancel("fx", "o-1"),
        lambda venue: venue.order_reports("fx", "o-1"),
        lambda venue: venue.reports_since(0),
        lambda venue: venue.open_orders("fx"),
    ]

    async def ask() -> None:
        venue = kraken(content)
        for call in calls:
            try:
                canonical(await call(venue))
                outcomes.append("understood")
            except (Unavailable, OutcomeUnknown):
                outcomes.append("failed")

    asyncio.run(ask())
    return outcomes


REPORT = {
    "agent": "fx", "client_order_id": "o-1", "venue_order_id": "v", "exec_id": "e",
    "exec_type": "trade", "last_quantity": "1", "last_price": "1", "cum_quantity": "1",
    "leaves_quantity": "0", "counterparty": "", "reason": "", "transact_at": "x",
}  # fmt: skip
_report = st.fixed_dictionaries({}, optional=dict.fromkeys(REPORT, _leaf)).map(
    lambda changes: REPORT | changes
)
_told = st.fixed_dictionaries(
    {},
    optional={
        "reports": st.lists(_report, max_size=2) | _leaf,
        "client_order_ids": st.lists(_leaf, max_size=2),
        "series": _leaf,
        "sequence": _leaf,
        "complete": _leaf,
    },
).map(lambda plain: json.dumps(plain).encode())


@given(
    st.sampled_from([200, 204, 302, 400, 409, 503]),
    st.sampled_from(["application/json", "application/problem+json; x", ""]),
    documents("type", "detail", "status") | _told,
)
def test_permit_protocol_any_answer_is_understood_or_a_failure_of_ours(
    status: int, kind: str, content: bytes
) -> None:
    """A problem promises only in the venue's own words; all else is read in its form or not."""
    understood(status, kind, content)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("content", DEEP, ids=range(3))
def test_permit_protocol_answer_without_end_is_a_failure_of_ours(
    status: int, content: bytes
) -> None:
    """A venue cannot exhaust the stack of a gate."""
    understood(status, "application/problem+json", content)


def understood(status: int, kind: str, content: bytes) -> None:
    """Read an answer in every form."""
    response = httpx2.Response(status, headers={"content-type": kind})
    for form in (paper_http._ToldReports, paper_http._ToldOpen, paper_http._ToldTape):
        try:
            found: Any = paper_http._read(paper_http._answer(response, content), form)
        except paper_http._Failed as failed:
            certain = failed.certain
        else:
            certain = False
            assert status in {200, 204}
            written(getattr(found, "reports", ()))
        assert not certain or status in paper_http._NO_EFFECT


_TAGS = (6, 11, 14, 17, 31, 32, 37, 38, 39, 41, 58, 60, 102, 103, 150, 151, 375, 382, 434, 447, 453)
_FIX = st.sampled_from(["0", "1", "2", "4", "5", "8", "F", "I", "A", "10000", "1.1", "D", "00.10",
                        "20260515-09:15:00.000", "-1", "1e3"])  # fmt: skip


@given(st.sampled_from("89"), st.lists(st.tuples(st.sampled_from(_TAGS), _FIX), max_size=12))
def test_fix_any_report_is_understood_or_malformed(kind: str, fields: list[Any]) -> None:
    """A report has exact amounts, an instant and a name, or is none."""
    head = [(49, "V"), (56, "G"), (34, "1"), (52, "20260515-09:15:00.000")]
    try:
        message = parse(Framer().feed(encode(kind, head, fields))[0])
    except MessageRejected:
        return
    readers: list[Callable[[FixMessage], VenueReport]] = [
        lambda one: fix_reports.execution(one, "fx", "o-1", "V"),
        lambda one: fix_reports.status_report(one, "fx", "o-1", "V"),
    ]
    for read in readers:
        try:
            found = read(message)
        except MalformedInput:
            continue
        for name in ("last_quantity", "last_price", "cum_quantity", "leaves_quantity"):
            parse_amount(getattr(found, name), name)
        parse_instant(found.transact_at)
        assert (found.exec_type == "trade") == ("0" not in (found.last_quantity, found.last_price))
        written((found,))


# -- rates -----------------------------------------------------------------------------------------


@given(documents("quotations", "heartbeat", "market", "bid", "ask", "quoted_at"))
def test_rate_answer_of_any_bytes_is_taken_or_not_usable(content: bytes) -> None:
    """The one answer of an HTTP source; what is taken is passed on well formed."""
    feed = HttpFeed("S", "http://127.0.0.1:1", SteppedClock(NOW), 30)
    try:
        feed._answer(content)
    except _Unusable:
        return
    for quotation in asyncio.run(feed.quotations(("EUR/GBP", "EUR/USD"))):
        assert 0 <= min(parse_amount(quotation.bid), parse_amount(quotation.ask))
        assert parse_instant(quotation.quoted_at) <= NOW + FUTURE_MAX_NS


# -- a gate, as the bot's client reads it ----------------------------------------------------------

_ASKED = [
    getattr(reports, name)
    for name in vars(reports)
    if name.startswith("read_") and name not in {"read_json", "read_problem", "read_reasons"}
]
READERS: dict[str, Callable[[answers.Reply], Any]] = {one.__name__: one for one in _ASKED} | {
    "read_answer": lambda reply: answers.read_answer(order(), reply)
}
GATE = documents(
    "kind", "decision", "order_state", "permit", "detail", "status", "reasons", "orders", "next",
    "client_order_id", "verdict", "order", "executions", "leaves", "would_pass", "advice", "scope",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@given(
    st.sampled_from([200, 202, 400, 401, 404, 409, 422, 500, 503]),
    st.sampled_from([answers.JSON, answers.PROBLEM, ""]),
    GATE,
)
def test_client_any_answer_is_a_value_or_a_failure_of_its_own(
    name: str, status: int, kind: str, body: bytes
) -> None:
    """And none of these bytes is a permission."""
    try:
        found = READERS[name](answers.Reply(status, kind, body))
    except (ProtocolError, NotAuthenticated, OrderError):
        return
    assert not isinstance(found, answers.Permitted) or found.permit == ""


@pytest.mark.parametrize("content", DEEP, ids=range(3))
def test_answer_without_end_is_not_usable_anywhere(content: bytes) -> None:
    """To a feed of rates, and to the bot's client."""
    with pytest.raises(_Unusable):
        HttpFeed("S", "http://127.0.0.1:1", SteppedClock(NOW), 30)._answer(content)
    with pytest.raises(ProtocolError):
        reports.read_agent(answers.Reply(200, answers.JSON, content))


@given(st.text(max_size=80) | st.text(alphabet="eyJ._-=", max_size=30))
def test_client_permit_of_any_text_is_none(text: str) -> None:
    """Taken apart it is no permit, and no failure but the client's."""
    with pytest.raises(ProtocolError):
        permits.read(text)
