# SPDX-License-Identifier: Apache-2.0
"""Requests in PKCS#10, certificates in PEM, and the places that certificates name."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.identity.profile import Names
from sekisho.core.identity.published import check_places, crl_place, placed
from sekisho.core.identity.reading import from_pem, pem
from sekisho.core.identity.requests import make_request, read_request, request_der, request_pem
from tests.certificate_requests import request_of
from tests.unit.core.identity import certificates as made

KEY = made.key(7)


def test_request_is_read_as_it_was_made_in_either_form() -> None:
    """DER and PEM are the same request; key and name come back."""
    der = make_request(KEY, "Sekisho Issuing CA")
    assert der == request_der(der) == request_der(request_pem(der))
    assert (made.spki(KEY), ["Sekisho Issuing CA"]) == read_request(der)


def test_request_extensions_that_name_nobody_are_passed_over() -> None:
    """A usage that somebody wishes for is no name."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bot")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    der = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert (made.spki(KEY), ["bot"]) == read_request(der)


def test_request_text_that_is_none_is_refused() -> None:
    """A damaged PEM file, or DER of something else."""
    text = request_pem(make_request(KEY, "x"))
    with pytest.raises(MalformedInput):
        request_der(text[:80])
    for der in (made.root(), b"", b"-"):
        with pytest.raises(MalformedInput):
            request_pem(der)


def test_request_with_another_keys_signature_is_refused() -> None:
    """The signature is checked under the key that the request is for."""
    der = bytearray(request_of(KEY))
    at = bytes(der).index(made.spki(KEY))
    der[at : at + len(made.spki(KEY))] = made.spki(made.key(8))
    with pytest.raises(VerificationFailed):
        read_request(bytes(der))


def test_request_of_another_kind_of_key_or_digest_is_refused() -> None:
    """P-256 and SHA-256 alone."""
    for der in (
        request_of(ec.derive_private_key(5, ec.SECP384R1())),
        request_of(KEY, algorithm=hashes.SHA384()),
    ):
        with pytest.raises(MalformedInput, match="P-256"):
            read_request(der)


def test_pem_file_holds_one_certificate() -> None:
    """None, two, and what is no certificate are refused."""
    assert made.root() == from_pem(pem(made.root()))
    for text in (b"", b"nothing", pem(made.root()) * 2, pem(made.root())[:90]):
        with pytest.raises(MalformedInput):
            from_pem(text)


def test_places_are_below_the_base_and_stand_in_certificates() -> None:
    """Without a base there are none."""
    names = Names(issuer_name="x")
    assert names == placed(names, "", "acme")
    found = placed(names, "http://pki.example.test:8080", "acme")
    place = "http://pki.example.test:8080/pki/acme"
    expected = (f"{place}/crl/0.crl", f"{place}/ocsp", f"{place}/issuing.crt")
    assert expected == (found.crl_url, found.ocsp_url, found.issuing_url)
    assert made.NAMES.crl_url == crl_place(made.log())
    assert crl_place(made.root()) == ""


def test_places_that_certificates_name_cannot_be_changed() -> None:
    """Another place, or none where there was one, or one where there was none."""
    check_places(made.log(), made.NAMES)
    check_places(made.root(), Names(issuer_name="x"))
    for der, url in (
        (made.log(), "http://other.example/0.crl"),
        (made.log(), ""),
        (made.root(), "x"),
    ):
        with pytest.raises(ConfigurationInvalid, match="certificates name"):
            check_places(der, Names(issuer_name="x", crl_url=url))
