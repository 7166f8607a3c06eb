# SPDX-License-Identifier: Apache-2.0
"""The authority in the simulation: seeds that pass, mistakes that are found, each await."""

from __future__ import annotations

import pytest

from sekisho.services import leases
from sekisho.services.registerlog import RegisterLog
from tests.simulation.registry_seeds import live_through, run_registry_seed
from tests.simulation.run import STEPS_MIN, Result


def failed(results: list[Result]) -> list[str]:
    return [f"seed {one.seed}: {one.finding}" for one in results if one.violated]


def found_by(seeds: range) -> str:
    """The invariant that the first failing seed names."""
    return next((one.violated for one in map(run_registry_seed, seeds) if one.violated), "")


def test_authority_seeds_hold_every_invariant() -> None:
    """Stops are in the log, nothing lifts itself, no forged log gets a lease, whatever dies."""
    results = [run_registry_seed(seed) for seed in range(1, 26)]
    assert failed(results) == []
    assert min(one.steps for one in results) >= STEPS_MIN
    assert sum(one.faults for one in results) > 5 * len(results)
    assert sum(one.permits for one in results) > 10 * len(results)


@pytest.mark.slow
def test_more_authority_seeds_hold_every_invariant() -> None:
    """Four hundred more."""
    assert failed([run_registry_seed(seed) for seed in range(26, 426)]) == []


@pytest.mark.slow
def test_authority_survives_a_power_loss_at_each_await() -> None:
    """A scripted life of the authority, ended at each of its awaits in turn."""
    points, wrong = live_through()
    print(f"{points} awaits")
    assert (points > 100, wrong) == (True, [])


def test_lease_before_the_log_is_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is granted from memory alone may say what the log never held."""

    async def at_once(_: RegisterLog) -> None:
        """The planted mistake: nothing is waited for."""

    monkeypatch.setattr(RegisterLog, "all_durable", at_once)
    assert found_by(range(1, 200)).startswith(("invariant_p4", "invariant_p6"))


def test_lease_without_the_proof_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that does not look at the proof gives a lease to a fork."""
    monkeypatch.setattr(leases, "verify_consistency", lambda *_: None)
    assert found_by(range(1, 200)) == "invariant_p6_forged_logs_get_no_lease"


def test_authority_seed_gives_the_same_trace_again() -> None:
    """The seed decides everything here too."""
    assert run_registry_seed(3).trace == run_registry_seed(3).trace
    assert run_registry_seed(3).trace != run_registry_seed(4).trace
