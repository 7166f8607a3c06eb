# SPDX-License-Identifier: Apache-2.0
"""How many orders a gate takes at once: what is above a bound is refused quickly, never queued.

A refusal here costs no record and no check; the budget says once a second, in one entry, how many
there were (services.admissionbudget). Cancels have room and budget of their own, so that a flood of
orders keeps nobody from cancelling; they are bounded too, because each costs records and a message
to the venue. Only a body that is a cancel in every field counts as one. Advice costs records as
orders do, and has their room and budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import msgspec

from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import CancelOrder, parse_order
from sekisho.core.terms import Code, Reason
from sekisho.services.advice import Advice
from sekisho.services.gatekeeper import Answer


class Budget(Protocol):
    """What an agent may send before the journal."""

    def admit(self, agent: str, size: int) -> bool:
        """Whether this message of ``size`` bytes is within the agent's budget."""
        ...

    def admit_cancel(self, agent: str, size: int) -> bool:
        """The same for a cancel, from the agent's budget for cancels."""
        ...

    def low_disk(self) -> bool:
        """Whether the disk of the log has too little room for new orders."""
        ...


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that may be under way at once, in all and of one agent; and cancels besides."""

    in_all: int = 256
    of_one: int = 64
    cancels: int = 256
    cancels_of_one: int = 64


class Intake:
    """The door before the gatekeeper."""

    def __init__(
        self,
        submit: Callable[[str, bytes], Awaitable[Answer]],
        budget: Budget,
        room: Room,
    ) -> None:
        self._submit = submit
        self._budget = budget
        self._room = room
        self._orders: dict[str, int] = {}
        self._total = 0
        self._cancels: dict[str, list[CancelOrder]] = {}
        self._cancels_total = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        self.turned_away = 0

    @property
    def under_way(self) -> Mapping[str, int]:
        """Orders under way of each agent that has any."""
        return self._orders

    async def submit(self, agent: str, body: bytes) -> Answer:
        """Hand an order to the gatekeeper, or refuse it at once."""
        cancel = cancel_in(body)
        if cancel is not None:
            return await self._cancel(agent, cancel, body)
        if full := self._full(agent, len(body)):
            return self._away(full)
        with self._place(agent):
            return await self._submit(agent, body)

    async def advise(
        self, agent: str, body: bytes, desk: Callable[[str, bytes], Awaitable[Advice]]
    ) -> Advice:
        """Ask the desk about an order, within the room and budget of orders; else say so at once.

        Args:
            agent: whom the caller authenticated.
            body: the order.
            desk: who answers.
        """
        if full := self._full(agent, len(body)):
            reasons = self._away(full).reasons
            return Advice(would_pass=False, evaluated=False, reasons=reasons)
        with self._place(agent):
            return await desk(agent, body)

    def _full(self, agent: str, size: int) -> str:
        """Why an order of this agent has no place; empty when it has one."""
        if self.draining:
            return "this gate is draining; ask again when it is back"
        if not self._budget.admit(agent, size):
            if self._budget.low_disk():
                return "less than a tenth of the log's disk is free: cancels pass, orders wait"
            return "more messages than this agent's admission budget"
        if self._total >= self._room.in_all or self._orders.get(agent, 0) >= self._room.of_one:
            return "too many orders are under way; ask again"
        return ""

    async def _cancel(self, agent: str, cancel: CancelOrder, body: bytes) -> Answer:
        """Hand a cancel on, also while draining. One at a time for each order: the venue is not
        asked again before it has answered. The same one sent twice gets the answer of the first.
        """
        mine = self._cancels.get(agent, [])
        target = cancel.orig_client_order_id
        if any(one.orig_client_order_id == target and one != cancel for one in mine):
            return self._away("a cancel of this order is under way; ask again")
        if self._cancels_total >= self._room.cancels or len(mine) >= self._room.cancels_of_one:
            return self._away("too many cancels are under way; ask again")
        if not self._budget.admit_cancel(agent, len(body)):
            return self._away("more cancels than this agent's admission budget")
        with self._cancelling(agent, cancel):
            return await self._submit(agent, body)

    def low_disk(self) -> bool:
        """Whether new orders are refused for want of room on the log's disk."""
        return self._budget.low_disk()

    async def drain(self) -> None:
        """Take no new orders, and return when none is under way."""
        self.draining = True
        await self._empty.wait()

    def _away(self, detail: str) -> Answer:
        self.turned_away += 1
        return unavailable(detail)

    @contextmanager
    def _place(self, agent: str) -> Iterator[None]:
        self._empty.clear()
        self._total += 1
        self._orders[agent] = self._orders.get(agent, 0) + 1
        try:
            yield
        finally:
            self._total -= 1
            self._orders[agent] -= 1
            if not self._orders[agent]:
                del self._orders[agent]
            self._left()

    @contextmanager
    def _cancelling(self, agent: str, cancel: CancelOrder) -> Iterator[None]:
        self._empty.clear()
        self._cancels_total += 1
        self._cancels.setdefault(agent, []).append(cancel)
        try:
            yield
        finally:
            self._cancels_total -= 1
            self._cancels[agent].remove(cancel)
            if not self._cancels[agent]:
                del self._cancels[agent]
            self._left()

    def _left(self) -> None:
        if not self._total and not self._cancels_total:
            self._empty.set()


class AdviceDoor:
    """Advice through the intake."""

    def __init__(self, intake: Intake, desk: Callable[[str, bytes], Awaitable[Advice]]) -> None:
        self._intake = intake
        self._desk = desk

    async def advise(self, agent: str, body: bytes) -> Advice:
        """What the desk says, or that there is no room to ask it."""
        return await self._intake.advise(agent, body, self._desk)


def cancel_in(body: bytes) -> CancelOrder | None:
    """The cancel that a body is, whole and well-formed; None for everything else."""
    if b'"cancel"' not in body:  # most orders: no second parse
        return None
    try:
        order = parse_order(body)
    except MalformedInput:
        return None
    return order if isinstance(order, CancelOrder) else None


def unavailable(detail: str) -> Answer:
    """A refusal that was not recorded."""
    reason = Reason(Code.CONTROL_UNAVAILABLE, "", detail[:200], "")
    return Answer(kind="unavailable", decision=-1, reasons=(reason,), detail=detail)
