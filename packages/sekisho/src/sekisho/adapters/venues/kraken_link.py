# SPDX-License-Identifier: Apache-2.0
"""Signed requests to Kraken's private REST, one after the other (docs/spec/kraken.md, section 3.1).

The venue takes a nonce only when it is above the last one of the key. So requests of one key go one
at a time, and a request that is still on its way when a later one was answered can no longer be
taken: that is what makes "not there" a proof. Nothing is ever sent a second time.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlencode

import httpx2

from sekisho.core.errors import ConfigurationInvalid, OutcomeUnknown, Unavailable
from sekisho.core.kraken import PRIVATE, signature
from sekisho.ports import Clock

ANSWER_BYTES_MAX: Final = 8_388_608
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_NOT_TAKEN = (
    "EAPI:",
    "EOrder:Rate limit exceeded",
    "EGeneral:Temporary lockout",
    "EGeneral:Permission denied",
    "EGeneral:Too many requests",
    "EGeneral:Unknown method",
    "ESession:",
)
"""Refused before anything was looked at: certainly without effect, and good for another time."""
_FINAL = (
    "EOrder:",
    "EQuery:",
    "ETrade:",
    "EAccount:",
    "EFunding:",
    "EGeneral:Invalid arguments",
    "EService:Market in",
)
"""Said of the request itself. Whatever is in neither list is doubtful: nothing is concluded."""


class VenueRefused(Exception):
    """The venue refused this request for good; caught within the connector."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class KrakenLink:
    """One key pair of the gate at one venue.

    Args:
        address: ``https://HOST``, ``http://127.0.0.1:PORT`` (loopback alone) or ``unix:PATH``.
        key: ``API-Key``.
        secret: decoded.
        clock: nonces are its nanoseconds, and always grow.
        time_out_s: for a whole request; also bounds the wait for the one before it.
        transport: instead of the network, in tests.

    Raises:
        ConfigurationInvalid: plain HTTP to another machine.
    """

    def __init__(
        self,
        address: str,
        key: str,
        secret: bytes,
        clock: Clock,
        time_out_s: float = 2.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url, uds = _parts(address)
        self._key = key
        self._secret = secret
        self._clock = clock
        self._time_out_s = time_out_s
        self._turn = asyncio.Lock()
        self._last = 0
        self._client = httpx2.AsyncClient(
            base_url=url,
            transport=transport or httpx2.AsyncHTTPTransport(uds=uds, retries=0, trust_env=False),
            timeout=httpx2.Timeout(time_out_s),
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(self, method: str, form: dict[str, str], *, effect: bool) -> Any:
        """One request; its ``result``, with numbers as text.

        Args:
            method: ``AddOrder``.
            form: without nonce.
            effect: whether it changes something, so that a lost answer is in doubt.

        Raises:
            Unavailable: certainly without effect.
            OutcomeUnknown: perhaps with effect; only when ``effect``.
            VenueRefused: the venue refused it.
        """
        async with self._turn:
            nonce = str(self._nonce())
            body = urlencode({"nonce": nonce} | form).encode("ascii")
            data = await self._post(PRIVATE + method, nonce, body, effect)
        return _result(method, data, effect)

    def _nonce(self) -> int:
        self._last = max(self._last + 1, self._clock.now_ns())
        return self._last

    async def _post(self, path: str, nonce: str, body: bytes, effect: bool) -> bytes:
        headers = {
            "API-Key": self._key,
            "API-Sign": signature(path, nonce, body, self._secret),
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "sekisho",
            "Accept-Encoding": "identity",
        }
        try:
            # A crash here leaves an order that the venue may have: it is asked after the restart.
            async with (
                asyncio.timeout(self._time_out_s),
                self._client.stream("POST", path, content=body, headers=headers) as response,
            ):
                taken = bytearray()
                async for part in response.aiter_raw():
                    taken += part
                    if len(taken) > ANSWER_BYTES_MAX:
                        raise _doubt(effect, f"{path}: an answer of more than the bound")
                if response.status_code != 200:
                    raise _doubt(effect, f"{path}: HTTP {response.status_code}")
        except _NOT_SENT as error:
            raise Unavailable(f"{path}: not sent ({type(error).__name__})") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _doubt(effect, f"{path}: no answer ({type(error).__name__})") from error
        return bytes(taken)


def _parts(address: str) -> tuple[str, str | None]:
    """Base URL and Unix socket of an address. Raises ConfigurationInvalid."""
    if address.startswith("unix:"):
        return "http://venue.invalid", address.removeprefix("unix:")
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL as error:
        raise ConfigurationInvalid(f"{address}: no address", address) from error
    loopback = url.scheme == "http" and url.host in {"127.0.0.1", "::1", "localhost"}
    if url.scheme != "https" and not loopback:
        raise ConfigurationInvalid(
            f"{address}: a credential travels over TLS, or stays on this machine",
            address,
            "write https://HOST, http://127.0.0.1:PORT or unix:PATH",
        )
    return address, None


def _doubt(effect: bool, message: str) -> OutcomeUnknown | Unavailable:
    return OutcomeUnknown(message) if effect else Unavailable(message)


def _result(method: str, data: bytes, effect: bool) -> Any:
    """What a whole answer says; one that cannot be read is as good as none."""
    try:
        plain = json.loads(data, parse_float=str, parse_int=str, parse_constant=str)
        if b"\\u" in data or not data.isascii():
            json.dumps(plain, ensure_ascii=False).encode("utf-8")  # half a character is no text
    except (ValueError, RecursionError) as error:
        raise _doubt(effect, f"{method}: the answer is not JSON") from error
    said = plain.get("error") if isinstance(plain, dict) else None
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise _doubt(effect, f"{method}: the answer has no list of errors")
    errors = [one[:200] for one in said if not one.startswith("W")]  # W: a warning, not an error
    if not errors:
        if not isinstance(plain.get("result"), dict):
            raise _doubt(effect, f"{method}: the answer has no result")
        return plain["result"]
    text = f"{method}: {'; '.join(errors)}"
    if all(one.startswith(_NOT_TAKEN) for one in errors):
        raise Unavailable(text)
    if all(one.startswith(_FINAL) for one in errors):
        raise VenueRefused(errors)
    raise _doubt(effect, text)
