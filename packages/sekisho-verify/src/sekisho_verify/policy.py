# SPDX-License-Identifier: Apache-2.0
"""A registered policy: is it one, by docs/spec/policy.md sections 1, 2 and 4?

Registration itself (documents, defaults, other names) is not repeated here: what counts is the
canonical policy that people signed.
"""

from __future__ import annotations

import dataclasses
import re

from sekisho_verify import canonical
from sekisho_verify.canonical import DAY, SECOND
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.limits import Scope, Share
from sekisho_verify.scope import field, fraction, integer, name, ordered_set
from sekisho_verify.scope import read as read_scope

_POLICY_BYTES_MAX = 16_384
_LIFE_MAX = 731 * DAY
_OVERLAP_MAX_S = 604_800
_LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")
_NO_LEI = "0" * 20
_NOT_STATED = "not_stated"
_ENVIRONMENTS = ("test", "rehearsal", "production")
_CADENCES = ("monthly", "quarterly", "half-yearly", "annual")
_PRODUCTION_LIMITS = (
    "order_notional_max",
    "order_quantity_max",
    "price_collar",
    "message_rate",
    "position_notional_max",
    "venues",
)
_TOP = frozenset(
    "schema agent desk version environment operator valid_from valid_until scope risk_controls "
    "behaviour testing governance".split()
)
_OPERATOR = frozenset("name lei competent_authority authorisation_reference".split())
_RISK = frozenset(
    "kill_switch_manual hold_threshold breaker_threshold hold_on_single_order grace_period_s "
    "acknowledgement_deadline_s permit_lifetime_s lease_s clock_difference_max_s".split()
)
_BEHAVIOUR = frozenset(
    "baseline_days baseline_orders_min without_baseline baseline_daily_fraction "
    "risk_lag_entries_max".split()
)
_TESTING = frozenset(
    "fitness_test_due fitness_due overdue scenario_testing penetration_testing".split()
)
_OVERDUE = ("warn", "block_issuing", "refuse")
_GOVERNANCE = frozenset(
    "documented_by approved_by last_review next_review review_due review_overdue "
    "approvals_required renewal_overlap_s".split()
)
_IN_CERTIFICATE = ("agent", "environment", "operator", "risk_controls", "scope", "version")


@dataclasses.dataclass(frozen=True)
class Stops:
    """When scores stop the agent, and how long people have then; shares in millionths."""

    hold: int
    hold_text: str
    breaker: int
    breaker_text: str
    hold_on_single_order: bool
    grace_s: int
    acknowledgement_s: int


@dataclasses.dataclass(frozen=True)
class Learning:
    """How the baseline is made, and what is allowed before one is in force."""

    days: int
    orders_min: int
    refused_without: bool
    daily_fraction: Share
    lag_max: int


@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy that is valid in form, with what the verifier computes from; times in ns."""

    sha256: str
    agent: str
    version: int
    environment: str
    operator_name: str
    lei: str
    valid_from: int
    valid_until: int
    validity_text: str
    review_due: int
    review_due_text: str
    review_overdue: str
    fitness_due: int
    fitness_due_text: str
    fitness_overdue: str
    desk: str
    documented_by: str
    approved_by: tuple[str, ...]
    approvals_required: int
    renewal_overlap_s: int
    permit_lifetime_s: int
    lease_s: int
    clock_difference_max_s: int
    stops: Stops
    learning: Learning
    scope: Scope
    scope_json: str


def read(value: object) -> Policy:
    """The policy of an entry.

    Raises:
        VerificationFailed: names the first field that is not as the specification says.
    """
    given = canonical.fields(value, _TOP, "policy")
    data = canonical.encode(given)
    require(len(data) <= _POLICY_BYTES_MAX, "policy has more than 16,384 bytes")
    require(given["schema"] == "sekisho/policy/v1", "policy.schema is not sekisho/policy/v1")
    require(given["environment"] in _ENVIRONMENTS, "policy.environment is unknown")
    production = given["environment"] == "production"
    version = field(given, "policy", "version", lambda v: integer(v, 1, 10**9))
    operator = _operator(given["operator"], production=production)
    valid_from, valid_until = _validity(given)
    scope = read_scope(given["scope"])
    require(scope.offsets[0][0] == valid_from, "scope.zone_offsets does not start at valid_from")
    if production:
        raw = canonical.object_of(given["scope"])
        for limit in _PRODUCTION_LIMITS:
            require(raw[limit] != "none", f"scope.{limit} is none in environment production")
    lifetime, lease, difference = _permits(given["risk_controls"])
    testing = _testing(given["testing"], valid_from, scope)
    governance = _governance(given["governance"], valid_from, scope, production=production)
    kept = {member: given[member] for member in _IN_CERTIFICATE}
    return Policy(
        sha256=canonical.sha256(data),
        agent=field(given, "policy", "agent", lambda v: canonical.named(v, "agent")),
        version=version,
        environment=str(given["environment"]),
        operator_name=str(operator["name"]),
        lei=str(operator["lei"]),
        valid_from=valid_from,
        valid_until=valid_until,
        validity_text=f"{given['valid_from']}/{given['valid_until']}",
        review_due=canonical.instant(governance["review_due"]),
        review_due_text=str(governance["review_due"]),
        review_overdue=str(governance["review_overdue"]),
        fitness_due=canonical.instant(testing["fitness_due"]),
        fitness_due_text=str(testing["fitness_due"]),
        fitness_overdue=str(testing["overdue"]),
        desk=field(given, "policy", "desk", name),
        documented_by=str(governance["documented_by"]),
        approved_by=tuple(str(seat) for seat in canonical.array_of(governance["approved_by"])),
        approvals_required=canonical.integer_of(governance["approvals_required"]),
        renewal_overlap_s=canonical.integer_of(governance["renewal_overlap_s"]),
        permit_lifetime_s=lifetime,
        lease_s=lease,
        clock_difference_max_s=difference,
        stops=_stops(given["risk_controls"]),
        learning=_learning(given["behaviour"]),
        scope=scope,
        scope_json=canonical.encode(kept).decode(),
    )


def _words(value: object) -> str:
    text = canonical.text_of(value)
    good = 1 <= len(text) <= 128 and text.isprintable() and text == text.strip()
    require(good, "is not 1 to 128 printable characters without blanks at the ends")
    return text


def _lei(value: object) -> str:
    text = canonical.text_of(value)
    if text != _NO_LEI:
        require(_LEI.fullmatch(text) is not None, "is no LEI")
        require(int("".join(str(int(c, 36)) for c in text)) % 97 == 1, "has wrong check digits")
    return text


def _operator(value: object, *, production: bool) -> dict[str, object]:
    operator = canonical.fields(value, _OPERATOR, "operator")
    field(operator, "operator", "lei", _lei)
    for called in ("name", "competent_authority", "authorisation_reference"):
        field(operator, "operator", called, _words)
    if production:
        require(operator["lei"] != _NO_LEI, "operator.lei is twenty zeros in production")
        for called in ("competent_authority", "authorisation_reference"):
            require(operator[called] != _NOT_STATED, f"operator.{called} is not stated")
    return operator


def _whole_second(value: object) -> int:
    ns = canonical.instant(value)
    require(ns % SECOND == 0, "is no whole second")
    return ns


def _validity(given: dict[str, object]) -> tuple[int, int]:
    start = field(given, "policy", "valid_from", _whole_second)
    end = field(given, "policy", "valid_until", _whole_second)
    require(start < end <= start + _LIFE_MAX, "policy.valid_until is out of its bounds")
    return start, end


def _permits(value: object) -> tuple[int, int, int]:
    """Lifetime of a permit, of a lease, and the bound on the clocks' difference, in seconds."""
    risk = canonical.fields(value, _RISK, "risk_controls")
    lifetime, lease, difference = (
        field(risk, "risk_controls", called, lambda v: integer(v, 1, 60))
        for called in ("permit_lifetime_s", "lease_s", "clock_difference_max_s")
    )
    require(lifetime <= lease, "risk_controls.permit_lifetime_s is above lease_s")
    return lifetime, lease, difference


def _threshold(value: object) -> Share:
    share = fraction(value)
    require(len(share.text.partition(".")[2]) <= 6, "has more than six decimals")
    return share


def _stops(value: object) -> Stops:
    risk = canonical.object_of(value)

    def whole(called: str, low: int, high: int) -> int:
        return field(risk, "risk_controls", called, lambda v: integer(v, low, high))

    require(risk["kill_switch_manual"] is True, "risk_controls.kill_switch_manual is not true")
    breaker = field(risk, "risk_controls", "breaker_threshold", _threshold)
    hold = field(risk, "risk_controls", "hold_threshold", _threshold)
    require(breaker.ratio <= hold.ratio, "risk_controls.breaker_threshold is above the hold")
    single = risk["hold_on_single_order"]
    require(isinstance(single, bool), "hold_on_single_order is no boolean")
    return Stops(
        hold=int(hold.ratio * 10**6),
        hold_text=hold.text,
        breaker=int(breaker.ratio * 10**6),
        breaker_text=breaker.text,
        hold_on_single_order=single is True,
        grace_s=whole("grace_period_s", 0, 86_400),
        acknowledgement_s=whole("acknowledgement_deadline_s", 60, 2_678_400),
    )


def _learning(value: object) -> Learning:
    given = canonical.fields(value, _BEHAVIOUR, "behaviour")

    def whole(called: str, low: int, high: int) -> int:
        return field(given, "behaviour", called, lambda v: integer(v, low, high))

    without = given["without_baseline"]
    require(without in ("scope_checks", "refuse"), "behaviour.without_baseline is unknown")
    return Learning(
        days=whole("baseline_days", 1, 90),
        orders_min=whole("baseline_orders_min", 20, 10**9),
        refused_without=without == "refuse",
        daily_fraction=field(given, "behaviour", "baseline_daily_fraction", fraction),
        lag_max=whole("risk_lag_entries_max", 0, 10**6),
    )


def _testing(value: object, valid_from: int, scope: Scope) -> dict[str, object]:
    testing = canonical.fields(value, _TESTING, "testing")
    day = field(testing, "testing", "fitness_test_due", canonical.day_number)
    require(day <= valid_from // DAY + 731, "testing.fitness_test_due is too late")
    due = field(testing, "testing", "fitness_due", canonical.instant)
    require(due == _end_of_day(day, scope), "testing.fitness_due does not follow")
    require(testing["overdue"] in _OVERDUE, "testing.overdue is unknown")
    for called in ("scenario_testing", "penetration_testing"):
        require(testing[called] in _CADENCES, f"testing.{called} is unknown")
    return testing


def _governance(
    value: object, valid_from: int, scope: Scope, *, production: bool
) -> dict[str, object]:
    given = canonical.fields(value, _GOVERNANCE, "governance")
    author = field(given, "governance", "documented_by", name)
    approvers = field(given, "governance", "approved_by", lambda v: ordered_set(v, name))
    require(author not in approvers, "governance.approved_by holds documented_by")
    next_review = field(given, "governance", "next_review", canonical.day_number)
    require(next_review <= valid_from // DAY + 731, "governance.next_review is too late")
    if given["last_review"] != "none":
        last = field(given, "governance", "last_review", canonical.day_number)
        require(last <= next_review, "governance.last_review is after next_review")
    due = field(given, "governance", "review_due", canonical.instant)
    require(due == _end_of_day(next_review, scope), "governance.review_due does not follow")
    require(given["review_overdue"] in _OVERDUE, "governance.review_overdue is unknown")
    field(given, "governance", "renewal_overlap_s", lambda v: integer(v, 0, _OVERLAP_MAX_S))
    required = field(given, "governance", "approvals_required", lambda v: integer(v, 1, 16))
    if production:
        require(required >= 2, "governance.approvals_required is below 2 in production")
        require(author != _NOT_STATED, "governance.documented_by is not stated")
    return given


def _end_of_day(day: int, scope: Scope) -> int:
    """The first instant whose local time is at or after 00:00 of the day after that day."""
    local = (day + 1) * DAY
    rows = scope.offsets
    for index, (since, offset) in enumerate(rows):
        candidate = local - offset * SECOND
        first = candidate if index == 0 else max(candidate, since)
        if index + 1 == len(rows) or first < rows[index + 1][0]:
            return first
    raise VerificationFailed("scope.zone_offsets is empty")
