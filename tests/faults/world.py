# SPDX-License-Identifier: Apache-2.0
"""The simulated world of one cell: one fault, which begins and ends when the story says so.

Time is virtual, chance is fixed: a cell is the same on every machine.
"""

from __future__ import annotations

import copy
from asyncio import Task
from collections.abc import Callable
from typing import Any, cast

from sekisho.adapters.simulated_rates import FaultyRates
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.events import IncidentOpened
from sekisho.core.governance.commands import Command, Reach, SignedCommand, command_message
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.terms import NS, format_instant
from tests.faults.wiring import FaultGate, Makings, Sent, open_gate
from tests.gate_world import POLICY
from tests.simulation.faults import FaultPlan
from tests.simulation.life import Gate
from tests.simulation.people import exactly
from tests.simulation.records import Ask
from tests.simulation.world import World
from tests.unit.core.governance.samples import KEYS, ROSTER

ORDER_MAX = 25_000
DAILY_MAX = 600_000
SLOW_S = 45.0
"""What is slow takes longer than every bound: a call 10 s, a lease 15 s, an unread venue 30 s."""


def policy() -> tuple[dict[str, Any], str]:
    """The policy of the matrix and its digest: what refuses is the dependency, not a latch."""
    made = copy.deepcopy(POLICY)
    made |= {"operator": {"name": "Example Trading", "lei": "0" * 20}, "version": 1}
    made["scope"] |= {
        "order_notional_max": str(ORDER_MAX),
        "daily_notional_max": str(DAILY_MAX),
        "trading_hours": "none",
    }
    return made, sha256_hex(canonical(made))


class Window(FaultPlan):
    """What strikes where, while the fault lasts; and the await in the middle at which it begins."""

    def __init__(self, dice: Any) -> None:
        super().__init__(dice, quiet=True)
        self.at: dict[str, str] = {}
        self.delay_s = SLOW_S
        self.trigger: tuple[str, Callable[[], bool], Callable[[], None]] | None = None

    def _choose(self, point: str) -> str:
        if self.trigger is not None:
            place, ready, begin = self.trigger
            if place == point and ready():
                self.trigger = None
                begin()
        return self.at.get(point, "")

    def slow_s(self) -> float:
        return self.delay_s


class FaultWorld(World):
    """A gate and its dependencies.

    Attributes:
        lie: what the venue says that is not so; empty while it is honest.
        sent: every permit that was handed to the venue.
        asked_ns: order id → virtual time at which the bot asked first.
        began_ns, ended_ns: virtual times of the fault; -1 before.
    """

    def __init__(self, makings: Makings | None = None) -> None:
        self.makings = makings or Makings()
        self.wrong_key = self.garbled = False
        self.free_percent = 50
        self.lie = ""
        self.sent: list[Sent] = []
        self.asked_ns: dict[str, int] = {}
        self.began_ns = self.ended_ns = -1
        self.feed_faults: FaultyRates
        super().__init__(1, parts=self.makings, quiet=True, observed=False)
        self.window = Window(self.dice)
        self.plan = self.window
        self.cap = DAILY_MAX
        self.policy, self.policy_sha256 = policy()
        self.certify()

    async def live(self) -> None:
        self.gate = cast("Gate", await open_gate(self))

    @property
    def served(self) -> FaultGate:
        """The gate, which must be there."""
        assert self.gate is not None
        return cast("FaultGate", self.gate)

    @property
    def denies(self) -> bool:
        """Whether the venue denies what it took."""
        return self.lie in ("never saw it", "acknowledges, then denies")

    def struck(self, name: str) -> bool:
        """Whether this fault of a wrapper is on."""
        return name in self.window.at

    def began(self) -> None:
        """The fault begins at this instant."""
        self.began_ns = self.loop.now_ns

    def ended(self) -> None:
        """The fault ends at this instant."""
        self.ended_ns = self.loop.now_ns

    def since_begin_s(self, ask: Ask) -> float:
        """When an order was asked, in seconds after the fault began."""
        return (self.asked_ns[ask.name] - self.began_ns) / NS

    def ask(self, body: bytes, name: str) -> tuple[Ask, Task[None]]:
        self.asked_ns.setdefault(name, self.loop.now_ns)
        return super().ask(body, name)

    def rearm_venue(self, seats: tuple[str, ...]) -> None:
        """These people command that the latch of the venue be taken off."""
        _, last = self.look().of(IncidentOpened)[-1]
        signed = []
        for seat in seats:
            self.seen.nonces += 1
            said = Command(
                command="rearm",
                reason_code="venue_was_asked",
                seat=seat,
                roster_sha256=roster_sha256(ROSTER),
                nonce=f"{self.seen.nonces:032x}",
                commanded_at=format_instant(self.true_clock.now_ns()),
                scope=Reach(kind="venue", name=self.venue.name),
                epoch=0,
                latch="venue",
                incident=last.incident,
            )
            signature = exactly(KEYS[seat], command_message(said))
            signed.append(SignedCommand(command=said, signature=signature))
        self.start(self._rearm(cast("Gate", self.served), tuple(signed)))

    def clear_venue(self) -> None:
        """The venue's staff take off the book what this gate's log does not know."""
        agent = self.look().state.agents["bot"]
        for name in self.venue.open_orders("bot"):
            if agent.find(name) is None:
                self.venue.cancel("bot", name)
