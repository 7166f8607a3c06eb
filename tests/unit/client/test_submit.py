# SPDX-License-Identifier: Apache-2.0
"""What the client makes of the answers to an order, and of answers that are none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpcore2
import pytest

from sekisho_client import (
    NotAuthenticated,
    OrderError,
    Permitted,
    PossiblyIssued,
    ProtocolError,
    Refused,
    Unavailable,
    Unknown,
    Withdrawn,
    exchange,
)
from sekisho_client.answers import JSON, Reason
from sekisho_client.async_gate import AsyncGate
from sekisho_client.orders import Amendment, Cancellation
from tests.client_wire import (
    ORDER,
    REASON,
    Asked,
    AsyncBackend,
    Step,
    Wire,
    ask_async,
    ask_sync,
    endpoint,
    http,
    permit,
    problem,
    taken,
)

PLAIN = json.loads(ORDER.body())
AMENDMENT = Amendment(
    client_order_id="order-2", orig_client_order_id="order-1", quantity="900", price="1.0840"
)
AMENDED = PLAIN | {"client_order_id": "order-2", "quantity": "900", "price": "1.0840"}
CANCEL = Cancellation(client_order_id="order-3", orig_client_order_id="order-1")
OK = http(200, taken())
UNAVAILABLE = problem(503, "unavailable", kind="unavailable", decision=-1, reasons=[REASON])
CUT = httpcore2.ReadError("reset")


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Asked:
    """Both gates; whatever holds for one holds for the other."""
    asked: Asked = request.param
    return asked


def submitted(ask: Asked, *steps: Step, order: Any = ORDER) -> Any:
    """The answer to an order on a connection of these steps."""
    return ask(Wire(list(steps)), lambda gate: gate.orders.submit(order))


def test_submit_permitted_carries_permit_and_state(ask: Asked) -> None:
    """Everything of the answer is there; members that nobody knows are passed over."""
    answer = submitted(ask, http(200, taken(later="added")))
    assert Permitted("order-1", 7, "open", permit(PLAIN), "") == answer


def test_submit_sends_the_order_its_token_and_nothing_else(ask: Asked) -> None:
    """One POST with the very bytes of the order; no cookie, no compression, no agent name."""
    wire = Wire([OK])
    ask(wire, lambda gate: gate.orders.submit(ORDER))
    head, _, body = bytes(wire.requests[0]).partition(b"\r\n\r\n")
    assert ORDER.body() == body
    assert {
        b"POST /v1/orders HTTP/1.1",
        b"Host: gate",
        b"Accept: application/json, application/problem+json",
        b"Authorization: Bearer " + b"t" * 43,
        b"Content-Type: application/json",
        b"Content-Length: " + str(len(body)).encode(),
    } == set(head.split(b"\r\n"))


def test_submit_other_outcomes_are_values(ask: Asked) -> None:
    """Possibly issued, refused, withdrawn and unavailable come as what they are."""
    issued = taken(kind="possibly_issued", permit="")
    assert PossiblyIssued("order-1", 7, "open", "") == submitted(ask, http(202, issued))
    refused = problem(422, "refused", kind="refused", decision=8, reasons=[REASON])
    assert Refused("order-1", 8, (Reason(**REASON),), "d") == submitted(ask, http(422, refused))
    withdrawn = problem(409, "withdrawn", kind="withdrawn", decision=9, reasons=[])
    assert Withdrawn("order-1", 9, "d") == submitted(ask, http(409, withdrawn))
    assert Unavailable("d", (Reason(**REASON),)) == submitted(ask, http(503, UNAVAILABLE))


def test_submit_amendment_and_cancel_are_permitted_as_asked(ask: Asked) -> None:
    """A permit of an amendment is about what the order becomes; a cancel has none."""
    jws = permit(AMENDED, replaces="order-1")
    amended = submitted(ask, http(200, taken(permit=jws)), order=AMENDMENT)
    assert Permitted("order-2", 7, "open", jws, "") == amended
    closed = http(200, taken(permit="", order_state="closed"))
    assert Permitted("order-3", 7, "closed", "", "") == submitted(ask, closed, order=CANCEL)
    by_bytes = submitted(ask, closed, order=CANCEL.body())
    assert Permitted("order-3", 7, "closed", "", "") == by_bytes


@pytest.mark.parametrize(
    ("order", "jws"),
    [
        (ORDER, permit(PLAIN | {"client_order_id": "order-9"})),
        (ORDER, permit(PLAIN | {"quantity": "1001"})),
        (ORDER, permit(PLAIN | {"counterparty": "KRAKEN"})),
        (ORDER, permit(PLAIN, replaces="order-0")),
        (AMENDMENT, permit(AMENDED)),
        (AMENDMENT, permit(AMENDED, replaces="order-7")),
        (AMENDMENT, permit(AMENDED | {"quantity": "901"}, replaces="order-1")),
        (AMENDMENT, permit(AMENDED | {"price": "1.0841"}, replaces="order-1")),
        (CANCEL, permit(PLAIN)),
    ],
)
def test_submit_permit_about_another_order_is_no_permission(
    ask: Asked, order: Any, jws: str
) -> None:
    """A permit is compared with what was asked, field by field."""
    with pytest.raises(ProtocolError, match="permit"):
        submitted(ask, http(200, taken(permit=jws)), order=order)


NOT_PERMITTED: list[tuple[int, Any, str | None]] = [
    (200, b"", None),
    (200, b"{", None),
    (200, b"[]", None),
    (200, b"null", None),
    (200, b"\xff\xfe", None),
    (200, b'{"kind":"permitted","kind":"permitted"}', None),
    (200, b"[" * 200_000, None),
    (200, b"9" * 10_000, None),
    (200, taken(), "text/html"),
    (200, taken(), "application/problem+json"),
    (200, {}, None),
    (200, taken(kind="refused"), None),
    (200, taken(kind="possibly_issued", permit=""), None),
    (200, taken(kind="PERMITTED"), None),
    (200, taken(kind=True), None),
    (200, taken(decision=-1), None),
    (200, taken(decision="7"), None),
    (200, taken(decision=True), None),
    (200, taken(decision=7.0), None),
    (200, taken(decision=2**53), None),
    (200, taken(decision=float("nan")), None),
    (200, taken(order_state="filled"), None),
    (200, taken(order_state=None), None),
    (200, taken(permit=None), None),
    (200, taken(permit="x"), None),
    (200, taken(permit="a.b.c"), None),
    (200, taken(permit=permit(PLAIN)[:-1].rpartition(".")[0] + "."), None),
    (200, taken(permit=permit(PLAIN).replace(".", ".A", 1)), None),
    (200, taken(permit=permit(PLAIN, log_index="7")), None),
    (200, taken(detail=5), None),
    (201, taken(), None),
    (202, taken(), None),
    (202, taken(kind="possibly_issued"), None),
    (204, b"", None),
    (206, taken(), None),
    (302, taken(), "application/json"),
    (404, taken(), "application/json"),
    (409, taken(), "application/json"),
    (409, problem(409, "withdrawn", kind="permitted", decision=7), None),
    (409, problem(409, "withdrawn", kind="withdrawn", decision=-1), None),
    (413, problem(413, "too-large"), None),
    (422, problem(422, "refused", kind="refused", decision=8, reasons=[]), None),
    (422, problem(422, "refused", kind="refused", decision=8, reasons=["x"]), None),
    (422, problem(422, "refused", kind="refused", decision=8), None),
    (422, problem(422, "refused", kind="refused", decision=8, reasons=[REASON]), JSON),
    (409, problem(409, "withdrawn", kind="withdrawn", decision=8), JSON),
    (200, json.dumps(taken()).encode()[:-1] + b',"kind":"permitted"}', None),
    (200, json.dumps(taken()).encode()[:-1] + b',"later":0.5}', None),
    (200, json.dumps(taken()).encode()[:-1] + b',"later":NaN}', None),
    (422, problem(200, "refused", kind="refused", decision=8, reasons=[REASON]), None),
]


@pytest.mark.parametrize(("status", "content", "kind"), NOT_PERMITTED)
def test_submit_answer_outside_the_protocol_is_no_permission(
    ask: Asked, status: int, content: Any, kind: str | None
) -> None:
    """Whatever is not said as the specification says it is a ProtocolError, never Permitted."""
    with pytest.raises(ProtocolError):
        submitted(ask, http(status, content, kind))


def test_submit_without_one_content_type_is_no_permission(ask: Asked) -> None:
    """An answer that calls itself nothing, or two things, is not read."""
    for extra in (b"", b"Content-Type: application/json\r\n" * 2):
        body = json.dumps(taken()).encode()
        head = b"HTTP/1.1 200 x\r\n%bContent-Length: %d\r\n\r\n" % (extra, len(body))
        with pytest.raises(ProtocolError):
            submitted(ask, head + body)


@pytest.mark.parametrize(
    "steps",
    [
        [b""],
        [CUT],
        [httpcore2.ReadTimeout("late")],
        [OK[:40]],
        [OK[:-1]],
        [OK[:-1], CUT],
        [b"garbage\r\n\r\n"],
        [b"HTTP/1.1 200 x\r\n" + b"X: " + b"y" * 200_000],
        [http(200, b"x" * (exchange.REPLY_BYTES_MAX + 1))],
        [http(500, taken(), "application/json")],
        [http(500, problem(500, "unavailable", kind="unavailable", decision=-1, reasons=[]))],
        [http(502, b"<html>", "text/html")],
        [http(503, b"<html>", "text/html")],
        [http(503, problem(503, "unavailable"))],
        [http(503, problem(503, "unavailable", kind="permitted", decision=-1, reasons=[]))],
        [http(503, problem(503, "unavailable", kind="unavailable", decision=3, reasons=[]))],
        [http(503, problem(503, "unavailable", kind="unavailable", decision=-1))],
    ],
)
def test_submit_without_a_whole_answer_is_unknown(ask: Asked, steps: list[Step]) -> None:
    """Cut, late, too long, or from something that is not the gate: the fate is unknown."""
    answer = submitted(ask, *steps)
    assert (Unknown, "order-1") == (type(answer), answer.client_order_id)
    assert answer.detail


@pytest.mark.parametrize("error", [httpcore2.ConnectError, httpcore2.ConnectTimeout])
def test_submit_not_connected_is_unavailable(ask: Asked, error: type[Exception]) -> None:
    """Where nothing can have been sent, nothing is unknown."""
    answer = ask(Wire(error("refused")), lambda gate: gate.orders.submit(ORDER))
    assert Unavailable("the gate was not reached at gate.sock: refused") == answer


def test_submit_write_that_breaks_is_unknown(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part may have arrived."""

    def broken(*_: Any, **__: Any) -> None:
        raise httpcore2.WriteTimeout("slow")

    monkeypatch.setattr("tests.client_wire._Stream.write", broken)
    assert isinstance(submitted(ask, OK), Unknown)


def test_submit_default_sends_once(ask: Asked) -> None:
    """Nothing is repeated behind the caller's back."""
    wire = Wire([CUT])
    ask(wire, lambda gate: gate.orders.submit(ORDER))
    assert 1 == len(wire.requests)


def test_submit_attempts_repeat_the_same_bytes_until_an_answer(ask: Asked) -> None:
    """Two cuts, then an answer: three times the same request, and no fourth."""
    wire = Wire([CUT], [b""], [OK])
    answer = ask(wire, lambda gate: gate.orders.submit(ORDER, attempts=5))
    assert isinstance(answer, Permitted)
    assert [bytes(wire.requests[0])] * 3 == [bytes(one) for one in wire.requests]


def test_submit_attempts_never_repeat_an_answer(ask: Asked) -> None:
    """A refusal, and that the gate is unavailable, are answers."""
    refused = problem(422, "refused", kind="refused", decision=8, reasons=[REASON])
    for status, content in ((422, refused), (503, UNAVAILABLE)):
        wire = Wire([http(status, content)])
        ask(wire, lambda gate: gate.orders.submit(ORDER, attempts=5))
        assert 1 == len(wire.requests)


@pytest.mark.parametrize("second", [httpcore2.ConnectError("gone"), [http(503, UNAVAILABLE)]])
def test_submit_attempt_in_doubt_stays_so_when_the_next_does_not_arrive(
    ask: Asked, second: Any
) -> None:
    """Not reached, or turned away, the second time: the first may have been taken all the same."""
    answer = ask(Wire([CUT], second), lambda gate: gate.orders.submit(ORDER, attempts=2))
    assert isinstance(answer, Unknown)
    assert "reset" in answer.detail


@pytest.mark.parametrize("attempts", [0, 11, True, 1.5, "2"])
def test_submit_attempts_out_of_bounds_is_refused(ask: Asked, attempts: Any) -> None:
    """Neither none nor for ever."""
    with pytest.raises(OrderError, match="attempts"):
        ask(Wire([OK]), lambda gate: gate.orders.submit(ORDER, attempts=attempts))


@pytest.mark.parametrize("status", [401, 403])
def test_submit_caller_not_known_raises(ask: Asked, status: int) -> None:
    """Wrong token, wrong user: nothing that a bot can go on from."""
    word = "unauthenticated" if status == 401 else "forbidden"
    with pytest.raises(NotAuthenticated, match="d") as raised:
        submitted(ask, http(status, problem(status, word)))
    assert status == raised.value.status
    with pytest.raises(NotAuthenticated, match="without a problem"):
        submitted(ask, http(status, b"", "text/plain"))


def test_submit_malformed_request_raises(ask: Asked) -> None:
    """400 is a mistake of the program."""
    with pytest.raises(OrderError, match="malformed: d"):
        submitted(ask, http(400, problem(400, "malformed")))


@pytest.mark.parametrize(
    "order",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"action":"buy","client_order_id":"a"}',
        b'{"action":"new"}',
        b'{"action":"new","client_order_id":5}',
        b'{"action":"new","client_order_id":"' + b"a" * 9000 + b'"}',
        "text",
        None,
    ],
)
def test_submit_what_is_no_order_is_never_sent(ask: Asked, order: Any) -> None:
    """Bytes that name no action and no id cannot be asked about afterwards."""
    wire = Wire([OK])
    with pytest.raises(OrderError):
        ask(wire, lambda gate: gate.orders.submit(order))
    assert [] == wire.requests


def test_sync_answer_byte_by_byte_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole answer has one end, however often a byte comes; nothing is read after it."""
    clock = iter(range(10_000))
    monkeypatch.setattr(exchange, "_monotonic", lambda: float(next(clock)))
    answer = submitted(ask_sync, *(OK[at : at + 1] for at in range(len(OK))))
    assert Unknown("order-1", "no whole answer in time") == answer
    assert next(clock) < 20


def test_sync_time_spent_before_connecting_leaves_nothing_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Late before there is a connection is not reached, not unknown."""
    clock = iter(range(0, 10_000, 6))
    monkeypatch.setattr(exchange, "_monotonic", lambda: float(next(clock)))
    assert isinstance(submitted(ask_sync, OK), Unavailable)


def test_async_answer_that_never_ends_is_cut() -> None:
    """The whole answer has one end, also when a connection stays silent."""

    async def run() -> Any:
        backend = AsyncBackend(Wire([OK[:-1], b"hang"]))
        link = exchange.AsyncLink(endpoint(answer_s=0.05), backend)
        # Far above its own end: who waits for ever fails here, and does not keep the tests.
        async with AsyncGate(link) as gate, asyncio.timeout(5):
            return await gate.orders.submit(ORDER)

    assert Unknown("order-1", "no whole answer in time") == asyncio.run(run())
