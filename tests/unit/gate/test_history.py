# SPDX-License-Identifier: Apache-2.0
"""The gate's rows of an agent's history, to the letter, and back (docs/spec/history.md, 3, 4)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.events import HistoryAwaited, HistoryPart, ShutdownOrdered
from sekisho.core.gate import history
from sekisho.core.gate.agent import AgentState
from sekisho.core.handover import Row
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import ORDER, scope_of

DIGEST = "d" * 64
ORDER_ROW = {name: value for name, value in ORDER.items() if name != "client_order_id"}
LIMITS: dict[str, Any] = {
    "price_collar": {"deviation_max": "0.05", "range_max": "0.05", "window_s": 600},
    "concentration": {"share_max": "1", "notional_min": "1", "window_s": 600},
    "repeated_executions": {"count_max": 50, "window_s": 600},
    "repeated_orders": {"count_max": 50, "window_s": 600},
    "message_rate": {"count_max": 500, "window_s": 600},
}


def lived() -> FoldWorld:
    """Filled, resting, being amended, and ended orders; a latch; counted in every list."""
    world = FoldWorld(scope_of(**LIMITS))
    for name in ("filled", "rests", "amended"):
        world.signed(world.permit(client_order_id=name, quantity="100"))
        world.report("new", name)
    world.report("trade", "filled", "100", exec_id="E-filled")
    assert [] == reasons(world.amend("change", "amended", "150"))
    world.permit(client_order_id="asked", quantity="100", price="1.084")
    world.add(ShutdownOrdered, agent="bot", mode="reduce_only", seats=("a",), commands=())
    return world


def rows_of(world: FoldWorld) -> list[Row]:
    return [*history.rows_of(world.bot, world.now), *history.executed_rows(world.bot)]


def taken(rows: list[Row], *parts: tuple[int, bool], **changes: Any) -> FoldWorld:
    """A gate that awaits a history and takes these rows, in one part or in those named."""
    there = FoldWorld(scope_of(**LIMITS))
    there.add(HistoryAwaited, agent="bot", before="g1", epoch=7)
    for part, last in parts or ((0, True),):
        fields = {"agent": "bot", "epoch": 7, "history_sha256": DIGEST, "part": part}
        there.add(HistoryPart, **(fields | {"last": last, "rows": tuple(rows)} | changes))
    return there


def copied(rows: list[Row]) -> list[Row]:
    """As they are read from bytes."""
    found: list[Row] = parse_plain(canonical(rows))
    return found


def plain_order(name: str, **changes: Any) -> dict[str, Any]:
    return ORDER_ROW | {"client_order_id": name, "quantity": "100"} | changes


def test_rows_say_everything_that_the_gate_counts() -> None:
    """Each kind of row, with its members in their order."""
    world = lived()
    t, bot = str(world.now), world.bot
    rows = rows_of(world)
    content = bot.contents[0][1]
    other = bot.contents[-1][1]
    hundred, rest = str(100 * 10**8), bot.working["amended"]
    ratio = [
        ["low", "EUR/USD", t, "271", "250"],
        ["high", "EUR/USD", t, "217", "200"],
        ["high", "EUR/USD", t, "271", "250"],
    ]
    counted = [kind for kind in rows if kind[0] in {"low", "high"}]
    assert counted == ratio
    assert rows[:3] == [
        ["counters", str(bot.day), str(bot.gross), "4", "0", "0", "0"],
        ["latches", "reduce_only", ["shutdown"]],
        ["position", "EUR/USD", hundred],
    ]
    assert [row for row in rows if row[0] == "leg"] == [
        ["leg", "EUR/USD", "EUR", hundred, hundred, True],
        ["leg", "EUR/USD", "USD", "10850000000", "10850000000", False],
    ]
    assert [row for row in rows if row[0] == "working"] == [
        ["working", "amended", plain_order("amended"), hundred, str(rest.reserved), "0", "open",
         ["change"], [plain_order("change", quantity="150"), str(150 * 10**8)]],
        ["working", "asked", plain_order("asked", price="1.084"), hundred, hundred, "0",
         "possibly_issued", [], None],
        ["working", "rests", plain_order("rests"), hundred, hundred, "0", "open", [], None],
    ]  # fmt: skip
    (ended,) = [row for row in rows if row[0] == "ended"]
    assert ended[:6] == [
        "ended", ["filled"], plain_order("filled"), hundred, hundred, hundred
    ]  # fmt: skip
    assert [row for row in rows if row[0] == "message"] == [["message", t]] * 5
    contents = sorted([[t, content]] * 3 + [[t, other]])
    assert [row[1:] for row in rows if row[0] == "content"] == contents
    assert [row for row in rows if row[0] == "counterparty"] == [
        ["counterparty", t, "PAPER", hundred]
    ] * 4
    assert [row for row in rows if row[0] == "execution"] == [["execution", t]]
    assert ["executed", "PAPER", "E-filled"] in rows


def test_taken_rows_are_written_again_as_they_came() -> None:
    """What this gate knew before is dropped, but for latches, ids and reports."""
    world = lived()
    rows = copied(rows_of(world))
    rows.append(history.id_row("used", "e" * 64, "refused", "exceeds_scope_size,lease_expired"))
    there = taken(rows)
    assert rows[:-1] == copied(rows_of(there))
    bot, index = there.bot, len(there.entries) - 1
    assert (bot.history, bot.taken_at, bot.narrowed, bot.awaits) == (7, index, index, False)
    assert bot.known["used"].decision == index
    part = there.entries[index]
    assert isinstance(part, HistoryPart)
    outcome, why = history.first_answer(part, "used")
    assert ("refused", 2) == (outcome, len(why))
    with pytest.raises(MalformedInput, match="not in this part"):
        history.answered(part, "other")
    for old in ("filled", "rests"):
        assert "E-again" not in {name for _, name in bot.executed}
        there.report("trade", old, "1", exec_id=f"E-again-{old}")
    assert str(bot.positions["EUR/USD"]) == str(101 * 10**8 + 10**8)


def test_latches_of_both_gates_stay_and_the_narrower_mode() -> None:
    """No history takes a latch off that people ordered here."""
    rows: list[Row] = [["latches", "reduce_only", ["circuit_breaker", "shutdown"]]]
    there = FoldWorld(scope_of(**LIMITS))
    there.add(HistoryAwaited, agent="bot", before="g1", epoch=7)
    there.add(ShutdownOrdered, agent="bot", mode="cancel_only", seats=("a",), commands=())
    there.add(
        HistoryPart, agent="bot", epoch=7, history_sha256=DIGEST, part=0, last=True,
        rows=tuple(rows),
    )  # fmt: skip
    assert ({"circuit_breaker", "shutdown"}, "cancel_only") == (
        there.bot.latches,
        there.bot.shutdown,
    )


def test_part_that_is_not_due_has_no_effect_and_the_last_one_ends_the_waiting() -> None:
    """Parts come in order, of one history; until the last the agent awaits it."""
    rows: list[Row] = [["counters", "0", "5", "1", "2", "3", "4"]]
    assert taken(rows, (1, True)).bot.awaits
    assert taken(rows, (0, False), (2, True)).bot.awaits
    assert taken(rows, (0, False)).bot.awaits
    done = taken(rows, (0, False), (1, True)).bot
    assert (False, 5, 1, 2, 3, 4) == (
        done.awaits, done.gross, done.orders, done.failures, done.orphans, done.unbooked
    )  # fmt: skip
    assert taken(rows, epoch=6).bot.awaits


def test_awaiting_agent_is_refused_and_its_ids_are_not_used_up() -> None:
    """Row 34; a cancel passes."""
    world = lived()
    world.rearm("shutdown")
    world.add(HistoryAwaited, agent="bot", before="g9", epoch=7)
    answer = world.ask(client_order_id="next", quantity="100")
    (why,) = answer.reasons
    assert ("control_unavailable", "history at gate g9 is not here") == (why.code, why.observed)
    assert "next" not in world.bot.known
    assert [] == reasons(world.cancel("c", "rests"))
    assert world.state.lacks_history(world.bot)
    world.state.gate = "g9"
    assert not world.state.lacks_history(world.bot)


def test_lists_of_a_policy_without_limits_have_no_rows() -> None:
    """Nor has what lies outside its window."""
    world = lived()
    world.later(601)
    kinds = {row[0] for row in rows_of(world)}
    assert not kinds & {"message", "content", "counterparty", "execution", "low", "high"}


@pytest.mark.parametrize(
    "row",
    [
        ["working", "x", {"action": "new"}, "1", "1", "0", "open", [], None],
        ["working", "x", plain_order("x"), "1", "1", "0", "permitted", [], None],
        ["latches", "", ["shutdown"]],
        ["latches", "reduce_only", []],
        ["latches", "none", ["shutdown"]],
        ["latches", "", ["other"]],
        ["id", "x", "d" * 64, "allowed", ""],
        ["id", "x", "d" * 63, "refused", ""],
        ["position", "EUR/USD", 5],
    ],
)
def test_row_that_no_gate_writes_is_refused(row: Row) -> None:
    """Before anything of the history is taken."""
    with pytest.raises(MalformedInput):
        history.check_rows([row])
    agent = AgentState("bot", 0)
    assert agent.positions == {}
