# SPDX-License-Identifier: Apache-2.0
"""The one encoding: what is read, what is refused and why, and the two spellings of base64."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.encoding import (
    NESTING_MAX,
    b64,
    b64url,
    canonical,
    parse_plain,
    sha256,
    sha256_hex,
    unb64,
    unb64url,
)
from sekisho.core.errors import MalformedInput
from sekisho.core.events import (
    StatusActed,
    decode_authority_entry,
    decode_gate_entry,
    encode_entry,
)
from sekisho.core.terms import parse_day, parse_instant

keys = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_canonical_equals_the_reference_and_reads_back(value: Any) -> None:
    """RFC 8785 byte for byte on the profile, and nothing is lost."""
    assert rfc8785.dumps(value) == canonical(value)
    assert parse_plain(canonical(value)) == value


REFUSED: list[tuple[bytes, str]] = [
    (b'{"a":1,"b":2,"a":3}', "duplicate field 'a'"),
    (b'{"\xc3\xa4":1}', "field names are ASCII"),
    (b"1.5", r"number 1\.5 is not allowed"),
    (b"1e3", "number 1e3 is not allowed"),
    (b"NaN", "number NaN is not allowed"),
    (b"-Infinity", "number -Infinity is not allowed"),
    (b"9007199254740992", "out of range"),
    (b"-9007199254740992", "out of range"),
    (b"123456789012345678", "out of range"),
    (b"-0", "integer -0 is out of range"),
    (b'"\\ud800"', "not UTF-8"),
    (b"\xff", "not UTF-8"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b"{} {}", "not JSON: Extra data at character 3"),
    (b"[" * 33 + b"]" * 33, "nested more than 32"),
    (b'{"a":' * 33 + b"1" + b"}" * 33, "nested more than 32"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "says"), REFUSED)
def test_json_outside_the_profile_is_refused_with_its_reason(data: bytes, says: str) -> None:
    """What two programs could read differently is read by none."""
    with pytest.raises(MalformedInput, match=says):
        parse_plain(data)


@pytest.mark.parametrize("data", [b"9007199254740991", b"-9007199254740991", b"0", b"-1"])
def test_integers_of_the_profile_are_read(data: bytes) -> None:
    """Everything of magnitude below 2^53."""
    assert parse_plain(data) == int(data)


def test_numbers_are_refused_where_none_belongs() -> None:
    """An order has none: the message says what to write instead."""
    with pytest.raises(MalformedInput, match="number 1 is not allowed: write it as a string"):
        parse_plain(b'{"quantity":1}', numbers=False)


def test_duplicate_field_is_named() -> None:
    """The path for whoever sent it."""
    with pytest.raises(MalformedInput) as found:
        parse_plain(b'{"side":1,"side":2}')
    assert found.value.where == "side"


def test_nesting_counts_only_what_is_nested() -> None:
    """Brackets in strings, escaped quotes and many small arrays are no nesting."""
    deepest = b"[" * NESTING_MAX + b"]" * NESTING_MAX
    wide = json.dumps([[], {}] * 40).encode()
    text = json.dumps({"a": '[{"\\' * 40, "b": "}" * 40}).encode()
    for data in (deepest, wide, text):
        assert canonical(parse_plain(data)) == canonical(json.loads(data))


@given(st.binary(max_size=70))
def test_base64_has_one_spelling_each(data: bytes) -> None:
    """Both alphabets as the standard library writes them, and back."""
    assert base64.standard_b64encode(data).decode() == b64(data)
    assert unb64(b64(data)) == data
    assert base64.urlsafe_b64encode(data).decode().rstrip("=") == b64url(data)
    assert unb64url(b64url(data)) == data


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "AB==", "AA==\n", " AA==", "-_==", "ä"])
def test_base64_in_another_spelling_is_refused(text: str) -> None:
    """Padding, blanks, the other alphabet, spare bits."""
    with pytest.raises(MalformedInput):
        unb64(text)


@pytest.mark.parametrize("text", ["A", "AB", "AA==", "AA\n", "+/", "ä", "A*"])
def test_base64url_in_another_spelling_is_refused(text: str) -> None:
    """The same for the alphabet of JWS."""
    with pytest.raises(MalformedInput):
        unb64url(text)


def test_digest_is_sha256_in_lower_case() -> None:
    """The known digest of nothing."""
    assert sha256_hex(b"") == sha256(b"").hex()
    assert sha256_hex(b"").startswith("e3b0c442")


# -- entries and instants --------------------------------------------------------------------------

ENTRY = StatusActed(
    at="2026-05-15T09:00:00.000000000Z", agent="bot", certificate_sha256="c", status="hold",
    reason="", epoch=1,
)  # fmt: skip


def test_entry_reads_back_from_its_canonical_bytes_only() -> None:
    """Every other spelling is another entry, which is none."""
    data = encode_entry(ENTRY)
    assert decode_gate_entry(data) == ENTRY
    for other, says in (
        (data + b" ", "not in canonical form"),
        (data.replace(b'"epoch":1', b'"epoch":2,"epoch":1'), "duplicate field"),
        (data.replace(b'"epoch":1', b'"epoch":1.0'), "not an entry of this log"),
        (data.replace(b'"hold"', b'"held"'), "not an entry of this log"),
        (data.replace(b'"reason"', b'"why"'), "not an entry of this log"),
        (b"", "not an entry of this log"),
    ):
        with pytest.raises(MalformedInput, match=says):
            decode_gate_entry(other)


def test_entry_of_one_log_is_none_of_the_other() -> None:
    """The gate acts on statuses; only the authority changes them."""
    with pytest.raises(MalformedInput, match="not an entry of this log"):
        decode_authority_entry(encode_entry(ENTRY))


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-15T09:00:00Z", "2026-05-15T09:00:00.00000000Z", "2026-05-15T24:00:00.000000000Z",
        "2026-05-15T09:60:00.000000000Z", "2026-05-15T09:00:60.000000000Z",
        "2026-02-30T09:00:00.000000000Z", "2026-05-15T09:00:00.000000000Z\n",
        "2026-05-15T09:00:00.00000000\u0661Z", "2026-05-15 09:00:00.000000000Z", "", "x" * 30,
        "2026-05-15T09:00:00,000000000Z", "2026-05-15T09:00:00.000000000z",
        "2026-05-15T09:00:00.+00000000Z", "2026-05-15T09:00:00.0000000000Z",
    ],
)  # fmt: skip
def test_instant_in_another_spelling_is_refused_by_name(text: str) -> None:
    """One spelling; the field that holds it is named, also where the day does not exist."""
    with pytest.raises(MalformedInput, match="since") as found:
        parse_instant(text, "since")
    assert found.value.where == "since"


@pytest.mark.parametrize("text", ["2026-5-15", "2026-02-30", "20260515", "2026-05-15 ", ""])
def test_day_in_another_spelling_is_refused_by_name(text: str) -> None:
    """The same for days."""
    with pytest.raises(MalformedInput, match="holidays") as found:
        parse_day(text, "holidays")
    assert found.value.where == "holidays"
