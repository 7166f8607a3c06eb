# SPDX-License-Identifier: Apache-2.0
"""The authority of a rehearsal: whose word it takes, and that its leases are good nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.history.rates import OwnPrices
from sekisho.adapters.known_ids import KnownIds
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.compose.documents import register_document
from sekisho.compose.rehearsal_gate import RehearsalStage, rehearsal_policy
from sekisho.core.errors import ConfigurationInvalid, NotAuthorised, VerificationFailed
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.terms import DAY_S, NS, parse_instant
from sekisho.services.leasing import Leasing, parse_grant
from sekisho.services.rehearsal import RehearsalGate
from sekisho.services.rehearsal_authority import LEASE_S, RehearsalAuthority

BEGINS = parse_instant("2019-05-06T08:00:00.000000000Z")
POLICY = """
agent: bot
environment: test
operator: {name: Example Trading}
valid_from: 2030-01-01T00:00:00Z
valid_until: 2030-06-01T00:00:00Z
scope:
  markets: [EUR/USD]
  regions: [eu-west-1]
  time_zone: Europe/Zurich
governance: {review_overdue: refuse, next_review: 2030-02-01}
"""
Act = Callable[[RehearsalGate, RehearsalStage], Awaitable[None]]


def on_stage(folder: Path, act: Act) -> None:
    """Do something with a gate that was just opened."""

    async def go() -> None:
        path = folder / "policy.yaml"
        path.write_text(POLICY, encoding="utf-8")
        known = KnownIds(folder / "ids")
        stage = RehearsalStage(
            register_document(path, BEGINS), OwnPrices(("primary",)), known, Chronicle("bot")
        )
        try:
            await act(await stage.open(BEGINS), stage)
        finally:
            known.close()

    asyncio.run(go())


def test_policy_keeps_everything_but_environment_and_dates(tmp_path: Path) -> None:
    """The firm's own limits judge its history; dates of the future do not."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    registered = register_document(path, BEGINS)
    found = rehearsal_policy(registered, BEGINS).policy
    assert ("rehearsal", "warn", "none") == (
        found.environment,
        found.governance.review_overdue,
        found.governance.last_review,
    )
    assert 731 * DAY_S * NS == parse_instant(found.valid_until) - parse_instant(found.valid_from)
    assert BEGINS == parse_instant(found.valid_from)
    assert found.valid_from == found.scope.zone_offsets[0].since
    same = msgspec.structs.replace(found.scope, zone_offsets=registered.policy.scope.zone_offsets)
    assert registered.policy.scope == same
    assert (registered.policy.risk_controls, registered.policy.behaviour) == (
        found.risk_controls,
        found.behaviour,
    )


def test_gate_opens_in_the_environment_rehearsal_with_a_lease(tmp_path: Path) -> None:
    """The agent is admitted, good, and may ask at once."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        state = gate.log.state
        assert ("rehearsal", "good") == (state.environment, state.agents["bot"].status)
        assert state.lease is not None
        terms, _ = parse_grant(state.lease.grant)
        assert LEASE_S == terms.duration_s
        assert BEGINS + 731 * DAY_S * NS == gate.valid_until

    on_stage(tmp_path, look)


def test_lease_of_a_rehearsal_is_refused_by_a_gate_in_earnest(tmp_path: Path) -> None:
    """A gate that was not told otherwise takes no lease above its sixty seconds."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        authority, responder = stage._link._founded()
        in_earnest = Leasing(
            gate.log,
            stage._link,
            stage._clock,
            SystemEntropy(),
            responder_key=responder.public_key,
            read_status=lambda _response, _certificate, _now: "good",
        )
        with pytest.raises(VerificationFailed, match="1 to 60 seconds"):
            await in_earnest.renew()
        assert authority.roster == stage._link.roster

    on_stage(tmp_path, look)


def test_release_needs_both_seats_and_the_present_epoch(tmp_path: Path) -> None:
    """One person lifts nothing, and no command counts twice: the epoch has gone on."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        both = gate.people.release()
        with pytest.raises(NotAuthorised):
            await gate.authority.release(both[:1])
        assert 0 == gate.authority.epoch
        await gate.authority.release(both)
        assert 1 == gate.authority.epoch
        with pytest.raises(VerificationFailed, match="another epoch"):
            await gate.authority.release(both)
        assert 1 == gate.authority.epoch

    on_stage(tmp_path, look)


def test_commands_count_for_what_they_say_alone(tmp_path: Path) -> None:
    """A command to re-arm releases nothing and locks nothing, and the other way round."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        rearm = gate.people.rearm("circuit_breaker")
        with pytest.raises(NotAuthorised, match="no command to release"):
            await gate.authority.release(rearm)
        with pytest.raises(NotAuthorised, match="no command to go_live"):
            await gate.authority.go_live(rearm, origin="x", complete=True)
        with pytest.raises(NotAuthorised, match="no command to rearm"):
            await gate.authority.authorise_rearm(gate.people.release())
        done = await gate.authority.authorise_rearm(rearm)
        assert ("duty_compliance", "duty_risk") == done.seats

    on_stage(tmp_path, look)


def test_go_live_needs_a_complete_baseline(tmp_path: Path) -> None:
    """What is not complete is not locked, whoever signs."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        signed = gate.people.go_live("a" * 64)
        with pytest.raises(NotAuthorised, match="not complete"):
            await gate.authority.go_live(signed, origin="x", complete=False)
        lock = await gate.authority.go_live(signed, origin="x", complete=True)
        assert "a" * 64 == lock.baseline_sha256

    on_stage(tmp_path, look)


def test_renewal_goes_on_under_another_certificate(tmp_path: Path) -> None:
    """Another authority, certificate and lease; the agent stays good and may ask at once."""

    async def look(gate: RehearsalGate, stage: RehearsalStage) -> None:
        held = gate.log.state.agents["bot"]
        before = held.certificate_sha256
        gate.clock.advance_to(gate.valid_until)
        until = await gate.renew()
        assert gate.valid_until + 731 * DAY_S * NS == until
        assert before != held.certificate_sha256
        assert ("good", None) == (held.status, gate.gatekeeper.leasing.last_failure)
        await gate.gatekeeper.leasing.ensure()
        lease = gate.log.state.lease
        assert lease is not None
        assert [held.certificate_sha256] == list(lease.status)

    on_stage(tmp_path, look)


def test_authority_that_speaks_for_nobody_grants_nothing() -> None:
    """Before it was founded there is neither roster nor lease."""
    authority = RehearsalAuthority(SteppedClock(BEGINS))
    with pytest.raises(ConfigurationInvalid):
        assert authority.roster.seats
