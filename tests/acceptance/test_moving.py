# SPDX-License-Identifier: Apache-2.0
"""An agent that an operator moves takes its history with it: processes of everybody concerned.

Used volume, ids and latches stay used and on; a gate that cannot hand over keeps the agent refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.compose import OPERATOR_SEAT, RISK_SEAT
from sekisho.core.encoding import canonical
from sekisho.core.events import HistoryGiven, HistoryPart
from sekisho_client import Permitted, Refused
from sekisho_verify import cli
from tests.processes import (
    World,
    assert_each_permit_recorded,
    new_order,
    venue_took,
    world,
)

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SIXTY = ("20000", "20000", "20000")
"""Orders that use 60 % of the day's cap."""


@pytest.fixture
def running() -> Iterator[World]:
    """An authority, a venue and a gate that permits."""
    with world() as made:
        made.start_all()
        yield made


def ask(here: World, name: str, gate: str, **changes: Any) -> Any:
    """One attempt on a connection of its own; its answer."""
    with here.client(gate) as bot:
        return bot.orders.submit(canonical(new_order(name, **changes)))


def codes(answer: Any) -> set[str]:
    """Reasons of a refusal."""
    assert isinstance(answer, Refused), answer
    return {one.code for one in answer.reasons}


def awaited(answer: Any) -> bool:
    """Whether the gate says that the agent's history is not here."""
    return isinstance(answer, Refused) and any(
        one.observed.startswith("history at gate") for one in answer.reasons
    )


def move(here: World, gate: str) -> tuple[int, str]:
    """The operator assigns the agent."""
    return here.people("assign", OPERATOR_SEAT, gate=gate)


def begun(here: World, gate: str, prefix: str, **changes: Any) -> Any:
    """The first answer of a gate that knows the agent's history."""
    numbers = iter(range(1000))

    def look() -> Any:
        answer = ask(here, f"{prefix}-{next(numbers)}", gate, **changes)
        waits = (
            awaited(answer) or codes(answer) & {"agent_not_active", "lease_expired"}
            if (isinstance(answer, Refused))
            else not isinstance(answer, Permitted)
        )
        return None if waits else answer

    return here.wait_for(look, f"{gate} to know the agent")


@pytest.mark.slow
def test_moved_agent_stays_latched_also_when_its_gate_was_killed_on_the_way(
    running: World,
) -> None:
    """A shutdown order goes with it; the gate before dies before it hands over, and does later."""
    running.start_gate("gate-b")
    assert isinstance(ask(running, "before", "gate-a"), Permitted)
    code, said = shut_down(running, "gate-a")
    assert 0 == code, said
    running.kill("gate-a")
    code, said = move(running, "gate-b")
    assert (1, True) == (code, "has not handed over" in said), said
    numbers = iter(range(1000))
    running.wait_for(lambda: awaited(ask(running, f"w-{next(numbers)}", "gate-b")), "a refusal")
    running.kill("gate-b")
    running.start_gate("gate-a")
    running.start_gate("gate-b")
    answer = begun(running, "gate-b", "latched")
    assert "action_not_permitted" in codes(answer), answer
    again = ask(running, "before", "gate-b")
    assert isinstance(again, Permitted), again
    code, said = move(running, "gate-a")
    assert 0 == code, said
    assert "action_not_permitted" in codes(begun(running, "gate-a", "back"))
    assert ["before"] == list(venue_took(running).values())
    ended = [running.end(name) for name in ("gate-a", "gate-b", "venue", "authority")]
    assert [0, 0, 0, 0] == ended
    assert [0, 0] == [verified(running, gate) for gate in ("gate-a", "gate-b")]


def shut_down(here: World, gate: str) -> tuple[int, str]:
    """People leave cancels alone to the agent."""
    settings = ("--gate-config", here.folder / gate / "gate.toml", "--home", here.home)
    key = here.home / "people" / f"{RISK_SEAT}.key"
    signed = ("--seat", RISK_SEAT, "--key", key, "--reason", "test_reason")
    what = ("--agent", "steady", "--mode", "cancel-only")
    return here.sekisho("shutdown", *what, *settings, *signed)


def verified(here: World, gate: str) -> int:
    """The verifier's word on a bundle of this gate."""
    bundle, settings = here.folder / f"bundle-of-{gate}", here.folder / gate / "gate.toml"
    period = ("--from", "2026-01-01T00:00:00Z", "--to", "2126-01-01T00:00:00Z")
    where = ("--home", here.home, "--gate-config", settings, "--out", bundle)
    exported = here.sekisho("export", "--agent", "steady", *period, *where)
    assert 0 == exported[0], exported
    return cli.main([str(bundle), "--root", str(here.home / "root.pem")])


def test_moved_agent_has_used_its_cap_and_its_ids(running: World) -> None:
    """Sixty per cent at one gate and sixty at the other are refused; a retry is not a new order."""
    for number, quantity in enumerate(SIXTY):
        answer = ask(running, f"first-{number}", "gate-a", quantity=quantity, price="1.2")
        assert isinstance(answer, Permitted), answer
    running.start_gate("gate-b")
    code, said = move(running, "gate-b")
    assert 0 == code, said
    second = begun(running, "gate-b", "more", quantity="24000", price="1.2")
    assert isinstance(second, Permitted), second
    over = ask(running, "over", "gate-b", quantity="24000", price="1.2")
    assert "daily_volume_cap_exceeded" in codes(over)
    again = ask(running, "first-0", "gate-b", quantity=SIXTY[0], price="1.2")
    assert isinstance(again, Permitted), again
    assert "duplicate_order_id" in codes(ask(running, "first-1", "gate-b", quantity="1"))
    ended = [running.end(name) for name in ("gate-a", "gate-b", "venue", "authority")]
    assert [0, 0, 0, 0] == ended
    (given,) = [one for one in running.ledger() if isinstance(one, HistoryGiven)]
    parts = [one for one in running.ledger("gate-b") if isinstance(one, HistoryPart)]
    assert {given.history_sha256} == {one.history_sha256 for one in parts}
    assert 1 == list(venue_took(running).values()).count("first-0")
    for gate in ("gate-a", "gate-b"):
        assert 0 == verified(running, gate)
    assert_each_permit_recorded(running, "gate-a", "gate-b")


def declare_lost(here: World, *seats: str) -> tuple[int, str]:
    """These people say that gate-a is gone, and that the agent holds 500.00 short."""
    keys = ",".join(str(here.home / "people" / f"{seat}.key") for seat in seats)
    what = ("--agent", "steady", "--gate", "gate-b", "--history-lost", "--ids-from", "gen2-")
    signed = ("--seat", ",".join(seats), "--key", keys, "--reason", "gate_destroyed")
    held = ("--position", "EUR/USD=-500.00")
    return here.sekisho("assign", "--home", here.home, *what, *held, *signed)


@pytest.mark.slow
def test_agent_of_a_gate_that_is_gone_begins_at_another_and_trades_not_today(
    running: World,
) -> None:
    """Killed, its folder deleted: refused while its lease runs and to one person, then begun."""
    running.start_gate("gate-b")
    assert isinstance(ask(running, "before", "gate-a"), Permitted)
    running.kill("gate-a")
    shutil.rmtree(running.folder / "gate-a")
    code, said = declare_lost(running, OPERATOR_SEAT, RISK_SEAT)
    assert (1, True) == (code, "may sign" in said), said
    code, said = move(running, "gate-b")
    assert (1, True) == (code, "has not handed over" in said), said
    code, said = declare_lost(running, OPERATOR_SEAT)
    assert (1, True) == (code, "2 people of different roles" in said), said
    said = running.wait_for(lambda: lost_at_last(running), "its last lease to end")
    assert "HISTORY LOST" in said
    answer = begun(running, "gate-b", "gen2")
    found = [one.observed for one in answer.reasons]
    assert any(one.startswith("history was declared lost: nothing new on") for one in found), found
    assert {"control_unavailable", "daily_volume_cap_exceeded"} <= codes(answer)
    old = ask(running, "before", "gate-b")
    assert "duplicate_order_id" in codes(old)
    ended = [running.end(name) for name in ("gate-b", "venue", "authority")]
    assert [0, 0, 0] == ended
    assert 0 == verified(running, "gate-b")
    assert ["before"] == list(venue_took(running).values())


def lost_at_last(here: World) -> str | None:
    """What two people are told when the lease of the gate is over."""
    code, said = declare_lost(here, OPERATOR_SEAT, RISK_SEAT)
    assert code == 0 or "may sign" in said, said
    return None if code else said
