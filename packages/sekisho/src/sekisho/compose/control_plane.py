# SPDX-License-Identifier: Apache-2.0
"""The control plane of a served home: its operators, its keys, its tables.

The home itself is the first operator, under the name of its settings; further ones are homes in
``operators/``. Keys and answers to be repeated are in ``control.db`` of the home, or in the
database of the settings; the log is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from sekisho.adapters.json_log import Teller
from sekisho.adapters.stores.control import DatabaseControl
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.compose.documents import read_limits, read_registration
from sekisho.compose.home import Home
from sekisho.compose.home_store import Store
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.roster import Roster
from sekisho.services.apikeys import ApiKeys
from sekisho.services.authority import Authority
from sekisho.services.controldesk import ControlDesk
from sekisho.services.governancedesk import GovernanceDesk, LimitsTaken
from sekisho.services.notes import NoteDesk
from sekisho.services.peopledesk import PeopleDesk
from sekisho.services.publicdesk import PublicDesk
from sekisho.services.remotegates import RemoteGates
from sekisho.services.repeatable import Repeatable
from sekisho.storeports import ControlTables

CONTROL = "control.db"
FORGET_S = 600.0


class LinkedCallers(Protocol):
    """Who is at the other end of a connection."""

    def gates(self, scope: Mapping[str, Any]) -> frozenset[str]:
        """Gates in whose name it may ask."""
        ...

    def owner(self, scope: Mapping[str, Any]) -> bool:
        """Whether it is the authority's own user."""
        ...


class Linked(NamedTuple):
    """What the link of one operator's gates is made of."""

    authority: Authority
    gates: RemoteGates
    desk: PeopleDesk
    callers: LinkedCallers


class HostedHome:
    """A home as the control plane sees an operator."""

    def __init__(self, home: Home, people: PeopleDesk, tables: ControlTables) -> None:
        self._home = home
        self.notes = NoteDesk(home.authority.log, tables, home.around.entropy, home.config.operator)
        self.people = people
        self.desk = ControlDesk(home.authority, home.registration)
        self.governance = GovernanceDesk(home.authority)

    async def register_limits(self, document: bytes, media_type: str) -> LimitsTaken:
        """Register a document of limits. Raises MalformedInput, NotAuthorised."""
        form: Literal["json", "yaml"] = "json" if media_type == "application/json" else "yaml"
        return await self.governance.register_limits(read_limits(document, form))

    async def register(self, document: bytes, media_type: str) -> str:
        """Register a document as of now; its digest. Raises MalformedInput, NotAuthorised."""
        now = self._home.around.clock.now_ns()
        registration = read_registration(
            document, "json" if media_type == "application/json" else "yaml", now
        )
        return await self._home.authority.register_policy(registration)

    @property
    def public(self) -> PublicDesk:
        """What it publishes for strangers."""
        return self._home.authority.public

    @property
    def failed(self) -> bool:
        """Whether the operator's log takes nothing more."""
        return self._home.authority.log.journal.failed is not None

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        return self._home.authority.roster


class ControlPlane:
    """Made by :meth:`open`; closed with its server."""

    def __init__(self, store: Store, own: SqliteStore | None, home: Home) -> None:
        clock, entropy = home.around.clock, home.around.entropy
        tables = self.tables = DatabaseControl(store.fetch)
        self._own = own
        self._clock = clock
        self._operators: dict[str, HostedHome] = {}
        self._teller = Teller("control")
        self.keys = ApiKeys(tables, clock, entropy, self._roster)
        self.repeatable = Repeatable(tables, clock)
        self.owner: Callable[[Mapping[str, Any]], bool] = lambda _: False
        self.entropy = entropy

    @classmethod
    async def open(cls, home: Home) -> ControlPlane:
        """Open the tables of the server's own home; it hosts nobody yet.

        Raises:
            StorageFailed, ConfigurationInvalid: the tables cannot be opened.
        """
        own = None if home.store is not None else await SqliteStore.open(home.path / CONTROL)
        store = own or home.store
        if store is None:
            raise ConfigurationInvalid("there is no store for the keys of the control plane")
        return cls(store, own, home)

    def hosts(
        self, operators: dict[str, HostedHome], owner: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        """These operators from now on; ``owner``: whether a connection is the own user's."""
        self._operators, self.owner = operators, owner

    def hosted(self, operator: str) -> HostedHome | None:
        """An operator by its name."""
        return self._operators.get(operator)

    def operators(self) -> tuple[str, ...]:
        """Names of all operators."""
        return tuple(sorted(self._operators))

    def missing(self) -> tuple[str, ...]:
        """What keeps the server from doing all that it is for."""
        return tuple(
            f"{name}: its log takes nothing more"
            for name, one in sorted(self._operators.items())
            if one.failed
        )

    def said(self, request_id: str, route: str, caller: str, status: int) -> None:
        """A line of the operating log for each answer."""
        self._teller.tell(
            "request", request_id=request_id, route=route, caller=caller, status=status
        )

    async def run(self) -> None:
        """Forget what need not be repeated any more, until cancelled."""
        while True:
            await self.repeatable.forget_old()
            await self._clock.sleep(FORGET_S)

    async def close(self) -> None:
        """Let go of the tables; a store of the home is the home's to close."""
        if self._own is not None:
            await self._own.close()

    def _roster(self, operator: str) -> Roster | None:
        found = self._operators.get(operator)
        return None if found is None else found.roster
