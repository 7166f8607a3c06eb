# SPDX-License-Identifier: Apache-2.0
"""The history of an agent that moved, as rows of the state and back (docs/spec/history.md 3, 4).

What a gate gave away is computed again from its log; what it took is the beginning of its fold.
That both are what the authority kept is judged in `moving`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from sekisho_verify import canonical, prices
from sekisho_verify.agent import Agent, Answered, Pending, Times, Working
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.forms import MODES
from sekisho_verify.outside import Ended

SCHEMA = "sekisho/history/v1"
_ROW_BYTES_MAX = 60_000
_PART_BYTES_MAX = 56_000
Row = list[object]


class Head(NamedTuple):
    """The first row: whose history it is, for which move, from which entry of which log."""

    agent: str
    epoch: int
    origin: str
    entry: int


def given(agent: Agent, entry: Entry, origin: str, index: int, now: int) -> None:
    """What a `history_given` says is what the state gives; the day was rolled.

    Raises:
        VerificationFailed: it is not.
    """
    require(agent.awaits, "gives a history that this gate does not await itself")
    head = Head(str(entry["agent"]), canonical.integer_of(entry["epoch"]), origin, index)
    digest, size, number = hashlib.sha256(), 0, 0
    for row in rows(agent, head, now):
        data = canonical.encode(row) + b"\n"
        digest.update(data)
        size, number = size + len(data), number + 1
    told = entry["history_sha256"], entry["bytes"], entry["rows"]
    require(told == (digest.hexdigest(), size, number), "gives another history than this log does")


def head_row(head: Head) -> Row:
    """The first row of a history."""
    return ["history", SCHEMA, *head]


def rows(agent: Agent, head: Head, now: int) -> Iterator[Row]:
    """The rows of an agent's history, in their order."""
    yield head_row(head)
    one = agent
    counted = (one.day, one.gross, one.orders, one.failures, one.orphans, one.unbooked)
    yield ["counters", *map(str, counted)]
    yield ["latches", one.shutdown, sorted(one.latches)]
    if one.begun is not None:
        yield ["begun", str(one.begun[0]), one.begun[1]]
    for pair, amount in sorted(one.positions.items()):
        if amount:
            yield ["position", pair, str(amount)]
    for pair, legs in sorted(one.legs.items()):
        for currency, (low, high) in sorted(legs.bounds.items()):
            yield ["leg", pair, currency, str(low), str(high), currency in legs.counted]
    for order in sorted(one.working.values(), key=lambda order: order.order_id):
        yield _working(order)
    yield from _ended(agent)
    yield from _lists(agent, now)
    yield from agent.behaviour.rows(agent.day, now)
    for venue, exec_id in sorted(one.exec_ids):
        yield ["executed", venue, exec_id]
    for name, answer in sorted(one.answered.items()):
        yield ["id", name, *answer]


def _plain(asked: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in asked.items() if name != "decision_context"}


def _working(order: Working) -> Row:
    others = sorted(name for name in order.names if name != order.order_id)
    pending = None
    if order.pending is not None:
        pending = [_plain(order.pending.asked), str(order.pending.total)]
    phase = "possibly_issued" if order.phase == "permitted" else order.phase
    numbers = map(str, (order.total, order.reserved, order.filled))
    return ["working", order.order_id, _plain(order.asked), *numbers, phase, others, pending]


def _ended(agent: Agent) -> Iterator[Row]:
    names: dict[int, list[str]] = {}
    orders: dict[int, Ended] = {}
    for name, one in sorted(agent.ended.items()):
        names.setdefault(id(one), []).append(name)
        orders[id(one)] = one
    for key, one in orders.items():
        numbers = (one.total, one.quantity, one.filled, one.at, one.day)
        yield ["ended", names[key], _plain(one.asked), *map(str, numbers)]


def _lists(agent: Agent, now: int) -> Iterator[Row]:
    """What of each list lies in its window."""
    scope = agent.scope
    if scope.message_rate is not None:
        for time, _ in agent.messages.since(now, scope.message_rate.window_s):
            yield ["message", str(time)]
    if scope.repeated_orders is not None:
        window = scope.repeated_orders.window_s
        contents = [
            (time, digest)
            for digest, times in agent.contents.items()
            for time, _ in times.since(now, window)
        ]
        for time, digest in sorted(contents):
            yield ["content", str(time), digest]
    if scope.concentration is not None:
        found = [
            (time, *_pair(item))
            for time, item in agent.counterparties.since(now, scope.concentration.window_s)
        ]
        for time, name, amount in sorted(found):
            yield ["counterparty", str(time), name, str(amount)]
    if scope.repeated_executions is not None:
        for time, _ in agent.executions.since(now, scope.repeated_executions.window_s):
            yield ["execution", str(time)]
    if scope.price_collar is not None:
        for sign, kind in ((1, "low"), (-1, "high")):
            for pair, times in sorted(agent.prices.items()):
                for time, price in _extremes(times, now, scope.price_collar.window_s, sign):
                    yield [kind, pair, str(time), str(price.numerator), str(price.denominator)]


def _pair(item: object) -> tuple[str, int]:
    if not isinstance(item, tuple):
        raise VerificationFailed("a counterparty without its notional")
    return str(item[0]), int(item[1])


def _extremes(times: Times, now: int, window_s: int, sign: int) -> list[tuple[int, Fraction]]:
    """The prices that each later one is above (sign +1) or below (sign −1)."""
    kept: list[tuple[int, Fraction]] = []
    for time, price in times.since(now, window_s):
        if not isinstance(price, Fraction):
            raise VerificationFailed("a price that is no ratio")
        while kept and sign * kept[-1][1] >= sign * price:
            kept.pop()
        kept.append((time, price))
    return kept


# ------------------------------------------------------------------------------------------ taking


def take(agent: Agent, entry: Entry) -> None:
    """Apply one `history_part`.

    Raises:
        VerificationFailed: it is not the part that is due, or a row is none.
    """
    require(agent.awaits, "takes a history that this gate does not await")
    part, digest = canonical.integer_of(entry["part"]), str(entry["history_sha256"])
    number, epoch = len(agent.taking.sizes), canonical.integer_of(entry["epoch"])
    if part == 0:
        agent.begin_anew(digest)
    else:
        due = (agent.taking.sha256, number) == (digest, part)
        require(due, f"is part {part} of a history of which part {number} is due")
    found = [canonical.array_of(row) for row in canonical.array_of(entry["rows"])]
    _divided(agent, found)
    for row in found:
        try:
            _apply(agent, row)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise VerificationFailed("has a row that cannot be read") from error
    if not entry["last"]:
        return
    whole = agent.taking.digest.hexdigest()
    require(whole == digest, "ends a history of another digest than it names")
    agent.history = max(agent.history, epoch)
    agent.taking.sizes.clear()
    agent.taking.sha256 = ""


def _divided(agent: Agent, found: list[Row]) -> None:
    """The part is as large as it must be; its bytes go into the digest."""
    taking, sizes = agent.taking, []
    for row in found:
        data = canonical.encode(row)
        require(len(data) < _ROW_BYTES_MAX, "has a row that is too long")
        taking.digest.update(data + b"\n")
        sizes.append(len(data))
    require(len(sizes) > 0, "is empty")
    small = sum(sizes) <= _PART_BYTES_MAX or len(sizes) == 1
    full = not taking.sizes or taking.sizes[-1] + sizes[0] > _PART_BYTES_MAX
    require(small and full, "divides the history in another way")
    taking.sizes.append(sum(sizes))


def _apply(agent: Agent, row: Row) -> None:
    kind, *members = row
    if kind == "history":
        require(not agent.taking.begun and len(members) == 5, "has a head elsewhere than first")
        require(members[0] == SCHEMA, "has a history of another schema")
        agent.taking.begun = True
        return
    require(agent.taking.begun, "begins without its head")
    if agent.behaviour.take_row(str(kind), members):
        return
    effect = _EFFECTS.get(str(kind))
    if effect is None:
        raise VerificationFailed(f"has a row of no known kind: {kind}")
    effect(agent, members)


def _counters(agent: Agent, members: Row) -> None:
    day, gross, orders, failures, orphans, unbooked = (int(str(one)) for one in members)
    agent.day, agent.gross, agent.orders, agent.failures = day, gross, orders, failures
    agent.orphans, agent.unbooked = orphans, unbooked


def _latches(agent: Agent, members: Row) -> None:
    mode, latches = str(members[0]), canonical.array_of(members[1])
    agent.latches |= {str(one) for one in latches}
    agent.shutdown = max(mode, agent.shutdown, key=MODES.index)


def _begun(agent: Agent, members: Row) -> None:
    day, ids_from = members
    agent.begun = int(str(day)), canonical.text_of(ids_from)


def _position(agent: Agent, members: Row) -> None:
    agent.positions[str(members[0])] = int(str(members[1]))


def _leg(agent: Agent, members: Row) -> None:
    pair, currency, low, high, counted = members
    legs = agent.legs[str(pair)]
    legs.bounds[str(currency)] = int(str(low)), int(str(high))
    if counted:
        legs.counted.add(str(currency))


def _order(asked: dict[str, object]) -> Working:
    """A working order as its canonical form says it; what it reserves is not known by that."""
    market, side, price = str(asked["market"]), str(asked["side"]), asked.get("price")
    return Working(
        order_id=str(asked["client_order_id"]),
        decision=-1,
        market=market,
        pair=prices.pair_of(market).name,
        side=side,
        direction=prices.direction(market, side),
        currency=str(asked["currency"]),
        order_type=str(asked["order_type"]),
        price=None if price is None else canonical.amount(price),
        quantity=canonical.amount(asked["quantity"]),
        venue=str(asked["venue"]),
        account=str(asked["account"]),
        counterparty=str(asked.get("counterparty", "")),
        asked=asked,
        total=0,
        reserved=0,
    )


def _take_working(agent: Agent, members: Row) -> None:
    name, asked, total, reserved, filled, phase, others, pending = members
    order = _order(canonical.object_of(asked))
    require(order.order_id == name, "has an order under another id than its own")
    order.decision = -2 - len(agent.working)  # of no decision of this log
    order.total, order.reserved = int(str(total)), int(str(reserved))
    order.filled, order.phase = int(str(filled)), str(phase)
    if pending is not None:
        becomes, cost = canonical.array_of(pending)
        made = canonical.object_of(becomes)
        later = _order(made)
        order.pending = Pending(
            later.order_id, later.quantity, later.price, int(str(cost)), order.decision, made
        )
    agent.open_order(order)
    for other in canonical.array_of(others):
        agent.name_order(order, str(other))


def _take_ended(agent: Agent, members: Row) -> None:
    names, asked, *numbers = members
    plain = canonical.object_of(asked)
    order = _order(plain)
    total, quantity, filled, at, day = (int(str(one)) for one in numbers)
    ended = Ended(
        order.market,
        order.currency,
        order.pair,
        order.direction,
        total,
        order.quantity,
        quantity,
        filled,
        at,
        day,
        plain,
    )
    agent.ended |= {str(name): ended for name in canonical.array_of(names)}


def _content(agent: Agent, members: Row) -> None:
    agent.contents[str(members[1])].put(int(str(members[0])), None)


def _counterparty(agent: Agent, members: Row) -> None:
    agent.counterparties.put(int(str(members[0])), (str(members[1]), int(str(members[2]))))


def _price(agent: Agent, members: Row) -> None:
    pair, time, num, den = members
    agent.prices[str(pair)].insert(int(str(time)), Fraction(int(str(num)), int(str(den))))


def _id(agent: Agent, members: Row) -> None:
    name, digest, outcome, codes = map(str, members)
    agent.known_ids.add(name)
    agent.answered[name] = Answered(digest, outcome, codes)


_EFFECTS = {
    "counters": _counters,
    "latches": _latches,
    "begun": _begun,
    "position": _position,
    "leg": _leg,
    "working": _take_working,
    "ended": _take_ended,
    "message": lambda agent, members: agent.messages.put(int(str(members[0])), None),
    "content": _content,
    "counterparty": _counterparty,
    "execution": lambda agent, members: agent.executions.put(int(str(members[0])), None),
    "low": _price,
    "high": _price,
    "executed": lambda agent, members: agent.exec_ids.add((str(members[0]), str(members[1]))),
    "id": _id,
}
