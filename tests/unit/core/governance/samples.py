# SPDX-License-Identifier: Apache-2.0
"""Policies, seats with keys, and signed things for the governance tests."""

from __future__ import annotations

import copy
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.policy_yaml import read_yaml
from sekisho.adapters.zones import zone_offsets
from sekisho.core.encoding import b64
from sekisho.core.governance.commands import Command, SignedCommand, command_message
from sekisho.core.governance.document import Registration, read_policy
from sekisho.core.governance.policy import policy_sha256
from sekisho.core.governance.resolution import Approval, approval_message
from sekisho.core.governance.roster import Role, Roster, Seat, roster_sha256
from sekisho.core.terms import DAY_S, NS, format_instant, parse_instant

NOW = parse_instant("2026-05-15T09:15:00.123456789Z")
LEI = "5493001KJTIIGC8Y1R12"

PRODUCTION: dict[str, Any] = {
    "agent": "algo_trader_v2",
    "environment": "production",
    "operator": {
        "name": "CryptoEX AG",
        "lei": LEI,
        "competent_authority": "Authority of the example",
        "authorisation_reference": "REF-1",
    },
    "scope": {
        "markets": ["EUR/USD", "GBP/EUR"],
        "order_notional_max": "25000",
        "order_quantity_max": [
            {"market": "GBP/EUR", "currency": "GBP", "max": "20000"},
            {"market": "EUR/USD", "currency": "EUR", "max": "25000"},
        ],
        "price_collar": {"deviation_max": "0.02", "range_max": "0.05", "window_s": "300"},
        "daily_notional_max": "500000",
        "message_rate": {"count_max": "60", "window_s": "60"},
        "position_notional_max": "100000",
        "venues": ["PAPER"],
        "concentration": {"share_max": "0.5", "window_s": "86400", "notional_min": "0"},
        "time_zone": "Europe/Zurich",
        "trading_hours": {"start": "08:00", "end": "17:00", "holidays": ["2026-12-25"]},
        "regions": ["eu-west-1"],
        "market_stress": {
            "action": "refuse",
            "spread_max": "0.01",
            "move_max": "0.05",
            "window_s": "60",
        },
    },
    "governance": {
        "documented_by": "compliance_team",
        "approved_by": ["ceo", "cfo"],
        "last_review": "2026-05-01",
        "next_review": "2026-08-01",
    },
}
"""A document that states what production requires; the other fields get their defaults."""


def changed(path: str, value: Any, document: dict[str, Any] = PRODUCTION) -> dict[str, Any]:
    """The document with one part set; None takes the part away."""
    result = copy.deepcopy(document)
    *parents, last = path.split(".")
    target = result
    for name in parents:
        target = target.setdefault(name, {})
    if value is None:
        del target[last]
    else:
        target[last] = value
    return result


def register(
    document: dict[str, Any] | bytes, *, now: int = NOW, form: Any = "json"
) -> Registration:
    """Register a document at ``now`` with the real zones and YAML reader."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_policy(
        data, form=form, registered_at_ns=now, zone_offsets=zone_offsets, read_yaml=read_yaml
    )


Key = EllipticCurvePrivateKey | Ed25519PrivateKey


def key_of(number: int) -> Key:
    """A key for tests: even numbers P-256, odd ones Ed25519."""
    if number % 2:
        return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return derive_private_key(number + 1, SECP256R1())


def public_bytes(key: Key) -> bytes:
    """DER SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(key: Key, message: bytes) -> str:
    """Base64 of the signature that the key's kind makes."""
    if isinstance(key, Ed25519PrivateKey):
        return b64(key.sign(message))
    return b64(key.sign(message, ECDSA(SHA256())))


ROLES: tuple[tuple[str, Role], ...] = (
    ("ceo", "approver"),
    ("cfo", "approver"),
    ("compliance_lead", "compliance"),
    ("coder", "developer"),
    ("cto", "approver"),
    ("desk_lead", "trader"),
    ("gate_runner", "operator"),
    ("issuing_officer", "issuer"),
    ("risk_lead", "risk"),
)
KEYS = {seat: key_of(index) for index, (seat, _) in enumerate(sorted(ROLES))}
ROSTER = Roster(
    version=1,
    seats=tuple(
        Seat(seat=seat, role=role, public_key=b64(public_bytes(KEYS[seat])))
        for seat, role in sorted(ROLES)
    ),
)


def seat(name: str) -> Seat:
    """A seat of the sample roster."""
    found = ROSTER.find(name)
    assert found is not None
    return found


def approve(registration: Registration, who: str, **other: str) -> Approval:
    """An approval by a seat, signed as it stands; ``other`` replaces fields before signing."""
    fields = {
        "policy_sha256": policy_sha256(registration.policy),
        "roster_sha256": roster_sha256(ROSTER),
        "seat": who,
        "approved_at": format_instant(NOW),
        "expires_at": format_instant(NOW + DAY_S * NS),
    } | other
    signature = sign(KEYS.get(who, KEYS["ceo"]), approval_message(**fields))
    return Approval(**fields, signature=signature)


def command(kind: Any, who: str, **other: Any) -> Command:
    """A well made command of a seat; ``other`` replaces fields."""
    fields: dict[str, Any] = {
        "command": kind,
        "agent": "algo_trader_v2",
        "reason_code": "false_alarm",
        "seat": who,
        "roster_sha256": roster_sha256(ROSTER),
        "nonce": who.encode().hex()[:8].rjust(32, "0"),
        "commanded_at": format_instant(NOW),
    }
    if kind in ("release", "rearm", "go_live"):
        fields["epoch"] = 7
    if kind == "acknowledge":
        fields |= {"incident": "1" * 32, "disposition": "investigating"}
    if kind == "shutdown":
        fields["mode"] = "cancel_only"
    if kind == "go_live":
        fields["baseline_sha256"] = "b" * 64
    if kind == "rearm":
        fields["latch"] = "circuit_breaker"
    return Command(**(fields | other))


def signed(given: Command) -> SignedCommand:
    """The command with its seat's signature."""
    return SignedCommand(command=given, signature=sign(KEYS[given.seat], command_message(given)))
