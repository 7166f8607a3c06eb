# SPDX-License-Identifier: Apache-2.0
"""The link to a Kraken-shaped venue and the paper venue's side: what is answered to what."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_book import read_seconds
from sekisho.adapters.venues.kraken_form import venue_id
from sekisho.adapters.venues.kraken_link import ANSWER_BYTES_MAX, KrakenLink, VenueRefused
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, OutcomeUnknown, Unavailable
from sekisho.core.kraken import signature
from tests.kraken_doubles import KEY, OPS, SECRET, Wire, connect, said
from tests.paper_doubles import NOW, Desk, order, resting


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def wire(desk: Desk) -> Wire:
    return Wire(desk)


@pytest.fixture
def venue(desk: Desk, wire: Wire) -> KrakenVenue:
    return connect(wire, desk.clock)


# -- the link ----------------------------------------------------------------------------------


class Answering(httpx2.AsyncBaseTransport):
    """Answers every request alike, or fails."""

    def __init__(self, answer: httpx2.Response | Exception) -> None:
        self.answer = answer
        self.nonces: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.nonces.append(int(dict(parse_qsl(request.content.decode()))["nonce"]))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def call(answer: Any, *, effect: bool) -> Any:
    if isinstance(answer, list):
        answer = said({"error": answer})
    link = KrakenLink(
        "https://venue.example", KEY, SECRET, SteppedClock(NOW), transport=Answering(answer)
    )
    return asyncio.run(link.call("AddOrder", {}, effect=effect))


@pytest.mark.parametrize(
    "answer",
    [httpx2.ConnectError("x"), httpx2.ConnectTimeout("x"), httpx2.PoolTimeout("x"),
     ["EAPI:Invalid nonce"], ["EAPI:Rate limit exceeded"], ["EOrder:Rate limit exceeded"],
     ["EGeneral:Temporary lockout"], ["EGeneral:Permission denied"]],
)  # fmt: skip
def test_link_certainly_not_taken_is_unavailable(answer: Any) -> None:
    """Not sent, or refused before anything was looked at."""
    with pytest.raises(Unavailable):
        call(answer, effect=True)


@pytest.mark.parametrize(
    "answer",
    [httpx2.ReadTimeout("x"), httpx2.WriteError("x"), httpx2.RemoteProtocolError("x"),
     said({}, status=502), said({}, status=302),
     said(content=b"<html>"), said(content=b"[" * 100_000),
     said({"result": {}}), said({"error": []}),
     said({"error": "EOrder:x", "result": {}}),
     said(content=b"x" * (ANSWER_BYTES_MAX + 1)),
     ["EService:Unavailable"], ["EService:Busy"], ["EGeneral:Internal error"], ["ENew:Thing"],
     ["EOrder:Insufficient funds", "EService:Busy"], ["EAPI:Invalid key", "EOrder:x"]],
)  # fmt: skip
def test_link_doubt_is_unknown_for_what_has_effect_alone(answer: Any) -> None:
    """No conclusion from what is not understood; a question without effect can be asked again."""
    with pytest.raises(OutcomeUnknown):
        call(answer, effect=True)
    if not isinstance(answer, httpx2.Response):
        with pytest.raises(Unavailable):
            call(answer, effect=False)


@pytest.mark.parametrize(
    "errors", [["EOrder:Insufficient funds"], ["EGeneral:Invalid arguments:volume"],
               ["EService:Market in cancel_only mode"], ["EQuery:Unknown asset pair"]],
)  # fmt: skip
def test_link_refusal_of_the_request_is_final(errors: list[str]) -> None:
    """What the venue says of the request itself."""
    with pytest.raises(VenueRefused):
        call(errors, effect=True)


def test_link_warning_is_no_error_and_numbers_stay_exact() -> None:
    """A warning beside a result; numbers come as they were written."""
    answer = said(content=b'{"error":["WQuery:slow"],"result":{"opentm":1706893367.4656649}}')
    assert {"opentm": "1706893367.4656649"} == call(answer, effect=True)


def test_link_nonce_grows_when_the_clock_does_not() -> None:
    """A clock that stands or steps back never repeats a nonce."""
    clock = SteppedClock(NOW)
    wire = Answering(httpx2.ConnectError("x"))
    link = KrakenLink("http://localhost:1", KEY, SECRET, clock, transport=wire)

    async def story() -> None:
        for step in (0, 0, -60):
            clock.step_wall(step)
            with pytest.raises(Unavailable):
                await link.call("Balance", {}, effect=False)

    asyncio.run(story())
    assert [NOW, NOW + 1, NOW + 2] == wire.nonces


@pytest.mark.parametrize("address", ["http://venue.example", "ftp://127.0.0.1", "venue.example"])
def test_link_plain_http_to_elsewhere_is_refused(address: str) -> None:
    """A credential travels over TLS or stays on this machine."""
    with pytest.raises(ConfigurationInvalid):
        KrakenLink(address, KEY, SECRET, SteppedClock(NOW))


def test_seconds_are_read_exactly() -> None:
    """Fractions are cut to nanoseconds; what is no time is malformed."""
    assert 1_706_893_367_465_664_900 == read_seconds("1706893367.4656649")
    assert 5_000_000_000 == read_seconds("5")
    for text in ("", ".5", "-1", "1e9", "NaN", None, "1" * 13):
        with pytest.raises(MalformedInput):
            read_seconds(text)


def test_link_follows_nobody_elsewhere() -> None:
    """Whoever answers with another address gets no second request; nor is its body believed."""
    answer = said({"error": [], "result": {"txid": ["O-1"]}}, status=307)
    answer.headers["location"] = "/0/private/AddOrder"
    wire = Answering(answer)
    link = KrakenLink("http://localhost:1", KEY, SECRET, SteppedClock(NOW), transport=wire)
    with pytest.raises(OutcomeUnknown):
        asyncio.run(link.call("AddOrder", {}, effect=True))
    assert 1 == len(wire.nonces)


# -- the paper venue's side --------------------------------------------------------------------


def test_paper_kraken_form_other_than_the_permit_executes_nothing(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Form and permit say the same, or nothing happens; the permit stays good."""
    permit = desk.permit(order())
    link = KrakenLink("http://127.0.0.1:1", OPS, SECRET, desk.clock, transport=wire)
    form = {"pair": "EURUSD", "type": "buy", "ordertype": "limit", "volume": "10000",
            "price": "1.2", "timeinforce": "GTD", "expiretm": "1778889600",
            "cl_ord_id": venue_id("fx", "o-1"), "permit": permit}  # fmt: skip

    async def refused(change: dict[str, str]) -> None:
        with pytest.raises(VenueRefused):
            await link.call("AddOrder", form | change, effect=True)

    async def story() -> None:
        await refused({"volume": "20000"})
        await refused({"leverage": "5"})
        await refused({"cl_ord_id": venue_id("fx", "o-2")})
        await refused({"deadline": "2026-05-15T09:14:59.000000000Z"})
        assert (0, ()) == desk.venue.reports_since(0)
        assert 1 == len((await link.call("AddOrder", form, effect=True))["txid"])
        with pytest.raises(VenueRefused):
            await link.call("AmendOrder", {"cl_ord_id": form["cl_ord_id"], "order_qty": "1",
                                           "permit": permit}, effect=True)  # fmt: skip

    asyncio.run(story())
    assert wire.told == [
        "form_and_permit_differ", "form_and_permit_differ", "cl_ord_id_not_of_this_order",
        "too_late", "form_and_permit_differ",
    ]  # fmt: skip


def test_paper_kraken_amendment_form_is_that_of_the_permit(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Another quantity, price or order than the permit's is refused."""
    link = KrakenLink("http://127.0.0.1:1", OPS, SECRET, desk.clock, transport=wire)
    permit = desk.permit(resting("o-2", quantity="8000"), replaces="o-1")
    form = {"cl_ord_id": venue_id("fx", "o-1"), "order_qty": "8000", "limit_price": "1.1"}

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        for change in ({"order_qty": "9000"}, {"limit_price": "1.11"}):
            with pytest.raises(VenueRefused):
                await link.call("AmendOrder", form | {"permit": permit} | change, effect=True)
        assert ("o-1",) == desk.venue.open_orders("fx")
        await link.call("AmendOrder", form | {"permit": permit}, effect=True)
        assert ("o-2",) == desk.venue.open_orders("fx")

    asyncio.run(story())


def test_paper_kraken_nobody_gets_in(desk: Desk, wire: Wire) -> None:
    """Unknown key, wrong secret, old nonce: refused and told to the venue's log."""

    async def ask(key: str, secret: bytes, clock: SteppedClock) -> None:
        link = KrakenLink("http://127.0.0.1:1", key, secret, clock, transport=wire)
        with pytest.raises(Unavailable):
            await link.call("OpenOrders", {}, effect=False)

    async def story() -> None:
        await ask("nobody", SECRET, desk.clock)
        await ask(KEY, SECRET[::-1], desk.clock)
        good = KrakenLink("http://127.0.0.1:1", KEY, SECRET, desk.clock, transport=wire)
        assert {"open": {}} == await good.call("OpenOrders", {}, effect=False)
        await ask(KEY, SECRET, SteppedClock(NOW - 1))

    asyncio.run(story())
    assert ["unknown_key", "invalid_signature", "old_nonce"] == wire.told


def test_paper_kraken_says_nothing_of_orders_that_it_cannot_know(desk: Desk, wire: Wire) -> None:
    """An order that another account has is not denied: that would free what may execute."""
    desk.venue.account = "gate-2"
    asyncio.run(desk.session.submit(desk.permit(resting())))
    venue = connect(wire, desk.clock)
    with pytest.raises(Unavailable):
        asyncio.run(venue.order_reports("fx", "o-1"))


def test_paper_kraken_remembers_what_it_denied(desk: Desk, wire: Wire) -> None:
    """Also for a connector that does not know that it asked: the order is refused for good."""
    permit = desk.permit(resting())

    async def story() -> None:
        await connect(wire, desk.clock).order_reports("fx", "o-1")
        found = await connect(wire, desk.clock).submit(permit)
        assert [("rejected", "EOrder:Invalid order:denied_before")] == [
            (one.exec_type, one.reason) for one in found
        ]

    asyncio.run(story())
    (told,) = desk.venue.reports_since(0)[1]
    assert ("rejected", "denied_before") == (told.exec_type, told.reason)


def test_paper_kraken_method_that_is_not_ascii_is_unknown(desk: Desk, wire: Wire) -> None:
    """No signature can be over it; it is answered like every unknown method."""
    headers = {"API-Key": KEY, "API-Sign": "x"}
    url = "http://venue/0/private/%C3%A9"
    request = httpx2.Request("POST", url, content=b"nonce=5", headers=headers)

    async def story() -> Any:
        return json.loads(await (await wire.handle_async_request(request)).aread())

    found = asyncio.run(story())
    assert {"error": ["EGeneral:Permission denied", "EGeneral:Unknown method"]} == found


def test_paper_kraken_field_that_stands_twice_is_refused(desk: Desk, wire: Wire) -> None:
    """A form that can be read in two ways is read in none."""
    body = b"nonce=5&trades=true&trades=false"
    path = "/0/private/OpenOrders"
    headers = {"API-Key": KEY, "API-Sign": signature(path, "5", body, SECRET)}
    request = httpx2.Request("POST", f"http://venue{path}", content=body, headers=headers)

    async def story() -> Any:
        return json.loads(await (await wire.handle_async_request(request)).aread())

    assert {"error": ["EGeneral:Invalid arguments"]} == asyncio.run(story())
