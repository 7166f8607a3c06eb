# SPDX-License-Identifier: Apache-2.0
"""The fold of withdrawals, limits and rosters: what no lawful authority writes, and its claims."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from sekisho.core.errors import VerificationFailed
from sekisho.core.events import (
    ApprovalGiven,
    ApprovalWithdrawn,
    AuthorityEntry,
    LimitsRegistered,
    PolicyRegistered,
    Resolved,
    RosterChanged,
)
from sekisho.core.identity.claims import claims_of
from tests.unit.core.identity.entries import (
    POLICY,
    POLICY_SHA,
    ROSTER,
    ROSTER_SHA,
    approval,
    at,
    digest,
    fold,
    founded,
    issued,
    registered,
)

PEOPLE = {
    "seats": [
        {"seat": "ceo", "role": "approver"},
        {"seat": "cfo", "role": "approver"},
        {"seat": "cto", "role": "approver"},
        {"seat": "risk", "role": "risk"},
    ]
}
PEOPLE_SHA = digest(PEOPLE)
NONE = {"order_notional_max": "none", "daily_notional_max": "none", "position_notional_max": "none"}


def start(**other: Any) -> AuthorityEntry:
    """The foundation with approvers."""
    return founded(roster=PEOPLE, roster_sha256=PEOPLE_SHA, **other)


def signed(seat: str, second: int = 1) -> dict[str, Any]:
    """An approval of a seat, signed at a second."""
    return approval(seat) | {"approved_at": at(second)}


def gave(seat: str, second: int = 1, sha256: str = POLICY_SHA) -> ApprovalGiven:
    """Its entry."""
    one = signed(seat, second) | {"policy_sha256": sha256}
    return ApprovalGiven(at=at(1), policy_sha256=sha256, approval=one)


def resolution(*approvals: dict[str, Any], required: Any = 2, sha256: str = POLICY_SHA) -> Resolved:
    """A resolution by these."""
    plain = {
        "policy_sha256": sha256,
        "roster_sha256": PEOPLE_SHA,
        "required": required,
        "approvals": list(approvals),
    }
    return Resolved(
        at=at(1), policy_sha256=sha256, resolution=plain, resolution_sha256=digest(plain)
    )


def took_back(seat: str = "cfo", nonce: int = 1, **other: Any) -> ApprovalWithdrawn:
    """A withdrawal of a seat."""
    said = {
        "policy_sha256": POLICY_SHA,
        "roster_sha256": PEOPLE_SHA,
        "seat": seat,
        "withdrawn_at": at(1),
        "nonce": f"{nonce:032x}",
    } | other
    return ApprovalWithdrawn(at=at(1), policy_sha256=POLICY_SHA, withdrawal=said)


def limits(version: Any = 1, **other: Any) -> dict[str, Any]:
    """Limits above agents."""
    return {
        "version": version,
        "environment": "test",
        "currency": "EUR",
        "operator": NONE,
        "desks": "none",
    } | other


def limited(version: Any = 1, **other: Any) -> LimitsRegistered:
    """Their entry."""
    plain = limits(version, **other)
    return LimitsRegistered(at=at(1), limits=plain, limits_sha256=digest(plain), defaults=())


def in_force(version: int = 1) -> list[AuthorityEntry]:
    """Limits registered, approved and resolved."""
    sha256 = digest(limits(version))
    both = [signed(seat) | {"policy_sha256": sha256} for seat in ("ceo", "cfo")]
    return [
        limited(version),
        *(ApprovalGiven(at=at(1), policy_sha256=sha256, approval=one) for one in both),
        resolution(*both, sha256=sha256),
    ]


BEGUN: list[AuthorityEntry] = [start(), registered()]
GIVEN: list[AuthorityEntry] = [*BEGUN, gave("ceo"), gave("cfo")]
DONE: list[AuthorityEntry] = [*GIVEN, resolution(signed("ceo"), signed("cfo"))]
BACK: list[AuthorityEntry] = [*DONE, took_back()]
THREE: list[AuthorityEntry] = [
    *GIVEN,
    gave("cto"),
    resolution(signed("ceo"), signed("cfo"), signed("cto")),
    took_back(),
]
DONE_SHA = resolution(signed("ceo"), signed("cfo")).resolution_sha256
RULED: Any = POLICY["governance"]
NAMED: dict[str, Any] = {**POLICY, "governance": {**RULED, "approved_by": ["cfo"]}}


def certified(sha256: str = DONE_SHA, **other: Any) -> AuthorityEntry:
    """A certificate that rests on that resolution."""
    return issued(resolution_sha256=sha256, **other)


UNLAWFUL: dict[str, tuple[list[AuthorityEntry], AuthorityEntry, str]] = {
    "issued on too few": (BACK, certified(), "cfo took the approval back; 1 approvals are left"),
    "issued overdue": (
        DONE,
        certified(
            at="2030-01-01T00:00:00.000000000Z", not_after="2031-01-01T00:00:00.000000000Z"
        ),
        "the review was due at 2030-01-01T00:00:00.000000000Z: refuse; the fitness test was due",
    ),
    "withdrawn from no policy": ([start()], took_back(), "this policy is not registered"),
    "withdrawn from another": (
        DONE, took_back(policy_sha256="0" * 64), "it withdraws from another policy",
    ),
    "withdrawn by another roster": (
        DONE, took_back(roster_sha256=ROSTER_SHA), "it is by another roster",
    ),
    "withdrawn by no approver": (DONE, took_back("risk"), "no approver withdraws"),
    "withdrawn by nobody": (DONE, took_back("x"), "no approver withdraws"),
    "withdrawn what was not given": (DONE, took_back("cto"), "cto has no approval that counts"),
    "withdrawn twice": (BACK, took_back(nonce=2), "cfo has no approval that counts here"),
    "withdrawn at no time": (DONE, took_back(withdrawn_at="x"), "withdrawn_at"),
    "nonce again": (
        [*BACK, gave("cfo", 2)], took_back(), "the nonce was used before",
    ),
    "given again after": (BACK, gave("cfo", 1), "this approval was given before"),
    "given from before": (BACK, gave("cfo", 0), "signed before its seat's withdrawal"),
    "resolved on what was taken back": (
        [*BACK, gave("ceo", 2)], resolution(signed("ceo", 2), signed("cfo")), "or was taken back",
    ),
    "resolved though it stands": (
        THREE, resolution(signed("ceo"), signed("cto")), "this policy has a resolution",
    ),
    "resolved without a number": (
        [*GIVEN, resolution(signed("ceo"), signed("cfo"), required="2")],
        certified(resolution(signed("ceo"), signed("cfo"), required="2").resolution_sha256),
        "does not say how many approvals",
    ),
    "limits digest": (
        BEGUN, msgspec.structs.replace(limited(), limits_sha256="0" * 64), "not the limits'",
    ),
    "limits twice": ([*BEGUN, limited()], limited(), "these limits are registered"),
    "limits of another environment": (
        BEGUN, limited(environment="production"), "for another environment",
    ),
    "limits without version": (BEGUN, limited(version="1"), "limits have a version"),
    "older limits": (
        [*BEGUN, *in_force(2), *in_force(1)[:-1]], in_force(1)[-1], "limits of version 2 are in",
    ),
    "same limits again": ([*BEGUN, *in_force(2)], in_force(2)[-1], "limits of version 2 are in"),
    "a policy that is limits": (
        [*BEGUN, limited()],
        PolicyRegistered(
            at=at(1), agent="bot", policy=limits() | {"agent": "bot"},
            policy_sha256=digest(limits()), defaults=(),
        ),
        "the digest is not the policy's",
    ),
    "issued under limits that lack what is compared": (
        [*DONE, *in_force(1)], certified(), "policy or limits lack what is compared",
    ),
    "roster without approvals": (
        BEGUN,
        RosterChanged(at=at(1), roster=ROSTER, roster_sha256=ROSTER_SHA, approvals=()),
        "a roster changes by approvals only",
    ),
    "roster of before": (
        [
            *BEGUN,
            RosterChanged(at=at(1), roster=ROSTER, roster_sha256=ROSTER_SHA, approvals=({},)),
        ],
        RosterChanged(at=at(1), roster=PEOPLE, roster_sha256=PEOPLE_SHA, approvals=({},)),
        "this roster was in force before",
    ),
    "issued under the roster before": (
        [
            *DONE,
            RosterChanged(at=at(1), roster=ROSTER, roster_sha256=ROSTER_SHA, approvals=({},)),
        ],
        certified(),
        "was approved under another roster",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNLAWFUL)
def test_register_unlawful_act_of_approvers_is_found_and_changes_nothing(name: str) -> None:
    """A log that no lawful authority wrote does not fold, and the index is named."""
    before, entry, says = UNLAWFUL[name]
    state, twin = fold(before), fold(before)
    with pytest.raises(VerificationFailed, match=re.escape(says)) as found:
        state.apply(len(before), entry)
    assert f"entry {len(before)}:" in str(found.value)
    assert msgspec.to_builtins(vars(twin)) == msgspec.to_builtins(vars(state))


def test_register_resolution_with_enough_left_still_permits() -> None:
    """Three approved where two are required: one may take it back."""
    sha256 = resolution(signed("ceo"), signed("cfo"), signed("cto")).resolution_sha256
    assert fold([*THREE, certified(sha256)]).agents["bot"]
    with pytest.raises(VerificationFailed, match="ceo, cfo took the approval back"):
        fold([*THREE, took_back("ceo", 2), certified(sha256)])


def test_register_named_approver_who_took_it_back_is_missing() -> None:
    """Who is named in approved_by must be among those who are left."""
    sha256 = digest(NAMED)
    three = [signed(seat) | {"policy_sha256": sha256} for seat in ("ceo", "cfo", "cto")]
    made = resolution(*three, sha256=sha256)
    entries: list[AuthorityEntry] = [
        start(),
        registered(policy=NAMED, policy_sha256=sha256),
        *(ApprovalGiven(at=at(1), policy_sha256=sha256, approval=one) for one in three),
        made,
    ]
    sheet = certified(made.resolution_sha256, policy_sha256=sha256)
    assert fold([*entries, sheet]).agents["bot"]
    gone = msgspec.structs.replace(took_back(policy_sha256=sha256), policy_sha256=sha256)
    with pytest.raises(VerificationFailed, match="cfo must approve, and took it back"):
        fold([*entries, gone, sheet])


def test_register_fresh_approval_makes_a_new_resolution() -> None:
    """What is signed after the withdrawal counts again, in a resolution of its own."""
    again = resolution(signed("ceo"), signed("cfo", 2))
    state = fold([*BACK, gave("cfo", 2), again, certified(again.resolution_sha256)])
    assert again.resolution_sha256 == state.agents["bot"][0].resolution_sha256
    assert {DONE_SHA, again.resolution_sha256} == set(state.resolutions)


def test_register_withdrawal_claims_its_nonce() -> None:
    """A database refuses the nonce of a withdrawal a second time, as that of a command."""
    claims = claims_of(fold(DONE), took_back())
    assert [("nonce", f"cfo {1:032x}", True)] == [(one.kind, one.name, one.taken) for one in claims]
    state = fold(BACK)
    assert ("cfo", f"{1:032x}") in state.used_nonces
