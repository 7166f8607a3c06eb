# SPDX-License-Identifier: Apache-2.0
"""From entries of the log to observations of one agent (docs/spec/behaviour.md, section 2).

What it remembers is what later observations need: the times of new decisions within the last hour,
how many there were in the running hour of the clock, orders that were permitted and not yet signed,
and signed ones that wait for their first answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from sekisho.core.amounts import CENT, ceil_div, parse_money
from sekisho.core.behaviour.factors import Observation, hour_label
from sekisho.core.events import (
    Decision,
    Execution,
    GateEntry,
    OutcomeUnresolved,
    PermitSigned,
    Withdrawn,
)
from sekisho.core.localtime import LocalTime
from sekisho.core.markets import pair_of
from sekisho.core.terms import NS

HOUR_NS: Final = 3_600 * NS
_MS: Final = 10**6

_ENDS: Final = frozenset({"trade", "rejected", "canceled", "expired", "not_found"})
"""Reports after which an order is waited for no longer."""


class Activity:
    """What one agent did lately, as far as the log shows it."""

    __slots__ = ("_hour", "_in_hour", "_permitted", "_times", "_waited")

    def __init__(self) -> None:
        self._hour = 0
        self._in_hour = 0
        self._times: deque[int] = deque()
        self._permitted: dict[int, str] = {}
        self._waited: dict[str, int] = {}

    def frequency(self, now: int) -> int:
        """New decisions with now − 1 h < time ≤ now; now is not before the last entry."""
        expired = 0
        for time in self._times:
            if time > now - HOUR_NS:
                break
            expired += 1
        return len(self._times) - expired

    def restart_hour(self) -> None:
        """Orders until here are left out of the accumulation: so is what the hour has of them."""
        self._in_hour = 0

    def opened(self) -> None:
        """A new process of the gate: what an earlier one did not sign is never signed."""
        self._permitted.clear()

    def observe(
        self, index: int, at: int, entry: GateEntry, local: LocalTime
    ) -> Iterator[Observation]:
        """What the entry shows, in the order of the factors; must be read to its end."""
        match entry:
            case Decision(order=dict() as order):
                yield from self._decided(index, at, entry, order, local)
            case PermitSigned():
                name = self._permitted.pop(entry.decision, None)
                if name is not None:
                    self._waited[name] = at
            case Withdrawn():
                self._permitted.pop(entry.decision, None)
            case Execution():
                yield from self._reported(at, entry)
            case OutcomeUnresolved(operation="submit"):
                if self._waited.pop(entry.client_order_id, None) is not None:
                    yield "success", "failed"
            case _:
                pass

    def _decided(
        self, index: int, at: int, entry: Decision, order: dict[str, Any], local: LocalTime
    ) -> Iterator[Observation]:
        if order["action"] == "amend" and entry.verdict == "permitted":
            self._amended(order["orig_client_order_id"])
        if order["action"] != "new":
            return
        self._times.append(at)
        while self._times[0] <= at - HOUR_NS:  # log time never falls: nobody asks for it again
            self._times.popleft()
        if entry.verdict == "permitted":
            self._permitted[index] = order["client_order_id"]
        if entry.notional:
            yield "size", parse_money(entry.notional) // CENT
        yield from self._hours(at)
        yield "market", pair_of(order["market"])[0]
        yield "hours", hour_label(local, at)
        if entry.scores is not None and entry.scores.stressed != "unknown":
            yield "stress", entry.scores.stressed

    def _hours(self, at: int) -> Iterator[Observation]:
        """An hour of the clock is observed when it is over and another order comes.

        Counts that overlap would show one burst many times, and a bet on them would take every
        burst for a change.
        """
        hour = at // HOUR_NS
        if self._in_hour and hour > self._hour:
            yield "frequency", self._in_hour
            self._in_hour = 0
        self._hour = hour
        self._in_hour += 1

    def _amended(self, name: str) -> None:
        """Its answer may now come under another id: it is waited for no longer."""
        self._waited.pop(name, None)
        for index in [i for i, permitted in self._permitted.items() if permitted == name]:
            del self._permitted[index]

    def _reported(self, at: int, report: Execution) -> Iterator[Observation]:
        traded = report.exec_type == "trade"
        if traded and report.counterparty:
            yield "counterparty", report.counterparty
        if report.exec_type not in _ENDS:
            return
        signed_at = self._waited.pop(report.client_order_id, None)
        if signed_at is None:
            return
        if traded:
            yield "latency", ceil_div(at - signed_at, _MS)
            yield "success", "ok"
        elif report.exec_type == "rejected":
            yield "success", "failed"
