# SPDX-License-Identifier: Apache-2.0
"""A firm in a folder for measurements: an authority, gates and paper venues, each a process.

The policy has every check on and limits that no measurement reaches. The authority and the venues
are the product's own commands; the gate is that of ``_gate_process``.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from permit import SCOPE

from sekisho.adapters.entropy import SystemEntropy
from sekisho.compose import Home, init_home, load_person, make_people, register_document
from sekisho.compose.enrolling import enroll_gate
from sekisho.config import Config, StoreSettings
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.gate.permit import CONTEXT
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.terms import format_instant
from sekisho.services.people import sign_approval

VENUES = ("FREE", "PAPER", "PAPERFIX", "DIRECT")
CREDENTIAL = "c" * 43
WAIT_S = 60
GATE = Path(__file__).with_name("_gate_process.py")
MAIN = (sys.executable, "-c", "from sekisho.apps.cli import main; main()")
GATE_SETTINGS = """\
gate = "{gate}"
region = "eu-west-1"
environment = "test"
origin = "{gate}.sekisho.invalid/log"
roster_sha256 = "{roster}"
authority = "unix:../home/authority.sock"
[[agents]]
name = "{agent}"
uid = "own"
token_sha256 = "{digest}"
certificate_uri = "spiffe://bench/bot"
[api]
socket = "gate.sock"
{tls}{front}[limits]
connections = 1024
waiting = 1024
waiting_per_agent = 1024
messages_per_s = 1000000
messages_burst = 1000000
bytes_per_s = 1000000000
[[rates]]
source = "STATIC"
kind = "file"
address = "rates.jsonl"
"""
TLS = """\
listen = "127.0.0.1:0"
[api.tls]
certificate = "server.crt"
key = "server.key"
client_ca = "ca.crt"
"""
FIX_FRONT = """\
[fix]
listen = "unix:fix.sock"
[[fix.sessions]]
comp_id = "BOT"
agent = "{agent}"
venue = "PAPERFIX"
account = "main"
reset = true
"""
VENUE_SETTINGS = """\
name = "{name}"
environment = "test"
root = "../home/root.pem"
issuing = "../home/issuing.pem"
certificates = "../home/certificates"
listen = ["unix:venue.sock"]
[[credentials]]
session = "{session}"
sha256_file = "credential.sha256"
[prices]
kind = "static"
[prices.table]
"EUR/USD" = ["1.0849", "1.0851"]
[fix]
listen = "unix:fix.sock"
sender = "VENUE"
"""


def policy_of(agent: str, lease_s: int) -> dict[str, Any]:
    """The document of a policy whose checks are all on."""
    scope = {name: value for name, value in SCOPE.items() if name != "zone_offsets"}
    return {
        "agent": agent,
        "operator": {"name": "Bench Trading"},
        "scope": {**scope, "venues": list(VENUES), "counterparties": list(VENUES)},
        "risk_controls": {"lease_s": lease_s, "clock_difference_max_s": 5},
        "governance": {"documented_by": "developer-1", "approvals_required": 1},
    }


class Firm:
    """The folders, and the processes that were started. :meth:`close` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.processes: dict[str, subprocess.Popen[str]] = {}

    async def found(self, agents: list[str], *, lease_s: int, store: str = "") -> None:
        """Found the home, or go on with it; certify these agents. Nothing else runs.

        ``store``: URL of the database of its log.
        """
        new = not self.home.exists()
        if new:
            settings = Config(issuer_name="Bench Issuer", store=StoreSettings(url=store))
            init_home(self.home, settings, SystemEntropy())
        home = await Home.open(self.home)
        try:
            for agent in agents:
                document = self.folder / f"{agent}.json"
                document.write_text(json.dumps(policy_of(agent, lease_s)), encoding="utf-8")
                made = register_document(document, time.time_ns())
                if new:
                    people = make_people(self.home / "people", home.passphrase(), made.policy)
                    await home.found(people)
                    new = False
                await home.authority.register_policy(made)
                now, roster, seat = time.time_ns(), home.authority.roster, "approver-1"
                await home.authority.give_approval(
                    sign_approval(self.person(home, seat), made.sha256, roster, seat, now)
                )
                await home.issue(agent, made.sha256, issuer_seat="issuer", operator_seat="operator")
        finally:
            await home.close()

    def person(self, home: Home, seat: str) -> Any:
        """The key of a person."""
        return load_person(self.home / "people" / f"{seat}.key", home.passphrase())

    async def gate(self, name: str, agent: str, venues: str = "", *, tls: bool = False) -> Path:
        """Enrol a gate that has this agent; ``venues`` are further settings. Returns its folder.

        A gate that speaks TLS runs on another event loop, on its Unix socket too.
        """
        folder = self.folder / name
        home = await Home.open(self.home)
        try:
            await enroll_gate(home, name, folder, (agent,))
            roster = roster_sha256(home.authority.roster)
        finally:
            await home.close()
        digest = sha256_hex(token_of(folder, agent).encode("ascii"))
        front = FIX_FRONT.format(agent=agent) if "PAPERFIX" in venues else ""
        settings = GATE_SETTINGS.format(
            gate=name,
            roster=roster,
            agent=agent,
            digest=digest,
            front=front,
            tls=TLS if tls else "",
        )
        (folder / "gate.toml").write_text(settings + venues, encoding="utf-8")
        secret(folder / "credential", CREDENTIAL)
        quote(folder)
        make_certificates(folder)
        return folder

    def venue(self, folder: str, name: str, session: str) -> Path:
        """The folder of a paper venue that ``session`` may ask."""
        made = self.folder / folder
        made.mkdir()
        settings = VENUE_SETTINGS.format(name=name, session=session)
        (made / "venue.toml").write_text(settings, encoding="utf-8")
        (made / "credential.sha256").write_text(sha256_hex(CREDENTIAL.encode()), encoding="ascii")
        return made

    def serve_gates(self, names: list[str]) -> None:
        """Let this user ask the authority in the name of these gates."""
        path = self.home / "sekisho.toml"
        text = path.read_text(encoding="utf-8").partition("[serve.gates]")[0]
        rows = "".join(f'"{name}" = "own"\n' for name in names)
        path.write_text(f"{text}[serve.gates]\n{rows}", encoding="utf-8")

    def start(self, name: str, *command: str) -> list[str]:
        """Start a process and wait until it says that it listens; what it said."""
        with (self.folder / f"{name}.err").open("ab") as errors:
            process = subprocess.Popen(  # noqa: S603 - this product, and this file
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.processes[name] = process
        assert process.stdout is not None
        said = [process.stdout.readline()]
        assert "listen" in said[0], (self.folder / f"{name}.err").read_text("utf-8")[-2000:]
        return said

    def start_authority(self) -> None:
        """``sekisho serve``."""
        self.start("authority", *MAIN, "serve", "--home", str(self.home))

    def start_venue(self, folder: Path) -> None:
        """``sekisho paper-venue``."""
        self.start(folder.name, *MAIN, "paper-venue", "--config", str(folder / "venue.toml"))

    def start_gate(self, folder: Path) -> str:
        """The gate; returns the address of its TLS side, if any, once orders are taken."""
        said = self.start(folder.name, sys.executable, str(GATE), str(folder / "gate.toml"))
        end = time.monotonic() + WAIT_S
        while (missing := self.missing(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not missing, missing
        return said[0].removeprefix("listening: ").strip()

    def missing(self, folder: Path) -> Any:
        """What keeps a gate from permitting."""
        return ask(folder, "/missing")

    def end(self, name: str) -> None:
        """End one process in good order."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(WAIT_S)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def close(self) -> None:
        """End every process that was started here, the latest first."""
        for name in reversed(list(self.processes)):
            self.end(name)


@contextmanager
def firm(folder: Path) -> Iterator[Firm]:
    """A firm whose processes end with the block."""
    made = Firm(folder)
    try:
        yield made
    finally:
        made.close()


def ask(folder: Path, path: str) -> Any:
    """What a gate's process says of itself at ``bench.sock``."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(WAIT_S)
        made.connect(str(folder / "bench.sock"))
        made.sendall(f"GET {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n".encode())
        said = b""
        while part := made.recv(65_536):
            said += part
    return json.loads(said.partition(b"\r\n\r\n")[2])


def secret(path: Path, text: str) -> None:
    """A file that its owner alone can read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")


def quote(folder: Path) -> None:
    """Write a quotation of this moment."""
    fields = {"market": "EUR/USD", "bid": "1.0849", "ask": "1.0851"}
    line = canonical({**fields, "quoted_at": format_instant(time.time_ns())})
    with (folder / "rates.jsonl").open("ab") as file:
        file.write(line + b"\n")


def make_certificates(folder: Path) -> None:
    """A CA, a server's and a bot's certificate, for mTLS."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench CA")])
    rows: list[tuple[str, Any, x509.SubjectAlternativeName | None]] = [
        ("ca", ca_key, None),
        (
            "server",
            ec.generate_private_key(ec.SECP256R1()),
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        ),
        (
            "bot",
            ec.generate_private_key(ec.SECP256R1()),
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://bench/bot")]),
        ),
    ]
    now = datetime.datetime.now(datetime.UTC)
    for name, key, names in rows:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(issuer if names is None else subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(names is None, None), critical=True)
        )
        if names is not None:
            made = made.add_extension(names, critical=False)
        signed = made.sign(ca_key, hashes.SHA256())
        (folder / f"{name}.crt").write_bytes(signed.public_bytes(Encoding.PEM))
        secret(
            folder / f"{name}.key",
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )


def machine() -> str:
    """How many processors there are, and how many processes wanted one in the last minute."""
    return f"machine: {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"


def processor_s(pid: int) -> float:
    """Processor time of a process so far, all its threads, s."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory of a process that is in the machine, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def token_of(folder: Path, agent: str) -> str:
    """The agent's token at a gate."""
    return (folder / "keys" / f"{agent}.token").read_text(encoding="ascii").strip()


def unsigned_part(jws: str) -> dict[str, Any]:
    """The payload of a permit, as plain data."""
    part = jws.split(".")[1]
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return dict(json.loads(data.removeprefix(CONTEXT)))
