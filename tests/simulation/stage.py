# SPDX-License-Identifier: Apache-2.0
"""What every simulated world has: a loop, clocks, a disk, one process that lives and dies, a plan.

The stage is outside of the process: it acts between runs of the event loop. What happens is hashed
into a trace; the same seed gives the same one in any process of any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.errors import OutcomeUnknown, StorageFailed, VerificationFailed
from tests.simulation.faults import DEATHS, FaultPlan
from tests.simulation.loop import NS, PROCESS, Process, WorldClock, never, new_loop
from tests.simulation.records import DurableLog

_LAG_NS = {
    "disk.sync": (100_000, 900_000),
    "disk.sync_folder": (100_000, 900_000),
    "signer.sign": (50_000, 2_000_000),
    "responder.sign": (50_000, 2_000_000),
    "venue": (300_000, 6_000_000),
    "authority": (2_000_000, 30_000_000),
    "rates": (100_000, 3_000_000),
}
_ATTEMPTS = 12


class Stage:
    """Time, chance, one disk and one process at a time.

    Attributes:
        clock: of the machine on which the process runs; ``true_clock`` is everybody else's.
        process: the life that runs now; None between two of them.
        lives, deaths: how many were begun, and ended.
        failures: what must never happen and did; an invariant reads it.
    """

    def __init__(self, name: str, seed: int, start_ns: int, plan: FaultPlan, dice: Random) -> None:
        self.name = name
        self.dice = dice
        self.plan = plan
        shuffled = dice.random() < 0.5 and not plan.quiet
        self.loop = new_loop(Random(f"loop {seed}") if shuffled else None)
        self.true_clock = WorldClock(self.loop, start_ns)
        self.clock = WorldClock(self.loop, start_ns)
        self.entropy = SeededEntropy(str(seed).encode())
        self.disk = SimulatedDisk(point=self._disk_point)
        self.process: Process | None = None
        self.lives = 0
        self.deaths = 0
        self.failures: list[str] = []
        self._death = ""
        self._durable = DurableLog()
        self._hash = hashlib.sha256()

    # ------------------------------------------------------------- what each world says of itself

    def state(self) -> str:
        """What the process is at, in a word: for the coverage."""
        raise NotImplementedError

    def serves(self) -> bool:
        """Whether the process has opened its log."""
        raise NotImplementedError

    async def live(self) -> None:
        """Open the log and begin to serve. Raises what opening raises."""
        raise NotImplementedError

    def forget(self) -> None:
        """The process died: nothing of its memory is held any more."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------- looking

    def note(self, text: str) -> None:
        """Write a line into the trace."""
        self._hash.update(f"{self.loop.now_ns} {text}\n".encode())

    def trace(self) -> str:
        """The hash of all that happened, and of the durable log."""
        whole = self._hash.copy()
        for entry in self.durable():
            whole.update(entry)
        return whole.hexdigest()

    def durable(self) -> list[bytes]:
        """The entries that no crash at this instant could take away."""
        return self._durable.entries(self.disk)

    # ------------------------------------------------------------------------------- the points

    async def reach(self, point: str, under_way: Callable[[], None] | None = None) -> str:
        """A point of a port: wait a little, perhaps die, perhaps be slow; else the fault's name.

        Args:
            point: its name.
            under_way: what has perhaps left already when the process dies here.
        """
        process = PROCESS.get()
        if process is None or not process.alive:
            await never()
        self.plan.state = self.state()
        fault = self.plan.draw(point)
        self.note(f"{point} {fault}")
        if fault in DEATHS:
            if under_way is not None and self.dice.randrange(2):
                under_way()
            self.die(fault)
            await never()
        if fault == "slow":
            await self.true_clock.sleep(self.plan.slow_s())
            return ""
        name, _, when = point.partition(":")
        lag = _LAG_NS.get(name) or _LAG_NS.get(name.partition(".")[0])
        if lag is not None and when == "before":
            await self.true_clock.sleep(self.dice.randrange(*lag) / NS)
        return fault

    async def _disk_point(self, name: str) -> None:
        operation, _, place = name.partition(" ")
        path, _, when = place.rpartition(":")
        fault = await self.reach(f"disk.{operation}:{when}")
        if fault == "disk_full":
            self.disk.free_bytes = self.dice.randrange(300)
        elif fault:
            self.disk.fail(operation, path, persisted=fault == "sync_error_persisted")

    # -------------------------------------------------------------------------- lives and deaths

    def die(self, death: str) -> None:
        """The process ends at this instant."""
        if self.process is not None and self.process.alive:
            self.note(death)
            self.loop.kill(self.process)
            self.loop.interrupted = True
            self._death = death

    def bury(self) -> None:
        """Drop the memory of the dead life; the disk becomes what the next one finds."""
        power_loss = self._death == DEATHS[0]
        self.loop.interrupted = False
        self.loop.bury()
        self._death, self.process = "", None
        self.deaths += 1
        self.forget()
        if power_loss:
            self.disk = self.disk.crash(self.dice)
            self.clock.boot()
        else:
            self.disk = self.disk.kill()

    def end(self) -> None:
        """Nothing more happens here."""
        self.die(DEATHS[1])
        self.loop.bury()

    def open(self) -> None:
        """Begin lives until one of them serves; after some attempts nothing hinders it."""
        for attempt in range(_ATTEMPTS):
            if not self.serves():
                self._begin_life(calm=attempt > _ATTEMPTS // 2)
        if not self.serves():
            self.failures.append(f"the {self.name} does not open although nothing is wrong")

    def _begin_life(self, *, calm: bool) -> None:
        before, self.plan.calm = self.plan.calm, self.plan.calm or calm
        self.lives += 1
        self.process = Process(f"{self.name} {self.lives}")
        task = self.loop.spawn(self.process, self._live())
        self.run(120, task.done)
        self.plan.calm = before
        if not self.serves() and self.process is not None:
            self.die(DEATHS[1])
            self.bury()

    async def _live(self) -> None:
        try:
            await self.live()
        except VerificationFailed as error:
            self.failures.append(f"the log does not open: {error}")
        except (StorageFailed, OutcomeUnknown) as error:
            self.log_failed(error)

    def log_failed(self, error: Exception) -> None:
        """The process saw its log fail."""
        self.note(f"the log failed: {type(error).__name__}")

    def opened(self, known: list[bytes]) -> None:
        """A life has read its log: it must know exactly what is durable."""
        if known != self.durable():
            self.failures.append("the log that was opened is not what is durable")

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let things happen for at most so long; a death ends it and is cleared away."""
        self.loop.run(self.loop.now_ns + round(seconds * NS), done)
        if self.process is not None:
            self.failures += self.process.failures()
        if self._death:
            self.bury()
