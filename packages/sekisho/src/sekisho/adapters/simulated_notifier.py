# SPDX-License-Identifier: Apache-2.0
"""A channel to people that remembers what it delivered and fails by instruction.

For tests, drills and simulations: no person reads it.
"""

from __future__ import annotations

import asyncio

from sekisho.core.errors import Unavailable
from sekisho.ports import Alert


class SimulatedNotifier:
    """The Notifier port in memory.

    ``down``: every call raises Unavailable. ``failures``: so many coming calls do. ``hanging``: a
    call waits until :meth:`let_go`.
    """

    def __init__(self, name: str = "simulated") -> None:
        self.name = name
        self.down = False
        self.failures = 0
        self.hanging = False
        self.delivered: list[Alert] = []
        self._released: asyncio.Event | None = None

    async def notify(self, alert: Alert) -> None:
        """Deliver, or fail as told. Raises Unavailable."""
        if self.hanging:
            if self._released is None:
                self._released = asyncio.Event()
            await self._released.wait()
        if self.down or self.failures:
            self.failures = max(0, self.failures - 1)
            raise Unavailable(f"{self.name}: nobody answers, as asked")
        self.delivered.append(alert)

    def let_go(self) -> None:
        """Whoever hangs goes on."""
        self.hanging = False
        if self._released is not None:
            self._released.set()
            self._released = None
