# SPDX-License-Identifier: Apache-2.0
"""``sekisho gate``: one gate as a process of its own (docs/spec/processes.md section 2).

What is missing when it starts keeps it from permitting, not from starting: it says what is missing,
and takes orders as soon as it is there. What a crash leaves is what the log holds; every other
thing here is made anew from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from sekisho.adapters.authority.http_link import ClientTls, HttpLink
from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.free_space import free_percent
from sekisho.adapters.json_log import Teller
from sekisho.adapters.metrics import MEDIA_TYPE, Measures
from sekisho.adapters.seen_file import SeenFile
from sekisho.adapters.signers.opening import open_signer, read_passphrase
from sekisho.compose.asking import Asking
from sekisho.compose.gate import Gate, GateParts
from sekisho.compose.gate_config import Located
from sekisho.compose.gate_keys import KeyFolder
from sekisho.compose.gate_timing import TimedSigner, timed_venues
from sekisho.compose.gate_trust import trusted_certificates
from sekisho.compose.gate_venues import open_feeds, open_venues
from sekisho.compose.gate_watching import Condition, Telling
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    SekishoError,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import Decision, GateEntry
from sekisho.core.identity.oids import Arc
from sekisho.core.terms import NS
from sekisho.ports import Clock
from sekisho.services.admissionbudget import BudgetLimits
from sekisho.services.advice import Advice
from sekisho.services.audit import Audit
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.awaited import Awaited
from sekisho.services.callers import Callers
from sekisho.services.doorbook import DoorBook
from sekisho.services.eventstream import EventStream
from sekisho.services.gatekeeper import Answer
from sekisho.services.inquiry import Inquiry
from sekisho.services.intake import Intake, Room
from sekisho.services.journal import Journal
from sekisho.services.knownroster import RosterBook
from sekisho.services.snapshots import Snapshots

ROSTER = "roster.json"
"""In the log's folder: who may command, as the authority said last."""
ASK_EVERY_S = 1.0
"""How often the lease is looked at, and the authority asked for what is missing."""
SUCCESSORS_EVERY_S = 60
"""So often it is asked whether a certificate that is good has a successor."""


class GateProcess:
    """Everything of one running gate. Made by :meth:`open`; ``stack`` closes what it opened."""

    def __init__(self, located: Located, stack: AsyncExitStack, clock: Clock) -> None:
        self.located = located
        self.clock = clock
        self.teller = Teller("gate")
        self._stack = stack
        self._tasks: set[asyncio.Task[None]] = set()
        self.died = asyncio.Event()
        """Set when something that must run beside the gate has ended of a defect."""
        self.callers = Callers(located.callers())
        self.awaited = Awaited()
        self._looked_at = clock.monotonic_ns()

    @classmethod
    async def open(cls, located: Located, stack: AsyncExitStack) -> GateProcess:
        """Open log, keys and connections, and start; nothing listens yet.

        Raises:
            ConfigurationInvalid: a file or setting that cannot be used.
            StorageFailed: another process has the log.
            VerificationFailed: the log, or a certificate of the authority, does not hold.
        """
        process = cls(located, stack, SystemClock())
        await process._open_log()
        await process._connect()
        await process._start()
        return process

    async def _open_log(self) -> None:
        config, folder = self.located.config, self.located.file(self.located.config.log)
        passphrase = self.located.file(config.passphrase_file)
        self.disk = FolderDisk(folder)
        self._stack.callback(self.disk.close)
        custody = self.located.custody()
        uri = self.located.uri(config.log_key)
        signer = open_signer(uri, passphrase_file=passphrase, settings=custody)
        self.journal = await Journal.open(
            self.disk, origin=config.origin, signer=signer, clock=self.clock
        )
        self._stack.push_async_callback(self._close_journal)
        seen = SeenFile(folder / "ids.sqlite", config.origin)
        self._stack.callback(seen.close)
        self.snapshots = Snapshots(self.disk, seen)
        self.log = await self.snapshots.open_log(self.journal, self.clock)
        for notice in self.snapshots.notices:
            self.teller.warn("snapshot", detail=notice)
        named = tuple(self.located.uri(one) for one in config.keys.agents)
        folder = self.located.file(config.agent_keys)
        self.keys = KeyFolder(folder, read_passphrase(passphrase), named, custody)
        await self.keys.open_named()

    async def _connect(self) -> None:
        config = self.located.config
        tls = config.authority_tls
        link = HttpLink(
            self.located.address(config.authority).removeprefix("https://"),
            None
            if tls is None
            else ClientTls(
                self.located.file(tls.certificate),
                self.located.file(tls.key),
                self.located.file(tls.ca),
            ),
        )
        self.client = AuthorityClient(link, config.gate, config.authority_operator)
        self._stack.push_async_callback(self.client.close)
        self.sessions = FolderDisk(self.located.file(f"{config.log}-sessions"))
        self._stack.callback(self.sessions.close)
        self.venues = await open_venues(
            self.located, self.clock, self.journal, self.sessions, self._stack
        )
        self.feeds = open_feeds(self.located, self.clock)

    async def _start(self) -> None:
        config = self.located.config
        root, issuing, responder = trusted_certificates(self.located, self.clock.now_ns())
        self.journal.flush_took = lambda ns: self._stage("flush", ns)
        venues = timed_venues(self.venues, self.clock, self._stage)
        self.gate = Gate(self._parts(root, issuing, responder), self.log, self.feeds, venues)
        limits = config.limits
        self.intake = Intake(
            self._measured,
            self.gate.budget,
            Room(in_all=limits.waiting, of_one=limits.waiting_per_agent),
        )
        self.inquiry = Inquiry(self.log, self.venues)
        self.doors = DoorBook(self.log, self.clock)
        self.identify = Asking(
            self.callers, lambda word, uid: self.doors.refused("http", word, uid)
        )
        self.stream = EventStream(
            self.client,
            self.gate.on_status,
            self.clock,
            after=self._highest_epoch,
            renew=self.gate.leasing.renew,
        )
        self.condition = Condition(
            self.gate,
            self.journal,
            self.intake,
            self.feeds,
            lambda: self.stream.connected,
            tuple(one.name for one in config.agents),
        )
        self.measures = Measures(self.condition.readings)
        self.log.follow(Telling(self.teller))
        self.log.follow(self._count)
        await self.gate.start()
        await self._read_roster()
        for work in (
            self.journal.run(),
            self.snapshots.run(self.log, self.clock),
            Audit(self.disk, self.journal, self.clock).run(),
            self.feeds.run(),
            self.stream.run(),
            self.gate.budget.run(),
            self.keys.run(
                self.clock, lambda uri, why: self.teller.warn("key", uri=uri, detail=why)
            ),
            self._ask_authority(),
        ):
            self.keep(work)

    def _parts(self, root: bytes, issuing: bytes, responder: bytes) -> GateParts:
        config, limits = self.located.config, self.located.config.limits
        return GateParts(
            gate=config.gate,
            region=config.region,
            environment=config.environment,
            clock=self.clock,
            entropy=SystemEntropy(),
            authority=self.client,
            root=root,
            issuing=issuing,
            responder=responder,
            roster_sha256=config.roster_sha256,
            arc=Arc(config.oid_arc),
            agent_signer=lambda key: TimedSigner(
                self.keys.signer(key), self.clock, self._stage, self.measures.signed
            ),
            keep=self.keep,
            free_percent=lambda: free_percent(self.located.file(config.log)),
            budget=BudgetLimits(
                messages_per_s=limits.messages_per_s,
                messages_burst=limits.messages_burst,
                bytes_per_s=limits.bytes_per_s,
                bytes_burst=2 * limits.bytes_per_s,
            ),
            venue_silent_s=config.venue_silent_s,
        )

    # -- beside the orders ---------------------------------------------------------------------

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until the process ends. A defect of it ends the process."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self.teller.warn("ended", failure=type(error).__name__, detail=str(error))
        if self.journal.failed is None:  # a failed log refuses everything already, and is told of
            self.died.set()

    async def _ask_authority(self) -> None:
        """Keep the lease alive, admit who is certified, take locked baselines into force.

        A step that fails keeps none of the others waiting, and is told of once.
        """
        steps = {
            "lease": self.gate.leasing.ensure,
            "admission": self._admit,
            "history": self.gate.histories.step,
            "baseline": self.gate.adopt_locked,
            "roster": self._keep_roster,
        }
        told: dict[str, str] = {}
        while True:
            for name, step in steps.items():
                failure = ""
                try:
                    await step()
                except SekishoError as error:
                    if self.journal.failed is not None:
                        return  # the gate is to be started anew; what it says of itself says so
                    failure = str(error)
                if failure and failure != told.get(name):
                    self.teller.warn("authority", about=name, detail=failure)
                told[name] = failure
            await self.clock.sleep(ASK_EVERY_S)

    async def _admit(self) -> None:
        """Admit each configured agent under the certificate that it has now."""
        refused: list[str] = []
        looks = self._looks_for_successors()
        for one in self.located.config.agents:
            held = self.log.state.agents.get(one.name)
            if held is not None and held.status == "good" and not looks:
                continue
            try:
                await self._admit_one(one.name)
            except (
                NotAuthorised,
                ConfigurationInvalid,
                Unavailable,
                VerificationFailed,
            ) as error:
                if held is None or held.status != "good":  # else it goes on as it is
                    self.awaited.failed(one.name, str(error))
                refused.append(f"{one.name}: {error}")  # the others do not wait for this one
        if refused:
            raise NotAuthorised("; ".join(refused))

    def _looks_for_successors(self) -> bool:
        """Whether it is time to ask for the successors of certificates that are good."""
        now = self.clock.monotonic_ns()
        due = now - self._looked_at >= SUCCESSORS_EVERY_S * NS
        if due:
            self._looked_at = now
        return due

    async def _admit_one(self, name: str) -> None:
        """Admit an agent that is new here, or whose certificate was replaced."""
        held = self.log.state.agents.get(name)
        admission = await self.client.admission(name)
        if held is None or held.certificate_sha256 != sha256_hex(admission.certificate):
            if any(stop.agent == name for stop in self.log.unheard_stops().values()):
                return  # what the authority says of a new certificate may not take the stop in yet
            await self.gate.admit(name)
            self.teller.tell("admitted", agent=name)

    async def _read_roster(self) -> None:
        """The roster of the last run: people can stop an agent here while the authority is away."""
        try:
            plain = parse_plain(await self.disk.read(ROSTER))
            self.gate.known.read(msgspec.convert(plain, RosterBook))
        except FileNotFoundError:
            return
        except (MalformedInput, VerificationFailed, msgspec.ValidationError) as error:
            self.teller.warn("roster", detail=f"{ROSTER} is not used: {error}")

    async def _keep_roster(self) -> None:
        """Fetch the roster, and keep what is believed for the next start."""
        if await self.gate.learn_roster():
            # A crash leaves the old one or the new one, whole.
            await self.disk.replace(ROSTER, canonical(self.gate.known.book))

    def _highest_epoch(self) -> int:
        state = self.log.state
        epochs = [agent.epoch for agent in state.agents.values()]
        return max([0 if state.lease is None else state.lease.epoch, *epochs], default=0)

    # -- measuring -----------------------------------------------------------------------------

    async def _measured(self, agent: str, body: bytes) -> Answer:
        begin = self.clock.monotonic_ns()
        answer = self.awaited.answer(agent, await self.gate.gatekeeper.submit(agent, body))
        self.measures.stage("answer", self.clock.monotonic_ns() - begin)
        self.measures.answered(answer.kind)
        return answer

    async def advise(self, agent: str, body: bytes) -> Advice:
        """Whether an order would pass; see ``AdviceDesk``."""
        return self.awaited.advice(agent, await self.gate.advice.advise(agent, body))

    def _stage(self, name: str, ns: int) -> None:
        self.measures.stage(name, ns)

    def _count(self, _index: int, entry: GateEntry) -> None:
        self.measures.recorded(str(entry.__struct_config__.tag))
        if isinstance(entry, Decision):
            for reason in entry.reasons:
                self.measures.refused(str(reason.code))

    @property
    def metrics_type(self) -> str:
        """Media type of the metrics."""
        return MEDIA_TYPE

    async def take_commands(self, body: bytes) -> Any:
        """People's signed commands, a JSON array; what they achieved, as plain data."""
        return msgspec.to_builtins(await self.gate.local.take_body(body))

    # -- ending --------------------------------------------------------------------------------

    def turned_away(self) -> None:
        """Somebody could not agree on TLS: no certificate, or not one of this gate's callers."""
        self.doors.refused("http", "unauthenticated")

    async def drain(self) -> None:
        """Take no new orders, let those under way end, and leave a snapshot."""
        self.doors.flush()
        self.teller.tell("draining", under_way=sum(self.intake.under_way.values()))
        try:
            async with asyncio.timeout(self.located.config.limits.drain_s):
                await self.intake.drain()
        except TimeoutError:
            self.teller.warn("not drained", under_way=sum(self.intake.under_way.values()))
        await self.snapshots.close(self.log)

    async def stop_tasks(self) -> None:
        """End what runs beside."""
        await self.stream.close()
        await self.gate.incident_watch.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_journal(self) -> None:
        if self.journal.failed is None and self.journal.size:
            await self.journal.close()
