# SPDX-License-Identifier: Apache-2.0
"""A fixed little authority for tests: root, issuing CA, responder, one agent, one log.

Keys come from fixed numbers, so nothing here draws randomness; signatures alone differ from run to
run. :func:`forged` rebuilds a certificate with one thing changed, signed by whom one likes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.identity import profile
from sekisho.core.identity.ocsp import build_ocsp
from sekisho.core.identity.status import CertificateStatus
from sekisho.core.terms import DAY_S, NS, parse_instant

NOW = parse_instant("2026-05-15T09:15:00.123456789Z")
YEAR = 365 * DAY_S * NS
LEI = "529900T8BM49AURSDO55"
ORIGIN = "gate-1.example/log"
SCOPE = canonical({"agent": "fx-bot_1", "environment": "test", "scope": {"markets": ["EUR/USD"]}})
POLICY = sha256_hex(b"policy")
NAMES = profile.Names(
    issuer_name="Example Authority",
    crl_url="http://crl.example.test/issuing.crl",
    ocsp_url="http://ocsp.example.test/",
    issuing_url="http://ca.example.test/issuing.der",
)
HOLDER = profile.Holder(operator_name="Example Trading", operator_lei=LEI)
ARC = profile.Arc()


def key(number: int) -> ec.EllipticCurvePrivateKey:
    """A P-256 key of a fixed number."""
    return ec.derive_private_key(number, ec.SECP256R1())


def spki(private: Any) -> bytes:
    """SubjectPublicKeyInfo of a private key, DER."""
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


ROOT_KEY, ISSUING_KEY, RESPONDER_KEY, AGENT_KEY = (key(1000 + one) for one in range(4))
LOG_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LIFE: dict[str, Any] = {"names": NAMES, "not_before_ns": NOW - YEAR, "not_after_ns": NOW + YEAR}


def serial(number: int) -> int:
    """A serial number of the profile."""
    return profile.serial_number(number.to_bytes(16, "big"))


@cache
def root() -> bytes:
    """The root."""
    return profile.root_certificate(key=ROOT_KEY, serial=serial(1), **LIFE)


@cache
def issuing() -> bytes:
    """The issuing CA."""
    return profile.issuing_certificate(
        root=root(), root_key=ROOT_KEY, public_key=spki(ISSUING_KEY), serial=serial(2), **LIFE
    )


def under(number: int, **changes: Any) -> dict[str, Any]:
    """Arguments of an end entity's certificate."""
    return LIFE | {
        "issuing": issuing(),
        "issuing_key": ISSUING_KEY,
        "serial": serial(number),
        **changes,
    }


@cache
def responder() -> bytes:
    """The status responder."""
    return profile.ocsp_responder_certificate(**under(3, public_key=spki(RESPONDER_KEY)))


@cache
def log() -> bytes:
    """The certificate of a log's key."""
    return profile.log_certificate(**under(4, origin=ORIGIN, public_key=spki(LOG_KEY)))


def agent_arguments(**changes: Any) -> dict[str, Any]:
    """Arguments of the agent's certificate."""
    return under(
        5,
        **{
            "holder": HOLDER,
            "agent": "fx-bot_1",
            "public_key": spki(AGENT_KEY),
            "scope_json": SCOPE,
            "policy_sha256": POLICY,
            **changes,
        },
    )


@cache
def agent() -> bytes:
    """The agent's certificate."""
    return profile.agent_certificate(**agent_arguments())


def said(status: CertificateStatus, **changes: Any) -> bytes:
    """A status response about the agent's certificate, good for a minute."""
    arguments: dict[str, Any] = {
        "certificate": agent(),
        "issuing": issuing(),
        "responder": responder(),
        "responder_key": RESPONDER_KEY,
        "status": status,
        "this_update_ns": NOW,
        "next_update_ns": NOW + 60 * NS,
    }
    return build_ocsp(**(arguments | changes))


def forged(
    der: bytes,
    signer: ec.EllipticCurvePrivateKey = ISSUING_KEY,
    *,
    replace: dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None] | None = None,
    add: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    algorithm: hashes.SHA256 | hashes.SHA384 | None = None,
    **fields: Any,
) -> bytes:
    """The same certificate with fields or extensions changed, newly signed.

    Args:
        der: what is changed.
        signer: signs the result.
        replace: extension class → value and criticality, or None to leave it out.
        add: extensions to append, with their criticality.
        algorithm: of the signature; SHA-256 when None.
        fields: ``subject``, ``issuer``, ``public_key``, ``serial_number``, ``not_before``,
            ``not_after``.
    """
    old = x509.load_der_x509_certificate(der)
    builder = (
        x509.CertificateBuilder()
        .subject_name(fields.get("subject", old.subject))
        .issuer_name(fields.get("issuer", old.issuer))
        .public_key(fields.get("public_key", old.public_key()))
        .serial_number(fields.get("serial_number", old.serial_number))
        .not_valid_before(fields.get("not_before", old.not_valid_before_utc))
        .not_valid_after(fields.get("not_after", old.not_valid_after_utc))
    )
    changed = replace or {}
    parts = [
        (part.value, part.critical) for part in old.extensions if type(part.value) not in changed
    ]
    parts += [part for part in changed.values() if part is not None]
    for value, critical in [*parts, *add]:
        builder = builder.add_extension(value, critical=critical)
    made = builder.sign(signer, algorithm or hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)
