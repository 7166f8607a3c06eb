# SPDX-License-Identifier: Apache-2.0
"""Executions of one agent from the gate's log to its FIX session (docs/spec/fix.md section 5).

An execution is told once it is durable in the log: what a crash could take back is not said. The
index up to which all were told stands in the session's store, so that a restart goes on from there,
also for a bot that has not traded for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sekisho.adapters.fix.bot_orders import BotBook, BotOrder, Fields, cancel_rejected, report
from sekisho.adapters.fix.dictionary import OTHER
from sekisho.adapters.fix.store import FixStore
from sekisho.core.errors import OutcomeUnknown, StorageFailed
from sekisho.core.events import Execution
from sekisho.core.terms import Reason
from sekisho.ports import Clock

_HEARD = "executions"


class GateAnswer(Protocol):
    """What of an answer a front needs; ``services.gatekeeper.Answer`` is such."""

    @property
    def kind(self) -> str: ...

    @property
    def decision(self) -> int: ...

    @property
    def reasons(self) -> Sequence[Reason]: ...

    @property
    def order_state(self) -> str: ...

    @property
    def detail(self) -> str: ...


class BotGate(Protocol):
    """What a front needs of a gate."""

    async def submit(self, agent: str, body: bytes) -> GateAnswer:
        """Decide about an order; safe to repeat."""
        ...

    async def cancel_all(
        self, agent: str, client_order_id: str
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Cancel everything of the agent; ids that are gone, ids that are not confirmed."""
        ...

    def on_execution(
        self, listener: Callable[[int, Execution], None], passed: Callable[[int], None]
    ) -> None:
        """Call ``listener`` at once for each execution that is recorded from now on.

        Call ``passed`` now and again with the index of an entry that is durable and whose
        executions, with all before them, ``listener`` has heard.
        """
        ...

    def executions(self, after: int) -> Iterable[tuple[int, Execution]]:
        """Executions in the log at indexes above ``after``, in order."""
        ...

    def last_durable(self) -> int:
        """Index of the last entry that is durable; -1 before the first."""
        ...

    async def durable(self, index: int) -> None:
        """Return when the entry is on stable storage. Raises StorageFailed, OutcomeUnknown."""
        ...


class BotNews:
    """Tells one bot what became of its orders.

    Attributes:
        failed: why nothing is told any more: the log failed; empty while it has not.
    """

    def __init__(
        self,
        agent: str,
        book: BotBook,
        store: FixStore,
        gate: BotGate,
        clock: Clock,
        send: Callable[[str, Fields], None],
    ) -> None:
        self.failed = ""
        self._agent = agent
        self._book = book
        self._store = store
        self._gate = gate
        self._clock = clock
        self._send = send
        self._told = int(store.notes.get(_HEARD, -1))
        self._queue: deque[tuple[int, Execution]] = deque()
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Catch up with the gate's log, then follow it."""
        if self._told < 0 and not self._book.known:
            self._told = self._gate.last_durable()  # a new session: nothing there is of its orders
        self._gate.on_execution(self._heard, self._passed)
        for index, execution in self._gate.executions(self._told):
            self._heard(index, execution)
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def caught_up(self) -> None:
        """Return when everything that was recorded so far has been told, or nothing will be."""
        await self._idle.wait()

    def look_back(self, order: BotOrder, decision: int) -> None:
        """Tell of an order that a decision long ago let through and this session has no memory of.

        Args:
            order: as just asked for again.
            decision: index of its decision; what was executed stands behind it.
        """
        if self.failed:
            return
        for _, execution in self._gate.executions(decision):
            known = self._book.find(execution.client_order_id)
            if execution.agent == self._agent and known is order:
                self._tell(order, execution)

    def _heard(self, index: int, execution: Execution) -> None:
        if execution.agent != self._agent or self.failed:
            return
        self._queue.append((index, execution))
        self._idle.clear()
        self._news.set()

    def _passed(self, index: int) -> None:
        """Nothing up to here is left to tell, but what waits: the next start begins behind it."""
        if self._queue:
            index = min(index, self._queue[0][0] - 1)
        if index > self._told and not self.failed:
            self._told = index
            self._store.note(_HEARD, index)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                ready = len(self._queue)
                try:
                    await self._gate.durable(self._queue[-1][0])
                except (StorageFailed, OutcomeUnknown) as error:
                    # The gate takes nothing until it is opened anew; then the log tells the rest.
                    self.failed = str(error)
                    self._queue.clear()
                    self._idle.set()
                    return
                for _ in range(ready):
                    index, execution = self._queue.popleft()
                    if index > self._told:
                        self._take(index, execution)
            self._idle.set()

    def _take(self, index: int, execution: Execution) -> None:
        order = self._book.find(execution.client_order_id)
        if order is not None:
            self._tell(order, execution)
        # A crash before the next flush tells it again, with the same ExecID.
        self._told = index
        self._store.note(_HEARD, index)

    def _tell(self, order: BotOrder, execution: Execution) -> None:
        """Take an execution into the order, and say so."""
        name, exec_id = execution.client_order_id, f"{execution.venue}:{execution.exec_id}"
        order.venue_order_id = execution.venue_order_id or order.venue_order_id
        order.told = True
        more: dict[str, str] = {"Text": execution.reason}
        match execution.exec_type:
            case "trade":
                order.fill(execution)
                more |= {
                    "LastQty": execution.last_quantity,
                    "LastPx": execution.last_price,
                    "ContraBroker": execution.counterparty,
                }
                exec_type = "F"
            case "new":
                order.leaves = execution.leaves_quantity
                order.status, exec_type = order.working_status(), "0"
            case "replaced":
                more["OrigClOrdID"] = order.client_order_id
                order.replace(name, execution.leaves_quantity)
                exec_type = "5"
            case "canceled":
                order.status, exec_type = "4", "4"
                if order.cancel:
                    more |= {"ClOrdID": order.cancel, "OrigClOrdID": order.client_order_id}
                    order.cancel = ""
            case "expired":
                order.status, exec_type = "C", "C"
            case _:  # rejected, not_found: reading the entry lets no other word by
                if order.amendment == name != order.client_order_id:
                    self._amendment_failed(order, name, execution)
                    return
                order.status, exec_type = "8", "8"
                more |= {"OrdRejReason": OTHER, "Text": execution.reason or execution.exec_type}
        self._book.keep(order)
        self._send("8", report(order, exec_type, exec_id, self._clock.now_ns(), **more))

    def _amendment_failed(self, order: BotOrder, name: str, execution: Execution) -> None:
        order.end_amendment()
        self._book.keep(order)
        text = execution.reason or execution.exec_type
        self._send("9", cancel_rejected(order, name, order.client_order_id, "2", OTHER, text))
