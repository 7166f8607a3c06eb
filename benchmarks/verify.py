# SPDX-License-Identifier: Apache-2.0
"""How fast a stranger checks a bundle, against bare signature verification in the same run.

The bundle is made first, by the embedded product, with so many permits. The floor is the
verification of exactly its permit signatures on all cores, and nothing else. Measured against it:
everything that ``sekisho-verify`` does for ledger, certificate chain and signatures; the
recomputation of all verdicts is reported beside it. Each figure is the best of several runs.

    python benchmarks/verify.py [--quick] [--orders N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.compose import (
    ISSUER_SEAT,
    OPERATOR_SEAT,
    VENUE_CREDENTIAL,
    Home,
    Surroundings,
    init_home,
    load_person,
    make_people,
    open_gate,
    paper_venue,
    programmed_rates,
    register_document,
    write_bundle,
)
from sekisho.config import Config
from sekisho.core.encoding import canonical
from sekisho.core.terms import NS, parse_instant
from sekisho.services.people import sign_approval
from sekisho_verify.bundle import Verification

START = parse_instant("2026-05-15T09:00:00.000000000Z")
AGENT = "bot"
TOGETHER = 64
ECDSA = ec.ECDSA(hashes.SHA256())
POLICY = {
    "agent": AGENT,
    "operator": {"name": "Example Trading"},
    "scope": {
        "markets": ["EUR/USD"],
        "order_notional_max": "25000",
        "daily_notional_max": "100000000000",
        "message_rate": {"count_max": 1000000, "window_s": 1},
        "venues": ["PAPER"],
        "regions": ["eu-west-1"],
        "time_zone": "UTC",
        "reference_rates": {"sources": ["STATIC"], "age_max_s": 3600},
    },
    "governance": {"documented_by": "author", "approvals_required": 2},
}


async def make_bundle(folder: Path, orders: int) -> None:
    """A life of so many permitted orders, exported."""
    clock, entropy = SteppedClock(START), SystemEntropy()
    (folder / "policy.json").write_text(json.dumps(POLICY), encoding="utf-8")
    registration = register_document(folder / "policy.json", START)
    init_home(folder / "home", Config(issuer_name="Benchmark Issuer"), entropy)
    home = await Home.open(folder / "home", Surroundings(clock, entropy))
    people = folder / "home" / "people"
    authority = await home.found(make_people(people, home.passphrase(), registration.policy))
    await authority.register_policy(registration)
    for seat in authority.roster.seats:
        if seat.role == "approver":
            key = load_person(people / f"{seat.seat}.key", home.passphrase())
            await authority.give_approval(
                sign_approval(key, registration.sha256, authority.roster, seat.seat, START)
            )
    await home.issue(
        AGENT, registration.sha256, issuer_seat=ISSUER_SEAT, operator_seat=OPERATOR_SEAT
    )
    rates = programmed_rates(clock, "STATIC")
    rates.set("EUR/USD", "1.1648", "1.165")
    venue = paper_venue(home, clock, rates)
    gate = await open_gate(home, rates, {"PAPER": venue.session(VENUE_CREDENTIAL)})
    await gate.admit(AGENT)
    for first in range(0, orders, TOGETHER):
        clock.advance(0.1)
        names = [f"o-{number}" for number in range(first, min(first + TOGETHER, orders))]
        answers = await asyncio.gather(
            *(gate.gatekeeper.submit(AGENT, order(name)) for name in names)
        )
        assert all(answer.kind == "permitted" for answer in answers)
    await write_bundle(home, AGENT, START - NS, clock.now_ns() + NS, folder / "bundle")
    await home.close()


def order(name: str) -> bytes:
    """A marketable limit order."""
    return canonical(
        {
            "action": "new",
            "client_order_id": name,
            "market": "EUR/USD",
            "side": "buy",
            "order_type": "limit",
            "quantity": "20000",
            "currency": "EUR",
            "price": "1.2",
            "time_in_force": "day",
            "venue": "PAPER",
            "account": "main",
        }
    )


def bare(bundle: Path) -> float:
    """Seconds to verify the permit signatures alone, on all cores."""
    pem = next((bundle / "certificates").glob("agent-*.pem")).read_bytes()
    key = x509.load_pem_x509_certificate(pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    jobs = [
        (path.read_bytes(), path.with_suffix(".input").read_bytes())
        for path in sorted((bundle / "permits").glob("*.sig"))
    ]

    def check(part: list[tuple[bytes, bytes]]) -> None:
        for signature, message in part:
            key.verify(signature, message, ECDSA)

    cores = os.cpu_count() or 1
    begun = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        for _ in pool.map(check, [jobs[at : at + 64] for at in range(0, len(jobs), 64)]):
            pass
    return time.perf_counter() - begun


def main() -> None:
    """Make the bundle, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--orders", type=int, default=0)
    options = parser.parse_args()
    orders = options.orders or (1_000 if options.quick else 10_000)
    rounds = 3 if options.quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(make_bundle(folder, orders))
        bundle = folder / "bundle"
        root = (bundle / "certificates/root.pem").read_bytes()
        floors, parts, wholes = [], [], []
        for _ in range(rounds):
            floors.append(bare(bundle))
            begun = time.perf_counter()
            report = Verification(bundle, root, None, None).run()
            wholes.append(time.perf_counter() - begun)
            assert report.good, report
            parts.append(report.seconds)
    floor = min(floors)
    proof = min(part["ledger"] + part["signatures"] for part in parts)
    again = min(part["recomputation"] for part in parts)
    print(f"{orders} permits, {os.cpu_count()} cores, best of {rounds}")
    print(f"  bare signature verification      {floor:8.3f} s  {orders / floor:9.0f} /s")
    print(f"  ledger + chain + signatures      {proof:8.3f} s  {orders / proof:9.0f} /s")
    for part in ("ledger", "signatures"):
        print(f"    of this {part:<24} {min(p[part] for p in parts):8.3f} s")
    print(f"  recomputation of all verdicts    {again:8.3f} s  {orders / again:9.0f} /s")
    print(f"  everything                       {min(wholes):8.3f} s")
    print(f"  share of bare verification       {floor / proof:8.0%}    (target: 60 % or more)")


if __name__ == "__main__":
    main()
