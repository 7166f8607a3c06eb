# SPDX-License-Identifier: Apache-2.0
"""The product's authority on its own simulated disk, with people who command and gates that ask.

Its log, register, status desk, leases, certification and revocation are the real ones. Here it is
the process that dies; the gates are logs that grow, fork and roll back as they are told to.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.core.errors import NotAuthorised, OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import StatusChanged, decode_authority_entry
from sekisho.core.governance.commands import SignedCommand, command_message
from sekisho.core.governance.document import Registration
from sekisho.core.governance.resolution import Approval, approval_message
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.identity.register import AuthorityState
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.terms import NS, format_instant
from sekisho.ports import LeaseRequest
from sekisho.services.authority import Authority, AuthorityKeys
from sekisho.services.journal import Journal
from sekisho.services.leasing import parse_grant
from sekisho.services.status import StatusOutcome
from tests.authority_world import NAMES, ORIGIN, AuthorityWorld, GateDouble, policy_of
from tests.ledger_doubles import SoftwareSigner
from tests.simulation.faults import FaultPlan
from tests.simulation.life import WatchedLogKey, keep_publishing
from tests.simulation.outside import FixedKey
from tests.simulation.people import exactly
from tests.simulation.stage import Stage
from tests.unit.core.governance import samples

GATES = ("g1", "g2")


class WatchedResponder(FixedKey):
    """The key of status responses and leases."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(103)
        self._registry = registry

    async def sign(self, message: bytes) -> bytes:
        if await self._registry.reach("responder.sign:before"):
            raise Unavailable("the responder's key does not answer")
        return self.sign_blocking(message)


@dataclass
class Commanded:
    """A command of people; ``outcome`` is None while, or because, nobody was told of one."""

    kind: str
    certificate_sha256: str
    life: int
    begun: int
    outcome: StatusOutcome | None = None


@dataclass
class Granted:
    """A lease that left the authority."""

    event: int
    life: int
    gate: str
    boot: str
    epoch: int
    asked: tuple[str, ...]
    not_good: tuple[str, ...]
    on_record: bool
    forged: str


@dataclass
class Told:
    """What the observer wrote down, in the order of events."""

    events: int = 0
    commands: list[Commanded] = field(default_factory=list)
    grants: list[Granted] = field(default_factory=list)
    checkpoints: list[tuple[int, bytes]] = field(default_factory=list)

    def tick(self) -> int:
        """The number of the next event."""
        self.events += 1
        return self.events


class Register:
    """The authority's durable log, folded again."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.state = AuthorityState()
        self.tree = Tree()
        self.changes: list[tuple[int, StatusChanged]] = []
        self.findings: list[str] = []

    def advance(self, raw: list[bytes]) -> None:
        """Take in what became durable; the fold refuses what no authority writes."""
        if raw[: len(self.raw)] != self.raw:
            self.findings.append(f"{len(self.raw)} entries were durable, now others or {len(raw)}")
            return
        for data in raw[len(self.raw) :]:
            entry = decode_authority_entry(data)
            self.state.apply(len(self.raw), entry)
            if isinstance(entry, StatusChanged):
                self.changes.append((len(self.raw), entry))
            self.raw.append(data)
            self.tree.append(leaf_hash(data))

    def status(self, certificate_sha256: str, epoch: int) -> str:
        """What the log says of a certificate at an epoch."""
        said = "good"
        for _, change in self.changes:
            if change.certificate_sha256 == certificate_sha256 and change.epoch <= epoch:
                said = change.status
        return said


class Registry(Stage):
    """One authority with an approved agent and two gates."""

    def __init__(self, seed: int, *, crash_at: int = 0, quiet: bool = False) -> None:
        dice = Random(f"registry {seed}")
        plan = FaultPlan(dice, quiet=quiet)
        super().__init__("authority", seed, samples.NOW + NS, plan, dice)
        self.told = Told()
        self.register = Register()
        self.gates = {name: GateDouble(name, f"log.example/{name}", "") for name in GATES}
        self.earlier: dict[str, list[str]] = {name: [] for name in GATES}
        for name in GATES:
            self.boot_gate(name)
        self.people: AuthorityWorld | None = None
        self.certificate = ""
        self.issued: list[str] = []
        self._generation = 0
        plan.calm = True
        self.open()
        self.begin(self.certify())
        self.run(10)
        plan.calm = False
        plan.count, plan.crash_at = 0, crash_at

    def look(self) -> Register:
        """The fold of what is durable at this instant."""
        self.register.advance(self.durable())
        return self.register

    # ----------------------------------------------------------------------------------- lives

    def state(self) -> str:
        """What the authority is at."""
        if self.people is None:
            return "starting"
        if self.people.authority.log.journal.failed is not None:
            return "failed"
        if any(one.outcome is None and one.life == self.lives for one in self.told.commands):
            return "commanded"
        return "serving"

    def serves(self) -> bool:
        """Whether there is an authority."""
        return self.people is not None

    def forget(self) -> None:
        """Nobody waits for the dead."""
        self.people = None

    async def live(self) -> None:
        """Open the log, found the authority in the first life."""
        journal = await Journal.open(
            self.disk, origin=ORIGIN, signer=WatchedLogKey(self), clock=self.clock
        )
        self.opened([data for _, data in journal.entries()])
        keys = AuthorityKeys(
            root=FixedKey(101),
            issuing=FixedKey(102),
            responder=WatchedResponder(self),
            x509_key=SignerKey,
        )
        fields: dict[str, Any] = {"keys": keys, "clock": self.clock, "entropy": self.entropy}
        if journal.size:
            authority = await Authority.open(journal, names=NAMES, **fields)
        else:
            authority = await Authority.found(
                journal=journal, environment="test", names=NAMES, roster=samples.ROSTER, **fields
            )
        clock: Any = self.clock  # these people read it only
        people = AuthorityWorld(authority, clock, self.disk)
        people.nonce = self.told.tick() * 1_000
        self.people = people
        self.begin(keep_publishing(journal, self.log_failed))

    # ------------------------------------------------------------------------- what people do

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something inside the authority's process."""
        assert self.process is not None
        return self.loop.spawn(self.process, work)

    async def certify(self) -> None:
        """Certify the gates' logs; approve the policy anew and issue a certificate."""
        people, self._generation = self.people, self._generation + 1
        assert people is not None
        people.agent_keys = 1_000 + self._generation
        registration = policy_of(version=self._generation)
        try:
            for name, gate in self.gates.items():
                key = SoftwareSigner(len(name)).public_key
                await people.authority.certify_log(gate.origin, key)
            await people.authority.register_policy(registration)
            for who in ("ceo", "cfo"):
                await people.authority.give_approval(self._approval(registration, who))
            self.certificate = (await people.issue(registration)).certificate_sha256
            self.issued.append(self.certificate)
        except (StorageFailed, OutcomeUnknown, Unavailable, NotAuthorised) as error:
            self.note(f"not certified: {type(error).__name__}")

    def look_up(self) -> str:
        """The status of the agent's newest certificate, which people find in the durable log."""
        *_, self.certificate = self.look().state.certificates
        if self.certificate not in self.issued:
            self.issued.append(self.certificate)
        return self.look().state.certificates[self.certificate].status

    def _approval(self, registration: Registration, who: str) -> Approval:
        now = self.clock.now_ns()
        fields = {
            "policy_sha256": registration.sha256,
            "roster_sha256": roster_sha256(samples.ROSTER),
            "seat": who,
            "approved_at": format_instant(now),
            "expires_at": format_instant(now + 3600 * NS),
        }
        signature = exactly(samples.KEYS[who], approval_message(**fields))
        return Approval(**fields, signature=signature)

    async def command(self, kind: str) -> None:
        """Hold, release, revoke or kill, on the word of whom it needs."""
        people = self.people
        assert people is not None
        commanded = Commanded(kind, self.certificate, self.lives, self.told.tick())
        signed = tuple(_exactly(one) for one in people.commands(kind))
        try:
            self.told.commands.append(commanded)
            commanded.outcome = await people.authority.command(signed)
        except NotAuthorised:
            self.told.commands.remove(commanded)
        except (StorageFailed, OutcomeUnknown) as error:
            self.note(f"{kind} failed: {type(error).__name__}")
        self.note(f"{kind} {commanded.outcome}")

    # -------------------------------------------------------------------------- what gates do

    def boot_gate(self, name: str) -> None:
        """A gate begins a new boot over its log."""
        gate = self.gates[name]
        if gate.boot:
            self.earlier[name].append(gate.boot)
        copy_number = len(self.earlier[name])
        gate.boot = f"{name.encode().hex()}{copy_number:028x}"

    def booted(self, name: str) -> bool:
        """Whether the gate has an earlier boot, and the present one is on record."""
        gate = self.look().state.gates.get(name)
        return gate is not None and gate.boot == self.gates[name].boot and bool(gate.earlier)

    async def lease(self, name: str, forged: str = "") -> None:
        """A gate asks; ``forged`` names what is wrong with the request, if anything is."""
        people, gate = self.people, self.gates[name]
        assert people is not None
        authority = people.authority
        known = await authority.last_seen(name)
        gate.grow(1 + self.dice.randrange(3))
        if forged and known == 0:
            return  # nothing was seen yet that this could contradict
        request = self._request(gate, known, forged)
        try:
            granted = await authority.lease(request)
        except (NotAuthorised, Unavailable) as error:
            self.note(f"no lease: {type(error).__name__}")
            return
        terms, _ = parse_grant(granted.grant)
        self.told.grants.append(
            Granted(
                self.told.tick(),
                self.lives,
                name,
                request.boot,
                terms.epoch,
                tuple(granted.status),  # of what it asked for: an agent is one gate's
                terms.not_good,
                self.look().state.gates[name].boot == request.boot,
                forged,
            )
        )

    def _request(self, gate: GateDouble, known: int, forged: str) -> LeaseRequest:
        certificates = tuple(self.issued)
        if forged == "fork":
            other = copy.copy(gate)
            other.tree, other.size = Tree(), 0
            other.grow(known + 2, mark="another history")
            return other.request(known, certificates)
        if forged == "rollback":
            other = copy.copy(gate)
            other.tree, other.size = Tree(), 0
            other.grow(known - 1)
            return other.request(known, certificates, proof=())
        if forged == "earlier boot":
            earlier = sorted(self.look().state.gates[gate.gate].earlier)
            return gate.request(known, certificates, boot=earlier[-1])
        return gate.request(known, certificates)


def _exactly(given: SignedCommand) -> SignedCommand:
    """The command with a signature that is the same in every process."""
    signature = exactly(samples.KEYS[given.command.seat], command_message(given.command))
    return SignedCommand(command=given.command, signature=signature)
