# SPDX-License-Identifier: Apache-2.0
"""Readers of certificates, CRLs and status responses under bytes that nobody meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import MalformedInput, SekishoError
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.crl import build_crl, read_crl
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.profile import parse_agent_certificate, serial_hex, serial_number
from sekisho.core.identity.scope_extension import decode_scope, encode_scope
from sekisho.core.identity.status import CertificateStatus
from sekisho.core.terms import DAY_S, NS
from tests.unit.core.identity import certificates as made

_HELD = CertificateStatus("hold", "certificateHold", made.NOW // NS * NS)
_CRL = build_crl(
    issuing=made.issuing(),
    issuing_key=made.ISSUING_KEY,
    number=1,
    this_update_ns=made.NOW,
    next_update_ns=made.NOW + DAY_S * NS,
    listed={5: _HELD},
    url=made.NAMES.crl_url,
)
_READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "certificate": (made.agent(), parse_agent_certificate),
    "chain": (
        made.agent(),
        lambda der: verify_chain(der, made.issuing(), made.root(), made.NOW),
    ),
    "issuing": (
        made.issuing(),
        lambda der: verify_chain(made.agent(), der, made.root(), made.NOW),
    ),
    "crl": (_CRL, lambda der: read_crl(der, made.issuing())),
    "ocsp": (
        made.said(_HELD),
        lambda der: verify_ocsp(der, made.issuing(), made.agent(), made.NOW),
    ),
    "scope": (encode_scope(bytes(32), made.SCOPE), decode_scope),
}


@st.composite
def damage(draw: st.DrawFn, whole: bytes) -> bytes:
    """A few bytes replaced, cut out or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data[start:end] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.mark.parametrize("name", sorted(_READERS))
@given(st.data())
def test_reader_of_damaged_bytes_answers_or_fails_as_ours(name: str, data: st.DataObject) -> None:
    """No input makes a library's exception come through."""
    whole, read = _READERS[name]
    damaged = data.draw(damage(whole))
    expected = True
    try:
        read(damaged)
        outcome = True
    except SekishoError:
        outcome = True
    assert expected is outcome


@given(st.data())
def test_status_response_damaged_never_says_good(data: st.DataObject) -> None:
    """A response that says "hold" cannot be bent into one that says something else."""
    damaged = data.draw(damage(_READERS["ocsp"][0]))
    try:
        found = verify_ocsp(damaged, made.issuing(), made.agent(), made.NOW)
    except SekishoError:
        return
    assert found.status == _HELD


@given(st.data())
def test_revocation_list_damaged_never_loses_an_entry(data: st.DataObject) -> None:
    """A list that verifies says what was signed."""
    damaged = data.draw(damage(_CRL))
    try:
        found = read_crl(damaged, made.issuing())
    except SekishoError:
        return
    assert {5: _HELD} == found.listed


@given(st.binary(max_size=200))
def test_scope_extension_has_one_spelling(value: bytes) -> None:
    """What is read is written again as the same bytes."""
    try:
        found = decode_scope(value)
    except MalformedInput:
        return
    assert encode_scope(*found) == value


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=70_000))
def test_scope_extension_reads_back(digest: bytes, json: bytes) -> None:
    """Every content within the bounds survives."""
    if len(json) > 32_768:
        with pytest.raises(MalformedInput):
            encode_scope(digest, json)
        return
    assert (digest, json) == tuple(decode_scope(encode_scope(digest, json)))


@given(st.binary(min_size=16, max_size=19), st.integers(1, 127))
def test_serial_number_keeps_its_randomness(random_bytes: bytes, prefix: int) -> None:
    """Prefix and randomness stand in the serial number as they are."""
    found = serial_number(random_bytes, prefix)
    assert (bytes([prefix]) + random_bytes).hex() == serial_hex(found)
