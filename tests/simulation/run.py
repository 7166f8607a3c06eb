# SPDX-License-Identifier: Apache-2.0
"""Running seeds: one after another, with the invariants after each step, and the scripted life.

``python -m tests.simulation --help`` names the options. Everything is a function of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sekisho.core.events import IncidentOpened
from tests.simulation import steps
from tests.simulation.bugs import BUGS
from tests.simulation.faults import Coverage
from tests.simulation.invariants import Violated, check
from tests.simulation.life import Parts
from tests.simulation.observing import (
    STEPS_OF_INCIDENTS,
    quiet_day,
    resting_then_far_too_large,
)
from tests.simulation.world import World

STEPS_MIN = 50


@dataclass
class Result:
    """What became of one seed.

    Attributes:
        violated: name of the invariant that did not hold; empty when all did.
        finding: what was wrong.
        trace: hash of all that happened.
        observed: 1 when it had a quiet day and a baseline, else 0.
        story: the steps taken, for reading a failure.
    """

    seed: int
    violated: str = ""
    finding: str = ""
    trace: str = ""
    steps: int = 0
    points: int = 0
    faults: int = 0
    deaths: int = 0
    observed: int = 0
    incidents: int = 0
    orders: int = 0
    permits: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    story: list[str] = field(default_factory=list)


def parts_of(bug: str) -> Parts:
    """The services, with a bug planted when one is named."""
    return BUGS[bug].parts if bug else Parts()


def run_seed(seed: int, bug: str = "") -> Result:
    """One seed: at least 50 steps with faults, then calm, and everything must be in order."""
    world = World(seed, parts=parts_of(bug))
    result = Result(seed)
    try:
        _live(world, result)
    except Violated as violated:
        result.violated, result.finding = violated.invariant, str(violated)
    finally:
        _count(world, result)
        world.end()
    return result


def _live(world: World, result: Result) -> None:
    world.open()
    check(world)
    if world.observed:
        quiet_day(world)
        check(world)
        world.go_live()
    drawn = steps.STEPS + (STEPS_OF_INCIDENTS if world.observed else ())
    for number in range(STEPS_MIN + world.dice.randrange(20)):
        step = steps.draw_step(world, drawn)
        world.note(f"step {number} {step.__name__}")
        result.story.append(f"{world.loop.now_ns / 1e9:12.6f} s  {step.__name__}")
        result.steps += 1
        step(world)
        steps.settle(world)
        failed = world.gate is not None and world.gate.log.journal.failed is not None
        if failed and world.dice.randrange(4):
            steps.restart(world)
        world.open()
        check(world)
        steps.mend(world)
        world.open()
    calm_down(world)
    check(world)
    expect_service(world)
    check(world)
    if world.observed and world.gate is not None:
        resting_then_far_too_large(world)  # the last thing that happens; nobody releases it
        world.run(60)
        check(world)


def calm_down(world: World) -> None:
    """No more faults; everybody answers; the gate is started again."""
    world.plan.calm = True
    world.venue.faults.down, world.venue.faults.latency_s = False, 0
    world.venue.faults.submits.clear()
    world.venue.faults.cancels.clear()
    world.cut_off, world.deaf, world.feed_state = False, False, "live"
    steps.clock_steps(world) if world.clock.now_ns() != world.true_clock.now_ns() else None
    world.run(90, lambda: all(ask.over for ask in world.seen.asks))
    world.disk.free_bytes = None  # somebody made room
    steps.reconcile(world)  # a failure of the disk may still wait for the next write
    world.run(30)  # what is slow since before takes as long
    if world.gate is not None and world.gate.log.journal.failed is None:
        world.run(60)  # what was tried again and again gets through without a restart
        expect_service(world)
        check(world)
        world.settled = False
    steps.restart(world)
    world.open()
    world.run(60)
    steps.reconcile(world)
    world.run(60)


def expect_service(world: World) -> None:
    """After the storm an order gets a decision: refused for a reason, or permitted."""
    for _ in range(2):  # the first brings a lease, the second meets what the lease said
        name = steps.fresh(world)
        ask, task = world.ask(steps.body_of(name, quantity="1000"), name)
        world.run(60, task.done)
        if ask.answer is None or ask.answer.decision < 0:
            world.failures.append(f"after the storm an order is not decided: {ask}")
        world.run(20)
    world.settled = True


def _count(world: World, result: Result) -> None:
    result.trace = world.trace()
    result.points = world.plan.count
    result.coverage = world.plan.coverage
    result.faults = sum(world.plan.coverage.struck.values())
    result.deaths = world.deaths
    result.observed = int(world.observed)
    result.incidents = len(world.look().of(IncidentOpened))
    result.orders = len(world.seen.asks)
    result.permits = sum(1 for use in world.seen.key_uses if use.signatures)


def first_found(bug: str, seeds: range) -> Result | None:
    """The first of these seeds that finds a planted bug; None when none does."""
    for seed in seeds:
        result = run_seed(seed, bug)
        if result.violated:
            return result
    return None
