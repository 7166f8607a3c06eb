# SPDX-License-Identifier: Apache-2.0
"""The control plane of a served home, over its own socket and with keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sekisho.compose import COMPLIANCE_SEAT
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.reading import parse_agent_certificate
from tests.embedded_world import AGENT
from tests.integration.link_world import LinkWorld


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def client(world: LinkWorld) -> httpx2.AsyncClient:
    """Speaks to the served home as its own user."""
    socket = world.address.removeprefix("unix:")
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=socket), base_url="http://authority"
    )


def test_control_plane_owner_makes_a_key_that_outlives_a_restart(tmp_path: Path) -> None:
    """The owner's socket admits without a key; the key reads, and still does after a restart."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            async with client(world) as http:
                found = (await http.get("/v1/operators")).json()
                assert {"operators": ["own"]} == found
                made = await http.post(
                    "/v1/operators/own/keys",
                    headers={"idempotency-key": "one", "content-type": "application/json"},
                    content=json.dumps({"role": "auditor", "seat": "", "days": 1}),
                )
                assert 201 == made.status_code
            await world.served.close()
            await world.open()
            bearer = {"authorization": f"Bearer {made.json()['presented']}"}
            async with client(world) as http:
                url = "/v1/operators/own/agents"
                shown = (await http.get(url, headers=bearer)).json()["items"]
                assert [world.certificate] == [one["certificate_sha256"] for one in shown]
                assert 403 == (await http.get("/v1/operators", headers=bearer)).status_code
                assert 200 == (await http.get("/v1/ready")).status_code
                assert 404 == (await http.get("/v1/nothing")).status_code
        finally:
            await world.close()

    play(story())


def test_control_plane_gate_is_reached_under_its_operators_name_too(tmp_path: Path) -> None:
    """The link is the same under the operator's prefix."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            async with client(world) as http:
                sizes = [
                    (await http.get(f"/v1{prefix}/gates/gate-1/checkpoint")).json()
                    for prefix in ("", "/operators/own")
                ]
                assert sizes[0] == sizes[1]
                other = await http.get("/v1/operators/other/gates/gate-1/checkpoint")
                assert 404 == other.status_code
        finally:
            await world.close()

    play(story())


def test_control_plane_certifies_a_key_in_custody(tmp_path: Path) -> None:
    """The key is made where the home keeps agents' keys; a refused wish leaves none."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            home = world.served.home
            roster = home.authority.roster
            issuer = next(one.seat for one in roster.seats if one.role == "issuer")
            operator = next(one.seat for one in roster.seats if one.role == "operator")
            made = await world.served.control.keys.make("own", "issuer", issuer, 1)
            body = {
                "agent": AGENT,
                "policy_sha256": next(iter(home.authority.state.policies)),
                "issuer_seat": issuer,
                "operator_seat": operator,
                "custody": True,
            }
            headers = {
                "authorization": f"Bearer {made.presented}",
                "content-type": "application/json",
            }
            keys = home.path / "keys" / "agents"
            before = sorted(keys.iterdir())
            url = "/v1/operators/own/certificates"
            async with client(world) as http:
                once = headers | {"idempotency-key": "one"}
                refused = await http.post(url, headers=once, content=json.dumps(body))
                assert 403 == refused.status_code, refused.text
                assert before == sorted(keys.iterdir())
                await home.authority.command(world.sign("revoke", COMPLIANCE_SEAT))
                once = headers | {"idempotency-key": "two"}
                answer = await http.post(url, headers=once, content=json.dumps(body))
                assert 201 == answer.status_code, answer.text
            issued = home.authority.active(AGENT)
            assert issued is not None
            assert issued.sha256 == answer.json()["row"]["certificate_sha256"]
            signer = home.agent_signer(parse_agent_certificate(issued.certificate).public_key)
            assert signer.uri.startswith("file:")
            assert len(before) + 1 == len(sorted(keys.iterdir()))
        finally:
            await world.close()

    play(story())


def test_home_that_published_elsewhere_before_does_not_open(tmp_path: Path) -> None:
    """What certificates name cannot be changed by a setting."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        await world.close()
        with (tmp_path / "home" / "sekisho.toml").open("a", encoding="utf-8") as file:
            file.write('\n[publish]\nbase_url = "http://pki.example.test"\n')
        with pytest.raises(ConfigurationInvalid, match=r"pki\.example\.test"):
            await world.open()

    play(story())
