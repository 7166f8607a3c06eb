# SPDX-License-Identifier: Apache-2.0
"""Segregation of duties: which roles may do what, as one table (docs/spec/policy.md, section 8).

Nobody acts alone where two are needed, and nobody who develops or trades an agent takes part in
judging it. Signatures are not looked at here: the signers are seats that someone has verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sekisho.core.errors import NotAuthorised
from sekisho.core.governance.roster import Seat


class Duty(NamedTuple):
    """``roles``: every signer has one of them. ``each``: at least one signer of each of these.
    ``roles_min``: signers of so many different roles.
    """

    roles: tuple[str, ...]
    each: tuple[str, ...] = ()
    roles_min: int = 1


_STOP = Duty(("compliance", "risk", "operator", "approver"))
_LIFT = Duty(("compliance", "risk"), each=("compliance", "risk"))

DUTIES: dict[str, Duty] = {
    "kill": _STOP,
    "hold": _STOP,
    "shutdown": _STOP,
    "acknowledge": Duty(("compliance", "risk")),
    "go_live": Duty(("compliance", "risk")),
    "revoke": Duty(("compliance", "risk", "issuer")),
    "release": _LIFT,
    "rearm": _LIFT,
    "approve": Duty(("approver",)),
    "issue": Duty(("issuer",)),
    "operate": Duty(("operator",)),
    "assign": Duty(("operator",)),
    "assign_lost": Duty(("operator", "compliance", "risk"), each=("operator",), roles_min=2),
}


def authorise(act: str, signers: Sequence[Seat]) -> None:
    """Whether these seats together may do this.

    Args:
        act: a row of ``DUTIES``.
        signers: seats of the roster whose signatures over the same act were verified.

    Raises:
        NotAuthorised: with all causes, a line each.
    """
    duty = DUTIES.get(act)
    if duty is None:
        raise NotAuthorised(f"{act[:48]!r}: nobody may do this")
    causes = [] if signers else ["nobody signed"]
    if len({signer.seat for signer in signers}) < len(signers):
        causes.append("a seat stands twice")
    if len({signer.public_key for signer in signers}) < len(signers):
        causes.append("a key stands twice")
    causes += [
        f"{signer.seat!r} is {signer.role}; only {', '.join(duty.roles)} may"
        for signer in signers
        if signer.role not in duty.roles
    ]
    present = {signer.role for signer in signers}
    causes += [f"nobody with the role {role} signed" for role in duty.each if role not in present]
    if len(present) < duty.roles_min:
        causes.append(f"{duty.roles_min} people of different roles have to sign")
    if causes:
        raise NotAuthorised("\n".join([f"{act}: not authorised", *causes]))


def check_separation(
    *, proposer: str, approvers: Iterable[str], issuer: str, operator: str
) -> None:
    """Proposer, approvers, issuer and operator of one policy are different seats.

    Raises:
        NotAuthorised: naming each seat that stands twice, with what it is.
    """
    parts: dict[str, list[str]] = {}
    named = [("proposer", proposer), ("issuer", issuer), ("operator", operator)]
    for part, seat in [*named, *(("approver", seat) for seat in approvers)]:
        parts.setdefault(seat, []).append(part)
    causes = [
        f"{seat!r} is {' and '.join(parts[seat])}" for seat in sorted(parts) if len(parts[seat]) > 1
    ]
    if causes:
        raise NotAuthorised("\n".join(["duties are not separate:", *causes]))
