# SPDX-License-Identifier: Apache-2.0
"""The client and the gate's own interface over a Unix socket; answers are as documented."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho_client import NotAuthenticated, Permitted, Refused, Unavailable, connect_async
from sekisho_client.orders import LimitOrder
from sekisho_client.permits import read
from sekisho_client.reports import Advice, OrderStatus, Readiness
from tests.gate_api_world import BOT_TOKEN, MONITOR_TOKEN, ApiWorld
from tests.gate_world import GateWorld, order

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/spec/openapi.json").read_text("utf-8"))


def limit_order(name: str, **changes: Any) -> LimitOrder:
    """The order of the gate's tests, as the client writes it."""
    given = json.loads(order(client_order_id=name, **changes))
    del given["action"], given["order_type"]
    return LimitOrder(**given)


async def as_agent(address: str, api: ApiWorld) -> None:
    """Every call of an agent."""
    async with connect_async(address, token=BOT_TOKEN) as gate:
        asked = limit_order("order-1")
        first = await gate.orders.submit(asked)
        assert isinstance(first, Permitted)
        assert json.loads(asked.body()) == read(first.permit).order
        assert first == await gate.orders.submit(asked)
        refused = await gate.orders.submit(limit_order("order-2", quantity="100000000"))
        assert isinstance(refused, Refused)
        assert "exceeds_scope_size" in [reason.code for reason in refused.reasons]
        amended = await gate.orders.amend("order-3", "order-1", quantity="500")
        assert isinstance(amended, Permitted)
        assert "order-1" == read(amended.permit).replaces
        status = await gate.orders.get("order-2")
        assert isinstance(status, OrderStatus)
        assert ("refused", None) == (status.verdict, status.working)
        assert await gate.orders.get("order-9") is None
        found = [
            await gate.orders.get("order-1"),
            await gate.orders.open(),
            await gate.orders.cancel("order-4", "order-3"),
            await gate.orders.cancel_all("all-1"),
            await gate.positions(),
            await gate.agent.status(),
            await gate.governance.get_scope(),
            await gate.monitoring.get_today_volume(),
            await gate.health(),
        ]
        assert ["OrderStatus", "OpenOrders", "Permitted", "CancelledAll", "Positions",
                "AgentStatus", "dict", "Volume", "Alive"] == [
            type(one).__name__ for one in found
        ]  # fmt: skip
        assert Advice(would_pass=True, reasons=()) == await gate.orders.check(asked)
        api.missing = ["lease"]
        assert Readiness(ready=False, missing=("lease",)) == await gate.ready()
        with pytest.raises(NotAuthenticated) as raised:
            await gate.monitoring.get_risk_score("bot")
        assert 403 == raised.value.status
        api.purse.spent = True
        turned_away = await gate.orders.submit(limit_order("order-5"))
        assert isinstance(turned_away, Unavailable)
        assert ["control_unavailable"] == [one.code for one in turned_away.reasons]


async def as_monitor(address: str) -> None:
    """Every call of a monitor."""
    async with connect_async(address, token=MONITOR_TOKEN) as gate:
        found = [
            await gate.monitoring.get_baseline("bot"),
            await gate.monitoring.get_risk_score("bot"),
            await gate.monitoring.get_current_anomaly_score("bot"),
            await gate.monitoring.get_today_volume("bot"),
        ]
        assert ["BaselineSummary", "AgentScore", "AgentScore", "Volume"] == [
            type(one).__name__ for one in found
        ]
        assert isinstance(await gate.monitoring.get_baseline("nobody"), Unavailable)


def test_client_understands_every_answer_of_the_gate(tmp_path: Path) -> None:
    """Every call of an agent and of a monitor, answered by the gate's own code."""
    address = f"unix:{tmp_path}/gate.sock"

    async def run() -> None:
        api = ApiWorld(await GateWorld.start())

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await api._as_peer(scope, receive, send)

        serving = await serve(application, [Listener(address)])
        try:
            await as_agent(address, api)
            api.as_monitor()
            await as_monitor(address)
        finally:
            await serving.close(0.2)

    asyncio.run(run())


def test_gate_answers_are_valid_by_the_document() -> None:
    """Other people's validator takes each answer of the gate by the schema of its status."""
    validators = pytest.importorskip(
        "jsonschema_rs", reason="schemathesis is not installed: ./dev test --interop"
    )

    def check(path: str, response: httpx2.Response) -> None:
        operation = DOCUMENT["paths"][path][response.request.method.lower()]
        said = operation["responses"][str(response.status_code)]
        if "$ref" in said:
            said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
        schema = said["content"][response.headers["content-type"]]["schema"]
        whole = {"allOf": [schema], "components": DOCUMENT["components"]}
        errors = validators.validator_for(whole).iter_errors(response.json())
        assert [] == [(path, error.message) for error in errors]

    async def run() -> None:
        api = ApiWorld(await GateWorld.start())
        body, orders = order(client_order_id="a"), "/v1/orders"
        check(orders, await api.ask("POST", orders, body))
        check(orders, await api.ask("POST", orders, order(client_order_id="b", quantity="1e5")))
        check(orders, await api.ask("POST", orders, b"{"))
        check(orders, await api.ask("GET", orders))
        check(orders, await api.ask("GET", orders + "?limit=0"))
        check(orders, await api.ask("POST", orders, body, token="x" * 43))
        check(orders, await api.ask("POST", orders, body, content_type="text/plain"))
        check(orders, await api.ask("POST", orders, b" " * 9000))
        for name in ("a", "b", "c"):
            path = "/v1/orders/{client_order_id}"
            check(path, await api.ask("GET", f"/v1/orders/{name}"))
        check("/v1/orders/check", await api.ask("POST", "/v1/orders/check", body))
        told = b'{"client_order_id":"all"}'
        check("/v1/orders/cancel-all", await api.ask("POST", "/v1/orders/cancel-all", told))
        for path in ("/v1/positions", "/v1/agent", "/v1/agent/scope", "/v1/agent/volume",
                     "/v1/health", "/v1/ready", "/openapi.json"):  # fmt: skip
            check(path, await api.ask("GET", path))
        api.missing = ["lease"]
        check("/v1/ready", await api.ask("GET", "/v1/ready"))
        api.purse.spent = True
        check(orders, await api.ask("POST", orders, order(client_order_id="d")))
        api.as_monitor()
        for what in ("baseline", "scores", "volume"):
            path = f"/v1/agents/{{agent}}/{what}"
            for name in ("bot", "nobody"):
                found = await api.ask("GET", f"/v1/agents/{name}/{what}", token=MONITOR_TOKEN)
                check(path, found)
        api.as_nobody()
        check("/v1/agent", await api.ask("GET", "/v1/agent"))

    asyncio.run(run())
