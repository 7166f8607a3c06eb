# SPDX-License-Identifier: Apache-2.0
"""The authority's register: what the fold keeps, and entries that no lawful authority writes."""

from __future__ import annotations

import re

import msgspec
import pytest

from sekisho.core.encoding import b64
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import (
    AuthorityEntry,
    RosterChanged,
)
from sekisho.core.identity.commanded import read_command
from sekisho.core.identity.lawful import LAWFUL, REASONS_BY_CODE, REVOCATION_REASONS
from sekisho.core.identity.status import REASONS, Status, may_change
from sekisho.core.terms import NS
from tests.unit.core.identity.entries import (
    APPROVED,
    CERTIFIED,
    HELD,
    KILLED,
    RESOLUTION_SHA,
    REVOKED,
    ROSTER,
    ROSTER_SHA,
    START,
    approval,
    at,
    booted,
    changed,
    command,
    crl,
    digest,
    fold,
    founded,
    given,
    issued,
    log_key,
    registered,
    resolved,
)


def test_register_whole_life_is_folded() -> None:
    """Each kind of entry leaves what later questions need."""
    state = fold(
        [
            *HELD,
            changed("release", "good", 2),
            changed("revoke", "revoked", 3),
            crl(),
            issued(2),
            log_key(),
            booted(),
            booted("b2", tree_size=5, root_hash=b64(b"1" * 32)),
        ]
    )
    first, second = state.agents["bot"]
    assert (state.environment, state.issuing_certificate) == ("test", b"issuing")
    assert (first.status, first.reason, first.epoch) == ("revoked", "privilegeWithdrawn", 3)
    assert (second.status, second.epoch, second.index) == ("good", 0, 9)
    assert state.active("bot", START) is second
    assert (state.epoch, state.agent_epoch("bot"), state.agent_epoch("other")) == (3, 3, 0)
    assert [record.serial_number for record in state.not_good()] == ["01"]
    assert ("risk", f"{30:032x}") in state.used_nonces
    assert (state.crl_numbers, state.log_keys) == ({0: 1}, {"gate": b"log"})
    gate = state.gates["g1"]
    assert (gate.boot, gate.tree_size, gate.earlier) == ("b2", 5, {"b1"})
    assert (state.size, state.at) == (13, START + NS)


UNLAWFUL: dict[str, tuple[list[AuthorityEntry], AuthorityEntry]] = {
    "not founded": ([], registered()),
    "founded twice": ([founded()], founded()),
    "time falls": ([founded(at=at(9))], registered()),
    "roster digest": ([], founded(roster_sha256="0" * 64)),
    "roster without seats": ([], founded(roster={}, roster_sha256=digest({}))),
    "certificate not base64": ([], founded(root_certificate="?")),
    "policy digest": ([founded()], registered(policy_sha256="0" * 64)),
    "policy of another agent": ([founded()], registered(agent="other")),
    "policy twice": ([founded(), registered()], registered()),
    "approval of no policy": ([founded()], given()),
    "approval over another policy": (
        [founded(), registered()],
        msgspec.structs.replace(given(), approval={"policy_sha256": "0" * 64}),
    ),
    "approval twice": ([founded(), registered(), given()], given()),
    "resolution of no policy": ([founded()], resolved()),
    "resolution digest": (
        APPROVED[:3],
        msgspec.structs.replace(resolved(), resolution_sha256="0" * 64),
    ),
    "resolution over another policy": (APPROVED[:3], resolved(policy_sha256="0" * 64)),
    "resolution by another roster": (APPROVED[:3], resolved(roster_sha256="0" * 64)),
    "resolution without approvals": (APPROVED[:3], resolved(approvals=[])),
    "resolution by approval not given": (APPROVED[:3], resolved(approval("cfo"))),
    "resolution twice": (APPROVED, resolved()),
    "issued without policy": ([founded()], issued()),
    "issued for another agent": (APPROVED, issued(agent="other")),
    "issued without resolution": (APPROVED[:3], issued()),
    "issued by another resolution": (APPROVED, issued(resolution_sha256="0" * 64)),
    "certificate digest": (APPROVED, issued(certificate_sha256="0" * 64)),
    "issued expired": (APPROVED, issued(at=at(1000))),
    "never valid": (APPROVED, issued(not_before=at(1000))),
    "second active": (CERTIFIED, issued(2)),
    "second active while held": (HELD, issued(2)),
    "serial twice": (REVOKED, issued(2, serial_number="01")),
    "serial of a log certificate": ([*APPROVED, log_key(serial="01")], issued()),
    "issued after kill": (KILLED, issued(2)),
    "resolved after kill by old approvals": (KILLED, resolved(mark=1)),
    "status of nothing": (APPROVED, changed("hold", "hold", 1)),
    "status with another serial": (CERTIFIED, changed("hold", "hold", 1, serial_number="02")),
    "status of another agent": (CERTIFIED, changed("hold", "hold", 1, agent="other")),
    "epoch skipped": (CERTIFIED, changed("hold", "hold", 2)),
    "epoch repeated": (HELD, changed("revoke", "revoked", 1, nonce=99)),
    "revoked to good": (REVOKED, changed("release", "good", 2)),
    "revoked to hold": (REVOKED, changed("hold", "hold", 2)),
    "revoked twice": (REVOKED, changed("revoke", "revoked", 2)),
    "good to good": (CERTIFIED, changed("release", "good", 1)),
    "hold to hold": (HELD, changed("hold", "hold", 2)),
    "release by a kill": (HELD, changed("kill", "good", 2)),
    "hold with another reason": (CERTIFIED, changed("hold", "hold", 1, reason="superseded")),
    "revoked as a hold": (
        CERTIFIED,
        changed("revoke", "revoked", 1, reason="certificateHold"),
    ),
    "good with a reason": (HELD, changed("release", "good", 2, reason="unspecified")),
    "no command": (CERTIFIED, changed("hold", "hold", 1, seats=(), commands=())),
    "seats of others": (CERTIFIED, changed("hold", "hold", 1, seats=("comp",))),
    "one person twice": (
        HELD,
        changed(
            "release",
            "good",
            2,
            seats=("comp", "comp"),
            commands=(command("release", "comp", 91), command("release", "comp", 92)),
        ),
    ),
    "release by one": (
        HELD,
        changed("release", "good", 2, seats=("comp",), commands=(command("release", "comp", 91),)),
    ),
    "release by one role": (
        HELD,
        changed(
            "release",
            "good",
            2,
            seats=("comp", "comp2"),
            commands=(command("release", "comp", 91), command("release", "comp2", 92)),
        ),
    ),
    "command of something else": (
        CERTIFIED,
        changed("hold", "hold", 1, commands=(command("kill", "risk", 91),)),
    ),
    "command for another agent": (
        CERTIFIED,
        changed("hold", "hold", 1, commands=(command("hold", "risk", 91, agent="other"),)),
    ),
    "command no JSON": (CERTIFIED, changed("hold", "hold", 1, commands=("?",))),
    "command without seat": (
        CERTIFIED,
        changed("hold", "hold", 1, commands=(command("hold", None, 1),)),
    ),
    "command no object": (CERTIFIED, changed("hold", "hold", 1, commands=("[]",))),
    "command of a number": (
        CERTIFIED,
        changed("hold", "hold", 1, commands=(command("hold", "risk", 1, agent=7),)),
    ),
    "nonce used": (
        [*HELD, changed("release", "good", 2)],
        changed("hold", "hold", 3, nonce=10),
    ),
    "crl number skipped": (CERTIFIED, crl(2)),
    "crl number repeated": ([*CERTIFIED, crl()], crl()),
    "crl without time": (CERTIFIED, crl(next_update=at(1))),
    "log key twice": ([founded(), log_key()], log_key(serial="bb")),
    "serial of log key twice": ([founded(), log_key()], log_key("other")),
    "roster unchanged": (
        [founded()],
        RosterChanged(at=at(1), roster=ROSTER, roster_sha256=ROSTER_SHA, approvals=({},)),
    ),
    "gate without certified log": ([founded()], booted()),
    "gate with short root": ([founded(), log_key()], booted(root_hash=b64(b"1"))),
    "boot again": ([founded(), log_key(), booted()], booted()),
    "earlier boot again": (
        [founded(), log_key(), booted(), booted("b2")],
        booted(),
    ),
    "gate shrunk": ([founded(), log_key(), booted()], booted("b2", tree_size=2)),
    "gate forked": ([founded(), log_key(), booted()], booted("b2", root_hash=b64(b"1" * 32))),
    "gate with another log": (
        [founded(), log_key(), log_key("log2", "bb"), booted()],
        booted("b2", origin="log2"),
    ),
    "log with another gate": ([founded(), log_key(), booted()], booted("b2", gate="g2")),
}

SAYS = {
    "not founded": "a log begins with its foundation, and has one",
    "founded twice": "a log begins with its foundation, and has one",
    "time falls": "its time lies before the entry before",
    "roster digest": "the digest is not the roster's",
    "roster without seats": "a roster has seats with their roles",
    "certificate not base64": "not base64: Only base64 data is allowed",
    "policy digest": "the digest is not the policy's",
    "policy of another agent": "the policy is another agent's",
    "policy twice": "this policy is registered",
    "approval of no policy": "this policy is not registered",
    "approval over another policy": "the approval is over another policy",
    "approval twice": "this approval was given before",
    "resolution of no policy": "this policy is not registered",
    "resolution digest": "the digest is not the resolution's",
    "resolution over another policy": "the resolution is over another policy",
    "resolution by another roster": "the resolution is by another roster than the one in force",
    "resolution without approvals": "the resolution has an approval that was not given",
    "resolution by approval not given": "the resolution has an approval that was not given",
    "resolution twice": "this policy has a resolution by this roster",
    "issued without policy": "this policy is not registered",
    "issued for another agent": "the policy is another agent's",
    "issued without resolution": "the policy has no such resolution",
    "issued by another resolution": "the policy has no such resolution",
    "certificate digest": "the digest is not the certificate's",
    "issued expired": "the certificate has expired or is never valid",
    "never valid": "the certificate has expired or is never valid",
    "second active": "'bot' has the certificate 01 (good)",
    "second active while held": "'bot' has the certificate 01 (hold)",
    "serial twice": "the serial number was used before",
    "serial of a log certificate": "the serial number was used before",
    "issued after kill": "'bot' was killed after policy",
    "resolved after kill by old approvals": "the resolution has an approval that was not given",
    "status of nothing": "this certificate was never issued",
    "status with another serial": "agent or serial number is not the certificate's",
    "status of another agent": "agent or serial number is not the certificate's",
    "epoch skipped": "the epoch should be 1",
    "epoch repeated": "the epoch should be 2",
    "revoked to good": "'release' cannot make good of revoked",
    "revoked to hold": "'hold' cannot make hold of revoked",
    "revoked twice": "'revoke' cannot make revoked of revoked",
    "good to good": "'release' cannot make good of good",
    "hold to hold": "'hold' cannot make hold of hold",
    "release by a kill": "'kill' cannot make good of hold",
    "hold with another reason": "'superseded' is not its reason",
    "revoked as a hold": "'certificateHold' is not its reason",
    "good with a reason": "'unspecified' is not its reason",
    "no command": "too few people, or too few roles, commanded it",
    "seats of others": "the seats are not those of the commands",
    "one person twice": "one person counts once",
    "release by one": "too few people, or too few roles, commanded it",
    "release by one role": "too few people, or too few roles, commanded it",
    "command of something else": "a command asks for something else",
    "command for another agent": "a command asks for something else",
    "command no JSON": "not JSON: Expecting value at character 0",
    "command without seat": "a command has command, seat and nonce",
    "command no object": "not a signed command",
    "command of a number": "a command names an agent by its name",
    "nonce used": "a command was used before",
    "crl number skipped": "its number should be 1",
    "crl number repeated": "its number should be 2",
    "crl without time": "its next update is not after this one",
    "log key twice": "this origin has a certificate",
    "serial of log key twice": "the serial number was used before",
    "roster unchanged": "this roster is in force",
    "gate without certified log": "the origin has no certified key",
    "gate with short root": "not a size and a root of 32 bytes",
    "boot again": "this boot was before",
    "earlier boot again": "this boot was before",
    "gate shrunk": "the gate's log has shrunk",
    "gate forked": "the gate's log has another root at the same size",
    "gate with another log": "a gate has one log, and a log one gate",
    "log with another gate": "a gate has one log, and a log one gate",
}
"""What the finding says of each, so that none is found for another reason."""


@pytest.mark.parametrize("name", UNLAWFUL)
def test_register_unlawful_entry_is_found_and_changes_nothing(name: str) -> None:
    """A log that no lawful authority wrote does not fold, and the index is named."""
    before, entry = UNLAWFUL[name]
    state, twin = fold(before), fold(before)
    with pytest.raises(VerificationFailed, match=re.escape(f"{len(before)}: {SAYS[name]}")):
        state.apply(len(before), entry)
    assert msgspec.to_builtins(vars(twin)) == msgspec.to_builtins(vars(state))


def test_register_index_that_skips_is_found() -> None:
    """An entry that is missing in between is found."""
    with pytest.raises(VerificationFailed, match="should be entry 1"):
        fold([founded()]).apply(2, registered())


def test_register_roster_change_needs_approvals() -> None:
    """A roster changes by the approvals of the one before only."""
    roster = {"seats": [{"seat": "x", "role": "risk"}]}
    entry = RosterChanged(at=at(1), roster=roster, roster_sha256=digest(roster), approvals=())
    with pytest.raises(VerificationFailed, match="approvals only"):
        fold([founded(), entry])
    state = fold([founded(), msgspec.structs.replace(entry, approvals=({},))])
    assert (state.roster, state.roster_sha256) == (roster, digest(roster))


def test_register_one_act_changes_several_certificates_with_one_command() -> None:
    """The entries of one kill share its command; they follow one another."""
    expired = [*APPROVED, issued(not_after=at(2)), issued(2, at=at(2))]
    first = changed("kill", "revoked", 1, number=2, nonce=7, at=at(2))
    second = changed("kill", "revoked", 2, number=1, nonce=7, at=at(2))
    assert [one.status for one in fold([*expired, first, second]).agents["bot"]] == ["revoked"] * 2
    with pytest.raises(VerificationFailed, match="used before"):
        fold([*expired, first, crl(at=at(2)), second])


def test_register_replacement_after_revocation_or_expiry_is_lawful() -> None:
    """A new certificate may follow one that is revoked or has expired."""
    assert len(fold([*REVOKED, issued(2)]).agents["bot"]) == 2
    state = fold([*CERTIFIED, issued(2, at=at(1000), not_after=at(2000))])
    assert [record.status for record in state.agents["bot"]] == ["good", "good"]
    active = state.active("bot", START + 1000 * NS)
    assert active is not None
    assert active.serial_number == "02"


def test_register_issued_after_kill_needs_fresh_approvals() -> None:
    """Nothing lifts a kill but approvals that were given after it."""
    again = resolved(approval(mark=1))
    late = {"at": at(1), "resolution_sha256": again.resolution_sha256}
    entries = [
        *KILLED,
        msgspec.structs.replace(given(mark=1), at=at(1)),
        msgspec.structs.replace(again, at=at(1)),
        issued(2, **late),
    ]
    state = fold(entries)
    assert [record.status for record in state.agents["bot"]] == ["revoked", "good"]
    assert set(state.resolutions) == {RESOLUTION_SHA, again.resolution_sha256}


STATUSES: tuple[Status, ...] = ("good", "hold", "revoked")


def test_register_lawful_transitions_are_those_of_the_status_table() -> None:
    """The causes cover exactly the changes of status that there are."""
    changes = {(old, new) for _, old, new in LAWFUL}
    possible = {(old, new) for old in STATUSES for new in STATUSES if may_change(old, new)}
    assert possible == changes
    assert set(REASONS) - {"certificateHold"} == REVOCATION_REASONS
    assert set(REASONS_BY_CODE.values()) <= REVOCATION_REASONS


def test_register_command_of_all_agents_is_read() -> None:
    """A command that reaches all agents names none."""
    used = read_command(command("kill", "risk", 1, agent=None))
    assert (used.command, used.agent, used.seat) == ("kill", None, "risk")
