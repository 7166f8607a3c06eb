# SPDX-License-Identifier: Apache-2.0
"""Which approvals count, and which resolutions permit issuing (docs/spec/authority.md, 1 and 3).

By what the log says alone: a kill, a withdrawal, a change of roster. Signatures and their times are
judged by whoever writes the entries, and again by whoever checks a bundle.
"""

from __future__ import annotations

from typing import Any

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import (
    ApprovalGiven,
    ApprovalWithdrawn,
    LimitsRegistered,
    Resolved,
    RosterChanged,
)
from sekisho.core.identity.records import (
    Records,
    RegisteredPolicy,
    RosterSuccession,
    WithdrawnAt,
)
from sekisho.core.terms import parse_instant


def standing(records: Records, document: RegisteredPolicy) -> dict[int, dict[str, Any]]:
    """The approvals given over a document that neither a kill nor a withdrawal took back."""
    return {
        index: approval
        for index, approval in document.approvals.items()
        if not records.killed_after(document.agent, index)
        and not _taken_back(document, str(approval.get("seat")), index)
    }


def _taken_back(document: RegisteredPolicy, seat: str, index: int) -> bool:
    """Whether the seat took back what it had given at ``index``."""
    withdrawn = document.withdrawn.get(seat)
    return withdrawn is not None and withdrawn.index > index


def lapsed(records: Records, policy: RegisteredPolicy) -> str:
    """Why a policy's resolution permits no issuing; empty when it does.

    Raises:
        VerificationFailed: the resolution does not say how many it needs.
    """
    resolution = policy.resolution
    if resolution is None:
        return f"policy {policy.sha256} has not been approved by its quorum"
    if resolution.get("roster_sha256") != records.roster_sha256:
        return f"policy {policy.sha256} was approved under another roster: approve it again"
    if records.killed_after(policy.agent, policy.resolved_at_index):
        return (
            f"{policy.agent!r} was killed after policy {policy.sha256} was approved: the policy, or"
            " a new one, must be approved again"
        )
    seats = [str(one.get("seat")) for one in resolution["approvals"]]
    left = [seat for seat in seats if not _taken_back(policy, seat, policy.resolved_at_index)]
    required, named = resolution.get("required"), policy.policy.get("governance", {})
    if not isinstance(required, int):
        raise VerificationFailed("the resolution does not say how many approvals it needs")
    gone = ", ".join(seat for seat in seats if seat not in left)
    if len(left) < required:
        return (
            f"policy {policy.sha256}: {gone} took the approval back; {len(left)} approvals are"
            f" left, {required} are required"
        )
    missing = [seat for seat in named.get("approved_by", ()) if seat not in left]
    if missing:
        return f"policy {policy.sha256}: {', '.join(missing)} must approve, and took it back"
    return ""


# -- entries: whether they may come, and what they leave ---------------------------------------


def check_limits(records: Records, entry: LimitsRegistered) -> None:
    """Limits are registered once."""
    _need(
        sha256_hex(canonical(entry.limits)) == entry.limits_sha256, "the digest is not the limits'"
    )
    _need(records.approvable(entry.limits_sha256) is None, "these limits are registered")
    _need(isinstance(entry.limits.get("version"), int), "limits have a version")
    _need(
        entry.limits.get("environment") == records.environment,
        "the limits are for another environment",
    )


def limits_registered(records: Records, index: int, entry: LimitsRegistered) -> None:
    """Keep them."""
    records.limits[entry.limits_sha256] = RegisteredPolicy(
        index, "", entry.limits, entry.limits_sha256
    )


def check_given(records: Records, entry: ApprovalGiven) -> None:
    """An approval is given once, over something registered, and not from before its withdrawal."""
    document = _document(records, entry.policy_sha256)
    approval = entry.approval
    _need(
        approval.get("policy_sha256") == entry.policy_sha256,
        "the approval is over another policy",
    )
    _need(approval not in document.approvals.values(), "this approval was given before")
    withdrawn = document.withdrawn.get(str(approval.get("seat")))
    if withdrawn is not None:
        signed = parse_instant(str(approval.get("approved_at")), "approved_at")
        _need(signed > withdrawn.instant, "the approval was signed before its seat's withdrawal")


def given(records: Records, index: int, entry: ApprovalGiven) -> None:
    """Keep it."""
    _document(records, entry.policy_sha256).approvals[index] = entry.approval


def check_withdrawn(records: Records, entry: ApprovalWithdrawn) -> None:
    """A seat takes back what it gave, by a nonce that it did not use before."""
    document = _document(records, entry.policy_sha256)
    said = entry.withdrawal
    seat = str(said.get("seat"))
    _need(said.get("policy_sha256") == entry.policy_sha256, "it withdraws from another policy")
    _need(
        said.get("roster_sha256") == records.roster_sha256,
        "it is by another roster than the one in force",
    )
    rows = [row for row in records.roster["seats"] if row["seat"] == seat]
    _need(bool(rows) and rows[0]["role"] == "approver", "no approver withdraws")
    _need((seat, said.get("nonce")) not in records.used_nonces, "the nonce was used before")
    parse_instant(str(said.get("withdrawn_at")), "withdrawn_at")
    seats = {approval.get("seat") for approval in standing(records, document).values()}
    _need(seat in seats, f"{seat} has no approval that counts here")


def withdrawn(records: Records, index: int, entry: ApprovalWithdrawn) -> None:
    """Keep it; a nonce stands once in a log."""
    said = entry.withdrawal
    seat = str(said["seat"])
    _document(records, entry.policy_sha256).withdrawn[seat] = WithdrawnAt(
        index, parse_instant(str(said["withdrawn_at"]), "withdrawn_at")
    )
    records.used_nonces.add((seat, str(said["nonce"])))


def check_resolved(records: Records, entry: Resolved) -> None:
    """A resolution rests on approvals that count, and replaces none that still permits issuing."""
    document = _document(records, entry.policy_sha256)
    resolution = entry.resolution
    _need(
        sha256_hex(canonical(resolution)) == entry.resolution_sha256,
        "the digest is not the resolution's",
    )
    _need(
        resolution.get("policy_sha256") == entry.policy_sha256,
        "the resolution is over another policy",
    )
    _need(
        resolution.get("roster_sha256") == records.roster_sha256,
        "the resolution is by another roster than the one in force",
    )
    approvals, fresh = resolution.get("approvals"), list(standing(records, document).values())
    _need(
        isinstance(approvals, list | tuple)
        and bool(approvals)
        and all(approval in fresh for approval in approvals),
        "the resolution has an approval that was not given, was given before a kill, or was taken"
        " back",
    )
    if entry.policy_sha256 not in records.limits:
        again = document.resolution is None or lapsed(records, document) != ""
        _need(again, "this policy has a resolution by this roster")
        return
    present = records.limits_in_force
    version = 0 if present is None else present.policy["version"]
    _need(
        document.policy["version"] > version,
        f"limits of version {version} are in force; only later ones replace them",
    )


def resolved(records: Records, index: int, entry: Resolved) -> None:
    """Keep it; limits are in force from here on, whatever is withdrawn later."""
    document = _document(records, entry.policy_sha256)
    document.resolution = entry.resolution
    document.resolution_sha256 = entry.resolution_sha256
    document.resolved_at_index = index
    if entry.policy_sha256 in records.limits:
        records.limits_in_force = document
    else:
        records.resolutions[entry.resolution_sha256] = entry.resolution


def roster_changed(records: Records, index: int, entry: RosterChanged) -> None:
    """The new roster is in force at once; what was signed under the one before counts no more."""
    records.successions[records.roster_sha256] = RosterSuccession(
        index, parse_instant(entry.at), records.roster, entry.roster, entry.approvals
    )
    records.roster, records.roster_sha256 = entry.roster, entry.roster_sha256
    records.rosters[entry.roster_sha256] = entry.roster


def _document(records: Records, sha256: str) -> RegisteredPolicy:
    found = records.approvable(sha256)
    if found is None:
        raise VerificationFailed("this policy is not registered")
    return found


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message)
