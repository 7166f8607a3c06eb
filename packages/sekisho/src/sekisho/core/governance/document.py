# SPDX-License-Identifier: Apache-2.0
"""Registration: a document becomes a policy, once (docs/spec/policy.md, sections 3 and 4).

What was silent is filled with stated defaults, what was said in other words is renamed, the zone's
transitions are frozen; everything that was not the document's own is given back to be shown. The
YAML reader and the zone database are handed in: the core imports neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.governance.defaults import POLICY, timed_defaults
from sekisho.core.governance.names import Renamed, names_beside
from sekisho.core.governance.policy import (
    POLICY_BYTES_MAX,
    Policy,
    as_texts,
    policy_from_canonical,
    policy_of,
)
from sekisho.core.governance.readers import NO_LEI
from sekisho.core.governance.rules import (
    FROZEN_DAYS,
    at,
    broken_rules,
    end_of_day,
    frozen_until,
    reviews,
    tests,
    validity,
)
from sekisho.core.governance.shape import AppliedDefault, Reading, raise_faults
from sekisho.core.scope import ZoneOffset
from sekisho.core.terms import DAY_S, NS, parse_day, parse_instant

DOCUMENT_BYTES_MAX = 65_536
DEPTH_MAX = 8

ZoneOffsets = Callable[[str, int, int], tuple[ZoneOffset, ...]]


class Registration(msgspec.Struct, frozen=True):
    """A registered policy with everything that is shown to whoever approves it."""

    policy: Policy
    canonical: bytes
    sha256: str
    defaults: tuple[AppliedDefault, ...]
    notes: tuple[str, ...]


def read_policy(
    document: bytes,
    *,
    form: Literal["yaml", "json"],
    registered_at_ns: int,
    zone_offsets: ZoneOffsets,
    read_yaml: Callable[[bytes], Any] | None = None,
) -> Registration:
    """Check, complete and freeze a policy document.

    Args:
        document: at most 65,536 bytes.
        form: how it is written.
        registered_at_ns: ns UTC; where defaults of time begin.
        zone_offsets: transitions of a zone between two instants (ns UTC); an unknown zone is
            ``ConfigurationInvalid``.
        read_yaml: bytes to a tree of texts, lists and objects; needed for ``"yaml"`` only.

    Raises:
        MalformedInput: all faults, a line each, with their paths.
        ConfigurationInvalid: YAML without a reader for it.
    """
    tree = read_tree(document, form, read_yaml)
    renamed = Renamed(tree)
    applied = timed_defaults(renamed.tree, registered_at_ns)
    reading = Reading(registering=True, spelled=renamed.spelled, other_names=names_beside())
    values = reading.read(POLICY, renamed.tree)
    _freeze(values, zone_offsets, reading)
    for path, message in broken_rules(values):
        reading.fault(path, message)
    raise_faults("policy", [*renamed.faults, *reading.faults])
    policy = policy_of(values)
    encoded = canonical(policy)
    if len(encoded) > POLICY_BYTES_MAX:
        raise MalformedInput(f"policy: {len(encoded)} bytes, at most {POLICY_BYTES_MAX}")
    defaults = sorted([*applied, *reading.defaults], key=lambda default: default.path)
    return Registration(
        policy=policy_from_canonical(encoded),  # what is registered can be read back
        canonical=encoded,
        sha256=sha256_hex(encoded),
        defaults=tuple(defaults),
        notes=(*renamed.notes, *notes_of(policy, registered_at_ns)),
    )


def describe(registration: Registration) -> list[tuple[str, str]]:
    """What an approver is shown: every field, read from the bytes whose digest is signed.

    Raises:
        MalformedInput: the bytes are no policy.
        VerificationFailed: the digest is not theirs.
    """
    if sha256_hex(registration.canonical) != registration.sha256:
        raise VerificationFailed("the digest to be signed is not the digest of the policy shown")
    policy = policy_from_canonical(registration.canonical)
    rows = [("policy_sha256", registration.sha256)]
    rows += _rows("", as_texts(parse_plain(registration.canonical)))
    rows.append(("worst-case stop when cut off", f"{policy.risk_controls.lease_s} s"))
    rows += [
        (f"default for {default.path}", f"{default.value} ({default.why})")
        for default in registration.defaults
    ]
    return rows + [("note", note) for note in registration.notes]


def _rows(path: str, value: Any) -> list[tuple[str, str]]:
    """Each text under a path; an empty list shows as such."""
    if isinstance(value, dict):
        parts = [(f"{path}.{name}" if path else name, part) for name, part in value.items()]
    elif isinstance(value, list) and value:
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        return [(path, "(empty list)" if value == [] else value)]
    return [row for name, part in parts for row in _rows(name, part)]


def read_tree(
    document: bytes, form: str, read_yaml: Callable[[bytes], Any] | None
) -> dict[str, Any]:
    """A document as one object of texts, lists and objects.

    Raises:
        MalformedInput: not one such object, or longer or deeper than a document may be.
        ConfigurationInvalid: there is no reader for the form.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise MalformedInput(f"policy: more than {DOCUMENT_BYTES_MAX} bytes")
    if form == "json":
        tree = _read_json(document)
    elif form == "yaml" and read_yaml is not None:
        tree = read_yaml(document)
    else:
        raise ConfigurationInvalid(f"policy: no reader for the form {form!r}")
    if not isinstance(tree, dict):
        raise MalformedInput("policy: is not one object")
    if _deeper(tree, DEPTH_MAX):
        raise MalformedInput(f"policy: nested more than {DEPTH_MAX} deep")
    return tree


def _read_json(data: bytes) -> Any:
    """JSON with every scalar by its text: a number is never a binary fraction, not even once."""

    def refuse(word: str) -> Any:
        raise MalformedInput(f"policy: {word} is no number")

    def check_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                raise MalformedInput(f"policy: field {name[:64]!r} is given twice", name[:64])
            result[name] = value
        return result

    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=check_pairs,
            parse_float=str,
            parse_int=str,
            parse_constant=refuse,
        )
        tree = as_texts(value)
        canonical(tree)  # lone surrogates cannot be encoded
    except UnicodeError as error:
        raise MalformedInput("policy: not UTF-8 text") from error
    except RecursionError as error:
        raise MalformedInput("policy: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise MalformedInput(
            f"policy: not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    return tree


def _deeper(value: Any, depth: int) -> bool:
    """Whether objects and lists are nested more than so deep."""
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper(part, depth - 1) for part in parts)


def _freeze(values: dict[str, Any], zone_offsets: ZoneOffsets, reading: Reading) -> None:
    """Write the zone's transitions and the ends of the days that matter into the values."""
    zone, start = at(values, "scope.time_zone"), at(values, "valid_from")
    until = frozen_until(values)
    if zone is None or start is None or until is None:
        return
    if any(validity(values)) or any(reviews(values)) or any(tests(values)):
        return  # reported by the rules; the zone is not asked about centuries
    try:
        rows = zone_offsets(zone, parse_instant(start), until)
    except ConfigurationInvalid as error:
        reading.fault("scope.time_zone", str(error))
        return
    values["scope"]["zone_offsets"] = msgspec.to_builtins(rows)
    transitions = [(parse_instant(row.since), row.utc_offset_s) for row in rows]
    for path, day in FROZEN_DAYS.items():
        group, _, name = path.partition(".")
        values[group][name] = end_of_day(at(values, day), transitions)


def notes_of(policy: Policy, now_ns: int) -> tuple[str, ...]:
    """What an approver should not overlook, from the policy alone; ``now_ns``: ns UTC."""
    scope, governance = policy.scope, policy.governance
    notes = [
        f"scope.{name} is none: no limit"
        for name in scope.__struct_fields__
        if getattr(scope, name) == "none"
    ]
    if policy.operator.lei == NO_LEI:
        notes.append("operator.lei is twenty zeros, which is no LEI: not for production")
    if scope.order_quantity_max != "none":
        limited = {row.market for row in scope.order_quantity_max}
        notes += [
            f"scope.order_quantity_max has no row for {market}: every order there is refused"
            for market in scope.markets
            if market not in limited
        ]
    order, daily = scope.order_notional_max, scope.daily_notional_max
    if "none" not in (order, daily) and parse_amount(order) > parse_amount(daily):
        notes.append("scope.order_notional_max is above scope.daily_notional_max")
    if parse_instant(governance.review_due) <= now_ns:
        notes.append(f"governance.next_review {governance.next_review} is over: review_overdue")
    if parse_instant(policy.testing.fitness_due) <= now_ns:
        notes.append(f"testing.fitness_test_due {policy.testing.fitness_test_due} is over")
    if governance.last_review != "none" and parse_day(governance.last_review) * DAY_S * NS > now_ns:
        notes.append(f"governance.last_review {governance.last_review} is in the future")
    named = len(governance.approved_by)
    if 0 < named < governance.approvals_required:
        notes.append(
            f"governance.approved_by names {named}, {governance.approvals_required} approvals are"
            " required: further approvers of the roster must sign"
        )
    return tuple(notes)
