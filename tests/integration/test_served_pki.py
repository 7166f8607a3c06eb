# SPDX-License-Identifier: Apache-2.0
"""What the authority publishes over HTTP, as openssl finds and reads it.

Every place is taken from the certificates themselves. The full form (``./dev test --full``) issues
1,000 certificates and revokes 500.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps.control_application import control_application
from sekisho.apps.control_routes import control_routes
from sekisho.core.identity.crl import crl_pem
from sekisho.core.identity.profile import Names
from sekisho.core.identity.published import crl_place, placed
from sekisho.core.identity.reading import load, pem
from sekisho.core.terms import DAY_S, NS
from sekisho.services.certification import IssuedCertificate
from tests.authority_world import START, AuthorityWorld
from tests.control_world import ControlWorld, HostedDouble

PATIENT = ("-validity_period", str(20 * 365 * DAY_S))
"""The authority's clock in these tests is not the machine's, by which openssl judges the times."""
AT_ONCE = 4


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def openssl(folder: Path, *words: str) -> str:
    """What openssl says, both streams."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", *words),
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()


class ServedPki:
    """An operator's authority behind a real port, and a stranger's folder."""

    def __init__(self, folder: Path, base: str, authority: AuthorityWorld) -> None:
        self.folder = folder
        self.base = base
        self.authority = authority
        self.issued: list[IssuedCertificate] = []

    @property
    def at(self) -> str:
        """Now, by the authority's clock, in seconds."""
        return str(self.authority.clock.now_ns() // NS)

    async def issue(self, count: int) -> None:
        """So many agents with certificates, as PEM files in the folder."""
        for number in range(count):
            issued = await self.authority.certified(f"bot-{number}")
            self.issued.append(issued)
            (self.folder / f"{number}.pem").write_bytes(pem(issued.certificate))

    async def fetch(self) -> None:
        """Issuer and CRL, from where the certificates say; the root from a trusted place."""
        leaf = self.issued[0].certificate
        access = load(leaf).extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        issuers = AuthorityInformationAccessOID.CA_ISSUERS
        (issuing,) = [
            one.access_location.value for one in access.value if one.access_method == issuers
        ]
        async with httpx2.AsyncClient() as http:
            for name, url, made in (
                ("issuing.pem", issuing, pem),
                ("crl.pem", crl_place(leaf), crl_pem),
            ):
                answer = await http.get(url)
                assert 200 == answer.status_code, url
                (self.folder / name).write_bytes(made(answer.content))
        (self.folder / "root.pem").write_bytes(pem(self.issued[0].root_certificate))

    async def verified(self) -> dict[str, bool]:
        """Of each file, whether ``openssl verify -crl_check`` finds it good."""
        files = [f"{number}.pem" for number in range(len(self.issued))]
        found: dict[str, bool] = {}
        for begin in range(0, len(files), 200):
            said = await openssl(
                self.folder,
                *("verify", "-x509_strict", "-crl_check", "-CRLfile", "crl.pem", "-attime"),
                *(self.at, "-CAfile", "root.pem", "-untrusted", "issuing.pem"),
                *files[begin : begin + 200],
            )
            for name in files[begin : begin + 200]:
                good = f"{name}: OK\n" in said
                assert good != (f"error {name}: verification failed" in said), said[-2000:]
                found[name] = good
            assert said.count("certificate revoked") == list(found.values())[begin:].count(False)
        return found

    async def asked(self, number: int, *more: str) -> str:
        """What ``openssl ocsp`` says at the place that the certificate names."""
        name = f"{number}.pem"
        url = (await openssl(self.folder, "x509", "-in", name, "-noout", "-ocsp_uri")).strip()
        return await openssl(
            self.folder,
            *("ocsp", "-url", url, "-issuer", "issuing.pem", "-cert", name, *more),
            *("-CAfile", "root.pem", "-verify_other", "issuing.pem", "-attime", self.at, *PATIENT),
        )

    async def all_asked(self, numbers: range) -> dict[str, bool]:
        """Of each file, whether the responder says good of it."""
        found: dict[str, bool] = {}
        turns = asyncio.Semaphore(AT_ONCE)

        async def ask(number: int) -> None:
            async with turns:
                said = await self.asked(number)
            assert "Response verify OK" in said, said
            good = f"{number}.pem: good" in said
            assert good != (f"{number}.pem: revoked" in said), said
            found[f"{number}.pem"] = good

        await asyncio.gather(*(ask(number) for number in numbers))
        return found


async def with_served(folder: Path, story: Any) -> None:
    """Tell a story of a served authority."""
    base = f"http://127.0.0.1:{free_port()}"
    clock = SteppedClock(START)
    names = placed(Names(issuer_name="Issuer of the example"), base, "acme")
    authority = await AuthorityWorld.start(clock=clock, names=names)
    world = ControlWorld(clock, {"acme": HostedDouble(authority)})
    app = control_application(control_routes(world.api, world.server))
    serving = await serve(app, [Listener(base.removeprefix("http://"))])
    try:
        await story(ServedPki(folder, base, authority))
    finally:
        await serving.close()


@pytest.mark.parametrize(
    ("count", "revoked"),
    [
        pytest.param(40, 20, id="quick"),
        pytest.param(1_000, 500, id="full", marks=pytest.mark.slow),
    ],
)
def test_openssl_finds_exactly_the_revoked_certificates_revoked(
    tmp_path: Path, count: int, revoked: int
) -> None:
    """Every second one is revoked: CRL and OCSP at the places of the certificates say just that."""

    async def story(pki: ServedPki) -> None:
        await pki.issue(count)
        for number in range(0, 2 * revoked, 2):
            pki.authority.clock.advance(1)
            await pki.authority.order("revoke", agent=f"bot-{number}")
        await pki.fetch()
        expected = {f"{number}.pem": bool(number % 2) for number in range(count)}
        assert expected == await pki.verified()
        assert expected == await pki.all_asked(range(count))

    play(with_served(tmp_path, story))


@pytest.mark.parametrize("more", [("-no_nonce",), ("-nonce",), ("-sha256", "-no_nonce")])
def test_openssl_sees_a_hold_and_its_release_in_the_next_answer(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    """By either hash, with a nonce or without."""

    async def story(pki: ServedPki) -> None:
        await pki.issue(1)
        await pki.fetch()
        digest = more[:1] if more[0] == "-sha256" else ()
        rest = tuple(one for one in more if one not in digest)
        url = f"{pki.base}/pki/acme/ocsp"
        for kind, expected in (("", "good"), ("hold", "revoked"), ("release", "good")):
            if kind:
                await pki.authority.order(kind, agent="bot-0")
            said = await openssl(
                pki.folder,
                *("ocsp", "-url", url, "-issuer", "issuing.pem", *digest, "-cert", "0.pem"),
                *("-CAfile", "root.pem", "-verify_other", "issuing.pem"),
                *("-attime", pki.at, *rest, *PATIENT),
            )
            assert f"0.pem: {expected}" in said, said
            assert "Response verify OK" in said, said
            assert "WARNING" not in said

    play(with_served(tmp_path, story))


def test_openssl_is_told_nothing_of_a_certificate_of_nobody(tmp_path: Path) -> None:
    """A serial number that was never issued: unauthorized, which openssl prints as it is."""

    async def story(pki: ServedPki) -> None:
        await pki.issue(1)
        await pki.fetch()
        said = await openssl(
            pki.folder,
            *("ocsp", "-url", f"{pki.base}/pki/acme/ocsp", "-issuer", "issuing.pem"),
            *("-serial", "4711", "-CAfile", "root.pem"),
        )
        assert "Responder Error: unauthorized (6)" in said, said

    play(with_served(tmp_path, story))
