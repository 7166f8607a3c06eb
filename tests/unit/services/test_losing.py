# SPDX-License-Identifier: Apache-2.0
"""A history that people declare lost: who may, when, and how the agent begins at the new gate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.events import (
    AgentAssigned,
    GateOpened,
    HistoryAwaited,
    HistoryLost,
    VenueReconciled,
)
from sekisho.core.governance.commands import (
    SignedCommand,
    check_command,
    signed_command_text,
)
from sekisho.core.identity.begun import StatedBeginning, begun_history
from sekisho.core.terms import NS, parse_instant
from sekisho.services.assigning import AssignOutcome
from sekisho.services.leasing import Moved, parse_grant
from tests.authority_world import (
    AGENT,
    AuthorityWorld,
    GateDouble,
    Listener,
    heard_by,
    history_of,
)
from tests.gate_world import ORIGIN, GateWorld, codes, scope_of
from tests.histories import assert_same_for_all
from tests.unit.core.governance import samples
from tests.unit.services.test_histories import Link, Mover, given, reports, traded

OPERATOR, COMPLIANCE, RISK = "gate_runner", "compliance_lead", "risk_lead"
LEASE_S = 15
FLAT: dict[str, Any] = {"history": "lost", "positions": {}, "ids_from": "gen2-"}
HELD: dict[str, Any] = FLAT | {"positions": {"EUR/USD": "-1200.00", "EUR/GBP": "30.50"}}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def gone(moved: bool = False) -> tuple[AuthorityWorld, GateDouble, GateDouble, str]:
    """An agent at g1, which is gone; its lease has ended. ``moved``: an operator moved it first."""
    world = await AuthorityWorld.start()
    issued = await world.certified()
    first, other = GateDouble(), GateDouble("g2", "log.example/gate-2", "c" * 32)
    for gate in (first, other):
        gate.grow()
        await world.lease(gate, issued.certificate_sha256)
    if moved:
        await world.assign(*signed(world, [OPERATOR]))
    await world.clock.play(LEASE_S + 1)
    return world, first, other, issued.certificate_sha256


def signed(world: AuthorityWorld, who: list[str], **said: Any) -> list[SignedCommand]:
    epoch = world.authority.state.agent_epoch(AGENT)
    fields = {"gate": "g2", "epoch": epoch} | said
    return [world.signed("assign", seat, **fields) for seat in who]


async def lose(world: AuthorityWorld, *who: str, **said: Any) -> AssignOutcome:
    """These seats (operator and compliance) declare the history lost."""
    seats = list(who) or [OPERATOR, COMPLIANCE]
    return await world.assign(*signed(world, seats, **(FLAT | said)))


def losses(world: AuthorityWorld) -> list[HistoryLost]:
    return [entry for entry in world.entries() if isinstance(entry, HistoryLost)]


async def begun_at(world: AuthorityWorld) -> list[list[Any]]:
    """The rows that the new gate gets."""
    data = unb64((await world.authority.histories.read("g2", AGENT, 0)).data)
    assert sha256_hex(data) == losses(world)[-1].history_sha256
    return [msgspec.json.decode(line) for line in data.splitlines()]


# -- who and when ----------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [False, True])
def test_lost_history_is_declared_by_two_and_the_gate_begins(moved: bool) -> None:
    """Whether or not an operator moved the agent before; the entry carries both signatures."""

    async def story() -> None:
        world, first, other, certificate = await gone(moved)
        outcome = await lose(world, **HELD)
        assert (True, (), "g1") == (outcome.complete, outcome.failures, outcome.lost)
        (lost,) = losses(world)
        before = "g2" if moved else "g1"
        assert ("g2", before, "g1") == (lost.gate, lost.before, lost.lost)
        assert (OPERATOR, COMPLIANCE) == lost.seats
        found = parse_grant((await world.lease(other, certificate)).grant)[0].moved
        told = Moved(before="g1", gate="g2", epoch=lost.epoch, history=lost.history_sha256)
        assert {AGENT: told} == found
        report = other.report(lost.history_sha256, lost.epoch)
        await world.authority.histories.taken("g2", report)
        assert certificate in (await world.lease(other, certificate)).status
        assert certificate not in (await world.lease(first, certificate)).status

    play(story())


@pytest.mark.parametrize(
    "who",
    [
        [OPERATOR],
        [COMPLIANCE],
        [COMPLIANCE, RISK],
        [OPERATOR, "coder"],
        [OPERATOR, "ceo"],
        [OPERATOR, OPERATOR],
    ],
)
def test_lost_history_needs_an_operator_and_compliance_or_risk(who: list[str]) -> None:
    """Nobody alone, no two of another kind, nobody twice."""

    async def story() -> None:
        world, *_ = await gone()
        with pytest.raises(NotAuthorised):
            await lose(world, *who)
        assert [] == losses(world)
        assert (await lose(world, OPERATOR, RISK)).complete

    play(story())


def test_lost_history_is_refused_while_the_gate_before_may_sign() -> None:
    """Its last lease must have ended, also when it reported a complete stop."""

    async def story() -> None:
        world, first, _, certificate = await gone()
        heard_by(world, Listener())
        await world.lease(first, certificate)
        with pytest.raises(NotAuthorised, match="may sign for"):
            await lose(world)
        await world.assign(*signed(world, [OPERATOR]))
        with pytest.raises(NotAuthorised, match="may sign"):
            await lose(world)
        await world.clock.play(LEASE_S)
        assert (await lose(world)).complete

    play(story())


def test_lost_history_is_refused_after_a_restart_until_no_lease_can_be_left() -> None:
    """What an earlier process granted is not known: 60 s."""

    async def story() -> None:
        world, *_ = await gone()
        after = await world.again()
        with pytest.raises(NotAuthorised, match="may sign"):
            await lose(after)
        await after.clock.play(60)
        assert (await lose(after)).complete

    play(story())


def test_lost_history_waits_for_the_end_that_a_lease_says_itself() -> None:
    """A wall clock that was set back does not declare it lost before a stranger reads its end."""

    async def story() -> None:
        world, first, _, certificate = await gone()
        await world.lease(first, certificate)
        world.clock.step_wall(-LEASE_S)
        await world.clock.play(LEASE_S + 1)
        with pytest.raises(NotAuthorised, match="may sign"):
            await lose(world)
        await world.clock.play(LEASE_S)
        assert (await lose(world)).complete

    play(story())


def test_history_that_can_be_had_is_not_lost() -> None:
    """One that the authority keeps, one that the gate has itself, one of no gate."""

    async def story() -> None:
        world, first, other, _ = await gone(moved=True)
        with pytest.raises(NotAuthorised, match="has the history itself"):
            await lose(world, gate="g1")
        world.authority.histories.keep_in(world.disk)
        await world.authority.histories.take("g1", history_of(first, 1)[1])
        with pytest.raises(NotAuthorised, match="keeps the history"):
            await lose(world)
        await world.pass_on(first, other)
        with pytest.raises(NotAuthorised, match="'g2' has the history itself"):
            await lose(world)
        fresh = await AuthorityWorld.start()
        await fresh.certified()
        with pytest.raises(NotAuthorised, match="no gate has"):
            await lose(fresh)

    play(story())


def test_lost_history_of_a_gate_that_comes_back_is_refused() -> None:
    """Before the new gate took what begins, and after: it is of another move, or of none."""

    async def story() -> None:
        world, first, other, _ = await gone(moved=True)
        await lose(world)
        desk, epoch = world.authority.histories, losses(world)[0].epoch
        desk.keep_in(world.disk)
        for move in (1, epoch):
            with pytest.raises(NotAuthorised):
                await desk.take("g1", history_of(first, move)[1])
        await desk.taken("g2", other.report(losses(world)[0].history_sha256, epoch))
        for move in (1, epoch):
            with pytest.raises(NotAuthorised, match="no history"):
                await desk.take("g1", history_of(first, move)[1])

    play(story())


def test_lost_commands_do_nothing_twice_and_not_as_a_plain_move() -> None:
    """Nonce and epoch; two signatures for a loss are none for an assignment."""

    async def story() -> None:
        world, *_ = await gone()
        given_twice = signed(world, [OPERATOR, RISK], **FLAT)
        await world.assign(*given_twice)
        with pytest.raises(NotAuthorised, match="used before"):
            await world.assign(*given_twice)
        (lost,) = losses(world)
        with pytest.raises(NotAuthorised, match="epoch"):
            await lose(world, epoch=lost.epoch - 1)
        fields = {name: getattr(lost, name) for name in ("agent", "seats", "commands", "at")}
        state = world.authority.state
        plain = AgentAssigned(gate="g3", before="g2", epoch=state.epoch + 1, **fields)
        with pytest.raises(VerificationFailed):
            world.authority.log.record(plain)

    play(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"history_sha256": "0" * 64},
        {"bytes": 7},
        {"lost": "g2"},
        {"before": "g2"},
        {"gate": "g3"},
        {"epoch": 9},
        {"baseline_sha256": "1" * 64},
        {"seats": (OPERATOR,)},
    ],
)
def test_entry_of_a_loss_that_is_not_lawful_is_refused(changes: dict[str, Any]) -> None:
    """Another beginning, gate or epoch than follows from the commands and the log."""

    async def story() -> None:
        world, *_ = await gone()
        twin = await world.again()
        await lose(world)
        (lost,) = losses(world)
        with pytest.raises(VerificationFailed):
            twin.authority.log.record(msgspec.structs.replace(lost, **changes))
        assert twin.authority.log.record(lost) > 0

    play(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": None},
        {"ids_from": None},
        {"history": None},
        {"ids_from": "abc"},
        {"ids_from": "x" * 17},
        {"positions": {"USD/EUR": "1.00"}},
        {"positions": {"EUR/USD": "1"}},
        {"positions": {"EUR/USD": "0.00"}},
        {"positions": {f"AAA/{n}": "1.00" for n in range(33)}},
    ],
)
def test_command_that_does_not_say_how_the_history_begins_is_refused(
    changes: dict[str, Any],
) -> None:
    """All three fields or none; pairs in their one form, money with two decimals."""
    said = {name: value for name, value in (FLAT | changes).items() if value is not None}
    with pytest.raises(MalformedInput):
        check_command(samples.command("assign", OPERATOR, gate="g2", epoch=1, **said))
    with pytest.raises(MalformedInput):
        check_command(samples.command("hold", OPERATOR, **FLAT))
    check_command(samples.command("assign", OPERATOR, gate="g2", epoch=1, **HELD))


# -- how it begins ---------------------------------------------------------------------------------


def test_begun_history_takes_the_day_the_latches_and_the_stated_positions() -> None:
    """As the policy of the newest certificate limits them; it is the same after a restart."""

    async def story() -> None:
        world, *_ = await gone()
        await lose(world, **HELD)
        rows = await begun_at(world)
        (lost,) = losses(world)
        head, counters, latches, begun, *rest = rows
        index = next(n for n, one in enumerate(world.entries()) if one == lost)
        assert ["history", "sekisho/history/v1", AGENT, lost.epoch, "", index] == head
        policy = next(iter(world.authority.state.policies.values())).policy
        cap = str(int(policy["scope"]["daily_notional_max"]) * 10**8)
        assert [cap, "0", "0", "0", "1"] == counters[2:]
        assert "" == latches[1]
        assert "circuit_breaker" in latches[2]
        assert ["begun", counters[1], "gen2-"] == begun
        positions = [["EUR/GBP", str(3050 * 10**6)], ["EUR/USD", str(-1200 * 10**8)]]
        assert positions == [row[1:] for row in rest if row[0] == "position"]
        after = await world.again()
        assert rows == await begun_at(after)
        with pytest.raises(NotAuthorised):
            await after.authority.histories.read("g1", AGENT, 0)

    play(story())


def test_begun_history_counts_the_day_of_a_clock_that_is_ahead_by_its_bound() -> None:
    """The gate before may have lived a little in the day that begins: that one is used up."""

    async def story() -> None:
        world, *_ = await gone()
        await lose(world)
        now = parse_instant(losses(world)[0].at)
        policy = next(iter(world.authority.state.policies.values())).policy
        bound = policy["risk_controls"]["clock_difference_max_s"]
        offsets = policy["scope"]["zone_offsets"]
        since = [one for one in offsets if parse_instant(one["since"]) <= now]
        offset = since[-1]["utc_offset_s"]
        day = int((await begun_at(world))[3][1])
        assert day == (now // NS + bound + offset) // 86_400

    play(story())


def test_begun_history_of_the_last_second_uses_up_the_next_day() -> None:
    """By the bound of the policy, to the second."""

    async def story() -> None:
        world, *_ = await gone()
        state = world.authority.state
        policy = next(iter(state.policies.values())).policy
        bound = policy["risk_controls"]["clock_difference_max_s"]
        midnight = 1_000_000 * 86_400 * NS
        days = []
        for at in (midnight - bound * NS - 1, midnight - bound * NS):
            offset = policy["scope"]["zone_offsets"][-1]["utc_offset_s"] * NS
            begins = StatedBeginning(AGENT, 9, 3, at - offset, (), "gen2-")
            rows = begun_history(state, begins).splitlines()
            days.append(int(msgspec.json.decode(rows[1])[1]))
        assert [999_999, 1_000_000] == days

    play(story())


def test_lost_history_ends_the_lock_of_a_baseline() -> None:
    """Its digest is on record; people sign a new one off, or the agent goes without."""

    async def story() -> None:
        world, first, *_ = await gone()
        for digest in ("a" * 64, "b" * 64):
            locking = world.commands("go_live", baseline_sha256=digest)
            if digest[0] == "b":
                with pytest.raises(NotAuthorised):
                    await world.authority.go_live(locking, origin=first.origin, complete=True)
                assert (await lose(world)).complete
                assert "a" * 64 == losses(world)[0].baseline_sha256
                assert world.authority.baseline_lock(AGENT) is None
                locking = world.commands("go_live", baseline_sha256=digest)
            await world.authority.go_live(locking, origin=first.origin, complete=True)
            lock = world.authority.baseline_lock(AGENT)
            assert lock is not None
            assert digest == lock.baseline_sha256

    play(story())


def test_entry_of_a_loss_without_an_operator_is_refused() -> None:
    """Two roles are not enough: one of them runs the gates."""

    async def story() -> None:
        world, *_ = await gone()
        twin = await world.again()
        await lose(world)
        (lost,) = losses(world)
        seats = (RISK, COMPLIANCE)
        texts = [signed_command_text(one) for one in signed(twin, list(seats), **FLAT)]
        other = msgspec.structs.replace(lost, seats=seats, commands=tuple(texts))
        with pytest.raises(VerificationFailed, match="no operator"):
            twin.authority.log.record(other)

    play(story())


def begun_link(day: int, **changes: Any) -> Link:
    """What the authority keeps for g2, as the gate of these tests counts days and money."""
    found: dict[str, list[Any]] = {
        "history": ["sekisho/history/v1", "bot", 3, "", 9],
        "counters": [str(day), str(500_000 * 10**8), "0", "0", "0", "1"],
        "latches": ["", ["circuit_breaker"]],
        "begun": [str(day), "gen2-"],
        "position": ["EUR/USD", str(300 * 10**8)],
        "hour": ["0", "0"],
    }
    link, rows = Link(), (found | changes).items()
    link.data = b"".join(canonical([kind, *row]) + b"\n" for kind, row in rows)
    return link


async def begun(**scope: Any) -> tuple[GateWorld, Link]:
    """A gate that took a history that was declared lost today."""
    there = await GateWorld.start(scope_of(**scope))
    there.log.record(
        GateOpened(
            at=there.log.at(), gate="g2", boot="2" * 32, region="eu-west-1", environment="test"
        )
    )
    there.log.record(VenueReconciled(at=there.log.at(), venue="PAPER", open_orders=0, unknown=0))
    await there.leasing.renew()
    day = there.log.state.agents["bot"].limits.day(there.clock.now_ns())
    link = begun_link(day)
    mover = Mover(there, link)
    await mover.step(sha256_hex(link.data))
    return there, link


NEW = "history was declared lost: nothing new on 2026-05-15"
WEEKEND_S = 3 * 86_400


def told(answer: Any) -> set[str]:
    return {one.observed for one in answer.reasons}


@pytest.mark.parametrize("scope", [{}, {"daily_notional_max": "none"}])
def test_nothing_new_passes_on_the_day_of_the_loss_also_without_a_cap(
    scope: dict[str, Any],
) -> None:
    """The reason says until when; latches that are re-armed do not open the day."""

    async def story() -> None:
        there, link = await begun(**scope)
        assert 1 == len(link.reports)
        there.rearm("circuit_breaker")
        for number in range(2):
            answer = await there.ask(client_order_id=f"gen2-{number}", quantity="10")
            assert NEW in told(answer)
            there.clock.advance(3_600)

    play(story())


def test_next_trading_day_permits_what_is_re_armed_and_newly_named() -> None:
    """Still latched: refused; by an old id: refused for ever; what was stated counts."""

    async def story() -> None:
        there, _ = await begun(position_notional_max="305")
        there.clock.advance(WEEKEND_S)
        await there.leasing.renew()
        there.quote()
        latched = await there.ask(client_order_id="gen2-a", quantity="5")
        assert ["anomalous_order"] == codes(latched)
        there.rearm("circuit_breaker")
        old = await there.ask(client_order_id="used-0", quantity="5")
        assert [("duplicate_order_id", "begins with gen2-", "used-0")] == [
            (one.code, one.limit, one.observed) for one in old.reasons
        ]
        over = await there.ask(client_order_id="gen2-b", quantity="6")
        assert ["position_limit_exceeded"] == codes(over)
        passed = await there.ask(client_order_id="gen2-c", quantity="5")
        assert "permitted" == passed.kind, passed
        assert 5 * 10**8 == there.log.state.agents["bot"].gross

    play(story())


def test_nothing_counts_as_reducing_a_stated_position() -> None:
    """Which trades the lost log booked is not known: the position is not reconciled."""

    async def story() -> None:
        there, _ = await begun()
        assert not there.log.state.agents["bot"].reconciled("EUR/USD")
        there.clock.advance(WEEKEND_S)
        await there.leasing.renew()
        there.quote()
        sold = await there.ask(client_order_id="gen2-s", side="sell", quantity="5")
        assert ["anomalous_order"] == codes(sold)

    play(story())


def test_begun_history_moves_on_with_what_it_forbids() -> None:
    """Day and ids are rows of what the next gate gets, for product and verifier alike."""

    async def story() -> None:
        there, _ = await begun()
        leaves.extend(data for _, data in there.log.journal.entries())

    leaves: list[bytes] = []
    play(story())
    rows = assert_same_for_all(leaves, ORIGIN)
    (row,) = [one for one in rows if one[0] == "begun"]
    assert "gen2-" == row[2]


def test_history_that_was_given_later_ends_what_a_loss_forbade_elsewhere() -> None:
    """An agent with its whole history is bound by that alone."""

    async def story() -> None:
        there, _ = await begun()
        link = await given(await traded())
        await there_again(there, link)
        held = there.log.state.agents["bot"]
        assert "" == held.begun.ids_from
        assert "used-0" in held.known

    async def there_again(there: GateWorld, link: Link) -> None:
        mover = Mover(there, link)
        there.log.record(HistoryAwaited(at=there.log.at(), agent="bot", before="g1", epoch=4))
        mover.told.moved = {
            "bot": Moved(before="g1", gate="g2", epoch=4, history=sha256_hex(link.data))
        }
        await mover.histories.step()

    play(story())


def test_reports_of_orders_that_the_lost_log_knew_latch_their_venue() -> None:
    """What rests or was executed by it is found at the venue, and people are told."""

    async def story() -> None:
        before = await traded()
        there, _ = await begun()
        there.release.take("PAPER", reports(before))
        assert there.log.state.outside.standing("PAPER").incident

    play(story())
