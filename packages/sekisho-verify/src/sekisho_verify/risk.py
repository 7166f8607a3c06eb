# SPDX-License-Identifier: Apache-2.0
"""The rolling risk score: evidence that an agent departs from its baseline (behaviour.md 5).

Evidence is in micro-decades. An accumulation is read on any later day without being changed,
because a decision is scored on its own day by what was folded perhaps the day before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sekisho_verify.baseline import ONE_SIDED, Observation, Profile
from sekisho_verify.decades import MILLION, lg

ANOMALIES = "anomalies"
_WINDOW_DAYS = 30
_STEP_MAX = 1_500_000
_QUIET_ORDER = -50_000
_PER_SCORE = 12


class Evidence:
    """Evidence of one factor: E, and T and B of each day of the window."""

    def __init__(self) -> None:
        self.now = 0
        self.days: dict[int, tuple[int, int]] = {}

    def add(self, day: int, increment: int) -> None:
        """One observation's increment, on the present day."""
        total, best = self.days.get(day, (0, 0))
        self.now = max(0, self.now + increment)
        self.days[day] = total + increment, max(0, best + increment)

    def rolled(self, day: int) -> int:
        """E when `day` begins, computed anew from the days of its window before it."""
        evidence = 0
        for one in sorted(self.days):
            if day - _WINDOW_DAYS < one < day:
                total, best = self.days[one]
                evidence = max(evidence + total, best)
        return evidence

    def roll(self, day: int) -> None:
        """A later day begins."""
        self.now = self.rolled(day)
        self.days = {d: s for d, s in self.days.items() if d > day - _WINDOW_DAYS}


class Bet:
    """One established factor: its profile, the counts N of the window, its evidence."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._counts = [0] * len(profile.shares)
        self._seen = 0
        self._days: dict[int, list[int]] = {}
        self._one_sided = profile.factor in ONE_SIDED
        self.evidence = Evidence()

    def roll(self, day: int) -> None:
        """Days that fall out of the window are taken off."""
        for old in [one for one in self._days if one <= day - _WINDOW_DAYS]:
            for category, count in enumerate(self._days.pop(old)):
                self._counts[category] -= count
                self._seen -= count
        self.evidence.roll(day)

    def observe(self, day: int, category: int) -> None:
        """One observation: steps 1 to 3 of section 5."""
        self.evidence.add(day, self._increment(category))
        self._counts[category] += 1
        self._seen += 1
        self._days.setdefault(day, [0] * len(self._counts))[category] += 1

    def counts_of(self, day: int) -> list[object]:
        """Its counts of one day, as decimal texts."""
        return [str(count) for count in self._days[day]]

    def put(self, day: int, counts: list[int]) -> None:
        """The counts of one day. Raises ValueError: of other categories."""
        if len(counts) != len(self._counts):
            raise ValueError("other categories than the baseline's")
        self._days[day] = counts
        self._counts = [held + more for held, more in zip(self._counts, counts, strict=True)]
        self._seen += sum(counts)

    def _increment(self, category: int) -> int:
        profile, seen = self._profile, self._seen
        whole = 2 * profile.n + len(self._counts)
        usual = self._counts[0] * whole > seen * (2 * profile.shares[0] + 1)
        if self._one_sided and usual:
            return 0
        expected = 2 * profile.shares[category] + 1
        foretold = self._counts[category] * whole + profile.weight * expected
        gained = lg(foretold, (seen + profile.weight) * expected)
        return min(_STEP_MAX, gained - profile.fee)


class Accumulation:
    """All that was observed since the accumulation began, for the risk score."""

    def __init__(self, profiles: Mapping[str, Profile], day: int) -> None:
        self._profiles = dict(profiles)
        self._bets = {name: Bet(profile) for name, profile in self._profiles.items()}
        self._anomalies = Evidence()
        self._day = day

    def _roll(self, day: int) -> None:
        if day > self._day:
            self._day = day
            for bet in self._bets.values():
                bet.roll(day)
            self._anomalies.roll(day)

    def rows(self, day: int) -> Iterator[list[object]]:
        """The rows of an agent's history that say what was observed (history.md 3)."""
        self._roll(day)
        kept = self._evidence()
        for name, one in sorted(kept.items()):
            yield ["evidence", name, str(one.now)]
        for name, one in sorted(kept.items()):
            for number, (total, best) in sorted(one.days.items()):
                counts = [] if name == ANOMALIES else self._bets[name].counts_of(number)
                yield ["evidence_day", name, str(number), str(total), str(best), counts]

    def take_row(self, members: list[object]) -> None:
        """One of these rows again. Raises ValueError, KeyError: it is none."""
        name, *rest = members
        evidence = self._evidence()[str(name)]
        if len(rest) == 1:
            evidence.now = int(str(rest[0]))
            return
        number, total, best, counts = rest
        evidence.days[int(str(number))] = int(str(total)), int(str(best))
        if isinstance(counts, list) and str(name) in self._bets:
            self._bets[str(name)].put(int(str(number)), [int(str(one)) for one in counts])

    def resume(self, day: int) -> None:
        """Rows were taken that were rolled to this day."""
        self._day = day

    def _evidence(self) -> dict[str, Evidence]:
        found = {name: bet.evidence for name, bet in self._bets.items()}
        return found | {ANOMALIES: self._anomalies}

    def observe(
        self, day: int, observations: Iterable[Observation], *, stands_out: bool | None
    ) -> None:
        """Take in what one entry showed.

        Args:
            day: the agent's policy day.
            observations: of all factors; those that are not established do not count.
            stands_out: of a decision with an anomaly score, whether it is above the breaker's
                threshold; else None.
        """
        self._roll(day)
        for factor, value in observations:
            if (profile := self._profiles.get(factor)) is not None:
                self._bets[factor].observe(day, profile.category(value))
        if stands_out is not None:
            self._anomalies.add(day, _STEP_MAX if stands_out else _QUIET_ORDER)

    def scores(self, day: int) -> dict[str, int]:
        """The score of each factor on this day, which is not before the last observation's."""
        found = {name: bet.evidence for name, bet in self._bets.items()}
        found[ANOMALIES] = self._anomalies
        later = day > self._day
        return {
            name: min(MILLION, (one.rolled(day) if later else one.now) // _PER_SCORE)
            for name, one in found.items()
        }
