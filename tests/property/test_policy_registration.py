# SPDX-License-Identifier: Apache-2.0
"""Properties of policies: canonical form, documents, frozen zones, quorum."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from sekisho.adapters.zones import zone_offsets
from sekisho.core.amounts import format_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.governance.policy import policy_from_canonical
from sekisho.core.governance.readers import pair_of
from sekisho.core.governance.resolution import resolve
from sekisho.core.terms import NS, parse_instant
from tests.unit.core.governance.samples import (
    NOW,
    PRODUCTION,
    ROLES,
    ROSTER,
    approve,
    changed,
    register,
)

REGISTERED = register(PRODUCTION)
NONE = st.just("none")
MONEY = st.integers(1, 10**15).map(lambda cents: format_amount(cents * 10**6))
FRACTION = st.integers(1, 10**8).map(format_amount)
COUNT = st.integers(1, 10**9).map(str)
WINDOW = st.integers(1, 2_678_400).map(str)
NAMES = st.lists(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,20}", fullmatch=True),
    min_size=1,
    max_size=5,
    unique=True,
)
CURRENCIES = st.sampled_from(["EUR", "USD", "GBP", "CHF", "USDC"])
MARKETS = st.lists(
    st.tuples(CURRENCIES, CURRENCIES).filter(lambda legs: legs[0] != legs[1]).map("/".join),
    min_size=1,
    max_size=6,
    unique_by=pair_of,
)
RATE = st.fixed_dictionaries({"count_max": COUNT, "window_s": WINDOW})


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Test policies with any subset of the scope's fields stated."""
    markets = draw(MARKETS)
    optional = {
        "currency": CURRENCIES,
        "actions": st.lists(st.sampled_from(["new", "amend", "cancel"]), min_size=1, unique=True),
        "order_notional_max": NONE | MONEY,
        "daily_notional_max": NONE | MONEY,
        "position_notional_max": NONE | MONEY,
        "order_quantity_max": NONE
        | st.just([{"market": m, "currency": m.split("/")[0], "max": "1.5"} for m in markets]),
        "price_collar": NONE
        | st.fixed_dictionaries(
            {"deviation_max": FRACTION, "range_max": FRACTION, "window_s": WINDOW}
        ),
        "message_rate": NONE | RATE,
        "repeated_orders": NONE | RATE,
        "venues": NONE | NAMES.filter(lambda names: names != ["none"]),
        "counterparties": NONE | NAMES,
        "time_zone": st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Asia/Tokyo"]),
        "consecutive_failures_max": NONE | COUNT,
    }
    scope = draw(st.fixed_dictionaries({}, optional=optional))
    return {
        "agent": draw(st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True)),
        "operator": "Firm",
        "scope": scope | {"markets": markets, "regions": draw(NAMES)},
    }


@given(documents())
def test_registered_policy_is_its_canonical_bytes(document: dict[str, Any]) -> None:
    """Canonical bytes are RFC 8785 by another program, and read back to the same policy."""
    registration = register(document)
    plain = json.loads(registration.canonical)
    assert rfc8785.dumps(plain) == registration.canonical
    assert policy_from_canonical(registration.canonical) == registration.policy


@given(documents())
def test_stated_defaults_register_to_the_same_policy(document: dict[str, Any]) -> None:
    """A document that states what would be defaulted gives the same digest, and no defaults."""
    first = register(document)
    stated = json.loads(first.canonical)
    del stated["scope"]["zone_offsets"], stated["governance"]["review_due"]
    del stated["testing"]["fitness_due"]
    second = register(stated, now=NOW + 10**15)
    assert (first.sha256, ()) == (second.sha256, second.defaults)


@given(documents())
def test_defaults_and_document_together_make_the_policy(document: dict[str, Any]) -> None:
    """Nothing stands in a policy that was neither stated, nor listed as default, nor frozen."""
    registration = register(document)
    listed = [default.path for default in registration.defaults]
    assert sorted(set(listed)) == listed
    for name in msgspec.structs.asdict(registration.policy.scope):
        stated = name in document["scope"]
        frozen = name == "zone_offsets"
        defaulted = any(p == f"scope.{name}" or p.startswith(f"scope.{name}.") for p in listed)
        assert stated + frozen + defaulted == 1


@given(st.integers(0, len(REGISTERED.canonical) - 1), st.integers(0, 255))
def test_one_changed_byte_is_another_policy_or_none(position: int, byte: int) -> None:
    """No other bytes are taken for this policy."""
    data = bytearray(REGISTERED.canonical)
    assume(data[position] != byte)
    data[position] = byte
    try:
        other = policy_from_canonical(bytes(data))
    except MalformedInput:
        return
    assert other != REGISTERED.policy
    assert bytes(data) == canonical(other)


@given(st.binary(max_size=200))
def test_document_of_any_bytes_is_refused_in_words(data: bytes) -> None:
    """No input raises anything but the refusal, in either form."""
    for form in ("json", "yaml"):
        with pytest.raises(MalformedInput):
            register(data, form=form)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)
PATHS = [
    "operator",
    "scope",
    "scope.markets",
    "scope.order_quantity_max",
    "scope.price_collar",
    "scope.trading_hours",
    "scope.trading_hours.holidays",
    "scope.reference_rates",
    "risk_controls",
    "testing",
    "governance",
    "governance.approved_by",
    "valid_from",
    "governance.next_review",
    "scope.time_zone",
    "scope.zone_offsets",
]  # fmt: skip - one list


@given(st.sampled_from(PATHS), JSON)
def test_document_with_any_value_anywhere_registers_or_is_refused(path: str, value: Any) -> None:
    """Whatever stands in a field, the answer is a policy or a refusal with words."""
    document = changed(path, value) if value is not None else PRODUCTION | {"x": None}
    try:
        registration = register(document)
    except MalformedInput:
        return
    assert policy_from_canonical(registration.canonical) == registration.policy


ZONES = st.sampled_from(
    [
        "Europe/Zurich",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Tokyo",
        "America/Santiago",
        "Pacific/Chatham",
        "Africa/Cairo",
    ]
)  # fmt: skip - one list


@given(ZONES, st.integers(1_577_836_800, 1_830_297_600), st.data())
def test_frozen_zone_agrees_with_the_database_everywhere(
    zone: str, start: int, data: st.DataObject
) -> None:
    """At any second of a year the frozen offset is the database's."""
    end = start + 366 * 86_400
    rows = zone_offsets(zone, start * NS, end * NS)
    second = data.draw(st.integers(start, end))
    offset = [r.utc_offset_s for r in rows if parse_instant(r.since) <= second * NS][-1]
    local = datetime.fromtimestamp(second, tz=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert local is not None
    assert offset == local.total_seconds()


@given(st.lists(st.sampled_from([name for name, _ in ROLES]), max_size=6))
def test_resolution_is_made_exactly_by_distinct_approvers(seats: list[str]) -> None:
    """Of any collection of well signed approvals, only distinct approvers with both named pass."""
    approvers = {name for name, role in ROLES if role == "approver"}
    expected = (
        len(set(seats)) == len(seats) and set(seats) <= approvers and {"ceo", "cfo"} <= set(seats)
    )
    approvals = [approve(REGISTERED, name) for name in seats]
    try:
        resolution = resolve(REGISTERED.policy, ROSTER, approvals, NOW)
    except NotAuthorised:
        assert not expected
    else:
        assert expected
        assert sorted(seats) == [approval.seat for approval in resolution.approvals]
