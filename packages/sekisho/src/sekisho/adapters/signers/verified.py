# SPDX-License-Identifier: Apache-2.0
"""A signature from elsewhere is looked at before anybody relies on it (docs/spec/keys.md, 4)."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.core.errors import KeyDisabled
from sekisho.ports import Signer

_ECDSA = ec.ECDSA(hashes.SHA256())


def check_signature(signer: Signer, message: bytes, signature: bytes) -> bytes:
    """The signature, if it is one of this key over this message.

    Raises:
        KeyDisabled: it is not: the custody signs with another key, or errs. Nothing leaves.
    """
    key = _load(signer.public_key)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, _ECDSA)
    except InvalidSignature as error:
        raise KeyDisabled(
            f"{signer.uri}: what was answered is no signature of the key that was opened",
            signer.uri,
            "look at what has this name in the custody now",
        ) from error
    return signature


@lru_cache(maxsize=64)
def _load(spki: bytes) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    key = serialization.load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise TypeError("adapters open P-256 and Ed25519 keys alone")
    return key
