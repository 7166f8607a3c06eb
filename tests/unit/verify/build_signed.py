# SPDX-License-Identifier: Apache-2.0
"""What bundles for tests of the verifier are made of: canonical bytes, notes, people and keys."""

from __future__ import annotations

import base64
import datetime
import hashlib
from typing import Any, cast

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.verify.build_policy import AGENT

GATE, AUTHORITY = "gate-1.invalid/log", "authority.invalid/log"
BOOT = "0" * 31 + "1"
ECDSA = ec.ECDSA(hashes.SHA256())
LATER = datetime.datetime(2026, 5, 15, 9, 30, tzinfo=datetime.UTC)


def canonical(value: object) -> bytes:
    """RFC 8785 by other people's code."""
    return rfc8785.dumps(cast("Any", value))


def sha(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def at(minute: int, second: int = 0) -> str:
    """An instant of 2026-05-15, after nine."""
    return f"2026-05-15T09:{minute:02}:{second:02}.000000000Z"


def der(certificate: x509.Certificate) -> bytes:
    """Its DER."""
    return certificate.public_bytes(Encoding.DER)


def root_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, by its recursive definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + root_hash(leaves[:split]) + root_hash(leaves[split:])).digest()


def note(text: str, name: str, key: ed25519.Ed25519PrivateKey) -> bytes:
    """A signed note."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
    return f"{text}\n— {name} {b64(key_id + key.sign(text.encode()))}\n".encode()


def checkpoint(leaves: list[bytes], origin: str, key: ed25519.Ed25519PrivateKey) -> bytes:
    """A checkpoint over these entries."""
    return note(f"{origin}\n{len(leaves)}\n{b64(root_hash(leaves))}\n", origin, key)


class People:
    """Seats with keys: two approvers, compliance, risk, a trader, an operator."""

    def __init__(self) -> None:
        roles = {
            "approver_a": "approver",
            "approver_b": "approver",
            "compliance_c": "compliance",
            "risk_r": "risk",
            "trader_t": "trader",
            "operator_o": "operator",
        }
        self.keys: dict[str, Any] = {
            seat: ec.generate_private_key(ec.SECP256R1())
            if seat != "risk_r"
            else ed25519.Ed25519PrivateKey.generate()
            for seat in roles
        }
        self.roster = {
            "schema": "sekisho/roster/v1",
            "version": 1,
            "seats": [
                {"seat": seat, "role": roles[seat], "public_key": b64(self.public(seat))}
                for seat in sorted(roles)
            ],
        }
        self.sha256 = sha(canonical(self.roster))

    def public(self, seat: str) -> bytes:
        """SubjectPublicKeyInfo."""
        key: bytes = (
            self.keys[seat]
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return key

    def sign(self, seat: str, message: bytes) -> str:
        """A signature in base64."""
        key = self.keys[seat]
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return b64(key.sign(message))
        return b64(key.sign(message, ECDSA))

    def approval(self, seat: str, digest: str, **changes: Any) -> dict[str, Any]:
        """An approval of a policy."""
        given = {
            "policy_sha256": digest,
            "roster_sha256": self.sha256,
            "seat": seat,
            "approved_at": at(0, 1),
            "expires_at": "2026-05-16T09:00:00.000000000Z",
        } | changes
        message = b"sekisho/approval/v1\n" + canonical(given)
        return given | {"signature": self.sign(seat, message)}

    def command(self, seat: str, command: str, **changes: Any) -> str:
        """A signed command over the agent."""
        given = {
            "command": command,
            "agent": AGENT,
            "reason_code": "drill",
            "seat": seat,
            "roster_sha256": self.sha256,
            "nonce": sha(f"{seat}{command}{changes}".encode())[:32],
            "commanded_at": at(20),
        } | changes
        given = {k: v for k, v in given.items() if v is not None}
        signature = self.sign(seat, b"sekisho/command/v1\n" + canonical(given))
        return canonical({"command": given, "signature": signature}).decode()
