# SPDX-License-Identifier: Apache-2.0
"""A whole home whose authority keeps its log in a database (docs/spec/stores.md)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.compose import COMPLIANCE_SEAT, Home, Surroundings
from sekisho.config import Config, StoreSettings, read_config, write_config
from sekisho.core.errors import ConfigurationInvalid, Unavailable, VerificationFailed
from sekisho.services.storejournal import StoreJournal
from tests.embedded_world import (
    AGENT,
    MORNING,
    POLICY,
    EmbeddedWorld,
    make,
    order,
)
from tests.postgres_server import require_postgres, server


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Where the log is kept."""
    if request.param == "sqlite":
        return "sqlite:authority.db"
    require_postgres()
    return server().database()


async def started(path: Path, url: str) -> EmbeddedWorld:
    clock = SteppedClock(MORNING)
    await make(path, POLICY, clock, url)
    world = EmbeddedWorld(path, clock)
    await world.open()
    await world.gate.admit(AGENT)
    return world


def test_home_on_a_database_permits_stops_and_remembers(tmp_path: Path, url: str) -> None:
    """Permit, hold, reopen: the log is in the database, the stop still holds."""

    async def story() -> None:
        world = await started(tmp_path / "home", url)
        journal = world.home.journals["authority"]
        assert isinstance(journal, StoreJournal)
        assert journal.writing
        assert not (tmp_path / "home" / "authority" / "journal").exists()
        assert (await world.ask(order("o-1"))).kind == "permitted"
        outcome = await world.command("hold", COMPLIANCE_SEAT)
        assert (outcome.recorded, outcome.complete) == (True, True)
        assert (await world.ask(order("o-2"))).kind == "refused"
        size = journal.size
        await world.reopen()
        assert world.home.journals["authority"].size >= size
        record = world.home.authority.state.agents[AGENT][-1]
        assert record.status == "hold"
        assert (await world.ask(order("o-3"))).kind == "refused"
        await world.close()

    play(story())


def test_home_on_a_database_opens_without_what_it_published(tmp_path: Path, url: str) -> None:
    """A lost folder of tiles is made anew from the database; the second place still checks it."""

    async def story() -> None:
        world = await started(tmp_path / "home", url)
        root = world.home.journals["authority"].root()
        size = world.home.journals["authority"].size
        await world.close()
        shutil.rmtree(tmp_path / "home" / "authority")
        await world.open()
        assert root == world.home.journals["authority"].root(size)
        await world.close()

    play(story())


def test_home_whose_database_was_put_back_signs_nothing(tmp_path: Path) -> None:
    """An older copy of the database contradicts what was published: opening is refused."""

    async def story() -> None:
        world = await started(tmp_path / "home", "sqlite:authority.db")
        await world.close()
        database = tmp_path / "home" / "authority.db"
        shutil.copy(database, tmp_path / "backup.db")
        await world.open()
        await world.command("hold", COMPLIANCE_SEAT)
        await world.close()
        for name in ("authority.db", "authority.db-wal", "authority.db-shm"):
            (tmp_path / "home" / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "backup.db", database)
        for lost in ("", "authority", "anchor"):
            if lost == "authority":
                shutil.rmtree(tmp_path / "home" / lost)
            with pytest.raises(VerificationFailed, match="older state"):
                await world.open()

    play(story())


def test_home_on_postgres_is_opened_once(tmp_path: Path) -> None:
    """A second process over the same database is told that the writer lives."""
    require_postgres()

    async def story() -> None:
        world = await started(tmp_path / "home", server().database())
        shutil.copytree(
            tmp_path / "home", tmp_path / "copy", ignore=shutil.ignore_patterns(".lock")
        )
        with pytest.raises(Unavailable, match="writes this log and lives"):
            await Home.open(tmp_path / "copy", Surroundings(world.clock, SystemEntropy()))
        assert (await world.command("hold", COMPLIANCE_SEAT)).recorded
        await world.close()

    play(story())


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://x",
        "sqlite:",
        "postgresql://me:secret@host/db",
        "postgresql://host/db?password=x",
        'sqlite:a"b',
    ],
)
def test_store_url_that_is_none_is_refused(tmp_path: Path, wrong: str) -> None:
    """A scheme that is unknown, no path, or a password in the URL: said before anything is made."""
    config = Config(issuer_name="Trial Issuer", store=StoreSettings(url=wrong))
    with pytest.raises(ConfigurationInvalid, match=r"store\.url"):
        write_config(tmp_path, config)


def test_store_settings_are_written_and_read_back(tmp_path: Path) -> None:
    """``init --store`` leaves what opening reads."""
    config = Config(issuer_name="Trial Issuer", store=StoreSettings(url="sqlite:authority.db"))
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config
