# SPDX-License-Identifier: Apache-2.0
"""What a gate tells of itself when asked, as values (docs/spec/gate-api.md, 3).

Amounts, money and scores are Decimal, made of the text that came and of nothing else. Instants are
the text that came: they have nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sekisho_client.answers import Reason, Reply, read_json, read_problem, read_reasons
from sekisho_client.failures import ProtocolError
from sekisho_client.members import Members

_VERDICTS = frozenset({"permitted", "refused"})


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that can still be executed. ``price`` is None for a market order."""

    client_order_id: str
    order_state: str
    decision: int
    market: str
    side: str
    currency: str
    venue: str
    quantity: Decimal
    filled: Decimal
    leaves: Decimal
    price: Decimal | None
    amendment_pending: bool


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """A page of them by id; ``next`` is the ``after`` of the next page, empty on the last."""

    orders: tuple[OpenOrder, ...]
    next: str


@dataclass(frozen=True, slots=True)
class VenueReport:
    """One report of the venue about an order."""

    exec_id: str
    exec_type: str
    last_quantity: Decimal
    last_price: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    transact_at: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """What became of a request under this id.

    ``verdict`` is ``permitted`` or ``refused``. ``working`` is the order as it stands while it can
    still be executed, else None. ``executions`` are those of a closed order.
    """

    client_order_id: str
    decision: int
    verdict: str
    order: Mapping[str, object]
    order_state: str
    executions: tuple[VenueReport, ...]
    working: OpenOrder | None


@dataclass(frozen=True, slots=True)
class CancelledAll:
    """Ids of orders whose end is confirmed, and of those whose end is not.

    Asked again under the same id the gate tells how they stand; under a new one it cancels anew.
    """

    cancelled: tuple[str, ...]
    not_confirmed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether an order would pass the scope's checks just now; binds nobody."""

    would_pass: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions by pair in ``currency``; negative is short."""

    currency: str
    by_pair: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """The agent as the gate holds it. ``status`` is ``good``, ``hold`` or ``revoked``; ``latches``
    are what people must re-arm; ``lease_left_ms`` 0 means that nothing is permitted.
    """

    agent: str
    gate: str
    environment: str
    region: str
    status: str
    latches: tuple[str, ...]
    certificate_sha256: str
    not_before: str
    not_after: str
    policy_sha256: str
    baseline_sha256: str
    phase: str
    lease_left_ms: int
    at: str


@dataclass(frozen=True, slots=True)
class Volume:
    """What was permitted in the present policy day; money in ``currency``."""

    day: str
    currency: str
    gross_permitted: Decimal
    open_reserved: Decimal
    orders: int


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """The baseline in force (``locked_sha256``, or empty) and what was collected, in words."""

    agent: str
    locked_sha256: str
    collected_sha256: str
    complete: bool
    missing: tuple[str, ...]
    summary: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AgentScore:
    """A score from 0 to 1 and its factors; None before a baseline is in force."""

    agent: str
    score: Decimal | None
    factors: Mapping[str, Decimal]
    baseline_sha256: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The gate's process answers."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gate may permit, and what is missing where not."""

    ready: bool
    missing: tuple[str, ...]


def read_order_status(reply: Reply) -> OrderStatus:
    """Answer of ``GET /v1/orders/{client_order_id}``. Raises ProtocolError, as all here do."""
    found = read_json(reply)
    return OrderStatus(
        client_order_id=found.text("client_order_id"),
        decision=found.integer("decision"),
        verdict=found.text("verdict", _VERDICTS),
        order=found.object("order"),
        order_state=found.text("order_state"),
        executions=tuple(_report(one) for one in found.objects("executions")),
        working=_open_order(found) if found.has("leaves") else None,
    )


def read_open_orders(reply: Reply) -> OpenOrders:
    """Answer of ``GET /v1/orders``."""
    found = read_json(reply)
    return OpenOrders(
        tuple(_open_order(one) for one in found.objects("orders")), found.text("next")
    )


def read_cancelled_all(reply: Reply) -> CancelledAll:
    """Answer of ``POST /v1/orders/cancel-all``."""
    found = read_json(reply)
    return CancelledAll(found.texts("cancelled"), found.texts("not_confirmed"))


def read_advice(reply: Reply) -> Advice:
    """Answer of ``POST /v1/orders/check``; one that does not call itself advice is none."""
    found = read_json(reply)
    would_pass, reasons = found.truth("would_pass"), read_reasons(found)
    if not found.truth("advice") or would_pass == bool(reasons):
        raise ProtocolError("would_pass: and reasons, of which exactly one must hold")
    return Advice(would_pass, reasons)


def read_positions(reply: Reply) -> Positions:
    """Answer of ``GET /v1/positions``."""
    found = read_json(reply)
    return Positions(found.text("currency"), found.numbers("positions"))


def read_agent(reply: Reply) -> AgentStatus:
    """Answer of ``GET /v1/agent``."""
    found = read_json(reply)
    return AgentStatus(
        agent=found.text("agent"),
        gate=found.text("gate"),
        environment=found.text("environment"),
        region=found.text("region"),
        status=found.text("status", frozenset({"good", "hold", "revoked"})),
        latches=found.texts("latches"),
        certificate_sha256=found.text("certificate_sha256"),
        not_before=found.text("not_before"),
        not_after=found.text("not_after"),
        policy_sha256=found.text("policy_sha256"),
        baseline_sha256=found.text("baseline_sha256"),
        phase=found.text("phase", frozenset({"baseline", "live"})),
        lease_left_ms=found.integer("lease_left_ms"),
        at=found.text("at"),
    )


def read_scope(reply: Reply) -> Mapping[str, object]:
    """Answer of ``GET /v1/agent/scope``: the scope's fields, as docs/spec/policy.md has them."""
    return read_json(reply).object("scope")


def read_volume(reply: Reply) -> Volume:
    """Answer of ``…/volume``."""
    found = read_json(reply)
    return Volume(
        day=found.text("day"),
        currency=found.text("currency"),
        gross_permitted=found.number("gross_permitted"),
        open_reserved=found.number("open_reserved"),
        orders=found.integer("orders"),
    )


def read_baseline(reply: Reply) -> BaselineSummary:
    """Answer of ``…/baseline``."""
    found = read_json(reply)
    return BaselineSummary(
        agent=found.text("agent"),
        locked_sha256=found.text("locked_sha256"),
        collected_sha256=found.text("collected_sha256"),
        complete=found.truth("complete"),
        missing=found.texts("missing"),
        summary=found.pairs("summary"),
    )


def read_risk(reply: Reply) -> AgentScore:
    """The risk score out of the answer of ``…/scores``."""
    return _score(read_json(reply), "risk")


def read_anomaly(reply: Reply) -> AgentScore:
    """The last anomaly score out of the same answer."""
    return _score(read_json(reply), "anomaly")


def read_alive(reply: Reply) -> Alive:
    """Answer of ``GET /v1/health``."""
    read_json(reply).text("status", frozenset({"alive"}))
    return Alive()


def read_ready(reply: Reply) -> Readiness:
    """Answer of ``GET /v1/ready``, 200 or 503."""
    if reply.status == 503:
        missing = read_problem(reply).texts("missing")
        if not missing:
            raise ProtocolError("missing: not ready, and nothing is missing")
        return Readiness(ready=False, missing=missing)
    read_json(reply).text("status", frozenset({"ready"}))
    return Readiness(ready=True, missing=())


def _score(found: Members, name: str) -> AgentScore:
    return AgentScore(
        agent=found.text("agent"),
        score=found.number_or_none(name),
        factors=found.numbers(f"{name}_factors"),
        baseline_sha256=found.text("baseline_sha256"),
    )


def _open_order(found: Members) -> OpenOrder:
    return OpenOrder(
        client_order_id=found.text("client_order_id"),
        order_state=found.text("order_state"),
        decision=found.integer("decision"),
        market=found.text("market"),
        side=found.text("side"),
        currency=found.text("currency"),
        venue=found.text("venue"),
        quantity=found.number("quantity"),
        filled=found.number("filled"),
        leaves=found.number("leaves"),
        price=found.number_or_none("price"),
        amendment_pending=found.truth("amendment_pending"),
    )


def _report(found: Members) -> VenueReport:
    return VenueReport(
        exec_id=found.text("exec_id"),
        exec_type=found.text("exec_type"),
        last_quantity=found.number("last_quantity"),
        last_price=found.number("last_price"),
        cum_quantity=found.number("cum_quantity"),
        leaves_quantity=found.number("leaves_quantity"),
        transact_at=found.text("transact_at"),
        reason=found.text("reason"),
    )
