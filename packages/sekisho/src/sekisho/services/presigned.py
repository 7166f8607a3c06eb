# SPDX-License-Identifier: Apache-2.0
"""Certificates, CRLs and status responses by keys that take their time (docs/spec/keys.md, 4).

What builds them wants its signature at once, and an authority decides, signs and records without a
break. A key in a token or a service cannot answer at once. So the work is begun, and where it wants
a signature that is not there it ends without effect; the signature is awaited, and the work is
done again from the start: judged again, built again. Only if it then wants the same bytes signed
has it its signature. A signature for what no longer holds is thrown away; nothing waits behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import Unavailable
from sekisho.ports import Clock, Signer
from sekisho.services.signing import signature_of

ATTEMPTS = 8
"""Each failed one means that the register changed while the key signed."""
_T = TypeVar("_T")


class SignatureWanted(Exception):
    """The work cannot go on: these bytes are to be signed first."""

    def __init__(self, data: bytes) -> None:
        super().__init__("a signature is awaited")
        self.data = data


class IssuingKey:
    """A key that answers at once, and work that is done with it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.key = key

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do the work. Raises whatever it raises."""
        return work()


class AwaitedKey(IssuingKey):
    """A key whose signatures are awaited, each within the bound of ``signing``."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, signer: Signer, clock: Clock) -> None:
        self._prepared = _Prepared(key)
        super().__init__(self._prepared)
        self._signer = signer
        self._clock = clock

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do the work, again after each signature that it wants.

        Args:
            work: without await; has no effect before its last signature. It should want the same
                bytes signed again unless what they say changed.

        Raises:
            Unavailable: the key, or the work wanted other bytes each time.
        """
        ready = self._prepared.ready
        wanted = b""
        for _ in range(ATTEMPTS):
            try:
                return work()
            except SignatureWanted as error:
                wanted = error.data
            finally:
                ready.clear()  # whatever it was for, it is not what is wanted now
            signature = await signature_of(self._clock, self._signer, wanted)
            # No await from here to the work: nobody else takes or clears it.
            ready[wanted] = signature
        ready.clear()
        raise Unavailable("what was to be signed kept changing; ask again", self._signer.uri)


class _Prepared(ec.EllipticCurvePrivateKey):
    """Gives the signatures that are ready, and asks for the others."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.ready: dict[bytes, bytes] = {}

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._key.curve

    @property
    def key_size(self) -> int:
        """256."""
        return self._key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public key."""
        return self._key.public_key()

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256; SignatureWanted where it is not ready."""
        del signature_algorithm  # the profile knows one
        found = self.ready.get(bytes(data))
        if found is None:
            raise SignatureWanted(bytes(data))
        return found

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """This key only signs."""
        raise NotImplementedError("this key only signs")

    def private_numbers(self) -> NoReturn:
        """They are elsewhere."""
        raise NotImplementedError("the private key does not leave its signer")

    def private_bytes(self, *_args: Any, **_named: Any) -> NoReturn:
        """They are elsewhere."""
        raise NotImplementedError("the private key does not leave its signer")

    def __copy__(self) -> _Prepared:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Prepared:
        return self
