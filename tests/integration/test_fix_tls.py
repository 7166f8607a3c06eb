# SPDX-License-Identifier: Apache-2.0
"""FIX to a venue over TLS: who is believed to be the venue, and what the gate shows."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.venues.fix import FixVenue
from sekisho.adapters.venues.fix_tls import VenueTls, venue_context
from sekisho.adapters.web.listening import Listener, Tls
from sekisho.compose.fix_gate import open_fix_venue
from sekisho.compose.gate_config import read_gate_config
from sekisho.core.errors import ConfigurationInvalid, Unavailable
from tests.fix_doubles import paper_side, venue_terms
from tests.integration.test_sockets import Authority
from tests.paper_doubles import CREDENTIAL, Desk, order
from tests.unit.compose.test_gate_config import MINIMAL

VENUE_NAME = x509.DNSName("fix.venue.example")
HERE = x509.IPAddress(ip_address("127.0.0.1"))
LOGON_S = 10.0
REFUSED_S = 1.5


class Firm:
    """A venue's CA, the gate's CA, and a desk whose FIX side listens with TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venue_ca = Authority(folder, "venue-ca")
        self.gate_ca = Authority(folder, "gate-ca")
        self.desk = Desk()

    @asynccontextmanager
    async def listening(self, *names: x509.GeneralName, ask: bool = False) -> AsyncIterator[str]:
        """The address; the server's certificate has these names. ``ask``: for the gate's own."""
        certificate, key = self.venue_ca.issue("venue", *(names or (HERE, VENUE_NAME)))
        disk = FolderDisk(self.folder / "venue")
        side = paper_side(self.desk, disk, [])
        tls = Tls(certificate, key, self.gate_ca.path if ask else None)
        try:
            yield await side.start(Listener("127.0.0.1:0", tls=tls), ("GATE1",))
        finally:
            await side.close()
            disk.close()

    @asynccontextmanager
    async def connector(self, address: str, tls: VenueTls) -> AsyncIterator[FixVenue]:
        """A gate's connector, connecting."""
        disk = FolderDisk(self.folder / "gate")
        terms = venue_terms(address, tls=venue_context(tls), server_name=tls.server_name)
        venue = await FixVenue.open(terms, disk, self.desk.clock)
        venue.start()
        try:
            yield venue
        finally:
            await venue.close()
            disk.close()

    async def refused(self, address: str, tls: VenueTls) -> str:
        """Why the connector does not get through; fails when it does."""
        async with self.connector(address, tls) as venue:
            with pytest.raises(Unavailable) as caught:
                await venue.logged_on(REFUSED_S)
            with pytest.raises(Unavailable):
                await venue.reports_since(0)
            return str(caught.value)


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm(tmp_path)


@pytest.mark.parametrize("server_name", ["", "fix.venue.example"])
def test_fix_over_tls_trades(firm: Firm, server_name: str) -> None:
    """The server is verified by the host of the address, or by the name that is configured."""

    async def story() -> list[str]:
        async with firm.listening() as address:
            tls = VenueTls(firm.venue_ca.path, server_name)
            async with firm.connector(address, tls) as venue:
                await venue.logged_on(LOGON_S)
                return [one.exec_type for one in await venue.submit(firm.desk.permit(order()))]

    assert ["new", "trade"] == asyncio.run(story())


def test_fix_server_of_another_ca_or_name_gets_no_logon(firm: Firm) -> None:
    """No byte of the credential leaves: the handshake fails first, and why is told."""

    async def story() -> list[str]:
        said = []
        async with firm.listening() as address:
            said.append(await firm.refused(address, VenueTls(firm.gate_ca.path)))
            other = VenueTls(firm.venue_ca.path, "other.venue.example")
            said.append(await firm.refused(address, other))
        async with firm.listening(VENUE_NAME) as address:
            said.append(await firm.refused(address, VenueTls(firm.venue_ca.path)))
        return said

    chain, name, host = asyncio.run(story())
    assert "certificate verify failed" in chain
    assert "other.venue.example" in name
    assert "127.0.0.1" in host


def test_fix_venue_that_wants_a_certificate_gets_the_gates(firm: Firm) -> None:
    """Without one it lets nobody in; with one of another CA neither."""

    async def story() -> None:
        async with firm.listening(ask=True) as address:
            plain = VenueTls(firm.venue_ca.path)
            await firm.refused(address, plain)
            for ca in (firm.venue_ca, firm.gate_ca):
                certificate, key = ca.issue("gate")
                shown = dataclasses.replace(plain, certificate=certificate, key=key)
                if ca is firm.venue_ca:
                    await firm.refused(address, shown)
                    continue
                async with firm.connector(address, shown) as venue:
                    await venue.logged_on(LOGON_S)

    asyncio.run(story())


def test_fix_plain_goes_nowhere_but_this_machine(firm: Firm) -> None:
    """Whoever wires it: the connector itself does not take the address."""
    disk = FolderDisk(firm.folder / "gate")
    for address in ("203.0.113.7:5001", "venue.example:5001"):
        with pytest.raises(ConfigurationInvalid, match="wants TLS"):
            asyncio.run(FixVenue.open(venue_terms(address), disk, firm.desk.clock))
    disk.close()


@pytest.mark.parametrize("part", ["name", "chain"])
def test_fix_tls_that_verifies_nobody_is_refused(firm: Firm, part: str) -> None:
    """A context with verification off is none."""
    context = venue_context(VenueTls(firm.venue_ca.path))
    context.check_hostname = False
    if part == "chain":
        context.verify_mode = ssl.CERT_NONE
    disk = FolderDisk(firm.folder / "gate")
    terms = venue_terms("203.0.113.7:5001", tls=context)
    with pytest.raises(ConfigurationInvalid, match="verifies nobody"):
        asyncio.run(FixVenue.open(terms, disk, firm.desk.clock))
    disk.close()


def test_fix_tls_files_that_cannot_be_used_are_named(firm: Firm, tmp_path: Path) -> None:
    """No CA, no certificate, a key under a passphrase: nobody is asked for it at a terminal."""
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("", encoding="ascii")
    certificate, _ = firm.gate_ca.issue("gate")
    locked = tmp_path / "locked.key"
    secret = ec.generate_private_key(ec.SECP256R1())
    locked.write_bytes(
        secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    for tls in (
        VenueTls(nothing),
        VenueTls(tmp_path / "missing.pem"),
        VenueTls(firm.venue_ca.path, certificate=nothing, key=locked),
        VenueTls(firm.venue_ca.path, certificate=certificate, key=locked),
    ):
        with pytest.raises(ConfigurationInvalid, match="cannot be used for TLS"):
            venue_context(tls)
    with pytest.raises(ConfigurationInvalid, match="under a passphrase"):
        venue_context(tls)


def test_fix_venue_of_a_configuration_speaks_tls(firm: Firm) -> None:
    """From ``gate.toml`` to the logon; a key that others can read is refused."""
    certificate, key = firm.gate_ca.issue("gate")
    (firm.folder / "credential").touch(0o600)
    (firm.folder / "credential").write_text(CREDENTIAL, encoding="ascii")
    key.chmod(0o644)

    async def story() -> None:
        async with firm.listening(VENUE_NAME, ask=True) as address:
            text = MINIMAL + (
                f'[[venues]]\nname = "PAPER"\nkind = "fix"\naddress = "{address}"\n'
                'credential_file = "credential"\nsender = "GATE1"\ntarget = "PAPER"\n'
                f'[venues.tls]\nca = "venue-ca.pem"\nserver_name = "{VENUE_NAME.value}"\n'
                f'certificate = "{certificate.name}"\nkey = "{key.name}"\n'
            )
            (firm.folder / "gate.toml").write_text(text, encoding="utf-8")
            located = read_gate_config(firm.folder / "gate.toml")
            (settings,) = located.config.venues
            async with AsyncExitStack() as stack:
                disk = FolderDisk(firm.folder / "gate")
                stack.callback(disk.close)
                with pytest.raises(ConfigurationInvalid, match="others than its owner"):
                    await open_fix_venue(located, settings, disk, firm.desk.clock)
                key.chmod(0o600)
                venue = await open_fix_venue(located, settings, disk, firm.desk.clock)
                stack.push_async_callback(venue.close)
                await venue.logged_on(LOGON_S)

    asyncio.run(story())
