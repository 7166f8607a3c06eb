# SPDX-License-Identifier: Apache-2.0
"""The watch's state as plain values, and back (docs/spec/ledger.md, section 10).

``read(write(watch))`` folds on as ``watch`` does. What follows from a baseline is not written: the
baseline is.
"""

from __future__ import annotations

from typing import Any

from sekisho.core.behaviour.accumulation import Accumulation, DayOfEvidence
from sekisho.core.behaviour.activity import Activity
from sekisho.core.behaviour.agent import AgentWatch, Rules
from sekisho.core.behaviour.baseline import Collecting, read_baseline
from sekisho.core.behaviour.comparison import Comparison
from sekisho.core.behaviour.crossing import Crossing, Thresholds
from sekisho.core.behaviour.wager import Wager
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.errors import MalformedInput
from sekisho.core.localtime import LocalTime
from sekisho.core.statecode import (
    NUMBER,
    TEXT,
    Coder,
    Fields,
    either,
    listed,
    mapping,
    optional,
    queue,
    row,
    struct,
)

_DAY = Coder(
    lambda one: [str(one.day), str(one.total), str(one.best), [str(n) for n in one.counts]],
    row(NUMBER, NUMBER, NUMBER, listed(NUMBER), make=DayOfEvidence).read,
)
_KEPT = {"_days": queue(_DAY), "counts": listed(NUMBER), "evidence": NUMBER, "seen": NUMBER}
_ACCUMULATION = Fields(_KEPT)
_WAGER = Fields(_KEPT, elsewhere=("_baseline", "_categories", "_fee", "_most", "_prior"))
"""A wager's categories and odds follow from the baseline."""
_ACTIVITY = Fields(
    {
        "_hour": NUMBER,
        "_in_hour": NUMBER,
        "_times": queue(NUMBER),
        "_permitted": mapping(NUMBER, TEXT),
        "_waited": mapping(TEXT, NUMBER),
    }
)
_COLLECTING = Fields(
    {
        "_agent": TEXT,
        "_counts": mapping(TEXT, mapping(either(NUMBER, TEXT), NUMBER)),
        "_last_day": optional(NUMBER),
        "days": NUMBER,
        "first": optional(NUMBER),
        "last": optional(NUMBER),
        "orders": NUMBER,
    }
)
_COMPARISON = Fields(
    {"sha256": TEXT, "began": NUMBER},
    elsewhere=(
        "baseline",
        "not_established",
        "_rarities",
        "_wagers",
        "_standing_out",
        "_accumulations",
    ),
)


def _write_comparison(held: Comparison) -> dict[str, Any]:
    return _COMPARISON.write(held) | {
        "baseline": held.plain_baseline(),
        "wagers": {name: _WAGER.write(one) for name, one in held.wagers().items()},
        "standing_out": _ACCUMULATION.write(held.standing_out()),
    }


def _read_comparison(plain: Any) -> Comparison:
    parts = _parts(plain, {"sha256", "began", "baseline", "wagers", "standing_out"})
    own = _COMPARISON.read({name: parts[name] for name in ("sha256", "began")})
    if type(parts["baseline"]) is not dict:
        raise MalformedInput("snapshot: a baseline is no object")
    held = Comparison(read_baseline(parts["baseline"]), own["sha256"], own["began"])
    wagers: dict[str, Wager] = held.wagers()
    for name, one in _parts(parts["wagers"], set(wagers)).items():
        _fill(wagers[name], _WAGER, one)
    _fill(held.standing_out(), _ACCUMULATION, parts["standing_out"])
    return held


def _fill(held: Accumulation, fields: Fields, plain: Any) -> None:
    categories = len(held.counts)
    fields.fill(held, plain)
    if len(held.counts) != categories:
        raise MalformedInput("snapshot: an accumulation has other categories than its baseline")


def _parts(plain: Any, names: set[str]) -> dict[str, Any]:
    if type(plain) is not dict or set(plain) != names:
        raise MalformedInput(f"snapshot: {sorted(names)} are wanted")
    return plain


_LOCAL = Coder(
    lambda local: [[str(since), str(seconds)] for since, seconds in local.offsets],
    lambda plain: LocalTime(listed(row(NUMBER, NUMBER), tuple).read(plain)),
)
AGENT = Fields(
    {
        "local": _LOCAL,
        "thresholds": struct(Thresholds),
        "_rules": struct(Rules),
        "day": NUMBER,
        "activity": Coder(_ACTIVITY.write, lambda plain: _ACTIVITY.fill(Activity(), plain)),
        "comparison": optional(Coder(_write_comparison, _read_comparison)),
        "crossing": optional(struct(Crossing)),
        "taking": row(TEXT, NUMBER),
        "_collecting": Coder(
            _COLLECTING.write, lambda plain: _COLLECTING.fill(Collecting(""), plain)
        ),
    }
)
"""Everything that is kept of an agent; a new attribute of ``AgentWatch`` gets its line here."""

_AGENT = Coder(AGENT.write, lambda plain: AGENT.fill(AgentWatch.__new__(AgentWatch), plain))
WATCH = Fields({"size": NUMBER, "origin": TEXT, "_agents": mapping(TEXT, _AGENT)})
"""Everything of the watch; a new slot of ``WatchState`` gets its line here."""


def write(watch: WatchState) -> dict[str, Any]:
    """The watch as plain values.

    Raises:
        MalformedInput: it has a part that is not written here.
    """
    return WATCH.write(watch)


def read(plain: Any) -> WatchState:
    """The watch again. Raises MalformedInput: not what this version writes."""
    return WATCH.fill(WatchState(""), plain)
