# SPDX-License-Identifier: Apache-2.0
"""What each agent may send before anything is written: messages and bytes a second, with a burst.

Each agent has a budget of its own, so that a flood spends nobody else's. What is beyond it costs no
record: once a second one entry ``shed`` says how many there were. Cancels have a budget of their
own, of the same size, so that neither spends the other's. Below a tenth of free disk no order is
admitted, so that stops, cancels and the venues' reports still find room. A crash loses the count of
at most the last second.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.errors import StorageFailed
from sekisho.core.events import Shed
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog

FREE_PERCENT_MIN = 10
LOOK_EVERY_NS = NS
"""How long one reading of the free disk is good for."""
ENTRY_EVERY_NS = NS
FreePercent = Callable[[], int]
"""Free space of the log's disk in percent, rounded down; raises OSError when it cannot be read."""


class BudgetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's budget: what flows back a second, and the most that is kept."""

    messages_per_s: int = 200
    messages_burst: int = 400
    bytes_per_s: int = 400_000
    bytes_burst: int = 800_000


class _Bucket:
    """Tokens in units of 1e-9, so that nothing is rounded: rate × elapsed ns are exact."""

    __slots__ = ("_at", "_most", "_rate", "tokens")

    def __init__(self, rate_per_s: int, burst: int, now: int) -> None:
        self._rate = rate_per_s
        self._most = burst * NS
        self._at = now
        self.tokens = self._most

    def refill(self, now: int) -> None:
        """Let flow back what time has brought."""
        self.tokens = min(self._most, self.tokens + self._rate * (now - self._at))
        self._at = now


class _Allowance:
    """Messages and bytes of one agent, of one sort."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, limits: BudgetLimits, now: int) -> None:
        self._messages = _Bucket(limits.messages_per_s, limits.messages_burst, now)
        self._bytes = _Bucket(limits.bytes_per_s, limits.bytes_burst, now)

    def take(self, size: int, now: int) -> bool:
        """Take one message of ``size`` bytes, or nothing."""
        self._messages.refill(now)
        self._bytes.refill(now)
        if self._messages.tokens < NS or self._bytes.tokens < size * NS:
            return False
        self._messages.tokens -= NS
        self._bytes.tokens -= size * NS
        return True


class _Account:
    """One agent: orders, cancels, and what was shed since the last entry."""

    __slots__ = ("cancels", "orders", "shed_bytes", "shed_messages", "shed_since", "written")

    def __init__(self, limits: BudgetLimits, now: int) -> None:
        self.orders = _Allowance(limits, now)
        self.cancels = _Allowance(limits, now)
        self.shed_messages = 0
        self.shed_bytes = 0
        self.shed_since = ""
        self.written = now - ENTRY_EVERY_NS


class AdmissionBudget:
    """The budgets of one gate's agents."""

    def __init__(
        self,
        log: GateLog,
        clock: Clock,
        free_percent: FreePercent,
        limits: BudgetLimits | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._free_percent = free_percent
        self._limits = limits or BudgetLimits()
        self._accounts: dict[str, _Account] = {}
        self._looked_at: int | None = None
        self._low = False

    def admit(self, agent: str, size: int) -> bool:
        """Whether this message of ``size`` bytes may go on to the journal.

        Args:
            agent: whom the caller authenticated; a budget is kept for each name, so it must be one
                of the configured ones.
            size: of the body, in bytes.
        """
        now = self._clock.monotonic_ns()
        account = self._account(agent, now)
        if account.orders.take(size, now) and not self.low_disk():
            return True
        self._shed(agent, account, size, now)
        return False

    def admit_cancel(self, agent: str, size: int) -> bool:
        """The same for what is a cancel by its form, from the cancels' budget and on any disk."""
        now = self._clock.monotonic_ns()
        account = self._account(agent, now)
        if account.cancels.take(size, now):
            return True
        self._shed(agent, account, size, now)
        return False

    def _account(self, agent: str, now: int) -> _Account:
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = _Account(self._limits, now)
        return account

    def _shed(self, agent: str, account: _Account, size: int, now: int) -> None:
        if not account.shed_messages:
            account.shed_since = self._log.at()
        account.shed_messages += 1
        account.shed_bytes += size
        self._write(agent, account, now)

    def low_disk(self) -> bool:
        """Whether less than a tenth of the disk is free, or that cannot be read."""
        now = self._clock.monotonic_ns()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_NS:
            self._looked_at = now
            try:
                self._low = self._free_percent() < FREE_PERCENT_MIN
            except OSError:
                self._low = True
        return self._low

    def tick(self) -> None:
        """Write what was shed and not written yet, where a second has passed since the last."""
        now = self._clock.monotonic_ns()
        for agent, account in self._accounts.items():
            self._write(agent, account, now)

    async def run(self) -> None:
        """:meth:`tick` each second, until cancelled."""
        while True:
            await self._clock.sleep(1)
            self.tick()

    def _write(self, agent: str, account: _Account, now: int) -> None:
        """One entry for what was shed, at most one a second and none while the disk is low."""
        if not account.shed_messages or now - account.written < ENTRY_EVERY_NS or self.low_disk():
            return
        entry = Shed(
            at=format_instant(self._log.clocks().now),
            agent=agent,
            messages=account.shed_messages,
            bytes=account.shed_bytes,
            since=account.shed_since,
        )
        try:
            self._log.record(entry)  # with the next flush: nothing waits for it
        except StorageFailed:
            return  # counted on: the log takes nothing until the gate is opened anew
        account.written = now
        account.shed_messages = account.shed_bytes = 0
