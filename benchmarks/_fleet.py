# SPDX-License-Identifier: Apache-2.0
"""An authority's log with many agents, written fast: ``python _fleet.py FOLDER AGENTS``.

The first agents go through the services: policies, approvals, keys and certificates are real. The
entries of all others are those of the first one with other names, digests, serial numbers and keys:
their keys are real P-256 keys, the approvals' and certificates' signatures are the first one's and
hold for nobody, which nothing that is measured here looks at. Each gate has 256 agents.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from _firm import policy_of
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.entropy import SystemEntropy
from sekisho.compose import Home, init_home, load_person, make_people, register_document
from sekisho.config import Config
from sekisho.core.encoding import b64, canonical, sha256_hex
from sekisho.core.events import AgentAssigned, GateBooted, encode_entry
from sekisho.core.identity.profile import load, spki
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.services.certification import IssuedCertificate, possession_message
from sekisho.services.people import sign_approval

LEASE_S = 15
A_GATE = 256
UNPUBLISHED_MAX = 20_000
KINDS = ("policy_registered", "approval_given", "resolved", "certificate_issued")


def name_of(number: int) -> str:
    """Of an agent; all names are of one length."""
    return f"a{number:08d}"


def gate_of(number: int) -> str:
    """The gate of the agent of this number."""
    return f"g{number // A_GATE:06d}"


def origin_of(gate: str) -> str:
    """The name of a gate's log."""
    return f"{gate}.sekisho.invalid/log"


def boot_of(gate: str) -> str:
    """A gate's boot."""
    return sha256_hex(gate.encode())[:32]


def tree_of(gate: str) -> Tree:
    """A gate's log: one entry."""
    tree = Tree()
    tree.append(leaf_hash(gate.encode()))
    return tree


async def approved(home: Home, folder: Path, agent: str) -> str:
    """Register an agent's policy and have it approved; its digest."""
    document = folder / "policy.json"
    document.write_text(json.dumps(policy_of(agent, LEASE_S)), encoding="utf-8")
    made = register_document(document, time.time_ns())
    if not home.journals["authority"].size:
        await home.found(make_people(home.path / "people", home.passphrase(), made.policy))
    await home.authority.register_policy(made)
    seat, roster = "approver-1", home.authority.roster
    key = load_person(home.path / "people" / f"{seat}.key", home.passphrase())
    await home.authority.give_approval(
        sign_approval(key, made.sha256, roster, seat, time.time_ns())
    )
    return made.sha256


async def issued(home: Home, agent: str, digest: str) -> IssuedCertificate:
    """Have an agent certified, with a key that is forgotten."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    message = possession_message(
        agent=agent, environment="test", policy_sha256=digest, public_key_spki=public
    )
    return await home.authority.issue(
        agent,
        digest,
        public,
        proof=key.sign(message, ec.ECDSA(hashes.SHA256())),
        issuer_seat="issuer",
        operator_seat="operator",
    )


class _Pattern(NamedTuple):
    """The entries of one agent, and what in them is its own."""

    agent: str
    digest: str
    resolution: str
    serial: str
    der: bytes
    key: bytes
    policy: bytes
    entries: tuple[bytes, ...]


def _pattern(home: Home, agent: str) -> _Pattern:
    record = home.authority.state.agents[agent][-1]
    found = []
    for index, data in home.journals["authority"].entries():
        kind = json.loads(data)["kind"]
        if kind in KINDS and index <= record.index:
            found.append(data)
    return _Pattern(
        agent,
        record.policy_sha256,
        record.resolution_sha256,
        record.serial_number,
        record.certificate,
        spki(load(record.certificate)),
        canonical(home.authority.state.policies[record.policy_sha256].policy),
        tuple(found),
    )


def _like(one: _Pattern, number: int) -> list[bytes]:
    """The entries of another agent."""
    agent = name_of(number).encode()
    digest = sha256_hex(one.policy.replace(one.agent.encode(), agent))
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    serial = f"{one.serial[:8]}{sha256_hex(agent)}"[: len(one.serial)]
    der = (
        one.der.replace(one.agent.encode(), agent)
        .replace(bytes.fromhex(one.digest), bytes.fromhex(digest))
        .replace(one.key, public)
        .replace(bytes.fromhex(one.serial), bytes.fromhex(serial))
    )
    entries = []
    resolution = one.resolution
    for data in one.entries:
        other = data.replace(one.agent.encode(), agent).replace(
            one.digest.encode(), digest.encode()
        )
        if b'"kind":"resolved"' in other:
            resolution = sha256_hex(canonical(json.loads(other)["resolution"]))
        if b'"kind":"certificate_issued"' in other:
            # Its base64 holds the first agent's bytes: the whole of it is put in anew.
            other = (
                other.replace(b64(one.der).encode(), b64(der).encode())
                .replace(sha256_hex(one.der).encode(), sha256_hex(der).encode())
                .replace(one.serial.encode(), serial.encode())
            )
        entries.append(other.replace(one.resolution.encode(), resolution.encode()))
    return entries


async def write(folder: Path, agents: int) -> None:
    """Found an authority in ``folder/home`` and write the log of so many agents."""
    path = folder / "home"
    init_home(path, Config(issuer_name="Bench Issuer"), SystemEntropy())
    home = await Home.open(path)
    try:
        first = name_of(0)
        await issued(home, first, await approved(home, folder, first))
        pattern = _pattern(home, first)
        gates = sorted({gate_of(number) for number in range(agents)})
        for gate in gates:
            key = Ed25519PrivateKey.generate().public_key()
            public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            await home.authority.certify_log(origin_of(gate), public)
        await _rest(home, pattern, gates, agents)
    finally:
        await home.close()


async def _rest(home: Home, pattern: _Pattern, gates: list[str], agents: int) -> None:
    """What is written past the fold of this process, which is not used after it."""
    journal, at = home.journals["authority"], home.authority.log.at()
    for gate in gates:
        tree = tree_of(gate)
        entry = GateBooted(
            at=at,
            gate=gate,
            boot=boot_of(gate),
            origin=origin_of(gate),
            tree_size=1,
            root_hash=b64(tree.root()),
        )
        journal.append(encode_entry(entry))
    # Entries of one instant: log time never falls.
    rows = [data.replace(_at(data), at.encode()) for data in pattern.entries]
    pattern = pattern._replace(entries=tuple(rows))
    for number in range(agents):
        for data in _like(pattern, number) if number else ():
            journal.append(data)
        assigned = AgentAssigned(
            at=at,
            agent=name_of(number),
            gate=gate_of(number),
            before="",
            epoch=0,
            seats=(),
            commands=(),
        )
        journal.append(encode_entry(assigned))
        if journal.size - journal.published_size > UNPUBLISHED_MAX:
            await journal.flushed(journal.size - 1)
            await journal.publish()
    await journal.flushed(journal.size - 1)
    await journal.publish()


def _at(data: bytes) -> bytes:
    return str(json.loads(data)["at"]).encode()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
