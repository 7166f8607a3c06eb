# SPDX-License-Identifier: Apache-2.0
"""One permit, as a counterparty verifies it, and taking it once."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify import (
    FileStore,
    MemoryStore,
    OnceStore,
    VerificationFailed,
    VerifiedPermit,
    accept_once,
    verify_permit,
)
from sekisho_verify.canonical import instant
from sekisho_verify.permit import signature_der
from tests.unit.verify.build_bundle import Draft
from tests.unit.verify.build_pki import ARC
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import ECDSA, LATER, at, b64, sha

NOW = instant(at(3, 1))
TEST = frozenset({"test"})


@pytest.fixture(scope="module")
def draft() -> Draft:
    """One draft for all tests here; it is not changed."""
    return Draft()


def verify(draft: Draft, permit: str, **changes: Any) -> VerifiedPermit:
    """verify_permit with what is right, but for the changes."""
    pki = draft.pki
    given: dict[str, Any] = {
        "certificate": draft.certificate.public_bytes(Encoding.PEM),
        "issuing": pki.issuing.public_bytes(Encoding.DER),
        "root": pki.root.public_bytes(Encoding.PEM),
        "venue": "PAPER",
        "now_ns": NOW,
        "environments": TEST,
    }
    return verify_permit(permit, **(given | changes))


def test_verify_permit_good_returns_what_may_be_executed(draft: Draft) -> None:
    """The order, exactly, and where its decision stands."""
    found = verify(draft, draft.permits[6])
    assert draft.order("order-1", "10000") == found.order
    assert (AGENT, "test", "PAPER", "main", "") == (
        found.agent,
        found.environment,
        found.venue,
        found.account,
        found.replaces,
    )
    assert (6, instant(at(3)), instant(at(3, 2))) == (
        found.log_index,
        found.issued_at_ns,
        found.expires_at_ns,
    )
    assert "order-3" == verify(draft, draft.permits[13]).replaces


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"venue": "DARK"}, "is for venue PAPER"),
        ({"now_ns": instant(at(3, 2))}, "is expired"),
        ({"now_ns": instant(at(3)) - 5 * 10**9 - 1}, "does not cover"),
        ({"environments": frozenset({"production"})}, "is of environment test"),
        ({"now_ns": instant("2027-05-01T00:00:00.000000000Z")}, "not in its validity"),
        ({"certificate": b"x"}, "no well-formed certificate"),
    ],
)
def test_verify_permit_other_circumstances_refuse(
    draft: Draft, changes: dict[str, Any], what: str
) -> None:
    """Venue, clock and environment are the counterparty's own."""
    with pytest.raises(VerificationFailed, match=what):
        verify(draft, draft.permits[6], **changes)


def test_verify_permit_default_accepts_production_only(draft: Draft) -> None:
    """Test and rehearsal are refused unless asked for."""
    pki = draft.pki
    with pytest.raises(VerificationFailed, match="is of environment test"):
        verify_permit(
            draft.permits[6],
            certificate=draft.certificate.public_bytes(Encoding.DER),
            issuing=pki.issuing.public_bytes(Encoding.PEM),
            root=pki.root.public_bytes(Encoding.DER),
            venue="PAPER",
            now_ns=NOW,
        )


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"permit_id": "0" * 64}, "another id"),
        ({"agent": "other"}, "another agent"),
        ({"environment": "rehearsal"}, "another environment"),
        ({"venue": "DARK"}, "another venue"),
        ({"account": "x"}, "another venue or account"),
        ({"expires_at": at(3, 3)}, "lasts longer"),
        ({"issued_at": at(3, 2)}, "lasts longer"),
        ({"certificate_sha256": "0" * 64}, "another certificate"),
        ({"policy_sha256": "0" * 64}, "another policy"),
        ({"leaf_hash": "AA=="}, "malformed log place"),
        ({"ocsp": "AA=="}, "OCSP"),
        ({"more": "x"}, "unasked the field more"),
        ({"order": None}, "unasked the field order"),
        ({"order": {"action": "cancel"}}, "lacks"),
    ],
)
def test_verify_permit_other_payload_refuses(
    draft: Draft, changes: dict[str, Any], what: str
) -> None:
    """Signed by the agent's key, and still not to be honoured."""
    with pytest.raises(VerificationFailed, match=what):
        verify(draft, draft.jws(draft.payload(6, **changes)))


@pytest.mark.parametrize("status", ["hold", "revoked"])
def test_verify_permit_status_not_good_refuses(draft: Draft, status: str) -> None:
    """The status inside must say good, of this certificate."""
    response = b64(draft.pki.status(draft.certificate, status, LATER.replace(minute=3)))
    with pytest.raises(VerificationFailed, match=f"carries status {status}"):
        verify(draft, draft.jws(draft.payload(6, ocsp=response)))
    other = b64(draft.pki.status(draft.log_gate, "good", LATER.replace(minute=3)))
    with pytest.raises(VerificationFailed, match="status of another certificate"):
        verify(draft, draft.jws(draft.payload(6, ocsp=other)))


def test_verify_permit_signature_of_another_key_refuses(draft: Draft) -> None:
    """Only the certified key signs."""
    permit = draft.jws(draft.payload(6), ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(VerificationFailed, match="signature that does not verify"):
        verify(draft, permit)


def test_verify_permit_every_changed_character_refuses(draft: Draft) -> None:
    """No character is without meaning, not even the unused bits of base64url."""
    permit = draft.permits[6]
    for position in [*range(0, len(permit), 37), len(permit) - 1]:
        for other in "AB.":
            if permit[position] != other:
                changed = permit[:position] + other + permit[position + 1 :]
                with pytest.raises(VerificationFailed):
                    verify(draft, changed)


def test_verify_permit_other_header_refuses(draft: Draft) -> None:
    """One header, to the byte: no `none`, no other order of its members."""
    _, payload, signature = draft.permits[6].split(".")
    for header in (b'{"alg":"none"}', b'{"typ":"sekisho-permit","alg":"ES256"}'):
        text = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
        with pytest.raises(VerificationFailed, match="another header"):
            verify(draft, f"{text}.{payload}.{signature}")


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_verify_permit_signed_for_another_purpose_refuses(draft: Draft) -> None:
    """A signature over the same bytes with another context line is no permit."""
    header, payload, _ = draft.permits[6].split(".")
    raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert raw.startswith(b"sekisho/permit/v1\n")
    other = f"{header}.{encoded(raw.replace(b'permit/v1', b'permit/v9', 1))}"
    made = draft.pki.agent_key.sign(other.encode(), ECDSA)
    r, s = decode_dss_signature(made)
    signature = encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    with pytest.raises(VerificationFailed, match="not signed as a permit"):
        verify(draft, f"{other}.{signature}")


def test_verify_permit_other_spelling_of_the_same_refuses(draft: Draft) -> None:
    """Unused bits of the last character, a longer signature, more than any permit has."""
    permit = draft.permits[6]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(permit[-1]) ^ 1]  # 64 bytes leave four unused bits
    header, payload, signature = permit.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    longer = f"{header}.{payload}.{encoded(bytes(1) + raw)}"
    for text, what in (
        (permit[:-1] + last, "canonical base64url"),
        (longer, "not 64 bytes"),
        (permit + "A" * 65536, "longer than any permit"),
        (permit + ".", "base64url"),
        (permit + "é", "not ASCII"),
    ):
        with pytest.raises(VerificationFailed, match=what):
            verify(draft, text)


def test_verify_permit_carrying_a_cancel_refuses(draft: Draft) -> None:
    """A permit is for a new order, whatever else is well-formed."""
    cancel = {"action": "cancel", "client_order_id": "x", "orig_client_order_id": "y"}
    changes = {"order": cancel, "venue": "", "account": ""}
    with pytest.raises(VerificationFailed, match="carries no new order"):
        verify(draft, draft.jws(draft.payload(6, **changes)), venue="")


CERTIFICATES: list[tuple[dict[str, Any], str]] = [
    ({"critical": True}, "critical"),
    ({"usage": x509.ObjectIdentifier(f"{ARC}.2.2")}, "another key usage"),
    ({"usage": x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH}, "another key usage"),
    ({"signer": ec.generate_private_key(ec.SECP256R1())}, "signature that does not verify"),
    ({"common_name": "other"}, "for another agent"),
    ({"more": [(x509.OCSPNoCheck(), True)]}, "has critical"),
]


@pytest.mark.parametrize(("changes", "what"), CERTIFICATES)
def test_verify_permit_certificate_outside_the_profile_refuses(
    draft: Draft, changes: dict[str, Any], what: str
) -> None:
    """Profile and path of the certificate, before anything else."""
    leaf = draft.pki.agent_certificate(AGENT, "Example Trading", draft.scope_value(), **changes)
    with pytest.raises(VerificationFailed, match=what):
        verify(draft, draft.permits[6], certificate=leaf.public_bytes(Encoding.DER))


def test_verify_permit_unknown_extension_not_critical_passes_the_profile(draft: Draft) -> None:
    """What is not critical and not known is no fault; the permit names another certificate."""
    more = [(x509.OCSPNoCheck(), False)]
    leaf = draft.pki.agent_certificate(AGENT, "Example Trading", draft.scope_value(), more=more)
    with pytest.raises(VerificationFailed, match="names another certificate"):
        verify(draft, draft.permits[6], certificate=leaf.public_bytes(Encoding.DER))


def test_verify_permit_wrong_authorities_refuse(draft: Draft) -> None:
    """Root and issuing CA are not interchangeable, and a log certificate is no agent's."""
    pki = draft.pki
    root, issuing = (one.public_bytes(Encoding.DER) for one in (pki.root, pki.issuing))
    for changes in (
        {"root": issuing},
        {"issuing": root},
        {"certificate": issuing},
        {"certificate": draft.log_gate.public_bytes(Encoding.DER)},
    ):
        with pytest.raises(VerificationFailed):
            verify(draft, draft.permits[6], **changes)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_accept_once_second_time_refuses(kind: str, tmp_path: Path) -> None:
    """The same permit is taken once, another one all the same."""
    store: OnceStore = MemoryStore() if kind == "memory" else FileStore(tmp_path / "taken")
    accept_once(store, sha(b"1"), 10)
    accept_once(store, sha(b"2"), 2**70)
    with pytest.raises(VerificationFailed, match="taken before"):
        accept_once(store, sha(b"1"), 10)
    assert 0 == store.forget(10)
    assert 1 == store.forget(11)
    if isinstance(store, FileStore):
        store.close()


def test_accept_once_file_outlives_the_process(tmp_path: Path) -> None:
    """What was taken stays taken after opening the file again, and beside another opener."""
    first = FileStore(tmp_path / "taken")
    beside = FileStore(tmp_path / "taken")
    accept_once(first, sha(b"1"), 10)
    with pytest.raises(VerificationFailed):
        accept_once(beside, sha(b"1"), 10)
    for store in (first, beside):
        store.close()
    again = FileStore(tmp_path / "taken")
    with pytest.raises(VerificationFailed):
        accept_once(again, sha(b"1"), 10)
    again.close()


@pytest.mark.parametrize("first", [b"\x00", b"\x7f", b"\x80", b"\xff"])
def test_signature_der_equals_the_library(first: bytes) -> None:
    """Integers in their shortest form, with a zero before a leading one bit."""
    r, s = first + b"\x01" * 31, b"\x00" * 31 + b"\x05"
    expected = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    assert expected == signature_der(r + s)
