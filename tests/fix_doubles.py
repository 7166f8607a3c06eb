# SPDX-License-Identifier: Apache-2.0
"""A FIX connector and the paper venue's FIX side around a desk, and a counterpart by hand."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix.codec import FixMessage, Framer, encode, parse, write_time
from sekisho.adapters.venues.fix import FixVenue, FixVenueTerms
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_fix import PERMIT_TAG, PaperFixSide
from sekisho.adapters.web.listening import Listener
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import NotAuthorised, StorageFailed
from sekisho.core.events import Execution
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.gatekeeper import Answer
from tests.paper_doubles import CREDENTIAL, Desk


def venue_terms(address: str, **changes: Any) -> FixVenueTerms:
    """How a gate reaches the paper venue by FIX."""
    fields: dict[str, Any] = {
        "name": "PAPER",
        "address": address,
        "own_comp_id": "GATE1",
        "venue_comp_id": "PAPER",
        "password": CREDENTIAL,
        "permit_tag": PERMIT_TAG,
        "mass_status": True,
    }
    return FixVenueTerms(**(fields | changes))


def paper_side(desk: Desk, disk: FolderDisk, refused: list[str]) -> PaperFixSide:
    """The FIX side of a desk's venue; the credential is GATE1's."""

    def knock(credential: str) -> tuple[str, PaperVenue]:
        if not desk.venue.knows(credential):
            refused.append("unknown credential")
            raise NotAuthorised("unknown credential")
        return "GATE1", desk.venue

    return PaperFixSide("PAPER", disk, desk.clock, "1-", knock, refused.append)


@asynccontextmanager
async def over_fix(desk: Desk) -> AsyncIterator[FixVenue]:
    """FIX 4.4 over loopback."""
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = FolderDisk(Path(folder, "venue")), FolderDisk(Path(folder, "gate"))
        side = paper_side(desk, theirs, [])
        address = await side.start(Listener("127.0.0.1:0"), ("GATE1",))
        venue = await FixVenue.open(venue_terms(address), ours, desk.clock)
        venue.start()
        try:
            await venue.logged_on(10)
            yield venue
        finally:
            await venue.close()
            await side.close()
            theirs.close()
            ours.close()


class FakeGate:
    """A gate that answers by the order's id, and reports executions as the log would."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.log: list[Execution] = []
        self.flushed = -1
        self.cancelled: tuple[list[str], list[str]] = (["o-1"], [])
        self.broken = False
        self.silent = False
        """The venue says nothing: orders are permitted, and no execution follows."""
        self._listeners: list[Callable[[int, Execution], None]] = []

    async def submit(self, agent: str, body: bytes) -> Answer:
        plain = parse_plain(body)
        self.bodies.append(plain)
        name = plain["client_order_id"]
        if name in self.answers:
            return self.answers[name]
        if self.silent:
            return Answer(kind="permitted", decision=len(self.log) - 1, order_state="unknown")
        about = plain.get("orig_client_order_id", name)
        kinds = {"new": "new", "amend": "replaced", "cancel": "canceled"}
        told = about if plain["action"] == "cancel" else name
        leaves = "0" if plain["action"] == "cancel" else plain.get("quantity", "0")
        self.execute(told, kinds[plain["action"]], leaves=leaves)
        state = "closed" if plain["action"] == "cancel" else "open"
        self.answers[name] = Answer(kind="permitted", decision=len(self.log) - 2, order_state=state)
        return self.answers[name]

    async def cancel_all(self, agent: str, client_order_id: str) -> tuple[list[str], list[str]]:
        return self.cancelled

    def on_execution(
        self, listener: Callable[[int, Execution], None], passed: Callable[[int], None]
    ) -> None:
        self._listeners.append(listener)
        self.passed = passed

    def executions(self, after: int) -> Iterable[tuple[int, Execution]]:
        return [(index, one) for index, one in enumerate(self.log) if index > after]

    def last_durable(self) -> int:
        return len(self.log) - 1

    async def durable(self, index: int) -> None:
        self.flushed = max(self.flushed, index)
        if self.broken:
            raise StorageFailed("the log is broken")

    def execute(self, name: str, exec_type: Any, last: str = "0", leaves: str = "0") -> None:
        entry = Execution(
            at="",
            agent="fx",
            venue="PAPER",
            client_order_id=name,
            venue_order_id="v-1",
            exec_id=f"e-{len(self.log)}",
            exec_type=exec_type,
            last_quantity=last,
            last_price="1.1" if last != "0" else "0",
            cum_quantity=last,
            leaves_quantity=leaves,
            counterparty="PAPER",
            reason="",
            transact_at=format_instant(0),
        )
        self.log.append(entry)
        for listener in self._listeners:
            listener(len(self.log) - 1, entry)


class Counterpart:
    """The other side of a FIX connection, by hand: it numbers and reads, and knows nothing."""

    def __init__(self, own: str, peer: str, clock: Clock) -> None:
        self.own, self.peer, self.clock = own, peer, clock
        self.next_out = 1
        self._framer = Framer()

    def message(self, kind: str, *body: tuple[int, str], **header: Any) -> bytes:
        """The next message. ``number`` and ``fields`` replace number and further header."""
        number = header.get("number")
        if number is None:
            number, self.next_out = self.next_out, self.next_out + 1
        head = [
            (49, header.get("sender", self.own)),
            (56, self.peer),
            (34, str(number)),
            (52, header.get("sent") or write_time(self.clock.now_ns())),
            *header.get("fields", ()),
        ]
        return encode(kind, head, body)

    def logon(self, *body: tuple[int, str], **header: Any) -> bytes:
        """A logon with a heartbeat of 30 s."""
        return self.message("A", (98, "0"), (108, "30"), *body, **header)

    def read(self, data: bytes) -> list[FixMessage]:
        """What the session said."""
        return [parse(body) for body in self._framer.feed(data)]
