# SPDX-License-Identifier: Apache-2.0
"""A process without a free file descriptor: it does not begin so, and what it stored stays good."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sekisho.adapters.descriptors import RESERVE, secure_descriptors
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import ConfigurationInvalid, DescriptorsSpent, Unavailable
from sekisho.services.journal import Journal
from tests.ledger_doubles import ORIGIN, SoftwareSigner


@contextmanager
def soft_limit(count: int) -> Iterator[None]:
    """So many descriptors for this process; those that are open stay open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_soft_limit_is_raised_to_what_is_needed() -> None:
    """A shell's usual soft limit keeps nobody from starting."""
    with soft_limit(200):
        assert RESERVE + 100 == secure_descriptors(100)
        assert RESERVE + 100 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_higher_soft_limit_is_kept() -> None:
    """Nothing is lowered."""
    with soft_limit(RESERVE + 200):
        assert RESERVE + 200 == secure_descriptors(100)
        assert RESERVE + 200 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_hard_limit_below_the_need_is_refused() -> None:
    """The message says how many are needed and what to do."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(ConfigurationInvalid) as refused:
        secure_descriptors(hard)
    assert str(hard + RESERVE) in str(refused.value)
    assert "LimitNOFILE" in refused.value.do


def test_publication_without_descriptors_is_tried_again(tmp_path: Path) -> None:
    """The log is not condemned, goes on, and is published when descriptors are free again."""

    async def story() -> None:
        disk = FolderDisk(tmp_path / "log")
        clock = SteppedClock(0)
        journal = await Journal.open(disk, origin=ORIGIN, signer=SoftwareSigner(), clock=clock)
        await journal.flushed(journal.append(b"one"))
        with soft_limit(3):
            with pytest.raises(Unavailable):
                await journal.publish()
            await journal.flushed(journal.append(b"two"))
            with pytest.raises(Unavailable):
                await journal.publish()
        assert journal.failed is None
        await journal.publish()
        assert 2 == journal.published_size
        await journal.close()
        disk.close()

    asyncio.run(story())


@pytest.mark.parametrize("name", ["replace", "write_new"])
def test_write_without_descriptors_changes_nothing_and_poisons_nothing(
    tmp_path: Path, name: str
) -> None:
    """The same call works afterwards, also where folders have to be made."""

    async def story() -> None:
        disk = FolderDisk(tmp_path / "log")
        await disk.replace("there", b"old")
        for path in ("here", "a/b/c"):
            with soft_limit(3), pytest.raises(DescriptorsSpent):
                await getattr(disk, name)(path, b"new")
            assert not await disk.exists(path)
            assert not await disk.exists("a")
        for path in ("here", "a/b/c"):
            await getattr(disk, name)(path, b"new")
            assert b"new" == await disk.read(path)
        with soft_limit(3):
            for folder in ("", "a"):
                with pytest.raises(DescriptorsSpent):
                    await disk.sync_folder(folder)
        await disk.sync_folder("a")
        disk.close()

    asyncio.run(story())


def test_replace_opens_all_it_needs_before_the_rename(tmp_path: Path) -> None:
    """With one descriptor where it needs two, the old content stays and nothing is unsure."""

    async def story() -> None:
        disk = FolderDisk(tmp_path / "log")
        await disk.replace("there", b"old")
        free = os.open("/", os.O_RDONLY)
        os.close(free)
        with soft_limit(free + 1), pytest.raises(DescriptorsSpent):
            await disk.replace("there", b"new")
        assert b"old" == await disk.read("there")
        await disk.replace("there", b"new")
        assert b"new" == await disk.read("there")
        disk.close()

    asyncio.run(story())
