# SPDX-License-Identifier: Apache-2.0
"""What is approved, by whom, and what no longer counts (policy.md 5, 6, 9; authority.md 1, 3).

Policies and limits above agents, approvals over them and their withdrawal, resolutions, the
succession of rosters, and what they all permit to be issued. Kept apart from certificates.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from sekisho_verify import canonical, people
from sekisho_verify.canonical import SECOND
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.forms import DIGEST, OBJECT, TEXT, Form
from sekisho_verify.forms import each as _each
from sekisho_verify.forms import record as _record
from sekisho_verify.people import Roster, Seat
from sekisho_verify.policy import Policy
from sekisho_verify.scope import field, integer, money_or_none, name

FORMS: dict[str, dict[str, Form]] = {
    "limits_registered": {
        "limits": OBJECT,
        "limits_sha256": DIGEST,
        "defaults": _each(_record(path=TEXT, value=TEXT, why=TEXT)),
    },
    "roster_changed": {
        "roster": OBJECT,
        "roster_sha256": DIGEST,
        "approvals": canonical.array_of,
    },
    "approval_given": {"policy_sha256": DIGEST, "approval": OBJECT},
    "resolved": {"policy_sha256": DIGEST, "resolution": OBJECT, "resolution_sha256": DIGEST},
    "approval_withdrawn": {"policy_sha256": DIGEST, "withdrawal": OBJECT},
}
_LIMITS = frozenset(
    "schema version environment currency documented_by approvals_required operator desks".split()
)
_SUMS = ("daily_notional_max", "position_notional_max")
_MONEY = ("order_notional_max", *_SUMS)
_WITHDRAWAL = frozenset("policy_sha256 roster_sha256 seat withdrawn_at nonce signature".split())
_NONCE = re.compile(r"[0-9a-f]{32}")
_CURRENCY = re.compile(r"[A-Z]{3,5}")
_EARLY = 5 * SECOND
_OPERATOR = ""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits above agents; `rows` by desk, the operator's under ""; None is the word `none`."""

    sha256: str
    documented_by: str
    approvals_required: int
    approved_by: tuple[str, ...]
    version: int
    environment: str
    currency: str
    rows: Mapping[str, Mapping[str, int | None]]


@dataclasses.dataclass(frozen=True)
class Successor:
    """A new roster as what is approved."""

    sha256: str
    documented_by: str
    approvals_required: int
    approved_by: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A resolution: over which policy, by whom and which roster, and where."""

    policy_sha256: str
    roster_sha256: str
    seats: tuple[Seat, ...]
    oldest: int  # index of its oldest approval's entry
    index: int  # of its own


def read_limits(value: object) -> Limits:
    """Limits that are valid in form.

    Raises:
        VerificationFailed: names the first field that is not as the specification says.
    """
    given = canonical.fields(value, _LIMITS, "limits")
    require(given["schema"] == "sekisho/limits/v1", "limits have another schema")
    environment = given["environment"]
    require(environment in ("test", "rehearsal", "production"), "limits.environment is unknown")
    required = field(given, "limits", "approvals_required", lambda v: integer(v, 1, 16))
    author = field(given, "limits", "documented_by", name)
    if environment == "production":
        require(required >= 2, "limits.approvals_required is below 2 in production")
        require(author != "not_stated", "limits.documented_by is not stated")
    currency = canonical.text_of(given["currency"])
    require(_CURRENCY.fullmatch(currency) is not None, "limits.currency is none")
    rows = {_OPERATOR: _row(given["operator"], set(_MONEY))}
    if given["desks"] != "none":
        desks = canonical.array_of(given["desks"])
        require(1 <= len(desks) <= 64, "limits have no desk, or more than 64")
        for one in desks:
            row = canonical.object_of(one)
            desk = name(row.get("desk"))
            require(desk != "none" and desk > max(rows), "limits.desks are not sorted, or twice")
            rows[desk] = _row(row, {"desk", *_MONEY})
    return Limits(
        sha256=canonical.digest_of(given),
        documented_by=author,
        approvals_required=required,
        approved_by=(),
        version=field(given, "limits", "version", lambda v: integer(v, 1, 10**9)),
        environment=str(environment),
        currency=currency,
        rows=rows,
    )


def _row(value: object, names: set[str]) -> dict[str, int | None]:
    given = canonical.fields(value, names, "limits of one")
    return {one: money_or_none(given[one]) for one in _MONEY}


class Governance:
    """Documents, approvals and rosters, entry by entry.

    Attributes:
        rosters: every roster that was ever in force, by digest.
        policies: registered ones by digest.
        resolved: resolutions over policies, by digest.
    """

    def __init__(self) -> None:
        self.rosters: dict[str, Roster] = {}
        self.policies: dict[str, Policy] = {}
        self.resolved: dict[str, Resolved] = {}
        self._limits: dict[str, Limits] = {}
        self._in_force: Limits | None = None
        self._present: Roster | None = None
        self._given: dict[bytes, int] = {}  # canonical bytes → index of the entry
        self._withdrawn: dict[tuple[str, str], tuple[int, int]] = {}  # index, and when signed
        self._newest: dict[tuple[str, str], int] = {}  # of a seat's approvals over a document
        self._latest: dict[str, str] = {}  # policy → its newest resolution

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        if self._present is None:
            raise VerificationFailed("no roster is in force")
        return self._present

    def begin(self, roster: object, digest: object) -> Roster:
        """A roster comes into force, as the first or after :meth:`succeed` found it lawful."""
        found = people.roster(roster)
        require(digest == found.sha256, "`roster_sha256` is not that of the roster")
        require(found.sha256 not in self.rosters, "is a roster that was in force before")
        self.rosters[found.sha256] = self._present = found
        return found

    def succeed(self, roster: object, approvals: object, now: int) -> None:
        """Whether more than half of the present approvers, two at least, put this in its place."""
        present, following = self.roster, people.roster(roster)
        require(following.version == present.version + 1, "is not the next version of the roster")
        approvers = [seat for seat in following.seats.values() if seat.role == "approver"]
        require(len(approvers) >= 2, "makes a roster that nobody could replace")
        those = [seat for seat in present.seats.values() if seat.role == "approver"]
        needed = max(2, len(those) // 2 + 1)
        what = Successor(following.sha256, "", needed, ())
        seats = {
            people.approval(one, what, present, now).name for one in canonical.array_of(approvals)
        }
        require(len(seats) == len(canonical.array_of(approvals)), "has a seat twice")
        require(len(seats) >= needed, f"has {len(seats)} of {needed} approvals")

    def register_limits(self, value: object, environment: str) -> Limits:
        """Limits, not in force yet."""
        limits = read_limits(value)
        require(limits.environment == environment, "is for another environment")
        require(limits.sha256 not in self._limits, "repeats limits")
        self._limits[limits.sha256] = limits
        return limits

    def _document(self, digest: object) -> Policy | Limits:
        found = self.policies.get(str(digest)) or self._limits.get(str(digest))
        if found is None:
            raise VerificationFailed("names a policy that is not registered before")
        return found

    def approve(self, index: int, digest: object, value: object, now: int) -> None:
        """An approval that counts now, and was not signed before its seat's withdrawal."""
        seat = people.approval(value, self._document(digest), self.roster, now)
        withdrawn = self._withdrawn.get((str(digest), seat.name))
        if withdrawn is not None:
            signed = canonical.instant(canonical.object_of(value)["approved_at"])
            require(signed > withdrawn[1], "was signed before the withdrawal of its seat")
        self._given[canonical.encode(value)] = index
        self._newest[str(digest), seat.name] = index

    def withdraw(self, index: int, digest: object, value: object, now: int) -> tuple[str, str]:
        """An approver takes back what it gave; returns seat and nonce."""
        given = canonical.fields(value, _WITHDRAWAL, "withdrawal")
        document = self._document(digest)
        require(given["policy_sha256"] == document.sha256, "withdraws from another policy")
        require(given["roster_sha256"] == self.roster.sha256, "is by another roster")
        at = canonical.instant(given["withdrawn_at"])
        require(at <= now + _EARLY, "is withdrawn in the future")
        nonce = canonical.text_of(given["nonce"])
        require(_NONCE.fullmatch(nonce) is not None, "has a malformed nonce")
        seat = self.roster.seat(given["seat"])
        require(seat.role == "approver", f"seat {seat.name} is no approver")
        signed = {key: item for key, item in given.items() if key != "signature"}
        message = b"sekisho/withdrawal/v1\n" + canonical.encode(signed)
        seat.verify(canonical.bytes_of(given["signature"]), message)
        subject = document.sha256, seat.name
        back = self._withdrawn.get(subject, (-1, 0))[0]
        require(self._newest.get(subject, -1) > back, "takes back what was not given")
        self._withdrawn[subject] = index, at
        return seat.name, nonce

    def resolve(self, index: int, entry: Mapping[str, object], now: int) -> None:
        """A resolution that rests on approvals given, and not taken back, before."""
        resolution = canonical.object_of(entry["resolution"])
        document = self._document(entry["policy_sha256"])
        seats = people.resolution(resolution, document, self.roster)
        digest = canonical.digest_of(resolution)
        require(entry["resolution_sha256"] == digest, "`resolution_sha256` is not that of it")
        require(canonical.instant(resolution["resolved_at"]) <= now, "is resolved in the future")
        given = [
            self._given.get(canonical.encode(one))
            for one in canonical.array_of(resolution["approvals"])
        ]
        for at, seat in zip(given, seats, strict=True):
            if at is None:
                raise VerificationFailed("rests on an approval that was not given before")
            back = self._withdrawn.get((document.sha256, seat.name), (-1, 0))[0]
            require(at > back, "rests on an approval that was taken back")
        if isinstance(document, Limits):
            version = 0 if self._in_force is None else self._in_force.version
            require(document.version > version, "puts older limits in force")
            self._in_force = document
            return
        oldest = min(at for at in given if at is not None)
        self.resolved[digest] = Resolved(
            document.sha256, self.roster.sha256, tuple(seats), oldest, index
        )
        self._latest[document.sha256] = digest

    def permitting(self, policy: Policy, digest: object, killed: int) -> Resolved:
        """The resolution that a certificate rests on, if it still permits one.

        Args:
            policy: that is certified.
            digest: of the resolution.
            killed: index of the last kill of the agent, -1 for none.
        """
        found = self.resolved.get(str(digest))
        if found is None or found.policy_sha256 != policy.sha256:
            raise VerificationFailed("rests on no resolution over this policy")
        require(self._latest[policy.sha256] == digest, "rests on a resolution that was replaced")
        require(found.roster_sha256 == self.roster.sha256, "rests on approvals by another roster")
        require(found.oldest > killed, "rests on approvals from before the agent was killed")
        none = (-1, 0)
        left = [
            seat.name
            for seat in found.seats
            if self._withdrawn.get((policy.sha256, seat.name), none)[0] < found.index
        ]
        enough = len(left) >= policy.approvals_required and set(policy.approved_by) <= set(left)
        require(enough, "rests on approvals that were taken back")
        return found

    def check_above(self, policy: Policy, others: Iterable[Policy]) -> None:
        """The limits above the agent are kept by it and the others that have a certificate."""
        limits = self._in_force
        if limits is None:
            return
        require(policy.desk in ("none", *limits.rows), "is of a desk that the limits do not know")
        names = {_OPERATOR, *(() if policy.desk == "none" else (policy.desk,))}
        if all(limits.rows[one][limit] is None for one in names for limit in _MONEY):
            return
        require(policy.scope.currency == limits.currency, "is in another currency than its limits")
        others = list(others)
        for one in names:
            row = limits.rows[one]
            most, own = row["order_notional_max"], policy.scope.order_notional_max
            kept = most is None or (own is not None and own <= most)
            require(kept, "is above its limits: order_notional_max")
            those = [other for other in others if one in (_OPERATOR, other.desk)]
            for limit in _SUMS:
                total = _total([*those, policy], limit, limits.currency)
                bound = row[limit]
                kept = bound is None or (total is not None and total <= bound)
                require(kept, f"is above its limits: {limit}")


def check_due(policy: Policy, now: int) -> None:
    """Nothing is overdue that stops issuing."""
    late = now >= policy.review_due and policy.review_overdue != "warn"
    require(not late, "certifies under a policy whose review is overdue")
    late = now >= policy.fitness_due and policy.fitness_overdue != "warn"
    require(not late, "certifies under a policy whose fitness test is overdue")


def _total(policies: Iterable[Policy], limit: str, currency: str) -> int | None:
    """The sum over agents, or None where one of them cannot be added.

    An agent that has two certificates counts once, with the larger of the two.
    """
    largest: dict[str, int] = {}
    for policy in policies:
        scope = policy.scope
        one = scope.daily_notional_max if limit == _SUMS[0] else scope.position_notional_max
        if one is None or scope.currency != currency:
            return None
        largest[policy.agent] = max(one, largest.get(policy.agent, 0))
    return sum(largest.values())
