# SPDX-License-Identifier: Apache-2.0
"""Seeds for the authority: what happens to it, and what must hold after every step.

P4: whoever was told of a stop finds it in the log, and no lease calls good what was stopped before.
P5: good again only by the release of two people; revoked is final. P6: no lease for a log that does
not continue what was seen, nor for an earlier boot; the authority's own log survives every crash.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from sekisho.core.errors import VerificationFailed
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.core.ledger.merkle import verify_consistency
from tests.simulation.faults import DEATHS
from tests.simulation.invariants import Violated
from tests.simulation.registry import GATES, Registry
from tests.simulation.run import STEPS_MIN, Result

Findings = Iterator[str]
FORGERIES = ("fork", "rollback", "earlier boot")
_BECOMES = {"hold": "hold", "revoke": "revoked", "kill": "revoked", "release": "good"}


# ---------------------------------------------------------------------------------- invariants


def invariant_p4_acknowledged_acts_are_in_the_log(registry: Registry) -> Findings:
    """An outcome that says recorded is durable when it is given, and for ever."""
    register = registry.look()
    for commanded in registry.told.commands:
        outcome = commanded.outcome
        if outcome is None or not outcome.recorded:
            continue
        made = {entry.serial_number for _, entry in register.changes if entry.cause == outcome.act}
        for serial in outcome.changed:
            if serial not in made:
                yield f"{outcome.act} of {serial} was acknowledged and is not in the log"


def invariant_p4_no_lease_calls_good_what_was_stopped(registry: Registry) -> Findings:
    """No lease calls good what the durable log stopped; a stop that began counts at once."""
    register = registry.look()
    for granted in registry.told.grants:
        for digest in granted.asked:
            said = register.status(digest, granted.epoch)
            if said != "good" and digest not in granted.not_good:
                yield f"a lease of epoch {granted.epoch} has {digest[:8]} wrong: it was {said}"
    for commanded in registry.told.commands:
        if commanded.kind == "release":
            continue
        after = [
            other.begun
            for other in registry.told.commands
            if other.kind == "release" and other.begun > commanded.begun
        ]
        for granted in registry.told.grants:
            same_life = granted.life == commanded.life
            known = same_life or (commanded.outcome is not None and commanded.outcome.recorded)
            if (
                known
                and commanded.begun < granted.event < min(after, default=granted.event + 1)
                and commanded.certificate_sha256 in granted.asked
                and commanded.certificate_sha256 not in granted.not_good
            ):
                yield f"lease {granted.event} after the {commanded.kind} {commanded.begun}"


def invariant_p5_nothing_lifts_itself(registry: Registry) -> Findings:
    """Good again by as many releases as people commanded; never after revoked; epochs rise."""
    status: dict[str, str] = {}
    releases, epoch = 0, 0
    for index, entry in registry.look().changes:
        if entry.status == "good":
            releases += 1
            if status.get(entry.certificate_sha256) != "hold" or len(set(entry.seats)) < 2:
                yield f"entry {index} releases what it may not, by {entry.seats}"
        if entry.epoch <= epoch:
            yield f"entry {index} has epoch {entry.epoch} after {epoch}"
        epoch = entry.epoch
        status[entry.certificate_sha256] = entry.status
    commanded = [one for one in registry.told.commands if one.kind == "release"]
    if releases > len(commanded):
        yield f"{releases} released, {len(commanded)} commanded"


def invariant_p6_forged_logs_get_no_lease(registry: Registry) -> Findings:
    """A fork, a rollback and an earlier boot are refused, whatever crashed in between."""
    for granted in registry.told.grants:
        if granted.forged:
            yield f"a lease for a {granted.forged} of {granted.gate}"
        if not granted.on_record:
            yield f"a lease for boot {granted.boot} before that was on record"


def invariant_p6_own_log_continues(registry: Registry) -> Findings:
    """Every checkpoint that anyone kept is a beginning of the log; the fold takes every entry."""
    register = registry.look()
    yield from register.findings
    yield from registry.failures
    tree = register.tree
    for size, root in set(registry.told.checkpoints):
        proof = tree.consistency_proof(size, tree.size) if 0 < size < tree.size else []
        try:
            verify_consistency(size, root, tree.size, tree.root(), proof)
        except VerificationFailed as error:
            yield f"a checkpoint of {size} entries does not hold: {error}"


INVARIANTS: tuple[Callable[[Registry], Findings], ...] = (
    invariant_p4_acknowledged_acts_are_in_the_log,
    invariant_p4_no_lease_calls_good_what_was_stopped,
    invariant_p5_nothing_lifts_itself,
    invariant_p6_forged_logs_get_no_lease,
    invariant_p6_own_log_continues,
)


def check(registry: Registry) -> None:
    """Raise Violated for the first invariant that does not hold."""
    for invariant in INVARIANTS:
        for finding in invariant(registry):
            raise Violated(invariant.__name__, finding)


# --------------------------------------------------------------------------------------- steps


def lease(registry: Registry) -> None:
    registry.begin(registry.lease(_gate(registry)))


def forged_lease(registry: Registry) -> None:
    name = _gate(registry)
    forged = FORGERIES[registry.dice.randrange(len(FORGERIES))]
    if forged != "earlier boot" or registry.booted(name):
        registry.begin(registry.lease(name, forged))


def command(registry: Registry) -> None:
    kinds = ("hold", "hold", "hold", "release", "release", "release", "revoke", "kill")
    registry.begin(registry.command(kinds[registry.dice.randrange(len(kinds))]))


def all_at_once(registry: Registry) -> None:
    """A hold while leases are being signed."""
    lease(registry)
    lease(registry)
    registry.run(registry.dice.randrange(3_000) / 1_000_000)
    if registry.serves():
        registry.begin(registry.command("hold"))


def issue_again(registry: Registry) -> None:
    if registry.look_up() == "revoked":
        registry.begin(registry.certify())


def gate_boots(registry: Registry) -> None:
    registry.boot_gate(_gate(registry))


def time_passes(registry: Registry) -> None:
    registry.run((0.1, 2.0, 20.0)[registry.dice.randrange(3)])


def save_checkpoint(registry: Registry) -> None:
    assert registry.people is not None
    journal = registry.people.authority.log.journal
    if journal.checkpoint:
        published, _ = verify_checkpoint(journal.checkpoint, journal.log_key)
        registry.told.checkpoints.append((published.size, published.root_hash))


def restart(registry: Registry) -> None:
    registry.die(DEATHS[registry.dice.randrange(2)])
    registry.run(0)


def _gate(registry: Registry) -> str:
    return GATES[registry.dice.randrange(len(GATES))]


STEPS: tuple[Callable[[Registry], None], ...] = (
    *(lease,) * 6,
    *(forged_lease,) * 3,
    *(command,) * 6,
    *(all_at_once,) * 3,
    *(issue_again,) * 3,
    gate_boots,
    time_passes,
    time_passes,
    save_checkpoint,
    restart,
)


def run_registry_seed(seed: int) -> Result:
    """One seed of the authority: at least 50 steps with faults, then calm."""
    registry, result = Registry(seed), Result(seed)
    try:
        for number in range(STEPS_MIN + registry.dice.randrange(10)):
            step = STEPS[registry.dice.randrange(len(STEPS))]
            registry.note(f"step {number} {step.__name__}")
            result.story.append(f"{registry.loop.now_ns / 1e9:12.6f} s  {step.__name__}")
            result.steps += 1
            step(registry)
            registry.run((0.0, 0.002, 0.3, 6.0)[registry.dice.randrange(4)])
            if registry.state() == "failed":
                restart(registry)
            registry.open()
            check(registry)
        _expect_service(registry)
        check(registry)
    except Violated as violated:
        result.violated, result.finding = violated.invariant, str(violated)
    finally:
        _count(registry, result)
        registry.end()
    return result


SCRIPT: tuple[Callable[[Registry], None], ...] = (
    lambda registry: _asked(registry.lease("g1"), registry),
    lambda registry: _asked(registry.lease("g2"), registry),
    lambda registry: _asked(registry.command("hold"), registry),
    lambda registry: _asked(registry.lease("g1"), registry),
    lambda registry: _asked(registry.command("release"), registry),
    lambda registry: _asked(registry.lease("g1", "fork"), registry),
    lambda registry: registry.boot_gate("g1"),
    lambda registry: _asked(registry.lease("g1"), registry),
    lambda registry: _asked(registry.command("kill"), registry),
    issue_again,
    lambda registry: _asked(registry.lease("g1"), registry),
    save_checkpoint,
    restart,
    lambda registry: _asked(registry.lease("g2"), registry),
)


def _asked(work: Coroutine[Any, Any, None], registry: Registry) -> None:
    registry.begin(work)


def live_through() -> tuple[int, list[str]]:
    """A scripted life of the authority once for each of its awaits, and what went wrong."""
    points, wrong = _live(0)
    for number in range(1, points + 1):
        wrong += _live(number)[1]
    return points, wrong


def _live(crash_at: int) -> tuple[int, list[str]]:
    registry = Registry(0, crash_at=crash_at, quiet=True)
    try:
        for act in SCRIPT:
            act(registry)
            registry.run(3)
            registry.open()
            check(registry)
        points = registry.plan.count
        lost = registry.deaths < 2
        _expect_service(registry)
        check(registry)
    except Violated as violated:
        return 0, [f"await {crash_at}: {violated}"]
    finally:
        registry.end()
    return points, [f"await {crash_at}: no power loss"] if crash_at and lost else []


def _expect_service(registry: Registry) -> None:
    """When all is calm an honest gate gets a lease."""
    registry.plan.calm = True
    registry.run(60)
    restart(registry)
    registry.open()
    before = len(registry.told.grants)
    registry.boot_gate(GATES[0])
    registry.begin(registry.lease(GATES[0]))
    registry.run(30)
    if len(registry.told.grants) == before:
        registry.failures.append("after the storm an honest gate gets no lease")


def _count(registry: Registry, result: Result) -> None:
    result.trace = registry.trace()
    result.points = registry.plan.count
    result.coverage = registry.plan.coverage
    result.faults = sum(registry.plan.coverage.struck.values())
    result.deaths = registry.deaths
    result.orders = len(registry.told.commands)
    result.permits = len(registry.told.grants)
