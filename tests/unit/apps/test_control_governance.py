# SPDX-License-Identifier: Apache-2.0
"""Governance over the control plane: differences, withdrawals, limits, rosters, warnings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from sekisho.core.encoding import canonical
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.terms import NS, parse_instant
from tests.authority_world import policy_of
from tests.control_world import ControlWorld
from tests.governed_world import LIMITS, approval_of, judged, roster_without, wanted, withdrawal

JSON = {"content-type": "application/json"}
AT = "/v1/operators/acme"
LIMITS_JSON = json.dumps(LIMITS)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_difference_is_told_with_what_widens() -> None:
    """Of two registered policies, in the order that is asked; of others nothing."""

    async def story() -> None:
        world = await ControlWorld.start()
        hosted = world.operators["acme"]
        one, two = [
            await hosted.take(policy_of(scope__order_notional_max=most))
            for most in ("25000", "20000")
        ]
        reader = await world.bearer("auditor")
        async with world.client() as client:
            told = (await client.get(f"{AT}/policies/{two}/diff/{one}", headers=reader)).json()
            assert (two, one, True) == (told["before"], told["after"], told["widens"])
            change = {"path": "scope.order_notional_max", "before": "20000", "after": "25000"}
            assert [change | {"effect": "widens"}] == told["changes"]
            back = (await client.get(f"{AT}/policies/{one}/diff/{two}", headers=reader)).json()
            assert (False, ["narrows"]) == (
                back["widens"], [row["effect"] for row in back["changes"]],
            )  # fmt: skip
            for other in ("0" * 64, "x"):
                answer = await client.get(f"{AT}/policies/{one}/diff/{other}", headers=reader)
                assert 404 == answer.status_code
            beta = f"/v1/operators/beta/policies/{one}/diff/{two}"
            assert 404 == (await client.get(beta, headers=reader)).status_code

    play(story())


def test_withdrawal_is_brought_by_its_signer_alone() -> None:
    """The key's seat is the seat that signed; the same again is the same."""

    async def story() -> None:
        world = await ControlWorld.start()
        hosted = world.operators["acme"]
        registration = policy_of()
        await hosted.take(registration)
        await hosted.world.approve(registration)
        own = await world.bearer("approver") | JSON  # the first approver: ceo
        body = canonical(withdrawal(hosted.world, registration.sha256, "ceo"))
        other = canonical(withdrawal(hosted.world, registration.sha256, "cfo"))
        async with world.client() as client:
            answer = await client.post(f"{AT}/withdrawals", headers=own, content=other)
            assert 403 == answer.status_code
            first = await client.post(f"{AT}/withdrawals", headers=own, content=body)
            again = await client.post(f"{AT}/withdrawals", headers=own, content=body)
            assert (200, first.json()) == (again.status_code, again.json())
            assert "2 are required" in first.json()["missing"]
            for bad in (b"{}", body[:-1] + b',"more":1}'):
                answer = await client.post(f"{AT}/withdrawals", headers=own, content=bad)
                assert 400 == answer.status_code
        judged(hosted.world)

    play(story())


def test_limits_are_registered_approved_and_shown_with_what_is_taken_up() -> None:
    """From the document over its approvals to the sums; YAML and JSON alike."""

    async def story() -> None:
        world = await ControlWorld.start()
        hosted = world.operators["acme"]
        registration = policy_of()
        await hosted.take(registration)
        await hosted.world.approve(registration)
        await hosted.world.issue(registration)
        risk = await world.bearer("risk")
        own = await world.bearer("approver") | JSON
        yaml = b"operator: {daily_notional_max: 499999.99}\nversion: 2\ndocumented_by: risk_lead\n"
        async with world.client() as client:
            made = await client.post(
                f"{AT}/limits", headers=risk | JSON | world.fresh(), content=LIMITS_JSON
            )
            assert 201 == made.status_code
            second = await client.post(
                f"{AT}/limits",
                headers=risk | {"content-type": "application/yaml"} | world.fresh(),
                content=yaml,
            )
            assert 201 == second.status_code
            digest = second.json()["limits_sha256"]
            shown = (await client.get(f"{AT}/limits/{digest}", headers=risk)).json()
            assert (False, []) == (shown["row"]["in_force"], shown["uses"])
            await hosted.world.authority.give_approval(approval_of(hosted.world, digest, "cfo"))
            body = canonical(approval_of(hosted.world, digest, "ceo"))
            taken = await client.post(f"{AT}/approvals", headers=own, content=body)
            assert (200, {"approvers": 2}) == (taken.status_code, taken.json())
            shown = (await client.get(f"{AT}/limits/{digest}", headers=risk)).json()
            assert [("500000", "499999.99", True)] == [
                (use["used"], use["limit"], use["exceeded"]) for use in shown["uses"]
            ]
            page = (await client.get(f"{AT}/limits?limit=1", headers=risk)).json()
            rest = await client.get(f"{AT}/limits?cursor={page['next']}", headers=risk)
            assert [(1, False), (2, True)] == [
                (row["version"], row["in_force"]) for row in (*page["items"], *rest.json()["items"])
            ]
            bad = await client.post(
                f"{AT}/limits", headers=risk | JSON | world.fresh(), content=b'{"x":1}'
            )
            assert 400 == bad.status_code
            assert 404 == (await client.get(f"{AT}/limits/{'0' * 64}", headers=risk)).status_code

    play(story())


def test_roster_is_brought_by_a_signer_or_a_program_and_ends_keys_of_who_is_gone() -> None:
    """A seat that is no more in the roster has no key that admits it, from that moment on."""

    async def story() -> None:
        world = await ControlWorld.start()
        hosted = world.operators["acme"]
        roster = roster_without("risk_lead")
        body = canonical(wanted(hosted.world, roster, "cfo", "cto"))
        ceo, program = await world.bearer("approver") | JSON, await world.bearer("program") | JSON
        risk = await world.bearer("risk")
        async with world.client() as client:
            assert 403 == (await client.post(f"{AT}/roster", headers=ceo, content=body)).status_code
            assert 200 == (await client.get(f"{AT}/roster", headers=risk)).status_code
            taken = await client.post(f"{AT}/roster", headers=program, content=body)
            assert (200, roster_sha256(roster)) == (
                taken.status_code, taken.json()["roster_sha256"],
            )  # fmt: skip
            assert 401 == (await client.get(f"{AT}/roster", headers=risk)).status_code
            now = (await client.get(f"{AT}/roster", headers=program)).json()
            assert 2 == now["version"]
        judged(hosted.world)

    play(story())


def test_policies_show_what_is_due_and_what_is_overdue() -> None:
    """Thirty days before, one nanosecond less, at the instant itself."""

    async def story() -> None:
        world = await ControlWorld.start()
        hosted = world.operators["acme"]
        await hosted.take(policy_of(governance__review_overdue="warn"))
        due = parse_instant("2026-08-01T22:00:00.000000000Z")
        expected: list[tuple[int, list[str]]] = [
            (due - 30 * 86_400 * NS - 1, []),
            (due - 30 * 86_400 * NS, ["due"]),
            (due - 1, ["due"]),
            (due, ["overdue"]),
        ]
        async with world.client() as client:
            for moment, states in expected:
                world.clock.advance_to(moment)
                reader = await world.bearer("auditor")
                told = (await client.get(f"{AT}/policies", headers=reader)).json()
                warnings = told["items"][0]["warnings"]
                assert states == [row["state"] for row in warnings]
                assert all(
                    ("the review", "warn") == (row["what"], row["follows"]) for row in warnings
                )

    play(story())
