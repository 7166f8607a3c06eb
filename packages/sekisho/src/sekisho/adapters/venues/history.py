# SPDX-License-Identifier: Apache-2.0
"""The venue of a rehearsal, behind the ``Venue`` port: it answers what the history tells.

Before each order it is told the row; a permit that it then gets is that row's. What happened later
comes later: fills and ends wait for their own time, and :meth:`due` hands them out. An order of
which the history tells nothing is acknowledged and ends at once, with nothing executed: no
execution is made up. It looks into no permit: what a permit says is the gate's own tests' business.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping

from sekisho.adapters.venues.market import Market
from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.drills.history import HistoryOutcome, HistoryRow
from sekisho.core.errors import Unavailable
from sekisho.core.terms import format_instant
from sekisho.ports import ExecType, VenueReport

_Event = tuple[int, int, str, tuple[VenueReport, ...]]


class HistoryVenue:
    """One venue under whatever names the orders use.

    Args:
        agent: whose history it is.
        market: where the price of a fill comes from that the history does not price.
        day_end: the end of the policy day of an instant, ns UTC: day orders end there.
    """

    def __init__(self, agent: str, market: Market, day_end: Callable[[int], int]) -> None:
        self._agent = agent
        self._market = market
        self._day_end = day_end
        self._row: HistoryRow | None = None
        self._waiting: list[_Event] = []
        self._count = 0

    @property
    def name(self) -> str:
        """What it is, where no order names it."""
        return "HISTORY"

    def expect(self, row: HistoryRow) -> None:
        """The next permit is for this row."""
        self._row = row

    def next_at(self) -> int | None:
        """When the next report is due, ns UTC; None when nothing waits."""
        return self._waiting[0][0] if self._waiting else None

    def due(self, now: int) -> tuple[str, tuple[VenueReport, ...]] | None:
        """The next reports whose time has come, with their venue's name; None when there are none.

        Reports come in the order of their times, equal times in the order of their orders.
        """
        if not self._waiting or self._waiting[0][0] > now:
            return None
        _, _, venue, reports = heapq.heappop(self._waiting)
        return venue, reports

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        """What the venue says at once; the rest waits. Raises Unavailable for no known row."""
        row, self._row = self._row, None
        if row is None:
            raise Unavailable(f"a permit of {len(permit)} characters for no row of the history")
        outcome = row.outcome
        if outcome is None:
            return self._reports(row, row.at, "new", "canceled")
        if outcome.status == "rejected":
            return self._when(row, outcome.at, ("rejected",), ())
        new = (self._report(row, row.at, "new", leaves=row.quantity),)
        if outcome.status == "open":
            return self._rest(row, outcome, new)
        trades = self._trades(row, outcome)
        filled = bool(trades) and trades[-1].leaves_quantity == "0"
        ends: tuple[ExecType, ...] = ()
        if not filled:
            ends = ("expired",) if outcome.status == "expired" else ("canceled",)
        return self._when(row, outcome.at, ends, new, trades)

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        """The history alone ends its orders. Raises Unavailable."""
        raise Unavailable(f"{agent}: the history ends {client_order_id} when its time comes")

    async def open_orders(
        self,
        agent: str,  # noqa: ARG002 - the port's signature
    ) -> tuple[str, ...]:
        """Nothing: the history begins with the gate, and tells of orders when their time comes."""
        return ()

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        """The history tells each thing once. Raises Unavailable."""
        raise Unavailable(f"{agent}: the history tells of {client_order_id} when its time comes")

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        """Nothing: reports come by :meth:`due`."""
        return sequence, ()

    # -- what happens ----------------------------------------------------------------------------

    def _rest(
        self, row: HistoryRow, outcome: HistoryOutcome, new: tuple[VenueReport, ...]
    ) -> tuple[VenueReport, ...]:
        """An order that the history leaves open: what was executed, then its own end, if any."""
        trades = self._trades(row, outcome)
        if row.time_in_force in ("ioc", "fok"):
            return self._when(row, outcome.at, ("canceled",), new, trades)
        now = self._when(row, outcome.at, (), new, trades)
        if row.time_in_force == "day":
            # Within the day still: at midnight it would count against the next day's cap.
            end = max(self._day_end(row.at) - 1, outcome.at)
            self._later(row, end, (self._report(row, end, "expired"),))
        return now

    def _when(
        self,
        row: HistoryRow,
        at: int,
        ends: tuple[ExecType, ...],
        new: tuple[VenueReport, ...],
        trades: tuple[VenueReport, ...] = (),
    ) -> tuple[VenueReport, ...]:
        """All at once if it happened at the order's own time, else the rest at its time."""
        rest = (*trades, *(self._report(row, at, end) for end in ends))
        if at == row.at:
            return (*new, *rest)
        if rest:
            self._later(row, at, rest)
        return new

    def _later(self, row: HistoryRow, at: int, reports: tuple[VenueReport, ...]) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, row.venue, reports))

    # -- reports -----------------------------------------------------------------------------------

    def _trades(self, row: HistoryRow, outcome: HistoryOutcome) -> tuple[VenueReport, ...]:
        filled = outcome.filled_quantity
        if parse_amount(filled) == 0:
            return ()
        leaves = max(0, parse_amount(row.quantity) - parse_amount(filled))
        return (
            self._report(
                row,
                outcome.at,
                "trade",
                quantity=filled,
                price=outcome.fill_price or self._price(row),
                leaves=format_amount(leaves),
                counterparty=outcome.counterparty,
            ),
        )

    def _price(self, row: HistoryRow) -> str:
        """The order's own price, else the reference's middle; 0 where neither is known."""
        if row.own_price:
            return row.own_price
        best = self._market.best(row.market, row.at)
        return "0" if best is None else format_amount((best.bid + best.ask) // 2)

    def _reports(self, row: HistoryRow, at: int, *kinds: ExecType) -> tuple[VenueReport, ...]:
        return tuple(self._report(row, at, kind) for kind in kinds)

    def _report(
        self,
        row: HistoryRow,
        at: int,
        kind: ExecType,
        *,
        quantity: str = "0",
        price: str = "0",
        leaves: str = "0",
        counterparty: str = "",
    ) -> VenueReport:
        self._count += 1
        return VenueReport(
            agent=self._agent,
            client_order_id=row.client_order_id,
            venue_order_id=f"line-{row.line}",
            exec_id=f"h-{self._count}",
            exec_type=kind,
            last_quantity=quantity,
            last_price=price,
            cum_quantity=quantity,
            leaves_quantity=leaves,
            counterparty=counterparty,
            reason="",
            transact_at=format_instant(at),
        )


class EveryVenue(Mapping[str, HistoryVenue]):
    """The one venue under every name, and under its own alone when the names are listed."""

    def __init__(self, venue: HistoryVenue) -> None:
        self._venue = venue

    def __getitem__(self, name: str) -> HistoryVenue:
        return self._venue

    def __iter__(self) -> Iterator[str]:
        return iter((self._venue.name,))

    def __len__(self) -> int:
        return 1
