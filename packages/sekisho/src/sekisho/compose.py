# SPDX-License-Identifier: Apache-2.0
"""The embedded topology: one authority and one gate in one process, over one folder.

The only place that wires adapters into services. A home holds ``sekisho.toml``, ``keys/``
(encrypted), ``authority/`` and ``gate/`` (the two logs, each a folder that any static web server
could serve). It is locked while it is open, so that there is one gate at a time. All keys lie in
one place: separation of duties and custody begin with the sidecar, and this topology says so by its
environment, ``test``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.policy_yaml import read_yaml
from sekisho.adapters.rates.ecb import EcbPath, find_rates_file, load_fixings
from sekisho.adapters.rates.none import NoRates
from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import open_signer, read_passphrase
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.adapters.zones import zone_offsets
from sekisho.config import Config, read_config, write_config
from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import GateOpened, PolicyRegistered, decode_authority_entry
from sekisho.core.governance.document import Registration, read_policy
from sekisho.core.governance.policy import policy_from_canonical
from sekisho.core.governance.roster import Role, Roster, Seat
from sekisho.core.governance.shape import AppliedDefault
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.oids import openssl_names
from sekisho.core.identity.profile import Arc, Names, load, spki
from sekisho.core.identity.status import Status
from sekisho.ports import Clock, Entropy, RateSource, Signer, Venue
from sekisho.services.admission import Admissions
from sekisho.services.authority import Authority, AuthorityKeys
from sekisho.services.certification import IssuedCertificate, possession_message
from sekisho.services.evidence import Export
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.leasing import Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome, Stopping

AUTHORITY_KEYS = ("root", "issuing", "responder")
LOG_KEYS = ("authority-log", "gate-log")
VENUE_CREDENTIAL = "paper-session"
RATE_CURRENCIES = (
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "AUD",
    "CAD",
)
"""Currencies of the ECB's list that the demonstration has rates for, beside the euro."""
SEATS: tuple[tuple[str, Role], ...] = (
    ("ceo@cryptoex", "approver"),
    ("cfo@cryptoex", "approver"),
    ("compliance_lead@cryptoex", "approver"),
    ("compliance_team@cryptoex", "developer"),
    ("duty_compliance@cryptoex", "compliance"),
    ("duty_risk@cryptoex", "risk"),
    ("issuer@issuer", "issuer"),
    ("operator@cryptoex", "operator"),
)
"""The people of a trial: who they are stands in the roster, each with a key of their own."""


@dataclass(frozen=True)
class Surroundings:
    """What is injected: time, randomness, rates, venues. ``venues`` get to know certificates."""

    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)


def system_clock() -> Clock:
    """The machine's clock, for what a command shows of its own speed."""
    return SystemClock()


def init_home(home: Path, config: Config, entropy: Entropy) -> None:
    """Make a home: folders, passphrase, keys, configuration. The configuration comes last.

    Raises:
        ConfigurationInvalid: the folder is not empty.
    """
    if home.exists() and any(home.iterdir()):
        raise ConfigurationInvalid(f"{home}: not empty; choose another folder for a new home")
    keys = home / "keys"
    keys.mkdir(parents=True, mode=0o700)
    passphrase = entropy.bytes(24).hex().encode("ascii")
    path = home / config.passphrase_file
    path.touch(mode=0o600)
    path.write_bytes(passphrase + b"\n")
    for name in AUTHORITY_KEYS:
        software.generate(keys / f"{name}.key", passphrase)
    for name in LOG_KEYS:
        software.generate(keys / f"{name}.key", passphrase, "Ed25519")
    write_config(home, config)


def make_people(folder: Path, passphrase: bytes) -> Roster:
    """Keys for the people of a trial, one file each, and the roster of their seats.

    In earnest every person makes a key of their own and only the public part comes here.
    """
    folder.mkdir(parents=True, mode=0o700)
    seats = []
    for name, role in SEATS:
        signer = software.generate(folder / f"{name}.key", passphrase)
        seats.append(Seat(seat=name, role=role, public_key=b64(signer.public_key)))
    return Roster(version=1, seats=tuple(sorted(seats, key=lambda seat: seat.seat)))


def register_document(path: Path, now_ns: int) -> Registration:
    """Read a policy file; YAML or JSON by its name.

    Raises:
        ConfigurationInvalid: the file cannot be read.
        MalformedInput: all faults of the policy, with their places.
    """
    try:
        document = path.read_bytes()
    except OSError as error:
        raise ConfigurationInvalid(f"{path}: cannot be read ({error.strerror})") from error
    return read_policy(
        document,
        form="json" if path.suffix == ".json" else "yaml",
        registered_at_ns=now_ns,
        zone_offsets=zone_offsets,
        read_yaml=read_yaml,
    )


class Home:
    """An opened home: keys, configuration, authority. The gate is opened apart."""

    def __init__(self, path: Path, config: Config, around: Surroundings) -> None:
        self.path = path
        self.config = config
        self.around = around
        self.names = Names(
            issuer_name=config.issuer_name, base_uri=config.base_uri, arc=Arc(config.oid_arc)
        )
        self._disks: list[FolderDisk] = []
        self._authority: Authority | None = None
        self.journals: dict[str, Journal] = {}

    @classmethod
    async def open(cls, path: Path, around: Surroundings | None = None) -> Home:
        """Open an existing home, its authority included where it was founded.

        Raises:
            ConfigurationInvalid: no home there, or keys that cannot be used.
            VerificationFailed: a log that does not hold.
        """
        home = cls(path, read_config(path), around or Surroundings())
        await home._journal("authority", home.config.authority_origin)
        journal = home.journals["authority"]
        if journal.size:
            home._authority = await Authority.open(
                journal=journal,
                keys=home._authority_keys(),
                names=home.names,
                clock=home.around.clock,
                entropy=home.around.entropy,
            )
        return home

    def registration(self, digest: str) -> Registration:
        """A registered policy with its defaults, as an approver is shown it.

        Raises:
            ConfigurationInvalid: no such policy is registered.
        """
        known = self.authority.state.policies.get(digest)
        if known is None:
            registered = ", ".join(self.authority.state.policies) or "none"
            raise ConfigurationInvalid(
                f"no policy {digest} is registered here; known: {registered}"
            )
        entry = decode_authority_entry(self.journals["authority"].entry(known.index))
        encoded = canonical(known.policy)
        return Registration(
            policy=policy_from_canonical(encoded),
            canonical=encoded,
            sha256=sha256_hex(encoded),
            defaults=tuple(
                AppliedDefault(**default)
                for default in (entry.defaults if isinstance(entry, PolicyRegistered) else ())
            ),
            notes=(),
        )

    @property
    def authority(self) -> Authority:
        """The authority. Raises ConfigurationInvalid before it was founded."""
        if self._authority is None:
            raise ConfigurationInvalid(f"{self.path}: this home has no authority yet; found it")
        return self._authority

    async def found(self, roster: Roster) -> Authority:
        """Found the authority of a new home and certify the keys of both logs."""
        self._authority = await Authority.found(
            journal=self.journals["authority"],
            keys=self._authority_keys(),
            names=self.names,
            environment=self.config.environment,
            roster=roster,
            clock=self.around.clock,
            entropy=self.around.entropy,
        )
        for name, origin in (
            ("authority-log", self.config.authority_origin),
            ("gate-log", self.config.gate_origin),
        ):
            await self._authority.certify_log(origin, self.signer(name).public_key)
        return self._authority

    def signer(self, name: str) -> Signer:
        """One of the home's own keys."""
        uri = f"file:{self.path / 'keys' / name}.key"
        return open_signer(uri, passphrase_file=self.path / self.config.passphrase_file)

    def passphrase(self) -> bytes:
        """The passphrase of the home's keys."""
        return read_passphrase(self.path / self.config.passphrase_file)

    async def issue(
        self, agent: str, policy_sha256: str, *, issuer_seat: str, operator_seat: str
    ) -> IssuedCertificate:
        """Make a key for the agent, in custody, and have it certified."""
        folder = self.path / "keys" / "agents"
        folder.mkdir(exist_ok=True, mode=0o700)
        number = len(list(folder.glob(f"{agent}-*.key"))) + 1
        made = software.generate(folder / f"{agent}-{number}.key", self.passphrase())
        message = possession_message(
            agent=agent,
            environment=self.config.environment,
            policy_sha256=policy_sha256,
            public_key_spki=made.public_key,
        )
        return await self.authority.issue(
            agent,
            policy_sha256,
            made.public_key,
            proof=made.sign_blocking(message),
            issuer_seat=issuer_seat,
            operator_seat=operator_seat,
        )

    def agent_signer(self, public_key: bytes) -> Signer:
        """The agent key in custody with this public key. Raises ConfigurationInvalid."""
        for path in sorted((self.path / "keys" / "agents").glob("*.key")):
            signer = software.load(path, self.passphrase())
            if signer.public_key == public_key:
                return signer
        raise ConfigurationInvalid(f"{self.path}: no key in custody for this certificate")

    async def _journal(self, name: str, origin: str) -> Journal:
        disk = FolderDisk(self.path / name)
        self._disks.append(disk)
        journal = await Journal.open(
            disk, origin=origin, signer=self.signer(f"{name}-log"), clock=self.around.clock
        )
        self.journals[name] = journal
        return journal

    def _authority_keys(self) -> AuthorityKeys:
        keys = {name: self.signer(name) for name in AUTHORITY_KEYS}
        return AuthorityKeys(x509_key=SignerKey, **keys)

    async def open_gate(self, rates: RateSource, venues: dict[str, Venue]) -> Gate:
        """Open the gate of this home: read its log, take a lease, ask the venues, then trade."""
        journal = await self._journal("gate", self.config.gate_origin)
        gate = Gate(self, journal, rates, venues)
        await gate.start()
        return gate

    async def close(self) -> None:
        """Publish both logs and let go of the folder."""
        for journal in self.journals.values():
            if journal.failed is None and journal.size:
                await journal.close()
        for disk in self._disks:
            disk.close()


class Gate:
    """The gate of a home with everything around it, and its connection to the authority."""

    def __init__(
        self, home: Home, journal: Journal, rates: RateSource, venues: dict[str, Venue]
    ) -> None:
        clock, entropy = home.around.clock, home.around.entropy
        state = home.authority.state
        self._home = home
        self._signers: dict[str, Signer] = {}
        self.log = GateLog(journal, clock)
        self.leasing = Leasing(
            self.log,
            home.authority,
            clock,
            entropy,
            responder_key=spki(load(state.responder_certificate)),
            read_status=status_reader(state.issuing_certificate),
        )
        self.release = Release(self.log, venues, clock)
        self.gatekeeper = Gatekeeper(
            self.log, self.leasing, RateWatch(self.log, rates), self.release, clock, self._signers
        )
        self.stopping = Stopping(self.log, self.release, clock)
        self.admissions = Admissions(self.log, state.root_certificate, home.names.arc)

    async def start(self) -> None:
        """Open the log of this boot, find the keys, and reconcile before anything is permitted."""
        config = self._home.config
        index = self.log.record(
            GateOpened(
                at=self.log.at(),
                gate=config.gate,
                boot=self._home.around.entropy.bytes(16).hex(),
                region=config.region,
                environment=config.environment,
            )
        )
        await self.log.durable(index)
        for agent in self.log.state.agents.values():
            public_key = spki(load(unb64(agent.certificate)))
            self._signers[agent.certificate_sha256] = self._home.agent_signer(public_key)
        await self.leasing.ensure()
        await self.release.reconcile()
        self._home.authority.on_status(self._on_status)

    async def admit(self, agent: str) -> str:
        """Take this agent's orders from now on; returns its certificate's digest."""
        admission = self._home.authority.admission(agent)
        signer = self._home.agent_signer(spki(load(admission.certificate)))
        digest = sha256_hex(admission.certificate)
        self._signers[digest] = signer
        await self.admissions.admit(admission, signer)
        await self.leasing.renew()
        return digest

    async def _on_status(self, push: StatusPush) -> StopOutcome | None:
        """What the authority pushes. Only a lease widens; here an agent is stopped or nothing."""
        if push.status == "good":
            return None
        return await self.stopping.stop(
            push.agent, push.certificate_sha256, push.status, push.cause, push.epoch
        )


def status_reader(issuing: bytes) -> Callable[[bytes, str, int], Status]:
    """How a gate reads the status responses that come with a lease."""

    def read(response: bytes, certificate: str, now_ns: int) -> Status:
        return verify_ocsp(response, issuing, unb64(certificate), now_ns).status.status

    return read


def load_person(path: Path, passphrase: bytes) -> Signer:
    """A person's key file. Raises ConfigurationInvalid."""
    return software.load(path, passphrase)


async def offline_gate(home: Home) -> Gate:
    """The gate of a home without rates and venues: to stop, to admit, to export, not to trade."""
    return await home.open_gate(NoRates(), {})


@dataclass(frozen=True)
class Trial:
    """A demonstration's surroundings: stepped time, real rates on a seeded path, a paper venue."""

    clock: SteppedClock
    rates: EcbPath
    entropy: Entropy
    bot_entropy: Entropy


def trial(seed: str, start_ns: int, sources: tuple[str, ...]) -> Trial:
    """Surroundings that are the same for the same seed (signatures and keys apart).

    Args:
        seed: chooses orders and the path of the rates.
        start_ns: the first instant, ns UTC.
        sources: the rate sources that the policy wants.

    Raises:
        ConfigurationInvalid: the rates' package is not installed; says what to install.
    """
    clock = SteppedClock(start_ns)
    fixings = load_fixings(find_rates_file(), RATE_CURRENCIES)
    rates = EcbPath(fixings, clock, seed, sources=sources)
    return Trial(clock, rates, SystemEntropy(), SeededEntropy(f"bot:{seed}".encode()))


def paper_venue(home: Home, around: Trial) -> PaperVenue:
    """The paper venue of a demonstration: another firm, with its own list and its own rules."""
    state = home.authority.state
    trust = VenueTrust(
        name=home.config.venue,
        root=state.root_certificate,
        issuing=state.issuing_certificate,
        environments=frozenset({home.config.environment}),
    )
    return PaperVenue(trust, around.clock, around.rates, [VENUE_CREDENTIAL])


def builtin_policy() -> Path:
    """The policy of the demonstration, a file of this package."""
    return Path(__file__).parent / "apps" / "policy.yaml"


async def write_bundle(home: Home, agent: str, begin_ns: int, end_ns: int, out: Path) -> None:
    """Export the evidence of an agent; the home's gate must be open.

    Raises:
        ConfigurationInvalid: the folder is not empty, or there is no such agent.
    """
    out.mkdir(parents=True, exist_ok=True)
    disk = FolderDisk(out)
    try:
        export = Export(
            home.journals["gate"],
            home.journals["authority"],
            home.authority,
            home.signer("gate-log"),
        )
        await export.write(
            disk,
            agent,
            begin_ns,
            end_ns,
            now_ns=home.around.clock.now_ns(),
            oid_cnf=openssl_names(home.names.arc),
        )
    finally:
        disk.close()
        # The adapter's own names: a bundle holds what its manifest lists and nothing else.
        (out / ".lock").unlink()
        (out / ".tmp").rmdir()
