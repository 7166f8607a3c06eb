# SPDX-License-Identifier: Apache-2.0
"""Those who are not the gate: an authority, a venue, a market, people. A crash does not touch them.

Their keys are fixed and their signatures deterministic, so that a seed gives the same bytes in any
process. The authority here is a small one that keeps the port's contract; the product's own is
simulated elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper import PaperVenue, Reports
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.gate.permit import read_permit
from sekisho.core.governance.commands import SignedCommand, authorise_commands
from sekisho.core.identity import profile
from sekisho.core.identity.ocsp import build_ocsp, verify_ocsp
from sekisho.core.identity.status import CertificateStatus, Status
from sekisho.core.ledger.merkle import EMPTY_ROOT, verify_consistency
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Clock, IncidentReport, LeaseGranted, LeaseRequest
from sekisho.services.leasing import CONTEXT, LeaseTerms
from tests.unit.core.governance.samples import ROSTER

BEGIN = "2026-01-01T00:00:00.000000000Z"
END = "2027-01-01T00:00:00.000000000Z"
CREDENTIAL = "gate-at-paper"
_NAMES = profile.Names(issuer_name="Example Authority")
_HOLDER = profile.Holder(operator_name="Example Trading", operator_lei="0" * 20)
EXACT = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class FixedKey:
    """A P-256 key made from a number, with RFC 6979 signatures; behind the ``Signer`` port."""

    algorithm = "ES256"

    def __init__(self, number: int) -> None:
        self.uri = f"test:{number}"
        self._key = ec.derive_private_key(number, ec.SECP256R1())

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return self._key.sign(message, EXACT)


class Certified(NamedTuple):
    """An agent's certificate of one generation and the number of its key."""

    der: bytes
    sha256: str
    serial_number: str
    key_number: int


ROOT, ISSUING, RESPONDER = FixedKey(1001), FixedKey(1002), FixedKey(1003)


@cache
def authority_certificates() -> tuple[bytes, bytes, bytes]:
    """Root, issuing and responder certificate, DER."""
    life: dict[str, Any] = {
        "names": _NAMES,
        "not_before_ns": parse_instant(BEGIN),
        "not_after_ns": parse_instant(END),
    }
    root_key, issuing_key = SignerKey(ROOT), SignerKey(ISSUING)
    root = profile.root_certificate(key=root_key, serial=1, **life)
    issuing = profile.issuing_certificate(
        root=root, root_key=root_key, public_key=ISSUING.public_key, serial=2, **life
    )
    responder = profile.ocsp_responder_certificate(
        issuing=issuing,
        issuing_key=issuing_key,
        public_key=RESPONDER.public_key,
        serial=3,
        **life,
    )
    return root, issuing, responder


@cache
def certify(generation: int, scope: bytes, policy_sha256: str) -> Certified:
    """The agent's certificate of a generation; each has a key of its own."""
    number = 2000 + generation
    der = profile.agent_certificate(
        names=_NAMES,
        holder=_HOLDER,
        issuing=authority_certificates()[1],
        issuing_key=SignerKey(ISSUING),
        serial=number,
        agent="bot",
        public_key=FixedKey(number).public_key,
        not_before_ns=parse_instant(BEGIN),
        not_after_ns=parse_instant(END),
        scope_json=scope,
        policy_sha256=policy_sha256,
    )
    return Certified(der, sha256_hex(der), f"{number:x}", number)


def read_status(response: bytes, certificate: str, now_ns: int) -> Status:
    """What an OCSP response says; the reader that the gate is given."""
    return verify_ocsp(
        response, authority_certificates()[1], unb64(certificate), now_ns
    ).status.status


class Grant(NamedTuple):
    """A lease as the authority remembers granting it, in virtual time."""

    boot: str
    end_ns: int
    good: frozenset[str]


class Change(NamedTuple):
    """A change of status: from this epoch on."""

    epoch: int
    certificate_sha256: str
    status: Status


class Noted(NamedTuple):
    """An incident as the authority took it: with the epoch from which on the agent was held."""

    epoch: int
    report: IncidentReport


@dataclass(frozen=True)
class Locked:
    """A baseline that was signed off."""

    baseline_sha256: str
    index: int


class Lifted(NamedTuple):
    """Who took a latch off."""

    seats: tuple[str, ...]


class SmallAuthority:
    """Grants leases, keeps statuses, and believes no log that does not continue what it saw.

    Attributes:
        accusations: logs that it refused as forked or rolled back.
        seen: size and root of the gate's log at the last lease: out of the gate's hands.
        incidents: what it was told of, by incident; told again, nothing changes.
        contradictions: incidents that were told again with other fields.
        locked: the baseline that may go into force; None before.
    """

    def __init__(self, clock: Clock, lease_s: int) -> None:
        self.epoch = 0
        self.changes: list[Change] = []
        self.grants: list[Grant] = []
        self.accusations: list[str] = []
        self.seen = (0, EMPTY_ROOT)
        self.certificates: dict[str, bytes] = {}
        self.incidents: dict[str, Noted] = {}
        self.contradictions: list[str] = []
        self.locked: Locked | None = None
        self._clock = clock
        self._lease_s = lease_s
        self._status: dict[str, Status] = {}
        self._boots: list[str] = []

    def status(self, certificate_sha256: str) -> Status:
        """The status now."""
        return self._status.get(certificate_sha256, "good")

    def change(self, certificate_sha256: str, status: Status) -> int:
        """Change a status; the epoch of the change. Revoked is final."""
        if self.status(certificate_sha256) == "revoked":
            return self.epoch
        self.epoch += 1
        self._status[certificate_sha256] = status
        self.changes.append(Change(self.epoch, certificate_sha256, status))
        return self.epoch

    def was(self, certificate_sha256: str, epoch: int) -> Status:
        """The status at an epoch."""
        status: Status = "good"
        for change in self.changes:
            if change.certificate_sha256 == certificate_sha256 and change.epoch <= epoch:
                status = change.status
        return status

    def report_incident(self, report: IncidentReport) -> bool:
        """Take an incident once and hold for it; whether that changed the status.

        Raises VerificationFailed when it is known with another content.
        """
        noted = self.incidents.get(report.incident)
        if noted is not None:
            if noted.report != report:
                self.contradictions.append(f"{noted.report}, told again as {report}")
                raise VerificationFailed("the incident is recorded with another content")
            return False
        good = self.status(report.certificate_sha256) == "good"
        holds = report.incident_kind == "hold" and good
        if holds:
            self.change(report.certificate_sha256, "hold")
        self.incidents[report.incident] = Noted(self.epoch, report)
        return holds

    def go_live(self, signed: tuple[SignedCommand, ...], *, complete: bool) -> Locked:
        """Lock a complete baseline. Raises NotAuthorised, VerificationFailed."""
        authorise_commands(signed, ROSTER, self._clock.now_ns())
        digest = signed[0].command.baseline_sha256
        if not complete or not isinstance(digest, str):
            raise NotAuthorised("there is no complete baseline")
        if self.locked is None:
            self.locked = Locked(digest, self.epoch)
        return self.locked

    def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> Lifted:
        """Take a latch off. Raises NotAuthorised, VerificationFailed."""
        authorise_commands(signed, ROSTER, self._clock.now_ns())
        return Lifted(tuple(one.command.seat for one in signed))

    def lease(self, request: LeaseRequest, world_ns: int) -> LeaseGranted:
        """Grant a lease. Raises NotAuthorised for a fork, a rollback, an earlier boot."""
        self._check(request)
        said = {name: self.status(name) for name in request.certificates}
        now = self._clock.now_ns()
        terms = LeaseTerms(
            gate=request.gate,
            boot=request.boot,
            nonce=request.nonce,
            epoch=self.epoch,
            tree_size=request.tree_size,
            root_hash=request.root_hash,
            granted_at=format_instant(now),
            duration_s=self._lease_s,
            not_good=tuple(sorted(name for name, status in said.items() if status != "good")),
        )
        signature = RESPONDER.sign_blocking(CONTEXT + canonical(terms))
        good = frozenset(name for name, status in said.items() if status == "good")
        self.grants.append(Grant(request.boot, world_ns + self._lease_s * NS, good))
        end = -(-(now + self._lease_s * NS) // NS) * NS
        responses = {name: b64(self._response(name, said[name], now, end)) for name in said}
        text = canonical({"lease": msgspec.to_builtins(terms), "signature": b64(signature)})
        return LeaseGranted(grant=text.decode("ascii"), status=responses)

    def _check(self, request: LeaseRequest) -> None:
        size, root = self.seen
        now_root = unb64(request.root_hash)
        proof = [unb64(part) for part in request.proof]
        try:
            if request.tree_size < size:
                raise VerificationFailed(f"rollback from {size} to {request.tree_size} entries")
            if request.proof_from == size:
                verify_consistency(size, root, request.tree_size, now_root, proof)
        except VerificationFailed as error:
            self.accusations.append(str(error))
            raise NotAuthorised(str(error)) from error
        if request.proof_from != size:
            raise NotAuthorised("the proof begins elsewhere")
        if request.boot in self._boots[:-1]:
            raise NotAuthorised("an earlier boot")
        if request.boot not in self._boots:
            self._boots.append(request.boot)
        self.seen = (request.tree_size, now_root)

    def _response(self, name: str, status: Status, now: int, end: int) -> bytes:
        said = {
            "good": CertificateStatus("good"),
            "hold": CertificateStatus("hold", "certificateHold", now),
            "revoked": CertificateStatus("revoked", "privilegeWithdrawn", now),
        }[status]
        _, issuing, responder = authority_certificates()
        return build_ocsp(
            certificate=self.certificates[name],
            issuing=issuing,
            responder=responder,
            responder_key=SignerKey(RESPONDER),
            status=said,
            this_update_ns=now,
            next_update_ns=end,
        )


class Taking(NamedTuple):
    """A permit that arrived at the venue: the event's number, and whether it was taken."""

    event: int
    certificate_sha256: str
    permit_id: str
    accepted: bool


class WatchedVenue(PaperVenue):
    """The paper venue, with a person at the door who writes down what arrives."""

    def __init__(self, clock: Clock, market: Market, tick: Callable[[], int]) -> None:
        root, issuing, _ = authority_certificates()
        trust = VenueTrust("PAPER", frozenset({"test"}), root, issuing)
        super().__init__(trust, clock, market, [CREDENTIAL])
        self.arrivals: list[Taking] = []
        self._tick = tick

    def take(self, permit: str, *, late: bool = False, reject: bool = False) -> Reports:
        reports = super().take(permit, late=late, reject=reject)
        payload = read_permit(permit)
        accepted = reports[0].exec_type in ("new", "replaced")
        self.arrivals.append(
            Taking(self._tick(), payload.certificate_sha256, payload.permit_id, accepted)
        )
        return reports
