# SPDX-License-Identifier: Apache-2.0
"""Files that people write, under any bytes: read, or refused in words with the file's name."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.history.orders import OrderFile
from sekisho.adapters.history.rates import RateFile
from sekisho.compose.gate_config import read_gate_config
from sekisho.compose.paper_config import read_paper_config
from sekisho.config import FILE, read_config
from sekisho.core.amounts import parse_amount
from sekisho.core.drills.history import BadRow, HistoryRow, RowDefaults, read_row
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import parse_instant
from tests.unit.compose.test_gate_config import MINIMAL
from tests.unit.compose.test_paper_config import GOOD

LATER = read_row(
    {"time": "2027-01-01T00:00:00Z", "market": "EUR/USD", "side": "buy", "quantity": "1"},
    2,
    RowDefaults(venue="PAPER"),
)
HOME = 'issuer_name = "Issuer"\n[serve]\n[[serve.listen]]\naddress = "unix:a.sock"\n'
CONFIGURATIONS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "gate": (MINIMAL, lambda folder: read_gate_config(folder / FILE)),
    "paper venue": (GOOD, lambda folder: read_paper_config(folder / FILE)),
    "home": (HOME, read_config),
}
DEEP = [b"a=" + b"[" * 5_000, b"a=" + b"{b=" * 5_000, b"a" + b".a" * 1_000 + b"=1"]


def read(name: str, content: bytes) -> bool:
    """Whether these bytes are such a configuration; any failure but ours comes through."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(content)
        try:
            CONFIGURATIONS[name][1](Path(folder))
        except ConfigurationInvalid as invalid:
            return FILE not in str(invalid)
    return True


@pytest.mark.parametrize("name", CONFIGURATIONS)
@given(st.binary(max_size=80) | st.text(alphabet='[]{}=".\n#ab1', max_size=40).map(str.encode))
def test_configuration_of_any_bytes_is_refused_by_its_name(name: str, content: bytes) -> None:
    """None of these is a configuration, and the file is named."""
    assert not read(name, content)


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("content", DEEP, ids=range(3))
def test_configuration_nested_without_end_is_refused(name: str, content: bytes) -> None:
    """Depth ends in the same words as any other fault."""
    assert not read(name, content)


@pytest.mark.parametrize("name", CONFIGURATIONS)
@given(data=st.data())
def test_configuration_with_a_value_of_another_sort_is_read_or_refused(
    name: str, data: st.DataObject
) -> None:
    """One line's value replaced: what is read is whole, what is not is refused by its name."""
    whole = CONFIGURATIONS[name][0]
    assert read(name, whole.encode())
    lines = whole.split("\n")
    at = data.draw(st.sampled_from([n for n, line in enumerate(lines) if " = " in line]))
    value = data.draw(
        st.sampled_from(["1", "-1", "true", '""', "[]", "[[]]", "{}", "1e400", "nan", '"\\u0000"'])
        | st.text(max_size=8).map(lambda text: f"'{text}'")
    )
    setting = lines[at].partition(" = ")[0]
    lines[at] = f"{setting} = {value}"
    changed = "\n".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(changed.encode("utf-8", "surrogatepass"))
        try:
            CONFIGURATIONS[name][1](Path(folder))
        except ConfigurationInvalid as invalid:
            assert FILE in str(invalid)  # noqa: PT017 - both outcomes are right


_REST = b"x" * 64  # what a file begins with is looked at when it is opened
ORDERS = b"time,market,side,quantity,price," + _REST
RATES = b"time,market,bid,ask,source," + _REST
OBJECT = b'{"x":"' + _REST + b'"}'
_cell = st.sampled_from(
    [
        "2026-05-04T10:00:00Z",
        "EUR/USD",
        "buy",
        "1",
        "1.1",
        "-1",
        "NaN",
        '"',
        '""',
        "A",
        "\0",
        "",
        "é",
    ]
) | st.text(max_size=6)
_rows = st.lists(
    st.lists(_cell, max_size=6).map(lambda row: ",".join(row).encode("utf-8", "replace"))
    | st.binary(max_size=30),
    max_size=5,
)
_objects = st.lists(
    st.dictionaries(
        st.sampled_from(["time", "market", "side", "quantity", "price", "bid", "ask", "source"])
        | st.text(max_size=4),
        _cell | st.none() | st.integers() | st.floats() | st.lists(st.text(max_size=2), max_size=2),
        max_size=6,
    ).map(lambda row: json.dumps(row).encode())
    | st.binary(max_size=30)
    | st.just(b"[" * 9_000),
    max_size=5,
)


@given(_rows | _objects, st.sampled_from([".csv", ".jsonl"]))
def test_history_of_any_rows_is_orders_and_bad_rows(rows: list[bytes], ending: str) -> None:
    """Each row is an order, or is told with its line; nothing ends the reading."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"orders{ending}"
        head = [ORDERS] if ending == ".csv" else [OBJECT]
        path.write_bytes(b"\n".join([*head, *rows]))
        file = OrderFile(path)
        found = list(file.rows(RowDefaults(venue="PAPER")))
        file.close()
    lines = [one.line for one in found]
    assert lines == sorted(set(lines))
    assert {type(one) for one in found} <= {HistoryRow, BadRow}
    assert len(lines) <= b"\n".join([*head, *rows]).count(b"\n") + 1


@given(_rows | _objects, st.sampled_from([".csv", ".jsonl"]))
def test_rates_of_any_rows_are_quotations_and_bad_rows(rows: list[bytes], ending: str) -> None:
    """What is quoted after it is well formed."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"rates{ending}"
        head = [RATES] if ending == ".csv" else [OBJECT]
        path.write_bytes(b"\n".join([*head, *rows]))
        file, bad = RateFile(path, ("A", "B")), list[BadRow]()
        file.report_to(bad.append)
        file.advance(LATER)
        file.close()
    for quotation in asyncio.run(file.quotations(("EUR/USD",))):
        parse_amount(quotation.bid)
        parse_amount(quotation.ask)
        parse_instant(quotation.quoted_at)
    assert all(one.line >= 1 for one in bad)
