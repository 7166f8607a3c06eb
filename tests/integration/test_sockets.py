# SPDX-License-Identifier: Apache-2.0
"""The sockets of a server: who can reach them, and who the server says is at the other end."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import socket
import ssl
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sekisho.adapters.web.listening import Listener, Tls, bind
from sekisho.adapters.web.peers import peer_in, subject_uris
from sekisho.adapters.web.serving import Bounds, Serving, serve
from sekisho.core.errors import ConfigurationInvalid

NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A CA for workload certificates, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self._subject, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = made.sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=2))
            .not_valid_after(NOW + datetime.timedelta(days=2))
        )

    def issue(self, name: str, *names: x509.GeneralName, days: int = 1) -> tuple[Path, Path]:
        """Certificate and key files of a leaf with these alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        until = NOW + datetime.timedelta(days=days)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate, path = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(Encoding.PEM))
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, path


async def who(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the peer that the server says."""
    peer = peer_in(scope)
    uris = subject_uris(peer.certificate) if peer.certificate else ()
    told = json.dumps({"transport": peer.transport, "uid": peer.uid, "uris": uris})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


def serving(
    story: Callable[[Serving], Coroutine[Any, Any, None]],
    *listeners: Listener,
    bounds: Bounds | None = None,
) -> None:
    """Run ``story`` while the server listens."""

    async def all_of_it() -> None:
        server = await serve(who, listeners, bounds)
        try:
            await story(server)
        finally:
            await server.close()

    asyncio.run(all_of_it())


def test_unix_socket_is_open_to_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 by default, and the peer's user id from the kernel."""
    path = tmp_path / "gate.sock"

    async def story(server: Serving) -> None:
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport) as client:
            told = (await client.get("http://gate/")).json()
        assert {"transport": "unix", "uid": os.getuid(), "uris": []} == told

    serving(story, Listener(f"unix:{path}"))


def test_unix_socket_for_a_group_is_0660(tmp_path: Path) -> None:
    """With a group, that group and nobody else may connect."""
    import grp

    path = tmp_path / "gate.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    bound = bind(Listener(f"unix:{path}", mode=0o660, group=group))
    assert 0o660 == stat.S_IMODE(path.stat().st_mode)
    bound.close()


def test_unix_socket_of_a_dead_process_is_replaced_and_a_living_one_kept(tmp_path: Path) -> None:
    """A left-over socket does not keep a gate from starting; a used one does."""
    path = tmp_path / "gate.sock"
    first = bind(Listener(f"unix:{path}"))
    first.close()
    second = bind(Listener(f"unix:{path}"))
    second.listen()
    with pytest.raises(ConfigurationInvalid) as refused:
        bind(Listener(f"unix:{path}"))
    assert "another process" in str(refused.value)
    second.close()
    path.unlink()
    path.write_text("not a socket", encoding="utf-8")
    with pytest.raises(ConfigurationInvalid):
        bind(Listener(f"unix:{path}"))
    assert "not a socket" == path.read_text(encoding="utf-8")


def test_unix_socket_in_a_folder_of_everybody_is_refused(tmp_path: Path) -> None:
    """Where anybody could replace the socket, nothing listens; a sticky folder is no such place."""
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    with pytest.raises(ConfigurationInvalid) as refused:
        bind(Listener(f"unix:{open_folder}/gate.sock"))
    assert "o-w" in refused.value.do
    open_folder.chmod(0o1777)
    bind(Listener(f"unix:{open_folder}/gate.sock")).close()
    with pytest.raises(ConfigurationInvalid):
        bind(Listener(f"unix:{tmp_path}/absent/gate.sock"))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.invalid:0", "10.0.0.1:0"])
def test_tcp_beyond_loopback_needs_client_certificates(tmp_path: Path, address: str) -> None:
    """Plain TCP, and TLS that asks for no certificate, stay on this machine."""
    firm = Authority(tmp_path, "firm")
    certificate, key = firm.issue("gate", x509.DNSName("localhost"))
    for tls in (None, Tls(certificate, key, None)):
        with pytest.raises(ConfigurationInvalid) as refused:
            bind(Listener(address, tls=tls))
        assert "client certificates" in str(refused.value)


def client_context(firm: Authority, files: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(firm.path))
    if files is not None:
        context.load_cert_chain(*files)
    return context


def test_tls_tells_the_client_and_refuses_all_others(tmp_path: Path) -> None:
    """The certificate's URI reaches the application; none, expired or foreign ones do not."""
    firm, stranger = Authority(tmp_path, "firm"), Authority(tmp_path, "stranger")
    uri = x509.UniformResourceIdentifier("spiffe://firm/bot")
    good = firm.issue("bot", uri)
    expired = firm.issue("old", uri, days=-1)
    foreign = stranger.issue("foreign", uri)
    certificate, key = firm.issue("gate", x509.DNSName("localhost"))
    refused: list[None] = []

    async def story(server: Serving) -> None:
        for places in server._places:
            places.refused = lambda: refused.append(None)
        port = server.addresses[0].rpartition(":")[2]
        url = f"https://localhost:{port}/"
        async with httpx2.AsyncClient(verify=client_context(firm, good)) as client:
            told = (await client.get(url)).json()
        assert [] == refused
        assert {"transport": "tls", "uid": None, "uris": ["spiffe://firm/bot"]} == told
        for files in (None, expired, foreign):
            async with httpx2.AsyncClient(verify=client_context(firm, files)) as client:
                with pytest.raises(httpx2.TransportError):
                    await client.get(url)
        async with asyncio.timeout(5):
            while len(refused) < 3:  # noqa: ASYNC110 - the server is told a moment later
                await asyncio.sleep(0.01)

    serving(story, Listener("127.0.0.1:0", tls=Tls(certificate, key, firm.path)))


def test_connection_that_says_nothing_is_ended(tmp_path: Path) -> None:
    """Half a request's head keeps a place for a bounded time only."""

    async def story(server: Serving) -> None:
        host, _, port = server.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nhost:")
        await writer.drain()
        assert b"" == await asyncio.wait_for(_read_to_end(reader), 5)
        writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=Bounds(header_wait_s=0.2))


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def test_connections_above_the_bound_are_ended(tmp_path: Path) -> None:
    """One more connection than allowed is cut at once; the others work on."""
    path = tmp_path / "gate.sock"

    async def story(server: Serving) -> None:
        kept = []
        for _ in range(2):
            kept.append(await asyncio.open_unix_connection(str(path)))  # noqa: PERF401 - in order
        extra, writer = await asyncio.open_unix_connection(str(path))
        assert b"" == await asyncio.wait_for(_read_to_end(extra), 5)
        writer.close()
        kept[0][1].write(b"GET / HTTP/1.1\r\nhost: gate\r\n\r\n")
        assert (await asyncio.wait_for(kept[0][0].readline(), 5)).startswith(b"HTTP/1.1 200")
        for _, one in kept:
            one.close()

    serving(story, Listener(f"unix:{path}"), bounds=Bounds(connections=2, of_one=2))


def test_peer_of_an_unknown_transport_is_unknown() -> None:
    """A scope that no server of ours made has no peer, so nothing can be concluded from it."""
    assert "unknown" == peer_in({"extensions": {"sekisho.peer": {"transport": "unix"}}}).transport
    assert "unknown" == peer_in({}).transport


def test_kernel_says_the_user_of_a_socket_pair() -> None:
    """The reading of SO_PEERCRED is the process's own user here."""
    from sekisho.adapters.web.peers import peer_uid

    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    assert os.getuid() == peer_uid(left)
    left.close()
    right.close()
