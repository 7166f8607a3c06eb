# SPDX-License-Identifier: Apache-2.0
"""The files of a rehearsal: orders in their order, rates in step, the folder of results."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sekisho.adapters.history.orders import OrderFile
from sekisho.adapters.history.rates import OwnPrices, RateFile
from sekisho.adapters.history.results import ResultFolder
from sekisho.adapters.venues.market import Best
from sekisho.core.amounts import parse_amount
from sekisho.core.drills.history import BadRow, HistoryRow, RowDefaults, read_row
from sekisho.core.errors import ConfigurationInvalid, MalformedInput

DEFAULTS = RowDefaults(venue="PAPER")
HEADER = "time,market,side,quantity,price"


def row(time: str, price: str = "1.085", market: str = "EUR/USD") -> HistoryRow:
    """One order at a time of the day."""
    fields = {
        "time": f"2026-05-04T{time}Z",
        "market": market,
        "side": "buy",
        "quantity": "1000",
        "price": price,
    }
    return read_row(fields, 2, DEFAULTS)


def orders(folder: Path, *lines: str) -> list[HistoryRow | BadRow]:
    """What a file of these lines holds."""
    path = folder / "orders.csv"
    path.write_text("\n".join((HEADER, *lines)), encoding="utf-8")
    file = OrderFile(path)
    found = list(file.rows(DEFAULTS))
    file.close()
    return found


def test_orders_row_out_of_order_is_bad_and_not_sorted(tmp_path: Path) -> None:
    """Equal times keep the file's order; an earlier one is left out, and said to be."""
    found = orders(
        tmp_path,
        "2026-05-04T10:00:00Z,EUR/USD,buy,1,1",
        "2026-05-04T10:00:00Z,EUR/USD,buy,2,1",
        "2026-05-04T09:59:59Z,EUR/USD,buy,3,1",
        "2026-05-04T10:00:01Z,EUR/USD,buy,4,1",
    )
    assert ["1", "2", "4"] == [one.quantity for one in found if isinstance(one, HistoryRow)]
    (bad,) = (one for one in found if isinstance(one, BadRow))
    assert ("orders.csv", 4, "time") == (bad.file, bad.line, bad.column)
    assert "time: lies before that of line 3, 2026-05-04T10:00:00.000000000Z" == bad.problem
    assert "if that line's time is wrong, correct it there; else sort the file by time" == bad.do


def test_orders_row_that_cannot_be_read_moves_no_time(tmp_path: Path) -> None:
    """A time in a row that is bad for another reason does not put later rows out of order."""
    found = orders(
        tmp_path,
        "2026-05-04T12:00:00Z,EUR/USD,buy,none,1",
        "short",
        "2026-05-04T10:00:00Z,EUR/USD,buy,2,1",
    )
    assert [2, 3, 4] == [one.line for one in found]
    assert [BadRow, BadRow, HistoryRow] == [type(one) for one in found]


def rates(folder: Path, *lines: str, header: str = "time,market,bid,ask,source") -> RateFile:
    """Rates of these lines for the sources A and B; a bad row fails the test unless told."""
    path = folder / "rates.csv"
    path.write_text("\n".join((header, *lines)), encoding="utf-8")
    return RateFile(path, ("A", "B"))


def quoted(source: RateFile | OwnPrices, pair: str = "EUR/USD") -> list[tuple[str, str, str]]:
    """Source, bid and time of day of what is quoted now."""
    found = asyncio.run(source.quotations((pair,)))
    return [(one.source, one.bid, one.quoted_at[11:19]) for one in found]


def test_rates_quote_what_was_at_or_before_the_order(tmp_path: Path) -> None:
    """The last rate at the order's time, that time included; nothing of what comes later."""
    file = rates(
        tmp_path,
        "2026-05-04T10:00:00Z,EUR/USD,1.1,1.2,A",
        "2026-05-04T10:00:05Z,EUR/USD,1.3,1.4,A",
        "2026-05-04T10:00:09Z,EUR/USD,1.5,1.6,A",
    )
    assert [] == quoted(file)
    file.advance(row("09:59:59"))
    assert [] == quoted(file)
    file.advance(row("10:00:05"))
    assert [("A", "1.3", "10:00:05")] == quoted(file)
    file.advance(row("11:00:00"))
    assert [("A", "1.5", "10:00:09")] == quoted(file)
    file.close()


def test_rates_without_source_are_of_all_and_others_are_passed_over(tmp_path: Path) -> None:
    """No source: every source of the policy. A source that the policy does not name: none."""
    file = rates(
        tmp_path,
        "2026-05-04T10:00:00Z,EUR/USD,1.1,1.2,",
        "2026-05-04T10:00:01Z,EUR/USD,1.3,1.4,B",
        "2026-05-04T10:00:02Z,EUR/USD,1.5,1.6,C",
    )
    file.advance(row("10:00:02"))
    assert [("A", "1.1", "10:00:00"), ("B", "1.3", "10:00:01")] == quoted(file)
    assert (3, 1) == (file.rows, file.passed_over)
    file.close()


def test_rates_bad_rows_are_reported_and_passed_over(tmp_path: Path) -> None:
    """Nothing that cannot be read becomes a rate, and each is named."""
    file = rates(
        tmp_path,
        "2026-05-04T10:00:00Z,EUR/USD,1.1,,A",
        "2026-05-04T10:00:00,EUR/USD,1.1,1.2,A",
        "2026-05-04T10:00:01Z,EUR/USD,x,1.2,A",
        "2026-05-04T10:00:02Z,EUR/USD,1.1,1.2,A",
        "2026-05-04T10:00:01Z,EUR/USD,1.1,1.2,A",
        "2026-05-04T10:00:03Z,EUR/USD,1.1,1.2,a b",
    )
    bad: list[BadRow] = []
    file.report_to(bad.append)
    file.advance(row("11:00:00"))
    assert [(2, "ask"), (3, "time"), (4, "bid"), (6, "time"), (7, "source")] == [
        (one.line, one.column) for one in bad
    ]
    assert [("A", "1.1", "10:00:02")] == quoted(file)
    file.close()


def test_rates_row_without_a_column_is_bad(tmp_path: Path) -> None:
    """An object that lacks what is needed is named, like an empty field."""
    path = tmp_path / "rates.jsonl"
    path.write_text('{"time": "2026-05-04T10:00:00Z", "bid": 1, "ask": 1}\n', encoding="utf-8")
    file, bad = RateFile(path, ("A",)), list[BadRow]()
    file.report_to(bad.append)
    file.advance(row("11:00:00"))
    assert [(1, "market")] == [(one.line, one.column) for one in bad]
    file.close()


def test_rates_bad_row_that_nobody_is_told_of_is_raised(tmp_path: Path) -> None:
    """Without anybody to tell, a bad rate is not dropped in silence."""
    file = rates(tmp_path, "2026-05-04T10:00:00Z,EUR/USD,x,1.2,A")
    with pytest.raises(MalformedInput, match=r"rates.csv line 2: bid"):
        file.advance(row("11:00:00"))
    file.close()


def test_rates_best_is_the_first_sources_in_the_markets_orientation(tmp_path: Path) -> None:
    """What a fill without a price is valued at; a crossed market has none."""
    file = rates(
        tmp_path,
        "2026-05-04T10:00:00Z,EUR/USD,1.25,1.25,A",
        "2026-05-04T10:00:00Z,EUR/GBP,0.9,0.8,A",
    )
    file.advance(row("10:00:00"))
    assert Best(parse_amount("1.25"), parse_amount("1.25")) == file.best("EUR/USD", 0)
    assert Best(parse_amount("0.8"), parse_amount("0.8")) == file.best("USD/EUR", 0)
    assert (None, None) == (file.best("GBP/EUR", 0), file.best("EUR/CHF", 0))
    file.close()


def test_own_prices_are_every_sources_quotation() -> None:
    """Each price is a quotation of its market by all sources; a row without one changes nothing."""
    prices = OwnPrices(("A", "B"))
    prices.advance(row("10:00:00", "1.085"))
    prices.advance(row("10:00:01", ""))
    assert [("A", "1.085", "10:00:00"), ("B", "1.085", "10:00:00")] == quoted(prices)


def test_results_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Results never mix with anything; an empty folder will do."""
    ResultFolder(tmp_path / "new").close_lines()
    (tmp_path / "empty").mkdir()
    ResultFolder(tmp_path / "empty").close_lines()
    for taken in (tmp_path / "new", tmp_path / "new" / "decisions.jsonl"):
        with pytest.raises(ConfigurationInvalid, match="not an empty folder"):
            ResultFolder(taken)


def test_results_lines_and_documents_are_json(tmp_path: Path) -> None:
    """A line a row, and documents with their keys sorted."""
    folder = ResultFolder(tmp_path / "out")
    folder.bad_row(BadRow(file="o.csv", line=3, column="time", problem="é", do="x"))
    folder.close_lines()
    folder.write_json("summary.json", {"b": 1, "a": [True]})
    line = (tmp_path / "out/bad-rows.jsonl").read_text(encoding="utf-8")
    assert {"file": "o.csv", "line": 3, "column": "time", "problem": "é", "do": "x"} == json.loads(
        line
    )
    assert '{\n  "a": [\n    true\n  ],\n  "b": 1\n}\n' == (
        tmp_path / "out/summary.json"
    ).read_text(encoding="utf-8")
