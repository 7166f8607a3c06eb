# SPDX-License-Identifier: Apache-2.0
"""The control plane of a served home, over its own socket and with keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2

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
