# SPDX-License-Identifier: Apache-2.0
"""Issuer, operator and approvers as three organisations: folders, keys and processes of their own.

The issuer is reached over TLS alone, by gates and approvers with client certificates of its CA. No
organisation reads another one's folder here, except where a test attacks.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import open_signer
from sekisho.compose import Home, Surroundings, init_home, register_document
from sekisho.config import Config
from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.identity.oids import Arc, openssl_names
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS
from sekisho.ports import Disk, Signer
from sekisho.services.certification import possession_message
from sekisho.services.evidence import Export
from sekisho.services.journal import Journal
from sekisho_client import Gate, connect
from tests.processes import COMMAND, POLICY, PRICES, World

GATE, AGENT = "gate-a", "steady"
ORIGIN, AUTHORITY_ORIGIN = f"{GATE}.sekisho.invalid/log", "authority.sekisho.invalid/log"
APPROVERS = ("ceo-1", "cfo-1")
ROLES = {
    "ceo-1": "approver",
    "cfo-1": "approver",
    "dev-1": "developer",
    "duty_compliance": "compliance",
    "duty_risk": "risk",
    "issuer": "issuer",
    "operator": "operator",
}
SHA256 = hashes.SHA256()
SERVE = """
[[serve.listen]]
address = "unix:authority.sock"
[[serve.listen]]
address = "127.0.0.1:0"
certificate = "tls/server.crt"
key = "tls/server.key"
client_ca = "tls/ca.crt"
[serve.gates]
gate-a = "spiffe://operator.example/gate-a"
"""
GATE_TOML = """\
gate = "gate-a"
region = "eu-west-1"
environment = "test"
origin = "gate-a.sekisho.invalid/log"
roster_sha256 = "{roster}"
authority = "https://{address}"
[authority_tls]
certificate = "tls/client.crt"
key = "tls/client.key"
ca = "tls/ca.crt"
[[agents]]
name = "steady"
uid = "own"
token_sha256 = "{token}"
[[venues]]
name = "PAPER"
kind = "paper"
address = "unix:../venue/venue.sock"
credential_file = "keys/venue-PAPER"
[[rates]]
source = "PAPER"
kind = "http"
address = "unix:../venue/venue.sock"
credential_file = "keys/venue-PAPER"
"""
VENUE_TOML = """\
name = "PAPER"
environment = "test"
listen = ["unix:venue.sock"]
credentials_file = "credentials"
"""
TOKEN, CREDENTIAL = "t" * 43, "c" * 64
PASSPHRASE = b"a passphrase of the test"


def today() -> datetime.datetime:
    """Now, as certificates want it."""
    return datetime.datetime.fromtimestamp(SystemClock().now_ns() // NS, tz=datetime.UTC)


def secret(path: Path, content: bytes) -> None:
    """A file that its owner alone can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


class TlsAuthority:
    """The CA of the issuer's listener: who may connect, and as whom."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "link CA")])
        self.certificate = self._made("link CA", self._key, None)

    def give(self, folder: Path, name: str, subject: x509.GeneralName) -> None:
        """Put a certificate, its key and the CA into somebody's folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._made(name, key, x509.SubjectAlternativeName([subject]))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        secret(folder / f"{name}.key", private)
        secret(folder / f"{name}.crt", made)
        secret(folder / "ca.crt", self.certificate)

    def _made(self, name: str, key: Any, names: x509.SubjectAlternativeName | None) -> bytes:
        now = today()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._name if names is None else subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(names is None, None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, SHA256).public_bytes(Encoding.PEM)


class ThreeFirms(World):
    """``issuer/``, ``operator/`` and ``approvers/SEAT/``; each writes its own part."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.issuer, self.operator = folder / "issuer", folder / "operator"
        self.home, self.gate = self.issuer / "home", self.operator / "gate-a"
        self.address = ""
        self.digest = ""

    # -- approvers -----------------------------------------------------------------------------

    def of(self, seat: str) -> Path:
        """A person's folder: approvers have their own organisation."""
        if ROLES[seat] == "approver":
            return self.folder / "approvers" / seat
        return (self.issuer if seat == "issuer" else self.operator) / "people" / seat

    def make_people(self) -> Roster:
        """Everybody makes a key; the public parts alone come together."""
        seats = []
        for seat, role in ROLES.items():
            folder = self.of(seat)
            secret(folder / "passphrase", PASSPHRASE + b"\n")
            signer = software.generate(folder / "own.key", PASSPHRASE)
            row = {"seat": seat, "role": role, "public_key": b64(signer.public_key)}
            seats.append(Seat(**row))  # type: ignore[arg-type] # the roles are roles
        return Roster(version=1, seats=tuple(seats))

    def approve(self, seat: str, key_of: str = "", digest: str = "") -> tuple[int, str]:
        """``sekisho approve`` where the approver sits: with the files of the own folder alone."""
        own = self.of(seat)
        key = self.of(key_of or seat) / "own.key"
        tls = [f"--tls-{one}=client.{end}" for one, end in (("certificate", "crt"), ("key", "key"))]
        options = [
            f"--at=https://{self.address}",
            *tls,
            "--tls-ca=ca.crt",
            "--passphrase-file=passphrase",
        ]
        named = ["--policy", digest or self.digest, "--seat", seat, "--key", str(key)]
        done = subprocess.run(
            [COMMAND, "approve", *options, *named, "--yes"],
            cwd=own,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    # -- issuer --------------------------------------------------------------------------------

    async def found(self, roster: Roster) -> None:
        """The issuer founds an authority over everybody's public keys."""
        around = Surroundings(SystemClock(), SystemEntropy())
        init_home(self.home, Config(issuer_name="Independent Issuer"), around.entropy)
        with (self.home / "sekisho.toml").open("a", encoding="utf-8") as settings:
            settings.write(SERVE)
        home = await Home.open(self.home, around)
        try:
            await home.found(roster)
        finally:
            await home.close()

    def serve(self) -> None:
        """``sekisho serve``; its address on TCP is what it says."""
        self.start("authority", COMMAND, "serve", "--home", self.home)
        self.heard("authority", "listening: 127.0.0.1:")
        said = self.said("authority").partition("listening: 127.0.0.1:")[2]
        self.address = f"127.0.0.1:{said.split()[0]}"

    def key(self, role: str, seat: str = "") -> str:
        """An API key that the issuer makes for somebody."""
        own = ["--seat", seat] if seat else []
        code, said = self.sekisho("keys", "make", "--home", self.home, "--role", role, *own)
        assert code == 0, said
        return said.rpartition(": ")[2].strip()

    def at_home(self) -> httpx2.Client:
        """The issuer's own user at its own socket."""
        transport = httpx2.HTTPTransport(uds=str(self.home / "authority.sock"))
        return httpx2.Client(transport=transport, base_url="http://authority", timeout=30)

    # -- operator ------------------------------------------------------------------------------

    def over_tls(self, folder: Path, key: str = "") -> httpx2.Client:
        """Somebody's connection to the issuer."""
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(
            verify=context, base_url=f"https://{self.address}", headers=headers, timeout=30
        )

    def register(self, document: dict[str, Any], key: str, name: str = "register") -> str:
        """The operator registers a policy, whose digest it has computed itself."""
        path = self.operator / "policy.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        with self.over_tls(self.gate / "tls", key) as http:
            answer = http.post(
                "/v1/operators/own/policies",
                content=path.read_bytes(),
                headers={"content-type": "application/json", "idempotency-key": name},
            )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["policy_sha256"])

    def make_keys(self) -> tuple[dict[str, str], dict[str, str]]:
        """The operator makes its keys; what goes to the issuer: a request and a public key."""
        secret(self.gate / "keys" / "passphrase", PASSPHRASE + b"\n")
        custody = self.gate / "keys" / "agents"
        custody.mkdir(mode=0o700)
        log = software.generate(self.gate / "keys" / "gate-log.key", PASSPHRASE, "Ed25519")
        secret(self.gate / "keys" / "venue-PAPER", CREDENTIAL.encode())
        request = self.request(AGENT, self.digest, custody / f"{AGENT}-1.key")
        return request, {"origin": ORIGIN, "public_key": b64(log.public_key)}

    def request(self, agent: str, digest: str, path: Path) -> dict[str, str]:
        """What the operator hands to the issuer for a key that it makes here."""
        signer = software.generate(path, PASSPHRASE)
        message = possession_message(
            agent=agent,
            environment="test",
            policy_sha256=digest,
            public_key_spki=signer.public_key,
        )
        return {
            "agent": agent,
            "policy_sha256": digest,
            "issuer_seat": "issuer",
            "operator_seat": "operator",
            "request": b64(request_of(path, agent)),
            "proof": b64(signer.sign_blocking(message)),
        }

    def make_gate(self, certified: dict[str, str], log: dict[str, str], roster: Roster) -> None:
        """The operator puts what came back into its folders."""
        venue = self.operator / "venue"
        (venue / "certificates").mkdir(parents=True)
        for folder in (self.gate, venue):
            for name in ("root", "issuing"):
                (folder / f"{name}.pem").write_bytes(pem(unb64(log[name])))
        (self.gate / "responder.pem").write_bytes(pem(unb64(log["responder"])))
        certificate = pem(unb64(certified["certificate"]))
        (venue / "certificates" / f"{AGENT}-1.pem").write_bytes(certificate)
        secret(venue / "credentials", f"{GATE} {sha256_hex(CREDENTIAL.encode())}\n".encode())
        secret(venue / "venue.toml", (VENUE_TOML + PRICES).encode())
        settings = GATE_TOML.format(
            roster=roster_sha256(roster),
            address=self.address,
            token=sha256_hex(TOKEN.encode()),
        )
        secret(self.gate / "gate.toml", settings.encode())

    def trade(self) -> None:
        """The operator's processes; the gate permits when this returns."""
        venue = self.operator / "venue" / "venue.toml"
        self.start("venue", COMMAND, "paper-venue", "--config", venue)
        self.heard("venue", "listens at")
        self.start_the_gate()
        with self.bot() as bot:
            self.wait_for(lambda: getattr(bot.ready(), "ready", False), "the gate to be ready")

    def start_the_gate(self) -> None:
        """``sekisho gate``."""
        self.start(GATE, COMMAND, "gate", "--config", self.gate / "gate.toml")
        self.heard(GATE, "listening: ")

    def bot(self) -> Gate:
        """A bot, with nothing but its token."""
        return connect(f"unix:{self.gate / 'gate.sock'}", token=TOKEN)

    def gate_log_key(self) -> Signer:
        """The operator's."""
        uri = f"file:{self.gate / 'keys' / 'gate-log.key'}"
        return open_signer(uri, passphrase_file=self.gate / "keys" / "passphrase")

    async def export(self, answers: Answers, out: Path, gate: Path, authority: Path) -> None:
        """The operator makes a bundle of its log and a copy of the issuer's."""
        clock = SystemClock()
        own, theirs, target = FolderDisk(gate), FolderDisk(authority), FolderDisk(out)
        try:
            key = self.gate_log_key()
            log = await Journal.open(own, origin=ORIGIN, signer=key, clock=clock)
            copied = await read_only(theirs, answers.log_key)
            made = Export(log, copied, answers, key)
            now = clock.now_ns()
            await made.write(
                target,
                AGENT,
                0,
                now,
                now_ns=now,
                oid_cnf=openssl_names(Arc(Config(issuer_name="").oid_arc)),
            )
        finally:
            for disk in (own, theirs, target):
                disk.close()
        (out / ".lock").unlink()
        (out / ".tmp").rmdir()


class Answers:
    """What the issuer answered when the logs were taken, over its public addresses."""

    def __init__(self, crl: bytes, response: bytes, log_key: bytes) -> None:
        self._crl, self._response, self.log_key = crl, response, log_key

    async def crl(self, shard: int) -> bytes:
        assert shard == 0
        return self._crl

    async def ocsp(self, certificate_sha256: str, *, next_update_ns: int) -> bytes:
        del certificate_sha256, next_update_ns  # one agent; the issuer said until when
        return self._response


class _NoKey:
    """The public part of a log's key: a copy of a log is read, and signed by nobody."""

    uri = "none:"
    algorithm = "Ed25519"

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key

    async def sign(self, message: bytes) -> bytes:
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        raise AssertionError(f"a copy of a log signs nothing: {message[:64]!r}")


async def read_only(disk: Disk, public_key: bytes) -> Journal:
    """A copy of the issuer's log, whose key the operator does not have."""
    return await Journal.open(
        disk, origin=AUTHORITY_ORIGIN, signer=_NoKey(public_key), clock=SystemClock()
    )


def request_of(path: Path, agent: str) -> bytes:
    """PKCS#10, DER, of a key file."""
    key = load_pem_private_key(path.read_bytes(), PASSPHRASE)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, agent)])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256)
    return built.public_bytes(Encoding.DER)


@contextmanager
def three_firms() -> Iterator[ThreeFirms]:
    """The three organisations, founded and served; nothing is registered yet."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    made = ThreeFirms(folder)
    try:
        tls = TlsAuthority()
        server = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        roster = made.make_people()
        asyncio.run(made.found(roster))
        tls.give(made.home / "tls", "server", server)
        gate = x509.UniformResourceIdentifier("spiffe://operator.example/gate-a")
        tls.give(made.gate / "tls", "client", gate)
        for seat in APPROVERS:
            uri = x509.UniformResourceIdentifier(f"spiffe://approvers.example/{seat}")
            tls.give(made.of(seat), "client", uri)
        made.serve()
        yield made
    finally:
        made.close()


def policy() -> dict[str, Any]:
    """What the operator's developer wrote; with its times in it, it has the same digest for all."""
    begin, end = (today() + datetime.timedelta(days=days) for days in (-1, 90))
    times = {"valid_from": f"{begin.date()}T00:00:00Z", "valid_until": f"{end.date()}T00:00:00Z"}
    return POLICY | {"agent": AGENT} | times


def computed(document: dict[str, Any], folder: Path) -> str:
    """The digest of a policy as anybody computes it who has the document."""
    path = folder / "as-written.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return register_document(path, SystemClock().now_ns()).sha256


def copied(source: Path, target: Path) -> Path:
    """A copy of a log's folder."""
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns(".tmp", ".lock")))


async def rewritten(source: Path, target: Path, entries: list[bytes], signer: Signer) -> Path:
    """A log of these entries, signed by whoever has the log's key: what an insider can always make.

    ``source`` is only asked for the log's name.
    """
    origin = (source / "checkpoint").read_text("utf-8").split("\n", 1)[0]
    disk = FolderDisk(target)
    try:
        journal = await Journal.open(disk, origin=origin, signer=signer, clock=SystemClock())
        for entry in entries:
            journal.append(entry)
        await journal.flushed(journal.size - 1)
        await journal.publish()
        await journal.close()
    finally:
        disk.close()
    return target


async def entries_of(folder: Path, signer: Signer) -> list[bytes]:
    """All entries of a copy of a log."""
    origin = (folder / "checkpoint").read_text("utf-8").split("\n", 1)[0]
    disk = FolderDisk(folder)
    try:
        journal = await Journal.open(disk, origin=origin, signer=signer, clock=SystemClock())
        return [data for _, data in journal.entries()]
    finally:
        disk.close()
