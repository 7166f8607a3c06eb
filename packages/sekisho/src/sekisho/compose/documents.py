# SPDX-License-Identifier: Apache-2.0
"""Documents in and out of a home: policies that people wrote, bundles that strangers read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.policy_yaml import read_yaml
from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.signers.opening import open_signer
from sekisho.adapters.zones import zone_offsets
from sekisho.compose.gate_config import read_gate_config
from sekisho.compose.home import Home
from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, StorageFailed
from sekisho.core.events import decode_authority_entry, decode_gate_entry
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.governance.document import Registration, read_policy
from sekisho.core.governance.operator_limits import RegisteredAs, read_limits_document
from sekisho.core.identity.oids import openssl_names
from sekisho.ports import Signer
from sekisho.services.evidence import Export
from sekisho.services.journal import Journal
from sekisho.services.report import render
from sekisho.services.signing import BoundedSigner


def register_document(path: Path, now_ns: int) -> Registration:
    """Read a policy file; YAML or JSON by its name.

    Raises:
        ConfigurationInvalid: the file cannot be read.
        MalformedInput: all faults of the policy, with their places.
    """
    document = read_document(path)
    try:
        return read_registration(document, "json" if path.suffix == ".json" else "yaml", now_ns)
    except MalformedInput as error:
        error.where = ", ".join(filter(None, (str(path), error.where)))
        error.do = "correct the file as docs/spec/policy.md says and run the command again"
        raise


def read_document(path: Path) -> bytes:
    """A file that somebody wrote. Raises ConfigurationInvalid: it cannot be read."""
    try:
        return read_regular(path)[0]
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read ({error.strerror})", str(path), "name the document's file"
        ) from error


def read_registration(document: bytes, form: Literal["json", "yaml"], now_ns: int) -> Registration:
    """Read a policy document. Raises MalformedInput: all faults, with their places."""
    return read_policy(
        document,
        form=form,
        registered_at_ns=now_ns,
        zone_offsets=zone_offsets,
        read_yaml=read_yaml,
    )


def read_limits(document: bytes, form: Literal["json", "yaml"]) -> RegisteredAs:
    """Read a document of limits. Raises MalformedInput: all faults, with their places."""
    return read_limits_document(document, form=form, read_yaml=read_yaml)


def builtin_policy() -> Path:
    """The policy of the demonstration, a file of this package."""
    return Path(__file__).parent / "policy.yaml"


async def write_bundle(home: Home, agent: str, begin_ns: int, end_ns: int, out: Path) -> None:
    """Export the evidence of an agent; the home's gate must be open.

    Raises:
        ConfigurationInvalid: the folder is not empty, or there is no such agent.
    """
    gate, key = home.journals["gate"], home.signer("gate-log")
    await _write(home, gate, key, agent, (begin_ns, end_ns), out)


async def write_gate_bundle(
    home: Home, gate: Path, agent: str, begin_ns: int, end_ns: int, out: Path
) -> None:
    """The same from the log of a gate that is a process of its own, and has ended.

    Args:
        home: the authority's, open.
        gate: the gate's ``gate.toml``; log and key are where it says.
        agent: whom the bundle is about.
        begin_ns: beginning of the period, ns UTC.
        end_ns: its end, exclusive.
        out: an empty folder.

    Raises:
        ConfigurationInvalid: the folder is not empty, there is no such agent, or the gate's
            configuration cannot be used.
        StorageFailed: the gate still runs.
    """
    located = read_gate_config(gate)
    config = located.config
    passphrase = located.file(config.passphrase_file)
    uri = located.uri(config.log_key)
    key = open_signer(uri, passphrase_file=passphrase, settings=located.custody())
    folder = located.file(config.log)
    if not folder.is_dir():
        raise ConfigurationInvalid(
            f"{folder}: not there; this gate has never run", str(gate), "name another gate.toml"
        )
    disk = _gate_folder(folder)
    try:
        clock = home.around.clock
        journal = await Journal.open(disk, origin=config.origin, signer=key, clock=clock)
        await _write(home, journal, key, agent, (begin_ns, end_ns), out)
    finally:
        disk.close()


def _gate_folder(path: Path) -> FolderDisk:
    """The log of a gate that has ended. Raises StorageFailed: it runs."""
    try:
        return FolderDisk(path)
    except StorageFailed as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
        do = "wait until that process is done, or end sekisho gate; then run it again"
        raise StorageFailed(f"export: not done: {error}", str(path), do) from error


async def _write(
    home: Home, gate: Journal, key: Signer, agent: str, period: tuple[int, int], out: Path
) -> None:
    disk = FolderDisk(out)
    try:
        export = Export(
            gate, home.journals["authority"], home.authority, BoundedSigner(key, home.around.clock)
        )
        await export.write(
            disk,
            agent,
            *period,
            now_ns=home.authority.log.now(),
            oid_cnf=openssl_names(home.names.arc),
        )
    finally:
        disk.close()
        _only_the_bundle(out)


def write_report(home: Home, agent: str, out: Path) -> None:
    """Draw ``report.html`` and its figures, ``report.json``, from both logs of an open home."""
    chronicle = Chronicle(agent)
    for index, data in home.journals["authority"].entries():
        chronicle.take_authority(index, decode_authority_entry(data))
    for index, data in home.journals["gate"].entries():
        chronicle.take_gate(index, decode_gate_entry(data))
    figures = chronicle.figures()
    # A crash between the two leaves the figures without their page: nothing rests on either.
    (out / "report.json").write_bytes(canonical(figures))
    (out / "report.html").write_text(render(figures, title=f"{agent}: report"), encoding="utf-8")


def _only_the_bundle(out: Path) -> None:
    """Remove the adapter's own names: a bundle holds what its manifest lists and nothing else."""
    (out / ".lock").unlink()
    (out / ".tmp").rmdir()
