# SPDX-License-Identifier: Apache-2.0
"""Which files a bundle has, and what of them follows from the logs (docs/spec/bundle.md).

Names and plain contents only: tiles, notes, PEM and signatures are made by the service from the
rooms that know them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sekisho.core.encoding import unb64
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.events import (
    AuthorityEntry,
    CertificateIssued,
    CrlIssued,
    Founded,
    GateEntry,
    LogKeyCertified,
    PermitSigned,
    StatusChanged,
)

SUMMARY = "summary.json"
OID_NAMES = "oid.cnf"
STATIC = ("README.txt", "verify.sh")
"""Files that are the same in every bundle of a version."""
DECISION_MAX = 10**8 - 1
"""File names of permits have eight digits."""


class HeldCertificate(msgspec.Struct, frozen=True):
    """A certificate of the agent, and where it and its status response are in the bundle."""

    certificate_sha256: str
    path: str
    status_path: str
    der: bytes
    serial_number: str


def authority_certificates(
    entries: Iterable[AuthorityEntry], gate_origin: str, authority_origin: str
) -> dict[str, bytes]:
    """Path → DER of the authority's own certificates and those of both logs.

    Raises:
        ConfigurationInvalid: the log is not founded, or a log's key has no certificate.
    """
    found: dict[str, bytes] = {}
    logs = {gate_origin: "log-gate", authority_origin: "log-authority"}
    for entry in entries:
        if isinstance(entry, Founded):
            found["certificates/root.pem"] = unb64(entry.root_certificate)
            found["certificates/issuing.pem"] = unb64(entry.issuing_certificate)
            found["certificates/responder.pem"] = unb64(entry.responder_certificate)
        elif isinstance(entry, LogKeyCertified) and entry.origin in logs:
            found[f"certificates/{logs[entry.origin]}.pem"] = unb64(entry.certificate)
    if "certificates/root.pem" not in found:
        raise ConfigurationInvalid("the authority is not founded: there is nothing to export")
    for origin, name in logs.items():
        if f"certificates/{name}.pem" not in found:
            raise ConfigurationInvalid(
                f"the key of the log {origin} has no certificate; have the authority certify it"
            )
    return found


def agent_certificates(agent: str, entries: Iterable[AuthorityEntry]) -> list[HeldCertificate]:
    """Every certificate that the agent ever had, in the order of issue.

    Raises:
        ConfigurationInvalid: it never had one.
    """
    found = [
        HeldCertificate(
            entry.certificate_sha256,
            f"certificates/agent-{entry.serial_number}.pem",
            f"ocsp/{entry.certificate_sha256}.der",
            unb64(entry.certificate),
            entry.serial_number,
        )
        for entry in entries
        if isinstance(entry, CertificateIssued) and entry.agent == agent
    ]
    if not found:
        raise ConfigurationInvalid(f"{agent!r} has no certificate of this authority")
    return found


def crl_files(entries: Iterable[AuthorityEntry], serials: Iterable[str]) -> dict[str, int]:
    """Path → shard of each CRL that certificates of these serial numbers (hex) are in."""
    shards = next((one.crl_shards for one in entries if isinstance(one, Founded)), 1)
    if shards == 1:
        return {"crl/issuing.pem": 0}
    found = sorted({int(serial, 16) % shards for serial in serials})
    return {f"crl/{shard}.pem": shard for shard in found}


def crl_shows_the_end(crl_sha256: str, shard: int, entries: Sequence[AuthorityEntry]) -> bool:
    """Whether this CRL is the newest of its shard on record and no status changed there since."""
    shards = next((one.crl_shards for one in entries if isinstance(one, Founded)), 1)
    for entry in reversed(entries):
        if isinstance(entry, StatusChanged) and int(entry.serial_number, 16) % shards == shard:
            return False
        if isinstance(entry, CrlIssued) and entry.shard == shard:
            return entry.crl_sha256 == crl_sha256
    return False


def permits(agent: str, entries: Iterable[GateEntry]) -> dict[str, str]:
    """Path without its ending → permit (JWS), of every permit of the agent.

    Raises:
        VerificationFailed: a decision has two, or no name: no bundle can hold that.
    """
    found: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, PermitSigned) and entry.agent == agent:
            path = f"permits/{entry.decision:08d}"
            if path in found or not 0 <= entry.decision <= DECISION_MAX:
                raise VerificationFailed(
                    f"decision {entry.decision} of the gate's log was signed twice, or cannot be"
                    " named in a bundle; keep the log's folder as it is and examine it"
                )
            found[path] = entry.permit
    return found


def lines(entries: Sequence[bytes]) -> bytes:
    """The content of ``entries.jsonl``.

    Raises:
        MalformedInput: an entry with a newline, which canonical JSON never has.
    """
    for index, entry in enumerate(entries):
        if b"\n" in entry:
            raise MalformedInput(f"entry {index} holds a newline", str(index))
    return b"".join(entry + b"\n" for entry in entries)
