# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures of persons: ECDSA P-256 with SHA-256, or Ed25519 (docs/spec/policy.md, 5, 6).

Verifies only; whoever signs does so elsewhere, with a key that never comes here. A key has one
encoding, so that two seats with one key are found by comparing bytes.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from sekisho.core.errors import MalformedInput, VerificationFailed

PersonKey = EllipticCurvePublicKey | Ed25519PublicKey


def read_public_key(spki: bytes) -> PersonKey:
    """Read a DER SubjectPublicKeyInfo of P-256 or Ed25519.

    Raises:
        MalformedInput: no key, of another kind, or not in the encoding that re-encoding gives.
    """
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedInput("public key: not a DER SubjectPublicKeyInfo") from error
    if isinstance(key, EllipticCurvePublicKey):
        if not isinstance(key.curve, SECP256R1):
            raise MalformedInput(f"public key: curve {key.curve.name}; P-256 or Ed25519 is wanted")
    elif not isinstance(key, Ed25519PublicKey):
        raise MalformedInput("public key: neither P-256 nor Ed25519")
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
        raise MalformedInput("public key: not in its one encoding (named curve, uncompressed)")
    return key


def verify_signature(public_key_spki: bytes, message: bytes, signature: bytes) -> None:
    """Verify a person's signature over a message with its context line.

    Args:
        public_key_spki: DER SubjectPublicKeyInfo; it decides the algorithm.
        message: the signed bytes.
        signature: DER for P-256, 64 raw bytes for Ed25519.

    Raises:
        MalformedInput: the key is none of these.
        VerificationFailed: the signature does not hold.
    """
    key = read_public_key(public_key_spki)
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, message, ECDSA(SHA256()))
        else:
            key.verify(signature, message)
    except InvalidSignature as error:
        raise VerificationFailed("the signature does not hold") from error
