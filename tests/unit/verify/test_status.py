# SPDX-License-Identifier: Apache-2.0
"""CRL and OCSP responses (certificate.md 7): each rule, broken alone."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sekisho_verify import certificates
from sekisho_verify.certificates import Authority
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.status import Responses, Status, revocation_list
from tests.unit.verify.build_pki import END, START, shared
from tests.unit.verify.build_signed import GATE, LATER, der

OID = x509.ObjectIdentifier
OTHER = ec.generate_private_key(ec.SECP256R1())
ODD = x509.UnrecognizedExtension(OID("1.3.6.1.4.1.32473.9"), b"\x05\x00")


def authority() -> Authority:
    """Root and issuing CA of the tests."""
    pki = shared()
    root, issuing = (certificates.load_der(der(one)) for one in (pki.root, pki.issuing))
    return Authority(root, issuing)


def crl(**changes: Any) -> bytes:
    """A CRL with one certificate on hold, and what a test changes."""
    pki = shared()
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(pki.issuing_key.public_key())
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(changes.get("issuer", pki.issuing_name))
        .last_update(LATER)
        .next_update(LATER + datetime.timedelta(days=1))
    )
    extensions = [(x509.CRLNumber(7), False), (above, False), *changes.get("more", [])]
    for extension, critical in extensions[changes.get("skip", 0) :]:
        builder = builder.add_extension(extension, critical)
    hold = [(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)]
    for serial, more in changes.get("entries", [(5, hold)]):
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(LATER)
        for extension, critical in more:
            one = one.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(one.build())
    signed = builder.sign(changes.get("key", pki.issuing_key), changes.get("hash", hashes.SHA256()))
    return signed.public_bytes(Encoding.PEM)


def reason(flag: x509.ReasonFlags) -> list[tuple[x509.ExtensionType, bool]]:
    """Extensions of an entry with this reason."""
    return [(x509.CRLReason(flag), False)]


def distribution(**changes: Any) -> tuple[x509.ExtensionType, bool]:
    """An issuing distribution point."""
    given: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier("http://x.invalid/crl")],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(given | changes)), True


def test_crl_as_specified_is_read() -> None:
    """Number, times, and the status of each certificate; an absent reason is unspecified."""
    entries = [
        (5, reason(x509.ReasonFlags.certificate_hold)),
        (6, reason(x509.ReasonFlags.superseded)),
        (7, []),
    ]
    found = revocation_list(crl(entries=entries, more=[distribution(), (ODD, False)]), authority())
    expected = {
        5: Status("hold", "certificateHold"),
        6: Status("revoked", "superseded"),
        7: Status("revoked", "unspecified"),
    }
    assert (7, expected) == (found.number, found.entries)
    assert certificates.seconds_ns(LATER) == found.this_update


BAD_CRL: list[tuple[dict[str, Any], str]] = [
    ({"key": OTHER}, "does not verify"),
    ({"hash": hashes.SHA384()}, "not ECDSA with SHA-256"),
    ({"issuer": shared().root_name}, "another issuer"),
    ({"skip": 1}, "no number"),
    ({"more": [(ODD, True)]}, "critical extension"),
    ({"more": [(x509.DeltaCRLIndicator(6), True)]}, "less than everything|critical extension"),
    ({"more": [(x509.DeltaCRLIndicator(6), False)]}, "less than everything"),
    ({"more": [distribution(only_contains_user_certs=True)]}, "less than everything"),
    ({"more": [distribution(indirect_crl=True)]}, "less than everything"),
    (
        {"more": [distribution(only_some_reasons=frozenset([x509.ReasonFlags.superseded]))]},
        "less than everything",
    ),
    ({"entries": [(5, reason(x509.ReasonFlags.remove_from_crl))]}, "less than everything"),
    ({"entries": [(5, [(ODD, True)])]}, "critical extension"),
    ({"entries": [(5, []), (5, [])]}, "names a certificate twice"),
]


@pytest.mark.parametrize(("changes", "what"), BAD_CRL)
def test_crl_that_says_less_or_is_not_ours_is_refused(changes: dict[str, Any], what: str) -> None:
    """A reader refuses what it cannot rely on for everything."""
    with pytest.raises(VerificationFailed, match=what):
        revocation_list(crl(**changes), authority())


def test_crl_with_text_around_is_refused() -> None:
    """The file is the CRL in its one spelling."""
    for data in (b"# crl\n" + crl(), crl().replace(b"\n", b"\r\n"), b""):
        with pytest.raises(VerificationFailed):
            revocation_list(data, authority())


def response(**changes: Any) -> bytes:
    """A response for the gate's log certificate, and what a test changes."""
    pki = shared()
    leaf = changes.get("leaf") or pki.log_certificate(GATE, pki.gate_key)
    status = changes.get("status", ocsp.OCSPCertStatus.GOOD)
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    next_update = None if "endless" in changes else LATER + datetime.timedelta(seconds=15)
    by, key = changes.get("by", (pki.responder, pki.responder_key))
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=changes.get("issuer", pki.issuing),
            algorithm=changes.get("algorithm", hashes.SHA256()),
            cert_status=status,
            this_update=LATER,
            next_update=next_update,
            revocation_time=LATER if revoked else None,
            revocation_reason=changes.get("reason"),
        )
        .responder_id(changes.get("encoding", ocsp.OCSPResponderEncoding.HASH), by)
    )
    if enclosed := changes.get("enclosed", [by]):
        builder = builder.certificates(enclosed)
    for extension, critical in changes.get("more", []):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, changes.get("hash", hashes.SHA256())).public_bytes(Encoding.DER)


HOLD = {
    "status": ocsp.OCSPCertStatus.REVOKED,
    "reason": x509.ReasonFlags.certificate_hold,
}
GOOD_OCSP: list[tuple[dict[str, Any], Status]] = [
    ({}, Status("good")),
    (HOLD, Status("hold", "certificateHold")),
    ({"status": ocsp.OCSPCertStatus.REVOKED}, Status("revoked", "unspecified")),
    ({"algorithm": hashes.SHA1()}, Status("good")),  # noqa: S303 - the id of RFC 5019, allowed
    ({"encoding": ocsp.OCSPResponderEncoding.NAME}, Status("good")),
    ({"by": (shared().issuing, shared().issuing_key), "enclosed": []}, Status("good")),
    ({"enclosed": [shared().responder, shared().issuing]}, Status("good")),
    ({"more": [(x509.OCSPNonce(b"n" * 32), False), (ODD, False)]}, Status("good")),
]


@pytest.mark.parametrize(("changes", "status"), GOOD_OCSP)
def test_ocsp_as_specified_is_read(changes: dict[str, Any], status: Status) -> None:
    """By the responder or the issuing CA, named by key or subject, ids by SHA-256 or SHA-1."""
    assert status == Responses(authority()).verified(response(**changes)).status


def impostor() -> tuple[x509.Certificate, Any]:
    """A responder certificate that the issuing CA did not sign."""
    pki = shared()
    made = pki.leaf(
        pki.responder.subject,
        OTHER.public_key(),
        x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING,
        [(x509.OCSPNoCheck(), False)],
        OTHER,
    )
    return made, OTHER


BAD_OCSP: list[tuple[dict[str, Any], str]] = [
    ({"endless": True}, "no nextUpdate"),
    ({"status": ocsp.OCSPCertStatus.UNKNOWN}, "does not know"),
    ({"issuer": shared().root}, "another issuer"),
    ({"algorithm": hashes.SHA384()}, "neither SHA-256 nor SHA-1"),
    ({"hash": hashes.SHA384()}, "not ECDSA with SHA-256"),
    ({"by": impostor()}, "signature that does not verify"),
    ({"by": (shared().root, shared().root_key)}, "responder certificate"),
    ({"enclosed": [shared().issuing, shared().responder]}, "responder certificate"),
    ({"enclosed": []}, "another responder"),
    ({"more": [(ODD, True)]}, "critical extension"),
    ({"more": [(x509.OCSPNonce(b"n" * 33), False)]}, "more than 32 bytes"),
    (
        {"more": [(x509.UnrecognizedExtension(OID("1.2.3"), bytes(66000)), False)]},
        "longer than 65,536",
    ),
]


@pytest.mark.parametrize(("changes", "what"), BAD_OCSP)
def test_ocsp_outside_the_profile_is_refused(changes: dict[str, Any], what: str) -> None:
    """Whatever is not surely the authority's word about one certificate."""
    with pytest.raises(VerificationFailed, match=what):
        Responses(authority()).verified(response(**changes))


def test_ocsp_unsuccessful_or_broken_is_refused() -> None:
    """An error response has no status; a changed byte has no signature."""
    unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    data = bytearray(response())
    data[data.index(b"20260515093000Z")] ^= 1
    for bad in (unsuccessful.public_bytes(Encoding.DER), bytes(data), b"", b"\x30\x00"):
        with pytest.raises(VerificationFailed):
            Responses(authority()).verified(bad)


def test_ocsp_times_have_five_seconds_before_and_none_after() -> None:
    """thisUpdate − 5 s ≤ now < nextUpdate, and the responder is valid."""
    found = Responses(authority()).verified(response())
    begin = certificates.seconds_ns(LATER)
    for moment in (begin - 5 * 10**9, begin + 15 * 10**9 - 1):
        found.require_covers(moment)
    for moment in (begin - 5 * 10**9 - 1, begin + 15 * 10**9):
        with pytest.raises(VerificationFailed, match="does not cover"):
            found.require_covers(moment)


def test_ocsp_responder_that_ended_is_refused_at_use() -> None:
    """Its certificate must be valid when the response is used."""
    pki = shared()
    ended = pki.leaf(
        pki.responder.subject,
        pki.responder_key.public_key(),
        x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING,
        [(x509.OCSPNoCheck(), False)],
        None,
        START,
        LATER + datetime.timedelta(seconds=10),
    )
    found = Responses(authority()).verified(response(by=(ended, pki.responder_key)))
    end = certificates.seconds_ns(LATER) + 10 * 10**9
    found.require_covers(end - 1)
    with pytest.raises(VerificationFailed, match="not in its validity"):
        found.require_covers(end)
    assert certificates.seconds_ns(END) > end
