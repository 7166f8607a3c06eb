# SPDX-License-Identifier: Apache-2.0
"""OCSP responses (RFC 6960), signed by a delegated responder (docs/spec/certificate.md, 7).

One certificate a response, SHA-256 certificate id, responder by key hash, the responder's own
certificate inside, so that a stranger needs only the issuing CA to verify it. ``producedAt`` is
``thisUpdate``: the library would write the machine's clock there, so responses are written here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.core.encoding import sha256
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.chain import check_end_entity, check_time
from sekisho.core.identity.der import (
    BIT_STRING,
    ENUMERATED,
    OCTET_STRING,
    SEQUENCE,
    element,
    explicit,
    generalized_time,
    integer,
)
from sekisho.core.identity.profile import issuer_of, load, nanoseconds
from sekisho.core.identity.status import CODES, CertificateStatus, published, reason_flag
from sekisho.core.terms import NS

RESPONSE_BYTES_MAX = 65_536
NONCE_BYTES_MAX = 32
AHEAD_MAX_NS = 5 * NS
"""A response may be dated ahead of the reader's clock by so much."""

_SHA256 = bytes.fromhex("300d06096086480165030402010500")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_BASIC_RESPONSE = bytes.fromhex("06092b0601050507300101")
_NONCE = bytes.fromhex("06092b0601050507300102")


class OcspResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified response says of one certificate."""

    status: CertificateStatus
    this_update_ns: int
    next_update_ns: int


def build_ocsp(
    *,
    certificate: bytes = b"",
    issuing: bytes,
    responder: bytes,
    responder_key: ec.EllipticCurvePrivateKey,
    status: CertificateStatus,
    this_update_ns: int,
    next_update_ns: int,
    nonce: bytes = b"",
    certificate_id: bytes = b"",
) -> bytes:
    """A signed response, DER. ``next_update_ns`` is rounded up to the second, all else down.

    It names ``certificate`` by SHA-256, or repeats the DER of the ``certificate_id`` that was asked
    for.

    Raises:
        MalformedInput: the nonce is too long, or nextUpdate is not after thisUpdate.
        ConfigurationInvalid: not the responder's key.
    """
    if len(nonce) > NONCE_BYTES_MAX:
        raise MalformedInput(f"a nonce has at most {NONCE_BYTES_MAX} bytes")
    if not 0 <= this_update_ns // NS < -(-next_update_ns // NS):
        raise MalformedInput("an OCSP response has a nextUpdate after its thisUpdate")
    holder = issuer_of(responder, responder_key)
    single = element(
        SEQUENCE,
        certificate_id or _id_by_sha256(issuing, load(certificate).serial_number),
        _status_element(status),
        generalized_time(this_update_ns),
        explicit(0, generalized_time(next_update_ns + NS - 1)),
    )
    signed = element(
        SEQUENCE,
        explicit(2, element(OCTET_STRING, _sha1(_key_bits(_p256_key(holder))))),
        generalized_time(this_update_ns),
        element(SEQUENCE, single),
        _nonce_element(nonce),
    )
    signature = responder_key.sign(signed, ec.ECDSA(hashes.SHA256()))
    basic = element(
        SEQUENCE,
        signed,
        _ECDSA_SHA256,
        element(BIT_STRING, b"\0", signature),
        explicit(0, element(SEQUENCE, responder)),
    )
    body = element(SEQUENCE, _BASIC_RESPONSE, element(OCTET_STRING, basic))
    return element(SEQUENCE, element(ENUMERATED, b"\0"), explicit(0, body))


def _status_element(status: CertificateStatus) -> bytes:
    if status.status == "good":
        return element(0x80)
    code = CODES[reason_flag(status.reason)]
    return explicit(
        1,
        generalized_time(status.since_ns),
        explicit(0, element(ENUMERATED, bytes([code]))),
    )


def _nonce_element(nonce: bytes) -> bytes:
    if not nonce:
        return b""
    value = element(OCTET_STRING, element(OCTET_STRING, nonce))
    return explicit(1, element(SEQUENCE, element(SEQUENCE, _NONCE, value)))


def _id_by_sha256(issuing: bytes, serial: int) -> bytes:
    name_hash, key_hash = issuer_hashes(issuing, "sha256")
    return element(
        SEQUENCE,
        _SHA256,
        element(OCTET_STRING, name_hash),
        element(OCTET_STRING, key_hash),
        integer(serial),
    )


@lru_cache(maxsize=64)
def issuer_hashes(issuing: bytes, algorithm: Literal["sha1", "sha256"]) -> tuple[bytes, bytes]:
    """Digests of the issuer's name and of its key, as certificate ids have them."""
    issuer = load(issuing)
    digest = _sha1 if algorithm == "sha1" else sha256
    return digest(issuer.subject.public_bytes()), digest(_key_bits(_p256_key(issuer)))


def verify_ocsp(response: bytes, issuing: bytes, certificate: bytes, at_ns: int) -> OcspResponse:
    """Verify a response about ``certificate`` at an instant.

    Signed by the issuing CA or by a responder that it issued for this; certificate id by SHA-256 or
    SHA-1; thisUpdate ≤ now (a few seconds of grace) < nextUpdate.

    Raises:
        MalformedInput: not a successful response about one certificate.
        VerificationFailed: it does not hold, or not now.
    """
    found, single = _read(response)
    issuer, subject = load(issuing), load(certificate)
    _check_id(single, issuer, subject)
    _check_signer(found, issuing, at_ns)
    next_update = single.next_update_utc
    if next_update is None:
        raise VerificationFailed("the OCSP response has no nextUpdate")
    begins, ends = nanoseconds(single.this_update_utc), nanoseconds(next_update)
    if not begins - AHEAD_MAX_NS <= at_ns < ends:
        raise VerificationFailed("the OCSP response is not of this time")
    return OcspResponse(status=_status(single), this_update_ns=begins, next_update_ns=ends)


def _read(response: bytes) -> tuple[ocsp.OCSPResponse, ocsp.OCSPSingleResponse]:
    if len(response) > RESPONSE_BYTES_MAX:
        raise MalformedInput(f"an OCSP response of {len(response)} bytes is too long")
    try:
        found = ocsp.load_der_ocsp_response(response)
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise MalformedInput("the OCSP response is not a successful one")
        singles = list(found.responses)
        if len(singles) != 1:
            raise MalformedInput("the OCSP response is not about exactly one certificate")
        parts = [*found.extensions, *found.single_extensions]
    except (ValueError, x509.DuplicateExtension) as error:
        raise MalformedInput(f"not an OCSP response: {error}") from error
    if any(part.critical for part in parts):
        raise MalformedInput("the OCSP response has a critical extension that is not known")
    return found, singles[0]


def _status(single: ocsp.OCSPSingleResponse) -> CertificateStatus:
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return CertificateStatus("good")
    since = single.revocation_time_utc
    if since is None:  # neither good nor revoked: unknown
        raise VerificationFailed("the OCSP response does not know the certificate")
    return published(single.revocation_reason, nanoseconds(since))


def _check_id(
    single: ocsp.OCSPSingleResponse, issuer: x509.Certificate, certificate: x509.Certificate
) -> None:
    try:
        algorithm = single.hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if not isinstance(algorithm, hashes.SHA256 | hashes.SHA1):
        raise VerificationFailed("the OCSP response names its certificate by another hash")
    right = (
        single.serial_number == certificate.serial_number
        and certificate.issuer == issuer.subject
        and single.issuer_name_hash == _digest(algorithm, issuer.subject.public_bytes())
        and single.issuer_key_hash == _digest(algorithm, _key_bits(_p256_key(issuer)))
    )
    if not right:
        raise VerificationFailed("the OCSP response is about another certificate")


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _sha1(data: bytes) -> bytes:
    return _digest(hashes.SHA1(), data)  # noqa: S303 - a name that RFC 6960 fixes, no proof


def _key_bits(key: ec.EllipticCurvePublicKey) -> bytes:
    """The bare point: what the key hashes of OCSP are over."""
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _p256_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VerificationFailed("a key that OCSP responses are verified with is not P-256")
    return key


def _check_signer(found: ocsp.OCSPResponse, issuing: bytes, at_ns: int) -> None:
    signer = load(issuing)
    enclosed = found.certificates
    if enclosed and enclosed[0] != signer:
        signer = _responder(enclosed[0].public_bytes(serialization.Encoding.DER), issuing)
    check_time(signer, "OCSP responder's certificate", at_ns)
    key = _p256_key(signer)
    if found.responder_key_hash is None:
        named = found.responder_name == signer.subject
    else:
        named = found.responder_key_hash == _sha1(_key_bits(key))
    if not named:
        raise VerificationFailed("the OCSP response names another responder than its signer")
    try:
        if not isinstance(found.signature_hash_algorithm, hashes.SHA256):
            raise VerificationFailed("the OCSP response is not signed with P-256 and SHA-256")
        key.verify(found.signature, found.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise VerificationFailed("the OCSP response's signature does not hold") from error


@lru_cache(maxsize=64)
def _responder(der: bytes, issuing: bytes) -> x509.Certificate:
    """A responder that this CA issued for this. Remembered is only what held, never the time."""
    responder = load(der)
    check_end_entity(responder, load(issuing), ExtendedKeyUsageOID.OCSP_SIGNING)
    return responder
