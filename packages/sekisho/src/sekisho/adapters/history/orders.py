# SPDX-License-Identifier: Apache-2.0
"""A file of a firm's own orders, row by row in the file's order (docs/reference/rehearse.md).

Rows are not sorted here: a row that lies before an earlier one is a bad row, since sorting would
hide that the file is not what it seems, and would need all of it in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sekisho.adapters.history.tables import Record, Table
from sekisho.core.drills.history import (
    COLUMNS,
    NEEDED,
    BadRow,
    HistoryRow,
    RowDefaults,
    RowTimes,
    bad_row,
    read_row,
)
from sekisho.core.errors import MalformedInput


class OrderFile:
    """The rows of one file. Raises ConfigurationInvalid where :class:`Table` does."""

    def __init__(self, path: Path, names: Mapping[str, str] | None = None) -> None:
        self.table = Table(path, COLUMNS, NEEDED, names)
        self.times = RowTimes()

    def rows(self, defaults: RowDefaults) -> Iterator[HistoryRow | BadRow]:
        """Each row as an order, or as what is wrong with it.

        Raises:
            ConfigurationInvalid: a CSV file without a header that names the needed columns.
        """
        return self._rows(self.table.records(), defaults)

    def _rows(
        self, records: Iterator[Record], defaults: RowDefaults
    ) -> Iterator[HistoryRow | BadRow]:
        for line, fields, fault in records:
            try:
                if fault is not None:
                    raise fault
                row = read_row(fields, line, defaults)
                self.times.take(row.at, line)
            except MalformedInput as error:
                yield bad_row(self.table.name, line, error)
            else:
                yield row

    def close(self) -> None:
        """Let go of the file."""
        self.table.close()
