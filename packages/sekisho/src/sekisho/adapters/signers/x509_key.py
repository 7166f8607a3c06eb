# SPDX-License-Identifier: Apache-2.0
"""Lets ``cryptography`` sign certificates, CRLs and OCSP responses through any ``Signer``.

The library takes every object of its key interface; this one has no private numbers to give away.
"""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Signer


class SignerKey(ec.EllipticCurvePrivateKey):
    """A P-256 private key that lives behind a port."""

    def __init__(self, signer: Signer) -> None:
        key = serialization.load_der_public_key(signer.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or signer.algorithm != "ES256":
            raise ConfigurationInvalid(f"{signer.uri}: certificates are signed with P-256 keys")
        self._signer = signer
        self._public = key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """256."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public key."""
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256, nothing else."""
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise ConfigurationInvalid(f"{self._signer.uri}: this key signs with SHA-256 only")
        return self._signer.sign_blocking(bytes(data))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """This key only signs."""
        raise NotImplementedError("this key only signs")

    def private_numbers(self) -> NoReturn:
        """They do not leave the signer."""
        raise NotImplementedError("the private key does not leave its signer")

    def private_bytes(self, *_args: Any, **_named: Any) -> NoReturn:
        """They do not leave the signer."""
        raise NotImplementedError("the private key does not leave its signer")

    def __copy__(self) -> SignerKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SignerKey:
        return self
