# SPDX-License-Identifier: Apache-2.0
"""The gate's interface over HTTP (docs/spec/gate-api.md): who may ask what, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from sekisho.adapters.web.peers import Peer
from sekisho.services.intake import Room
from tests.gate_api_world import BOT_TOKEN, BOT_UID, MONITOR_TOKEN, MONITOR_UID, ApiWorld
from tests.gate_world import GateWorld, codes, order

T = TypeVar("T")
AGENT_PATHS = (
    ("POST", "/v1/orders"),
    ("POST", "/v1/orders/check"),
    ("POST", "/v1/orders/cancel-all"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/order-1"),
    ("GET", "/v1/positions"),
    ("GET", "/v1/agent"),
    ("GET", "/v1/agent/scope"),
    ("GET", "/v1/agent/volume"),
)
MONITOR_PATHS = (
    ("GET", "/v1/agents/bot/baseline"),
    ("GET", "/v1/agents/bot/scores"),
    ("GET", "/v1/agents/bot/volume"),
)


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def hold(api: ApiWorld) -> tuple[asyncio.Event, asyncio.Event]:
    """Let the signer wait: the first event says that it does, the second lets it go on."""
    begun, held = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await held.wait()

    api.gate.signer.before = wait
    return begun, held


async def world(room: Room | None = None) -> ApiWorld:
    return ApiWorld(await GateWorld.start(), room)


def body_for(path: str) -> bytes | None:
    if path == "/v1/orders/cancel-all":
        return b'{"client_order_id":"all-1"}'
    return order() if path in {"/v1/orders", "/v1/orders/check"} else None


def test_order_permitted_is_200_with_the_permit() -> None:
    """A permitted order comes back with its permit, its entry and its state."""

    async def story() -> None:
        api = await world()
        got = await api.ask("POST", "/v1/orders", order())
        assert 200 == got.status_code
        content = got.json()
        assert ("permitted", "open") == (content["kind"], content["order_state"])
        assert content["permit"].count(".") == 2

    run(story())


def test_order_refused_is_a_problem_with_all_reasons() -> None:
    """Every reason of a refusal is told, with limit and observed value; it is no server error."""

    async def story() -> None:
        api = await world()
        got = await api.ask("POST", "/v1/orders", order(quantity="180000", venue="ELSEWHERE"))
        assert 422 == got.status_code
        assert "application/problem+json" == got.headers["content-type"]
        content = got.json()
        assert "urn:sekisho:problem:refused" == content["type"]
        assert ["exceeds_scope_size", "venue_not_allowed", "control_unavailable"] == [
            reason["code"] for reason in content["reasons"]
        ]
        assert {"code": "exceeds_scope_size", "limit": "25000.00", "observed": "180000.00",
                "unit": "EUR"} == content["reasons"][0]  # fmt: skip
        assert content["decision"] >= 0
        assert [] == api.gate.venue.permits

    run(story())


def test_order_malformed_is_a_recorded_refusal() -> None:
    """What is no order is refused as malformed_order, and the ledger has it."""

    async def story() -> None:
        api = await world()
        got = await api.ask("POST", "/v1/orders", b'{"action":"new","quantity":25000}')
        assert 422 == got.status_code
        assert ["malformed_order"] == [reason["code"] for reason in got.json()["reasons"]]
        assert got.json()["decision"] == api.gate.log.journal.size - 1

    run(story())


def test_order_without_a_lease_is_refused_and_nothing_leaves() -> None:
    """Without the authority there is no lease, and the answer says which reason it is."""

    async def story() -> None:
        api = await world()
        api.gate.authority.down = True
        got = await api.ask("POST", "/v1/orders", order())
        assert 422 == got.status_code
        assert "lease_expired" in [reason["code"] for reason in got.json()["reasons"]]
        assert [] == api.gate.venue.permits

    run(story())


def test_order_withdrawn_is_409_and_names_its_decision() -> None:
    """A decision that was taken back before it left is a conflict, never a success."""

    async def story() -> None:
        api = await world()
        api.gate.signer.away = True
        got = await api.ask("POST", "/v1/orders", order())
        assert (409, "withdrawn") == (got.status_code, got.json()["kind"])
        assert got.json()["decision"] >= 0
        assert [] == api.gate.venue.permits

    run(story())


def test_order_when_the_log_failed_is_503() -> None:
    """A journal that failed refuses with control_unavailable, and no permit."""

    async def story() -> None:
        api = await world()
        api.gate.disk.fail("sync")
        first = await api.ask("POST", "/v1/orders", order())
        second = await api.ask("POST", "/v1/orders", order(client_order_id="order-2"))
        for got in (first, second):
            assert 503 == got.status_code
            assert ["control_unavailable"] == [one["code"] for one in got.json()["reasons"]]
        assert [] == api.gate.venue.permits

    run(story())


def test_order_sent_again_is_one_order() -> None:
    """The same bytes again get the first answer; other bytes under the id are refused."""

    async def story() -> None:
        api = await world()
        first = await api.ask("POST", "/v1/orders", order())
        again = await api.ask("POST", "/v1/orders", order())
        other = await api.ask("POST", "/v1/orders", order(quantity="19999"))
        assert first.json() == again.json()
        assert ["duplicate_order_id"] == [one["code"] for one in other.json()["reasons"]]
        assert 1 == len(api.gate.venue.permits)

    run(story())


@pytest.mark.parametrize(("method", "path"), AGENT_PATHS + MONITOR_PATHS)
def test_caller_unknown_gets_nothing(method: str, path: str) -> None:
    """No uid, root, another uid, no token, another's token, a wrong header: never an answer."""

    async def story() -> None:
        api = await world()
        size = api.gate.log.journal.size
        everybody: list[tuple[Peer | None, str, str]] = [
            (None, BOT_TOKEN, ""),
            (Peer("unknown"), BOT_TOKEN, ""),
            (Peer("tcp"), BOT_TOKEN, ""),
            (Peer("tls"), BOT_TOKEN, ""),
            (Peer("tls", certificate=b"no certificate"), BOT_TOKEN, ""),
            (Peer("unix", uid=None), BOT_TOKEN, ""),
            (Peer("unix", uid=0), BOT_TOKEN, ""),
            (Peer("unix", uid=4242), BOT_TOKEN, ""),
            (Peer("unix", uid=BOT_UID), "", ""),
            (Peer("unix", uid=BOT_UID), MONITOR_TOKEN, ""),
            (Peer("unix", uid=MONITOR_UID), BOT_TOKEN, ""),
            (Peer("unix", uid=BOT_UID), "x" * 43, ""),
            (Peer("unix", uid=BOT_UID), "", BOT_TOKEN),
            (Peer("unix", uid=BOT_UID), "", f"Basic {BOT_TOKEN}"),
        ]
        for peer, token, header in everybody:
            api.peer = peer
            more = {"authorization": header} if header else {}
            got = await api.ask(method, path, body_for(path), token, **more)
            assert got.status_code in {401, 403}, (peer, token)
            assert "application/problem+json" == got.headers["content-type"]
        assert size == api.gate.log.journal.size

    run(story())


@pytest.mark.parametrize(("method", "path"), MONITOR_PATHS)
def test_agent_may_not_ask_for_scores(method: str, path: str) -> None:
    """Scores, baselines and headroom are for monitors."""

    async def story() -> None:
        api = await world()
        assert 403 == (await api.ask(method, path)).status_code
        api.as_monitor()
        assert 200 == (await api.ask(method, path, token=MONITOR_TOKEN)).status_code

    run(story())


@pytest.mark.parametrize(("method", "path"), AGENT_PATHS)
def test_monitor_may_not_trade(method: str, path: str) -> None:
    """A monitor can neither order nor ask in an agent's name."""

    async def story() -> None:
        api = await world()
        api.as_monitor()
        got = await api.ask(method, path, body_for(path), MONITOR_TOKEN)
        assert 403 == got.status_code
        assert [] == api.gate.venue.permits

    run(story())


def test_body_above_its_bound_is_413_and_not_recorded() -> None:
    """A body of more than 8,192 bytes is not taken."""

    async def story() -> None:
        api = await world()
        size = api.gate.log.journal.size
        got = await api.ask("POST", "/v1/orders", b'{"a":"' + b"x" * 8192 + b'"}')
        assert (413, size) == (got.status_code, api.gate.log.journal.size)

    run(story())


def test_body_of_another_type_is_415() -> None:
    """A form is not an order."""

    async def story() -> None:
        api = await world()
        kind = "application/x-www-form-urlencoded"
        got = await api.ask("POST", "/v1/orders", b"a=b", content_type=kind)
        assert 415 == got.status_code

    run(story())


def test_paths_and_methods_unknown_are_problems() -> None:
    """Routing errors are problems too."""

    async def story() -> None:
        api = await world()
        for method, path, status in (
            ("GET", "/v1/nothing", 404),
            ("DELETE", "/v1/orders", 405),
            ("GET", "/v1/orders?after=%00", 400),
            ("GET", "/v1/orders?after=", 400),
            ("GET", "/v1/orders?limit=0", 400),
            ("GET", "/v1/orders?limit=501", 400),
            ("GET", "/v1/orders?limit=1&limit=2", 400),
            ("GET", "/v1/orders?agent=other", 400),
            ("GET", "/v1/orders/never-sent", 404),
            ("GET", "/v1/orders/%F0%9F%98%80", 404),
        ):
            got = await api.ask(method, path)
            assert (status, "application/problem+json") == (
                got.status_code, got.headers["content-type"],
            ), path  # fmt: skip

    run(story())


def test_orders_open_are_paged_and_complete() -> None:
    """Page after page gives every order once."""

    async def story() -> None:
        api = await world()
        for number in range(5):
            answer = await api.gate.ask(client_order_id=f"o-{number}", quantity=str(100 + number))
            assert "permitted" == answer.kind, codes(answer)
        seen: list[str] = []
        after = ""
        while True:
            more = f"&after={after}" if after else ""
            page = (await api.ask("GET", f"/v1/orders?limit=2{more}")).json()
            seen += [one["client_order_id"] for one in page["orders"]]
            after = page["next"]
            if not after:
                break
        assert [f"o-{number}" for number in range(5)] == seen

    run(story())


def test_order_state_is_told_at_each_stage() -> None:
    """Open, refused and closed orders are told apart; of a closed one the venue's reports."""

    async def story() -> None:
        api = await world()
        await api.gate.ask(client_order_id="rests")
        await api.gate.ask(client_order_id="refused", quantity="180000")
        api.gate.venue.fill = True
        await api.gate.ask(client_order_id="filled", quantity="200")
        rests = (await api.ask("GET", "/v1/orders/rests")).json()
        assert ("open", "20000", "0") == (rests["order_state"], rests["leaves"], rests["filled"])
        refused = (await api.ask("GET", "/v1/orders/refused")).json()
        assert ("refused", "") == (refused["verdict"], refused["order_state"])
        filled = (await api.ask("GET", "/v1/orders/filled")).json()
        assert "closed" == filled["order_state"]
        assert [] != filled["executions"]

    run(story())


def test_cancel_all_cancels_each_and_says_what_is_left() -> None:
    """Each order gets a cancel of its own; what the venue does not confirm is named."""

    async def story() -> None:
        api = await world()
        for name in ("o-1", "o-2"):
            await api.gate.ask(client_order_id=name, quantity="100")
        got = await api.ask("POST", "/v1/orders/cancel-all", b'{"client_order_id":"all-1"}')
        assert {"cancelled": ["o-1", "o-2"], "not_confirmed": []} == got.json()
        await api.gate.ask(client_order_id="o-3", quantity="100")
        api.gate.venue.cancel_silent = True
        got = await api.ask("POST", "/v1/orders/cancel-all", b'{"client_order_id":"all-2"}')
        assert {"cancelled": [], "not_confirmed": ["o-3"]} == got.json()

    run(story())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"client_order_id":1}', b'{"client_order_id":"a","b":"c"}',
             b'{"client_order_id":""}']
)  # fmt: skip
def test_cancel_all_wants_an_id(body: bytes) -> None:
    """A body that is not exactly an id cancels nothing."""

    async def story() -> None:
        api = await world()
        await api.gate.ask(client_order_id="o-1", quantity="100")
        got = await api.ask("POST", "/v1/orders/cancel-all", body)
        assert (400, []) == (got.status_code, api.gate.venue.cancels)

    run(story())


def test_check_is_marked_as_advice() -> None:
    """The answer of a check says that it is advice, and nothing is ordered by it."""

    async def story() -> None:
        api = await world()
        got = await api.ask("POST", "/v1/orders/check", order())
        assert {"advice": True, "would_pass": True, "reasons": []} == got.json()
        assert [("bot", order())] == api.advice.asked
        assert [] == api.gate.venue.permits

    run(story())


def test_overload_is_a_quick_refusal_and_cancels_still_pass() -> None:
    """Above the room for orders under way an order is refused at once; a cancel has its own."""

    async def story() -> None:
        api = await world(Room(in_all=1, of_one=1, cancels=1))
        await api.gate.ask(client_order_id="rests", quantity="100")
        begun, held = hold(api)
        slow = asyncio.create_task(api.ask("POST", "/v1/orders", order()))
        await begun.wait()
        got = await api.ask("POST", "/v1/orders", order(client_order_id="order-2"))
        assert (503, "unavailable") == (got.status_code, got.json()["kind"])
        cancel = b'{"action":"cancel","client_order_id":"c-1","orig_client_order_id":"rests"}'
        assert 200 == (await api.ask("POST", "/v1/orders", cancel)).status_code
        held.set()
        assert 200 == (await slow).status_code

    run(story())


def test_budget_spent_is_a_quick_refusal_without_a_record() -> None:
    """Beyond its admission budget an order costs no entry."""

    async def story() -> None:
        api = await world()
        api.purse.spent = True
        size = api.gate.log.journal.size
        got = await api.ask("POST", "/v1/orders", order())
        assert (503, size) == (got.status_code, api.gate.log.journal.size)

    run(story())


def test_draining_refuses_orders_and_waits_for_those_under_way() -> None:
    """While draining nothing new is taken; the drain ends when what is under way has ended."""

    async def story() -> None:
        api = await world()
        begun, held = hold(api)
        slow = asyncio.create_task(api.ask("POST", "/v1/orders", order()))
        await begun.wait()
        draining = asyncio.create_task(api.intake.drain())
        await asyncio.sleep(0)
        got = await api.ask("POST", "/v1/orders", order(client_order_id="order-2"))
        assert (503, False) == (got.status_code, draining.done())
        held.set()
        assert 200 == (await slow).status_code
        await draining

    run(story())


def test_ready_names_what_is_missing() -> None:
    """Readiness lists each thing that keeps the gate from permitting; health does not."""

    async def story() -> None:
        api = await world()
        assert 200 == (await api.ask("GET", "/v1/ready", token="")).status_code
        api.missing = ["no lease", "venue PAPER is not reconciled"]
        got = await api.ask("GET", "/v1/ready", token="")
        assert (503, api.missing) == (got.status_code, got.json()["missing"])
        assert 200 == (await api.ask("GET", "/v1/health", token="")).status_code

    run(story())


def test_questions_of_an_agent_about_itself() -> None:
    """Status, scope, volume and positions are told, without any limit that only scores know."""

    async def story() -> None:
        api = await world()
        api.gate.venue.fill = True
        await api.gate.ask(quantity="20000")
        agent = (await api.ask("GET", "/v1/agent")).json()
        assert ("bot", "good", "baseline") == (agent["agent"], agent["status"], agent["phase"])
        assert agent["lease_left_ms"] > 0
        scope = (await api.ask("GET", "/v1/agent/scope")).json()["scope"]
        assert "25000" == scope["order_notional_max"]
        volume = (await api.ask("GET", "/v1/agent/volume")).json()
        assert ("2026-05-15", "20000.00", 1) == (
            volume["day"], volume["gross_permitted"], volume["orders"],
        )  # fmt: skip
        positions = (await api.ask("GET", "/v1/positions")).json()
        assert {"EUR/USD": "20000.00"} == positions["positions"]

    run(story())


def test_monitor_reads_scores_and_collected_baseline() -> None:
    """A monitor sees the phase of the baseline and empty scores while none is in force."""

    async def story() -> None:
        api = await world()
        await api.gate.ask()
        api.as_monitor()
        scores = (await api.ask("GET", "/v1/agents/bot/scores", token=MONITOR_TOKEN)).json()
        assert ("", "") == (scores["risk"], scores["anomaly"])
        found = (await api.ask("GET", "/v1/agents/bot/baseline", token=MONITOR_TOKEN)).json()
        assert (False, "") == (found["complete"], found["locked_sha256"])
        assert [] != found["missing"]
        gone = await api.ask("GET", "/v1/agents/other/scores", token=MONITOR_TOKEN)
        assert 404 == gone.status_code

    run(story())
