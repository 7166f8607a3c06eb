# SPDX-License-Identifier: Apache-2.0
"""One cell of the matrix: a healthy order, the fault, orders all through it, its end, the return.

Every order of the story exists twice: one within the scope, and one far above it. What is wrong is
in the cell's findings, which are read from the log's bytes, from the venue's own list and from
what was written down at each use of the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sekisho.core.encoding import canonical
from sekisho.core.terms import NS
from tests.faults import judging
from tests.faults.rows import ROWS, Row
from tests.faults.telling import told
from tests.faults.wiring import Makings
from tests.faults.world import FaultWorld
from tests.simulation.faults import DEATHS
from tests.simulation.people import BOTH, COMPLIANCE
from tests.simulation.records import Ask
from tests.simulation.steps import body_of

Phase = Literal["before", "flush", "key", "venue", "after"]
PHASES: tuple[Phase, ...] = ("before", "flush", "key", "venue", "after")
QUICK: tuple[Phase, ...] = ("before", "key", "after")
INSTANTS = {
    "flush": "disk.append:before",
    "key": "signer.sign:before",
    "venue": "venue.submit:after",
}
"""The await of the order in the middle at which the fault begins."""
EVERY_S = 4.0
RETURN_S = 150.0
PATIENCE_S = 120.0
CONTRADICTED_S = 8.0
"""So long after a lie the venue's two lists have contradicted each other: compared each 5 s."""
MIDDLE = "middle"


@dataclass
class Cell:
    """What became of one fault in one phase.

    Attributes:
        middle: what the bot was told of the order in the middle.
        said: what it was told of the others while the fault lasted, in order, each once.
        returned_s: seconds from the fault's end to the first permit; None: none came.
        wrong: findings, by the column of the table that they belong to.
    """

    row: Row
    phase: Phase
    middle: str = ""
    said: list[str] = field(default_factory=list)
    returned_s: float | None = None
    why: str = ""
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def find(self, column: str, text: str) -> None:
        """Take down what is wrong."""
        self.wrong.setdefault(column, []).append(text)

    def count(self, column: str) -> int:
        """How much is wrong in a column."""
        return len(self.wrong.get(column, []))

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrong.values())


def run_cell(row: Row, phase: Phase, makings: Makings | None = None) -> Cell:
    """Live through one cell. A function of its arguments."""
    world = FaultWorld(makings)
    cell = Cell(row, phase)
    try:
        _Story(world, cell).tell()
        judging.judge(world, cell)
    finally:
        world.end()
    return cell


def run_matrix(phases: tuple[Phase, ...] = PHASES, makings: Makings | None = None) -> list[Cell]:
    """Every row in every phase."""
    return [run_cell(row, phase, makings) for row in ROWS for phase in phases]


class _Story:
    """What happens in a cell, in order."""

    def __init__(self, world: FaultWorld, cell: Cell) -> None:
        self._world = world
        self._cell = cell
        self._during: list[Ask] = []

    def tell(self) -> None:
        """From the healthy order to the settled end."""
        world, cell = self._world, self._cell
        world.open()
        for name, price in (("filled", "1.09"), ("rests", "1.05")):
            healthy = self._ask(name, price=price)
            self._over(healthy)
            if told(healthy) != "permitted":
                cell.find("told", f"healthy order: {told(healthy)}")
        self._above("above-healthy")
        middle = self._middle()
        self._through()
        cell.row.switch.off(world)
        world.ended()
        self._return()
        world.run(PATIENCE_S, lambda: all(ask.over for ask in world.seen.asks))
        self._again(middle)
        cell.middle = told(middle)

    def _begin(self) -> None:
        self._world.window.delay_s = self._cell.row.slow_s
        self._cell.row.switch.on(self._world)
        self._world.began()

    def _middle(self) -> Ask:
        """The order around which the fault begins."""
        world, phase = self._world, self._cell.phase
        if phase == "before":
            self._begin()
        elif phase in INSTANTS:
            held = world.served.log.state.agents["bot"]
            world.window.trigger = (
                INSTANTS[phase], lambda: MIDDLE in held.known, self._begin
            )  # fmt: skip
        middle = self._ask(MIDDLE, price="1.05" if self._cell.row.rests else "1.09")
        if phase == "after":
            self._over(middle)
            self._begin()
        world.run(2, lambda: world.began_ns >= 0)
        if world.began_ns < 0:
            self._cell.find("told", "the order in the middle did not reach the fault's instant")
            self._begin()
        return middle

    def _through(self) -> None:
        """Orders, and a cancel, while the fault lasts."""
        world, row = self._world, self._cell.row
        number = 0
        while world.loop.now_ns - world.began_ns < row.window_s * NS:
            price = "1.05" if row.rests else "1.09"
            self._during.append(self._ask(f"during-{number}", price=price))
            if number == 0:
                self._cancel("cancel-rests", "rests")
            self._above(f"above-{number}")
            world.run(EVERY_S)
            number += 1

    def _return(self) -> None:
        """Ask until an order is permitted again; start anew where that is what it takes."""
        world, cell = self._world, self._cell
        if cell.row.returns == "itself":
            if not self._comes_back("return", RETURN_S):
                cell.find("returns", f"it did not come back: {cell.why}")
            return
        world.run(CONTRADICTED_S)
        if self._comes_back("still", EVERY_S * 4):
            cell.find("returns", "it came back by itself, which it must not")
        if cell.row.why not in cell.why:
            cell.find("returns", f"it says {cell.why!r}, not {cell.row.why!r}")
        world.die(DEATHS[1])
        world.run(0)
        world.open()
        back = self._comes_back("anew", EVERY_S * 4)
        if cell.row.returns == "people":
            if back:
                cell.find("returns", "starting anew lifted what people have to lift")
            self._people()
        elif not back:
            cell.find("returns", f"it did not come back when it was started anew: {cell.why}")

    def _people(self) -> None:
        """One person alone changes nothing; two take the latch off, when the venue is in order."""
        world, cell = self._world, self._cell
        world.rearm_venue((COMPLIANCE,))
        if self._comes_back("alone", EVERY_S * 2):
            cell.find("returns", "one person alone took the latch off")
        world.clear_venue()
        world.run(CONTRADICTED_S)
        world.rearm_venue(BOTH)
        world.run(EVERY_S)
        if not self._comes_back("rearmed", EVERY_S * 4):
            cell.find("returns", f"it did not come back when two people re-armed it: {cell.why}")

    def _comes_back(self, name: str, within_s: float) -> bool:
        world, cell = self._world, self._cell
        until, number = world.loop.now_ns + round(within_s * NS), 0
        while world.loop.now_ns < until:
            ask = self._ask(f"{name}-{number}")
            self._above(f"above-{name}-{number}")
            world.run(EVERY_S)
            number += 1
            if told(ask) == "permitted":
                cell.returned_s = (world.asked_ns[ask.name] - world.ended_ns) / NS
                return True
            cell.why = _reason(ask)
        return False

    def _again(self, middle: Ask) -> None:
        """The bot asks again for the order in the middle: one decision, ever."""
        world = self._world
        if middle.answer is None or middle.answer.decision < 0 or world.gate is None:
            return
        again, _ = world.ask(middle.body, middle.name)
        self._over(again)
        if again.answer is None or again.answer.decision != middle.answer.decision:
            self._cell.find("sent twice", f"asked again: {told(again)}")

    # ------------------------------------------------------------------------------- the bot

    def _ask(self, name: str, *, price: str = "1.09", quantity: str = "1000") -> Ask:
        return self._world.ask(body_of(name, price=price, quantity=quantity), name)[0]

    def _above(self, name: str) -> None:
        self._ask(name, quantity="180000")

    def _cancel(self, name: str, of: str) -> None:
        body = {"action": "cancel", "client_order_id": name, "orig_client_order_id": of}
        self._world.ask(canonical(body), name)

    def _over(self, ask: Ask) -> None:
        self._world.run(PATIENCE_S, lambda: ask.over)


def _reason(ask: Ask) -> str:
    """What the bot was told why not, in the gate's own words."""
    answer = ask.answer
    if answer is None:
        return "no answer"
    parts = [f"{reason.code} {reason.observed}".strip() for reason in answer.reasons]
    return "; ".join([*parts, answer.detail] if answer.detail else parts)
