# SPDX-License-Identifier: Apache-2.0
"""The authority's log: who was approved, certified, held, revoked (docs/spec/authority.md 1 to 3).

One walk from the first entry; each entry is judged by what lies before it. What it yields is the
word of the authority that the gate's log is compared with (bundle.md steps 4 and 5). Not in the
log, so not judged: the seats of issuer and operator, and the proof of possession.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from sekisho_verify import assigned, canonical, certificates, lost, people
from sekisho_verify import policy as policies
from sekisho_verify.assigned import Assignments
from sekisho_verify.canonical import SECOND
from sekisho_verify.certificates import Authority, Certificate
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.governed import Governance, check_due
from sekisho_verify.issued import Issued, Replays
from sekisho_verify.people import Command, Roster
from sekisho_verify.policy import Policy
from sekisho_verify.procedure import AUTOMATIC, Procedure
from sekisho_verify.renewed import SUPERSEDED, Renewals
from sekisho_verify.status import Status

_CAUSES = {
    "hold": (("good",), "hold"),
    "release": (("hold",), "good"),
    "revoke": (("good", "hold"), "revoked"),
    "kill": (("good", "hold"), "revoked"),
    "automatic_hold": (("good",), "hold"),
    "grace_expired": (("hold",), "revoked"),
    "deadline_expired": (("hold",), "revoked"),
    "fault": (("hold",), "revoked"),
    SUPERSEDED: (("good", "hold"), "revoked"),
}
"""Cause → from, to (authority.md section 2, incidents.md section 2); there is no other change."""

_REASONS = {
    "key_compromise": "keyCompromise",
    "affiliation_changed": "affiliationChanged",
    "superseded": "superseded",
    "cessation_of_operation": "cessationOfOperation",
}
_ALL = "all:all"
_BACKDATED_MAX = 60 * SECOND
_SHARDS_MAX = 256


class AuthorityLog:
    """What the authority's log says, entry by entry.

    Attributes:
        governance: policies, limits, approvals, rosters.
        issued: certificates by digest, in order.
        shards: into how many CRLs certificates are divided by their serial numbers.
        crls: the newest `crl_issued` of each shard.
        log_certificates: digests of certified log keys.
        epoch: number of status changes and moves to another gate so far.
        assignments: which gate had which agent.
        approver_keys: SubjectPublicKeyInfo of each key whose approval a certificate rests on,
            with the index of that certificate's entry.
        procedure: incidents, re-armings, locked baselines.
    """

    def __init__(self, authority: Authority, responder: Certificate) -> None:
        self.authority = authority
        self.responder = responder
        self.governance = Governance()
        self.issued: dict[str, Issued] = {}
        self.log_certificates: set[str] = set()
        self.shards = 1
        self.crls: dict[int, Entry] = {}
        self.boots: list[tuple[int, Entry]] = []
        self.boot_ids: set[tuple[str, str]] = set()
        self.epoch = 0
        self.assignments = Assignments()
        self.agent_epochs: dict[str, int] = defaultdict(int)
        self.approver_keys: dict[bytes, tuple[str, int]] = {}
        self._environment = ""
        self._killed: dict[str, int] = {}  # agent → index of the last kill
        self._keys = {authority.root.spki, authority.issuing.spki, responder.spki}
        self._replays = Replays()
        self._place = 0  # of the entry among those that are no end of an incident
        self._act: tuple[tuple[str, ...], int, int] = (), -1, 0  # commands, next place, epoch
        self._renewals = Renewals()
        self.procedure = Procedure(
            self.issued, self.agent_epochs, self._signed_by, self._renewals.other
        )
        self._serials: set[str] = set()
        self._notes: set[str] = set()
        self._handlers: Mapping[str, Callable[[int, Entry, int], None]] = {
            "founded": self._founded,
            "log_key_certified": self._log_key_certified,
            "roster_changed": self._roster_changed,
            "policy_registered": self._policy_registered,
            "limits_registered": self._limits_registered,
            "approval_given": self._approval_given,
            "approval_withdrawn": self._approval_withdrawn,
            "resolved": self.governance.resolve,
            "certificate_issued": self._certificate_issued,
            "status_changed": self._status_changed,
            "crl_issued": self._crl_issued,
            "note_recorded": self._note_recorded,
            "gate_booted": self._gate_booted,
            "agent_assigned": self._agent_assigned,
            "agent_handed_over": self._handed_over,
            "history_taken": self._history_taken,
            "history_lost": self._history_lost,
            **self.procedure.handlers,
        }

    def walk(self, entries: Sequence[Entry], times: Sequence[int]) -> None:
        """Judge every entry in order.

        Raises:
            VerificationFailed: names the first entry that is not lawful.
        """
        for index, entry in enumerate(entries):
            try:
                require((entry["kind"] == "founded") == (index == 0), "is not founded once, first")
                self.procedure.arrives(entry)
                self._place += entry["kind"] != "incident_closed"
                self._handlers[str(entry["kind"])](index, entry, times[index])
            except VerificationFailed as failure:
                raise failure.at(f"authority log, entry {index}") from failure

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        return self.governance.roster

    @property
    def rosters(self) -> Mapping[str, Roster]:
        """Every roster that was ever in force, by digest."""
        return self.governance.rosters

    @property
    def registered(self) -> dict[str, Policy]:
        """Policies by digest."""
        return self.governance.policies

    def _founded(self, _index: int, entry: Entry, now: int) -> None:
        ours = (
            ("root_certificate", self.authority.root),
            ("issuing_certificate", self.authority.issuing),
            ("responder_certificate", self.responder),
        )
        for name, certificate in ours:
            same = canonical.bytes_of(entry[name]) == certificate.der
            require(same, f"`{name}` is not that of the bundle")
            certificate.require_valid_at(now, name)
        self._environment = str(entry["environment"])
        self.shards = canonical.integer_of(entry["crl_shards"])
        require(1 <= self.shards <= _SHARDS_MAX, "`crl_shards` is not 1 to 256")
        self._take_roster(entry)

    def _note_recorded(self, _index: int, entry: Entry, _now: int) -> None:
        by, commitment = str(entry["by"]), str(entry["commitment"])
        if not by.startswith("key:"):
            seat = self.roster.seats.get(by)
            known = seat is not None and seat.role in ("compliance", "risk", "operator")
            require(known, "is brought by nobody who may")
        require(commitment not in self._notes, "is a note that the log has already")
        self._notes.add(commitment)

    def _gate_booted(self, index: int, entry: Entry, _now: int) -> None:
        name = str(entry["gate"]), str(entry["boot"])
        require(name not in self.boot_ids, "is a boot that the log has already")
        self.boots.append((index, entry))
        self.boot_ids.add(name)

    def _agent_assigned(self, _index: int, entry: Entry, now: int) -> None:
        agent = str(entry["agent"])
        known = any(one.agent == agent for one in self.issued.values())
        require(known, "names an agent that has no certificate")
        first = entry["before"] == ""
        self.assignments.take(entry, self.epoch)
        if first:
            signed = (entry["seats"], entry["commands"])
            require(signed == ([], []), "needs nobody's command, and has one")
            return
        found = self._signed_by(entry, now, agent, lambda one: assigned.allowed(one, entry))
        present = self.agent_epochs[agent]
        for one in found:
            require(one.epoch == present, f"rests on a command for epoch {one.epoch}")
        self.epoch += 1
        self.agent_epochs[agent] = self.epoch

    def _handed_over(self, _index: int, entry: Entry, _now: int) -> None:
        self._check_log(entry)
        self.assignments.handed_over(entry)

    def _history_taken(self, _index: int, entry: Entry, _now: int) -> None:
        self._check_log(entry)
        self.assignments.taken(entry)

    def _history_lost(self, index: int, entry: Entry, now: int) -> None:
        agent = str(entry["agent"])
        found = self._signed_by(entry, now, agent, lambda one: assigned.allowed(one, entry))
        present = self.agent_epochs[agent]
        for one in found:
            require(one.epoch == present, f"rests on a command for epoch {one.epoch}")
        newest = [one.policy for one in self.issued.values() if one.agent == agent]
        unlocked = self.procedure.unlock(agent)
        require(entry["baseline_sha256"] == unlocked, "`baseline_sha256` is not the one locked")
        loss = lost.judged(entry, found, newest[-1:], index, now)
        self.assignments.lost(entry, self.epoch, loss)
        self.epoch += 1
        self.agent_epochs[agent] = self.epoch

    def _check_log(self, entry: Entry) -> None:
        known = {(boot["gate"], boot["origin"]) for _, boot in self.boots}
        require((entry["gate"], entry["origin"]) in known, "names another gate's log")

    def _take_roster(self, entry: Entry) -> None:
        roster = self.governance.begin(entry["roster"], entry["roster_sha256"])
        self._keys |= {seat.key_der for seat in roster.seats.values()}

    def _roster_changed(self, _index: int, entry: Entry, now: int) -> None:
        self.governance.succeed(entry["roster"], entry["approvals"], now)
        self._take_roster(entry)

    def _log_key_certified(self, _index: int, entry: Entry, now: int) -> None:
        leaf = self._take_certificate(entry, now)
        self.authority.check_log(leaf, str(entry["origin"]))
        self.log_certificates.add(leaf.sha256)
        self._keys.add(leaf.spki)

    def _take_certificate(self, entry: Entry, now: int) -> Certificate:
        leaf = certificates.load_der(canonical.bytes_of(entry["certificate"]))
        require(entry["serial_number"] == leaf.serial, "`serial_number` is not the certificate's")
        require(leaf.serial not in self._serials, "repeats a serial number")
        self._serials.add(leaf.serial)
        self.authority.require_valid_at(now)
        return leaf

    def _policy_registered(self, _index: int, entry: Entry, _now: int) -> None:
        policy = policies.read(entry["policy"])
        require(entry["policy_sha256"] == policy.sha256, "`policy_sha256` is not the policy's")
        require(entry["agent"] == policy.agent, "`agent` is not the policy's")
        self.registered[policy.sha256] = policy

    def _policy(self, entry: Entry) -> Policy:
        policy = self.registered.get(str(entry["policy_sha256"]))
        if policy is None:
            raise VerificationFailed("names a policy that is not registered before")
        return policy

    def _limits_registered(self, _index: int, entry: Entry, _now: int) -> None:
        limits = self.governance.register_limits(entry["limits"], self._environment)
        require(entry["limits_sha256"] == limits.sha256, "`limits_sha256` is not the limits'")

    def _approval_given(self, index: int, entry: Entry, now: int) -> None:
        self.governance.approve(index, entry["policy_sha256"], entry["approval"], now)

    def _approval_withdrawn(self, index: int, entry: Entry, now: int) -> None:
        used = self.governance.withdraw(index, entry["policy_sha256"], entry["withdrawal"], now)
        self._replays.use_once(*used)

    def _certificate_issued(self, index: int, entry: Entry, now: int) -> None:
        policy = self._policy(entry)
        leaf = self._take_certificate(entry, now)
        require(
            entry["certificate_sha256"] == leaf.sha256, "`certificate_sha256` is not its digest"
        )
        require(entry["agent"] == policy.agent, "certifies an agent that the policy is not for")
        require(policy.environment == self._environment, "certifies for another environment")
        require(now < policy.valid_until, "certifies under a policy that has ended")
        killed = self._killed.get(policy.agent, -1)
        resolved = self.governance.permitting(policy, entry["resolution_sha256"], killed)
        active = [
            one.policy
            for one in self.issued.values()
            if one.status.status != "revoked" and now < one.certificate.not_after
        ]
        self._renewals.check_issue(entry, policy, self.issued.values(), now)
        check_due(policy, now)
        others = [one for one in active if one.agent != policy.agent]
        self.governance.check_above(policy, others)
        require(leaf.spki not in self._keys, "certifies a key that was used before")
        self._keys.add(leaf.spki)
        self._check_validity(entry, leaf, policy, now)
        check_agent(self.authority, leaf, policy)
        approvers = tuple(seat.name for seat in resolved.seats)
        self.issued[leaf.sha256] = Issued(
            index, policy.agent, leaf, policy, approvers, epoch=self.epoch
        )
        self._renewals.issued(entry, self.issued, now)
        for seat in resolved.seats:
            self.approver_keys.setdefault(seat.key_der, (seat.name, index))

    def _check_validity(self, entry: Entry, leaf: Certificate, policy: Policy, now: int) -> None:
        """From the later of now and the policy's begin, to the earlier end of policy and CA."""
        start, end = leaf.not_before, leaf.not_after
        recorded = entry["not_before"], entry["not_after"]
        same = recorded == (canonical.instant_text(start), canonical.instant_text(end))
        require(same, "has other times than its certificate")
        latest = max(policy.valid_from, now)
        earliest = max(policy.valid_from, now - _BACKDATED_MAX)
        require(earliest <= start <= latest, "is valid from another time than its issue")
        last = min(policy.valid_until, self.authority.issuing.not_after)
        require(end == last, "ends neither with its policy nor with the issuing CA")

    def _status_changed(self, index: int, entry: Entry, now: int) -> None:
        issued = self.issued.get(str(entry["certificate_sha256"]))
        if issued is None:
            raise VerificationFailed("names a certificate that was not issued before")
        same = (entry["agent"], entry["serial_number"]) == (issued.agent, issued.certificate.serial)
        require(same, "names another agent or serial number than the certificate")
        require(entry["epoch"] == self.epoch + 1, "`epoch` is not the number of changes and moves")
        cause, status = str(entry["cause"]), str(entry["status"])
        before, after = _CAUSES.get(cause, ((), ""))
        lawful = issued.status.status in before and status == after
        require(lawful, f"changes {issued.status.status} to {status} because of {cause}")
        reason = self._cause(entry, issued, now)
        require(entry["reason"] == reason, f"`reason` is not {reason or 'empty'}")
        self.epoch += 1
        self.agent_epochs[issued.agent] = self.epoch
        issued.status = Status(status, reason)
        issued.history.append((self.epoch, status))
        if status == "revoked":
            self._renewals.ended(issued)
        if cause == "kill":
            self._killed[issued.agent] = index
        self.procedure.changed(entry, issued, now)

    def _cause(self, entry: Entry, issued: Issued, now: int) -> str:
        """The incident, or the signed commands, that a change rests on; returns its reason."""
        cause = str(entry["cause"])
        if cause == SUPERSEDED:
            self.procedure.supersedes(entry)
            self._renewals.check_end(entry, issued, now)
            return SUPERSEDED
        if cause in AUTOMATIC:
            self.procedure.automatic(entry, issued, now)
            return AUTOMATIC[cause]

        def allowed(command: Command) -> bool:
            ours = command.agent == issued.agent or command.scope == _ALL
            return ours and command.command == cause

        subject = issued.certificate.sha256
        found = self._signed_by(entry, now, subject, allowed)
        texts = tuple(one.text for one in found)
        if (texts, self._place) != self._act[:2]:
            self._act = texts, self._place, self.agent_epochs[issued.agent]
        present = self._act[2]  # one release may be of two certificates
        self._act = texts, self._place + 1, present
        for one in found:
            stale = one.command == "release" and one.epoch != present
            require(not stale, f"rests on a release for epoch {one.epoch}, not {present}")
        self.procedure.by_people(entry, issued, found[0], now)
        if entry["status"] == "revoked":
            return _REASONS.get(found[0].reason_code, "privilegeWithdrawn")
        return "certificateHold" if entry["status"] == "hold" else ""

    def _signed_by(
        self, entry: Entry, now: int, subject: str, allowed: Callable[[Command], bool]
    ) -> list[Command]:
        """The signed commands that an entry rests on, each used once for one subject."""
        texts = canonical.array_of(entry["commands"])
        found = people.commands(texts, self.roster, now, allowed)
        require(entry["seats"] == [one.seat.name for one in found], "names other seats")
        for one in found:
            self._replays.use(one, subject, self._place)
        return found

    def _crl_issued(self, _index: int, entry: Entry, _now: int) -> None:
        shard = canonical.integer_of(entry["shard"])
        require(shard < self.shards, "is of a shard that there is not")
        known = self.crls.get(shard)
        before = 0 if known is None else canonical.integer_of(known["number"])
        require(entry["number"] == before + 1, "`number` does not rise by one")
        self.crls[shard] = entry


def check_agent(authority: Authority, leaf: Certificate, policy: Policy) -> None:
    """An agent's certificate says what its policy says."""
    scope = authority.check_agent(leaf)
    require(scope.policy_sha256 == policy.sha256, "certificate is for another policy")
    require(
        scope.text == policy.scope_json, "certificate's scope extension differs from the policy"
    )
