# SPDX-License-Identifier: Apache-2.0
"""The quiet day before the faults, and how an agent with a baseline goes wrong afterwards.

On the quiet day the agent trades as it will: few large orders among many, some at once, at the two
hours at which the seed begins. The next day compliance signs what was counted, and it is live. What
follows here are the steps that cross: an order far too large, a drift, a death or a silence just
when an incident opens.
"""

from __future__ import annotations

from sekisho.core.terms import NS
from tests.simulation.faults import DEATHS
from tests.simulation.people import BOTH
from tests.simulation.steps import body_of, fresh, release
from tests.simulation.world import World

BURSTS = 7
"""Of three orders each, some of them at the other hour: just enough for each factor."""
_BETWEEN_S = 130
_AMBUSHES = (
    ("disk.sync:before", DEATHS[0]),
    ("disk.sync:before", DEATHS[0]),
    ("disk.append:before", DEATHS[1]),
    ("disk.sync:after", DEATHS[0]),
    ("disk.sync:before", "sync_error"),
    ("disk.sync:before", "sync_error_persisted"),
    ("disk.sync:before", "slow"),
    ("disk.sync:before", "slow"),
    ("disk.sync:before", "slow"),
    ("authority.report_incident:before", DEATHS[1]),
    ("authority.report_incident:after", DEATHS[0]),
    ("authority.report_incident:after", "lost_answer"),
    ("venue.cancel:before", DEATHS[1]),
)


def quiet_day(world: World) -> None:
    """Some orders on the day before, then the hour at which the seed begins. No fault strikes."""
    world.plan.calm = True
    world.open()
    for number in range(BURSTS):
        if number == BURSTS // 3:
            late = world.begins_ns - 86_400 * NS - world.true_clock.now_ns()
            world.run(late / NS - BURSTS * _BETWEEN_S)
        # As once a second in a gate: a venue that was not read for long gets no orders.
        if world.gate is not None:
            world.start(world.reconcile(world.gate))
            world.run(1)
        for _ in range(3):
            ordinary(world)
        world.run(30, lambda: all(ask.over for ask in world.seen.asks))
        world.run(_BETWEEN_S)
    world.run((world.begins_ns - world.true_clock.now_ns()) / NS)
    world.plan.calm = False
    world.plan.count = 0


def ordinary(world: World) -> None:
    """An order that is executed at once, of a size within the day's cap."""
    dice, name = world.dice, fresh(world)
    large = dice.randrange(2 if world.cap > 200_000 else 6) == 0
    market = ("EUR/USD", "EUR/USD", "GBP/EUR")[dice.randrange(3)]
    body = body_of(
        name,
        market=market,
        side=("buy", "sell")[dice.randrange(2)],
        order_type="market",
        price=None,
        quantity=str(18_000 + dice.randrange(2_500) if large else 900 + dice.randrange(2_500)),
        currency=market[:3],
        time_in_force="ioc",
    )
    world.ask(body, name)


# ------------------------------------------------------------------------------- what crosses


def far_too_large(world: World) -> None:
    """An order beyond everything ever seen: refused, and where the policy says so, a hold."""
    name = fresh(world)
    world.ask(body_of(name, quantity=f"{5 + world.dice.randrange(5)}000000"), name)


def resting_then_far_too_large(world: World) -> None:
    """Orders that rest or are on their way, and then one that stops the agent."""
    for _ in range(1 + world.dice.randrange(3)):
        name = fresh(world)
        world.ask(body_of(name, price="1.05", quantity="2000", time_in_force="gtc"), name)
    world.run(world.dice.randrange(20_000) / 1_000_000)
    if world.gate is not None:
        far_too_large(world)


def drift(world: World) -> None:
    """The agent changes its ways, order by order, until something stops it or people look."""
    before = len(world.look().entries)
    for _ in range(30):
        if world.gate is None or world.state() not in ("live", "no_lease"):
            return
        name = fresh(world)
        quantity = str(21_000 + world.dice.randrange(3_500))
        world.ask(body_of(name, quantity=quantity, time_in_force="ioc"), name)
        world.run(1 + world.dice.randrange(3), lambda: all(ask.over for ask in world.seen.asks))
        if len(world.look().entries) - before > 150:
            return


def people_mend(world: World) -> None:
    """Whoever stopped the agent for its last incident lets it go on, so that there is another."""
    release(world)
    for latch in sorted(world.gate.log.state.agents["bot"].latches) if world.gate else ():
        world.rearm(latch, BOTH)
    if world.gate is not None:
        ordinary(world)  # brings a lease, when one is due
    world.run(3)
    world.open()


def dies_while_it_opens(world: World) -> None:
    """A death, or a failing disk, at one of the first awaits after an incident opened."""
    people_mend(world)
    if world.gate is None:
        return
    world.armed = armed = _AMBUSHES[world.dice.randrange(len(_AMBUSHES))]
    resting_then_far_too_large(world)
    if armed[1] == "slow":  # and then the power fails, before the slow disk is done
        world.run(0.2, lambda: world.gate is None)
        world.die(DEATHS[0])
    world.run(2, lambda: world.gate is None)
    world.armed = world.plan.ambush = None


def authority_away(world: World) -> None:
    """The link is cut while an incident opens; it stays so until people mend it."""
    world.cut_off = True
    resting_then_far_too_large(world)
    world.run((0.03, 0.4, 9.0)[world.dice.randrange(3)])


def incident_desk_away(world: World) -> None:
    """Leases come, incidents do not get through: for a while the authority calls it good."""
    world.deaf = True
    resting_then_far_too_large(world)
    for _ in range(1 + world.dice.randrange(3)):
        world.run(6)
        if world.gate is not None:
            ordinary(world)
    world.deaf = world.dice.randrange(3) == 0


STEPS_OF_INCIDENTS = (
    (3, far_too_large),
    (3, resting_then_far_too_large),
    (3, drift),
    (4, dies_while_it_opens),
    (2, authority_away),
    (2, incident_desk_away),
)
