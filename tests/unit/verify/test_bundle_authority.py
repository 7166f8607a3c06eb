# SPDX-License-Identifier: Apache-2.0
"""An authority's log that is not lawful is found although everybody signed it (authority.md)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.verify.build_bundle import Draft, outcome
from tests.unit.verify.build_pki import END
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import LATER, at, b64, canonical, sha

Change = Callable[[Draft], Any]


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies."""
    return Draft()


def authority(index: int, **members: Any) -> Change:
    """Change members of an entry of the authority's log."""
    return lambda draft: draft.authority[index].update(members)


def approvals(**changes: Any) -> Change:
    """The resolution made anew with other members, and the certificate resting on it."""

    def change(draft: Draft) -> None:
        resolution = draft.resolution | changes
        digest = sha(canonical(resolution))
        draft.authority[6].update(resolution=resolution, resolution_sha256=digest)
        draft.authority[7].update(resolution_sha256=digest)

    return change


def by(*seats: str, **changes: Any) -> Change:
    """Approvals by these seats."""

    def change(draft: Draft) -> None:
        signed_by = [draft.people.approval(s, draft.policy_sha256, **changes) for s in seats]
        approvals(approvals=signed_by)(draft)

    return change


APPROVAL: list[tuple[Change, int, str]] = [
    (by("approver_a"), 6, "has 1 of 2 approvals"),
    (by("approver_a", "approver_a"), 6, "has a seat twice"),
    (by("approver_a", "trader_t"), 6, "is no approver"),
    (by("approver_b", "approver_a"), 6, "is not sorted"),
    (by("approver_a", "approver_b", expires_at=at(1)), 6, "is not good at that time"),
    (by("approver_a", "approver_b", approved_at=at(1, 1)), 6, "is not good at that time"),
    (by("approver_a", "approver_b", roster_sha256="0" * 64), 6, "by another roster"),
    (by("approver_a", "approver_b", policy_sha256="0" * 64), 6, "over another policy"),
    (
        by("approver_a", "approver_b", expires_at="2026-06-15T09:00:01.000000001Z"),
        6,
        "more than 31 days",
    ),
    (approvals(required=1), 6, "requires another number"),
    (approvals(schema="x"), 6, "resolution has another schema"),
    (approvals(policy_sha256="0" * 64), 6, "resolution is over another policy"),
    (approvals(roster_sha256="0" * 64), 6, "resolution is by another roster"),
    (authority(3, agent="other"), 3, "`agent` is not the policy's"),
    (authority(0, responder_certificate="AAAA"), 0, "`responder_certificate` is not that of"),
    (approvals(resolved_at=at(1, 1)), 6, "in the future"),
    (authority(6, resolution_sha256="0" * 64), 6, "`resolution_sha256`"),
    (authority(7, resolution_sha256="0" * 64), 7, "rests on no resolution"),
    (authority(7, not_after=at(59)), 7, "other times"),
    (authority(7, serial_number="01" * 17), 7, "`serial_number`"),
    (authority(7, agent="other"), 7, "certifies an agent"),
    (authority(7, certificate_sha256="0" * 64), 7, "`certificate_sha256` is not its digest"),
    (authority(3, policy_sha256="0" * 64), 3, "`policy_sha256`"),
    (authority(0, roster_sha256="0" * 64), 0, "`roster_sha256`"),
    (lambda d: d.authority.insert(1, d.authority[0]), 1, "founded once"),
    (lambda d: d.authority.insert(2, d.authority[1]), 2, "repeats a serial"),
    (lambda d: d.authority.insert(5, d.authority[6]), 5, ""),
    (
        lambda d: d.authority[4]["approval"].update(seat="approver_b"),
        4,
        "signature of seat approver_b does not verify",
    ),
]


@pytest.mark.parametrize(("change", "index", "what"), APPROVAL)
def test_approval_that_does_not_count_fails_step_4(
    original: Draft, tmp_path: Path, change: Change, index: int, what: str
) -> None:
    """A certificate rests on enough valid approvals by distinct approver seats."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    if what:
        assert ("approval", f"authority log, entry {index}") == (step, place), told
        assert what in told


def test_certificate_other_than_policy_fails_step_4(original: Draft, tmp_path: Path) -> None:
    """The scope extension is the policy's, to the last byte."""
    draft = original.copy()
    draft.policy = dict(draft.policy, version=2)
    value = draft.scope_value()
    draft.policy = original.policy
    other = draft.pki.agent_certificate(AGENT, "Example Trading", value)
    draft.certificate, draft.serial = other, f"{other.serial_number:034x}"
    draft.certificate_sha256 = sha(other.public_bytes(Encoding.DER))
    draft.authority[7].update(draft._certified())
    told = outcome(draft, tmp_path)
    expected = "certificate's scope extension differs from the policy"
    assert ("approval", "authority log, entry 7", expected) == told


def test_gate_certificate_not_in_authority_log_fails(original: Draft, tmp_path: Path) -> None:
    """A log key that the authority's log does not name is none."""
    draft = original.copy()
    del draft.authority[2]
    draft.gate[1]["authority_index"] -= 1
    tail, draft.gate = draft.gate[3:], draft.gate[:2]
    draft.lease(3, 0)
    draft.gate += tail
    assert "certificates/log-gate.pem" == outcome(draft, tmp_path)[1]


def commands(index: int, *texts: Callable[[Draft], str], seats: list[str]) -> Change:
    """Other signed commands for a change of status."""
    return lambda d: d.authority[index].update(commands=[t(d) for t in texts], seats=seats)


def told_by(seat: str, command: str, **changes: Any) -> Callable[[Draft], str]:
    """A signed command of a seat."""
    return lambda d: d.people.command(seat, command, **changes)


RELEASE = {"epoch": 1}
STATUS: list[tuple[Change, int, str]] = [
    (authority(9, status="good"), 9, "changes good to good"),
    (authority(9, epoch=2), 9, "`epoch` is not the number"),
    (authority(9, commands=[], seats=[]), 9, "has no signed command"),
    (authority(9, cause="revoke"), 9, "changes good to hold because of revoke"),
    (authority(9, seats=["risk_r"]), 9, "names other seats"),
    (authority(9, serial_number="01" * 17), 9, "another agent or serial number"),
    (authority(9, agent="other"), 9, "another agent or serial number"),
    (authority(10, cause="drift"), 10, "changes hold to good because of drift"),
    (
        commands(10, told_by("compliance_c", "release", **RELEASE), seats=["compliance_c"]),
        10,
        "lacks a signature of role risk",
    ),
    (commands(9, told_by("trader_t", "hold"), seats=["trader_t"]), 9, "may not sign hold"),
    (commands(9, told_by("risk_r", "kill"), seats=["risk_r"]), 9, "is not for it"),
    (
        commands(9, told_by("risk_r", "hold", commanded_at=at(59)), seats=["risk_r"]),
        9,
        "given at another time",
    ),
    (
        commands(9, told_by("risk_r", "hold", agent="other"), seats=["risk_r"]),
        9,
        "is not for it",
    ),
    (
        commands(
            10,
            told_by("compliance_c", "release", epoch=0),
            told_by("risk_r", "release", epoch=0),
            seats=["compliance_c", "risk_r"],
        ),
        10,
        "for epoch 0, not 1",
    ),
    (
        commands(
            10,
            told_by("compliance_c", "release", epoch=1),
            told_by("risk_r", "release", epoch=1, reason_code="other"),
            seats=["compliance_c", "risk_r"],
        ),
        10,
        "commands that differ",
    ),
    (commands(9, told_by("risk_r", "wish"), seats=["risk_r"]), 9, "command is unknown"),
    (
        commands(9, told_by("risk_r", "hold", roster_sha256="0" * 64), seats=["risk_r"]),
        9,
        "by another roster",
    ),
    (
        lambda d: d.authority[9].update(
            commands=[d.authority[9]["commands"][0].replace("drill", "other")]
        ),
        9,
        "does not verify",
    ),
    (authority(11, number=7), 11, "does not rise by one"),
]


@pytest.mark.parametrize(("change", "index", "what"), STATUS)
def test_status_change_that_is_not_lawful_fails(
    original: Draft, tmp_path: Path, change: Change, index: int, what: str
) -> None:
    """Transitions, epochs, and the people that a cause needs."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    assert ("approval", f"authority log, entry {index}") == (step, place), told
    assert what in told


def test_status_command_used_twice_fails(original: Draft, tmp_path: Path) -> None:
    """A signed command is replayed by nobody."""
    draft = original.copy()
    again = dict(draft.authority[9], epoch=3, at=at(20, 3))
    draft.authority.insert(11, again)
    assert "repeats a nonce" in outcome(draft, tmp_path)[2]


def killed(draft: Draft, index: int = 11) -> None:
    """The agent is killed after the release, by one command."""
    text = draft.people.command("risk_r", "kill", reason_code="key_compromise")
    entry = draft._changed(3, "revoked", ["risk_r"], "kill", [text])
    draft.authority.insert(index, entry | {"reason": "keyCompromise"})


def test_kill_sets_the_reason_of_its_command(original: Draft, tmp_path: Path) -> None:
    """The CRLReason follows from the command's reason code; CRL and OCSP carry it."""
    draft = original.copy()
    killed(draft)
    draft.status = "revoked"
    serial = draft.certificate.serial_number
    draft.crl = draft.pki.crl(2, {serial: x509.ReasonFlags.key_compromise}, LATER)
    draft.authority[13]["crl_sha256"] = sha(draft.crl.public_bytes(Encoding.DER))
    assert ("", "", "") == outcome(draft, tmp_path / "good")
    draft.authority[11]["reason"] = "superseded"
    expected = ("approval", "authority log, entry 11", "`reason` is not keyCompromise")
    assert expected == outcome(draft, tmp_path / "bad")


def reissue(draft: Draft, **changes: Any) -> None:
    """A second certificate under the same resolution, at 9:30."""
    key = draft.pki.agent_key
    draft.pki.agent_key = ec.generate_private_key(ec.SECP256R1()) if "key" not in changes else key
    other = draft.pki.agent_certificate(
        AGENT, "Example Trading", draft.scope_value(), begin=changes.get("begin", LATER)
    )
    draft.pki.agent_key = key
    entry = dict(draft.authority[7], at=at(30))
    entry["certificate"] = b64(other.public_bytes(Encoding.DER))
    entry["certificate_sha256"] = sha(other.public_bytes(Encoding.DER))
    entry["serial_number"] = f"{other.serial_number:034x}"
    entry["not_before"] = f"{changes.get('begin', LATER):%Y-%m-%dT%H:%M:%S}.000000000Z"
    draft.authority.append(entry)


def test_issuing_a_second_active_certificate_fails(original: Draft, tmp_path: Path) -> None:
    """At most one certificate of an agent is active at any time."""
    draft = original.copy()
    reissue(draft)
    expected = ("approval", "authority log, entry 13", "is a second active certificate")
    assert expected == outcome(draft, tmp_path)


def test_issuing_after_a_kill_needs_fresh_approvals(original: Draft, tmp_path: Path) -> None:
    """Approvals from before the kill count no more."""
    draft = original.copy()
    killed(draft)
    reissue(draft)
    expected = "rests on approvals from before the agent was killed"
    assert ("approval", "authority log, entry 14", expected) == outcome(draft, tmp_path)


def revoked(draft: Draft) -> None:
    """Revoked without a kill."""
    text = draft.people.command("risk_r", "revoke")
    entry = draft._changed(3, "revoked", ["risk_r"], "revoke", [text])
    draft.authority.insert(11, entry | {"reason": "privilegeWithdrawn"})


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"key": "same"}, "certifies a key that was used before"),
        ({"begin": LATER.replace(minute=28)}, "is valid from another time than its issue"),
        ({"begin": LATER.replace(minute=31)}, "is valid from another time than its issue"),
        ({}, "is missing"),
    ],
)
def test_issuing_a_replacement_is_judged_again(
    original: Draft, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    """A fresh key, valid from its issue; the last case is lawful, and lacks its file only."""
    draft = original.copy()
    revoked(draft)
    reissue(draft, **changes)
    step, _, told = outcome(draft, tmp_path)
    assert ("approval", what) == (step, told)


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"environment": "rehearsal"}, "certifies for another environment"),
        (
            {"valid_until": "2026-05-15T09:02:00.000000000Z"},
            "certifies under a policy that has ended",
        ),
    ],
)
def test_issuing_under_another_policy_fails(
    tmp_path: Path, document: dict[str, Any], what: str
) -> None:
    """The policy is of the authority's environment and has not ended."""

    class Changed(Draft):
        def scope_value(self) -> bytes:
            self.policy |= document
            self.policy_sha256 = sha(canonical(self.policy))
            return super().scope_value()

    expected = ("approval", "authority log, entry 7", what)
    assert expected == outcome(Changed(), tmp_path)


def test_approval_not_given_before_fails(original: Draft, tmp_path: Path) -> None:
    """Every approval of a resolution is an entry before it."""
    draft = original.copy()
    del draft.authority[4]
    draft.gate[1]["authority_index"] -= 1
    expected = (
        "approval",
        "authority log, entry 5",
        "rests on an approval that was not given before",
    )
    assert expected == outcome(draft, tmp_path)


def test_gate_booted_smaller_than_before_fails(original: Draft, tmp_path: Path) -> None:
    """The authority never saw the gate's log shrink."""
    draft = original.copy()
    draft.authority[8].update(draft._booted(5))
    draft.authority.insert(9, draft._booted(3) | {"boot": "e" * 32})
    where = {"gate": "gate-1", "region": "eu-west-1", "environment": "test"}
    draft.add("gate_opened", 21, boot="e" * 32, **where)
    expected = ("approval", "authority log, entry 9", "saw a shorter log than before")
    assert expected == outcome(draft, tmp_path)


class Otherwise(Draft):
    """A draft whose policy, extension or certificate is changed from the start."""

    def __init__(self, document: Any = None, digest: str = "", **certificate: Any) -> None:
        self.document, self.digest = document or {}, digest
        super().__init__()
        if certificate:
            made = self.pki.agent_certificate(
                AGENT, "Example Trading", self.scope_value(), **certificate
            )
            self.certificate, self.serial = made, f"{made.serial_number:034x}"
            self.certificate_sha256 = sha(made.public_bytes(Encoding.DER))
            ended = f"{certificate['end']:%Y-%m-%dT%H:%M:%S}.000000000Z"
            self.authority[7].update(self._certified() | {"not_after": ended})

    def scope_value(self) -> bytes:
        for part, members in self.document.items():
            self.policy[part] |= members
        self.policy_sha256 = sha(canonical(self.policy))
        if not self.digest:
            return super().scope_value()
        right, self.policy_sha256 = self.policy_sha256, self.digest
        value = super().scope_value()
        self.policy_sha256 = right
        return value


def test_issuing_with_another_digest_in_the_extension_fails(tmp_path: Path) -> None:
    """The extension's digest is the policy's, not only its scope."""
    expected = ("approval", "authority log, entry 7", "certificate is for another policy")
    assert expected == outcome(Otherwise(digest="0" * 64), tmp_path)


def test_issuing_beyond_the_policy_fails(tmp_path: Path) -> None:
    """A certificate ends with its policy or the issuing CA, whichever is first."""
    expected = "ends neither with its policy nor with the issuing CA"
    for number, days in enumerate((-1, 1)):
        draft = Otherwise(end=END + datetime.timedelta(days=days))
        step, place, told = outcome(draft, tmp_path / str(number))
        assert "certificates/agent-" not in place
        assert ("approval", "authority log, entry 7", expected) == (step, place, told)


def test_approval_by_the_author_does_not_count(tmp_path: Path) -> None:
    """Who documented a policy does not approve it."""
    governance = {"documented_by": "approver_a", "approved_by": []}
    expected = "seat approver_a approves its own policy"
    found = outcome(Otherwise({"governance": governance}), tmp_path)
    assert ("approval", "authority log, entry 4", expected) == found


@pytest.mark.parametrize("field", ["policy_sha256", "resolution_sha256"])
def test_certificate_on_another_policys_resolution_fails(
    original: Draft, tmp_path: Path, field: str
) -> None:
    """What an entry names must have been registered or resolved before."""
    draft = original.copy()
    draft.authority[7][field] = "0" * 64
    assert ("approval", "authority log, entry 7") == outcome(draft, tmp_path)[:2]
