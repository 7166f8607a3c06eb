# SPDX-License-Identifier: Apache-2.0
"""The watch's part of an agent's history, as rows and back (docs/spec/history.md, section 3).

What was permitted and not signed is not in it: it is never signed any more. What crossed a
threshold and was not answered shows again with the next observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from sekisho.core.behaviour.accumulation import Accumulation, DayOfEvidence
from sekisho.core.behaviour.activity import HOUR_NS, Activity
from sekisho.core.behaviour.baseline import Collecting, read_baseline
from sekisho.core.behaviour.comparison import Comparison
from sekisho.core.behaviour.crossing import Crossing
from sekisho.core.behaviour.factors import ANOMALIES
from sekisho.core.errors import MalformedInput
from sekisho.core.handover import HistoryPart, Row
from sekisho.core.statecode import NUMBER, TEXT, Coder, listed, row


class Watched(Protocol):
    """What the watch keeps of one agent, as far as it moves."""

    activity: Activity
    comparison: Comparison | None
    crossing: Crossing | None
    taking: tuple[str, int]
    _collecting: Collecting


def _read_object(plain: Any) -> dict[str, Any]:
    if type(plain) is not dict:
        raise MalformedInput("history: a baseline is no object")
    return plain


def _read_key(plain: Any) -> int | str:
    if type(plain) not in (int, str):
        raise MalformedInput("history: a habit is counted by a number or a label")
    key: int | str = plain
    return key


_OBJECT = Coder(lambda value: value, _read_object)
_KEY = Coder(lambda value: value, _read_key)
_SHAPES: Final[dict[str, Coder]] = {
    "hour": row(NUMBER, NUMBER),
    "asked": row(NUMBER),
    "waiting": row(TEXT, NUMBER),
    "window": row(NUMBER, NUMBER, NUMBER, NUMBER, NUMBER),
    "habit": row(TEXT, _KEY, NUMBER),
    "baseline": row(_OBJECT, TEXT),
    "evidence": row(TEXT, NUMBER),
    "evidence_day": row(TEXT, NUMBER, NUMBER, NUMBER, listed(NUMBER)),
}


def _row(kind: str, *members: Any) -> Row:
    return [kind, *_SHAPES[kind].write(members)]


def rows_of(agent: Watched, now: int) -> Iterator[Row]:
    """What the watch knows of the agent at ``now`` (ns), to which its day was rolled."""
    seen = agent.activity
    yield _row("hour", seen._hour, seen._in_hour)  # noqa: SLF001 - same room
    for time in seen._times:  # noqa: SLF001 - same room
        if time > now - HOUR_NS:
            yield _row("asked", time)
    for name, time in sorted(seen._waited.items()):  # noqa: SLF001 - same room
        yield _row("waiting", name, time)
    if agent.comparison is None:
        yield from _habits(agent._collecting)  # noqa: SLF001 - same room
        return
    held = agent.comparison
    yield _row("baseline", held.plain_baseline(), held.sha256)
    found = sorted(_accumulations(held).items())
    for name, one in found:
        yield _row("evidence", name, one.evidence)
    for name, one in found:
        for day in one._days:  # noqa: SLF001 - same room
            counts = [] if name == ANOMALIES else day.counts
            yield _row("evidence_day", name, day.day, day.total, day.best, counts)


def _accumulations(held: Comparison) -> dict[str, Accumulation]:
    return {**held.wagers(), ANOMALIES: held.standing_out()}


def _habits(held: Collecting) -> Iterator[Row]:
    latest = held._last_day  # noqa: SLF001 - same room
    if held.first is None or held.last is None or latest is None:
        return
    yield _row("window", held.first, held.last, latest, held.orders, held.days)
    for factor, counts in sorted(held._counts.items()):  # noqa: SLF001 - same room
        for key in sorted(counts, key=lambda one: (one, "") if type(one) is int else (0, one)):
            yield _row("habit", factor, key, counts[key])


def take(agent: Watched, index: int, entry: HistoryPart) -> None:
    """Apply a part that is due; any other has no effect.

    Raises:
        MalformedInput: a row that no gate writes. The agent is then not to be used any more.
    """
    if entry.part and agent.taking != (entry.history_sha256, entry.part):
        return
    if not entry.part:
        agent.activity, agent.comparison, agent.crossing = Activity(), None, None
        agent._collecting = Collecting(entry.agent)  # noqa: SLF001 - same room
    _apply(agent, entry.rows)
    agent.taking = ("", 0) if entry.last else (entry.history_sha256, entry.part + 1)
    if agent.comparison is not None:
        agent.comparison.began = index


class _Trial:
    """Where rows are applied to see whether they can be."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.comparison: Comparison | None = None
        self.crossing: Crossing | None = None
        self.taking = ("", 0)
        self._collecting = Collecting("")


KINDS: Final = frozenset(_SHAPES)
"""Rows of the watch's part."""


def check_rows(rows: Iterable[Row]) -> None:
    """Whether every row can be applied. Raises MalformedInput."""
    _apply(_Trial(), rows)


def _apply(agent: Watched, rows: Iterable[Row]) -> None:
    for one in rows:
        effect = _EFFECTS.get(str(one[0]))
        if effect is not None:
            effect(agent, *_SHAPES[str(one[0])].read(one[1:]))


def _hour(agent: Watched, hour: int, count: int) -> None:
    agent.activity._hour = hour  # noqa: SLF001 - same room
    agent.activity._in_hour = count  # noqa: SLF001 - same room


def _asked(agent: Watched, time: int) -> None:
    agent.activity._times.append(time)  # noqa: SLF001 - same room


def _waiting(agent: Watched, name: str, time: int) -> None:
    agent.activity._waited[name] = time  # noqa: SLF001 - same room


def _window(agent: Watched, first: int, last: int, latest: int, *counts: int) -> None:
    held = agent._collecting  # noqa: SLF001 - same room
    held.first, held.last, held._last_day = first, last, latest  # noqa: SLF001 - same room
    held.orders, held.days = counts


def _habit(agent: Watched, factor: str, key: int | str, count: int) -> None:
    counts = agent._collecting._counts  # noqa: SLF001 - same room
    if factor not in counts:
        raise MalformedInput(f"history: {factor!r:.40} is no factor")
    counts[factor][key] = count


def _baseline(agent: Watched, plain: dict[str, Any], sha256: str) -> None:
    agent.comparison = Comparison(read_baseline(plain), sha256, -1)


def _found(agent: Watched, factor: str) -> Accumulation:
    found = {} if agent.comparison is None else _accumulations(agent.comparison)
    if factor not in found:
        raise MalformedInput(f"history: {factor!r:.40} is not established")
    return found[factor]


def _evidence(agent: Watched, factor: str, evidence: int) -> None:
    _found(agent, factor).evidence = evidence


def _evidence_day(agent: Watched, factor: str, day: int, *members: Any) -> None:
    one, (total, best, counts) = _found(agent, factor), members
    if factor == ANOMALIES:
        counts = [0]
    if len(counts) != len(one.counts):
        raise MalformedInput(f"history: {factor} has other categories than its baseline")
    one._days.append(DayOfEvidence(day, total, best, counts))  # noqa: SLF001 - same room
    one.counts = [held + more for held, more in zip(one.counts, counts, strict=True)]
    one.seen += sum(counts)


_EFFECTS: Final[dict[str, Callable[..., None]]] = {
    "hour": _hour,
    "asked": _asked,
    "waiting": _waiting,
    "window": _window,
    "habit": _habit,
    "baseline": _baseline,
    "evidence": _evidence,
    "evidence_day": _evidence_day,
}
