# SPDX-License-Identifier: Apache-2.0
"""The incident procedure at the authority: a gate reports, people are told, time passes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.adapters.simulated_notifier import SimulatedNotifier
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.events import AlertSent, GraceStarted, IncidentRecorded, StatusChanged
from sekisho.core.terms import parse_instant
from sekisho.services.alertrounds import RETRY_S
from sekisho.services.announcing import ANSWER_WAIT_S
from tests.authority_world import AGENT, heard_by
from tests.incident_world import DEADLINE_S, GRACE_S, IncidentWorld, name_of, play

BEGUN = ["recorded hold", "automatic_hold", "pager opened delivered", "grace"]
BREAK: dict[str, Any] = {
    "incident_kind": "break",
    "agent": "",
    "certificate_sha256": "",
    "score": "venue",
    "factor": "resting_unknown",
    "observed": "PAPER",
    "threshold": "",
}
EXPIRED = [*BEGUN, "grace_expired", "closed revoked", "pager overdue delivered"]


def test_report_of_a_hold_holds_tells_and_begins_the_grace() -> None:
    """When the call returns the gates were told, people were told, and the time runs."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        await world.report()
        assert world.story() == BEGUN
        (push,) = listener.heard
        assert (push.status, push.reason, push.cause) == (
            "hold",
            "certificateHold",
            "automatic_hold",
        )
        assert (push.recorded, push.epoch) == (True, 1)
        assert await world.status(world.issued) == "hold"
        case = world.authority.incidents.open_incident(AGENT)
        assert case is not None
        assert (case.state, case.ends_at) == ("grace", world.soon(GRACE_S))
        entry = next(one for one in world.entries() if isinstance(one, StatusChanged))
        assert (entry.incident, entry.seats, entry.commands) == (name_of(1), (), ())

    play(story())


def test_report_tells_people_what_crossed_and_what_can_be_done() -> None:
    """The alert names incident, agent, score, state and time; it names no person."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        (alert,) = world.channel.delivered
        assert (alert.incident, alert.agent, alert.about) == (name_of(1), AGENT, "opened")
        assert (alert.observed, alert.threshold, alert.factor) == ("0.870000", "0.85", "size")
        assert (alert.state, alert.until) == ("alerting", world.soon(GRACE_S))
        assert "acknowledge" in alert.can

    play(story())


def test_report_again_does_nothing_more_and_another_content_is_refused() -> None:
    """A gate that starts anew tells everything again; who tells it otherwise is not believed."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        await asyncio.gather(world.report(), world.report())
        await world.report()
        assert (world.story(), len(listener.heard)) == (BEGUN, 1)
        for other in ({"observed": "0.860000"}, {"index": 5}, {"incident_kind": "breaker"}):
            with pytest.raises(VerificationFailed, match="another"):
                await world.report(**other)
        after = await world.again()
        await after.report()
        assert after.story() == BEGUN

    play(story())


@pytest.mark.parametrize(
    "other",
    [
        {"observed": "0.9"},
        {"observed": "1.000001"},
        {"observed": ""},
        {"factor": "sizes"},
        {"factor": "resting_unknown"},
        {"threshold": "-1"},
        {"threshold": ""},
        {"score": "venue"},
        {"agent": "Bot."},
        {"certificate_sha256": "A" * 64},
        {"incident_kind": "break"},
        BREAK | {"score": "risk"},
        BREAK | {"factor": "size"},
        BREAK | {"observed": "a venue"},
        BREAK | {"threshold": "0.85"},
        BREAK | {"agent": "Bot."},
        BREAK | {"certificate_sha256": "00"},
    ],
)
def test_report_of_another_form_than_the_verifier_demands_is_refused(other: Any) -> None:
    """What would make the authority's log one that nobody accepts is not recorded."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        with pytest.raises(MalformedInput):
            await world.report(**other)
        assert (world.story(), listener.heard) == ([], [])
        if other.get("incident_kind") == "break":
            await world.report(**BREAK)
            assert [one.incident_kind for one in world.authority.incidents.all()] == ["break"]

    play(story())


def test_report_that_no_gate_can_make_is_refused() -> None:
    """An unknown certificate, log or agent: nothing is recorded, nobody is stopped."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        for other in (
            {"certificate_sha256": "0" * 64},
            {"origin": "log.example/unknown"},
            {"agent": "other"},
            {"incident": "x"},
            {"index": -1},
        ):
            with pytest.raises(VerificationFailed):
                await world.report(**other)
        assert (world.story(), listener.heard) == ([], [])

    play(story())


def test_report_of_what_a_person_held_already_runs_the_same_procedure() -> None:
    """The status stays, and the grace runs: nobody has answered this incident."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.order("hold")
        await world.report()
        assert world.story() == ["hold", "recorded hold", "pager opened delivered", "grace"]
        world.clock.advance(GRACE_S)
        await world.authority.due()
        assert world.held_status() == "revoked"

    play(story())


def test_report_of_a_revoked_certificate_is_closed_at_once() -> None:
    """It is on record; there is nothing to be answered, and nobody is woken."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.order("kill")
        await world.report()
        assert world.story() == ["kill", "recorded hold", "closed revoked"]
        assert world.channel.delivered == []

    play(story())


def test_report_of_a_breaker_tells_and_waits_for_a_rearm() -> None:
    """Status stays good and no time runs; the alert says what to do."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(kind="breaker", observed="0.760000", threshold="0.75")
        assert world.story() == ["recorded breaker", "pager opened delivered"]
        (alert,) = world.channel.delivered
        assert (alert.state, alert.until, "re-arm" in alert.can) == ("latched", "", True)
        world.clock.advance(10 * DEADLINE_S)
        assert await world.authority.due() == 0
        assert (world.case().state, world.held_status()) == ("latched", "good")

    play(story())


def test_report_of_a_hold_supersedes_the_breaker() -> None:
    """One open incident: first the hold is in effect, then the breaker's is closed."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1, "breaker")
        await world.report(2)
        assert world.story()[2:] == [
            "recorded hold",
            "automatic_hold",
            "closed superseded",
            "pager opened delivered",
            "grace",
        ]
        assert (world.case(1).outcome, world.case(2).state) == ("superseded", "grace")
        await world.report(3, "breaker")
        assert (world.case(3).outcome, world.case(2).state) == ("superseded", "grace")

    play(story())


def test_grace_that_nobody_answers_ends_in_revocation() -> None:
    """Not a moment earlier; gates and people are told."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        await world.report()
        world.clock.advance(GRACE_S - 0.001)
        assert await world.authority.due() == 0
        world.clock.advance(0.001)
        assert await world.authority.due() == 1
        assert world.story() == EXPIRED
        assert [push.status for push in listener.heard] == ["hold", "revoked"]
        assert (await world.status(world.issued), world.case().outcome) == ("revoked", "revoked")
        assert [alert.about for alert in world.channel.delivered] == ["opened", "overdue"]
        assert await world.authority.due() == 0

    play(story())


def test_report_after_the_grace_of_another_finds_it_over() -> None:
    """What is over is over first: the later crossing is of a certificate that is revoked."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1)
        world.clock.advance(GRACE_S)
        await world.report(2)
        assert [one.outcome for one in world.authority.incidents.all()] == ["revoked", "revoked"]
        assert world.story()[4:8] == [
            "grace_expired",
            "closed revoked",
            "recorded hold",
            "closed revoked",
        ]

    play(story())


def test_grace_of_nothing_is_over_after_the_alert() -> None:
    """0 s: told, and revoked in the same call."""

    async def story() -> None:
        world = await IncidentWorld.begin(risk_controls__grace_period_s="0")
        await world.report()
        assert world.story() == EXPIRED

    play(story())


@pytest.mark.parametrize("gone", [10, GRACE_S, 50 * GRACE_S])
def test_grace_goes_on_while_no_process_runs(gone: int) -> None:
    """Restarted in the middle the rest remains; a timer that is late fires at the start."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        world.clock.advance(gone)
        after = await world.again()
        assert after.story() == (BEGUN if gone < GRACE_S else EXPIRED)
        after.clock.advance(GRACE_S - 10)
        await after.authority.due()
        assert after.story() == EXPIRED

    play(story())


def test_grace_is_not_lengthened_by_a_wall_clock_that_is_stepped_back() -> None:
    """The boot-time clock shows that it is over; the log's time is moved to the end of it."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        ends_at = world.case().ends_at
        world.clock.step_wall(-3600)
        world.clock.advance(GRACE_S - 1)
        assert await world.authority.due() == 0
        world.clock.advance(1)
        assert await world.authority.due() == 1
        entry = [one for one in world.entries() if isinstance(one, StatusChanged)][-1]
        assert (entry.cause, entry.at) == ("grace_expired", ends_at)
        assert parse_instant(ends_at) > world.clock.now_ns()
        assert (await world.again()).story() == world.story()

    play(story())


def test_grace_is_ended_by_a_wall_clock_that_is_stepped_forward() -> None:
    """Either clock ends it: too early is the safe side."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        world.clock.step_wall(GRACE_S)
        await world.authority.due()
        assert world.held_status() == "revoked"

    play(story())


def test_alert_that_reaches_nobody_begins_no_grace_and_is_tried_again() -> None:
    """Held without end; each further attempt is on record, ever less often, once a minute then."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.channel.down = True
        await world.report()
        assert (world.case().state, world.held_status()) == ("alerting", "hold")
        for wait in (*RETRY_S, RETRY_S[-1]):
            world.clock.advance(wait - 0.001)
            assert await world.authority.due() == 0
            world.clock.advance(0.001)
            assert await world.authority.due() == 1
        failed = [one for one in world.entries() if isinstance(one, AlertSent)]
        assert [one.outcome for one in failed] == ["failed"] * (2 + len(RETRY_S))
        assert "nobody answers" in failed[0].detail
        world.clock.advance(10 * GRACE_S)
        world.channel.down = False
        await world.authority.due()
        assert (world.case().state, world.case().ends_at) == ("grace", world.soon(GRACE_S))

    play(story())


def test_alert_is_tried_again_at_each_start() -> None:
    """Whoever was not reached before the process died is told by the next one at once."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.channel.down = True
        await world.report()
        world.channel.down = False
        after = await world.again()
        assert after.case().state == "grace"

    play(story())


def test_alert_without_any_channel_stays_undelivered_until_there_is_one() -> None:
    """Nobody configured is nobody reached: held, no grace, however long."""

    async def story() -> None:
        world = await IncidentWorld.begin(channel=False)
        await world.report()
        world.clock.advance(100 * GRACE_S)
        assert await world.authority.due() == 0
        assert world.story() == ["recorded hold", "automatic_hold"]
        world.authority.add_notifier(world.channel)
        assert await world.authority.due() == 1
        assert world.story() == BEGUN

    play(story())


def test_alert_by_a_channel_that_is_added_goes_out_at_once() -> None:
    """Whoever was not reached need not wait for the next round; the background task wakes up."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.channel.down = True
        await world.report()
        more = SimulatedNotifier("phone")
        world.authority.add_notifier(more)
        assert await world.authority.due() == 1
        assert (len(more.delivered), world.case().state) == (1, "grace")
        other = await IncidentWorld.begin(channel=False)
        await other.report()
        keeper = asyncio.ensure_future(other.authority.run_incidents())
        await other.clock.play(1)
        other.authority.add_notifier(other.channel)
        await other.clock.play(0)
        assert other.case().state == "grace"
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    play(story())


def test_alert_by_one_of_several_channels_is_enough() -> None:
    """Each is tried at once and recorded; one that hangs keeps nobody waiting beyond its time."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        deaf, slow = SimulatedNotifier("deaf"), SimulatedNotifier("slow")
        deaf.down = slow.hanging = True
        world.authority.add_notifier(deaf)
        world.authority.add_notifier(slow)
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(ANSWER_WAIT_S - 0.001)
        assert (asked.done(), len(world.channel.delivered)) == (False, 1)
        await world.clock.play(0.001)
        await asked
        assert world.story()[2:] == [
            "pager opened delivered",
            "deaf opened failed",
            "slow opened failed",
            "grace",
        ]
        detail = [one.detail for one in world.entries() if isinstance(one, AlertSent)][-1]
        assert detail == "no answer within 5.0 s"
        slow.let_go()

    play(story())


def test_alert_channel_that_breaks_in_any_way_is_a_failed_attempt() -> None:
    """An adapter with a mistake in it reaches nobody, and stops nothing."""

    class Broken:
        name = "broken"

        async def notify(self, alert: object) -> None:
            raise ValueError("ärger\n" + "x" * 1000)

    async def story() -> None:
        world = await IncidentWorld.begin(channel=False)
        world.authority.add_notifier(Broken())
        await world.report()
        (entry,) = (one for one in world.entries() if isinstance(one, AlertSent))
        assert (entry.outcome, len(entry.detail)) == ("failed", 300)
        assert entry.detail.startswith("?rger")
        assert world.case().state == "alerting"

    play(story())


def test_run_does_everything_when_it_becomes_due() -> None:
    """The background task retries, begins the grace and ends it, each at its time."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        keeper = asyncio.ensure_future(world.authority.run_incidents())
        world.channel.failures = 2
        await world.report()
        await world.clock.play(2.9)
        assert world.case().state == "alerting"
        await world.clock.play(0.1)
        grace = next(one for one in world.entries() if isinstance(one, GraceStarted))
        assert (world.case().state, grace.at) == ("grace", world.soon(0))
        await world.clock.play(GRACE_S - 0.1)
        assert world.held_status() == "hold"
        await world.clock.play(0.1)
        assert world.held_status() == "revoked"
        assert (keeper.done(), world.clock.next_deadline_ns()) == (False, None)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    play(story())


def test_run_sees_a_wall_clock_that_was_stepped_forward() -> None:
    """It looks again within half a minute, whatever it was waiting for."""

    async def story() -> None:
        world = await IncidentWorld.begin(risk_controls__grace_period_s="86400")
        keeper = asyncio.ensure_future(world.authority.run_incidents())
        await world.report()
        await world.clock.play(1)
        world.clock.step_wall(86_400)
        await world.clock.play(30)
        assert world.held_status() == "revoked"
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    play(story())


def test_two_agents_wait_for_nobody_but_themselves() -> None:
    """A gate that does not answer for one agent does not delay the end of another's grace."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        other = await world.certified("other", risk_controls__grace_period_s="301")
        await world.report(1)
        await world.report(2, agent="other", certificate_sha256=other.certificate_sha256, index=500)
        keeper = asyncio.ensure_future(world.authority.run_incidents())
        never = asyncio.Event()
        listener = heard_by(world)
        listener.before = never.wait
        await world.clock.play(GRACE_S + 1)
        assert [push.agent for push in listener.heard] == ["bot", "other"]
        assert {one.status for one in world.authority.certificates()} == {"revoked"}
        never.set()
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    play(story())


def test_incidents_are_known_again_after_a_restart() -> None:
    """The book is the fold of the log; the order of recording stays."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1, "breaker")
        await world.report(2)
        after = await world.again()
        assert after.authority.incidents.all() == world.authority.incidents.all()
        assert [one.incident for one in after.authority.incidents.all()] == [name_of(1), name_of(2)]
        kinds = [one.incident_kind for one in world.entries() if isinstance(one, IncidentRecorded)]
        assert kinds == ["breaker", "hold"]

    play(story())
