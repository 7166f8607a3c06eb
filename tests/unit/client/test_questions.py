# SPDX-License-Identifier: Apache-2.0
"""What a gate tells when asked, what is asked for it, and what is no answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpcore2
import pytest

from sekisho_client import AsyncGate, Gate, OrderError, ProtocolError, Unavailable, Unknown
from sekisho_client.answers import Reason
from sekisho_client.reports import (
    Advice,
    AgentScore,
    AgentStatus,
    Alive,
    BaselineSummary,
    CancelledAll,
    OpenOrder,
    OpenOrders,
    OrderStatus,
    Positions,
    Readiness,
    VenueReport,
    Volume,
)
from tests.client_wire import (
    AGENT,
    BASELINE,
    ORDER,
    REASON,
    REPORT,
    SCORES,
    STATUS,
    VOLUME,
    WORKING,
    Asked,
    Wire,
    ask_async,
    ask_sync,
    http,
    problem,
)

OPEN = OpenOrder(
    client_order_id="order-1",
    order_state="open",
    decision=7,
    market="EUR/USD",
    side="buy",
    currency="EUR",
    venue="PAPER",
    quantity=Decimal(1000),
    filled=Decimal("250.5"),
    leaves=Decimal("749.5"),
    price=Decimal("1.085"),
    amendment_pending=False,
)
FILLED = VenueReport(
    exec_id="e1",
    exec_type="trade",
    last_quantity=Decimal(1000),
    last_price=Decimal("1.085"),
    cum_quantity=Decimal(1000),
    leaves_quantity=Decimal(0),
    transact_at=REPORT["transact_at"],
    reason="",
)
IN_FULL: dict[str, Any] = AGENT | {"latches": ()}
ADVICE = {"advice": True, "would_pass": False, "reasons": [REASON]}
Action = Callable[[Any], Any]


def of(name: str) -> Action:
    """A method of a gate, by its dotted name, without arguments."""

    def action(gate: Any) -> Any:
        for part in name.split("."):
            gate = getattr(gate, part)
        return gate()

    return action


QUESTIONS: list[tuple[Action, str, Any, Any]] = [
    (
        lambda gate: gate.orders.get("order-1"),
        "GET /v1/orders/order-1",
        STATUS,
        OrderStatus("order-1", 7, "permitted", json.loads(ORDER.body()), "closed", (FILLED,), None),
    ),
    (
        lambda gate: gate.orders.get("order-1"),
        "GET /v1/orders/order-1",
        STATUS | WORKING | {"executions": []},
        OrderStatus("order-1", 7, "permitted", json.loads(ORDER.body()), "open", (), OPEN),
    ),
    (
        lambda gate: gate.orders.open(),
        "GET /v1/orders?limit=500",
        {"orders": [WORKING], "next": ""},
        OpenOrders((OPEN,), ""),
    ),
    (
        lambda gate: gate.orders.open(after="a:1", limit=1),
        "GET /v1/orders?after=a%3A1&limit=1",
        {"orders": [], "next": "order-1"},
        OpenOrders((), "order-1"),
    ),
    (
        lambda gate: gate.orders.check(ORDER),
        "POST /v1/orders/check",
        ADVICE,
        Advice(would_pass=False, reasons=(Reason(**REASON),)),
    ),
    (
        lambda gate: gate.orders.cancel_all("stop-1"),
        "POST /v1/orders/cancel-all",
        {"cancelled": ["a"], "not_confirmed": ["b"]},
        CancelledAll(("a",), ("b",)),
    ),
    (
        of("positions"),
        "GET /v1/positions",
        {"currency": "EUR", "positions": {"EUR/USD": "-12.50"}},
        Positions("EUR", {"EUR/USD": Decimal("-12.50")}),
    ),
    (of("agent.status"), "GET /v1/agent", AGENT, AgentStatus(**IN_FULL)),
    (
        of("governance.get_scope"),
        "GET /v1/agent/scope",
        {"scope": {"currency": "EUR", "daily_order_count_max": 5}},
        {"currency": "EUR", "daily_order_count_max": 5},
    ),
    (
        of("monitoring.get_today_volume"),
        "GET /v1/agent/volume",
        VOLUME,
        Volume("2026-05-15", "EUR", Decimal("18500.00"), Decimal(0), 1),
    ),
    (
        lambda gate: gate.monitoring.get_today_volume("algo"),
        "GET /v1/agents/algo/volume",
        VOLUME,
        Volume("2026-05-15", "EUR", Decimal("18500.00"), Decimal(0), 1),
    ),
    (
        lambda gate: gate.monitoring.get_baseline("algo"),
        "GET /v1/agents/algo/baseline",
        BASELINE,
        BaselineSummary(
            "algo",
            "",
            "2" * 64,
            complete=False,
            missing=("the window ends with 2026-05-28",),
            summary=(("orders", "12"),),
        ),
    ),
    (
        lambda gate: gate.monitoring.get_risk_score("algo"),
        "GET /v1/agents/algo/scores",
        SCORES,
        AgentScore("algo", Decimal("0.125"), {"size": Decimal("0.125")}, "3" * 64),
    ),
    (
        lambda gate: gate.monitoring.get_current_anomaly_score("algo"),
        "GET /v1/agents/algo/scores",
        SCORES | {"anomaly": "", "anomaly_factors": {}},
        AgentScore("algo", None, {}, "3" * 64),
    ),
    (of("health"), "GET /v1/health", {"status": "alive"}, Alive()),
    (of("ready"), "GET /v1/ready", {"status": "ready"}, Readiness(ready=True, missing=())),
]


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Asked:
    """Both gates."""
    asked: Asked = request.param
    return asked


@pytest.mark.parametrize(("action", "line", "content", "expected"), QUESTIONS)
def test_question_answered_is_a_value(
    ask: Asked, action: Action, line: str, content: Any, expected: Any
) -> None:
    """Each question goes to its path and its answer becomes its type, numbers exact."""
    wire = Wire([http(200, content | {"later": "added"})])
    assert expected == ask(wire, action)
    assert wire.requests[0].startswith(line.encode() + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(("action", "line", "content", "expected"), QUESTIONS)
def test_question_answer_with_a_member_missing_or_wrong_is_none(
    ask: Asked, action: Action, line: str, content: Any, expected: Any
) -> None:
    """No member has a default: each that is missing, null or a float makes the answer void."""
    unread = set() if "scores" not in line else set(SCORES) - {"agent", "baseline_sha256"}
    for name in set(content) - unread - {"leaves"}:
        without = {one: value for one, value in content.items() if one != name}
        for wrong in (without, content | {name: None}, content | {name: 0.5}):
            with pytest.raises(ProtocolError):
                ask(Wire([http(200, wrong)]), action)


@pytest.mark.parametrize(
    ("action", "content"),
    [
        (of("monitoring.get_today_volume"), VOLUME | {"gross_permitted": "NaN"}),
        (of("monitoring.get_today_volume"), VOLUME | {"gross_permitted": "1e9"}),
        (of("monitoring.get_today_volume"), VOLUME | {"gross_permitted": "1\n"}),
        (of("monitoring.get_today_volume"), VOLUME | {"orders": True}),
        (of("positions"), {"currency": "EUR", "positions": {"EUR/USD": 5}}),
        (of("agent.status"), AGENT | {"status": "fine"}),
        (of("agent.status"), AGENT | {"phase": "test"}),
        (of("agent.status"), AGENT | {"latches": [1]}),
        (of("health"), {"status": "dead"}),
        (of("ready"), {"status": "alive"}),
        (lambda gate: gate.orders.get("order-1"), STATUS | {"client_order_id": "order-2"}),
        (lambda gate: gate.orders.get("order-1"), STATUS | {"verdict": "maybe"}),
        (lambda gate: gate.orders.get("order-1"), STATUS | {"executions": ["x"]}),
        (lambda gate: gate.orders.check(ORDER), ADVICE | {"advice": False}),
        (lambda gate: gate.orders.check(ORDER), ADVICE | {"would_pass": True}),
        (lambda gate: gate.orders.check(ORDER), ADVICE | {"reasons": []}),
        (lambda gate: gate.monitoring.get_baseline("algo"), BASELINE | {"summary": [["a"]]}),
        (lambda gate: gate.monitoring.get_baseline("algo"), BASELINE | {"summary": [["a", 1]]}),
        (lambda gate: gate.monitoring.get_baseline("algo"), BASELINE | {"summary": ["ab"]}),
    ],
)
def test_question_answer_with_an_impossible_value_is_none(
    ask: Asked, action: Action, content: Any
) -> None:
    """Values outside of the specification's are not passed on."""
    with pytest.raises(ProtocolError):
        ask(Wire([http(200, content)]), action)


@pytest.mark.parametrize(("action", "line", "content", "expected"), QUESTIONS)
def test_question_without_an_answer_is_unavailable(
    ask: Asked, action: Action, line: str, content: Any, expected: Any
) -> None:
    """Cut, refused connection, failing gate: a value that says so, for every question."""
    doubtful = Unknown if "cancel-all" in line else Unavailable
    assert isinstance(ask(Wire([httpcore2.ReadError("cut")]), action), doubtful)
    assert isinstance(ask(Wire([http(500, b"", "text/plain")]), action), doubtful)
    assert isinstance(ask(Wire([http(503, problem(503, "unavailable"))]), action), doubtful)
    assert isinstance(ask(Wire(httpcore2.ConnectError("no")), action), Unavailable)


def test_question_about_an_agent_not_admitted_is_unavailable(ask: Asked) -> None:
    """The gate may know the agent later: no answer, with what the gate says."""
    wire = Wire([http(404, problem(404, "not-found"))])
    assert Unavailable("d (status 404)") == ask(wire, of("positions"))


def test_get_order_that_the_gate_does_not_have_is_none(ask: Asked) -> None:
    """Only the gate's own problem says so; a stranger's 404 does not."""
    action: Action = lambda gate: gate.orders.get("order-1")  # noqa: E731 - as in QUESTIONS
    assert ask(Wire([http(404, problem(404, "not-found"))]), action) is None
    for stranger in (http(404, b"", "text/html"), http(404, problem(404, "elsewhere"))):
        with pytest.raises(ProtocolError):
            ask(Wire([stranger]), action)


def test_ready_missing_is_named(ask: Asked) -> None:
    """Not ready is an answer; a 503 that names nothing is none."""
    wire = Wire([http(503, problem(503, "unavailable", missing=["lease"]))])
    assert Readiness(ready=False, missing=("lease",)) == ask(wire, of("ready"))
    for content in (problem(503, "unavailable", missing=[]), problem(503, "unavailable")):
        assert isinstance(ask(Wire([http(503, content)]), of("ready")), Unavailable)


def test_cancel_all_sends_its_id_and_may_be_repeated(ask: Asked) -> None:
    """One member; the same bytes again where asked to."""
    answer = http(200, {"cancelled": [], "not_confirmed": []})
    wire = Wire([b""], [answer])
    found = ask(wire, lambda gate: gate.orders.cancel_all("stop-1", attempts=2))
    assert CancelledAll((), ()) == found
    assert [b'{"client_order_id":"stop-1"}'] * 2 == [
        bytes(one).partition(b"\r\n\r\n")[2] for one in wire.requests
    ]
    with pytest.raises(ProtocolError, match="405"):
        ask(Wire([http(405, b"", "text/plain")]), lambda gate: gate.orders.cancel_all("stop-1"))


@pytest.mark.parametrize(
    "action",
    [
        lambda gate: gate.orders.get("../agent"),
        lambda gate: gate.orders.get("a" * 37),
        lambda gate: gate.orders.get(None),
        lambda gate: gate.orders.open(after="?"),
        lambda gate: gate.orders.open(limit=0),
        lambda gate: gate.orders.open(limit=501),
        lambda gate: gate.orders.open(limit=True),
        lambda gate: gate.orders.cancel_all(""),
        lambda gate: gate.monitoring.get_baseline("a/b"),
        lambda gate: gate.monitoring.get_risk_score(""),
    ],
)
def test_question_with_an_impossible_argument_is_never_sent(ask: Asked, action: Action) -> None:
    """A mistake of the program, found before anything is sent."""
    wire = Wire([http(200, {})])
    with pytest.raises(OrderError):
        ask(wire, action)
    assert [] == wire.requests


def test_both_gates_have_the_same_shape() -> None:
    """Same names, arguments and results; the one is awaited."""
    from sekisho_client import async_gate, gate

    pairs: list[tuple[Any, Any]] = [(gate.connect, async_gate.connect_async), (Gate, AsyncGate)]
    rooms = ("Orders", "Agent", "Governance", "Monitoring")
    pairs += [(getattr(gate, name), getattr(async_gate, f"Async{name}")) for name in rooms]
    for one, other in pairs[1:]:
        names = [name for name in vars(one) if not name.startswith("_")]
        assert names == [name for name in vars(other) if not name.startswith("_")]
        pairs += [(getattr(one, name), getattr(other, name)) for name in names]
    for one, other in pairs:
        if not isinstance(one, type):
            ours, theirs = inspect.signature(one), inspect.signature(other)
            assert list(ours.parameters.values()) == list(theirs.parameters.values())
            plain = str(theirs.return_annotation).replace("AsyncGate", "Gate")
            assert str(ours.return_annotation) == plain
            assert (one.__name__ == "connect") or inspect.iscoroutinefunction(other)


def test_gate_convenience_methods_send_the_orders_they_name(ask: Asked) -> None:
    """New, amend and cancel are submissions of the order that they describe."""
    new = json.loads(ORDER.body())
    for unwanted in ("action", "order_type", "client_order_id"):
        del new[unwanted]
    actions: list[tuple[Action, dict[str, str]]] = [
        (lambda gate: gate.orders.new("a", **new), {"order_type": "limit", "price": "1.0850"}),
        (
            lambda gate: gate.orders.new("a", **{k: v for k, v in new.items() if k != "price"}),
            {"order_type": "market"},
        ),
        (
            lambda gate: gate.orders.amend("b", "a", quantity=5, price=Decimal("1.1")),
            {"action": "amend", "orig_client_order_id": "a", "quantity": "5", "price": "1.1"},
        ),
        (
            lambda gate: gate.orders.cancel("c", "a"),
            {"action": "cancel", "client_order_id": "c", "orig_client_order_id": "a"},
        ),
    ]
    for action, expected in actions:
        wire = Wire([b""])
        assert isinstance(ask(wire, action), Unknown)
        sent = json.loads(bytes(wire.requests[0]).partition(b"\r\n\r\n")[2])
        assert expected.items() <= sent.items()
