# SPDX-License-Identifier: Apache-2.0
"""Stopped means stopped, on the whole product: orders in flight, resting orders, CRL and OCSP."""

from __future__ import annotations

import asyncio
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT
from sekisho.core.encoding import canonical
from sekisho.core.events import PermitSigned, StatusActed, StopReported
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS
from sekisho.services.gatekeeper import Answer
from tests.embedded_world import (
    AGENT,
    EmbeddedWorld,
    cancel,
    order,
    policy_of,
    resting,
)

IN_FLIGHT = 50
WIDE = policy_of(daily_notional_max="90000000", trading_hours="none")
RESTING = [f"rest-{number}" for number in range(10)]


async def ask_later(world: EmbeddedWorld, number: int) -> Answer:
    """One of the fifty; each five begin half a millisecond after the five before."""
    await world.clock.sleep(number // 5 * 0.0005)
    return await world.ask((order if number % 2 else resting)(f"flight-{number}"))


class HeldAppends:
    """A disk whose appends wait until they are set free."""

    def __init__(self, disk: Any) -> None:
        self._disk = disk
        self.free = asyncio.Event()
        self.free.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    async def append_durably(self, path: str, data: bytes) -> None:
        await self.free.wait()
        await self._disk.append_durably(path, data)


def check_log_order(world: EmbeddedWorld, answers: list[Answer]) -> int:
    """No permit after the stop, by log order; each answer is a permit before it, or none at all."""
    entries = world.entries()
    stop = next(i for i, e in enumerate(entries) if isinstance(e, StatusActed))
    signed = {e.decision: i for i, e in enumerate(entries) if isinstance(e, PermitSigned)}
    assert all(index < stop for index in signed.values())
    for answer in answers:
        assert answer.kind in ("permitted", "withdrawn", "refused")
        assert (answer.kind == "permitted") == (answer.decision in signed)
    return len(signed)


@pytest.mark.parametrize("pause", [0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012, 0.016])
def test_kill_fifty_in_flight_permitted_before_or_nothing(tmp_path: Path, pause: float) -> None:
    """Whatever phase the fifty are in, the kill is complete and nothing is signed after it."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        await asyncio.gather(*(world.ask(resting(name)) for name in RESTING))
        world.venue.faults.latency_s = 0.002
        world.used.wait = partial(world.clock.sleep, 0.002)
        tasks = [asyncio.create_task(ask_later(world, number)) for number in range(IN_FLIGHT)]
        await world.clock.sleep(pause)
        before = world.clock.monotonic_ns()
        report = await world.kill()
        took = world.clock.monotonic_ns() - before
        answers = [await task for task in tasks]
        used = len(world.used.messages)
        assert report.complete, report
        assert () == report.unconfirmed == report.not_revoked == report.unreached
        assert {f"gate-1/{AGENT}/{name}" for name in RESTING} <= set(report.confirmed)
        assert () == world.venue.open_orders(AGENT)
        signed = check_log_order(world, answers)
        assert signed <= used
        print(pause, len(RESTING) + IN_FLIGHT, "asked", signed, "signed", used, "key uses")
        assert [True] == [e.complete for e in world.entries() if isinstance(e, StopReported)]
        after = await asyncio.gather(*(world.ask(order(f"after-{n}")) for n in range(IN_FLIGHT)))
        assert {"refused"} == {answer.kind for answer in after}
        assert used == len(world.used.messages)
        assert took < 10 * NS
        await world.reopen()
        assert "refused" == (await world.ask(order("next-day"))).kind
        assert "revoked" == world.gate.log.state.agents[AGENT].status
        await world.close()

    asyncio.run(story())


def test_kill_venue_ignores_a_cancel_report_is_incomplete(tmp_path: Path) -> None:
    """An order that the venue did not confirm as ended is named, and the kill is not complete."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        await asyncio.gather(*(world.ask(resting(name)) for name in RESTING))
        world.venue.faults.cancels.extend(["ignore", "time_out_before"])
        report = await world.kill()
        assert not report.complete
        assert 2 == len(report.unconfirmed)
        assert {name.rpartition("/")[2] for name in report.unconfirmed} == set(
            world.venue.open_orders(AGENT)
        )
        assert () == report.not_revoked
        again = await world.kill()
        assert again.complete
        assert () == world.venue.open_orders(AGENT)
        await world.close()

    asyncio.run(story())


def test_kill_venue_is_down_report_is_incomplete_and_nothing_is_signed(tmp_path: Path) -> None:
    """Without the venue the agent is stopped all the same, and nobody is told of a success."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        await asyncio.gather(*(world.ask(resting(name)) for name in RESTING))
        world.venue.faults.down = True
        report = await world.kill()
        assert not report.complete
        assert len(RESTING) <= len(report.unconfirmed)
        used = len(world.used.messages)
        assert "refused" == (await world.ask(order("after"))).kind
        assert used == len(world.used.messages)
        await world.close()

    asyncio.run(story())


def test_amendment_its_order_cancelled_meanwhile_is_withdrawn(tmp_path: Path) -> None:
    """An amendment whose order ends while its decision is being written gets no permit."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE)
        await world.ask(resting("o-1"))
        journal = world.home.journals["gate"]
        disk = journal._disk = HeldAppends(journal._disk)
        world.venue.faults.latency_s = 1
        cancelling = asyncio.create_task(world.ask(cancel("c-1", "o-1")))
        while not (  # noqa: ASYNC110 - until it is on its way to the venue
            b'"cancel_asked"' in journal.entry(journal.size - 1)
            and journal.durable_size == journal.size
        ):
            await asyncio.sleep(0.001)
        disk.free.clear()
        change = {"action": "amend", "client_order_id": "a-1", "orig_client_order_id": "o-1"}
        body = canonical(change | {"quantity": "100"})
        amending = asyncio.create_task(world.ask(body))
        await world.stepped.play(5)
        assert "permitted" == (await cancelling).kind
        disk.free.set()
        answer = await amending
        assert ("withdrawn", "order_closed") == (answer.kind, answer.detail)
        assert 1 == len(world.used.messages)
        assert 0 == world.gate.log.state.agents[AGENT].reserved
        assert answer == await world.ask(body)
        world.venue.faults.latency_s = 0
        await world.close()

    asyncio.run(story())


# --------------------------------------------------------------------------- CRL and OCSP


def openssl(folder: Path, *arguments: str) -> tuple[int, str]:
    """What the program says; its exit code alone says little (``ocsp`` ends with 0 on revoked)."""
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Stranger:
    """Knows the root and asks for the rest."""

    def __init__(self, world: EmbeddedWorld, folder: Path) -> None:
        self.world = world
        self.folder = folder
        state = world.home.authority.state
        self.record = world.home.authority.certificates(AGENT)[-1]
        for name, der in (
            ("root", state.root_certificate),
            ("issuing", state.issuing_certificate),
            ("agent", self.record.certificate),
        ):
            (folder / f"{name}.pem").write_bytes(pem(der))

    async def sees(self) -> tuple[str, str, str]:
        """Status of the agent's certificate by CRL text, by path validation, by OCSP."""
        authority, now = self.world.home.authority, self.world.clock.now_ns()
        (self.folder / "crl.der").write_bytes(await authority.crl())
        response = await authority.ocsp(self.record.sha256, next_update_ns=now + 60 * NS)
        (self.folder / "ocsp.der").write_bytes(response)
        return self._crl(), self._path(), self._ocsp()

    def _crl(self) -> str:
        code, text = openssl(
            self.folder, "crl", "-inform", "DER", "-in", "crl.der", "-text", "-out", "crl.pem"
        )
        _, text = openssl(
            self.folder, "crl", "-in", "crl.pem", "-noout", "-text", "-CAfile", "issuing.pem"
        )
        assert (0, True) == (code, "verify OK" in text), text
        blocks = text.split("Serial Number: ")[1:]
        for block in blocks:
            if block.split()[0].lower() == self.record.serial_number.lower():
                return "hold" if "Certificate Hold" in block else "revoked"
        return "good"

    def _path(self) -> str:
        code, text = openssl(
            self.folder,
            "verify",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "issuing.pem",
            "-crl_check",
            "-CRLfile",
            "crl.pem",
            "agent.pem",
        )
        if code == 0:
            return "good"
        assert "certificate revoked" in text, text
        return "not good"

    def _ocsp(self) -> str:
        _, text = openssl(
            self.folder,
            "ocsp",
            "-respin",
            "ocsp.der",
            "-issuer",
            "issuing.pem",
            "-sha256",
            "-cert",
            "agent.pem",
            "-CAfile",
            "root.pem",
            "-verify_other",
            "issuing.pem",
            "-no_nonce",
        )
        assert "Response verify OK" in text, text
        if "agent.pem: good" in text:
            return "good"
        assert "agent.pem: revoked" in text, text
        return "hold" if "certificateHold" in text else "revoked"


def test_status_changes_at_once_in_crl_and_ocsp_read_by_openssl(tmp_path: Path) -> None:
    """Hold, release and revocation show in the very next CRL and OCSP response."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        stranger = Stranger(world, tmp_path)
        assert ("good", "good", "good") == await stranger.sees()
        held = await world.command("hold", RISK_SEAT)
        assert held.complete
        assert ("hold", "not good", "hold") == await stranger.sees()
        assert "refused" == (await world.ask(order("held"))).kind
        released = await world.command("release", RISK_SEAT, COMPLIANCE_SEAT)
        assert released.complete
        assert ("good", "good", "good") == await stranger.sees()
        await world.gate.leasing.renew()
        assert "permitted" == (await world.ask(order("released"))).kind
        assert (await world.command("revoke", COMPLIANCE_SEAT)).complete
        assert ("revoked", "not good", "revoked") == await stranger.sees()
        assert "refused" == (await world.ask(order("revoked"))).kind
        await world.reopen()
        stranger.world = world
        assert ("revoked", "not good", "revoked") == await stranger.sees()
        await world.close()

    asyncio.run(story())
