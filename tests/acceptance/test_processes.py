# SPDX-License-Identifier: Apache-2.0
"""Authority, gate and venue as processes that are frozen, killed, moved and ended in good order.

What a bot is told is compared with what the venue lists and what the gate's log holds: the word of
the process under test is not believed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sekisho.compose import OPERATOR_SEAT, RISK_SEAT
from sekisho.core.encoding import canonical
from sekisho.core.events import (
    ClockObserved,
    Decision,
    GateEntry,
    GateOpened,
    LeaseHeld,
    PermitSigned,
    VenueReconciled,
    Withdrawn,
)
from sekisho_client import Permitted, PossiblyIssued, Refused, Unavailable, Unknown
from sekisho_verify import cli
from tests.processes import (
    LEASE_S,
    WAIT_S,
    World,
    assert_each_permit_recorded,
    decisions,
    new_order,
    pause,
    venue_took,
    world,
)

STEADY_BOT = Path(__file__).parents[2] / "examples" / "steady_bot.py"
MOVED = """\
import sys
from pathlib import Path

from sekisho.adapters.clocks import SystemClock

told = SystemClock.now_ns
moved = Path(sys.argv.pop(1))
SystemClock.now_ns = lambda clock: told(clock) + int(moved.read_text()) * 1_000_000_000

from sekisho.apps.cli import main

main()
"""
"""A gate whose wall clock is off by the seconds that a file holds."""

# The connection layer of the client leaves a socket that was refused to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def running() -> Iterator[World]:
    """An authority, a venue and a gate that permits."""
    with world() as made:
        made.start_all()
        yield made


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where a bot waits for an answer while the test goes on."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def ask(here: World, name: str, gate: str = "gate-a", **changes: Any) -> Any:
    """One attempt on a connection of its own; its answer."""
    with here.client(gate) as bot:
        return bot.orders.submit(canonical(new_order(name, **changes)))


def answered(here: World, name: str, gate: str = "gate-a") -> Any:
    """The same order again and again until its fate is told, as a bot must."""
    return here.wait_for(
        lambda: (
            None if isinstance(found := ask(here, name, gate), Unknown | Unavailable) else found
        ),
        f"an answer about {name}",
    )


def permitted_again(here: World, prefix: str, gate: str = "gate-a") -> None:
    """New orders until one is permitted."""
    numbers = iter(range(1000))
    here.wait_for(
        lambda: isinstance(ask(here, f"{prefix}-{next(numbers)}", gate), Permitted),
        f"an order to be permitted by {gate}",
    )


def state_of(here: World, name: str) -> str:
    """What the gate says of an order."""
    with here.client() as bot:
        found = bot.orders.get(name)
        return "" if found is None or isinstance(found, Unavailable) else found.order_state


def resolved(here: World, name: str) -> str:
    """Wait until the gate knows what became of an order; its state, as the venue lists it."""
    state = here.wait_for(
        lambda: found if (found := state_of(here, name)) in {"open", "closed"} else None,
        f"{name} to be resolved",
    )
    assert (state == "open") == (name in venue_took(here).values()), state
    return state


def codes(answer: Any) -> list[str]:
    """Reasons of a refusal."""
    assert isinstance(answer, Refused), answer
    return [one.code for one in answer.reasons]


def in_flight(here: World, aside: ThreadPoolExecutor, name: str) -> Future[Any]:
    """An order that the frozen venue has in its socket and has not answered."""
    here.freeze("venue")
    answer = aside.submit(ask, here, name)
    sent = {"signed", "unknown"}  # unknown once the gate's patience with the venue is over
    here.wait_for(lambda: state_of(here, name) in sent, f"{name} to leave the gate")
    return answer


def lives(entries: list[GateEntry]) -> list[list[GateEntry]]:
    """The log cut at each start of the gate."""
    starts = [at for at, one in enumerate(entries) if isinstance(one, GateOpened)]
    return [entries[a:b] for a, b in zip(starts, [*starts[1:], len(entries)], strict=True)]


def position(entries: list[GateEntry], kind: type[Any], **fields: Any) -> int:
    """Where the first entry of this kind is."""
    return next(
        at
        for at, one in enumerate(entries)
        if isinstance(one, kind) and all(getattr(one, k) == v for k, v in fields.items())
    )


def test_bot_at_work_is_stopped_by_a_kill_from_the_command_line(running: World) -> None:
    """A bot's process trades until it is killed; the bundle of its life is verified."""
    token = running.folder / "gate-a" / "keys" / "steady.token"
    told = f"--token-file {token} --price 1.1 --orders 10000 --quantity 100 --pause-s 0.02"
    gate = f"unix:{running.folder / 'gate-a' / 'gate.sock'}"
    running.start("bot", sys.executable, STEADY_BOT, "--gate", gate, *told.split())
    running.wait_for(lambda: len(venue_took(running)) > 4, "the bot to trade")
    code, said = running.people("kill", RISK_SEAT)
    assert (0, True) == (code, "0 not confirmed" in said), said
    assert 0 == running.running["bot"].wait(WAIT_S)
    last = running.said("bot").splitlines()[-2:]
    assert '"reasons": ["certificate_revoked"]' in last[0]
    assert '"in_doubt": ""' in last[1]
    assert [0, 0, 0] == [running.end(name) for name in ("gate-a", "venue", "authority")]
    took = set(venue_took(running).values())
    assert took == set(dict(running.venue_told("cancelled")))
    entries = running.ledger()
    # One that was decided when the kill came was withdrawn: nothing left the gate.
    withdrawn = {one.decision for one in entries if isinstance(one, Withdrawn)}
    left = [one for at, one in enumerate(entries) if at not in withdrawn]
    assert took == set(decisions(left, "permitted"))
    assert_each_permit_recorded(running)
    bundle, settings = running.folder / "bundle", running.folder / "gate-a" / "gate.toml"
    period = ("--from", "2026-01-01T00:00:00Z", "--to", "2126-01-01T00:00:00Z")
    where = ("--home", running.home, "--gate-config", settings, "--out", bundle)
    exported = running.sekisho("export", "--agent", "steady", *period, *where)
    assert 0 == exported[0], exported
    root = running.home / "root.pem"
    assert 0 == cli.main([str(bundle), "--root", str(root)])


def test_gate_killed_with_an_order_at_the_venue_sends_nothing_twice(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """Started again it reconciles before it permits, and what was under way is resolved."""
    assert "open" == ask(running, "before").order_state
    answer = in_flight(running, aside, "under-way")
    running.kill("gate-a")
    assert getattr(answer.result(), "order_state", "") in {"", "unknown"}
    running.thaw("venue")
    running.start_gate()
    assert isinstance(answered(running, "under-way"), Permitted | PossiblyIssued)
    resolved(running, "under-way")
    permitted_again(running, "after")
    assert "open" == state_of(running, "before")
    assert 0 == running.end("gate-a")
    assert "before" in venue_took(running).values()
    assert_each_permit_recorded(running)
    second = lives(running.ledger())[1]
    first_permit = position(second, Decision, verdict="permitted")
    assert position(second, VenueReconciled) < first_permit


@pytest.mark.slow
def test_gate_killed_in_a_burst_loses_and_repeats_nothing(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """Killed at any moment of forty orders: each is executed once, and its bot learns of it."""
    names = [f"burst-{number:02d}" for number in range(40)]
    told = aside.submit(lambda: [answered(running, name) for name in names])
    running.wait_for(lambda: len(venue_took(running)) > 5, "a few orders at the venue")
    running.kill("gate-a")
    running.start_gate()
    kinds = {type(one) for one in told.result()}
    # An order that came before the new lease is refused for good; none is in doubt.
    assert kinds <= {Permitted, PossiblyIssued, Refused}
    running.wait_for(
        lambda: not {state_of(running, name) for name in names} & {"unknown", "signed"},
        "every order to be resolved",
    )
    assert 0 == running.end("gate-a")
    assert_each_permit_recorded(running)
    entries = running.ledger()
    assert set(decisions(entries)) == set(names)
    assert set(venue_took(running).values()) <= set(decisions(entries, "permitted"))
    for one in lives(entries):
        permits = [at for at, entry in enumerate(one) if isinstance(entry, PermitSigned)]
        assert all(position(one, VenueReconciled) < at for at in permits)


def without_lease(here: World, prefix: str) -> None:
    """New orders until they are refused, for the end of the lease alone."""
    numbers = iter(range(10_000))
    answer = here.wait_for(
        lambda: (
            found if isinstance(found := ask(here, f"{prefix}-{next(numbers)}"), Refused) else None
        ),
        "the lease to end",
    )
    assert ["lease_expired"] == codes(answer)


def test_authority_frozen_ends_permits_with_the_lease_and_they_return(running: World) -> None:
    """SIGSTOP: permits until the lease's end and no longer; SIGCONT brings them back."""
    permitted_again(running, "early")
    running.freeze("authority")
    assert isinstance(ask(running, "within"), Permitted)
    without_lease(running, "late")
    running.thaw("authority")
    permitted_again(running, "back")
    assert 0 == running.end("gate-a")
    # Each permit ends within the lease under which it was signed: judged from the log.
    assert_each_permit_recorded(running)


@pytest.mark.slow
def test_authority_killed_and_started_again_brings_permits_back(running: World) -> None:
    """SIGKILL: permits until the lease's end; with a new process the gate goes on by itself."""
    permitted_again(running, "early")
    running.kill("authority")
    assert isinstance(ask(running, "within"), Permitted)
    without_lease(running, "late")
    running.start_authority()
    permitted_again(running, "back")
    assert 0 == running.end("gate-a")
    assert_each_permit_recorded(running)


@pytest.mark.slow
def test_gate_frozen_across_its_lease_signs_nothing_before_a_new_one(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """An order that waited in the frozen gate's socket is refused when it wakes."""
    permitted_again(running, "early")
    running.freeze("gate-a")
    running.freeze("authority")
    answer = aside.submit(ask, running, "waited")
    pause(LEASE_S + 0.5)
    running.thaw("gate-a")
    assert "lease_expired" in codes(answer.result())
    running.thaw("authority")
    permitted_again(running, "back")
    assert 0 == running.end("gate-a")
    entries = running.ledger()
    assert "waited" not in venue_took(running).values()
    refused = position(entries, Decision, verdict="refused")
    later = entries[refused:]
    assert position(later, LeaseHeld) < position(later, PermitSigned)
    assert_each_permit_recorded(running)


@pytest.mark.slow
def test_second_gate_gets_the_agent_by_an_operator_and_the_first_signs_no_more(
    running: World,
) -> None:
    """It is refused until assigned, and until the first gate, which signs nothing more, woke up and
    handed the agent's history over.
    """
    assert "closed" == ask(running, "first", price="1.2").order_state
    running.freeze("gate-a")
    running.start_gate("gate-b")
    early = ask(running, "early", "gate-b")
    assert isinstance(early, Unavailable)
    assert "agent steady is not admitted at this gate yet: " in early.detail
    code, said = running.people("assign", OPERATOR_SEAT, gate="gate-b")
    assert (1, True) == (code, "gate gate-a did not answer" in said), said
    assert "NOT COMPLETE" in said

    def refused(name: str) -> bool:
        answer = ask(running, name, "gate-b")
        return isinstance(answer, Refused) and any(
            one.observed == "history at gate gate-a is not here" for one in answer.reasons
        )

    tries = iter(range(1000))
    running.wait_for(lambda: refused(f"without-{next(tries)}"), "the second gate to have the agent")
    pause(LEASE_S)
    assert refused("still-without"), "nothing but the first gate's word frees the agent"
    running.thaw("gate-a")
    permitted_again(running, "moved", "gate-b")
    names = iter(range(1000))

    def told() -> bool:
        answer = ask(running, f"old-{next(names)}")
        return isinstance(answer, Refused) and "certificate_held" in codes(answer)

    running.wait_for(told, "the first gate to be told")
    permitted_again(running, "still", "gate-b")
    assert [0, 0] == [running.end("gate-a"), running.end("gate-b")]
    assert ["first"] == list(decisions(running.ledger("gate-a"), "permitted"))
    assert_each_permit_recorded(running, "gate-a", "gate-b")


@pytest.mark.slow
def test_venue_frozen_leaves_an_order_unknown_until_it_answers(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """The bot is told that it is unknown; asked again it is not sent again; then it is resolved."""
    answer = in_flight(running, aside, "slow")
    told = answer.result()
    assert (Permitted, "unknown") == (type(told), told.order_state)
    assert "unknown" == ask(running, "slow").order_state
    running.thaw("venue")
    # Its permit ended while the venue was frozen: it may not be taken any more.
    assert "closed" == resolved(running, "slow")
    assert 0 == running.end("gate-a")
    assert_each_permit_recorded(running)


@pytest.mark.slow
def test_venue_killed_comes_back_with_its_book_and_gets_nothing_twice(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """What rested there rests; what was under way is not sent to it again, and is resolved."""
    assert "open" == ask(running, "rests").order_state
    answer = in_flight(running, aside, "lost")
    running.kill("venue")
    assert "unknown" == answer.result().order_state
    # Orders are refused until it is there again.
    running.start_venue()
    permitted_again(running, "back")
    assert "closed" == resolved(running, "lost")
    assert "open" == state_of(running, "rests")
    assert 0 == running.end("gate-a")
    assert [] == running.venue_told("cancelled")
    assert "lost" not in venue_took(running).values()
    assert_each_permit_recorded(running)


def test_gate_drained_lets_its_order_end_and_takes_no_other(
    running: World, aside: ThreadPoolExecutor
) -> None:
    """SIGTERM with an order at a slow venue: its bot is answered, then the process ends with 0."""
    answer = in_flight(running, aside, "last")
    running.running["gate-a"].terminate()
    running.heard("gate-a", '"draining"')
    assert isinstance(ask(running, "too-late"), Unavailable)
    told = answer.result()
    assert (Permitted, "unknown") == (type(told), told.order_state)
    assert 0 == running.running.pop("gate-a").wait(30)
    running.thaw("venue")
    running.start_gate()
    assert "closed" == resolved(running, "last")
    assert 0 == running.end("gate-a")
    assert_each_permit_recorded(running)


@pytest.mark.slow
def test_gate_with_a_moved_clock_permits_nothing_until_it_is_right(running: World) -> None:
    """Off at the start, right, stepped while it runs, right again: refused, back, refused, back."""
    assert 0 == running.end("gate-a")
    moved, launcher = running.folder / "moved", running.folder / "moved.py"
    launcher.write_text(MOVED, encoding="utf-8")
    moved.write_text("3", encoding="ascii")
    running.start_gate("gate-a", sys.executable, launcher, moved)
    names = iter(range(10_000))

    def refused() -> bool:
        answer = ask(running, f"off-{next(names)}")
        return isinstance(answer, Refused) and "control_unavailable" in codes(answer)

    assert refused()
    moved.write_text("0", encoding="ascii")
    permitted_again(running, "right")
    moved.write_text("-3600", encoding="ascii")
    assert refused()
    moved.write_text("0", encoding="ascii")
    permitted_again(running, "again")
    assert 0 == running.end("gate-a")
    seen = [one.within for one in running.ledger() if isinstance(one, ClockObserved)]
    assert {True, False} == set(seen)
    assert not {one for one in venue_took(running).values() if one.startswith("off")}
    assert_each_permit_recorded(running)
