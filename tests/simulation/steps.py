# SPDX-License-Identifier: Apache-2.0
"""What a seed does, step by step: the bot, the market, the authority, the venue, time, people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import parse_order
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.core.terms import NS
from tests.gate_world import ORDER
from tests.simulation.faults import DEATHS
from tests.simulation.people import BOTH
from tests.simulation.world import LEASE_S, World

DAY_S = 86_400


def body_of(name: str, **changes: Any) -> bytes:
    """The bytes of an order; a change to None leaves the field out."""
    merged = ORDER | {"client_order_id": name} | changes
    return canonical({field: value for field, value in merged.items() if value is not None})


def fresh(world: World) -> str:
    """An order id that was not used."""
    return f"o{len(world.seen.asks)}"


def random_order(world: World, name: str, quantity: int = 0) -> bytes:
    """A well-formed order that mostly passes: resting or marketable, either market and leg."""
    dice = world.dice
    market = ("EUR/USD", "GBP/EUR")[dice.randrange(2)]
    mid = 1.085 if market == "EUR/USD" else 1.1763
    changes: dict[str, Any] = {
        "market": market,
        "side": ("buy", "sell")[dice.randrange(2)],
        "quantity": str(quantity or 1_000 + dice.randrange(23_000)),
        "currency": market.split("/")[dice.randrange(2)],
        "price": f"{mid * (0.97 + dice.randrange(7) / 100):.4f}",
        "time_in_force": ("day", "gtc", "ioc", "fok")[dice.randrange(4)],
    }
    if dice.randrange(4) == 0:
        changes |= {"order_type": "market", "price": None}
    return body_of(name, **changes)


def target_name(world: World) -> str:
    """The id of an order that rests at the venue, or of one sent lately, perhaps on its way."""
    names = list(world.venue.open_orders("bot"))
    names += [ask.name for ask in world.seen.asks[-3:]]
    return names[world.dice.randrange(len(names))] if names else "nothing"


# ------------------------------------------------------------------------------------ the bot


def new_order(world: World) -> None:
    name = fresh(world)
    world.ask(random_order(world, name), name)


def burst(world: World) -> None:
    """Orders at once, each large: near the daily cap counting is all."""
    for _ in range(3 + world.dice.randrange(6)):
        name = fresh(world)
        world.ask(body_of(name, quantity=str(20_000 + world.dice.randrange(5_001))), name)


def bad_order(world: World) -> None:
    name = fresh(world)
    changes: list[dict[str, Any]] = [
        {"quantity": "180000"},
        {"market": "XAU/USD", "currency": "XAU"},
        {"venue": "DARK"},
        {"quantity": "NaN"},
        {"leverage": "10"},
        {"price": "0.0001"},
    ]
    number = world.dice.randrange(len(changes) + 1)
    body = b"{" if number == len(changes) else body_of(name, **changes[number])
    world.ask(body, name)


def repeat(world: World) -> None:
    """An id used before: with the same content, sometimes with another."""
    used = [ask for ask in world.seen.asks if not _malformed(ask.body)]
    if not used:
        return
    lost = [ask for ask in used if ask.answer is None and ask.over]
    chosen = lost if lost and world.dice.randrange(3) else used
    ask = chosen[-1 - world.dice.randrange(min(len(chosen), 8))]
    body = ask.body
    if world.dice.randrange(5) == 0:
        body = body_of(ask.name, quantity="77")
    for _ in range(1 + world.dice.randrange(3)):
        world.ask(body, ask.name)


def _malformed(body: bytes) -> bool:
    try:
        parse_order(body)
    except MalformedInput:
        return True
    return False


def amend(world: World) -> None:
    name = fresh(world)
    order = {
        "action": "amend",
        "client_order_id": name,
        "orig_client_order_id": target_name(world),
        "quantity": str(1_000 + world.dice.randrange(26_000)),
    }
    world.ask(canonical(order), name)


def cancel(world: World) -> None:
    _cancel(world, target_name(world))


def change_of_mind(world: World) -> None:
    """An order, and its cancel while it is on its way."""
    name = fresh(world)
    world.ask(body_of(name, price="1.05", quantity="3000"), name)
    world.run(world.dice.randrange(6_000) / 1_000_000)
    if world.gate is not None:
        _cancel(world, name)


def _cancel(world: World, target: str) -> None:
    name = fresh(world)
    order = {"action": "cancel", "client_order_id": name, "orig_client_order_id": target}
    world.ask(canonical(order), name)


def caller_leaves(world: World) -> None:
    """The bot hangs up in the middle of an order."""
    name = fresh(world)
    ask, task = world.ask(random_order(world, name), name)
    world.run(world.dice.randrange(8_000) / 1_000_000)
    if not task.done():
        ask.left = True
        task.cancel()


# ------------------------------------------------------------------------- market and venue


def market_moves(world: World) -> None:
    for market in world.mids:
        world.mids[market] += world.dice.randrange(41) - 20
    world.feed()
    world.venue.match_resting()


def feed_changes(world: World) -> None:
    """The feed stands still, is crossed, or lives again."""
    world.feed_state = ("live", "live", "still", "crossed")[world.dice.randrange(4)]
    world.feed(force=world.feed_state != "still")


def venue_changes(world: World) -> None:
    faults, number = world.venue.faults, world.dice.randrange(4)
    faults.down = number == 0
    faults.depth = "900" if number == 1 else ""
    faults.latency_s = 0.004 if number == 2 else 0
    faults.time_out_s = 1


def venue_catches_up(world: World) -> None:
    """What was under way arrives, what waited is filled, the day's orders expire."""
    number = world.dice.randrange(4)
    if number == 0:
        world.venue.end_day()
    elif number == 1:
        world.venue.release_late_fills()
    else:
        world.venue.deliver_delayed()


# ------------------------------------------------------------------------------------- time


def time_passes(world: World) -> None:
    world.run((0.05, 1.0, 6.0, 16.0, 61.0, 2_400.0)[world.dice.randrange(6)])


def next_day(world: World) -> None:
    world.run(DAY_S / 2 + world.dice.randrange(DAY_S))


def clock_steps(world: World) -> None:
    """A time server or an administrator moves the gate's clock; the next time back to the truth."""
    apart_ns = world.true_clock.now_ns() - world.clock.now_ns()
    steps = (-30.0, -3.0, -0.5, 0.5, 3.0, 30.0)
    world.clock.step(apart_ns / NS if apart_ns else steps[world.dice.randrange(6)])


# ------------------------------------------------------------------- authority and people


def link_changes(world: World) -> None:
    world.cut_off = not world.cut_off


def hold(world: World) -> None:
    _stop(world, "hold")


def revoke(world: World) -> None:
    _stop(world, "revoked")


def _stop(world: World, status: Any) -> None:
    """The authority changes the status; the push may be lost, the lease then brings it."""
    certificate = world.certificates[-1].sha256
    if world.authority.status(certificate) == "revoked":
        return
    epoch = world.authority.change(certificate, status)
    if not world.cut_off and world.dice.randrange(4):
        world.stop(certificate, status, epoch, "told")


def stop_in_flight(world: World) -> None:
    """Orders, and a stop while they are on their way; released again soon, mostly."""
    for _ in range(1 + world.dice.randrange(3)):
        new_order(world)
    world.run(world.dice.randrange(12_000) / 1_000_000)
    if world.gate is not None:
        certificate = world.certificates[-1].sha256
        status: Any = "hold" if world.dice.randrange(6) else "revoked"
        epoch = world.authority.change(certificate, status)
        world.stop(certificate, world.authority.status(certificate), epoch, "in flight")


def release(world: World) -> None:
    """Two people release at the authority; the gate learns it with a lease only."""
    certificate = world.certificates[-1].sha256
    if world.authority.status(certificate) == "hold":
        world.authority.change(certificate, "good")
        if world.dice.randrange(2):
            world.run(LEASE_S / 2)  # the gate asks for its next lease


def replace_certificate(world: World) -> None:
    """A revoked agent gets a new certificate and key under the same policy."""
    if world.authority.status(world.certificates[-1].sha256) == "revoked":
        world.certify()
        restart(world)


def rearm(world: World) -> None:
    """Two people of different roles take the first latch off that is on; or one tries to."""
    gate = world.gate
    if gate is not None and gate.log.state.agents["bot"].latches:
        seats = BOTH if world.dice.randrange(4) else BOTH[:1]  # one person alone is refused
        world.rearm(min(gate.log.state.agents["bot"].latches), seats)
        if world.dice.randrange(4) == 0:  # the power fails while it is being written
            world.plan.ambush, world.tears = ("disk.sync:before", DEATHS[0]), True
            world.run(1, lambda: world.gate is None)
            world.plan.ambush, world.tears = None, False


# ----------------------------------------------------------------------------------- machine


def reconcile(world: World) -> None:
    """The gate asks the venue about what it does not know."""
    assert world.gate is not None
    world.start(world.reconcile(world.gate))


def save_checkpoint(world: World) -> None:
    """The observer keeps what the gate published, and what the authority last saw."""
    world.seen.checkpoints.append(world.authority.seen)
    assert world.gate is not None
    journal = world.gate.journal
    if journal.checkpoint:
        published, _ = verify_checkpoint(journal.checkpoint, journal.log_key)
        world.seen.checkpoints.append((published.size, published.root_hash))


def restart(world: World) -> None:
    """An operator stops the process and starts it again, or the power fails while it idles."""
    world.die(DEATHS[world.dice.randrange(2)])
    world.run(0)
    world.run(world.dice.randrange(20))


Step = tuple[int, Callable[[World], None]]
STEPS: tuple[Step, ...] = (
    (26, new_order),
    (7, burst),
    (5, bad_order),
    (9, repeat),
    (6, amend),
    (4, cancel),
    (4, change_of_mind),
    (3, caller_leaves),
    (6, market_moves),
    (3, feed_changes),
    (3, venue_changes),
    (4, venue_catches_up),
    (8, time_passes),
    (2, next_day),
    (2, clock_steps),
    (2, link_changes),
    (3, hold),
    (1, revoke),
    (5, stop_in_flight),
    (4, reconcile),
    (4, save_checkpoint),
    (2, restart),
)


def draw_step(world: World, steps: tuple[Step, ...]) -> Callable[[World], None]:
    """The next step of this seed, of these."""
    number = world.dice.randrange(sum(weight for weight, _ in steps))
    for weight, step in steps:
        number -= weight
        if number < 0:
            return step
    raise AssertionError("the weights do not add up")


def mend(world: World) -> None:
    """People repair what is broken, one thing at a time; sometimes they do not come."""
    certificate = world.certificates[-1].sha256
    status = world.authority.status(certificate)
    broken: list[tuple[bool, Callable[[World], None]]] = [
        (world.cut_off, link_changes),
        (world.deaf, _incidents_get_through),
        (world.observed and not _live(world), World.go_live),
        (world.feed_state != "live", _feed_lives),
        (world.venue.faults.down, _venue_answers),
        (status == "revoked", replace_certificate),
        (status == "hold", release),
        (world.gate is not None and bool(world.gate.log.state.agents["bot"].latches), rearm),
    ]
    repairs = [repair for is_broken, repair in broken if is_broken]
    if repairs and world.dice.randrange(4):
        repairs[world.dice.randrange(len(repairs))](world)


def _live(world: World) -> bool:
    return world.gate is None or bool(world.gate.log.state.agents["bot"].baseline_sha256)


def _incidents_get_through(world: World) -> None:
    world.deaf = False


def _feed_lives(world: World) -> None:
    world.feed_state = "live"
    world.feed()


def _venue_answers(world: World) -> None:
    world.venue.faults.down = False


def settle(world: World) -> None:
    """After a step: nothing more, a moment, or until every order has its answer."""
    number = world.dice.randrange(6)
    if number == 0:
        world.run(0)
    elif number == 1:
        world.run(world.dice.randrange(5_000) / 1_000_000)
    elif number == 2:
        world.run(0.5)
    else:
        world.run(30, lambda: all(ask.over for ask in world.seen.asks))
