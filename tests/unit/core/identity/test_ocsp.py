# SPDX-License-Identifier: Apache-2.0
"""Status responses: what they say, who may sign them, and when they count."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.identity import profile
from sekisho.core.identity.der import (
    BIT_STRING,
    ENUMERATED,
    OCTET_STRING,
    SEQUENCE,
    element,
    explicit,
)
from sekisho.core.identity.ocsp import AHEAD_MAX_NS, RESPONSE_BYTES_MAX, OcspResponse, verify_ocsp
from sekisho.core.identity.profile import load, seconds
from sekisho.core.identity.status import REASONS, CertificateStatus
from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

GOOD = CertificateStatus("good")
SINCE = made.NOW // NS * NS
HELD = CertificateStatus("hold", "certificateHold", SINCE)
REVOKED = CertificateStatus("revoked", "superseded", SINCE)
ENDS = SINCE + 61 * NS
DER = serialization.Encoding.DER
_P384 = ec.derive_private_key(5, ec.SECP384R1())
_SHA256 = hashes.SHA256()
_SHA1 = hashes.SHA1()  # noqa: S303 - what older programs name certificates by
_PART, _OTHER_PART = (
    x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.32473.9.{one}"), b"\5\0")
    for one in (1, 2)
)
_PART_OID = (b"\x81\xfd\x59\x09\x01", b"\x81\xfd\x59\x09\x02")
_OTHER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])


def verify(response: bytes, at_ns: int = made.NOW, certificate: bytes | None = None) -> Any:
    """Verify a response about the agent's certificate."""
    return verify_ocsp(response, made.issuing(), certificate or made.agent(), at_ns)


def foreign(
    *,
    algorithm: hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | None = None,
    signer: bytes | None = None,
    signer_key: Any = made.RESPONDER_KEY,
    enclosed: bool = True,
    by_name: bool = False,
    named: bytes | None = None,
    part: tuple[x509.ExtensionType, bool] | None = None,
    second: x509.ExtensionType | None = None,
    digest: hashes.SHA256 | hashes.SHA384 | None = _SHA256,
    **changes: Any,
) -> bytes:
    """A response as another program might make it."""
    holder = load(signer or made.responder())
    single: dict[str, Any] = {
        "cert": load(made.agent()),
        "issuer": load(made.issuing()),
        "algorithm": algorithm or _SHA256,
        "cert_status": ocsp.OCSPCertStatus.GOOD,
        "this_update": seconds(made.NOW),
        "next_update": seconds(ENDS),
        "revocation_time": None,
        "revocation_reason": None,
    }
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = ocsp.OCSPResponseBuilder().add_response(**(single | changes))
    builder = builder.responder_id(encoding, load(named) if named else holder)
    if enclosed:
        builder = builder.certificates([holder])
    if part is not None:
        builder = builder.add_extension(part[0], critical=part[1])
    if second is not None:
        builder = builder.add_extension(second, critical=False)
    return builder.sign(signer_key, digest).public_bytes(DER)


def wrong_responder(**changes: Any) -> bytes:
    """The responder's certificate with something changed, signed by the issuing CA."""
    return made.forged(made.responder(), **changes)


@pytest.mark.parametrize("status", [GOOD, HELD, REVOKED])
def test_ocsp_reads_as_it_was_made(status: CertificateStatus) -> None:
    """Each status and its times come back; nextUpdate is rounded up, thisUpdate down."""
    expected = OcspResponse(status=status, this_update_ns=SINCE, next_update_ns=ENDS)
    assert expected == verify(made.said(status))


def test_ocsp_next_update_on_a_whole_second_is_kept() -> None:
    """Rounding up leaves whole seconds alone."""
    response = made.said(GOOD, next_update_ns=SINCE + 60 * NS)
    assert SINCE + 60 * NS == verify(response).next_update_ns


def test_ocsp_counts_from_a_little_before_its_date_until_before_its_end() -> None:
    """A clock five seconds slow is forgiven; the end is not stretched."""
    response = made.said(GOOD)
    assert GOOD == verify(response, SINCE - AHEAD_MAX_NS).status
    assert GOOD == verify(response, ENDS - 1).status
    for at in (SINCE - AHEAD_MAX_NS - 1, ENDS):
        with pytest.raises(VerificationFailed, match="not of this time"):
            verify(response, at)


def test_ocsp_about_another_certificate_is_refused() -> None:
    """A response for one serial number says nothing of another."""
    other = profile.agent_certificate(**made.agent_arguments(serial=99))
    with pytest.raises(VerificationFailed, match="another certificate"):
        verify(made.said(GOOD), certificate=other)


@pytest.mark.parametrize(
    "changes",
    [
        {"cert": load(made.forged(made.agent(), issuer=_OTHER))},
        {
            "issuer": load(
                made.forged(made.issuing(), made.ROOT_KEY, public_key=made.key(70).public_key())
            )
        },
    ],
)
def test_ocsp_about_the_same_serial_of_another_issuer_is_refused(changes: dict[str, Any]) -> None:
    """The certificate id includes the issuer's name and key."""
    with pytest.raises(VerificationFailed, match="another certificate"):
        verify(foreign(**changes))


def test_ocsp_for_a_certificate_of_another_issuer_is_refused() -> None:
    """The certificate asked about must itself name this issuing CA."""
    with pytest.raises(VerificationFailed, match="another certificate"):
        verify(made.said(GOOD), certificate=made.forged(made.agent(), issuer=_OTHER))


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": _SHA1},
        {"by_name": True},
        {"signer": made.issuing(), "signer_key": made.ISSUING_KEY, "enclosed": False},
        {"signer": made.issuing(), "signer_key": made.ISSUING_KEY},
        {"part": (x509.OCSPNonce(bytes(16)), False)},
    ],
)
def test_ocsp_of_another_program_is_read(options: dict[str, Any]) -> None:
    """SHA-1 ids, responders by name and the issuing CA itself are what RFC 6960 allows."""
    assert GOOD == verify(foreign(**options)).status


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": hashes.SHA384()},
        {
            "signer_key": made.key(77),
            "named": wrong_responder(public_key=made.key(77).public_key()),
            "by_name": True,
        },
        {"enclosed": False},
        {"digest": hashes.SHA384()},
        {"named": wrong_responder(subject=_OTHER), "by_name": True},
        {"cert_status": ocsp.OCSPCertStatus.UNKNOWN},
        {"next_update": None},
        {"signer": made.agent(), "signer_key": made.AGENT_KEY},
        {"signer": made.root(), "signer_key": made.ROOT_KEY},
        {"signer": made.forged(made.responder(), made.key(78))},
        {"signer": wrong_responder(not_after=seconds(made.NOW))},
        {"signer": wrong_responder(not_before=seconds(made.NOW + NS))},
        {"signer": wrong_responder(replace={x509.ExtendedKeyUsage: None})},
        {"signer": wrong_responder(replace={x509.KeyUsage: None})},
        {
            "signer": wrong_responder(public_key=made.LOG_KEY.public_key()),
            "signer_key": made.LOG_KEY,
            "digest": None,
        },
        {
            "signer": wrong_responder(public_key=_P384.public_key()),
            "signer_key": _P384,
        },
    ],
)
def test_ocsp_that_does_not_hold_is_refused(options: dict[str, Any]) -> None:
    """Wrong signer, wrong responder, other digests, unknown status, no end: each is refused."""
    with pytest.raises(VerificationFailed):
        verify(foreign(**options))


def test_ocsp_naming_another_responder_key_is_refused() -> None:
    """The response says by whose key it is signed, and that must be the key that verifies it."""
    response = foreign()
    found = ocsp.load_der_ocsp_response(response)
    named = found.responder_key_hash
    assert named is not None
    signed = found.tbs_response_bytes.replace(named, b"x" * 20)
    while len(signature := made.RESPONDER_KEY.sign(signed, ec.ECDSA(_SHA256))) != len(
        found.signature
    ):
        pass  # lengths of ECDSA signatures vary; the rest of the response stays in its place
    changed = response.replace(found.tbs_response_bytes, signed)
    with pytest.raises(VerificationFailed, match="names another responder"):
        verify(changed.replace(found.signature, signature))


def test_ocsp_of_a_remembered_responder_still_ends_with_it() -> None:
    """That a responder was issued here is remembered; that it is in its validity is not."""
    response = made.said(GOOD, next_update_ns=made.NOW + 3 * made.YEAR)
    assert GOOD == verify(response).status
    with pytest.raises(VerificationFailed, match="responder"):
        verify(response, made.NOW + 2 * made.YEAR)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"0",
        made.said(GOOD) + b"\0",
        bytes(RESPONSE_BYTES_MAX + 1),
        foreign(part=(_PART, False), second=_OTHER_PART).replace(_PART_OID[1], _PART_OID[0]),
        foreign(part=(x509.OCSPNonce(bytes(16)), True)),
        foreign(
            cert_status=ocsp.OCSPCertStatus.REVOKED,
            revocation_time=seconds(SINCE),
            revocation_reason=x509.ReasonFlags.remove_from_crl,
        ),
    ],
)
def test_ocsp_that_is_no_response_is_refused(response: bytes) -> None:
    """Errors of a responder and bytes that are no response never read as good."""
    with pytest.raises(MalformedInput):
        verify(response)


def test_ocsp_error_of_a_responder_is_refused() -> None:
    """A responder that says "try later" has not answered."""
    builder = ocsp.OCSPResponseBuilder
    response = builder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(DER)
    with pytest.raises(MalformedInput, match="not a successful one"):
        verify(response)


@pytest.mark.parametrize("last", [3, 0x79])
def test_ocsp_under_the_name_of_another_algorithm_is_refused(last: int) -> None:
    """The name of the algorithm is not signed, so it must be the one that is used."""
    response = made.said(GOOD)
    signed = ocsp.load_der_ocsp_response(response).tbs_response_bytes
    start = response.index(signed) + len(signed)
    known = bytes.fromhex("2a8648ce3d040302")
    named = response[start:].replace(known, known[:-1] + bytes([last]), 1)
    with pytest.raises(VerificationFailed):
        verify(response[:start] + named)


def test_ocsp_about_two_certificates_is_refused() -> None:
    """Which of the two would count is a question that nobody should have to answer."""
    found = ocsp.load_der_ocsp_response(made.said(GOOD))
    signed = found.tbs_response_bytes
    head, listed = signed[3:44], signed[44:]  # responder by key hash and producedAt: 41 bytes
    single = listed[3 if listed[1] & 0x80 else 2 :]
    assert signed == element(SEQUENCE, head, element(SEQUENCE, single))
    changed = element(SEQUENCE, head, element(SEQUENCE, single, single))
    basic = element(
        SEQUENCE,
        changed,
        bytes.fromhex("300a06082a8648ce3d040302"),
        element(BIT_STRING, b"\0", made.RESPONDER_KEY.sign(changed, ec.ECDSA(_SHA256))),
        explicit(0, element(SEQUENCE, made.responder())),
    )
    kind = bytes.fromhex("06092b0601050507300101")
    body = element(SEQUENCE, kind, element(OCTET_STRING, basic))
    with pytest.raises(MalformedInput, match="exactly one"):
        verify(element(SEQUENCE, element(ENUMERATED, b"\0"), explicit(0, body)))


def test_ocsp_too_long_is_refused_before_it_is_read() -> None:
    """The size is bounded, whatever is in it."""
    blob = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), bytes(RESPONSE_BYTES_MAX)
    )
    with pytest.raises(MalformedInput, match="too long"):
        verify(foreign(part=(blob, False)))


def test_ocsp_with_one_bit_changed_is_refused() -> None:
    """No bit of the signed part can be changed unseen."""
    response = made.said(HELD)
    start = response.index(ocsp.load_der_ocsp_response(response).tbs_response_bytes)
    end = start + len(ocsp.load_der_ocsp_response(response).tbs_response_bytes)
    for place in range(start, end, 3):
        changed = bytearray(response)
        changed[place] ^= 1
        with pytest.raises((MalformedInput, VerificationFailed)):
            verify(bytes(changed))


def test_ocsp_bytes_are_those_of_the_library_but_for_the_clock() -> None:
    """Another writer, given the same content, writes the same structure."""
    whole = foreign(
        cert_status=ocsp.OCSPCertStatus.REVOKED,
        revocation_time=seconds(SINCE),
        revocation_reason=x509.ReasonFlags.superseded,
        part=(x509.OCSPNonce(bytes(16)), False),
    )
    found, expected = (
        ocsp.load_der_ocsp_response(one) for one in (made.said(REVOKED, nonce=bytes(16)), whole)
    )
    ours, theirs = (one.produced_at_utc.strftime("%Y%m%d%H%M%S") for one in (found, expected))
    assert expected.tbs_response_bytes == found.tbs_response_bytes.replace(
        ours.encode(), theirs.encode(), 1
    )
    assert found.produced_at_utc == seconds(SINCE)
    assert found.certificates == expected.certificates


@pytest.mark.parametrize("reason", sorted(set(REASONS) - {"certificateHold"}))
def test_ocsp_of_each_reason_reads_back(reason: str) -> None:
    """Every reason that we write is read as the same reason."""
    status = CertificateStatus("revoked", reason, SINCE)
    assert status == verify(made.said(status)).status


@pytest.mark.parametrize("size", [0, 1, 32])
def test_ocsp_nonce_is_carried(size: int) -> None:
    """A nonce within its bound is repeated in the response; none is added unasked."""
    nonce = bytes(range(size))
    parts = ocsp.load_der_ocsp_response(made.said(GOOD, nonce=nonce)).extensions
    expected = [x509.OCSPNonce(nonce)] if nonce else []
    assert expected == [part.value for part in parts]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": bytes(33)},
        {"next_update_ns": SINCE},
        {"this_update_ns": -NS, "next_update_ns": NS},
        {"status": CertificateStatus("revoked", "cACompromise", SINCE)},
    ],
)
def test_ocsp_outside_the_profile_is_not_made(changes: dict[str, Any]) -> None:
    """Endless nonces, times that run backwards and reasons that are not ours are not signed."""
    with pytest.raises(MalformedInput):
        made.said(**{"status": GOOD, **changes})


def test_ocsp_with_another_key_is_not_signed() -> None:
    """A response is signed with the responder's own key."""
    with pytest.raises(ConfigurationInvalid):
        made.said(GOOD, responder_key=made.ISSUING_KEY)
