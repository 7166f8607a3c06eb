# SPDX-License-Identifier: Apache-2.0
"""The two logs are the only source of truth: everything else is made again from them."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT
from sekisho.core.events import StatusActed
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.core.ledger.note import VerifierKey
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.registerlog import RegisterLog
from tests.embedded_world import (
    MORNING,
    EmbeddedWorld,
    RunningClock,
    cancel,
    order,
    policy_of,
    read_folder,
    resting,
)

WIDE = policy_of(
    daily_notional_max="90000000",
    message_rate={"count_max": 10000, "window_s": 60},
    trading_hours="none",
)
MEMOS = {"_moves"}
"""What a state computes on demand and may forget: no part of the fold."""
LOGS: dict[str, type[GateLog | RegisterLog]] = {"gate": GateLog, "authority": RegisterLog}


def plain(value: Any) -> Any:
    """A state as nested plain values, so that two of them can be compared."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(str(plain(item)) for item in value)
    if isinstance(value, list | tuple | deque):
        return [plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    fields = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    fields |= getattr(value, "__dict__", {})
    if type(value).__module__.startswith("sekisho."):
        return {name: plain(item) for name, item in fields.items() if name not in MEMOS}
    return value


def published(folder: Path) -> dict[str, bytes]:
    """Every file of a log that an outside reader may fetch."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in [folder / "checkpoint", *(folder / "tile").rglob("*")]
        if path.is_file()
    }


async def folded(world: EmbeddedWorld, home: Path, name: str) -> tuple[Any, str]:
    """State and root of one log of a home folder, published; nothing is added to it."""
    disk = FolderDisk(home / name)
    try:
        origin = world.home.journals[name].origin
        signer = world.home.signer(f"{name}-log")
        journal = await Journal.open(disk, origin=origin, signer=signer, clock=world.clock)
        await journal.publish()
        return plain(LOGS[name](journal, world.clock).state), journal.root().hex()
    finally:
        disk.close()


async def busy(world: EmbeddedWorld) -> None:
    """Fills, resting orders, cancels, refusals, a hold and its release, a kill."""
    await asyncio.gather(*(world.ask(order(f"f-{number}")) for number in range(60)))
    await asyncio.gather(*(world.ask(resting(f"r-{number}")) for number in range(20)))
    await asyncio.gather(*(world.ask(cancel(f"c-{n}", f"r-{n}")) for n in range(10)))
    await asyncio.gather(*(world.ask(order(f"x-{n}", quantity="25001")) for n in range(10)))
    await world.ask(b"no order")
    await world.command("hold", RISK_SEAT)
    await world.command("release", RISK_SEAT, COMPLIANCE_SEAT)
    await world.gate.leasing.renew()
    await asyncio.gather(*(world.ask(resting(f"s-{number}")) for number in range(5)))
    await world.kill()


def test_ledger_every_projection_deleted_same_state_tiles_and_root(tmp_path: Path) -> None:
    """With nothing but the journals left, folds, tiles, roots and checkpoints come out the same."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE)
        await busy(world)
        await world.close()
        stripped = tmp_path / "stripped"
        shutil.copytree(tmp_path / "home", stripped)
        for name in LOGS:
            for path in (stripped / name).iterdir():
                if path.name != "journal":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in LOGS:
            whole = await folded(world, tmp_path / "home", name)
            again = await folded(world, stripped, name)
            assert whole == again
            before, after = published(tmp_path / "home" / name), published(stripped / name)
            assert before["checkpoint"] == after["checkpoint"]
            assert after.items() <= before.items()
            assert len(after) >= 2
            key = world.log_keys()[name]
            assert read_folder(tmp_path / "home" / name, key) == read_folder(stripped / name, key)
        assert "tile/0/000" in published(stripped / "gate"), "no full tile: too few entries"
        second = EmbeddedWorld(stripped, world.clock)
        await second.open()
        assert "refused" == (await second.ask(order("after"))).kind
        assert "revoked" == second.gate.log.state.agents["bot"].status
        await second.close()

    asyncio.run(story())


def test_ledger_memory_while_running_equals_the_fold_of_what_is_on_disk(tmp_path: Path) -> None:
    """What the open gate and authority act on is exactly what their logs give when read again."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE)
        await busy(world)
        gate, register = plain(world.gate.log.state), plain(world.home.authority.state)
        await world.close()
        assert gate == (await folded(world, tmp_path / "home", "gate"))[0]
        assert register == (await folded(world, tmp_path / "home", "authority"))[0]

    asyncio.run(story())


class Outsider(threading.Thread):
    """Reads a log's folder over and over, as a stranger with a web browser would."""

    def __init__(self, folder: Path, key: VerifierKey) -> None:
        super().__init__()
        self._folder = folder
        self._key = key
        self.over = False
        self.sizes: list[int] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over:
            self.look()

    def look(self) -> None:
        """One reading of everything that the newest checkpoint needs."""
        try:
            note = (self._folder / "checkpoint").read_bytes()
            size = verify_checkpoint(note, self._key)[0].size
            entries = read_folder(self._folder, self._key)
            assert len(entries) >= size
            self.sizes.append(len(entries))
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is a finding
            self.failures.append(repr(error))


def test_ledger_outside_reader_at_every_moment_verifies(tmp_path: Path) -> None:
    """While orders run and checkpoints appear, each reading of the folder verifies whole."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        journal = world.home.journals["gate"]
        await journal.publish()
        reader = Outsider(tmp_path / "home" / "gate", journal.log_key)
        publishing = asyncio.create_task(journal.run())
        reader.start()
        try:
            for wave in range(30):
                names = [f"w{wave}-{number}" for number in range(16)]
                await asyncio.gather(*(world.ask(order(name, quantity="10")) for name in names))
                await asyncio.sleep(0.01)
                reader.look()
        finally:
            reader.over = True
            await asyncio.to_thread(reader.join)
            publishing.cancel()
        await world.close()
        reader.look()
        assert [] == reader.failures[:3]
        assert len(set(reader.sizes)) >= 4
        assert reader.sizes[-1] == journal.size

    asyncio.run(story())


def test_ledger_times_never_fall_while_the_clock_goes_on(tmp_path: Path) -> None:
    """No entry is dated before the one before it, whatever was found out in which order."""

    async def story() -> None:
        clock = RunningClock(MORNING)
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, clock)
        clock.step_ns = 1000
        await busy(world)
        await world.reopen()
        times = [entry.at for entry in world.entries()]
        assert sorted(times) == times
        assert {"good", "hold", "revoked"} == {
            entry.status for entry in world.entries() if isinstance(entry, StatusActed)
        }
        await world.close()

    asyncio.run(story())
