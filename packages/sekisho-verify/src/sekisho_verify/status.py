# SPDX-License-Identifier: Apache-2.0
"""CRL and OCSP responses (docs/spec/certificate.md section 7).

Hold is *revoked* with reason certificateHold, in both. Nothing is fetched: what a bundle or a
permit holds is judged, at the time of its use.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from sekisho_verify import canonical, certificates
from sekisho_verify.canonical import SECOND, instant_text
from sekisho_verify.certificates import Authority, Certificate, seconds_ns
from sekisho_verify.findings import VerificationFailed, require

_MALFORMED = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    Warning,
)
_EARLY = 5 * SECOND
_NONCE_MAX = 32
_RESPONSE_BYTES_MAX = 65_536
_SHA256_ECDSA = SignatureAlgorithmOID.ECDSA_WITH_SHA256


@dataclasses.dataclass(frozen=True)
class Status:
    """What a status response or a CRL says: `good`, `hold` or `revoked`, and the reason's name."""

    status: str
    reason: str = ""


GOOD = Status("good")


@dataclasses.dataclass(frozen=True)
class Response:
    """A verified OCSP response."""

    serial_number: int
    status: Status
    this_update: int
    next_update: int
    signer: Certificate  # the responder, or the issuing CA itself

    def require_covers(self, now: int) -> None:
        """thisUpdate − 5 s ≤ now < nextUpdate, and the signer's certificate is valid."""
        if not self.this_update - _EARLY <= now < self.next_update:
            raise VerificationFailed(f"OCSP response does not cover {instant_text(now)}")
        self.signer.require_valid_at(now, "responder certificate")


@dataclasses.dataclass(frozen=True)
class RevocationList:
    """A verified CRL: number, times in ns, and status by serial number."""

    number: int
    this_update: int
    next_update: int
    der: bytes
    entries: dict[int, Status]
    place: str  # URL of its issuing distribution point, "" for none


def _reason(flag: x509.ReasonFlags | None) -> Status:
    flag = flag or x509.ReasonFlags.unspecified
    return Status("hold" if flag is x509.ReasonFlags.certificate_hold else "revoked", flag.value)


def revocation_list(pem: bytes, authority: Authority) -> RevocationList:
    """Read and verify a CRL of the issuing CA.

    Raises:
        VerificationFailed: malformed, of another issuer, or badly signed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            crl = x509.load_pem_x509_crl(pem)
            require(crl.public_bytes(Encoding.PEM) == pem, "is not PEM in its one spelling")
            extensions = {extension.oid: extension.value for extension in crl.extensions}
            key = authority.issuing.ec_key
            require(crl.issuer == authority.issuing.parsed.subject, "CRL is of another issuer")
            require(crl.signature_algorithm_oid == _SHA256_ECDSA, "CRL is not ECDSA with SHA-256")
            require(crl.is_signature_valid(key), "CRL has a signature that does not verify")
            entries = _entries(crl)
            next_update = crl.next_update_utc
            number = extensions.get(ExtensionOID.CRL_NUMBER)
            if next_update is None or not isinstance(number, x509.CRLNumber):
                raise VerificationFailed("CRL has no number or no nextUpdate")
            for extension in crl.extensions:
                distribution = isinstance(extension.value, x509.IssuingDistributionPoint)
                require(distribution or not extension.critical, "CRL has a critical extension")
                require(not _partial(extension.value), "CRL says less than everything")
            return RevocationList(
                number.crl_number,
                seconds_ns(crl.last_update_utc),
                seconds_ns(next_update),
                crl.public_bytes(Encoding.DER),
                entries,
                _place(extensions.get(ExtensionOID.ISSUING_DISTRIBUTION_POINT)),
            )
        except _MALFORMED as error:
            raise VerificationFailed(f"is no well-formed CRL ({error})") from error


def _place(extension: x509.ExtensionType | None) -> str:
    if not isinstance(extension, x509.IssuingDistributionPoint):
        return ""
    return _only(extension.full_name)


def place_of(certificate: Certificate) -> str:
    """The one URL at which a certificate says its CRL is; empty where it names none, or others."""
    extension = certificate.extensions.get(ExtensionOID.CRL_DISTRIBUTION_POINTS)
    points = extension.value if extension is not None else ()
    if not isinstance(points, x509.CRLDistributionPoints) or len(list(points)) != 1:
        return ""
    return _only(points[0].full_name)


def _only(names: list[x509.GeneralName] | None) -> str:
    return str(names[0].value) if names is not None and len(names) == 1 else ""


def _partial(extension: x509.ExtensionType) -> bool:
    """Whether a CRL with this extension is a delta, indirect, or for some reasons or kinds only."""
    if isinstance(extension, x509.DeltaCRLIndicator):
        return True
    if not isinstance(extension, x509.IssuingDistributionPoint):
        return False
    kinds = (
        extension.only_contains_user_certs,
        extension.only_contains_ca_certs,
        extension.only_contains_attribute_certs,
    )
    return any(kinds) or extension.indirect_crl or extension.only_some_reasons is not None


def _entries(crl: x509.CertificateRevocationList) -> dict[int, Status]:
    entries = {}
    for one in crl:
        reason = x509.ReasonFlags.unspecified
        for extension in one.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason
            require(not extension.critical, "CRL has an entry with a critical extension")
        lifts = reason is x509.ReasonFlags.remove_from_crl
        require(not lifts, "CRL says less than everything")
        require(one.serial_number not in entries, "CRL names a certificate twice")
        entries[one.serial_number] = _reason(reason)
    return entries


class Responses:
    """Verifies OCSP responses of one authority; the same bytes are verified once."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._seen: dict[bytes, Response] = {}
        self._texts: dict[str, Response] = {}
        issuing = authority.issuing.parsed
        self._name = issuing.subject.public_bytes()
        self._point = authority.issuing.ec_key.public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def verified(self, data: bytes) -> Response:
        """The response, verified but for its times.

        Raises:
            VerificationFailed: malformed, unsuccessful, for another issuer, or badly signed.
        """
        key = hashlib.sha256(data).digest()
        if key not in self._seen:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    self._seen[key] = self._read(data)
                except _MALFORMED as error:
                    raise VerificationFailed(f"OCSP response is malformed ({error})") from error
        return self._seen[key]

    def verified_text(self, text: str) -> Response:
        """As `verified`, from base64; the same text is decoded once."""
        if text not in self._texts:
            self._texts[text] = self.verified(canonical.bytes_of(text))
        return self._texts[text]

    def _read(self, data: bytes) -> Response:
        response = ocsp.load_der_ocsp_response(data)
        successful = response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
        require(successful, "OCSP response is not successful")
        require(len(list(response.responses)) == 1, "OCSP response is not for one certificate")
        require(len(data) <= _RESPONSE_BYTES_MAX, "OCSP response is longer than 65,536 bytes")
        for extension in (*response.extensions, *response.single_extensions):
            require(not extension.critical, "OCSP response has a critical extension")
            nonce = extension.value
            long = isinstance(nonce, x509.OCSPNonce) and len(nonce.nonce) > _NONCE_MAX
            require(not long, "OCSP response has a nonce of more than 32 bytes")
        algorithm = response.hash_algorithm
        known = isinstance(algorithm, (hashes.SHA256, hashes.SHA1))
        require(known, "OCSP certificate id is by neither SHA-256 nor SHA-1")
        name, point = (_digest(algorithm, data) for data in (self._name, self._point))
        ours = response.issuer_name_hash == name and response.issuer_key_hash == point
        require(ours, "OCSP response is for a certificate of another issuer")
        signer = self._check_signature(response)
        next_update = response.next_update_utc
        if next_update is None:
            raise VerificationFailed("OCSP response has no nextUpdate")
        return Response(
            response.serial_number,
            _ocsp_status(response),
            seconds_ns(response.this_update_utc),
            seconds_ns(next_update),
            signer,
        )

    def _check_signature(self, response: ocsp.OCSPResponse) -> Certificate:
        by = self._authority.issuing
        if response.certificates:
            by = certificates.load_der(response.certificates[0].public_bytes(Encoding.DER))
            self._authority.check_responder(by)
        point = by.ec_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        key_hash = hashlib.sha1(point, usedforsecurity=False).digest()
        named = response.responder_key_hash == key_hash
        named = named or response.responder_name == by.parsed.subject
        require(named, "OCSP response names another responder")
        algorithm = response.signature_algorithm_oid
        require(algorithm == _SHA256_ECDSA, "OCSP response is not ECDSA with SHA-256")
        try:
            signed = response.tbs_response_bytes
            by.ec_key.verify(response.signature, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise VerificationFailed("OCSP response has a bad signature") from error
        return by


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    if isinstance(algorithm, hashes.SHA1):
        return hashlib.sha1(data, usedforsecurity=False).digest()
    return hashlib.sha256(data).digest()


def _ocsp_status(response: ocsp.OCSPResponse) -> Status:
    found = response.certificate_status
    if found is ocsp.OCSPCertStatus.GOOD:
        return GOOD
    require(found is ocsp.OCSPCertStatus.REVOKED, "OCSP response says that it does not know")
    return _reason(response.revocation_reason)
