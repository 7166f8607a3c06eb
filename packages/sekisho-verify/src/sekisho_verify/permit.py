# SPDX-License-Identifier: Apache-2.0
"""Permits (docs/spec/permit.md): what a counterparty checks of one, in one call, offline.

`verify_permit` does NOT check replay: a permit is good once, and only the venue knows what it has
taken already. `sekisho_verify.once.accept_once` checks that.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho_verify import canonical, certificates, order
from sekisho_verify.canonical import SECOND
from sekisho_verify.certificates import Authority, Scope
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.status import Responses

CONTEXT = b"sekisho/permit/v1\n"
ALGORITHM = ec.ECDSA(hashes.SHA256())
FIELDS = frozenset(
    "permit_id agent environment venue account order issued_at expires_at certificate_sha256 "
    "log_origin log_index leaf_hash policy_sha256 ocsp".split()
)
_HEADER = base64.urlsafe_b64encode(b'{"alg":"ES256","typ":"sekisho-permit"}').rstrip(b"=")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/**")
_PERMIT_CHARACTERS_MAX = 65_535


@dataclasses.dataclass(frozen=True)
class Parts:
    """A permit taken apart, nothing verified: bytes that are signed, signature, payload."""

    signed: bytes
    signature_der: bytes
    body: bytes  # canonical JSON after the context line
    payload: dict[str, object]


@dataclasses.dataclass(frozen=True)
class VerifiedPermit:
    """A permit that holds; times in ns. Replay is not checked: see `accept_once`.

    Attributes:
        order: exactly what may be executed, as in docs/spec/order.md, action `new`.
        replaces: id of the order that it replaces, or "".
    """

    permit_id: str
    agent: str
    environment: str
    venue: str
    account: str
    order: Mapping[str, object]
    replaces: str
    issued_at_ns: int
    expires_at_ns: int
    policy_sha256: str
    log_origin: str
    log_index: int
    leaf_hash: bytes


def _base64url(text: bytes) -> bytes:
    try:
        standard = text.translate(_FROM_URL) + b"=" * (-len(text) % 4)
        data = binascii.a2b_base64(standard, strict_mode=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationFailed("is no base64url") from error
    # Encoding again finds unused bits that are set; the translation maps + and / to nothing valid.
    require(binascii.b2a_base64(data, newline=False) == standard, "is no canonical base64url")
    return data


def _der_integer(raw: bytes) -> bytes:
    content = raw.lstrip(b"\x00") or b"\x00"
    content = b"\x00" + content if content[0] >= 0x80 else content
    return bytes((0x02, len(content))) + content


def signature_der(raw: bytes) -> bytes:
    """DER of an ES256 signature (r ‖ s, 64 bytes)."""
    require(len(raw) == 64, "has a signature that is not 64 bytes")
    content = _der_integer(raw[:32]) + _der_integer(raw[32:])
    return bytes((0x30, len(content))) + content


def take_apart(permit: str) -> Parts:
    """The parts of a permit in JWS compact serialization.

    Raises:
        VerificationFailed: another header, encoding or context than specified.
    """
    require(len(permit) <= _PERMIT_CHARACTERS_MAX, "is longer than any permit")
    try:
        data = permit.encode("ascii")
    except UnicodeEncodeError as error:
        raise VerificationFailed("is not ASCII") from error
    header, _, rest = data.partition(b".")
    payload, _, signature = rest.partition(b".")
    require(header == _HEADER, "has another header than ES256 of a permit")
    raw = _base64url(payload)
    require(raw.startswith(CONTEXT), "is not signed as a permit")
    body = raw[len(CONTEXT) :]
    given = canonical.parse_object(body)
    canonical.fields(given, FIELDS | (given.keys() & {"replaces"}), "permit")
    signed = data[: len(header) + 1 + len(payload)]
    return Parts(signed, signature_der(_base64url(signature)), body, given)


def permit_id(origin: str, index: int) -> str:
    """The id of the permit for the decision at this index of the log of this origin."""
    return hashlib.sha256(f"{origin}\n{index}".encode()).hexdigest()


def _read(parts: Parts) -> VerifiedPermit:
    given = parts.payload
    index = canonical.integer_of(given["log_index"])
    origin = canonical.text_of(given["log_origin"])
    require(given["permit_id"] == permit_id(origin, index), "has another id than its log place")
    asked = order.read(given["order"])
    require(asked.action == "new", "carries no new order")
    same_place = (given["venue"], given["account"]) == (asked.venue, asked.account)
    require(same_place, "names another venue or account than its order")
    replaces = canonical.named(given["replaces"], "order_id") if "replaces" in given else ""
    leaf_hash = canonical.bytes_of(given["leaf_hash"])
    require(len(leaf_hash) == 32 and index >= 0, "has a malformed log place")
    return VerifiedPermit(
        permit_id=canonical.digest_text(given["permit_id"]),
        agent=canonical.named(given["agent"], "agent"),
        environment=canonical.text_of(given["environment"]),
        venue=asked.venue,
        account=asked.account,
        order=canonical.object_of(given["order"]),
        replaces=replaces,
        issued_at_ns=canonical.instant(given["issued_at"]),
        expires_at_ns=canonical.instant(given["expires_at"]),
        policy_sha256=canonical.digest_text(given["policy_sha256"]),
        log_origin=origin,
        log_index=index,
        leaf_hash=leaf_hash,
    )


def verify_permit(
    permit: str,
    *,
    certificate: bytes,
    issuing: bytes,
    root: bytes,
    venue: str,
    now_ns: int,
    environments: frozenset[str] = frozenset({"production"}),
) -> VerifiedPermit:
    """Verify one permit, offline. Replay is NOT checked here: call `accept_once` with the result.

    Args:
        permit: JWS compact serialization.
        certificate: the agent's certificate, PEM or DER.
        issuing: the issuing CA's certificate, PEM or DER.
        root: the root certificate that the caller trusts, PEM or DER.
        venue: the caller's own name; a permit is good at one venue.
        now_ns: the caller's clock, ns since 1970 UTC.
        environments: those accepted; `test` and `rehearsal` only where asked for.

    Raises:
        VerificationFailed: the permit is not to be honoured; the message says why.
    """
    authority = Authority(certificates.load(root), certificates.load(issuing))
    leaf = certificates.load(certificate)
    scope = authority.check_agent(leaf)
    authority.require_valid_at(now_ns)
    leaf.require_valid_at(now_ns, "agent certificate")
    parts = take_apart(permit)
    try:
        leaf.ec_key.verify(parts.signature_der, parts.signed, ALGORITHM)
    except InvalidSignature as error:
        raise VerificationFailed("has a signature that does not verify") from error
    found = _read(parts)
    require(parts.payload["certificate_sha256"] == leaf.sha256, "names another certificate")
    _check_scope(found, scope)
    require(found.environment in environments, f"is of environment {found.environment}")
    require(found.venue == venue, f"is for venue {found.venue}")
    require(now_ns < found.expires_at_ns, "is expired")
    leaf.require_valid_at(found.issued_at_ns, "agent certificate")
    response = Responses(authority).verified(canonical.bytes_of(parts.payload["ocsp"]))
    same = response.serial_number == leaf.parsed.serial_number
    require(same, "carries the status of another certificate")
    require(response.status.status == "good", f"carries status {response.status.status}")
    response.require_covers(now_ns)
    return found


def _check_scope(found: VerifiedPermit, scope: Scope) -> None:
    """The permit agrees with what its certificate says."""
    require(scope.policy_sha256 == found.policy_sha256, "is under another policy")
    require(scope.content["agent"] == found.agent, "is of another agent than its certificate")
    same = scope.content["environment"] == found.environment
    require(same, "is of another environment than its certificate")
    risk = canonical.object_of(scope.content["risk_controls"])
    lifetime = canonical.integer_of(risk.get("permit_lifetime_s")) * SECOND
    lasts = found.expires_at_ns - found.issued_at_ns
    require(0 < lasts <= lifetime, "lasts longer than its policy allows")
