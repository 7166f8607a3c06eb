# SPDX-License-Identifier: Apache-2.0
"""Sockets to listen on, bound by us: a server that binds its own Unix socket opens it to everybody.

An address is ``unix:PATH`` or ``HOST:PORT``. TCP is plain on loopback only; anywhere else it wants
TLS with client certificates, or without them where every caller shows a key of its own. A Unix
socket has no moment in which a stranger could connect: the mask of the process is narrowed before
the name appears, and widened to a group only afterwards.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from sekisho.core.errors import ConfigurationInvalid

BACKLOG = 512
_PATH_MAX = 100
"""Linux allows 108 bytes for the path of a Unix socket."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS server, PEM. ``client_ca`` None: no client certificates are asked for."""

    certificate: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a server listens.

    ``mode`` and ``group`` are of a Unix socket: 0600 for the user of the process alone, 0660 with
    the name of a group. ``keys``: nothing rests on who connects there, so that TLS may do without
    client certificates.
    """

    address: str
    mode: int = 0o600
    group: str = ""
    tls: Tls | None = None
    keys: bool = False


def bind(listener: Listener) -> socket.socket:
    """A bound socket, not yet listening.

    Raises:
        ConfigurationInvalid: the address cannot be used, or is more open than is allowed.
    """
    if listener.address.startswith("unix:"):
        return _bind_unix(Path(listener.address.removeprefix("unix:")), listener)
    return _bind_tcp(listener)


def parse_tcp(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[v6]:PORT``. Raises ConfigurationInvalid."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65_535 or not host:
        raise ConfigurationInvalid(
            f"{address!r} is no address", address, "write unix:PATH or HOST:PORT"
        )
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than ``localhost`` is not trusted."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def stays_here(address: str) -> bool:
    """Whether what is sent there, a password among it, does not leave this machine."""
    return address.startswith("unix:") or is_loopback(address.rpartition(":")[0].strip("[]"))


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.3; with a ``client_ca`` a connection without a certificate of it is refused.

    Raises:
        ConfigurationInvalid: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationInvalid(
            f"{tls.certificate}, {tls.key}: cannot be used for TLS ({error})",
            str(tls.certificate),
            "name PEM files of a certificate, its key and the CA of the clients",
        ) from error
    return context


def _bind_tcp(listener: Listener) -> socket.socket:
    host, port = parse_tcp(listener.address)
    closed = listener.tls is not None and (listener.keys or listener.tls.client_ca is not None)
    if not closed and not is_loopback(host):
        raise ConfigurationInvalid(
            f"{listener.address}: reached from elsewhere, it needs TLS with client certificates",
            listener.address,
            "give certificate, key and client_ca, or listen on 127.0.0.1",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationInvalid(
            f"{listener.address}: cannot be listened on ({error.strerror})",
            listener.address,
            "choose another address, or end what listens there",
        ) from error
    return bound


def _bind_unix(path: Path, listener: Listener) -> socket.socket:
    if len(os.fsencode(path)) > _PATH_MAX:
        raise ConfigurationInvalid(
            f"{path}: the path of a socket has at most {_PATH_MAX} bytes",
            str(path),
            "name a shorter path of the socket in the configuration, or use a folder nearer to /",
        )
    _check_folder(path.parent)
    _remove_dead(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        bound.bind(str(path))
        if listener.group:
            shutil.chown(path, group=listener.group)
        path.chmod(listener.mode)
    except (OSError, LookupError) as error:
        bound.close()
        raise ConfigurationInvalid(
            f"{path}: the socket cannot be made ({error})", str(path), "name a folder that is there"
        ) from error
    finally:
        os.umask(mask)
    return bound


def _check_folder(folder: Path) -> None:
    """Nobody else may put a socket of theirs in the place of ours."""
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise ConfigurationInvalid(
            f"{folder}: cannot be looked at ({error.strerror})", str(folder), "make the folder"
        ) from error
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigurationInvalid(
            f"{folder}: everybody can write there, and so replace the socket",
            str(folder),
            f"chmod o-w {folder}",
        )


def _remove_dead(path: Path) -> None:
    """Remove the socket of a process that ended; never one that somebody listens on."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationInvalid(f"{path}: there is a file of this name", str(path))
    except FileNotFoundError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1)
        probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
        return
    except OSError as error:
        raise ConfigurationInvalid(f"{path}: {error}", str(path)) from error
    finally:
        probe.close()
    raise ConfigurationInvalid(
        f"{path}: another process listens there", str(path), "end it first, or choose another path"
    )
