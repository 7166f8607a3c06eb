# SPDX-License-Identifier: Apache-2.0
"""How many orders a gate takes at once: what is above a bound is refused quickly, never queued.

A refusal here costs no record and no check; the budget says once a second, in one entry, how many
there were (services.admissionbudget). Cancels have room of their own, so that a flood of orders
keeps nobody from cancelling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import msgspec

from sekisho.core.encoding import parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import Code, Reason
from sekisho.services.gatekeeper import Answer


class Budget(Protocol):
    """What an agent may send before the journal."""

    def admit(self, agent: str, size: int) -> bool:
        """Whether this message of ``size`` bytes is within the agent's budget."""
        ...


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that may be under way at once: in all, of one agent, and cancels besides."""

    in_all: int = 256
    of_one: int = 64
    cancels: int = 256


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
        self._cancels = 0
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
        cancel = is_cancel(body)
        if self.draining and not cancel:
            return self._away("this gate is draining; ask again when it is back")
        if not cancel and not self._budget.admit(agent, len(body)):
            return self._away("more messages than this agent's admission budget")
        if cancel:
            if self._cancels >= self._room.cancels:
                return self._away("too many cancels are under way; ask again")
        elif self._total >= self._room.in_all or (self._orders.get(agent, 0) >= self._room.of_one):
            return self._away("too many orders are under way; ask again")
        with self._place(agent, cancel=cancel):
            return await self._submit(agent, body)

    async def drain(self) -> None:
        """Take no new orders, and return when none is under way."""
        self.draining = True
        await self._empty.wait()

    def _away(self, detail: str) -> Answer:
        self.turned_away += 1
        return unavailable(detail)

    @contextmanager
    def _place(self, agent: str, *, cancel: bool) -> Iterator[None]:
        self._empty.clear()
        if cancel:
            self._cancels += 1
        else:
            self._total += 1
            self._orders[agent] = self._orders.get(agent, 0) + 1
        try:
            yield
        finally:
            if cancel:
                self._cancels -= 1
            else:
                self._total -= 1
                self._orders[agent] -= 1
                if not self._orders[agent]:
                    del self._orders[agent]
            if not self._total and not self._cancels:
                self._empty.set()


def is_cancel(body: bytes) -> bool:
    """Whether a body asks for a cancel and so has room of its own; what is unreadable does not."""
    if b'"cancel"' not in body:  # most orders: no second parse
        return False
    try:
        plain = parse_plain(body, numbers=False)
    except MalformedInput:
        return False
    return isinstance(plain, dict) and plain.get("action") == "cancel"


def unavailable(detail: str) -> Answer:
    """A refusal that was not recorded."""
    reason = Reason(Code.CONTROL_UNAVAILABLE, "", detail[:200], "")
    return Answer(kind="unavailable", decision=-1, reasons=(reason,), detail=detail)
