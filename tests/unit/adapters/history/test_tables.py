# SPDX-License-Identifier: Apache-2.0
"""Records of CSV and JSON Lines: what is read, what is a fault, and that a fault ends nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sekisho.adapters.history.tables import LINE_CHARACTERS_MAX, Record, Table
from sekisho.core.errors import ConfigurationInvalid

COLUMNS = ("time", "market", "note")
NEEDED = ("time", "market")


def table(
    folder: Path, text: str | bytes, name: str = "orders.csv", **names: str
) -> tuple[list[Record], Table]:
    """All records of a file with this content."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = Table(path, COLUMNS, NEEDED, names)
    records = list(found.records())
    found.close()
    return records, found


def fields(records: list[Record]) -> list[tuple[int, dict[str, str]]]:
    """Line and fields of the records that could be read."""
    return [(line, dict(found)) for line, found, fault in records if fault is None]


def faults(records: list[Record]) -> list[int]:
    """Lines of the others."""
    return [line for line, _, fault in records if fault is not None]


def test_csv_quotes_and_empty_lines_are_read(tmp_path: Path) -> None:
    """RFC 4180: commas and quotes inside quotes, lines that end by CR LF, empty lines."""
    records, _ = table(tmp_path, 'time,market,note\r\n1,"a,""b""","x"\r\n\r\n 2 ,c,\r\n', "o.csv")
    assert [
        (2, {"time": "1", "market": 'a,"b"', "note": "x"}),
        (4, {"time": "2", "market": "c", "note": ""}),
    ] == fields(records)
    assert [] == faults(records)


def test_csv_quote_that_is_not_closed_takes_no_other_line_with_it(tmp_path: Path) -> None:
    """Nineteen rows, an open quote in the third: it is bad, the eighteen others are read."""
    rows = [f"{number},m" for number in range(1, 20)]
    rows[2] = '3,"m'
    records, _ = table(tmp_path, "\n".join(("time,market", *rows)))
    assert [4] == faults(records)
    assert [str(number) for number in range(1, 20) if number != 3] == [
        found["time"] for _, found in fields(records)
    ]
    (fault,) = (one.fault for one in records if one.fault is not None)
    assert "a quote is opened and not closed on this line" in str(fault)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_line_break_inside_a_field_is_a_fault(tmp_path: Path, end: str) -> None:
    """A field ends with its line: what goes on over it is no value, and none is made of it."""
    records, _ = table(tmp_path, f'time,market\n"1{end}",a\n2,a\n')
    assert 2 in faults(records)
    assert {"time": "2", "market": "a"} == fields(records)[-1][1]
    assert [] == [found for _, found in fields(records) if found["time"].startswith("1")]


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("time,market\n1,a\n".encode("utf-16"), "is not UTF-8 text: it is UTF-16"),
        ("time,market\n1,a\n".encode("utf-16-be"), "is not UTF-8 text"),
        (b"\xfe\xff\0t", "is not UTF-8 text: it is UTF-16"),
        (b"\x1f\x8b\x08\xe2\x82", "is packed"),
        (b"PK\x03\x04\xe2\x82", "is packed, or a workbook"),
    ],
)
def test_file_that_is_no_utf8_text_is_said_to_be_that(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    """Another encoding, or a packed file: named for what it is, and none of its bytes shown."""
    with pytest.raises(ConfigurationInvalid, match=words) as caught:
        table(tmp_path, data, name)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert caught.value.do


def test_csv_header_that_is_not_utf8_is_refused_and_not_shown(tmp_path: Path) -> None:
    """A header in another encoding names no column for certain."""
    with pytest.raises(ConfigurationInvalid, match="header is not UTF-8 text") as caught:
        table(tmp_path, b"time,market,W\xe4hrung\n")
    assert "hrung" not in str(caught.value)


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl"])
def test_file_that_is_no_ordinary_file_is_refused_before_it_is_opened(
    tmp_path: Path, name: str
) -> None:
    """A pipe that nobody writes to would be waited for without end; a directory is none either."""
    path = tmp_path / name
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that whoever opens it all the same does not wait
    os.write(held, b"time,market\n")
    with pytest.raises(ConfigurationInvalid, match="is no ordinary file") as caught:
        Table(path, COLUMNS, NEEDED)
    os.close(held)
    assert "write into one first" in caught.value.do
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigurationInvalid, match="is no ordinary file"):
        Table(tmp_path / "folder.csv", COLUMNS, NEEDED)


def test_csv_header_case_blanks_order_and_mark_do_not_matter(tmp_path: Path) -> None:
    """A header is matched by what it means; a byte-order mark is no part of a name."""
    records, found = table(tmp_path, "\ufeffMarket, TIME ,Fee-Total,\r\na,1,9,\r\n")
    assert [(2, {"time": "1", "market": "a"})] == fields(records)
    assert ("Fee-Total",) == found.unused


def test_csv_column_called_otherwise_is_found_under_that_name_alone(tmp_path: Path) -> None:
    """--column: their name counts, and a column of our name in the file is another thing."""
    records, found = table(tmp_path, "Symbol,market,time\na,b,1\n", market="symbol")
    assert [(2, {"market": "a", "time": "1"})] == fields(records)
    assert ("market",) == found.unused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no header row"),
        ("time,price\n", "no column market"),
        ("time;market\n1;a\n", "no column time"),
        ("time,market,Market\n", "column market stands twice"),
        ('time,"market\n', "a quote is opened and not closed"),
    ],
)
def test_csv_header_that_does_not_do_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """Without the needed columns nothing is read; the message says what to write."""
    with pytest.raises(ConfigurationInvalid, match=words):
        table(tmp_path, text)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"colour": "x"}, "no such column"),
        ({"time": "a", "market": "A"}, "cannot be both"),
        ({"bid": "price", "ask": "price"}, "one column, 'price', cannot be both bid and ask"),
    ],
)
def test_column_names_that_contradict_are_refused(
    tmp_path: Path, names: dict[str, str], words: str
) -> None:
    """A name that is none of ours, and one of theirs for two of ours."""
    with pytest.raises(ConfigurationInvalid, match=words):
        table(tmp_path, "time,market\n", **names)


def test_csv_bad_records_end_nothing(tmp_path: Path) -> None:
    """Too few fields, too many, a quote in the middle: each is a fault on its line, no more."""
    text = 'time,market\n1\n1,a,x\n2,a\n3,"b"c\n4,d\n'
    records, _ = table(tmp_path, text)
    assert [2, 3, 5] == faults(records)
    assert [4, 6] == [line for line, _ in fields(records)]


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl"])
def test_line_too_long_is_a_fault_and_the_next_is_read(tmp_path: Path, name: str) -> None:
    """A line has an end: what is longer is never held in memory, and is no record."""
    long = "x" * (3 * LINE_CHARACTERS_MAX)
    text = f"time,market\n1,{long}\n2,a\n"
    if name.endswith("l"):
        text = f'{{"time":"{long}","market":"a"}}\n{{"time":"2","market":"a"}}\n'
    records, found = table(tmp_path, text, name)
    assert 1 == len(faults(records))
    assert [{"time": "2", "market": "a"}] == [row for _, row in fields(records)]
    assert found.bytes_total == found.bytes_read


def test_csv_bytes_that_are_not_utf8_are_text_that_no_column_allows(tmp_path: Path) -> None:
    """Another encoding damages its own field alone."""
    records, _ = table(tmp_path, b"time,market\n1,\xe9\n2,a\n")
    assert ["\ufffd", "a"] == [row["market"] for _, row in fields(records)]


def test_json_numbers_are_their_text(tmp_path: Path) -> None:
    """A number is taken digit by digit as it is written; null and what we do not know are not."""
    text = '{"time": 1.0850000000000000001, "market": "a", "fee": {"x": 1}, "note": null}\n\n'
    records, _ = table(tmp_path, text, "orders.jsonl")
    assert [(1, {"time": "1.0850000000000000001", "market": "a"})] == fields(records)


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "{",
        '{"time": "1", "time": "2"}',
        '{"time": "1", "Time": "2"}',
        '{"time": {"a": 1}}',
        '{"time": true}',
        '{"time": NaN}',
        '{"time": "1\\n"}',
        "[" * 10_000,
    ],
)
def test_json_line_that_is_no_flat_object_is_a_fault(tmp_path: Path, line: str) -> None:
    """Each is refused on its line; the next line is read."""
    records, _ = table(tmp_path, f'{line}\n{{"time": "1"}}\n', "orders.ndjson")
    assert [1] == faults(records)
    assert [(2, {"time": "1"})] == fields(records)


def test_name_that_says_neither_is_refused(tmp_path: Path) -> None:
    """CSV or JSON Lines by the name of the file, nothing guessed."""
    with pytest.raises(ConfigurationInvalid, match=r"neither in \.csv nor in \.jsonl"):
        table(tmp_path, "time,market\n", "orders.xlsx")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(ConfigurationInvalid, match=r"gone\.csv: cannot be read"):
        Table(tmp_path / "gone.csv", COLUMNS, NEEDED)
