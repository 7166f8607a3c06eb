# SPDX-License-Identifier: Apache-2.0
"""FIX at a gate: the front for its bots, and connectors to venues that speak it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from sekisho.adapters.fix.front import Authenticate, BotSession, FixFront
from sekisho.adapters.venues.fix import FixVenue, FixVenueTerms
from sekisho.adapters.venues.fix_tls import VenueTls, venue_context
from sekisho.adapters.venues.paper_fix import PERMIT_TAG
from sekisho.adapters.web.listening import Listener, Tls
from sekisho.adapters.web.peers import Peer, subject_uris
from sekisho.compose.gate_config import FixSettings, Located, VenueSettings, VenueTlsSettings
from sekisho.core.events import Execution, decode_gate_entry
from sekisho.ports import Clock, Disk
from sekisho.services.callers import Caller, Callers
from sekisho.services.gatekeeper import Answer
from sekisho.services.gatelog import GateLog
from sekisho.services.inquiry import Inquiry

_EXECUTION = b'"kind":"execution"'
PASSED_EVERY = 1_000
"""So many entries, and those of one flush, a session reads at most that it has read before."""
Submit = Callable[[str, bytes], Awaitable[Answer]]


class FixGate:
    """A gate as its FIX front sees it."""

    def __init__(self, log: GateLog, submit: Submit, inquiry: Inquiry) -> None:
        self._log = log
        self._submit = submit
        self._inquiry = inquiry

    async def submit(self, agent: str, body: bytes) -> Answer:
        """By the same door as every order."""
        return await self._submit(agent, body)

    async def cancel_all(
        self, agent: str, client_order_id: str
    ) -> tuple[Sequence[str], Sequence[str]]:
        """As ``POST /v1/orders/cancel-all`` does it."""
        found = await self._inquiry.cancel_all(agent, client_order_id, self._submit)
        return found["cancelled"], found["not_confirmed"]

    def on_execution(
        self, listener: Callable[[int, Execution], None], passed: Callable[[int], None]
    ) -> None:
        """Call ``listener`` for each execution that the log takes from now on.

        And ``passed`` once in ``PASSED_EVERY`` entries, with the last one that is durable.
        """

        def follow(index: int, entry: object) -> None:
            if isinstance(entry, Execution):
                listener(index, entry)
            if index % PASSED_EVERY == 0:
                passed(self.last_durable())

        self._log.follow(follow)

    def executions(self, after: int) -> Iterator[tuple[int, Execution]]:
        """Executions of the log above an index."""
        for index, data in self._log.journal.entries(after + 1):
            if _EXECUTION in data:
                entry = decode_gate_entry(data)
                if isinstance(entry, Execution):
                    yield index, entry

    def last_durable(self) -> int:
        """Index of the last entry that is durable; -1 before the first."""
        return self._log.journal.durable_size - 1

    async def durable(self, index: int) -> None:
        """See :meth:`GateLog.durable`."""
        await self._log.durable(index)


def authenticate_by(
    callers: Callers, refused: Callable[[int | None], None] = lambda _uid: None
) -> Authenticate:
    """The agent whose token it is, on a connection that is that agent's.

    On a Unix socket the user must be the agent's too, on TLS the client certificate. ``refused``
    hears of each logon of nobody, with the user id.
    """

    def authenticate(peer: Peer, token: str) -> str | None:
        found = agent(peer, token)
        if found is None:
            refused(peer.uid)
        return found

    def agent(peer: Peer, token: str) -> str | None:
        found = callers.by_token(token, peer.uid)
        if not isinstance(found, Caller) or found.role != "agent":
            return None
        if peer.transport == "unix" and peer.uid is None:
            return None
        if peer.transport == "tls":
            shown = callers.by_certificate(subject_uris(peer.certificate or b""))
            if not isinstance(shown, Caller) or shown.name != found.name:
                return None
        return found.name

    return authenticate


async def open_fix_front(
    settings: FixSettings,
    address: str,
    tls: Tls | None,
    gate: FixGate,
    callers: Callers,
    disk: Disk,
    clock: Clock,
    refused: Callable[[int | None], None] = lambda _uid: None,
) -> FixFront:
    """Open every bot's session and listen.

    Args:
        settings: of the gate's configuration.
        address: where to listen, absolute.
        tls: files for TLS, absolute; None: plain.
        gate: what takes the orders.
        callers: who may ask.
        disk: where the sessions' files are.
        clock: the gate's.
        refused: hears of each logon of nobody, with the user id.

    Raises:
        ConfigurationInvalid: a session or an address that cannot be used.
        StorageFailed: a session's file cannot be read.
    """
    bots = [
        BotSession(one.comp_id, settings.sender, one.agent, one.venue, one.account, one.reset)
        for one in settings.sessions
    ]
    front = await FixFront.open(bots, disk, gate, clock, authenticate_by(callers, refused))
    await front.listen([Listener(address, tls=tls)])
    return front


async def open_fix_venue(
    located: Located, settings: VenueSettings, disk: Disk, clock: Clock
) -> FixVenue:
    """A connector to a venue that speaks FIX, connecting from now on.

    A venue that takes permits is one of ours in kind: it names agents and lists open orders.

    Raises:
        ConfigurationInvalid: the credential or a file of TLS cannot be used.
        StorageFailed: the session's file cannot be read.
    """
    terms = FixVenueTerms(
        name=settings.name,
        address=located.address(settings.address),
        own_comp_id=settings.sender,
        venue_comp_id=settings.target,
        username=settings.account,
        password=located.secret(settings.credential_file).decode("ascii"),
        agent_sub_id=settings.takes_permits,
        mass_status=settings.takes_permits,
        permit_tag=PERMIT_TAG if settings.takes_permits else 0,
        answer_wait_s=settings.timeout_ms / 1000,
        tls=None if settings.tls is None else venue_context(fix_tls(located, settings.tls)),
        server_name="" if settings.tls is None else settings.tls.server_name,
    )
    venue = await FixVenue.open(terms, disk, clock)
    venue.start()
    return venue


def fix_tls(located: Located, settings: VenueTlsSettings) -> VenueTls:
    """The files of a venue's TLS, absolute. Raises ConfigurationInvalid: a key others can read."""
    if settings.key:
        located.secret(settings.key)
    return VenueTls(
        ca=located.file(settings.ca),
        server_name=settings.server_name,
        certificate=located.file(settings.certificate) if settings.certificate else None,
        key=located.file(settings.key) if settings.key else None,
    )
