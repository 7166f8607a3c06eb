# SPDX-License-Identifier: Apache-2.0
"""Commands of persons, and who may do what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.governance.commands import (
    COMMAND_AGE_MAX_S,
    COMMAND_AHEAD_MAX_S,
    SIGNED_BYTES_MAX,
    Reach,
    SignedCommand,
    authorise_commands,
    check_command,
    command_message,
    parse_signed_command,
    signed_command_text,
    verify_command,
)
from sekisho.core.governance.duties import DUTIES, authorise, check_separation
from sekisho.core.governance.roster import Seat
from sekisho.core.terms import NS, format_instant
from tests.unit.core.governance.samples import KEYS, NOW, ROSTER, command, seat, sign, signed

SOON = format_instant(NOW + 60 * NS)
PERSONS: dict[str, Seat] = {row.role: row for row in ROSTER.seats}
ALL_ROLES = ("approver", "compliance", "risk", "trader", "developer", "operator", "issuer")


def test_command_message_is_context_and_canonical_json() -> None:
    """Only what is set is in the bytes, so any program can sign them."""
    given = command("hold", "risk_lead", roster_sha256="0" * 64, nonce="1" * 32)
    assert (
        b'sekisho/command/v1\n{"agent":"algo_trader_v2","command":"hold",'
        b'"commanded_at":"2026-05-15T09:15:00.123456789Z",'
        b'"nonce":"11111111111111111111111111111111","reason_code":"false_alarm",'
        b'"roster_sha256":"' + b"0" * 64 + b'","seat":"risk_lead"}'
    ) == command_message(given)


@pytest.mark.parametrize(
    "kind",
    ["kill", "hold", "shutdown", "revoke", "acknowledge", "release", "rearm", "go_live"],
)
def test_signed_command_text_reads_back_and_verifies(kind: str) -> None:
    """What a log carries verbatim is the command that was signed."""
    given = signed(command(kind, "risk_lead"))
    again = parse_signed_command(signed_command_text(given))
    assert given == again
    assert seat("risk_lead") == verify_command(again, ROSTER, NOW)


@pytest.mark.parametrize(
    ("kind", "other", "message"),
    [
        ("hold", {"agent": "Algo"}, "agent"),
        ("hold", {"agent": msgspec.UNSET}, "exactly one of agent and scope"),
        ("kill", {"scope": Reach(kind="all", name="all")}, "exactly one of agent and scope"),
        ("hold", {"reason_code": "It was odd"}, "reason_code"),
        ("hold", {"reason_code": ""}, "reason_code"),
        ("hold", {"seat": "A Name"}, "seat"),
        ("hold", {"roster_sha256": "0" * 63}, "roster_sha256"),
        ("hold", {"nonce": "1" * 31}, "nonce"),
        ("hold", {"nonce": "1" * 32 + "\n"}, "nonce"),
        ("hold", {"commanded_at": "now"}, "commanded_at"),
        ("hold", {"latch": "circuit_breaker"}, "latch"),
        ("rearm", {"latch": msgspec.UNSET}, "latch"),
        ("hold", {"mode": "cancel_only"}, "mode: is wanted in shutdown"),
        ("shutdown", {"mode": msgspec.UNSET}, "mode: is wanted in shutdown"),
        ("release", {"epoch": msgspec.UNSET}, "epoch: is wanted in release"),
        ("rearm", {"epoch": msgspec.UNSET}, "epoch: is wanted in rearm"),
        ("hold", {"epoch": -1}, "epoch"),
        ("hold", {"epoch": 2**53}, "epoch|out of range"),
        (
            "release",
            {"agent": msgspec.UNSET, "scope": Reach(kind="all", name="all")},
            "release is for one agent",
        ),
        ("acknowledge", {"incident": msgspec.UNSET}, "incident: is wanted in acknowledge"),
        ("acknowledge", {"incident": "1" * 31}, "incident"),
        ("acknowledge", {"disposition": msgspec.UNSET}, "disposition: is wanted in acknowledge"),
        ("acknowledge", {"disposition": "nothing"}, "disposition"),
        ("acknowledge", {"revoke_at": SOON}, "revoke_at: is for an acknowledgement as fault"),
        ("acknowledge", {"disposition": "fault", "revoke_at": "soon"}, "revoke_at"),
        ("acknowledge", {"baseline_sha256": "b" * 64}, "baseline_sha256: is wanted in go_live"),
        ("release", {"disposition": "fault"}, "disposition: is wanted in acknowledge"),
        ("hold", {"incident": "1" * 32}, "incident: is not wanted in hold"),
        ("kill", {"incident": "1" * 32}, "incident: is not wanted in kill"),
        ("revoke", {"incident": "1" * 32}, "incident: is not wanted in revoke"),
        ("go_live", {"incident": "1" * 32}, "incident: is not wanted in go_live"),
        ("go_live", {"baseline_sha256": msgspec.UNSET}, "baseline_sha256: is wanted in go_live"),
        ("go_live", {"baseline_sha256": "b" * 63}, "baseline_sha256"),
        ("go_live", {"epoch": msgspec.UNSET}, "epoch: is wanted in go_live"),
        ("go_live", {"latch": "circuit_breaker"}, "latch"),
        (
            "go_live",
            {"agent": msgspec.UNSET, "scope": Reach(kind="all", name="all")},
            "go_live is for one agent",
        ),
        (
            "kill",
            {"agent": msgspec.UNSET, "scope": Reach(kind="all", name="PAPER")},
            "scope.name",
        ),
        (
            "kill",
            {"agent": msgspec.UNSET, "scope": Reach(kind="venue", name="")},
            "scope.name",
        ),
    ],
)
def test_command_that_is_not_well_made_is_refused(
    kind: str, other: dict[str, Any], message: str
) -> None:
    """Each rule by a command that breaks it; there is nothing to sign and nothing to verify."""
    given = command(kind, "risk_lead", **other)
    for act in (
        lambda: check_command(given),
        lambda: command_message(given),
        lambda: verify_command(SignedCommand(command=given, signature=""), ROSTER, NOW),
        lambda: parse_signed_command(
            canonical(SignedCommand(command=given, signature="")).decode()
        ),
    ):
        with pytest.raises(MalformedInput, match=message):
            act()


def test_kill_and_hold_reach_more_than_one_agent() -> None:
    """A venue, or everything, can be stopped by one command."""
    for reach in (Reach(kind="venue", name="PAPER"), Reach(kind="all", name="all")):
        for kind in ("kill", "hold"):
            given = command(kind, "risk_lead", agent=msgspec.UNSET, scope=reach)
            assert seat("risk_lead") == verify_command(signed(given), ROSTER, NOW)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("acknowledge", {"disposition": "fault", "revoke_at": SOON}),
        ("acknowledge", {"disposition": "false_alarm"}),
        ("release", {"incident": "1" * 32}),
        ("rearm", {"incident": "1" * 32}),
    ],
)
def test_command_may_say_what_its_incident_needs(kind: str, other: dict[str, Any]) -> None:
    """Fields that are optional are signed and read back with the rest."""
    given = signed(command(kind, "risk_lead", **other))
    assert given == parse_signed_command(signed_command_text(given))


TEXT = signed_command_text(signed(command("hold", "risk_lead")))


@pytest.mark.parametrize(
    "text",
    [
        TEXT + " ",
        TEXT.replace('"hold"', '"shutdown"'),
        TEXT.replace('"seat"', '"epoch":null,"seat"'),
        TEXT.replace('"seat"', '"who":"x","seat"'),
        TEXT.replace('{"command":{', '{"a":1,"command":{'),
        "{}",
        "",
        "\ud800",
    ],
)
def test_signed_command_text_in_another_form_is_refused(text: str) -> None:
    """Unknown fields and commands, other spellings, no text at all."""
    assert text != TEXT
    with pytest.raises(MalformedInput):
        parse_signed_command(text)


def test_command_changed_after_signing_fails() -> None:
    """Every field is under the signature."""
    given = signed(command("rearm", "risk_lead"))
    for change in (
        {"command": "release", "latch": msgspec.UNSET},
        {"agent": "another"},
        {"reason_code": "other"},
        {"seat": "compliance_lead"},
        {"nonce": "2" * 32},
        {"epoch": 8},
        {"latch": "repeated_executions"},
        {"commanded_at": format_instant(NOW + 1)},
    ):
        other = msgspec.structs.replace(given.command, **change)
        with pytest.raises(VerificationFailed, match="does not hold"):
            verify_command(msgspec.structs.replace(given, command=other), ROSTER, NOW)


def test_command_signed_for_another_purpose_fails() -> None:
    """A signature over the same object without the context line is none."""
    given = command("hold", "risk_lead")
    bare = SignedCommand(command=given, signature=sign(KEYS["risk_lead"], canonical(given)))
    with pytest.raises(VerificationFailed, match="does not hold"):
        verify_command(bare, ROSTER, NOW)


def test_command_under_another_roster_or_seat_fails() -> None:
    """A roster that is no longer in force, and a seat that it does not have."""
    with pytest.raises(VerificationFailed, match="another roster"):
        verify_command(signed(command("hold", "risk_lead", roster_sha256="0" * 64)), ROSTER, NOW)
    stranger = command("hold", "stranger")
    forged = SignedCommand(
        command=stranger, signature=sign(KEYS["risk_lead"], command_message(stranger))
    )
    with pytest.raises(VerificationFailed, match="no seat"):
        verify_command(forged, ROSTER, NOW)


def test_command_is_fresh_for_five_minutes() -> None:
    """At both bounds it holds, a nanosecond outside it does not."""
    given = signed(command("release", "risk_lead", epoch=1))
    for moment in (NOW + COMMAND_AGE_MAX_S * NS, NOW - COMMAND_AHEAD_MAX_S * NS):
        assert seat("risk_lead") == verify_command(given, ROSTER, moment)
    for moment in (NOW + COMMAND_AGE_MAX_S * NS + 1, NOW - COMMAND_AHEAD_MAX_S * NS - 1):
        with pytest.raises(VerificationFailed, match="not fresh"):
            verify_command(given, ROSTER, moment)


@pytest.mark.parametrize("kind", ["kill", "hold", "revoke"])
def test_command_that_only_stops_counts_however_old_it_is(kind: str) -> None:
    """Log time may be hours ahead of people's clocks: they can stop all the same, not foretell."""
    given = signed(command(kind, "risk_lead"))
    assert seat("risk_lead") == verify_command(given, ROSTER, NOW + 86_400 * NS)
    with pytest.raises(VerificationFailed, match="not fresh"):
        verify_command(given, ROSTER, NOW - COMMAND_AHEAD_MAX_S * NS - 1)


@pytest.mark.parametrize("kind", ["release", "rearm"])
def test_release_and_rearm_by_compliance_and_risk_are_authorised(kind: str) -> None:
    """Two people of the two roles, over the same act."""
    both = [signed(command(kind, who)) for who in ("compliance_lead", "risk_lead")]
    assert (seat("compliance_lead"), seat("risk_lead")) == authorise_commands(both, ROSTER, NOW)


def test_commands_that_differ_in_what_they_say_are_refused() -> None:
    """Two people who agree on different things have not agreed."""
    first = signed(command("rearm", "compliance_lead"))
    for other in (
        {"epoch": 8},
        {"latch": "repeated_executions"},
        {"agent": "another"},
        {"reason_code": "other"},
    ):
        with pytest.raises(NotAuthorised, match="do not say the same"):
            authorise_commands([first, signed(command("rearm", "risk_lead", **other))], ROSTER, NOW)


def test_commands_with_one_nonce_are_refused() -> None:
    """Two commands have two nonces, so that each can be used once."""
    both = [
        signed(command("release", who, nonce="3" * 32)) for who in ("compliance_lead", "risk_lead")
    ]
    with pytest.raises(NotAuthorised, match="same nonce"):
        authorise_commands(both, ROSTER, NOW)


def test_commands_of_which_one_is_forged_are_refused() -> None:
    """One good signature does not carry another."""
    good, other = (signed(command("release", who)) for who in ("compliance_lead", "risk_lead"))
    forged = msgspec.structs.replace(other, signature=good.signature)
    with pytest.raises(VerificationFailed):
        authorise_commands([good, forged], ROSTER, NOW)


@pytest.mark.parametrize(
    ("kind", "who"),
    [("release", "risk_lead"), ("rearm", "compliance_lead"), ("kill", "coder")],
)
def test_commands_of_people_who_may_not_are_refused(kind: str, who: str) -> None:
    """A good signature is not enough: the table of duties decides."""
    with pytest.raises(NotAuthorised, match="not authorised"):
        authorise_commands([signed(command(kind, who))], ROSTER, NOW)


def test_signed_command_text_beyond_its_size_is_refused_unread() -> None:
    """The bound holds before anything is parsed, and not a character earlier."""
    for length, message in ((SIGNED_BYTES_MAX, "not JSON"), (SIGNED_BYTES_MAX + 1, "4096")):
        with pytest.raises(MalformedInput, match=message):
            parse_signed_command(" " * length)


def test_no_commands_authorise_nothing() -> None:
    """Nobody's word is no word."""
    with pytest.raises(NotAuthorised, match="nobody"):
        authorise_commands([], ROSTER, NOW)


# -- duties -------------------------------------------------------------------------------------

EXPECTED = {
    "kill": {"compliance", "risk", "operator", "approver"},
    "hold": {"compliance", "risk", "operator", "approver"},
    "shutdown": {"compliance", "risk", "operator", "approver"},
    "acknowledge": {"compliance", "risk"},
    "go_live": {"compliance", "risk"},
    "revoke": {"compliance", "risk", "issuer"},
    "release": set(),
    "rearm": set(),
    "approve": {"approver"},
    "issue": {"issuer"},
    "operate": {"operator"},
    "assign": {"operator"},
    "assign_lost": set(),
}
"""Act → roles that may do it alone."""


def test_duties_table_has_exactly_the_documented_acts() -> None:
    """An act that is not in the table, nobody may do."""
    assert set(EXPECTED) == set(DUTIES)
    with pytest.raises(NotAuthorised, match="nobody may do this"):
        authorise("abdicate", [PERSONS["risk"]])


@pytest.mark.parametrize("act", sorted(EXPECTED))
def test_one_person_alone_may_do_what_the_table_says(act: str) -> None:
    """Every act times every role: allowed exactly where the specification says so."""
    allowed = set()
    for role in ALL_ROLES:
        try:
            authorise(act, [PERSONS[role]])
        except NotAuthorised:
            continue
        allowed.add(role)
    assert EXPECTED[act] == allowed


@pytest.mark.parametrize("act", ["acknowledge", "go_live", "release", "rearm", "kill"])
@pytest.mark.parametrize("role", ["developer", "trader"])
def test_developer_or_trader_beside_those_who_may_is_refused(act: str, role: str) -> None:
    """Who develops or trades the agent takes no part, not even as one more."""
    with pytest.raises(NotAuthorised, match=f"is {role}"):
        authorise(act, [PERSONS["compliance"], PERSONS["risk"], PERSONS[role]])


@pytest.mark.parametrize("act", ["release", "rearm"])
def test_two_people_of_one_role_do_not_lift_a_stop(act: str) -> None:
    """Two of compliance are not compliance and risk."""
    other = Seat(seat="second", role="compliance", public_key=seat("ceo").public_key)
    with pytest.raises(NotAuthorised, match="nobody with the role risk"):
        authorise(act, [PERSONS["compliance"], other])


def test_one_person_on_two_seats_does_not_lift_a_stop() -> None:
    """One key under two names, or one name twice, is one person."""
    twin = Seat(seat="twin", role="risk", public_key=PERSONS["compliance"].public_key)
    with pytest.raises(NotAuthorised, match="a key stands twice"):
        authorise("release", [PERSONS["compliance"], twin])
    same = Seat(seat="compliance_lead", role="risk", public_key=PERSONS["risk"].public_key)
    with pytest.raises(NotAuthorised, match="a seat stands twice"):
        authorise("release", [PERSONS["compliance"], same])


@pytest.mark.parametrize("act", sorted(EXPECTED))
def test_nobody_is_not_enough(act: str) -> None:
    """No act is done by no one."""
    with pytest.raises(NotAuthorised, match="nobody signed"):
        authorise(act, [])


def test_separate_duties_pass() -> None:
    """Four parts, all different people."""
    check_separation(proposer="a", approvers=["b", "c"], issuer="d", operator="e")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("a", ["a"], "d", "e"), "'a' is proposer and approver"),
        (("a", ["b"], "a", "e"), "'a' is proposer and issuer"),
        (("a", ["b"], "d", "a"), "'a' is proposer and operator"),
        (("a", ["b", "d"], "d", "e"), "'d' is issuer and approver"),
        (("a", ["b", "e"], "d", "e"), "'e' is operator and approver"),
        (("a", ["b"], "d", "d"), "'d' is issuer and operator"),
        (("a", ["b", "b"], "d", "e"), "'b' is approver and approver"),
    ],
)
def test_two_parts_of_one_seat_are_refused(
    parts: tuple[str, list[str], str, str], message: str
) -> None:
    """Each pair of parts that one person could play."""
    proposer, approvers, issuer, operator = parts
    with pytest.raises(NotAuthorised, match=message):
        check_separation(proposer=proposer, approvers=approvers, issuer=issuer, operator=operator)
