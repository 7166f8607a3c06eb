# SPDX-License-Identifier: Apache-2.0
"""The connector to a Kraken-shaped venue: doubt, proof, restart, and what is never sent."""

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
from sekisho.adapters.venues.kraken_form import agent_tag, venue_id
from sekisho.adapters.venues.kraken_link import ANSWER_BYTES_MAX, KrakenLink, VenueRefused
from sekisho.adapters.venues.paper_kraken import KrakenSide, paper_kraken_application
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, OutcomeUnknown, Unavailable
from sekisho.ports import VenueReport
from tests.kraken_doubles import KEY, PAIRS, SECRET
from tests.paper_doubles import NOW, Desk, order, resting

OPS = f"{KEY}-ops"


def said(plain: Any = None, content: bytes = b"", status: int = 200) -> httpx2.Response:
    """An answer that can be streamed."""
    data = content if plain is None else json.dumps(plain).encode()
    return httpx2.Response(status, stream=httpx2.ByteStream(data))


class Wire(httpx2.AsyncBaseTransport):
    """A wire to the paper venue's Kraken side that loses what it is told to lose."""

    def __init__(self, desk: Desk) -> None:
        keys = {KEY: SECRET, OPS: SECRET}
        self.told: list[str] = []
        side = KrakenSide(desk.venue, keys, PAIRS, desk.clock, self.told.append, self.told.append)
        self._inner = httpx2.ASGITransport(app=paper_kraken_application(side))
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.lost: list[httpx2.Request] = []
        self.lose_request = ""
        self.lose_answer = ""
        self.alter: dict[str, Any] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        method = request.url.path.rpartition("/")[2]
        self.sent.append((method, dict(parse_qsl(request.content.decode()))))
        if method == self.lose_request:
            self.lost.append(request)
            raise httpx2.ReadTimeout("lost on the way")
        answer = await self._inner.handle_async_request(request)
        if method == self.lose_answer:
            raise httpx2.ReadTimeout("lost on the way back")
        if method in self.alter:
            return said({"error": [], "result": self.alter[method]})
        return answer

    async def arrive(self) -> Any:
        """The first lost request arrives after all; what it is told."""
        answer = await self._inner.handle_async_request(self.lost.pop(0))
        return json.loads(await answer.aread())

    def count(self, method: str) -> int:
        return [name for name, _ in self.sent].count(method)


def connect(wire: Wire, clock: SteppedClock, *, takes_permits: bool = True) -> KrakenVenue:
    clock.advance(0.001)  # a later life's nonces are above those of an earlier one
    trading, operations = (
        KrakenLink("http://127.0.0.1:1", key, SECRET, clock, transport=wire) for key in (KEY, OPS)
    )
    return KrakenVenue("PAPER", trading, operations, PAIRS, clock, takes_permits=takes_permits)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def wire(desk: Desk) -> Wire:
    return Wire(desk)


@pytest.fixture
def venue(desk: Desk, wire: Wire) -> KrakenVenue:
    return connect(wire, desk.clock)


def kinds(reports: tuple[VenueReport, ...]) -> list[tuple[str, str]]:
    return [(report.client_order_id, report.exec_type) for report in reports]


def test_kraken_form_says_what_the_permit_says(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Amounts verbatim, the day's end, a deadline, an id of the venue's kind, the permit."""
    permit = desk.permit(resting())
    asyncio.run(venue.submit(permit))
    form = wire.sent[0][1]
    assert NOW <= int(form.pop("nonce"))
    assert form == {
        "pair": "EURUSD",
        "type": "buy",
        "ordertype": "limit",
        "volume": "10000",
        "price": "1.1",
        "timeinforce": "GTD",
        "expiretm": "1778889600",
        "deadline": "2026-05-15T09:15:05.000000000Z",
        "cl_ord_id": venue_id("fx", "o-1"),
        "permit": permit,
    }


def test_kraken_permit_goes_only_where_it_is_taken(desk: Desk, wire: Wire) -> None:
    """A venue that knows no permits gets none."""
    venue = connect(wire, desk.clock, takes_permits=False)
    asyncio.run(venue.submit(desk.permit(resting())))
    assert "permit" not in wire.sent[0][1]
    assert () == desk.venue.open_orders("fx")


def test_kraken_lost_answer_is_unknown_and_asked_for(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The order was taken: asking finds it with its fill, and nothing is sent a second time."""

    async def story() -> None:
        wire.lose_answer = "AddOrder"
        permit = desk.permit(order())
        with pytest.raises(OutcomeUnknown):
            await venue.submit(permit)
        found = await venue.order_reports("fx", "o-1")
        assert [("o-1", "new"), ("o-1", "trade")] == kinds(found)
        assert [("", "rejected")] == kinds(await venue.submit(permit))
        assert 1 == wire.count("AddOrder")

    asyncio.run(story())


def test_kraken_not_found_is_a_proof_against_late_arrival(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """A request that is late finds its nonce too old once the venue was asked."""

    async def story() -> None:
        wire.lose_request = "AddOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(order()))
        assert [("o-1", "not_found")] == kinds(await venue.order_reports("fx", "o-1"))
        assert {"error": ["EAPI:Invalid nonce"]} == await wire.arrive()

    asyncio.run(story())
    assert (0, ()) == desk.venue.reports_since(0)


def test_kraken_order_under_way_is_not_denied(desk: Desk, wire: Wire) -> None:
    """While the request waits for its answer, nobody is told that the order is not there."""
    asked: list[BaseException] = []

    class Curious(Wire):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("AddOrder"):
                with pytest.raises(OutcomeUnknown) as raised:
                    await connected.order_reports("fx", "o-1")
                asked.append(raised.value)
            return await super().handle_async_request(request)

    connected = connect(Curious(desk), desk.clock)
    assert [("o-1", "new")] == kinds(asyncio.run(connected.submit(desk.permit(resting()))))
    assert 1 == len(asked)


def test_kraken_lost_amendment_is_settled_by_the_order_s_terms(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """It took effect: both names have it. It did not: not found, and the order is as it was."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-2", quantity="8000"), replaces="o-1"))
        history = [("o-1", "new"), ("o-2", "replaced")]
        assert history == kinds(await venue.order_reports("fx", "o-2"))
        wire.lose_answer, wire.lose_request = "", "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-3", quantity="7000"), replaces="o-2"))
        assert [*history, ("o-3", "not_found")] == kinds(await venue.order_reports("fx", "o-3"))
        assert ("o-2",) == await venue.open_orders("fx")
        assert ["EAPI:Invalid nonce"] == (await wire.arrive())["error"]

    asyncio.run(story())


def test_kraken_drop_copy_proves_no_absence(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """The list of orders, read with another key, does not end an amendment that may still come."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_request = "AmendOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.submit(desk.permit(resting("o-2", quantity="8000"), replaces="o-1"))
        assert [("o-1", "new")] == kinds((await venue.reports_since(0))[1])
        assert [] == (await wire.arrive())["error"]
        late = (await venue.reports_since(0))[1]
        assert [("o-1", "new"), ("o-2", "replaced")] == kinds(late)

    asyncio.run(story())


def test_kraken_lost_cancel_is_unknown(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Asked again, the venue tells how the order ended."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "CancelOrder"
        with pytest.raises(OutcomeUnknown):
            await venue.cancel("fx", "o-1")
        wire.lose_answer = ""
        expected = [("o-1", "new"), ("o-1", "canceled")]
        assert expected == kinds(await venue.cancel("fx", "o-1"))

    asyncio.run(story())


def test_kraken_cancel_that_cannot_be_looked_after_is_unknown(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The venue took the cancel and says no more: that is no failure, and no confirmation."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        wire.lose_answer = "OpenOrders"
        with pytest.raises(OutcomeUnknown):
            await venue.cancel("fx", "o-1")

    asyncio.run(story())
    assert () == desk.venue.open_orders("fx")


def test_kraken_ids_of_two_agents_never_meet(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """The same client order id of two agents is two orders, each listed for its own."""
    other = desk.new_agent("gold")
    desk.venue.know_certificate(other.certificate)
    status = desk.status(other)

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        from sekisho.core.encoding import b64, sha256_hex

        permit = desk.permit(
            resting(), signer=other, agent="gold", ocsp=b64(status),
            certificate_sha256=sha256_hex(other.certificate),
        )  # fmt: skip
        assert [("o-1", "new")] == kinds(await venue.submit(permit))
        await venue.cancel("gold", "o-1")
        assert (("o-1",), ()) == (await venue.open_orders("fx"), await venue.open_orders("gold"))

    asyncio.run(story())
    assert agent_tag("fx") != agent_tag("gold")


def test_kraken_restart_with_the_permits_knows_everything(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Names, amendments and exec ids are the same, and no remembered permit is sent."""
    permits = [
        desk.permit(resting()),
        desk.permit(resting("o-2", quantity="8000"), replaces="o-1"),
    ]

    async def story() -> None:
        for permit in permits:
            await venue.submit(permit)
        before = (await venue.reports_since(0))[1]
        again = connect(wire, desk.clock)
        for permit in permits:
            again.remember(permit)
        assert ("o-2",) == await again.open_orders("fx")
        after = (await again.reports_since(0))[1]
        assert {one.exec_id for one in before} == {one.exec_id for one in after}
        assert [("", "rejected")] == kinds(await again.submit(permits[0]))
        assert ("o-2", "canceled") == kinds(await again.cancel("fx", "o-2"))[-1]

    asyncio.run(story())
    assert (1, 1) == (wire.count("AddOrder"), wire.count("AmendOrder"))


def test_kraken_order_without_permit_is_listed_and_can_be_cancelled(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """Without its permit the agent's order has the venue's own id, and a stop still ends it."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        txid = (await venue.order_reports("fx", "o-1"))[0].venue_order_id
        again = connect(wire, desk.clock)
        assert ((txid,), ()) == (await again.open_orders("fx"), await again.open_orders("other"))
        assert {txid: venue_id("fx", "o-1")} == again.unexplained
        copied = (await again.reports_since(0))[1]
        assert [("", "new", "unexplained")] == [
            (one.client_order_id, one.exec_type, one.reason) for one in copied
        ]
        await again.cancel("fx", txid)
        assert () == await again.open_orders("fx")

    asyncio.run(story())


def test_kraken_restart_without_the_permits_still_finds_by_id(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """The venue's id is made of agent and client order id: whoever asks by them finds it."""

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        again = connect(wire, desk.clock)
        assert [("o-1", "new")] == kinds(await again.order_reports("fx", "o-1"))
        third = connect(wire, desk.clock)
        expected = [("o-1", "new"), ("o-1", "canceled")]
        assert expected == kinds(await third.cancel("fx", "o-1"))

    asyncio.run(story())


def test_kraken_end_waits_for_its_executions(desk: Desk, wire: Wire, venue: KrakenVenue) -> None:
    """Two lists must agree: while the venue names more executed than it lists, nothing ends."""
    info = {
        "cl_ord_id": venue_id("fx", "o-1"), "status": "canceled", "opentm": "1778836500",
        "closetm": "1778836501", "vol": "10000", "vol_exec": "400", "trades": ["T-1"],
        "descr": {"price": "1.1"},
    }  # fmt: skip
    trade = {"vol": "400", "price": "1.1", "time": "1778836500.5"}

    async def story() -> None:
        await venue.submit(desk.permit(resting()))
        txid = (await venue.order_reports("fx", "o-1"))[0].venue_order_id
        wire.alter = {
            "OpenOrders": {"open": {}}, "ClosedOrders": {"closed": {txid: info}}, "QueryTrades": {}
        }  # fmt: skip
        assert [("o-1", "new")] == kinds(await venue.order_reports("fx", "o-1"))
        wire.alter["QueryTrades"] = {"T-1": trade}
        found = await venue.order_reports("fx", "o-1")
        assert ["new", "trade", "canceled"] == [one.exec_type for one in found]
        assert ("400", "0") == (found[-1].cum_quantity, found[-1].leaves_quantity)
        assert "2026-05-15T09:15:00.500000000Z" == found[1].transact_at

    asyncio.run(story())


@pytest.mark.parametrize(
    "change",
    [{"currency": "USD"}, {"market": "GBP/USD", "currency": "GBP"}, {"counterparty": "ACME"}],
)
def test_kraken_what_the_dialect_cannot_say_is_not_sent(
    desk: Desk, wire: Wire, venue: KrakenVenue, change: dict[str, str]
) -> None:
    """The order is rejected for good, here, with the reason; its reservation can end."""
    reports = asyncio.run(venue.submit(desk.permit(order(**change))))
    assert ([("o-1", "rejected")], []) == (kinds(reports), wire.sent)
    assert reports[0].reason.startswith("not_translatable: ")


def test_kraken_permit_of_another_venue_or_nobody_is_not_sent(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """What is wrong with a permit is said of the permit, never of an order."""
    for permit in ("", "a.b.c", desk.permit(order(venue="OTHER"), venue="OTHER")):
        assert [("", "rejected")] == kinds(asyncio.run(venue.submit(permit)))
    lost = desk.permit(resting("o-2"), replaces="o-1")
    assert [("o-2", "rejected")] == kinds(asyncio.run(venue.submit(lost)))
    assert [] == wire.sent


def test_kraken_rejected_order_is_rejected_for_good(
    desk: Desk, wire: Wire, venue: KrakenVenue
) -> None:
    """What the venue says of the order itself closes it; what it says of a permit does not."""
    late = desk.permit(order("o-2"))
    desk.clock.advance(3)
    reports = asyncio.run(venue.submit(late))
    assert [("o-2", "rejected")] == kinds(reports)
    assert "EOrder:Invalid order:permit_expired" == reports[0].reason
    forged = desk.permit(order("o-3"), signer=desk.new_agent("fx"))
    assert [("", "rejected")] == kinds(asyncio.run(venue.submit(forged)))


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
        "form_and_permit_differ", "form_and_permit_differ", "cl_ord_id_used_or_not_of_this_order",
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
    """An order whose permit came another way is not denied: that would free what may execute."""
    asyncio.run(desk.session.submit(desk.permit(resting())))
    venue = connect(wire, desk.clock)
    with pytest.raises(Unavailable):
        asyncio.run(venue.order_reports("fx", "o-1"))
