# SPDX-License-Identifier: Apache-2.0
"""What is learned of one agent: habits, then its baseline and the evidence against it.

Implements docs/spec/behaviour.md sections 2 to 6 for one agent; `watch` feeds it entry by entry.
Whether a score crosses anything is judged there.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from sekisho_verify import canonical
from sekisho_verify.baseline import OF_AN_ORDER, Baseline, Habits, Observation, read
from sekisho_verify.canonical import SECOND
from sekisho_verify.decades import score_of, score_text
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.risk import Accumulation

_HOUR = 3600 * SECOND
_MS = 10**6


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a decision records (section 6); scores in millionths, None where it records ""."""

    stressed: str
    baseline_sha256: str
    anomaly: int | None
    factors: Mapping[str, int]
    risk: int | None
    scored: int

    def as_json(self) -> dict[str, object]:
        """As recorded."""
        return {
            "stressed": self.stressed,
            "baseline_sha256": self.baseline_sha256,
            "anomaly": "" if self.anomaly is None else score_text(self.anomaly),
            "factors": {name: score_text(score) for name, score in self.factors.items()},
            "risk": "" if self.risk is None else score_text(self.risk),
            "scored": self.scored,
        }


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What one entry added to the evidence; `begins`: the accumulation begins with it."""

    index: int
    day: int
    observations: Sequence[Observation] = ()
    stands_out: bool | None = None
    begins: bool = False


class Behaviour:
    """The record of one agent's behaviour.

    Attributes:
        baseline: in force; None in the baseline phase.
        began: index of the entry with which the present accumulation began.
    """

    def __init__(self) -> None:
        self.baseline: Baseline | None = None
        self.began = -1
        self._habits = Habits()
        self._orders: deque[int] = deque()
        self._last = 0  # time of the last new decision
        self._in_hour = 0  # new decisions in its hour, since the accumulation began
        self._unsigned: dict[int, str] = {}  # permitted new orders: decision → id
        self._waiting: dict[str, int] = {}  # id → time of the signature
        self._shown: list[_Shown] = []
        self._present: Accumulation | None = None
        self._past: Accumulation | None = None  # after the first `_taken` of `_shown`
        self._taken = 0
        self._base: Accumulation | None = None  # as a history brought it

    # ------------------------------------------------------------------- the baseline's window

    def window(self, agent: str) -> Baseline | None:
        """The baseline that follows from what was seen so far, before one is in force."""
        return self._habits.baseline(agent)

    def adopt(self, baseline: Baseline, index: int, day: int) -> None:
        """The baseline is in force from this entry on."""
        self.baseline = baseline
        self._habits = Habits()  # later observations are not counted
        self.restart(index, day)

    def restart(self, index: int, day: int) -> None:
        """The accumulation begins, or begins anew, with this entry."""
        self.began = index
        self._in_hour = 0
        self._take(_Shown(index, day, begins=True))

    # --------------------------------------------------------------------------------- history

    def rows(self, day: int, now: int) -> Iterator[list[object]]:
        """The rows of an agent's history that are the watch's (history.md 3)."""
        yield ["hour", str(self._last // _HOUR), str(self._in_hour)]
        for time in self._orders:
            if time > now - _HOUR:
                yield ["asked", str(time)]
        for name, time in sorted(self._waiting.items()):
            yield ["waiting", name, str(time)]
        if self.baseline is None:
            yield from self._habits.rows()
        else:
            yield ["baseline", self.baseline.document, self.baseline.sha256]
            if self._present is not None:
                yield from self._present.rows(day)

    def take_row(self, kind: str, members: list[object]) -> bool:
        """One row of a history; false for one of the gate's.

        Raises:
            VerificationFailed, ValueError: it is none.
        """
        texts = [str(one) for one in members]
        if kind == "hour":
            self._last, self._in_hour = int(texts[0]) * _HOUR, int(texts[1])
        elif kind == "asked":
            self._orders.append(int(texts[0]))
        elif kind == "waiting":
            self._waiting[texts[0]] = int(texts[1])
        elif kind in {"window", "habit"}:
            self._habits.take_row(members)
        elif kind == "baseline":
            self.baseline = read(canonical.object_of(members[0]))
            require(self.baseline.sha256 == members[1], "has a baseline of another digest")
            self._present = Accumulation(self.baseline.profiles, 0)
        elif kind in {"evidence", "evidence_day"}:
            if self._present is None:
                raise VerificationFailed("has evidence without a baseline")
            self._present.take_row(members)
        else:
            return False
        return True

    def taken(self, index: int, day: int) -> None:
        """A part of a history was applied with this entry: what follows goes on from here."""
        if self._present is not None:
            self.began = index
            self._present.resume(day)
            self._base = self._present
            self._present = copy.deepcopy(self._base)
            self._past, self._taken = copy.deepcopy(self._base), 0

    # ---------------------------------------------------------------------------- observations

    def recent_orders(self, now: int) -> int:
        """New decisions with now − 3,600 s < time ≤ now."""
        while self._orders and self._orders[0] <= now - _HOUR:
            self._orders.popleft()
        return len(self._orders)

    def new_decision(self, now: int, day: int, length: int) -> list[Observation]:
        """A new decision counts; what it shows of `frequency`.

        Args:
            now: its time.
            day: the agent's policy day.
            length: of the baseline's window, by the policy in force; 0: it does not count there.
        """
        shown: list[Observation] = []
        if self._in_hour and now // _HOUR > self._last // _HOUR:
            shown.append(("frequency", self._in_hour))
            self._in_hour = 0
        self._last = now
        self._in_hour += 1
        self._orders.append(now)
        if self.baseline is None and length:
            self._habits.order(day, length)
        return shown

    def permitted(self, index: int, order_id: str) -> None:
        """A new order was permitted by the decision of this index."""
        self._unsigned[index] = order_id

    def signed(self, decision: int, now: int) -> None:
        """A permit was signed: the new order is waited for, for `latency` and `success`."""
        if (order_id := self._unsigned.pop(decision, None)) is not None:
            self._waiting[order_id] = now

    def amended(self, order_id: str) -> None:
        """An amendment of this order was permitted: it is not waited for, or no more."""
        self._waiting.pop(order_id, None)
        self._unsigned = {d: one for d, one in self._unsigned.items() if one != order_id}

    def withdrawn(self, decision: int) -> None:
        """A permitted order was withdrawn."""
        self._unsigned.pop(decision, None)

    def reopened(self) -> None:
        """The gate was opened anew: what was not signed by then is not waited for."""
        self._unsigned.clear()

    def ended(self, order_id: str, how: str, now: int) -> list[Observation]:
        """A report (or an unresolved submit) under this id; what it shows of `latency`, `success`.

        Args:
            order_id: the id in the report.
            how: its `exec_type`, or "unresolved".
            now: its time.
        """
        if how in {"new", "replaced"} or order_id not in self._waiting:
            return []
        since = self._waiting.pop(order_id)
        if how == "trade":
            return [("latency", -((since - now) // _MS)), ("success", "ok")]
        return [("success", "failed")] if how in {"rejected", "unresolved"} else []

    def show(
        self,
        index: int,
        day: int,
        observations: Sequence[Observation],
        *,
        stands_out: bool | None = None,
    ) -> None:
        """Count what an entry showed: for the baseline, or once that is in force as evidence.

        Args:
            index: of the entry.
            day: the agent's policy day.
            observations: of all factors.
            stands_out: as in `Accumulation.observe`.
        """
        if not observations and stands_out is None:
            return
        if self.baseline is None:
            self._habits.add(day, observations)
        else:
            self._take(_Shown(index, day, observations, stands_out))

    def _take(self, shown: _Shown) -> None:
        self._shown.append(shown)
        self._present = self._advanced(self._present, shown)

    def _advanced(self, evidence: Accumulation | None, shown: _Shown) -> Accumulation | None:
        if shown.begins or evidence is None:
            profiles = {} if self.baseline is None else self.baseline.profiles
            return Accumulation(profiles, shown.day)
        evidence.observe(shown.day, shown.observations, stands_out=shown.stands_out)
        return evidence

    # ---------------------------------------------------------------------------------- scores

    def anomaly(self, observations: Sequence[Observation]) -> dict[str, int]:
        """The score of each established factor of one order (section 4).

        Args:
            observations: what the order would add; `frequency` of the hour that ends with it.
        """
        profiles = {} if self.baseline is None else self.baseline.profiles
        return {
            factor: score_of(profiles[factor].rarity(value))
            for factor, value in observations
            if factor in profiles and factor in OF_AN_ORDER
        }

    def risk(self, scored: int, day: int) -> dict[str, int]:
        """The risk score of each factor after the first `scored` entries, rolled to a day.

        Empty when no accumulation had begun by then.
        """
        evidence = self._present
        if self._shown and self._shown[-1].index >= scored:
            evidence = self._after(scored)
        return {} if evidence is None else evidence.scores(day)

    def _after(self, scored: int) -> Accumulation | None:
        """The evidence of earlier entries; followed step by step, because reading mostly rises."""
        if self._taken and self._shown[self._taken - 1].index >= scored:
            self._past, self._taken = copy.deepcopy(self._base), 0
        while self._taken < len(self._shown) and self._shown[self._taken].index < scored:
            self._past = self._advanced(self._past, self._shown[self._taken])
            self._taken += 1
        return self._past


def largest(scores: Mapping[str, int]) -> tuple[str, int]:
    """The first of the largest scores, and its factor."""
    return max(scores.items(), key=lambda one: one[1], default=("", 0))
