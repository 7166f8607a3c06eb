# SPDX-License-Identifier: Apache-2.0
"""Histories that people declared lost, and how the agent begins then (docs/spec/history.md, 6).

The bytes follow from the entry, its commands and the policy: they are made again here. Whether the
history was lost in truth cannot be judged from a log; that two people say so can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from sekisho_verify import canonical
from sekisho_verify.assigned import Lost
from sekisho_verify.canonical import CENT, SECOND
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.history import Head, Row, head_row
from sekisho_verify.people import Command
from sekisho_verify.policy import Policy


def judged(
    entry: Entry, found: Sequence[Command], newest: Sequence[Policy], index: int, now: int
) -> Lost:
    """What a `history_lost` declares, if the history that it begins is the one that follows.

    Args:
        entry: of that kind.
        found: its commands, which hold.
        newest: the policy of the agent's newest certificate, or nothing.
        index: of the entry in the authority's log.
        now: its `at`.

    Raises:
        VerificationFailed: another history follows, or the agent has no certificate.
    """
    if not newest:
        raise VerificationFailed("names an agent that has no certificate")
    agent, epoch = str(entry["agent"]), canonical.integer_of(entry["epoch"])
    head, data = Head(agent, epoch, "", index), bytearray()
    for row in _rows(head, found[0], newest[0], now):
        data += canonical.encode(row) + b"\n"
    told = entry["history_sha256"], entry["bytes"]
    follows = (hashlib.sha256(data).hexdigest(), len(data))
    require(told == follows, "begins another history than its commands state")
    seats = tuple(one.seat.name for one in found)
    return Lost(agent, str(entry["lost"]), now, seats, found[0].positions, index)


def _rows(head: Head, command: Command, policy: Policy, now: int) -> Iterator[Row]:
    scope = policy.scope
    day = scope.day(now + policy.clock_difference_max_s * SECOND)
    latches = ["circuit_breaker"]
    if scope.failures_max is not None:
        latches.append("consecutive_failures")
    if scope.repeated_executions is not None:
        latches.append("repeated_executions")
    yield head_row(head)
    yield ["counters", str(day), str(scope.daily_notional_max or 0), "0", "0", "0", "1"]
    yield ["latches", "", latches]
    yield ["begun", str(day), command.ids_from]
    for pair, amount in sorted(canonical.parse_object(command.positions.encode()).items()):
        yield ["position", pair, str(int(str(amount).replace(".", "")) * CENT)]
    yield ["hour", "0", "0"]
