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
HOLD = "certificateHold"

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

CODES: dict[x509.ReasonFlags, int] = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.privilege_withdrawn: 9,
}
"""Their numbers (RFC 5280, 5.3.1)."""

ALLOWED: frozenset[tuple[Status, Status]] = frozenset(
    {("good", "hold"), ("good", "revoked"), ("hold", "good"), ("hold", "revoked")}
)


class CertificateStatus(msgspec.Struct, frozen=True):
    """Status, CRLReason name (empty for good), and since when (ns UTC, 0 for good)."""

    status: Status
    reason: str = ""
    since_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse a status that would be published as another one.

        Raises:
            MalformedInput: good with a reason or a time, a hold without ``certificateHold``, or
                revoked without a reason or with that one.
        """
        right = {
            "good": self.reason == "" and self.since_ns == 0,
            "hold": self.reason == HOLD,
            "revoked": self.reason not in ("", HOLD),
        }
        if not right.get(self.status, False):
            raise MalformedInput(f"status {self.status!r} with the reason {self.reason!r}")


def reason_flag(name: str) -> x509.ReasonFlags:
    """The CRLReason of a name.

    Raises:
        MalformedInput: not one that this product uses.
    """
    try:
        return REASONS[name]
    except KeyError:
        raise MalformedInput(f"{name!r} is not a CRLReason of this product") from None


def published(flag: x509.ReasonFlags | None, since_ns: int) -> CertificateStatus:
    """What a CRL entry or an OCSP answer "revoked" with this CRLReason means.

    An absent reason is ``unspecified``; others than ours keep their name of RFC 5280.

    Raises:
        MalformedInput: ``removeFromCRL``, which only delta CRLs say, and here are none.
    """
    if flag is x509.ReasonFlags.remove_from_crl:
        raise MalformedInput("removeFromCRL outside a delta CRL")
    if flag is x509.ReasonFlags.certificate_hold:
        return CertificateStatus("hold", HOLD, since_ns)
    return CertificateStatus("revoked", "unspecified" if flag is None else flag.value, since_ns)


def may_change(old: Status, new: Status) -> bool:
    """Whether a certificate may go from ``old`` to ``new``."""
    return (old, new) in ALLOWED
