# SPDX-License-Identifier: Apache-2.0
"""Requests for a certificate's status, and the answers that say nothing of one (RFC 6960).

A request is about exactly one certificate (docs/spec/certificate.md, section 7). Its certificate id
is kept as the bytes that came, because the answer must repeat it: ``openssl`` asks by SHA-1, and
programs differ in whether the algorithm has parameters.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.identity.der import ENUMERATED, OCTET_STRING, SEQUENCE, element, integer

REQUEST_BYTES_MAX: Final = 4_096
ECHOED_NONCE_BYTES_MAX: Final = 32
NONCE_BYTES_MAX: Final = 128
"""RFC 9654: longer ones are refused; those above 32 bytes are not answered with a nonce."""

_ALGORITHMS: Final[dict[Literal["sha1", "sha256"], bytes]] = {
    "sha1": bytes.fromhex("06052b0e03021a"),
    "sha256": bytes.fromhex("0609608648016503040201"),
}
_PARAMETERS: Final = (b"\x05\x00", b"")
"""Both are in use: NULL, and none; the library takes no others."""

Error = Literal["malformedRequest", "tryLater", "unauthorized"]
_ERRORS: Final[dict[Error, int]] = {"malformedRequest": 1, "tryLater": 3, "unauthorized": 6}


class StatusQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked. ``nonce`` is what the answer repeats, empty for none."""

    certificate_id: bytes
    algorithm: Literal["sha1", "sha256"]
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int
    nonce: bytes


def read_ocsp_request(der: bytes) -> StatusQuestion:
    """Read a request. A signature over it is not looked at: whoever asks gets the same answer.

    Raises:
        MalformedInput: not a request about one certificate, or with a critical extension.
        NotAuthorised: about what cannot be a certificate of this profile, or by another hash.
    """
    if len(der) > REQUEST_BYTES_MAX:
        raise MalformedInput(f"a request of {len(der)} bytes is too long")
    try:
        found = ocsp.load_der_ocsp_request(der)
        nonce = _nonce(found.extensions)
        serial = found.serial_number
    except (ValueError, NotImplementedError, x509.DuplicateExtension) as error:
        raise MalformedInput(f"not a request about one certificate: {error}") from error
    algorithm = _algorithm(found)
    name_hash, key_hash = found.issuer_name_hash, found.issuer_key_hash
    if serial <= 0:
        raise NotAuthorised("no certificate has such a serial number")
    rest = (
        element(OCTET_STRING, name_hash),
        element(OCTET_STRING, key_hash),
        integer(serial),
    )
    usual, bare = (
        element(SEQUENCE, element(SEQUENCE, _ALGORITHMS[algorithm], parameters), *rest)
        for parameters in _PARAMETERS
    )
    return StatusQuestion(
        certificate_id=usual if usual in der else bare,
        algorithm=algorithm,
        issuer_name_hash=name_hash,
        issuer_key_hash=key_hash,
        serial_number=serial,
        nonce=nonce,
    )


def _algorithm(found: ocsp.OCSPRequest) -> Literal["sha1", "sha256"]:
    try:
        algorithm = found.hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if isinstance(algorithm, hashes.SHA1):
        return "sha1"
    if isinstance(algorithm, hashes.SHA256):
        return "sha256"
    raise NotAuthorised("certificates are found by SHA-1 or SHA-256 of their issuer")


def _nonce(extensions: x509.Extensions) -> bytes:
    nonce = b""
    for part in extensions:
        if isinstance(part.value, x509.OCSPNonce):
            nonce = part.value.nonce
            if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
                raise MalformedInput(f"a nonce has 1 to {NONCE_BYTES_MAX} bytes")
        elif part.critical:
            raise MalformedInput(f"the extension {part.oid.dotted_string} is not known")
    return nonce if len(nonce) <= ECHOED_NONCE_BYTES_MAX else b""


def ocsp_error(error: Error) -> bytes:
    """An answer that says nothing of any certificate, and is signed by nobody; DER."""
    return element(SEQUENCE, element(ENUMERATED, bytes([_ERRORS[error]])))
