# SPDX-License-Identifier: Apache-2.0
"""Renewal with overlap: two certificates for a time, never three, and what stops reaches both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import CertificateIssued, StatusChanged
from sekisho.core.governance.document import Registration
from sekisho.core.identity.claims import LogClaim, claims_of
from sekisho.core.identity.register import AuthorityState
from sekisho.core.terms import NS, format_instant, parse_instant
from tests.authority_world import AGENT, AuthorityWorld, GateDouble, heard_by, policy_of
from tests.incident_world import POLICY, IncidentWorld

OVERLAP_S = 3600
OVERLAP: dict[str, Any] = {"governance__renewal_overlap_s": str(OVERLAP_S)}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def renewing(world: AuthorityWorld, **changes: Any) -> tuple[Any, Any, Registration]:
    """An agent with a certificate and its successor under the same policy."""
    policy = policy_of(**(OVERLAP | changes))
    await world.approve(policy)
    before = await world.issue(policy)
    after = await world.issue(policy)
    return before, after, policy


def statuses(world: AuthorityWorld) -> list[str]:
    """Of the agent's certificates, in the order of issue."""
    return [one.status for one in world.authority.certificates(AGENT)]


def ends(world: AuthorityWorld) -> list[tuple[str, str, str]]:
    """Every end by a renewal: serial number, reason, instant."""
    return [
        (one.serial_number, one.reason, one.at)
        for one in world.entries()
        if isinstance(one, StatusChanged) and one.cause == "superseded"
    ]


def test_renewal_without_overlap_is_refused_as_ever() -> None:
    """The policy says nothing: one certificate, and the next after its revocation."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of()
        await world.approve(policy)
        await world.issue(policy)
        with pytest.raises(NotAuthorised, match=r"\(good\); revoke it before"):
            await world.issue(policy)

    play(story())


def test_renewal_names_whom_it_succeeds_and_both_are_good() -> None:
    """The entry says whom it renews; the admission is the successor's and says so."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        before, after, _ = await renewing(world)
        entry = world.entries()[-1]
        assert isinstance(entry, CertificateIssued)
        assert before.certificate_sha256 == entry.renews
        assert ["good", "good"] == [await world.status(one) for one in (before, after)]
        admission = world.authority.admission(AGENT)
        assert (after.certificate, before.certificate_sha256) == (
            admission.certificate,
            admission.renews,
        )

    play(story())


def test_renewal_a_third_certificate_is_refused() -> None:
    """Neither of the two is renewed while there are two; after the end the successor may be."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        _, _, policy = await renewing(world)
        with pytest.raises(NotAuthorised, match="is being renewed"):
            await world.issue(policy)
        world.clock.advance(OVERLAP_S)
        third = await world.issue(policy)
        assert ["revoked", "good", "good"] == statuses(world)
        assert third.certificate == world.authority.admission(AGENT).certificate

    play(story())


def test_renewal_fifty_at_once_one_succeeds() -> None:
    """Fifty issuers with fifty keys: one successor, and forty-nine refusals."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        policy = policy_of(**OVERLAP)
        await world.approve(policy)
        await world.issue(policy)
        asked = [world.issue(policy) for _ in range(50)]
        given = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in given if isinstance(one, NotAuthorised)]
        assert (49, ["good", "good"]) == (len(refused), statuses(world))

    play(story())


@pytest.mark.parametrize(("early_ns", "expected"), [(1, "good"), (0, "revoked")])
def test_renewal_predecessor_ends_at_the_instant(early_ns: int, expected: str) -> None:
    """Good until one nanosecond before issue + overlap, ended at it, without anybody's word."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        before, after, _ = await renewing(world)
        issued_at = parse_instant(world.entries()[-1].at)
        pair = world.authority.state.renewals[AGENT]
        assert issued_at + OVERLAP_S * NS == pair.ends_at
        world.clock.advance_to(pair.ends_at - early_ns)
        assert (expected == "revoked") == bool(await world.authority.due())
        assert [expected, "good"] == [await world.status(one) for one in (before, after)]
        if expected == "revoked":
            said = [(before.serial_number, "superseded", format_instant(pair.ends_at))]
            assert said == ends(world)
            assert {} == world.authority.state.renewals

    play(story())


def test_renewal_ends_no_later_than_the_predecessor_itself() -> None:
    """A certificate that would expire within the overlap ends when it expires."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        now = world.clock.now_ns() // NS * NS
        until = format_instant(now + 600 * NS).replace(".000000000", "")
        short = policy_of(valid_until=until, **OVERLAP)
        await world.approve(short)
        before = await world.issue(short)
        longer = policy_of(version="2", **OVERLAP)
        await world.approve(longer)
        await world.issue(longer)
        assert parse_instant(before.not_after) == world.authority.state.renewals[AGENT].ends_at

    play(story())


def test_renewal_under_an_older_policy_or_of_a_held_certificate_is_refused() -> None:
    """What people approved later is not taken back by a renewal; a hold is no time for one."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        newer, older = policy_of(version="3", **OVERLAP), policy_of(version="2", **OVERLAP)
        await world.approve(newer)
        await world.approve(older)
        await world.issue(newer)
        with pytest.raises(NotAuthorised, match="later version"):
            await world.issue(older)
        await world.order("hold")
        with pytest.raises(NotAuthorised, match="only a good one is renewed"):
            await world.issue(newer)

    play(story())


def test_renewal_process_killed_before_the_end_ends_it_at_the_next_opening() -> None:
    """Kill -9 after the issue: the next opening does at once what became due meanwhile."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        world.clock.advance(OVERLAP_S + 5)
        after = await world.again()
        assert ["revoked", "good"] == statuses(after)
        assert 1 == len(ends(after))
        assert ["revoked", "good"] == statuses(await after.again())

    play(story())


def test_renewal_timer_ends_the_predecessor_by_itself() -> None:
    """The loop that waited for nothing wakes by the issue, and acts when it is time."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        running = asyncio.ensure_future(world.authority.run_incidents())
        await world.clock.play(0)
        await renewing(world)
        await world.clock.play(OVERLAP_S - 1)
        assert ["good", "good"] == statuses(world)
        await world.clock.play(1)
        assert ["revoked", "good"] == statuses(world)
        running.cancel()

    play(story())


def test_renewal_gate_with_the_agent_is_told_of_the_end() -> None:
    """The end is pushed as any revocation, and a lease says it too."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        before, after, _ = await renewing(world)
        gate, heard = GateDouble(), heard_by(world)
        names = (before.certificate_sha256, after.certificate_sha256)
        await world.lease(gate, *names)
        world.clock.advance(OVERLAP_S)
        await world.authority.due()
        pushed = [(one.certificate_sha256, one.status, one.reason) for one in heard.heard]
        assert [(before.certificate_sha256, "revoked", "superseded")] == pushed
        granted = await world.lease(gate, *names)
        assert f'"not_good":["{before.certificate_sha256}"]' in granted.grant

    play(story())


def test_renewal_hold_and_release_of_people_reach_both() -> None:
    """One hold holds the two, one release of two people releases the two."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        await world.order("hold")
        assert ["hold", "hold"] == statuses(world)
        await world.order("release")
        assert ["good", "good"] == statuses(world)
        await world.order("hold")
        world.clock.advance(OVERLAP_S)
        await world.authority.due()
        assert ["revoked", "hold"] == statuses(world)
        await world.order("release")
        assert ["revoked", "good"] == statuses(world)

    play(story())


@pytest.mark.parametrize("act", ["kill", "revoke"])
def test_renewal_kill_or_revocation_reaches_both(act: str) -> None:
    """Nothing of the agent is left that could sign, and nothing is left to end later."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        await world.order(act)
        assert ["revoked", "revoked"] == statuses(world)
        world.clock.advance(OVERLAP_S)
        assert (0, []) == (await world.authority.due(), ends(world))

    play(story())


@pytest.mark.parametrize("which", [0, 1])
def test_renewal_hold_of_an_incident_ends_the_other(which: int) -> None:
    """The certificate with the incident is held, the other ends at once: nobody trades on."""

    async def story() -> None:
        world = await IncidentWorld.begin(**OVERLAP)
        policy = policy_of(**(POLICY | OVERLAP))
        second = await world.issue(policy)
        both = [world.issued.certificate_sha256, second.certificate_sha256]
        await world.report(certificate_sha256=both[which])
        expected = ["hold", "revoked"] if which == 0 else ["revoked", "hold"]
        assert expected == statuses(world)
        other = world.authority.certificates(AGENT)[1 - which]
        assert [other.serial_number] == [serial for serial, _, _ in ends(world)]
        again = await world.again()
        assert expected == statuses(again)

    play(story())


def test_renewal_incident_recorded_and_nothing_more_is_paid_at_the_next_opening() -> None:
    """A crash right after the incident's entry: hold and end are owed, and done first."""

    async def story() -> None:
        world = await IncidentWorld.begin(**OVERLAP)
        await world.issue(policy_of(**(POLICY | OVERLAP)))
        log = world.authority.log
        await world.report()
        kinds = [type(one).__name__ for one in world.entries()]
        cut = kinds.index("IncidentRecorded") + 1
        folded = AuthorityState()
        for index, entry in enumerate(world.entries()[:cut]):
            folded.apply(index, entry)
        changed = [one for one in world.entries()[cut:] if isinstance(one, StatusChanged)]
        assert ["automatic_hold", "superseded"] == [one.cause for one in changed[:2]]
        assert log.state.size > cut

    play(story())


def test_renewal_claims_follow_the_certificates() -> None:
    """The successor's claim stands beside, and takes the place of the one that ended."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        world.clock.advance(OVERLAP_S)
        await world.authority.due()
        await world.order("kill")
        state = AuthorityState()
        held: set[str] = set()
        for index, entry in enumerate(world.entries()):
            for claim in claims_of(state, entry):
                if claim.kind == "active":
                    assert claim.taken == (claim.name not in held)
                    held ^= {claim.name}
            state.apply(index, entry)
            if isinstance(entry, CertificateIssued):
                assert held == ({AGENT, f"{AGENT}/renewal"} if entry.renews else {AGENT})
            if isinstance(entry, StatusChanged) and entry.cause == "superseded":
                assert {AGENT} == held
        assert (set(), {}) == (held, state.holders)

    play(story())


def test_renewal_claims_of_a_kill_are_all_given_back() -> None:
    """Newest first: the successor's claim, then the other's."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        await world.order("kill")
        state, given = AuthorityState(), []
        for index, entry in enumerate(world.entries()):
            given += [one for one in claims_of(state, entry) if one.kind == "active"]
            state.apply(index, entry)
        expected = [
            LogClaim(kind="active", name=name, taken=False) for name in (f"{AGENT}/renewal", AGENT)
        ]
        assert expected == given[-2:]

    play(story())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"renews": "0" * 64}, "does not name the certificate that it renews"),
        ({"renews": ""}, "does not name the certificate that it renews"),
    ],
)
def test_renewal_entry_that_renews_another_is_unlawful(
    change: dict[str, str], message: str
) -> None:
    """A log whose successor names nobody, or a stranger, does not open."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await renewing(world)
        entries = world.entries()
        state = AuthorityState()
        for index, entry in enumerate(entries[:-1]):
            state.apply(index, entry)
        last = entries[-1]
        assert isinstance(last, CertificateIssued)
        forged = msgspec.structs.replace(last, **change)
        with pytest.raises(VerificationFailed, match=message):
            state.apply(len(entries) - 1, forged)

    play(story())
