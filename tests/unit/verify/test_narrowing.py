# SPDX-License-Identifier: Apache-2.0
"""Shutdown orders, local stops and advice, computed again by the verifier (checks.md 4.7)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_verify import narrowing
from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.small_gate import Row, SmallGate, amend, cancel, new

CODE = "action_not_permitted"


def ordered(gate: SmallGate, mode: str) -> int:
    """A person orders a mode; returns the entry's index."""
    gate.entry("shutdown_ordered", agent=AGENT, mode=mode)
    return gate.index - 1


def broken(gate: SmallGate) -> int:
    """The breaker latches."""
    entry = {"agent": AGENT, "incident_kind": "breaker", "certificate_sha256": "aa" * 32}
    gate.state.apply({"kind": "incident_opened", **entry}, gate.now, gate.index)
    gate.entries.append(entry)
    return gate.index - 1


def long_of(quantity: str = "20000", **scope: Any) -> SmallGate:
    """A gate whose agent bought so many euros."""
    gate = SmallGate(**scope)
    assert gate.judge(new("bought", quantity=quantity)) == []
    gate.report("bought", "trade", last_quantity=quantity, last_price="1.1")
    return gate


def sell(name: str, quantity: str = "1", **changes: Any) -> dict[str, Any]:
    """An order to sell so many euros."""
    return new(name, side="sell", quantity=quantity, **changes)


def refused(mode: str, observed: str, unit: str = "") -> list[Row]:
    """The one reason of a shutdown order."""
    return [(CODE, mode, observed, unit)]


def test_cancel_only_leaves_cancels() -> None:
    """New orders and amendments name the action."""
    gate = SmallGate()
    gate.judge(new("rests"))
    ordered(gate, "cancel_only")
    assert gate.judge(new("b", quantity="1")) == refused("cancel_only", "new")
    assert gate.judge(amend("rests", "c", "1")) == refused("cancel_only", "amend")
    assert gate.judge(cancel("rests", "d")) == []


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("19999.99", []), ("20000", []), ("20000.01", refused("reduce_only", "0.01", "EUR"))],
)
def test_reduce_only_ends_where_the_position_is_zero(quantity: str, expected: list[Row]) -> None:
    """Exactly zero passes, a cent beyond does not."""
    gate = long_of()
    ordered(gate, "reduce_only")
    assert gate.judge(sell("s", quantity)) == expected


def test_reduce_only_counts_what_works_in_its_direction() -> None:
    """Without the order that is amended, and for no less than it reserves."""
    gate = long_of()
    gate.judge(sell("w", "15000"))
    ordered(gate, "reduce_only")
    assert gate.judge(sell("a", "5000.01")) == refused("reduce_only", "0.01", "EUR")
    assert gate.judge(amend("w", "b", "20000.01")) == refused("reduce_only", "0.01", "EUR")
    assert gate.judge(amend("w", "c", "20000")) == []
    assert gate.judge(new("d", quantity="1")) == refused("reduce_only", "20001", "EUR")


def test_reduce_only_says_nothing_of_what_cannot_be_computed() -> None:
    """An amendment of nothing."""
    gate = long_of()
    ordered(gate, "reduce_only")
    gone = [*refused("reduce_only", ""), ("unknown_order", "", "gone", "")]
    assert gate.judge(amend("gone", "a", "1")) == gone


def test_reduce_only_needs_a_position_without_doubt() -> None:
    """An unbooked trade for ever; an unknown order until the venue says what it is."""
    gate = long_of()
    ordered(gate, "reduce_only")
    gate.judge(sell("w"))
    gate.entry("outcome_unresolved", agent=AGENT, client_order_id="w", operation="submit")
    assert gate.judge(sell("a")) == refused("reduce_only", "not reconciled")
    gate.report("w", "new")
    gate.entry("outcome_unresolved", agent=AGENT, client_order_id="w", operation="cancel")
    assert gate.judge(sell("b")) == []
    gate.agent.unbooked = 1
    assert gate.judge(sell("c")) == refused("reduce_only", "not reconciled")


def test_trade_of_no_order_is_unbooked_and_another_report_is_not() -> None:
    """Only what moves a position leaves it in doubt."""
    for kind, expected in (("trade", 1), ("canceled", 0)):
        gate = SmallGate()
        gate.report("nobody", kind, last_quantity="1", last_price="1.1")
        assert (gate.agent.orphans, gate.agent.unbooked) == (1, expected)


def test_order_from_before_a_restart_is_in_doubt_until_its_permit_is_known() -> None:
    """Permitted and not signed when the gate was opened again; a signed one is not in doubt."""
    for signed, expected in ((False, refused("reduce_only", "not reconciled")), (True, [])):
        gate = long_of()
        gate.judge(sell("w"))
        if signed:
            gate.entry("permit_signed", agent=AGENT, decision=gate.index - 1)
        ordered(gate, "reduce_only")
        gate.opened()
        gate.entry("lease_held", deadline_monotonic="1000")
        gate.outside()
        assert gate.judge(sell("a")) == expected
        other = gate.judge(sell("b", market="GBP/EUR", currency="EUR", price="1.2"))
        assert other[0] == (CODE, "reduce_only", "1", "EUR")


def test_duplicate_report_leaves_the_doubt() -> None:
    """What was seen before says nothing new of an order whose answer did not come."""
    gate = long_of()
    gate.judge(sell("w"))
    gate.report("w", "new", exec_id="e-1")
    gate.entry("outcome_unresolved", agent=AGENT, client_order_id="w", operation="submit")
    gate.report("w", "new", exec_id="e-1")
    ordered(gate, "reduce_only")
    assert gate.judge(sell("a")) == refused("reduce_only", "not reconciled")


def test_one_person_narrows_only() -> None:
    """Cancel-only stays; re-arming takes it off, and no other latch's re-arming does."""
    gate = long_of()
    ordered(gate, "cancel_only")
    ordered(gate, "reduce_only")
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    assert gate.judge(sell("a")) == refused("cancel_only", "new")
    gate.entry("rearmed", agent=AGENT, latch="shutdown")
    assert (gate.agent.latches, narrowing.left(gate.agent)) == (set(), "")
    assert gate.judge(new("b", quantity="1")) == []


def test_breaker_lets_by_what_reduces() -> None:
    """And refuses it beside a cancel-only order."""
    gate = long_of()
    broken(gate)
    latched = ("circuit_breaker_active", "0.75", "", "score")
    assert gate.judge(new("a", quantity="1")) == [latched]
    assert gate.judge(sell("b", "20000.01")) == [latched]
    assert gate.judge(sell("c", "20000")) == []
    ordered(gate, "cancel_only")
    assert gate.judge(sell("d")) == [*refused("cancel_only", "new"), latched]


def permit(gate: SmallGate, decision: int) -> None:
    """A permit that is about to be folded."""
    narrowing.not_left(gate.agent, {"decision": decision})


def test_permit_for_a_decision_before_less_was_left_fails() -> None:
    """What was decided since took it into account; what is lifted again stands in nobody's way."""
    gate = SmallGate()
    permit(gate, 0)
    first = broken(gate)
    assert gate.agent.narrowed == first
    with pytest.raises(VerificationFailed, match=f"after entry {first} left only reduce_only"):
        permit(gate, first - 1)
    permit(gate, first + 1)
    ordered(gate, "reduce_only")
    permit(gate, first + 1)
    second = ordered(gate, "cancel_only")
    with pytest.raises(VerificationFailed, match=f"after entry {second} left only cancel_only"):
        permit(gate, second - 1)
    gate.entry("rearmed", agent=AGENT, latch="shutdown")
    assert gate.agent.narrowed == second
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    permit(gate, 0)
    narrowing.not_left(None, {"decision": 0})


def test_local_stop_holds_the_present_certificate() -> None:
    """Another one is not meant; what is revoked stays revoked."""
    gate = SmallGate()
    gate.entry("local_stop", agent=AGENT, certificate_sha256="bb" * 32)
    assert gate.agent.status == "good"
    gate.entry("local_stop", agent=AGENT, certificate_sha256="aa" * 32)
    assert gate.judge(new("a")) == [("certificate_held", "", "", "")]
    gate.status("revoked")
    gate.entry("local_stop", agent=AGENT, certificate_sha256="aa" * 32)
    assert gate.agent.status == "revoked"


def advised(gate: SmallGate, *, would_pass: bool = True, reasons: tuple[str, ...] = ()) -> None:
    """Advice was given."""
    gate.entry("advised", agent=AGENT, would_pass=would_pass, reasons=list(reasons))


def test_advice_counts_as_a_message_and_not_beyond_the_rate() -> None:
    """The verifier counts again, and refuses advice for which there was no room."""
    gate = SmallGate(message_rate={"count_max": 2, "window_s": 60})
    gate.judge(new("a"))
    advised(gate)
    assert gate.judge(new("b", quantity="1")) == [("message_rate_exceeded", "2", "3", "messages")]
    with pytest.raises(VerificationFailed, match="beyond the message rate"):
        advised(gate)
    gate.wait(60)
    advised(gate, would_pass=False, reasons=("exceeds_scope_size",))


@pytest.mark.parametrize(("would_pass", "reasons"), [(True, ("rate_missing",)), (False, ())])
def test_advice_that_contradicts_its_reasons_fails(
    would_pass: bool, reasons: tuple[str, ...]
) -> None:
    """It would pass exactly when there is no reason."""
    with pytest.raises(VerificationFailed, match="what its reasons do not say"):
        advised(SmallGate(message_rate="none"), would_pass=would_pass, reasons=reasons)
