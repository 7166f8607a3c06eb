# SPDX-License-Identifier: Apache-2.0
"""Other names of policy fields, and how a document with them becomes one with ours.

One table (docs/spec/policy.md, section 3). Names are taken in snake_case or camelCase. What is
ambiguous in another name is settled here and said in a note; nothing is dropped: a field that is
not known stays where it is, for the walk to report.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sekisho.core.governance.defaults import POLICY
from sekisho.core.governance.shape import Group, join, snake_case

Path = tuple[str, ...]


class OtherName(NamedTuple):
    """Where the value belongs, what is said about it, and what it must begin with."""

    path: str
    note: str
    prefix: str = ""


OTHER_NAMES: dict[str, OtherName] = {
    "agent_id": OtherName("agent", "names the agent"),
    "operator_regulator_id": OtherName(
        "operator.authorisation_reference",
        "is kept as it is; it names no competent authority and is no LEI",
    ),
    "scope.max_transaction_size": OtherName(
        "scope.order_notional_max",
        "the size is notional in scope.currency; the limit itself passes",
    ),
    "scope.max_daily_volume": OtherName(
        "scope.daily_notional_max",
        "the volume is permitted notional of the policy day, which is never given back",
    ),
    "scope.allowed_markets": OtherName("scope.markets", "an underscore separates the currencies"),
    "scope.allowed_regions": OtherName("scope.regions", "the region is the gate's own"),
    "scope.trading_hours.tz": OtherName(
        "scope.time_zone", "the zone also begins the policy day; start ≤ time < end"
    ),
    "risk_controls.kill_switch_automatic": OtherName(
        "risk_controls.hold_threshold",
        "at or above this score the certificate is held; revocation is final when nobody"
        " acknowledges within grace_period_s",
        prefix="anomaly_",
    ),
    "risk_controls.circuit_breaker_threshold": OtherName(
        "risk_controls.breaker_threshold", "the breaker latches strictly above it"
    ),
    "risk_controls.max_consecutive_failures": OtherName(
        "scope.consecutive_failures_max",
        "failures of the venue count, refusals of the gate do not; latched until re-armed",
    ),
    "testing.basefit_testing": OtherName(
        "testing.fitness_test_due", "the day by which the fitness test is due"
    ),
}
APPROVED_BY_NOTE = "names seats that must sign; it is no approval by itself"


def names_beside() -> dict[str, tuple[str, ...]]:
    """Path of an object → the other names that may stand in it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in OTHER_NAMES:
        prefix, _, last = name.rpartition(".")
        found[prefix] = (*found.get(prefix, ()), last)
    return found


class Renamed:
    """A document's tree with our names only.

    Attributes:
        tree: the result.
        spelled: path in the policy → path in the document, where they differ.
        faults: fields given twice, values without their prefix.
        notes: one for each other name that was used.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.tree: dict[str, Any] = {}
        self.spelled: dict[str, str] = {}
        self.faults: list[str] = []
        self.notes: list[str] = []
        self._from: dict[Path, str] = {}
        self._walk(POLICY, document, (), "")

    def _walk(self, group: Group, node: dict[str, Any], path: Path, written: str) -> None:
        for name, value in node.items():
            here, as_written = (*path, snake_case(name)), join(written, name)
            shape = group.fields.get(snake_case(name))
            other = OTHER_NAMES.get(".".join(here)) if "." not in name else None
            if other is not None:
                self._other(other, value, as_written)
            elif shape is None:
                self._put((*path, name), value, as_written)
            elif here == ("operator",) and isinstance(value, str):
                self.notes.append(f"{as_written}: a text is the operator's name; it is no LEI")
                self._put(("operator", "name"), value, as_written)
            elif isinstance(shape, Group) and isinstance(value, dict):
                self._put(here, {}, as_written)
                self._walk(shape, value, here, as_written)
            else:
                if here == ("governance", "approved_by"):
                    self.notes.append(f"{as_written}: {APPROVED_BY_NOTE}")
                self._put(here, value, as_written)

    def _other(self, other: OtherName, value: Any, written: str) -> None:
        if other.prefix:
            if not isinstance(value, str) or not value.startswith(other.prefix):
                self.faults.append(f"{written} ({other.path}): is not written {other.prefix}0.85")
                return
            value = value.removeprefix(other.prefix)
        self.notes.append(f"{written} is {other.path}: {other.note}")
        self._put(tuple(other.path.split(".")), value, written)

    def _put(self, path: Path, value: Any, written: str) -> None:
        """Set a part, once. An object that holds what another name put there stays as it is."""
        shown = ".".join(path)
        target = self.tree
        for name in path[:-1]:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                self.faults.append(f"{written}: {shown} cannot stand beside what is there")
                return
        if path in self._from or (path[-1] in target and value != {}):
            also = self._from.get(path, "another field")
            self.faults.append(f"{written}: {shown} is given twice, also as {also}")
            return
        self._from[path] = written
        if written != shown:
            self.spelled[shown] = written
        target.setdefault(path[-1], value)
