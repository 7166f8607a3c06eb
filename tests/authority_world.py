# SPDX-License-Identifier: Apache-2.0
"""An authority on simulated ports, with people who sign and gates that ask, for its tests.

Journal, fold, governance, certificates and status answers are the real ones; time moves by hand.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.signers.software import SoftwareSigner
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.events import AuthorityEntry, decode_authority_entry
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.document import Registration
from sekisho.core.handover import Head, head_row, row_bytes
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.profile import Names
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.terms import NS, format_instant
from sekisho.ports import LeaseGranted, LeaseRequest, Notifier
from sekisho.services.announcing import ANSWER_WAIT_S
from sekisho.services.assigning import AssignOutcome
from sekisho.services.authority import Authority, AuthorityKeys
from sekisho.services.authoritywire import HistoryChunk, HistoryReport
from sekisho.services.certification import IssuedCertificate, possession_message
from sekisho.services.journal import Journal
from sekisho.services.status import StatusListener, StatusOutcome, StatusPush
from sekisho.services.stopping import StopOutcome
from tests import ledger_doubles
from tests.unit.core.governance import samples

ORIGIN = "log.example/authority"
GATE_ORIGIN = "log.example/gate-1"
NAMES = Names(issuer_name="Issuer of the example")
AGENT = "bot"
START = samples.NOW + NS


def p256(number: int) -> ec.EllipticCurvePrivateKey:
    """A P-256 key made from one number."""
    return ec.derive_private_key(number, ec.SECP256R1())


def signer(number: int) -> SoftwareSigner:
    """The same behind the Signer port."""
    return SoftwareSigner(f"test:{number}", p256(number))


def authority_keys(**other: Any) -> AuthorityKeys:
    """Three keys; ``other`` replaces some."""
    fields = {"root": signer(101), "issuing": signer(102), "responder": signer(103)} | other
    return AuthorityKeys(x509_key=SignerKey, **fields)


def policy_of(agent: str = AGENT, **changes: Any) -> Registration:
    """A registered policy of environment test; ``changes`` are paths with ``__`` for the dot."""
    document = copy.deepcopy(samples.PRODUCTION)
    document |= {"agent": agent, "environment": "test"}
    document["governance"] |= {"documented_by": "coder"}
    del document["governance"]["approved_by"]
    for path, value in changes.items():
        document = samples.changed(path.replace("__", "."), value, document)
    return samples.register(document)


class GateDouble:
    """A gate as the authority sees it: a log that grows, and lease requests about it."""

    def __init__(self, gate: str = "g1", origin: str = GATE_ORIGIN, boot: str = "b" * 32) -> None:
        self.gate, self.origin, self.boot = gate, origin, boot
        self.tree = Tree()
        self.size = 0
        self.nonce = 0

    def report(
        self, history_sha256: str, epoch: int, index: int = 9, agent: str = AGENT
    ) -> HistoryReport:
        """That the agent's history is in this gate's log."""
        return HistoryReport(
            agent=agent,
            epoch=epoch,
            history_sha256=history_sha256,
            origin=self.origin,
            index=index,
        )

    def grow(self, count: int = 1, mark: str = "") -> None:
        """More entries; another ``mark`` makes another history."""
        for _ in range(count):
            self.tree.append(leaf_hash(f"{self.origin}{self.size}{mark}".encode()))
            self.size += 1

    def request(self, known: int, certificates: tuple[str, ...] = (), **other: Any) -> LeaseRequest:
        """What this gate asks when the authority last saw ``known`` entries."""
        self.nonce += 1
        proof = self.tree.consistency_proof(known, self.size) if 0 < known < self.size else []
        fields: dict[str, Any] = {
            "gate": self.gate,
            "boot": self.boot,
            "nonce": f"{self.nonce:032x}",
            "origin": self.origin,
            "tree_size": self.size,
            "root_hash": b64(self.tree.root()),
            "proof_from": known,
            "proof": tuple(b64(part) for part in proof),
            "certificates": certificates,
        }
        return LeaseRequest(**(fields | other))


def history_of(
    gate: GateDouble, epoch: int, entry: int = 7, agent: str = AGENT
) -> tuple[bytes, HistoryChunk]:
    """A history that says nothing but whose it is, and the chunk that hands it over."""
    data = row_bytes(head_row(Head(agent, epoch, gate.origin, entry)))
    return data, HistoryChunk(
        agent=agent,
        epoch=epoch,
        history_sha256=sha256_hex(data),
        size=len(data),
        origin=gate.origin,
        index=entry,
        offset=0,
        data=b64(data),
    )


class AuthorityWorld:
    """One founded authority; its disk and clock; nothing else."""

    def __init__(self, authority: Authority, clock: SteppedClock, disk: SimulatedDisk) -> None:
        self.authority, self.clock, self.disk = authority, clock, disk
        self.nonce = 0
        self.agent_keys = 1000
        self.notifiers: tuple[Notifier, ...] = ()

    @classmethod
    async def start(cls, **other: Any) -> Self:
        """Found it."""
        clock, disk = other.pop("clock", None) or SteppedClock(START), SimulatedDisk()
        fields: dict[str, Any] = {
            "journal": await open_journal(disk, clock),
            "keys": authority_keys(),
            "environment": "test",
            "names": NAMES,
            "roster": samples.ROSTER,
            "clock": clock,
            "entropy": SeededEntropy(b"authority"),
        }
        return cls(await Authority.found(**(fields | other)), clock, disk)

    async def again(self, disk: SimulatedDisk | None = None) -> Self:
        """The process died and starts anew on what is on disk."""
        disk = disk or self.disk.kill()
        authority = await Authority.open(
            await open_journal(disk, self.clock),
            authority_keys(),
            self.clock,
            SeededEntropy(b"again"),
            names=NAMES,
            notifiers=self.notifiers,
        )
        world = type(self)(authority, self.clock, disk)
        world.nonce, world.agent_keys = self.nonce, self.agent_keys
        world.notifiers = self.notifiers
        return world

    async def approve(self, registration: Registration, *seats: str) -> None:
        """Register a policy and have these seats approve it (two by default)."""
        await self.authority.register_policy(registration)
        for who in seats or ("ceo", "cfo"):
            await self.authority.give_approval(self.approval(registration, who))

    def approval(self, registration: Registration, who: str) -> Any:
        """An approval signed now."""
        now = self.clock.now_ns()
        return samples.approve(
            registration,
            who,
            approved_at=format_instant(now),
            expires_at=format_instant(now + 3600 * NS),
        )

    async def issue(
        self, registration: Registration, *, key: int | None = None, **other: Any
    ) -> IssuedCertificate:
        """Issue under an approved policy, for a fresh key unless one is named."""
        self.agent_keys += 1
        private = p256(key or self.agent_keys)
        public = samples.public_bytes(private)
        agent = other.pop("agent", registration.policy.agent)
        message = possession_message(
            agent=registration.policy.agent,
            environment=registration.policy.environment,
            policy_sha256=registration.sha256,
            public_key_spki=public,
        )
        fields: dict[str, Any] = {
            "proof": private.sign(message, ec.ECDSA(hashes.SHA256())),
            "issuer_seat": "issuing_officer",
            "operator_seat": "gate_runner",
        }
        return await self.authority.issue(agent, registration.sha256, public, **(fields | other))

    async def certified(self, agent: str = AGENT, **changes: Any) -> IssuedCertificate:
        """A policy, its approval and its certificate in one."""
        registration = policy_of(agent, **changes)
        await self.approve(registration)
        return await self.issue(registration)

    # -- people --------------------------------------------------------------------------------

    def signed(self, kind: str, who: str, **other: Any) -> SignedCommand:
        """One seat's command about the agent, signed now with a fresh nonce."""
        self.nonce += 1
        fields: dict[str, Any] = {
            "agent": AGENT,
            "reason_code": "test_reason",
            "nonce": f"{self.nonce:032x}",
            "commanded_at": format_instant(self.clock.now_ns()),
        } | other
        if kind in ("release", "rearm", "go_live"):
            fields = {"epoch": self.authority.state.agent_epoch(fields["agent"])} | fields
        return samples.signed(samples.command(kind, who, **fields))

    def commands(self, kind: str, **other: Any) -> tuple[SignedCommand, ...]:
        """The command with everybody whom it needs."""
        both = kind in ("release", "rearm")
        seats = ("compliance_lead", "risk_lead") if both else ("risk_lead",)
        return tuple(self.signed(kind, who, **other) for who in seats)

    async def order(self, kind: str, **other: Any) -> StatusOutcome:
        """Sign and give the command."""
        return await self.authority.command(self.commands(kind, **other))

    # -- looking -------------------------------------------------------------------------------

    def entries(self) -> list[AuthorityEntry]:
        """Everything in the log."""
        return [decode_authority_entry(data) for _, data in self.authority.log.journal.entries()]

    async def status(self, issued: IssuedCertificate) -> str:
        """What a stranger reads of the certificate's OCSP response."""
        now = self.clock.now_ns()
        response = await self.authority.ocsp(
            issued.certificate_sha256, next_update_ns=now + 15 * NS
        )
        found = verify_ocsp(response, issued.issuing_certificate, issued.certificate, now)
        return found.status.status

    async def lease(self, gate: GateDouble, *certificates: str, **other: Any) -> LeaseGranted:
        """Certify the gate's log if need be, and ask for a lease as a gate does."""
        await self.authority.certify_log(gate.origin, log_key(gate.origin))
        known = await self.authority.last_seen(gate.gate)
        return await self.authority.lease(gate.request(known, certificates, **other))

    async def assign(self, *signed: SignedCommand) -> AssignOutcome:
        """Move an agent; the time that the authority waits for its history goes by."""
        moving = asyncio.ensure_future(self.authority.assign(signed))
        for _ in range(20):
            if moving.done():
                return await moving
            await self.clock.play(0)
        await self.clock.play(ANSWER_WAIT_S)
        return await moving

    async def pass_on(self, giver: GateDouble, taker: GateDouble) -> str:
        """The agent's history goes from the one gate to the other; its digest."""
        histories, held = self.authority.histories, self.authority.state.assigned[AGENT]
        histories.keep_in(self.disk)
        data, chunk = history_of(giver, held.moved)
        if not held.kept:
            assert len(data) == (await histories.take(giver.gate, chunk)).next
        assert data == unb64((await histories.read(taker.gate, AGENT, 0)).data)
        await histories.taken(taker.gate, taker.report(chunk.history_sha256, held.moved))
        return chunk.history_sha256


class Listener:
    """A gate that stops what it is told to stop, or fails to."""

    def __init__(self, gate: str = "g1", **achieved: Any) -> None:
        self.gate = gate
        self.achieved = achieved
        self.heard: list[StatusPush] = []
        self.before: Callable[[], Awaitable[object]] | None = None

    async def __call__(self, push: StatusPush) -> StopOutcome | None:
        """Remember the push; report what was asked for in ``achieved``."""
        self.heard.append(push)
        if self.before is not None:
            await self.before()
        if push.status == "good":
            return None
        fields: dict[str, Any] = {
            "gate": self.gate,
            "agent": push.agent,
            "stopped_at": "2026-05-15T09:00:00.000000000Z",
            "last_permit": -1,
            "confirmed": (),
            "unconfirmed": (),
            "recorded": True,
            "complete": True,
        }
        return StopOutcome(**(fields | self.achieved))


def heard_by(world: AuthorityWorld, listener: StatusListener | None = None) -> Listener:
    """A fresh listener of this authority."""
    found = listener if isinstance(listener, Listener) else Listener()
    world.authority.on_status(found)
    return found


def log_key(origin: str) -> bytes:
    """The Ed25519 key (DER) of a log in these tests."""
    return ledger_doubles.SoftwareSigner(len(origin)).public_key


async def open_journal(disk: SimulatedDisk, clock: SteppedClock) -> Journal:
    """The authority's journal on this disk."""
    return await Journal.open(
        disk, origin=ORIGIN, signer=ledger_doubles.SoftwareSigner(7), clock=clock
    )
