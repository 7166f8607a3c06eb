# SPDX-License-Identifier: Apache-2.0
"""The authority: founding, policies, approvals, certificates; nothing goes out before disk."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.encoding import parse_plain, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import CertificateIssued, Founded, Resolved
from sekisho.core.governance.resolution import check_resolution
from sekisho.core.governance.roster import Roster
from sekisho.core.identity import profile
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.profile import Arc, Holder, Names, log_uri, parse_agent_certificate
from sekisho.core.terms import DAY_S, NS
from sekisho.services import certification
from sekisho.services.authority import Authority
from tests.authority_world import (
    AGENT,
    GATE_ORIGIN,
    NAMES,
    AuthorityWorld,
    authority_keys,
    log_key,
    open_journal,
    policy_of,
    signer,
)
from tests.unit.core.governance import samples


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


class Hang:
    """Keeps the disk from syncing until it is let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, point: str) -> None:
        if point.startswith("sync") and point.endswith("before"):
            await self.gate.wait()


def test_authority_found_first_entry_is_its_certificates_and_roster() -> None:
    """The log begins with everything that a verifier needs to begin."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        first = world.entries()[0]
        assert isinstance(first, Founded)
        state = world.authority.state
        now = world.clock.now_ns()
        verify_chain(
            state.responder_certificate, state.issuing_certificate, state.root_certificate, now
        )
        assert msgspec.convert(first.roster, Roster) == samples.ROSTER
        assert world.authority.roster == samples.ROSTER
        assert world.authority.log.journal.durable_size == 1

    play(story())


def test_authority_found_twice_or_without_root_is_refused() -> None:
    """A founded log is opened, never founded again; without a root nothing is founded."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        with pytest.raises(ConfigurationInvalid, match="open it"):
            await AuthorityWorld.start(journal=world.authority.log.journal)
        with pytest.raises(ConfigurationInvalid, match="root key"):
            await AuthorityWorld.start(keys=authority_keys(root=None))
        with pytest.raises(ConfigurationInvalid, match="different keys"):
            await AuthorityWorld.start(keys=authority_keys(responder=signer(102)))
        with pytest.raises(MalformedInput, match="roster"):
            await AuthorityWorld.start(roster=msgspec.structs.replace(samples.ROSTER, version=0))
        with pytest.raises(MalformedInput, match="arc"):
            await AuthorityWorld.start(names=Names(issuer_name="I", arc=Arc("2.25.99999999999")))

    play(story())


def test_authority_open_knows_what_it_knew() -> None:
    """Opened again it has folded the same register; other keys, or no log, are refused."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        await world.order("hold")
        after = await world.again()
        assert vars(after.authority.state) == vars(world.authority.state)
        journal = after.authority.log.journal
        for other in ({"issuing": signer(9)}, {"responder": signer(9)}):
            with pytest.raises(ConfigurationInvalid, match="not the key"):
                await Authority.open(
                    journal, authority_keys(**other), world.clock, SeededEntropy(b""), names=NAMES
                )
        empty = await open_journal(type(world.disk)(), world.clock)
        with pytest.raises(ConfigurationInvalid, match="empty"):
            await Authority.open(
                empty, authority_keys(), world.clock, SeededEntropy(b""), names=NAMES
            )

    play(story())


def test_authority_open_unlawful_log_is_refused() -> None:
    """A log with an entry that no authority writes does not open."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        journal = world.authority.log.journal
        journal.append(journal.entry(0))
        await journal.flushed(1)
        with pytest.raises(VerificationFailed, match="entry 1: a log begins"):
            await world.again()

    play(story())


def test_authority_policy_is_registered_once_and_for_its_environment_only() -> None:
    """The canonical bytes count; another environment, or a wrong digest, is refused."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        assert await world.authority.register_policy(policy) == policy.sha256
        size = world.authority.state.size
        assert await world.authority.register_policy(policy) == policy.sha256
        assert world.authority.state.size == size
        with pytest.raises(NotAuthorised, match="'rehearsal'"):
            await world.authority.register_policy(policy_of(environment="rehearsal"))
        with pytest.raises(VerificationFailed, match="digest"):
            await world.authority.register_policy(
                msgspec.structs.replace(policy_of("other"), sha256="0" * 64)
            )
        with pytest.raises(MalformedInput):
            await world.authority.register_policy(msgspec.structs.replace(policy, canonical=b"{}"))

    play(story())


def test_authority_approval_quorum_makes_one_resolution() -> None:
    """The second of two approvers completes it; a third changes nothing."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.authority.register_policy(policy)
        first = world.approval(policy, "ceo")
        assert await world.authority.give_approval(first) is None
        assert "1 seats approved, 2 are required" in world.authority.missing(policy.sha256)
        assert await world.authority.give_approval(first) is None
        resolution = await world.authority.give_approval(world.approval(policy, "cfo"))
        assert resolution is not None
        check_resolution(resolution, policy.policy, samples.ROSTER)
        assert await world.authority.give_approval(world.approval(policy, "cto")) == resolution
        assert [type(entry) for entry in world.entries()].count(Resolved) == 1
        assert world.authority.missing(policy.sha256) == ""

    play(story())


def test_authority_approval_that_does_not_count_is_not_recorded() -> None:
    """Another role, another signature, no policy: refused with the causes."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        with pytest.raises(NotAuthorised, match="registered"):
            await world.authority.give_approval(world.approval(policy, "ceo"))
        with pytest.raises(NotAuthorised, match="registered"):
            world.authority.missing(policy.sha256)
        await world.authority.register_policy(policy)
        size = world.authority.state.size
        with pytest.raises(NotAuthorised, match="role is developer"):
            await world.authority.give_approval(world.approval(policy, "coder"))
        good = world.approval(policy, "ceo")
        other = world.approval(policy, "cfo").signature
        with pytest.raises(NotAuthorised, match="count"):
            await world.authority.give_approval(msgspec.structs.replace(good, signature=other))
        assert world.authority.state.size == size

    play(story())


def test_authority_issue_certificate_says_what_was_resolved() -> None:
    """Chain, scope, policy, validity and entry agree, and the gate gets all of it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        issued = await world.issue(policy)
        found = parse_agent_certificate(issued.certificate)
        verify_chain(
            issued.certificate,
            issued.issuing_certificate,
            issued.root_certificate,
            world.clock.now_ns(),
            Arc().order_signing(),
        )
        assert (found.agent, found.policy_sha256) == (AGENT, policy.sha256)
        entry = world.entries()[issued.authority_index]
        assert isinstance(entry, CertificateIssued)
        assert entry.certificate_sha256 == sha256_hex(issued.certificate)
        admission = world.authority.admission(AGENT)
        assert admission.certificate == issued.certificate
        assert admission.policy == policy.canonical
        assert admission.authority_index == issued.authority_index
        check_resolution(admission.resolution, policy.policy, admission.roster)
        assert [one.sha256 for one in world.authority.certificates(AGENT)] == [found.sha256]
        assert world.authority.certificates("other") == ()
        assert parse_plain(found.scope_json)["scope"] == parse_plain(policy.canonical)["scope"]

    play(story())


def test_authority_issue_is_refused_without_its_conditions() -> None:
    """No policy, no quorum, another agent, duties, a bad proof, a used key: no certificate."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()

        async def refused(error: type[Exception], match: str, **other: Any) -> None:
            size = world.authority.state.size
            with pytest.raises(error, match=match):
                await world.issue(policy, **other)
            assert world.authority.state.size == size

        await refused(NotAuthorised, "no registered policy")
        await world.authority.register_policy(policy)
        await refused(NotAuthorised, "quorum")
        await world.authority.give_approval(world.approval(policy, "ceo"))
        await refused(NotAuthorised, "quorum")
        await world.authority.give_approval(world.approval(policy, "cfo"))
        await refused(NotAuthorised, "no registered policy", agent="other")
        await refused(NotAuthorised, "only issuer may", issuer_seat="ceo")
        await refused(NotAuthorised, "only operator may", operator_seat="issuing_officer")
        await refused(NotAuthorised, "no seat", issuer_seat="nobody")
        await refused(VerificationFailed, "signature", proof=b"0")
        for own in (101, 102, 103):
            await refused(NotAuthorised, "authority's or a person's", key=own)
        await refused(NotAuthorised, "authority's or a person's", key=1)
        issued = await world.issue(policy, key=5000)
        await refused(NotAuthorised, issued.serial_number)
        await world.order("revoke")
        await refused(NotAuthorised, "before", key=5000)

    play(story())


def test_authority_issue_proposer_may_not_issue() -> None:
    """Who documented the policy neither issues under it nor runs the gate."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of(governance__documented_by="issuing_officer")
        await world.approve(policy)
        with pytest.raises(NotAuthorised, match="not separate"):
            await world.issue(policy)

    play(story())


def test_authority_issue_key_of_another_kind_is_refused() -> None:
    """An agent's key is P-256."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        with pytest.raises(MalformedInput, match="P-256"):
            await world.authority.issue(
                AGENT,
                policy.sha256,
                log_key("x"),
                proof=b"",
                issuer_seat="issuing_officer",
                operator_seat="gate_runner",
            )

    play(story())


def test_authority_issue_ends_with_the_policy() -> None:
    """The certificate's validity lies in the policy's; after its end none is issued."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        early = policy_of("early", valid_from="2026-05-20T00:00:00Z")
        await world.approve(early)
        issued = await world.issue(early)
        assert (issued.not_before, issued.not_after) == (
            early.policy.valid_from,
            early.policy.valid_until,
        )
        policy = policy_of()
        await world.approve(policy)
        world.clock.advance(400 * DAY_S)
        with pytest.raises(NotAuthorised, match="ended"):
            await world.issue(policy)

    play(story())


def test_authority_issue_replacement_follows_revocation_under_the_same_policy() -> None:
    """A new certificate for a new key; the old one stays revoked."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        old = await world.issue(policy)
        await world.order("revoke")
        with pytest.raises(NotAuthorised, match="no active"):
            world.authority.admission(AGENT)
        new = await world.issue(policy)
        assert [await world.status(one) for one in (old, new)] == ["revoked", "good"]
        assert world.authority.admission(AGENT).certificate == new.certificate

    play(story())


def test_authority_issue_after_kill_needs_fresh_approvals() -> None:
    """A kill is lifted by people who approve again, not by the issuer alone."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        await world.issue(policy)
        old = world.approval(policy, "cto")
        await world.authority.give_approval(old)
        await world.order("kill")
        with pytest.raises(NotAuthorised, match="approved again"):
            await world.issue(policy)
        assert await world.authority.give_approval(old) is None
        assert "0 seats approved" in world.authority.missing(policy.sha256)
        world.clock.advance(1)
        assert await world.authority.give_approval(world.approval(policy, "ceo")) is None
        assert await world.authority.give_approval(world.approval(policy, "cfo")) is not None
        issued = await world.issue(policy)
        assert await world.status(issued) == "good"
        assert world.authority.admission(AGENT).resolution.approvals[0].seat == "ceo"

    play(story())


def test_authority_fifty_concurrent_issues_make_one_certificate() -> None:
    """At most one active certificate for an agent, however many ask at once."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        answers = await asyncio.gather(
            *(world.issue(policy) for _ in range(50)), return_exceptions=True
        )
        refused = [one for one in answers if isinstance(one, NotAuthorised)]
        assert (len(answers) - len(refused), len(refused)) == (1, 49)
        assert len(world.authority.certificates()) == 1

    play(story())


def test_authority_issue_reaches_nobody_before_it_is_durable() -> None:
    """While the disk is slow nobody has the certificate, and no status says that it is good."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.issue(policy))
        await world.clock.play(0)
        record = world.authority.certificates()[0]
        answer = asyncio.ensure_future(
            world.authority.ocsp(record.sha256, next_update_ns=world.clock.now_ns() + NS)
        )
        await world.clock.play(0)
        with pytest.raises(Unavailable):
            world.authority.admission(AGENT)
        assert (asked.done(), answer.done()) == (False, False)
        hang.gate.set()
        await asked
        await answer
        assert world.authority.admission(AGENT).certificate == (await asked).certificate

    play(story())


def test_authority_answers_nothing_before_it_is_durable() -> None:
    """Policies, approvals and log certificates are answered when they are on disk."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy, other = policy_of(), policy_of("other")
        await world.authority.register_policy(policy)
        await world.authority.give_approval(world.approval(policy, "ceo"))
        world.disk.point = hang = Hang()
        asked = [
            asyncio.ensure_future(one)
            for one in (
                world.authority.register_policy(other),
                world.authority.give_approval(world.approval(policy, "cfo")),
                world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN)),
            )
        ]
        await world.clock.play(1)
        assert [one.done() for one in asked] == [False] * 3
        hang.gate.set()
        assert all(await asyncio.gather(*asked))

    play(story())


def test_authority_resolution_is_judged_again_before_issuing() -> None:
    """A resolution that its approvals do not make certifies nobody."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        registered = world.authority.state.policies[policy.sha256]
        assert registered.resolution is not None
        registered.resolution["approvals"].pop()
        with pytest.raises(NotAuthorised, match="2 are required"):
            await world.issue(policy)

    play(story())


def test_authority_failed_log_certifies_nothing_more() -> None:
    """After a failed write nothing that widens is done in this process."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy, other = policy_of(), policy_of("other")
        await world.approve(policy)
        await world.approve(other)
        issued = await world.issue(other)
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.issue(policy)
        with pytest.raises(StorageFailed):
            await world.issue(policy)
        with pytest.raises(StorageFailed):
            await world.status(issued)
        with pytest.raises(StorageFailed):
            await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
        after = await world.again()
        assert [one.agent for one in after.authority.certificates()] == ["other"]

    play(story())


@pytest.mark.parametrize(
    "other",
    [
        {"serial": 5},
        {"agent": "else"},
        {"scope_json": b"{}"},
        {"policy_sha256": "0" * 64},
        {"not_after_ns": samples.NOW + DAY_S * NS},
        {"not_before_ns": samples.NOW - DAY_S * NS},
        {"public_key": signer(77).public_key},
        {"holder": Holder(operator_name="N", operator_lei="0" * 20)},
    ],
)
def test_authority_certificate_that_reads_otherwise_is_not_issued(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was built is read back; a difference, or a signature that fails, stops it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        size = world.authority.state.size
        real = profile.agent_certificate
        monkeypatch.setattr(
            certification, "agent_certificate", lambda **fields: real(**(fields | other))
        )
        with pytest.raises(VerificationFailed):
            await world.issue(policy)
        assert world.authority.state.size == size

    play(story())


def test_authority_key_service_that_lies_issues_nothing() -> None:
    """A signature that does not verify never leaves."""

    async def story() -> None:
        issuing: Any = signer(102)
        world = await AuthorityWorld.start(keys=authority_keys(issuing=issuing))
        policy = policy_of()
        await world.approve(policy)
        size = world.authority.state.size
        real = issuing.sign_blocking
        issuing.sign_blocking = lambda message: real(b"x")
        with pytest.raises(VerificationFailed):
            await world.issue(policy)
        with pytest.raises(VerificationFailed):
            await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
        assert world.authority.state.size == size

    play(story())


def test_authority_log_certificate_is_one_for_each_origin() -> None:
    """The same key gets the same certificate, another key none."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        key = log_key(GATE_ORIGIN)
        first = await world.authority.certify_log(GATE_ORIGIN, key)
        assert await world.authority.certify_log(GATE_ORIGIN, key) == first
        assert log_uri(GATE_ORIGIN).encode() in first
        with pytest.raises(NotAuthorised, match="another key"):
            await world.authority.certify_log(GATE_ORIGIN, log_key("x"))
        with pytest.raises(MalformedInput, match="Ed25519"):
            await world.authority.certify_log("other", signer(1).public_key)

    play(story())
