# SPDX-License-Identifier: Apache-2.0
"""What an outside observer holds: what is durable on the disk, its replay, and what was seen.

Nothing here is the gate's memory. The durable log is what a crash at this instant would certainly
leave; the replay folds it again and decides every decision again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, TypeVar

import msgspec

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import b64, canonical
from sekisho.core.events import Decision, GateEntry, IncidentOpened, decode_gate_entry
from sekisho.core.gate.decide import Clocks, decide
from sekisho.core.gate.order import parse_order
from sekisho.core.gate.permit import Permit
from sekisho.core.gate.state import GateState
from sekisho.core.ledger.frames import HEADER_BYTES, parse_segment_name, scan_segment
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.terms import parse_instant
from sekisho.services.gatekeeper import Answer
from sekisho.services.stopping import StopOutcome
from tests.simulation.following import Following
from tests.simulation.recount import Recount

FOLDER = "journal/"
_E = TypeVar("_E")


@dataclass
class _Segment:
    data: bytes = b""
    length: int = 0
    entries: list[bytes] = field(default_factory=list)


class DurableLog:
    """The entries that are on stable storage, read past the gate."""

    def __init__(self) -> None:
        self._segments: dict[str, _Segment] = {}
        self._looked: list[tuple[str, bytes]] = []
        self._found: list[bytes] = []

    def entries(self, disk: SimulatedDisk) -> list[bytes]:
        """All whole entries that no crash can take away; the same list while nothing is new."""
        held = [
            (path, file.durable)
            for path, file in disk._durable_names.items()
            if path.startswith(FOLDER)
        ]
        if len(held) == len(self._looked) and all(
            path == before and data is seen
            for (path, data), (before, seen) in zip(held, self._looked, strict=True)
        ):
            return self._found
        found: list[bytes] = []
        for path, data in sorted(held):
            first = parse_segment_name(path[len(FOLDER) :])
            if first != len(found):
                break
            found += self._read(path, first, data)
        self._looked, self._found = held, found
        return found

    def _read(self, path: str, first: int, data: bytes) -> list[bytes]:
        held = self._segments.setdefault(path, _Segment())
        if data is held.data:
            return held.entries
        if not data.startswith(held.data[: held.length]):
            held.length, held.entries = 0, []
        more = scan_segment(data[held.length :], first + len(held.entries))
        held.data = data
        held.length += more.length
        held.entries = held.entries + more.entries
        return held.entries


class Replay:
    """The durable log, decided again entry by entry.

    Attributes:
        findings: where the log contradicts itself, or an earlier look at it.
        following: what must follow by rule, and what may not stand while stopped.
    """

    def __init__(self, origin: str = "") -> None:
        self.raw: list[bytes] = []
        self.entries: list[GateEntry] = []
        self.tree = Tree()
        self.state = GateState()
        self.watch = WatchState(origin)
        self.following = Following(origin)
        self.recount = Recount()
        self.findings: list[str] = []
        self._kinds: dict[type, list[tuple[int, Any]]] = {}
        self._looked: list[bytes] = []

    def of(self, kind: type[_E]) -> list[tuple[int, _E]]:
        """The entries of a kind with their indexes."""
        return self._kinds.get(kind, [])

    def entry(self, index: int) -> GateEntry | None:
        """An entry; None when it is not durable."""
        return self.entries[index] if 0 <= index < len(self.entries) else None

    def advance(self, raw: list[bytes]) -> None:
        """Take in what became durable; what was durable must still be there."""
        if raw is self._looked:
            return
        self._looked = raw
        if len(raw) < len(self.raw) or raw[: len(self.raw)] != self.raw:
            self.findings.append(f"{len(self.raw)} entries were durable, now others or {len(raw)}")
            return
        for data in raw[len(self.raw) :]:
            self._take(data)

    def _take(self, data: bytes) -> None:
        index, entry = len(self.raw), decode_gate_entry(data)
        if isinstance(entry, Decision):
            again = _decide_again(self.state, entry, self.watch)
            if again != entry:
                self.findings.append(f"entry {index}: recorded {entry}, decided again {again}")
        self.findings += self.recount.take(index, entry)
        self.following.arrives(index, entry, self.state)
        self.state.apply(index, entry)
        self.watch.apply(index, entry)
        self.following.folded(index, entry, self.state, self.watch)
        self.raw.append(data)
        self.entries.append(entry)
        self.tree.append(leaf_hash(data))
        self._kinds.setdefault(type(entry), []).append((index, entry))


def _decide_again(state: GateState, entry: Decision, watch: WatchState) -> Decision:
    if entry.order is None:
        return msgspec.structs.replace(entry, state=state.size)
    clocks = Clocks(parse_instant(entry.at), int(entry.monotonic))
    order = parse_order(canonical(entry.order))
    again = decide(state, clocks, entry.agent, b"", order, watch.scores)
    return msgspec.structs.replace(
        again, body_sha256=entry.body_sha256, body_bytes=entry.body_bytes
    )


# --------------------------------------------------------------------------- what was seen


@dataclass
class KeyUse:
    """The key was asked to sign: when, what, and what of the decision was durable then."""

    event: int
    world_ns: int
    boot: str
    certificate_sha256: str
    permit: Permit
    durable: bool
    signatures: list[bytes] = field(default_factory=list)


@dataclass
class Submission:
    """The gate began to hand a permit to the venue; did its log still hold the order?"""

    event: int
    certificate_sha256: str
    permit_id: str
    reserved: bool


@dataclass
class Ask:
    """An order that the bot sent; ``answer`` is None while, or because, none arrived."""

    body: bytes
    name: str
    life: int
    answer: Answer | None = None
    durable: bool = True
    failure: str = ""
    left: bool = False
    over: bool = False


@dataclass
class Stop:
    """A stop that was begun; ``ended`` and ``outcome`` when it was acknowledged."""

    certificate_sha256: str
    epoch: int
    begun: int
    ended: int = 0
    outcome: StopOutcome | None = None


class Hold(NamedTuple):
    """An incident that held a certificate, at the instant when it took effect in memory."""

    event: int
    incident: str
    certificate_sha256: str


class Given(NamedTuple):
    """Commands to take a latch off that people gave to the gate, as its log should carry them."""

    latch: str
    seats: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass
class Seen:
    """Everything that the observer wrote down, in the order of events."""

    events: int = 0
    key_uses: list[KeyUse] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    goods: list[tuple[int, str, int]] = field(default_factory=list)
    """Leases that reached the gate and call a certificate good: event, digest, epoch."""
    checkpoints: list[tuple[int, bytes]] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    nonces: int = 0
    ends: list[int] = field(default_factory=list)
    """Events at which a life ended: what only its memory held is gone."""

    def tick(self) -> int:
        """The number of the next event."""
        self.events += 1
        return self.events


def between_frames(
    disk: SimulatedDisk, dice: Random, *, before_incident: bool
) -> tuple[str, bytes] | None:
    """A journal segment cut between two entries that are not durable yet; None without such.

    Args:
        disk: as it is when the power is lost.
        dice: which cut, where several are possible.
        before_incident: cut before the first incident, if there is one.
    """
    paths = [path for path in disk._names if path.startswith(FOLDER)]
    if not paths:
        return None
    path = max(paths)
    file = disk._names[path]
    content, cuts, offset = file.content, [], 0
    first = parse_segment_name(path[len(FOLDER) :])
    for entry in () if file.doomed else scan_segment(content, first).entries:
        if offset >= len(file.durable):
            cuts.append(offset)
            if before_incident and isinstance(decode_gate_entry(entry), IncidentOpened):
                return path, content[:offset]
        offset += HEADER_BYTES + len(entry)
    return (path, content[: cuts[dice.randrange(len(cuts))]]) if cuts else None


def fits(replay: Replay, permit: Permit) -> bool:
    """Whether the permit's decision is durable, permitted, and the one that the permit names."""
    entry = replay.entry(permit.log_index)
    return (
        isinstance(entry, Decision)
        and entry.verdict == "permitted"
        and entry.agent == permit.agent
        and entry.order is not None
        and entry.order["client_order_id"] == permit.order["client_order_id"]
        and b64(replay.tree.leaf(permit.log_index)) == permit.leaf_hash
    )
