# SPDX-License-Identifier: Apache-2.0
"""HTTP to one authority, on a Unix socket or with TLS in both directions.

Each request ends within the time that its caller gives it, however the other end behaves: frozen,
slow byte by byte, or cut. Proxies and settings of the environment are not used. What was not
answered is Unavailable: each request may be repeated.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import httpx2

from sekisho.adapters.authority.events import read_events
from sekisho.core.errors import ConfigurationInvalid, OutcomeUnknown, Unavailable

ANSWER_BYTES_MAX = 1_048_576
CONNECT_S = 1.0
_ANSWERED = ("content-type", "cache-control", "x-request-id", "retry-after", "www-authenticate")
"""Headers of an answer that is passed on."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Files of a TLS client, PEM: its certificate and key, and the CA of the server."""

    certificate: Path
    key: Path
    ca: Path


class HttpLink:
    """Connections to one address: ``unix:PATH``, or ``HOST:PORT`` with ``tls``."""

    def __init__(self, address: str, tls: ClientTls | None = None) -> None:
        """``https://HOST:PORT`` is the same as ``HOST:PORT``. Nothing is connected yet.

        Raises:
            ConfigurationInvalid: TCP without TLS, or a TLS file that cannot be used.
        """
        limits = httpx2.Limits(max_connections=16, max_keepalive_connections=4)
        address = address.removeprefix("https://")
        unix = address.startswith("unix:")
        transport = httpx2.AsyncHTTPTransport(
            uds=address.removeprefix("unix:") if unix else None,
            verify=_context(tls) if tls is not None else True,
            trust_env=False,
            limits=limits,
        )
        if not unix and tls is None:
            raise ConfigurationInvalid(
                f"{address}: an authority on TCP wants TLS in both directions",
                address,
                "name certificate, key and ca, or a Unix socket",
            )
        self._address = address
        self._client = httpx2.AsyncClient(
            transport=transport,
            base_url="http://authority" if unix else f"https://{address}",
            trust_env=False,
            follow_redirects=False,
        )

    async def ask(self, method: str, path: str, body: bytes, *, wait_s: float) -> tuple[int, bytes]:
        """Status and body of one request.

        Raises:
            Unavailable: a cut, no answer within ``wait_s``, or an answer that is too long.
        """
        headers = {"content-type": "application/json"} if body else {}
        try:
            # The bound is on the whole: a time-out of each read alone never ends a slow drip.
            async with (
                asyncio.timeout(wait_s),
                self._client.stream(
                    method, path, content=body, headers=headers, timeout=wait_s
                ) as answer,
            ):
                data = b""
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > ANSWER_BYTES_MAX:
                        raise Unavailable("the authority's answer is too long")
                return answer.status_code, data
        except httpx2.ConnectError as error:
            raise Unavailable(
                f"the authority cannot be asked: nobody answers at {self._address} ({error});"
                " start it: sekisho serve --home DIR",
                self._address,
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {wait_s} s"
            raise Unavailable(f"the authority cannot be asked: {reason}") from error

    async def pass_on(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, wait_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request that is passed on with its own headers.

        Raises:
            Unavailable: it certainly did not arrive.
            OutcomeUnknown: it may have: a cut, or no answer within ``wait_s``.
        """
        try:
            async with asyncio.timeout(wait_s):
                answer = await self._client.request(
                    method, path, content=body, headers=dict(headers), timeout=wait_s
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL) as error:
            raise Unavailable(f"nobody answers at {self._address}: {error}") from error
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            raise OutcomeUnknown(f"{self._address} did not answer: {error!r}") from error
        told = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return answer.status_code, told, answer.content

    async def events(
        self, path: str, *, silence_s: float
    ) -> AsyncGenerator[tuple[str, str, bytes], None]:
        """A stream of events; first ``("open", "", b"")`` once the authority has accepted it.

        Raises:
            Unavailable: refused, cut, ended, or nothing came for ``silence_s``.
        """
        waits = httpx2.Timeout(silence_s, connect=CONNECT_S)
        try:
            async with self._client.stream("GET", path, timeout=waits) as answer:
                if answer.status_code != 200:
                    raise Unavailable(f"the authority refuses its stream: {answer.status_code}")
                yield "open", "", b""
                async with aclosing(read_events(answer.aiter_bytes())) as events:
                    async for event in events:
                        yield event
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise Unavailable(f"the authority's stream was cut: {error!r}") from error
        raise Unavailable("the authority ended its stream")

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()


def _context(tls: ClientTls) -> ssl.SSLContext:
    """TLS 1.3, the server by this CA alone, ourselves by our certificate."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationInvalid(
            f"{tls.certificate}, {tls.key}, {tls.ca}: cannot be used for TLS ({error})",
            str(tls.certificate),
            "name PEM files of a certificate, its key and the CA of the authority",
        ) from error
    return context
