# SPDX-License-Identifier: Apache-2.0
"""A control plane over two operators, each with a real authority on simulated ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import httpx2

from sekisho.adapters.policy_yaml import read_yaml
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.adapters.zones import zone_offsets
from sekisho.apps.control_api import ControlApi
from sekisho.apps.control_application import control_application
from sekisho.apps.control_document import control_document
from sekisho.apps.control_routes import ServerHandlers, control_routes
from sekisho.core.governance.access import PEOPLE, Role
from sekisho.core.governance.document import Registration, read_policy
from sekisho.core.governance.operator_limits import read_limits_document
from sekisho.services.apikeys import ApiKeys
from sekisho.services.controldesk import ControlDesk
from sekisho.services.governancedesk import GovernanceDesk, LimitsTaken
from sekisho.services.notes import NoteDesk
from sekisho.services.peopledesk import PeopleDesk
from sekisho.services.repeatable import Repeatable
from tests.authority_world import START, AuthorityWorld
from tests.control_doubles import MemoryTables
from tests.unit.core.governance import samples

OPERATORS = ("acme", "beta")


class HostedDouble:
    """One operator as compose would make it."""

    def __init__(
        self, world: AuthorityWorld, name: str = "acme", tables: MemoryTables | None = None
    ) -> None:
        tables = tables or MemoryTables()
        self.world = world
        self.registrations: dict[str, Registration] = {}
        self.desk = ControlDesk(world.authority, self._registration)
        self.public = world.authority.public
        self.governance = GovernanceDesk(world.authority)
        self.people = PeopleDesk(world.authority, self._registration, _no_issue)
        self.notes = NoteDesk(world.authority.log, tables, SeededEntropy(b"notes"), name)
        self.failing: Exception | None = None

    def _registration(self, digest: str) -> Registration:
        return self.registrations[digest]

    async def register(self, document: bytes, media_type: str) -> str:
        """Register a document, or fail as a dying disk does."""
        if self.failing is not None:
            raise self.failing
        registration = read_policy(
            document,
            form="json" if media_type == "application/json" else "yaml",
            registered_at_ns=self.world.clock.now_ns(),
            zone_offsets=zone_offsets,
            read_yaml=read_yaml,
        )
        return await self.take(registration)

    async def register_limits(self, document: bytes, media_type: str) -> LimitsTaken:
        """Register a document of limits."""
        form: Any = "json" if media_type == "application/json" else "yaml"
        registration = read_limits_document(document, form=form, read_yaml=read_yaml)
        return await self.governance.register_limits(registration)

    async def take(self, registration: Registration) -> str:
        """Register what was read already."""
        self.registrations[registration.sha256] = registration
        return await self.world.authority.register_policy(registration)


async def _no_issue(_: Any) -> Any:
    raise AssertionError("nothing is issued here")


class ControlWorld:
    """The application, its operators, and keys for each role."""

    def __init__(
        self,
        clock: SteppedClock,
        operators: dict[str, HostedDouble],
        tables: MemoryTables | None = None,
    ) -> None:
        self.clock = clock
        self.operators = operators
        self.tables = tables or MemoryTables()
        self.owner = False
        self.missing: tuple[str, ...] = ()
        self.said: list[tuple[str, str, str, int]] = []
        self.keys = ApiKeys(self.tables, clock, SeededEntropy(b"keys"), self._roster)
        self.api = ControlApi(
            hosted=operators.get,
            owner=self._is_owner,
            keys=self.keys,
            repeatable=Repeatable(self.tables, clock),
            entropy=SeededEntropy(b"requests"),
            said=lambda *what: self.said.append(what),
        )
        self.server = ServerHandlers(
            self.keys, lambda: tuple(sorted(operators)), lambda: self.missing, control_document()
        )
        self.count = 0

    @classmethod
    async def start(cls) -> Self:
        """Found both."""
        clock = SteppedClock(START)
        tables = MemoryTables()
        operators = {
            name: HostedDouble(await AuthorityWorld.start(clock=clock), name, tables)
            for name in OPERATORS
        }
        return cls(clock, operators, tables)

    def client(self, routes: Any = None) -> httpx2.AsyncClient:
        """Speaks to the application."""
        app = control_application(routes or control_routes(self.api, self.server))
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://authority")

    async def bearer(self, role: Role, operator: str = "acme") -> dict[str, str]:
        """Headers of a key of this role."""
        own = "" if role == "issuer_admin" else operator
        made = await self.keys.make(own, role, seat_of(role), 30)
        return {"authorization": f"Bearer {made.presented}"}

    def fresh(self) -> dict[str, str]:
        """Headers of a request that was not made before."""
        self.count += 1
        return {"idempotency-key": f"request-{self.count}"}

    def _roster(self, operator: str) -> Any:
        found = self.operators.get(operator)
        return None if found is None else found.world.authority.roster

    def _is_owner(self, _: Mapping[str, Any]) -> bool:
        return self.owner


def seat_of(role: Role) -> str:
    """A seat of the samples' roster with this role; empty for a machine's."""
    if role not in PEOPLE:
        return ""
    return next(one.seat for one in samples.ROSTER.seats if one.role == role)
