# SPDX-License-Identifier: Apache-2.0
"""A certificate's status and how it may change (docs/spec/certificate.md, section 7).

Revoked is final. A hold is lifted only by a release.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from cryptography import x509

from sekisho.core.errors import MalformedInput

Status = Literal["good", "hold", "revoked"]

REASONS: dict[str, x509.ReasonFlags] = {
    "unspecified": x509.ReasonFlags.unspecified,
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "certificateHold": x509.ReasonFlags.certificate_hold,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""RFC 5280 CRLReason names that this product uses."""

ALLOWED: frozenset[tuple[Status, Status]] = frozenset(
    {("good", "hold"), ("good", "revoked"), ("hold", "good"), ("hold", "revoked")}
)


class CertificateStatus(msgspec.Struct, frozen=True):
    """Status, CRLReason name (empty for good), and since when (ns UTC, 0 for good)."""

    status: Status
    reason: str = ""
    since_ns: int = 0


def reason_flag(name: str) -> x509.ReasonFlags:
    """The CRLReason of a name.

    Raises:
        MalformedInput: not one that this product uses.
    """
    try:
        return REASONS[name]
    except KeyError:
        raise MalformedInput(f"{name!r} is not a CRLReason of this product") from None


def reason_name(flag: x509.ReasonFlags | None) -> str:
    """The name of a CRLReason; an absent one is ``unspecified``."""
    return next((name for name, known in REASONS.items() if known is flag), "unspecified")


def may_change(old: Status, new: Status) -> bool:
    """Whether a certificate may go from ``old`` to ``new``."""
    return (old, new) in ALLOWED
