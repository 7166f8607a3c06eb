# SPDX-License-Identifier: Apache-2.0
"""A score that crosses, at the gate: stopped before anything is awaited, then told outwards."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, cast

import msgspec
import pytest

from sekisho.core.errors import Unavailable
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    BaselineAdopted,
    IncidentOpened,
    Rearmed,
    StatusActed,
    decode_gate_entry,
)
from sekisho.core.terms import DAY_S, Code, Reason, parse_instant
from sekisho.ports import IncidentReport
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.incidentwatch import IncidentWatch
from tests.gate_world import CERTIFICATE, POLICY, GateWorld, codes

MONDAY = "2026-05-04T09:00:00.000000000Z"


def quick_policy(**risk: Any) -> dict[str, Any]:
    """A baseline of one day and twenty orders, no hours."""
    policy = copy.deepcopy(POLICY)
    policy["risk_controls"] |= risk
    policy["behaviour"] |= {"baseline_days": 1, "baseline_orders_min": 20}
    policy["scope"] |= {
        "trading_hours": "none",
        "daily_notional_max": "none",
        "order_notional_max": "none",
    }
    return policy


class Told:
    """The authority's ear: takes reports, or is away."""

    def __init__(self) -> None:
        self.reports: list[IncidentReport] = []
        self.away = False
        self.asked = 0

    async def report_incident(self, report: IncidentReport) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("the authority does not answer")
        self.reports.append(report)


class LiveWorld:
    """A gate whose agent has a baseline of thirty orders in force."""

    def __init__(self, world: GateWorld) -> None:
        self.world = world
        self.told = Told()
        self.watch = IncidentWatch(world.log, world.stopping, self.told, world.clock)
        self.count = 0

    @classmethod
    async def start(cls, **risk: Any) -> LiveWorld:
        live = cls(await GateWorld.start(quick_policy(**risk), at=MONDAY))
        live.world.venue.fill = True
        for number in range(30):
            await live.ask(str(18_000 + 40 * number))
        live.world.clock.advance(DAY_S - 30 * 600)
        await live.adopt()
        return live

    async def ask(self, quantity: str = "18400", **changes: Any) -> Any:
        """One order, ten minutes after the one before."""
        self.world.clock.advance(600)
        self.world.quote()
        self.count += 1
        return await self.world.ask(client_order_id=f"q-{self.count}", quantity=quantity, **changes)

    async def adopt(self) -> None:
        log = self.world.log
        found = log.watch.baseline("bot", log.clocks().now)
        assert found.missing == ()
        log.record(
            BaselineAdopted(
                at=log.at(),
                agent="bot",
                baseline=found.baseline,
                baseline_sha256=found.sha256,
                authority_index=9,
            )
        )

    def kinds(self, kind: type) -> list[int]:
        """Indexes of the entries of a kind."""
        return [
            index
            for index, data in self.world.log.journal.entries()
            if isinstance(decode_gate_entry(data), kind)
        ]

    @property
    def status(self) -> str:
        return self.world.log.state.agents["bot"].status


def run(story: Any) -> None:
    asyncio.run(story())


def test_large_order_is_refused_and_holds_before_anything_is_awaited() -> None:
    """The entry after the decision is the incident; the very next order finds the hold."""

    async def story() -> None:
        live = await LiveWorld.start()
        answer = await live.ask("180000")
        assert codes(answer) == ["anomalous_order"]
        assert live.kinds(IncidentOpened) == [answer.decision + 1]
        assert live.status == "hold"
        await live.watch.settled()
        (report,) = live.told.reports
        assert (report.index, report.score, report.factor) == (
            answer.decision + 1,
            "anomaly",
            "size",
        )
        assert codes(await live.ask())[0] == "certificate_held"

    run(story)


def test_large_order_without_hold_on_single_order_is_refused_only() -> None:
    """Where the policy does not say so, one order is refused and feeds the risk score."""

    async def story() -> None:
        live = await LiveWorld.start(hold_on_single_order=False)
        assert codes(await live.ask("180000")) == ["anomalous_order"]
        assert (live.status, live.kinds(IncidentOpened)) == ("good", [])
        risk = live.world.log.watch.risk("bot", live.world.log.clocks().now)
        assert risk is not None
        assert dict(risk.factors)["anomalies"] == "0.125000"

    run(story)


def test_orders_that_stand_out_again_and_again_latch_the_breaker_once() -> None:
    """Above 0.75 and below 0.85 the breaker latches, with one incident; the agent is not held."""

    async def story() -> None:
        live = await LiveWorld.start(hold_on_single_order=False)
        for quantity in ["180000"] * 5 + ["18400"] * 10 + ["180000"] * 2:
            await live.ask(quantity)
        (opened,) = live.world.log.incidents.values()
        assert (opened.incident_kind, opened.score, opened.factor, opened.observed) == (
            "breaker", "risk", "anomalies", "0.833333",
        )  # fmt: skip
        refused = await live.ask()
        recorded = live.world.decision(refused)
        assert [str(reason.code) for reason in recorded.reasons] == ["circuit_breaker_active"]
        # An agent is told no score: one code for all that the watch finds, and where it stands.
        assert refused.reasons == (
            Reason(Code.ANOMALOUS_ORDER, "", str(refused.decision), "entry"),
        )
        assert (live.status, len(live.world.log.incidents)) == ("good", 1)

    run(story)


def test_authority_away_the_gate_stops_by_itself_and_tells_later() -> None:
    """Resting orders are cancelled without the authority; it is told when it is back, once."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.world.venue.fill = False
        await live.ask()
        live.told.away = True
        await live.ask("180000")
        await live.world.clock.play(0.5)
        assert live.world.venue.resting == {}
        assert list(live.watch.unreported.values()) == ["the authority does not answer"]
        live.told.away = False
        await live.world.clock.play(60)
        await live.watch.settled()
        assert (len(live.told.reports), live.watch.unreported) == (1, {})

    run(story)


def test_incident_that_died_before_its_record_is_opened_at_the_next_start() -> None:
    """A crash between the crossing and its entry loses nothing: the next opening makes it good."""

    async def story() -> None:
        live = await LiveWorld.start()
        answer = await live.ask("180000")
        log = live.world.log
        await log.durable(log.journal.size - 1)
        kept = [data for index, data in log.journal.entries() if index <= answer.decision]
        again = GateLog(cast("Any", _Copy(log.origin, kept)), live.world.clock)
        told = Told()
        watch = IncidentWatch(again, live.world.stopping, told, live.world.clock)
        before = again.state.agents["bot"].status
        watch.start()
        assert (before, again.state.agents["bot"].status) == ("good", "hold")
        await watch.settled()
        assert [report.incident for report in told.reports] == [
            entry.incident for entry in log.incidents.values()
        ]

    run(story)


def test_every_start_tells_of_every_incident_again() -> None:
    """Whether the authority heard it before does not matter: it takes each once."""

    async def story() -> None:
        live = await LiveWorld.start()
        await live.ask("180000")
        await live.watch.settled()
        live.watch.start()
        await live.watch.settled()
        assert live.told.reports[0] == live.told.reports[1]
        assert len(live.kinds(IncidentOpened)) == 1

    run(story)


class _Copy:
    """Entries that were kept, as a journal that can be read and appended to."""

    failed = None

    def __init__(self, origin: str, kept: list[bytes]) -> None:
        self.origin = origin
        self._kept = kept

    @property
    def size(self) -> int:
        return len(self._kept)

    def entries(self, start: int = 0) -> Any:
        return iter(list(enumerate(self._kept))[start:])

    def append(self, data: bytes) -> int:
        self._kept.append(data)
        return len(self._kept) - 1

    async def flushed(self, index: int) -> None:
        assert index < len(self._kept)


@pytest.mark.parametrize(
    ("status", "epoch", "certificate", "restarts"),
    [
        ("good", 2, CERTIFICATE, True),
        ("good", 1, CERTIFICATE, False),
        ("good", 2, "f" * 64, False),
        ("hold", 2, CERTIFICATE, False),
    ],
    ids=["released", "not newer", "another certificate", "no release"],
)
def test_release_alone_begins_the_accumulation_anew(
    status: Any, epoch: int, certificate: str, restarts: bool
) -> None:
    """Only what lifts the hold restarts the score, in the entry directly after it."""

    async def story() -> None:
        live = await LiveWorld.start()
        log = live.world.log
        await live.ask("180000")
        acted = {"agent": "bot", "reason": "", "at": log.at()}
        log.record(StatusActed(status="hold", epoch=1, certificate_sha256=CERTIFICATE, **acted))
        index = log.record(
            StatusActed(status=status, epoch=epoch, certificate_sha256=certificate, **acted)
        )
        assert live.kinds(AccumulationRestarted) == ([index + 1] if restarts else [])

    run(story)


def test_rearming_and_replacement_begin_the_accumulation_anew() -> None:
    """The breaker's latch does, other latches do not; a new certificate does, the same does not."""

    async def story() -> None:
        live = await LiveWorld.start()
        log = live.world.log
        first = live.kinds(BaselineAdopted)[0]
        for latch in ("consecutive_failures", "circuit_breaker"):
            log.record(
                Rearmed(at=log.at(), agent="bot", latch=latch, seats=("a", "b"), commands=())
            )
        (restart,) = live.kinds(AccumulationRestarted)
        entry = decode_gate_entry(log.journal.entry(restart))
        assert isinstance(entry, AccumulationRestarted)
        assert (entry.first, entry.last) == (first, restart - 1)
        admitted = decode_gate_entry(log.journal.entry(live.kinds(AgentAdmitted)[0]))
        for digest in (CERTIFICATE, "e" * 64):
            log.record(_again(admitted, log.at(), digest))
        assert len(live.kinds(AccumulationRestarted)) == 2

    run(story)


def _again(entry: Any, at: str, digest: str) -> Any:
    return msgspec.structs.replace(entry, at=at, certificate_sha256=digest)


def test_nothing_restarts_before_a_baseline() -> None:
    """Without a baseline nothing accumulates, so nothing is left out."""

    async def story() -> None:
        world = await GateWorld.start(quick_policy(), at=MONDAY)
        world.log.record(
            Rearmed(
                at=world.log.at(), agent="bot", latch="circuit_breaker", seats=("a",), commands=()
            )
        )
        last = decode_gate_entry(world.log.journal.entry(world.log.journal.size - 1))
        assert isinstance(last, Rearmed)

    run(story)


def test_go_live_and_rearm_refuse_other_commands() -> None:
    """What widens is nothing that an unsigned or unrelated command could do."""

    async def story() -> None:
        live = await LiveWorld.start()
        governing = Governing(live.world.log, cast("Any", None), lambda: cast("Any", None))
        with pytest.raises(Exception, match="nobody commanded this"):
            await governing.go_live(())
        with pytest.raises(Exception, match="nobody commanded this"):
            await governing.rearm(())

    run(story)


def test_baseline_window_is_over_at_its_last_midnight() -> None:
    """A millisecond earlier the baseline is not complete, and says so."""

    async def story() -> None:
        live = LiveWorld(await GateWorld.start(quick_policy(), at=MONDAY))
        for number in range(25):
            await live.ask(str(18_000 + 40 * number))
        midnight = parse_instant("2026-05-05T00:00:00.000000000Z")
        before = live.world.log.watch.baseline("bot", midnight - 1)
        after = live.world.log.watch.baseline("bot", midnight)
        assert (before.complete, after.complete) == (False, True)
        assert (len(before.missing), after.missing) == (1, ())
        assert before.sha256 == after.sha256

    run(story)


def test_baseline_learns_nothing_from_what_the_scope_refuses() -> None:
    """Orders of any size to a venue that is not allowed leave no trace in the baseline."""

    async def story() -> None:
        live = LiveWorld(await GateWorld.start(quick_policy(), at=MONDAY))
        for number in range(25):
            await live.ask(str(18_000 + 40 * number))
        midnight = parse_instant("2026-05-05T00:00:00.000000000Z")
        before = live.world.log.watch.baseline("bot", midnight)
        refused = await live.ask("900000000", venue="NOWHERE")
        after = live.world.log.watch.baseline("bot", midnight)
        assert codes(refused) == ["venue_not_allowed", "control_unavailable"]
        assert (after.sha256, after.baseline["orders"]) == (before.sha256, 25)

    run(story)


def test_baseline_learns_from_orders_refused_for_want_of_it() -> None:
    """A policy that refuses everything before a baseline still gets one."""

    async def story() -> None:
        policy = quick_policy()
        policy["behaviour"]["without_baseline"] = "refuse"
        live = LiveWorld(await GateWorld.start(policy, at=MONDAY))
        for number in range(25):
            assert codes(await live.ask(str(18_000 + number))) == ["baseline_missing"]
        midnight = parse_instant("2026-05-05T00:00:00.000000000Z")
        assert live.world.log.watch.baseline("bot", midnight).complete

    run(story)


def test_lease_that_was_on_its_way_when_an_incident_opened_lifts_nothing() -> None:
    """Newer by its number, older by its making: heard of or not, the hold stays."""

    async def story() -> None:
        live = await LiveWorld.start()
        world = live.world
        world.authority.epoch = 7
        asked = world.authority.lease

        async def late(request: Any) -> Any:
            answer = await asked(request)
            log = world.log
            opened = IncidentOpened(
                at=log.at(), incident="a" * 32, agent="bot", certificate_sha256=CERTIFICATE,
                incident_kind="hold", score="risk", factor="size", observed="0.900000",
                threshold="0.85", trigger=log.journal.size - 1,
            )  # fmt: skip
            log.record(opened)
            log.heard(opened.incident)
            return answer

        world.authority.lease = late  # type: ignore[method-assign]  # the answer takes its time
        await world.leasing.renew()
        assert live.status == "hold"
        assert live.kinds(AccumulationRestarted) == []

    run(story)


def test_authority_that_hangs_does_not_keep_resting_orders_alive() -> None:
    """After a second the gate cancels on its own word; the report goes on waiting."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.world.venue.fill = False
        await live.ask()
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hang(report: IncidentReport) -> None:
            await never

        live.told.report_incident = hang  # type: ignore[method-assign]  # as a network can
        await live.ask("180000")
        await live.world.clock.play(2)
        assert live.world.venue.resting == {}
        never.set_result(None)
        await live.watch.settled()

    run(story)


def test_authority_that_fails_in_an_unknown_way_is_told_again() -> None:
    """Whatever the link raises, the incident is not forgotten."""

    async def story() -> None:
        live = await LiveWorld.start()
        told = live.told.report_incident

        async def broken(report: IncidentReport) -> None:
            live.told.report_incident = told  # type: ignore[method-assign]  # it works again
            raise ConnectionResetError("reset by peer")

        live.told.report_incident = broken  # type: ignore[method-assign]  # once
        await live.ask("180000")
        await live.world.clock.play(5)
        await live.watch.settled()
        assert len(live.told.reports) == 1

    run(story)
