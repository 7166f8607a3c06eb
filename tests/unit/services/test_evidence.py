# SPDX-License-Identifier: Apache-2.0
"""Exporting a bundle: what is in it, what is refused before it is begun, what a crash leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import Any

import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.evidence.manifest import manifest_text
from sekisho.core.gate.permit import split
from sekisho.core.identity.crl import read_crl
from sekisho.core.identity.oids import Arc, openssl_names
from sekisho.core.identity.profile import load, pem
from sekisho.core.ledger.note import verify_note
from sekisho.core.terms import NS, format_instant
from sekisho.services import evidence
from sekisho.services.journal import Journal
from tests import ledger_doubles
from tests.authority_world import AGENT, GATE_ORIGIN
from tests.evidence_world import EvidenceWorld, log_files


def run(work: Any) -> Any:
    """Run to the end."""
    return asyncio.run(work)


async def exported(**live: Any) -> tuple[EvidenceWorld, dict[str, bytes], evidence.Exported]:
    """A life and its bundle."""
    world, disk = await EvidenceWorld.start(), SimulatedDisk()
    await world.live(**live)
    report = await world.write(disk)
    return world, disk.files(), report


def test_export_files_are_those_of_the_specification() -> None:
    """Every file of docs/spec/bundle.md and no other, tiles exactly of the checkpoint's size."""
    world, files, report = run(exported(quotations=300))
    journal = world.authority.authority.log.journal
    logs = log_files("logs/gate", world.gate) | log_files("logs/authority", journal)
    digest = world.issued.certificate_sha256
    expected = {
        "MANIFEST", "README.txt", "verify.sh", "oid.cnf", "summary.json", "crl/issuing.pem",
        "certificates/root.pem", "certificates/issuing.pem", "certificates/responder.pem",
        "certificates/log-gate.pem", "certificates/log-authority.pem",
        f"certificates/agent-{world.issued.serial_number}.pem", f"ocsp/{digest}.der",
        "permits/00000001.input", "permits/00000001.sig",
        "permits/00000003.input", "permits/00000003.sig", *logs,
    }  # fmt: skip
    assert expected == set(files)
    assert logs == {path: files[path] for path in logs}
    assert len(files) == report.files
    assert (8,) == report.possibly_issued
    assert () == report.contradictions
    assert files["oid.cnf"].decode() == openssl_names(Arc())
    agent = files[f"certificates/agent-{world.issued.serial_number}.pem"]
    assert pem(world.issued.certificate) == agent


def test_export_manifest_lists_all_files_under_the_gates_log_key() -> None:
    """Signed alone by the key of the gate's log, over the digest of every other file."""
    world, files, report = run(exported())
    text, signed = verify_note(files["MANIFEST"], [world.gate.log_key])
    assert (world.gate.log_key,) == signed
    assert 1 == files["MANIFEST"].count(b"\xe2\x80\x94 ")
    rest = {path: data for path, data in files.items() if path != "MANIFEST"}
    period = format_instant(world.now - NS), format_instant(world.now + NS)
    assert manifest_text(AGENT, *period, rest) == text
    assert sha256_hex(files["MANIFEST"]) == report.manifest_sha256


def test_export_summary_and_permits_follow_from_the_log() -> None:
    """Counts of the period; input and signature are the parts of the permit on record."""
    world, files, _ = run(exported())
    found = json.loads(files["summary.json"])
    counts = {name: found[name] for name in ("orders", "permitted", "refused", "withdrawn")}
    assert {"orders": 5, "permitted": 4, "refused": 1, "withdrawn": 1} == counts
    assert (2, 1) == (found["signatures"], found["possibly_issued"])
    assert {"origin": GATE_ORIGIN, "tree_size": world.gate.size} == found["gate"]
    permit = json.loads(world.gate.entry(2))["permit"]
    parts = files["permits/00000001.input"], files["permits/00000001.sig"]
    assert split(permit) == parts


def test_export_status_answers_agree_with_the_end_of_the_authoritys_log() -> None:
    """A status that changes while exporting is asked for again, until nothing changes."""

    async def story() -> tuple[bytes, list[int]]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        authority = world.authority.authority
        asked: list[int] = []

        class Answers:
            async def crl(self, shard: int) -> bytes:
                asked.append(1)
                return await authority.crl(shard)

            async def ocsp(self, digest: str, *, next_update_ns: int) -> bytes:
                response = await authority.ocsp(digest, next_update_ns=next_update_ns)
                if len(asked) == 1:
                    await world.authority.order("kill")
                return response

        await world.write(disk, answers=Answers())
        issuing = authority.state.issuing_certificate
        serial = int(world.issued.serial_number, 16)
        der = await authority.crl()
        assert serial in read_crl(der, issuing).listed
        assert disk.files()["logs/authority/entries.jsonl"].count(b"\n") == authority.log.state.size
        return disk.files()["summary.json"], asked

    summary, asked = run(story())
    assert [1, 1] == asked
    assert b'"status":"revoked"' in summary


def test_export_certificate_issued_meanwhile_is_in_the_bundle() -> None:
    """A replacement that is certified while exporting is asked for, too."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        authority = world.authority.authority
        await world.authority.order("kill")

        class Answers:
            asked = 0

            async def crl(self, shard: int) -> bytes:
                return await authority.crl(shard)

            async def ocsp(self, digest: str, *, next_update_ns: int) -> bytes:
                self.asked += 1
                if self.asked == 1:
                    await world.authority.certified(version="2")
                return await authority.ocsp(digest, next_update_ns=next_update_ns)

        await world.write(disk, answers=Answers())
        return disk.files()

    files = run(story())
    assert 2 == len([path for path in files if path.startswith("certificates/agent-")])
    assert 2 == len([path for path in files if path.startswith("ocsp/")])


def test_export_status_that_never_rests_is_unavailable() -> None:
    """After some attempts it gives up, and nothing was written."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        old = await world.authority.authority.crl()
        await world.authority.order("hold")

        class Answers:
            async def crl(self, shard: int) -> bytes:
                return old

            async def ocsp(self, digest: str, *, next_update_ns: int) -> bytes:
                return b""

        with pytest.raises(Unavailable, match="try again"):
            await world.write(disk, answers=Answers())
        return disk.files()

    assert {} == run(story())


@pytest.mark.parametrize(
    ("name", "said"),
    [("MANIFEST", "holds a bundle already"), ("other.txt", "is not empty and has no MANIFEST")],
)
def test_export_into_folder_with_content_is_refused(name: str, said: str) -> None:
    """Nothing of another's is overwritten or mixed in."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        await disk.write_new(name, b"kept")
        with pytest.raises(ConfigurationInvalid, match=said):
            await world.write(disk)
        return disk.files()

    assert {name: b"kept"} == run(story())


def test_export_with_another_manifest_key_is_refused() -> None:
    """Only the gate's log key seals its bundles."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        with pytest.raises(VerificationFailed, match="key of the gate's log only"):
            await world.write(disk, manifest_key=ledger_doubles.SoftwareSigner(99))
        return disk.files()

    assert {} == run(story())


def test_export_of_log_signed_with_an_uncertified_key_is_refused() -> None:
    """A certificate for another key than the log's would make a bundle that nobody accepts."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        key = ledger_doubles.SoftwareSigner(99)
        gate = await Journal.open(
            SimulatedDisk(), origin=GATE_ORIGIN, signer=key, clock=world.authority.clock
        )
        with pytest.raises(VerificationFailed, match="another key than the certified one"):
            await world.write(disk, gate=gate, manifest_key=key)
        return disk.files()

    assert {} == run(story())


def test_export_larger_than_a_reader_accepts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest above the limit of notes is noticed before anything is written."""
    monkeypatch.setattr(evidence, "MANIFEST_BYTES_MAX", 1000)

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        with pytest.raises(ConfigurationInvalid, match="which no reader accepts"):
            await world.write(disk)
        return disk.files()

    assert {} == run(story())


def test_export_period_backwards_and_unknown_agent_are_refused() -> None:
    """Refused before anything is written."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        more: dict[str, Any] = {"now_ns": world.now, "oid_cnf": ""}
        with pytest.raises(MalformedInput, match="ends before"):
            await world.export().write(disk, AGENT, 2, 1, **more)
        with pytest.raises(ConfigurationInvalid, match="no certificate"):
            await world.export().write(disk, "nobody", 1, 2, **more)
        return disk.files()

    assert {} == run(story())


def test_export_contradicting_log_is_exported_and_told() -> None:
    """Evidence against the operator is evidence too."""

    async def story() -> evidence.Exported:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        index = await world.decide("order", verdict="refused")
        await world.sign(index)
        report = await world.write(disk)
        assert "MANIFEST" in disk.files()
        return report

    assert 1 == len(run(story()).contradictions)


def test_export_crash_anywhere_leaves_a_whole_bundle_or_no_manifest() -> None:
    """Power fails at a point of the export: MANIFEST is there only with all that it lists."""

    class PowerFails(Exception):
        """The machine stops."""

    async def story(points: int, seed: int) -> tuple[int, bool]:
        world, left = await EvidenceWorld.start(), points
        await world.live()

        async def point(_name: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise PowerFails

        disk = SimulatedDisk(point=point)
        with contextlib.suppress(PowerFails):
            await world.write(disk)
        after = disk.crash(random.Random(seed)).files()
        if "MANIFEST" not in after:
            return left, False
        text, _ = verify_note(after["MANIFEST"], [world.gate.log_key])
        listed = {line[66:]: line[:64] for line in text.splitlines()[3:]}
        assert listed == {p: sha256_hex(d) for p, d in after.items() if p != "MANIFEST"}
        return left, True

    total = 1000 - run(story(1000, 0))[0]
    assert all(run(story(total, seed))[1] for seed in range(5))
    assert not any(run(story(points, points))[1] for points in range(0, total - 8, 9))
    near_the_end = {run(story(total - 6 + seed % 6, seed))[1] for seed in range(60)}
    assert {True, False} == near_the_end


@pytest.mark.parametrize("operation", ["write_new", "sync", "sync_folder"])
def test_export_failing_disk_leaves_no_manifest(operation: str) -> None:
    """A failure while files are written ends the export before it is sealed."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        disk.fail(operation, "logs")
        with pytest.raises((StorageFailed, OutcomeUnknown)):
            await world.write(disk)
        return disk.files()

    assert "MANIFEST" not in run(story())


def test_export_second_writer_in_the_folder_is_told() -> None:
    """A name that appears meanwhile is not overwritten, and the bundle is not sealed."""

    async def story() -> dict[str, bytes]:
        world, disk = await EvidenceWorld.start(), SimulatedDisk()
        authority = world.authority.authority

        class Answers:
            async def crl(self, shard: int) -> bytes:
                await disk.write_new("summary.json", b"other")
                return await authority.crl(shard)

            async def ocsp(self, digest: str, *, next_update_ns: int) -> bytes:
                return await authority.ocsp(digest, next_update_ns=next_update_ns)

        with pytest.raises(StorageFailed, match="somebody else writes"):
            await world.write(disk, answers=Answers())
        return disk.files()

    files = run(story())
    assert b"other" == files["summary.json"]
    assert "MANIFEST" not in files


def test_export_certificates_are_readable_by_stock_tools() -> None:
    """PEM of one certificate each."""
    _, files, _ = run(exported())
    for path, data in files.items():
        if path.startswith("certificates/"):
            assert 1 == data.count(b"BEGIN CERTIFICATE"), path
            assert load(_der(data)).subject


def _der(data: bytes) -> bytes:
    import ssl

    return ssl.PEM_cert_to_DER_cert(data.decode())
