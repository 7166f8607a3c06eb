# SPDX-License-Identifier: Apache-2.0
"""Where a gate is, and what the bot shows it: read and checked once, before anything is sent.

On a Unix socket a bot shows a token, over TCP a client certificate, and the gate one of the CA that
the bot names. There is no argument that switches verification off, and nothing is taken from the
environment.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sekisho_client.failures import ConnectionInvalid

ANSWER_S = 5.0
CONNECT_S = 1.0
AUTHORITY_ANSWER_S = 30.0
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}")
_SECONDS_MAX = 300.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,256}")
_TOKEN_BYTES_MAX = 512

File = str | Path


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A gate and how it is reached.

    Attributes:
        origin: scheme, host and port of every request.
        socket_path: of a Unix socket, else None.
        tls: for TCP; on a Unix socket a context that trusts nobody.
        authorization: header for the token; empty without one. Never shown.
        answer_s: seconds until a whole answer is there, connecting included.
        connect_s: seconds of it for connecting.
        whom: what is reached, in words.
    """

    origin: str
    socket_path: str | None
    tls: ssl.SSLContext
    authorization: str = field(repr=False)
    answer_s: float
    connect_s: float
    whom: str = "the gate"


def read_endpoint(
    address: str,
    *,
    token: str | None = None,
    token_file: File | None = None,
    certificate: tuple[File, File] | None = None,
    ca: File | None = None,
    answer_s: float = ANSWER_S,
    connect_s: float = CONNECT_S,
) -> Endpoint:
    """Read what a program said of its gate.

    Args:
        address: ``unix:PATH`` or ``https://HOST:PORT``.
        token: on a Unix socket, this or ``token_file``.
        token_file: a file of mode 0600 or 0400 with the token and perhaps one newline.
        certificate: over TCP, PEM files of the certificate with its chain, and of its key.
        ca: over TCP, PEM file of the CA of the gate's certificate.
        answer_s: seconds until a whole answer is there.
        connect_s: seconds of it for connecting.

    Raises:
        ConnectionInvalid: anything missing, superfluous or unreadable.
    """
    _check_seconds(answer_s, connect_s)
    if not isinstance(address, str):
        raise ConnectionInvalid("address: unix:PATH or https://HOST:PORT is wanted")
    if address.startswith("unix:"):
        if certificate is not None or ca is not None:
            raise ConnectionInvalid("a Unix socket takes a token, no certificate and no CA")
        path = address.removeprefix("unix:")
        if not path or "\0" in path:
            raise ConnectionInvalid("unix: the path of the socket is missing")
        shown = f"Bearer {_token(token, token_file)}"
        trusts_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return Endpoint("http://gate", path, trusts_nobody, shown, answer_s, connect_s)
    if token is not None or token_file is not None:
        raise ConnectionInvalid("over TCP a gate takes a client certificate, no token")
    if certificate is None or ca is None or len(certificate) != 2:
        raise ConnectionInvalid("over TCP certificate=(file, key file) and ca=file are wanted")
    origin = _origin(address)
    return Endpoint(origin, None, _tls(certificate, ca), "", answer_s, connect_s)


def read_authority(
    address: str,
    *,
    key: str | None = None,
    key_file: File | None = None,
    ca: File | None = None,
    answer_s: float = AUTHORITY_ANSWER_S,
    connect_s: float = CONNECT_S,
) -> Endpoint:
    """Read what a program said of an authority's control plane, and of its API key.

    Args:
        address: ``unix:PATH``, ``https://HOST:PORT``, or ``http://127.0.0.1:PORT`` on this machine.
        key: ``sk_ID_SECRET``; this or ``key_file``.
        key_file: a file of mode 0600 or 0400 with the key and perhaps one newline.
        ca: for https, PEM file of the CA of the authority's certificate; no other is trusted.
        answer_s: seconds until a whole answer is there; a command waits for gates.
        connect_s: seconds of it for connecting.

    Raises:
        ConnectionInvalid: anything missing, superfluous or unreadable.
    """
    _check_seconds(answer_s, connect_s)
    shown = f"Bearer {_token(key, key_file)}"
    if (ca is not None) != address.startswith("https://"):
        raise ConnectionInvalid("ca=file goes with https://HOST:PORT, and with nothing else")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    origin, path = "http://authority", None
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
    elif ca is not None:
        origin = _origin(address)
        try:
            tls.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise ConnectionInvalid(f"CA cannot be used: {error}") from error
    elif _LOOPBACK.fullmatch(address) is not None:
        origin = address
    else:
        raise ConnectionInvalid("address: unix:PATH, https://HOST:PORT or http://127.0.0.1:PORT")
    return Endpoint(origin, path, tls, shown, answer_s, connect_s, "the authority")


def _check_seconds(answer_s: float, connect_s: float) -> None:
    for name, seconds in (("answer_s", answer_s), ("connect_s", connect_s)):
        if type(seconds) not in {int, float} or not 0 < seconds <= _SECONDS_MAX:
            raise ConnectionInvalid(f"{name}: above 0, at most {_SECONDS_MAX:g} seconds")


def _origin(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port or 443
    except ValueError as error:
        raise ConnectionInvalid(f"{address!r} is no address: {error}") from error
    plain = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
    host = parts.hostname or ""
    if parts.scheme != "https" or not plain or not host.isascii() or not host:
        raise ConnectionInvalid(f"{address!r} is no address: unix:PATH or https://HOST:PORT")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _tls(certificate: tuple[File, File], ca: File) -> ssl.SSLContext:
    """TLS 1.3, the gate's certificate and host name verified with the named CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _secret(certificate[1], _KEY_BYTES_MAX)
    try:
        context.load_verify_locations(cafile=ca)
        context.load_cert_chain(certificate[0], certificate[1], _no_passphrase)
    except (OSError, ssl.SSLError, TypeError, ValueError) as error:
        raise ConnectionInvalid(f"certificate, key or CA cannot be used: {error}") from error
    return context


_KEY_BYTES_MAX = 65_536


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted; give it in a file that only the bot's user can read")


def _token(token: str | None, token_file: File | None) -> str:
    if (token is None) == (token_file is None):
        raise ConnectionInvalid("a Unix socket takes token= or token_file=, one of them")
    if token_file is not None:
        data = _secret(token_file, _TOKEN_BYTES_MAX)
        token = data.removesuffix(b"\n").decode("ascii", "replace")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        # What was given is not shown: it may be a secret with a mistake in it.
        raise ConnectionInvalid("token: 32 to 256 letters, digits, - and _ are wanted")
    return token


def _secret(path: File, size_max: int) -> bytes:
    """A file that nobody but this user may read."""
    try:
        with open(path, "rb", opener=_opened) as file:
            state = os.fstat(file.fileno())
            data = file.read(size_max + 1) if stat.S_ISREG(state.st_mode) else None
    except (OSError, TypeError, ValueError) as error:
        raise ConnectionInvalid(f"{path}: cannot be read ({error})") from error
    if data is None:
        raise ConnectionInvalid(f"{path}: is no file")
    if state.st_mode & 0o077:
        raise ConnectionInvalid(f"{path}: others may read it; chmod 600 {path}")
    if len(data) > size_max:
        raise ConnectionInvalid(f"{path}: has more than {size_max} bytes")
    return data


def _opened(path: str, flags: int) -> int:
    """Not waiting: a pipe of this name would keep the program for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
