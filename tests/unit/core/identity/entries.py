# SPDX-License-Identifier: Apache-2.0
"""Entries of an authority's log, made by hand for the tests of its folds; nothing is signed."""

from __future__ import annotations

from typing import Any

from sekisho.core.encoding import b64, canonical, sha256_hex
from sekisho.core.events import (
    ApprovalGiven,
    AuthorityEntry,
    CertificateIssued,
    CrlIssued,
    Founded,
    GateBooted,
    LogKeyCertified,
    PolicyRegistered,
    Resolved,
    StatusChanged,
)
from sekisho.core.identity.register import AuthorityState
from sekisho.core.terms import NS, format_instant

START = 1_800_000_000 * NS
ROSTER = {
    "seats": [
        {"seat": "comp", "role": "compliance"},
        {"seat": "comp2", "role": "compliance"},
        {"seat": "risk", "role": "risk"},
    ]
}
POLICY = {
    "agent": "bot",
    "governance": {"review_due": "2030-01-01T00:00:00.000000000Z", "review_overdue": "refuse"},
    "testing": {"fitness_due": "2030-01-01T00:00:00.000000000Z", "overdue": "refuse"},
    "risk_controls": {"grace_period_s": 300, "acknowledgement_deadline_s": 3600},
}


def digest(value: Any) -> str:
    """SHA-256 of the canonical form."""
    return sha256_hex(canonical(value))


POLICY_SHA, ROSTER_SHA = digest(POLICY), digest(ROSTER)


def at(second: int) -> str:
    """The instant so many seconds after the start."""
    return format_instant(START + second * NS)


def founded(**other: Any) -> Founded:
    """The foundation; ``other`` replaces fields."""
    fields: dict[str, Any] = {
        "at": at(0),
        "environment": "test",
        "crl_shards": 1,
        "root_certificate": b64(b"root"),
        "issuing_certificate": b64(b"issuing"),
        "responder_certificate": b64(b"responder"),
        "roster": ROSTER,
        "roster_sha256": ROSTER_SHA,
    }
    return Founded(**(fields | other))


def registered(**other: Any) -> PolicyRegistered:
    """The policy; ``other`` replaces fields."""
    fields: dict[str, Any] = {
        "at": at(1),
        "agent": "bot",
        "policy": POLICY,
        "policy_sha256": POLICY_SHA,
        "defaults": (),
    }
    return PolicyRegistered(**(fields | other))


def approval(seat: str = "ceo", mark: int = 0) -> dict[str, Any]:
    """An approval of a seat."""
    return {"policy_sha256": POLICY_SHA, "seat": seat, "mark": mark}


def given(seat: str = "ceo", mark: int = 0) -> ApprovalGiven:
    """Its entry."""
    return ApprovalGiven(at=at(1), policy_sha256=POLICY_SHA, approval=approval(seat, mark))


def resolved(*approvals: dict[str, Any], **other: Any) -> Resolved:
    """The resolution by these approvals."""
    resolution = {
        "policy_sha256": POLICY_SHA,
        "roster_sha256": ROSTER_SHA,
        "required": 1,
        "approvals": list(approvals or [approval()]),
    } | other
    return Resolved(
        at=at(1),
        policy_sha256=POLICY_SHA,
        resolution=resolution,
        resolution_sha256=digest(resolution),
    )


RESOLUTION_SHA = resolved().resolution_sha256


def issued(number: int = 1, **other: Any) -> CertificateIssued:
    """A certificate by its number."""
    der = b"certificate %d" % number
    fields: dict[str, Any] = {
        "at": at(1),
        "agent": "bot",
        "serial_number": f"{number:02x}",
        "certificate": b64(der),
        "certificate_sha256": sha256_hex(der),
        "policy_sha256": POLICY_SHA,
        "resolution_sha256": RESOLUTION_SHA,
        "renews": "",
        "not_before": at(1),
        "not_after": at(1000),
    }
    return CertificateIssued(**(fields | other))


def command(kind: str, seat: str | None, nonce: int, **other: Any) -> str:
    """The text of a signed command, whose signature nobody looks at here."""
    fields = {"command": kind, "seat": seat, "nonce": f"{nonce:032x}", "agent": "bot"} | other
    return canonical({"command": fields, "signature": ""}).decode()


def changed(
    cause: str, status: str, epoch: int, *, number: int = 1, nonce: int | None = None, **other: Any
) -> StatusChanged:
    """A change of status by people."""
    seats = ("comp", "risk") if cause == "release" else ("risk",)
    used = epoch * 10 if nonce is None else nonce
    fields: dict[str, Any] = {
        "at": at(1),
        "agent": "bot",
        "serial_number": f"{number:02x}",
        "certificate_sha256": sha256_hex(b"certificate %d" % number),
        "status": status,
        "reason": {"good": "", "hold": "certificateHold", "revoked": "privilegeWithdrawn"}[status],
        "epoch": epoch,
        "incident": "",
        "cause": cause,
        "seats": seats,
        "commands": tuple(command(cause, seat, used + place) for place, seat in enumerate(seats)),
    }
    return StatusChanged(**(fields | other))


def log_key(origin: str = "gate", serial: str = "aa") -> LogKeyCertified:
    """A certified log."""
    return LogKeyCertified(at=at(1), origin=origin, certificate=b64(b"log"), serial_number=serial)


def booted(boot: str = "b1", **other: Any) -> GateBooted:
    """A boot of a gate."""
    fields: dict[str, Any] = {
        "at": at(1),
        "gate": "g1",
        "boot": boot,
        "origin": "gate",
        "tree_size": 3,
        "root_hash": b64(bytes(32)),
    }
    return GateBooted(**(fields | other))


def crl(number: int = 1, **other: Any) -> CrlIssued:
    """A CRL by its number."""
    fields: dict[str, Any] = {
        "at": at(1),
        "shard": 0,
        "number": number,
        "crl_sha256": "0" * 64,
        "this_update": at(1),
        "next_update": at(60),
    }
    return CrlIssued(**(fields | other))


APPROVED: list[AuthorityEntry] = [founded(), registered(), given(), resolved()]
CERTIFIED: list[AuthorityEntry] = [*APPROVED, issued()]
HELD: list[AuthorityEntry] = [*CERTIFIED, changed("hold", "hold", 1)]
REVOKED: list[AuthorityEntry] = [*CERTIFIED, changed("revoke", "revoked", 1)]
KILLED: list[AuthorityEntry] = [*CERTIFIED, changed("kill", "revoked", 1)]


def fold(entries: list[AuthorityEntry]) -> AuthorityState:
    """The register of these entries."""
    state = AuthorityState()
    for index, entry in enumerate(entries):
        state.apply(index, entry)
    return state
