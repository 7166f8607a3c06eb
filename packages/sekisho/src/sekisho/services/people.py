# SPDX-License-Identifier: Apache-2.0
"""What a person signs: an approval of a policy, a command about an agent.

The bytes are made by the core; the key is the person's own. Nothing is recorded here.
"""

from __future__ import annotations

from typing import Protocol, cast

from msgspec import UNSET, UnsetType

from sekisho.core.encoding import b64
from sekisho.core.governance.commands import (
    WIDENING,
    Command,
    CommandHistory,
    CommandKind,
    CommandLatch,
    CommandMode,
    Disposition,
    Reach,
    SignedCommand,
    command_message,
)
from sekisho.core.governance.resolution import Approval, approval_message
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.governance.withdrawal import Withdrawal, withdrawal_message
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.ports import Signer

APPROVAL_LIFETIME_S = 7 * DAY_S


class CommandedEpochs(Protocol):
    """The epoch that a command which widens must carry."""

    def agent_epoch(self, agent: str) -> int: ...


class CommandedAuthority(Protocol):
    """What a person needs of an authority to sign a command: here, or in another process."""

    @property
    def roster(self) -> Roster: ...

    @property
    def state(self) -> CommandedEpochs: ...


def sign_approval(
    signer: Signer, policy_sha256: str, roster: Roster, seat: str, now_ns: int
) -> Approval:
    """One person's signature over a policy digest; good for a week."""
    terms = {
        "policy_sha256": policy_sha256,
        "roster_sha256": roster_sha256(roster),
        "seat": seat,
        "approved_at": format_instant(now_ns),
        "expires_at": format_instant(now_ns + APPROVAL_LIFETIME_S * NS),
    }
    message = approval_message(**terms)
    return Approval(**terms, signature=b64(signer.sign_blocking(message)))


def sign_withdrawal(
    signer: Signer, policy_sha256: str, roster: Roster, seat: str, nonce: str, now_ns: int
) -> Withdrawal:
    """One person's signature that its approvals of a digest, so far, count no more."""
    terms = {
        "policy_sha256": policy_sha256,
        "roster_sha256": roster_sha256(roster),
        "seat": seat,
        "withdrawn_at": format_instant(now_ns),
        "nonce": nonce,
    }
    message = withdrawal_message(**terms)
    return Withdrawal(**terms, signature=b64(signer.sign_blocking(message)))


def sign_command(
    signer: Signer,
    act: str,
    agent: str | Reach,
    authority: CommandedAuthority,
    seat: str,
    reason_code: str,
    nonce: str,
    now_ns: int,
    *,
    latch: str | UnsetType = UNSET,
    incident: str | UnsetType = UNSET,
    disposition: str | UnsetType = UNSET,
    revoke_at: str | UnsetType = UNSET,
    baseline_sha256: str | UnsetType = UNSET,
    mode: str | UnsetType = UNSET,
    gate: str | UnsetType = UNSET,
    history: str | UnsetType = UNSET,
    positions: object = UNSET,
    ids_from: str | UnsetType = UNSET,
) -> SignedCommand:
    """One person's signed command about one agent, for the roster and epoch of ``authority``.

    ``agent`` may be a :class:`Reach` where the act is for more than one.

    Raises:
        MalformedInput: the command is not well made; nothing was signed.
    """
    command = Command(
        command=cast("CommandKind", act),
        reason_code=reason_code,
        seat=seat,
        roster_sha256=roster_sha256(authority.roster),
        nonce=nonce,
        commanded_at=format_instant(now_ns),
        agent=agent if isinstance(agent, str) else UNSET,
        scope=UNSET if isinstance(agent, str) else agent,
        epoch=_epoch(act, agent, authority),
        latch=cast("CommandLatch | UnsetType", latch),
        incident=incident,
        disposition=cast("Disposition | UnsetType", disposition),
        revoke_at=revoke_at,
        baseline_sha256=baseline_sha256,
        gate=gate,
        mode=cast("CommandMode | UnsetType", mode),
        history=cast("CommandHistory | UnsetType", history),
        positions=cast("dict[str, str] | UnsetType", positions),
        ids_from=ids_from,
    )
    return SignedCommand(
        command=command, signature=b64(signer.sign_blocking(command_message(command)))
    )


def _epoch(act: str, agent: str | Reach, authority: CommandedAuthority) -> int | UnsetType:
    if act not in WIDENING:
        return UNSET
    return authority.state.agent_epoch(agent) if isinstance(agent, str) else 0


def sign_venue_rearm(
    signer: Signer,
    venue: str,
    incident: str,
    authority: CommandedAuthority,
    seat: str,
    reason_code: str,
    nonce: str,
    now_ns: int,
) -> SignedCommand:
    """One person's signed command to take the latch of a venue off that a break had set.

    Raises:
        MalformedInput: the command is not well made; nothing was signed.
    """
    command = Command(
        command="rearm",
        reason_code=reason_code,
        seat=seat,
        roster_sha256=roster_sha256(authority.roster),
        nonce=nonce,
        commanded_at=format_instant(now_ns),
        scope=Reach(kind="venue", name=venue),
        epoch=0,
        latch="venue",
        incident=incident,
    )
    signature = signer.sign_blocking(command_message(command))
    return SignedCommand(command=command, signature=b64(signature))
