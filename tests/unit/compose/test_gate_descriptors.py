# SPDX-License-Identifier: Apache-2.0
"""A gate that could take more connections than it has file descriptors does not listen."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sekisho.compose import gate_running
from sekisho.core.errors import ConfigurationInvalid


def test_gate_with_more_connections_than_descriptors_does_not_listen(tmp_path: Path) -> None:
    """Two listeners with half of the hard limit each and the reserve are too many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = SimpleNamespace(
        limits=SimpleNamespace(connections=hard // 2),
        api=SimpleNamespace(socket="gate.sock", socket_group="", listen=""),
        operations=SimpleNamespace(listen="", socket="ops.sock"),
        kraken=None,
        fix=None,
    )
    located = SimpleNamespace(
        config=config, address=lambda one: one.replace("unix:", f"unix:{tmp_path}/")
    )
    process: Any = SimpleNamespace(located=located)
    faces = gate_running.GateFaces(*[lambda _process: None] * 3)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            with pytest.raises(ConfigurationInvalid, match="file descriptors"):
                await gate_running._listen(process, faces, stack)

    asyncio.run(story())
    assert [] == list(tmp_path.iterdir())
