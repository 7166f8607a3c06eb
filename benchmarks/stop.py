# SPDX-License-Identifier: Apache-2.0
"""How long a stop takes: a signed hold of all agents, while one gate is under load.

A real authority, one real gate under Poisson arrivals of 500 orders/s, and as many further gates as
said, of which only the link is real: stream, leases, reports; all in processes of their own. Each
gate has one agent. Instants are of the monotonic clock, which all processes share. Counted from
the moment in which the signed command is handed in: until the last permit was signed, until
each gate was told, and until the command was answered; and where the time goes in the authority.
The floor, in the same run: the same streams and readers, as many events of the same length, one for
each gate, and a server that does nothing but pass them on. "x the floor" is the ratio of the rows
"the last gate of a round told".

Cut off: the authority is frozen before a command is given to it; the lease then ends the permits.

    python benchmarks/stop.py [--quick] [--gates N,N] [--rounds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _firm import Firm, ask, firm, machine
from _load import at
from _processes import FURTHER_LEASE_S, RATE, bare_server, load, origin_of, subscribe
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.web.serving import loop_factory
from sekisho.compose import Home, RunningAuthority, load_person, running_authority
from sekisho.core.encoding import b64
from sekisho.core.governance.commands import (
    Command,
    Reach,
    SignedCommand,
    command_message,
)
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.terms import format_instant
from sekisho.services import authoritywire as wire
from sekisho.services.people import sign_command

AGENT = "zz-loaded"
"""The last by name: its gate is told after all others."""
GATE = "g-loaded"
LEASE_S = 5
A_PROCESS = 50
NS_MS = 1_000_000
AUTHORITY = str(Path(__file__).with_name("_authority_process.py"))
STAGES = "authority.stages"
FAN_OUT = ("pushes put", "all pushes with")
Told = tuple[float, list[float]]
RISK, COMPLIANCE = "duty_risk", "duty_compliance"


def further(number: int) -> tuple[str, str]:
    """Gate and agent of this number."""
    return f"g-{number:03d}", f"a-{number:03d}"


# -- people ---------------------------------------------------------------------------------------


class People:
    """Who commands, over the authority's socket."""

    def __init__(self, authority: RunningAuthority, agents: Sequence[str]) -> None:
        self._authority, self._agents = authority, agents
        passphrase = authority.passphrase()
        self._keys = {
            seat: load_person(authority.path / "people" / f"{seat}.key", passphrase)
            for seat in (RISK, COMPLIANCE)
        }
        self._link = HttpLink(f"unix:{authority.path / 'authority.sock'}")

    def hold_all(self) -> bytes:
        """The body of a signed hold of all the agents."""
        command = Command(
            command="hold",
            reason_code="bench",
            seat=RISK,
            roster_sha256=roster_sha256(self._authority.roster),
            nonce=SystemEntropy().bytes(16).hex(),
            commanded_at=format_instant(time.time_ns()),
            scope=Reach(kind="all", name="all"),
        )
        signature = self._keys[RISK].sign_blocking(command_message(command))
        signed = SignedCommand(command=command, signature=b64(signature))
        return wire.write(wire.SignedCommands(commands=wire.command_texts((signed,))))

    async def give(self, body: bytes) -> Any:
        """Hand a command in; what the authority answered."""
        status, data = await self._link.ask("POST", "/v1/commands", body, wait_s=60)
        assert status == 200, data
        return json.loads(data)

    async def release_all(self) -> None:
        """Two people release each agent."""
        waiting = iter(self._agents)

        async def some() -> None:
            for agent in waiting:
                await self._authority.look_up(agent)
                signed = tuple(
                    sign_command(
                        key,
                        "release",
                        agent,
                        self._authority,
                        seat,
                        "bench",
                        SystemEntropy().bytes(16).hex(),
                        time.time_ns(),
                    )
                    for seat, key in self._keys.items()
                )
                body = wire.write(wire.SignedCommands(commands=wire.command_texts(signed)))
                await self.give(body)

        await asyncio.gather(*(some() for _ in range(4)))

    async def close(self) -> None:
        """Let go."""
        await self._link.close()
        await self._authority.close()


# -- measuring ------------------------------------------------------------------------------------


def row(name: str, values: list[float], note: str = "") -> None:
    """Print a distribution, ms."""
    values.sort()
    figures = "".join(f"{at(values, part):9.2f}" for part in (0.5, 0.99, 1))
    print(f"  {name:<48}{figures} ms {note}")


class Readers:
    """The processes of the further gates."""

    def __init__(self, made: Firm, kind: str) -> None:
        self._made, self._kind = made, kind
        self._names: list[str] = []

    def start(self, address: str, gates: dict[str, str]) -> None:
        """Spread them over processes."""
        rows = list(gates.items())
        for first in range(0, len(rows), A_PROCESS):
            name = f"{self._kind}-{first}"
            path = self._made.folder / f"{name}.json"
            path.write_text(json.dumps(dict(rows[first : first + A_PROCESS])), encoding="ascii")
            self._made.start(name, sys.executable, __file__, f"--{self._kind}", address, str(path))
            self._names.append(name)

    def told(self) -> list[tuple[str, int]]:
        """What they were told since the last question."""
        found: list[tuple[str, int]] = []
        for name in self._names:
            process = self._made.processes[name]
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("?\n")
            process.stdin.flush()
            found += [(gate, when) for gate, when in json.loads(process.stdout.readline())]
        return found

    def end(self) -> None:
        """End them."""
        for name in self._names:
            self._made.end(name)


async def until_trading(gate: Path, after: int) -> None:
    """Return when the loaded gate signs permits again."""
    end = time.monotonic() + 60
    while ask(gate, "/marks")["permits"] <= after + RATE // 50:
        assert time.monotonic() < end, ask(gate, "/missing")
        await asyncio.sleep(0.02)


async def stops(made: Firm, gate: Path, readers: Readers, agents: list[str], rounds: int) -> Told:
    """Hold all, look, release all, again and again; p99 of the last permit, and when all were told,
    ms.
    """
    found = await running_authority(made.home)
    assert found is not None
    people = People(found, agents)
    last, effect, each, latest, answered, work = [], [], [], [], [], []
    for _ in range(rounds):
        await until_trading(gate, ask(gate, "/marks")["permits"])
        readers.told()
        await asyncio.sleep(random.uniform(0.02, 0.1))
        body = people.hold_all()
        begin = time.monotonic_ns()
        outcome = await people.give(body)
        answered.append((time.monotonic_ns() - begin) / NS_MS)
        marks = ask(gate, "/marks")
        told = [(when - begin) / NS_MS for _, when in readers.told()]
        assert outcome["complete"], outcome["failures"]
        assert len(outcome["reports"]) == len(agents)
        assert len(told) == len(agents) - 1, f"{len(told)} of {len(agents) - 1} gates were told"
        last.append(max(0, marks["last_permit"] - begin) / NS_MS)
        effect.append((marks["stopped"] - begin) / NS_MS)
        each += [*told, effect[-1]]
        latest.append(max([*told, effect[-1]]))
        again = time.monotonic()
        await people.release_all()
        work.append((time.monotonic() - again) * 1000)
    await people.close()
    row("last permit of the loaded gate signed", last)
    row("stop in effect at the loaded gate", effect)
    row("a gate told, all gates of all rounds", each)
    row("the last gate of a round told", latest)
    row("command answered, all stops reported", answered)
    row("(all agents released by two people)", work)
    return at(last, 0.99), latest


def stages(made: Firm) -> float:
    """Where the time of the holds went in the authority, medians, the wall's and its own; its own
    for the fan-out, ms.
    """
    fan_out = 0.0
    lines = (made.folder / STAGES).read_text(encoding="ascii").splitlines()
    rounds = [json.loads(line) for line in lines]
    print(f"  in the authority, medians of {len(rounds)}{'':<27}wall  processor")
    for number, (name, _, _) in enumerate(rounds[0]):
        wall, own = (sorted(one[number][part] / NS_MS for one in rounds) for part in (1, 2))
        print(f"    {name:<46}{at(wall, 0.5):9.2f}{at(own, 0.5):11.2f} ms")
        fan_out += at(own, 0.5) if name.startswith(FAN_OUT) else 0
    return fan_out


async def floor(made: Firm, gates: dict[str, str], rounds: int) -> tuple[list[float], float]:
    """The same streams without journal, signatures and reports; when all were told, and the
    server's processor time, ms.
    """
    address = f"unix:{made.folder}/bare.sock"
    made.start("bare", sys.executable, __file__, "--bare", address)
    readers = Readers(made, "read")
    readers.start(address, gates)
    link = HttpLink(address)
    each, latest, spent = [], [], []
    for _ in range(300):
        if json.loads((await link.ask("POST", "/command", b"", wait_s=5))[1])["told"] == len(gates):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    readers.told()
    for _ in range(rounds):
        await asyncio.sleep(random.uniform(0.02, 0.1))
        begin = time.monotonic_ns()
        said = json.loads((await link.ask("POST", "/command", b"", wait_s=5))[1])
        spent.append(said["spent"] / NS_MS)
        await asyncio.sleep(0.1 + len(gates) / 1000)
        told = [(when - begin) / NS_MS for _, when in readers.told()]
        assert len(told) == len(gates), f"{len(told)} of {len(gates)}"
        each += told
        latest.append(max(told))
    await link.close()
    readers.end()
    made.end("bare")
    row("floor: a reader of the bare fan-out told", each)
    row("floor: the last reader of a round told", latest)
    row("floor: processor time of the server", spent)
    return latest, at(spent, 0.5)


async def cut(made: Firm, gate: Path, agents: list[str], rounds: int) -> None:
    """Freeze the authority, hand a hold in, and see until when the gate signs."""
    found = await running_authority(made.home)
    assert found is not None
    people = People(found, agents)
    print(f"cut off: the authority is frozen before the command; leases of {LEASE_S} s")
    for _ in range(rounds):
        await until_trading(gate, ask(gate, "/marks")["permits"])
        body, process = people.hold_all(), made.processes["authority"]
        process.send_signal(signal.SIGSTOP)
        begin = time.monotonic_ns()
        giving = asyncio.create_task(people.give(body))
        try:
            await asyncio.sleep(0.2)  # an answer that was on its way when it froze
            end = ask(gate, "/marks")["lease_end"]
            await asyncio.sleep((end - time.monotonic_ns()) / 1e9 + 0.5)
            marks = ask(gate, "/marks")
        finally:
            process.send_signal(signal.SIGCONT)
        left = (marks["last_permit"] - begin) / NS_MS
        margin = (marks["lease_end"] - marks["last_permit"]) / NS_MS
        assert margin >= 0, f"a permit was signed {-margin} ms after the lease's end"
        print(
            f"  last permit {left:7.0f} ms after the command, {margin:6.2f} ms before the lease's"
            " end; none after it"
        )
        assert (await giving)["act"] == "hold"
        await people.release_all()
    await people.close()


async def certificates(made: Firm, gates: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Certify the logs of further gates; gate → digest of its agent's certificate."""
    home = await Home.open(made.home)
    try:
        for name, _ in gates:
            if origin_of(name) not in home.authority.state.log_keys:
                key = Ed25519PrivateKey.generate().public_key()
                await home.authority.certify_log(
                    origin_of(name),
                    key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
                )
        agents = home.authority.state.agents
        return {name: agents[agent][-1].sha256 for name, agent in gates}
    finally:
        await home.close()


@contextmanager
def loaded(made: Firm, gate: Path) -> Iterator[None]:
    """The authority, the gate and its load run within."""
    (made.folder / STAGES).unlink(missing_ok=True)
    made.start("authority", sys.executable, AUTHORITY, str(made.home), str(made.folder / STAGES))
    made.start_gate(gate)
    made.start("load", sys.executable, __file__, "--load", str(gate))
    try:
        yield
    finally:
        for name in ("load", GATE, "authority"):
            made.end(name)


def measure(made: Firm, sizes: list[int], rounds: int, cuts: int) -> None:
    """Everything, with more gates each time."""
    asyncio.run(made.found([AGENT], lease_s=LEASE_S))
    gate = asyncio.run(made.gate(GATE, AGENT))
    there = 1
    for size in sizes:
        new = [further(number) for number in range(there, size)]
        asyncio.run(made.found([agent for _, agent in new], lease_s=FURTHER_LEASE_S))
        there = max(there, size)
        rest = [further(number) for number in range(1, size)]
        known = asyncio.run(certificates(made, rest))
        made.serve_gates([GATE, *known])
        agents = [AGENT, *(agent for _, agent in rest)]
        print(f"{size} gates, {rounds} holds of all agents{'':<19}p50      p99      max")
        with loaded(made, gate):
            readers = Readers(made, "subscribe")
            readers.start(f"unix:{made.home}/authority.sock", known)
            time.sleep(2 + size / 50)  # all connected, all leased
            slowest, latest = asyncio.run(stops(made, gate, readers, agents, rounds))
            readers.end()
            own = stages(made)
            met = f"target 10 ms {_met(slowest, 10)}, bar 100 ms {_met(slowest, 100)}"
            print(f"  last permit, p99: {met}")
            if size == 1:
                asyncio.run(cut(made, gate, agents, cuts))
        bare, least = asyncio.run(floor(made, known or {GATE: ""}, rounds))
        print(f"  processor time of the fan-out: {own / least:.1f} x the floor")
        ratio = at(latest, 0.5) / at(bare, 0.5)
        print(f"  all gates told: {ratio:.1f} x the floor, target 2 {_met(ratio, 2)}")


def _met(value: float, most: float) -> str:
    return "met" if value <= most else "MISSED"


def main() -> None:
    """Print the tables; or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 1 and 50 gates")
    parser.add_argument("--gates", default="", help="how many, with commas")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    for name in ("--subscribe", "--read"):
        parser.add_argument(name, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    work: Any = None
    if asked.load:
        load(asked.load, AGENT)
    elif asked.bare:
        work = bare_server(asked.bare)
    elif asked.subscribe or asked.read:
        address, path = asked.subscribe or asked.read
        gates = json.loads(Path(path).read_text(encoding="ascii"))
        work = subscribe(address, gates, bare=bool(asked.read))
    if work is not None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(work)
        return
    sizes = [int(one) for one in asked.gates.split(",") if one]
    sizes = sizes or ([1, 50] if asked.quick else [1, 50, 200])
    rounds = asked.rounds or (5 if asked.quick else 30)
    with (
        tempfile.TemporaryDirectory(prefix="sk", dir=asked.folder) as name,
        firm(Path(name)) as made,
    ):
        print(machine())
        measure(made, sizes, rounds, 1 if asked.quick else 3)
        print(f"at the end: {machine()}")


if __name__ == "__main__":
    main()
