# SPDX-License-Identifier: Apache-2.0
"""Policies and limits come in, approvals are given over them and taken back, and a resolution is
recorded at the quorum.

What makes a document valid, an approval count and a quorum is decided in ``core.governance``; what
a kill, a withdrawal or another roster takes away in ``core.identity.approvals``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.encoding import parse_plain, sha256_hex
from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import (
    ApprovalGiven,
    ApprovalWithdrawn,
    LimitsRegistered,
    PolicyRegistered,
    Resolved,
    decode_authority_entry,
)
from sekisho.core.governance.document import Registration
from sekisho.core.governance.operator_limits import RegisteredAs, limits_from_canonical
from sekisho.core.governance.policy import policy_from_canonical
from sekisho.core.governance.resolution import (
    Approval,
    Resolution,
    objections,
    resolution_sha256,
    resolve,
)
from sekisho.core.governance.roster import Roster
from sekisho.core.governance.shape import AppliedDefault
from sekisho.core.governance.withdrawal import Withdrawal, check_withdrawal
from sekisho.core.identity.approvals import lapsed, standing
from sekisho.core.identity.records import RegisteredPolicy
from sekisho.core.terms import format_instant, parse_instant
from sekisho.services.approved import ApprovedPolicies
from sekisho.services.registerlog import RegisterLog


class WithdrawalTaken(msgspec.Struct, frozen=True, kw_only=True):
    """``missing``: why nothing can be issued now, a line for each cause; empty where it can."""

    policy_sha256: str
    seat: str
    missing: str


class PolicyDesk:
    """Policies of one authority, and limits above its agents."""

    def __init__(self, log: RegisterLog, roster: Callable[[], Roster]) -> None:
        self._log = log
        self._roster = roster
        self.approved = ApprovedPolicies()

    async def register_policy(self, registration: Registration) -> str:
        """Record a policy with the defaults that were shown; returns its digest.

        Registering the same policy again changes nothing.

        Raises:
            MalformedInput: the canonical bytes are not those of a valid policy.
            VerificationFailed: the digest is not theirs.
            NotAuthorised: the policy is for another environment than this authority.
        """
        policy = policy_from_canonical(registration.canonical)
        digest = sha256_hex(registration.canonical)
        if digest != registration.sha256:
            raise VerificationFailed("the digest is not that of the policy's canonical bytes")
        if policy.environment != self._log.state.environment:
            raise NotAuthorised(
                f"a policy for {policy.environment!r}; this authority issues for"
                f" {self._log.state.environment!r} only"
            )
        if digest not in self._log.state.policies:
            entry = PolicyRegistered(
                at=self._log.at(),
                agent=policy.agent,
                policy=parse_plain(registration.canonical),
                policy_sha256=digest,
                defaults=_defaults(registration.defaults),
            )
            self._log.record(entry)
        await self._log.all_durable()
        return digest

    async def register_limits(self, registration: RegisteredAs) -> str:
        """Record limits above agents; they are in force once approved. Returns their digest.

        Registering the same limits again changes nothing.

        Raises:
            MalformedInput: the canonical bytes are not those of valid limits.
            VerificationFailed: the digest is not theirs.
            NotAuthorised: they are for another environment than this authority.
        """
        limits = limits_from_canonical(registration.canonical)
        digest = sha256_hex(registration.canonical)
        if digest != registration.sha256:
            raise VerificationFailed("the digest is not that of the limits' canonical bytes")
        if limits.environment != self._log.state.environment:
            raise NotAuthorised(f"limits for {limits.environment!r}; this authority has others")
        if digest not in self._log.state.limits:
            self._log.record(
                LimitsRegistered(
                    at=self._log.at(),
                    limits=parse_plain(registration.canonical),
                    limits_sha256=digest,
                    defaults=_defaults(registration.defaults),
                )
            )
        await self._log.all_durable()
        return digest

    async def give_approval(self, approval: Approval) -> Resolution | None:
        """Record one approval, and the resolution when it completes the quorum.

        Returns:
            The resolution in force, or None while approvals are missing.

        Raises:
            NotAuthorised: nothing with this digest is registered, or the approval does not count;
                all causes.
        """
        registered = self._registered(approval.policy_sha256)
        # Entries carry the very instant by which the approval was judged: so will a verifier.
        now = self._log.now()
        causes = list(objections(self.approved.subject(registered), self._roster(), approval, now))
        withdrawn = registered.withdrawn.get(approval.seat)
        if withdrawn is not None and parse_instant(approval.approved_at) <= withdrawn.instant:
            causes.append(f"{approval.seat!r} took back what it signed until then; sign anew")
        causes += self._replaced(registered)
        if causes:
            raise NotAuthorised("\n".join(["the approval does not count:", *causes]))
        plain = msgspec.to_builtins(approval)
        if plain not in registered.approvals.values():
            # A crash after this and before the resolution: the next approval, or this one given
            # again, completes it.
            self._log.record(
                ApprovalGiven(
                    at=format_instant(now), policy_sha256=approval.policy_sha256, approval=plain
                )
            )
        self._resolve(registered, now)
        await self._log.all_durable()
        if self._open(registered):
            return None
        return msgspec.convert(registered.resolution, Resolution)

    async def withdraw(self, withdrawal: Withdrawal) -> WithdrawalTaken:
        """An approver takes back what it approved of a digest so far; the same again is nothing.

        No certificate is revoked by it, and limits in force stay so.

        Raises:
            MalformedInput, VerificationFailed: it is not well made, or does not hold.
            NotAuthorised: nothing to take back, or the nonce was used before.
        """
        registered, state = self._registered(withdrawal.policy_sha256), self._log.state
        plain = msgspec.to_builtins(withdrawal)
        if not self._is_recorded(registered, withdrawal, plain):
            now = self._log.now()
            check_withdrawal(withdrawal, self._roster(), now)
            if (withdrawal.seat, withdrawal.nonce) in state.used_nonces:
                raise NotAuthorised("this nonce was used before; sign a new withdrawal")
            counting = {one["seat"] for one in standing(state, registered).values()}
            if withdrawal.seat not in counting:
                raise NotAuthorised(f"{withdrawal.seat!r} has no approval here to take back")
            self._log.record(
                ApprovalWithdrawn(
                    at=format_instant(now), policy_sha256=registered.sha256, withdrawal=plain
                )
            )
        # A crash before this leaves the approval as it was; nobody was told otherwise.
        await self._log.all_durable()
        return WithdrawalTaken(
            policy_sha256=registered.sha256,
            seat=withdrawal.seat,
            missing=self.missing(registered.sha256),
        )

    def _is_recorded(
        self, registered: RegisteredPolicy, withdrawal: Withdrawal, plain: object
    ) -> bool:
        """Whether this is the seat's last withdrawal, as it stands in the log."""
        last = registered.withdrawn.get(withdrawal.seat)
        if last is None:
            return False
        entry = decode_authority_entry(self._log.journal.entry(last.index))
        return isinstance(entry, ApprovalWithdrawn) and entry.withdrawal == plain

    def _registered(self, sha256: str) -> RegisteredPolicy:
        found = self._log.state.approvable(sha256)
        if found is None:
            raise NotAuthorised(f"no policy {sha256[:64]} is registered here")
        return found

    def _open(self, registered: RegisteredPolicy) -> bool:
        """Whether it has no resolution that permits issuing; limits keep the one they got."""
        if registered.resolution is None:
            return True
        return bool(registered.agent) and lapsed(self._log.state, registered) != ""

    def _replaced(self, registered: RegisteredPolicy) -> list[str]:
        """Why limits that have no resolution get none any more; empty where they may."""
        present = self._log.state.limits_in_force
        if registered.agent or registered.resolution is not None or present is None:
            return []
        version = present.policy["version"]
        late = registered.policy["version"] <= version
        return [f"limits of version {version} are in force; make later ones"] if late else []

    def missing(self, policy_sha256: str) -> str:
        """Why the policy has no resolution in force, a line for each cause; empty when it has one.

        Raises:
            NotAuthorised: the policy is not registered.
        """
        registered = self._registered(policy_sha256)
        if not self._open(registered):
            return ""
        replaced = self._replaced(registered)
        if replaced:
            return replaced[0]
        try:
            self._resolution(registered, self._log.now())
        except NotAuthorised as error:
            return str(error)
        return "the approvals are there; give one of them again to have the resolution recorded"

    def _resolve(self, registered: RegisteredPolicy, now: int) -> None:
        """Record a resolution when the approvals that count now make one."""
        if not self._open(registered):
            return
        try:
            resolution = self._resolution(registered, now)
        except NotAuthorised:
            return  # not yet: whoever is missing may still approve; see missing()
        self._log.record(
            Resolved(
                at=format_instant(now),
                policy_sha256=registered.sha256,
                resolution=msgspec.to_builtins(resolution),
                resolution_sha256=resolution_sha256(resolution),
            )
        )
        self.approved.made(
            registered.resolution_sha256, registered.sha256, self._log.state.roster_sha256
        )

    def _resolution(self, registered: RegisteredPolicy, now: int) -> Resolution:
        """What the approvals make now, the last of each seat. Raises NotAuthorised."""
        subject = self.approved.subject(registered)
        by_seat: dict[str, Approval] = {}
        for plain in standing(self._log.state, registered).values():
            approval = msgspec.convert(plain, Approval)
            if not objections(subject, self._roster(), approval, now):
                by_seat[approval.seat] = approval
        return resolve(subject, self._roster(), tuple(by_seat.values()), now)


def _defaults(applied: tuple[AppliedDefault, ...]) -> tuple[dict[str, str], ...]:
    return tuple({"path": one.path, "value": one.value, "why": one.why} for one in applied)
