# SPDX-License-Identifier: Apache-2.0
"""What ends a rehearsal, and that what it counts does not grow with the history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from sekisho.adapters.history.rates import OwnPrices
from sekisho.adapters.known_ids import RECENT_MAX, KnownIds
from sekisho.adapters.memory_journal import KEPT_ENTRIES, MemoryJournal
from sekisho.compose.documents import register_document
from sekisho.compose.rehearsal_gate import RehearsalStage
from sekisho.core.drills.history import BadRow, HistoryRow, RowDefaults, read_row
from sekisho.core.errors import StorageFailed, VerificationFailed
from sekisho.core.events import GateEntry, IncidentOpened, StatusActed
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.gate.agent import AgentState, Seen, in_memory
from sekisho.core.gate.state import GateState
from sekisho.core.terms import NS, format_instant
from sekisho.services.rehearsal import Rehearsal, RehearsalGate
from sekisho.services.rehearsal_figures import (
    BAD_ROWS_MAX,
    EXAMPLES_MAX,
    INCIDENTS_MAX,
    DecisionLine,
    RehearsalFigures,
)

POLICY = """
agent: bot
operator: {name: Example Trading}
scope: {markets: [EUR/USD], regions: [eu-west-1], order_notional_max: 25000}
"""
Act = Callable[[RehearsalGate, Rehearsal], Awaitable[None]]


class Lines:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[DecisionLine] = []
        self.bad: list[BadRow] = []

    def decided(self, line: DecisionLine) -> None:
        self.lines.append(line)

    def bad_row(self, row: BadRow) -> None:
        self.bad.append(row)


def row(number: int, quantity: str = "1000") -> HistoryRow:
    """An order each second, filled half a second later."""
    fields = {
        "time": f"2026-05-04T10:{number // 60:02d}:{number % 60:02d}Z",
        "market": "EUR/USD",
        "side": "buy",
        "quantity": quantity,
        "price": "1.085",
        "status": "filled",
        "latency_ms": "500",
    }
    return read_row(fields, number + 2, RowDefaults(venue="PAPER"))


async def ask(rehearsal: Rehearsal, *rows: HistoryRow) -> list[DecisionLine]:
    """Ask for these rows, to the end."""
    lines = Lines()
    done = await rehearsal.run(rows, lines, stopped=lambda: False, progress=lambda _figures: None)
    assert done
    return lines.lines


def rehearse(folder: Path, act: Act) -> None:
    """Do something with a rehearsal that is about to begin."""

    async def go() -> None:
        path = folder / "policy.yaml"
        path.write_text(POLICY, encoding="utf-8")
        begins, known = row(0).at - 60 * NS, KnownIds(folder / "ids")
        stage = RehearsalStage(
            register_document(path, begins), OwnPrices(("primary",)), known, Chronicle("bot")
        )
        try:
            gate = await stage.open(begins)
            await act(gate, Rehearsal("bot", gate, RehearsalFigures("bot", "EUR")))
        finally:
            known.close()

    asyncio.run(go())


def test_gate_that_cannot_decide_ends_the_rehearsal(tmp_path: Path) -> None:
    """No answer is no verdict: the run ends with the line and the reason, never with a guess."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        object.__setattr__(gate.log.journal, "failed", StorageFailed("the disk is gone"))
        with pytest.raises(
            VerificationFailed, match=r"line 2: the gate answered unavailable.*gone"
        ):
            await ask(rehearsal, row(0))

    rehearse(tmp_path, act)


def test_decision_that_is_not_durable_ends_the_rehearsal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decided and could not be kept is no verdict either."""

    async def away(_journal: MemoryJournal, _index: int) -> None:
        raise StorageFailed("the disk is gone")

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        monkeypatch.setattr(MemoryJournal, "flushed", away)
        with pytest.raises(
            VerificationFailed, match=r"line 2: the gate answered unavailable.*gone"
        ):
            await ask(rehearsal, row(0))

    rehearse(tmp_path, act)


def test_incidents_are_not_kept_by_the_log(tmp_path: Path) -> None:
    """Nobody reports them from here: they are counted when they are opened."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        gate.log.record(msgspec.structs.replace(_incident(), at=gate.log.at()))
        assert ({}, 1) == (gate.log.incidents, rehearsal.figures.incidents["hold"])

    rehearse(tmp_path, act)


def test_agent_that_cannot_be_released_ends_the_rehearsal(tmp_path: Path) -> None:
    """A history that nobody judges any more is not passed off as one that was refused."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        held = gate.log.state.agents["bot"]
        gate.log.record(
            StatusActed(
                at=gate.log.at(),
                agent="bot",
                certificate_sha256=held.certificate_sha256,
                status="revoked",
                reason="test",
                epoch=1,
            )
        )
        with pytest.raises(VerificationFailed, match="is revoked and could not be released"):
            await ask(rehearsal, row(0))

    rehearse(tmp_path, act)


def test_run_that_is_stopped_says_so_and_asks_no_more(tmp_path: Path) -> None:
    """The wish is looked at before each row."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        lines = Lines()
        done = await rehearsal.run(
            [row(0), row(1), row(2)],
            lines,
            stopped=lambda: len(lines.lines) == 2,
            progress=lambda _figures: None,
        )
        assert (False, 2) == (done, len(lines.lines))

    rehearse(tmp_path, act)


def test_followers_see_every_entry_in_the_logs_order(tmp_path: Path) -> None:
    """Nothing that the gate records is kept from the report."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        seen: list[int] = []
        before = gate.log.journal.size

        def follow(index: int, entry: GateEntry) -> None:
            seen.append(index)
            assert format_instant(0) < entry.at

        gate.log.follow(follow)
        await ask(rehearsal, row(0), row(1))
        assert list(range(before, gate.log.journal.size)) == seen

    rehearse(tmp_path, act)


def test_what_is_kept_does_not_grow_with_the_history(tmp_path: Path) -> None:
    """After more orders than are kept: log, answers, reports and incidents are at their bounds."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        lines = await ask(rehearsal, *(row(number) for number in range(RECENT_MAX + 10)))
        held = gate.log.state.agents["bot"]
        assert {"permitted"} == {line.verdict for line in lines}
        assert KEPT_ENTRIES == len(
            list(gate.log.journal.entries(gate.log.journal.size - KEPT_ENTRIES))
        )
        assert (RECENT_MAX, RECENT_MAX, RECENT_MAX + 10) == (
            len(held.answers),
            len(held.executed),
            len(held.known),
        )
        assert ({}, {}, {}) == (held.working, held.by_decision, gate.log.incidents)
        with pytest.raises(IndexError):
            gate.log.journal.entry(gate.log.journal.size - KEPT_ENTRIES - 1)

    rehearse(tmp_path, act)


def test_figures_keep_the_first_of_each_kind_and_count_all(tmp_path: Path) -> None:
    """Examples are few, counts are exact."""

    async def act(gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        count = EXAMPLES_MAX + 2
        await ask(rehearsal, *(row(number, "26000") for number in range(count)))
        figures = rehearsal.figures
        for number in range(BAD_ROWS_MAX + 2):
            figures.bad_row(BadRow(file="o", line=number, column="", problem="x", do="y"))
            figures.bad_rate(BadRow(file="r", line=number, column="", problem="x", do="y"))
        for number in range(INCIDENTS_MAX + 2):
            figures.incident(number, _incident())
        summary = figures.summary(complete=True, policy={}, baseline={}, notes=[])
        (found,) = summary["refusals"]
        assert ("exceeds_scope_size", count, EXAMPLES_MAX) == (
            found["code"],
            found["orders"],
            len(found["first"]),
        )
        assert (BAD_ROWS_MAX, BAD_ROWS_MAX + 2, BAD_ROWS_MAX + 2) == (
            len(summary["bad_rows"]),
            summary["rows"]["bad"],
            summary["rates"]["bad"],
        )
        assert (INCIDENTS_MAX, INCIDENTS_MAX + 2) == (
            len(summary["incidents"]["first"]),
            summary["incidents"]["hold"],
        )

    rehearse(tmp_path, act)


def _incident() -> IncidentOpened:
    return IncidentOpened(
        at="2026-05-04T10:00:00.000000000Z",
        incident="a" * 32,
        agent="bot",
        certificate_sha256="c" * 64,
        incident_kind="hold",
        score="risk",
        factor="size",
        observed="0.900000",
        threshold="0.85",
        trigger=5,
    )


def test_gate_keeps_ids_in_memory_unless_told_where() -> None:
    """What a rehearsal puts elsewhere is what the state then uses; a gate's is its own memory."""
    given = Seen({}, {}, set())
    agent = AgentState("bot", 0, lambda: given)
    assert (True, True, True) == (
        agent.known is given.known,
        agent.answers is given.answers,
        agent.executed is given.executed,
    )
    assert in_memory is GateState().seen_in
    assert ({}, {}, set()) == in_memory()
    assert in_memory().known is not in_memory().known


def test_line_of_an_order_names_the_rate_that_it_used(tmp_path: Path) -> None:
    """Source and age stand beside the verdict, as the gate recorded them."""

    async def act(_gate: RehearsalGate, rehearsal: Rehearsal) -> None:
        (line,) = await ask(rehearsal, row(0))
        assert ["EUR/USD"] == list(line.rates)
        assert {"primary": 0} == {name: one.age_ms for name, one in line.rates["EUR/USD"].items()}

    rehearse(tmp_path, act)
