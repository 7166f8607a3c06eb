# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` of the writing replica in an act: nothing is half done, lost or doubled.

The act is asked of the follower, which hands it to the writer; the writer dies at some moment. What
was answered must be in the log that the follower then writes; what was refused must not; what is
unknown may be either, and asking again makes it so once.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sekisho.compose import COMPLIANCE_SEAT, ISSUER_SEAT, OPERATOR_SEAT
from tests.embedded_world import AGENT
from tests.integration.replica_world import ReplicaWorld, answers

DELAYS_MS = (0, 1, 2, 4, 6, 8, 12, 20)
ACTS = ("issue", "hold", "revoke")


class Killing:
    """Two replicas as processes; the writer dies during one act."""

    def __init__(self, world: ReplicaWorld) -> None:
        self.world = world

    async def issue(self) -> httpx2.Response:
        """Ask for a certificate, as the authority's own user."""
        sheet = await self.world.agent("two")
        async with await self.world.client("two") as http:
            return await http.post(
                "/v1/certificates",
                json={
                    "agent": AGENT,
                    "policy_sha256": sheet["policy_sha256"],
                    "issuer_seat": ISSUER_SEAT,
                    "operator_seat": OPERATOR_SEAT,
                },
            )

    async def command(self, act: str) -> httpx2.Response:
        """Give a command."""
        return await self.world.command("two", await self.world.sign("two", act, COMPLIANCE_SEAT))

    async def certificates(self) -> list[dict[str, Any]]:
        """The register, as the survivor shows it."""
        async with await self.world.client("two") as http:
            made = await http.post(
                "/v1/operators/own/keys",
                headers={"idempotency-key": f"k{self.world.clock.monotonic_ns()}"},
                json={"role": "auditor", "seat": "", "days": 1},
            )
            bearer = {"authorization": f"Bearer {made.json()['presented']}"}
            found = await http.get("/v1/operators/own/certificates", headers=bearer)
            return list(found.json()["items"])

    async def during(self, act: str, delay_ms: int) -> httpx2.Response:
        """Ask, kill the writer after the delay, and wait for the answer and the survivor."""
        work = self.issue() if act == "issue" else self.command(act)
        asking = asyncio.ensure_future(work)
        await asyncio.sleep(delay_ms / 1000)
        self.world.processes["one"].send_signal(signal.SIGKILL)
        self.world.processes["one"].wait()
        answer = await asking
        await answers(self.world, "two")
        return answer


def _cases() -> list[Any]:
    return [
        pytest.param(act, delay, marks=() if delay in (2, 8) else pytest.mark.slow)
        for act in ACTS
        for delay in DELAYS_MS
    ]


@pytest.mark.parametrize(("act", "delay_ms"), _cases())
def test_writer_killed_in_an_act_leaves_it_done_or_not_done(
    tmp_path: Path, act: str, delay_ms: int
) -> None:
    """Answered: it is there. Refused: it is not. Asked again: it is there once."""

    async def story() -> None:
        world = await ReplicaWorld.start(tmp_path, "one", "two", gates=("gate-1",))
        try:
            for name in world.names:
                world.run(name)
                await answers(world, name)
            killing = Killing(world)
            if act == "issue":
                assert 200 == (await killing.command("revoke")).status_code
            answer = await killing.during(act, delay_ms)
            rows = await killing.certificates()
            done = _done(act, rows)
            assert answer.status_code in (200, 503)
            if answer.status_code == 200:
                assert done
            elif "effect" not in answer.json():
                assert not done
            again = await (killing.issue() if act == "issue" else killing.command(act))
            rows = await killing.certificates()
            assert _done(act, rows)
            if act == "issue":
                assert (403 if done else 200) == again.status_code
                assert 1 == sum(row["status"] == "good" for row in rows)
            else:
                assert 200 == again.status_code
                assert 1 == len(rows)
        finally:
            await world.close()

    asyncio.run(story())


def _done(act: str, rows: list[dict[str, Any]]) -> bool:
    """Whether the survivor's register says that the act took effect."""
    if act == "issue":
        return any(row["status"] == "good" for row in rows)
    return rows[-1]["status"] == ("hold" if act == "hold" else "revoked")
