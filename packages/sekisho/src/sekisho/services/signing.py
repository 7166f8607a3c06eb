# SPDX-License-Identifier: Apache-2.0
"""Asking a key, but no longer than a bound on the Clock port, whatever its adapter allows itself.

A key that answers later has signed all the same: whoever must know that passes ``late``. Nothing
that comes late is ever used. A crash while a key is asked leaves what the caller recorded before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sekisho.core.errors import SignatureLate
from sekisho.core.gate.permit import Permit
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Clock, Signer
from sekisho.services.waiting import settle

SIGN_S = 5.0
"""So long a key is waited for at most."""
Late = Callable[["asyncio.Future[bytes]"], None]
"""Called once with what came after the bound: a signature, a failure, or a cancellation."""


async def signature_of(
    clock: Clock,
    signer: Signer,
    message: bytes,
    *,
    seconds: float = SIGN_S,
    late: Late | None = None,
) -> bytes:
    """The signature of a key that answers in time.

    Args:
        clock: on which the time is counted.
        signer: the key; it goes on when it is no longer waited for.
        message: what it signs.
        seconds: the longest wait.
        late: what to do with what comes after that; also when the caller was cancelled meanwhile.

    Raises:
        SignatureLate: no answer within the bound.
        Unavailable: the key says so; and whatever else its adapter raises.
    """
    signing = asyncio.ensure_future(signer.sign(message))
    try:
        if await settle(clock, [signing], seconds):
            return signing.result()
    finally:
        if late is not None and not signing.done():
            signing.add_done_callback(late)
    raise SignatureLate(f"the key {signer.uri} did not answer within {seconds:g} s", signer.uri)


def longest_wait(permit: Permit) -> float:
    """How long a key may take, seconds: its permit is worth nothing afterwards."""
    lifetime = parse_instant(permit.expires_at) - parse_instant(permit.issued_at)
    return min(SIGN_S, max(0, lifetime) / NS)


class BoundedSigner:
    """A signer that is not waited for longer than ``SIGN_S``; what comes later is thrown away."""

    def __init__(self, inner: Signer, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    @property
    def uri(self) -> str:
        """See the port."""
        return self._inner.uri

    @property
    def algorithm(self) -> str:
        """See the port."""
        return self._inner.algorithm

    @property
    def public_key(self) -> bytes:
        """See the port."""
        return self._inner.public_key

    async def sign(self, message: bytes) -> bytes:
        """See the port; SignatureLate, an Unavailable, after ``SIGN_S``."""
        return await signature_of(self._clock, self._inner, message)

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port; bounded by the adapter alone."""
        return self._inner.sign_blocking(message)
