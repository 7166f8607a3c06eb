# SPDX-License-Identifier: Apache-2.0
"""Whatever happens before and meanwhile, a shutdown order leaves what it says and no more."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.events import (
    Advised,
    Decision,
    GateOpened,
    IncidentOpened,
    LocalStop,
    ShutdownOrdered,
    decode_gate_entry,
    encode_entry,
)
from sekisho.core.gate.state import GateState
from tests.fold_world import FoldWorld
from tests.gate_world import CERTIFICATE
from tests.property.test_gate_fold import POLICY, STEPS, live, plain

ORDERED = st.one_of(
    STEPS,
    STEPS,
    st.tuples(st.just("shutdown"), st.sampled_from(["reduce_only", "reduce_only", "cancel_only"])),
    st.tuples(st.just("break")),
    st.tuples(st.just("stop")),
    st.tuples(st.just("release")),
    st.tuples(st.just("advise")),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("rearm"), st.sampled_from(["shutdown", "circuit_breaker"])),
)
SIGNED: dict[str, Any] = {"agent": "bot", "seats": ("a",), "commands": ()}


def step(world: FoldWorld, kind: str, *arguments: Any) -> None:
    """One step; those of the gate's fold are done as there."""
    match kind:
        case "shutdown":
            world.add(ShutdownOrdered, mode=arguments[0], **SIGNED)
        case "break":
            world.add(
                IncidentOpened, incident="a" * 32, agent="bot", certificate_sha256=CERTIFICATE,
                incident_kind="breaker", score="risk", factor="size", observed="0.800000",
                threshold="0.75", trigger=0,
            )  # fmt: skip
        case "stop":
            world.add(LocalStop, certificate_sha256=CERTIFICATE, **SIGNED)
        case "release":
            world.status("good", world.bot.epoch + 1)
        case "advise":
            world.add(Advised, agent="bot", body_sha256="b" * 64, would_pass=True, reasons=())
        case "reopen":
            world.add(GateOpened, gate="g1", boot="1" * 32, region="eu-west-1", environment="test")
            world.lease()
        case _:
            live(world, [(kind, *arguments)])


@given(st.lists(ORDERED, max_size=40))
def test_what_is_left_to_an_agent_is_never_exceeded(steps: list[Any]) -> None:
    """Cancels alone, or orders after which all that works against a position is within it."""
    world = FoldWorld(POLICY)
    bot = world.bot
    for kind, *arguments in steps:
        before = bot.restriction
        seen = len(world.entries)
        step(world, kind, *arguments)
        if kind not in ("new", "amend") or len(world.entries) == seen or not before:
            continue
        decision = world.entries[-1]
        assert isinstance(decision, Decision)
        if decision.verdict == "permitted":
            assert before == "reduce_only"
            order = bot.by_decision[decision.state]
            key = (order.terms.pair, order.terms.direction)
            held = order.terms.direction * bot.positions.get(order.terms.pair, 0)
            assert held + bot.reserved_by[key] <= 0
            assert bot.unbooked == 0


@given(st.lists(ORDERED, max_size=40))
def test_what_people_ordered_folds_again_to_the_same(steps: list[Any]) -> None:
    """The log alone gives modes, latches, stops and messages again."""
    world = FoldWorld(POLICY)
    for kind, *arguments in steps:
        step(world, kind, *arguments)
    again = GateState()
    for index, entry in enumerate(world.entries):
        again.apply(index, decode_gate_entry(encode_entry(entry)))
    assert plain(again.agents["bot"]) == plain(world.bot)
    assert again.used_commands == world.state.used_commands


@given(st.lists(ORDERED, max_size=30))
def test_only_rearming_gives_back_what_was_taken(steps: list[Any]) -> None:
    """No other entry widens what is left."""
    world = FoldWorld(POLICY)
    order = ["", "reduce_only", "cancel_only"]
    for kind, *arguments in steps:
        before = world.bot.restriction
        step(world, kind, *arguments)
        if kind != "rearm":
            assert order.index(world.bot.restriction) >= order.index(before)
