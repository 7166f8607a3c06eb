# SPDX-License-Identifier: Apache-2.0
"""The authority's log: who was approved, certified, held, revoked (bundle.md steps 4 and 5).

One walk from the first entry; each entry is judged by what lies before it. What it yields is the
word of the authority that the gate's log is compared with.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from sekisho_verify import canonical, certificates, people
from sekisho_verify import policy as policies
from sekisho_verify.certificates import Authority, Certificate
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.people import Command, Roster
from sekisho_verify.policy import Policy
from sekisho_verify.status import Status

_LAWFUL = {("good", "hold"), ("hold", "good"), ("good", "revoked"), ("hold", "revoked")}
_BY_PEOPLE = {
    "release": ("good",),
    "hold": ("hold",),
    "revoke": ("revoked",),
    "kill": ("hold", "revoked"),
}
"""Causes that are commands, and the statuses that each can set."""


@dataclasses.dataclass
class Issued:
    """One certificate of an agent, as issued, and its status so far."""

    index: int
    agent: str
    certificate: Certificate
    policy: Policy
    status: Status = dataclasses.field(default_factory=lambda: Status("good"))
    history: list[tuple[int, str]] = dataclasses.field(default_factory=list)  # (epoch, status)

    def status_at(self, epoch: int) -> str:
        """The status after so many status changes."""
        found = "good"
        for changed, status in self.history:
            if changed <= epoch:
                found = status
        return found


class Replays:
    """Signed commands of one log: a nonce of a seat is used for one command only."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._uses: set[tuple[str, str, str]] = set()

    def use(self, command: Command, subject: str) -> None:
        """One use; a command with a scope may stop several certificates, each of them once."""
        key = command.seat.name, command.nonce
        same = self._texts.setdefault(key, command.text) == command.text
        require(same, f"repeats a nonce of seat {command.seat.name}")
        require((*key, subject) not in self._uses, f"replays a command of {command.seat.name}")
        self._uses.add((*key, subject))


class AuthorityLog:
    """What the authority's log says, entry by entry.

    Attributes:
        rosters: every roster that was ever in force, by digest.
        registered: policies by digest.
        issued: certificates by digest, in order.
        log_certificates: digests of certified log keys.
        epoch: number of status changes so far.
        approver_keys: SubjectPublicKeyInfo of each key whose approval a certificate rests on,
            with the index of that certificate's entry.
    """

    def __init__(self, authority: Authority, responder: Certificate) -> None:
        self.authority = authority
        self.responder = responder
        self.rosters: dict[str, Roster] = {}
        self.registered: dict[str, Policy] = {}
        self.resolved: dict[str, tuple[str, list[people.Seat]]] = {}
        self.issued: dict[str, Issued] = {}
        self.log_certificates: set[str] = set()
        self.crls: list[Entry] = []
        self.boots: list[tuple[int, Entry]] = []
        self.epoch = 0
        self.agent_epochs: dict[str, int] = defaultdict(int)
        self.approver_keys: dict[bytes, tuple[str, int]] = {}
        self._present: Roster | None = None
        self._replays = Replays()
        self._serials: set[str] = set()
        self._handlers: Mapping[str, Callable[[int, Entry, int], None]] = {
            "founded": self._founded,
            "log_key_certified": self._log_key_certified,
            "roster_changed": self._roster_changed,
            "policy_registered": self._policy_registered,
            "approval_given": self._approval_given,
            "resolved": self._resolved,
            "certificate_issued": self._certificate_issued,
            "status_changed": self._status_changed,
            "crl_issued": self._crl_issued,
            "gate_booted": lambda index, entry, _: self.boots.append((index, entry)),
        }

    def walk(self, entries: Sequence[Entry], times: Sequence[int]) -> None:
        """Judge every entry in order.

        Raises:
            VerificationFailed: names the first entry that is not lawful.
        """
        for index, entry in enumerate(entries):
            try:
                require((entry["kind"] == "founded") == (index == 0), "is not founded once, first")
                self._handlers[str(entry["kind"])](index, entry, times[index])
            except VerificationFailed as failure:
                raise failure.at(f"authority log, entry {index}") from failure

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        if self._present is None:
            raise VerificationFailed("no roster is in force")
        return self._present

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
        self._present = self._read_roster(entry)

    def _read_roster(self, entry: Entry) -> Roster:
        roster = people.roster(entry["roster"])
        require(
            entry["roster_sha256"] == roster.sha256, "`roster_sha256` is not that of the roster"
        )
        self.rosters[roster.sha256] = roster
        return roster

    def _roster_changed(self, _index: int, _entry: Entry, _now: int) -> None:
        # The form of these approvals is not specified yet; what cannot be judged is not accepted.
        raise VerificationFailed("a change of roster cannot be judged by this version")

    def _log_key_certified(self, _index: int, entry: Entry, now: int) -> None:
        leaf = self._take_certificate(entry, now)
        self.authority.check_log(leaf, str(entry["origin"]))
        self.log_certificates.add(leaf.sha256)

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

    def _approval_given(self, _index: int, entry: Entry, now: int) -> None:
        people.approval(entry["approval"], self._policy(entry), self.roster, now)

    def _resolved(self, _index: int, entry: Entry, now: int) -> None:
        resolution = canonical.object_of(entry["resolution"])
        seats = people.resolution(resolution, self._policy(entry), self.roster)
        digest = canonical.digest_of(resolution)
        require(entry["resolution_sha256"] == digest, "`resolution_sha256` is not that of it")
        require(canonical.instant(resolution["resolved_at"]) <= now, "is resolved in the future")
        self.resolved[digest] = str(entry["policy_sha256"]), seats

    def _certificate_issued(self, index: int, entry: Entry, now: int) -> None:
        policy = self._policy(entry)
        leaf = self._take_certificate(entry, now)
        require(
            entry["certificate_sha256"] == leaf.sha256, "`certificate_sha256` is not its digest"
        )
        require(entry["agent"] == policy.agent, "certifies an agent that the policy is not for")
        names_times = (entry["not_before"], entry["not_after"]) == (
            canonical.instant_text(leaf.not_before),
            canonical.instant_text(leaf.not_after),
        )
        require(names_times, "has other times than its certificate")
        found = self.resolved.get(str(entry["resolution_sha256"]))
        if found is None or found[0] != policy.sha256:
            raise VerificationFailed("rests on no resolution over this policy")
        check_agent(self.authority, leaf, policy)
        self.issued[leaf.sha256] = Issued(index, policy.agent, leaf, policy)
        for seat in found[1]:
            self.approver_keys.setdefault(seat.key_der, (seat.name, index))

    def _status_changed(self, _index: int, entry: Entry, now: int) -> None:
        issued = self.issued.get(str(entry["certificate_sha256"]))
        if issued is None:
            raise VerificationFailed("names a certificate that was not issued before")
        same = (entry["agent"], entry["serial_number"]) == (issued.agent, issued.certificate.serial)
        require(same, "names another agent or serial number than the certificate")
        status = str(entry["status"])
        lawful = (issued.status.status, status) in _LAWFUL
        require(lawful, f"changes {issued.status.status} to {status}")
        require(entry["epoch"] == self.epoch + 1, "`epoch` is not the number of status changes")
        self._check_cause(entry, issued, now)
        self.epoch += 1
        self.agent_epochs[issued.agent] = self.epoch
        issued.status = Status(status, "" if status == "good" else str(entry["reason"]))
        issued.history.append((self.epoch, status))

    def _check_cause(self, entry: Entry, issued: Issued, now: int) -> None:
        cause, texts = str(entry["cause"]), canonical.array_of(entry["commands"])
        if cause in _BY_PEOPLE:
            require(entry["status"] in _BY_PEOPLE[cause], f"cause {cause} sets no such status")
        require(entry["status"] != "good" or cause == "release", "is lifted without a release")
        if not texts and cause not in _BY_PEOPLE:
            require(entry["seats"] == [], "names seats without their commands")
            return

        def allowed(command: Command) -> bool:
            ours = command.agent == issued.agent or bool(command.scope)
            return ours and (command.command == cause or cause not in _BY_PEOPLE)

        found = people.commands(texts, self.roster, now, allowed)
        require(entry["seats"] == [one.seat.name for one in found], "names other seats")
        for one in found:
            self._replays.use(one, issued.certificate.sha256)
            present = self.agent_epochs[issued.agent]
            stale = one.command == "release" and one.epoch != present
            require(not stale, f"rests on a release for epoch {one.epoch}, not {present}")

    def _crl_issued(self, _index: int, entry: Entry, _now: int) -> None:
        if self.crls:
            before = canonical.integer_of(self.crls[-1]["number"])
            require(entry["number"] == before + 1, "`number` does not rise by one")
        self.crls.append(entry)


def check_agent(authority: Authority, leaf: Certificate, policy: Policy) -> None:
    """An agent's certificate says what its policy says."""
    scope = authority.check_agent(leaf)
    require(scope.policy_sha256 == policy.sha256, "certificate is for another policy")
    require(
        scope.text == policy.scope_json, "certificate's scope extension differs from the policy"
    )
