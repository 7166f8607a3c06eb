# SPDX-License-Identifier: Apache-2.0
"""A bot whose agent is not admitted yet is told the truth that it can act on: ask again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.apps.gate_api import answer_said
from sekisho.compose.gate_process import GateProcess
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import NotAuthorised, Unavailable, VerificationFailed
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.terms import Code, Reason
from sekisho.services.advice import Advice, AdviceDesk
from sekisho.services.awaited import Awaited
from sekisho.services.gatekeeper import Answer
from sekisho.services.ratewatch import RateWatch
from sekisho_client.answers import Reply, read_answer
from sekisho_client.answers import Unavailable as NotAnswered
from tests.gate_world import GateWorld, order

SENTENCE = "agent late is not admitted at this gate yet: the authority has not answered yet"


def process_of(world: GateWorld, awaited: Awaited) -> Any:
    """As much of a gate process as answers orders."""
    desk = AdviceDesk(world.log, RateWatch(world.log, world.rates))
    measures = SimpleNamespace(stage=lambda *_: None, answered=lambda _: None)
    gate = SimpleNamespace(gatekeeper=world.gate, advice=desk)
    return SimpleNamespace(clock=world.clock, gate=gate, measures=measures, awaited=awaited)


def test_order_of_an_agent_not_admitted_yet_is_recorded_and_told_as_unavailable() -> None:
    """The log has the decision, the bot a value that may be asked again, with the sentence."""

    async def story() -> None:
        world = await GateWorld.start()
        process = process_of(world, Awaited())
        answer = await GateProcess._measured(process, "late", order())
        entries = [decode_gate_entry(data) for _, data in world.log.journal.entries()]
        decided = [one for one in entries if isinstance(one, Decision)]
        assert [["agent_not_active"]] == [[str(r.code) for r in one.reasons] for one in decided]
        said = answer_said(answer)
        reply = Reply(said.status, said.media_type, said.body)
        told = read_answer(parse_plain(order()), reply)
        assert isinstance(told, NotAnswered)
        assert f"{SENTENCE}; ask again with the same id" == told.detail
        assert ["control_unavailable"] == [one.code for one in told.reasons]
        advice = await GateProcess.advise(process, "late", order())
        assert (False, False) == (advice.would_pass, advice.evaluated)
        assert [(Code.CONTROL_UNAVAILABLE, SENTENCE)] == [
            (one.code, one.observed) for one in advice.reasons
        ]

    asyncio.run(story())


def test_other_answers_and_advice_are_told_as_they_are() -> None:
    """What was decided about an admitted agent is not made retryable."""
    awaited = Awaited()
    held = Reason(Code.CERTIFICATE_HELD, "", "", "")
    refused = Answer(kind="refused", decision=7, reasons=(held,))
    assert refused is awaited.answer("bot", refused)
    advice = Advice(would_pass=False, evaluated=True, reasons=(held,))
    assert advice is awaited.advice("bot", advice)


def test_order_of_an_agent_whose_history_is_elsewhere_is_told_as_unavailable() -> None:
    """Whether its id was used is known at the gate before: final would make the bot ask anew."""
    away = Reason(Code.CONTROL_UNAVAILABLE, "", "history at gate gate-a is not here", "")
    held = Reason(Code.CERTIFICATE_HELD, "", "", "")
    told = Awaited().answer("bot", Answer(kind="refused", decision=7, reasons=(held, away)))
    assert told.kind == "unavailable"
    assert "ask again with the same id" in str(answer_said(told).body)
    lost = Reason(Code.CONTROL_UNAVAILABLE, "", "history was declared lost: nothing new on …", "")
    final = Answer(kind="refused", decision=7, reasons=(lost,))
    assert final is Awaited().answer("bot", final)


@pytest.mark.parametrize("failure", [NotAuthorised, Unavailable, VerificationFailed])
def test_what_keeps_an_agent_out_is_said_and_keeps_no_other_waiting(failure: Any) -> None:
    """Each agent has its own sentence; the one after it is admitted all the same."""
    asked: list[str] = []

    async def admit_one(name: str) -> None:
        asked.append(name)
        if name == "late":
            raise failure("it has no certificate")

    process: Any = SimpleNamespace(
        located=SimpleNamespace(
            config=SimpleNamespace(
                agents=(SimpleNamespace(name="late"), SimpleNamespace(name="other"))
            )
        ),
        log=SimpleNamespace(state=SimpleNamespace(agents={})),
        awaited=Awaited(),
        _admit_one=admit_one,
        _looks_for_successors=lambda: False,
    )
    with pytest.raises(NotAuthorised):
        asyncio.run(GateProcess._admit(process))
    assert ["late", "other"] == asked
    said = "agent late is not admitted at this gate yet: it has no certificate"
    assert said == process.awaited.waits_for("late")
    assert "has not answered" in process.awaited.waits_for("other")


@pytest.mark.parametrize(("looks", "expected"), [(True, ["bot"]), (False, [])])
def test_successor_of_a_good_certificate_is_asked_for_now_and_then(
    looks: bool, expected: list[str]
) -> None:
    """An agent that is good here is asked about again; what fails then keeps it from nothing."""
    asked: list[str] = []

    async def admit_one(name: str) -> None:
        asked.append(name)
        raise Unavailable("its key is not here yet")

    process: Any = SimpleNamespace(
        located=SimpleNamespace(config=SimpleNamespace(agents=(SimpleNamespace(name="bot"),))),
        log=SimpleNamespace(state=SimpleNamespace(agents={"bot": SimpleNamespace(status="good")})),
        awaited=Awaited(),
        _admit_one=admit_one,
        _looks_for_successors=lambda: looks,
    )
    if looks:
        with pytest.raises(NotAuthorised):
            asyncio.run(GateProcess._admit(process))
    else:
        asyncio.run(GateProcess._admit(process))
    assert expected == asked
    assert "its key" not in process.awaited.waits_for("bot")


def test_successors_are_looked_for_once_a_minute() -> None:
    """Not before a minute is over, and then not before the next one is."""
    clock = SteppedClock(0)
    process: Any = SimpleNamespace(clock=clock, _looked_at=clock.monotonic_ns())
    found = []
    for seconds in (59, 1, 59, 1):
        clock.advance(seconds)
        found.append(GateProcess._looks_for_successors(process))
    assert [False, True, False, True] == found
