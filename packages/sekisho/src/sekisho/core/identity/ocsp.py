# SPDX-License-Identifier: Apache-2.0
"""OCSP responses (RFC 6960), signed by a delegated responder (docs/spec/certificate.md, 7).

One certificate a response, SHA-256 certificate id, responder by key hash, the responder's own
certificate inside, so that a stranger needs only the issuing CA to verify it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.chain import check_end_entity, check_time
from sekisho.core.identity.profile import issuer_of, load, nanoseconds, seconds
from sekisho.core.identity.status import CertificateStatus, published, reason_flag
from sekisho.core.terms import NS

RESPONSE_BYTES_MAX = 65_536
NONCE_BYTES_MAX = 32
AHEAD_MAX_NS = 5 * NS
"""A response may be dated ahead of the reader's clock by so much."""


class OcspResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified response says of one certificate."""

    status: CertificateStatus
    this_update_ns: int
    next_update_ns: int


def build_ocsp(
    *,
    certificate: bytes,
    issuing: bytes,
    responder: bytes,
    responder_key: ec.EllipticCurvePrivateKey,
    status: CertificateStatus,
    this_update_ns: int,
    next_update_ns: int,
    nonce: bytes = b"",
) -> bytes:
    """A signed response, DER. ``next_update_ns`` is rounded up to the second.

    Raises:
        MalformedInput: the nonce is too long, or nextUpdate is not after thisUpdate.
        ConfigurationInvalid: not the responder's key.
    """
    if len(nonce) > NONCE_BYTES_MAX:
        raise MalformedInput(f"a nonce has at most {NONCE_BYTES_MAX} bytes")
    this_update, next_update = this_update_ns // NS, -(-next_update_ns // NS)
    if not 0 <= this_update < next_update:
        raise MalformedInput("an OCSP response has a nextUpdate after its thisUpdate")
    good = status.status == "good"
    holder = issuer_of(responder, responder_key)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=load(certificate),
            issuer=load(issuing),
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED,
            this_update=seconds(this_update * NS),
            next_update=seconds(next_update * NS),
            revocation_time=None if good else seconds(status.since_ns),
            revocation_reason=None if good else reason_flag(status.reason),
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, holder)
        .certificates([holder])
    )
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    made = builder.sign(responder_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


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
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise MalformedInput(f"not an OCSP response: {error}") from error
    if any(part.critical for part in parts):
        raise MalformedInput("the OCSP response has a critical extension that is not known")
    return found, singles[0]


def _status(single: ocsp.OCSPSingleResponse) -> CertificateStatus:
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return CertificateStatus("good")
    since = single.revocation_time_utc
    if single.certificate_status is not ocsp.OCSPCertStatus.REVOKED or since is None:
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
    else:  # RFC 6960 fixes SHA-1 for this name; what counts is the signature below
        named = found.responder_key_hash == _digest(hashes.SHA1(), _key_bits(key))  # noqa: S303 - a name
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
