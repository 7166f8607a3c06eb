# SPDX-License-Identifier: Apache-2.0
"""Requests and what their outcomes mean, without any connection: both gates make the same calls.

A *call* knows its bytes and reads its answer. A :class:`Course` is one call under way: it says
whether the same bytes are to be sent once more, and in the end what came of it all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from sekisho_client import reports
from sekisho_client.answers import (
    Answer,
    Reply,
    Unavailable,
    Unknown,
    not_answered,
    read_answer,
    read_problem,
)
from sekisho_client.failures import ProtocolError
from sekisho_client.orders import (
    Amendment,
    Cancellation,
    MarketOrder,
    Order,
    OrderError,
    order_id,
    read_order,
)

ATTEMPTS_MAX = 10
PAGE_MAX = 500
_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,62}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NoReply:
    """No whole answer came. ``sent`` False: it is certain that nothing was sent."""

    sent: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        target: path and query.
        body: of a POST, else None.
        read: the answer out of what came.
        unanswered: the answer when nothing, or nothing certain, is known.
        attempts: how often the same bytes are sent at most, as long as no answer comes.
        headers: beside those of every request; the same in each attempt.
    """

    method: str
    target: str
    body: bytes | None
    read: Callable[[Reply], T]
    unanswered: Callable[[NoReply], T]
    attempts: int = 1
    headers: tuple[tuple[str, str], ...] = ()


class Course(Generic[T]):
    """One call under way."""

    def __init__(self, call: Call[T]) -> None:
        self._call = call
        self._left = call.attempts
        self._in_doubt = NoReply(sent=False, detail="")
        self._last: Reply | NoReply = self._in_doubt

    def again(self, outcome: Reply | NoReply) -> bool:
        """Take the outcome of one attempt; True if the same bytes are to be sent once more."""
        self._left -= 1
        self._last = outcome
        if isinstance(outcome, Reply):
            return False
        if outcome.sent:
            self._in_doubt = outcome
        return self._left > 0

    def result(self) -> T:
        """What came of it.

        An attempt that may have reached the gate is not undone by a later one that did not, or
        that the gate turned away.
        """
        last, doubt = self._last, self._in_doubt
        if isinstance(last, NoReply):
            return self._call.unanswered(doubt if doubt.sent else last)
        found = self._call.read(last)
        if doubt.sent and isinstance(found, Unavailable):
            return self._call.unanswered(doubt)
        return found


def submit(order: Order | bytes, attempts: int) -> Call[Answer]:
    """``POST /v1/orders``. Raises OrderError."""
    body = _bytes_of(order)
    asked = read_order(body)
    name = str(asked["client_order_id"])
    return Call(
        "POST",
        "/v1/orders",
        body,
        lambda reply: read_answer(asked, reply),
        lambda none: Unknown(name, none.detail) if none.sent else Unavailable(none.detail),
        _attempts(attempts),
    )


def cancel_all(
    client_order_id: str, attempts: int
) -> Call[reports.CancelledAll | Unavailable | Unknown]:
    """``POST /v1/orders/cancel-all``. Raises OrderError."""
    name = order_id(client_order_id)
    body = json.dumps({"client_order_id": name}, separators=(",", ":")).encode("ascii")

    def unanswered(none: NoReply) -> reports.CancelledAll | Unavailable | Unknown:
        return Unknown(name, none.detail) if none.sent else Unavailable(none.detail)

    def read(reply: Reply) -> reports.CancelledAll | Unavailable | Unknown:
        if reply.status >= 500:  # some of the cancels may have gone out before it failed
            return Unknown(name, f"status {reply.status}; ask again with the same id")
        if reply.status != 200:
            raise not_answered(reply)
        return reports.read_cancelled_all(reply)

    return Call("POST", "/v1/orders/cancel-all", body, read, unanswered, _attempts(attempts))


def check(order: Order | bytes) -> Call[reports.Advice | Unavailable]:
    """``POST /v1/orders/check``. Raises OrderError."""
    body = _bytes_of(order)
    read_order(body)
    return _question("/v1/orders/check", reports.read_advice, body)


def get(client_order_id: str) -> Call[reports.OrderStatus | Unavailable | None]:
    """``GET /v1/orders/{client_order_id}``; None: the gate does not have it. Raises OrderError."""
    name = order_id(client_order_id)

    def read(reply: Reply) -> reports.OrderStatus | None:
        if reply.status == 404:
            # A 404 of something else on the way does not say that the gate does not have it.
            read_problem(reply).text("type", frozenset({"urn:sekisho:problem:not-found"}))
            return None
        found = reports.read_order_status(reply)
        if found.client_order_id != name:
            raise ProtocolError("client_order_id: another order than the one asked for")
        return found

    return _question(f"/v1/orders/{quote(name, safe='')}", read, also=404)


def open_orders(after: str, limit: int) -> Call[reports.OpenOrders | Unavailable]:
    """``GET /v1/orders``. Raises OrderError."""
    if type(limit) is not int or not 1 <= limit <= PAGE_MAX:
        raise OrderError(f"limit: 1 to {PAGE_MAX}")
    page = f"after={quote(order_id(after), safe='')}&" if after else ""
    return _question(f"/v1/orders?{page}limit={limit}", reports.read_open_orders)


def positions() -> Call[reports.Positions | Unavailable]:
    """``GET /v1/positions``."""
    return _question("/v1/positions", reports.read_positions)


def agent_status() -> Call[reports.AgentStatus | Unavailable]:
    """``GET /v1/agent``."""
    return _question("/v1/agent", reports.read_agent)


def scope() -> Call[Mapping[str, object] | Unavailable]:
    """``GET /v1/agent/scope``."""
    return _question("/v1/agent/scope", reports.read_scope)


def volume(agent: str | None) -> Call[reports.Volume | Unavailable]:
    """``GET …/volume`` of the caller, or of an agent for a monitor."""
    path = "/v1/agent/volume" if agent is None else f"{_named(agent)}/volume"
    return _question(path, reports.read_volume)


def baseline(agent: str) -> Call[reports.BaselineSummary | Unavailable]:
    """``GET /v1/agents/{agent}/baseline``."""
    return _question(f"{_named(agent)}/baseline", reports.read_baseline)


def risk(agent: str) -> Call[reports.AgentScore | Unavailable]:
    """``GET /v1/agents/{agent}/scores``: the risk score."""
    return _question(f"{_named(agent)}/scores", reports.read_risk)


def anomaly(agent: str) -> Call[reports.AgentScore | Unavailable]:
    """The same: the last anomaly score."""
    return _question(f"{_named(agent)}/scores", reports.read_anomaly)


def health() -> Call[reports.Alive | Unavailable]:
    """``GET /v1/health``."""
    return _question("/v1/health", reports.read_alive)


def ready() -> Call[reports.Readiness | Unavailable]:
    """``GET /v1/ready``."""

    def read(reply: Reply) -> reports.Readiness | Unavailable:
        try:
            return reports.read_ready(reply)
        except ProtocolError as error:
            if reply.status == 503:  # of something between here and the gate
                return Unavailable(str(error))
            raise

    return _question("/v1/ready", read, also=503)


def _question(
    target: str, read: Callable[[Reply], T], body: bytes | None = None, also: int = 200
) -> Call[T | Unavailable]:
    """A request that changes nothing: whatever is no answer is ``Unavailable``.

    Args:
        target: path and query.
        read: reads 200 and ``also``.
        body: of a POST, else None.
        also: a further status that ``read`` knows.
    """

    def answer(reply: Reply) -> T | Unavailable:
        if reply.status in {200, also}:
            return read(reply)
        if reply.status >= 500 or reply.status == 404:
            return Unavailable(f"{_said(reply)} (status {reply.status})")
        raise not_answered(reply)

    method = "GET" if body is None else "POST"
    return Call(method, target, body, answer, lambda none: Unavailable(none.detail))


def _said(reply: Reply) -> str:
    try:
        return read_problem(reply).text("detail")
    except ProtocolError:
        return "the gate did not answer"


def _bytes_of(order: Order | bytes) -> bytes:
    if isinstance(order, bytes):
        return order
    if isinstance(order, MarketOrder | Amendment | Cancellation):
        return order.body()
    raise OrderError("an order of sekisho_client.orders is wanted, or its bytes")


def _named(agent: str) -> str:
    if _AGENT.fullmatch(agent) is None:
        raise OrderError(f"{agent[:48]!r} is no agent's name")
    return f"/v1/agents/{quote(agent, safe='')}"


def _attempts(count: int) -> int:
    if type(count) is not int or not 1 <= count <= ATTEMPTS_MAX:
        raise OrderError(f"attempts: 1 to {ATTEMPTS_MAX}")
    return count
