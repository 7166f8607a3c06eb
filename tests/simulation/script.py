# SPDX-License-Identifier: Apache-2.0
"""Two scripted lives of a gate, each ended by a power loss at each of its awaits in turn.

The script does what a day has: orders that fill, rest, are amended, cancelled and refused, several
at once, a hold in flight and its release, a restart and a retry, a revocation. The other life has a
baseline: an order far too large stops it while others rest, people release it, and it happens again
while the authority is away. After the power loss the gate opens again and the script goes on; the
interrupted act is done again, with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sekisho.core.encoding import canonical
from tests.simulation.faults import DEATHS
from tests.simulation.invariants import Violated, check
from tests.simulation.life import Parts
from tests.simulation.observing import quiet_day
from tests.simulation.run import calm_down, expect_service
from tests.simulation.steps import body_of, save_checkpoint
from tests.simulation.world import World

Act = Callable[[World], None]


def _order(name: str, **changes: str) -> Act:
    def act(world: World) -> None:
        world.ask(body_of(name, **changes), name)

    return act


def _amend(name: str, target: str, quantity: str) -> Act:
    fields = {"client_order_id": name, "orig_client_order_id": target, "quantity": quantity}
    return lambda world: _ask(world, name, canonical({"action": "amend"} | fields))


def _cancel(name: str, target: str) -> Act:
    fields = {"client_order_id": name, "orig_client_order_id": target}
    return lambda world: _ask(world, name, canonical({"action": "cancel"} | fields))


def _ask(world: World, name: str, body: bytes) -> None:
    world.ask(body, name)


def _two_at_once(world: World) -> None:
    for name in ("c1", "c2"):
        world.ask(body_of(name, quantity="24000", price="1.05"), name)


def _hold_in_flight(world: World) -> None:
    """An order on its way, and a hold that overtakes it."""
    world.ask(body_of("h1", price="1.05"), "h1")
    world.run(0.004)
    if world.gate is not None:
        certificate = world.certificates[-1].sha256
        world.stop(certificate, "hold", world.authority.change(certificate, "hold"), "told")


def _release_at_the_authority(world: World) -> None:
    certificate = world.certificates[-1].sha256
    if world.authority.status(certificate) == "hold":
        world.authority.change(certificate, "good")
    world.run(8)


def _revoke(world: World) -> None:
    certificate = world.certificates[-1].sha256
    world.stop(certificate, "revoked", world.authority.change(certificate, "revoked"), "told")


def _wait(world: World) -> None:
    world.run(2)


def _start_again(world: World) -> None:
    world.die(DEATHS[1])
    world.run(0)


SCRIPT: tuple[Act, ...] = (
    _order("fills"),
    _order("rests", price="1.05"),
    _amend("amended", "rests", "12000"),
    _order("too-large", quantity="180000"),
    _two_at_once,
    _cancel("cancels", "c1"),
    _wait,
    save_checkpoint,
    _hold_in_flight,
    _release_at_the_authority,
    _start_again,
    _order("fills"),
    _revoke,
)


def _authority_goes_away(world: World) -> None:
    world.cut_off = True


def _authority_comes_back(world: World) -> None:
    world.cut_off = False
    world.run(40)


SCRIPT_OF_INCIDENTS: tuple[Act, ...] = (
    _order("rests", price="1.05", quantity="2000", time_in_force="gtc"),
    _order("far-too-large", quantity="9000000"),
    _wait,
    _release_at_the_authority,
    _order("trades"),
    _order("rests-too", price="1.05", quantity="2000", time_in_force="gtc"),
    _authority_goes_away,
    _order("far-too-large-too", quantity="8000000"),
    _start_again,
    _wait,
    _authority_comes_back,
    _release_at_the_authority,
    _order("trades-too"),
)


@dataclass
class Life:
    """How a scripted life went.

    Attributes:
        crash_at: number of the await at which the power was lost; 0 for a life without.
        points: number of awaits that it reached.
        deaths: how often a process ended, the restarts of the script included.
        finding: the invariant that did not hold, and why; empty when all did.
    """

    crash_at: int
    points: int = 0
    deaths: int = 0
    finding: str = ""


def live(crash_at: int = 0, parts: Parts | None = None, *, incidents: bool = False) -> Life:
    """A script once, with a power loss at the await of this number."""
    world = World(0, parts=parts, quiet=True, observed=incidents)
    life = Life(crash_at)
    try:
        if incidents:
            quiet_day(world)
            world.go_live()
            world.run(5)
            world.plan.count = 0
        world.plan.crash_at = crash_at
        world.open()
        check(world)
        for act in SCRIPT_OF_INCIDENTS if incidents else SCRIPT:
            before = world.deaths
            _do(world, act)
            if world.deaths != before and act is not _start_again:
                _do(world, act)
        life.points, life.deaths = world.plan.count, world.deaths
        calm_down(world)
        expect_service(world)
        check(world)
    except Violated as violated:
        life.finding = str(violated)
    finally:
        world.end()
    return life


def live_through(parts: Parts | None = None, *, incidents: bool = False) -> tuple[int, list[Life]]:
    """A script once for each of its awaits: how many there are, and the lives that failed."""
    undisturbed = live(0, parts, incidents=incidents)
    numbers = range(1, undisturbed.points + 1)
    lives = [live(number, parts, incidents=incidents) for number in numbers]
    for life in lives:
        if not life.finding and life.deaths <= undisturbed.deaths:
            life.finding = "the power was not lost"
    return undisturbed.points, [life for life in (undisturbed, *lives) if life.finding]


def _do(world: World, act: Act) -> None:
    act(world)
    if world.gate is not None:
        world.run(30, lambda: all(ask.over for ask in world.seen.asks))
        world.run(0.2)
    world.open()
    check(world)
