# SPDX-License-Identifier: Apache-2.0
"""An agent moved between two gates while orders fly, in random schedules of faults.

Whatever is killed and cut: over both logs the day's volume is within the cap, no id is permitted
twice, the key is used at one gate at a time, and no move takes a latch off. Both logs are then
judged by the verifier's own fold, which finds what is given and taken to be the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from sekisho.core.amounts import parse_money
from sekisho.core.errors import SekishoError
from sekisho.core.events import Decision, HistoryGiven, HistoryLost, HistoryPart
from tests.authority_world import AGENT, AuthorityWorld
from tests.histories import folded_by_others
from tests.simulation.two_gates import CAP, NAMED, ORIGINS, TwoGates, founded

QUICK = 200
FOLDED_EACH = 10
"""Every so many schedules the logs are folded by the verifier too; that takes longer."""
STEPS = 28
DAY_S = 86_400


class Schedule:
    """What happens in one seed, step by step."""

    def __init__(self, world: TwoGates, seed: int) -> None:
        self.world = world
        self.dice = Random(f"schedule {seed}")
        self.names = 0

    async def run(self) -> None:
        world = self.world
        await world.play(2)
        for _ in range(STEPS):
            step = self.dice.choices(
                (self.orders, self.again, self.cancel, self.move, self.kill, self.revive,
                 self.authority, self.cut, self.fill, self.latch, self.wait, self.day, self.lose),
                (20, 6, 4, 10, 6, 8, 3, 5, 5, 3, 12, 1, 2),
            )[0]  # fmt: skip
            await step()
        await self.mend()

    async def mend(self) -> None:
        """Everything runs again; what is owed arrives, if it is not lost."""
        world = self.world
        world.cut.clear()
        for name in NAMED:
            await self.start(name)
        if world.gone:
            await world.play(70)
            await self.declare()
        for _ in range(9):  # an authority that was opened anew waits 60 s
            await world.play(8)
            for name in NAMED:
                if (life := world.lives.get(name)) and life.gate.log.journal.failed is not None:
                    world.kill_gate(name)
                    await self.start(name)

    async def start(self, name: str) -> None:
        if name not in self.world.lives and name != self.world.gone:
            try:
                await self.world.start_gate(name)
            except SekishoError as error:
                self.world.findings.append(f"{name} does not start: {error}")

    # -- steps ---------------------------------------------------------------------------------

    async def orders(self) -> None:
        """Several at once, at any gate; some after a moment, so that what follows overtakes."""
        for _ in range(self.dice.randrange(1, 5)):
            self.names += 1
            name = f"{self.world.ids_from}o-{self.names}"
            asked = {"quantity": str(self.dice.choice((500, 3_000, 7_000, 12_000)))}
            self.world.asked.append((name, asked))
            self.world.fly(self.world.ask(name, self.dice.choice(NAMED), **asked))
        await self.world.play(self.dice.choice((0, 0, 0.01, 0.2)))

    async def again(self) -> None:
        """The same order at any gate: a bot that does not know what became of it."""
        if self.world.asked:
            name, asked = self.dice.choice(self.world.asked)
            self.world.fly(self.world.ask(name, self.dice.choice(NAMED), **asked))

    async def cancel(self) -> None:
        world = self.world
        if world.asked:
            self.names += 1
            what = {"action": "cancel", "orig_client_order_id": self.dice.choice(world.asked)[0]}
            body = what | {"client_order_id": f"{world.ids_from}c-{self.names}"}
            world.fly(world.plain(self.dice.choice(NAMED), body))

    async def move(self) -> None:
        self.world.fly(self.world.move(self.dice.choice(NAMED)))
        await self.world.play(self.dice.choice((0, 0.01, 0.3, 2)))

    async def kill(self) -> None:
        self.world.kill_gate(self.dice.choice(NAMED))

    async def revive(self) -> None:
        for name in NAMED:
            await self.start(name)
            life = self.world.lives.get(name)
            if life is not None and life.gate.log.journal.failed is not None:
                self.world.kill_gate(name)

    async def authority(self) -> None:
        await self.world.restart_authority()

    async def cut(self) -> None:
        """Cuts one link, or mends both."""
        if self.world.cut or self.dice.randrange(2):
            self.world.cut.clear()
        else:
            self.world.cut.add(self.dice.choice(NAMED))

    async def fill(self) -> None:
        if self.world.venue.resting:
            self.world.venue.fill(self.dice.choice(sorted(self.world.venue.resting)))

    async def latch(self) -> None:
        if self.world.latched:
            await self.world.rearm()
        else:
            self.world.latch()

    async def wait(self) -> None:
        await self.world.play(self.dice.choice((0.3, 1, 3, 8)))

    async def day(self) -> None:
        await self.world.play(3)
        self.world.clock.advance(DAY_S)
        await self.world.play(3)

    async def lose(self) -> None:
        """A gate that has the agent is gone for good, now and then; later people declare it."""
        world = self.world
        held = world.authority.authority.state.assigned.get(AGENT)
        if not world.gone and held is not None and self.dice.randrange(3) == 0:
            world.gone = held.whole
            world.kill_gate(world.gone)
        elif world.gone:
            await world.play(61)
            await self.declare()

    async def declare(self) -> None:
        world = self.world
        held = world.authority.authority.state.assigned[AGENT]
        other = next(name for name in NAMED if name != world.gone)
        if held.whole == world.gone and not held.kept:
            said = {"history": "lost", "positions": {}, "ids_from": "gen2-"}
            try:
                await world.move(other, **said)
            except SekishoError as error:
                world.counted[f"not declared: {error}"[:60]] += 1


def judge(world: TwoGates, *, folded: bool) -> list[str]:
    """Everything that is not as it must be, over both logs and the key's own word."""
    found = list(world.findings)
    permits = {use.permit.permit_id: use for use in world.uses}
    names = Counter(use.order_id for use in permits.values())
    found += [f"{name}: permitted {count} times" for name, count in names.items() if count > 1]
    found += over_cap(world)
    for gate in NAMED:
        kept = list(world.entries(gate))
        decided = Counter(
            str(entry.order["client_order_id"])
            for _, entry in kept
            if isinstance(entry, Decision) and entry.verdict == "permitted" and entry.order
        )
        found += [f"{name}: twice in one log" for name, count in decided.items() if count > 1]
        if folded and kept:
            try:
                folded_by_others([data for data, _ in kept], ORIGINS[gate])
            except Exception as error:  # noqa: BLE001 - whatever the verifier finds is a finding
                found.append(f"{gate}: {error}")
    return found


def over_cap(world: TwoGates) -> list[str]:
    """Each day's notional over both logs, and of every permit that was signed."""
    sums: Counter[str] = Counter()
    for entry in world.permitted():
        if entry.before is not None and entry.after is not None:
            more = parse_money(entry.after.gross_permitted) - parse_money(
                entry.before.gross_permitted
            )
            sums[entry.after.day] += more
    signed: Counter[int] = Counter()
    for use in {use.permit.permit_id: use for use in world.uses}.values():
        signed[use.at // (DAY_S * 10**9)] += parse_money(f"{use.permit.order['quantity']}.00")
    most = CAP * 10**8
    told = [*sums.items(), *signed.items()]
    return [f"day {day}: {total} of {most}" for day, total in told if total > most]


async def lived(seed: int, template: AuthorityWorld) -> TwoGates:
    world = await TwoGates.start(seed, template)
    try:
        await Schedule(world, seed).run()
        held = world.authority.authority.state.assigned.get(AGENT)
        if held is not None and held.owed and not world.gone:
            world.findings.append(f"the history is still owed by {held.whole} to {held.gate}")
        world.findings = judge(world, folded=seed % FOLDED_EACH == 0)
    finally:
        await world.end()
    return world


@pytest.mark.parametrize("first", range(0, QUICK, 50))
def test_agent_that_is_moved_under_faults_keeps_every_promise(first: int) -> None:
    """Fifty schedules; what each of them must have tried was tried."""

    async def story() -> Counter[str]:
        tried: Counter[str] = Counter()
        template = await founded()
        for seed in range(first, first + 50):
            world = await lived(seed, template)
            assert [] == world.findings, (seed, world.findings)
            tried.update(world.counted)
            kinds = HistoryGiven, HistoryPart
            for gate in NAMED:
                told = [entry for _, entry in world.entries(gate)]
                tried.update(type(one).__name__ for one in told if isinstance(one, kinds))
            lost = [e for e in world.authority.entries() if isinstance(e, HistoryLost)]
            tried["HistoryLost"] += len(lost)
        return tried

    tried = asyncio.run(story())
    wanted = {
        "permitted", "refused", "moved", "lost", "gate killed", "authority restarted", "latched",
        "re-armed", "HistoryGiven", "HistoryPart", "HistoryLost",
    }  # fmt: skip
    assert set() == wanted - {name for name, count in tried.items() if count}
