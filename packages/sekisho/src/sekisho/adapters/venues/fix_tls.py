# SPDX-License-Identifier: Apache-2.0
"""TLS to a venue that speaks FIX: the server is always verified, by a named CA and by its name.

There is no setting that turns verification off. The machine's own list of authorities is not
looked at: a venue is who the CA says that was agreed with it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from sekisho.core.errors import ConfigurationInvalid

_LOCKED = b"ENCRYPTED"
"""In the head of every PEM key that wants a passphrase."""


@dataclass(frozen=True, slots=True)
class VenueTls:
    """Files of a TLS client, PEM.

    Attributes:
        ca: of the venue's server.
        server_name: in the server's certificate; empty: the host of its address.
        certificate, key: what the gate shows; None: nothing.
    """

    ca: Path
    server_name: str = ""
    certificate: Path | None = None
    key: Path | None = None


def venue_context(tls: VenueTls) -> ssl.SSLContext:
    """TLS 1.2 or 1.3, verified.

    Raises:
        ConfigurationInvalid: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(tls.ca)
        if tls.key is not None and _LOCKED in tls.key.read_bytes():
            raise ValueError("the key is under a passphrase, and nobody is there to be asked")
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        named = ", ".join(str(one) for one in (tls.ca, tls.certificate, tls.key) if one is not None)
        raise ConfigurationInvalid(
            f"{named}: cannot be used for TLS ({error})",
            str(tls.ca),
            "name PEM files of the venue's CA, and of the gate's certificate and its open key",
        ) from error
    return context


def verifies(context: ssl.SSLContext) -> bool:
    """Whether a connection with this context is refused to a server that is another one."""
    return context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
