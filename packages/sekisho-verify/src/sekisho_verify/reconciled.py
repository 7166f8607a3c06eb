# SPDX-License-Identifier: Apache-2.0
"""Baselines and incidents of the two logs compared (docs/spec/bundle.md steps 10 and 11).

The gate's log says what went into force and what crossed; the authority's log who locked the one
and what was done about the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sekisho_verify import canonical
from sekisho_verify.canonical import SECOND
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.handled import Handled, Locked
from sekisho_verify.watch import Watch

_SAME = (
    "agent",
    "certificate_sha256",
    "incident_kind",
    "score",
    "factor",
    "observed",
    "threshold",
)


def baselines(watch: Watch, locks: Mapping[str, Sequence[Locked]], origin: str) -> None:
    """Every baseline in force was locked by people, by its digest, before.

    Raises:
        VerificationFailed: names the gate's entry.
    """
    for one in watch.adopted.values():
        place = f"gate log, entry {one.index}"
        found = [lock for lock in locks.get(one.agent, ()) if lock.index == one.authority_index]
        if not found:
            raise VerificationFailed("names no entry that locks the agent's baseline", place)
        lock = found[0]
        require(lock.origin == origin, "adopts what was locked for another log", place)
        same = lock.baseline_sha256 == one.baseline.sha256
        require(same, "adopts another baseline than was locked", place)
        # Two clocks: the order of the logs cannot be compared more closely than they may differ.
        latest = one.at + one.clock_difference_max_s * SECOND
        require(lock.at <= latest, "adopts a baseline before it was locked", place)
    for one in watch.brought.values():  # with a history, so of another gate's log
        digests = {lock.baseline_sha256 for lock in locks.get(one.agent, ())}
        same = one.baseline.sha256 in digests
        place = f"gate log, entry {one.index}"
        require(same, "brings a baseline that nobody locked for the agent", place)


def incidents(
    opened: Mapping[int, Entry],
    handled: Mapping[str, Handled],
    origin: str,
    size: int,
    lifted: Sequence[tuple[int, str]],
) -> set[str]:
    """Every incident of the one log is that of the other; returns what is not recorded yet.

    Args:
        opened: index → `incident_opened` of the gate's log.
        handled: id → incident of the authority's log.
        origin: of the gate's log.
        size: number of its entries.
        lifted: index and certificate of each `status_acted` of `good` in it.

    Raises:
        VerificationFailed: names the entry that differs, or that only the authority knows.
    """
    missing = set()
    for index, entry in opened.items():
        name = str(entry["incident"])
        one = handled.get(name)
        if one is None:
            missing.add(name)
            for later, certificate in lifted:
                again = later > index and certificate == entry["certificate_sha256"]
                if again and entry["incident_kind"] == "hold":
                    what = f"calls good what incident {name} holds, of which nobody was told"
                    raise VerificationFailed(what, f"gate log, entry {later}")
            continue
        place = f"gate log, entry {index}"
        recorded = one.recorded
        where = (recorded["origin"], recorded["index"]) == (origin, index)
        require(where, "is recorded by the authority as of another place", place)
        for field in _SAME:
            same = entry[field] == recorded[field]
            require(same, f"`{field}` is not what the authority recorded", place)
    names = {str(entry["incident"]) for entry in opened.values()}
    for name, one in handled.items():
        if one.recorded["origin"] == origin and name not in names:
            at = canonical.integer_of(one.recorded["index"])
            cut = f"; the log has {size} entries and was cut" if at >= size else ""
            what = f"incident {name} is recorded of entry {at}, which does not open it{cut}"
            raise VerificationFailed(what, "the authority's log")
    return missing
