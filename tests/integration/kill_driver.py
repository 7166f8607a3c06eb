# SPDX-License-Identifier: Apache-2.0
"""The process that is killed: a real embedded gate on a folder, under load, its venue elsewhere.

Started once; for each line ``HOME VENUE_SOCKET NOTES USES SEED`` on its standard input it forks a
child that opens the home and lets sixteen submitters ask until somebody kills it. It prints
``child PID`` and, when the child is gone, ``gone PID``. The child writes to two files outside the
home: NOTES gets each order before it is asked and each answer *after* it was given, USES each use
of the agent's key *before* the key is used. What was written survives the death of the process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import traceback
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.rates.static import StaticRates
from sekisho.compose import Gate, Home, Surroundings, open_gate
from sekisho.core.encoding import b64, canonical
from sekisho.core.errors import OutcomeUnknown
from sekisho.ports import Signer, VenueReport
from sekisho.services.gatekeeper import Answer
from tests.embedded_world import AGENT, cancel, order

SUBMITTERS = 16
Reports = tuple[VenueReport, ...]


class Notes:
    """Lines at the end of a file, one system call each."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: bytes) -> None:
        """One line."""
        os.write(self._file, line + b"\n")


class NotingSigner:
    """Writes down what the key is about to sign."""

    def __init__(self, inner: Signer, uses: Notes) -> None:
        self._inner = inner
        self._uses = uses
        self.uri = inner.uri
        self.algorithm = inner.algorithm
        self.public_key = inner.public_key

    async def sign(self, message: bytes) -> bytes:
        self._uses.write(message)
        return await self._inner.sign(message)

    def sign_blocking(self, message: bytes) -> bytes:
        self._uses.write(message)
        return self._inner.sign_blocking(message)


class NotingHome(Home):
    """A home whose agents' keys are watched."""

    uses: Notes

    def agent_signer(self, public_key: bytes) -> Signer:
        return NotingSigner(super().agent_signer(public_key), self.uses)


class RemoteVenue:
    """The ``Venue`` port over a Unix socket: the venue is another process and lives on."""

    name = "PAPER"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            answer = msgspec.json.decode(line)
            self._waiting.pop(answer["number"]).set_result(answer["result"])

    async def _call(self, method: str, *arguments: Any) -> Any:
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        call = {"number": number, "method": method, "arguments": arguments}
        try:
            self._writer.write(msgspec.json.encode(call) + b"\n")
            return await waiting
        except OSError as error:
            raise OutcomeUnknown(str(error)) from error

    async def submit(self, permit: str) -> Reports:
        return msgspec.convert(await self._call("submit", permit), Reports)

    async def cancel(self, agent: str, client_order_id: str) -> Reports:
        return msgspec.convert(await self._call("cancel", agent, client_order_id), Reports)

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        return tuple(await self._call("open_orders", agent))

    async def order_reports(self, agent: str, client_order_id: str) -> Reports:
        return msgspec.convert(await self._call("order_reports", agent, client_order_id), Reports)

    async def reports_since(self, sequence: int) -> tuple[int, Reports]:
        answer = await self._call("reports_since", sequence)
        return msgspec.convert(answer, tuple[int, Reports])


async def serve_venue(session: Any, path: str, closed: asyncio.Event) -> asyncio.Server:
    """The other end: answers calls with the venue's session; sets ``closed`` at a hang-up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break  # the caller died in the middle of a word
                call = msgspec.json.decode(line)
                result = await getattr(session, call["method"])(*call["arguments"])
                answer = {"number": call["number"], "result": result}
                writer.write(msgspec.json.encode(answer) + b"\n")
        except ConnectionError:
            pass  # nobody listens any more; what was asked has happened
        finally:
            writer.close()
            closed.set()

    return await asyncio.start_unix_server(serve, path, limit=2**20)


def body_of(dice: Random, name: str, earlier: list[str]) -> bytes:
    """Some order: most fill or rest, some are cancelled or amended, some must be refused."""
    kind = dice.randrange(20)
    if kind == 0:
        return order(name, quantity="25000.01")
    if kind == 1:
        return order(name, quantity="one") + b" " * dice.randrange(9)
    if kind < 5 and earlier:
        return cancel(name, dice.choice(earlier))
    quantity = str(dice.randrange(1, 2000))
    if kind < 7 and earlier:
        change = {
            "action": "amend",
            "client_order_id": name,
            "orig_client_order_id": dice.choice(earlier[-8:]),
            "quantity": quantity,
        }
        return canonical(change)
    return order(name, quantity=quantity, price=dice.choice(("1.2", "1.1")))


class Load:
    """Sixteen submitters on one gate."""

    def __init__(self, gate: Gate, notes: Notes, dice: Random, life: str) -> None:
        self._gate = gate
        self._notes = notes
        self._dice = dice
        self._life = life
        self._numbers = itertools.count()
        self._earlier: list[str] = []

    async def submit(self) -> None:
        """Ask one order after the other, for ever."""
        while True:
            name = f"{self._life}-{next(self._numbers)}"
            body = body_of(self._dice, name, self._earlier)
            self._note({"asked": name, "body": b64(body)})
            answer: Answer = await self._gate.gatekeeper.submit(AGENT, body)
            if answer.order_state == "open":
                self._earlier.append(name)
            self._note({"answered": name, "answer": answer})

    def _note(self, fact: dict[str, Any]) -> None:
        self._notes.write(canonical(fact))


async def live(home_path: str, socket: str, notes: str, uses: str, seed: str) -> None:
    """Open the home and trade until killed."""
    clock = SystemClock()
    home = await NotingHome.open(Path(home_path), Surroundings(clock, SystemEntropy()))
    assert isinstance(home, NotingHome)
    home.uses = Notes(Path(uses))
    rates = StaticRates(clock)
    rates.set("EUR/USD", "1.1648", "1.165")
    venue = RemoteVenue(*await asyncio.open_unix_connection(socket, limit=2**24))
    gate = await open_gate(home, rates, {"PAPER": venue})
    if AGENT not in gate.log.state.agents:
        await gate.admit(AGENT)
    load = Load(gate, Notes(Path(notes)), Random(int(seed)), f"L{seed}")
    publishing = [journal.run() for journal in home.journals.values()]
    await asyncio.gather(*publishing, *(load.submit() for _ in range(SUBMITTERS)))


def main() -> None:
    """Fork a child for each line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(live(*line.split()))
            except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
                traceback.print_exc()
            os._exit(1)
        print("child", child, flush=True)
        _, status = os.waitpid(child, 0)
        print("gone", child, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
