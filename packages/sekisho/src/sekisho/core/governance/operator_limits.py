# SPDX-License-Identifier: Apache-2.0
"""Limits above the agent: of an operator and of its desks (docs/spec/policy.md, 9).

A document like a policy, approved by its digest. What it does to issuing is judged where the
register is (``core.identity.above``); here is only what such a document is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.governance import readers as r
from sekisho.core.governance.document import read_tree
from sekisho.core.governance.policy import Environment, as_texts
from sekisho.core.governance.resolution import Subject
from sekisho.core.governance.rules import PRODUCTION_APPROVALS_MIN
from sekisho.core.governance.shape import AppliedDefault, Group, Leaf, Reading, Rows, raise_faults
from sekisho.core.scope import NoLimit
from sekisho.core.terms import NAME

SCHEMA = "sekisho/limits/v1"
LIMITS_BYTES_MAX = 16_384
DESKS_MAX = 64
_NAME = r.matching(NAME, "name-1 (letters, digits, . _ @ -; at most 64)")
_MONEY = {
    name: Leaf(r.or_none(r.money), "none", "absent limits are written as the word none")
    for name in ("order_notional_max", "daily_notional_max", "position_notional_max")
}
LIMITS = Group(
    {
        "schema": Leaf(r.choice(SCHEMA), SCHEMA, "the only version of this document"),
        "version": Leaf(r.integer(1, 10**9), "1", "the first limits of this operator"),
        "environment": Leaf(
            r.choice("test", "rehearsal", "production"), "test", "nothing real is traded"
        ),
        "currency": Leaf(r.currency, "EUR", "the currency in which limits are counted"),
        "documented_by": Leaf(_NAME, r.NOT_STATED, "the document names none"),
        "approvals_required": Leaf(r.integer(1, 16), "2", "no one acts alone"),
        "operator": Group(_MONEY),
        "desks": Rows(
            Group({"desk": Leaf(_NAME), **_MONEY}),
            DESKS_MAX,
            default="none",
            sort_by=("desk",),
            why="no desk has limits of its own",
        ),
    }
)


class NotionalLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Money, or ``none``. Of one order; and of the sums over all agents, a day and a position."""

    order_notional_max: str | NoLimit
    daily_notional_max: str | NoLimit
    position_notional_max: str | NoLimit


class DeskLimits(NotionalLimits, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Those of a desk."""

    desk: str


class OperatorLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that approvers sign."""

    schema: Literal["sekisho/limits/v1"]
    version: int
    environment: Environment
    currency: str
    documented_by: str
    approvals_required: int
    operator: NotionalLimits
    desks: tuple[DeskLimits, ...] | NoLimit


class RegisteredAs(msgspec.Struct, frozen=True):
    """Limits with everything that is shown to whoever approves them."""

    limits: OperatorLimits
    canonical: bytes
    sha256: str
    defaults: tuple[AppliedDefault, ...]
    notes: tuple[str, ...]


def read_limits_document(
    document: bytes,
    *,
    form: Literal["yaml", "json"],
    read_yaml: Callable[[bytes], Any] | None = None,
) -> RegisteredAs:
    """Check and complete a document of limits.

    Raises:
        MalformedInput: all faults, a line each, with their paths.
        ConfigurationInvalid: YAML without a reader for it.
    """
    reading = Reading(registering=True)
    values = reading.read(LIMITS, read_tree(document, form, read_yaml))
    _check(values, reading)
    encoded = canonical(msgspec.convert(values, OperatorLimits))
    if len(encoded) > LIMITS_BYTES_MAX:
        raise MalformedInput(f"limits: {len(encoded)} bytes, at most {LIMITS_BYTES_MAX}")
    limits = limits_from_canonical(encoded)  # what is registered can be read back
    defaults = sorted(reading.defaults, key=lambda default: default.path)
    return RegisteredAs(limits, encoded, sha256_hex(encoded), tuple(defaults), limits_notes(limits))


def limits_from_canonical(data: bytes) -> OperatorLimits:
    """Read limits back. The bytes are the canonical form of valid limits or nothing.

    Raises:
        MalformedInput: anything else.
    """
    if len(data) > LIMITS_BYTES_MAX:
        raise MalformedInput(f"limits: more than {LIMITS_BYTES_MAX} bytes")
    reading = Reading(registering=False)
    values = reading.read(LIMITS, as_texts(parse_plain(data)))
    _check(values, reading)
    limits = msgspec.convert(values, OperatorLimits)
    if canonical(limits) != data:
        raise MalformedInput("limits: not in canonical form")
    return limits


def subject_of_limits(limits: OperatorLimits) -> Subject:
    """Limits as what is approved."""
    return Subject(sha256_hex(canonical(limits)), limits.documented_by, limits.approvals_required)


def limits_notes(limits: OperatorLimits) -> tuple[str, ...]:
    """What an approver should not overlook."""
    rows: list[tuple[str, NotionalLimits]] = [("operator", limits.operator)]
    desks = () if isinstance(limits.desks, str) else limits.desks
    rows += [(f"desk {row.desk}", row) for row in desks]
    notes = [
        f"{who}: {name} is none: no limit"
        for who, row in rows
        for name in _MONEY
        if getattr(row, name) == "none"
    ]
    for row in desks:
        for name in _MONEY:
            own, above = getattr(row, name), getattr(limits.operator, name)
            if "none" not in (own, above) and parse_amount(own) > parse_amount(above):
                notes.append(f"desk {row.desk}: {name} is above that of the operator")
    return tuple(notes)


def _check(values: Any, reading: Reading) -> None:
    """The rules that join fields. Raises MalformedInput: these, and the faults of the reading."""
    plain = values if isinstance(values, dict) else {}
    rows = plain.get("desks")
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if row["desk"] == "none":
            reading.fault(f"desks[{index}].desk", "none is no desk's name")
    required = plain.get("approvals_required", PRODUCTION_APPROVALS_MIN)
    if plain.get("environment") == "production":
        if required < PRODUCTION_APPROVALS_MIN:
            reading.fault("approvals_required", "is below 2 in environment production")
        if plain.get("documented_by") == r.NOT_STATED:
            reading.fault("documented_by", "must be stated in environment production")
    raise_faults("limits", reading.faults)
