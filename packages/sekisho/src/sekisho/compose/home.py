# SPDX-License-Identifier: Apache-2.0
"""A home: the folder of the embedded topology, with its keys, its logs and its authority.

``sekisho.toml``, ``keys/`` (encrypted), ``authority/`` and ``gate/``: the two logs, each a folder
that any static web server could serve. Both are locked while open, so that there is one gate at a
time. All keys lie in one place: separation of duties and custody begin with the sidecar, and this
topology says so by its environment, ``test``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.notifiers.alert_file import AlertFile
from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import read_passphrase
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.compose.home_store import Store, open_log, open_store, replica_name
from sekisho.compose.own_keys import is_distant, own_signer
from sekisho.config import Config, read_config
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    VerificationFailed,
)
from sekisho.core.events import PolicyRegistered, decode_authority_entry
from sekisho.core.governance.document import Registration, notes_of
from sekisho.core.governance.policy import Policy, policy_from_canonical
from sekisho.core.governance.roster import Roster
from sekisho.core.governance.shape import AppliedDefault
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import Names
from sekisho.core.identity.published import placed
from sekisho.core.identity.reading import pem
from sekisho.core.terms import AGENT_NAME
from sekisho.ports import Clock, Entropy, Notifier, Signer
from sekisho.services.authority import Authority, AuthorityKeys
from sekisho.services.certification import IssuedCertificate, possession_message
from sekisho.services.founding import CeremonyCertificates
from sekisho.services.journal import Journal
from sekisho.services.peopledesk import NAMED_MAX
from sekisho.services.registerlog import RegisterLog
from sekisho.services.storejournal import StoreJournal

ONLINE_KEYS = ("issuing", "responder")
AUTHORITY_KEYS = ("root", *ONLINE_KEYS)
ALERTS = "alerts.jsonl"
"""Alerts about incidents, a line each: the channel that every home has."""
LOG_KEYS = ("authority-log", "gate-log")
ROOT = "root.pem"
ISSUING = "issuing.pem"


@dataclass(frozen=True)
class Surroundings:
    """What is injected: time, randomness, rates, venues. ``venues`` get to know certificates."""

    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    notifiers: tuple[Notifier, ...] = ()


class TrustedCertificates(NamedTuple):
    """Whom a gate believes, DER."""

    root: bytes
    issuing: bytes
    responder: bytes


def system_clock() -> Clock:
    """The machine's clock, for what a command shows of its own speed."""
    return SystemClock()


class Home:
    """An opened home: keys, configuration, authority. The gate is opened apart."""

    def __init__(self, path: Path, config: Config, around: Surroundings) -> None:
        self.path = path
        self.config = config
        self.around = around
        names = Names(
            issuer_name=config.issuer_name, base_uri=config.base_uri, arc=Arc(config.oid_arc)
        )
        self.names = placed(
            names, config.publish.base_url, config.operator, config.publish.crl_shards
        )
        self.uid = os.getuid()
        self.store: Store | None = None
        self._follows = False
        self._histories: FolderDisk
        self._disks: list[FolderDisk] = []
        self._authority: Authority | None = None
        self.journals: dict[str, Journal] = {}
        self._keepers: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, path: Path, around: Surroundings | None = None, *, follows: bool = False
    ) -> Home:
        """Open an existing home, its authority included where it was founded.

        Args:
            path: its folder.
            around: what is injected.
            follows: only follow a log that is in a store; :meth:`promote` makes it the writer.

        Raises:
            ConfigurationInvalid: no home there, or keys that cannot be used.
            VerificationFailed: a log that does not hold.
        """
        home = cls(path, read_config(path), around or Surroundings())
        home._follows = follows
        try:
            journal = await home._journal("authority", home.config.authority_origin)
            home._histories = home._folder("histories")
            if journal.size:
                home._over(RegisterLog(journal, home.around.clock))
                if not follows:
                    await home._act()
        except BaseException:
            await home.close()
            raise
        return home

    async def promote(self) -> None:
        """Open the authority anew over the log that this process writes now.

        Raises:
            TypeError: the log is in no store.
            VerificationFailed, MalformedInput: the log holds what no authority writes.
        """
        journal = self.journals["authority"]
        if not isinstance(journal, StoreJournal):
            raise TypeError("a log in files has one process")
        self.keep(journal.keep_term())
        log = self.authority.log
        log.follow()
        self._over(log)
        await self._act()

    def _over(self, log: RegisterLog) -> None:
        around = self.around
        self._authority = Authority.over(
            log,
            self._authority_keys(),
            around.clock,
            around.entropy,
            names=self.names,
            notifiers=self._notifiers(),
        )
        self._authority.histories.keep_in(self._histories)

    async def _act(self) -> None:
        """Do what became due, and go on doing so."""
        await self.authority.due()
        self.keep(self.authority.run_incidents())

    async def _begin_writing(self, journal: StoreJournal) -> None:
        settings = self.config.store
        await journal.begin_writing(replica_name(self.path, settings), settings.address)
        self.keep(journal.keep_term())

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the home until it is closed; how it ends is nobody's business.

        What matters of a failure is seen where it matters: a failed journal refuses everything.
        """
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._keepers.append(task)

    def registration(self, digest: str) -> Registration:
        """A registered policy with its defaults, as an approver is shown it.

        Raises:
            ConfigurationInvalid: no such policy is registered.
        """
        known = self.authority.state.policies.get(digest)
        if known is None:
            registered = ", ".join(islice(self.authority.state.policies, NAMED_MAX)) or "none"
            raise ConfigurationInvalid(
                f"no policy {digest} is registered here",
                str(self.path),
                f"name a digest that is registered: {registered}",
            )
        entry = decode_authority_entry(self.journals["authority"].entry(known.index))
        encoded = canonical(known.policy)
        policy = policy_from_canonical(encoded)
        return Registration(
            policy=policy,
            canonical=encoded,
            sha256=sha256_hex(encoded),
            defaults=tuple(
                AppliedDefault(**default)
                for default in (entry.defaults if isinstance(entry, PolicyRegistered) else ())
            ),
            notes=notes_of(policy, self.around.clock.now_ns()),
        )

    @property
    def authority(self) -> Authority:
        """The authority. Raises ConfigurationInvalid before it was founded."""
        if self._authority is None:
            raise ConfigurationInvalid(
                f"{self.path}: this home has no authority; its init did not come to the end",
                str(self.path),
                f"delete {self.path} (nothing was certified with its keys), then run init again",
            )
        return self._authority

    async def found(self, roster: Roster, given: CeremonyCertificates | None = None) -> Authority:
        """Found the authority of a new home and certify the keys of both logs."""
        self._authority = await Authority.found(
            journal=self.journals["authority"],
            keys=self._authority_keys(),
            names=self.names,
            environment=self.config.environment,
            roster=roster,
            clock=self.around.clock,
            entropy=self.around.entropy,
            notifiers=self._notifiers(),
            given=given,
        )
        self.keep(self._authority.run_incidents())
        # A crash before this leaves the root in the log alone; it can be written again from there.
        state = self._authority.state
        (self.path / ISSUING).write_bytes(pem(state.issuing_certificate))
        (self.path / ROOT).write_bytes(pem(state.root_certificate))
        for name, origin in (
            ("authority-log", self.config.authority_origin),
            ("gate-log", self.config.gate_origin),
        ):
            await self._authority.certify_log(origin, self.signer(name).public_key)
        return self._authority

    async def certify_log(self, origin: str, public_key: bytes) -> TrustedCertificates:
        """Have the key (DER) of a gate's log certified. Raises as ``Authority.certify_log``."""
        await self.authority.certify_log(origin, public_key)
        state = self.authority.state
        return TrustedCertificates(
            state.root_certificate, state.issuing_certificate, state.responder_certificate
        )

    async def policy_of(self, agent: str) -> tuple[Policy, str]:
        """The policy of an agent's newest certificate, and the gate that has the agent, or "".

        Raises:
            NotAuthorised: the agent has no certificate of this authority.
        """
        state = self.authority.state
        if agent not in state.agents:
            raise NotAuthorised(f"{agent[:64]!r} has no certificate of this authority", "--agent")
        held = state.assigned.get(agent)
        registration = self.registration(state.agents[agent][-1].policy_sha256)
        return registration.policy, "" if held is None else held.gate

    def signer(self, name: str) -> Signer:
        """One of the home's own keys."""
        return own_signer(self.path, self.config, name)

    def passphrase(self) -> bytes:
        """The passphrase of the home's keys."""
        return read_passphrase(self.path / self.config.passphrase_file)

    async def issue(
        self, agent: str, policy_sha256: str, *, issuer_seat: str, operator_seat: str
    ) -> IssuedCertificate:
        """Make a key for the agent, in custody, and have it certified.

        Raises:
            MalformedInput, NotAuthorised, VerificationFailed: refused; the key is gone again.
            StorageFailed, OutcomeUnknown: the authority's log; the key stays.
        """
        if AGENT_NAME.fullmatch(agent) is None:
            raise MalformedInput(
                f"agent: {agent[:64]!r} is not a name like algo_trader_v2", "agent"
            )
        folder = self.path / "keys" / "agents"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = _next_key(folder, agent)
        made = software.generate(path, self.passphrase())
        message = possession_message(
            agent=agent,
            environment=self.config.environment,
            policy_sha256=policy_sha256,
            public_key_spki=made.public_key,
        )
        try:
            return await self.authority.issue(
                agent,
                policy_sha256,
                made.public_key,
                proof=made.sign_blocking(message),
                issuer_seat=issuer_seat,
                operator_seat=operator_seat,
            )
        except (MalformedInput, NotAuthorised, VerificationFailed):
            path.unlink()  # a crash before this leaves a key that nothing certifies
            raise

    def agent_signer(self, public_key: bytes) -> Signer:
        """The agent key in custody with this public key. Raises ConfigurationInvalid."""
        for path in sorted((self.path / "keys" / "agents").glob("*.key")):
            signer = software.load(path, self.passphrase())
            if signer.public_key == public_key:
                return signer
        raise ConfigurationInvalid(
            f"{self.path}: no key in custody for this certificate",
            str(self.path / "keys" / "agents"),
            "put the agent's key file back, or revoke the certificate and issue another",
        )

    def _folder(self, name: str) -> FolderDisk:
        """A folder of the home, let go of with it."""
        disk = FolderDisk(self.path / name)
        self._disks.append(disk)
        return disk

    async def _journal(self, name: str, origin: str) -> Journal:
        disk, signer, clock = self._folder(name), self.signer(f"{name}-log"), self.around.clock
        journal: Journal
        if name == "authority" and self.config.store.url:
            settings = self.config.store
            self.store = await open_store(self.path, settings)
            disks = disk, self._folder(settings.anchor)
            kept = await open_log(self.store, disks, origin, signer, clock)
            if not self._follows:
                await self._begin_writing(kept)
            journal = kept
        else:
            journal = await Journal.open(disk, origin=origin, signer=signer, clock=clock)
        self.journals[name] = journal
        self.keep(journal.run())
        return journal

    def _notifiers(self) -> tuple[Notifier, ...]:
        """Who is told of incidents: a file of the home, and what the surroundings add."""
        return (AlertFile(self.path / ALERTS), *self.around.notifiers)

    def _authority_keys(self) -> AuthorityKeys:
        named, root = self.config.keys, None
        if named.root or (self.path / "keys" / "root.key").exists():  # else its root is offline
            root = self.signer("root")
        issuing, responder = (self.signer(name) for name in ONLINE_KEYS)
        return AuthorityKeys(
            x509_key=SignerKey,
            issuing=issuing,
            responder=responder,
            root=root,
            distant=is_distant(named.issuing) or is_distant(named.responder),
        )

    async def gate_journal(self) -> Journal:
        """The gate's log, opened once."""
        return await self._journal("gate", self.config.gate_origin)

    async def close(self) -> None:
        """Publish both logs and let go of the folder."""
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for journal in self.journals.values():
            if journal.failed is None and journal.size:
                await journal.close()
        for disk in self._disks:
            disk.close()
        if self.store is not None:
            await self.store.close()


def _next_key(folder: Path, agent: str) -> Path:
    """A name that no key has, numbered in the order of making."""
    number = 1
    while (folder / f"{agent}-{number}.key").exists():
        number += 1
    return folder / f"{agent}-{number}.key"


def load_person(path: Path, passphrase: bytes) -> Signer:
    """A person's key file. Raises ConfigurationInvalid."""
    return software.load(path, passphrase)
