# SPDX-License-Identifier: Apache-2.0
"""What must hold beside the resolution for a certificate to be issued (docs/spec/authority.md, 1).

Nothing of the policy is overdue that stops issuing, and the limits above the agent are kept by all
active certificates together with the new one. Judged from the records alone, so that whoever
writes the entry and whoever reads it find the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.errors import VerificationFailed
from sekisho.core.identity.records import Records, RegisteredPolicy
from sekisho.core.terms import DAY_S, NS, parse_instant

DUE: Final = (
    ("governance", "review_due", "review_overdue", "the review"),
    ("testing", "fitness_due", "overdue", "the fitness test"),
)
"""Section, the frozen instant, what follows when it is over, and what it is called."""
DUE_DAYS: Final = 30
"""So long before its end something is shown as due."""
SUMS: Final = ("daily_notional_max", "position_notional_max")
ORDER: Final = "order_notional_max"


class Deadline(NamedTuple):
    """Something that a policy wants done: what, by when, and what follows when it is over.

    ``state``: ``overdue``, ``due`` within :data:`DUE_DAYS`, or empty.
    """

    what: str
    due: str
    state: str
    follows: str


class Used(NamedTuple):
    """A sum over the active certificates of an operator or desk, in units of 1e-8.

    ``unlimited`` and ``other`` are agents that cannot be added: without this limit, or with one in
    another currency.
    """

    who: str
    name: str
    limit: int
    sum: int
    unlimited: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def exceeded(self) -> bool:
        """Whether the sum is above the limit, or is not known."""
        return self.sum > self.limit or bool(self.unlimited or self.other)


def deadlines(policy: dict[str, Any], now: int) -> tuple[Deadline, ...]:
    """What a policy wants done, as it stands at ``now`` (ns UTC).

    Raises:
        VerificationFailed: the policy does not say.
    """
    found = []
    for section, due, follows, what in DUE:
        part = policy.get(section, {})
        if due not in part or follows not in part:
            raise VerificationFailed(f"the policy does not say when {what} is due")
        ends = parse_instant(str(part[due]), due)
        near = "due" if now >= ends - DUE_DAYS * DAY_S * NS else ""
        state = "overdue" if now >= ends else near
        found.append(Deadline(what, str(part[due]), state, str(part[follows])))
    return tuple(found)


def obstacles(records: Records, policy: RegisteredPolicy, now: int) -> tuple[str, ...]:
    """Why no certificate is issued under this policy now, beside its resolution; all causes.

    Args:
        records: before the entry.
        policy: what would be certified.
        now: log time, ns.

    Raises:
        VerificationFailed, MalformedInput: policy or limits do not say what they must.
    """
    late = [
        f"{one.what} was due at {one.due}: {one.follows}"
        for one in deadlines(policy.policy, now)
        if one.state == "overdue" and one.follows != "warn"
    ]
    try:
        return (*late, *_above(records, policy, now))
    except (KeyError, TypeError, AttributeError) as error:  # no authority registers such a document
        raise VerificationFailed(f"policy or limits lack what is compared: {error}") from error


def _above(records: Records, policy: RegisteredPolicy, now: int) -> Iterator[str]:
    """Why the limits above the agent would not be kept."""
    if records.limits_in_force is None:
        return
    limits = records.limits_in_force.policy
    desk, scope = str(policy.policy.get("desk")), policy.policy["scope"]
    rows = [("the operator", limits["operator"])]
    if desk != "none":
        own = [row for row in _desks(limits) if row["desk"] == desk]
        if not own:
            yield f"the limits in force know no desk {desk!r}"
            return
        rows.append((f"desk {desk!r}", own[0]))
    bounded = any(row[name] != "none" for _, row in rows for name in (*SUMS, ORDER))
    if bounded and scope["currency"] != limits["currency"]:
        yield f"its currency is {scope['currency']}, the limits' is {limits['currency']}"
        return
    for who, row in rows:
        most = row[ORDER]
        if most != "none" and (scope[ORDER] == "none" or _more(scope[ORDER], most)):
            yield f"{ORDER}: {scope[ORDER]} is above {most} of {who}"
    for used in usage(records, now, besides=policy.agent):
        if used.who not in ("the operator", f"desk {desk!r}"):
            continue
        own = scope[used.name]
        limit, present = format_amount(used.limit), _shown(used)
        if own == "none":
            yield f"{used.name}: none, under {limit} of {used.who}"
        elif used.exceeded or used.sum + parse_amount(own) > used.limit:
            yield f"{used.name}: {present} and {own} are above {limit} of {used.who}"


def usage(records: Records, now: int, *, besides: str = "") -> tuple[Used, ...]:
    """Each sum that the limits in force bound, over the agents with a certificate at ``now``.

    An agent counts once, with the larger limit while it has two; ``besides`` one not at all: what
    it is to get takes the place of what it has.
    """
    if records.limits_in_force is None:
        return ()
    limits = records.limits_in_force.policy
    active = [_policies(records, agent, now) for agent in records.agents if agent != besides]
    rows = [("the operator", limits["operator"], active)]
    for row in _desks(limits):
        own = [[one for one in each if one.get("desk") == row["desk"]] for each in active]
        rows.append((f"desk {row['desk']!r}", row, own))
    return tuple(
        _used(who, name, row[name], policies, limits["currency"])
        for who, row, policies in rows
        for name in SUMS
        if row[name] != "none"
    )


def _policies(records: Records, agent: str, now: int) -> list[dict[str, Any]]:
    """Those of the agent's certificates that are neither revoked nor expired."""
    pair = records.renewals.get(agent)
    both = [records.active(agent, now)] if pair is None else [pair.before, pair.after]
    return [
        records.policies[one.policy_sha256].policy
        for one in both
        if one is not None and now < one.not_after
    ]


def _used(
    who: str, name: str, limit: str, agents: list[list[dict[str, Any]]], currency: str
) -> Used:
    total, unlimited, other = 0, [], []
    for policies in agents:
        scopes = [policy["scope"] for policy in policies]
        if any(scope[name] == "none" for scope in scopes):
            unlimited.append(str(policies[0]["agent"]))
        elif any(scope["currency"] != currency for scope in scopes):
            other.append(str(policies[0]["agent"]))
        else:
            total += max((parse_amount(scope[name]) for scope in scopes), default=0)
    return Used(who, name, parse_amount(limit), total, tuple(unlimited), tuple(other))


def _shown(used: Used) -> str:
    parts = [format_amount(used.sum)]
    if used.unlimited:
        parts.append(f"no limit of {', '.join(used.unlimited)}")
    if used.other:
        parts.append(f"another currency of {', '.join(used.other)}")
    return " and ".join(parts)


def _desks(limits: dict[str, Any]) -> list[dict[str, Any]]:
    desks = limits["desks"]
    return [] if desks == "none" else list(desks)


def _more(one: str, other: str) -> bool:
    return parse_amount(one) > parse_amount(other)
