# SPDX-License-Identifier: Apache-2.0
"""The policy of one agent, as it is hashed, approved, certified and enforced (docs/spec/policy.md).

A ``Policy`` is made from canonical bytes (here) or from a document (``document``), never by hand:
both ways run every reader of ``defaults`` and every rule of ``rules``. It holds no clock and says
nothing about who approved it; that is a resolution over its digest.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.governance.defaults import POLICY
from sekisho.core.governance.rules import broken_rules
from sekisho.core.governance.shape import Reading, raise_faults
from sekisho.core.scope import Scope

POLICY_BYTES_MAX = 16_384
"""A log entry (65,535 bytes) holds the policy beside a certificate that repeats its scope."""

Environment = Literal["test", "rehearsal", "production"]
Frequency = Literal["monthly", "quarterly", "half-yearly", "annual"]
Overdue = Literal["warn", "block_issuing", "refuse"]
"""What follows when something is overdue; each word includes those before it."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frozen, closed, keyword-only: what every part of a policy is."""


class Operator(_Part, frozen=True):
    """The legal entity that runs the agent. ``lei`` of twenty zeros: none."""

    name: str
    lei: str
    competent_authority: str
    authorisation_reference: str


class RiskControls(_Part, frozen=True):
    """When the agent is stopped and how long rights last. Scores as text, times in seconds."""

    kill_switch_manual: bool
    hold_threshold: str
    breaker_threshold: str
    hold_on_single_order: bool
    grace_period_s: int
    acknowledgement_deadline_s: int
    permit_lifetime_s: int
    lease_s: int
    clock_difference_max_s: int


class Behaviour(_Part, frozen=True):
    """How the baseline is built and what holds before it (docs/spec/behaviour.md)."""

    baseline_days: int
    baseline_orders_min: int
    without_baseline: Literal["scope_checks", "refuse"]
    baseline_daily_fraction: str
    risk_lag_entries_max: int


class Testing(_Part, frozen=True):
    """What is tested, by when or how often; ``fitness_due`` is the frozen end of
    ``fitness_test_due``.
    """

    fitness_test_due: str
    fitness_due: str
    overdue: Overdue
    scenario_testing: Frequency
    penetration_testing: Frequency


class Governance(_Part, frozen=True):
    """Seats, never names of persons; ``review_due`` is the frozen end of ``next_review``.

    ``renewal_overlap_s``: so long two certificates may be active when one is renewed; 0: never.
    """

    documented_by: str
    approved_by: tuple[str, ...]
    last_review: str
    next_review: str
    review_due: str
    review_overdue: Overdue
    approvals_required: int
    renewal_overlap_s: int


class Policy(_Part, frozen=True):
    """Everything that approvers sign. ``desk`` is ``none`` where the agent is of no desk."""

    schema: Literal["sekisho/policy/v1"]
    agent: str
    desk: str
    version: int
    environment: Environment
    operator: Operator
    valid_from: str
    valid_until: str
    scope: Scope
    risk_controls: RiskControls
    behaviour: Behaviour
    testing: Testing
    governance: Governance


def policy_sha256(policy: Policy) -> str:
    """The digest that approvers sign."""
    return sha256_hex(canonical(policy))


def policy_from_canonical(data: bytes) -> Policy:
    """Read a policy back. The bytes are the canonical form of a valid policy or nothing.

    Raises:
        MalformedInput: not JSON, not a valid policy (all faults), or not its canonical form.
    """
    if len(data) > POLICY_BYTES_MAX:
        raise MalformedInput(f"policy: more than {POLICY_BYTES_MAX} bytes")
    reading = Reading(registering=False)
    values = reading.read(POLICY, as_texts(parse_plain(data)))
    if isinstance(values, dict):
        for path, message in broken_rules(values):
            reading.fault(path, message)
    raise_faults("policy", reading.faults)
    policy = policy_of(values)
    if canonical(policy) != data:
        raise MalformedInput("policy: not in canonical form")
    return policy


def policy_of(values: dict[str, Any]) -> Policy:
    """Checked values as a policy."""
    return msgspec.convert(values, Policy)


def as_texts(value: Any) -> Any:
    """Plain JSON as a document's tree: every scalar by its text, null as empty."""
    if isinstance(value, dict):
        return {name: as_texts(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_texts(part) for part in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
