# SPDX-License-Identifier: Apache-2.0
"""What a gate writes of its own acts and clocks, compared with its state (bundle.md step 6).

Implements docs/spec/bundle.md, "What a gate says of itself". A gate that lies and keeps its own
account of it is not found here: docs/threat-model.md says which words are the gate's alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from sekisho_verify import canonical
from sekisho_verify.agent import Agent
from sekisho_verify.canonical import SECOND
from sekisho_verify.entries import Entry
from sekisho_verify.findings import require
from sekisho_verify.fold import State

_AFTER_A_LEASE = frozenset({"gate_opened", "status_acted", "history_awaited"})
"""What may stand between a lease and the last status that it calls for."""


class OwnActs:
    """The walk over what a gate says of itself; the state is that before each entry."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owed: dict[str, str] = {}
        self._lease = -1
        self._monotonic = 0
        self._boots: set[str] = set()
        self._first: Entry | None = None
        self._judges: dict[str, Callable[[Entry], None]] = {
            "gate_opened": self._opened,
            "status_acted": lambda entry: self._paid(str(entry["agent"])),
            "clock_observed": self._observed,
            "decision": lambda entry: self._read(int(str(entry["monotonic"]))),
            "venue_reconciled": self._reconciled,
            "resting_unknown": self._resting,
            "venue_contradicted": self._contradicted,
            "stop_reported": self._stopped,
            "local_stop": self._stopped_here,
            "outcome_unresolved": self._unresolved,
            "shed": _shed,
        }

    def arrives(self, index: int, entry: Entry) -> None:
        """Judge an entry before it is folded.

        Raises:
            VerificationFailed: it contradicts the state, or what must follow a lease is missing.
        """
        kind = str(entry["kind"])
        if self._owed:
            told = f"stands where the lease of entry {self._lease} calls for a status"
            require(kind in _AFTER_A_LEASE, told)
        first = self._first
        if kind != "history_awaited":
            self._first = None
        if kind == "lease_held":
            self._leased(index, entry, first)
        elif kind == "snapshot_taken":
            size = canonical.integer_of(entry["entries"])
            require(0 < size <= index, "takes in entries that lie ahead of it")
        elif kind in self._judges:
            self._judges[kind](entry)

    def _agent(self, entry: Entry) -> Agent | None:
        return self._state.agents.get(str(entry["agent"]))

    def _opened(self, entry: Entry) -> None:
        boot = str(entry["boot"])
        require(boot not in self._boots, "opens the gate again under the same boot")
        self._boots.add(boot)
        self._owed, self._monotonic = {}, 0

    def _leased(self, index: int, entry: Entry, first: Entry | None) -> None:
        """Whom it calls not good, that the gate does not know as stopped, has to follow."""
        lease = canonical.object_of(_grant(entry)["lease"])
        named = {str(one) for one in canonical.array_of(lease["not_good"])}
        self._owed = {
            name: agent.certificate_sha256
            for name, agent in self._state.agents.items()
            if agent.certificate_sha256 in named and agent.status == "good"
        }
        self._lease = index
        span = canonical.integer_of(lease["duration_s"]) * SECOND
        sent = int(str(entry["deadline_monotonic"])) - span
        self._monotonic = max(self._monotonic, sent)  # what is read later is not before it
        if first is None:
            return
        monotonic = int(str(first["monotonic"]))
        middle = canonical.instant(first["wall"]) - (monotonic - sent) // 2
        difference = middle - canonical.instant(lease["granted_at"])
        told = f"ends by another clock than entry {index - 1} shows: the difference is {difference}"
        require(first["authority_difference_ns"] == str(difference), told)

    def _observed(self, entry: Entry) -> None:
        """Recorded when nothing was known, or when the judgment of the last one changes."""
        self._read(int(str(entry["monotonic"])))
        require(str(entry["wall"]) <= str(entry["at"]), "has a wall clock ahead of the log")
        outside = self._state.outside
        if outside.clock is None:
            require(entry["step_ns"] == "0", "is the first of its boot and shows a step")
            self._first = entry
            return
        bounds = [one.policy.clock_difference_max_s for one in self._state.agents.values()]
        sound = not list(outside.beyond(bounds))
        require(entry["within"] is not sound, "records a clock that is judged as before")

    def _read(self, monotonic: int) -> None:
        require(monotonic >= self._monotonic, "reads a boot-time clock that runs back")
        self._monotonic = monotonic

    def _paid(self, agent: str) -> None:
        self._owed.pop(agent, None)

    def _reconciled(self, entry: Entry) -> None:
        venue, working = str(entry["venue"]), 0
        require(venue not in self._state.outside.reconciled, "reconciles what is reconciled")
        for agent in self._state.agents.values():
            orders = agent.working.values()
            working += sum(one.venue == venue and one.phase != "open" for one in orders)
        told = f"`unknown` is recorded as {entry['unknown']}, computed {working}"
        require(entry["unknown"] == working, told)

    def _resting(self, entry: Entry) -> None:
        agent = self._agent(entry)
        known = agent is not None and entry["client_order_id"] in agent.by_name
        require(not known, "calls unknown an order that works")

    def _contradicted(self, entry: Entry) -> None:
        """It is about an order that works there; what was open was told to be."""
        agent = self._agent(entry)
        order = None if agent is None else agent.by_name.get(str(entry["client_order_id"]))
        works = order is not None and order.venue == entry["venue"]
        require(works, "names no order that works at its venue")
        acknowledged = order is not None and order.phase == "open"
        was_open = str(entry["contradiction"]).startswith("open_")
        require(acknowledged or not was_open, "calls open an order that the venue never called so")

    def _unresolved(self, entry: Entry) -> None:
        agent, name = self._agent(entry), str(entry["client_order_id"])
        if entry["operation"] != "cancel":
            known = agent is not None and name in agent.known_ids
            require(known, "names no order of the agent")

    def _stopped_here(self, entry: Entry) -> None:
        """People stop the certificate in force; what is revoked is stopped already."""
        agent = self._agent(entry)
        present = agent is not None and agent.certificate_sha256 == entry["certificate_sha256"]
        require(present, "stops another certificate than is in force")
        require(agent is None or agent.status != "revoked", "stops what is revoked")

    def _stopped(self, entry: Entry) -> None:
        """What a stop achieved: nothing that is confirmed as ended still works."""
        agent = self._agent(entry)
        left = canonical.array_of(entry["unconfirmed"])
        require(not (entry["complete"] and left), "calls complete what is unconfirmed")
        if agent is None:
            return
        require(canonical.integer_of(entry["epoch"]) <= agent.epoch, "is of an epoch not acted on")
        for name in canonical.array_of(entry["confirmed"]):
            require(str(name) not in agent.by_name, f"confirms the end of {name}, which works")


def _shed(entry: Entry) -> None:
    require(canonical.integer_of(entry["messages"]) > 0, "sheds nothing")
    require(str(entry["since"]) <= str(entry["at"]), "`since` lies ahead of it")


def _grant(entry: Entry) -> dict[str, object]:
    """The grant of a lease, whose form and signature are judged elsewhere."""
    return canonical.object_of(json.loads(str(entry["grant"])))
