# SPDX-License-Identifier: Apache-2.0
"""A gate's end of the authority's stream of status pushes; it keeps itself connected.

Each push is handed to the gate at once, beside whatever else is going on, and what it achieved is
reported. A push that comes again after a cut is carried out once; only what was not complete is
tried again. What comes here only narrows: *good*, and every new connection, make the gate ask for
a lease, which alone lifts a stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from sekisho.core.errors import MalformedInput, NotAuthorised, SekishoError, Unavailable
from sekisho.ports import Clock
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.status import StatusListener, StatusPush
from sekisho.services.stopping import StopOutcome

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
REMEMBERED_MAX = 256
"""Pushes whose outcome is kept, to be reported again."""


class EventStream:
    """One stream. :meth:`run` goes on until it is cancelled."""

    def __init__(
        self,
        client: AuthorityClient,
        on_status: StatusListener,
        clock: Clock,
        *,
        after: Callable[[], int],
        renew: Callable[[], Awaitable[object]],
    ) -> None:
        """``after`` is the highest epoch in the gate's log; ``renew`` asks for a lease."""
        self._client = client
        self._on_status = on_status
        self._clock = clock
        self._after = after
        self._renew = renew
        self._outcomes: dict[str, StopOutcome | None] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._renew_again = False
        self.connected = False
        self.last_failure: Exception | None = None
        """Why the last connection ended, or could not be made."""

    async def run(self) -> None:
        """Connect, listen, and connect again after a pause that grows to two seconds."""
        tries = 0
        while True:
            try:
                await self._listen()
            except (Unavailable, NotAuthorised, MalformedInput) as error:
                self.last_failure = error
            tries = 0 if self.connected else tries + 1
            self.connected = False
            await self._clock.sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])

    async def close(self) -> None:
        """End what is under way here; a stop that has begun at the gate goes on there."""
        tasks = [*self._running, *([self._renewing] if self._renewing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async with aclosing(self._client.events(self._after())) as events:
            async for event in events:
                if event is None:
                    self.connected = True
                    self._ask_for_lease()
                else:
                    self._heard(*event)

    def _heard(self, push_id: str, push: StatusPush) -> None:
        """Nothing is awaited here: the stop runs before the next event is read."""
        if push.status == "good":
            self._ask_for_lease()
            return
        known = self._outcomes.get(push_id)
        if push_id in self._outcomes and known is None:
            return  # its stop is under way, and will be reported
        if known is not None and known.complete:
            self._begin(self._report(push_id, known))
            return
        self._outcomes[push_id] = None
        self._begin(self._carry_out(push_id, push))

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry_out(self, push_id: str, push: StatusPush) -> None:
        try:
            outcome = await self._on_status(push)
        except BaseException as error:
            # Not stopped as far as is known: told again, it is tried again.
            del self._outcomes[push_id]
            if isinstance(error, SekishoError):
                self.last_failure = error
                return
            raise
        if outcome is None:
            del self._outcomes[push_id]
            return
        self._outcomes[push_id] = outcome
        while len(self._outcomes) > REMEMBERED_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        await self._report(push_id, outcome)

    async def _report(self, push_id: str, outcome: StopOutcome) -> None:
        """A report that does not arrive is asked for again by the push, on the next connection."""
        try:
            await self._client.stopped(push_id, outcome)
        except SekishoError as error:
            self.last_failure = error

    def _ask_for_lease(self) -> None:
        """Ask beside the stream; if one is being asked for already, once more after it."""
        if self._renewing is not None and not self._renewing.done():
            self._renew_again = True
            return
        self._renewing = asyncio.ensure_future(self._lease())

    async def _lease(self) -> None:
        while True:
            self._renew_again = False
            try:
                await self._renew()
            except SekishoError as error:
                self.last_failure = error
            if not self._renew_again:
                return
