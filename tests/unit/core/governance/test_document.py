# SPDX-License-Identifier: Apache-2.0
"""Registration: documents, other names, defaults, faults, what is shown back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.adapters.zones import zone_offsets
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.governance.defaults import POLICY
from sekisho.core.governance.document import DOCUMENT_BYTES_MAX, describe, read_policy
from sekisho.core.governance.names import OTHER_NAMES
from sekisho.core.governance.policy import Behaviour, policy_from_canonical
from sekisho.core.governance.shape import Group, Leaf
from sekisho.core.scope import Scope, ZoneOffset
from sekisho.core.terms import NS, parse_instant
from tests.unit.core.governance.samples import LEI, NOW, PRODUCTION, changed, register

EXAMPLES = Path(__file__).parents[4] / "examples"
GUIDE = (EXAMPLES / "guide-policy.json").read_bytes()
GUIDE_TREE = json.loads(GUIDE)


def faults(document: dict[str, Any] | bytes, form: str = "json") -> list[str]:
    """The fault lines of a document that must be refused."""
    with pytest.raises(MalformedInput) as caught:
        register(document, form=form)
    return str(caught.value).split("\n")[1:] or [str(caught.value)]


def test_guide_policy_as_it_is_registers() -> None:
    """The guide's camelCase object registers unchanged, its limits under our names."""
    policy = register(GUIDE).policy
    scope, controls = policy.scope, policy.risk_controls
    assert ("trading_bot_eu_v2", "acme_trading_ltd", "ESMA-001234") == (
        policy.agent,
        policy.operator.name,
        policy.operator.authorisation_reference,
    )
    assert ("50000", "1000000", ("EUR/USD", "GBP/EUR"), ("eu-west-1",), 3) == (
        scope.order_notional_max,
        scope.daily_notional_max,
        scope.markets,
        scope.regions,
        scope.consecutive_failures_max,
    )
    assert scope.trading_hours != "none"
    assert ("08:00", "17:00", True, "UTC") == (
        scope.trading_hours.start,
        scope.trading_hours.end,
        scope.trading_hours.exclude_weekends,
        scope.time_zone,
    )
    assert ("0.85", "0.75", True) == (
        controls.hold_threshold,
        controls.breaker_threshold,
        controls.kill_switch_manual,
    )
    assert "2026-06-01" == policy.testing.fitness_test_due
    governance = policy.governance
    assert ("compliance_team@acme", ("ceo@acme",), "2026-05-01", "2026-08-01") == (
        governance.documented_by,
        governance.approved_by,
        governance.last_review,
        governance.next_review,
    )
    assert "2026-08-02T00:00:00.000000000Z" == governance.review_due


def test_guide_policy_in_snake_case_registers_equal() -> None:
    """The guide's own field names in snake_case give the same policy, byte for byte."""

    def convert(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        return {
            "".join(f"_{s.lower()}" if s.isupper() else s for s in name): convert(part)
            for name, part in node.items()
        }

    assert register(GUIDE).canonical == register(convert(GUIDE_TREE)).canonical


def test_guide_policy_notes_every_other_name() -> None:
    """Each name that is not ours is told with what it was taken for."""
    notes = "\n".join(register(GUIDE).notes)
    for other in OTHER_NAMES.values():
        assert f"is {other.path}: {other.note}" in notes
    assert "governance.approvedBy: names seats that must sign" in notes
    assert "operator: a text is the operator's name" in notes


def test_guide_policy_absent_limits_become_none_and_are_listed() -> None:
    """Every limit that the guide does not state is the word none and among the defaults."""
    registration = register(GUIDE)
    scope = registration.policy.scope
    absent = {name for name in Scope.__struct_fields__ if getattr(scope, name) == "none"}
    listed = {
        default.path.removeprefix("scope.")
        for default in registration.defaults
        if default.value == "none" and default.path.startswith("scope.")
    }
    assert absent == listed
    assert {"order_quantity_max", "price_collar", "venues", "message_rate"} <= absent


def test_example_policy_registers() -> None:
    """The YAML example is the exchange's case: 25,000 an order, 500,000 a day, PAPER, test."""
    policy = register((EXAMPLES / "policy.yaml").read_bytes(), form="yaml").policy
    assert ("algo_trader_v2", "test", "CryptoEX AG", True) == (
        policy.agent,
        policy.environment,
        policy.operator.name,
        policy.risk_controls.hold_on_single_order,
    )
    scope = policy.scope
    assert ("25000", "500000", ("PAPER",), ("EUR/USD", "GBP/EUR"), ("eu-west-1",)) == (
        scope.order_notional_max,
        scope.daily_notional_max,
        scope.venues,
        scope.markets,
        scope.regions,
    )


def test_production_document_registers_sorted() -> None:
    """A complete production document registers; rows of a set are sorted."""
    policy = register(PRODUCTION).policy
    rows = policy.scope.order_quantity_max
    assert rows != "none"
    assert ["EUR/USD", "GBP/EUR"] == [row.market for row in rows]
    assert LEI == policy.operator.lei


def test_equal_documents_written_differently_have_one_digest() -> None:
    """Order of fields and of sets, quotes and trailing zeros change nothing."""
    other = {name: PRODUCTION[name] for name in reversed(PRODUCTION)}
    other = changed("scope.markets", ["GBP_EUR", "EUR_USD"], other)
    other = changed("scope.order_notional_max", "25000.00", other)
    other = changed("governance.approved_by", ["cfo", "ceo"], other)
    other = changed("scope.actions", ["cancel", "amend", "new"], other)
    assert register(PRODUCTION).sha256 == register(other).sha256


def test_json_number_is_taken_by_its_text() -> None:
    """A number that no binary fraction holds exactly arrives digit for digit."""
    data = json.dumps(changed("scope.order_notional_max", "@")).replace('"@"', "900719925474099.37")
    assert "900719925474099.37" == register(data.encode()).policy.scope.order_notional_max


BEHAVIOUR = ("14", "100", "scope_checks", "1", "1000")
DEFAULTS = {
    "schema": "sekisho/policy/v1",
    "version": "1",
    "environment": "test",
    "operator.lei": "0" * 20,
    "operator.competent_authority": "not_stated",
    "operator.authorisation_reference": "not_stated",
    "valid_from": "2026-05-15T09:15:00.000000000Z",
    "valid_until": "2027-05-15T09:15:00.000000000Z",
    "scope.actions": '["new","amend","cancel"]',
    "scope.currency": "EUR",
    "scope.order_notional_max": "none",
    "scope.order_quantity_max": "none",
    "scope.price_collar": "none",
    "scope.daily_notional_max": "none",
    "scope.daily_order_count_max": "none",
    "scope.message_rate": "none",
    "scope.position_notional_max": "none",
    "scope.venues": "none",
    "scope.counterparties": "none",
    "scope.concentration": "none",
    "scope.time_zone": "UTC",
    "scope.trading_hours": "none",
    "scope.reference_rates.sources": '["primary"]',
    "scope.reference_rates.age_max_s": "60",
    "scope.reference_rates.market_order_buffer": "0.01",
    "scope.reference_rates.jump_max": "0.05",
    "scope.reference_rates.jump_window_s": "60",
    "scope.reference_rates.disagreement_max": "0.005",
    "scope.market_stress": "none",
    "scope.repeated_executions": "none",
    "scope.repeated_orders": "none",
    "scope.consecutive_failures_max": "none",
    "risk_controls.kill_switch_manual": "true",
    "risk_controls.hold_threshold": "0.85",
    "risk_controls.breaker_threshold": "0.75",
    "risk_controls.hold_on_single_order": "false",
    "risk_controls.grace_period_s": "300",
    "risk_controls.acknowledgement_deadline_s": "86400",
    "risk_controls.permit_lifetime_s": "2",
    "risk_controls.lease_s": "15",
    "risk_controls.clock_difference_max_s": "1",
    **dict(zip((f"behaviour.{n}" for n in Behaviour.__struct_fields__), BEHAVIOUR, strict=True)),
    "desk": "none",
    "testing.fitness_test_due": "2027-05-15",
    "testing.overdue": "block_issuing",
    "testing.scenario_testing": "quarterly",
    "testing.penetration_testing": "annual",
    "governance.documented_by": "not_stated",
    "governance.approved_by": "[]",
    "governance.last_review": "none",
    "governance.next_review": "2026-08-13",
    "governance.review_overdue": "refuse",
    "governance.approvals_required": "2",
    "governance.renewal_overlap_s": "0",
}
"""What stands in the smallest document's policy, beside what it states (registered at NOW)."""


def test_defaults_not_stated_take_the_documented_values() -> None:
    """The smallest document is completed as docs/spec/policy.md says."""
    registration = register(
        {
            "agent": "a",
            "operator": {"name": "Firm"},
            "scope": {"markets": "EUR/USD", "regions": "r"},
        }
    )
    defaults = {default.path: default.value for default in registration.defaults}
    assert DEFAULTS == defaults


def test_defaults_of_time_follow_a_stated_beginning() -> None:
    """What depends on valid_from is counted from the stated one, not from registration."""
    policy = register(changed("valid_from", "2026-12-31T23:00:00Z")).policy
    assert "2027-12-31T23:00:00.000000000Z" == policy.valid_until
    assert "2027-12-31" == policy.testing.fitness_test_due


@pytest.mark.parametrize("start", ["9999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_validity_at_the_end_of_the_calendar_is_refused_in_words(start: str) -> None:
    """Where a year later has no text there is no default, and no crash."""
    assert any("valid_until: is missing" in line for line in faults(changed("valid_from", start)))


@pytest.mark.parametrize(
    ("path", "value"),
    [("valid_until", "2026-05-15T09:15:00Z"), ("governance.next_review", "2990-01-01")],
)
def test_zone_of_a_refused_span_is_not_asked_for(path: str, value: str) -> None:
    """A validity that is refused anyway does not reach the zone database."""
    asked: list[str] = []

    def record(name: str, _from: int, _until: int) -> tuple[ZoneOffset, ...]:
        asked.append(name)
        return zone_offsets("UTC", NOW, NOW)

    document = json.dumps(changed(path, value)).encode()
    with pytest.raises(MalformedInput, match="1 fault"):
        read_policy(document, form="json", registered_at_ns=NOW, zone_offsets=record)
    assert [] == asked


def test_every_field_is_in_the_shape_and_in_the_types() -> None:
    """The table of readers and the types name the same fields, so nothing is read and dropped."""

    def names(shape: Any) -> Any:
        if isinstance(shape, Leaf):
            return None
        group = shape if isinstance(shape, Group) else shape.row
        return {name: names(part) for name, part in group.fields.items()}

    def kinds(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return kinds(value[0])
        if isinstance(value, dict):
            return {name: kinds(part) for name, part in value.items()}
        return None

    full = changed("scope.repeated_orders", {"count_max": "5", "window_s": "10"})
    full = changed("scope.repeated_executions", {"count_max": "5", "window_s": "10"}, full)
    registered = msgspec.json.decode(register(full).canonical)
    assert names(POLICY) == kinds(registered)


def test_unknown_field_is_refused_with_the_nearest() -> None:
    """A misspelt limit is never silently no limit."""
    document = changed("scope.daily_notional_maxx", "1")
    assert faults(document) == [
        "scope.daily_notional_maxx: is not a field; the nearest is scope.daily_notional_max"
    ]
    document = changed("scope.maxDailyVolum", 1, GUIDE_TREE)
    assert faults(document) == [
        "scope.maxDailyVolum: is not a field; the nearest is scope.max_daily_volume"
    ]


def test_field_name_with_a_dot_is_unknown() -> None:
    """A dotted name does not reach into an object: it is one unknown field."""
    assert any(
        line.startswith("scope.venues: is not a field")
        for line in faults(PRODUCTION | {"scope.venues": "X"})
    )


def test_field_name_with_a_line_break_stays_one_line() -> None:
    """A field's name cannot write a line of its own into the report."""
    assert 1 == len(faults(PRODUCTION | {"x\nscope: fine": "1"}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scope.maxDailyVolume", "1"),
        ("scope.dailyNotionalMax", "1"),
        ("agentId", "other"),
        ("risk_controls.max_consecutive_failures", None),
    ],
)
def test_field_given_twice_under_two_names_is_refused(path: str, value: str | None) -> None:
    """Two names for one field are two answers; neither is taken."""
    document = changed("scope.consecutive_failures_max", "3")
    document = changed(path, value or "3", document)
    assert any("is given twice" in line for line in faults(document))


def test_object_given_twice_under_two_spellings_is_refused() -> None:
    """One object in two spellings is refused, not merged."""
    document = changed("scope.tradingHours", {"start": "09:00"})
    assert any("scope.trading_hours is given twice" in line for line in faults(document))


def test_other_name_reaching_into_a_text_is_refused() -> None:
    """A value whose place is inside an object does not replace a text that stands there."""
    document = changed("scope", "none", GUIDE_TREE)
    assert any("cannot stand beside" in line for line in faults(document))


def test_object_beside_another_name_into_it_is_joined() -> None:
    """The operator's object and the regulator id make one operator, in either order."""
    reference = {"operatorRegulatorId": "REF-9"}
    document = changed("operator", {"name": "Firm"}, GUIDE_TREE)
    del document["operatorRegulatorId"]
    for joined in (reference | document, document | reference):
        operator = register(joined).policy.operator
        assert ("Firm", "REF-9") == (operator.name, operator.authorisation_reference)


def test_value_that_would_replace_what_another_name_put_is_refused() -> None:
    """A list where the operator's object should be is not dropped in silence."""
    document = {"operatorRegulatorId": "REF-9", "operator": ["Firm"]}
    document |= {name: part for name, part in GUIDE_TREE.items() if not name.startswith("op")}
    assert any("operator is given twice" in line for line in faults(document))


@pytest.mark.parametrize("value", [["anomaly_0.85"], {"anomaly_": "0.85"}, None])
def test_kill_switch_automatic_that_is_no_text_is_refused(value: Any) -> None:
    """Only a text says what switches."""
    controls = GUIDE_TREE["riskControls"] | {"killSwitchAutomatic": value}
    lines = faults(GUIDE_TREE | {"riskControls": controls})
    assert any("is not written anomaly_0.85" in line for line in lines)


def test_null_is_an_empty_value_and_no_word() -> None:
    """Null does not become a name, nor "no limit"."""
    for path in ("operator.name", "scope.order_notional_max", "governance.documented_by"):
        data = json.dumps(changed(path, "@")).replace('"@"', "null").encode()
        assert faults(data) == [f"{path}: is empty"]


def test_list_or_object_in_place_of_a_value_is_named() -> None:
    """The report says what stands there and what is wanted."""
    assert faults(changed("agent", ["a"])) == ["agent: is a list; one value is wanted"]
    assert faults(changed("agent", {"a": "b"})) == ["agent: is an object; one value is wanted"]
    assert faults(changed("scope.regions", {"r": "x"})) == ["scope.regions: is not a list"]


def test_document_of_the_largest_size_is_read() -> None:
    """The bound itself is allowed."""
    data = json.dumps(PRODUCTION).encode()
    assert register(data.ljust(DOCUMENT_BYTES_MAX)).sha256 == register(data).sha256


def leaf_paths(value: Any, path: str = "") -> list[str]:
    """Paths of all parts of a policy that are not objects."""
    if not isinstance(value, dict):
        return [path]
    return [leaf for name, part in value.items() for leaf in leaf_paths(part, f"{path}.{name}")]


FULL = msgspec.json.decode(register(PRODUCTION).canonical)


@pytest.mark.parametrize("path", [path.lstrip(".") for path in leaf_paths(FULL)])
def test_one_bad_value_is_one_fault_of_its_own_field(path: str) -> None:
    """Rules that need a field with a fault say nothing; the others still run."""
    bad: Any = ["?", "?"]
    data = canonical(changed(path, bad, FULL))
    with pytest.raises(MalformedInput) as caught:
        policy_from_canonical(data)
    assert path in {line.split(":")[0].split("[")[0] for line in str(caught.value).split("\n")[1:]}
    frozen = ("scope.zone_offsets", "governance.review_due", "testing.fitness_due")
    stated = FULL
    for name in frozen:
        stated = changed(name, None, stated)
    if path not in frozen:
        lines = faults(changed(path, bad, stated))
        assert {path} == {line.split(":")[0].split("[")[0] for line in lines}


def test_kill_switch_automatic_without_its_word_is_refused() -> None:
    """The automatic switch must say that it is about the anomaly score."""
    document = changed("riskControls.killSwitchAutomatic", "0.85", GUIDE_TREE)
    assert any("is not written anomaly_0.85" in line for line in faults(document))


def test_faults_of_all_kinds_are_reported_together() -> None:
    """A bad value, an unknown or missing field, a broken rule, an unknown zone: one report."""
    document = changed("agent", "Not A Name")
    document = changed("extra", "1", document)
    document = changed("scope.regions", None, document)
    document = changed("risk_controls.breaker_threshold", "0.9", document)
    document = changed("scope.time_zone", "Europe/Nowhere", document)
    found = {line.split(":")[0] for line in faults(document)}
    assert found == {
        "agent",
        "extra",
        "scope.regions",
        "risk_controls.breaker_threshold",
        "scope.time_zone",
    }


def test_faults_without_number_are_told_up_to_a_hundred() -> None:
    """A document of nothing but faults gets a report of bounded length."""
    lines = faults({f"field{number}": "x" for number in range(3_000)})
    assert (101, "and 2904 more") == (len(lines), lines[-1])
    assert 100 == len(faults({f"field{number}": "x" for number in range(96)}))


def test_fault_names_the_field_as_it_was_written() -> None:
    """Who wrote maxTransactionSize reads maxTransactionSize."""
    lines = faults(changed("scope.maxTransactionSize", "1e5", GUIDE_TREE))
    assert lines[0].startswith("scope.maxTransactionSize (scope.order_notional_max): '1e5'")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "not one object"),
        (b'"agent"', "not one object"),
        (b'{"agent":"a","agent":"b"}', "given twice"),
        (b'{"scope":{"currency":"EUR","currency":"USD"}}', "given twice"),
        (b'{"version":NaN}', "is no number"),
        (b'{"version":-Infinity}', "is no number"),
        (b'{"agent":"\xff"}', "not UTF-8"),
        (b'\xef\xbb\xbf{"agent":"a"}', "not JSON"),
        (b'{"agent":"\\ud800"}', "not UTF-8"),
        (b"[" * 30_000, "nested too deeply"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested more than 8"),
        (b" " * (DOCUMENT_BYTES_MAX + 1), "more than 65536 bytes"),
    ],
)
def test_json_that_is_no_document_is_refused(data: bytes, message: str) -> None:
    """What two readers could read differently, or nobody should read, is refused as a whole."""
    with pytest.raises(MalformedInput, match=message):
        register(data)


def test_document_in_an_unknown_form_is_refused() -> None:
    """A form without a reader is a setting's mistake, not an empty policy."""
    other: Any = "toml"
    with pytest.raises(ConfigurationInvalid, match="no reader"):
        register(b"{}", form=other)
    forms: tuple[Any, ...] = ("toml", "yaml")
    for form in forms:
        with pytest.raises(ConfigurationInvalid, match="no reader"):
            read_policy(
                b"{}",
                form=form,
                registered_at_ns=NOW,
                zone_offsets=zone_offsets,
            )


def test_policy_too_large_for_a_log_entry_is_refused() -> None:
    """A policy that no entry could hold is refused when it is registered."""
    document = changed("scope.counterparties", [f"c{number:063d}" for number in range(64)])
    document = changed("scope.venues", [f"v{number:063d}" for number in range(64)], document)
    document = changed("scope.regions", [f"r{number:063d}" for number in range(64)], document)
    document = changed(
        "scope.trading_hours.holidays",
        [f"20{year:02d}-{month:02d}-01" for year in range(30, 60) for month in range(1, 13)],
        document,
    )
    with pytest.raises(MalformedInput, match="bytes, at most 16384"):
        register(document)


def test_fields_of_registration_are_refused_in_a_document() -> None:
    """Nobody brings his own transitions of a zone, or his own end of the review day."""
    rows = [{"since": "2020-01-01T00:00:00.000000000Z", "utc_offset_s": "0"}]
    for path, value in (
        ("scope.zone_offsets", rows),
        ("governance.review_due", "2030-01-01T00:00:00.000000000Z"),
        ("testing.fitness_due", "2030-01-01T00:00:00.000000000Z"),
    ):
        assert faults(changed(path, value)) == [f"{path}: is written by registration; leave it out"]


def test_description_shows_every_field_from_the_signed_bytes() -> None:
    """Every value of the canonical policy has a row, after the digest that is signed."""
    registration = register(PRODUCTION)
    rows = describe(registration)
    assert ("policy_sha256", sha256_hex(registration.canonical)) == rows[0]
    shown = dict(rows)

    def leaves(path: str, value: Any) -> list[tuple[str, str]]:
        if isinstance(value, dict):
            parts = [(f"{path}.{name}".lstrip("."), part) for name, part in value.items()]
        elif isinstance(value, list):
            parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
        else:
            return [(path, str(value).lower() if isinstance(value, bool) else str(value))]
        return [leaf for name, part in parts for leaf in leaves(name, part)]

    expected = leaves("", msgspec.json.decode(registration.canonical))
    assert expected == [(path, shown[path]) for path, _ in expected]
    assert "15 s" == shown["worst-case stop when cut off"]
    assert {("note", note) for note in registration.notes} <= set(rows)
    for default in registration.defaults:
        assert f"{default.value} ({default.why})" == shown[f"default for {default.path}"]


def test_description_of_an_empty_list_says_so() -> None:
    """An empty list is a row, not an omission."""
    assert ("scope.trading_hours.holidays", "(empty list)") in describe(register(GUIDE))


def test_description_of_other_bytes_than_signed_is_refused() -> None:
    """A policy shown under the digest of another one is refused."""
    shown, approved = register(GUIDE), register(PRODUCTION)
    swapped = msgspec.structs.replace(shown, sha256=approved.sha256)
    with pytest.raises(VerificationFailed, match="not the digest of the policy shown"):
        describe(swapped)


@pytest.mark.parametrize(
    ("path", "value", "note"),
    [
        ("scope.order_notional_max", "600000", "above scope.daily_notional_max"),
        ("governance.next_review", "2026-05-14", "next_review 2026-05-14 is over"),
        ("testing.fitness_test_due", "2026-05-14", "fitness_test_due 2026-05-14 is over"),
        ("governance.last_review", "2026-05-16", "is in the future"),
        ("governance.approved_by", ["ceo"], "further approvers of the roster must sign"),
        ("scope.counterparties", "none", "scope.counterparties is none: no limit"),
        (
            "scope.order_quantity_max",
            [{"market": "EUR/USD", "currency": "EUR", "max": "1"}],
            "no row for GBP/EUR",
        ),
    ],
)
def test_notes_tell_what_is_easily_overlooked(path: str, value: Any, note: str) -> None:
    """What is allowed and surprising is said to whoever approves."""
    plain = changed("testing.fitness_test_due", "2026-06-01")
    plain = changed("scope.counterparties", ["A"], plain)
    assert not any(note in line for line in register(plain).notes)
    assert any(note in line for line in register(changed(path, value, plain)).notes)


def test_notes_are_silent_at_their_bounds() -> None:
    """An order as large as the day's limit, and a review of today, surprise nobody."""
    document = changed("scope.order_notional_max", "500000")
    document = changed("governance.last_review", "2026-05-15", document)
    notes = "\n".join(register(document).notes)
    assert "above" not in notes
    assert "in the future" not in notes


def test_notes_tell_an_lei_of_zeros() -> None:
    """Twenty zeros never pass without being named."""
    assert any("twenty zeros, which is no LEI" in note for note in register(GUIDE).notes)


def test_registration_bytes_are_the_policy() -> None:
    """Bytes, digest and policy of a registration are of one thing."""
    registration = register(PRODUCTION)
    assert registration.canonical == canonical(registration.policy)
    assert registration.sha256 == sha256_hex(registration.canonical)


def test_validity_begins_at_the_second_of_registration() -> None:
    """The fraction of a second is cut off, so the policy is in force at once."""
    assert NOW // NS * NS == parse_instant(register(GUIDE).policy.valid_from)
