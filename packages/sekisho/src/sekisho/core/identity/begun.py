# SPDX-License-Identifier: Apache-2.0
"""A history that begins because people declared the one before lost (docs/spec/history.md, 6).

What is not known is taken as used: the whole day, every latch, every id. Positions are what people
stated. The bytes follow from the entry, its commands and the policy alone, so anyone makes them
again. Who may declare it is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from sekisho.core.amounts import parse_amount, parse_money
from sekisho.core.errors import MalformedInput
from sekisho.core.handover import Head, HistoryBytes, Row, head_row
from sekisho.core.identity.records import Records
from sekisho.core.localtime import read_offsets
from sekisho.core.scope import NoLimit, ZoneOffset
from sekisho.core.terms import NS

NO_ORIGIN: Final = ""
"""It comes from no gate's log."""
UNKNOWN_TRADES: Final = 1
"""Counted as unbooked: with it no position counts as reconciled, and nothing as reducing one."""


class StatedBeginning(NamedTuple):
    """What people stated, for which agent and move, by the entry ``entry`` of the authority's log
    at ``at`` (ns UTC). ``positions``: pair and money, sorted.
    """

    agent: str
    epoch: int
    entry: int
    at: int
    positions: tuple[tuple[str, str], ...]
    ids_from: str


class _Scope(msgspec.Struct, frozen=True):
    """What of a policy's scope a beginning depends on."""

    daily_notional_max: str | NoLimit
    zone_offsets: tuple[ZoneOffset, ...]
    repeated_executions: Any
    consecutive_failures_max: int | NoLimit


class _Controls(msgspec.Struct, frozen=True):
    clock_difference_max_s: int


class _Terms(msgspec.Struct, frozen=True):
    scope: _Scope
    risk_controls: _Controls


def begun_history(records: Records, begins: StatedBeginning) -> bytes:
    """The bytes of the history, under the policy of the agent's newest certificate.

    Raises:
        MalformedInput: the policy cannot be read, or a position is no money.
    """
    newest = records.agents[begins.agent][-1]
    policy = records.policies[newest.policy_sha256].policy
    try:
        terms = msgspec.convert(policy, _Terms)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"policy: {error}", "policy") from error
    found = HistoryBytes()
    found.add(_rows(terms, begins))
    return found.data


def _rows(terms: _Terms, begins: StatedBeginning) -> Iterator[Row]:
    scope = terms.scope
    # A gate's clock may be ahead by so much: it may have used up some of the day that begins then.
    latest = begins.at + terms.risk_controls.clock_difference_max_s * NS
    day = read_offsets(scope.zone_offsets).day(latest)
    cap = scope.daily_notional_max
    gross = 0 if cap == "none" else parse_amount(cap)
    latches = ["circuit_breaker"]
    if scope.consecutive_failures_max != "none":
        latches.append("consecutive_failures")
    if scope.repeated_executions != "none":
        latches.append("repeated_executions")
    yield head_row(Head(begins.agent, begins.epoch, NO_ORIGIN, begins.entry))
    yield ["counters", str(day), str(gross), "0", "0", "0", str(UNKNOWN_TRADES)]
    yield ["latches", "", latches]
    yield ["begun", str(day), begins.ids_from]
    for pair, amount in begins.positions:
        yield ["position", pair, str(parse_money(amount))]
    yield ["hour", "0", "0"]
