# SPDX-License-Identifier: Apache-2.0
"""Every permit of the gate's log against its decision (docs/spec/bundle.md step 7, and 5).

The payload that a permit must have is built from the decision and compared as a whole; only its
times and its OCSP response are judged by themselves.
"""

from __future__ import annotations

import base64
import bisect
import dataclasses
from collections.abc import Mapping, Sequence

from sekisho_verify import canonical, permit
from sekisho_verify.authority import AuthorityLog
from sekisho_verify.canonical import SECOND
from sekisho_verify.decisions import Decided
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.gate import GateLog
from sekisho_verify.signatures import Signatures
from sekisho_verify.status import Responses


@dataclasses.dataclass(frozen=True)
class Context:
    """What permits are compared with.

    Attributes:
        agent: whose bundle it is.
        origin: of the gate's log.
        leaves: leaf hashes of the gate's log.
        files: of the bundle, by path.
    """

    agent: str
    origin: str
    leaves: Sequence[bytes]
    files: Mapping[str, bytes]
    authority: AuthorityLog
    gate: GateLog
    responses: Responses


class Permits:
    """The walk over `permit_signed` and `withdrawn` entries.

    Attributes:
        signed: decision index → index of its `permit_signed`.
        withdrawn: indices of withdrawn decisions.
        paths: the files that the bundle must have below `permits/`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._decided: Mapping[int, Decided] = {}
        self._lease_indices: list[int] = []
        self._parts: dict[int, permit.Parts | VerificationFailed] = {}
        self.signed: dict[int, int] = {}
        self.withdrawn: set[int] = set()
        self.paths: set[str] = set()

    def prepare(self, entries: Sequence[Entry], signatures: Signatures) -> None:
        """Take every permit apart and have its signature verified while other steps run.

        The key is that of the certificate which the decision names; that it is the one in force is
        judged with the verdicts. Failures are kept for `walk`, which names the first.
        """
        for index, entry in enumerate(entries):
            if entry["kind"] != "permit_signed":
                continue
            number = canonical.integer_of(entry["decision"])
            named = entries[number] if number < len(entries) else {}
            issued = self._context.authority.issued.get(str(named.get("certificate_sha256")))
            try:
                parts = permit.take_apart(str(entry["permit"]))
                if issued is None:
                    raise VerificationFailed("is under a certificate that was not issued")
                key, place = issued.certificate.ec_key, f"gate log, entry {index}"
                signatures.add(key, parts.signature_der, parts.signed, place)
                self._parts[index] = parts
            except VerificationFailed as failure:
                self._parts[index] = failure

    def walk(
        self, entries: Sequence[Entry], times: Sequence[int], decided: Mapping[int, Decided]
    ) -> None:
        """Judge every permit but its signature.

        Raises:
            VerificationFailed: names the first entry or file that does not hold.
        """
        self._decided = decided
        self._lease_indices = sorted(self._context.gate.leases)
        for index, entry in enumerate(entries):
            kind = entry["kind"]
            if kind not in {"permit_signed", "withdrawn"}:
                continue
            place = f"gate log, entry {index}"
            try:
                decision = self._decision(index, entry)
                if kind == "withdrawn":
                    self.withdrawn.add(decision.index)
                else:
                    self._signed(index, decision, times[index])
            except VerificationFailed as failure:
                raise failure.at(place) from failure

    def _decision(self, index: int, entry: Entry) -> Decided:
        number = canonical.integer_of(entry["decision"])
        decision = self._decided.get(number)
        if decision is None or number >= index:
            raise VerificationFailed(f"names no earlier decision: {number}")
        require(decision.agent == entry["agent"], f"names a decision of another agent: {number}")
        require(decision.permitted, f"names a refused decision: {number}")
        require(number not in self.withdrawn, f"names a withdrawn decision: {number}")
        require(number not in self.signed, f"names a decision that was signed before: {number}")
        return decision

    def _signed(self, index: int, decision: Decided, now: int) -> None:
        require(decision.asked is not None, "names a decision that gets no permit")
        parts = self._parts[index]
        if isinstance(parts, VerificationFailed):
            raise VerificationFailed(parts.what)
        self._check_payload(parts.payload, decision)
        self._check_times(parts.payload, decision, index, now)
        self._check_status(parts.payload, decision)
        self._check_not_stopped(decision, index)
        self.signed[decision.index] = index
        if decision.agent == self._context.agent:
            self._check_files(decision.index, parts)

    def _check_payload(self, given: dict[str, object], decision: Decided) -> None:
        policy, asked, context = decision.policy, decision.asked, self._context
        if policy is None or asked is None:
            raise VerificationFailed("names a decision without a policy")
        leaf = context.leaves[decision.index]
        wanted = {
            "permit_id": permit.permit_id(context.origin, decision.index),
            "agent": decision.agent,
            "environment": policy.environment,
            "venue": asked["venue"],
            "account": asked["account"],
            "order": asked,
            "certificate_sha256": decision.certificate_sha256,
            "log_origin": context.origin,
            "log_index": decision.index,
            "leaf_hash": base64.b64encode(leaf).decode(),
            "policy_sha256": policy.sha256,
        }
        if decision.replaces:
            wanted["replaces"] = decision.replaces
        canonical.integer_of(given["log_index"])
        for name, value in wanted.items():
            if given.get(name) != value:
                raise VerificationFailed(f"has a permit whose {name} is not the decision's")
        require(decision.replaces != "" or "replaces" not in given, "has a permit that replaces")

    def _check_times(
        self, given: dict[str, object], decision: Decided, index: int, now: int
    ) -> None:
        """Issued between decision and entry; ends within the policy's bound and the lease."""
        policy = decision.policy
        start, end = canonical.instant(given["issued_at"]), canonical.instant(given["expires_at"])
        require(decision.at <= start <= now, "has a permit issued at another time than recorded")
        if policy is None or not start < end <= start + policy.permit_lifetime_s * SECOND:
            raise VerificationFailed("has a permit that lasts longer than the policy allows")
        number = bisect.bisect_left(self._lease_indices, index)  # above 0: it was permitted
        lease = self._context.gate.leases[self._lease_indices[number - 1]]
        # The lease's end is on the authority's clock, the permit's on the gate's.
        latest = lease.end + policy.clock_difference_max_s * SECOND
        require(end <= latest, "has a permit that lasts beyond the lease")
        certificate = self._context.authority.issued[decision.certificate_sha256].certificate
        certificate.require_valid_at(start, "agent certificate")
        self._context.authority.authority.require_valid_at(start)

    def _check_status(self, given: dict[str, object], decision: Decided) -> None:
        context = self._context
        response = context.responses.verified_text(canonical.text_of(given["ocsp"]))
        issued = context.authority.issued[decision.certificate_sha256]
        serial = issued.certificate.parsed.serial_number
        require(response.serial_number == serial, "has a permit with another certificate's status")
        require(response.status.status == "good", "has a permit whose OCSP response is not good")
        responder = context.authority.responder.sha256
        require(response.signer.sha256 == responder, "has a permit with another responder")
        response.require_covers(canonical.instant(given["issued_at"]))

    def _check_not_stopped(self, decision: Decided, index: int) -> None:
        """Never signed after a stop, nor after the gate was opened again."""
        acted = self._context.gate.acted.get(decision.certificate_sha256, [])
        before = bisect.bisect_left(acted, (index, ""))
        since = bisect.bisect_left(acted, (decision.index, ""))
        for at, status in acted[max(0, min(since, before - 1)) : before]:
            require(status == "good", f"has a permit after entry {at} stopped the certificate")
        openings = self._context.gate.openings
        following = bisect.bisect_right(openings, decision.index)
        later = following < len(openings) and openings[following] < index
        require(not later, "has a permit for a decision from before the gate was opened again")

    def _check_files(self, decision: int, parts: permit.Parts) -> None:
        for ending, data in (("input", parts.signed), ("sig", parts.signature_der)):
            path = f"permits/{decision:08}.{ending}"
            self.paths.add(path)
            require(path in self._context.files, "is missing", path)
            require(self._context.files[path] == data, "differs from the permit in the log", path)
