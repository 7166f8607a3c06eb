# SPDX-License-Identifier: Apache-2.0
"""A small bundle with keys of its own: a real authority, and a gate's log written by hand.

Its verdicts mean nothing and are not for ``sekisho-verify``; everything that stock tools can check
is as in a real one. ``seal`` is what an insider who holds the gate's log key can do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.encoding import b64, sha256_hex
from sekisho.core.events import (
    Counters,
    Decision,
    GateEntry,
    GateOpened,
    PermitSigned,
    RateObserved,
    Withdrawn,
    encode_entry,
)
from sekisho.core.gate import permit as permits
from sekisho.core.identity.oids import Arc, openssl_names
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.note import Note, VerifierKey, parse_note, sign_line
from sekisho.core.ledger.tiles import encode_bundle, new_tiles, tile_hashes
from sekisho.core.terms import NS, Code, Reason, format_instant
from sekisho.services.certification import IssuedCertificate
from sekisho.services.evidence import Export, Exported
from sekisho.services.journal import Journal
from tests import ledger_doubles
from tests.authority_world import AGENT, GATE_ORIGIN, ORIGIN, AuthorityWorld, p256, policy_of

AGENT_KEY = 4242
GATE_KEY = len(GATE_ORIGIN)  # as authority_world.log_key has it
ORDER = {
    "action": "new",
    "client_order_id": "order-1",
    "market": "EUR/USD",
    "side": "buy",
    "order_type": "limit",
    "quantity": "20000",
    "currency": "EUR",
    "price": "1.085",
    "time_in_force": "day",
    "venue": "PAPER",
    "account": "main",
}


def counters(gross: str) -> Counters:
    """Counters of the day of these tests."""
    return Counters(
        day="2026-05-15", gross_permitted=gross, open_reserved=gross, orders=1, messages=0
    )


def decision(at: int, name: str = "order-1", *, verdict: Any = "permitted", **other: Any) -> Any:
    """A decision entry about an order of this name."""
    refused = (Reason(Code.EXCEEDS_SCOPE_SIZE, "25000.00", "180000.00", "EUR"),)
    fields: dict[str, Any] = {
        "at": format_instant(at),
        "agent": AGENT,
        "order": ORDER | {"client_order_id": name},
        "body_sha256": "b" * 64,
        "body_bytes": 200,
        "state": 0,
        "monotonic": "0",
        "verdict": verdict,
        "reasons": refused if verdict == "refused" else (),
        "notional": "20000.00",
        "before": counters("0.00"),
        "after": counters("20000.00"),
        "scores": None,
        "rates": {},
        "certificate_sha256": "",
        "policy_sha256": "",
        "epoch": 0,
    }
    return Decision(**(fields | other))


class EvidenceWorld:
    """An authority with one certified agent, a gate's log, and the export of both."""

    def __init__(self, authority: AuthorityWorld, gate: Journal, issued: IssuedCertificate) -> None:
        self.authority = authority
        self.gate = gate
        self.issued = issued
        self.key = ledger_doubles.SoftwareSigner(GATE_KEY)

    @classmethod
    async def start(cls) -> EvidenceWorld:
        """Both logs certified, the agent certified, the gate opened."""
        world = await AuthorityWorld.start()
        authority = world.authority
        await authority.certify_log(ORIGIN, ledger_doubles.SoftwareSigner(7).public_key)
        signer = ledger_doubles.SoftwareSigner(GATE_KEY)
        await authority.certify_log(GATE_ORIGIN, signer.public_key)
        registration = policy_of()
        await world.approve(registration)
        issued = await world.issue(registration, key=AGENT_KEY)
        gate = await Journal.open(
            SimulatedDisk(), origin=GATE_ORIGIN, signer=signer, clock=world.clock
        )
        made = cls(world, gate, issued)
        opened = GateOpened(
            at=made.at, gate="g1", boot="b" * 32, region="eu-west-1", environment="test"
        )
        await made.record(opened)
        return made

    @property
    def now(self) -> int:
        """The world's time, ns."""
        return self.authority.clock.now_ns()

    @property
    def at(self) -> str:
        """The same as text."""
        return format_instant(self.now)

    async def record(self, *entries: GateEntry) -> int:
        """Append to the gate's log, durably; the last index."""
        index = -1
        for entry in entries:
            index = self.gate.append(encode_entry(entry))
        await self.gate.flushed(index)
        return index

    async def decide(self, name: str, **other: Any) -> int:
        """A decision about an order of this name; its index."""
        digest = self.issued.certificate_sha256
        return await self.record(
            decision(self.now, name, **({"certificate_sha256": digest} | other))
        )

    async def sign(self, index: int) -> int:
        """The permit of a decision, signed with the agent's key; its index."""
        permit = permits.Permit(
            permit_id=permits.permit_id(GATE_ORIGIN, index),
            agent=AGENT,
            environment="test",
            venue="PAPER",
            account="main",
            order=ORDER,
            issued_at=self.at,
            expires_at=format_instant(self.now + 2 * NS),
            certificate_sha256=self.issued.certificate_sha256,
            log_origin=GATE_ORIGIN,
            log_index=index,
            leaf_hash=b64(self.gate.leaf_hash(index)),
            policy_sha256="d" * 64,
            ocsp=b64(b"response"),
        )
        message = permits.signing_input(permit)
        signature = p256(AGENT_KEY).sign(message, ec.ECDSA(hashes.SHA256()))
        jws = permits.assemble(message, signature)
        return await self.record(PermitSigned(at=self.at, agent=AGENT, decision=index, permit=jws))

    async def withdraw(self, index: int) -> int:
        """The decision left nothing."""
        return await self.record(
            Withdrawn(at=self.at, agent=AGENT, decision=index, reason="lease_expired")
        )

    async def live(self, *, quotations: int = 0) -> None:
        """Two signed orders, one refused, one withdrawn, one cut off; and so many quotations."""
        for name in ("first", "second"):
            await self.sign(await self.decide(name))
        await self.decide("large", verdict="refused", after=counters("40000.00"))
        await self.withdraw(await self.decide("late"))
        await self.decide("lost")
        if quotations:
            rate = RateObserved(
                at=self.at,
                market="EUR/USD",
                source="STATIC",
                bid="1.08",
                ask="1.09",
                quoted_at=self.at,
            )
            await self.record(*[rate] * quotations)

    def export(self, **other: Any) -> Export:
        """The service."""
        fields: dict[str, Any] = {
            "gate": self.gate,
            "authority": self.authority.authority.log.journal,
            "answers": self.authority.authority,
            "manifest_key": self.key,
        }
        return Export(**(fields | other))

    async def write(self, disk: SimulatedDisk, **other: Any) -> Exported:
        """Export the whole life."""
        since, until = self.now - NS, self.now + NS
        fields: dict[str, Any] = {"now_ns": self.now, "oid_cnf": openssl_names(Arc())}
        return await self.export(**other).write(disk, AGENT, since, until, **fields)

    async def bundle(self, folder: Path) -> Path:
        """Export into a folder of the file system."""
        disk = SimulatedDisk()
        await self.write(disk)
        lay_out(disk.files(), folder)
        return folder

    def seal(self, folder: Path, *, number: int = GATE_KEY, **other: Any) -> None:
        """Make the manifest fit what lies in the folder, and sign it with a log key.

        ``head`` replaces its first three lines, ``lines`` all others.
        """
        before = parse_note((folder / "MANIFEST").read_bytes()).text.split("\n")
        listed = other.get("lines") or [
            f"{sha256_hex((folder / path).read_bytes())}  {path}" for path in listing(folder)
        ]
        text = "\n".join([*other.get("head", before[:3]), *listed]) + "\n"
        key = ledger_doubles.SoftwareSigner(number)
        line = sign_line(
            VerifierKey.from_spki(GATE_ORIGIN, key.public_key), key.sign_blocking(text.encode())
        )
        (folder / "MANIFEST").write_bytes(Note(text, (line,)).encode())


def log_files(folder: str, journal: Journal) -> dict[str, bytes]:
    """What a bundle holds of a published log."""
    entries = [journal.entry(index) for index in range(journal.published_size)]
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    files = {
        f"{folder}/checkpoint": journal.checkpoint,
        f"{folder}/entries.jsonl": b"".join(entry + b"\n" for entry in entries),
    }
    for tile in new_tiles(0, len(entries)):
        files[f"{folder}/{tile.path}"] = tile_hashes(tree, tile)
        if tile.level == 0:
            part = entries[tile.start : tile.start + tile.width]
            files[f"{folder}/{tile.entries_path}"] = encode_bundle(part)
    return files


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Files of a disk in memory as files of a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def listing(folder: Path) -> list[str]:
    """Paths of all files but MANIFEST, sorted as a manifest lists them."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != "MANIFEST")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
