# SPDX-License-Identifier: Apache-2.0
"""Where a client of ours connects to, and with what: one HTTP client for one destination.

``unix:PATH``, ``HOST:PORT`` and ``http://HOST:PORT`` on loopback, ``https://HOST:PORT`` anywhere.
No proxy and no setting of the environment is used, no redirect is followed.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from sekisho.adapters.web.listening import is_loopback, parse_tcp
from sekisho.core.errors import ConfigurationInvalid

CONNECTIONS_MAX = 32
_FORMS = "write unix:PATH, HOST:PORT on loopback, or https://HOST:PORT"


@dataclass(frozen=True)
class Destination:
    """One destination. ``socket`` is empty for TCP; ``path`` is what the address itself asks for.

    ``ca`` is a PEM file of the authorities that may certify the other end; None: the machine's.
    """

    base: str
    socket: str = ""
    path: str = ""
    ca: Path | None = None

    def url(self, path: str) -> str:
        """The URL of a path there."""
        return f"{self.base}{path}"

    def client(
        self, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> httpx2.AsyncClient:
        """A client for this destination alone; connecting and each read end within ``timeout_s``.

        Raises:
            ConfigurationInvalid: ``ca`` cannot be used.
        """
        transport = httpx2.AsyncHTTPTransport(
            verify=self._context() if self.base.startswith("https:") else False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
            uds=self.socket or None,
            retries=0,
        )
        return httpx2.AsyncClient(
            transport=transport,
            timeout=timeout_s,
            headers={"accept-encoding": "identity", **(headers or {})},
            follow_redirects=False,
            trust_env=False,
        )

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationInvalid(
                f"{self.ca}: cannot be used as the other end's authority ({error})", str(self.ca)
            ) from error


def destination(address: str, ca: Path | None = None) -> Destination:
    """Read an address.

    Raises:
        ConfigurationInvalid: none of the forms, or plain TCP that leaves this machine.
    """
    if address.startswith("unix:"):
        return Destination("http://venue.invalid", socket=address.removeprefix("unix:"))
    scheme, found, rest = address.partition("://")
    if not found:
        scheme, rest = "http", address
    host_port, slash, path = rest.partition("/")
    host, port = parse_tcp(host_port if ":" in host_port else f"{host_port}:443")
    if scheme not in {"http", "https"}:
        raise ConfigurationInvalid(f"{address!r} is no address", address, _FORMS)
    if scheme == "http" and not is_loopback(host):
        raise ConfigurationInvalid(
            f"{address}: plain HTTP would leave this machine", address, _FORMS
        )
    shown = f"[{host}]" if ":" in host else host
    return Destination(f"{scheme}://{shown}:{port}", path=f"{slash}{path}", ca=ca)
