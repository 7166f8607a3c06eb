# SPDX-License-Identifier: Apache-2.0
"""The record of one agent in the gate's state (docs/spec/checks.md section 2).

Plain data with the sums that the checks read; `fold` says which entry changes what.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

from sekisho_verify.behaviour import Behaviour
from sekisho_verify.canonical import SECOND, UNIT, cents_up
from sekisho_verify.legs import Legs
from sekisho_verify.limits import Scope
from sekisho_verify.outside import Ended
from sekisho_verify.policy import Policy


@dataclasses.dataclass
class Pending:
    """An amendment that the venue has not answered yet."""

    order_id: str
    quantity: int
    price: int | None
    total: int
    decision: int
    asked: dict[str, object]


@dataclasses.dataclass
class Working:
    """One working order. Money and quantities count 1e-8; `price` as written for the market.

    `asked` is the order as a canonical `new` one, with the changes that the venue confirmed.
    """

    order_id: str
    decision: int
    market: str
    pair: str
    side: str
    direction: int
    currency: str
    order_type: str
    price: int | None
    quantity: int
    venue: str
    account: str
    counterparty: str
    asked: dict[str, object]
    total: int
    reserved: int
    filled: int = 0
    phase: str = "permitted"
    pending: Pending | None = None
    names: list[str] = dataclasses.field(default_factory=list)

    def share(self, total: int, quantity: int) -> int:
        """What `total` for `quantity` still reserves: × leaves / quantity, up to the cent."""
        leaves = max(0, quantity - self.filled)
        return cents_up(Fraction(total * leaves, quantity))


_BEGUN_ANEW = (
    "gross orders working by_name ended open_reserved reserved_by_side positions legs messages "
    "contents counterparties prices executions failures orphans unbooked behaviour begun"
).split()


class Times:
    """A list of (time, what) that forgets what is older than its window when it grows."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._items: list[object] = []

    def add(self, now: int, item: object, window_s: int) -> None:
        """Append, then forget time ≤ now − window_s."""
        self._times.append(now)
        self._items.append(item)
        old = bisect.bisect_right(self._times, now - window_s * SECOND)
        if old:
            del self._times[:old], self._items[:old]

    def put(self, time: int, item: object) -> None:
        """Append and forget nothing."""
        self._times.append(time)
        self._items.append(item)

    def insert(self, time: int, item: object) -> None:
        """Put at its place by time, behind those of the same."""
        at = bisect.bisect_right(self._times, time)
        self._times.insert(at, time)
        self._items.insert(at, item)

    def since(self, now: int, window_s: int) -> list[tuple[int, object]]:
        """What has now − window_s < time, with its time."""
        start = bisect.bisect_right(self._times, now - window_s * SECOND)
        return list(zip(self._times[start:], self._items[start:], strict=True))

    def count(self, now: int, window_s: int) -> int:
        """How many with now − window_s < time ≤ now."""
        times = self._times
        return bisect.bisect_right(times, now) - bisect.bisect_right(times, now - window_s * SECOND)

    def within(self, now: int, window_s: int) -> list[object]:
        """What has now − window_s < time ≤ now."""
        start = bisect.bisect_right(self._times, now - window_s * SECOND)
        return self._items[start : bisect.bisect_right(self._times, now)]

    def clear(self) -> None:
        """Forget all."""
        self._times.clear()
        self._items.clear()


class Answered(NamedTuple):
    """What an id was answered first: digest of the order, outcome, codes of a refusal."""

    sha256: str
    outcome: str
    codes: str


class Taking:
    """A history that is being taken: its digest, sizes of its parts so far, and their bytes."""

    def __init__(self, sha256: str = "") -> None:
        self.sha256 = sha256
        self.sizes: list[int] = []
        self.digest = hashlib.sha256()
        self.begun = False


class Agent:
    """The record of one agent."""

    def __init__(self, first_day: int) -> None:
        self.certificate_sha256 = ""
        self.not_before = self.not_after = 0
        self.validity_texts = ("", "")
        self.status = "good"
        self.stopped = False  # people stopped the agent at the gate, and that stands
        self.epoch = 0
        self.policy: Policy
        self.day = first_day
        self.gross = 0
        self.orders = 0
        self.known_ids: set[str] = set()
        self.working: dict[int, Working] = {}
        self.by_name: dict[str, Working] = {}
        self.ended: dict[str, Ended] = {}
        self.open_reserved = 0
        self.reserved_by_side: dict[tuple[str, int], int] = defaultdict(int)
        self.positions: dict[str, int] = defaultdict(int)
        self.legs: dict[str, Legs] = defaultdict(Legs)
        self.messages = Times()
        self.contents: dict[str, Times] = defaultdict(Times)
        self.counterparties = Times()
        self.prices: dict[str, Times] = defaultdict(Times)
        self.executions = Times()
        self.exec_ids: set[tuple[str, str]] = set()
        self.failures = 0
        self.latches: set[str] = set()
        self.orphans = 0
        self.unbooked = 0
        self.shutdown = ""
        self.narrowed = -1
        self.behaviour = Behaviour()
        self.answered: dict[str, Answered] = {}
        self.unanswered: dict[int, str] = {}  # decision of a permitted order → its id
        self.left = False  # on hold because it moved away, and for nothing else
        self.awaited = self.history = 0  # epochs of moves: awaited, and taken
        self.awaited_from = ""
        self.begun: tuple[int, str] | None = None  # day used up, begin of ids: history was lost
        self.taking = Taking()

    @property
    def awaits(self) -> bool:
        """Whether the agent's history is not here."""
        return self.awaited > self.history

    def begin_anew(self, history_sha256: str) -> None:
        """A history begins: what this gate counted of the agent itself is in it, or is dropped."""
        fresh = Agent(self.day)
        for name in _BEGUN_ANEW:
            setattr(self, name, getattr(fresh, name))
        self.taking = Taking(history_sha256)

    @property
    def scope(self) -> Scope:
        """The limits in force."""
        return self.policy.scope

    def reserve(self, order: Working, amount: int) -> None:
        """Set what an order reserves, and the sums over it."""
        self.open_reserved += amount - order.reserved
        self.reserved_by_side[order.pair, order.direction] += amount - order.reserved
        order.reserved = amount

    def open_order(self, order: Working) -> None:
        """Add a working order with what it reserves."""
        amount, order.reserved = order.reserved, 0
        self.working[order.decision] = order
        self.name_order(order, order.order_id)
        self.reserve(order, amount)

    def name_order(self, order: Working, order_id: str) -> None:
        """Let reports find the order under one more id."""
        order.names.append(order_id)
        self.by_name[order_id] = order

    def close(self, order: Working) -> None:
        """The order is no longer a working order."""
        self.reserve(order, 0)
        self.working.pop(order.decision, None)
        for name in order.names:
            self.by_name.pop(name, None)

    def end(self, order: Working, at: int) -> None:
        """The venue's word that the order has ended, by its time: kept until the day after next."""
        pending = order.pending
        most = order.quantity if pending is None else max(order.quantity, pending.quantity)
        ended = Ended(
            order.market,
            order.currency,
            order.pair,
            order.direction,
            order.total,
            order.quantity,
            most,
            order.filled,
            at,
            self.day,
            order.asked,
        )
        self.ended |= dict.fromkeys(order.names, ended)
        self.close(order)

    def drop_pending(self, order: Working, at: int) -> None:
        """An amendment came to nothing, as is known since `at`: the order reserves again what it
        does without it, and ends where nothing is left.
        """
        if order.pending is not None:
            self.by_name.pop(order.pending.order_id, None)
            order.names.remove(order.pending.order_id)
            order.pending = None
            self.reserve(order, order.share(order.total, order.quantity))
            if order.filled >= order.quantity:
                self.end(order, at)

    def count_legs(self, order: Working | Ended, fill: tuple[int, int]) -> None:
        """A fill (quantity, price) moves both legs of its pair; without a price it is unbooked."""
        base, _, quote = order.market.partition("/")
        quantity, price = fill
        if price == 0:
            self.unbooked += 1
            return
        ratio = Fraction(price, UNIT) if order.currency == base else Fraction(UNIT, price)
        other = quote if order.currency == base else base
        moved = {order.currency: Fraction(quantity), other: quantity * ratio}
        self.legs[order.pair].fill(moved, order.currency, order.direction)

    def fail(self) -> None:
        """One failure more, and its latch (2.3)."""
        self.failures += 1
        limit = self.scope.failures_max
        if limit is not None and self.failures >= limit:
            self.latches.add("consecutive_failures")

    def count_messages(self, now: int) -> int:
        """Messages within the window, 0 without the limit."""
        rate = self.scope.message_rate
        return 0 if rate is None else self.messages.count(now, rate.window_s)
