# SPDX-License-Identifier: Apache-2.0
"""Writing an evidence bundle (docs/spec/bundle.md).

Both logs are published first, and the bundle holds exactly what their checkpoints cover. MANIFEST
is written last: a folder without it is no bundle, so a crash half-way leaves nothing that looks
complete.
"""

from __future__ import annotations

from importlib import resources
from typing import Protocol

from sekisho.core.encoding import canonical, unb64
from sekisho.core.errors import ConfigurationInvalid, VerificationFailed
from sekisho.core.events import (
    AuthorityEntry,
    CertificateIssued,
    Founded,
    GateEntry,
    LogKeyCertified,
    PermitSigned,
    decode_authority_entry,
    decode_gate_entry,
)
from sekisho.core.evidence.manifest import NAME, manifest_text
from sekisho.core.evidence.summary import SCHEMA, GateCounts, certificates
from sekisho.core.gate.permit import split
from sekisho.core.identity.crl import crl_pem
from sekisho.core.identity.profile import pem
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.note import Note, VerifierKey, sign_line
from sekisho.core.ledger.tiles import encode_bundle, new_tiles, tile_hashes
from sekisho.core.terms import format_instant
from sekisho.ports import Disk, Signer
from sekisho.services.journal import Journal

OCSP_LIFETIME_NS = 7 * 86_400 * 10**9
"""How long the status responses of a bundle may be relied on: a reader looks at it days later."""
STATIC_FILES = ("README.txt", "verify.sh")


class StatusAnswers(Protocol):
    """What the authority is asked at export."""

    async def crl(self) -> bytes: ...

    async def ocsp(self, certificate_sha256: str, *, next_update_ns: int) -> bytes: ...


class Export:
    """One bundle about one agent."""

    def __init__(
        self, gate: Journal, authority: Journal, answers: StatusAnswers, manifest_key: Signer
    ) -> None:
        """``manifest_key`` is the gate's log key."""
        self._gate = gate
        self._authority = authority
        self._answers = answers
        self._key = manifest_key

    async def write(
        self, target: Disk, agent: str, since_ns: int, until_ns: int, *, now_ns: int, oid_cnf: str
    ) -> None:
        """Collect and write everything, MANIFEST last.

        Raises:
            ConfigurationInvalid: the target is not empty, or there is no such agent.
            VerificationFailed: the manifest key is not the one that the gate's log is signed with.
        """
        if await target.list(""):
            raise ConfigurationInvalid("the folder for the bundle is not empty; choose a new one")
        crl = await self._answers.crl()
        authority = [decode_authority_entry(data) for _, data in self._authority.entries()]
        held = [e for e in authority if isinstance(e, CertificateIssued) and e.agent == agent]
        if not held:
            raise ConfigurationInvalid(f"{agent!r} has no certificate of this authority")
        files: dict[str, bytes] = {
            "oid.cnf": oid_cnf.encode("ascii"),
            "crl/issuing.pem": crl_pem(crl),
        }
        for entry in held:
            response = await self._answers.ocsp(
                entry.certificate_sha256, next_update_ns=now_ns + OCSP_LIFETIME_NS
            )
            files[f"ocsp/{entry.certificate_sha256}.der"] = response
        await self._gate.publish()
        await self._authority.publish()
        gate = [
            decode_gate_entry(self._gate.entry(index)) for index in range(self._gate.published_size)
        ]
        authority = [
            decode_authority_entry(self._authority.entry(index))
            for index in range(self._authority.published_size)
        ]
        files |= self._certificates(authority, held)
        files |= log_files("logs/gate", self._gate) | log_files("logs/authority", self._authority)
        files |= permit_files(agent, gate)
        files["summary.json"] = self._summary(agent, since_ns, until_ns, gate, authority)
        folder = resources.files("sekisho.services") / "bundle_files"
        for name in STATIC_FILES:
            files[name] = (folder / name).read_bytes()
        for path in sorted(files):
            await target.write_new(path, files[path])
        text = manifest_text(agent, format_instant(since_ns), format_instant(until_ns), files)
        await target.write_new(NAME, await self._sign(text))
        await target.sync_folder("")

    async def _sign(self, text: str) -> bytes:
        key = VerifierKey.from_spki(self._gate.origin, self._key.public_key)
        if key.vkey != self._gate.vkey:
            raise VerificationFailed("the manifest is signed with the key of the gate's log only")
        line = sign_line(key, await self._key.sign(text.encode("utf-8")))
        return Note(text, (line,)).encode()

    def _certificates(
        self, authority: list[AuthorityEntry], held: list[CertificateIssued]
    ) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for entry in authority:
            if isinstance(entry, Founded):
                files["certificates/root.pem"] = pem(unb64(entry.root_certificate))
                files["certificates/issuing.pem"] = pem(unb64(entry.issuing_certificate))
                files["certificates/responder.pem"] = pem(unb64(entry.responder_certificate))
            elif isinstance(entry, LogKeyCertified) and entry.origin == self._gate.origin:
                files["certificates/log-gate.pem"] = pem(unb64(entry.certificate))
            elif isinstance(entry, LogKeyCertified) and entry.origin == self._authority.origin:
                files["certificates/log-authority.pem"] = pem(unb64(entry.certificate))
        for entry in held:
            path = f"certificates/agent-{entry.serial_number}.pem"
            files[path] = pem(unb64(entry.certificate))
        return files

    def _summary(
        self,
        agent: str,
        since_ns: int,
        until_ns: int,
        gate: list[GateEntry],
        authority: list[AuthorityEntry],
    ) -> bytes:
        counts = GateCounts(agent, since_ns, until_ns)
        for index, entry in enumerate(gate):
            counts.take(index, entry)
        return canonical(
            {
                "schema": SCHEMA,
                "agent": agent,
                "from": format_instant(since_ns),
                "to": format_instant(until_ns),
                **counts.plain(),
                "certificates": certificates(agent, authority),
                "gate": {"origin": self._gate.origin, "tree_size": self._gate.published_size},
                "authority": {
                    "origin": self._authority.origin,
                    "tree_size": self._authority.published_size,
                },
            }
        )


def permit_files(agent: str, gate: list[GateEntry]) -> dict[str, bytes]:
    """Signing input and DER signature of each permit of the agent, for stock tools."""
    files: dict[str, bytes] = {}
    for entry in gate:
        if isinstance(entry, PermitSigned) and entry.agent == agent:
            message, signature = split(entry.permit)
            files[f"permits/{entry.decision:08d}.input"] = message
            files[f"permits/{entry.decision:08d}.sig"] = signature
    return files


def log_files(folder: str, journal: Journal) -> dict[str, bytes]:
    """Checkpoint, tiles and entries of a log, for exactly the size of its checkpoint."""
    size = journal.published_size
    entries = [journal.entry(index) for index in range(size)]
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    files = {
        f"{folder}/checkpoint": journal.checkpoint,
        f"{folder}/entries.jsonl": b"".join(entry + b"\n" for entry in entries),
    }
    for tile in new_tiles(0, size):
        files[f"{folder}/{tile.path}"] = tile_hashes(tree, tile)
        if tile.level == 0:
            bundle = encode_bundle(entries[tile.start : tile.start + tile.width])
            files[f"{folder}/{tile.entries_path}"] = bundle
    return files
