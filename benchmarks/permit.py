# SPDX-License-Identifier: Apache-2.0
"""What a permit costs: processor time against its floor, and durable permits a second on a disk.

Processor time is that of the whole gatekeeper, every check on, from the bytes of the order to the
answer, over a disk and a venue that cost nothing. The floor, alternating with it in the same run,
is what no gate can leave out: decode the order, hash one record, sign once (P-256), and verify our
own signature before anything leaves. Phases are timed in a run of their own; timing costs a little.

On a disk, n callers ask for permits one after the other each; the bare journal appends the same
entries in the same run, with the same one durable wait a permit: the decision, before the key.

    python benchmarks/permit.py [--quick] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.rates.static import StaticRates
from sekisho.core.encoding import b64, canonical
from sekisho.core.events import AgentAdmitted, GateOpened
from sekisho.core.gate import permit as permits
from sekisho.core.gate.state import GateState
from sekisho.core.terms import format_instant
from sekisho.ports import LeaseGranted, LeaseRequest, VenueReport
from sekisho.services import gatekeeper, gatelog
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.leasing import CONTEXT, LeaseTerms, Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.venuewatch import VenueWatch

CALLERS = (1, 16, 64)
_ES256 = ec.ECDSA(hashes.SHA256())
CERTIFICATE = "c" * 64
WINDOW = {"count_max": 10**9, "window_s": 1}
SCOPE: dict[str, Any] = {
    "actions": ["new", "amend", "cancel"],
    "markets": ["EUR/USD", "GBP/EUR"],
    "currency": "EUR",
    "order_notional_max": "25000",
    "order_quantity_max": [{"market": "EUR/USD", "currency": "EUR", "max": "25000"}],
    "price_collar": {"deviation_max": "0.05", "range_max": "0.1", "window_s": 60},
    "daily_notional_max": "100000000000000",
    "daily_order_count_max": 10**9,
    "message_rate": WINDOW,
    "position_notional_max": "100000000000000",
    "venues": ["PAPER"],
    "counterparties": ["PAPER"],
    "concentration": {"share_max": "1", "window_s": 60, "notional_min": "100000"},
    "time_zone": "UTC",
    "zone_offsets": [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 0}],
    "trading_hours": {"start": "00:00", "end": "24:00", "exclude_weekends": False, "holidays": []},
    "regions": ["eu-west-1"],
    "reference_rates": {
        "sources": ["STATIC"],
        "age_max_s": 3600,
        "market_order_buffer": "0.01",
        "jump_max": "0.05",
        "jump_window_s": 60,
        "disagreement_max": "0.005",
    },
    "market_stress": {"action": "refuse", "spread_max": "0.01", "move_max": "0.05", "window_s": 60},
    "repeated_executions": {"count_max": 10**9, "window_s": 60},
    "repeated_orders": {"count_max": 10**9, "window_s": 60},
    "consecutive_failures_max": 10**9,
}
POLICY: dict[str, Any] = {
    "agent": "bot",
    "environment": "test",
    "valid_from": "2020-01-01T00:00:00.000000000Z",
    "valid_until": "2120-01-01T00:00:00.000000000Z",
    "risk_controls": {
        "permit_lifetime_s": 2,
        "lease_s": 60,
        "clock_difference_max_s": 5,
        "hold_threshold": "0.85",
        "breaker_threshold": "0.75",
        "hold_on_single_order": False,
    },
    "behaviour": {
        "baseline_days": 14,
        "baseline_orders_min": 100,
        "without_baseline": "scope_checks",
        "baseline_daily_fraction": "1",
        "risk_lag_entries_max": 1000,
    },
    "testing": {"fitness_due": "2119-01-01T00:00:00.000000000Z", "overdue": "block_issuing"},
    "governance": {"review_due": "2119-01-01T00:00:00.000000000Z", "review_overdue": "refuse"},
    "scope": SCOPE,
}
OCSP = b64(bytes(300))
"""As long as a response of ours without its responder certificate."""


class _P256:
    uri = "test:p256"
    algorithm = "ES256"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self.key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    async def sign(self, message: bytes) -> bytes:
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return self.key.sign(message, _ES256)


class _LogKey(_P256):
    uri = "test:ed25519"
    algorithm = "Ed25519"

    def __init__(self) -> None:
        self._log_key = Ed25519PrivateKey.generate()
        self.public_key = self._log_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    def sign_blocking(self, message: bytes) -> bytes:
        return self._log_key.sign(message)


class _Authority:
    """Grants every lease for a minute."""

    def __init__(self) -> None:
        self.signer = _P256()

    async def last_seen(self, gate: str) -> int:  # noqa: ARG002 - the port's signature
        return 0

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        terms = LeaseTerms(
            gate=request.gate,
            boot=request.boot,
            nonce=request.nonce,
            epoch=0,
            tree_size=request.tree_size,
            root_hash=request.root_hash,
            granted_at=format_instant(time.time_ns()),
            duration_s=60,
            not_good=(),
        )
        signature = self.signer.sign_blocking(CONTEXT + canonical(terms))
        grant = canonical({"lease": terms, "signature": b64(signature)}).decode()
        return LeaseGranted(grant=grant, status=dict.fromkeys(request.certificates, OCSP))


class _Venue:
    """Takes every permit and says nothing."""

    name = "PAPER"

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:  # noqa: ARG002 - as above
        return ()

    async def open_orders(self, agent: str) -> tuple[str, ...]:  # noqa: ARG002 - as above
        return ()

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        return sequence, ()


class _NoDisk:
    """A disk that costs nothing and keeps nothing."""

    async def list(self, folder: str) -> list[str]:  # noqa: ARG002 - the port's signature
        return []

    async def read(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def read_range(self, path: str, offset: int, length: int) -> bytes:  # noqa: ARG002 - as above
        raise FileNotFoundError(path)

    async def delete(self, path: str) -> None:
        raise FileNotFoundError(path)

    async def append(self, path: str, data: bytes) -> None: ...

    async def append_durably(self, path: str, data: bytes) -> None: ...

    async def sync(self, path: str) -> None: ...

    async def sync_folder(self, folder: str) -> None: ...


async def gate(disk: Any, signer: _P256) -> Gatekeeper:
    """A gate with one admitted agent, a lease and a rate; of the disk only what a journal calls."""
    clock = SystemClock()
    journal = await Journal.open(disk, origin="gate.example/bench", signer=_LogKey(), clock=clock)
    log = GateLog(journal, clock)
    log.record(
        GateOpened(at=log.at(), gate="g1", boot="0" * 32, region="eu-west-1", environment="test")
    )
    log.record(
        AgentAdmitted(
            at=log.at(),
            agent="bot",
            certificate=b64(bytes(700)),
            certificate_sha256=CERTIFICATE,
            serial_number="01",
            not_before="2020-01-01T00:00:00.000000000Z",
            not_after="2120-01-01T00:00:00.000000000Z",
            policy=POLICY,
            policy_sha256="d" * 64,
            authority_index=0,
        )
    )
    authority = _Authority()
    leasing = Leasing(
        log, authority, clock, SystemEntropy(), responder_key=authority.signer.public_key,
        read_status=lambda _said, _certificate, _now: "good",
    )  # fmt: skip
    rates = StaticRates(clock)
    rates.set("EUR/USD", "1.0849", "1.0851")
    venues: dict[str, Any] = {"PAPER": _Venue()}
    release = Release(log, venues, clock)
    signers = {CERTIFICATE: signer}
    watch = VenueWatch(log, release, clock, stale_s=3600)
    await watch.reconcile()
    made = Gatekeeper(log, leasing, RateWatch(log, rates), release, clock, signers, watch)
    first = await made.submit("bot", body("first", 0))
    assert first.kind == "permitted", first
    return made


def body(name: str, number: int, *, refused: bool = False) -> bytes:
    """One limit order; a refused one is too large and from elsewhere, and has five reasons."""
    asked = {
        "action": "new",
        "client_order_id": name,
        "market": "EUR/USD",
        "side": "sell" if number % 2 else "buy",
        "order_type": "limit",
        "quantity": f"{180000 if refused else 10000 + number % 977}",
        "currency": "EUR",
        "price": f"1.08{number % 89 + 10}",
        "time_in_force": "day",
        "venue": "OTHER" if refused else "PAPER",
        "account": "main",
    }
    return canonical(asked)


async def ask(made: Gatekeeper, bodies: list[bytes], callers: int, kind: str) -> None:
    """Submit all, ``callers`` at a time."""
    waiting = iter(bodies)

    async def caller() -> None:
        for each in waiting:
            answer = await made.submit("bot", each)
            assert answer.kind == kind, answer

    await asyncio.gather(*(caller() for _ in range(callers)))


def floor_us(signer: _P256, bodies: list[bytes], *, verify: bool) -> float:
    """Decode, one SHA-256 of a record's size, one signature, and one verification of it."""
    record = bytes(1024)
    public = signer.key.public_key()
    begin = time.process_time()
    for each in bodies:
        msgspec.json.decode(each)
        hashlib.sha256(record).digest()
        signature = signer.key.sign(record, _ES256)
        if verify:
            public.verify(signature, record, _ES256)
    return (time.process_time() - begin) / len(bodies) * 1e6


async def cpu_us(count: int, kind: str, name: str, signer: _P256) -> float:
    """Processor time of one order, 64 callers, in microseconds."""
    made = await gate(_NoDisk(), signer)
    bodies = [body(f"{name}-{n}", n, refused=kind == "refused") for n in range(count)]
    await ask(made, bodies[: count // 10], 64, kind)
    begin = time.process_time()
    await ask(made, bodies[count // 10 :], 64, kind)
    return (time.process_time() - begin) / (count - count // 10) * 1e6


# -- phases ----------------------------------------------------------------------------------------


class Phases:
    """Own time of wrapped functions: what they call and is wrapped too is not counted twice."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner: list[float] = []

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        inner, function = self._inner, getattr(owner, name)
        self.spent.setdefault(phase, 0.0)

        def timed(*arguments: Any, **named: Any) -> Any:
            inner.append(0.0)
            begin = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - begin
                self.spent[phase] += took - inner.pop()
                if inner:
                    inner[-1] += took

        setattr(owner, name, timed)


async def phases(count: int, signer: _P256) -> None:
    """Print where the time of a permit goes."""
    made = await gate(_NoDisk(), signer)
    found = Phases()
    found.wrap(gatekeeper, "parse_order", "parse the order")
    found.wrap(made, "_known_answer", "look for the id")
    found.wrap(made.rates, "record", "rates")
    found.wrap(gatekeeper, "decide", "decide: all checks")
    found.wrap(gatelog, "encode_entry", "encode two entries")
    found.wrap(made.log.journal, "append", "hash two leaves, tree")
    found.wrap(GateState, "apply", "fold two entries")
    found.wrap(made, "_permit", "build the permit")
    found.wrap(permits, "signing_input", "encode the permit")
    found.wrap(signer, "sign_blocking", "sign")
    found.wrap(made, "_check_own", "verify our signature")
    found.wrap(permits, "assemble", "assemble the JWS")
    found.wrap(made, "_stopped", "stopped? twice")
    found.wrap(made.log, "clocks", "clocks")
    bodies = [body(f"p-{n}", n) for n in range(count)]
    begin = time.perf_counter()
    await ask(made, bodies, 64, "permitted")
    total = time.perf_counter() - begin
    for phase, spent in sorted(found.spent.items(), key=lambda item: -item[1]):
        print(f"  {phase:<24}{spent / count * 1e6:8.1f} µs")
    rest = total - sum(found.spent.values())
    print(f"  {'event loop, frames, rest':<24}{rest / count * 1e6:8.1f} µs")


# -- on a disk ------------------------------------------------------------------------------------


async def on_disk(folder: Path, callers: int, seconds: float, signer: _P256) -> tuple[float, ...]:
    """Durable permits a second, their p50 and p99 in ms, and what the bare journal reaches."""
    disk = FolderDisk(folder / "gate")
    made = await gate(disk, signer)
    latencies: list[float] = []

    async def permit(number: int) -> None:
        answer = await made.submit("bot", body(f"d-{number}", number))
        assert answer.permit, answer

    rate = await asyncio.create_task(_timed(permit, callers, seconds, latencies))
    entries = [data for _, data in made.log.journal.entries(5)]
    decisions = [data for data in entries if b'"kind":"decision"' in data]
    signed = [data for data in entries if b'"kind":"permit_signed"' in data]
    disk.close()
    bare = FolderDisk(folder / "bare")
    journal = await Journal.open(
        bare, origin="log.example/bench", signer=_LogKey(), clock=SystemClock()
    )

    async def append(number: int) -> None:
        await journal.flushed(journal.append(decisions[number % len(decisions)]))
        journal.append(signed[number % len(signed)])

    floor = await _timed(append, callers, seconds, [])
    bare.close()
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
    return rate, floor, p50, p99


async def _timed(
    one: Callable[[int], Awaitable[None]], callers: int, seconds: float, latencies: list[float]
) -> float:
    """Calls a second of ``one``, each caller's one after the other."""
    count = 0
    begin = time.perf_counter()

    async def caller() -> None:
        nonlocal count
        now = time.perf_counter()
        while now - begin < seconds:
            count += 1
            await one(count)
            later = time.perf_counter()
            latencies.append(later - now)
            now = later

    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the orders")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    arguments = parser.parse_args()
    count, rounds = (600, 3) if arguments.quick else (4000, 5)
    signer = _P256()
    bodies = [body(f"f-{n}", n) for n in range(count)]
    short, full, permitted, refused = [], [], [], []
    for turn in range(rounds):
        short.append(floor_us(signer, bodies, verify=False))
        full.append(floor_us(signer, bodies, verify=True))
        permitted.append(asyncio.run(cpu_us(count, "permitted", f"a{turn}", signer)))
        refused.append(asyncio.run(cpu_us(count, "refused", f"r{turn}", signer)))
    least, floor, cost = (statistics.median(values) for values in (short, full, permitted))
    print(f"processor time of one order, median of {rounds} rounds, all checks on")
    print(f"  decode + hash + sign            {least:8.1f} µs")
    print(f"  decode + hash + sign + verify   {floor:8.1f} µs")
    print(f"  a permit                        {cost:8.1f} µs = {cost / floor:.2f} × with verify")
    print(f"                                              = {cost / least:.2f} × without")
    print(f"  a refusal with its record       {statistics.median(refused):8.1f} µs")
    print("where a permit's time goes")
    asyncio.run(phases(count, signer))
    print("on a disk: durable permits a second")
    print("callers  permits/s  journal/s  ratio  p50 ms  p99 ms")
    for callers in CALLERS:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            seconds = 0.3 if arguments.quick else 2.0
            rate, bare, p50, p99 = asyncio.run(on_disk(Path(name), callers, seconds, signer))
        print(f"{callers:7} {rate:10.0f} {bare:10.0f} {bare / rate:6.2f} {p50:7.2f} {p99:7.2f}")


if __name__ == "__main__":
    main()
