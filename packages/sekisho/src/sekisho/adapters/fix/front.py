# SPDX-License-Identifier: Apache-2.0
"""The gate's FIX front: bots log on, each to a session of its own (docs/spec/fix.md section 3).

A bot is who presents the agent's token as Password on a connection that the agent may use; CompIDs
say which session is meant, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sekisho.adapters.fix.acceptor import Admitted, FixAcceptor
from sekisho.adapters.fix.bot_desk import BotDesk
from sekisho.adapters.fix.bot_news import BotGate
from sekisho.adapters.fix.codec import FixMessage
from sekisho.adapters.fix.dictionary import Tag
from sekisho.adapters.fix.store import FixStore
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.peers import Peer
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import NAME
from sekisho.ports import Clock, Disk

Authenticate = Callable[[Peer, str], str | None]
"""The agent whose token this is, on this connection; None: nobody's."""


@dataclass(frozen=True, slots=True)
class BotSession:
    """One bot's session, as configured.

    Attributes:
        comp_id: the bot's, SenderCompID of what it sends.
        own_comp_id: the gate's.
        agent: whose orders come here; its name is the Username.
        venue: where an order goes that names none (ExDestination).
        account: of an order that names none; empty: none.
        reset: whether the bot may begin both sequences anew at a logon.
    """

    comp_id: str
    own_comp_id: str
    agent: str
    venue: str
    account: str = ""
    reset: bool = False


class FixFront:
    """All bots' sessions of one gate. Made by :meth:`open`."""

    def __init__(
        self,
        desks: dict[tuple[str, str], tuple[BotSession, BotDesk]],
        clock: Clock,
        authenticate: Authenticate,
    ) -> None:
        self.acceptors: list[FixAcceptor] = []
        self._desks = desks
        self._clock = clock
        self._authenticate = authenticate

    @classmethod
    async def open(
        cls,
        bots: Sequence[BotSession],
        disk: Disk,
        gate: BotGate,
        clock: Clock,
        authenticate: Authenticate,
    ) -> FixFront:
        """Read every session's file, and go on where the gate's log is.

        Raises:
            ConfigurationInvalid: two sessions have the same CompIDs or agent, or an odd CompID.
            StorageFailed: a file cannot be read.
        """
        desks: dict[tuple[str, str], tuple[BotSession, BotDesk]] = {}
        agents: set[str] = set()
        for bot in bots:
            key = (bot.comp_id, bot.own_comp_id)
            if key in desks or bot.agent in agents:
                raise ConfigurationInvalid(f"{bot.comp_id}: one session a CompID and an agent")
            if not all(NAME.fullmatch(name) for name in key):
                raise ConfigurationInvalid(f"{key}: a CompID is letters, digits and . _ @ -")
            store = await FixStore.open(disk, f"fix-bot-{bot.agent}")
            desks[key] = (bot, BotDesk(bot, store, gate, clock))
            agents.add(bot.agent)
        for _, desk in desks.values():
            desk.start()
        return cls(desks, clock, authenticate)

    async def listen(self, listeners: Sequence[Listener]) -> None:
        """Take connections. Raises ConfigurationInvalid."""
        for listener in listeners:
            acceptor = FixAcceptor(listener, self._clock, self._admit)
            await acceptor.start()
            self.acceptors.append(acceptor)

    async def close(self) -> None:
        """Log all bots out; requests under way end first in the store, then nothing is told."""
        for acceptor in self.acceptors:
            await acceptor.close()
        for _, desk in self._desks.values():
            await desk.close()

    def _admit(self, message: FixMessage, peer: Peer) -> Admitted | str:
        """The session of a logon, or why there is none; never with the token in it."""
        key = (message.header[Tag.SenderCompID], message.header[Tag.TargetCompID])
        if message.kind != "A":
            return f"{key}: the first message is not a logon"
        found = self._desks.get(key)
        if found is None:
            return f"{key}: no session has these CompIDs"
        bot, desk = found
        agent = self._authenticate(peer, message.get(Tag.Password))
        if agent != bot.agent or message.get(Tag.Username) != bot.agent:
            return f"{key}: Username and Password are not those of {bot.agent} on this connection"
        return Admitted(desk.session, desk.deliver)
