# SPDX-License-Identifier: Apache-2.0
"""Two gates at one paper venue, each with a credential and an account of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.signers.opening import open_signer
from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.core.encoding import b64url, canonical, sha256_hex
from sekisho.core.events import Execution, IncidentOpened, VenueReconciled
from sekisho.core.gate.permit import CONTEXT, HEADER, assemble, permit_id, read_permit
from sekisho.core.terms import NS, format_instant
from sekisho_client import Permitted, Refused
from tests.processes import (
    AGENTS,
    COMMAND,
    GATES,
    World,
    assert_each_permit_recorded,
    new_order,
    venue_took,
    world,
)

BOT_OF = dict(zip(GATES, AGENTS, strict=True))
ORDERS = 12

# The connection layer of the client leaves a socket that was refused to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def alone(here: World, gate: str) -> None:
    """Leave this gate's own agent alone in its configuration."""
    path = here.folder / gate / "gate.toml"
    head, *tables = path.read_text("utf-8").split("\n[[")
    other = next(name for one, name in BOT_OF.items() if one != gate)
    kept = [one for one in tables if not one.startswith("agents]]") or f'"{other}"' not in one]
    path.write_text("\n[[".join([head, *kept]), encoding="utf-8")


@pytest.fixture
def both() -> Iterator[World]:
    """An authority, a venue and two gates that permit, each for an agent of its own."""
    with world() as made:
        made.start("authority", COMMAND, "serve", "--home", made.home)
        made.start("venue", COMMAND, "paper-venue", "--home", made.home)
        for gate, bot in BOT_OF.items():
            alone(made, gate)
            made.start_gate(gate)
            made.wait_ready(gate, bot)
        yield made


def ask(here: World, gate: str, name: str, **changes: Any) -> Any:
    """One order of the gate's agent; its answer."""
    with here.client(gate, BOT_OF[gate]) as bot:
        return bot.orders.submit(canonical(new_order(name, **changes)))


def trade(here: World, gate: str) -> list[str]:
    """Orders that fill and orders that rest, one after the other; their states."""
    prices = ("1.2", "1.1")
    states = []
    for number in range(ORDERS):
        answer = ask(here, gate, f"{gate}-{number}", price=prices[number % 2], quantity="100")
        assert isinstance(answer, Permitted), answer
        states.append(answer.order_state)
    return states


def venue_of(here: World, gate: str) -> dict[str, Any]:
    """What the gate says of its venue."""
    code, said = here.sekisho("gate", "status", "--config", here.folder / gate / "gate.toml")
    return {"code": code, "latched": "LATCHED" in said, "said": said}


def outside(here: World, gate: str, told: Permitted) -> str:
    """A permit of the gate's agent that no gate signed: its key and a status were stolen."""
    permit = read_permit(str(told.permit))
    keys = here.folder / gate / "keys"
    (key,) = (keys / "agents").glob(f"{BOT_OF[gate]}-*.key")
    now, index = SystemClock().now_ns(), permit.log_index + 1_000
    plain: dict[str, Any] = msgspec.to_builtins(permit)
    plain |= {
        "permit_id": permit_id(permit.log_origin, index),
        "log_index": index,
        "order": dict(permit.order) | {"client_order_id": "outside"},
        "issued_at": format_instant(now),
        "expires_at": format_instant(now + NS),
    }
    message = f"{b64url(HEADER)}.{b64url(CONTEXT + canonical(plain))}".encode("ascii")
    signer = open_signer(f"file:{key}", passphrase_file=keys / "passphrase")
    return assemble(message, asyncio.run(signer.sign(message)))


def bring(here: World, credential: str, permit: str) -> list[str]:
    """Present a permit at the venue with a credential; what it said."""

    async def story() -> list[str]:
        address = f"unix:{here.home}/paper/venue.sock"
        venue = PaperHttpVenue("PAPER", address, credential, timeout_s=10)
        try:
            return [one.reason or one.exec_type for one in await venue.submit(permit)]
        finally:
            await venue.close()

    return asyncio.run(story())


@pytest.mark.slow
def test_two_gates_trade_at_one_venue_at_the_same_time_and_none_latches(both: World) -> None:
    """Each drop copy is of its own account: what the other trades is no fill without a permit."""
    digests = [sha256_hex(both.credential(gate).encode("ascii")) for gate in GATES]
    assert 2 == len(set(digests))
    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda gate: trade(both, gate), GATES))
    assert [["closed", "open"] * (ORDERS // 2)] * 2 == states
    for gate in GATES:
        read_whole(both, gate)
        found = venue_of(both, gate)
        assert (0, False) == (found["code"], found["latched"]), found["said"]
    assert [0, 0] == [both.end(gate) for gate in GATES]
    for gate in GATES:
        entries = both.ledger(gate)
        assert [] == [one for one in entries if isinstance(one, IncidentOpened)]
        agents = {one.agent for one in entries if isinstance(one, Execution)}
        assert {BOT_OF[gate]} == agents
        assert any(isinstance(one, VenueReconciled) for one in entries)
    assert 2 * ORDERS == len(venue_took(both))
    assert_each_permit_recorded(both, *GATES)


@pytest.mark.slow
def test_trade_with_a_gates_credential_outside_of_it_latches_that_gate_alone(both: World) -> None:
    """The account's drop copy tells the gate whose credential it was, and no other."""
    told = ask(both, "gate-b", "inside", price="1.2")
    assert isinstance(told, Permitted)
    permit = outside(both, "gate-b", told)
    assert ["new", "trade"] == bring(both, both.credential("gate-b"), permit)
    both.wait_for(lambda: venue_of(both, "gate-b")["latched"], "gate-b to latch its venue")
    refused = ask(both, "gate-b", "after", price="1.2")
    assert isinstance(refused, Refused)
    assert "venue PAPER is latched" in str(refused.reasons)
    read_whole(both, "gate-a")
    assert (0, False) == (venue_of(both, "gate-a")["code"], venue_of(both, "gate-a")["latched"])
    assert isinstance(ask(both, "gate-a", "still", price="1.2"), Permitted)
    assert [0, 0] == [both.end(gate) for gate in GATES]
    assert [] == [one for one in both.ledger("gate-a") if isinstance(one, IncidentOpened)]
    (incident,) = [one for one in both.ledger("gate-b") if isinstance(one, IncidentOpened)]
    assert ("unpermitted_order", "PAPER") == (incident.factor, incident.observed)


@pytest.mark.slow
def test_venue_started_again_has_its_book_and_every_gate_goes_on(both: World) -> None:
    """What rested rests, its fill and its cancel are told; no gate is latched or in doubt."""
    for gate in GATES:
        assert "open" == ask(both, gate, f"rests-{gate}").order_state
    both.kill("venue")
    both.start_venue()
    for gate in GATES:
        both.wait_ready(gate, BOT_OF[gate])
        cancel = {"action": "cancel", "client_order_id": f"gone-{gate}"}
        with both.client(gate, BOT_OF[gate]) as bot:
            told = bot.orders.submit(canonical(cancel | {"orig_client_order_id": f"rests-{gate}"}))
            assert isinstance(told, Permitted), told
        both.wait_for(partial(_closed, both, gate), "the cancel to be told")
        found = venue_of(both, gate)
        assert (False, False) == (found["latched"], "keeps its" in found["said"]), found["said"]
    assert [] == both.venue_told("cancelled")[2:]
    assert [0, 0] == [both.end(gate) for gate in GATES]
    assert_each_permit_recorded(both, *GATES)


def _closed(here: World, gate: str) -> bool:
    with here.client(gate, BOT_OF[gate]) as bot:
        return getattr(bot.orders.get(f"rests-{gate}"), "order_state", "") == "closed"


def read_whole(here: World, gate: str) -> None:
    """Start the gate anew: it permits once it has read its drop copy from the beginning."""
    assert 0 == here.end(gate)
    here.start_gate(gate)
    here.wait_ready(gate, BOT_OF[gate])
