# SPDX-License-Identifier: Apache-2.0
"""Rates over HTTP: asked for again and again, or sent by a source that holds the answer open.

Which of the two it is, the source says by the type of its answer: ``application/json`` is one
answer, asked for again every ``POLL_S``; ``text/event-stream`` and ``application/x-ndjson`` (or
``application/jsonl``) are streams of lines. Nothing that comes ends the feed: a failed answer is
counted and asked for again, later and later up to ``BACK_OFF_MAX_S``.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx2

from sekisho.adapters.rates.feed import LineCutter, RateFeed, is_market
from sekisho.adapters.web.outgoing import destination
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import NS
from sekisho.ports import Clock

POLL_S: Final = 1.0
TIMEOUT_S: Final = 2.0
BACK_OFF_S: Final = 0.1
BACK_OFF_MAX_S: Final = 2.0
ANSWER_BYTES_MAX: Final = 2**20
DEFAULT_PATH: Final = "/v1/rates"
_ACCEPT: Final = "text/event-stream, application/x-ndjson, application/json"
_LINES: Final = ("application/x-ndjson", "application/jsonl")


class _Unusable(Exception):
    """An answer that is none."""


class HttpFeed(RateFeed):
    """A :class:`RateFeed` that asks one URL while :meth:`run` runs.

    Args:
        name: the source, as policies write it.
        address: ``https://…``, ``http://…`` on loopback, or ``unix:PATH``; without a path of its
            own ``/v1/rates`` is asked for.
        clock: ours.
        silent_s: see :class:`RateFeed`; a stream that is silent for so long is cut.
        pairs: to be asked for, as ``?pairs=``; none: whatever the source quotes.
        credential: a bearer token, or "".

    Raises:
        ConfigurationInvalid: an address that is none of these.
    """

    def __init__(
        self,
        name: str,
        address: str,
        clock: Clock,
        silent_s: int,
        *,
        pairs: tuple[str, ...] = (),
        credential: str = "",
    ) -> None:
        super().__init__(name, clock, silent_s)
        if "?" in address or "#" in address:
            raise ConfigurationInvalid(f"{address}: no query; pairs are a setting", address)
        self._to = destination(address)
        self._silent_s = silent_s
        self._asked = {"pairs": ",".join(pairs)} if pairs else {}
        self._headers = {"accept": _ACCEPT}
        if credential:
            self._headers["authorization"] = f"Bearer {credential}"

    async def run(self) -> None:
        """Follow until cancelled."""
        # A read may wait as long as the source may be silent; connecting may not.
        client = self._to.client(timeout_s=TIMEOUT_S, headers=self._headers)
        client.timeout = httpx2.Timeout(TIMEOUT_S, read=max(TIMEOUT_S, float(self._silent_s)))
        wait = BACK_OFF_S
        try:
            while True:
                try:
                    await self._once(client)
                except (httpx2.HTTPError, TimeoutError, _Unusable):
                    self.fault()
                    await self._clock.sleep(wait)
                    wait = min(2 * wait, BACK_OFF_MAX_S)
                else:
                    wait = BACK_OFF_S
                    await self._clock.sleep(POLL_S)
        finally:
            await client.aclose()

    async def _once(self, client: httpx2.AsyncClient) -> None:
        """One answer, or one stream until it ends. A stream that ends is a failed answer."""
        url = self._to.url(self._to.path if self._to.path not in {"", "/"} else DEFAULT_PATH)
        request = client.build_request("GET", url, params=self._asked or None)
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise _Unusable(f"status {response.status_code}")
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "application/json":
                async with asyncio.timeout(TIMEOUT_S):
                    self._answer(await _content(response))
            elif kind == "text/event-stream" or kind in _LINES:
                await self._stream(response, events=kind == "text/event-stream")
                raise _Unusable("the stream ended")
            else:
                raise _Unusable("an answer of another type")
        finally:
            await response.aclose()

    def _answer(self, content: bytes) -> None:
        """``{"quotations": […]}``, with an optional ``heartbeat``: all that the source quotes."""
        try:
            plain = parse_plain(content, numbers=False)
        except MalformedInput as error:
            raise _Unusable("not JSON as wanted") from error
        if not isinstance(plain, dict) or not {"quotations"} <= set(plain) <= _MEMBERS:
            raise _Unusable("not an object of quotations")
        quotations: Any = plain["quotations"]
        if not isinstance(quotations, list):
            raise _Unusable("quotations: an array is wanted")
        for one in quotations:
            self.take(one)
        markets = [one.get("market") for one in quotations if isinstance(one, dict)]
        self.keep(market for market in markets if is_market(market))
        self.heard()
        if "heartbeat" in plain:
            self.take({"heartbeat": plain["heartbeat"]})

    async def _stream(self, response: httpx2.Response, *, events: bool) -> None:
        """Lines as they come, until the source ends them or says nothing usable for too long."""
        cutter = LineCutter()
        since = self._clock.monotonic_ns()
        async for chunk in response.aiter_raw():
            for line in cutter.feed(chunk):
                if line is None:
                    self.fault()
                elif not events:
                    self.line(line)
                elif line.startswith(b"data:"):
                    self.line(line.removeprefix(b"data:"))
            if self.silent and self._clock.monotonic_ns() - since > self._silent_s * NS:
                raise _Unusable("nothing usable comes")


_MEMBERS: Final = {"quotations", "heartbeat"}


async def _content(response: httpx2.Response) -> bytes:
    taken = bytearray()
    async for part in response.aiter_raw():
        taken += part
        if len(taken) > ANSWER_BYTES_MAX:
            raise _Unusable("the answer is too long")
    return bytes(taken)
