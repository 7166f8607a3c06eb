# SPDX-License-Identifier: Apache-2.0
"""What is not true is found although everybody signed it: logs, permits and MANIFEST made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from tests.unit.verify.build_bundle import Draft, counters, outcome, write
from tests.unit.verify.build_pki import START
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import BOOT, LATER, at, b64, canonical, sha

Change = Callable[[Draft], Any]


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies."""
    return Draft()


def gate(index: int, **members: Any) -> Change:
    """Change members of an entry of the gate's log."""
    return lambda draft: draft.gate[index].update(members)


def authority(index: int, **members: Any) -> Change:
    """Change members of an entry of the authority's log."""
    return lambda draft: draft.authority[index].update(members)


def signed(decision: int, **changes: Any) -> Change:
    """The permit of a decision, with another payload, signed by the agent's key."""

    def change(draft: Draft) -> None:
        permit = draft.jws(draft.payload(decision, **changes))
        draft.permits[decision] = permit
        draft.gate[decision + 1]["permit"] = permit

    return change


def reason(code: str, limit: str = "", observed: str = "", unit: str = "") -> dict[str, str]:
    """A reason as recorded."""
    return {"code": code, "limit": limit, "observed": observed, "unit": unit}


def revoked_ocsp(draft: Draft) -> str:
    """A status response that says hold."""
    return b64(draft.pki.status(draft.certificate, "hold", LATER))


def forged_ocsp(draft: Draft) -> str:
    """A status response of a moment that the responder never signed."""
    data = draft.pki.status(draft.certificate, "good", LATER)
    return b64(data.replace(b"20260515093000Z", b"20260515090300Z"))


def issuing_ocsp(draft: Draft) -> str:
    """A lawful status response, of the issuing CA itself."""
    moment = LATER.replace(minute=3)
    return b64(draft.pki.status(draft.certificate, "good", moment, by_issuing=True))


TOO_BIG = reason("exceeds_scope_size", "25000.00", "180000.00", "EUR")

ENTRIES: list[tuple[Change, str, str]] = [
    (gate(6, more="x"), "gate log, entry 6", "lacks or has unasked the field more"),
    (gate(6, kind="wish"), "gate log, entry 6", "is of no known kind"),
    (gate(6, at=at(2)), "gate log, entry 6", "lies before"),
    (gate(6, at="2026-05-15T09:03:00Z"), "gate log, entry 6", "is no instant"),
    (gate(6, body_bytes=True), "gate log, entry 6", "is not an integer"),
    (gate(3, bid=1), "gate log, entry 3", "is no amount"),
    (gate(3, bid="1.10\n"), "gate log, entry 3", "is no amount"),
    (gate(2, deadline_monotonic="01"), "gate log, entry 2", "is no number"),
    (authority(3, agent="A"), "authority log, entry 3", "is no agent"),
    (authority(8, root_hash=7), "authority log, entry 8", "is not text"),
]


@pytest.mark.parametrize(("change", "place", "what"), ENTRIES)
def test_entry_of_another_form_fails_step_3(
    original: Draft, tmp_path: Path, change: Change, place: str, what: str
) -> None:
    """Every entry has exactly the fields of its kind, each of its form."""
    draft = original.copy()
    change(draft)
    step, named, told = outcome(draft, tmp_path)
    assert ("logs", place) == (step, named)
    assert what in told


VERDICTS: list[tuple[Change, int, str]] = [
    (gate(6, verdict="refused"), 6, "is recorded as refused but nothing refuses it"),
    (gate(9, verdict="permitted"), 9, "is recorded as permitted, computed refused"),
    (gate(9, reasons=[TOO_BIG]), 9, "has 1 reasons, computed 2"),
    (gate(9, reasons=[TOO_BIG, TOO_BIG]), 9, "reason 1 is recorded as"),
    (gate(9, notional="180000.01"), 9, "`notional` is recorded as"),
    (gate(6, before=counters(1, 0, 0, 0)), 6, "`before` is recorded as"),
    (gate(6, after=counters(10000, 9999, 1, 1)), 6, "`after` is recorded as"),
    (gate(6, after=None), 6, "`after` is recorded as"),
    (gate(6, state=3), 6, "`state` is not the number"),
    (gate(6, epoch=1), 6, "has epoch 1, computed 0"),
    (gate(6, certificate_sha256="0" * 64), 6, "another certificate"),
    (gate(6, policy_sha256=""), 6, "another policy"),
    (gate(6, agent="nobody"), 6, "another certificate"),
    (gate(6, monotonic="1000"), 6, "lease_expired"),
    (gate(10, reasons=[reason("malformed_order", "", "x" * 201)]), 10, "more than 200"),
    (gate(10, reasons=[reason("market_not_allowed")]), 10, "reason 0 is recorded as"),
    (gate(10, notional="1.00"), 10, "`notional`"),
    (lambda d: d.gate[6]["order"].update(quantity="0"), 6, "`quantity` is zero"),
    (lambda d: d.gate[6]["order"].update(quantity="10000.0000"), 6, ""),
    (lambda d: d.gate[6]["order"].update(side="both"), 6, "`side` is none of"),
    (lambda d: d.gate[6]["order"].update(note="x"), 6, "unasked the field note"),
    (lambda d: d.gate[6]["order"].update(market="EUR/EUR"), 6, "one currency twice"),
    (lambda d: d.gate[6]["order"].update(currency="GBP"), 6, "no leg"),
    (gate(6, body_bytes=8193), 6, "such a length is malformed"),
    (gate(0, region="us-east-1"), 6, "region_not_allowed"),
    (gate(3, bid="0"), 6, "rate_crossed"),
    (gate(8, exec_type="new"), 9, "`before`"),
]


@pytest.mark.parametrize(("change", "index", "what"), VERDICTS)
def test_verdict_that_does_not_follow_fails_step_6(
    original: Draft, tmp_path: Path, change: Change, index: int, what: str
) -> None:
    """Every decision is computed again from all entries before it."""
    draft = original.copy()
    draft.gate[2:3] = []  # the lease covers what lies before it; it is made anew below
    draft.gate.insert(2, {})
    change(draft)
    tail, draft.gate = draft.gate[3:], draft.gate[:2]
    draft.lease(3, 0)
    draft.gate += tail
    step, named, told = outcome(draft, tmp_path)
    if what:
        assert ("verdicts", f"gate log, entry {index}") == (step, named), told
        assert what in told
    else:
        assert "permits" == step  # the same amount, written otherwise: another leaf, another permit


def test_verdict_of_unknown_agent_is_computed(original: Draft, tmp_path: Path) -> None:
    """An agent that was never admitted gets one reason and no counters."""
    draft = original.copy()
    draft.decision(21, draft.order("x-1", "1"), None, None, [reason("agent_not_active")], "")
    unknown = {"agent": "nobody", "certificate_sha256": "", "policy_sha256": "", "scores": None}
    draft.gate[-1].update(unknown, rates={})
    assert ("", "", "") == outcome(draft, tmp_path / "good")
    draft.gate[-1]["reasons"] = []
    draft.gate[-1]["verdict"] = "permitted"
    assert "verdicts" == outcome(draft, tmp_path / "bad")[0]


PERMITS: list[tuple[Change, str]] = [
    (signed(6, permit_id="0" * 64), "permit_id"),
    (signed(6, venue="DARK"), "venue"),
    (signed(6, account="other"), "account"),
    (signed(6, environment="production"), "environment"),
    (signed(6, log_index=5), "log_index"),
    (signed(6, log_origin="else/log"), "log_origin"),
    (signed(6, leaf_hash=b64(bytes(32))), "leaf_hash"),
    (signed(6, policy_sha256="0" * 64), "policy_sha256"),
    (signed(6, certificate_sha256="0" * 64), "certificate_sha256"),
    (signed(6, agent="other"), "agent"),
    (signed(6, replaces="order-0"), "replaces"),
    (signed(13, replaces=None), "replaces"),
    (signed(13, replaces="order-1"), "replaces"),
    (signed(6, more="x"), "unasked the field more"),
    (signed(6, ocsp=None), "lacks or has unasked the field ocsp"),
    (signed(6, issued_at=at(2)), "another time than recorded"),
    (signed(6, issued_at=at(3, 1), expires_at=at(3, 2)), "another time than recorded"),
    (signed(6, expires_at=at(3, 3)), "lasts longer than the policy allows"),
    (signed(6, expires_at=at(3)), "lasts longer than the policy allows"),
    (lambda d: signed(6, ocsp=revoked_ocsp(d))(d), "OCSP response is not good"),
    (
        lambda d: signed(6, ocsp=b64(d.pki.status(d.log_gate, "good", LATER)))(d),
        "another certificate's status",
    ),
    (
        lambda d: signed(6, ocsp=b64(d.pki.status(d.certificate, "good", LATER)))(d),
        "does not cover",
    ),
    (
        lambda d: signed(6, ocsp=b64(d.pki.status(d.certificate, "good", START, 1)))(d),
        "does not cover",
    ),
    (lambda d: signed(6, ocsp=forged_ocsp(d))(d), "bad signature"),
    (lambda d: signed(6, ocsp=issuing_ocsp(d))(d), "another responder"),
    (lambda d: d.gate[14].update(decision=9), "names a refused decision"),
    (lambda d: d.gate[7].update(decision=3), "names no earlier decision"),
    (lambda d: d.gate[7].update(decision=11), "names no earlier decision"),
    (lambda d: d.gate[7].update(agent="other"), "names a decision of another agent"),
]


@pytest.mark.parametrize(("change", "what"), PERMITS)
def test_permit_that_differs_from_its_decision_fails_step_7(
    original: Draft, tmp_path: Path, change: Change, what: str
) -> None:
    """A permit says what its decision says, in every field."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    assert "permits" == step, (step, place, told)
    assert place.startswith("gate log, entry ")
    assert what in told


def test_permit_signed_by_another_key_fails(original: Draft, tmp_path: Path) -> None:
    """The signature is verified with the certificate in force, and the entry is named."""
    draft = original.copy()
    permit = draft.jws(draft.payload(6), ec.generate_private_key(ec.SECP256R1()))
    draft.gate[7]["permit"] = draft.permits[6] = permit
    expected = ("permits", "gate log, entry 7", "has a permit whose signature does not verify")
    assert expected == outcome(draft, tmp_path)


def test_permit_bad_signature_before_another_fault_is_named_first(
    original: Draft, tmp_path: Path
) -> None:
    """Signatures are verified in parallel; still the first bad entry is the one that is named."""
    draft = original.copy()
    permit = draft.jws(draft.payload(6), ec.generate_private_key(ec.SECP256R1()))
    draft.gate[7]["permit"] = draft.permits[6] = permit
    signed(13, venue="DARK")(draft)
    assert "gate log, entry 7" == outcome(draft, tmp_path)[1]


def late(draft: Draft, *acts: Change) -> Draft:
    """One more permitted decision at 9:03, before all that happened at 9:20; then the acts."""
    cut = next(i for i, e in enumerate(draft.gate) if e["kind"] == "status_acted")
    draft.gate[cut:] = []
    before, after = counters(17000, 0, 3, 5), counters(18000, 1000, 4, 6)
    draft.late = draft.decision(3, draft.order("order-8", "1000"), before, after)
    for act in acts:
        act(draft)
    return draft


def permit(draft: Draft) -> None:
    """The late decision gets its permit."""
    draft.sign(draft.late)


def withdraw(draft: Draft) -> None:
    """The late decision is withdrawn."""
    draft.add("withdrawn", 3, agent=AGENT, decision=draft.late, reason="x")


def repeat(draft: Draft) -> None:
    """The last entry stands twice."""
    draft.gate.append(dict(draft.gate[-1]))


def hold(draft: Draft) -> None:
    """The gate acts on the hold."""
    draft.act("hold", 1)
    draft.gate[-1]["at"] = at(3)


def release(draft: Draft) -> None:
    """The gate acts on the release."""
    draft.act("good", 2)
    draft.gate[-1]["at"] = at(3)


def reopen(draft: Draft) -> None:
    """The gate is opened again."""
    boot = f"{len(draft.gate):032x}"
    members = {"gate": "gate-1", "boot": boot, "region": "eu-west-1", "environment": "test"}
    draft.authority.insert(9, draft._booted(len(draft.gate)) | {"boot": boot})
    draft.add("gate_opened", 3, **members)


def relend(draft: Draft) -> None:
    """A new lease, of the present boot."""
    boots = [entry["boot"] for entry in draft.gate if entry["kind"] == "gate_opened"]
    draft.lease(3, 0, boot=boots[-1])


LATE: list[tuple[tuple[Change, ...], str]] = [
    ((permit, repeat), "signed before"),
    ((withdraw, permit), "withdrawn decision"),
    ((permit, withdraw), "signed before"),
    ((withdraw, withdraw), "withdrawn decision"),
    ((hold, permit), "stopped the certificate"),
    ((hold, release, permit), "stopped the certificate"),
    ((reopen, permit), "opened again"),
    ((reopen, relend, permit), "opened again"),
]


@pytest.mark.parametrize(("acts", "what"), LATE)
def test_permit_after_an_end_fails(
    original: Draft, tmp_path: Path, acts: tuple[Change, ...], what: str
) -> None:
    """Once per decision; never after withdrawal, stop or restart."""
    step, _, told = outcome(late(original.copy(), *acts), tmp_path)
    assert "permits" == step, told
    assert what in told


def test_permit_late_but_lawful_passes_to_the_summary(original: Draft, tmp_path: Path) -> None:
    """The tests above fail for their reason alone: the same without it reaches the last step."""
    draft = late(original.copy(), permit)
    assert "summary" == outcome(draft, tmp_path)[0]


def test_permit_for_a_cancel_fails(original: Draft, tmp_path: Path) -> None:
    """A cancel is permitted and gets no permit."""
    cancel = next(
        i
        for i, e in enumerate(original.gate)
        if e["kind"] == "decision" and e["order"] and e["order"]["action"] == "cancel"
    )
    draft = late(original.copy(), lambda d: d.gate.append(dict(d.gate[14], decision=cancel)))
    step, _, told = outcome(draft, tmp_path)
    assert ("permits", "names a decision that gets no permit") == (step, told)


def test_permit_beyond_the_lease_fails(original: Draft, tmp_path: Path) -> None:
    """A permit ends no later than the lease, give or take the clocks' bound."""
    for seconds, failed in ((46, ""), (45, "permits")):
        draft = original.copy()
        relet(granted_at=at(2, seconds))(draft)
        step, _, told = outcome(draft, tmp_path / str(seconds))
        assert failed == step, told
        assert not failed or "lasts beyond the lease" in told


def test_permit_file_missing_is_named(original: Draft, tmp_path: Path) -> None:
    """Signing input and signature of each permit are in the bundle."""
    files = original.files()
    for number, path in enumerate(p for p in list(files) if p.startswith("permits/")):
        kept = {name: data for name, data in files.items() if name != path}
        folder = write(tmp_path / str(number), kept, original)
        root = original.pki.root.public_bytes(Encoding.PEM)
        report = Verification(folder, root, None, None).run()
        assert report.failure is not None
        assert (path, "is missing") == (report.failure.place, report.failure.what)


def relet(**changes: Any) -> Change:
    """The lease made anew, signed, with other content."""

    def change(draft: Draft) -> None:
        tail, draft.gate = draft.gate[3:], draft.gate[:2]
        draft.lease(3, 0, **changes)
        draft.gate += tail

    return change


LEASES: list[tuple[Change, str]] = [
    (relet(gate="gate-2"), "another gate"),
    (relet(boot="f" * 32), "another boot"),
    (relet(nonce="x"), "malformed nonce"),
    (gate(2, epoch=1), "another epoch than its lease"),
    (relet(tree_size=9), "lies ahead"),
    (relet(root_hash=b64(bytes(32))), "another history"),
    (relet(duration_s=61), "no proper duration"),
    (relet(granted_at="2028-01-01T00:00:00.000000000Z"), "not in its validity"),
    (relet(not_good=["0" * 64, "0" * 64]), "unsorted"),
    (lambda d: d.gate[2].update(grant=d.gate[2]["grant"].replace("gate-1", "gate-9")), "signature"),
    (lambda d: d.gate[2].update(grant=d.gate[2]["grant"] + " "), "JSON"),
]


@pytest.mark.parametrize(("change", "what"), LEASES)
def test_lease_that_does_not_hold_fails_step_8(
    original: Draft, tmp_path: Path, change: Change, what: str
) -> None:
    """A lease is for this gate, this boot and this history, signed by the authority."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    assert ("leases", "gate log, entry 2") == (step, place), told
    assert what in told


def test_gate_other_than_before_fails(original: Draft, tmp_path: Path) -> None:
    """One log is of one gate."""
    draft = original.copy()
    members = {"gate": "gate-2", "boot": BOOT, "region": "eu-west-1", "environment": "test"}
    draft.add("gate_opened", 21, **members)
    assert "opens another gate in this log" in outcome(draft, tmp_path)[2]


def test_lease_epoch_that_falls_fails(original: Draft, tmp_path: Path) -> None:
    """The authority's epoch never falls."""
    draft = original.copy()
    draft.lease(21, 2)
    draft.lease(21, 1)
    step, place, told = outcome(draft, tmp_path)
    assert ("leases", f"gate log, entry {len(draft.gate) - 1}") == (step, place)
    assert "epoch falls" in told


ADMISSION: list[tuple[Change, str]] = [
    (gate(1, authority_index=6), "did not issue there"),
    (gate(1, authority_index=999), "did not issue there"),
    (gate(1, certificate_sha256="0" * 64), "did not issue there"),
    (gate(1, not_after=at(59)), "`not_after` differs"),
    (gate(1, policy_sha256="0" * 64), "`policy_sha256` differs"),
    (lambda d: d.gate[1].update(policy=dict(d.policy, version=2)), "`policy` is not the policy"),
]


@pytest.mark.parametrize(("change", "what"), ADMISSION)
def test_admission_other_than_the_authority_says_fails(
    original: Draft, tmp_path: Path, change: Change, what: str
) -> None:
    """The gate admits only what the authority certified, with its policy."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    assert ("approval", "gate log, entry 1") == (step, place), told
    assert what in told


def test_gate_booted_of_another_history_fails(original: Draft, tmp_path: Path) -> None:
    """What the authority saw of the gate's log binds it."""
    draft = original.copy()
    draft.authority[8].update(draft._booted(5))
    assert ("", "", "") == outcome(draft, tmp_path / "good")
    draft.authority[8]["tree_size"] = 6
    told = outcome(draft, tmp_path / "other")
    assert ("approval", "authority log, entry 8") == told[:2]
    draft.authority[8]["tree_size"] = 99
    assert "lies ahead" in outcome(draft, tmp_path / "cut")[2]


ACTED: list[tuple[Change, int, str]] = [
    (gate(21, status="revoked"), 21, "acts on revoked"),
    (gate(21, epoch=9), 21, "epoch that the authority's log lacks"),
    (gate(21, certificate_sha256="0" * 64), 21, "did not issue"),
    (gate(23, epoch=1), 23, "acts on good"),
]


@pytest.mark.parametrize(("change", "index", "what"), ACTED)
def test_status_acted_other_than_authority_says_fails_step_5(
    original: Draft, tmp_path: Path, change: Change, index: int, what: str
) -> None:
    """The gate acts on what the authority decided."""
    draft = original.copy()
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    assert ("status", f"gate log, entry {index}") == (step, place), told
    assert what in told


def test_crl_and_ocsp_other_than_the_end_fail_step_5(original: Draft, tmp_path: Path) -> None:
    """Both say what the authority's log says at its end."""
    draft = original.copy()
    draft.status = "hold"
    path = f"ocsp/{draft.certificate_sha256}.der"
    assert ("status", path) == outcome(draft, tmp_path / "ocsp")[:2]
    draft = original.copy()
    hold_reason = x509.ReasonFlags.certificate_hold
    draft.crl = draft.pki.crl(2, {draft.certificate.serial_number: hold_reason}, LATER)
    told = outcome(draft, tmp_path / "old")
    assert ("status", "crl/issuing.pem") == told[:2]
    digest = sha(draft.crl.public_bytes(Encoding.DER))
    draft.authority[12]["crl_sha256"] = digest
    expected = "does not agree with the authority's log"
    assert ("status", "crl/issuing.pem", expected) == outcome(draft, tmp_path / "crl")


def test_rearm_needs_both_roles_and_the_epoch(original: Draft, tmp_path: Path) -> None:
    """A latch is taken off by named people, for this agent, latch and epoch, once."""

    def rearm(draft: Draft, seats: tuple[str, ...], **changes: Any) -> Draft:
        given = {"latch": "consecutive_failures", "epoch": 2} | changes
        signed_by = [draft.people.command(s, "rearm", **given) for s in seats]
        latch = "consecutive_failures"
        members = {"agent": AGENT, "latch": latch, "seats": list(seats), "commands": signed_by}
        draft.add("rearmed", 21, **members)
        return draft

    def authorised(draft: Draft) -> Draft:
        given = {name: draft.gate[-1][name] for name in ("agent", "latch", "seats", "commands")}
        entry = {"kind": "rearm_authorised", "at": at(21), "epoch": 2} | given
        draft.authority.insert(11, entry)
        return draft

    def renamed(draft: Draft) -> Draft:
        draft.gate[-1]["seats"] = ["risk_r"]
        return draft

    def again(draft: Draft) -> Draft:
        draft.gate.append(dict(draft.gate[-1]))
        return draft

    both = ("compliance_c", "risk_r")
    good = authorised(rearm(original.copy(), both))
    assert ("", "", "") == outcome(good, tmp_path / "good")
    bad = [
        (rearm(original.copy(), ("risk_r",)), "lacks a signature of role compliance"),
        (rearm(original.copy(), both, epoch=1), "for epoch 1"),
        (rearm(original.copy(), both, agent="other"), "is not for it"),
        (rearm(original.copy(), both, latch="repeated_executions"), "is not for it"),
        (rearm(authorised(rearm(original.copy(), both)), both), "repeats a nonce"),
        (renamed(rearm(original.copy(), both)), "names other seats"),
        (again(authorised(rearm(original.copy(), both))), "repeats a nonce"),
        (rearm(original.copy(), both), "what the authority's log does not authorise"),
        (rearm(original.copy(), ()), "without a signed command"),
    ]
    for number, (draft, what) in enumerate(bad):
        step, _, told = outcome(draft, tmp_path / str(number))
        assert "status" == step
        assert what in told


@pytest.mark.parametrize("field", sorted(Draft().summary().keys() - {"schema"}))
def test_summary_field_changed_fails_step_9(original: Draft, tmp_path: Path, field: str) -> None:
    """Every field of the summary follows from the logs."""
    draft = original.copy()
    wrong = draft.summary()
    wrong[field] = {int: 77, str: "x", list: [], dict: {}}[type(wrong[field])]
    draft.extra["summary.json"] = canonical(wrong)
    expected = ("summary", "summary.json", f"`{field}` is not what follows from the logs")
    assert expected == outcome(draft, tmp_path)


def test_lease_for_a_boot_that_the_authority_lacks_fails(original: Draft, tmp_path: Path) -> None:
    """A boot becomes the present one by an entry of the authority's log."""
    draft = original.copy()
    del draft.authority[8]
    assert "a boot that the authority's log lacks" in outcome(draft, tmp_path)[2]
