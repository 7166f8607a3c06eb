# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes come: the FIX reader ends, and makes no order of what is not exactly one."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.fix.codec import FixMessage, Framer, MessageRejected, encode, parse
from sekisho.adapters.fix.dictionary import exact_amount
from sekisho.adapters.fix.requests import new_body
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder, parse_order

HEAD = [(49, "BOT"), (56, "GATE"), (34, "2"), (52, "20260515-09:15:00.000")]
BODY = [
    (11, "o-1"),
    (55, "EUR/USD"),
    (15, "EUR"),
    (54, "1"),
    (38, "10000"),
    (40, "2"),
    (44, "1.1"),
    (59, "0"),
    (60, "20260515-09:15:00.000"),
]
ORDER = encode("D", HEAD, BODY)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
TAGS = st.integers(1, 999)


def read(data: bytes, *, piece: int = 4_096) -> list[FixMessage]:
    """All messages that can be read from a stream, up to where it cannot be cut."""
    framer, found = Framer(), []
    with contextlib.suppress(MalformedInput):
        for at in range(0, len(data), piece):
            for body in framer.feed(data[at : at + piece]):
                with contextlib.suppress(MessageRejected):
                    found.append(parse(body))
    return found


def order(message: FixMessage) -> NewOrder | None:
    """The order that a message amounts to, None for none."""
    try:
        found = parse_order(new_body(message, "PAPER", "main"))
    except MalformedInput:
        return None
    return found if isinstance(found, NewOrder) else None


(WHOLE,) = [order(one) for one in read(ORDER)]


@given(st.binary(max_size=600), st.integers(1, 64))
def test_fix_any_bytes_end_without_a_message(data: bytes, piece: int) -> None:
    """Bytes that are no message make none, however they are cut."""
    for prefix in (b"", b"8=FIX.4.4\x01", b"8=FIX.4.4\x019=20\x01"):
        assert read(prefix + data, piece=piece) == read(prefix + data)


@given(st.integers(0, len(ORDER) - 1), st.integers(1, 255))
def test_fix_one_changed_byte_makes_no_other_order(at: int, change: int) -> None:
    """The checksum finds every single changed byte: the order is as it was, or none."""
    data = bytearray(ORDER)
    data[at] ^= change
    assert [one for one in map(order, read(bytes(data))) if one != WHOLE] == []


@given(st.integers(0, len(ORDER)))
def test_fix_cut_order_is_none(size: int) -> None:
    """A message that is not whole is no message."""
    assert len(read(ORDER[:size])) == (1 if size == len(ORDER) else 0)


@given(st.lists(st.tuples(TAGS, VALUES), max_size=12))
def test_fix_any_fields_are_read_as_written_or_not_at_all(fields: list[tuple[int, str]]) -> None:
    """What is read is what was written, each tag once."""
    for message in read(encode("D", HEAD, fields)):
        told = {**message.header, **message.body}
        told |= {tag: text for group in message.groups.values() for one in group
                 for tag, text in one.items()}  # fmt: skip
        written = dict([(35, "D"), *HEAD, *fields])
        assert {tag: told[tag] for tag in message.body} == {
            tag: written[tag] for tag in message.body
        }


@given(st.lists(st.sampled_from(BODY), max_size=12), st.integers(0, 12))
def test_fix_order_with_a_field_twice_is_none(fields: list[tuple[int, str]], at: int) -> None:
    """No later value replaces an earlier one."""
    doubled = [*BODY[:at], *fields, *BODY[at:]]
    found = read(encode("D", HEAD, doubled))
    assert len(found) == (0 if fields else 1)


@given(VALUES, VALUES, VALUES)
def test_fix_words_without_counterpart_are_no_order(side: str, kind: str, force: str) -> None:
    """Only the words of the tables become an order, and each becomes its own."""
    changed = {54: side, 40: kind, 59: force}
    (message,) = read(encode("D", HEAD, [(tag, changed.get(tag, text)) for tag, text in BODY]))
    known = side in ("1", "2") and kind == "2" and force in ("0", "1", "3", "4")
    assert (order(message) is not None) is known


@given(st.integers(0, 10**26 - 1), st.integers(0, 3), st.integers(0, 6))
def test_fix_amount_zeros_change_nothing(units: int, front: int, behind: int) -> None:
    """However many zeros stand around it, the amount is the same."""
    whole, part = divmod(units, 10**8)
    text = "0" * front + f"{whole}.{part:08d}" + "0" * behind
    assert parse_amount(exact_amount(text, "q")) == units
