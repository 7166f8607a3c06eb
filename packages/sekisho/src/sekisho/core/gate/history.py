# SPDX-License-Identifier: Apache-2.0
"""The gate's part of an agent's history, as rows and back (docs/spec/history.md, section 3).

What the watch knows of the agent has rows of its own, written and read there. Ids and reports are
left to the caller: there may be very many, and what an id was answered stands in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import gcd
from typing import Any, Final, Literal, cast, get_args

import msgspec

from sekisho.core.errors import MalformedInput
from sekisho.core.gate.agent import RESTRICTIONS, AgentState, Known
from sekisho.core.gate.ended import EndedOrder
from sekisho.core.gate.extremes import Extremes, Ratio
from sekisho.core.gate.order import NewOrder
from sekisho.core.gate.quantities import Held
from sekisho.core.gate.working import Pending, Terms, WorkingOrder, terms_of
from sekisho.core.handover import NOT_BEGUN, Begun, HistoryPart, Row
from sekisho.core.statecode import (
    FLAG,
    NUMBER,
    PLAIN,
    TEXT,
    Coder,
    listed,
    optional,
    row,
    sorted_set,
)
from sekisho.core.terms import NS, Code, Reason

LATCHES: Final = frozenset(
    {"circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown"}
)
PHASES: Final = frozenset({"possibly_issued", "signed", "unknown", "open"})
Outcome = Literal["refused", "permitted", "withdrawn", "possibly_issued"]
OUTCOMES: Final = frozenset(get_args(Outcome))


def _plain_order(terms: Terms) -> Any:
    plain = msgspec.to_builtins(terms.order)
    plain.pop("decision_context", None)
    return plain


def _read_order(plain: Any) -> Terms:
    try:
        return terms_of(msgspec.convert(plain, NewOrder))
    except (msgspec.ValidationError, ValueError) as error:
        raise MalformedInput(f"history: an order: {error}") from error


_ORDER = Coder(_plain_order, _read_order)
_RATIO = row(TEXT, NUMBER, NUMBER, NUMBER)
_SHAPES: Final[dict[str, Coder]] = {
    "counters": row(NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER),
    "latches": row(TEXT, sorted_set(TEXT)),
    "begun": row(NUMBER, TEXT),
    "position": row(TEXT, NUMBER),
    "leg": row(TEXT, TEXT, NUMBER, NUMBER, FLAG),
    "working": row(
        TEXT, _ORDER, NUMBER, NUMBER, NUMBER, TEXT, listed(TEXT), optional(row(_ORDER, NUMBER))
    ),
    "ended": row(listed(TEXT), _ORDER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER),
    "message": row(NUMBER),
    "content": row(NUMBER, TEXT),
    "counterparty": row(NUMBER, TEXT, NUMBER),
    "execution": row(NUMBER),
    "low": _RATIO,
    "high": _RATIO,
    "executed": row(TEXT, TEXT),
    "id": row(TEXT, TEXT, TEXT, TEXT),
    "baseline": row(PLAIN, TEXT),
}
"""How the members after the kind are written, by kind."""


def _rows(kind: str, found: Iterable[Any]) -> Iterator[Row]:
    shape = _SHAPES[kind]
    for one in found:
        yield [kind, *shape.write(one)]


def rows_of(agent: AgentState, now: int) -> Iterator[Row]:
    """What the gate knows of the agent at ``now`` (ns), to which its day was rolled; without ids
    and reports.
    """
    one = agent
    counted = (one.day, one.gross, one.orders, one.failures, one.orphans, one.unbooked)
    yield from _rows("counters", [counted])
    yield from _rows("latches", [(one.shutdown, one.latches)])
    if one.begun != NOT_BEGUN:
        yield from _rows("begun", [one.begun])
    yield from _rows("position", sorted(item for item in one.positions.items() if item[1]))
    yield from _rows("leg", sorted((*key, *held) for key, held in one.quantities.items()))
    yield from _rows("working", (_working(name, one) for name in sorted(one.working)))
    yield from _rows("ended", _ended(agent))
    yield from _lists(agent, now)


def _working(name: str, agent: AgentState) -> tuple[Any, ...]:
    order = agent.working[name]
    others = sorted(alias for alias, present in agent.aliases.items() if present == name)
    pending = None if order.pending is None else (order.pending.terms, order.pending.total)
    phase = "possibly_issued" if order.phase == "permitted" else order.phase
    return name, order.terms, order.total, order.reserved, order.filled, phase, others, pending


def _ended(agent: AgentState) -> list[tuple[Any, ...]]:
    names: dict[int, list[str]] = {}
    orders: dict[int, EndedOrder] = {}
    for name, order in sorted(agent.ended._by_name.items()):  # noqa: SLF001 - same room
        names.setdefault(id(order), []).append(name)
        orders[id(order)] = order
    return [
        (names[key], one.terms, one.total, one.quantity, one.filled, one.ended_at, one.day)
        for key, one in orders.items()
    ]


def _lists(agent: AgentState, now: int) -> Iterator[Row]:
    """What of each list lies in its window."""
    scope = agent.limits.scope

    def since(limit: Any) -> int:
        return now if limit == "none" else now - limit.window_s * NS

    begin = since(scope.message_rate)
    yield from _rows("message", ((time,) for time in agent.messages if time > begin))
    begin = since(scope.repeated_orders)
    yield from _rows("content", sorted(one for one in agent.contents if one[0] > begin))
    begin = since(scope.concentration)
    yield from _rows("counterparty", sorted(one for one in agent.counterparties if one[0] > begin))
    begin = since(scope.repeated_executions)
    yield from _rows("execution", ((time,) for time in agent.executions if time > begin))
    begin = since(scope.price_collar)
    for kind in ("low", "high"):
        found = (
            (pair, time, *_lowest_terms(value))
            for pair, prices in sorted(agent.prices.items())
            for time, value in getattr(prices, f"_{kind}s")
            if time > begin
        )
        yield from _rows(kind, found)


def _lowest_terms(value: Ratio) -> tuple[int, int]:
    common = gcd(value.num, value.den)
    return value.num // common, value.den // common


def executed_rows(agent: AgentState) -> Iterator[Row]:
    """The execution reports that took effect."""
    return _rows("executed", sorted(agent.executed))


def id_row(name: str, digest: str, outcome: str, codes: str) -> Row:
    """A known id and its first answer."""
    return ["id", name, digest, outcome, codes]


KINDS: Final = frozenset(_SHAPES)
"""Rows of the gate's part."""


def check_rows(rows: Iterable[Row]) -> None:
    """Whether every row can be applied. Raises MalformedInput."""
    _apply(AgentState("", 0), 0, rows)


def answered(part: HistoryPart, name: str) -> tuple[str, str]:
    """Outcome and codes of an id that came with this part.

    Raises:
        MalformedInput: it did not.
    """
    for one in part.rows:
        if one[0] == "id" and one[1] == name:
            return str(one[3]), str(one[4])
    raise MalformedInput(f"history: {name[:40]} is not in this part")


def first_answer(part: HistoryPart, name: str) -> tuple[Outcome, tuple[Reason, ...]]:
    """What another gate answered to an id that came with this part; reasons are bare codes.

    Raises:
        MalformedInput: it did not come with it.
    """
    outcome, codes = answered(part, name)
    reasons = tuple(Reason(Code(code), "", "", "") for code in codes.split(",") if code)
    return cast("Outcome", outcome), reasons


# -- taking ----------------------------------------------------------------------------------------


def take(agent: AgentState, index: int, entry: HistoryPart) -> None:
    """Apply a part that is due; any other has no effect.

    Raises:
        MalformedInput: a row that no gate writes. The agent is then not to be used any more.
    """
    if entry.part and agent.taking != (entry.history_sha256, entry.part):
        return
    before = agent.restriction
    if not entry.part:
        _empty(agent)
    _apply(agent, index, entry.rows)
    agent.taking = (entry.history_sha256, entry.part + 1)
    if entry.last:
        agent.taking = ("", 0)
        agent.history, agent.taken_at = max(agent.history, entry.epoch), index
    agent.narrow(before, index)


def _apply(agent: AgentState, index: int, rows: Iterable[Row]) -> None:
    for one in rows:
        effect = _EFFECTS.get(str(one[0]))
        if effect is not None:
            effect(agent, index, *_SHAPES[str(one[0])].read(one[1:]))


def _empty(agent: AgentState) -> None:
    """Begin anew, but for what the authority and people said of the agent here, and its ids."""
    fresh = AgentState(agent.agent, agent.day)
    for name in _BEGUN_ANEW:
        setattr(agent, name, getattr(fresh, name))


_BEGUN_ANEW: Final = (
    "working", "ended", "by_decision", "aliases", "gross", "reserved", "reserved_by", "orders",
    "messages", "contents", "content_counts", "counterparties", "counterparty_sums", "prices",
    "executions", "positions", "quantities", "failures", "baseline_sha256", "orphans", "unbooked",
    "begun",
)  # fmt: skip


def _counters(
    agent: AgentState, _: int, day: int, gross: int, orders: int, failures: int, *rest: int
) -> None:
    agent.day, agent.gross, agent.orders, agent.failures = day, gross, orders, failures
    agent.orphans, agent.unbooked = rest


def _latches(agent: AgentState, _: int, mode: Any, latches: set[Any]) -> None:
    if mode not in RESTRICTIONS or not latches <= LATCHES or bool(mode) != ("shutdown" in latches):
        raise MalformedInput("history: latches that no gate has")
    agent.latches |= latches
    agent.shutdown = max(mode, agent.shutdown, key=RESTRICTIONS.index)


def _begun(agent: AgentState, _: int, day: int, ids_from: str) -> None:
    agent.begun = Begun(day, ids_from)


def _position(agent: AgentState, _: int, pair: str, amount: int) -> None:
    agent.positions[pair] = amount


def _leg(agent: AgentState, _: int, pair: str, currency: str, *bounds: Any) -> None:
    agent.quantities[pair, currency] = Held(*bounds)


def _take_working(
    agent: AgentState, index: int, name: str, terms: Terms, total: int, *rest: Any
) -> None:
    reserved, filled, phase, others, pending = rest
    if phase not in PHASES:
        raise MalformedInput(f"history: {phase!r:.40} is no phase")
    order = WorkingOrder(name, index, terms, total, 0, filled, phase)
    if pending is not None:
        order.pending = Pending(index, *pending)
    agent.working[name] = order
    agent.aliases |= dict.fromkeys(others, name)
    agent.reserve(order, reserved)


def _take_ended(agent: AgentState, _: int, names: list[str], terms: Terms, *rest: int) -> None:
    one = EndedOrder(terms, *rest)
    agent.ended._by_name.update(dict.fromkeys(names, one))  # noqa: SLF001 - same room


def _message(agent: AgentState, _: int, time: int) -> None:
    agent.messages.append(time)


def _content(agent: AgentState, _: int, time: int, digest: str) -> None:
    agent.contents.append((time, digest))
    agent.content_counts[digest] = agent.content_counts.get(digest, 0) + 1


def _counterparty(agent: AgentState, _: int, time: int, name: str, amount: int) -> None:
    agent.counterparties.append((time, name, amount))
    agent.counterparty_sums[name] = agent.counterparty_sums.get(name, 0) + amount


def _execution(agent: AgentState, _: int, time: int) -> None:
    agent.executions.append(time)


def _low(agent: AgentState, _: int, pair: str, time: int, num: int, den: int) -> None:
    prices = agent.prices.setdefault(pair, Extremes())
    prices._lows.append((time, Ratio(num, den)))  # noqa: SLF001 - same room


def _high(agent: AgentState, _: int, pair: str, time: int, num: int, den: int) -> None:
    prices = agent.prices.setdefault(pair, Extremes())
    prices._highs.append((time, Ratio(num, den)))  # noqa: SLF001 - same room


def _executed(agent: AgentState, _: int, venue: str, exec_id: str) -> None:
    agent.executed.add((venue, exec_id))


def _id(agent: AgentState, index: int, name: str, digest: str, outcome: str, _codes: str) -> None:
    if outcome not in OUTCOMES or len(digest) != 64:
        raise MalformedInput(f"history: {outcome!r:.40} is no answer")
    agent.known[name] = Known(digest, index)


def _baseline(agent: AgentState, _: int, _plain: Any, sha256: str) -> None:
    agent.baseline_sha256 = sha256


_EFFECTS: Final[dict[str, Callable[..., None]]] = {
    "counters": _counters,
    "latches": _latches,
    "begun": _begun,
    "position": _position,
    "leg": _leg,
    "working": _take_working,
    "ended": _take_ended,
    "message": _message,
    "content": _content,
    "counterparty": _counterparty,
    "execution": _execution,
    "low": _low,
    "high": _high,
    "executed": _executed,
    "id": _id,
    "baseline": _baseline,
}
