# SPDX-License-Identifier: Apache-2.0
"""Renewing a certificate with overlap (docs/spec/authority.md, 1 and 2).

For a time that the policy states an agent has two certificates: the one that ends, and its
successor. There are never three, and which of them a gate uses is decided by its admission alone.
Judged from the records, so that whoever writes an entry and whoever reads it find the same.
"""

from __future__ import annotations

from typing import Final

from sekisho.core.errors import VerificationFailed
from sekisho.core.events import CertificateIssued, StatusChanged
from sekisho.core.identity.records import (
    Records,
    RegisteredCertificate,
    RegisteredPolicy,
    Renewal,
)
from sekisho.core.terms import NS, format_instant, parse_instant

SUPERSEDED: Final = "superseded"
"""Cause, and CRLReason, of the end of one of the two."""


def overlap_s(policy: RegisteredPolicy) -> int:
    """For how many seconds a policy allows two certificates; 0 for never."""
    part = policy.policy.get("governance")
    value = part.get("renewal_overlap_s", 0) if isinstance(part, dict) else 0
    return value if isinstance(value, int) else 0


def renewed(
    records: Records, policy: RegisteredPolicy, now: int
) -> tuple[RegisteredCertificate | None, str]:
    """Which certificate one that is issued now would renew, and why none may be issued.

    Args:
        records: before the entry.
        policy: under which it would be issued.
        now: log time, ns.

    Returns:
        The present certificate, or None where the agent has none; and an empty text, or the cause.
    """
    agent, pair = policy.agent, records.renewals.get(policy.agent)
    if pair is not None:
        ends = format_instant(pair.ends_at)
        return None, f"{agent!r} is being renewed: {pair.before.serial_number} ends at {ends}"
    active = records.active(agent, now)
    if active is None:
        return None, ""
    has = f"{agent!r} has the certificate {active.serial_number} ({active.status})"
    if overlap_s(policy) <= 0:
        return None, f"{has}; revoke it before another one is issued"
    if active.status != "good":
        return None, f"{has}; only a good one is renewed: release or revoke it first"
    if _version(policy) < _version(records.policies[active.policy_sha256]):
        return None, f"{has} under a later version of its policy; it is not renewed under this one"
    return active, ""


def _version(policy: RegisteredPolicy) -> int:
    version = policy.policy.get("version")
    if not isinstance(version, int):
        raise VerificationFailed("the policy has no version")
    return version


def check_issued(
    records: Records, entry: CertificateIssued, policy: RegisteredPolicy, now: int
) -> None:
    """Whether a certificate may be issued beside, or after, those that the agent has.

    Raises:
        VerificationFailed: it may not, or names another one as the one that it renews.
    """
    before, cause = renewed(records, policy, now)
    if cause:
        raise VerificationFailed(cause)
    if entry.renews != ("" if before is None else before.sha256):
        raise VerificationFailed("it does not name the certificate that it renews")


def issued(records: Records, after: RegisteredCertificate, entry: CertificateIssued) -> None:
    """Keep which two there are from here on."""
    if not entry.renews:
        records.holders[after.agent] = after.sha256
        return
    before = records.certificates[entry.renews]
    length = overlap_s(records.policies[after.policy_sha256]) * NS
    ends_at = min(parse_instant(entry.at) + length, before.not_after)
    records.renewals[after.agent] = Renewal(before, after, ends_at)


def check_ended(records: Records, entry: StatusChanged) -> None:
    """Whether one of two certificates may be ended by the renewal.

    That an incident calls for it is judged by the book of incidents.

    Raises:
        VerificationFailed: there are not two, or it is not over yet.
    """
    pair = records.renewals.get(entry.agent)
    if pair is None:
        raise VerificationFailed("the agent's certificate is not being renewed")
    if entry.incident:
        return
    if entry.certificate_sha256 != pair.before.sha256:
        raise VerificationFailed("the successor does not end by the renewal")
    if parse_instant(entry.at) < pair.ends_at:
        raise VerificationFailed(f"it ends at {format_instant(pair.ends_at)} only")


def revoked(records: Records, record: RegisteredCertificate) -> None:
    """One of two ended: the other is alone from here on."""
    pair = records.renewals.get(record.agent)
    if pair is not None and record.sha256 in (pair.before.sha256, pair.after.sha256):
        del records.renewals[record.agent]
    if records.holders.get(record.agent) == record.sha256:
        del records.holders[record.agent]
        if pair is not None:
            records.holders[record.agent] = pair.after.sha256


def other_of(records: Records, certificate_sha256: str) -> RegisteredCertificate | None:
    """The other of two certificates; None where there is only this one."""
    record = records.certificates[certificate_sha256]
    pair = records.renewals.get(record.agent)
    if pair is None or certificate_sha256 not in (pair.before.sha256, pair.after.sha256):
        return None
    return pair.after if certificate_sha256 == pair.before.sha256 else pair.before
