# SPDX-License-Identifier: Apache-2.0
"""Many ECDSA signatures verified on all cores; `cryptography` releases the interpreter lock.

Batches keep the cost of handing over far below that of a verification. The first bad signature, in
the order of submission, is the one that is named.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho_verify.findings import VerificationFailed

_BATCH = 64
_ALGORITHM = ec.ECDSA(hashes.SHA256())

Job = tuple[ec.EllipticCurvePublicKey, bytes, bytes, str]


def _first_bad(jobs: list[Job]) -> str | None:
    for key, signature, message, place in jobs:
        try:
            key.verify(signature, message, _ALGORITHM)
        except InvalidSignature:
            return place
    return None


class Signatures:
    """Collects and verifies; must be closed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
        self._waiting: list[Job] = []
        self._results: list[Future[str | None]] = []
        self.count = 0

    def close(self) -> None:
        """End the threads; what was not verified yet is not."""
        self._pool.shutdown(cancel_futures=True)

    def add(
        self, key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, place: str
    ) -> None:
        """Have one signature verified; `place` names what it belongs to."""
        self._waiting.append((key, signature, message, place))
        self.count += 1
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._results.append(self._pool.submit(_first_bad, self._waiting))
            self._waiting = []

    def finish(self) -> None:
        """Wait for all.

        Raises:
            VerificationFailed: names the first that does not verify.
        """
        self._flush()
        for result in self._results:
            if (place := result.result()) is not None:
                raise VerificationFailed("has a permit whose signature does not verify", place)
