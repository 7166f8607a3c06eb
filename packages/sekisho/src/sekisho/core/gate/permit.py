# SPDX-License-Identifier: Apache-2.0
"""The permit: the signed order that a venue takes (docs/spec/permit.md).

Builds the bytes that are signed and reads them back strictly. It neither signs nor knows keys; the
gatekeeper does, after the decision is durable.
"""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from msgspec import UNSET, UnsetType

from sekisho.core.encoding import b64url, canonical, parse_plain, sha256_hex, unb64url
from sekisho.core.errors import MalformedInput, VerificationFailed

CONTEXT = b"sekisho/permit/v1\n"
HEADER = canonical({"alg": "ES256", "typ": "sekisho-permit"})
_HEADER_PART = b64url(HEADER).encode("ascii")
_SHA256 = ec.ECDSA(hashes.SHA256())


class Permit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """The payload of a permit. Instants and amounts are text."""

    permit_id: str
    agent: str
    environment: str
    venue: str
    account: str
    order: dict[str, Any]
    issued_at: str
    expires_at: str
    certificate_sha256: str
    log_origin: str
    log_index: int
    leaf_hash: str
    policy_sha256: str
    ocsp: str
    replaces: str | UnsetType = UNSET


def permit_id(origin: str, index: int) -> str:
    """The one id of the permit of decision ``index`` in log ``origin``."""
    return sha256_hex(f"{origin}\n{index}".encode("ascii"))


def signing_input(permit: Permit) -> bytes:
    """The bytes to be signed: JWS signing input of header and payload."""
    return _HEADER_PART + b"." + b64url(CONTEXT + canonical(permit)).encode("ascii")


def assemble(message: bytes, der_signature: bytes) -> str:
    """The JWS from its signing input and a DER ECDSA signature."""
    r, s = decode_dss_signature(der_signature)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{message.decode('ascii')}.{b64url(raw)}"


def split(jws: str) -> tuple[bytes, bytes]:
    """Signing input and DER signature of a permit, for verification with any tool.

    Raises:
        MalformedInput: not a compact JWS with a 64-byte signature.
    """
    message, dot, signature = jws.rpartition(".")
    raw = unb64url(signature)
    if not dot or len(raw) != 64 or not message.isascii():
        raise MalformedInput("not a permit: three parts with a 64-byte signature are needed")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return message.encode("ascii"), der


def read_permit(jws: str) -> Permit:
    """The payload of a permit, strictly. The signature is *not* verified here.

    Raises:
        MalformedInput: other header, other context, not canonical, unknown field.
    """
    message, _ = split(jws)
    header, dot, payload = message.partition(b".")
    if not dot or header != _HEADER_PART:
        raise MalformedInput("not a permit: the header is not that of a permit")
    text = unb64url(payload.decode("ascii"))
    if not text.startswith(CONTEXT):
        raise MalformedInput("not a permit: the context line is missing")
    body = text[len(CONTEXT) :]
    try:
        permit = msgspec.convert(parse_plain(body), Permit)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"not a permit: {error}") from error
    if canonical(permit) != body:
        raise MalformedInput("not a permit: the payload is not canonical")
    return permit


def load_public_key(spki: bytes) -> ec.EllipticCurvePublicKey:
    """A P-256 public key from SubjectPublicKeyInfo DER.

    Raises:
        VerificationFailed: not a P-256 key.
    """
    try:
        key = serialization.load_der_public_key(spki)
    except ValueError as error:
        raise VerificationFailed("not a public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VerificationFailed("the key is not P-256")
    return key


def check_signature(key: ec.EllipticCurvePublicKey, message: bytes, der_signature: bytes) -> None:
    """Verify one ES256 signature.

    Raises:
        VerificationFailed: it does not hold.
    """
    try:
        key.verify(der_signature, message, _SHA256)
    except InvalidSignature as error:
        raise VerificationFailed("the signature does not verify with this key") from error
