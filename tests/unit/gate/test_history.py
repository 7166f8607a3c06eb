# SPDX-License-Identifier: Apache-2.0
"""The gate's rows of an agent's history, to the letter, and back (docs/spec/history.md, 3, 4)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.events import (
    Decision,
    HistoryAwaited,
    HistoryPart,
    ShutdownOrdered,
    StatusActed,
)
from sekisho.core.gate import history
from sekisho.core.gate.agent import AgentState
from sekisho.core.handover import Begun, Row
from sekisho.core.terms import Code, Reason
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
    codes = (Code.EXCEEDS_SCOPE_SIZE, Code.LEASE_EXPIRED)
    assert ("refused", tuple(Reason(code, "", "", "") for code in codes)) == (outcome, why)
    assert (world.bot.content_counts, world.bot.counterparty_sums) == (
        bot.content_counts, bot.counterparty_sums,
    )  # fmt: skip
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
    assert done.taking == ("", 0)
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


@pytest.mark.parametrize(("passed_s", "left"), [(599, 6), (600, 0)])
def test_what_has_left_its_window_has_no_row(passed_s: int, left: int) -> None:
    """A window of 600 s ends where it is that old."""
    world = lived()
    world.later(passed_s)
    kinds = {row[0] for row in rows_of(world)}
    lists = {"message", "content", "counterparty", "execution", "low", "high"}
    assert left == len(kinds & lists)


def test_what_the_bot_asserted_of_an_order_is_not_handed_over() -> None:
    """It is committed to in the log of its decision, and nothing counts it."""
    world = lived()
    world.rearm("shutdown")
    asserted = {"decision_context": {"reason_sha256": "d" * 64}}
    world.permit(client_order_id="told", quantity="100", **asserted)
    decided = world.entries[-1]
    assert isinstance(decided, Decision)
    assert "decision_context" in (decided.order or {})
    (row,) = [row for row in copied(rows_of(world)) if row[:2] == ["working", "told"]]
    assert plain_order("told") == row[2]


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


def test_position_of_nothing_has_no_row() -> None:
    """A pair that was traded and is flat again."""
    world = lived()
    world.bot.positions["EUR/GBP"] = 0
    assert ["EUR/USD"] == [row[1] for row in rows_of(world) if row[0] == "position"]


def test_lists_that_the_policy_has_no_more_have_no_rows() -> None:
    """They grew under an earlier one; nothing reads them now."""
    world = lived()
    before = {row[0] for row in rows_of(world)}
    bare = FoldWorld(scope_of(**dict.fromkeys(LIMITS, "none"))).bot
    world.bot.limits = bare.limits
    gone = {"message", "content", "counterparty", "execution", "low", "high"}
    assert before - gone == {row[0] for row in rows_of(world)}


def test_first_part_begins_anew_and_no_later_one_does() -> None:
    """What this gate counted of the agent was before the history that it now takes."""
    rows: list[Row] = [["position", "EUR/GBP", "5"]]
    there = lived()
    there.add(HistoryAwaited, agent="bot", before="g1", epoch=7)
    fields: dict[str, Any] = {"agent": "bot", "epoch": 7, "history_sha256": DIGEST}
    there.add(HistoryPart, **fields, part=0, last=False, rows=tuple(rows))
    bot = there.bot
    assert ({"EUR/GBP": 5}, {}, 0, 0) == (bot.positions, bot.working, bot.gross, bot.reserved)
    assert ([], []) == ([*bot.messages], [*bot.executions])
    there.add(HistoryPart, **fields, part=1, last=True, rows=(["position", "EUR/USD", "6"],))
    assert {"EUR/GBP": 5, "EUR/USD": 6} == bot.positions


def test_taken_orders_reserve_to_the_last_digit_what_they_reserved() -> None:
    """In all, and by pair and direction."""
    world = lived()
    there = taken(copied(rows_of(world))).bot
    assert (world.bot.reserved, world.bot.reserved_by) == (there.reserved, there.reserved_by)


def test_rows_of_baseline_and_beginning_and_of_others_are_taken_or_passed_over() -> None:
    """What the watch reads is for the watch."""
    known = {"agent": "bot"}
    bot = taken([["baseline", known, DIGEST], ["begun", "5", "gen2-"], ["watched", "x"]]).bot
    assert (DIGEST, Begun(5, "gen2-")) == (bot.baseline_sha256, bot.begun)
    assert ["begun", "5", "gen2-"] in copied(list(history.rows_of(bot, 0)))


def test_every_latch_at_once_is_taken() -> None:
    """No gate has others."""
    names = sorted(history.LATCHES)
    assert history.LATCHES == taken([["latches", "cancel_only", names]]).bot.latches


def test_answer_is_read_from_the_row_of_the_id_alone() -> None:
    """Another row may begin with the same text."""
    part = HistoryPart(
        at="", agent="bot", epoch=7, history_sha256=DIGEST, part=0, last=True,
        rows=(["executed", "used", "E"], history.id_row("used", DIGEST, "permitted", "")),
    )  # fmt: skip
    assert ("permitted", "") == history.answered(part, "used")


def test_new_order_waits_for_the_day_after_a_history_was_declared_lost() -> None:
    """Nobody knows what of that day's limits was used: it counts as used up."""
    world = taken([["begun", "0", ""]])
    day = world.bot.day
    world.bot.begun = Begun(day, "")
    (why,) = world.ask(client_order_id="a", quantity="100").reasons
    assert (Code.CONTROL_UNAVAILABLE, "") == (why.code, why.limit)
    assert why.observed.startswith("history was declared lost: nothing new on ")
    world.bot.begun = Begun(day - 1, "")
    assert [] == reasons(world.ask(client_order_id="b", quantity="100"))


def test_id_that_may_have_been_used_before_the_history_was_lost_is_refused() -> None:
    """Ids begin anew with a text that no id had."""
    world = taken([["begun", "0", "gen2-"]])
    old = world.ask(client_order_id="a", quantity="100")
    assert [(Code.DUPLICATE_ORDER_ID, "begins with gen2-", "a", "")] == reasons(old)
    assert [] == reasons(world.ask(client_order_id="gen2-a", quantity="100"))


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ([("hold", "assigned")], True),
        ([("hold", "lease")], False),
        ([("hold", "assigned"), ("hold", "assigned")], True),
        ([("hold", "assigned"), ("hold", "lease")], False),
        ([("hold", "lease"), ("hold", "assigned")], False),
        ([("hold", "assigned"), ("good", "assigned")], False),
        ([("hold", "assigned"), ("revoked", "lease")], False),
    ],
)
def test_agent_has_left_only_while_it_is_held_for_nothing_but_its_move(
    told: list[tuple[str, str]], left: bool
) -> None:
    """What another cause holds does not come back with a move."""
    world = FoldWorld()
    for epoch, (status, reason) in enumerate(told, 1):
        world.add(
            StatusActed, agent="bot", certificate_sha256=world.bot.certificate_sha256,
            status=status, reason=reason, epoch=epoch,
        )  # fmt: skip
        assert status == world.bot.status
    assert left is world.bot.left


def test_history_of_an_agent_that_is_not_here_has_no_effect() -> None:
    """Nothing is admitted by it."""
    world = FoldWorld()
    fields: dict[str, Any] = {"epoch": 7, "history_sha256": DIGEST, "part": 0, "last": True}
    world.add(HistoryPart, agent="stranger", rows=(), **fields)
    assert {"bot"} == set(world.state.agents)
