# SPDX-License-Identifier: Apache-2.0
"""Requests for a certificate's status, read strictly (docs/spec/certificate.md section 7)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.identity.der import OCTET_STRING, SEQUENCE, element, integer
from sekisho.core.identity.ocsp_request import REQUEST_BYTES_MAX, read_ocsp_request
from tests.certificate_requests import SHA1, SHA256, asked
from tests.unit.core.identity import certificates as made

SHA1_OID = bytes.fromhex("06052b0e03021a")
SHA512_OID = bytes.fromhex("0609608648016503040203")
UNKNOWN_OID = bytes.fromhex("06032a0304")


def request_for(algorithm: bytes, serial: bytes = integer(5)) -> bytes:
    """A request whose certificate id is written by hand."""
    name = element(
        SEQUENCE,
        element(SEQUENCE, algorithm),
        element(OCTET_STRING, bytes(20)),
        element(OCTET_STRING, bytes(20)),
        serial,
    )
    return element(SEQUENCE, element(SEQUENCE, element(SEQUENCE, element(SEQUENCE, name))))


def with_extension(oid: str, *, critical: bool) -> bytes:
    """A request with an extension that is not known here."""
    part = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(bytes(20), bytes(20), 5, SHA1)
    builder = builder.add_extension(part, critical=critical)
    return builder.build().public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("algorithm", [SHA1, SHA256])
def test_request_is_read_as_it_was_made(algorithm: Any) -> None:
    """Hashes, serial number, nonce, and the bytes of the certificate id."""
    der = asked(made.agent(), made.issuing(), nonce=b"n" * 32, algorithm=algorithm)
    theirs, ours = ocsp.load_der_ocsp_request(der), read_ocsp_request(der)
    assert algorithm.name == ours.algorithm
    assert theirs.issuer_name_hash == ours.issuer_name_hash
    assert theirs.issuer_key_hash == ours.issuer_key_hash
    assert theirs.serial_number == ours.serial_number
    assert b"n" * 32 == ours.nonce
    assert ours.certificate_id in der


def test_request_with_either_form_of_parameters_is_read() -> None:
    """NULL, and none; anything else there is refused."""
    for parameters in (b"\x05\x00", b""):
        der = request_for(SHA1_OID + parameters)
        assert read_ocsp_request(der).certificate_id in der
    with pytest.raises(MalformedInput):
        read_ocsp_request(request_for(SHA1_OID + b"\x04\x01x"))


def test_request_that_can_be_of_no_certificate_here_is_unauthorized() -> None:
    """Another hash, known or not; a serial number that nothing has."""
    for der in (
        request_for(SHA512_OID),
        request_for(UNKNOWN_OID),
        request_for(SHA1_OID + b"\x05\x00", integer(0)),
        request_for(SHA1_OID + b"\x05\x00", b"\x02\x01\xff"),
    ):
        with pytest.raises(NotAuthorised):
            read_ocsp_request(der)


def test_request_with_an_unknown_extension_is_read_unless_it_is_critical() -> None:
    """What need not be understood is passed over."""
    assert b"" == read_ocsp_request(with_extension("1.2.3.4", critical=False)).nonce
    with pytest.raises(MalformedInput, match=r"1\.2\.3\.4"):
        read_ocsp_request(with_extension("1.2.3.4", critical=True))


def test_request_longer_than_the_bound_is_not_looked_into() -> None:
    """At the bound it is refused for what it is, above it for its length."""
    with pytest.raises(MalformedInput, match="not a request"):
        read_ocsp_request(bytes(REQUEST_BYTES_MAX))
    with pytest.raises(MalformedInput, match="too long"):
        read_ocsp_request(bytes(REQUEST_BYTES_MAX + 1))


@given(data=st.data())
def test_request_damaged_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever bytes come, the answer is a value or a failure of this product."""
    der = bytearray(asked(made.agent(), made.issuing(), nonce=b"n" * 8))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_ocsp_request(bytes(der))
    except (MalformedInput, NotAuthorised):
        return
    assert found.certificate_id in bytes(der)
