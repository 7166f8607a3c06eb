# SPDX-License-Identifier: Apache-2.0
"""One replica of an authority among several: it follows the log, or writes it
(docs/spec/stores.md, docs/spec/control-plane.md section 6).

A follower serves what every replica can, and hands the rest to the writer. It asks for the term
again and again: as soon as the writer is dead it gets it, opens the authority anew over what is in
the log, and its gates connect again. A writer that fails for good ends its process: what is started
anew begins as a follower.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sekisho.adapters.authority.http_link import ClientTls, HttpLink
from sekisho.adapters.web.peers import EXTENSION, Peer, peer_in, subject_uris
from sekisho.compose.home import Home
from sekisho.compose.home_store import replica_name
from sekisho.core.errors import MalformedInput, NotAuthorised, OutcomeUnknown, Unavailable
from sekisho.services import authoritywire as wire
from sekisho.services.remotegates import RemoteGates
from sekisho.services.replicas import Following, GateReport, GatesPresent
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.storejournal import StoreJournal

HEADER = "x-sekisho-peer"
CALL_S = 20.0
"""The longest answer of the writer: a kill that waits for its gates."""
LOOK_S = 0.5
SAY_S = 1.0
_PASSED = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "x-request-id",
)


class _AssertedPeer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is at the other end of a follower's connection."""

    transport: str
    uid: int | None
    certificate: bytes | None


class Peers:
    """Which connections are replicas', and whom they speak for."""

    def __init__(self, home: Home) -> None:
        self._own = home.uid
        self._uris = frozenset(home.config.store.replicas)

    def is_replica(self, scope: Mapping[str, Any]) -> bool:
        """Whether another replica of this authority is at the other end."""
        peer = peer_in(scope)
        if peer.uid is not None:
            return peer.uid == self._own
        return peer.certificate is not None and bool(
            self._uris.intersection(subject_uris(peer.certificate))
        )


class BelievingReplicas:
    """ASGI: a request that a replica hands on is that of whom the replica names."""

    def __init__(self, app: Any, peers: Peers) -> None:
        self._app = app
        self._peers = peers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = [value for name, value in scope.get("headers", ()) if name == HEADER.encode()]
        if scope["type"] != "http" or not given:
            await self._app(scope, receive, send)
            return
        try:
            if len(given) != 1 or not self._peers.is_replica(scope):
                raise NotAuthorised(f"{HEADER}: this connection is not a replica's")
            asserted = msgspec.json.decode(base64.b64decode(given[0]), type=_AssertedPeer)
        except (NotAuthorised, ValueError, msgspec.DecodeError) as error:
            await _failed(NotAuthorised(str(error)))(scope, receive, send)
            return
        peer = Peer(asserted.transport, asserted.uid, asserted.certificate)
        extensions = {**scope.get("extensions", {}), EXTENSION: peer}
        await self._app({**scope, "extensions": extensions}, receive, send)


class WriterLink:
    """How this replica reaches the writer, wherever that is now."""

    def __init__(self, home: Home, journal: StoreJournal) -> None:
        self._home = home
        self._journal = journal
        self._address = ""
        self._link: HttpLink | None = None
        self.name = replica_name(home.path, home.config.store)

    async def forward(self, request: Request, body: bytes) -> Response:
        """Hand a request to the writer as it came; its answer as it came.

        What has perhaps taken effect there says so.
        """
        peer = peer_in(request.scope)
        asserted = _AssertedPeer(
            transport=peer.transport, uid=peer.uid, certificate=peer.certificate
        )
        headers = {
            name: value for name in _PASSED if (value := request.headers.get(name)) is not None
        }
        headers[HEADER] = base64.b64encode(msgspec.json.encode(asserted)).decode()
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        try:
            link = await self._to()
            status, told, data = await link.pass_on(
                request.method, path, body, headers, wait_s=CALL_S
            )
        except OutcomeUnknown as error:
            return _failed(error, effect="unknown")
        except Unavailable as error:
            return _failed(error)
        return Response(data, status, told)

    async def tell(self, path: str, body: bytes) -> None:
        """Tell the writer something of this replica. Raises Unavailable: it may not have heard."""
        status, _ = await (await self._to()).ask("POST", path, body, wait_s=CALL_S)
        if status != 204:
            raise Unavailable(f"the writer answered {status}")

    async def _to(self) -> HttpLink:
        head = await self._journal.head()
        if not head.address or head.writer == self.name:
            raise Unavailable("nobody writes this log now; ask again")
        if head.address != self._address or self._link is None:
            await self.close()
            self._link, self._address = _link(self._home, head.address), head.address
        return self._link

    async def close(self) -> None:
        """Let go of connections."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()


class Replica:
    """A replica's own work: following, saying which gates it has, becoming the writer."""

    def __init__(self, home: Home, journal: StoreJournal, link: WriterLink) -> None:
        self._home = home
        self._journal = journal
        self._link = link
        self._clock = home.around.clock
        self._gates: RemoteGates | None = None
        self._handing: set[asyncio.Task[None]] = set()

    def follow_with(self, gates: RemoteGates) -> None:
        """These are this replica's gates; what they report is handed on."""
        self._gates = gates
        gates.heard = self._hand_on

    async def until_writing(self) -> None:
        """Follow the log until its writer is gone and this process is its writer.

        Raises:
            VerificationFailed, MalformedInput: the log holds what no authority writes, or was put
                back to an older state.
        """
        following = Following(self._journal, self._home.authority)
        saying = asyncio.ensure_future(self._say())
        try:
            while True:
                if await self._takes_over():
                    return
                try:
                    await following.step(LOOK_S)
                except Unavailable:
                    await self._clock.sleep(LOOK_S)
        finally:
            saying.cancel()

    async def _takes_over(self) -> bool:
        """Whether the term could be taken: the writer is dead, or there never was one."""
        try:
            await self._journal.begin_writing(self._link.name, self._home.config.store.address)
        except Unavailable:
            return False  # the writer lives, or the store does not answer: both are asked again
        return True

    async def _say(self) -> None:
        """Say which gates have their stream here, at once when that changes."""
        said: tuple[str, ...] | None = None
        waited = 0.0
        while True:
            now = () if self._gates is None else self._gates.connected()
            if now != said or waited >= SAY_S:
                present = GatesPresent(replica=self._link.name, gates=now)
                try:
                    await self._link.tell("/v1/replicas/gates", wire.write(present))
                    said, waited = now, 0.0
                except (Unavailable, OutcomeUnknown):
                    said = None
            await self._clock.sleep(0.05)
            waited += 0.05

    def _hand_on(self, push: StatusPush, outcome: StopOutcome) -> None:
        report = GateReport(
            replica=self._link.name,
            certificate_sha256=push.certificate_sha256,
            epoch=push.epoch,
            cause=push.cause,
            outcome=outcome,
        )

        async def hand() -> None:
            try:
                await self._link.tell("/v1/replicas/reports", wire.write(report))
            except (Unavailable, OutcomeUnknown):
                return  # the writer's command says that this gate was not heard of

        task = asyncio.ensure_future(hand())
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)


class Switch:
    """ASGI: the application that answers now."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def _link(home: Home, address: str) -> HttpLink:
    settings = home.config.store
    tls = None
    if settings.certificate:
        tls = ClientTls(
            home.path / settings.certificate, home.path / settings.key, home.path / settings.ca
        )
    return HttpLink(address, tls)


def _failed(error: Exception, **more: str) -> Response:
    if not isinstance(error, NotAuthorised | MalformedInput | Unavailable | OutcomeUnknown):
        raise error
    status, failure = wire.failure_answer(error)
    content = msgspec.to_builtins(failure) | more
    return Response(msgspec.json.encode(content), status, media_type="application/json")
