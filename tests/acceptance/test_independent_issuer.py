# SPDX-License-Identifier: Apache-2.0
"""Issuer, operator and approvers as three organisations: what each can do alone, and what shows it.

docs/explanation/independent-issuer.md. Three sets of processes and folders with separate keys; the
issuer is reached over TLS alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import open_signer
from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.events import PolicyRegistered, decode_authority_entry, encode_entry
from sekisho.core.gate.permit import assemble, permit_id, read_permit, signing_input
from sekisho.core.governance.roster import Roster
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Signer
from sekisho.services.people import sign_approval
from sekisho_client import Permitted
from sekisho_verify import VerificationFailed, cli, verify_permit
from tests.processes import new_order
from tests.three_firms import (
    AGENT,
    APPROVERS,
    CREDENTIAL,
    PASSPHRASE,
    SHA256,
    Answers,
    ThreeFirms,
    computed,
    copied,
    entries_of,
    policy,
    rewritten,
    three_firms,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Deployed(NamedTuple):
    """The deployment at work, and what the parties handed to each other."""

    firms: ThreeFirms
    roster: Roster
    certified: dict[str, str]
    auditor: str


def deploy(firms: ThreeFirms) -> Deployed:
    """The page, step by step."""
    document = policy()
    firms.digest = computed(document, firms.operator)
    assert firms.digest == firms.register(document, firms.key("developer", "dev-1"))
    request, log = firms.make_keys()
    issuer = {"authorization": f"Bearer {firms.key('issuer', 'issuer')}"}
    with firms.at_home() as http:
        alone = http.post(
            "/v1/operators/own/certificates",
            json=request,
            headers=issuer | {"idempotency-key": "before"},
        )
        assert (403, True) == (alone.status_code, "quorum" in alone.text), alone.text
    for seat in APPROVERS:
        code, said = firms.approve(seat)
        assert (0, True) == (code, f"policy_sha256: {firms.digest}" in said), said
    with firms.at_home() as http:
        made = http.post(
            "/v1/operators/own/certificates",
            json=request,
            headers=issuer | {"idempotency-key": "after"},
        )
        assert made.status_code == 201, made.text
        certified = made.json()
        known = http.post("/v1/logs", json=log).json()
        roster = http.get("/v1/roster").content
    found = msgspec.json.decode(roster, type=Roster)
    firms.make_gate(certified, known, found)
    firms.trade()
    return Deployed(firms, found, certified, firms.key("auditor"))


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """Three organisations of which the operator trades."""
    with three_firms() as firms:
        yield deploy(firms)


def permitted(deployed: Deployed, name: str) -> str:
    """The permit of a new order."""
    with deployed.firms.bot() as bot:
        answer: Any = bot.orders.submit(canonical(new_order(name)))
    assert isinstance(answer, Permitted), answer
    return str(answer.permit)


def test_counterparty_with_the_root_alone_verifies_a_permit_offline(deployed: Deployed) -> None:
    """One call, no connection; another venue's name, or another root, and it is refused."""
    permit = permitted(deployed, "offline")
    root = unb64(deployed.certified["root"])
    now = deployed_now()
    given: dict[str, Any] = {
        "certificate": unb64(deployed.certified["certificate"]),
        "issuing": unb64(deployed.certified["issuing"]),
        "now_ns": now,
        "environments": frozenset({"test"}),
    }
    found = verify_permit(permit, root=root, venue="PAPER", **given)
    assert (AGENT, deployed.firms.digest) == (found.agent, found.policy_sha256)
    with pytest.raises(VerificationFailed):
        verify_permit(permit, root=root, venue="OTHER", **given)


def deployed_now() -> int:
    """The counterparty's clock."""
    return SystemClock().now_ns()


def test_no_organisation_has_a_key_of_another(deployed: Deployed) -> None:
    """Folder by folder; the issuer has no agent's key, the operator none of the issuer's."""
    firms = deployed.firms

    def keys(folder: Path) -> set[str]:
        return {str(one.relative_to(folder)) for one in folder.rglob("*.key")}

    own = {"root", "issuing", "responder", "authority-log", "gate-log"}
    issuer = {f"home/keys/{one}.key" for one in own}
    assert issuer | {"home/tls/server.key", "people/issuer/own.key"} == keys(firms.issuer)
    seats = ("dev-1", "duty_compliance", "duty_risk", "operator")
    operator = {f"people/{seat}/own.key" for seat in seats}
    gate = {"agents/steady-1.key", "gate-log.key"}
    operator |= {f"gate-a/keys/{one}" for one in gate} | {"gate-a/tls/client.key"}
    assert operator == keys(firms.operator)
    approvers = {f"{seat}/{one}" for seat in APPROVERS for one in ("own.key", "client.key")}
    assert approvers == keys(firms.folder / "approvers")


def test_issuer_alone_certifies_nothing(deployed: Deployed) -> None:
    """A policy that nobody approved, and one approver of two: refused to the issuer's own key."""
    firms = deployed.firms
    document = policy() | {"agent": "unapproved"}
    digest = firms.register(document, firms.key("developer", "dev-1"), "second")
    request = firms.request("unapproved", digest, firms.operator / "unapproved.key")
    issuer = {"authorization": f"Bearer {firms.key('issuer', 'issuer')}"}

    def ask(name: str) -> tuple[int, bool]:
        with firms.at_home() as http:
            answer = http.post(
                "/v1/operators/own/certificates",
                json=request,
                headers=issuer | {"idempotency-key": name},
            )
        return answer.status_code, "quorum" in answer.text

    assert (403, True) == ask("none")
    code, said = firms.approve("ceo-1", digest=digest)
    assert (0, True) == (code, "the quorum is not reached yet" in said), said
    assert (403, True) == ask("one")


def test_key_of_one_approver_is_no_signature_of_another(deployed: Deployed) -> None:
    """The command refuses it, and so does the issuer when somebody goes around the command."""
    firms = deployed.firms
    code, said = firms.approve("cfo-1", key_of="ceo-1")
    assert (1, True) == (code, "not the key of 'cfo-1'" in said), said
    stolen = software.load(firms.of("ceo-1") / "own.key", PASSPHRASE)
    approval = sign_approval(stolen, firms.digest, deployed.roster, "cfo-1", deployed_now())
    with firms.over_tls(firms.of("ceo-1")) as http:
        answer = http.post("/v1/approvals", json=msgspec.to_builtins(approval))
    assert (403, True) == (answer.status_code, "does not count" in answer.text), answer.text


def test_approver_is_shown_the_policy_whose_digest_was_told_or_signs_nothing(
    deployed: Deployed,
) -> None:
    """Another digest is not registered: nothing is signed; the gates' part is not an approver's."""
    firms = deployed.firms
    code, said = firms.approve("ceo-1", digest="0" * 64)
    assert (1, False) == (code, "approved" in said), said
    with firms.over_tls(firms.of("ceo-1")) as http:
        assert http.get("/v1/gates/gate-a/checkpoint").status_code == 403
        assert http.post("/v1/logs", json={"origin": "x", "public_key": ""}).status_code == 403
        assert http.get("/v1/incidents?after=0").status_code == 403


async def outside(deployed: Deployed, genuine: str) -> None:
    """The operator signs an order with the agent's key, past its gate, and it reaches the venue."""
    firms = deployed.firms
    key = software.load(firms.gate / "keys" / "agents" / f"{AGENT}-1.key", PASSPHRASE)
    found, now = read_permit(genuine), SystemClock().now_ns()
    made = msgspec.structs.replace(
        found,
        permit_id=permit_id("elsewhere.example/log", 7),
        order=found.order | {"client_order_id": "theirs"},
        log_origin="elsewhere.example/log",
        log_index=7,
        leaf_hash=b64(bytes(32)),
        issued_at=format_instant(now),
        expires_at=format_instant(now + NS),
    )
    message = signing_input(made)
    permit = assemble(message, key.sign_blocking(message))
    address = f"unix:{firms.operator / 'venue' / 'venue.sock'}"
    venue = PaperHttpVenue("PAPER", address, CREDENTIAL, timeout_s=10)
    try:
        (taken, *_) = await venue.submit(permit)
    finally:
        await venue.close()
    assert taken.exec_type == "new", taken


def refused(deployed: Deployed, prefix: str, why: str) -> None:
    """Wait until new orders are refused for this."""
    numbers = iter(range(10_000))

    def look() -> bool:
        with deployed.firms.bot() as bot:
            answer: Any = bot.orders.submit(canonical(new_order(f"{prefix}-{next(numbers)}")))
        return why in repr(answer)

    deployed.firms.wait_for(look, f"orders to be refused: {why}")


class Evidence(NamedTuple):
    """All processes have ended; copies of both logs, what was kept of them, and the bundle."""

    deployed: Deployed
    gate: Path
    authority: Path
    answers: Answers
    bundle: Path
    kept: dict[str, Path]

    async def bundle_of(self, name: str, **logs: Path) -> Path:
        """A bundle of other logs."""
        firms = self.deployed.firms
        given = {"gate": self.gate, "authority": self.authority} | logs
        whole = {one: copied(path, firms.folder / f"{name}-{one}") for one, path in given.items()}
        out = firms.folder / f"bundle-{name}"
        await firms.export(self.answers, out, whole["gate"], whole["authority"])
        return out


@pytest.fixture(scope="module")
def evidence(deployed: Deployed) -> Evidence:
    """The operator's key is used outside its gate; then everything ends and is bundled."""
    firms = deployed.firms
    before = permitted(deployed, "before")
    asyncio.run(outside(deployed, before))
    refused(deployed, "after", "venue PAPER is latched")
    kept = {name: firms.folder / f"kept-{name}" for name in ("authority", "gate", "root")}
    kept["root"].write_bytes(pem(unb64(deployed.certified["root"])))
    with firms.over_tls(firms.gate / "tls", deployed.auditor) as http:
        crl = http.get("/pki/own/crl/0.crl")
        issuing = x509.load_der_x509_certificate(unb64(deployed.certified["issuing"]))
        leaf = x509.load_der_x509_certificate(unb64(deployed.certified["certificate"]))
        asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuing, SHA256).build()
        status = http.post(
            "/pki/own/ocsp",
            content=asked.public_bytes(Encoding.DER),
            headers={"content-type": "application/ocsp-request"},
        )
        assert (200, 200) == (crl.status_code, status.status_code), (crl.text, status.text)

        def mirrored() -> bytes:
            return bytes(http.get("/v1/operators/own/log/checkpoint").content)

        firms.wait_for(lambda: b"authority" in mirrored(), "the issuer to publish")
        kept["authority"].write_bytes(mirrored())
    assert [0, 0] == [firms.end("gate-a"), firms.end("venue")]
    kept["gate"].write_bytes((firms.gate / "gate" / "checkpoint").read_bytes())
    assert 0 == firms.end("authority")
    log_key = issuers_log_key(firms).public_key
    answers = Answers(crl.content, status.content, log_key)
    gate = copied(firms.gate / "gate", firms.folder / "gate-log")
    authority = copied(firms.home / "authority", firms.folder / "authority-log")
    made = Evidence(deployed, gate, authority, answers, firms.folder, kept)
    return made._replace(bundle=asyncio.run(made.bundle_of("whole")))


def issuers_log_key(firms: ThreeFirms) -> Signer:
    """The key of the issuer's log, which the issuer alone has."""
    passphrase = firms.home / "keys" / "passphrase"
    return open_signer(
        f"file:{firms.home / 'keys' / 'authority-log.key'}", passphrase_file=passphrase
    )


def verify(evidence: Evidence, bundle: Path, kept: str = "") -> tuple[int, str]:
    """``sekisho-verify`` by somebody with the root, and a checkpoint where one was kept."""
    more = ["--checkpoint", str(evidence.kept[kept])] if kept else []
    roster = evidence.deployed.firms.folder / "roster.json"
    roster.write_bytes(canonical(evidence.deployed.roster))
    more += ["--approvers", str(roster)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = cli.main([str(bundle), "--root", str(evidence.kept["root"]), *more])
    return code, printed.getvalue()


@pytest.mark.parametrize("kept", ["gate", "authority"])
def test_auditor_verifies_the_bundle_of_both_logs(evidence: Evidence, kept: str) -> None:
    """The operator made it with its own key and a copy of the issuer's log; a kept one anchors."""
    code, said = verify(evidence, evidence.bundle, kept)
    assert (0, False) == (code, "SELF-ASSERTED" in said), said


def test_operator_that_uses_the_agents_key_outside_its_gate_is_found_by_the_venues_list(
    evidence: Evidence,
) -> None:
    """The venue took the order; the gate found it there, was latched, and the issuer was told."""
    code, said = verify(evidence, evidence.bundle)
    assert (0, True) == (code, f"unpermitted_order at PAPER, of {AGENT}" in said), said


def test_operator_that_cuts_its_log_is_found_by_what_the_issuer_or_anybody_kept(
    evidence: Evidence,
) -> None:
    """Cut before the break and signed anew, it contradicts the issuer's log. Cut after everything
    that the issuer was told of, it verifies as SELF-ASSERTED, and not for who kept a checkpoint.
    """
    firms = evidence.deployed.firms
    key = firms.gate_log_key()

    async def cut(name: str, entries: list[bytes]) -> Path:
        made = await rewritten(evidence.gate, firms.folder / name, entries, key)
        return await evidence.bundle_of(f"of-{name}", gate=made)

    entries = asyncio.run(entries_of(evidence.gate, key))
    end = next(at for at, one in enumerate(entries) if b'"incident_opened"' in one)
    code, said = verify(evidence, asyncio.run(cut("before", entries[:end])))
    assert (1, True) == (code, "was cut" in said), said
    later = asyncio.run(cut("after", entries[:-1]))
    code, said = verify(evidence, later)
    assert (0, True) == (code, "SELF-ASSERTED" in said), said
    code, said = verify(evidence, later, "gate")
    assert (1, True) == (code, "checkpoint" in said), said


def test_issuer_that_rewrites_its_log_is_found_by_the_mirrored_checkpoint(
    evidence: Evidence,
) -> None:
    """A word that nobody recomputes, altered in the issuer's own log and signed anew by it: it
    holds by itself, and not for the operator that mirrored the checkpoint before.
    """
    key = issuers_log_key(evidence.deployed.firms)

    async def forked() -> Path:
        entries = await entries_of(evidence.authority, key)
        at = next(n for n, one in enumerate(entries) if b'"kind":"policy_registered"' in one)
        entry = decode_authority_entry(entries[at])
        assert isinstance(entry, PolicyRegistered)
        first, *rest = entry.defaults
        other = msgspec.structs.replace(entry, defaults=(first | {"why": "another word"}, *rest))
        entries[at] = encode_entry(other)
        folder = evidence.deployed.firms.folder / "forked"
        made = await rewritten(evidence.authority, folder, entries, key)
        return await evidence.bundle_of("fork", authority=made)

    bundle = asyncio.run(forked())
    code, said = verify(evidence, bundle)
    assert (0, True) == (code, "SELF-ASSERTED" in said), said
    code, said = verify(evidence, bundle, "authority")
    assert (1, True) == (code, "checkpoint" in said), said


def test_issuer_that_makes_up_an_approval_is_found_by_its_signature(evidence: Evidence) -> None:
    """The issuer writes an approver's approval itself, with all digests made to fit."""
    key = issuers_log_key(evidence.deployed.firms)

    async def made_up() -> Path:
        entries = await entries_of(evidence.authority, key)
        given = [json.loads(one)["approval"] for one in entries if b'"approval_given"' in one]
        first, second = (one["signature"].encode() for one in given[:2])
        entries = [one.replace(second, first) for one in entries]
        at = next(n for n, one in enumerate(entries) if b'"kind":"resolved"' in one)
        entry = json.loads(entries[at])
        old = entry["resolution_sha256"].encode()
        new = sha256_hex(canonical(entry["resolution"])).encode()
        entries = [one.replace(old, new) for one in entries]
        folder = evidence.deployed.firms.folder / "made-up"
        made = await rewritten(evidence.authority, folder, entries, key)
        return await evidence.bundle_of("approval", authority=made)

    code, said = verify(evidence, asyncio.run(made_up()))
    assert (1, True) == (code, "signature" in said.partition("FAILED")[2]), said


def test_operator_that_restores_a_shorter_log_gets_no_lease(evidence: Evidence) -> None:
    """The issuer remembers how far it saw the gate's log: the gate permits nothing with less."""
    firms = evidence.deployed.firms
    firms.serve()
    settings = firms.gate / "gate.toml"

    def status() -> str:
        return firms.sekisho("gate", "status", "--config", settings)[1]

    text = settings.read_text("utf-8")
    old = text.partition('authority = "https://')[2].partition('"')[0]
    settings.write_text(text.replace(old, firms.address), encoding="utf-8")
    firms.start_the_gate()
    firms.wait_for(lambda: "lease" in status() and "no lease" not in status(), "a lease")
    assert 0 == firms.end("gate-a")
    whole, key = firms.gate / "gate", firms.gate_log_key()
    whole.rename(firms.gate / "gate-aside")

    async def cut() -> None:
        await rewritten(evidence.gate, whole, (await entries_of(evidence.gate, key))[:4], key)

    asyncio.run(cut())
    firms.start_the_gate()
    firms.wait_for(lambda: "entries of this log" in status(), "the gate to say why: " + status())
