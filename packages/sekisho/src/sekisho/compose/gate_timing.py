# SPDX-License-Identifier: Apache-2.0
"""How long a key and a venue take, measured where they are called; nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sekisho.core.errors import KeyDisabled, Unavailable
from sekisho.ports import Clock, Signer, Venue, VenueReport

Stage = Callable[[str, int], None]
"""``(name of the stage, ns)``."""
Signed = Callable[[str, int, str], None]
"""``(scheme of the key's URI, ns, kind of failure or "")``."""


class TimedSigner:
    """A signer whose uses are measured, failed ones too."""

    def __init__(self, inner: Signer, clock: Clock, stage: Stage, signed: Signed) -> None:
        self._inner = inner
        self._clock = clock
        self._stage = stage
        self._signed = signed

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
        """See the port."""
        begin = self._clock.monotonic_ns()
        failure = "abandoned"  # whoever stops waiting cancels
        try:
            signature = await self._inner.sign(message)
            failure = ""
        except KeyDisabled:
            failure = "disabled"
            raise
        except Unavailable:
            failure = "unavailable"
            raise
        except Exception:
            failure = "other"
            raise
        finally:
            took = self._clock.monotonic_ns() - begin
            self._stage("sign", took)
            self._signed(self._inner.uri.partition(":")[0], took, failure)
        return signature

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port."""
        return self._inner.sign_blocking(message)


class TimedVenue:
    """A venue whose submissions and cancels are measured, failed ones too."""

    def __init__(self, inner: Venue, clock: Clock, stage: Stage) -> None:
        self._inner = inner
        self._clock = clock
        self._stage = stage
        self.open_orders = inner.open_orders
        self.order_reports = inner.order_reports
        self.reports_since = inner.reports_since

    @property
    def name(self) -> str:
        """See the port."""
        return self._inner.name

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        """See the port."""
        begin = self._clock.monotonic_ns()
        try:
            return await self._inner.submit(permit)
        finally:
            self._stage("venue_submit", self._clock.monotonic_ns() - begin)

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        """See the port."""
        begin = self._clock.monotonic_ns()
        try:
            return await self._inner.cancel(agent, client_order_id)
        finally:
            self._stage("venue_cancel", self._clock.monotonic_ns() - begin)


def timed_venues(venues: Mapping[str, Venue], clock: Clock, stage: Stage) -> dict[str, Venue]:
    """Each venue, measured."""
    return {name: TimedVenue(venue, clock, stage) for name, venue in venues.items()}
