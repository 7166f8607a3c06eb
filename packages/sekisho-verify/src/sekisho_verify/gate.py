# SPDX-License-Identifier: Apache-2.0
"""What the gate's log says of agents, statuses, leases and re-arming (bundle.md steps 5 and 8).

Each is compared with the authority's log or with a signature of the authority or of people. The
verdicts are computed again in `decisions`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho_verify import canonical, handed, localacts, people
from sekisho_verify.authority import AuthorityLog
from sekisho_verify.canonical import SECOND
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.issued import Replays
from sekisho_verify.localacts import LocalStops
from sekisho_verify.people import Command
from sekisho_verify.status import Responses
from sekisho_verify.tiles import Tree

_HEX32 = re.compile(r"[0-9a-f]{32}")
_LEASE = frozenset(
    "gate boot nonce epoch tree_size root_hash granted_at duration_s not_good".split()
)
_LEASE_MAX_S = 60


@contextlib.contextmanager
def _entry(index: int) -> Iterator[None]:
    """A failure within names this entry."""
    try:
        yield
    except VerificationFailed as failure:
        raise failure.at(f"gate log, entry {index}") from failure


@dataclasses.dataclass(frozen=True)
class Lease:
    """A grant that was verified; times in ns."""

    epoch: int
    end: int


class GateLog:
    """What the gate's log says of everything but orders.

    Attributes:
        leases: index → lease, of every `lease_held`.
        acted: certificate digest → (index, status) of each `status_acted`, and of each
            `incident_opened` and `local_stop` that holds.
        openings: indices of `gate_opened`.
        name: of the gate, as its last opening so far says.
    """

    def __init__(self, authority: AuthorityLog, tree: Tree) -> None:
        self._authority = authority
        self._tree = tree
        self.name = ""
        self._gate = ""
        self._boot = ""
        self._lease_epoch = 0
        self._agent_epochs: dict[str, int] = defaultdict(int)
        self._replays = Replays()
        self._local_stops = LocalStops()
        self._opened: set[tuple[str, str]] = set()
        self._nonces: set[str] = set()
        self._seen_size = 0
        self.leases: dict[int, Lease] = {}
        self.acted: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.openings: list[int] = []

    def admissions(
        self, entries: Sequence[Entry], times: Sequence[int], issued_in: Sequence[Entry]
    ) -> None:
        """Every agent that was admitted is one that the authority certified.

        Raises:
            VerificationFailed: names the first entry that does not agree.
        """
        for index, entry in enumerate(entries):
            if entry["kind"] == "gate_opened":
                self._opened.add((str(entry["gate"]), str(entry["boot"])))
            elif entry["kind"] == "agent_admitted":
                with _entry(index):
                    self._admitted(entry, times[index], issued_in)

    def _admitted(self, entry: Entry, now: int, issued_in: Sequence[Entry]) -> None:
        at = canonical.integer_of(entry["authority_index"])
        source = issued_in[at] if at < len(issued_in) else {}
        issued = self._authority.issued.get(str(entry["certificate_sha256"]))
        if source.get("kind") != "certificate_issued" or issued is None or issued.index != at:
            raise VerificationFailed("admits a certificate that the authority did not issue there")
        for name in (
            "agent",
            "certificate",
            "certificate_sha256",
            "serial_number",
            "not_before",
            "not_after",
            "policy_sha256",
        ):
            require(entry[name] == source[name], f"`{name}` differs from the authority's entry")
        digest = canonical.digest_of(entry["policy"])
        require(digest == issued.policy.sha256, "`policy` is not the policy that was approved")
        self._authority.authority.require_valid_at(now)

    def statuses(self, entries: Sequence[Entry], times: Sequence[int]) -> int:
        """`status_acted` and `rearmed` entries; returns how many statuses were acted on.

        Raises:
            VerificationFailed: names the first entry that does not agree.
        """
        count = 0
        for index, entry in enumerate(entries):
            if entry["kind"] == "gate_opened":
                self.name = str(entry["gate"])
            if entry["kind"] == "status_acted":
                count += 1
                with _entry(index):
                    self._acted(index, entry)
            elif entry["kind"] == "rearmed":
                with _entry(index):
                    self._rearmed(index, entry, times[index])
            elif entry["kind"] in {"shutdown_ordered", "local_stop"}:
                with _entry(index):
                    self._narrowed(index, entry, times[index])
            elif entry["kind"] in {"stop_reported", "cancel_asked"}:
                with _entry(index):
                    agents = {one.agent for one in self._authority.issued.values()}
                    require(entry["agent"] in agents, "is of an agent without certificate")
            elif entry["kind"] == "venue_rearmed":
                with _entry(index):
                    self._venue_rearmed(index, entry, times[index])
            elif entry["kind"] == "incident_opened" and entry["incident_kind"] == "hold":
                # The gate holds by itself: as any hold, until it acts on `good`.
                self.acted[str(entry["certificate_sha256"])].append((index, "hold"))
            elif entry["kind"] == "gate_opened":
                self.openings.append(index)
        return count

    def _acted(self, index: int, entry: Entry) -> None:
        issued = self._authority.issued.get(str(entry["certificate_sha256"]))
        if issued is None or issued.agent != entry["agent"]:
            raise VerificationFailed("names a certificate that the authority did not issue")
        epoch, status = canonical.integer_of(entry["epoch"]), str(entry["status"])
        require(epoch <= self._authority.epoch, "is of an epoch that the authority's log lacks")
        there, agent = issued.status_at(epoch), str(entry["agent"])
        if there == "good" and self._authority.assignments.left(agent, self.name, epoch):
            there = "hold"  # what moves away from a gate is stopped there, whatever its status
        require(there == status, f"acts on {status}, the authority's log has {there}")
        newer = epoch > self._agent_epochs[agent]
        require(status != "good" or newer, "lifts a stop by an epoch that is not newer")
        if status == "good":
            self._local_stops.lift(issued, epoch)
        elif status == "revoked":
            self._local_stops.revoked(issued)
        self._agent_epochs[agent] = max(self._agent_epochs[agent], epoch)
        self.acted[issued.certificate.sha256].append((index, status))

    def _narrowed(self, index: int, entry: Entry, now: int) -> None:
        """What one person commanded here; a local stop holds as any hold."""
        texts = canonical.array_of(entry["commands"])
        require(len(texts) > 0, "has no signed command")
        localacts.narrowed(entry, self._roster_of(texts[0]), now, self._replays, index)
        if entry["kind"] == "shutdown_ordered":
            return
        issued = self._authority.issued.get(str(entry["certificate_sha256"]))
        if issued is None or issued.agent != entry["agent"]:
            raise VerificationFailed("names a certificate that the authority did not issue")
        self._local_stops.stop(issued, self._agent_epochs[issued.agent])
        self.acted[issued.certificate.sha256].append((index, "hold"))

    def _rearmed(self, index: int, entry: Entry, now: int) -> None:
        agent, latch = str(entry["agent"]), entry["latch"]
        texts = canonical.array_of(entry["commands"])
        require(len(texts) > 0, "re-arms without a signed command")
        roster = self._roster_of(texts[0])

        def allowed(command: Command) -> bool:
            return command.command == "rearm" and command.agent == agent and command.latch == latch

        found = people.commands(texts, roster, now, allowed)
        require(entry["seats"] == [one.seat.name for one in found], "names other seats")
        for one in found:
            self._replays.use(one, agent, index)
            moved = self._authority.assignments.moved_to(agent, self.name, one.epoch or 0)
            present = max(self._agent_epochs[agent], moved)
            require(one.epoch == present, f"rests on a command for epoch {one.epoch}")
        known = (agent, str(latch), tuple(str(text) for text in texts))
        authorised = known in self._authority.procedure.rearms
        require(authorised, "re-arms what the authority's log does not authorise")

    def _venue_rearmed(self, index: int, entry: Entry, now: int) -> None:
        venue, incident = str(entry["venue"]), str(entry["incident"])
        texts = canonical.array_of(entry["commands"])
        require(len(texts) > 0, "re-arms without a signed command")

        def allowed(command: Command) -> bool:
            ours = (command.scope, command.latch) == (f"venue:{venue}", "venue")
            return command.command == "rearm" and ours and command.incident == incident

        found = people.commands(texts, self._roster_of(texts[0]), now, allowed)
        require(entry["seats"] == [one.seat.name for one in found], "names other seats")
        for one in found:
            self._replays.use(one, incident, index)
        known = (venue, incident, tuple(str(text) for text in texts))
        authorised = known in self._authority.procedure.venue_rearms
        require(authorised, "re-arms a venue that the authority's log does not authorise")

    def _roster_of(self, text: object) -> people.Roster:
        data = canonical.text_of(text).encode(errors="surrogatepass")
        command = canonical.object_of(canonical.parse_object(data).get("command"))
        roster = self._authority.rosters.get(str(command.get("roster_sha256")))
        if roster is None:
            raise VerificationFailed("rests on a command by a roster that was never in force")
        return roster

    def leases_held(self, entries: Sequence[Entry], responses: Responses) -> int:
        """Every lease is signed, for this gate and boot; returns how many there are (step 8).

        Raises:
            VerificationFailed: names the first entry that does not hold.
        """
        for index, entry in enumerate(entries):
            if entry["kind"] == "gate_opened":
                same = self._gate in ("", entry["gate"])
                require(same, "opens another gate in this log", f"gate log, entry {index}")
                self._gate, self._boot = str(entry["gate"]), str(entry["boot"])
            elif entry["kind"] == "lease_held":
                with _entry(index):
                    self._held(index, entry)
                    self._check_responses(entry, responses)
        return len(self.leases)

    def _held(self, index: int, entry: Entry) -> None:
        text = canonical.text_of(entry["grant"])
        grant = canonical.parse_object(text.encode(errors="surrogatepass"))
        canonical.fields(grant, {"lease", "signature"}, "grant")
        named = canonical.object_of(grant["lease"])
        lease = canonical.fields(named, _LEASE | (named.keys() & {"moved"}), "lease")
        if "moved" in lease:
            handed.moved(lease["moved"])
        message = b"sekisho/lease/v1\n" + canonical.encode(lease)
        signature = canonical.bytes_of(grant["signature"])
        try:
            self._authority.responder.ec_key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise VerificationFailed("has a lease whose signature does not verify") from error
        require(lease["gate"] == self._gate, "has a lease for another gate")
        require(lease["boot"] == self._boot, "has a lease for another boot")
        known = (self._gate, self._boot) in self._authority.boot_ids
        require(known, "has a lease for a boot that the authority's log lacks")
        nonce = canonical.text_of(lease["nonce"])
        require(_HEX32.fullmatch(nonce) is not None, "has a lease with a malformed nonce")
        require(nonce not in self._nonces, "has a lease that was held before")
        self._nonces.add(nonce)
        epoch = canonical.integer_of(lease["epoch"])
        require(entry["epoch"] == epoch, "has another epoch than its lease")
        require(epoch >= self._lease_epoch, "has a lease whose epoch falls")
        self._lease_epoch = epoch
        not_good = [canonical.digest_text(one) for one in canonical.array_of(lease["not_good"])]
        require(not_good == sorted(set(not_good)), "has a lease with an unsorted list")
        granted = canonical.instant(lease["granted_at"])
        self._authority.responder.require_valid_at(granted, "responder certificate")
        self._check_own(entry, epoch)
        duration = canonical.integer_of(lease["duration_s"])
        require(0 < duration <= self._longest(entry), "has a lease of no proper duration")
        self._check_lost(entry, granted + duration * SECOND)
        self._check_prefix(lease, index)
        size = canonical.integer_of(lease["tree_size"])
        require(size >= self._seen_size, "has a lease for a shorter log than the one before")
        self._seen_size = size
        self.leases[index] = Lease(epoch, granted + duration * SECOND)

    def _check_responses(self, entry: Entry, responses: Responses) -> None:
        """Each response is the responder's, of its certificate, and says what the lease does."""
        grant = canonical.parse_object(str(entry["grant"]).encode())
        not_good = canonical.array_of(canonical.object_of(grant["lease"])["not_good"])
        for digest, text in canonical.object_of(entry["status"]).items():
            issued = self._authority.issued.get(digest)
            if issued is None:
                raise VerificationFailed("has a response for what was never issued")
            response = responses.verified_text(canonical.text_of(text))
            same = response.serial_number == issued.certificate.parsed.serial_number
            require(same, "has a response for another certificate than it names")
            good = response.status.status == "good"
            require(good is (digest not in not_good), "has a response that contradicts its lease")
            there = issued.status_at(canonical.integer_of(entry["epoch"]))
            told = f"calls good what the authority's log has as {there} at that epoch"
            require(there == "good" or not good, told)

    def _check_own(self, entry: Entry, epoch: int) -> None:
        """A lease answers for the agents of this gate alone."""
        for digest in canonical.object_of(entry["status"]):
            issued = self._authority.issued.get(digest)
            if issued is not None:
                own = self._authority.assignments.may_answer(issued.agent, self._gate, epoch)
                require(own, f"has a response for {issued.agent}, which is another gate's")

    def _check_lost(self, entry: Entry, end: int) -> None:
        """A history is declared lost when no lease of the gate that had it runs any more."""
        for digest in canonical.object_of(entry["status"]):
            issued = self._authority.issued.get(digest)
            if issued is not None:
                lost = self._authority.assignments.lost_after(issued.agent, self._gate)
                told = f"has a lease for {issued.agent} that ends after its history was lost"
                require(lost is None or end <= lost, told)

    def _longest(self, entry: Entry) -> int:
        """The longest lease that the policies of the certificates with a response allow."""
        issued = [self._authority.issued.get(d) for d in canonical.object_of(entry["status"])]
        return min([_LEASE_MAX_S, *(one.policy.lease_s for one in issued if one is not None)])

    def _check_prefix(self, seen: dict[str, object], most: int) -> None:
        """The checkpoint that the authority saw is one of this log."""
        size = canonical.integer_of(seen["tree_size"])
        require(0 <= size <= most, "names a checkpoint that lies ahead of it")
        same = self._tree.root(size) == canonical.bytes_of(seen["root_hash"])
        require(same, "names a checkpoint of another history of this log")

    def boots(self, origin: str) -> None:
        """What the authority saw of this log at each boot is a beginning of it, never shorter.

        Raises:
            VerificationFailed: names the authority's entry.
        """
        last = 0
        for index, entry in self._authority.boots:
            opened = (entry["gate"], entry["boot"]) in self._opened
            if entry["origin"] == origin or opened:
                try:
                    require(entry["origin"] == origin, "is a boot of this log, told of another")
                    require(opened, "is a boot of this log, which it does not open")
                    self._check_prefix(entry, self._tree.size)
                    size = canonical.integer_of(entry["tree_size"])
                    require(size >= last, "saw a shorter log than before")
                    last = size
                except VerificationFailed as failure:
                    raise failure.at(f"authority log, entry {index}") from failure
