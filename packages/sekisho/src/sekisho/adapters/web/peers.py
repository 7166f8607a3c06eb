# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end of a connection, as the kernel and TLS say: never as a request says.

No ASGI server hands this to the application. :func:`peer_of` reads it from the transport once, when
the connection is made; ``serving`` puts it into every request's scope. What is not known is None,
and nothing may be concluded from None but a refusal.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

EXTENSION = "sekisho.peer"
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end.

    Attributes:
        transport: how it is connected.
        uid: user of the process that connected, on a Unix socket; else None.
        certificate: its client certificate, DER, verified by TLS; None without one.
    """

    transport: str
    uid: int | None = None
    certificate: bytes | None = None


UNKNOWN = Peer("unknown")


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """What kernel and TLS know of the peer of this connection."""
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        return Peer("tls", certificate=tls.getpeercert(True) or None)
    found = transport.get_extra_info("socket")
    if found is None:
        return UNKNOWN
    if found.family != socket.AF_UNIX:
        return Peer("tcp")
    return Peer("unix", uid=peer_uid(found))


def peer_uid(found: Any) -> int | None:
    """User of the process that connected to a Unix socket; None where the kernel does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # not Linux
        return None
    try:
        _, uid, _ = _UCRED.unpack(found.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    except OSError:
        return None
    return uid if uid >= 0 else None


def peer_in(scope: Mapping[str, Any]) -> Peer:
    """The peer of a request; ``UNKNOWN`` where the server did not say: to be refused."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, Peer) else UNKNOWN


def subject_uris(certificate: bytes) -> tuple[str, ...]:
    """URIs among the subject alternative names of a certificate, DER; none where it has none."""
    try:
        names = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
