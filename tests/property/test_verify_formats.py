# SPDX-License-Identifier: Apache-2.0
"""The verifier's own readers against other people's code and against their definitions."""

from __future__ import annotations

import datetime
import hashlib
import json
from fractions import Fraction
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from sekisho_verify import canonical, der, note, order, tiles
from sekisho_verify.findings import VerificationFailed, shown
from sekisho_verify.tiles import Tree
from tests.unit.verify.build_pki import scope_extension

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
AMOUNT = st.integers(0, 10**26 - 1)


@given(VALUES)
def test_parse_canonical_bytes_of_rfc8785_gives_the_value(value: Any) -> None:
    """Both encoders agree on every value of the profile."""
    data = rfc8785.dumps(value)
    assert value == canonical.parse(data)
    assert data == canonical.encode(value)


@given(VALUES, st.integers(0, 10**6), st.integers(0, 255))
def test_parse_other_spelling_is_refused(value: Any, position: int, byte: int) -> None:
    """Whatever is accepted is the one spelling of what was read."""
    data = bytearray(rfc8785.dumps(value))
    data[position % len(data)] = byte
    try:
        found: Any = canonical.parse(bytes(data))
    except VerificationFailed:
        return
    assert bytes(data) == rfc8785.dumps(found)


@pytest.mark.parametrize(
    "data",
    [
        b"1.0",
        b"1e3",
        b"-0",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b"1" * 5000,
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{ "a":1}',
        b'"\\u0061"',
        b'"\\ud800"',
        b'"\\/"',
        '{"\u00e9":1}'.encode(),
        b"\xef\xbb\xbf1",
        b"\xff",
        b"",
        b"1 ",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_parse_outside_the_profile_is_refused(data: bytes) -> None:
    """Each with a failure, none with a crash."""
    with pytest.raises(VerificationFailed):
        canonical.parse(data)


@given(AMOUNT)
def test_amount_shortest_form_round_trips(value: int) -> None:
    """Every amount has one shortest form, and it reads back."""
    text = canonical.shortest(value)
    assert value == canonical.amount(text)
    assert Fraction(value, 10**8) == Fraction(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1.123456789",
        "1\n",
        " 1",
        "NaN",
        "\u0661",
        "1" * 19,
    ],
)
def test_amount_outside_the_grammar_is_refused(text: str) -> None:
    """No signs, exponents, other digits or trailing newline."""
    with pytest.raises(VerificationFailed):
        canonical.amount(text)


@given(st.integers(0, 10**18), st.integers(1, 10**18))
def test_rounding_is_up_and_by_less_than_a_unit(numerator: int, denominator: int) -> None:
    """Money to the cent, shares to six decimals, never down."""
    ratio = Fraction(numerator, denominator)
    cents = canonical.cents_up(ratio)
    assert 0 <= cents - ratio < canonical.CENT
    assert 0 <= Fraction(canonical.share_up(ratio)) - ratio < Fraction(1, 10**6)


@given(st.integers(-62135596800, 253402300799), st.integers(0, 10**9 - 1))
def test_instant_round_trips_and_agrees_with_datetime(seconds: int, ns: int) -> None:
    """Every instant of the years 1 to 9999 has one spelling."""
    text = canonical.instant_text(seconds * 10**9 + ns)
    assert seconds * 10**9 + ns == canonical.instant(text)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    moment = (epoch + datetime.timedelta(seconds=seconds)).replace(tzinfo=None)
    assert f"{moment.isoformat()}.{ns:09}Z" == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-15T09:15:00Z",
        "2026-05-15T09:15:00.000000000z",
        "2026-05-15T24:00:00.000000000Z",
        "2026-05-15T09:15:60.000000000Z",
        "2026-02-29T09:15:00.000000000Z",
        "2026-05-15T09:15:00.000000000Z\n",
        "2026-05-15 09:15:00.000000000Z",
        "0000-01-01T00:00:00.000000000Z",
    ],
)
def test_instant_other_spelling_is_refused(text: str) -> None:
    """One spelling; days that do not exist, leap seconds and 24:00 are none."""
    with pytest.raises(VerificationFailed):
        canonical.instant(text)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return hashlib.sha256(b"\1" + left + right).digest()


SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 66000]


@pytest.mark.parametrize("size", SIZES)
def test_tree_root_of_every_prefix_is_the_definition(size: int) -> None:
    """At the edges of tiles of two levels, for the whole and for what came before."""
    leaves = [hashlib.sha256(str(n).encode()).digest() for n in range(size)]
    tree = Tree(leaves)
    for prefix in {0, 1, size // 3, size // 256 * 256, max(0, size - 1), size}:
        if prefix <= size:
            assert root_by_definition(leaves[:prefix]) == tree.root(prefix)


def test_tree_files_are_named_by_level_number_and_width() -> None:
    """Full and partial tiles of 66,000 entries; partial ones are never hashed upward."""
    files = dict(Tree([bytes(32)] * 66_000).files())
    assert {"tile/0/256", "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"} <= (
        files.keys()
    )
    assert 258 + 2 + 1 == len(files)
    assert {32 * 256, 32 * 208, 32} == {len(data) for data in files.values()}
    assert (
        "tile/entries/x001/234.p/1" == list(dict(tiles.bundle_files([b"x"] * (1234 * 256 + 1))))[-1]
    )


@given(st.binary(max_size=300))
def test_note_any_bytes_are_refused_or_read(data: bytes) -> None:
    """A note is a note or a failure."""
    with pytest.raises(VerificationFailed):
        note.claimed_origin(data.replace("—".encode(), b"-"))


@given(st.binary(max_size=80))
def test_der_any_bytes_are_refused_or_the_one_encoding(data: bytes) -> None:
    """What is accepted encodes to the same bytes."""
    try:
        version, digest, scope = der.scope_extension(data)
    except VerificationFailed:
        return
    assert data == scope_extension(digest, scope.encode(), version)


@given(st.text(max_size=300), st.integers(1, 120))
def test_der_scope_extension_round_trips(scope: str, version: int) -> None:
    """Lengths of one, two and three bytes."""
    try:
        text = scope.encode()
    except UnicodeEncodeError:
        return
    data = scope_extension(bytes(32), text, version)
    assert (version, bytes(32), scope) == der.scope_extension(data)
    for cut in (data[:-1], data + b"\0"):
        with pytest.raises(VerificationFailed):
            der.scope_extension(cut)


@given(
    st.dictionaries(
        st.sampled_from(
            "action client_order_id orig_client_order_id market side order_type quantity "
            "currency price time_in_force venue account counterparty decision_context".split()
        ),
        VALUES | st.sampled_from(["new", "amend", "cancel", "limit", "1", "EUR/USD", "EUR", "buy"]),
    )
)
def test_order_any_object_is_refused_or_read(value: dict[str, Any]) -> None:
    """No object crashes the reader; whatever it accepts has an id."""
    try:
        assert order.read(json.loads(json.dumps(value))).order_id
    except VerificationFailed:
        return


@given(st.text(max_size=400))
def test_shown_text_is_printable_ascii(text: str) -> None:
    """Nothing from a bundle reaches a terminal as a control sequence."""
    found = shown(text)
    assert found.isascii()
    assert found.isprintable() or not found
