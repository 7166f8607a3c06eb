# SPDX-License-Identifier: Apache-2.0
"""The scope extension of an agent certificate, in DER (docs/spec/certificate.md, section 4).

``SEQUENCE { version INTEGER, policy OCTET STRING (32), scope UTF8String }``. The encoder and the
decoder are inverse to each other byte by byte: anything that is not exactly what the encoder writes
is refused.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.identity.der import INTEGER, OCTET_STRING, SEQUENCE, UTF8_STRING, element

VERSION = 1
SCOPE_MEMBERS = ("agent", "environment", "operator", "risk_controls", "scope", "version")
"""Which members of the policy the extension repeats."""
SCOPE_BYTES_MAX = 32_768


class ScopeExtension(NamedTuple):
    """What the extension says."""

    policy_sha256: bytes
    scope_json: bytes


def scope_json(policy: dict[str, Any]) -> bytes:
    """What the extension says of a policy: the members that bind the agent, as they stand."""
    return canonical({name: policy[name] for name in SCOPE_MEMBERS})


def encode_scope(policy_sha256: bytes, scope_json: bytes) -> bytes:
    """The extension's value.

    Raises:
        MalformedInput: the digest is not 32 bytes, or the scope is empty or too long.
    """
    if len(policy_sha256) != 32:
        raise MalformedInput("scope extension: the policy digest has 32 bytes")
    if not 0 < len(scope_json) <= SCOPE_BYTES_MAX:
        raise MalformedInput(f"scope extension: the scope has 1 to {SCOPE_BYTES_MAX} bytes")
    return element(
        SEQUENCE,
        element(INTEGER, bytes([VERSION])),
        element(OCTET_STRING, policy_sha256),
        element(UTF8_STRING, scope_json),
    )


def decode_scope(value: bytes) -> ScopeExtension:
    """Strict inverse of :func:`encode_scope`.

    Raises:
        MalformedInput: any other bytes.
    """
    body, _ = _take(value)
    _, after = _take(body)
    digest, after = _take(after)
    scope_json, _ = _take(after)
    # Tags, lengths, version, bytes left over: what is not exactly what we would write is refused.
    if encode_scope(digest, scope_json) != value:
        raise MalformedInput("scope extension: not the DER of version 1")
    return ScopeExtension(digest, scope_json)


def _take(data: bytes) -> tuple[bytes, bytes]:
    """Content of the element in front, and what follows it; whether right is seen later."""
    if len(data) < 2:
        raise MalformedInput("scope extension: cut short")
    size, start = data[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:start], "big")
    return data[start : start + size], data[start + size :]
