# SPDX-License-Identifier: Apache-2.0
"""An authority with many agents: memory for one, what each operation costs, how long a start takes.

A log of 10^3, 10^4, 10^5 agents (with ``--full`` also 10^6) is written by ``_fleet``, each with a
policy of its own, one approval, a certificate and a gate for every 256. Another process opens it
as ``sekisho serve`` does, on files: that is the start, nearly all of it the fold. Then the same
operations are timed in it, by the processor time of that process, median of as many calls as are
said; "flat" compares the largest log with the smallest. Only what is timed is asked of agents whose
entries are wholly real.

    python benchmarks/agents.py [--quick] [--full] [--folder DIR] [--profile OPERATION]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from _firm import machine
from _fleet import A_GATE, LEASE_S, approved, boot_of, gate_of, issued, name_of, origin_of, tree_of
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import OCSPNonce, load_der_x509_certificate, ocsp

from sekisho.adapters.entropy import SystemEntropy
from sekisho.compose import Home, load_person
from sekisho.core.encoding import b64
from sekisho.ports import LeaseRequest
from sekisho.services.controldesk import ControlDesk
from sekisho.services.pages import Cursor
from sekisho.services.people import sign_command
from sekisho.services.remotegates import RemoteGates

FLEET = str(Path(__file__).with_name("_fleet.py"))
FLAT_MAX = 1.5
"""Above this ratio of largest to smallest an operation is not called flat."""
CALLS = 20
FRESH = "b"


def resident() -> int:
    """Memory of this process that is in the machine, bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Operations:
    """One opened home, and what is timed in it."""

    def __init__(self, home: Home, folder: Path, agents: int, profiled: str) -> None:
        self.home, self.folder, self.agents = home, folder, agents
        self.authority = home.authority
        self.found: dict[str, float] = {}
        self._profiled = profiled
        self._fresh = 0
        self._nonce = SystemEntropy()

    async def timed(self, name: str, work: Callable[[int], Awaitable[object]]) -> None:
        """Median of the processor time of a call, ms; the first call stands apart."""
        profile = cProfile.Profile() if name == self._profiled else None
        spent = []
        for number in range(CALLS + 1):
            if profile is not None and number:
                profile.enable()
            begin = time.process_time_ns()
            await work(number)
            spent.append((time.process_time_ns() - begin) / 1e6)
            if profile is not None:
                profile.disable()
        self.found[f"{name}, first"] = spent[0]
        self.found[name] = median(spent[1:])
        if profile is not None:
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(15)

    async def run(self) -> None:
        """Every operation."""
        await self.issue()
        await self.lease()
        await self.status()
        await self.hold()
        await self.lists()
        await self.links()

    async def issue(self) -> None:
        """Certificates for agents that were approved before the clock was started."""
        ready = []
        for number in range(CALLS + 1):
            name = f"{FRESH}{number:08d}"
            ready.append((name, await approved(self.home, self.folder, name)))
        await self.timed("issue", lambda n: issued(self.home, *ready[n]))

    async def lease(self) -> None:
        """A gate's renewal, with all its 256 certificates and with one."""
        gate = gate_of(0)
        state = self.authority.state
        own = tuple(
            state.agents[name_of(number)][-1].sha256 for number in range(min(A_GATE, self.agents))
        )
        await self.timed(f"lease, {len(own)} certificates", lambda _: self._lease(gate, own))
        await self.timed("lease, 1 certificate", lambda _: self._lease(gate, own[:1]))

    async def _lease(self, gate: str, certificates: tuple[str, ...]) -> None:
        known = await self.authority.last_seen(gate)
        granted = await self.authority.lease(
            LeaseRequest(
                gate=gate,
                boot=boot_of(gate),
                nonce=self._nonce.bytes(16).hex(),
                origin=origin_of(gate),
                tree_size=1,
                root_hash=b64(tree_of(gate).root()),
                proof_from=known,
                proof=(),
                certificates=certificates,
            )
        )
        assert len(granted.status) == len(certificates)

    async def status(self) -> None:
        """Answers to strangers, signed anew and given again."""
        state = self.authority.state
        issuing = load_der_x509_certificate(state.issuing_certificate)
        record = state.agents[name_of(0)][-1]
        certificate = load_der_x509_certificate(record.certificate)
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuing, hashes.SHA256())
        again = builder.build().public_bytes(Encoding.DER)
        anew = builder.add_extension(OCSPNonce(bytes(32)), critical=False).build()
        asked = anew.public_bytes(Encoding.DER)
        public = self.authority.public
        await self.timed("OCSP, signed anew", lambda _: public.ocsp(asked))
        await self.timed("OCSP, given again", lambda _: public.ocsp(again))

    async def lists(self) -> None:
        """Pages of 50 at the begin and in the middle, and by a filter."""
        desk = ControlDesk(self.authority, self.home.registration)
        state = self.authority.state
        size = state.size
        begin = Cursor(walk="", size=size, after=-1)
        middle = Cursor(walk="", size=size, after=size // 2)
        one = name_of(self.agents // 2)

        async def call(work: Callable[[], object]) -> None:
            work()

        pages: list[tuple[str, Callable[[], object]]] = [
            ("list of agents, first page", lambda: desk.agents(begin, 50, "")),
            ("list of agents, middle", lambda: desk.agents(middle, 50, "")),
            ("list of certificates, middle", lambda: desk.certificates(middle, 50, "", "")),
            ("certificates of one agent", lambda: desk.certificates(begin, 50, one, "")),
            ("certificates on hold", lambda: desk.certificates(begin, 50, "", "hold")),
            ("policies of one agent", lambda: desk.policies(begin, 50, one)),
            ("admission", lambda: self.authority.admission(one)),
        ]
        for name, work in pages:
            await self.timed(name, lambda _, work=work: call(work))

    async def links(self) -> None:
        """A gate connects its stream; it comes last, for a stop would wait for what it reports."""
        gates = RemoteGates(self.authority, self.home.around.clock, self._nonce)

        async def connect(_: int) -> None:
            await gates.connect(gate_of(0), 0).aclose()

        await self.timed("a gate connects", connect)

    async def hold(self) -> None:
        """People hold one agent: entry, push, CRL."""
        person = load_person(self.home.path / "people" / "duty_risk.key", self.home.passphrase())
        waiting = [
            sign_command(
                person,
                "hold",
                name_of(number),
                self.authority,
                "duty_risk",
                "bench",
                self._nonce.bytes(16).hex(),
                time.time_ns(),
            )
            for number in range(CALLS + 1)
        ]
        await self.timed("hold", lambda n: self.authority.command((waiting[n],)))


async def measure(folder: Path, agents: int, profiled: str) -> dict[str, Any]:
    """Open the home of so many agents, and time what is done with it."""
    gc.collect()
    before, spent, began = resident(), time.process_time(), time.monotonic()
    home = await Home.open(folder / "home")
    try:
        start = time.process_time() - spent, time.monotonic() - began
        gc.collect()
        memory = resident() - before
        gc.freeze()
        operations = Operations(home, folder, agents, profiled)
        entries = home.authority.state.size
        await operations.run()
        return {
            "agents": agents,
            "entries": entries,
            "start": start,
            "memory": memory,
            "found": operations.found,
        }
    finally:
        await home.close()


def of_size(folder: Path, agents: int, profiled: str) -> dict[str, Any]:
    """Write the log of so many agents, and measure it in a process of its own."""
    folder.mkdir()
    write = [sys.executable, FLEET, str(folder), str(agents)]
    subprocess.run(write, check=True)  # noqa: S603 - this file's own
    done = subprocess.run(  # noqa: S603 - this file's own
        [sys.executable, __file__, "--measure", str(folder), str(agents), profiled],
        check=True,
        stdout=subprocess.PIPE,
    )
    return dict(json.loads(done.stdout))


def show(found: list[dict[str, Any]]) -> None:
    """Print the table."""
    sizes = [one["agents"] for one in found]
    print(f"{'agents':<36}" + "".join(f"{size:>12,}" for size in sizes))

    def row(name: str, values: list[str], note: str = "") -> None:
        print(f"{name:<36}" + "".join(f"{value:>12}" for value in values) + f"  {note}")

    row("entries in the log", [f"{one['entries']:,}" for one in found])
    row("start, s of the processor", [f"{one['start'][0]:.2f}" for one in found])
    row("start, s", [f"{one['start'][1]:.2f}" for one in found])
    row(
        "start, µs of the processor an entry",
        [f"{one['start'][0] / one['entries'] * 1e6:.0f}" for one in found],
    )
    row("memory, MiB", [f"{one['memory'] / 2**20:.0f}" for one in found])
    row("memory, KiB an agent", [f"{one['memory'] / one['agents'] / 2**10:.1f}" for one in found])
    print(f"processor time of a call, ms, median of {CALLS}:")
    for name in found[-1]["found"]:
        values = [one["found"][name] for one in found]
        ratio = values[-1] / max(values[0], 0.01)
        first = name.endswith(", first")
        note = "" if first else f"{ratio:.1f} x" + (" flat" if ratio <= FLAT_MAX else " NOT FLAT")
        row(f"  {name}", [f"{value:.3f}" for value in values], note)
    last = found[-1]
    renewals = 100_000 / A_GATE / (LEASE_S / 2)
    each = next(ms for name, ms in last["found"].items() if name == f"lease, {A_GATE} certificates")
    print(
        f"leases of 10^5 agents at {100_000 / A_GATE:.0f} gates, renewed at half of {LEASE_S} s:"
        f" {renewals:.0f} a second, {renewals * each / 1000:.2f} processors"
    )


def main() -> None:
    """Print the table; or be the process that measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10^3 and 10^4 agents alone")
    parser.add_argument("--full", action="store_true", help="10^6 agents too")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    parser.add_argument("--profile", default="", help="an operation, as the table calls it")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        folder, agents, profiled = asked.measure
        print(json.dumps(asyncio.run(measure(Path(folder), int(agents), profiled))))
        return
    sizes = [1_000, 10_000] if asked.quick else [1_000, 10_000, 100_000]
    sizes += [1_000_000] if asked.full else []
    with tempfile.TemporaryDirectory(prefix="sk", dir=asked.folder) as name:
        print(machine())
        show([of_size(Path(name) / str(size), size, asked.profile) for size in sizes])
        print(f"at the end: {machine()}")


if __name__ == "__main__":
    main()
