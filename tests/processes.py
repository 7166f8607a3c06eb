# SPDX-License-Identifier: Apache-2.0
"""The product as processes: an authority, gates and a paper venue, started and ended by a test.

Everything is real: ``sekisho serve``, ``sekisho gate`` and ``sekisho paper-venue`` on Unix sockets
in a short folder of their own, keys, leases, both logs and the venue's. A home is made once for
each policy and copied for each world. Only processes that were started here are ended, by their
ids. What they wrote is said when one does not do what is waited for.
"""

from __future__ import annotations

import asyncio
import atexit
import copy
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.signers.opening import open_signer
from sekisho.compose import (
    ISSUER_SEAT,
    OPERATOR_SEAT,
    Home,
    Surroundings,
    init_home,
    load_person,
    make_people,
    register_document,
)
from sekisho.compose.enrolling import enroll_gate
from sekisho.compose.paper_home import add_gate, venue_of_home
from sekisho.compose.serve import write_certificates
from sekisho.config import Config
from sekisho.core.encoding import canonical
from sekisho.core.events import (
    Decision,
    GateEntry,
    LeaseHeld,
    PermitSigned,
    decode_gate_entry,
)
from sekisho.core.gate.permit import read_permit
from sekisho.core.terms import NS, parse_instant
from sekisho.services.journal import Journal
from sekisho.services.people import sign_approval
from sekisho_client import Gate, connect

COMMAND = Path(sys.executable).with_name("sekisho")
WAIT_S = 40.0
"""How long anything is waited for: two busy cores, and a dozen processes on them."""
GATES = ("gate-a", "gate-b")
AGENTS = ("steady", "other")
APPROVERS = ("ceo-1", "cfo-1")
LEASE_S = 3
POLICY: dict[str, Any] = {
    "operator": {"name": "Example Trading"},
    "scope": {
        "markets": ["EUR/USD", "GBP/EUR"],
        "currency": "EUR",
        "order_notional_max": "25000",
        "daily_notional_max": "100000",
        "venues": ["PAPER"],
        "regions": ["eu-west-1"],
        "time_zone": "UTC",
        "trading_hours": {"start": "00:00", "end": "24:00", "exclude_weekends": "false"},
        "reference_rates": {"sources": ["PAPER"]},
    },
    "risk_controls": {"lease_s": str(LEASE_S), "permit_lifetime_s": "2"},
    "governance": {
        "documented_by": "dev-1",
        "approved_by": list(APPROVERS),
        "approvals_required": "2",
    },
}
VENUE = """
[[venues]]
name = "PAPER"
kind = "paper"
address = "unix:../home/paper/venue.sock"
credential_file = "keys/venue-PAPER"

[[rates]]
source = "PAPER"
kind = "http"
address = "unix:../home/paper/venue.sock"
credential_file = "keys/venue-PAPER"
"""
PRICES = """
[prices]
kind = "static"
[prices.table]
"EUR/USD" = ["1.1648", "1.165"]
"GBP/EUR" = ["1.1500", "1.1502"]
"""
_TEMPLATES: dict[str, Path] = {}
T = TypeVar("T")


def pause(seconds: float) -> None:
    """Let others work."""
    threading.Event().wait(seconds)


def wait_for(look: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
    """The first thing that ``look`` finds, not None and not False. Raises AssertionError."""
    clock = SystemClock()
    end = clock.monotonic_ns() + int(seconds * NS)
    while clock.monotonic_ns() < end:
        found = look()
        if found is not None and found is not False:
            return found
        pause(0.05)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def new_order(name: str, **changes: Any) -> dict[str, Any]:
    """A limit order to buy EUR 10 at 1.1 dollars, below the market: it rests."""
    fields = {
        "action": "new",
        "client_order_id": name,
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10",
        "currency": "EUR",
        "price": "1.1",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    }
    return {key: text for key, text in (fields | changes).items() if text is not None}


class World:
    """One folder with a home, a venue and gates, and the processes that were started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._lives: dict[str, int] = {}

    # -- processes -----------------------------------------------------------------------------

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a process under a name; what it writes goes to a file of that name."""
        self._lives[name] = self._lives.get(name, 0) + 1
        with (self.folder / f"{name}-{self._lives[name]}.out").open("wb") as out:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self.running[name] = process
        return process

    def start_authority(self) -> None:
        """Start ``sekisho serve`` and wait until it listens."""
        self.start("authority", COMMAND, "serve", "--home", self.home)
        self.heard("authority", "listening: ")

    def start_venue(self) -> None:
        """Start ``sekisho paper-venue`` and wait until it listens."""
        self.start("venue", COMMAND, "paper-venue", "--home", self.home)
        self.heard("venue", "listens at")

    def start_gate(self, gate: str = "gate-a", *launcher: str | Path) -> None:
        """Start ``sekisho gate`` and wait until it listens; whether it permits is another thing.

        Args:
            gate: whose folder.
            launcher: the program, where it is not ``sekisho`` itself.
        """
        program = launcher or (COMMAND,)
        self.start(gate, *program, "gate", "--config", self.folder / gate / "gate.toml")
        self.heard(gate, "listening: ")

    def start_all(self) -> None:
        """Authority, venue and gate-a, started together; the gate permits when this returns."""
        self.start("authority", COMMAND, "serve", "--home", self.home)
        self.start("venue", COMMAND, "paper-venue", "--home", self.home)
        self.start_gate()
        self.wait_ready()

    def heard(self, name: str, text: str) -> None:
        """Wait until the process has written this."""

        def look() -> bool:
            assert self.running[name].poll() is None, f"{name} ended\n{self.said(name)}"
            return text in self.said(name)

        self.wait_for(look, f"{name} to say {text!r}")

    def said(self, name: str) -> str:
        """What this process has written in its present life."""
        path = self.folder / f"{name}-{self._lives[name]}.out"
        return path.read_text("utf-8", "replace")

    def kill(self, name: str) -> None:
        """SIGKILL, and gone when this returns."""
        process = self.running.pop(name)
        process.kill()
        process.wait(WAIT_S)

    def end(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self.running.pop(name)
        process.terminate()
        return process.wait(WAIT_S)

    def freeze(self, name: str) -> None:
        """SIGSTOP, and stopped when this returns."""
        process = self.running[name]
        process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{process.pid}/stat")
        self.wait_for(lambda: stat.read_text("ascii").rpartition(")")[2].split()[0] == "T", "T")

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.running[name].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End what is still running, by its id, and remove the folder."""
        for process in self.running.values():
            process.kill()
            process.wait(WAIT_S)
        self.running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------

    def wait_for(self, look: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
        """As the function of this name; a failure tells what the processes wrote."""
        try:
            return wait_for(look, what, seconds)
        except AssertionError as error:
            said = "\n".join(f"--- {name}\n{self.said(name)}" for name in self._lives)
            raise AssertionError(f"{error}\n{said}") from None

    def client(self, gate: str = "gate-a", agent: str = AGENTS[0]) -> Gate:
        """A bot's connection, with nothing but its token."""
        return connect(f"unix:{self.folder / gate / 'gate.sock'}", token=self.token(gate, agent))

    def token(self, gate: str = "gate-a", agent: str = AGENTS[0]) -> str:
        """An agent's token at a gate."""
        return (self.folder / gate / "keys" / f"{agent}.token").read_text("ascii").strip()

    def credential(self, gate: str = "gate-a") -> str:
        """The gate's credential for the venue, which no bot has."""
        return (self.folder / gate / "keys" / "venue-PAPER").read_text("ascii").strip()

    def wait_ready(self, gate: str = "gate-a", agent: str = AGENTS[0]) -> None:
        """Wait until the gate may permit."""
        with self.client(gate, agent) as bot:
            self.wait_for(lambda: getattr(bot.ready(), "ready", False), f"{gate} to be ready")

    def sekisho(self, act: str, *more: str | Path) -> tuple[int, str]:
        """One command of the command line; its code and all that it said."""
        done = subprocess.run(
            [COMMAND, act, *map(str, more)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=2 * WAIT_S,
        )
        return done.returncode, done.stdout + done.stderr

    def people(self, act: str, *seats: str, agent: str = AGENTS[0], **more: str) -> tuple[int, str]:
        """A command about an agent, signed by these people."""
        keys = ",".join(str(self.home / "people" / f"{seat}.key") for seat in seats)
        options = [part for name, value in more.items() for part in (f"--{name}", value)]
        signed = ["--seat", ",".join(seats), "--key", keys, "--reason", "test_reason"]
        return self.sekisho(act, "--home", self.home, "--agent", agent, *signed, *options)

    # -- what was written ----------------------------------------------------------------------

    def venue_log(self) -> list[dict[str, str]]:
        """The venue's own log, line by line."""
        lines = (self.home / "paper" / "venue.jsonl").read_text("ascii").splitlines()
        return [json.loads(line) for line in lines]

    def venue_told(self, *events: str) -> list[tuple[str, str]]:
        """Id and reason of the venue's events of these kinds, in order."""
        log = self.venue_log()
        return [(one["client_order_id"], one["reason"]) for one in log if one["event"] in events]

    def ledger(self, gate: str = "gate-a") -> list[GateEntry]:
        """A gate's log from a copy of its folder; the index is the position. The gate has ended."""
        folder = self.folder / gate
        copied = self.folder / f"copy-of-{gate}"
        shutil.copytree(folder / "gate", copied, ignore=shutil.ignore_patterns(".tmp"))
        try:
            return asyncio.run(_entries(folder, copied, f"{gate}.sekisho.invalid/log"))
        finally:
            shutil.rmtree(copied)


async def _entries(gate: Path, log: Path, origin: str) -> list[GateEntry]:
    key, passphrase = gate / "keys" / "gate-log.key", gate / "keys" / "passphrase"
    disk = FolderDisk(log)
    try:
        signer = open_signer(f"file:{key}", passphrase_file=passphrase)
        journal = await Journal.open(disk, origin=origin, signer=signer, clock=SystemClock())
        return [decode_gate_entry(data) for _, data in journal.entries()]
    finally:
        disk.close()


@contextmanager
def world(**scope: Any) -> Iterator[World]:
    """A world in which nothing runs yet; ended and removed in any case.

    Args:
        scope: fields of the policies' scope that differ from ``POLICY``.
    """
    template = _template(scope)
    # A socket's path has at most 100 bytes, and a bot of another user must reach its gate's.
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    folder.chmod(0o711)
    made = World(folder)
    try:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        folder.chmod(0o711)
        yield made
    finally:
        made.close()


def _template(scope: dict[str, Any]) -> Path:
    key = canonical(scope).decode("ascii")
    if key not in _TEMPLATES:
        folder = Path(tempfile.mkdtemp(prefix="sekisho-processes-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        asyncio.run(_make(folder, scope))
        _TEMPLATES[key] = folder
    return _TEMPLATES[key]


async def _make(folder: Path, scope: dict[str, Any]) -> None:
    """Found, register, approve and issue for both agents; enroll both gates; make the venue."""
    around = Surroundings(SystemClock(), SystemEntropy())
    path = folder / "home"
    init_home(path, Config(issuer_name="Trial Issuer"), around.entropy)
    with (path / "sekisho.toml").open("a", encoding="utf-8") as settings:
        settings.write("\n[serve.gates]\n" + "".join(f'{gate} = "own"\n' for gate in GATES))
    home = await Home.open(path, around)
    try:
        for agent in AGENTS:
            await _certify(home, folder, agent, scope)
        write_certificates(home)
        for gate in GATES:
            await enroll_gate(home, gate, folder / gate, AGENTS)
    finally:
        await home.close()
    settings_of_venue = venue_of_home(path)
    text = settings_of_venue.read_text("utf-8")
    settings_of_venue.write_text(text.partition("\n[prices]")[0] + PRICES, encoding="utf-8")
    for gate in GATES:
        credential = folder / gate / "keys" / "venue-PAPER"
        credential.touch(0o600)
        credential.write_text(add_gate(settings_of_venue, gate, around.entropy), encoding="ascii")
        with (folder / gate / "gate.toml").open("a", encoding="utf-8") as settings:
            settings.write(VENUE)


async def _certify(home: Home, folder: Path, agent: str, scope: dict[str, Any]) -> None:
    policy = copy.deepcopy(POLICY) | {"agent": agent}
    policy["scope"] |= scope
    document = folder / f"{agent}.json"
    document.write_text(json.dumps(policy), encoding="utf-8")
    clock = home.around.clock
    registration = register_document(document, clock.now_ns())
    if agent == AGENTS[0]:
        people = make_people(home.path / "people", home.passphrase(), registration.policy)
        await home.found(people)
    await home.authority.register_policy(registration)
    for seat in APPROVERS:
        signer = load_person(home.path / "people" / f"{seat}.key", home.passphrase())
        roster, now = home.authority.roster, clock.now_ns()
        await home.authority.give_approval(
            sign_approval(signer, registration.sha256, roster, seat, now)
        )
    await home.issue(
        agent, registration.sha256, issuer_seat=ISSUER_SEAT, operator_seat=OPERATOR_SEAT
    )


# -- what must hold after everything ---------------------------------------------------------------


def venue_took(world: World, replays: int = 0) -> dict[str, str]:
    """Permit id → order id of all that the venue took, whatever came of it; nothing came twice.

    An order that rested and was executed later has two lines, of one permit. ``replays``: how many
    permits a test itself brought again. Raises AssertionError: two permits of one id, one permit of
    two ids, two executions, or a permit that came again.
    """
    taken: dict[str, str] = {}
    done: list[tuple[str, str]] = []
    for line in world.venue_log():
        if line["event"] in {"resting", "executed"}:
            pair = (line["permit_id"], line["client_order_id"])
            done.append((line["event"], line["client_order_id"]))
            assert taken.setdefault(*pair) == pair[1], line
    again = [reason for _, reason in world.venue_told("rejected")].count("permit_replayed")
    assert replays == again, "a permit came again"
    assert len(set(taken.values())) == len(taken), "two permits of one order"
    assert len(set(done)) == len(done), "an order rested or was executed twice"
    return taken


def assert_each_permit_recorded(world: World, *gates: str, replays: int = 0) -> None:
    """All that the venue took was signed by these gates, each after its decision, in its lease."""
    signed: dict[str, str] = {}
    for gate in gates or GATES[:1]:
        entries = world.ledger(gate)
        lease_end = 0
        for index, entry in enumerate(entries):
            if isinstance(entry, LeaseHeld):
                lease_end = _end_of(entry)
            if not isinstance(entry, PermitSigned):
                continue
            decision = entries[entry.decision]
            assert isinstance(decision, Decision)
            assert entry.decision < index
            assert ("permitted", entry.agent) == (decision.verdict, decision.agent)
            permit = read_permit(entry.permit)
            assert parse_instant(permit.expires_at, "expires_at") <= lease_end
            assert permit.permit_id not in signed, "one decision signed twice"
            signed[permit.permit_id] = str(permit.order["client_order_id"])
    assert len(set(signed.values())) == len(signed), "two gates signed the same order"
    taken = venue_took(world, replays)
    assert taken == {one: signed[one] for one in taken if one in signed}


def _end_of(lease: LeaseHeld) -> int:
    """When the lease ends by the clock of who granted it, ns UTC."""
    told = json.loads(lease.grant)["lease"]
    return parse_instant(told["granted_at"], "granted_at") + int(told["duration_s"]) * NS


def decisions(entries: list[GateEntry], verdict: str = "") -> dict[str, tuple[str, ...]]:
    """Order id → reasons of the refusal, of the decisions of this verdict, or of all."""
    return {
        str(one.order["client_order_id"]): tuple(str(reason.code) for reason in one.reasons)
        for one in entries
        if isinstance(one, Decision) and one.order is not None and verdict in {"", one.verdict}
    }
