# SPDX-License-Identifier: Apache-2.0
"""OCSP responses (RFC 6960), signed by a delegated responder (docs/spec/certificate.md, 7).

One certificate a response, SHA-256 certificate id, responder by key hash, the responder's own
certificate inside, so that a stranger needs only the issuing CA to verify it.
"""

from __future__ import annotations

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.profile import load, nanoseconds, seconds
from sekisho.core.identity.status import CertificateStatus, reason_flag, reason_name

NONCE_BYTES_MAX = 32
AHEAD_MAX_NS = 5 * 10**9
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
        MalformedInput: the nonce is too long.
    """
    if len(nonce) > NONCE_BYTES_MAX:
        raise MalformedInput(f"a nonce has at most {NONCE_BYTES_MAX} bytes")
    said = {
        "good": ocsp.OCSPCertStatus.GOOD,
        "hold": ocsp.OCSPCertStatus.REVOKED,
        "revoked": ocsp.OCSPCertStatus.REVOKED,
    }[status.status]
    good = status.status == "good"
    holder = load(responder)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=load(certificate),
            issuer=load(issuing),
            algorithm=hashes.SHA256(),
            cert_status=said,
            this_update=seconds(this_update_ns),
            next_update=seconds(next_update_ns + 10**9 - 1),
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
    try:
        found = ocsp.load_der_ocsp_response(response)
    except ValueError as error:
        raise MalformedInput(f"not an OCSP response: {error}") from error
    if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise MalformedInput("the OCSP response is not a successful one")
    try:
        singles = list(found.responses)
    except ValueError as error:
        raise MalformedInput(f"not an OCSP response: {error}") from error
    if len(singles) != 1:
        raise MalformedInput("the OCSP response is not about exactly one certificate")
    issuer = load(issuing)
    _check_id(singles[0], issuer, load(certificate))
    _check_signer(found, issuer, at_ns)
    next_update = singles[0].next_update_utc
    if next_update is None:
        raise VerificationFailed("the OCSP response has no nextUpdate")
    begins, ends = nanoseconds(singles[0].this_update_utc), nanoseconds(next_update)
    if not begins - AHEAD_MAX_NS <= at_ns < ends:
        raise VerificationFailed("the OCSP response is not of this time")
    return OcspResponse(status=_status(singles[0]), this_update_ns=begins, next_update_ns=ends)


def _status(single: ocsp.OCSPSingleResponse) -> CertificateStatus:
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return CertificateStatus("good")
    since = single.revocation_time_utc
    if single.certificate_status is not ocsp.OCSPCertStatus.REVOKED or since is None:
        raise VerificationFailed("the OCSP response does not know the certificate")
    name = reason_name(single.revocation_reason)
    status = CertificateStatus("revoked", name, nanoseconds(since))
    if name == "certificateHold":
        return CertificateStatus("hold", name, nanoseconds(since))
    return status


def _check_id(
    single: ocsp.OCSPSingleResponse, issuer: x509.Certificate, certificate: x509.Certificate
) -> None:
    algorithm = single.hash_algorithm
    if not isinstance(algorithm, hashes.SHA256 | hashes.SHA1):
        raise VerificationFailed("the OCSP response names its certificate by another hash")
    name_hash = hashes.Hash(algorithm)
    name_hash.update(issuer.subject.public_bytes())
    key_hash = hashes.Hash(algorithm)
    key_hash.update(
        issuer.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
    )
    right = (
        single.serial_number == certificate.serial_number
        and single.issuer_name_hash == name_hash.finalize()
        and single.issuer_key_hash == key_hash.finalize()
    )
    if not right:
        raise VerificationFailed("the OCSP response is about another certificate")


def _check_signer(found: ocsp.OCSPResponse, issuer: x509.Certificate, at_ns: int) -> None:
    signer = issuer
    if found.certificates:
        signer = found.certificates[0]
        _check_responder(signer, issuer, at_ns)
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        found.signature_hash_algorithm, hashes.SHA256
    ):
        raise VerificationFailed("the OCSP response is not signed with P-256 and SHA-256")
    try:
        key.verify(found.signature, found.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise VerificationFailed("the OCSP response's signature does not hold") from error


def _check_responder(signer: x509.Certificate, issuer: x509.Certificate, at_ns: int) -> None:
    try:
        signer.verify_directly_issued_by(issuer)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise VerificationFailed("the OCSP responder was not issued by this CA") from error
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise VerificationFailed("the OCSP responder's certificate is not for that use")
    if not signer.not_valid_before_utc <= seconds(at_ns) < signer.not_valid_after_utc:
        raise VerificationFailed("the OCSP responder's certificate is not valid at this time")
