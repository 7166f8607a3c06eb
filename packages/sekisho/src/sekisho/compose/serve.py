# SPDX-License-Identifier: Apache-2.0
"""The authority as a process: a home, its sockets, and the gates that connect to them.

``sekisho serve`` holds the home for as long as it runs. SIGTERM and SIGINT end it in good order: no
new request is taken, streams end, the log is published. What a crash leaves is what the log holds;
the gates connect again and are told what they missed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sekisho.adapters.descriptors import secure_descriptors
from sekisho.adapters.web.listening import Listener, Tls
from sekisho.adapters.web.peers import peer_in, subject_uris
from sekisho.adapters.web.serving import Bounds, Serving, serve
from sekisho.compose.control_plane import ControlPlane, HostedHome, Linked
from sekisho.compose.enrolling import gate_of_origin, origin_end
from sekisho.compose.handing_on import HandingOn
from sekisho.compose.home import Home, Surroundings
from sekisho.compose.keys_only import KeysOnly
from sekisho.compose.operators import close_further, open_further
from sekisho.compose.replicated import BelievingReplicas, Peers, Replica, Switch, WriterLink
from sekisho.config import Config, ListenSettings, read_config
from sekisho.core.errors import SekishoError, StorageFailed
from sekisho.core.identity.reading import pem
from sekisho.services.certification import IssuedCertificate
from sekisho.services.peopledesk import IssueRequest, PeopleDesk
from sekisho.services.remotegates import RemoteGates
from sekisho.services.replicas import OtherReplicas
from sekisho.services.storejournal import StoreJournal

FAILED_LOOK_S = 0.1
FURTHER_BOUNDS = Bounds(connections=256, of_one=192)
"""Of the sockets of a further operator; on the server's own it has the server's."""
CERTIFICATES = "certificates"
"""Folder of a home with the agents' certificates, PEM: public, for venues and counterparties."""


class ConnectionCallers:
    """Who a connection is, by the settings of the home: a user id or a certificate's URI.

    Without ``[serve.gates]`` the authority's own user may come as any gate that was enrolled here:
    whoever is that user can read this home's keys anyway.
    """

    def __init__(self, config: Config, origins: Callable[[], Iterable[str]] = tuple) -> None:
        """``origins``: names of the logs whose keys the authority certified."""
        self._own = os.getuid()
        self._gates = {
            name: self._own if who == "own" else who for name, who in config.serve.gates.items()
        }
        self._names: dict[int | str, frozenset[str]] = {
            who: frozenset(name for name, known in self._gates.items() if known == who)
            for who in self._gates.values()
        }
        """By who comes: each request of each of many gates asks."""
        self._config = config
        self._origins = origins

    def gates(self, scope: Mapping[str, Any]) -> frozenset[str]:
        """Gates in whose name this connection may ask; none where nothing is known of it."""
        peer = peer_in(scope)
        who: set[int | str] = set() if peer.uid is None else {peer.uid}
        if peer.certificate is not None:
            who |= set(subject_uris(peer.certificate))
        if not self._gates:
            return self._enrolled() if self._own in who else frozenset()
        return frozenset[str]().union(*(self._names.get(one, frozenset()) for one in who))

    def _enrolled(self) -> frozenset[str]:
        """The home's own gate, and each whose log key is certified under a name made for it."""
        origins = {one for one in self._origins() if one != self._config.authority_origin}
        end = origin_end(self._config)
        found = {gate_of_origin(one, end) for one in origins}
        return frozenset({self._config.gate, *found} - {""})

    def owner(self, scope: Mapping[str, Any]) -> bool:
        """Whether this is the user under whom the authority itself runs."""
        return peer_in(scope).uid == self._own


MakeApp = Callable[..., Any]
"""Own operator, all operators by name, control plane, the other replicas (None: this one follows),
and whether a connection is a replica's → the ASGI application."""


class ServedAuthority:
    """A home's authority on its sockets, until :meth:`close`.

    Attributes:
        ended: done with the failure that ended this replica's part; never done without a store.
    """

    def __init__(self, home: Home, make_app: MakeApp) -> None:
        self.home = home
        self._make_app = make_app
        self._switch = Switch(None)
        self._link: WriterLink | None = None
        self.further: dict[str, Home] = {}
        self._further_linked: dict[str, Linked] = {}
        self._more_serving: list[Serving] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates: RemoteGates
        self.control: ControlPlane
        self.serving: Serving

    @classmethod
    async def start(
        cls, path: Path, make_app: MakeApp, around: Surroundings | None = None
    ) -> ServedAuthority:
        """Open the home and listen; over PostgreSQL as a follower that may become the writer.

        Raises:
            ConfigurationInvalid: no home, or an address that cannot be listened on.
            StorageFailed: another process has the home.
            VerificationFailed: a log that does not hold.
        """
        follows = read_config(path).store.url.startswith("postgresql:")
        home = await Home.open(path, around, follows=follows)
        served = cls(home, make_app)
        try:
            served.control = await ControlPlane.open(home)
            served.further = await open_further(path, around)
            served._further_linked = {
                name: served._linked(one) for name, one in served.further.items()
            }
            home.keep(served.control.run())
            served._assemble(writes=not follows)
            if follows:
                home.keep(served._replicate())
            listeners = [listener(path, one) for one in home.config.serve.listen]
            bounds = Bounds(connections=1024, of_one=768)  # gates, each with a few
            places = len(listeners) * bounds.connections
            places += len(served.further) * FURTHER_BOUNDS.connections
            secure_descriptors(places)
            served.serving = await serve(served._switch, of_peers(listeners), bounds)
            await served._serve_keys(served._switch, listeners, bounds)
            await served._serve_further()
        except BaseException:
            for one in served._all_serving():
                await one.close()
            await close_further(served.further)
            await home.close()
            raise
        return served

    def _assemble(self, *, writes: bool) -> None:
        """Everything over the authority as it is now; streams over one before end."""
        home, around = self.home, self.home.around
        write_certificates(home)
        if hasattr(self, "gates"):
            self.gates.close()
        own = self._linked(home)
        self.gates = own.gates
        linked = {home.config.operator: own, **self._further_linked}
        homes = {home.config.operator: home, **self.further}
        self.control.hosts(
            {
                name: HostedHome(homes[name], one.desk, self.control.tables)
                for name, one in linked.items()
            },
            own.callers.owner,
        )
        others = OtherReplicas(home.authority, around.clock) if writes else None
        peers = Peers(home)
        app = self._make_app(own, linked, self.control, others, peers.is_replica)
        self._switch.app = BelievingReplicas(app, peers)

    def _linked(self, home: Home) -> Linked:
        """What the link of one operator's gates is made of: nothing in it is another's."""

        async def issue(asked: IssueRequest) -> IssuedCertificate:
            issued = await home.issue(
                asked.agent,
                asked.policy_sha256,
                issuer_seat=asked.issuer_seat,
                operator_seat=asked.operator_seat,
            )
            write_certificates(home, (asked.agent,))
            return issued

        return Linked(
            home.authority,
            RemoteGates(home.authority, home.around.clock, home.around.entropy),
            PeopleDesk(home.authority, home.registration, issue),
            ConnectionCallers(home.config, lambda: home.authority.state.log_keys),
        )

    @property
    def addresses(self) -> list[str]:
        """Every address at which it listens, those of further operators last."""
        return [address for one in self._all_serving() for address in one.addresses]

    def _all_serving(self) -> list[Serving]:
        own = [self.serving] if hasattr(self, "serving") else []
        return [*own, *self._more_serving]

    async def _serve_further(self) -> None:
        """Listen where the homes of further operators say: without a prefix, theirs is meant."""
        for name, home in self.further.items():
            write_certificates(home)
            one = self._further_linked[name]
            app = self._make_app(one, {name: one}, self.control, None, lambda _: False)
            listeners = [listener(home.path, place) for place in home.config.serve.listen]
            self._more_serving.append(await serve(app, of_peers(listeners), FURTHER_BOUNDS))
            await self._serve_keys(app, listeners, FURTHER_BOUNDS)

    async def _serve_keys(self, app: Any, listeners: list[Listener], bounds: Bounds) -> None:
        """Serve the addresses where callers have keys and no identity."""
        if with_keys := [one for one in listeners if one.keys]:
            self._more_serving.append(await serve(KeysOnly(app), with_keys, bounds))

    async def _replicate(self) -> None:
        """Follow the log, then write it, until that fails."""
        journal = self.home.journals["authority"]
        if not isinstance(journal, StoreJournal):
            raise TypeError("only a log in a store is followed")
        try:
            link = self._link = WriterLink(self.home, journal)
            replica = Replica(self.home, journal, link)
            replica.follow_with(self.gates)
            self._switch.app = HandingOn(self._switch.app, link.forward)
            await replica.until_writing()
            await self.home.promote()
            self._assemble(writes=True)
            await link.close()
            while journal.failed is None:
                await self.home.around.clock.sleep(FAILED_LOOK_S)
            raise StorageFailed(f"this replica writes no more: {journal.failed}")
        except SekishoError as error:
            if not self.ended.done():
                self.ended.set_exception(error)

    async def close(self) -> None:
        """End streams and requests, publish the log, let go of the home."""
        self.gates.close()
        for one in self._further_linked.values():
            one.gates.close()
        for serving in self._all_serving():
            await serving.close()
        if self._link is not None:
            await self._link.close()
        await close_further(self.further)
        await self.home.close()
        await self.control.close()
        if self.ended.done():
            self.ended.exception()


def listener(home: Path, settings: ListenSettings) -> Listener:
    """A setting as the server takes it; paths are relative to the home."""
    address = settings.address
    if address.startswith("unix:"):
        address = f"unix:{home / address.removeprefix('unix:')}"
    tls = None
    if settings.certificate:
        ca = home / settings.client_ca if settings.client_ca else None
        tls = Tls(home / settings.certificate, home / settings.key, ca)
    keys = settings.clients == "keys"
    return Listener(address, int(settings.mode, 8), settings.group, tls, keys)


def of_peers(listeners: list[Listener]) -> list[Listener]:
    """Those where it matters who connects."""
    return [one for one in listeners if not one.keys]


def write_certificates(home: Home, agents: Iterable[str] | None = None) -> None:
    """Write certificates of these agents, or of all, as PEM, numbered in the order of issue.

    They are made anew from the log: a crash in here leaves fewer of them until the next start.
    """
    folder = home.path / CERTIFICATES
    folder.mkdir(exist_ok=True)
    known = home.authority.state.agents
    for agent in known if agents is None else agents:
        records = known[agent]
        for number, record in enumerate(records, 1):
            path = folder / f"{agent}-{number}.pem"
            if not path.exists():
                whole = folder / f".{agent}-{number}.new"
                whole.write_bytes(pem(record.certificate))
                whole.replace(path)


async def run_authority(
    path: Path, make_app: MakeApp, told: Callable[[list[str]], None], *, drain_s: float = 5.0
) -> int:
    """Serve until SIGTERM or SIGINT, then end in good order; a second signal ends at once.

    Args:
        path: the home.
        make_app: the ASGI application over the operators and the control plane.
        told: hears the addresses once they take connections.
        drain_s: how long running requests may take to end.

    Raises:
        SekishoError: this replica can neither write nor follow; start it again.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        if ended.is_set():
            os._exit(1)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    served = await ServedAuthority.start(path, make_app)
    gc.collect()
    gc.freeze()  # what is here stays: the collector must not look through it while a stop waits
    try:
        told(served.addresses)
        waiting: asyncio.Future[Any] = asyncio.ensure_future(ended.wait())
        await asyncio.wait([waiting, served.ended], return_when=asyncio.FIRST_COMPLETED)
        if served.ended.done():
            served.ended.result()
    finally:
        async with asyncio.timeout(drain_s + 10):
            await served.close()
    return 0
