# SPDX-License-Identifier: Apache-2.0
"""What can go wrong at which point, how often, and which combinations were reached.

A *point* is an instant at which the gate waits for something outside: ``disk.sync:before``,
``signer.sign:after`` … The plan of a seed says which faults it has at all, and how often each; so
some seeds are calm but for one thing, and others have everything at once.
"""

from __future__ import annotations

from collections import Counter
from random import Random

DEATHS = ("power_loss", "process_dies")
_ANYWHERE = (*DEATHS, "slow")
_DISK_WRITES = ("append", "write_new", "replace")
_VENUE_ASKS = ("open_orders", "order_reports", "reports_since")

FAULTS_AT: dict[str, tuple[str, ...]] = {
    **{f"disk.{name}:before": ("fails", "disk_full") for name in _DISK_WRITES},
    "disk.sync:before": ("sync_error", "sync_error_persisted"),
    "disk.sync_folder:before": ("sync_error", "sync_error_persisted"),
    "signer.sign:before": ("down", "wrong_signature"),
    "signer.sign:after": ("lost_answer",),
    "log_signer.sign:before": ("down",),
    "responder.sign:before": ("down",),
    "venue.submit:before": (
        "down",
        "time_out_before",
        "time_out_after",
        "lose_ack",
        "delay",
        "reject",
        "fill_late",
    ),
    "venue.cancel:before": ("down", "time_out_before", "lose_ack", "ignore"),
    **{f"venue.{name}:before": ("down", "lost_answer") for name in _VENUE_ASKS},
    "authority.last_seen:before": ("down",),
    "authority.lease:before": ("down",),
    "authority.lease:after": ("lost_answer",),
    "authority.report_incident:before": ("down",),
    "authority.report_incident:after": ("lost_answer",),
    "authority.govern:before": ("down",),
    "authority.govern:after": ("lost_answer",),
    "rates.quotations:before": ("down",),
}
"""Faults special to a point; deaths and slowness are possible at every point."""

_RATES = (0.004, 0.012, 0.04)
_DEATH_RATES = (0.001, 0.003, 0.008)
_SLOW_S = (0.02, 0.3, 2.5, 20.0)


class Coverage:
    """Which fault met which point in which state of the gate, over any number of seeds."""

    def __init__(self) -> None:
        self.reached: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[tuple[str, str, str]] = Counter()

    def add(self, other: Coverage) -> None:
        """Take in what another seed reached."""
        self.reached.update(other.reached)
        self.struck.update(other.struck)

    def possible(self) -> list[tuple[str, str]]:
        """Every fault at every point that was reached at all."""
        points = sorted({point for point, _ in self.reached})
        return [
            (fault, point) for point in points for fault in (*_ANYWHERE, *FAULTS_AT.get(point, ()))
        ]

    def lines(self) -> list[str]:
        """The table fault × await point × state, and what was never struck."""
        states = sorted({state for _, state in self.reached})
        wide = max((len(point) for point, _ in self.reached), default=0) + 2
        lines = [
            f"{'fault':<22}{'await point':<{wide}}"
            + "".join(f"{name:>{len(name) + 2}}" for name in states)
        ]
        missing = []
        for fault, point in self.possible():
            counts = [self.struck[fault, point, state] for state in states]
            if not any(counts):
                missing.append(f"{fault} at {point}")
            lines.append(
                f"{fault:<22}{point:<{wide}}"
                + "".join(
                    f"{count:>{len(name) + 2}}" for name, count in zip(states, counts, strict=True)
                )
            )
        pairs = len(self.possible())
        lines.append(f"{pairs - len(missing)} of {pairs} pairs of fault and point were struck")
        cells = sum(1 for cell in self.struck.values() if cell)
        lines.append(f"{cells} cells fault × point × state, {sum(self.struck.values())} faults")
        return lines + [f"never: {name}" for name in missing]


class FaultPlan:
    """The faults of one seed.

    Attributes:
        calm: nothing goes wrong while it is set.
        quiet: nothing goes wrong at all, but for ``crash_at``.
        crash_at: lose power at the point of this number (1 is the first); 0 is never.
        ambush: point and fault that strikes there next, once; None for none.
        count: points reached so far.
        state: what the gate is at, for the coverage.
    """

    def __init__(self, dice: Random, *, crash_at: int = 0, quiet: bool = False) -> None:
        self.calm = False
        self.quiet = quiet
        self.crash_at = crash_at
        self.ambush: tuple[str, str] | None = None
        self.count = 0
        self.state = "starting"
        self.coverage = Coverage()
        self._dice = dice
        self._rates: dict[str, float] = {}
        names = sorted({name for special in FAULTS_AT.values() for name in special})
        for name in () if quiet else (*_ANYWHERE, *names):
            rates = _DEATH_RATES if name in DEATHS else _RATES
            if dice.random() < 0.6:
                self._rates[name] = rates[dice.randrange(len(rates))]

    def draw(self, point: str) -> str:
        """The fault that strikes at this point now; empty for none."""
        self.count += 1
        self.coverage.reached[point, self.state] += 1
        fault = self._choose(point)
        if fault:
            self.coverage.struck[fault, point, self.state] += 1
        return fault

    def _choose(self, point: str) -> str:
        if self.crash_at:
            return DEATHS[0] if self.count == self.crash_at else ""
        if self.ambush is not None and self.ambush[0] == point:
            (_, name), self.ambush = self.ambush, None
            return name
        if self.calm or not self._rates:
            return ""
        chance = self._dice.random()
        for name in (*FAULTS_AT.get(point, ()), *_ANYWHERE):
            chance -= self._rates.get(name, 0.0)
            if chance < 0:
                return name
        return ""

    def slow_s(self) -> float:
        """How long something slow takes, seconds."""
        return _SLOW_S[self._dice.randrange(len(_SLOW_S))] * (0.5 + self._dice.random())
