# SPDX-License-Identifier: Apache-2.0
"""The watch: baselines and scores of every agent, as a fold of the gate's log
(docs/spec/behaviour.md).

:meth:`WatchState.apply` is the only way in which anything changes, in normal running, in recovery
and in a replay alike. Nothing that an agent says of itself is read. Whether a crossing becomes an
incident is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.behaviour.agent import AgentWatch
from sekisho.core.behaviour.arithmetic import score_text
from sekisho.core.behaviour.baseline import Collected
from sekisho.core.behaviour.comparison import Comparison, RiskScore, as_texts
from sekisho.core.behaviour.crossing import Crossing, incident_id
from sekisho.core.behaviour.description import describe
from sekisho.core.behaviour.factors import seen_before
from sekisho.core.behaviour.history import rows_of
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.events import AgentAdmitted, GateEntry, GateOpened, Scores
from sekisho.core.handover import Row
from sekisho.core.sight import Sight
from sekisho.core.terms import parse_instant

__all__ = ["Collected", "Crossing", "RiskScore", "WatchState", "describe", "incident_id"]


class WatchState:
    """What every agent did, compared with its baseline.

    Attributes:
        origin: of the gate's log that is folded.
        size: number of entries taken.
    """

    __slots__ = ("_agents", "origin", "size")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.size = 0
        self._agents: dict[str, AgentWatch] = {}

    def apply(self, index: int, entry: GateEntry) -> None:
        """Take the entry at ``index`` into the state.

        Raises:
            ValueError: entries were skipped or come twice.
            MalformedInput: a policy or a baseline that the specification does not allow.
        """
        if index != self.size:
            raise ValueError(f"entry {index} applied to a watch of {self.size} entries")
        if isinstance(entry, GateOpened):
            for one in self._agents.values():
                one.activity.opened()
        else:
            self._take(index, entry)
        self.size = index + 1

    def history_rows(self, agent: str, now: int) -> Iterator[Row]:
        """What is known of an agent, as rows of its history; its day is rolled to ``now`` (ns)."""
        found = self._agents[agent]
        found.roll(now)
        return rows_of(found, now)

    def _take(self, index: int, entry: GateEntry) -> None:
        name = getattr(entry, "agent", "")
        agent = self._agents.get(name)
        if agent is not None:
            at = parse_instant(entry.at)
            agent.roll(at)
            agent.take(index, at, entry)
        elif isinstance(entry, AgentAdmitted):
            self._agents[name] = AgentWatch(entry, parse_instant(entry.at))

    def scores(self, sight: Sight) -> Scores:
        """What a decision records of one new order or amendment; empty without a baseline."""
        agent = self._agents.get(sight.agent)
        if agent is None or agent.comparison is None:
            return Scores(
                stressed=sight.stressed,
                baseline_sha256="",
                anomaly="",
                factors={},
                risk="",
                scored=self.size,
            )
        frequency = agent.activity.frequency(sight.now) + 1
        anomaly, factors = agent.comparison.anomaly(seen_before(sight, frequency, agent.local))
        return Scores(
            stressed=sight.stressed,
            baseline_sha256=agent.comparison.sha256,
            anomaly=score_text(anomaly),
            factors=as_texts(factors),
            risk=score_text(max(_risks(agent, agent.comparison, sight.now).values())),
            scored=self.size,
        )

    def crossing(self, agent: str) -> Crossing | None:
        """What the agent's last entry, or one before that nothing answered, crossed.

        An ``accumulation_restarted`` that is due must be recorded before this is asked.
        """
        found = self._agents.get(agent)
        return None if found is None else found.crossing

    def risk(self, agent: str, now: int) -> RiskScore | None:
        """The risk score at ``now`` (ns, not before the last entry); None without a baseline."""
        found = self._agents.get(agent)
        if found is None or found.comparison is None:
            return None
        risks = _risks(found, found.comparison, now)
        score = score_text(max(risks.values()))
        return RiskScore(score, as_texts(risks), found.comparison.not_established)

    def baseline(self, agent: str, now: int) -> Collected:
        """What was collected for the agent's baseline until ``now`` (ns), and what is missing."""
        found = self._agents.get(agent)
        if found is None:
            digest = sha256_hex(canonical({}))
            return Collected({}, digest, complete=False, missing=(f"{agent!r} is not admitted",))
        return found.collected(now)

    def locked(self, agent: str) -> str:
        """Digest of the baseline in force; empty if there is none."""
        found = self._agents.get(agent)
        return "" if found is None or found.comparison is None else found.comparison.sha256

    def restart_range(self, agent: str, index: int) -> tuple[int, int]:
        """First and last entry that an ``accumulation_restarted`` at ``index`` leaves out.

        Raises:
            ValueError: the agent has no baseline in force, so nothing accumulates.
        """
        found = self._agents.get(agent)
        if found is None or found.comparison is None:
            raise ValueError(f"{agent!r} has no baseline in force")
        return found.comparison.began, index - 1


def _risks(agent: AgentWatch, comparison: Comparison, now: int) -> dict[str, int]:
    """Risk score of each factor at ``now``, in millionths; nothing is rolled."""
    day = agent.day_of(now)
    return comparison.risks() if day == agent.day else comparison.risks_on(day)
