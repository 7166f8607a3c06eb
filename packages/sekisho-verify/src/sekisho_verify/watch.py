# SPDX-License-Identifier: Apache-2.0
"""Behaviour along the gate's log: baselines, evidence, crossings (docs/spec/behaviour.md 3, 5, 7).

Says of each entry what must follow it: an incident that crossed, or a new accumulation. "At once"
means the next entry; only `gate_opened` may stand between, when the process ended there.
"""

from __future__ import annotations

import dataclasses
import functools

from sekisho_verify import canonical, scores
from sekisho_verify.agent import Agent
from sekisho_verify.baseline import Baseline, Observation
from sekisho_verify.behaviour import largest
from sekisho_verify.case import Case
from sekisho_verify.decades import score_text
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.fold import State

_of_baseline = functools.partial(require, concern="baseline")
_of_incident = functools.partial(require, concern="incidents")


@dataclasses.dataclass(frozen=True)
class Adopted:
    """A baseline that went into force: index of its entry, its time, and what it is."""

    index: int
    at: int
    agent: str
    authority_index: int
    baseline: Baseline
    clock_difference_max_s: int


@dataclasses.dataclass(frozen=True)
class _Due:
    """An entry that must follow at once, as computed; `last` is its own index less one."""

    after: int
    kind: str
    fields: dict[str, object]


class Watch:
    """The walk over behaviour; the state is that of the fold, entry by entry.

    Attributes:
        adopted: by agent.
        brought: the same, of baselines that came with a history.
        opened: index → `incident_opened`, in order.
        due: what the last entry of the log calls for and the log does not hold any more.
        broken: the same, of what no permit covers; it comes first.
    """

    def __init__(self, state: State, origin: str) -> None:
        self._state = state
        self.origin = origin
        self._before: tuple[str, str] | None = None
        self.adopted: dict[str, Adopted] = {}
        self.brought: dict[str, Adopted] = {}
        self.opened: dict[int, Entry] = {}
        self.lifted: list[tuple[int, str]] = []
        self.due: _Due | None = None
        self.broken: _Due | None = None

    def arrives(self, index: int, entry: Entry) -> None:
        """Before an entry is folded: is it what is due, or may it stand here?

        Raises:
            VerificationFailed: it is not, or it opens or restarts what nothing calls for.
        """
        kind = str(entry["kind"])
        agent = self._agent(entry)
        self._before = None
        if agent is not None:
            status = "left" if agent.left else agent.status
            self._before = status, agent.certificate_sha256
        due = self.broken or self.due
        if due is not None and kind != "gate_opened":
            wanted = f"stands where entry {due.after} calls for {due.kind}"
            _of_incident(kind == due.kind, wanted)
            if kind == "accumulation_restarted":
                due.fields["last"] = index - 1
            for name, value in due.fields.items():
                told = f"`{name}` is recorded as {entry[name]}, computed {value}"
                _of_incident(entry[name] == value, told)
            if self.broken is not None:
                self.broken = None
            else:
                self.due = None
        elif kind in {"incident_opened", "accumulation_restarted"}:
            told = f"is {kind}, which nothing before it calls for"
            raise VerificationFailed(told, concern="incidents")
        if kind == "incident_opened":
            self.opened[index] = entry
        elif kind == "status_acted" and entry["status"] == "good":
            self.lifted.append((index, str(entry["certificate_sha256"])))

    def told_of(self, agent: str) -> list[Entry]:
        """The incidents that a bundle of this agent tells of: its own, and every break."""
        opened = self.opened.values()
        return [one for one in opened if one["agent"] == agent or one["incident_kind"] == "break"]

    def missing(self, agent: str) -> str:
        """The kind of what has to follow the end of the log, of this agent or a break; or ""."""
        if self.broken is not None:
            return self.broken.kind
        return self.due.kind if self.due is not None and self.due.fields["agent"] == agent else ""

    def _agent(self, entry: Entry) -> Agent | None:
        name = entry.get("agent")
        return self._state.agents.get(name) if isinstance(name, str) else None

    def folded(self, index: int, entry: Entry, now: int) -> None:
        """After an entry other than a decision was folded.

        Raises:
            VerificationFailed: it adopts a baseline that does not follow from the log.
        """
        agent, kind = self._agent(entry), str(entry["kind"])
        self._break()
        if kind == "baseline_adopted" and agent is None:
            raise VerificationFailed("is of an agent that is not admitted", concern="baseline")
        if kind == "gate_opened":
            for one in self._state.agents.values():
                one.behaviour.reopened()
        if agent is None:
            return
        behaviour = agent.behaviour
        if kind == "baseline_adopted":
            self._adopt(agent, index, entry, now)
        elif kind == "accumulation_restarted":
            behaviour.restart(index, agent.day)
        elif kind == "permit_signed":
            behaviour.signed(canonical.integer_of(entry["decision"]), now)
        elif kind == "withdrawn":
            behaviour.withdrawn(canonical.integer_of(entry["decision"]))
        elif kind == "execution":
            behaviour.show(index, agent.day, _reported(agent, entry, now))
        elif kind == "outcome_unresolved" and entry["operation"] == "submit":
            shown = behaviour.ended(str(entry["client_order_id"]), "unresolved", now)
            behaviour.show(index, agent.day, shown)
        if self._restarts(agent, entry):
            fields: dict[str, object] = {"agent": entry["agent"], "first": behaviour.began}
            self.due = _Due(index, "accumulation_restarted", fields)
        elif kind in {"execution", "outcome_unresolved"}:
            self._judge(index, str(entry["agent"]), agent, None)

    def taken(self, index: int, entry: Entry, now: int) -> None:
        """A part of a history was applied: with the last one its baseline is in force."""
        agent = self._agent(entry)
        if agent is None:
            return
        agent.behaviour.taken(index, agent.day)
        baseline, name = agent.behaviour.baseline, str(entry["agent"])
        if entry["last"] and baseline is not None:
            bound = agent.policy.clock_difference_max_s
            self.brought[name] = Adopted(index, now, name, -1, baseline, bound)

    def live(self, agent: str) -> Adopted | None:
        """The agent's baseline, however it went into force."""
        return self.adopted.get(agent) or self.brought.get(agent)

    def _break(self) -> None:
        """What the entry just folded showed that no permit covers, and what must be opened then."""
        found = self._state.outside.due
        if found is None or self.broken is not None:
            return
        text = f"sekisho/incident/v1\n{self.origin}\n{found.trigger}\nbreak"
        fields: dict[str, object] = {
            "incident": canonical.sha256(text.encode())[:32],
            "agent": found.agent,
            "certificate_sha256": found.certificate_sha256,
            "incident_kind": "break",
            "score": "venue",
            "factor": found.factor,
            "observed": found.venue,
            "threshold": "",
            "trigger": found.trigger,
        }
        self.broken = _Due(found.trigger, "incident_opened", fields)

    def decided(self, index: int, name: str, case: Case, *, permitted: bool, learned: bool) -> None:
        """After a decision of a known agent about a well-formed order was folded.

        Args:
            index: of its entry.
            name: of the agent.
            case: as it was judged, with the state before it but for what it reserves.
            permitted: the verdict.
            learned: whether it counts for a baseline.
        """
        agent, order = case.agent, case.order
        behaviour, policy = agent.behaviour, agent.policy
        anomaly = None if case.scores is None else case.scores.anomaly
        stands_out = None if anomaly is None else anomaly > policy.stops.breaker
        shown: list[Observation] = []
        if order.action == "new" and case.scores is not None:
            days = policy.learning.days if learned else 0
            shown = behaviour.new_decision(case.now, agent.day, days)
            shown += scores.observed(case, case.scores.stressed)
            if permitted:
                behaviour.permitted(index, order.order_id)
        elif order.action == "amend" and permitted:
            behaviour.amended(order.original)
        if learned or behaviour.baseline is not None:
            behaviour.show(index, agent.day, shown, stands_out=stands_out)
        self._judge(index, name, agent, case)

    def _adopt(self, agent: Agent, index: int, entry: Entry, now: int) -> None:
        behaviour, learning = agent.behaviour, agent.policy.learning
        name = str(entry["agent"])
        _of_baseline(behaviour.baseline is None, "is a second baseline of its agent")
        found = behaviour.window(name)
        if found is None or not found.complete(agent.day, learning.orders_min):
            raise VerificationFailed("is adopted before it is complete", concern="baseline")
        given = canonical.object_of(entry["baseline"])
        same = canonical.digest_of(given) == found.sha256
        _of_baseline(same, _difference(given, found.document))
        _of_baseline(
            entry["baseline_sha256"] == found.sha256, "`baseline_sha256` is not its digest"
        )
        behaviour.adopt(found, index, agent.day)
        self.adopted[name] = Adopted(
            index,
            now,
            name,
            canonical.integer_of(entry["authority_index"]),
            found,
            agent.policy.clock_difference_max_s,
        )

    def _restarts(self, agent: Agent, entry: Entry) -> bool:
        """Whether the accumulation has to begin anew directly after this entry (section 5)."""
        if agent.behaviour.baseline is None or self._before is None:
            return False
        status, certificate = self._before
        kind = entry["kind"]
        if kind == "rearmed":
            return entry["latch"] == "circuit_breaker"
        if kind == "status_acted":
            return status == "hold" and agent.status == "good"
        return kind == "agent_admitted" and certificate != agent.certificate_sha256

    def _judge(self, index: int, name: str, agent: Agent, case: Case | None) -> None:
        """Whether a score crossed with this entry, and what must be opened then (section 7)."""
        if agent.behaviour.baseline is None or agent.status != "good":
            return
        stops = agent.policy.stops
        risk = agent.behaviour.risk(index + 1, agent.day)
        factor, highest = largest(risk)
        order = {} if case is None or case.scores is None else case.scores.factors
        own, anomaly = largest(order)
        if stops.hold_on_single_order and order and anomaly >= stops.hold:
            found = "hold", "anomaly", own, anomaly
        elif highest >= stops.hold:
            found = "hold", "risk", factor, highest
        elif highest > stops.breaker and "circuit_breaker" not in agent.latches:
            found = "breaker", "risk", factor, highest
        else:
            return
        kind, score, factor, observed = found
        text = f"sekisho/incident/v1\n{self.origin}\n{index}\n{kind}"
        fields: dict[str, object] = {
            "incident": canonical.sha256(text.encode())[:32],
            "agent": name,
            "certificate_sha256": agent.certificate_sha256,
            "incident_kind": kind,
            "score": score,
            "factor": factor,
            "observed": score_text(observed),
            "threshold": stops.hold_text if kind == "hold" else stops.breaker_text,
            "trigger": index,
        }
        self.due = _Due(index, "incident_opened", fields)


def _reported(agent: Agent, entry: Entry, now: int) -> list[Observation]:
    """What a venue's report shows, in the order of section 2."""
    how, shown = str(entry["exec_type"]), []
    if how == "trade" and entry["counterparty"]:
        shown = [("counterparty", str(entry["counterparty"]))]
    return [*shown, *agent.behaviour.ended(str(entry["client_order_id"]), how, now)]


def _difference(given: dict[str, object], computed: dict[str, object]) -> str:
    """The first part of a recorded baseline that is not as computed."""
    for name, value in computed.items():
        if given.get(name) != value and name != "factors":
            return f"baseline `{name}` is recorded as {given.get(name)}, computed {value}"
    factors, wanted = given.get("factors"), computed["factors"]
    if isinstance(factors, dict) and isinstance(wanted, dict):
        for name, value in wanted.items():
            if factors.get(name) != value:
                return f"baseline factor `{name}` is not what the log shows"
    return "baseline is not what the log shows"
