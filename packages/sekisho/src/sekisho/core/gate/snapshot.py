# SPDX-License-Identifier: Apache-2.0
"""The gate's state as plain values, and back (docs/spec/ledger.md, section 10).

``read(write(state))`` folds on as ``state`` does. The ids, answers and reports that are kept for
ever are written only where they are in memory; where they are kept elsewhere, their number is, and
whoever reads the state again brings them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.agent import AgentState, Known, SeenIn
from sekisho.core.gate.ended import EndedOrder, EndedOrders, EndedRow
from sekisho.core.gate.extremes import Extremes, Ratio
from sekisho.core.gate.limits import Limits, read_limits
from sekisho.core.gate.order import NewOrder
from sekisho.core.gate.prices import Quotations, Quote, Sides
from sekisho.core.gate.quantities import Held
from sekisho.core.gate.state import GateState, Lease
from sekisho.core.gate.venues import Break, ClockStanding, Outside, VenueStanding
from sekisho.core.gate.working import Pending, WorkingOrder, terms_of
from sekisho.core.handover import Begun
from sekisho.core.statecode import (
    FLAG,
    NUMBER,
    TEXT,
    Coder,
    Fields,
    listed,
    mapping,
    optional,
    queue,
    row,
    sorted_set,
    struct,
)

RATIO = Coder(lambda value: [str(value.num), str(value.den)], row(NUMBER, NUMBER, make=Ratio).read)
_ORDER = struct(NewOrder)
_KNOWN = row(TEXT, NUMBER)
_EXTREMES = Fields({"_lows": queue(row(NUMBER, RATIO)), "_highs": queue(row(NUMBER, RATIO))})
EXTREMES = Coder(_EXTREMES.write, lambda plain: _EXTREMES.fill(Extremes(), plain))
_SIDES = row(RATIO, RATIO, RATIO, RATIO, make=Sides)
QUOTE = row(optional(_SIDES), NUMBER, TEXT, TEXT, make=Quote)


def _write_limits(limits: Limits) -> Any:
    return msgspec.to_builtins(limits.terms)


LIMITS = Coder(_write_limits, read_limits)
"""The terms of the policy in force, as far as the gate reads them."""


def _write_pending(pending: Pending) -> list[Any]:
    _only(pending, {"decision", "terms", "total"})
    return [str(pending.decision), _ORDER.write(pending.terms.order), str(pending.total)]


_PENDING = Coder(
    _write_pending,
    row(
        NUMBER,
        _ORDER,
        NUMBER,
        make=lambda index, order, total: Pending(index, terms_of(order), total),
    ).read,
)


def _only(held: msgspec.Struct, names: set[str]) -> None:
    """Refuse a struct that has got a field that is not written."""
    unnamed = set(held.__struct_fields__) ^ names
    if unnamed:
        raise MalformedInput(
            f"snapshot: {type(held).__name__} and its encoding disagree on {sorted(unnamed)}"
        )


_WORKING = Fields(
    {
        "client_order_id": TEXT,
        "decision": NUMBER,
        "terms": Coder(lambda terms: _ORDER.write(terms.order), lambda o: terms_of(_ORDER.read(o))),
        "total": NUMBER,
        "reserved": NUMBER,
        "filled": NUMBER,
        "phase": TEXT,
        "pending": optional(_PENDING),
    }
)
WORKING = Coder(_WORKING.write, lambda plain: WorkingOrder(**_WORKING.read(plain)))

_ENDED = row(_ORDER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)
SLICE = 100
"""Ended orders that are encoded in one go: a fraction of a millisecond."""


def _write_ended(ended: EndedOrders) -> list[Any]:
    """Each order once, with all its ids, by the first of them."""
    _ENDED_ORDERS.write(ended)
    cut = ended.cut()
    try:
        return [_write_one_ended(one) for rows in cut.slices(SLICE) for one in rows]
    finally:
        cut.close()


def _write_one_ended(row_: EndedRow) -> list[Any]:
    """The order itself is left to the encoder, which writes it as ``_ORDER`` does, but sooner."""
    one = row_.order
    _only(one, _ENDED_NAMES)
    numbers = (one.total, one.quantity, row_.filled, one.ended_at, one.day)
    return [row_.names, [one.terms.order, *(NUMBER.write(number) for number in numbers)]]


class EndedPart:
    """The ended orders of one agent, as they were when this was made, to be encoded in slices."""

    def __init__(self, ended: EndedOrders) -> None:
        _ENDED_ORDERS.write(ended)
        self._cut = ended.cut()

    def encoded(self) -> Iterator[bytes]:
        """The canonical bytes of :data:`ENDED`, in parts of at most SLICE orders, some empty."""
        yield b"["
        comma = b""
        for rows in self._cut.slices(SLICE):
            if rows:
                yield comma + canonical([_write_one_ended(one) for one in rows])[1:-1]
                comma = b","
            else:
                yield b""
        yield b"]"

    def close(self) -> None:
        """No more is encoded."""
        self._cut.close()


def _read_ended(plain: Any) -> EndedOrders:
    ended = EndedOrders()
    rows: list[Any] = listed(row(listed(TEXT), _ENDED)).read(plain)
    for names, (order, *numbers) in rows:
        one = EndedOrder(terms_of(order), *numbers)
        ended._by_name.update(dict.fromkeys(names, one))  # noqa: SLF001 - same room
    return ended


_ENDED_NAMES = {"terms", "total", "quantity", "filled", "ended_at", "day"}
_ENDED_ORDERS = Fields({}, elsewhere=("_by_name", "_cuts"))
ENDED = Coder(_write_ended, _read_ended)

_LEASE = Fields({"epoch": NUMBER, "deadline": NUMBER, "grant": TEXT, "status": mapping(TEXT, TEXT)})
LEASE = Coder(_LEASE.write, lambda plain: Lease(**_LEASE.read(plain)))

_QUOTATION_FIELDS = Fields(
    {"latest": QUOTE, "index": NUMBER, "_mids": EXTREMES}, elsewhere=("_moves",)
)


def _read_quotations(plain: Any) -> Quotations:
    parts = _QUOTATION_FIELDS.read(plain)
    held = Quotations(parts["latest"], parts["index"])
    held._mids = parts["_mids"]  # noqa: SLF001 - same room: what the constructor cannot be given
    return held


QUOTATIONS = Coder(_QUOTATION_FIELDS.write, _read_quotations)

_STANDING = Fields({"reconciled": FLAG, "incident": TEXT})
STANDING = Coder(_STANDING.write, lambda plain: VenueStanding(**_STANDING.read(plain)))
_OUTSIDE = Fields(
    {
        "venues": mapping(TEXT, STANDING),
        "clock": optional(row(NUMBER, NUMBER, make=ClockStanding)),
        "clock_max_ns": optional(NUMBER),
        "due": optional(row(NUMBER, TEXT, TEXT, TEXT, TEXT, make=Break)),
        "strange": sorted_set(row(TEXT, TEXT)),
    }
)
OUTSIDE = Coder(_OUTSIDE.write, lambda plain: _OUTSIDE.fill(Outside(), plain))

AGENT = Fields(
    {
        "agent": TEXT,
        "limits": LIMITS,
        "certificate": TEXT,
        "certificate_sha256": TEXT,
        "policy_sha256": TEXT,
        "not_before": NUMBER,
        "not_after": NUMBER,
        "status": TEXT,
        "epoch": NUMBER,
        "working": mapping(TEXT, WORKING),
        "aliases": mapping(TEXT, TEXT),
        "day": NUMBER,
        "gross": NUMBER,
        "reserved": NUMBER,
        "reserved_by": mapping(row(TEXT, NUMBER), NUMBER),
        "orders": NUMBER,
        "messages": queue(NUMBER),
        "contents": queue(row(NUMBER, TEXT)),
        "content_counts": mapping(TEXT, NUMBER),
        "counterparties": queue(row(NUMBER, TEXT, NUMBER)),
        "counterparty_sums": mapping(TEXT, NUMBER),
        "prices": mapping(TEXT, EXTREMES),
        "executions": queue(NUMBER),
        "positions": mapping(TEXT, NUMBER),
        "quantities": mapping(row(TEXT, TEXT), row(NUMBER, NUMBER, FLAG, make=Held)),
        "failures": NUMBER,
        "latches": sorted_set(TEXT),
        "baseline_sha256": TEXT,
        "orphans": NUMBER,
        "last_permit": NUMBER,
        "ended": ENDED,
        "unbooked": NUMBER,
        "shutdown": TEXT,
        "stopped": NUMBER,
        "narrowed": NUMBER,
        "left": FLAG,
        "awaited": NUMBER,
        "awaited_from": TEXT,
        "history": NUMBER,
        "taking": row(TEXT, NUMBER),
        "taken_at": NUMBER,
        "begun": row(NUMBER, TEXT, make=Begun),
    },
    elsewhere=("known", "answers", "executed", "by_decision"),
)
"""Everything that is kept of an agent; a new attribute of ``AgentState`` gets its line here."""

_BY_DECISION = mapping(NUMBER, TEXT)
_SEEN = Fields(
    {
        "known": mapping(TEXT, row(TEXT, NUMBER, make=Known)),
        "answers": mapping(NUMBER, NUMBER),
        "executed": listed(row(TEXT, TEXT)),
    }
)

STATE = Fields(
    {
        "size": NUMBER,
        "at": NUMBER,
        "gate": TEXT,
        "boot": TEXT,
        "region": TEXT,
        "environment": TEXT,
        "lease": optional(LEASE),
        "quotations": mapping(row(TEXT, TEXT), QUOTATIONS),
        "outside": OUTSIDE,
        "used_commands": sorted_set(row(TEXT, TEXT)),
    },
    elsewhere=("agents", "seen_in"),
)
"""Everything of the gate that is no agent's; a new slot of ``GateState`` gets its line here."""


def write(state: GateState) -> dict[str, Any]:
    """The state as plain values.

    Raises:
        MalformedInput: the state has a part that is not written here.
    """
    return STATE.write(state) | {"agents": [_write_agent(one) for one in state.agents.values()]}


PLACE = b"\0"
"""Stands in the bytes of :func:`cut` for the ended orders of an agent; JSON has no such byte."""


def cut(state: GateState) -> tuple[dict[str, Any], list[EndedPart]]:
    """The same as :func:`write`, in a form that takes no longer with many ended orders.

    Returns:
        The state as it is now, whose canonical bytes hold PLACE once for each agent; and, in that
        order, what belongs there: ``canonical(write(state))`` is the one put into the other. Each
        part is closed by whoever asked for it.

    Raises:
        MalformedInput: the state has a part that is not written here.
    """
    rest = STATE.write(state)
    agents = [_write_agent(one, {"ended": msgspec.Raw(PLACE)}) for one in state.agents.values()]
    return rest | {"agents": agents}, [EndedPart(one.ended) for one in state.agents.values()]


def read(plain: Any, seen_in: SeenIn) -> GateState:
    """The state again.

    Args:
        plain: what :func:`write` made.
        seen_in: where ids are kept: empty ones, which are filled, or such as hold the ids already.

    Raises:
        MalformedInput: not what this version writes, or the ids that are there are not as many.
    """
    if type(plain) is not dict or type(plain.get("agents")) is not list:
        raise MalformedInput("snapshot: it has no agents")
    rest = {name: value for name, value in plain.items() if name != "agents"}
    state = STATE.fill(GateState(seen_in), rest)
    for one in plain["agents"]:
        agent = _read_agent(one, seen_in)
        state.agents[agent.agent] = agent
    return state


def _write_agent(agent: AgentState, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    decided = {index: order.client_order_id for index, order in agent.by_decision.items()}
    return AGENT.write(agent, given) | {
        "by_decision": _BY_DECISION.write(decided),
        "seen": _write_seen(agent),
    }


def _write_seen(agent: AgentState) -> Any:
    counts = [len(agent.known), len(agent.answers), len(agent.executed)]
    if type(agent.known) is not dict:
        return [str(count) for count in counts]
    return {
        "known": [[name, [one.digest, str(one.decision)]] for name, one in agent.known.items()],
        "answers": [[str(decision), str(end)] for decision, end in agent.answers.items()],
        "executed": [list(one) for one in sorted(agent.executed)],
    }


def _read_agent(plain: Any, seen_in: SeenIn) -> AgentState:
    if type(plain) is not dict or not {"by_decision", "seen"} <= set(plain):
        raise MalformedInput("snapshot: an agent lacks a part")
    rest = {name: value for name, value in plain.items() if name not in ("by_decision", "seen")}
    agent = AgentState("", 0, seen_in)
    AGENT.fill(agent, rest)
    for index, name in _BY_DECISION.read(plain["by_decision"]).items():
        if name not in agent.working:
            raise MalformedInput(f"snapshot: decision {index} is of no working order")
        agent.by_decision[index] = agent.working[name]
    _read_seen(agent, plain["seen"])
    return agent


def _read_seen(agent: AgentState, plain: Any) -> None:
    there = [str(len(part)) for part in (agent.known, agent.answers, agent.executed)]
    if type(plain) is list:
        if plain != there:
            raise MalformedInput(f"snapshot: {plain} ids, answers and reports, not {there}")
        return
    if there != ["0", "0", "0"] or type(agent.known) is not dict:
        raise MalformedInput("snapshot: it holds ids itself, and they are kept elsewhere now")
    seen = _SEEN.read(plain)
    agent.known.update(seen["known"])
    agent.answers.update(seen["answers"])
    for one in seen["executed"]:
        agent.executed.add(one)
