# SPDX-License-Identifier: Apache-2.0
"""A gate's log that is opened from a snapshot is the log that is opened from its first entry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.adapters.seen_file import SeenFile
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import MalformedInput, StorageFailed
from sekisho.core.events import IncidentOpened, SnapshotTaken, StatusActed, decode_gate_entry
from sekisho.core.gate import snapshot as gate_snapshot
from sekisho.core.gate.state import GateState
from sekisho.services import snapshots as module
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.snapshots import CLOSE_ENTRIES, Snapshots
from tests.gate_world import CERTIFICATE, GateWorld
from tests.ledger_doubles import SoftwareSigner

Seen = Callable[[str], SeenFile | None]


@pytest.fixture(params=["in memory", "in a file"])
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where ids are kept; each call opens it as another process does."""
    opened: list[SeenFile] = []

    def open_seen(origin: str) -> SeenFile | None:
        for earlier in opened:
            earlier.close()
        opened.clear()
        if request.param == "in memory":
            return None
        opened.append(SeenFile(tmp_path / "ids.sqlite", origin))
        return opened[0]

    yield open_seen
    for one in opened:
        one.close()


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


class Machine:
    """A gate's disk, and its log as one process after the other opens it."""

    def __init__(self, seen: Seen) -> None:
        self.disk, self.seen, self.clock = SimulatedDisk(), seen, SteppedClock(0)
        self.world: GateWorld
        self.snapshots: Snapshots

    async def start(self) -> None:
        """The first process, which admits an agent."""
        self.world = await GateWorld.start(disk=self.disk)
        self.clock = self.world.clock
        await self.open()

    async def open(self) -> GateLog:
        """Another process."""
        log = self.world.log
        if log.journal.failed is None and log.journal.size:
            await log.durable(log.journal.size - 1)
        journal = await Journal.open(
            self.disk, origin=log.origin, signer=SoftwareSigner(), clock=self.clock
        )
        self.snapshots = Snapshots(self.disk, self.seen(log.origin))
        again = await self.snapshots.open_log(journal, self.clock)
        self.world = GateWorld(again, self.clock, self.disk)
        return again

    async def trade(self, *names: str) -> None:
        """Orders that are decided, and whatever follows."""
        self.world.quote()
        for name in names:
            await self.world.ask(client_order_id=name, quantity="1000")

    def whole(self) -> GateLog:
        """The log folded from its first entry."""
        return GateLog(self.world.log.journal, self.clock)

    def same(self) -> None:
        """The log of this process is what folding everything gives."""
        log, whole = self.world.log, self.whole()
        assert plain(whole) == plain(log)


def plain(log: GateLog) -> dict[str, Any]:
    """All that a log knows, wherever its ids are."""
    told: dict[str, Any] = msgspec.json.decode(module.write(log))
    for agent, held in zip(told["gate"]["agents"], log.state.agents.values(), strict=True):
        agent["seen"] = [len(held.known), len(held.answers), len(held.executed)]
    told["unheard"], told["last"] = sorted(log.unheard()), log._last
    told["incidents"] = [msgspec.to_builtins(one) for one in log.incidents.values()]
    return told


def hold(log: GateLog) -> IncidentOpened:
    return IncidentOpened(
        at=log.at(), incident="a" * 32, agent="bot", certificate_sha256=CERTIFICATE,
        incident_kind="hold", score="risk", factor="size", observed="0.900000", threshold="0.85",
        trigger=1,
    )  # fmt: skip


def good(log: GateLog, epoch: int) -> StatusActed:
    return StatusActed(
        at=log.at(), agent="bot", certificate_sha256=CERTIFICATE, status="good", reason="",
        epoch=epoch,
    )  # fmt: skip


def test_log_opened_from_a_snapshot_is_the_log_of_all_entries(seen: Seen) -> None:
    """State, watch, ids, incidents and what is unheard are those of a fold from the beginning."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        await machine.trade("a", "b")
        log = machine.world.log
        log.record(hold(log))
        log.heard("a" * 32)
        taken = await machine.snapshots.take(log)
        assert SnapshotTaken is type(decode_gate_entry(log.journal.entry(taken)))
        await machine.trade("c")
        again = await machine.open()
        assert [] == machine.snapshots.notices
        assert {CERTIFICATE} == again.unheard()
        machine.same()
        for name in ("a", "b", "c"):
            assert name in again.state.agents["bot"].known
        assert "d" not in again.state.agents["bot"].known

    play(story())


def test_log_opened_from_a_snapshot_folds_the_tail_alone(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the snapshot holds is not folded again."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        await machine.trade("a")
        entries = machine.world.log.journal.size
        await machine.snapshots.take(machine.world.log)
        folded: list[int] = []
        apply = WatchState.apply

        def watched(self: WatchState, index: int, entry: Any) -> None:
            folded.append(index)
            apply(self, index, entry)

        monkeypatch.setattr(WatchState, "apply", watched)
        await machine.open()
        assert [entries] == folded

    play(story())


def test_log_opened_from_a_snapshot_knows_what_the_authority_took_back(seen: Seen) -> None:
    """An incident before the certificate became good again is not unheard; a later one is."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        log.record(hold(log))
        log.record(good(log, 1))
        await machine.snapshots.take(log)
        assert frozenset() == (await machine.open()).unheard()
        machine.same()
        log = machine.world.log
        log.record(hold(log))
        await machine.snapshots.take(log)
        assert {CERTIFICATE} == (await machine.open()).unheard()
        machine.same()

    play(story())


async def two_snapshots(machine: Machine) -> list[str]:
    """A log with two snapshots and a tail; the names of the files."""
    await machine.start()
    await machine.trade("a")
    await machine.snapshots.take(machine.world.log)
    await machine.trade("b")
    await machine.snapshots.take(machine.world.log)
    await machine.trade("c")
    return [f"snapshots/{name}" for name in await machine.disk.list("snapshots")]


def rewrite(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: canonical(msgspec.json.decode(data) | changes)


@pytest.mark.parametrize(
    "change", [None, lambda data: data[:-1], lambda data: b"{}", rewrite(entries=1)]
)
def test_snapshot_that_is_not_the_recorded_one_is_not_used(
    seen: Seen, change: Callable[[bytes], bytes] | None
) -> None:
    """Missing, cut or forged: the older one gives the same state, and the notice says so."""

    async def story() -> None:
        machine = Machine(seen)
        _, newest = await two_snapshots(machine)
        content = machine.disk.files()[newest]
        machine.disk.remove(newest)
        if change is not None:
            machine.disk.corrupt(newest, change(content))
        await machine.open()
        machine.same()
        told = [notice for notice in machine.snapshots.notices if "does not hold" in notice]
        assert (change is not None) == bool(told)
        await machine.trade("d")
        machine.same()

    play(story())


@pytest.mark.parametrize("name", ["schema", "fold"])
def test_snapshot_of_another_version_is_not_used(
    seen: Seen, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another version wrote, and the log vouches for, is left alone; all is folded."""

    async def story() -> None:
        machine = Machine(seen)
        monkeypatch.setattr(module, name.upper(), "other")
        await two_snapshots(machine)
        monkeypatch.undo()
        await machine.open()
        machine.same()
        assert 2 == sum("is wanted as" in notice for notice in machine.snapshots.notices)

    play(story())


def test_snapshot_whose_fields_are_others_is_not_used(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that keeps other fields under the same number falls back too."""

    async def story() -> None:
        machine = Machine(seen)
        cut = gate_snapshot.cut

        def more(state: GateState) -> Any:
            plain, ended = cut(state)
            return plain | {"more": "x"}, ended

        monkeypatch.setattr(gate_snapshot, "cut", more)
        await two_snapshots(machine)
        monkeypatch.undo()
        await machine.open()
        machine.same()
        assert 2 == sum("has not the fields" in notice for notice in machine.snapshots.notices)

    play(story())


def test_snapshot_that_no_entry_names_is_not_used(seen: Seen) -> None:
    """A file beyond the log, one with a strange name, and a true one that nobody recorded."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        await machine.trade("a")
        log = machine.world.log
        machine.disk.corrupt(f"snapshots/{log.journal.size:020}.json", module.write(log))
        await machine.trade("b")
        machine.disk.corrupt("snapshots/99999999999999999999.json", b"{}")
        machine.disk.corrupt("snapshots/notes.txt", b"{}")
        await machine.open()
        machine.same()
        assert 3 == len(machine.snapshots.notices)

    play(story())


def test_snapshot_is_recorded_only_after_its_file_is_durable(seen: Seen) -> None:
    """Write, sync, sync of the folder, then the entry."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        entries = log.journal.size
        await log.durable(entries - 1)
        machine.disk.operations.clear()
        await machine.snapshots.take(log)
        path = f"snapshots/{entries:020}.json"
        told = [name for name in machine.disk.operations if "snapshots" in name]
        assert [f"write_new {path}", f"sync {path}", "sync_folder snapshots"] == told[:3]
        assert ["list snapshots"] == told[3:]  # what is old is looked for afterwards
        assert machine.disk.operations[-3:] == [
            "append journal/00000000000000000000.frames",
            "sync journal/00000000000000000000.frames",
            "list snapshots",
        ]
        last = decode_gate_entry(log.journal.entry(entries))
        assert isinstance(last, SnapshotTaken)
        digest = sha256_hex(machine.disk.files()[path])
        assert (entries, digest) == (last.entries, last.snapshot_sha256)

    play(story())


def test_snapshots_asked_for_at_once_are_taken_one_after_the_other(seen: Seen) -> None:
    """No two of them write at a time; both are recorded, and every id is still found."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        await machine.trade("a")
        log, writing = machine.world.log, 0

        async def point(name: str) -> None:
            nonlocal writing
            if name.startswith("write_new snapshots"):
                writing += 1 if name.endswith(":before") else -1
                assert writing <= 1
                await asyncio.sleep(0.01)

        machine.disk.point = point
        first, second = await asyncio.gather(
            machine.snapshots.take(log), machine.snapshots.take(log)
        )
        assert first < second
        assert "a" in log.state.agents["bot"].known
        await machine.open()
        machine.same()
        assert [] == machine.snapshots.notices

    play(story())


def test_snapshot_whose_name_is_taken_by_another_state_is_not_recorded(seen: Seen) -> None:
    """A file of a state that never was is not overwritten, and nothing vouches for it."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        path = f"snapshots/{log.journal.size:020}.json"
        machine.disk.corrupt(path, b"another")
        with pytest.raises(StorageFailed, match="of another state"):
            await machine.snapshots.take(log)
        machine.disk.corrupt(path, module.write(log))
        await machine.snapshots.take(log)
        await machine.open()
        machine.same()

    play(story())


def test_snapshots_older_than_the_last_two_are_deleted(seen: Seen) -> None:
    """Also those of earlier processes; other files of the folder are left alone."""

    async def story() -> None:
        machine = Machine(seen)
        names = await two_snapshots(machine)
        await machine.disk.append("snapshots/note.txt", b"mine")
        await machine.snapshots.take(machine.world.log)
        kept = sorted(name for name in machine.disk.files() if name.startswith("snapshots/"))
        assert [names[1], "snapshots/note.txt"] == [kept[0], kept[2]]
        await machine.open()
        await machine.trade("d")
        await machine.snapshots.take(machine.world.log)
        left = [name for name in machine.disk.files() if name.startswith("snapshots/")]
        assert (kept[1], 3) == (min(left), len(left))
        machine.disk.remove(sorted(left)[1])  # the newest
        await machine.open()
        machine.same()
        assert ["snapshots/note.txt is not used"] == [
            notice[:30] for notice in machine.snapshots.notices
        ]

    play(story())


def test_snapshot_that_is_vouched_for_is_kept_before_a_later_file_that_is_not(seen: Seen) -> None:
    """A file that a crash left unrecorded does not take the place of the one that is good."""

    async def story() -> None:
        machine = Machine(seen)
        first = (await two_snapshots(machine))[1]
        await machine.trade("d")
        size = machine.world.log.journal.size
        machine.disk.corrupt(f"snapshots/{size:020}.json", module.write(machine.world.log))
        await machine.open()
        await machine.trade("e")
        await machine.snapshots.take(machine.world.log)
        left = [name for name in machine.disk.files() if name.startswith("snapshots/")]
        assert (2, first) == (len(left), min(left))

    play(story())


def test_old_snapshot_that_cannot_be_deleted_stops_nothing(seen: Seen) -> None:
    """The new one is taken all the same, the notice says why, and the next one deletes it."""

    async def story() -> None:
        machine = Machine(seen)
        await two_snapshots(machine)
        machine.disk.fail("delete", "snapshots")
        await machine.snapshots.take(machine.world.log)
        told = [notice[:31] for notice in machine.snapshots.notices]
        assert ["an old snapshot is not deleted:"] == told
        await machine.open()
        assert [] == machine.snapshots.notices
        machine.same()

    play(story())


@pytest.mark.parametrize("operation", ["write_new", "sync", "sync_folder"])
def test_snapshot_that_cannot_be_written_stops_nothing(seen: Seen, operation: str) -> None:
    """The gate goes on, the notice says why, and the next opening is right."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        machine.disk.fail(operation, "snapshots")
        snapshots = Snapshots(machine.disk, machine.seen(machine.world.log.origin), every=1)
        log = await snapshots.open_log(machine.world.log.journal, machine.clock)
        await snapshots._try(log)
        assert ["no snapshot of"] == [notice[:14] for notice in snapshots.notices]
        assert log.journal.failed is None
        machine.world = GateWorld(log, machine.clock, machine.disk)
        await machine.trade("a")
        await machine.open()
        machine.same()

    play(story())


def test_snapshots_are_taken_when_enough_entries_came(seen: Seen) -> None:
    """Not before; then one; and it ends with the journal."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        snapshots = Snapshots(machine.disk, machine.seen(log.origin), log.journal.size + 2)
        log = await snapshots.open_log(log.journal, machine.clock)
        running = asyncio.create_task(snapshots.run(log, machine.clock))

        async def looked() -> list[str]:
            machine.clock.advance(1)
            for _ in range(50):
                await asyncio.sleep(0.001)  # a file of ids is written in a thread of its own
            return await machine.disk.list("snapshots")

        assert [] == await looked()
        log.record(good(log, 1))
        log.record(good(log, 2))
        assert 1 == len(await looked())
        assert 1 == len(await looked())
        log.journal.condemn(StorageFailed("gone"))
        await looked()
        assert running.done()

    play(story())


def test_orderly_close_takes_a_snapshot_of_a_long_tail_alone(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short tails are folded as quickly as a snapshot is read."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        await machine.snapshots.close(log)
        assert [] == await machine.disk.list("snapshots")
        assert CLOSE_ENTRIES > log.journal.size
        monkeypatch.setattr(module, "CLOSE_ENTRIES", 1)
        await machine.snapshots.close(log)
        assert 1 == len(await machine.disk.list("snapshots"))

    play(story())


def test_state_with_a_field_that_nobody_encodes_is_never_written(seen: Seen) -> None:
    """A new attribute without its line is an error when a snapshot is taken, and no snapshot."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        log = machine.world.log
        agent: Any = log.state.agents["bot"]
        agent.brand_new = 1
        with pytest.raises(MalformedInput, match=r"AgentState.*brand_new"):
            module.write(log)
        del agent.brand_new
        del agent.gross
        with pytest.raises(MalformedInput, match=r"AgentState.*gross"):
            module.write(log)

    play(story())


def test_every_slot_of_the_states_is_encoded() -> None:
    """An empty state is written and read whole: a slot without its line fails here."""
    state = GateState()
    assert gate_snapshot.write(state) == gate_snapshot.write(
        gate_snapshot.read(gate_snapshot.write(state), state.seen_in)
    )


class Interrupting(SteppedClock):
    """A clock that moves a millisecond each time it is read, and on which others have turns."""

    def __init__(self, clock: SteppedClock, turn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(clock.now_ns(), clock.monotonic_ns())
        self._turn, self.pauses = turn, list[float]()

    def monotonic_ns(self) -> int:
        self.advance(0.001)
        return super().monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._turn()


def test_snapshot_is_of_its_entry_although_orders_go_on(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its parts orders end, and one fills late: its state is that of its entry."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        machine.world.venue.fill = True
        await machine.trade("a", "b", "c")
        log, names = machine.world.log, iter(f"later-{number}" for number in range(1000))
        monkeypatch.setattr(gate_snapshot, "SLICE", 1)
        expected, entries = module.write(log), log.journal.size

        async def turn() -> None:
            await machine.trade(next(names))
            ended = log.state.agents["bot"].ended.find("c")
            assert ended is not None
            log.state.agents["bot"].ended.fill(ended, 1)

        clock = Interrupting(machine.clock, turn)
        monkeypatch.setattr(machine.snapshots, "_clock", clock)
        index = await machine.snapshots.take(log, 0.25)
        taken = decode_gate_entry(log.journal.entry(index))
        assert isinstance(taken, SnapshotTaken)
        assert len(clock.pauses) > 5
        assert {0.25} == set(clock.pauses)
        assert (entries, sha256_hex(expected)) == (taken.entries, taken.snapshot_sha256)
        assert expected == await machine.disk.read(f"snapshots/{entries:020d}.json")
        assert log.journal.size > entries + 10
        assert [] == log.state.agents["bot"].ended._cuts

    play(story())


def test_snapshot_that_fails_on_the_way_keeps_no_cut(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed holds nothing of the state back."""

    async def story() -> None:
        machine = Machine(seen)
        await machine.start()
        monkeypatch.setattr(gate_snapshot, "_ENDED_NAMES", {"terms"})
        machine.world.venue.fill = True
        await machine.trade("a")
        with pytest.raises(MalformedInput, match="disagree"):
            await machine.snapshots.take(machine.world.log)
        assert [] == machine.world.log.state.agents["bot"].ended._cuts

    play(story())
