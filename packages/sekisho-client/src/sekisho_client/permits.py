# SPDX-License-Identifier: Apache-2.0
"""What a permit says. NOTHING is verified here: no signature, no certificate, no expiry, no replay.

A bot has no need to verify its own permit: it got it from its gate. A counterparty does, with
``sekisho_verify.verify_permit`` and ``accept_once``, which share no code with this package. This
module takes a permit (docs/spec/permit.md) apart for logs, and to see that it is about the order
that was asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from sekisho_client.failures import ProtocolError
from sekisho_client.members import Members, parse_object

_HEADER = "eyJhbGciOiJFUzI1NiIsInR5cCI6InNla2lzaG8tcGVybWl0In0"
"""base64url of the one header that a permit has."""
_CONTEXT = b"sekisho/permit/v1\n"
_CHARACTERS_MAX = 65_535


@dataclass(frozen=True, slots=True)
class UnverifiedPermit:
    """What a permit says of itself; NOT verified. ``replaces`` is empty but for an amendment."""

    permit_id: str
    agent: str
    environment: str
    venue: str
    account: str
    order: Mapping[str, object]
    replaces: str
    issued_at: str
    expires_at: str
    certificate_sha256: str
    policy_sha256: str
    log_origin: str
    log_index: int


def read(permit: str) -> UnverifiedPermit:
    """Take a permit apart; nothing of it is verified.

    Args:
        permit: JWS compact serialization.

    Raises:
        ProtocolError: not a permit of the specification.
    """
    parts = permit.split(".")
    if len(permit) > _CHARACTERS_MAX or len(parts) != 3 or parts[0] != _HEADER or not parts[2]:
        raise ProtocolError("this is no permit: not its header, payload and signature")
    payload = _decoded(parts[1])
    if not payload.startswith(_CONTEXT):
        raise ProtocolError("this is no permit: its payload is of another sort")
    found = parse_object(payload[len(_CONTEXT) :])
    return UnverifiedPermit(
        permit_id=found.text("permit_id"),
        agent=found.text("agent"),
        environment=found.text("environment"),
        venue=found.text("venue"),
        account=found.text("account"),
        order=found.object("order"),
        replaces=found.text("replaces") if found.has("replaces") else "",
        issued_at=found.text("issued_at"),
        expires_at=found.text("expires_at"),
        certificate_sha256=found.text("certificate_sha256"),
        policy_sha256=found.text("policy_sha256"),
        log_origin=found.text("log_origin"),
        log_index=found.integer("log_index"),
    )


def require_about(permit: str, asked: Mapping[str, object]) -> None:
    """See that a permit is about the order that was asked; its signature is not looked at.

    Args:
        permit: JWS compact serialization.
        asked: the fields of the order that was sent.

    Raises:
        ProtocolError: it is about another order.
    """
    found = read(permit)
    given = Members(asked)
    if given.text("action") == "new":
        same = dict(found.order) == dict(asked) and found.replaces == ""
    elif given.text("action") == "amend":
        kept = ("client_order_id", "quantity", *(("price",) if given.has("price") else ()))
        same = found.replaces == asked.get("orig_client_order_id")
        same = same and all(found.order.get(name) == asked[name] for name in kept)
    else:
        raise ProtocolError("a cancel got a permit: there is none for it")
    if not same:
        raise ProtocolError("the permit is about another order than the one that was asked")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise ProtocolError("this is no permit: its payload is no base64url") from error
