# SPDX-License-Identifier: Apache-2.0
"""Where the processor time of a gate goes: its stack, looked at each millisecond of that time.

The interpreter shows its stack between two instructions only, and other threads' time falls to
whatever the loop was at; so a stage is right to some percent, and the sum is what the kernel says.
"""

from __future__ import annotations

import signal
from collections import Counter
from types import FrameType

EVERY_S = 0.001
STAGES: dict[str, tuple[str, ...]] = {
    "the benchmark's own venue and wrappers": ("_gate_process.py",),
    "verify our signature": ("permit.py:check_signature",),
    "sign": ("signers/software.py",),
    "ids: new, or in the file": ("adapters/seen_",),
    "decide: all checks": ("gate/decide.py",),
    "fold three entries: the gate": ("GateState.apply",),
    "fold three entries: the watch": ("WatchState.apply",),
    "hash three leaves, tree": ("Journal.append",),
    "encode three entries": ("encode_entry",),
    "metrics, log lines": ("adapters/metrics.py", "gate_watching.py", "GateProcess._"),
    "record: the rest": ("gatelog.py",),
    "parse the order": ("parse_order",),
    "build the permit": ("Gatekeeper._permit", "signing_input", "assemble"),
    "stopped? twice": ("Gatekeeper._stopped",),
    "write and sync the journal": ("Journal._flush", "adapters/disk.py"),
    "tiles and checkpoints": ("Journal.publish", "Journal.run"),
    "snapshots": ("snapshots.py",),
    "call of the venue": ("waiting.py", "release.py", "gate_timing.py"),
    "rates, clocks, venues looked at": ("rates/", "ratewatch.py", "clockwatch.py", "venuewatch.py"),
    "door: budget, room, who asks": ("intake.py", "admissionbudget.py", "asking.py", "callers.py"),
    "gatekeeper: the rest": ("gatekeeper.py",),
    "HTTP: body, answer": ("bodies.py", "problems.py", "order_paths.py", "gate_api.py"),
    "HTTP: server": ("httptools_impl", "adapters/web/"),
    "event loop, sockets": ("asyncio/", "uvloop", "apps/running.py"),
}
"""Stages and what a frame of theirs has in its name; the innermost frame that has one decides."""


class Sampler:
    """Counts in which stage this process is; of one process, from its main thread."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._stage_of: dict[str, str] = {}

    def begin(self) -> None:
        """Count from now on."""
        self.seen.clear()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def end(self) -> dict[str, int]:
        """What was counted."""
        signal.setitimer(signal.ITIMER_PROF, 0, 0)
        return dict(self.seen)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            code = frame.f_code
            name = f"{code.co_filename}:{code.co_qualname}"
            stage = self._stage_of.get(name)
            if stage is None:
                stage = self._stage_of[name] = _stage(name)
            if stage:
                self.seen[stage] += 1
                return
            frame = frame.f_back
        self.seen["elsewhere"] += 1


def _stage(name: str) -> str:
    for stage, marks in STAGES.items():
        if any(mark in name for mark in marks):
            return stage
    return ""
