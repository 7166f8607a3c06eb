# SPDX-License-Identifier: Apache-2.0
"""Writing an evidence bundle (docs/spec/bundle.md).

Both logs are published first, and the bundle holds exactly what their checkpoints cover. Everything
is collected before anything is written; MANIFEST is written last. A folder without it is no bundle,
so a crash half-way leaves nothing that looks complete.

Nothing is judged here: what the logs say is exported, also when it contradicts itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import (
    AuthorityEntry,
    GateEntry,
    decode_authority_entry,
    decode_gate_entry,
)
from sekisho.core.evidence import selection
from sekisho.core.evidence.manifest import NAME, manifest_text
from sekisho.core.evidence.selection import HeldCertificate
from sekisho.core.evidence.summary import summary
from sekisho.core.gate.permit import split
from sekisho.core.identity.crl import crl_pem
from sekisho.core.identity.profile import load, pem, spki
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.note import Note, VerifierKey, sign_line
from sekisho.core.ledger.tiles import encode_bundle, new_tiles, tile_hashes
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Disk, Signer
from sekisho.services.journal import Journal

OCSP_LIFETIME_NS = 15 * NS
"""As short as a lease: a *good* that is handed out must not serve a key after a later stop. A
reader judges the responses as of the export, not as of the day on which the bundle is read.
"""
ATTEMPTS = 5
MANIFEST_BYTES_MAX = 2**30
"""Far above any checkpoint: a manifest has a line for each permit's files."""
_SIGNATURE_LINE_BYTES_MAX = 512
_PACKAGE_FILES = resources.files("sekisho.services") / "bundle_files"


class StatusAnswers(Protocol):
    """What the authority is asked at export."""

    async def crl(self, shard: int) -> bytes: ...

    async def ocsp(self, certificate_sha256: str, *, next_update_ns: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        files: how many, MANIFEST included.
        manifest_sha256: digest of MANIFEST, to be noted elsewhere.
        possibly_issued: permitted decisions of the agent with no end on record, by index.
        contradictions: what the gate's log cannot mean; verifiers will fail there.
    """

    files: int
    manifest_sha256: str
    possibly_issued: tuple[int, ...]
    contradictions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Published:
    """One log as its checkpoint covers it."""

    origin: str
    checkpoint: bytes
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Both logs, and the status answers that agree with the end of the authority's."""

    gate: _Published
    authority: _Published
    gate_entries: tuple[GateEntry, ...]
    authority_entries: tuple[AuthorityEntry, ...]
    certificates: tuple[HeldCertificate, ...]
    crls: Mapping[str, bytes]
    responses: Mapping[str, bytes]


class Export:
    """Makes bundles of one gate and its authority."""

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
    ) -> Exported:
        """Collect everything about the agent, then write it, MANIFEST last.

        Args:
            target: an empty folder.
            agent: whom the bundle is about.
            since_ns: beginning of the period that the summary counts, ns UTC.
            until_ns: its end, exclusive.
            now_ns: the authority's time; status responses are good for seven days from it.
            oid_cnf: the text that names our object identifiers for openssl.

        Raises:
            ConfigurationInvalid: the target is not empty, there is no such agent, or the bundle
                would be larger than a reader accepts. Nothing was written.
            MalformedInput: not an agent's name, or no period. Nothing was written.
            VerificationFailed: the manifest key is not the one that the gate's log is signed with,
                or what is on record cannot be bundled. Nothing was written.
            Unavailable: a key, or a status that keeps changing; try again. Nothing was written
                unless the manifest itself could not be signed.
            StorageFailed, OutcomeUnknown: a log or the target; the folder has no MANIFEST, or one
                that may be gone after a crash. Export into a new folder.
        """
        await self._check_empty(target)
        if self._own_key().vkey != self._gate.vkey:
            raise VerificationFailed("the manifest is signed with the key of the gate's log only")
        found = await self._snapshot(agent, now_ns + OCSP_LIFETIME_NS)
        self._check_log_keys(found)
        plain, completeness = summary(
            agent,
            (since_ns, until_ns),
            (found.gate.origin, found.gate_entries),
            (found.authority.origin, found.authority_entries),
        )
        files = _files(agent, found)
        files[selection.SUMMARY] = canonical(plain)
        files[selection.OID_NAMES] = oid_cnf.encode("ascii")
        text = manifest_text(agent, format_instant(since_ns), format_instant(until_ns), files)
        if len(text) > MANIFEST_BYTES_MAX - _SIGNATURE_LINE_BYTES_MAX:
            raise ConfigurationInvalid(
                f"a bundle of {len(files)} files needs a MANIFEST above {MANIFEST_BYTES_MAX} bytes,"
                " which no reader accepts"
            )
        await self._store(target, files)
        note = await self._seal(target, text)
        return Exported(
            files=len(files) + 1,
            manifest_sha256=sha256_hex(note),
            possibly_issued=tuple(
                index
                for index, ending in completeness.endings.items()
                if ending == "possibly_issued"
            ),
            contradictions=tuple(completeness.contradictions),
        )

    def _own_key(self) -> VerifierKey:
        return VerifierKey.from_spki(self._gate.origin, self._key.public_key)

    async def _seal(self, target: Disk, text: str) -> bytes:
        """Sign the manifest and write it; its bytes."""
        line = sign_line(self._own_key(), await self._key.sign(text.encode("ascii")))
        note = Note(text, (line,)).encode(MANIFEST_BYTES_MAX)
        # A crash before this leaves a folder without MANIFEST; after it, a whole bundle.
        await target.write_new(NAME, note)
        await target.sync(NAME)
        await target.sync_folder("")
        return note

    async def _check_empty(self, target: Disk) -> None:
        names = await target.list("")
        if names and NAME not in names:
            raise ConfigurationInvalid(
                "the folder for the bundle is not empty and has no MANIFEST: something else lies"
                " there, or an export that did not finish; choose a new folder"
            )
        if names:
            raise ConfigurationInvalid("the folder holds a bundle already; choose a new folder")

    async def _snapshot(self, agent: str, next_update_ns: int) -> _Snapshot:
        """Both logs published, with status answers as of the end of the authority's."""
        for _ in range(ATTEMPTS):
            known = [decode_authority_entry(data) for _, data in self._authority.entries()]
            certificates = tuple(selection.agent_certificates(agent, known))
            # A CRL may be a new entry of the authority's log: it is asked for before publishing.
            shards = selection.crl_files(known, [one.serial_number for one in certificates])
            crls = {path: await self._answers.crl(shard) for path, shard in shards.items()}
            responses = {
                one.status_path: await self._answers.ocsp(
                    one.certificate_sha256, next_update_ns=next_update_ns
                )
                for one in certificates
            }
            # The gate first: whatever its log rests on is then in the authority's.
            gate = await _published(self._gate)
            authority = await _published(self._authority)
            entries = tuple(decode_authority_entry(data) for data in authority.entries)
            if (
                all(
                    selection.crl_shows_the_end(sha256_hex(crls[path]), shard, entries)
                    for path, shard in shards.items()
                )
                and tuple(selection.agent_certificates(agent, entries)) == certificates
            ):
                return _Snapshot(
                    gate=gate,
                    authority=authority,
                    gate_entries=tuple(decode_gate_entry(data) for data in gate.entries),
                    authority_entries=entries,
                    certificates=certificates,
                    crls=crls,
                    responses=responses,
                )
        raise Unavailable("statuses changed all the time while exporting; try again")

    def _check_log_keys(self, found: _Snapshot) -> None:
        """The certificates of the logs are of the keys that sign them."""
        own = selection.authority_certificates(
            found.authority_entries, found.gate.origin, found.authority.origin
        )
        for name, journal in (("log-gate", self._gate), ("log-authority", self._authority)):
            certified = spki(load(own[f"certificates/{name}.pem"]))
            if VerifierKey.from_spki(journal.origin, certified).vkey != journal.vkey:
                raise VerificationFailed(
                    f"the log {journal.origin} is signed with another key than the certified one"
                )

    async def _store(self, target: Disk, files: Mapping[str, bytes]) -> None:
        """Write all files, and make their names durable: MANIFEST must not outlive them."""
        folders = {""}
        for path in sorted(files):
            try:
                await target.write_new(path, files[path])
            except FileExistsError as error:
                raise StorageFailed(f"{path}: somebody else writes into the same folder") from error
            await target.sync(path)
            while path := path.rpartition("/")[0]:
                folders.add(path)
        for folder in sorted(folders, reverse=True):
            await target.sync_folder(folder)


async def _published(journal: Journal) -> _Published:
    """Publish; what the newest checkpoint covers. Nothing is awaited between its parts."""
    await journal.publish()
    return _Published(
        journal.origin,
        journal.checkpoint,
        tuple(journal.entry(index) for index in range(journal.published_size)),
    )


def _files(agent: str, found: _Snapshot) -> dict[str, bytes]:
    """Every file that follows from the snapshot, and those that never change."""
    own = selection.authority_certificates(
        found.authority_entries, found.gate.origin, found.authority.origin
    )
    files = {path: pem(der) for path, der in own.items()}
    files |= {one.path: pem(one.der) for one in found.certificates}
    files |= {path: crl_pem(crl) for path, crl in found.crls.items()}
    files |= found.responses
    files |= _log_files("logs/gate", found.gate) | _log_files("logs/authority", found.authority)
    for path, jws in selection.permits(agent, found.gate_entries).items():
        files[f"{path}.input"], files[f"{path}.sig"] = split(jws)
    for name in selection.STATIC:
        files[name] = (_PACKAGE_FILES / name).read_bytes()
    return files


def _log_files(folder: str, log: _Published) -> dict[str, bytes]:
    """Checkpoint, tiles and entries of a log, for exactly the size of its checkpoint."""
    tree = Tree()
    for entry in log.entries:
        tree.append(leaf_hash(entry))
    files = {
        f"{folder}/checkpoint": log.checkpoint,
        f"{folder}/entries.jsonl": selection.lines(log.entries),
    }
    for tile in new_tiles(0, len(log.entries)):
        files[f"{folder}/{tile.path}"] = tile_hashes(tree, tile)
        if tile.level == 0:
            part = log.entries[tile.start : tile.start + tile.width]
            files[f"{folder}/{tile.entries_path}"] = encode_bundle(part)
    return files
