# SPDX-License-Identifier: Apache-2.0
"""The incident procedure as the authority's log records it (docs/spec/incidents.md).

Each entry is judged by the state that the earlier ones make; deadlines by the log's own time, and
by the boot-time clock where an entry shows it. What the gate's log says of the same incidents is
compared in `reconciled`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from sekisho_verify import canonical
from sekisho_verify.canonical import SECOND, instant
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.findings import require as _require
from sekisho_verify.handled import Acknowledged, Handled, Locked
from sekisho_verify.issued import Issued
from sekisho_verify.people import Command
from sekisho_verify.renewed import SUPERSEDED

AUTOMATIC = {
    "automatic_hold": "certificateHold",
    "grace_expired": "privilegeWithdrawn",
    "deadline_expired": "privilegeWithdrawn",
    "fault": "privilegeWithdrawn",
}
"""Cause of a status that no command stands behind → its reason."""

_OTHER = "the other certificate "
"""Before a digest: what an incident of one of two certificates still owes the log."""

_ENDS = {
    "release": "released",
    "revoke": "revoked",
    "kill": "killed",
    "grace_expired": "revoked",
    "deadline_expired": "revoked",
    "fault": "revoked",
}
"""Cause of a status → the outcome of the incident that it ends."""

Signed = Callable[[Entry, int, str, Callable[[Command], bool]], list[Command]]
"""(entry, now, subject, allowed) → the commands that an entry rests on, verified."""


def require(condition: bool, what: str) -> None:
    """As `findings.require`, of the incident procedure."""
    _require(condition, what, concern="incidents")


class Procedure:
    """The walk over incidents, re-armings and locked baselines.

    Attributes:
        incidents: by id, in the order in which they were recorded.
        locked: the present ones, by agent.
        locks: all, by agent.
        rearms: (agent, latch, commands) of each `rearm_authorised`.
        venue_rearms: (venue, incident, commands) of each `venue_rearm_authorised`.
    """

    def __init__(
        self,
        issued: Mapping[str, Issued],
        epochs: Mapping[str, int],
        signed: Signed,
        other: Callable[[Issued], Issued | None],
    ) -> None:
        """`other` is the second of an agent's two certificates, where it has two."""
        self._other = other
        self._issued = issued
        self._epochs = epochs
        self._signed = signed
        self._owed: deque[tuple[str, str]] = deque()  # (cause or outcome, incident), in order
        self.incidents: dict[str, Handled] = {}
        self.locked: dict[str, Locked] = {}
        self.locks: dict[str, list[Locked]] = defaultdict(list)
        self.rearms: set[tuple[str, str, tuple[str, ...]]] = set()
        self.venue_rearms: set[tuple[str, str, tuple[str, ...]]] = set()
        self.handlers: Mapping[str, Callable[[int, Entry, int], None]] = {
            "incident_recorded": self._recorded,
            "alert_sent": self._alerted,
            "grace_started": self._grace_started,
            "incident_acknowledged": self._acknowledged,
            "incident_closed": self._closed,
            "rearm_authorised": self._rearm_authorised,
            "baseline_locked": self._baseline_locked,
            "venue_rearm_authorised": self._venue_rearm_authorised,
        }

    def open_of(self, agent: object) -> list[Handled]:
        """Incidents of an agent that are not closed."""
        return [
            one
            for one in self.incidents.values()
            if one.outcome == "" and not one.broken and one.recorded["agent"] == agent
        ]

    def elsewhere(self, agent: str, origin: str) -> list[tuple[Entry, Handled | None]]:
        """Incidents of an agent that were opened in another gate's log than this."""
        ours = (one for one in self.incidents.values() if one.recorded["agent"] == agent)
        return [(one.recorded, one) for one in ours if one.recorded["origin"] != origin]

    @property
    def ending(self) -> set[str]:
        """Ids of incidents that have ended and are not closed."""
        return {
            name
            for what, name in self._owed
            if what not in AUTOMATIC and not what.startswith(_OTHER)
        }

    def arrives(self, entry: Entry) -> None:
        """Before an entry is judged: what must follow directly stands before anything else."""
        if not self._owed:
            return
        what, name = self._owed[0]
        if what.startswith(_OTHER):
            same = entry["certificate_sha256"] if entry["kind"] == "status_changed" else ""
            owed = what == f"{_OTHER}{same}" and entry["cause"] == SUPERSEDED
            told = f"stands where incident {name} must end the agent's other certificate"
        elif what in AUTOMATIC:
            owed = entry["kind"] == "status_changed" and entry["cause"] == what
            told = f"stands where {what} of incident {name} must follow"
        else:
            owed = entry["kind"] == "incident_closed"
            told = f"stands where incident {name} must be closed as {what}"
        require(owed and entry["incident"] == name, told)

    # ------------------------------------------------------------------------- changes of status

    def automatic(self, entry: Entry, issued: Issued, now: int) -> None:
        """A change of status without a command is one that its incident calls for."""
        require(entry["commands"] == [] and entry["seats"] == [], "has commands or seats")
        one = self._known(entry)
        require(one.outcome == "", "is of an incident that is closed")
        require(one.issued is issued, "is of an incident of another certificate")
        cause, ends = str(entry["cause"]), one.ends_at
        over = ends is not None and now >= ends
        lawful = {
            "automatic_hold": (cause, one.name) in self._owed,
            "grace_expired": one.state == "grace" and over,
            "deadline_expired": one.state == "acknowledged" and over,
            "fault": one.condemned or (one.state == "scheduled" and over),
        }
        require(lawful[cause], f"changes the status because of {cause} in state {one.state}")

    def supersedes(self, entry: Entry) -> None:
        """The end of one of two certificates: with an incident where one calls for it."""
        require(entry["commands"] == [] and entry["seats"] == [], "has commands or seats")
        require((entry["incident"] != "") == bool(self._owed), "names an incident that ends it not")

    def _ended(self, cause: str, issued: Issued) -> Handled | None:
        """The incident that a change of this certificate's status ends."""
        for one in self.open_of(issued.agent):
            # A release closes what is held; a breaker is closed by a re-arming.
            if one.issued is issued and cause in _ENDS and (cause != "release" or one.hold):
                return one
        return None

    def by_people(self, entry: Entry, issued: Issued, command: Command, now: int) -> None:
        """A change of status by people names the incident that it ends, in time."""
        one = self._ended(str(entry["cause"]), issued)
        name = "" if one is None else one.name
        require(entry["incident"] == name, f"`incident` is not what it ends: {name or 'none'}")
        require(command.incident in ("", name), "rests on a command about another incident")
        if one is not None and one.ends_at is not None and entry["cause"] == "release":
            require(now < one.ends_at, "releases after the deadline")

    def changed(self, entry: Entry, issued: Issued, now: int) -> None:
        """After a change of status: what it does to the incidents of its certificate."""
        cause = str(entry["cause"])
        if (cause in AUTOMATIC or cause == SUPERSEDED) and self._owed:
            self._owed.popleft()
        ended = self._ended(cause, issued)
        for one in self.open_of(issued.agent):
            if one.issued is issued and entry["status"] != "good":
                one.held = True
                if cause == "automatic_hold" and one.name == entry["incident"]:
                    one.held_at = now
        if ended is not None:
            self._end(ended, _ENDS[cause], cause, entry)

    def _end(self, one: Handled, outcome: str, cause: str, entry: Entry) -> None:
        self._owed.append((outcome, one.name))
        seats = canonical.array_of(entry.get("seats", []))
        one.ended_by = cause, tuple(str(seat) for seat in seats)

    # -------------------------------------------------------------------------------- entries

    def _known(self, entry: Entry) -> Handled:
        one = self.incidents.get(str(entry["incident"]))
        if one is None:
            raise VerificationFailed(
                "names an incident that was not recorded before", concern="incidents"
            )
        return one

    def _recorded(self, _index: int, entry: Entry, now: int) -> None:
        name, agent = str(entry["incident"]), entry["agent"]
        require(name not in self.incidents, "records an incident twice")
        if entry["incident_kind"] == "break":
            self._broken(entry, now)
            return
        issued = self._issued.get(str(entry["certificate_sha256"]))
        if issued is None or issued.agent != agent:
            raise VerificationFailed(
                "is of a certificate that was not issued to the agent", concern="incidents"
            )
        hold = entry["incident_kind"] == "hold"
        status, others = issued.status.status, self.open_of(agent)
        one = self.incidents[name] = Handled(
            recorded=entry,
            at=now,
            issued=issued,
            state="alerting" if hold else "latched",
            held=status != "good",
        )
        if hold and status == "good":
            self._owed.append(("automatic_hold", name))
        second = self._other(issued) if hold and status != "revoked" else None
        if second is not None:
            self._owed.append((f"{_OTHER}{second.certificate.sha256}", name))
        if status == "revoked":
            self._end(one, "revoked", "revoked before", {})
        for other in others if status != "revoked" else []:
            gives_way = not other.hold or (
                other.issued is not None and other.issued.index < issued.index
            )
            superseded = other if hold and gives_way else one
            self._end(superseded, "superseded", "another incident", {})

    def _broken(self, entry: Entry, now: int) -> None:
        """A break: of a venue of a gate, at most one of which is open."""
        same = ("origin", "observed")
        before = [
            one
            for one in self.incidents.values()
            if one.broken
            and one.outcome == ""
            and all(one.recorded[name] == entry[name] for name in same)
        ]
        issued = self._issued.get(str(entry["certificate_sha256"]))
        if entry["certificate_sha256"]:
            ours = issued is not None and issued.agent == entry["agent"]
            require(ours, "is of a certificate that was not issued to the agent")
        one = Handled(recorded=entry, at=now, issued=issued, state="latched", held=False)
        self.incidents[one.name] = one
        if before:
            self._end(one, "superseded", "another incident", {})

    def _venue_rearm_authorised(self, _index: int, entry: Entry, now: int) -> None:
        one, venue = self._known(entry), str(entry["venue"])

        def allowed(command: Command) -> bool:
            same = (command.scope, command.latch) == (f"venue:{venue}", "venue")
            return command.command == "rearm" and same and command.incident == one.name

        self._signed(entry, now, one.name, allowed)
        ours = one.broken and one.outcome == "" and one.recorded["observed"] == venue
        require(ours, "re-arms a venue for an incident that did not latch it")
        self._end(one, "rearmed", "rearm", entry)
        texts = tuple(str(text) for text in canonical.array_of(entry["commands"]))
        self.venue_rearms.add((venue, one.name, texts))

    def _alerted(self, _index: int, entry: Entry, now: int) -> None:
        one, about = self._known(entry), str(entry["about"])
        late = one.ended_by[0] in {"grace_expired", "deadline_expired"}
        true = {
            "opened": one.held or not one.hold,
            "released": one.outcome == "released",
            "overdue": late and one.outcome != "",
            "revoked": one.outcome in {"revoked", "killed"} and not late,
        }
        require(true[about], f"tells of {about} what is not so, or not yet")
        one.alerts.append((now, entry["outcome"] == "delivered"))

    def _grace_started(self, _index: int, entry: Entry, now: int) -> None:
        one = self._known(entry)
        require(one.outcome == "" and one.state == "alerting", "starts a grace in another state")
        told = any(delivered for _, delivered in one.alerts)
        require(told and one.held, "starts a grace before anybody was told")
        end, length = instant(entry["ends_at"]), one.policy.stops.grace_s
        require(end == now + length * SECOND, "`ends_at` is not the end of the grace period")
        one.state, one.ends_at = "grace", end
        one.grace = end
        one.spans = [(int(str(entry["monotonic"])), length * SECOND)]

    def _acknowledged(self, _index: int, entry: Entry, now: int) -> None:
        one = self._known(entry)
        agent, disposition = one.recorded["agent"], str(entry["disposition"])

        def allowed(command: Command) -> bool:
            same = (command.incident, command.disposition) == (one.name, disposition)
            ours = command.command == "acknowledge" and command.agent == agent
            return ours and same and command.revoke_at == entry["revoke_at"]

        found = self._signed(entry, now, one.name, allowed)
        awaits = one.state in {"grace", "acknowledged", "scheduled"}
        require(one.outcome == "" and awaits, f"is an acknowledgement in state {one.state}")
        require(one.ends_at is not None and now < one.ends_at, "comes after the deadline")
        monotonic = int(str(entry["monotonic"]))
        require(not one.passed(monotonic), "comes after the deadline, by the boot-time clock")
        if one.deadline is None:
            one.deadline = now + one.policy.stops.acknowledgement_s * SECOND
            one.spans = []  # the grace is over, in time
            ends: set[int | None] = {one.deadline}
        else:
            ends = {one.ends_at, one.deadline}
        moment = instant(entry["revoke_at"]) if entry["revoke_at"] else None
        scheduled = one.state == "scheduled"
        require(not scheduled or disposition == "fault", "takes back a revocation")
        if moment is not None:
            latest = (one.ends_at or 0) - 1 if scheduled else one.deadline
            require(now < moment <= latest, "`revoke_at` is not between now and the deadline")
            ends = {moment}
        require(instant(entry["ends_at"]) in ends, "`ends_at` is not the deadline")
        one.state = "scheduled" if scheduled or moment is not None else "acknowledged"
        one.ends_at = instant(entry["ends_at"])
        if not one.acknowledged:
            one.spans.append((monotonic, one.deadline - now))
        one.spans.append((monotonic, one.ends_at - now))
        if disposition == "fault" and moment is None:
            one.condemned = True
            self._owed.append(("fault", one.name))
        seats = tuple(command.seat.name for command in found)
        one.acknowledged.append(Acknowledged(now, disposition, moment, seats))

    def _closed(self, _index: int, entry: Entry, now: int) -> None:
        one, outcome = self._known(entry), str(entry["outcome"])
        require(one.outcome == "", "closes an incident that is closed")
        require(bool(self._owed), "closes an incident that has not ended")
        wanted, _ = self._owed.popleft()  # of this incident: judged when it arrived
        require(outcome == wanted, f"closes as {outcome} what was {wanted}")
        one.outcome, one.closed_at, one.state = outcome, now, "closed"

    def _rearm_authorised(self, _index: int, entry: Entry, now: int) -> None:
        agent, latch = str(entry["agent"]), str(entry["latch"])

        def allowed(command: Command) -> bool:
            return command.command == "rearm" and (command.agent, command.latch) == (agent, latch)

        found = self._signed(entry, now, agent, allowed)
        self._check_epoch(agent, found)
        require(
            entry["epoch"] == self._epochs.get(agent, 0), "`epoch` is not the agent's present one"
        )
        broken = [one for one in self.open_of(agent) if not one.hold]
        named = found[0].incident
        require(named in ("", *(one.name for one in broken)), "names no open incident")
        if latch == "circuit_breaker":
            for one in broken:
                self._end(one, "rearmed", "rearm", entry)
        texts = tuple(str(text) for text in canonical.array_of(entry["commands"]))
        self.rearms.add((agent, latch, texts))

    def _check_epoch(self, agent: str, commands: list[Command]) -> None:
        present = self._epochs.get(agent, 0)
        for one in commands:
            require(one.epoch == present, f"rests on a command for epoch {one.epoch}")

    def _baseline_locked(self, index: int, entry: Entry, now: int) -> None:
        agent, digest = str(entry["agent"]), str(entry["baseline_sha256"])

        def allowed(command: Command) -> bool:
            same = (command.agent, command.baseline_sha256) == (agent, digest)
            return command.command == "go_live" and same

        try:
            found = self._signed(entry, now, agent, allowed)
            self._check_epoch(agent, found)
            require(agent not in self.locked, "locks a second baseline of the agent")
            require(not self.open_of(agent), "locks a baseline while an incident is open")
        except VerificationFailed as failure:
            raise VerificationFailed(failure.what, concern="baseline") from failure
        seats = tuple(one.seat.name for one in found)
        self.locked[agent] = Locked(index, now, agent, str(entry["origin"]), digest, seats)
        self.locks[agent].append(self.locked[agent])

    def unlock(self, agent: str) -> str:
        """The agent begins without a baseline; returns the digest of the one locked, or ""."""
        locked = self.locked.pop(agent, None)
        return "" if locked is None else locked.baseline_sha256
