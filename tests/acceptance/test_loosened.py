# SPDX-License-Identifier: Apache-2.0
"""A server whose check is loosened by one unit: the separate verifier rejects its bundle.

The gate, the ledger, the export are the real ones; only one limit is one unit wider inside the
server than in the policy that was approved. The verifier must name the very entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.core.amounts import CENT
from sekisho.core.gate import checks, decide, rates
from sekisho.core.gate.checks import Asked, Check
from sekisho.core.scope import CountWindow
from sekisho.core.terms import Reason, parse_instant
from tests.acceptance.bundle_life import export, verify
from tests.embedded_world import EmbeddedWorld, order, policy_of, resting


def wider(asked: Asked, field: str, more: int) -> Asked:
    """The same with one compiled limit wider by ``more`` of its units."""
    limits = asked.limits
    old = getattr(limits, field)
    new: Any = old + more
    return asked._replace(limits=msgspec.structs.replace(limits, **{field: new}))


def scope(asked: Asked, **changes: Any) -> Asked:
    """The same with fields of the scope replaced."""
    changed = msgspec.structs.replace(asked.limits.scope, **changes)
    return asked._replace(limits=msgspec.structs.replace(asked.limits, scope=changed))


def hours_later(asked: Asked) -> Asked:
    """Trading hours that end a second later."""
    hours = asked.limits.hours
    assert hours is not None
    later = msgspec.structs.replace(hours, end_s=hours.end_s + 1)
    return asked._replace(limits=msgspec.structs.replace(asked.limits, hours=later))


def older_rates(asked: Asked) -> Asked:
    """Rates that may be a second older."""
    rules = asked.limits.scope.reference_rates
    return scope(
        asked, reference_rates=msgspec.structs.replace(rules, age_max_s=rules.age_max_s + 1)
    )


def wider_collar(asked: Asked) -> Asked:
    """A collar wider by the smallest unit there is."""
    collar = asked.limits.collar
    assert collar is not None
    wide = msgspec.structs.replace(collar, deviation_max=collar.deviation_max + 1)
    return asked._replace(limits=msgspec.structs.replace(asked.limits, collar=wide))


def more_quantity(asked: Asked) -> Asked:
    """A quantity limit wider by the smallest unit there is."""
    rows = {key: limit + 1 for key, limit in (asked.limits.quantity_max or {}).items()}
    return asked._replace(limits=msgspec.structs.replace(asked.limits, quantity_max=rows))


Case = tuple[str, Check, Any, dict[str, Any], list[bytes]]
COLLAR = {"deviation_max": "0.001", "range_max": "1", "window_s": 60}
CASES: list[Case] = [
    ("size", checks.size, lambda a: wider(a, "order_notional_max", CENT), {},
     [order("x", quantity="25000.01")]),
    ("daily volume", checks.daily_volume,
     lambda a: wider(a, "daily_notional_before_baseline", CENT),
     {"daily_notional_max": "20000"}, [order("x", quantity="20000.01")]),
    ("position", checks.position, lambda a: wider(a, "position_notional_max", CENT),
     {"position_notional_max": "20000"}, [order("x", quantity="20000.01")]),
    ("quantity", checks.quantity, more_quantity,
     {"order_quantity_max": [{"market": "EUR/USD", "currency": "EUR", "max": "100"}]},
     [order("x", quantity="100.00000001")]),
    ("order count", checks.order_count, lambda a: scope(a, daily_order_count_max=2),
     {"daily_order_count_max": 1}, [resting("w"), resting("x")]),
    ("message rate", checks.message_rate,
     lambda a: scope(a, message_rate=CountWindow(count_max=2, window_s=1)),
     {"message_rate": {"count_max": 1, "window_s": 1}}, [resting("w"), resting("x")]),
    ("repeated orders", checks.repeated,
     lambda a: scope(a, repeated_orders=CountWindow(count_max=2, window_s=9)),
     {"repeated_orders": {"count_max": 1, "window_s": 9}}, [resting("w"), resting("x")]),
    ("hours", checks.trading_hours, hours_later,
     {"trading_hours": {"start": "08:00", "end": "09:00", "exclude_weekends": True}},
     [order("x")]),
    ("collar", checks.collar, wider_collar, {"price_collar": COLLAR},
     [order("x", price="1.16606491")]),
    ("rate age", rates.rate_data, older_rates,
     {"reference_rates": {"sources": ["STATIC"], "age_max_s": 60}}, [order("x")]),
    ("region", checks.region, lambda a: scope(a, regions=("eu-west-1",)),
     {"regions": ["eu-west-2"]}, [order("x")]),
    ("venue", checks.venue, lambda a: scope(a, venues=("OTHER", "PAPER")),
     {"venues": ["OTHER"]}, [order("x")]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "check", "loosen", "fields", "bodies"), CASES,
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_check_loosened_by_one_unit_makes_the_verifier_reject_and_name_the_entry(
    what: str,
    check: Check,
    loosen: Any,
    fields: dict[str, Any],
    bodies: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The honest server refuses the last order; the loosened one permits it and is found out."""

    def loosened(asked: Asked) -> Iterable[Reason]:
        return check(loosen(asked))

    async def life(folder: Path) -> tuple[str, int, Path]:
        world = await EmbeddedWorld.start(folder / "home", policy_of(**fields))
        if what == "rate age":
            world.rates.age("EUR/USD", 61)
        assert world.clock.now_ns() == parse_instant("2026-05-15T09:00:00.000000000Z")
        answers = [await world.ask(body) for body in bodies]
        bundle = await export(world, folder / "bundle")
        await world.close()
        return answers[-1].kind, answers[-1].decision, bundle

    kind, _, bundle = asyncio.run(life(tmp_path / "honest"))
    assert (kind, verify(bundle)[0]) == ("refused", 0)
    wrong = tuple(loosened if one is check else one for one in decide.CHECKS)
    monkeypatch.setattr(decide, "CHECKS", wrong)
    kind, index, bundle = asyncio.run(life(tmp_path / "loosened"))
    assert kind == "permitted"
    code, said = verify(bundle)
    assert code == 1
    assert f"entry {index}" in said, said
