# SPDX-License-Identifier: Apache-2.0
"""Rates of a rehearsal, behind the ``RateSource`` port: a file's, or the rows' own prices.

Both move with the orders: :meth:`~RateFile.advance` to an order's time, then the gate asks. What a
source quotes at a time is the last row at or before it, so no order is judged by what came later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sekisho.adapters.history.tables import Record, Table
from sekisho.adapters.venues.market import Best, inverted
from sekisho.core.amounts import parse_amount
from sekisho.core.drills.history import (
    BadRow,
    HistoryRow,
    RowTimes,
    bad_row,
    read_market,
    read_name,
    read_time,
)
from sekisho.core.errors import MalformedInput
from sekisho.core.markets import pair_of
from sekisho.core.terms import format_instant
from sekisho.ports import Quotation

RATE_COLUMNS = ("time", "market", "bid", "ask", "source")


class _RateRow(NamedTuple):
    at: int
    sources: tuple[str, ...]
    quotation: Quotation


class QuotedTable:
    """The last quotation of each source for each pair."""

    def __init__(self) -> None:
        self._quoted: dict[str, dict[str, Quotation]] = {}

    def put(self, quotation: Quotation) -> None:
        """Take the next quotation of its source."""
        self._quoted.setdefault(pair_of(quotation.market)[0], {})[quotation.source] = quotation

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """All sources' quotations of the pairs, as ``RateSource`` wants them."""
        return tuple(
            quotation for pair in pairs for quotation in self._quoted.get(pair, {}).values()
        )

    def best(self, market: str, at_ns: int) -> Best | None:  # noqa: ARG002 - the last there is
        """Bid and ask by the source that quoted first, in the market's own orientation."""
        for quotation in self._quoted.get(pair_of(market)[0], {}).values():
            quoted = Best(parse_amount(quotation.bid), parse_amount(quotation.ask))
            if not 0 < quoted.bid <= quoted.ask:
                return None
            return quoted if quotation.market == market else inverted(quoted)
        return None


class RateFile(QuotedTable):
    """Rates of a file, streamed in step with the orders.

    Args:
        path: CSV or JSON Lines: ``time, market, bid, ask`` and perhaps ``source``.
        sources: the policy's sources. A row without a source is taken for all of them; a row of
            another source is passed over.

    Raises:
        ConfigurationInvalid: as :class:`Table`.
    """

    def __init__(self, path: Path, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.table = Table(path, RATE_COLUMNS, RATE_COLUMNS[:4])
        self.rows = 0
        self.passed_over = 0
        self._sources = sources
        self._report: Callable[[BadRow], None] = _unread
        self.times = RowTimes()
        self._rest = self._read(self.table.records())
        self._next: _RateRow | None = None
        self._begun = False

    def report_to(self, report: Callable[[BadRow], None]) -> None:
        """Tell ``report`` of each row that cannot be read; before the first :meth:`advance`."""
        self._report = report

    def advance(self, row: HistoryRow) -> None:
        """Take every rate up to the order's time, that time included."""
        if not self._begun:
            self._begun = True
            self._next = next(self._rest, None)
        while self._next is not None and self._next.at <= row.at:
            for source in self._next.sources:
                quotation = self._next.quotation
                if quotation.source != source:
                    quotation = Quotation(
                        market=quotation.market,
                        source=source,
                        bid=quotation.bid,
                        ask=quotation.ask,
                        quoted_at=quotation.quoted_at,
                    )
                self.put(quotation)
            self._next = next(self._rest, None)

    def close(self) -> None:
        """Let go of the file."""
        self.table.close()

    def _read(self, records: Iterator[Record]) -> Iterator[_RateRow]:
        for line, fields, fault in records:
            try:
                if fault is not None:
                    raise fault
                found = self._row(fields)
                self.times.take(found.at, line)
            except MalformedInput as error:
                self._report(bad_row(self.table.name, line, error))
                continue
            self.rows += 1
            if found.sources:
                yield found
            else:
                self.passed_over += 1

    def _row(self, fields: Mapping[str, str]) -> _RateRow:
        for column in RATE_COLUMNS[:4]:
            if not fields.get(column):
                raise MalformedInput(f"{column}: is empty", column)
        at = read_time(fields["time"], "time")
        bid, ask = fields["bid"], fields["ask"]
        parse_amount(bid, "bid")
        parse_amount(ask, "ask")
        named = fields.get("source", "")
        sources = self._sources
        if named:
            sources = tuple(name for name in self._sources if name == read_name(named, "source"))
        quotation = Quotation(
            market=read_market(fields["market"]),
            source=named,
            bid=bid,
            ask=ask,
            quoted_at=format_instant(at),
        )
        return _RateRow(at, sources, quotation)


def _unread(row: BadRow) -> None:
    raise MalformedInput(f"{row.file} line {row.line}: {row.problem}", row.column)


class OwnPrices(QuotedTable):
    """Rates made of the orders' own prices, where there are no others.

    Each row with a price is a quotation of its market by every source, bid and ask alike. So an
    order is compared with itself: collar, spread and the agreement of sources then say nothing.
    """

    def __init__(self, sources: tuple[str, ...]) -> None:
        super().__init__()
        self._sources = sources

    def advance(self, row: HistoryRow) -> None:
        """Take the order's own price, if it has one."""
        if not row.own_price:
            return
        quoted_at = format_instant(row.at)
        for source in self._sources:
            self.put(
                Quotation(
                    market=row.market,
                    source=source,
                    bid=row.own_price,
                    ask=row.own_price,
                    quoted_at=quoted_at,
                )
            )

    def close(self) -> None:
        """There is nothing to let go of."""
