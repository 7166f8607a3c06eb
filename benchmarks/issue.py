# SPDX-License-Identifier: Apache-2.0
"""Certificates and status answers a second, against the bare signing of the same bytes.

One process, one core; floor and product alternate. A certificate here is a request that is read and
checked, a policy whose quorum is judged again, an entry that is durable in SQLite, and the
signature; its floor is building and signing alone. A status answer is a request read, the register
asked and, where nothing kept will do, a signature; its floor is that signature alone.

    python benchmarks/issue.py [--quick] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.core.encoding import unb64
from sekisho.core.events import decode_authority_entry
from sekisho.core.governance.document import Registration
from sekisho.core.governance.signatures import verify_signature
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.profile import Holder, agent_certificate, serial_number
from sekisho.core.identity.reading import parse_agent_certificate
from sekisho.core.identity.requests import key_requested
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.terms import NS, parse_instant
from sekisho.services.certification import IssuedCertificate, possession_message
from sekisho.services.peopledesk import CertificateWanted, PeopleDesk
from sekisho.services.storejournal import StoreJournal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests import ledger_doubles
from tests.authority_world import (
    NAMES,
    ORIGIN,
    START,
    AuthorityWorld,
    authority_keys,
    policy_of,
)
from tests.certificate_requests import SHA256, asked, wanted
from tests.unit.core.governance import samples

AT_ONCE = 16
ISSUE_MIN, STATUS_MIN = 0.40, 0.70


class Rates(NamedTuple):
    """So many a second: bare, and as the product does it."""

    floor: float
    product: float

    @property
    def ratio(self) -> float:
        """Product over floor."""
        return self.product / self.floor


def timed(work: Callable[[int], object], count: int) -> float:
    """Processor seconds of ``count`` calls."""
    begin = time.process_time()
    for number in range(count):
        work(number)
    return time.process_time() - begin


async def timed_many(work: Callable[[int], Awaitable[object]], count: int) -> float:
    """The same, ``AT_ONCE`` at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    begin = time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return time.process_time() - begin


class Bench:
    """An authority over SQLite with agents that wait for their certificates."""

    def __init__(self, world: AuthorityWorld) -> None:
        self.world = world
        self.keys = authority_keys()
        self.issuing_key = self.keys.x509_key(self.keys.issuing)
        self.desk = PeopleDesk(world.authority, _no_registration, _no_issue)
        self.waiting: list[CertificateWanted] = []
        self.issued: list[IssuedCertificate] = []
        self.sample: Registration

    async def prepare(self, count: int) -> None:
        """So many more agents, each with an approved policy and a request."""
        for _ in range(count):
            number = len(self.waiting)
            registration = policy_of(f"bot-{number}")
            await self.world.approve(registration)
            self.sample = registration
            body = wanted(registration, 5_000 + number)
            self.waiting.append(msgspec.convert(body, CertificateWanted))

    def build(self, number: int) -> bytes:
        """The floor of issuing."""
        state = self.world.authority.state
        policy = self.sample.policy
        return agent_certificate(
            names=NAMES,
            holder=Holder(operator_name=policy.operator.name, operator_lei=policy.operator.lei),
            issuing=state.issuing_certificate,
            issuing_key=self.issuing_key,
            serial=serial_number(number.to_bytes(16, "big"), 2),
            agent=policy.agent,
            public_key=samples.public_bytes(_KEY),
            not_before_ns=START,
            not_after_ns=START + 3600 * NS,
            scope_json=scope_json(msgspec.json.decode(self.sample.canonical)),
            policy_sha256=self.sample.sha256,
        )

    async def issue(self, number: int) -> None:
        """One certificate by the whole way."""
        self.issued.append(await self.desk.certify(self.waiting[number]))

    async def issuing(self, count: int) -> Rates:
        """Floor and product, one after the other."""
        begin = len(self.issued)
        await self.prepare(count)
        floor = timed(self.build, count)
        product = await timed_many(lambda number: self.issue(begin + number), count)
        return Rates(count / floor, count / product)

    def parts(self, count: int) -> list[tuple[str, float]]:
        """What the steps of one issue cost by themselves, in microseconds."""
        issued = self.issued[-1]
        agent = issued.agent
        body = next(one for one in self.waiting if one.agent == agent)
        request, scope = unb64(str(body.request)), scope_json(self.policy_of(agent))
        key = key_requested(request, agent)
        message = possession_message(
            agent=agent,
            environment="test",
            policy_sha256=body.policy_sha256,
            public_key_spki=key,
        )
        proof = unb64(str(body.proof))
        path = issued.certificate, issued.issuing_certificate, issued.root_certificate
        at = parse_instant(issued.not_before)
        entry = self.world.authority.log.journal.entry(issued.authority_index)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("request read, its signature verified", lambda: key_requested(request, agent)),
            ("proof of possession verified", lambda: verify_signature(key, message, proof)),
            ("certificate built and signed", lambda: self.build(0)),
            ("read back", lambda: parse_agent_certificate(path[0], None, scope)),
            ("path verified before it counts", lambda: verify_chain(*path, at)),
            ("entry read as recovery will", lambda: decode_authority_entry(entry)),
        ]
        return [(name, timed(lambda _, one=one: one(), count) / count * 1e6) for name, one in steps]

    def policy_of(self, agent: str) -> dict[str, Any]:
        """The registered policy of an agent."""
        policies = self.world.authority.state.policies.values()
        return next(one.policy for one in policies if one.agent == agent)

    async def answering(self, count: int, nonce: bytes) -> Rates:
        """Status answers against the signature of bytes of their length."""
        requests = [
            asked(one.certificate, one.issuing_certificate, nonce=nonce, algorithm=SHA256)
            for one in self.issued[:200]
        ]
        key = self.keys.x509_key(self.keys.responder)
        message = bytes(400)
        floor = timed(lambda _: key.sign(message, ec.ECDSA(hashes.SHA256())), count)
        public = self.world.authority.public
        begin = time.process_time()
        for number in range(count):
            await public.ocsp(requests[number % len(requests)])
        return Rates(count / floor, count / (time.process_time() - begin))


_KEY = ec.derive_private_key(4_242, ec.SECP256R1())


def _no_registration(_: str) -> Any:
    raise AssertionError("nothing is shown here")


async def _no_issue(_: Any) -> Any:
    raise AssertionError("no key is made here")


async def measure(
    folder: Path, rounds: int, certificates: int, answers: int
) -> tuple[list[list[Rates]], list[tuple[str, float]]]:
    """Issuing, answers without and with a nonce, by rounds; and the steps of an issue."""
    clock = SystemClock()
    store = await SqliteStore.open(folder / "authority.db")
    try:
        journal = await StoreJournal.open_in(
            store,
            FolderDisk(folder / "published"),
            origin=ORIGIN,
            signer=ledger_doubles.SoftwareSigner(7),
            clock=clock,
        )
        await journal.begin_writing("bench", "")
        bench = Bench(await AuthorityWorld.start(journal=journal))
        found: list[list[Rates]] = [[], [], []]
        for _ in range(rounds):
            found[0].append(await bench.issuing(certificates))
            found[1].append(await bench.answering(answers, b""))
            found[2].append(await bench.answering(answers, bytes(32)))
        return found, bench.parts(certificates)
    finally:
        await store.close()


def main() -> None:
    """Print a line for each, and where the time of issuing goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    parser.add_argument("--profile", action="store_true", help="where the time goes, by function")
    arguments = parser.parse_args()
    work = (2, 60, 600) if arguments.quick else (3, 300, 3_000)
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as name:
        if arguments.profile:
            profile.enable()
        found, parts = asyncio.run(measure(Path(name), *work))
        profile.disable()
    print("what                          floor/s  product/s  ratio  target")
    for text, rounds, least in (
        ("certificate issued", found[0], ISSUE_MIN),
        ("status answered, no nonce", found[1], STATUS_MIN),
        ("status answered, with nonce", found[2], None),
    ):
        floor = statistics.median(one.floor for one in rounds)
        product = statistics.median(one.product for one in rounds)
        target = "" if least is None else f"≥ {least:.2f}"
        print(f"{text:28} {floor:8.0f} {product:10.0f} {product / floor:6.2f}  {target}")
    whole = 1e6 / statistics.median(one.product for one in found[0])
    print(f"\nwhere the {whole:.0f} µs of a certificate go")
    rest = whole - sum(cost for _, cost in parts)
    for text, cost in (*parts, ("policy, register, ledger, SQLite, tasks", rest)):
        print(f"  {text:40} {cost:6.0f} µs")
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
