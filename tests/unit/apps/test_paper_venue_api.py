# SPDX-License-Identifier: Apache-2.0
"""The permit protocol's interface: who may ask, what is refused unread, what an answer promises."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from sekisho.apps.paper_venue import BODY_BYTES_MAX, CERTAIN, permit_application
from sekisho.core.encoding import b64, sha256_hex
from tests.paper_doubles import CREDENTIAL, Desk, order, resting
from tests.venue_connections import ServedDesk

BEARER = {"authorization": f"Bearer {CREDENTIAL}"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def ask(desk: Desk, method: str, path: str, **more: Any) -> httpx2.Response:
    """One request, with the credential unless ``headers`` say otherwise."""

    async def send() -> httpx2.Response:
        app = permit_application(ServedDesk(desk))
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://venue") as client:
            return await client.request(method, path, **({"headers": BEARER} | more))

    return asyncio.run(send())


def word(response: httpx2.Response) -> str:
    """The problem's word; "" for an answer that is no problem."""
    if response.headers.get("content-type") != "application/problem+json":
        return ""
    return str(response.json()["type"]).removeprefix("urn:sekisho:problem:")


EVERY = [
    ("POST", "/v1/permits", {"permit": "x"}),
    ("POST", "/v1/cancels", {"agent": "fx", "client_order_id": "o-1"}),
    ("GET", "/v1/open?agent=fx", None),
    ("GET", "/v1/reports?agent=fx&client_order_id=o-1", None),
    ("GET", "/v1/tape?after=0", None),
    ("GET", "/v1/rates?pairs=EUR/USD", None),
    ("POST", "/v1/certificates", {"certificate": "AA=="}),
]


@pytest.mark.parametrize(("method", "path", "content"), EVERY)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {CREDENTIAL}"},
        {"authorization": CREDENTIAL},
        [("authorization", f"Bearer {CREDENTIAL}"), ("authorization", f"Bearer {CREDENTIAL}")],
    ],
)
def test_interface_without_the_credential_answers_nothing(
    desk: Desk, method: str, path: str, content: Any, headers: Any
) -> None:
    """Every method; a doubled header is no credential either."""
    answer = ask(desk, method, path, json=content, headers=headers)
    assert (401, "unauthenticated") == (answer.status_code, word(answer))
    assert [] == desk.venue.rejections


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        ("/v1/permits", b"{", JSON, "malformed"),
        ("/v1/permits", b'{"permit":1}', JSON, "malformed"),
        ("/v1/permits", b'{"permit":null}', JSON, "malformed"),
        ("/v1/permits", b'{"permit":"a","permit":"b"}', JSON, "malformed"),
        ("/v1/permits", b'{"permit":"a","more":"b"}', JSON, "malformed"),
        ("/v1/permits", b"[]", JSON, "malformed"),
        ("/v1/permits", b'{"permit":"a"}', {}, "unsupported-media-type"),
        ("/v1/permits", b" " * (BODY_BYTES_MAX + 1), JSON, "too-large"),
        ("/v1/cancels", b'{"agent":"A B","client_order_id":"o"}', JSON, "malformed"),
        ("/v1/cancels", b'{"agent":"fx","client_order_id":"o o"}', JSON, "malformed"),
        ("/v1/certificates", b'{"certificate":"x"}', JSON, "malformed"),
        ("/v1/certificates", b'{"certificate":"AA=="}', JSON, "malformed"),
        ("/v1/nothing", b"", JSON, "not-found"),
        ("/v1/open", b"", JSON, "method-not-allowed"),
    ],
)
def test_interface_request_of_another_form_is_turned_away(
    desk: Desk, path: str, body: bytes, headers: dict[str, str], expected: str
) -> None:
    """With a word that promises no effect, and none there was."""
    answer = ask(desk, "POST", path, content=body, headers=BEARER | headers)
    assert expected == word(answer)
    assert expected in CERTAIN
    assert [] == desk.venue.rejections
    assert (0, ()) == asyncio.run(desk.session.reports_since(0))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/open",
        "/v1/open?agent=fx&agent=fx",
        "/v1/open?agent=FX",
        "/v1/open?agent=fx&more=1",
        "/v1/reports?agent=fx",
        "/v1/reports?agent=fx&client_order_id=%0a",
        "/v1/tape",
        "/v1/tape?after=-1",
        "/v1/tape?after=1",
        "/v1/tape?after=1e3",
        "/v1/tape?after=9999999999999",
        "/v1/tape?after=%D9%A1",
        "/v1/rates?pairs=",
        "/v1/rates?pairs=EURUSD",
        "/v1/rates?pairs=" + ",".join(["EUR/USD"] * 65),
        "/v1/rates?pairs=EUR/USD&pairs=EUR/USD",
    ],
)
def test_interface_question_of_another_form_is_malformed(desk: Desk, path: str) -> None:
    """Missing, doubled, unknown parameters; numbers and names of another spelling."""
    assert "malformed" == word(ask(desk, "GET", path))


def test_interface_permit_is_judged_by_the_venue_alone(desk: Desk) -> None:
    """A bad permit is an answer, not a problem: the venue has seen it and says so."""
    answer = ask(desk, "POST", "/v1/permits", json={"permit": "nonsense"})
    assert 200 == answer.status_code
    assert ["rejected"] == [one["exec_type"] for one in answer.json()["reports"]]


def test_interface_venue_that_is_down_promises_no_effect(desk: Desk) -> None:
    """Unavailable is said before anything happens."""
    desk.venue.faults.down = True
    answer = ask(desk, "POST", "/v1/permits", json={"permit": desk.permit(order())})
    assert (503, "unavailable") == (answer.status_code, word(answer))


def test_interface_outcome_that_is_not_known_promises_nothing(desk: Desk) -> None:
    """The permit was taken; no word may say otherwise."""
    desk.venue.faults.submits.append("lose_ack")
    answer = ask(desk, "POST", "/v1/permits", json={"permit": desk.permit(resting())})
    assert (504, "") == (answer.status_code, word(answer))
    assert ("o-1",) == asyncio.run(desk.session.open_orders("fx"))


def test_interface_defect_promises_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the middle is no "unavailable", and shows nothing of the inside."""

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(desk.venue, "take", broken)
    answer = ask(desk, "POST", "/v1/permits", json={"permit": "x"})
    assert (500, "") == (answer.status_code, word(answer))
    assert "secret" not in answer.text


def test_interface_certificate_is_taken_when_its_chain_holds(desk: Desk) -> None:
    """From then on its permits execute; one of another authority is turned away."""
    agent = desk.new_agent("fx")
    stranger = Desk().new_agent("fx")
    permit = desk.permit(order(), signer=agent, certificate_sha256=sha256_hex(agent.certificate))
    before = ask(desk, "POST", "/v1/permits", json={"permit": permit})
    assert "unknown_certificate" == before.json()["reports"][0]["reason"]
    told = ask(desk, "POST", "/v1/certificates", json={"certificate": b64(agent.certificate)})
    assert 204 == told.status_code
    refused = ask(desk, "POST", "/v1/certificates", json={"certificate": b64(stranger.certificate)})
    assert "malformed" == word(refused)
    after = ask(desk, "POST", "/v1/permits", json={"permit": permit})
    assert "unknown_certificate" != after.json()["reports"][0]["reason"]


def test_interface_rates_are_quoted_by_pair(desk: Desk) -> None:
    """As asked, in whichever orientation; all that is quoted where none is asked for."""
    asked = ask(desk, "GET", "/v1/rates?pairs=USD/EUR,EUR/USD").json()["quotations"]
    assert ["EUR/USD"] == [one["market"] for one in asked]
    assert {"market", "bid", "ask", "quoted_at"} == set(asked[0])
    assert 2 == len(ask(desk, "GET", "/v1/rates").json()["quotations"])
