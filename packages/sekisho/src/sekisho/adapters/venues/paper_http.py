# SPDX-License-Identifier: Apache-2.0
"""A gate's connection to a venue that speaks the permit protocol (docs/spec/venues.md section 2).

The ``Venue`` port over HTTP/1.1 on a Unix socket, on loopback, or with TLS. Every call is sent at
most once and ends within its time-out. What an error says: *Unavailable* when not one byte of the
request left, or when the venue answered with a problem that promises no effect; for ``submit`` and
``cancel`` everything else is *OutcomeUnknown*. Questions change nothing, so their failures are all
*Unavailable*. A crash during a call leaves what a time-out leaves: a question to be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import httpx2
import msgspec

from sekisho.adapters.web.outgoing import Destination, destination
from sekisho.core.encoding import canonical
from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.ports import VenueReport

TIMEOUT_S = 2.0
ANSWER_BYTES_MAX = 8 * 2**20
DETAIL_MAX = 200
TAPE_PAGES_MAX: Final = 1_000
_PROMISE: Final = "urn:sekisho:problem:"
_NO_EFFECT: Final = frozenset({400, 401, 403, 404, 405, 413, 415, 503})
_SENT: Final = ".send_request_headers.started"

Reports = tuple[VenueReport, ...]
T = TypeVar("T")


class _ToldReports(msgspec.Struct, frozen=True):
    """``{"reports": […]}``."""

    reports: Reports


class _ToldOpen(msgspec.Struct, frozen=True):
    """``{"client_order_ids": […]}``."""

    client_order_ids: tuple[str, ...]


class _ToldTape(msgspec.Struct, frozen=True):
    """A page of the tape; ``series`` names the life of the book that it belongs to."""

    series: str
    sequence: int
    complete: bool
    reports: Reports


class _Failed(Exception):
    """A call without a usable answer; ``certain`` when it certainly had no effect."""

    def __init__(self, detail: str, *, certain: bool) -> None:
        super().__init__(detail[:DETAIL_MAX])
        self.certain = certain


class PaperHttpVenue:
    """The permit protocol's client; the port's contract is in ``ports.Venue``.

    Args:
        name: as permits write it.
        address: ``unix:PATH``, ``HOST:PORT`` on loopback, or ``https://HOST:PORT``.
        credential: the bearer token.
        timeout_s: how long one call may take in all.

    Raises:
        ConfigurationInvalid: an address that is not one of these.
    """

    def __init__(
        self, name: str, address: str, credential: str, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._series = ""
        self._to: Destination = destination(address)
        self._client = self._to.client(
            timeout_s=timeout_s, headers={"authorization": f"Bearer {credential}"}
        )

    @property
    def name(self) -> str:
        """The venue's name."""
        return self._name

    async def close(self) -> None:
        """Close the connections; calls under way end as cut."""
        await self._client.aclose()

    async def submit(self, permit: str) -> Reports:
        """See the port."""
        return (await self._act("/v1/permits", {"permit": permit})).reports

    async def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See the port."""
        fields = {"agent": agent, "client_order_id": client_order_id}
        return (await self._act("/v1/cancels", fields)).reports

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        """See the port."""
        return (await self._ask("/v1/open", {"agent": agent}, _ToldOpen)).client_order_ids

    async def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """See the port."""
        asked = {"agent": agent, "client_order_id": client_order_id}
        return (await self._ask("/v1/reports", asked, _ToldReports)).reports

    async def reports_since(self, sequence: int) -> tuple[int, Reports]:
        """See the port. The venue gives the tape in pages; each has the call's time-out."""
        found: list[VenueReport] = []
        for _ in range(TAPE_PAGES_MAX):
            asked = {"after": str(sequence)}
            if self._series:
                asked["series"] = self._series
            page = await self._ask("/v1/tape", asked, _ToldTape)
            if self._series not in {"", page.series}:
                # Started anew, the venue counts anew: everything that it has came, from the first.
                sequence, found = 0, []
            self._series = page.series
            if page.sequence != sequence + len(page.reports):
                raise Unavailable(f"{self._name}: the tape does not count its own reports")
            found += page.reports
            sequence = page.sequence
            if page.complete:
                return sequence, tuple(found)
            if not page.reports:
                break
        raise Unavailable(f"{self._name}: the tape has no end")

    # -- inside --------------------------------------------------------------------------------

    async def register(self, certificate: str) -> None:
        """Tell the venue of an agent's certificate (DER, base64). May be repeated.

        Raises:
            Unavailable: not taken, or not known whether; ask again.
        """
        try:
            await self._call("POST", "/v1/certificates", body={"certificate": certificate})
        except _Failed as failed:
            raise Unavailable(f"{self._name}: {failed}") from failed

    async def _act(self, path: str, body: dict[str, str]) -> _ToldReports:
        """A call that changes something at the venue."""
        try:
            answer = await self._call("POST", path, body=body)
            return _read(answer, _ToldReports)
        except _Failed as failed:
            kind = Unavailable if failed.certain else OutcomeUnknown
            raise kind(f"{self._name}: {failed}") from failed

    async def _ask(self, path: str, asked: Mapping[str, str], kind: type[T]) -> T:
        """A question."""
        try:
            return _read(await self._call("GET", path, asked=asked), kind)
        except _Failed as failed:
            raise Unavailable(f"{self._name}: {failed}") from failed

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, str] | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send once, read the whole answer, within the time-out. Raises _Failed."""
        sent = False

        async def trace(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal sent
            sent = sent or event.endswith(_SENT)

        request = self._client.build_request(
            method,
            self._to.url(path),
            params=asked,
            content=None if body is None else canonical(body),
            headers=None if body is None else {"content-type": "application/json"},
            extensions={"trace": trace},
        )
        try:
            # The client's own time-outs are for each read; a venue that drips must end as well.
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    return _answer(response, await _content(response))
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise _Failed(f"no answer within {self._timeout_s} s", certain=not sent) from error
        except httpx2.HTTPError as error:
            # What stands before the first byte left: refused, not found, no free connection.
            raise _Failed(f"{type(error).__name__}: {error}", certain=not sent) from error


async def _content(response: httpx2.Response) -> bytes:
    taken = bytearray()
    async for part in response.aiter_raw():
        taken += part
        if len(taken) > ANSWER_BYTES_MAX:
            raise _Failed("the answer is too long", certain=False)
    return bytes(taken)


def _answer(response: httpx2.Response, content: bytes) -> bytes:
    """The content of a good answer. Raises _Failed for any other."""
    status = response.status_code
    if status in {200, 204}:
        return content
    word, detail = _problem(response, content)
    said = f"{status} {detail}" if detail else f"{status}"
    # Only the venue's own problem document promises anything: a status alone may be a proxy's.
    raise _Failed(said, certain=bool(word) and status in _NO_EFFECT)


def _problem(response: httpx2.Response, content: bytes) -> tuple[str, str]:
    """Word and detail of a problem of this protocol; empty where it is none."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/problem+json":
        return "", ""
    try:
        plain = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "", ""
    word, detail = plain.get("type"), plain.get("detail", "")
    if not isinstance(word, str) or not word.startswith(_PROMISE) or not isinstance(detail, str):
        return "", ""
    return word.removeprefix(_PROMISE), detail


def _read(content: bytes, kind: type[T]) -> T:
    """A good answer in its form. Raises _Failed: it was answered, but nobody knows what."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _Failed(f"the answer cannot be read: {error}", certain=False) from error
